"""Signals over time: low-pass filter, constant rate."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .arrays import increasing_time
from .errors import InputError
from .types import BoolArray, FloatArray

_FILTER_ORDER = 2
"""Of the Butterworth filter, per pass."""
_SETTLING_PERIODS = 4
"""Periods of the cutoff after which the filter's transient has decayed to 1e-7."""
_TIME_SLACK_S = 1e-9
"""Rounding of time stamps."""
_COUNT_SLACK = 1e-6
"""Rounding of the number of samples: a last one that is missed by less than this share of a step is kept."""


def lowpass(values: FloatArray, *, rate_hz: float, cutoff_hz: float) -> FloatArray:
    """Smooth each column with a zero-lag, 4th-order Butterworth low-pass filter.

    A 2nd-order filter runs forwards and backwards. Its own cutoff is raised so that the
    gain of both passes together is 1/sqrt(2) at ``cutoff_hz``. The ends are continued by
    point reflection.

    Args:
        values: (T, N) or (T,), any unit, evenly sampled, no NaN.
        rate_hz: samples per second.
        cutoff_hz: in (0, rate_hz / 2); 6 Hz is usual for walking.

    Returns:
        The shape and unit of ``values``; the input is left as it is.

    Raises:
        InputError: ``cutoff_hz`` is out of its range, T is too short to filter, or a value is not finite.

    Source:
        D. A. Winter, Biomechanics and Motor Control of Human Movement, 4th ed., 2009, sec. 3.4.4. The correction is
        made on the bilinear transform's frequency axis tan(pi f / rate), where it is exact at every cutoff.
    """
    if not 0 < cutoff_hz < rate_hz / 2:
        raise InputError(f"cutoff_hz must be between 0 and {rate_hz / 2:g} (half of rate_hz), got {cutoff_hz:g}")
    signal = np.asarray(values, dtype=np.float64)
    if not np.isfinite(signal).all():
        raise InputError("values must be finite: fill or cut the gaps (NaN) before filtering")
    from scipy.signal import butter, sosfiltfilt

    correction = (math.sqrt(2) - 1) ** (-1 / (2 * _FILTER_ORDER))
    single_pass_hz = math.atan(math.tan(math.pi * cutoff_hz / rate_hz) * correction) * rate_hz / math.pi
    sections = butter(_FILTER_ORDER, single_pass_hz, fs=rate_hz, output="sos")
    shortest = 3 * _FILTER_ORDER + 2
    if len(signal) < shortest:
        raise InputError(f"{len(signal)} frames are too few to filter; at least {shortest} are needed")
    reach = math.ceil(_SETTLING_PERIODS * rate_hz / cutoff_hz)
    padded = np.pad(signal, [(reach, reach)] + [(0, 0)] * (signal.ndim - 1), mode="reflect", reflect_type="odd")
    return np.asarray(sosfiltfilt(sections, padded, axis=0, padlen=0)[reach:-reach])


def resample(
    time_s: FloatArray, values: FloatArray, *, rate_hz: float | None = None, max_gap_s: float | None = None
) -> tuple[FloatArray, FloatArray]:
    """Bring unevenly sampled columns to a constant rate with cubic splines.

    Args:
        time_s: (T,) strictly increasing.
        values: (T, ...), any unit; angles unwrapped. NaN means not seen and is bridged.
        rate_hz: samples per second of the result; None: one over the median step.
        max_gap_s: results inside a longer gap of a column become NaN; None: every gap is bridged. Before a column's
            first and after its last sample, results are always NaN.

    Returns:
        (S,) times from ``time_s[0]`` in steps of 1 / rate_hz, not beyond ``time_s[-1]``, and the (S, ...) values there.

    Raises:
        InputError: time does not increase, the rate is not positive, or there is only one frame.
    """
    from scipy.interpolate import make_interp_spline

    time = increasing_time(time_s)
    signal = np.asarray(values, dtype=np.float64)
    if len(signal) != len(time):
        raise InputError(f"values must have one row per frame: {len(time)} times, {len(signal)} rows")
    if rate_hz is None:
        if len(time) < 2:
            raise InputError("one frame has no rate: give rate_hz")
        rate_hz = 1.0 / float(np.median(np.diff(time)))
    if not (np.isfinite(rate_hz) and rate_hz > 0):
        raise InputError(f"rate_hz must be positive, got {rate_hz}")
    count = math.floor((time[-1] - time[0]) * rate_hz + _COUNT_SLACK) + 1
    new_time = np.minimum(time[0] + np.arange(count) / rate_hz, time[-1])

    columns = signal.reshape(len(signal), -1)
    result = np.full((count, columns.shape[1]), np.nan)
    together: dict[bytes, list[int]] = {}
    for column, seen in enumerate(np.isfinite(columns).T):
        together.setdefault(seen.tobytes(), []).append(column)
    for pattern, members in together.items():
        chosen = np.array(members)
        rows = np.flatnonzero(np.frombuffer(pattern, dtype=np.bool_))
        if len(rows) == 0:
            continue
        inside = _inside(time[rows], new_time, max_gap_s)
        degree = 3 if len(rows) > 3 else 1
        if len(rows) == 1:
            result[np.ix_(inside, chosen)] = columns[rows[0], chosen]
            continue
        spline = make_interp_spline(time[rows], columns[np.ix_(rows, chosen)], k=degree)
        result[np.ix_(inside, chosen)] = spline(new_time[inside])
    return new_time, result.reshape(count, *signal.shape[1:])


def interpolate(time_s: FloatArray, known_s: FloatArray, columns: FloatArray) -> FloatArray:
    """Interpolate columns linearly; the ends continue with the first and the last row.

    Args:
        time_s: (T,) times of the result.
        known_s: (S,) times of the rows.
        columns: (S, N).

    Returns:
        (T, N).
    """
    return np.stack([np.interp(time_s, known_s, column) for column in columns.T], axis=1)


def _inside(seen_s: FloatArray, new_s: FloatArray, max_gap_s: float | None) -> npt.NDArray[np.intp]:
    """Indices of the new times that lie between two samples which are at most ``max_gap_s`` apart."""
    after = np.searchsorted(seen_s, new_s - _TIME_SLACK_S)
    between = (new_s >= seen_s[0] - _TIME_SLACK_S) & (new_s <= seen_s[-1] + _TIME_SLACK_S)
    if max_gap_s is not None:
        after = np.clip(after, 0, len(seen_s) - 1)
        before = np.clip(after - 1, 0, None)
        on_sample = np.abs(seen_s[after] - new_s) <= _TIME_SLACK_S
        between &= on_sample | (seen_s[after] - seen_s[before] <= max_gap_s + _TIME_SLACK_S)
    return np.flatnonzero(between)


def runs(mask: Sequence[bool] | BoolArray) -> list[tuple[int, int]]:
    """Find the stretches in which a mask is true.

    Args:
        mask: (T,).

    Returns:
        First and last row of each.
    """
    edges = np.flatnonzero(np.diff(np.concatenate(([0], np.asarray(mask, dtype=int), [0]))))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]

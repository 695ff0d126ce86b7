"""Coordinates with their velocities and accelerations: filtered and differentiated once, for every consumer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import freeze, increasing_time
from ..errors import InputError
from ..types import FloatArray, OsimMotion

_EVEN_TOLERANCE = 0.01
"""Largest error of a time stamp of even sampling, as a share of a step: stamps rounded to 0.1 ms at 100 Hz."""
_MIN_FRAMES = 6
"""A natural quintic spline needs six samples."""
_FILTER_ORDER = 3
"""Of OpenSim's low-pass filter, per pass."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Trajectory:
    """Coordinates of a model with their time derivatives."""

    time_s: FloatArray
    """(T,) strictly increasing."""
    coordinates: tuple[str, ...]
    """N names."""
    q_si: FloatArray
    """(T, N) rad or m, smoothed."""
    u_si: FloatArray
    """(T, N) rad/s or m/s."""
    a_si: FloatArray
    """(T, N) rad/s^2 or m/s^2."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "time_s", increasing_time(self.time_s))
        freeze(self, dict.fromkeys(("q_si", "u_si", "a_si"), (len(self.time_s), len(self.coordinates))))

    def cut(self, frames: slice) -> Trajectory:
        """Keep some of the frames."""
        parts = {name: getattr(self, name)[frames] for name in ("time_s", "q_si", "u_si", "a_si")}
        return Trajectory(coordinates=self.coordinates, **parts)


def trajectory(motion: OsimMotion, *, cutoff_hz: float | None = 6.0) -> Trajectory:
    """Filter a motion without lag and differentiate it.

    Uneven motion is resampled to its mean rate by a quintic spline before the filter; the result is at the motion's own
    times. Both ends are continued by point reflection over half of the motion, for the filter and for the spline.

    Args:
        motion: coordinates over time, at least 6 frames.
        cutoff_hz: of :func:`opensim_lowpass`; None: no filter.

    Returns:
        Values and derivatives at ``motion.time_s``.

    Raises:
        InputError: too few frames, or a cutoff that the sampling rate does not allow.
    """
    time_s, values = motion.time_s, motion.values_si
    if len(time_s) < _MIN_FRAMES:
        raise InputError(f"accelerations need at least {_MIN_FRAMES} frames, the motion has {len(time_s)}")
    knots_s = time_s
    if cutoff_hz is not None:
        step_s = (time_s[-1] - time_s[0]) / (len(time_s) - 1)
        knots_s = np.linspace(time_s[0], time_s[-1], len(time_s))
        if np.max(np.abs(time_s - knots_s)) > _EVEN_TOLERANCE * step_s:
            values = natural_spline(time_s, values, knots_s)[0]
        count = len(values) // 2
        values = opensim_lowpass(point_reflected(values, count), rate_hz=1 / step_s, cutoff_hz=cutoff_hz)
        knots_s = time_s[0] + step_s * np.arange(-count, len(time_s) + count)
    q, u, a = natural_spline(knots_s, values, time_s)
    return Trajectory(time_s=time_s, coordinates=motion.coordinates, q_si=q, u_si=u, a_si=a)


def point_reflected(values: FloatArray, count: int) -> FloatArray:
    """Continue columns by ``count`` samples at both ends, each end reflected in its last sample.

    Value and slope stay continuous for the filter and the spline.

    Args:
        values: (T, N), T > count.
        count: samples to add at each end.

    Returns:
        (T + 2 count, N).
    """
    before = 2 * values[0] - values[count:0:-1]
    after = 2 * values[-1] - values[-2 : -count - 2 : -1]
    return np.concatenate((before, values, after))


def opensim_lowpass(values: FloatArray, *, rate_hz: float, cutoff_hz: float) -> FloatArray:
    """Smooth each column exactly as OpenSim's tools do with ``lowpass_cutoff_frequency``.

    A 3rd-order Butterworth filter runs forwards and backwards with the cutoff as given: the gain of both passes
    together is 1/2 at ``cutoff_hz`` and 1/sqrt(2) at 0.86 of it. The same cutoff gives the same moments here and in
    OpenSim's Inverse Dynamics Tool. The caller continues the ends, see :func:`point_reflected`.

    Args:
        values: (T, N), any unit, evenly sampled, no NaN.
        rate_hz: samples per second.
        cutoff_hz: in (0, rate_hz / 2).

    Returns:
        (T, N) in the unit of ``values``.

    Raises:
        InputError: ``cutoff_hz`` is out of its range.

    Source:
        Impulse response of ``Storage.lowpassIIR`` in OpenSim 4.6, measured (equal to 5e-9).
    """
    from scipy.signal import butter, sosfiltfilt

    if not 0 < cutoff_hz < rate_hz / 2:
        raise InputError(
            f"cutoff_hz must be between 0 and {rate_hz / 2:g} (half of the motion's rate), got {cutoff_hz:g}. "
            "Use None for a motion that is smooth already"
        )
    sections = butter(_FILTER_ORDER, cutoff_hz, fs=rate_hz, output="sos")
    return np.asarray(sosfiltfilt(sections, values, axis=0, padtype=None))


def natural_spline(time_s: FloatArray, values: FloatArray, at_s: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Evaluate the natural quintic spline through the samples, and its first and second derivative.

    Third and fourth derivative are zero at both ends, as in the splines of OpenSim's tools: equal samples give equal
    derivatives in both.

    Args:
        time_s: (T,) strictly increasing, T >= 6.
        values: (T, N) samples.
        at_s: (S,) times of the result, within ``time_s``.

    Returns:
        Value, derivative per s and per s^2, each (S, N).

    Source:
        H. J. Woltring, Advances in Engineering Software 8, 1986, 104-113 (natural splines of degree 2m - 1).
    """
    from scipy.interpolate import make_interp_spline

    zero = np.zeros(values.shape[1:])
    ends = [(3, zero), (4, zero)]
    spline = make_interp_spline(time_s, values, k=5, bc_type=(ends, ends))
    return np.asarray(spline(at_s)), np.asarray(spline(at_s, 1)), np.asarray(spline(at_s, 2))

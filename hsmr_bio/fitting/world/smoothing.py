"""Frames to fit, and the fitted motion at a constant rate without jitter; long gaps stay gaps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import EstimationError, InputError
from ...filtering import interpolate, lowpass, resample
from ...types import FloatArray, Observation, SkelMotion

MAX_GAP_S = 0.4
"""Longest gap that the fit bridges; in a longer one a limb can make any movement (a fast step lasts 0.4 s)."""
MIN_STRETCH_S = 0.2
"""Shorter stretches between two gaps are left out."""
_FEWEST_TO_FILTER = 10
"""Shorter stretches are not filtered; the fit is smooth already."""
_FEWEST_TO_RESAMPLE = 4
"""Shorter stretches keep their frames."""


def seen_frames(observation: Observation, max_gap_s: float = MAX_GAP_S) -> Observation:
    """Remove the frames before the first and after the last sight of the person, of long gaps and of short stretches.

    Args:
        observation: one person's.
        max_gap_s: longest gap that is kept, for the fit to bridge.

    Returns:
        The remaining frames; time jumps at a removed gap.

    Raises:
        EstimationError: no frame remains.
    """
    time_s, seen = observation.time_s, np.flatnonzero(observation.seen)
    if len(seen) == 0:
        raise EstimationError("the person is seen in no frame")
    breaks = np.flatnonzero(np.diff(time_s[seen]) > max_gap_s)
    first, last = np.append(0, breaks + 1), np.append(breaks, len(seen) - 1)
    keep = np.zeros(len(time_s), dtype=bool)
    for a, b in zip(seen[first], seen[last], strict=True):
        if time_s[b] - time_s[a] >= MIN_STRETCH_S or len(first) == 1:
            keep[a : b + 1] = True
    if not keep.any():
        raise EstimationError(
            f"the person is seen only in glimpses shorter than {MIN_STRETCH_S:g} s: there is no motion to fit"
        )
    return observation if keep.all() else observation.at(keep)


def filter_motion(motion: SkelMotion, *, cutoff_hz: float | None = 6.0, rate_hz: float | None = None) -> SkelMotion:
    """Resample a motion to a constant rate and low-pass it, each stretch between gaps by itself.

    Args:
        motion: any frame; root angles continuous in time.
        cutoff_hz: of the zero-lag Butterworth filter; None: no filter.
        rate_hz: of the result; None: one over the median interval.

    Returns:
        The motion at the new times; contacts and standard deviations are interpolated linearly.

    Raises:
        InputError: the cutoff is not below half the rate.

    Source:
        Filter: ``filtering.lowpass``.
    """
    time_s = motion.time_s
    if len(time_s) < 2:
        return motion
    rate = rate_hz or 1.0 / float(np.median(np.diff(time_s)))
    if cutoff_hz is not None and not 0 < cutoff_hz < rate / 2:
        raise InputError(f"the cutoff must be between 0 and {rate / 2:g} Hz (half of the frame rate), got {cutoff_hz:g} Hz")
    breaks = np.flatnonzero(np.diff(time_s) > MAX_GAP_S) + 1
    pieces = [_piece(motion, frames, rate, cutoff_hz) for frames in np.split(np.arange(len(time_s)), breaks)]
    new_s, q, *others = (np.concatenate(column) for column in zip(*pieces, strict=True))
    extra: dict[str, Any] = dict(zip(_extra(motion), others, strict=True))
    return replace(motion, time_s=new_s, poses_rad=q[:, :46], trans_m=q[:, 46:], **extra)


def _extra(motion: SkelMotion) -> dict[str, FloatArray]:
    """Standard deviations and contacts of a motion that has them."""
    columns = {"poses_sd_rad": motion.poses_sd_rad, "contacts": motion.contacts}
    return {name: value for name, value in columns.items() if value is not None}


def _piece(motion: SkelMotion, frames: npt.NDArray[np.intp], rate: float, cutoff_hz: float | None) -> list[FloatArray]:
    """Times, unknowns (S, 49) and the extra columns of one stretch."""
    time_s, q = motion.time_s[frames], motion.q[frames]
    new_s = time_s
    if len(time_s) >= _FEWEST_TO_RESAMPLE:
        new_s, q = resample(time_s, q, rate_hz=rate)
    if cutoff_hz is not None and len(new_s) >= _FEWEST_TO_FILTER:
        q = lowpass(q, rate_hz=rate, cutoff_hz=cutoff_hz)
    return [new_s, q, *(interpolate(new_s, time_s, value[frames]) for value in _extra(motion).values())]

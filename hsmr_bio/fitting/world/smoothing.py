"""A fitted motion at a constant rate and without jitter; frames in which nobody was seen are left out, not invented."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import EstimationError, InputError
from ...filtering import lowpass, resample
from ...types import FloatArray, Observation, SkelMotion

MAX_GAP_S = 0.4
"""The fit bridges shorter holes; in longer ones a limb can do anything (a fast step lasts 0.4 s)."""
MIN_STRETCH_S = 0.2
"""Shorter glimpses between two gaps are left out."""


def seen_frames(observation: Observation, max_gap_s: float = MAX_GAP_S) -> Observation:
    """Leave out the frames before the first and after the last sight of the person, and those of long gaps.

    Args:
        observation: one person's.
        max_gap_s: holes up to this long are kept, for the fit to bridge.

    Returns:
        The observation without the frames that show nothing; time jumps where a gap was.

    Raises:
        EstimationError: nothing is left.
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
    if keep.all():
        return observation
    return observation.at(keep)


def filter_motion(motion: SkelMotion, *, cutoff_hz: float | None = 6.0, rate_hz: float | None = None) -> SkelMotion:
    """Bring a motion to a constant rate and low-pass it; stretches between gaps are treated one by one.

    Args:
        motion: any frame; root angles continuous in time.
        cutoff_hz: of the zero-lag Butterworth filter; None: no filter.
        rate_hz: of the result; None: one over the median step.

    Raises:
        InputError: a cutoff that is not below half the rate.
    """
    time_s = np.asarray(motion.time_s)
    if len(time_s) < 2:
        return motion
    rate = rate_hz or 1.0 / float(np.median(np.diff(time_s)))
    if cutoff_hz is not None and not 0 < cutoff_hz < rate / 2:
        raise InputError(f"the cutoff must be between 0 and {rate / 2:g} Hz (half of the frame rate), got {cutoff_hz:g} Hz")
    breaks = np.flatnonzero(np.diff(time_s) > MAX_GAP_S) + 1
    pieces = [_piece(motion, frames, rate, cutoff_hz) for frames in np.split(np.arange(len(time_s)), breaks)]
    joined: dict[str, Any] = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
    times = joined.pop("time_s")
    return replace(motion, time_s=times, **joined)


def _piece(motion: SkelMotion, frames: npt.NDArray[np.intp], rate: float, cutoff_hz: float | None) -> dict[str, FloatArray]:
    """One stretch without gaps."""
    time_s = np.asarray(motion.time_s)[frames]
    columns = {"poses_rad": motion.poses_rad[frames], "trans_m": motion.trans_m[frames]}
    extra = {name: value[frames] for name in ("poses_sd_rad", "contacts") if (value := getattr(motion, name)) is not None}
    if len(time_s) < 2:
        return {"time_s": time_s, **columns, **extra}
    values = np.concatenate(list(columns.values()), axis=1)
    if len(time_s) > 3:
        new_s, values = resample(time_s, values, rate_hz=rate)
    else:
        new_s = time_s
    if cutoff_hz is not None and len(new_s) > _SHORTEST:
        values = lowpass(values, rate_hz=rate, cutoff_hz=cutoff_hz)
    placed = {name: np.stack([np.interp(new_s, time_s, c) for c in value.T], axis=1) for name, value in extra.items()}
    return {"time_s": new_s, "poses_rad": values[:, :46], "trans_m": values[:, 46:], **placed}


_SHORTEST = 9
"""Frames that the filter needs; shorter stretches stay as the fit left them (it smooths too)."""

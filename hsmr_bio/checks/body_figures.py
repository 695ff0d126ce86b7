"""Figures about the placed model: sides, feet, floor, vertical, bones."""

from __future__ import annotations

import numpy as np

from ..types import OsimMotion, SkelMotion
from . import measures
from .check_row import Figure, Skip
from .given import Given

_SIDED_BODIES = ("tibia", "calcn")
_NAMED_FRAMES = 5
_SLIDING_FRAMES = 3
_SAME_TIME_S = 1e-4
"""Times closer than this are the same frame; a ``.mot`` file has at least four decimals."""


def flips(given: Given) -> Figure:
    """Count the frames in which the legs change sides."""
    placed = given.model()
    points = {side: [placed.body(f"{name}_{side}") for name in _SIDED_BODIES] for side in "rl"}
    right, left = ([p for p in points[side] if p is not None] for side in "rl")
    if len(right) != len(_SIDED_BODIES) or len(left) != len(_SIDED_BODIES):
        raise Skip("the model has no tibia_r, calcn_r, tibia_l, calcn_l")
    frames = measures.left_right_flips(np.stack(right, axis=1), np.stack(left, axis=1))
    return float(len(frames)), "at frames " + ", ".join(str(frame) for frame in frames[:_NAMED_FRAMES]) if frames else "none"


def sliding(given: Given) -> Figure:
    """Measure the mean horizontal speed of standing feet, m/s."""
    feet = measures.foot_points(given.model())
    if feet is None or given.motion is None or len(feet) < _SLIDING_FRAMES:
        raise Skip("needs calcn and toes bodies of both sides, and three frames")
    contacts = given.skel.contacts if given.skel is not None and _same_time(given.skel, given.motion) else None
    speed = measures.foot_sliding_m_s(given.motion.time_s, feet, contacts)
    if speed is None:
        raise Skip("no foot stands")
    return speed, "mean speed of standing feet" + ("" if contacts is None else " (contacts from the fit)")


def penetration(given: Given) -> Figure:
    """Measure how far a foot is under the floor (y = 0), m."""
    lowest = measures.lowest_foot_m(given.model())
    if lowest is None or given.motion is None:
        raise Skip("the model has neither markers nor joints on its feet")
    return max(0.0, -lowest[0]), f"lowest point of a foot at y = {lowest[0]:.3f} m, {given.motion.time_s[lowest[1]]:.3f} s"


def tilt(given: Given) -> Figure:
    """Measure the angle between the motion's vertical and y, deg."""
    found = measures.vertical_tilt_rad(given.model())
    if found is None:
        raise Skip("nobody walks half a metre or stands with straight legs")
    return float(np.rad2deg(found[0])), found[1]


def bones(given: Given) -> Figure:
    """Measure the largest change of a segment's length in time, or difference between the sides, %."""
    lengths = measures.bone_lengths_m(given.model())
    if not lengths:
        raise Skip("the model has none of the usual limb bodies")
    figures = {f"{name} varies": float(np.ptp(length) / length.mean()) * 100 for name, length in lengths.items()}
    for name, length in lengths.items():
        other = lengths.get(name.replace("right", "left"))
        if name.startswith("right") and other is not None:
            asymmetry = abs(length.mean() - other.mean()) / (length.mean() + other.mean()) * 200
            figures[f"{name.removeprefix('right ')} differs left to right"] = float(asymmetry)
    worst = max(figures, key=lambda name: figures[name])
    return figures[worst], f"largest: {worst}"


def _same_time(skel: SkelMotion, motion: OsimMotion) -> bool:
    return len(skel.time_s) == len(motion.time_s) and bool(np.allclose(skel.time_s, motion.time_s, atol=_SAME_TIME_S))

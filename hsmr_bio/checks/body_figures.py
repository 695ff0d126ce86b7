"""Figures of the placed model: sides, feet, floor, vertical, bones."""

from __future__ import annotations

import numpy as np

from ..types import FloatArray
from . import measures
from .check_row import Figure, Skip
from .given import Given

_LISTED_FRAMES = 5
"""Most frames that the detail of a check lists."""
_SLIDING_FRAMES = 3
"""Least number of frames for a speed by central differences."""


def flips(given: Given) -> Figure:
    """Count the frames in which the legs change sides."""
    right, left = (given.placed.origins(f"tibia_{side}", f"calcn_{side}") for side in "rl")
    if right is None or left is None:
        raise Skip("the model has no tibia_r, calcn_r, tibia_l, calcn_l")
    frames = measures.left_right_flips(right, left)
    return float(len(frames)), "at frames " + ", ".join(map(str, frames[:_LISTED_FRAMES])) if frames else "none"


def sliding(given: Given) -> Figure:
    """Measure the mean horizontal speed of standing feet, m/s."""
    time_s, feet = given.placed.time_s, measures.foot_points(given.placed)
    if feet is None or len(feet) < _SLIDING_FRAMES:
        raise Skip("needs calcn and toes bodies of both sides, and three frames")
    contacts = given.skel.contacts if given.skel is not None and _same_time(given.skel.time_s, time_s) else None
    speed_m_s = measures.foot_sliding_m_s(time_s, feet, contacts)
    if speed_m_s is None:
        raise Skip("no foot stands")
    return speed_m_s, "mean speed of standing feet" + ("" if contacts is None else " (contacts from the fit)")


def penetration(given: Given) -> Figure:
    """Measure the depth of the lowest foot point below the floor (y = 0), m."""
    lowest = measures.lowest_foot_m(given.placed)
    if lowest is None:
        raise Skip("the model has neither markers nor joints on its feet")
    height_m, frame = lowest
    return max(0.0, -height_m), f"lowest point of a foot at y = {height_m:.3f} m, {given.placed.time_s[frame]:.3f} s"


def tilt(given: Given) -> Figure:
    """Measure the slope of the ground under the feet of a walker, deg."""
    if given.skel is not None and given.skel.ground is not None and not given.skel.ground.floor:
        raise Skip("no foot stands")
    found = measures.ground_slope_rad(given.placed)
    if found is None:
        raise Skip("nobody walks half a metre")
    return float(np.rad2deg(found[0])), found[1]


def standing_lean(given: Given) -> Figure:
    """Measure the mean lean of a body that stands with straight legs, deg."""
    found = measures.upright_lean_rad(given.placed)
    if found is None:
        raise Skip("nobody stands with straight legs")
    return float(np.rad2deg(found[0])), found[1]


def bones(given: Given) -> Figure:
    """Measure the largest variation of a segment's length in time, or difference between the sides, %."""
    lengths = measures.bone_lengths_m(given.placed)
    if not lengths:
        raise Skip("the model has none of the usual limb bodies")
    figures = {f"{name} varies": float(np.ptp(length) / length.mean()) * 100 for name, length in lengths.items()}
    for name, length in lengths.items():
        left = lengths.get(name.replace("right", "left"))
        if name.startswith("right") and left is not None:
            asymmetry = abs(length.mean() - left.mean()) / (length.mean() + left.mean()) * 200
            figures[f"{name.removeprefix('right ')} differs left to right"] = float(asymmetry)
    worst = max(figures, key=figures.__getitem__)
    return figures[worst], f"largest: {worst}"


def _same_time(time_s: FloatArray, reference_s: FloatArray) -> bool:
    return len(time_s) == len(reference_s) and bool(np.allclose(time_s, reference_s, atol=measures.SAME_TIME_S))

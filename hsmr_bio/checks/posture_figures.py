"""Figures of the body against gravity and the ground, and of its sides: what no person does, whatever the movement."""

from __future__ import annotations

import numpy as np

from ..filtering import runs
from ..osim.build import GRAVITY_M_S2
from . import measures
from .check_row import Figure, Skip
from .given import Given

_TOUCH_PERCENTILE = 5.0
"""Percentile of the height of the lowest point: somebody who jumps all the time touches the floor for longer (chosen)."""
_WINDOW_S = 1.0
"""Time over which a body is balanced: a whole step."""
_CARRIED_SHARE, _TOUCHING_SHARE = 0.9, 0.5
"""Least shares of a window in which the body is on its feet and a foot is near the floor (chosen)."""
_LEAN_PERCENTILE = 90.0
"""A lean of a moment is a movement; this percentile of the frames is a posture (chosen)."""
_LEAST_UPRIGHT = 3
"""Least number of frames on the feet (chosen)."""
_CROSSED_M = 0.12
"""Ankles on the wrong sides of each other by more than this are crossed: those of legs that touch are 0.1 m apart (chosen)."""
_AIR_M, _AIR_S = 0.1, 0.25
"""Nothing nearer to the floor for at least this time: a flight (chosen)."""
_CARRIED_G = 0.05
"""A body above the floor whose mean acceleration is less stands or hangs on something (chosen)."""
_LYING_RAD = np.deg2rad(60)
"""Limit between lying and standing, for the words of the detail."""


def floating(given: Given) -> Figure:
    """Measure the height above the floor (y = 0) of the lowest point of the body when it is lowest, m."""
    stance = given.stance
    height = float(np.percentile(stance.lowest_m, _TOUCH_PERCENTILE))
    frame = int(np.argmin(stance.lowest_m))
    return max(0.0, height), f"lowest point of the body at y = {stance.lowest_m[frame]:.3f} m, {stance.time_s[frame]:.3f} s"


def falling(given: Given) -> Figure:
    """Measure the largest downward acceleration of the centre of mass, g."""
    down = given.stance.falling_m_s2() / GRAVITY_M_S2
    if not np.isfinite(down).any():
        raise Skip("needs five frames without a gap")
    frame = int(np.nanargmax(down))
    return max(0.0, float(down[frame])), f"at {given.stance.time_s[frame]:.3f} s; feet cannot pull a body down"


def flight(given: Given) -> Figure:
    """Measure how far the acceleration of a body that touches nothing is from gravity, g."""
    stance = given.stance
    down = stance.falling_m_s2() / GRAVITY_M_S2
    worst, detail = 0.0, "never far above the floor for long"
    for first, last in runs(stance.lowest_m > _AIR_M):
        lasts_s = float(stance.time_s[last] - stance.time_s[first])
        inside = down[first : last + 1]
        if lasts_s < _AIR_S or not np.isfinite(inside).any():
            continue
        fall = float(np.nanmean(inside))
        if abs(fall) > _CARRIED_G and abs(1 - fall) >= worst:
            worst, span = abs(1 - fall), f"{stance.time_s[first]:.2f} to {stance.time_s[last]:.2f} s"
            detail = f"{span} above the floor, falling with {fall:.2f} g: on something, floating, or in slow motion"
    return worst, detail


def balance(given: Given) -> Figure:
    """Measure the angle by which the body leans away from where its feet can carry it, in the worst second, deg."""
    stance = given.stance
    time_s, centre, feet = stance.time_s, stance.centre_m, stance.feet_m
    if len(time_s) < _LEAST_UPRIGHT:
        raise Skip("needs three frames")
    low = measures.near_floor(feet)
    height = centre[:, 1] - float(np.percentile(feet[..., 1], _TOUCH_PERCENTILE))
    speed = np.gradient(centre, time_s, axis=0)
    count = max(_LEAST_UPRIGHT, round(_WINDOW_S / float(np.median(np.diff(time_s)))))
    gap, worst = measures.gaps(time_s), None
    for first in range(0, max(1, len(time_s) - count + 1), max(1, count // 4)):
        last = min(first + count, len(time_s)) - 1
        touching = low[first : last + 1].any(axis=1)
        carried = stance.on_feet[first : last + 1].mean() >= _CARRIED_SHARE and touching.mean() >= _TOUCHING_SHARE
        if not carried or gap[first:last].any():
            continue
        frames = np.arange(first, last + 1)[touching]
        weight = low[frames] / low[frames].sum(axis=1, keepdims=True)
        over = centre[frames] - np.einsum("tp,tpx->tx", weight, feet[frames])
        needed = height[frames].mean() / GRAVITY_M_S2 * (speed[last] - speed[first]) / (time_s[last] - time_s[first])
        off_m = float(np.linalg.norm((over.mean(axis=0) - needed)[[0, 2]]))
        angle = float(np.rad2deg(np.arctan2(off_m, height[frames].mean())))
        if worst is None or angle > worst[0]:
            worst = angle, f"{time_s[first]:.2f} to {time_s[last]:.2f} s: {off_m:.2f} m from the feet, after its acceleration"
    if worst is None:
        raise Skip("nobody is on their feet for a second")
    return worst


def lean(given: Given) -> Figure:
    """Measure the backward or sideways lean of the trunk of a body on its feet, deg."""
    stance = given.stance
    sidewards = np.cross(stance.forwards, [0.0, 1.0, 0.0])
    upright = stance.on_feet & np.isfinite(stance.forwards).all(axis=1)
    if upright.sum() < _LEAST_UPRIGHT:
        raise Skip("nobody is on their feet")
    along = [np.sum(stance.trunk * axis, axis=1)[upright] for axis in (stance.forwards, sidewards)]
    up = stance.trunk[upright, 1]
    leans = {"backwards": np.arctan2(-along[0], up), "to the right": np.arcsin(np.clip(along[1], -1, 1))}
    leans["to the left"] = -leans["to the right"]
    figures = {way: float(np.rad2deg(np.percentile(angle, _LEAN_PERCENTILE))) for way, angle in leans.items()}
    worst = max(figures, key=lambda way: figures[way])
    return max(0.0, figures[worst]), f"{worst}, in a tenth of {int(upright.sum())} frames on the feet"


def body_axis(given: Given) -> Figure:
    """Measure the median angle between the line from the ankles to the top of the body and the vertical, deg."""
    stance = given.stance
    line = stance.top_m - stance.ankles_m.mean(axis=1)
    angle = np.arccos(np.clip(line[:, 1] / np.linalg.norm(line, axis=1), -1, 1))
    middle = float(np.median(angle))
    if middle > _LYING_RAD:
        return float(np.rad2deg(middle)), "the body lies, or another axis than y points up (z?)"
    return float(np.rad2deg(middle)), "angle of the line from the ankles to the top of the body to y"


def turning(given: Given) -> Figure:
    """Measure the fastest turn of hips or shoulders about the vertical, deg/s."""
    stance = given.stance
    if len(stance.time_s) < _LEAST_UPRIGHT:
        raise Skip("needs three frames")
    rate, what = stance.turning_rad_s()
    frame = int(np.argmax(rate))
    return float(np.rad2deg(rate[frame])), f"the {what}, at {stance.time_s[frame]:.3f} s"


def crossed(given: Given) -> Figure:
    """Measure the share of the time in which each ankle is on the other's side, or the shoulders face away from the hips."""
    stance = given.stance
    apart = np.sum((stance.ankles_m[:, 0] - stance.ankles_m[:, 1]) * stance.rightwards, axis=1)
    shares = {"the ankles are on each other's sides": float((apart < -_CROSSED_M).mean())}
    shoulders = stance.placed.origins("humerus_r", "humerus_l")
    if shoulders is not None:
        against = np.sum((shoulders[:, 0] - shoulders[:, 1]) * stance.rightwards, axis=1) < 0
        shares["the shoulders face away from the hips"] = float(against.mean())
    worst = max(shares, key=lambda what: shares[what])
    return shares[worst], worst


def backwards(given: Given) -> Figure:
    """Measure the mean backward speed of a walker over the feet that stand, m/s."""
    if given.observation is not None:
        raise Skip("the picture shows the way in which the person faces")
    stance = given.stance
    time_s = stance.time_s
    if len(time_s) < _LEAST_UPRIGHT:
        raise Skip("needs three frames")
    low = measures.near_floor(stance.feet_m)
    weight = low / np.maximum(low.sum(axis=1, keepdims=True), 1)
    feet = np.einsum("tp,tpx->tx", weight, np.gradient(stance.feet_m, time_s, axis=0))
    ahead = np.sum((np.gradient(stance.middle_m, time_s, axis=0) - feet) * stance.forwards, axis=1)
    used = low.any(axis=1) & stance.on_feet & np.isfinite(ahead)
    if used.sum() < _LEAST_UPRIGHT:
        raise Skip("nobody is on their feet")
    speed = float(ahead[used].mean())
    way = "backwards: front and back are exchanged unless the person did so" if speed < 0 else "forwards"
    return max(0.0, -speed), f"{abs(speed):.2f} m/s {way}"

"""Squats: start, bottom and end of each, and what is measured of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..arrays import FloatArray
from .events import EXACT, Event, Jitter, crossings, method_event, parabola_extremum
from .hips import dips, hip_height_m
from .movement import SIDES, Movement, between
from .values import DEG, Examined, Span, Values, add_extremes, angle_at_deg, feet_forward, trunk_lean_rad

_STILL_M_S = 0.05
"""Speed of the hips' height that a squat begins and ends with."""
_UNDER_WAY = 0.10
"""The speed counts from the part of the descent in which a tenth of the depth is reached."""


def squat_events(movement: Movement) -> list[Event]:
    """Find start, bottom and end of each squat.

    Args:
        movement: constant rate, no gap.

    Returns:
        Events in order; a squat that the clip cuts has no start or no end.
    """
    height, time_s = hip_height_m(movement), movement.time_s
    rows = dips(movement)
    found = []
    for k, row in enumerate(rows):
        before = rows[k - 1] if k else 0
        after = rows[k + 1] if k + 1 < len(rows) else len(height) - 1
        start = _leaves(time_s[before : row + 1], height[before : row + 1])
        end = _leaves(-time_s[row : after + 1][::-1], height[row : after + 1][::-1])
        bottom = parabola_extremum(time_s, height, row)
        times = {"squat start": start, "squat bottom": bottom, "squat end": None if end is None else -end}
        found += [method_event(name, "", time, movement.rate_hz) for name, time in times.items() if time is not None]
    return found


def _leaves(time_s: FloatArray, height_m: FloatArray) -> float | None:
    """Time at which the hips leave their height for the bottom, which is the last row; None if they moved from the start."""
    if len(height_m) < 3:
        return None
    speed = np.gradient(height_m, time_s)
    top = int(np.argmax(height_m))
    depth = height_m[top] - height_m[-1]
    under_way = crossings(time_s, height_m, height_m[top] - _UNDER_WAY * depth, rising=False)
    if not len(under_way):
        return None
    times = crossings(time_s, speed, -_STILL_M_S, rising=False)
    earlier = times[times <= under_way[-1]]
    return float(earlier[-1]) if len(earlier) else None


def examine_squat(movement: Movement, jitter: Jitter = EXACT) -> Examined:
    """Find squats and measure them.

    Args:
        movement: constant rate, no gap.
        jitter: moves the events.

    Returns:
        Events, values of each squat, and the spans of those that have start and end.
    """
    events = [replace(event, time_s=jitter(event.name, event.time_s)) for event in squat_events(movement)]
    values, spans = Values(), []
    bottoms = [event.time_s for event in events if event.name == "squat bottom"]
    values.add("squats", "", float(len(bottoms)))
    for bottom in bottoms:
        start = _nearest(events, "squat start", bottom, before=True)
        end = _nearest(events, "squat end", bottom, before=False)
        _measure(values, movement, start, bottom, end)
        if start is not None and end is not None:
            spans.append(Span(kind="squat", side="", start_s=start, end_s=end))
            add_extremes(values, movement, start, end, ["r", "l", ""])
    return Examined(events=tuple(events), values=values.found, spans=tuple(spans))


def _nearest(events: list[Event], name: str, bottom_s: float, *, before: bool) -> float | None:
    """Start or end of the squat with this bottom: no other bottom lies between."""
    sign = -1.0 if before else 1.0
    own = [e for e in events if e.name in (name, "squat bottom") and sign * (e.time_s - bottom_s) > 0]
    nearest = min(own, key=lambda e: abs(e.time_s - bottom_s), default=None)
    return nearest.time_s if nearest is not None and nearest.name == name else None


def _measure(values: Values, movement: Movement, start: float | None, bottom: float, end: float | None) -> None:
    """Measure one squat."""
    time_s, height = movement.time_s, movement.middle_hip_m[:, 1]
    low = float(np.interp(bottom, time_s, height))
    if start is not None:
        drop = float(np.interp(start, time_s, height)) - low
        values.add("hip_drop", "", drop)
        values.add("hip_drop_of_leg", "", 100.0 * drop / movement.leg_m)
        values.add("down_time", "", bottom - start)
    if end is not None:
        rows = between(time_s, bottom, end)
        values.add("up_time", "", end - bottom)
        values.add("peak_up_speed", "", float(np.gradient(hip_height_m(movement), time_s)[rows].max()))
    forward = np.broadcast_to(feet_forward(movement), (len(time_s), 3))
    lean = trunk_lean_rad(movement, forward)
    if lean is not None:
        values.add("trunk_lean_at_bottom", "", float(np.interp(bottom, time_s, lean[0])) * DEG)
        values.add("trunk_side_lean_at_bottom", "", float(np.interp(bottom, time_s, lean[1])) * DEG)
    for side in SIDES:
        for angle in ("knee_flexion", "hip_flexion", "ankle_dorsiflexion"):
            values.add(f"{angle}_at_bottom", side, angle_at_deg(movement, f"{angle}_{side}", bottom))
        _measure_leg(values, movement, side, start, bottom)
    _measure_frontal(values, movement, bottom)


def _measure_leg(values: Values, movement: Movement, side: str, start: float | None, bottom: float) -> None:
    """Thigh against the horizontal, heel lift and place of the knee at the bottom."""
    hip, knee, ankle = (movement.at(f"{name}_{side}", bottom) for name in ("hip", "knee", "ankle"))
    thigh = hip - knee
    values.add("thigh_angle_at_bottom", side, float(np.arctan2(thigh[1], np.hypot(thigh[0], thigh[2]))) * DEG)
    if start is not None:
        heel = f"heel_{side}"
        values.add("heel_lift", side, float(movement.at(heel, bottom)[1] - movement.at(heel, start)[1]))
    across = movement.at("hip_r", bottom) - movement.at("hip_l", bottom)
    across[1] = 0.0
    inward = across / max(float(np.linalg.norm(across)), 1e-9) * (-1.0 if side == "r" else 1.0)
    share = (hip[1] - knee[1]) / (hip[1] - ankle[1]) if hip[1] > ankle[1] else 0.5
    on_line = hip + share * (ankle - hip)
    values.add("knee_medial_distance", side, 100.0 * float((knee - on_line) @ inward))


def _measure_frontal(values: Values, movement: Movement, bottom: float) -> None:
    """Separation of the knees over that of the ankles, and the side shift of the pelvis over the feet."""
    place = {name: movement.at(name, bottom) for name in ("knee_r", "knee_l", "ankle_r", "ankle_l", "hip_r", "hip_l")}
    stance = place["ankle_r"] - place["ankle_l"]
    width = float(np.hypot(stance[0], stance[2]))
    if width < 0.05:  # feet together: nothing to divide by
        return
    knees = place["knee_r"] - place["knee_l"]
    values.add("knee_ankle_separation", "", float(np.hypot(knees[0], knees[2])) / width)
    middle = (place["hip_r"] + place["hip_l"] - place["ankle_r"] - place["ankle_l"]) / 2
    values.add("pelvis_shift", "", 100.0 * float(middle[0] * stance[0] + middle[2] * stance[2]) / width**2)

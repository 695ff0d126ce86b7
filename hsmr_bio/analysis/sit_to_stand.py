"""Sit to stand: seat-off, end of the rise, lowering, seat contact, and what is measured of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..arrays import BoolArray, FloatArray
from .events import EXACT, Jitter, crossings, method_event
from .hips import Move, hip_height_m, moves
from .movement import SIDES, Movement, between
from .values import DEG, Examined, Span, Values, add_extremes, feet_forward, trunk_lean_rad

_MOVING_M_S = 0.1
"""Speed of the hips' height at seat-off, end of rise, start of lowering and seat contact."""
_SEAT_LEFT_M = 0.02
"""Seat-off is earlier if the hips have left their seated height by so much."""
_WHOLE = 0.5
"""A rise counts if it has more than this share of the largest one (30-s chair stand: more than half up counts)."""
_HAND_M = 0.10
"""A hand nearer to the thigh than this may push (chosen)."""
_ELBOW_EXTENDS_RAD = np.deg2rad(20)
"""Least extension of the elbow during a rise with the arms' help (chosen)."""
_BEFORE_S = 1.5
"""Time before seat-off in which the trunk flexes: the flexion phase lasts 0.3 to 1 s (Schenkman 1990)."""


@dataclass(frozen=True)
class _Rise:
    """One rise or lowering: ``start_s`` and ``end_s`` are where the hips' speed crosses 0.1 m/s (seat-off may be earlier)."""

    move: Move
    start_s: float
    end_s: float


def examine_sit_to_stand(movement: Movement, jitter: Jitter = EXACT) -> Examined:
    """Find rises from a seat and the ways back, and measure them.

    Args:
        movement: constant rate, no gap.
        jitter: moves the events.

    Returns:
        Events, values of each rise and lowering, and their spans.
    """
    found = moves(movement)
    largest = max((move.height_m for move in found), default=0.0)
    rises = [_timed(movement, move, jitter) for move in found if move.height_m > _WHOLE * largest]
    failed = [move for move in found if 0 < move.height_m <= _WHOLE * largest]
    lowered = [_timed(movement, move, jitter) for move in found if move.height_m < -_WHOLE * largest]
    names = (("seat-off", "end of rise", rises), ("start of lowering", "seat contact", lowered))
    events = [
        method_event(name, "", time, movement.rate_hz)
        for first, second, moved in names
        for one in moved
        for name, time in ((first, one.start_s), (second, one.end_s))
    ]
    values = Values()
    values.add("rises", "", float(len(rises)))
    values.add("failed_rises", "", float(len(failed)))
    for rise in rises:
        _measure(values, movement, rise)
    for one in lowered:
        values.add("lower_time", "", one.end_s - one.start_s)
    _five_times(values, rises, lowered)
    spans = [
        Span(kind=kind, side="", start_s=one.start_s, end_s=one.end_s)
        for kind, moved in (("rise", rises), ("lowering", lowered))
        for one in moved
    ]
    return Examined(events=tuple(sorted(events, key=lambda e: e.time_s)), values=values.found, spans=tuple(spans))


def _timed(movement: Movement, move: Move, jitter: Jitter) -> _Rise:
    """Interpolate the ends of a move."""
    height, time_s = hip_height_m(movement), movement.time_s
    sign = 1.0 if move.height_m > 0 else -1.0
    speed = sign * np.gradient(height, time_s)
    start = _last(crossings(time_s, speed, _MOVING_M_S, rising=True), time_s[move.first])
    ends = crossings(time_s, speed, _MOVING_M_S, rising=False)
    later = ends[ends >= time_s[move.last] - 1e-9]
    end = float(later[0]) if len(later) else float(time_s[move.last])
    if sign > 0:
        seat = float(np.median(height[between(time_s, start - 0.5, start)]))
        left = crossings(time_s, height, seat + _SEAT_LEFT_M, rising=True)
        near = left[(left > start - 0.5) & (left < end)]
        start = min(start, float(near[0])) if len(near) else start
    first, last = ("seat-off", "end of rise") if sign > 0 else ("start of lowering", "seat contact")
    return _Rise(move, jitter(first, start), jitter(last, end))


def _last(times: FloatArray, before_s: float) -> float:
    earlier = times[times <= before_s + 1e-9]
    return float(earlier[-1]) if len(earlier) else float(before_s)


def _measure(values: Values, movement: Movement, rise: _Rise) -> None:
    """Measure one rise."""
    time_s = movement.time_s
    during = between(time_s, rise.start_s, rise.end_s)
    values.add("rise_time", "", rise.end_s - rise.start_s)
    values.add("rise_height", "", rise.move.height_m)
    values.add("peak_up_speed", "", float(np.gradient(hip_height_m(movement), time_s)[during].max()))
    forward = feet_forward(movement)
    lean = trunk_lean_rad(movement, np.broadcast_to(forward, (len(time_s), 3)))
    if lean is not None:
        around = between(time_s, rise.start_s - _BEFORE_S, rise.end_s)
        values.add("trunk_lean_peak", "", float(lean[0][around].max()) * DEG)
        values.add("trunk_lean_at_seat_off", "", float(np.interp(rise.start_s, time_s, lean[0])) * DEG)
    for side in SIDES:
        knee, ankle = movement.at(f"knee_{side}", rise.start_s), movement.at(f"ankle_{side}", rise.start_s)
        values.add("ankle_behind_knee", side, float((knee - ankle) @ forward))
    values.add("arms_used", "", float(any(_arm_pushes(movement, side, during) for side in SIDES)))
    add_extremes(values, movement, rise.start_s, rise.end_s, ["r", "l", ""])


def _arm_pushes(movement: Movement, side: str, during: BoolArray) -> bool:
    """Whether a hand lies at the thigh and its elbow extends while rising."""
    wrist, elbow = movement.points_m.get(f"wrist_{side}"), movement.angles_rad.get(f"elbow_flexion_{side}")
    if wrist is None or elbow is None:
        return False
    hip, knee = movement.points_m[f"hip_{side}"][during], movement.points_m[f"knee_{side}"][during]
    line = knee - hip
    share = np.clip(np.sum((wrist[during] - hip) * line, axis=1) / np.maximum(np.sum(line**2, axis=1), 1e-9), 0, 1)
    distance = np.linalg.norm(wrist[during] - hip - share[:, None] * line, axis=1)
    return bool(distance[0] < _HAND_M and elbow[during][0] - elbow[during][-1] > _ELBOW_EXTENDS_RAD)


def _five_times(values: Values, rises: Sequence[_Rise], lowered: Sequence[_Rise]) -> None:
    """Time of five stands, to the fifth stand and to the fifth seat contact; both are in use (Bohannon 2012)."""
    if len(rises) < 5:
        return
    values.add("five_stands_to_stand", "", rises[4].end_s - rises[0].start_s)
    after = [one.end_s for one in lowered if one.start_s >= rises[4].end_s - 1e-6]
    if after:
        values.add("five_stands_to_seat", "", after[0] - rises[0].start_s)

"""Walking: strides, steps, and what is measured of them.

Definitions follow Huxham et al. 2006 for steps and width; each parameter's own is in ``definitions``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from ..arrays import FloatArray
from .events import Event
from .movement import OTHER, SIDES, Movement, between
from .travel import Travel, resting_height_m
from .values import DEG, Examined, Span, Values, add_extremes, angle_at_deg, trunk_lean_rad

_STRIDE_S = (0.6, 2.5)
"""Strides outside are marked: walking has 0.9 to 1.7 s at 1.6 to 0.5 m/s (Fukuchi 2018), running 0.6 to 0.8 s."""
_FLAT_SHARE = (0.2, 0.6)
"""Part of the stance in which the foot is flat."""
_STANCE_SHARE = 0.62
"""Stance over stride, where one end of a stance lies outside the clip (Perry and Burnfield 2010)."""
_USUAL_STANCE_S = 0.65
"""Stance of a clip that shows no stride: at the comfortable speed of adults (Fukuchi 2018: strides of 1.05 s)."""
_STEADY = 0.2
"""Strides whose speed differs by more than this share from the median are marked as not steady."""
_LOADING, _MID_STANCE = (0.0, 0.30), (0.05, 0.62)
"""Parts of the stride for the first peak of knee flexion and the stance peak of dorsiflexion."""


@dataclass(frozen=True)
class _Stance:
    """One contact of a foot with the floor; None: before or after the clip, or not seen while flat."""

    side: str
    contact_s: float | None
    off_s: float | None
    place_m: FloatArray | None
    """(3,) mean of the heel while the foot is flat."""

    @property
    def start_s(self) -> float:
        """Time of contact; minus infinity if it was before the clip."""
        return -np.inf if self.contact_s is None else self.contact_s


@dataclass(frozen=True)
class _Stride:
    """From one stance of a foot to its next, measured from contact to contact, else from off to off."""

    side: str
    first: _Stance
    second: _Stance
    start_s: float
    end_s: float
    by_contacts: bool
    note: str

    @property
    def duration_s(self) -> float:
        """Time of the stride."""
        return self.end_s - self.start_s

    @property
    def step_m(self) -> FloatArray | None:
        """(3,) horizontal way from one place of the foot to the next."""
        if self.first.place_m is None or self.second.place_m is None:
            return None
        return np.asarray((self.second.place_m - self.first.place_m) * [1.0, 0.0, 1.0])


def examine_gait(travel: Travel, events: Sequence[Event]) -> Examined:
    """Cut strides and measure them.

    Args:
        travel: over ground.
        events: contacts and offs, in order.

    Returns:
        Values of each stride and step, and the strides from contact to contact. Marked strides are not measured.
    """
    movement = travel.movement
    stances = {side: _stances(movement, events, side) for side in SIDES}
    strides = _mark_unsteady([stride for side in SIDES for stride in _strides(stances[side], events)], movement)
    values = Values()
    for stride in strides:
        if not stride.note:
            _measure_stride(values, travel, stride, stances[OTHER[stride.side]])
    for side in SIDES:
        _measure_steps(values, travel, stances[side], stances[OTHER[side]])
        _measure_places(values, stances[side], stances[OTHER[side]])
    spans = [Span(kind="stride", side=s.side, start_s=s.start_s, end_s=s.end_s, note=s.note) for s in strides if s.by_contacts]
    return Examined(events=tuple(events), values=values.found, spans=tuple(sorted(spans, key=lambda span: span.start_s)))


def _stances(movement: Movement, events: Sequence[Event], side: str) -> list[_Stance]:
    """Stances of one foot, the first and last perhaps without contact or off."""
    pairs: list[tuple[float | None, float | None]] = []
    for event in (event for event in events if event.side == side):
        if event.name == "foot contact":
            pairs.append((event.time_s, None))
        elif pairs and pairs[-1][1] is None:
            pairs[-1] = (pairs[-1][0], event.time_s)
        else:
            pairs.append((None, event.time_s))
    return [_Stance(side, a, b, _place(movement, side, a, b, _usual_stance_s(pairs))) for a, b in pairs]


def _usual_stance_s(pairs: Sequence[tuple[float | None, float | None]]) -> float:
    """Median time from contact to off; of a stride without a whole stance its usual share."""
    whole = [b - a for a, b in pairs if a is not None and b is not None]
    if whole:
        return float(np.median(whole))
    times = [[time for pair in pairs if (time := pair[k]) is not None] for k in range(2)]
    strides = [later - earlier for found in times for earlier, later in pairwise(found)]
    return _STANCE_SHARE * float(np.median(strides)) if strides else _USUAL_STANCE_S


def _place(movement: Movement, side: str, contact_s: float | None, off_s: float | None, usual_s: float) -> FloatArray | None:
    """Mean heel position while the foot is flat; None if the clip does not show it."""
    start = contact_s if contact_s is not None else (off_s or 0.0) - usual_s
    length = off_s - start if off_s is not None else usual_s
    time_s = movement.time_s
    rows = (time_s >= start + _FLAT_SHARE[0] * length) & (time_s <= start + _FLAT_SHARE[1] * length)
    return np.asarray(movement.points_m[f"heel_{side}"][rows].mean(axis=0)) if rows.any() else None


def _strides(stances: Sequence[_Stance], events: Sequence[Event]) -> list[_Stride]:
    """Pairs of successive stances of one foot, with what is wrong with them."""
    found = []
    for first, second in pairwise(stances):
        contacts, offs = (first.contact_s, second.contact_s), (first.off_s, second.off_s)
        for (start, end), name, other in ((contacts, "foot contact", "foot off"), (offs, "foot off", "foot contact")):
            if start is None or end is None:
                continue
            inside = [e for e in events if start < e.time_s < end]
            order = [e.name for e in inside if e.side != first.side], [e.name for e in inside if e.side == first.side]
            note = ""
            if not _STRIDE_S[0] <= end - start <= _STRIDE_S[1]:
                note = f"lasts {end - start:.2f} s"
            elif order != (["foot off", "foot contact"], [other]):
                note = "the order of contacts and offs is not that of walking"
            found.append(_Stride(first.side, first, second, start, end, name == "foot contact", note))
            break
    return found


def _speed_m_s(stride: _Stride, movement: Movement) -> float:
    """Length over time; of a stride whose places are not seen, the way of the hips over its time."""
    step = stride.step_m if stride.by_contacts else None
    if step is None:
        hips = [
            [np.interp(t, movement.time_s, movement.middle_hip_m[:, k]) for k in (0, 2)] for t in (stride.start_s, stride.end_s)
        ]
        step = np.subtract(hips[1], hips[0])
    return float(np.linalg.norm(step)) / stride.duration_s


def _mark_unsteady(strides: Sequence[_Stride], movement: Movement) -> list[_Stride]:
    """Mark strides whose speed is far from the median of at least three."""
    speeds = [_speed_m_s(stride, movement) for stride in strides]
    good = [speed for speed, stride in zip(speeds, strides, strict=True) if not stride.note]
    if len(good) < 3:
        return list(strides)
    changes = [speed / max(float(np.median(good)), 1e-9) - 1 for speed in speeds]
    return [
        replace(stride, note=f"not steady: {100 * change:+.0f} % of the median speed")
        if not stride.note and abs(change) > _STEADY
        else stride
        for change, stride in zip(changes, strides, strict=True)
    ]


def _measure_stride(values: Values, travel: Travel, stride: _Stride, others: Sequence[_Stance]) -> None:
    """Measure one stride of walking."""
    side, movement, duration = stride.side, travel.movement, stride.duration_s
    speed = _speed_m_s(stride, movement)
    values.add("stride_time", side, duration)
    values.add("speed", "", speed)
    values.add("cadence", "", 120.0 / duration)
    values.add("walk_ratio", "", 1000.0 * (speed * duration / 2) / (120.0 / duration))
    off = stride.first.off_s
    if off is None or not stride.by_contacts:
        return
    values.add("stance", side, 100.0 * (off - stride.start_s) / duration)
    values.add("swing", side, 100.0 * (stride.end_s - off) / duration)
    other_off = next((s.off_s for s in others if s.off_s is not None and stride.start_s < s.off_s < stride.end_s), None)
    other_contact = next((s.start_s for s in others if stride.start_s < s.start_s < stride.end_s), None)
    if other_off is not None and other_contact is not None:
        values.add("double_support", side, 100.0 * ((other_off - stride.start_s) + (off - other_contact)) / duration)
        values.add("single_support", side, 100.0 * (other_contact - other_off) / duration)
    _measure_angles(values, travel, stride, off)
    swing = between(movement.time_s, off + 0.25 * (stride.end_s - off), off + 0.75 * (stride.end_s - off))
    toe = f"toe_{side}"
    values.add("toe_clearance", side, float(movement.points_m[toe][swing, 1].min()) - resting_height_m(movement, toe))


def _measure_places(values: Values, own: Sequence[_Stance], others: Sequence[_Stance]) -> None:
    """Measure stride length and step width from the places of the feet; neither needs the times of contact.

    The width is the distance of the other foot from the line through two places of this foot; negative: the feet cross.
    """
    for first, second in pairwise(own):
        if first.place_m is None or second.place_m is None:
            continue
        line = (second.place_m - first.place_m) * [1.0, 0.0, 1.0]
        length = float(np.linalg.norm(line))
        values.add("stride_length", first.side, length)
        other = next((s for s in others if first.start_s < s.start_s < second.start_s), None)
        if other is not None and other.place_m is not None and length > 0.1:
            offset = other.place_m - first.place_m
            to_right = float(-offset[0] * line[2] + offset[2] * line[0]) / length
            values.add("step_width", "", to_right if first.side == "l" else -to_right)


def _measure_angles(values: Values, travel: Travel, stride: _Stride, off_s: float) -> None:
    """Peaks, ranges and key values of the angles over one stride."""
    movement, side, start, duration = travel.movement, stride.side, stride.start_s, stride.duration_s
    add_extremes(values, movement, start, stride.end_s, [side, ""])
    for name in ("hip_flexion", "knee_flexion", "ankle_dorsiflexion"):
        values.add(f"{name}_at_contact", side, angle_at_deg(movement, f"{name}_{side}", start))
    for label, angle, (a, b) in (
        ("knee_flexion_loading_peak", "knee_flexion", _LOADING),
        ("ankle_dorsiflexion_stance_peak", "ankle_dorsiflexion", _MID_STANCE),
    ):
        if (value := movement.angles_rad.get(f"{angle}_{side}")) is not None:
            rows = between(movement.time_s, start + a * duration, start + b * duration)
            values.add(label, side, float(value[rows].max()) * DEG)
    lean = trunk_lean_rad(movement, travel.direction)
    if lean is not None:
        rows = between(movement.time_s, start, stride.end_s)
        values.add("trunk_lean_forward_mean", "", float(lean[0][rows].mean()) * DEG)
        values.add("trunk_lean_side_range", "", float(np.ptp(lean[1][rows])) * DEG)
    foot = movement.points_m[f"toe_{side}"] - movement.points_m[f"heel_{side}"]
    level = np.hypot(foot[:, 0], foot[:, 2])
    flat = between(movement.time_s, start + 0.2 * (off_s - start), start + 0.6 * (off_s - start))
    raised = np.arctan2(foot[:, 1], level)
    at_contact = float(np.interp(start, movement.time_s, raised)) - float(raised[flat].mean())
    values.add("foot_angle_at_contact", side, at_contact * DEG)
    right = -foot[:, 0] * travel.direction[:, 2] + foot[:, 2] * travel.direction[:, 0]
    ahead = np.sum(foot * travel.direction, axis=1)
    outward = np.arctan2(right if side == "r" else -right, ahead)
    values.add("foot_progression", side, float(outward[flat].mean()) * DEG)


def _measure_steps(values: Values, travel: Travel, own: Sequence[_Stance], others: Sequence[_Stance]) -> None:
    """Measure the steps that end with a contact of one foot."""
    for stance in own:
        if stance.contact_s is None:
            continue
        before = [s for s in others if s.start_s < stance.contact_s]
        if not before:
            continue
        last = before[-1]
        if last.contact_s is not None and stance.contact_s - last.contact_s < _STRIDE_S[1]:
            values.add("step_time", stance.side, stance.contact_s - last.contact_s)
        if stance.place_m is None or last.place_m is None:
            continue
        row = int(np.argmin(np.abs(travel.movement.time_s - stance.contact_s)))
        values.add("step_length", stance.side, float((stance.place_m - last.place_m) @ travel.direction[row]))

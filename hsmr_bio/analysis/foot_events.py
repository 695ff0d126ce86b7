"""Foot contact and foot off from motion: floor speed of heel and ball, height, and the foot's place behind the hips.

Contact is the crossing of the heel's floor speed through 0.55 of the walking speed at the start of a slow stretch of the foot
(of the ball's, if that lands first). Foot off is the rearmost place of the ball relative to the hips where there is one, else
the crossing of the ball's speed.

Source:
    Zeni, Richards, Higginson 2008 (Gait Posture 27:710) for foot off; Ghoussayni 2004 (Gait Posture 20:266), Bruening and Ridge
    2014 (Gait Posture 39:472) and Bonci 2022 (Front Bioeng 10:868928) for thresholds of speed relative to the walking speed.
    The numbers below were set on 12 force-plate events of two walkers (1.1 and 1.3 m/s).
"""

from __future__ import annotations

import numpy as np

from ..arrays import BoolArray, FloatArray
from ..filtering import runs
from .events import Event, crossings, method_event, parabola_extremum
from .movement import SIDES
from .travel import Travel, resting_height_m

_SLOW = 0.45
"""A foot stands while the slower of heel and ball is below this share of the walking speed."""
_CONTACT = 0.55
"""Share of the walking speed that the heel's speed falls through at contact."""
_OFF = 0.8
"""Share of the walking speed that the ball's speed rises through near foot off (Bonci 2022)."""
_OFF_DELAY_S = 0.021
"""The joint of the toes passes 0.8 of the walking speed so much before the tip leaves the ground."""
_OFF_SEARCH_S = 0.060
"""Largest distance of the rearmost place of the ball from the crossing of its speed."""
_CLOSE_S, _SHORT_S = 0.080, 0.200
"""Shorter breaks of a contact are closed, shorter contacts dropped: a stance lasts 0.4 s and more, a swing 0.3 s."""
_SEARCH_S = 0.150
"""The crossing belongs to a contact if it lies this close to its start or end."""
_HEIGHT_M = 0.04
"""A foot on the floor has its lower point less than this above its resting height; origins lie 2 to 4 cm above the sole."""
_LEAST_SPEED_M_S = 0.4
"""Thresholds are those of this walking speed where somebody goes slower: below, they sink into the noise."""


def foot_events(travel: Travel) -> list[Event]:
    """Find the contacts and offs of both feet.

    Args:
        travel: over ground.

    Returns:
        Events in order of time. A contact that the movement begins or ends with gives no event there.
    """
    found = [event for side in SIDES for event in _events_of(travel, side)]
    return mark_order(sorted(found, key=lambda event: event.time_s))


def standing(travel: Travel, side: str) -> BoolArray:
    """(T,) whether a foot stands: the slower of heel and ball is slow and the lower one is low.

    Args:
        travel: over ground.
        side: ``r`` or ``l``.

    Returns:
        The mask, without short breaks and short pieces.
    """
    smooth = travel.movement.smooth
    heel, toe = (np.linalg.norm(smooth.speed(f"{name}_{side}"), axis=1) for name in ("heel", "toe"))
    above = [smooth.points_m[n][:, 1] - resting_height_m(smooth, n) for n in (f"heel_{side}", f"toe_{side}")]
    stands = (np.minimum(heel, toe) < _SLOW * _walking_speed(travel)) & (np.minimum(*above) < _HEIGHT_M)
    frame_s = 1.0 / smooth.rate_hz
    for first, last in runs(~stands):
        if first > 0 and last < len(stands) - 1 and (last - first + 1) * frame_s < _CLOSE_S:
            stands[first : last + 1] = True
    for first, last in runs(stands):
        if first > 0 and last < len(stands) - 1 and (last - first + 1) * frame_s < _SHORT_S:
            stands[first : last + 1] = False
    return np.asarray(stands)


def mark_order(events: list[Event]) -> list[Event]:
    """Say of an event that repeats the one before it on its side; both stay.

    Args:
        events: in order of time.

    Returns:
        The same events, those doubtful with a note.
    """
    from dataclasses import replace

    last: dict[str, str] = {}
    marked = []
    for event in events:
        repeated = last.get(event.side) == event.name
        marked.append(replace(event, note=f"follows another {event.name} of this foot") if repeated else event)
        last[event.side] = event.name
    return marked


def _walking_speed(travel: Travel) -> FloatArray:
    return np.asarray(np.maximum(travel.speed_m_s, _LEAST_SPEED_M_S))


def _events_of(travel: Travel, side: str) -> list[Event]:
    """Contacts and offs of one foot."""
    smooth = travel.movement.smooth
    speed = _walking_speed(travel)
    heel, toe = (np.linalg.norm(smooth.speed(f"{name}_{side}"), axis=1) / speed for name in ("heel", "toe"))
    note = "slower than 0.4 m/s: thresholds of speed are not safe" if np.median(travel.speed_m_s) < _LEAST_SPEED_M_S else ""
    found = []
    stands = standing(travel, side)
    for first, last in runs(stands):
        if first > 0:
            time_s = _contact_time(smooth.time_s, heel, toe, smooth.time_s[first])
            found.append(method_event("foot contact", side, time_s, smooth.rate_hz, note))
        if last < len(stands) - 1:
            time_s = _off_time(travel, side, toe, smooth.time_s[last])
            found.append(method_event("foot off", side, time_s, smooth.rate_hz, note))
    return found


def _contact_time(time_s: FloatArray, heel: FloatArray, toe: FloatArray, start_s: float) -> float:
    """Earlier crossing of heel or ball near the start of a contact; without one, the start."""
    times = np.concatenate([crossings(time_s, part, _CONTACT, rising=False) for part in (heel, toe)])
    near = times[np.abs(times - start_s) < _SEARCH_S]
    return float(near.min()) if len(near) else float(start_s)


def _off_time(travel: Travel, side: str, toe: FloatArray, end_s: float) -> float:
    """Time of foot off near the end of a contact."""
    smooth = travel.movement.smooth
    time_s = smooth.time_s
    times = crossings(time_s, toe, _OFF, rising=True)
    near = times[np.abs(times - end_s) < _SEARCH_S]
    expected = (float(near[0]) if len(near) else float(end_s)) + _OFF_DELAY_S
    behind = np.sum((smooth.points_m[f"toe_{side}"] - smooth.middle_hip_m) * travel.direction, axis=1)
    rows = np.flatnonzero((behind[1:-1] <= behind[:-2]) & (behind[1:-1] < behind[2:])) + 1
    rows = rows[np.abs(time_s[rows] - expected) < _OFF_SEARCH_S]
    if not len(rows):
        return expected
    return parabola_extremum(time_s, behind, int(rows[np.argmin(np.abs(time_s[rows] - expected))]))


def merge_forces(motion: list[Event], forces: list[Event], *, within_s: float = 0.1) -> list[Event]:
    """Choose the events that cycles are cut by: those of the plates where a plate saw the foot, else those of the motion.

    Args:
        motion: events of the motion.
        forces: events of the plates.
        within_s: events of one name and side closer than this are the same one.

    Returns:
        One event for each, in order of time.
    """

    def same(a: Event, b: Event) -> bool:
        return (a.name, a.side) == (b.name, b.side) and abs(a.time_s - b.time_s) < within_s

    kept = [event for event in motion if not any(same(event, other) for other in forces)]
    return sorted([*kept, *forces], key=lambda event: event.time_s)

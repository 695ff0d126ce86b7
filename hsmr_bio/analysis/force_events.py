"""Foot contact and foot off from force plates: the vertical force crosses 20 N."""

from __future__ import annotations

import numpy as np

from ..arrays import FloatArray
from ..dynamics.foot_outline import FootOutlines, assign_to_feet
from ..dynamics.loads import ExternalLoads
from .events import FORCE_SD_S, Event, crossings
from .movement import SIDES, Movement

CONTACT_N = 20.0
"""Threshold of contact and off; the usual one of gait laboratories (Zeni 2008)."""
_LASTS_S = 0.1
"""A crossing counts if the force stays on its side so long: chosen, a stance lasts 0.4 s and more."""


def force_events(loads: ExternalLoads, movement: Movement, weight_n: float) -> list[Event]:
    """Find contacts and offs on force plates.

    Args:
        loads: forces with or without bodies; those without get the foot above their centre of pressure.
        movement: for the places of the feet.
        weight_n: body weight.

    Returns:
        Events within the movement, in order of time. A force whose body is no foot is left out.

    Raises:
        InputError: a force without a body lies under neither foot.
    """
    middles = [(movement.points_m[f"heel_{side}"] + movement.points_m[f"toe_{side}"]) / 2 for side in SIDES]
    middle_m = np.stack(middles, axis=1)
    feet = FootOutlines(bodies=("calcn_r", "calcn_l"), points_m=middle_m[:, :, None], middle_m=middle_m)
    found: list[Event] = []
    for side in SIDES:
        time_s, vertical_n = _vertical(assign_to_feet(loads, feet, movement.time_s, weight_n=weight_n), side)
        if len(time_s):
            found += _events_of(time_s, vertical_n, side)
    first, last = movement.time_s[0], movement.time_s[-1]
    return sorted((e for e in found if first <= e.time_s <= last), key=lambda event: event.time_s)


def _vertical(loads: ExternalLoads, side: str) -> tuple[FloatArray, FloatArray]:
    """Times and sum of the vertical forces on one foot."""
    own = [f for f in loads.forces if f.body is not None and f.body.endswith(f"_{side}") and f.force_frame == "ground"]
    if not own:
        return np.zeros(0), np.zeros(0)
    time_s = own[0].time_s
    return time_s, np.sum([np.interp(time_s, force.time_s, force.force_n[:, 1]) for force in own], axis=0)


def _events_of(time_s: FloatArray, vertical_n: FloatArray, side: str) -> list[Event]:
    """Crossings of the threshold after which the force stays."""
    found = []
    for name, rising in (("foot contact", True), ("foot off", False)):
        for at in crossings(time_s, vertical_n, CONTACT_N, rising=rising):
            after = (time_s > at) & (time_s < at + _LASTS_S)
            if np.all((vertical_n[after] >= CONTACT_N) == rising):
                found.append(Event(name=name, side=side, time_s=float(at), sd_s=FORCE_SD_S, evidence="forces"))
    return found

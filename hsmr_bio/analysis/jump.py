"""Jumps: flights of the whole body, take-off and landing, heights and contact times."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..arrays import FloatArray
from ..filtering import runs
from ..osim.build import GRAVITY_M_S2
from .events import EXACT, Event, Jitter, crossings, method_event
from .movement import SIDES, Movement, between
from .travel import resting_height_m
from .values import DEG, Examined, Values, add_extremes, feet_forward, trunk_lean_rad

_FREE_FALL = (0.6, 1.4)
"""Acceleration of the centre of mass in flight over gravity: wide, because smoothing flattens the parabola of a short flight;
fast squats on heels that lift reach 0.5 (chosen)."""
_SHORTEST_S = 0.1
"""Shorter flights are not jumps: 1.2 cm of height."""
_OFF_M = 0.02
"""Both balls of the feet are higher than this above rest in flight."""
_ON_A_BOX_S = 0.2
"""Feet that are off the floor for longer before the body falls stand on something (chosen; a jump falls freely at once)."""
_REBOUND_S = 1.0
"""A take-off later than this after a landing is a new jump, no rebound (drop jumps have 0.15 to 0.6 s)."""


@dataclass(frozen=True)
class Flight:
    """One flight."""

    off_s: float
    landing_s: float
    from_box: bool
    """Whether it begins on something higher than the floor: a drop, no jump."""


def flights(movement: Movement) -> tuple[Flight, ...]:
    """Find the flights of the whole body: both feet off the floor while the centre of mass falls freely.

    Args:
        movement: constant rate, no gap.

    Returns:
        Flights of 0.1 s and more. The height of 2 cm that shows a foot off the floor is taken off again with its speed.
    """
    smooth = movement.smooth
    falls = np.gradient(np.gradient(smooth.com_m[:, 1], smooth.time_s), smooth.time_s) < -_FREE_FALL[0] * GRAVITY_M_S2
    above = np.min([smooth.points_m[f"toe_{s}"][:, 1] - resting_height_m(smooth, f"toe_{s}") for s in SIDES], axis=0)
    found = []
    for first, last in runs(above > _OFF_M):
        free = [run for run in runs(falls[first : last + 1]) if (run[1] - run[0] + 1) / smooth.rate_hz >= _SHORTEST_S / 2]
        if not free or last >= len(above) - 1:
            continue
        begin = first + free[0][0]
        from_box = first == 0 or (begin - first) / smooth.rate_hz > _ON_A_BOX_S
        off, landing = _ends(smooth.time_s, above, begin if from_box else first, last)
        if landing - off >= _SHORTEST_S and _falls_freely(movement, off, landing):
            found.append(Flight(off, landing, bool(from_box)))
    return tuple(found)


def _falls_freely(movement: Movement, off_s: float, landing_s: float) -> bool:
    """Whether the parabola through the centre of mass in the air bends as gravity bends it."""
    low, high = (limit * GRAVITY_M_S2 for limit in _FREE_FALL)
    return bool(low < _gravity_seen(movement, off_s, landing_s) < high)


def _gravity_seen(movement: Movement, off_s: float, landing_s: float) -> float:
    air = between(movement.time_s, off_s, landing_s)
    if air.sum() < 4:
        return 0.0
    return -2.0 * float(np.polyfit(movement.time_s[air] - off_s, movement.com_m[air, 1], 2)[0])


def _ends(time_s: FloatArray, above_m: FloatArray, first: int, last: int) -> tuple[float, float]:
    """Times at which the feet leave and reach the floor, from where they cross 2 cm and how fast."""
    speed = np.gradient(above_m, time_s)
    up = crossings(time_s[max(first - 1, 0) : first + 1], above_m[max(first - 1, 0) : first + 1], _OFF_M, rising=True)
    down = crossings(time_s[last : last + 2], above_m[last : last + 2], _OFF_M, rising=False)
    landing = float(down[0]) if len(down) else float(time_s[last])
    off = float(up[0]) - _OFF_M / max(float(speed[first]), 0.5) if len(up) else float(time_s[first])
    return off, landing + _OFF_M / max(-float(speed[last]), 0.5)


def examine_jump(movement: Movement, jitter: Jitter = EXACT) -> Examined:
    """Find flights and measure them.

    Args:
        movement: constant rate, no gap.
        jitter: moves the events.

    Returns:
        Events and values of each flight.
    """
    found = [
        replace(flight, off_s=jitter("take-off", flight.off_s), landing_s=jitter("landing", flight.landing_s))
        for flight in flights(movement)
    ]
    events: list[Event] = []
    values = Values()
    for k, flight in enumerate(found):
        if not flight.from_box:
            events.append(method_event("take-off", "", flight.off_s, movement.rate_hz))
            _measure_jump(values, movement, flight)
        events.append(method_event("landing", "", flight.landing_s, movement.rate_hz))
        _measure_landing(values, movement, flight)
        if k and flight.off_s - found[k - 1].landing_s < _REBOUND_S:
            contact = flight.off_s - found[k - 1].landing_s
            flight_s = flight.landing_s - flight.off_s
            values.add("contact_time", "", contact)
            values.add("reactive_strength", "", GRAVITY_M_S2 * flight_s**2 / 8 / contact)
    if found:
        add_extremes(values, movement, movement.time_s[0], movement.time_s[-1], ["r", "l", ""])
    return Examined(events=tuple(events), values=values.found)


def _measure_jump(values: Values, movement: Movement, flight: Flight) -> None:
    """Measure one flight."""
    time_s, height = movement.time_s, movement.com_m[:, 1]
    duration = flight.landing_s - flight.off_s
    air = between(time_s, flight.off_s, flight.landing_s)
    values.add("flight_time", "", duration)
    values.add("jump_height_flight", "", GRAVITY_M_S2 * duration**2 / 8)
    values.add("jump_height_com", "", float(height[air].max() - np.interp(flight.off_s, time_s, height)))
    values.add("gravity_seen", "", _gravity_seen(movement, flight.off_s, flight.landing_s))
    before = between(time_s, flight.off_s - 1.0, flight.off_s)
    values.add("countermovement_depth", "", float(np.interp(flight.off_s, time_s, height) - height[before].min()))


def _measure_landing(values: Values, movement: Movement, flight: Flight) -> None:
    """Measure the landing after a flight."""
    time_s = movement.time_s
    after = between(time_s, flight.landing_s, flight.landing_s + 0.5)
    for side in SIDES:
        knee = movement.angles_rad.get(f"knee_flexion_{side}")
        if knee is not None:
            values.add("knee_flexion_at_landing", side, float(np.interp(flight.landing_s, time_s, knee)) * DEG)
            values.add("knee_flexion_after_landing", side, float(knee[after].max()) * DEG)
    lean = trunk_lean_rad(movement, np.broadcast_to(feet_forward(movement), (len(time_s), 3)))
    if lean is not None:
        values.add("trunk_lean_after_landing", "", float(lean[0][after].max()) * DEG)

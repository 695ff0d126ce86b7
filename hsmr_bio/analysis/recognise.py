"""Recognise what somebody does: jump, sit to stand, squat, gait, or none of these."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from .foot_events import foot_events
from .hips import hip_height_m, moves, seated
from .jump import flights
from .movement import Movement
from .travel import travel

Task = Literal["gait", "squat", "sit-to-stand", "jump", "none"]
TASKS: tuple[str, ...] = get_args(Task)
_DIP = 0.15
"""Range of the hips' height over the leg from which somebody squats or rises; walking has 0.05."""
_RUNS_M_S = 1.2
"""With flights at this speed and more somebody runs; a jump on the spot or from a box goes no faster (chosen)."""
_WALKS_M_S = 0.3
"""Least speed of progression of gait."""


def recognise(movement: Movement, *, treadmill: bool | None = None) -> tuple[Task, str]:
    """Recognise the task of a movement.

    Args:
        movement: constant rate, no gap.
        treadmill: see :func:`hsmr_bio.analysis.travel.travel`.

    Returns:
        The task, and the evidence in words.
    """
    in_air = flights(movement)
    if in_air and (pace := float(np.median(travel(movement, treadmill=treadmill).speed_m_s))) > _RUNS_M_S:
        return "none", f"{len(in_air)} flights at {pace:.1f} m/s: running, for which no events are known here"
    if in_air:
        return "jump", f"{len(in_air)} times both feet are off the floor while the centre of mass falls freely"
    span = float(np.ptp(hip_height_m(movement))) / movement.leg_m
    if span > _DIP and any(abs(move.height_m) > _DIP * movement.leg_m for move in moves(movement)):
        sits, evidence = seated(movement)
        return ("sit-to-stand" if sits else "squat"), f"the hips rise and sink by {100 * span:.0f} % of the leg; {evidence}"
    going = travel(movement, treadmill=treadmill)
    steps = foot_events(going)
    contacts = sum(event.name == "foot contact" for event in steps)
    speed = float(np.median(going.speed_m_s))
    if speed >= _WALKS_M_S and contacts and len({event.side for event in steps}) == 2:
        belt = f" on a belt at {going.belt_m_s:.2f} m/s" if going.belt_m_s else ""
        return "gait", f"both feet step ({contacts} contacts) while the body moves at {speed:.2f} m/s{belt}"
    return "none", f"no flight, no rise of the hips above {100 * _DIP:.0f} % of the leg, and no steps at 0.3 m/s or more"

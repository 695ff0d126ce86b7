"""Range of motion of a whole motion, where no task is recognised."""

from __future__ import annotations

from .movement import Movement
from .values import Examined, Values, add_extremes


def examine_ranges(movement: Movement) -> Examined:
    """Measure largest value, least value and range of every angle over a movement.

    Args:
        movement: any.

    Returns:
        The values; no events and no cycles.
    """
    values = Values()
    add_extremes(values, movement, movement.time_s[0], movement.time_s[-1], ["r", "l", ""])
    return Examined(values=values.found)

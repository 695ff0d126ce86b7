"""Rises and dips of the hips: what squats and sit-to-stand are found by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import FloatArray
from ..filtering import runs
from .movement import SIDES, Movement
from .values import feet_forward

_LEAST_DIP = 0.10
"""Least depth of a dip over the length of the leg: 52 degrees of knee flexion with equal thigh and shank; a quarter squat has
about 60."""
_BEHIND_M = 0.03
"""A body whose centre of mass is farther behind the heels' origins than this would fall: something carries it, a seat. The sole
ends about 2 cm behind the origin."""
_LOW_SHARE = 0.25
"""Frames in the lowest part of the hips' travel, in which the seat shows."""
_REAR_PERCENTILE = 10
"""Of the place of the centre of mass in these frames: it is over the feet again when the seat is left."""
_MOVING_M_S = 0.1
"""Speed of the hips at the start and end of a rise (OpenCap's sit-to-stand analysis uses the same)."""
_BREAK_S = 0.15
"""Shorter pauses do not divide a rise (chosen)."""


@dataclass(frozen=True)
class Move:
    """One upward or downward movement of the hips."""

    first: int
    last: int
    """Rows between which the hips are faster than 0.1 m/s."""
    height_m: float
    """Change of height, positive upwards."""


def hip_height_m(movement: Movement) -> FloatArray:
    """(T,) low-passed height of the middle of the hips."""
    return np.asarray(movement.smooth.middle_hip_m[:, 1])


def dips(movement: Movement) -> tuple[int, ...]:
    """Rows of the lowest points of the hips' dips of at least a tenth of the leg."""
    from scipy.signal import find_peaks

    return tuple(int(row) for row in find_peaks(-hip_height_m(movement), prominence=_LEAST_DIP * movement.leg_m)[0])


def moves(movement: Movement) -> tuple[Move, ...]:
    """Upward and downward movements of the hips faster than 0.1 m/s, in order.

    Args:
        movement: the movement.

    Returns:
        Those of more than 5 cm.
    """
    height = hip_height_m(movement)
    speed = np.gradient(height, movement.time_s)
    found = []
    for sign in (1.0, -1.0):
        fast = sign * speed > _MOVING_M_S
        for first, last in runs(~fast):
            short = (last - first + 1) / movement.rate_hz < _BREAK_S
            if first > 0 and last < len(fast) - 1 and short and np.all(sign * speed[first : last + 1] > -_MOVING_M_S):
                fast[first : last + 1] = True
        found += [Move(first, last, float(height[last] - height[first])) for first, last in runs(fast)]
    return tuple(sorted((move for move in found if abs(move.height_m) > 0.05), key=lambda move: move.first))


def seat_offset_m(movement: Movement) -> float:
    """Place of the centre of mass relative to the heels, forwards, while the hips are low.

    Args:
        movement: with a dip or a rise.

    Returns:
        A low percentile over the frames in the lowest quarter of the hips' travel, m; negative behind the heels.
    """
    height = hip_height_m(movement)
    low = height < height.min() + _LOW_SHARE * float(np.ptp(height))
    heels = sum(movement.smooth.points_m[f"heel_{side}"] for side in SIDES) / 2
    return float(np.percentile(((movement.smooth.com_m - heels) @ feet_forward(movement))[low], _REAR_PERCENTILE))


def seated(movement: Movement) -> tuple[bool, str]:
    """Decide whether somebody sits when the hips are low.

    Args:
        movement: with a dip or a rise.

    Returns:
        The decision, and its evidence in words.
    """
    offset = seat_offset_m(movement)
    where = f"{abs(100 * offset):.0f} cm {'behind' if offset < 0 else 'before'} the heels"
    if offset < -_BEHIND_M:
        return True, f"with low hips the centre of mass is {where}: a seat carries the body"
    return False, f"with low hips the centre of mass is {where}: the feet carry the body"

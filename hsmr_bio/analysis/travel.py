"""Where somebody goes: direction and speed of progression, over ground or on a belt."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..arrays import BoolArray, FloatArray
from ..filtering import lowpass
from .movement import SIDES, Movement

_PATH_HZ = 0.5
"""Cutoff of the path of the hips, for its tangent: below the frequency of strides (0.8 to 1 Hz)."""
_MOVING_M_S = 0.2
"""Below this speed of the hips the pelvis' facing stands for the direction of progression (chosen)."""
_BELT_DRIFT_M_S = 0.3
"""Hips that drift less while the feet move are on a treadmill (OpenCap's gait analysis uses the same figure)."""
_BELT_FEET_M_S = 0.8
"""Least 90th percentile of the feet's speed on a treadmill: a foot swings at two to three times the walking speed, and the
slowest speed in the reference data is 0.5 m/s."""
_FLAT_M = 0.025
"""A foot is flat while heel and ball are less than this above their resting heights (chosen)."""
_TOGETHER = 0.15
"""Heel and ball of a flat foot move together: largest difference of their velocities over their speed (chosen)."""
_RESTING_PERCENTILE = 10


@dataclass(frozen=True, eq=False, kw_only=True)
class Travel:
    """Progression of a movement."""

    movement: Movement
    """The movement over ground: that of a treadmill has the belt's travel added."""
    direction: FloatArray
    """(T, 3) horizontal unit vector."""
    speed_m_s: FloatArray
    """(T,) speed of the hips along it."""
    belt_m_s: float
    """Speed of the belt; 0 over ground."""


def travel(movement: Movement, *, treadmill: bool | None = None) -> Travel:
    """Determine direction and speed of progression.

    Over ground the direction is the tangent of the hips' path, low-passed at 0.5 Hz. On a treadmill it is opposite to the mean
    velocity of the flat foot, and the belt's travel is added to all points, so that everything else is as over ground.

    Args:
        movement: constant rate, no gap.
        treadmill: whether the feet move with a belt; None: recognised.

    Returns:
        The travel.
    """
    smooth = movement.smooth
    belt = belt_velocity(smooth) if treadmill is not False else None
    if treadmill is None and belt is not None and not _on_belt(smooth):
        belt = None
    if belt is not None:
        moved = (movement.time_s - movement.time_s[0])[:, None] * -belt
        movement = replace(movement, points_m={name: value + moved for name, value in movement.points_m.items()})
    velocity = _path_velocity(movement)
    speed = np.linalg.norm(velocity, axis=1)
    slow = speed < _MOVING_M_S
    direction = np.where(slow[:, None], movement.smooth.forward, velocity / np.maximum(speed, 1e-9)[:, None])
    return Travel(
        movement=movement,
        direction=direction,
        speed_m_s=speed,
        belt_m_s=0.0 if belt is None else float(np.linalg.norm(belt)),
    )


def _path_velocity(movement: Movement) -> FloatArray:
    """(T, 3) horizontal velocity of the hips, low-passed; of a short clip the slope of the line through its path."""
    path = np.array(movement.middle_hip_m)
    path[:, 1] = 0.0
    seconds = movement.time_s - movement.time_s[0]
    slope, origin = np.polyfit(seconds, path, 1)
    rest = path - origin - seconds[:, None] * slope
    if seconds[-1] > 2.0 / _PATH_HZ:
        slope = slope + np.gradient(lowpass(rest, rate_hz=movement.rate_hz, cutoff_hz=_PATH_HZ), seconds, axis=0)
    return np.asarray(np.broadcast_to(slope, path.shape))


def _on_belt(smooth: Movement) -> bool:
    """Whether the hips stay while the feet move."""
    path = smooth.middle_hip_m[:, [0, 2]]
    seconds = smooth.time_s - smooth.time_s[0]
    drift = float(np.linalg.norm(np.polyfit(seconds, path, 1)[0]))
    feet = np.concatenate([np.linalg.norm(smooth.speed(f"ankle_{side}")[:, [0, 2]], axis=1) for side in SIDES])
    return drift < _BELT_DRIFT_M_S and float(np.percentile(feet, 90)) > _BELT_FEET_M_S


def resting_height_m(movement: Movement, name: str) -> float:
    """Height of a foot point while it rests: a low percentile of its height over the movement.

    Args:
        movement: the movement.
        name: of the point.

    Returns:
        m.
    """
    return float(np.percentile(movement.points_m[name][:, 1], _RESTING_PERCENTILE))


def flat(movement: Movement, side: str) -> BoolArray:
    """(T,) whether heel and ball are both at their resting heights.

    Args:
        movement: the movement.
        side: ``r`` or ``l``.

    Returns:
        The mask.
    """
    low = [movement.points_m[n][:, 1] < resting_height_m(movement, n) + _FLAT_M for n in (f"heel_{side}", f"toe_{side}")]
    return np.asarray(low[0] & low[1])


def belt_velocity(smooth: Movement) -> FloatArray | None:
    """Estimate the velocity of a belt: the median velocity of flat feet whose heel and ball move together.

    Args:
        smooth: low-passed movement.

    Returns:
        (3,) horizontal, m/s; None if no flat foot moves.
    """
    found = []
    for side in SIDES:
        heel, toe = smooth.speed(f"heel_{side}"), smooth.speed(f"toe_{side}")
        both = (heel + toe) / 2
        together = np.linalg.norm(heel - toe, axis=1) < _TOGETHER * np.linalg.norm(both, axis=1)
        found.append(both[flat(smooth, side) & together])
    velocities = np.concatenate(found)
    if len(velocities) < 3:
        return None
    velocity = np.median(velocities, axis=0)
    velocity[1] = 0.0
    return np.asarray(velocity)

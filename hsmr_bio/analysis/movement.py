"""A movement as the analysis sees it: joint centres and clinical angles at a constant rate, without gaps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from ..arrays import BoolArray, FloatArray, increasing_time, readonly
from ..errors import InputError
from ..filtering import lowpass, resample

SIDES = ("r", "l")
NEEDED = tuple(f"{name}_{side}" for side in SIDES for name in ("hip", "knee", "ankle", "heel", "toe"))
"""Points without which nothing can be analysed; shoulder, elbow and wrist are used where they are."""
OTHER = {"r": "l", "l": "r"}
_CUTOFF_HZ = 7.0
"""Low-pass of the points before events are looked for: the one that the detection was measured with, between the usual 6 and
8 Hz of gait laboratories (Winter 2009)."""
_GAP_STEPS = 2.5
"""A time step of more median steps is a gap in the motion (as in the checks)."""
_SHORTEST_S = 0.3
"""Shorter stretches hold no event that could be seen: a swing phase lasts that long."""
_TRUNK_SHARE, _THIGH_SHARE, _SHANK_SHARE = 0.678, 0.100, 0.061
"""Masses of head, arms and trunk together, of a thigh, of a shank with its foot, over body mass: Winter 2009, table 4.1."""
_TRUNK_PLACE, _THIGH_PLACE, _SHANK_PLACE = 0.626, 0.433, 0.606
"""Their centres of mass from hip to shoulder, hip to knee, knee to ankle; the same table."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Movement:
    """Points of the body and angles over time; y is up."""

    time_s: FloatArray
    """(T,) strictly increasing."""
    points_m: Mapping[str, FloatArray]
    """Name -> (T, 3) position in ground: hip, knee, ankle, heel (origin of calcn), toe (ball of the foot, origin of toes) of
    both sides; shoulder, elbow, wrist and com where the model has them."""
    angles_rad: Mapping[str, FloatArray]
    """Name -> (T,) angle, with the signs of clinical gait analysis (see ``place``)."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "time_s", increasing_time(self.time_s))
        if missing := [name for name in NEEDED if name not in self.points_m]:
            raise InputError(f"an analysis needs the points {', '.join(missing)}, which this motion does not have")
        count = len(self.time_s)
        points = {name: readonly(f"points_m[{name!r}]", value, (count, 3)) for name, value in self.points_m.items()}
        angles = {name: readonly(f"angles_rad[{name!r}]", value, (count,)) for name, value in self.angles_rad.items()}
        object.__setattr__(self, "points_m", MappingProxyType(points))
        object.__setattr__(self, "angles_rad", MappingProxyType(angles))

    @cached_property
    def rate_hz(self) -> float:
        """Frames per second (one over the median step)."""
        return float(1.0 / np.median(np.diff(self.time_s)))

    @cached_property
    def smooth(self) -> Movement:
        """The same with low-pass filtered points, for events and speeds; angles are left as they are."""
        if self.rate_hz <= 2.2 * _CUTOFF_HZ:
            return self
        names = list(self.points_m)
        together = np.concatenate([self.points_m[name] for name in names], axis=1)
        filtered = lowpass(together, rate_hz=self.rate_hz, cutoff_hz=_CUTOFF_HZ).reshape(len(self.time_s), len(names), 3)
        return replace(self, points_m={name: filtered[:, k] for k, name in enumerate(names)})

    def speed(self, name: str) -> FloatArray:
        """(T, 3) velocity of a point, m/s."""
        return np.asarray(np.gradient(self.points_m[name], self.time_s, axis=0))

    @cached_property
    def middle_hip_m(self) -> FloatArray:
        """(T, 3) middle of the hip centres."""
        return np.asarray((self.points_m["hip_r"] + self.points_m["hip_l"]) / 2)

    @cached_property
    def middle_shoulder_m(self) -> FloatArray | None:
        """(T, 3) middle of the shoulders; None without arms."""
        if not {"shoulder_r", "shoulder_l"} <= set(self.points_m):
            return None
        return np.asarray((self.points_m["shoulder_r"] + self.points_m["shoulder_l"]) / 2)

    @cached_property
    def leg_m(self) -> float:
        """Length of the leg: median distance from hip over knee to ankle, plus the ankle's least height over the ball."""
        parts = []
        for side in SIDES:
            hip, knee, ankle, toe = (self.points_m[f"{name}_{side}"] for name in ("hip", "knee", "ankle", "toe"))
            length = np.linalg.norm(hip - knee, axis=1) + np.linalg.norm(knee - ankle, axis=1)
            parts.append(float(np.median(length)) + max(float(np.median(ankle[:, 1] - toe[:, 1])), 0.0))
        return float(np.mean(parts))

    @cached_property
    def forward(self) -> FloatArray:
        """(T, 3) horizontal unit vector that the pelvis faces: from the line between the hips."""
        across = np.array(self.points_m["hip_r"] - self.points_m["hip_l"])
        across[:, 1] = 0.0
        facing = np.stack([across[:, 2], np.zeros(len(across)), -across[:, 0]], axis=1)
        return np.asarray(facing / np.maximum(np.linalg.norm(facing, axis=1, keepdims=True), 1e-9))

    @cached_property
    def com_m(self) -> FloatArray:
        """(T, 3) centre of mass: the model's, else from hips, knees, ankles and shoulders with Winter's shares."""
        if "com" in self.points_m:
            return self.points_m["com"]
        top = self.middle_shoulder_m
        if top is None:
            return self.middle_hip_m
        total = _TRUNK_SHARE * (self.middle_hip_m + _TRUNK_PLACE * (top - self.middle_hip_m))
        for side in SIDES:
            hip, knee, ankle = (self.points_m[f"{name}_{side}"] for name in ("hip", "knee", "ankle"))
            total = total + _THIGH_SHARE * (hip + _THIGH_PLACE * (knee - hip))
            total = total + _SHANK_SHARE * (knee + _SHANK_PLACE * (ankle - knee))
        return np.asarray(total)

    def at(self, name: str, time_s: float) -> FloatArray:
        """Interpolate a point.

        Args:
            name: of the point.
            time_s: within the movement.

        Returns:
            (3,) m.
        """
        return np.array([np.interp(time_s, self.time_s, self.points_m[name][:, axis]) for axis in range(3)])


def from_joint_centres(time_s: FloatArray, points_m: Mapping[str, FloatArray]) -> Movement:
    """Make a movement of joint centres alone; flexion of knees and elbows is the angle between the lines through them.

    Args:
        time_s: (T,).
        points_m: name -> (T, 3), y up: ``hip_r, knee_r, ankle_r, heel_r, toe_r`` and the same with ``_l``; ``shoulder``,
            ``elbow`` and ``wrist`` where they are known.

    Returns:
        The movement.
    """
    angles = {}
    for side in SIDES:
        for name, ends in (("knee_flexion", ("hip", "knee", "ankle")), ("elbow_flexion", ("shoulder", "elbow", "wrist"))):
            names = [f"{end}_{side}" for end in ends]
            if set(names) <= set(points_m):
                top, middle, end = (np.asarray(points_m[n]) for n in names)
                upper, lower = middle - top, end - middle
                sine = np.linalg.norm(np.cross(upper, lower), axis=1)
                angles[f"{name}_{side}"] = np.arctan2(sine, np.sum(upper * lower, axis=1))
    return Movement(time_s=time_s, points_m=points_m, angles_rad=angles)


def between(time_s: FloatArray, start_s: float, end_s: float) -> BoolArray:
    """(T,) frames from a start to an end; the nearest frame to the middle if there is none.

    Args:
        time_s: (T,).
        start_s: first time.
        end_s: last time.

    Returns:
        A mask with at least one frame.
    """
    inside = (time_s >= start_s) & (time_s <= end_s)
    if not inside.any():
        inside[int(np.argmin(np.abs(time_s - (start_s + end_s) / 2)))] = True
    return np.asarray(inside)


def stretches(movement: Movement) -> tuple[Movement, ...]:
    """Cut a movement at its gaps and bring each part to a constant rate.

    Args:
        movement: any times.

    Returns:
        The parts of 0.3 s and more, in order.
    """
    step = float(np.median(np.diff(movement.time_s))) if len(movement.time_s) > 1 else 1.0
    cuts = np.flatnonzero(np.diff(movement.time_s) > _GAP_STEPS * step) + 1
    parts = []
    for rows in np.split(np.arange(len(movement.time_s)), cuts):
        if len(rows) > 8 and movement.time_s[rows[-1]] - movement.time_s[rows[0]] >= _SHORTEST_S:  # what a filter needs
            parts.append(_even(movement, rows, 1.0 / step))
    return tuple(parts)


def _even(movement: Movement, rows: npt.NDArray[np.intp], rate_hz: float) -> Movement:
    """Resample some frames of a movement to a constant rate, unless they have it already."""
    time_s = movement.time_s[rows]
    if np.ptp(np.diff(time_s)) < 0.02 / rate_hz:
        points = {name: value[rows] for name, value in movement.points_m.items()}
        return Movement(
            time_s=time_s, points_m=points, angles_rad={name: value[rows] for name, value in movement.angles_rad.items()}
        )
    columns = [movement.points_m[name][rows] for name in movement.points_m]
    columns += [movement.angles_rad[name][rows, None] for name in movement.angles_rad]
    even_s, values = resample(time_s, np.concatenate(columns, axis=1), rate_hz=rate_hz)
    count = 3 * len(movement.points_m)
    points = {name: values[:, 3 * k : 3 * k + 3] for k, name in enumerate(movement.points_m)}
    return Movement(
        time_s=even_s, points_m=points, angles_rad={name: values[:, count + k] for k, name in enumerate(movement.angles_rad)}
    )

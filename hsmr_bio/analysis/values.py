"""What a task measures: values of each repetition, and the spans of time that become cycles."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from ..arrays import FloatArray
from .events import Event
from .movement import SIDES, Movement, between

Key: TypeAlias = tuple[str, str]
"""Name of a parameter, and its side: ``r``, ``l`` or empty."""
DEG = 180.0 / np.pi


@dataclass(frozen=True, kw_only=True)
class Span:
    """A repetition in time."""

    kind: str
    """``stride``, ``squat``, ``rise`` or ``lowering``."""
    side: str
    start_s: float
    end_s: float
    note: str = ""
    """Why it may not be like the others; empty if nothing speaks against it."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Examined:
    """Events, values and spans of one stretch of a movement."""

    events: tuple[Event, ...] = ()
    values: Mapping[Key, Sequence[float]] = field(default_factory=dict)
    """A value for each repetition."""
    spans: tuple[Span, ...] = ()


class Values:
    """Collects values by parameter and side."""

    def __init__(self) -> None:
        self.found: dict[Key, list[float]] = {}

    def add(self, name: str, side: str, value: float) -> None:
        """Add the value of one repetition; NaN is left out.

        Args:
            name: of the parameter.
            side: ``r``, ``l`` or empty.
            value: in the parameter's unit.
        """
        if math.isfinite(value):
            self.found.setdefault((name, side), []).append(float(value))


def side_of(name: str) -> str:
    """Give the side that a name tells: ``r`` (``knee_flexion_r``, ``shoulder_r_x``), ``l``, or empty."""
    return next((side for side in SIDES if name.endswith(f"_{side}") or f"_{side}_" in name), "")


def trunk_lean_rad(movement: Movement, forward: FloatArray) -> tuple[FloatArray, FloatArray] | None:
    """Lean of the line from the middle of the hips to the middle of the shoulders against the vertical.

    Args:
        movement: with shoulders.
        forward: (T, 3) horizontal unit vectors.

    Returns:
        (T,) lean forward and lean to the right; None without shoulders.
    """
    top = movement.middle_shoulder_m
    if top is None:
        return None
    line = top - movement.middle_hip_m
    right = np.stack([-forward[:, 2], np.zeros(len(forward)), forward[:, 0]], axis=1)
    ahead, aside = (np.asarray(np.arctan2(np.sum(line * axis, axis=1), line[:, 1])) for axis in (forward, right))
    return ahead, aside


def feet_forward(movement: Movement) -> FloatArray:
    """(3,) horizontal unit vector that the standing feet point to: mean of both feet over time."""
    total = np.zeros(3)
    for side in SIDES:
        line = movement.points_m[f"toe_{side}"] - movement.points_m[f"heel_{side}"]
        total += np.median(line, axis=0)
    total[1] = 0.0
    return np.asarray(total / max(float(np.linalg.norm(total)), 1e-9))


def add_extremes(values: Values, movement: Movement, start_s: float, end_s: float, sides: Sequence[str]) -> None:
    """Add largest value, least value and range of each angle in a span, degrees.

    Args:
        values: collects them.
        movement: with the angles.
        start_s: of the span.
        end_s: of the span.
        sides: whose angles are meant; empty: those of the pelvis and trunk.
    """
    rows = between(movement.time_s, start_s, end_s)
    for angle, value in movement.angles_rad.items():
        side = side_of(angle)
        if side not in sides:
            continue
        name = angle.removesuffix(f"_{side}")
        high, low = float(value[rows].max()) * DEG, float(value[rows].min()) * DEG
        values.add(f"{name}_max", side, high)
        values.add(f"{name}_min", side, low)
        values.add(f"{name}_range", side, high - low)


def angle_at_deg(movement: Movement, name: str, time_s: float) -> float:
    """Interpolate an angle.

    Args:
        movement: with the angle or without.
        name: such as ``knee_flexion_r``.
        time_s: within the movement.

    Returns:
        Degrees; NaN if the movement lacks the angle.
    """
    if name not in movement.angles_rad:
        return float("nan")
    return float(np.interp(time_s, movement.time_s, movement.angles_rad[name])) * DEG

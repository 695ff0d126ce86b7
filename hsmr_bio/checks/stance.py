"""The placed body against gravity and the ground: its directions, its centre of mass, its height, how it is carried."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..osim.document import OsimDocument
from ..osim.placed import PlacedFrames, PlacedModel
from ..types import BoolArray, FloatArray
from . import measures
from .check_row import Skip

_UPRIGHT_SHARE = 0.7
"""Somebody is on their feet whose hips are higher above the lowest foot than this share of the legs' length (chosen: below it
a chair or the floor may carry the body)."""
_RATE_S = 0.2
"""Time over which a turn is measured, s: shorter than a step, longer than jitter (chosen)."""
_LEAST_HORIZONTAL = 0.5
"""A line whose horizontal part is shorter than this share of its length has no direction on the ground (chosen)."""
_FALL_S, _FALL_FRAMES = 0.1, 5
"""Length of the parabolas that measure the centre of mass's acceleration: at least this time and this many frames (chosen)."""


@dataclass(frozen=True, eq=False)
class Stance:
    """A placed model with the bodies that a check of posture needs."""

    placed: PlacedModel
    document: OsimDocument
    hips_m: FloatArray
    """(T, 2, 3) right, left."""
    knees_m: FloatArray
    ankles_m: FloatArray
    feet_m: FloatArray
    """(T, 4, 3) right heel, right toes, left heel, left toes."""
    top_m: FloatArray
    """(T, 3) head, or what is highest in the trunk."""

    @classmethod
    def of(cls, placed: PlacedModel, document: OsimDocument) -> Stance:
        """Find the bodies by OpenSim's usual names.

        Args:
            placed: model and motion.
            document: of the model, for its masses.

        Returns:
            The bodies in every frame.

        Raises:
            Skip: the model has other names.
        """
        trunk = next((name for name in measures.TOP_BODIES if name in placed.bodies), measures.TOP_BODIES[0])
        sides = [placed.origins(f"{name}_r", f"{name}_l") for name in ("femur", "tibia", "talus")]
        feet, top = measures.foot_points(placed), placed.origins(trunk)
        if feet is None or top is None or any(side is None for side in sides):
            raise Skip("the model lacks one of femur, tibia, talus, calcn, toes of both sides, or head, thorax, torso")
        hips, knees, ankles = (np.asarray(side) for side in sides)
        return cls(placed, document, hips, knees, ankles, feet, np.asarray(top[:, 0]))

    @property
    def time_s(self) -> FloatArray:
        """(T,)."""
        return self.placed.time_s

    @cached_property
    def middle_m(self) -> FloatArray:
        """(T, 3) middle of the hips."""
        return np.asarray(self.hips_m.mean(axis=1))

    @cached_property
    def rightwards(self) -> FloatArray:
        """(T, 3) unit vectors from the left hip to the right one."""
        return _unit(self.hips_m[:, 0] - self.hips_m[:, 1])

    @cached_property
    def trunk(self) -> FloatArray:
        """(T, 3) unit vectors from the hips to the top."""
        return _unit(self.top_m - self.middle_m)

    @cached_property
    def forwards(self) -> FloatArray:
        """(T, 3) horizontal unit vectors in which the pelvis faces; NaN where it has no direction on the ground."""
        ahead = np.cross([0.0, 1.0, 0.0], _on_ground(self.rightwards))
        return np.asarray(ahead)

    @cached_property
    def centre_m(self) -> FloatArray:
        """(T, 3) centre of mass.

        Raises:
            Skip: the model has no masses.
        """
        if not self._masses_kg.sum() > 0:
            raise Skip("the model has no masses")
        return self._centre_and_lowest_m[:, :3]

    @cached_property
    def lowest_m(self) -> FloatArray:
        """(T,) height of the lowest body origin or marker."""
        return self._centre_and_lowest_m[:, 3]

    @cached_property
    def _masses_kg(self) -> FloatArray:
        """(J,) of the placed bodies."""
        bodies = [self.document.bodies.get(name) for name in self.placed.bodies]
        return np.array([0.0 if body is None else body.mass_kg for body in bodies])

    @cached_property
    def _centre_and_lowest_m(self) -> FloatArray:
        """(T, 4) centre of mass (0 without masses), and height of the lowest body origin or marker."""
        bodies = [self.document.bodies.get(name) for name in self.placed.bodies]
        local = np.array([(0.0, 0.0, 0.0) if body is None else body.com_m for body in bodies])
        share = self._masses_kg / max(float(self._masses_kg.sum()), np.finfo(float).tiny)
        markers = range(len(self.placed.marker_names))

        def measure(part: PlacedFrames) -> FloatArray:
            centres = part.positions_m + np.einsum("tjab,jb->tja", part.rotations, local)
            heights = np.concatenate([part.positions_m[..., 1], part.markers_m(markers)[..., 1]], axis=1)
            return np.column_stack([np.einsum("j,tjx->tx", share, centres), heights.min(axis=1)])

        return self.placed.of_parts(measure)

    @cached_property
    def on_feet(self) -> BoolArray:
        """(T,) whether the hips are high above the feet, as in standing, walking and running."""
        legs = self.knees_m - self.hips_m, self.ankles_m - self.knees_m
        length_m = float(np.median(sum(np.linalg.norm(bone, axis=-1).mean(axis=1) for bone in legs)))
        return np.asarray(self.middle_m[:, 1] - self.feet_m[..., 1].min(axis=1) > _UPRIGHT_SHARE * length_m)

    def falling_m_s2(self) -> FloatArray:
        """(T,) downward acceleration of the centre of mass, from parabolas over a tenth of a second; NaN near ends and gaps."""
        time_s, height_m = self.time_s, self.centre_m[:, 1]
        found = np.full(len(time_s), np.nan)
        if len(time_s) < _FALL_FRAMES:
            return found
        half = max(_FALL_FRAMES, int(np.ceil(_FALL_S / float(np.median(np.diff(time_s)))))) // 2
        count = 2 * half + 1
        if len(time_s) < count:
            return found
        since_s = sliding_window_view(time_s, count) - time_s[half : len(time_s) - half, None]
        powers = since_s[..., None] ** [0, 1, 2]
        parabola = np.linalg.pinv(powers) @ sliding_window_view(height_m, count)[..., None]
        broken = sliding_window_view(measures.gaps(time_s), count - 1).any(axis=1)
        found[half : len(time_s) - half] = np.where(broken, np.nan, -2 * parabola[:, 2, 0])
        return found

    def turning_rad_s(self) -> tuple[FloatArray, str]:
        """(T,) rate at which hips or shoulders turn about the vertical, over a fifth of a second; and which is faster."""
        lines = {"hips": self.rightwards}
        shoulders = self.placed.origins("humerus_r", "humerus_l")
        if shoulders is not None:
            lines["shoulders"] = _unit(shoulders[:, 0] - shoulders[:, 1])
        rates = {name: self._turning(line) for name, line in lines.items()}
        worst = max(rates, key=lambda name: float(rates[name].max()))
        return rates[worst], worst

    def _turning(self, line: FloatArray) -> FloatArray:
        time_s = self.time_s
        step_s = float(np.median(np.diff(time_s)))
        ahead = max(1, round(_RATE_S / step_s))
        rate = np.zeros(len(time_s))
        if len(time_s) <= ahead:
            return rate
        flat = _on_ground(line)[:, [0, 2]]
        first, last = flat[:-ahead], flat[ahead:]
        turn = np.abs(np.arctan2(first[:, 0] * last[:, 1] - first[:, 1] * last[:, 0], np.sum(first * last, axis=1)))
        passed_s = time_s[ahead:] - time_s[:-ahead]
        rate[ahead:] = np.where(passed_s < 2 * ahead * step_s, np.nan_to_num(turn / passed_s), 0.0)
        return rate


def _unit(vectors: FloatArray) -> FloatArray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def _on_ground(units: FloatArray) -> FloatArray:
    """(T, 3) horizontal unit vectors along the horizontal part of unit vectors; NaN where that is short."""
    flat = units * [1.0, 0.0, 1.0]
    size = np.linalg.norm(flat, axis=-1, keepdims=True)
    return np.asarray(np.where(size > _LEAST_HORIZONTAL, flat / np.maximum(size, _LEAST_HORIZONTAL), np.nan))

"""From a model's coordinates to those of its export for nimblephysics, and forces back.

Where a person's joint slides along a way of its own, the export has three translations more. They are functions of the
model's coordinates, so speeds and accelerations follow by the chain rule, and by virtual work the engine's generalized forces
add up to the model's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..kinematics.functions import Function, Linear
from ..types import FloatArray
from .document import OsimDocument
from .nimble_export import extra_coordinate, free_joints, xzy_frame

_STEP_S = 1e-4
"""Of the central difference that gives how fast the slopes change along a motion."""


@dataclass(frozen=True, eq=False)
class _Sum:
    """A weighted sum of functions: one coordinate of the export."""

    parts: tuple[tuple[float, Function], ...]

    def value(self, q: Tensor) -> Tensor:
        return sum((weight * f.value_and_partials(q)[0] for weight, f in self.parts), torch.zeros_like(q[..., 0]))

    def partials(self, q: Tensor) -> dict[int, Tensor]:
        """Derivative by each coordinate that it reads."""
        found: dict[int, Tensor] = {}
        for weight, f in self.parts:
            for n, partial in zip(f.inputs, f.value_and_partials(q)[1], strict=True):
                found[n] = found.get(n, 0.0) + weight * partial
        return found


class NimbleStates:
    """States of a model as states of its export.

    Args:
        document: the model that was exported.
    """

    def __init__(self, document: OsimDocument) -> None:
        tree = document.tree()
        columns = {name: _Sum(((1.0, Linear(n)),)) for n, name in enumerate(tree.coordinates)}
        free = free_joints(document)
        for joint in tree.joints:
            if joint.name not in free:
                continue
            for _, function in joint.rotations:
                columns[tree.coordinates[function.inputs[0]]] = _Sum(((1.0, function),))  # the export has the angle itself
            along = xzy_frame(joint) @ np.array([axis for axis, _ in joint.translations], dtype=np.float64).T
            for i, row in enumerate(along.tolist()):
                weighted = zip(row, (f for _, f in joint.translations), strict=True)
                columns[extra_coordinate(joint.name, i)] = _Sum(tuple(weighted))
        self.coordinates = tree.coordinates
        self._columns = columns

    @property
    def names(self) -> tuple[str, ...]:
        """The export's coordinates: the model's in its order, then the further translations."""
        return tuple(self._columns)

    def positions(self, q_si: FloatArray) -> FloatArray:
        """(T, N) values of the model's coordinates -> (T, M) of the export's."""
        q = torch.as_tensor(np.array(q_si, dtype=np.float64))
        return np.stack([column.value(q).numpy() for column in self._columns.values()], axis=-1)

    def speeds(self, q_si: FloatArray, u_si: FloatArray) -> FloatArray:
        """(T, M) rates of the export's coordinates at rates (T, N) of the model's."""
        slopes = self._slopes(q_si)
        out = np.zeros((len(q_si), len(self._columns)))
        for row, column, slope in slopes:
            out[:, row] += slope * u_si[:, column]
        return out

    def accelerations(self, q_si: FloatArray, u_si: FloatArray, a_si: FloatArray) -> FloatArray:
        """(T, M) second derivatives of the export's coordinates."""
        ahead, behind = (self.speeds(q_si + sign * _STEP_S * u_si, u_si) for sign in (1.0, -1.0))
        return self.speeds(q_si, a_si) + (ahead - behind) / (2 * _STEP_S)

    def forces(self, q_si: FloatArray, forces_si: FloatArray) -> FloatArray:
        """(T, M) generalized forces of the export -> (T, N) of the model."""
        out = np.zeros((len(q_si), len(self.coordinates)))
        for row, column, slope in self._slopes(q_si):
            out[:, column] += slope * forces_si[:, row]
        return out

    def _slopes(self, q_si: FloatArray) -> list[tuple[int, int, FloatArray]]:
        """(export's coordinate, model's coordinate, partial derivative (T,))."""
        q = torch.as_tensor(np.array(q_si, dtype=np.float64))
        return [
            (row, n, partial.numpy())
            for row, column in enumerate(self._columns.values())
            for n, partial in column.partials(q).items()
        ]

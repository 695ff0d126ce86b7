"""Maps a model's coordinates to those of its export for nimblephysics, and forces back.

For a person's spine and scapulae the export has three additional translations per joint. They are functions of the model's
coordinates: speeds and accelerations follow by the chain rule, generalized forces by virtual work.
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
"""Step of the central difference for the rate of the partial derivatives along a motion; chosen."""


@dataclass(frozen=True, eq=False)
class _Sum:
    """A weighted sum of functions: one coordinate of the export."""

    parts: tuple[tuple[float, Function], ...]

    def value(self, q: Tensor) -> Tensor:
        return sum((weight * f.value_and_partials(q)[0] for weight, f in self.parts), torch.zeros_like(q[..., 0]))

    def partials(self, q: Tensor) -> dict[int, Tensor]:
        """Partial derivative with respect to each input coordinate."""
        total: dict[int, Tensor] = {}
        for weight, f in self.parts:
            for n, partial in zip(f.inputs, f.value_and_partials(q)[1], strict=True):
                total[n] = total.get(n, 0.0) + weight * partial
        return total


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
                columns[tree.coordinates[function.inputs[0]]] = _Sum(((1.0, function),))  # the export's coordinate is the angle
            axes = xzy_frame(joint) @ np.array([axis for axis, _ in joint.translations], dtype=np.float64).T
            for i, row in enumerate(axes.tolist()):
                weighted = zip(row, (f for _, f in joint.translations), strict=True)
                columns[extra_coordinate(joint.name, i)] = _Sum(tuple(weighted))
        self.coordinates = tree.coordinates
        self._columns = columns

    @property
    def names(self) -> tuple[str, ...]:
        """The export's coordinates: the model's in its order, then the additional translations."""
        return tuple(self._columns)

    def positions(self, q_si: FloatArray) -> FloatArray:
        """(T, M) values of the export's coordinates at values (T, N) of the model's."""
        q = torch.as_tensor(np.array(q_si, dtype=np.float64))
        return np.stack([column.value(q).numpy() for column in self._columns.values()], axis=-1)

    def speeds(self, q_si: FloatArray, u_si: FloatArray) -> FloatArray:
        """Rates of the export's coordinates.

        Args:
            q_si: (T, N) values of the model's coordinates.
            u_si: (T, N) their rates.

        Returns:
            (T, M).
        """
        out = np.zeros((len(q_si), len(self._columns)))
        for row, column, slope in self._slopes(q_si):
            out[:, row] += slope * u_si[:, column]
        return out

    def accelerations(self, q_si: FloatArray, u_si: FloatArray, a_si: FloatArray) -> FloatArray:
        """Second derivatives of the export's coordinates.

        Args:
            q_si: (T, N) values of the model's coordinates.
            u_si: (T, N) their rates.
            a_si: (T, N) their second derivatives.

        Returns:
            (T, M).
        """
        after, before = (self.speeds(q_si + sign * _STEP_S * u_si, u_si) for sign in (1.0, -1.0))
        return self.speeds(q_si, a_si) + (after - before) / (2 * _STEP_S)

    def forces(self, q_si: FloatArray, forces_si: FloatArray) -> FloatArray:
        """Generalized forces of the model.

        Args:
            q_si: (T, N) values of the model's coordinates.
            forces_si: (T, M) generalized forces of the export.

        Returns:
            (T, N).
        """
        out = np.zeros((len(q_si), len(self.coordinates)))
        for row, column, slope in self._slopes(q_si):
            out[:, column] += slope * forces_si[:, row]
        return out

    def _slopes(self, q_si: FloatArray) -> list[tuple[int, int, FloatArray]]:
        """Column of the export's coordinate, column of the model's, partial derivative (T,)."""
        q = torch.as_tensor(np.array(q_si, dtype=np.float64))
        return [
            (row, n, partial.numpy())
            for row, column in enumerate(self._columns.values())
            for n, partial in column.partials(q).items()
        ]

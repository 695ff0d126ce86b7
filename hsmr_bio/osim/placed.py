"""A model in every frame of a motion: its coordinates, bodies and markers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from ..types import FloatArray, OsimMotion
from .document import OsimDocument


@dataclass(frozen=True, eq=False, kw_only=True)
class PlacedModel:
    """Bodies and markers of a model in every frame of a motion, in ground."""

    time_s: FloatArray
    bodies: tuple[str, ...]
    positions_m: FloatArray
    """(T, J, 3) body origins."""
    rotations: FloatArray
    """(T, J, 3, 3) body orientations."""
    marker_names: tuple[str, ...]
    marker_bodies: tuple[str, ...]
    markers_m: FloatArray
    """(T, M, 3)."""

    def origins(self, *names: str) -> FloatArray | None:
        """(T, N, 3) origins of bodies; None if the model lacks one of them."""
        if not set(names) <= set(self.bodies):
            return None
        return np.stack([self.positions_m[:, self.bodies.index(name)] for name in names], axis=1)


def coordinate_values(motion: OsimMotion, document: OsimDocument) -> FloatArray:
    """Sort a motion into the order of a model's coordinates.

    Args:
        motion: with coordinates in any order.
        document: the model.

    Returns:
        (T, N) rad or m. Coordinates that the motion lacks keep their default; those that a constraint couples to others follow
        them, as in OpenSim.

    Raises:
        UnknownCoordinateError: the motion has a coordinate that the model has not.
    """
    values = np.tile(document.default_si, (len(motion.time_s), 1))
    order = list(document.coordinates)
    values[:, [order.index(document.coordinate(name).name) for name in motion.coordinates]] = motion.values_si
    return document.couple(values)


@lru_cache(maxsize=1)
def place_model(motion: OsimMotion, document: OsimDocument) -> PlacedModel:
    """Evaluate the model's bodies and markers in every frame; the last result is kept for the next caller.

    Args:
        motion: see :func:`coordinate_values`.
        document: the model.

    Returns:
        The placed model, without markers that stand in ground.

    Raises:
        ModelError: a joint that cannot be evaluated.
        UnknownCoordinateError: the motion has a coordinate that the model has not.
    """
    tree = document.tree()
    pose = tree.forward(coordinate_values(motion, document))
    markers = tuple(marker for marker in document.markers.values() if marker.body in tree.bodies)
    local = torch.tensor([marker.position_m for marker in markers], dtype=tree.dtype).reshape(-1, 3)
    index = [tree.bodies.index(marker.body) for marker in markers]
    return PlacedModel(
        time_s=motion.time_s,
        bodies=tree.bodies,
        positions_m=pose.positions_m.numpy(),
        rotations=pose.rotations.numpy(),
        marker_names=tuple(marker.name for marker in markers),
        marker_bodies=tuple(marker.body for marker in markers),
        markers_m=pose.points(index, local).numpy(),
    )

"""A model in every frame of a motion: its coordinates, bodies and markers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
import torch

from ..kinematics.tree import TreePose
from ..types import FloatArray, OsimMotion, Progress, quiet
from .document import OsimDocument

_TOGETHER = 256
"""Frames that are placed at once: their intermediate results take 5 MB with 24 bodies."""


class PlacedFrames(NamedTuple):
    """Some frames of a placed model."""

    positions_m: FloatArray
    """(B, J, 3) body origins."""
    rotations: FloatArray
    """(B, J, 3, 3) body orientations."""
    markers_m: Callable[[Sequence[int]], FloatArray]
    """Returns (B, N, 3) of the markers with these numbers."""


class PlacedModel:
    """Bodies and markers of a model in every frame of a motion, in ground.

    A long motion is placed part by part, and only what somebody asks for is kept: all orientations and markers of
    100 000 frames would take 400 MB.

    Args:
        time_s: (T,).
        bodies: J names.
        marker_names: M names.
        marker_bodies: M names of the bodies that carry them.
        parts: places the model; yields its frames in order, in parts of any length.
    """

    def __init__(
        self,
        *,
        time_s: FloatArray,
        bodies: tuple[str, ...],
        marker_names: tuple[str, ...],
        marker_bodies: tuple[str, ...],
        parts: Callable[[], Iterator[PlacedFrames]],
    ) -> None:
        self.time_s = time_s
        self.bodies = bodies
        self.marker_names = marker_names
        self.marker_bodies = marker_bodies
        self._parts = parts
        self._positions: FloatArray | None = None
        self._rotations: FloatArray | None = None
        self._markers: dict[str, FloatArray] = {}

    def place(self, markers: Sequence[str] = (), *, rotations: bool = False, progress: Progress = quiet) -> None:
        """Place body origins and what else is named, in one pass through the motion, as far as it is not there yet.

        Args:
            markers: names of markers.
            rotations: whether to keep body orientations.
            progress: called after each part of the motion.
        """
        frames, bodies = len(self.time_s), len(self.bodies)
        wanted = [name for name in dict.fromkeys(markers) if name not in self._markers]
        turns = rotations and self._rotations is None
        if self._positions is not None and not wanted and not turns:
            return
        columns = [self.marker_names.index(name) for name in wanted]
        positions, points = np.empty((frames, bodies, 3)), np.empty((len(wanted), frames, 3))
        orientations = np.empty((frames, bodies, 3, 3) if turns else (0,))
        first = 0
        for part in self._parts():
            rows = slice(first, first + len(part.positions_m))
            positions[rows] = part.positions_m
            if turns:
                orientations[rows] = part.rotations
            if wanted:
                points[:, rows] = part.markers_m(columns).swapaxes(0, 1)
            first = rows.stop
            progress("placing the model", first, frames)
        self._positions = positions
        self._rotations = orientations if turns else self._rotations
        self._markers |= dict(zip(wanted, points, strict=True))

    def of_parts(self, measure: Callable[[PlacedFrames], FloatArray]) -> FloatArray:
        """Measure every frame in one pass through the motion, and keep nothing else.

        Args:
            measure: gives (B, N) values of B placed frames.

        Returns:
            (T, N) values.
        """
        return np.concatenate([measure(part) for part in self._parts()])

    @property
    def positions_m(self) -> FloatArray:
        """(T, J, 3) body origins."""
        self.place()
        return np.asarray(self._positions)

    @property
    def rotations(self) -> FloatArray:
        """(T, J, 3, 3) body orientations."""
        self.place(rotations=True)
        return np.asarray(self._rotations)

    @property
    def markers_m(self) -> FloatArray:
        """(T, M, 3) of all markers; :meth:`markers` has single ones."""
        return self.markers(*self.marker_names)

    def markers(self, *names: str) -> FloatArray:
        """(T, N, 3) of markers of the model."""
        self.place(names)
        return np.stack([self._markers[name] for name in names], axis=1) if names else np.zeros((len(self.time_s), 0, 3))

    def markers_on(self, *bodies: str) -> tuple[str, ...]:
        """Names of the markers on bodies."""
        return tuple(name for name, body in zip(self.marker_names, self.marker_bodies, strict=True) if body in bodies)

    def origins(self, *names: str) -> FloatArray | None:
        """(T, N, 3) origins of bodies; None if the model lacks one of them."""
        if not set(names) <= set(self.bodies):
            return None
        return np.stack([self.positions_m[:, self.bodies.index(name)] for name in names], axis=1)


def coordinate_values(motion: OsimMotion, document: OsimDocument, frames: slice = slice(None)) -> FloatArray:
    """Sort a motion into the order of a model's coordinates.

    Args:
        motion: with coordinates in any order.
        document: the model.
        frames: which frames of the motion.

    Returns:
        (T, N) rad or m. Coordinates that the motion lacks keep their default; those that a constraint couples to others follow
        them, as in OpenSim.

    Raises:
        UnknownCoordinateError: the motion has a coordinate that the model has not.
    """
    given = motion.values_si[frames]
    values = np.tile(document.default_si, (len(given), 1))
    order = list(document.coordinates)
    values[:, [order.index(document.coordinate(name).name) for name in motion.coordinates]] = given
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
    markers = tuple(marker for marker in document.markers.values() if marker.body in tree.bodies)
    local = torch.tensor([marker.position_m for marker in markers], dtype=tree.dtype).reshape(-1, 3)
    index = torch.tensor([tree.bodies.index(marker.body) for marker in markers], dtype=torch.long)
    coordinate_values(motion, document, slice(0, 1))  # an unknown coordinate, or a coupling that cannot be evaluated

    def parts() -> Iterator[PlacedFrames]:
        for first in range(0, len(motion.time_s), _TOGETHER):
            pose = tree.forward(coordinate_values(motion, document, slice(first, first + _TOGETHER)))
            yield PlacedFrames(pose.positions_m.numpy(), pose.rotations.numpy(), partial(_points, pose, index, local))

    return PlacedModel(
        time_s=motion.time_s,
        bodies=tree.bodies,
        marker_names=tuple(marker.name for marker in markers),
        marker_bodies=tuple(marker.body for marker in markers),
        parts=parts,
    )


def _points(pose: TreePose, index: torch.Tensor, local: torch.Tensor, columns: Sequence[int]) -> FloatArray:
    chosen = torch.tensor(columns, dtype=torch.long)
    return np.asarray(pose.points(index[chosen], local[chosen]).numpy())

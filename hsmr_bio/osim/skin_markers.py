"""The 105 BSM markers on any body: each is the skin point nearest to the marker's place on its bone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..skeleton import JOINT_NAMES, PARENTS
from ..types import FloatArray
from .parts import OsimMarker, Triple
from .person import Geometry

_MIN_WEIGHT = 0.25
"""A vertex can carry a marker of a bone if the bone, its parent and its children together have at least this weight."""


def marker_vertices(mean: Geometry, factors: Mapping[str, Triple]) -> dict[str, int]:
    """Skin vertex of each marker of the generic model.

    The marker's place on its bone is stretched with the bone; the nearest skin vertex that moves with this bone or a
    neighbour of it is taken. Chosen on the mean body, so that a marker is the same spot of the skin on every shape.

    Args:
        mean: the body at betas 0.
        factors: body -> scale of the mean body against the generic model.

    Returns:
        Marker name -> vertex.
    """
    weights = np.asarray(mean.body.data.skin_weights.toarray())
    found = {}
    for marker in mean.generic.markers.values():
        j = JOINT_NAMES.index(marker.body)
        near = [j, *(k for k, parent in enumerate(PARENTS) if parent == j), *([PARENTS[j]] if PARENTS[j] >= 0 else [])]
        allowed = weights[:, near].sum(axis=1) >= _MIN_WEIGHT
        allowed &= weights[:, j] > 0
        place = mean.generic_place_m(marker.body, marker.position_m) * factors[marker.body]
        distance = np.linalg.norm(mean.local_skin_m(marker.body) - place, axis=1)
        found[marker.name] = int(np.argmin(np.where(allowed, distance, np.inf)))
    return found


def place_markers(geometry: Geometry, vertices: Mapping[str, int]) -> list[OsimMarker]:
    """Markers of a person: the chosen vertices of the T pose skin in the frames of their bodies."""
    skin: FloatArray = geometry.skin_m
    made = []
    for marker in geometry.generic.markers.values():
        j = JOINT_NAMES.index(marker.body)
        local = geometry.rotations[j].T @ (skin[vertices[marker.name]] - geometry.origins_m[j])
        made.append(OsimMarker(marker.name, marker.body, (float(local[0]), float(local[1]), float(local[2]))))
    return made

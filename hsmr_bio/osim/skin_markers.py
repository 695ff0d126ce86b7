"""The 105 BSM markers on any body: each is the skin vertex nearest to the marker's position on its bone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..skeleton import JOINT_NAMES, PARENTS
from .parts import OsimMarker, Triple, triple
from .person import TPose

_MIN_WEIGHT = 0.25
"""A vertex can carry a marker of a bone if the bone, its parent and its children together have at least this weight; chosen."""


def marker_vertices(mean: TPose, factors: Mapping[str, Triple]) -> dict[str, int]:
    """Skin vertex of each marker of the generic model.

    The marker's position on its bone scales with the bone; the vertex is the nearest one that moves with this bone or its
    neighbours. It is found on the mean body, so that a marker is the same point of the skin on every shape.

    Args:
        mean: the body at betas 0.
        factors: body -> scale of the mean body relative to the generic model.

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
        position = mean.from_generic_m(marker.body, marker.position_m) * factors[marker.body]
        distance = np.linalg.norm(mean.local_skin_m(marker.body) - position, axis=1)
        found[marker.name] = int(np.argmin(np.where(allowed, distance, np.inf)))
    return found


def place_markers(t_pose: TPose, vertices: Mapping[str, int]) -> list[OsimMarker]:
    """Markers of a person, in the frames of their bodies.

    Args:
        t_pose: of the person.
        vertices: marker name -> skin vertex.

    Returns:
        The markers of the generic model, at their vertices of the T pose skin.
    """
    made = []
    for marker in t_pose.generic.markers.values():
        j = JOINT_NAMES.index(marker.body)
        local = t_pose.rotations[j].T @ (t_pose.skin_m[vertices[marker.name]] - t_pose.origins_m[j])
        made.append(OsimMarker(marker.name, marker.body, triple(local)))
    return made

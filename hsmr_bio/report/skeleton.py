"""Joints and bones of an OpenSim model in a motion, for the pictures of the report."""

from __future__ import annotations

import numpy as np

from hsmr_bio.osim.document import OsimDocument
from hsmr_bio.osim.placed import place_model
from hsmr_bio.types import FloatArray, OsimMotion

END_OF_LEAF = "_end"
"""Ending of the name of the point that a body without children is drawn to."""


def model_skeleton(
    motion: OsimMotion, document: OsimDocument
) -> tuple[FloatArray, tuple[str, ...], tuple[tuple[int, int], ...]]:
    """Compute the joint centres of a model, and the pairs to connect by lines.

    A body without children (head, hands, toes) is drawn to the middle of its markers, if it has any.

    Args:
        motion: its coordinates over T frames.
        document: the model.

    Returns:
        (T, J, 3) positions in ground; J names: bodies, then ends of leaf bodies as ``BODY_end``; pairs of joints.
    """
    placed, parents = place_model(motion, document), document.tree().parents
    names, positions = list(placed.bodies), [placed.positions_m]
    bones = [(parent, body) for body, parent in enumerate(parents) if parent >= 0]
    for body, name in enumerate(placed.bodies):
        own = placed.markers_on(name)
        if body not in parents and own:
            bones.append((body, len(names)))
            names.append(name + END_OF_LEAF)
            positions.append(placed.markers(*own).mean(axis=1, keepdims=True))
    return np.concatenate(positions, axis=1), tuple(names), tuple(bones)

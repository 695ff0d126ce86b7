"""Joints and bones of an OpenSim model in a motion, for the pictures of the report."""

from __future__ import annotations

import numpy as np
import torch

from hsmr_bio.mapping import coordinate_values
from hsmr_bio.osim.document import OsimDocument
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
    tree = document.tree()
    pose = tree.forward(coordinate_values(motion, document))
    names = list(tree.bodies)
    parents = [joint.parent for joint in tree.joints]
    bones = [(parent, body) for body, parent in enumerate(parents) if parent >= 0]
    leaves, ends = [], []
    for body, name in enumerate(names):
        markers = [marker.position_m for marker in document.markers.values() if marker.body == name]
        if body not in parents and markers:
            leaves.append(body)
            ends.append(np.mean(markers, axis=0))
    positions = pose.positions_m
    if leaves:
        tips = pose.points(leaves, torch.tensor(np.array(ends), dtype=torch.float64))
        positions = torch.cat([positions, tips], dim=1)
        bones += [(body, len(names) + n) for n, body in enumerate(leaves)]
        names += [names[body] + END_OF_LEAF for body in leaves]
    return positions.numpy(), tuple(names), tuple(bones)

"""The body as a tree of OpenSim joints whose coordinates are SKEL's own angles.

SKEL rotates joint c by ``Rk Ra^T Rp(q) Ra Rk^T`` in rest axes and translates it by ``o_c + delta_c(q)`` in rest axes of its
parent. Between bone frames this is a CustomJoint: fixed frame ``Rk_p^-1 Rk_c Ra_c^T``, moving frame ``Ra_c^T``, SKEL's axes in
reverse order (OpenSim's first axis is fixed to the parent, SKEL's first angle acts first), and delta along the rest axes.
Matrices are inverted, not transposed: they are orthonormal to 1e-8 only, and SKEL's result is then exact to rounding.

Source:
    Keller et al. 2023 (SKEL 1.1.1), as in :mod:`hsmr_bio.body.forward`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hsmr_bio.kinematics.functions import Function, Linear
from hsmr_bio.kinematics.tree import Channel, Joint, Tree
from hsmr_bio.skeleton import DOF_NAMES, JOINT_AXES, JOINT_DOFS, JOINT_NAMES

from .forward import Constants, Rest, moving_axes

TRANS_NAMES: tuple[str, ...] = ("trans_x", "trans_y", "trans_z")
COORDINATES: tuple[str, ...] = DOF_NAMES + TRANS_NAMES
"""Coordinates of a body's tree: SKEL's 46 angles, then its translation along the ground axes."""
_ROOT = tuple(Linear(len(DOF_NAMES) + axis) for axis in range(3))


def body_tree(parents: tuple[int, ...], c: Constants, rest: Rest) -> Tree:
    """Build the tree of one shape, or of one shape per frame (Bs > 1).

    Args:
        parents: (24) parent of each joint.
        c: the body.
        rest: its T pose.

    Returns:
        The tree. Its bodies are SKEL's bones, in its order; the ground has SKEL's rest axes.
    """
    single = len(rest.joints) == 1
    rotations, offsets = rest.rotations, rest.offsets
    inverse = torch.linalg.inv(rotations)
    joints = []
    for j, parent in enumerate(parents):
        to_parent = inverse[:, parent] if parent >= 0 else torch.eye(3).to(inverse).expand_as(inverse[:, 0])
        fixed = to_parent @ rotations[:, j] @ c.apose_rot[j].T
        moving = (c.apose_rot[j] @ rotations[:, j].transpose(-1, -2) @ rotations[:, j]).transpose(-1, -2)
        along = torch.linalg.inv(fixed) @ to_parent
        translation = (to_parent @ offsets[:, j, :, None])[..., 0]
        channels: tuple[Function, ...] = _ROOT if parent < 0 else moving_axes(j, rest)
        joints.append(
            Joint(
                name=JOINT_NAMES[j],
                body=JOINT_NAMES[j],
                parent=parent,
                parent_rotation=_squeeze(fixed, single),
                parent_translation_m=_squeeze(translation, single),
                child_rotation=_squeeze(moving, single),
                child_translation_m=torch.zeros(3).to(offsets),
                rotations=_rotations(j),
                translations=tuple((_squeeze(along[..., axis], single), function) for axis, function in enumerate(channels)),
            )
        )
    return Tree(joints, COORDINATES, dtype=offsets.dtype, device=offsets.device)


def _squeeze(value: Tensor, single: bool) -> Tensor:
    return value[0] if single else value


def _rotations(joint: int) -> tuple[Channel, ...]:
    channels: list[Channel] = []
    for dof, axis in zip(reversed(JOINT_DOFS[joint]), reversed(JOINT_AXES[joint]), strict=True):
        length = float(sum(value * value for value in axis) ** 0.5)
        channels.append((tuple(value / length for value in axis), Linear(dof, slope=length)))
    return tuple(channels)

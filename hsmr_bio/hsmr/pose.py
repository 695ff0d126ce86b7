"""Pose representations: 46 Euler angles, 24 rotation matrices, and the 24x6 numbers of the network's output.

The network's output ("rep") has per joint: the first two *rows* of the rotation (3 angles), ``cos q, -sin q`` (1 angle), or
the angles themselves (2 angles: the wrists, as in the release, for its weights).
Source: Xia et al. 2025 (HSMR) and its release; Zhou et al. 2019 (6D rotations).
"""

from __future__ import annotations

from math import pi

import torch
from torch import Tensor
from torch.nn import functional

from ..kinematics.rotations import about_axis
from ..skeleton import JOINT_AXES, JOINT_DOFS

MEAN_POSE_RAD: tuple[float, ...] = (
    *(3.1415927, 0.0, 0.0),
    *(0.25820184, -0.0070540169, -0.087581702, 0.47313252, 0.17969553, -0.088876769, 0.1685874),
    *(0.21810555, -0.042616524, -0.025765277, 0.40046576, 0.22350328, -0.12816691, 0.097408049),
    *(0.0079731578, -0.17570567, 0.01277646, -0.0050133974, -0.013977036, -0.025100665),
    *(0.033428278, -0.070454843, 0.011786817),
    *(0.11710781, 0.22040418, -0.15290412, 0.81089187, -0.15045549, 0.32635507),
    *(0.87692541, 0.0028917873, 0.0093058459, -0.13572657),
    *(-0.072227731, -0.20905407, -0.2010324, -0.79168558, 0.084718391, 0.39035177),
    *(0.90358895, -0.023677995, -0.029802602, -0.18856768),
)
"""Mean pose, added to the output of the head; a pelvis tilt of pi is upright in a y-down camera."""
MEAN_BETAS = (
    *(0.07217558, 0.49867696, 0.4030121, -0.009203382, 0.25984487),
    *(-0.6515638, 0.30399042, -0.5180162, 0.4775672, 0.21772282),
)
"""Mean betas, added to the output of the head."""
MEAN_CAMERA = (0.9, 0.0, 0.0)
"""Mean camera (s, tx, ty), added to the output of the head."""

_ONE = tuple(j for j, dofs in enumerate(JOINT_DOFS) if len(dofs) == 1)
_TWO = tuple(j for j, dofs in enumerate(JOINT_DOFS) if len(dofs) == 2)
_THREE = tuple(j for j, dofs in enumerate(JOINT_DOFS) if len(dofs) == 3)
_ONE_Q = [JOINT_DOFS[j][0] for j in _ONE]

_EULER: tuple[tuple[str, tuple[int, ...], tuple[tuple[int, int, int], ...]], ...] = (
    ("YXZ", (0, 1, 6), ((1, 1, 1), (1, 1, 1), (1, -1, -1))),
    ("YZX", (11, 12, 13), ((1, 1, 1),) * 3),
    ("XZY", (14, 19), ((1, -1, -1), (1, 1, 1))),
    ("ZYX", (15, 20), ((1, 1, 1),) * 2),
)
"""Euler order, its joints, and per joint the signs from the Euler angles to q0, q1, q2."""


def _safe_asin(x: Tensor) -> Tensor:
    """Return asin of the argument clamped to [-1, 1], with zero gradient at the ends, where that of asin is infinite."""
    inside = x.abs() < 1
    return torch.where(inside, torch.asin(torch.where(inside, x, torch.zeros_like(x))), torch.sign(x) * (pi / 2))


def euler_from_matrix(rotation: Tensor, order: str) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the angles (alpha, beta, gamma) of ``R = R_A(alpha) R_B(beta) R_C(gamma)`` for three different axes ABC.

    Args:
        rotation: (..., 3, 3).
        order: such as ``"YXZ"``, read left to right.

    Returns:
        Three tensors (...), radians; beta in [-pi/2, pi/2], the others in (-pi, pi].
    """
    a, b, c = ("XYZ".index(axis) for axis in order)
    even = 1.0 if (b - a) % 3 == 1 else -1.0
    beta = _safe_asin(even * rotation[..., a, c])
    alpha = torch.atan2(-even * rotation[..., b, c], rotation[..., c, c])
    gamma = torch.atan2(-even * rotation[..., a, b], rotation[..., a, a])
    return alpha, beta, gamma


def axis_rotation(axis: str, angle_rad: Tensor) -> Tensor:
    """Compute the right-handed rotation about a coordinate axis.

    Args:
        axis: X, Y or Z.
        angle_rad: (...).

    Returns:
        (..., 3, 3).
    """
    return about_axis([float(name == axis) for name in "XYZ"], angle_rad)


def poses_to_matrices(poses_rad: Tensor) -> Tensor:
    """Compute the local rotation of each joint in the OpenSim bone frames; the first angle of a joint acts first.

    Args:
        poses_rad: (..., 46).

    Returns:
        (..., 24, 3, 3).
    """
    single = about_axis([a for joint in JOINT_AXES for a in joint], poses_rad)
    joints = []
    for dofs in JOINT_DOFS:
        product = single[..., dofs[0], :, :]
        for dof in dofs[1:]:
            product = single[..., dof, :, :] @ product
        joints.append(product)
    return torch.stack(joints, dim=-3)


def poses_to_rep(poses_rad: Tensor) -> Tensor:
    """Convert poses to the network's 24x6 numbers.

    Args:
        poses_rad: (..., 46).

    Returns:
        (..., 24, 6).
    """
    rep = poses_rad.new_zeros(*poses_rad.shape[:-1], 24, 6)
    rep[..., _THREE, :] = poses_to_matrices(poses_rad)[..., _THREE, :2, :].flatten(-2)
    rep[..., _ONE, 0] = torch.cos(poses_rad[..., _ONE_Q])
    rep[..., _ONE, 1] = -torch.sin(poses_rad[..., _ONE_Q])
    for joint in _TWO:
        rep[..., joint, :2] = poses_rad[..., list(JOINT_DOFS[joint])]
    return rep


def rep_to_poses(rep: Tensor) -> Tensor:
    """Convert the network's 24x6 numbers to poses; the rows are made orthonormal by Gram-Schmidt.

    Args:
        rep: (..., 24, 6).

    Returns:
        (..., 46) radians. A middle angle beyond +-pi/2 is returned as the other Euler triple of the same rotation.
    """
    out: list[Tensor] = [rep.new_zeros(0)] * 46
    for joint, dof in zip(_ONE, _ONE_Q, strict=True):
        out[dof] = torch.atan2(-rep[..., joint, 1], rep[..., joint, 0])
    for joint in _TWO:
        for k, dof in enumerate(JOINT_DOFS[joint]):
            out[dof] = rep[..., joint, k]
    for order, joints, signs in _EULER:
        rotation = rows_to_matrix(rep[..., list(joints), :])
        alpha, beta, gamma = euler_from_matrix(rotation, order)
        for i, (joint, sign) in enumerate(zip(joints, signs, strict=True)):
            for dof, angle, s in zip(JOINT_DOFS[joint], (gamma, beta, alpha), sign, strict=True):
                out[dof] = angle[..., i] * s
    return torch.stack(out, dim=-1)


def rows_to_matrix(six: Tensor) -> Tensor:
    """Convert (..., 6) two rows to a rotation (..., 3, 3) by Gram-Schmidt."""
    first = functional.normalize(six[..., :3], dim=-1)
    rest = six[..., 3:]
    second = functional.normalize(rest - (first * rest).sum(-1, keepdim=True) * first, dim=-1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], dim=-2)


def rotate_in_image(poses_rad: Tensor, angle_rad: Tensor) -> Tensor:
    """Rotate poses with the image rotation of the augmentation: the content rotates by minus the angle of the box.

    Args:
        poses_rad: (..., 46).
        angle_rad: (...) rotation of the source box.

    Returns:
        (..., 46).
    """
    tilt, side, turn = poses_rad[..., :3].unbind(-1)
    rotation = axis_rotation("Y", turn) @ axis_rotation("X", side) @ axis_rotation("Z", tilt)
    alpha, beta, gamma = euler_from_matrix(axis_rotation("X", -angle_rad) @ rotation, "YXZ")
    return torch.cat([torch.stack([gamma, beta, alpha], dim=-1), poses_rad[..., 3:]], dim=-1)

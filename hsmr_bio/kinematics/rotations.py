"""Rotations in torch: batched, differentiable at zero, without branches on data.

Matrices act on column vectors; ``R_a_b`` takes vectors from frame b to frame a.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def skew(vector: Tensor) -> Tensor:
    """Cross-product matrices: ``skew(a) @ b == cross(a, b)``; (..., 3) -> (..., 3, 3)."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).reshape(*vector.shape[:-1], 3, 3)


def exp(rotation_vector: Tensor) -> Tensor:
    """Rotation matrices of rotation vectors (Rodrigues); (..., 3) rad -> (..., 3, 3).

    Written with sinc so that value and derivative are right at zero.
    """
    # torch.sinc has a finite, correct second derivative only away from zero; the norm is therefore guarded.
    squared = (rotation_vector * rotation_vector).sum(-1, keepdim=True)[..., None]
    tiny = squared < 1e-12
    angle = torch.where(tiny, torch.ones_like(squared), squared).sqrt()
    first = torch.where(tiny, 1 - squared / 6, torch.sin(angle) / angle)
    second = torch.where(tiny, 0.5 - squared / 24, (1 - torch.cos(angle)) / (angle * angle))
    cross = skew(rotation_vector)
    return torch.eye(3, dtype=cross.dtype, device=cross.device) + first * cross + second * (cross @ cross)


def log(matrix: Tensor) -> Tensor:
    """Rotation vectors of rotation matrices; (..., 3, 3) -> (..., 3) rad, length in [0, pi].

    Goes through the unit quaternion with the largest component positive, which is accurate at every angle.
    """
    quaternion = matrix_to_quaternion(matrix)
    w, xyz = quaternion[..., :1], quaternion[..., 1:]
    sine = xyz.norm(dim=-1, keepdim=True)
    small = sine < 1e-7
    safe = torch.where(small, torch.ones_like(sine), sine)
    factor = torch.where(small, 2 / w.clamp_min(0.5), 2 * torch.atan2(safe, w) / safe)
    return factor * xyz


def matrix_to_quaternion(matrix: Tensor) -> Tensor:
    """Unit quaternions (w, x, y, z) with w >= 0 of rotation matrices; (..., 3, 3) -> (..., 4).

    Source:
        Shepperd 1978, J Guidance and Control 1:223: the largest of four candidate components is used as divisor.
    """
    m = matrix
    diagonal = torch.stack([m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]], dim=-1)
    trace = diagonal.sum(-1)
    candidates = torch.cat([trace[..., None], diagonal], dim=-1)
    pick = candidates.argmax(-1)
    xy, xz, yz = (m[..., 0, 1], m[..., 1, 0]), (m[..., 0, 2], m[..., 2, 0]), (m[..., 1, 2], m[..., 2, 1])
    wx, wy, wz = yz[1] - yz[0], xz[0] - xz[1], xy[1] - xy[0]
    rows = [
        torch.stack([1 + trace, wx, wy, wz], dim=-1),
        torch.stack([wx, 1 + 2 * m[..., 0, 0] - trace, sum(xy), sum(xz)], dim=-1),  # type: ignore[list-item]
        torch.stack([wy, sum(xy), 1 + 2 * m[..., 1, 1] - trace, sum(yz)], dim=-1),  # type: ignore[list-item]
        torch.stack([wz, sum(xz), sum(yz), 1 + 2 * m[..., 2, 2] - trace], dim=-1),  # type: ignore[list-item]
    ]
    stacked = torch.stack(rows, dim=-2)
    index = pick[..., None, None].expand(*pick.shape, 1, 4)
    quaternion = torch.gather(stacked, -2, index).squeeze(-2)
    quaternion = quaternion / quaternion.norm(dim=-1, keepdim=True)
    return torch.where(quaternion[..., :1] < 0, -quaternion, quaternion)


def about_axis(axis: Sequence[float] | Tensor, angle_rad: Tensor) -> Tensor:
    """Rotations by ``angle_rad`` (...) about one constant unit axis (3,) -> (..., 3, 3)."""
    axis = torch.as_tensor(axis, dtype=angle_rad.dtype, device=angle_rad.device)
    cross = skew(axis)
    sine, cosine = torch.sin(angle_rad)[..., None, None], torch.cos(angle_rad)[..., None, None]
    return torch.eye(3, dtype=cross.dtype, device=cross.device) + sine * cross + (1 - cosine) * (cross @ cross)


def shortest(start: Tensor, end: Tensor) -> Tensor:
    """Rotation by the smallest angle from one direction to another; (..., 3) twice -> (..., 3, 3).

    Args:
        start: (..., 3) unit vectors; zero vectors give the identity.
        end: (..., 3) unit vectors. Between opposite directions no rotation is the shortest, and the identity is given.

    Source:
        Rodrigues' formula with the sine and cosine that the cross and dot product give.
    """
    start, end = torch.broadcast_tensors(start, end)
    cross = skew(torch.linalg.cross(start, end))
    sum_one = 1 + (start * end).sum(-1)[..., None, None]
    opposite = sum_one < 1e-12
    factor = torch.where(opposite, torch.zeros_like(sum_one), 1 / torch.where(opposite, torch.ones_like(sum_one), sum_one))
    return torch.eye(3, dtype=cross.dtype, device=cross.device) + cross + factor * (cross @ cross)


def to_xyz(matrix: Tensor) -> Tensor:
    """Body-fixed x-y-z angles of Rx(a) Ry(b) Rz(c), as OpenSim's ``orientation``; (..., 3, 3) -> (..., 3) rad, |b| <= pi/2."""
    b = torch.asin(matrix[..., 0, 2].clamp(-1, 1))
    a = torch.atan2(-matrix[..., 1, 2], matrix[..., 2, 2])
    c = torch.atan2(-matrix[..., 0, 1], matrix[..., 0, 0])
    return torch.stack([a, b, c], dim=-1)


def euler_about(axes: Tensor, matrix: Tensor) -> Tensor:
    """Angles (f1, f2, f3) with ``R(a1, f1) R(a2, f2) R(a3, f3) == matrix`` for three orthonormal signed axes.

    Args:
        axes: (3, 3), row i is unit axis i; the three are mutually perpendicular, of either handedness.
        matrix: (..., 3, 3).

    Returns:
        (..., 3) rad, the middle angle in [-pi/2, pi/2]; near gimbal lock the third angle carries the rest.

    Source:
        In the basis of the axes every such sequence is the x-y-z one, with the sign of the angles flipped
        if the axes are left-handed.
    """
    handed = torch.sign(torch.linalg.det(axes))
    local = axes @ matrix @ axes.transpose(-1, -2)
    return handed * to_xyz(local)

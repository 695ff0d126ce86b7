"""Rotations in torch: batched, differentiable at zero, without branches on values.

Matrices act on column vectors; ``R_a_b`` takes vectors from frame b to frame a.
"""

from __future__ import annotations

import torch
from numpy.typing import ArrayLike
from torch import Tensor

_SMALL_SQUARED_RAD2 = 1e-12
"""Squared angle below which :func:`exp` takes two terms of its series; the next term is below 1e-26."""
_SMALL_SINE = 1e-7
"""Sine of half the angle below which :func:`log` takes the angle for twice the sine; the error is below 1e-21."""
_OPPOSITE = 1e-12
"""1 + cosine below which two directions are opposite: within 1.4e-6 rad."""


def skew(vector: Tensor) -> Tensor:
    """Cross-product matrices: ``skew(a) @ b == cross(a, b)``; (..., 3) -> (..., 3, 3)."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).reshape(*vector.shape[:-1], 3, 3)


def axial(matrix: Tensor) -> Tensor:
    """Vectors of the skew-symmetric part, times two: ``axial(skew(a)) == 2 a``; (..., 3, 3) -> (..., 3).

    For a rotation by an angle about a unit axis this is ``2 sin(angle) axis``.
    """
    m = matrix
    return torch.stack([m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]], dim=-1)


def exp(rotation_vector: Tensor) -> Tensor:
    """Rotation matrices of rotation vectors; (..., 3) rad -> (..., 3, 3). Value and derivatives are right at zero too.

    Source:
        Rodrigues' rotation formula.
    """
    squared = (rotation_vector * rotation_vector).sum(-1, keepdim=True)[..., None]
    tiny = squared < _SMALL_SQUARED_RAD2
    angle = torch.where(tiny, torch.ones_like(squared), squared).sqrt()
    first = torch.where(tiny, 1 - squared / 6, torch.sin(angle) / angle)
    second = torch.where(tiny, 0.5 - squared / 24, (1 - torch.cos(angle)) / (angle * angle))
    cross = skew(rotation_vector)
    return torch.eye(3, dtype=cross.dtype, device=cross.device) + first * cross + second * (cross @ cross)


def log(matrix: Tensor) -> Tensor:
    """Rotation vectors of rotation matrices; (..., 3, 3) -> (..., 3) rad, length in [0, pi].

    Goes through the unit quaternion with w >= 0, which is accurate at every angle.
    """
    quaternion = matrix_to_quaternion(matrix)
    w, xyz = quaternion[..., :1], quaternion[..., 1:]
    sine = xyz.norm(dim=-1, keepdim=True)
    small = sine < _SMALL_SINE
    safe = torch.where(small, torch.ones_like(sine), sine)
    factor = torch.where(small, 2 / w.clamp_min(0.5), 2 * torch.atan2(safe, w) / safe)  # w is 1 where the sine is small
    return factor * xyz


def matrix_to_quaternion(matrix: Tensor) -> Tensor:
    """Unit quaternions (w, x, y, z) with w >= 0 of rotation matrices; (..., 3, 3) -> (..., 4).

    Source:
        Shepperd 1978, J Guidance and Control 1:223: the largest of four candidate components is used as divisor.
    """
    xx, xy, xz, yx, yy, yz, zx, zy, zz = matrix.flatten(-2).unbind(-1)
    diagonal = torch.stack([xx, yy, zz], dim=-1)
    trace = diagonal.sum(-1)
    largest = torch.cat([trace[..., None], diagonal], dim=-1).argmax(-1)
    wx, wy, wz = axial(matrix).unbind(-1)
    rows = [
        torch.stack([1 + trace, wx, wy, wz], dim=-1),
        torch.stack([wx, 1 + 2 * xx - trace, xy + yx, xz + zx], dim=-1),
        torch.stack([wy, xy + yx, 1 + 2 * yy - trace, yz + zy], dim=-1),
        torch.stack([wz, xz + zx, yz + zy, 1 + 2 * zz - trace], dim=-1),
    ]
    index = largest[..., None, None].expand(*largest.shape, 1, 4)
    quaternion = torch.gather(torch.stack(rows, dim=-2), -2, index).squeeze(-2)
    quaternion = quaternion / quaternion.norm(dim=-1, keepdim=True)
    return torch.where(quaternion[..., :1] < 0, -quaternion, quaternion)


def about_axis(axis: ArrayLike | Tensor, angle_rad: Tensor) -> Tensor:
    """Rotations about one axis, or about an axis for each angle.

    Args:
        axis: (3,) or (..., 3) unit vectors.
        angle_rad: (...).

    Returns:
        (..., 3, 3).

    Source:
        Rodrigues' rotation formula.
    """
    axis = torch.as_tensor(axis, dtype=angle_rad.dtype, device=angle_rad.device)
    cross = skew(axis)
    sine, cosine = torch.sin(angle_rad)[..., None, None], torch.cos(angle_rad)[..., None, None]
    return torch.eye(3, dtype=cross.dtype, device=cross.device) + sine * cross + (1 - cosine) * (cross @ cross)


def shortest(start: Tensor, end: Tensor) -> Tensor:
    """Rotations by the smallest angle from one direction to another.

    Args:
        start: (..., 3) unit vectors; zero vectors give the identity.
        end: (..., 3) unit vectors. Between opposite directions no rotation is the shortest; the identity is given.

    Returns:
        (..., 3, 3).

    Source:
        Rodrigues' rotation formula, with the sine from the cross product and the cosine from the dot product.
    """
    start, end = torch.broadcast_tensors(start, end)
    cross = skew(torch.linalg.cross(start, end))
    sum_one = 1 + (start * end).sum(-1)[..., None, None]
    opposite = sum_one < _OPPOSITE
    factor = torch.where(opposite, torch.zeros_like(sum_one), 1 / torch.where(opposite, torch.ones_like(sum_one), sum_one))
    return torch.eye(3, dtype=cross.dtype, device=cross.device) + cross + factor * (cross @ cross)


def to_xyz(matrix: Tensor) -> Tensor:
    """Body-fixed x-y-z angles of Rx(a) Ry(b) Rz(c), as OpenSim's ``orientation``; (..., 3, 3) -> (..., 3) rad, |b| <= pi/2."""
    b = torch.asin(matrix[..., 0, 2].clamp(-1, 1))
    a = torch.atan2(-matrix[..., 1, 2], matrix[..., 2, 2])
    c = torch.atan2(-matrix[..., 0, 1], matrix[..., 0, 0])
    return torch.stack([a, b, c], dim=-1)


def euler_about(axes: Tensor, matrix: Tensor) -> Tensor:
    """Angles (f1, f2, f3) with ``R(a1, f1) R(a2, f2) R(a3, f3) == matrix`` for three orthonormal axes.

    In the basis of the axes every such sequence is the x-y-z one; the sign of the angles flips if the axes are left-handed.

    Args:
        axes: (3, 3), row i is unit axis i; of either handedness.
        matrix: (..., 3, 3).

    Returns:
        (..., 3) rad, the middle angle in [-pi/2, pi/2].
    """
    handedness = torch.sign(torch.linalg.det(axes))
    return handedness * to_xyz(axes @ matrix @ axes.transpose(-1, -2))


def angles_about(axes: Tensor, matrix: Tensor) -> Tensor:
    """Angles whose rotations about one, two or three axes, one after the other, come nearest to a rotation.

    Args:
        axes: (n, 3) orthonormal; body-fixed, the first one next to the parent.
        matrix: (..., 3, 3).

    Returns:
        (..., n) rad; for three axes exact, see :func:`euler_about`.
    """
    if len(axes) == 1:
        along = torch.einsum("i,...ij,j->...", axes[0], matrix, axes[0])
        return torch.atan2(axial(matrix) @ axes[0], trace(matrix) - along)[..., None]
    third = torch.linalg.cross(axes[0], axes[1])[None] if len(axes) == 2 else axes[2:]
    return euler_about(torch.cat([axes[:2], third]), matrix)[..., : len(axes)]


def trace(matrix: Tensor) -> Tensor:
    """Trace of (..., 3, 3), (...)."""
    return matrix[..., 0, 0] + matrix[..., 1, 1] + matrix[..., 2, 2]

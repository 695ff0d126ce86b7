"""Exact derivatives of the bones of a posed body with respect to betas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hsmr_bio.kinematics.tree import TreePose

from .body import Body
from .forward import LUMBAR, SCAPULA_L, SCAPULA_R, SPINE, THORAX


@dataclass(frozen=True, eq=False)
class ShapeMotion:
    """Pose-independent part of the derivatives for one shaped body, in rest axes."""

    parents: tuple[int, ...]
    rest_inverse: Tensor
    """(24, 3, 3) rest axes -> bone axes."""
    joints: Tensor
    """(24, 3)."""
    joint_dirs: Tensor
    """(24, 3, 10)."""
    offsets: Tensor
    """(24, 3) joint offsets o."""
    offset_dirs: Tensor
    """(24, 3, 10) do."""
    turn: Tensor
    """(24, 3, 10) rotation vectors of the bones' rest orientations."""
    stretch: Tensor
    """(24, 3, 10) relative change of a joint's pose-dependent translation along each rest axis."""

    @classmethod
    def of(cls, body: Body, betas: npt.ArrayLike) -> ShapeMotion:
        """Prepare the derivatives of a body.

        Args:
            body: the body.
            betas: (10,) shape.

        Returns:
            The derivatives at these betas.
        """
        with torch.no_grad():
            rest, c = body.rest_pose(np.asarray(betas, dtype=np.float64)), body.constants()
            joints, offsets = rest.joints[0], rest.offsets[0]
            offset_dirs = torch.einsum("ij,jck->ick", c.offsets, c.joint_dirs)
            stretch = torch.zeros_like(offset_dirs)
            for joint, _, _ in SPINE:
                stretch[joint] = offset_dirs[joint, 1] / offsets[joint, 1]
            across = _log_length(joints, c.joint_dirs, SCAPULA_L, SCAPULA_R)
            up = _log_length(joints, c.joint_dirs, THORAX, LUMBAR)
            for joint in (SCAPULA_R, SCAPULA_L):
                stretch[joint] = torch.stack([across, up, across])
            turn = torch.as_tensor(np.array(body.rest_jacobian(betas)[1]))
            inverse = torch.linalg.inv(rest.rotations[0])
            return cls(body.parents, inverse, joints, c.joint_dirs, offsets, offset_dirs, turn, stretch)

    def bone_motion(self, pose: TreePose) -> tuple[Tensor, Tensor]:
        """Rotation and displacement of each bone per unit of each beta, at fixed coordinates.

        Args:
            pose: of the body's tree at the same betas.

        Returns:
            Rotation vectors e (..., 24, 3, 10), dR_j = [e dbeta] R_j, and displacements (..., 24, 3, 10) of the bones'
            origins, in ground axes.
        """
        rotations, positions = pose.rotations, pose.positions_m
        spins: list[Tensor] = []
        velocities: list[Tensor] = []
        for joint, parent in enumerate(self.parents):
            if parent < 0:
                spins.append(self.turn[joint].expand(*rotations.shape[:-3], 3, -1))
                velocities.append(self.offset_dirs[joint].expand_as(spins[0]))
                continue
            to_world = rotations[..., parent, :, :] @ self.rest_inverse[parent]
            arm = positions[..., joint, :] - positions[..., parent, :]
            local = (to_world.transpose(-1, -2) @ arm[..., None])[..., 0]
            change = self.offset_dirs[joint] + (local - self.offsets[joint])[..., None] * self.stretch[joint]
            own = change - _cross(self.turn[parent], local)
            spins.append(spins[parent] + to_world @ (self.turn[joint] - self.turn[parent]))
            velocities.append(velocities[parent] + _cross(spins[parent], arm) + to_world @ own)
        return torch.stack(spins, dim=-3), torch.stack(velocities, dim=-3)


def _cross(rate: Tensor, arm: Tensor) -> Tensor:
    """Cross product of each column of ``rate`` (..., 3, K) with ``arm`` (..., 3)."""
    first, second = torch.broadcast_tensors(rate, arm[..., None])
    product: Tensor = torch.linalg.cross(first, second, dim=-2)
    return product


def _log_length(joints: Tensor, dirs: Tensor, first: int, second: int) -> Tensor:
    """(10,) derivative of the logarithm of the distance between two joints."""
    arm = joints[first] - joints[second]
    return (arm[:, None] * (dirs[first] - dirs[second])).sum(0) / (arm * arm).sum()

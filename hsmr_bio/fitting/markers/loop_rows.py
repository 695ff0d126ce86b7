"""Residuals of constraints that close loops of a tree, stiff beside those of the markers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...kinematics.tree import Tree, TreePose
from ...osim.loops import Loop

STIFFNESS = 1e3
"""Weight of a condition beside that of a marker: markers that disagree by 10 mm open a loop by 10 micrometres. Stiffer rows
make the valley so narrow that Gauss-Newton stops in it (at 1e6: 2 degrees from the solution)."""
_LEAST_M = 1e-9
"""Lower bound of a distance; it only avoids a division by zero."""


@dataclass(frozen=True, eq=False)
class LoopRows:
    """Conditions on L points of a tree."""

    names: tuple[str, ...]
    bodies: Tensor
    """(L,) that carry the points; -1 for ground."""
    points_m: Tensor
    """(L, 3)."""
    others: Tensor
    """(L,) in whose axes the conditions are meant."""
    targets_m: Tensor
    """(L, 3)."""
    rows: Tensor
    """(L, 3, 3) directions, filled up with zeros."""
    distances_m: Tensor
    """(L,) NaN where the condition is none of distance."""

    @classmethod
    def of(cls, loops: Sequence[Loop], tree: Tree) -> LoopRows:
        """Find the bodies of some loops in a tree.

        Args:
            loops: of the model.
            tree: that has all their bodies.

        Returns:
            The conditions.
        """
        index = {name: i for i, name in enumerate(tree.bodies)} | {"ground": -1}
        rows = np.zeros((len(loops), 3, 3))
        for i, loop in enumerate(loops):
            rows[i, : len(loop.rows)] = loop.rows
        return cls(
            names=tuple(loop.name for loop in loops),
            bodies=torch.tensor([index[loop.body] for loop in loops]),
            points_m=torch.as_tensor(np.array([loop.point_m for loop in loops])),
            others=torch.tensor([index[loop.other] for loop in loops]),
            targets_m=torch.as_tensor(np.array([loop.target_m for loop in loops])),
            rows=torch.as_tensor(rows),
            distances_m=torch.tensor([np.nan if loop.distance_m is None else loop.distance_m for loop in loops]),
        )

    def residuals(self, pose: TreePose) -> tuple[Tensor, Tensor]:
        """Evaluate the conditions.

        Args:
            pose: of B frames.

        Returns:
            Residuals (B, 3 L) in m, and their derivatives (B, 3 L, N).
        """
        turn, origin = self._frames(pose, self.bodies)
        at = (turn @ self.points_m[..., None])[..., 0] + origin
        turn, origin = self._frames(pose, self.others)
        back = turn.transpose(-1, -2)
        away = (back @ (at - origin)[..., None])[..., 0] - self.targets_m
        moved = back @ (self._jacobian(pose, at, self.bodies) - self._jacobian(pose, at, self.others))
        residual, slope = (self.rows @ away[..., None])[..., 0], self.rows @ moved
        length = away.norm(dim=-1, keepdim=True)
        apart = torch.cat([length - self.distances_m[:, None], torch.zeros_like(away[..., 1:])], dim=-1)
        along = ((away / length.clamp_min(_LEAST_M))[..., None, :] @ moved)[..., 0, :]
        distant = torch.isfinite(self.distances_m)
        residual = torch.where(distant[:, None], apart, residual)
        slope = torch.where(
            distant[:, None, None], torch.cat([along[..., None, :], torch.zeros_like(slope[..., 1:, :])], dim=-2), slope
        )
        return residual.flatten(-2), slope.flatten(-3, -2)

    def worst(self, pose: TreePose) -> tuple[str, float]:
        """Name of the condition that is missed most, and by how much, m."""
        gaps = self.residuals(pose)[0].unflatten(-1, (-1, 3)).norm(dim=-1).amax(dim=0)
        return self.names[int(gaps.argmax())], float(gaps.max())

    @staticmethod
    def _frames(pose: TreePose, bodies: Tensor) -> tuple[Tensor, Tensor]:
        """Orientations (B, L, 3, 3) and origins (B, L, 3) of bodies; those of ground do not move."""
        ground = bodies < 0
        turn = torch.where(ground[:, None, None], torch.eye(3, dtype=torch.float64), pose.rotations[:, bodies.clamp_min(0)])
        return turn, torch.where(ground[:, None], 0.0, pose.positions_m[:, bodies.clamp_min(0)])

    @staticmethod
    def _jacobian(pose: TreePose, at: Tensor, bodies: Tensor) -> Tensor:
        """(B, L, 3, N) velocity of the places ``at`` as points of bodies."""
        return torch.where((bodies < 0)[:, None, None], 0.0, pose.point_jacobian(at, bodies.clamp_min(0)))

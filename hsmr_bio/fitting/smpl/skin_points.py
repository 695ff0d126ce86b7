"""Residuals of a sample of a body's skin, with pose blend shapes, and their normal equations.

The skin of a limb moves only with the angles of the limb and of the trunk. The sample is therefore split into trunk, arms and
legs, each with its own few columns: the normal equations cost an eighth of dense ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from ...body.body import Body
from ...body.data_model import JOINT_COUNT, IntArray
from ...body.forward import Rest, pose_features
from ...body.shape_motion import ShapeMotion
from ...kinematics.tree import Tree, TreePose
from ...types import FloatArray

_LIMBS: dict[str, tuple[int, ...]] = {
    "leg_r": (1, 2, 3, 4, 5),
    "leg_l": (6, 7, 8, 9, 10),
    "arm_r": (14, 15, 16, 17, 18),
    "arm_l": (19, 20, 21, 22, 23),
}
"""Bones of each limb, by SKEL's numbers."""


class _Group(NamedTuple):
    """Vertices of the sample that move with the same few bones."""

    rows: Tensor
    """(S_g,) into the sample."""
    bones: Tensor
    """(B_g,)."""
    shares: Tensor
    """(B_g, S_g) skinning weights."""


@dataclass(frozen=True, eq=False)
class SkinSample:
    """Some vertices of a body's skin; each represents the vertices around it."""

    vertices: IntArray
    """(S,) vertex numbers."""
    share: Tensor
    """(S,) share of all vertices that each represents; the sum is 1."""
    template: Tensor
    """(S, 3) T-pose points at betas zero."""
    shapedirs: Tensor
    """(S, 3, 10)."""
    posedirs: Tensor | None
    """(3 S, 207), or None without pose blend shapes."""
    groups: tuple[_Group, ...]
    """Vertices of each limb, of several limbs, and of the trunk."""

    def shaped(self, betas: Tensor) -> Tensor:
        """(Bs, S, 3) T-pose points of betas (Bs, 10)."""
        return self.template + torch.einsum("sak,bk->bsa", self.shapedirs, betas)


def sample_skin(body: Body, count: int, dtype: torch.dtype) -> SkinSample:
    """Choose vertices that are spread over a body's skin, farthest point first.

    Args:
        body: SKEL or the open body.
        count: number of vertices, at most.
        dtype: of the sample.

    Returns:
        The sample.

    Source:
        Eldar et al. 1997, IEEE Trans Image Processing 6:1305 (farthest point sampling).
    """
    data = body.data
    points = data.skin_template_m
    chosen = np.sort(_farthest_points(points, min(count, len(points))))
    nearest = cKDTree(points[chosen]).query(points)[1]
    share = np.bincount(nearest, minlength=len(chosen)) / len(points)
    posedirs = None
    if data.posedirs is not None:
        posedirs = torch.tensor(data.posedirs[chosen].reshape(-1, data.posedirs.shape[-1]), dtype=dtype)
    return SkinSample(
        vertices=chosen,
        share=torch.tensor(share, dtype=dtype),
        template=torch.tensor(points[chosen], dtype=dtype),
        shapedirs=torch.tensor(data.shapedirs[chosen], dtype=dtype),
        posedirs=posedirs,
        groups=_groups(data.skin_weights[chosen].toarray(), dtype),
    )


def _farthest_points(points: FloatArray, count: int) -> IntArray:
    """(S,) numbers of points, each the farthest from those before it; the first is the highest."""
    chosen = np.empty(count, dtype=np.int64)
    chosen[0] = int(points[:, 1].argmax())
    distance = np.full(len(points), np.inf)
    for k in range(1, count):
        step = points - points[chosen[k - 1]]
        np.minimum(distance, np.einsum("ij,ij->i", step, step), out=distance)
        chosen[k] = int(distance.argmax())
    return chosen


def _groups(weights: FloatArray, dtype: torch.dtype) -> tuple[_Group, ...]:
    """Groups of the sample by its skinning weights (S, 24)."""
    touched = {name: weights[:, list(bones)].any(axis=1) for name, bones in _LIMBS.items()}
    several = np.sum(list(touched.values()), axis=0) > 1
    masks = [mask & ~several for mask in touched.values()]
    masks += [several, ~np.any(list(touched.values()), axis=0)]
    groups = []
    for mask in masks:
        rows = np.flatnonzero(mask)
        if len(rows):
            bones = np.flatnonzero(weights[rows].any(axis=0))
            shares = torch.tensor(weights[np.ix_(rows, bones)].T.copy(), dtype=dtype)
            groups.append(_Group(torch.tensor(rows), torch.tensor(bones), shares))
    return tuple(groups)


class PosedSkin:
    """The sample on a posed body: points, and normal equations by the tree's coordinates.

    Args:
        sample: S vertices.
        tree: of the body.
        rest: T pose of the body.
        shaped: (1 or T, S, 3) T-pose points of the shaped body.
        pose: of the tree in T frames.
    """

    def __init__(self, sample: SkinSample, tree: Tree, rest: Rest, shaped: Tensor, pose: TreePose) -> None:
        self.sample, self.tree, self.pose = sample, tree, pose
        self._turn = pose.rotations @ torch.linalg.inv(rest.rotations)
        self._shift = pose.positions_m - (self._turn @ rest.joints[..., None])[..., 0]
        self._shaped = shaped + self._blend(self._turn)
        self.points_m: Tensor = torch.zeros(len(self._turn), len(sample.vertices), 3, dtype=shaped.dtype)
        """(T, S, 3)."""
        for group in sample.groups:
            self.points_m[:, group.rows] = self._weighted(group).sum(1)

    def _blend(self, turn: Tensor) -> Tensor:
        """(T, S, 3) pose blend shapes; their change with the pose is left out of the Jacobian."""
        if self.sample.posedirs is None:
            return torch.zeros(1, dtype=turn.dtype)
        parents = list(self.tree.parents[1:])
        local = torch.cat([turn[:, :1], turn[:, parents].transpose(-1, -2) @ turn[:, 1:JOINT_COUNT]], dim=1)
        offsets: Tensor = pose_features(local) @ self.sample.posedirs.T
        return offsets.reshape(len(turn), -1, 3)

    def _weighted(self, group: _Group) -> Tensor:
        """(T, B_g, S_g, 3) position to which each bone alone carries each point, times its share."""
        turn, shift = self._turn[:, group.bones], self._shift[:, group.bones]
        carried: Tensor = self._shaped[:, None, group.rows] @ turn.transpose(-1, -2) + shift[:, :, None]
        return carried * group.shares[..., None]

    def normal_equations(self, target_m: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Build the normal equations of half the weighted squared distances to the targets.

        Args:
            target_m: (T, S, 3).
            weight: (T, S).

        Returns:
            Gradient (T, N) and Gauss-Newton matrix (T, N, N) by the tree's coordinates.
        """
        frames, count = len(self.points_m), len(self.tree.coordinates)
        gradient = torch.zeros(frames, count, dtype=self.points_m.dtype)
        hessian = torch.zeros(frames, count, count, dtype=self.points_m.dtype)
        for group, columns, rows in self._rows():
            root = weight[:, group.rows].sqrt()[:, None, :, None]
            miss = (self.points_m - target_m)[:, group.rows].transpose(1, 2)[..., None]
            scaled = (rows * root).reshape(frames, -1, len(columns))
            transposed = scaled.transpose(1, 2)
            gradient[:, columns] += (transposed @ (miss * root).reshape(frames, -1, 1))[..., 0]
            hessian[:, columns[:, None], columns] += transposed @ scaled
        return gradient, hessian

    def beta_equations(self, motion: ShapeMotion, target_m: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Build the normal equations by betas, of the same sum of squares.

        Args:
            motion: derivatives of the bones by betas.
            target_m: (T, S, 3).
            weight: (T, S).

        Returns:
            Gradient (T, 10), Gauss-Newton matrix (T, 10, 10), and its mixed block (T, N, 10) with the tree's coordinates.
        """
        frames, count = len(self.points_m), len(self.tree.coordinates)
        spin, velocity = motion.bone_motion(self.pose)
        dtype = self.points_m.dtype
        gradient, hessian = torch.zeros(frames, 10, dtype=dtype), torch.zeros(frames, 10, 10, dtype=dtype)
        mixed = torch.zeros(frames, count, 10, dtype=dtype)
        for group, columns, rows in self._rows():
            root = weight[:, group.rows].sqrt()[:, None, :, None]
            by_betas = self._beta_rows(group, motion, spin, velocity).transpose(1, 2)  # (T, 3, S_g, 10)
            scaled = (by_betas * root).reshape(frames, -1, 10)
            miss = ((self.points_m - target_m)[:, group.rows].transpose(1, 2)[..., None] * root).reshape(frames, -1, 1)
            gradient += (scaled.transpose(1, 2) @ miss)[..., 0]
            hessian += scaled.transpose(1, 2) @ scaled
            mixed[:, columns] += (rows * root).reshape(frames, -1, len(columns)).transpose(1, 2) @ scaled
        return gradient, hessian, mixed

    def _rows(self) -> Iterator[tuple[_Group, Tensor, Tensor]]:
        """For each group its columns (n) and the derivative (T, 3, S_g, n) of its points."""
        omega, velocity = self.pose.twists()
        for group in self.sample.groups:
            moved = self.tree.ancestors[group.bones].to(velocity.dtype)
            columns = torch.nonzero(moved.any(0))[:, 0]
            moved = moved[:, columns]
            moments = torch.einsum("tbsc,bn->tcsn", self._weighted(group), moved)
            yield group, columns, _speeds(omega[:, columns], velocity[:, columns], moments, group.shares.T @ moved)

    def _beta_rows(self, group: _Group, motion: ShapeMotion, spin: Tensor, velocity: Tensor) -> Tensor:
        """(T, S_g, 3, 10) derivative of the points by betas: bones turn and move, the skin on them grows."""
        turn, bones = self._turn[:, group.bones], group.bones
        arm = (self._shaped[:, group.rows][:, None] - motion.joints[bones][:, None])[..., None]  # (T, B, S, 3, 1)
        grown = self.sample.shapedirs[group.rows] - motion.joint_dirs[bones][:, None]
        flesh = grown - torch.linalg.cross(*torch.broadcast_tensors(motion.turn[bones][:, None], arm), dim=-2)
        carried = turn[:, :, None] @ arm
        swung = torch.linalg.cross(*torch.broadcast_tensors(spin[:, bones, None], carried), dim=-2)
        change: Tensor = swung + velocity[:, bones, None] + turn[:, :, None] @ flesh
        return (change * group.shares[..., None, None]).sum(1)


def _speeds(omega: Tensor, velocity: Tensor, moments: Tensor, shares: Tensor) -> Tensor:
    """(T, 3, S, n) velocity of each point per unit rate of each coordinate: share v + omega x moment."""
    wx, wy, wz = (omega[:, None, :, axis] for axis in range(3))
    vx, vy, vz = (velocity[:, None, :, axis] for axis in range(3))
    mx, my, mz = moments.unbind(1)
    return torch.stack(
        [shares * vx + wy * mz - wz * my, shares * vy + wz * mx - wx * mz, shares * vz + wx * my - wy * mx], dim=1
    )

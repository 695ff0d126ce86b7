"""The 44 keypoints of HSMR on any body of SKEL's schema, at the cost of its joints.

A keypoint that is regressed from the skin is a weighted sum of skinned vertices, hence a sum over bones of
``R_j d_j + m_j x_j``: bone j at x_j with rotation R_j (from the rest pose) carries a share m_j of the point and a moment d_j
about its joint, which is linear in betas and in the pose blend shapes. A point at an offset from a joint is the same with
a single bone. So no vertex is ever placed, and the result equals the regressor applied to the posed skin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from ...body import forward as formulas
from ...body.body import Body
from ...body.data_model import BETA_COUNT, JOINT_COUNT
from ...body.forward import SMPL_COLUMN
from ...body.keypoint_table import keypoints_of
from ...errors import FormatError, InputError
from ...hsmr.keypoints import OPENPOSE_FROM_45, SKEL_TO_SMPL_JOINTS, SKIN_VERTICES, SMPLH_VERTICES
from ...io.unpickle import load_pickle
from ...kinematics.rotations import skew
from ...skeleton import JOINT_DOFS
from ...types import FloatArray

_OPENPOSE = "openpose25"
_EXTRA_FROM_OPENPOSE: tuple[Mapping[int, float], ...] = (
    *({k: 1.0} for k in (11, 10, 9, 12, 13, 14, 4, 3, 2, 5, 6, 7)),
    {1: 1.0},
    {17: 1.2, 18: 1.2, 1: -1.4},
    {8: 1.0},
    {1: 1.0},
    {1: 0.5, 8: 0.5},
    {0: 0.5, 1: 0.5},
    {17: 0.75, 18: 0.75, 1: -0.5},
)
"""Stand-ins for the 19 extra keypoints where no regressor is given: the same joints, and rough means for the last seven."""
_OWNER = [joint for joint, dofs in enumerate(JOINT_DOFS) for _ in dofs]
"""Joint of each angle."""
_PLACE = [joint * 3 + place for joint, dofs in enumerate(JOINT_DOFS) for place in range(len(dofs))]
_DRIVERS = frozenset({column: joint for joint, column in enumerate(SMPL_COLUMN) if column}.values())
"""Joints whose rotation drives pose blend shapes."""
_STEP = 1e-5
_SLIDING = (
    tuple((joint, JOINT_DOFS[joint][0]) for joint in (11, 12, 13, 14, 19)),
    tuple((joint, JOINT_DOFS[joint][1]) for joint in (11, 12, 13, 14, 19)),
)
"""Joints of spine and shoulder girdle whose first and second angle also shift the bone."""


@dataclass(frozen=True, eq=False)
class HsmrPoints:
    """Keypoints as shares and moments of bones; P pairs of a keypoint and a bone."""

    body: Body
    keypoint: Tensor
    """(P,) long."""
    bone: Tensor
    """(P,) long."""
    share: Tensor
    """(P,)."""
    moment: Tensor
    """(P, 3) about the bone's joint, rest axes, betas zero."""
    moment_by_betas: Tensor
    """(P, 3, 10)."""
    moment_by_blend: Tensor | None
    """(P, 3, 207), or None without pose blend shapes."""
    count: int = 44

    @property
    def above(self) -> Tensor:
        """(46, 46) bool: whether the angle of the row carries the axis of the angle of the column."""
        return angle_above(self.body.parents)

    @classmethod
    def from_table(cls, body: Body) -> HsmrPoints:
        """On any body: OpenPose's 25 from the shipped table, the extra 19 as their neighbours (approximate)."""
        parts, mixes = keypoints_of(body.data, _OPENPOSE)
        mix = np.zeros((44, len(parts)))
        for row, (_, index) in enumerate(mixes):
            mix[row, list(index)] = 1 / len(index)
        for row, weights in enumerate(_EXTRA_FROM_OPENPOSE, start=25):
            mix[row] = sum(weight * mix[k] for k, weight in weights.items())
        joints, by_betas = formulas.rest_joints(body.data)
        top, heel = body.data.stature_vertices
        line = body.data.skin_template_m[top, 1] - body.data.skin_template_m[heel, 1]
        line_by_betas = body.data.shapedirs[top, 1] - body.data.shapedirs[heel, 1]
        rest, change = np.zeros((len(parts), 3)), np.zeros((len(parts), 3, BETA_COUNT))
        for i, part in enumerate(parts):
            offset = np.array(part.offset_over_stature)
            rest[i] = joints[part.joint] + offset * line
            change[i] = by_betas[part.joint] + offset[:, None] * line_by_betas
        share = np.zeros((44, JOINT_COUNT))
        first, by = np.zeros((44, JOINT_COUNT, 3)), np.zeros((44, JOINT_COUNT, 3, BETA_COUNT))
        for i, part in enumerate(parts):
            share[:, part.body] += mix[:, i]
            first[:, part.body] += mix[:, i, None] * rest[i]
            by[:, part.body] += mix[:, i, None, None] * change[i]
        return cls._of(body, share, first, by, None)

    @classmethod
    def from_regressors(cls, body: Body, extra: Any, joints: Any | None = None) -> HsmrPoints:
        """As the release defines them, on a body with SMPL's mesh.

        Args:
            body: with 6890 skin vertices.
            extra: (19, 6890) matrix of ``SMPL_to_J19.pkl``.
            joints: (24, 6890) matrix of ``J_regressor_SKEL_mix_MALE.pkl``, or None: SKEL's own joints, re-indexed.

        Raises:
            InputError: another mesh, or matrices of other shapes.
        """
        count = len(body.data.skin_template_m)
        if count != SKIN_VERTICES:
            raise InputError(f"HSMR's regressors need SMPL's mesh of {SKIN_VERTICES} vertices, {body.name} has {count}")
        top = sparse.csr_array((24, count)) if joints is None else _matrix("joints", joints, 24)
        ones = np.ones(len(SMPLH_VERTICES))
        picked = sparse.csr_array((ones, (np.arange(len(ones)), SMPLH_VERTICES)), shape=(len(ones), count))
        all45 = sparse.vstack([top, picked]).tocsr()
        weights = sparse.vstack([all45[list(OPENPOSE_FROM_45)], _matrix("extra", extra, 19)]).tocsr()
        skinning = body.data.skin_weights.toarray()
        share, first = np.zeros((44, JOINT_COUNT)), np.zeros((44, JOINT_COUNT, 3))
        by = np.zeros((44, JOINT_COUNT, 3, BETA_COUNT))
        blend = None if body.data.posedirs is None else np.zeros((44, JOINT_COUNT, 3, 207))
        for k in range(44):
            used, w = (
                weights.indices[weights.indptr[k] : weights.indptr[k + 1]],
                weights.data[weights.indptr[k] : weights.indptr[k + 1]],
            )
            each = w[:, None] * skinning[used]
            share[k] = each.sum(axis=0)
            first[k] = each.T @ body.data.skin_template_m[used]
            by[k] = np.einsum("vj,vak->jak", each, body.data.shapedirs[used])
            if blend is not None and body.data.posedirs is not None:
                blend[k] = np.einsum("vj,vak->jak", each, body.data.posedirs[used])
        if joints is None:
            rest, rest_by = formulas.rest_joints(body.data)
            for k, source in enumerate(OPENPOSE_FROM_45):
                if source < 24:
                    j = SKEL_TO_SMPL_JOINTS[source]
                    share[k, j], first[k, j], by[k, j] = 1, rest[j], rest_by[j]
        return cls._of(body, share, first, by, blend)

    @classmethod
    def _of(cls, body: Body, share: FloatArray, first: FloatArray, by: FloatArray, blend: FloatArray | None) -> HsmrPoints:
        joints, by_betas = formulas.rest_joints(body.data)
        k, j = np.nonzero((share != 0) | (np.abs(first).sum(axis=-1) > 0))
        s = share[k, j]
        return cls(
            body,
            torch.as_tensor(k),
            torch.as_tensor(j),
            torch.as_tensor(s),
            torch.as_tensor(first[k, j] - s[:, None] * joints[j]),
            torch.as_tensor(by[k, j] - s[:, None, None] * by_betas[j]),
            None if blend is None else torch.as_tensor(blend[k, j]),
        )

    def __call__(self, poses_rad: Tensor, betas: Tensor) -> Tensor:
        """(B, 44, 3) keypoints of poses (B, 46) and betas (B, 10), translation zero; differentiable."""
        arms, positions = self._place(poses_rad, betas)
        parts = arms + self.share.to(arms)[:, None] * positions
        return parts.new_zeros(len(parts), self.count, 3).index_add(1, self.keypoint, parts)

    def _place(self, poses: Tensor, betas: Tensor) -> tuple[Tensor, Tensor]:
        """Turned moments and the positions of their bones' joints, both (B, P, 3)."""
        c = self.body.constants(poses.dtype, poses.device)
        rest = formulas.rest_pose(c, betas)
        turns = formulas.world_rotations(c, rest, formulas.local_rotations(c, poses))
        rotations, positions = formulas.chain(self.body.parents, turns, formulas.translations(rest, poses))
        return (rotations[:, self.bone] @ self._moments(betas, turns)[..., None])[..., 0], positions[:, self.bone]

    def _moments(self, betas: Tensor, turns: Tensor) -> Tensor:
        moment = self.moment.to(betas) + torch.einsum("pak,bk->bpa", self.moment_by_betas.to(betas), betas)
        if self.moment_by_blend is not None:
            features = formulas.pose_features(turns)
            moment = moment + (features @ self.moment_by_blend.to(betas).flatten(0, 1).T).unflatten(1, (-1, 3))
        return moment

    @torch.no_grad()
    def with_jacobian(self, poses_rad: Tensor, betas: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Keypoints and how angles and betas move them; exact.

        Returns:
            Keypoints (B, 44, 3), their derivative (B, 44, 3, 56) by the 46 angles and the 10 betas, and the angular
            velocity (B, 46, 3) of all that an angle carries.
        """
        frame = _Frame.of(self.body, poses_rad, betas)
        rotations, positions = frame.rotations, frame.positions
        arms = (rotations[:, self.bone] @ self._moments(betas, frame.turns)[..., None])[..., 0]
        share = arms.new_zeros(self.count, JOINT_COUNT).index_put((self.keypoint, self.bone), self.share.to(arms))
        reach = arms + self.share.to(arms)[:, None] * positions[:, self.bone]
        cell = self.keypoint * JOINT_COUNT + self.bone
        by_bone = arms.new_zeros(len(arms), self.count * JOINT_COUNT, 3).index_add(1, cell, reach)
        by_bone = by_bone.unflatten(1, (self.count, JOINT_COUNT))
        omega, v = frame.twists()
        below = _moved_by_angles(self.body.parents).to(arms)
        point = torch.einsum("bkja,jn->bkna", by_bone, below)
        by_pose = (share @ below)[..., None] * v[:, None] + torch.linalg.cross(omega[:, None].expand_as(point), point)
        if self.moment_by_blend is not None:
            angles, change = self._by_blend(frame, rotations)
            by_pose[:, :, angles] += change.transpose(2, 3)
        theta, shift = frame.by_betas()
        spin = torch.linalg.cross(theta[:, self.bone], arms[..., None].expand(-1, -1, -1, BETA_COUNT), dim=2)
        grown = rotations[:, self.bone] @ self.moment_by_betas.to(arms)
        parts = spin + grown + self.share.to(arms)[:, None, None] * shift[:, self.bone]
        by_betas = arms.new_zeros(len(arms), self.count, 3, BETA_COUNT).index_add(1, self.keypoint, parts)
        points = arms.new_zeros(len(arms), self.count, 3).index_add(1, self.keypoint, reach)
        return points, torch.cat([by_pose.transpose(2, 3), by_betas], dim=-1), omega

    def _by_blend(self, frame: _Frame, rotations: Tensor) -> tuple[list[int], Tensor]:
        """Angles that drive pose blend shapes, and what they change that way (B, 44, 3, angles)."""
        if self.moment_by_blend is None:
            return [], rotations.new_zeros(len(rotations), self.count, 3, 0)
        pairs = [(n, SMPL_COLUMN[j] - 1) for n, j in enumerate(_OWNER) if j in _DRIVERS]
        angles = [n for n, _ in pairs]
        turned = skew(frame.own_axes()[:, angles]) @ frame.turns[:, [_OWNER[n] for n in angles]]
        blend = self.moment_by_blend.to(rotations).unflatten(2, (23, 9))[:, :, [column for _, column in pairs]]
        moments = torch.einsum("panf,bnf->bpan", blend, turned.flatten(2))
        parts = rotations[:, self.bone] @ moments
        return angles, parts.new_zeros(len(parts), self.count, *parts.shape[2:]).index_add(1, self.keypoint, parts)


@dataclass(frozen=True, eq=False)
class _Frame:
    """The placed bones, and how angles and betas move them."""

    body: Body
    poses: Tensor
    rest: formulas.Rest
    turns: Tensor
    """(B, 24, 3, 3) of each joint, rest axes."""
    rotations: Tensor
    """(B, 24, 3, 3) of each bone from the rest pose."""
    positions: Tensor
    """(B, 24, 3)."""
    slide_by_pose: Tensor
    """(B, 2, 24, 3) change of each joint's translation by its first and second angle (spine and scapulae)."""
    slide_by_betas: Tensor
    """(B, 10, 24, 3)."""

    @classmethod
    def of(cls, body: Body, poses: Tensor, betas: Tensor) -> _Frame:
        """Place the bones; the joints' translations and their changes (by differences) come from one evaluation."""
        c = body.constants(poses.dtype, poses.device)
        rest = formulas.rest_pose(c, betas)
        frames = len(poses)
        nudge = torch.zeros(13, 46).to(poses)
        for row, group in enumerate(_SLIDING, start=1):
            nudge[row, [dof for _, dof in group]] = _STEP
        grown = torch.cat([torch.zeros(3, JOINT_COUNT, 3).to(poses), _STEP * c.joint_dirs.permute(2, 0, 1)])
        joints = (rest.joints.expand(frames, -1, -1)[:, None] + grown).flatten(0, 1)
        around = formulas.Rest(joints=joints, offsets=c.offsets @ joints, rotations=rest.rotations)
        there = formulas.translations(around, (poses[:, None] + nudge).flatten(0, 1)).unflatten(0, (frames, 13))
        change = (there[:, 1:] - there[:, :1]) / _STEP
        turns = formulas.world_rotations(c, rest, formulas.local_rotations(c, poses))
        rotations, positions = formulas.chain(body.parents, turns, there[:, 0])
        return cls(body, poses, rest, turns, rotations, positions, change[:, :2], change[:, 2:])

    def _parents(self) -> Tensor:
        """(B, 24, 3, 3) rotation of each joint's parent; the root's is the identity."""
        eye = torch.eye(3).to(self.rotations).expand(len(self.rotations), 1, 3, 3)
        return torch.cat([self.rotations, eye], dim=1)[:, list(self.body.parents)]

    def twists(self) -> tuple[Tensor, Tensor]:
        """Angular velocity and velocity at the origin (B, 46, 3) of all that an angle carries, per unit of the angle."""
        parents = self._parents()
        omega = (parents[:, _OWNER] @ self.own_axes()[..., None])[..., 0]
        v = torch.linalg.cross(self.positions[:, _OWNER], omega)
        for place, group in enumerate(_SLIDING):
            slide = (parents @ self.slide_by_pose[:, place, :, :, None])[..., 0]
            v[:, [dof for _, dof in group]] += slide[:, [joint for joint, _ in group]]
        return omega, v

    def own_axes(self) -> Tensor:
        """(B, 46, 3) axis of each angle's turn, in the rest axes of the joint's parent.

        A joint's three rotations are ``R3 R2 R1``: about its first axis it turns as if after all three, about its second
        after the third, about its third axis itself.
        """
        c = self.body.constants(self.poses.dtype, self.poses.device)
        cross = c.axis_cross
        axis = torch.stack([cross[..., 2, 1], cross[..., 0, 2], cross[..., 1, 0]], dim=-1) * c.axis_length[..., None]
        padded = torch.cat([self.poses, torch.zeros_like(self.poses[:, :1])], dim=1)
        angle = padded[:, c.dof_index].reshape(-1, JOINT_COUNT, 3) * c.axis_length
        sine, cosine = torch.sin(angle[..., 2, None, None]), torch.cos(angle[..., 2, None, None])
        third = torch.eye(3).to(cross) + sine * cross[:, 2] + (1 - cosine) * (cross[:, 2] @ cross[:, 2])
        all_three = formulas.local_rotations(c, self.poses)
        first = (all_three @ axis[:, 0, :, None])[..., 0]
        second = (third @ axis[:, 1, :, None])[..., 0]
        local = torch.stack([first, second, axis[:, 2].expand_as(first)], dim=2)
        frame = self.rest.rotations @ c.apose_rot.transpose(-1, -2)
        turned: Tensor = (frame[:, :, None] @ local[..., None])[..., 0]
        return turned.flatten(1, 2)[:, _PLACE]

    def by_betas(self) -> tuple[Tensor, Tensor]:
        """Small turn and shift (B, 24, 3, 10) of every bone per unit of each beta."""
        c = self.body.constants(self.poses.dtype, self.poses.device)
        turn = formulas.rest_derivatives(c, self.rest).expand(len(self.poses), -1, -1, -1)
        parents, anc = self._parents(), _carried_by(self.body.parents).to(self.poses)
        own = parents @ turn - self.rotations @ turn
        theta = torch.einsum("ja,baik->bjik", anc, own)
        none = torch.zeros_like(theta[:, :1])
        theta_parent = torch.cat([theta, none], dim=1)[:, list(self.body.parents)]
        above = torch.cat([self.positions, torch.zeros_like(self.positions[:, :1])], dim=1)[:, list(self.body.parents)]
        offset = (self.positions - above)[..., None].expand_as(theta)
        shift = torch.linalg.cross(theta_parent, offset, dim=2) + parents @ self.slide_by_betas.permute(0, 2, 3, 1)
        return theta, torch.einsum("ja,baik->bjik", anc, shift)


@cache
def _carried_by(parents: tuple[int, ...]) -> Tensor:
    """(24, 24) bool: whether joint a (column) carries bone j (row), itself included."""
    table = torch.eye(len(parents), dtype=torch.bool)
    for joint, parent in enumerate(parents):
        if parent >= 0:
            table[joint] |= table[parent]
    return table


@cache
def angle_above(parents: tuple[int, ...]) -> Tensor:
    """(46, 46) bool: whether the angle of the row turns the axis of the angle of the column (itself included).

    Within a joint the last angle stands next to the parent.
    """
    owner = torch.tensor(_OWNER)
    place = torch.tensor([k for dofs in JOINT_DOFS for k in range(len(dofs))])
    carried = _carried_by(parents)[owner][:, owner].T
    same = owner[:, None] == owner[None]
    return torch.where(same, place[:, None] >= place[None], carried)


@cache
def _moved_by_angles(parents: tuple[int, ...]) -> Tensor:
    """(24, 46) bool: whether an angle (column) moves a bone (row)."""
    return _carried_by(parents)[:, _OWNER]


def _matrix(name: str, value: Any, rows: int) -> sparse.csr_array:
    matrix = sparse.csr_array(value.toarray() if hasattr(value, "toarray") else np.asarray(value, dtype=np.float64))
    if matrix.shape != (rows, SKIN_VERTICES):
        raise InputError(f"the regressor of the {name} must have shape ({rows}, {SKIN_VERTICES}), got {matrix.shape}")
    return matrix


def read_regressor(path: str | Path) -> FloatArray:
    """A licensed regressor file of HSMR, dense (K, 6890); dense arrays and sparse matrices are both in use.

    Raises:
        FormatError: something else than a matrix.
    """
    content = load_pickle(path)
    matrix = np.asarray(content.toarray() if hasattr(content, "toarray") else content, dtype=np.float64)
    if matrix.ndim != 2:
        raise FormatError(path, None, f"expected a matrix, found an array of shape {matrix.shape}")
    return matrix

"""The 44 keypoints of HSMR on any body of SKEL's schema, without its skin.

A keypoint that is regressed from the skin is a weighted sum of skinned vertices, hence a sum over bones of
``R_j d_j + m_j x_j``: bone j at x_j with rotation R_j (from the rest pose) carries a share m_j of the point and a moment d_j
about its joint, which is linear in betas and in the pose blend shapes. A point at an offset from a joint is the same with a
single bone. The result equals the regressor applied to the posed skin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy import sparse
from torch import Tensor

from ...body import forward as formulas
from ...body.body import Body
from ...body.data_model import BETA_COUNT, JOINT_COUNT, POSE_FEATURES
from ...body.forward import SMPL_COLUMN
from ...body.keypoint_table import keypoints_of
from ...errors import FormatError, InputError
from ...hsmr.keypoints import OPENPOSE_FROM_45, SKEL_TO_SMPL_JOINTS, SKIN_VERTICES, SMPLH_VERTICES
from ...io.unpickle import load_pickle
from ...kinematics.rotations import axial, skew
from ...kinematics.tree import carried_by
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
"""The 19 extra keypoints without a regressor, as weighted sums of OpenPose's: the same joints, and approximations of the last
seven."""
_OWNER = [joint for joint, dofs in enumerate(JOINT_DOFS) for _ in dofs]
"""Joint of each angle."""
_ORDER = [order for dofs in JOINT_DOFS for order in range(len(dofs))]
"""Place of each angle among those of its joint."""
_DRIVERS = frozenset({column: joint for joint, column in enumerate(SMPL_COLUMN) if column}.values())
"""Joints whose rotation drives pose blend shapes."""
_STEP = 1e-5
"""Step (rad, betas) of the differences that give the changes of the joints' translations: errors of about 1e-6 of them."""
_SLIDING = (
    tuple((joint, JOINT_DOFS[joint][0]) for joint in (11, 12, 13, 14, 19)),
    tuple((joint, JOINT_DOFS[joint][1]) for joint in (11, 12, 13, 14, 19)),
)
"""Joints and angles of spine and shoulder girdle whose first and second angle also translate the bone."""


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
        """(46, 46) bool: whether the angle of the row turns the axis of the angle of the column (itself included)."""
        return _angle_above(self.body.parents)

    @classmethod
    def from_table(cls, body: Body) -> HsmrPoints:
        """Keypoints on any body: OpenPose's 25 from the shipped table, the extra 19 approximately, from those near them."""
        parts, mixes = keypoints_of(body.data, _OPENPOSE)
        mix = np.zeros((44, len(parts)))
        for row, (_, index) in enumerate(mixes):
            mix[row, list(index)] = 1 / len(index)
        for row, weights in enumerate(_EXTRA_FROM_OPENPOSE, start=25):
            mix[row] = sum(weight * mix[k] for k, weight in weights.items())
        joints, by_betas = formulas.rest_joints(body.data)
        line, line_by_betas = body.data.stature_line
        share = np.zeros((44, JOINT_COUNT))
        moment, moment_by = np.zeros((44, JOINT_COUNT, 3)), np.zeros((44, JOINT_COUNT, 3, BETA_COUNT))
        for i, part in enumerate(parts):
            offset = np.array(part.offset_over_stature)
            share[:, part.body] += mix[:, i]
            moment[:, part.body] += mix[:, i, None] * (joints[part.joint] + offset * line)
            moment_by[:, part.body] += mix[:, i, None, None] * (by_betas[part.joint] + offset[:, None] * line_by_betas)
        return cls._about_joints(body, share, moment, moment_by, None)

    @classmethod
    def from_regressors(
        cls, body: Body, extra: ArrayLike | sparse.sparray, joints: ArrayLike | sparse.sparray | None = None
    ) -> HsmrPoints:
        """Keypoints as the release defines them, on a body with SMPL's mesh.

        Args:
            body: with 6890 skin vertices.
            extra: (19, 6890) matrix of ``SMPL_to_J19.pkl``.
            joints: (24, 6890) matrix of ``J_regressor_SKEL_mix_MALE.pkl``, or None: SKEL's own joints, re-indexed.

        Returns:
            The keypoints.

        Raises:
            InputError: another mesh, or matrices of other shapes.
        """
        count = len(body.data.skin_template_m)
        if count != SKIN_VERTICES:
            raise InputError(f"HSMR's regressors need SMPL's mesh of {SKIN_VERTICES} vertices, {body.name} has {count}")
        top = sparse.csr_array((24, count)) if joints is None else _regressor("joints", joints, 24)
        ones = np.ones(len(SMPLH_VERTICES))
        picked = sparse.csr_array((ones, (np.arange(len(ones)), SMPLH_VERTICES)), shape=(len(ones), count))
        all45 = sparse.vstack([top, picked]).tocsr()
        weights = sparse.vstack([all45[list(OPENPOSE_FROM_45)], _regressor("extra", extra, 19)]).tocsr()
        skinning, posedirs = body.data.skin_weights.toarray(), body.data.posedirs
        share, moment = np.zeros((44, JOINT_COUNT)), np.zeros((44, JOINT_COUNT, 3))
        moment_by = np.zeros((44, JOINT_COUNT, 3, BETA_COUNT))
        blend = None if posedirs is None else np.zeros((44, JOINT_COUNT, 3, POSE_FEATURES))
        for k in range(44):
            row = weights[[k]]
            used, each = row.indices, row.data[:, None] * skinning[row.indices]
            share[k] = each.sum(axis=0)
            moment[k] = each.T @ body.data.skin_template_m[used]
            moment_by[k] = np.einsum("vj,vak->jak", each, body.data.shapedirs[used])
            if blend is not None and posedirs is not None:
                blend[k] = np.einsum("vj,vak->jak", each, posedirs[used])
        if joints is None:
            rest, rest_by = formulas.rest_joints(body.data)
            for k, source in enumerate(OPENPOSE_FROM_45):
                if source < 24:
                    j = SKEL_TO_SMPL_JOINTS[source]
                    share[k, j], moment[k, j], moment_by[k, j] = 1, rest[j], rest_by[j]
        return cls._about_joints(body, share, moment, moment_by, blend)

    @classmethod
    def _about_joints(
        cls, body: Body, share: FloatArray, moment: FloatArray, moment_by: FloatArray, blend: FloatArray | None
    ) -> HsmrPoints:
        """Keypoints from dense tables (44, 24, ...) of shares and of moments about the origin."""
        joints, by_betas = formulas.rest_joints(body.data)
        k, j = np.nonzero((share != 0) | (np.abs(moment).sum(axis=-1) > 0))
        s = share[k, j]
        return cls(
            body,
            torch.as_tensor(k),
            torch.as_tensor(j),
            torch.as_tensor(s),
            torch.as_tensor(moment[k, j] - s[:, None] * joints[j]),
            torch.as_tensor(moment_by[k, j] - s[:, None, None] * by_betas[j]),
            None if blend is None else torch.as_tensor(blend[k, j]),
        )

    def __call__(self, poses_rad: Tensor, betas: Tensor) -> Tensor:
        """(B, 44, 3) keypoints of poses (B, 46) and betas (B, 10), translation zero; differentiable."""
        c = self.body.constants(poses_rad.dtype, poses_rad.device)
        rest = formulas.rest_pose(c, betas)
        turns = formulas.world_rotations(c, rest, formulas.local_rotations(c, poses_rad))
        rotations, positions = formulas.chain(self.body.parents, turns, formulas.translations(rest, poses_rad))
        parts = self._arms(rotations, betas, turns) + self.share.to(betas)[:, None] * positions[:, self.bone]
        return parts.new_zeros(len(parts), self.count, 3).index_add(1, self.keypoint, parts)

    def _arms(self, rotations: Tensor, betas: Tensor, turns: Tensor) -> Tensor:
        """(B, P, 3) moments on bones with rotations (B, 24, 3, 3), whose joints turn by ``turns`` (B, 24, 3, 3)."""
        moment = self.moment.to(betas) + torch.einsum("pak,bk->bpa", self.moment_by_betas.to(betas), betas)
        if self.moment_by_blend is not None:
            features = formulas.pose_features(turns)
            moment = moment + (features @ self.moment_by_blend.to(betas).flatten(0, 1).T).unflatten(1, (-1, 3))
        return (rotations[:, self.bone] @ moment[..., None])[..., 0]

    @torch.no_grad()
    def with_jacobian(self, poses_rad: Tensor, betas: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Place the keypoints, with their derivatives.

        Args:
            poses_rad: (B, 46).
            betas: (B, 10).

        Returns:
            Keypoints (B, 44, 3), their derivative (B, 44, 3, 56) by the 46 angles and the 10 betas, and the angular velocity
            (B, 46, 3) per unit rate of each angle of all that it carries.
        """
        frame = _PosedBones.of(self.body, poses_rad, betas)
        rotations, positions = frame.rotations, frame.positions
        arms = self._arms(rotations, betas, frame.turns)
        share = arms.new_zeros(self.count, JOINT_COUNT).index_put((self.keypoint, self.bone), self.share.to(arms))
        reach = arms + self.share.to(arms)[:, None] * positions[:, self.bone]
        cell = self.keypoint * JOINT_COUNT + self.bone
        by_bone = arms.new_zeros(len(arms), self.count * JOINT_COUNT, 3).index_add(1, cell, reach)
        by_bone = by_bone.unflatten(1, (self.count, JOINT_COUNT))
        omega, v = frame.twists()
        below = carried_by(self.body.parents)[:, _OWNER].to(arms)  # (24, 46): whether an angle moves a bone
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

    def _by_blend(self, frame: _PosedBones, rotations: Tensor) -> tuple[list[int], Tensor]:
        """Angles that drive pose blend shapes, and the change (B, 44, 3, angles) of the keypoints through them."""
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
class _PosedBones:
    """Posed bones, and their velocities by angles and betas."""

    body: Body
    poses: Tensor
    """(B, 46)."""
    rest: formulas.Rest
    turns: Tensor
    """(B, 24, 3, 3) rotation of each joint, rest axes."""
    rotations: Tensor
    """(B, 24, 3, 3) rotation of each bone from the rest pose."""
    positions: Tensor
    """(B, 24, 3) joints."""
    slide_by_pose: Tensor
    """(B, 2, 24, 3) change of each joint's translation by its first and second angle (spine and scapulae)."""
    slide_by_betas: Tensor
    """(B, 10, 24, 3)."""

    @classmethod
    def of(cls, body: Body, poses: Tensor, betas: Tensor) -> _PosedBones:
        """Place the bones. The translations of the joints and their changes, by differences, come from one evaluation."""
        c = body.constants(poses.dtype, poses.device)
        rest = formulas.rest_pose(c, betas)
        frames = len(poses)
        nudge = torch.zeros(13, 46).to(poses)
        for row, group in enumerate(_SLIDING, start=1):
            nudge[row, [dof for _, dof in group]] = _STEP
        grown = torch.cat([torch.zeros(3, JOINT_COUNT, 3).to(poses), _STEP * c.joint_dirs.permute(2, 0, 1)])
        joints = (rest.joints.expand(frames, -1, -1)[:, None] + grown).flatten(0, 1)
        around = formulas.Rest(joints=joints, offsets=c.offsets @ joints, rotations=rest.rotations)
        translation = formulas.translations(around, (poses[:, None] + nudge).flatten(0, 1)).unflatten(0, (frames, 13))
        change = (translation[:, 1:] - translation[:, :1]) / _STEP
        turns = formulas.world_rotations(c, rest, formulas.local_rotations(c, poses))
        rotations, positions = formulas.chain(body.parents, turns, translation[:, 0])
        return cls(body, poses, rest, turns, rotations, positions, change[:, :2], change[:, 2:])

    def _parents(self) -> Tensor:
        """(B, 24, 3, 3) rotation of each joint's parent; the root's is the identity."""
        eye = torch.eye(3).to(self.rotations).expand(len(self.rotations), 1, 3, 3)
        return torch.cat([self.rotations, eye], dim=1)[:, list(self.body.parents)]

    def twists(self) -> tuple[Tensor, Tensor]:
        """Angular velocity and velocity of the origin (B, 46, 3) of all that an angle carries, per unit rate of the angle."""
        parents = self._parents()
        omega = (parents[:, _OWNER] @ self.own_axes()[..., None])[..., 0]
        v = torch.linalg.cross(self.positions[:, _OWNER], omega)
        for place, group in enumerate(_SLIDING):
            slide = (parents @ self.slide_by_pose[:, place, :, :, None])[..., 0]
            v[:, [dof for _, dof in group]] += slide[:, [joint for joint, _ in group]]
        return omega, v

    def own_axes(self) -> Tensor:
        """(B, 46, 3) axis of each angle, in the rest axes of the joint's parent.

        The rotation of a joint is ``R3 R2 R1``: in the parent its first axis is turned by all three, its second by the third.
        """
        c = self.body.constants(self.poses.dtype, self.poses.device)
        cross = c.axis_cross
        axis = axial(cross) / 2 * c.axis_length[..., None]
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
        return turned[:, _OWNER, _ORDER]

    def by_betas(self) -> tuple[Tensor, Tensor]:
        """Small rotation and shift (B, 24, 3, 10) of every bone per unit of each beta."""
        c = self.body.constants(self.poses.dtype, self.poses.device)
        turn = formulas.rest_derivatives(c, self.rest).expand(len(self.poses), -1, -1, -1)
        parents, carried = self._parents(), carried_by(self.body.parents).to(self.poses)
        own = parents @ turn - self.rotations @ turn
        theta = torch.einsum("ja,baik->bjik", carried, own)
        none = torch.zeros_like(theta[:, :1])
        theta_parent = torch.cat([theta, none], dim=1)[:, list(self.body.parents)]
        above = torch.cat([self.positions, torch.zeros_like(self.positions[:, :1])], dim=1)[:, list(self.body.parents)]
        offset = (self.positions - above)[..., None].expand_as(theta)
        shift = torch.linalg.cross(theta_parent, offset, dim=2) + parents @ self.slide_by_betas.permute(0, 2, 3, 1)
        return theta, torch.einsum("ja,baik->bjik", carried, shift)


@cache
def _angle_above(parents: tuple[int, ...]) -> Tensor:
    """(46, 46) bool: whether the angle of the row turns the axis of the angle of the column (itself included).

    Within a joint the last angle stands next to the parent.
    """
    owner, order = torch.tensor(_OWNER), torch.tensor(_ORDER)
    carried = carried_by(parents)[owner][:, owner].T
    return torch.where(owner[:, None] == owner, order[:, None] >= order, carried)


def _dense(matrix: object) -> FloatArray:
    """A dense or sparse matrix as a dense one: files hold both."""
    return np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix, dtype=np.float64)


def _regressor(name: str, value: object, rows: int) -> sparse.csr_array:
    """The sparse regressor of some points; InputError if it has another shape than (rows, 6890)."""
    matrix = sparse.csr_array(_dense(value))
    if matrix.shape != (rows, SKIN_VERTICES):
        raise InputError(f"the regressor of the {name} must have shape ({rows}, {SKIN_VERTICES}), got {matrix.shape}")
    return matrix


def read_regressor(path: str | Path) -> FloatArray:
    """Read a licensed regressor file of HSMR, dense (K, 6890), from a dense array or a sparse matrix.

    Raises:
        FormatError: the file holds no matrix.
    """
    matrix = _dense(load_pickle(path))
    if matrix.ndim != 2:
        raise FormatError(path, None, f"expected a matrix, found an array of shape {matrix.shape}")
    return matrix

"""Points of the body's surface as sums over bones, so that a fit needs no vertices.

Linear blend skinning is linear in the bones' frames. A fixed combination of skin vertices is therefore
``x = sum_j A_j p_j + R_j c_j`` over the bones that move it, with p and R the bones' positions and orientations, and A, c
constants of the shaped body. Positions and Jacobians cost nothing beyond the joints. A point fixed to one bone is the same with
one term. Exact for a body without pose blend shapes; those of a licensed body are left out here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from hsmr_bio.errors import InputError
from hsmr_bio.kinematics.tree import TreePose
from hsmr_bio.types import FloatArray

from .body import Body
from .data_model import JOINT_COUNT, IntArray, Keypoint
from .keypoint_table import keypoints_of
from .shape_motion import ShapeMotion


@dataclass(frozen=True, eq=False)
class LandmarkSet:
    """L landmarks of one shaped body as M terms, each of one landmark and one bone."""

    names: tuple[str, ...]
    """(L)."""
    landmark: Tensor
    """(M,) landmark of each term."""
    body: Tensor
    """(M,) bone of each term."""
    weight: Tensor
    """(M,) A: share of the bone's position."""
    offset_m: Tensor
    """(M, 3) c, in the bone's axes."""
    offset_by_betas: Tensor
    """(M, 3, 10) derivative of c."""
    shape_motion: ShapeMotion
    """How the bones move with betas."""

    def positions(self, pose: TreePose) -> Tensor:
        """(..., L, 3) in the ground of the body's tree."""
        return self._sum(self._terms(pose), -2)

    def _terms(self, pose: TreePose) -> Tensor:
        turned = (pose.rotations[..., self.body, :, :] @ self.offset_m[..., None])[..., 0]
        return turned + self.weight[:, None] * pose.positions_m[..., self.body, :]

    def _sum(self, terms: Tensor, dim: int) -> Tensor:
        """Add up the terms of each landmark along axis ``dim`` (negative)."""
        if len(self.names) == len(self.landmark) and bool((self.landmark == torch.arange(len(self.names))).all()):
            return terms
        shape = list(terms.shape)
        shape[dim] = len(self.names)
        return terms.new_zeros(shape).index_add(dim % terms.ndim, self.landmark, terms)

    def jacobian(self, pose: TreePose) -> Tensor:
        """(..., L, 3, N) derivative of the positions by the tree's coordinates."""
        omega, velocity = pose.twists()
        moved = pose.tree.ancestors[self.body].to(omega.dtype)
        shares = self._sum(self.weight[:, None] * moved, -2)
        moments = self._sum(self._terms(pose)[..., None, :] * moved[..., None], -3)
        turning = torch.linalg.cross(omega[..., None, :, :], moments)
        moving: Tensor = shares[..., None] * velocity[..., None, :, :] + turning
        return moving.transpose(-1, -2)

    def beta_jacobian(self, pose: TreePose) -> Tensor:
        """(..., L, 3, 10) derivative of the positions by betas, everything counted: joints, bone turns, flesh."""
        spin, velocity = self.shape_motion.bone_motion(pose)
        rotation = pose.rotations[..., self.body, :, :]
        turned = (rotation @ self.offset_m[..., None]).expand(*rotation.shape[:-2], 3, spin.shape[-1])
        terms = self.weight[:, None, None] * velocity[..., self.body, :, :] + rotation @ self.offset_by_betas
        return self._sum(terms + torch.linalg.cross(spin[..., self.body, :, :], turned, dim=-2), -3)


def skin_landmarks(body: Body, betas: Any, weights: sparse.csr_array, names: Sequence[str]) -> LandmarkSet:
    """Landmarks that are weighted means of skin vertices.

    Args:
        body: the body.
        betas: (10,).
        weights: (L, V), rows sum to 1.
        names: (L).
    """
    rest, motion = body.rest(betas), ShapeMotion.of(body, betas)
    joint_dirs = body.rest_jacobian(betas)[0]
    landmark, vertex = weights.nonzero()
    share = np.asarray(weights[landmark, vertex]).ravel()
    skinning = body.data.skin_weights[vertex].tocoo()
    row, bone, value = skinning.row, skinning.col, skinning.data * share[skinning.row]
    pair, term = np.unique(landmark[row].astype(np.int64) * JOINT_COUNT + bone, return_inverse=True)
    landmark_of, bone_of = pair // JOINT_COUNT, pair % JOINT_COUNT
    gather = sparse.csr_array((value, (term, np.arange(len(row)))), shape=(len(pair), len(row)))
    arm = rest.skin_m[vertex[row]] - rest.joints_m[bone]
    arm_dirs = body.data.shapedirs[vertex[row]] - joint_dirs[bone]
    moment, moment_dirs = gather @ arm, (gather @ arm_dirs.reshape(len(row), -1)).reshape(len(pair), 3, -1)
    share_of = np.asarray(gather.sum(axis=1)).ravel()
    return _landmark_set(motion, names, landmark_of, bone_of, share_of, moment, moment_dirs)


def bone_landmarks(
    body: Body, betas: Any, bones: Sequence[int], joints: Sequence[int], offset_over_stature: FloatArray, names: Sequence[str]
) -> LandmarkSet:
    """Landmarks fixed to one bone each, at ``J[joint] + offset_over_stature * stature`` in the T pose.

    Args:
        body: the body.
        betas: (10,).
        bones: (L) bone that each moves with.
        joints: (L) joint that the offset starts from.
        offset_over_stature: (L, 3) rest axes.
        names: (L).
    """
    rest, motion = body.rest(betas), ShapeMotion.of(body, betas)
    joint_dirs = body.rest_jacobian(betas)[0]
    bone, joint, offset = np.asarray(bones), np.asarray(joints), np.asarray(offset_over_stature, dtype=np.float64)
    top, bottom = body.data.stature_vertices
    stature_dirs = body.data.shapedirs[top, 1] - body.data.shapedirs[bottom, 1]
    if rest.skin_m[top, 1] < rest.skin_m[bottom, 1]:
        stature_dirs = -stature_dirs
    moment = rest.joints_m[joint] + offset * body.stature_m(betas) - rest.joints_m[bone]
    moment_dirs = joint_dirs[joint] - joint_dirs[bone] + offset[..., None] * stature_dirs
    order = np.arange(len(bone))
    return _landmark_set(motion, names, order, bone, np.ones(len(bone)), moment, moment_dirs)


def _landmark_set(
    motion: ShapeMotion,
    names: Sequence[str],
    landmark: IntArray,
    bone: IntArray,
    weight: FloatArray,
    moment: FloatArray,
    moment_dirs: FloatArray,
) -> LandmarkSet:
    """Express moments (M, 3) and their derivatives (M, 3, 10), given in rest axes, in the bones' axes."""
    to_bone = motion.rest_inverse.numpy()[bone]
    spun = np.cross(motion.turn.numpy()[bone], moment[..., None], axis=1)
    return LandmarkSet(
        names=tuple(names),
        landmark=torch.as_tensor(landmark),
        body=torch.as_tensor(bone),
        weight=torch.as_tensor(weight),
        offset_m=torch.as_tensor((to_bone @ moment[..., None])[..., 0]),
        offset_by_betas=torch.as_tensor(to_bone @ (moment_dirs - spun)),
        shape_motion=motion,
    )


class KeypointModel:
    """Where a body carries the keypoints of a detector.

    Args:
        body: any body.
        set_name: ``"blazepose33"``, ``"coco17"``, ``"coco23"``, ``"openpose25"`` or a set of the body's own.
        form: ``"bone"`` fixes each point to one bone (robust at deep flexion); ``"skin"`` uses the weighted skin vertices of
            the points that have them.

    Raises:
        InputError: an unknown set or form.
    """

    def __init__(self, body: Body, set_name: str, form: str = "bone") -> None:
        if form not in ("bone", "skin"):
            raise InputError(f"form must be 'bone' or 'skin', got {form!r}")
        self._body, self._form = body, form
        self._parts, mix = keypoints_of(body.data, set_name)
        self.names: tuple[str, ...] = tuple(name for name, _ in mix)
        """(L) in the detector's order."""
        self._mix = [members for _, members in mix]
        self.sigma_2d_m: FloatArray = self._mean([part.sigma_2d_m for part in self._parts])
        """(L,) standard deviation of the image position, metres at the depth of the person."""
        self.sigma_z_m: FloatArray = self._mean([part.sigma_z_m for part in self._parts])
        """(L,) standard deviation of the depth, metres."""

    def _mean(self, values: list[float]) -> FloatArray:
        return np.array([np.mean([values[i] for i in members]) for members in self._mix])

    def attach(self, betas: Any) -> LandmarkSet:
        """The keypoints on the body of one shape; betas (10,)."""
        parts = self._parts
        on_skin = [i for i, part in enumerate(parts) if self._form == "skin" and part.vertices]
        on_bone = [i for i in range(len(parts)) if i not in on_skin]
        sets = []
        if on_bone:
            offsets = np.array([parts[i].offset_over_stature for i in on_bone])
            bones, joints = [parts[i].body for i in on_bone], [parts[i].joint for i in on_bone]
            sets.append((on_bone, bone_landmarks(self._body, betas, bones, joints, offsets, [parts[i].name for i in on_bone])))
        if on_skin:
            weights = _vertex_weights([parts[i] for i in on_skin], len(self._body.data.skin_template_m))
            sets.append((on_skin, skin_landmarks(self._body, betas, weights, [parts[i].name for i in on_skin])))
        return self._combine(sets)

    def _combine(self, sets: list[tuple[list[int], LandmarkSet]]) -> LandmarkSet:
        """Put the landmarks in the detector's order; a mean of several takes their terms with a share each."""
        landmark, source, share = [], [], []
        part_of = torch.cat([torch.as_tensor(index)[landmarks.landmark] for index, landmarks in sets])
        for index, members in enumerate(self._mix):
            for member in members:
                rows = torch.nonzero(part_of == member)[:, 0]
                landmark += [index] * len(rows)
                source.append(rows)
                share += [1 / len(members)] * len(rows)
        rows, factor = torch.cat(source), torch.tensor(share, dtype=torch.float64)

        def joined(name: str) -> Tensor:
            return torch.cat([getattr(landmarks, name) for _, landmarks in sets])[rows]

        return LandmarkSet(
            names=self.names,
            landmark=torch.tensor(landmark),
            body=joined("body"),
            weight=joined("weight") * factor,
            offset_m=joined("offset_m") * factor[:, None],
            offset_by_betas=joined("offset_by_betas") * factor[:, None, None],
            shape_motion=sets[0][1].shape_motion,
        )


def _vertex_weights(points: Sequence[Keypoint], count: int) -> sparse.csr_array:
    row = np.repeat(np.arange(len(points)), [len(point.vertices) for point in points])
    column = np.concatenate([point.vertices for point in points]).astype(np.int64)
    value = np.concatenate([np.asarray(point.weights, dtype=np.float64) for point in points])
    return sparse.csr_array((value, (row, column)), shape=(len(points), count))

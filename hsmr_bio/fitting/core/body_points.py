"""Points on the body: detector landmarks, soles, centres of mass, with their derivatives by betas and landmark offsets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch

from ...body.body import Body
from ...body.data_model import Keypoint
from ...body.keypoint_table import keypoints_of
from ...osim.masses import SEGMENT_PERCENT
from ...skeleton import JOINT_NAMES
from ...types import FloatArray, KeypointSet
from .problem import BETAS, OFFSETS, SHAPE, PointSet

_J = {name: j for j, name in enumerate(JOINT_NAMES)}
OFFSET_PLACES = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle", "heel", "foot_index")
"""Landmark pairs whose place differs from person to person (clothes, build); the fit of a clip estimates a shift of each."""
_FOOT_WEIGHT = 0.5
"""A skin vertex belongs to a foot if the foot's bones have more than half of its skinning weight."""
_SOLE_THICKNESS_M = 0.02
"""Vertices of a foot up to this height above the lowest one are the sole."""
_HEEL_LENGTH_M, _BALL_HALF_LENGTH_M, _TOE_LENGTH_M = 0.05, 0.025, 0.03
"""Lengths of the regions of the sole: from its back end, to both sides of the toe joint, from its front end (our choice)."""
_BALL_SIDE_M = 0.01
"""The inner and the outer ball begin this far from the foot's middle line (our choice)."""
_LOWEST = 6
"""A sole point is the mean of so many lowest vertices of its region (our choice)."""
_LEAST_STANDING = 1e-6
"""Sum of contact probabilities below which no foot carries the body."""


def attach(body: Body, betas: FloatArray, bodies: Sequence[int], rest_m: FloatArray, rest_by_betas: FloatArray) -> PointSet:
    """Fix points of the T pose to bones.

    A point p on a bone with joint j and rest orientation R has the local position ``R^T (p - j)`` and the derivative
    ``R^T (dp - dj - w x (p - j))`` by a beta, where w is the bone's turn.

    Args:
        body: the body of the bones.
        betas: (10,).
        bodies: (P,) bone of each point.
        rest_m: (P, 3) positions in the T pose, rest axes.
        rest_by_betas: (P, 3, 10) derivative of ``rest_m``.

    Returns:
        The points in bone axes.
    """
    rest = body.rest_pose(betas)
    joints_by_betas, turns = body.rest_jacobian(betas)
    index = list(bodies)
    arm = rest_m - rest.joints[0].numpy()[index]
    change = rest_by_betas - joints_by_betas[index] - np.cross(turns[index], arm[:, :, None], axis=1)
    to_bone = rest.rotations[0].numpy()[index].transpose(0, 2, 1)
    by_shape = np.zeros((*rest_m.shape, SHAPE.stop))
    by_shape[..., BETAS] = to_bone @ change
    return PointSet(torch.tensor(index), torch.as_tensor((to_bone @ arm[..., None])[..., 0]), torch.as_tensor(by_shape))


def _joints(body: Body, betas: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(24, 3) joint centres in the T pose and their derivative (24, 3, 10) by betas."""
    return body.rest_pose(betas).joints[0].numpy(), body.rest_jacobian(betas)[0]


@dataclass(frozen=True, eq=False)
class KeypointPoints:
    """Detector landmarks, each fixed to a bone at an offset from a joint that is proportional to stature."""

    body: Body
    keypoints: tuple[Keypoint, ...]
    """The P points on the body that the set is made of."""
    names: tuple[str, ...]
    """(L,) names of the set's landmarks."""
    mix: torch.Tensor | None
    """(L, P) weights of landmarks that are means of points; None if every landmark is one point."""

    @classmethod
    def of(cls, body: Body, wanted: str | KeypointSet) -> KeypointPoints:
        """Look up a keypoint set.

        Args:
            body: the body that the landmarks are fixed to.
            wanted: name of a set of the body, or an estimator's own set.

        Returns:
            The landmarks of the set.

        Raises:
            InputError: the body does not define the set.
        """
        parts, mixes = keypoints_of(body.data, wanted)
        plain = [index for _, index in mixes] == [(i,) for i in range(len(parts))]
        mix = torch.zeros(len(mixes), len(parts), dtype=torch.float64)
        for row, (_, index) in enumerate(mixes):
            mix[row, list(index)] = 1 / len(index)
        return cls(body, tuple(parts), tuple(name for name, _ in mixes), None if plain else mix)

    @property
    def sigma_2d_m(self) -> FloatArray:
        """(L,) standard deviation of the detector's image position, in metres at the person's depth."""
        sigma = np.array([k.sigma_2d_m for k in self.keypoints])
        return sigma if self.mix is None else np.asarray(self.mix.numpy() @ sigma)

    @cached_property
    def _shifted(self) -> dict[int, tuple[int, FloatArray]]:
        """Points that the clip may shift: index of the landmark pair, and (3,) signs that mirror its offset."""
        found = {}
        for point, keypoint in enumerate(self.keypoints):
            side, _, place = keypoint.name.partition("_")
            if side in ("left", "right") and place in OFFSET_PLACES:
                found[point] = OFFSET_PLACES.index(place), np.array([1.0 if side == "left" else -1.0, 1.0, 1.0])
        return found

    def __call__(self, betas: FloatArray, offsets_m: FloatArray) -> PointSet:
        joints, by_betas = _joints(self.body, betas)
        at_zero_m, stature_by_betas = self.body.data.stature_line
        offset = np.array([k.offset_over_stature for k in self.keypoints])
        from_joint = [k.joint for k in self.keypoints]
        rest = joints[from_joint] + offset * (at_zero_m + stature_by_betas @ betas)
        change = by_betas[from_joint] + offset[:, :, None] * stature_by_betas
        for point, (pair, mirror) in self._shifted.items():
            rest[point] += mirror * offsets_m[pair]
        points = attach(self.body, betas, [k.body for k in self.keypoints], rest, change)
        rotations = self.body.rest_pose(betas).rotations[0].numpy()
        for point, (pair, mirror) in self._shifted.items():
            first = OFFSETS.start + 3 * pair
            by_offset = rotations[points.bodies[point]].T * mirror
            points.local_by_shape[point, :, first : first + 3] = torch.as_tensor(by_offset)
        return replace(points, mix=self.mix)


@dataclass(frozen=True, eq=False)
class SolePoints:
    """Eight points under the feet: heel, inner and outer ball, toe tip, right foot first.

    Each is the mean of the lowest skin vertices of its region of the mean body's sole.
    """

    body: Body
    NAMES = tuple(f"{name}_{side}" for side in "rl" for name in ("heel", "ball_in", "ball_out", "toe"))

    @cached_property
    def _vertices(self) -> list[list[int]]:
        """Skin vertices of each point."""
        skin, weights = self.body.data.skin_template_m, self.body.data.skin_weights
        joints = self.body.rest_pose(np.zeros(10)).joints[0].numpy()
        found = []
        for side, outwards in (("r", -1.0), ("l", 1.0)):
            bones = [_J[f"{name}_{side}"] for name in ("talus", "calcn", "toes")]
            foot = np.flatnonzero(np.asarray(weights[:, bones].sum(axis=1)).ravel() > _FOOT_WEIGHT)
            x, height, z = skin[foot].T
            sole = height < height.min() + _SOLE_THICKNESS_M
            ball = sole & (np.abs(z - joints[_J[f"toes_{side}"], 2]) < _BALL_HALF_LENGTH_M)
            outward = outwards * (x - np.median(x[sole]))
            heel = sole & (z < z[sole].min() + _HEEL_LENGTH_M)
            toe = sole & (z > z[sole].max() - _TOE_LENGTH_M)
            regions = (heel, ball & (outward < -_BALL_SIDE_M), ball & (outward > _BALL_SIDE_M), toe)
            found += [list(foot[np.flatnonzero(region)[np.argsort(height[region])[:_LOWEST]]]) for region in regions]
        return found

    @property
    def bodies(self) -> list[int]:
        """(8,) bone of each point: calcaneus for heel and ball, toes for the tip."""
        return [_J[f"{'toes' if name.startswith('toe') else 'calcn'}_{name[-1]}"] for name in self.NAMES]

    def __call__(self, betas: FloatArray, _offsets_m: FloatArray) -> PointSet:
        data = self.body.data
        rest = np.array([data.skin_template_m[v].mean(axis=0) for v in self._vertices])
        change = np.array([data.shapedirs[v].mean(axis=0) for v in self._vertices])
        return attach(self.body, betas, self.bodies, rest + change @ betas, change)


SUPPORT_SHARE = (0.45, 0.25, 0.25, 0.05)
"""Shares of heel, inner ball, outer ball and toe in the centre of support of a foot. They put it at 40 % of the foot's length
from the heel, 5 cm in front of the ankle, where the centre of mass is in quiet standing (Winter 1995, Gait and Posture
3:193)."""


def support_of(standing: FloatArray) -> FloatArray:
    """(T, 8) weights of the sole points in the centre of support, from contact probabilities (T, 8).

    Rows sum to 1, or to 0 if no foot is on the floor.
    """
    share = standing * np.array(SUPPORT_SHARE * 2)
    return np.asarray(share / np.maximum(share.sum(axis=1, keepdims=True), _LEAST_STANDING))


SEGMENTS: tuple[tuple[str, str, float, str], ...] = (
    ("pelvis", "lumbar_body", 0.3, "pelvis"),
    ("lumbar_body", "pelvis", 0.3, "lumbar_body"),
    ("thorax", "lumbar_body", 0.5, "thorax"),
    ("head", "head", 0.0, "head"),
    *((f"femur_{s}", f"tibia_{s}", 0.43, "thigh") for s in "rl"),
    *((f"tibia_{s}", f"talus_{s}", 0.41, "shank") for s in "rl"),
    *((f"calcn_{s}", f"toes_{s}", 0.5, "foot") for s in "rl"),
    *((f"humerus_{s}", f"ulna_{s}", 0.45, "arm") for s in "rl"),
    *((f"ulna_{s}", f"hand_{s}", 0.42, "forearm") for s in "rl"),
    *((f"hand_{s}", f"hand_{s}", 0.0, "hand") for s in "rl"),
)
"""(bone, far joint, share of the distance, row of ``SEGMENT_PERCENT``). The centre of mass lies at this share of the distance
from the bone's own joint to the far joint (Dumas and Wojtusch 2018, rounded)."""


@dataclass(frozen=True, eq=False)
class MassPoints:
    """Centres of mass of the segments, on the lines between joint centres."""

    body: Body

    @property
    def shares(self) -> torch.Tensor:
        """(P,) shares of body mass, the male ones for every body; sum 1."""
        percent = [SEGMENT_PERCENT["male"][row] for _, _, _, row in SEGMENTS]
        shares = torch.tensor([round(value / 100, 3) for value in percent], dtype=torch.float64)
        return shares / shares.sum()

    def __call__(self, betas: FloatArray, _offsets_m: FloatArray) -> PointSet:
        joints, by_betas = _joints(self.body, betas)
        near, far = [_J[s[0]] for s in SEGMENTS], [_J[s[1]] for s in SEGMENTS]
        share = np.array([s[2] for s in SEGMENTS])
        rest = joints[near] + share[:, None] * (joints[far] - joints[near])
        change = by_betas[near] + share[:, None, None] * (by_betas[far] - by_betas[near])
        return attach(self.body, betas, near, rest, change)

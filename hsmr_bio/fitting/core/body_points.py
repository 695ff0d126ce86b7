"""Points on the body that a fit looks at: detector landmarks, soles, centres of mass; with their derivatives by betas."""

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
"""Landmark pairs whose definition differs from person to person (clothes, build): a clip may shift them."""


def attach(body: Body, betas: FloatArray, bodies: Sequence[int], rest_m: FloatArray, rest_by_betas: FloatArray) -> PointSet:
    """Fix points of the T pose to bones.

    Args:
        body: whose bones.
        betas: (10,).
        bodies: (P,) bone of each point.
        rest_m: (P, 3) in the T pose, rest axes.
        rest_by_betas: (P, 3, 10) derivative of ``rest_m``.
    """
    rest = body.rest_pose(betas)
    joints, rotations = rest.joints[0].numpy(), rest.rotations[0].numpy()
    joints_by_betas, turns = body.rest_jacobian(betas)
    index = list(bodies)
    arm = rest_m - joints[index]
    change = rest_by_betas - joints_by_betas[index] - np.cross(turns[index], arm[:, :, None], axis=1)
    into = rotations[index].transpose(0, 2, 1)
    by_shape = np.zeros((*rest_m.shape, SHAPE.stop))
    by_shape[..., BETAS] = into @ change
    return PointSet(torch.tensor(index), torch.as_tensor((into @ arm[..., None])[..., 0]), torch.as_tensor(by_shape))


def _joints(body: Body, betas: FloatArray) -> tuple[FloatArray, FloatArray]:
    return body.rest_pose(betas).joints[0].numpy(), body.rest_jacobian(betas)[0]


@dataclass(frozen=True, eq=False)
class StatureLine:
    """Stature as a linear function of betas: exact, as the skin is linear in betas."""

    at_zero_m: float
    by_betas_m: FloatArray

    @classmethod
    def of(cls, body: Body) -> StatureLine:
        """From the body's two stature vertices."""
        top, heel = body.data.stature_vertices
        height = body.data.skin_template_m[top, 1] - body.data.skin_template_m[heel, 1]
        return cls(float(height), np.asarray(body.data.shapedirs[top, 1] - body.data.shapedirs[heel, 1]))

    def at(self, betas: FloatArray) -> float:
        """Metres."""
        return float(self.at_zero_m + self.by_betas_m @ betas)


@dataclass(frozen=True, eq=False)
class KeypointPoints:
    """Detector landmarks, each fixed to a bone at an offset from a joint that grows with stature."""

    body: Body
    keypoints: tuple[Keypoint, ...]
    """The parts of the set."""
    names: tuple[str, ...]
    """The points of the set."""
    mix: torch.Tensor | None
    """(L, P) points as means of parts; None where they are the same."""

    @classmethod
    def of(cls, body: Body, wanted: str | KeypointSet) -> KeypointPoints:
        """A named set of the body, or an estimator's own.

        Raises:
            InputError: the body does not define it.
        """
        parts, mixes = keypoints_of(body.data, wanted)
        plain = [index for _, index in mixes] == [(i,) for i in range(len(parts))]
        mix = torch.zeros(len(mixes), len(parts), dtype=torch.float64)
        for row, (_, index) in enumerate(mixes):
            mix[row, list(index)] = 1 / len(index)
        return cls(body, tuple(parts), tuple(name for name, _ in mixes), None if plain else mix)

    @property
    def sigma_2d_m(self) -> FloatArray:
        """(L,) standard deviation of the detector's image position, at the person's depth."""
        sigma = np.array([k.sigma_2d_m for k in self.keypoints])
        return sigma if self.mix is None else np.asarray(self.mix.numpy() @ sigma)

    @cached_property
    def _pairs(self) -> list[tuple[int, int, float]]:
        """(point, pair, sign of x) of the landmarks whose place a clip may correct."""
        found = []
        for point, keypoint in enumerate(self.keypoints):
            side, _, place = keypoint.name.partition("_")
            if side in ("left", "right") and place in OFFSET_PLACES:
                found.append((point, OFFSET_PLACES.index(place), 1.0 if side == "left" else -1.0))
        return found

    def __call__(self, betas: FloatArray, offsets_m: FloatArray) -> PointSet:
        joints, by_betas = _joints(self.body, betas)
        stature = StatureLine.of(self.body)
        offset = np.array([k.offset_over_stature for k in self.keypoints])
        from_joint = [k.joint for k in self.keypoints]
        rest = joints[from_joint] + offset * stature.at(betas)
        change = by_betas[from_joint] + offset[:, :, None] * stature.by_betas_m
        sides = {point: (pair, np.array([sign, 1.0, 1.0])) for point, pair, sign in self._pairs}
        for point, (pair, mirror) in sides.items():
            rest[point] += mirror * offsets_m[pair]
        points = attach(self.body, betas, [k.body for k in self.keypoints], rest, change)
        into = self.body.rest_pose(betas).rotations[0].numpy()
        for point, (pair, mirror) in sides.items():
            first = OFFSETS.start + 3 * pair
            points.local_by_shape[point, :, first : first + 3] = torch.as_tensor(into[points.bodies[point]].T * mirror)
        return replace(points, mix=self.mix)


@dataclass(frozen=True, eq=False)
class SolePoints:
    """Eight points under the feet: heel, inner and outer ball, toe tip, right then left.

    Found on the mean skin: for each place, the lowest skin vertices near it; the point is their mean in x and z, at
    their lowest height.
    """

    body: Body
    NAMES = tuple(f"{name}_{side}" for side in "rl" for name in ("heel", "ball_in", "ball_out", "toe"))

    @cached_property
    def _vertices(self) -> list[list[int]]:
        skin = self.body.data.skin_template_m
        weights = self.body.data.skin_weights
        joints = self.body.rest_pose(np.zeros(10)).joints[0].numpy()
        found = []
        for side, sign in (("r", -1.0), ("l", 1.0)):
            bones = [_J[f"{name}_{side}"] for name in ("talus", "calcn", "toes")]
            foot = np.flatnonzero(np.asarray(weights[:, bones].sum(axis=1)).ravel() > 0.5)
            at = skin[foot]
            floor = at[:, 1].min()
            low = at[:, 1] < floor + 0.02
            back, front = at[low, 2].min(), at[low, 2].max()
            ball = joints[_J[f"toes_{side}"], 2]
            middle = np.median(at[low, 0])
            near_ball = low & (np.abs(at[:, 2] - ball) < 0.025)
            outward = sign * (at[:, 0] - middle)
            heel = low & (at[:, 2] < back + 0.05)
            toe = low & (at[:, 2] > front - 0.03)
            places = (heel, near_ball & (outward < -0.01), near_ball & (outward > 0.01), toe)
            found += [list(foot[np.flatnonzero(place)[np.argsort(at[place, 1])[:6]]]) for place in places]
        return found

    @property
    def bodies(self) -> list[int]:
        """(8,) calcaneus for heel and ball, toes for the tip."""
        return [_J[f"{'toes' if name == 'toe' else 'calcn'}_{side}"] for side in "rl" for name in ("heel", "in", "out", "toe")]

    def __call__(self, betas: FloatArray, offsets_m: FloatArray) -> PointSet:
        data = self.body.data
        rest = np.array([data.skin_template_m[v].mean(axis=0) for v in self._vertices])
        change = np.array([data.shapedirs[v].mean(axis=0) for v in self._vertices])
        return attach(self.body, betas, self.bodies, rest + change @ betas, change)


SUPPORT_SHARE = (0.45, 0.25, 0.25, 0.05)
"""Share of heel, inner ball, outer ball and toe in the centre of support: 40 % of the foot's length from the heel, 5 cm in
front of the ankle, where quiet standers have their centre of mass (Winter 1995, Gait and Posture 3:193)."""


def support_of(standing: FloatArray) -> FloatArray:
    """(T, 8) weights of the sole points in the centre of support; rows sum to 1, or to 0 in the air."""
    share = standing * np.array(SUPPORT_SHARE * 2)
    return np.asarray(share / np.maximum(share.sum(axis=1, keepdims=True), 1e-6))


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
"""(bone, far joint, share of the way, row of ``SEGMENT_PERCENT``). The centre of mass lies that share of the way from the
bone's own joint to the far one: Dumas and Wojtusch 2018, rounded."""


@dataclass(frozen=True, eq=False)
class MassPoints:
    """Centres of mass of the segments, on the lines between joint centres."""

    body: Body

    @property
    def shares(self) -> torch.Tensor:
        """(P,) shares of body mass, men's for every body; sum 1."""
        percent = [SEGMENT_PERCENT["male"][row] for _, _, _, row in SEGMENTS]
        shares = torch.tensor([round(value / 100, 3) for value in percent], dtype=torch.float64)
        return shares / shares.sum()

    def __call__(self, betas: FloatArray, offsets_m: FloatArray) -> PointSet:
        joints, by_betas = _joints(self.body, betas)
        near, far = [_J[s[0]] for s in SEGMENTS], [_J[s[1]] for s in SEGMENTS]
        way = np.array([s[2] for s in SEGMENTS])
        rest = joints[near] + way[:, None] * (joints[far] - joints[near])
        change = by_betas[near] + way[:, None, None] * (by_betas[far] - by_betas[near])
        return attach(self.body, betas, near, rest, change)

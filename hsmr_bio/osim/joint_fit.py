"""How the knee of BSM best follows SKEL's, which moves in another way.

A person's model keeps BSM's knee, which rolls and turns inwards as it bends; SKEL's is a hinge. Free is how the joint's frame
lies on its bones. It is fitted to poses of SKEL's knee, with the flexion of every pose eliminated. The T pose is met exactly,
at the coordinates given for it, whatever the fit finds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..kinematics.functions import Linear
from ..kinematics.rotations import about_axis, exp
from ..kinematics.tree import Joint
from ..types import FloatArray

RANGE_SD_RAD = 0.05
"""How far a coordinate may leave its range for a pose of SKEL."""
_STEP = 1e-5
"""Of the difference quotients, in standard deviations."""


@dataclass(frozen=True, eq=False)
class Wanted:
    """Poses of SKEL's joint: where the child body is in its parent."""

    origins_m: FloatArray
    """(P, 3)."""
    rotations: FloatArray
    """(P, 3, 3)."""
    points_m: FloatArray
    """(K, 3) places on the child body, in its axes, that matter for what follows: the next joint."""
    origin_sd_m: float
    rotation_sd_rad: float
    point_sd_m: float


@dataclass(frozen=True, eq=False)
class Fitted:
    """The joint's place."""

    fixed: FloatArray
    """(3, 3) orientation of its frame on the parent."""
    at_m: FloatArray
    """(3,) origin of that frame."""
    moving: FloatArray
    """(3, 3) orientation of its frame on the child, whose origin it shares."""


class JointFit:
    """One joint, its rest pose and the poses it is to follow.

    Args:
        joint: its functions, and the orientation of its frame on the child body as the start.
        size: factor on its translation functions.
        rest: coordinates of the T pose, in the order of ``inputs``.
        rest_origin_m: (3,) origin of the child body in its parent in the T pose.
        rest_rotation: (3, 3) its orientation there.
        ranges: (n, 2) of the coordinates.
    """

    def __init__(
        self,
        joint: Joint,
        size: float,
        rest: Sequence[float],
        rest_origin_m: FloatArray,
        rest_rotation: FloatArray,
        ranges: FloatArray,
    ) -> None:
        self.joint, self.size = joint, size
        self.inputs = sorted({n for _, f in (*joint.rotations, *joint.translations) for n in f.inputs})
        self.order = [f.input for _, f in joint.rotations if isinstance(f, Linear)]
        self.rest = np.array(rest, dtype=np.float64)
        self.rest_origin_m, self.rest_rotation = rest_origin_m, rest_rotation
        self.low, self.high = ranges.T
        turn, slide = self._motion(self.rest[None])
        self._rest_turn, self._rest_slide = turn[0], slide[0]

    def _motion(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Rotation (P, 3, 3) and translation functions (P, 3) of the joint at coordinates (P, n)."""
        q = torch.zeros(len(values), max(self.order) + 1, dtype=torch.float64)
        q[:, self.order] = torch.as_tensor(values)
        turn = torch.eye(3, dtype=torch.float64).expand(len(values), 3, 3)
        for axis, function in self.joint.rotations:
            turn = turn @ about_axis(axis, function.value_and_partials(q)[0])
        slide = torch.zeros(len(values), 3, dtype=torch.float64)
        for axis, function in self.joint.translations:
            slide += function.value_and_partials(q)[0][:, None] * torch.tensor(axis, dtype=torch.float64)
        return turn.numpy(), slide.numpy()

    def place(self, turn: FloatArray) -> Fitted:
        """The joint after a turn (3,) of the child's frame, in rad."""
        moving = exp(torch.as_tensor(turn)).numpy() @ np.asarray(self.joint.child_rotation)
        fixed = self.rest_rotation @ moving @ self._rest_turn.T
        return Fitted(fixed, self.rest_origin_m - fixed @ (self.size * self._rest_slide), moving)

    def fit(self, wanted: Wanted, turn_sd_rad: float, iterations: int) -> Fitted:
        """Least squares over the frame and, per pose, the coordinates.

        Args:
            wanted: the poses.
            turn_sd_rad: how far the frame may be turned about each axis: standard deviation.
            iterations: damped Gauss-Newton steps.

        Returns:
            The joint with the least weighted error.
        """
        basis = turn_sd_rad * np.eye(3)
        theta = np.zeros(3)
        values = np.tile(self.rest, (len(wanted.origins_m), 1))
        motion = self._motion(values)
        residual = self._residual(wanted, theta, values, motion)
        cost, damping = _cost(theta, residual), 1e-3
        for _ in range(iterations):
            now = basis @ theta
            shape = [self._residual(wanted, now + _STEP * column, values, motion) - residual for column in basis.T]
            bent = [values + e for e in _STEP * np.eye(values.shape[1])]
            pose = [self._residual(wanted, now, v, self._motion(v)) - residual for v in bent]
            by_theta, by_value = np.stack(shape, axis=-1) / _STEP, np.stack(pose, axis=-1) / _STEP
            step, steps = _step(theta, residual, by_theta, by_value, damping)
            trial_motion = self._motion(values + steps)
            trial = self._residual(wanted, now + basis @ step, values + steps, trial_motion)
            trial_cost = _cost(theta + step, trial)
            if trial_cost < cost:
                theta, values, motion = theta + step, values + steps, trial_motion
                residual, cost, damping = trial, trial_cost, damping / 10
            else:
                damping *= 30
        return self.place(basis @ theta)

    def _residual(
        self, wanted: Wanted, change: FloatArray, values: FloatArray, motion: tuple[FloatArray, FloatArray]
    ) -> FloatArray:
        """(P, M) weighted errors of all poses; ``motion`` is the joint's at ``values``."""
        placed = self.place(change)
        turn, slide = motion
        rotation = placed.fixed @ turn @ placed.moving.T
        origin = placed.at_m + (slide * self.size) @ placed.fixed.T
        miss = (origin - wanted.origins_m) / wanted.origin_sd_m
        angle = _vector(rotation @ wanted.rotations.transpose(0, 2, 1)) / wanted.rotation_sd_rad
        excess = (np.maximum(values - self.high, 0) - np.maximum(self.low - values, 0)) / RANGE_SD_RAD
        points = [
            (origin + rotation @ point - wanted.origins_m - wanted.rotations @ point) / wanted.point_sd_m
            for point in wanted.points_m
        ]
        return np.concatenate([miss, angle, excess, *points], axis=1)


def _vector(rotation: FloatArray) -> FloatArray:
    """(P, 3) rotation vectors of rotations well below a half turn."""
    odd = rotation - rotation.transpose(0, 2, 1)
    sine = np.stack([odd[:, 2, 1], odd[:, 0, 2], odd[:, 1, 0]], axis=1) / 2
    size = np.linalg.norm(sine, axis=1, keepdims=True)
    angle = np.arctan2(size, (np.trace(rotation, axis1=1, axis2=2)[:, None] - 1) / 2)
    return np.where(size > 1e-12, sine * angle / np.maximum(size, 1e-12), sine)


def _cost(theta: FloatArray, residual: FloatArray) -> float:
    """Mean over the poses, plus how far the joint was changed."""
    return float(np.square(residual).sum() / len(residual) + np.square(theta).sum())


def _step(
    theta: FloatArray, residual: FloatArray, by_theta: FloatArray, by_value: FloatArray, damping: float
) -> tuple[FloatArray, FloatArray]:
    """Gauss-Newton step of the shape (K,) and of every pose (P, n), the poses eliminated first."""
    count, n = len(residual), by_value.shape[2]
    own = by_value.transpose(0, 2, 1) @ by_value
    own = own * (1 + damping * np.eye(n)) + 1e-9 * np.eye(n)
    across = by_value.transpose(0, 2, 1) @ by_theta  # (P, n, K)
    pull = (by_value.transpose(0, 2, 1) @ residual[..., None])[..., 0]
    solved = np.linalg.solve(own, np.concatenate([across, pull[..., None]], axis=2))
    both = by_theta.transpose(0, 2, 1) @ by_theta - across.transpose(0, 2, 1) @ solved[..., :-1]
    gradient = (by_theta.transpose(0, 2, 1) @ residual[..., None])[..., 0] - (across.transpose(0, 2, 1) @ solved[..., -1:])[
        ..., 0
    ]
    eye = np.eye(len(theta))
    hessian = both.mean(axis=0)
    step = -np.linalg.solve(hessian * (1 + damping * eye) + eye, gradient.sum(axis=0) / count + theta)
    steps = -(solved[..., -1] + solved[..., :-1] @ step)
    return step, steps

"""Fits the frames of BSM's knee to the motion of SKEL's knee.

A person's model keeps BSM's knee, which rolls and rotates inwards as it bends; SKEL's is a hinge. The unknown is the
orientation of the joint's frame on its bones. The fit is to poses of SKEL's knee, with the flexion of every pose eliminated.
The T pose is exact, at the coordinates given for it, for any result of the fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..kinematics.functions import Linear
from ..kinematics.linear_solvers import Bordered, Schur
from ..kinematics.rotations import about_axis, exp, log
from ..kinematics.solve import Factors, LeastSquares, Stop, minimise
from ..kinematics.tree import Joint
from ..types import FloatArray

RANGE_SD_RAD = 0.05
"""Standard deviation of a coordinate outside its range; chosen."""
_STEP = 1e-5
"""Step of the difference quotients: rad for coordinates, standard deviations for the frame."""
_RIDGE = 1e-9
"""Relative ridge of the linear equations; chosen."""
_DAMPING = Factors(start=1e-3, shrink=0.1, growth=30.0)
"""Damping of the least squares; chosen."""


@dataclass(frozen=True, eq=False)
class Targets:
    """Poses of SKEL's joint: the child body in its parent."""

    origins_m: FloatArray
    """(P, 3)."""
    rotations: FloatArray
    """(P, 3, 3)."""
    points_m: FloatArray
    """(K, 3) points on the child body, in its axes, that the fit places too: the next joint."""
    origin_sd_m: float
    rotation_sd_rad: float
    point_sd_m: float


@dataclass(frozen=True, eq=False)
class Fitted:
    """Frames of the joint."""

    fixed: FloatArray
    """(3, 3) orientation of its frame on the parent."""
    origin_m: FloatArray
    """(3,) origin of that frame."""
    moving: FloatArray
    """(3, 3) orientation of its frame on the child; the origin is the child's."""


class JointFit:
    """One joint and its T pose.

    Args:
        joint: its functions; the orientation of its frame on the child body is the start.
        scale: factor on its translation functions.
        rest: coordinates of the T pose, in the order of the rotations.
        rest_origin_m: (3,) origin of the child body in its parent in the T pose.
        rest_rotation: (3, 3) orientation of the child body in its parent in the T pose.
        ranges: (n, 2) of the coordinates, rad.
    """

    def __init__(
        self,
        joint: Joint,
        scale: float,
        rest: Sequence[float],
        rest_origin_m: FloatArray,
        rest_rotation: FloatArray,
        ranges: FloatArray,
    ) -> None:
        self.joint, self.scale = joint, scale
        self.order = [f.input for _, f in joint.rotations if isinstance(f, Linear)]
        self.rest = np.array(rest, dtype=np.float64)
        self.rest_origin_m, self.rest_rotation = rest_origin_m, rest_rotation
        self.low, self.high = ranges.T
        rotation, translation = self.motion(self.rest[None])
        self._rest_motion = rotation[0], translation[0]

    def motion(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Rotation (P, 3, 3) and translation functions (P, 3) of the joint at coordinates (P, n)."""
        q = torch.zeros(len(values), max(self.order) + 1, dtype=torch.float64)
        q[:, self.order] = torch.as_tensor(values)
        rotation = torch.eye(3, dtype=torch.float64).expand(len(values), 3, 3)
        for axis, function in self.joint.rotations:
            rotation = rotation @ about_axis(axis, function.value_and_partials(q)[0])
        translation = torch.zeros(len(values), 3, dtype=torch.float64)
        for direction, function in self.joint.translations:
            translation += function.value_and_partials(q)[0][:, None] * torch.tensor(direction, dtype=torch.float64)
        return rotation.numpy(), translation.numpy()

    def rotated(self, turn_rad: FloatArray) -> Fitted:
        """Frames of the joint after a rotation (3,) of the child's frame."""
        rotation, translation = self._rest_motion
        moving = exp(torch.as_tensor(turn_rad)).numpy() @ np.asarray(self.joint.child_rotation)
        fixed = self.rest_rotation @ moving @ rotation.T
        return Fitted(fixed, self.rest_origin_m - fixed @ (self.scale * translation), moving)

    def fit(self, targets: Targets, turn_sd_rad: float, iterations: int) -> Fitted:
        """Least squares over the frame and, per pose, the coordinates.

        Args:
            targets: the poses.
            turn_sd_rad: standard deviation of the frame's rotation about each axis.
            iterations: damped Gauss-Newton steps.

        Returns:
            The frames with the least weighted error.
        """
        values = np.tile(self.rest, len(targets.origins_m))
        start = torch.as_tensor(np.concatenate([values, np.zeros(3)]))[None]
        problem = _Problem(self, targets, turn_sd_rad)
        best = minimise(problem, start, solver=Schur(ridge=_RIDGE), damping=_DAMPING, stop=Stop(iterations)).x
        return self.rotated(turn_sd_rad * best[0, -3:].numpy())

    def residual(
        self, targets: Targets, turn_rad: FloatArray, values: FloatArray, motion: tuple[FloatArray, FloatArray]
    ) -> FloatArray:
        """Weighted errors of all poses.

        Args:
            targets: the poses.
            turn_rad: (3,) rotation of the frame.
            values: (P, n) coordinates of the poses.
            motion: of the joint at ``values``.

        Returns:
            (P, M) in standard deviations: origin, orientation, excess beyond the ranges, points.
        """
        frames = self.rotated(turn_rad)
        rotation = frames.fixed @ motion[0] @ frames.moving.T
        origin = frames.origin_m + (motion[1] * self.scale) @ frames.fixed.T
        distance = (origin - targets.origins_m) / targets.origin_sd_m
        angle = log(torch.as_tensor(rotation @ targets.rotations.transpose(0, 2, 1))).numpy() / targets.rotation_sd_rad
        excess = (np.maximum(values - self.high, 0) - np.maximum(self.low - values, 0)) / RANGE_SD_RAD
        points = [
            (origin + rotation @ point - targets.origins_m - targets.rotations @ point) / targets.point_sd_m
            for point in targets.points_m
        ]
        return np.concatenate([distance, angle, excess, *points], axis=1)


@dataclass(frozen=True, eq=False)
class _State:
    cost: Tensor
    turn_rad: FloatArray
    """(3,) rotation of the frame."""
    values: FloatArray
    """(P, n) coordinates of the poses."""
    motion: tuple[FloatArray, FloatArray]
    residual: FloatArray
    """(P, M)."""


@dataclass(frozen=True, eq=False)
class _Problem(LeastSquares[_State, Bordered]):
    """Unknowns: the coordinates of all poses, then the rotation of the frame, which they share, in standard deviations."""

    fit: JointFit
    targets: Targets
    turn_sd_rad: float

    def evaluate(self, x: Tensor, rows: Tensor) -> _State:
        del rows  # there is one problem
        turn, values = x[0, -3:].numpy() * self.turn_sd_rad, x[0, :-3].reshape(len(self.targets.origins_m), -1).numpy()
        motion = self.fit.motion(values)
        residual = self.fit.residual(self.targets, turn, values, motion)
        cost = 0.5 * (np.square(residual).sum() + len(values) * x[0, -3:].square().sum())
        return _State(cost[None], turn, values, motion, residual)

    def equations(self, state: _State) -> Bordered:
        """Derivatives by difference quotients; the prior of the rotation counts once per pose."""
        turn, values, count = state.turn_rad, state.values, len(state.values)
        turns = [turn + _STEP * self.turn_sd_rad * axis for axis in np.eye(3)]
        by_turn = self._derivatives(state, [self.fit.residual(self.targets, t, values, state.motion) for t in turns])
        steps = [values + step for step in _STEP * np.eye(values.shape[1])]
        by_value = self._derivatives(state, [self.fit.residual(self.targets, turn, v, self.fit.motion(v)) for v in steps])
        residual, prior = torch.as_tensor(state.residual)[..., None], torch.as_tensor(turn) / self.turn_sd_rad
        return Bordered(
            own=by_value.mT @ by_value,
            own_gradient=(by_value.mT @ residual)[..., 0],
            mixed=by_value.mT @ by_turn,
            shared=(by_turn.mT @ by_turn).sum(0),
            shared_gradient=(by_turn.mT @ residual)[..., 0].sum(0) + count * prior,
            pull=count,
        )

    @staticmethod
    def _derivatives(state: _State, moved: Sequence[FloatArray]) -> Tensor:
        """(P, M, k) derivatives from residuals after steps of k unknowns."""
        return torch.as_tensor(np.stack([residual - state.residual for residual in moved], axis=-1) / _STEP)

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
from torch import Tensor

from ..kinematics.functions import Linear
from ..kinematics.linear_solvers import Bordered, Schur
from ..kinematics.rotations import about_axis, exp
from ..kinematics.solve import Factors, LeastSquares, Stop, minimise
from ..kinematics.tree import Joint
from ..types import FloatArray

RANGE_SD_RAD = 0.05
"""How far a coordinate may leave its range for a pose of SKEL."""
_STEP = 1e-5
"""Of the difference quotients, in standard deviations."""
_DAMPING = Factors(start=1e-3, shrink=0.1, growth=30.0)


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
        turn, slide = self.motion(self.rest[None])
        self._rest_turn, self._rest_slide = turn[0], slide[0]

    def motion(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Rotation (P, 3, 3) and translation functions (P, 3) of the joint at coordinates (P, n)."""
        q = torch.zeros(len(values), max(self.order) + 1, dtype=torch.float64)
        q[:, self.order] = torch.as_tensor(values)
        turn = torch.eye(3, dtype=torch.float64).expand(len(values), 3, 3)
        for axis, function in self.joint.rotations:
            turn = turn @ about_axis(axis, function.value_and_partials(q)[0])
        slide = torch.zeros(len(values), 3, dtype=torch.float64)
        for direction, function in self.joint.translations:
            slide += function.value_and_partials(q)[0][:, None] * torch.tensor(direction, dtype=torch.float64)
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
        values = np.tile(self.rest, len(wanted.origins_m))
        start = torch.as_tensor(np.concatenate([values, np.zeros(3)]))[None]
        problem = _Poses(self, wanted, turn_sd_rad)
        best = minimise(problem, start, solver=Schur(ridge=1e-9), damping=_DAMPING, stop=Stop(iterations)).x
        return self.place(turn_sd_rad * best[0, -3:].numpy())

    def residual(
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


@dataclass(frozen=True, eq=False)
class _Guess:
    cost: Tensor
    turn_rad: FloatArray
    """(3,) of the frame."""
    values: FloatArray
    """(P, n) coordinates of the poses."""
    motion: tuple[FloatArray, FloatArray]
    residual: FloatArray
    """(P, M)."""


@dataclass(frozen=True, eq=False)
class _Poses(LeastSquares[_Guess, Bordered]):
    """One problem: the coordinates of all poses, and the turn of the frame in standard deviations, which they share."""

    fit: JointFit
    wanted: Wanted
    turn_sd_rad: float

    def evaluate(self, x: Tensor, rows: Tensor) -> _Guess:
        turn, values = x[0, -3:].numpy() * self.turn_sd_rad, x[0, :-3].reshape(len(self.wanted.origins_m), -1).numpy()
        motion = self.fit.motion(values)
        residual = self.fit.residual(self.wanted, turn, values, motion)
        cost = 0.5 * (np.square(residual).sum() + len(values) * x[0, -3:].square().sum())
        return _Guess(cost[None], turn, values, motion, residual)

    def equations(self, guess: _Guess) -> Bordered:
        """Difference quotients; the prior of the turn counts as often as there are poses."""
        turn, values, count = guess.turn_rad, guess.values, len(guess.values)
        changes = [turn + _STEP * self.turn_sd_rad * axis for axis in np.eye(3)]
        by_turn = self._rows(guess, [self.fit.residual(self.wanted, change, values, guess.motion) for change in changes])
        bent = [values + e for e in _STEP * np.eye(values.shape[1])]
        by_value = self._rows(guess, [self.fit.residual(self.wanted, turn, v, self.fit.motion(v)) for v in bent])
        miss, prior = torch.as_tensor(guess.residual)[..., None], torch.as_tensor(turn) / self.turn_sd_rad
        return Bordered(
            own=by_value.mT @ by_value,
            own_gradient=(by_value.mT @ miss)[..., 0],
            mixed=by_value.mT @ by_turn,
            shared=(by_turn.mT @ by_turn).sum(0),
            shared_gradient=(by_turn.mT @ miss)[..., 0].sum(0) + count * prior,
            pull=count,
        )

    @staticmethod
    def _rows(guess: _Guess, moved: Sequence[FloatArray]) -> Tensor:
        """(P, M, k) derivatives from residuals after steps of k unknowns."""
        return torch.as_tensor(np.stack([residual - guess.residual for residual in moved], axis=-1) / _STEP)

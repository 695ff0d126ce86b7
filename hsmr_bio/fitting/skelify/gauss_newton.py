"""SKELify by a batched Levenberg-Marquardt on the kinematic tree.

The objective (:mod:`hsmr_bio.fitting.skelify.objective`) is a mean over samples. Each sample is a problem of its own with its
own damping, so its result does not depend on the rest of the batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ...hsmr.camera import least_squares_translation, project, to_patch_px
from ...hsmr.config import FOCAL_PATCH
from ...hsmr.keypoints import GROUPS
from ...hsmr.losses import LIMIT_BOUNDS, LIMIT_DOFS, angle_prior
from ...kinematics.linear_solvers import Cholesky, Dense
from ...kinematics.solve import GainRatio, LeastSquares, Stop, minimise
from .lbfgs import SkelifyResult
from .objective import FULL, ROBUST, TOLERANCE, Schedule, Stage, guess_depth, keypoint_error, person_scale, robust

UNKNOWNS = 59
"""46 angles, 10 betas, 3 of the camera translation."""
_CAMERA = (0, 1, 2, 56, 57, 58)
"""Global orientation and translation."""
_DAMPING = GainRatio(start=1e-4)
_STEP = 1e-7
"""A step below this in every unknown (rad, m, betas) has converged."""
_TORSO = Stop(8, _STEP, 1e-3)
"""Of the orientation that is fitted to the torso. These and the next ones: own choice, on drawn people of the benchmark."""
_ROUGH = Stop(3, _STEP, 1e-2)
_COMPARED = Stop(3, _STEP, 1e-4)
"""Of two starts, before the better one is chosen."""
_NEAR, _REFINE_NEAR = Stop(12, _STEP, 3e-3), Stop(6, _STEP, 1e-3)
"""With Gauss-Newton's curvature, until the objective falls by so small a share that Newton's is better."""
_LAST, _REFINE_LAST = Stop(14, _STEP, 1e-10), Stop(20, _STEP, 1e-5)
"""With Newton's curvature."""
_IN_FRONT_M = 1.0
"""Smallest depth of a first guess of the translation; nearer ones are replaced by the given start."""


class KeypointModel(Protocol):
    """A body's 44 keypoints and their derivatives."""

    def __call__(self, poses_rad: Tensor, betas: Tensor) -> Tensor:
        """Keypoints (B, 44, 3) of poses (B, 46) and betas (B, 10), translation zero; differentiable."""

    def with_jacobian(self, poses_rad: Tensor, betas: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Place the keypoints, with their derivatives.

        Args:
            poses_rad: (B, 46).
            betas: (B, 10).

        Returns:
            Keypoints (B, 44, 3), their derivative (B, 44, 3, 56) by angles and betas, and the angular velocity (B, 46, 3) per
            unit rate of each angle of all that it carries.
        """

    @property
    def above(self) -> Tensor:
        """(46, 46) bool: whether the angle of the row turns the axis of the angle of the column."""


class _Samples(NamedTuple):
    """Some samples at some unknowns."""

    cost: Tensor
    """(B,) objective."""
    x: Tensor
    """(B, 59)."""
    rows: Tensor
    """(B,) numbers of the samples."""


@dataclass(frozen=True, eq=False)
class _Objective(LeastSquares[_Samples, Dense]):
    """Objective of a stage, per sample, with gradient and curvature."""

    model: KeypointModel
    stage: Stage
    label: Tensor
    """(B, 44, 3)."""
    depth_m: Tensor
    """(B,) guessed."""
    free: Tensor
    """(59,) bool: unknowns of the stage."""
    newton: bool = False
    """Whether the curvature is Newton's: better close to the minimum, worse far from it."""

    @cached_property
    def size(self) -> Tensor:
        """(B,) size of each person in the label."""
        return person_scale(self.label) + TOLERANCE

    def evaluate(self, x: Tensor, rows: Tensor) -> _Samples:
        """Evaluate the objective.

        Args:
            x: (R, 59) angles, betas and translation.
            rows: (R,) numbers of the samples.

        Returns:
            The samples with their objective.
        """
        poses, betas, translation = split(x)
        error, weight = self._error(self.model(poses, betas) + translation[:, None], rows)
        value = (weight * robust(error)).flatten(1).sum(1)
        if self.stage.shape:
            value = value + self.stage.shape**2 * betas.square().sum(1)
        if self.stage.angle:
            value = value + self._angle_weight * angle_prior(poses).sum(1)
        if self.stage.depth:
            value = value + self.stage.depth**2 * (self.depth_m[rows] - translation[:, 2]).square()
        return _Samples(value, x, rows)

    def equations(self, guess: _Samples) -> Dense:
        """Build gradient (B, 59) and curvature (B, 59, 59); fixed unknowns stay where they are.

        The curvature is Gauss-Newton's. With ``newton``, the second derivatives of the keypoints are added where the matrix
        stays positive definite.
        """
        value, x, samples = guess
        poses, betas, translation = split(x)
        points, by_model, omega = self.model.with_jacobian(poses, betas)
        index = list(GROUPS[self.stage.keypoints])
        points, by_model = points + translation[:, None], by_model[:, index]
        seen, scale = points[:, index], self.size[samples][:, None] / FOCAL_PATCH
        error, weight = self._error(points, samples)
        pull = 2 * weight * (ROBUST**2 / (ROBUST**2 + error.square())).square()
        rows, force, bend = _projection(seen, scale, pull, error)
        jacobian = torch.cat([by_model, torch.eye(3).to(x).expand(*seen.shape[:2], 3, 3)], dim=-1)
        gradient = torch.einsum("bki,bkin->bn", force, jacobian)
        metric = rows.transpose(-1, -2) @ (pull[..., None] * rows)
        hessian = jacobian.flatten(1, 2).transpose(1, 2) @ (metric @ jacobian).flatten(1, 2)
        self._add_priors(poses, betas, translation, samples, gradient, hessian)
        if self.newton:
            newton = hessian + jacobian.flatten(1, 2).transpose(1, 2) @ (bend @ jacobian).flatten(1, 2)
            newton[:, :46, :46] += self._bending(by_model, force, omega)
            definite = torch.linalg.cholesky_ex(newton).info == 0
            hessian = torch.where(definite[:, None, None], newton, hessian)
        fixed = ~self.free
        gradient[:, fixed] = 0
        hessian[:, fixed] = 0
        hessian[:, :, fixed] = 0
        hessian.diagonal(dim1=1, dim2=2)[:, fixed] = 1
        return Dense(value, gradient, hessian)

    def _bending(self, by_model: Tensor, force: Tensor, omega: Tensor) -> Tensor:
        """(B, 46, 46) curvature from the second derivatives of the keypoints by the angles.

        An angle turns the velocity that an angle further from the root gives a point, so the second derivative is the cross
        product of the axis of the one with the velocity by the other. (The translations of spine and scapulae are left out.)
        """
        moment = torch.linalg.cross(by_model[..., :46], force[..., None].expand(-1, -1, -1, 46), dim=2).sum(1)
        upper = (omega @ moment) * self.model.above.to(omega)
        full: Tensor = upper + upper.transpose(1, 2) - torch.diag_embed(upper.diagonal(dim1=1, dim2=2))
        return full

    def _add_priors(
        self, poses: Tensor, betas: Tensor, translation: Tensor, samples: Tensor, gradient: Tensor, hessian: Tensor
    ) -> None:
        """Add shape, limits and depth to gradient and curvature, in place."""
        diagonal = hessian.diagonal(dim1=1, dim2=2)
        if self.stage.shape:
            gradient[:, 46:56] += 2 * self.stage.shape**2 * betas
            diagonal[:, 46:56] += 2 * self.stage.shape**2
        if self.stage.angle:
            below, above = self._limits(poses)
            gradient[:, list(LIMIT_DOFS)] += 2 * self._angle_weight * (above - below)
            diagonal[:, list(LIMIT_DOFS)] += 4 * self._angle_weight * (above + below)
        if self.stage.depth:
            gradient[:, 58] += 2 * self.stage.depth**2 * (translation[:, 2] - self.depth_m[samples])
            diagonal[:, 58] += 2 * self.stage.depth**2

    def _error(self, placed_m: Tensor, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Errors (B, K, 2) in units of the person's size, and their squared weights (B, K, 1)."""
        keep = list(GROUPS[self.stage.keypoints])
        seen, label = placed_m[:, keep], self.label[samples][:, keep]
        error = FOCAL_PATCH * seen[..., :2] / seen[..., 2:] - label[..., :2]
        return error / self.size[samples][:, None, None], self.stage.reprojection**2 * label[..., 2:].square()

    @property
    def _angle_weight(self) -> float:
        return self.stage.angle**2 / len(LIMIT_DOFS)

    def _limits(self, poses: Tensor) -> tuple[Tensor, Tensor]:
        """Penalties (B, 43) of the lower and of the upper limits."""
        low, high = poses.new_tensor(LIMIT_BOUNDS).unbind(1)
        limited = poses[:, list(LIMIT_DOFS)]
        return torch.exp(2 * (low - limited)), torch.exp(2 * (limited - high))


def split(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(B, 59) to poses (B, 46), betas (B, 10), translation (B, 3)."""
    return x[:, :46], x[:, 46:56], x[:, 56:]


def _projection(seen: Tensor, scale: Tensor, pull: Tensor, error: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Derivatives of the image errors by points in camera axes.

    Args:
        seen: (B, K, 3).
        scale: (B, 1) by which image coordinates (x/z, y/z) are divided.
        pull: (B, K, 2) derivative of the objective by each error, over the error.
        error: (B, K, 2).

    Returns:
        Derivative of the errors (B, K, 2, 3), gradient (B, K, 3) and curvature of the perspective projection (B, K, 3, 3).
    """
    inverse = 1 / seen[..., 2]
    ratio = seen[..., :2] * inverse[..., None]
    gain = inverse / scale
    rows = torch.cat([torch.eye(2).to(seen).expand(*seen.shape[:2], 2, 2), -ratio[..., None]], dim=-1) * gain[..., None, None]
    load = pull * error
    force = (rows.transpose(-1, -2) @ load[..., None])[..., 0]
    bend = seen.new_zeros(*seen.shape, 3)
    side = -load * (gain * inverse)[..., None]
    bend[..., :2, 2] = side
    bend[..., 2, :2] = side
    bend[..., 2, 2] = -2 * (side * ratio).sum(-1)
    return rows, force, bend


@torch.no_grad()
def skelify_gauss_newton(
    model: KeypointModel,
    label: Tensor,
    poses_rad: Tensor,
    betas: Tensor,
    translation_m: Tensor,
    *,
    schedule: Schedule = FULL,
) -> SkelifyResult:
    """Minimise the objective of the last stage by damped least squares, in float64.

    In the full schedule every sample has two starts, the given orientation and one fitted to the torso (which may face the
    wrong way), and continues with the better one. The refinement keeps its start.

    Args:
        model: keypoints of the body.
        label: (B, 44, 3) normalised patch units and confidence.
        poses_rad: (B, 46) start.
        betas: (B, 10) start.
        translation_m: (B, 3) start.
        schedule: ``FULL`` or ``REFINE``.

    Returns:
        Poses, betas, translation, error per image and the objective.
    """
    dtype, label = label.dtype, label.double()
    x = torch.cat([poses_rad, betas, translation_m], dim=1).double()
    last, near, end = schedule.stages[-1], _REFINE_NEAR, _REFINE_LAST
    if len(schedule.stages) > 1:
        x, near, end = _full_start(model, label, x, schedule), _NEAR, _LAST
    x, _ = _run(model, last, label, x, near)
    x, value = _run(model, last, label, x, end, newton=True)
    poses, shape, translation = split(x)
    return SkelifyResult(
        poses_rad=poses.to(dtype),
        betas=shape.to(dtype),
        translation_m=translation.to(dtype),
        keypoint_error=keypoint_error(project(model(poses, shape), translation), label).to(dtype),
        objective=float(value.mean()),
    )


def _full_start(model: KeypointModel, label: Tensor, x: Tensor, schedule: Schedule) -> Tensor:
    """(B, 59) the better of two starts: the given orientation and one fitted to the torso, each after a few steps."""
    plain = x.clone()
    plain[:, 56:] = least_squares_translation(model(x[:, :46], x[:, 46:56]), to_patch_px(label))
    plain[:, 56:] = torch.where(plain[:, 58:] > _IN_FRONT_M, plain[:, 56:], x[:, 56:])
    turned, _ = _run(model, schedule.stages[0], label, x, _TORSO)
    starts, twice = torch.cat([plain, turned]), torch.cat([label, label])
    starts, _ = _run(model, schedule.stages[-2], twice, starts, _ROUGH)
    starts, value = _run(model, schedule.stages[-1], twice, starts, _COMPARED)
    (plain, turned), (first, second) = starts.chunk(2), value.chunk(2)
    return torch.where((first <= second)[:, None], plain, turned)


def _run(
    model: KeypointModel, stage: Stage, label: Tensor, x: Tensor, stop: Stop, *, newton: bool = False
) -> tuple[Tensor, Tensor]:
    """Unknowns (B, 59) and objective (B,) after a stage."""
    free = torch.zeros(UNKNOWNS, dtype=torch.bool)
    free[list(_CAMERA) if stage.camera_only else slice(None)] = True
    depth = guess_depth(model(x[:, :46], x[:, 46:56]), label)
    objective = _Objective(model, stage, label, depth, free, newton)
    solution = minimise(objective, x, solver=Cholesky(), damping=_DAMPING, stop=stop)
    return solution.x, solution.cost

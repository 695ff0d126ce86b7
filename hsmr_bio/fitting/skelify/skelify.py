"""SKELify: SKEL to 2D keypoints. Our default is a batched Levenberg-Marquardt on the kinematic tree.

The objective is the paper's (:mod:`hsmr_bio.fitting.skelify.objective`). It is a mean over samples, so each sample is a problem
of its own, with its own damping: results do not depend on what else is in the batch. The paper's own procedure (L-BFGS
through autograd) is ``method="lbfgs"``.

Source: Xia et al. 2025 (HSMR), sec. 3.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from ...body.body import Body
from ...errors import InputError, ShapeError
from ...hsmr.camera import camera_to_translation, least_squares_translation, project, to_patch_px
from ...hsmr.config import FOCAL_PATCH
from ...hsmr.keypoints import GROUPS
from ...hsmr.losses import LIMIT_BOUNDS, LIMIT_DOFS
from ...hsmr.pose import MEAN_BETAS, MEAN_CAMERA, MEAN_POSE_RAD
from ...kinematics.linear_solvers import Cholesky, Dense
from ...kinematics.solve import GainRatio, LeastSquares, Stop, minimise
from .hsmr_points import HsmrPoints
from .lbfgs import SkelifyResult, skelify_lbfgs
from .objective import FULL, REFINE, ROBUST, TOLERANCE, Schedule, Stage, guess_depth, keypoint_error, person_scale, robust

UNKNOWNS = 59
"""46 angles, 10 betas, 3 of the camera translation."""
_CAMERA = (0, 1, 2, 56, 57, 58)
_FIRST_ITERATIONS, _FEW_ITERATIONS, _NEAR_ITERATIONS, _LAST_ITERATIONS = 8, 3, 12, 14
_REFINE_NEAR_ITERATIONS, _REFINE_ITERATIONS = 6, 20
_NEAR, _REFINE_NEAR = 3e-3, 1e-3
"""Relative change of the objective from which on Newton's curvature is used."""
_REFINE_CONVERGED = 1e-5


class KeypointModel(Protocol):
    """A body's 44 keypoints and their derivatives."""

    def __call__(self, poses_rad: Tensor, betas: Tensor) -> Tensor:
        """(B, 46), (B, 10) to (B, 44, 3); differentiable."""

    def with_jacobian(self, poses_rad: Tensor, betas: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Keypoints (B, 44, 3), derivative (B, 44, 3, 56) by angles and betas, angular velocity (B, 46, 3) by angles."""

    @property
    def above(self) -> Tensor:
        """(46, 46) bool: whether the angle of the row carries the axis of the angle of the column."""


class _Samples(NamedTuple):
    """Some samples at some unknowns."""

    cost: Tensor
    """(B,) objective."""
    x: Tensor
    """(B, 59)."""
    number: Tensor
    """(B,) of the sample."""


@dataclass(frozen=True, eq=False)
class _Objective(LeastSquares[_Samples, Dense]):
    """One stage's objective, per sample, with gradient and curvature."""

    model: KeypointModel
    stage: Stage
    label: Tensor
    depth_m: Tensor
    free: Tensor
    """(59,) bool: unknowns of the stage."""
    newton: bool = False
    """Whether the curvature is Newton's: better close to the minimum, worse far from it."""

    @cached_property
    def size(self) -> Tensor:
        """(B,) size of each person in the label."""
        return person_scale(self.label) + TOLERANCE

    def evaluate(self, x: Tensor, rows: Tensor) -> _Samples:
        poses, betas, translation = split(x)
        error, weight = self._error(self.model(poses, betas) + translation[:, None], rows)
        return _Samples(self._value(error, weight, x, rows), x, rows)

    def _value(self, error: Tensor, weight: Tensor, x: Tensor, samples: Tensor) -> Tensor:
        poses, betas, translation = split(x)
        value = (weight * robust(error)).flatten(1).sum(1)
        if self.stage.shape:
            value = value + self.stage.shape**2 * betas.square().sum(1)
        if self.stage.angle:
            below, above = self._limits(poses)
            value = value + self._angle_weight * (below + above).sum(1)
        if self.stage.depth:
            value = value + self.stage.depth**2 * (self.depth_m[samples] - translation[:, 2]).square()
        return value

    def equations(self, guess: _Samples) -> Dense:
        """Gradient (B, 59) and curvature (B, 59, 59); fixed unknowns stay put.

        The curvature is Gauss-Newton's; if ``newton``, also what the angles bend, where that leaves it positive definite.
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
        """(B, 46, 46) curvature that stems from the angles' second derivatives.

        An angle turns the motion by an angle below it, so the second derivative of a point is the cross product of the
        upper angle's axis with the lower one's velocity. (The sliding of spine and scapulae is left out.)
        """
        moment = torch.linalg.cross(by_model[..., :46], force[..., None].expand(-1, -1, -1, 46), dim=2).sum(1)
        upper = (omega @ moment) * self.model.above.to(omega)
        full: Tensor = upper + upper.transpose(1, 2) - torch.diag_embed(upper.diagonal(dim1=1, dim2=2))
        return full

    def _add_priors(
        self, poses: Tensor, betas: Tensor, translation: Tensor, samples: Tensor, gradient: Tensor, hessian: Tensor
    ) -> None:
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
        low, high = poses.new_tensor(LIMIT_BOUNDS).unbind(1)
        limited = poses[:, list(LIMIT_DOFS)]
        return torch.exp(2 * (low - limited)), torch.exp(2 * (limited - high))


def split(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(B, 59) to poses (B, 46), betas (B, 10), translation (B, 3)."""
    return x[:, :46], x[:, 46:56], x[:, 56:]


def _projection(seen: Tensor, scale: Tensor, pull: Tensor, error: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What the image says about points in camera axes.

    Args:
        seen: (B, K, 3).
        scale: (B, 1) that image coordinates (x/z, y/z) are divided by.
        pull: (B, K, 2) weight of each error, twice.
        error: (B, K, 2).

    Returns:
        Derivative of the errors (B, K, 2, 3), gradient (B, K, 3) and curvature of the perspective itself (B, K, 3, 3).
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
    """Minimise the last stage's objective by damped least squares.

    In the full schedule every sample starts twice, from the given orientation and from one fitted to the torso (which may
    turn the wrong way), and goes on with the better of both. The refinement trusts its start.

    Arguments and result as :func:`~hsmr_bio.fitting.skelify_lbfgs.skelify_lbfgs`; computed in float64.
    """
    dtype, label = label.dtype, label.double()
    x = torch.cat([poses_rad, betas, translation_m], dim=1).double()
    last = schedule.stages[-1]
    if len(schedule.stages) > 1:
        x = _best(model, last, label, _full_starts(model, label, x, schedule))
        x, _ = _run(model, last, label, x, iterations=_NEAR_ITERATIONS, tolerance=_NEAR)
        x, value = _run(model, last, label, x, iterations=_LAST_ITERATIONS, tolerance=1e-10, newton=True)
    else:
        x, _ = _run(model, last, label, x, iterations=_REFINE_NEAR_ITERATIONS, tolerance=_REFINE_NEAR)
        x, value = _run(model, last, label, x, iterations=_REFINE_ITERATIONS, tolerance=_REFINE_CONVERGED, newton=True)
    poses, shape, translation = split(x)
    return SkelifyResult(
        poses_rad=poses.to(dtype),
        betas=shape.to(dtype),
        translation_m=translation.to(dtype),
        keypoint_error=keypoint_error(project(model(poses, shape), translation), label).to(dtype),
        objective=float(value.mean()),
    )


def _full_starts(model: KeypointModel, label: Tensor, x: Tensor, schedule: Schedule) -> tuple[Tensor, Tensor]:
    """(B, 59) twice: the given orientation and one fitted to the torso, each after a few steps of the stage before last."""
    plain = x.clone()
    plain[:, 56:] = least_squares_translation(model(x[:, :46], x[:, 46:56]), to_patch_px(label))
    plain[:, 56:] = torch.where(plain[:, 58:] > 1, plain[:, 56:], x[:, 56:])
    turned, _ = _run(model, schedule.stages[0], label, x, iterations=_FIRST_ITERATIONS, tolerance=1e-3)
    both, twice = torch.cat([plain, turned]), torch.cat([label, label])
    both, _ = _run(model, schedule.stages[-2], twice, both, iterations=_FEW_ITERATIONS, tolerance=1e-2)
    first, second = both.chunk(2)
    return first, second


def _best(model: KeypointModel, stage: Stage, label: Tensor, starts: tuple[Tensor, Tensor]) -> Tensor:
    """(B, 59) the better of two starts after a few steps."""
    twice = torch.cat([label, label])
    both, value = _run(model, stage, twice, torch.cat(starts), iterations=_FEW_ITERATIONS, tolerance=1e-4)
    first, second = value.chunk(2)
    plain, other = both.chunk(2)
    return torch.where((first <= second)[:, None], plain, other)


def _run(
    model: KeypointModel, stage: Stage, label: Tensor, x: Tensor, *, iterations: int, tolerance: float, newton: bool = False
) -> tuple[Tensor, Tensor]:
    free = torch.zeros(UNKNOWNS, dtype=torch.bool)
    free[list(_CAMERA) if stage.camera_only else slice(None)] = True
    depth = guess_depth(model(x[:, :46], x[:, 46:56]), label)
    objective = _Objective(model, stage, label, depth, free, newton)
    stop = Stop(iterations, step=1e-7, cost=tolerance)
    solution = minimise(objective, x, solver=Cholesky(), damping=GainRatio(start=1e-4), stop=stop)
    return solution.x, solution.cost


def skelify(
    keypoints_2d: Any,
    model: Body | KeypointModel,
    *,
    poses_rad: Any = None,
    betas: Any = None,
    translation_m: Any = None,
    schedule: Literal["auto", "full", "refine"] = "auto",
    method: Literal["gauss-newton", "lbfgs"] = "gauss-newton",
) -> SkelifyResult:
    """Fit SKEL to the 2D keypoints of each image on its own.

    Args:
        keypoints_2d: (B, 44, 3) normalised patch units (-0.5 to 0.5 over the person's square box) and confidence.
        model: a body, whose keypoints are then those of the shipped table; or the keypoints themselves, e.g.
            ``HsmrPoints.from_regressors(body, ...)`` with HSMR's own regressors.
        poses_rad: (B, 46) start, in camera axes; None: HSMR's mean pose.
        betas: (B, 10) start; None: HSMR's mean shape on a licensed body, zero on the open one.
        translation_m: (B, 3) start, patch camera of focal length 5000 px; None: HSMR's mean camera.
        schedule: ``"full"`` starts with the camera; ``"refine"`` trusts the start (priors as used while training);
            ``"auto"`` is ``"refine"`` if poses are given.
        method: ``"gauss-newton"`` (every image by itself) or ``"lbfgs"`` (the paper's procedure: the batch as one problem).

    Returns:
        Poses, betas, translation, error per image and the objective.

    Raises:
        ShapeError: shapes that do not fit, or values that are not finite.
        InputError: an unknown schedule or method, or an image without any confident keypoint.
    """
    model = HsmrPoints.from_table(model) if isinstance(model, Body) else model
    label = _checked("keypoints_2d", keypoints_2d, (None, 44, 3))
    count = len(label)
    if bool((label[..., 2].sum(1) <= 0).any()):
        empty = int(torch.argmax((label[..., 2].sum(1) <= 0).int()))
        raise InputError(f"image {empty} has no keypoint with a confidence above 0: leave it out")
    if bool((person_scale(label) < 1e-4).any()):
        raise InputError("shoulders and hips (keypoints 2, 5, 9, 12) must be given in every image: they measure its scale")
    stages = {"auto": FULL if poses_rad is None else REFINE, "full": FULL, "refine": REFINE}.get(schedule)
    if stages is None:
        raise InputError(f"schedule must be auto, full or refine, got {schedule!r}")
    mean_camera = camera_to_translation(torch.tensor(MEAN_CAMERA, dtype=torch.float64))
    start_poses = _or_mean("poses_rad", poses_rad, torch.tensor(MEAN_POSE_RAD, dtype=torch.float64), count)
    body_name = getattr(getattr(model, "body", None), "name", "")
    mean_betas = torch.zeros(10, dtype=torch.float64) if body_name.startswith("open") else torch.tensor(MEAN_BETAS).double()
    start_betas = _or_mean("betas", betas, mean_betas, count)
    start_translation = _or_mean("translation_m", translation_m, mean_camera, count)
    if method == "gauss-newton":
        return skelify_gauss_newton(model, label, start_poses, start_betas, start_translation, schedule=stages)
    if method == "lbfgs":
        start = (value.float() for value in (label, start_poses, start_betas, start_translation))
        return skelify_lbfgs(model, *start, schedule=stages, compat=False)
    raise InputError(f"method must be gauss-newton or lbfgs, got {method!r}")


def _checked(name: str, value: Any, shape: tuple[int | None, ...]) -> Tensor:
    tensor = torch.as_tensor(value if isinstance(value, Tensor) else np.asarray(value, dtype=np.float64)).double()
    if tensor.ndim != len(shape) or any(w is not None and w != n for w, n in zip(shape, tensor.shape, strict=True)):
        wanted = ", ".join("any" if n is None else str(n) for n in shape)
        raise ShapeError(f"{name} must have shape ({wanted}), got {tuple(tensor.shape)}")
    if not bool(torch.isfinite(tensor).all()):
        raise ShapeError(f"{name} must be finite; give keypoints that were not seen a confidence of 0 and any position")
    return tensor.detach()


def _or_mean(name: str, value: Any, mean: Tensor, count: int) -> Tensor:
    if value is None:
        return mean.expand(count, -1).clone()
    return _checked(name, value, (count, len(mean)))

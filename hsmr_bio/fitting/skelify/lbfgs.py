"""SKELify by the paper's procedure: L-BFGS through autograd, stage by stage, the whole batch as one problem.

It is the reference of :mod:`hsmr_bio.fitting.skelify.gauss_newton`, which reaches the same objective much faster.

Source:
    Xia et al. 2025 (HSMR) and its release.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ...hsmr.camera import project
from ...hsmr.keypoints import GROUP_JOINTS
from ...skeleton import JOINT_DOFS
from .objective import FULL, Schedule, Stage, guess_depth, keypoint_error, relative_change, stage_terms, torch_sum

KeypointFunction = Callable[[Tensor, Tensor], Tensor]
"""``(poses (B, 46), betas (B, 10)) -> keypoints (B, 44, 3)``, differentiable."""


@dataclass(frozen=True, eq=False, kw_only=True)
class SkelifyResult:
    """Result of SKELify."""

    poses_rad: Tensor
    """(B, 46)."""
    betas: Tensor
    """(B, 10)."""
    translation_m: Tensor
    """(B, 3) of the patch camera."""
    keypoint_error: Tensor
    """(B,) confidence-weighted mean squared distance, in (normalised patch units)^2."""
    objective: float
    """Value of the last stage's objective (mean over samples)."""
    history: tuple[tuple[float, ...], ...] = field(default=())
    """Objective at every evaluation, per stage."""


def skelify_lbfgs(
    keypoints: KeypointFunction,
    label: Tensor,
    poses_rad: Tensor,
    betas: Tensor,
    translation_m: Tensor,
    *,
    schedule: Schedule = FULL,
    compat: bool = True,
) -> SkelifyResult:
    """Fit pose, shape and camera to 2D keypoints by the paper's procedure.

    All samples of the batch share one line search, so they depend on each other.

    Args:
        keypoints: of the body.
        label: (B, 44, 3) normalised patch units and confidence.
        poses_rad: (B, 46) start.
        betas: (B, 10) start.
        translation_m: (B, 3) start.
        schedule: ``FULL`` or ``REFINE``.
        compat: reproduce the release's depth guess (confidence as third coordinate) and its gradient test
            (signed maximum) instead of the intended ones.

    Returns:
        The end of the last stage.
    """
    parts = {
        "orient": poses_rad[:, :3].detach().clone(),
        "body": poses_rad[:, 3:].detach().clone(),
        "betas": betas.detach().clone(),
        "translation": translation_m.detach().clone(),
    }
    history = [_run_stage(keypoints, label, parts, stage, schedule, compat) for stage in schedule.stages]
    with torch.no_grad():
        poses = torch.cat([parts["orient"], parts["body"]], dim=1)
        points = keypoints(poses, parts["betas"])
        projected = project(points, parts["translation"])
        depth = guess_depth(points, label, with_confidence=compat)
        last = stage_terms(schedule.stages[-1], projected, label, poses, parts["betas"], parts["translation"], depth)
        return SkelifyResult(
            poses_rad=poses,
            betas=parts["betas"],
            translation_m=parts["translation"],
            keypoint_error=keypoint_error(projected, label),
            objective=float(torch_sum(last)),
            history=tuple(history),
        )


def _run_stage(
    keypoints: KeypointFunction, label: Tensor, parts: dict[str, Tensor], stage: Stage, schedule: Schedule, compat: bool
) -> tuple[float, ...]:
    """Optimise ``parts`` in place; returns the objective at every evaluation."""
    free = ("orient", "translation") if stage.camera_only else tuple(parts)
    variables = [parts[name].requires_grad_() for name in free]
    optimiser = torch.optim.LBFGS(
        variables,
        lr=1,
        line_search_fn="strong_wolfe",
        tolerance_grad=schedule.gradient_tolerance,
        tolerance_change=schedule.relative_tolerance,
    )
    moved = _moved_mask(stage.keypoints, label)
    with torch.no_grad():
        start = keypoints(torch.cat([parts["orient"], parts["body"]], dim=1), parts["betas"])
        depth = guess_depth(start, label, with_confidence=compat)
    values: list[float] = []

    def evaluate() -> Tensor:
        optimiser.zero_grad()
        poses = torch.cat([parts["orient"], parts["body"]], dim=1)
        points = keypoints(torch.where(moved, poses, poses.detach()), parts["betas"])
        projected = project(points, parts["translation"])
        terms = stage_terms(stage, projected, label, poses, parts["betas"], parts["translation"], depth)
        total = torch_sum(terms)
        total.backward()
        values.append(float(total.detach()))
        return total

    previous: float | None = None
    for _ in range(stage.loops):
        current = float(optimiser.step(evaluate).detach())
        if previous is not None and relative_change(previous, current) < schedule.relative_tolerance:
            break
        if all(_small(variable.grad, schedule.gradient_tolerance, compat) for variable in variables):
            break
        previous = current
    for variable in variables:
        variable.requires_grad_(False)
        variable.grad = None
    return tuple(values)


def _small(gradient: Tensor | None, tolerance: float, compat: bool) -> bool:
    """Whether the largest component of a gradient is below the tolerance."""
    if gradient is None:
        return True
    largest = gradient.max().abs() if compat else gradient.abs().max()
    return bool(largest < tolerance)


def _moved_mask(group: str, like: Tensor) -> Tensor:
    """(46,) bool: pose parameters that the keypoints of a group may move."""
    mask = torch.zeros(46, dtype=torch.bool, device=like.device)
    mask[[dof for joint in GROUP_JOINTS[group] for dof in JOINT_DOFS[joint]]] = True
    return mask

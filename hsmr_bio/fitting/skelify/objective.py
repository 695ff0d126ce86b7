"""The objective of SKELify, term by term, and its two schedules.

The objective is the sum of ``weight**2 * term``. Keypoints are in normalised patch units with confidence, (B, 44, 3). Every
term is a mean over samples, so that samples of a batch do not influence each other.

Source:
    Xia et al. 2025 (HSMR), Eq. 3, and its release; Bogo et al. 2016 (SMPLify) for the robust function.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...hsmr.config import FOCAL_PATCH
from ...hsmr.keypoints import GROUPS
from ...hsmr.losses import angle_prior

ROBUST = 100.0
"""Constant of the robust function (release). It stems from pixels; for patch units the function is nearly a plain square."""
_SCALE_EDGES = ((5, 12), (2, 9))
"""Shoulder to hip, left and right: the lengths that measure the size of a person."""
TOLERANCE = 1e-6
"""Added to sizes and sums of confidences, against a division by zero (release)."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of a schedule; a weight of 0 leaves the term out."""

    name: str
    loops: int
    """Most runs of the optimiser, of 20 iterations each."""
    camera_only: bool = False
    """Whether only translation and global orientation are free."""
    keypoints: str = "all"
    """Group of keypoints that count."""
    depth: float = 0.0
    """Weight of the guessed depth."""
    reprojection: float = 1.0
    """Weight of the keypoints."""
    shape: float = 0.0
    """Weight of the betas' prior."""
    angle: float = 0.0
    """Weight of the joint limits, with the scale of the schedule."""


def _full(scale: float) -> tuple[Stage, ...]:
    """Stages of the stand-alone fit; weights of the release."""
    weights = ((100, 404), (50, 404), (10, 57.4), (5, 4.78))
    first = Stage(name="camera-init", loops=30, camera_only=True, keypoints="torso", depth=100, reprojection=1.78)
    return first, *(
        Stage(name=f"overall-{i}", loops=30, shape=shape, angle=angle * scale)
        for i, (shape, angle) in enumerate(weights, start=1)
    )


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Stages and the stop test of the optimiser (release)."""

    stages: tuple[Stage, ...]
    gradient_tolerance: float = 1e-9
    """A stage ends if no component of the gradient is larger."""
    relative_tolerance: float = 1e-9
    """A stage ends if the objective changes by a smaller share."""


FULL = Schedule(stages=_full(1.7))
"""The stand-alone fit: five stages."""
REFINE = Schedule(stages=(Stage(name="refine", loops=10, shape=5, angle=4.78 * 0.17),), gradient_tolerance=1e-7)
"""The refinement of a prediction, as used while training."""


def robust(error: Tensor) -> Tensor:
    """Geman-McClure function ``c^2 e^2 / (c^2 + e^2)`` of errors, with ``c = ROBUST``.

    Source:
        Bogo et al. 2016 (SMPLify); Geman and McClure 1987.
    """
    square = error.square()
    return ROBUST**2 * square / (ROBUST**2 + square)


def person_scale(label: Tensor) -> Tensor:
    """(B,) mean length of the label's two torso edges; the confidence is not used."""
    return _mean_length(label[..., :2])


def guess_depth(points_m: Tensor, label: Tensor, *, with_confidence: bool = False) -> Tensor:
    """Guess the depth at which the torso's edges have the label's size.

    Args:
        points_m: (B, 44, 3).
        label: (B, 44, 3).
        with_confidence: measure the label's edges with the confidence as a third coordinate, as the release does.

    Returns:
        (B,) m.
    """
    columns = 3 if with_confidence else 2
    return FOCAL_PATCH * (_mean_length(points_m) / _mean_length(label[..., :columns]))


def _mean_length(points: Tensor) -> Tensor:
    """(B,) mean length of the two torso edges of points (B, 44, 2 or 3)."""
    (a, b), (c, d) = _SCALE_EDGES
    first: Tensor = torch.linalg.vector_norm(points[:, a] - points[:, b], dim=-1)
    second: Tensor = torch.linalg.vector_norm(points[:, c] - points[:, d], dim=-1)
    return (first + second) / 2


def _reprojection(projected: Tensor, label: Tensor, group: str) -> Tensor:
    """Mean over samples of the confidence-squared, robust distance per coordinate, in units of each person's size."""
    index = list(GROUPS[group])
    scale = person_scale(label)[:, None, None] + TOLERANCE
    error = (projected / scale)[:, index] - (label[..., :2] / scale)[:, index]
    return (label[:, index, 2].square() * robust(error).sum(-1)).sum(-1).mean()


def stage_terms(
    stage: Stage,
    projected: Tensor,
    label: Tensor,
    poses_rad: Tensor,
    betas: Tensor,
    translation_m: Tensor,
    depth_target_m: Tensor,
) -> dict[str, Tensor]:
    """Evaluate the terms of a stage, each times its squared weight; their sum is the objective.

    Args:
        stage: with the weights.
        projected: (B, 44, 2) keypoints of the body.
        label: (B, 44, 3).
        poses_rad: (B, 46).
        betas: (B, 10).
        translation_m: (B, 3) of the patch camera.
        depth_target_m: (B,) guessed depth.

    Returns:
        Name -> scalar, for the terms whose weight is not zero.

    Source:
        Xia et al. 2025 (HSMR), Eq. 3.
    """
    out: dict[str, Tensor] = {}
    if stage.depth:
        out["depth"] = stage.depth**2 * (depth_target_m - translation_m[:, 2]).square().mean()
    if stage.reprojection:
        out["reprojection"] = stage.reprojection**2 * _reprojection(projected, label, stage.keypoints)
    if stage.shape:
        out["shape_prior"] = stage.shape**2 * betas.square().sum(-1).mean()
    if stage.angle:
        out["angle_prior"] = stage.angle**2 * angle_prior(poses_rad).mean()
    return out


def keypoint_error(projected: Tensor, label: Tensor) -> Tensor:
    """Measure the confidence-weighted mean squared distance over all 44 keypoints.

    Args:
        projected: (B, 44, 2).
        label: (B, 44, 3).

    Returns:
        (B,) in (normalised patch units)^2.
    """
    confidence = label[..., 2]
    distance = (projected - label[..., :2]).square().sum(-1)
    return (confidence * distance).sum(-1) / (confidence.sum(-1) + TOLERANCE)


def relative_change(previous: float, current: float) -> float:
    """Divide the change of the objective by the larger of both and 1: the stop test of a stage.

    Args:
        previous: objective before.
        current: objective now.

    Returns:
        The share.
    """
    return abs(previous - current) / max(abs(previous), abs(current), 1.0)


def torch_sum(terms: dict[str, Tensor]) -> Tensor:
    """Sum of scalar terms."""
    return torch.stack(list(terms.values())).sum()

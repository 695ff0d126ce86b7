"""The objective of SKELify, term by term, and its two schedules.

Every weight enters squared: the objective is the sum of ``weight**2 * term``. Keypoints are in normalised patch units
with confidence, (B, 44, 3). Every term is a mean over samples, so that samples of a batch do not interact.
Source: Xia et al. 2025 (HSMR), Eq. 3, and its release; Bogo et al. 2016 (SMPLify) for the robust function.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ...hsmr.config import FOCAL_PATCH
from ...hsmr.keypoints import GROUPS
from ...hsmr.losses import angle_prior

ROBUST = 100.0
"""Constant of the robust function; it comes from pixel units, so that on patch units it is nearly a plain square."""
SCALE_EDGES_LABEL = ((5, 12), (2, 9))
"""Shoulder to hip, left and right: the lengths that measure the size of a person."""
TOLERANCE = 1e-6
Normalisation = Literal["none", "torso", "torso-to-mean"]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of a schedule; a weight of 0 leaves the term out."""

    name: str
    loops: int
    camera_only: bool = False
    """Optimise translation and global orientation only."""
    keypoints: str = "all"
    depth: float = 0.0
    reprojection: float = 1.0
    shape: float = 0.0
    angle: float = 0.0
    """Weight of the joint limits, the schedule's scale included."""


def _full(scale: float) -> tuple[Stage, ...]:
    weights = ((100, 404), (50, 404), (10, 57.4), (5, 4.78))
    first = Stage(name="camera-init", loops=30, camera_only=True, keypoints="torso", depth=100, reprojection=1.78)
    return first, *(
        Stage(name=f"overall-{i}", loops=30, shape=shape, angle=angle * scale)
        for i, (shape, angle) in enumerate(weights, start=1)
    )


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Stages and the stop test of the optimiser."""

    stages: tuple[Stage, ...]
    gradient_tolerance: float = 1e-9
    relative_tolerance: float = 1e-9


FULL = Schedule(stages=_full(1.7))
"""The stand-alone fit: five stages."""
REFINE = Schedule(stages=(Stage(name="refine", loops=10, shape=5, angle=4.78 * 0.17),), gradient_tolerance=1e-7)
"""The refinement of a prediction, as used while training."""


def robust(error: Tensor, constant: float = ROBUST) -> Tensor:
    """Geman-McClure: ``c^2 e^2 / (c^2 + e^2)``."""
    square = error.square()
    return constant**2 * square / (constant**2 + square)


def person_scale(label: Tensor) -> Tensor:
    """(B,) mean length of the label's two torso edges; the confidence plays no part."""
    return _mean_length(label[..., :2])


def normalise_scale(points: Tensor, label: Tensor, how: Normalisation = "torso") -> Tensor:
    """(B, K, 2) divided by the size of each person; ``"torso-to-mean"`` multiplies by the batch's mean size again."""
    if how == "none":
        return points
    scale = person_scale(label)
    out = points / (scale[:, None, None] + TOLERANCE)
    return out * scale.mean() if how == "torso-to-mean" else out


def reprojection_term(projected: Tensor, label: Tensor, group: str = "all", how: Normalisation = "torso") -> Tensor:
    """Mean over samples of the confidence-squared, robust, per-coordinate distance.

    Args:
        projected: (B, 44, 2).
        label: (B, 44, 3).
        group: keypoints that count.
        how: what distances are measured in.
    """
    index = list(GROUPS[group])
    error = normalise_scale(projected, label, how)[:, index] - normalise_scale(label[..., :2], label, how)[:, index]
    return (label[:, index, 2].square() * robust(error).sum(-1)).sum(-1).mean()


def guess_depth(points_m: Tensor, label: Tensor, *, focal: float = FOCAL_PATCH, with_confidence: bool = False) -> Tensor:
    """(B,) depth at which the torso's edges have the label's size.

    Args:
        points_m: (B, 44, 3).
        label: (B, 44, 3).
        focal: in the label's unit.
        with_confidence: the release measures the label's edges with the confidence as a third coordinate; so for parity.
    """
    columns = 3 if with_confidence else 2
    return focal * (_mean_length(points_m) / _mean_length(label[..., :columns]))


def _mean_length(points: Tensor) -> Tensor:
    (a, b), (c, d) = SCALE_EDGES_LABEL
    first: Tensor = torch.linalg.vector_norm(points[:, a] - points[:, b], dim=-1)
    second: Tensor = torch.linalg.vector_norm(points[:, c] - points[:, d], dim=-1)
    return (first + second) / 2


def depth_term(target_m: Tensor, translation_m: Tensor) -> Tensor:
    """Mean squared difference of the depth and its guess."""
    return (target_m - translation_m[:, 2]).square().mean()


def shape_term(betas: Tensor) -> Tensor:
    """Mean over samples of the squared norm of the betas."""
    return betas.square().sum(-1).mean()


def angle_term(poses_rad: Tensor) -> Tensor:
    """Mean over samples and limited angles of the soft joint limits."""
    return angle_prior(poses_rad).mean()


def stage_terms(
    stage: Stage,
    projected: Tensor,
    label: Tensor,
    poses_rad: Tensor,
    betas: Tensor,
    translation_m: Tensor,
    depth_target_m: Tensor,
    how: Normalisation = "torso",
) -> dict[str, Tensor]:
    """Terms of a stage, each times its squared weight; their sum is the objective."""
    out: dict[str, Tensor] = {}
    if stage.depth:
        out["depth"] = stage.depth**2 * depth_term(depth_target_m, translation_m)
    if stage.reprojection:
        out["reprojection"] = stage.reprojection**2 * reprojection_term(projected, label, stage.keypoints, how)
    if stage.shape:
        out["shape_prior"] = stage.shape**2 * shape_term(betas)
    if stage.angle:
        out["angle_prior"] = stage.angle**2 * angle_term(poses_rad)
    return out


def keypoint_error(projected: Tensor, label: Tensor) -> Tensor:
    """(B,) confidence-weighted mean squared distance over all 44 keypoints, in (normalised patch units)^2."""
    confidence = label[..., 2]
    distance = (projected - label[..., :2]).square().sum(-1)
    return (confidence * distance).sum(-1) / (confidence.sum(-1) + TOLERANCE)


def relative_change(previous: float, current: float) -> float:
    """Change of the objective over the larger of both and 1: the stop test of a stage."""
    return abs(previous - current) / max(abs(previous), abs(current), 1.0)


def torch_sum(terms: dict[str, Tensor]) -> Tensor:
    """Sum of scalar terms."""
    return torch.stack(list(terms.values())).sum()

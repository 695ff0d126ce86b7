"""Objective terms of HSMR: training losses (Eq. 1 of the paper) and the priors shared with SKELify (Eq. 2, 3).

Every training loss is a sum over elements divided by the batch size. Source: Xia et al. 2025 (HSMR) and its release.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..skeleton import DOF_NAMES
from ..skeleton import LIMITS_RAD as SKELETON_LIMITS
from .keypoints import ROOT
from .pose import poses_to_matrices

LIMIT_DOFS: tuple[int, ...] = (
    *(26, 27, 28, 36, 37, 38),
    *range(32, 36),
    *range(42, 46),
    *range(17, 26),
    *(7, 8, 9, 14, 15, 16, 6, 13, 3, 4, 5, 10, 11, 12, 29, 30, 31, 39, 40, 41),
)
"""Pose parameters with limits, in the order of the release."""
_SCAPULA_ELEVATION_L_RAD = (-0.4, -0.1)
"""Limits in the release, which has the same on both sides although the mirror rule flips the sign of the left one."""


def _limits() -> tuple[tuple[float, float], ...]:
    table = {dof: (float(SKELETON_LIMITS[dof, 0]), float(SKELETON_LIMITS[dof, 1])) for dof in LIMIT_DOFS}
    table[DOF_NAMES.index("scapula_elevation_l")] = _SCAPULA_ELEVATION_L_RAD
    return tuple(table[dof] for dof in LIMIT_DOFS)


LIMIT_BOUNDS: tuple[tuple[float, float], ...] = _limits()
"""(43, 2) HSMR's limits in the order of ``LIMIT_DOFS``: ``skeleton.LIMITS_RAD`` but for the elevation of the left scapula."""
WEIGHTS: Mapping[str, float] = {
    "kp3d": 0.05,
    "kp2d": 0.01,
    "poses_orient": 0.002,
    "poses_body": 0.001,
    "betas": 0.0005,
    "prior": 0.0,
}
"""Weights of the training losses in the release."""


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainingBatch:
    """Predictions and labels of a batch; the label's orientation is rotated with the image already."""

    kp3d: Tensor
    """(B, 44, 3) predicted keypoints, metres."""
    kp2d: Tensor
    """(B, 44, 2) predicted keypoints, normalised patch units."""
    poses_rad: Tensor
    """(B, 46)."""
    betas: Tensor
    """(B, 10)."""
    label_kp3d: Tensor
    """(B, 44, 4) with confidence."""
    label_kp2d: Tensor
    """(B, 44, 3) with confidence."""
    label_poses_rad: Tensor
    label_betas: Tensor
    has_orient: Tensor
    """(B,) 1 where the global orientation's label is valid."""
    has_body: Tensor
    """(B,) 1 where the label of the other angles is valid."""
    has_betas: Tensor
    """(B,) 1 where the label of the betas is valid."""


def keypoints_3d_loss(predicted: Tensor, label: Tensor) -> Tensor:
    """Compute the confidence-weighted L1 distance, each side relative to its pelvis (keypoint 39).

    Args:
        predicted: (B, 44, 3) metres.
        label: (B, 44, 4) metres and confidence.

    Returns:
        Scalar.
    """
    difference = predicted - predicted[:, ROOT : ROOT + 1] - (label[..., :3] - label[:, ROOT : ROOT + 1, :3])
    return (label[..., 3:] * difference.abs()).sum() / len(label)


def keypoints_2d_loss(predicted: Tensor, label: Tensor) -> Tensor:
    """Compute the confidence-weighted L1 distance.

    Args:
        predicted: (B, 44, 2) normalised patch units.
        label: (B, 44, 3) normalised patch units and confidence.

    Returns:
        Scalar.
    """
    return (label[..., 2:] * (predicted - label[..., :2]).abs()).sum() / len(label)


def parameter_loss(predicted: Tensor, label: Tensor, has: Tensor) -> Tensor:
    """Compute the squared difference of the samples that have a label.

    Args:
        predicted: (B, ...).
        label: (B, ...).
        has: (B,) 1 for a sample with a label, else 0.

    Returns:
        Scalar.
    """
    return (has[:, None] * (predicted - label).flatten(1).square()).sum() / len(label)


def angle_prior(poses_rad: Tensor) -> Tensor:
    """Compute the soft joint limits ``exp(2 (low - q)) + exp(2 (q - high))`` of the 43 limited angles.

    Args:
        poses_rad: (..., 46), not wrapped.

    Returns:
        (..., 43) in the order of ``LIMIT_DOFS``.

    Source:
        Xia et al. 2025 (HSMR), Eq. 3.
    """
    low, high = poses_rad.new_tensor(LIMIT_BOUNDS).unbind(1)
    limited = poses_rad[..., list(LIMIT_DOFS)]
    return torch.exp(2 * (low - limited)) + torch.exp(2 * (limited - high))


def training_losses(batch: TrainingBatch) -> dict[str, Tensor]:
    """Compute every loss of Eq. 1 without its weight; poses are compared as 24 rotation matrices.

    Returns:
        Scalars by the names of ``WEIGHTS``.
    """
    predicted, label = poses_to_matrices(batch.poses_rad), poses_to_matrices(batch.label_poses_rad)
    return {
        "kp3d": keypoints_3d_loss(batch.kp3d, batch.label_kp3d),
        "kp2d": keypoints_2d_loss(batch.kp2d, batch.label_kp2d),
        "poses_orient": parameter_loss(predicted[:, 0], label[:, 0], batch.has_orient),
        "poses_body": parameter_loss(predicted[:, 1:], label[:, 1:], batch.has_body),
        "betas": parameter_loss(batch.betas, batch.label_betas, batch.has_betas),
        "prior": angle_prior(batch.poses_rad).mean(),
    }


def weighted_sum(losses: Mapping[str, Tensor], weights: Mapping[str, float] = WEIGHTS) -> Tensor:
    """Sum the losses times their weights.

    Args:
        losses: name -> scalar.
        weights: name -> weight.

    Returns:
        Scalar.
    """
    return torch.stack([weights[name] * value for name, value in losses.items()]).sum()

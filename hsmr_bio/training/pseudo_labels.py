"""Pseudo labels: during training, predictions refined by SKELify replace labels with a larger keypoint error.

Source:
    Xia et al. 2025 (HSMR), sec. 3.3, and its release; the method is that of Kolotouros et al. 2019 (SPIN).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..errors import FormatError
from ..fitting.skelify.lbfgs import KeypointFunction, skelify_lbfgs
from ..fitting.skelify.objective import REFINE, Schedule, keypoint_error
from ..hsmr.camera import least_squares_translation, project, to_patch_px
from ..hsmr.pose import rotate_in_image

MAX_BETA = 2.0
"""Largest beta of a plausible shape (release)."""
EVERY_STEPS, LATEST_SAMPLES, WARM_UP_STEPS = 230, 18000, 5000
"""Defaults of the release: steps between two rounds, latest samples of a round, steps before the first round."""


@dataclass(frozen=True, eq=False, kw_only=True)
class StoredLabel:
    """Labels of a batch as they are stored: orientation before the image rotation of the augmentation."""

    poses_rad: Tensor
    """(B, 46)."""
    betas: Tensor
    """(B, 10)."""
    has_poses: Tensor
    """(B,) 1 where valid."""
    has_betas: Tensor
    """(B,) 1 where valid."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Candidate:
    """Refined predictions of a batch, in the axes of the augmented patch."""

    poses_rad: Tensor
    """(B, 46)."""
    betas: Tensor
    """(B, 10)."""
    keypoint_error: Tensor
    """(B,)."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Samples:
    """Samples of a round, with the network's predictions."""

    uids: Sequence[str]
    keypoints_2d: Tensor
    """(B, 44, 3) of the augmented patch."""
    predicted_poses_rad: Tensor
    predicted_betas: Tensor
    predicted_translation_m: Tensor
    label: StoredLabel
    rotation_rad: Tensor
    """(B,) of the augmentation."""
    extreme_crop: Tensor
    """(B,) bool."""


def label_error(
    body: KeypointFunction,
    label: StoredLabel,
    keypoints_2d: Tensor,
    rotation_rad: Tensor,
    *,
    units: Literal["pixel", "patch"] = "pixel",
) -> Tensor:
    """Compute the keypoint error of labels under their least-squares camera.

    Args:
        body: keypoints of poses and betas.
        label: stored labels.
        keypoints_2d: (B, 44, 3) normalised patch units.
        rotation_rad: (B,) of the augmentation.
        units: of the least-squares camera. The release combines normalised keypoints with a focal length in pixels
            (``"patch"``), which makes the error of every label too large; ``"pixel"`` is correct.

    Returns:
        (B,) error as in :func:`keypoint_error`.
    """
    points = body(rotate_in_image(label.poses_rad, rotation_rad), label.betas)
    target = to_patch_px(keypoints_2d) if units == "pixel" else keypoints_2d
    translation = least_squares_translation(points.double(), target.double()).to(points)
    return keypoint_error(project(points, translation), keypoints_2d)


def accept(candidate: Candidate, error_of_label: Tensor, extreme_crop: Tensor) -> Tensor:
    """Choose the candidates that replace their label.

    Args:
        candidate: B refined predictions.
        error_of_label: (B,) of :func:`label_error`.
        extreme_crop: (B,) bool.

    Returns:
        (B,) bool: the shape is plausible, the error is smaller than the label's, and the crop is not extreme.
    """
    plausible = candidate.betas.abs().amax(-1) < MAX_BETA
    return plausible & (candidate.keypoint_error < error_of_label) & ~extreme_crop


def merge(label: StoredLabel, candidate: Candidate, chosen: Tensor, rotation_rad: Tensor) -> StoredLabel:
    """Replace labels by the chosen candidates, whose orientation is rotated back by the augmentation's rotation.

    Args:
        label: B stored labels.
        candidate: B refined predictions.
        chosen: (B,) bool.
        rotation_rad: (B,) of the augmentation.

    Returns:
        B labels to store.
    """
    unrotated = rotate_in_image(candidate.poses_rad, -rotation_rad)
    one = torch.ones_like(label.has_poses)
    return StoredLabel(
        poses_rad=torch.where(chosen[:, None], unrotated, label.poses_rad),
        betas=torch.where(chosen[:, None], candidate.betas, label.betas),
        has_poses=torch.where(chosen, one, label.has_poses),
        has_betas=torch.where(chosen, one, label.has_betas),
    )


class PseudoLabels:
    """Store of the best label so far of every person, by unique id."""

    def __init__(self) -> None:
        self._labels: dict[str, tuple[np.ndarray, np.ndarray, float, float]] = {}

    def __len__(self) -> int:
        return len(self._labels)

    def apply(self, uids: Sequence[str], label: StoredLabel) -> StoredLabel:
        """Replace the labels of a batch by those in the store.

        Args:
            uids: B unique ids.
            label: B labels of the data set.

        Returns:
            B labels.
        """
        poses, betas = label.poses_rad.clone(), label.betas.clone()
        has_poses, has_betas = label.has_poses.clone(), label.has_betas.clone()
        for i, uid in enumerate(uids):
            if uid in self._labels:
                stored = self._labels[uid]
                poses[i], betas[i] = torch.from_numpy(stored[0]).to(poses), torch.from_numpy(stored[1]).to(betas)
                has_poses[i], has_betas[i] = stored[2], stored[3]
        return StoredLabel(poses_rad=poses, betas=betas, has_poses=has_poses, has_betas=has_betas)

    def update(
        self,
        body: KeypointFunction,
        samples: Samples,
        *,
        schedule: Schedule = REFINE,
        units: Literal["pixel", "patch"] = "pixel",
    ) -> Tensor:
        """Run one round: refine the predictions, store those that are better than their label.

        Args:
            body: keypoints of poses and betas.
            samples: B samples; of a person that appears twice the better one is stored.
            schedule: of SKELify.
            units: see :func:`label_error`.

        Returns:
            (B,) bool, True for accepted samples.
        """
        result = skelify_lbfgs(
            body,
            samples.keypoints_2d,
            samples.predicted_poses_rad,
            samples.predicted_betas,
            samples.predicted_translation_m,
            schedule=schedule,
        )
        candidate = Candidate(poses_rad=result.poses_rad, betas=result.betas, keypoint_error=result.keypoint_error)
        error = label_error(body, samples.label, samples.keypoints_2d, samples.rotation_rad, units=units)
        chosen = accept(candidate, error, samples.extreme_crop)
        self.put(samples.uids, merge(samples.label, candidate, chosen, samples.rotation_rad), candidate, chosen)
        return chosen

    def put(self, uids: Sequence[str], merged: StoredLabel, candidate: Candidate, chosen: Tensor) -> None:
        """Store the labels of a round.

        Args:
            uids: B unique ids.
            merged: B labels of :func:`merge`.
            candidate: B refined predictions, for their errors.
            chosen: (B,) bool of :func:`accept`.
        """
        best: dict[str, float] = {}
        for i, uid in enumerate(uids):
            error = float(candidate.keypoint_error[i]) if bool(chosen[i]) else float("inf")
            if error < best.get(uid, float("inf")) or uid not in best:
                best[uid] = error
                values = merged.poses_rad[i].cpu().numpy().copy(), merged.betas[i].cpu().numpy().copy()
                self._labels[uid] = (*values, float(merged.has_poses[i]), float(merged.has_betas[i]))

    def save(self, path: str | Path) -> None:
        """Write the store as a plain ``.npz`` (no pickle) under exactly this name."""
        uids = sorted(self._labels)
        rows = [self._labels[uid] for uid in uids]
        with Path(path).open("wb") as file:
            np.savez(
                file,
                uid=np.array(uids, dtype=np.str_),
                poses_rad=np.array([row[0] for row in rows]).reshape(-1, 46),
                betas=np.array([row[1] for row in rows]).reshape(-1, 10),
                has=np.array([row[2:] for row in rows]).reshape(-1, 2),
            )

    @classmethod
    def load(cls, path: str | Path) -> PseudoLabels:
        """Read a store that :meth:`save` wrote.

        Raises:
            FormatError: not such a file.
        """
        store = cls()
        try:
            with np.load(path, allow_pickle=False) as file:
                columns = [file[name] for name in ("uid", "poses_rad", "betas", "has")]
        except (OSError, ValueError, KeyError) as error:
            raise FormatError(path, None, f"is not a store of pseudo labels: {error}") from error
        for uid, poses, betas, has in zip(*columns, strict=True):
            store._labels[str(uid)] = (poses, betas, float(has[0]), float(has[1]))
        return store

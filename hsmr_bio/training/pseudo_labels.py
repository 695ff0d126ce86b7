"""Pseudo labels that improve while training: predictions refined by SKELify replace labels that explain less.

Source: Xia et al. 2025 (HSMR), sec. 3.3, and its release; Kolotouros et al. 2019 (SPIN) for the idea.
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
EVERY_STEPS, LATEST_SAMPLES, WARM_UP_STEPS = 230, 18000, 5000
"""Defaults of the release: when a round runs, on how many of the latest samples, and from which step on."""


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


@dataclass(frozen=True, eq=False, kw_only=True)
class Candidate:
    """Refined predictions of a batch, in the axes of the augmented patch."""

    poses_rad: Tensor
    betas: Tensor
    keypoint_error: Tensor
    """(B,)."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Samples:
    """What a round needs to know of the latest samples."""

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
    """(B,) keypoint error of the label's pose under the best camera.

    Args:
        body: keypoints of poses and betas.
        label: stored labels.
        keypoints_2d: (B, 44, 3) normalised patch units.
        rotation_rad: (B,) of the augmentation.
        units: of the least-squares camera. The release hands it normalised keypoints with a focal length in pixels
            (``"patch"``), which makes every label look bad; ``"pixel"`` is what was meant.
    """
    points = body(rotate_in_image(label.poses_rad, rotation_rad), label.betas)
    target = to_patch_px(keypoints_2d) if units == "pixel" else keypoints_2d
    translation = least_squares_translation(points.double(), target.double()).to(points)
    return keypoint_error(project(points, translation), keypoints_2d)


def accept(candidate: Candidate, error_of_label: Tensor, extreme_crop: Tensor) -> Tensor:
    """(B,) bool: plausible shape, better than the label, and not an extreme crop."""
    plausible = candidate.betas.abs().amax(-1) < MAX_BETA
    return plausible & (candidate.keypoint_error < error_of_label) & ~extreme_crop


def merge(label: StoredLabel, candidate: Candidate, chosen: Tensor, rotation_rad: Tensor) -> StoredLabel:
    """Labels with the chosen candidates in their place, turned back by the augmentation's rotation."""
    back = rotate_in_image(candidate.poses_rad, -rotation_rad)
    one = torch.ones_like(label.has_poses)
    return StoredLabel(
        poses_rad=torch.where(chosen[:, None], back, label.poses_rad),
        betas=torch.where(chosen[:, None], candidate.betas, label.betas),
        has_poses=torch.where(chosen, one, label.has_poses),
        has_betas=torch.where(chosen, one, label.has_betas),
    )


class PseudoLabels:
    """The store: the best label so far of every person, by unique id."""

    def __init__(self) -> None:
        self._labels: dict[str, tuple[np.ndarray, np.ndarray, float, float]] = {}

    def __len__(self) -> int:
        return len(self._labels)

    def apply(self, uids: Sequence[str], label: StoredLabel) -> StoredLabel:
        """Labels of a batch, replaced where the store has one."""
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
        """Run one round: refine the predictions, keep those that beat their label.

        A person that appears twice keeps the better one.

        Returns:
            (B,) bool: which samples were accepted.
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
        """Store the labels of a round."""
        best: dict[str, float] = {}
        for i, uid in enumerate(uids):
            error = float(candidate.keypoint_error[i]) if bool(chosen[i]) else float("inf")
            if error < best.get(uid, float("inf")) or uid not in best:
                best[uid] = error
                values = merged.poses_rad[i].cpu().numpy().copy(), merged.betas[i].cpu().numpy().copy()
                self._labels[uid] = (*values, float(merged.has_poses[i]), float(merged.has_betas[i]))

    def save(self, path: str | Path) -> None:
        """Write the store as a plain ``.npz`` (no pickle); the name is kept as given."""
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

"""The paper's accuracy metrics: 3D joint and vertex errors, PCK and the weighted 2D error.

Source: Xia et al. 2025 (HSMR) and its release; Goel et al. 2023 (HMR2.0) for the label conventions.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ..arrays import readonly
from ..errors import ShapeError
from ..hsmr.keypoints import ROOT
from ..types import FloatArray

EVALUATED_KEYPOINTS: tuple[int, ...] = (*range(25, 38), 43)
"""The 14 keypoints of H36M and 3DPW among the 44."""
VISIBLE = 0.5
"""Keypoints with a higher confidence are seen (release)."""
PCK_THRESHOLDS = (0.05, 0.1)
"""Thresholds of the paper."""
MM_PER_M = 1000.0


def similarity_align(points: npt.ArrayLike, target: npt.ArrayLike) -> FloatArray:
    """Align each point set with its target by the best proper rotation, scale and shift (Procrustes).

    Args:
        points: (N, K, 3).
        target: (N, K, 3).

    Returns:
        (N, K, 3) aligned points.

    Raises:
        ShapeError: points and target have no common shape (N, K, 3).

    Source:
        S. Umeyama, IEEE Trans Pattern Anal Mach Intell 13, 1991, 376-380.
    """
    source, goal = np.asarray(points, dtype=np.float64), np.asarray(target, dtype=np.float64)
    if source.shape != goal.shape or source.ndim != 3 or source.shape[2] != 3:
        raise ShapeError(f"points and target must have one shape (N, K, 3), got {source.shape} and {goal.shape}")
    centre, goal_centre = source.mean(axis=1, keepdims=True), goal.mean(axis=1, keepdims=True)
    x, y = source - centre, goal - goal_centre
    u, spread, vt = np.linalg.svd(np.swapaxes(x, 1, 2) @ y)
    sign = np.ones_like(spread)
    sign[:, 2] = np.sign(np.linalg.det(u) * np.linalg.det(vt))
    rotation = np.swapaxes(vt, 1, 2) @ (sign[:, :, None] * np.swapaxes(u, 1, 2))
    power = (x**2).sum(axis=(1, 2))
    scale = (spread * sign).sum(axis=1) / np.where(power > 0, power, 1)
    return np.asarray(scale[:, None, None] * (x @ np.swapaxes(rotation, 1, 2)) + goal_centre)


def distance_mm(points_m: npt.ArrayLike, target_m: npt.ArrayLike, *, align: bool = False) -> FloatArray:
    """Compute the mean distance per sample.

    Args:
        points_m: (N, K, 3).
        target_m: (N, K, 3).
        align: whether to align the points first (the "PA" form).

    Returns:
        (N,) millimetres.

    Raises:
        ShapeError: the two shapes differ.
    """
    source, goal = np.asarray(points_m, dtype=np.float64), np.asarray(target_m, dtype=np.float64)
    if source.shape != goal.shape:
        raise ShapeError(f"prediction and label must have one shape, got {source.shape} and {goal.shape}")
    moved = similarity_align(source, goal) if align else source
    return np.asarray(MM_PER_M * np.linalg.norm(moved - goal, axis=-1).mean(axis=-1))


def relative_to(points_m: npt.ArrayLike, root: int | npt.ArrayLike) -> FloatArray:
    """Subtract an origin from points.

    Args:
        points_m: (N, K, 3).
        root: index of one of the points, or positions (N, 3).

    Returns:
        (N, K, 3) metres.
    """
    points = np.asarray(points_m, dtype=np.float64)
    origin = points[:, root] if isinstance(root, int) else np.asarray(root, dtype=np.float64)
    return np.asarray(points - origin[:, None])


def keypoint_errors_mm(
    predicted_m: npt.ArrayLike, label_m: npt.ArrayLike, keypoints: tuple[int, ...] = EVALUATED_KEYPOINTS
) -> dict[str, FloatArray]:
    """Compute MPJPE and PA-MPJPE of the 44 keypoints, relative to the pelvis (keypoint 39).

    Args:
        predicted_m: (N, 44, 3).
        label_m: (N, 44, 3 or 4); a confidence column is ignored, as in the release.
        keypoints: indices that count.

    Returns:
        Per sample (N,), in millimetres.
    """
    predicted = relative_to(readonly("predicted keypoints", predicted_m, (None, 44, 3)), ROOT)[:, list(keypoints)]
    label = relative_to(np.asarray(label_m, dtype=np.float64)[..., :3], ROOT)[:, list(keypoints)]
    return {"MPJPE": distance_mm(predicted, label), "PA-MPJPE": distance_mm(predicted, label, align=True)}


def mesh_errors_mm(
    predicted_joints_m: npt.ArrayLike,
    label_joints_m: npt.ArrayLike,
    predicted_skin_m: npt.ArrayLike | None = None,
    label_skin_m: npt.ArrayLike | None = None,
) -> dict[str, FloatArray]:
    """Compute MPJPE, MPVPE and their Procrustes forms (MOYO), each side relative to its joint 0.

    Args:
        predicted_joints_m: (N, 24, 3) SMPL's joints.
        label_joints_m: (N, 24, 3).
        predicted_skin_m: (N, V, 3), or None: no vertex errors.
        label_skin_m: (N, V, 3).

    Returns:
        Per sample (N,), in millimetres.
    """
    predicted, label = np.asarray(predicted_joints_m, dtype=np.float64), np.asarray(label_joints_m, dtype=np.float64)
    pairs = {"MPJPE": (relative_to(predicted, 0), relative_to(label, 0))}
    if predicted_skin_m is not None and label_skin_m is not None:
        pairs["MPVPE"] = relative_to(predicted_skin_m, predicted[:, 0]), relative_to(label_skin_m, label[:, 0])
    out = {name: distance_mm(*pair) for name, pair in pairs.items()}
    return out | {f"PA-{name}": distance_mm(*pair, align=True) for name, pair in pairs.items()}


def pck(
    predicted: npt.ArrayLike,
    label: npt.ArrayLike,
    box_size_px: npt.ArrayLike,
    scale200: npt.ArrayLike,
    thresholds: tuple[float, ...] = PCK_THRESHOLDS,
) -> dict[str, float]:
    """Compute the percentage of correct keypoints; distances in units of the longer side of the label's box.

    Args:
        predicted: (N, 44, 2) normalised patch units.
        label: (N, 44, 3); seen where the confidence is above 0.5.
        box_size_px: (N,) side of the square box.
        scale200: (N, 2) label scale, in units of 200 px.
        thresholds: a keypoint is correct if its distance is smaller.

    Returns:
        ``kp<i>_pck_<t>`` of every keypoint that is seen, and ``kpAvg_pck_<t>``, their unweighted mean; 0 to 1.
    """
    truth = readonly("label keypoints", label, (None, None, 3))
    ours = readonly("predicted keypoints", predicted, (len(truth), truth.shape[1], 2))
    longest = 200 * readonly("scale", scale200, (len(truth), 2)).max(axis=1)
    factor = readonly("box_size", box_size_px, (len(truth),)) / longest
    distance = np.linalg.norm((ours - truth[..., :2]) * factor[:, None, None], axis=-1)
    visible = truth[..., 2] > VISIBLE
    seen = visible.sum(axis=0)
    out: dict[str, float] = {}
    for threshold in thresholds:
        correct = ((distance < threshold) & visible).sum(axis=0)
        shares = {i: float(correct[i] / seen[i]) for i in range(truth.shape[1]) if seen[i]}
        out |= {f"kp{i}_pck_{threshold:g}": share for i, share in shares.items()}
        out[f"kpAvg_pck_{threshold:g}"] = float(np.mean(list(shares.values()))) if shares else float("nan")
    return out


def weighted_2d_error(predicted: npt.ArrayLike, label: npt.ArrayLike) -> FloatArray:
    """Compute the mean over keypoints of confidence times squared distance.

    Args:
        predicted: (N, K, 2) normalised patch units.
        label: (N, K, 3) normalised patch units and confidence.

    Returns:
        (N,) in (normalised patch units)^2.
    """
    truth = readonly("label keypoints", label, (None, None, 3))
    ours = readonly("predicted keypoints", predicted, (len(truth), truth.shape[1], 2))
    return np.asarray((truth[..., 2] * ((ours - truth[..., :2]) ** 2).sum(axis=-1)).mean(axis=-1))


def table(per_sample: Mapping[str, FloatArray]) -> dict[str, float]:
    """Average figures per sample over the samples."""
    return {name: float(np.asarray(values).mean()) for name, values in per_sample.items()}

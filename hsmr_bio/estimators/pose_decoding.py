"""From the raw outputs of the pose networks to detections and landmarks in a picture.

Source:
    MediaPipe: modules/pose_detection/pose_detection_cpu.pbtxt, modules/pose_landmark/pose_landmark_by_roi_cpu.pbtxt and the
    calculators that they name; written anew here.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hsmr_bio.types import FloatArray

from .regions import LANDMARKS, Detection, Landmarks, Region

_Raw = npt.NDArray[np.float32]
DETECTOR_SIDE = 224
"""Side of the detector's input."""
LANDMARK_SIDE = 256
"""Side of the landmark network's input."""
_GRIDS = ((28, 2), (14, 2), (7, 6))
"""(cells per side, anchors per cell) of the detector's outputs, in their order."""
_MAX_LOGIT = 100.0
"""Larger scores are cut."""
_MAX_OVERLAP = 0.3
"""Intersection over union from which two boxes are one person."""
_VALUES = 5
"""Per landmark: x, y, z in input pixels, logits of visibility and presence."""
_HIPS, _REACH = 33, 34
"""Auxiliary landmarks: middle of the hips, and a point on the circle around the body."""
HEATMAP_KERNEL = 9
"""Cells per side of the window in which landmarks are refined. MediaPipe's graph says 7, which is no better: 9 has 0 to 2 %
less error on two clips with known joint centres, and the networks that read depth were trained on 9."""
_MIN_PEAK = 0.5
"""Smallest largest weight in the window for which a landmark is refined."""


def _sigmoid(logits: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -_MAX_LOGIT, _MAX_LOGIT))))


def _anchors() -> FloatArray:
    """(A, 2) middles of the detector's anchors, as shares of its input: rows first, the anchors of a cell together."""
    middles = []
    for cells, per_cell in _GRIDS:
        y, x = np.divmod(np.arange(cells * cells), cells)
        middles.append(np.repeat((np.stack([x, y], axis=1) + 0.5) / cells, per_cell, axis=0))
    return np.concatenate(middles)


_ANCHORS = _anchors()


def decode_detections(boxes: _Raw, scores: _Raw, square: Region, min_score: float) -> list[Detection]:
    """Read the detector's output for one picture.

    Anchor a, with middle c_a, gives a box and four points p = raw / 224 + c_a, as shares of the input. Boxes that overlap the
    best one are merged with it, weighted by their scores; its score is kept.

    Args:
        boxes: (A, 12) x, y, width, height, then four points (x, y); the first two are the middle of the hips and a point on
            the circle around the body.
        scores: (A, 1) logits.
        square: that the input shows.
        min_score: lowest score of a detection, in (0, 1).

    Returns:
        The detections in pixels of the picture, the best first.
    """
    score = _sigmoid(scores[:, 0].astype(np.float64))
    kept = np.flatnonzero((score >= min_score) & (boxes[:, 2] >= 0) & (boxes[:, 3] >= 0))
    kept = kept[np.argsort(-score[kept], kind="stable")]
    points = boxes[kept].astype(np.float64).reshape(-1, 6, 2) / DETECTOR_SIDE
    points[:, [0, 2, 3, 4, 5]] += _ANCHORS[kept, None]
    corners = np.concatenate([points[:, 0] - points[:, 1] / 2, points[:, 0] + points[:, 1] / 2], axis=1)
    score, found = score[kept], []
    while len(score):
        same = _overlaps(corners[0], corners) > _MAX_OVERLAP
        same[0] = True
        merged = np.average(points[same], axis=0, weights=score[same])
        hips, reach = (_in_picture(merged[index], square) for index in (2, 3))
        found.append(Detection(Region.around(hips, reach), float(score[0])))
        points, corners, score = points[~same], corners[~same], score[~same]
    return found


def _overlaps(box: FloatArray, boxes: FloatArray) -> FloatArray:
    """(B,) intersection over union of one box (x0, y0, x1, y1) with others."""
    sides = np.clip(np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2]), 0.0, None)
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    common = np.prod(sides, axis=1)
    union = area + np.prod(box[2:] - box[:2]) - common
    return np.asarray(np.divide(common, union, out=np.zeros_like(common), where=union > 0))


def _in_picture(shares: FloatArray, square: Region) -> FloatArray:
    """Pixels of points (..., 2) that are shares of a turned square."""
    return square.center_px + square.side_px * (shares - 0.5) @ _turn(square).T


def _turn(square: Region) -> FloatArray:
    """(2, 2) rotation from the square's axes to the picture's."""
    cosine, sine = np.cos(square.rotation_rad), np.sin(square.rotation_rad)
    return np.array([[cosine, -sine], [sine, cosine]])


def decode_landmarks(raw: _Raw, heatmaps: _Raw, world: _Raw, square: Region, kernel: int = HEATMAP_KERNEL) -> Landmarks:
    """Read the landmark network's output for one square.

    Args:
        raw: (195,) 39 landmarks with five values each.
        heatmaps: (39, 64, 64) logits.
        world: (117,) 39 landmarks (x, y, z) in metres, in the square's axes.
        square: that the input shows.
        kernel: cells per side of the window of refinement.

    Returns:
        The landmarks in pixels of the picture and in its axes.
    """
    values = raw.astype(np.float64).reshape(-1, _VALUES)
    points = refine(values[:, :2] / LANDMARK_SIDE, heatmaps, kernel)
    px = _in_picture(points, square)
    metres = world.astype(np.float64).reshape(-1, 3)
    metres[:, :2] = metres[:, :2] @ _turn(square).T
    return Landmarks(
        px=px[:LANDMARKS],
        world_m=metres[:LANDMARKS],
        visibility=_sigmoid(values[:LANDMARKS, 3]),
        region=Region.around(px[_HIPS], px[_REACH]),
    )


def refine(points: FloatArray, heatmaps: _Raw, kernel: int) -> FloatArray:
    """Move landmarks to the weighted mean of the heatmap around them.

    The weight of a cell is the sigmoid of its logit; the position of cell i of n is i / n. Landmarks outside the heatmap, or
    without a weight of 0.5 in the window, stay.

    Args:
        points: (K, 2) x, y as shares of the input.
        heatmaps: (K, n, n) logits, rows first.
        kernel: cells per side of the window.

    Returns:
        (K, 2).

    Source:
        MediaPipe, refine_landmarks_from_heatmap_calculator.cc.
    """
    count, cells = heatmaps.shape[:2]
    reach = np.arange(kernel) - (kernel - 1) // 2
    middle = np.trunc(points * cells).astype(np.int64)
    inside = ((middle >= 0) & (middle < cells)).all(axis=1)
    columns, rows = (middle[:, axis, None] + reach for axis in (0, 1))
    valid = ((rows >= 0) & (rows < cells))[:, :, None] & ((columns >= 0) & (columns < cells))[:, None, :]
    window = heatmaps[
        np.arange(count)[:, None, None], np.clip(rows, 0, cells - 1)[:, :, None], np.clip(columns, 0, cells - 1)[:, None, :]
    ]
    weight = _sigmoid(window.astype(np.float64)) * valid
    clear = inside & (weight.max(axis=(1, 2)) >= _MIN_PEAK)
    total = np.where(clear, weight.sum(axis=(1, 2)), 1.0)
    mean = np.stack([(weight.sum(axis=1) * columns).sum(axis=1), (weight.sum(axis=2) * rows).sum(axis=1)], axis=1)
    return np.where(clear[:, None], mean / (total * cells)[:, None], points)

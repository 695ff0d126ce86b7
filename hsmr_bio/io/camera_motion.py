"""Does the camera stand still? Follows the background of a few pictures a second.

Corners outside the people are tracked (pyramidal Lucas-Kanade) from a reference picture; a similarity is fitted robustly.
When the view has drifted far from the reference, a new one is taken and the motions are chained. Waving trees and
passers-by are outliers; a moving or zooming camera moves everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hsmr_bio.errors import require
from hsmr_bio.types import FloatArray

from .upright import RgbImage

_WIDTH_PX = 320
_EVERY_S = 0.2
_CORNERS = 120
_LEAST_INLIERS = 12
_NEW_REFERENCE_PX = 6.0
"""Corner displacement (in the small picture) beyond which a new reference is taken."""


class CameraMotion:
    """Collects pictures in order; says afterwards how far the camera had moved at any time.

    Args:
        image_size_px: (width, height) of the original picture: the unit of the answer.
    """

    def __init__(self, image_size_px: tuple[int, int]) -> None:
        self._size = np.array(image_size_px, dtype=np.float64)
        self._times_s: list[float] = []
        self._shifts_px: list[float] = []
        self._chain = np.eye(3)
        self._reference: Any = None
        self._points: Any = None

    def update(self, time_s: float, rgb: RgbImage, people: Sequence[tuple[float, float, float, float]] = ()) -> None:
        """Take one picture.

        Args:
            time_s: of the picture; only about five pictures a second are looked at.
            rgb: (H, W, 3), any size.
            people: (x0, y0, x1, y1) px of ``rgb`` that are not background.
        """
        if self._times_s and time_s - self._times_s[-1] < _EVERY_S - 1e-6:
            return
        cv2 = require("cv2", feature="the check for a moving camera")
        scale = _WIDTH_PX / rgb.shape[1]
        size = (_WIDTH_PX, max(round(rgb.shape[0] * scale), 16))
        coarse = rgb[:: max(int(1 / scale / 2), 1), :: max(int(1 / scale / 2), 1)]
        small = cv2.cvtColor(cv2.resize(coarse, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
        mask = np.full(small.shape, 255, dtype=np.uint8)
        for box in people:
            x0, y0, x1, y1 = (int(max(value, 0)) for value in np.array(box) * scale)
            mask[y0 : y1 + 1, x0 : x1 + 1] = 0
        corners = np.array([[0, 0, 1], [size[0], 0, 1], [0, size[1], 1], [size[0], size[1], 1]], dtype=np.float64)
        step = None if self._reference is None else _similarity(cv2, self._reference, small, self._points)
        total = self._chain if step is None else step @ self._chain
        if step is None or _rms(corners, step @ corners.T) > _NEW_REFERENCE_PX:
            self._reference, self._chain = small, total
            self._points = cv2.goodFeaturesToTrack(small, _CORNERS, 0.01, 6, mask=mask)
        self._times_s.append(time_s)
        self._shifts_px.append(_rms(corners, total @ corners.T) * self._size[0] / _WIDTH_PX)

    def shift_px(self, time_s: FloatArray) -> FloatArray:
        """How far the corners of the picture have moved since the first one.

        Args:
            time_s: (T,).

        Returns:
            (T,) root mean square over the four corners, in original pixels.
        """
        if not self._times_s:
            return np.zeros(len(time_s))
        return np.asarray(np.interp(time_s, self._times_s, self._shifts_px))


def _rms(corners: FloatArray, moved: FloatArray) -> float:
    return float(np.sqrt(((moved[:2].T - corners[:, :2]) ** 2).sum(axis=1).mean()))


def _similarity(cv2: Any, before: Any, after: Any, points: Any) -> FloatArray | None:
    """(3, 3) motion of the background corners ``points``, or None if there is too little to see."""
    if points is None or len(points) < _LEAST_INLIERS:
        return None
    there, found, _ = cv2.calcOpticalFlowPyrLK(before, after, points, None, winSize=(15, 15), maxLevel=3)
    back, found_back, _ = cv2.calcOpticalFlowPyrLK(after, before, there, None, winSize=(15, 15), maxLevel=3)
    points, there, back = (array.reshape(-1, 2) for array in (points, there, back))
    good = (found.ravel() > 0) & (found_back.ravel() > 0) & (np.linalg.norm(points - back, axis=1) < 0.5)
    if good.sum() < _LEAST_INLIERS:
        return None
    matrix, inliers = cv2.estimateAffinePartial2D(points[good], there[good], method=cv2.RANSAC, ransacReprojThreshold=1.0)
    if matrix is None or inliers.sum() < max(_LEAST_INLIERS, 0.3 * good.sum()):
        return None
    return np.vstack([matrix, [0.0, 0.0, 1.0]])

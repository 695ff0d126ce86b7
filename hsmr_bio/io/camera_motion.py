"""Measure the motion of the camera from the background of a few pictures a second.

Corners outside the people are tracked (pyramidal Lucas-Kanade) from a reference picture, and a similarity is fitted
with RANSAC. When the view is far from the reference, a new reference is taken and the motions are multiplied. Moving
trees and other people are outliers; a moving or zooming camera moves all corners.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hsmr_bio.errors import require
from hsmr_bio.types import FloatArray

from .upright import RgbImage

_Grey = npt.NDArray[np.uint8]
_Corners = npt.NDArray[np.float32]
_Cv2 = Any
"""The module ``cv2``, imported where it is needed."""
_WIDTH_PX = 320
"""Width of the small picture in which corners are tracked; the pixel constants below refer to it."""
_MIN_HEIGHT_PX = 16
"""Smallest height of the small picture, so that a very wide one keeps some rows."""
_EVERY_S = 0.2
"""Time between two pictures that are used."""
_TIME_SLACK_S = 1e-6
"""Rounding of time stamps."""
_CORNERS = 120
"""Largest number of corners per reference picture."""
_CORNER_QUALITY, _CORNER_SPACING_PX = 0.01, 6
"""For ``cv2.goodFeaturesToTrack``: smallest quality relative to the best corner, smallest distance of two corners."""
_MIN_INLIERS = 12
"""Fewer tracked corners give no motion: a similarity has four unknowns."""
_MIN_INLIER_SHARE = 0.3
"""Smallest share of the tracked corners that must follow the similarity."""
_RANSAC_PX = 1.0
"""Largest distance of an inlier from the similarity."""
_WINDOW_PX, _PYRAMID_LEVELS = 15, 3
"""For ``cv2.calcOpticalFlowPyrLK``: side of the window, levels above the picture itself."""
_BACKWARD_PX = 0.5
"""Largest distance of a corner from its origin after tracking forwards and backwards."""
_NEW_REFERENCE_PX = 6.0
"""Displacement of the picture's corners beyond which a new reference is taken."""


class CameraMotion:
    """Collect pictures in order, then give the displacement of the view at any time.

    Args:
        image_size_px: (width, height) of the original picture, whose pixels are the unit of the result.
    """

    def __init__(self, image_size_px: tuple[int, int]) -> None:
        self._size = np.array(image_size_px, dtype=np.float64)
        self._times_s: list[float] = []
        self._shifts_px: list[float] = []
        self._chain = np.eye(3)
        self._reference: _Grey | None = None
        self._points: _Corners | None = None

    def update(self, time_s: float, rgb: RgbImage, people: Sequence[tuple[float, float, float, float]] = ()) -> None:
        """Take one picture.

        Args:
            time_s: of the picture; only about five pictures a second are used.
            rgb: (H, W, 3), any size.
            people: (x0, y0, x1, y1) px of ``rgb`` that are not background.
        """
        if self._times_s and time_s - self._times_s[-1] < _EVERY_S - _TIME_SLACK_S:
            return
        cv2 = require("cv2", feature="the check for a moving camera")
        scale = _WIDTH_PX / rgb.shape[1]
        size = (_WIDTH_PX, max(round(rgb.shape[0] * scale), _MIN_HEIGHT_PX))
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
            self._points = cv2.goodFeaturesToTrack(small, _CORNERS, _CORNER_QUALITY, _CORNER_SPACING_PX, mask=mask)
        self._times_s.append(time_s)
        self._shifts_px.append(_rms(corners, total @ corners.T) * self._size[0] / _WIDTH_PX)

    def shift_px(self, time_s: FloatArray) -> FloatArray:
        """Displacement of the picture's corners since the first picture, at times (T,).

        Returns:
            (T,) root mean square over the four corners, in original pixels.
        """
        if not self._times_s:
            return np.zeros(len(time_s))
        return np.asarray(np.interp(time_s, self._times_s, self._shifts_px))


def _rms(corners: FloatArray, moved: FloatArray) -> float:
    return float(np.sqrt(((moved[:2].T - corners[:, :2]) ** 2).sum(axis=1).mean()))


def _similarity(cv2: _Cv2, before: _Grey, after: _Grey, points: _Corners | None) -> FloatArray | None:
    """(3, 3) motion of the background corners ``points`` (C, 1, 2), or None if too few of them are tracked."""
    if points is None or len(points) < _MIN_INLIERS:
        return None
    window = {"winSize": (_WINDOW_PX, _WINDOW_PX), "maxLevel": _PYRAMID_LEVELS}
    forward, found, _ = cv2.calcOpticalFlowPyrLK(before, after, points, None, **window)
    backward, found_back, _ = cv2.calcOpticalFlowPyrLK(after, before, forward, None, **window)
    start, forward, backward = (array.reshape(-1, 2) for array in (points, forward, backward))
    good = (found.ravel() > 0) & (found_back.ravel() > 0) & (np.linalg.norm(start - backward, axis=1) < _BACKWARD_PX)
    if good.sum() < _MIN_INLIERS:
        return None
    matrix, inliers = cv2.estimateAffinePartial2D(
        start[good], forward[good], method=cv2.RANSAC, ransacReprojThreshold=_RANSAC_PX
    )
    if matrix is None or inliers.sum() < max(_MIN_INLIERS, _MIN_INLIER_SHARE * good.sum()):
        return None
    return np.vstack([matrix, [0.0, 0.0, 1.0]])

"""Straight edges of the scene behind the people (walls, doors, floors): evidence of gravity and of the focal length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hsmr_bio.errors import require
from hsmr_bio.types import FloatArray

from .upright import RgbImage

_SIDE_PX = 960
"""Longer side of the picture in which edges are searched; larger pictures are reduced."""
_TIMES_S = (0.0, 1.0, 4.0)
"""Times of the pictures that are used, after the first: the camera is static, people are not."""
_TIME_SLACK_S = 1e-6
"""Rounding of time stamps."""
_MIN_LENGTH_SHARE = 0.03
"""Of the picture's longer side; the direction of shorter edges is too uncertain."""
_BORDER_SHARE = 0.006
"""Of the longer side: edges along the border of the picture, or of bars beside it, are not part of the scene."""
_PLAIN_LEVELS = 16
"""Range of grey levels of a bar of one colour after compression."""
_UNEQUAL_SHARE = 0.01
"""Largest difference of the two bars' widths, as a share of the picture's side."""
_MAX_EDGES = 200
"""Longest edges that are kept per picture."""


class StraightLines:
    """Collect pictures in order, then give the straight edges in them.

    Args:
        image_size_px: (width, height) of the original picture, whose pixels are the unit of the result.

    Source:
        Edges: von Gioi et al. 2012, "LSD: a line segment detector", as OpenCV carries it.
    """

    def __init__(self, image_size_px: tuple[int, int]) -> None:
        self._size = np.array(image_size_px, dtype=np.float64)
        self._first_s: float | None = None
        self._taken = 0
        self._found: list[FloatArray] = []
        self._content_px = np.zeros(2)

    def update(self, time_s: float, rgb: RgbImage, people: Sequence[tuple[float, float, float, float]] = ()) -> None:
        """Take one picture.

        Args:
            time_s: of the picture.
            rgb: (H, W, 3), any size.
            people: (x0, y0, x1, y1) px of ``rgb``; edges inside are not part of the scene.
        """
        self._first_s = time_s if self._first_s is None else self._first_s
        if self._taken >= len(_TIMES_S) or time_s - self._first_s < _TIMES_S[self._taken] - _TIME_SLACK_S:
            return
        self._taken += 1
        cv2 = require("cv2", feature="the search for straight edges")
        shrink = min(1.0, _SIDE_PX / max(rgb.shape[:2]))
        grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        if shrink < 1:
            grey = cv2.resize(grey, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        border = _content(grey) / shrink
        self._content_px = np.maximum(self._content_px, np.diff(border, axis=0)[0] * (self._size[0] / rgb.shape[1]))
        segments = cv2.createLineSegmentDetector().detect(grey)[0]
        if segments is None:
            return
        ends = segments.reshape(-1, 2, 2).astype(np.float64) / shrink
        length = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
        keep = length > _MIN_LENGTH_SHARE * max(rgb.shape[:2])
        keep &= ~(np.abs(ends[:, :, None, :] - border).max(axis=1) < _BORDER_SHARE * max(rgb.shape[:2])).any(axis=(1, 2))
        middle = ends.mean(axis=1)
        for x0, y0, x1, y1 in people:
            keep &= ~((middle > (x0, y0)) & (middle < (x1, y1))).all(axis=1)
        longest = np.flatnonzero(keep)[np.argsort(-length[keep])[:_MAX_EDGES]]
        self._found.append(ends[longest] * (self._size[0] / rgb.shape[1]))

    @property
    def content_size_px(self) -> FloatArray:
        """(width, height) of the picture without bars of one colour beside it, in original pixels."""
        return self._content_px if self._taken else self._size

    @property
    def segments_px(self) -> FloatArray:
        """(S, 2, 2) both ends of each edge, in original pixels; an edge seen in several pictures is listed once for each."""
        return np.concatenate(self._found) if self._found else np.zeros((0, 2, 2))


def _content(grey: npt.NDArray[np.uint8]) -> FloatArray:
    """(2, 2) corners (x, y) of the picture between two bars of one colour, in its pixels; the whole picture without bars.

    Bars that a program added are equally wide, unlike a bare wall or the sky.
    """
    corners = []
    for axis in (0, 1):
        whole = grey.shape[1 - axis]
        varied = np.flatnonzero(np.ptp(grey, axis=axis) > _PLAIN_LEVELS)
        first, end = (varied[0], varied[-1] + 1) if len(varied) else (0, whole)
        barred = abs(first - (whole - end)) <= _UNEQUAL_SHARE * whole
        corners.append((first, end) if barred else (0, whole))
    return np.array(corners, dtype=np.float64).T

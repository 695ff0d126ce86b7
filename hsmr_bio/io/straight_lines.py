"""Straight edges of the scene behind the people: walls, doors, floors. They show gravity and the focal length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hsmr_bio.errors import require
from hsmr_bio.types import FloatArray

from .upright import RgbImage

_SIDE_PX = 960
_AT_S = (0.0, 1.0, 4.0)
"""Pictures that are looked at, counted from the first: the camera stands still, people do not."""
_SHORTEST_SHARE = 0.03
"""Of the picture's longer side; the direction of shorter edges is not sure enough."""
_BORDER_SHARE = 0.006
"""Of the longer side: edges that lie along the border of the picture, or of bars beside it, are not the scene's."""
_PLAIN_LEVELS = 16
"""Grey levels that a bar of one colour may span once it was compressed."""
_UNEQUAL_SHARE = 0.01
"""Of the picture's side, by which the bars on both sides may differ."""
_MOST = 200
"""Per picture, the longest ones."""


class StraightLines:
    """Collects pictures in order; says afterwards where straight edges were seen.

    Args:
        image_size_px: (width, height) of the original picture: the unit of the answer.

    Source:
        Edges: von Gioi et al. 2012, "LSD: a line segment detector", as OpenCV carries it.
    """

    def __init__(self, image_size_px: tuple[int, int]) -> None:
        self._size = np.array(image_size_px, dtype=np.float64)
        self._first_s: float | None = None
        self._looked = 0
        self._found: list[FloatArray] = []
        self._content_px = np.zeros(2)

    def update(self, time_s: float, rgb: RgbImage, people: Sequence[tuple[float, float, float, float]] = ()) -> None:
        """Take one picture.

        Args:
            time_s: of the picture.
            rgb: (H, W, 3), any size.
            people: (x0, y0, x1, y1) px of ``rgb`` whose edges are not the scene's.
        """
        self._first_s = time_s if self._first_s is None else self._first_s
        if self._looked >= len(_AT_S) or time_s - self._first_s < _AT_S[self._looked] - 1e-6:
            return
        self._looked += 1
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
        keep = length > _SHORTEST_SHARE * max(rgb.shape[:2])
        keep &= ~(np.abs(ends[:, :, None, :] - border).max(axis=1) < _BORDER_SHARE * max(rgb.shape[:2])).any(axis=(1, 2))
        middle = ends.mean(axis=1)
        for x0, y0, x1, y1 in people:
            keep &= ~((middle > (x0, y0)) & (middle < (x1, y1))).all(axis=1)
        longest = np.flatnonzero(keep)[np.argsort(-length[keep])[:_MOST]]
        self._found.append(ends[longest] * (self._size[0] / rgb.shape[1]))

    @property
    def content_size_px(self) -> FloatArray:
        """(width, height) of what is shown between bars of one colour, in original pixels; without bars the whole picture."""
        return self._content_px if self._looked else self._size

    @property
    def segments_px(self) -> FloatArray:
        """(S, 2, 2) both ends of each edge, in original pixels; an edge that several pictures show is there several times."""
        return np.concatenate(self._found) if self._found else np.zeros((0, 2, 2))


def _content(grey: npt.NDArray[np.uint8]) -> FloatArray:
    """(2, 2) corners (x, y) of the picture between two bars of one colour, in its pixels; all of it if there are none.

    Bars that a program added are equally wide; a bare wall or the sky beside the scene is not taken for one.
    """
    corners = []
    for axis in (0, 1):
        whole = grey.shape[1 - axis]
        varied = np.flatnonzero(np.ptp(grey, axis=axis) > _PLAIN_LEVELS)
        first, end = (varied[0], varied[-1] + 1) if len(varied) else (0, whole)
        barred = abs(first - (whole - end)) <= _UNEQUAL_SHARE * whole
        corners.append((first, end) if barred else (0, whole))
    return np.array(corners, dtype=np.float64).T

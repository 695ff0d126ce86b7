"""Squares of a picture in the size that a network reads.

Source:
    MediaPipe, image_to_tensor_converter_opencv.cc: output pixel u of n lies (u - n/2) side/n from the middle of the square
    (not u + 1/2), positions are rounded to 1/32 px, the result to 8 bits. The networks expect pictures sampled in this way;
    other positions of the pixel centres move the landmarks by 1.5 px of a person of 800 px.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hsmr_bio.errors import require
from hsmr_bio.io.upright import RgbImage
from hsmr_bio.types import FloatArray

from .regions import Region

_BITS = 5
"""Of the fraction of a pixel in OpenCV's bilinear interpolation: 32 steps."""
_MORE_BITS = 12
"""With which positions are summed before they are rounded to steps; integers are five times as fast as floating point."""
_LIMIT_PX = 8190
"""Positions of OpenCV have 16 bits; further out, all is border."""


def sample_square(rgb: RgbImage, region: Region, size: int, *, zero_border: bool = False) -> RgbImage:
    """Sample a turned square of a picture, bilinearly.

    Args:
        rgb: (H, W, 3), at most 8000 pixels long.
        region: the square, in pixels of ``rgb``.
        size: side of the result.
        zero_border: outside the picture, black instead of the nearest pixel.

    Returns:
        (size, size, 3).
    """
    cv2: Any = require("cv2", feature="sampling pictures")
    along = (np.arange(size) - size / 2) * (region.side_px / size)
    across, down = along * np.cos(region.rotation_rad), along * np.sin(region.rotation_rad)
    x, y = region.center_px
    columns, rows = _steps(x + across, -down), _steps(y + down, across)
    whole = np.empty((size, size, 2), dtype=np.int16)
    np.right_shift(columns, _BITS, out=whole[..., 0], casting="unsafe")
    np.right_shift(rows, _BITS, out=whole[..., 1], casting="unsafe")
    step = (1 << _BITS) - 1
    fraction = ((rows & step) << _BITS | (columns & step)).astype(np.uint16)
    border = cv2.BORDER_CONSTANT if zero_border else cv2.BORDER_REPLICATE
    return np.asarray(cv2.remap(rgb, whole, fraction, cv2.INTER_LINEAR, borderMode=border))


def _steps(along_columns_px: FloatArray, along_rows_px: FloatArray) -> npt.NDArray[np.int32]:
    """(rows, columns) positions on one axis of the picture, in steps: sums of a term per column and one per row."""
    columns, rows = (
        np.rint(np.clip(term, -_LIMIT_PX, _LIMIT_PX) * (1 << (_BITS + _MORE_BITS))).astype(np.int32)
        for term in (along_columns_px, along_rows_px)
    )
    return np.add.outer(rows + (1 << (_MORE_BITS - 1)), columns) >> _MORE_BITS


def letterbox(rgb: RgbImage) -> Region:
    """Return the upright square around the middle of a picture that contains all of it.

    Args:
        rgb: (H, W, 3).

    Returns:
        The square.
    """
    height, width = rgb.shape[:2]
    return Region(np.array([width / 2, height / 2]), float(max(height, width)), 0.0)

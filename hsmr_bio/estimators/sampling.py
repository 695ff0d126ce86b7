"""Squares of a picture in the size that a network reads.

Source:
    MediaPipe, image_to_tensor_converter_opencv.cc: output pixel u of n lies (u - n/2) side/n from the middle of the square
    (not u + 1/2), positions are rounded to 1/32 px, the result to 8 bits. The networks expect pictures sampled in this way;
    other positions of the pixel centres move the landmarks by 1.5 px of a person of 800 px.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hsmr_bio.errors import require
from hsmr_bio.io.upright import RgbImage

from .regions import Region

_STEPS = 32
"""Positions per pixel of OpenCV's bilinear interpolation."""
_BITS = 5
"""2**_BITS is _STEPS."""
_MAX_POSITION_PX = 32_000
"""OpenCV's positions are 16-bit; beyond the picture all are of the border."""


def sample_square(rgb: RgbImage, region: Region, size: int, *, zero_border: bool = False) -> RgbImage:
    """Sample a turned square of a picture, bilinearly.

    Args:
        rgb: (H, W, 3).
        region: the square, in pixels of ``rgb``.
        size: side of the result.
        zero_border: outside the picture, black instead of the nearest pixel.

    Returns:
        (size, size, 3).
    """
    cv2: Any = require("cv2", feature="sampling pictures")
    along = (np.arange(size) - size / 2) * (_STEPS * region.side_px / size)
    cosine, sine = np.cos(region.rotation_rad), np.sin(region.rotation_rad)
    x, y = region.center_px * _STEPS
    steps = np.stack(
        [x + cosine * along[None, :] - sine * along[:, None], y + sine * along[None, :] + cosine * along[:, None]], axis=-1
    )
    limit = _MAX_POSITION_PX * _STEPS
    steps = np.rint(np.clip(steps, -limit, limit, out=steps), out=steps).astype(np.int32)
    fraction = (steps & (_STEPS - 1)).astype(np.uint16)
    border = cv2.BORDER_CONSTANT if zero_border else cv2.BORDER_REPLICATE
    whole = (steps >> _BITS).astype(np.int16)
    sampled = cv2.remap(rgb, whole, fraction[..., 1] * _STEPS + fraction[..., 0], cv2.INTER_LINEAR, borderMode=border)
    return np.asarray(sampled)


def letterbox(rgb: RgbImage) -> Region:
    """Return the upright square around the middle of a picture that contains all of it.

    Args:
        rgb: (H, W, 3).

    Returns:
        The square.
    """
    height, width = rgb.shape[:2]
    return Region(np.array([width / 2, height / 2]), float(max(height, width)), 0.0)

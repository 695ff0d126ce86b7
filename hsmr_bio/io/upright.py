"""Make decoded frames upright: apply the rotation that phones store beside the picture, and the aspect of the pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hsmr_bio.errors import FormatError, require

RgbImage = npt.NDArray[np.uint8]
AvFrame = Any
"""``av.VideoFrame``."""
AvStream = Any
"""``av.VideoStream``."""
_MAX_SKEW = 0.02
"""Largest off-axis entry of a display matrix relative to its scale (one degree): rounding, not a rotation."""


def _pixel_aspect(stream: AvStream) -> float:
    aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
    return float(aspect) if aspect else 1.0


def upright_size(frame: AvFrame, stream: AvStream, path: Path) -> tuple[int, int]:
    """Give the size of a decoded frame after its rotation, with square pixels.

    Args:
        frame: decoded.
        stream: of the frame.
        path: of the file, for messages.

    Returns:
        (width, height) in pixels.
    """
    width, height = round(frame.width * _pixel_aspect(stream)), frame.height
    transpose, _, _ = _upright_steps(frame, path)
    return (height, width) if transpose else (width, height)


def _upright_steps(frame: AvFrame, path: Path) -> tuple[bool, bool, bool]:
    """(transpose, flip x, flip y) that makes the frame upright.

    The display matrix has x' = a x + c y, y' = b x + d y in 16.16 fixed point (ISO/IEC 14496-12, track header).
    """
    a, b, c, d = _display_matrix(frame)
    size = float(np.sqrt(abs(a * d - b * c)))
    straight, crossed = max(abs(a), abs(d)), max(abs(b), abs(c))
    if size == 0 or min(straight, crossed) > _MAX_SKEW * size:
        degrees = np.degrees(np.arctan2(b, a))
        raise FormatError(
            path, None, f"the file states a rotation of {degrees:.0f} degrees; only multiples of 90 degrees can be applied"
        )
    return (True, bool(c < 0), bool(b < 0)) if crossed > straight else (False, bool(a < 0), bool(d < 0))


def _display_matrix(frame: AvFrame) -> tuple[float, float, float, float]:
    """(a, b, c, d) from the frame's side data, or from its rotation if PyAV has no name for some side data."""
    try:
        entries = [entry for entry in frame.side_data if getattr(entry.type, "name", "") == "DISPLAYMATRIX"]
    except ValueError:  # for example Exif in a photo
        angle = -np.radians(getattr(frame, "rotation", 0))
        return float(np.cos(angle)), float(np.sin(angle)), float(-np.sin(angle)), float(np.cos(angle))
    if not entries:
        return 1.0, 0.0, 0.0, 1.0
    values = np.frombuffer(bytes(entries[0]), dtype=np.int32).astype(float)
    return float(values[0]), float(values[1]), float(values[3]), float(values[4])


class Orientation:
    """Convert decoded frames to upright RGB arrays of one size.

    Args:
        path: of the file, for messages.
        stream: of the frames.
        size_px: upright (width, height) of the original.
        max_side_px: largest longer side of the result; None keeps the original size.
    """

    def __init__(self, path: Path, stream: AvStream, size_px: tuple[int, int], max_side_px: int | None) -> None:
        self._path, self._stream = path, stream
        shrink = min(1.0, max_side_px / max(size_px)) if max_side_px else 1.0
        self._size = max(round(size_px[0] * shrink), 1), max(round(size_px[1] * shrink), 1)
        self._steps: tuple[bool, bool, bool] | None = None

    def rgb(self, frame: AvFrame) -> RgbImage:
        """(H, W, 3) upright picture of a decoded frame."""
        if self._steps is None:
            self._steps = _upright_steps(frame, self._path)
        transpose, flip_x, flip_y = self._steps
        width, height = self._size[::-1] if transpose else self._size
        image = frame.reformat(width=width, height=height, format="rgb24").to_ndarray()
        if not (transpose or flip_x or flip_y):
            return np.ascontiguousarray(image)
        cv2 = require("cv2", feature="turning a video upright")
        image = cv2.transpose(image) if transpose else image
        if flip_x or flip_y:
            image = cv2.flip(image, -1 if flip_x and flip_y else 1 if flip_x else 0)
        return np.ascontiguousarray(image)

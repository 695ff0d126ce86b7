"""Makes decoded frames upright: the rotation that phones store beside the picture, and pixels that are not square."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hsmr_bio.errors import FormatError, require

RgbImage = npt.NDArray[np.uint8]


def _pixel_aspect(stream: Any) -> float:
    aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
    return float(aspect) if aspect else 1.0


def upright_size(frame: Any, stream: Any, path: Path) -> tuple[int, int]:
    """(width, height) of a decoded frame when it is shown as the file asks."""
    width, height = round(frame.width * _pixel_aspect(stream)), frame.height
    transpose, _, _ = _turn(frame, path)
    return (height, width) if transpose else (width, height)


def _turn(frame: Any, path: Path) -> tuple[bool, bool, bool]:
    """(transpose, flip x, flip y) that makes the frame upright.

    The display matrix has x' = a x + c y, y' = b x + d y in 16.16 fixed point (ISO/IEC 14496-12, track header).
    """
    a, b, c, d = _display_matrix(frame)
    size = float(np.sqrt(abs(a * d - b * c)))
    straight, crossed = max(abs(a), abs(d)), max(abs(b), abs(c))
    if size == 0 or min(straight, crossed) > 0.02 * size:
        degrees = np.degrees(np.arctan2(b, a))
        raise FormatError(
            path, None, f"the file asks to be shown turned by {degrees:.0f} degrees; only quarter turns are possible"
        )
    return (True, bool(c < 0), bool(b < 0)) if crossed > straight else (False, bool(a < 0), bool(d < 0))


def _display_matrix(frame: Any) -> tuple[float, float, float, float]:
    """(a, b, c, d), from the frame's side data; from its rotation alone if PyAV cannot name all of the side data."""
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
    """Turns decoded frames into upright RGB arrays of one size."""

    def __init__(self, path: Path, stream: Any, size_px: tuple[int, int], max_side_px: int | None) -> None:
        self._path, self._stream = path, stream
        shrink = min(1.0, max_side_px / max(size_px)) if max_side_px else 1.0
        self._size = max(round(size_px[0] * shrink), 1), max(round(size_px[1] * shrink), 1)
        self._turn: tuple[bool, bool, bool] | None = None

    def rgb(self, frame: Any) -> RgbImage:
        """(H, W, 3) upright picture of a decoded frame."""
        if self._turn is None:
            self._turn = _turn(frame, self._path)
        transpose, flip_x, flip_y = self._turn
        width, height = self._size[::-1] if transpose else self._size
        image = frame.reformat(width=width, height=height, format="rgb24").to_ndarray()
        if not (transpose or flip_x or flip_y):
            return np.ascontiguousarray(image)
        cv2 = require("cv2", feature="turning a video upright")
        image = cv2.transpose(image) if transpose else image
        if flip_x or flip_y:
            image = cv2.flip(image, -1 if flip_x and flip_y else 1 if flip_x else 0)
        return np.ascontiguousarray(image)

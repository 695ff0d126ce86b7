"""Make decoded frames upright: apply the rotation that phones store beside the picture, and the aspect of the pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hsmr_bio.errors import FormatError, require

from .exif import exif_orientation
from .frame_filter import AvFrame, FrameFilter

RgbImage = npt.NDArray[np.uint8]
AvStream = Any
"""``av.VideoStream``."""
AvContainer = Any
"""``av.container.InputContainer``."""
_MAX_SKEW = 0.02
"""Largest off-axis entry of a display matrix relative to its scale (one degree): rounding, not a rotation."""


class Turn(NamedTuple):
    """Steps that make a picture upright, in this order."""

    transpose: bool
    flip_x: bool
    flip_y: bool


_UPRIGHT = Turn(transpose=False, flip_x=False, flip_y=False)
_EXIF_TURNS = {
    1: _UPRIGHT,
    2: Turn(transpose=False, flip_x=True, flip_y=False),
    3: Turn(transpose=False, flip_x=True, flip_y=True),
    4: Turn(transpose=False, flip_x=False, flip_y=True),
    5: Turn(transpose=True, flip_x=False, flip_y=False),
    6: Turn(transpose=True, flip_x=True, flip_y=False),
    7: Turn(transpose=True, flip_x=True, flip_y=True),
    8: Turn(transpose=True, flip_x=False, flip_y=True),
}
"""By the Exif orientation, which says where the first row and the first column belong (Exif 2.32, tag 0x0112)."""


def _pixel_aspect(stream: AvStream) -> float:
    aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
    return float(aspect) if aspect else 1.0


def upright_size(frame: AvFrame, stream: AvStream, path: Path) -> tuple[int, int]:
    """Give the size of a decoded frame after its rotation, with square pixels.

    Args:
        frame: decoded.
        stream: of the frame.
        path: of the file.

    Returns:
        (width, height) in pixels.
    """
    width, height = round(frame.width * _pixel_aspect(stream)), frame.height
    return (height, width) if _turn_of(frame, stream, path).transpose else (width, height)


def _turn_of(frame: AvFrame, stream: AvStream, path: Path) -> Turn:
    """The turn that the file states: a photo in its Exif data, a video in its display matrix.

    The display matrix has x' = a x + c y, y' = b x + d y in 16.16 fixed point (ISO/IEC 14496-12, track header).
    """
    if is_picture_format(stream.container):
        return _EXIF_TURNS[exif_orientation(path)]
    a, b, c, d = _display_matrix(frame)
    size = float(np.sqrt(abs(a * d - b * c)))
    straight, crossed = max(abs(a), abs(d)), max(abs(b), abs(c))
    if size == 0 or min(straight, crossed) > _MAX_SKEW * size:
        degrees = np.degrees(np.arctan2(b, a))
        raise FormatError(
            path, None, f"the file states a rotation of {degrees:.0f} degrees; only multiples of 90 degrees can be applied"
        )
    if crossed > straight:
        return Turn(transpose=True, flip_x=bool(c < 0), flip_y=bool(b < 0))
    return Turn(transpose=False, flip_x=bool(a < 0), flip_y=bool(d < 0))


def is_picture_format(container: AvContainer) -> bool:
    """Whether a container is that of a single picture (``png_pipe``, ``image2`` ...)."""
    return bool(container.format.name == "image2" or container.format.name.endswith("_pipe"))


def _display_matrix(frame: AvFrame) -> tuple[float, float, float, float]:
    """(a, b, c, d) from the frame's side data, or from its rotation if PyAV has no name for some side data."""
    try:
        entries = [entry for entry in _without_profile(frame).side_data if entry.type.name == "DISPLAYMATRIX"]
    except ValueError:  # for example Exif in the frames of a camera's MJPEG
        angle = -np.radians(frame.rotation)
        return float(np.cos(angle)), float(np.sin(angle)), float(-np.sin(angle)), float(np.cos(angle))
    if not entries:
        return 1.0, 0.0, 0.0, 1.0
    values = np.frombuffer(bytes(entries[0]), dtype=np.int32).astype(float)
    return float(values[0]), float(values[1]), float(values[3]), float(values[4])


def _without_profile(frame: AvFrame) -> AvFrame:
    """The frame without its colour profile.

    The profile of a PNG picture (also inside a video) has a name. PyAV (12 to 18.1) frees that name when ``side_data`` is no
    longer used, FFmpeg frees it once more with the frame, and the interpreter ends.
    """
    return FrameFilter(frame, "sidedata", "mode=delete:type=ICC_PROFILE").push(frame)[0]


class Orientation:
    """Convert decoded frames to upright RGB arrays of one size.

    Args:
        path: of the file.
        stream: of the frames.
        size_px: upright (width, height) of the original.
        max_side_px: largest longer side of the result; None keeps the original size.
    """

    def __init__(self, path: Path, stream: AvStream, size_px: tuple[int, int], max_side_px: int | None) -> None:
        self._path, self._stream = path, stream
        shrink = min(1.0, max_side_px / max(size_px)) if max_side_px else 1.0
        self._size = max(round(size_px[0] * shrink), 1), max(round(size_px[1] * shrink), 1)
        self._turn: Turn | None = None

    def rgb(self, frame: AvFrame) -> RgbImage:
        """(H, W, 3) upright picture of a decoded frame."""
        if self._turn is None:
            self._turn = _turn_of(frame, self._stream, self._path)
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

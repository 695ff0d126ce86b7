"""A few small pictures of a video for the report, kept during the one pass through the video."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InputError, require
from ..types import FloatArray, Thumbnail
from .upright import RgbImage
from .video import VideoFrame

THUMBNAILS = 6
"""Largest number of pictures per person."""
_SIDE_PX = 720
"""Longer side of a picture."""
_JPEG_QUALITY = 90
"""In percent."""
_KEPT = 24
"""Pictures kept from a clip of known length; at twice as many, every second one is removed."""
_FIRST_SPACING_S = 0.25
"""Between pictures of a clip of unknown length."""
_TIME_SLACK_S = 1e-6
"""Rounding of time stamps."""
_FEATURE = "pictures in the report"


class Thumbnails:
    """Collect pictures in order, evenly spread over a clip of any length.

    Args:
        duration_s: of the clip; None if it is unknown.
    """

    def __init__(self, duration_s: float | None) -> None:
        self._spacing_s = _FIRST_SPACING_S if duration_s is None else duration_s / _KEPT
        self._next_s = -np.inf
        self._kept: list[Thumbnail] = []

    def update(self, frame: VideoFrame) -> None:
        """Keep the frame if the spacing since the last kept one has passed."""
        if frame.time_s < self._next_s:
            return
        self._kept.append(_small(frame))
        self._next_s = frame.time_s + self._spacing_s
        if len(self._kept) >= 2 * _KEPT:
            self._kept = self._kept[::2]
            self._spacing_s *= 2

    def of(self, time_s: FloatArray) -> tuple[Thumbnail, ...]:
        """Choose at most ``THUMBNAILS`` pictures, spread over the frames (T,) in which a person is seen."""
        seen = [kept for kept in self._kept if len(time_s) and np.abs(time_s - kept.time_s).min() < _TIME_SLACK_S]
        if len(seen) <= THUMBNAILS:
            return tuple(seen)
        inner = np.linspace(0, len(seen) - 1, THUMBNAILS + 2)[1:-1]
        return tuple(seen[i] for i in np.unique(inner.round().astype(int)))


def rgb_of(thumbnail: Thumbnail) -> RgbImage | None:
    """Decode the (H, W, 3) picture; None if its code is damaged."""
    cv2 = require("cv2", feature=_FEATURE)
    picture = cv2.imdecode(np.frombuffer(thumbnail.jpeg, dtype=np.uint8), cv2.IMREAD_COLOR)
    return None if picture is None else np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))


def small_jpeg(rgb: RgbImage, side_px: int, quality: int) -> tuple[bytes, tuple[int, int]]:
    """Reduce a picture and encode it as JPEG.

    Args:
        rgb: (H, W, 3).
        side_px: largest longer side of the result.
        quality: of the JPEG, in percent.

    Returns:
        The JPEG code, and the (width, height) of the reduced picture.

    Raises:
        InputError: the picture cannot be encoded.
    """
    cv2: Any = require("cv2", feature=_FEATURE)
    height, width = rgb.shape[:2]
    shrink = min(1.0, side_px / max(height, width))
    size = max(round(width * shrink), 1), max(round(height * shrink), 1)
    small = cv2.cvtColor(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2BGR)
    done, code = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise InputError(f"a picture of {width} x {height} px cannot be stored as JPEG")
    return code.tobytes(), size


def _small(frame: VideoFrame) -> Thumbnail:
    jpeg, size = small_jpeg(frame.rgb, _SIDE_PX, _JPEG_QUALITY)
    height, width = frame.rgb.shape[:2]
    scale = frame.scale[0] * width / size[0], frame.scale[1] * height / size[1]
    return Thumbnail(time_s=frame.time_s, jpeg=jpeg, scale=scale)

"""How much slower than life a video plays: as the user says, or as the file says."""

from __future__ import annotations

from hsmr_bio.errors import FormatError, InputError

from .video_header import VideoInfo

_SAME_RATE = 1.5
"""Ratio of two rates up to which they count as the same: a phone's rate varies with the light. Our choice, as phones film
slow motion at twice the rate or more."""
_HIGH_RATE_HZ = 100.0
"""Rates above are those of slow motion (phones offer 120 Hz and more). Below, a file that says 60 Hz and plays at 30 Hz may as
well be an ordinary one filmed in poor light."""


def slow_motion_of(info: VideoInfo, fps_hz: float | None, factor: float | None) -> tuple[float, tuple[str, ...]]:
    """Give the time that a video takes to play over the time that was filmed.

    Args:
        info: header of the video.
        fps_hz: frame rate of the camera, as the user says.
        factor: the result, as the user says.

    Returns:
        The factor (1 for real time), and notes for people.

    Raises:
        InputError: both are given, or one of them for a single image or a folder.
        FormatError: the file states no frame rate to which ``fps_hz`` can be compared.
    """
    path, plays_hz, filmed_hz = info.path, info.rate_hz, info.capture_rate_hz
    if info.kind != "video":
        if factor is not None or (fps_hz is not None and info.kind == "image"):
            raise InputError(f"{path}: slow motion (--slow-motion) is a matter of videos, a frame rate one of several images")
        return 1.0, ()
    if factor is not None and fps_hz is not None:
        raise InputError("the frame rate of the camera (--fps) and --slow-motion say the same: give one of them")
    if factor is not None:
        return factor, () if factor == 1 else (f"time is that of the file divided by {factor:g} (--slow-motion)",)
    if fps_hz is not None:
        if plays_hz is None:
            raise FormatError(path, None, "the file states no frame rate: give --slow-motion FACTOR instead of --fps")
        return fps_hz / plays_hz, (f"time is counted at {fps_hz:g} frames/s (--fps); the file plays at {plays_hz:.4g}",)
    if filmed_hz is None or plays_hz is None or 1 / _SAME_RATE < filmed_hz / plays_hz < _SAME_RATE:
        return 1.0, ()
    said = f"the file says that it was filmed at {filmed_hz:g} frames/s; it plays at {plays_hz:.4g}"
    if plays_hz < filmed_hz < _HIGH_RATE_HZ:
        return 1.0, (f"{said}: taken for real time. If it is slow motion, say --slow-motion {filmed_hz / plays_hz:.3g}",)
    return filmed_hz / plays_hz, (f"{said}: time is that of the filming (--slow-motion 1 keeps the file's)",)

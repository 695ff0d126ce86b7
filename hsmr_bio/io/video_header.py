"""What a video or an image says about itself: size, rate, length, and how it was filmed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hsmr_bio.errors import FormatError, InputError, require

from .frame_filter import AvFrame
from .upright import AvContainer, AvStream, is_picture_format, upright_size

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
AvPacket = Any
"""``av.Packet``."""
_CAPTURE_RATE_KEY = "com.android.capture.fps"
"""Android's word for the rate of the camera, beside that of the playback (``MediaRecorder.setCaptureRate``)."""
_PICTURE_CODECS = ("mjpeg", "png", "bmp", "gif", "webp", "tiff")
"""Codecs of covers, and of some videos."""
_FEATURE = "reading video"


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """Header of a video; where it is wrong, the frames decide."""

    path: Path
    kind: Literal["video", "image", "folder"]
    image_size_px: tuple[int, int]
    """(width, height) of the upright picture."""
    rate_hz: float | None
    """Average frame rate, None for one image."""
    frame_count: int | None
    """Number of frames from ``start_s`` to ``end_s``, None if the header does not state it."""
    capture_rate_hz: float | None = None
    """Frame rate at which the file says that it was filmed; None if it says nothing."""
    videos: int = 1
    """Number of videos in the file, of which the first is used."""

    @property
    def duration_s(self) -> float | None:
        """Time from ``start_s`` to ``end_s``, None if the header does not state it."""
        return self.frame_count / self.rate_hz if self.frame_count and self.rate_hz else None


def read_header(path: Path) -> VideoInfo:
    """Read the header and the first frame of a video or an image.

    Args:
        path: of the file.

    Returns:
        The header of the whole file.

    Raises:
        InputError: the file may not be read.
        FormatError: not a video or image, no picture in it, or a rotation that is not a multiple of 90 degrees.
    """
    with open_container(path) as container:
        stream = picture_stream(container, path)
        frame = first_frame(container, path)
        still = path.suffix.lower() in IMAGE_SUFFIXES or is_picture_format(container)
        rate = float(stream.average_rate) if stream.average_rate else None
        duration = float(stream.duration * stream.time_base) if stream.duration else _container_duration_s(container)
        count = stream.frames or (round(duration * rate) if duration and rate else None)
        return VideoInfo(
            path=path,
            kind="image" if still else "video",
            image_size_px=upright_size(frame, stream, path),
            rate_hz=None if still else rate,
            frame_count=1 if still else count,
            capture_rate_hz=None if still else _capture_rate_hz(container),
            videos=len(_videos(container)),
        )


def open_container(path: Path) -> AvContainer:
    """Open a file with FFmpeg's libraries; the caller closes it.

    Raises:
        InputError: the file may not be read.
        FormatError: not a video or image.
    """
    av = require("av", feature=_FEATURE)
    try:
        return av.open(str(path), metadata_errors="replace")  # damaged texts are no reason to refuse the pictures
    except av.error.PermissionError:
        raise InputError(f"{path}: this file may not be read (permission denied)") from None
    except (av.error.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FormatError(path, None, f"this is not a video or image, or it is cut off before its index ({reason})") from None


def picture_stream(container: AvContainer, path: Path) -> AvStream:
    """Find the video: the first stream of pictures that is not a cover.

    Args:
        container: open.
        path: of the file, for messages.

    Returns:
        The stream.

    Raises:
        FormatError: there is none.
    """
    moving = _videos(container)
    if moving and moving[0].codec_context.name not in _PICTURE_CODECS:
        return moving[0]
    if moving:  # a cover that is not marked as one, before the video
        best = container.streams.best("video")
        return next((stream for stream in moving if best is not None and stream.index == best.index), moving[0])
    if any(stream.codec_context is None for stream in container.streams.video):
        raise FormatError(path, None, "its video is coded in a way that FFmpeg's libraries here do not know. Convert it to MP4")
    what = "only a cover picture, no video," if container.streams.video else "no picture"
    raise FormatError(path, None, f"there is {what} in this file (sound only?)")


def _videos(container: AvContainer) -> list[AvStream]:
    """Streams of pictures that can be decoded and are not marked as covers."""
    known = [stream for stream in container.streams.video if stream.codec_context is not None]
    return [stream for stream in known if not stream.disposition & stream.disposition.attached_pic]


def packets_of(container: AvContainer, stream: AvStream) -> Iterator[AvPacket]:
    """Give the packets of a stream in the file's order, and at the end an empty one that makes the decoder give the rest.

    Args:
        container: open.
        stream: of the container.

    Returns:
        An iterator.
    """
    try:
        yield from container.demux(stream)
    except IndexError:  # PyAV 18.1, after the last packet: it has no place for a stream that began on the way
        return


def first_frame(container: AvContainer, path: Path) -> AvFrame:
    """Decode the first frame of the video that can be decoded.

    Args:
        container: open.
        path: of the file, for messages.

    Returns:
        The frame.

    Raises:
        FormatError: there is none.
    """
    av = require("av", feature=_FEATURE)
    reason = ""
    try:
        for packet in packets_of(container, picture_stream(container, path)):
            try:
                frames = packet.decode()
            except av.error.FFmpegError as error:
                reason = reason or f" that can be decoded ({error.strerror})"
                continue
            if frames:
                return frames[0]
    except (av.error.FFmpegError, OSError) as error:
        reason = reason or f" that can be read ({error.strerror})"
    raise FormatError(path, None, f"there is not a single frame in this file{reason}. Check it in a video player")


def _container_duration_s(container: AvContainer) -> float | None:
    """Duration (FFmpeg's microseconds) of a container with one stream; with more streams it may be another one's."""
    return container.duration / 1e6 if len(container.streams) == 1 and container.duration else None


def _capture_rate_hz(container: AvContainer) -> float | None:
    try:
        rate_hz = float(container.metadata.get(_CAPTURE_RATE_KEY, ""))
    except ValueError:
        return None
    return rate_hz if 0 < rate_hz < float("inf") else None

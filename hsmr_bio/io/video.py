"""Frames of a video, an image or a folder of images: one pass, upright, with their presentation times.

Memory does not depend on the length: a thread decodes a few frames ahead of the caller.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hsmr_bio.errors import FormatError, InputError, require

from .door import reader
from .prefetch import prefetch
from .upright import AvFrame, AvStream, Orientation, RgbImage, upright_size

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_AvContainer = Any
"""``av.container.InputContainer``."""
_STAMP_NOISE_S = 1e-3
"""Rounding of the time stamps of containers that count milliseconds (Matroska)."""
_TIME_SLACK_S = 1e-6
"""Rounding of a start or end given by the user."""
_COMPLETE_SHARE = 0.98
"""Share of the stated frames or duration from which a file counts as complete; headers are often off by a frame or two."""
_DEFAULT_RATE_HZ = 30.0
"""For frames without a time stamp in a file without a rate."""
_FEATURE = "reading video"


@dataclass(frozen=True, eq=False)
class VideoFrame:
    """One picture, upright."""

    index: int
    """Counts the frames of the pass, from 0."""
    time_s: float
    """Presentation time; 0 at the first frame of the pass, unless the source's clock is kept."""
    rgb: RgbImage
    """(height, width, 3), possibly smaller than the original."""
    scale: tuple[float, float]
    """Original pixels per pixel of ``rgb`` along x and y: both 1 unless the frame was made smaller."""


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

    @property
    def duration_s(self) -> float | None:
        """Time from ``start_s`` to ``end_s``, None if the header does not state it."""
        return self.frame_count / self.rate_hz if self.frame_count and self.rate_hz else None


@dataclass(frozen=True, kw_only=True)
class Video:
    """A source of frames; each iteration is one pass from the start."""

    info: VideoInfo
    start_s: float = 0.0
    end_s: float | None = None
    source_clock: bool = False
    max_side_px: int | None = None
    images: tuple[Path, ...] = ()

    def __iter__(self) -> Iterator[VideoFrame]:
        """Yield the frames in order, decoded ahead in a thread.

        Raises:
            FormatError: the file is damaged, cut off, or holds no frame between start and end.
        """
        return prefetch(self._frames)

    def _frame(self, index: int, time_s: float, rgb: RgbImage) -> VideoFrame:
        width, height = self.info.image_size_px
        return VideoFrame(index, time_s, rgb, (width / rgb.shape[1], height / rgb.shape[0]))

    def _frames(self) -> Iterator[VideoFrame]:
        origin: float | None = None
        index = 0
        for time_s, rgb in _image_frames(self) if self.images else _video_frames(self):
            origin = time_s if origin is None else origin
            yield self._frame(index, time_s if self.source_clock else time_s - origin, rgb)
            index += 1
        if index == 0:
            span = f" between {self.start_s:g} s and {'its end' if self.end_s is None else f'{self.end_s:g} s'}"
            where = span if self.start_s > 0 or self.end_s is not None else ""
            raise FormatError(self.info.path, None, f"not a single frame could be read{where}{_advice(self, where)}")


def _advice(video: Video, cut: str) -> str:
    """Advice for a span without frames."""
    whole = _probe(video.info.path) if cut and not video.images else video.info
    count = len(video.images) or whole.frame_count
    if cut and count and whole.rate_hz:
        return f": it is only {count / whole.rate_hz:.2f} s long. Choose --start and --end inside it"
    return ". Check the file in a video player"


@reader
def open_video(
    path: str | PathLike[str],
    *,
    start_s: float = 0.0,
    end_s: float | None = None,
    fps_hz: float | None = None,
    source_clock: bool = False,
    max_side_px: int | None = None,
) -> Video:
    """Open a video, an image, or a folder of images of one size.

    Frames come out upright: the rotation that phones store beside the picture is applied, and so are non-square pixels.

    Args:
        path: any file that FFmpeg's libraries decode, or a folder of images (sorted by name, numbers by value).
        start_s: seconds after the first frame of the file.
        end_s: seconds after the first frame of the file; None reads to the end.
        fps_hz: frame rate of a folder of images; needed there, refused elsewhere.
        source_clock: keep the file's own time stamps instead of starting at 0.
        max_side_px: frames whose longer side exceeds this are reduced to it.

    Returns:
        The video; frames are decoded when it is iterated.

    Raises:
        InputError: no such file, or options that contradict each other.
        FormatError: not a video or image, no picture in it, or a rotation that is not a multiple of 90 degrees.
    """
    source = Path(path)
    if not (0 <= start_s < np.inf and (end_s is None or end_s > start_s)):
        end = "" if end_s is None else f" and end {end_s:g} s"
        raise InputError(f"start and end must satisfy 0 <= start < end, got start {start_s:g} s{end}")
    if not source.exists():
        raise InputError(f"{source}: no such file or folder")
    if fps_hz is not None and (not source.is_dir() or not fps_hz > 0):
        raise InputError(
            f"a frame rate is needed for a folder of images only, and must be positive: got {fps_hz:g} for {source}"
        )
    images: tuple[Path, ...] = ()
    if source.is_dir():
        images = _images_of(source, fps_hz)
        first = _probe(images[0])
        info = replace(first, path=source, kind="folder", rate_hz=fps_hz, frame_count=len(images))
    else:
        info = _probe(source)
    return Video(
        info=_clipped(info, start_s, end_s),
        start_s=start_s,
        end_s=end_s,
        source_clock=source_clock,
        max_side_px=max_side_px,
        images=images,
    )


def _clipped(info: VideoInfo, start_s: float, end_s: float | None) -> VideoInfo:
    if info.frame_count is None or info.rate_hz is None:
        return info
    last = info.frame_count if end_s is None else min(info.frame_count, int(end_s * info.rate_hz) + 1)
    return replace(info, frame_count=max(last - int(start_s * info.rate_hz), 0))


def _images_of(folder: Path, fps_hz: float | None) -> tuple[Path, ...]:
    found = sorted((p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES), key=natural_order)
    if not found:
        raise InputError(f"{folder}: no image in this folder (looked for {', '.join(IMAGE_SUFFIXES)})")
    if fps_hz is None and len(found) > 1:
        raise InputError(f"{folder}: {len(found)} images, but no frame rate: say how fast they were taken, e.g. --fps 30")
    return tuple(found)


def natural_order(path: Path) -> list[tuple[int, str]]:
    """Key that sorts file names with numbers by value: ``2.png`` before ``10.png``."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name.lower()) if part]


def _open(path: Path) -> _AvContainer:
    av = require("av", feature=_FEATURE)
    try:
        container = av.open(str(path))
    except av.error.PermissionError:
        raise InputError(f"{path}: this file may not be read (permission denied)") from None
    except (av.error.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FormatError(path, None, f"this is not a video or image, or it is cut off before its index ({reason})") from None
    if not container.streams.video:
        container.close()
        raise FormatError(path, None, "there is no picture in this file (sound only?)")
    return container


def _first_frame(path: Path, container: _AvContainer) -> AvFrame:
    av = require("av", feature=_FEATURE)
    try:
        frame = next(container.decode(video=0), None)
    except (av.error.FFmpegError, OSError) as error:
        raise FormatError(path, None, f"its first frame cannot be decoded ({error.strerror})") from None
    if frame is None:
        raise FormatError(path, None, "there is not a single frame in this file. Check it in a video player")
    return frame


def _probe(path: Path) -> VideoInfo:
    with _open(path) as container:
        stream = container.streams.video[0]
        frame = _first_frame(path, container)
        still = path.suffix.lower() in IMAGE_SUFFIXES or container.format.name.endswith("_pipe")
        rate = float(stream.average_rate) if stream.average_rate else None
        duration = float(stream.duration * stream.time_base) if stream.duration else _container_duration_s(container)
        count = stream.frames or (round(duration * rate) if duration and rate else None)
        return VideoInfo(
            path=path,
            kind="image" if still else "video",
            image_size_px=upright_size(frame, stream, path),
            rate_hz=None if still else rate,
            frame_count=1 if still else count,
        )


def _container_duration_s(container: _AvContainer) -> float | None:
    """Duration (FFmpeg's microseconds) of a container with one stream; with more streams it may be another one's."""
    return container.duration / 1e6 if len(container.streams) == 1 and container.duration else None


def _video_frames(video: Video) -> Iterator[tuple[float, RgbImage]]:
    """Times and pictures between start and end; a file that ends before its stated duration is refused."""
    av = require("av", feature=_FEATURE)
    path = video.info.path
    with _open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        zero_s, step_s = _first_time_s(stream), 1 / (video.info.rate_hz or _DEFAULT_RATE_HZ)
        if video.start_s > 0:
            zero_s = zero_s if zero_s is not None else _decoded_first_time_s(path)
            _seek(container, stream, zero_s + video.start_s)
        orientation = Orientation(path, stream, video.info.image_size_px, video.max_side_px)
        packets = decoded = 0
        last_s = -np.inf
        reached_end = False
        for packet in container.demux(stream):
            packets += packet.size > 0
            if video.start_s > 0:  # before the start only reference frames are decoded
                start_s = (zero_s or 0.0) + video.start_s - _TIME_SLACK_S
                early = packet.pts is not None and packet.pts * stream.time_base < start_s
                stream.codec_context.skip_frame = "NONREF" if early else "DEFAULT"
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                continue
            for frame in frames:
                decoded += 1
                time_s = float(frame.time) if frame.time is not None else decoded * step_s
                zero_s = time_s if zero_s is None else zero_s
                if frame.is_corrupt or time_s <= last_s or time_s - zero_s < video.start_s - _TIME_SLACK_S:
                    continue
                if video.end_s is not None and time_s - zero_s > video.end_s + _TIME_SLACK_S:
                    reached_end = True
                    break
                last_s = time_s
                yield time_s, orientation.rgb(frame)
            if reached_end:
                return
        if video.start_s == 0 and video.info.kind == "video":
            _refuse_truncated(path, stream, packets, decoded, last_s - (zero_s or 0.0))


def _seek(container: _AvContainer, stream: AvStream, stamp_s: float) -> None:
    """Continue at the last key frame not after a time stamp, rounding allowed for."""
    target = int((stamp_s + 2 * _STAMP_NOISE_S) / stream.time_base)
    container.seek(target, stream=stream, backward=True, any_frame=False)


def _first_time_s(stream: AvStream) -> float | None:
    return float(stream.start_time * stream.time_base) if stream.start_time is not None else None


def _decoded_first_time_s(path: Path) -> float:
    with _open(path) as container:
        return float(_first_frame(path, container).time or 0.0)


def _refuse_truncated(path: Path, stream: AvStream, packets: int, decoded: int, last_s: float) -> None:
    if decoded == 0 or not stream.duration:
        return
    stated_s = float(stream.duration * stream.time_base)
    complete = min(packets, decoded) >= _COMPLETE_SHARE * stream.frames - 1 if stream.frames else False
    step_s = last_s / max(decoded - 1, 1)
    if not complete and last_s + 2 * step_s < _COMPLETE_SHARE * stated_s:
        raise FormatError(
            path,
            None,
            f"the video ends after {last_s:.2f} s of {stated_s:.2f} s: the file is cut off or damaged. "
            f"Copy it again, or use the readable part with --end {max(last_s - step_s, 0):.2f}",
        )


def _image_frames(video: Video) -> Iterator[tuple[float, RgbImage]]:
    for number, path in enumerate(video.images):
        time_s = number / (video.info.rate_hz or 1.0)
        if time_s < video.start_s - _TIME_SLACK_S:
            continue
        if video.end_s is not None and time_s > video.end_s + _TIME_SLACK_S:
            return
        yield time_s, _read_image(path, video)


def _read_image(path: Path, video: Video) -> RgbImage:
    with _open(path) as container:
        stream, frame = container.streams.video[0], _first_frame(path, container)
        size, wanted = upright_size(frame, stream, path), video.info.image_size_px
        if size != wanted:
            raise FormatError(
                path, None, f"this image is {size[0]} x {size[1]}, but the first one is {wanted[0]} x {wanted[1]}"
            )
        return Orientation(path, stream, size, video.max_side_px).rgb(frame)

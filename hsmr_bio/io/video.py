"""Frames of a video, an image or a folder of images: one pass, upright, with their presentation times.

Memory does not depend on the length: a thread decodes a few frames ahead of the caller.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path

import numpy as np

from hsmr_bio.errors import FormatError, InputError, require

from .door import reader
from .frame_log import FrameLog
from .prefetch import prefetch
from .slow_motion import slow_motion_of
from .upright import Orientation, RgbImage, upright_size
from .video_header import IMAGE_SUFFIXES, VideoInfo, first_frame, open_container, picture_stream, read_header
from .video_pass import VideoPass

_TIME_SLACK_S = 1e-6
"""Rounding of a start or end given by the user."""


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
class Video:
    """A source of frames; each iteration is one pass from the start."""

    info: VideoInfo
    """Of the part between start and end; the rate is that of the camera, also in slow motion."""
    header: VideoInfo
    """Of the whole file, as it plays."""
    start_s: float = 0.0
    end_s: float | None = None
    source_clock: bool = False
    max_side_px: int | None = None
    images: tuple[Path, ...] = ()
    slow_motion: float = 1.0
    """Time that the file takes to play over the time that was filmed."""
    said: tuple[str, ...] = ()
    """Notes on how the file was opened."""
    log: FrameLog = field(default_factory=FrameLog)
    """Account of the last pass."""

    def __iter__(self) -> Iterator[VideoFrame]:
        """Yield the frames in order, decoded ahead in a thread.

        Raises:
            FormatError: the file is damaged, cut off, or holds no frame between start and end.
        """
        return prefetch(self._frames)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for people: how time was taken, and after a pass which frames were left out and where."""
        return (*self.said, *self.log.notes())

    def _frame(self, index: int, time_s: float, rgb: RgbImage) -> VideoFrame:
        width, height = self.info.image_size_px
        return VideoFrame(index, time_s, rgb, (width / rgb.shape[1], height / rgb.shape[0]))

    def _frames(self) -> Iterator[VideoFrame]:
        origin: float | None = None
        index = 0
        self.log.begin()
        for time_s, rgb in _image_frames(self) if self.images else _video_frames(self):
            origin = time_s if origin is None else origin
            yield self._frame(index, (time_s if self.source_clock else time_s - origin) / self.slow_motion, rgb)
            index += 1
        self.log.refuse_damaged(self.info.path)
        if index == 0:
            span = f" between {self.start_s:g} s and {'its end' if self.end_s is None else f'{self.end_s:g} s'}"
            where = span if self.start_s > 0 or self.end_s is not None else ""
            raise FormatError(self.info.path, None, f"not a single frame could be read{where}{_advice(self, where)}")


def _advice(video: Video, cut: str) -> str:
    """Advice for a span without frames."""
    if cut and video.header.duration_s:
        return f": it is only {video.header.duration_s:.2f} s long. Choose --start and --end inside it"
    return ". Check the file in a video player"


@reader
def open_video(
    path: str | PathLike[str],
    *,
    start_s: float = 0.0,
    end_s: float | None = None,
    fps_hz: float | None = None,
    slow_motion: float | None = None,
    source_clock: bool = False,
    max_side_px: int | None = None,
) -> Video:
    """Open a video, an image, or a folder of images of one size.

    Frames come out upright: the rotation that phones store beside the picture is applied, and so are non-square pixels.

    Args:
        path: any file that FFmpeg's libraries decode, or a folder of images (sorted by name, numbers by value).
        start_s: seconds after the first frame of the file, as it plays.
        end_s: seconds after the first frame of the file, as it plays; None reads to the end.
        fps_hz: frame rate of the camera: needed for a folder of images; for a video in slow motion another way to give
            ``slow_motion``.
        slow_motion: time that the video takes to play over the time that was filmed; None: as the file says, else 1.
        source_clock: keep the file's own time stamps instead of starting at 0; in slow motion divided by the factor.
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
    for name, value in (("frame rate", fps_hz), ("slow motion", slow_motion)):
        if value is not None and not 0 < value < np.inf:
            raise InputError(f"{source}: the {name} must be positive, got {value:g}")
    images: tuple[Path, ...] = ()
    if source.is_dir():
        images = _images_of(source, fps_hz)
        header = replace(read_header(images[0]), path=source, kind="folder", rate_hz=fps_hz, frame_count=len(images))
    else:
        header = read_header(source)
    factor, said = slow_motion_of(header, fps_hz, slow_motion)
    if header.videos > 1:
        said = (*said, f"there are {header.videos} videos in the file: one of them was read, the others were not")
    part = _clipped(header, start_s, end_s)
    return Video(
        info=replace(part, rate_hz=part.rate_hz and part.rate_hz * factor),
        header=header,
        start_s=start_s,
        end_s=end_s,
        source_clock=source_clock,
        max_side_px=max_side_px,
        images=images,
        slow_motion=factor,
        said=said,
        log=FrameLog(start_s, end_s),
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


def _video_frames(video: Video) -> Iterator[tuple[float, RgbImage]]:
    """(Time, picture) between start and end; time is since the file's first frame, or with ``source_clock`` the file's."""
    av = require("av", feature="reading video")
    header, orientation, time_s = video.header, None, video.start_s
    decoding = VideoPass(header, video.log, video.start_s, video.end_s)
    try:
        for time_s, frame, stream in decoding.frames():
            orientation = orientation or Orientation(header.path, stream, header.image_size_px, video.max_side_px)
            yield time_s + (decoding.zero_s if video.source_clock else 0.0), orientation.rgb(frame)
    except av.error.FFmpegError as error:
        problem = (
            f"it cannot be read further than {time_s:.2f} s ({error.strerror}). Copy it again, or choose a part with --end"
        )
        raise FormatError(header.path, None, problem) from None


def _image_frames(video: Video) -> Iterator[tuple[float, RgbImage]]:
    for number, path in enumerate(video.images):
        time_s = number / (video.info.rate_hz or 1.0)
        if time_s < video.start_s - _TIME_SLACK_S:
            continue
        if video.end_s is not None and time_s > video.end_s + _TIME_SLACK_S:
            return
        yield time_s, _read_image(path, video)


def _read_image(path: Path, video: Video) -> RgbImage:
    with open_container(path) as container:
        stream, frame = picture_stream(container, path), first_frame(container, path)
        size, wanted = upright_size(frame, stream, path), video.info.image_size_px
        if size != wanted:
            raise FormatError(
                path, None, f"this image is {size[0]} x {size[1]}, but the first one is {wanted[0]} x {wanted[1]}"
            )
        return Orientation(path, stream, size, video.max_side_px).rgb(frame)

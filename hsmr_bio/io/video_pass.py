"""One pass through a video: from packets to frames between start and end, in time, with an account of what is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hsmr_bio.errors import FormatError, require

from .deinterlace import Deinterlacer
from .frame_filter import AvFrame
from .frame_log import DAMAGED, NO_PICTURE, FrameLog
from .time_stamps import RESTART_S, Clock
from .upright import AvContainer, AvStream
from .video_header import AvPacket, VideoInfo, first_frame, open_container, packets_of, picture_stream

_STAMP_NOISE_S = 1e-3
"""Rounding of the time stamps of containers that count milliseconds (Matroska)."""
_TIME_SLACK_S = 1e-6
"""Rounding of a start or end given by the user."""
_COMPLETE_SHARE = 0.98
"""Share of the stated frames or duration from which a file counts as complete; headers are often off by a frame or two."""
_DEFAULT_RATE_HZ = 30.0
"""For frames without a time stamp in a file without a rate."""
_WITHOUT_ORDER = 0x0200
"""FFmpeg's ``AVFMT_TS_DISCONT``: a format without an index, whose time stamps may begin again (transport, program streams)."""
_A_STAMP_A_FRAME = "mpegts"
"""Of those, the format whose frames can be found by time; in a program stream a time stamp may stand for many frames."""
_MOST_WAITING = 128
"""Packets that a decoder may hold: it reorders 16 at most (H.264, Annex A), and each of its threads holds one."""
_HIDDEN_FRAMES = ("vp8",)
"""Codecs with packets that are no pictures of their own (RFC 6386, 9.1: frames that are not shown)."""
_FEATURE = "reading video"


class VideoPass:
    """Decode a video once.

    Args:
        header: of the whole file, as it plays.
        log: takes what is left out or mended; places are counted from ``start_s`` to ``end_s``.
        start_s: first time, seconds after the first frame, as the file plays.
        end_s: last time; None: the end.
    """

    def __init__(self, header: VideoInfo, log: FrameLog, start_s: float, end_s: float | None) -> None:
        self._header, self._log, self._start_s, self._end_s = header, log, start_s, end_s
        self._step_s = 1 / (header.rate_hz or _DEFAULT_RATE_HZ)
        self._clock = Clock(self._step_s, log)
        self._packets = self._decoded = 0
        self._waiting: dict[int, float] = {}
        """Time stamps, as integers and in seconds, of packets that have given no frame yet."""
        self._without_picture_s: list[float] = []
        """Places of packets that the decoder has passed over."""

    @property
    def zero_s(self) -> float:
        """Time stamp of the file's first frame; 0 before a frame is decoded."""
        return self._clock.zero_s or 0.0

    def frames(self) -> Iterator[tuple[float, AvFrame, AvStream]]:
        """Give (seconds after the file's first frame, frame, stream) between start and end.

        Raises:
            FormatError: the file ends before its stated duration.
        """
        path = self._header.path
        with open_container(path) as container:
            stream = picture_stream(container, path)
            stream.thread_type = "AUTO"
            sought = self._start_s > 0 and self._seek(container, stream)
            last_s, reached_end = 0.0, False
            for time_s, frame in self._clock.ordered(self._decode(container, stream, sought)):
                reached_end = self._end_s is not None and time_s > self._end_s + _TIME_SLACK_S
                if reached_end:
                    break
                last_s = time_s
                if time_s >= self._start_s - _TIME_SLACK_S:
                    self._log.used += 1
                    yield time_s, frame, stream
            for place_s in self._without_picture_s[: max(self._packets - self._decoded, 0)]:
                self._log.leave_out(NO_PICTURE, place_s)
            if self._start_s == 0 and self._header.kind == "video" and not reached_end:
                self._refuse_truncated(path, stream, last_s)

    def _decode(self, container: AvContainer, stream: AvStream, sought: bool) -> Iterator[tuple[float, AvFrame]]:
        """Give (time stamp in seconds, frame) as the decoder does, without damaged frames, de-interlaced."""
        av = require("av", feature=_FEATURE)
        deinterlacer = Deinterlacer()
        given = 0
        for packet in packets_of(container, stream):
            last = packet.size == 0 and packet.dts is None
            if packet.size == 0 and not last:  # a container's word for "nothing new"; the decoder would take it for the end
                continue
            if sought:  # before the start only reference frames are decoded
                early = packet.pts is not None and self._time_of(packet.pts, stream) < self._start_s - _TIME_SLACK_S
                stream.codec_context.skip_frame = "NONREF" if early else "DEFAULT"
            expected = self._expect(packet, container, stream, deinterlacer.count > 0)
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                frames = []
                if not (expected or last):  # an expected one goes on waiting: threads report errors late
                    place_s = self._decoded * self._step_s if packet.dts is None else self._time_of(packet.dts, stream)
                    self._log.leave_out(NO_PICTURE, place_s)
            ready = [out for frame in frames if self._is_sound(frame) for out in deinterlacer.push(frame)]
            ready += deinterlacer.flush() if last else []
            for frame in ready:
                given += 1
                yield float(frame.time) if frame.time is not None else given * self._step_s, frame
            self._log.interlaced = deinterlacer.count
        self._give_up(0)

    def _expect(self, packet: AvPacket, container: AvContainer, stream: AvStream, interlaced: bool) -> bool:
        """Note that a packet should give a picture; give whether it must."""
        self._packets += packet.size > 0
        fields = interlaced and bool(int(container.format.flags) & _WITHOUT_ORDER)  # then two packets may give one picture
        if fields or stream.codec_context.name in _HIDDEN_FRAMES:
            self._waiting.clear()
            return False
        if packet.size == 0 or packet.pts is None or packet.is_discard:
            return False
        self._waiting[packet.pts] = float(packet.pts * stream.time_base)
        self._give_up(_MOST_WAITING)
        return True

    def _give_up(self, most: int) -> None:
        """Take the oldest waiting packets beyond a number for packets without a picture."""
        for pts in list(self._waiting)[: max(len(self._waiting) - most, 0)]:
            self._without_picture_s.append(self._clock.elapsed_s(self._waiting.pop(pts)))

    def _is_sound(self, frame: AvFrame) -> bool:
        """Count a decoded frame; whether it can be used."""
        self._decoded += 1
        self._waiting.pop(frame.pts, None)
        if self._clock.zero_s is None and frame.time is not None:
            self._clock.zero_s = float(frame.time)
        if frame.is_corrupt:
            stamp_s = frame.time if frame.time is not None else self._decoded * self._step_s
            self._log.leave_out(DAMAGED, self._clock.elapsed_s(stamp_s))
        return not frame.is_corrupt

    def _time_of(self, pts: int, stream: AvStream) -> float:
        return self._clock.elapsed_s(float(pts * stream.time_base))

    def _seek(self, container: AvContainer, stream: AvStream) -> bool:
        """Go on at the last key frame not after the start, if the file's time stamps show where that is."""
        path = self._header.path
        with open_container(path) as other:
            zero_s = float(first_frame(other, path).time or 0.0)
        start = int((zero_s + self._start_s + 2 * _STAMP_NOISE_S) / stream.time_base)
        if int(container.format.flags) & _WITHOUT_ORDER:
            target = _key_frame_before(path, start) if container.format.name == _A_STAMP_A_FRAME else None
        else:
            target = start
        if target is None:
            return False
        self._clock.zero_s = zero_s
        container.seek(target, stream=stream, backward=True, any_frame=False)
        return True

    def _refuse_truncated(self, path: Path, stream: AvStream, last_s: float) -> None:
        if self._decoded == 0 or not stream.duration:
            return
        stated_s = float(stream.duration * stream.time_base)
        found = min(self._packets, self._decoded)
        complete = found >= _COMPLETE_SHARE * stream.frames - 1 if stream.frames else False
        step_s = last_s / max(self._decoded - 1, 1)
        if not complete and last_s + 2 * step_s < _COMPLETE_SHARE * stated_s:
            raise FormatError(
                path,
                None,
                f"the video ends after {last_s:.2f} s of {stated_s:.2f} s: the file is cut off or damaged. "
                f"Copy it again, or use the readable part with --end {max(last_s - step_s, 0):.2f}",
            )


def _key_frame_before(path: Path, pts: int) -> int | None:
    """Decoding time stamp of the last key frame not after a time; reads all packets, decodes nothing.

    None if there is no such frame, or if the time stamps begin again somewhere, so that a time is not one place in the file.
    """
    found = last_s = None
    with open_container(path) as container:
        stream = picture_stream(container, path)
        for packet in packets_of(container, stream):
            if packet.dts is None:
                continue
            time_s = float(packet.dts * stream.time_base)
            if last_s is not None and last_s - time_s >= RESTART_S:
                return None
            last_s = time_s
            if packet.is_keyframe and packet.pts is not None and packet.pts <= pts:
                found = packet.dts
    return found

"""De-interlace frames whose odd and even lines were filmed at two times."""

from __future__ import annotations

from .frame_filter import AvFrame, FrameFilter

_FILTER, _OPTIONS = "bwdif", "mode=send_frame:parity=auto:deint=interlaced"
"""FFmpeg's filter after yadif and the BBC's three-field method: one frame for each, at its time; others pass unchanged."""


class Deinterlacer:
    """FFmpeg's ``bwdif``, used from the first interlaced frame on."""

    def __init__(self) -> None:
        self.count = 0
        """Interlaced frames so far."""
        self._filter: FrameFilter | None = None
        self._made_for: tuple[int, int, str] | None = None

    def push(self, frame: AvFrame) -> list[AvFrame]:
        """Take a frame and give those that are ready: an interlaced one is ready when the next one is known."""
        interlaced = bool(frame.interlaced_frame)
        self.count += interlaced
        if self._filter is None and not interlaced:
            return [frame]
        size_and_format = frame.width, frame.height, frame.format.name
        ready = []
        if self._filter is None or size_and_format != self._made_for:
            ready = self.flush()
            self._filter, self._made_for = FrameFilter(frame, _FILTER, _OPTIONS), size_and_format
        return ready + self._filter.push(frame)

    def flush(self) -> list[AvFrame]:
        """Give the frames that are left; call it after the last one."""
        return [] if self._filter is None else self._filter.push(None)

"""One of FFmpeg's filters for decoded frames."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from hsmr_bio.errors import require

AvFrame = Any
"""``av.VideoFrame``."""
_ANY_TIME_BASE = Fraction(1, 90_000)
"""For frames without time stamps; that of transport streams."""


class FrameFilter:
    """A graph of one filter.

    Args:
        frame: of the size and format of all frames to come.
        name: of the filter.
        options: of the filter, as FFmpeg writes them.
    """

    def __init__(self, frame: AvFrame, name: str, options: str) -> None:
        self._av = require("av", feature="reading video")
        self._graph = self._av.filter.Graph()
        time_base = frame.time_base or _ANY_TIME_BASE
        source = self._graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=time_base)
        chosen, sink = self._graph.add(name, options), self._graph.add("buffersink")
        source.link_to(chosen)
        chosen.link_to(sink)
        self._graph.configure()

    def push(self, frame: AvFrame | None) -> list[AvFrame]:
        """Take a frame, or None after the last one, and give those that are ready."""
        self._graph.push(frame)
        ready = []
        while True:
            try:
                ready.append(self._graph.pull())
            except (self._av.error.BlockingIOError, self._av.error.EOFError):
                return ready

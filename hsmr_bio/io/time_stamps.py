"""Time that always goes on, from the time stamps of a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from .frame_filter import AvFrame
from .frame_log import NOT_LATER, FrameLog

RESTART_S = 0.5
"""Least fall of the time stamps that is a new beginning: decoders confuse the order of fewer frames (16 in H.264, Annex A)."""
_GAP_S, _GAP_STEPS = 0.5, 5
"""Least time without a frame that is noted, also in usual steps. Our choice."""


class Clock:
    """Elapsed time of a file's time stamps, which may begin again where recordings were joined.

    Args:
        step_s: usual time between two frames.
        log: takes what is left out or mended.
        zero_s: time stamp of the file's first frame; None: the first one that comes.
    """

    def __init__(self, step_s: float, log: FrameLog, zero_s: float | None = None) -> None:
        self._step_s, self._log = step_s, log
        self.zero_s = zero_s
        self._offset_s = 0.0

    def elapsed_s(self, stamp_s: float) -> float:
        """Seconds after the first frame; 0 before the first frame is known."""
        return 0.0 if self.zero_s is None else stamp_s - self.zero_s + self._offset_s

    def ordered(self, frames: Iterable[tuple[float, AvFrame]]) -> Iterator[tuple[float, AvFrame]]:
        """Give (elapsed seconds, frame), later and later.

        Where the stamps fall far and go on from there, the rest follows one step after what was before; any other frame
        whose stamp is not later is left out.

        Args:
            frames: (time stamp in seconds, frame) in the decoder's order.

        Returns:
            An iterator.
        """
        last_s = -np.inf
        held: tuple[float, AvFrame] | None = None
        for stamp_s, frame in frames:
            self.zero_s = stamp_s if self.zero_s is None else self.zero_s
            if held is not None and self._goes_on(held[0], stamp_s, last_s):
                self._offset_s += last_s + self._step_s - self.elapsed_s(held[0])
                self._log.restart(self.elapsed_s(held[0]))
                last_s = self.elapsed_s(held[0])
                yield last_s, held[1]
            elif held is not None:
                self._log.leave_out(NOT_LATER, last_s)
            held = None
            time_s = self.elapsed_s(stamp_s)
            if time_s <= last_s:
                held = stamp_s, frame
                continue
            if time_s - last_s > max(_GAP_S, _GAP_STEPS * self._step_s) and last_s >= 0 and self._log.has(last_s):
                self._log.gap(last_s, time_s)
            last_s = time_s
            yield time_s, frame
        if held is not None:
            self._log.leave_out(NOT_LATER, last_s)

    def _goes_on(self, held_s: float, stamp_s: float, last_s: float) -> bool:
        """Whether the stamps go on from a frame whose stamp fell far."""
        return stamp_s > held_s and last_s - self.elapsed_s(held_s) >= RESTART_S and self.elapsed_s(stamp_s) <= last_s

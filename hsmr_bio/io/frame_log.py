"""Account of one pass through a video: which frames were left out, and where time was mended."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hsmr_bio.errors import FormatError

DAMAGED = "they are damaged"
NO_PICTURE = "they gave no picture when decoded"
NOT_LATER = "their time stamp is not after the one before"
_MOST_LEFT_OUT = 0.1
"""Largest share of frames that may be left out: our choice, a fault of more than a few frames here and there."""
_TIME_SLACK_S = 1e-6
"""Rounding of a start or end given by the user."""


class FrameLog:
    """Counts and places, in seconds after the first frame of the file as it plays.

    Args:
        start_s: places before it are not counted.
        end_s: places after it are not counted; None counts to the end.
    """

    def __init__(self, start_s: float = 0.0, end_s: float | None = None) -> None:
        self._from_s = start_s - _TIME_SLACK_S if start_s > 0 else -np.inf  # packets before the first frame count too
        self._to_s = np.inf if end_s is None else end_s + _TIME_SLACK_S
        self.begin()

    def begin(self) -> None:
        """Forget what was counted, before another pass."""
        self.used = 0
        """Frames that were given to the caller."""
        self.interlaced = 0
        """Frames that were de-interlaced, also before the start."""
        self._left_out: dict[str, list[float]] = {}
        self._restarts_s: list[float] = []
        self._gaps_s: list[tuple[float, float]] = []

    def has(self, place_s: float) -> bool:
        """Whether a place is between start and end."""
        return self._from_s <= place_s <= self._to_s

    def leave_out(self, reason: str, place_s: float) -> None:
        """Count a frame that is left out.

        Args:
            reason: ``DAMAGED``, ``NO_PICTURE`` or ``NOT_LATER``.
            place_s: seconds after the first frame.
        """
        if self.has(place_s):
            self._left_out.setdefault(reason, []).append(max(place_s, 0.0))

    def restart(self, place_s: float) -> None:
        """Note that the time stamps begin again."""
        if self.has(place_s):
            self._restarts_s.append(place_s)

    def gap(self, from_s: float, to_s: float) -> None:
        """Note a long time without a frame.

        Args:
            from_s: place of the frame before.
            to_s: place of the frame after.
        """
        self._gaps_s.append((from_s, to_s))

    def notes(self) -> tuple[str, ...]:
        """Say for people what happened, a sentence for each kind."""
        notes = []
        if self._restarts_s:
            notes.append(
                f"the file's time stamps begin again {_at(self._restarts_s)} (joined recordings?): "
                "its parts were put one after the other"
            )
        if self.interlaced:
            notes.append("the video is interlaced: its frames were de-interlaced")
        if self._gaps_s:
            (start, end), more = self._gaps_s[0], len(self._gaps_s) - 1
            notes.append(
                f"no picture from {start:.2f} to {end:.2f} s of the file" + (f", and {more} more such gaps" * bool(more))
            )
        notes += [
            f"{len(places)} of {self._total} frames were left out, as {reason}: {_at(places)}"
            for reason, places in self._left_out.items()
        ]
        return tuple(notes)

    def refuse_damaged(self, path: Path) -> None:
        """Refuse a file of which a large share cannot be used.

        Args:
            path: of the file.

        Raises:
            FormatError: more than a tenth of the frames were left out.
        """
        lost = sum(len(places) for places in self._left_out.values())
        if lost <= _MOST_LEFT_OUT * self._total:
            return
        reasons = "; ".join(f"{len(places)}, as {reason}, {_at(places)}" for reason, places in self._left_out.items())
        raise FormatError(
            path,
            None,
            f"{lost} of {self._total} frames cannot be used ({reasons}). "
            "Copy or convert the file again, or choose a good part with --start and --end",
        )

    @property
    def _total(self) -> int:
        return self.used + sum(len(places) for places in self._left_out.values())


def _at(places_s: list[float]) -> str:
    first, last = min(places_s), max(places_s)
    if len(places_s) == 1:
        return f"at {first:.2f} s of the file"
    return f"{len(places_s)} times, from {first:.2f} to {last:.2f} s of the file"

"""Events of a movement and the crossings that they are found by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..arrays import FloatArray

Evidence = Literal["motion", "forces"]

METHOD_SD_S = {
    "foot contact": 0.010,
    "foot off": 0.006,
    "squat start": 0.030,
    "squat bottom": 0.015,
    "squat end": 0.030,
    "seat-off": 0.030,
    "seat contact": 0.030,
    "end of rise": 0.030,
    "start of lowering": 0.030,
    "take-off": 0.010,
    "landing": 0.010,
}
"""Standard deviation of each event's method on an exact motion. Contact and off: spread of the mixed method against force
plates on two walkers (12 events). The others are chosen: their thresholds of speed are crossed at 0.3 to 1 m/s^2, and
published ones differ by 0.01 to 0.03 m/s."""
FORCE_SD_S = 0.005
"""Of a crossing of 20 N: thresholds from 10 N to 5 % of body weight move it by 2 to 9 ms."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event with its standard deviation."""

    name: str
    """One of ``METHOD_SD_S``."""
    side: str
    """``r``, ``l``, or empty for the whole body."""
    time_s: float
    sd_s: float
    """Standard deviation of the time."""
    evidence: Evidence = "motion"
    note: str = ""
    """What makes it doubtful; empty if nothing does."""

    def to_json(self) -> dict[str, str | float]:
        """Return the event as JSON values."""
        return {
            "event": self.name,
            "side": self.side,
            "time_s": self.time_s,
            "sd_s": self.sd_s,
            "evidence": self.evidence,
            "note": self.note,
        }


class Jitter:
    """Moves event times by the error of their method, in draws; without random numbers it leaves them."""

    def __init__(self, rng: np.random.Generator | None = None) -> None:
        self._rng = rng

    def __call__(self, name: str, time_s: float, sd_s: float | None = None) -> float:
        """Move one time.

        Args:
            name: of the event.
            time_s: of the event.
            sd_s: deviation of the method; None: that of the event's name.

        Returns:
            The time of this draw.
        """
        if self._rng is None:
            return time_s
        return time_s + (METHOD_SD_S[name] if sd_s is None else sd_s) * float(self._rng.normal())


EXACT = Jitter()
"""Leaves times as they are."""


def method_event(name: str, side: str, time_s: float, rate_hz: float, note: str = "") -> Event:
    """Make an event of an exact motion: its deviation is that of the method and of the sampling.

    Args:
        name: of the event.
        side: ``r``, ``l`` or empty.
        time_s: of the event.
        rate_hz: frames per second.
        note: what makes it doubtful.

    Returns:
        The event.
    """
    sd_s = float(np.sqrt(METHOD_SD_S[name] ** 2 + 1.0 / (12.0 * rate_hz**2)))
    return Event(name=name, side=side, time_s=float(time_s), sd_s=sd_s, note=note)


def crossings(time_s: FloatArray, values: FloatArray, level: float, *, rising: bool) -> FloatArray:
    """Find the times at which a signal crosses a level, interpolated between samples.

    Args:
        time_s: (T,).
        values: (T,).
        level: in the unit of ``values``.
        rising: whether upward crossings are wanted, else downward ones.

    Returns:
        (C,) times in order.
    """
    above = values - level if rising else level - values
    rows = np.flatnonzero((above[:-1] < 0) & (above[1:] >= 0))
    share = -above[rows] / (above[rows + 1] - above[rows])
    return np.asarray(time_s[rows] + share * (time_s[rows + 1] - time_s[rows]))


def parabola_extremum(time_s: FloatArray, values: FloatArray, row: int) -> float:
    """Refine the time of an extremum with the parabola through three samples.

    Args:
        time_s: (T,) evenly spaced around the row.
        values: (T,).
        row: of the extreme sample.

    Returns:
        The time; that of the sample at the ends and where the parabola is flat.
    """
    if not 0 < row < len(values) - 1:
        return float(time_s[row])
    before, here, after = values[row - 1 : row + 2]
    bend = before - 2 * here + after
    shift = 0.0 if abs(bend) < 1e-15 else float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5))
    return float(time_s[row] + shift * (time_s[row + 1] - time_s[row]))

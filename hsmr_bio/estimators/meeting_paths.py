"""Where a person is expected in a gap of the track, from the frames on both sides of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hsmr_bio.types import FloatArray

from .meeting_links import colours_at
from .meetings import straight_path
from .person_track import PersonTrack, reach_px
from .regions import Landmarks, Region

_HOLD_S = 0.5
"""Time after which a straight path with one known end goes no further."""
_OFF, _OFF_PER_S, _MOST_OFF = 0.2, 0.8, 0.5
"""Distance of a trunk from the path between both ends that is possible, in reaches: at an end, per second from the nearer end,
at most (chosen on rendered training subjects)."""


@dataclass(frozen=True, eq=False)
class Gap:
    """Frames ``start`` to ``end`` (exclusive) in which a person is looked for again."""

    person: int
    start: int
    end: int
    before: PersonTrack | None
    """Piece of the track that ends at the gap; it or the next is known."""
    after: PersonTrack | None
    times_s: FloatArray
    """(T,) of the clip."""

    def time_s(self, frame: int) -> float:
        """Time of a frame."""
        return float(self.times_s[frame])

    @property
    def colours(self) -> FloatArray | None:
        """(128,) of the person on both sides, or None."""
        known = [
            colours
            for piece, at_end in ((self.before, True), (self.after, False))
            if piece is not None and (colours := colours_at(piece, at_end=at_end)) is not None
        ]
        return np.asarray(np.mean(known, axis=0)) if known else None

    def trunk_px(self, time_s: float) -> FloatArray:
        """(2,) expected middle of the trunk: the cubic with place and velocity of both ends; straight on from one end."""
        ends = [(piece, at_end) for piece, at_end in ((self.before, True), (self.after, False)) if piece is not None]
        piece, at_end = ends[0]
        if len(ends) == 1:
            speed, place = straight_path(piece, at_end=at_end)
            return np.asarray(place + speed * np.clip(time_s - piece.times_s[-1 if at_end else 0], -_HOLD_S, _HOLD_S))
        later = ends[1][0]
        (v0, p0), (v1, p1) = straight_path(piece, at_end=True), straight_path(later, at_end=False)
        length, passed_s = later.times_s[0] - piece.times_s[-1], time_s - piece.times_s[-1]
        u = np.clip(passed_s / length, 0.0, 1.0)
        return np.asarray(
            (1 + 2 * u) * (1 - u) ** 2 * p0
            + u * (1 - u) ** 2 * length * v0
            + u**2 * (3 - 2 * u) * p1
            + u**2 * (u - 1) * length * v1
        )

    def foreseen(self, frame: int) -> bool:
        """Whether the path says where the person is: always between two ends, for a moment after one."""
        ends = self._end_times()
        return len(ends) == 2 or abs(self.time_s(frame) - ends[0]) <= _HOLD_S

    def tolerance(self, time_s: float) -> float:
        """Distance from the expected path that is possible, in reaches."""
        return min(_OFF + _OFF_PER_S * min(abs(time_s - end) for end in self._end_times()), _MOST_OFF)

    def reach_px(self, time_s: float) -> float:
        """Expected reach, changing evenly over the gap."""
        sizes = [reach_px(one.region) for one in self._end_landmarks()]
        times = self._end_times()
        return float(np.interp(time_s, times, sizes))

    def region(self, time_s: float) -> Region:
        """Square around the expected person."""
        nearest = min(zip(self._end_times(), self._end_landmarks(), strict=True), key=lambda end: abs(end[0] - time_s))[1]
        moved = self.trunk_px(time_s) - nearest.px[[11, 12, 23, 24]].mean(axis=0)
        scale = self.reach_px(time_s) / reach_px(nearest.region)
        return Region(nearest.region.center_px + moved, nearest.region.side_px * scale, 0.0)

    def _end_times(self) -> list[float]:
        times = [] if self.before is None else [self.before.times_s[-1]]
        return times if self.after is None else [*times, self.after.times_s[0]]

    def _end_landmarks(self) -> list[Landmarks]:
        ends = [] if self.before is None else [self.before.landmarks[-1]]
        return ends if self.after is None else [*ends, self.after.landmarks[0]]

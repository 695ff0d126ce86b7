"""Who is who after two people have passed each other: decided by the paths they walked before.

While one hides the other, the landmarks may slip from one to the other. So when the second person appears again, both ways
to hand out the two names are compared with straight continuations of both paths.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hsmr_bio.types import FloatArray

from .person_track import PersonTrack, reach_px, trunk_px
from .pose_graph import Landmarks

_PATH_S = 0.5
_NEAR_REACH = 1.0
_CLEARLY_REACH = 0.3
_LONGEST_S = 3.0


@dataclass(frozen=True, eq=False)
class IdentitySwap:
    """Somebody was lost beside somebody who is still followed."""

    since_s: float
    survivor: PersonTrack
    lost: PersonTrack
    survivor_path: FloatArray
    """(2, 2) velocity in px/s, and place at ``since_s``."""
    lost_path: FloatArray

    @classmethod
    def of(cls, lost: PersonTrack, alive: list[PersonTrack]) -> list[IdentitySwap]:
        """Crossings that the loss of a track begins."""
        since = lost.times_s[-1]
        place = trunk_px(lost.last.px)
        found = []
        for other in alive:
            apart = np.linalg.norm(trunk_px(other.last.px) - place)
            if other is not lost and apart < _NEAR_REACH * reach_px(other.last.region):
                found.append(cls(since, other, lost, _path(other, since), _path(lost, since)))
        return found

    def open_at(self, time_s: float) -> bool:
        """Whether the question is still open: after some seconds a straight path predicts nothing."""
        return self.survivor.lost_since_s is None and time_s - self.since_s < _LONGEST_S

    def exchanged(self, found: Landmarks, time_s: float) -> bool:
        """Whether ``found`` is the one who was thought to be followed, and the one followed is the one who was lost."""
        ahead = time_s - self.since_s
        survivor, lost = (path[1] + path[0] * ahead for path in (self.survivor_path, self.lost_path))
        followed, new = trunk_px(self.survivor.last.px), trunk_px(found.px)
        direct = np.linalg.norm(followed - survivor) + np.linalg.norm(new - lost)
        crossed = np.linalg.norm(followed - lost) + np.linalg.norm(new - survivor)
        return bool(crossed < direct - _CLEARLY_REACH * reach_px(self.survivor.last.region))


def _path(track: PersonTrack, since_s: float) -> FloatArray:
    times = np.array(track.times_s) - since_s
    part = np.flatnonzero((times > -_PATH_S) & (times <= 1e-6))
    if len(part) < 3:
        return np.stack([np.zeros(2), trunk_px(track.last.px)])
    return np.asarray(np.polyfit(times[part], [trunk_px(track.landmarks[frame].px) for frame in part], 1))

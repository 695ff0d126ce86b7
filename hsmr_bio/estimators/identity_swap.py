"""Identity of two people after one of them has passed in front of the other, from their paths before.

During the occlusion the landmarks may change from one person to the other. When the second person appears again, both
assignments of the two identities are compared with straight continuations of both paths.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hsmr_bio.types import FloatArray

from .person_track import PersonTrack, reach_px, trunk_px
from .regions import Landmarks

_PATH_S = 0.5
"""Time before the loss to which a path is fitted."""
_MIN_PATH = 3
"""Frames that a fitted path needs; with fewer the person is expected to stay."""
_TIME_SLACK_S = 1e-6
"""Rounding of time stamps."""
_NEAR_REACH = 1.0
"""Distance of two trunks, in reaches (:func:`person_track.reach_px`), below which one person may hide the other."""
_CLEARLY_REACH = 0.3
"""Difference of the two assignments' errors, in reaches, above which the identities are exchanged."""
_MAX_S = 3.0
"""After this time a straight path predicts nothing."""


@dataclass(frozen=True, eq=False)
class IdentitySwap:
    """A possible exchange of identities: a track was lost beside one that continues."""

    since_s: float
    survivor: PersonTrack
    lost: PersonTrack
    survivor_path: FloatArray
    """(2, 2) velocity in px/s, and position in px at ``since_s``."""
    lost_path: FloatArray
    """(2, 2), as ``survivor_path``."""

    @classmethod
    def of(cls, lost: PersonTrack, alive: list[PersonTrack]) -> list[IdentitySwap]:
        """List the exchanges that the loss of a track makes possible.

        Args:
            lost: the track, with its last landmarks.
            alive: tracks that continue.

        Returns:
            One for each track beside the lost one.
        """
        since = lost.times_s[-1]
        position = trunk_px(lost.last.px)
        found = []
        for survivor in alive:
            distance = np.linalg.norm(trunk_px(survivor.last.px) - position)
            if survivor is not lost and distance < _NEAR_REACH * reach_px(survivor.last.region):
                found.append(cls(since, survivor, lost, _path(survivor, since), _path(lost, since)))
        return found

    def open_at(self, time_s: float) -> bool:
        """Whether the paths can still decide at ``time_s``."""
        return self.survivor.lost_since_s is None and time_s - self.since_s < _MAX_S

    def exchanged(self, found: Landmarks, time_s: float) -> bool:
        """Decide whether the tracks have exchanged their persons.

        Args:
            found: landmarks of the person who has appeared again.
            time_s: of these landmarks.

        Returns:
            True if ``found`` continues the survivor's path, and the survivor's landmarks continue the lost path.
        """
        gap_s = time_s - self.since_s
        survivor, lost = (path[1] + path[0] * gap_s for path in (self.survivor_path, self.lost_path))
        followed, new = trunk_px(self.survivor.last.px), trunk_px(found.px)
        direct = np.linalg.norm(followed - survivor) + np.linalg.norm(new - lost)
        crossed = np.linalg.norm(followed - lost) + np.linalg.norm(new - survivor)
        return bool(crossed < direct - _CLEARLY_REACH * reach_px(self.survivor.last.region))


def _path(track: PersonTrack, since_s: float) -> FloatArray:
    """(2, 2) velocity and position of the trunk at ``since_s``, from a straight line through the frames before."""
    times = np.array(track.times_s) - since_s
    part = np.flatnonzero((times > -_PATH_S) & (times <= _TIME_SLACK_S))
    if len(part) < _MIN_PATH:
        return np.stack([np.zeros(2), trunk_px(track.last.px)])
    return np.asarray(np.polyfit(times[part], [trunk_px(track.landmarks[frame].px) for frame in part], 1))

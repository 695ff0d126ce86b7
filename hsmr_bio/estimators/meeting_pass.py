"""The second look at meetings: each person is followed into a gap forwards from its start and backwards from its end.

A reading counts only where the person can be: on the path between both ends, of that size, in those colours. With one end
known, the readings themselves are the path, until the person is lost for some time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hsmr_bio.io.upright import RgbImage
from hsmr_bio.types import FloatArray

from .appearance import appearance, likeness
from .meeting_paths import Gap
from .meetings import EXPECTED_S
from .person_track import PersonTrack, ReadRegions, bones_px, reach_px, trunk_px
from .pose_networks import PoseNetworks
from .regions import FIRST_BODY_LANDMARK, Landmarks, Region

_SEED_S = 0.5
"""Time beside a gap from which somebody is followed into it."""
_SIZE_RATIO = 1.3
"""Largest ratio of a reading's reach to the expected one."""
_LIKER = 0.04
"""By how much a reading may look more like somebody else."""
_LARGER = 1.3
"""Enlargement of the square in which somebody is looked for who was not where expected."""
_AGREE = 0.12
"""Median distance in reaches between the readings of both directions that are one posture."""


@dataclass(frozen=True, eq=False)
class Reading:
    """What was read of a person in one frame of a gap."""

    landmarks: Landmarks
    look: FloatArray | None
    evidence: float
    """Likeness of the colours to the person's own less the largest to somebody else's, less the distance from the path."""


@dataclass(frozen=True, eq=False)
class _Look:
    """One gap, and what is needed to judge readings in it."""

    gap: Gap
    pictures: Mapping[int, RgbImage]
    networks: PoseNetworks
    own: FloatArray | None
    others: Sequence[FloatArray | None]

    def judged(self, landmarks: Landmarks | None, frame: int) -> Reading | None:
        """The reading, or None if it cannot be this person."""
        if landmarks is None:
            return None
        off = 0.0
        if self.gap.before is not None and self.gap.after is not None:
            time_s = self.gap.time_s(frame)
            reach = self.gap.reach_px(time_s)
            off = float(np.linalg.norm(trunk_px(landmarks.px) - self.gap.trunk_px(time_s))) / reach
            ratio = reach_px(landmarks.region) / reach
            if off > self.gap.tolerance(time_s) or not 1 / _SIZE_RATIO < ratio < _SIZE_RATIO:
                return None
        look = appearance(self.pictures[frame], landmarks)
        margin = self._margin(look)
        return Reading(landmarks, look, margin - off) if margin > -_LIKER else None

    def _margin(self, look: FloatArray | None) -> float:
        known = [other for other in self.others if other is not None]
        if look is None or self.own is None or not known:
            return 0.0
        return likeness(self.own, look) - max(likeness(other, look) for other in known)

    def followed(self, piece: PersonTrack, *, backwards: bool) -> dict[int, Reading]:
        """Follow the person from one side of the gap."""
        sign = -1 if backwards else 1
        track = _seeded(piece, sign)
        found: dict[int, Reading] = {}
        frames = [frame for frame in range(self.gap.start, self.gap.end) if frame in self.pictures]
        for frame in frames[::sign]:
            rgb, now_s = self.pictures[frame], sign * self.gap.time_s(frame)
            if now_s - track.times_s[-1] > EXPECTED_S and (self.gap.before is None or self.gap.after is None):
                break

            def read(regions: Sequence[Region], rgb: RgbImage = rgb) -> Sequence[Landmarks | None]:
                return self.networks.landmarks(rgb, regions)

            reading = self._one(track, frame, now_s, read)
            if reading is not None:
                found[frame] = reading
                track.add(sign * frame, now_s, reading.landmarks, rgb)
        sides = dict(zip(track.frames, track.landmarks, strict=True))  # left and right may have been exchanged since
        return {frame: replace(reading, landmarks=sides[sign * frame]) for frame, reading in found.items()}

    def _one(self, track: PersonTrack, frame: int, now_s: float, read: ReadRegions) -> Reading | None:
        """One frame: where the person was, else where the path leads."""
        first = read([track.region])[0]
        reading = self.judged(track.step(now_s, first, read), frame) if self.judged(first, frame) else None
        if reading is None:
            (first,) = read([self._elsewhere(track, frame, now_s)])
            reading = self.judged(track.step(now_s, first, read), frame) if self.judged(first, frame) else None
        return reading

    def _elsewhere(self, track: PersonTrack, frame: int, now_s: float) -> Region:
        """Where the path between both ends leads; with one end, a larger square where the person should be now."""
        if self.gap.before is not None and self.gap.after is not None:
            return self.gap.region(self.gap.time_s(frame))
        last = track.last
        moved = track.predicted_px(now_s).mean(axis=0) - last.px.mean(axis=0)
        return Region(last.region.center_px + moved, _LARGER * last.region.side_px, 0.0)


def _seeded(piece: PersonTrack, sign: int) -> PersonTrack:
    """A track of the frames of a piece beside the gap, in the order in which they are followed."""
    times = np.array(piece.times_s)
    near = np.flatnonzero(np.abs(times - times[-1 if sign > 0 else 0]) <= _SEED_S)[::sign]
    track = PersonTrack()
    track.frames, track.times_s = [sign * piece.frames[k] for k in near], [sign * piece.times_s[k] for k in near]
    track.landmarks, track.looks = [piece.landmarks[k] for k in near], [piece.looks[k] for k in near]
    track.longest_px = max(bones_px(one.px) for one in track.landmarks)
    return track


def look_again(
    gap: Gap,
    pictures: Mapping[int, RgbImage],
    networks: PoseNetworks,
    others: Sequence[FloatArray | None],
) -> dict[int, Reading]:
    """Read a person in the frames of a gap.

    Args:
        gap: of the person.
        pictures: by frame; frames without one are left out.
        networks: for the landmarks.
        others: (128,) colours of the other people in the meeting.

    Returns:
        Readings by frame: of two directions that disagree, the one with more evidence.
    """
    look = _Look(gap, pictures, networks, gap.colours, others)
    forwards = {} if gap.before is None else look.followed(gap.before, backwards=False)
    backwards = {} if gap.after is None else look.followed(gap.after, backwards=True)
    middle = (gap.start + gap.end) / 2
    found = forwards | backwards
    for frame in forwards.keys() & backwards.keys():
        a, b = forwards[frame], backwards[frame]
        near = a if frame < middle else b
        found[frame] = near if _agree(a.landmarks, b.landmarks) else max(a, b, key=lambda reading: reading.evidence)
    return found


def _agree(a: Landmarks, b: Landmarks) -> bool:
    off = np.linalg.norm(a.px - b.px, axis=1)[FIRST_BODY_LANDMARK:]
    return bool(np.median(off) < _AGREE * reach_px(a.region))

"""Tracks over the whole clip: who is who after people met, what is read of them meanwhile, and what is hidden.

The tracker follows people frame by frame. Where two of them overlap in the picture its tracks are cut, their pieces are joined
again by what the whole clip says (``meeting_links``), and the pictures of the gaps are looked at again from both sides
(``meeting_pass``). Without a meeting nothing happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, pairwise

import numpy as np

from hsmr_bio.io.upright import RgbImage
from hsmr_bio.types import FloatArray

from .meeting_hiding import decide_front, front_by_colour, front_by_feet, without_hidden
from .meeting_links import cut, joined, link
from .meeting_pass import Reading, look_again
from .meeting_paths import Gap
from .meetings import Meeting, find_meetings
from .person_geometry import same_person
from .person_track import PersonTrack, reach_px, trunk_px
from .pose_networks import PoseNetworks
from .regions import Landmarks

_MOST_BYTES = 600_000_000
"""Of pictures that are kept at a time, half from the start and half from the end of a gap: 3 s of 1920 x 1080 at 30 Hz."""
_NEAR = 0.7
"""Distance of two trunks, in reaches, at which one may hide the other."""
_MOMENT_S = 0.2
"""Longest time over which a posture stands for another one."""
_BESIDE_S = 0.5
"""Time around a gap from which the feet of two people are compared."""

Pictures = Callable[[int, int], Iterator[tuple[int, RgbImage]]]
"""Reads the pictures of frames ``start`` to ``end`` (exclusive) again."""


def settle(tracks: Sequence[PersonTrack], times_s: FloatArray, pictures: Pictures, networks: PoseNetworks) -> list[PersonTrack]:
    """Decide who is who, and fill and clear the frames in which people meet.

    Args:
        tracks: of the whole clip, as followed frame by frame.
        times_s: (T,) of its frames.
        pictures: reads the clip again; called only if people meet.
        networks: for the landmarks.

    Returns:
        A track for each person.
    """
    meetings = find_meetings(tracks, times_s)
    if not meetings:
        return list(tracks)
    chains = link(cut(tracks, meetings), meetings)
    people = [joined(chain) for chain in chains]
    for group in _grouped(_gaps(chains, meetings, times_s)):
        shown = _kept(pictures, min(gap.start for gap in group), max(gap.end for gap in group))
        seconds = {person: _Second(people[person]) for person in {gap.person for gap in group}}
        for gap in group:
            others = [other.colours for other in group if other.person != gap.person]
            seconds[gap.person].gaps.append(gap)
            seconds[gap.person].read |= look_again(gap, shown, networks, others)
        for first, second in combinations(seconds.values(), 2):
            _clear(first, second, shown, times_s)
        for second in seconds.values():
            second.insert(times_s)
    return people


@dataclass(eq=False)
class _Second:
    """The second look at one person in a group of gaps."""

    track: PersonTrack
    gaps: list[Gap] = field(default_factory=list)
    read: dict[int, Reading] = field(default_factory=dict)

    @property
    def colours(self) -> FloatArray | None:
        """(128,) of the person, or None."""
        return next((colours for gap in self.gaps if (colours := gap.colours) is not None), None)

    def gap_at(self, frame: int) -> Gap | None:
        """The gap that a frame is in."""
        return next((gap for gap in self.gaps if gap.start <= frame < gap.end), None)

    def body_at(self, frame: int, times_s: FloatArray) -> Landmarks | None:
        """The person in a frame: as read, else the posture of a moment before or after, moved along the path; or None."""
        known = dict(zip(self.track.frames, self.track.landmarks, strict=True))
        known |= {f: reading.landmarks for f, reading in self.read.items()}
        nearest = min(known, key=lambda other: abs(other - frame))
        gap = self.gap_at(frame)
        if abs(times_s[frame] - times_s[nearest]) > _MOMENT_S:
            return None
        if nearest == frame or gap is None:
            return known[nearest]
        moved = gap.trunk_px(times_s[frame]) - gap.trunk_px(times_s[nearest])
        return replace(known[nearest], px=known[nearest].px + moved)

    def missing_at(self, other: _Second, shown: Mapping[int, RgbImage]) -> int:
        """Frames in which the other person is read where this one should be, and this one is not read."""
        count = 0
        for frame in shown.keys() & (other.read.keys() - self.read.keys()):
            gap = self.gap_at(frame)
            body = other.read[frame].landmarks
            if gap is not None and gap.foreseen(frame):
                off = np.linalg.norm(trunk_px(body.px) - gap.trunk_px(gap.time_s(frame)))
                count += bool(off < _NEAR * reach_px(body.region))
        return count

    def beside(self) -> dict[int, Landmarks]:
        """What was seen of the person just before and after the gaps."""
        ends = [piece.times_s[at] for g in self.gaps for piece, at in ((g.before, -1), (g.after, 0)) if piece is not None]
        track = self.track
        return {
            frame: landmarks
            for frame, landmarks, time_s in zip(track.frames, track.landmarks, track.times_s, strict=True)
            if min(abs(time_s - end) for end in ends) <= _BESIDE_S
        }

    def insert(self, times_s: FloatArray) -> None:
        """Add the readings to the track, in order."""
        track, read = self.track, self.read
        track.frames += list(read)
        track.times_s += [float(times_s[frame]) for frame in read]
        track.landmarks += [reading.landmarks for reading in read.values()]
        track.looks += [reading.look for reading in read.values()]
        order = np.argsort(track.frames, kind="stable")
        for name in ("frames", "times_s", "landmarks", "looks"):
            setattr(track, name, [getattr(track, name)[k] for k in order])


def _kept(pictures: Pictures, start: int, end: int) -> dict[int, RgbImage]:
    """The pictures from both ends that memory allows."""
    shown: dict[int, RgbImage] = {}
    for frame, rgb in pictures(start, end):
        half = max(_MOST_BYTES // (2 * rgb.nbytes), 1)
        if frame < start + half or frame >= end - half:
            shown[frame] = rgb
    return shown


def _gaps(chains: Sequence[Sequence[PersonTrack]], meetings: Sequence[Meeting], times_s: FloatArray) -> list[Gap]:
    """Frames between the pieces of a person, and those of a meeting at which a person is lost or appears."""
    found = []
    for person, chain in enumerate(chains):
        found += [
            Gap(person, a.frames[-1] + 1, b.frames[0], a, b, times_s)
            for a, b in pairwise(chain)
            if a.frames[-1] + 1 < b.frames[0]
        ]
        first, last = chain[0], chain[-1]
        for meeting in meetings:
            if meeting.start <= last.frames[-1] + 1 < meeting.end:
                found.append(Gap(person, last.frames[-1] + 1, meeting.end, last, None, times_s))
            if meeting.start < first.frames[0] <= meeting.end:
                found.append(Gap(person, meeting.start, first.frames[0], None, first, times_s))
    return [gap for gap in found if gap.start < gap.end]


def _grouped(gaps: Sequence[Gap]) -> list[list[Gap]]:
    """Gaps that overlap in time, or follow one another."""
    groups: list[list[Gap]] = []
    end = -1
    for gap in sorted(gaps, key=lambda g: g.start):
        if gap.start <= end:
            groups[-1].append(gap)
        else:
            groups.append([gap])
        end = max(end, gap.end)
    return groups


def _clear(first: _Second, second: _Second, shown: Mapping[int, RgbImage], times_s: FloatArray) -> None:
    """Of two readings of one body keep one; remove what the person in front hides."""
    for frame in first.read.keys() & second.read.keys():
        if same_person(first.read[frame].landmarks, second.read[frame].landmarks):
            weaker = first if first.read[frame].evidence < second.read[frame].evidence else second
            del weaker.read[frame]
    front, back = (first, second) if _in_front(first, second, shown) == 0 else (second, first)
    for frame, reading in list(back.read.items()):
        body = front.body_at(frame, times_s)
        left = reading.landmarks if body is None else without_hidden(reading.landmarks, body)
        if left is None:
            del back.read[frame]
        else:
            back.read[frame] = replace(reading, landmarks=left)
    back.track.behind |= {f for gap in back.gaps for f in range(gap.start, gap.end) if f in shown and f not in back.read}


def _in_front(first: _Second, second: _Second, shown: Mapping[int, RgbImage]) -> int:
    """Who of two people is in front: 0 or 1."""
    colours = first.colours, second.colours
    votes = []
    for frame in first.read.keys() & second.read.keys():
        a, b = first.read[frame].landmarks, second.read[frame].landmarks
        mine, theirs = front_by_colour(a, b, colours, shown[frame]), front_by_colour(b, a, colours[::-1], shown[frame])
        votes += [vote for vote in (mine, None if theirs is None else -theirs) if vote is not None]
    missing = first.missing_at(second, shown), second.missing_at(first, shown)
    return decide_front(votes, front_by_feet(first.beside(), second.beside()), missing)

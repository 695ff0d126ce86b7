"""Who is who after a meeting: tracks are cut at meetings, and their pieces are joined by path, size and colours.

The whole clip decides: all pieces are joined at once, so that the sum of all costs is smallest.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from hsmr_bio.types import FloatArray

from .appearance import likeness
from .meetings import EXPECTED_S, Meeting, straight_path
from .person_track import PersonTrack, reach_px

_ANCHOR_S = 0.1
"""Time from the start of a track in which it is on its own person, even in a meeting: the detector found that person apart."""
_LONGEST_S = 5.0
"""After a longer time hidden, a person is another one."""
_REFERENCE_S = 1.0
"""Time beside a gap whose colours stand for a person."""
_PATH_SD, _PATH_SD_PER_S, _MOST_PATH_SD = 0.3, 1.0, 2.0
"""Deviation of the straight path from one side of a gap where it reaches the other side, in reaches (chosen on rendered
training subjects)."""
_SIZE_SD, _SIZE_SD_PER_S, _MOST_SIZE_SD = 0.1, 0.1, 0.3
"""Deviation of the logarithm of the size over a gap."""
_COLOUR_SD = 0.08
"""Deviation of the likeness of one person's colours from 1."""
_MOST_COST, _OTHER_TRACK = 20.0, 0.5
"""Squared deviations from which two pieces are two people; cost of leaving the track that was followed frame by frame."""
_NEVER = 1e6


def cut(tracks: Sequence[PersonTrack], meetings: Sequence[Meeting]) -> list[tuple[int, PersonTrack]]:
    """Cut tracks where they meet.

    Args:
        tracks: of the clip.
        meetings: of them.

    Returns:
        (index of the track, piece) in order of time. A track that begins in a meeting keeps its first frames.
    """
    pieces = []
    for index, track in enumerate(tracks):
        frames, times = np.array(track.frames), np.array(track.times_s)
        number = np.zeros(len(frames), dtype=int)
        free = np.ones(len(frames), dtype=np.bool_)
        for meeting in meetings:
            if index in meeting.tracks:
                free &= (frames < meeting.start) | (frames >= meeting.end)
                number += frames >= meeting.end
        start = times <= times[0] + _ANCHOR_S
        if not free[0]:
            number[start], free = -1, free | start
        pieces += [(index, _part(track, np.flatnonzero(free & (number == n)))) for n in np.unique(number[free])]
    return sorted(pieces, key=lambda piece: piece[1].frames[0])


def _part(track: PersonTrack, positions: Sequence[int] | np.ndarray) -> PersonTrack:
    """Some frames of a track."""
    part = PersonTrack(chosen=track.chosen and bool(positions[0] == 0))  # the user's box is of the first frame
    for name in ("times_s", "frames", "landmarks", "looks"):
        setattr(part, name, [getattr(track, name)[k] for k in positions])
    return part


def link(pieces: Sequence[tuple[int, PersonTrack]], meetings: Sequence[Meeting]) -> list[list[PersonTrack]]:
    """Join pieces to people.

    Args:
        pieces: of :func:`cut`.
        meetings: as there.

    Returns:
        The pieces of each person, in order of time.
    """
    count = len(pieces)
    cost = np.full((2 * count, 2 * count), _NEVER)
    cost[:count, count:][np.diag_indices(count)] = _MOST_COST
    cost[count:, :count][np.diag_indices(count)] = 0.0
    cost[count:, count:] = 0.0
    for i, (track, before) in enumerate(pieces):
        for j, (other, after) in enumerate(pieces):
            if before.frames[-1] < after.frames[0] and _may_follow(pieces[i], pieces[j], meetings):
                cost[i, j] = _cost(before, after) + (_OTHER_TRACK if track != other else 0.0)
    follower = dict(zip(*(index.tolist() for index in linear_sum_assignment(cost)), strict=True))
    people: list[list[PersonTrack]] = []
    taken: set[int] = set()
    for first in range(count):
        if first in taken:
            continue
        chain, at = [], first
        while at < count and at not in taken:
            taken.add(at)
            chain.append(pieces[at][1])
            at = follower[at] if cost[at, follower[at]] < _MOST_COST else count
        people.append(chain)
    return people


def _may_follow(before: tuple[int, PersonTrack], after: tuple[int, PersonTrack], meetings: Sequence[Meeting]) -> bool:
    """Whether one of two pieces was in a meeting between them, and not too long ago."""
    start, end = before[1].frames[-1], after[1].frames[0]
    if after[1].times_s[0] - before[1].times_s[-1] > _LONGEST_S:
        return False
    between = [m for m in meetings if m.start <= end and m.end > start]
    return any(before[0] in m.tracks for m in between) and any(after[0] in m.tracks for m in between)


def _cost(before: PersonTrack, after: PersonTrack) -> float:
    """Squared deviations of path, size and colours."""
    gap_s = after.times_s[0] - before.times_s[-1]
    ahead_s = min(gap_s, EXPECTED_S)
    (speed, place), (later_speed, later) = straight_path(before, at_end=True), straight_path(after, at_end=False)
    reach = np.median([reach_px(one.region) for one in before.landmarks[-5:]])
    reach_after = np.median([reach_px(one.region) for one in after.landmarks[:5]])
    ends = np.linalg.norm(place + speed * ahead_s - later), np.linalg.norm(later - later_speed * ahead_s - place)
    missed = float(np.mean(ends)) / max(reach, reach_after)
    path = missed / min(_PATH_SD + _PATH_SD_PER_S * gap_s, _MOST_PATH_SD)
    size = np.log(reach_after / reach) / min(_SIZE_SD + _SIZE_SD_PER_S * gap_s, _MOST_SIZE_SD)
    colour = (1 - likeness(colours_at(before, at_end=True), colours_at(after, at_end=False))) / _COLOUR_SD
    return float(path**2 + size**2 + colour**2)


def colours_at(track: PersonTrack, *, at_end: bool) -> FloatArray | None:
    """Average the colours at an end of a track.

    Args:
        track: with at least one frame.
        at_end: at its last frame; else at its first.

    Returns:
        (128,) mean within a second, or None if they are unknown.
    """
    times = np.array(track.times_s)
    near = np.abs(times - times[-1 if at_end else 0]) <= _REFERENCE_S
    looks = [look for look, counts in zip(track.looks, near, strict=True) if counts and look is not None]
    return np.asarray(np.mean(looks, axis=0)) if looks else None


def joined(pieces: Sequence[PersonTrack]) -> PersonTrack:
    """One track of the pieces of a person; it is the chosen one if its first piece is."""
    whole = PersonTrack(chosen=pieces[0].chosen)
    for name in ("times_s", "frames", "landmarks", "looks"):
        setattr(whole, name, [value for piece in pieces for value in getattr(piece, name)])
    return whole

"""Meetings: the stretches of a clip in which the bodies of two people overlap in the picture.

In them the landmark network may read one person for the other, so nothing that was read there decides who is who. Tracks are
cut there; who goes on as whom is decided by ``meeting_links``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hsmr_bio.filtering import runs
from hsmr_bio.types import BoolArray, FloatArray

from .body_outline import touching
from .person_track import PersonTrack, reach_px, trunk_px

EXPECTED_S = 1.5
"""Time for which a person who is lost, or not found yet, is expected on a straight path: a stride and a half of a walk."""
_PATH_S, _MIN_PATH = 0.3, 3
"""Time, and frames, of a track's end that give its velocity."""
_MARGIN = 0.06
"""Distance between two bodies, in reaches, that counts as touching: the network errs by as much (its median error on rendered
people is 0.05 torso lengths)."""
_PADDING_S = 0.1
"""Before and after the bodies touch: the network's square shows both people earlier."""
_BRIDGE_S = 0.3
"""Shorter times between two meetings belong to them."""


_LONGEST_S = 4.0
"""People who touch for longer are together, not passing: their tracks are left as they were followed."""


@dataclass(frozen=True, eq=False)
class Meeting:
    """Frames ``start`` to ``end`` (exclusive) in which the bodies of some tracks touch."""

    start: int
    end: int
    tracks: tuple[int, ...]
    """Indices of the tracks."""


def straight_path(track: PersonTrack, *, at_end: bool) -> FloatArray:
    """Fit a straight path to an end of a track; a short track rests.

    Args:
        track: with at least one frame.
        at_end: at its last frame; else at its first.

    Returns:
        (2, 2) velocity in px/s, and position in px, of the trunk.
    """
    times, last = np.array(track.times_s), -1 if at_end else 0
    part = np.flatnonzero(np.abs(times - times[last]) <= _PATH_S)
    if len(part) < _MIN_PATH:
        return np.stack([np.zeros(2), trunk_px(track.landmarks[last].px)])
    return np.asarray(np.polyfit(times[part] - times[last], [trunk_px(track.landmarks[k].px) for k in part], 1))


def find_meetings(tracks: Sequence[PersonTrack], times_s: FloatArray) -> list[Meeting]:
    """Find the meetings of a clip.

    Args:
        tracks: all people followed, in any order.
        times_s: (T,) of the frames of the clip.

    Returns:
        In order of time; two that share a track do not overlap.
    """
    if len(tracks) < 2:
        return []
    places = [_places(track, times_s, _others_start(track, tracks)) for track in tracks]
    found: list[Meeting] = []
    for second in range(len(tracks)):
        for first in range(second):
            found += _of_pair(first, second, places, times_s)
    together = _united(sorted(found, key=lambda meeting: meeting.start), times_s)
    return [meeting for meeting in together if times_s[meeting.end - 1] - times_s[meeting.start] <= _LONGEST_S]


def _others_start(track: PersonTrack, tracks: Sequence[PersonTrack]) -> float:
    """Time from which a lost person is expected no more: when somebody new is found."""
    ended = track.times_s[-1]
    return min((other.times_s[0] for other in tracks if other is not track and other.times_s[0] > ended), default=np.inf)


def _places(track: PersonTrack, times_s: FloatArray, until_s: float) -> dict[int, tuple[FloatArray, float]]:
    """Frame -> ((33, 2) landmarks, reach) of a person: as found, between two findings, and on a straight path outside."""
    known = {f: (one.px, reach_px(one.region)) for f, one in zip(track.frames, track.landmarks, strict=True)}
    places = dict(known)
    ahead, back = straight_path(track, at_end=True), straight_path(track, at_end=False)
    for frame in range(track.frames[-1] + 1, len(times_s)):
        passed_s = times_s[frame] - track.times_s[-1]
        if passed_s > EXPECTED_S or times_s[frame] > until_s:
            break
        places[frame] = (track.last.px + ahead[0] * passed_s, reach_px(track.last.region))
    for frame in range(track.frames[0] - 1, -1, -1):
        passed_s = times_s[frame] - track.times_s[0]
        if passed_s < -EXPECTED_S:
            break
        places[frame] = (track.landmarks[0].px + back[0] * passed_s, reach_px(track.landmarks[0].region))
    for before, after in zip(track.frames[:-1], track.frames[1:], strict=True):
        for frame in range(before + 1, after):
            share = (times_s[frame] - times_s[before]) / (times_s[after] - times_s[before])
            (a, size), (b, _) = known[before], known[after]
            places[frame] = ((1 - share) * a + share * b, size)
    return places


def _of_pair(
    first: int, second: int, places: Sequence[dict[int, tuple[FloatArray, float]]], times_s: FloatArray
) -> list[Meeting]:
    touches = np.zeros(len(times_s), dtype=np.bool_)
    for frame in places[first].keys() & places[second].keys():
        (a, size), (b, other) = places[first][frame], places[second][frame]
        touches[frame] = touching(a, b, max(size, other), margin=_MARGIN)
    return [Meeting(start, last + 1, (first, second)) for start, last in runs(_padded(touches, times_s))]


def _padded(touches: BoolArray, times_s: FloatArray) -> BoolArray:
    frames = np.flatnonzero(touches)
    if not len(frames):
        return touches
    made = np.zeros_like(touches)
    groups = np.split(frames, np.flatnonzero(np.diff(times_s[frames]) > _BRIDGE_S) + 1)
    for group in groups:
        low, high = times_s[group[0]] - _PADDING_S, times_s[group[-1]] + _PADDING_S
        made |= (times_s >= low) & (times_s <= high)
    return made


def _united(meetings: list[Meeting], times_s: FloatArray) -> list[Meeting]:
    """Join meetings that share a track and overlap or nearly follow one another."""
    joined: list[Meeting] = []
    for meeting in meetings:
        for index, other in enumerate(joined):
            gap_s = times_s[min(meeting.start, len(times_s) - 1)] - times_s[other.end - 1]
            if gap_s < _BRIDGE_S and set(other.tracks) & set(meeting.tracks):
                both = tuple(sorted({*other.tracks, *meeting.tracks}))
                joined[index] = Meeting(other.start, max(other.end, meeting.end), both)
                break
        else:
            joined.append(meeting)
    return joined

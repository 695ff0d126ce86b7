"""Tracking of people in a video: detection, one track per person, and checks that a track keeps its person.

Distances are relative to the reach, the distance from the hips to the circle around the body.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from hsmr_bio.io.upright import RgbImage

from .identity_swap import IdentitySwap
from .person_geometry import Box, in_picture, overlap, prominence, same_person, same_place
from .person_track import PersonTrack, ReadRegions, best_reading, reach_px
from .pose_networks import Part, PoseNetworks
from .regions import ROI_MARGIN, Landmarks, Region

SURE_SCORE, LEAST_SCORE = 0.7, 0.5
"""Detections of trees and windows reach 0.67 on development clips; people have 0.85 and more in a part of the picture of
their size. The lower one is MediaPipe's default, for single pictures and for clips in which no person is found at first."""
_PATIENCE_S = 1.0
"""Time without any person after which the lower score is used."""
_SEARCH_S, _ALWAYS_SEARCH_S, _SELDOM_SEARCH_S = 0.2, 0.5, 3.0
"""Time between two searches of the whole picture: while a person is missing, normally, and while the one followed person is
alone in the picture."""
_HIDDEN_S = 10.0
"""Time after somebody was lost beside somebody in which the whole picture is searched at least as often as normally."""
_RECENT_S = 1.0
"""Time after a loss in which the search is frequent."""
_TIME_SLACK_S = 1e-6
"""Rounding of time stamps."""
_RETRY_S, _RETRY_SIZE = 0.6, 1.3
"""Time after a loss in which the predicted region is searched, and its enlargement."""
_RIVAL_REACH, _RIVALS = 5.0, 2
"""Other people within this distance are tracked too, at most so many: two tracks that move onto one person show that one
person was lost behind the other."""
_DOUBTFUL_BEFORE_S = 0.15
"""Time before the end of a track on another track's person that is removed from it."""
_MIN_OVERLAP = 0.5
"""Overlap with the user's box from which a person is the wanted one."""
_GRID, _CHANGED_LEVELS, _CHANGED_SHARE = 16, 30, 0.01
"""Every n-th row and column of the picture is compared with that of the last search: grey levels (of 255) that count as a
change, and share of all places, outside the boxes around the followed people, from which somebody may have come in: a person of
a third of the picture's height covers 3 % of it."""
_OWN_MARGIN = 0.2
"""Around a followed person's landmarks, in reaches: clothes, hair and some of the shadow."""
_ELONGATED = 1.2
"""Ratio of the picture's sides from which squares of it are searched too."""


@dataclass(eq=False)
class Tracker:
    """Track up to ``people`` persons, frame after frame.

    Args:
        networks: the detector and the landmark network.
        people: largest number of tracks at a time. One: the largest, most central person is followed.
        box: around the wanted person in the first picture; no other person is followed then.
        still: whether there is only one picture.
    """

    networks: PoseNetworks
    people: int = 1
    box: Box | None = None
    still: bool = False
    tracks: list[PersonTrack] = field(default_factory=list)
    best_score: float = 0.0
    """Highest detector score so far, for the message when no person is found."""
    strangers: list[tuple[int, int]] = field(default_factory=list)
    """Of each search its frame, and the people found in it who are not followed."""
    _searched_s: float = -np.inf
    _first_s: float = np.inf
    _hidden_s: float = -np.inf
    """When somebody was last lost beside somebody."""
    _others_seen: bool = True
    _searched: RgbImage | None = None
    """Every ``_GRID``-th row and column of the picture of the last search."""
    _followed: list[Landmarks] = field(default_factory=list)
    """The followed people in it."""
    _swaps: list[IdentitySwap] = field(default_factory=list)
    """Possible exchanges of identities that are not decided yet."""

    def update(self, frame: int, time_s: float, rgb: RgbImage) -> list[PersonTrack]:
        """Take one picture.

        Args:
            frame: number of the picture, from 0.
            time_s: of the picture.
            rgb: (H, W, 3).

        Returns:
            The tracks that have landmarks in it.
        """
        self._first_s = min(self._first_s, time_s)
        alive = self._alive()

        def read(regions: Sequence[Region]) -> Sequence[Landmarks | None]:
            return self.networks.landmarks(rgb, regions)

        for track, first in zip(alive, read([track.region for track in alive]), strict=True):
            found = track.step(time_s, first, read)
            if found is None or not in_picture(found, rgb.shape):
                track.lost_since_s = time_s
            else:
                track.add(frame, time_s, found, rgb)
        _drop_doubles(alive)
        self._swaps = [swap for swap in self._swaps if swap.open_at(time_s)]
        for track in alive:
            if track.lost_since_s is not None:
                swaps = IdentitySwap.of(track, [other for other in alive if other.lost_since_s is None])
                self._swaps += swaps
                self._hidden_s = time_s if swaps else self._hidden_s
        for track in self.tracks:
            if track.lost_since_s is not None and 0 < time_s - track.lost_since_s < _RETRY_S:
                self._retry(track, frame, time_s, rgb, read)
        if self._search_due(frame, time_s, rgb):
            self._searched_s, self._searched = time_s, rgb[::_GRID, ::_GRID].copy()
            self._search(frame, time_s, rgb)
            self._followed = [track.last for track in self._alive()]
        return self._alive()

    def _alive(self) -> list[PersonTrack]:
        return [track for track in self.tracks if track.lost_since_s is None]

    def _retry(self, track: PersonTrack, frame: int, time_s: float, rgb: RgbImage, read: ReadRegions) -> None:
        """Search for a person lost a moment ago at the predicted position."""
        moved = track.predicted_px(time_s).mean(axis=0) - track.last.px.mean(axis=0)
        last = track.last.region
        (found,) = read([Region(last.center_px + moved, _RETRY_SIZE * last.side_px, 0.0)])
        if (
            found is None
            or not in_picture(found, rgb.shape)
            or not track.fits(found, rgb, time_s)
            or any(same_person(found, other.last) for other in self._alive())
        ):
            return
        (again,) = read([found.region])
        self._resume(track, frame, time_s, again if again is not None and track.fits(again, rgb, time_s) else found, rgb)

    def _resume(self, track: PersonTrack, frame: int, time_s: float, person: Landmarks, rgb: RgbImage) -> None:
        """Continue a lost track; if it was lost behind another person, decide the identities first."""
        swap = next((s for s in self._swaps if s.lost is track), None)
        if swap is None or not swap.exchanged(person, time_s):
            track.add(frame, time_s, person, rgb)
        else:
            followed = swap.survivor.last
            while len(swap.survivor.frames) > 1 and swap.survivor.times_s[-1] > swap.since_s:
                swap.survivor.forget_last()
            swap.survivor.add(frame, time_s, person, rgb)
            track.add(frame, time_s, followed, rgb)
        self._swaps = [s for s in self._swaps if s is not swap]

    def _search_due(self, frame: int, time_s: float, rgb: RgbImage) -> bool:
        if frame == 0 or (self.box is not None and not self.tracks):
            return frame == 0
        alive = self._alive()
        recent = any(track.lost_since_s is not None and time_s - track.lost_since_s < _RECENT_S for track in self.tracks)
        followed = self.people == 1 and self.tracks[:1] == alive[:1] and bool(alive)
        passed_s = time_s - self._searched_s
        interval_s = _ALWAYS_SEARCH_S if alive and not (recent and not followed) else _SEARCH_S
        if self._swaps:  # somebody is lost behind somebody
            interval_s = _SEARCH_S
        elif time_s - self._hidden_s < _HIDDEN_S:
            interval_s = min(interval_s, _ALWAYS_SEARCH_S)
        elif followed and not self._others_seen and not (passed_s >= interval_s - _TIME_SLACK_S and self._changed(rgb)):
            interval_s = _SELDOM_SEARCH_S
        return passed_s >= interval_s - _TIME_SLACK_S

    def _changed(self, rgb: RgbImage) -> bool:
        """Whether the picture has changed since the last search where nobody is followed."""
        if self._searched is None:
            return True
        now = rgb[::_GRID, ::_GRID]
        free = np.ones(now.shape[:2], dtype=np.bool_)
        for landmarks in (*(track.last for track in self._alive()), *self._followed):
            margin = _OWN_MARGIN * reach_px(landmarks.region)
            low, high = ((landmarks.px.min(axis=0) - margin) / _GRID, (landmarks.px.max(axis=0) + margin) / _GRID)
            (x0, y0), (x1, y1) = np.maximum(low, 0).astype(int), np.maximum(high, 0).astype(int)
            free[y0 : y1 + 1, x0 : x1 + 1] = False
        levels = np.abs(now.astype(np.int16) - self._searched).max(axis=2)
        return bool((levels[free] > _CHANGED_LEVELS).sum() > _CHANGED_SHARE * free.size)

    def _search(self, frame: int, time_s: float, rgb: RgbImage) -> None:
        """Search the whole picture: continue lost tracks, then start new ones."""
        known = [track.last for track in self._alive()]
        patient = not self.still and (bool(self.tracks) or time_s - self._first_s < _PATIENCE_S)
        found = self._new_people(rgb, known, SURE_SCORE if patient else LEAST_SCORE)
        lost = [track for track in self.tracks if track.lost_since_s is not None]
        for track in sorted(lost, key=lambda t: -t.times_s[-1]):
            match = next((person for person in found if track.fits(person, rgb, time_s)), None)
            if match is not None:
                self._resume(track, frame, time_s, match, rgb)
                found = [person for person in found if person is not match]
        self._others_seen = bool(found) or len(known) > 1
        if self.box is not None and frame == 0:
            self._start_chosen(frame, time_s, rgb, found)
        else:
            self._start_new(frame, time_s, rgb, found)
        started = sum(track.frames == [frame] for track in self.tracks)
        self.strangers.append((frame, max(len(found) - started, 0)))

    def _start_new(self, frame: int, time_s: float, rgb: RgbImage, found: list[Landmarks]) -> None:
        """Start tracks of the most prominent new people, or of the rivals of the one followed person."""
        alive = self._alive()
        found.sort(key=lambda person: -prominence(person, rgb.shape))
        if self.people == 1 and alive and (self.box or alive[0] is self.tracks[0]):
            found = [person for person in found if any(_near(person, track) for track in alive)]
        room = self.people + (_RIVALS if self.people == 1 and alive else 0) - len(alive)
        chosen = [] if self.box and not alive else found[: max(room, 0)]
        for person in chosen:
            swap = next((s for s in self._swaps if _near(person, s.survivor)), None)
            if swap is None:
                self._start(frame, time_s, rgb, person)
            else:
                self._resume(swap.lost, frame, time_s, person, rgb)
        if self.people == 1 and chosen and not alive:  # the rivals at once: their paths decide when people meet
            self._start_new(frame, time_s, rgb, found[len(chosen) :])

    def _start(self, frame: int, time_s: float, rgb: RgbImage, person: Landmarks, *, chosen: bool = False) -> None:
        track = PersonTrack(chosen=chosen)
        track.add(frame, time_s, person, rgb)
        self.tracks.append(track)

    def _start_chosen(self, frame: int, time_s: float, rgb: RgbImage, found: list[Landmarks]) -> None:
        """Start the track of the person in the user's box, detected or not."""
        box = self.box
        if box is None:
            return
        inside = [(overlap(person, box), person) for person in found]
        share, person = max(inside, key=lambda pair: pair[0], default=(0.0, None))
        if person is None or share < _MIN_OVERLAP:
            x0, y0, x1, y1 = box
            region = Region(np.array([(x0 + x1) / 2, (y0 + y1) / 2]), ROI_MARGIN * max(x1 - x0, y1 - y0), 0.0)
            person = best_reading(lambda regions: self.networks.landmarks(rgb, regions), region)
        if person is not None:
            self._start(frame, time_s, rgb, person, chosen=True)
            self._start_new(
                frame, time_s, rgb, [other for other in found if other is not person and not same_person(other, person)]
            )

    def _new_people(self, rgb: RgbImage, tracked: Iterable[Landmarks], min_score: float) -> list[Landmarks]:
        """People in the picture who are not tracked and have at least ``min_score``, the highest score first."""
        known = list(tracked)
        found: list[Landmarks] = []

        def read(regions: Sequence[Region]) -> Sequence[Landmarks | None]:
            return self.networks.landmarks(rgb, regions)

        for detection in sorted(self.networks.detect(rgb, _squares(rgb)), key=lambda d: -d.score):
            self.best_score = max(self.best_score, detection.score)
            if detection.score < min_score or any(same_place(detection.region, other.region) for other in known):
                continue
            (person,) = read([detection.region])
            if person is None or not in_picture(person, rgb.shape) or any(same_person(person, other) for other in known):
                continue
            person = best_reading(read, person.region) or person
            known.append(person)
            found.append(person)
        return found


def _squares(rgb: RgbImage) -> list[Part]:
    """Overlapping squares of a long picture: the detector sees only 224 x 224 px."""
    height, width = rgb.shape[:2]
    short, long = min(height, width), max(height, width)
    if long < _ELONGATED * short:
        return []
    count = max(2, round(2 * long / short) - 1)
    starts = np.linspace(0, long - short, count).round().astype(int).tolist()
    return [(x, 0, x + short, short) if width > height else (0, x, short, x + short) for x in starts]


def _near(person: Landmarks, track: PersonTrack) -> bool:
    distance = np.linalg.norm(person.region.center_px - track.last.region.center_px)
    return bool(distance < _RIVAL_REACH * reach_px(track.last.region))


def _drop_doubles(alive: list[PersonTrack]) -> None:
    """Of two tracks on one person, end the one that does not continue its own path, without its last frames."""
    for number, second in enumerate(alive):
        for first in alive[:number]:
            if second.lost_since_s is None and first.lost_since_s is None and same_person(second.last, first.last):
                loser = max(second, first, key=lambda track: track.path_deviation())
                loser.lost_since_s = loser.times_s[-1]
                since = loser.times_s[-1] - _DOUBTFUL_BEFORE_S
                while len(loser.frames) > 1 and loser.times_s[-1] > since:
                    loser.forget_last()

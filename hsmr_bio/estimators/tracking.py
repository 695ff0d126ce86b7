"""Who is who in a video: finds people, follows each, and never lets one track change its person."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from hsmr_bio.io.upright import RgbImage
from hsmr_bio.types import FloatArray

from .identity_swap import IdentitySwap
from .person_track import PersonTrack, ReadRegion, best_reading, reach_px
from .pose_graph import Detection, Landmarks, PoseGraph, Region

Box = tuple[float, float, float, float]

SURE_SCORE, LEAST_SCORE = 0.7, 0.5
"""Detections of trees and windows reach 0.67 on development clips; people have 0.85 and more in a cut-out of their size.
The lower one is MediaPipe's default; it is used in single pictures, and when nobody was found for a second."""
_PATIENCE_S = 1.0
_SEARCH_S = 0.2
_LOOK_AGAIN_S = 0.6
_ALWAYS_SEARCH_S = 0.5
_SELDOM_SEARCH_S = 3.0
"""Seconds between looks for other people while the one person who is followed seems to be alone."""
_RIVAL_REACH = 3.0
"""Other people this near (in distances from the hips to the circle around the body) are followed too: two tracks that come
to lie on one person tell that somebody was lost behind somebody else."""
_RIVALS = 2
_SAME_REACH = 0.35
_LEAST_VISIBLE = 0.3
_DOUBTFUL_BEFORE_S = 0.15


@dataclass(eq=False)
class Tracker:
    """Follows up to ``people`` persons; feed it the frames in order.

    Args:
        graph: the networks.
        people: how many tracks may be alive at a time. One: the largest, most central person is followed.
        box: (x0, y0, x1, y1) px around the wanted person in the first picture; nobody else is followed then.
        still: whether there is only one picture.
    """

    graph: PoseGraph
    people: int = 1
    box: Box | None = None
    still: bool = False
    tracks: list[PersonTrack] = field(default_factory=list)
    best_score: float = 0.0
    """Highest detector score so far, for the message when nobody was found."""
    _searched_s: float = -np.inf
    _first_s: float = np.inf
    _crowd: bool = True
    _crossings: list[IdentitySwap] = field(default_factory=list)

    def update(self, frame: int, time_s: float, rgb: RgbImage) -> list[PersonTrack]:
        """Take one picture.

        Returns:
            The tracks that have landmarks in it.
        """
        self._first_s = min(self._first_s, time_s)
        alive = [track for track in self.tracks if track.lost_since_s is None]

        def look(region: Region) -> Landmarks | None:
            return self.graph.landmarks(rgb, region)

        for track in alive:
            found = track.step(time_s, look)
            if found is None or not in_picture(found, rgb.shape):
                track.lost_since_s = time_s
            else:
                track.add(frame, time_s, found, rgb)
        _drop_doubles(alive)
        self._crossings = [crossing for crossing in self._crossings if crossing.open_at(time_s)]
        for track in alive:
            if track.lost_since_s is not None:
                self._crossings += IdentitySwap.of(track, [other for other in alive if other.lost_since_s is None])
        for track in self.tracks:
            if track.lost_since_s is not None and 0 < time_s - track.lost_since_s < _LOOK_AGAIN_S:
                self._look_again(track, frame, time_s, rgb, look)
        if self._search_now(frame, time_s):
            self._searched_s = time_s
            self._search(frame, time_s, rgb)
        return [track for track in self.tracks if track.lost_since_s is None]

    def _look_again(self, track: PersonTrack, frame: int, time_s: float, rgb: RgbImage, look: ReadRegion) -> None:
        """ReadRegion for somebody lost a moment ago where he or she should be by now."""
        moved = track.predicted_px(time_s).mean(axis=0) - track.last.px.mean(axis=0)
        last = track.last.region
        found = look(Region(last.center_px + moved, 1.3 * last.side_px, 0.0))
        others = (other.last for other in self.tracks if other.lost_since_s is None)
        if (
            found is None
            or not in_picture(found, rgb.shape)
            or not track.fits(found, rgb, time_s)
            or any(same_person(found, other) for other in others)
        ):
            return
        again = look(found.region)
        self._found_again(track, frame, time_s, again if again is not None and track.fits(again, rgb, time_s) else found, rgb)

    def _found_again(self, track: PersonTrack, frame: int, time_s: float, person: Landmarks, rgb: RgbImage) -> None:
        """Continue a lost track; if it was lost behind somebody, find out first who of the two is who."""
        crossing = next((c for c in self._crossings if c.lost is track), None)
        if crossing is None or not crossing.exchanged(person, time_s):
            track.add(frame, time_s, person, rgb)
        else:
            followed = crossing.survivor.last
            while len(crossing.survivor.frames) > 1 and crossing.survivor.times_s[-1] > crossing.since_s:
                crossing.survivor.forget_last()
            crossing.survivor.add(frame, time_s, person, rgb)
            track.add(frame, time_s, followed, rgb)
        self._crossings = [c for c in self._crossings if c is not crossing]

    def _search_now(self, frame: int, time_s: float) -> bool:
        if frame == 0 or (self.box is not None and not self.tracks):
            return frame == 0
        alive = [track for track in self.tracks if track.lost_since_s is None]
        fresh = any(track.lost_since_s is not None and time_s - track.lost_since_s < 1.0 for track in self.tracks)
        followed = self.people == 1 and self.tracks[:1] == alive[:1] and bool(alive)
        every = _ALWAYS_SEARCH_S if alive and not (fresh and not followed) else _SEARCH_S
        if followed and not self._crowd:
            every = _SELDOM_SEARCH_S
        return time_s - self._searched_s >= every - 1e-6

    def _search(self, frame: int, time_s: float, rgb: RgbImage) -> None:
        """ReadRegion for lost and new people in the whole picture."""
        taken = [track.last for track in self.tracks if track.lost_since_s is None]
        patient = not self.still and (bool(self.tracks) or time_s - self._first_s < _PATIENCE_S)
        found = self._people_in(rgb, taken, SURE_SCORE if patient else LEAST_SCORE)
        lost = [track for track in self.tracks if track.lost_since_s is not None]
        for track in sorted(lost, key=lambda t: -t.times_s[-1]):
            match = next((person for person in found if track.fits(person, rgb, time_s)), None)
            if match is not None:
                self._found_again(track, frame, time_s, match, rgb)
                found = [person for person in found if person is not match]
        self._crowd = bool(found) or len(taken) > 1
        if self.box is not None and frame == 0:
            self._start_chosen(frame, time_s, rgb, found)
            return
        alive = [track for track in self.tracks if track.lost_since_s is None]
        found.sort(key=lambda person: -prominence(person, rgb.shape))
        if self.people == 1 and alive and (self.box or alive[0] is self.tracks[0]):
            found = [person for person in found if any(_near(person, track) for track in alive)]
        room = self.people + (_RIVALS if self.people == 1 and alive else 0) - len(alive)
        found = [] if self.box and not alive else found[: max(room, 0)]
        for person in found:
            crossing = next((c for c in self._crossings if _near(person, c.survivor)), None)
            if crossing is None:
                self._start(frame, time_s, rgb, person)
            else:
                self._found_again(crossing.lost, frame, time_s, person, rgb)

    def _start(self, frame: int, time_s: float, rgb: RgbImage, person: Landmarks, *, chosen: bool = False) -> None:
        track = PersonTrack(chosen=chosen)
        track.add(frame, time_s, person, rgb)
        self.tracks.append(track)

    def _start_chosen(self, frame: int, time_s: float, rgb: RgbImage, found: list[Landmarks]) -> None:
        box = self.box
        if box is None:
            return
        inside = [(overlap(person, box), person) for person in found]
        share, person = max(inside, key=lambda pair: pair[0], default=(0.0, None))
        if person is None or share < 0.5:
            x0, y0, x1, y1 = box
            region = Region(np.array([(x0 + x1) / 2, (y0 + y1) / 2]), 1.25 * max(x1 - x0, y1 - y0), 0.0)
            person = best_reading(lambda region: self.graph.landmarks(rgb, region), region)
        if person is not None:
            self._start(frame, time_s, rgb, person, chosen=True)

    def _people_in(self, rgb: RgbImage, taken: Iterable[Landmarks], least: float) -> list[Landmarks]:
        """Everybody in the picture who is not ``taken`` and has at least the score ``least``, surest first."""
        known = list(taken)
        found: list[Landmarks] = []
        for detection in sorted(self._detections(rgb), key=lambda d: -d.score):
            self.best_score = max(self.best_score, detection.score)
            if detection.score < least or any(_same_place(detection.region, other.region) for other in known):
                continue
            person = self.graph.landmarks(rgb, detection.region)
            if person is None or not in_picture(person, rgb.shape) or any(same_person(person, other) for other in known):
                continue
            person = best_reading(lambda region: self.graph.landmarks(rgb, region), person.region) or person
            known.append(person)
            found.append(person)
        return found

    def _detections(self, rgb: RgbImage) -> list[Detection]:
        """Detections in the whole picture and in overlapping squares of it: the detector sees only 224 x 224 px."""
        height, width = rgb.shape[:2]
        found = list(self.graph.detect(rgb))
        short, long = min(height, width), max(height, width)
        if long < 1.2 * short:
            return found
        count = max(2, round(2 * long / short) - 1)
        for start in np.linspace(0, long - short, count).round().astype(int):
            x, y = (int(start), 0) if width > height else (0, int(start))
            found += self.graph.detect(np.ascontiguousarray(rgb[y : y + short, x : x + short]), origin_px=(x, y))
        return found


def _same_place(first: Region, second: Region) -> bool:
    near = np.linalg.norm(first.center_px - second.center_px) < _SAME_REACH * reach_px(second)
    return bool(near and 0.6 < first.side_px / second.side_px < 1.67)


def same_person(first: Landmarks, second: Landmarks) -> bool:
    """Whether two sets of landmarks lie on one person."""
    apart = np.median(np.linalg.norm(first.px[11:] - second.px[11:], axis=1))
    crossed = np.linalg.norm(first.px[[11, 12, 23, 24]].mean(axis=0) - second.px[[11, 12, 23, 24]].mean(axis=0))
    smaller = min(reach_px(first.region), reach_px(second.region))
    return bool(apart < 0.25 * smaller or crossed < 0.15 * smaller)


def _near(person: Landmarks, track: PersonTrack) -> bool:
    apart = np.linalg.norm(person.region.center_px - track.last.region.center_px)
    return bool(apart < _RIVAL_REACH * reach_px(track.last.region))


def _drop_doubles(alive: list[PersonTrack]) -> None:
    """Two tracks on one person: the one that does not continue its own path ends, without its last frames."""
    for number, second in enumerate(alive):
        for first in alive[:number]:
            if second.lost_since_s is None and first.lost_since_s is None and same_person(second.last, first.last):
                loser = max(second, first, key=lambda track: track.surprise())
                loser.lost_since_s = loser.times_s[-1]
                since = loser.times_s[-1] - _DOUBTFUL_BEFORE_S
                while len(loser.frames) > 1 and loser.times_s[-1] > since:
                    loser.forget_last()


def in_picture(person: Landmarks, shape: tuple[int, ...]) -> bool:
    """Whether enough of the body is inside the picture and visible: people who have left are imagined for a while."""
    inside = np.all((person.px >= 0) & (person.px <= (shape[1], shape[0])), axis=1) & (person.visibility > 0.3)
    return bool(inside[11:].mean() > _LEAST_VISIBLE)


def prominence(person: Landmarks, shape: tuple[float, ...]) -> float:
    """How likely it is that this person is meant: large, clear and central."""
    height, width = shape[:2]
    off = np.abs(person.region.center_px / (width, height) - 0.5).max()
    return float(reach_px(person.region) * person.visibility[11:].mean() * (1.5 - off))


def overlap(person: Landmarks, box: Box) -> float:
    """Share of the person's visible landmarks inside a box (x0, y0, x1, y1)."""
    x0, y0, x1, y1 = box
    px: FloatArray = person.px[person.visibility > 0.5]
    if len(px) == 0:
        return 0.0
    inside = (px[:, 0] >= x0) & (px[:, 0] <= x1) & (px[:, 1] >= y0) & (px[:, 1] <= y1)
    size = np.ptp(px[:, 1]) / max(y1 - y0, 1.0)
    return float(inside.mean() * min(size, 1 / max(size, 1e-6)))

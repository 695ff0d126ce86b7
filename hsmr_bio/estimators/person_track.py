"""One person followed through a video: prediction, left/right consistency, gates against jumping to someone else.

The landmark network looks at each picture alone. It now and then takes a front for a back (all left and right labels
change places and depth turns over) or returns a muddle. Looking again with a slightly different crop usually gives the
right answer, so a result that contradicts the prediction is challenged by a few other crops of the same picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from hsmr_bio.io.upright import RgbImage
from hsmr_bio.types import FloatArray

from .pose_graph import Landmarks, Region

MIRROR = (0, 4, 5, 6, 1, 2, 3, 8, 7, 10, 9, *(i for left in range(11, 33, 2) for i in (left + 1, left)))
"""Landmark on the other side of the body."""
_BODY = np.arange(33) >= 11
_CROPS: tuple[tuple[float, float | None], ...] = ((1.0, 0.0), (1.0, None), (0.85, 0.0), (1.0, -0.3), (1.2, 0.0), (1.0, 0.3))
"""(size factor, added turn in rad; None: upright): the usual crop, and those that challenge a doubtful result."""
_VOTES = 3
"""Crops that must agree with the prediction before their median is taken for a doubtful picture."""
_BONES = np.array([(11, 23), (12, 24), (23, 25), (25, 27), (24, 26), (26, 28), (11, 13), (13, 15), (12, 14), (14, 16)])
_STRETCH = 1.3
_FORGET = 0.995
_SPARE_PER_FRAME, _SPARE_CROPS = 0.5, 60.0
"""Extra crops that merely doubtful pictures may cost, on average per frame, and saved up at most."""
_LIMBS = ((13, 15, 17, 19, 21), (14, 16, 18, 20, 22), (25, 27, 29, 31), (26, 28, 30, 32))
_STUBBORN_S = 0.4
"""Longest stretch in which the labels are kept against the verdict of most crops: then the person did turn round."""
_GRID = np.stack(np.meshgrid(np.linspace(0.15, 0.85, 6), np.linspace(0.1, 0.9, 8)), axis=-1).reshape(-1, 2)

ReadRegion = Callable[[Region], "Landmarks | None"]


def mirrored(landmarks: Landmarks) -> Landmarks:
    """The other reading of the same picture: left is right, near is far."""
    return replace(
        landmarks,
        px=landmarks.px[list(MIRROR)],
        world_m=landmarks.world_m[list(MIRROR)] * (1.0, 1.0, -1.0),
        visibility=landmarks.visibility[list(MIRROR)],
    )


def reach_px(region: Region) -> float:
    """Distance from the hips to the circle around the body, about 0.55 of the stature."""
    return region.side_px / 2.5


@dataclass(eq=False)
class PersonTrack:
    """The frames of one person so far."""

    times_s: list[float] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)
    landmarks: list[Landmarks] = field(default_factory=list)
    outvoted: set[int] = field(default_factory=set)
    """Positions in the lists above whose labels were kept against most crops."""
    lost_since_s: float | None = None
    look: FloatArray | None = None
    """Colours of trunk and thighs, smoothed over time."""
    longest_px: float = 0.0
    """Longest sum of bones seen lately: bones can look shorter than they are, never longer."""
    chosen: bool = False
    """Whether the user pointed at this person."""
    _spare: float = 30.0

    @property
    def last(self) -> Landmarks:
        """The newest landmarks."""
        return self.landmarks[-1]

    def add(self, frame: int, time_s: float, landmarks: Landmarks, rgb: RgbImage) -> None:
        """Append one frame."""
        self.frames.append(frame)
        self.times_s.append(time_s)
        self.landmarks.append(landmarks)
        self.lost_since_s = None
        self.longest_px = max(_length(landmarks.px), _FORGET * self.longest_px)
        colours = appearance(rgb, landmarks)
        if colours is not None:
            self.look = colours if self.look is None else 0.95 * self.look + 0.05 * colours

    def forget_last(self) -> None:
        """Take back the newest frame."""
        for column in (self.frames, self.times_s, self.landmarks):
            column.pop()
        self.outvoted.discard(len(self.frames))

    def predicted_px(self, time_s: float) -> FloatArray:
        """(33, 2) positions expected at ``time_s``: constant velocity, fading out within 0.2 s."""
        if len(self.landmarks) < 2 or self.frames[-1] - self.frames[-2] > 2:
            return self.last.px
        ahead = time_s - self.times_s[-1]
        step = self.times_s[-1] - self.times_s[-2]
        return self.last.px + (self.last.px - self.landmarks[-2].px) * min(ahead, 0.2) / step

    def surprise(self) -> float:
        """How far the trunk is from where its path of 0.3 to 0.8 s ago leads; infinite for a new track."""
        age = self.times_s[-1] - np.array(self.times_s)
        path = np.flatnonzero((age >= 0.3) & (age <= 0.8))
        if len(path) < 3:
            return np.inf
        times = np.array(self.times_s)[path]
        trunk = np.array([trunk_px(self.landmarks[frame].px) for frame in path])
        line = np.polyfit(times - self.times_s[-1], trunk, 1)
        return float(np.linalg.norm(trunk_px(self.last.px) - line[1]) / reach_px(self.last.region))

    def step(self, time_s: float, look: ReadRegion) -> Landmarks | None:
        """Landmarks of this person at ``time_s``, or None if the person is not there any more.

        Args:
            time_s: of the picture.
            look: runs the landmark network on a region of the picture.
        """
        expected = self.predicted_px(time_s)
        reach, ahead = reach_px(self.last.region), time_s - self.times_s[-1]
        region = self.last.region
        agreeing: list[Landmarks] = []
        contrary: list[Landmarks] = []
        self._spare = min(self._spare + 1.0 + _SPARE_PER_FRAME, _SPARE_CROPS)
        for crop in _CROPS:
            self._spare -= 1.0
            found = look(_crop(region, *crop))
            if found is None or not self._near(found, expected, ahead):
                continue
            if _swapped(found, expected, reach):
                contrary.append(found)
                continue
            if crop == _CROPS[0] and not self._doubtful(found, expected, time_s):
                return found
            agreeing.append(found)
            if len(agreeing) == _VOTES:
                break
        agreeing.sort(key=lambda one: _distance(one, expected))
        if len(contrary) > 2 * len(agreeing):
            return self._outvoted(agreeing, contrary, time_s)
        return _median(agreeing) if agreeing else None

    def _doubtful(self, landmarks: Landmarks, expected: FloatArray, time_s: float) -> bool:
        """Whether the body, or one limb, is further from the prediction than people accelerate."""
        ahead = time_s - self.times_s[-1]
        still_unknown = ahead if len(self.landmarks) < 2 or self.frames[-1] - self.frames[-2] > 2 else 0.0
        severe = 1.0 if self._spare > 0 else 3.0
        limit = severe * (0.03 + min(20 * ahead**2, 0.1) + still_unknown) * reach_px(self.last.region)
        apart = np.linalg.norm(landmarks.px - expected, axis=1)
        limbs = [apart[list(limb)].mean() for limb in _LIMBS if landmarks.visibility[list(limb)].mean() > 0.5]
        return bool(_distance(landmarks, expected) > limit or max(limbs, default=0.0) > 2.5 * limit)

    def _outvoted(self, agreeing: list[Landmarks], contrary: list[Landmarks], time_s: float) -> Landmarks:
        """Most crops say that left and right changed places: not believed for a short while, then believed."""
        start = len(self.frames)
        while start - 1 in self.outvoted:
            start -= 1
        if start < len(self.frames) and time_s - self.times_s[start] > _STUBBORN_S:
            for position in range(start, len(self.frames)):
                self.landmarks[position] = mirrored(self.landmarks[position])
                self.outvoted.remove(position)
            return contrary[0]
        self.outvoted.add(len(self.frames))
        return _median(agreeing) if agreeing else mirrored(contrary[0])

    def _near(self, landmarks: Landmarks, expected: FloatArray, ahead_s: float) -> bool:
        """Whether the trunk is where it can be after ``ahead_s``, and has the size it had."""
        reach = reach_px(self.last.region)
        moved = np.linalg.norm(trunk_px(landmarks.px) - trunk_px(expected))
        size = reach_px(landmarks.region) / reach
        limit = 1.25 + min(2.0 * ahead_s, 0.75)
        if _length(landmarks.px) > _STRETCH * self.longest_px:
            return False
        return bool(moved < (0.2 + min(4.0 * ahead_s, 1.5)) * reach and 1 / limit < size < limit)

    def fits(self, landmarks: Landmarks, rgb: RgbImage, time_s: float) -> bool:
        """Whether somebody found after a gap is this person: within reach, of the same size and colours.

        A gap is rather left open than closed with somebody else. Colours only forbid: two people may be dressed alike.
        """
        gap = time_s - self.times_s[-1]
        reach = reach_px(self.last.region)
        trunk = trunk_px(landmarks.px)
        moved = min(np.linalg.norm(trunk - trunk_px(px)) for px in (self.last.px, self.predicted_px(time_s))) / reach
        size = reach_px(landmarks.region) / reach
        limit = 1.3 + min(gap, 1.0) * 0.4
        if not 1 / limit < size < limit:
            return False
        colours_of_another = 0.45 if gap < 1.0 else 0.75
        alike = likeness(self.look, appearance(rgb, landmarks))
        return bool(moved < 0.3 + min(4.5 * gap, 3.0) and alike > colours_of_another)


def best_reading(look: ReadRegion, region: Region) -> Landmarks | None:
    """Landmarks of a person seen for the first time: several crops vote, the one that agrees best with the others wins."""
    first = look(region)
    if first is None:
        return None
    region = first.region
    crops = [_crop(region, size, turn) for size, turn in _CROPS]
    found = [first, *(landmarks for landmarks in map(look, crops) if landmarks is not None)]
    return min(found, key=lambda one: sum(_distance(one, other.px) for other in found))


def _crop(region: Region, size: float, turn: float | None) -> Region:
    rotation = 0.0 if turn is None else region.rotation_rad + turn
    return Region(region.center_px, region.side_px * size, rotation)


def trunk_px(px: FloatArray) -> FloatArray:
    """(2,) middle of shoulders and hips."""
    return np.asarray(px[[11, 12, 23, 24]].mean(axis=0))


def _length(px: FloatArray) -> float:
    return float(np.linalg.norm(px[_BONES[:, 0]] - px[_BONES[:, 1]], axis=1).sum())


def _distance(landmarks: Landmarks, expected: FloatArray) -> float:
    weights = _BODY * np.maximum(landmarks.visibility, 0.05)
    return float(weights @ np.linalg.norm(landmarks.px - expected, axis=1) / weights.sum())


def _median(votes: list[Landmarks]) -> Landmarks:
    """Median of several readings of one picture, with the region of the first."""
    if len(votes) < 3:
        return votes[0]
    return Landmarks(
        px=np.median([vote.px for vote in votes], axis=0),
        world_m=np.median([vote.world_m for vote in votes], axis=0),
        visibility=np.median([vote.visibility for vote in votes], axis=0),
        region=votes[0].region,
    )


def _swapped(landmarks: Landmarks, expected: FloatArray, reach: float) -> bool:
    """Whether the labels fit clearly better with left and right exchanged."""
    direct, crossed = _distance(landmarks, expected), _distance(mirrored(landmarks), expected)
    return crossed < 0.6 * direct and direct - crossed > 0.05 * reach


def appearance(rgb: RgbImage, landmarks: Landmarks) -> FloatArray | None:
    """(128,) colour histograms of trunk and thighs, each summing to 1; None if they are not in the picture."""
    px = landmarks.px
    trunk = _quad(rgb, px[11], px[12], px[23], px[24])
    wide = (px[24] - px[23]) * 0.25
    thighs = np.concatenate(
        [_quad(rgb, px[h] - wide, px[h] + wide, px[k] - wide, px[k] + wide) for h, k in ((23, 25), (24, 26))]
    )
    if len(trunk) < 12 or len(thighs) < 12:
        return None
    return np.concatenate([_histogram(trunk), _histogram(thighs)])


def _quad(rgb: RgbImage, a: FloatArray, b: FloatArray, c: FloatArray, d: FloatArray) -> RgbImage:
    u, v = _GRID[:, :1], _GRID[:, 1:]
    points = np.round((a * (1 - u) + b * u) * (1 - v) + (c * (1 - u) + d * u) * v).astype(int)
    inside = np.all((points >= 0) & (points < (rgb.shape[1], rgb.shape[0])), axis=1)
    return np.asarray(rgb[points[inside, 1], points[inside, 0]])


def _histogram(colours: RgbImage) -> FloatArray:
    bins = (colours >> 6).astype(int) @ (16, 4, 1)
    return np.asarray(np.bincount(bins, minlength=64) / len(bins))


def likeness(first: FloatArray | None, second: FloatArray | None) -> float:
    """Bhattacharyya coefficient of two appearances in [0, 1]; 0.7 if one is not known."""
    if first is None or second is None:
        return 0.7
    return float(np.sqrt(first * second).sum() / 2)

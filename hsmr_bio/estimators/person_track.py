"""One person followed through a video: prediction, left/right consistency, gates against a change of person.

The landmark network sees each picture alone. Sometimes it confuses front and back (left and right labels are exchanged,
depth is inverted), sometimes its landmarks are wrong altogether. A slightly different crop usually gives the right
result, so a result that contradicts the prediction is compared with a few other crops of the same picture.

Distances are relative to the reach, the distance from the hips to the circle around the body (:func:`reach_px`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from hsmr_bio.io.upright import RgbImage
from hsmr_bio.types import FloatArray

from .appearance import appearance, likeness
from .regions import FIRST_BODY_LANDMARK, HIPS, LANDMARKS, ROI_MARGIN, SHOULDERS, Landmarks, Region

MIRROR = (0, 4, 5, 6, 1, 2, 3, 8, 7, 10, 9, *(i for left in range(11, 33, 2) for i in (left + 1, left)))
"""Landmark on the other side of the body."""
_BODY = np.arange(LANDMARKS) >= FIRST_BODY_LANDMARK
_CROPS: tuple[tuple[float, float | None], ...] = ((1.0, 0.0), (1.0, None), (0.85, 0.0), (1.0, -0.3), (1.2, 0.0), (1.0, 0.3))
"""(size factor, added rotation in rad; None: upright): the usual crop, and those compared with a doubtful result."""
_VOTES = 3
"""Crops that must agree with the prediction; their median is used for a doubtful picture."""
_BONES = np.array([(11, 23), (12, 24), (23, 25), (25, 27), (24, 26), (26, 28), (11, 13), (13, 15), (12, 14), (14, 16)])
"""(upper, lower) landmarks of trunk, thighs, shanks, upper arms and forearms."""
_MAX_STRETCH = 1.3
"""Landmarks whose bones are longer than the longest so far by this factor are wrong."""
_LENGTH_DECAY = 0.995
"""Per frame, of the longest sum of bones: the person may go away from the camera."""
_COLOUR_DECAY = 0.95
"""Per frame, of the smoothed colours."""
_CROPS_PER_FRAME, _CROPS_SAVED, _CROPS_AT_START = 0.5, 60.0, 30.0
"""Extra crops for moderately doubtful pictures: average per frame, largest saved number, number at the start."""
_LIMBS = ((13, 15, 17, 19, 21), (14, 16, 18, 20, 22), (25, 27, 29, 31), (26, 28, 30, 32))
"""Landmarks of each arm and leg."""
_MAX_CONTRADICTED_S = 0.4
"""Longest time for which the labels are kept against most crops; after it, they are exchanged."""
_MAJORITY = 2
"""Ratio of contradicting to agreeing crops from which the contradiction counts."""
_MAX_STEP = 2
"""Frames over which a velocity is computed at most."""
_EXTRAPOLATION_S = 0.2
"""Longest time over which a velocity is extrapolated."""
_PATH_S = (0.3, 0.8)
"""Age of the frames whose straight path predicts where the trunk is now."""
_MIN_PATH = 3
"""Frames that such a path needs."""
_DEVIATION, _DEVIATION_PER_S2, _MAX_ACCELERATED = 0.03, 20.0, 0.1
"""Deviation of the body from its prediction that is normal, in reaches: constant, from acceleration, and the latter's limit."""
_LIMB_DEVIATION, _DEVIATION_OUT_OF_CROPS = 2.5, 3.0
"""Factors on it: for a single limb; for the body when no extra crops are left."""
_VISIBLE = 0.5
"""Visibility from which a limb is judged."""
_SIZE_RATIO, _SIZE_RATIO_PER_S, _MAX_SIZE_RATIO_CHANGE = 1.25, 2.0, 0.75
"""Change of size from frame to frame that is possible: constant, per second, and the latter's limit."""
_MOVE, _MOVE_PER_S, _MAX_MOVE = 0.2, 4.0, 1.5
"""Displacement of the trunk from its prediction that is possible, in reaches: constant, per second, the latter's limit."""
_GAP_SIZE_RATIO, _GAP_SIZE_RATIO_PER_S, _MAX_GAP_S = 1.3, 0.4, 1.0
"""Change of size over a gap that is possible: constant, per second, and the time after which it grows no more."""
_GAP_MOVE, _GAP_MOVE_PER_S, _MAX_GAP_MOVE = 0.3, 4.5, 3.0
"""Displacement of the trunk over a gap that is possible, in reaches: constant, per second, the latter's limit."""
_LIKENESS, _LIKENESS_AFTER_GAP, _LONG_GAP_S = 0.45, 0.75, 1.0
"""Likeness of the colours below which a person is another one: after a short gap, after a long gap; duration of a long gap."""
_SWAP_RATIO, _SWAP_GAIN = 0.6, 0.05
"""Labels are exchanged if that reduces the distance to the prediction to this ratio, and by this much in reaches."""
_MIN_WEIGHT = 0.05
"""Weight of an invisible landmark in a mean distance."""

ReadRegions = Callable[[Sequence[Region]], "Sequence[Landmarks | None]"]
"""Runs the landmark network on regions of the picture."""


def mirrored(landmarks: Landmarks) -> Landmarks:
    """Exchange left and right and invert the depth: the other interpretation of the same picture."""
    return replace(
        landmarks,
        px=landmarks.px[list(MIRROR)],
        world_m=landmarks.world_m[list(MIRROR)] * (1.0, 1.0, -1.0),
        visibility=landmarks.visibility[list(MIRROR)],
    )


def reach_px(region: Region) -> float:
    """Distance from the hips to the circle around the body, about 0.55 of the stature."""
    return region.side_px / (2 * ROI_MARGIN)


@dataclass(eq=False)
class PersonTrack:
    """The frames of one person so far."""

    times_s: list[float] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)
    landmarks: list[Landmarks] = field(default_factory=list)
    looks: list[FloatArray | None] = field(default_factory=list)
    """Colours of each frame, as of :func:`hsmr_bio.estimators.appearance.appearance`."""
    contradicted: set[int] = field(default_factory=set)
    """Positions in the lists above whose labels were kept against most crops."""
    lost_since_s: float | None = None
    colours: FloatArray | None = None
    """Colours of trunk and thighs, smoothed over time."""
    longest_px: float = 0.0
    """Longest recent sum of bones: a projected bone is never longer than the bone itself."""
    chosen: bool = False
    """Whether this is the person in the user's box."""
    behind: set[int] = field(default_factory=set)
    """Frames in which this person is not seen because somebody is in front."""
    _crops_left: float = _CROPS_AT_START

    @property
    def last(self) -> Landmarks:
        """The newest landmarks."""
        return self.landmarks[-1]

    def add(self, frame: int, time_s: float, landmarks: Landmarks, rgb: RgbImage) -> None:
        """Append one frame.

        Args:
            frame: number in the video.
            time_s: of the frame.
            landmarks: of this person.
            rgb: (H, W, 3) the whole picture, for the colours.
        """
        self.frames.append(frame)
        self.times_s.append(time_s)
        self.landmarks.append(landmarks)
        self.lost_since_s = None
        self.longest_px = max(bones_px(landmarks.px), _LENGTH_DECAY * self.longest_px)
        colours = appearance(rgb, landmarks)
        self.looks.append(colours)
        if colours is not None:
            old = self.colours
            self.colours = colours if old is None else _COLOUR_DECAY * old + (1 - _COLOUR_DECAY) * colours

    def forget_last(self) -> None:
        """Remove the newest frame."""
        for column in (self.frames, self.times_s, self.landmarks, self.looks):
            column.pop()
        self.contradicted.discard(len(self.frames))

    def predicted_px(self, time_s: float) -> FloatArray:
        """(33, 2) positions expected at ``time_s``: constant velocity for a short time, then at rest."""
        if not self._has_velocity():
            return self.last.px
        gap_s = time_s - self.times_s[-1]
        step_s = self.times_s[-1] - self.times_s[-2]
        return self.last.px + (self.last.px - self.landmarks[-2].px) * min(gap_s, _EXTRAPOLATION_S) / step_s

    def _has_velocity(self) -> bool:
        return len(self.landmarks) >= 2 and self.frames[-1] - self.frames[-2] <= _MAX_STEP

    def path_deviation(self) -> float:
        """Distance of the trunk from the straight continuation of its earlier path, in reaches; infinite for a new track."""
        age = self.times_s[-1] - np.array(self.times_s)
        path = np.flatnonzero((age >= _PATH_S[0]) & (age <= _PATH_S[1]))
        if len(path) < _MIN_PATH:
            return np.inf
        times = np.array(self.times_s)[path]
        trunk = np.array([trunk_px(self.landmarks[frame].px) for frame in path])
        line = np.polyfit(times - self.times_s[-1], trunk, 1)
        return float(np.linalg.norm(trunk_px(self.last.px) - line[1]) / reach_px(self.last.region))

    @property
    def region(self) -> Region:
        """Where this person is looked for first in the next picture."""
        return _crop(self.last.region, *_CROPS[0])

    def step(self, time_s: float, first: Landmarks | None, read: ReadRegions) -> Landmarks | None:
        """Find this person in the next picture.

        Args:
            time_s: of the picture.
            first: what the landmark network reads in ``region`` of it.
            read: runs the landmark network on other regions of the picture.

        Returns:
            The landmarks, or None if no crop gives landmarks that this person can have.
        """
        expected = self.predicted_px(time_s)
        reach, gap_s = reach_px(self.last.region), time_s - self.times_s[-1]
        agreeing: list[Landmarks] = []
        contrary: list[Landmarks] = []

        def judge(readings: Sequence[Landmarks | None]) -> None:
            for found in readings:
                self._crops_left -= 1.0
                if found is not None and self._possible(found, expected, gap_s):
                    (contrary if _swapped(found, expected, reach) else agreeing).append(found)

        self._crops_left = min(self._crops_left + 1.0 + _CROPS_PER_FRAME, _CROPS_SAVED)
        judge([first])
        if agreeing and not self._doubtful(agreeing[0], expected, gap_s):
            return first
        others = [_crop(self.last.region, *crop) for crop in _CROPS[1:]]
        while others and (wanted := _VOTES - len(agreeing)) > 0:
            judge(read(others[:wanted]))
            del others[:wanted]
        agreeing.sort(key=lambda landmarks: _distance_px(landmarks, expected))
        if len(contrary) > _MAJORITY * len(agreeing):
            return self._decide_sides(agreeing, contrary, time_s)
        return _median(agreeing) if agreeing else None

    def _doubtful(self, landmarks: Landmarks, expected: FloatArray, gap_s: float) -> bool:
        """Whether the body or a limb is further from its prediction than human acceleration explains."""
        unknown = 0.0 if self._has_velocity() else gap_s
        factor = 1.0 if self._crops_left > 0 else _DEVIATION_OUT_OF_CROPS
        normal = _DEVIATION + min(_DEVIATION_PER_S2 * gap_s**2, _MAX_ACCELERATED) + unknown
        limit = factor * normal * reach_px(self.last.region)
        distance = np.linalg.norm(landmarks.px - expected, axis=1)
        limbs = [distance[list(limb)].mean() for limb in _LIMBS if landmarks.visibility[list(limb)].mean() > _VISIBLE]
        return bool(_distance_px(landmarks, expected) > limit or max(limbs, default=0.0) > _LIMB_DEVIATION * limit)

    def _decide_sides(self, agreeing: list[Landmarks], contrary: list[Landmarks], time_s: float) -> Landmarks:
        """Keep left and right against most crops for a short time; after it, exchange them since the first contradiction."""
        start = len(self.frames)
        while start - 1 in self.contradicted:
            start -= 1
        if start < len(self.frames) and time_s - self.times_s[start] > _MAX_CONTRADICTED_S:
            for position in range(start, len(self.frames)):
                self.landmarks[position] = mirrored(self.landmarks[position])
                self.contradicted.remove(position)
            return contrary[0]
        self.contradicted.add(len(self.frames))
        return _median(agreeing) if agreeing else mirrored(contrary[0])

    def _possible(self, landmarks: Landmarks, expected: FloatArray, gap_s: float) -> bool:
        """Whether position and size of the trunk are possible after ``gap_s``, and no bone is too long."""
        reach = reach_px(self.last.region)
        moved = np.linalg.norm(trunk_px(landmarks.px) - trunk_px(expected))
        size = reach_px(landmarks.region) / reach
        limit = _SIZE_RATIO + min(_SIZE_RATIO_PER_S * gap_s, _MAX_SIZE_RATIO_CHANGE)
        if bones_px(landmarks.px) > _MAX_STRETCH * self.longest_px:
            return False
        return bool(moved < (_MOVE + min(_MOVE_PER_S * gap_s, _MAX_MOVE)) * reach and 1 / limit < size < limit)

    def fits(self, landmarks: Landmarks, rgb: RgbImage, time_s: float) -> bool:
        """Decide whether a person found after a gap is this person, from position, size and colours.

        A wrong person is worse than an open gap. Equal colours prove nothing: two people may wear the same.

        Args:
            landmarks: of the found person.
            rgb: (H, W, 3) the whole picture.
            time_s: of the picture.

        Returns:
            True if all three agree.
        """
        gap_s = time_s - self.times_s[-1]
        reach = reach_px(self.last.region)
        trunk = trunk_px(landmarks.px)
        moved = min(np.linalg.norm(trunk - trunk_px(px)) for px in (self.last.px, self.predicted_px(time_s))) / reach
        size = reach_px(landmarks.region) / reach
        limit = _GAP_SIZE_RATIO + min(gap_s, _MAX_GAP_S) * _GAP_SIZE_RATIO_PER_S
        if not 1 / limit < size < limit:
            return False
        least = _LIKENESS if gap_s < _LONG_GAP_S else _LIKENESS_AFTER_GAP
        alike = likeness(self.colours, appearance(rgb, landmarks))
        return bool(moved < _GAP_MOVE + min(_GAP_MOVE_PER_S * gap_s, _MAX_GAP_MOVE) and alike > least)


def best_reading(read: ReadRegions, region: Region) -> Landmarks | None:
    """Find the landmarks of a new person: of several crops, the one that agrees best with the others.

    Args:
        read: runs the landmark network on regions of the picture.
        region: around the person.

    Returns:
        The landmarks, or None if there is no person.
    """
    first = read([region])[0]
    if first is None:
        return None
    crops = [_crop(first.region, size, turn_rad) for size, turn_rad in _CROPS]
    found = [first, *(landmarks for landmarks in read(crops) if landmarks is not None)]
    return min(found, key=lambda landmarks: sum(_distance_px(landmarks, other.px) for other in found))


def _crop(region: Region, size: float, turn_rad: float | None) -> Region:
    rotation = 0.0 if turn_rad is None else region.rotation_rad + turn_rad
    return Region(region.center_px, region.side_px * size, rotation)


def trunk_px(px: FloatArray) -> FloatArray:
    """(2,) middle of shoulders and hips."""
    return np.asarray(px[[*SHOULDERS, *HIPS]].mean(axis=0))


def bones_px(px: FloatArray) -> float:
    """Sum of the bones' lengths."""
    return float(np.linalg.norm(px[_BONES[:, 0]] - px[_BONES[:, 1]], axis=1).sum())


def _distance_px(landmarks: Landmarks, expected: FloatArray) -> float:
    """Mean distance of the body's landmarks from (33, 2) positions, weighted by visibility."""
    weights = _BODY * np.maximum(landmarks.visibility, _MIN_WEIGHT)
    return float(weights @ np.linalg.norm(landmarks.px - expected, axis=1) / weights.sum())


def _median(votes: list[Landmarks]) -> Landmarks:
    """Median of several results for one picture, with the region of the first; of two, the first."""
    if len(votes) < _VOTES:
        return votes[0]
    return Landmarks(
        px=np.median([vote.px for vote in votes], axis=0),
        world_m=np.median([vote.world_m for vote in votes], axis=0),
        visibility=np.median([vote.visibility for vote in votes], axis=0),
        region=votes[0].region,
    )


def _swapped(landmarks: Landmarks, expected: FloatArray, reach: float) -> bool:
    """Whether the labels fit clearly better with left and right exchanged."""
    direct, crossed = _distance_px(landmarks, expected), _distance_px(mirrored(landmarks), expected)
    return crossed < _SWAP_RATIO * direct and direct - crossed > _SWAP_GAIN * reach

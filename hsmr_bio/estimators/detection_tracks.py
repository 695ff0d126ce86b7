"""People of another detector followed through its frames: by the numbers that its file gives, else from place to place.

Sizes and distances are relative to a person's reach, as in ``person_track``: the distance from the hips to the circle around
the body. The limits are the tracker's.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from hsmr_bio.converters.detections import UNKNOWN, Detections
from hsmr_bio.types import FloatArray

_REACH_OVER_HEIGHT = 0.55
"""Reach / height of an upright person's points (``person_track.reach_px``)."""
_MOVE, _MOVE_PER_S, _MOST_MOVE = 0.3, 4.5, 3.0
"""Distance from the expected place at which a person is still the same one, in reaches: at once, per second, at most."""
_SIZE_RATIO = 1.7
"""Largest change of size over a gap: people bend, sit down, and come nearer."""
_VELOCITY_S = 0.2
"""Longest time over which a velocity is extrapolated."""
LONGEST_GAP_S = 1.0
"""A person who is not seen for longer is another one afterwards: without pictures nothing else tells."""
_LEAST_COMMON = 3
"""Points that two detections must share to be compared."""
_IMPOSSIBLE = 1e6
"""Cost of an assignment that is not allowed."""


@dataclass(eq=False)
class Track:
    """Detections of one person, in order."""

    rows: list[int] = field(default_factory=list)
    """Indices of the detections."""


def follow(seen: Detections, time_s: dict[int, float]) -> list[Track]:
    """Regroup detections to people.

    Args:
        seen: at least one.
        time_s: of every frame with a detection.

    Returns:
        A track for each number of a person in the file, or, if it gives none, for each person that could be followed.
    """
    if (seen.person != UNKNOWN).all():
        order = np.argsort(seen.frame, kind="stable")
        return [Track([int(row) for row in order if seen.person[row] == person]) for person in np.unique(seen.person)]
    sizes = reaches_px(seen)
    tracks: list[Track] = []
    alive: list[Track] = []
    for frame in np.unique(seen.frame):
        now_s = time_s[int(frame)]
        alive = [track for track in alive if now_s - time_s[int(seen.frame[track.rows[-1]])] <= LONGEST_GAP_S]
        here = np.flatnonzero(seen.frame == frame)
        cost = np.array([[_cost(seen, sizes, time_s, track, int(row)) for row in here] for track in alive])
        cost = cost.reshape(len(alive), len(here))
        taken = set()
        for person, column in zip(*linear_sum_assignment(cost), strict=True):
            if cost[person, column] < _IMPOSSIBLE:
                alive[person].rows.append(int(here[column]))
                taken.add(column)
        new = [Track([int(row)]) for column, row in enumerate(here) if column not in taken]
        alive += new
        tracks += new
    return tracks


def reaches_px(seen: Detections) -> FloatArray:
    """(D,) reach of each detection: from the middle of its points to the furthest, at least a share of its box's diagonal."""
    px = seen.keypoints_px
    middle = np.nanmean(px, axis=1, keepdims=True)
    furthest = np.nanmax(np.linalg.norm(px - middle, axis=2), axis=1)
    box = np.nanmax(px, axis=1) - np.nanmin(px, axis=1)
    return np.asarray(np.maximum(np.maximum(furthest, _REACH_OVER_HEIGHT * np.hypot(*box.T)), 1.0))


def _cost(seen: Detections, sizes: FloatArray, time_s: dict[int, float], track: Track, row: int) -> float:
    """Mean distance of a detection's points from where the track's points are expected, in reaches."""
    last = track.rows[-1]
    gap_s = time_s[int(seen.frame[row])] - time_s[int(seen.frame[last])]
    ratio = sizes[row] / sizes[last]
    common = np.isfinite(seen.keypoints_px[[row, last]]).all(axis=(0, 2))
    if not 1 / _SIZE_RATIO < ratio < _SIZE_RATIO or common.sum() < _LEAST_COMMON:
        return _IMPOSSIBLE
    expected = seen.keypoints_px[last] + _velocity(seen, time_s, track) * min(gap_s, _VELOCITY_S)
    moved = [
        np.linalg.norm((seen.keypoints_px[row] - place)[common], axis=1).mean() for place in (expected, seen.keypoints_px[last])
    ]
    distance = float(min(moved)) / sizes[last]
    return distance if distance < _MOVE + min(_MOVE_PER_S * gap_s, _MOST_MOVE) else _IMPOSSIBLE


def _velocity(seen: Detections, time_s: dict[int, float], track: Track) -> FloatArray:
    """(2,) px/s of the middle of the track's last two detections; 0 for a new track or after a gap."""
    if len(track.rows) < 2:
        return np.zeros(2)
    before, last = track.rows[-2:]
    step_s = time_s[int(seen.frame[last])] - time_s[int(seen.frame[before])]
    both = np.isfinite(seen.keypoints_px[[before, last]]).all(axis=(0, 2))
    if step_s > _VELOCITY_S or not both.any():
        return np.zeros(2)
    return np.asarray((seen.keypoints_px[last] - seen.keypoints_px[before])[both].mean(axis=0) / step_s)

"""People without identities, followed from frame to frame by their place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from hsmr_bio.types import FloatArray

DEPTH_SHARE = 0.3
"""Weight of the distance along the view: the depth of one image's estimate is several times less certain than the rest."""
STEP_M = 1.0
"""Farthest that a person moves between two frames in which it is seen, the depth weighted (own choice)."""
_LONG_ABSENCE = 30
"""Frames after which somebody who comes back counts as another person: a second of most videos."""


def follow(frames: Sequence[int], places_m: FloatArray) -> list[list[int]]:
    """Join detections to people: in each frame the assignment with the least total distance.

    Args:
        frames: (N,) frame of each detection.
        places_m: (N, 3) of the hips, camera axes.

    Returns:
        Indices of the detections of each person in the order of their frames, longest first.
    """
    weight = np.array([1.0, 1.0, DEPTH_SHARE])
    people: list[list[int]] = []
    for frame in sorted(set(frames)):
        here = [index for index, number in enumerate(frames) if number == frame]
        alive = [person for person in people if frame - frames[person[-1]] <= _LONG_ABSENCE]
        gaps = np.array([[frame - frames[person[-1]] for _ in here] for person in alive]).reshape(len(alive), len(here))
        apart = np.array(
            [[np.linalg.norm((places_m[person[-1]] - places_m[index]) * weight) for index in here] for person in alive]
        ).reshape(len(alive), len(here))
        taken: set[int] = set()
        for row, column in zip(*linear_sum_assignment(np.nan_to_num(apart, nan=1e6)), strict=True):
            if apart[row, column] <= STEP_M * max(1.0, np.sqrt(gaps[row, column])):
                alive[row].append(here[column])
                taken.add(here[column])
        people += [[index] for index in here if index not in taken]
    return sorted(people, key=lambda person: -len(person))

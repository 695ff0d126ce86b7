"""Landmarks of a person against the picture, a box, or another person's landmarks.

Distances are relative to the reach, the distance from the hips to the circle around the body.
"""

from __future__ import annotations

import numpy as np

from hsmr_bio.types import FloatArray

from .person_track import reach_px, trunk_px
from .regions import FIRST_BODY_LANDMARK, Landmarks, Region

Box = tuple[float, float, float, float]
"""(x0, y0, x1, y1) in pixels."""
_SAME_REACH, _SAME_SIZE = 0.35, (0.6, 1.67)
"""Distance of the centres, and ratio of the sizes, of regions around one person."""
_SAME_BODY_REACH, _SAME_TRUNK_REACH = 0.25, 0.15
"""Median distance of the landmarks, or distance of the trunks, of two results for one person."""
_MIN_VISIBLE_SHARE, _MIN_VISIBILITY = 0.3, 0.3
"""Share of the body's landmarks that must be inside the picture with this visibility."""
_BOX_VISIBILITY = 0.5
"""Visibility of the landmarks that count for the overlap with a box."""
_CENTRAL_WEIGHT = 1.5
"""Weight of a person in the centre of the picture; at its edge the weight is 1."""


def same_place(first: Region, second: Region) -> bool:
    """Decide whether two regions are around one person.

    Args:
        first: of one picture.
        second: of the same picture.

    Returns:
        True if centres and sizes agree.
    """
    near = np.linalg.norm(first.center_px - second.center_px) < _SAME_REACH * reach_px(second)
    return bool(near and _SAME_SIZE[0] < first.side_px / second.side_px < _SAME_SIZE[1])


def same_person(first: Landmarks, second: Landmarks) -> bool:
    """Decide whether two sets of landmarks lie on one person.

    Args:
        first: of one picture.
        second: of the same picture.

    Returns:
        True if the bodies or the trunks coincide; the trunks alone if left and right are exchanged.
    """
    bodies = np.median(np.linalg.norm(first.px[FIRST_BODY_LANDMARK:] - second.px[FIRST_BODY_LANDMARK:], axis=1))
    trunks = np.linalg.norm(trunk_px(first.px) - trunk_px(second.px))
    smaller = min(reach_px(first.region), reach_px(second.region))
    return bool(bodies < _SAME_BODY_REACH * smaller or trunks < _SAME_TRUNK_REACH * smaller)


def in_picture(person: Landmarks, shape: tuple[int, ...]) -> bool:
    """Decide whether enough of the body is visible in the picture: the network extrapolates people who have left it.

    Args:
        person: its landmarks.
        shape: (height, width, ...) of the picture.

    Returns:
        True if enough landmarks are inside and visible.
    """
    inside = np.all((person.px >= 0) & (person.px <= (shape[1], shape[0])), axis=1) & (person.visibility > _MIN_VISIBILITY)
    return bool(inside[FIRST_BODY_LANDMARK:].mean() > _MIN_VISIBLE_SHARE)


def prominence(person: Landmarks, shape: tuple[float, ...]) -> float:
    """Weigh a person by size, visibility and centrality, to choose the one that a video is about.

    Args:
        person: its landmarks.
        shape: (height, width, ...) of the picture.

    Returns:
        A weight in pixels.
    """
    height, width = shape[:2]
    eccentricity = np.abs(person.region.center_px / (width, height) - 0.5).max()
    visibility = person.visibility[FIRST_BODY_LANDMARK:].mean()
    return float(reach_px(person.region) * visibility * (_CENTRAL_WEIGHT - eccentricity))


def overlap(person: Landmarks, box: Box) -> float:
    """Measure how well a person fills a box.

    Args:
        person: its landmarks.
        box: in pixels.

    Returns:
        Share of the visible landmarks inside the box, times the ratio of the heights (the smaller over the larger).
    """
    x0, y0, x1, y1 = box
    px: FloatArray = person.px[person.visibility > _BOX_VISIBILITY]
    if len(px) == 0:
        return 0.0
    inside = (px[:, 0] >= x0) & (px[:, 0] <= x1) & (px[:, 1] >= y0) & (px[:, 1] <= y1)
    size = np.ptp(px[:, 1]) / max(y1 - y0, 1.0)
    return float(inside.mean() * (min(size, 1 / size) if size > 0 else 0.0))

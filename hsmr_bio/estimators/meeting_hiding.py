"""Who is in front in a meeting, and which landmarks of the person behind are not seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from hsmr_bio.io.upright import RgbImage
from hsmr_bio.types import BoolArray, FloatArray

from .appearance import likeness, trunk_likeness
from .body_outline import on_body
from .person_track import reach_px
from .regions import FIRST_BODY_LANDMARK, HIPS, SHOULDERS, Landmarks

_MARGIN = 0.02
"""Around the body in front, in reaches."""
_MOST_HIDDEN, _MOST_TRUNK_HIDDEN = 0.65, 3
"""Share of the body's landmarks, and number of the four of the trunk, from which a person behind somebody is not seen."""
_ALIKE = 0.8
"""Likeness of two people's colours from which colours say nothing."""
_CLEARLY = 0.05
"""Mean difference of likenesses from which colours decide who is in front."""
_MISSING = 3
"""Frames by which one person is missing more often than the other, from which that one is behind."""
_FEET_LANDMARKS = slice(27, 33)


def front_by_colour(
    first: Landmarks, second: Landmarks, colours: tuple[FloatArray | None, FloatArray | None], rgb: RgbImage
) -> float | None:
    """Compare the colours where two trunks overlap with those of both people.

    Args:
        first: place of one person.
        second: place of the other.
        colours: (128,) of both.
        rgb: the picture.

    Returns:
        Positive if the first one is in front; None where the trunks do not overlap, or colours are unknown or alike.
    """
    one, other = colours
    if one is None or other is None or likeness(one, other) > _ALIKE:
        return None

    def on_second(px: FloatArray) -> BoolArray:
        return on_body(px, second.px, reach_px(second.region))

    alike = [trunk_likeness(rgb, first, on_second, known) for known in (one, other)]
    return None if alike[0] is None or alike[1] is None else alike[0] - alike[1]


def front_by_feet(first: Mapping[int, Landmarks], second: Mapping[int, Landmarks]) -> float:
    """Compare how far down in the picture the feet of two people are.

    Args:
        first: landmarks of one person by frame.
        second: of the other.

    Returns:
        Difference of the lowest feet in reaches, positive if the first one's are further down: nearer, on one floor.
    """
    lowest = []
    for seen in (first, second):
        feet = [one.px[_FEET_LANDMARKS, 1].max() for one in seen.values()]
        lowest.append(float(np.median(feet)) if feet else np.nan)
    reach = np.mean([reach_px(one.region) for seen in (first, second) for one in seen.values()])
    return float((lowest[0] - lowest[1]) / reach) if np.isfinite(lowest).all() else 0.0


def decide_front(votes: list[float], feet: float, missing: tuple[int, int]) -> int:
    """Decide who of two people is in front: who is never missing, else by colours, else by feet.

    Args:
        votes: of :func:`front_by_colour`, of the first person less those of the second.
        feet: of :func:`front_by_feet`.
        missing: frames in which each is not read where the other one is.

    Returns:
        0 or 1.
    """
    if abs(missing[0] - missing[1]) >= _MISSING:
        return 0 if missing[0] < missing[1] else 1
    if votes and abs(float(np.mean(votes))) > _CLEARLY:
        return 0 if np.mean(votes) > 0 else 1
    return 0 if feet >= 0 else 1


def without_hidden(behind: Landmarks, front: Landmarks) -> Landmarks | None:
    """Remove what another body hides.

    Args:
        behind: of the person behind.
        front: of the person in front, in the same picture.

    Returns:
        The landmarks with visibility 0 where they lie on the body in front; None if hardly anything remains.
    """
    hidden: BoolArray = on_body(behind.px, front.px, reach_px(front.region), margin=_MARGIN)
    if hidden[FIRST_BODY_LANDMARK:].mean() > _MOST_HIDDEN or hidden[[*SHOULDERS, *HIPS]].sum() >= _MOST_TRUNK_HIDDEN:
        return None
    return replace(behind, visibility=np.where(hidden, 0.0, behind.visibility))

"""The orders in which detectors store their points, and how a file's order is recognised.

Source:
    OpenPose's output documentation (BODY_25, BODY_25B, COCO); COCO keypoints (Lin et al. 2014); COCO-WholeBody (Jin et al.
    2020); Halpe-FullBody (Fang et al. 2022).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hsmr_bio.errors import FormatError
from hsmr_bio.types import FloatArray

KEYPOINT_SETS = ("coco17", "coco18", "openpose25", "openpose25b", "halpe26", "coco133")
"""Names for the option ``keypoint_set`` (``--keypoint-set``)."""
_MIDDLE = 0.25
"""A point is the middle of the hips if its distance from there is below this share of the trunk's length (our choice): 0 in
BODY_25; in BODY_25B the point of that number is an elbow."""


@dataclass(frozen=True)
class Layout:
    """One order of points."""

    name: str
    count: int
    """Points of a person in the file."""
    keypoint_set: str
    """The shipped set that the first points are."""

    @property
    def columns(self) -> slice:
        """The points that are used."""
        from hsmr_bio.body.keypoint_table import point_names  # loads PyTorch; the parser of the command line reads this module

        return slice(0, len(point_names(self.keypoint_set)))


LAYOUTS = (
    Layout("coco17", 17, "coco17"),
    Layout("coco18", 18, "coco18"),
    Layout("openpose25", 25, "openpose25"),
    Layout("openpose25b", 25, "openpose25b"),
    Layout("halpe26", 26, "halpe26"),
    Layout("coco133", 133, "coco23"),
)
"""COCO-WholeBody's 133 points are used up to the feet; face and hands are read and left out."""
BY_NAME_SET = "coco23"
"""Set of files that name their points."""


def layout_of(path: Path, people: Sequence[FloatArray], wanted: str | None, *, openpose: bool = False) -> Layout:
    """Determine the order of the points.

    Args:
        path: of the file, for messages.
        people: (K, 3) of each detection.
        wanted: one of ``KEYPOINT_SETS``; None: by the number of points.
        openpose: whether 25 points may be OpenPose's.

    Returns:
        The layout.

    Raises:
        FormatError: detections with different numbers of points; an unknown number; or a number that the wanted layout does not
            have.
    """
    counts = sorted({len(values) for values in people})
    if len(counts) > 1:
        raise FormatError(path, None, f"people with {counts[0]} and with {counts[1]} points: one layout was expected")
    count = counts[0]
    fitting = [layout for layout in LAYOUTS if layout.count == count and (openpose or count != 25)]
    if wanted is not None:
        chosen = next(layout for layout in LAYOUTS if layout.name == wanted)
        if chosen.count != count:
            raise FormatError(path, None, f"{count} points a person, but {wanted} (--keypoint-set) has {chosen.count}")
        return chosen
    if not fitting:
        known = ", ".join(f"{layout.count} ({layout.name})" for layout in LAYOUTS)
        raise FormatError(path, None, f"{count} points a person; known numbers are {known}")
    return fitting[0] if len(fitting) == 1 else _openpose_version(path, np.stack(people))


def _openpose_version(path: Path, people: FloatArray) -> Layout:
    """BODY_25, whose point 8 is the middle of its hips, or BODY_25B, by the people themselves.

    Raises:
        FormatError: nobody shows the points.
    """
    body25, body25b = (layout for layout in LAYOUTS if layout.count == 25)
    px = np.where(people[..., 2:] > 0, people[..., :2], np.nan)
    trunk = np.linalg.norm(px[:, 1] - px[:, 8], axis=1)
    share = np.linalg.norm(px[:, 8] - (px[:, 9] + px[:, 12]) / 2, axis=1) / np.where(trunk > 0, trunk, np.nan)
    if not np.isfinite(share).any():
        raise FormatError(path, None, "25 points: name their order with --keypoint-set openpose25 or openpose25b")
    return body25 if np.nanmedian(share) < _MIDDLE else body25b


_SIDES = {"l": "left", "left": "left", "r": "right", "right": "right"}
_PLACES = {
    "nose": "nose",
    "eye": "eye",
    "ear": "ear",
    "shoulder": "shoulder",
    "elbow": "elbow",
    "wrist": "wrist",
    "hip": "hip",
    "knee": "knee",
    "ankle": "ankle",
    "heel": "heel",
    "bigtoe": "big_toe",
    "toe": "big_toe",
    "footindex": "big_toe",
    "smalltoe": "small_toe",
    "littletoe": "small_toe",
}
"""A point's name without its side, blanks and separators -> ours."""
_TORSO = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")


def columns_by_name(path: Path, names: Sequence[str]) -> tuple[list[int], tuple[str, ...]]:
    """Find the points of ``BY_NAME_SET`` among named ones, whatever their case and separators: ``LeftKnee``, ``knee_L``.

    Args:
        path: of the file, for messages.
        names: of its K points.

    Returns:
        The column of each point of the set, -1 where the file has none; and a note of the names that are not used.

    Raises:
        FormatError: no hips or shoulders, or two columns that mean the same point.
    """
    from hsmr_bio.body.keypoint_table import point_names

    ours = point_names(BY_NAME_SET)
    found: dict[str, int] = {}
    unused = []
    for column, name in enumerate(names):
        known = known_name(name)
        if known is None or known not in ours:
            unused.append(name)
        elif known in found:
            raise FormatError(path, f"point {name!r}", f"{names[found[known]]!r} is the {known.replace('_', ' ')} already")
        else:
            found[known] = column
    if missing := [name for name in _TORSO if name not in found]:
        raise FormatError(
            path,
            None,
            f"no {', '.join(missing)} among the points {', '.join(names[:12])}: both hips and both shoulders are needed. "
            "Name the points left_hip, RShoulder, knee_l ...",
        )
    note = (f"points that are not used: {', '.join(unused)}",) if unused else ()
    return [found.get(name, -1) for name in ours], note


def known_name(name: str) -> str | None:
    """Return our name of a detector's point (``RKnee`` -> ``right_knee``); None for a name without a meaning here."""
    words = re.sub(r"([a-z])([A-Z])", r"\1 \2", name.strip())
    words = re.sub(r"^([LR])([A-Z][a-z])", r"\1 \2", words)
    parts = [part for part in re.split(r"[\s_.\-]+", words.lower()) if part]
    sides = [_SIDES[part] for part in parts if part in _SIDES]
    place = _PLACES.get("".join(part for part in parts if part not in _SIDES))
    if place is None or len(sides) > 1:
        return None
    if place == "nose":
        return None if sides else place
    return f"{sides[0]}_{place}" if sides else None

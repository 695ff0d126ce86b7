"""Augmentation of a training sample: extreme crop, shift, flip, rotation, scale, colour.

Source:
    Xia et al. 2025 (HSMR) and its release; Rockwell and Fouhey 2020 for the extreme crops.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ..hsmr.crops import Image, crop_warp, keypoints_to_patch
from ..hsmr.keypoints import MIRROR
from ..types import FloatArray

SHIFT, SCALE, ROTATION_DEG, COLOUR = 0.02, 0.3, 30.0, 0.2
"""Standard deviations of shift (in sides of the box), scale and rotation, half range of the colour factors (release)."""
_MAX_DEVIATION, _MAX_ROTATION_DEVIATION = 1, 2
"""Limits of the normal distributions, in standard deviations (release)."""
ROTATION_CHANCE, FLIP_CHANCE, CROP_CHANCE = 0.6, 0.5, 0.1
"""Probabilities of a rotation, a flip and an extreme crop (release)."""
MIN_CROP_PX = 4.0
"""Smallest side of an extreme crop (release)."""
_CROP_MARGIN = 1.2
"""Side of an extreme crop / extent of its keypoints, before the part's own factor (release)."""
_MIN_UPPER = 2
"""Points of head and shoulders that show an upper body (release)."""
_SIDES = ((2, 33), (3, 32), (4, 31), (10, 26), (11, 25), (5, 34), (6, 35), (7, 36), (13, 29), (14, 30))
"""Shoulders, elbows, wrists, knees, ankles: index in OpenPose's part and in the extra part of the 44 keypoints."""
_LEGS = ((10, 26), (11, 25), (13, 29), (14, 30))
"""Knees and ankles, as in ``_SIDES``."""
_UPPER = (0, 1, 15, 16, 17, 18, 33, 34, 37, 38, 42, 43)
"""Keypoints of head and shoulders."""


def _ids(text: str) -> tuple[int, ...]:
    """Parse ``"10-11 13 | 0-1"``: OpenPose indices, a bar, extra indices (from 25 on)."""
    indices: list[int] = []
    for shift, part in zip((0, 25), text.split("|"), strict=True):
        for item in part.split():
            first, _, last = item.partition("-")
            indices += range(shift + int(first), shift + int(last or first) + 1)
    return tuple(indices)


CROPS: dict[str, tuple[tuple[int, ...], float]] = {
    "hips": (_ids("10-11 13-14 19-24 | 0-1 4-5"), 1.1),
    "shoulders": (_ids("3-4 6-14 19-24 | 0-7 10-11 14-16"), 1.2),
    "head": (_ids("3-4 6-14 19-24 | 0-11 14-16"), 1.3),
    "torso": (_ids("0 3-4 6-7 10-11 13-24 | 0-1 4-7 10-11 13 17-18"), 1.1),
    "right arm": (_ids("0-1 5-24 | 0-5 9-18"), 1.1),
    "left arm": (_ids("0-4 8-24 | 0-8 12-18"), 1.1),
    "legs": (_ids("0-7 15-18 | 6-13 15-18"), 1.1),
    "right leg": (_ids("0-8 12-21 | 3-18"), 1.1),
    "left leg": (_ids("0-11 15-18 22-24 | 0-2 6-18"), 1.1),
}
"""Part that stays -> keypoints that are removed, and a factor on the side of the new box."""
_FULL_BODY = ("hips", "hips", "shoulders", "head", "torso", "right arm", "left arm", "legs", "right leg", "left leg")
_UPPER_BODY = ("shoulders", "head", "torso", "right arm", "left arm")


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Parameters of one sample's augmentation; the default changes nothing."""

    scale: float = 1.0
    rotation_rad: float = 0.0
    flip: bool = False
    shift: tuple[float, float] = (0.0, 0.0)
    """Of the box's centre, in sides of the box."""
    colour: tuple[float, float, float] = (1.0, 1.0, 1.0)
    crop: str | None = None
    """Name in ``CROPS`` of the part to zoom in to, or None."""


class AugmentedSample(NamedTuple):
    """Input and targets of the network."""

    patch: Image
    """(256, 256, 3) before the colour factors, which ``crops.normalise`` applies."""
    keypoints_2d: FloatArray
    """(44, 3) normalised patch units and confidence."""
    keypoints_3d: FloatArray
    """(44, 4)."""


def draw(rng: np.random.Generator, keypoints_px: FloatArray) -> Augmentation:
    """Draw an augmentation for a person.

    Args:
        rng: random generator.
        keypoints_px: (44, 3) image pixels and confidence; the visible parts decide on extreme crops.

    Returns:
        The parameters.
    """

    def clipped_normal(limit: float) -> float:
        return float(np.clip(rng.standard_normal(), -limit, limit))

    shift = (SHIFT * clipped_normal(_MAX_DEVIATION), SHIFT * clipped_normal(_MAX_DEVIATION))
    scale = 1 + SCALE * clipped_normal(_MAX_DEVIATION)
    rotated = rng.random() < ROTATION_CHANCE
    drawn = Augmentation(
        shift=shift,
        scale=scale,
        rotation_rad=float(np.deg2rad(ROTATION_DEG * clipped_normal(_MAX_ROTATION_DEVIATION))) if rotated else 0.0,
        flip=bool(rng.random() < FLIP_CHANCE),
        colour=(colour(rng), colour(rng), colour(rng)),
    )
    return replace(drawn, crop=draw_crop(rng.random(), keypoints_px)) if rng.random() < CROP_CHANCE else drawn


def colour(rng: np.random.Generator) -> float:
    """Draw the factor of one colour channel."""
    return float(rng.uniform(1 - COLOUR, 1 + COLOUR))


def is_full_body(keypoints: FloatArray) -> bool:
    """Whether all shoulders, elbows, wrists, knees and ankles of (44, 3) keypoints are seen, in either convention."""
    return all(max(keypoints[a, 2], keypoints[b, 2]) > 0 for a, b in _SIDES)


def is_upper_body(keypoints: FloatArray) -> bool:
    """Whether no knee and no ankle of (44, 3) keypoints is seen, but at least two points of head and shoulders are."""
    legs = any(max(keypoints[a, 2], keypoints[b, 2]) > 0 for a, b in _LEGS)
    return not legs and int((keypoints[list(_UPPER), 2] > 0).sum()) >= _MIN_UPPER


def draw_crop(chance: float, keypoints: FloatArray) -> str | None:
    """Choose the part of the body for an extreme crop.

    Args:
        chance: uniform random number in [0, 1).
        keypoints: (44, 3) image pixels and confidence.

    Returns:
        Name in ``CROPS``; None if too little of the person is seen.
    """
    parts = _FULL_BODY if is_full_body(keypoints) else _UPPER_BODY if is_upper_body(keypoints) else ()
    return parts[min(int(chance * len(parts)), len(parts) - 1)] if parts else None


def crop_to(part: str, box_cwh: FloatArray, keypoints: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Reduce the box to a part of the body.

    Args:
        part: name in ``CROPS``.
        box_cwh: (4,) centre, width, height; kept if at most one keypoint of the part is seen.
        keypoints: (44, 3) image pixels and confidence.

    Returns:
        The new box (4,), and the keypoints with those outside the part set to confidence 0.
    """
    removed, margin = CROPS[part]
    kept = np.array(keypoints, dtype=np.float64)
    kept[list(removed), 2] = 0
    if kept[:, 2].sum() <= 1:
        return np.asarray(box_cwh, dtype=np.float64), kept
    seen = kept[kept[:, 2] > 0, :2]
    low, high = seen.min(axis=0), seen.max(axis=0)
    return np.concatenate([(low + high) / 2, (high - low) * _CROP_MARGIN * margin]), kept


def augment(
    image: Image, box_cs_px: FloatArray, keypoints_px: FloatArray, keypoints_3d: FloatArray, change: Augmentation
) -> AugmentedSample:
    """Apply an augmentation.

    Args:
        image: (H, W, 3) 8-bit RGB.
        box_cs_px: (3,) centre and side of the square box.
        keypoints_px: (44, 3) image pixels and confidence.
        keypoints_3d: (44, 4) metres and confidence, camera axes.
        change: the parameters.

    Returns:
        The network's input and targets.
    """
    (x, y, side), points = np.asarray(box_cs_px, dtype=np.float64), np.array(keypoints_px, dtype=np.float64)
    if change.crop is not None:
        box, cropped = crop_to(change.crop, np.array([x, y, side, side]), points)
        if box[2:].max() > MIN_CROP_PX:
            (x, y, side), points = (*box[:2], box[2:].max()), cropped
    x, y = x + change.shift[0] * side, y + change.shift[1] * side
    patch, matrix = crop_warp(image, (x, y), side, scale=change.scale, rotation_rad=change.rotation_rad, flip=change.flip)
    points_3d = np.array(keypoints_3d, dtype=np.float64)
    if change.flip:
        points, points_3d = points[list(MIRROR)], points_3d[list(MIRROR)]
        points[:, 0] = image.shape[1] - points[:, 0] - 1
        points_3d[:, 0] = image.shape[1] - points_3d[:, 0] - 1
    cosine, sine = np.cos(change.rotation_rad), np.sin(change.rotation_rad)
    points_3d[:, :2] = points_3d[:, :2] @ np.array([[cosine, sine], [-sine, cosine]]).T
    return AugmentedSample(patch, keypoints_to_patch(points, matrix), points_3d)

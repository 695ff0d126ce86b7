"""Augmentation of a training sample: extreme crop, shift, flip, rotation, scale, colour.

Source: Xia et al. 2025 (HSMR) and its release; Rockwell and Fouhey 2020 for the extreme crops.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..hsmr.crops import Image, crop_warp, keypoints_to_patch
from ..hsmr.keypoints import MIRROR
from ..types import FloatArray

SHIFT, SCALE, ROTATION_DEG, COLOUR = 0.02, 0.3, 30.0, 0.2
ROTATION_CHANCE, FLIP_CHANCE, CROP_CHANCE = 0.6, 0.5, 0.1
LEAST_CROP_PX = 4.0
_TIGHT = 1.2
_SIDES = ((2, 33), (3, 32), (4, 31), (10, 26), (11, 25), (5, 34), (6, 35), (7, 36), (13, 29), (14, 30))
_LEGS = ((10, 26), (11, 25), (13, 29), (14, 30))
_UPPER = (0, 1, 15, 16, 17, 18, 33, 34, 37, 38, 42, 43)
_SMPL_PAIRS = ((1, 2), (4, 5), (7, 8), (10, 11), (13, 14), (16, 17), (18, 19), (20, 21), (22, 23))


def _ids(text: str) -> tuple[int, ...]:
    """``"10-11 13 | 0-1"``: OpenPose indices, a bar, extra indices."""
    out: list[int] = []
    for shift, part in zip((0, 25), text.split("|"), strict=True):
        for item in part.split():
            first, _, last = item.partition("-")
            out += range(shift + int(first), shift + int(last or first) + 1)
    return tuple(out)


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
"""Part that stays -> keypoints that are removed, and how much wider than 1.2 times the rest the new box is."""
_FULL_BODY = ("hips", "hips", "shoulders", "head", "torso", "right arm", "left arm", "legs", "right leg", "left leg")
_UPPER_BODY = ("shoulders", "head", "torso", "right arm", "left arm")


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How one sample is changed; the default changes nothing."""

    scale: float = 1.0
    rotation_rad: float = 0.0
    flip: bool = False
    shift: tuple[float, float] = (0.0, 0.0)
    """Of the box's centre, in sides of the box."""
    colour: tuple[float, float, float] = (1.0, 1.0, 1.0)
    crop: str | None = None
    """Name in ``CROPS`` of the part to zoom in to, or None."""


class AugmentedSample(NamedTuple):
    """A sample as the network sees it."""

    patch: Image
    """(256, 256, 3) before the colour factors, which ``crops.normalise`` applies."""
    keypoints_2d: FloatArray
    """(44, 3) normalised patch units and confidence."""
    keypoints_3d: FloatArray
    """(44, 4)."""


def draw(rng: np.random.Generator, keypoints_px: FloatArray) -> Augmentation:
    """Draw an augmentation for a person.

    Args:
        rng: source of chance.
        keypoints_px: (44, 3) image pixels and confidence; which parts are visible decides on extreme crops.
    """

    def bell(most: float) -> float:
        return float(np.clip(rng.standard_normal(), -most, most))

    how = Augmentation(
        shift=(SHIFT * bell(1), SHIFT * bell(1)),
        scale=1 + SCALE * bell(1),
        rotation_rad=float(np.deg2rad(ROTATION_DEG * bell(2))) if rng.random() < ROTATION_CHANCE else 0.0,
        flip=bool(rng.random() < FLIP_CHANCE),
        colour=(colour(rng), colour(rng), colour(rng)),
    )
    return replace(how, crop=draw_crop(rng.random(), keypoints_px)) if rng.random() < CROP_CHANCE else how


def colour(rng: np.random.Generator) -> float:
    """Factor of one colour channel."""
    return float(rng.uniform(1 - COLOUR, 1 + COLOUR))


def is_full_body(keypoints: FloatArray) -> bool:
    """Whether all shoulders, elbows, wrists, knees and ankles are seen, in either keypoint convention."""
    return all(max(keypoints[a, 2], keypoints[b, 2]) > 0 for a, b in _SIDES)


def is_upper_body(keypoints: FloatArray) -> bool:
    """Whether no knee and no ankle is seen, but at least two points of head and shoulders are."""
    legs = any(max(keypoints[a, 2], keypoints[b, 2]) > 0 for a, b in _LEGS)
    return not legs and int((keypoints[list(_UPPER), 2] > 0).sum()) >= 2


def draw_crop(chance: float, keypoints: FloatArray) -> str | None:
    """Part to zoom in to, by a uniform number in [0, 1); None if too little of the person is seen."""
    if is_full_body(keypoints):
        return _FULL_BODY[min(int(chance * 10), 9)]
    if is_upper_body(keypoints):
        return _UPPER_BODY[min(int(chance * 5), 4)]
    return None


def crop_to(part: str, box_cwh: FloatArray, keypoints: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Zoom in to a part of the body.

    Args:
        part: name in ``CROPS``.
        box_cwh: (4,) centre, width, height; kept if hardly a keypoint of the part is seen.
        keypoints: (44, 3) image pixels and confidence.

    Returns:
        The new box (4,), and the keypoints with those outside the part set to confidence 0.
    """
    removed, margin = CROPS[part]
    left = np.array(keypoints, dtype=np.float64)
    left[list(removed), 2] = 0
    if left[:, 2].sum() <= 1:
        return np.asarray(box_cwh, dtype=np.float64), left
    seen = left[left[:, 2] > 0, :2]
    low, high = seen.min(axis=0), seen.max(axis=0)
    return np.concatenate([(low + high) / 2, (high - low) * _TIGHT * margin]), left


def augment(
    image: Image, box_cs_px: FloatArray, keypoints_px: FloatArray, keypoints_3d: FloatArray, how: Augmentation
) -> AugmentedSample:
    """Apply an augmentation.

    Args:
        image: (H, W, 3) 8-bit RGB.
        box_cs_px: (3,) centre and side of the square box.
        keypoints_px: (44, 3) image pixels and confidence.
        keypoints_3d: (44, 4) metres and confidence, camera axes.
        how: what to do.
    """
    (x, y, side), points = np.asarray(box_cs_px, dtype=np.float64), np.array(keypoints_px, dtype=np.float64)
    if how.crop is not None:
        box, cropped = crop_to(how.crop, np.array([x, y, side, side]), points)
        if box[2:].max() > LEAST_CROP_PX:
            (x, y, side), points = (*box[:2], box[2:].max()), cropped
    x, y = x + how.shift[0] * side, y + how.shift[1] * side
    patch, matrix = crop_warp(image, (x, y), side, scale=how.scale, rotation_rad=how.rotation_rad, flip=how.flip)
    points_3d = np.array(keypoints_3d, dtype=np.float64)
    if how.flip:
        points, points_3d = points[list(MIRROR)], points_3d[list(MIRROR)]
        points[:, 0] = image.shape[1] - points[:, 0] - 1
        points_3d[:, 0] = image.shape[1] - points_3d[:, 0] - 1
    cosine, sine = np.cos(how.rotation_rad), np.sin(how.rotation_rad)
    points_3d[:, :2] = points_3d[:, :2] @ np.array([[cosine, sine], [-sine, cosine]]).T
    return AugmentedSample(patch, keypoints_to_patch(points, matrix), points_3d)


def mirror_smpl(global_orient: Tensor, body_pose: Tensor) -> tuple[Tensor, Tensor]:
    """Mirror SMPL poses left to right: sides swap, and the y and z of every axis-angle vector change sign.

    Args:
        global_orient: (..., 3).
        body_pose: (..., 69) joints 1 to 23.
    """
    order = list(range(24))
    for a, b in _SMPL_PAIRS:
        order[a], order[b] = b, a
    sign = global_orient.new_tensor([1.0, -1.0, -1.0])
    joints = torch.cat([global_orient, body_pose], dim=-1).unflatten(-1, (24, 3))[..., order, :] * sign
    flat = joints.flatten(-2)
    return flat[..., :3], flat[..., 3:]

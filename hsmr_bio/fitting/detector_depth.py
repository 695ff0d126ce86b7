"""What BlazePose's metric landmarks say about depth: how a bone's slant towards the camera shows in them.

One picture hardly shows depth, and the detector plays safe: it draws thighs, shanks and arms flatter than they are, and leans
shanks back and forearms forward whatever they do. These are properties of the detector, not of the person, and are taken off.

Source:
    1600 renders of the open body (standing, squatting, on one leg, mid-stride; arms hanging or free; all views, three bodies,
    betas ~ N(0, 0.8)), robust regression of the true slant on the detector's: ``tools/detector/measure_depth.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..types import FloatArray

DETECTOR_STATURE_M = 1.65
"""The detector draws everybody about this tall."""


@dataclass(frozen=True)
class SlantModel:
    """True depth difference over a bone = gain x the detector's + bias + bias_facing x facing + noise (person of 1.65 m)."""

    far: str
    near: str
    gain: float
    bias_m: float
    bias_facing_m: float
    sigma_m: float
    caution: float
    """Factor on ``sigma_m`` in a fit, chosen on rendered clips of laboratory motions: the trunk and the feet have better
    evidence (the image, the floor), the arms have none."""

    def pairs(self, names: tuple[str, ...]) -> list[tuple[int, int]]:
        """(far, near) landmarks of this bone, one per side (or the one between the sides)."""
        found = []
        for side, other in (("left", "right"), ("right", "left")):
            pair = f"{side}_{self.far}", f"{other if self.far == self.near else side}_{self.near}"
            if all(name in names for name in pair):
                found.append((names.index(pair[0]), names.index(pair[1])))
        return found[:1] if self.far == self.near else found


SLANTS = (
    SlantModel("hip", "hip", 0.83, 0.0, 0.0, 0.023, 1.2),
    SlantModel("shoulder", "shoulder", 0.92, 0.0, 0.0, 0.041, 2.0),
    SlantModel("shoulder", "hip", 0.86, -0.026, -0.006, 0.068, 2.0),
    SlantModel("knee", "hip", 1.19, 0.0, -0.04, 0.093, 1.2),
    SlantModel("ankle", "knee", 1.05, -0.032, -0.004, 0.071, 1.2),
    SlantModel("foot_index", "heel", 0.18, 0.014, -0.18, 0.035, 5.0),
    SlantModel("elbow", "shoulder", 1.12, 0.011, 0.012, 0.092, 0.4),
    SlantModel("wrist", "elbow", 0.68, 0.022, -0.063, 0.108, 0.4),
    SlantModel("ear", "shoulder", 0.91, -0.017, 0.027, 0.046, 2.0),
)
"""Bones of limbs, trunk and neck, far end first."""


@dataclass(frozen=True, eq=False)
class Slants:
    """The bones of a clip whose depth the detector tells."""

    pairs: Tensor
    """(D, 2) landmarks (far end, near end)."""
    depth_m: Tensor
    """(T, D) expected depth of the far end behind the near one, of a person of 1.65 m; NaN where not seen."""
    sigma_m: Tensor
    """(D,)."""


def slants_of(names: tuple[str, ...], world_m: FloatArray, behind_m: FloatArray) -> Slants:
    """Read the slants from metric landmarks.

    Args:
        names: of the K landmarks.
        world_m: (T, K, 3) metric landmarks in level axes of the camera (z towards it).
        behind_m: (T, K) their depth along the viewing ray.
    """
    facing = facing_camera(names, world_m)
    bones = [(model, pair) for model in SLANTS for pair in model.pairs(names)]
    depth = [m.gain * (behind_m[:, i] - behind_m[:, j]) + m.bias_m + m.bias_facing_m * facing for m, (i, j) in bones]
    sigma = torch.tensor([model.sigma_m * model.caution for model, _ in bones], dtype=torch.float64)
    return Slants(torch.tensor([pair for _, pair in bones]), torch.as_tensor(np.stack(depth, axis=1)), sigma)


def facing_camera(names: tuple[str, ...], world_m: FloatArray) -> FloatArray:
    """(T,) cosine between the front of the trunk and the direction to the camera; 0 where the trunk is not seen."""
    left_shoulder, right_shoulder, left_hip, right_hip = (
        world_m[:, names.index(name)] for name in ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
    )
    up = left_shoulder + right_shoulder - left_hip - right_hip
    front = np.cross(left_shoulder - right_shoulder + left_hip - right_hip, up)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.nan_to_num(front[:, 2] / np.linalg.norm(front, axis=1)))

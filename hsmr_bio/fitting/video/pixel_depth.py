"""Depth of the bones from image points alone, for detectors that give no metric landmarks.

One image shows how long a bone appears, hardly whether its far end is nearer or further than its near end. The posture says
more: knees bend forwards, people lean so that they do not fall. Networks that have seen many postures estimate each bone's
depth from all points, with a standard deviation. They read twelve joints and, where a detector gives them, heels and toes; each
point may be missing.

Source:
    Trained on the open body in everyday postures and on recorded motion, seen from all sides through a pinhole camera:
    ``tools/detector/train_pixel_depth.py``, which also prints the errors. The idea: Martinez et al. 2017, "A simple yet
    effective baseline for 3d human pose estimation".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
import numpy.typing as npt
import torch

from ...types import BoolArray, FloatArray
from .bone_depth import LEAST_CONFIDENCE, LOG_SIGMA_RANGE, Bone, BoneDepths, swapped_pairs

PLACES = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle", "heel", "toe")
NAMES = tuple(f"{side}_{place}" for place in PLACES for side in ("left", "right"))
"""Points that the networks read, in the order of their inputs."""
_TOES = ("big_toe", "foot_index")
"""Names of the toe in the shipped sets, the preferred one first."""
_JOINTS = 2 * PLACES.index("heel")
"""Points before the feet; the size of the person is taken from them."""
HIPS = [NAMES.index("left_hip"), NAMES.index("right_hip")]
NEEDED = tuple(f"{side}_{place}" for side in ("left", "right") for place in ("shoulder", "hip", "knee", "ankle"))
"""Without these a set tells the networks too little."""
SWAP = [index ^ 1 for index in range(len(NAMES))]
"""Index of each point's mirror image."""
_LEAST_SIZE_PX = 1e-6

BONES = (
    Bone("hip", "hip", 1.5),
    Bone("shoulder", "shoulder", 1.5),
    Bone("shoulder", "hip", 1.5),
    Bone("knee", "hip", 1.5),
    Bone("ankle", "knee", 1.5),
    Bone("toe", "heel", 1.5),
    Bone("elbow", "shoulder", 1.5),
    Bone("wrist", "elbow", 1.5),
)
"""Bones of trunk and limbs, far end first; ``caution`` was chosen on projections of laboratory motions."""
PAIRS = [pair for bone in BONES for pair in bone.pairs(NAMES)]
"""(far, near) points of each bone, in the order of the networks' outputs."""


@dataclass(frozen=True, eq=False)
class PixelNetwork:
    """A multilayer perceptron: inputs of :func:`features`, depths and the logarithms of their standard deviations out."""

    layers: tuple[tuple[FloatArray, FloatArray], ...]
    """(weights (in, out), biases (out,)) of each layer."""
    unit_m: float
    """Unit of the depths."""

    def __call__(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(T, D) depths in metres and (T, D) logarithms of their standard deviations, from inputs (T, F)."""
        x = values
        for i, (weights, biases) in enumerate(self.layers):
            x = x @ weights + biases
            if i + 1 < len(self.layers):
                x = x / (1 + np.exp(-x))  # SiLU
        depths = len(PAIRS)
        return x[:, :depths] * self.unit_m, np.clip(x[:, depths:], *LOG_SIGMA_RANGE) + np.log(self.unit_m)


def columns_of(names: tuple[str, ...]) -> list[int]:
    """Column of each network input among a detector's K names; -1 for a point that it does not have."""
    found = []
    for name in NAMES:
        side, _, place = name.partition("_")
        known = [f"{side}_{toe}" for toe in _TOES] if place == "toe" else [name]
        found.append(next((names.index(one) for one in known if one in names), -1))
    return found


def readable(names: tuple[str, ...]) -> bool:
    """Whether a detector with K points of these names gives what the networks need."""
    return all(name in names for name in NEEDED)


def features(px: FloatArray, seen: BoolArray) -> FloatArray:
    """Network input: points relative to the mid-hip over the person's size in the image, and which of them are seen.

    The size is the root mean square distance of the joints from the mid-hip, so that neither size nor camera matters.

    Args:
        px: (T, 16, 2).
        seen: (T, 16); hips must be seen.

    Returns:
        (T, 48); unseen points are 0.
    """
    centred = np.where(seen[..., None], px - px[:, HIPS].mean(axis=1, keepdims=True), 0.0)
    square = np.square(centred[:, :_JOINTS]).sum(axis=(1, 2)) / np.maximum(seen[:, :_JOINTS].sum(axis=1), 1)
    scaled = centred / np.maximum(np.sqrt(square), _LEAST_SIZE_PX)[:, None, None]
    return np.concatenate([scaled.reshape(len(px), -1), seen - 0.5], axis=1)


def read_pixel_depths(names: tuple[str, ...], px: FloatArray, confidence: FloatArray) -> BoneDepths | None:
    """Estimate the depths of all bones along the viewing ray.

    Args:
        names: of the K landmarks, as the shipped sets call them.
        px: (T, K, 2) landmarks in the image; NaN where not seen.
        confidence: (T, K).

    Returns:
        The mean estimate of the networks from the points and from their mirror image, for a person of 1.65 m; NaN in frames
        without hips. None if the set lacks points that the networks need.
    """
    if not readable(names):
        return None
    columns = np.array(columns_of(names))
    points = np.where((columns >= 0)[:, None], px[:, columns], np.nan)
    seen = np.asarray(np.isfinite(points).all(axis=2) & (confidence[:, columns] > LEAST_CONFIDENCE))
    depth, sigma = estimate(np.nan_to_num(points), seen)
    known = [i for i, pair in enumerate(PAIRS) if all(columns[list(pair)] >= 0)]
    far, near = np.array([PAIRS[i] for i in known]).T
    shown = seen[:, far] & seen[:, near] & seen[:, HIPS].all(axis=1)[:, None]
    caution = [bone.caution for bone in BONES for _ in bone.pairs(NAMES)]
    _, correlation = shipped_networks()
    return BoneDepths(
        pairs=torch.as_tensor(np.stack([columns[far], columns[near]], axis=1)),
        depth_m=torch.as_tensor(np.where(shown, depth[:, known], np.nan)),
        sigma_m=torch.as_tensor(sigma[:, known]),
        caution=torch.tensor(caution, dtype=torch.float64)[known],
        correlation=torch.as_tensor(correlation[np.ix_(known, known)]),
    )


def estimate(
    px: FloatArray, seen: BoolArray, networks: tuple[PixelNetwork, ...] | None = None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Average the networks' answers on points and on their mirror image.

    Args:
        px: (T, 16, 2) points in the order of ``NAMES``.
        seen: (T, 16).
        networks: None: the shipped ones.

    Returns:
        (T, D) depths and standard deviations, m, for a person of 1.65 m.
    """
    order, sign = swapped_pairs(PAIRS, SWAP)
    inputs, mirror_inputs = features(px, seen), features(px[:, SWAP] * (-1.0, 1.0), seen[:, SWAP])
    depths, log_sigmas = [], []
    for network in networks or shipped_networks()[0]:
        depth, log_sigma = network(inputs)
        mirror_depth, mirror_log_sigma = network(mirror_inputs)
        depths += [depth, sign * mirror_depth[:, order]]
        log_sigmas += [log_sigma, mirror_log_sigma[:, order]]
    return np.mean(depths, axis=0), np.exp(np.mean(log_sigmas, axis=0))


@cache
def shipped_networks() -> tuple[tuple[PixelNetwork, ...], FloatArray]:
    """The trained networks, and the (D, D) correlation of the errors of their mean."""
    with resources.files("hsmr_bio.fitting.video").joinpath("data/pixel_depth.npz").open("rb") as file:
        stored = {name: array.astype(np.float64) for name, array in np.load(file, allow_pickle=False).items()}
    members, networks = sum(name.startswith("unit_m_") for name in stored), []
    for m in range(members):
        count = sum(name.startswith("weights_") and name.endswith(f"_{m}") for name in stored)
        layers = tuple((stored[f"weights_{i}_{m}"], stored[f"biases_{i}_{m}"]) for i in range(count))
        networks.append(PixelNetwork(layers, float(stored[f"unit_m_{m}"])))
    return tuple(networks), stored["correlation"]

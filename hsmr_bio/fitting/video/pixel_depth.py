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
from scipy.linalg import solveh_banded

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
_USUAL_LOG_SPREAD, _LOG_SPREAD_SD = -1.0, 0.15
"""Mean and standard deviation of the logarithm of spread / length of trunk and leg in everyday postures: units of an input."""
_ENVELOPE_S, _BELOW_WEIGHT, _ENVELOPE_ROUNDS, _RIDGE = 6.0, 0.02, 15, 1e-6
"""Of the envelope of the length: movements that take less time are bridged; weight of a frame below it; iterations; keeps
frames without a length solvable."""
_LEAST_SPAN_S = 1.0
"""Shorter clips, and single pictures, do not show whether the person ever stretches out."""

BONES = (
    Bone("hip", "hip", 1.0),
    Bone("shoulder", "shoulder", 1.0),
    Bone("shoulder", "hip", 1.0),
    Bone("knee", "hip", 1.0),
    Bone("ankle", "knee", 1.0),
    Bone("toe", "heel", 1.0),
    Bone("elbow", "shoulder", 1.0),
    Bone("wrist", "elbow", 1.0),
)
"""Bones of trunk and limbs, far end first. On projections of laboratory motions no other caution than 1 was clearly better."""
PAIRS = [pair for bone in BONES for pair in bone.pairs(NAMES)]
"""(far, near) points of each bone, in the order of the networks' outputs."""
_FAR, _NEAR = [pair[0] for pair in PAIRS], [pair[1] for pair in PAIRS]
CHAIN_M = 1.289
"""Trunk and leg of the open body at 1.65 m."""
BONE_M = np.repeat([0.195, 0.294, 0.508, 0.415, 0.37, 0.23, 0.272, 0.252], [1, 1, 2, 2, 2, 2, 2, 2])
"""(D,) mean lengths of the bones of the open body at 1.65 m, between COCO's landmarks."""


UNIT_M = 0.2
"""Unit of the networks' depths."""


@dataclass(frozen=True, eq=False)
class PixelNetwork:
    """A multilayer perceptron: inputs of :func:`features`, depths and the logarithms of their standard deviations out.

    A depth is ``a + tanh(b) m``, where m is the depth that the bone's foreshortening leaves, up to its sign.
    """

    layers: tuple[tuple[FloatArray, FloatArray], ...]
    """(weights (in, out), biases (out,)) of each layer."""

    def __call__(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(T, D) depths in metres and (T, D) logarithms of their standard deviations, from inputs (T, F)."""
        x = values
        for i, (weights, biases) in enumerate(self.layers):
            x = x @ weights + biases
            if i + 1 < len(self.layers):
                x = x / (1 + np.exp(-x))  # SiLU
        offset, sign, log_sigma = np.split(x, 3, axis=1)
        depth = offset + np.tanh(sign) * values[:, -len(PAIRS) :]
        return depth * UNIT_M, np.clip(log_sigma, *LOG_SIGMA_RANGE) + np.log(UNIT_M)


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


def features(px: FloatArray, seen: BoolArray, chain_px: FloatArray) -> FloatArray:
    """Network input: points relative to the mid-hip over their spread, which of them are seen, and their spread.

    The spread is the root mean square distance of the joints from the mid-hip. It is given relative to the person's size, so
    that neither size nor camera matters, but it is known how much everything is foreshortened.

    Args:
        px: (T, 16, 2).
        seen: (T, 16); hips must be seen.
        chain_px: (T,) length of trunk and leg of this person in the image if they were stretched out; NaN if not known.

    Returns:
        (T, 64); the last columns are the sizes of the depths that the bones' foreshortening leaves, ``sqrt(L^2 - l^2)`` of the
        usual length L and the length l in the image, in units of ``UNIT_M``. What is not seen or known is 0.
    """
    centred = np.where(seen[..., None], px - px[:, HIPS].mean(axis=1, keepdims=True), 0.0)
    square = np.square(centred[:, :_JOINTS]).sum(axis=(1, 2)) / np.maximum(seen[:, :_JOINTS].sum(axis=1), 1)
    spread = np.maximum(np.sqrt(square), _LEAST_SIZE_PX)
    known = np.isfinite(chain_px)
    size = np.where(known, np.log(spread / np.where(known, chain_px, 1.0)) - _USUAL_LOG_SPREAD, 0.0) / _LOG_SPREAD_SD
    scaled = (centred / spread[:, None, None]).reshape(len(px), -1)
    length_m = (
        np.linalg.norm(centred[:, _FAR] - centred[:, _NEAR], axis=2) * (CHAIN_M / np.where(known, chain_px, 1.0))[:, None]
    )
    left = np.sqrt(np.maximum(BONE_M**2 - length_m**2, 0.0)) / UNIT_M
    left = np.where(known[:, None] & seen[:, _FAR] & seen[:, _NEAR], left, 0.0)
    return np.concatenate([scaled, seen - 0.5, np.clip(size, -6, 6)[:, None], known[:, None] - 0.5, left], axis=1)


def stretched_px(time_s: FloatArray, px: FloatArray, seen: BoolArray) -> FloatArray:
    """Estimate the length of trunk and leg in the image if they were stretched out: a smooth upper envelope over time.

    People straighten up now and then, and come nearer or go away slowly. A straight line in the logarithm of the length is
    bent by asymmetric least squares: a shorter length than the envelope's counts little, a longer one fully.

    Args:
        time_s: (T,).
        px: (T, 16, 2).
        seen: (T, 16).

    Returns:
        (T,) px; NaN in clips of less than a second, and if shoulders, hips and a leg are never seen together.

    Source:
        Eilers and Boelens 2005, "Baseline correction with asymmetric least squares smoothing".
    """
    at = {name: np.where(seen[:, [i]], px[:, i], np.nan) for i, name in enumerate(NAMES)}
    trunk = np.linalg.norm(at["left_shoulder"] + at["right_shoulder"] - at["left_hip"] - at["right_hip"], axis=1) / 2
    legs = [
        sum(np.linalg.norm(at[f"{side}_{a}"] - at[f"{side}_{b}"], axis=1) for a, b in (("hip", "knee"), ("knee", "ankle")))
        for side in ("left", "right")
    ]
    length = trunk + np.fmax(*legs)
    known = np.isfinite(length) & (length > 0)
    if not known.any() or time_s[-1] - time_s[0] < _LEAST_SPAN_S:
        return np.full(len(time_s), np.nan)
    log_length, count = np.log(np.where(known, length, 1.0)), len(time_s)
    stiffness = (_ENVELOPE_S / (2 * np.pi * float(np.median(np.diff(time_s))))) ** 4
    band = np.zeros((3, count))
    for row, weight in enumerate((1.0, -2.0, 1.0)):
        for column, other in enumerate((1.0, -2.0, 1.0)):
            if column >= row and count > 2:  # upper band of D^T D of second differences
                band[2 - (column - row), column : count - 2 + column] += stiffness * weight * other
    envelope = np.full(count, log_length[known].max())
    for _ in range(_ENVELOPE_ROUNDS):
        weight = known * np.where(log_length > envelope, 1.0, _BELOW_WEIGHT)
        system = band.copy()
        system[2] += weight + _RIDGE
        envelope = solveh_banded(system, weight * log_length + _RIDGE * envelope)
    return np.asarray(np.exp(envelope))


def read_pixel_depths(names: tuple[str, ...], time_s: FloatArray, px: FloatArray, confidence: FloatArray) -> BoneDepths | None:
    """Estimate the depths of all bones along the viewing ray.

    Args:
        names: of the K landmarks, as the shipped sets call them.
        time_s: (T,).
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
    points = np.nan_to_num(points)
    depth, sigma = estimate(points, seen, stretched_px(time_s, points, seen))
    known = [i for i, pair in enumerate(PAIRS) if all(columns[list(pair)] >= 0)]
    far, near = np.array([PAIRS[i] for i in known]).T
    shown = seen[:, far] & seen[:, near] & np.asarray(seen[:, HIPS].all(axis=1))[:, None]
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
    px: FloatArray, seen: BoolArray, chain_px: FloatArray, networks: tuple[PixelNetwork, ...] | None = None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Average the networks' answers on points and on their mirror image.

    Args:
        px: (T, 16, 2) points in the order of ``NAMES``.
        seen: (T, 16).
        chain_px: (T,) as for :func:`features`.
        networks: None: the shipped ones.

    Returns:
        (T, D) depths and standard deviations, m, for a person of 1.65 m.
    """
    order, sign = swapped_pairs(PAIRS, SWAP)
    inputs, mirror_inputs = features(px, seen, chain_px), features(px[:, SWAP] * (-1.0, 1.0), seen[:, SWAP], chain_px)
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
    members, networks = sum(name.startswith("weights_0_") for name in stored), []
    for m in range(members):
        count = sum(name.startswith("weights_") and name.endswith(f"_{m}") for name in stored)
        layers = tuple((stored[f"weights_{i}_{m}"], stored[f"biases_{i}_{m}"]) for i in range(count))
        networks.append(PixelNetwork(layers))
    return tuple(networks), stored["correlation"]

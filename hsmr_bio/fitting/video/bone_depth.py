"""What BlazePose's landmarks say about depth: how much nearer or farther one end of each bone is than the other.

One picture hardly shows depth, and the detector plays safe: it draws thighs, shanks and arms flatter than they are, and leans
shanks back and forearms forward whatever they do. What it says of the whole body, in the image and in metres, tells more than
its depth of the bone itself: small networks read the depths from all of it, and say how sure each one is.

Source:
    Trained on renders of the open body (standing, squatting, stepping, on one leg; arms in all directions; all views, three
    bodies, betas ~ N(0, 0.8)): ``tools/detector/train_depth.py``, which also prints the errors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from importlib import resources

import numpy as np
import torch
from torch import Tensor

from ...types import FloatArray

DETECTOR_SET = "blazepose33"
"""The keypoint set that the network knows."""
DETECTOR_STATURE_M = 1.65
"""The detector draws everybody about this tall."""
DRAWN_SIGMA_M = 0.1
"""Of the depth over a bone that an unknown detector draws: networks that see one picture err by about so much."""
LEAST_CONFIDENCE = 0.05
"""Landmarks below it are not seen, or jump."""
BRIDGE_S = 0.2
"""Longest time between sure frames across which a landmark is drawn."""
_HEAD = ("nose", "mouth", "eye", "ear")
"""Landmarks that the networks are not told: heads turn as they like, and faces of published videos are blurred."""
LOG_SIGMA_RANGE = (-4.0, 2.0)
"""Of the answers' deviations, in their units."""


@dataclass(frozen=True)
class Bone:
    """Two landmarks whose difference in depth is read."""

    far: str
    near: str
    caution: float
    """Factor on the network's standard deviation in a fit, chosen on rendered clips of laboratory motions with four real clips
    in view: the trunk and the feet have better evidence (the image, the floor), the arms have none."""

    def pairs(self, names: tuple[str, ...]) -> list[tuple[int, int]]:
        """(far, near) landmarks of this bone, one per side (or the one between the sides)."""
        found = []
        for side, other in (("left", "right"), ("right", "left")):
            pair = f"{side}_{self.far}", f"{other if self.far == self.near else side}_{self.near}"
            if all(name in names for name in pair):
                found.append((names.index(pair[0]), names.index(pair[1])))
        return found[:1] if self.far == self.near else found


BONES = (
    Bone("hip", "hip", 1.2),
    Bone("shoulder", "shoulder", 2.0),
    Bone("shoulder", "hip", 5.0),
    Bone("knee", "hip", 0.4),
    Bone("ankle", "knee", 0.4),
    Bone("foot_index", "heel", 5.0),
    Bone("elbow", "shoulder", 0.3),
    Bone("wrist", "elbow", 0.5),
)
"""Bones of limbs and trunk, far end first."""


@dataclass(frozen=True, eq=False)
class BoneDepths:
    """The bones of a clip whose depth the detector tells."""

    pairs: Tensor
    """(D, 2) landmarks (far end, near end)."""
    depth_m: Tensor
    """(T, D) expected depth of the far end behind the near one, of a person of 1.65 m; NaN where not seen."""
    sigma_m: Tensor
    """(T, D)."""
    caution: Tensor
    """(D,) factor on the deviations in a fit."""
    correlation: Tensor
    """(D, D) of the errors: who is taken to lean too far has both thighs wrong."""

    def at(self, frames: slice | FloatArray) -> BoneDepths:
        """Some of the frames."""
        return replace(self, depth_m=self.depth_m[frames], sigma_m=self.sigma_m[frames])


def bone_pairs(names: tuple[str, ...]) -> list[tuple[Bone, tuple[int, int]]]:
    """All bones and their landmarks, in the order of the network's answers."""
    return [(bone, pair) for bone in BONES for pair in bone.pairs(names)]


def read_bone_depths(names: tuple[str, ...], px: FloatArray, world_m: FloatArray) -> BoneDepths:
    """Read the depths of all bones.

    Args:
        names: of the K landmarks, BlazePose's.
        px: (T, K, 2) landmarks in the image.
        world_m: (T, K, 3) metric landmarks in the detector's axes (x right, y down, z away along the viewing ray).

    Returns:
        BoneDepths along the viewing ray; the mean of what several networks read from the landmarks and from their mirror image.
    """
    bones, swap = bone_pairs(names), mirrored(names)
    told, other = features(names, px, world_m), features(names, *mirror_image(swap, px, world_m))
    places = [pair for _, pair in bones]
    order, sign = swapped_pairs(places, swap)
    depths, log_sigmas = [], []
    networks, correlation = shipped_networks()
    for network in networks:
        for (depth, log_sigma), columns, way in ((network(told), slice(None), 1.0), (network(other), order, sign)):
            depths.append(way * depth[:, columns])
            log_sigmas.append(log_sigma[:, columns])
    depth, sigma = np.mean(depths, axis=0), np.exp(np.mean(log_sigmas, axis=0))
    caution = torch.tensor([bone.caution for bone, _ in bones], dtype=torch.float64)
    return BoneDepths(
        torch.tensor(places), torch.as_tensor(depth), torch.as_tensor(sigma), caution, torch.as_tensor(correlation)
    )


def bridged(time_s: FloatArray, px: FloatArray, world_m: FloatArray, confidence: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Landmarks (T, K, ...) with those that hardly count for a moment drawn from the frames around.

    One misplaced hand would change what the networks read of all bones.
    """
    px, world_m = px.copy(), world_m.copy()
    sure = (confidence > LEAST_CONFIDENCE) & np.isfinite(px).all(axis=-1) & np.isfinite(world_m).all(axis=-1)
    frames = np.arange(len(time_s))[:, None]
    before = np.maximum.accumulate(np.where(sure, frames, -1), axis=0)
    after = np.minimum.accumulate(np.where(sure, frames, len(time_s))[::-1], axis=0)[::-1]
    inside = (before >= 0) & (after < len(time_s)) & ~sure
    first, last = np.where(inside, before, 0), np.where(inside, after, 0)
    inside &= time_s[last] - time_s[first] < BRIDGE_S
    t, k = np.nonzero(inside)
    first, last = first[t, k], last[t, k]
    share = (time_s[t] - time_s[first]) / (time_s[last] - time_s[first])
    for array in (px, world_m):
        array[t, k] = array[first, k] + share[:, None] * (array[last, k] - array[first, k])
    return px, world_m


def drawn_bone_depths(names: tuple[str, ...], behind_m: FloatArray) -> BoneDepths:
    """BoneDepths as another detector draws them, hardly believed.

    Args:
        names: of the K landmarks.
        behind_m: (T, K) their depth along the viewing ray.
    """
    places = [pair for _, pair in bone_pairs(names)]
    far, near = [pair[0] for pair in places], [pair[1] for pair in places]
    depth = torch.as_tensor(behind_m[:, far] - behind_m[:, near])
    pairs, sigma = torch.tensor(places, dtype=torch.long).reshape(-1, 2), torch.full_like(depth, DRAWN_SIGMA_M)
    apart = torch.eye(len(places), dtype=torch.float64)
    return BoneDepths(pairs, depth, sigma, apart.diagonal(), apart)


def mirrored(names: tuple[str, ...]) -> list[int]:
    """For each landmark the one on the other side (itself in the middle)."""
    other = {"left": "right", "right": "left"}
    return [names.index("_".join(other.get(part, part) for part in name.split("_"))) for name in names]


def mirror_image(swap: list[int], px: FloatArray, world_m: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Landmarks (..., K, 2) and (..., K, 3) as a mirror shows them, about x = 0; ``swap`` from :func:`mirrored`."""
    return px[..., swap, :] * (-1, 1), world_m[..., swap, :] * (-1, 1, 1)


def swapped_pairs(pairs: list[tuple[int, int]], swap: list[int]) -> tuple[list[int], FloatArray]:
    """For each bone its mirror image among the bones, and -1 where that runs the other way (hips, shoulders)."""
    order, sign = [], []
    for far, near in pairs:
        image = swap[far], swap[near]
        order.append(pairs.index(image) if image in pairs else pairs.index(image[::-1]))
        sign.append(1.0 if image in pairs else -1.0)
    return order, np.array(sign)


def features(names: tuple[str, ...], px: FloatArray, world_m: FloatArray) -> FloatArray:
    """(T, F) what the networks are told: landmarks below the head, in the image and in metres, about the hips.

    The image is measured in the metres of the detector's own drawing, so that neither size nor camera matters.
    """
    hips = [names.index("left_hip"), names.index("right_hip")]
    told = [i for i, name in enumerate(names) if not any(part in name for part in _HEAD)]
    image = px[:, told] - px[:, hips].mean(axis=1, keepdims=True)
    drawn = world_m[:, told] - world_m[:, hips].mean(axis=1, keepdims=True)
    flat = drawn[..., :2]
    scale = (image * flat).sum(axis=(1, 2)) / np.maximum((flat**2).sum(axis=(1, 2)), 1e-9)
    with np.errstate(divide="ignore", invalid="ignore"):
        image = image / scale[:, None, None]
    return np.concatenate([image.reshape(len(px), -1), drawn.reshape(len(px), -1)], axis=1)


@dataclass(frozen=True, eq=False)
class Network:
    """A perceptron: standardised features in, depths and the logarithms of their standard deviations out."""

    mean: FloatArray
    spread: FloatArray
    layers: tuple[tuple[FloatArray, FloatArray], ...]
    """(weights (in, out), biases (out,)) of each layer."""
    unit_m: FloatArray
    """(D,) metres that the answers are measured in."""

    def __call__(self, told: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(T, D) depths in metres and (T, D) logarithms of their standard deviations; NaN where anything told is NaN."""
        x = (told - self.mean) / self.spread
        for i, (weights, biases) in enumerate(self.layers):
            x = x @ weights + biases
            if i + 1 < len(self.layers):
                x = x / (1 + np.exp(-x))  # SiLU
        answers = len(self.unit_m)
        log_sigma = np.clip(x[:, answers:], *LOG_SIGMA_RANGE) + np.log(self.unit_m)
        return x[:, :answers] * self.unit_m, log_sigma


@cache
def shipped_networks() -> tuple[tuple[Network, ...], FloatArray]:
    """The trained ones, whose answers are averaged, and the (D, D) correlation of their errors."""
    with resources.files("hsmr_bio.fitting.video").joinpath("data/bone_depth.npz").open("rb") as file:
        stored = {name: array.astype(np.float64) for name, array in np.load(file, allow_pickle=False).items()}
    members, networks = sum(name.startswith("mean_") for name in stored), []
    for m in range(members):
        count = sum(name.startswith("weights_") and name.endswith(f"_{m}") for name in stored)
        layers = tuple((stored[f"weights_{i}_{m}"], stored[f"biases_{i}_{m}"]) for i in range(count))
        networks.append(Network(stored[f"mean_{m}"], stored[f"spread_{m}"], layers, stored[f"unit_m_{m}"]))
    return tuple(networks), stored["correlation"]

"""Depth of the bones from BlazePose's landmarks: how far one end of each bone lies behind the other.

One image hardly shows depth. The detector's metric landmarks understate the depth of thighs, shanks and arms, and bias it:
shanks tilt backwards and forearms forwards in every posture. All landmarks together, in the image and in metres, say more about
a bone's depth than the detector's own value. Small networks estimate it from them, with a standard deviation.

Source:
    Trained on renders of the open body (standing, squatting, stepping, on one leg; arms in all directions; all views, three
    bodies, betas ~ N(0, 0.8)): ``tools/detector/train_depth.py``, which also prints the errors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from importlib import resources

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...types import FloatArray

DETECTOR_SET = "blazepose33"
"""The keypoint set that the networks read."""
DETECTOR_STATURE_M = 1.65
"""The detector's metric landmarks are those of a person of about this stature, whatever the person's own."""
DRAWN_SIGMA_M = 0.1
"""Standard deviation of the depth over a bone from an unknown detector: networks that see one image err by about so much."""
LEAST_CONFIDENCE = 0.05
"""Landmarks with a lower confidence are not seen, or jump."""
BRIDGE_S = 0.2
"""Longest time between confident frames across which a landmark is interpolated."""
_HEAD = ("nose", "mouth", "eye", "ear")
"""Landmarks that are no network input: the head moves independently, and faces of published videos are blurred."""
LOG_SIGMA_RANGE = (-4.0, 2.0)
"""Range of the logarithms of the networks' standard deviations, in their units."""
_LEAST_SQUARE_M2 = 1e-9
"""Lower bound of the summed squares of the landmarks, which the scale of the image is divided by."""


@dataclass(frozen=True)
class Bone:
    """Two landmarks whose difference in depth is estimated."""

    far: str
    near: str
    caution: float
    """Factor on the network's standard deviation in a fit, chosen on rendered clips of laboratory motions and checked on four
    real clips: trunk and feet have better evidence (the image, the floor), the arms have none."""

    def pairs(self, names: tuple[str, ...]) -> list[tuple[int, int]]:
        """(far, near) landmarks of this bone among K ``names``, one per side, or the one between the sides."""
        found = []
        for side, opposite in (("left", "right"), ("right", "left")):
            pair = f"{side}_{self.far}", f"{opposite if self.far == self.near else side}_{self.near}"
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
"""Bones of trunk and limbs, far end first."""


@dataclass(frozen=True, eq=False)
class BoneDepths:
    """Estimated depths of the bones of a clip."""

    pairs: Tensor
    """(D, 2) landmarks (far end, near end)."""
    depth_m: Tensor
    """(T, D) expected depth of the far end behind the near one, of a person of 1.65 m; NaN where not seen."""
    sigma_m: Tensor
    """(T, D) standard deviation."""
    caution: Tensor
    """(D,) factor on the standard deviations in a fit."""
    correlation: Tensor
    """(D, D) of the errors: a wrong tilt of the pelvis affects both thighs."""

    def at(self, frames: slice | npt.NDArray[np.intp]) -> BoneDepths:
        """Some of the frames."""
        return replace(self, depth_m=self.depth_m[frames], sigma_m=self.sigma_m[frames])


def bone_pairs(names: tuple[str, ...]) -> list[tuple[Bone, tuple[int, int]]]:
    """All bones and their landmarks among K ``names``, in the order of the network's outputs."""
    return [(bone, pair) for bone in BONES for pair in bone.pairs(names)]


def read_bone_depths(names: tuple[str, ...], px: FloatArray, world_m: FloatArray) -> BoneDepths:
    """Estimate the depths of all bones along the viewing ray.

    Args:
        names: of the K landmarks, BlazePose's.
        px: (T, K, 2) landmarks in the image.
        world_m: (T, K, 3) metric landmarks in the detector's axes (x right, y down, z forward along the viewing ray).

    Returns:
        The mean estimate of several networks from the landmarks and from their mirror image.
    """
    bones, swap = bone_pairs(names), mirrored(names)
    pairs = [pair for _, pair in bones]
    order, sign = swapped_pairs(pairs, swap)
    inputs, mirror_inputs = features(names, px, world_m), features(names, *mirror_image(swap, px, world_m))
    depths, log_sigmas = [], []
    networks, correlation = shipped_networks()
    for network in networks:
        outputs = (network(inputs), slice(None), 1.0), (network(mirror_inputs), order, sign)
        for (depth, log_sigma), columns, signs in outputs:
            depths.append(signs * depth[:, columns])
            log_sigmas.append(log_sigma[:, columns])
    caution = torch.tensor([bone.caution for bone, _ in bones], dtype=torch.float64)
    mean, sigma = torch.as_tensor(np.mean(depths, axis=0)), torch.as_tensor(np.exp(np.mean(log_sigmas, axis=0)))
    return BoneDepths(torch.tensor(pairs), mean, sigma, caution, torch.as_tensor(correlation))


def bridged(time_s: FloatArray, px: FloatArray, world_m: FloatArray, confidence: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Interpolate landmarks that are not confident for less than ``BRIDGE_S``.

    One misplaced landmark would change the networks' estimates of all bones.

    Args:
        time_s: (T,).
        px: (T, K, 2).
        world_m: (T, K, 3).
        confidence: (T, K).

    Returns:
        Both arrays of landmarks; longer gaps and the ends stay as they are.
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
    """Take the depths of another detector as they are, with a large standard deviation.

    Args:
        names: of the K landmarks.
        behind_m: (T, K) their depth along the viewing ray.

    Returns:
        Depths with independent errors.
    """
    pairs = torch.tensor([pair for _, pair in bone_pairs(names)], dtype=torch.long).reshape(-1, 2)
    far, near = pairs.numpy().T
    depth = torch.as_tensor(behind_m[:, far] - behind_m[:, near])
    independent = torch.eye(len(pairs), dtype=torch.float64)
    return BoneDepths(pairs, depth, torch.full_like(depth, DRAWN_SIGMA_M), independent.diagonal(), independent)


def mirrored(names: tuple[str, ...]) -> list[int]:
    """(K,) index of the landmark on the opposite side for each of K ``names``; the landmark itself on the midline."""
    opposite = {"left": "right", "right": "left"}
    return [names.index("_".join(opposite.get(part, part) for part in name.split("_"))) for name in names]


def mirror_image(swap: list[int], px: FloatArray, world_m: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mirror landmarks about x = 0.

    Args:
        swap: (K,) indices from :func:`mirrored`.
        px: (..., K, 2).
        world_m: (..., K, 3).

    Returns:
        Both arrays of the mirrored person.
    """
    return px[..., swap, :] * (-1, 1), world_m[..., swap, :] * (-1, 1, 1)


def swapped_pairs(pairs: list[tuple[int, int]], swap: list[int]) -> tuple[list[int], FloatArray]:
    """Find the mirror image of each bone.

    Args:
        pairs: (far, near) landmarks of D bones.
        swap: (K,) indices from :func:`mirrored`.

    Returns:
        (D,) index of the mirror image among the bones, and (D,) its sign: -1 if its ends are exchanged (hips, shoulders).
    """
    order, sign = [], []
    for far, near in pairs:
        image = swap[far], swap[near]
        order.append(pairs.index(image) if image in pairs else pairs.index(image[::-1]))
        sign.append(1.0 if image in pairs else -1.0)
    return order, np.array(sign)


def features(names: tuple[str, ...], px: FloatArray, world_m: FloatArray) -> FloatArray:
    """Network input: landmarks below the head relative to the mid-hip, in the image and in metres.

    The image is divided by ``sum(u . w) / sum(w . w)`` over its landmarks u and the x and y of the metric landmarks w, so that
    neither size nor camera matters.

    Args:
        names: of the K landmarks.
        px: (T, K, 2).
        world_m: (T, K, 3).

    Returns:
        (T, F) m.
    """
    hips = [names.index("left_hip"), names.index("right_hip")]
    used = [i for i, name in enumerate(names) if not any(part in name for part in _HEAD)]
    image = px[:, used] - px[:, hips].mean(axis=1, keepdims=True)
    metric = world_m[:, used] - world_m[:, hips].mean(axis=1, keepdims=True)
    flat = metric[..., :2]
    scale = (image * flat).sum(axis=(1, 2)) / np.maximum((flat**2).sum(axis=(1, 2)), _LEAST_SQUARE_M2)
    with np.errstate(divide="ignore", invalid="ignore"):
        image = image / scale[:, None, None]
    return np.concatenate([image.reshape(len(px), -1), metric.reshape(len(px), -1)], axis=1)


@dataclass(frozen=True, eq=False)
class Network:
    """A multilayer perceptron: standardised features in, depths and the logarithms of their standard deviations out."""

    mean: FloatArray
    """(F,) of the features."""
    spread: FloatArray
    """(F,) standard deviation of the features."""
    layers: tuple[tuple[FloatArray, FloatArray], ...]
    """(weights (in, out), biases (out,)) of each layer."""
    unit_m: FloatArray
    """(D,) unit of the depths."""

    def __call__(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(T, D) depths in metres and (T, D) logarithms of their standard deviations, from features (T, F); NaN stays NaN."""
        x = (values - self.mean) / self.spread
        for i, (weights, biases) in enumerate(self.layers):
            x = x @ weights + biases
            if i + 1 < len(self.layers):
                x = x / (1 + np.exp(-x))  # SiLU
        depths = len(self.unit_m)
        log_sigma = np.clip(x[:, depths:], *LOG_SIGMA_RANGE) + np.log(self.unit_m)
        return x[:, :depths] * self.unit_m, log_sigma


@cache
def shipped_networks() -> tuple[tuple[Network, ...], FloatArray]:
    """The trained networks, and the (D, D) correlation of the errors of their mean."""
    with resources.files("hsmr_bio.fitting.video").joinpath("data/bone_depth.npz").open("rb") as file:
        stored = {name: array.astype(np.float64) for name, array in np.load(file, allow_pickle=False).items()}
    members, networks = sum(name.startswith("mean_") for name in stored), []
    for m in range(members):
        count = sum(name.startswith("weights_") and name.endswith(f"_{m}") for name in stored)
        layers = tuple((stored[f"weights_{i}_{m}"], stored[f"biases_{i}_{m}"]) for i in range(count))
        networks.append(Network(stored[f"mean_{m}"], stored[f"spread_{m}"], layers, stored[f"unit_m_{m}"]))
    return tuple(networks), stored["correlation"]

"""What can only be judged with the frames before and after: exchanged limbs are repaired, spikes lose their confidence."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import maximum_filter1d

from hsmr_bio.types import BoolArray, FloatArray

LEGS = ((25, 26), (27, 28), (29, 30), (31, 32))
_SPIKE = 0.06
_SPIKE_ACCELERATION_S2 = 15.0
"""A landmark is a spike if it is further from its neighbours in time than this share of the distance from the hips to the
circle around the body (0.9 m), plus what an acceleration of about 13 m/s^2 explains."""
_MOST_ROUNDS = 6
"""Of finding the worst spikes; those beside them show in the next round."""
_SETTLING_S = 0.3
_LEAST_TURN, _FASTEST_TURN_S = 0.15, 5.0
"""How far half of the landmarks may move against the hips from one frame to the next, in distances to the circle around the
body: this much, and so much per second."""
SPIKE_CONFIDENCE = 0.05
"""Factor on the confidence of a spike."""
ARMS = ((13, 14), (15, 16), (17, 18), (19, 20), (21, 22))
_COST_OF_SWAP = 0.002
"""Per frame: of two equally smooth readings the one that the network gave wins."""
_COST_OF_CHANGE = 0.15
_COST_IN_FRONT = 0.1
_CAP = 1.0
_FRONT_WIDTH = 0.6
"""Shoulder plus hip width of somebody facing the camera, in distances from the hips to the circle around the body."""


def swapped_frames(
    time_s: FloatArray, px: FloatArray, weight: FloatArray, size_px: FloatArray, frontal: FloatArray
) -> BoolArray:
    """Frames in which a limb's left and right labels are exchanged, by dynamic programming.

    Chooses the labelling with the least sum of squared deviations from constant velocity, so that legs that pass each
    other in the picture keep their labels: one swings, the other stands.

    Args:
        time_s: (T,).
        px: (T, L, 2, 2) the limb's L landmarks, left then right.
        weight: (T, L) in [0, 1].
        size_px: (T,) size of the person; deviations are counted in it.
        frontal: (T,) 0 seen from the side to 1 seen from the front or back, where single limbs are hardly ever exchanged
            (legs that swing together and apart again would look as if they had crossed).

    Returns:
        (T,) True where left and right are to be exchanged.
    """
    frames = len(time_s)
    if frames < 3:
        return np.zeros(frames, dtype=np.bool_)
    unlikely = _COST_OF_SWAP + _COST_IN_FRONT * frontal
    roughness = _roughness(time_s, px, weight, size_px)
    change = _COST_OF_CHANGE * (1 - np.eye(2))
    best = change + unlikely[0] * np.array([[0, 0], [1, 1]]) + unlikely[1] * np.array([[0, 1], [0, 1]])
    came_from = np.zeros((frames, 2, 2), dtype=int)
    for t in range(2, frames):
        cost = best[:, :, None] + roughness[t - 2] + change[None] + unlikely[t] * np.array([0.0, 1.0])
        came_from[t] = cost.argmin(axis=0)
        best = cost.min(axis=0)
    b, c = divmod(int(best.argmin()), 2)
    states = np.zeros(frames, dtype=np.bool_)
    for t in range(frames - 1, 1, -1):
        states[t] = c == 1
        b, c = int(came_from[t, b, c]), b
    states[1], states[0] = c == 1, b == 1
    return states


def _roughness(time_s: FloatArray, px: FloatArray, weight: FloatArray, size_px: FloatArray) -> FloatArray:
    """(T - 2, 2, 2, 2) deviation from constant velocity if the frames t, t + 1, t + 2 are exchanged (1) or not (0)."""
    both = np.stack([px, px[:, :, ::-1]])
    step = np.diff(time_s)
    ahead = np.where(step[:-1] < 3 * step[1:], step[1:] / step[:-1], 0.0)[:, None, None, None]
    found = np.empty((len(time_s) - 2, 2, 2, 2))
    for a in range(2):
        for b in range(2):
            expected = both[b, 1:-1] + (both[b, 1:-1] - both[a, :-2]) * ahead
            for c in range(2):
                off = np.linalg.norm(both[c, 2:] - expected, axis=-1).mean(axis=-1) / (0.05 * size_px[2:, None])
                found[:, a, b, c] = (weight[2:] * np.minimum(off**2, _CAP)).mean(axis=1)
    return found


def frontal_view(px: FloatArray, size_px: FloatArray) -> FloatArray:
    """(T,) 0 seen from the side to 1 from the front or back, from the widths of shoulders and hips in (T, 33, 2) ``px``."""
    width = np.linalg.norm(px[:, 11] - px[:, 12], axis=-1) + np.linalg.norm(px[:, 23] - px[:, 24], axis=-1)
    return np.asarray(np.clip(width / size_px / _FRONT_WIDTH, 0.0, 1.0) ** 2)


def repair_limbs(time_s: FloatArray, px: FloatArray, world_m: FloatArray, visibility: FloatArray, size_px: FloatArray) -> int:
    """Exchange left and right of single legs or arms where that makes the motion smooth; changes the arrays in place.

    Args:
        time_s: (T,) frames of one unbroken stretch.
        px: (T, 33, 2).
        world_m: (T, 33, 3).
        visibility: (T, 33).
        size_px: (T,) distance from the hips to the circle around the body.

    Returns:
        Number of frames in which a limb was changed.
    """
    changed = np.zeros(len(time_s), dtype=np.bool_)
    frontal = frontal_view(px, size_px)
    for limb in (LEGS, ARMS):
        pairs = np.array(limb)
        weight = visibility[:, pairs].min(axis=-1)
        swap = swapped_frames(time_s, px[:, pairs], weight, size_px, frontal)
        for array in (px, world_m, visibility):
            part = array[swap]
            part[:, pairs] = part[:, pairs[:, ::-1]]
            array[swap] = part
        changed |= swap
    return int(changed.sum())


def find_spikes(time_s: FloatArray, px: FloatArray, size_px: FloatArray) -> BoolArray:
    """Landmarks that jump away for a frame or two and come back.

    The worst are taken first and bridged, so that the frames beside them are judged by sound neighbours.

    Args:
        time_s: (T,) frames of one unbroken stretch.
        px: (T, K, 2).
        size_px: (T,) distance from the hips to the circle around the body.

    Returns:
        (T, K) True where a landmark is far from the line through its neighbours in time.
    """
    spikes = np.zeros(px.shape[:2], dtype=np.bool_)
    if len(time_s) < 5:
        return spikes
    step = np.gradient(time_s)[:, None]
    limit = (_SPIKE + np.minimum(_SPIKE_ACCELERATION_S2 * step**2, 0.2)) * size_px[:, None]
    at = px.copy()
    for _ in range(_MOST_ROUNDS):
        apart = _apart(time_s, at) / limit
        worst = (apart > 1.0) & (apart == maximum_filter1d(apart, 5, axis=0, mode="constant"))
        if not worst.any():
            break
        spikes |= worst
        for landmark in np.flatnonzero(worst.any(axis=0)):
            good = ~spikes[:, landmark]
            for axis in range(2):
                at[~good, landmark, axis] = np.interp(time_s[~good], time_s[good], px[good, landmark, axis])
    return spikes


def settled_from(time_s: FloatArray, px: FloatArray, size_px: FloatArray) -> int:
    """First frame from which a stretch shows one body: somebody hardly visible may be read turned over at first.

    Args:
        time_s: (T,) frames of one unbroken stretch.
        px: (T, 33, 2).
        size_px: (T,) distance from the hips to the circle around the body.
    """
    body = px - px[:, [23, 24]].mean(axis=1, keepdims=True)
    change = np.median(np.linalg.norm(np.diff(body, axis=0), axis=-1), axis=1) / size_px[1:]
    possible = _LEAST_TURN + _FASTEST_TURN_S * np.diff(time_s)
    jumps = np.flatnonzero((change > possible) & (time_s[1:] - time_s[0] < _SETTLING_S))
    return int(jumps[-1]) + 1 if len(jumps) else 0


def _apart(time_s: FloatArray, px: FloatArray) -> FloatArray:
    """(T, K) pixels between each landmark and the line through its neighbours in time; 0 for the first and last two frames."""
    now = np.arange(2, len(time_s) - 2)
    between = []
    for before, after in ((1, 1), (1, 2), (2, 1), (2, 2)):
        share = (time_s[now] - time_s[now - before]) / (time_s[now + after] - time_s[now - before])
        between.append(px[now - before] + share[:, None, None] * (px[now + after] - px[now - before]))
    apart = np.zeros(px.shape[:2])
    apart[now] = np.linalg.norm(px[now] - np.median(between, axis=0), axis=-1)
    return apart

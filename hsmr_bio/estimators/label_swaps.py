"""Repair of landmarks with the frames before and after: exchanged left and right limbs, landmarks that jump for a frame.

Distances are relative to the reach, the distance from the hips to the circle around the body (0.9 m).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import maximum_filter1d

from hsmr_bio.types import BoolArray, FloatArray

from .regions import HIPS, SHOULDERS

Pairs = Sequence[Sequence[int]]
"""(left, right) points."""
LEGS = ((25, 26), (27, 28), (29, 30), (31, 32))
ARMS = ((13, 14), (15, 16), (17, 18), (19, 20), (21, 22))
"""(left, right) landmarks of the limbs that are exchanged together."""
SPIKE_CONFIDENCE = 0.05
"""Factor on the confidence of a spike."""
_SPIKE, _SPIKE_ACCELERATION_S2, _MAX_ACCELERATED = 0.06, 15.0, 0.2
"""A landmark is a spike if it is further from its neighbours in time than this, in reaches: a constant, plus the effect of an
acceleration of about 13 m/s^2, plus at most the last."""
_SPIKE_ROUNDS = 6
"""Rounds of finding the worst spikes; those beside them are found in the next round."""
_SPIKE_WINDOW, _MIN_FRAMES = 5, 5
"""Frames of which the worst one is a spike; frames that the test needs."""
_SETTLING_S = 0.3
"""Start of a stretch in which the first landmarks may be wrong."""
_TURN, _TURN_PER_S = 0.15, 5.0
"""Largest median motion of the landmarks relative to the hips from one frame to the next, in reaches: constant, per second."""
_COST_OF_SWAP = 0.002
"""Per exchanged frame: of two equally smooth labellings the network's is kept."""
_COST_OF_CHANGE = 0.15
"""Per change from exchanged to not exchanged or back."""
_COST_IN_FRONT = 0.1
"""Per exchanged frame of a person seen from the front or back."""
_DEVIATION = 0.05
"""Deviation from constant velocity, in sizes of the person, that costs 1."""
_MAX_DEVIATION = 1.0
"""Largest squared deviation of a landmark, relative to ``_DEVIATION``: outliers count no more."""
_MAX_STEP_RATIO = 3
"""Ratio of two steps in time from which a velocity is not extrapolated."""
_FRONT_WIDTH = 0.6
"""Shoulder plus hip width of a person facing the camera, in reaches."""


def swapped_frames(
    time_s: FloatArray, px: FloatArray, weight: FloatArray, size_px: FloatArray, frontal: FloatArray
) -> BoolArray:
    """Find the frames in which a limb's left and right labels are exchanged, by dynamic programming.

    The labelling with the smallest sum of squared deviations from constant velocity is chosen. Legs that pass each other
    in the picture keep their labels: one swings, the other stands.

    Args:
        time_s: (T,).
        px: (T, L, 2, 2) the limb's L landmarks, left then right.
        weight: (T, L) in [0, 1].
        size_px: (T,) size of the person, the unit of deviations.
        frontal: (T,) 0 seen from the side to 1 seen from the front or back, where single limbs are hardly ever exchanged
            (legs that swing together and apart again would appear to have crossed).

    Returns:
        (T,) True where left and right are exchanged.
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
    labelled = np.stack([px, px[:, :, ::-1]])
    step_s = np.diff(time_s)
    ratio = np.where(step_s[:-1] < _MAX_STEP_RATIO * step_s[1:], step_s[1:] / step_s[:-1], 0.0)[:, None, None, None]
    cost = np.empty((len(time_s) - 2, 2, 2, 2))
    for a in range(2):
        for b in range(2):
            expected = labelled[b, 1:-1] + (labelled[b, 1:-1] - labelled[a, :-2]) * ratio
            for c in range(2):
                deviation_px = np.linalg.norm(labelled[c, 2:] - expected, axis=-1).mean(axis=-1)
                deviation = deviation_px / (_DEVIATION * size_px[2:, None])
                cost[:, a, b, c] = (weight[2:] * np.minimum(deviation**2, _MAX_DEVIATION)).mean(axis=1)
    return cost


def frontal_view(px: FloatArray, size_px: FloatArray, widths: Pairs = (SHOULDERS, HIPS)) -> FloatArray:
    """Measure from the widths of shoulders and hips how frontal a person is seen.

    Args:
        px: (T, K, 2).
        size_px: (T,) reach.
        widths: (left, right) shoulder and hip among the K points.

    Returns:
        (T,) 0 seen from the side to 1 seen from the front or back.
    """
    width = sum(np.linalg.norm(px[:, left] - px[:, right], axis=-1) for left, right in widths)
    return np.asarray(np.clip(width / size_px / _FRONT_WIDTH, 0.0, 1.0) ** 2)


def repair_limbs(
    time_s: FloatArray,
    px: FloatArray,
    world_m: FloatArray | None,
    visibility: FloatArray,
    size_px: FloatArray,
    *,
    limbs: Sequence[Pairs] = (LEGS, ARMS),
    widths: Pairs = (SHOULDERS, HIPS),
) -> int:
    """Exchange left and right of single legs or arms where that makes the motion smooth; the arrays change in place.

    Args:
        time_s: (T,) frames of one stretch without a gap.
        px: (T, K, 2).
        world_m: (T, K, 3), or None.
        visibility: (T, K).
        size_px: (T,) reach.
        limbs: (left, right) points of each limb among the K points.
        widths: as for :func:`frontal_view`.

    Returns:
        Number of frames in which a limb was changed.
    """
    changed = np.zeros(len(time_s), dtype=np.bool_)
    frontal = frontal_view(px, size_px, widths)
    for limb in limbs:
        pairs = np.array(limb)
        weight = visibility[:, pairs].min(axis=-1)
        swap = swapped_frames(time_s, px[:, pairs], weight, size_px, frontal)
        for array in (px, visibility) if world_m is None else (px, world_m, visibility):
            part = array[swap]
            part[:, pairs] = part[:, pairs[:, ::-1]]
            array[swap] = part
        changed |= swap
    return int(changed.sum())


def find_spikes(time_s: FloatArray, px: FloatArray, size_px: FloatArray) -> BoolArray:
    """Find landmarks that jump away for a frame or two and return.

    The worst are found first and interpolated, so that the frames beside them are compared with good neighbours.

    Args:
        time_s: (T,) frames of one stretch without a gap.
        px: (T, K, 2).
        size_px: (T,) reach.

    Returns:
        (T, K) True where a landmark is far from the line through its neighbours in time.
    """
    spikes = np.zeros(px.shape[:2], dtype=np.bool_)
    if len(time_s) < _MIN_FRAMES:
        return spikes
    step_s = np.gradient(time_s)[:, None]
    limit_px = (_SPIKE + np.minimum(_SPIKE_ACCELERATION_S2 * step_s**2, _MAX_ACCELERATED)) * size_px[:, None]
    bridged = px.copy()
    for _ in range(_SPIKE_ROUNDS):
        excess = _deviation_px(time_s, bridged) / limit_px
        worst = (excess > 1.0) & (excess == maximum_filter1d(excess, _SPIKE_WINDOW, axis=0, mode="constant"))
        if not worst.any():
            break
        spikes |= worst
        for landmark in np.flatnonzero(worst.any(axis=0)):
            good = ~spikes[:, landmark]
            for axis in range(2):
                bridged[~good, landmark, axis] = np.interp(time_s[~good], time_s[good], px[good, landmark, axis])
    return spikes


def settled_from(time_s: FloatArray, px: FloatArray, size_px: FloatArray) -> int:
    """Find the first frame from which a stretch shows one pose: a hardly visible person may be inverted at first.

    Args:
        time_s: (T,) frames of one stretch without a gap.
        px: (T, 33, 2).
        size_px: (T,) reach.

    Returns:
        Index of the frame after the last impossible change near the start; 0 if there is none.
    """
    body = px - px[:, HIPS].mean(axis=1, keepdims=True)
    change = np.median(np.linalg.norm(np.diff(body, axis=0), axis=-1), axis=1) / size_px[1:]
    possible = _TURN + _TURN_PER_S * np.diff(time_s)
    jumps = np.flatnonzero((change > possible) & (time_s[1:] - time_s[0] < _SETTLING_S))
    return int(jumps[-1]) + 1 if len(jumps) else 0


def _deviation_px(time_s: FloatArray, px: FloatArray) -> FloatArray:
    """(T, K) distance of each landmark from the line through its neighbours in time; 0 for the first and last two frames."""
    now = np.arange(2, len(time_s) - 2)
    between = []
    for before, after in ((1, 1), (1, 2), (2, 1), (2, 2)):
        share = (time_s[now] - time_s[now - before]) / (time_s[now + after] - time_s[now - before])
        between.append(px[now - before] + share[:, None, None] * (px[now + after] - px[now - before]))
    deviation = np.zeros(px.shape[:2])
    deviation[now] = np.linalg.norm(px[now] - np.median(between, axis=0), axis=-1)
    return deviation

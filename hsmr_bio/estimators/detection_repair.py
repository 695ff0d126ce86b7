"""Repair of another detector's points with the frames before and after, as for the built-in one (``label_swaps``)."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.ndimage import percentile_filter

from hsmr_bio.types import BoolArray, FloatArray

from .label_swaps import SPIKE_CONFIDENCE, find_spikes, repair_limbs

_LEGS, _ARMS = ("knee", "ankle", "heel", "big_toe", "small_toe"), ("elbow", "wrist")
"""Points of a leg and of an arm that are exchanged together."""
_MAX_STEP = 2
"""Frames from one detection to the next inside a stretch; a longer step is a gap."""
_SIZE_S, _SIZE_PERCENT = 1.0, 90
"""The size of a person is this percentile over this time: people who bend stay as large."""


def repaired(
    names: tuple[str, ...], time_s: FloatArray, px: FloatArray, confidence: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Exchange limbs whose sides are confused, and distrust points that jump away for a frame or two.

    Args:
        names: of the K points.
        time_s: (T,).
        px: (T, K, 2); NaN where not seen.
        confidence: (T, K).

    Returns:
        Both, changed.
    """
    px, confidence = px.copy(), confidence.copy()
    frames = np.flatnonzero((confidence > 0).any(axis=1))
    cuts = [0, *(np.flatnonzero(np.diff(frames) > _MAX_STEP) + 1).tolist(), len(frames)]
    for start, end in pairwise(cuts):
        part = frames[start:end]
        if len(part) > 1:
            px[part], confidence[part] = _stretch(names, time_s[part], px[part], confidence[part])
    return px, confidence


def _stretch(
    names: tuple[str, ...], time_s: FloatArray, px: FloatArray, confidence: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Repair frames without a gap between them."""
    sure = np.isfinite(px).all(axis=2) & (confidence > 0)
    bridged = px.copy()
    for point in np.flatnonzero(sure.any(axis=0)):
        for axis in range(2):
            bridged[:, point, axis] = np.interp(time_s, time_s[sure[:, point]], px[sure[:, point], point, axis])
    shown = np.asarray(sure.any(axis=0))
    reach = np.linalg.norm(bridged[:, shown] - bridged[:, shown].mean(axis=1, keepdims=True), axis=2).max(axis=1)
    window = max(1, round(_SIZE_S / float(np.median(np.diff(time_s)))))
    size_px = np.maximum(percentile_filter(reach, _SIZE_PERCENT, size=window, mode="nearest"), 1.0)
    limbs = [pairs for places in (_LEGS, _ARMS) if (pairs := _pairs(names, places, shown))]
    widths = _pairs(names, ("shoulder", "hip"), shown)
    weight = np.where(sure, confidence, 0.0)
    if len(widths) == 2:
        repair_limbs(time_s, bridged, None, weight, size_px, limbs=limbs, widths=widths)
    spikes = np.zeros_like(sure)
    spikes[:, shown] = find_spikes(time_s, bridged[:, shown], size_px)
    px = np.where((weight > 0)[..., None], bridged, np.nan)
    return px, weight * np.where(spikes, SPIKE_CONFIDENCE, 1.0)


def _pairs(names: tuple[str, ...], places: tuple[str, ...], shown: BoolArray) -> list[tuple[int, int]]:
    """(left, right) columns of the places that are seen on both sides."""
    both = [(f"left_{place}", f"right_{place}") for place in places]
    found = [(names.index(left), names.index(right)) for left, right in both if left in names and right in names]
    return [pair for pair in found if shown[list(pair)].all()]

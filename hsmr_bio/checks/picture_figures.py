"""Figures of a motion against the picture: distance from the detector's landmarks, sides, time and limbs that are not seen."""

from __future__ import annotations

import numpy as np

from ..types import BoolArray, FloatArray
from . import measures
from .check_row import Figure, Skip
from .given import Given
from .picture import PARTS, Picture

_WINDOW_S = 1.0
"""Time that a distance is averaged over: a whole step."""
_LEAST_KNOWN = 0.25
"""A window needs landmarks in this share of its frames, or it says nothing (chosen)."""
_LIMBS = ("arm", "leg")
_SIDE_PARTS = {
    "arms": ("shoulder", "elbow", "wrist"),
    "legs": ("hip", "knee", "ankle", "heel", "foot_index"),
}
"""Limbs whose sides are tried the other way round -> landmarks, without their side."""
_APART = 0.15
"""Sides are told apart where the model's two limbs lie more than this many torso lengths apart in the picture (chosen)."""
_BETTER = 0.5
"""The other way round is better if it is less than this share of the distance as it is (chosen)."""
_LONGEST_LISTED = 3


def agreement(given: Given) -> Figure:
    """Measure the mean distance of the model from the landmarks in the worst second, torso lengths."""
    picture = given.picture
    distance = _distance(picture)
    columns = picture.columns(*(name for names in PARTS.values() for name in names))
    worst, at_s = _worst_window(picture.time_s, distance[:, columns], picture.confidence[:, columns])
    sigmas = distance * picture.torso_px[:, None] / picture.sigma_px
    mean, weight = distance[:, columns], np.where(np.isfinite(distance[:, columns]), picture.confidence[:, columns], 0.0)
    overall = float(np.nansum(mean * weight) / weight.sum())
    in_sigma = float(np.nansum(sigmas[:, columns] * weight) / weight.sum())
    return worst, (
        f"worst second at {at_s:.2f} s; the whole clip {overall:.3f} torso lengths, {in_sigma:.1f} deviations of the detector"
    )


def part_agreement(given: Given) -> Figure:
    """Measure the mean distance of one part of the body from its landmarks in that part's worst second, torso lengths."""
    picture = given.picture
    distance = _distance(picture)
    found = {}
    for part, names in PARTS.items():
        columns = picture.columns(*names)
        try:
            found[part] = _worst_window(picture.time_s, distance[:, columns], picture.confidence[:, columns])
        except Skip:
            continue
    if not found:
        raise Skip("no part of the body is seen for long enough")
    worst = max(found, key=lambda part: found[part][0])
    others = ", ".join(f"{part} {value:.2f}" for part, (value, _) in found.items() if part != worst)
    return found[worst][0], f"{worst} at {found[worst][1]:.2f} s; {others}"


def sides(given: Given) -> Figure:
    """Measure the share of the time in which the limbs fit the landmarks better with left and right exchanged."""
    picture = given.picture
    shares, where = {}, {}
    for limbs, names in _SIDE_PARTS.items():
        told, exchanged = exchanged_sides(picture, names)
        if told.any():
            shares[limbs] = float(exchanged.sum() / told.sum())
            where[limbs] = picture.time_s[exchanged]
    if not shares:
        raise Skip("left and right lie nowhere apart in the picture")
    worst = max(shares, key=lambda limbs: shares[limbs])
    if not len(where[worst]):
        return 0.0, "arms and legs are on the sides on which they are seen"
    return shares[worst], f"{worst}, first at {where[worst][0]:.2f} s, last at {where[worst][-1]:.2f} s"


def exchanged_sides(picture: Picture, names: tuple[str, ...]) -> tuple[BoolArray, BoolArray]:
    """Tell where left and right of a pair of limbs explain the landmarks better exchanged.

    Args:
        picture: landmarks and model.
        names: of the limb's landmarks, without their side.

    Returns:
        (T,) whether the sides can be told apart, and whether they are the wrong way round there.
    """
    pairs = [picture.columns(f"right_{name}", f"left_{name}") for name in names]
    pairs = [pair for pair in pairs if len(pair) == 2]
    right, left = ([pair[side] for pair in pairs] for side in (0, 1))
    known = picture.known[:, right] & picture.known[:, left]
    seen_r, seen_l = picture.seen_px[:, right], picture.seen_px[:, left]
    model_r, model_l = picture.model_px[:, right], picture.model_px[:, left]

    def mean(first: FloatArray, second: FloatArray) -> FloatArray:
        distance = np.where(known, np.linalg.norm(first - second, axis=-1), 0.0)
        return np.asarray(distance.sum(axis=1) / np.maximum(known.sum(axis=1), 1) / picture.torso_px)

    kept = mean(seen_r, model_r) + mean(seen_l, model_l)
    crossed = mean(seen_r, model_l) + mean(seen_l, model_r)
    told = (mean(model_r, model_l) > _APART) & (known.sum(axis=1) >= 2)
    return np.asarray(told), np.asarray(told & (crossed < _BETTER * kept))


def unseen(given: Given) -> Figure:
    """Measure the share of the clip, or of the motion's time, without a result."""
    time_s = given.angles()[0]
    if len(time_s) < 2:
        raise Skip("needs two frames")
    step_s = float(np.median(np.diff(time_s)))
    begin_s, end_s = float(time_s[0]), float(time_s[-1])
    if given.observation is not None:
        begin_s, end_s = min(begin_s, float(given.observation.time_s[0])), max(end_s, float(given.observation.time_s[-1]))
    holes = [(time_s[i], time_s[i + 1]) for i in np.flatnonzero(measures.gaps(time_s))]
    holes += [(begin_s, time_s[0])] if time_s[0] - begin_s > step_s else []
    holes += [(time_s[-1], end_s)] if end_s - time_s[-1] > step_s else []
    lost_s = sum(float(last - first) for first, last in holes)
    longest = sorted(sorted(holes, key=lambda hole: hole[0] - hole[1])[:_LONGEST_LISTED])
    listed = ", ".join(f"{first:.2f} to {last:.2f} s" for first, last in longest)
    return lost_s / (end_s - begin_s), f"nothing is known from {listed}" if holes else "the whole time has a result"


def hidden(given: Given) -> Figure:
    """Measure the share of elbows, wrists, knees and ankles, over the clip, that the detector does not see."""
    picture = given.picture
    shares = {}
    for part, names in PARTS.items():
        columns = picture.columns(*names)
        if part.endswith(_LIMBS) and columns:
            shares[part] = float(1 - picture.known[:, columns].mean())
    if not shares:
        raise Skip("the keypoint set has no arms and legs")
    return float(np.mean(list(shares.values()))), ", ".join(f"{part} {share:.0%}" for part, share in shares.items())


def _distance(picture: Picture) -> FloatArray:
    """(T, L) distance of the model from the landmarks, torso lengths; NaN where the detector is not sure."""
    distance = np.linalg.norm(picture.seen_px - picture.model_px, axis=-1) / picture.torso_px[:, None]
    return np.asarray(np.where(picture.known, distance, np.nan))


def _worst_window(time_s: FloatArray, distance: FloatArray, confidence: FloatArray) -> tuple[float, float]:
    """Largest weighted mean over a second, and the second's middle.

    Raises:
        Skip: too little is seen.
    """
    known = np.isfinite(distance)
    weight = np.where(known, confidence, 0.0).sum(axis=1)
    total = np.where(known, confidence * np.nan_to_num(distance), 0.0).sum(axis=1)
    step_s = float(np.median(np.diff(time_s))) if len(time_s) > 1 else _WINDOW_S
    frames = min(len(time_s), max(1, round(_WINDOW_S / step_s)))
    sums = [np.convolve(values, np.ones(frames), mode="valid") for values in (total, weight, known.any(axis=1))]
    enough = sums[2] >= max(1.0, _LEAST_KNOWN * frames)
    if not enough.any():
        raise Skip("too few landmarks are seen")
    means = np.where(enough, sums[0] / np.maximum(sums[1], 1e-9), 0.0)
    first = int(np.argmax(means))
    return float(means[first]), float(time_s[min(first + frames // 2, len(time_s) - 1)])

"""Noise and pace of joint centres, from the recording itself: how exact they are, and how fast each limb moves.

A bone keeps its length. What its length shows beside its median is the noise of its two ends along the bone; the noise across
it, which cannot be told from movement, is taken to be as large and as correlated in time. The fit's prior of small
accelerations smooths a path y to ``S y``. For each limb the cutoff of S has the least expected error
``|y - S y|^2 + 2 n e^T S e``, over paths y of n = 3 coordinates with the noise e that the length shows. Where lengths are
constant by construction (results of a body model) e shows nothing: then the covariance is that of white noise, whose variance
generalised cross-validation gives.

Source:
    Expected error by the covariance of noise and fit: Mallows 1973, Technometrics 15:661; Efron 2004, J Am Stat Assoc 99:619.
    Cross-validation: Craven and Wahba 1979, Numer Math 31:377; of movement: Woltring 1986, Adv Eng Softw 8:104. Smoother:
    Whittaker 1923, Proc Edinb Math Soc 41:63.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import solveh_banded

from ...skeleton import JOINT_DOFS, JOINT_NAMES
from ...types import FloatArray
from ..core.priors import acceleration_sigma
from ..core.terms import second_derivative

CENTRE_SIGMA_M = 0.015
"""Error of triangulated or marker-based joint centres: 10 to 20 mm. Part of it does not change in time, so that the fit assumes
no less where the noise is small."""
CUTOFFS_HZ = 3.0 * 2 ** (np.arange(9) / 2)
"""Candidates, 3 to 48 Hz. The everyday prior is near 6 Hz; of sprinting, joint centres show hardly anything beyond 20 Hz."""
_OUTLIER, _LEAST_OUTLIER_M = 4.0, 0.08
"""A frame of a bone is left out when its length is off by more than these deviations and this distance (own choice)."""
_MAD = 1.4826
"""Standard deviation over median absolute deviation of normal values: Huber 1981, Robust Statistics, sec. 5.1."""
_LEAST_LEVER_M = 0.1
"""Shorter vectors count as this long: centres that coincide are no bone."""
_FEWEST = 10
"""A path of fewer frames shows neither noise nor pace."""
_BONES = {
    "leg": (("hip", "knee"), ("knee", "ankle"), ("ankle", "toe"), ("ankle", "heel")),
    "arm": (("shoulder", "elbow"), ("elbow", "wrist")),
}
"""Pairs of joint centres in each limb."""
_MOVED = {"leg": ("femur", "tibia", "talus", "calcn", "toes"), "arm": ("scapula", "humerus", "ulna", "radius", "hand")}
"""Bones whose joints have the pace of a limb; all others have that of the trunk."""


@dataclass(frozen=True, eq=False)
class Pace:
    """What a recording is fitted with."""

    centre_sigma_m: FloatArray
    """(P,) standard deviation of each joint centre along each axis."""
    acceleration_sigma: FloatArray
    """(49,) standard deviation of the accelerations of all unknowns, rad/s^2 and m/s^2."""
    cutoff_hz: float
    """Highest of the chosen cutoffs: a filter of the fitted motion below it would take movement away."""


def movement_pace(time_s: FloatArray, names: Sequence[str], positions_m: FloatArray) -> Pace:
    """Estimate the noise of joint centres and the accelerations of the movement.

    Neither is below its everyday value: in slow movement the fit stays ready for a fast one.

    Args:
        time_s: (T,) increasing.
        names: (P,) ``hip_r``, ``knee_l`` ...; both hips and shoulders are among them.
        positions_m: (T, P, 3), any axes; NaN where not seen.

    Returns:
        The deviations and the highest cutoff.
    """
    at = {name: positions_m[:, column] for column, name in enumerate(names)}
    parts = _trunk(time_s, at)
    for limb in _BONES:
        for side in "rl":
            parts += _limb(time_s, at, limb, side)
    sigma_m, acceleration = np.full(len(names), CENTRE_SIGMA_M), acceleration_sigma()
    for part in parts:
        sigma_m[[names.index(name) for name in part.centres]] = part.sigma_m
        acceleration[part.columns] = np.maximum(acceleration[part.columns], part.acceleration)
    return Pace(sigma_m, acceleration, max((part.cutoff_hz for part in parts), default=0.0))


@dataclass(frozen=True, eq=False)
class _Part:
    """What was found for a part of the body."""

    centres: Sequence[str]
    """Joint centres that have its noise."""
    sigma_m: float
    columns: Sequence[int]
    """Unknowns that have its pace."""
    cutoff_hz: float
    acceleration: float
    """Standard deviation of the accelerations of its unknowns."""


def _trunk(time_s: FloatArray, at: Mapping[str, FloatArray]) -> list[_Part]:
    """Turn of the trunk, and its place; nothing where the hips are hardly seen. Only the line of the hips is a bone."""
    hips = _bone(time_s, at["hip_r"], at["hip_l"])
    if hips is None:
        return []
    middle = {joint: (at[f"{joint}_r"] + at[f"{joint}_l"]) / 2 for joint in ("hip", "shoulder")}
    shoulders = _bone(time_s, at["shoulder_r"], at["shoulder_l"])
    spine, place = _beside(hips, middle["shoulder"] - middle["hip"], np.sqrt(0.5)), _beside(hips, middle["hip"], 0.5)
    limbs = {column for limb in _MOVED for side in "rl" for column in _columns(limb, side)}
    columns, sigma_m = [column for column in range(46) if column not in limbs], _sigma_m([hips])
    ends = [f"{joint}_{side}" for joint in middle for side in "rl"]
    turn = _part(ends, sigma_m, columns, [path for path in (hips, shoulders, spine) if path is not None])
    return [turn] if place is None else [turn, _part((), sigma_m, range(46, 49), [place], lever_m=2.0)]


def _limb(time_s: FloatArray, at: Mapping[str, FloatArray], limb: str, side: str) -> list[_Part]:
    """One limb; nothing where it is hardly seen."""
    pairs = [(f"{near}_{side}", f"{far}_{side}") for near, far in _BONES[limb]]
    found = [_bone(time_s, at[near], at[far]) for near, far in pairs if near in at and far in at]
    bones = [bone for bone in found if bone is not None]
    if not bones:
        return []
    ends = [far for _, far in pairs if far in at]
    return [_part(ends, _sigma_m(bones), _columns(limb, side), bones)]


def _columns(limb: str, side: str) -> list[int]:
    """Angles of a limb."""
    return [column for bone in _MOVED[limb] for column in JOINT_DOFS[JOINT_NAMES.index(f"{bone}_{side}")]]


@dataclass(frozen=True, eq=False)
class _Path:
    """A vector between joint centres, or a point, over the frames in which it is seen."""

    time_s: FloatArray
    """(S,)."""
    rows: npt.NDArray[np.intp]
    """(S,) frames."""
    places_m: FloatArray
    """(S, 3)."""
    noise_m: FloatArray
    """(S,) noise like that of each coordinate of the places."""


def _bone(time_s: FloatArray, near_m: FloatArray, far_m: FloatArray) -> _Path | None:
    """Vector from one joint centre (T, 3) to another; None where it is hardly seen."""
    vector = far_m - near_m
    length = np.linalg.norm(vector, axis=1)
    seen = np.flatnonzero(np.isfinite(length))
    if len(seen) < _FEWEST:
        return None
    off = length[seen] - np.median(length[seen])
    good = np.abs(off) <= max(_OUTLIER * _MAD * float(np.median(np.abs(off))), _LEAST_OUTLIER_M)
    rows = seen[good]
    return _Path(time_s[rows], rows, vector[rows], off[good] - off[good].mean()) if len(rows) >= _FEWEST else None


def _beside(hips: _Path, places_m: FloatArray, noise_share: float) -> _Path | None:
    """Path of places (T, 3) whose noise is a share of that of the line of the hips."""
    seen = np.isfinite(places_m[hips.rows]).all(axis=1)
    rows = hips.rows[seen]
    return _Path(hips.time_s[seen], rows, places_m[rows], noise_share * hips.noise_m[seen]) if len(rows) >= _FEWEST else None


def _sigma_m(bones: Sequence[_Path]) -> float:
    """Standard deviation of joint centres by the noise of bones, which is that of two ends."""
    return max(CENTRE_SIGMA_M, float(np.sqrt(np.mean([np.mean(bone.noise_m**2) for bone in bones]) / 2)))


def _part(
    centres: Sequence[str], sigma_m: float, columns: Sequence[int], paths: Sequence[_Path], lever_m: float | None = None
) -> _Part:
    """Choose the cutoff f of a part of the body, and the deviation of accelerations at which the fit has it.

    A path with noise sigma is smoothed at f if its accelerations have the deviation ``(2 pi f)^2 sigma``. A vector has the
    noise of two ends, ``sqrt(2) sigma``, and the acceleration of its angle times its length, that of the longest unless given.
    The middle of two points has the noise ``sqrt(1/2) sigma``: a lever of 2.
    """
    cutoff_hz = float(CUTOFFS_HZ[np.argmin(sum(_expected_errors(path) for path in paths))])
    longest_m = max(float(np.median(np.linalg.norm(path.places_m, axis=1))) for path in paths)
    lever_m = max(longest_m, _LEAST_LEVER_M) if lever_m is None else lever_m
    return _Part(centres, sigma_m, columns, cutoff_hz, (2 * np.pi * cutoff_hz) ** 2 * np.sqrt(2) * sigma_m / lever_m)


def _expected_errors(path: _Path) -> FloatArray:
    """(C,) squared error of the smoothed path, but for a constant, for each of the cutoffs."""
    count, coordinates = path.places_m.shape
    signals = np.column_stack([path.places_m, path.noise_m])
    smooth = np.stack([_smoothed(path.time_s, signals, cutoff_hz) for cutoff_hz in CUTOFFS_HZ])
    missed = ((signals - smooth)[..., :-1] ** 2).sum(axis=(1, 2))
    shown = coordinates * smooth[..., -1] @ path.noise_m
    kept = np.array([_trace(path.time_s, cutoff_hz) for cutoff_hz in CUTOFFS_HZ])
    best = np.argmin(missed / (1 - kept / count) ** 2)
    white = missed[best] / (count - kept[best]) * kept
    return np.asarray(missed + 2 * np.maximum(shown, white))


def _smoothed(time_s: FloatArray, signals: FloatArray, cutoff_hz: float) -> FloatArray:
    """Minimum (S, n) over z of ``|z - y|^2 + |z''|^2 / (2 pi f)^4``: the gain at the cutoff f is one half."""
    weights, count = second_derivative(time_s) / (2 * np.pi * cutoff_hz) ** 2, len(time_s)
    band = np.zeros((3, count))
    band[0] = 1.0
    for i in range(3):
        for j in range(i, 3):
            band[j - i, i : count - 2 + i] += weights[:, i] * weights[:, j]
    return np.asarray(solveh_banded(band, signals, lower=True, check_finite=False))


def _trace(time_s: FloatArray, cutoff_hz: float) -> float:
    """Trace of the smoother, as if frames were evenly spaced: the sum of its gains at the frequencies of S frames."""
    step_s, count = float(np.median(np.diff(time_s))), len(time_s)
    rates = 2 / step_s * np.sin(np.pi * np.arange(count) / (2 * count))
    return float((1 / (1 + (rates / (2 * np.pi * cutoff_hz)) ** 4)).sum())

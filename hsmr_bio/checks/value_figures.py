"""Figures of the time and of the columns of a motion: steps of time, values that do not change, an angle in another unit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..skeleton import DOF_NAMES
from ..types import BoolArray, FloatArray
from . import measures
from .check_row import Figure, Skip
from .given import Given

_SAME = 1e-9
"""Values closer than this, rad or m, are the same: files have at least eight decimals."""
_MOVES_RAD = np.deg2rad(5.0)
"""An angle with a smaller range stands still (chosen)."""
_ALIKE_RAD = np.deg2rad(30.0)
_RANGE_FACTOR = 2.0
_SURE_RAD = np.deg2rad(20.0)
"""Both sides of a person: means differ by less than the first, ranges by less than the second factor (chosen)."""
_LARGEST_RAD = np.deg2rad(170.0)
"""No flexion is larger."""
_PAIRED = ("hip_flexion", "knee_angle", "ankle_angle", "elbow_flexion", "elbow_flex", "arm_flex", "hip_adduction")
"""Coordinates of common models, without their side, that move in most movements."""
_MAIN = (*(name for name in _PAIRED if name not in ("elbow_flex", "hip_adduction", "arm_flex")), "knee_flexion")
"""Angles whose stated deviations are looked at: their zeros and meanings are the same in every model."""
_LEAST_FRAMES = 3


def time_step(given: Given) -> Figure:
    """Measure the median step of time, s."""
    time_s = given.angles()[0]
    if len(time_s) < 2:
        raise Skip("a single frame has no step of time")
    step_s = float(np.median(np.diff(time_s)))
    return step_s, f"{1 / step_s:.4g} frames a second, {time_s[-1] - time_s[0]:.4g} s in all"


def frozen(given: Given) -> Figure:
    """Measure the longest time in which the whole body, or an angle that should move, is unchanged, s."""
    time_s, angles_deg, names = given.angles()
    if len(time_s) < _LEAST_FRAMES:
        raise Skip("needs three frames")
    angles = np.deg2rad(angles_deg)
    same = np.stack([np.abs(np.diff(column)) < _SAME for column in angles.T], axis=1)
    same[measures.gaps(time_s)] = False
    whole_s, start_s = _longest(time_s, np.asarray(same.all(axis=1)))
    worst, detail = whole_s, f"the whole body, from {start_s:.2f} s" if whole_s > 0 else "everything moves"
    for column in _moving(angles, names):
        off_limits = ~_at_ends(angles[:, column])
        lasts_s, start_s = _longest(time_s, np.asarray(same[:, column] & ~same.all(axis=1) & off_limits[1:]))
        if lasts_s > worst:
            worst, detail = lasts_s, f"{names[column]}, from {start_s:.2f} s"
    return worst, detail


def unit(given: Given) -> Figure:
    """Count the angles that look like radians among degrees: on the other side the same angle moves 57 times as much."""
    _, angles_deg, names = given.angles()
    angles, found = np.deg2rad(angles_deg), []
    for name in _PAIRED:
        for side, other in (("r", "l"), ("l", "r")):
            if f"{name}_{side}" in names and f"{name}_{other}" in names:
                column, reference = (angles[:, names.index(f"{name}_{s}")] for s in (side, other))
                if _in_radians(column, reference):
                    found.append(f"{name}_{side}")
    return float(len(found)), f"{', '.join(found)}: radians among degrees?" if found else "both sides have the same unit"


def deviations(given: Given) -> Figure:
    """Measure the stated standard deviation of the flexion of hips, knees, ankles and elbows, RMS over angles and time, deg."""
    if given.motion is not None and given.motion.sd_si is not None:
        names, sd = given.motion.coordinates, given.motion.sd_si
    elif given.skel is not None and given.skel.poses_sd_rad is not None:
        names, sd = DOF_NAMES, given.skel.poses_sd_rad
    else:
        raise Skip("the motion states no deviations")
    groups: dict[str, list[int]] = {}
    for column, name in enumerate(names):
        if name.endswith(("_r", "_l")) and name[:-2] in _MAIN:
            groups.setdefault(name[:-2], []).append(column)
    if not groups:
        raise Skip("the model has none of the usual angles of hips, knees, ankles and elbows")
    rms = {name: float(np.rad2deg(np.sqrt(np.mean(sd[:, columns] ** 2)))) for name, columns in groups.items()}
    whole = float(np.sqrt(np.mean([value**2 for value in rms.values()])))
    return whole, ", ".join(f"{name} {value:.1f}" for name, value in rms.items())


def _longest(time_s: FloatArray, same: BoolArray) -> tuple[float, float]:
    """Duration and start of the longest run of unchanged steps."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], same, [False]]).astype(int))).reshape(-1, 2)
    lasting = [(float(time_s[last] - time_s[first]), float(time_s[first])) for first, last in edges]
    return max(lasting, default=(0.0, 0.0))


def _moving(angles: FloatArray, names: tuple[str, ...]) -> list[int]:
    """Columns that move, or whose other side moves."""
    moves: npt.NDArray[np.bool_] = np.ptp(angles, axis=0) > _MOVES_RAD
    found = []
    for column, name in enumerate(names):
        other = f"{name[:-2]}_{'l' if name.endswith('_r') else 'r'}"
        mirrored = name[:-2] in _PAIRED and name.endswith(("_r", "_l")) and other in names
        if moves[column] or (mirrored and moves[names.index(other)]):
            found.append(column)
    return found


def _at_ends(values: FloatArray) -> BoolArray:
    """(T,) whether a value that moves is at the end of its range: solvers keep a limit exactly."""
    if np.ptp(values) < _SAME:
        return np.zeros(len(values), dtype=np.bool_)
    return np.asarray((values - values.min() < _SAME) | (values.max() - values < _SAME))


def _in_radians(values: FloatArray, reference: FloatArray) -> bool:
    """Whether values that are read as degrees resemble the other side if they are read as radians."""
    wide, read = np.rad2deg(values), float(np.ptp(reference))
    if read < _SURE_RAD or np.abs(wide).max() > _LARGEST_RAD or np.ptp(values) < _SAME:
        return False
    alike = read / _RANGE_FACTOR < np.ptp(wide) < read * _RANGE_FACTOR
    return bool(alike and abs(wide.mean() - reference.mean()) < _ALIKE_RAD)

"""Figures of a motion that need no reference: steps, jitter, flips, feet, floor, vertical, lengths.

Each function measures one quantity; the rows of ``rows.py`` compare the figures with thresholds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..filtering import lowpass, resample
from ..types import BoolArray, FloatArray

if TYPE_CHECKING:
    from ..osim.placed import PlacedModel

SAME_TIME_S = 1e-4
"""Times closer than this are the same frame; ``.mot`` and ``.trc`` files have at least four decimals."""
GAP_STEPS = 2.5
"""A time step of more than this many median steps is a gap without observation, not a slow frame (chosen)."""
_NEAR_FLOOR_M = 0.04
"""Foot points up to this height above their standing height are near the floor (chosen)."""
_STANDING_PERCENTILE = 5.0
"""Percentile of a foot point's height that is its standing height (chosen)."""
_JITTER_CUTOFF_HZ = 6.0
"""Usual cutoff for walking (Winter 2009)."""
_COLUMNS = 8
"""Columns that are filtered together, for the memory of long motions."""
_FLIP_MOVE_M = 0.1
"""Least mean step of a point for a swap of sides (chosen)."""
_FLIP_SHARE = 0.5
"""Sides are swapped if the steps between opposite sides are below this share of the steps of each side (chosen)."""
_CONTACT = 0.5
"""A foot point with a higher probability of contact stands."""
_WALK_EXTENT_M = 0.5
"""Least extent of the foot points near the floor from which the slope of the ground is estimated (chosen)."""
_WALK_LINE = 0.3
"""Foot points spread narrower than this share of their length do not determine the slope across (chosen)."""
_UPRIGHT_FRAMES = 3
"""Least number of frames of quiet standing (chosen)."""
_STILL_M_S = 0.2
"""Largest speed of the hip in quiet standing (chosen)."""
_UPRIGHT_BEND_RAD = np.deg2rad(30)
"""Largest angle between thigh and shank in quiet standing (chosen)."""
_FOOT_BODIES = ("calcn_r", "toes_r", "calcn_l", "toes_l")
_LEG_BODIES = ("femur_r", "tibia_r", "talus_r", "femur_l", "tibia_l", "talus_l")
TOP_BODIES = ("head", "thorax", "torso")
"""Names of the body at the top of the trunk in different models."""
_SEGMENTS = {
    "thigh": ("femur", "tibia"),
    "shank": ("tibia", "talus"),
    "upper arm": ("humerus", "ulna"),
    "forearm": ("ulna", "hand"),
}


def gaps(time_s: FloatArray) -> BoolArray:
    """(T-1,) whether a time step is a gap."""
    steps = np.diff(time_s)
    return np.asarray(steps > GAP_STEPS * np.median(steps)) if len(steps) else np.zeros(0, dtype=np.bool_)


def largest_jump(values: FloatArray, time_s: FloatArray) -> tuple[float, int, int]:
    """Find the one-frame step that differs most from its neighbours.

    The size of a jump is the difference of a step from the more similar of its two neighbours: fast motion is no jump, a
    spike of one frame is one. Steps across a gap in time do not count.

    Args:
        values: (T, N), T >= 3.
        time_s: (T,).

    Returns:
        Size in the unit of ``values``, the frame after the step, the column.
    """
    gap = gaps(time_s)
    beside_gap = gap[1:] | gap[:-1]
    best = (-1.0, 0, 0)
    for column in range(values.shape[1]):
        change = np.abs(np.diff(values[:, column], n=2))
        change[beside_gap] = np.inf
        excess = np.minimum(np.append(change, np.inf), np.insert(change, 0, np.inf))
        excess[~np.isfinite(excess)] = 0.0
        frame = int(np.argmax(excess))
        if (float(excess[frame]), -frame) > (best[0], -best[1]):
            best = float(excess[frame]), frame, column
    return best[0], best[1] + 1, best[2]


def jitter(time_s: FloatArray, values: FloatArray) -> tuple[FloatArray, float]:
    """Measure the part of a signal that a 6 Hz low-pass filter removes.

    Args:
        time_s: (T,).
        values: (T, N).

    Returns:
        (N,) root mean square of the part above 6 Hz in the unit of ``values``, and the frame rate in Hz.

    Raises:
        InputError: too few frames, or a rate of 12 Hz or less.
    """
    found, rate_hz = [], 0.0
    for columns in np.array_split(values, -(-values.shape[1] // _COLUMNS), axis=1):
        even_s, even = resample(time_s, columns)
        rate_hz = float(1.0 / (even_s[1] - even_s[0]))
        fast = even - lowpass(even, rate_hz=rate_hz, cutoff_hz=_JITTER_CUTOFF_HZ)
        found.append(np.sqrt(np.mean(fast**2, axis=0)))
    return np.concatenate(found), rate_hz


def left_right_flips(right_m: FloatArray, left_m: FloatArray) -> tuple[int, ...]:
    """Find frames in which the points of the two sides change places.

    Args:
        right_m: (T, P, 3) points of the right side.
        left_m: (T, P, 3) the same points of the left side.

    Returns:
        Frames whose sides are swapped relative to the previous frame.
    """
    middle = (right_m + left_m).mean(axis=1, keepdims=True) / 2
    right, left = right_m - middle, left_m - middle
    kept = np.linalg.norm(np.diff(right, axis=0), axis=-1) + np.linalg.norm(np.diff(left, axis=0), axis=-1)
    crossed = np.linalg.norm(left[1:] - right[:-1], axis=-1) + np.linalg.norm(right[1:] - left[:-1], axis=-1)
    flipped = (crossed.mean(axis=1) < _FLIP_SHARE * kept.mean(axis=1)) & (kept.mean(axis=1) > 2 * _FLIP_MOVE_M)
    return tuple(int(frame) + 1 for frame in np.flatnonzero(flipped))


def foot_points(placed: PlacedModel) -> FloatArray | None:
    """(T, 4, 3) origins of right heel, right toes, left heel, left toes; None if the model lacks one of these bodies."""
    return placed.origins(*_FOOT_BODIES)


def foot_markers(placed: PlacedModel) -> tuple[str, ...]:
    """Names of the markers on heels and toes."""
    return placed.markers_on(*_FOOT_BODIES)


def near_floor(feet_m: FloatArray) -> BoolArray:
    """(T, 4) whether a foot point is less than 4 cm above its standing height (the 5th percentile of its height)."""
    height = feet_m[..., 1]
    return np.asarray(height < np.percentile(height, _STANDING_PERCENTILE, axis=0) + _NEAR_FLOOR_M)


def foot_sliding_m_s(time_s: FloatArray, feet_m: FloatArray, contacts: FloatArray | None = None) -> float | None:
    """Measure the mean horizontal speed of standing foot points.

    Args:
        time_s: (T,).
        feet_m: (T, 4, 3) foot points.
        contacts: (T, 4) probability of contact; None: the slowest point near the floor of each frame stands.

    Returns:
        The speed; None if no point stands.
    """
    speed = np.linalg.norm(np.gradient(feet_m[..., [0, 2]], time_s, axis=0), axis=-1)
    if contacts is not None:
        standing = contacts > _CONTACT
        return float(speed[standing].mean()) if standing.any() else None
    low = near_floor(feet_m)
    slowest = np.where(low, speed, np.inf).min(axis=1)
    return float(slowest[low.any(axis=1)].mean()) if low.any() else None


def lowest_foot_m(placed: PlacedModel) -> tuple[float, int] | None:
    """Find the lowest height of a foot marker (without markers: of heel and toe joints), and its frame."""
    on_foot = foot_markers(placed)
    points = placed.markers(*on_foot) if on_foot else foot_points(placed)
    if points is None:
        return None
    lowest = points[..., 1].min(axis=1)
    return float(lowest.min()), int(np.argmin(lowest))


def vertical_tilt_rad(placed: PlacedModel) -> tuple[float, str] | None:
    """Estimate the angle between the motion's vertical and y: :func:`ground_slope_rad`, else :func:`upright_lean_rad`.

    Returns:
        The angle and its evidence; None if neither is possible.
    """
    return ground_slope_rad(placed) or upright_lean_rad(placed)


def ground_slope_rad(placed: PlacedModel) -> tuple[float, str] | None:
    """Measure the slope of the plane through the foot points near the floor, if they extend over more than half a metre.

    Returns:
        The angle and its evidence; None if they do not, or the model lacks feet.
    """
    feet = foot_points(placed)
    if feet is None:
        return None
    low = near_floor(feet)
    places = [feet[low[:, i], i] for i in range(4)]
    ground = np.concatenate(places)
    kind = np.repeat(range(4), [len(place) for place in places])
    spread = np.concatenate([place[:, [0, 2]] - place[:, [0, 2]].mean(axis=0) for place in places])
    _, singular, axes = np.linalg.svd(spread, full_matrices=False)
    extent = 4 * float(singular[0]) / np.sqrt(len(spread))  # about the distance from the first to the last step
    if extent <= _WALK_EXTENT_M:
        return None
    system = np.column_stack([ground[:, 0], ground[:, 2], *(kind == i for i in range(4))])
    slope = np.linalg.lstsq(system, ground[:, 1], rcond=None)[0][:2]
    if singular[1] < _WALK_LINE * singular[0]:  # walking along a line determines only the slope along it
        slope = axes[0] * (axes[0] @ slope)
    return float(np.arctan(np.linalg.norm(slope))), f"slope of the ground under the feet over {extent:.1f} m"


def upright_lean_rad(placed: PlacedModel) -> tuple[float, str] | None:
    """Measure the mean lean of the line from the ankles to the head or thorax in frames of quiet standing with straight legs.

    Returns:
        The angle and its evidence; None without such frames or the bodies for it.
    """
    trunk = next((name for name in TOP_BODIES if name in placed.bodies), TOP_BODIES[0])
    points, feet = placed.origins(*_LEG_BODIES, trunk), foot_points(placed)
    if points is None or feet is None:
        return None
    hip_r, knee_r, ankle_r, hip_l, knee_l, ankle_l, top = np.moveaxis(points, 1, 0)
    straight = np.maximum(_bend_rad(hip_r, knee_r, ankle_r), _bend_rad(hip_l, knee_l, ankle_l)) < _UPRIGHT_BEND_RAD
    straight &= np.abs(feet[:, 0, 1] - feet[:, 2, 1]) < _NEAR_FLOOR_M
    if len(top) > 1:
        straight &= np.linalg.norm(np.gradient(hip_r, placed.time_s, axis=0), axis=-1) < _STILL_M_S
    if straight.sum() < _UPRIGHT_FRAMES:
        return None
    up = np.mean((top - (ankle_r + ankle_l) / 2)[straight], axis=0)
    lean = float(np.arccos(np.clip(up[1] / np.linalg.norm(up), -1, 1)))
    return lean, f"lean of the body in {int(straight.sum())} frames of standing with straight legs"


def _bend_rad(top: FloatArray, middle: FloatArray, end: FloatArray) -> FloatArray:
    """(T,) angle between the lines from top to middle and from middle to end."""
    upper, lower = middle - top, end - middle
    cosine = np.sum(upper * lower, axis=-1) / (np.linalg.norm(upper, axis=-1) * np.linalg.norm(lower, axis=-1))
    return np.asarray(np.arccos(np.clip(cosine, -1, 1)))


def bone_lengths_m(placed: PlacedModel) -> dict[str, FloatArray]:
    """Measure the lengths of the limb segments: side and segment -> (T,) distance between the joints at its ends."""
    found = {}
    for label, (upper, lower) in _SEGMENTS.items():
        for side, word in (("r", "right"), ("l", "left")):
            ends = placed.origins(f"{upper}_{side}", f"{lower}_{side}")
            if ends is not None:
                found[f"{word} {label}"] = np.linalg.norm(ends[:, 0] - ends[:, 1], axis=-1)
    return found

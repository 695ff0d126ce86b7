"""Figures about a motion that need no reference: steps, jitter, flips, feet, floor, vertical, lengths.

Each function measures one thing and judges nothing; the rows of ``rows.py`` compare the figures with thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..filtering import lowpass, resample
from ..types import BoolArray, FloatArray, OsimMotion

if TYPE_CHECKING:
    from ..osim.document import OsimDocument

_NEAR_FLOOR_M = 0.04
_STANDING_PERCENTILE = 5.0
_JITTER_CUTOFF_HZ = 6.0
_FLIP_MOVE_M = 0.1
_FLIP_SHARE = 0.5
"""Sides are swapped if the crossed distances are less than this share of the straight ones (own choice)."""
_CONTACT = 0.5
"""A foot with a higher probability of contact stands."""
_WALK_EXTENT_M = 0.5
_WALK_LINE = 0.3
"""Ground that is narrower than this share of its length says nothing about the slope across (own choice)."""
_UPRIGHT_FRAMES = 3
_STILL_M_S = 0.2
_UPRIGHT_BEND_RAD = np.deg2rad(30)
_FOOT_BODIES = ("calcn_r", "toes_r", "calcn_l", "toes_l")
_SEGMENTS = {
    "thigh": ("femur", "tibia"),
    "shank": ("tibia", "talus"),
    "upper arm": ("humerus", "ulna"),
    "forearm": ("ulna", "hand"),
}


@dataclass(frozen=True, eq=False, kw_only=True)
class PlacedModel:
    """The bodies of a model in every frame of a motion."""

    time_s: FloatArray
    bodies: tuple[str, ...]
    positions_m: FloatArray
    """(T, J, 3) body origins in ground."""
    rotations: FloatArray
    """(T, J, 3, 3) body orientations in ground."""
    marker_names: tuple[str, ...]
    marker_bodies: tuple[str, ...]
    markers_m: FloatArray
    """(T, M, 3) the model's markers in ground."""

    def body(self, name: str) -> FloatArray | None:
        """(T, 3) origin of a body; None if the model has none of that name."""
        return np.asarray(self.positions_m[:, self.bodies.index(name)]) if name in self.bodies else None


def place_model(motion: OsimMotion, document: OsimDocument) -> PlacedModel:
    """Evaluate the model's bodies and markers in every frame.

    Args:
        motion: its coordinates in any order; those that are missing keep their default (or follow their coupling).
        document: the model.

    Raises:
        ModelError: a joint that cannot be evaluated.
        UnknownCoordinateError: the motion has a coordinate that the model has not.
    """
    import torch

    tree = document.tree()
    values = np.tile(document.default_si, (len(motion.time_s), 1))
    for column, name in enumerate(motion.coordinates):
        values[:, tree.index(name)] = motion.values_si[:, column]
    pose = tree.forward(document.couple(values))
    markers = tuple(marker for marker in document.markers.values() if marker.body in tree.bodies)  # the rest stand in ground
    local = torch.tensor([marker.position_m for marker in markers], dtype=tree.dtype).reshape(-1, 3)
    index = [tree.bodies.index(marker.body) for marker in markers]
    return PlacedModel(
        time_s=motion.time_s,
        bodies=tree.bodies,
        positions_m=pose.positions_m.numpy(),
        rotations=pose.rotations.numpy(),
        marker_names=tuple(marker.name for marker in markers),
        marker_bodies=tuple(marker.body for marker in markers),
        markers_m=pose.points(index, local).numpy(),
    )


GAP_STEPS = 2.5
"""A time step of more than so many usual ones is a gap in which nothing was seen, not a slow frame."""


def gaps(time_s: FloatArray) -> BoolArray:
    """(T-1,) which steps of time are gaps."""
    steps = np.diff(time_s)
    return np.asarray(steps > GAP_STEPS * np.median(steps)) if len(steps) else np.zeros(0, dtype=np.bool_)


def largest_jump(values: FloatArray, time_s: FloatArray) -> tuple[float, int, int]:
    """Find the one-frame step that stands out most from the steps beside it.

    A step counts by what it differs from the more similar of its two neighbouring steps, so that fast motion is no
    jump and a spike of one frame is one. What happens across a gap in time is no step of one frame.

    Args:
        values: (T, N), T >= 3.
        time_s: (T,).

    Returns:
        Size in the unit of ``values``, the frame after the step, the column.
    """
    steps = np.diff(values, axis=0)
    gap = gaps(time_s)
    change = np.abs(np.diff(steps, axis=0))
    change[gap[1:] | gap[:-1]] = np.inf
    excess = np.full_like(steps, np.inf)
    excess[1:] = change
    excess[:-1] = np.minimum(excess[:-1], change)
    excess[~np.isfinite(excess)] = 0.0
    row, column = np.unravel_index(int(np.argmax(excess)), excess.shape)
    return float(excess[row, column]), int(row) + 1, int(column)


def jitter(time_s: FloatArray, values: FloatArray) -> tuple[FloatArray, float]:
    """Measure what a 6 Hz low-pass filter would remove.

    Args:
        time_s: (T,).
        values: (T, N).

    Returns:
        (N,) root mean square of what is faster than 6 Hz, and the rate that was used.

    Raises:
        InputError: too few frames, or a rate of 12 Hz or less.
    """
    even_s, even = resample(time_s, values)
    rate_hz = float(1.0 / (even_s[1] - even_s[0]))
    fast = even - lowpass(even, rate_hz=rate_hz, cutoff_hz=_JITTER_CUTOFF_HZ)
    return np.sqrt(np.mean(fast**2, axis=0)), rate_hz


def left_right_flips(right_m: FloatArray, left_m: FloatArray) -> tuple[int, ...]:
    """Find frames in which the right side continues where the left one was, and the other way round.

    Args:
        right_m: (T, P, 3) points of the right side.
        left_m: (T, P, 3) the same points of the left side.

    Returns:
        Frames whose sides are swapped against the frame before.
    """
    middle = (right_m + left_m).mean(axis=1, keepdims=True) / 2
    right, left = right_m - middle, left_m - middle
    kept = np.linalg.norm(np.diff(right, axis=0), axis=-1) + np.linalg.norm(np.diff(left, axis=0), axis=-1)
    crossed = np.linalg.norm(left[1:] - right[:-1], axis=-1) + np.linalg.norm(right[1:] - left[:-1], axis=-1)
    flipped = (crossed.mean(axis=1) < _FLIP_SHARE * kept.mean(axis=1)) & (kept.mean(axis=1) > 2 * _FLIP_MOVE_M)
    return tuple(int(frame) + 1 for frame in np.flatnonzero(flipped))


def foot_points(placed: PlacedModel) -> FloatArray | None:
    """(T, 4, 3) origins of right heel, right toes, left heel, left toes; None if the model has no such bodies."""
    points = [placed.body(name) for name in _FOOT_BODIES]
    found = [point for point in points if point is not None]
    return np.stack(found, axis=1) if len(found) == len(_FOOT_BODIES) else None


def near_floor(feet_m: FloatArray) -> BoolArray:
    """(T, 4) whether a foot point is within 4 cm of its own standing height (the 5th percentile of its height)."""
    height = feet_m[..., 1]
    return np.asarray(height < np.percentile(height, _STANDING_PERCENTILE, axis=0) + _NEAR_FLOOR_M)


def foot_sliding_m_s(time_s: FloatArray, feet_m: FloatArray, contacts: FloatArray | None = None) -> float | None:
    """Measure how fast the standing foot moves.

    Args:
        time_s: (T,).
        feet_m: (T, 4, 3) foot points.
        contacts: (T, 4) probability of contact; None: in each frame the slowest point near the floor is taken to stand.

    Returns:
        Mean horizontal speed of standing foot points; None if none stands.
    """
    speed = np.linalg.norm(np.gradient(feet_m[..., [0, 2]], time_s, axis=0), axis=-1)
    if contacts is not None:
        standing = contacts > _CONTACT
        return float(speed[standing].mean()) if standing.any() else None
    low = near_floor(feet_m)
    slowest = np.where(low, speed, np.inf).min(axis=1)
    return float(slowest[low.any(axis=1)].mean()) if low.any() else None


def lowest_foot_m(placed: PlacedModel) -> tuple[float, int] | None:
    """Lowest height of a marker on a foot (or, without markers, of heel and toe joints), and its frame."""
    on_foot = [i for i, body in enumerate(placed.marker_bodies) if body in _FOOT_BODIES]
    points = placed.markers_m[:, on_foot] if on_foot else foot_points(placed)
    if points is None:
        return None
    lowest = points[..., 1].min(axis=1)
    return float(lowest.min()), int(np.argmin(lowest))


def vertical_tilt_rad(placed: PlacedModel) -> tuple[float, str] | None:
    """Estimate how far the motion's vertical is from the true one, from what the feet or an upright body tell.

    Over more than half a metre of ground, standing feet must stay level: the slope of the plane through them. Else,
    in frames of standing still with straight legs, the line from the ankles to the head or thorax must be upright.

    Returns:
        The angle and what it was told by; None if neither is possible.
    """
    feet = foot_points(placed)
    if feet is None:
        return None
    low = near_floor(feet)
    ground = np.concatenate([feet[low[:, i], i] for i in range(4)])
    kind = np.concatenate([np.full(int(low[:, i].sum()), i) for i in range(4)])
    moved = np.concatenate([feet[low[:, i], i][:, [0, 2]] - feet[low[:, i], i][:, [0, 2]].mean(axis=0) for i in range(4)])
    _, singular, axes = np.linalg.svd(moved, full_matrices=False)
    extent = 4 * float(singular[0]) / np.sqrt(len(moved))  # about the distance from the first to the last step
    if extent > _WALK_EXTENT_M:
        system = np.column_stack([ground[:, 0], ground[:, 2], *(kind == i for i in range(4))])
        slope = np.linalg.lstsq(system, ground[:, 1], rcond=None)[0][:2]
        if singular[1] < _WALK_LINE * singular[0]:  # walked along a line: only the slope along it is known
            slope = axes[0] * (axes[0] @ slope)
        return float(np.arctan(np.linalg.norm(slope))), f"slope of the ground under the feet over {extent:.1f} m"
    return _upright_lean_rad(placed, feet)


def _upright_lean_rad(placed: PlacedModel, feet: FloatArray) -> tuple[float, str] | None:
    names = ("femur_r", "tibia_r", "talus_r", "femur_l", "tibia_l", "talus_l")
    points = [placed.body(name) for name in names]
    top = next((p for p in map(placed.body, ("head", "thorax", "torso")) if p is not None), None)
    if any(point is None for point in points) or top is None:
        return None
    hip_r, knee_r, ankle_r, hip_l, knee_l, ankle_l = (point for point in points if point is not None)
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
    upper, lower = middle - top, end - middle
    cosine = np.sum(upper * lower, axis=-1) / (np.linalg.norm(upper, axis=-1) * np.linalg.norm(lower, axis=-1))
    return np.asarray(np.arccos(np.clip(cosine, -1, 1)))


def bone_lengths_m(placed: PlacedModel) -> dict[str, FloatArray]:
    """Segment with side -> (T,) distance between the joints at its ends, for the segments the model has."""
    found = {}
    for label, (upper, lower) in _SEGMENTS.items():
        for side, word in (("r", "right"), ("l", "left")):
            a, b = placed.body(f"{upper}_{side}"), placed.body(f"{lower}_{side}")
            if a is not None and b is not None:
                found[f"{word} {label}"] = np.linalg.norm(a - b, axis=-1)
    return found

"""Figures about a motion beside other data: measured markers, the map from SKEL, the model's file."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..types import OsimMotion
from . import measures
from .check_row import Figure, Skip
from .given import Given

_SAME_TIME_S = 1e-4
"""A marker frame this close to a frame of the motion belongs to it; a ``.trc`` file has at least four decimals."""
_UNEVEN = 0.1
"""Steps of time that differ by more than this share of the usual one are uneven (own choice)."""
_LARGEST_RAD = 8 * np.pi
"""Four whole turns: a larger angle is one in degrees (own choice)."""
_LARGEST_M = 200.0
"""A larger length is one in millimetres (own choice)."""
_NAMED = 4


def marker_error(given: Given) -> Figure:
    """Measure the RMS distance between the measured markers and the model's, m."""
    if given.markers is None:
        raise Skip("needs measured markers (.trc)")
    placed, motion = given.model(), given.motion
    common = [name for name in given.markers.names if name in placed.marker_names]
    if motion is None or not common:
        raise Skip("the model has none of the measured markers")
    at = np.searchsorted(given.markers.time_s, motion.time_s - _SAME_TIME_S)
    at = np.clip(at, 0, len(given.markers.time_s) - 1)
    same = np.abs(given.markers.time_s[at] - motion.time_s) < _SAME_TIME_S
    if not same.any():
        raise Skip("markers and motion share no time")
    ours = placed.markers_m[same][:, [placed.marker_names.index(name) for name in common]]
    theirs = given.markers.positions_m[at[same]][:, [given.markers.names.index(name) for name in common]]
    distance = np.linalg.norm(ours - theirs, axis=-1)
    per_marker = np.sqrt(np.nanmean(distance**2, axis=0)) if np.isfinite(distance).any() else np.zeros(len(common))
    worst = int(np.nanargmax(per_marker))
    return float(np.sqrt(np.nanmean(distance**2))), (
        f"{len(common)} markers, largest single {np.nanmax(distance) * 1000:.0f} mm, worst marker {common[worst]}"
    )


def map_residual(given: Given) -> Figure:
    """Measure what the map from SKEL left over in the joints' places, mm RMS."""
    return _residual(given, "residual_m", 1000.0)


def map_angle_residual(given: Given) -> Figure:
    """Measure what the map from SKEL left over in the bones' orientations, deg RMS."""
    return _residual(given, "residual_rad", 180 / np.pi)


def _residual(given: Given, name: str, factor: float) -> Figure:
    values = None if given.motion is None else getattr(given.motion, name)
    if values is None or given.motion is None or values.size == 0:
        raise Skip("the motion was not mapped from SKEL here")
    per_body = np.sqrt(np.mean(values**2, axis=0)) * factor
    worst = int(np.argmax(per_body))
    return float(np.sqrt(np.mean(values**2)) * factor), f"largest at {given.motion.bodies[worst]}: {per_body[worst]:.1f}"


def consistency(given: Given) -> Figure:
    """Count what does not fit between the motion's columns, time, units and the model."""
    if given.motion is None:
        return 0.0, "columns, time, units and values fit"
    problems = [*_column_problems(given, given.motion), *_value_problems(given.motion)]
    if given.markers is not None and given.markers.time_s[-1] < given.motion.time_s[0]:
        problems.append("the markers end before the motion begins")
    return float(len(problems)), "; ".join(problems) if problems else "columns, time, units and values fit"


def _column_problems(given: Given, motion: OsimMotion) -> Iterable[str]:
    """Yield what the motion's columns and the model's coordinates have not in common, a sentence each."""
    if given.document is None:
        return
    known = given.document.coordinates
    extra = [name for name in motion.coordinates if name not in known]
    lacking = [name for name in known if name not in motion.coordinates and name not in given.document.dependent]
    if extra:
        yield f"not in the model: {_some(extra)}"
    if lacking:
        yield f"in the model, not in the motion: {_some(lacking)}"
    for name, turning in zip(motion.coordinates, motion.rotational, strict=True):
        if name in known and bool(turning) != known[name].rotational:
            yield f"{name} is read as {'an angle' if turning else 'a length'}, the model says otherwise"


def _value_problems(motion: OsimMotion) -> Iterable[str]:
    """Yield uneven time, and values that look like another unit, a sentence each."""
    steps = np.diff(motion.time_s)[~measures.gaps(motion.time_s)]
    if len(steps) > 1 and np.ptp(steps) > _UNEVEN * np.median(steps):
        yield f"uneven time: steps of {steps.min() * 1000:.1f} to {steps.max() * 1000:.1f} ms"
    largest = np.abs(motion.values_si).max(axis=0)
    for name, turning, size in zip(motion.coordinates, motion.rotational, largest, strict=True):
        if turning and size > _LARGEST_RAD:
            yield f"{name} reaches {size:.0f} rad: degrees read as radians?"
        elif not turning and size > _LARGEST_M:
            yield f"{name} reaches {size:.0f} m: millimetres read as metres?"


def _some(names: list[str]) -> str:
    return f"{', '.join(names[:_NAMED])}{' ...' if len(names) > _NAMED else ''}"

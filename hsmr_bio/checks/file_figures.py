"""Figures of a motion and other data: measured markers, the map from SKEL, the model's file."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..types import OsimMotion
from . import measures
from .check_row import Figure, Skip
from .given import Given

_UNEVEN = 0.1
"""Time steps that differ by more than this share of the median step are uneven (chosen)."""
_LARGEST_RAD = 8 * np.pi
"""Four turns: a larger angle is probably in degrees (chosen)."""
_LARGEST_M = 200.0
"""A larger length is probably in millimetres (chosen)."""
_LISTED = 4
"""Most names that the detail of a check lists."""


def marker_error(given: Given) -> Figure:
    """Measure the RMS distance between the measured markers and the model's, m."""
    if given.markers is None:
        raise Skip("needs measured markers (.trc)")
    placed, markers = given.placed, given.markers
    common = [name for name in markers.names if name in placed.marker_names]
    if not common:
        raise Skip("the model has none of the measured markers")
    at = np.searchsorted(markers.time_s, placed.time_s - measures.SAME_TIME_S)
    at = np.clip(at, 0, len(markers.time_s) - 1)
    same = np.abs(markers.time_s[at] - placed.time_s) < measures.SAME_TIME_S
    if not same.any():
        raise Skip("markers and motion share no time")
    model_m = placed.markers(*common)[same]
    measured_m = markers.positions_m[at[same]][:, [markers.names.index(name) for name in common]]
    distance = np.linalg.norm(model_m - measured_m, axis=-1)
    per_marker = np.sqrt(np.nanmean(distance**2, axis=0)) if np.isfinite(distance).any() else np.zeros(len(common))
    worst = int(np.nanargmax(per_marker))
    return float(np.sqrt(np.nanmean(distance**2))), (
        f"{len(common)} markers, largest single {np.nanmax(distance) * 1000:.0f} mm, worst marker {common[worst]}"
    )


def map_residual(given: Given) -> Figure:
    """Measure the residual of the map from SKEL in joint positions, mm RMS."""
    return _residual(given.motion, "residual_m", 1000.0)


def map_angle_residual(given: Given) -> Figure:
    """Measure the residual of the map from SKEL in bone orientations, deg RMS."""
    return _residual(given.motion, "residual_rad", 180 / np.pi)


def _residual(motion: OsimMotion | None, name: str, factor: float) -> Figure:
    values = getattr(motion, name, None)
    if motion is None or values is None or values.size == 0:
        raise Skip("the motion was not mapped from SKEL here")
    per_body = np.sqrt(np.mean(values**2, axis=0)) * factor
    worst = int(np.argmax(per_body))
    return float(np.sqrt(np.mean(values**2)) * factor), f"largest at {motion.bodies[worst]}: {per_body[worst]:.1f}"


def consistency(given: Given) -> Figure:
    """Count contradictions between the motion's columns, time, units and values and the model."""
    problems = []
    if given.motion is not None:
        problems += [*_column_problems(given, given.motion), *_value_problems(given.motion)]
        if given.markers is not None and given.markers.time_s[-1] < given.motion.time_s[0]:
            problems.append("the markers end before the motion begins")
    return float(len(problems)), "; ".join(problems) or "columns, time, units and values fit"


def _column_problems(given: Given, motion: OsimMotion) -> Iterable[str]:
    """Describe the differences between the motion's columns and the model's coordinates."""
    if given.document is None:
        return
    known = given.document.coordinates
    extra = [name for name in motion.coordinates if name not in known]
    missing = [name for name in known if name not in motion.coordinates and name not in given.document.dependent]
    if extra:
        yield f"not in the model: {_listed(extra)}"
    if missing:
        yield f"in the model, not in the motion: {_listed(missing)}"
    for name, rotational in zip(motion.coordinates, motion.rotational, strict=True):
        if name in known and bool(rotational) != known[name].rotational:
            yield f"{name} is read as {'an angle' if rotational else 'a length'}, the model says otherwise"


def _value_problems(motion: OsimMotion) -> Iterable[str]:
    """Describe uneven time, and values that are probably in another unit."""
    steps = np.diff(motion.time_s)[~measures.gaps(motion.time_s)]
    if len(steps) > 1 and np.ptp(steps) > _UNEVEN * np.median(steps):
        yield f"uneven time: steps of {steps.min() * 1000:.1f} to {steps.max() * 1000:.1f} ms"
    largest = np.abs(motion.values_si).max(axis=0)
    for name, rotational, size in zip(motion.coordinates, motion.rotational, largest, strict=True):
        if rotational and size > _LARGEST_RAD:
            yield f"{name} reaches {size:.0f} rad: degrees read as radians?"
        elif not rotational and size > _LARGEST_M:
            yield f"{name} reaches {size:.0f} m: millimetres read as metres?"


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:_LISTED])}{' ...' if len(names) > _LISTED else ''}"

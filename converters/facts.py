"""What ``hsmr-bio info`` says of our types; the whole of it for a format that does not describe itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from hsmr_bio.types import FloatArray, GroundFit, Markers

from .content import Content

_EVEN = 0.01
"""Steps of time that differ by less than this share of the usual one are even: times are often rounded to milliseconds."""
_RATE_DIGITS = 4


def time_facts(time_s: FloatArray) -> dict[str, Any]:
    """Describe (T,) times: frames, first, last, mean rate, whether the steps are even."""
    steps = np.diff(time_s)
    even = len(steps) > 0 and np.ptp(steps) < _EVEN * np.median(steps)
    rate = round(float(1 / steps.mean()), _RATE_DIGITS) if len(steps) else None
    return {
        "frames": len(time_s),
        "from_s": float(time_s[0]),
        "to_s": float(time_s[-1]),
        "rate_hz": rate,
        "even": bool(even) if len(steps) else None,
    }


def marker_facts(markers: Markers) -> dict[str, Any]:
    """Describe markers: their times, and how much of each is missing."""
    missing = np.isnan(markers.positions_m[..., 0]).mean(axis=0)
    return {
        **time_facts(markers.time_s),
        "markers": {name: f"{share:.1%} missing" for name, share in zip(markers.names, missing, strict=True)},
    }


def content_facts(content: Content, format_name: str) -> dict[str, Any]:
    """Describe whatever a file holds.

    Args:
        content: of the file.
        format_name: for ``kind``.

    Returns:
        JSON values by name.
    """
    facts: dict[str, Any] = {"kind": f"{content.what.removeprefix('a ')} ({format_name})"}
    times_s = [*(motion.time_s for motion in content.people), *(motion.time_s for motion in content.smpl)]
    held: dict[str, Any] = {"notes": list(content.notes)} | ({"people": len(times_s)} if times_s else {})
    if content.coordinates is not None:
        times_s.append(content.coordinates.time_s)
        held["coordinates"] = list(content.coordinates.coordinates)
    if content.bones is not None:
        times_s.append(content.bones.time_s)
        held["bones"] = list(content.bones.names)
    if content.markers is not None:
        times_s.append(content.markers.time_s)
        held["markers"] = marker_facts(content.markers)["markers"]
    return facts | (time_facts(times_s[0]) if times_s else {}) | held


def ground_figures(ground: GroundFit | None) -> dict[str, Any]:
    """Give where the camera stands as JSON values, angles in degrees; nothing if it is not known."""
    figures: dict[str, Any] = {}
    for name, value in ({} if ground is None else vars(ground)).items():
        if name.endswith("_rad"):
            figures[name.removesuffix("_rad") + "_deg"] = float(np.degrees(value))
        else:
            figures[name] = value.tolist() if isinstance(value, np.ndarray) else value
    return figures

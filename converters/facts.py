"""Descriptions of our types for ``hsmr-bio info``, as JSON values."""

from __future__ import annotations

from typing import Any

import numpy as np

from hsmr_bio.types import FloatArray, GroundFit, Markers

from .content import Content

_EVEN = 0.01
"""Steps of time that differ by less than this share of the median are even: times are often rounded to milliseconds."""
_RATE_DIGITS = 4
"""Decimals of a rate in Hz."""


def time_facts(time_s: FloatArray) -> dict[str, Any]:
    """Describe (T,) times: frames, first, last, mean rate, whether the steps are even."""
    steps = np.diff(time_s)
    several = len(steps) > 0
    return {
        "frames": len(time_s),
        "from_s": float(time_s[0]),
        "to_s": float(time_s[-1]),
        "rate_hz": round(float(1 / steps.mean()), _RATE_DIGITS) if several else None,
        "even": bool(np.ptp(steps) < _EVEN * np.median(steps)) if several else None,
    }


def marker_facts(markers: Markers) -> dict[str, Any]:
    """Describe markers: their times, and the share of frames in which each is missing."""
    missing = np.isnan(markers.positions_m[..., 0]).mean(axis=0)
    shares = {name: f"{share:.1%} missing" for name, share in zip(markers.names, missing, strict=True)}
    return {**time_facts(markers.time_s), "markers": shares}


def content_facts(content: Content, format_name: str) -> dict[str, Any]:
    """Describe all types that a file holds.

    Args:
        content: of the file.
        format_name: for ``kind``.

    Returns:
        JSON values by name.
    """
    people = (*content.people, *content.smpl, *(centres.markers for centres in content.joints))
    held: dict[str, Any] = {"notes": list(content.notes)} | ({"people": len(people)} if people else {})
    if content.coordinates is not None:
        held["coordinates"] = list(content.coordinates.coordinates)
    if content.bones is not None:
        held["bones"] = list(content.bones.names)
    if content.joints:
        held["joints"] = marker_facts(content.joints[0].markers)["markers"]
        held |= {"axes": content.joints[0].axes, "segments": [segment.bone for segment in content.joints[0].segments]}
    if content.markers is not None:
        held["markers"] = marker_facts(content.markers)["markers"]
    if (seen := content.detections) is not None:
        numbered = seen.person[seen.person >= 0]
        held |= {"detector": seen.tool, "keypoint_set": seen.keypoint_set, "frames": len(seen.frames)}
        held |= {"from_frame": int(seen.frames[0]), "to_frame": int(seen.frames[-1]), "detections": len(seen.frame)}
        held |= {"numbered_people": len(np.unique(numbered)) or None, "notes": [*held["notes"], *seen.notes]}
    timed: list[Any] = [part for part in (*people, content.coordinates, content.bones, content.markers) if part is not None]
    kind = f"{content.what.removeprefix('a ')} ({format_name})"
    return {"kind": kind, **(time_facts(timed[0].time_s) if timed else {}), **held}


def ground_figures(ground: GroundFit | None) -> dict[str, Any]:
    """Return the place of the camera as JSON values, angles in degrees; empty if it is not known."""
    figures: dict[str, Any] = {}
    for name, value in ({} if ground is None else vars(ground)).items():
        if name.endswith("_rad"):
            figures[name.removesuffix("_rad") + "_deg"] = float(np.degrees(value))
        else:
            figures[name] = value.tolist() if isinstance(value, np.ndarray) else value
    return figures

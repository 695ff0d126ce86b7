"""The vertical axis of a C3D file: as given, as the file states it, or as plates and markers show it.

A stated axis is doubted where the person would hang under the force plates, or with the head down under the floor.

Source:
    The C3D File Format, Motion Lab Systems 2008: POINT:X_SCREEN and Y_SCREEN, FORCE_PLATFORM:CORNERS.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from hsmr_bio.errors import InputError
from hsmr_bio.types import FloatArray

Up = Literal["x", "y", "z", "-x", "-y", "-z"]
UPS: tuple[str, ...] = get_args(Up)
_TALLER = 1.3
"""Ratio of the largest spread to both others from which it names the vertical axis: a standing person's marker set is about
1.5 m tall and 0.6 m wide, that of a person on all fours has no such axis (own choice)."""
_LEVEL = 0.999
"""Smallest component of a plate's normal along an axis: 2.6 degrees."""
_CLEAR_M = 0.25
"""Difference of height between trunk and feet from which it shows which way is up (own choice)."""
_MOST_BELOW = 0.5
"""Share of the positions below zero up to which a person with the head below the feet is taken to do a handstand."""
_HIGH = re.compile(
    r"(?:^|[^a-z])[lrc]?(?:[fb]hd|head|vertex|sho|shoulder|acr|c7|t10|clav|strn|neck|asi|asis|psi|psis|sacr|hip)"
)
_LOW = re.compile(r"(?:^|[^a-z])[lr]?(?:ank|ankle|heel?|hee|toe|mt[125]|foot|calc|mal)")
"""Beginnings of names of markers on head and trunk, and on feet (Plug-in Gait, Helen Hayes and the like), in lower case."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Evidence:
    """What a file shows about its vertical axis; lengths in metres, the file's axes."""

    path: Path
    stated: str
    """``+z`` and the like of POINT:Y_SCREEN; anything else: not stated."""
    positions_m: FloatArray
    """(T, P, 3)."""
    names: Sequence[str]
    corners_m: FloatArray
    """(N, 4, 3) of force plates; none: N is 0."""


def turn_to_y_up(evidence: Evidence, up: Up | None) -> tuple[FloatArray, str]:
    """Choose the vertical axis.

    Args:
        evidence: of the file.
        up: the given axis; None: as the file shows it.

    Returns:
        (3, 3) rotation from the file's axes to y up, and the axis with the reason for it.

    Raises:
        InputError: the axis is neither given nor clear.
    """
    if up is not None:
        axis, sign = "xyz".index(up[-1]), -1.0 if up[0] == "-" else 1.0
        return _rotation_to_y(axis, sign), f"{_word(axis, sign)} (as given)"
    stated = evidence.stated.strip().lower()
    if len(stated) == 2 and stated[0] in "+-" and stated[1] in "xyz":
        axis, sign, reason = _checked(evidence, "xyz".index(stated[1]), -1.0 if stated[0] == "-" else 1.0)
    else:
        axis, sign, reason = _shown(evidence)
    return _rotation_to_y(axis, sign), f"{_word(axis, sign)} ({reason})"


def _checked(evidence: Evidence, axis: int, sign: float) -> tuple[int, float, str]:
    """The stated axis, or the one that plates or markers show where it cannot be."""
    says = f"the file's POINT:Y_SCREEN says {_word(axis, sign)}"
    normal, over = _normal(evidence.corners_m), _over_plates(evidence, axis, sign)
    upright = _upright(evidence, axis, sign)
    if normal is not None and normal != axis:
        facing = _over_plates(evidence, normal, 1.0)
        if facing is None or _upright(evidence, normal, 1.0 if facing else -1.0) is False:
            raise _ask(evidence, f"{says}, but the force plates are level along {'xyz'[normal]}")
        return normal, 1.0 if facing else -1.0, f"{says}, but the force plates are level along this axis"
    if over is False:
        if upright is True:
            raise _ask(evidence, f"{says}, which puts the markers under the force plates, but their names are upright")
        return axis, -sign, f"{says}, which would put the markers under the force plates: doubted"
    if upright is False and over is None:
        below = _share_below(evidence, axis, sign)
        if below == 1.0:
            return axis, -sign, f"{says}, which would put the head below the feet and everything below zero: doubted"
        if below > _MOST_BELOW:
            raise _ask(evidence, f"{says}, which puts the head below the feet and most markers below zero")
    note = ", though head and trunk are below the feet" if upright is False else ""
    return axis, sign, f"the file's POINT:Y_SCREEN{note}"


def _shown(evidence: Evidence) -> tuple[int, float, str]:
    """The axis that the plates, else the markers show."""
    normal = _normal(evidence.corners_m)
    over = None if normal is None else _over_plates(evidence, normal, 1.0)
    if normal is not None and over is not None:
        return normal, 1.0 if over else -1.0, "the file states none; the force plates are level along it"
    axis = _tallest_axis(evidence)
    hangs = _upright(evidence, axis, 1.0) is False and _share_below(evidence, axis, 1.0) > _MOST_BELOW
    sign = -1.0 if hangs else 1.0
    return axis, sign, "the file states none; the markers spread most along it"


def _normal(corners_m: FloatArray) -> int | None:
    """The axis along which the plates are level; None without plates, or if they are not level or differ."""
    found = set()
    for corners in corners_m:
        normal = np.abs(np.cross(corners[1] - corners[0], corners[2] - corners[1]))
        length = float(np.linalg.norm(normal))
        found.add(int(normal.argmax()) if length > 0 and normal.max() > _LEVEL * length else None)
    return found.pop() if len(found) == 1 else None


def _over_plates(evidence: Evidence, axis: int, sign: float) -> bool | None:
    """Whether the markers are above the plates along an axis; None without plates that are level along it."""
    if _normal(evidence.corners_m) != axis:
        return None
    heights = sign * evidence.positions_m[..., axis]
    heights = heights[np.isfinite(heights)]
    if not heights.size:
        return None
    return bool(np.median(heights) > np.median(sign * evidence.corners_m[..., axis]))


def _share_below(evidence: Evidence, axis: int, sign: float) -> float:
    """Share of the positions that are below zero."""
    heights = evidence.positions_m[..., axis]
    return float((sign * heights[np.isfinite(heights)] < 0).mean())


def _upright(evidence: Evidence, axis: int, sign: float) -> bool | None:
    """Whether head and trunk are above the feet by the names of the markers; None if that is not clear."""
    heights = [
        sign * evidence.positions_m[:, [bool(part.search(name.lower())) for name in evidence.names], axis]
        for part in (_HIGH, _LOW)
    ]
    if any(not np.isfinite(part).any() for part in heights):
        return None
    difference_m = float(np.nanmedian(heights[0]) - np.nanmedian(heights[1]))
    return None if abs(difference_m) < _CLEAR_M else difference_m > 0


def _tallest_axis(evidence: Evidence) -> int:
    seen = np.isfinite(evidence.positions_m).all(axis=-1)
    frames = evidence.positions_m[seen.sum(axis=1) >= 3]
    spread = np.zeros(3)
    if len(frames):
        spread = np.median(np.nanmax(frames, axis=1) - np.nanmin(frames, axis=1), axis=0)
    axis = int(np.argmax(spread))
    if spread[axis] < _TALLER * np.delete(spread, axis).max() or spread[axis] == 0:
        sizes = ", ".join(f"{size:.2f}" for size in spread)
        raise _ask(
            evidence,
            "the file does not state its vertical axis (POINT:Y_SCREEN) and the markers do not show it "
            f"(they spread over {sizes} m along x, y, z)",
        )
    return axis


def _ask(evidence: Evidence, problem: str) -> InputError:
    return InputError(f"{evidence.path}: {problem}: say which axis points up (--up x, y, z, or --up=-z ...)")


def _word(axis: int, sign: float) -> str:
    return f"{'-' if sign < 0 else '+'}{'xyz'[axis]}"


def _rotation_to_y(axis: int, sign: float) -> FloatArray:
    """(3, 3) rotation by the smallest angle that brings ``sign`` times the axis to +y; for -y, half a turn about x."""
    if axis == 0:
        return np.array([[0.0, -sign, 0.0], [sign, 0.0, 0.0], [0.0, 0.0, 1.0]])
    if axis == 1:
        return np.diag([1.0, sign, sign])
    return np.array([[1.0, 0.0, 0.0], [0.0, 0.0, sign], [0.0, -sign, 0.0]])

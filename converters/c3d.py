"""C3D, the exchange file of optical motion capture, to and from :class:`Markers`, through ezc3d.

Source:
    The C3D File Format, Motion Lab Systems 2008: header, parameters POINT, ANALOG, FORCE_PLATFORM, the screen axes.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hsmr_bio.arrays import increasing_time
from hsmr_bio.errors import FormatError, InputError, require
from hsmr_bio.io.atomic import new_file
from hsmr_bio.io.c3d import open_c3d
from hsmr_bio.io.repairs import zeros_to_gaps
from hsmr_bio.types import FloatArray, Markers

from .content import Content, ConvertOptions, Written, as_markers
from .facts import marker_facts

Up = Literal["x", "y", "z"]

_FEATURE = "reading and writing .c3d"
_METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001}
_JITTER_FRAMES = 0.1
"""Times may stray this much from an even grid: a file at 120 Hz with three decimals strays by 0.06 frames."""
_TALLER = 1.3
"""Ratio of the largest spread to both others from which it names the vertical axis: a standing person's marker set is about
1.5 m tall and 0.6 m wide, that of a person on all fours has no such axis (own choice)."""
_MOST_MARKERS, _MOST_FRAMES = 255, 65535
"""Limits of the header's 8-bit and 16-bit counts (C3D File Format, header section)."""
_WHOLE_FRAMES = 0.01
"""A first time this close to a whole number of frames is one: times are rounded in text files (own choice)."""
_WHOLE_RATE = 1e-4
"""A rate this close to a whole number, relative to it, is one."""


@dataclass(frozen=True, eq=False, kw_only=True)
class C3dFile:
    """Content of a C3D file, markers with y up."""

    markers: Markers
    rate_hz: float
    up: str
    """Vertical axis of the file: ``"+y"``, ``"+z"`` ... and its source."""
    analog_channels: tuple[str, ...]
    force_plates: int
    events: int

    @property
    def not_in_markers(self) -> tuple[str, ...]:
        """What :attr:`markers` does not hold, for the report of a conversion."""
        counts = {"analog channels": len(self.analog_channels), "force plates": self.force_plates, "events": self.events}
        return tuple(f"{count} {name}" for name, count in counts.items() if count)


def read_c3d(path: str | os.PathLike[str], *, up: Up | None = None) -> C3dFile:
    """Read the points of a C3D file as markers.

    The first frame keeps the number that the header gives. Points with a negative residual or a NaN are not seen. The vertical
    axis is ``up``, else what the file states (POINT:Y_SCREEN), else the axis along which the markers of a frame spread most,
    if that is clear.

    Args:
        path: the file.
        up: vertical axis, if the file states none or the wrong one.

    Returns:
        The markers, and what else is in the file.

    Raises:
        FormatError: no C3D file, truncated, without points or rate, or in an unknown unit.
        InputError: the vertical axis is not x, y or z, or is neither given nor recognisable.
        MissingDependencyError: ezc3d is not installed.
    """
    path = Path(path)
    if up not in (None, "x", "y", "z"):
        raise InputError(f"up must be x, y or z, got {up!r}")
    content = open_c3d(path, feature=_FEATURE)
    parameters = content["parameters"]
    points = np.asarray(content["data"]["points"], dtype=np.float64)
    if points.ndim != 3 or points.shape[1] == 0 or points.shape[2] == 0:
        raise FormatError(path, "POINT", "the file holds no points: nothing can be read as markers")
    rate_hz = float(_value(parameters, "POINT", "RATE", [0.0])[0])
    if not np.isfinite(rate_hz) or rate_hz <= 0:
        raise FormatError(path, "POINT:RATE", f"the frame rate must be positive, it is {rate_hz:g}")
    positions = points[:3].transpose(2, 1, 0) * _unit(path, parameters)
    positions[~np.isfinite(positions).all(axis=-1)] = np.nan  # ezc3d gives NaN where the residual is negative
    names = _labels(path, parameters, positions.shape[1])
    positions = zeros_to_gaps(path, names, positions)
    to_y_up, up_note = _turn_to_y_up(path, parameters, positions, up)
    first = int(content["header"]["points"]["first_frame"])
    markers = Markers(
        time_s=(first + np.arange(len(positions))) / rate_hz,
        names=names,
        positions_m=positions @ to_y_up.T,
    )
    return C3dFile(
        markers=markers,
        rate_hz=rate_hz,
        up=up_note,
        analog_channels=tuple(str(name) for name in _value(parameters, "ANALOG", "LABELS", [])),
        force_plates=int(np.ravel(_value(parameters, "FORCE_PLATFORM", "USED", [0]))[0]),
        events=int(np.ravel(_value(parameters, "EVENT", "USED", [0]))[0]),
    )


def from_c3d(path: Path, options: ConvertOptions) -> Content:
    """Read markers.

    Args:
        path: the file.
        options: ``up``.

    Returns:
        Markers.
    """
    file = read_c3d(path, up=options.up)
    lost = (f"of the C3D file: {', '.join(file.not_in_markers)}",) if file.not_in_markers else ()
    return Content(name=path.stem, markers=file.markers, lost=lost, notes=(f"vertical axis {file.up}",))


def to_c3d(path: Path, content: Content, options: ConvertOptions) -> Written:
    """Write markers, or joint centres as markers.

    Args:
        path: the file.
        content: see :func:`~hsmr_bio.converters.content.as_markers`.
        options: ``body``.

    Returns:
        What the file does not hold.
    """
    markers, lost = as_markers(content, options)
    write_c3d(path, markers)
    return Written(lost=lost)


def c3d_facts(path: Path) -> dict[str, Any]:
    """Describe markers, vertical axis, analog channels, events and force plates."""
    from hsmr_bio.dynamics.load_files import read_c3d_plates

    try:
        file = read_c3d(path)
        up = file.up
    except FormatError:
        raise
    except InputError:  # the vertical axis is not known; the rest can be described all the same
        file, up = read_c3d(path, up="z"), "not stated"
    plates: int | str | dict[str, dict[str, float]] = file.force_plates
    if file.force_plates:
        try:
            forces = read_c3d_plates(path).forces
            plates = {plate.name: {"peak_n": float(np.linalg.norm(plate.force_n, axis=1).max())} for plate in forces}
        except FormatError as error:
            plates = str(error)
    facts = {"kind": "C3D", "vertical axis": up, **marker_facts(file.markers)}
    return facts | {"analog channels": list(file.analog_channels), "events": file.events, "force plates": plates}


def write_c3d(path: str | os.PathLike[str], markers: Markers) -> None:
    """Write markers as a C3D file in millimetres, y up, with the time of the first frame in the header.

    Values are stored as float32. A marker that is not seen gets residual -1, as the format requires.

    Args:
        path: the file; replaced if it exists.
        markers: at least one marker, evenly sampled.

    Raises:
        InputError: uneven sampling, more than 255 markers or 65535 frames, or a first time between two frames.
        MissingDependencyError: ezc3d is not installed.
    """
    ezc3d = require("ezc3d", feature=_FEATURE, extra="c3d")
    rate_hz = even_rate_hz(markers.time_s, "a .c3d file")
    frames, count = markers.positions_m.shape[:2]
    if not 0 < count <= _MOST_MARKERS or frames > _MOST_FRAMES:
        limits = f"1 to {_MOST_MARKERS} markers and at most {_MOST_FRAMES} frames"
        raise InputError(f"a .c3d file holds {limits}, got {count} and {frames}: split the trial")
    first = markers.time_s[0] * rate_hz
    if abs(first - round(first)) > _WHOLE_FRAMES or not 0 <= round(first) <= _MOST_FRAMES - frames:
        raise InputError(
            f"a .c3d file counts frames from 0 s to {_MOST_FRAMES}, but the first frame is at {markers.time_s[0]:g} s "
            f"({first:.3f} frames of {rate_hz:g} Hz): shift the time so that it starts at 0"
        )
    content = ezc3d.c3d()
    points = np.ones((4, count, frames))
    points[:3] = markers.positions_m.transpose(2, 1, 0) * 1000
    point = content["parameters"]["POINT"]
    point["RATE"]["value"] = [rate_hz]
    point["LABELS"]["value"] = list(markers.names)
    point["UNITS"]["value"] = ["mm"]
    content.add_parameter("POINT", "X_SCREEN", ["+X"])
    content.add_parameter("POINT", "Y_SCREEN", ["+Y"])
    content["header"]["points"]["first_frame"] = round(first)
    content["data"]["points"] = points
    with new_file(path) as part, tempfile.TemporaryDirectory() as folder:
        content.write(f"{folder}/a.c3d")  # ezc3d insists on this ending
        shutil.copyfile(f"{folder}/a.c3d", part)


def even_rate_hz(time_s: FloatArray, target: str) -> float:
    """Return the sampling rate of an even time column.

    Args:
        time_s: (T,).
        target: what needs the rate, for the message.

    Returns:
        Hz; rounded to a whole number if it is one within a ten-thousandth. A single frame counts as 1 Hz.

    Raises:
        InputError: a time strays by more than a tenth of a frame from an even grid.
    """
    time_s = increasing_time(time_s)
    if len(time_s) == 1:
        return 1.0
    rate_hz = (len(time_s) - 1) / (time_s[-1] - time_s[0])
    drift = np.abs(time_s - time_s[0] - np.arange(len(time_s)) / rate_hz).max() * rate_hz
    if drift > _JITTER_FRAMES:
        raise InputError(
            f"{target} needs evenly sampled data, but the time column strays by {drift:.2f} frames from {rate_hz:g} Hz: "
            "resample first (hsmr_bio.filtering.resample)"
        )
    whole = round(rate_hz)
    return float(whole if abs(rate_hz / whole - 1) < _WHOLE_RATE else rate_hz)


def _value(parameters: Any, group: str, name: str, default: list[Any]) -> list[Any]:
    if group not in parameters or name not in parameters[group]:
        return default
    value = parameters[group][name]["value"]
    return list(value) if len(value) else default


def _unit(path: Path, parameters: Any) -> float:
    name = str(_value(parameters, "POINT", "UNITS", [""])[0]).strip()
    if name.lower() not in _METRES:
        raise FormatError(path, "POINT:UNITS", f"the unit of the points must be one of m, cm, mm, it is {name!r}")
    return _METRES[name.lower()]


def _labels(path: Path, parameters: Any, count: int) -> tuple[str, ...]:
    labels = [str(name).strip() for key in ("LABELS", "LABELS2", "LABELS3") for name in _value(parameters, "POINT", key, [])]
    names = [name or f"point_{index + 1}" for index, name in enumerate(labels[:count])]
    names += [f"point_{index + 1}" for index in range(len(names), count)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise FormatError(path, "POINT:LABELS", f"marker names must differ; twice: {', '.join(twice)}. Rename one of each")
    return tuple(names)


def _turn_to_y_up(path: Path, parameters: Any, positions_m: FloatArray, up: Up | None) -> tuple[FloatArray, str]:
    stated = str(_value(parameters, "POINT", "Y_SCREEN", [""])[0]).strip().lower()
    if up is not None:
        axis, sign, note = "xyz".index(up), 1.0, f"+{up} (as given)"
    elif len(stated) == 2 and stated[0] in "+-" and stated[1] in "xyz":
        axis, sign, note = "xyz".index(stated[1]), -1.0 if stated[0] == "-" else 1.0, f"{stated} (the file's POINT:Y_SCREEN)"
    else:
        axis = _tallest_axis(path, positions_m)
        sign, note = 1.0, f"+{'xyz'[axis]} (the file states none; the markers spread most along it)"
    return _rotation_to_y(axis, sign), note


def _tallest_axis(path: Path, positions_m: FloatArray) -> int:
    seen = np.isfinite(positions_m).all(axis=-1)
    frames = positions_m[seen.sum(axis=1) >= 3]
    spread = np.zeros(3)
    if len(frames):
        spread = np.median(np.nanmax(frames, axis=1) - np.nanmin(frames, axis=1), axis=0)
    axis = int(np.argmax(spread))
    if spread[axis] < _TALLER * np.delete(spread, axis).max() or spread[axis] == 0:
        sizes = ", ".join(f"{size:.2f}" for size in spread)
        raise InputError(
            f"{path}: the file does not state its vertical axis (POINT:Y_SCREEN) and the markers do not show it "
            f"(they spread over {sizes} m along x, y, z): say which axis points up (--up x, y or z)"
        )
    return axis


def _rotation_to_y(axis: int, sign: float) -> FloatArray:
    """(3, 3) rotation by the smallest angle that brings ``sign`` times the axis to +y; for -y, half a turn about x."""
    if axis == 0:
        return np.array([[0.0, -sign, 0.0], [sign, 0.0, 0.0], [0.0, 0.0, 1.0]])
    if axis == 1:
        return np.diag([1.0, sign, sign])
    return np.array([[1.0, 0.0, 0.0], [0.0, 0.0, sign], [0.0, -sign, 0.0]])

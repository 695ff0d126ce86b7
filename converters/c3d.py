"""C3D, the exchange file of optical motion capture, to and from :class:`Markers`, through ezc3d.

Source:
    The C3D File Format, Motion Lab Systems 2008: header, parameters POINT, ANALOG, FORCE_PLATFORM, the screen axes.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hsmr_bio.arrays import increasing_time
from hsmr_bio.errors import FormatError, InputError, require
from hsmr_bio.io.atomic import new_file
from hsmr_bio.io.c3d import open_c3d, refuse_short
from hsmr_bio.io.door import reader
from hsmr_bio.io.repairs import unseen_zeros
from hsmr_bio.option_checks import check_choice
from hsmr_bio.types import FloatArray, Markers

from .c3d_axes import UPS, Evidence, Up, turn_to_y_up
from .c3d_capture import capture_of_loads, listed, read_capture, turned, values_of, write_capture
from .capture import Capture
from .content import Content, ConvertOptions, Written, as_markers
from .facts import marker_facts

_FEATURE = "reading and writing .c3d"
_METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001}
_JITTER_FRAMES = 0.1
"""Times may stray this much from an even grid: a file at 120 Hz with three decimals strays by 0.06 frames."""
_OUTPUTS = re.compile(r"^(ANGLES|FORCES|MOMENTS|POWERS|SCALARS)\d*$")
"""Parameters of POINT that name results of a model: degrees, newtons and the like in place of positions."""
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
    capture: Capture
    """Events, analog channels and force plates."""
    outputs: tuple[str, ...] = ()
    """Names of the points that are a model's angles, moments and the like; they are left out."""
    notes: tuple[str, ...] = ()
    """How labels and gaps were read."""


@reader
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
    if up is not None:
        check_choice("up", up, UPS)
    content = open_c3d(path, feature=_FEATURE)
    parameters = content["parameters"]
    points = np.asarray(content["data"]["points"], dtype=np.float64)
    if points.ndim != 3 or points.shape[1] == 0 or points.shape[2] == 0:
        raise FormatError(path, "POINT", "the file holds no points: nothing can be read as markers")
    rate_hz, metres = rate_of(path, parameters), unit_of(path, parameters)
    labels, results, notes = _labels(parameters, points.shape[1])
    markers = [index for index, result in enumerate(results) if not result]
    if not markers:
        raise FormatError(path, "POINT", "all points are results of a model (POINT:ANGLES and the like): there are no markers")
    positions = points[:3].transpose(2, 1, 0)[:, markers] * metres
    positions[~np.isfinite(positions).all(axis=-1)] = np.nan  # ezc3d gives NaN where the residual is negative
    positions, zeros = unseen_zeros(positions)
    names = tuple(labels[index] for index in markers)
    capture = read_capture(path, content, to_ground=np.eye(3), metres=metres)
    evidence = Evidence(
        path=path,
        stated=text_of(parameters, "POINT", "Y_SCREEN"),
        positions_m=positions,
        names=names,
        corners_m=np.stack([plate.corners_m for plate in capture.plates]) if capture.plates else np.zeros((0, 4, 3)),
    )
    to_y_up, up_note = turn_to_y_up(evidence, up)
    first = int(content["header"]["points"]["first_frame"])
    return C3dFile(
        markers=Markers(time_s=(first + np.arange(len(positions))) / rate_hz, names=names, positions_m=positions @ to_y_up.T),
        rate_hz=rate_hz,
        up=up_note,
        capture=turned(capture, to_y_up),
        outputs=tuple(name for name, result in zip(labels, results, strict=True) if result),
        notes=(*notes, *zeros),
    )


def from_c3d(path: Path, options: ConvertOptions) -> Content:
    """Read markers, events, analog channels and force plates.

    Args:
        path: the file.
        options: ``up``.

    Returns:
        Markers with their recording.
    """
    file = read_c3d(path, up=options.up)
    lost = (f"{len(file.outputs)} results of a model ({', '.join(file.outputs[:3])} ...)",) if file.outputs else ()
    notes = (f"vertical axis {file.up}", *file.notes)
    return Content(name=path.stem, markers=file.markers, capture=file.capture, lost=lost, notes=notes)


def to_c3d(path: Path, content: Content, options: ConvertOptions) -> Written:
    """Write markers, or joint centres as markers, with events, analog channels and force plates.

    Args:
        path: the file.
        content: see :func:`~hsmr_bio.converters.content.as_markers`.
        options: ``body``; ``loads``: external forces that become force plates.

    Returns:
        What the file does not hold.
    """
    markers, lost = as_markers(content, options)
    capture = content.capture
    if options.loads is not None:
        from hsmr_bio.dynamics.load_files import read_loads

        rate_hz = even_rate_hz(markers.time_s, "a .c3d file")
        made = capture_of_loads(read_loads(options.loads), markers.time_s, rate_hz)
        capture = made if capture is None else replace(made, events=capture.events)
    write_c3d(path, markers, capture)
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
    plates: int | str | dict[str, dict[str, float]] = len(file.capture.plates)
    if plates:
        try:
            forces = read_c3d_plates(path).forces
            plates = {plate.name: {"peak_n": float(np.linalg.norm(plate.force_n, axis=1).max())} for plate in forces}
        except FormatError as error:
            plates = str(error)
    facts = {"kind": "C3D", "vertical axis": up, **marker_facts(file.markers)}
    events = [f"{event.context} {event.label} {event.time_s:.3f} s".strip() for event in file.capture.events]
    facts |= {"analog channels": list(file.capture.channels), "events": events, "force plates": plates}
    return facts | {"model results": list(file.outputs), "notes": list(file.notes)}


def write_c3d(path: str | os.PathLike[str], markers: Markers, capture: Capture | None = None) -> None:
    """Write markers as a C3D file in millimetres, y up, with the time of the first frame in the header.

    Values are stored as float32. A marker that is not seen gets residual -1, as the format requires.

    Args:
        path: the file; replaced if it exists.
        markers: at least one marker, evenly sampled.
        capture: events, analog channels and force plates of the same frames, or None.

    Raises:
        InputError: uneven sampling, more than 255 markers or 65535 frames, a first time between two frames, or analog samples
            of other frames.
        MissingDependencyError: ezc3d is not installed.
    """
    ezc3d = require("ezc3d", feature=_FEATURE)
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
    if capture is not None:
        write_capture(content, capture, rate_hz=rate_hz, frames=frames)
    with new_file(path) as part, tempfile.TemporaryDirectory() as folder:
        content.write(f"{folder}/a.c3d")  # ezc3d insists on this ending
        refuse_short(Path(folder, "a.c3d"))
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


def rate_of(path: Path, parameters: Any) -> float:
    """Return POINT:RATE.

    Args:
        path: of the file, for messages.
        parameters: ezc3d's.

    Returns:
        Hz.

    Raises:
        FormatError: not positive.
    """
    rate_hz = float((values_of(parameters, "POINT", "RATE") or [0.0])[0])
    if not np.isfinite(rate_hz) or rate_hz <= 0:
        raise FormatError(path, "POINT:RATE", f"the frame rate must be positive, it is {rate_hz:g}")
    return rate_hz


def text_of(parameters: Any, group: str, name: str) -> str:
    """Return the first text of a parameter.

    Args:
        parameters: ezc3d's.
        group: name of the group.
        name: of the parameter.

    Returns:
        The text; empty if there is none.
    """
    return str((values_of(parameters, group, name) or [""])[0]).strip()


def unit_of(path: Path, parameters: Any) -> float:
    """Return the length of the file's unit.

    Args:
        path: of the file, for messages.
        parameters: ezc3d's.

    Returns:
        Metres.

    Raises:
        FormatError: an unknown unit.
    """
    name = text_of(parameters, "POINT", "UNITS")
    if name.lower() not in _METRES:
        raise FormatError(path, "POINT:UNITS", f"the unit of the points must be one of m, cm, mm, it is {name!r}")
    return _METRES[name.lower()]


def _labels(parameters: Any, count: int) -> tuple[list[str], list[bool], tuple[str, ...]]:
    """Names of all points, distinct; whether each is a result of a model; and a note if names had to be made distinct.

    A subject's name in front (``Anna:``) does not matter for the results.
    """
    labels = [str(name).strip() for name in listed(parameters, "POINT", "LABELS")][:count]
    labels += [""] * (count - len(labels))
    groups = [name for name in parameters["POINT"] if _OUTPUTS.match(name)]
    named = {_bare(name) for group in groups for name in values_of(parameters, "POINT", group)} - {""}
    names = [name or f"point_{index + 1}" for index, name in enumerate(labels)]
    twice = sorted({name for name in names if names.count(name) > 1})
    for index, name in enumerate(names):
        number = names[:index].count(name) + 1
        if number > 1:
            names[index] = next(f"{name}_{n}" for n in range(number, count + 2) if f"{name}_{n}" not in names)
    note = f"several points of one name: {', '.join(twice)}; the later ones are called {twice[0]}_2 ..." if twice else ""
    return names, [_bare(label) in named for label in labels], (note,) if twice else ()


def _bare(label: object) -> str:
    return str(label).strip().rpartition(":")[2]

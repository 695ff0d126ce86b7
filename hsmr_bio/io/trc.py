"""``.trc`` files: marker positions over time.

Five header lines (type, keys, values of the keys, marker names, X1 Y1 Z1 ...), then tab-separated frames: number,
time, three cells per marker; empty cells mean that the marker was not seen.

Source:
    OpenSim documentation, "Marker (.trc) Files"; checked against OpenSim 4.6's ``MarkerData`` and ``TRCFileAdapter``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from ..errors import FormatError, InputError
from ..types import FloatArray, Markers
from .atomic import new_file
from .door import reader
from .repairs import compare_count, repeated_columns, say, shown, unseen_zeros, without_repeats
from .table import blocks, check_time, parse_rows, read_bytes, time_cells

_UNIT_M = {"m": 1.0, "mm": 1e-3, "cm": 1e-2, "meters": 1.0, "millimeters": 1e-3}
"""Unit in a header -> metres."""
_DECIMALS = {"m": 6, "mm": 3}
"""Unit of a written file -> decimals that give a micrometre."""
_NEEDED = ("NumMarkers", "Units")
_COMPONENTS = 3
"""Cells per marker: x, y, z."""


@reader
def read_trc(path: str | os.PathLike[str]) -> Markers:
    """Read markers in the unit that the header states.

    Args:
        path: the file.

    Returns:
        Positions in metres; NaN where one of a marker's three cells is empty or NaN, or all are 0 while others are not.

    Raises:
        FormatError: the file breaks the format, states no known unit, is truncated, or its time does not increase.
    """
    data = read_bytes(path)
    head = data.split(b"\n", 5)
    lines = [line.decode("utf-8", "replace") for line in head[:5]]
    if not lines[0].lstrip().startswith("PathFileType"):
        raise FormatError(path, 1, "the file must start with PathFileType: this is not a .trc file")
    if len(lines) < 5:
        raise FormatError(path, len(lines), "the header is cut off")
    header = _header(path, lines)
    body = head[5] if len(head) > 5 else b""
    skipped = len(body) - len(body.lstrip(b"\n \t"))
    line = 6 + body[:skipped].count(b"\n")
    body = body[body.rfind(b"\n", 0, skipped) + 1 :]
    names = _names(path, lines[3], body)
    compare_count(path, "NumMarkers", header["NumMarkers"], len(names))
    width = 2 + _COMPONENTS * len(names)
    values = parse_rows(path, _fill_empty(path, body, width, line), width, line)
    compare_count(path, "NumFrames", header.get("NumFrames"), len(values))
    keep = without_repeats(path, values[:, 1], values[:, 1:])
    check_time(path, values[:, 1], body, line, keep)
    time_s, values = values[keep, 1], values[keep, 2:]
    positions = values.reshape(len(values), len(names), _COMPONENTS)
    positions[np.isnan(positions).any(axis=2)] = np.nan
    names, kept = _distinct(path, names, positions)
    positions, notes = unseen_zeros(positions[:, kept])
    for note in notes:
        say(path, note)
    return Markers(time_s=time_s, names=names, positions_m=positions * _UNIT_M[header["Units"].lower()])


def _distinct(path: str | os.PathLike[str], names: tuple[str, ...], positions: FloatArray) -> tuple[tuple[str, ...], list[int]]:
    """Markers with a name, and their columns; of a name's second marker at other places the name gets a number."""
    flat = positions.transpose(0, 2, 1).reshape(-1, len(names))
    first, other = repeated_columns(path, names, flat)
    kept = [column for column in sorted([*first, *other]) if names[column]]
    if "" in names:
        say(path, "markers without a name are left out")
    found: list[str] = []
    for column in kept:
        name, number = names[column], 2
        while name in found or (column in other and name in names):
            name, number = f"{names[column]}_{number}", number + 1
        found.append(name)
    return tuple(found), kept


def write_trc(
    path: str | os.PathLike[str],
    markers: Markers,
    *,
    unit: str = "m",
    rate_hz: float | None = None,
    decimals: int | None = None,
    overwrite: bool = True,
) -> None:
    """Write markers so that OpenSim, Mokka and others read them.

    Args:
        path: the file; appears when it is complete.
        markers: T frames of M markers; a marker that was not seen becomes empty cells.
        unit: ``"m"`` or ``"mm"``.
        rate_hz: for the header; None: frames per second over the whole file (1 if there is one frame).
        decimals: digits behind the point; None: a micrometre.
        overwrite: whether an existing file may be replaced.

    Raises:
        InputError: an unknown unit, a name with a tab in it, or the file exists.
    """
    if unit not in _DECIMALS:
        raise InputError(f"the unit of a .trc file must be m or mm, got {unit!r}")
    if not markers.names:
        raise InputError("there is no marker to write")
    for name in markers.names:
        if not name.strip() or re.search(r"[\t\n\r]", name):
            raise InputError(f"{name!r} cannot be the name of a marker in {os.fspath(path)}")
    places = decimals if decimals is not None else _DECIMALS[unit]
    values = (markers.positions_m / _UNIT_M[unit]).reshape(len(markers.time_s), -1)
    times = time_cells(path, markers.time_s)
    with new_file(path, overwrite=overwrite) as part, part.open("w", encoding="utf-8", newline="\n") as out:
        out.write(_header_text(Path(path).name, markers, unit, rate_hz or mean_rate_hz(markers.time_s)))
        row = "%d\t%s" + f"\t%.{places}f" * values.shape[1] + "\n"
        number = 0
        for block in blocks(values):
            text = "".join(row % (i + 1, times[i], *cells) for i, cells in enumerate(block, start=number))
            if "nan" in text:  # OpenSim's reader miscounts a row that ends in an empty cell without a tab behind it
                text = text.replace("\tnan", "\t").replace("\t\n", "\t\t\n")
            out.write(text)
            number += len(block)


def mean_rate_hz(time_s: FloatArray) -> float:
    """Frames per second over the whole record; 1 if there is only one frame."""
    return float((len(time_s) - 1) / (time_s[-1] - time_s[0])) if len(time_s) > 1 else 1.0


def _header_text(name: str, markers: Markers, unit: str, rate_hz: float) -> str:
    rate = f"{rate_hz:.6f}".rstrip("0").rstrip(".")
    frames, count = len(markers.time_s), len(markers.names)
    keys = ("DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units", "OrigDataRate", "OrigDataStartFrame", "OrigNumFrames")
    values = (rate, rate, frames, count, unit, rate, 1, frames)
    axes = "".join(f"\tX{i}\tY{i}\tZ{i}" for i in range(1, count + 1))
    return (
        f"PathFileType\t4\t(X/Y/Z)\t{name}\n"
        + "\t".join(keys)
        + "\n"
        + "\t".join(str(value) for value in values)
        + "\nFrame#\tTime\t"
        + "\t\t\t".join(markers.names)
        + f"\t\t\n\t{axes}\n\n"
    )


def _header(path: str | os.PathLike[str], lines: list[str]) -> dict[str, str]:
    header = dict(zip(lines[1].split(), lines[2].split(), strict=False))
    for key in _NEEDED:
        if key not in header:
            raise FormatError(path, 2, f"the header has no {key}")
    if header["Units"].lower() not in _UNIT_M:
        raise FormatError(path, 3, f"unknown Units {shown(header['Units'])!r}; known: {', '.join(_UNIT_M)}")
    return header


def _names(path: str | os.PathLike[str], line: str, body: bytes) -> tuple[str, ...]:
    """Names of the markers; "" for one without a name between others, each name above the first of its three columns."""
    cells = [cell.strip() for cell in line.rstrip().split("\t")[2:]]
    names = tuple(cell for cell in cells if cell)
    if not names:
        raise FormatError(path, 4, "there are no marker names, separated by tabs")
    placed = tuple(cells[::_COMPONENTS])
    held = (len(body.split(b"\n", 1)[0].rstrip().split(b"\t")) - 2) / _COMPONENTS
    return placed if len(names) < held and sum(map(bool, placed)) == len(names) else names


def _fill_empty(path: str | os.PathLike[str], body: bytes, width: int, line: int) -> bytes:
    """Put ``nan`` into empty cells, so that white space separates them."""
    if not any(sign in body for sign in (b"\t\t", b"\t\n", b"\t ")) and not body.endswith(b"\t"):
        return body
    rows = body.split(b"\n")
    while not rows[-1].strip():
        rows.pop()
    filled = []
    for number, row in enumerate(rows, start=line):
        cells = row.split(b"\t")
        if len(cells) > width and not any(cell.strip() for cell in cells[width:]):
            del cells[width:]
        if len(cells) != width:
            raise FormatError(path, number, f"{len(cells)} cells in the row, {width} expected (frame, time, X Y Z per marker)")
        filled.append(b"\t".join(cell if cell.strip() else b"nan" for cell in cells))
    return b"\n".join(filled)

"""DeepLabCut's tables: ``.csv``, and ``.h5`` as pandas stores it, with one or several individuals.

The columns have headings of three or four levels: scorer, (individuals,) bodyparts, coords (x, y, likelihood). The first column
is the number of the frame. Points have the names that the user chose: those that mean a joint are used.

Source:
    DeepLabCut (Mathis et al. 2018; Lauer et al. 2022), output files, as facts.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hsmr_bio.errors import FormatError, require
from hsmr_bio.io.unpickle import read_pickle
from hsmr_bio.types import FloatArray

from .content import Content, ConvertOptions
from .detections import UNKNOWN, Detections, Rows
from .keypoint_layouts import BY_NAME_SET, columns_by_name

_COORDS = ("x", "y", "likelihood")
_LEVELS = (("scorer", "bodyparts", "coords"), ("scorer", "individuals", "bodyparts", "coords"))
_HDF5 = b"\x89HDF\r\n\x1a\n"
_MOST_VALUES = 200_000_000
"""Numbers of a table: a day of video at 30 Hz has fewer."""
Heading = tuple[str, ...]
"""(individual or "", body part, coordinate) of a column."""


def is_deeplabcut(head: bytes, path: Path) -> bool:
    """Recognise DeepLabCut's tables.

    Args:
        head: first bytes of a file.
        path: the file.

    Returns:
        Whether it is one of them.
    """
    start = head.lstrip(b"\xef\xbb\xbf")
    return start.startswith(b"scorer,") or (start.startswith(_HDF5) and path.suffix.lower() in (".h5", ".hdf5"))


def from_deeplabcut(path: Path, options: ConvertOptions) -> Content:
    """Read 2-D keypoints as a format.

    Args:
        path: a ``.csv`` or ``.h5``.
        options: not used: the file names its points.

    Returns:
        The detections.

    Raises:
        FormatError: see :func:`read_deeplabcut`.
    """
    del options
    return Content(name=path.stem, detections=read_deeplabcut(path))


def read_deeplabcut(path: Path) -> Detections:
    """Read the individuals of all frames.

    Args:
        path: the ``.csv`` or ``.h5``.

    Returns:
        The detections; an individual of the file is a person.

    Raises:
        FormatError: not DeepLabCut's table, or no hips and shoulders among its points.
        MissingDependencyError: ``.h5`` without the package that reads it.
    """
    headings, frames, values = _from_h5(path) if path.suffix.lower() in (".h5", ".hdf5") else _from_csv(path)
    if len(np.unique(frames)) < len(frames) or (frames < 0).any():
        raise FormatError(path, "first column", "numbers of frames that differ, from 0, were expected")
    people = list(dict.fromkeys(person for person, _, _ in headings))
    parts = list(dict.fromkeys(part for _, part, _ in headings))
    place = {heading: column for column, heading in enumerate(headings)}
    columns, notes = columns_by_name(path, parts)
    rows = Rows.of(path)
    for number, person in enumerate(people):
        index = [[place.get((person, part, coordinate), -1) for coordinate in _COORDS] for part in parts]
        blank = np.concatenate([values, np.full((len(values), 1), np.nan)], axis=1)
        for frame, seen in zip(frames.tolist(), blank[:, np.array(index)], strict=True):
            if np.isfinite(seen).all(axis=1).any():
                rows.add(frame, number if len(people) > 1 else UNKNOWN, seen)
    return rows.finished(BY_NAME_SET, frames.tolist(), "DeepLabCut", columns, notes)


def _checked(path: Path, levels: Sequence[str], columns: Sequence[Sequence[str]]) -> list[tuple[str, str, str]]:
    """Headings (individual, body part, coordinate) of columns with all their levels."""
    if tuple(levels) not in _LEVELS:
        raise FormatError(path, "headings", f"scorer, (individuals,) bodyparts, coords were expected, got {', '.join(levels)}")
    several = "individuals" in levels
    found = [(column[1] if several else "", column[-2], column[-1]) for column in columns]
    if len(set(found)) < len(found):
        raise FormatError(path, "headings", "two columns have the same heading")
    wrong = next((coordinate for _, _, coordinate in found if coordinate not in _COORDS), None)
    if wrong is not None:
        raise FormatError(path, "headings", f"columns x, y and likelihood of each point were expected, got {wrong!r}")
    return found


def _from_csv(path: Path) -> tuple[list[tuple[str, str, str]], np.ndarray[Any, np.dtype[np.int64]], FloatArray]:
    """Headings, numbers of the frames (T,), and values (T, C)."""
    try:
        lines = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"))))
    except (UnicodeDecodeError, csv.Error) as error:
        raise FormatError(path, None, f"this is not a table of text ({error})") from None
    count = 4 if len(lines) > 1 and lines[1][:1] == ["individuals"] else 3
    levels = [line[0] if line else "" for line in lines[:count]]
    headings = _checked(path, levels, list(zip(*(line[1:] for line in lines[:count]), strict=False)))
    rows = [line for line in lines[count:] if line]
    for number, line in enumerate(rows, start=count + 1):
        if len(line) != len(headings) + 1:
            raise FormatError(path, number, f"{len(line)} values in the row, {len(headings) + 1} columns above it")
    try:
        frames = np.array([int(float(line[0])) for line in rows], dtype=np.int64)
        values = np.array([[float(cell) if cell.strip() else np.nan for cell in line[1:]] for line in rows])
    except (ValueError, OverflowError) as error:
        raise FormatError(path, None, f"numbers were expected below the headings ({error})") from None
    return headings, frames, values.reshape(len(rows), len(headings))


def _from_h5(path: Path) -> tuple[list[tuple[str, str, str]], np.ndarray[Any, np.dtype[np.int64]], FloatArray]:
    """The same of a table that pandas has stored; its pickled headings are read without running code."""
    h5py = require("h5py", feature="reading DeepLabCut's .h5 (its .csv needs nothing)", extra="deeplabcut")
    problem = "this is not DeepLabCut's .h5 (a pandas table of one frame a row): use its .csv"
    try:
        with h5py.File(path, "r") as file:
            groups = [group for group in file.values() if isinstance(group, h5py.Group) and "table" in group]
            if len(groups) != 1:
                raise FormatError(path, None, problem)
            table = groups[0]["table"]
            blocks = sorted(name for name in table.dtype.names or () if name.startswith("values_block_"))
            if not blocks or "index" not in table.dtype.names or table.dtype.itemsize * len(table) > 8 * _MOST_VALUES:
                raise FormatError(path, None, problem)
            columns = [column for block in blocks for column in _pickled(path, table.attrs[f"{block}_kind"])]
            info = _pickled(path, groups[0].attrs["info"])
            stored = table[:]
    except (OSError, KeyError, ValueError, RuntimeError, TypeError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(path, None, f"{problem} ({error})") from None
    levels = info[1]["names"] if isinstance(info, dict) and isinstance(info.get(1), dict) and "names" in info[1] else ()
    if not all(isinstance(column, tuple) and len(column) == len(levels) for column in columns):
        raise FormatError(path, "headings", problem)
    headings = _checked(path, [str(level) for level in levels], [[str(part) for part in column] for column in columns])
    values = np.concatenate([np.asarray(stored[block], dtype=np.float64).reshape(len(stored), -1) for block in blocks], axis=1)
    if values.shape[1] != len(headings) or not np.issubdtype(stored["index"].dtype, np.integer):
        raise FormatError(path, "table", problem)
    return headings, stored["index"].astype(np.int64), values


def _pickled(path: Path, attribute: object) -> Any:  # noqa: ANN401 (plain Python values)
    """A value that PyTables has pickled into an attribute."""
    raw = attribute.tobytes() if isinstance(attribute, np.ndarray | np.generic) else attribute
    if not isinstance(raw, bytes):
        raise FormatError(path, "headings", "a pickled list was expected")
    return read_pickle(io.BytesIO(raw), path)

"""Plain tables over time, for pandas, R and spreadsheets: ``.csv`` and ``.parquet``, a unit at the end of every column."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hsmr_bio.errors import FormatError, require
from hsmr_bio.io.atomic import new_file
from hsmr_bio.types import FloatArray, Markers, OsimMotion

from .content import WORDS, Content, ConvertOptions, Kind, Written, as_markers, model_of

if TYPE_CHECKING:
    import pandas as pd

TIME = "time_s"
_ORDER: tuple[Kind, ...] = ("table", "coordinates", "skel", "markers", "joints", "bones")
"""What is written of a content that holds several types: the first that is there."""
_DECIMALS = "%.10g"
"""Ten digits: a nanometre, a billionth of a degree."""
_UNITS = {"_deg": np.pi / 180, "_rad": 1.0, "_m": 1.0}
"""Ending of a coordinate's column -> factor to rad or m."""
_BOM = b"\xef\xbb\xbf"
_AXES = ("_x_m", "_y_m", "_z_m")
"""Endings of a marker's columns."""


def is_table(head: bytes, path: Path) -> bool:
    """Recognise a table of coordinates: it begins with a column of times and no marker, or is a Parquet file.

    Args:
        head: first bytes of the file.
        path: the file.

    Returns:
        Whether it is one.
    """
    text = head.removeprefix(_BOM).startswith(TIME.encode() + b",") and not is_marker_table(head, path)
    return text or (head[:4] == b"PAR1" and path.suffix.lower() == ".parquet")


def is_marker_table(head: bytes, path: Path) -> bool:
    """Recognise a table of markers: after the times come the three columns of one.

    Args:
        head: first bytes of the file.
        path: the file.

    Returns:
        Whether it is one.
    """
    del path
    cells = head.removeprefix(_BOM).splitlines()[0].decode("utf-8", "replace").split(",")[:4] if head.strip() else []
    return len(cells) == 4 and cells[0] == TIME and all(c.endswith(axis) for c, axis in zip(cells[1:], _AXES, strict=True))


def from_table(path: Path, options: ConvertOptions) -> Content:
    """Read coordinates.

    Args:
        path: the file.
        options: ``model``.

    Returns:
        Coordinates, and the model if it is known.

    Raises:
        FormatError: there is no column ``time_s``, a column without a unit, or a cell without a value.
    """
    time_s, names, values = _columns(path)
    return Content(name=path.stem, coordinates=_coordinates(path, time_s, names, values), model=model_of(path, options))


def from_marker_table(path: Path, options: ConvertOptions) -> Content:
    """Read markers; an empty cell is a marker that was not seen.

    Args:
        path: the file.
        options: none is used.

    Returns:
        Markers.

    Raises:
        FormatError: there is no column ``time_s``, or a marker without its three columns.
    """
    del options
    return Content(name=path.stem, markers=_markers(path, *_columns(path)))


def _columns(path: Path) -> tuple[FloatArray, list[str], FloatArray]:
    """Times (T,), names of the other columns and their values (T, N)."""
    table = _read(path)
    if TIME not in table.columns:
        raise FormatError(
            path, None, f"a table needs a column {TIME}; the columns are {', '.join(map(str, table.columns[:4]))} ..."
        )
    time_s = table.pop(TIME).to_numpy(dtype=np.float64)
    names = [str(column) for column in table.columns]
    return time_s, names, table.to_numpy(dtype=np.float64)


def to_table(path: Path, content: Content, options: ConvertOptions) -> Written:
    """Write the table of a content.

    Args:
        path: ``.csv`` or ``.parquet``.
        content: with coordinates, a SKEL motion, markers, joint centres, bones, or a table as it is.
        options: ``body``, ``overwrite``.

    Returns:
        What the file does not hold.

    Raises:
        InputError: the content has none of these.
        MissingDependencyError: ``.parquet`` without pyarrow.
    """
    kind: Kind = next((kind for kind in _ORDER if kind in content.kinds), "markers")
    frame, lost = table_of(content, kind, options)
    others = tuple(WORDS[other] for other in content.kinds if other != kind)
    parquet = path.suffix.lower() == ".parquet"
    if parquet:
        require("pyarrow", feature="writing .parquet", extra="parquet")
    with new_file(path, overwrite=options.overwrite) as part:
        if parquet:
            frame.reset_index().to_parquet(part, index=False)
        else:
            frame.to_csv(part, float_format=_DECIMALS, lineterminator="\n")
    return Written(lost=(*others, *lost), notes=(f"{WORDS[kind]}: {frame.shape[1]} columns, {len(frame)} rows",))


def table_of(content: Content, kind: Kind, options: ConvertOptions) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return one of the types of a content as a table.

    Args:
        content: any.
        kind: the type.
        options: ``body``.

    Returns:
        A table with the index ``time_s``, and what it does not hold of the type.

    Raises:
        InputError: the content has nothing that makes a table.
    """
    import pandas as pd

    if kind == "table" and content.table is not None:
        table = content.table
        index = pd.Index(np.array(table.time_s), name="time_s")
        angles = {None: "unknown units", True: "angles in degrees", False: "angles in radians"}[table.in_degrees]
        frame = pd.DataFrame(np.array(table.values), columns=list(table.columns), index=index)
        return frame, (f"units of the columns ({angles})",)
    if kind == "coordinates" and content.coordinates is not None:
        return _in_degrees(content.coordinates), ("the model",) if content.model is not None else ()
    if kind == "skel" and content.skel is not None:
        return content.skel.to_frame(), ("shape, camera and notes",)
    markers, lost = as_markers(content, options)
    return markers.to_frame(), lost


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    if path.suffix.lower() == ".parquet":
        require("pyarrow", feature="a .parquet file", extra="parquet")
        return pd.read_parquet(path)
    try:
        return pd.read_csv(path)
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        raise FormatError(path, None, f"not a table of comma-separated values: {error}") from None


def _markers(path: Path, time_s: FloatArray, names: list[str], values: FloatArray) -> Markers:
    """Gather three columns to a marker."""
    if other := [name for name in names if not name.endswith(_AXES)]:
        raise FormatError(path, f"column {other[0]!r}", "in a table of markers every column ends in _x_m, _y_m or _z_m")
    markers = list(dict.fromkeys(name[: -len(_AXES[0])] for name in names))
    missing = [f"{marker}{axis}" for marker in markers for axis in _AXES if f"{marker}{axis}" not in names]
    if missing:
        raise FormatError(path, f"column {missing[0]!r}", "a marker needs three columns: _x_m, _y_m, _z_m")
    columns = [[names.index(f"{marker}{axis}") for axis in _AXES] for marker in markers]
    return Markers(time_s=time_s, names=tuple(markers), positions_m=values[:, columns])


def _coordinates(path: Path, time_s: FloatArray, names: list[str], values: FloatArray) -> OsimMotion:
    """Bring columns to rad and m."""
    endings = [next((ending for ending in _UNITS if name.endswith(ending)), "") for name in names]
    if "" in endings:
        column = names[endings.index("")]
        raise FormatError(path, f"column {column!r}", "its name must end in its unit: _deg, _rad or _m")
    if np.isnan(values).any():
        row, column_index = np.argwhere(np.isnan(values))[0]
        raise FormatError(path, f"column {names[column_index]!r}", f"no value at {time_s[row]:g} s; cut or fill the gap first")
    return OsimMotion(
        time_s=time_s,
        coordinates=tuple(name.removesuffix(ending) for name, ending in zip(names, endings, strict=True)),
        values_si=values * [_UNITS[ending] for ending in endings],
        rotational=np.array([ending != "_m" for ending in endings]),
    )


def _in_degrees(motion: OsimMotion) -> pd.DataFrame:
    """Coordinates in degrees and metres, with the unit at the end of every column."""
    table = motion.to_frame()
    table[:] = np.where(motion.rotational, np.degrees(motion.values_si), motion.values_si)
    units = ["deg" if angle else "m" for angle in motion.rotational]
    table.columns = [f"{name}_{unit}" for name, unit in zip(motion.coordinates, units, strict=True)]
    return table

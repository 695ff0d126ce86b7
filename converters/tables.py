"""Plain tables over time, for pandas, R and spreadsheets: ``.csv`` and ``.parquet``, a unit at the end of every column."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hsmr_bio.errors import FormatError, InputError, require
from hsmr_bio.io.atomic import new_file
from hsmr_bio.types import FloatArray, Markers, OsimMotion

from .content import Content, ConvertOptions, Written, model_of

if TYPE_CHECKING:
    import pandas as pd

TIME = "time_s"
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
    """Write coordinates in degrees and metres, or markers in metres.

    Args:
        path: ``.csv`` or ``.parquet``.
        content: with coordinates or markers.
        options: ``overwrite``.

    Returns:
        What the file does not hold.

    Raises:
        InputError: the content has neither.
    """
    if content.coordinates is not None:
        motion = content.coordinates
        degrees = np.where(motion.rotational, np.degrees(motion.values_si), motion.values_si)
        units = ["deg" if angle else "m" for angle in motion.rotational]
        table = motion.to_frame()
        table[:] = degrees
        table.columns = [f"{name}_{unit}" for name, unit in zip(motion.coordinates, units, strict=True)]
    elif content.markers is not None:
        table = content.markers.to_frame()
    else:
        raise InputError(f"{content.name} holds {content.what}; tables hold coordinates or markers")
    with new_file(path, overwrite=options.overwrite) as part:
        if path.suffix.lower() == ".parquet":
            require("pyarrow", feature="a .parquet file", extra="parquet")
            table.reset_index().to_parquet(part, index=False)
        else:
            table.to_csv(part, float_format=_DECIMALS)
    both = content.coordinates is not None and content.markers is not None
    return Written(lost=("markers",) if both else ())


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

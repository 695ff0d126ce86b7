"""The header-and-table grammar that ``.mot`` and ``.sto`` files share.

A title line, ``key=value`` lines and free text up to ``endheader``, one line of column names that starts with
``time``, then one line of numbers per frame; cells are separated by tabs or blanks.

Source:
    OpenSim documentation, "Storage (.sto) Files" and "Motion (.mot) Files"; checked against OpenSim 4.6's
    ``Storage`` and ``TimeSeriesTable``.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import numpy as np

from ..arrays import freeze, increasing_time
from ..errors import FormatError, InputError
from ..types import BoolArray, FloatArray
from .atomic import new_file
from .door import reader
from .repairs import compare_count, repeated_columns, say, shown, without_repeats

_MAX_HEADER_LINES = 500
"""A file without ``endheader`` in these lines is not a table."""
_ROWS_AT_ONCE = 256
"""Rows formatted together: large enough to be fast, small enough for constant memory."""
_BYTES_AT_ONCE = 1 << 20
"""Text parsed together: a whole file of numbers would take ten times its size."""
_TIME_DECIMALS = 9
"""Decimals of a written time in seconds."""
_PROBED_BYTES = 4096
"""Start of a file in which a zero byte shows that it is not text."""
_MICROSOFT_NAN = re.compile(rb"-?1\.#(?:QNAN|IND|SNAN)0*|-?nan\(\w+\)", re.IGNORECASE)
_ANGLES = "Angles are in"
_SIMM = "datacolumns"
"""First word of a line that SIMM's motion files have; OpenSim takes their angles for degrees (``Storage.cpp``)."""
_ANGLES_TEXT = re.compile(r"angles\s+are\s+in\s+(degrees|radians)", re.IGNORECASE)
_YES, _NO = {"yes", "y", "true", "1"}, {"no", "n", "false", "0"}
_HEADER = re.compile(r"\s*([A-Za-z_][\w ]*?)\s*=\s*(.*?)\s*$")


@dataclass(frozen=True, eq=False, kw_only=True)
class Table:
    """Columns over time as the file has them: no unit is changed."""

    title: str
    time_s: FloatArray
    """(T,) strictly increasing."""
    columns: tuple[str, ...]
    """N names, without ``time``."""
    values: FloatArray
    """(T, N); NaN where the file says so."""
    in_degrees: bool | None
    """``inDegrees`` of the header; None if it is missing."""
    header: Mapping[str, str] = field(default_factory=dict)
    """The other ``key=value`` lines."""
    doubtful: frozenset[str] = frozenset()
    """Columns of which the file has several with different values; the first is in ``values``."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "time_s", increasing_time(self.time_s))
        object.__setattr__(self, "columns", tuple(self.columns))
        freeze(self, {"values": (len(self.time_s), len(self.columns))}, allow_nan=True)


@reader
def read_table(path: str | os.PathLike[str]) -> Table:
    """Read any ``.mot`` or ``.sto`` file.

    Args:
        path: the file.

    Returns:
        The table, values as they stand in the file.

    Raises:
        FormatError: not such a file, truncated, empty, a cell that is no number, time that does not increase; names the line.
    """
    data = read_bytes(path)
    title, header, names, start, line = _read_header(path, data)
    data = data[start:]
    names = _with_names(names, data)
    values = parse_rows(path, data, len(names), line)
    compare_count(path, "nRows", header.get("nRows"), len(values))
    compare_count(path, "nColumns", header.get("nColumns"), len(names))
    keep = without_repeats(path, values[:, 0], values)
    check_time(path, values[:, 0], data, line, keep)
    del data
    values = values if keep.all() else values[keep]
    kept, doubtful = repeated_columns(path, names, values)
    kept = [column for column in kept if column > 0 and names[column]]
    if "" in names:
        say(path, "columns without a name are left out")
    return Table(
        title=title,
        time_s=values[:, 0],
        columns=tuple(names[column] for column in kept),
        values=values[:, kept],
        in_degrees=_in_degrees(path, header),
        header=header,
        doubtful=frozenset(doubtful.values()),
    )


def refuse_doubtful(path: str | os.PathLike[str], table: Table, columns: Iterable[str]) -> None:
    """Refuse columns that the file has several times with different values.

    Args:
        path: for the message.
        table: the table of this file.
        columns: that are needed.

    Raises:
        FormatError: one of them is such a column.
    """
    for name in columns:
        if name in table.doubtful:
            raise FormatError(path, f"column {shown(name)!r}", "there are several with different values: keep one of them")


def write_table(path: str | os.PathLike[str], table: Table, *, decimals: int = 8, overwrite: bool = True) -> None:
    """Write a ``.mot`` or ``.sto`` file that OpenSim reads.

    Args:
        path: the file; appears when it is complete.
        table: values in the units that its ``in_degrees`` states.
        decimals: digits behind the point; OpenSim writes 8.
        overwrite: whether an existing file may be replaced.

    Raises:
        InputError: a column name has a tab or a line break in it, or the file exists.
    """
    for name in table.columns:
        if not name or re.search(r"[\t\n\r]", name) or name == "time":
            raise InputError(f"{shown(name)!r} cannot be the name of a column in {os.fspath(path)}")
    header = [table.title.splitlines()[0] if table.title.strip() else "hsmr_bio", "version=1"]
    header += [f"nRows={len(table.time_s)}", f"nColumns={len(table.columns) + 1}"]
    if table.in_degrees is not None:
        header.append(f"inDegrees={'yes' if table.in_degrees else 'no'}")
    header += [f"{key}={value}" for key, value in table.header.items() if key not in ("version", "nRows", "nColumns")]
    header += ["endheader", "\t".join(("time", *table.columns))]
    with new_file(path, overwrite=overwrite) as part, part.open("w", encoding="utf-8", newline="\n") as out:
        out.write("\n".join(header) + "\n")
        row = "\t".join(["%s"] + [f"%.{decimals}f"] * len(table.columns)) + "\n"
        times = iter(time_cells(path, table.time_s))
        for block in blocks(table.values):
            out.writelines(row % (next(times), *cells) for cells in block)


def blocks(values: FloatArray) -> Iterator[list[list[float]]]:
    """Cut (T, N) values into lists of rows, so that memory stays small."""
    for first in range(0, len(values), _ROWS_AT_ONCE):
        yield values[first : first + _ROWS_AT_ONCE].tolist()


def time_cells(path: str | os.PathLike[str], time_s: FloatArray) -> list[str]:
    """Format seconds to the nanosecond, so that all files of a motion have identical times.

    Args:
        path: for messages.
        time_s: (T,) strictly increasing.

    Returns:
        T cells without trailing zeros.

    Raises:
        InputError: two frames are less than a nanosecond apart.
    """
    if np.any(np.diff(np.round(time_s, _TIME_DECIMALS)) <= 0):
        raise InputError(f"{os.fspath(path)}: two frames are less than a nanosecond apart; is time in seconds?")
    cells = (f"{time:.{_TIME_DECIMALS}f}".rstrip("0") for time in time_s.tolist())
    return [f"{cell}0" if cell.endswith(".") else cell for cell in cells]


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Read a text file whole, line ends made uniform.

    Raises:
        InputError: there is no such file, or it cannot be read.
        FormatError: it is empty or not text.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{os.fspath(path)}: cannot be read: {error.strerror}") from None
    if not data or data.isspace():
        raise FormatError(path, None, "the file is empty")
    if b"\0" in data[:_PROBED_BYTES]:
        raise FormatError(path, None, "this is not a text file")
    data = data.removeprefix(b"\xef\xbb\xbf")
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in data else data


def parse_rows(path: str | os.PathLike[str], data: bytes, width: int, line: int) -> FloatArray:
    """Parse lines of numbers separated by white space.

    Args:
        path: for messages.
        data: the lines.
        width: numbers per line.
        line: one-based number of the first of these lines in the file.

    Returns:
        (T, width); empty lines at the end are ignored.

    Raises:
        FormatError: no row, another number of cells in a row, or a cell that is no number.
    """
    end = len(data.rstrip())
    if not end:
        raise FormatError(path, line, "the file ends after the column names: there is no frame")
    rows = data.count(b"\n", 0, end) + 1
    if 2 * rows * width > end + 1:  # a cell takes a digit and a blank: no memory for a table that cannot be there
        _refuse_bad_row(path, data[:end], width, line, last=True)
    values, first = np.empty((rows, width)), 0
    for block, last in _blocks_of_lines(data, end):
        count = block.count(b"\n") + 1
        numbers = _numbers(block)
        if numbers is None or numbers.size != count * width or not _regular(block, width):
            _refuse_bad_row(path, block, width, line + first, last=last)
        values[first : first + count] = numbers.reshape(count, width)
        first += count
    return values


def _blocks_of_lines(data: bytes, end: int) -> Iterator[tuple[bytes, bool]]:
    """Whole lines of about a megabyte together, without the last line end, and whether they are the last ones."""
    start = 0
    while start <= end:
        stop = data.rfind(b"\n", start, min(start + _BYTES_AT_ONCE, end)) if end - start > _BYTES_AT_ONCE else end
        if stop < 0:
            stop = data.find(b"\n", start, end)
            stop = stop if stop >= 0 else end
        yield data[start:stop], stop == end
        start = stop + 1


def check_time(path: str | os.PathLike[str], time_s: FloatArray, data: bytes, line: int, counted: BoolArray) -> None:
    """Refuse a time column that does not increase.

    Args:
        path: for messages.
        time_s: (T,) of the frames.
        data: the lines of the frames.
        line: one-based number of the first of these lines in the file.
        counted: (T,) False for rows that repeat the row before.

    Raises:
        FormatError: a time is not a number, or not later than the one before; the first such line is named.
    """
    bad = ~np.isfinite(time_s)
    bad[1:] |= ~(np.diff(time_s) > 0) & counted[1:]
    if bad.any():
        row = int(np.argmax(bad))
        number = line + [i for i, text in enumerate(data.split(b"\n")) if text.strip()][row]
        before = f" after {time_s[row - 1]:g} s" if row else ""
        raise FormatError(
            path, number, f"time is {time_s[row]:g} s{before}: it must increase. Sort the frames, drop repeated ones"
        )


def refuse_missing(
    path: str | os.PathLike[str], columns: Sequence[str], time_s: FloatArray, values: FloatArray, advice: str = ""
) -> None:
    """Refuse cells without a value.

    Args:
        path: for messages.
        columns: N names.
        time_s: (T,).
        values: (T, N).
        advice: end of the message.

    Raises:
        FormatError: a value is NaN; the first one is named.
    """
    missing = np.argwhere(np.isnan(values))
    if len(missing):
        row, column = missing[0]
        raise FormatError(path, f"column {shown(columns[column])!r}", f"no value at {time_s[row]:g} s (NaN){advice}")


def _numbers(body: bytes) -> FloatArray | None:
    """Parse numbers, Microsoft's forms of NaN included; None if something is not a number."""
    if b"#" in body or b"(" in body:
        body = _MICROSOFT_NAN.sub(b"nan", body)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # numpy stops at a bad cell with a mere warning
        try:
            return np.fromstring(body.decode("ascii"), dtype=np.float64, sep=" ")
        except (DeprecationWarning, ValueError):
            return None


def _regular(body: bytes, width: int) -> bool:
    """Check, without splitting lines, that each of them has ``width`` cells."""
    codes = np.frombuffer(body, dtype=np.uint8)
    blank = codes <= ord(" ")
    starts = ~blank
    starts[1:] &= blank[:-1]
    counts = np.add.reduceat(starts, np.concatenate(([0], np.flatnonzero(codes == ord("\n")))), dtype=np.int64)
    return bool(np.all(counts == width))


def _refuse_bad_row(path: str | os.PathLike[str], body: bytes, width: int, line: int, *, last: bool) -> NoReturn:
    """Name the first bad row of ``body``; ``last``: the file ends with it."""
    for number, text in enumerate(body.split(b"\n"), start=line):
        cells = text.split()
        if len(cells) != width:
            hint = " (is the file cut off?)" if last and number == line + body.count(b"\n") else ""
            raise FormatError(path, number, f"{len(cells)} values in the row, {width} column names above it{hint}")
        for column, cell in enumerate(cells, start=1):
            if _numbers(cell) is None:
                text_of_cell = shown(cell.decode("utf-8", "replace"))
                raise FormatError(path, number, f"{text_of_cell!r} in column {column} is not a number") from None
    raise FormatError(path, line, "the numbers below this line cannot be read")


def _read_header(path: str | os.PathLike[str], data: bytes) -> tuple[str, dict[str, str], list[str], int, int]:
    """Return the title, the keys, the column names, the byte and the line number at which the rows start."""
    header: dict[str, str] = {}
    title, offset = "", 0
    for number in range(1, _MAX_HEADER_LINES + 1):
        text, offset = _next_line(data, offset)
        if text is None:
            break
        if text.strip().lower() == "endheader":
            names, line, offset = _read_names(path, data, offset, number + 1)
            return title, header, names, offset, line
        if angles := _ANGLES_TEXT.search(text):
            header[_ANGLES] = angles[1].lower()
        elif text.split()[:1] == [_SIMM]:
            header[_SIMM] = ""
        match = _HEADER.match(text)
        if match:
            key = {"indegrees": "inDegrees", "nrows": "nRows", "ncolumns": "nColumns"}.get(match[1].lower(), match[1])
            header[key] = match[2].split("\t")[0].strip()
        elif number == 1:
            title = text.split("\t")[0].strip()
    raise FormatError(path, None, "no line 'endheader': this is not a .mot or .sto file, or it is cut off")


def _read_names(path: str | os.PathLike[str], data: bytes, offset: int, number: int) -> tuple[list[str], int, int]:
    text: str | None = ""
    while text is not None and not text.strip():
        text, offset = _next_line(data, offset)
        number += 1
    if text is None:
        raise FormatError(path, number - 2, "the file ends before the column names")
    names = [name.strip() for name in text.strip().split("\t")] if "\t" in text.strip() else text.split()
    if names[0].lower() != "time":
        raise FormatError(path, number - 1, f"the first column must be 'time', it is {shown(names[0])!r}")
    return names, number, offset


def _next_line(data: bytes, offset: int) -> tuple[str | None, int]:
    if offset >= len(data):
        return None, offset
    end = data.find(b"\n", offset)
    end = len(data) if end < 0 else end
    return data[offset:end].decode("utf-8", "replace"), end + 1


def _with_names(names: list[str], rows: bytes) -> list[str]:
    """Names of the columns that have values: an empty cell among the names may stand above nothing."""
    filled = [name for name in names if name]
    if len(filled) == len(names):
        return names
    first = rows.lstrip().split(b"\n", 1)[0].split()
    return filled if len(first) == len(filled) else names


def _in_degrees(path: str | os.PathLike[str], header: dict[str, str]) -> bool | None:
    """Unit of the angles: as the header's key says, else its text; None if neither does."""
    stated, text, simm = header.pop("inDegrees", None), header.pop(_ANGLES, None), header.pop(_SIMM, None)
    if stated is not None:
        if stated.lower() not in _YES | _NO:
            raise FormatError(path, None, f"the header must say inDegrees=yes or inDegrees=no, it says {shown(stated)!r}")
        return stated.lower() in _YES
    if text is None and simm is not None and "version" not in header:
        say(path, "a motion file of SIMM without inDegrees: its angles are in degrees, as OpenSim takes them")
        return True
    return None if text is None else text == "degrees"

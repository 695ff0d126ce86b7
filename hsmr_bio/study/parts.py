"""Tables of angles and cycles in long form: a part for each trial, put together by the run of the study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import require
from ..io.atomic import new_file
from ..pipeline.results import Result
from ..report.inputs import side_of
from .record import ANGLES, CYCLES

FEATURE, EXTRA = "angles.parquet and cycles.parquet", "parquet"
Arrow = Any
"""The module pyarrow, or a table or column of it."""
_COMPRESSION = "zstd"
_KEYS = ("trial", "name", "side", "coordinate", "unit", "kind", "angle", "note", "person", "group", "session")
"""Columns of few different words: stored once each."""


def write_parts(folder: Path, trial: str, results: Sequence[Result]) -> None:
    """Write a trial's ``angles.parquet`` and ``cycles.parquet``.

    Args:
        folder: of the trial.
        trial: its name.
        results: one per person.

    Raises:
        MissingDependencyError: pyarrow is not installed.
    """
    pa: Arrow = require("pyarrow", feature=FEATURE, extra=EXTRA)
    angles = [_angles(pa, one) for one in results]
    cycles = [table for one in results for table in _cycles(pa, one)]
    for name, tables in ((ANGLES, angles), (CYCLES, cycles)):
        if tables:
            whole = pa.concat_tables(tables).unify_dictionaries()
            write_table(folder / name, whole.add_column(0, "trial", _words(pa, [trial], np.zeros(len(whole), int))))


def write_table(path: Path, table: Arrow) -> None:
    """Write a table: words once each, floats split by bytes, which halves the file.

    Args:
        path: appears when it is complete.
        table: of pyarrow.
    """
    parquet: Arrow = require("pyarrow.parquet", feature=FEATURE, extra=EXTRA)
    keys = [name for name in table.column_names if name in _KEYS]
    split = {name: "BYTE_STREAM_SPLIT" for name in table.column_names if name.startswith(("value", "sd", "time"))}
    with new_file(path) as part:
        parquet.write_table(table, part, compression=_COMPRESSION, use_dictionary=keys, column_encoding=split)


def with_place(path: Path, place: Mapping[str, str]) -> Arrow:
    """Read a part and add the columns that say where its trial belongs.

    Args:
        path: of the part.
        place: column -> the trial's value.

    Returns:
        A table of pyarrow.
    """
    pa: Arrow = require("pyarrow", feature=FEATURE, extra=EXTRA)
    parquet: Arrow = require("pyarrow.parquet", feature=FEATURE, extra=EXTRA)
    table = parquet.ParquetFile(path).read()
    for number, (name, text) in enumerate(place.items(), start=1):
        table = table.add_column(number, name, _words(pa, [text], np.zeros(len(table), int)))
    return table


def _angles(pa: Arrow, result: Result) -> Arrow:
    motion = result.motion
    frames, count = motion.values_si.shape
    factor = np.where(motion.rotational, 180 / np.pi, 1.0)
    sd = np.full_like(motion.values_si, np.nan) if motion.sd_si is None else motion.sd_si
    each = np.repeat(np.arange(count), frames)
    sides = [side_of(name).replace("c", "") for name in motion.coordinates]
    units = ["deg" if angle else "m" for angle in motion.rotational]
    return pa.table(
        {
            "name": _words(pa, [result.name], np.zeros(len(each), int)),
            "side": _words(pa, sides, each),
            "coordinate": _words(pa, list(motion.coordinates), each),
            "unit": _words(pa, units, each),
            "time_s": np.tile(motion.time_s, count),
            "value": (motion.values_si * factor).T.ravel().astype(np.float32),
            "sd": (sd * factor).T.ravel().astype(np.float32),
        }
    )


def _cycles(pa: Arrow, result: Result) -> list[Arrow]:
    tables = []
    for cycles in () if result.analysis is None else result.analysis.cycles:
        count, points, angles = cycles.values_deg.shape
        shape = (count, angles, points)
        cycle, angle, percent = (grid.ravel() for grid in np.meshgrid(*map(np.arange, shape), indexing="ij"))
        columns = {
            "name": _words(pa, [result.name], np.zeros(len(cycle), int)),
            "kind": _words(pa, [cycles.kind], np.zeros(len(cycle), int)),
            "side": _words(pa, [cycles.side], np.zeros(len(cycle), int)),
            "cycle": (cycle + 1).astype(np.int16),
            "note": _words(pa, [span.note for span in cycles.spans], cycle),
            "angle": _words(pa, list(cycles.angles), angle),
            "percent": percent.astype(np.int16),
            "value_deg": cycles.values_deg.transpose(0, 2, 1).ravel().astype(np.float32),
        }
        tables.append(pa.table(columns))
    return tables


def _words(pa: Arrow, words: Sequence[str], numbers: npt.NDArray[np.integer]) -> Arrow:
    """A column of words by their numbers; equal words are one."""
    distinct = list(dict.fromkeys(words))
    index = np.array([distinct.index(word) for word in words], dtype=np.int32)[np.asarray(numbers)]
    return pa.DictionaryArray.from_arrays(pa.array(index), pa.array(distinct, pa.string()))

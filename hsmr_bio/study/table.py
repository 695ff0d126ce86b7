"""The table of a study: a row a trial, every row checked before any work, all faults told at once."""

from __future__ import annotations

import csv
import glob
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import HsmrBioError, InputError
from ..io.npz import kind_of
from ..io.video_header import IMAGE_SUFFIXES
from ..option_checks import check_file_name, file_name_of
from ..pipeline.options import Image2MotOptions
from .columns import OPTION_COLUMNS, TrialOptions, options_for, unused_columns, with_absolute_paths, with_cells

if TYPE_CHECKING:
    import pandas as pd

COMMANDS = ("image2mot", "skel2mot", "smpl2mot")
PLACE_COLUMNS = ("trial", "person", "group", "session")
"""Columns that say where a trial belongs."""
_OWN_COLUMNS = ("video", "command", "views", *PLACE_COLUMNS)
VIDEO_SUFFIXES = (
    *(".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".mts", ".m2ts", ".ts", ".wmv", ".3gp", ".mxf", ".flv"),
    *(".gif", ".ogv", ".vob"),
)
_SHOWN_FAULTS = 3


class TableError(InputError):
    """Rows of a study's table that cannot be used.

    Args:
        name: of the table.
        faults: what is wrong, a line each.
    """

    def __init__(self, name: str, faults: Sequence[str]) -> None:
        more = f"; and {len(faults) - _SHOWN_FAULTS} more" if len(faults) > _SHOWN_FAULTS else ""
        super().__init__(f"{name}: {len(faults)} faults, nothing was started: {'; '.join(faults[:_SHOWN_FAULTS])}{more}")
        self.faults = tuple(faults)


@dataclass(frozen=True, kw_only=True)
class StudyRow:
    """What the tables of a study say of a trial beside its results."""

    trial: str
    person: str
    group: str
    session: str
    command: str
    source: str
    cells: Mapping[str, str]
    """All cells of the row as they are."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Trial:
    """One row of the table, checked."""

    name: str
    source: Path
    person: str
    group: str
    session: str
    command: str
    options: TrialOptions
    cells: Mapping[str, str]
    """All cells of the row as they are, for the results."""

    @property
    def row(self) -> StudyRow:
        """The trial without its options."""
        place = {"person": self.person, "group": self.group, "session": self.session}
        return StudyRow(trial=self.name, command=self.command, source=str(self.source), cells=dict(self.cells), **place)


@dataclass(frozen=True, eq=False, kw_only=True)
class StudyTable:
    """All rows."""

    name: str
    columns: tuple[str, ...]
    trials: tuple[Trial, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class _Row:
    where: str
    cells: Mapping[str, str]


def read_study(source: str | PathLike[str] | pd.DataFrame, options: Image2MotOptions) -> StudyTable:
    """Read and check the table of a study.

    Args:
        source: a ``.csv`` file with the column ``video``, a folder of videos, a pattern of files (``data/*.mp4``), or a table
            of pandas.
        options: of every trial, unless its row says otherwise.

    Returns:
        The trials.

    Raises:
        InputError: there is no such file, or no row.
        TableError: rows that cannot be used; ``faults`` has a line for each of them.
    """
    options = with_absolute_paths(options)
    name, folder, columns, rows = _rows_of(source)
    faults = _column_faults(columns, rows)
    trials = []
    for row in () if faults else rows:
        trial, wrong = _trial(row, folder, options)
        faults += [f"{row.where}: {text}" for text in wrong]
        if trial is not None:
            trials.append((row.where, trial))
    faults += _twice(trials)
    if faults:
        raise TableError(name, faults)
    if not trials:
        raise InputError(f"{name}: there is no trial in it; a table needs a header with the column 'video', and a row a trial")
    return StudyTable(name=name, columns=columns, trials=tuple(trial for _, trial in trials), notes=_notes(columns))


def _rows_of(source: str | PathLike[str] | pd.DataFrame) -> tuple[str, Path, tuple[str, ...], list[_Row]]:
    """Name of the table, folder that its paths are relative to, columns, rows."""
    if not isinstance(source, str | PathLike):
        names = tuple(str(column) for column in source.columns)
        records = source.astype(object).where(source.notna(), "").to_numpy().tolist()
        cells = [dict(zip(names, (str(value).strip() for value in record), strict=True)) for record in records]
        return "table", Path(), names, [_Row(f"row {number}", one) for number, one in enumerate(cells)]
    path = Path(source)
    if path.is_file() and path.suffix.lower() in (".csv", ".tsv", ".txt"):
        columns, rows = _read_csv(path)
        return str(path), path.parent, columns, rows
    found = _files(path, str(source))
    return str(source), Path(), ("video",), [_Row(str(one), {"video": str(one)}) for one in found]


def _files(path: Path, pattern: str) -> list[Path]:
    """Find the videos of a folder, or the files of a pattern, in order of their names.

    Raises:
        InputError: there are none.
    """
    if path.is_dir():
        found = [one for one in path.iterdir() if one.suffix.lower() in VIDEO_SUFFIXES]
        problem = f"no video in this folder (read are {' '.join(VIDEO_SUFFIXES)}); other files: a table, or a pattern '*.npz'"
    elif path.exists():
        found = [path]
        problem = ""
    else:
        found = [Path(one) for one in glob.glob(pattern, recursive=True)]  # noqa: PTH207, a whole pattern, perhaps absolute
        problem = "no such file, folder or pattern; give a table (.csv) with the column 'video', or videos"
    if not found:
        raise InputError(f"{pattern}: {problem}")
    return sorted(found)


def _read_csv(path: Path) -> tuple[tuple[str, ...], list[_Row]]:
    """Read cells as text; the separator is that of the header: comma, semicolon or tab.

    Raises:
        InputError: not a text in UTF-8, or rows with too many cells.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a table in UTF-8 ({error.reason} at byte {error.start})") from None
    lines = text.splitlines()
    head = next((line for line in lines if line.strip()), "")
    separator = max(",;\t", key=head.count)
    reader = csv.reader(lines, delimiter=separator)
    columns: tuple[str, ...] = ()
    rows, faults = [], []
    for record in _records(path, reader):
        cells = [cell.strip() for cell in record]
        if not any(cells):
            continue
        if not columns:
            columns = tuple(cells)
        elif any(cells[len(columns) :]):
            faults.append(f"line {reader.line_num}: {len(cells)} cells, the header has {len(columns)} columns")
        else:
            cells += [""] * (len(columns) - len(cells))
            rows.append(_Row(f"line {reader.line_num}", dict(zip(columns, cells, strict=False))))
    if faults:
        raise TableError(str(path), faults)
    return columns, rows


def _records(path: Path, reader: Iterator[list[str]]) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise InputError(f"{path}: not a table ({error})") from None


def _column_faults(columns: Sequence[str], rows: Sequence[_Row]) -> list[str]:
    twice = sorted({column for column in columns if columns.count(column) > 1})
    faults = [f"header: the column {column!r} is there twice" for column in twice]
    if "video" not in columns and rows:
        faults.append(f"header: there is no column 'video', only {', '.join(columns)[:80]}")
    return faults


def _trial(row: _Row, folder: Path, options: Image2MotOptions) -> tuple[Trial | None, list[str]]:
    """Make a trial of a row, or say what is wrong with it."""
    cells = {column: text for column, text in row.cells.items() if text}
    if "video" not in cells:
        return None, ["the column video is empty"]
    source = folder / Path(cells["video"]).expanduser()
    name = cells.get("trial") or file_name_of(source.stem.removesuffix("_observation").removesuffix("_skel"))
    faults = []
    faults += _faults_of_name(name) + _faults_of_place(cells)
    command, estimator, problem = _command_of(source, cells)
    faults += [problem] if problem else []
    start = options if estimator is None or "estimator" in cells else replace(options, estimator=estimator)
    unused = sorted(unused_columns(command) & set(cells))
    if unused:
        faults.append(f"{', '.join(unused)}: {source.name} is read by {command}, which does not know them")
    found, wrong = with_cells(start, {name: text for name, text in cells.items() if name not in unused}, folder)
    faults += wrong
    if faults:
        return None, faults
    person = cells.get("person", name)
    place = {"person": person, "group": cells.get("group", ""), "session": cells.get("session", "")}
    return Trial(
        name=name, source=source.absolute(), command=command, options=options_for(command, found), cells=row.cells, **place
    ), []


def _faults_of_name(name: str) -> list[str]:
    try:
        check_file_name(name)
    except InputError as error:
        return [str(error).replace("(--name)", "(column trial, else the name of the video)")]
    return [f"a trial's name must not begin with a dot, got {name!r}"] if name.startswith(".") else []


def _faults_of_place(cells: Mapping[str, str]) -> list[str]:
    command = cells.get("command", COMMANDS[0])
    faults = [] if command in COMMANDS else [f"column command: must be {', '.join(COMMANDS)}, got {command!r}"]
    if "views" in cells:
        faults.append("column views: several cameras of one trial are not read by this version; leave it empty")
    return faults


def _command_of(source: Path, cells: Mapping[str, str]) -> tuple[str, str | None, str]:
    """Command that reads an input, the estimator that it must have, and what is wrong with the input."""
    if not source.exists():
        return cells.get("command", "image2mot"), None, f"there is no file {source}"
    if source.is_file() and not source.stat().st_size:
        return cells.get("command", "image2mot"), None, f"{source} is empty"
    try:
        command, estimator = _recognised(source, cells)
    except HsmrBioError as error:
        return cells.get("command", "image2mot"), None, str(error)
    return cells.get("command", command), estimator, ""


def _recognised(source: Path, cells: Mapping[str, str]) -> tuple[str, str | None]:
    suffix = source.suffix.lower()
    if suffix in (*VIDEO_SUFFIXES, *IMAGE_SUFFIXES) or "estimator" in cells or cells.get("command") == "image2mot":
        return "image2mot", None
    if source.is_dir() and any(one.suffix.lower() in IMAGE_SUFFIXES for one in source.iterdir()):
        return "image2mot", None
    if suffix == ".npz" and (kind := kind_of(source)) is not None:
        return ("image2mot", "replay") if kind == "Observation" else ("skel2mot", None)
    from ..converters.registry import detect

    found = detect(source, "skel", "joints", "markers", "smpl")
    return ("smpl2mot" if found.holds == ("smpl",) else "skel2mot"), None


def _twice(trials: Sequence[tuple[str, Trial]]) -> list[str]:
    """Say which names are used twice; names that differ in their case only are one on some disks."""
    first: dict[str, str] = {}
    faults = []
    for where, trial in trials:
        key = trial.name.casefold()
        if key in first:
            faults.append(f"{where}: the trial {trial.name!r} is in {first[key]} already; name them in the column 'trial'")
        first.setdefault(key, where)
    return faults


def _notes(columns: Sequence[str]) -> tuple[str, ...]:
    """Say which unknown columns look like known ones."""
    known = (*_OWN_COLUMNS, *OPTION_COLUMNS)
    found = []
    for column in columns:
        near = get_close_matches(column, known, n=1, cutoff=0.75)
        if column not in known and near:
            found.append(f"the column {column!r} is carried along and changes nothing; is {near[0]!r} meant?")
    return tuple(found)

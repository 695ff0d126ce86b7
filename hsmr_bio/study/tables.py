"""The tables of a study, made from the records of its trials: trials, angles, cycles. They can be made again at any time."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..io.atomic import new_file
from .parts import with_place, write_table
from .record import ANGLES, CYCLES, Record
from .table import PLACE_COLUMNS, StudyRow
from .task import TRIALS

if TYPE_CHECKING:
    import pandas as pd

TRIALS_CSV, TRIALS_PARQUET = "trials.csv", "trials.parquet"
NOT_DONE = "not done"
CLOCK_COLUMNS = ("seconds", "peak_mb", "host", "attempts")
"""Columns, beside those that begin with ``time_``, that differ from run to run."""
_HASH = 12
_LONGEST_FOLDER = 60
_Cell = str | float | int | None


def have_parquet() -> bool:
    """Tell whether pyarrow is installed, which the tables of angles and cycles need."""
    return importlib.util.find_spec("pyarrow") is not None


def trial_rows(rows: Sequence[StudyRow], records: Mapping[str, Record | None]) -> Iterator[dict[str, _Cell]]:
    """Make the rows of the table of trials, in the order of the study: one for each person of a trial.

    Args:
        rows: of the study.
        records: trial -> its record; None: not done.

    Yields:
        Column -> value.
    """
    for row in rows:
        record = records.get(row.trial)
        people: Iterable[dict[str, Any]] = (record or {}).get("people") or [{}]
        for one in people:
            yield {**_place(row), **_state(record, one), **_carried(row), **_figures(one), **_cost(record)}


def _place(row: StudyRow) -> dict[str, _Cell]:
    return {"trial": row.trial, "person": row.person, "group": row.group, "session": row.session}


def _state(record: Record | None, one: Mapping[str, Any]) -> dict[str, _Cell]:
    if record is None:
        return {"name": None, "status": NOT_DONE, "verdict": None, "error": None}
    return {"name": one.get("name"), "status": record["status"], "verdict": one.get("verdict"), "error": record["error"]}


def _carried(row: StudyRow) -> dict[str, _Cell]:
    """Cells of the table; a column that is called as one of ours gets a name of its own."""
    taken = {"name", "status", "verdict", "error", *CLOCK_COLUMNS}
    return {f"given_{name}" if name in taken else name: text for name, text in row.cells.items() if name not in PLACE_COLUMNS}


def _figures(one: Mapping[str, Any]) -> dict[str, _Cell]:
    found: dict[str, _Cell] = {}
    for name in ("frames", "duration_s", "stature_m", "mass_kg", "body", "task"):
        if name in one:
            found[f"found_{name}" if name in ("stature_m", "mass_kg", "body", "task") else name] = one[name]
    for name, about in one.get("checks", {}).items():
        found[f"check_{_word(name)}"] = about["value"]
    for parameter in one.get("parameters", ()):
        label = "_".join(part for part in (parameter["name"], parameter["side"]) if part)
        unit = _unit(parameter["unit"])
        found[f"{label}{unit}"] = parameter["value"]
        found[f"{label}_sd{unit}"] = parameter["sd"]
    return found


def _cost(record: Record | None) -> dict[str, _Cell]:
    if record is None:
        return {}
    found: dict[str, _Cell] = {"version": record.get("version"), "seconds": record.get("seconds")}
    found |= {"peak_mb": record.get("peak_mb"), "host": record.get("host"), "attempts": len(record.get("attempts", ())) + 1}
    return found | {f"time_{_word(name)}_s": value for name, value in record.get("timings_s", {}).items()}


def _word(name: str) -> str:
    return re.sub(r"\W+", "_", name).strip("_").lower()


def _unit(unit: str) -> str:
    text = _word(unit.replace("/", "_").replace("%", "percent"))
    return f"_{text}" if text else ""


def trials_frame(rows: Sequence[StudyRow], records: Mapping[str, Record | None]) -> pd.DataFrame:
    """Make the table of trials; columns of cells that are all numbers become numbers.

    Args:
        rows: of the study.
        records: trial -> its record.

    Returns:
        A row for each person of a trial.
    """
    import pandas as pd

    frame = pd.DataFrame(list(trial_rows(rows, records)))
    carried = {column for row in rows for column in row.cells} - set(PLACE_COLUMNS)
    for column in carried & set(frame.columns):
        numbers = pd.to_numeric(frame[column].replace("", None), errors="coerce")
        if numbers.notna().any() and numbers.notna().sum() == (frame[column].fillna("") != "").sum():
            frame[column] = numbers
    return frame


def write_trials(study: Path, rows: Sequence[StudyRow], records: Mapping[str, Record | None]) -> None:
    """Write ``trials.csv``, and with pyarrow ``trials.parquet``.

    Args:
        study: its folder.
        rows: of the study.
        records: trial -> its record.
    """
    found = list(trial_rows(rows, records))
    columns = list(dict.fromkeys(name for row in found for name in row))
    with new_file(study / TRIALS_CSV) as part, part.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, columns, restval="")
        writer.writeheader()
        writer.writerows(found)
    if have_parquet():
        with new_file(study / TRIALS_PARQUET) as part:
            trials_frame(rows, records).to_parquet(part, index=False)


def sync_parts(study: Path, rows: Sequence[StudyRow], records: Mapping[str, Record | None]) -> None:
    """Bring the tables of angles and cycles to the state of the trials: a file for each trial, in a folder for each person.

    The name of a file has the hash of the trial and of its row, so that what is there need not be opened.

    Args:
        study: its folder.
        rows: of the study.
        records: trial -> its record.
    """
    if not have_parquet():
        return
    for table in (ANGLES, CYCLES):
        wanted: dict[Path, tuple[Path, StudyRow]] = {}
        for row in rows:
            record = records.get(row.trial)
            if record is not None and record["status"] != "failed" and table in record.get("files", {}):
                wanted[study / table / _part_name(row, record)] = (study / TRIALS / row.trial / table, row)
        there = set((study / table).glob("*/*.parquet"))
        for path in there - set(wanted):
            path.unlink(missing_ok=True)
        for path in set(wanted) - there:
            source, row = wanted[path]
            if source.is_file():
                place = {"person": row.person, "group": row.group, "session": row.session}
                write_table(path, with_place(source, place))


def _part_name(row: StudyRow, record: Record) -> Path:
    about = repr((record["key"]["all"], row.person, row.group, row.session))
    digest = hashlib.blake2b(about.encode()).hexdigest()[:_HASH]
    return Path(_folder_name(row.person)) / f"{row.trial}-{digest}.parquet"


def _folder_name(person: str) -> str:
    """A name for a folder; one that had to be changed, with a hash so that two people share none."""
    name = re.sub(r"[^\w-]", "_", person)[:_LONGEST_FOLDER]
    if name == person and name[0] not in "_.":
        return name
    return f"p{name}-{hashlib.blake2b(person.encode()).hexdigest()[:6]}"

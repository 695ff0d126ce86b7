"""A study as it is on disk: its trials, tables and counts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import FormatError, InputError
from ..io.atomic import new_file
from .lock import holders
from .record import ANGLES, CYCLES, Record, one_line_of, read_record
from .table import StudyRow
from .tables import NOT_DONE, trials_frame
from .task import TRIALS

if TYPE_CHECKING:
    import pandas as pd

STUDY_JSON, REPORT = "study.json", "study_report.html"
_FORMAT = "hsmr_bio study 1"


@dataclass(frozen=True, eq=False, repr=False)
class Study:
    """A study: a folder with the results of many trials."""

    folder: Path
    rows: tuple[StudyRow, ...]
    """The trials, in the order of the table."""
    stopped: str | None = None
    """What ended the run before it was through; None: nothing."""

    def __repr__(self) -> str:
        return f"Study({str(self.folder)!r}: {self.text()})"

    @cached_property
    def records(self) -> Mapping[str, Record | None]:
        """Trial -> its record; None: not done."""
        return {row.trial: read_record(self.folder / TRIALS / row.trial) for row in self.rows}

    @cached_property
    def trials(self) -> pd.DataFrame:
        """A row for each person of a trial: inputs, verdict, figures of the checks, parameters, times, error."""
        return trials_frame(self.rows, self.records)

    @property
    def failed(self) -> pd.DataFrame:
        """The rows of the trials that failed, as in ``trials``."""
        return self.trials[self.trials["status"] == "failed"]

    @property
    def counts(self) -> dict[str, int]:
        """How many trials there are of each status."""
        found = Counter(NOT_DONE if record is None else str(record["status"]) for record in self.records.values())
        return {status: found[status] for status in ("passed", "checks failed", "failed", NOT_DONE)}

    @property
    def problems(self) -> dict[str, str]:
        """Trial that did not pass -> one line on the reason."""
        found = self.records.items()
        return {name: one_line_of(record) for name, record in found if record is not None and record["status"] != "passed"}

    @property
    def report(self) -> Path:
        """The page on the whole study."""
        return self.folder / REPORT

    @property
    def runs(self) -> list[str]:
        """The runs that work on it now: process, machine, age."""
        return holders(self.folder)

    def angles(self) -> pd.DataFrame:
        """Read all angles: a row for each frame and coordinate, degrees or metres.

        Returns:
            ``trial, person, group, session, name, side, coordinate, unit, time_s, value, sd``.
        """
        return self._table(ANGLES)

    def cycles(self) -> pd.DataFrame:
        """Read all cycles: a row for each of 101 points of each angle.

        Returns:
            ``trial, person, group, session, name, kind, side, cycle, note, angle, percent, value_deg``.
        """
        return self._table(CYCLES)

    def _table(self, name: str) -> pd.DataFrame:
        import pandas as pd

        folder = self.folder / name
        if not any(folder.glob("*/*.parquet")):
            raise InputError(f"{folder}: there is no such table; it needs the extra parquet, and trials that are done")
        return pd.read_parquet(folder)

    def text(self) -> str:
        """Say in a line how many trials are done, and how."""
        counts = ", ".join(f"{number} {status}" for status, number in self.counts.items() if number)
        return f"{len(self.rows)} trials: {counts}"


def save_rows(folder: Path, rows: Sequence[StudyRow]) -> None:
    """Write what the table of a study says, so that its state can be told without it.

    Args:
        folder: of the study.
        rows: its trials.
    """
    text = json.dumps({"format": _FORMAT, "rows": [asdict(row) for row in rows]}, indent=0)
    with new_file(folder / STUDY_JSON) as part:
        part.write_text(text + "\n", encoding="utf-8")


def load_study(folder: str | PathLike[str]) -> Study:
    """Open a study as it is now; it may be running.

    Args:
        folder: that ``batch`` wrote.

    Returns:
        The study.

    Raises:
        InputError: not the folder of a study.
        FormatError: its ``study.json`` is damaged.
    """
    path = Path(folder) / STUDY_JSON
    if not path.is_file():
        raise InputError(f"{folder}: not the folder of a study (there is no {STUDY_JSON}); give the folder after -o of a batch")
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        rows = tuple(StudyRow(**row) for row in stored["rows"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FormatError(path, None, f"cannot be read ({error}); run the batch again to write it anew") from None
    return Study(Path(folder), rows)

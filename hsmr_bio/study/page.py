"""The report of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..io.atomic import new_file
from .record import Record
from .table import StudyRow


def write_study_report(
    path: Path, rows: Sequence[StudyRow], records: Mapping[str, Record | None], *, anonymous: bool = False
) -> None:
    """Write the report of a study.

    Args:
        path: of the page.
        rows: trials of the study.
        records: trial -> its record.
        anonymous: numbers instead of names, no pictures, no links.
    """
    with new_file(path) as part:
        part.write_text(f"{len(rows)} {len(records)} {anonymous}", encoding="utf-8")

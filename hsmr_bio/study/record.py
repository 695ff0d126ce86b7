"""The record of a trial, ``trial.json`` in its folder: the truth that all tables of a study are made from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

RECORD, LOG = "trial.json", "trial.log"
ANGLES, CYCLES, PICTURE = "angles.parquet", "cycles.parquet", "picture.jpg"
FORMAT = "hsmr_bio trial 1"
Status = Literal["passed", "checks failed", "failed"]
Record = dict[str, Any]
"""``status``, ``error``, ``key`` (hashes), ``people``, ``files`` with their sizes, ``timings_s``, ``attempts`` ..."""
_REASONS = {
    "input": "the input changed",
    "options": "the options changed",
    "body": "the body changed",
    "version": "another version of hsmr-bio",
}


def read_record(folder: Path) -> Record | None:
    """Read the record of a trial.

    Args:
        folder: of the trial.

    Returns:
        The record; None if there is none, or not a whole one.
    """
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and record.get("format") == FORMAT else None


def write_record(folder: Path, record: Record) -> None:
    """Write the record of a trial, with the sizes of all files that are in its folder.

    Args:
        folder: private to the writer: it gets its name when it is complete.
        record: without format and files.
    """
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in (RECORD, LOG))
    files = {path.relative_to(folder).as_posix(): path.stat().st_size for path in found}
    text = json.dumps({"format": FORMAT, **record, "files": files}, allow_nan=False)
    (folder / RECORD).write_text(text + "\n", encoding="utf-8")


def why_again(folder: Path, record: Record | None, key: dict[str, str], *, retry_failed: bool) -> str | None:
    """Say why a trial must be computed.

    Args:
        folder: of the trial.
        record: from it.
        key: what the results depend on now.
        retry_failed: whether failed trials are computed again.

    Returns:
        The reason; None if the results are whole and as the trial is now.
    """
    if record is None:
        return "not done yet"
    stored = record.get("key", {})
    changed = [text for name, text in _REASONS.items() if stored.get(name) != key[name]]
    if changed:
        return changed[0]
    if stored.get("all") != key["all"]:
        return "another trial of this name"
    if record["status"] == "failed":
        return "failed before" if retry_failed else None
    return _damage(folder, record)


def _damage(folder: Path, record: Record) -> str | None:
    """Say which file is not there as it was written."""
    for name, size in record.get("files", {}).items():
        try:
            if (folder / name).stat().st_size != size:
                return f"{name} is not as it was written"
        except OSError:
            return f"{name} is missing"
    return None


def one_line_of(record: Record) -> str:
    """Return what there is to say of a trial that did not pass."""
    if record["status"] == "failed":
        return str(record["error"])
    failed = [f"{check} {about['value']:.3g} {about['unit']}" for check, about in failed_checks(record)]
    return f"failed checks: {', '.join(failed)}"


def failed_checks(record: Record) -> list[tuple[str, dict[str, Any]]]:
    """Return the failed checks of all people of a trial, with their figures."""
    people = record.get("people", [])
    return [(name, about) for one in people for name, about in one["checks"].items() if about["status"] == "fail"]

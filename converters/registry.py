"""From any file format to our types, and from one format to another.

A file is recognised by its first bytes; its ending decides only where bytes cannot (``.mot`` and ``.sto`` are alike). What a
conversion loses is part of its result.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hsmr_bio.errors import FormatError, InputError
from hsmr_bio.io.staging import finish

from .content import WORDS, Content, ConvertOptions, Kind, model_of
from .formats import FileFormat, formats

_HEAD_BYTES = 512
"""Enough for every ``recognise`` of the formats."""
_ANY_TABLE = "Table"
"""Format that takes tables of OpenSim without coordinates, too."""
_FOLDER_READ, _FOLDER_WRITTEN = "SKEL motion", "AddBiomechanics"
"""Formats of a folder that no other format recognises, and of one that is written."""


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """Result of a conversion."""

    source: str
    """Name of the format that was read."""
    target: str
    """Name of the format that was written."""
    written: Path
    lost: tuple[str, ...]
    """What the new file does not hold, an entry each."""
    notes: tuple[str, ...]
    """How values that the file does not state were determined."""


def detect(path: str | os.PathLike[str], *kinds: Kind) -> FileFormat:
    """Determine the format of a file.

    Args:
        path: a file, or a folder that is read as one.
        kinds: accepted types, any of them; none given: all.

    Returns:
        A format that can be read. If accepted types are given and no format recognises the file, its ending decides: the
        reader's message then says what is wrong in it.

    Raises:
        InputError: there is no such file, or its format holds none of the types.
        FormatError: no known format.
    """
    path = Path(path)
    finish(path if path.is_dir() else path.parent)
    if not path.exists():
        raise InputError(f"{path}: there is no such file")
    rows, wanted = _readable(), _readable(*kinds)
    if path.is_dir():
        found = [row for row in (*wanted, *rows) if _holds(row, path)]
        found = found or [row for row in rows if row.name == _FOLDER_READ]
    else:
        head = _head(path)
        found = [row for row in (*wanted, *rows) if (_recognises(row, head, path) if row.recognise else _has_ending(row, path))]
        if not found and kinds:
            found = [row for row in wanted if _has_ending(row, path)]
    if not found:
        raise FormatError(path, None, f"no known format by its first bytes; read are {_list(wanted)}")
    if found[0] not in wanted:
        words = " or ".join(WORDS[kind] for kind in kinds)
        raise InputError(f"{path} holds {found[0].name}; {words} can be read from {_list(wanted)}")
    return found[0]


def readable_endings(*kinds: Kind) -> tuple[str, ...]:
    """Return the endings of files that are read as any of our types."""
    return tuple(dict.fromkeys(ending for row in _readable(*kinds) for ending in row.endings))


def target_format(path: str | os.PathLike[str]) -> FileFormat:
    """Determine the format to write, by the ending; a name without an ending is an AddBiomechanics folder.

    Raises:
        InputError: files with this ending are not written.
    """
    path = Path(path)
    folder = not path.suffix or path.is_dir()
    rows = [row for row in formats() if row.write is not None]
    for row in rows:
        if row.name == _FOLDER_WRITTEN if folder else _has_ending(row, path):
            return row
    raise InputError(f"{path}: files ending in {path.suffix.lower()!r} are not written; {_list(rows)} are")


def read(path: str | os.PathLike[str], *kinds: Kind, options: ConvertOptions | None = None) -> Content:
    """Read a file of any format.

    Args:
        path: a file, or a folder that is read as one.
        kinds: accepted types, any of them; none given: all.
        options: what the file does not state.

    Returns:
        The values of all people in the file.

    Raises:
        InputError: see :func:`detect`; or a value is neither stated nor recognisable.
        FormatError: the file is damaged.
    """
    return detect(path, *kinds).load(Path(path), options or ConvertOptions())


def describe(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Describe the content of a file; its ending decides the format. A folder is described by what it is read as.

    Returns:
        JSON values by name.

    Raises:
        InputError: no such file, an unknown ending, or the file is damaged.
    """
    path = Path(path)
    finish(path.parent)
    if not path.exists():
        raise InputError(f"{path}: there is no such file")
    if path.is_dir():
        return _described_folder(path)
    head = _head(path)
    known = [row for row in formats() if row.describe is not None or row.read is not None]
    problems: list[InputError] = []
    for row in sorted(known, key=lambda row: not _recognises(row, head, path)):
        if _has_ending(row, path):  # several formats may share it: those that recognise the file first
            try:
                return row.facts(path, ConvertOptions())
            except InputError as error:
                problems.append(error)
    raise problems[0] if problems else InputError(f"{path}: unknown ending; known: {_list(known)}")


def _described_folder(path: Path) -> dict[str, Any]:
    return detect(path).facts(path, ConvertOptions())


def convert(
    source: str | os.PathLike[str], target: str | os.PathLike[str], options: ConvertOptions | None = None
) -> Conversion:
    """Convert a file; the content of the source and the ending of the target decide the formats.

    Args:
        source: the file (or the folder of HSMR's results).
        target: the file to write (or the folder, for AddBiomechanics).
        options: what the files do not state.

    Returns:
        What was written, and what was lost.

    Raises:
        InputError: the target cannot hold the content of the source, or a value is neither stated nor recognisable.
        FormatError: the source is damaged.
    """
    options = options or ConvertOptions()
    source, target = Path(source), Path(target)
    reads, writes = detect(source), target_format(target)
    if target.is_file() and not options.overwrite:
        raise InputError(f"{target} exists already; allow overwriting (--overwrite) or choose another name")
    content = reads.load(source, replace(options, tables=writes.name == _ANY_TABLE))
    content = _one_person(content, source, options.person)
    if content.markers is not None and content.model is None:
        content = replace(content, model=model_of(source, options))
    notes = []
    if source.is_file() and not _has_ending(reads, source):
        notes.append(f"{source.name} holds {reads.name}, whatever its ending says")
    written = writes.save(target, content, options)
    left_out = content.capture.summary if content.capture is not None and not writes.keeps_capture else ()
    return Conversion(
        source=reads.name,
        target=writes.name,
        written=target,
        lost=(*content.lost, *left_out, *written.lost, *writes.lost),
        notes=(*notes, *content.notes, *written.notes),
    )


def _one_person(content: Content, path: Path, person: int) -> Content:
    """Keep one of several people; a content without people is returned as it is."""
    people = content.people or content.joints
    count = len(people)
    if count == 0:
        return content
    if not 0 <= person < count:
        raise InputError(f"{path} holds {count} person(s), numbered from 0; there is no {person}")
    others = (f"the other {count - 1} person(s)",) if count > 1 else ()
    kept = replace(content, lost=(*content.lost, *others))
    if content.people:
        return replace(kept, people=(content.people[person],))
    return replace(kept, joints=(content.joints[person],))


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES)


def _has_ending(row: FileFormat, path: Path) -> bool:
    return path.suffix.lower() in row.endings


def _readable(*kinds: Kind) -> list[FileFormat]:
    return [row for row in formats() if row.read is not None and (not kinds or set(kinds) & set(row.holds))]


def _list(rows: list[FileFormat]) -> str:
    return ", ".join(dict.fromkeys(ending for row in rows for ending in row.endings))


def _recognises(row: FileFormat, head: bytes, path: Path) -> bool:
    """Whether a format recognises a file; not if it cannot digest it."""
    try:
        return row.recognise is not None and row.recognise(head, path)
    except Exception:  # noqa: BLE001 - the reader that is chosen in its place says what is wrong
        return False


def _holds(row: FileFormat, folder: Path) -> bool:
    """Whether a folder holds a format's results."""
    try:
        return row.folder is not None and row.folder(folder)
    except Exception:  # noqa: BLE001 - as above
        return False

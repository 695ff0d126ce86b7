"""From any file format to our types, and from one format to another.

A file is recognised by its first bytes; its ending decides only where bytes cannot (``.mot`` and ``.sto`` are alike). What a
conversion leaves behind is part of its result.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hsmr_bio.errors import FormatError, InputError

from .content import WORDS, Content, ConvertOptions, Kind, model_of
from .facts import content_facts
from .formats import FileFormat, formats

_HEAD_BYTES = 512
_FOLDER_READ, _FOLDER_WRITTEN = "SKEL motion", "AddBiomechanics"
"""Formats that are read from a folder, and written as one."""


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What was done."""

    source: str
    """Name of the format that was read."""
    target: str
    written: Path
    lost: tuple[str, ...]
    """What the new file does not hold, a sentence each."""
    notes: tuple[str, ...]
    """How things that the file does not state were recognised."""


def detect(path: str | os.PathLike[str], *kinds: Kind) -> FileFormat:
    """Say which format a file has.

    Args:
        path: a file, or a folder of HSMR's results.
        kinds: our types that are wanted, any of them; none given: whatever it is.

    Returns:
        A row that can be read. A file that no row recognises counts as what its ending says, if it is to hold a certain type:
        its reader says best what is wrong with it.

    Raises:
        InputError: there is no such file, or its format holds none of the types.
        FormatError: no known format.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: there is no such file")
    rows, wanted = _readable(), _readable(*kinds)
    if path.is_dir():
        found = [row for row in rows if row.name == _FOLDER_READ]
    else:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        found = [row for row in (*wanted, *rows) if row.recognises(head, path)]
        if not found and kinds:
            found = [row for row in wanted if path.suffix.lower() in row.endings]
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
    """Say which format is to be written, by the ending; a name without one is an AddBiomechanics folder.

    Raises:
        InputError: an ending that cannot be written.
    """
    path = Path(path)
    ending = path.suffix.lower()
    rows = [row for row in formats() if row.write is not None]
    folder = not ending or path.is_dir()
    for row in rows:
        if row.name == _FOLDER_WRITTEN if folder else ending in row.endings:
            return row
    raise InputError(f"{path}: files ending in {ending!r} are not written; {_list(rows)} are")


def read(path: str | os.PathLike[str], *kinds: Kind, options: ConvertOptions | None = None) -> Content:
    """Read a file of any format.

    Args:
        path: a file, or a folder of HSMR's results.
        kinds: our types that are wanted, any of them; none given: whatever it holds.
        options: what the file itself does not say.

    Returns:
        What it holds, everybody who is in it.

    Raises:
        InputError: see :func:`detect`; or something is not stated and cannot be recognised.
        FormatError: the file is damaged.
    """
    return detect(path, *kinds).load(Path(path), options or ConvertOptions())


def describe(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Say what is in a file, by its ending.

    Returns:
        JSON values by name.

    Raises:
        InputError: no such file, an unknown ending, or the file is damaged.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: there is no such file")
    known = [row for row in formats() if row.describe is not None or row.read is not None]
    rows = [row for row in known if path.suffix.lower() in row.endings]
    if not rows:
        raise InputError(f"{path}: unknown ending; known: {_list(known)}")
    problems: list[InputError] = []
    for row in rows:  # rows that share an ending
        try:
            if row.describe is not None:
                return row.describe(path)
            return content_facts(row.load(path, ConvertOptions()), row.name)
        except InputError as error:
            problems.append(error)
    raise problems[0]


def convert(
    source: str | os.PathLike[str], target: str | os.PathLike[str], options: ConvertOptions | None = None
) -> Conversion:
    """Convert a file; the content of the source and the ending of the target say from what to what.

    Args:
        source: the file (or the folder of HSMR's results).
        target: the file to write (or the folder, for AddBiomechanics).
        options: what the files themselves do not say.

    Returns:
        What was written, and what was lost on the way.

    Raises:
        InputError: the target cannot hold what the source has, or something is not stated and cannot be recognised.
        FormatError: the source is damaged.
    """
    options = options or ConvertOptions()
    source, target = Path(source), Path(target)
    kind, wanted = detect(source), target_format(target)
    if target.is_file() and not options.overwrite:
        raise InputError(f"{target} exists already; allow overwriting (--overwrite) or choose another name")
    content = one_person(kind.load(source, options), source, options.person)
    if content.markers is not None and content.model is None:
        content = replace(content, model=model_of(source, options))
    notes = []
    if source.is_file() and source.suffix.lower() not in kind.endings:
        notes.append(f"{source.name} holds {kind.name}, whatever its ending says")
    written = wanted.save(target, content, options)
    return Conversion(
        source=kind.name,
        target=wanted.name,
        written=target,
        lost=(*content.lost, *written.lost, *wanted.lost),
        notes=(*notes, *content.notes, *written.notes),
    )


def one_person(content: Content, path: Path, person: int = 0) -> Content:
    """Keep one person of a content with several.

    Args:
        content: of any types; unchanged if nobody's SKEL motion is in it.
        path: the file that it is from.
        person: which, from 0.

    Raises:
        InputError: there is no such person.
    """
    count = len(content.people)
    if count == 0:
        return content
    if not 0 <= person < count:
        raise InputError(f"{path} holds {count} person(s), numbered from 0; there is no {person}")
    others = (f"the other {count - 1} person(s)",) if count > 1 else ()
    return replace(content, people=(content.people[person],), lost=(*content.lost, *others))


def _readable(*kinds: Kind) -> list[FileFormat]:
    return [row for row in formats() if row.read is not None and (not kinds or set(kinds) & set(row.holds))]


def _list(rows: list[FileFormat]) -> str:
    return ", ".join(dict.fromkeys(ending for row in rows for ending in row.endings))

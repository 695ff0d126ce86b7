"""Every file format that is read or written here, and the way from one to another.

A file is recognised by its first bytes; its ending decides only where bytes cannot (``.mot`` and ``.sto`` are alike). What a
conversion leaves behind is part of its result.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hsmr_bio.errors import FormatError, InputError

from . import readers, writers
from .content import Content, ConvertOptions


@dataclass(frozen=True, kw_only=True)
class FileFormat:
    """One format."""

    name: str
    endings: tuple[str, ...]
    what: str
    """What it is, for the help."""
    recognise: Callable[[bytes, Path], bool]
    """Whether the first 512 bytes are this format's."""
    read: Callable[[Path, ConvertOptions], Content] | None = None
    write: Callable[[Path, Content, ConvertOptions], writers.Written] | None = None


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


def _begins(*starts: bytes) -> Callable[[bytes, Path], bool]:
    return lambda head, _: head.lstrip(b"\xef\xbb\xbf").startswith(starts)


def _never(head: bytes, path: Path) -> bool:
    return False


def _table(*endings: str) -> Callable[[bytes, Path], bool]:
    return lambda head, path: path.suffix.lower() in endings and b"\0" not in head and not head.startswith(b"PathFileType")


FORMATS: tuple[FileFormat, ...] = (
    FileFormat(
        name="TRC",
        endings=(".trc",),
        what="markers",
        recognise=_begins(b"PathFileType"),
        read=readers.from_trc,
        write=writers.to_trc,
    ),
    FileFormat(
        name="C3D",
        endings=(".c3d",),
        what="markers of a motion capture system",
        recognise=lambda head, _: head[1:2] == b"\x50" and 0 < head[0] < 128 and b"\0" in head[:24],
        read=readers.from_c3d,
        write=writers.to_c3d,
    ),
    FileFormat(
        name="BVH",
        endings=(".bvh",),
        what="skeleton animation as text",
        recognise=_begins(b"HIERARCHY"),
        read=readers.from_bvh,
        write=writers.to_bvh,
    ),
    FileFormat(
        name="GLB",
        endings=(".glb",),
        what="skeleton animation with skin, for Blender, Unity and browsers",
        recognise=_begins(b"glTF"),
        read=readers.from_glb,
        write=writers.to_glb,
    ),
    FileFormat(
        name="MOT",
        endings=(".mot", ".sto"),
        what="OpenSim coordinates (needs --model)",
        recognise=_table(".mot", ".sto"),
        read=readers.from_mot,
        write=writers.to_mot,
    ),
    FileFormat(
        name="AddBiomechanics",
        endings=(".b3d",),
        what="a subject of AddBiomechanics; written as a folder for upload",
        recognise=lambda head, path: path.suffix.lower() == ".b3d",
        read=readers.from_b3d,
        write=writers.to_addbiomechanics,
    ),
    FileFormat(
        name="SKEL motion",
        endings=(".npz", ".npy", ".pkl"),
        what="SKEL motion: ours, HSMR's demo, SKEL's alignment",
        recognise=lambda head, path: (
            path.suffix.lower() in (".npz", ".npy", ".pkl") or head[:2] == b"PK" or head[:1] == b"\x80"
        ),
        read=readers.from_skel,
        write=writers.to_skel_file,
    ),
    FileFormat(
        name="USD",
        endings=(".usda", ".usdc", ".usd"),
        what="skeleton animation with skin, for film and simulation tools",
        recognise=_never,
        write=writers.to_usd,
    ),
    FileFormat(name="OSIM", endings=(".osim",), what="the model of a subject", recognise=_never, write=writers.to_osim),
)
"""Looked through in this order."""


def detect(path: str | os.PathLike[str]) -> FileFormat:
    """Say which format a file has.

    Raises:
        InputError: there is no such file.
        FormatError: no known format.
    """
    path = Path(path)
    if path.is_dir():
        return _by_name("SKEL motion")
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    with path.open("rb") as file:
        head = file.read(512)
    for known in FORMATS:
        if known.recognise(head, path):
            return known
    raise FormatError(path, None, f"no known format by its first bytes; read are {_list(lambda f: f.read is not None)}")


def target_format(path: str | os.PathLike[str]) -> FileFormat:
    """Say which format is to be written, by the ending; a name without one is an AddBiomechanics folder.

    Raises:
        InputError: an ending that cannot be written.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if not ending or path.is_dir():
        return _by_name("AddBiomechanics")
    for known in FORMATS:
        if ending in known.endings and known.write is not None:
            return known
    raise InputError(f"{path}: files ending in {ending!r} are not written; {_list(lambda f: f.write is not None)} are")


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
    if kind.read is None or wanted.write is None:
        raise InputError(f"{kind.name} files are not converted; hsmr-bio info {source} shows what is in it")
    notes = []
    if source.is_file() and source.suffix.lower() not in kind.endings:
        notes.append(f"{source.name} holds {kind.name}, whatever its ending says")
    content = kind.read(source, options)
    written = wanted.write(target, content, options)
    return Conversion(
        source=kind.name,
        target=wanted.name,
        written=target,
        lost=(*(content.lost if written.derived else ()), *written.lost),
        notes=(*notes, *content.notes, *written.notes),
    )


def _by_name(name: str) -> FileFormat:
    return next(known for known in FORMATS if known.name == name)


def _list(chosen: Callable[[FileFormat], bool]) -> str:
    return ", ".join(ending for known in FORMATS if chosen(known) for ending in known.endings)

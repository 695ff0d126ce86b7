"""Open C3D files with the library ezc3d, after a check: the library crashes on wrong lengths or counts.

Source:
    The C3D File Format, Motion Lab Systems 2008: header, groups and parameters.
"""

from __future__ import annotations

import errno
import os
import struct
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite, prod
from pathlib import Path
from typing import Any

from ..errors import FormatError, require
from .c3d_mips import little_endian
from .child import try_first

_BLOCK = 512
"""Bytes per block of the file."""
_MIN_HEADER = 24
"""Bytes of the header that are read."""
_KEY = 0x50
"""Second byte of every C3D file."""
_MAX_BLOCKS = 255
"""Largest length of the parameter section in blocks (one byte counts them)."""
_INTEL, _DEC, _MIPS = 84, 85, 86
"""Number formats: little-endian IEEE, VAX, big-endian IEEE."""
_SIZES = {-1: 1, 1: 1, 2: 2, 4: 4}
"""Parameter type -> bytes per value: text, byte, 16-bit integer, 32-bit float."""
_MAX_DIMENSIONS = 7
"""Largest number of dimensions of a parameter."""
_WORDS = 65536
"""16-bit counts are stored modulo this; a last frame of one less means that a parameter holds the count."""
_ROTATION_BYTES = 17 * 4
"""A rotation is 16 floats and its reliability."""
_MAX_RATE_HZ = 1e6
"""Higher rates are taken for damage; no motion or force recorder reaches it."""
Parameters = dict[tuple[str, str], tuple[int, tuple[int, ...], bytes]]
"""(group, name) -> type, dimensions, data."""


def open_c3d(path: Path, *, feature: str, force_plates: bool = False) -> Mapping[str, Any]:
    """Read a C3D file.

    Args:
        path: the file.
        feature: that needs the file, for the message if ezc3d is missing.
        force_plates: whether ezc3d computes the forces on force plates.

    Returns:
        ezc3d's ``header``, ``parameters`` and ``data``.

    Raises:
        FormatError: not a C3D file, truncated, or with contradictory counts; the message names the parameter or byte.
        MissingDependencyError: ezc3d is not installed.
    """
    kind = _check(path)
    ezc3d = require("ezc3d", feature=feature)
    try:
        with _readable(path, kind) as file:
            try_first(file, f"import ezc3d; ezc3d.c3d(path, extract_forceplat_data={force_plates})", "ezc3d")
            content: Mapping[str, Any] = ezc3d.c3d(str(file), extract_forceplat_data=force_plates)
    except (OSError, RuntimeError, ValueError, IndexError, KeyError) as error:
        raise FormatError(path, None, f"cannot be read as C3D: {str(error).removesuffix(': iostream error')}") from error
    _decode_old_text(content["parameters"])
    return content


@contextmanager
def _readable(path: Path, kind: int) -> Iterator[Path]:
    """Yield the file, or a little-endian copy of a big-endian one."""
    if kind != _MIPS:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "a.c3d"
        copy.write_bytes(little_endian(path.read_bytes()))
        yield copy


def refuse_short(path: Path) -> None:
    """Refuse a file that ezc3d has just written and that is too short: it does not tell when the disk is full.

    Args:
        path: the file.

    Raises:
        OSError: the disk is full.
    """
    try:
        _check(path)
    except FormatError as error:
        raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}, there or in {path.parent}") from error


def _decode_old_text(parameters: Mapping[str, Any]) -> None:
    """Read text that is not UTF-8 as Latin-1, which older programs wrote."""
    for group in parameters.values():
        for parameter in group.values():
            value = parameter.get("value") if isinstance(parameter, dict) else None
            if isinstance(value, list) and any(isinstance(text, str) and not text.isprintable() for text in value):
                parameter["value"] = [_latin(text) if isinstance(text, str) else text for text in value]


def _latin(text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-8", errors="surrogateescape").decode("latin-1")
    return text


def _check(path: Path) -> int:
    """Refuse a file that is no C3D file, is truncated, or has contradictory counts; the kind of its numbers."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            header = file.read(_BLOCK)
            start = (header[0] - 1) * _BLOCK if header else 0
            file.seek(max(start, 0))
            content = file.read(_MAX_BLOCKS * _BLOCK)
    except OSError as error:
        raise FormatError(path, None, f"cannot be opened: {error.strerror or error}") from error
    if len(header) < _MIN_HEADER or header[1] != _KEY or start < _BLOCK or len(content) < 4:
        raise FormatError(path, None, "no C3D file: the second byte of one is 0x50 and parameters follow")
    if content[3] not in (_INTEL, _DEC, _MIPS):
        raise FormatError(path, None, f"no C3D file: unknown kind of numbers ({content[3]}; 84, 85 or 86 is expected)")
    order = ">" if content[3] == _MIPS else "<"
    parameters = _read_parameters(path, content[: content[2] * _BLOCK], order)
    number = _Number(order, dec=content[3] == _DEC)
    points, analog, first, last = struct.unpack(f"{order}4H", header[2:10])
    block = struct.unpack(f"{order}H", header[16:18])[0]
    _check_counts(path, parameters, number, points, analog, struct.unpack(f"{order}H", header[18:20])[0])
    _check_rotations(path, parameters, number, size)
    if last == _WORDS - 1:  # the frame count is in a parameter: size not checked
        return content[3]
    scale = number.real(header[12:16])
    frames = last - first + 1
    needed = (block - 1) * _BLOCK + frames * (points * 4 + analog) * (4 if scale < 0 else 2)
    if frames < 1 or block < 2:
        raise FormatError(path, "header", f"frames {first} to {last}, data from block {block}: damaged")
    if size < needed:
        raise FormatError(path, None, f"truncated: the header announces {needed} bytes, the file has {size}. Export it again")
    return content[3]


@dataclass(frozen=True)
class _Number:
    """Decodes the numbers of a file."""

    order: str
    """``<`` or ``>``."""
    dec: bool

    def real(self, data: bytes) -> float:
        """Decode a 32-bit float; DEC's has its 16-bit halves swapped and four times the value."""
        if self.dec:
            return float(struct.unpack("<f", data[2:4] + data[:2])[0] / 4)
        return float(struct.unpack(f"{self.order}f", data)[0])

    def of(self, parameters: Parameters, key: tuple[str, str]) -> float | None:
        """The first value of a parameter; None if there is none. Counts are unsigned."""
        kind, _, data = parameters.get(key, (0, (), b""))
        if kind not in (2, 4) or len(data) < kind:
            return None
        return self.real(data[:4]) if kind == 4 else float(struct.unpack(f"{self.order}H", data[:2])[0])


def _read_parameters(path: Path, content: bytes, order: str) -> Parameters:
    """Read the groups and parameters; every length must stay inside the section."""
    groups: dict[int, str] = {}
    found: list[tuple[int, str, int, tuple[int, ...], bytes]] = []
    start = 4
    while start + 4 <= len(content):
        length, number = struct.unpack("bb", content[start : start + 2])
        if length == 0 or number == 0:
            break
        name_end = start + 2 + abs(length)
        if name_end + 2 > len(content):
            raise FormatError(path, f"parameter section, byte {start}", "a name runs out of the section: damaged")
        name = content[start + 2 : name_end].decode("latin-1").upper()
        following = name_end + struct.unpack(f"{order}H", content[name_end : name_end + 2])[0]
        end = following if following > name_end else len(content)
        rest = content[name_end + 2 : end]
        if number < 0:
            groups[-number] = name
        else:
            kind, dimensions, data = _read_values(path, name, rest)
            found.append((number, name, kind, dimensions, data))
            rest = rest[2 + len(dimensions) + len(data) :]
        if following > name_end and (not rest or 1 + rest[0] > len(rest)):
            raise FormatError(path, f"group or parameter {name!r}", "its description is longer than its place: damaged")
        if following == name_end:
            break
        start = following
    # a parameter of a group that does not exist (some programs leave them behind) is skipped
    return {(groups[number], name): (kind, dims, data) for number, name, kind, dims, data in found if number in groups}


def _read_values(path: Path, name: str, content: bytes) -> tuple[int, tuple[int, ...], bytes]:
    """Return type, dimensions and data of a parameter."""
    kind, count = struct.unpack("bB", content[:2]) if len(content) >= 2 else (0, 255)
    if kind not in _SIZES or count > _MAX_DIMENSIONS or len(content) < 2 + count:
        raise FormatError(path, f"parameter {name!r}", f"type {kind} with {count} dimensions: damaged")
    dimensions = tuple(content[2 : 2 + count])
    length = prod(dimensions) * _SIZES[kind]
    if 2 + count + length > len(content):
        raise FormatError(path, f"parameter {name!r}", "it is longer than its place in the file: damaged")
    return kind, dimensions, content[2 + count : 2 + count + length]


def _check_counts(path: Path, parameters: Parameters, number: _Number, points: int, analog: int, samples: int) -> None:
    """Refuse a missing required parameter, and counts that differ between header and parameters."""
    needed = [("POINT", name) for name in ("USED", "SCALE", "RATE", "DATA_START", "FRAMES")]
    if any(group == "ANALOG" for group, _ in parameters):
        needed.append(("ANALOG", "USED"))
    if points and ("POINT", "LABELS") not in parameters:
        raise FormatError(path, "POINT:LABELS", "missing: damaged, or not written as the format requires")
    for key in needed:
        if number.of(parameters, key) is None:
            raise FormatError(path, ":".join(key), "missing or empty: damaged, or not written as the format requires")
    for key, stated in ((("POINT", "USED"), points), (("ANALOG", "USED"), analog // samples if samples else 0)):
        used = number.of(parameters, key)
        if used is not None and int(used) % _WORDS != stated:
            raise FormatError(path, ":".join(key), f"{int(used)}, but {stated} in the header: damaged")
    _check_analog(path, parameters, number)
    for key in (("POINT", "RATE"), ("ANALOG", "RATE")):
        rate = number.of(parameters, key)
        if rate is not None and parameters[key][0] == 4 and not (isfinite(rate) and 0 <= rate < _MAX_RATE_HZ):
            raise FormatError(path, ":".join(key), f"{rate:g} Hz is no rate: damaged")


def _check_analog(path: Path, parameters: Parameters, number: _Number) -> None:
    """Refuse analog channels without a scale and an offset each: the library reads beyond the end of shorter lists."""
    used = int(number.of(parameters, ("ANALOG", "USED")) or 0)
    for name in ("SCALE", "OFFSET") if used else ():
        parts = [parameters.get(("ANALOG", f"{name}{part}")) for part in ("", *range(2, 2 + used // _MAX_BLOCKS))]
        count = sum(prod(part[1]) for part in parts if part is not None)
        if count < used:
            raise FormatError(path, f"ANALOG:{name}", f"{count} values for {used} channels: damaged")


def _check_rotations(path: Path, parameters: Parameters, number: _Number, size: int) -> None:
    """Refuse rotations that the file is too short for."""
    used, start = (number.of(parameters, ("ROTATION", name)) or 0.0 for name in ("USED", "DATA_START"))
    if not used:
        return
    lacking = next((name for name in ("RATE", "RATIO", "LABELS") if ("ROTATION", name) not in parameters), None)
    if lacking is not None:
        raise FormatError(path, f"ROTATION:{lacking}", "missing: damaged, or not written as the format requires")
    frames, ratio = number.of(parameters, ("POINT", "FRAMES")) or 0.0, number.of(parameters, ("ROTATION", "RATIO")) or 1.0
    needed = (start - 1) * _BLOCK + used * frames * ratio * _ROTATION_BYTES
    if start < 2 or not isfinite(needed) or size < needed:
        problem = f"{used:g} rotations from block {start:g} need {needed:g} bytes, the file has {size}: truncated or damaged"
        raise FormatError(path, "ROTATION", problem)

"""Bounds of memory: what a file may ask for, as a multiple of its size.

A few bytes can ask for any amount: numbers that count what follows, compressed zeros, one list inside another many times.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable
from os import PathLike
from typing import Any, BinaryIO

import numpy as np

from ..errors import FormatError

MOST_TIMES = 50
"""A file is unpacked to at most this many times its size (own choice: recorded motion packs to a half or a third)."""
ALWAYS_BYTES = 1 << 26
"""64 MB are allowed whatever the size of the file: a short constant motion packs well."""
MOST_ELEMENTS = 1 << 24
"""Elements of a sparse matrix if it were written out: bodies have up to 0.6 million."""
_POINTER = 8
"""Bytes of a number, or of a place in a list."""
_FEW_BYTES = 4096
"""Reading these takes no memory to speak of: what is left is not asked for before."""
_NUMBERS = frozenset((bool, int, float, complex, type(None)))
"""Types that have no parts; a file may hold millions of them."""


def most_bytes(size: int) -> int:
    """Return how many bytes a file may be unpacked to.

    Args:
        size: bytes of the file.

    Returns:
        50 times the size, at least 64 MB.
    """
    return max(MOST_TIMES * size, ALWAYS_BYTES)


def refuse_unpacked(path: str | PathLike[str], needed: int, size: int) -> None:
    """Refuse a file that asks for more memory than its size explains.

    Args:
        path: of the file.
        needed: bytes that its content takes in memory.
        size: bytes of the file.

    Raises:
        FormatError: ``needed`` is more than :func:`most_bytes`.
    """
    if needed > most_bytes(size):
        problem = f"its {size} bytes ask for {needed / 1e6:.0f} MB of memory: damaged, or made to do harm"
        raise FormatError(path, None, problem)


def refuse_members(path: str | PathLike[str], archive: zipfile.ZipFile, size: int) -> None:
    """Refuse a zip archive whose members, unpacked, take more memory than its size explains.

    Args:
        path: of the archive.
        archive: opened.
        size: bytes of the archive.

    Raises:
        FormatError: the members take more than :func:`most_bytes`.
    """
    refuse_unpacked(path, sum(member.file_size for member in archive.infolist()), size)


def refuse_expanded(path: str | PathLike[str], value: object, size: int) -> None:
    """Refuse values that would grow beyond what the file's size explains, once every shared part has its own copy.

    Args:
        path: of the file.
        value: lists, dicts, arrays, tensors, of any nesting.
        size: bytes of the file, unpacked.

    Raises:
        FormatError: the parts, each as often as it occurs, take more than :func:`most_bytes`.
    """
    refuse_unpacked(path, _expanded_bytes(value, {}), size)


def _expanded_bytes(value: object, known: dict[int, int]) -> int:
    if id(value) in known:
        return known[id(value)]
    known[id(value)] = 0  # a container inside itself
    total = _own_bytes(value)
    for part in _parts(value):
        total += _POINTER
        if type(part) not in _NUMBERS:
            total += _expanded_bytes(part, known)
    known[id(value)] = total
    return total


def _parts(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    if isinstance(value, list | tuple | set | frozenset):
        return value
    if isinstance(value, np.ndarray) and value.dtype == object:
        return value.flat
    return ()


def _own_bytes(value: object) -> int:
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, str | bytes | bytearray):
        return len(value)
    tensor: Any = value
    return int(tensor.numel() * tensor.element_size()) if hasattr(value, "element_size") else 0


class BoundedStream:
    """A binary stream that never reads more than the rest of its file."""

    def __init__(self, stream: BinaryIO) -> None:
        start = stream.tell()
        self._stream, self.size = stream, stream.seek(0, os.SEEK_END)
        stream.seek(start)

    def read(self, count: int = -1) -> bytes:
        """Read ``count`` bytes, or all that are left.

        Raises:
            EOFError: fewer are left.
        """
        if count > _FEW_BYTES and count > (left := self.size - self._stream.tell()):
            raise EOFError(f"{count} bytes are announced, {left} are left")
        data = self._stream.read(count)
        if len(data) < count:
            raise EOFError(f"{count} bytes are announced, {len(data)} are left")
        return data

    def readline(self) -> bytes:
        """Read to the end of the line."""
        return self._stream.readline()

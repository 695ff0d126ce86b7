"""C3D files of big-endian machines (SGI, MIPS) as little-endian ones, which is all that the library reads.

Source:
    The C3D File Format, Motion Lab Systems 2008: places of numbers in header, parameters and data.
"""

from __future__ import annotations

import struct

import numpy as np

_BLOCK = 512
_INTEL = 84
_WORDS = ((2, 12), (16, 20), (294, 302))
"""16-bit numbers of the header, bytes from and to: counts and frames, data start and samples, kinds of labels and events."""
_FLOATS = ((12, 16), (20, 24), (304, 376))
"""32-bit numbers: scale, rate, times of events."""


def little_endian(content: bytes) -> bytes:
    """Swap the bytes of all numbers of a big-endian C3D file whose parameters were checked.

    Args:
        content: of the file.

    Returns:
        The same file in little-endian order.
    """
    swapped = bytearray(content)
    start = (content[0] - 1) * _BLOCK
    length = content[start + 2] * _BLOCK
    floats = struct.unpack(">f", content[12:16])[0] < 0
    for first, last in _WORDS:
        _swap(swapped, first, last, 2)
    for first, last in _FLOATS:
        _swap(swapped, first, last, 4)
    _swap_parameters(swapped, start, start + length)
    _swap(swapped, start + length, len(swapped), 4 if floats else 2)
    return bytes(swapped)


def _swap(content: bytearray, first: int, last: int, size: int) -> None:
    last = min(first + (last - first) // size * size, first + (len(content) - first) // size * size)
    if last > first:
        content[first:last] = np.frombuffer(bytes(content[first:last]), dtype=f">u{size}").astype(f"<u{size}").tobytes()


def _swap_parameters(content: bytearray, start: int, end: int) -> None:
    """Swap the lengths and values of groups and parameters; the section names the order of its bytes."""
    content[start + 3] = _INTEL
    place = start + 4
    while place + 4 <= end:
        length, number = struct.unpack("bb", content[place : place + 2])
        if length == 0 or number == 0:
            return
        name_end = place + 2 + abs(length)
        following: int = struct.unpack(">h", content[name_end : name_end + 2])[0]
        _swap(content, name_end, name_end + 2, 2)
        if number > 0:
            kind, dimensions = struct.unpack("bB", content[name_end + 2 : name_end + 4])
            values = name_end + 4 + dimensions
            count = int(np.prod(list(content[name_end + 4 : values]), dtype=np.int64))
            if kind in (2, 4):
                _swap(content, values, values + kind * count, kind)
        if following <= 0:
            return
        place = name_end + following

"""Headers of numpy's ``.npy`` files, checked against the bytes that follow."""

from __future__ import annotations

import math
from os import PathLike
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format

from ..errors import FormatError

_VERSIONS = ((1, 0), (2, 0), (3, 0))


def read_npy_header(stream: IO[bytes], path: str | PathLike[str], size: int) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Read the header of an array and check that its values are in the file.

    Args:
        stream: at the start of the array; afterwards at its first value.
        path: for messages.
        size: bytes from the start of the array to the end of the stream.

    Returns:
        Shape and dtype.

    Raises:
        FormatError: an unknown version, or fewer bytes than the shape needs.
    """
    first = stream.tell()
    version = npy_format.read_magic(stream)
    if version not in _VERSIONS:
        raise FormatError(path, None, f"version {version} of numpy's format is not known")
    read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
    shape, _, dtype = read(stream)
    left = size - (stream.tell() - first)
    needed = math.prod(shape) * dtype.itemsize
    if not dtype.hasobject and (needed > left or min(shape, default=0) < 0):
        raise FormatError(path, None, f"cut off or damaged: shape {shape} of {dtype} needs {needed} bytes, {left} are left")
    return shape, dtype

"""Reads the stream of a pickle of arrays, also of joblib (WHAM, 4D-Humans).

In joblib's files the bytes of each array follow its description, outside the pickle's own frames.

Source:
    File format of joblib 1.x (``joblib.dump``): a description (shape, order, dtype), one byte with the number of bytes
    of padding, the padding, then the array; the whole file may be compressed.
"""

from __future__ import annotations

import io
import math
import pickle
import zlib
from os import PathLike
from typing import Any, BinaryIO, ClassVar, NoReturn

import numpy as np

from .bounds import BoundedStream, most_bytes, refuse_unpacked
from .guarded_pickle import GuardedUnpickler
from .pickle_names import ArrayRecord, DtypeRecord, Names, Record, build_array

_GZIP, _ZLIB = b"\x1f\x8b", (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
"""First two bytes of the compressed formats (RFC 1952; RFC 1950 at its four levels)."""


class _JoblibArray(ArrayRecord):
    """Description of an array whose bytes follow."""

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, dict):
            raise pickle.UnpicklingError("an array's description must be a mapping")
        self.description = state


class ArrayReader(GuardedUnpickler):
    """An unpickler limited to ``names`` that reads each array of joblib after its description."""

    dispatch: ClassVar[dict[int, Any]] = dict(GuardedUnpickler.dispatch)
    buildable = (*GuardedUnpickler.buildable, Record, ArrayRecord, DtypeRecord)

    def __init__(self, stream: BoundedStream, names: Names) -> None:
        super().__init__(stream, encoding="latin1")
        self._stream, self._names = stream, names

    def find_class(self, module: str, name: str) -> object:
        """Return the stand-in for a name of the pickle.

        Args:
            module: as the pickle names it.
            name: as the pickle names it.

        Returns:
            A class or function that is safe to call.
        """
        if (module, name) == ("joblib.numpy_pickle", "NumpyArrayWrapper"):
            return _JoblibArray
        return self._names.find(module, name)

    def persistent_load(self, _pid: object) -> NoReturn:
        """Refuse a reference to something outside the file."""
        self._names.refuse_reference()

    def load_build(self) -> None:
        """Set an object's state; for a description of an array, read the array."""
        super().load_build()
        record = self.stack[-1]
        if isinstance(record, _JoblibArray):
            record.array = self._read_array(record.description)

    dispatch[pickle.BUILD[0]] = load_build

    def _read_array(self, description: dict[str, Any]) -> np.ndarray[Any, Any]:
        dtype, shape = description["dtype"].dtype, description["shape"]
        if dtype.hasobject:
            content = ArrayReader(self._stream, self._names).load()
            if not isinstance(content, ArrayRecord):
                raise pickle.UnpicklingError("an array of objects must hold an array")
            return content.array
        if description.get("numpy_array_alignment_bytes") is not None:
            self._stream.read(self._stream.read(1)[0])
        size = math.prod(int(n) for n in shape) * dtype.itemsize
        return build_array(self._stream.read(size), description["dtype"], shape, description["order"])


def uncompressed(stream: BinaryIO, path: str | PathLike[str]) -> BinaryIO:
    """Return the stream, decompressed if it starts as zlib or gzip.

    Args:
        stream: seekable.
        path: for messages.

    Returns:
        The stream, or another one with the decompressed bytes.

    Raises:
        FormatError: the compressed file would take more memory than its size explains.
        EOFError: it ends early.
    """
    start = stream.tell()
    magic = stream.read(2)
    stream.seek(start)
    if magic != _GZIP and magic not in _ZLIB:
        return stream
    packed = stream.read()
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # zlib or gzip, as the first bytes say
    content = unpacker.decompress(packed, most_bytes(len(packed)) + 1)
    refuse_unpacked(path, len(content), len(packed))
    if not unpacker.eof:
        raise EOFError("the compressed data end early")
    return io.BytesIO(content)

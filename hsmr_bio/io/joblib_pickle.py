"""Pickles written by joblib (WHAM, 4D-Humans): the bytes of each array follow its description, outside the pickle's own frames.

Source:
    File format of joblib 1.x (``joblib.dump``): a description (shape, order, dtype), one byte with the number of bytes
    of padding, the padding, then the array; the whole file may be compressed.
"""

from __future__ import annotations

import gzip
import io
import math
import pickle
import zlib
from typing import Any, BinaryIO, ClassVar, NoReturn

import numpy as np

from .pickle_names import ArrayRecord, Names, build_array

_GZIP, _ZLIB = b"\x1f\x8b", (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
"""First two bytes of the compressed formats (RFC 1952; RFC 1950 at its four levels)."""


class UsesJoblib(Exception):  # noqa: N818 - a signal between two readers, never seen by callers
    """The pickle has joblib's arrays: it needs :class:`JoblibReader`."""


class _JoblibArray(ArrayRecord):
    """Description of an array whose bytes follow."""

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, dict):
            raise pickle.UnpicklingError("an array's description must be a mapping")
        self.description = state


_Stoppable: Any = pickle._Unpickler
"""The unpickler written in Python, which can be interrupted at an array (joblib's own reader extends it too)."""


class JoblibReader(_Stoppable):  # type: ignore[misc]
    """An unpickler limited to ``names`` that reads each array after its description."""

    dispatch: ClassVar[dict[int, Any]] = dict(_Stoppable.dispatch)

    def __init__(self, stream: BinaryIO, names: Names) -> None:
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
            content = JoblibReader(self._stream, self._names).load()
            if not isinstance(content, ArrayRecord):
                raise pickle.UnpicklingError("an array of objects must hold an array")
            return content.array
        if description.get("numpy_array_alignment_bytes") is not None:
            self._stream.read(self._stream.read(1)[0])
        size = math.prod(int(n) for n in shape) * dtype.itemsize
        return build_array(self._stream.read(size), description["dtype"], shape, description["order"])


def uncompressed(stream: BinaryIO) -> BinaryIO:
    """Return the stream, decompressed if it starts as zlib or gzip."""
    start = stream.tell()
    magic = stream.read(2)
    stream.seek(start)
    if magic == _GZIP:
        return io.BytesIO(gzip.decompress(stream.read()))
    if magic in _ZLIB:
        return io.BytesIO(zlib.decompress(stream.read()))
    return stream

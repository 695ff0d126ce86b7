"""What a pickle of numpy arrays may name, and the guarded stand-ins behind those names.

Nothing here trusts the file: dtypes are rebuilt from their kind, size and byte order alone, arrays from bytes, and foreign
objects are records without behaviour, of a class made for one load.
"""

from __future__ import annotations

import pickle
import re
from collections import OrderedDict
from collections.abc import Callable
from os import PathLike
from typing import Any

import numpy as np

from hsmr_bio.errors import FormatError

SPARSE_FORMATS = ("coo", "csc", "csr", "bsr", "dia", "lil", "dok")
_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")
_NUMERIC = ("numpy.core.numeric", "numpy._core.numeric")
_PLAIN_DTYPE = re.compile(r"[|<>=]?(?:[biufcSUO][0-9]*|\?)")


class RefusedPickleError(FormatError):
    """A pickle that names something which is not an array: it was not run."""


class Names:
    """The names that one load may use."""

    def __init__(self, path: str | PathLike[str]) -> None:
        self._path = path
        self._records: dict[str, type[Record]] = {}

    def find(self, module: str, name: str) -> Any:
        """The stand-in for a name.

        Raises:
            RefusedPickleError: it is not on the list.
        """
        known = _KNOWN.get((module, name))
        if known is not None:
            return known
        family, _, rest = module.partition(".")
        if family == "chumpy":
            return self._record(f"chumpy.{name}")
        if family == "scipy" and rest.split(".")[0] == "sparse":
            matrix, _, suffix = name.rpartition("_")
            if matrix in SPARSE_FORMATS and suffix in ("matrix", "array"):
                return self._record(f"sparse.{matrix}")
        problem = (
            f"it names {module}.{name}, which is not an array. Nothing of it was run. "
            "Files of SKEL, SMPL and HSMR results need no such thing: get the file again from its source"
        )
        raise RefusedPickleError(self._path, None, problem)

    def refuse_reference(self) -> Any:
        """Refuse a reference to something outside the file."""
        raise RefusedPickleError(self._path, None, "it refers to objects outside the file. Nothing of it was run")

    def _record(self, kind: str) -> type[Record]:
        return self._records.setdefault(kind, type("Record", (Record,), {"kind": kind}))


class Record:
    """State of a foreign object, without its behaviour."""

    kind = ""


class DtypeRecord:
    """A numpy dtype as stated by a file: kind, size and byte order, nothing else of its state."""

    def __init__(self, spec: Any, align: Any = False, copy: Any = True) -> None:
        if not isinstance(spec, str) or not _PLAIN_DTYPE.fullmatch(spec):
            raise pickle.UnpicklingError(f"dtype {spec!r} is not read; expected numbers, text or objects")
        self.dtype: np.dtype[Any] = np.dtype(object) if "O" in spec else np.dtype(spec)

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 5 or any(part is not None for part in state[2:5]):
            raise pickle.UnpicklingError("structured dtypes are not read")
        order = state[1].decode("latin1") if isinstance(state[1], bytes) else state[1]
        if order in ("<", ">"):
            self.dtype = self.dtype.newbyteorder("<" if order == "<" else ">")


class ArrayRecord:
    """A numpy array as stated by a file. numpy's own ``__setstate__`` would trust the file's dtype with memory."""

    def __init__(self) -> None:
        self.array: np.ndarray[Any, Any] = np.empty(0)

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, content = state if len(state) == 5 else (1, *state)
        self.array = build_array(content, dtype, shape, "F" if fortran else "C")


def build_array(content: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray[Any, Any]:
    """An array from what a file says of it; UnpicklingError or ValueError if that does not fit together."""
    if not isinstance(dtype, DtypeRecord) or not isinstance(shape, tuple) or order not in ("C", "F"):
        raise pickle.UnpicklingError("an array needs a dtype, a shape and an order")
    if not dtype.dtype.hasobject:
        data = content.encode("latin1") if isinstance(content, str) else content
        return np.frombuffer(data, dtype=dtype.dtype).reshape(shape, order=order).copy(order=order)
    if not isinstance(content, list):
        raise pickle.UnpicklingError("an array of objects needs a list")
    flat = np.empty(len(content), dtype=object)
    for index, item in enumerate(content):
        flat[index] = item
    return flat.reshape(shape, order=order)


def _empty_array(subtype: Any, shape: Any, kind: Any) -> Any:
    """Stand for numpy's ``_reconstruct``: an empty array, whose state comes next in the file."""
    if subtype is not ArrayRecord:
        raise pickle.UnpicklingError("only plain numpy arrays can be read")
    return ArrayRecord()


def _from_buffer(buffer: Any, dtype: Any, shape: Any, order: Any) -> Any:
    """Stand for numpy's ``_frombuffer``."""
    record = ArrayRecord()
    record.array = build_array(buffer, dtype, shape, order)
    return record


def _scalar(dtype: Any, content: Any = b"") -> Any:
    """Stand for numpy's ``scalar``."""
    if isinstance(dtype, DtypeRecord) and dtype.dtype.hasobject:
        return content
    return build_array(content, dtype, (1,), "C")[0]


def _new_object(cls: Any, base: Any, state: Any) -> Any:
    """Stand for ``copyreg._reconstructor``: an empty record."""
    if not (isinstance(cls, type) and issubclass(cls, Record)):
        raise pickle.UnpicklingError("only records can be rebuilt")
    return cls()


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    """Stand for ``_codecs.encode``: how protocol 2 carries bytes."""
    if not isinstance(text, str) or str(encoding).replace("-", "").replace("_", "") not in ("latin1", "iso88591"):
        raise pickle.UnpicklingError("bytes must be stored as latin1 text")
    return text.encode("latin1")


def _known() -> dict[tuple[str, str], Any]:
    table: dict[tuple[str, str], Any] = {
        ("numpy", "ndarray"): ArrayRecord,
        ("numpy", "dtype"): DtypeRecord,
        ("_codecs", "encode"): _encode,
        ("collections", "OrderedDict"): OrderedDict,
    }
    array_functions: dict[str, Callable[..., Any]] = {"_reconstruct": _empty_array, "scalar": _scalar}
    table |= {(module, name): function for module in _MULTIARRAY for name, function in array_functions.items()}
    table |= {(module, "_frombuffer"): _from_buffer for module in _NUMERIC}
    plain = {kind.__name__: kind for kind in (object, set, frozenset, slice, complex)}
    table |= {(module, name): kind for module in ("builtins", "__builtin__") for name, kind in plain.items()}
    table |= {(module, "_reconstructor"): _new_object for module in ("copyreg", "copy_reg")}
    return table


_KNOWN = _known()

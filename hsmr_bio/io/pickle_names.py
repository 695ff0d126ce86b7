"""Names that a pickle of numpy arrays may contain, and the checked stand-ins that they resolve to.

The file is untrusted: dtypes are rebuilt from kind, size and byte order alone, arrays from bytes; foreign objects become
records without methods, of a class made for one load.
"""

from __future__ import annotations

import pickle
import re
from collections import OrderedDict
from collections.abc import Iterable
from os import PathLike
from types import FunctionType
from typing import Any, NoReturn

import numpy as np

from hsmr_bio.errors import FormatError

from .guarded_pickle import check_keys

SPARSE_FORMATS = ("coo", "csc", "csr", "bsr", "dia", "lil", "dok")
_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")
_NUMERIC = ("numpy.core.numeric", "numpy._core.numeric")
_PLAIN_DTYPE = re.compile(r"[|<>=]?(?:[biufcSUO][0-9]*|\?)")
"""Numbers, text and objects; no structured or void dtype."""
Content = Any
"""Content of a pickle: arrays and plain Python values, of any nesting."""


class RefusedPickleError(FormatError):
    """A pickle that names something other than an array; it was not run."""


class Names:
    """The names that one load may resolve."""

    def __init__(self, path: str | PathLike[str]) -> None:
        self._path = path
        self._records: dict[str, type[Record]] = {}
        self._known = _known()

    def find(self, module: str, name: str) -> object:
        """Return the stand-in for a name.

        Args:
            module: as the pickle names it.
            name: as the pickle names it.

        Returns:
            A class or function that is safe to call.

        Raises:
            RefusedPickleError: the name is not on the list.
        """
        known = self._known.get((module, name))
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
            f"it names {module}.{name}, which is not an array. No code of it was run. "
            "Files of SKEL, SMPL and HSMR results contain no such name: get the file again from its source"
        )
        raise RefusedPickleError(self._path, None, problem)

    def refuse_reference(self) -> NoReturn:
        """Refuse a reference to something outside the file.

        Raises:
            RefusedPickleError: always.
        """
        raise RefusedPickleError(self._path, None, "it refers to objects outside the file. No code of it was run")

    def _record(self, kind: str) -> type[Record]:
        return self._records.setdefault(kind, type("Record", (Record,), {"kind": kind}))


class Record:
    """State of a foreign object, without its methods."""

    kind = ""


class DtypeRecord:
    """A numpy dtype as stated by a file: kind, size and byte order."""

    def __init__(self, spec: object, _align: object = False, _copy: object = True) -> None:
        if not isinstance(spec, str) or not _PLAIN_DTYPE.fullmatch(spec):
            raise pickle.UnpicklingError(f"dtype {spec!r} is not read; expected numbers, text or objects")
        self.dtype: np.dtype[Any] = np.dtype(object) if "O" in spec else np.dtype(spec)

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) < 5 or any(part is not None for part in state[2:5]):
            raise pickle.UnpicklingError("structured dtypes are not read")
        order = state[1].decode("latin1") if isinstance(state[1], bytes) else state[1]
        if order in ("<", ">"):
            self.dtype = self.dtype.newbyteorder("<" if order == "<" else ">")


class ArrayRecord:
    """A numpy array as stated by a file (numpy's own ``__setstate__`` would read memory by the file's dtype)."""

    def __init__(self) -> None:
        self.array: np.ndarray[Any, Any] = np.empty(0)

    def __setstate__(self, state: tuple[object, ...]) -> None:
        _, shape, dtype, fortran, content = state if len(state) == 5 else (1, *state)
        self.array = build_array(content, dtype, shape, "F" if fortran else "C")


def build_array(content: Content, dtype: object, shape: object, order: Content) -> np.ndarray[Any, Any]:
    """Build an array from its description in a file.

    Args:
        content: the array's bytes, latin1 text or list of objects.
        dtype: a :class:`DtypeRecord`.
        shape: a tuple of sizes.
        order: ``"C"`` or ``"F"``.

    Returns:
        The array, writable.

    Raises:
        UnpicklingError: an argument of another type.
        ValueError: content and shape do not fit together.
    """
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


def _empty_array(subtype: object, _shape: object, _kind: object) -> ArrayRecord:
    """Replace numpy's ``_reconstruct``: an empty array, whose state comes next in the file."""
    if subtype is not ArrayRecord:
        raise pickle.UnpicklingError("only plain numpy arrays can be read")
    return ArrayRecord()


def _from_buffer(buffer: object, dtype: object, shape: object, order: object) -> ArrayRecord:
    """Replace numpy's ``_frombuffer``."""
    record = ArrayRecord()
    record.array = build_array(buffer, dtype, shape, order)
    return record


def _scalar(dtype: object, content: object = b"") -> object:
    """Replace numpy's ``scalar``."""
    if isinstance(dtype, DtypeRecord) and dtype.dtype.hasobject:
        return content
    return build_array(content, dtype, (1,), "C")[0]


def _new_object(cls: object, _base: object, _state: object) -> Record:
    """Replace ``copyreg._reconstructor``: an empty record."""
    if not (isinstance(cls, type) and issubclass(cls, Record)):
        raise pickle.UnpicklingError("only records can be rebuilt")
    return cls()


def _encode(text: object, encoding: object = "latin1") -> bytes:
    """Replace ``_codecs.encode``: protocol 2 stores bytes as text."""
    if not isinstance(text, str) or str(encoding).replace("-", "").replace("_", "") not in ("latin1", "iso88591"):
        raise pickle.UnpicklingError("bytes must be stored as latin1 text")
    return text.encode("latin1")


def _ordered(pairs: Iterable[Iterable[object]] = ()) -> OrderedDict[Any, Any]:
    """Replace ``OrderedDict``: keys are checked."""
    items = [(key, value) for key, value in pairs]
    check_keys([key for key, _ in items])
    return OrderedDict(items)


def _set(items: Iterable[object] = ()) -> set[object]:
    """Replace ``set``: items are checked."""
    check_keys(listed := list(items))
    return set(listed)


def _frozenset(items: Iterable[object] = ()) -> frozenset[object]:
    """Replace ``frozenset``: items are checked."""
    return frozenset(_set(items))


def _known() -> dict[tuple[str, str], object]:
    """Return (module, name) -> stand-in; the functions are copies for one load."""
    table: dict[tuple[str, str], object] = {
        ("numpy", "ndarray"): ArrayRecord,
        ("numpy", "dtype"): DtypeRecord,
        ("_codecs", "encode"): _encode,
        ("collections", "OrderedDict"): _ordered,
    }
    array_functions: dict[str, object] = {"_reconstruct": _empty_array, "scalar": _scalar}
    table |= {(module, name): function for module in _MULTIARRAY for name, function in array_functions.items()}
    table |= {(module, "_frombuffer"): _from_buffer for module in _NUMERIC}
    plain = {"object": object, "slice": slice, "complex": complex, "set": _set, "frozenset": _frozenset}
    table |= {(module, name): kind for module in ("builtins", "__builtin__") for name, kind in plain.items()}
    table |= {(module, "_reconstructor"): _new_object for module in ("copyreg", "copy_reg")}
    return {name: _copy(part) if isinstance(part, FunctionType) else part for name, part in table.items()}


def _copy(function: FunctionType) -> FunctionType:
    """Copy a function, so that whatever a file does to it ends with the load."""
    return FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__)

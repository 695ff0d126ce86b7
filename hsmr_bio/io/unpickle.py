"""Reads pickles of numpy arrays without running code from them.

A pickle is a small program: on loading it may call anything that it can name. Here it can name only what follows; every
other name is refused before anything is called. Arrays, dtypes and scalars of numpy are built by guarded functions; sparse
matrices of scipy and arrays of chumpy (an old package that SMPL files were written with) arrive as inert records of a class
made for this one load, and are turned into plain arrays afterwards.
"""

from __future__ import annotations

import io
import pickle
import re
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from os import PathLike, fspath
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy_format
from scipy import sparse

from hsmr_bio.errors import FormatError

_DAMAGED = (
    *(pickle.UnpicklingError, EOFError, AttributeError, LookupError, ValueError, TypeError, ImportError, MemoryError),
    *(RecursionError, OverflowError, AssertionError, struct.error),
)
_SPARSE_FORMATS = ("coo", "csc", "csr", "bsr", "dia", "lil", "dok")
_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")
_PLAIN_DTYPE = re.compile(r"[|<>=]?(?:[biufcSUO][0-9]*|\?)")
_NUMERIC = ("numpy.core.numeric", "numpy._core.numeric")


class RefusedPickleError(FormatError):
    """A pickle that names something which is not an array: it was not run."""


def load_pickle(path: str | PathLike[str]) -> Any:
    """Read a pickle of numpy arrays, sparse matrices, chumpy arrays and plain Python values.

    Args:
        path: a file written by Python 2 or 3, any protocol.

    Returns:
        The content, with sparse matrices as scipy sparse arrays (COO, CSC, CSR) and chumpy arrays as numpy arrays.

    Raises:
        RefusedPickleError: the file names a class or function outside the list; nothing of it was run.
        FormatError: no pickle, truncated or damaged.
    """
    with Path(path).open("rb") as stream:
        return read_pickle(stream, path)


def read_pickle(stream: BinaryIO, path: str | PathLike[str]) -> Any:
    """As :func:`load_pickle`, from an open binary stream; ``path`` is for messages."""
    reader = _Reader(stream, path)
    try:
        return _resolve(reader.load(), {}, path)
    except FormatError:
        raise
    except _DAMAGED as error:
        problem = f"not a readable pickle ({type(error).__name__}: {error}): truncated, damaged or another kind of file"
        raise FormatError(path, None, problem) from None


def load_numpy(path: str | PathLike[str]) -> Any:
    """Read a ``.npy`` or ``.npz`` file, object arrays included, without running code from it.

    Args:
        path: the file; its content decides which of the two it is.

    Returns:
        An array for ``.npy``, a dict of arrays for ``.npz``. Arrays of objects hold what :func:`load_pickle` can read.

    Raises:
        FormatError: neither of the two, truncated, damaged, or with a refused pickle inside.
    """
    with Path(path).open("rb") as stream:
        start = stream.read(6)
        stream.seek(0)
        try:
            if start.startswith(b"PK"):
                with zipfile.ZipFile(stream) as archive:
                    names = [name for name in archive.namelist() if name.endswith(".npy")]
                    return {name[:-4]: _read_npy(io.BytesIO(archive.read(name)), f"{fspath(path)}:{name}") for name in names}
            if start == npy_format.MAGIC_PREFIX:
                return _read_npy(stream, path)
        except FormatError:
            raise
        except (*_DAMAGED, zipfile.BadZipFile, OSError) as error:
            raise FormatError(path, None, f"a damaged numpy file ({type(error).__name__}: {error})") from None
    raise FormatError(path, None, "not a .npy or .npz file")


def _read_npy(stream: BinaryIO, path: str | PathLike[str]) -> Any:
    version = npy_format.read_magic(stream)
    read_header = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
    shape, _, dtype = read_header(stream)
    if not dtype.hasobject:
        stream.seek(0)
        return npy_format.read_array(stream, allow_pickle=False)
    content = read_pickle(stream, path)
    if not isinstance(content, np.ndarray) or content.shape != shape:
        raise FormatError(path, None, f"its header says an array of shape {shape}, its content is {type(content).__name__}")
    return content


class _Record:
    """State of a foreign object, without its behaviour."""

    kind = ""


class _Reader(pickle.Unpickler):
    """An unpickler that knows a fixed list of names."""

    def __init__(self, stream: BinaryIO, path: str | PathLike[str]) -> None:
        super().__init__(stream, encoding="latin1")
        self._path = path
        self._records: dict[str, type[_Record]] = {}

    def find_class(self, module: str, name: str) -> Any:
        known = _KNOWN.get((module, name))
        if known is not None:
            return known
        family, _, rest = module.partition(".")
        if family == "chumpy":
            return self._record(f"chumpy.{name}")
        if family == "scipy" and rest.split(".")[0] == "sparse":
            matrix, _, suffix = name.rpartition("_")
            if matrix in _SPARSE_FORMATS and suffix in ("matrix", "array"):
                return self._record(f"sparse.{matrix}")
        problem = (
            f"it names {module}.{name}, which is not an array. Nothing of it was run. "
            "Files of SKEL, SMPL and HSMR results need no such thing: get the file again from its source"
        )
        raise RefusedPickleError(self._path, None, problem)

    def persistent_load(self, pid: Any) -> Any:
        raise RefusedPickleError(self._path, None, "it refers to objects outside the file. Nothing of it was run")

    def _record(self, kind: str) -> type[_Record]:
        return self._records.setdefault(kind, type("Record", (_Record,), {"kind": kind}))


class _DtypeRecord:
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


class _ArrayRecord:
    """A numpy array as stated by a file. numpy's own ``__setstate__`` would trust the file's dtype with memory."""

    def __init__(self) -> None:
        self.array: np.ndarray[Any, Any] = np.empty(0)

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, content = state if len(state) == 5 else (1, *state)
        self.array = _build_array(content, dtype, shape, "F" if fortran else "C")


def _build_array(content: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray[Any, Any]:
    if not isinstance(dtype, _DtypeRecord) or not isinstance(shape, tuple) or order not in ("C", "F"):
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
    if subtype is not _ArrayRecord:
        raise pickle.UnpicklingError("only plain numpy arrays can be read")
    return _ArrayRecord()


def _from_buffer(buffer: Any, dtype: Any, shape: Any, order: Any) -> Any:
    """Stand for numpy's ``_frombuffer``."""
    record = _ArrayRecord()
    record.array = _build_array(buffer, dtype, shape, order)
    return record


def _scalar(dtype: Any, content: Any = b"") -> Any:
    """Stand for numpy's ``scalar``."""
    if isinstance(dtype, _DtypeRecord) and dtype.dtype.hasobject:
        return content
    return _build_array(content, dtype, (1,), "C")[0]


def _new_object(cls: Any, base: Any, state: Any) -> Any:
    """Stand for ``copyreg._reconstructor``: an empty record."""
    if not (isinstance(cls, type) and issubclass(cls, _Record)):
        raise pickle.UnpicklingError("only records can be rebuilt")
    return cls()


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    """Stand for ``_codecs.encode``: how protocol 2 carries bytes."""
    if not isinstance(text, str) or str(encoding).replace("-", "").replace("_", "") not in ("latin1", "iso88591"):
        raise pickle.UnpicklingError("bytes must be stored as latin1 text")
    return text.encode("latin1")


def _known() -> dict[tuple[str, str], Any]:
    table: dict[tuple[str, str], Any] = {
        ("numpy", "ndarray"): _ArrayRecord,
        ("numpy", "dtype"): _DtypeRecord,
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


def _resolve(value: Any, done: dict[int, Any], path: str | PathLike[str]) -> Any:
    """Turn the records inside plain containers into arrays; ``done`` keeps what was met before."""
    if isinstance(value, str | bytes | int | float | bool | complex | type(None)):
        return value
    if id(value) in done:
        return done[id(value)][0]
    result: Any = value
    if isinstance(value, _DtypeRecord):
        result = value.dtype
    elif isinstance(value, _ArrayRecord):
        done[id(value)] = (value.array, value)
        result = _resolve(value.array, done, path)
    elif isinstance(value, _Record):
        done[id(value)] = (None, value)
        result = _array_of(value, done, path)
    elif isinstance(value, dict):
        done[id(value)] = (value, value)
        for key in list(value):
            value[key] = _resolve(value[key], done, path)
    elif isinstance(value, list):
        done[id(value)] = (value, value)
        value[:] = [_resolve(item, done, path) for item in value]
    elif isinstance(value, tuple):
        result = tuple(_resolve(item, done, path) for item in value)
    elif isinstance(value, np.ndarray) and value.dtype == object:
        done[id(value)] = (value, value)
        for index in np.ndindex(value.shape):
            value[index] = _resolve(value[index], done, path)
    done[id(value)] = (result, value)
    return result


def _array_of(record: _Record, done: dict[int, Any], path: str | PathLike[str]) -> Any:
    family, _, kind = record.kind.partition(".")
    state = {key: _resolve(item, done, path) for key, item in vars(record).items()}
    try:
        return _sparse_of(kind, state) if family == "sparse" else _chumpy_of(kind, state)
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise FormatError(path, record.kind, f"its content does not make an array ({type(error).__name__}: {error})") from None


def _sparse_of(kind: str, state: dict[str, Any]) -> Any:
    shape = tuple(int(n) for n in state["_shape"] if n is not None)
    data = np.asarray(state["data"])
    if kind == "coo":
        row, col = state["coords"] if "coords" in state else (state["row"], state["col"])
        return sparse.coo_array((data, (np.asarray(row), np.asarray(col))), shape=shape)
    if kind not in ("csc", "csr"):
        raise ValueError(f"sparse format {kind!r} is not read; expected COO, CSC or CSR")
    build = sparse.csc_array if kind == "csc" else sparse.csr_array
    matrix = build((data, np.asarray(state["indices"]), np.asarray(state["indptr"])), shape=shape)
    matrix.check_format(full_check=True)
    return matrix


def _chumpy_of(kind: str, state: dict[str, Any]) -> Any:
    if kind == "Ch":
        return np.asarray(state["x"])
    if kind == "Select":
        return np.asarray(state["a"]).ravel()[np.asarray(state["idxs"])].reshape(tuple(state["preferred_shape"]))
    raise ValueError(f"chumpy class {kind!r} is not read; expected Ch or Select")

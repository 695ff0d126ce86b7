"""Read pickles of numpy arrays without running code from them.

A pickle is a program: on loading it can call anything that it names. Here only a fixed list of names resolves; any other
name is refused before a call. Arrays, dtypes and scalars of numpy are built by checked functions. Sparse matrices of scipy
and arrays of chumpy (an old package that SMPL files were written with) are loaded as records without methods and
converted to plain arrays afterwards.
"""

from __future__ import annotations

import io
import math
import zipfile
from os import PathLike, fspath
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy_format
from scipy import sparse

from hsmr_bio.errors import FormatError

from .bounds import MOST_ELEMENTS, BoundedStream, refuse_expanded, refuse_members
from .door import reader, reading
from .joblib_pickle import ArrayReader, uncompressed
from .npy_header import read_npy_header
from .pickle_names import ArrayRecord, Content, DtypeRecord, Names, Record, RefusedPickleError

__all__ = ["RefusedPickleError", "load_numpy", "load_pickle", "read_pickle"]

_Done = dict[int, tuple[Content, Content]]
"""Identity of a loaded value -> the converted value, and the loaded one (kept alive, so that its identity stays unique)."""
_PLAIN = (str, bytes, bytearray, int, float, bool, complex, type(None), np.generic, np.dtype, slice, set, frozenset)
"""Values that stay as they are."""


@reader
def load_pickle(path: str | PathLike[str]) -> Content:
    """Read a pickle of numpy arrays, sparse matrices, chumpy arrays and plain Python values.

    Args:
        path: a file written by Python 2 or 3, any protocol.

    Returns:
        The content, with sparse matrices as scipy sparse arrays (COO, CSC, CSR) and chumpy arrays as numpy arrays.

    Raises:
        RefusedPickleError: the file names a class or function outside the list; no code of it was run.
        FormatError: no pickle, truncated or damaged.
    """
    with Path(path).open("rb") as stream:
        return read_pickle(stream, path)


def read_pickle(stream: BinaryIO, path: str | PathLike[str]) -> Content:
    """Read a pickle from an open stream, as :func:`load_pickle` does.

    Args:
        stream: binary, seekable.
        path: for messages.

    Returns:
        The content.

    Raises:
        FormatError: as :func:`load_pickle`.
    """
    with reading(path, "a pickle of arrays"):
        bounded = BoundedStream(uncompressed(stream, path))
        content = _resolve(ArrayReader(bounded, Names(path)).load(), {}, path)
        refuse_expanded(path, content, bounded.size)
        return content


@reader
def load_numpy(path: str | PathLike[str]) -> Content:
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
        size = Path(path).stat().st_size
        if start.startswith(b"PK"):
            with zipfile.ZipFile(stream) as archive:
                refuse_members(path, archive, size)
                names = [name for name in archive.namelist() if name.endswith(".npy")]
                parts = {name: archive.read(name) for name in names}
            return {name[:-4]: _read_npy(io.BytesIO(part), f"{fspath(path)}:{name}", len(part)) for name, part in parts.items()}
        if start == npy_format.MAGIC_PREFIX:
            return _read_npy(stream, path, size)
    raise FormatError(path, None, "not a .npy or .npz file")


def _read_npy(stream: BinaryIO, path: str | PathLike[str], size: int) -> Content:
    shape, dtype = read_npy_header(stream, path, size)
    if not dtype.hasobject:
        stream.seek(0)
        return npy_format.read_array(stream, allow_pickle=False)
    content = read_pickle(stream, path)
    if not isinstance(content, np.ndarray) or content.shape != shape:
        raise FormatError(path, None, f"its header says an array of shape {shape}, its content is {type(content).__name__}")
    return content


def _resolve(value: Content, done: _Done, path: str | PathLike[str]) -> Content:
    """Convert the records inside plain containers to arrays; a container may contain itself."""
    if isinstance(value, _PLAIN):
        return value
    if id(value) in done:
        return done[id(value)][0]
    result: Content = value
    if isinstance(value, DtypeRecord):
        result = value.dtype
    elif isinstance(value, ArrayRecord):
        done[id(value)] = (value.array, value)
        result = _resolve(value.array, done, path)
    elif isinstance(value, Record):
        done[id(value)] = (None, value)
        result = _array_of(value, done, path)
    elif isinstance(value, tuple):
        result = tuple(_resolve(item, done, path) for item in value)
    elif isinstance(value, dict | list | np.ndarray):
        done[id(value)] = (value, value)
        _resolve_inside(value, done, path)
    else:
        raise FormatError(path, None, f"it holds a {type(value).__name__}, which is neither an array nor a plain value")
    done[id(value)] = (result, value)
    return result


def _resolve_inside(value: Content, done: _Done, path: str | PathLike[str]) -> None:
    """Convert the items of a dict, list or array of objects in place."""
    if isinstance(value, dict):
        for key in list(value):
            value[key] = _resolve(value[key], done, path)
    elif isinstance(value, list):
        value[:] = [_resolve(item, done, path) for item in value]
    elif isinstance(value, np.ndarray) and value.dtype == object:
        for index in np.ndindex(value.shape):
            value[index] = _resolve(value[index], done, path)


def _array_of(record: Record, done: _Done, path: str | PathLike[str]) -> Content:
    family, _, kind = record.kind.partition(".")
    state = {key: _resolve(item, done, path) for key, item in vars(record).items()}
    try:
        return _sparse_of(kind, state) if family == "sparse" else _chumpy_of(kind, state)
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise FormatError(path, record.kind, f"its content does not make an array ({type(error).__name__}: {error})") from None


def _sparse_of(kind: str, state: dict[str, Content]) -> Content:
    shape = tuple(int(n) for n in state["_shape"] if n is not None)
    if math.prod(shape) > MOST_ELEMENTS:
        raise ValueError(f"a sparse matrix of shape {shape}; at most {MOST_ELEMENTS} elements are read")
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


def _chumpy_of(kind: str, state: dict[str, Content]) -> Content:
    if kind == "Ch":
        return np.asarray(state["x"])
    if kind == "Select":
        return np.asarray(state["a"]).ravel()[np.asarray(state["idxs"])].reshape(tuple(state["preferred_shape"]))
    raise ValueError(f"chumpy class {kind!r} is not read; expected Ch or Select")

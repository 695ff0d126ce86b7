"""Pickles are read without running anything from them."""

from __future__ import annotations

import collections
import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from hsmr_bio.errors import FormatError
from hsmr_bio.io.unpickle import RefusedPickleError, load_numpy, load_pickle, read_pickle


def reread(value, protocol=4):
    return read_pickle(io.BytesIO(pickle.dumps(value, protocol=protocol)), "memory")


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_and_plain_values_come_back(protocol) -> None:
    value = {
        "floats": np.arange(6.0).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
        "unsigned": np.array([4294967295], dtype=np.uint32),
        "big endian": np.arange(3, dtype=">f8"),
        "text": np.array(["male"]),
        "zero-d": np.array("female"),
        "scalar": np.float64(1.5),
        "objects": np.array([{"a": np.ones(2)}, None], dtype=object),
        "plain": [1, 2.5, "x", b"y", None, True, (3, 4), {5}, 2j],
        "ordered": collections.OrderedDict(a=1),
    }
    back = reread(value, protocol)
    assert list(back) == list(value)
    for key in ("floats", "fortran", "unsigned", "big endian", "text", "zero-d"):
        np.testing.assert_array_equal(back[key], value[key])
        assert back[key].dtype == value[key].dtype
    np.testing.assert_array_equal(back["objects"][0]["a"], np.ones(2))
    assert back["scalar"] == 1.5
    assert back["plain"] == value["plain"]
    assert back["ordered"] == value["ordered"]
    back["floats"][0, 0] = 7  # writable, and its own


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("kind", ["coo", "csc", "csr"])
@pytest.mark.parametrize("suffix", ["matrix", "array"])
def test_sparse_matrices_come_back(protocol, kind, suffix) -> None:
    dense = np.array([[0, 1.5, 0], [2.5, 0, 0]])
    back = reread({"m": getattr(sparse, f"{kind}_{suffix}")(dense)}, protocol)["m"]
    assert sparse.issparse(back)
    np.testing.assert_array_equal(back.toarray(), dense)


def test_repeated_coo_entries_add_up() -> None:
    matrix = sparse.coo_matrix((np.array([1.0, 2.0]), (np.array([0, 0]), np.array([1, 1]))), shape=(1, 2))
    np.testing.assert_array_equal(reread(matrix).toarray(), [[0, 3]])


@pytest.mark.parametrize("path", ["scipy.sparse.coo", "scipy.sparse._coo"])
def test_old_module_paths_are_known(path) -> None:
    data = pickle.dumps(sparse.coo_matrix(np.eye(2)), protocol=0).replace(b"scipy.sparse._coo", path.encode())
    np.testing.assert_array_equal(read_pickle(io.BytesIO(data), "memory").toarray(), np.eye(2))


def test_a_sparse_matrix_with_indices_out_of_range_is_refused() -> None:
    matrix = sparse.csr_matrix(np.eye(3))
    matrix.indices[0] = 10_000_000
    with pytest.raises(FormatError, match="csr"):
        reread(matrix)


class Attack:
    """Unpickles to a call."""

    def __init__(self, function, *arguments) -> None:
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: {"a": [x]}, lambda x: np.array([x], dtype=object)])
def test_code_is_not_run(tmp_path, protocol, wrap) -> None:
    target = tmp_path / "touched"
    file = tmp_path / "attack.pkl"
    for attack in (
        Attack(os.system, f"touch {target}"),
        Attack(eval, f"open({str(target)!r}, 'w')"),
        Attack(exec, f"open({str(target)!r}, 'w')"),
        Attack(getattr, "text", "format"),
        Attack(np.fromfile, str(target)),
        Attack(np.load, str(target)),
    ):
        file.write_bytes(pickle.dumps(wrap(attack), protocol=protocol))
        with pytest.raises(RefusedPickleError, match="No code of it was run"):
            load_pickle(file)
    assert not target.exists()


def opcodes(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n.".encode()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("posix", "system"),
        ("builtins", "eval"),
        ("__builtin__", "getattr"),
        ("numpy", "load"),
        ("numpy.testing._private.utils", "runstring"),
        ("numpy", "core.multiarray.scalar"),
        ("scipy.sparse", "os.system"),
        ("scipy.sparse", "load_npz"),
        ("scipy.io", "coo_matrix"),
        ("collections", "OrderedDict.__init__"),
        ("copyreg", "__newobj__.__globals__"),
        ("functools", "partial"),
    ],
)
def test_names_outside_the_list_are_refused(module, name) -> None:
    with pytest.raises(RefusedPickleError, match=name.split(".")[0]):
        read_pickle(io.BytesIO(opcodes(module, name)), "memory")


def test_chumpy_classes_are_inert_records() -> None:
    """A class of chumpy's name gets no behaviour: any chumpy name loads as a record, then only known ones are arrays."""
    with pytest.raises(FormatError, match="chumpy"):
        read_pickle(io.BytesIO(b"cchumpy.ch\nEvil\n)\x81."), "memory")


def test_a_file_cannot_alter_a_shared_dtype() -> None:
    before = pickle.dumps(np.dtype("f8"))
    hostile = b"cnumpy\ndtype\n(S'f8'\nI0\nI0\ntR(I3\nS'>'\nNNNI-1\nI-1\nI0\ntb."
    assert read_pickle(io.BytesIO(hostile), "memory") == np.dtype(">f8")
    assert pickle.dumps(np.dtype("f8")) == before


def test_a_file_cannot_pass_numbers_off_as_objects() -> None:
    """A dtype whose flags say "objects" would make numpy follow the numbers as pointers."""
    honest = pickle.dumps(np.arange(3.0), protocol=0)
    end = honest.rindex(b"I0\ntp")  # the flags, last in the dtype's state
    hostile = honest[:end] + b"I63\ntp" + honest[end + 5 :]
    back = read_pickle(io.BytesIO(hostile), "memory")
    assert back.dtype == np.float64
    assert not back.dtype.hasobject
    np.testing.assert_array_equal(back, np.arange(3.0))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_files_give_one_clear_error(data) -> None:
    whole = pickle.dumps({"a": np.arange(4.0), "m": sparse.coo_matrix(np.eye(2)), "t": "text"}, protocol=4)
    if data.draw(st.booleans()):
        broken = whole[: data.draw(st.integers(0, len(whole) - 1))]
    else:
        at = data.draw(st.integers(0, len(whole) - 1))
        broken = whole[:at] + bytes([data.draw(st.integers(0, 255))]) + whole[at + 1 :]
    try:
        read_pickle(io.BytesIO(broken), "memory")
    except FormatError as error:
        assert "memory" in str(error)


def test_numpy_files_with_objects(tmp_path) -> None:
    results = np.array([{"poses": np.zeros(46)}, {"poses": np.ones(46)}], dtype=object)
    np.save(tmp_path / "video.npy", results)
    np.savez(tmp_path / "image.npz", patches=results, size=np.array([640, 480]))
    np.testing.assert_array_equal(load_numpy(tmp_path / "video.npy")[1]["poses"], np.ones(46))
    back = load_numpy(tmp_path / "image.npz")
    np.testing.assert_array_equal(back["patches"][1]["poses"], np.ones(46))
    np.testing.assert_array_equal(back["size"], [640, 480])


@pytest.mark.parametrize("name", ["bad.npy", "bad.npz"])
def test_numpy_files_do_not_run_code_either(tmp_path, name) -> None:
    target = tmp_path / "touched"
    content = np.array([Attack(os.system, f"touch {target}")], dtype=object)
    (np.save if name.endswith("npy") else np.savez)(tmp_path / name, content)
    with pytest.raises(RefusedPickleError):
        load_numpy(tmp_path / name)
    assert not target.exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"\x93NUMPY\x01\x00", b"something else"])
def test_files_that_are_not_numpy_are_refused(tmp_path, content) -> None:
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(FormatError, match=r"x\.npz"):
        load_numpy(tmp_path / "x.npz")


def test_files_of_joblib_are_read(golden) -> None:
    for name in ("joblib_arrays.pkl", "joblib_arrays_zlib.pkl"):
        person = load_pickle(golden / name)[0]
        expected = np.arange(6.0).reshape(2, 3)
        np.testing.assert_array_equal(person["pose"], expected)
        np.testing.assert_array_equal(person["fortran"], expected)
        assert person["fortran"].dtype == np.float32
        assert list(person["objects"]) == [{"a": 1}, None]
        assert person["scalar"] == 2.0
        assert person["after"] == "text"


@settings(max_examples=100, deadline=None)
@given(at=st.integers(0, 700), value=st.integers(0, 255), cut=st.booleans())
def test_damaged_files_of_joblib_give_one_clear_error(at, value, cut) -> None:
    whole = (Path(__file__).parent / "golden" / "joblib_arrays.pkl").read_bytes()
    at = min(at, len(whole) - 1)
    broken = whole[:at] if cut else whole[:at] + bytes([value]) + whole[at + 1 :]
    try:
        read_pickle(io.BytesIO(broken), "memory")
    except FormatError as error:
        assert "memory" in str(error)


def test_a_hostile_file_of_joblib_runs_nothing(golden, tmp_path) -> None:
    target = tmp_path / "touched"
    hostile = pickle.dumps(Attack(os.system, f"touch {target}"), protocol=4)[2:-1]
    whole = (golden / "joblib_arrays.pkl").read_bytes()
    (tmp_path / "a.pkl").write_bytes(whole[:-1] + hostile + b".")
    with pytest.raises(RefusedPickleError):
        load_pickle(tmp_path / "a.pkl")
    assert not target.exists()


@pytest.mark.parametrize("outer", [list, tuple, lambda items: {"a": items}, lambda items: [{"b": items}, 1]])
def test_arrays_deep_inside_come_back(outer) -> None:
    back = reread(outer([np.arange(3), "word", [np.float64(2.5)]]))
    while not isinstance(back, list | tuple) or not isinstance(back[0], np.ndarray):
        back = next(iter(back.values())) if isinstance(back, dict) else back[0]
    np.testing.assert_array_equal(back[0], [0, 1, 2])
    assert type(back[0]) is np.ndarray and back[1] == "word" and back[2] == [2.5]

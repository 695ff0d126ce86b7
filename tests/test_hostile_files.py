"""Damaged and hostile files end in one line that names the file, or are read; they change nothing and take no memory.

``golden/hostile_files.zip`` has the smallest inputs that an attack on the readers found: ``FORMAT_KIND_HASH.ending``.
"""

from __future__ import annotations

import io
import os
import pickle
import re
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from hsmr_bio.cli import main
from hsmr_bio.dynamics.load_files import read_loads
from hsmr_bio.errors import LONGEST, FormatError, HsmrBioError, one_line
from hsmr_bio.estimators.hsmr import read_boxes
from hsmr_bio.hsmr.checkpoint import read_weights
from hsmr_bio.io import pickle_names
from hsmr_bio.io.bounds import ALWAYS_BYTES
from hsmr_bio.io.cameras import read_camera
from hsmr_bio.io.child import try_first
from hsmr_bio.io.door import reading
from hsmr_bio.io.npz import load_motion
from hsmr_bio.io.unpickle import load_numpy, load_pickle, read_pickle
from hsmr_bio.io.video import open_video

ARCHIVE = Path(__file__).parent / "golden" / "hostile_files.zip"
NAMES = zipfile.ZipFile(ARCHIVE).namelist()
SOURCES = [Path(__file__).resolve().parents[1] / name for name in ("hsmr_bio", "converters", "osim_models")]
IN_A_CHILD = "import sys; from hsmr_bio.cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.fixture
def hostile(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    with zipfile.ZipFile(ARCHIVE) as archive:
        return Path(archive.extract(request.param, tmp_path))


def one_error(err: str, path: Path) -> None:
    lines = [line for line in err.splitlines() if line.startswith("hsmr-bio: error: ")]
    assert len(lines) == 1 and len(lines[0]) <= LONGEST and path.name in lines[0], err
    assert "Traceback" not in err


@pytest.mark.parametrize("hostile", [name for name in NAMES if not name.startswith(("cam", "csv", "video"))], indirect=True)
def test_a_command_reads_it_or_ends_in_one_line(hostile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["info", str(hostile)]
    if "crash" in hostile.name:  # in a process of its own: it may take this one down
        done = subprocess.run([sys.executable, "-c", IN_A_CHILD, *words], capture_output=True, text=True, check=False)
        code, err = done.returncode, done.stderr
    else:
        code, err = main(words), capsys.readouterr().err
    assert code in (0, 1), err
    if code == 1:
        one_error(err, hostile)


@pytest.mark.parametrize(
    "hostile", [name for name in NAMES if name.startswith(("cam", "csv", "video", "xmlloads"))], indirect=True
)
def test_a_reader_reads_it_or_names_it(hostile: Path) -> None:
    kind = hostile.name.split("_")[0]
    read = {
        "cam": lambda path: read_camera(path, (1280, 720)),
        "csv": read_boxes,
        "video": lambda path: list(open_video(path)),
        "xmlloads": read_loads,
    }[kind]
    try:
        read(hostile)
    except HsmrBioError as error:
        assert hostile.name in str(error)


@pytest.mark.parametrize("hostile", [name for name in NAMES if name.endswith((".pt", ".ckpt"))], indirect=True)
def test_a_checkpoint_ends_in_one_line(hostile: Path) -> None:
    with pytest.raises(FormatError, match=re.escape(hostile.name)):
        read_weights(hostile)


@pytest.mark.parametrize("hostile", ["p_build_scalar_fn.pkl", "t_build_storage.ckpt"], indirect=True)
def test_a_file_changes_no_function_and_no_class(hostile: Path) -> None:
    def state() -> list[object]:
        live = [
            pickle_names._scalar,
            pickle_names._encode,
            torch.FloatStorage,
            torch.UntypedStorage,
            torch._utils._rebuild_tensor_v2,
        ]
        return [(repr(sorted(vars(part))), getattr(part, "__defaults__", None)) for part in live]

    before = state()
    with pytest.raises(FormatError, match="would change"):
        (load_pickle if hostile.suffix == ".pkl" else read_weights)(hostile)
    assert state() == before


def peak_bytes(code: str, *words: object) -> int:
    """Largest resident memory of a process that runs some code, less that of one that only imports."""
    used = []
    for work in ("", code):
        program = f"import sys, resource\nfrom hsmr_bio.io.unpickle import load_pickle\n{work}\n"
        program += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        done = subprocess.run([sys.executable, "-c", program, *map(str, words)], capture_output=True, text=True, check=True)
        used.append(int(done.stdout) * 1024)
    return used[1] - used[0]


def test_nine_bytes_take_no_memory(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(b"\x80\x02]r\xff\xff\xff\x0f.")
    assert peak_bytes("load_pickle(sys.argv[1])", tmp_path / "a.pkl") < 100e6


@pytest.mark.parametrize("read", [load_numpy, load_motion])
def test_a_packed_archive_is_refused_before_it_is_unpacked(read, tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", time_s=np.zeros(2 * ALWAYS_BYTES, dtype=np.uint8))
    assert (tmp_path / "a.npz").stat().st_size < ALWAYS_BYTES / 100
    with pytest.raises(FormatError, match="ask for"):
        read(tmp_path / "a.npz")


@pytest.mark.parametrize("wbits", [15, 31])
def test_a_packed_pickle_is_refused_before_it_is_unpacked(wbits: int) -> None:
    packer = zlib.compressobj(wbits=wbits)
    packed = packer.compress(bytes(2 * ALWAYS_BYTES)) + packer.flush()
    with pytest.raises(FormatError, match="ask for"):
        read_pickle(io.BytesIO(packed), "a.pkl")


def test_shared_parts_count_as_often_as_they_occur() -> None:
    nested: list[object] = [0.0] * 100
    for _ in range(6):
        nested = [nested] * 100
    with pytest.raises(FormatError, match="ask for"):
        read_pickle(io.BytesIO(pickle.dumps({"poses": nested})), "a.pkl")


def test_a_key_that_takes_forever_to_hash_is_refused() -> None:
    key: tuple[object, ...] = ()
    for _ in range(60):
        key = (key, key)
    for content in (b"}" + pickle.dumps(key, 2)[2:-1] + b"K\x01s.", b"\x8f(" + pickle.dumps(key, 2)[2:-1] + b"\x90."):
        with pytest.raises(FormatError, match="key"):
            read_pickle(io.BytesIO(b"\x80\x04" + content), "a.pkl")


def test_a_large_sparse_matrix_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(ARCHIVE) as archive, pytest.raises(FormatError, match="sparse matrix of shape"):
        load_pickle(archive.extract("sparse.pkl", tmp_path))


def test_a_header_that_announces_more_than_follows_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(4))
    whole = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(whole.replace(b"(4,), ", b"(4000000000,), ", 1))
    with pytest.raises(FormatError):
        load_numpy(tmp_path / "a.npy")


def test_a_tensor_that_repeats_one_value_is_refused(tmp_path: Path) -> None:
    torch.save({"backbone.w": torch.zeros(1).expand(1 << 30)}, tmp_path / "a.pt")
    with pytest.raises(FormatError, match="ask for"):
        read_weights(tmp_path / "a.pt")


def test_what_a_reader_cannot_digest_names_the_file() -> None:
    for error in (
        KeyError("x"),
        RecursionError(),
        MemoryError(),
        ZeroDivisionError(),
        UnicodeDecodeError("utf-8", b"x", 0, 1, "y"),
    ):
        with pytest.raises(FormatError, match=r"a\.trc"), reading("a.trc"):
            raise error
    with pytest.raises(FileNotFoundError), reading("a.trc"):
        Path("nowhere/a.trc").read_bytes()


def test_an_unexpected_error_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    def fault(*_: object) -> int:
        raise ZeroDivisionError("several\nlines " + 1000 * "x")

    monkeypatch.setattr("hsmr_bio.cli.info.run", fault)
    (tmp_path / "a.trc").write_text("")
    assert main(["info", str(tmp_path / "a.trc")]) == 1
    one_error(capsys.readouterr().err, tmp_path / "a.trc")
    assert main(["info", str(tmp_path / "a.trc"), "-vv"]) == 1
    assert caplog.records[-1].exc_info is not None, "the place is shown"


def test_a_long_message_is_cut_and_keeps_the_name_of_the_file() -> None:
    line = one_line(f"/data/{'folder/' * 40}clip.mot, line 3: {'9' * 5000} is no number\nand more\x1b[31m", longest=LONGEST)
    assert len(line) <= LONGEST and "clip.mot, line 3" in line and line.endswith("and more\\x1b[31m")
    assert one_line("short") == "short"


@pytest.mark.parametrize("name", [b"caf\xe9.trc", "überß.trc".encode()])
def test_names_of_any_bytes_work(name: bytes, golden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / os.fsdecode(name)
    path.write_bytes((golden / "opensim_markers.trc").read_bytes())
    done = subprocess.run([sys.executable, "-c", IN_A_CHILD, "info", path], capture_output=True, check=False)
    assert done.returncode == 0 and name in done.stdout, done.stderr
    path.write_bytes(b"PathFileType")
    done = subprocess.run([sys.executable, "-c", IN_A_CHILD, "info", path], capture_output=True, check=False)
    assert done.returncode == 1 and done.stderr.count(b"\n") == 1, done.stderr


def test_a_library_that_crashes_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "a.c3d").write_bytes(b"x")
    with pytest.raises(FormatError, match=r"a\.c3d: somelib crashes"):
        try_first(tmp_path / "a.c3d", "import os; os.abort()", "somelib")
    try_first(tmp_path / "a.c3d", "raise ValueError", "somelib")


def test_digits_are_decimal() -> None:
    for source in (path for folder in SOURCES for path in folder.rglob("*.py")):
        assert ".isdigit(" not in source.read_text(encoding="utf-8"), f"{source}: str.isdecimal, '²' is a digit and no number"

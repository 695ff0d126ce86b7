"""A set of results appears as a whole, whenever the process that writes it is ended."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hsmr_bio.cli import main
from hsmr_bio.errors import InputError
from hsmr_bio.io.atomic import new_file, new_folder
from hsmr_bio.io.staging import finish, new_stage
from hsmr_bio.osim.library import bsm

NAMES = [f"clip{number}.txt" for number in range(40)]
WRITE = """
import sys
from pathlib import Path
from hsmr_bio.io.atomic import new_folder
with new_folder(sys.argv[1], overwrite=True) as folder:
    for name in sys.argv[3:]:
        (folder / name).write_text(sys.argv[2])
    (folder / "Geometry").mkdir()
    (folder / "Geometry" / "clip_a.vtp").write_text(sys.argv[2])
    {then}
"""


def run(folder: Path, text: str, then: str = "pass", wait: bool = True) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", WRITE.format(then=then), str(folder), text, *NAMES])
    if wait:
        process.wait(timeout=60)
    return process


def texts(folder: Path) -> set[str]:
    files = [*(folder / name for name in NAMES), folder / "Geometry" / "clip_a.vtp"]
    return {path.read_text() if path.exists() else "missing" for path in files}


def hidden(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.startswith(".")]


KILL = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"


def test_a_run_killed_while_it_writes_leaves_the_old_set_and_the_next_run_removes_its_litter(tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("another clip")
    run(tmp_path, "old")
    assert run(tmp_path, "new", KILL).returncode == -signal.SIGKILL
    assert texts(tmp_path) == {"old"} and len(hidden(tmp_path)) == 1
    run(tmp_path, "newer")
    assert texts(tmp_path) == {"newer"} and hidden(tmp_path) == []
    assert (tmp_path / "other.txt").read_text() == "another clip"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_run_ended_while_files_are_moved_leaves_the_new_set(number: signal.Signals, tmp_path: Path) -> None:
    for delay_s in (0.0, 0.01, 0.03):
        run(tmp_path, "old")
        process = run(tmp_path, "new", wait=False)
        while not list(tmp_path.glob(".*.done")) and process.poll() is None:
            time.sleep(0.0005)
        time.sleep(delay_s)
        process.send_signal(number)
        process.wait()
        time.sleep(0.3)
        seen = texts(tmp_path)
        assert seen in ({"old"}, {"new"})
        finish(tmp_path)
        assert texts(tmp_path) == {"new"} and hidden(tmp_path) == []


@pytest.fixture
def half_moved(tmp_path: Path) -> Path:
    """A folder in which a run was killed, with all that outlives it, after it had moved a model and not yet its motion."""
    (tmp_path / "clip.osim").write_bytes(bsm().to_bytes())
    (tmp_path / "clip.mot").write_text("of somebody else")
    done = tmp_path / ".hsmr-bio.abc.done"
    done.mkdir()
    rows = "".join(f"{k / 50}\t{k}\n" for k in range(5))
    (done / "clip.mot").write_text(f"clip\nversion=1\nnRows=5\nnColumns=2\ninDegrees=yes\nendheader\ntime\tpelvis_tilt\n{rows}")
    return tmp_path


@pytest.mark.parametrize("command", ["info", "check", "view"])
def test_a_command_that_reads_moves_the_rest_first(command: str, half_moved: Path) -> None:
    words = [command, str(half_moved / "clip.mot"), *(["--no-open"] if command == "view" else [])]
    main(words)  # this short motion need not be a good one
    assert hidden(half_moved) == []
    assert "somebody" not in (half_moved / "clip.mot").read_text()


def test_a_running_process_keeps_its_staging_folder(tmp_path: Path) -> None:
    held = new_stage(tmp_path)
    (held.path / "a").write_text("")
    with new_folder(tmp_path) as folder:
        (folder / "b").write_text("")
    assert (held.path / "a").exists() and (tmp_path / "b").exists()
    held.release()
    finish(tmp_path, clean=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b"]


def test_a_file_left_by_a_killed_run_is_removed_by_the_next(tmp_path: Path) -> None:
    code = f"from hsmr_bio.io.atomic import new_file\nwith new_file(r'{tmp_path / 'a.trc'}') as part:\n    {KILL}"
    subprocess.run([sys.executable, "-c", code], check=False)
    assert len(hidden(tmp_path)) == 1
    with new_file(tmp_path / "a.trc") as part:
        part.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["a.trc"]


def test_a_folder_in_the_way_is_found_before_anything_is_moved(tmp_path: Path) -> None:
    (tmp_path / "z.mot").mkdir()
    with pytest.raises(InputError, match=r"z\.mot"), new_folder(tmp_path, overwrite=True) as folder:
        (folder / "a.osim").write_text("")
        (folder / "z.mot").write_text("")
    assert [path.name for path in tmp_path.iterdir()] == ["z.mot"]


def test_a_full_disk_names_the_file_that_was_to_be_written(tmp_path: Path) -> None:
    """A limit of the file's size stands for the full disk: writing fails in the same way."""
    code = (
        "import resource, signal, sys\nfrom hsmr_bio.cli import main\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nresource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    words = ["scale", "--out", str(tmp_path / "out"), "--name", "anna"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert str(tmp_path / "out") in done.stderr and ".hsmr-bio" not in done.stderr and "too large" in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_current_folder_may_be_the_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with new_folder(".") as folder:
        (folder / "a").write_text("")
    with new_file("b") as part:
        part.write_text("")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]

"""``hsmr-bio view``: finds the report, makes one where there is none, shows a motion in OpenSim's own window."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from hsmr_bio.cli import main
from hsmr_bio.io.mot import write_mot
from hsmr_bio.osim.library import bsm
from hsmr_bio.types import OsimMotion


@pytest.fixture
def result(tmp_path: Path) -> Path:
    """A folder with a model and its motion, without a report."""
    document = bsm()
    values = np.tile(document.default_si, (20, 1))
    values[:, list(document.coordinates).index("hip_flexion_r")] = np.linspace(0, 0.5, 20)
    motion = OsimMotion(
        time_s=np.arange(20) / 30, coordinates=tuple(document.coordinates), values_si=values, rotational=document.rotational
    )
    write_mot(tmp_path / "clip.mot", motion)
    document.write(tmp_path / "clip.osim")
    return tmp_path


@pytest.fixture(autouse=True)
def no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)


def test_a_motion_without_a_report_gets_one(result: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["view", str(result / "clip.mot"), "--no-open"]) == 0
    report = result / "clip_report.html"
    assert capsys.readouterr().out.strip() == report.as_uri()
    assert "hip flexion" in report.read_text()
    assert (result / "clip_report.json").is_file()


def test_an_older_report_stays_and_the_new_one_has_another_name(result: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ready, own = result / "clip_report.html", result / "clip_view.html"
    ready.write_text("of image2mot")
    (result / "clip_report.json").write_text("{}")
    os.utime(ready, (0, 0))
    assert main(["view", str(result / "clip.mot"), "--no-open"]) == 0
    said = capsys.readouterr()
    assert said.out.strip() == own.as_uri() and "stays as it is" in said.err
    assert (ready.read_text(), (result / "clip_report.json").read_text()) == ("of image2mot", "{}")
    made = own.read_text()
    assert main(["view", str(result / "clip.mot"), "--no-open"]) == 0, "it is not made again"
    assert own.read_text() == made and "hip flexion" in made
    assert main(["view", str(result / "clip.mot"), "--no-open", "--model", str(result / "clip.osim")]) == 0
    assert ready.read_text() == "of image2mot"
    assert sorted(path.name for path in result.iterdir() if path.name.startswith(".")) == []


def test_a_ready_report_is_not_made_again(result: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ready = result / "clip_report.html"
    ready.write_text("ready")
    for what in (result, result / "clip.mot", ready):
        assert main(["view", str(what), "--no-open"]) == 0
        assert capsys.readouterr().out.strip() == ready.as_uri()
    assert ready.read_text() == "ready"


def test_without_a_screen_the_address_is_printed(result: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["view", str(result)]) == 0
    said = capsys.readouterr()
    assert said.out.strip() == (result / "clip_report.html").as_uri()
    assert "no browser can be opened here" in said.err


def test_what_cannot_be_shown_is_one_clear_line(result: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(*words: str) -> str:
        assert main(["view", *words]) == 1
        line = capsys.readouterr().err.strip()
        assert "\n" not in line
        return line

    assert "there is no such file or folder" in refused(str(result / "nothing.mot"))
    assert "a motion (.mot, .sto, .b3d, .csv, .parquet) or a folder with one was expected" in refused(str(result / "clip.osim"))
    assert "needs a display" in refused(str(result), "--opensim")
    shutil.copy(result / "clip.mot", result / "other.mot")
    assert "say which one: clip.mot, other.mot" in refused(str(result))
    assert "there is no other.osim beside it" in refused(str(result / "other.mot"))
    (result / "empty").mkdir()
    assert "there is no report in this folder" in refused(str(result / "empty"))


@pytest.mark.slow
@pytest.mark.opensim
@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="no Xvfb on this machine: OpenSim's window needs a display")
def test_opensim_shows_the_motion_in_its_window(result: Path) -> None:
    """The window plays the motion until it is closed: still running, and without a complaint, after some seconds."""
    read_end, write_end = os.pipe()
    screen = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write_end), "-screen", "0", "800x600x24", "-nolisten", "tcp"],
        pass_fds=[write_end],
        stderr=subprocess.DEVNULL,
    )
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        display = f":{pipe.readline().strip()}"
    program = "import sys; from hsmr_bio.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "view", str(result), "--opensim"]
    player = subprocess.Popen(
        command, env={**os.environ, "DISPLAY": display}, stderr=subprocess.PIPE, text=True, start_new_session=True, cwd=result
    )
    try:
        time.sleep(8)
        running = player.poll() is None
    finally:
        os.killpg(player.pid, signal.SIGKILL)
        said = player.communicate()[1]
        screen.terminate()
        screen.wait()
    assert running, said
    assert "error" not in said.lower(), said

"""The command line: help, exit codes, one clear line per error, JSON, progress."""

from __future__ import annotations

import argparse
import errno
import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hsmr_bio.cli import COMMANDS, build_parser, main
from hsmr_bio.cli.common import ProgressBar, progress_of
from hsmr_bio.io.atomic import new_folder
from hsmr_bio.io.mot import write_mot
from hsmr_bio.io.npz import save_motion
from hsmr_bio.io.trc import write_trc
from hsmr_bio.osim.library import bsm
from hsmr_bio.types import Markers, OsimMotion, SkelMotion, quiet


@pytest.fixture
def standing(tmp_path: Path) -> Path:
    """A .mot of the generic BSM standing with a head that sways a little, with its .osim beside it."""
    model = bsm()
    values = np.tile(model.default_si, (30, 1))
    values[:, tuple(model.coordinates).index("head_twist")] = 1e-4 * np.sin(np.arange(30))
    motion = OsimMotion(
        time_s=np.arange(30) / 60, coordinates=tuple(model.coordinates), values_si=values, rotational=model.rotational
    )
    write_mot(tmp_path / "still.mot", motion)
    (tmp_path / "still.osim").write_bytes(model.to_bytes())
    return tmp_path / "still.mot"


def test_every_command_has_help_and_the_main_job_comes_first(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert text.index("hsmr-bio image2mot video.mp4 -o out") < text.index("commands:")
    for name in COMMANDS:
        with pytest.raises(SystemExit) as stop:
            main([name, "--help"])
        assert stop.value.code == 0
        assert "--quiet" in capsys.readouterr().out


def test_wrong_usage_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["image2mod"], ["check"], ["scale", "--mass-kg", "heavy", "-o", "x"]):
        with pytest.raises(SystemExit) as stop:
            main(words)
        assert stop.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_an_error_is_one_line_on_stderr_and_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken.mot").write_text("nothing of the kind")
    assert main(["check", str(tmp_path / "broken.mot")]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("hsmr-bio: error: ")
    assert "broken.mot" in err
    assert err.count("\n") == 1


def test_vv_shows_where_the_error_arose(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hsmr_bio", "check", str(tmp_path / "none.mot"), "-vv"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "hsmr-bio: error: " in done.stderr


def test_check_finds_the_model_beside_the_motion_and_passes(standing: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(standing), "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("PASS")
    assert err == ""


def test_a_failed_check_is_3_and_json_says_so(standing: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = standing.read_text().replace("inDegrees=yes", "inDegrees=no")
    standing.write_text(text)
    assert main(["check", str(standing), "--json"]) == 3
    report = json.loads(capsys.readouterr().out)
    assert report["status"] == "fail"
    limits = next(check for check in report["checks"] if check["name"] == "joint limits")
    assert limits["status"] == "fail"


def test_check_takes_a_skel_motion(still: SkelMotion, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_motion(tmp_path / "a_skel.npz", replace(still, time_s=np.arange(30) / 30))
    assert main(["check", str(tmp_path / "a_skel.npz")]) in (0, 3)
    assert "knee and elbow limits" in capsys.readouterr().out


def test_info_describes_each_kind_of_file(standing: Path, still: SkelMotion, capsys: pytest.CaptureFixture[str]) -> None:
    folder = standing.parent
    save_motion(folder / "still_skel.npz", still)
    write_trc(folder / "still.trc", Markers(time_s=np.arange(3) / 60, names=("A", "B"), positions_m=np.zeros((3, 2, 3))))
    for ending in ("bvh", "glb", "c3d"):
        assert (
            main(["convert", str(standing if ending != "c3d" else folder / "still.trc"), str(folder / f"still.{ending}")]) == 0
        )
    capsys.readouterr()
    expected = {
        "still.bvh": "femur_r",
        "still.glb": "femur_r",
        "still.c3d": "force plates",
        "still.mot": "knee_angle_r",
        "still.osim": "coordinates",
        "still.trc": "markers",
        "still_skel.npz": "SKEL motion",
    }
    for name, word in expected.items():
        assert main(["info", str(folder / name)]) == 0
        assert word in capsys.readouterr().out
        assert main(["info", str(folder / name), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["file"].endswith(name)
    assert main(["info", str(folder / "none.osim")]) == 1
    (folder / "a.xyz").write_text("")
    assert main(["info", str(folder / "a.xyz")]) == 1
    assert "known: .osim" in capsys.readouterr().err
    assert main(["info"]) == 0
    assert "opensim" in capsys.readouterr().out


@pytest.mark.slow
def test_scale_writes_a_model_with_bones_and_refuses_to_overwrite(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    words = ["scale", "--betas", "1", "-0.5", "--mass-kg", "70", "--height-m", "1.8", "--name", "ann", "-o", str(out)]
    assert main([*words, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["mass_kg"] == 70
    assert facts["stature_m"] == pytest.approx(1.8)
    assert len(list((out / "Geometry").glob("ann_*.vtp"))) == 24
    model = (out / "ann.osim").read_bytes()
    assert main(words) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0
    assert (out / "ann.osim").read_bytes() == model
    assert main(["scale", "--betas", *"12345678901", "-o", str(tmp_path / "more")]) == 1
    assert not (tmp_path / "more").exists()


def test_setup_refuses_what_it_does_not_know_and_lists_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("HSMR_BIO_ASSETS", raising=False)
    (tmp_path / "skel_male.pkl").write_bytes(b"cos\nsystem\n(S'touch hacked'\ntR.")
    assert main(["setup", str(tmp_path / "skel_male.pkl")]) == 1
    assert "system" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()
    assert main(["setup"]) == 0
    assert "nothing is registered" in capsys.readouterr().out


def test_a_full_disk_or_a_folder_without_rights_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["scale", "-o", str(tmp_path / "file" / "out")]) == 1
    err = capsys.readouterr().err
    assert err.startswith("hsmr-bio: error: ")
    assert err.count("\n") == 1


def test_a_disk_that_becomes_full_is_named(
    standing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(args: argparse.Namespace) -> int:
        with new_folder(tmp_path / "out"):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("hsmr_bio.cli.check.run", full)
    assert main(["check", str(standing)]) == 1
    assert capsys.readouterr().err == (
        f"hsmr-bio: error: {tmp_path / 'out'}: No space left on device. Make room there and run the same command again\n"
    )


def test_a_reader_that_stops_early_is_no_error(standing: Path) -> None:
    words = f"{sys.executable} -m hsmr_bio info {standing} | head -n 1"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {words}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr == ""


def test_ctrl_c_is_130(standing: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(args: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("hsmr_bio.cli.check.run", interrupted)
    assert main(["check", str(standing)]) == 130
    assert "stopped" in capsys.readouterr().err


def test_sigterm_ends_like_ctrl_c_so_that_nothing_is_left(
    standing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def terminated(args: argparse.Namespace) -> int:
        with new_folder(tmp_path / "out") as folder:
            (folder / "half").write_text("")
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        return 0

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("hsmr_bio.cli.check.run", terminated)
    assert main(["check", str(standing)]) == 143
    assert capsys.readouterr().err.count("\n") == 1
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".part")]
    assert signal.getsignal(signal.SIGTERM) == before


def test_opensims_log_does_not_stay_in_the_users_folder(tmp_path: Path) -> None:
    code = "from hsmr_bio.cli.common import opensim_leaves_no_log as quiet_log\nwith quiet_log():\n    import opensim"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "opensim.log").write_text("mine")
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)
    assert [path.name for path in tmp_path.iterdir()] == ["opensim.log"]


def test_the_progress_bar_says_how_far_and_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("hsmr_bio.cli.common.time.monotonic", lambda: now[0])
    stream = io.StringIO()
    bar = ProgressBar(stream)
    bar("fit", 0, 200)
    now[0] = 110.0
    bar("fit", 50, 200)
    assert "25% 50/200  30 s left" in stream.getvalue()
    now[0] = 140.0
    bar("fit", 200, 200)
    bar("write", 1, None)
    bar.close()
    assert "100% 200/200  40 s" in stream.getvalue()
    assert stream.getvalue().count("\n") == 2


def test_no_bar_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_of(argparse.Namespace(quiet=False)) as progress:
        assert progress is quiet


def test_every_command_is_registered() -> None:
    parser = build_parser()
    action = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    assert tuple(action.choices) == COMMANDS

"""The table of a study: all faults at once, options by column, the command of each input; the plan; the lock; --config."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hsmr_bio.analysis.recognise import TASKS as ANALYSED
from hsmr_bio.cli import main
from hsmr_bio.errors import InputError
from hsmr_bio.io.npz import save_motion, save_observation
from hsmr_bio.pipeline.options import TASKS, Image2MotOptions, Skel2MotOptions
from hsmr_bio.study.batch import dry_run
from hsmr_bio.study.lock import holders, is_held, study_lock
from hsmr_bio.study.options import BatchOptions
from hsmr_bio.study.record import read_record, write_record
from hsmr_bio.study.table import TableError, read_study
from hsmr_bio.types import Camera, Observation, SkelMotion


@pytest.fixture
def data(tmp_path: Path, still: SkelMotion) -> Path:
    """A folder with a stored observation, a stored motion and something like a video."""
    folder = tmp_path / "data"
    folder.mkdir()
    seen = Observation(
        time_s=np.arange(9) / 10,
        camera=Camera(image_size_px=(800, 600), focal_px=640, center_px=(400, 300), source="guess"),
        keypoint_set="coco17",
        keypoints_px=np.ones((9, 17, 2)),
        confidence=np.ones((9, 17)),
    )
    save_observation(folder / "walk_observation.npz", seen)
    save_motion(folder / "stand_skel.npz", still)
    (folder / "run.mp4").write_bytes(b"a video")
    return folder


def table(data: Path, text: str) -> Path:
    path = data / "study.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_row_has_its_input_its_place_and_its_options(data: Path) -> None:
    text = "video;trial;person;group;height_m;start;camera_pitch_deg;treadmill;cutoff_hz;smokes\n"
    text += "walk_observation.npz;w1;P1;old;1.8;0.2;10;yes;off;no\nrun.mp4;;P1;;;;;;;\nstand_skel.npz;;;young;1.7;;;;;yes\n"
    found = read_study(table(data, "\ufeff" + text), Image2MotOptions(mass_kg=70.0))
    walk, run, stand = found.trials
    assert (walk.name, walk.person, walk.group, walk.session) == ("w1", "P1", "old", "")
    assert (walk.command, walk.options.estimator) == ("image2mot", "replay")
    assert (walk.options.height_m, walk.options.mass_kg, walk.options.cutoff_hz) == (1.8, 70.0, None)
    assert (walk.options.estimate.start_s, walk.options.ground.treadmill) == (0.2, True)
    assert walk.options.ground.camera_pitch_rad == pytest.approx(np.radians(10))
    assert walk.cells["smokes"] == "no" and walk.source.is_absolute()
    assert (run.name, run.options.estimator, run.options.height_m) == ("run", "blazepose", None)
    assert isinstance(stand.options, Skel2MotOptions)
    assert (stand.name, stand.person, stand.options.results.height_m) == ("stand", "stand", 1.7)


def test_all_faults_are_told_with_their_line(data: Path) -> None:
    text = "video,trial,height_m,treadmill,start_s,end_s,rate_hz,views\n"
    text += "gone.mp4,a,,,,,,\nrun.mp4,b,180,,,,,\n\nrun.mp4,c/d,,perhaps,,,,\nrun.mp4,e,,,3,2,,\n,f,,,,,,\n"
    text += "stand_skel.npz,g,,,,,30,\nrun.mp4,h,,,,,,2\nrun.mp4,i,,,,,,\nrun.mp4,I,,,,,,\n"
    with pytest.raises(TableError) as error:
        read_study(table(data, text), Image2MotOptions())
    wanted = [
        *("line 2: there is no file", "line 3: --height-m must be between", "line 5: a name (column trial"),
        *("line 5: column treadmill: 'perhaps' is not yes or no", "line 6: end_s (--end) must be more than 3"),
        *("line 7: the column video is empty", "line 8: rate_hz: stand_skel.npz is read by skel2mot", "line 9: column views"),
        "line 11: the trial 'I' is in line 10 already",
    ]
    assert [fault[: len(text)] for fault, text in zip(error.value.faults, wanted, strict=True)] == wanted
    assert "9 faults, nothing was started" in str(error.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("film,trial\nrun.mp4,a\n", "no column 'video'"),
        ("video,trial,trial\nrun.mp4,a,b\n", "'trial' is there twice"),
        ("video,trial\nrun.mp4,a,b\n", "line 2: 3 cells, the header has 2 columns"),
        ("video\n", "there is no trial in it"),
        ("", "there is no trial in it"),
    ],
)
def test_what_is_no_table_is_an_error(data: Path, text: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        read_study(table(data, text), Image2MotOptions())


def test_a_folder_a_pattern_and_a_frame_are_tables_too(data: Path) -> None:
    assert [trial.name for trial in read_study(data, Image2MotOptions()).trials] == ["run"]
    assert [trial.name for trial in read_study(f"{data}/*.npz", Image2MotOptions()).trials] == ["stand", "walk"]
    frame = pd.DataFrame({"video": [str(data / "run.mp4")] * 2, "trial": ["a", "b"], "mass_kg": [80.0, None]})
    assert [trial.options.mass_kg for trial in read_study(frame, Image2MotOptions()).trials] == [80.0, None]
    with pytest.raises(InputError, match="no video in this folder"):
        read_study(data.parent, Image2MotOptions())


def test_a_column_that_looks_like_an_option_is_pointed_out(data: Path) -> None:
    (note,) = read_study(table(data, "video,hight_m,colour\nrun.mp4,1.8,red\n"), Image2MotOptions()).notes
    assert "'hight_m'" in note and "height_m" in note


def test_the_tasks_are_those_of_the_analysis() -> None:
    assert ("auto", *ANALYSED) == TASKS


def why(data: Path, text: str, study: Path, **options: object) -> dict[str, str | None]:
    chosen = BatchOptions(**options)  # type: ignore[arg-type]
    return {one.trial.name: one.why for one in dry_run(table(data, text), study, chosen)}


def finish(data: Path, text: str, study: Path, status: str = "passed") -> None:
    """Store results of all trials as they are now, without computing them."""
    for one in dry_run(table(data, text), study):
        folder = study / "trials" / one.trial.name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "walk.mot").write_text("motion")
        write_record(folder, {"key": one.key, "status": status, "error": None, "people": []})


def test_only_what_changed_is_done_again_and_the_reason_is_said(data: Path, tmp_path: Path) -> None:
    text, study = "video,trial,mass_kg,colour\nrun.mp4,a,70,red\nstand_skel.npz,b,,\n", tmp_path / "study"
    assert why(data, text, study) == {"a": "not done yet", "b": "not done yet"}
    finish(data, text, study)
    assert why(data, text, study) == {"a": None, "b": None}
    assert why(data, text.replace("red", "blue"), study) == {"a": None, "b": None}, "a carried column changes no result"
    assert why(data, text.replace("70", "71"), study) == {"a": "the options changed", "b": None}
    assert why(data, text, study, image2mot=Image2MotOptions(height_m=1.8)) == dict.fromkeys("ab", "the options changed")
    os.utime(data / "run.mp4", (1, 1))
    assert why(data, text, study) == {"a": None, "b": None}, "the content counts, not the time"
    (data / "run.mp4").write_bytes(b"another video")
    assert why(data, text, study) == {"a": "the input changed", "b": None}
    (study / "trials" / "b" / "walk.mot").write_text("mot")
    assert why(data, text, study)["b"] == "walk.mot is not as it was written"
    (study / "trials" / "b" / "trial.json").write_text('{"format": "hsmr_bio tri')
    assert why(data, text, study)["b"] == "not done yet"
    record = json.loads((study / "trials" / "a" / "trial.json").read_text())
    assert record["files"] == {"walk.mot": 6}


def test_failed_trials_stay_until_they_are_asked_for(data: Path, tmp_path: Path) -> None:
    text, study = "video,trial\nrun.mp4,a\n", tmp_path / "study"
    finish(data, text, study, "failed")
    assert why(data, text, study) == {"a": None}
    assert why(data, text, study, retry_failed=True) == {"a": "failed before"}


def test_shards_are_all_trials_once(data: Path, tmp_path: Path) -> None:
    text = "video,trial\n" + "".join(f"run.mp4,t{k}\n" for k in range(7))
    parts = [set(why(data, text, tmp_path, shard=(k, 3))) for k in (1, 2, 3)]
    assert [len(part) for part in parts] == [3, 2, 2]
    assert set().union(*parts) == {f"t{k}" for k in range(7)}
    assert set(why(data, text, tmp_path, only="t[12]")) == {"t1", "t2"}


def test_two_runs_refuse_each_other_with_owner_and_age(tmp_path: Path) -> None:
    with study_lock(tmp_path, None) as (path, run):
        assert is_held(path, run)
        with pytest.raises(InputError, match=rf"another run works on it: process {os.getpid()} on .*last sign of life 0 s ago"):
            study_lock(tmp_path, None).__enter__()
        with pytest.raises(InputError, match="another run"):
            study_lock(tmp_path, (1, 2)).__enter__()
    assert list(tmp_path.iterdir()) == [] and not is_held(path, run)
    with study_lock(tmp_path, (1, 2)), study_lock(tmp_path, (2, 2)):
        assert [text.partition(",")[0] for text in holders(tmp_path)] == ["shard 1/2", "shard 2/2"]
        for other in (None, (1, 2), (1, 3)):
            with pytest.raises(InputError, match="another run"):
                study_lock(tmp_path, other).__enter__()


def test_the_lock_of_a_dead_run_is_no_hindrance(tmp_path: Path) -> None:
    code = "import sys, time, pathlib; from hsmr_bio.study.lock import study_lock\n"
    code += "with study_lock(pathlib.Path(sys.argv[1]), None):\n print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=f"process {other.pid}"):
            study_lock(tmp_path, None).__enter__()
        other.kill()
    assert (tmp_path / ".lock").is_file()
    with study_lock(tmp_path, None) as (path, run):
        assert is_held(path, run)
    (tmp_path / ".lock").write_text(json.dumps({"run": "x", "host": "elsewhere", "pid": 1}))
    with pytest.raises(InputError, match="on elsewhere"):
        study_lock(tmp_path, None).__enter__()
    os.utime(tmp_path / ".lock", (time.time() - 700,) * 2)
    with study_lock(tmp_path, None) as (path, run):
        assert is_held(path, run)


def test_a_run_that_lost_its_lock_leaves_that_of_the_next(tmp_path: Path) -> None:
    with study_lock(tmp_path, None) as (path, run):
        path.write_text(json.dumps({"run": "other", "host": "elsewhere", "pid": 1}))
        assert not is_held(path, run)
    assert is_held(path, "other")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"scheduler": "cloud"}, "scheduler must be local"),
        ({"shard": (3, 2)}, "I from 1 to N"),
        ({"jobs": 0}, "--jobs"),
        ({"cluster": {"queue": "long"}}, "queue: only --scheduler slurm"),
        ({"image2mot": {"mass_kg": 3}}, "image2mot must be Image2MotOptions"),
    ],
)
def test_options_of_a_study_check_themselves(options: dict[str, object], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        BatchOptions(**options)  # type: ignore[arg-type]


def test_a_damaged_record_is_none(tmp_path: Path) -> None:
    assert read_record(tmp_path) is None
    (tmp_path / "trial.json").write_text("[]")
    assert read_record(tmp_path) is None


@pytest.mark.parametrize("ending", ["toml", "yaml"])
def test_a_config_has_the_words_of_the_command_line(data: Path, ending: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = table(data, "video,trial\nrun.mp4,a\n")
    config = data / f"study.{ending}"
    equals = " = " if ending == "toml" else ": "
    lines = {
        "height_m": "1.8",
        "camera-pitch-deg": "-3.5",
        "image-size": "[640, 480]",
        "dynamics": "true",
        "treadmill": "false",
    }
    lines |= {"estimator": '"keypoints"', "keypoints": f'"{path}"', "rate-hz": "30"}
    config.write_text("".join(f"{name}{equals}{value}\n" for name, value in lines.items()))
    words = ["batch", str(path), "-o", str(data / "s"), "--dry-run", "--json", "--config", str(config)]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out) == {"trials": {"a": "not done yet"}}
    config.write_text(f"heigth_m{equals}1.8\n")
    assert main(words) == 1
    assert "batch has no option 'heigth_m'; closest: height-m" in capsys.readouterr().err
    config.write_text(f"height_m{equals}180\n")
    assert main(words) == 1
    assert "--height-m must be between" in capsys.readouterr().err
    assert main([*words, "--height-m", "1.8"]) == 0, "the command line goes before the file"


def test_a_config_serves_image2mot_too(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = data / "c.toml"
    config.write_text("mass_kg = 3\n")
    assert main(["image2mot", str(data / "run.mp4"), "-o", str(data / "out"), "--config", str(config)]) == 1
    assert "--mass-kg must be between" in capsys.readouterr().err
    config.write_text("mass_kg = = 3\n")
    assert main(["image2mot", "x.mp4", "-o", "out", "--config", str(config)]) == 1
    assert "c.toml: cannot be read" in capsys.readouterr().err


def test_the_command_prints_every_fault(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = table(data, "video,trial,mass_kg\nrun.mp4,a,1\nrun.mp4,b,1\nrun.mp4,c,1\nrun.mp4,d,1\n")
    assert main(["batch", str(path), "-o", str(data / "s")]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5 and all(f"line {k}: --mass-kg" in line for k, line in enumerate(lines[:4], start=2))
    assert not (data / "s").exists()


def test_options_of_a_trial_do_not_change_those_of_the_study(data: Path) -> None:
    options = Image2MotOptions(mass_kg=70.0)
    read_study(table(data, "video,mass_kg\nrun.mp4,80\n"), options)
    assert options == replace(options, mass_kg=70.0)

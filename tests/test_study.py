"""A study: trials in processes of their own, attempts, tables that follow the trials, what kills and crashes leave."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hsmr_bio.cli import main
from hsmr_bio.estimators import EstimateOptions
from hsmr_bio.io.npz import save_motion
from hsmr_bio.pipeline.options import Image2MotOptions
from hsmr_bio.skeleton import DOF_NAMES
from hsmr_bio.study.columns import options_for
from hsmr_bio.study.compute import DISK_FULL, compute_trial
from hsmr_bio.study.engine import LocalPool
from hsmr_bio.study.lock import study_lock
from hsmr_bio.study.loop import Counts, Run
from hsmr_bio.study.parts import write_table
from hsmr_bio.study.plain import options_from_json, options_to_json
from hsmr_bio.study.record import read_record, write_record
from hsmr_bio.study.study import load_study, save_rows
from hsmr_bio.study.table import StudyRow
from hsmr_bio.study.tables import CLOCK_COLUMNS, sync_parts, write_trials
from hsmr_bio.study.task import Outcome, Task, task_from_json
from hsmr_bio.study.worker import TrialServer, failed_record, put, remove_litter, run_trial
from hsmr_bio.types import SkelMotion

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def task(study: Path, name: str = "a", **changes: object) -> Task:
    (study / "trials").mkdir(parents=True, exist_ok=True)
    options = Image2MotOptions(height_m=1.8, estimate=EstimateOptions(person_box=(1, 2, 3, 4), calibration=Path("/c.toml")))
    base = Task(name=name, source=Path("/none"), command="image2mot", options=options, key={"all": name}, study=study,
                lock=study / ".lock", run="")  # fmt: skip
    return replace(base, **changes)  # type: ignore[arg-type]


def done(one: Task, status: str = "passed", seconds: float = 0.1) -> Outcome:
    """What a worker does with a trial, without the work."""
    place = one.study / "trials" / f".{one.name}.x.part"
    place.mkdir()
    person = {"name": one.name, "verdict": "pass", "checks": {"jumps": {"status": "pass", "value": 1.5, "unit": "deg"}},
              "frames": 9, "parameters": [{"name": "speed", "side": "", "value": 1.2, "sd": None, "unit": "m/s"}]}  # fmt: skip
    error = "no person is seen" if status == "failed" else None
    people = [] if status == "failed" else [person]
    record = {"key": dict(one.key), "status": status, "error": error, "people": people, "seconds": seconds}
    write_record(place, {**record, "attempts": list(one.attempts), "timings_s": {"fit": seconds}})
    put(place, one.folder)
    return Outcome(state="done")


def rows(*names: str) -> list[StudyRow]:
    return [
        StudyRow(trial=n, person=n[0], group="g", session="", command="image2mot", source=n, cells={"video": n}) for n in names
    ]


def worked(study: Path, work: Callable[[Task], Outcome], *names: str, jobs: int = 2) -> tuple[str | None, list[str], Run]:
    told: list[str] = []
    counted: list[Counts] = []
    run = Run(study, rows(*names), dict.fromkeys(names), tell=told.append, watch=counted.append, with_tables=True)
    stopped = run.work([task(study, name) for name in names], lambda: LocalPool(jobs, work))
    run.write_tables()
    assert counted[-1].done <= counted[-1].total == len(names)
    return stopped, told[1:], run


@pytest.mark.parametrize("command", ["image2mot", "skel2mot", "smpl2mot"])
def test_a_task_comes_back_as_it_went(tmp_path: Path, command: str) -> None:
    options = options_for(command, task(tmp_path).options)  # type: ignore[arg-type]
    assert options_from_json(json.loads(json.dumps(options_to_json(options)))) == options
    one = task(tmp_path, options=options, attempts=("killed",), timeout_s=3.0)
    assert vars(task_from_json(json.loads(json.dumps(one.to_json())))) == vars(one)


def test_every_trial_is_counted_and_told_in_a_line(tmp_path: Path) -> None:
    stopped, told, _ = worked(tmp_path, lambda one: done(one, "failed" if one.name == "b" else "passed"), *"abc")
    assert (stopped, told) == (None, ["b: failed: no person is seen"])
    table = list(csv.DictReader((tmp_path / "trials.csv").open()))
    assert [(row["trial"], row["status"], row["error"]) for row in table] == [
        *(("a", "passed", ""), ("b", "failed", "no person is seen"), ("c", "passed", "")),
    ]
    assert (table[0]["check_jumps"], table[0]["speed_m_s"], table[1]["speed_m_s"]) == ("1.5", "1.2", "")


@pytest.mark.parametrize("state", ["crashed", "lost"])
def test_a_trial_that_kills_its_worker_three_times_is_failed(tmp_path: Path, state: str) -> None:
    seen: list[Task] = []

    def work(one: Task) -> Outcome:
        seen.append(one)
        if one.name == "bad" and not (state == "crashed" and one.last):
            return Outcome(state=state, reason="SIGSEGV")  # type: ignore[arg-type]
        if one.name == "bad":
            place = tmp_path / "trials" / ".bad.x.part"
            place.mkdir()
            write_record(place, failed_record(one, "SIGSEGV"))
            put(place, one.folder)
            return Outcome(state="done")
        return done(one)

    stopped, told, _ = worked(tmp_path, work, "a", "bad", "c")
    assert (stopped, told) == (None, ["bad: failed: SIGSEGV (3 times)"])
    assert [one.attempts for one in seen if one.name == "bad"] == [(), ("SIGSEGV",), ("SIGSEGV", "SIGSEGV")]


def test_a_trial_that_was_killed_once_is_as_if_it_was_not(tmp_path: Path) -> None:
    killed: set[str] = set()

    def work(one: Task) -> Outcome:
        if one.name in killed:
            return done(one)
        killed.add(one.name)
        return Outcome(state="lost", reason="killed")

    assert worked(tmp_path / "killed", work, *"abcd")[:2] == (None, [])
    worked(tmp_path / "calm", done, *"abcd")
    tables = [pd.read_csv(tmp_path / name / "trials.csv").drop(columns=[*CLOCK_COLUMNS[:3]]) for name in ("killed", "calm")]
    pd.testing.assert_frame_equal(tables[0].drop(columns="attempts"), tables[1].drop(columns="attempts"))
    assert set(tables[0]["attempts"]) == {2}


def test_a_full_disk_stops_the_run_and_fails_no_trial(tmp_path: Path) -> None:
    stopped, told, run = worked(
        tmp_path, lambda one: done(one) if one.name == "a" else Outcome(state="disk full", reason="disk: full"), *"abc", jobs=1
    )
    assert (stopped, told) == ("disk: full", [])
    assert {name for name, record in run.records.items() if record} == {"a"}


def test_the_tables_of_angles_follow_the_trials(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    study, names = tmp_path, ("p1", "q1", "q2")
    for name in names:
        folder = study / "trials" / name
        folder.mkdir(parents=True)
        write_table(
            folder / "angles.parquet", pa.table({"trial": pa.array([name] * 3).dictionary_encode(), "value": [1.0] * 3})
        )
        write_record(folder, {"key": {"all": name}, "status": "passed", "error": None, "people": []})
    save_rows(study, rows(*names))
    records = {name: read_record(study / "trials" / name) for name in names}
    sync_parts(study, rows(*names), records)
    found = load_study(study).angles()
    assert (len(found), sorted(found["trial"].unique()), sorted(found["person"].unique())) == (9, list(names), ["p", "q"])
    before = {path: path.stat().st_mtime_ns for path in (study / "angles.parquet").rglob("*.parquet")}
    sync_parts(study, rows(*names), records)
    assert before == {path: path.stat().st_mtime_ns for path in (study / "angles.parquet").rglob("*.parquet")}
    other = [replace(row, group="other") if row.trial == "q1" else row for row in rows("p1", "q1")]
    sync_parts(study, other, records)
    found = load_study(study).angles()
    assert found.groupby("trial", observed=True)["group"].first().to_dict() == {"p1": "g", "q1": "other"}


def test_the_state_is_told_while_others_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_rows(tmp_path, rows(*"abcd"))
    for name, status in (("a", "passed"), ("b", "failed"), ("c", "checks failed")):
        done(task(tmp_path, name), status)
    with study_lock(tmp_path, None):
        assert main(["batch", str(tmp_path), "--status"]) == 4
    out = capsys.readouterr().out
    assert "4 trials: 1 passed, 1 checks failed, 1 failed, 1 not done" in out and f"running: process {os.getpid()}" in out
    assert "b: no person is seen" in out
    done(task(tmp_path, "b"), "passed")
    assert main(["batch", str(tmp_path), "--status", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["checks_failed"] == 1
    assert main(["batch", str(tmp_path / "trials"), "--status"]) == 1


def test_litter_of_ended_runs_goes_and_a_half_moved_folder_comes_back(tmp_path: Path) -> None:
    done(task(tmp_path, "a"))
    trials = tmp_path / "trials"
    (trials / "a").rename(trials / ".a.x7.old")
    (trials / ".a.x8.part").mkdir()
    (trials / ".b.x9.part").mkdir()
    remove_litter(trials, {"a"})
    assert sorted(path.name for path in trials.iterdir()) == [".b.x9.part", "a"]
    assert read_record(trials / "a") is not None
    remove_litter(trials)
    assert sorted(path.name for path in trials.iterdir()) == ["a"]


def test_a_carried_column_with_a_name_of_ours_gets_another(tmp_path: Path) -> None:
    row = replace(rows("a")[0], cells={"video": "v", "status": "single", "age": "41"})
    done(task(tmp_path, "a"))
    write_trials(tmp_path, [row], {"a": read_record(tmp_path / "trials" / "a")})
    (found,) = csv.DictReader((tmp_path / "trials.csv").open())
    assert (found["status"], found["given_status"], found["age"]) == ("passed", "single", "41")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 8 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("no disk can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@linux
def test_a_trial_without_room_has_no_record(small_disk: Path, tmp_path: Path) -> None:
    (tmp_path / "seen.npz").write_bytes(b"something")
    one = task(tmp_path, source=tmp_path / "seen.npz")
    assert compute_trial(one, small_disk) == DISK_FULL
    assert not (small_disk / "trial.json").exists()
    (tmp_path / "roomy").mkdir()
    assert compute_trial(one, tmp_path / "roomy") == 0
    record = read_record(tmp_path / "roomy")
    assert record is not None and record["status"] == "failed" and str(one.source) in record["error"]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A motion that takes as little work as possible."""
    from hsmr_bio.body import load_body

    poses = np.zeros((12, 46))
    poses[:, DOF_NAMES.index("knee_angle_r")] = 0.2
    motion = SkelMotion(
        time_s=np.arange(12) / 30, poses_rad=poses, trans_m=np.zeros((12, 3)), betas=np.zeros(10),
        body=load_body("open").name, frame="world",
    )  # fmt: skip
    path = tmp_path_factory.mktemp("stored") / "stand_skel.npz"
    save_motion(path, motion)
    return path


def study_csv(folder: Path, stored: Path, count: int, *more: str) -> Path:
    path = folder / "study.csv"
    lines = [f"{stored},t{k},P{k % 2},70" for k in range(count)]
    path.write_text("\n".join(["video,trial,person,mass_kg", *lines, *more]) + "\n")
    return path


@pytest.fixture
def running(tmp_path: Path, stored: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts the command as a terminal does: in a group of its own, with Ctrl-C switched on."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: str) -> subprocess.Popen[str]:
        code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        code += "from hsmr_bio.cli import main; sys.exit(main(sys.argv[1:]))"
        command = [sys.executable, "-c", code, "batch", *words]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0)
        started.append(child)
        return child

    yield start
    for child in started:
        child.kill()
        child.communicate()


def of_study(study: Path) -> list[int]:
    """Running processes that work in a study."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and str(study) in str((entry / "cwd").readlink()):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def wait_for(what: Callable[[], object], most_s: float = 600) -> None:
    end = time.monotonic() + most_s
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


@pytest.mark.slow
@linux
def test_a_study_from_its_table_to_its_results_and_again(
    tmp_path: Path, stored: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "bad.npz").write_bytes(stored.read_bytes()[:2000])
    table, study = study_csv(tmp_path, stored, 2, f"{stored},twin,P1,90"), tmp_path / "study"
    words = ["batch", str(table), "-o", str(study), "--jobs", "1", "--scheduler", "processes"]
    code = main([*words, "--json"])
    facts = json.loads(capsys.readouterr().out)
    assert code in (0, 3) and facts["trials"] == 3 and facts["failed"] == facts["not_done"] == 0
    for name in ("t0", "t1", "twin"):
        files = {path.name for path in (study / "trials" / name).iterdir()}
        assert {f"{name}.osim", f"{name}.mot", f"{name}_report.html", "trial.json", "trial.log", "angles.parquet"} <= files
    assert not list((study / "trials").glob(".*")) and not (study / ".lock").exists()
    found = load_study(study)
    assert found.trials["found_mass_kg"].round(3).tolist() == [70, 70, 90]
    angles = found.angles()
    assert len(angles) == 3 * 12 * 49 or len(angles) % 36 == 0
    knee = angles[(angles["trial"] == "t1") & (angles["coordinate"] == "knee_angle_r")]
    assert knee["value"].mean() == pytest.approx(np.degrees(0.2), abs=1.0) and set(knee["person"]) == {"P1"}
    before = {path: path.stat().st_mtime_ns for path in (study / "trials").rglob("*")}
    assert main(words) == code
    assert "trials to compute" not in capsys.readouterr().err
    assert before == {path: path.stat().st_mtime_ns for path in (study / "trials").rglob("*")}
    table.write_text(table.read_text().replace(",90", ",95"))
    assert main(words) == code
    assert "1 trials are computed again: the options changed" in capsys.readouterr().err
    changed = {path.parent.name for path, time_ns in before.items() if path.is_file() and path.stat().st_mtime_ns != time_ns}
    assert changed <= {"twin", "Geometry"} and "twin" in changed


@pytest.mark.slow
@linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_ended_command_leaves_no_process_and_goes_on(
    tmp_path: Path, stored: Path, running: Callable[..., subprocess.Popen[str]], number: signal.Signals
) -> None:
    table, study = study_csv(tmp_path, stored, 3), tmp_path / "study"
    words = (str(table), "-o", str(study), "--jobs", "1", "--scheduler", "processes")
    child = running(*words)
    wait_for(lambda: (study / "trials" / "t0").exists() and of_study(study))
    os.killpg(child.pid, number)
    _, said = child.communicate(timeout=60)
    wait_for(lambda: not of_study(study), 60)
    if number == signal.SIGINT:
        assert child.returncode == 130 and "the same command goes on" in said and "Traceback" not in said
        assert not list((study / "trials").glob(".*"))
    assert load_study(study).counts["not done"] >= 1
    child = running(*words)
    _, said = child.communicate(timeout=600)
    assert child.returncode in (0, 3), said
    assert load_study(study).counts["not done"] == 0 and not list((study / "trials").glob(".*"))


@pytest.mark.slow
@linux
def test_killed_processes_of_trials_and_workers_are_replaced(
    tmp_path: Path, stored: Path, running: Callable[..., subprocess.Popen[str]]
) -> None:
    table, study = study_csv(tmp_path, stored, 3), tmp_path / "study"
    child = running(str(table), "-o", str(study), "--jobs", "1", "--scheduler", "processes")
    for parent in (False, True):  # first the trial, then what runs trials
        wait_for(lambda: of_study(study))
        pid = of_study(study)[0]
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        os.kill(int(stat[1]) if parent else pid, signal.SIGKILL)
        wait_for(lambda pid=pid: pid not in of_study(study), 60)
    _, said = child.communicate(timeout=600)
    assert child.returncode in (0, 3), said
    attempts = load_study(study).trials["attempts"]
    assert attempts.sum() == 5, "two more than there are trials"


@pytest.mark.slow
@linux
def test_a_trial_ends_at_its_time_and_at_its_memory(tmp_path: Path, stored: Path) -> None:
    with study_lock(tmp_path, None) as (lock, run):
        options = options_for("skel2mot", Image2MotOptions())
        base = task(tmp_path, source=stored, command="skel2mot", options=options, lock=lock, run=run)
        for changes, words in (({"timeout_s": 0.3}, "took more than 0.3 s"), ({"memory_gb": 0.05}, "0.05 GB of memory")):
            assert run_trial(replace(base, **changes)) == Outcome(state="done")  # type: ignore[arg-type]
            record = read_record(base.folder)
            assert record is not None and record["status"] == "failed" and words in record["error"]
            assert {path.name for path in base.folder.iterdir()} == {"trial.json", "trial.log"}


def test_nobody_works_for_a_run_that_is_gone(tmp_path: Path) -> None:
    assert run_trial(task(tmp_path, run="gone")) == Outcome(state="stopped")
    assert list((tmp_path / "trials").iterdir()) == []


@pytest.mark.slow
@linux
def test_a_worker_that_is_gone_takes_its_trial_along(tmp_path: Path, stored: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    server = TrialServer()
    options = options_for("skel2mot", Image2MotOptions())
    one = task(tmp_path, source=stored, command="skel2mot", options=options)
    job = {"task": one.to_json(), "place": str(place), "timeout_s": None, "memory_gb": None}
    assert server._process.stdin is not None
    server._process.stdin.write(json.dumps(job).encode() + b"\n")
    server._process.stdin.flush()
    wait_for(lambda: of_study(place))
    server._process.stdin.close()
    server._process.wait(timeout=60)
    wait_for(lambda: not of_study(place), 60)
    assert not (place / "trial.json").exists()

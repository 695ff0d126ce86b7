"""A study on Dask: workers of this machine and of a scheduler that runs, kills, a scheduler that is gone, jobs of Slurm."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from hsmr_bio.cli import main
from hsmr_bio.io.npz import save_motion
from hsmr_bio.study.batch import job_script
from hsmr_bio.study.dask_engine import DaskEngine
from hsmr_bio.study.engine import StoppedError
from hsmr_bio.study.options import BatchOptions
from hsmr_bio.study.study import load_study
from hsmr_bio.types import SkelMotion

distributed = pytest.importorskip("distributed")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A motion that takes as little work as possible."""
    from hsmr_bio.body import load_body

    motion = SkelMotion(
        time_s=np.arange(12) / 30, poses_rad=np.zeros((12, 46)), trans_m=np.zeros((12, 3)), betas=np.zeros(10),
        body=load_body("open").name, frame="world",
    )  # fmt: skip
    path = tmp_path_factory.mktemp("stored") / "stand_skel.npz"
    save_motion(path, motion)
    return path


def study_csv(folder: Path, stored: Path, count: int) -> Path:
    path = folder / "study.csv"
    path.write_text("video,trial\n" + "".join(f"{stored},t{k}\n" for k in range(count)))
    return path


def wait_for(what: Callable[[], object], most_s: float = 600) -> None:
    end = time.monotonic() + most_s
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def processes(*words: str) -> list[int]:
    """Running processes whose command line has all the words."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_bytes().decode(errors="replace") if entry.name.isdigit() else ""
        except OSError:
            continue
        if line and all(word in line for word in words) and int(entry.name) != os.getpid():
            found.append(int(entry.name))
    return found


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler and two workers, as a cluster has them: its file, and the processes."""
    file = tmp_path / "dask.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    dask = [sys.executable, "-m", "distributed.cli"]
    started = [subprocess.Popen([*dask[:2], "distributed.cli.dask_scheduler", "--scheduler-file", str(file), "--port", "0",
                                 "--dashboard-address", "127.0.0.1:0", "--host", "127.0.0.1"], **quiet)]  # fmt: skip
    wait_for(file.exists)
    for _ in range(2):
        words = ["distributed.cli.dask_worker", "--scheduler-file", str(file), "--nthreads", "1", "--memory-limit", "0"]
        words += ["--no-dashboard", "--local-directory", str(tmp_path / "scratch")]
        started.append(subprocess.Popen([*dask[:2], *words], **quiet))
    yield str(file), started
    for child in started[::-1]:
        child.terminate()
    for child in started:
        try:
            child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def test_local_workers_of_dask_do_a_study(tmp_path: Path, stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, study = study_csv(tmp_path, stored, 3), tmp_path / "study"
    assert main(["batch", str(table), "-o", str(study), "--jobs", "2", "--json"]) in (0, 3)
    said = capsys.readouterr()
    assert json.loads(said.out)["not_done"] == 0
    assert "2 workers of Dask (local), to be watched at http://127.0.0.1:" in said.err


def test_a_scheduler_that_runs_is_joined_and_its_end_is_told(
    tmp_path: Path, stored: Path, scheduler: tuple[str, list[subprocess.Popen[bytes]]], capsys: pytest.CaptureFixture[str]
) -> None:
    file, started = scheduler
    table, study = study_csv(tmp_path, stored, 3), tmp_path / "study"
    command = [sys.executable, "-m", "hsmr_bio", "batch", str(table), "-o", str(study), "--scheduler", file]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as run:
        wait_for(lambda: list((study / "trials").glob("t?")))
        started[0].kill()
        assert run.stderr is not None
        said = run.stderr.read()
        assert run.wait(timeout=120) == 4, said[-3000:]
    assert "the same command goes on with the rest" in said
    assert "Traceback" not in said, said[-3000:]
    assert load_study(study).counts["not done"] > 0 and not (study / ".lock").exists()
    assert main(["batch", str(table), "-o", str(study), "--scheduler", "processes", "--jobs", "1"]) in (0, 3)
    assert load_study(study).counts["not done"] == 0
    assert "trials to compute" in capsys.readouterr().err


def test_killed_workers_are_replaced_and_lose_no_trial(tmp_path: Path, stored: Path) -> None:
    table, study = study_csv(tmp_path, stored, 4), tmp_path / "study"
    command = [sys.executable, "-m", "hsmr_bio", "batch", str(table), "-o", str(study), "--jobs", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, process_group=0) as run:
        for _ in range(3):
            wait_for(lambda: list((study / "trials").glob(".t*.part")) or run.poll() is not None)
            workers = [pid for pid in processes("multiprocessing", "spawn_main") if os.getpgid(pid) == run.pid]
            if workers:
                os.kill(workers[-1], signal.SIGKILL)
            time.sleep(1)
        assert run.stderr is not None
        said = run.stderr.read()
        assert run.wait(timeout=600) in (0, 3), said
    counts = load_study(study).counts
    assert counts["failed"] == counts["not done"] == 0
    assert not list((study / "trials").glob(".*"))


def test_no_workers_for_long_is_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hsmr_bio.study.dask_engine._NO_WORKERS_S", 1.0)
    monkeypatch.setattr("hsmr_bio.study.dask_engine._LOOK_S", 0.2)
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0", processes=False) as cluster,
        distributed.Client(cluster) as client,
        pytest.raises(StoppedError, match="no worker of Dask"),
    ):
        engine = DaskEngine(client, "nobody")
        for _ in range(100):
            engine.next_finished(0.3)


def test_a_dry_run_shows_the_job_of_a_batch_system() -> None:
    pytest.importorskip("dask_jobqueue")
    options = BatchOptions(scheduler="slurm", memory_gb=3.0, timeout_s=600, cluster={"walltime": "02:00:00", "queue": "long"})
    script = job_script(options)
    assert script is not None
    for words in ("#SBATCH -p long", "#SBATCH --mem=3G", "#SBATCH -t 02:00:00", "--lifetime 6600s"):
        assert words in script, script
    assert job_script(BatchOptions()) is None


def slurm_runs() -> bool:
    command = shutil.which("sinfo")
    return command is not None and subprocess.run([command], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not slurm_runs(), reason="no Slurm runs here; tools/slurm/setup.sh makes one of this machine")
def test_jobs_of_slurm_do_a_study(tmp_path: Path, stored: Path) -> None:
    pytest.importorskip("dask_jobqueue")
    table, study = study_csv(tmp_path, stored, 4), tmp_path / "study"
    words = ["batch", str(table), "-o", str(study), "--scheduler", "slurm", "--jobs", "2", "--memory-gb", "2"]
    assert main([*words, "--interface", "lo", "--walltime", "01:00:00"]) in (0, 3)
    assert load_study(study).counts["not done"] == 0

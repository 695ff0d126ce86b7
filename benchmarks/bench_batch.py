"""Studies of replayed observations: python benchmarks/bench_batch.py OBSERVATION.npz [trials] [kills] [--keep FOLDER].

OBSERVATION is NAME_observation.npz of image2mot --save-observation. Trials are cuts of 1.2 s of it with other masses; two of a
hundred are broken, in ten ways. Printed are: time with one worker and with two, overhead per trial, peak memory, time of a
second run, and after kill -9 of processes at random moments (workers, trials, the command) whether the study is completed with
the tables of the undisturbed run.
"""

import argparse
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from hsmr_bio.io.npz import load_observation, save_observation
from hsmr_bio.study.study import load_study

_CUT_S = 1.2
_OUR_CLOCK = ("seconds", "peak_mb", "host", "attempts")


def make_table(observation: Path, folder: Path, trials: int) -> Path:
    """Write the table, and the broken inputs."""
    broken = break_inputs(observation, folder)
    length_s = float(np.ptp(load_observation(observation).time_s))
    rows = ["video,trial,person,group,session,mass_kg,start_s,end_s"]
    for k in range(trials):
        start_s = (k * 0.173) % (length_s - _CUT_S)
        place = f"T{k:04d},P{k // 4:03d},{'a' if k % 8 < 4 else 'b'},{'s1' if k % 2 else 's2'},{60 + k % 30}"
        if k % 50 == 25:
            source, span = broken[k // 50 % len(broken)]
            rows.append(f"{source},{place},{span}")
        else:
            rows.append(f"{observation},{place},{start_s:.3f},{start_s + _CUT_S:.3f}")
    table = folder / "study.csv"
    table.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return table


def break_inputs(observation: Path, folder: Path) -> list[tuple[Path, str]]:
    """Ten inputs that no trial can be made of, with their start and end."""
    from dataclasses import replace

    whole, code = load_observation(observation), observation.read_bytes()
    found: list[tuple[Path, str]] = [(observation, "90,92")]
    for name, content in (("cut", code[: len(code) // 2]), ("flipped", code[:900] + b"\xff" * 400 + code[1300:])):
        (folder / f"{name}.npz").write_bytes(content)
    (folder / "text.mp4").write_text("not a video")
    (folder / "zeros.mp4").write_bytes(bytes(4096))
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    (folder / "joints.trc").write_text("PathFileType\t4\t(X/Y/Z)\tjoints.trc\n")
    unseen = np.full_like(whole.keypoints_px, np.nan)
    changed = {
        "unseen": replace(whole, keypoints_px=unseen, confidence=np.zeros_like(whole.confidence), keypoints_m=None),
        "pan": replace(whole, camera_shift_px=np.linspace(0, 600, len(whole.time_s))),
    }
    for name, one in changed.items():
        save_observation(folder / f"{name}.npz", one)
    for name in ("pan.npz", "unseen.npz", "text.mp4", "zeros.mp4", "picture.png", "joints.trc"):
        found.append((folder / name, ","))
    return found


def command(table: Path, study: Path, *words: str) -> list[str]:
    """The command of a run."""
    return [sys.executable, "-m", "hsmr_bio", "batch", str(table), "-o", str(study), *words]


def run(table: Path, study: Path, *words: str) -> tuple[float, int]:
    """Wall time and exit code of a run."""
    began = time.monotonic()
    words_of_run = command(table, study, *words)
    done = subprocess.run(words_of_run, capture_output=True, text=True, check=False)  # noqa: S603, our own command
    if done.returncode not in (0, 3, 4):
        raise SystemExit(done.stderr)
    return time.monotonic() - began, done.returncode


def results(study: Path) -> list[dict[str, str]]:
    """The table of trials without what differs from run to run."""
    with (study / "trials.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return [{n: v for n, v in row.items() if n not in _OUR_CLOCK and not n.startswith("time_")} for row in rows]


def processes(*words: str) -> list[int]:
    """Processes whose command line has the words."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_bytes().decode(errors="replace") if entry.name.isdigit() else ""
        except OSError:
            continue
        if line and all(word in line for word in words):
            found.append(int(entry.name))
    return found


def children(pid: int) -> list[int]:
    """Processes that a process started, and theirs."""
    tasks = Path(f"/proc/{pid}/task")
    found: list[int] = []
    for task in tasks.iterdir() if tasks.is_dir() else ():
        try:
            found += [int(word) for word in (task / "children").read_text().split()]
        except OSError:
            continue
    return [*found, *(inner for one in found for inner in children(one))]


def disturbed(table: Path, study: Path, kills: int, words: tuple[str, ...]) -> dict[str, int]:
    """Run a study to its end while processes of it are killed at random moments."""
    counts = {"command": 0, "other": 0, "runs": 0}
    draw = np.random.default_rng()
    while True:
        counts["runs"] += 1
        child = subprocess.Popen(  # noqa: S603, our own command
            command(table, study, *words), process_group=0, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while child.poll() is None:
            time.sleep(draw.uniform(1, 8))
            if child.poll() is None and counts["command"] + counts["other"] < kills:
                below = children(child.pid)
                what = "command" if draw.random() < 1 / 3 or not below else "other"
                try:
                    os.kill(child.pid if what == "command" else int(draw.choice(below)), signal.SIGKILL)
                    counts[what] += 1
                except ProcessLookupError:
                    continue
        if child.returncode in (0, 3, 4):
            return counts
        time.sleep(1)
        left = [pid for pid in processes("hsmr_bio.study.server") if os.getppid() != pid and orphan(pid)]
        counts["orphans"] = counts.get("orphans", 0) + len(left)


def orphan(pid: int) -> bool:
    """Tell whether a process has lost its parent and goes on."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return state[0] != "Z" and state[1] == "1"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("observation", type=Path)
    parser.add_argument("trials", type=int, nargs="?", default=100)
    parser.add_argument("kills", type=int, nargs="?", default=0)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--scheduler", default="processes")
    parser.add_argument("--one", action="store_true", help="measure one worker, too")
    args = parser.parse_args()
    folder = args.keep or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    table = make_table(args.observation.absolute(), folder, args.trials)
    words = ("--scheduler", args.scheduler)
    wall_s = {
        jobs: run(table, folder / f"jobs{jobs}", *words, "--jobs", str(jobs))[0] for jobs in ((1, 2) if args.one else (2,))
    }
    study = load_study(folder / "jobs2")
    records = [record for record in study.records.values() if record is not None]
    own_s = sum(record["seconds"] for record in records)
    print(study.text())
    for name, text in study.problems.items():
        print(f"  {name}: {text[:140]}")
    print(
        f"wall time {json.dumps(wall_s)} s; trials' own time {own_s:.0f} s; two workers {2 * wall_s[2] - own_s:.0f} s beside it"
    )
    print(f"overhead a trial {(2 * wall_s[2] - own_s) / own_s:.1%}; peak memory {max(r.get('peak_mb', 0) for r in records)} MB")
    print(f"second run {run(table, folder / 'jobs2', *words)[0]:.1f} s")
    if args.kills:
        counts = disturbed(table, folder / "killed", args.kills, (*words, "--jobs", "2"))
        same = results(folder / "killed") == results(folder / "jobs2")
        litter = list((folder / "killed" / "trials").glob(".*"))
        print(f"kills {counts}; tables equal: {same}; litter: {len(litter)}")
    if args.keep is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()

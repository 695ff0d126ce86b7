"""Runs that are ended while they write: python benchmarks/bench_ended_runs.py [kills] [signals].

A process writes the results of one person over those of another, or into an empty folder, and is ended at a random moment: with
SIGKILL, or with SIGTERM or SIGINT. Afterwards all files must be of one person. Half of the moments are drawn from the whole
run, half from those at which files are moved into place.
"""

import hashlib
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from hsmr_bio.body import load_body
from hsmr_bio.io.atomic import new_folder
from hsmr_bio.io.staging import finish
from hsmr_bio.pipeline.options import Skel2MotOptions
from hsmr_bio.pipeline.results import Result, make_results
from hsmr_bio.pipeline.write import write_results
from hsmr_bio.types import SkelMotion

_SETTLED_S = 0.5
"""Time after which a process that outlives the run must have moved everything."""


def person(shape: float) -> Result:
    """Make the results of somebody who stands still for half a second."""
    body = load_body("open")
    motion = SkelMotion(
        time_s=np.arange(30) / 60,
        poses_rad=np.zeros((30, 46)),
        trans_m=np.zeros((30, 3)),
        betas=np.full(10, shape),
        body=body.name,
        frame="world",
    )
    return make_results(motion, body, Skel2MotOptions().results, name="clip")


def write(folder: Path, result: Result, *, overwrite: bool) -> None:
    """Write a person's results, as the pipeline does."""
    with new_folder(folder, overwrite=overwrite) as place:
        write_results(place, replace(result, paths=()), load_body("open"), Skel2MotOptions().results)


def fingerprint(folder: Path) -> dict[str, str]:
    """Return the hash of every result file."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() and not hidden(path, folder))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def hidden(path: Path, folder: Path) -> bool:
    """Tell whether a file is in a hidden folder."""
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def ended_run(
    folder: Path, result: Result, number: int, *, overwrite: bool, at_move: bool, length_s: float, delay: float
) -> str:
    """Start a writer, end it at a random moment; say how it ended."""
    child = os.fork()
    if child == 0:
        code = 0
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            write(folder, result, overwrite=overwrite)
        except KeyboardInterrupt:
            code = 1
        os._exit(code)
    began = time.monotonic()
    if at_move:
        while not list(folder.glob(".hsmr-bio.*.done")) and os.waitpid(child, os.WNOHANG)[0] == 0:
            if time.monotonic() - began > 20 * length_s:
                break
            time.sleep(2e-4)
        time.sleep(delay * 0.06)
    else:
        time.sleep(delay * length_s * 1.1)
    try:
        os.kill(child, number)
        status = os.waitpid(child, 0)[1]
    except (ProcessLookupError, ChildProcessError):
        return "had ended"
    return "killed" if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}"


def main(kills: int, signals: int) -> int:
    """Measure and print."""
    rng = np.random.default_rng()
    people = [person(0.0), person(0.8)]
    with tempfile.TemporaryDirectory() as place:
        sets = []
        for number, result in enumerate(people):
            began = time.monotonic()
            write(Path(place) / str(number), result, overwrite=False)
            length_s = time.monotonic() - began
            sets.append(fingerprint(Path(place) / str(number)))
        print(f"{len(sets[0])} files a set, written in {length_s:.2f} s")
        if set(sets[0]) != set(sets[1]) or sets[0] == sets[1]:
            raise SystemExit("the two sets must have the same names and other contents")
        found: Counter[str] = Counter()
        for trial in range(kills + signals):
            number = signal.SIGKILL if trial < kills else (signal.SIGTERM, signal.SIGINT)[rng.integers(2)]
            overwrite, at_move = trial % 2 == 0, trial % 4 < 2
            folder = Path(place) / "out"
            if overwrite:
                write(folder, people[trial // 2 % 2], overwrite=True)
            else:
                folder = Path(place) / f"new{trial}"
            settings = {"overwrite": overwrite, "at_move": at_move, "length_s": length_s, "delay": rng.random()}
            how = ended_run(folder, people[1 - trial // 2 % 2], number, **settings)
            time.sleep(_SETTLED_S)
            kind = "kill" if number == signal.SIGKILL else "signal"
            found[f"{kind}: {how}"] += 1
            for step in ("at once", "after the next command"):
                state = fingerprint(folder) if folder.exists() else {}
                whole = state in sets or (not overwrite and state == {})
                found[f"{kind}: {'whole' if whole else 'MIXED OR INCOMPLETE'} {step}"] += 1
                finish(folder, clean=True)
            litter = list(folder.rglob(".*")) if folder.exists() else []
            found[f"{kind}: litter after the next command"] += bool(litter)
    for name, count in sorted(found.items()):
        print(f"{count:5d}  {name}")
    return int(any("MIXED" in name or ("litter" in name and count) for name, count in found.items()))


if __name__ == "__main__":
    sys.exit(main(*(int(word) for word in (*sys.argv[1:], *("200", "100")[len(sys.argv) - 1 :]))))

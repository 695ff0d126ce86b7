"""The worker's side of a trial: hand it to the process beside this one, judge how it ended, put its folder into place."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import weakref
from pathlib import Path
from typing import Any

from ..version import __version__
from .lock import is_held
from .record import LOG, RECORD, Record, read_record, write_record
from .task import TRIALS, Outcome, Task

_DISK_FULL, _OUT_OF_MEMORY = 28, 12
"""Exit codes of a trial's process, see ``compute.py``."""
_LOOK_S = 5.0
"""Between two looks whether the run still waits for the trial."""
_PART, _OLD = ".part", ".old"
_HERE = threading.local()
_SERVERS: weakref.WeakSet[TrialServer] = weakref.WeakSet()
ENVIRONMENT = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""A worker is one core's."""


class ServerEndedError(Exception):
    """The process that runs trials is gone."""


class TrialServer:
    """The process that runs trials, see ``server.py``."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "hsmr_bio.study.server"],  # -P: no module comes from the user's folder
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **ENVIRONMENT},
            process_group=0,  # Ctrl-C is for the command alone
        )
        self._end = weakref.finalize(self, _end, self._process)
        self._began = False
        _SERVERS.add(self)

    def run(self, task: Task, place: Path) -> dict[str, Any] | None:
        """Run a trial.

        Args:
            task: the trial.
            place: private folder for its files.

        Returns:
            How its process ended; None: nobody waits for it any more.

        Raises:
            ServerEndedError: the process that runs trials ended.
        """
        job = {"task": task.to_json(), "place": str(place), "timeout_s": task.timeout_s, "memory_gb": task.memory_gb}
        try:
            if not self._began:
                self._line()
                self._began = True
            if self._process.stdin is not None:
                self._process.stdin.write(json.dumps(job).encode() + b"\n")
                self._process.stdin.flush()
            reply = self._line(task)
        except OSError:
            raise ServerEndedError from None
        if reply is None:
            self.close()
            return None
        found: dict[str, Any] = json.loads(reply)
        return found

    def _line(self, task: Task | None = None) -> bytes | None:
        """Wait for a line; None: the task is not waited for any more."""
        if self._process.stdout is None:
            raise ServerEndedError
        while not select.select([self._process.stdout], [], [], _LOOK_S)[0]:
            if task is not None and not is_held(task.lock, task.run):
                return None
        line = self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise ServerEndedError
        return line

    def close(self) -> None:
        """End the process and the trial that it runs."""
        self._end()


def end_all() -> None:
    """End the processes that run trials of this worker, with their trials."""
    for server in list(_SERVERS):
        server.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:  # its child ends with it
        process.send_signal(signal.SIGKILL)
        process.wait()


def run_trial(task: Task) -> Outcome:
    """Compute a trial in a process of its own and put its folder into place; the same on every engine.

    Args:
        task: the trial.

    Returns:
        What became of it.
    """
    if not is_held(task.lock, task.run):
        return Outcome(state="stopped")
    try:
        trials = task.study / TRIALS
        place = Path(tempfile.mkdtemp(prefix=f".{task.name}.", suffix=_PART, dir=trials))
        place.chmod(0o777 & ~_umask())
        try:
            return _run_in(task, place)
        finally:
            shutil.rmtree(place, ignore_errors=True)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return Outcome(state="disk full", reason=f"{error.filename or task.study}: {error.strerror}")
        return Outcome(state="crashed", reason=f"{error.filename or task.study}: {error.strerror}")


def _run_in(task: Task, place: Path) -> Outcome:
    server = getattr(_HERE, "server", None)
    if server is None:
        server = _HERE.server = TrialServer()
    try:
        reply = server.run(task, place)
    except ServerEndedError:
        server.close()
        _HERE.server = None
        return Outcome(state="lost", reason="the worker's process was killed")
    if reply is None:
        _HERE.server = None
        return Outcome(state="stopped")
    if reply["code"] == _DISK_FULL and not reply["reason"]:
        return Outcome(state="disk full", reason=f"{task.study}: {os.strerror(errno.ENOSPC)}")
    record = read_record(place) if reply["code"] == 0 else None
    if record is None:
        reason, final = _why(reply)
        if not (final or task.last):
            return Outcome(state="crashed", reason=reason)
        record = failed_record(task, reason, seconds=reply["seconds"])
        _remove_all_but_log(place)
    write_record(place, {**record, "peak_mb": reply["peak_mb"]})
    put(place, task.folder)
    return Outcome(state="done")


def _remove_all_but_log(place: Path) -> None:
    """Remove what a killed process left: a failed trial has its record and log only."""
    for path in place.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOG:
            path.unlink()


def _why(reply: dict[str, Any]) -> tuple[str, bool]:
    """Why a process ended without a record, and whether it would end so again."""
    if reply["reason"]:
        return reply["reason"], True
    if reply["code"] == _OUT_OF_MEMORY:
        return "there was not enough memory", True
    if reply["code"] < 0:
        name = signal.Signals(-reply["code"]).name
        hint = ": killed from outside, perhaps by the system for want of memory" if name == "SIGKILL" else ""
        return f"its process crashed ({name}{hint})", False
    return f"its process ended with exit code {reply['code']}", False


def failed_record(task: Task, reason: str, *, seconds: float = 0.0) -> Record:
    """Make the record of a trial that has none of its own.

    Args:
        task: the trial.
        reason: what ended it.
        seconds: that it took.

    Returns:
        The record.
    """
    attempts = [*task.attempts, reason]
    times = f" ({len(attempts)} times)" if len(attempts) > 1 and len(set(attempts)) == 1 else ""
    more = f"; before: {'; '.join(task.attempts)}" if task.attempts and not times else ""
    about = {"key": dict(task.key), "version": __version__, "host": platform.node()}
    result = {"status": "failed", "error": f"{reason}{times}{more}", "people": [], "attempts": attempts}
    return {"trial": task.name, **about, **result, "seconds": round(seconds, 3), "timings_s": {}, "notes": []}


def store_failure(task: Task, reason: str) -> None:
    """Put the folder of a trial that no worker could finish into place.

    Args:
        task: the trial.
        reason: why.
    """
    place = Path(tempfile.mkdtemp(prefix=f".{task.name}.", suffix=_PART, dir=task.study / TRIALS))
    place.chmod(0o777 & ~_umask())
    write_record(place, failed_record(task, reason))
    put(place, task.folder)


def put(place: Path, target: Path) -> None:
    """Give a complete folder its name.

    Args:
        place: the folder, in that of ``target``.
        target: its name; a folder that has it is removed.
    """
    old = place.with_suffix(_OLD)
    with contextlib.suppress(FileNotFoundError):
        target.rename(old)
    place.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def remove_litter(trials: Path, names: set[str] | None = None) -> None:
    """Remove what ended runs left; nothing may run in the folder.

    Args:
        trials: folder of the trials.
        names: of the trials whose litter it may be; None: all.
    """
    for path in trials.glob(".*"):
        name = path.name[1:].rpartition(".")[0].rpartition(".")[0]
        if path.suffix in (_PART, _OLD) and (names is None or name in names):
            if path.suffix == _OLD and (path / RECORD).is_file() and not (trials / name).exists():
                path.rename(trials / name)  # ended between the two steps of put
            else:
                shutil.rmtree(path, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

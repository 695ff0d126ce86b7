"""The process beside a worker that runs trials, each in a child of its own; a program: ``python -m hsmr_bio.study.server``.

It loads the heavy packages once and forks for each trial: a child is there in some hundredths of a second, and what it does to
itself (a crash in a library, a hang, all the memory) ends with it. Jobs come as lines on stdin, replies go as lines to stdout.
At the end of stdin, which is the end of the worker however it ends, the running child is killed. Where forking after such
imports is not safe (anything but Linux) a child is a fresh process.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from .record import LOG
from .task import task_from_json

READY = "ready"
_LOOK_S = 0.2
"""Between two looks at the memory and the time of a child."""
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_ONCE = "--once"
_PR_SET_PDEATHSIG = 1
"""``prctl(2)``."""


class Jobs:
    """Lines of stdin, without blocking the look at a child.

    Args:
        handle: file descriptor to read.
    """

    def __init__(self, handle: int) -> None:
        self.handle = handle
        self.ended = False
        self._rest = b""

    def read(self) -> None:
        """Take what is there; the descriptor must be ready."""
        block = os.read(self.handle, 1 << 16)
        self.ended = not block
        self._rest += block

    def next(self) -> dict[str, Any] | None:
        """Wait for the next line; None at the end."""
        while b"\n" not in self._rest:
            if self.ended:
                return None
            self.read()
        line, _, self._rest = self._rest.partition(b"\n")
        job: dict[str, Any] = json.loads(line)
        return job


def serve() -> None:
    """Run the jobs of stdin until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    out = os.fdopen(os.dup(1), "w", buffering=1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    forking = sys.platform == "linux"
    if forking:
        preload()
    out.write(f"{READY}\n")
    jobs = Jobs(0)
    while (job := jobs.next()) is not None:
        reply = _watch(_forked(job, out, wake, woken) if forking else _started(job), job, jobs, wake)
        if jobs.ended:
            return
        out.write(f"{json.dumps(reply)}\n")


def preload() -> None:
    """Import what trials use; nothing is computed, so that there is one thread to fork."""
    from importlib import import_module

    with tempfile.TemporaryDirectory() as folder:  # OpenSim writes a log where it is imported
        os.chdir(folder)
        _import_all(import_module)
        if (opensim := sys.modules.get("opensim")) is not None:
            opensim.Logger.removeFileSink()
        os.chdir("/")


def _import_all(import_module: Callable[[str], object]) -> None:
    for name in ("onnxruntime", "cv2", "av", "opensim", "nimblephysics", "pandas", "pyarrow.parquet", "scipy.optimize"):
        with contextlib.suppress(ImportError):
            import_module(name)
    import_module("hsmr_bio.study.compute")


def _forked(job: dict[str, Any], out: Any, wake: int, woken: int) -> tuple[int, int]:  # noqa: ANN401, a stream
    """Fork a child; its process id, and the end of a pipe that ends it when it is closed."""
    ours, theirs = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if not pid:
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        for handle in (theirs, wake, woken, out.fileno(), 0):
            os.close(handle)
        os.open(os.devnull, os.O_RDONLY)
        _run(job, ours, parent)
    os.close(ours)
    with contextlib.suppress(OSError):  # it did so itself
        os.setpgid(pid, pid)
    return pid, theirs


def _started(job: dict[str, Any]) -> tuple[int, int]:
    """Start a fresh process for a job; as :func:`_forked`."""
    ours, theirs = os.pipe()
    command = [sys.executable, "-P", "-m", "hsmr_bio.study.server", _ONCE, str(ours), json.dumps(job)]
    child = subprocess.Popen(command, pass_fds=(ours,), process_group=0, stdin=subprocess.DEVNULL)  # noqa: S603, our own
    child.returncode = 0  # it is waited for by its number
    os.close(ours)
    return child.pid, theirs


def _run(job: dict[str, Any], life: int, parent: int) -> NoReturn:
    """Be the child: compute the trial and end."""
    code = 1
    try:
        _end_with(parent, life)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        log = os.open(Path(job["place"]) / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.chdir(job["place"])
        code = _computed(job)
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _computed(job: dict[str, Any]) -> int:
    import logging
    import warnings

    from .compute import compute_trial

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
    warnings.simplefilter("default")
    code = compute_trial(task_from_json(job["task"]), Path(job["place"]))
    Path("opensim.log").unlink(missing_ok=True)
    return code


def _end_with(parent: int, life: int) -> None:
    """End this process when its parent ends, however that happens and whatever a library is doing."""

    def watch() -> None:
        with contextlib.suppress(OSError):
            os.read(life, 1)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


def _watch(child: tuple[int, int], job: dict[str, Any], jobs: Jobs, wake: int) -> dict[str, Any]:
    """Wait for a child; kill it at the end of its time or memory, and when nobody waits for it."""
    pid, life = child
    began, reason = time.monotonic(), ""
    while True:
        found, status, usage = os.wait4(pid, os.WNOHANG)
        if found:
            break
        ready, _, _ = select.select([wake, *([] if jobs.ended else [jobs.handle])], [], [], _LOOK_S)
        if wake in ready:
            os.read(wake, 1 << 10)
        if jobs.handle in ready:
            jobs.read()
        reason = reason or _reason(pid, job, time.monotonic() - began, ended=jobs.ended)
        if reason:
            _kill(pid)
    _kill(pid)
    os.close(life)
    code = os.waitstatus_to_exitcode(status)
    scale = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return {"code": code, "reason": reason, "peak_mb": round(usage.ru_maxrss / scale), "seconds": time.monotonic() - began}


def _reason(pid: int, job: dict[str, Any], passed_s: float, *, ended: bool) -> str:
    """Why a running child must be killed; empty: it need not."""
    if ended:
        return "the worker ended"
    if job["timeout_s"] is not None and passed_s > job["timeout_s"]:
        return f"took more than {job['timeout_s']:g} s (--timeout)"
    most = job["memory_gb"]
    if most is not None and _memory_bytes(pid) > most * 1e9:
        return f"took more than {most:.2g} GB of memory (--memory-gb)"
    return ""


def _memory_bytes(pid: int) -> int:
    """Memory that a process holds; 0 where the system does not tell."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError, ValueError):
        return 0


def _kill(pid: int) -> None:
    """Kill a child with what it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


if __name__ == "__main__":
    if sys.argv[1:2] == [_ONCE]:
        _run(json.loads(sys.argv[3]), int(sys.argv[2]), os.getppid())
    serve()
    os._exit(0)  # at once: nobody waits for libraries to tidy up

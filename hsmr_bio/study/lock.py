"""The lock of a study: one run at a time, or several shards of one division; with owner, age and a sign of life.

A file that only one process can make, which also holds on network folders. Its time of change is the sign of life.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import InputError

_BEAT_S = 20.0
"""Between two signs of life."""
_DEAD_AFTER_S = 600.0
"""Without a sign of life for so long, the owner on another machine is taken for dead."""


@contextmanager
def study_lock(study: Path, shard: tuple[int, int] | None) -> Iterator[tuple[Path, str]]:
    """Hold the lock of a study.

    Args:
        study: its folder.
        shard: (I, N) of an element of an array job: the others of the same N may run too.

    Yields:
        The file of the lock and the name of the run in it, for :func:`is_held`.

    Raises:
        InputError: another run holds it; the message says which, and since when.
    """
    name = ".lock" if shard is None else f".lock.{shard[0]}-of-{shard[1]}"
    path, run = study / name, uuid.uuid4().hex
    _refuse_others(study, shard)
    _take(path, run)
    try:
        _refuse_others(study, shard, own=path)
    except InputError:
        path.unlink(missing_ok=True)
        raise
    ended = threading.Event()
    beat = threading.Thread(target=_beat, args=(path, ended), daemon=True)
    beat.start()
    try:
        yield path, run
    finally:
        ended.set()
        if is_held(path, run):
            path.unlink(missing_ok=True)


def is_held(path: Path, run: str) -> bool:
    """Tell whether a run still holds the lock.

    Args:
        path: file of the lock.
        run: name of the run.

    Returns:
        Whether the file is there and is of this run.
    """
    owner = _owner(path)
    return owner is not None and owner.get("run") == run


def holders(study: Path) -> list[str]:
    """Describe the living runs of a study: process, machine, age."""
    return [_description(path) for path in sorted(study.glob(".lock*")) if path.suffix != ".stale" and not _dead(path)]


def _refuse_others(study: Path, shard: tuple[int, int] | None, own: Path | None = None) -> None:
    """Refuse while another run works on the trials of this one.

    Raises:
        InputError: it does.
    """
    for path in sorted(study.glob(".lock*")):
        parts = path.name.removeprefix(".lock.").split("-of-")
        beside = shard is not None and len(parts) == 2 and parts[1] == str(shard[1]) and parts[0] != str(shard[0])
        if path.suffix == ".stale" or beside or path == own:
            continue
        if not _dead(path):
            advice = "Wait for it, or end it; a run without a sign of life for 10 minutes is no hindrance"
            raise InputError(f"{study}: another run works on it: {_description(path)}. {advice}")
        _remove_dead(path)


def _take(path: Path, run: str) -> None:
    """Make the file of the lock.

    Raises:
        InputError: another run was faster.
    """
    about = {"run": run, "host": platform.node(), "pid": os.getpid(), "started": time.time(), "born": _born(os.getpid())}
    part = path.with_name(f"{path.name}.{run}.stale")
    part.write_text(json.dumps(about), encoding="utf-8")
    try:
        os.link(part, path)  # like O_EXCL, but the file is never seen empty
    except FileExistsError:
        raise InputError(f"{path.parent}: another run has just begun: {_description(path)}") from None
    except OSError:  # a disk without links
        with path.open("x", encoding="utf-8") as out:
            out.write(json.dumps(about))
    finally:
        part.unlink(missing_ok=True)


def _remove_dead(path: Path) -> None:
    """Remove the lock of a dead run; of two that try, one does it."""
    aside = path.with_name(f"{path.name}.{uuid.uuid4().hex}.stale")
    with contextlib.suppress(FileNotFoundError):
        path.rename(aside)
        aside.unlink()


def _beat(path: Path, ended: threading.Event) -> None:
    while not ended.wait(_BEAT_S):
        with contextlib.suppress(OSError):
            os.utime(path)


def _owner(path: Path) -> dict[str, object] | None:
    try:
        owner = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return owner if isinstance(owner, dict) else None


def _dead(path: Path) -> bool:
    """Tell whether the owner of a lock is gone: its process, if that is of this machine; else by its sign of life."""
    owner = _owner(path)
    if owner is not None and owner.get("host") == platform.node():
        return owner.get("born") != _born(int(str(owner["pid"])))
    age_s = _age_s(path)
    return age_s is None or age_s > _DEAD_AFTER_S


def _age_s(path: Path) -> float | None:
    """Time since the last sign of life, by the clock of the disk; None: there is no such file."""
    probe = path.with_name(f"{path.name}.{uuid.uuid4().hex}.stale")
    try:
        probe.touch()
        return probe.stat().st_mtime - path.stat().st_mtime
    except OSError:
        return None
    finally:
        probe.unlink(missing_ok=True)


def _born(pid: int) -> str | None:
    """When a process of this machine began, as its system counts; None: there is none."""
    try:
        facts = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except PermissionError:
            return "running"
        return "running"
    return None if facts[0] in ("Z", "X") else facts[19]


def _description(path: Path) -> str:
    owner = _owner(path) or {}
    age_s = _age_s(path)
    started = time.strftime("%Y-%m-%d %H:%M", time.localtime(float(str(owner.get("started", 0)))))
    sign = "" if age_s is None else f", last sign of life {max(age_s, 0):.0f} s ago"
    shard = path.name.removeprefix(".lock").removeprefix(".")
    part = f"shard {shard.replace('-of-', '/')}, " if shard else ""
    return f"{part}process {owner.get('pid', '?')} on {owner.get('host', '?')}, since {started}{sign}"

"""Staging folders: a set of results appears in its folder as a whole, whenever the run that writes it is ended.

A run writes into a hidden folder ``.hsmr-bio.*.part`` inside the folder of the results. When all files are complete, it is
renamed to ``.hsmr-bio.*.done``: from then on the set is to be moved into place, by a process that outlives the run
(``mover.py``), or by the next command that writes to or reads from the folder. A ``.part`` that no running process holds is the
litter of one that was ended; the next run removes it. Held means: locked, which ends with the process whatever ends it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import InputError
from . import mover

if sys.platform != "win32":
    import fcntl

_PREFIX = ".hsmr-bio."
_PART, _DONE, _NEW = ".part", ".done", ".new"
_NEW_AGE_S = 60.0
"""A folder or file is ``.new`` until it is locked, some microseconds; older ones are litter."""


class Held:
    """A temporary file or folder that this process holds."""

    def __init__(self, path: Path) -> None:
        """Lock ``path``, which ends in ``.new``, and rename it to ``.part``."""
        self._handle = None if sys.platform == "win32" else os.open(path, os.O_RDONLY)
        if self._handle is not None:
            _lock(self._handle)
        self.path = path.rename(path.with_suffix(_PART))

    @property
    def handles(self) -> tuple[int, ...]:
        """File descriptor that carries the lock."""
        return () if self._handle is None else (self._handle,)

    def release(self) -> None:
        """End the hold."""
        for handle in self.handles:
            os.close(handle)
        self._handle = None


def new_stage(target: Path) -> Held:
    """Make a staging folder.

    Args:
        target: existing folder of the results.

    Returns:
        The staging folder inside it, held.
    """
    return Held(Path(tempfile.mkdtemp(prefix=_PREFIX, suffix=_NEW, dir=target)))


def new_part(target: Path) -> Held:
    """Make a temporary file beside a file.

    Args:
        target: the file; its folder exists. Temporary files that an ended run left beside it are removed.

    Returns:
        The temporary file, held.
    """
    prefix = f".{target.name}."
    for path in _hidden(target.parent, prefix, (_PART, _NEW)):
        if not path.is_dir() and _abandoned(path):
            path.unlink(missing_ok=True)
    handle, name = tempfile.mkstemp(prefix=prefix, suffix=_NEW, dir=target.parent)
    os.close(handle)
    return Held(Path(name))


def commit(stage: Held, target: Path) -> None:
    """Move a complete set of results into place; from the first step on, it is moved whatever ends this process.

    Args:
        stage: from :func:`new_stage`.
        target: folder of the results.
    """
    with _signals_wait():
        done = stage.path.rename(stage.path.with_suffix(_DONE))
        stage.path = done
        _move_in_another_process(stage, target)
        if done.exists():
            mover.move_all(done, target)


def finish(folder: Path, *, clean: bool = False) -> None:
    """Move the complete results of an ended run into place.

    Args:
        folder: of the results; it may be missing.
        clean: whether to remove the incomplete results of ended runs too.

    Raises:
        InputError: there are such results and they cannot be moved.
    """
    for path in _hidden(folder, _PREFIX, (_DONE, *((_PART, _NEW) if clean else ()))):
        try:
            if not _abandoned(path):
                continue
            if path.suffix == _DONE:
                mover.move_all(path, folder)
            else:
                shutil.rmtree(path, ignore_errors=True)
        except FileNotFoundError:  # another process was faster
            continue
        except OSError as error:
            problem = f"the results of an ended run wait in {path.name} and cannot be moved into place ({error.strerror})"
            raise InputError(f"{folder}: {problem}; make the folder writable and run the command again") from None


def _hidden(folder: Path, prefix: str, endings: tuple[str, ...]) -> list[Path]:
    try:
        with os.scandir(folder or ".") as entries:
            names = [entry.name for entry in entries if entry.name.startswith(prefix) and entry.name.endswith(endings)]
    except OSError:
        return []
    return [folder / name for name in sorted(names)]


def _abandoned(path: Path) -> bool:
    """Tell whether no running process holds a temporary file or folder."""
    if path.suffix == _NEW or sys.platform == "win32":
        return time.time() - path.stat().st_mtime > _NEW_AGE_S
    handle = os.open(path, os.O_RDONLY)
    try:
        return _lock(handle)
    finally:
        os.close(handle)


def _lock(handle: int) -> bool:
    """Lock an open file or folder for this process and those that inherit the handle; whether that was possible."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return not isinstance(error, BlockingIOError)  # a network folder without locks
    return True


def _move_in_another_process(stage: Held, target: Path) -> None:
    """Run the mover in a session of its own; where that is impossible, nothing is moved."""
    command = [sys.executable, "-I", "-S", mover.__file__, str(stage.path.absolute()), str(target.absolute())]
    if sys.platform == "win32" or not sys.executable:
        return
    try:
        subprocess.run(  # noqa: S603, our own program
            command,
            check=False,
            start_new_session=True,
            pass_fds=stage.handles,
            capture_output=True,
            stdin=subprocess.DEVNULL,
        )
    except OSError:
        return


@contextmanager
def _signals_wait() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait until the block is done."""
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

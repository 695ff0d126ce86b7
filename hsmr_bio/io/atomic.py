"""Write beside the target and move the finished result into place: a partial file never has the target's name."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import InputError
from .staging import commit, finish, new_part, new_stage


@contextmanager
def new_file(path: str | os.PathLike[str], *, overwrite: bool = True) -> Iterator[Path]:
    """Give a temporary path beside ``path`` and move the finished file into place.

    Args:
        path: the file to make; missing parent folders are created.
        overwrite: whether an existing file may be replaced.

    Yields:
        The path to write to. If the block raises, it is removed and ``path`` stays as it was.

    Raises:
        InputError: ``path`` exists and may not be replaced, or is a folder.
    """
    target = Path(path)
    if target.is_dir():
        raise InputError(f"{target} is a folder; give the name of a file")
    if target.exists() and not overwrite:
        raise InputError(f"{target} exists already; allow overwriting (--overwrite) or choose another name")
    target.parent.mkdir(parents=True, exist_ok=True)
    with _naming(target):
        held = new_part(target)
    try:
        held.path.chmod(0o666 & ~_umask())
        with _naming(target, held.path):
            yield held.path
            held.path.replace(target)
    finally:
        held.path.unlink(missing_ok=True)
        held.release()


@contextmanager
def new_folder(folder: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary folder inside ``folder`` and move everything in it into ``folder`` at the end, all or nothing.

    Other files in ``folder`` stay. A sub-folder (``Geometry``) is merged file by file. A process that is ended at any moment
    leaves the old files or the new ones, never some of each: see ``staging.py``.

    Args:
        folder: where the results belong; made if it is missing.
        overwrite: whether files in ``folder`` may be replaced.

    Yields:
        The temporary folder. If the block raises, it is removed and ``folder`` stays as it was.

    Raises:
        InputError: a result exists already and may not be replaced (then nothing is moved), or ``folder`` is a file.
    """
    target = Path(folder)
    if target.exists() and not target.is_dir():
        raise InputError(f"{target} is a file; give the name of a folder for the results")
    made = [path for path in (target, *target.parents) if not path.exists()]
    target.mkdir(parents=True, exist_ok=True)
    finish(target, clean=True)
    with _naming(target):
        stage = new_stage(target)
    try:
        stage.path.chmod(0o777 & ~_umask())
        with _naming(target, stage.path):
            yield stage.path
            results = [target / path.relative_to(stage.path) for path in sorted(stage.path.rglob("*")) if path.is_file()]
            refuse_existing(results, overwrite=overwrite)
            _refuse_folders(results)
            commit(stage, target)
    finally:
        if stage.path.suffix != ".done":
            shutil.rmtree(stage.path, ignore_errors=True)
            for path in made:
                _remove_if_empty(path)
        stage.release()


def _refuse_folders(paths: list[Path]) -> None:
    """Refuse files whose place a folder has: a set of results must not stop half way."""
    taken = next((path for path in paths if path.is_dir() or (path.parent.exists() and not path.parent.is_dir())), None)
    if taken is not None:
        raise InputError(f"{taken} is in the way: a file of the results belongs there; move it or choose another output folder")


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return


@contextmanager
def _naming(target: Path, temporary: Path | None = None) -> Iterator[None]:
    """Let system errors name the target: those without a name, such as a full disk, and those that name a temporary file.

    Libraries that report a full disk in words of their own are understood too.
    """
    try:
        yield
    except OSError as error:
        named = [name for name in (error.filename2, error.filename) if isinstance(name, str)]
        inside = next((name for name in named if temporary is not None and name.startswith(str(temporary))), None)
        if inside is not None:
            error.filename = f"{target}{inside.removeprefix(str(temporary))}"
        elif error.errno is not None and not named:
            error.filename = str(target)
        raise
    except Exception as error:
        if os.strerror(errno.ENOSPC) in str(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target)) from error
        raise


def refuse_existing(paths: list[Path], *, overwrite: bool) -> None:
    """Refuse result files that exist already, before a long computation starts.

    Args:
        paths: files that will be written.
        overwrite: whether existing files may be replaced.

    Raises:
        InputError: one of ``paths`` exists and ``overwrite`` is False.
    """
    present = [path for path in paths if path.exists()]
    if present and not overwrite:
        more = f" and {len(present) - 1} more" if len(present) > 1 else ""
        raise InputError(f"{present[0]}{more} exists already; use --overwrite or another output folder")


def refuse_unwritable(folder: str | os.PathLike[str], *, need_bytes: int = 0) -> None:
    """Refuse an output folder that cannot be written to, before a long computation starts.

    Args:
        folder: need not exist yet.
        need_bytes: smallest free space of its disk.

    Raises:
        InputError: no permission, a read-only or full disk, or a file in the path.
    """
    target = Path(folder).absolute()
    existing = next(path for path in (target, *target.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            free = shutil.disk_usage(existing).free
    except OSError as error:
        raise InputError(f"{folder}: nothing can be written there ({error.strerror}); choose another output folder") from None
    if free < need_bytes:
        raise InputError(
            f"{folder}: only {free / 1e6:.1f} MB are free there, at least {need_bytes / 1e6:.0f} MB are needed; "
            "make room or choose another output folder"
        )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

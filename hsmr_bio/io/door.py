"""The one door of all readers: what a reader cannot digest leaves it as one FormatError that names the file."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from os import PathLike
from pathlib import Path
from typing import ParamSpec, TypeVar

from ..errors import FormatError, HsmrBioError, InputError, ModelError, ShapeError, one_line
from .staging import finish

_Given = ParamSpec("_Given")
_Read = TypeVar("_Read")
_OF_THE_SYSTEM = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Errors that say something of the machine and nothing of the file."""
_LONGEST_REASON = 160
"""Characters of another library's message in ours."""


@contextmanager
def reading(path: str | PathLike[str], what: str = "") -> Iterator[None]:
    """Turn every error that is not ours into a FormatError of the file.

    Results that an ended run left to be moved into the file's folder are moved there first. Errors of this package pass,
    with the file's name if they lack it, and so do those of the system that are not about the file's content (a full disk).

    Args:
        path: of the file that the block reads.
        what: the format, for the message.

    Yields:
        Nothing.

    Raises:
        FormatError: the block raised another error.
    """
    finish(Path(path).parent)
    try:
        yield
    except ShapeError as error:
        raise FormatError(path, None, str(error)) from error
    except HsmrBioError as error:
        unnamed = Path(path).name not in str(error)
        if unnamed and (type(error) is InputError or (type(error) is ModelError and str(path).endswith(".osim"))):
            raise type(error)(f"{path}: {error}") from error
        raise
    except OSError as error:
        if error.filename is not None or error.errno in _OF_THE_SYSTEM:
            raise
        raise FormatError(path, None, _problem(error, what)) from error
    except MemoryError as error:
        raise FormatError(
            path, None, "it asks for more memory than there is: damaged, or too large for this machine"
        ) from error
    except RecursionError as error:
        raise FormatError(path, None, "it is nested too deeply: damaged, or made to do harm") from error
    except Exception as error:
        raise FormatError(path, None, _problem(error, what)) from error


def reader(read: Callable[_Given, _Read]) -> Callable[_Given, _Read]:
    """Let a function that reads the file of its first argument raise errors of this package only.

    Args:
        read: the function; its first argument is the path.

    Returns:
        The function behind :func:`reading`.
    """

    @wraps(read)
    def guarded(*args: _Given.args, **options: _Given.kwargs) -> _Read:
        path = args[0] if args else next(iter(options.values()))
        with reading(path if isinstance(path, str | PathLike) else str(path)):
            return read(*args, **options)

    return guarded


def _problem(error: Exception, what: str) -> str:
    reason = one_line(str(error), longest=_LONGEST_REASON)
    cause = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
    return f"cannot be read{f' as {what}' if what else ''}: damaged, or another kind of file ({cause})"

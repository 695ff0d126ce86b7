"""Tries a library in a process of its own on a file whose damage could end this one."""

from __future__ import annotations

import subprocess
import sys
from functools import lru_cache
from pathlib import Path

from ..errors import FormatError

_MOST_S = 60.0
"""Longest time for a trial."""
_MEMORY_BYTES = 4 << 30
"""Address space of a trial, beside 16 times the file; libraries alone take below 1 GB of it."""
_LIMIT = """
import sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]), int(sys.argv[2])))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
except (ImportError, ValueError, OSError):
    pass
"""


def try_first(path: Path, program: str, library: str) -> None:
    """Run a short program on a file in a process of its own.

    An exception in it is no failure: the library raises it here too, and is understood here. A file that did not change is
    tried once.

    Args:
        path: the file; the program finds it in ``sys.argv[1]``.
        program: Python statements.
        library: that the program tries, for the message.

    Raises:
        FormatError: the process crashed, or took too much time.
    """
    about = path.stat()
    problem = _problem(str(path.absolute()), about.st_size, about.st_mtime_ns, program)
    if problem:
        raise FormatError(path, None, f"{library} {problem} on this file: damaged, or made to do harm")


@lru_cache(maxsize=256)
def _problem(path: str, size: int, _changed_ns: int, program: str) -> str:
    command = [sys.executable, "-c", _LIMIT + program, path, str(_MEMORY_BYTES + 16 * size)]
    try:
        done = subprocess.run(command, check=False, capture_output=True, stdin=subprocess.DEVNULL, timeout=_MOST_S)  # noqa: S603
    except subprocess.TimeoutExpired:
        return f"does not end within {_MOST_S:.0f} s"
    except (OSError, ValueError):  # no program can be started here
        return ""
    return "crashes" if done.returncode < 0 or done.returncode > 128 else ""

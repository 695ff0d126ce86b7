"""Tries a library in a process of its own on a file whose damage could end this one.

The process is started for the first file, and serves the following ones until it dies or this process ends.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

from ..errors import FormatError

_MOST_S = 60.0
"""Longest time for a trial."""
_PROCESSOR_S = 4
"""Processor time of a trial, beside a second for each megabyte of the file; it ends the process."""
_MEMORY_BYTES = 4 << 30
"""Address space of a trial, beside 16 times the file; libraries alone take below 1 GB of it."""
_SERVER = f"""
import os, sys
out = os.fdopen(os.dup(1), "wb", buffering=0)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
program = compile(sys.argv[1], "trial", "exec")
for line in sys.stdin.buffer:
    path = os.fsdecode(bytes.fromhex(line.decode()))
    try:
        import resource
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        limit = {_MEMORY_BYTES} + 16 * os.path.getsize(path)
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
        limit = int(sum(os.times()[:2])) + {_PROCESSOR_S} + os.path.getsize(path) // 10**6
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))
    except (ImportError, ValueError, OSError):
        pass
    try:
        exec(program, {{"path": path}})
    except BaseException as error:
        if isinstance(error, MemoryError) or "bad_alloc" in str(error):
            os._exit(1)
    out.write(b"survived\\n")
"""
_Server = subprocess.Popen[bytes]
_SERVERS: dict[tuple[int, str], _Server] = {}
"""By process and program: a fork of this process starts its own."""


def try_first(path: Path, program: str, library: str) -> None:
    """Run a short program on a file in a process of its own.

    An exception in it is no failure: the library raises it here too, and is understood here. A file that did not change is
    tried once.

    Args:
        path: the file; the program finds its name as ``path``.
        program: Python statements.
        library: that the program tries, for the message.

    Raises:
        FormatError: the process crashed, or took too much time.
    """
    if sys.platform == "win32":  # pipes cannot be waited for there
        return
    about = path.stat()
    problem = _problem(os.fsencode(path.absolute()), about.st_size, about.st_mtime_ns, program)
    if problem:
        raise FormatError(path, None, f"{library} {problem} on this file: damaged, or made to do harm")


@lru_cache(maxsize=256)
def _problem(path: bytes, _size: int, _changed_ns: int, program: str) -> str:
    try:
        server = _server(program)
    except OSError:  # no program can be started here
        return ""
    if server.stdin is None or server.stdout is None:
        return ""
    try:
        server.stdin.write(path.hex().encode() + b"\n")
        server.stdin.flush()
        answered = bool(select.select([server.stdout], [], [], _MOST_S)[0])
        if answered and server.stdout.readline():
            return ""
    except OSError:
        answered = True
    del _SERVERS[os.getpid(), program]
    server.kill()
    server.communicate()
    return "crashes or takes too long" if answered else f"does not end within {_MOST_S:.0f} s"


def _server(program: str) -> _Server:
    key = os.getpid(), program
    if key not in _SERVERS:
        command = [sys.executable, "-c", _SERVER, program]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        _SERVERS[key] = subprocess.Popen(command, **pipes)  # type: ignore[call-overload]  # noqa: S603, our own program
    return _SERVERS[key]

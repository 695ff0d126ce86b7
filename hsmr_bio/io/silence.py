"""Keeping compiled libraries off standard output, which scripts read, and off the error stream, which people read."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


@contextmanager
def no_stdout() -> Iterator[None]:
    """Send what C++ code writes to standard output to nowhere; Python's own output waits until then."""
    with _nowhere(sys.stdout, 1):
        yield


@contextmanager
def no_stderr() -> Iterator[None]:
    """The same for the error stream: for a library's greetings only, never around work that can go wrong for long."""
    with _nowhere(sys.stderr, 2):
        yield


@contextmanager
def _nowhere(stream: TextIO, number: int) -> Iterator[None]:
    stream.flush()
    kept, nowhere = os.dup(number), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, number)
        yield
    finally:
        stream.flush()
        os.dup2(kept, number)
        os.close(kept)
        os.close(nowhere)

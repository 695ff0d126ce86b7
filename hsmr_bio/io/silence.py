"""Suppress what compiled libraries write to standard output (read by scripts) and to the error stream (read by people)."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


@contextmanager
def no_stdout() -> Iterator[None]:
    """Discard what is written to standard output; earlier output of Python is flushed first."""
    with _discarded(sys.stdout, 1):
        yield


@contextmanager
def no_stderr() -> Iterator[None]:
    """Discard what is written to the error stream: only for a library's start-up messages, as real errors are lost too."""
    with _discarded(sys.stderr, 2):
        yield


@contextmanager
def _discarded(stream: TextIO, descriptor: int) -> Iterator[None]:
    stream.flush()
    original, null = os.dup(descriptor), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, descriptor)
        yield
    finally:
        stream.flush()
        os.dup2(original, descriptor)
        os.close(original)
        os.close(null)

"""One thread for many small matrices, where several threads mostly wait for each other (arrow solver: 10 times slower)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import torch
from threadpoolctl import ThreadpoolController, threadpool_limits


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch and BLAS use one thread inside the block; the settings before it are restored."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(limits=1):
            yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let BLAS use one thread inside the block or the decorated function; torch keeps its own number."""
    with _controller(len(sys.modules)).limit(limits=1, user_api="blas"):
        yield


@lru_cache(maxsize=1)
def _controller(_modules: int) -> ThreadpoolController:
    """The libraries that are loaded now; to look for them takes 9 ms, and is done when modules were imported since."""
    return ThreadpoolController()

"""One thread for many small matrices, where several threads mostly wait for each other (arrow solver: 10 times slower)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits


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
    """Let BLAS use one thread inside the block; torch keeps its own number."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield

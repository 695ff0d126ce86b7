"""One thread for many small matrices: several only wait for each other (measured: the banded solver is 10 times slower)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch and BLAS work on one thread inside the block; the settings that were there come back afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(limits=1):
            yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let BLAS work on one thread inside the block, as for :func:`one_thread`; torch keeps its own."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield

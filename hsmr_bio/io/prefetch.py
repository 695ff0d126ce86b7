"""Run an iterator a few items ahead of its consumer, in a thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")

_ITEMS = 4
"""Items computed ahead; more would only cost memory (a 4K frame has 25 MB)."""


class _End:
    """Marks the end of an iterator."""


_END = _End()


def prefetch(make: Callable[[], Iterator[Item]]) -> Iterator[Item]:
    """Run an iterator in a thread; its exceptions are raised here, and it stops when the consumer stops."""
    iterator = make()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="decode") as pool:
        pending = deque(pool.submit(next, iterator, _END) for _ in range(_ITEMS))
        try:
            while not isinstance(item := pending.popleft().result(), _End):
                pending.append(pool.submit(next, iterator, _END))
                yield item
        finally:
            pool.shutdown(cancel_futures=True)

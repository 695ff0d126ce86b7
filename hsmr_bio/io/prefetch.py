"""Runs an iterator a few items ahead in a thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

Item = TypeVar("Item")

_ITEMS = 4


def prefetch(make: Callable[[], Iterator[Item]]) -> Iterator[Item]:
    """Run an iterator in a thread; its exceptions surface here, and it stops when nobody listens any more.

    Args:
        make: makes the iterator, in the thread.
    """
    ready: queue.Queue[tuple[str, Any]] = queue.Queue(maxsize=_ITEMS)
    stop = threading.Event()

    def put(item: tuple[str, Any]) -> bool:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            for item in make():
                if not put(("item", item)):
                    return
            put(("end", None))
        except BaseException as error:
            put(("error", error))

    thread = threading.Thread(target=work, name="decode", daemon=True)
    thread.start()
    try:
        while True:
            what, value = ready.get()
            if what == "end":
                return
            if what == "error":
                raise value
            yield value
    finally:
        stop.set()
        thread.join()

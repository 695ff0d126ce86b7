"""Where trials run: the interface of an engine, and the plain one without Dask."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Protocol

from ..errors import HsmrBioError
from .task import Outcome, Task
from .worker import end_all, run_trial

Finished = tuple[Task, Outcome]


class StoppedError(HsmrBioError):
    """A run that cannot go on: a full disk, no scheduler or workers any more."""


class Engine(Protocol):
    """Runs tasks somewhere, in any order."""

    about: str
    """Where, and where it can be watched."""

    @property
    def slots(self) -> int:
        """Trials at a time."""

    def submit(self, task: Task) -> None:
        """Begin a task, or put it into the queue."""

    def next_finished(self, timeout_s: float) -> Finished | None:
        """Wait for a task to finish; None if none did in this time."""

    def close(self) -> None:
        """End everything that still runs."""


class LocalPool:
    """Workers on this machine without Dask: a thread each, which has a process for its trials.

    Args:
        jobs: workers.
        run: what a worker does with a task.
    """

    def __init__(self, jobs: int, run: Callable[[Task], Outcome] = run_trial) -> None:
        self.slots = jobs
        self.about = f"{jobs} workers on this machine"
        self._run = run
        self._waiting: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._finished: queue.SimpleQueue[Finished] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(jobs)]
        for thread in self._threads:
            thread.start()

    def _work(self) -> None:
        while (task := self._waiting.get()) is not None:
            try:
                outcome = self._run(task)
            except Exception as error:  # noqa: BLE001, a worker must not end without a word
                outcome = Outcome(state="crashed", reason=f"{type(error).__name__}: {error}")
            self._finished.put((task, outcome))

    def submit(self, task: Task) -> None:
        """Put a task into the queue."""
        self._waiting.put(task)

    def next_finished(self, timeout_s: float) -> Finished | None:
        """Wait for a task to finish."""
        try:
            return self._finished.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def close(self) -> None:
        """Kill what runs, and end the workers."""
        while not self._waiting.empty():
            self._waiting.get()
        for _ in self._threads:
            self._waiting.put(None)
        end_all()
        for thread in self._threads:
            thread.join(timeout=10)

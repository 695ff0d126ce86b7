"""The loop over the trials of a run: hand them out, take what finishes, try again what was killed, keep the tables fresh."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from .engine import Engine, StoppedError
from .record import Record, one_line_of, read_record
from .table import StudyRow
from .tables import sync_parts, write_trials
from .task import Outcome, Task
from .worker import store_failure

ATTEMPTS = 3
"""A trial that ends its process or worker so many times is failed."""
_TABLES_EVERY_S = 15.0
_WAIT_S = 1.0
_AHEAD = 2
"""Trials that are handed out for each that runs, so that no worker waits."""


@dataclass
class Counts:
    """How far a run is."""

    total: int
    done: int = 0
    passed: int = 0
    checks_failed: int = 0
    failed: int = 0
    began_s: float = field(default_factory=time.monotonic)

    def count(self, record: Record) -> None:
        """Count a trial that is through."""
        self.done += 1
        self.passed += record["status"] == "passed"
        self.checks_failed += record["status"] == "checks failed"
        self.failed += record["status"] == "failed"

    @property
    def left_s(self) -> float | None:
        """Time that the rest will take at the mean rate; None before the first trial."""
        return None if not self.done else (time.monotonic() - self.began_s) / self.done * (self.total - self.done)

    @property
    def per_minute(self) -> float:
        """Trials a minute."""
        return 60 * self.done / max(time.monotonic() - self.began_s, 1e-3)


Tell = Callable[[str], None]
"""Called with a line for people."""
Watch = Callable[[Counts], None]
"""Called as trials finish, and every second."""


class Run:
    """A run of a study.

    Args:
        study: folder of the study.
        rows: its trials.
        records: trial -> its record; None: not done.
        tell: called with a line for each trial that did not pass.
        watch: called as trials finish.
        with_tables: whether to write the tables of the study.
    """

    def __init__(
        self,
        study: Path,
        rows: Sequence[StudyRow],
        records: Mapping[str, Record | None],
        *,
        tell: Tell,
        watch: Watch,
        with_tables: bool,
    ) -> None:
        self.records: dict[str, Record | None] = dict(records)
        self._study, self.rows, self._tell, self._watch, self._with_tables = study, rows, tell, watch, with_tables
        self._written_s = time.monotonic()

    def work(self, tasks: Sequence[Task], start: Callable[[], Engine]) -> str | None:
        """Run tasks.

        Args:
            tasks: of the trials to compute.
            start: starts the engine.

        Returns:
            What ended the run early; None: nothing.
        """
        counts = Counts(total=len(tasks))
        try:
            with closing(start()) as engine:
                self._tell(f"{len(tasks)} trials to compute: {engine.about}")
                self._loop(engine, deque(tasks), counts)
        except StoppedError as error:
            return str(error)
        return None

    def _loop(self, engine: Engine, waiting: deque[Task], counts: Counts) -> None:
        running = 0
        while waiting or running:
            while waiting and running < _AHEAD * engine.slots:
                engine.submit(waiting.popleft())
                running += 1
            finished = engine.next_finished(_WAIT_S)
            if finished is not None:
                running -= 1
                waiting.extend(self._finished(*finished, counts))
            self._watch(counts)
            if time.monotonic() - self._written_s > _TABLES_EVERY_S:
                self.write_tables()

    def _finished(self, task: Task, outcome: Outcome, counts: Counts) -> list[Task]:
        """Count a task, or give it back for another attempt.

        Raises:
            StoppedError: the run cannot go on.
        """
        if outcome.state in ("disk full", "stopped"):
            raise StoppedError(outcome.reason or f"{task.study}: another run has taken over the study")
        if outcome.state in ("crashed", "lost"):
            if not outcome.final and len(task.attempts) + 1 < ATTEMPTS:
                attempts = (*task.attempts, outcome.reason)
                return [replace(task, attempts=attempts, last=len(attempts) == ATTEMPTS - 1)]
            store_failure(task, outcome.reason)
        record = read_record(task.folder)
        if record is None:
            raise StoppedError(
                f"{task.folder}: the results of a trial are not there; do workers and command see the same disk?"
            )
        self.records[task.name] = record
        counts.count(record)
        if record["status"] != "passed":
            self._tell(f"{task.name}: {'failed: ' if record['status'] == 'failed' else ''}{one_line_of(record)}")
        return []

    def write_tables(self) -> None:
        """Write the tables as the trials are now."""
        if self._with_tables:
            write_trials(self._study, self.rows, self.records)
            sync_parts(self._study, self.rows, self.records)
        self._written_s = time.monotonic()

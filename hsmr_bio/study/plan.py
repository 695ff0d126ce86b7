"""What of a study is to be done: which trials are wanted, which are done as they are, and why the others are not."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from .identity import Digests, trial_key
from .options import BatchOptions
from .record import Record, read_record, why_again
from .table import StudyTable, Trial
from .tables import have_parquet
from .task import TRIALS, Task

_DIGESTS = ".digests.json"
_MEMORY_SHARE = 0.9
"""Of this machine's memory, for all trials together."""


@dataclass(frozen=True, eq=False)
class Planned:
    """A trial that is wanted."""

    trial: Trial
    key: dict[str, str]
    why: str | None
    """Why it must be computed; None: it is done."""
    record: Record | None


def make_plan(table: StudyTable, study: Path, options: BatchOptions) -> list[Planned]:
    """Compare the trials of a table with what is there.

    Args:
        table: of the study.
        study: its folder.
        options: of the run: pattern, shard, further files.

    Returns:
        The wanted trials, in the order of the table.
    """
    trials = table.trials if options.shard is None else table.trials[options.shard[0] - 1 :: options.shard[1]]
    digests = Digests(study / _DIGESTS)
    plan = []
    for trial in trials:
        if options.only is not None and not fnmatch(trial.name, options.only):
            continue
        key = trial_key(trial, digests, extras=extras_of(options))
        folder = study / TRIALS / trial.name
        record = read_record(folder)
        why = why_again(folder, record, key, retry_failed=options.retry_failed)
        plan.append(Planned(trial, key, why, record))
    if options.shard is None and study.is_dir():  # shards would write over each other
        digests.save()
    return plan


def extras_of(options: BatchOptions) -> tuple[str, ...]:
    """Return the further files of each trial: those of an analysis, parts of the tables of the study."""
    return (*(("analyse",) if options.analyse else ()), *(("tables",) if have_parquet() else ()))


def reasons_again(plan: Sequence[Planned]) -> list[str]:
    """Say in lines why trials that were done are computed again."""
    reasons = [one.why for one in plan if one.why not in (None, "not done yet")]
    return [f"{reasons.count(reason)} trials are computed again: {reason}" for reason in dict.fromkeys(reasons)]


def tasks_of(plan: Sequence[Planned], study: Path, options: BatchOptions, *, lock: Path, run: str) -> list[Task]:
    """Make the tasks of the trials that are not done.

    Args:
        plan: from :func:`make_plan`.
        study: folder of the study, absolute.
        options: of the run.
        lock: file of the lock.
        run: name of the run in it.

    Returns:
        At most ``options.limit`` tasks.
    """
    todo = [one for one in plan if one.why is not None]
    return [
        Task(
            name=one.trial.name,
            source=one.trial.source,
            command=one.trial.command,
            options=one.trial.options,
            key=one.key,
            study=study,
            lock=lock,
            run=run,
            timeout_s=options.timeout_s,
            memory_gb=options.memory_gb or _memory_gb(options),
            extras=extras_of(options),
        )
        for one in todo[: options.limit]
    ]


def jobs_of(options: BatchOptions) -> int:
    """Return how many trials run at a time on this machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return options.jobs or cores


def _memory_gb(options: BatchOptions) -> float | None:
    """Most memory of a trial on this machine; None: unknown, or the trials run elsewhere."""
    if options.scheduler not in ("local", "processes") or not hasattr(os, "sysconf"):
        return None
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    return _MEMORY_SHARE * whole / jobs_of(options)

"""A study from its table to its results. Read this first."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from ..io.atomic import new_file, refuse_unwritable
from ..option_checks import options_or_default
from ..version import __version__
from .engine import Engine, LocalPool
from .lock import study_lock
from .loop import Counts, Run, Tell, Watch
from .options import BATCH_SYSTEMS, BatchOptions
from .page import write_study_report
from .plan import Planned, jobs_of, make_plan, reasons_again, tasks_of
from .record import read_record
from .study import REPORT, Study, save_rows
from .table import StudyTable, read_study
from .tables import TRIALS_CSV, TRIALS_PARQUET, have_parquet
from .task import TRIALS, Task
from .worker import remove_litter

if TYPE_CHECKING:
    import pandas as pd

JOBS_OF_BATCH_SYSTEM = 2
_LEAST_FREE_BYTES = 64_000_000
_STATE = ".tables"
"""File with a hash of what the tables and the report were made from."""


def _say_nothing(_: str) -> None: ...


def _show_nothing(_: Counts) -> None: ...


def batch(
    table: str | PathLike[str] | pd.DataFrame,
    out_dir: str | PathLike[str],
    options: BatchOptions | None = None,
    *,
    client: object = None,
    tell: Tell = _say_nothing,
    watch: Watch = _show_nothing,
) -> Study:
    """Compute all trials of a study that are not done yet, several at a time, and write its tables and its report.

    Args:
        table: a ``.csv`` file with a column ``video`` and a row a trial, a table of pandas, a folder of videos or a pattern.
        out_dir: folder of the study. A trial whose results are there, whole and of the same input, options, body and version,
            is not computed again; so a run that was ended goes on when it is started again.
        options: see :class:`BatchOptions`.
        client: a ``dask.distributed.Client`` whose workers do the work, instead of ``options.scheduler``.
        tell: called with a line for each thing to say, such as a trial that failed.
        watch: called as trials finish.

    Returns:
        The study; ``stopped`` says what ended the run early.

    Raises:
        TableError: rows of the table cannot be used; nothing was started.
        InputError: an option or the folder cannot be used, or another run works on the study.
        MissingDependencyError: the scheduler needs a package that is not installed.
    """
    options = options_or_default(BatchOptions, options)
    study = Path(out_dir).absolute()
    found = read_study(table, options.image2mot)
    for line in (*found.notes, *_lacking()):
        tell(line)
    refuse_unwritable(study, need_bytes=_LEAST_FREE_BYTES)
    (study / TRIALS).mkdir(parents=True, exist_ok=True)
    with study_lock(study, options.shard) as (lock, run):
        plan = make_plan(found, study, options)
        remove_litter(study / TRIALS, None if options.shard is None else {one.trial.name for one in plan})
        for line in reasons_again(plan):
            tell(line)
        tasks = tasks_of(plan, study, options, lock=lock, run=run)
        return _run(found, study, options, plan, tasks, client, tell, watch)


def dry_run(
    table: str | PathLike[str] | pd.DataFrame, out_dir: str | PathLike[str], options: BatchOptions | None = None
) -> list[Planned]:
    """Check the table of a study and say what :func:`batch` would do.

    Args:
        table: as for :func:`batch`.
        out_dir: as for :func:`batch`; it need not exist.
        options: as for :func:`batch`.

    Returns:
        The wanted trials, each with the reason why it would be computed.

    Raises:
        TableError: rows of the table cannot be used.
    """
    options = options_or_default(BatchOptions, options)
    return make_plan(read_study(table, options.image2mot), Path(out_dir).absolute(), options)


def _run(
    found: StudyTable,
    study: Path,
    options: BatchOptions,
    plan: Sequence[Planned],
    tasks: Sequence[Task],
    client: object,
    tell: Tell,
    watch: Watch,
) -> Study:
    rows = tuple(trial.row for trial in found.trials)
    save_rows(study, rows)
    known = {one.trial.name: one.record for one in plan}
    records = {row.trial: known[row.trial] if row.trial in known else read_record(study / TRIALS / row.trial) for row in rows}
    run = Run(study, rows, records, tell=tell, watch=watch, with_tables=options.shard is None)
    stopped = None
    try:
        stopped = run.work(tasks, lambda: _engine(options, client, len(tasks))) if tasks else None
    except KeyboardInterrupt:
        run.write_tables()
        raise
    finally:
        remove_litter(study / TRIALS, {task.name for task in tasks})
    if options.shard is None:
        with suppress(*((OSError,) if stopped else ())):
            _write_results(study, run, anonymous=options.anonymous)
    return Study(study, rows, stopped)


def _write_results(study: Path, run: Run, *, anonymous: bool) -> None:
    """Write tables and report, unless they are there as the trials are."""
    about = repr((run.rows, [(one or {}).get("key", {}).get("all") for one in run.records.values()], anonymous, __version__))
    seconds = [(one or {}).get("seconds") for one in run.records.values()]  # another run of the same trial
    state, store = hashlib.blake2b(f"{about}{seconds}".encode()).hexdigest(), study / _STATE
    names = (REPORT, TRIALS_CSV, *((TRIALS_PARQUET,) if have_parquet() else ()))
    if all((study / name).is_file() for name in names) and store.is_file() and store.read_text(encoding="utf-8") == state:
        return
    run.write_tables()
    write_study_report(study / REPORT, run.rows, run.records, anonymous=anonymous)
    with new_file(store) as part:
        part.write_text(state, encoding="utf-8")


def job_script(options: BatchOptions) -> str | None:
    """Return the script of a worker's job, for a look before a run.

    Args:
        options: of the study.

    Returns:
        The script; None: the scheduler is no batch system.
    """
    if options.scheduler not in BATCH_SYSTEMS:
        return None
    from .dask_engine import job_cluster

    with job_cluster(options) as cluster:
        return str(cluster.job_script())


def _lacking() -> tuple[str, ...]:
    if have_parquet():
        return ()
    return ("no tables of angles and cycles, no trials.parquet: they need pip install 'hsmr_bio[parquet]'",)


def _engine(options: BatchOptions, client: object, tasks: int) -> Engine:
    """Start what runs the trials: on this machine with Dask if it is installed."""
    plain = options.scheduler == "processes" or (options.scheduler == "local" and find_spec("distributed") is None)
    jobs = min(options.jobs or JOBS_OF_BATCH_SYSTEM if options.scheduler in BATCH_SYSTEMS else jobs_of(options), tasks)
    if plain and client is None:
        return LocalPool(jobs)
    from .dask_engine import dask_engine

    return dask_engine(options, client, jobs)

"""``hsmr-bio batch``: a study of many trials, on this machine or a cluster; resumable."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from ..errors import InputError
from . import image2mot
from .common import CHECKS_FAILED, OK, Subparsers, add_json, duration, note, options_from, print_result
from .config import add_config

if TYPE_CHECKING:
    from ..study.loop import Counts
    from ..study.options import BatchOptions
    from ..study.study import Study

TRIALS_FAILED = 4
"""Exit code: some trials failed, or the run was stopped before it was through."""
_REDRAW_S, _LINE_EVERY_S = 0.5, 60.0
"""Shortest time between two states of the run, on a terminal and elsewhere."""
_SHOWN = 20


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "batch",
        help="a study: many videos, resumable, on this machine or a cluster",
        description="Compute every trial of a study as image2mot does (stored SKEL and SMPL motion and .trc as skel2mot and "
        "smpl2mot do), several at a time. A trial that is done is not computed again, so that the same command goes on after "
        "any end. OUT gets trials/TRIAL/, trials.csv and .parquet, angles.parquet, cycles.parquet, study_report.html. "
        "Exit code 0: all trials passed, 3: some failed checks, 4: some trials failed.",
    )
    parser.add_argument(
        "source",
        help="table (.csv) with a column video, and if wanted trial, person, group, session, and options (height_m, mass_kg, "
        "sex, start_s ...); or a folder of videos, or a pattern; with --status the folder of a study",
    )
    parser.add_argument("-o", "--out", type=Path, metavar="OUT", help="folder of the study")
    add_config(parser)
    _add_study(parser)
    _add_workers(parser)
    image2mot.add_options(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def _add_study(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("study")
    group.add_argument("--status", action="store_true", help="say how far a study is, and end")
    group.add_argument("--dry-run", action="store_true", help="check the table, say what would be done, and end")
    group.add_argument("--collect", action="store_true", help="compute nothing: tables and report of what is done")
    group.add_argument("--limit", type=int, metavar="N", help="compute at most N trials")
    group.add_argument("--only", metavar="PATTERN", help="trials whose names match, such as 'P0*'")
    group.add_argument("--retry-failed", action="store_true", help="compute failed trials again, too")
    group.add_argument("--timeout", dest="timeout_s", type=float, metavar="S", help="longest time of a trial (default: 7200)")
    group.add_argument("--analyse", action="store_true", help="also write the tables of hsmr-bio analyse for each trial")
    group.add_argument("--anonymous", action="store_true", help="no names, pictures and links in study_report.html")


def _add_workers(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("workers")
    group.add_argument("--jobs", type=int, metavar="N", help="trials at a time; default: one for each processor core")
    group.add_argument("--memory-gb", type=float, metavar="GB", help="most memory of a trial; default: its share")
    group.add_argument(
        "--scheduler",
        metavar="WHERE",
        help="local (default), processes (local, without Dask), tcp://HOST:PORT, a scheduler file, slurm, pbs, sge, lsf",
    )
    group.add_argument("--shard", type=shard, metavar="I/N", help="only every N-th trial from the I-th on, for array jobs")
    group.add_argument("--queue", help="of the batch system")
    group.add_argument("--account", help="of the batch system")
    group.add_argument("--walltime", metavar="HH:MM:SS", help="of a worker's job")
    group.add_argument("--interface", help="network interface of the cluster, such as ib0")
    group.add_argument("--prologue", action="append", metavar="LINE", help="shell line before a worker starts; repeatable")
    group.add_argument(
        "--cluster", action="append", default=[], metavar="KEY=VALUE", help="another argument of dask_jobqueue; repeatable"
    )


def shard(word: str) -> tuple[int, int]:
    """Read ``I/N``.

    Raises:
        argparse.ArgumentTypeError: something else.
    """
    first, slash, count = word.partition("/")
    if not (slash and first.isdecimal() and count.isdecimal()):
        raise argparse.ArgumentTypeError(f"I/N was expected, such as 3/100, got {word!r}")
    return int(first), int(count)


def options_of(args: argparse.Namespace) -> BatchOptions:
    """Build the options from the arguments; loads numpy only.

    Raises:
        InputError: options that do not fit a study.
    """
    from ..study.options import BatchOptions

    if args.name is not None or args.person_box is not None:
        raise InputError("--name and --person-box belong to one video: use the columns trial and person_box of a table")
    given = {name: getattr(args, name) for name in ("queue", "account", "walltime", "interface")}
    cluster: dict[str, object] = {name: value for name, value in given.items() if value is not None}
    if args.prologue:
        cluster["job_script_prologue"] = list(args.prologue)
    for pair in args.cluster:
        name, equals, value = pair.partition("=")
        if not equals:
            raise InputError(f"--cluster wants KEY=VALUE, got {pair!r}")
        cluster[name] = int(value) if value.isdecimal() else value
    limit = 0 if args.collect else args.limit
    return options_from(args, BatchOptions, image2mot=image2mot.options_of(args), cluster=cluster, limit=limit)


def run(args: argparse.Namespace) -> int:
    """Run a study, or say how far it is.

    Raises:
        InputError: no folder for the results.
    """
    if args.status:
        return _status(args)
    if args.out is None:
        raise InputError("give a folder for the study with -o")
    options = options_of(args)
    from ..study.table import TableError

    try:
        if args.dry_run:
            return _dry_run(args, options)
        return _batch(args, options)
    except TableError as error:
        for fault in error.faults:
            print(f"hsmr-bio: {args.source}: {fault}", file=sys.stderr)
        raise


def _batch(args: argparse.Namespace, options: BatchOptions) -> int:
    from ..study.batch import batch

    state = StateLine(sys.stderr, quiet=args.quiet)
    try:
        study = batch(args.source, args.out, options, tell=state.tell, watch=state.watch)
    except KeyboardInterrupt:
        state.close()
        note(args, "what is done is kept; the same command goes on with the rest")
        raise
    state.close()
    note(args, study.text())
    if study.stopped:
        print(f"hsmr-bio: error: stopped: {study.stopped}; the same command goes on with the rest", file=sys.stderr)
    print_result(args, facts_of(study), *(path for path in sorted(study.folder.glob("*.*")) if path.name[0] != "."))
    return exit_code(study)


def exit_code(study: Study) -> int:
    """Return the exit code of a study: whether trials failed, or else checks did."""
    counts = study.counts
    if study.stopped or counts["failed"]:
        return TRIALS_FAILED
    return CHECKS_FAILED if counts["checks failed"] else OK


def facts_of(study: Study) -> dict[str, object]:
    """Return the state of a study as JSON values."""
    return {
        "folder": str(study.folder),
        "trials": len(study.rows),
        **{status.replace(" ", "_"): number for status, number in study.counts.items()},
        "problems": study.problems,
        "stopped": study.stopped,
        "runs": study.runs,
        "report": str(study.report) if study.report.is_file() else None,
    }


def _status(args: argparse.Namespace) -> int:
    from ..study.study import load_study

    study = load_study(args.source)
    problems = [f"{name}: {text}" for name, text in study.problems.items()]
    more = [f"and {len(problems) - _SHOWN} more: see trials.csv"] if len(problems) > _SHOWN else []
    runs = [f"running: {run}" for run in study.runs] or ["no run works on it"]
    print_result(args, facts_of(study), study.text(), *runs, *problems[:_SHOWN], *more)
    return exit_code(study)


def _dry_run(args: argparse.Namespace, options: BatchOptions) -> int:
    from ..study.batch import dry_run, job_script

    plan = dry_run(args.source, args.out, options)
    script = job_script(options)
    if script is not None:
        lines_of_script = ["the job of a worker:", *script.splitlines()]
        print("\n".join(lines_of_script), file=sys.stderr)
    counts = Counter(one.why or "done" for one in plan)
    lines = [f"{number} trials: {why}" for why, number in counts.items()]
    facts = {"trials": {one.trial.name: one.why for one in plan}}
    print_result(args, facts, f"{len(plan)} trials, all rows are usable", *lines)
    return OK


class StateLine:
    """Shows how far a run is: one line that is drawn anew on a terminal, a line a minute elsewhere.

    Args:
        stream: to write on.
        quiet: show nothing.
    """

    def __init__(self, stream: TextIO, *, quiet: bool) -> None:
        self._stream, self._quiet, self._terminal = stream, quiet, stream.isatty()
        self._shown_s = time.monotonic()
        self._drawn = False

    def tell(self, line: str) -> None:
        """Print a line above the state."""
        if not self._quiet:
            self._stream.write(f"{self._back()}hsmr-bio: {line}\n")
            self._stream.flush()

    def watch(self, counts: Counts) -> None:
        """Show the state, if it is time to."""
        now_s = time.monotonic()
        if self._quiet or now_s - self._shown_s < (_REDRAW_S if self._terminal else _LINE_EVERY_S):
            return
        self._shown_s = now_s
        left = "" if counts.left_s is None else f", about {duration(counts.left_s)} left"
        bad = f" ({counts.checks_failed} failed checks, {counts.failed} failed)"
        text = f"{counts.done} of {counts.total} trials{bad}, {counts.per_minute:.3g} a minute{left}"
        if self._terminal:
            self._stream.write(f"{self._back()}{text}")
            self._stream.flush()
            self._drawn = True
        else:
            self.tell(text)

    def close(self) -> None:
        """Remove the state."""
        self._stream.write(self._back())
        self._stream.flush()

    def _back(self) -> str:
        drawn, self._drawn = self._drawn, False
        return "\r\x1b[K" if drawn else ""

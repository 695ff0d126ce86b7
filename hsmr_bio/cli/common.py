"""What several commands share: progress on the terminal, JSON on stdout, the model beside a motion."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from ..types import Progress, quiet

if TYPE_CHECKING:
    from ..osim.document import OsimDocument

_BAR_WIDTH = 24
_REDRAW_S = 0.1
_ESTIMATE_AFTER_S = 1.0


class ProgressBar:
    """Draws one line per stage: how far, how long it took, how long it will still take."""

    def __init__(self, stream: TextIO) -> None:
        """Draw on ``stream``, a terminal."""
        self._stream = stream
        self._stage = ""
        self._started_s = 0.0
        self._drawn_s = 0.0

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Report that ``done`` of ``total`` units of ``stage`` are finished."""
        now = time.monotonic()
        if stage != self._stage:
            self.close()
            self._stage, self._started_s, self._drawn_s = stage, now, 0.0
        finished = total is not None and done >= total
        if now - self._drawn_s < _REDRAW_S and not finished:
            return
        self._drawn_s = now
        self._stream.write(f"\r{self.line(done, total, now - self._started_s)}\x1b[K")
        self._stream.flush()

    def line(self, done: int, total: int | None, passed_s: float) -> str:
        """Return the text of the line."""
        if not total:
            return f"{self._stage:22} {done} ({_duration(passed_s)})"
        share = min(done / total, 1.0)
        bar = "#" * round(share * _BAR_WIDTH)
        rest = ""
        if share < 1 and share > 0 and passed_s > _ESTIMATE_AFTER_S:
            rest = f"  {_duration(passed_s * (1 - share) / share)} left"
        elif share >= 1:
            rest = f"  {_duration(passed_s)}"
        return f"{self._stage:22} [{bar:.<{_BAR_WIDTH}}] {share:4.0%} {done}/{total}{rest}"

    def close(self) -> None:
        """End the line that is being drawn."""
        if self._stage:
            self._stream.write("\n")
            self._stream.flush()
            self._stage = ""


@contextmanager
def progress_of(args: argparse.Namespace) -> Iterator[Progress]:
    """Give the progress function for this run: a bar if stderr is a terminal and ``--quiet`` was not given."""
    if getattr(args, "quiet", False) or not sys.stderr.isatty():
        yield quiet
        return
    bar = ProgressBar(sys.stderr)
    try:
        yield bar
    finally:
        bar.close()


def note(args: argparse.Namespace, text: str) -> None:
    """Say something to the person at the terminal, unless ``--quiet``."""
    if not getattr(args, "quiet", False):
        print(f"hsmr-bio: {text}", file=sys.stderr)


def print_json(value: Any) -> None:
    """Write a JSON value on stdout."""
    print(json.dumps(value, indent=2, allow_nan=False))


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``."""
    parser.add_argument("--json", action="store_true", help="print the result as JSON on stdout")


def add_output(parser: argparse.ArgumentParser, *, what: str, required: bool = True) -> None:
    """Add ``-o`` and ``--overwrite``."""
    parser.add_argument("-o", "--out", type=Path, required=required, metavar="OUT", help=what)
    parser.add_argument("--overwrite", action="store_true", help="replace results that exist already")


def add_body(parser: argparse.ArgumentParser) -> None:
    """Add ``--body`` and ``--sex``."""
    parser.add_argument(
        "--body",
        default=None,
        metavar="BODY",
        help="open (comes with the program), skel (your registered SKEL file), or the path of a SKEL file; "
        "default: the one that the input names, else open",
    )
    parser.add_argument("--sex", choices=("neutral", "female", "male"), default=None, help="which body; default: neutral")


def add_joints(parser: Any) -> None:
    """Add ``--joints`` to a parser or to a group of its options."""
    parser.add_argument(
        "--joints",
        choices=("bsm", "skel"),
        default="bsm",
        help="knees; bsm: they roll and turn inwards as they bend; skel: they are hinges, which follow SKEL motion exactly "
        "(default: %(default)s)",
    )


def hertz_or_off(word: str) -> float:
    """Read the word after ``--cutoff-hz``: a frequency, or ``off``, which is 0."""
    if word.lower() in ("off", "none"):
        return 0.0
    try:
        value = float(word)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"a frequency in Hz or 'off' was expected, got {word!r}")
    return value


def beside(path: Path, ending: str) -> Path | None:
    """Return the file of the same name with another ending, if it is there (``clip.mot`` -> ``clip.osim``)."""
    found = path.with_suffix(ending)
    return found if found.is_file() else None


def read_model(path: Path) -> OsimDocument:
    """Read a model; a missing file is an InputError."""
    from ..osim.library import as_document

    return as_document(path)


class Terminated(KeyboardInterrupt):
    """The process was asked to end (SIGTERM), for example by a batch system."""


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM end the program as Ctrl-C does, so that temporary files are removed on the way out."""
    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's
        yield
        return

    def stop(*_: object) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


@contextmanager
def opensim_leaves_no_log() -> Iterator[None]:
    """Remove the ``opensim.log`` that importing OpenSim puts into the current folder; one that was there stays."""
    log = Path("opensim.log")
    was_there = log.exists()
    try:
        yield
    finally:
        opensim = sys.modules.get("opensim")
        if opensim is not None and not was_there:
            opensim.Logger.removeFileSink()
            log.unlink(missing_ok=True)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"

"""Parts that several commands share: arguments, options, files beside a motion, progress on the terminal, JSON on stdout."""

from __future__ import annotations

import argparse
import codecs
import io
import json
import math
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeAlias, TypeVar, get_args

import numpy as np

from ..errors import InputError
from ..io.staging import finish
from ..types import SEXES, FloatArray, JointShapes, ModelKind, Progress, quiet

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from ..checks.check_report import CheckReport
    from ..pipeline.results import Result

Options = TypeVar("Options", bound="DataclassInstance")
Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Arguments: TypeAlias = "argparse._ActionsContainer"
"""A parser, or a group of its arguments."""

OK, ERROR, CHECKS_FAILED, INTERRUPTED, TERMINATED = 0, 1, 3, 130, 143
"""Exit codes; argparse exits with 2 for wrong usage."""
_BAR_WIDTH = 24
"""Characters."""
_REDRAW_S = 0.1
"""Shortest time between two drawings of the bar."""
_ESTIMATE_AFTER_S = 1.0
"""Time after which the remaining time is shown."""
_TENTHS_BELOW_S = 10
"""Durations below this are shown in tenths of a second."""


class ProgressBar:
    """Draws one line per stage: share done, and time left or passed."""

    def __init__(self, stream: TextIO) -> None:
        """Draw on ``stream``, a terminal."""
        self._stream = stream
        self._stage = ""
        self._started_s = 0.0
        self._drawn_s = 0.0

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Draw that ``done`` of ``total`` units of ``stage`` are finished."""
        now = time.monotonic()
        if stage != self._stage:
            self.close()
            self._stage, self._started_s, self._drawn_s = stage, now, 0.0
        finished = total is not None and done >= total
        if now - self._drawn_s < _REDRAW_S and not finished:
            return
        self._drawn_s = now
        self._stream.write(f"\r{self._line(done, total, now - self._started_s)}\x1b[K")
        self._stream.flush()

    def _line(self, done: int, total: int | None, passed_s: float) -> str:
        if not total:
            return f"{self._stage:22} {done} ({duration(passed_s)})"
        share = min(done / total, 1.0)
        bar = "#" * round(share * _BAR_WIDTH)
        rest = ""
        if share < 1 and share > 0 and passed_s > _ESTIMATE_AFTER_S:
            rest = f"  {duration(passed_s * (1 - share) / share)} left"
        elif share >= 1:
            rest = f"  {duration(passed_s)}"
        return f"{self._stage:22} [{bar:.<{_BAR_WIDTH}}] {share:4.0%} {done}/{total}{rest}"

    def close(self) -> None:
        """End the line that is being drawn."""
        if self._stage:
            self._stream.write("\n")
            self._stream.flush()
            self._stage = ""


@contextmanager
def progress_of(args: argparse.Namespace) -> Iterator[Progress]:
    """Yield the progress function of this run: a bar if stderr is a terminal and ``--quiet`` was not given."""
    if args.quiet or not sys.stderr.isatty():
        yield quiet
        return
    bar = ProgressBar(sys.stderr)
    try:
        yield bar
    finally:
        bar.close()


def note(args: argparse.Namespace, text: str) -> None:
    """Print a note on stderr, unless ``--quiet``.

    Args:
        args: of the command.
        text: the note.
    """
    if not args.quiet:
        print(f"hsmr-bio: {text}", file=sys.stderr)


def print_result(args: argparse.Namespace, facts: object, *lines: object) -> None:
    """Print the result of a command on stdout.

    Args:
        args: of the command.
        facts: JSON values to print with ``--json``.
        lines: to print without it.
    """
    print(json.dumps(facts, indent=2, allow_nan=False) if args.json else "\n".join(map(str, lines)))


def print_results(args: argparse.Namespace, results: Sequence[Result], facts: Sequence[dict[str, Any]]) -> int:
    """Print the results of ``skel2mot`` and ``smpl2mot``: the paths of the files, or JSON.

    Args:
        args: of the command.
        results: one per person.
        facts: further figures of each person for the JSON, between the files and the checks.

    Returns:
        The exit code.
    """
    people = [
        {"name": result.name, "files": [str(path) for path in result.paths], **more, "checks": result.checks.to_json()}
        for result, more in zip(results, facts, strict=True)
    ]
    print_result(args, {"people": people}, *(path for result in results for path in result.paths))
    return exit_code(*(result.checks for result in results))


def exit_code(*reports: CheckReport) -> int:
    """Return ``CHECKS_FAILED`` if a check of one of the reports fails, else ``OK``."""
    return CHECKS_FAILED if any(report.status == "fail" for report in reports) else OK


def options_from(args: argparse.Namespace, kind: type[Options], **values: object) -> Options:
    """Build options from the arguments that have the names of their fields.

    Args:
        args: of the command. Arguments that are None were not given and leave the default; lists become tuples.
        kind: dataclass of the options.
        values: fields with other values than the arguments.

    Returns:
        The options.
    """
    given = {field.name: getattr(args, field.name, None) for field in fields(kind)}
    known = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items() if value is not None}
    return kind(**known | values)


def add_json(parser: Arguments) -> None:
    """Add ``--json``."""
    parser.add_argument("--json", action="store_true", help="print the result as JSON on stdout")


def add_angles(parser: Arguments) -> None:
    """Add ``--angles``."""
    parser.add_argument(
        "--angles", choices=("degrees", "radians"), help="unit of the angles of a .mot whose header does not state it"
    )


def add_output(parser: Arguments, help_text: str = "folder for the results") -> None:
    """Add ``-o`` and ``--overwrite``.

    Args:
        parser: of the command.
        help_text: for ``-o``.
    """
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="OUT", help=help_text)
    parser.add_argument("--overwrite", action="store_true", help="replace results that exist already")


def add_body(parser: Arguments) -> None:
    """Add ``--body`` and ``--sex``."""
    parser.add_argument(
        "--body",
        metavar="BODY",
        help="open (comes with the program), skel (your registered SKEL file), or the path of a SKEL file; "
        "default: the one that the input names, else open",
    )
    parser.add_argument("--sex", choices=SEXES, help="which body; default: neutral")


def add_betas(parser: Arguments) -> None:
    """Add ``--betas``."""
    parser.add_argument("--betas", type=float, nargs="+", metavar="B", help="up to ten betas; the others are 0")


def ten_betas(args: argparse.Namespace) -> FloatArray:
    """Return the betas after ``--betas``, filled up with zeros.

    Raises:
        InputError: more than ten betas.
    """
    given, betas = args.betas or [], np.zeros(10)
    if len(given) > len(betas):
        raise InputError(f"a body has ten betas, got {len(given)}")
    betas[: len(given)] = given
    return betas


def add_image_size(parser: Arguments, help_text: str = "pixels of the video of HSMR's results") -> None:
    """Add ``--image-size``.

    Args:
        parser: of the command, or a group of it.
        help_text: which picture's.
    """
    parser.add_argument(
        "--image-size",
        dest="image_size_px",
        type=int,
        nargs=2,
        metavar=("W", "H"),
        help=help_text,
    )


def add_person(parser: Arguments, height: str = "what the betas give") -> None:
    """Add ``--height-m`` and ``--mass-kg``.

    Args:
        parser: of the command, or a group of it.
        height: default of the height, for the help.
    """
    parser.add_argument("--height-m", type=float, help=f"body height; default: {height}")
    parser.add_argument("--mass-kg", type=float, help="body mass; default: volume of the skin times the density of the body")


def add_model(parser: Arguments) -> None:
    """Add ``--model`` and ``--joints``."""
    parser.add_argument("--model", choices=get_args(ModelKind), default="bsm", help="OpenSim model (default: %(default)s)")
    parser.add_argument(
        "--joints",
        choices=get_args(JointShapes),
        default="bsm",
        help="knees of the BSM model; bsm: rolling, with internal rotation in flexion; skel: hinges, which follow SKEL motion "
        "exactly (default: %(default)s)",
    )


def add_camera_angles(parser: Arguments) -> None:
    """Add ``--camera-pitch-deg`` and ``--camera-roll-deg``, in radians as ``camera_pitch_rad`` and ``camera_roll_rad``."""
    for name, help_text in (("pitch", "known downward pitch"), ("roll", "known roll")):
        parser.add_argument(
            f"--camera-{name}-deg",
            dest=f"camera_{name}_rad",
            type=degrees,
            metavar="DEG",
            help=f"{help_text} of the camera; default: estimated",
        )


def add_cutoff(parser: Arguments, default: str = "") -> None:
    """Add ``--cutoff-hz``.

    Args:
        parser: of the command, or a group of it.
        default: for the help, where None is the default; else the default is 6 Hz.
    """
    parser.add_argument(
        "--cutoff-hz",
        type=hertz_or_off,
        default=None if default else 6.0,
        metavar="HZ",
        help=f"zero-lag low-pass filter of the angles, or 'off'; default: {default or '%(default)g'}",
    )


def add_stored_motion(parser: Arguments, cutoff: str = "") -> None:
    """Add the arguments that ``skel2mot`` and ``smpl2mot`` share.

    Args:
        parser: of the command.
        cutoff: see :func:`add_cutoff`.
    """
    add_output(parser)
    parser.add_argument("--name", help="of the files; default: that of the input")
    add_body(parser)
    parser.add_argument("--rate-hz", type=float, help="frames per second, for files that do not store times")
    add_person(parser)
    add_model(parser)
    add_cutoff(parser, cutoff)
    add_camera_angles(parser)
    parser.add_argument("--keep-height", action="store_true", help="do not lower an upright motion to the floor")


def degrees(word: str) -> float:
    """Read an angle in degrees as radians."""
    return math.radians(float(word))


def hertz_or_off(word: str) -> float:
    """Read the value of ``--cutoff-hz``: a frequency, or ``off`` as 0.

    Raises:
        argparse.ArgumentTypeError: neither of them.
    """
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
    """Return the file of the same name with another ending, if it exists.

    Args:
        path: such as ``clip.mot``.
        ending: such as ``.osim`` or ``_skel.npz``.

    Returns:
        Such as ``clip.osim``; None if there is no such file.
    """
    finish(path.parent)
    found = path.with_name(f"{path.stem}{ending}")
    return found if found.is_file() else None


def model_of(path: Path, given: Path | None) -> Path:
    """Return the model of a motion or of markers.

    Args:
        path: of the motion or markers.
        given: value of ``--model``.

    Returns:
        ``given``, else the ``.osim`` of the same name.

    Raises:
        InputError: neither of them.
    """
    model = given or beside(path, ".osim")
    if model is None:
        raise InputError(f"{path}: which model? there is no {path.stem}.osim beside it: name it with --model MODEL.osim")
    return model


class Terminated(KeyboardInterrupt):
    """The process received SIGTERM, for example from a batch system."""


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM end the program as Ctrl-C does, so that temporary files are removed."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread can set handlers
        yield
        return

    def stop(*_: object) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def print_any_name() -> None:
    """Let stdout print names of files as they are, whatever their bytes, and any other text without an error."""
    codecs.register_error("any-name", _any_name)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="any-name")


def _any_name(error: UnicodeError) -> tuple[str | bytes, int]:
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.lookup_error("backslashreplace")(error)


@contextmanager
def opensim_leaves_no_log() -> Iterator[None]:
    """Remove the ``opensim.log`` that importing OpenSim writes into the current folder; an older file stays."""
    log = Path("opensim.log")
    was_there = log.exists()
    try:
        yield
    finally:
        opensim = sys.modules.get("opensim")
        if opensim is not None and not was_there:
            opensim.Logger.removeFileSink()
            with suppress(OSError):  # a folder that cannot be written to has no log either
                log.unlink(missing_ok=True)


def duration(seconds: float) -> str:
    """Return a time for people: seconds, or minutes and seconds, or hours and minutes."""
    if seconds >= 3600:
        return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:02.0f} min"
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= _TENTHS_BELOW_S else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"

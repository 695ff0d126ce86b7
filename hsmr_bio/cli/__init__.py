"""The command line ``hsmr-bio COMMAND ...``: one module per command, each a thin layer over one public function."""

from __future__ import annotations

import argparse
import errno
import importlib
import logging
import os
import sys
from collections.abc import Sequence

from ..errors import HsmrBioError
from ..version import __version__
from .common import ERROR, INTERRUPTED, OK, TERMINATED, Terminated, opensim_leaves_no_log, terminable

COMMANDS: tuple[str, ...] = (
    *("image2mot", "skel2mot", "smpl2mot", "mot2skel", "scale", "ik", "id"),
    *("analyse", "compare", "check", "eval", "view", "convert", "info", "setup"),
)
"""Modules of this package, in the order of the help: the main job first."""

_DESCRIPTION = """\
From one ordinary video to a scaled OpenSim model, its motion, markers and a validation report.

  hsmr-bio image2mot video.mp4 -o out

writes out/video.osim, .mot, .trc, Geometry/, _skel.npz and the report (_report.html, _report.json).
Nothing has to be registered, downloaded or configured; no GPU is needed.
"""
_EPILOG = """\
hsmr-bio COMMAND --help explains a command. Exit codes: 0 done, 1 an error (one line on stderr says what, where
and what to do), 2 wrong usage, 3 the results were written but a check failed, 130 stopped with Ctrl-C, 143 terminated.
"""


def build_parser() -> argparse.ArgumentParser:
    """Make the parser with all commands."""
    parser = argparse.ArgumentParser(
        prog="hsmr-bio", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"hsmr-bio {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in COMMANDS:
        importlib.import_module(f".{name}", __name__).add_parser(subparsers)
    for command in dict.fromkeys(subparsers.choices.values()):
        group = command.add_argument_group("messages")
        group.add_argument("--quiet", action="store_true", help="no progress and no notes on stderr")
        group.add_argument("-v", "--verbose", action="count", default=0, help="say more; -vv also shows where an error arose")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: words after the program's name; None: those of the process.

    Returns:
        The exit code.
    """
    args = build_parser().parse_args(argv)
    level = logging.ERROR if args.quiet else (logging.WARNING, logging.INFO, logging.DEBUG)[min(args.verbose, 2)]
    logging.basicConfig(level=level, format="hsmr-bio: %(message)s", stream=sys.stderr)
    logging.getLogger("hsmr_bio").setLevel(level)
    try:
        with terminable(), opensim_leaves_no_log():
            return int(args.run(args))
    except HsmrBioError as error:
        return _failed(str(error), show_trace=args.verbose > 1)
    except KeyboardInterrupt as stop:
        _failed("stopped; nothing was written half", show_trace=False)
        return TERMINATED if isinstance(stop, Terminated) else INTERRUPTED
    except BrokenPipeError:  # the reader of stdout has closed it (hsmr-bio info ... | head)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        advice = ". Make room there and run the same command again" if error.errno == errno.ENOSPC else ""
        return _failed(f"{where}{error.strerror or error}{advice}", show_trace=args.verbose > 1)


def _failed(message: str, *, show_trace: bool) -> int:
    if show_trace:
        logging.getLogger("hsmr_bio").exception("the error arose here")
    print(f"hsmr-bio: error: {message}", file=sys.stderr)
    return ERROR

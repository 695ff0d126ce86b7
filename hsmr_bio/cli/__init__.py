"""The command line ``hsmr-bio COMMAND ...``: one module per command, each a thin layer over one public function."""

from __future__ import annotations

import argparse
import errno
import importlib
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from ..errors import HsmrBioError, MissingAssetError, one_line
from ..version import __version__
from .common import ERROR, INTERRUPTED, OK, TERMINATED, Terminated, opensim_leaves_no_log, print_any_name, terminable
from .config import with_config

COMMANDS: tuple[str, ...] = (
    *("image2mot", "batch", "skel2mot", "smpl2mot", "mot2skel", "scale", "ik", "id"),
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
and what to do), 2 wrong usage, 3 the results were written but a check failed, 4 trials of
a batch failed, 130 stopped with Ctrl-C, 143 terminated.
"""
_LONGEST, _LONGEST_ADVICE = 280, 1000
"""Characters of an error, with its beginning below 300; of one that tells where to get a licensed file."""


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
    parser, words = build_parser(), sys.argv[1:] if argv is None else list(argv)
    args = parser.parse_args(words)
    level = logging.ERROR if args.quiet else (logging.WARNING, logging.INFO, logging.DEBUG)[min(args.verbose, 2)]
    logging.basicConfig(level=level, format="hsmr-bio: %(message)s", stream=sys.stderr)
    logging.getLogger("hsmr_bio").setLevel(level)
    if args.verbose < 2:
        warnings.simplefilter("ignore")  # of other libraries, for programmers
    print_any_name()
    try:
        with terminable(), opensim_leaves_no_log():
            args = with_config(parser, args, words)
            return int(args.run(args))
    except HsmrBioError as error:
        return _failed(args, str(error), whole=isinstance(error, MissingAssetError))
    except KeyboardInterrupt as stop:
        print("hsmr-bio: error: stopped; nothing was written half", file=sys.stderr)
        return TERMINATED if isinstance(stop, Terminated) else INTERRUPTED
    except BrokenPipeError:  # the reader of stdout has closed it (hsmr-bio info ... | head)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except OSError as error:
        where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        advice = ". Make room there and run the same command again" if error.errno == errno.ENOSPC else ""
        return _failed(args, f"{where}{error.strerror or error}{advice}")
    except Exception as error:  # noqa: BLE001, the last door: whatever it is, one line
        kind = type(error).__name__
        return _failed(args, f"{_given_file(args)}{kind}: {error}. An unexpected error: -vv shows where it arose")


def _failed(args: argparse.Namespace, message: str, *, whole: bool = False) -> int:
    """Print an error as one line of bounded length; only advice of our own is printed whole."""
    if args.verbose > 1:
        logging.getLogger("hsmr_bio").exception("the error arose here")
    print(f"hsmr-bio: error: {one_line(message, longest=_LONGEST_ADVICE if whole else _LONGEST)}", file=sys.stderr)
    return ERROR


def _given_file(args: argparse.Namespace) -> str:
    """Return the first file or folder that the command was given, for a message."""
    given = (value for value in vars(args).values() if isinstance(value, Path) and value.exists())
    return next((f"{path}: " for path in given), "")

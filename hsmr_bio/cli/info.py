"""``hsmr-bio info``: describe a file, or the installation."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from ..version import __version__
from .common import Subparsers, add_json, print_result

_PACKAGES = ("numpy", "torch", "opensim", "onnxruntime", "nimblephysics", "av", "ezc3d")


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    from ..converters.formats import FORMATS

    endings = " ".join(dict.fromkeys(ending for row in FORMATS if row.read or row.describe for ending in row.endings))
    parser = subparsers.add_parser(
        "info",
        help="describe a model, motion, marker, force or result file",
        description=f"Describe a file ({endings}); without a file: versions and registered bodies.",
    )
    parser.add_argument("file", type=Path, nargs="?")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the facts as text or JSON."""
    if args.file is None:
        facts = _installation()
    else:
        from ..converters.registry import describe

        facts = {"file": str(args.file), **describe(args.file)}
    print_result(args, facts, *_lines(facts))
    return 0


def _installation() -> dict[str, Any]:
    from ..body.assets import registered_files

    return {
        "hsmr-bio": __version__,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "bodies": ["open (neutral, female, male)", *map(str, registered_files(".pkl"))],
    }


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _lines(facts: dict[str, Any], indent: str = "") -> Iterator[str]:
    """Yield the facts as indented text."""
    for key, value in facts.items():
        if isinstance(value, dict) and value:
            yield f"{indent}{key}:"
            if all(isinstance(item, dict) for item in value.values()):
                for name, row in value.items():
                    yield f"{indent}  {name:26}" + "  ".join(f"{k} {_text(v)}" for k, v in row.items())
            else:
                yield from _lines(value, indent + "  ")
        else:
            yield f"{indent}{key}: {_text(value)}"


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value)
    return "-" if value is None else str(value)

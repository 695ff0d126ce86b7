"""``--config``: options of a command from a TOML or YAML file, with the names that they have on the command line."""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ..errors import FormatError, InputError
from .common import Arguments

_NEVER = ("--help", "--config")


def add_config(parser: Arguments) -> None:
    """Add ``--config``."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="options from a file (.toml, .yaml): names as here, without the dashes; what the command line says goes before",
    )


def with_config(parser: argparse.ArgumentParser, args: argparse.Namespace, argv: Sequence[str]) -> argparse.Namespace:
    """Parse again with the words of ``--config``, if it was given.

    Args:
        parser: of all commands.
        args: parsed without the file.
        argv: all words; the first is the command.

    Returns:
        The arguments; words of the command line replace those of the file.

    Raises:
        InputError: no such file, or an option that the command does not have.
        FormatError: the file is not TOML or YAML.
    """
    path = getattr(args, "config", None)
    if path is None:
        return args
    known = _options(parser, argv[0])
    words: list[str] = []
    for name, value in _read(path).items():
        option = f"--{name.replace('_', '-')}"
        action = known.get(option)
        if action is None or option in _NEVER:
            near = get_close_matches(option, [one for one in known if one not in _NEVER], n=3)
            hint = f"; closest: {', '.join(one.removeprefix('--') for one in near)}" if near else ""
            raise InputError(f"{path}: {argv[0]} has no option {name!r}{hint}")
        words += _words(path, name, option, action, value)
    return parser.parse_args([argv[0], *words, *argv[1:]])


def _options(parser: argparse.ArgumentParser, command: str) -> dict[str, argparse.Action]:
    """Long options of a command."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices[command]._option_string_actions)
    return {}


def _read(path: Path) -> Mapping[str, Any]:
    """Read the file as names and values.

    Raises:
        InputError: no such file, or another ending.
        FormatError: not the format that its ending says, or not names and values.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file (--config)")
    if path.suffix.lower() not in (".toml", ".yaml", ".yml"):
        raise InputError(f"{path}: --config reads .toml and .yaml")
    try:
        text = path.read_text(encoding="utf-8")
        found = tomllib.loads(text) if path.suffix.lower() == ".toml" else _yaml(text)
    except ValueError as error:
        raise FormatError(path, None, f"cannot be read: {error}") from None
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise FormatError(path, None, "names and values are expected, such as height-m = 1.8")
    return found


def _yaml(text: str) -> object:
    """Read YAML.

    Raises:
        ValueError: it is none.
    """
    import yaml

    try:
        return yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None


def _words(path: Path, name: str, option: str, action: argparse.Action, value: object) -> list[str]:
    """Words of the command line that say what an entry says.

    Raises:
        InputError: a value that the option cannot have.
    """
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise InputError(f"{path}: {name} must be true or false, got {value!r}")
        return [option] if value else []
    if isinstance(value, dict):
        pairs = [f"{key}={inner}" for key, inner in value.items()]
        return [word for pair in pairs for word in (option, pair)]
    if isinstance(value, list):
        if isinstance(action, argparse._AppendAction):
            return [word for inner in value for word in (option, str(inner))]
        return [option, *map(str, value)]
    if isinstance(value, bool) or value is None:
        raise InputError(f"{path}: {name} must have a value, got {value!r}")
    return [f"{option}={value}"]

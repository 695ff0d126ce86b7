"""Options as JSON values and back: how a trial goes to the process that computes it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from ..pipeline.options import Image2MotOptions, Skel2MotOptions, Smpl2MotOptions
from .columns import TrialOptions

_KINDS: dict[str, type[TrialOptions]] = {kind.__name__: kind for kind in (Image2MotOptions, Skel2MotOptions, Smpl2MotOptions)}
_Json = Any
"""A value of JSON."""
T = TypeVar("T")


def options_to_json(options: TrialOptions) -> dict[str, _Json]:
    """Return options as JSON values.

    Args:
        options: of a trial.

    Returns:
        Their class and fields.
    """
    return {"kind": type(options).__name__, "values": _plain(asdict(options))}


def options_from_json(stored: Mapping[str, _Json]) -> TrialOptions:
    """Return the options of :func:`options_to_json`.

    Args:
        stored: JSON values.

    Returns:
        The options.
    """
    return _built(_KINDS[stored["kind"]], stored["values"])


def _plain(value: _Json) -> _Json:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(inner) for inner in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _built(kind: type[T], values: Mapping[str, _Json]) -> T:
    """Build a dataclass: its fields are dataclasses, tuples, paths where their types say so, and plain values."""
    hints = get_type_hints(kind)
    found: dict[str, object] = {}
    for one in fields(kind):  # type: ignore[arg-type]
        value, hint = values[one.name], hints[one.name]
        if is_dataclass(hint) and isinstance(hint, type):
            value = _built(hint, value)
        elif isinstance(value, list):
            value = tuple(value)
        elif isinstance(value, str) and Path in get_args(hint):
            value = Path(value)
        found[one.name] = value
    return kind(**found)

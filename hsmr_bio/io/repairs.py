"""Decoration of text tables that is read with a note, as OpenSim reads it: wrong counts, repeated rows, zeros for gaps."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

import numpy as np

from ..types import BoolArray, FloatArray

_LOG = logging.getLogger(__name__)
_SHOWN_CHARACTERS = 40
"""Longest part of a name or cell in a message."""
_MOST_DIGITS = 18
"""Longer counts are not compared."""


def shown(text: str) -> str:
    """Shorten a name or cell for a message."""
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."


def say(path: str | os.PathLike[str], text: str) -> None:
    """Log what was done to read a file.

    Args:
        path: the file.
        text: the note.
    """
    _LOG.warning("%s: %s", os.fspath(path), text)


def compare_count(path: str | os.PathLike[str], key: str, stated: str | None, found: int) -> None:
    """Note a count in a header that is not that of the file; complete rows are read whatever it says.

    Args:
        path: for the note.
        key: of the header, such as ``nRows``.
        stated: its value; None if it is missing.
        found: the count.
    """
    if stated is not None and stated.isdecimal() and len(stated) <= _MOST_DIGITS and int(stated) != found:
        say(path, f"the header says {key}={stated}, there are {found}; all are read")


def without_repeats(path: str | os.PathLike[str], time_s: FloatArray, values: FloatArray) -> BoolArray:
    """Find the rows that do not repeat the row before them, time included.

    Args:
        path: for the note.
        time_s: (T,).
        values: (T, N) with whatever counts.

    Returns:
        (T,) bool: rows to keep.
    """
    keep = np.ones(len(time_s), dtype=np.bool_)
    for row in np.flatnonzero(np.diff(time_s) == 0) + 1:
        keep[row] = not np.array_equal(values[row], values[row - 1], equal_nan=True)
    dropped = int((~keep).sum())
    if dropped:
        say(
            path,
            f"{dropped} row{'s' if dropped > 1 else ''} repeated the row before, and {'are' if dropped > 1 else 'is'} left out",
        )
    return np.asarray(keep)


def repeated_columns(
    path: str | os.PathLike[str], names: Sequence[str], values: FloatArray
) -> tuple[list[int], dict[int, str]]:
    """Find columns that may stay, where several have one name.

    Args:
        path: for the note.
        names: N column names.
        values: (T, N).

    Returns:
        Columns that stay: the first of each name. Others of the same name whose values differ: column -> name.
    """
    first: dict[str, int] = {}
    other: dict[int, str] = {}
    for column, name in enumerate(names):
        if name in first and not np.array_equal(values[:, column], values[:, first[name]], equal_nan=True):
            other[column] = name
        first.setdefault(name, column)
    twice = len([name for name in names if name]) - len([name for name in first if name])
    if twice:
        name = next(name for name in first if name and list(names).count(name) > 1)
        say(path, f"several columns are called {shown(name)!r}{' and others' if twice > 1 else ''}: the first counts")
    return list(first.values()), other


def unseen_zeros(positions: FloatArray) -> tuple[FloatArray, tuple[str, ...]]:
    """Take points at exactly 0 0 0 for not seen, where others are elsewhere: capture programs write gaps so.

    Args:
        positions: (T, P, 3) in any unit and axes, NaN where not seen.

    Returns:
        The positions with NaN for these zeros, and a note with the count if there were any.
    """
    zero = (positions == 0).all(axis=-1)
    elsewhere = np.isfinite(positions).all(axis=-1) & ~zero
    if not zero.any() or not elsewhere.any():
        return positions, ()
    points = int(zero.any(axis=0).sum())
    note = f"{int(zero.sum())} positions of exactly 0 0 0 ({points} points) are read as not seen"
    return np.where(zero[..., None], np.nan, positions), (note,)

"""Rows of several people: one row per detection, told apart by an identity, with the video frame as the clock.

A file that holds several people without an identity is an error: they are never joined to one person.

Source:
    CoMotion (Newell et al. 2025), TRAM (Wang et al. 2024), PromptHMR (Wang et al. 2025), SMPLer-X (Cai et al. 2023): names of
    the stored identities and frame numbers, as facts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hsmr_bio.errors import FormatError
from hsmr_bio.types import FloatArray

Stored = Mapping[Any, Any]
"""Arrays, numbers and text by name, as a file holds them."""
ID_KEYS = ("id", "ids", "track_id", "track_ids", "person_id", "person_ids", "subject_id", "subject_ids", "tracked_ids", "pid")
"""Keys of an identity per row."""
FRAME_KEYS = ("frame_ids", "frame_indices", "frame_idx", "frame_idxs", "frame_id", "frame", "frames", "frame_number")
"""Keys of the video frame of each row."""
CLOCK = "frame_ids"
"""Key under which the frame numbers are stored after the rows are separated."""


def separate(path: Path, stored: Stored, rows: int) -> list[Stored]:
    """Separate the people of a mapping whose arrays have one row per detection.

    Args:
        path: of the file, for messages.
        stored: arrays by name.
        rows: number of detections.

    Returns:
        One mapping per person, longest first, rows in the order of their frames; the mapping itself if it holds one person.

    Raises:
        FormatError: identities or frame numbers do not fit the rows, or a person has two rows in a frame.
    """
    found = _column(path, stored, ID_KEYS, rows)
    frames = frame_numbers(path, stored, rows)
    if found is None:
        _once_a_frame(path, frames, "several people, but nothing in the file says who is who")
        return [_picked(stored, np.argsort(frames), rows, frames)] if frames is not None else [stored]
    people = list(dict.fromkeys(found.tolist()))
    if len(people) > 1 and frames is None:
        raise FormatError(path, None, f"rows of {len(people)} people without frame numbers ({', '.join(FRAME_KEYS[:3])} ...)")
    separated = []
    for person in people:
        index = np.flatnonzero(found == person)
        if frames is None:
            return [stored]
        _once_a_frame(path, frames[index], f"person {person} has two rows in one frame")
        separated.append(_picked(stored, index[np.argsort(frames[index])], rows, frames))
    return sorted(separated, key=lambda person: -len(person[CLOCK]))


def stacked(path: Path, rows: Sequence[Stored], keys: Sequence[str]) -> Stored:
    """Stack single detections to one mapping of arrays.

    Args:
        path: of the file, for messages.
        rows: one mapping per detection.
        keys: of the values to keep; identities and frame numbers are kept too.

    Returns:
        Arrays by name, a row each detection.

    Raises:
        FormatError: a value is missing in some rows, or its shape changes.
    """
    known = [key for key in (*keys, *ID_KEYS, *FRAME_KEYS) if key in rows[0]]
    result: dict[str, Any] = {}
    for key in dict.fromkeys(known):
        lacking = next((number for number, row in enumerate(rows) if row.get(key) is None), None)
        if lacking is not None:
            raise FormatError(path, f"row {lacking}", f"it has no {key}, the first row has")
        values = [np.asarray(row[key]) for row in rows]
        if len({value.shape for value in values}) > 1:
            raise FormatError(path, str(key), "its shape changes from row to row")
        result[str(key)] = np.stack(values)
    return result


def frame_numbers(path: Path, stored: Stored, rows: int) -> FloatArray | None:
    """Return the video frame of each row.

    Args:
        path: of the file, for messages.
        stored: arrays by name.
        rows: number of rows.

    Returns:
        (rows,) frame numbers; None if the file has none.

    Raises:
        FormatError: numbers that do not fit the rows, or are no numbers.
    """
    found = _column(path, stored, FRAME_KEYS, rows)
    if found is None:
        return None
    try:
        numbers = found.astype(np.float64)
    except (TypeError, ValueError):
        raise FormatError(path, "frame numbers", f"they are no numbers, the first is {str(found[0])[:40]!r}") from None
    if not np.isfinite(numbers).all():
        raise FormatError(path, "frame numbers", "not all of them are finite")
    return numbers


def _column(path: Path, stored: Stored, keys: Sequence[str], rows: int) -> np.ndarray[Any, Any] | None:
    """The values of the first of the keys that has one for each row; a single value for several rows is no column."""
    for key in keys:
        value = stored.get(key)
        if value is None or isinstance(value, Mapping | str | bytes):
            continue
        column = np.asarray(value)
        if column.dtype == object or (column.size == 1 and rows != 1):
            continue
        if column.size != rows:
            raise FormatError(
                path, key, f"{column.size} {'frame numbers' if keys is FRAME_KEYS else 'identities'}, {rows} poses"
            )
        return column.reshape(-1)
    return None


def _once_a_frame(path: Path, frames: FloatArray | None, problem: str) -> None:
    if frames is None:
        return
    numbers, counts = np.unique(frames, return_counts=True)
    if (counts > 1).any():
        twice = numbers[counts > 1][0]
        raise FormatError(path, f"frame {twice:g}", f"{counts[counts > 1][0]} rows: {problem}")


def _picked(stored: Stored, index: np.ndarray[Any, Any], rows: int, frames: FloatArray) -> Stored:
    """Some rows of all arrays that have one per detection; what belongs to no row is kept whole."""
    result: dict[Any, Any] = {}
    for key, value in stored.items():
        per_row = (
            isinstance(value, np.ndarray) and value.ndim > 0 and len(value) == rows and (value.ndim > 1 or key not in _SINGLE)
        )
        result[key] = value[index] if per_row else value
    return {**{key: value for key, value in result.items() if key not in FRAME_KEYS}, CLOCK: frames[index]}


_SINGLE = ("betas", "beta", "shape", "pred_shape")
"""One row of these is a shape of ten numbers, not ten rows."""

"""2-D keypoints of people in a video, as other detectors store them: a row for each person in each frame."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hsmr_bio.arrays import freeze
from hsmr_bio.body.keypoint_table import point_names
from hsmr_bio.errors import FormatError, InputError, ShapeError
from hsmr_bio.types import FloatArray

Integers = npt.NDArray[np.int64]
UNKNOWN = -1
"""Number of a person whom the file does not identify."""
_MOST_PX = 1e6
"""Larger coordinates are no pixels of a picture."""
_MOST_FRAMES = 10_000_000
"""Frames of a video; a day at 100 Hz has fewer."""
_NORMALISED = 2.0
"""Coordinates that never exceed this are shares of the picture, not pixels."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Detections:
    """Everything that a detector reported of one video, D detections of K points each."""

    keypoint_set: str
    """Name of a shipped keypoint set."""
    frame: Integers
    """(D,) number of the frame of each detection, from 0 or as the files count."""
    keypoints_px: FloatArray
    """(D, K, 2); NaN for a point that was not seen."""
    confidence: FloatArray
    """(D, K) in [0, 1]; 0 for a point that was not seen."""
    person: Integers
    """(D,) number of the person; ``UNKNOWN`` where the file gives none."""
    frames: Integers
    """(F,) numbers of all frames that the file speaks of, increasing; also of those without anybody."""
    tool: str
    """The detector or the layout of the file, for reports."""
    notes: tuple[str, ...] = ()
    """How values that the file does not state were determined."""

    def __post_init__(self) -> None:
        count = len(self.frame)
        points = len(point_names(self.keypoint_set))
        freeze(self, {"keypoints_px": (count, points, 2)}, allow_nan=True)
        freeze(self, {"confidence": (count, points)})
        if self.person.shape != (count,) or np.any(np.diff(self.frames) <= 0) or not np.isin(self.frame, self.frames).all():
            raise ShapeError("detections need a person each, and frames that increase and contain the frame of each detection")


@dataclass
class Rows:
    """Detections, while a file is read."""

    path: Path
    frame: list[int]
    person: list[int]
    values: list[FloatArray]
    """(K, 3) x, y and confidence of each detection."""

    @classmethod
    def of(cls, path: Path) -> Rows:
        """No detections yet."""
        return cls(path, [], [], [])

    def add(self, frame: int, person: int, values: FloatArray) -> None:
        """Append one detection.

        Args:
            frame: number of the frame.
            person: number of the person, or ``UNKNOWN``.
            values: (K, 3) x, y and confidence.
        """
        self.frame.append(frame)
        self.person.append(person)
        self.values.append(values)

    def finished(
        self,
        keypoint_set: str,
        frames: Sequence[int],
        tool: str,
        columns: Sequence[int] | slice = slice(None),
        notes: tuple[str, ...] = (),
    ) -> Detections:
        """Check all detections.

        Args:
            keypoint_set: name of the set of the columns.
            frames: numbers of all frames.
            tool: for reports.
            columns: of the values that are the points of the set, in order; -1 for a point that the file does not have.
            notes: of the reader.

        Returns:
            The detections, with absent points as NaN and identities only where they are usable.

        Raises:
            FormatError: nobody in any frame, or coordinates that are not pixels.
        """
        if not self.values:
            raise FormatError(self.path, None, f"nobody was detected in any of the {len(frames)} frames")
        if min(frames) < 0 or max(frames) - min(frames) > _MOST_FRAMES:
            raise FormatError(
                self.path, None, f"frames numbered {min(frames)} to {max(frames)}: numbers of frames from 0 were expected"
            )
        values = np.stack(self.values).astype(np.float64)
        values = np.concatenate([values, np.full((len(values), 1, 3), np.nan)], axis=1)[:, columns]
        px, confidence = values[..., :2], np.nan_to_num(np.clip(values[..., 2], 0.0, 1.0))
        if np.any(np.abs(px[np.isfinite(px)]) > _MOST_PX):
            raise FormatError(self.path, None, f"a coordinate of more than {_MOST_PX:g}: pixels of a picture were expected")
        absent = ~np.isfinite(px).all(axis=2) | (confidence == 0) | (px == 0).all(axis=2)
        px, confidence = np.where(absent[..., None], np.nan, px), np.where(absent, 0.0, confidence)
        if absent.all():
            raise FormatError(self.path, None, f"no point was seen in any of the {len(frames)} frames")
        if np.nanmax(np.abs(px)) < _NORMALISED:
            raise FormatError(self.path, None, "all coordinates are shares of the picture (0 to 1): write pixels instead")
        somebody = ~absent.all(axis=1)
        person, problem = _usable_identities(np.array(self.frame, dtype=np.int64), np.array(self.person, dtype=np.int64))
        return Detections(
            keypoint_set=keypoint_set,
            frame=np.array(self.frame, dtype=np.int64)[somebody],
            keypoints_px=px[somebody],
            confidence=confidence[somebody],
            person=person[somebody],
            frames=np.unique(np.array(frames, dtype=np.int64)),
            tool=tool,
            notes=(*notes, *problem),
        )


def _usable_identities(frame: Integers, person: Integers) -> tuple[Integers, tuple[str, ...]]:
    """Numbers of people, all unknown if they do not tell the people of one frame apart; and a note of that."""
    known = person != UNKNOWN
    pairs = np.stack([frame[known], person[known]], axis=1)
    if len(np.unique(pairs, axis=0)) == len(pairs) and known.all():
        return person, ()
    unknown = np.full_like(person, UNKNOWN)
    return unknown, ("the file's numbers of people do not tell them apart: not used",) if known.any() else ()


def load_json(path: Path) -> Any:  # noqa: ANN401 (any JSON value)
    """Read a JSON file.

    Raises:
        FormatError: no JSON, cut off, or not text.
        InputError: no such file.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise FormatError(path, None, f"this is not JSON, or it is cut off ({error})") from None


def triples(path: Path, where: str, values: object) -> FloatArray:
    """Convert x, y and confidence of the points of a person, one after the other.

    Args:
        path: of the file, for messages.
        where: place in the file, for messages.
        values: 3 K numbers, or K lists of three.

    Returns:
        (K, 3); NaN where the file has none (NaN or null).

    Raises:
        FormatError: no numbers, or not three for each point.
    """
    array = number_array(path, where, values).ravel()
    if array.size % 3:
        raise FormatError(path, where, f"{array.size} numbers: x, y and confidence of each point were expected")
    return array.reshape(-1, 3)


def number_array(path: Path, where: str, values: object) -> FloatArray:
    """Convert nested lists of numbers.

    Args:
        path: of the file, for messages.
        where: place in the file, for messages.
        values: from JSON; null is NaN.

    Returns:
        An array of any shape.

    Raises:
        FormatError: no numbers, or lists of unequal length.
    """
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise FormatError(path, where, "lists of numbers were expected") from None
    return array


def whole_number(value: object) -> int | None:
    """Return a whole number that JSON may hold as 3, 3.0, "3" or [3]; None for anything else."""
    if isinstance(value, list):
        return whole_number(value[0]) if len(value) == 1 else None
    try:
        number = float(value)  # type: ignore[arg-type]  # what is no number raises
    except (TypeError, ValueError):
        return None
    return int(number) if number == np.floor(number) and abs(number) < 2**53 else None

"""Keypoints in space as tables: a row per frame (``left_hip_x`` ...), or a row per frame and keypoint (FreeMoCap's tidy files).

Source:
    FreeMoCap 1.8 and 2 (skellyforge), SAM3DBody-cpp: names of the columns, as facts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hsmr_bio.errors import FormatError, require
from hsmr_bio.io.repairs import unseen_zeros
from hsmr_bio.types import FloatArray

from .joint_names import joint_of

if TYPE_CHECKING:
    import pandas as pd

_FRAME_COLUMNS = ("frame", "frame_number", "frame_idx", "frame_id", "frame_index")
_PERSON_COLUMNS = ("id", "person", "person_id", "track_id", "subject", "skeleton")
_TIME_COLUMNS = ("time", "time_s", "timestamp", "timestamps", "time_seconds")
_TRAJECTORIES = ("rigid_3d_xyz", "3d_xyz")
"""Trajectories of FreeMoCap's tidy files that are positions of the body, the best first."""
_HEAD_BYTES = 1 << 16
_STEPS_S = (1e-4, 2.0)
"""Bounds of the step of a clock in seconds; others are counts or nanoseconds."""


@dataclass(frozen=True, eq=False, kw_only=True)
class KeypointTable:
    """Joint centres of a table, N rows."""

    joints: dict[str, FloatArray]
    """(N, 3) by joint centre, in the table's unit and axes; NaN where not seen."""
    frames: FloatArray
    """(N,) frame numbers; the row's number where the table has none."""
    people: list[Any]
    """N identities; None where the table has none."""
    time_s: FloatArray | None
    """(N,) from the first row on, if the table has a clock in seconds."""
    notes: tuple[str, ...]


def table_head(path: Path) -> str:
    """Return the first line of a text file; empty if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES).split(b"\n", 1)[0].decode("utf-8-sig", errors="replace")
    except OSError:
        return ""


def read_wide(path: Path, *, suffixes: Sequence[str] = ("_x", "_y", "_z")) -> KeypointTable:
    """Read a table with three columns per keypoint.

    Args:
        path: ``.csv`` or ``.parquet``.
        suffixes: of the columns of a keypoint.

    Returns:
        The joint centres.

    Raises:
        FormatError: no table, no joints, or cells that are no numbers.
        MissingDependencyError: ``.parquet`` without pyarrow.
    """
    table = _load(path)
    low = {str(name).strip().lower(): name for name in table.columns}
    ends = [suffix.lower() for suffix in suffixes]
    joints: dict[str, list[Any]] = {}
    for name in low:
        stem = name.removesuffix(ends[0])
        joint = joint_of(stem) if name.endswith(ends[0]) else None
        if joint is not None and all(stem + end in low for end in ends):
            joints.setdefault(joint, [low[stem + end] for end in ends])
    if not joints:
        raise FormatError(path, None, f"no joints: columns such as left_hip{suffixes[0]} are expected")
    values = np.stack([_numbers(path, table, columns) for columns in joints.values()], axis=1)
    return _table(path, table, low, dict(zip(joints, range(len(joints)), strict=True)), values)


def read_tidy(path: Path) -> KeypointTable:
    """Read a table with a row per frame and keypoint: ``frame``, ``keypoint``, ``x``, ``y``, ``z``, perhaps ``trajectory``.

    Args:
        path: ``.csv`` or ``.parquet``.

    Returns:
        The joint centres.

    Raises:
        FormatError: no such table, or a keypoint twice in a frame.
        MissingDependencyError: ``.parquet`` without pyarrow.
    """
    table = _load(path)
    table.columns = [str(name).strip().lower() for name in table.columns]
    needed = ("frame", "keypoint", "x", "y", "z")
    missing = [name for name in needed if name not in table.columns]
    if missing:
        raise FormatError(path, None, f"columns {', '.join(needed)} are expected, {', '.join(missing)} is missing")
    if "trajectory" in table.columns:
        chosen = next((name for name in _TRAJECTORIES if (table["trajectory"] == name).any()), None)
        table = table[table["trajectory"] == chosen] if chosen is not None else table
    table = table.assign(joint=[joint_of(str(name)) for name in table["keypoint"]]).dropna(subset=["joint"])
    if table.duplicated(["frame", "joint"]).any():
        twice = table[table.duplicated(["frame", "joint"])].iloc[0]
        raise FormatError(path, f"frame {twice['frame']}", f"keypoint {twice['keypoint']} is there twice: several people?")
    numbers = _numbers(path, table, ["frame"])[:, 0]
    if not len(numbers) or not np.isfinite(numbers).all():
        raise FormatError(path, "column frame", "there is no row of a joint, or a row without its frame")
    frames = np.array(sorted(set(numbers.tolist())))
    names = sorted(table["joint"].unique())
    values = np.full((len(frames), len(names), 3), np.nan)
    rows = np.searchsorted(frames, numbers)
    columns = [names.index(name) for name in table["joint"]]
    values[rows, columns] = _numbers(path, table, ["x", "y", "z"])
    first = table.drop_duplicates("frame").sort_values("frame")
    low = {name: name for name in table.columns if name not in ("x", "y", "z", "joint", "keypoint")}
    return _table(path, first, low, {name: index for index, name in enumerate(names)}, values)


def is_tidy(columns: str) -> bool:
    """Tell whether names of columns, in one text, are those of a tidy table."""
    words = {word.strip().strip('"').lower() for word in columns.split(",")}
    return {"frame", "keypoint", "x", "y", "z"} <= words


def parquet_columns(path: Path) -> str:
    """Return the names of a Parquet file's columns in one text, as of a CSV file.

    Raises:
        MissingDependencyError: pyarrow is not installed.
        FormatError: no Parquet file.
    """
    parquet = require("pyarrow.parquet", feature="reading .parquet", extra="parquet")
    try:
        return ",".join(parquet.read_schema(path).names)
    except Exception as error:  # noqa: BLE001, pyarrow's errors have several bases
        raise FormatError(path, None, f"no readable Parquet file ({str(error)[:80]})") from None


def _load(path: Path) -> pd.DataFrame:
    import pandas as pd

    if path.suffix.lower() == ".parquet":
        require("pyarrow", feature="reading .parquet", extra="parquet")
    try:
        return pd.read_parquet(path) if path.suffix.lower() == ".parquet" else pd.read_csv(path, skipinitialspace=True)
    except (ValueError, OSError, pd.errors.ParserError) as error:
        what = re.sub(r"\s+", " ", str(error))[:100]
        raise FormatError(path, None, f"no readable table ({what})") from None


def _numbers(path: Path, table: pd.DataFrame, columns: Sequence[Any]) -> FloatArray:
    import pandas as pd

    values = [pd.to_numeric(table[column], errors="coerce").to_numpy(dtype=np.float64) for column in columns]
    for column, found in zip(columns, values, strict=True):
        wrong = np.isnan(found) & table[column].notna().to_numpy()
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise FormatError(path, f"column {column}, row {row + 2}", f"{str(table[column].iloc[row])[:30]!r} is no number")
    return np.where(np.isfinite(values), values, np.nan).T


def _table(path: Path, table: pd.DataFrame, low: dict[str, Any], order: dict[str, int], values: FloatArray) -> KeypointTable:
    """Joint centres with the clock and identities of a table's rows."""

    def column(names: Sequence[str]) -> pd.Series | None:
        return next((table[low[name]] for name in names if name in low), None)

    values, notes = unseen_zeros(values)
    frames, people, clock = column(_FRAME_COLUMNS), column(_PERSON_COLUMNS), column(_TIME_COLUMNS)
    numbers = np.arange(len(values), dtype=np.float64)
    if frames is not None:
        numbers = _numbers(path, table, [frames.name])[:, 0]
        if not np.isfinite(numbers).all():
            raise FormatError(path, f"column {frames.name}", "a frame has no number")
    return KeypointTable(
        joints={name: values[:, index] for name, index in order.items()},
        frames=numbers,
        people=[None] * len(values) if people is None else list(people),
        time_s=None if clock is None else _seconds(clock),
        notes=notes,
    )


def _seconds(clock: pd.Series) -> FloatArray | None:
    """A clock in seconds that begins at 0; None if it does not look like one."""
    import pandas as pd

    times = pd.to_numeric(clock, errors="coerce").to_numpy(dtype=np.float64)
    steps = np.diff(times)
    if len(steps) == 0 or not np.isfinite(times).all() or not (steps > 0).all():
        return None
    return np.asarray(times - times[0]) if _STEPS_S[0] < np.median(steps) < _STEPS_S[1] else None

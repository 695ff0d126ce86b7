"""Joint positions in space of other programs: Human3.6M's 17 joints (MotionBERT, VideoPose3D) and FreeMoCap's recordings.

Source:
    MotionBERT (Zhu et al. 2023), VideoPose3D (Pavllo et al. 2019), FreeMoCap 1.8 and 2: shapes, units and columns, as facts.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.lib import format as npy_format

from hsmr_bio.errors import FormatError, InputError
from hsmr_bio.fitting.smpl.smpl_motion import Axes
from hsmr_bio.io.repairs import unseen_zeros
from hsmr_bio.io.unpickle import load_numpy
from hsmr_bio.types import FloatArray

from .content import Content, ConvertOptions
from .joint_names import BLAZEPOSE33, H36M17, axes_shown, centres_of, joint_of, pick, require_torso, thigh
from .keypoint_tables import is_tidy, parquet_columns, read_tidy, read_wide, table_head

_H36M_JOINTS = 17
_BODY, _WITH_HANDS = 33, 75
"""Points of BlazePose, alone and before two hands; a face may follow."""
_MILLIMETRES_FROM = 20.0
"""A longer thigh is in millimetres: FreeMoCap writes millimetres, others metres."""


def is_h36m(head: bytes, path: Path) -> bool:
    """Tell whether a file is an array of 17 joints.

    Args:
        head: first bytes of the file.
        path: the file.

    Returns:
        Whether it is.
    """
    return _points_of(head, path) == _H36M_JOINTS


def is_freemocap(head: bytes, path: Path) -> bool:
    """Tell whether a file is an array of BlazePose's points in space, or a table of keypoints in space.

    Args:
        head: first bytes of the file.
        path: the file.

    Returns:
        Whether it is.
    """
    ending = path.suffix.lower()
    if ending == ".npy":
        points = _points_of(head, path)
        return points == _BODY or (points >= _WITH_HANDS and points != 127)
    if ending == ".csv":
        columns = table_head(path)
        return is_tidy(columns) or _has_wide_joints(columns)
    return ending == ".parquet" and head[:4] == b"PAR1"


def from_h36m(path: Path, options: ConvertOptions) -> Content:
    """Read 17 joints of unknown size.

    Args:
        path: ``.npy`` of shape (T, 17, 3).
        options: ``rate_hz``, ``axes``.

    Returns:
        Joint centres of one person.

    Raises:
        FormatError: several people, NaN, or damaged.
        InputError: no rate, or the vertical is not clear.
    """
    joints = pick(_array(path, (_H36M_JOINTS, _H36M_JOINTS)), H36M17)
    note = {"size": "unknown in the file: of the given stature, else of the population"}
    time_s = _times(path, len(joints["hip_r"]), options)
    axes = _axes(path, joints, options)
    centres = centres_of(joints, time_s, axes=axes, source=f"Human3.6M joints {path.name}", metric=False, notes=note)
    return Content(name=path.stem, joints=(centres,), notes=(f"axes: {axes}", f"size {note['size']}"))


def from_freemocap(path: Path, options: ConvertOptions) -> Content:
    """Read a recording of FreeMoCap.

    Args:
        path: ``skeleton_3d.npy``, ``*_body_3d_xyz.csv``, or the tidy ``*_by_frame.csv`` and ``.parquet``.
        options: ``rate_hz``, ``axes``.

    Returns:
        Joint centres of one person.

    Raises:
        FormatError: no hips and shoulders, several people, or damaged.
        InputError: no rate, or the vertical is not clear.
    """
    time_s: FloatArray | None = None
    if path.suffix.lower() == ".npy":
        positions, notes = unseen_zeros(_array(path, (_BODY, 10**6), allow_nan=True))
        joints = pick(positions, BLAZEPOSE33)
        frames = np.arange(len(positions), dtype=np.float64)
    else:
        columns = parquet_columns(path) if path.suffix.lower() == ".parquet" else table_head(path)
        table = read_tidy(path) if is_tidy(columns) else read_wide(path)
        joints, frames, notes, time_s = table.joints, table.frames, table.notes, table.time_s
        if len(set(frames.tolist())) < len(frames) or len(set(table.people)) > 1:
            raise FormatError(path, None, "several people: rows of one frame, or several identities")
    require_torso(path, joints)
    unit = 1e-3 if "knee_r" in joints and "knee_l" in joints and thigh(joints) > _MILLIMETRES_FROM else 1.0
    joints = {name: value * unit for name, value in joints.items()}
    if options.rate_hz is not None or time_s is None:
        time_s = _times(path, len(frames), options, frames)
    axes = _axes(path, joints, options)
    centres = centres_of(joints, time_s, axes=axes, source=f"FreeMoCap {path.name}")
    return Content(name=path.stem, joints=(centres,), notes=(f"axes: {axes}", f"unit: {'mm' if unit < 1 else 'm'}", *notes))


def _points_of(head: bytes, path: Path) -> int:
    """Number of points of an array (T, K, 3) of numbers, perhaps in an axis of one person; 0: another file."""
    if path.suffix.lower() != ".npy" or not head.startswith(npy_format.MAGIC_PREFIX):
        return 0
    try:
        with path.open("rb") as file:
            version = npy_format.read_magic(file)
            read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
            shape, _, dtype = read(file)
    except (ValueError, OSError):
        return 0
    return int(shape[-2]) if len(shape) in (3, 4) and shape[-1] == 3 and dtype.kind in "fiu" else 0


def _has_wide_joints(columns: str) -> bool:
    names = [name.strip().strip('"').lower() for name in columns.split(",")]
    return sum(name.endswith("_x") and joint_of(name[:-2]) is not None for name in names) > 3


def _array(path: Path, points: tuple[int, int], *, allow_nan: bool = False) -> FloatArray:
    """(T, K, 3) of one person, with a number of points between two bounds."""
    content = load_numpy(path)
    if not isinstance(content, np.ndarray) or content.dtype.kind not in "fiu":
        raise FormatError(path, None, "an array of numbers is expected")
    array = np.asarray(content, dtype=np.float64)
    if array.ndim not in (3, 4) or array.shape[-1] != 3 or not points[0] <= array.shape[-2] <= points[1]:
        raise FormatError(path, None, f"expected shape (T, {points[0]}, 3), got {array.shape}")
    if array.ndim == 4:
        if 1 not in array.shape[:2]:
            raise FormatError(path, None, f"shape {array.shape}: people and frames in an unknown order; give one person's file")
        array = array.reshape(-1, *array.shape[2:])
    if len(array) == 0:
        raise FormatError(path, None, "there is no frame")
    if not allow_nan and not np.isfinite(array).all():
        raise FormatError(path, None, f"{int((~np.isfinite(array)).sum())} of {array.size} values are NaN or infinite")
    return np.where(np.isfinite(array), array, np.nan)


def _times(path: Path, count: int, options: ConvertOptions, frames: FloatArray | None = None) -> FloatArray:
    if options.rate_hz is None and count > 1:
        raise InputError(f"{path}: the file does not store its frame rate: give it (--rate-hz)")
    return np.asarray((np.arange(count) if frames is None else frames) / (options.rate_hz or 1.0))


def _axes(path: Path, joints: Mapping[str, FloatArray], options: ConvertOptions) -> Axes:
    if options.axes != "auto":
        return options.axes
    try:
        return axes_shown(joints)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None

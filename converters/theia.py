"""C3D files of segment poses without points, as Theia3D writes them: joint centres and segments for the fit.

Source:
    Visual3D documentation, rotation data type: a 4 x 4 matrix per segment from its own axes to the laboratory's. Theia3D
    documentation: names of the segments, whose origins are at their proximal joints; millimetres, z up.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hsmr_bio.errors import FormatError
from hsmr_bio.fitting.video.joint_data import JointCentres, Segment
from hsmr_bio.io.c3d import open_c3d
from hsmr_bio.types import FloatArray, Markers

from .c3d import rate_of, text_of, unit_of
from .c3d_axes import Evidence, turn_to_y_up
from .c3d_capture import listed
from .content import Content, ConvertOptions

_CENTRE_OF_SEGMENT = {
    "thigh": "hip",
    "shank": "knee",
    "foot": "ankle",
    "toes": "toe",
    "uarm": "shoulder",
    "larm": "elbow",
    "hand": "wrist",
}
"""Segment, without its side -> joint centre at its origin."""
_BONE_OF_SEGMENT = {
    "pelvis": "pelvis",
    "torso": "thorax",
    "head": "head",
    **{f"{side}_{segment}": f"{bone}_{side}" for side in "rl" for segment, bone in (("thigh", "femur"), ("shank", "tibia"))},
    **{f"{side}_{segment}": f"{bone}_{side}" for side in "rl" for segment, bone in (("foot", "calcn"), ("toes", "toes"))},
    **{f"{side}_{segment}": f"{bone}_{side}" for side in "rl" for segment, bone in (("uarm", "humerus"), ("hand", "hand"))},
}
"""Segment -> SKEL bone that it moves with. The forearm is left out: programs differ in whether it turns with the hand."""
_SUFFIX = "_4x4"
_LEAST_TURN = 0.5
"""Least determinant of the rotation part of a valid pose; programs write zeros for frames without one."""


def from_theia(path: Path, options: ConvertOptions) -> Content:
    """Read segment poses as joint centres.

    Args:
        path: the file.
        options: ``up``.

    Returns:
        Joint centres of one person, with segments.

    Raises:
        FormatError: no poses, labels or matrices that do not fit, or no hips and shoulders among the segments.
        InputError: the vertical axis is not clear.
    """
    content = open_c3d(path, feature="reading .c3d")
    if not np.asarray(content["data"]["rotations"]).size:
        raise FormatError(path, None, "the file holds neither points nor segment poses (ROTATION)")
    parameters = content["parameters"]
    matrices = np.asarray(content["data"]["rotations"], dtype=np.float64).transpose(3, 2, 0, 1)  # (T, S, 4, 4)
    labels = [str(label).strip().lower().removesuffix(_SUFFIX) for label in listed(parameters, "ROTATION", "LABELS")]
    if len(labels) != matrices.shape[1]:
        raise FormatError(path, "ROTATION:LABELS", f"{len(labels)} labels for {matrices.shape[1]} segments")
    origins = np.array(matrices[:, :, :3, 3]) * unit_of(path, parameters)
    turns = np.array(matrices[:, :, :3, :3])
    bad = ~np.isfinite(matrices).all(axis=(-1, -2)) | (np.abs(np.nan_to_num(np.linalg.det(np.nan_to_num(turns)))) < _LEAST_TURN)
    origins[bad], turns[bad] = np.nan, np.nan
    names, columns = _centres(path, labels)
    stated = text_of(parameters, "POINT", "Y_SCREEN") or "+z"
    evidence = Evidence(path=path, stated=stated, positions_m=origins[:, columns], names=names, corners_m=np.zeros((0, 4, 3)))
    to_y_up, note = turn_to_y_up(evidence, options.up)
    rate_hz, first = _clock(path, content, len(origins))
    markers = Markers(
        time_s=(first + np.arange(len(origins))) / rate_hz, names=names, positions_m=origins[:, columns] @ to_y_up.T
    )
    centres = JointCentres(
        markers=markers,
        segments=_segments(labels, origins @ to_y_up.T, to_y_up @ turns),
        source=f"segment poses {path.name}",
    )
    left_out = [label for label in labels if label not in _BONE_OF_SEGMENT and label[2:] not in _CENTRE_OF_SEGMENT]
    lost = (f"segments without a bone of their own: {', '.join(left_out)}",) if left_out else ()
    return Content(name=path.stem, joints=(centres,), lost=lost, notes=(f"vertical axis {note}",))


def _centres(path: Path, labels: list[str]) -> tuple[tuple[str, ...], list[int]]:
    """Names of the joint centres, and the columns of the segments whose origins they are."""
    found: dict[str, int] = {}
    for column, label in enumerate(labels):
        side, _, segment = label.partition("_")
        if side in ("l", "r") and segment in _CENTRE_OF_SEGMENT:
            found.setdefault(f"{_CENTRE_OF_SEGMENT[segment]}_{side}", column)
    missing = [name for name in ("hip_r", "hip_l", "shoulder_r", "shoulder_l") if name not in found]
    if missing:
        problem = f"{', '.join(missing)}: thighs and upper arms are needed; there are {', '.join(labels[:12])}"
        raise FormatError(path, "ROTATION:LABELS", problem)
    return tuple(found), list(found.values())


def _segments(labels: list[str], origins_m: FloatArray, turns: FloatArray) -> tuple[Segment, ...]:
    columns: dict[str, int] = {}
    for column, label in enumerate(labels):
        if label in _BONE_OF_SEGMENT:
            columns.setdefault(label, column)
    return tuple(
        Segment(bone=_BONE_OF_SEGMENT[label], origins_m=origins_m[:, column], rotations=turns[:, column])
        for label, column in columns.items()
        if np.isfinite(origins_m[:, column]).any()
    )


def _clock(path: Path, content: Any, frames: int) -> tuple[float, int]:
    """Rate of the poses and the number of the first one."""
    header = content["header"]["points"]
    first = int(header["first_frame"])
    ratio = max(1, round(frames / max(1, int(header["last_frame"]) - first + 1)))
    return rate_of(path, content["parameters"]) * ratio, first * ratio

"""MMPose's JSON: ``{"meta_info": ..., "instance_info": [{"frame_id": 1, "instances": [{"keypoints", "keypoint_scores"}]}]}``.

The inferencer of MMPose writes the list alone, and for one picture the instances alone. ``frame_id`` counts from 1 in the demo
and from 0 in the inferencer.

Source:
    MMPose 1.x, demo scripts and inferencer, as facts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hsmr_bio.errors import FormatError
from hsmr_bio.types import FloatArray

from .content import Content, ConvertOptions
from .detections import UNKNOWN, Detections, Rows, load_json, number_array, whole_number
from .keypoint_layouts import BY_NAME_SET, columns_by_name, layout_of

_IDENTITIES = ("track_id", "instance_id")


def is_mmpose(head: bytes, _path: Path) -> bool:
    """Recognise MMPose's results.

    Args:
        head: first bytes of a file.
        _path: the file.

    Returns:
        Whether it is one of them.
    """
    start = head.lstrip()
    words = (b'"meta_info"', b'"instance_info"', b'"instances"', b'"keypoint_scores"')
    return start[:1] in (b"{", b"[") and (any(word in start for word in words) or _lists_of_points(start))


def _lists_of_points(start: bytes) -> bool:
    """Whether a list of people begins with the points of the first, a list each."""
    return b"".join(start.split()).startswith((b'[{"keypoints":[[', b'[[{"keypoints":[['))


def from_mmpose(path: Path, options: ConvertOptions) -> Content:
    """Read 2-D keypoints as a format.

    Args:
        path: a ``.json``.
        options: ``keypoint_set``.

    Returns:
        The detections.

    Raises:
        FormatError: see :func:`read_mmpose`.
    """
    return Content(name=path.stem, detections=read_mmpose(path, keypoint_set=options.keypoint_set))


def read_mmpose(path: Path, *, keypoint_set: str | None = None) -> Detections:
    """Read the people of all frames.

    Args:
        path: the ``.json``.
        keypoint_set: order of the points; None: by the names in the file, else by their number.

    Returns:
        The detections; frames count from 0.

    Raises:
        FormatError: not MMPose's JSON, an unknown number of points, or nobody at all.
    """
    content = load_json(path)
    listed = content.get("instance_info") if isinstance(content, dict) else content
    meta = content.get("meta_info") if isinstance(content, dict) else None
    if not isinstance(listed, list):
        raise FormatError(path, None, 'this is not MMPose\'s JSON: {"instance_info": [...]} was expected')
    if listed and all(isinstance(entry, dict) and "keypoints" in entry for entry in listed):
        listed = [{"instances": listed}]
    rows, frames = Rows.of(path), []
    for number, entry in enumerate(listed):
        frame = whole_number(entry.get("frame_id")) if isinstance(entry, dict) else None
        frames.append(number if frame is None else frame)
        instances = entry.get("instances") if isinstance(entry, dict) else entry
        if not isinstance(instances, list):
            raise FormatError(path, f"frame {number}", "it has no list of instances")
        for index, instance in enumerate(instances):
            where = f"frame {number}, instance {index}"
            rows.add(frames[-1], _identity(instance), _values(path, where, instance))
    if len(set(frames)) < len(frames):
        raise FormatError(path, None, "two entries have the same frame_id")
    if not rows.values:
        raise FormatError(path, None, f"nobody was detected in any of the {len(frames)} frames")
    first = min(frames) if min(frames) in (0, 1) else 0
    rows.frame, frames = [frame - first for frame in rows.frame], [frame - first for frame in frames]
    names = _names(meta, len(rows.values[0]))
    if keypoint_set is None and names is not None and len({len(values) for values in rows.values}) == 1:
        columns, notes = columns_by_name(path, names)
        return rows.finished(BY_NAME_SET, frames, "MMPose JSON, points by name", columns, notes)
    layout = layout_of(path, rows.values, keypoint_set)
    return rows.finished(layout.keypoint_set, frames, f"MMPose JSON, {layout.name}", layout.columns)


def _identity(instance: Any) -> int:  # noqa: ANN401 (any JSON value)
    if not isinstance(instance, dict):
        return UNKNOWN
    numbers = [whole_number(instance.get(name)) for name in _IDENTITIES]
    return next((number for number in numbers if number is not None), UNKNOWN)


def _values(path: Path, where: str, instance: Any) -> FloatArray:  # noqa: ANN401 (any JSON value)
    """(K, 3) x, y and confidence of one person."""
    if not isinstance(instance, dict) or "keypoints" not in instance:
        raise FormatError(path, where, "it has no keypoints")
    points = number_array(path, where, instance["keypoints"])
    if points.ndim != 2 or points.shape[1] not in (2, 3):
        raise FormatError(path, where, f"keypoints must be K pairs of pixels, got shape {points.shape}")
    scores = instance.get("keypoint_scores")
    if scores is None:
        if points.shape[1] == 2:
            raise FormatError(path, where, "it has no keypoint_scores")
        return points
    sure = number_array(path, where, scores).ravel()
    if len(sure) != len(points):
        raise FormatError(path, where, f"{len(points)} keypoints, but {len(sure)} keypoint_scores")
    return np.column_stack([points[:, :2], sure])


def _names(meta: Any, count: int) -> list[str] | None:  # noqa: ANN401 (any JSON value)
    """Names of the points that the file states, if it states them all."""
    table = meta.get("keypoint_id2name") if isinstance(meta, dict) else None
    if not isinstance(table, dict):
        return None
    names = [table.get(str(index)) for index in range(count)]
    return [str(name) for name in names] if all(isinstance(name, str) for name in names) else None

"""AlphaPose's JSON: a list of ``{"image_id": "0.jpg", "category_id", "keypoints": [x, y, confidence, ...], "score", "idx"}``.

COCO's results files have the same keys. ``idx`` is the person's number if AlphaPose was told to track, else 0 for everybody.
Frames without anybody are not in the file.

Source:
    AlphaPose (Fang et al. 2022), output documentation, as facts.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hsmr_bio.errors import FormatError

from .content import Content, ConvertOptions
from .detections import UNKNOWN, Detections, Rows, load_json, triples, whole_number
from .keypoint_layouts import layout_of

_NUMBER = re.compile(r"(\d+)\D*")
"""The last number in a picture's name."""


def is_alphapose(head: bytes, _path: Path) -> bool:
    """Recognise AlphaPose's results.

    Args:
        head: first bytes of a file.
        _path: the file.

    Returns:
        Whether it is one of them.
    """
    return head.lstrip()[:1] == b"[" and b'"image_id"' in head


def from_alphapose(path: Path, options: ConvertOptions) -> Content:
    """Read 2-D keypoints as a format.

    Args:
        path: a ``.json``.
        options: ``keypoint_set``.

    Returns:
        The detections.

    Raises:
        FormatError: see :func:`read_alphapose`.
    """
    return Content(name=path.stem, detections=read_alphapose(path, keypoint_set=options.keypoint_set))


def read_alphapose(path: Path, *, keypoint_set: str | None = None) -> Detections:
    """Read the people of all frames.

    Args:
        path: the ``.json``.
        keypoint_set: order of the points; None: by their number.

    Returns:
        The detections; frames have the numbers of their pictures, and there is one for every number up to the last.

    Raises:
        FormatError: not AlphaPose's JSON, a picture without a number, an unknown number of points, or nobody at all.
    """
    content = load_json(path)
    if not isinstance(content, list):
        raise FormatError(path, None, "this is not AlphaPose's JSON: a list of detections was expected")
    rows = Rows.of(path)
    for index, entry in enumerate(content):
        where = f"detection {index}"
        if not isinstance(entry, dict) or "keypoints" not in entry or "image_id" not in entry:
            raise FormatError(path, where, "image_id and keypoints were expected")
        identity = whole_number(entry.get("idx"))
        rows.add(
            _frame(path, where, entry["image_id"]),
            UNKNOWN if identity is None else identity,
            triples(path, where, entry["keypoints"]),
        )
    if not rows.values:
        raise FormatError(path, None, "nobody was detected in any frame")
    if set(rows.person) == {0}:
        rows.person = [UNKNOWN] * len(rows.person)
    layout = layout_of(path, rows.values, keypoint_set)
    frames = range(min(rows.frame), max(rows.frame) + 1)
    return rows.finished(layout.keypoint_set, frames, f"AlphaPose JSON, {layout.name}", layout.columns)


def _frame(path: Path, where: str, image: Any) -> int:  # noqa: ANN401 (any JSON value)
    """Number of the frame of a picture: ``12``, ``"12.jpg"``, ``"frame_000012.png"``."""
    if isinstance(image, int) and not isinstance(image, bool):
        return image
    numbers = _NUMBER.findall(Path(image).stem) if isinstance(image, str) else []
    if not numbers:
        raise FormatError(path, where, f"image_id must contain the number of the frame, got {image!r}")
    return int(numbers[-1])

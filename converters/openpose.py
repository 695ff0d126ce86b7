"""OpenPose's JSON: a file for each frame, in a folder; also written by Pose2Sim, Sports2D and RTMLib.

``{"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": [x, y, confidence, ...]}]}``, pixels. The order of the
points follows from their number. The number at the end of a file's name is that of its frame: a missing file is a gap.

Source:
    OpenPose (Cao et al. 2019), output documentation; Pose2Sim, RTMLib: files, as facts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from hsmr_bio.errors import FormatError, InputError
from hsmr_bio.io.video import natural_order

from .content import Content, ConvertOptions
from .detections import UNKNOWN, Detections, Rows, load_json, triples, whole_number
from .keypoint_layouts import layout_of

_ENDING = re.compile(r"(?P<clip>.*?)(?P<frame>\d+)(_keypoints|_pose)?", re.DOTALL)
"""Name of a file without ``.json``: clip, number of the frame."""
_FEWEST_DIFFERENT = 4
"""Different beginnings of file names that an error lists."""


def from_openpose(path: Path, options: ConvertOptions) -> Content:
    """Read 2-D keypoints as a format.

    Args:
        path: a folder with a ``.json`` for each frame, or one ``.json``.
        options: ``keypoint_set``.

    Returns:
        The detections.

    Raises:
        FormatError: see :func:`read_openpose`.
    """
    return Content(name=path.stem, detections=read_openpose(path, keypoint_set=options.keypoint_set))


def read_openpose(path: Path, *, keypoint_set: str | None = None) -> Detections:
    """Read the people of all frames.

    Args:
        path: the folder with a ``.json`` for each frame, or a single ``.json``.
        keypoint_set: order of the points; None: by their number.

    Returns:
        The detections; frames have the numbers of their files.

    Raises:
        FormatError: a file that is not OpenPose's, files of several clips, an unknown number of points, or nobody at all.
        InputError: no such folder, or no ``.json`` in it.
    """
    rows, frames = Rows.of(path), []
    for number, file in _numbered(path):
        frames.append(number)
        content = load_json(file)
        people = content.get("people") if isinstance(content, dict) else None
        if not isinstance(people, list):
            raise FormatError(file, None, 'this is not OpenPose\'s JSON: {"people": [...]} was expected')
        for index, person in enumerate(people):
            where = f"person {index}"
            if not isinstance(person, dict) or "pose_keypoints_2d" not in person:
                raise FormatError(file, where, "it has no pose_keypoints_2d")
            values = triples(file, where, person["pose_keypoints_2d"])
            if len(values):
                identity = whole_number(person.get("person_id"))
                rows.add(number, UNKNOWN if identity is None else identity, values)
    if not rows.values:
        raise FormatError(path, None, f"nobody was detected in any of the {len(frames)} frames")
    layout = layout_of(path, rows.values, keypoint_set, openpose=True)
    return rows.finished(layout.keypoint_set, frames, f"OpenPose JSON, {layout.name}", layout.columns)


def _numbered(path: Path) -> Iterable[tuple[int, Path]]:
    """Files with the numbers of their frames, in order; a single file is frame 0."""
    if path.is_file():
        return [(0, path)]
    files = sorted(path.glob("*.json"), key=natural_order)
    if not files:
        raise InputError(f"{path}: there is no such folder, or no .json file in it")
    if len(files) == 1:
        return [(0, files[0])]
    matches = [_ENDING.fullmatch(file.stem) for file in files]
    unnumbered = next((file for file, match in zip(files, matches, strict=True) if match is None), None)
    if unnumbered is not None:
        raise FormatError(
            path, unnumbered.name, "the name must end with the number of the frame, as in clip_000012_keypoints.json"
        )
    found = [(int(match["frame"]), match["clip"]) for match in matches if match is not None]
    clips = list(dict.fromkeys(clip for _, clip in found))
    if len(clips) > 1:
        some = ", ".join(repr(clip) for clip in clips[:_FEWEST_DIFFERENT])
        raise FormatError(path, None, f"files of {len(clips)} clips in one folder ({some}): put each into a folder of its own")
    numbers = [number for number, _ in found]
    if len(set(numbers)) < len(numbers):
        twice = next(number for number in numbers if numbers.count(number) > 1)
        raise FormatError(path, None, f"two files of frame {twice}")
    return sorted(zip(numbers, files, strict=True))

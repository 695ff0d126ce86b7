"""Results of SAM 3D Body, whose body is MHR: joint centres of each person, by whichever of four layouts.

One ``.npz`` per person and frame (a file, or a folder of them), ``video_outputs.json``, a CSV of the 70 keypoints, or pickled
lists of dictionaries. The files store no rate and mostly no identity: people are followed by their place.

Source:
    SAM 3D Body and MHR (Meta 2025), SAM3D-OpenSim, SAM3DBody-cpp: names, shapes and axes of their stored values, as facts.
    Points and joints are in camera axes relative to a root; ``pred_cam_t`` is added. ``pred_global_rots`` is in other axes and
    not used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hsmr_bio.errors import FormatError, InputError
from hsmr_bio.fitting.video.joint_data import JointCentres
from hsmr_bio.io.repairs import unseen_zeros
from hsmr_bio.io.unpickle import load_numpy, load_pickle
from hsmr_bio.io.video import natural_order
from hsmr_bio.types import FloatArray

from .content import Content, ConvertOptions
from .joint_names import MHR70, MHR127, axes_shown, centres_of, pick, require_torso
from .keypoint_tables import read_wide, table_head
from .rows import FRAME_KEYS, ID_KEYS
from .smpl_values import RATE_KEYS, first_of, numbers, plain
from .tracks import DEPTH_SHARE, STEP_M, follow

POINTS, JOINTS, PLACE = "pred_keypoints_3d", "pred_joint_coords", "pred_cam_t"
_KEYS = (POINTS, JOINTS)
_SCANNED_BYTES = 1 << 22
"""Beginning of a pickle or JSON file in which the keys are looked for."""
_SAME_PLACE_M = 0.05
"""Hips of the 70 keypoints and of the 127 joints are the same points; farther apart, the joints are not used."""
_MOST_JUMPS = 0.2
"""Share of steps that a tracker of one person may lose (own choice)."""
_DIGITS = re.compile(r"\d+")
_PERSON = re.compile(r"(?:subj|person|pers|id|_p)_?(\d+)$", re.IGNORECASE)
_META = "inference_meta.json"
_CSV = "_3DX"


@dataclass(frozen=True, eq=False)
class _Detection:
    """One person in one frame."""

    frame: int
    person: Any
    """Identity, if the file stores one."""
    joints_m: dict[str, FloatArray]
    """(3,) by joint centre, camera axes; NaN where not seen."""
    placed: bool
    """Whether its place in the camera's axes is known."""


def is_mhr(head: bytes, path: Path) -> bool:
    """Tell whether a file holds results of SAM 3D Body.

    Args:
        head: first bytes of the file.
        path: the file.

    Returns:
        Whether it does.
    """
    ending = path.suffix.lower()
    if ending == ".csv":
        return _CSV in table_head(path)
    if head[:2] == b"PK":
        import zipfile

        try:
            with zipfile.ZipFile(path) as archive:
                return bool({f"{key}.npy" for key in _KEYS} & set(archive.namelist()))
        except (zipfile.BadZipFile, OSError):
            return False
    if ending in (".json", ".pkl", ".pickle", ".npy"):
        with path.open("rb") as file:
            beginning = file.read(_SCANNED_BYTES)
        return any(key.encode() in beginning for key in _KEYS)
    return False


def is_mhr_folder(path: Path) -> bool:
    """Tell whether a folder holds a file per person and frame."""
    first = next(iter(sorted(path.glob("*.npz"))), None)
    return first is not None and is_mhr(b"PK", first)


def from_mhr(path: Path, options: ConvertOptions) -> Content:
    """Read the joint centres of all people.

    Args:
        path: the file or folder.
        options: ``rate_hz``, ``axes`` (camera if automatic).

    Returns:
        Joint centres, one a person, longest first.

    Raises:
        FormatError: damaged, or without the keypoints.
        InputError: no rate for several frames.
    """
    rate_hz = options.rate_hz if options.rate_hz is not None else _stored_rate(path)
    if path.suffix.lower() == ".csv" and path.is_file():
        table = read_wide(path, suffixes=("_3DX", "_3DY", "_3DZ"))
        require_torso(path, table.joints)
        detections = [
            _Detection(int(frame), person, {name: row[index] for name, row in table.joints.items()}, placed=False)
            for index, (frame, person) in enumerate(zip(table.frames, table.people, strict=True))
        ]
        notes = table.notes
    else:
        detections, notes = _detections(path, rate_hz), ()
    if not detections:
        raise FormatError(path, None, "there is no person in it")
    if len({item.frame for item in detections}) > 1 and rate_hz is None:
        raise InputError(f"{path}: the file does not store its frame rate: give it (--rate-hz)")
    if len({item.frame for item in detections}) == 1 and rate_hz is None:
        detections = [replace(item, frame=0) for item in detections]
    people = _people(path, detections)
    centres = tuple(_centres(path, [detections[index] for index in person], rate_hz or 1.0, options) for person in people)
    if not all(item.placed for item in detections):
        notes = (*notes, f"the file does not say where the person is ({PLACE}): the pelvis stays at one place")
    return Content(name=path.stem, joints=centres, notes=notes)


def _detections(path: Path, rate_hz: float | None) -> list[_Detection]:
    """All detections of a folder, a JSON file, or a file of numpy or pickle."""
    if path.is_dir():
        files = sorted(path.glob("*.npz"), key=natural_order)
        found = [(*_numbers_in(file.stem, index), plain(load_numpy(file)), file) for index, file in enumerate(files)]
        return [detection for frame, _, content, file in found for detection in _of_mapping(file, content, frame)]
    if path.suffix.lower() == ".json":
        return _of_frames(path, _json(path), rate_hz)
    load = load_numpy if path.suffix.lower() in (".npz", ".npy") else load_pickle
    content = plain(load(path))
    if isinstance(content, Mapping):
        return _of_mapping(path, content, 0)
    return _of_frames(path, content, rate_hz)


def _of_frames(path: Path, content: object, rate_hz: float | None) -> list[_Detection]:
    """Detections of a list: of frames with their people, of lists of people, or of single detections."""
    if isinstance(content, np.ndarray):
        content = content.tolist()
    if not isinstance(content, list) or not content:
        raise FormatError(path, None, f"a list of frames or people is expected, it holds a {type(content).__name__}")
    found: list[_Detection] = []
    loose = all(isinstance(item, Mapping) and first_of(item, (*FRAME_KEYS, *ID_KEYS, "outputs")) is None for item in content)
    for number, item in enumerate(content):
        if isinstance(item, Mapping) and isinstance(item.get("outputs"), list):
            frame = _frame_of(item, number)
            found += [detection for person in item["outputs"] for detection in _of_mapping(path, person, frame)]
        elif isinstance(item, list):
            found += [detection for person in item for detection in _of_mapping(path, person, number)]
        elif isinstance(item, Mapping):
            # single detections without a frame: a video if there is a rate, else the people of one image
            found += _of_mapping(path, item, _frame_of(item, number if rate_hz is not None else 0))
        elif item is not None:
            raise FormatError(path, f"item {number}", f"a dictionary of a person is expected, it is a {type(item).__name__}")
    if loose and rate_hz is not None:
        _refuse_jumps(path, found)
    first = min((_frame_of(item, 0) for item in content if isinstance(item, Mapping) and "outputs" in item), default=0)
    return [replace(detection, frame=detection.frame - first) for detection in found]


def _refuse_jumps(path: Path, found: Sequence[_Detection]) -> None:
    """Refuse a list of detections without frames in which the person jumps: it is several people."""
    places = np.array([(item.joints_m["hip_r"] + item.joints_m["hip_l"]) / 2 for item in found])
    steps = np.linalg.norm(np.diff(places, axis=0) * [1, 1, DEPTH_SHARE], axis=1)
    if len(steps) and (steps > STEP_M).mean() > _MOST_JUMPS:
        problem = (
            f"{(steps > STEP_M).mean():.0%} of the steps are longer than {STEP_M:g} m: several people, but nothing says who"
        )
        raise FormatError(path, None, f"{problem} is who (id) and when (frame)")


def _of_mapping(path: Path, content: object, frame: int) -> list[_Detection]:
    """The detections of a dictionary: one, or one per row where its values have an axis of frames."""
    if not isinstance(content, Mapping) or first_of(content, _KEYS) is None:
        raise FormatError(path, f"frame {frame}", f"no person of SAM 3D Body: {' or '.join(_KEYS)} is expected")
    points, joints, place = (_array(path, content, key) for key in (POINTS, JOINTS, PLACE))
    rows = max(len(value) for value in (points, joints) if value is not None)
    for key, value in ((POINTS, points), (JOINTS, joints), (PLACE, place)):
        if value is not None and len(value) != rows:
            raise FormatError(path, key, f"{len(value)} rows, {rows} expected")
    people, frames = first_of(content, ID_KEYS), first_of(content, FRAME_KEYS)
    clock = [frame] * rows
    if rows > 1:
        clock = list(range(rows)) if frames is None else [int(n) for n in np.ravel(numbers(path, *frames))]
        if len(clock) != rows:
            raise FormatError(path, str(frames and frames[0]), f"{len(clock)} frame numbers for {rows} rows")
    who = [None] * rows if people is None else (list(np.ravel(np.asarray(people[1]))) * rows)[:rows]
    picked = _joints(points, joints)
    shift = np.zeros((rows, 3)) if place is None else place[:, 0]
    return [
        _Detection(clock[row], who[row], {name: value[row] + shift[row] for name, value in picked.items()}, place is not None)
        for row in range(rows)
    ]


def _array(path: Path, content: Mapping[Any, Any], key: str) -> FloatArray | None:
    """(rows, points, 3) of a key; None if it is absent."""
    if content.get(key) is None:
        return None
    array = numbers(path, key, content[key])
    wanted = {POINTS: 70, JOINTS: 127, PLACE: 1}[key]
    if key == PLACE and array.shape[-1:] == (3,):
        array = array.reshape(-1, 1, 3)
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or array.shape[1:] != (wanted, 3):
        raise FormatError(path, key, f"expected shape ({wanted}, 3), got {np.shape(content[key])}")
    return array


def _joints(points: FloatArray | None, joints: FloatArray | None) -> dict[str, FloatArray]:
    """Joint centres (rows, 3): the rig's joints where both have the same hips, the keypoints for the rest."""
    from_points = {} if points is None else pick(unseen_zeros(points)[0], MHR70)
    from_rig = {} if joints is None else pick(unseen_zeros(joints)[0], MHR127)
    if not from_points or not from_rig:
        return from_points or from_rig
    apart = [np.linalg.norm(from_rig[name] - from_points[name], axis=1) for name in ("hip_r", "hip_l")]
    if not np.nanmax(np.where(np.isfinite(apart), apart, np.inf)) < _SAME_PLACE_M:
        return from_points
    seen = {name: value for name, value in from_rig.items() if np.isfinite(value).all() and not name.startswith("toe")}
    return {**from_points, **seen}


def _people(path: Path, detections: Sequence[_Detection]) -> list[list[int]]:
    """Indices of the detections of each person, in the order of the frames, longest first."""
    known = [None if item.person is None else str(item.person) for item in detections]
    if all(person is not None for person in known):
        people = [[index for index, name in enumerate(known) if name == person] for person in dict.fromkeys(known)]
        people = [sorted(person, key=lambda index: detections[index].frame) for person in people]
    else:
        places = np.array([(item.joints_m["hip_r"] + item.joints_m["hip_l"]) / 2 for item in detections])
        people = follow([item.frame for item in detections], places)
    for person in people:
        frames = [detections[index].frame for index in person]
        if len(set(frames)) < len(frames):
            raise FormatError(path, None, f"person {detections[person[0]].person} is twice in one frame")
    return sorted(people, key=lambda person: -len(person))


def _centres(path: Path, track: Sequence[_Detection], rate_hz: float, options: ConvertOptions) -> JointCentres:
    names = list(track[0].joints_m)
    joints = {name: np.array([item.joints_m[name] for item in track]) for name in names}
    axes = "camera" if options.axes == "auto" else options.axes
    if not track[0].placed and options.axes == "auto":
        axes = axes_shown(joints)
    time_s = np.array([item.frame for item in track]) / rate_hz
    return centres_of(joints, time_s, axes=axes, source=f"SAM 3D Body {path.name}")


def _json(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise FormatError(path, None, f"no readable JSON ({str(error)[:80]})") from None


def _stored_rate(path: Path) -> float | None:
    """The rate in ``inference_meta.json`` beside the file, if there is one."""
    meta = (path if path.is_dir() else path.parent) / _META
    if not meta.is_file():
        return None
    content = _json(meta)
    for place in (content, *(content.values() if isinstance(content, Mapping) else ())):
        found = first_of(place, RATE_KEYS) if isinstance(place, Mapping) else None
        if found is not None and isinstance(found[1], int | float) and found[1] > 0:
            return float(found[1])
    return None


def _frame_of(item: Mapping[Any, Any], number: int) -> int:
    """Frame number of an item: stored as a number, or the last one in the name of the picture; else its place in the list."""
    found = first_of(item, FRAME_KEYS)
    if found is None or isinstance(found[1], Mapping | list):
        return number
    if isinstance(found[1], str):
        digits = _DIGITS.findall(Path(found[1]).stem)
        return int(digits[-1]) if digits else number
    return int(np.ravel(np.asarray(found[1]))[0])


def _numbers_in(stem: str, index: int) -> tuple[int, int]:
    """Frame and person in the name of a file; a number after ``subj``, or the second of two numbers, is the person."""
    person = _PERSON.search(stem)
    if person is not None:
        digits = _DIGITS.findall(stem[: person.start()])
        return (int(digits[-1]) if digits else 0), int(person[1])
    digits = _DIGITS.findall(stem)
    if len(digits) > 1:
        return int(digits[-2]), int(digits[-1])
    return (int(digits[0]) if digits else index), 0

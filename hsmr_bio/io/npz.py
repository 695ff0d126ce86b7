"""Reads and writes our own files: SkelMotion and Observation as ``.npz`` with a kind and a version, never pickled."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, TypeVar

import numpy as np
from numpy.lib.npyio import NpzFile

from ..errors import FormatError, InputError
from ..types import Camera, GroundFit, KeypointPlace, KeypointSet, Observation, SkelMotion, Thumbnail
from .atomic import new_file
from .bounds import refuse_members
from .door import reader, reading
from .npy_header import read_npy_header

_VERSION = 2
"""Version of the format; in version 1 the camera's place in the world was one of the notes, in degrees."""
_KIND, _FORMAT_VERSION, _TEXT = "hsmr_bio_kind", "hsmr_bio_version", "text_json"
_MOTION_ARRAYS = ("time_s", "poses_rad", "trans_m", "betas", "poses_sd_rad", "contacts")
_MOTION_TEXT = ("body", "frame", "source")
_SEEN_ARRAYS = (
    *("time_s", "keypoints_px", "confidence", "keypoints_m"),
    *("skel_poses_rad", "skel_betas", "skel_trans_m", "camera_shift_px", "scene_edges_px"),
    *("hidden_share", "others"),
)
_THUMBNAIL_ARRAYS = ("thumbnail_time_s", "thumbnail_scale", "thumbnail_bytes", "thumbnail_jpeg")
_SEEN_TEXT = ("skel_body", "source")
_T = TypeVar("_T")
_Array = Any
"""An array as the file has it, or None."""
_JsonValue = Any
"""A value decoded from JSON."""


def save_motion(path: str | os.PathLike[str], motion: SkelMotion, *, overwrite: bool = True) -> None:
    """Write a SkelMotion; :func:`load_motion` reads exactly the same numbers.

    Args:
        path: ends in ``.npz``; the file appears when it is complete.
        motion: the motion; its ``notes`` must be JSON values.
        overwrite: whether an existing file may be replaced.

    Raises:
        InputError: another ending, notes that are not JSON values, or the file exists.
    """
    text = {name: getattr(motion, name) for name in _MOTION_TEXT}
    text |= {"notes": dict(motion.notes), "camera": _camera_to_json(motion.camera), "ground": _ground_to_json(motion.ground)}
    _save(path, "SkelMotion", {name: getattr(motion, name) for name in _MOTION_ARRAYS}, text, overwrite=overwrite)


@reader
def load_motion(path: str | os.PathLike[str]) -> SkelMotion:
    """Read a file of :func:`save_motion`.

    Raises:
        FormatError: a file of another kind or of a newer version, truncated, or with values that the type refuses.
        InputError: no such file.
    """
    arrays, text = _load(path, "SkelMotion", _MOTION_ARRAYS, _MOTION_TEXT)
    camera = _camera_from_json(path, text.get("camera"))
    named = {name: text[name] for name in _MOTION_TEXT}
    notes = text.get("notes", {})
    ground = text.get("ground") or _ground_of_version_1(notes)

    def build() -> SkelMotion:
        fit = None if ground is None else GroundFit(**ground)
        return SkelMotion(**arrays, **named, camera=camera, ground=fit, notes=notes)

    return _built(path, build)


def save_observation(path: str | os.PathLike[str], observation: Observation, *, overwrite: bool = True) -> None:
    """Write an Observation; :func:`load_observation` reads exactly the same numbers.

    Args:
        path: ends in ``.npz``; the file appears when it is complete.
        observation: of one person.
        overwrite: whether an existing file may be replaced.

    Raises:
        InputError: another ending, or the file exists.
    """
    points = observation.keypoint_set
    text = {name: getattr(observation, name) for name in _SEEN_TEXT}
    text |= {"camera": _camera_to_json(observation.camera), "notes": list(observation.notes)}
    text |= {"keypoint_set": points if isinstance(points, str) else asdict(points)}
    arrays = {name: getattr(observation, name) for name in _SEEN_ARRAYS} | _thumbnails_to_arrays(observation.thumbnails)
    _save(path, "Observation", arrays, text, overwrite=overwrite)


@reader
def load_observation(path: str | os.PathLike[str]) -> Observation:
    """Read a file of :func:`save_observation`.

    Raises:
        FormatError: a file of another kind or of a newer version, truncated, or with values that the type refuses.
        InputError: no such file.
    """
    arrays, text = _load(path, "Observation", (*_SEEN_ARRAYS, *_THUMBNAIL_ARRAYS), (*_SEEN_TEXT, "keypoint_set"))
    thumbnails = _thumbnails_from_arrays(path, [arrays.pop(name, None) for name in _THUMBNAIL_ARRAYS])
    camera = _camera_from_json(path, text.get("camera"))
    if camera is None:
        raise FormatError(path, "camera", "an observation needs a camera")
    named = {name: text[name] for name in _SEEN_TEXT} | {"camera": camera, "thumbnails": thumbnails}
    named["notes"] = tuple(str(note) for note in text.get("notes", ()))
    points = text["keypoint_set"]

    def build() -> Observation:
        return Observation(**arrays, **named, keypoint_set=points if isinstance(points, str) else _own_set(points))

    return _built(path, build)


@reader
def kind_of(path: str | os.PathLike[str]) -> str | None:
    """Kind of one of our ``.npz`` files, ``"SkelMotion"`` or ``"Observation"``; None for any other ``.npz`` file.

    Raises:
        FormatError: not a readable ``.npz`` file.
        InputError: no such file.
    """
    with _opened(path) as stored:
        return str(stored[_KIND]) if _KIND in stored.files else None


def _save(
    path: str | os.PathLike[str], kind: str, arrays: Mapping[str, Any], text: Mapping[str, Any], *, overwrite: bool
) -> None:
    if not os.fspath(path).endswith(".npz"):
        raise InputError(f"{os.fspath(path)}: the name of a stored {kind} must end in .npz")
    try:
        encoded = json.dumps(text, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"{os.fspath(path)}: notes must be JSON values: {error}") from None
    content: dict[str, Any] = {name: array for name, array in arrays.items() if array is not None}
    content |= {_KIND: np.array(kind), _FORMAT_VERSION: np.array(_VERSION), _TEXT: np.array(encoded)}
    with new_file(path, overwrite=overwrite) as part, part.open("wb") as out:
        np.savez_compressed(out, **content)


def _load(
    path: str | os.PathLike[str], kind: str, arrays: tuple[str, ...], text: tuple[str, ...]
) -> tuple[dict[str, Any], dict[str, Any]]:
    with _opened(path) as stored:
        if _KIND not in stored.files:
            raise FormatError(path, None, f"this is not a {kind} of hsmr-bio (keys: {', '.join(stored.files[:8])})")
        if str(stored[_KIND]) != kind:
            raise FormatError(path, None, f"this file holds a {stored[_KIND]}, a {kind} was expected")
        if int(stored[_FORMAT_VERSION]) > _VERSION:
            newer = int(stored[_FORMAT_VERSION])
            raise FormatError(path, None, f"written by a newer hsmr-bio (format {newer}, this one knows {_VERSION}): update it")
        values = {name: stored[name] for name in arrays if name in stored.files}
        described: object = json.loads(str(stored[_TEXT]))
    if not isinstance(described, dict):
        raise FormatError(path, _TEXT, f"a {type(described).__name__}; a mapping is expected")
    missing = [name for name in text if name not in described]
    if missing or "time_s" not in values:
        raise FormatError(path, None, f"the file lacks {', '.join(missing or ['time_s'])}")
    return values, described


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[NpzFile]:
    """Open a ``.npz`` file; all errors of a damaged file become a FormatError."""
    if not os.path.exists(path):  # noqa: PTH110
        raise InputError(f"{os.fspath(path)}: there is no such file")
    with reading(path, ".npz"):
        if not zipfile.is_zipfile(path):
            raise FormatError(path, None, "not a readable .npz file: it is something else, or cut off")
        with zipfile.ZipFile(path) as archive:
            refuse_members(path, archive, os.stat(path).st_size)  # noqa: PTH116
            for member in (part for part in archive.infolist() if part.filename.endswith(".npy")):
                with archive.open(member) as start:
                    read_npy_header(start, f"{os.fspath(path)}:{member.filename}", member.file_size)
        with np.load(path, allow_pickle=False) as stored:
            yield stored


def _built(path: str | os.PathLike[str], build: Callable[[], _T]) -> _T:
    try:
        return build()
    except (InputError, TypeError) as error:
        raise FormatError(path, None, str(error)) from None


def _thumbnails_to_arrays(thumbnails: tuple[Thumbnail, ...]) -> dict[str, Any]:
    if not thumbnails:
        return {}
    values = (
        np.array([thumbnail.time_s for thumbnail in thumbnails]),
        np.array([thumbnail.scale for thumbnail in thumbnails]),
        np.array([len(thumbnail.jpeg) for thumbnail in thumbnails]),
        np.frombuffer(b"".join(thumbnail.jpeg for thumbnail in thumbnails), dtype=np.uint8),
    )
    return dict(zip(_THUMBNAIL_ARRAYS, values, strict=True))


def _thumbnails_from_arrays(path: str | os.PathLike[str], arrays: list[Any]) -> tuple[Thumbnail, ...]:
    time_s, scale, sizes, jpeg = arrays
    if jpeg is None:
        return ()
    try:
        ends = np.cumsum(sizes, dtype=np.int64)
        parts = [code.tobytes() for code in np.split(np.asarray(jpeg, dtype=np.uint8), ends)[:-1]]
        rows = zip(time_s, scale, parts, strict=True)
        return tuple(Thumbnail(time_s=float(t), scale=(float(x), float(y)), jpeg=code) for t, (x, y), code in rows)
    except (TypeError, ValueError) as error:
        raise FormatError(path, "thumbnails", f"cannot be read ({error})") from None


def _own_set(stored: dict[str, Any]) -> KeypointSet:
    places: list[dict[str, Any]] = [
        {name: tuple(value) if isinstance(value, list) else value for name, value in place.items()}
        for place in stored["points"]
    ]
    return KeypointSet(name=stored["name"], points=tuple(KeypointPlace(**place) for place in places))


def _ground_to_json(ground: GroundFit | None) -> dict[str, Any] | None:
    if ground is None:
        return None
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in vars(ground).items()}


def _ground_of_version_1(notes: dict[str, Any]) -> dict[str, Any] | None:
    """Remove the camera's place from the notes of an old file and return it in radians."""
    old = notes.pop("ground", None)
    if old is None:
        return None
    angles = {f"camera_{name}_rad": float(np.radians(old.pop(f"camera_{name}_deg"))) for name in ("pitch", "roll")}
    return {**old, **angles}


def _camera_to_json(camera: Camera | None) -> dict[str, Any] | None:
    if camera is None:
        return None
    return {
        "image_size_px": [int(n) for n in camera.image_size_px],
        "focal_px": float(camera.focal_px),
        "center_px": [float(x) for x in camera.center_px],
        "source": camera.source,
    }


def _camera_from_json(path: str | os.PathLike[str], stored: dict[str, Any] | None) -> Camera | None:
    if stored is None:
        return None
    try:
        width, height = stored["image_size_px"]
        x, y = stored["center_px"]
        focal = float(stored["focal_px"])
        return Camera(image_size_px=(int(width), int(height)), focal_px=focal, center_px=(x, y), source=stored["source"])
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(path, "camera", f"cannot be read ({error})") from None

"""Layouts of SMPL results that nest, list or spread their people, brought to one mapping of arrays per person.

Source:
    PromptHMR (Wang et al. 2025), TRAM (Wang et al. 2024), 3DPW (von Marcard et al. 2018), EMDB (Kaufmann et al. 2023), SMPLer-X
    (Cai et al. 2023): names, shapes and axes of their stored values, as facts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hsmr_bio.errors import FormatError
from hsmr_bio.fitting.smpl.smpl_motion import SMPL_PELVIS_M
from hsmr_bio.io.unpickle import load_numpy
from hsmr_bio.types import FloatArray

from .rows import CLOCK, Stored, separate, stacked
from .smpl_values import AXES, NOTES, VALUE_KEYS, flattened, numbers, plain

PW3D_HZ = 60.0
"""Rate of the frame numbers ``img_frame_ids`` of 3DPW, which point into poses at 60 Hz."""
_WORLD_OF_PERSON = ("smplx_world", "smpl_world", "smplx_cam", "smpl_cam")
"""PromptHMR: a person's parameters, the first that is there counts."""
_NUMBERED = re.compile(r"^(?P<frame>\d+)_(?P<person>\d+)$")
"""SMPLer-X: frame and person in the name of a file."""
_TRACK = re.compile(r"^hps_track_\d+$")
_CAMERA_FILE = "camera.npy"


def people_of(path: Path, content: Mapping[Any, Any]) -> list[Stored] | None:
    """Separate the people of a layout that is known by its keys.

    Args:
        path: of the file; TRAM's camera is looked for beside it.
        content: of the file.

    Returns:
        One mapping per person; None if it is none of these layouts.
    """
    for layout in (_prompthmr, _pw3d, _tram, _emdb):
        people = layout(path, content)
        if people is not None:
            return people
    return None


def is_results_folder(path: Path) -> bool:
    """Tell whether a folder holds SMPLer-X's or TRAM's files, itself or in ``smplx/`` or ``hps/``."""
    return bool(_files(path))


def people_of_folder(path: Path) -> list[Stored]:
    """Separate the people of a folder: SMPLer-X stores a file per frame and person, TRAM one per person.

    Args:
        path: the folder, or the one above it.

    Returns:
        One mapping per person, longest first.

    Raises:
        FormatError: no such files, or files that do not fit together.
    """
    files = _files(path)
    if not files:
        raise FormatError(path, None, "no files FRAME_PERSON.npz (SMPLer-X) or hps_track_K.npy (TRAM) in this folder")
    if _TRACK.match(files[0].stem):
        people = [person for file in files for person in _tram(file, plain(load_numpy(file))) or []]
        return sorted(people, key=lambda person: -len(person[CLOCK]))
    rows = [_numbered_row(file) for file in files]
    return separate(path, stacked(path, rows, VALUE_KEYS), len(rows))


def _files(path: Path) -> list[Path]:
    """The files of a folder of results, sorted by number."""
    for folder, pattern, name in ((path, "*.npz", _NUMBERED), (path / "smplx", "*.npz", _NUMBERED)):
        found = [file for file in folder.glob(pattern) if name.match(file.stem)]
        if found:
            return sorted(found, key=lambda file: [int(part) for part in file.stem.split("_")])
    for folder in (path, path / "hps"):
        found = [file for file in folder.glob("*.npy") if _TRACK.match(file.stem)]
        if found:
            return sorted(found, key=lambda file: int(file.stem.split("_")[-1]))
    return []


def _numbered_row(file: Path) -> Stored:
    """One person in one frame; leading axes of length 1 are dropped and vectors of joints joined."""
    content = plain(load_numpy(file))
    if not isinstance(content, Mapping):
        raise FormatError(file, None, "a mapping of SMPL-X parameters is expected")
    frame, person = (int(part) for part in file.stem.split("_"))
    values = {key: np.asarray(content[key]).reshape(-1) for key in content if key in VALUE_KEYS}
    return {**values, "frame_idx": frame, "id": person}


def _prompthmr(path: Path, content: Mapping[Any, Any]) -> list[Stored] | None:
    people = content.get("people")
    listed: Sequence[Any] = list(people.values()) if isinstance(people, Mapping) else people if isinstance(people, list) else []
    if not listed or not all(isinstance(person, Mapping) for person in listed):
        return None
    found: list[Stored] = []
    for number, person in enumerate(listed):
        key = next((key for key in _WORLD_OF_PERSON if isinstance(person.get(key), Mapping)), None)
        if key is None:
            raise FormatError(path, f"person {number}", f"none of {', '.join(_WORLD_OF_PERSON)} is in it")
        around = {name: value for name, value in person.items() if not isinstance(value, Mapping | list)}
        found.append({**around, **person[key]} | ({AXES: "camera"} if key.endswith("_cam") else {}))
    return found


def _pw3d(path: Path, content: Mapping[Any, Any]) -> list[Stored] | None:
    poses = content.get("poses")
    if not isinstance(poses, list) or not poses or not ({"genders", "jointPositions", "img_frame_ids"} & set(content)):
        return None
    if np.ndim(poses[0]) != 2:
        return None
    people: list[Stored] = []
    for number, pose in enumerate(poses):
        person: dict[str, Any] = {"poses": np.asarray(pose)}
        for key in ("trans", "betas", "jointPositions", "genders"):
            values = content.get(key)
            if values is None:
                continue
            if len(values) != len(poses):
                raise FormatError(path, key, f"{len(values)} entries for {len(poses)} people")
            person["gender" if key == "genders" else key] = values[number]
        if content.get("img_frame_ids") is not None:
            person["times"] = numbers(path, "img_frame_ids", content["img_frame_ids"]).reshape(-1) / PW3D_HZ
        people.append(person)
    return people


def _emdb(path: Path, content: Mapping[Any, Any]) -> list[Stored] | None:
    """Leave out the frames that EMDB's mask calls bad."""
    stored = flattened(content)
    if stored.get("poses_root") is None or stored.get("poses_body") is None:
        return None
    mask = stored.get("good_frames_mask")
    frames = len(np.asarray(stored["poses_root"]))
    if mask is None:
        return [stored]
    good = np.asarray(mask, dtype=bool).reshape(-1)
    if len(good) != frames:
        raise FormatError(path, "good_frames_mask", f"{len(good)} entries, {frames} poses")
    kept = {key: value[good] if key != "betas" and np.shape(value)[:1] == (frames,) else value for key, value in stored.items()}
    left_out = {"frames_left_out": f"{int((~good).sum())} that the file calls bad (good_frames_mask)"}
    return [{**kept, CLOCK: np.flatnonzero(good), NOTES: left_out}]


def _tram(path: Path, content: Mapping[Any, Any]) -> list[Stored] | None:
    """Turn a track from the moving camera to the world, if the camera's file is beside it or one folder above."""
    if content.get("pred_rotmat") is None or content.get("pred_trans") is None:
        return None
    rotations = numbers(path, "pred_rotmat", content["pred_rotmat"])
    if rotations.ndim != 4 or rotations.shape[1:] != (24, 3, 3):
        raise FormatError(path, "pred_rotmat", f"expected (T, 24, 3, 3), got {rotations.shape}")
    count = len(rotations)
    person: dict[str, Any] = {
        "poses": rotations,
        "trans": numbers(path, "pred_trans", content["pred_trans"]).reshape(-1, 3),
        "betas": content.get("pred_shape"),
        CLOCK: np.asarray(content.get("frame", np.arange(count))).reshape(-1),
    }
    if len(person["trans"]) != count or len(person[CLOCK]) != count:
        raise FormatError(path, None, f"{count} poses, {len(person['trans'])} translations and {len(person[CLOCK])} frames")
    camera = next((file for file in (path.parent / _CAMERA_FILE, path.parent.parent / _CAMERA_FILE) if file.is_file()), None)
    if camera is None:
        return [{**person, AXES: "camera", NOTES: {"camera": "not known: there is no camera.npy beside the track"}}]
    return [_in_world(camera, person)]


def _in_world(camera: Path, person: dict[str, Any]) -> Stored:
    """Turn a track with TRAM's cameras: a point of the world is ``world_cam_R x + world_cam_T``, y up.

    Source:
        github.com/yufu-wang/tram, as facts: ``lib/camera/est_gravity.py`` turns the cameras so that gravity is -y, and
        ``lib/pipeline/visualization.py`` places vertices, translation included, with such a product.
    """
    content = plain(load_numpy(camera))
    if not isinstance(content, Mapping) or content.get("world_cam_R") is None or content.get("world_cam_T") is None:
        raise FormatError(camera, None, "world_cam_R and world_cam_T are expected")
    turns, origins = (
        numbers(camera, "world_cam_R", content["world_cam_R"]),
        numbers(camera, "world_cam_T", content["world_cam_T"]),
    )
    index = np.asarray(person[CLOCK], dtype=int)
    if turns.shape[1:] != (3, 3) or origins.shape != (len(turns), 3) or index.min() < 0 or index.max() >= len(turns):
        problem = f"cameras {turns.shape} and {origins.shape} do not cover frames {index.min()} to {index.max()}"
        raise FormatError(camera, "world_cam_R", problem)
    rotations, trans = turn_about_pelvis(person["poses"], person["trans"], turns[index], origins[index], SMPL_PELVIS_M)
    return {**person, "poses": rotations, "trans": trans, NOTES: {"camera": f"turned to the world with {camera.name}"}}


def turn_about_pelvis(
    rotations: FloatArray, trans_m: FloatArray, turns: FloatArray, origins_m: FloatArray, pelvis_m: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Turn SMPL motion to other axes: the root turns about the pelvis, which the translation does not name.

    Args:
        rotations: (T, J, 3, 3), the root first.
        trans_m: (T, 3); the pelvis is at ``pelvis_m + trans_m``.
        turns: (T, 3, 3) from the old axes to the new ones.
        origins_m: (T, 3) of the old axes, in the new ones.
        pelvis_m: (3,) of the rest pose.

    Returns:
        Rotations and translations in the new axes.
    """
    turned = np.array(rotations)
    turned[:, 0] = turns @ rotations[:, 0]
    pelvis = np.einsum("tij,tj->ti", turns, trans_m + pelvis_m) + origins_m
    return turned, pelvis - pelvis_m

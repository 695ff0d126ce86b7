"""SMPL motion of other programs: SMPL and SMPL-H ``.npz`` and ``.pkl``, AMASS, HMR2.0-like dictionaries, joints alone.

A file is a mapping (or an array of joints); its keys decide how it is read, not the program that wrote it. No code in pickles
and object arrays is run.

Source:
    AMASS (Mahmood et al. 2019), SMPL (Loper et al. 2015), HMR2.0 and 4D-Humans (Goel et al. 2023), WHAM (Shin et al. 2024) and
    GVHMR (Shen et al. 2024): names and shapes of their stored values, as facts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hsmr_bio.errors import FormatError, InputError
from hsmr_bio.fitting.smpl.parts import parts_from_joints
from hsmr_bio.fitting.smpl.smpl_motion import Axes, SmplMotion, recognise_axes
from hsmr_bio.io.door import reader
from hsmr_bio.io.unpickle import load_numpy, load_pickle
from hsmr_bio.types import FloatArray

from .content import Content, ConvertOptions
from .rows import FRAME_KEYS, ID_KEYS, Stored, frame_numbers, separate, stacked
from .smpl_layouts import people_of, people_of_folder
from .smpl_tracks import follow_tracks
from .smpl_values import (
    AXES,
    CAMERA_KEYS,
    VALUE_KEYS,
    SmplValues,
    flattened,
    frame_rate_hz,
    plain,
    read_values,
)

_TIME_KEYS = ("time_s", "times", "timestamps")


@reader
def read_smpl(
    path: str | PathLike[str],
    *,
    rate_hz: float | None = None,
    axes: Axes | Literal["auto"] = "auto",
) -> tuple[SmplMotion, ...]:
    """Read SMPL motion.

    Args:
        path: ``.npz``, ``.npy``, ``.pkl`` or ``.pt``; or a folder of SMPLer-X or TRAM.
        rate_hz: frames per second; None: as stored.
        axes: of the file's world; ``auto``: recognised by the orientation of the body, and by keys that only results in
            camera axes have.

    Returns:
        One motion per person.

    Raises:
        FormatError: no SMPL in the file, wrong shapes or units, NaN, damaged, or a pickle that would run code.
        InputError: no such file, no rate, or the vertical axis is not recognisable.
    """
    source = Path(path)
    if not source.exists():
        raise InputError(f"{source}: there is no such file")
    people = people_of_folder(source) if source.is_dir() else _people(source, _load(source), rate_hz)
    motions = tuple(_motion(source, person, rate_hz, axes) for person in people)
    if not motions:
        raise FormatError(source, None, "there is no person in it")
    return motions


def from_smpl(path: Path, options: ConvertOptions) -> Content:
    """Read the SMPL motion of all people.

    Args:
        path: the file.
        options: ``rate_hz``, ``axes``.

    Returns:
        SMPL motion.
    """
    return Content(name=path.stem, smpl=read_smpl(path, rate_hz=options.rate_hz, axes=options.axes))


def smpl_facts(path: Path) -> dict[str, Any]:
    """Describe each person; times are counted in frames if the file stores no rate."""
    stated = True
    try:
        people = read_smpl(path)
    except FormatError:
        raise
    except InputError:  # the rate or the vertical axis is not known; the rest can be described all the same
        people, stated = read_smpl(path, rate_hz=1.0, axes="y_up"), False
    rows = {str(person): {"frames": len(motion.time_s), "sex": motion.sex} for person, motion in enumerate(people)}
    known = {"axes": people[0].axes} if stated else {"rate or axes": "not stated"}
    return {"kind": "SMPL motion", **known, "people": rows}


def _load(path: Path) -> object:
    """Load a file: a mapping, a list or an array; no code in it is run."""
    ending = path.suffix.lower()
    for load, endings in ((load_numpy, (".npz", ".npy")), (load_pickle, (".pkl", ".pickle")), (_load_torch, (".pt", ".pth"))):
        if ending in endings:
            return plain(load(path))
    raise FormatError(path, None, "SMPL motion is stored as .npz, .npy, .pkl or .pt")


def _load_torch(path: Path) -> object:
    import pickle

    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))  # PyTorch's advice to allow it is left out
        what = f"it names {named.group(1)}, which is no tensor" if named else "not only tensors are in it, or it is damaged"
        raise FormatError(path, None, f"{what}. No code in it was run") from None
    except (RuntimeError, EOFError, ValueError, LookupError, OSError, TypeError, AttributeError, AssertionError) as error:
        raise FormatError(path, None, f"a damaged or truncated file of tensors ({type(error).__name__})") from None


def _people(path: Path, content: object, rate_hz: float | None) -> Sequence[Stored | FloatArray]:
    """Separate the people of a file: those of a known layout, of rows, of a mapping or of a list of mappings.

    A list of single frames without identities is one person's video if a frame rate is given, else the people of one image.
    """
    if isinstance(content, np.ndarray):
        return [content]
    if isinstance(content, list) and content and all(isinstance(item, Mapping) for item in content):
        people = [flattened(item) for item in content]
        return people if rate_hz is None and not _has_rows(people[0]) else _joined(path, people)
    if not isinstance(content, Mapping):
        raise FormatError(path, None, f"a mapping or an array of joints is expected, it holds a {type(content).__name__}")
    known = people_of(path, content)
    if known is not None:
        return known
    parts = list(content.values())
    flat = flattened(content)
    if flat is not content or not parts or not all(isinstance(part, Mapping) for part in parts):
        return _separated(path, flat)
    tracked = follow_tracks(path, parts)
    if tracked is not None:
        return tracked
    return [person for part in parts for person in _separated(path, flattened(part))]


def _has_rows(stored: Stored) -> bool:
    return any(stored.get(key) is not None for key in ID_KEYS)


def _separated(path: Path, stored: Stored) -> list[Stored]:
    """The people of one mapping; its rows are counted only if it has identities or frame numbers."""
    if not any(stored.get(key) is not None for key in (*ID_KEYS, *FRAME_KEYS)):
        return [stored]
    return separate(path, stored, read_values(path, stored).frames)


def _joined(path: Path, frames: list[Stored]) -> list[Stored]:
    """Join a list of single detections; it is returned itself if an item has several frames or other values than the first."""
    if len(frames) > 1 and _has_rows(frames[0]):
        return _separated(path, stacked(path, frames, VALUE_KEYS))
    known = [key for key in frames[0] if key in VALUE_KEYS]
    shapes = {tuple((key, np.shape(frame.get(key, ""))) for key in known) for frame in frames}
    if len(frames) < 2 or len(shapes) > 1 or read_values(path, frames[0]).frames != 1:
        return frames
    return _separated(path, stacked(path, frames, known))


def _motion(path: Path, content: Stored | FloatArray, rate_hz: float | None, axes: Axes | Literal["auto"]) -> SmplMotion:
    values = read_values(path, content)
    stored = content if isinstance(content, Mapping) else {}
    return SmplMotion(
        time_s=_times(path, stored, values.frames, rate_hz),
        rotations=values.rotations,
        trans_m=values.trans_m,
        joints_m=values.joints_m,
        betas=values.betas,
        sex=values.sex,
        pelvis_m=values.pelvis_m,
        axes=_axes(path, stored, values) if axes == "auto" else axes,
        source=f"SMPL {path.name}",
        notes=values.notes,
    )


def _times(path: Path, content: Stored, frames: int, rate_hz: float | None) -> FloatArray:
    if rate_hz is None:
        for key in _TIME_KEYS:
            if key in content and np.size(content[key]) == frames:
                return np.asarray(content[key], dtype=np.float64).reshape(-1)
    rate_hz = frame_rate_hz(path, content, frames, rate_hz)
    seen = frame_numbers(path, content, frames)
    return np.asarray((np.arange(frames) if seen is None else seen) / rate_hz)


def _axes(path: Path, content: Stored, values: SmplValues) -> Axes:
    if content.get(AXES) == "camera" or any(key in content for key in CAMERA_KEYS):
        return "camera"
    if values.rotations is not None:
        root = values.rotations[:, 0]
    elif values.joints_m is not None:
        root = parts_from_joints(values.joints_m)[:, 0]
    else:
        raise FormatError(path, None, "neither rotations nor joints")
    try:
        return recognise_axes(root)
    except InputError as error:
        raise InputError(f"{path}: {error} (--axes)") from None

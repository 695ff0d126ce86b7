"""SMPL motion as others store it: SMPL and SMPL-H ``.npz`` and ``.pkl``, AMASS, HMR2.0-like dictionaries, joints alone.

A file is a mapping (or an array of joints). What counts is which keys it has, not which program wrote it. Pickles and object
arrays are read without running anything from them.

Source:
    AMASS (Mahmood et al. 2019), SMPL (Loper et al. 2015), HMR2.0 and 4D-Humans (Goel et al. 2023), WHAM (Shin et al. 2024) and
    GVHMR (Shen et al. 2024): names and shapes of their stored values, as facts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hsmr_bio.errors import FormatError, InputError
from hsmr_bio.fitting.smpl.parts import parts_from_joints
from hsmr_bio.fitting.smpl.smpl_motion import Axes, SmplMotion, recognise_axes
from hsmr_bio.io.unpickle import load_numpy, load_pickle
from hsmr_bio.types import FloatArray

from .content import Content, ConvertOptions
from .smpl_tracks import follow_tracks
from .smpl_values import CAMERA_KEYS, VALUE_KEYS, SmplValues, first_of, plain, read_values

_RATE_KEYS = ("mocap_framerate", "mocap_frame_rate", "fps", "frame_rate", "framerate")
_TIME_KEYS = ("time_s", "times", "timestamps")
_FRAME_KEYS = ("frame_ids", "frame_indices")
"""Keys of the video frames in which a person was seen."""
_NESTS = ("smpl_params_global", "pred_smpl_params", "smpl_params", "smpl_params_incam", "smpl")
"""Keys under which the parameters lie one level deeper; the first that is there counts."""


def read_smpl(
    path: str | PathLike[str],
    *,
    rate_hz: float | None = None,
    axes: Axes | Literal["auto"] = "auto",
) -> tuple[SmplMotion, ...]:
    """Read SMPL motion.

    Args:
        path: ``.npz``, ``.npy``, ``.pkl`` or ``.pt``.
        rate_hz: frames per second; None: what the file says.
        axes: of the file's world; ``auto`` tells them from the way the body stands, and from keys that only cameras have.

    Returns:
        One motion per person.

    Raises:
        FormatError: no SMPL in the file, wrong shapes or units, NaN, damaged, or a pickle that wants to run something.
        InputError: no such file; no rate, or up cannot be told.
    """
    source = Path(path)
    if not source.exists():
        raise InputError(f"{source}: there is no such file")
    content = load_content(source)
    motions = tuple(_motion(source, person, rate_hz, axes) for person in _people(source, content, rate_hz))
    if not motions:
        raise FormatError(source, None, "there is no person in it")
    return motions


def from_smpl(path: Path, options: ConvertOptions) -> Content:
    """Read everybody's SMPL motion."""
    return Content(name=path.stem, smpl=read_smpl(path, rate_hz=options.rate_hz, axes=options.axes))


def smpl_facts(path: Path) -> dict[str, Any]:
    """Describe each person; times are counted in frames if the file stores no rate."""
    stated = True
    try:
        people = read_smpl(path)
    except FormatError:
        raise
    except InputError:  # no rate, or nothing says which axis is vertical; what is in the file can be said all the same
        people, stated = read_smpl(path, rate_hz=1.0, axes="y_up"), False
    rows = {str(person): {"frames": len(motion.time_s), "sex": motion.sex} for person, motion in enumerate(people)}
    known = {"axes": people[0].axes} if stated else {"rate or axes": "not stated"}
    return {"kind": "SMPL motion", **known, "people": rows}


def load_content(path: Path) -> Any:
    """What a file holds: a mapping or an array, read without running anything from it.

    Raises:
        FormatError: another kind of file, or a damaged or hostile one.
    """
    ending = path.suffix.lower()
    if ending in (".npz", ".npy"):
        content = load_numpy(path)
    elif ending in (".pkl", ".pickle"):
        content = load_pickle(path)
    elif ending in (".pt", ".pth"):
        content = _load_torch(path)
    else:
        raise FormatError(path, None, "SMPL motion is stored as .npz, .npy, .pkl or .pt")
    return plain(content)


def _load_torch(path: Path) -> Any:
    import pickle

    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))  # PyTorch's advice to allow it is not passed on
        what = (
            f"it names {named.group(1)}, which is no tensor" if named else "it holds other things than tensors, or is damaged"
        )
        raise FormatError(path, None, f"{what}. Nothing of it was run") from None
    except (RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise FormatError(path, None, f"a damaged or truncated file of tensors ({type(error).__name__})") from None


def _people(path: Path, content: Any, rate_hz: float | None) -> Iterator[Any]:
    """The persons in a file: one, or the values of a mapping or list of mappings.

    A list of single frames is one person's video if a frame rate was given, and the people of one image if not.
    """
    if isinstance(content, np.ndarray):
        yield content
        return
    if isinstance(content, list) and content and all(isinstance(item, Mapping) for item in content):
        people = [_flat(item) for item in content]
        yield from people if rate_hz is None else _joined(path, people)
        return
    if not isinstance(content, Mapping):
        raise FormatError(path, None, f"a mapping or an array of joints is expected, it holds a {type(content).__name__}")
    flat = _flat(content)
    if flat is not content:
        yield flat
        return
    if content and all(isinstance(value, Mapping) for value in content.values()):
        tracked = follow_tracks(path, list(content.values()))
        yield from content.values() if tracked is None else tracked
        return
    yield content


def _flat(content: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """The mapping with the first of its nested parameters one level up; itself if there are none."""
    for name in _NESTS:
        if isinstance(content.get(name), Mapping):
            return {**{key: value for key, value in content.items() if key not in _NESTS}, **content[name]}
    return content


def _joined(path: Path, frames: list[Mapping[Any, Any]]) -> list[Mapping[Any, Any]]:
    """One mapping of a list of single frames; the list itself if an item has several frames or other values than the first."""
    known = [key for key in frames[0] if key in VALUE_KEYS]
    shapes = {tuple((key, np.shape(frame.get(key, ""))) for key in known) for frame in frames}
    if len(frames) < 2 or len(shapes) > 1 or read_values(path, frames[0]).frames != 1:
        return frames
    return [{key: np.stack([np.asarray(frame[key]) for frame in frames]) for key in known}]


def _motion(path: Path, content: Any, rate_hz: float | None, axes: Axes | Literal["auto"]) -> SmplMotion:
    values = read_values(path, content)
    frames = values.frames
    return SmplMotion(
        time_s=_times(path, content, frames, rate_hz),
        rotations=values.rotations,
        trans_m=values.trans_m,
        joints_m=values.joints_m,
        betas=values.betas,
        sex=values.sex,
        axes=_axes(path, content, values) if axes == "auto" else axes,
        source=f"SMPL {path.name}",
        notes=values.notes,
    )


def _times(path: Path, content: Any, frames: int, rate_hz: float | None) -> FloatArray:
    if isinstance(content, Mapping) and rate_hz is None:
        for key in _TIME_KEYS:
            if key in content and np.size(content[key]) == frames:
                return np.asarray(content[key], dtype=np.float64).reshape(-1)
        stored = first_of(content, _RATE_KEYS)
        if stored is not None:
            rate_hz = float(np.asarray(stored[1]).reshape(-1)[0])
    if rate_hz is None and frames > 1:
        raise InputError(f"{path}: the file does not store its frame rate: give it (--rate-hz)")
    if rate_hz is not None and not (np.isfinite(rate_hz) and rate_hz > 0):
        raise InputError(f"{path}: the frame rate must be positive, got {rate_hz}")
    seen = first_of(content, _FRAME_KEYS) if isinstance(content, Mapping) else None
    numbers = np.arange(frames) if seen is None else np.asarray(seen[1], dtype=np.float64).reshape(-1)
    if len(numbers) != frames:
        raise FormatError(path, "frame_ids", f"{len(numbers)} frame numbers, {frames} poses")
    return np.asarray(numbers / (rate_hz or 1.0))


def _axes(path: Path, content: Any, values: SmplValues) -> Axes:
    if isinstance(content, Mapping) and any(key in content for key in CAMERA_KEYS):
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

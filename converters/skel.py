"""The pickles of SKEL's alignment scripts: ``poses``, ``betas``, ``trans``, ``gender``.

Source:
    Keller et al. 2023 (SKEL), alignment code, as facts.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from hsmr_bio.errors import FormatError, InputError
from hsmr_bio.io.atomic import new_file
from hsmr_bio.io.unpickle import load_pickle
from hsmr_bio.types import FloatArray, SkelMotion

_RATE_KEYS = ("fps", "mocap_framerate", "mocap_frame_rate")
_SEXES = {"m": "male", "male": "male", "f": "female", "female": "female"}


def read_skel_alignment(path: str | PathLike[str], *, rate_hz: float | None = None) -> SkelMotion:
    """Read what SKEL's alignment to SMPL stores.

    Args:
        path: a ``.pkl`` file; it is read without running anything from it.
        rate_hz: frames per second; None: what the file says, if it does.

    Returns:
        The motion in SKEL's rest frame (y up, rest pose faces +z). Betas that differ from frame to frame become their
        mean, which the notes then say.

    Raises:
        FormatError: not such a file, wrong shapes, NaN, damaged, or a pickle that wants to run something.
        InputError: more than one frame, and the rate is neither given nor stored.
    """
    source = Path(path)
    if not source.exists():
        raise InputError(f"{source}: there is no such file")
    content = load_pickle(source)
    if not isinstance(content, Mapping) or not {"poses", "betas", "trans"} <= set(content):
        keys = ", ".join(map(str, list(content)[:8])) if isinstance(content, Mapping) else type(content).__name__
        raise FormatError(source, None, f"not a SKEL alignment: it needs poses, betas and trans, it has {keys}")
    poses = _matrix(source, content, "poses", 46)
    trans = _matrix(source, content, "trans", 3)
    betas = _matrix(source, content, "betas", None)
    if betas.shape[1] < 10:
        raise FormatError(source, "betas", f"at least 10 shape values are needed, there are {betas.shape[1]}")
    if len(trans) != len(poses) or len(betas) not in (1, len(poses)):
        raise FormatError(source, None, f"{len(poses)} poses, {len(trans)} trans and {len(betas)} betas do not fit together")
    if len(poses) == 0:
        raise FormatError(source, None, "there is no frame")
    rate = rate_hz if rate_hz is not None else _stored_rate(content)
    if rate is None and len(poses) > 1:
        raise InputError(f"{source}: the file does not store its frame rate: give it (--rate-hz)")
    spread = float(np.ptp(betas[:, :10], axis=0).max())
    return SkelMotion(
        time_s=np.arange(len(poses)) / (rate or 1.0),
        poses_rad=poses,
        trans_m=trans,
        betas=betas[:, :10].mean(axis=0),
        body=f"skel_{_sex(source, content)}@1.1.1",
        frame="skel",
        source=f"SKEL alignment {source.name}",
        notes={"betas": "as stored" if spread < 1e-6 else f"mean of all frames (they differ by up to {spread:.3g})"},
    )


def write_skel_alignment(path: str | PathLike[str], motion: SkelMotion, *, overwrite: bool = True) -> None:
    """Write a SkelMotion as SKEL's own scripts read it.

    Args:
        path: a ``.pkl`` file.
        motion: on a licensed SKEL body, in the skel frame.
        overwrite: whether an existing file may be replaced.

    Raises:
        InputError: the betas belong to another body, another frame, or the file exists.
    """
    if not motion.body.startswith("skel_"):
        raise InputError(f"SKEL's scripts know nothing of the betas of {motion.body}: fit a licensed SKEL body first")
    if motion.frame != "skel":
        raise InputError(f"SKEL's scripts expect the skel frame (y up), the motion is in the {motion.frame} frame")
    content = {
        "poses": np.array(motion.poses_rad),
        "betas": np.tile(motion.betas, (len(motion.time_s), 1)),
        "trans": np.array(motion.trans_m),
        "gender": motion.body.split("@")[0].removeprefix("skel_"),
    }
    with new_file(path, overwrite=overwrite) as part:
        part.write_bytes(pickle.dumps(content, protocol=4))


def _matrix(source: Path, content: Mapping[Any, Any], key: str, width: int | None) -> FloatArray:
    try:
        array = np.asarray(content[key], dtype=np.float64)
    except (TypeError, ValueError):
        raise FormatError(source, key, "holds no numbers") from None
    if array.ndim == 1 and array.size:
        array = array[None]
    if array.ndim != 2 or (width is not None and array.shape[1] != width):
        raise FormatError(source, key, f"must have shape (frames, {width or 10}), it has {array.shape}")
    if not np.isfinite(array).all():
        raise FormatError(
            source, key, f"frame {int(np.argwhere(~np.isfinite(array))[0, 0])} has values that are not finite (NaN)"
        )
    return array


def _stored_rate(content: Mapping[Any, Any]) -> float | None:
    for key in _RATE_KEYS:
        if key in content:
            rate = float(np.asarray(content[key]).reshape(-1)[0])
            return rate if rate > 0 else None
    return None


def _sex(source: Path, content: Mapping[Any, Any]) -> str:
    stored = np.asarray(content.get("gender", "")).reshape(-1)[:1].tolist()
    word = stored[0] if stored else ""
    text = (word.decode() if isinstance(word, bytes) else str(word)).lower()
    if text not in _SEXES:
        raise FormatError(source, "gender", f"SKEL has a female and a male body, the file says {text!r}")
    return _SEXES[text]

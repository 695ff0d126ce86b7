"""The pickles of SKEL's alignment scripts: ``poses``, ``betas``, ``trans``, ``gender``.

Source:
    Keller et al. 2023 (SKEL), alignment code, as facts.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import numpy as np

from hsmr_bio.errors import FormatError, InputError
from hsmr_bio.io.atomic import new_file
from hsmr_bio.io.door import reader
from hsmr_bio.io.unpickle import load_pickle
from hsmr_bio.types import FloatArray, SkelMotion

from .smpl_values import frame_rate_hz, numbers, stored_sex

_SAME_BETAS = 1e-6
"""Betas that differ by less from frame to frame are the same: single precision."""


@reader
def read_skel_alignment(path: str | PathLike[str], *, rate_hz: float | None = None) -> SkelMotion:
    """Read a result of SKEL's alignment to SMPL.

    Args:
        path: a ``.pkl`` file; no code in it is run.
        rate_hz: frames per second; None: as stored.

    Returns:
        The motion in SKEL's rest frame (y up, rest pose faces +z). If betas differ from frame to frame, their mean is taken
        and the notes say so.

    Raises:
        FormatError: not such a file, wrong shapes, NaN, damaged, or a pickle that would run code.
        InputError: no such file, or the rate of several frames is neither given nor stored.
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
    sex = stored_sex(source, content)
    if sex == "neutral":
        raise FormatError(source, "gender", "SKEL has a female and a male body, the file states neither (neutral)")
    spread = float(np.ptp(betas[:, :10], axis=0).max())
    return SkelMotion(
        time_s=np.arange(len(poses)) / frame_rate_hz(source, content, len(poses), rate_hz),
        poses_rad=poses,
        trans_m=trans,
        betas=betas[:, :10].mean(axis=0),
        body=f"skel_{sex}@1.1.1",
        frame="skel",
        source=f"SKEL alignment {source.name}",
        notes={"betas": "as stored" if spread < _SAME_BETAS else f"mean of all frames (they differ by up to {spread:.3g})"},
    )


def write_skel_alignment(path: str | PathLike[str], motion: SkelMotion, *, overwrite: bool = True) -> None:
    """Write a SkelMotion for SKEL's own scripts.

    Args:
        path: a ``.pkl`` file.
        motion: on a licensed SKEL body, in the skel frame.
        overwrite: whether an existing file may be replaced.

    Raises:
        InputError: the betas belong to another body, another frame, or the file exists.
    """
    if not motion.body.startswith("skel_"):
        raise InputError(f"SKEL's scripts cannot use the betas of {motion.body}: fit a licensed SKEL body first")
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


def _matrix(source: Path, content: Mapping[str, object], key: str, width: int | None) -> FloatArray:
    array = np.atleast_2d(numbers(source, key, content[key]))
    if array.ndim != 2 or (width is not None and array.shape[1] != width):
        raise FormatError(source, key, f"must have shape (frames, {width or 10}), it has {array.shape}")
    return array

"""SKEL motion as a format: ours, HSMR's results, SKEL's alignment; the content of a file decides how it is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hsmr_bio.errors import HsmrBioError, InputError
from hsmr_bio.io.npz import kind_of, load_motion, load_observation, save_motion
from hsmr_bio.types import SkelMotion

from .content import Content, ConvertOptions, Written
from .facts import ground_figures, time_facts
from .hsmr import read_hsmr
from .skel import read_skel_alignment, write_skel_alignment
from .smpl import read_smpl

_DIGITS = 4
"""Decimals of betas."""
_ANY_RATE_HZ = 1.0
"""Rate where only the kind of a file is asked for; times then count frames."""


def from_skel_file(path: Path, options: ConvertOptions) -> Content:
    """Read the SKEL motion of all people: ours (``.npz``), HSMR's (``.npy``, ``.npz``, folder) or SKEL's alignment (``.pkl``).

    Args:
        path: the file, or a folder of HSMR's ``.npz`` files.
        options: ``rate_hz``, ``image_size_px``, ``focal_px``.

    Returns:
        SKEL motion.

    Raises:
        InputError: an Observation or SMPL motion, which have to be fitted first; an unknown ending; or no rate.
        FormatError: the file is damaged, would run code, or breaks its format.
        EstimationError: HSMR found nobody.
    """
    try:
        return Content(name=path.stem, people=_read(path, options))
    except InputError as error:
        if _is_smpl(path, options):
            hint = f"{path} holds SMPL motion, which has to be fitted first: hsmr-bio smpl2mot {path}"
            raise InputError(hint) from error
        raise


def _read(path: Path, options: ConvertOptions) -> tuple[SkelMotion, ...]:
    ending = path.suffix.lower()
    kind = kind_of(path) if ending == ".npz" else None
    if kind == "SkelMotion":
        return (load_motion(path),)
    if kind is not None:
        raise InputError(f"{path} holds an {kind}, which has to be fitted: hsmr-bio image2mot {path}")
    if ending == ".pkl":
        return (read_skel_alignment(path, rate_hz=options.rate_hz),)
    if ending in (".npz", ".npy") or path.is_dir():
        return read_hsmr(path, rate_hz=options.rate_hz, image_size_px=options.image_size_px, focal_px=options.focal_px)
    raise InputError(f"{path}: SKEL motion is stored as .npz (ours, HSMR), .npy (HSMR) or .pkl (SKEL alignment)")


def to_skel_file(path: Path, content: Content, options: ConvertOptions) -> Written:
    """Write a SKEL motion, ours (``.npz``) or SKEL's alignment (``.pkl``).

    Args:
        path: the file.
        content: with a SKEL motion.
        options: ``overwrite``.

    Returns:
        What the file does not hold.

    Raises:
        InputError: no SKEL motion, or another ending.
    """
    if content.skel is None:
        raise InputError(f"{content.name} holds {content.what}; a SKEL motion is fitted with hsmr-bio mot2skel or smpl2mot")
    if path.suffix.lower() == ".npz":
        save_motion(path, content.skel, overwrite=options.overwrite)
        return Written()
    if path.suffix.lower() == ".pkl":
        write_skel_alignment(path, content.skel, overwrite=options.overwrite)
        return Written(lost=("time, camera, axes and notes",))
    raise InputError(f"{path}: a SKEL motion is written as .npz or .pkl")


def skel_facts(path: Path) -> dict[str, Any]:
    """Describe a SKEL motion, an observation, HSMR's results or a SKEL alignment."""
    ending = path.suffix.lower()
    if ending == ".pkl":
        motion = read_skel_alignment(path, rate_hz=_ANY_RATE_HZ)
        return {"kind": "SKEL alignment", "frames": len(motion.time_s), "body": motion.body, **dict(motion.notes)}
    kind = kind_of(path) if ending == ".npz" else None
    if kind == "SkelMotion":
        motion = load_motion(path)
        betas = [round(float(beta), _DIGITS) for beta in motion.betas]
        facts = {"kind": "SKEL motion", **time_facts(motion.time_s), "body": motion.body, "frame": motion.frame}
        facts |= {"source": motion.source, "betas": betas, "ground": ground_figures(motion.ground)}
        return facts | {"notes": dict(motion.notes)}
    if kind == "Observation":
        seen = load_observation(path)
        facts = {"kind": "observation", **time_facts(seen.time_s), "keypoint_set": str(seen.keypoint_set)}
        facts |= {"source": seen.source, "image_size_px": list(seen.camera.image_size_px), "focal_px": seen.camera.focal_px}
        return facts | {"focal_source": seen.camera.source, "seen": f"{seen.seen.mean():.1%} of frames"}
    people = read_hsmr(path, rate_hz=_ANY_RATE_HZ)
    frames = people[0].notes["frames_in_file"]
    spans = [f"{len(motion.time_s)} frames from {int(motion.time_s[0])} to {int(motion.time_s[-1])}" for motion in people]
    return {"kind": "HSMR demo result", "frames": frames, "people": spans, "body": people[0].body}


def _is_smpl(path: Path, options: ConvertOptions) -> bool:
    try:
        if not path.is_file() or (path.suffix.lower() == ".npz" and kind_of(path) is not None):
            return False
        return bool(read_smpl(path, rate_hz=options.rate_hz or _ANY_RATE_HZ))
    except HsmrBioError:
        return False

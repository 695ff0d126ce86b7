"""SKEL motion as a format, of any origin: the content of the file decides which reader takes it."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from hsmr_bio.errors import HsmrBioError, InputError
from hsmr_bio.io.npz import kind_of, load_motion, load_observation, save_motion
from hsmr_bio.types import SkelMotion

from .content import Content, ConvertOptions, Written
from .facts import ground_figures, time_facts
from .hsmr import HSMR_FOCAL_PX, read_hsmr
from .skel import read_skel_alignment, write_skel_alignment
from .smpl import read_smpl

_DIGITS = 4
"""Decimals of betas."""
_ANY_RATE_HZ = 30.0
"""Stands in for a rate that matters to no one who asks only what a file is."""


def read_skel_motions(
    path: str | PathLike[str],
    *,
    rate_hz: float | None = None,
    image_size_px: tuple[int, int] | None = None,
    focal_px: float = HSMR_FOCAL_PX,
) -> tuple[SkelMotion, ...]:
    """Read SKEL motion: ours (``.npz``), HSMR's demo (``.npy``, ``.npz``, folder), SKEL's alignment (``.pkl``).

    Args:
        path: the file, or a folder of HSMR's ``.npz`` files.
        rate_hz: frames per second, where the file does not store them; ours stores times.
        image_size_px: (width, height) that HSMR's demo worked on.
        focal_px: true focal length of the camera that HSMR's demo did not know.

    Returns:
        One motion per person.

    Raises:
        InputError: no such file, an unknown ending, an Observation (which has to be fitted first), or no rate.
        FormatError: the file is damaged, hostile, or breaks its format.
        EstimationError: HSMR found nobody.
    """
    source = Path(path)
    if not source.exists():
        raise InputError(f"{source}: there is no such file")
    ending = source.suffix.lower()
    if ending == ".npz":
        kind = kind_of(source)
        if kind == "SkelMotion":
            return (load_motion(source),)
        if kind is not None:
            raise InputError(f"{source} holds an {kind}, which has to be fitted: hsmr-bio image2mot {source}")
    if ending == ".pkl":
        return (read_skel_alignment(source, rate_hz=rate_hz),)
    if ending in (".npz", ".npy") or source.is_dir():
        return read_hsmr(source, rate_hz=rate_hz, image_size_px=image_size_px, focal_px=focal_px)
    raise InputError(f"{source}: SKEL motion is stored as .npz (ours, HSMR), .npy (HSMR) or .pkl (SKEL alignment)")


def from_skel_file(path: Path, options: ConvertOptions) -> Content:
    """Read everybody's SKEL motion; SMPL is recognised, and has to be fitted first."""
    try:
        motions = read_skel_motions(
            path, rate_hz=options.rate_hz, image_size_px=options.image_size_px, focal_px=options.focal_px
        )
    except InputError as error:
        if _is_smpl(path, options):
            hint = f"{path} holds SMPL motion, which has to be fitted first: hsmr-bio smpl2mot {path}"
            raise InputError(hint) from error
        raise
    return Content(name=path.stem, people=motions)


def to_skel_file(path: Path, content: Content, options: ConvertOptions) -> Written:
    """Write a SKEL motion: ours (``.npz``) or as SKEL's alignment writes it (``.pkl``)."""
    if content.skel is None:
        raise InputError(f"{content.name} holds {content.what}; a SKEL motion is fitted with hsmr-bio mot2skel or smpl2mot")
    if path.suffix.lower() == ".npz":
        save_motion(path, content.skel, overwrite=options.overwrite)
        return Written()
    if path.suffix.lower() == ".pkl":
        write_skel_alignment(path, content.skel, overwrite=options.overwrite)
        return Written(lost=("time, camera, axes and what was noted on the way",))
    raise InputError(f"{path}: a SKEL motion is written as .npz or .pkl")


def skel_facts(path: Path) -> dict[str, Any]:
    """Describe a SKEL motion, an observation, HSMR's results or a SKEL alignment."""
    ending = path.suffix.lower()
    if ending == ".pkl":
        motion = read_skel_alignment(path, rate_hz=1.0)
        return {"kind": "SKEL alignment", "frames": len(motion.time_s), "body": motion.body, **dict(motion.notes)}
    kind = kind_of(path) if ending == ".npz" else None
    if kind == "SkelMotion":
        motion = load_motion(path)
        betas = [round(float(beta), _DIGITS) for beta in motion.betas]
        facts = {"kind": "SKEL motion", **time_facts(motion.time_s), "body": motion.body, "frame": motion.frame}
        ground = {"ground": ground_figures(motion.ground)}
        return facts | {"source": motion.source, "betas": betas} | ground | {"notes": dict(motion.notes)}
    if kind == "Observation":
        seen = load_observation(path)
        camera = {"image_size_px": list(seen.camera.image_size_px), "focal_px": seen.camera.focal_px}
        facts = {
            "kind": "observation",
            **time_facts(seen.time_s),
            "keypoint_set": str(seen.keypoint_set),
            "source": seen.source,
        }
        return facts | camera | {"focal_source": seen.camera.source, "seen": f"{seen.seen.mean():.1%} of frames"}
    people = read_hsmr(path, rate_hz=1.0)
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

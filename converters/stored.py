"""Stored SKEL motion of any origin: the content of the file decides which reader takes it."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from hsmr_bio.errors import InputError
from hsmr_bio.io.npz import kind_of, load_motion
from hsmr_bio.types import SkelMotion

from .hsmr import HSMR_FOCAL_PX, read_hsmr
from .skel import read_skel_alignment


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

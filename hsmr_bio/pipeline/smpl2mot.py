"""From SMPL motion to OpenSim files: SMPL to SKEL, then the pipeline of stored SKEL motion."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import torch

from ..body import Body
from ..body.placing import rotate_motion, to_forward
from ..converters.smpl_import import import_smpl
from ..fitting.smpl.to_skel import SmplFit
from ..option_checks import file_name_of, options_or_default
from ..types import Progress, SkelMotion, quiet
from .options import Skel2MotOptions, Smpl2MotOptions
from .people import refuse_early
from .results import Result
from .skel2mot import write_motions


class Smpl2MotResult(NamedTuple):
    """One person's results, and the fit of SKEL to SMPL with its errors."""

    result: Result
    fit: SmplFit


def smpl2mot(
    source: str | PathLike[str],
    out_dir: str | PathLike[str],
    options: Smpl2MotOptions | None = None,
    *,
    progress: Progress = quiet,
) -> list[Smpl2MotResult]:
    """Read SMPL motion, convert it to SKEL, transform it to the world frame, scale, map, check and write.

    Args:
        source: SMPL, SMPL-H, AMASS or HMR2.0-like results, or SMPL joints alone.
        out_dir: folder for the results.
        options: see :class:`Smpl2MotOptions`.
        progress: called as each stage advances.

    Returns:
        One result per person; the files of the second person are called ``NAME_p2``.

    Raises:
        InputError: a source or option cannot be used, or results exist already.
        FormatError: the source or a licensed file is damaged or breaks its format.
        MissingAssetError: a licensed file that the options name is missing.
    """
    options = options_or_default(Smpl2MotOptions, options)
    name = options.results.name or file_name_of(Path(source).name.split(".")[0])
    refuse_early(Path(out_dir), [name], options.results)
    imported = import_smpl(source, replace(options.source, height_m=options.results.height_m), progress=progress)
    motions = [fit.motion if options.keep_heading else _facing_forward(fit.motion, body) for fit, body in imported]
    skel_options = Skel2MotOptions(
        results=options.results,
        body=options.source.body,
        sex=options.source.sex,
        ground=options.ground,
        keep_height=options.keep_height,
    )
    results = write_motions(motions, out_dir, skel_options, name=name, progress=progress)
    return [Smpl2MotResult(result, fit) for result, (fit, _) in zip(results, imported, strict=True)]


def _facing_forward(motion: SkelMotion, body: Body) -> SkelMotion:
    """Rotate a motion in the skel frame about the vertical: its walking, or first facing, direction becomes +z."""
    if motion.frame != "skel":
        return motion
    with torch.no_grad():
        pose = body.forward(motion.poses_rad[:1], motion.betas, motion.trans_m[:1])
    rotation = to_forward(motion.trans_m, pose.joints_ori[0, 0, :, 0].numpy(), motion.time_s)
    return rotate_motion(motion, body, rotation, frame="skel")

"""From an SMPL file to SKEL motion, with the licensed files that the user has.

With SMPL and SKEL files the skin is fitted; without them the open body gets SMPL's rotations or joints, and the result lists
what was lost.
"""

from __future__ import annotations

import dataclasses
from os import PathLike
from pathlib import Path

import numpy as np

from hsmr_bio.body import Body, load_body
from hsmr_bio.body.assets import find
from hsmr_bio.body.smpl_model import SmplModel, load_smpl
from hsmr_bio.errors import MissingAssetError
from hsmr_bio.fitting.smpl.skin_problem import SmplFitOptions
from hsmr_bio.fitting.smpl.smpl_motion import SmplMotion
from hsmr_bio.fitting.smpl.to_open import smpl_to_open
from hsmr_bio.fitting.smpl.to_skel import SmplFit, smpl_to_skel
from hsmr_bio.option_checks import options_or_default
from hsmr_bio.types import Progress, Sex, quiet

from .content import ConvertOptions
from .registry import read
from .smpl_options import SmplImportOptions


def import_smpl(
    path: str | PathLike[str], options: SmplImportOptions | None = None, *, progress: Progress = quiet
) -> tuple[tuple[SmplFit, Body], ...]:
    """Read an SMPL file and convert the motions of all people in it.

    Args:
        path: see :func:`hsmr_bio.converters.smpl.read_smpl`.
        options: which body, which files, which axes.
        progress: called with the number of frames done.

    Returns:
        One result per person, with its body.

    Raises:
        FormatError: the motion or a body file cannot be read.
        InputError: see ``read_smpl`` and :func:`hsmr_bio.fitting.smpl.to_skel.smpl_to_skel`.
        MissingAssetError: a licensed file was asked for and does not exist.
    """
    options = options_or_default(SmplImportOptions, options)
    motions = read(path, "smpl", options=ConvertOptions(rate_hz=options.rate_hz, axes=options.axes)).smpl
    return tuple(_import(motion, options, progress) for motion in motions)


def _import(motion: SmplMotion, options: SmplImportOptions, progress: Progress) -> tuple[SmplFit, Body]:
    sex = options.sex or motion.sex
    smpl = _smpl(options, sex)
    motion = _translated(motion, smpl)
    body, lost = _body(motion, options, sex, smpl)
    shares_skin = len(body.data.skin_template_m) == (len(smpl.template_m) if smpl else -1)
    if smpl is None or not shares_skin or motion.rotations is None:
        fit = smpl_to_open(motion, body, smpl, height_m=options.height_m)
        if body.data.topology == "smpl":
            lost.append("the fit to the skin: it needs SMPL's file, rotations and betas")
    else:
        if motion.betas is None:
            motion = dataclasses.replace(motion, betas=np.zeros(10))
            lost.append("the person's shape: the file has no betas, the mean body is used")
        refine = options.refine_betas or smpl.sex != body.sex
        if smpl.sex != body.sex:
            lost.append(f"betas of SMPL's {smpl.sex} body: fitted anew for the {body.sex} SKEL body")
        fit = smpl_to_skel(motion, smpl, body, SmplFitOptions(refine_betas=refine), progress=progress)
    lost += fit.lost
    skel = dataclasses.replace(fit.motion, notes={**fit.motion.notes, "lost": lost})
    return dataclasses.replace(fit, motion=skel, lost=tuple(lost)), body


def _translated(motion: SmplMotion, smpl: SmplModel | None) -> SmplMotion:
    """Express translations of SMPL-X as SMPL's: both models put the pelvis at the same place."""
    if smpl is None or motion.pelvis_m is None or motion.trans_m is None or motion.betas is None:
        return motion
    betas = motion.betas if motion.betas.ndim == 1 else motion.betas.mean(axis=0)
    shift = motion.pelvis_m - smpl.joints(betas)[0]
    return dataclasses.replace(motion, trans_m=motion.trans_m + shift, pelvis_m=None)


def _smpl(options: SmplImportOptions, sex: Sex) -> SmplModel | None:
    """The SMPL file that was named, or the registered one, or None."""
    if options.smpl is not None:
        path = Path(options.smpl).expanduser()
        return load_smpl(find("smpl", sex, path) if path.is_dir() else path)
    try:
        return load_smpl(find("smpl", sex))
    except MissingAssetError:
        return None


def _body(motion: SmplMotion, options: SmplImportOptions, sex: Sex, smpl: SmplModel | None) -> tuple[Body, list[str]]:
    """The body to use, and what its choice loses."""
    if options.body is not None:
        return load_body(options.body, sex), []
    lacking = {
        "no SMPL file of that sex is registered": smpl is None,
        "only joints are known": motion.rotations is None,
        "the file does not say the sex (--sex)": sex == "neutral",
    }
    reasons = [reason for reason, applies in lacking.items() if applies]
    if not reasons:
        try:
            return load_body("skel", sex), []
        except MissingAssetError:
            reasons = ["no SKEL file of that sex is registered"]
    return load_body("open", sex), [f"the exact fit to SMPL's skin: {', '.join(reasons)}"]

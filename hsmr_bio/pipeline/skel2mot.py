"""Stored SKEL motion to OpenSim files: the road of ``image2mot`` from SkelMotion on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np

from ..body import Body, load_body, load_named_body
from ..body.placing import SKEL_TO_WORLD, rotate_motion
from ..converters.content import ConvertOptions
from ..converters.registry import read
from ..fitting.video.joint_centres import fit_joint_centres
from ..fitting.world.ground import to_world
from ..fitting.world.smoothing import filter_motion
from ..kinematics.threads import one_thread
from ..option_checks import options_or_default
from ..types import Progress, Sex, SkelMotion, quiet
from .options import Skel2MotOptions, usable_cutoff
from .people import Person, refuse_early, write_people
from .results import Result


def skel2mot(
    source: str | PathLike[str],
    out_dir: str | PathLike[str],
    options: Skel2MotOptions | None = None,
    *,
    progress: Progress = quiet,
) -> list[Result]:
    """Read stored SKEL motion, put it into the world, scale, map, check and write.

    Args:
        source: ours (``_skel.npz``), HSMR's demo (``.npy``, ``.npz``, folder of them), SKEL's alignment (``.pkl``), or joint
            centres in space (``.trc``, names as ``hip_r`` or ``RHip``), which a body is fitted to.
        out_dir: folder for the results.
        options: see :class:`Skel2MotOptions`.
        progress: told about stages.

    Returns:
        One result per person; the second person's files are called ``NAME_p2``.

    Raises:
        InputError: a source or option that cannot be used, or results that exist already.
        FormatError: the source is damaged or breaks its format.
        EstimationError: HSMR found nobody.
        MissingAssetError: the licensed body that the motion names is not there.
    """
    options = options_or_default(Skel2MotOptions, options)
    path = Path(source)
    stem = path.stem if path.suffix.lower() in (".trc", ".c3d") else path.name.split(".")[0]
    name = options.results.name or stem.removesuffix("_skel").removeprefix("HSMR-")
    refuse_early(Path(out_dir), [name], options.results)
    stored = ConvertOptions(rate_hz=options.rate_hz, image_size_px=options.image_size_px, focal_px=options.focal_px)
    content = read(source, "skel", "markers", options=stored)
    if content.markers is not None:
        body = load_body(options.body or "open", options.sex or "neutral")
        centres = fit_joint_centres(content.markers, body, height_m=options.results.height_m)
        return write_motions([centres], out_dir, replace(options, filter_all=True), name=name, progress=progress)
    return write_motions(content.people, out_dir, options, name=name, progress=progress)


def write_motions(
    motions: Sequence[SkelMotion],
    out_dir: str | PathLike[str],
    options: Skel2MotOptions | None = None,
    *,
    name: str,
    progress: Progress = quiet,
) -> list[Result]:
    """Do :func:`skel2mot` for motions at hand, one per person.

    Args:
        motions: in any frame.
        out_dir: folder for the results.
        options: see :class:`Skel2MotOptions`.
        name: of the first person's files.
        progress: told about stages.

    Returns:
        One result per person.

    Raises:
        InputError: an option that cannot be used, or results that exist already.
        MissingAssetError: the licensed body that a motion names is not there.
    """
    options = options_or_default(Skel2MotOptions, options)

    def place(stored: SkelMotion) -> Person:
        motion, body = with_body(stored, options.body, options.sex)
        lower = motion.frame == "skel" and not options.keep_height
        return Person(motion=in_world(motion, body, options, progress=progress), body=body, lower=lower)

    with one_thread():
        return write_people(out_dir, motions, place, options.results, name=name, progress=progress)


def with_body(motion: SkelMotion, source: str | PathLike[str] | None, sex: Sex | None) -> tuple[SkelMotion, Body]:
    """Load the motion's body; a wanted other body takes over the angles, with its average shape.

    Betas of one body mean nothing to another, so they are dropped and the notes say so.

    Args:
        motion: with its body's name.
        source: as for ``load_body``; None: the body that the motion names.
        sex: of the wanted body; None: that of the motion's body.

    Returns:
        The motion on the body, and the body.

    Raises:
        MissingAssetError: the licensed body that the motion names is not there.
    """
    if source is None:
        return motion, load_named_body(motion.body)
    named = motion.body.replace("-", "_").split("@")[0].split("_")[-1]
    own: Sex = "female" if named == "female" else "male" if named == "male" else "neutral"
    body = load_body(source, sex or own)
    if body.name == motion.body:
        return motion, body
    change = f"the angles of {motion.body} on {body.name}, with its average shape"
    return replace(motion, body=body.name, betas=np.zeros(10), notes={**motion.notes, "body": change}), body


def in_world(motion: SkelMotion, body: Body, options: Skel2MotOptions, *, progress: Progress = quiet) -> SkelMotion:
    """Bring a motion into the world frame.

    A camera motion is grounded (gravity, floor, standing feet) and filtered. A motion in the skel frame stands upright
    already: it is turned and filtered. A world motion is taken as it is.

    Args:
        motion: in any frame.
        body: the motion's body.
        options: camera, filter.
        progress: told about the frames that are done.

    Returns:
        The motion in the world frame.
    """
    cutoff_hz = options.results.cutoff_hz
    if motion.frame == "world":
        return filter_motion(motion, cutoff_hz=usable_cutoff(motion, cutoff_hz)) if options.filter_all else motion
    if motion.frame == "camera":
        world = to_world(motion, body, options.ground, progress=progress)
    else:
        world = rotate_motion(motion, body, SKEL_TO_WORLD, frame="world")
    return filter_motion(world, cutoff_hz=usable_cutoff(world, cutoff_hz))

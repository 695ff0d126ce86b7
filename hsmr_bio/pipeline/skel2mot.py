"""From stored SKEL motion to OpenSim files: the pipeline of ``image2mot`` from SkelMotion on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np

from ..body import Body, load_body, load_named_body
from ..body.placing import SKEL_TO_WORLD, rotate_motion
from ..body.skel_file import sex_of_name
from ..converters.content import ConvertOptions
from ..converters.registry import read
from ..fitting.video.joint_centres import fit_with_cutoff
from ..fitting.video.joint_data import JointCentres
from ..fitting.world.ground import to_world
from ..fitting.world.smoothing import filter_motion
from ..kinematics.threads import one_thread
from ..option_checks import file_name_of, options_or_default
from ..types import Markers, Progress, Sex, SkelMotion, quiet
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
    """Read stored SKEL motion, transform it to the world frame, scale, map, check and write.

    Args:
        source: our ``_skel.npz``, results of HSMR's demo (``.npy``, ``.npz`` or a folder of them), SKEL alignments (``.pkl``),
            or 3D joint centres, to which a body is fitted: ``.trc`` or ``.c3d`` (names such as ``hip_r`` or ``RHip``), and
            results of SAM 3D Body, Theia, FreeMoCap, MotionBERT and VideoPose3D.
        out_dir: folder for the results.
        options: see :class:`Skel2MotOptions`.
        progress: called as each stage advances.

    Returns:
        One result per person; the files of the second person are called ``NAME_p2``.

    Raises:
        InputError: a source or option cannot be used, or results exist already.
        FormatError: the source is damaged or breaks its format.
        EstimationError: HSMR found no person.
        MissingAssetError: the licensed body that the motion names is missing.
    """
    options = options_or_default(Skel2MotOptions, options)
    path = Path(source)
    stem = path.stem if path.suffix.lower() in (".trc", ".c3d") else path.name.split(".")[0]
    name = options.results.name or file_name_of(stem.removesuffix("_skel").removeprefix("HSMR-"))
    refuse_early(Path(out_dir), [name], options.results)
    stored = ConvertOptions(
        rate_hz=options.rate_hz, image_size_px=options.image_size_px, focal_px=options.focal_px, axes=options.axes
    )
    content = read(source, "skel", "markers", "joints", options=stored)
    people: Sequence[Markers | JointCentres] = content.joints or (() if content.markers is None else (content.markers,))
    if people:
        body = load_body(options.body or "open", options.sex or "neutral")
        fits = [fit_with_cutoff(person, body, height_m=options.results.height_m) for person in people]
        filtered = _filtered(options, max(cutoff_hz for _, cutoff_hz in fits))
        return write_motions([motion for motion, _ in fits], out_dir, filtered, name=name, progress=progress)
    return write_motions(content.people, out_dir, options, name=name, progress=progress)


def _filtered(options: Skel2MotOptions, movement_hz: float) -> Skel2MotOptions:
    """Options that filter motions in every frame, and unless asked to, not below the frequencies of the movement."""
    cutoff_hz = options.results.cutoff_hz
    if cutoff_hz is None or options.filter_all:
        return replace(options, filter_all=True)
    return replace(options, filter_all=True, results=replace(options.results, cutoff_hz=max(cutoff_hz, movement_hz)))


def write_motions(
    motions: Sequence[SkelMotion],
    out_dir: str | PathLike[str],
    options: Skel2MotOptions,
    *,
    name: str,
    progress: Progress = quiet,
) -> list[Result]:
    """Do the work of :func:`skel2mot` for motions in memory, one per person.

    Args:
        motions: in any frame.
        out_dir: folder for the results.
        options: see :class:`Skel2MotOptions`.
        name: first part of the names of the first person's files.
        progress: called as each stage advances.

    Returns:
        One result per person.
    """

    def place(stored: SkelMotion) -> Person:
        motion, body = with_body(stored, options.body, options.sex)
        lower = motion.frame == "skel" and not options.keep_height
        return Person(motion=in_world(motion, body, options, progress=progress), body=body, lower=lower)

    with one_thread():
        return write_people(out_dir, motions, place, options.results, name=name, progress=progress)


def with_body(motion: SkelMotion, source: str | PathLike[str] | None, sex: Sex | None) -> tuple[SkelMotion, Body]:
    """Load the body of a motion, or transfer the motion's angles to another body with its mean shape.

    Betas of one body have no meaning on another: they are set to zero, and the motion's notes say so.

    Args:
        motion: with the name of its body.
        source: as for ``load_body``; None: the body that the motion names.
        sex: of the other body; None: that of the motion's body.

    Returns:
        The motion on the body, and the body.
    """
    if source is None:
        return motion, load_named_body(motion.body)
    body = load_body(source, sex or sex_of_name(motion.body))
    if body.name == motion.body:
        return motion, body
    change = f"the angles of {motion.body} on {body.name}, with its average shape"
    return replace(motion, body=body.name, betas=np.zeros(10), notes={**motion.notes, "body": change}), body


def in_world(motion: SkelMotion, body: Body, options: Skel2MotOptions, *, progress: Progress = quiet) -> SkelMotion:
    """Transform a motion to the world frame.

    A motion in the camera frame goes through the ground step (gravity, floor, standing feet) and the filter. A motion in
    the skel frame is upright already: it is rotated and filtered. A world motion is only filtered on request.

    Args:
        motion: in any frame.
        body: the motion's body.
        options: camera, filter.
        progress: called as frames are finished.

    Returns:
        The motion in the world frame.
    """
    if motion.frame == "world" and not options.filter_all:
        return motion
    if motion.frame == "camera":
        motion = to_world(motion, body, options.ground, progress=progress)
    elif motion.frame == "skel":
        motion = rotate_motion(motion, body, SKEL_TO_WORLD, frame="world")
    return filter_motion(motion, cutoff_hz=usable_cutoff(motion, options.results.cutoff_hz))

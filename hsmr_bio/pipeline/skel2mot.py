"""Stored SKEL motion to OpenSim files: the road of ``image2mot`` from SkelMotion on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path

import numpy as np

from ..body import Body, load_body, load_named_body
from ..body.placing import SKEL_TO_WORLD, rotate_motion
from ..checks.measures import lowest_foot_m, place_model
from ..converters.stored import read_skel_motions
from ..fitting.video.joint_centres import fit_joint_centres
from ..fitting.world.gravity import GroundOptions
from ..fitting.world.ground import to_world
from ..fitting.world.smoothing import steady
from ..io.atomic import new_folder, refuse_existing
from ..io.trc import read_trc
from ..kinematics.threads import one_thread
from ..osim.document import OsimDocument
from ..types import Progress, Sex, SkelMotion, quiet
from .image2mot import Result, ResultOptions, make_results, usable_cutoff, write_results


@dataclass(frozen=True, kw_only=True)
class Skel2MotOptions:
    """What a stored SKEL motion does not say, and what becomes of it."""

    results: ResultOptions = field(default_factory=ResultOptions)
    body: str | None = None
    """None: the body that the motion names. Another body takes over the angles, with the average shape."""
    sex: Sex | None = None
    rate_hz: float | None = None
    """Frames per second, for files that store no times."""
    image_size_px: tuple[int, int] | None = None
    """(width, height) of the video behind HSMR's results."""
    focal_px: float = 5000.0
    """Focal length of the camera; HSMR assumes 5000 px, which puts people far away."""
    ground: GroundOptions = field(default_factory=GroundOptions)
    filter_all: bool = False
    """Filter motions in the world frame too; by default they are taken as finished."""
    keep_height: bool = False
    """Leave a motion in the skel frame at its height; by default its lowest foot point touches the floor."""


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
    options = options or Skel2MotOptions()
    if Path(source).suffix.lower() == ".trc":
        body = load_body(options.body or "open", options.sex or "neutral")
        centres = fit_joint_centres(read_trc(source), body, height_m=options.results.height_m)
        name = options.results.name or Path(source).stem
        return write_motions([centres], out_dir, replace(options, filter_all=True), name=name, progress=progress)
    motions = read_skel_motions(source, rate_hz=options.rate_hz, image_size_px=options.image_size_px, focal_px=options.focal_px)
    name = options.results.name or Path(source).name.split(".")[0].removesuffix("_skel").removeprefix("HSMR-")
    return write_motions(motions, out_dir, options, name=name, progress=progress)


def write_motions(
    motions: Sequence[SkelMotion],
    out_dir: str | PathLike[str],
    options: Skel2MotOptions | None = None,
    *,
    name: str,
    progress: Progress = quiet,
) -> list[Result]:
    """As :func:`skel2mot`, for motions at hand, one per person."""
    options = options or Skel2MotOptions()
    out = Path(out_dir)
    labels = [name if person == 1 else f"{name}_p{person}" for person in range(1, len(motions) + 1)]
    endings = (".osim", ".mot", ".trc")
    refuse_existing([out / f"{label}{end}" for label in labels for end in endings], overwrite=options.results.overwrite)
    with one_thread(), new_folder(out, overwrite=options.results.overwrite) as folder:
        results = []
        for person, (label, stored) in enumerate(zip(labels, motions, strict=True)):
            progress("person", person, len(motions))
            motion, body = with_body(stored, options.body, options.sex)
            world = in_world(motion, body, options, progress=progress)
            made = make_results(world, body, options.results, name=label)
            results.append(write_results(folder, made, body, options.results))
        progress("person", len(motions), len(motions))
    return [replace(result, paths=tuple(out / path.name for path in result.paths)) for result in results]


def with_body(motion: SkelMotion, source: str | None, sex: Sex | None) -> tuple[SkelMotion, Body]:
    """Load the motion's body; a wanted other body takes over the angles, with its average shape.

    Betas of one body mean nothing to another, so they are dropped and the notes say so.

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
    already: it is turned, lowered to the floor and filtered. A world motion is taken as it is.
    """
    cutoff_hz = options.results.cutoff_hz
    if motion.frame == "world":
        return steady(motion, cutoff_hz=usable_cutoff(motion, cutoff_hz)) if options.filter_all else motion
    if motion.frame == "camera":
        world = to_world(motion, body, options.ground, progress=progress)
    else:
        world = rotate_motion(motion, body, SKEL_TO_WORLD, frame="world")
        if not options.keep_height:
            world = _lowered(world, body)
    return steady(world, cutoff_hz=usable_cutoff(world, cutoff_hz))


def _lowered(motion: SkelMotion, body: Body) -> SkelMotion:
    """Move the motion up or down so that its lowest foot marker is at y = 0."""
    made = make_results(motion, body)
    document = OsimDocument.from_bytes(made.subject.osim_xml, source="model")
    lowest = lowest_foot_m(place_model(document, made.motion))
    trans = np.array(motion.trans_m)
    if lowest is not None:
        trans[:, 1] -= lowest[0]
    return replace(motion, trans_m=trans)

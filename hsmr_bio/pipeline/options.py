"""Options of image2mot, skel2mot and smpl2mot, checked when they are built. Importing them loads numpy only."""

from __future__ import annotations

from dataclasses import dataclass, field
from os import PathLike
from typing import Literal, get_args

import numpy as np

from ..converters.smpl_options import SmplImportOptions
from ..errors import InputError
from ..estimators import EstimateOptions, estimator_names
from ..fitting.smpl.smpl_motion import Axes
from ..fitting.world.options import GroundOptions
from ..option_checks import (
    check_choice,
    check_cutoff,
    check_file_name,
    check_height,
    check_image_size,
    check_mass,
    check_number,
    check_options,
)
from ..types import SEXES, JointShapes, ModelKind, OsimMotion, Sex, SkelMotion

_OURS = ("blazepose", "hsmr", "replay")
"""Estimators of this package that look at pictures, or at a stored observation."""
TASKS = ("auto", "gait", "squat", "sit-to-stand", "jump", "none")
"""Tasks of an analysis, as ``hsmr_bio.analysis`` has them."""


@dataclass(frozen=True, kw_only=True)
class ResultOptions:
    """Options of the results: subject, model, filter, files."""

    height_m: float | None = None
    """Stature; None: that of the body shape (one camera does not measure size)."""
    mass_kg: float | None = None
    """Body mass; None: volume of the skin times the mean density of the body."""
    model: ModelKind = "bsm"
    joints: JointShapes = "bsm"
    """Knees of the BSM model, see :data:`hsmr_bio.types.JointShapes`."""
    cutoff_hz: float | None = 6.0
    """Cutoff of the low-pass filter of the angles; None: no filter. 6 Hz is usual for walking (Winter 2009)."""
    dynamics: bool = False
    """Also estimate the ground reaction and solve for joint moments."""
    task: str = "auto"
    """What the findings of the report are about, one of ``TASKS``; auto: recognised."""
    overwrite: bool = False
    name: str | None = None
    """First part of the file names; None: the name of the input."""

    def __post_init__(self) -> None:
        check_height(self.height_m)
        check_mass(self.mass_kg)
        check_choice("model", self.model, get_args(ModelKind))
        check_choice("joints", self.joints, get_args(JointShapes))
        check_cutoff(self.cutoff_hz)
        check_choice("task", self.task, TASKS)
        if self.name is not None:
            check_file_name(self.name)


@dataclass(frozen=True, kw_only=True)
class Image2MotOptions(ResultOptions):
    """Options of ``image2mot``."""

    estimator: str = "blazepose"
    body: str | PathLike[str] = "open"
    sex: Sex = "neutral"
    estimate: EstimateOptions = field(default_factory=EstimateOptions)
    ground: GroundOptions = field(default_factory=GroundOptions)
    refine: bool = False
    """Estimator ``hsmr`` only: fit the network's prediction and the landmarks of the built-in estimator together."""
    people: bool = False
    """Estimate all people, not only the most prominent person; the files of person 2 are called ``NAME_p2``."""
    moving_camera: bool = False
    """Accept a moving camera; the world motion is wrong in the frames in which it moves."""
    save_observation: bool = False
    """Write the observation, with a few thumbnails, as ``NAME_observation.npz`` for the estimator ``replay``."""

    def __post_init__(self) -> None:
        ResultOptions.__post_init__(self)
        if self.estimator not in (*_OURS, "keypoints"):  # a look at all installed packages takes some hundredths of a second
            check_choice("estimator", self.estimator, estimator_names())
        _check_body(self.body, self.sex)
        check_options(EstimateOptions, self.estimate, "estimate")
        check_options(GroundOptions, self.ground, "ground")
        seen = self.estimate
        needs_hsmr: dict[str, object] = {"--refine": self.refine, "--checkpoint": seen.checkpoint, "--boxes": seen.boxes}
        needs_files: dict[str, object] = {"--keypoints": seen.keypoints, "--keypoint-set": seen.keypoint_set}
        needs_files |= {"--rate-hz": seen.rate_hz, "--image-size": seen.image_size_px}
        for estimator, others, needs in (("hsmr", ("blazepose", "keypoints"), needs_hsmr), ("keypoints", _OURS, needs_files)):
            unused = [name for name, value in needs.items() if value]
            if self.estimator in others and unused:
                raise InputError(f"{' and '.join(unused)} would have no effect: add --estimator {estimator}")


@dataclass(frozen=True, kw_only=True)
class Skel2MotOptions:
    """Options of ``skel2mot``."""

    results: ResultOptions = field(default_factory=ResultOptions)
    body: str | PathLike[str] | None = None
    """None: the body that the motion names. Another body takes the angles with its mean shape."""
    sex: Sex | None = None
    rate_hz: float | None = None
    """Frame rate of files that store no times."""
    image_size_px: tuple[int, int] | None = None
    """(width, height) of the video of HSMR's results."""
    focal_px: float = 5000.0
    """Focal length of the camera. HSMR assumes 5000 px, which overestimates the depth of most cameras."""
    axes: Axes | Literal["auto"] = "auto"
    """Axes of joint positions; auto: as the layout states, else by the upright trunk."""
    ground: GroundOptions = field(default_factory=GroundOptions)
    filter_all: bool = False
    """Filter motions in the world frame too, which by default are not filtered again, and motions that are fitted to joint
    centres at exactly ``results.cutoff_hz``; by default the cutoff of these is raised where the movement is faster."""
    keep_height: bool = False
    """Keep the height of a motion in the skel frame; by default its lowest foot marker is moved to y = 0."""

    def __post_init__(self) -> None:
        check_options(ResultOptions, self.results, "results")
        check_options(GroundOptions, self.ground, "ground")
        _check_body("open" if self.body is None else self.body, "neutral" if self.sex is None else self.sex)
        check_number("rate_hz (--rate-hz)", self.rate_hz, "Hz", above=0)
        check_choice("axes", self.axes, ("auto", *get_args(Axes)))
        check_number("focal_px (--focal-px)", self.focal_px, "px", above=0)
        check_image_size(self.image_size_px)


@dataclass(frozen=True, kw_only=True)
class Smpl2MotOptions:
    """Options of ``smpl2mot``."""

    source: SmplImportOptions = field(default_factory=SmplImportOptions)
    results: ResultOptions = field(default_factory=ResultOptions)
    ground: GroundOptions = field(default_factory=GroundOptions)
    """Of motions in camera axes."""
    keep_height: bool = False
    """Keep the height of an upright motion; by default its lowest foot marker is moved to y = 0."""
    keep_heading: bool = False
    """Keep the heading of an upright motion; by default its walking direction, or first facing direction, becomes x."""

    def __post_init__(self) -> None:
        check_options(SmplImportOptions, self.source, "source")
        check_options(ResultOptions, self.results, "results")
        check_options(GroundOptions, self.ground, "ground")


def usable_cutoff(motion: SkelMotion | OsimMotion, cutoff_hz: float | None) -> float | None:
    """Limit the cutoff of the low-pass filter to what the frame rate of a motion allows.

    Args:
        motion: of at least one frame.
        cutoff_hz: wanted cutoff, or None.

    Returns:
        ``cutoff_hz``; None (no filter) for a single frame, and for a cutoff of half the frame rate or more.
    """
    if cutoff_hz is None or len(motion.time_s) < 2:
        return None
    rate_hz = 1 / float(np.median(np.diff(motion.time_s)))
    return cutoff_hz if cutoff_hz < rate_hz / 2 else None


def _check_body(body: object, sex: object) -> None:
    if not isinstance(body, (str, PathLike)):
        raise InputError(f"body must be open, skel, or the path of a SKEL file, got {body!r}")
    check_choice("sex", sex, SEXES)

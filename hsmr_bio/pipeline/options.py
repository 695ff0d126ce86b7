"""Options of image2mot, skel2mot and smpl2mot; they check themselves when they are built."""

from __future__ import annotations

from dataclasses import dataclass, field
from os import PathLike
from typing import Literal, get_args

import numpy as np

from ..body.data_model import SEXES
from ..converters.smpl_import import SmplImportOptions
from ..errors import InputError
from ..estimators import EstimateOptions, estimator_names
from ..fitting.world.gravity import GroundOptions
from ..option_checks import (
    check_choice,
    check_cutoff,
    check_file_name,
    check_height,
    check_mass,
    check_number,
    check_options,
)
from ..scaling import JointShapes
from ..types import OsimMotion, Sex, SkelMotion

ModelKind = Literal["bsm", "twin"]


@dataclass(frozen=True, kw_only=True)
class ResultOptions:
    """What becomes of a motion: the subject, the filter, the files."""

    height_m: float | None = None
    """Body height; None: that of the shape (one camera does not see size)."""
    mass_kg: float | None = None
    """Body mass; None: volume of the skin times the body's density."""
    model: ModelKind = "bsm"
    joints: JointShapes = "bsm"
    """Knees of the BSM model: BSM's, which roll and turn inwards as they bend, or hinges, which follow SKEL motion exactly."""
    cutoff_hz: float | None = 6.0
    """Low-pass of the angles; None: off. 6 Hz is usual for walking (Winter 2009)."""
    dynamics: bool = False
    """Also estimate the ground reaction and solve for joint moments."""
    overwrite: bool = False
    name: str | None = None
    """Of the files; None: that of the input."""

    def __post_init__(self) -> None:
        check_height(self.height_m)
        check_mass(self.mass_kg)
        check_choice("model", self.model, get_args(ModelKind))
        check_choice("joints", self.joints, get_args(JointShapes))
        check_cutoff(self.cutoff_hz)
        if self.name is not None:
            check_file_name(self.name)


@dataclass(frozen=True, kw_only=True)
class Image2MotOptions(ResultOptions):
    """Options of ``image2mot``; the defaults need nothing from the user."""

    estimator: str = "blazepose"
    body: str | PathLike[str] = "open"
    sex: Sex = "neutral"
    estimate: EstimateOptions = field(default_factory=EstimateOptions)
    ground: GroundOptions = field(default_factory=GroundOptions)
    refine: bool = False
    """Of the estimator ``hsmr``: let the landmarks of the built-in estimator correct the network's prediction, in one fit."""
    people: bool = False
    """Follow everybody, not only the most prominent person; person 2 is written as ``NAME_p2``."""
    moving_camera: bool = False
    """Go on although the camera moves; the world is then wrong where it does."""
    save_observation: bool = False
    """Keep what the estimator saw (and a few small pictures) as ``NAME_observation.npz``, for the estimator ``replay``."""

    def __post_init__(self) -> None:
        ResultOptions.__post_init__(self)
        check_choice("estimator", self.estimator, estimator_names())
        _check_body(self.body, self.sex)
        check_options(EstimateOptions, self.estimate, "estimate")
        check_options(GroundOptions, self.ground, "ground")
        needs_hsmr = {"refine": self.refine, "checkpoint": self.estimate.checkpoint, "boxes": self.estimate.boxes}
        idle = [f"--{name}" for name, value in needs_hsmr.items() if value]
        if self.estimator == "blazepose" and idle:
            raise InputError(f"{' and '.join(idle)} would have no effect: say --estimator hsmr as well")


@dataclass(frozen=True, kw_only=True)
class Skel2MotOptions:
    """What a stored SKEL motion does not say, and what becomes of it."""

    results: ResultOptions = field(default_factory=ResultOptions)
    body: str | PathLike[str] | None = None
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

    def __post_init__(self) -> None:
        check_options(ResultOptions, self.results, "results")
        check_options(GroundOptions, self.ground, "ground")
        _check_body("open" if self.body is None else self.body, "neutral" if self.sex is None else self.sex)
        check_number("rate_hz (--rate-hz)", self.rate_hz, "Hz", above=0)
        check_number("focal_px (--focal-px)", self.focal_px, "px", above=0)
        size = self.image_size_px
        if size is not None and not (np.shape(size) == (2,) and all(isinstance(n, (int, np.integer)) and n > 0 for n in size)):
            raise InputError(f"image_size_px (--image-size) must be width and height in whole pixels, got {size!r}")


@dataclass(frozen=True, kw_only=True)
class Smpl2MotOptions:
    """How an SMPL file becomes OpenSim files."""

    source: SmplImportOptions = field(default_factory=SmplImportOptions)
    results: ResultOptions = field(default_factory=ResultOptions)
    ground: GroundOptions = field(default_factory=GroundOptions)
    """For motions in camera axes."""
    keep_height: bool = False
    """Leave an upright motion at its height; by default its lowest foot point touches the floor."""
    keep_heading: bool = False
    """Leave an upright motion's direction; by default it walks, or faces at first, along x."""

    def __post_init__(self) -> None:
        check_options(SmplImportOptions, self.source, "source")
        check_options(ResultOptions, self.results, "results")
        check_options(GroundOptions, self.ground, "ground")


def usable_cutoff(motion: SkelMotion | OsimMotion, cutoff_hz: float | None) -> float | None:
    """Cutoff of the low-pass filter for a motion: None for a still, and where the frame rate is too low for the filter."""
    if cutoff_hz is None or len(motion.time_s) < 2:
        return None
    rate_hz = 1 / float(np.median(np.diff(motion.time_s)))
    return cutoff_hz if cutoff_hz < rate_hz / 2 else None


def _check_body(body: object, sex: object) -> None:
    if not isinstance(body, (str, PathLike)):
        raise InputError(f"body must be open, skel, or the path of a SKEL file, got {body!r}")
    check_choice("sex", sex, SEXES)

"""From one video to OpenSim: scaled model, motion, markers, report.

Start with :func:`image2mot`; each of its steps is a public function of this module. Importing loads numpy only; heavier
packages load at the first use of a name.
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING

from .types import GeneralizedForces, Markers, Observation, OsimMotion, SkelMotion, Subject
from .version import __version__ as __version__

if TYPE_CHECKING:
    from .analysis import Analysis, AnalysisOptions, Comparison, analyse, compare
    from .body import Body, load_body
    from .checks.check_motion import CheckReport, check_motion
    from .checks.limits import LimitReport, check_limits
    from .converters.smpl_options import SmplImportOptions
    from .dynamics.inverse_dynamics import inverse_dynamics
    from .estimators import EstimateOptions, estimate, estimate_people
    from .fitting.markers.inverse_kinematics import inverse_kinematics
    from .fitting.skelify.skelify import skelify
    from .fitting.smpl.to_skel import smpl_to_skel
    from .fitting.video.fit_motion import fit_motion
    from .fitting.video.keypoints import FitOptions
    from .fitting.world.ground import to_world
    from .fitting.world.options import GroundOptions
    from .fitting.world.smoothing import filter_motion
    from .hsmr.checkpoint import load_hsmr
    from .io.mot import read_mot, write_mot
    from .io.npz import load_motion, load_observation, save_motion, save_observation
    from .io.sto import read_sto, write_sto
    from .io.trc import read_trc, write_trc
    from .mapping import to_coordinates, to_skel, virtual_markers
    from .osim.library import bsm
    from .osim.twin import twin_model
    from .pipeline.image2mot import image2mot
    from .pipeline.options import Image2MotOptions, ResultOptions, Skel2MotOptions, Smpl2MotOptions
    from .pipeline.results import Result
    from .pipeline.skel2mot import skel2mot
    from .pipeline.smpl2mot import smpl2mot
    from .scaling import scale_model
    from .study.batch import batch
    from .study.options import BatchOptions
    from .study.study import Study, load_study

__all__ = [
    "Analysis",
    "AnalysisOptions",
    "BatchOptions",
    "Body",
    "CheckReport",
    "Comparison",
    "EstimateOptions",
    "FitOptions",
    "GeneralizedForces",
    "GroundOptions",
    "Image2MotOptions",
    "LimitReport",
    "Markers",
    "Observation",
    "OsimMotion",
    "Result",
    "ResultOptions",
    "Skel2MotOptions",
    "SkelMotion",
    "Smpl2MotOptions",
    "SmplImportOptions",
    "Study",
    "Subject",
    "analyse",
    "batch",
    "bsm",
    "check_limits",
    "check_motion",
    "compare",
    "estimate",
    "estimate_people",
    "filter_motion",
    "fit_motion",
    "image2mot",
    "inverse_dynamics",
    "inverse_kinematics",
    "load_body",
    "load_hsmr",
    "load_motion",
    "load_observation",
    "load_study",
    "read_mot",
    "read_sto",
    "read_trc",
    "save_motion",
    "save_observation",
    "scale_model",
    "skel2mot",
    "skelify",
    "smpl2mot",
    "smpl_to_skel",
    "to_coordinates",
    "to_skel",
    "to_world",
    "twin_model",
    "virtual_markers",
    "write_mot",
    "write_sto",
    "write_trc",
]

_NAMES = {
    "analysis": ("Analysis", "AnalysisOptions", "Comparison", "analyse", "compare"),
    "body": ("Body", "load_body"),
    "checks.check_motion": ("CheckReport", "check_motion"),
    "checks.limits": ("LimitReport", "check_limits"),
    "converters.smpl_options": ("SmplImportOptions",),
    "dynamics.inverse_dynamics": ("inverse_dynamics",),
    "estimators": ("EstimateOptions", "estimate", "estimate_people"),
    "fitting.markers.inverse_kinematics": ("inverse_kinematics",),
    "fitting.skelify.skelify": ("skelify",),
    "fitting.smpl.to_skel": ("smpl_to_skel",),
    "fitting.video.fit_motion": ("fit_motion",),
    "fitting.video.keypoints": ("FitOptions",),
    "fitting.world.ground": ("to_world",),
    "fitting.world.options": ("GroundOptions",),
    "fitting.world.smoothing": ("filter_motion",),
    "hsmr.checkpoint": ("load_hsmr",),
    "io.mot": ("read_mot", "write_mot"),
    "io.npz": ("load_motion", "load_observation", "save_motion", "save_observation"),
    "io.sto": ("read_sto", "write_sto"),
    "io.trc": ("read_trc", "write_trc"),
    "mapping": ("to_coordinates", "to_skel", "virtual_markers"),
    "osim.library": ("bsm",),
    "osim.twin": ("twin_model",),
    "pipeline.image2mot": ("image2mot",),
    "pipeline.options": ("Image2MotOptions", "ResultOptions", "Skel2MotOptions", "Smpl2MotOptions"),
    "pipeline.results": ("Result",),
    "pipeline.skel2mot": ("skel2mot",),
    "pipeline.smpl2mot": ("smpl2mot",),
    "scaling": ("scale_model",),
    "study.batch": ("batch",),
    "study.options": ("BatchOptions",),
    "study.study": ("Study", "load_study"),
}
"""Module -> public names that it defines."""
_HOME = {name: module for module, names in _NAMES.items() for name in names}
"""Name -> module that defines it."""

logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> object:
    """Load a public name from its module at its first use."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names, for completion."""
    return [*__all__, "__version__"]

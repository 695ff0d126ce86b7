"""From one video to OpenSim: scaled model, motion, markers, report.

Start with :func:`image2mot`; each station of its road is a public function of this module. Importing loads numpy only:
everything heavier is loaded when a name is used for the first time.
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .types import GeneralizedForces, Markers, Observation, OsimMotion, SkelMotion, Subject
from .version import __version__ as __version__

if TYPE_CHECKING:
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

__all__ = [
    "Body",
    "CheckReport",
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
    "Subject",
    "bsm",
    "check_limits",
    "check_motion",
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

_HOME = {
    "Body": "body",
    "CheckReport": "checks.check_motion",
    "EstimateOptions": "estimators",
    "FitOptions": "fitting.video.keypoints",
    "GroundOptions": "fitting.world.options",
    "Image2MotOptions": "pipeline.options",
    "LimitReport": "checks.limits",
    "Result": "pipeline.results",
    "ResultOptions": "pipeline.options",
    "Skel2MotOptions": "pipeline.options",
    "Smpl2MotOptions": "pipeline.options",
    "SmplImportOptions": "converters.smpl_options",
    "bsm": "osim.library",
    "check_limits": "checks.limits",
    "check_motion": "checks.check_motion",
    "estimate": "estimators",
    "estimate_people": "estimators",
    "filter_motion": "fitting.world.smoothing",
    "fit_motion": "fitting.video.fit_motion",
    "image2mot": "pipeline.image2mot",
    "inverse_dynamics": "dynamics.inverse_dynamics",
    "inverse_kinematics": "fitting.markers.inverse_kinematics",
    "load_body": "body",
    "load_hsmr": "hsmr.checkpoint",
    "load_motion": "io.npz",
    "load_observation": "io.npz",
    "read_mot": "io.mot",
    "read_sto": "io.sto",
    "read_trc": "io.trc",
    "save_motion": "io.npz",
    "save_observation": "io.npz",
    "scale_model": "scaling",
    "skel2mot": "pipeline.skel2mot",
    "skelify": "fitting.skelify.skelify",
    "smpl2mot": "pipeline.smpl2mot",
    "smpl_to_skel": "fitting.smpl.to_skel",
    "to_coordinates": "mapping",
    "to_skel": "mapping",
    "to_world": "fitting.world.ground",
    "twin_model": "osim.twin",
    "virtual_markers": "mapping",
    "write_mot": "io.mot",
    "write_sto": "io.sto",
    "write_trc": "io.trc",
}
"""Name -> module that defines it."""

logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    """Load a public name from its module the first time it is used."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names, so that completion finds them."""
    return [*__all__, "__version__"]

"""From one video to OpenSim: scaled model, motion, markers, report.

Start with :func:`image2mot`; each station of its road is a public function of this module. Importing loads numpy only:
everything heavier is loaded when a name is used for the first time.
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .types import GeneralizedForces, Markers, Observation, OsimMotion, SkelMotion, Subject

if TYPE_CHECKING:
    from .body import Body, load_body
    from .checks import CheckReport, check_motion
    from .dynamics.inverse_dynamics import inverse_dynamics
    from .fitting.markers import inverse_kinematics
    from .fitting.motion import fit_motion
    from .fitting.skelify import skelify
    from .fitting.smpl import smpl_to_skel
    from .hsmr.checkpoint import load_hsmr
    from .io.mot import read_mot, write_mot
    from .io.sto import read_sto, write_sto
    from .io.trc import read_trc, write_trc
    from .limits import LimitReport, check_limits
    from .mapping import to_coordinates, to_skel, virtual_markers
    from .osim.library import bsm
    from .osim.twin import twin_model
    from .pipeline import Image2MotOptions, image2mot
    from .scaling import scale_model

__version__ = "0.1.0"

__all__ = [
    "Body",
    "CheckReport",
    "GeneralizedForces",
    "Image2MotOptions",
    "LimitReport",
    "Markers",
    "Observation",
    "OsimMotion",
    "SkelMotion",
    "Subject",
    "bsm",
    "check_limits",
    "check_motion",
    "fit_motion",
    "image2mot",
    "inverse_dynamics",
    "inverse_kinematics",
    "load_body",
    "load_hsmr",
    "read_mot",
    "read_sto",
    "read_trc",
    "scale_model",
    "skelify",
    "smpl_to_skel",
    "to_coordinates",
    "to_skel",
    "twin_model",
    "virtual_markers",
    "write_mot",
    "write_sto",
    "write_trc",
]

_HOME = {
    "Body": "body",
    "CheckReport": "checks",
    "Image2MotOptions": "pipeline",
    "LimitReport": "limits",
    "bsm": "osim.library",
    "check_limits": "limits",
    "check_motion": "checks",
    "fit_motion": "fitting.motion",
    "image2mot": "pipeline",
    "inverse_dynamics": "dynamics.inverse_dynamics",
    "inverse_kinematics": "fitting.markers",
    "load_body": "body",
    "load_hsmr": "hsmr.checkpoint",
    "read_mot": "io.mot",
    "read_sto": "io.sto",
    "read_trc": "io.trc",
    "scale_model": "scaling",
    "skelify": "fitting.skelify",
    "smpl_to_skel": "fitting.smpl",
    "to_coordinates": "mapping",
    "to_skel": "mapping",
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

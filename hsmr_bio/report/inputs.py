"""Inputs of a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hsmr_bio.analysis import Analysis
from hsmr_bio.arrays import freeze
from hsmr_bio.checks.check_motion import CheckReport
from hsmr_bio.dynamics.inverse_dynamics import InverseDynamics
from hsmr_bio.errors import ShapeError
from hsmr_bio.types import FloatArray, OsimMotion, SkelMotion, Subject


@dataclass(frozen=True, eq=False, kw_only=True)
class ReportFrame:
    """One picture of the video with the model's joints in it."""

    time_s: float
    rgb: npt.NDArray[np.uint8]
    """(H, W, 3)."""
    joints_px: FloatArray
    """(J, 2) the model's joint centres in the written motion, projected into this picture; NaN: not shown."""

    def __post_init__(self) -> None:
        if self.rgb.ndim != 3 or self.rgb.shape[2] != 3 or self.rgb.dtype != np.uint8:
            raise ShapeError(f"rgb must be (H, W, 3) of bytes, got {self.rgb.shape} of {self.rgb.dtype}")


@dataclass(frozen=True, eq=False, kw_only=True)
class ReportInputs:
    """Content of a report."""

    name: str
    """Of the clip or motion: the title."""
    checks: CheckReport
    motion: OsimMotion
    """As written to the ``.mot``; its ``sd_si`` becomes the uncertainty bands."""
    ranges_si: Mapping[str, tuple[float, float]]
    """Limits of the coordinates, rad or m."""
    joints_m: FloatArray
    """(T, J, 3) the model's joint centres in the ground frame (y up) at ``motion.time_s``."""
    joint_names: tuple[str, ...]
    """J names; the colour shows the side of those that end in ``_r`` and ``_l``."""
    bones: tuple[tuple[int, int], ...]
    """Pairs of joints that are connected by a line."""
    subject: Subject | None = None
    skel: SkelMotion | None = None
    frames: tuple[ReportFrame, ...] = ()
    assumptions: Mapping[str, Any] = field(default_factory=dict)
    """Assumptions with their sources: camera, gravity, stature, mass ..."""
    timings_s: Mapping[str, float] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    """Names of the files written beside the report."""
    dynamics: InverseDynamics | None = None
    """Moments and forces; None: not computed."""
    analysis: Analysis | None = None
    """Events, cycles and parameters; None: not computed."""
    remarks: tuple[str, ...] = ()
    """Sentences for the reader on problems and omissions."""

    def __post_init__(self) -> None:
        freeze(self, {"joints_m": (len(self.motion.time_s), len(self.joint_names), 3)})
        for first, second in self.bones:
            if not (0 <= first < len(self.joint_names) and 0 <= second < len(self.joint_names)):
                raise ShapeError(f"bone ({first}, {second}) names a joint that is not one of the {len(self.joint_names)}")
        for frame in self.frames:
            if np.shape(frame.joints_px) != (len(self.joint_names), 2):
                expected = f"({len(self.joint_names)}, 2)"
                raise ShapeError(
                    f"joints_px of the frame at {frame.time_s:g} s must be {expected}, got {np.shape(frame.joints_px)}"
                )


def side_of(name: str) -> str:
    """Give the side of a coordinate or joint: ``"r"``, ``"l"``, or ``"c"`` for the middle of the body."""
    return name[-1] if name.endswith(("_r", "_l")) else "r" if "_r_" in name else "l" if "_l_" in name else "c"

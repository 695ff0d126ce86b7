"""Joint centres of one person as another program stores them, with the poses of segments where it has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ...arrays import readonly
from ...errors import InputError
from ...option_checks import check_choice
from ...skeleton import JOINT_NAMES
from ...types import FloatArray, Markers

CentreAxes = Literal["world", "camera"]
"""``world``: y up; ``camera``: x right, y down, z away."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Segment:
    """Pose of a rigid part of the body over time."""

    bone: str
    """SKEL bone that it moves with (``skeleton.JOINT_NAMES``)."""
    origins_m: FloatArray
    """(T, 3); NaN where unknown."""
    rotations: FloatArray
    """(T, 3, 3) from axes of the part's own, which nobody needs to know, to those of the joint centres."""

    def __post_init__(self) -> None:
        check_choice("bone", self.bone, JOINT_NAMES)
        frames = len(self.origins_m)
        object.__setattr__(self, "origins_m", readonly("origins_m", self.origins_m, (frames, 3), allow_nan=True))
        object.__setattr__(self, "rotations", readonly("rotations", self.rotations, (frames, 3, 3), allow_nan=True))


@dataclass(frozen=True, eq=False, kw_only=True)
class JointCentres:
    """Joint centres of one person."""

    markers: Markers
    """Named ``hip_r``, ``knee_l`` ...; NaN where not seen."""
    axes: CentreAxes = "world"
    metric: bool = True
    """Whether positions are in metres; False: of unknown size, which follows from the stature or the population."""
    segments: tuple[Segment, ...] = ()
    source: str = "joint centres"
    notes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_choice("axes", self.axes, ("world", "camera"))
        wrong = [segment.bone for segment in self.segments if len(segment.origins_m) != len(self.markers.time_s)]
        if wrong:
            raise InputError(f"segment {wrong[0]!r} has other frames than the joint centres")

    @property
    def upright_m(self) -> FloatArray:
        """(T, P, 3) positions with y up; those of a camera are turned by half a turn about x."""
        positions = np.asarray(self.markers.positions_m)
        return positions * np.array([1.0, -1.0, -1.0]) if self.axes == "camera" else positions

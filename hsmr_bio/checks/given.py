"""What the checks of a motion look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..skeleton import DOF_NAMES
from ..types import FloatArray, Markers, OsimMotion, SkelMotion
from .check_row import Skip
from .limits import LimitReport
from .measures import PlacedModel

if TYPE_CHECKING:
    from ..osim.document import OsimDocument


@dataclass(frozen=True, eq=False, kw_only=True)
class Given:
    """A motion, and what is known beside it."""

    motion: OsimMotion | None
    skel: SkelMotion | None
    document: OsimDocument | None
    markers: Markers | None
    """Measured markers."""
    placed: PlacedModel | None
    """The model in every frame of the motion."""
    why_not_placed: str
    limits: LimitReport | None

    def angles(self) -> tuple[FloatArray, FloatArray, tuple[str, ...]]:
        """Return time, (T, N) angles in degrees and their names: of the OpenSim motion, else of the SKEL motion."""
        if self.motion is not None:
            names = tuple(n for n, turning in zip(self.motion.coordinates, self.motion.rotational, strict=True) if turning)
            return self.motion.time_s, np.rad2deg(self.motion.values_si[:, self.motion.rotational]), names
        if self.skel is None:
            raise Skip("there is no motion")
        return self.skel.time_s, np.rad2deg(self.skel.poses_rad), DOF_NAMES

    def model(self) -> PlacedModel:
        """Return the placed model; without one the check is skipped."""
        if self.placed is None:
            raise Skip(self.why_not_placed)
        return self.placed

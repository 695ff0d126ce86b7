"""The input of the checks of a motion."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..body.body import Body
from ..body.load import load_named_body
from ..errors import HsmrBioError, ModelError
from ..osim.document import OsimDocument
from ..osim.placed import PlacedModel, place_model
from ..skeleton import DOF_NAMES
from ..types import FloatArray, Markers, Observation, OsimMotion, Progress, SkelMotion, quiet
from . import measures
from .check_row import Skip
from .limits import LimitReport
from .picture import Picture
from .stance import Stance


@dataclass(frozen=True, eq=False, kw_only=True)
class Given:
    """A motion, its model, and the other data of the same motion."""

    motion: OsimMotion | None
    skel: SkelMotion | None
    document: OsimDocument | None
    markers: Markers | None
    """Measured markers."""
    limits: LimitReport | None
    observation: Observation | None = None
    """What the detector saw, from which the SKEL motion was fitted."""
    body: Body | None = None
    """Of the SKEL motion; None: the one that it names."""
    progress: Progress = quiet
    """Called while the model is placed."""

    def angles(self) -> tuple[FloatArray, FloatArray, tuple[str, ...]]:
        """Return time, (T, N) angles in degrees and their names: of the OpenSim motion, else of the SKEL motion."""
        if self.motion is not None:
            rotational = self.motion.rotational
            if not rotational.any():
                raise Skip("the motion has no angle")
            names = tuple(np.array(self.motion.coordinates)[rotational].tolist())
            angles = self.motion.values_si[:, rotational]
            return self.motion.time_s, np.rad2deg(angles, out=angles), names
        if self.skel is None:
            raise Skip("there is no motion")
        return self.skel.time_s, np.rad2deg(self.skel.poses_rad), DOF_NAMES

    @cached_property
    def placed(self) -> PlacedModel:
        """The model in every frame of the motion, its feet and measured markers at once; skips without motion or model."""
        if self.motion is None:
            raise Skip("needs the OpenSim motion")
        try:
            placed = place_model(self.motion, self._document)
        except ModelError as error:
            raise Skip(f"the model cannot be placed: {error}") from error
        measured = () if self.markers is None else self.markers.names
        placed.place((*measures.foot_markers(placed), *set(placed.marker_names).intersection(measured)), progress=self.progress)
        return placed

    @cached_property
    def stance(self) -> Stance:
        """The placed model with the bodies of trunk, legs and feet; without them the check is skipped."""
        return Stance.of(self.placed, self._document)

    @cached_property
    def picture(self) -> Picture:
        """The model's landmarks and the detector's in the picture; without either the check is skipped."""
        if self.observation is None:
            raise Skip("needs the observation (--save-observation)")
        if self.skel is None:
            raise Skip("needs the SKEL motion")
        try:
            body = self.body or load_named_body(self.skel.body)
        except HsmrBioError as error:
            raise Skip(f"the body cannot be loaded: {error}") from error
        return Picture.of(self.observation, self.skel, body)

    @property
    def _document(self) -> OsimDocument:
        if self.document is None:
            raise Skip("needs the model (.osim)")
        return self.document

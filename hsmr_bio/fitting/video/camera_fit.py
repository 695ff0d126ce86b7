"""What a fit to the pictures of one camera gives: the motion, and what grounding goes on with."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from ...body.body import Body
from ...body.placing import rotate_motion
from ...types import Camera, FloatArray, Observation, SkelMotion
from ..core.problem import FLIP, OFFSET_GROUPS, State
from .keypoints import Clip
from .scene import SceneAxes


@dataclass(frozen=True, eq=False, kw_only=True)
class CameraFit:
    """One person's motion as one camera saw it."""

    motion: SkelMotion
    """In the camera frame."""
    camera: Camera
    """Through which it was found, with the fitted focal length."""
    level: SkelMotion
    """The same motion in the level axes of an untilted camera (frame ``skel``), as it was solved."""
    scene: SceneAxes | None = None
    """What the straight edges of the background say about the camera, if they say anything."""
    offsets_m: FloatArray = field(default_factory=lambda: np.zeros((OFFSET_GROUPS, 3)))
    """(8, 3) shift of landmark pairs in rest axes, for the left side; the right side is mirrored."""
    clip: Clip | None = None
    """The landmarks that the motion was fitted to; None for a network's prediction, whose postures are the evidence."""

    @property
    def deviations_rad(self) -> FloatArray | None:
        """(T, 46) standard deviation of each angle, if they were wanted."""
        return self.motion.poses_sd_rad

    @classmethod
    def of(cls, solved: State, sd: FloatArray | None, observation: Observation, body: Body) -> CameraFit:
        """Make the motions of a solved state.

        Args:
            solved: all frames, with an untilted camera.
            sd: (T, 49) standard deviation of each unknown, or None.
            observation: what was fitted.
            body: the fitted body.
        """
        camera = replace(observation.camera, focal_px=solved.focal_px)
        level = SkelMotion(
            time_s=observation.time_s,
            poses_rad=solved.q[:, :46].numpy(),
            trans_m=solved.q[:, 46:].numpy(),
            betas=solved.betas,
            body=body.name,
            frame="skel",
            source=observation.source,
            poses_sd_rad=None if sd is None else sd[:, :46],
            camera=camera,
        )
        motion = rotate_motion(level, body, FLIP.numpy(), frame="camera")
        return cls(motion=motion, camera=camera, level=level, offsets_m=solved.offsets_m)

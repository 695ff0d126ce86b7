"""Result of a fit to the images of one camera: the motion, and the evidence for grounding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...body.body import Body
from ...body.placing import rotate_motion
from ...types import Camera, FloatArray, Observation, SkelMotion
from ..core.problem import FLIP, OFFSET_GROUPS, State
from .keypoints import Clip
from .scene import SceneAxes


@dataclass(frozen=True, eq=False, kw_only=True)
class CameraFit:
    """One person's motion in the axes of one camera."""

    motion: SkelMotion
    """In the camera frame, with the standard deviations of the angles if they were wanted."""
    camera: Camera
    """With the fitted focal length."""
    level: SkelMotion
    """The same motion in the level axes of an untilted camera (frame ``skel``), as it was solved."""
    scene: SceneAxes | None = None
    """Tilt and focal length from the straight edges of the background, if these are clear."""
    offsets_m: FloatArray = field(default_factory=lambda: np.zeros((OFFSET_GROUPS, 3)))
    """(8, 3) shift of landmark pairs in rest axes, for the left side; the right side is mirrored."""
    clip: Clip | None = None
    """The fitted landmarks; None for a network's prediction, whose postures are the evidence."""

    @classmethod
    def of(
        cls,
        solved: State,
        sd: FloatArray | None,
        observation: Observation,
        body: Body,
        notes: Mapping[str, Any] | None = None,
    ) -> CameraFit:
        """Make the motions of a solved state.

        Args:
            solved: all frames, with an untilted camera.
            sd: (T, 49) standard deviation of each unknown, or None.
            observation: the fitted observation.
            body: the fitted body.
            notes: for people.

        Returns:
            The fit, without scene and landmarks.
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
            notes=notes or {},
        )
        motion = rotate_motion(level, body, FLIP.numpy(), frame="camera")
        return cls(motion=motion, camera=camera, level=level, offsets_m=solved.offsets_m)

"""Pictures of the video with the model's joints, for the report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hsmr_bio.io.thumbnails import rgb_of
from hsmr_bio.types import FloatArray, SkelMotion, Thumbnail

from .inputs import ReportFrame

_MIN_DEPTH_M = 0.05
"""Joints nearer to the camera, or behind it, are projected as if they were here."""


def pictures(
    thumbnails: Sequence[Thumbnail], motion: SkelMotion, time_s: FloatArray, joints_m: FloatArray
) -> tuple[ReportFrame, ...]:
    """Project the model's joints into pictures of the video.

    Args:
        thumbnails: of the observation.
        motion: in the world frame, with its camera and the camera's place in the world (``ground``).
        time_s: (T,) of ``joints_m``.
        joints_m: (T, J, 3) the model's joint centres in ground.

    Returns:
        The pictures of frames that the motion has, with the joints in them; none if the camera's place is not known.
    """
    ground = motion.ground
    if motion.camera is None or ground is None:
        return ()
    step_s = float(np.median(np.diff(time_s))) if len(time_s) > 1 else np.inf
    found = []
    for thumbnail in thumbnails:
        row = int(np.abs(time_s - thumbnail.time_s).argmin())
        if abs(time_s[row] - thumbnail.time_s) > step_s:  # of a part that was cut off
            continue
        camera = joints_m[row] @ ground.R_camera_world.T + ground.t_camera_world_m
        pixels = motion.camera.focal_px * camera[:, :2] / np.maximum(camera[:, 2:], _MIN_DEPTH_M) + motion.camera.center_px
        rgb = rgb_of(thumbnail)
        if rgb is not None:
            found.append(ReportFrame(time_s=thumbnail.time_s, rgb=rgb, joints_px=pixels / np.array(thumbnail.scale)))
    return tuple(found)

"""Where a motion puts a detector's landmarks in the picture, and where the detector saw them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from ..body.body import Body
from ..body.placing import require_body
from ..fitting.core.body_points import KeypointPoints
from ..fitting.core.problem import OFFSET_GROUPS
from ..fitting.video.keypoints import MIN_SIGMA_PX
from ..fitting.video.start import TORSO
from ..types import BoolArray, FloatArray, Observation, SkelMotion
from .check_row import Skip
from .measures import GAP_STEPS

LEAST_CONFIDENCE = 0.5
"""Landmarks with a lower confidence say nothing against a model: the networks place hidden limbs by guessing (chosen)."""
_LEAST_DEPTH_M = 0.1
"""A point nearer than this, or behind the camera, is not projected."""
PARTS = {
    "trunk": TORSO,
    "right arm": ("right_elbow", "right_wrist"),
    "left arm": ("left_elbow", "left_wrist"),
    "right leg": ("right_knee", "right_ankle"),
    "left leg": ("left_knee", "left_ankle"),
    "feet": ("right_heel", "right_foot_index", "left_heel", "left_foot_index"),
}
"""Part of the body -> its landmarks, by the names of the shipped keypoint sets."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Picture:
    """Landmarks of the detector and of the model in the picture, at the times of the video."""

    time_s: FloatArray
    """(T,)."""
    names: tuple[str, ...]
    """L landmarks."""
    seen_px: FloatArray
    """(T, L, 2) of the detector; NaN where it saw nothing."""
    confidence: FloatArray
    """(T, L)."""
    model_px: FloatArray
    """(T, L, 2) of the model; NaN outside the motion's time and in its gaps."""
    sigma_px: FloatArray
    """(T, L) standard deviation of the detector at the person's distance."""
    torso_px: FloatArray
    """(T,) length of the trunk, from the middle of the hips to that of the shoulders, at the person's distance."""

    @classmethod
    def of(cls, observation: Observation, motion: SkelMotion, body: Body) -> Picture:
        """Project the model's landmarks.

        Args:
            observation: one person's.
            motion: in the world frame, with its camera and the camera's place.
            body: the motion's body.

        Returns:
            Landmarks in the picture at the observation's times.

        Raises:
            Skip: the motion has no camera, the set no trunk, or both share no time.
        """
        if motion.camera is None or motion.ground is None:
            raise Skip("the motion does not say where the camera is")
        require_body(motion, body)
        landmarks = KeypointPoints.of(body, observation.keypoint_set)
        if not set(TORSO) <= set(landmarks.names):
            raise Skip("the keypoint set has no hips and shoulders")
        points = landmarks(motion.betas, np.zeros((OFFSET_GROUPS, 3)))
        posed = body.tree(motion.betas).forward(torch.as_tensor(motion.q)).points(points.bodies, points.local_m)
        world_m = (posed if points.mix is None else points.mix @ posed).numpy()
        camera_m = world_m @ motion.ground.R_camera_world.T + motion.ground.t_camera_world_m
        at_m = _at_times(observation.time_s, motion.time_s, camera_m)
        if not np.isfinite(at_m).any():
            raise Skip("observation and motion share no time")
        depth_m = np.where(at_m[..., 2:] > _LEAST_DEPTH_M, at_m[..., 2:], np.nan)
        px_per_m = motion.camera.focal_px / depth_m
        corners = at_m[:, [landmarks.names.index(name) for name in TORSO]]
        trunk_m = np.linalg.norm(corners[:, :2].mean(axis=1) - corners[:, 2:].mean(axis=1), axis=1)
        placed = np.isfinite(px_per_m[..., 0])
        scale = np.where(placed, px_per_m[..., 0], 0.0).sum(axis=1) / np.maximum(placed.sum(axis=1), 1)
        scale[~placed.any(axis=1)] = np.nan
        return cls(
            time_s=observation.time_s,
            names=landmarks.names,
            seen_px=observation.keypoints_px,
            confidence=observation.confidence,
            model_px=at_m[..., :2] * px_per_m + motion.camera.center_px,
            sigma_px=np.maximum(landmarks.sigma_2d_m * scale[:, None], MIN_SIGMA_PX),
            torso_px=trunk_m * scale,
        )

    @cached_property
    def known(self) -> BoolArray:
        """(T, L) whether the detector is sure of the landmark and the model has it."""
        finite = np.isfinite(self.seen_px).all(axis=-1) & np.isfinite(self.model_px).all(axis=-1)
        return np.asarray(finite & (self.confidence >= LEAST_CONFIDENCE))

    def columns(self, *names: str) -> list[int]:
        """Columns of landmarks, of those that the set has."""
        return [self.names.index(name) for name in names if name in self.names]


def _at_times(wanted_s: FloatArray, time_s: FloatArray, points_m: FloatArray) -> FloatArray:
    """Points (T, L, 3) at wanted times, linear between neighbours; NaN outside and in gaps."""
    step_s = float(np.median(np.diff(time_s))) if len(time_s) > 1 else np.inf
    after = np.clip(np.searchsorted(time_s, wanted_s), 1, max(len(time_s) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(time_s) - 1)
    width_s = time_s[after] - time_s[before]
    share = np.clip((wanted_s - time_s[before]) / np.where(width_s > 0, width_s, 1.0), 0, 1)
    away_s = np.minimum(np.abs(wanted_s - time_s[before]), np.abs(wanted_s - time_s[after]))
    found = points_m[before] + share[:, None, None] * (points_m[after] - points_m[before])
    lost = (away_s > step_s) | ((width_s > GAP_STEPS * step_s) & (away_s > step_s / 2))
    return np.where(lost[:, None, None], np.nan, found)

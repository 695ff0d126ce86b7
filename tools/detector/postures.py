"""Landmarks of the open body in everyday postures, without pictures: what ``train_pixel_depth.py`` learns from."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from pictures import balanced, posture
from scipy.spatial.transform import Rotation

from hsmr_bio.body.load import load_body
from hsmr_bio.fitting.core.body_points import KeypointPoints
from hsmr_bio.fitting.core.problem import OFFSET_GROUPS
from hsmr_bio.fitting.video.bone_depth import DETECTOR_STATURE_M

Array = npt.NDArray[np.float64]
KEYPOINT_SET = "coco23"
POSTURES_PER_SHAPE = 50
_BETA_SD, _MOST_BETA = 0.8, 2.0
_OFFSET_SD_M = 0.012
"""Of a landmark's place on a person: clothes, build, and another detector's idea of the point."""
_BALANCED = 0.7
"""Share of the postures whose body could stand so."""
_TIPPED_RAD = np.radians(4.0)


def standing_landmarks(seed: int, shapes: int) -> Array:
    """(N, L, 3) landmarks of ``shapes`` people of 1.65 m in some postures each, relative to the mid-hip.

    Axes: x to the left of a person who faces +z, y up.
    """
    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    bodies = [load_body("open", sex) for sex in ("female", "male", "neutral")]
    return np.concatenate([_one_shape(bodies[rng.integers(3)], rng) for _ in range(shapes)])


def _one_shape(body: object, rng: np.random.Generator) -> Array:
    betas = np.clip(rng.normal(0, _BETA_SD, 10), -_MOST_BETA, _MOST_BETA)
    drawn = [posture(rng) for _ in range(POSTURES_PER_SHAPE)]
    q = np.concatenate([np.array([angles for angles, _ in drawn]), np.zeros((len(drawn), 3))], axis=1)
    pose = body.tree(betas).forward(torch.as_tensor(q))
    landmarks = KeypointPoints.of(body, KEYPOINT_SET)
    points = landmarks(betas, rng.normal(0, _OFFSET_SD_M, (OFFSET_GROUPS, 3)))
    placed = np.asarray(pose.points(points.bodies, points.local_m))
    joints = np.asarray(pose.positions_m)
    turned = []
    for points_m, joints_m, (_, leans) in zip(placed, joints, drawn, strict=True):
        lean = leans
        if rng.uniform() < _BALANCED:
            lean = balanced(joints_m, leans) + rng.normal(0, _TIPPED_RAD, 2)
        turned.append(points_m @ Rotation.from_euler("XZ", lean).as_matrix().T)
    hips = [landmarks.names.index(f"{side}_hip") for side in ("left", "right")]
    stood = np.array(turned) * DETECTOR_STATURE_M / body.stature_m(betas)
    return stood - stood[:, hips].mean(axis=1, keepdims=True)

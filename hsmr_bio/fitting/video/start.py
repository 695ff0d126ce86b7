"""A first guess for the keypoint fit: the root from the torso, the joints from a standing posture, the distance from pixels."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ...body.body import Body
from ...errors import EstimationError
from ...kinematics.rotations import euler_about, shortest
from ...types import FloatArray, Observation
from ..core.priors import mean_pose
from ..core.problem import FLIP, PointSet

TORSO = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
MIN_LANDMARKS = 4
"""A frame with fewer leaves the body's own place open."""


def viewing_rays(observation: Observation, hips: tuple[int, int], focal_px: float) -> FloatArray:
    """(T, 3) unit ray from the camera through the middle of the hips, camera axes; gaps are filled linearly."""
    middle = np.asarray(observation.keypoints_px[:, list(hips)]).mean(axis=1)
    middle = fill_gaps(observation.time_s, middle)
    rays = np.concatenate([(middle - observation.camera.center_px) / focal_px, np.ones((len(middle), 1))], axis=1)
    return np.asarray(rays / np.linalg.norm(rays, axis=1, keepdims=True))


def fill_gaps(time_s: FloatArray, values: FloatArray) -> FloatArray:
    """Replace NaN rows of (T, ...) values by linear interpolation in time, the ends by the nearest known row."""
    flat = values.reshape(len(values), -1)
    known = np.isfinite(flat).all(axis=1)
    if not known.any():
        raise EstimationError("the person is seen in no frame at all")
    filled = np.stack([np.interp(time_s, time_s[known], column[known]) for column in flat.T], axis=1)
    return filled.reshape(values.shape)


def level_landmarks(observation: Observation, rays: FloatArray) -> FloatArray | None:
    """(T, K, 3) metric landmarks in level axes, turned from the detector's viewing ray to the camera axis.

    The detector looks along the ray to the middle of its crop, not along the optical axis (measured: turning by the
    ray lowers the error in 7 of 8 clips by up to 6 mm).
    """
    if observation.keypoints_m is None:
        return None
    camera = np.einsum("tij,tkj->tki", to_ray(rays), observation.keypoints_m)
    return np.asarray(camera @ FLIP.numpy())


def to_ray(rays: FloatArray) -> FloatArray:
    """(T, 3, 3) shortest rotations from the optical axis to unit viewing rays (T, 3)."""
    axis = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    return np.asarray(shortest(axis, torch.as_tensor(rays)).numpy())


def root_orientations(body: Body, landmarks: FloatArray, rest: PointSet, torso: list[int]) -> FloatArray:
    """(T, 3) SKEL root angles that turn the resting torso onto the seen one; NaN where it is not seen.

    Source:
        Kabsch 1976; angles from the root joint's own axes.
    """
    tree = body.tree(np.zeros(10))
    start = torch.zeros(49, dtype=torch.float64)
    start[:46] = torch.as_tensor(mean_pose())
    parts = tree.forward(start).points(rest.bodies, rest.local_m)
    placed = (parts if rest.mix is None else rest.mix @ parts)[torso].numpy()
    model = placed - placed.mean(axis=0)
    seen = landmarks[:, torso]
    good = np.isfinite(seen).all(axis=(1, 2))
    centred = seen[good] - seen[good].mean(axis=1, keepdims=True)
    u, _, vt = np.linalg.svd(np.einsum("tki,kj->tij", centred, model))
    sign = np.linalg.det(u @ vt)
    u[:, :, 2] *= sign[:, None]
    turned = torch.as_tensor(u @ vt)
    angles = np.full((len(landmarks), 3), np.nan)
    angles[good] = root_angles(body, turned).numpy()
    return angles


def root_angles(body: Body, turn: Tensor) -> Tensor:
    """Root angles (..., 3) in SKEL's order that turn the T pose by ``turn``."""
    tree = body.tree(np.zeros(10))
    joint = tree.joints[0]
    rest = torch.as_tensor(body.rest(np.zeros(10)).bone_rotations[0])
    local = tree.parent_rotation[0].T @ turn @ rest @ tree.child_rotation[0]
    axes = torch.tensor([axis for axis, _ in joint.rotations], dtype=torch.float64)
    return euler_about(axes, local).flip(-1)


def unwrapped(time_s: FloatArray, angles: FloatArray) -> FloatArray:
    """Fill gaps and full turns of angle columns (T, 3)."""
    known = np.isfinite(angles).all(axis=1)
    if not known.any():
        raise EstimationError("shoulders and hips are never seen together: the whole trunk must be in the picture")
    columns = np.unwrap(angles[known], axis=0)
    return np.stack([np.interp(time_s, time_s[known], column) for column in columns.T], axis=1)


def translations(
    observation: Observation, points: Tensor, camera_rotation: Tensor, focal_px: float, weight: FloatArray
) -> FloatArray:
    """(T, 3) shift of posed landmarks (T, L, 3, level axes) that best explains the pixels: linear least squares.

    Args:
        observation: pixels.
        points: posed at translation zero.
        camera_rotation: level -> camera.
        focal_px: focal length.
        weight: (T, L), zero where a landmark is not seen.
    """
    base = np.asarray((points @ camera_rotation.T).numpy())
    slope = (np.nan_to_num(observation.keypoints_px) - observation.camera.center_px) / focal_px
    gain = np.repeat(weight, 2, axis=1)
    rows = np.zeros((*slope.shape[:2], 2, 3))
    rows[:, :, 0, 0] = rows[:, :, 1, 1] = 1.0
    rows[..., 2] = -slope
    right = slope * base[..., 2:] - base[..., :2]
    a = rows.reshape(len(base), -1, 3) * gain[..., None]
    b = right.reshape(len(base), -1) * gain
    normal = np.einsum("tmi,tmj->tij", a, a) + 1e-9 * np.eye(3)
    shift = np.linalg.solve(normal, np.einsum("tmi,tm->ti", a, b)[..., None])[..., 0]
    shift[(weight > 0).sum(axis=1) < MIN_LANDMARKS] = np.nan
    shift[shift[:, 2] < 0.3] = np.nan
    if np.isnan(shift).all():
        raise EstimationError("no frame shows enough of the person to place it: at least four landmarks must be seen")
    shift = fill_gaps(observation.time_s, shift)
    return np.asarray(shift @ camera_rotation.numpy())

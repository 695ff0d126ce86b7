"""Parts of a first guess: root orientation from the torso, joints of a standing posture, distance from the pixels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...body.body import Body
from ...body.placing import root_angles
from ...errors import EstimationError
from ...filtering import interpolate
from ...kinematics.rotations import shortest
from ...types import FloatArray, Observation
from ..core.priors import mean_pose
from ..core.problem import FLIP, PointSet, State
from ..core.terms import Depth, Reprojection
from .bone_depth import DETECTOR_STATURE_M, BoneDepths

TORSO = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
MIN_LANDMARKS = 4
"""A frame with fewer landmarks does not determine the body's translation."""
LEAST_DISTANCE_M = 0.3
"""Smallest distance of a person from the camera."""
SHAPE_FRAMES = 120
"""Largest number of frames, spread over the clip, that the shape is estimated from."""
_SINGULAR = 1e-9
"""Added to the diagonal of the normal equations of a translation: frames without landmarks stay solvable."""


def viewing_rays(observation: Observation, hips: tuple[int, int], focal_px: float) -> FloatArray:
    """Unit rays from the camera through the middle of the hips, in camera axes: ``(u - c, f)``, normalised.

    Args:
        observation: pixels; gaps are filled linearly.
        hips: indices of the two landmarks.
        focal_px: focal length.

    Returns:
        (T, 3).
    """
    middle = np.asarray(observation.keypoints_px[:, list(hips)]).mean(axis=1)
    middle = fill_gaps(observation.time_s, middle)
    rays = np.concatenate([(middle - observation.camera.center_px) / focal_px, np.ones((len(middle), 1))], axis=1)
    return np.asarray(rays / np.linalg.norm(rays, axis=1, keepdims=True))


def fill_gaps(time_s: FloatArray, values: FloatArray) -> FloatArray:
    """Replace rows with NaN by linear interpolation in time, at the ends by the nearest known row.

    Args:
        time_s: (T,).
        values: (T, ...).

    Returns:
        (T, ...).

    Raises:
        EstimationError: no row is known.
    """
    flat = values.reshape(len(values), -1)
    known = np.isfinite(flat).all(axis=1)
    if not known.any():
        raise EstimationError("the person is seen in no frame at all")
    return interpolate(time_s, time_s[known], flat[known]).reshape(values.shape)


def level_landmarks(observation: Observation, rays: FloatArray) -> FloatArray | None:
    """Metric landmarks in level axes, rotated from the detector's viewing ray to the optical axis.

    The detector's z axis is the ray to the middle of its crop, not the optical axis (measured: rotation by the ray lowers the
    error in 7 of 8 clips by up to 6 mm).

    Args:
        observation: its metric landmarks may be missing.
        rays: (T, 3) unit viewing rays, camera axes.

    Returns:
        (T, K, 3) m, or None.
    """
    if observation.keypoints_m is None:
        return None
    camera = np.einsum("tij,tkj->tki", to_ray(rays), observation.keypoints_m)
    return np.asarray(camera @ FLIP.numpy())


def to_ray(rays: FloatArray) -> FloatArray:
    """(T, 3, 3) shortest rotations from the optical axis to unit viewing rays (T, 3)."""
    axis = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    return np.asarray(shortest(axis, torch.as_tensor(rays)).numpy())


def standing(root_rad: FloatArray) -> FloatArray:
    """(T, 49) relaxed standing with root angles (T, 3), at the origin."""
    q = np.zeros((len(root_rad), 49))
    q[:, :46] = mean_pose()
    q[:, :3] = root_rad
    return q


def root_orientations(body: Body, landmarks: FloatArray, rest: PointSet, torso: list[int]) -> FloatArray:
    """Root angles that rotate the standing torso onto the observed one, by least squares of the centred points.

    Args:
        body: the body of the landmarks.
        landmarks: (T, L, 3) observed, level axes.
        rest: the landmarks of the mean body.
        torso: indices of shoulders and hips.

    Returns:
        (T, 3) rad in SKEL's order; NaN where the torso is not observed.

    Source:
        ``R = U diag(1, 1, det(U V^T)) V^T`` of the singular values of the covariance: Kabsch 1976, Acta Cryst A32:922.
    """
    posed = body.tree(np.zeros(10)).forward(torch.as_tensor(standing(np.zeros((1, 3)))[0]))
    points = posed.points(rest.bodies, rest.local_m)
    model = (points if rest.mix is None else rest.mix @ points)[torso].numpy()
    model = model - model.mean(axis=0)
    observed = landmarks[:, torso]
    known = np.isfinite(observed).all(axis=(1, 2))
    centred = observed[known] - observed[known].mean(axis=1, keepdims=True)
    u, _, vt = np.linalg.svd(np.einsum("tki,kj->tij", centred, model))
    u[:, :, 2] *= np.linalg.det(u @ vt)[:, None]
    angles = np.full((len(landmarks), 3), np.nan)
    angles[known] = rest_root_angles(body, u @ vt)
    return angles


def rest_root_angles(body: Body, turn: FloatArray) -> FloatArray:
    """Root angles that rotate the T pose.

    Args:
        body: the body.
        turn: (..., 3, 3) rotation in level axes.

    Returns:
        (..., 3) rad in SKEL's order.
    """
    rest = body.rest(np.zeros(10)).bone_rotations[0]
    return np.asarray(root_angles(body.tree(np.zeros(10)), torch.as_tensor(turn @ rest)).numpy())


def unwrapped(time_s: FloatArray, angles: FloatArray) -> FloatArray:
    """Fill gaps of angles and remove jumps by full turns.

    Args:
        time_s: (T,).
        angles: (T, 3) rad, NaN where unknown.

    Returns:
        (T, 3) rad, continuous.

    Raises:
        EstimationError: no frame is known.
    """
    known = np.isfinite(angles).all(axis=1)
    if not known.any():
        raise EstimationError("shoulders and hips are never seen together: the whole trunk must be in the picture")
    return interpolate(time_s, time_s[known], np.unwrap(angles[known], axis=0))


def image_term(observation: Observation, state: State, sigma_m: Tensor, least_px: float = 0.0) -> Reprojection:
    """Evidence of the pixels.

    Args:
        observation: pixels.
        state: its distances turn metres into pixels: ``sigma_px = f sigma_m / z``.
        sigma_m: (T, L) standard deviations at the person's distance, infinite where a landmark is not seen.
        least_px: smallest standard deviation.

    Returns:
        A term on the point set ``landmarks``.
    """
    distance = (state.q[:, 46:] @ state.camera_rotation.T)[:, 2:].clamp_min(LEAST_DISTANCE_M)
    sigma_px = (sigma_m * state.focal_px / distance).clamp_min(least_px)
    return Reprojection("landmarks", torch.tensor(observation.keypoints_px), sigma_px, observation.camera.center_px)


def depth_term(depths: BoneDepths, seen: Tensor, rays: FloatArray, body: Body, state: State) -> Depth:
    """Evidence of the bones' depths.

    Args:
        depths: of a person of 1.65 m; they are scaled by the stature of ``state``.
        seen: (T, L) whether each landmark is seen.
        rays: (T, 3) unit viewing rays, camera axes.
        body: the body of the state.
        state: its betas give the stature.

    Returns:
        A term on the point set ``landmarks``.
    """
    length = body.stature_m(state.betas) / DETECTOR_STATURE_M
    known = seen[:, depths.pairs].all(dim=-1) & torch.isfinite(depths.depth_m)
    sigma = torch.where(known, length * depths.sigma_m, torch.inf)
    target = length * depths.depth_m
    return Depth("landmarks", depths.pairs, torch.as_tensor(rays), target, sigma, depths.caution, depths.correlation)


def spread(frames: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """At most ``SHAPE_FRAMES`` of the given frame numbers, evenly spread."""
    return np.asarray(frames[np.linspace(0, len(frames) - 1, min(SHAPE_FRAMES, len(frames))).round().astype(int)])


def translations(
    observation: Observation, points: Tensor, camera_rotation: Tensor, focal_px: float, weight: FloatArray
) -> FloatArray:
    """Translations of a posed body that explain the pixels best.

    Weighted linear least squares of ``X + tx - s_x (Z + tz) = 0`` and ``Y + ty - s_y (Z + tz) = 0`` in camera axes, where
    ``s = (u - c) / f`` is the slope of the pixel's ray.

    Args:
        observation: pixels.
        points: (T, L, 3) landmarks posed at translation zero, level axes.
        camera_rotation: (3, 3) level axes -> camera axes.
        focal_px: focal length.
        weight: (T, L), zero where a landmark is not seen.

    Returns:
        (T, 3) m in level axes; frames with too few landmarks are interpolated.

    Raises:
        EstimationError: no frame has enough landmarks.

    Source:
        The equations of linear triangulation: Hartley and Zisserman 2004, Multiple View Geometry, 2nd ed., sec. 12.2.
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
    normal = np.einsum("tmi,tmj->tij", a, a) + _SINGULAR * np.eye(3)
    shift = np.linalg.solve(normal, np.einsum("tmi,tm->ti", a, b)[..., None])[..., 0]
    shift[(weight > 0).sum(axis=1) < MIN_LANDMARKS] = np.nan
    shift[shift[:, 2] < LEAST_DISTANCE_M] = np.nan
    if np.isnan(shift).all():
        raise EstimationError("no frame shows enough of the person to place it: at least four landmarks must be seen")
    return np.asarray(fill_gaps(observation.time_s, shift) @ camera_rotation.numpy())

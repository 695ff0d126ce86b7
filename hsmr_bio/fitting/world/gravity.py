"""Tilt of the camera and height of the floor from a fitted clip.

Evidence, each with its own standard deviation: the centre of mass of a quiet body is above its feet; the shoulders of an
upright body are above its ankles; soles in contact are at one height; cameras are held about level, at about the height of a
chest. No posture is changed here: three numbers are fitted to the postures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from ...skeleton import DOF_NAMES, JOINT_NAMES
from ...types import FloatArray
from ..core.body_points import MassPoints, support_of
from ..core.problem import View
from .options import GroundOptions

PITCH_RAD = (np.radians(6.0), np.radians(14.0))
"""Mean and standard deviation of the downward pitch of cameras in hands and on tripods (our choice)."""
ROLL_SCALE_RAD = np.radians(4.0)
"""Scale of the camera's roll. Most cameras are level from side to side; some are rolled on purpose, so that the prior has long
tails."""
CAMERA_HEIGHT_M = (1.35, 0.4)
"""Mean and standard deviation of the height of such cameras (our choice)."""
BALANCE_AXIS_RAD = np.radians(5.0)
"""Standard deviation from the vertical of the line from the centre of support to the centre of mass of a fitted quiet body."""
UPRIGHT_AXIS_RAD = np.radians(4.0)
"""The same of the line from the ankles to the shoulders of an upright body: it is longer, and sway is smaller."""
MOVING_SHARE = 0.2
"""Weight of a frame of a moving body on its feet relative to a quiet one: sway averages out over a clip."""
SOLE_HEIGHT_M = 0.04
"""Error of the height of a fitted sole point in contact."""
SCENE_RAD = np.radians(1.2)
"""Error of the tilt from the straight edges of a scene (0.2 to 1.2 degrees on four calibrated cameras)."""
INDEPENDENT_STANCES = 8.0
"""Most independent placements of a foot in a clip; further frames of the same stance add no evidence."""
_GIVEN_RAD = 1e-5
"""Standard deviation of an angle that the user gives."""
_STRAIGHT_RAD = 0.5
"""Flexion of hips and knees at which the weight of an upright frame has fallen to 1/e."""
_FEW_FRAMES = 0.05
"""The variance of a mean line grows by this over the share of frames that count for it."""
_LOWEST_PERCENT = 5
"""Percentile of the lowest soles that is the floor if none is in contact."""
_LEAST_SHARE = 0.25
"""Clips of fewer than four frames need this share of their frames for a mean line, longer ones a whole frame."""
_LEAST_STANDING = 1e-9
"""Lower bound of the sum of the contact probabilities, which weights are divided by."""
_EVALUATIONS = 60
"""Most evaluations of the residuals (our choice)."""
_J = {name: j for j, name in enumerate(JOINT_NAMES)}


@dataclass(frozen=True, eq=False)
class UpAxis:
    """A direction that should be vertical."""

    up: FloatArray
    """(3,) unit, axes of the untilted camera."""
    sigma_rad: float
    """Its standard deviation from the vertical."""


def find_tilt(
    view: View,
    standing: FloatArray,
    quietness: FloatArray,
    options: GroundOptions,
    *,
    camera_known: bool,
    scene_tilt_rad: FloatArray | None = None,
    carried: FloatArray | None = None,
    up: UpAxis | None = None,
) -> tuple[FloatArray, float]:
    """Estimate pitch and roll of the camera and the height of the floor from a clip in the axes of an untilted camera.

    Least squares of the deviations of pitch, roll and camera height from their priors, of the horizontal parts of axes that
    should be vertical, of the scene's tilt, and of the heights of soles in contact from the floor. The roll's prior is robust:
    ``ln(1 + (roll / scale)^2) / 2``.

    Args:
        view: the clip, with point sets ``soles`` and ``masses``.
        standing: (T, 8) probability of contact of each sole point.
        quietness: (T,) 0 to 1: how surely the body stands still on its feet.
        options: known angles are kept.
        camera_known: False for a motion that is level already: only the floor is estimated.
        scene_tilt_rad: (2,) pitch and roll from the straight edges of the scene, if there are any.
        carried: (T,) probability that the feet carry the body; None: wherever they stand.
        up: direction of the vertical by other evidence, if there is any.

    Returns:
        (2,) pitch and roll, rad; and the height of the floor in the level axes of the tilted camera, metres.

    Source:
        Cauchy's robust loss: Holland and Welsch 1977, Commun Stat A6:813.
    """
    soles = view.points("soles").numpy()
    if not camera_known:
        return np.zeros(2), _floor(soles, standing)
    weight = standing / max(float(standing.sum()), _LEAST_STANDING)
    axes = [*posture_axes(view, standing, quietness, carried), *([] if up is None else [up])]
    gain = np.sqrt(weight.ravel() * min(INDEPENDENT_STANCES, float(standing.max(axis=1).sum()))) / SOLE_HEIGHT_M
    points = soles.reshape(-1, 3)
    known = (options.camera_pitch_rad, options.camera_roll_rad)

    def residuals(x: FloatArray) -> FloatArray:
        rotation = level_rotation(x[:2])
        rows = [
            (x[0] - PITCH_RAD[0]) / PITCH_RAD[1],
            np.sign(x[1]) * np.sqrt(np.log1p((x[1] / ROLL_SCALE_RAD) ** 2)),
            (-x[2] - CAMERA_HEIGHT_M[0]) / CAMERA_HEIGHT_M[1],
        ]
        for axis in axes:
            rows += list((rotation @ axis.up)[[0, 2]] / axis.sigma_rad)
        if scene_tilt_rad is not None:
            rows += list((x[:2] - scene_tilt_rad) / SCENE_RAD)
        rows += [0.0 if k is None else (x[i] - k) / _GIVEN_RAD for i, k in enumerate(known)]
        return np.concatenate([rows, gain * (points @ rotation[1] - x[2])])

    guess = np.zeros(2) if scene_tilt_rad is None else scene_tilt_rad
    start = np.array([*(g if k is None else k for g, k in zip(guess, known, strict=True)), _floor(soles, standing)])
    found = least_squares(residuals, start, method="trf", max_nfev=_EVALUATIONS).x
    tilt = np.array([f if k is None else k for f, k in zip(found[:2], known, strict=True)])
    return tilt, _floor(soles @ level_rotation(tilt).T, standing)


def level_rotation(tilt: FloatArray) -> FloatArray:
    """(3, 3) axes of the untilted camera -> level axes, for pitch and roll (2,): the inverse of the camera's own rotation."""
    return np.asarray(Rotation.from_rotvec([tilt[0], 0.0, tilt[1]]).as_matrix().T)


def _floor(soles: FloatArray, standing: FloatArray) -> float:
    """Mean height of the soles in contact; of the lowest soles if none is in contact."""
    height = soles[..., 1]
    if standing.sum() < 1:
        return float(np.percentile(height.min(axis=1), _LOWEST_PERCENT))
    return float((height * standing).sum() / standing.sum())


def posture_axes(view: View, standing: FloatArray, quietness: FloatArray, carried: FloatArray | None = None) -> list[UpAxis]:
    """Find the directions of a clip's bodies that should be vertical.

    Args:
        view: the clip, with point sets ``soles`` and ``masses``.
        standing: (T, 8) probability of contact of each sole point.
        quietness: (T,) 0 to 1: how surely the body stands still on its feet.
        carried: (T,) probability that the feet carry the body; None: wherever they stand.

    Returns:
        From the feet to the centre of mass, and from the ankles to the shoulders; those that enough frames show.
    """
    share = np.ones(len(standing)) if carried is None else carried
    found = (_balance_axis(view, standing, quietness, share), _upright_axis(view, quietness * share))
    return [axis for axis in found if axis is not None]


def _balance_axis(view: View, standing: FloatArray, quietness: FloatArray, carried: FloatArray) -> UpAxis | None:
    """From the centre of support to the centre of mass, over frames with feet that carry it, mainly the quiet ones."""
    shares = MassPoints(view.body).shares.numpy()
    mass = np.einsum("p,tpi->ti", shares, view.points("masses").numpy())
    foot = np.einsum("ts,tsi->ti", support_of(standing), view.points("soles").numpy())
    on_feet = np.minimum(standing.sum(axis=1) / 2, 1.0) * carried
    return _mean_axis(mass - foot, (MOVING_SHARE + quietness) * on_feet, BALANCE_AXIS_RAD)


def _upright_axis(view: View, quietness: FloatArray) -> UpAxis | None:
    """From the ankles to the shoulders, over quiet frames with straight hips and knees."""
    q = view.state.q.numpy()
    knee, hip = (
        np.abs(q[:, [DOF_NAMES.index(f"{name}_{s}") for s in "rl"]]).max(axis=1) for name in ("knee_angle", "hip_flexion")
    )
    straight = np.exp(-((knee / _STRAIGHT_RAD) ** 2) - (hip / _STRAIGHT_RAD) ** 2)
    joints = view.pose.positions_m.numpy()
    top, bottom = (joints[:, [_J[f"{name}_{s}"] for s in "rl"]].mean(axis=1) for name in ("humerus", "talus"))
    return _mean_axis(top - bottom, straight * quietness, UPRIGHT_AXIS_RAD)


def _mean_axis(lines: FloatArray, weight: FloatArray, sigma_rad: float) -> UpAxis | None:
    """Weighted mean direction of lines (T, 3), less certain where few frames count; None if too few do."""
    total = float(weight.sum())
    if total < min(1.0, _LEAST_SHARE * len(weight)):
        return None
    up = (lines / np.linalg.norm(lines, axis=1, keepdims=True) * weight[:, None]).sum(axis=0)
    share = total / len(weight)
    return UpAxis(up / np.linalg.norm(up), sigma_rad * float(np.sqrt(1 + _FEW_FRAMES / share)))

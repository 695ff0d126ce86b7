"""Which way is down? The camera's pitch and roll, and the height of the floor, from a fitted clip.

Evidence, each with its own spread: a body that hardly moves has its centre of mass over its feet; one that stands
upright has its shoulders over its ankles; soles in contact are all at one height; cameras are held about level, at
about the height of a chest. No pose is changed here: three numbers are fitted to what the poses already show.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from ...skeleton import DOF_NAMES, JOINT_NAMES
from ...types import FloatArray
from ..core.problem import View
from .options import GroundOptions

PITCH_RAD = (np.radians(6.0), np.radians(14.0))
"""Mean and spread of the pitch of cameras in hands and on tripods: a little down."""
ROLL_SCALE_RAD = np.radians(4.0)
"""Most cameras are level from side to side within so much; some are rolled on purpose, so the prior has long tails."""
CAMERA_HEIGHT_M = (1.35, 0.4)
"""Mean and spread of the height of such cameras."""
BALANCE_AXIS_RAD = np.radians(5.0)
"""How well the line from the soles to the centre of mass of a fitted quiet body shows the vertical."""
MOVING_SHARE = 0.2
"""Weight of a moving but standing frame against a quiet one: sway averages out over a clip."""
UPRIGHT_AXIS_RAD = np.radians(4.0)
"""The same for the line from the ankles to the shoulders of a standing body: longer, and sway is smaller."""
SOLE_HEIGHT_M = 0.04
"""Error of the height of a fitted standing sole."""
SCENE_RAD = np.radians(1.2)
"""Error of the tilt that the straight edges of a scene show (0.2 to 1.2 degrees on four calibrated cameras)."""
INDEPENDENT_STANCES = 8.0
"""A clip shows so many independent placements of a foot at most; more frames of the same stance teach nothing new."""
_J = {name: j for j, name in enumerate(JOINT_NAMES)}


@dataclass(frozen=True, eq=False)
class _Axis:
    """A direction that should be vertical, and how well it shows it."""

    up: FloatArray
    sigma_rad: float


def find_tilt(
    view: View,
    standing: FloatArray,
    quietness: FloatArray,
    options: GroundOptions,
    *,
    camera_known: bool,
    scene_tilt_rad: FloatArray | None = None,
) -> tuple[FloatArray, float]:
    """Fit pitch, roll and floor to a clip that was fitted in the axes of an untilted camera.

    Args:
        view: the placed clip, with point sets ``soles`` and ``masses``.
        standing: (T, 8) probability that each sole point stands.
        quietness: (T,) 0 to 1: how much the body stands still on its feet.
        options: known angles are kept.
        camera_known: False for a motion that came level: then only the floor is found.
        scene_tilt_rad: (2,) pitch and roll that the straight edges of the scene show, if they do.

    Returns:
        (2,) pitch and roll, rad; and the height of the floor in the tilted camera's level axes, metres.
    """
    soles = view.points("soles").numpy()
    weight = standing / max(float(standing.sum()), 1e-9)
    if not camera_known:
        return np.zeros(2), _floor(soles, standing)
    axes = [_balance_axis(view, standing, quietness), _upright_axis(view, quietness)]
    gain = np.sqrt(weight.ravel() * min(INDEPENDENT_STANCES, float(standing.max(axis=1).sum()))) / SOLE_HEIGHT_M
    points = soles.reshape(-1, 3)
    known = (options.camera_pitch_rad, options.camera_roll_rad)

    def residuals(x: FloatArray) -> FloatArray:
        turn = _level(x[:2])
        height = points @ turn[1]
        rows = [
            (x[0] - PITCH_RAD[0]) / PITCH_RAD[1],
            np.sign(x[1]) * np.sqrt(np.log1p((x[1] / ROLL_SCALE_RAD) ** 2)),
            (-x[2] - CAMERA_HEIGHT_M[0]) / CAMERA_HEIGHT_M[1],
        ]
        for axis in axes:
            if axis is not None:
                rows += list((turn @ axis.up)[[0, 2]] / axis.sigma_rad)
        if scene_tilt_rad is not None:
            rows += list((x[:2] - scene_tilt_rad) / SCENE_RAD)
        rows += [0.0 if k is None else (x[i] - k) / 1e-5 for i, k in enumerate(known)]
        return np.concatenate([rows, gain * (height - x[2])])

    guess = np.zeros(2) if scene_tilt_rad is None else scene_tilt_rad
    start = np.array([*(g if k is None else k for g, k in zip(guess, known, strict=True)), _floor(soles, standing)])
    found = least_squares(residuals, start, method="trf", max_nfev=60).x
    tilt = np.array([f if k is None else k for f, k in zip(found[:2], known, strict=True)])
    return tilt, _floor(soles @ _level(tilt).T, standing)


def _level(tilt: FloatArray) -> FloatArray:
    """(3, 3) axes of the untilted camera -> level axes; the inverse of the camera's own rotation."""
    return np.asarray(Rotation.from_rotvec([tilt[0], 0.0, tilt[1]]).as_matrix().T)


def _floor(soles: FloatArray, standing: FloatArray) -> float:
    """Height of the standing soles; of the lowest ones if none stands."""
    height = soles[..., 1]
    if standing.sum() < 1:
        return float(np.percentile(height.min(axis=1), 5))
    return float((height * standing).sum() / standing.sum())


def _balance_axis(view: View, standing: FloatArray, quietness: FloatArray) -> _Axis | None:
    """From the centre of support to the centre of mass, over standing frames, the quiet ones above all."""
    from ..core.body_points import MassPoints, support_of

    held = standing.sum(axis=1)
    shares = MassPoints(view.body).shares.numpy()
    mass = np.einsum("p,tpi->ti", shares, view.points("masses").numpy())
    foot = np.einsum("ts,tsi->ti", support_of(standing), view.points("soles").numpy())
    return _mean_axis(mass - foot, (MOVING_SHARE + quietness) * np.minimum(held / 2, 1.0), BALANCE_AXIS_RAD)


def _upright_axis(view: View, quietness: FloatArray) -> _Axis | None:
    """From the ankles to the shoulders, over quiet frames with straight hips and knees."""
    q = view.state.q.numpy()
    bend = {
        name: np.abs(q[:, [DOF_NAMES.index(f"{name}_{s}") for s in "rl"]]).max(axis=1) for name in ("knee_angle", "hip_flexion")
    }
    straight = np.exp(-((bend["knee_angle"] / 0.5) ** 2) - (bend["hip_flexion"] / 0.5) ** 2)
    joints = view.pose.positions_m.numpy()
    top, bottom = (joints[:, [_J[f"{name}_{s}"] for s in "rl"]].mean(axis=1) for name in ("humerus", "talus"))
    return _mean_axis(top - bottom, straight * quietness, UPRIGHT_AXIS_RAD)


def _mean_axis(lines: FloatArray, weight: FloatArray, sigma_rad: float) -> _Axis | None:
    """Weighted mean direction; its spread grows where little is seen."""
    total = float(weight.sum())
    if total < 1:
        return None
    up = (lines / np.linalg.norm(lines, axis=1, keepdims=True) * weight[:, None]).sum(axis=0)
    share = total / len(weight)
    return _Axis(up / np.linalg.norm(up), sigma_rad * float(np.sqrt(1 + 0.05 / share)))

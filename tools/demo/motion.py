"""The motion of the demo clip: a few steps, a squat, the right arm raised and both elbows bent.

The angles are known, the feet stand where planned. Pelvis, trunk and arms follow drawn curves; the feet follow a
plan of footprints, from heel strike over the flat foot to the toes; the legs' angles are solved from both.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.interpolate import PchipInterpolator

from hsmr_bio.body.body import Body
from hsmr_bio.skeleton import DOF_NAMES, JOINT_NAMES
from hsmr_bio.types import SkelMotion

Array = npt.NDArray[np.float64]

RATE_HZ = 30.0
TOTAL_S = 6.0
_STEP_S, _STEP_M, _HALF_WIDTH_M = 0.55, 0.50, 0.085
_PELVIS_AHEAD_M = 0.05
"""The hip joints lie behind the origin of the pelvis."""
_WALK_END_S = 2.35
_SWING_LIFT_M = 0.05
_TOES_PER_PITCH = 1.15
"""The axis of the toes is oblique, so they bend more than the foot pitches to stay flat on the floor."""
_LEG = ("hip_flexion", "hip_adduction", "knee_angle", "ankle_angle")
_FORWARD = {"r": -1.0, "l": 1.0}
"""Sign of the second shoulder angle that swings a hanging arm forward."""


@dataclass(frozen=True)
class Stance:
    """One footprint."""

    x_m: float
    land_s: float
    leave_s: float


PLAN: dict[str, tuple[Stance, ...]] = {
    "r": (Stance(0.0, -0.1, 0.58), Stance(2 * _STEP_M, 1.0, 1.68), Stance(3 * _STEP_M, 2.1, 99.0)),
    "l": (Stance(-_STEP_M, -0.65, 0.03), Stance(_STEP_M, 0.45, 1.13), Stance(3 * _STEP_M, 1.55, 99.0)),
}


def _soft(share: Array) -> Array:
    """0 to 1, at rest at both ends (minimum jerk)."""
    share = np.clip(share, 0, 1)
    return share**3 * (10 - 15 * share + 6 * share**2)


def _ramp(time_s: Array, *stops: tuple[float, float]) -> Array:
    """A curve through (time, value) stops, at rest in every stop, constant before and after."""
    value = np.full_like(time_s, stops[0][1])
    for (t0, a), (t1, b) in pairwise(stops):
        value += (b - a) * _soft((time_s - t0) / (t1 - t0))
    return value


def _walking(time_s: Array) -> Array:
    return _ramp(time_s, (_WALK_END_S - 0.8, 1.0), (_WALK_END_S, 0.0))


def _squat(time_s: Array) -> Array:
    return _ramp(time_s, (2.6, 0), (3.5, 1), (3.7, 1), (4.5, 0))


def _phase(time_s: Array) -> Array:
    """Of the right leg's cycle, 0 at its heel strike."""
    return (time_s + 0.1) / (2 * _STEP_S)


def upper_body_rad(time_s: Array) -> Array:
    """(T, 46) angles without those that the legs are solved for."""
    deg = {name: np.zeros_like(time_s) for name in DOF_NAMES}
    walking, squat, turn = _walking(time_s), _squat(time_s), 2 * np.pi * _phase(time_s)
    reach = _ramp(time_s, (2.6, 0), (3.4, 1), (3.8, 1), (4.5, 0))
    lift = _ramp(time_s, (4.4, 0), (5.15, 1), (5.5, 1), (6.0, 0.6))
    for side, sign in (("r", 1.0), ("l", -1.0)):
        swing = -sign * np.cos(turn - 0.3)
        deg[f"shoulder_{side}_x"] += 72.0 * sign
        deg[f"shoulder_{side}_y"] += _FORWARD[side] * (walking * (18 * swing + 3) + 70 * reach)
        deg[f"elbow_flexion_{side}"] += 12 + walking * (14 + 9 * swing)
        deg[f"pro_sup_{side}"] += 20.0
        deg[f"scapula_elevation_{side}"] += -8.0 * sign
    deg["shoulder_r_y"] += _FORWARD["r"] * 82 * lift
    deg["elbow_flexion_r"] += 60 * _ramp(time_s, (4.6, 0), (5.3, 1), (5.9, 0.2))
    deg["elbow_flexion_l"] += 60 * lift
    deg["pelvis_tilt"] = -3 * walking - 28 * squat
    deg["pelvis_rotation"] = 90 + walking * 4 * np.cos(turn)
    deg["pelvis_list"] = walking * 2.5 * np.sin(turn)
    deg["lumbar_extension"] = -2 * walking - 10 * squat
    deg["lumbar_bending"] = -walking * 2 * np.sin(turn)
    deg["thorax_extension"] = 3 * squat
    deg["thorax_twist"] = -walking * 6 * np.cos(turn)
    deg["head_extension"] = 12 * squat
    return np.radians(np.stack([deg[name] for name in DOF_NAMES], axis=1))


def pelvis_path_m(time_s: Array, standing_m: float) -> Array:
    """(T, 3) path of the pelvis: over the standing foot in the middle of each step, lowest when both feet stand."""
    times = [-0.35, 0.2, 0.75, 1.3, 1.575, 1.9, _WALK_END_S, 99.0]
    end = 3 * _STEP_M
    over = PchipInterpolator(times, [-_STEP_M, 0, _STEP_M, 2 * _STEP_M, 2.55 * _STEP_M, 2.92 * _STEP_M, end, end])(time_s)
    walking, squat, cycle = _walking(time_s), _squat(time_s), 2 * np.pi * (time_s - 0.2) / _STEP_S
    height = standing_m - 0.008 - walking * (0.024 - 0.012 * np.cos(cycle)) - 0.34 * squat
    sway = walking * 0.018 * np.cos(np.pi * (time_s - 0.2) / _STEP_S)
    return np.stack([over + _PELVIS_AHEAD_M - 0.09 * squat, height, sway], axis=1)


def foot_plan(time_s: Array, side: str, shape: FootShape) -> tuple[Array, Array, Array]:
    """Ankle (T, 3), pitch of the foot (T,) in rad, toes up, and angle of the toes against the foot (T,)."""
    ankle, pitch, toes = np.zeros((len(time_s), 3)), np.zeros(len(time_s)), np.zeros(len(time_s))
    stances = PLAN[side]
    for frame, time in enumerate(time_s):
        number = max((n for n, stance in enumerate(stances) if stance.land_s <= time), default=0)
        stance = stances[number]
        if time <= stance.leave_s:
            angle = _stance_pitch(time, stance, last=number == len(stances) - 1)
            x, y = shape.ankle(stance.x_m, angle)
        else:
            following = stances[number + 1]
            share = (time - stance.leave_s) / (following.land_s - stance.leave_s)
            soft = float(_soft(np.array(share)))
            start = _stance_pitch(stance.leave_s, stance, last=False)
            final = number + 1 == len(stances) - 1
            angle = start + (_stance_pitch(following.land_s, following, last=final) - start) * float(
                _soft(np.array(share / 0.85))
            )
            x0, y0 = shape.ankle(stance.x_m, start)
            x1, y1 = shape.ankle(following.x_m, _stance_pitch(following.land_s, following, last=final))
            x, y = x0 + (x1 - x0) * soft, y0 + (y1 - y0) * soft + _SWING_LIFT_M * np.sin(np.pi * share**0.7)
        ankle[frame] = x, y, _HALF_WIDTH_M if side == "r" else -_HALF_WIDTH_M
        pitch[frame] = angle
        toes[frame] = min(_TOES_PER_PITCH * max(-angle, 0.0), np.radians(45))
    return ankle, pitch, toes


def _stance_pitch(time: float, stance: Stance, *, last: bool) -> float:
    """Heel strike with the toes up, flat, then the heel rises; the last footprint stays flat."""
    share = (time - stance.land_s) / (min(stance.leave_s, stance.land_s + 0.68) - stance.land_s)
    landing = np.radians(6 if last else 14) * (1 - float(_soft(np.array(share / 0.18))))
    if last:
        return landing
    return landing - np.radians(48) * float(np.clip((share - 0.5) / 0.5, 0, 1)) ** 2


@dataclass(frozen=True)
class FootShape:
    """Side view of the flat foot relative to the point of the floor under the ankle."""

    ankle_height_m: float
    heel_m: float
    ball_m: float
    ball_height_m: float

    @classmethod
    def of(cls, body: Body, betas: Array) -> FootShape:
        """Measured on the right foot of a shaped body in the T pose."""
        rest = body.rest(betas)
        ankle, ball = (rest.joints_m[JOINT_NAMES.index(f"{name}_r")] for name in ("talus", "toes"))
        floor = rest.skin_m[:, 1].min()
        foot = rest.skin_m[(rest.skin_m[:, 1] < floor + 0.01) & (rest.skin_m[:, 0] < 0)]
        return cls(
            float(ankle[1] - floor),
            float(foot[:, 2].min() - ankle[2] + 0.01),
            float(ball[2] - ankle[2]),
            float(ball[1] - floor),
        )

    def ankle(self, x_m: float, pitch_rad: float) -> tuple[float, float]:
        """Forward position and height of the ankle: the foot turns about its heel (toes up) or its toe joint (heel up)."""
        pivot, height = (self.heel_m, 0.0) if pitch_rad > 0 else (self.ball_m, self.ball_height_m)
        c, s, above = np.cos(pitch_rad), np.sin(pitch_rad), self.ankle_height_m - height
        return x_m + pivot - c * pivot - s * above, height - s * pivot + c * above


def demo_motion(body: Body, betas: Array) -> SkelMotion:
    """The whole motion in world axes (x forward, y up, z right), the floor at y = 0."""
    time_s = np.arange(round(TOTAL_S * RATE_HZ)) / RATE_HZ
    rest, shape = body.rest(betas), FootShape.of(body, betas)
    poses = upper_body_rad(time_s)
    pelvis = pelvis_path_m(time_s, float(rest.joints_m[0, 1] - rest.skin_m[:, 1].min()))
    targets = {}
    for side in "rl":
        ankle, pitch, toes = foot_plan(time_s, side, shape)
        poses[:, DOF_NAMES.index(f"mtp_angle_{side}")] = -toes
        targets[side] = ankle, pitch
    trans = pelvis - rest.joints_m[0]
    return SkelMotion(
        time_s=time_s,
        poses_rad=_solve_legs(body, betas, poses, trans, targets),
        trans_m=trans,
        betas=betas,
        body=body.name,
        frame="world",
        source="tools/demo/motion.py",
    )


def _solve_legs(body: Body, betas: Array, poses: Array, trans: Array, targets: dict[str, tuple[Array, Array]]) -> Array:
    """Hip, knee and ankle angles that put both ankles and the pitch of both feet where planned: Gauss-Newton, all frames."""
    columns = [DOF_NAMES.index(f"{name}_{side}") for side in "rl" for name in _LEG]
    poses = poses.copy()
    poses[:, columns] = np.radians([15, 0, 30, 0] * 2)
    index = {name: JOINT_NAMES.index(name) for side in "rl" for name in (f"talus_{side}", f"calcn_{side}", f"toes_{side}")}
    flat = body.rest(betas).joints_m

    def residual(angles: Array) -> Array:
        joints = body.forward(angles, betas, trans).joints_m.numpy()
        parts = []
        for side in "rl":
            ankle, pitch = targets[side]
            heel, ball = index[f"calcn_{side}"], index[f"toes_{side}"]
            rest_slope = np.arctan2(flat[ball, 1] - flat[heel, 1], flat[ball, 2] - flat[heel, 2])
            along = joints[:, ball] - joints[:, heel]
            slope = np.arctan2(along[:, 1], along[:, 0]) - rest_slope
            parts += [joints[:, index[f"talus_{side}"]] - ankle, 0.15 * (slope - pitch)[:, None]]
        return np.concatenate(parts, axis=1)

    for _ in range(20):
        now = residual(poses)
        jacobian = np.empty((len(poses), now.shape[1], len(columns)))
        for n, column in enumerate(columns):
            moved = poses.copy()
            moved[:, column] += 1e-5
            jacobian[:, :, n] = (residual(moved) - now) / 1e-5
        normal = np.swapaxes(jacobian, 1, 2) @ jacobian + 3e-4 * np.eye(len(columns))
        step = np.linalg.solve(normal, (np.swapaxes(jacobian, 1, 2) @ now[..., None]))[..., 0]
        poses[:, columns] -= np.clip(step, -0.3, 0.3)
        for side in "rl":
            knee = DOF_NAMES.index(f"knee_angle_{side}")
            poses[:, knee] = np.maximum(poses[:, knee], np.radians(3.0))
    return poses

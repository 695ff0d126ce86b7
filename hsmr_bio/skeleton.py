"""Tables of SKEL's 24 joints and 46 pose parameters: names, axes, limits, left/right pairs.

Source:
    Keller et al. 2023 (SKEL 1.1.1), as facts; hip and shoulder limits: Xia et al. 2025 (HSMR).
"""

from __future__ import annotations

from math import cos, pi, sin

import numpy as np

from .arrays import FloatArray

JOINT_NAMES: tuple[str, ...] = (
    "pelvis",
    *("femur_r", "tibia_r", "talus_r", "calcn_r", "toes_r"),
    *("femur_l", "tibia_l", "talus_l", "calcn_l", "toes_l"),
    *("lumbar_body", "thorax", "head"),
    *("scapula_r", "humerus_r", "ulna_r", "radius_r", "hand_r"),
    *("scapula_l", "humerus_l", "ulna_l", "radius_l", "hand_l"),
)
"""The 24 bones, with the names of OpenSim's bodies; the joint of a bone is at its origin."""

PARENTS: tuple[int, ...] = (-1, 0, 1, 2, 3, 4, 0, 6, 7, 8, 9, 0, 11, 12, 12, 14, 15, 16, 17, 12, 19, 20, 21, 22)
"""Parent of each bone, -1 for the root."""

_LEG = ("hip_flexion", "hip_adduction", "hip_rotation", "knee_angle", "ankle_angle", "subtalar_angle", "mtp_angle")
_SPINE = ("bending", "extension", "twist")


def _arm(side: str) -> tuple[str, ...]:
    girdle = tuple(f"scapula_{name}_{side}" for name in ("abduction", "elevation", "upward_rot"))
    shoulder = tuple(f"shoulder_{side}_{axis}" for axis in "xyz")
    rest = ("elbow_flexion", "pro_sup", "wrist_flexion", "wrist_deviation")
    return (*girdle, *shoulder, *(f"{name}_{side}" for name in rest))


DOF_NAMES: tuple[str, ...] = (
    *("pelvis_tilt", "pelvis_list", "pelvis_rotation"),
    *(f"{name}_r" for name in _LEG),
    *(f"{name}_l" for name in _LEG),
    *(f"{segment}_{name}" for segment in ("lumbar", "thorax", "head") for name in _SPINE),
    *_arm("r"),
    *_arm("l"),
)
"""The 46 pose parameters in SKEL's order."""

JOINT_DOFS: tuple[tuple[int, ...], ...] = (
    *((0, 1, 2), (3, 4, 5), (6,), (7,), (8,), (9,)),
    *((10, 11, 12), (13,), (14,), (15,), (16,)),
    *((17, 18, 19), (20, 21, 22), (23, 24, 25)),
    *((26, 27, 28), (29, 30, 31), (32,), (33,), (34, 35)),
    *((36, 37, 38), (39, 40, 41), (42,), (43,), (44, 45)),
)
"""Pose parameters of each joint, in SKEL's order: the first acts first (stands rightmost)."""

_X, _Y, _Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
_MX, _MY, _MZ = (-1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0)


def _hinge(a: float, b: float) -> tuple[float, float, float]:
    """Third column of Rx(a) Ry(b): SKEL defines its foot axes by such angles."""
    return (sin(b), -sin(a) * cos(b), cos(a) * cos(b))


_ANKLE = _hinge(0.175895, -0.105208)
_FOOT_R = ((_ANKLE,), (_hinge(-1.76818999, 0.906223),), (_hinge(-3.141589999, 0.619901),))
_FOOT_L = ((_ANKLE,), (_hinge(1.768189999, -0.906223),), (_hinge(-3.141589999, -0.619901),))

JOINT_AXES: tuple[tuple[tuple[float, float, float], ...], ...] = (
    (_Z, _X, _Y),
    *((_Z, _X, _Y), (_MZ,), *_FOOT_R),
    *((_Z, _MX, _MY), (_MZ,), *_FOOT_L),
    *((_X, _Z, _Y), (_X, _Z, _Y), (_X, _Z, _Y)),
    *((_Y, _MZ, _MX), (_X, _Y, _Z), ((0.0494, 0.0366, 0.99810825),), ((-0.01716099, 0.99266564, -0.11966796),), (_X, _MZ)),
    *((_Y, _Z, _X), (_X, _Y, _Z), ((-0.0494, -0.0366, 0.99810825),), ((0.01716099, -0.99266564, -0.11966796),), (_MX, _MZ)),
)
"""Rotation axis of each pose parameter, with its sign. The left ankle has the axis of the right one, as in SKEL. SKEL does not
normalise the elbow and forearm axes: their lengths, 1 to 4e-9, multiply the angle."""


def _limits() -> FloatArray:
    table = np.full((46, 2), np.nan)

    def put(name: str, low: float, high: float) -> None:
        table[DOF_NAMES.index(name)] = low, high

    for side in "rl":
        put(f"hip_flexion_{side}", -pi / 4, 3 * pi / 4)
        put(f"hip_adduction_{side}", -pi / 4, pi / 6)
        put(f"hip_rotation_{side}", -pi / 4, pi / 4)
        put(f"knee_angle_{side}", 0, 3 * pi / 4)
        for name in ("ankle_angle", "subtalar_angle", "mtp_angle", "wrist_deviation"):
            put(f"{name}_{side}", -pi / 4, pi / 4)
        put(f"elbow_flexion_{side}", 0, 3 * pi / 4)
        put(f"wrist_flexion_{side}", -pi / 2, pi / 2)
        put(f"scapula_abduction_{side}", -0.628, 0.628)
        put(f"shoulder_{side}_y", -pi / 2, pi / 2)
        put(f"shoulder_{side}_z", -pi / 2, pi / 2)
    for segment in ("lumbar", "thorax", "head"):
        for name in _SPINE:
            put(f"{segment}_{name}", -pi / 4, pi / 4)
    put("lumbar_bending", -pi / 6, pi / 6)
    put("scapula_elevation_r", -0.4, -0.1)
    put("scapula_elevation_l", 0.1, 0.4)
    put("scapula_upward_rot_r", -0.190, 0.319)
    put("scapula_upward_rot_l", -0.210, 0.219)
    put("shoulder_r_x", -pi / 2, pi / 2 + 1.5)
    put("shoulder_l_x", -pi / 2 - 1.5, pi / 2)
    put("pro_sup_r", -3 * pi / 8, 3 * pi / 8)
    put("pro_sup_l", -pi / 2, pi / 2)
    table.flags.writeable = False
    return table


LIMITS_RAD: FloatArray = _limits()
"""(46, 2) lower and upper limit; NaN for the free root. SKEL's table, with hip and shoulder limits from HSMR.

SKEL's table has (-0.1, -0.4) for scapula_elevation_l, with swapped bounds. By its mirror rule the left side has the opposite
sign: (0.1, 0.4), used here, raises both shoulders equally."""


def _with_rest(slack_rad: float) -> FloatArray:
    """(46, 2) ``LIMITS_RAD`` with ranges of scapula elevation that extend ``slack_rad`` beyond 0."""
    table = np.array(LIMITS_RAD)
    table[DOF_NAMES.index("scapula_elevation_r"), 1] = slack_rad
    table[DOF_NAMES.index("scapula_elevation_l"), 0] = -slack_rad
    table.flags.writeable = False
    return table


LIMITS_WITH_REST_RAD: FloatArray = _with_rest(0.1)
"""(46, 2) limits that include SKEL's rest pose: SKEL's ranges of scapula elevation exclude 0, the value of the template; here
they extend 0.1 rad beyond it (chosen). For fits to SMPL's skin, for checks, and for a model that opens in its rest pose."""

KEYPOINT_LIMITS_RAD: FloatArray = _with_rest(0.2)
"""(46, 2) limits of the keypoint fit: as ``LIMITS_WITH_REST_RAD``, but 0.2 rad beyond 0 (chosen), the mean of the fit's
pose prior."""

MAP_LIMITS_RAD: FloatArray = LIMITS_RAD + np.array([-0.5, 0.5])
"""(46, 2) limits of the map from OpenSim coordinates to SKEL: 0.5 rad wider on both sides (chosen), so that motion of a model
beyond SKEL's limits is kept."""
MAP_LIMITS_RAD.flags.writeable = False


def fit_bounds(limits_rad: FloatArray) -> FloatArray:
    """Bounds of a fit of angles and translation.

    Args:
        limits_rad: (46, 2) one of the tables above; NaN for no limit.

    Returns:
        (49, 2) bounds of the 46 angles and 3 translations; infinite for no limit.
    """
    table = np.concatenate([limits_rad, np.full((3, 2), np.nan)])
    return np.where(np.isnan(table), np.array([-np.inf, np.inf]), table)


MIRROR_DOF: tuple[int, ...] = (
    *(0, 1, 2),
    *range(10, 17),
    *range(3, 10),
    *range(17, 26),
    *range(36, 46),
    *range(26, 36),
)
"""Pose parameter whose value, times ``MIRROR_SIGN``, a left-right mirrored pose has."""

_ARM_SIGN = (-1, -1, 1, -1, -1, 1, 1, 1, 1, 1)
MIRROR_SIGN: FloatArray = np.array([1, -1, -1] + [1] * 14 + [-1, 1, -1] * 3 + [*_ARM_SIGN, *_ARM_SIGN], dtype=np.float64)
"""(46,) sign of each pose parameter in a left-right mirrored pose."""
MIRROR_SIGN.flags.writeable = False


def mirror_poses(poses_rad: FloatArray) -> FloatArray:
    """Mirror poses left to right.

    Args:
        poses_rad: (..., 46).

    Returns:
        (..., 46) pose of the mirrored body.

    Source:
        The mirror images of ``JOINT_AXES``; exact except for the ankle axes, which SKEL does not mirror.
    """
    return np.asarray(poses_rad[..., list(MIRROR_DOF)] * MIRROR_SIGN)

"""Prior knowledge of postures: means and standard deviations of SKEL's angles and of their accelerations.

Source:
    Standard deviations: everyday postures, chosen on synthetic and real clips. Limits: ``skeleton.KEYPOINT_LIMITS_RAD``.
"""

from __future__ import annotations

import numpy as np
import torch

from ...skeleton import DOF_NAMES, KEYPOINT_LIMITS_RAD, fit_bounds
from ...types import FloatArray
from .problem import Term
from .terms import Limits, PosePrior, Rhythm, Smoothness

_SPREAD_DEG = {
    "lumbar": 9.0,
    "thorax": 8.0,
    "head": 20.0,
    "scapula": 10.0,
    "subtalar": 12.0,
    "mtp": 12.0,
    "hip_adduction": 20.0,
    "hip_rotation": 20.0,
    "wrist": 18.0,
    "ankle": 40.0,
    "pro_sup": 30.0,
    "knee_angle": 80.0,
    "elbow_flexion": 30.0,
    "shoulder_r_x": 25.0,
    "shoulder_l_x": 25.0,
    "shoulder_r_z": 25.0,
    "shoulder_l_z": 25.0,
}
"""Standard deviation in degrees by the beginning of the name; all other angles have ``_FREE_DEG``."""
_MEAN_DEG = {
    "knee_angle": 5.0,
    "elbow_flexion": 15.0,
    "shoulder_r_x": 80.0,
    "shoulder_l_x": -80.0,
}
"""Mean in degrees by the beginning of the name, of relaxed standing; all other angles have 0."""
_FREE_DEG = 70.0
"""Standard deviation of an angle that everyday movement takes through most of its range."""
_HINGES = ("knee_angle", "elbow_flexion", "shoulder_r_x", "shoulder_r_z", "shoulder_l_x", "shoulder_l_z")
"""Angles with a robust prior: one camera hardly shows a small bend towards it, so these stay straight until clearly bent."""

SPINE_SHARE = {"lumbar_extension": 0.15, "thorax_extension": 0.1}
"""Flexion of the spine per hip flexion (lumbopelvic rhythm). In squats and lifting the lumbar spine flexes by a fifth to a
third of the hips (Esola et al. 1996, Spine 21:71; List et al. 2013, J Strength Cond Res 27:1529)."""

ANGLE_ACCELERATION_RAD_S2 = np.radians(3900.0)
"""Standard deviation in everyday movement; with 2.5 degrees of detector noise it smooths at about 6 Hz."""
TRANSLATION_ACCELERATION_M_S2 = 8.0
"""Standard deviation in everyday movement."""


def _table_rad(values: dict[str, float], default: float) -> FloatArray:
    """(46,) radians, from a table of degrees by the beginning of the name."""
    return np.radians([next((v for name, v in values.items() if dof.startswith(name)), default) for dof in DOF_NAMES])


def mean_pose() -> FloatArray:
    """(46,) relaxed standing: arms beside the body, joints slightly bent."""
    return _table_rad(_MEAN_DEG, 0.0)


def pose_prior(*, straight: bool = True) -> PosePrior:
    """Prior of angles near relaxed standing; the root is free, and the spine follows :func:`spine_rhythm`.

    Args:
        straight: whether hinges are drawn to nearly straight; False for a first guess, whose hinges would never bend.

    Returns:
        A term.
    """
    sigma = _table_rad(_SPREAD_DEG, _FREE_DEG)
    hinge = [name.startswith(_HINGES) for name in DOF_NAMES]
    if not straight:
        sigma[hinge] = np.radians(_FREE_DEG)
    sigma[:3] = np.inf
    sigma[[DOF_NAMES.index(name) for name in SPINE_SHARE]] = np.inf
    mean, sigma = np.concatenate([mean_pose(), np.zeros(3)]), np.concatenate([sigma, np.full(3, np.inf)])
    return PosePrior(torch.as_tensor(mean), torch.as_tensor(sigma), torch.tensor(hinge + [False] * 3))


def spine_rhythm() -> Rhythm:
    """Prior of the flexion of the spine: ``extension + share * (mean flexion of the hips) = 0`` for lumbar spine and thorax."""
    rows = torch.zeros(len(SPINE_SHARE), 49, dtype=torch.float64)
    columns = [DOF_NAMES.index(name) for name in SPINE_SHARE]
    for row, (column, share) in enumerate(zip(columns, SPINE_SHARE.values(), strict=True)):
        rows[row, column] = 1.0
        for side in "rl":
            rows[row, DOF_NAMES.index(f"hip_flexion_{side}")] = share / 2
    sigma = _table_rad(_SPREAD_DEG, _FREE_DEG)[columns]
    return Rhythm(rows, torch.zeros(len(SPINE_SHARE), dtype=torch.float64), torch.as_tensor(sigma))


def limits() -> Limits:
    """Barrier at SKEL's joint limits, widened so that the rest pose is inside."""
    low, high = torch.tensor(fit_bounds(KEYPOINT_LIMITS_RAD).T)
    return Limits(low, high)


def posture_terms(*, straight: bool = True) -> list[Term]:
    """All terms of single postures; ``straight`` as for :func:`pose_prior`."""
    return [pose_prior(straight=straight), spine_rhythm(), limits()]


def smoothness(time_s: FloatArray, sigma: FloatArray | None = None) -> Smoothness:
    """Prior of small accelerations of all unknowns.

    Args:
        time_s: (T,).
        sigma: (49,) standard deviations, rad/s^2 and m/s^2; None: those of everyday movement.

    Returns:
        A term.
    """
    return Smoothness(time_s, acceleration_sigma() if sigma is None else sigma)


def acceleration_sigma() -> FloatArray:
    """(49,) standard deviations of the accelerations of all unknowns, rad/s^2 and m/s^2."""
    return np.array([ANGLE_ACCELERATION_RAD_S2] * 46 + [TRANSLATION_ACCELERATION_M_S2] * 3)

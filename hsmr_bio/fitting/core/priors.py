"""What is known about postures before looking: means and spreads of SKEL's angles and of their accelerations.

Source:
    Spreads: everyday postures, set on synthetic and real clips; limits: ``skeleton.KEYPOINT_LIMITS_RAD``.
"""

from __future__ import annotations

import numpy as np
import torch

from ...skeleton import DOF_NAMES, KEYPOINT_LIMITS_RAD, fit_bounds
from ...types import FloatArray
from .terms import Limits, PosePrior, Rhythm

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
"""Standard deviation in degrees by the beginning of the name; all other angles have 70."""
_MEAN_DEG = {
    "knee_angle": 5.0,
    "elbow_flexion": 15.0,
    "shoulder_r_x": 80.0,
    "shoulder_l_x": -80.0,
}
_FREE_DEG = 70.0
_HINGES = ("knee_angle", "elbow_flexion", "shoulder_r_x", "shoulder_r_z", "shoulder_l_x", "shoulder_l_z")
"""One camera hardly sees how far a nearly straight hinge is bent towards it: these stay straight until clearly bent."""

SPINE_SHARE = {"lumbar_extension": 0.15, "thorax_extension": 0.1}
"""Flexion of the spine per hip flexion: who bends the hips rounds the back. In squats and lifting the lumbar spine flexes by
a fifth to a third of the hips (lumbopelvic rhythm; Esola et al. 1996, Spine 21:71; List et al. 2013, J Strength Cond Res
27:1529)."""

ANGLE_ACCELERATION = np.radians(3900.0)
"""rad/s^2: everyday movement; with 2.5 degrees of detector noise it smooths at about 6 Hz."""
TRANSLATION_ACCELERATION = 8.0
"""m/s^2."""


def _table(values: dict[str, float], default: float) -> FloatArray:
    return np.array([next((v for name, v in values.items() if dof.startswith(name)), default) for dof in DOF_NAMES])


def mean_pose() -> FloatArray:
    """(46,) relaxed standing: arms beside the body, joints slightly bent."""
    return np.radians(_table(_MEAN_DEG, 0.0))


def pose_prior(*, straight: bool = True) -> PosePrior:
    """Angles near relaxed standing; the root is free.

    Args:
        straight: whether hinges are drawn to nearly straight. A first guess must not be: it would never bend.
    """
    sigma = np.radians(_table(_SPREAD_DEG, _FREE_DEG))
    sigma[:3] = np.inf
    sigma[[DOF_NAMES.index(name) for name in SPINE_SHARE]] = np.inf  # see spine_rhythm
    if not straight:
        sigma[[name.startswith(_HINGES) for name in DOF_NAMES]] = np.radians(_FREE_DEG)
    mean = np.concatenate([mean_pose(), np.zeros(3)])
    hinge = torch.tensor([name.startswith(_HINGES) for name in DOF_NAMES] + [False] * 3)
    return PosePrior(torch.as_tensor(mean), torch.as_tensor(np.concatenate([sigma, np.full(3, np.inf)])), hinge)


def spine_rhythm() -> Rhythm:
    """Extension of lumbar spine and thorax near minus their share of the hips' flexion."""
    rows = torch.zeros(len(SPINE_SHARE), 49, dtype=torch.float64)
    for row, (name, share) in enumerate(SPINE_SHARE.items()):
        rows[row, DOF_NAMES.index(name)] = 1.0
        for side in "rl":
            rows[row, DOF_NAMES.index(f"hip_flexion_{side}")] = share / 2
    sigma = np.radians([next(v for k, v in _SPREAD_DEG.items() if name.startswith(k)) for name in SPINE_SHARE])
    return Rhythm(rows, torch.zeros(len(SPINE_SHARE), dtype=torch.float64), torch.as_tensor(sigma))


def limits() -> Limits:
    """SKEL's joint limits, with the rest pose inside."""
    low, high = torch.tensor(fit_bounds(KEYPOINT_LIMITS_RAD).T)
    return Limits(low, high)


def acceleration_sigma() -> FloatArray:
    """(49,) standard deviation of the accelerations of all unknowns."""
    return np.array([ANGLE_ACCELERATION] * 46 + [TRANSLATION_ACCELERATION] * 3)

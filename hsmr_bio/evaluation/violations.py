"""Joint-limit violations of knees and elbows (the paper's Table 4), for SKEL and for SMPL predictions.

The official form tries two Euler triples per SMPL rotation, of which the second is not a solution at all; the corrected form
tries both true solutions. Differences are real: report which form a number is from.
Source: Xia et al. 2025 (HSMR) and its release.
"""

from __future__ import annotations

from math import pi
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from ..arrays import readonly
from ..hsmr.pose import euler_from_matrix, rodrigues
from ..skeleton import DOF_NAMES
from ..types import FloatArray

PARTS = ("l_knee", "r_knee", "l_elbow", "r_elbow")
TOLERANCES_DEG = (0, 5, 10, 20, 30)
TABLE_TOLERANCES_DEG = (10, 20, 30)
"""Those of the paper's table."""
Form = Literal["official", "corrected"]

_SKEL: dict[str, tuple[tuple[str, ...], tuple[tuple[float, float], ...]]] = {
    "l_knee": (("knee_angle_l",), ((0, 135),)),
    "r_knee": (("knee_angle_r",), ((0, 135),)),
    "l_elbow": (("elbow_flexion_l", "pro_sup_l"), ((0, 135), (-90, 90))),
    "r_elbow": (("elbow_flexion_r", "pro_sup_r"), ((0, 135), (-67.5, 67.5))),
}
_SMPL: dict[str, tuple[int, str, tuple[tuple[float, float], ...]]] = {
    "l_knee": (4, "XZY", ((0, 135), (0, 0), (0, 0))),
    "r_knee": (5, "XZY", ((0, 135), (0, 0), (0, 0))),
    "l_elbow": (18, "YZX", ((-135, 0), (0, 0), (-67.5, 67.5))),
    "r_elbow": (19, "YZX", ((0, 135), (0, 0), (-67.5, 67.5))),
}


def wrap(angle_rad: FloatArray) -> FloatArray:
    """To [-pi, pi)."""
    return np.asarray((angle_rad + pi) % (2 * pi) - pi)


def outside(angles_rad: FloatArray, limits_deg: tuple[tuple[float, float], ...], tolerance_deg: float) -> FloatArray:
    """(N, A) amount in radians by which angles lie outside their limits, widened by the tolerance."""
    limits = np.deg2rad(np.array(limits_deg) + np.array([-tolerance_deg, tolerance_deg]))
    return np.asarray(np.maximum(np.maximum(limits[:, 0] - angles_rad, angles_rad - limits[:, 1]), 0))


def skel_violations(poses_rad: npt.ArrayLike, tolerance_deg: float) -> dict[str, FloatArray]:
    """Violations of SKEL poses (N, 46): per part (N, 1) for knees, (N, 2) for elbows, in radians."""
    poses = readonly("poses", poses_rad, (None, 46))
    out = {}
    for part, (names, limits) in _SKEL.items():
        out[part] = outside(wrap(poses[:, [DOF_NAMES.index(name) for name in names]]), limits, tolerance_deg)
    return out


def smpl_violations(body_pose: npt.ArrayLike, tolerance_deg: float, form: Form = "official") -> dict[str, FloatArray]:
    """Violations of SMPL poses.

    Args:
        body_pose: (N, 23, 3) or (N, 69) axis-angle of joints 1 to 23.
        tolerance_deg: limits are widened by it on both ends.
        form: ``"official"`` tries the triples (a, b, c) and (a, pi - b, c); ``"corrected"`` tries (a, b, c) and
            (a + pi, pi - b, c + pi), the two that describe the rotation.

    Returns:
        Per part (N, 3), in radians, of the triple with the smaller sum.
    """
    vectors = readonly("body_pose", np.asarray(body_pose, dtype=np.float64).reshape(-1, 23, 3), (None, 23, 3))
    half_turn = 0.0 if form == "official" else pi
    out = {}
    for part, (joint, order, limits) in _SMPL.items():
        angles = euler_from_axis_angle(vectors[:, joint - 1], order)
        other = np.stack([angles[:, 0] + half_turn, pi - angles[:, 1], angles[:, 2] + half_turn], axis=1)
        first, second = (outside(wrap(triple), limits, tolerance_deg) for triple in (angles, other))
        out[part] = np.where((first.sum(axis=1) <= second.sum(axis=1))[:, None], first, second)
    return out


def euler_from_axis_angle(vectors: FloatArray, order: str) -> FloatArray:
    """(N, 3) rotation vectors to Tait-Bryan angles (alpha, beta, gamma) of the order, (N, 3) radians."""
    rotation = torch.from_numpy(np.array(vectors))
    angle = rotation.norm(dim=-1)
    axis = rotation / angle.clamp_min(1e-12)[:, None]
    return torch.stack(euler_from_matrix(rodrigues(axis, angle), order), dim=-1).numpy()


def statistics(violations: dict[str, FloatArray], tolerance_deg: float) -> dict[str, float]:
    """Share of violating samples and max, mean, median excess in radians, per part; the excess is that of the worst angle.

    Keys are the release's: ``VD<t>_<part>_<percentage|max|mean|median>``; the percentage is a share from 0 to 1.
    """
    out = {}
    for part, values in violations.items():
        worst = values.max(axis=1)
        name = f"VD{tolerance_deg:g}_{part}"
        out[f"{name}_percentage"] = float((worst > 0).mean())
        out[f"{name}_max"] = float(worst.max())
        out[f"{name}_mean"] = float(worst.mean())
        # the lower of the two middle values, as the release's median of a tensor
        out[f"{name}_median"] = float(np.sort(worst)[(len(worst) - 1) // 2])
    return out


def violation_table(
    poses: npt.ArrayLike,
    kind: Literal["skel", "smpl"],
    *,
    form: Form = "official",
    tolerances_deg: tuple[float, ...] = TOLERANCES_DEG,
) -> dict[str, float]:
    """All statistics of a set of predictions.

    Args:
        poses: SKEL poses (N, 46), or SMPL ``body_pose`` (N, 23, 3).
        kind: which of the two.
        form: of the SMPL test; SKEL's has only one.
        tolerances_deg: see :func:`statistics`.
    """
    out: dict[str, float] = {}
    for tolerance in tolerances_deg:
        found = skel_violations(poses, tolerance) if kind == "skel" else smpl_violations(poses, tolerance, form)
        out |= statistics(found, tolerance)
    return out

"""Joint-limit violations of knees and elbows (the paper's Table 4), for SKEL and for SMPL predictions.

The official form compares two Euler triples per SMPL rotation, of which the second does not describe the rotation; the
corrected form compares the two that do. The figures differ: report the form with them.
Source: Xia et al. 2025 (HSMR) and its release.
"""

from __future__ import annotations

from math import pi
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from ..arrays import readonly
from ..checks.limits import PAPER_TOLERANCES_DEG, excess_over, part_violation, skel_violations, widened, wrap
from ..hsmr.pose import euler_from_matrix
from ..kinematics.rotations import exp
from ..types import FloatArray

Form = Literal["official", "corrected"]

_SMPL: dict[str, tuple[int, str, tuple[tuple[float, float], ...]]] = {
    "l_knee": (4, "XZY", ((0, 135), (0, 0), (0, 0))),
    "r_knee": (5, "XZY", ((0, 135), (0, 0), (0, 0))),
    "l_elbow": (18, "YZX", ((-135, 0), (0, 0), (-67.5, 67.5))),
    "r_elbow": (19, "YZX", ((0, 135), (0, 0), (-67.5, 67.5))),
}
"""Part -> SMPL joint, Euler order, and limits of the three angles in degrees (release)."""


def smpl_violations(body_pose: npt.ArrayLike, tolerance_deg: float, form: Form = "official") -> dict[str, FloatArray]:
    """Compute the violations of SMPL poses.

    Args:
        body_pose: (N, 23, 3) or (N, 69) axis-angle of joints 1 to 23.
        tolerance_deg: widens the limits on both ends.
        form: ``"official"`` compares the triples (a, b, c) and (a, pi - b, c); ``"corrected"`` compares (a, b, c) and
            (a + pi, pi - b, c + pi), the two that describe the rotation.

    Returns:
        Per part (N, 3), in radians, of the triple with the smaller sum.
    """
    vectors = readonly("body_pose", np.asarray(body_pose, dtype=np.float64).reshape(-1, 23, 3), (None, 23, 3))
    half_turn = 0.0 if form == "official" else pi
    out = {}
    for part, (joint, order, limits) in _SMPL.items():
        rotations = exp(torch.tensor(vectors[:, joint - 1]))
        a, b, c = (angle.numpy() for angle in euler_from_matrix(rotations, order))
        triples = (np.stack([a, b, c], axis=1), np.stack([a + half_turn, pi - b, c + half_turn], axis=1))
        first, second = (excess_over(wrap(triple), *widened(np.deg2rad(limits), tolerance_deg).T) for triple in triples)
        out[part] = np.where((first.sum(axis=1) <= second.sum(axis=1))[:, None], first, second)
    return out


def statistics(violations: dict[str, FloatArray], tolerance_deg: float) -> dict[str, float]:
    """Compute the share of violating samples and the max, mean and median excess of the worst angle of each part.

    Args:
        violations: part -> (N, A) radians.
        tolerance_deg: of the violations, for the keys.

    Returns:
        The release's keys ``VD<t>_<part>_<percentage|max|mean|median>``; the percentage is a share from 0 to 1, the others are
        radians.
    """
    out: dict[str, float] = {}
    for part, values in violations.items():
        row, name = part_violation(part, tolerance_deg, values), f"VD{tolerance_deg:g}_{part}"
        out |= {f"{name}_percentage": row.share, f"{name}_max": row.max_rad}
        out |= {f"{name}_mean": row.mean_rad, f"{name}_median": row.median_rad}
    return out


def violation_table(poses: npt.ArrayLike, kind: Literal["skel", "smpl"], *, form: Form = "official") -> dict[str, float]:
    """Compute the statistics of a set of predictions at the tolerances of the paper.

    Args:
        poses: SKEL poses (N, 46), or SMPL ``body_pose`` (N, 23, 3).
        kind: of the poses.
        form: of the SMPL test; SKEL's has only one.

    Returns:
        See :func:`statistics`.
    """
    values = np.asarray(poses, dtype=np.float64)
    out: dict[str, float] = {}
    for tolerance in PAPER_TOLERANCES_DEG:
        found = skel_violations(values, tolerance) if kind == "skel" else smpl_violations(values, tolerance, form)
        out |= statistics(found, tolerance)
    return out

"""Sparse joint regressor: joints as affine combinations of skin vertices."""

from __future__ import annotations

import numpy as np
from assets import Floats, Ints
from scipy.spatial import cKDTree

SUPPORT = 400
RESIDUAL_M = 0.0002


def joint_regressor(skin: Floats, directions: Floats, joints: Floats, joint_directions: Floats, mirror: Ints) -> Floats:
    """(24, V) weights, rows sum to 1, that give the joints of every beta to 0.2 mm.

    Ridge regression over vertices near the joint; the ridge is the largest that keeps the residual, so that the weights stay
    small and the joint calm when single vertices move. The pelvis, whose place depends on leg length, also sees the knees
    and ankles. The left side is computed and mirrored.

    Args:
        skin: (V, 3) mean.
        directions: (V, 3, 10).
        joints: (24, 3).
        joint_directions: (24, 3, 10).
        mirror: (V,) mirror vertices.
    """
    tree = cKDTree(skin)
    out = np.zeros((24, len(skin)))
    weight = np.concatenate([np.ones(3), np.full(30, 2.0)])
    for joint in (0, 6, 7, 8, 9, 10, 11, 12, 13, 19, 20, 21, 22, 23):
        near = set(tree.query(joints[joint], SUPPORT)[1].tolist())
        if joint == 0:
            for other in (2, 3, 7, 8):
                near |= set(tree.query(joints[other], 100)[1].tolist())
        if joint in (0, 11, 12, 13):
            near |= {int(mirror[i]) for i in near}
        pick = np.array(sorted(near))
        rows = np.concatenate([(skin[pick] - joints[joint]).T, directions[pick].reshape(len(pick), 30).T])
        wanted = np.concatenate([np.zeros(3), joint_directions[joint].reshape(30)])
        out[joint, pick] = _ridge(rows * weight[:, None], wanted * weight)
        if joint in (0, 11, 12, 13):
            out[joint] = (out[joint] + out[joint][mirror]) / 2
    for left, right in ((6, 1), (7, 2), (8, 3), (9, 4), (10, 5), (19, 14), (20, 15), (21, 16), (22, 17), (23, 18)):
        out[right] = out[left][mirror]
    return out


def _ridge(rows: Floats, wanted: Floats) -> Floats:
    """Affine weights with the largest ridge that keeps the worst residual below the bound."""
    count = rows.shape[1]
    even = np.full(count, 1 / count)
    best = None
    for power in np.arange(-4.0, -13.0, -0.5):
        normal = rows @ rows.T + 10.0**power * np.eye(len(rows))
        ones = np.ones(count)
        solve = np.linalg.solve(normal, np.stack([wanted - rows @ even, rows @ ones], axis=1))
        change, slope = rows.T @ solve[:, 0], ones - rows.T @ solve[:, 1]
        change = change - slope * (change.sum() / slope.sum())
        best = even + change
        if np.abs(rows @ best - wanted).max() < RESIDUAL_M:
            break
    return best

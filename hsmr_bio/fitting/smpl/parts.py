"""Rotations of SMPL's body parts from the positions of its 24 joints.

The joints give the long axis of a part. The rotation about it comes from the bend of the knee or elbow, from the line between
the hips or the shoulders, or from the part above.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from ...kinematics.rotations import shortest
from ...types import FloatArray

_X, _Y, _ = np.eye(3)
_FOOT = np.array([0.0, -0.45, 0.89])
"""From ankle to ball of the foot in the T pose: to the front, and about half as far down (Winter 2009)."""
_STRAIGHT, _BENT_RANGE = 0.15, 0.2
"""Sine of the bend of a knee or elbow (9 degrees) below which its plane is not used, and the range over which it comes into use
(own choice)."""
_LEAST_LENGTH = 1e-9
_LEAST_NORM = 1e-12
"""Lower bounds of lengths; they only avoid a division by zero."""


def parts_from_joints(joints_m: FloatArray) -> FloatArray:
    """Estimate the rotation of each SMPL part from the T pose (y up, facing +z, left +x), in the world.

    Args:
        joints_m: (T, 24, 3) SMPL joints.

    Returns:
        (T, 24, 3, 3).
    """
    j = joints_m
    turns = np.zeros((*j.shape[:2], 3, 3))
    hips = (j[:, 1] + j[:, 2]) / 2
    pelvis = _frame(_X, _Y, j[:, 1] - j[:, 2], j[:, 3] - hips)
    thorax = _frame(_X, _Y, j[:, 16] - j[:, 17], j[:, 12] - j[:, 6])
    turns[:, 0], turns[:, 9], turns[:, 12] = pelvis, thorax, thorax
    turns[:, 3], turns[:, 6] = _between(pelvis, thorax, 1 / 3), _between(pelvis, thorax, 2 / 3)
    turns[:, 13] = turns[:, 14] = thorax
    turns[:, 15] = _carried(thorax, _Y, j[:, 15] - j[:, 12])
    for hip, knee, ankle, foot in ((1, 4, 7, 10), (2, 5, 8, 11)):
        thigh, shank = j[:, knee] - j[:, hip], j[:, ankle] - j[:, knee]
        hinge = _hinge(thigh, shank, pelvis @ _X)
        turns[:, hip], turns[:, knee] = _frame(-_Y, _X, thigh, hinge), _frame(-_Y, _X, shank, hinge)
        turns[:, ankle] = _frame(_FOOT, _X, j[:, foot] - j[:, ankle], hinge)
        turns[:, foot] = turns[:, ankle]
    for side, shoulder, elbow, wrist, hand in ((1.0, 16, 18, 20, 22), (-1.0, 17, 19, 21, 23)):
        upper, fore = j[:, elbow] - j[:, shoulder], j[:, wrist] - j[:, elbow]
        hinge = _hinge(upper, fore, thorax @ (-side * _Y))
        turns[:, shoulder] = _frame(side * _X, -side * _Y, upper, hinge)
        turns[:, elbow] = _frame(side * _X, -side * _Y, fore, hinge)
        turns[:, wrist] = turns[:, hand] = _carried(turns[:, elbow], side * _X, j[:, hand] - j[:, wrist])
    return turns


def _frame(first: FloatArray, second: FloatArray, seen: FloatArray, hint: FloatArray) -> FloatArray:
    """Rotations (T, 3, 3) that bring ``first`` exactly onto ``seen`` and ``second`` as near as possible to ``hint``."""
    return np.asarray(_basis(seen, hint) @ _basis(first[None], second[None])[0].T)


def _basis(axis: FloatArray, hint: FloatArray) -> FloatArray:
    """Right-handed bases (T, 3, 3) with the first axis along ``axis`` and the second near ``hint``."""
    a = _unit(axis)
    b = _unit(hint - (hint * a).sum(-1, keepdims=True) * a)
    return np.stack([a, b, np.cross(a, b)], axis=-1)


def _hinge(upper: FloatArray, lower: FloatArray, straight: FloatArray) -> FloatArray:
    """(T, 3) axis of a knee or elbow: across the bend, or ``straight`` where the limb is nearly straight."""
    bend = np.cross(_unit(upper), _unit(lower))
    size = np.linalg.norm(bend, axis=-1, keepdims=True)
    share = np.clip((size - _STRAIGHT) / _BENT_RANGE, 0, 1)
    return np.asarray(share * bend / np.maximum(size, _LEAST_LENGTH) + (1 - share) * _unit(straight))


def _carried(parent: FloatArray, first: FloatArray, seen: FloatArray) -> FloatArray:
    """(T, 3, 3) rotation of the parent, followed by the shortest one that brings ``first`` onto ``seen``."""
    turn = shortest(torch.as_tensor(parent @ first), torch.as_tensor(_unit(seen)))
    return np.asarray(turn.numpy() @ parent)


def _between(first: FloatArray, second: FloatArray, share: float) -> FloatArray:
    """(T, 3, 3) rotations at a share of the shortest path from one to another."""
    step = Rotation.from_matrix(np.swapaxes(first, 1, 2) @ second).as_rotvec()
    return np.asarray(first @ Rotation.from_rotvec(share * step).as_matrix())


def _unit(vector: FloatArray) -> FloatArray:
    return np.asarray(vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), _LEAST_NORM))

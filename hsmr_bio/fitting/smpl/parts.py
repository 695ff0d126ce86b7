"""Rotations of SMPL's body parts from the positions of its 24 joints alone.

A part's long axis is seen; the turn about it comes from the bend of the knee or elbow, from the line between the hips or the
shoulders, or from the part above.
"""

from __future__ import annotations

import numpy as np
import torch

from ...kinematics.rotations import shortest
from ...types import FloatArray

_X, _Y, _Z = np.eye(3)


def parts_from_joints(joints_m: FloatArray) -> FloatArray:
    """Build part rotations.

    Args:
        joints_m: (T, 24, 3) SMPL joints.

    Returns:
        (T, 24, 3, 3) rotation of each SMPL part from the T pose (y up, facing +z, left +x), in the world.
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
        # in the T pose the ball of the foot lies in front of the ankle and below it, by about half as much (Winter 2009)
        turns[:, ankle] = _frame(np.array([0.0, -0.45, 0.89]), _X, j[:, foot] - j[:, ankle], hinge)
        turns[:, foot] = turns[:, ankle]
    for side, shoulder, elbow, wrist, hand in ((1.0, 16, 18, 20, 22), (-1.0, 17, 19, 21, 23)):
        upper, fore = j[:, elbow] - j[:, shoulder], j[:, wrist] - j[:, elbow]
        hinge = _hinge(upper, fore, thorax @ (-side * _Y))
        turns[:, shoulder] = _frame(side * _X, -side * _Y, upper, hinge)
        turns[:, elbow] = _frame(side * _X, -side * _Y, fore, hinge)
        turns[:, wrist] = turns[:, hand] = _carried(turns[:, elbow], side * _X, j[:, hand] - j[:, wrist])
    return turns


def _frame(first: FloatArray, second: FloatArray, seen: FloatArray, hint: FloatArray) -> FloatArray:
    """Rotations (T, 3, 3) that take ``first`` exactly onto ``seen`` and ``second`` as near as possible to ``hint``."""
    return np.asarray(_basis(seen, hint) @ _basis(first[None], second[None])[0].T)


def _basis(axis: FloatArray, hint: FloatArray) -> FloatArray:
    a = _unit(axis)
    b = _unit(hint - (hint * a).sum(-1, keepdims=True) * a)
    return np.stack([a, b, np.cross(a, b)], axis=-1)


def _hinge(upper: FloatArray, lower: FloatArray, straight: FloatArray) -> FloatArray:
    """Axis of a knee or elbow: across the bend, or, where it is nearly straight, the one that a straight limb has."""
    bend = np.cross(_unit(upper), _unit(lower))
    size = np.linalg.norm(bend, axis=-1, keepdims=True)
    trust = np.clip((size - 0.15) / 0.2, 0, 1)
    return np.asarray(trust * bend / np.maximum(size, 1e-9) + (1 - trust) * _unit(straight))


def _carried(parent: FloatArray, first: FloatArray, seen: FloatArray) -> FloatArray:
    """The parent's rotation, turned on by the shortest way until ``first`` points along ``seen``."""
    turn = shortest(torch.as_tensor(parent @ first), torch.as_tensor(_unit(seen)))
    return np.asarray(turn.numpy() @ parent)


def _between(first: FloatArray, second: FloatArray, share: float) -> FloatArray:
    from scipy.spatial.transform import Rotation

    step = Rotation.from_matrix(np.swapaxes(first, 1, 2) @ second).as_rotvec()
    return np.asarray(first @ Rotation.from_rotvec(share * step).as_matrix())


def _unit(vector: FloatArray) -> FloatArray:
    return np.asarray(vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-12))

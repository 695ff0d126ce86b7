"""Bone frames of the 24 bodies in the T pose, and SKEL's two frame tables.

A bone frame is the body frame of the BSM OpenSim model when both bodies stand in the same posture (T pose = BSM with trunk
and girdle at their defaults, arms raised 90 degrees sideways, elbows, forearms and wrists at zero). So the constant rotation
between a bone of the open body and the BSM body of the same name is the identity.

Source:
    BSM default orientations (Keller et al. 2023; girdle of Seth et al. 2019): lumbar_body 0.4 rad and thorax 0.1 rad of
    extension relative to the pelvis, scapula = thoracic ellipsoid joint at its default coordinates.
"""

from __future__ import annotations

import numpy as np
from assets import Floats

PARENTS = (-1, 0, 1, 2, 3, 4, 0, 6, 7, 8, 9, 0, 11, 12, 12, 14, 15, 16, 17, 12, 19, 20, 21, 22)
UPRIGHT = np.array([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]])
"""OpenSim axes (x front, y up, z right) as columns in rest axes (x left, y up, z front)."""

LUMBAR_RAD, THORAX_RAD = 0.4, 0.1
SCAPULA_DEFAULT = (-1.31156, -0.0505, 0.2082)
"""BSM's default abduction, elevation, upward rotation, rad."""
SCAPULA_CHILD = (-0.5181, -1.1416, -0.2854)
"""Orientation of BSM's child offset frame on the right scapula, body-fixed x y z, rad."""


def _turn(axis: int, angle: float) -> Floats:
    i, j = (axis + 1) % 3, (axis + 2) % 3
    out = np.eye(3)
    out[i, i] = out[j, j] = np.cos(angle)
    out[j, i], out[i, j] = np.sin(angle), -np.sin(angle)
    return out


def _scapula() -> Floats:
    a, e, u = SCAPULA_DEFAULT
    child = _turn(0, SCAPULA_CHILD[0]) @ _turn(1, SCAPULA_CHILD[1]) @ _turn(2, SCAPULA_CHILD[2])
    return _turn(1, a) @ _turn(0, -e) @ _turn(2, u) @ child.T


def bone_rotations() -> tuple[Floats, Floats]:
    """Per bone: rotation bone axes -> rest axes (24, 3, 3), and rotation part of SKEL's relative table (24, 3, 3).

    The second is chosen so that joint axes stay what SKEL says: axes of the upright body for trunk and girdle, of the bone
    itself for the limbs (``per_joint_rot @ rel.T`` holds the axes).
    """
    bone = np.repeat(UPRIGHT[None], 24, axis=0)
    relative = np.repeat(np.eye(3)[None], 24, axis=0)
    relative[11], relative[12] = _turn(2, LUMBAR_RAD), _turn(2, THORAX_RAD)
    flip = np.diag([1.0, 1.0, -1.0])
    right = _turn(2, THORAX_RAD) @ _scapula()
    relative[14], relative[19] = right, flip @ right @ flip
    for joint in (11, 12, 14, 19):
        bone[joint] = UPRIGHT @ relative[joint]
    bone[15:19] = UPRIGHT @ _turn(0, -np.pi / 2)
    bone[20:24] = UPRIGHT @ _turn(0, np.pi / 2)
    return np.round(bone, 15), relative


def relative_table(joints: Floats) -> tuple[Floats, Floats]:
    """``per_joint_rot`` (24, 3, 3) and ``apose_rel_transfo`` (24, 4, 4) of SKEL's schema for the mean joints (24, 3)."""
    bone, turn = bone_rotations()
    table = np.repeat(np.eye(4)[None], 24, axis=0)
    table[:, :3, :3] = turn
    for joint, parent in enumerate(PARENTS):
        if parent >= 0:
            table[joint, :3, 3] = bone[parent].T @ (joints[joint] - joints[parent])
    along = joints[12] - joints[11]
    along = along / np.linalg.norm(along) * np.linalg.norm(joints[13] - joints[12])
    table[13, :3, 3] = bone[12].T @ along
    return bone, table

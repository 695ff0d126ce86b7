"""Bone frames of the 24 bodies in the T pose, and SKEL's two frame tables.

A bone frame is the body frame of the BSM OpenSim model when both bodies stand in the same posture (T pose = BSM with trunk
and girdle at their defaults, arms raised 90 degrees sideways, elbows, forearms and wrists at zero). So the constant rotation
between a bone of the open body and the BSM body of the same name is the identity; but for the radius, 12 degrees (below).

Source:
    BSM default orientations (Keller et al. 2023; girdle of Seth et al. 2019): lumbar_body 0.4 rad and thorax 0.1 rad of
    extension relative to the pelvis, scapula = thoracic ellipsoid joint at its default coordinates.
"""

from __future__ import annotations

import numpy as np
from assets import Floats
from tpose import shortest

PARENTS = (-1, 0, 1, 2, 3, 4, 0, 6, 7, 8, 9, 0, 11, 12, 12, 14, 15, 16, 17, 12, 19, 20, 21, 22)
UPRIGHT = np.array([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]])
"""OpenSim axes (x front, y up, z right) as columns in rest axes (x left, y up, z front)."""

LUMBAR_RAD, THORAX_RAD = 0.4, 0.1
SCAPULA_DEFAULT = (-1.31156, -0.0505, 0.2082)
"""BSM's default abduction, elevation, upward rotation, rad."""
FOREARM_AXIS = (-0.01716099, 0.99266564, -0.11966796)
"""Axis of pro_sup_r in the radius frame (SKEL and BSM)."""
ULNAR_HEAD = 0.046
"""Head of the ulna behind the wrist centre, palm down, over the forearm length: 12 of 262 mm (own choice)."""
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


def _radius(joints: Floats) -> Floats:
    """Right radius: BSM's forearm axis lies on the line from the head of the radius to the head of the ulna.

    The arm of the T pose is straight, BSM's has a carrying angle of 12 degrees; without this turn the wrist would swing around
    an axis that passes 5 cm beside it.
    """
    arm = UPRIGHT @ _turn(0, -np.pi / 2)
    forearm = joints[18] - joints[16]
    behind = ULNAR_HEAD * float(np.linalg.norm(forearm))
    wanted = arm.T @ (joints[17] - joints[18]) - [-behind, 0, 0]
    return arm @ shortest(np.array(FOREARM_AXIS), wanted)


def bone_rotations(joints: Floats) -> tuple[Floats, Floats]:
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
    bone[17] = _radius(joints)
    bone[22] = np.diag([-1.0, 1, 1]) @ bone[17] @ flip
    return np.round(bone, 15), relative


def relative_table(joints: Floats) -> tuple[Floats, Floats]:
    """``per_joint_rot`` (24, 3, 3) and ``apose_rel_transfo`` (24, 4, 4) of SKEL's schema for the mean joints (24, 3).

    Translations are those of the mean body: SKEL's alignment of bones to joints is the identity at beta 0. Two entries serve
    that alignment only: the head's points along lumbar to thorax (SKEL turns the thorax by that line), and the radius's makes
    the sum of radius and hand, which SKEL takes across two frames, the line from elbow to wrist.
    """
    bone, turn = bone_rotations(joints)
    table = np.repeat(np.eye(4)[None], 24, axis=0)
    table[:, :3, :3] = turn
    for joint, parent in enumerate(PARENTS):
        if parent >= 0:
            table[joint, :3, 3] = bone[parent].T @ (joints[joint] - joints[parent])
    along = joints[12] - joints[11]
    along = along / np.linalg.norm(along) * np.linalg.norm(joints[13] - joints[12])
    table[13, :3, 3] = bone[12].T @ along
    for ulna, radius, hand in ((16, 17, 18), (21, 22, 23)):
        table[radius, :3, 3] = bone[ulna].T @ (joints[hand] - joints[ulna]) - table[hand, :3, 3]
    return bone, table

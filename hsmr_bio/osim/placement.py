"""Places the joints of BSM on one person.

In the T pose the model has exactly the body's joint centres, at the coordinates that give its bone orientations. Every joint
keeps BSM's coordinates, their zeros and signs, and moves as the body does: hips and shoulders are the same in both, a hinge
takes the axis about which SKEL rotates the bone, spine, scapulae and wrists are SKEL's joints (:mod:`.skel_joints`). The knee
stays BSM's: it rolls and rotates inwards as knees do, SKEL's is a hinge. Its frames are fitted to SKEL's knee
(:mod:`.joint_fit`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from ..kinematics.functions import Linear
from ..kinematics.rotations import about_axis, angles_about
from ..kinematics.tree import Joint
from ..kinematics.tree_fit import values_of
from ..skeleton import JOINT_NAMES, PARENTS
from ..types import FloatArray
from .build import JointSpec
from .joint_fit import JointFit
from .joints import orientation_of
from .parts import OffsetFrame, Triple, triple
from .person import KNEES, TPose, shortest_turn
from .skel_joints import BALLS, skel_joint

HANDS = ("hand_r", "hand_l")
AS_SKEL = ("lumbar_body", "thorax", "head", "scapula_r", "scapula_l", *HANDS)
"""Bodies that a person's model moves as SKEL does."""
_FIT_STEPS = 6
"""Iterations of the knee's fit; chosen."""
_KNEE_TURN_SD_RAD = 0.5
"""Standard deviation of the rotation of the knee's frame in its fit; chosen."""


@dataclass(frozen=True, eq=False)
class Placement:
    """The scaled joints."""

    frames: Mapping[str, tuple[OffsetFrame, OffsetFrame]]
    """Joint -> parent and child offset frame, where the joint's functions stay BSM's."""
    joints: tuple[JointSpec, ...]
    """Joints replaced by SKEL's: spine, scapulae, wrists."""
    translation_scales: Mapping[str, Triple]
    """Joint -> factors on its translation functions."""
    t_pose_si: Mapping[str, float]
    """Coordinates of the T pose, where they are not zero."""


def place_joints(t_pose: TPose, factors: Mapping[str, Triple]) -> Placement:
    """Place every joint of BSM on a person.

    Args:
        t_pose: T pose of the person.
        factors: body -> scale along its axes; the femur's scales the knee's translations.

    Returns:
        Offset frames, SKEL's joints, factors on the translation functions, and the coordinates of the T pose.
    """
    frames: dict[str, tuple[OffsetFrame, OffsetFrame]] = {}
    scales: dict[str, Triple] = {}
    values: dict[str, float] = {}
    joints: list[JointSpec] = []
    for name in JOINT_NAMES[1:]:
        joint = t_pose.generic_joints[name]
        inputs = [t_pose.coordinates[f.input] for _, f in joint.rotations if isinstance(f, Linear)]
        if name in AS_SKEL:
            if name not in HANDS:  # the hands are straight in the T pose, whatever axes their bones have
                values |= dict(zip(inputs, _values(joint, _angles(t_pose, name, joint)).tolist(), strict=True))
            joints.append(skel_joint(t_pose, name, values))
            continue
        if name in KNEES:
            scale = factors[name.replace("tibia", "femur")][1]
            scales[joint.name] = (scale, scale, scale)
            frames[joint.name] = _knee_frames(t_pose, name, joint, scale)
            values[inputs[0]] = 0.0
            continue
        angles = _angles(t_pose, name, joint)
        frames[joint.name] = _frames(t_pose, name, joint, angles)
        values |= dict(zip(inputs, _values(joint, angles).tolist(), strict=True))
    return Placement(frames, tuple(joints), scales, values)


def _frames(t_pose: TPose, name: str, joint: Joint, angles: FloatArray) -> tuple[OffsetFrame, OffsetFrame]:
    """Parent and child frame of a joint with a fixed centre; ``angles`` are its angles in the T pose.

    A hip or shoulder keeps its axes on the parent. A hinge cannot take up a bone's angle to its parent that differs from the
    mean body's, so its frame on the parent rotates with the bone. Its axis is the body's: SKEL gives the left ankle the axis
    of the right one, so that BSM's mirrored axis would leave the left foot up to 18 degrees off.
    """
    fixed, moving = np.asarray(joint.parent_rotation), np.asarray(joint.child_rotation)
    if name not in BALLS:
        moving = _axis_turn(t_pose, name, joint) @ moving
        fixed = t_pose.relative(name) @ moving @ _rotation(joint, angles).T
    parent = OffsetFrame(_parent(name), triple(t_pose.offset_m(name)), orientation_of(fixed))
    return parent, OffsetFrame(name, triple(np.asarray(joint.child_translation_m)), orientation_of(moving))


def _knee_frames(t_pose: TPose, name: str, joint: Joint, scale: float) -> tuple[OffsetFrame, OffsetFrame]:
    """Parent and child frame of the rolling knee, straight in the T pose; ``scale`` multiplies its translations.

    The body's knee centre is on the axis of flexion, so the tibia's origin is too; in the generic model it is 9 mm above.
    BSM's tibia rotates inwards as the knee bends and SKEL's does not: the frames have the least difference to SKEL's knee.
    """
    rest = t_pose.offset_m(name), t_pose.relative(name)
    fit = JointFit(joint, scale, (0.0,), *rest, t_pose.ranges(joint))
    fitted = fit.fit(t_pose.targets(name), _KNEE_TURN_SD_RAD, _FIT_STEPS)
    parent = OffsetFrame(_parent(name), triple(fitted.origin_m), orientation_of(fitted.fixed))
    return parent, OffsetFrame(name, orientation_rad=orientation_of(fitted.moving))


def _parent(name: str) -> str:
    return JOINT_NAMES[PARENTS[JOINT_NAMES.index(name)]]


def _axis_turn(t_pose: TPose, name: str, joint: Joint) -> FloatArray:
    """Shortest rotation, in the child's axes, from BSM's axis of a hinge to the axis about which SKEL rotates the bone."""
    skel = t_pose.skel_joints[JOINT_NAMES.index(name)]
    generic, own = (np.asarray(j.child_rotation) @ np.asarray(j.rotations[0][0], dtype=np.float64) for j in (joint, skel))
    return shortest_turn(generic, own / np.linalg.norm(own))


def _angles(t_pose: TPose, name: str, joint: Joint) -> FloatArray:
    """Angles about the one, two or three axes of BSM's joint that are nearest to the T pose (exact for three)."""
    matrix = np.asarray(joint.parent_rotation).T @ t_pose.relative(name) @ np.asarray(joint.child_rotation)
    axes = torch.tensor([axis for axis, _ in joint.rotations], dtype=torch.float64)
    return np.asarray(angles_about(axes, torch.as_tensor(matrix)).numpy())


def _rotation(joint: Joint, angles: FloatArray) -> FloatArray:
    total = np.eye(3)
    for (axis, _), angle in zip(joint.rotations, angles, strict=True):
        total = total @ about_axis(axis, torch.as_tensor(float(angle), dtype=torch.float64)).numpy()
    return total


def _values(joint: Joint, angles: FloatArray) -> FloatArray:
    """(n,) coordinate values that give these angles."""
    return values_of([function for _, function in joint.rotations if isinstance(function, Linear)], torch.as_tensor(angles))

"""Where the joints of BSM lie on one person, and how they move there.

In the T pose the model has exactly the body's joint centres, at the coordinates that give its bone orientations. Beyond that
every joint keeps BSM's coordinates, their zeros and signs, and moves as the body does: hips and shoulders are alike anyway, a
hinge takes the axis about which the bone turns, spine, scapulae and wrists are SKEL's joints (:mod:`.skel_joints`). The knee
stays BSM's: it rolls and turns inwards as knees do, which SKEL's plain hinge leaves out; its frames are laid where both differ
least (:mod:`.joint_fit`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from ..kinematics.functions import Linear
from ..kinematics.rotations import about_axis, euler_about, matrix_to_quaternion
from ..kinematics.tree import Joint
from ..skeleton import JOINT_NAMES, PARENTS
from ..types import FloatArray
from .build import JointSpec
from .joint_fit import JointFit
from .joints import orientation_of
from .parts import OffsetFrame, Triple
from .person import KNEES, Geometry, shortest_turn
from .skel_joints import skel_joint

HANDS = ("hand_r", "hand_l")
AS_SKEL = ("lumbar_body", "thorax", "head", "scapula_r", "scapula_l", *HANDS)
"""Bodies that a person's model moves as SKEL does."""
_BALLS = ("femur_r", "femur_l", "humerus_r", "humerus_l")
_FIT_STEPS = 6
_KNEE_TURN_SD_RAD = 0.5
"""How far the fit of the knee may turn its frame."""


@dataclass(frozen=True, eq=False)
class Placement:
    """The scaled joints."""

    frames: Mapping[str, tuple[OffsetFrame, OffsetFrame]]
    """Joint -> parent and child offset frame, where the joint's functions stay BSM's."""
    joints: tuple[JointSpec, ...]
    """Joints that are the person's own as a whole: spine, scapulae, wrists."""
    translation_scales: Mapping[str, Triple]
    """Joint -> factors on its translation functions."""
    t_pose_si: Mapping[str, float]
    """Coordinates of the T pose, where they are not zero."""


def place_joints(geometry: Geometry, factors: Mapping[str, Triple]) -> Placement:
    """Place every joint of BSM on a person.

    Args:
        geometry: of the person.
        factors: body -> scale along its axes; used where a joint has a shape of its own (knee, ellipsoid).

    Returns:
        Offset frames, factors on the translation functions, and the coordinates of the T pose.
    """
    frames: dict[str, tuple[OffsetFrame, OffsetFrame]] = {}
    scales: dict[str, Triple] = {}
    t_pose: dict[str, float] = {}
    joints: list[JointSpec] = []
    for name in JOINT_NAMES[1:]:
        joint = geometry.generic_joints[name]
        inputs = [geometry.coordinates[f.input] for _, f in joint.rotations if isinstance(f, Linear)]
        if name in AS_SKEL:
            if name not in HANDS:  # the hands are straight in the T pose, whatever axes their bones have
                t_pose |= dict(zip(inputs, _rest(geometry, name, joint), strict=True))
            joints.append(skel_joint(geometry, name, t_pose))
            continue
        place = _knee(geometry, name, joint, factors) if name in KNEES else _centre(geometry, name, joint)
        parent = OffsetFrame(JOINT_NAMES[PARENTS[JOINT_NAMES.index(name)]], _triple(place.at), orientation_of(place.turned))
        child = OffsetFrame(name, _triple(place.child_at), orientation_of(place.child_turned))
        frames[joint.name] = (parent, child)
        if place.scale is not None:
            scales[joint.name] = place.scale
        t_pose |= dict(zip(inputs, place.coordinates, strict=False))
    return Placement(frames, tuple(joints), scales, t_pose)


@dataclass(frozen=True, eq=False)
class _Place:
    at: FloatArray
    turned: FloatArray
    child_at: FloatArray
    child_turned: FloatArray
    coordinates: tuple[float, ...]
    scale: Triple | None = None


def _centre(geometry: Geometry, name: str, joint: Joint) -> _Place:
    """A joint that turns about a fixed centre.

    A hip or shoulder keeps its axes on the parent. A hinge cannot make up for a bone that leaves its parent at another
    angle than in the mean body, so its frame on the parent turns with the bone. Its axis is the body's: SKEL gives the left
    ankle the right one's, so that BSM's mirrored axis would leave the left foot up to 18 degrees off.
    """
    fixed, moving = np.asarray(joint.parent_rotation), np.asarray(joint.child_rotation)
    wanted = geometry.relative(name)
    at = geometry.offset_m(name)
    child_at = np.asarray(joint.child_translation_m)
    angles = _angles(joint, fixed.T @ wanted @ moving)
    if name not in _BALLS:
        moving = _axis_turn(geometry, name, joint) @ moving
        fixed = wanted @ moving @ _turn(joint, angles).T
    return _Place(at, fixed, child_at, moving, _values(joint, angles))


def _knee(geometry: Geometry, name: str, joint: Joint, factors: Mapping[str, Triple]) -> _Place:
    """The rolling knee, straight in the T pose; its shifts grow with the femur.

    The body's knee centre is the axis of flexion, so the tibia's origin lies on it; in the generic model it lies 9 mm above.
    BSM's tibia turns inwards as the knee bends and SKEL's does not: its frames are turned so that both differ least.
    """
    scale = factors[name.replace("tibia", "femur")][1]
    rest = geometry.offset_m(name), geometry.relative(name)
    fit = JointFit(joint, scale, (0.0,), *rest, geometry.ranges(joint))
    got = fit.fit(geometry.wanted(name), _KNEE_TURN_SD_RAD, _FIT_STEPS)
    return _Place(got.at_m, got.fixed, np.zeros(3), got.moving, (0.0,), (scale, scale, scale))


def _axis_turn(geometry: Geometry, name: str, joint: Joint) -> FloatArray:
    """Shortest turn, in the child's axes, from BSM's axis of a hinge to the one about which SKEL turns the bone."""
    skel = geometry.skel_joints[JOINT_NAMES.index(name)]
    generic, mine = (np.asarray(j.child_rotation) @ np.asarray(j.rotations[0][0], dtype=np.float64) for j in (joint, skel))
    return shortest_turn(generic, mine / np.linalg.norm(mine))


def _rest(geometry: Geometry, name: str, joint: Joint) -> tuple[float, ...]:
    """Coordinates at which BSM's own joint turns its body to the T pose: the zero is BSM's."""
    fixed, moving = np.asarray(joint.parent_rotation), np.asarray(joint.child_rotation)
    return _values(joint, _angles(joint, fixed.T @ geometry.relative(name) @ moving))


def _angles(joint: Joint, matrix: FloatArray) -> FloatArray:
    """Angles about the joint's one, two or three axes that come nearest to a rotation (exact for three)."""
    axes = np.array([axis for axis, _ in joint.rotations], dtype=np.float64)
    turn = torch.as_tensor(matrix)
    if len(axes) == 1:
        w, *xyz = matrix_to_quaternion(turn).tolist()
        return np.array([2 * np.arctan2(np.dot(xyz, axes[0]), w)])
    if len(axes) == 2:
        axes = np.vstack([axes, np.cross(axes[0], axes[1])])
    return np.asarray(euler_about(torch.as_tensor(axes), turn).numpy())[: len(joint.rotations)]


def _turn(joint: Joint, angles: FloatArray) -> FloatArray:
    total = np.eye(3)
    for (axis, _), angle in zip(joint.rotations, angles, strict=True):
        total = total @ about_axis(axis, torch.as_tensor(float(angle), dtype=torch.float64)).numpy()
    return total


def _values(joint: Joint, angles: FloatArray) -> tuple[float, ...]:
    """Coordinate values that give these angles."""
    linear = [function for _, function in joint.rotations if isinstance(function, Linear)]
    return tuple((float(a) - f.intercept) / f.slope for f, a in zip(linear, angles, strict=True))


def _triple(values: FloatArray) -> Triple:
    return float(values[0]), float(values[1]), float(values[2])

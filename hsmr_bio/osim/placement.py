"""Where the joints of BSM lie on one person: the body's joint centres in the frames of the BSM bodies.

Every body's frame is SKEL's bone frame of that name, origin and axes: SKEL's bone frames are those of BSM, and the open body
is built with the same ones. In the T pose the model has exactly the body's joint centres, at the coordinates that give its
bone orientations. What a joint does beyond that is BSM's own: its axes, its rolling knee, its arcs along the spine and its
ellipsoid under the scapula; how these lie on their bones is fitted to SKEL's movement (:mod:`.joint_fit`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch

from ..body.body import Body
from ..kinematics.functions import Linear
from ..kinematics.rotations import about_axis, euler_about, matrix_to_quaternion
from ..kinematics.tree import Joint
from ..skeleton import DOF_NAMES, JOINT_DOFS, JOINT_NAMES, LIMITS_RAD, PARENTS
from ..types import FloatArray
from .arcs import arc_translation
from .document import OsimDocument
from .joint_fit import Freedom, JointFit, Wanted
from .joints import orientation_of
from .nimble_export import arc_length_m
from .parts import OffsetFrame, Triple

ARC_BODIES = ("lumbar_body", "thorax", "head")
SCAPULAE = ("scapula_r", "scapula_l")
KNEES = ("tibia_r", "tibia_l")
_ENDS = {
    f"{name}_{s}": end.replace("#", s) if "_" in end else f"{s.upper()}{end}"
    for s in "rl"
    for name, end in (
        *(("femur", "tibia_#"), ("tibia", "talus_#"), ("humerus", "ulna_#"), ("ulna", "hand_#"), ("radius", "hand_#")),
        ("hand", "HME"),
    )
}
"""Limb bone -> the body at its other end, or the marker there."""
_HANDS = ("hand_r", "hand_l")
_BALLS = ("femur_r", "femur_l", "humerus_r", "humerus_l")
_FIT_POSES, _FIT_STEPS = 50, 4
_FIT_SHARES = dict.fromkeys(ARC_BODIES, 0.6) | dict.fromkeys(SCAPULAE, 1.0) | dict.fromkeys(KNEES, 0.8)
"""The joints are fitted over this share of SKEL's ranges: most movement of the spine is in the inner part, and knees rarely
bend beyond 108 degrees; the hips make up for more."""
_FIT_SD = {
    "lumbar_body": (0.003, 0.05, 0.003),
    "thorax": (0.003, 0.05, 0.003),
    "head": (0.003, 0.05, 0.003),
    "scapula": (0.012, 0.12, 0.002),
    "tibia": (0.002, 0.05, 0.004),
}
"""What may be missed: origin (m), orientation (rad), next joint (m)."""
_ARC_FREEDOM = Freedom(turn_rad=0.3, shift_m=0.02, size=0.3, one_size=True)
_KNEE_FREEDOM = Freedom(turn_rad=0.3, shift_m=0.0, size=0.0, one_size=True)
_ELLIPSOID_FREEDOM = Freedom(turn_rad=1.0, shift_m=0.03, size=0.5, one_size=False)
_ELLIPSOID_START = np.array([0.26, 0.30, -0.35, -0.036, -0.018, -0.005, 0.20, 0.16, -0.32])
"""The fit's result for the right scapula of the mean open body: other starts end in a lesser minimum."""
_UNCHANGED = np.zeros(9)
_MIRROR = np.array([-1.0, -1.0, 1.0, 1.0, 1.0, -1.0, 1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Placement:
    """The scaled joints."""

    frames: Mapping[str, tuple[OffsetFrame, OffsetFrame]]
    """Joint -> parent and child offset frame."""
    translation_scales: Mapping[str, Triple]
    """Joint -> factors on its translation functions."""
    t_pose_si: Mapping[str, float]
    """Coordinates of the T pose, where they are not zero."""


class Geometry:
    """One person's T pose in the frames of the BSM bodies, next to the generic model's default pose."""

    def __init__(self, generic: OsimDocument, body: Body, betas: FloatArray, length_factor: float = 1.0) -> None:
        self.generic, self.body, self.betas, self.length_factor = generic, body, betas, length_factor
        self.rest = body.rest(betas)
        self.rotations = self.rest.bone_rotations
        """(24, 3, 3) body axes -> rest axes."""
        self.origins_m = self.rest.joints_m * length_factor
        """(24, 3) in rest axes."""
        tree = generic.tree()
        pose = tree.forward(generic.default_si)
        rows = [tree.bodies.index(name) for name in JOINT_NAMES]
        self.generic_joints: dict[str, Joint] = {joint.body: joint for joint in tree.joints}
        self.coordinates = tree.coordinates
        self.generic_origins_m: FloatArray = pose.positions_m.numpy()[rows]
        self.generic_rotations: FloatArray = pose.rotations.numpy()[rows]

    def offset_m(self, name: str) -> FloatArray:
        """(3,) origin of a body in the axes of its parent, T pose."""
        j = JOINT_NAMES.index(name)
        p = PARENTS[j]
        return np.asarray(self.rotations[p].T @ (self.origins_m[j] - self.origins_m[p]))

    def relative(self, name: str) -> FloatArray:
        """(3, 3) orientation of a body in its parent, T pose."""
        j = JOINT_NAMES.index(name)
        return np.asarray(self.rotations[PARENTS[j]].T @ self.rotations[j])

    def generic_offset_m(self, name: str) -> FloatArray:
        """(3,) the same for the generic model in its default pose, its tibia counted from the axis of the knee."""
        j = JOINT_NAMES.index(name)
        p = PARENTS[j]
        origins = [self.generic_origins_m[k] + self.generic_rotations[k] @ self.origin_shift_m(JOINT_NAMES[k]) for k in (j, p)]
        return np.asarray(self.generic_rotations[p].T @ (origins[0] - origins[1]))

    def origin_shift_m(self, name: str) -> FloatArray:
        """(3,) where the person's body has its origin, in the generic body of that name."""
        return np.asarray(self.generic_joints[name].child_translation_m) if name in KNEES else np.zeros(3)

    def alignment(self, name: str) -> FloatArray:
        """(3, 3) turn from the generic body's axes to the person's, so that the bone has the same direction in both.

        BSM's forearm and hand run up to 11 degrees off their own y axis; the open body's run along it.
        """
        if name not in _ENDS:
            return np.eye(3)
        generic, mine = self._direction(name)
        cross = np.cross(generic, mine)
        x, y, z = cross
        skew = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        return np.asarray(np.eye(3) + skew + skew @ skew / (1 + float(np.dot(generic, mine))))

    def _direction(self, name: str) -> tuple[FloatArray, FloatArray]:
        """Unit vectors along a limb's bone, generic and the person's, each in its own axes."""
        j, end = JOINT_NAMES.index(name), _ENDS[name]
        if end in JOINT_NAMES:
            k = JOINT_NAMES.index(end)
            start = self.generic_origins_m[j] + self.generic_rotations[j] @ self.origin_shift_m(name)
            generic = self.generic_rotations[j].T @ (self.generic_origins_m[k] - start)
            mine = self.rotations[j].T @ (self.origins_m[k] - self.origins_m[j])
        else:
            generic = np.array(self.generic.markers[end].position_m)
            skin = self.local_skin_m(name)[self.skin_share(name) > 0.5]
            mine = skin[np.linalg.norm(skin, axis=1).argmax()]
        return generic / np.linalg.norm(generic), mine / np.linalg.norm(mine)

    def generic_place_m(self, name: str, place_m: Sequence[float]) -> FloatArray:
        """(3,) a place on a generic body, in the person's axes, before it is stretched."""
        return np.asarray(self.alignment(name) @ (np.array(place_m) - self.origin_shift_m(name)))

    def skin_share(self, name: str) -> FloatArray:
        """(V,) skinning weight of a bone."""
        return np.asarray(self.body.data.skin_weights[:, [JOINT_NAMES.index(name)]].toarray())[:, 0]

    @property
    def alignments(self) -> dict[str, FloatArray]:
        """:meth:`alignment` of all bodies."""
        return {name: self.alignment(name) for name in JOINT_NAMES}

    @property
    def origin_shifts_m(self) -> dict[str, FloatArray]:
        """:meth:`origin_shift_m` of all bodies."""
        return {name: self.origin_shift_m(name) for name in JOINT_NAMES}

    @cached_property
    def skin_m(self) -> FloatArray:
        """(V, 3) T pose skin in rest axes."""
        return np.asarray(self.rest.skin_m * self.length_factor)

    def local_skin_m(self, name: str) -> FloatArray:
        """(V, 3) T pose skin in the axes of a BSM body."""
        j = JOINT_NAMES.index(name)
        return np.asarray((self.skin_m - self.origins_m[j]) @ self.rotations[j])

    @cached_property
    def _fit_poses(self) -> tuple[FloatArray, FloatArray]:
        """Positions (P, 24, 3) and orientations (P, 24, 3, 3) of SKEL's bodies, the fitted joints evenly over their ranges.

        A Latin hypercube, mirrored for the left side.
        """
        q = np.zeros((_FIT_POSES, len(DOF_NAMES) + 3))
        for name, share in _FIT_SHARES.items():
            dofs = list(JOINT_DOFS[JOINT_NAMES.index(name)])
            low, high = LIMITS_RAD[dofs].T
            middle = np.where(name in SCAPULAE, (low + high) / 2, 0.0)
            random = np.random.default_rng(0)
            strata = np.stack([random.permutation(_FIT_POSES) for _ in dofs], axis=1)
            even = (strata + 0.5) / _FIT_POSES
            if name == "scapula_l":  # its abduction and elevation have the opposite sign
                even[:, :2] = 1 - even[:, :2]
            q[:, dofs] = middle + (low - middle + even * (high - low)) * share
        with torch.no_grad():
            pose = self.body.tree(self.betas).forward(q)
        return pose.positions_m.numpy() * self.length_factor, pose.rotations.numpy()

    def wanted(self, name: str) -> Wanted:
        """Origin (P, 3) and orientation (P, 3, 3) of a body in its parent for many places of SKEL's joint."""
        positions, rotations = self._fit_poses
        j = JOINT_NAMES.index(name)
        p = PARENTS[j]
        back = rotations[:, p].transpose(0, 2, 1)
        moved = (back @ (positions[:, j] - positions[:, p])[..., None])[..., 0]
        points = [self.offset_m(JOINT_NAMES[k]) for k, parent in enumerate(PARENTS) if parent == j]
        origin_sd, turn_sd, point_sd = _FIT_SD[name.removesuffix("_r").removesuffix("_l")]
        size = self.length_factor
        return Wanted(
            moved, back @ rotations[:, j], np.array(points).reshape(-1, 3), origin_sd * size, turn_sd, point_sd * size
        )

    def ranges(self, joint: Joint) -> FloatArray:
        """(n, 2) ranges of a joint's angles."""
        names = [self.coordinates[f.input] for _, f in joint.rotations if isinstance(f, Linear)]
        return np.array([self.generic.coordinates[name].range_si for name in names])


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
    for name in JOINT_NAMES[1:]:
        joint = geometry.generic_joints[name]
        if name in ARC_BODIES:
            place = _arc(geometry, name, joint)
        elif name in SCAPULAE:
            place = _ellipsoid(geometry, name, joint, factors)
        elif name in KNEES:
            place = _knee(geometry, name, joint, factors)
        else:
            place = _centre(geometry, name, joint)
        parent = OffsetFrame(JOINT_NAMES[PARENTS[JOINT_NAMES.index(name)]], _triple(place.at), orientation_of(place.turned))
        child = OffsetFrame(name, _triple(place.child_at), orientation_of(place.child_turned))
        frames[joint.name] = (parent, child)
        if place.scale is not None:
            scales[joint.name] = place.scale
        inputs = [f.input for _, f in joint.rotations if isinstance(f, Linear)]
        t_pose |= {geometry.coordinates[n]: value for n, value in zip(inputs, place.coordinates, strict=False)}
    return Placement(frames, scales, t_pose)


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

    A hip or shoulder keeps its axes on the parent. A joint with fewer axes cannot make up for a bone that leaves its
    parent at another angle than in the mean body, so its frame on the parent turns with the bone. The hands are straight
    in the T pose, whatever axes their bones have.
    """
    fixed, moving = np.asarray(joint.parent_rotation), np.asarray(joint.child_rotation)
    wanted = geometry.relative(name)
    at = geometry.offset_m(name)
    child_at = np.asarray(joint.child_translation_m)
    angles = np.zeros(2) if name in _HANDS else _angles(joint, fixed.T @ wanted @ moving)
    if name not in _BALLS:
        fixed = wanted @ moving @ _turn(joint, angles).T
    return _Place(at, fixed, child_at, moving, _values(joint, angles))


def _knee(geometry: Geometry, name: str, joint: Joint, factors: Mapping[str, Triple]) -> _Place:
    """The rolling knee, straight in the T pose; its shifts grow with the femur.

    The body's knee centre is the axis of flexion, so the tibia's origin lies on it; in the generic model it lies 9 mm above.
    BSM's tibia turns inwards as the knee bends and SKEL's does not: its frames are turned so that both differ least.
    """
    scale = factors[name.replace("tibia", "femur")][1]
    return _fitted(geometry, name, joint, np.zeros(3), np.full(3, scale), (0.0,), _KNEE_FREEDOM)


def _arc(geometry: Geometry, name: str, joint: Joint) -> _Place:
    """An arc of the spine: its length and frames follow SKEL's movement, its foot is where the T pose needs it."""
    fixed, moving = np.asarray(joint.parent_rotation), np.asarray(joint.child_rotation)
    now = _arc_end(fixed.T @ geometry.relative(name) @ moving)
    here = geometry.offset_m(name)
    wanted = geometry.wanted(name)
    steps = np.array([_arc_end(fixed.T @ r @ moving) for r in wanted.rotations]) - now
    steps = steps @ fixed.T
    generic = arc_length_m(joint)
    low, high = 0.5 * generic * geometry.length_factor, 2.0 * generic * geometry.length_factor
    length = float(np.clip(np.sum(steps * (wanted.origins_m - here)) / np.sum(steps * steps), low, high))
    child_at = -moving @ np.array([0.0, length / 2, 0.0])
    coordinates = _values(joint, _angles(joint, fixed.T @ geometry.relative(name) @ moving))
    return _fitted(geometry, name, joint, child_at, np.full(3, length / generic), coordinates, _ARC_FREEDOM)


def _fitted(
    geometry: Geometry,
    name: str,
    joint: Joint,
    child_at: FloatArray,
    size: FloatArray,
    coordinates: tuple[float, ...],
    freedom: Freedom,
    start: FloatArray = _UNCHANGED,
) -> _Place:
    """A joint whose frames and size are fitted to SKEL's movement, from those given."""
    rest = geometry.offset_m(name), geometry.relative(name)
    fit = JointFit(joint, child_at, size, coordinates, *rest, geometry.ranges(joint))
    metres = np.repeat([1.0, geometry.length_factor, 1.0], 3)
    freedom = replace(freedom, shift_m=freedom.shift_m * geometry.length_factor)
    got = fit.fit(geometry.wanted(name), freedom, start * metres, _FIT_STEPS)
    return _Place(got.at_m, got.fixed, got.child_at_m, got.moving, coordinates, _triple(got.size))


def _arc_end(turn: FloatArray) -> FloatArray:
    """End of an arc of length 1 whose end is oriented by ``turn`` = Rx(a) Rz(b) Ry(c)."""
    b = float(np.arcsin(np.clip(-turn[0, 1], -1, 1)))
    a = float(np.arctan2(turn[2, 1], turn[1, 1]))
    return np.array(arc_translation(a, b))


def _ellipsoid(geometry: Geometry, name: str, joint: Joint, factors: Mapping[str, Triple]) -> _Place:
    """The ellipsoid under the scapula: it lies where it leads the shoulder along SKEL's way; in size it follows the thorax."""
    fixed, moving = np.asarray(joint.parent_rotation), np.asarray(joint.child_rotation)
    coordinates = _values(joint, _angles(joint, fixed.T @ geometry.relative(name) @ moving))
    child_at = np.asarray(joint.child_translation_m) * factors[name]
    start = _ELLIPSOID_START * (_MIRROR if name.endswith("_l") else 1.0)
    thorax = np.array(factors["thorax"])
    return _fitted(geometry, name, joint, child_at, thorax, coordinates, _ELLIPSOID_FREEDOM, start)


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

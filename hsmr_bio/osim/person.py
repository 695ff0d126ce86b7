"""One person's T pose in the frames of the BSM bodies.

The frame of a body is SKEL's bone frame of that name, origin and axes: SKEL's bone frames are those of BSM, and the open body
is built with the same frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch

from ..body.body import Body
from ..kinematics.functions import Linear
from ..kinematics.rotations import shortest
from ..kinematics.tree import Joint
from ..skeleton import DOF_NAMES, JOINT_DOFS, JOINT_NAMES, LIMITS_RAD, PARENTS
from ..types import FloatArray
from .document import OsimDocument
from .joint_fit import Targets

KNEES = ("tibia_r", "tibia_l")
_ENDS = {
    f"{name}_{s}": end.replace("#", s) if "_" in end else f"{s.upper()}{end}"
    for s in "rl"
    for name, end in (
        *(("femur", "tibia_#"), ("tibia", "talus_#"), ("humerus", "ulna_#"), ("ulna", "hand_#"), ("radius", "hand_#")),
        ("hand", "HME"),
    )
}
"""Limb bone -> body or marker at its distal end."""
_FIT_POSES = 50
"""Poses of the knee in its fit, spread evenly over SKEL's range; chosen."""
_FIT_SD = (0.005, 0.03, 0.015)
"""Standard deviations in the fit of the knee: origin (m), orientation (rad), next joint (m); chosen."""
_OWN_SKIN = 0.5
"""A vertex belongs to the bone with more than this skinning weight."""


class TPose:
    """One person's T pose in the frames of the BSM bodies, with the generic model's default pose for comparison.

    Args:
        generic: the BSM model.
        body: of the person.
        betas: (10,) shape.
        length_factor: factor on all lengths.
    """

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
        """(3,) the same for the generic model in its default pose, the tibia's origin on the axis of the knee."""
        j = JOINT_NAMES.index(name)
        p = PARENTS[j]
        origins = [self.generic_origins_m[k] + self.generic_rotations[k] @ self.origin_shift_m(JOINT_NAMES[k]) for k in (j, p)]
        return np.asarray(self.generic_rotations[p].T @ (origins[0] - origins[1]))

    def origin_shift_m(self, name: str) -> FloatArray:
        """(3,) origin of the person's body in the generic body of that name."""
        return np.asarray(self.generic_joints[name].child_translation_m) if name in KNEES else np.zeros(3)

    def alignment(self, name: str) -> FloatArray:
        """(3, 3) rotation from the generic body's axes to the person's that gives the bone the same direction in both.

        BSM's forearm and hand are up to 11 degrees off their own y axis; the open body's lie along it.
        """
        if name not in _ENDS:
            return np.eye(3)
        return shortest_turn(*self._directions(name))

    def _directions(self, name: str) -> tuple[FloatArray, FloatArray]:
        """Unit vectors along a limb's bone, generic and the person's, each in its own axes."""
        j, end = JOINT_NAMES.index(name), _ENDS[name]
        if end in JOINT_NAMES:
            k = JOINT_NAMES.index(end)
            start = self.generic_origins_m[j] + self.generic_rotations[j] @ self.origin_shift_m(name)
            generic = self.generic_rotations[j].T @ (self.generic_origins_m[k] - start)
            own = self.rotations[j].T @ (self.origins_m[k] - self.origins_m[j])
        else:
            generic = np.array(self.generic.markers[end].position_m)
            skin = self.own_skin_m(name)
            own = skin[np.linalg.norm(skin, axis=1).argmax()]
        return generic / np.linalg.norm(generic), own / np.linalg.norm(own)

    def from_generic_m(self, name: str, position_m: Sequence[float]) -> FloatArray:
        """Position on a generic body in the axes and from the origin of the person's body, before scaling.

        Args:
            name: of the body.
            position_m: (3,) in the frame of the generic body.

        Returns:
            (3,).
        """
        return np.asarray(self.alignment(name) @ (np.array(position_m) - self.origin_shift_m(name)))

    @cached_property
    def skin_m(self) -> FloatArray:
        """(V, 3) T pose skin in rest axes."""
        return np.asarray(self.rest.skin_m * self.length_factor)

    def local_skin_m(self, name: str) -> FloatArray:
        """(V, 3) T pose skin in the axes of a BSM body."""
        j = JOINT_NAMES.index(name)
        return np.asarray((self.skin_m - self.origins_m[j]) @ self.rotations[j])

    def own_skin_m(self, name: str) -> FloatArray:
        """(n, 3) T pose skin that belongs to a body, in its axes."""
        weights = np.asarray(self.body.data.skin_weights[:, [JOINT_NAMES.index(name)]].toarray())[:, 0]
        return np.asarray(self.local_skin_m(name)[weights > _OWN_SKIN])

    @property
    def pelvis_height_m(self) -> float:
        """Height of the pelvis above the lowest point of the skin."""
        return float(self.origins_m[0, 1] - self.skin_m[:, 1].min())

    @cached_property
    def skel_joints(self) -> tuple[Joint, ...]:
        """SKEL's joints of this person, without :attr:`length_factor`."""
        with torch.no_grad():
            return tuple(self.body.tree(self.betas).joints)

    @cached_property
    def _fit_poses(self) -> tuple[FloatArray, FloatArray]:
        """Positions (P, 24, 3) and orientations (P, 24, 3, 3) of SKEL's bodies over the knees' range of flexion."""
        q = np.zeros((_FIT_POSES, len(DOF_NAMES) + 3))
        for name in KNEES:
            (dof,) = JOINT_DOFS[JOINT_NAMES.index(name)]
            q[:, dof] = LIMITS_RAD[dof, 1] * (np.arange(_FIT_POSES) + 0.5) / _FIT_POSES
        with torch.no_grad():
            pose = self.body.tree(self.betas).forward(q)
        return pose.positions_m.numpy() * self.length_factor, pose.rotations.numpy()

    def targets(self, name: str) -> Targets:
        """Origin (P, 3) and orientation (P, 3, 3) of the tibia in the femur over the range of SKEL's knee."""
        positions, rotations = self._fit_poses
        j = JOINT_NAMES.index(name)
        p = PARENTS[j]
        back = rotations[:, p].transpose(0, 2, 1)
        moved = (back @ (positions[:, j] - positions[:, p])[..., None])[..., 0]
        points = [self.offset_m(JOINT_NAMES[k]) for k, parent in enumerate(PARENTS) if parent == j]
        origin_sd, turn_sd, point_sd = _FIT_SD
        size = self.length_factor
        points_m = np.array(points).reshape(-1, 3)
        return Targets(moved, back @ rotations[:, j], points_m, origin_sd * size, turn_sd, point_sd * size)

    def ranges(self, joint: Joint) -> FloatArray:
        """(n, 2) ranges of a joint's angles."""
        names = [self.coordinates[f.input] for _, f in joint.rotations if isinstance(f, Linear)]
        return np.array([self.generic.coordinates[name].range_si for name in names])


def shortest_turn(start: FloatArray, end: FloatArray) -> FloatArray:
    """Rotation by the smallest angle from one unit vector to another.

    Args:
        start: (3,).
        end: (3,).

    Returns:
        (3, 3).
    """
    return np.asarray(shortest(torch.as_tensor(start), torch.as_tensor(end)).numpy())

"""Skeleton animation: bones in motion, as BVH, glTF and USD hold them.

In the rest pose every bone's frame is parallel to the world axes. A frame holds each bone's rotation from the rest pose,
relative to its parent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hsmr_bio.arrays import freeze, increasing_time
from hsmr_bio.errors import InputError, ModelError
from hsmr_bio.skeleton import JOINT_NAMES
from hsmr_bio.types import BoolArray, FloatArray, OsimMotion, SkelMotion

if TYPE_CHECKING:
    from hsmr_bio.body import Body
    from hsmr_bio.osim.document import OsimDocument

CAMERA_TO_Y_UP: FloatArray = np.diag([1.0, -1.0, -1.0])
"""Half a turn about x: camera axes (y down, z forward) -> y up."""
_CONSTANT_M = 1e-5
"""A joint that moves less than 0.01 mm in its parent counts as fixed."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Animation:
    """A tree of J bones over T frames, y up, metres."""

    time_s: FloatArray
    """(T,)."""
    names: tuple[str, ...]
    """J names; a parent stands before its children."""
    parents: tuple[int, ...]
    """J indices, -1 for the root; there is one root, the first bone."""
    rest_m: FloatArray
    """(J, 3) joint positions in the rest pose, world axes."""
    rotations: FloatArray
    """(T, J, 3, 3) rotation from rest relative to the parent's; identity is the rest pose."""
    translations_m: FloatArray
    """(T, J, 3) joint position in the parent's rotated frame (of the root: in the world)."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "time_s", increasing_time(self.time_s))
        frames, joints = len(self.time_s), len(self.names)
        shapes = {"rest_m": (joints, 3), "rotations": (frames, joints, 3, 3), "translations_m": (frames, joints, 3)}
        freeze(self, shapes)
        if len(self.parents) != joints or self.parents[:1] != (-1,):
            raise InputError("an animation has one root, and it is the first bone")
        if any(not 0 <= parent < joint for joint, parent in enumerate(self.parents[1:], start=1)):
            raise InputError("parents must name one earlier bone for each bone but the root")

    @property
    def offsets_m(self) -> FloatArray:
        """(J, 3) rest position relative to the parent's."""
        offsets = self.rest_m.copy()
        offsets[1:] -= self.rest_m[list(self.parents[1:])]
        return offsets

    @property
    def moving(self) -> BoolArray:
        """(J,) whether the joint moves in its parent, so that its translation must be stored for each frame."""
        return np.asarray(np.abs(self.translations_m - self.offsets_m).max(axis=(0, 2)) > _CONSTANT_M)

    def world(self) -> tuple[FloatArray, FloatArray]:
        """Joint positions (T, J, 3) m and rotations from rest (T, J, 3, 3) in the world."""
        positions, turns = self.translations_m.copy(), self.rotations.copy()
        for joint, parent in enumerate(self.parents[1:], start=1):
            positions[:, joint] = positions[:, parent] + np.einsum("tij,tj->ti", turns[:, parent], positions[:, joint])
            turns[:, joint] = turns[:, parent] @ turns[:, joint]
        return positions, turns


def from_world(
    time_s: FloatArray,
    names: tuple[str, ...],
    parents: tuple[int, ...],
    *,
    rest_m: FloatArray,
    rest_rotations: FloatArray,
    positions_m: FloatArray,
    rotations: FloatArray,
) -> Animation:
    """Build an animation from bone frames in the world.

    Args:
        time_s: (T,).
        names: J bones.
        parents: J indices, parents first, -1 for the root.
        rest_m: (J, 3) joints in the rest pose.
        rest_rotations: (J, 3, 3) bone frames in the rest pose.
        positions_m: (T, J, 3) joints.
        rotations: (T, J, 3, 3) bone frames.

    Returns:
        The animation.
    """
    turns = rotations @ rest_rotations.swapaxes(-1, -2)
    local_turns, local_positions = turns.copy(), positions_m.copy()
    for joint, parent in enumerate(parents):
        if parent >= 0:
            back = turns[:, parent].swapaxes(-1, -2)
            local_turns[:, joint] = back @ turns[:, joint]
            local_positions[:, joint] = np.einsum("tij,tj->ti", back, positions_m[:, joint] - positions_m[:, parent])
    return Animation(
        time_s=time_s, names=names, parents=parents, rest_m=rest_m, rotations=local_turns, translations_m=local_positions
    )


def from_skel(motion: SkelMotion, body: Body) -> Animation:
    """Convert a SKEL motion; the rest pose is SKEL's T pose, facing +z.

    Args:
        motion: any frame; camera axes (y down) are rotated by half a turn about x so that y points up.
        body: that the motion names.

    Returns:
        The 24 bones.

    Raises:
        InputError: the motion belongs to another body.
    """
    from hsmr_bio.body.placing import require_body

    require_body(motion, body)
    rest, pose = body.rest(motion.betas), body.forward(motion.poses_rad, motion.betas, motion.trans_m)
    positions, rotations = pose.joints_m.numpy(), pose.joints_ori.numpy()
    if motion.frame == "camera":
        positions, rotations = positions @ CAMERA_TO_Y_UP, CAMERA_TO_Y_UP @ rotations
    return from_world(
        motion.time_s,
        JOINT_NAMES,
        body.parents,
        rest_m=rest.joints_m,
        rest_rotations=rest.bone_rotations,
        positions_m=positions,
        rotations=rotations,
    )


def from_osim(motion: OsimMotion, document: OsimDocument) -> Animation:
    """Convert coordinates of an OpenSim model; the rest pose is the model's default pose.

    Args:
        motion: any subset of the model's coordinates; the others keep their default, or follow their coupling.
        document: the model.

    Returns:
        The bodies of the model as bones.

    Raises:
        ModelError: several bodies are joined to ground, or a joint cannot be read.
        UnknownCoordinateError: the motion has a coordinate that the model lacks.
    """
    from hsmr_bio.osim.placed import place_model

    tree = document.tree()
    if tree.parents.count(-1) != 1 or tree.parents[0] != -1:
        loose = [name for name, parent in zip(tree.bodies, tree.parents, strict=True) if parent == -1]
        raise ModelError(f"an animation has one root bone, the model has {len(loose)}: {', '.join(loose)}")
    placed, rest = place_model(motion, document), tree.forward(document.couple(document.default_si))
    return from_world(
        motion.time_s,
        tree.bodies,
        tree.parents,
        rest_m=rest.positions_m.numpy(),
        rest_rotations=rest.rotations.numpy(),
        positions_m=placed.positions_m,
        rotations=placed.rotations,
    )

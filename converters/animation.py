"""Bones in motion, as animation programs see them: what BVH and glTF share.

In the rest pose every bone's frame is parallel to the world axes, so all rotations are zero there. A frame holds each
bone's turn away from rest, relative to its parent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hsmr_bio.arrays import increasing_time, readonly
from hsmr_bio.errors import InputError, ModelError
from hsmr_bio.types import FloatArray, OsimMotion, SkelMotion

_CAMERA_TO_Y_UP = np.diag([1.0, -1.0, -1.0])
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
    """(T, J, 3, 3) turn from rest relative to the parent's turn; identity is the rest pose."""
    translations_m: FloatArray
    """(T, J, 3) joint position in the parent's turned frame (of the root: in the world)."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "time_s", increasing_time(self.time_s))
        frames, joints = len(self.time_s), len(self.names)
        shapes: dict[str, tuple[int, ...]] = {
            "rest_m": (joints, 3),
            "rotations": (frames, joints, 3, 3),
            "translations_m": (frames, joints, 3),
        }
        for name, shape in shapes.items():
            object.__setattr__(self, name, readonly(name, getattr(self, name), shape))
        tree = [-1 if index == 0 else parent for index, parent in enumerate(self.parents)]
        if len(self.parents) != joints or joints == 0 or any(not -1 <= p < i for i, p in enumerate(self.parents)):
            raise InputError("parents must name one earlier bone for each bone")
        if tuple(tree) != self.parents or -1 in self.parents[1:]:
            raise InputError("an animation has one root, and it is the first bone")

    @property
    def offsets_m(self) -> FloatArray:
        """(J, 3) rest position relative to the parent's."""
        offsets = self.rest_m.copy()
        for joint, parent in enumerate(self.parents):
            if parent >= 0:
                offsets[joint] -= self.rest_m[parent]
        return offsets

    @property
    def moving(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """(J,) whether the joint moves in its parent at all, so that its translation must be stored for each frame."""
        return np.asarray(np.abs(self.translations_m - self.offsets_m).max(axis=(0, 2)) > _CONSTANT_M)

    def world(self) -> tuple[FloatArray, FloatArray]:
        """Joint positions (T, J, 3) m and turns from rest (T, J, 3, 3) in the world."""
        positions, turns = self.translations_m.copy(), self.rotations.copy()
        for joint, parent in enumerate(self.parents):
            if parent >= 0:
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


def from_skel(motion: SkelMotion, body: Any) -> Animation:
    """Turn a SKEL motion into bones in motion; the rest pose is SKEL's T pose, facing +z.

    Args:
        motion: any frame; camera axes (y down) are turned by half a turn about x so that y points up.
        body: the :class:`~hsmr_bio.body.body.Body` that the motion names.

    Raises:
        InputError: the motion belongs to another body.
    """
    if motion.body != body.name:
        raise InputError(
            f"the motion belongs to body {motion.body!r}, but {body.name!r} was loaded: betas are not exchangeable"
        )
    rest = body.rest(motion.betas)
    pose = body.forward(motion.poses_rad.copy(), motion.betas.copy(), motion.trans_m.copy())
    positions, rotations = as_numpy(pose.joints_m), as_numpy(pose.joints_ori)
    if motion.frame == "camera":
        positions, rotations = positions @ _CAMERA_TO_Y_UP, _CAMERA_TO_Y_UP @ rotations
    from hsmr_bio.skeleton import JOINT_NAMES, PARENTS

    return from_world(
        motion.time_s,
        JOINT_NAMES,
        PARENTS,
        rest_m=as_numpy(rest.joints_m).reshape(24, 3),
        rest_rotations=as_numpy(rest.bone_rotations).reshape(24, 3, 3),
        positions_m=positions,
        rotations=rotations,
    )


def from_osim(motion: OsimMotion, document: Any) -> Animation:
    """Turn an OpenSim motion into bones in motion; the rest pose is the model's default pose.

    Args:
        motion: any subset of the model's coordinates; the others keep their default.
        document: the :class:`~hsmr_bio.osim.document.OsimDocument` of the model.

    Raises:
        ModelError: the model has several bodies that hang on ground, or a joint that cannot be read.
        UnknownCoordinateError: the motion has a coordinate that the model lacks.
    """
    import torch

    tree = document.tree()
    names = tuple(joint.body for joint in tree.joints)
    parents = tuple(int(joint.parent) for joint in tree.joints)
    if parents.count(-1) != 1 or parents[0] != -1:
        loose = [name for name, parent in zip(names, parents, strict=True) if parent == -1]
        raise ModelError(f"an animation has one root bone, the model has {len(loose)}: {', '.join(loose)}")
    values = full_coordinates(motion, document, tree.coordinates)
    default = full_coordinates(None, document, tree.coordinates)
    with torch.no_grad():
        pose, rest = tree.forward(torch.as_tensor(values)), tree.forward(torch.as_tensor(default))
    return from_world(
        motion.time_s,
        names,
        parents,
        rest_m=as_numpy(rest.positions_m)[0],
        rest_rotations=as_numpy(rest.rotations)[0],
        positions_m=as_numpy(pose.positions_m),
        rotations=as_numpy(pose.rotations),
    )


def full_coordinates(motion: OsimMotion | None, document: Any, names: tuple[str, ...]) -> FloatArray:
    """Values of every coordinate of a tree: the motion's, else the model's default.

    Args:
        motion: a motion, or None for the default pose (one row).
        document: the model.
        names: N coordinates of the tree.

    Returns:
        (T, N) rad or m.

    Raises:
        UnknownCoordinateError: the motion has a coordinate that the model lacks.
    """
    from hsmr_bio.errors import UnknownCoordinateError

    default = np.array([document.coordinate(name).default_si for name in names], dtype=np.float64)
    values = np.repeat(default[None], 1 if motion is None else len(motion.time_s), axis=0)
    for name in motion.coordinates if motion is not None else ():
        if name in names:
            values[:, names.index(name)] = motion.column(name) if motion is not None else 0.0
        elif name not in document.coordinates:
            raise UnknownCoordinateError(name, tuple(document.coordinates), "model")
    return values


def as_numpy(value: Any) -> FloatArray:
    """Copy a tensor or array to a float64 array."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    return np.asarray(value, dtype=np.float64)

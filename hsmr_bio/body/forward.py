"""Formulas of SKEL's forward pass: shape to rest pose, rest pose and angles to joints, skin and bones.

All functions are batched in torch and differentiable, also at zero angles. Shapes: B frames; Bs is B, or 1 if all frames share
one shape. Axes: see :mod:`hsmr_bio.body.data_model`.

Source:
    Keller et al. 2023, "From Skin to Skeleton" (SKEL 1.1.1), as facts and formulas; skinning and pose blend shapes are SMPL's
    (Loper et al. 2015).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import numpy as np
import torch
from torch import Tensor

from hsmr_bio.kinematics.functions import ArcSide, ArcUp, Function, ScapulaSide, ScapulaSine
from hsmr_bio.kinematics.rotations import shortest, skew
from hsmr_bio.skeleton import DOF_NAMES, JOINT_AXES, JOINT_DOFS
from hsmr_bio.types import FloatArray

from .data_model import JOINT_COUNT, POSE_FEATURES, BodyData

FIXED_JOINTS: tuple[int, ...] = (0, 5, 10, 13, 18, 23)
"""Pelvis, toes, head, hands: their rest orientation does not depend on the shape."""

LUMBAR, THORAX, HEAD = 11, 12, 13
SCAPULA_R, SCAPULA_L = 14, 19
ULNA_RADIUS_HAND: tuple[tuple[int, int, int], ...] = ((16, 17, 18), (21, 22, 23))
SPINE: tuple[tuple[int, int, int], ...] = ((LUMBAR, 17, 18), (THORAX, 20, 21), (HEAD, 23, 24))
"""Joint, its bending parameter, its extension parameter."""

SMPL_COLUMN: tuple[int, ...] = (0, 2, 5, 8, 8, 11, 1, 4, 7, 7, 10, 3, 6, 15, 14, 17, 19, 0, 21, 13, 16, 18, 0, 20)
"""SMPL joint whose pose blend shapes each SKEL joint drives (0: none). Of talus and calcaneus, the calcaneus counts."""

SCAPULA_REST_RAD = pi / 4
"""Elevation at which SKEL's scapulae rest on their ellipsoid, rad."""


@dataclass(frozen=True, eq=False)
class Constants:
    """Arrays of one body for the formulas, as tensors of one dtype on one device."""

    joints: Tensor
    """(24, 3) joints of the mean body."""
    joint_dirs: Tensor
    """(24, 3, 10)."""
    offsets: Tensor
    """(24, 24): joint offsets o = offsets @ J."""
    targets: Tensor
    """(24, 24): bone directions d = targets @ J; zero rows for the fixed joints."""
    sources: Tensor
    """(24, 3) unit bone directions L_j s_j of the mean body; zero for the fixed joints."""
    per_joint_rot: Tensor
    """(24, 3, 3) L."""
    apose_rot: Tensor
    """(24, 3, 3) Ra."""
    apose_offset: Tensor
    """(24, 3) a."""
    axis_cross: Tensor
    """(24, 3, 3, 3) cross-product matrix of the unit axis of each of a joint's three angles; zero for a missing angle."""
    axis_length: Tensor
    """(24, 3) factor on the angle (1 except for SKEL's rounded elbow and forearm axes)."""
    dof_index: Tensor
    """(72,) pose parameter of each angle; 46, a zero, for a missing angle."""
    skin: Tensor
    """(V, 3)."""
    shapedirs: Tensor
    """(V, 3, 10)."""
    posedirs: Tensor | None
    """(3V, 207)."""
    bone_template: Tensor
    """(K, 3)."""


def constants(data: BodyData, dtype: torch.dtype, device: torch.device) -> Constants:
    """Prepare the constants of a body.

    Args:
        data: the body.
        dtype: of the tensors.
        device: of the tensors.

    Returns:
        The constants.
    """

    def tensor(value: object) -> Tensor:
        return torch.tensor(np.asarray(value), dtype=dtype, device=device)

    apose_rot, apose_offset = data.apose_rel_transfo[:, :3, :3], data.apose_rel_transfo[:, :3, 3]
    offsets, targets, sources = _directions(data, apose_offset)
    joints, joint_dirs = rest_joints(data)
    axes, index = np.zeros((JOINT_COUNT, 3, 3)), np.full((JOINT_COUNT, 3), len(DOF_NAMES))
    for joint, (dofs, joint_axes) in enumerate(zip(JOINT_DOFS, JOINT_AXES, strict=True)):
        axes[joint, : len(dofs)], index[joint, : len(dofs)] = joint_axes, dofs
    length = np.linalg.norm(axes, axis=-1)
    unit = axes / np.where(length > 0, length, 1)[..., None]
    return Constants(
        joints=tensor(joints),
        joint_dirs=tensor(joint_dirs),
        offsets=tensor(offsets),
        targets=tensor(targets),
        sources=tensor(sources),
        per_joint_rot=tensor(data.per_joint_rot),
        apose_rot=tensor(apose_rot),
        apose_offset=tensor(apose_offset),
        axis_cross=skew(tensor(unit)),
        axis_length=tensor(length),
        dof_index=torch.tensor(index.ravel(), device=device),
        skin=tensor(data.skin_template_m),
        shapedirs=tensor(data.shapedirs),
        posedirs=None if data.posedirs is None else tensor(data.posedirs).reshape(-1, POSE_FEATURES),
        bone_template=tensor(data.bone_template_m),
    )


def _directions(data: BodyData, apose_offset: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """``offsets``, ``targets`` and ``sources`` of the constants."""
    offsets = np.eye(JOINT_COUNT)
    for joint, parent in enumerate(data.parents):
        if parent >= 0:
            offsets[joint, parent] -= 1
    children = list(first_children(data.parents))
    sources, targets = apose_offset[children], offsets[children]
    targets[THORAX] = offsets[THORAX]
    for ulna, radius, hand in ULNA_RADIUS_HAND:
        sources[ulna] = apose_offset[radius] + apose_offset[hand]
        targets[ulna] = offsets[radius] + offsets[hand]
    sources = np.einsum("jab,jb->ja", data.per_joint_rot, sources)
    moving = np.array([j not in FIXED_JOINTS for j in range(JOINT_COUNT)])
    sources[~moving], targets[~moving] = 0, 0
    sources[moving] /= np.linalg.norm(sources[moving], axis=1, keepdims=True)
    return offsets, targets, sources


def rest_joints(data: BodyData) -> tuple[FloatArray, FloatArray]:
    """Joints (24, 3) of the mean body and their derivative (24, 3, 10) with respect to betas."""
    if data.rest_joints_m is not None and data.rest_joint_shapedirs is not None:
        return data.rest_joints_m, data.rest_joint_shapedirs
    directions = data.joint_regressor @ data.shapedirs.reshape(len(data.shapedirs), -1)
    return data.joint_regressor @ data.skin_template_m, directions.reshape(JOINT_COUNT, 3, -1)


def first_children(parents: tuple[int, ...]) -> tuple[int, ...]:
    """First child of each joint, 0 for a leaf."""
    return tuple(next((child for child, parent in enumerate(parents) if parent == joint), 0) for joint in range(len(parents)))


@dataclass(frozen=True, eq=False)
class Rest:
    """The shaped body in its T pose."""

    joints: Tensor
    """(Bs, 24, 3) metres."""
    offsets: Tensor
    """(Bs, 24, 3) from the parent's joint; the root's is its position."""
    rotations: Tensor
    """(Bs, 24, 3, 3) Rk: bone axes -> rest axes."""


def rest_pose(c: Constants, betas: Tensor, joint_offset: Tensor | None = None) -> Rest:
    """Joints and bone orientations of the shaped body.

    Each bone's mean orientation L is rotated by the shortest rotation from its default direction to the direction between the
    shaped joints.

    Args:
        c: the body.
        betas: (Bs, 10).
        joint_offset: (Bs, 24, 3) metres added to the joints, or None.

    Returns:
        The T pose, rest axes.
    """
    joints = c.joints + (c.joint_dirs @ betas[:, None, :, None]).squeeze(-1)
    if joint_offset is not None:
        joints = joints + joint_offset
    direction = c.targets @ joints
    fixed = c.sources.abs().sum(-1, keepdim=True) == 0
    direction = torch.where(fixed, torch.ones_like(direction), direction)
    direction = direction / direction.norm(dim=-1, keepdim=True)
    return Rest(joints=joints, offsets=c.offsets @ joints, rotations=shortest(c.sources, direction) @ c.per_joint_rot)


def rest_derivatives(c: Constants, rest: Rest) -> Tensor:
    """Rotation vectors e of Rk per unit of beta: dRk = [e] Rk, e in rest axes.

    When w moves by dw, the shortest rotation from u to w changes by w x dw perpendicular to w, and by
    ((u x w) . dw) / (1 + u . w) about -w, which keeps it shortest.

    Args:
        c: the body.
        rest: its T pose.

    Returns:
        (Bs, 24, 3, 10) rad.
    """
    direction = c.targets @ rest.joints
    fixed = c.sources.abs().sum(-1, keepdim=True) == 0
    length = torch.where(fixed, torch.ones_like(direction[..., :1]), direction.norm(dim=-1, keepdim=True))
    w = direction / length
    change = torch.einsum("ij,jck->ick", c.targets, c.joint_dirs) / length[..., None]
    change = change - w[..., None] * (w[..., None] * change).sum(-2, keepdim=True)
    across = torch.linalg.cross(w[..., None].expand_as(change), change, dim=-2)
    x = torch.linalg.cross(c.sources.expand_as(w), w)
    cosine = (c.sources * w).sum(-1)[..., None]
    along = (x[..., None] * change).sum(-2) / (1 + cosine)
    turn: Tensor = across - w[..., None] * along[..., None, :]
    return turn


def local_rotations(c: Constants, poses: Tensor) -> Tensor:
    """Rotation of each joint in its own axes; the first parameter acts first.

    Args:
        c: the body.
        poses: (B, 46) rad.

    Returns:
        Rp (B, 24, 3, 3).
    """
    padded = torch.cat([poses, torch.zeros_like(poses[:, :1])], dim=1)
    angle = padded[:, c.dof_index].reshape(-1, JOINT_COUNT, 3) * c.axis_length
    half = torch.sin(0.5 * angle)[..., None, None]
    cross = c.axis_cross
    eye = torch.eye(3, dtype=poses.dtype, device=poses.device)
    single = eye + torch.sin(angle)[..., None, None] * cross + (2 * half * half) * (cross @ cross)
    first, second, third = single.unbind(2)
    return third @ second @ first


def translations(rest: Rest, poses: Tensor) -> Tensor:
    """Joint translations in rest axes of the parent: constant except for the spine and the scapulae.

    Args:
        rest: the T pose.
        poses: (B, 46) rad.

    Returns:
        t (B, 24, 3) metres.
    """
    functions = {joint: moving_axes(joint, rest) for joint in (*(joint for joint, _, _ in SPINE), SCAPULA_R, SCAPULA_L)}
    moved = [torch.stack([f.value_and_partials(poses)[0] for f in axes], dim=-1) for axes in functions.values()]
    total = rest.offsets.expand(len(poses), -1, -1)
    return total.index_add(1, torch.tensor(list(functions), device=total.device), torch.stack(moved, dim=1))


def moving_axes(joint: int, rest: Rest) -> tuple[Function, ...]:
    """Functions of the angles that give a joint's translation along x, y, z of the rest axes, added to its offset.

    Args:
        joint: number of the joint.
        rest: the T pose.

    Returns:
        Three functions for the spine and the scapulae, else none.

    Source:
        Keller et al. 2023 (SKEL 1.1.1): arcs of constant curvature, and an ellipsoid.
    """
    for spine, bending, extension in SPINE:
        if joint == spine:
            length = _length(rest.offsets[:, joint, 1].abs())
            return ArcSide(bending, length), ArcUp((bending, extension), length), ArcSide(extension, length)
    if joint not in (SCAPULA_R, SCAPULA_L):
        return ()
    sign = 1.0 if joint == SCAPULA_R else -1.0
    width = sign * (rest.joints[:, SCAPULA_L] - rest.joints[:, SCAPULA_R]).norm(dim=-1) / 4
    height = sign * (rest.joints[:, THORAX] - rest.joints[:, LUMBAR]).norm(dim=-1) / 2
    a, phase = JOINT_DOFS[joint][0], -sign * SCAPULA_REST_RAD
    return (
        ScapulaSide((a, a + 1), _length(-width), phase),
        ScapulaSine(a + 1, _length(-height), phase),
        ScapulaSine(a, _length(width)),
    )


def _length(value: Tensor) -> float | Tensor:
    """One length as a number; per-frame lengths, and those that carry a gradient, as a tensor."""
    return float(value[0]) if len(value) == 1 and not value.requires_grad else value


def world_rotations(c: Constants, rest: Rest, local: Tensor) -> Tensor:
    """Rotation of each joint in rest axes, Rk Ra^T Rp Ra Rk^T.

    Args:
        c: the body.
        rest: its T pose.
        local: Rp (B, 24, 3, 3).

    Returns:
        R (B, 24, 3, 3).
    """
    frame = rest.rotations @ c.apose_rot.transpose(-1, -2)
    back = c.apose_rot @ rest.rotations.transpose(-1, -2)
    return frame @ local @ back


def chain(parents: tuple[int, ...], rotations: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Compose joints from the root outwards, one generation at a time.

    Args:
        parents: (J).
        rotations: (B, J, 3, 3) of each joint in its parent's axes.
        offsets: (B, J, 3) of each joint from its parent.

    Returns:
        Rotations (B, J, 3, 3) and positions (B, J, 3) in the axes of the root's parent.
    """
    order: list[int] = []
    all_rotations, all_positions = [], []
    generation = [j for j, p in enumerate(parents) if p < 0]
    rotation, position = rotations[:, generation], offsets[:, generation]
    while True:
        order += generation
        all_rotations.append(rotation)
        all_positions.append(position)
        children = [j for j, p in enumerate(parents) if p in generation]
        if not children:
            break
        row = [generation.index(parents[j]) for j in children]
        above = rotation[:, row]
        position = position[:, row] + (above @ offsets[:, children, :, None]).squeeze(-1)
        rotation = above @ rotations[:, children]
        generation = children
    back = torch.tensor(np.argsort(order), device=rotations.device)
    return torch.cat(all_rotations, dim=1)[:, back], torch.cat(all_positions, dim=1)[:, back]


def pose_features(rotations: Tensor) -> Tensor:
    """(B, 207) input of SMPL's pose blend shapes from the joints' rotations in rest axes (B, 24, 3, 3)."""
    driver = {column: joint for joint, column in enumerate(SMPL_COLUMN) if column}
    eye = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
    difference = rotations - eye
    none = torch.zeros_like(difference[:, 0])
    return torch.stack([difference[:, driver[k]] if k in driver else none for k in range(1, 24)], dim=1).reshape(
        -1, POSE_FEATURES
    )

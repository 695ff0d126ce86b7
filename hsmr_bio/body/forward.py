"""SKEL's forward pass as formulas: shape to rest pose, rest pose and angles to joints, skin and bones.

Everything is batched torch and differentiable, at zero angles too. Shapes: B frames; Bs is B, or 1 if all frames share one
shape. Axes: see :mod:`hsmr_bio.body.data_model`.

Source:
    Keller et al. 2023, "From Skin to Skeleton" (SKEL 1.1.1), as facts and formulas; skinning and pose blend shapes are SMPL's
    (Loper et al. 2015).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi, sin

import numpy as np
import torch
from torch import Tensor

from hsmr_bio.kinematics.rotations import shortest, skew
from hsmr_bio.skeleton import JOINT_AXES, JOINT_DOFS

from .data_model import JOINT_COUNT, BodyData

FIXED_JOINTS: tuple[int, ...] = (0, 5, 10, 13, 18, 23)
"""Pelvis, toes, head, hands: their rest orientation does not follow the shape."""

LUMBAR, THORAX, HEAD = 11, 12, 13
SCAPULA_R, SCAPULA_L = 14, 19
ULNA_RADIUS_HAND: tuple[tuple[int, int, int], ...] = ((16, 17, 18), (21, 22, 23))
SPINE: tuple[tuple[int, int, int], ...] = ((LUMBAR, 17, 18), (THORAX, 20, 21), (HEAD, 23, 24))
"""Joint, its bending parameter, its extension parameter."""

SMPL_COLUMN: tuple[int, ...] = (0, 2, 5, 8, 8, 11, 1, 4, 7, 7, 10, 3, 6, 15, 14, 17, 19, 0, 21, 13, 16, 18, 0, 20)
"""SMPL joint whose pose blend shapes each SKEL joint drives (0: none). Of talus and calcaneus, the calcaneus counts."""

_QUARTER = pi / 4


@dataclass(frozen=True, eq=False)
class Constants:
    """What the formulas need of one body, as tensors of one dtype on one device."""

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
    """(24, 3, 3, 3) cross-product matrix of the unit axis of each of a joint's three angles; zero where it has fewer."""
    axis_length: Tensor
    """(24, 3) factor on the angle (1 but for SKEL's rounded elbow and forearm axes)."""
    dof_index: Tensor
    """(72,) pose parameter of each angle, 46 (a zero) where there is none."""
    skin: Tensor
    """(V, 3)."""
    shapedirs: Tensor
    """(V, 3, 10)."""
    posedirs: Tensor | None
    """(3V, 207)."""
    bone_template: Tensor
    """(K, 3)."""


def constants(data: BodyData, dtype: torch.dtype, device: torch.device) -> Constants:
    """Prepare the constants of a body."""

    def tensor(value: object) -> Tensor:
        return torch.tensor(np.asarray(value), dtype=dtype, device=device)

    offsets = np.eye(JOINT_COUNT)
    for joint, parent in enumerate(data.parents):
        if parent >= 0:
            offsets[joint, parent] -= 1
    children = first_children(data.parents)
    apose_rot, apose_offset = data.apose_rel_transfo[:, :3, :3], data.apose_rel_transfo[:, :3, 3]
    source, targets = apose_offset[list(children)].copy(), offsets[list(children)].copy()
    targets[THORAX] = offsets[THORAX]
    for ulna, radius, hand in ULNA_RADIUS_HAND:
        source[ulna] = apose_offset[radius] + apose_offset[hand]
        targets[ulna] = offsets[radius] + offsets[hand]
    source = np.einsum("jab,jb->ja", data.per_joint_rot, source)
    moving = np.array([j not in FIXED_JOINTS for j in range(JOINT_COUNT)])
    source[~moving], targets[~moving] = 0, 0
    source[moving] /= np.linalg.norm(source[moving], axis=1, keepdims=True)
    joints, joint_dirs = rest_joints(data)
    axes, index = np.zeros((JOINT_COUNT, 3, 3)), np.full((JOINT_COUNT, 3), 46)
    for joint, (dofs, joint_axes) in enumerate(zip(JOINT_DOFS, JOINT_AXES, strict=True)):
        axes[joint, : len(dofs)], index[joint, : len(dofs)] = joint_axes, dofs
    length = np.linalg.norm(axes, axis=-1)
    unit = axes / np.where(length > 0, length, 1)[..., None]
    return Constants(
        joints=tensor(joints),
        joint_dirs=tensor(joint_dirs),
        offsets=tensor(offsets),
        targets=tensor(targets),
        sources=tensor(source),
        per_joint_rot=tensor(data.per_joint_rot),
        apose_rot=tensor(apose_rot),
        apose_offset=tensor(apose_offset),
        axis_cross=skew(tensor(unit)),
        axis_length=tensor(length),
        dof_index=torch.tensor(index.ravel(), device=device),
        skin=tensor(data.skin_template_m),
        shapedirs=tensor(data.shapedirs),
        posedirs=None if data.posedirs is None else tensor(data.posedirs).reshape(-1, 207),
        bone_template=tensor(data.bone_template_m),
    )


def rest_joints(data: BodyData) -> tuple[np.ndarray, np.ndarray]:
    """Joints (24, 3) of the mean body and their derivative (24, 3, 10) by betas."""
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
    """Joints and bone orientations of the shaped body: the mesh is not touched.

    Each bone's mean orientation L is turned by the shortest rotation from its default direction to the direction that the
    shaped joints give.

    Args:
        c: the body.
        betas: (Bs, 10).
        joint_offset: (Bs, 24, 3) metres added to the joints, or None.
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
    """Rotation vectors (Bs, 24, 3, 10) of Rk per unit of beta: dRk = [e] Rk, e in rest axes.

    The shortest rotation from u to w turns, when w moves by dw, by w x dw about axes across w, and by
    ((u x w) . dw) / (1 + u . w) about -w (the turn that keeps it shortest).
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
    """Rp (B, 24, 3, 3): each joint's rotation in its own axes; the first parameter acts first."""
    padded = torch.cat([poses, torch.zeros_like(poses[:, :1])], dim=1)
    angle = padded[:, c.dof_index].reshape(-1, JOINT_COUNT, 3) * c.axis_length
    half = torch.sin(0.5 * angle)[..., None, None]
    cross = c.axis_cross
    eye = torch.eye(3, dtype=poses.dtype, device=poses.device)
    single = eye + torch.sin(angle)[..., None, None] * cross + (2 * half * half) * (cross @ cross)
    first, second, third = single.unbind(2)
    return third @ second @ first


def translations(rest: Rest, poses: Tensor) -> Tensor:
    """Joint translations t (B, 24, 3) in rest axes of the parent: constant, but for the spine and the scapulae."""
    o = rest.offsets
    moving, index = [], []
    for joint, bending, extension in SPINE:
        length = o[:, joint, 1].abs()
        b, e = poses[:, bending], poses[:, extension]
        up = length * (sinc(b) + sinc(e) - 2)
        moving.append(torch.stack([-_arc(length, b), up, -_arc(length, e)], dim=-1))
        index.append(joint)
    width = (rest.joints[:, SCAPULA_L] - rest.joints[:, SCAPULA_R]).norm(dim=-1) / 4
    height = (rest.joints[:, THORAX] - rest.joints[:, LUMBAR]).norm(dim=-1) / 2
    for joint, dof, sign in ((SCAPULA_R, 26, 1.0), (SCAPULA_L, 36, -1.0)):
        a, e = poses[:, dof], poses[:, dof + 1] - sign * _QUARTER
        side = -sign * width * (torch.cos(e) * torch.cos(a) - cos(_QUARTER))
        up = -sign * height * (torch.sin(e) + sign * sin(_QUARTER))
        moving.append(torch.stack([side, up, sign * width * torch.sin(a)], dim=-1))
        index.append(joint)
    extra = torch.stack(moving, dim=1)
    total = o.expand(len(poses), -1, -1)
    return total.index_add(1, torch.tensor(index, device=o.device), extra)


def sinc(angle: Tensor) -> Tensor:
    """sin(a)/a with value and derivatives right at zero, in float32 too."""
    square = angle * angle
    small = square < 1e-2
    safe = torch.where(small, torch.ones_like(angle), angle)
    series = 1 - square / 6 * (1 - square / 20 * (1 - square / 42 * (1 - square / 72 * (1 - square / 110))))
    return torch.where(small, series, torch.sin(safe) / safe)


def _arc(length: Tensor, angle: Tensor) -> Tensor:
    """Arc height length (1 - cos a) / a, in the half-angle form that keeps its digits near zero."""
    half = 0.5 * angle
    return length * half * sinc(half) ** 2


def world_rotations(c: Constants, rest: Rest, local: Tensor) -> Tensor:
    """R (B, 24, 3, 3): each joint's rotation in rest axes, Rk Ra^T Rp Ra Rk^T."""
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
    return torch.stack([difference[:, driver[k]] if k in driver else none for k in range(1, 24)], dim=1).reshape(-1, 207)

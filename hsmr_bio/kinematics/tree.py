"""A tree of joints, evaluated for many frames at once, with analytic Jacobians.

A joint places its body by ``X_parent_body = P [R1 R2 R3 | sum_i f_i t_i] C^-1``: P and C are constant frames on the
parent and on the body, the rotations are body-fixed (the first one next to the parent), and every angle and every
translation is a function of some coordinates. This is OpenSim's CustomJoint; SKEL and BSM are two instances of it.

Jacobians are exact. A coordinate moves everything beyond its joint like one rigid body, so its effect is one twist: the
velocity ``v + omega x point`` of any point that it moves. Parent-offset frames are parameters of the same kind (they carry
segment lengths and betas).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ..errors import ModelError, ShapeError, UnknownCoordinateError
from .functions import Function, Linear, Multivariate, values_and_partials
from .rotations import skew

Numbers = ArrayLike | Tensor
"""Constants of a joint, or values of coordinates, in any form that torch takes."""
Channel = tuple[Sequence[float], Function]
"""A constant unit axis and the function that gives the angle about it, or the distance along it."""
_TOGETHER = 2048
"""Frames that are placed at once: it bounds the memory that a long motion takes."""


@cache
def carried_by(parents: tuple[int, ...]) -> Tensor:
    """(J, J) bool: whether joint a (column) carries body j (row), its own included; the parent of the root is -1."""
    table = torch.eye(len(parents), dtype=torch.bool)
    for body, parent in enumerate(parents):
        if parent >= 0:
            table[body] |= table[parent]
    return table


@dataclass(frozen=True, eq=False)
class Joint:
    """One joint and the body it carries; arrays may have a leading frame axis when betas change per frame."""

    name: str
    body: str
    parent: int
    """Index of the parent body, -1 for ground; parents come before their children."""
    parent_rotation: Numbers
    """(3, 3) or (B, 3, 3) orientation of the joint's fixed frame on the parent body."""
    parent_translation_m: Numbers
    """(3,) or (B, 3)."""
    child_rotation: Numbers
    """(3, 3) orientation of the joint's moving frame on the body."""
    child_translation_m: Numbers
    """(3,)."""
    rotations: tuple[Channel, ...] = ()
    translations: tuple[tuple[Numbers, Function], ...] = ()
    """Axes (3,) or (B, 3) in the fixed frame."""

    @property
    def inputs(self) -> tuple[int, ...]:
        """Coordinates that the functions read, one after the other; a coordinate may be named several times."""
        return tuple(n for _, function in (*self.rotations, *self.translations) for n in function.inputs)


@dataclass(frozen=True, eq=False)
class _Channels:
    """All rotations or all translations of the tree, side by side."""

    joint: tuple[int, ...]
    axis: Tensor
    """(C, 3), or (B, C, 3)."""
    functions: tuple[Function, ...]
    linear: Tensor
    """Channels with a Linear function."""
    linear_input: Tensor
    slope: Tensor
    intercept: Tensor
    other: tuple[int, ...]
    together: tuple[tuple[int, ...], ...]
    """Channels of polynomials that read the same coordinates."""

    def evaluate(self, q: Tensor) -> tuple[Tensor, list[tuple[int, int, Tensor]]]:
        """Values (B, C), and for the functions that are not linear the triples (channel, coordinate, partial (B,))."""
        values = q.new_zeros(q.shape[0], len(self.functions))
        if len(self.linear):
            values = values.index_copy(1, self.linear, q[:, self.linear_input] * self.slope + self.intercept)
        extra: list[tuple[int, int, Tensor]] = []
        columns = []
        for channels in self.together:
            value, partials = values_and_partials([self.functions[c] for c in channels], q)  # type: ignore[misc]
            columns += list(value.unbind(1))
            inputs = self.functions[channels[0]].inputs
            extra += [(c, n, p[:, i]) for n, p in zip(inputs, partials, strict=True) for i, c in enumerate(channels)]
        for channel in self.other:
            value, partials = self.functions[channel].value_and_partials(q)
            columns.append(value)
            extra += [(channel, n, p) for n, p in zip(self.functions[channel].inputs, partials, strict=True)]
        if columns:
            index = torch.tensor([*(c for group in self.together for c in group), *self.other], device=q.device)
            values = values.index_copy(1, index, torch.stack(columns, dim=1))
        return values, extra


class Tree:
    """A tree of joints with named coordinates.

    Args:
        joints: parents before children; body j is carried by joint j.
        coordinates: the N coordinate names; the functions' inputs index into them.
        dtype: torch.float64 or torch.float32.
        device: where it is evaluated.

    Raises:
        ModelError: a parent that comes later, a repeated body, or an input that is no coordinate.
    """

    def __init__(
        self,
        joints: Sequence[Joint],
        coordinates: Sequence[str],
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
    ) -> None:
        self.joints = tuple(joints)
        self.coordinates = tuple(coordinates)
        self.bodies = tuple(joint.body for joint in self.joints)
        self.parents = tuple(joint.parent for joint in self.joints)
        self.dtype, self.device = dtype, torch.device(device)
        self._check()
        self.parent_rotation = self._stack([joint.parent_rotation for joint in self.joints], 2)
        """(J, 3, 3), or (B, J, 3, 3): orientations of the joints' fixed frames."""
        self._parent_translation = self._stack([joint.parent_translation_m for joint in self.joints], 1)
        child_translation = self._stack([joint.child_translation_m for joint in self.joints], 1)
        self.child_rotation = self._stack([joint.child_rotation for joint in self.joints], 2)
        """(J, 3, 3): orientations of the joints' moving frames on their bodies."""
        self._child_rotation_inverse = self.child_rotation.transpose(-1, -2)
        self._child_translation_inverse = -(self._child_rotation_inverse @ child_translation[..., None])[..., 0]
        self._rotation = self._channels([(j, axis, f) for j, joint in enumerate(self.joints) for axis, f in joint.rotations])
        self._translation = self._channels(
            [(j, axis, f) for j, joint in enumerate(self.joints) for axis, f in joint.translations]
        )
        self._cross = skew(self._rotation.axis)
        self._cross_squared = self._cross @ self._cross
        self._slots = self._rotation_slots()
        self._levels = self._depth_levels()
        self.body_ancestors = carried_by(self.parents).to(self.device)
        """(J, J) bool: whether joint a (column) carries body j (row), its own included."""
        self.owners = self._owners()
        """(N,) joint that each coordinate drives; -1 if it drives none."""
        self.ancestors = self.body_ancestors[:, self.owners] & (self.owners >= 0)
        """(J, N) bool: whether coordinate n moves body j."""

    def index(self, coordinate: str) -> int:
        """Column of a coordinate.

        Raises:
            UnknownCoordinateError: there is none of that name.
        """
        if coordinate not in self.coordinates:
            raise UnknownCoordinateError(coordinate, self.coordinates)
        return self.coordinates.index(coordinate)

    def forward(self, q: Numbers) -> TreePose:
        """Place all bodies.

        Args:
            q: (..., N) coordinate values, rad and m.

        Returns:
            The pose: positions and orientations of all bodies in ground, and their Jacobians on request.

        Raises:
            ShapeError: the last axis is not N.
        """
        q = torch.as_tensor(q, dtype=self.dtype, device=self.device)
        if q.ndim == 0 or q.shape[-1] != len(self.coordinates):
            raise ShapeError(f"q must have shape (..., {len(self.coordinates)}), got {tuple(q.shape)}")
        shape = q.shape[:-1]
        return TreePose(self, q.reshape(shape.numel(), q.shape[-1]), shape)

    def _check(self) -> None:
        if len(set(self.bodies)) != len(self.bodies):
            twice = sorted({body for body in self.bodies if self.bodies.count(body) > 1})
            raise ModelError(f"bodies carried by two joints: {', '.join(twice)}")
        for j, joint in enumerate(self.joints):
            if not -1 <= joint.parent < j:
                raise ModelError(f"joint {joint.name!r}: its parent body must come before body {joint.body!r}")
            if len(joint.rotations) > 3:
                raise ModelError(f"joint {joint.name!r} has {len(joint.rotations)} rotations, at most 3 are possible")
            if any(not 0 <= n < len(self.coordinates) for n in joint.inputs):
                raise ModelError(f"joint {joint.name!r} reads coordinates {joint.inputs} of {len(self.coordinates)}")

    def _tensor(self, value: Numbers) -> Tensor:
        if isinstance(value, Tensor):
            return value.to(dtype=self.dtype, device=self.device)
        return torch.as_tensor(np.array(value, dtype=np.float64), dtype=self.dtype, device=self.device)

    def _stack(self, values: Sequence[Numbers], ndim: int) -> Tensor:
        tensors = [self._tensor(value) for value in values]
        frames = {t.shape[0] for t in tensors if t.ndim > ndim}
        if len(frames) > 1:
            raise ShapeError(f"offsets of the tree are given for {sorted(frames)} frames; expected one number of frames")
        if frames:
            count = frames.pop()
            tensors = [t if t.ndim > ndim else t.expand(count, *t.shape) for t in tensors]
        return torch.stack(tensors, dim=-ndim - 1) if tensors else self._tensor(np.zeros((0, *[3] * ndim)))

    def _channels(self, entries: list[tuple[int, Numbers, Function]]) -> _Channels:
        functions = tuple(function for _, _, function in entries)
        linear = [(c, f) for c, f in enumerate(functions) if isinstance(f, Linear)]
        groups: dict[tuple[tuple[int, ...], int], list[int]] = {}
        for c, f in enumerate(functions):
            if isinstance(f, Multivariate):
                groups.setdefault((f.inputs, f.order), []).append(c)
        other = tuple(c for c, f in enumerate(functions) if not isinstance(f, Linear | Multivariate))
        axes = self._stack([axis for _, axis, _ in entries], 1) if entries else self._tensor(np.zeros((0, 3)))
        return _Channels(
            joint=tuple(j for j, _, _ in entries),
            axis=axes,
            functions=functions,
            linear=torch.tensor([c for c, _ in linear], dtype=torch.long, device=self.device),
            linear_input=torch.tensor([f.input for _, f in linear], dtype=torch.long, device=self.device),
            slope=self._tensor([f.slope for _, f in linear]),
            intercept=self._tensor([f.intercept for _, f in linear]),
            other=other,
            together=tuple(tuple(channels) for channels in groups.values()),
        )

    def _rotation_slots(self) -> list[tuple[Tensor, Tensor]]:
        """For the first, second, third rotation of a joint: the joints that have one, and its channel."""
        own = [[c for c, owner in enumerate(self._rotation.joint) if owner == j] for j in range(len(self.joints))]
        slots = []
        for order in range(3):
            pairs = [(j, channels[order]) for j, channels in enumerate(own) if len(channels) > order]
            if pairs:
                slots.append((torch.tensor([j for j, _ in pairs]), torch.tensor([c for _, c in pairs])))
        return slots

    def _depth_levels(self) -> list[list[int]]:
        """Bodies with one joint between them and the root, with two, and so on."""
        depth = [int(row.sum()) - 1 for row in carried_by(self.parents)]
        return [[j for j, d in enumerate(depth) if d == level] for level in range(1, max(depth, default=0) + 1)]

    def _owners(self) -> Tensor:
        owners = [-1] * len(self.coordinates)
        for j, joint in enumerate(self.joints):
            for n in joint.inputs:
                if owners[n] not in (-1, j):
                    raise ModelError(
                        f"coordinate {self.coordinates[n]!r} drives two joints "
                        f"({self.joints[owners[n]].name}, {joint.name}); one joint per coordinate is expected"
                    )
                owners[n] = j
        return torch.tensor(owners, dtype=torch.long, device=self.device)


class TreePose:
    """All bodies of a tree in many frames; made by :meth:`Tree.forward`."""

    _rotations: Tensor
    """(B, J, 3, 3) of the bodies in ground."""
    _positions: Tensor
    """(B, J, 3)."""

    def __init__(self, tree: Tree, q: Tensor, shape: torch.Size) -> None:
        self.tree = tree
        self._shape = shape
        self._q = q
        self._twists: tuple[Tensor, Tensor] | None = None
        shared_offsets = tree.parent_rotation.ndim == 3 and tree._parent_translation.ndim == 2
        self._parts = q.split(_TOGETHER) if shared_offsets else (q,)
        if len(self._parts) > 1:  # a long motion: intermediate results take ten times the memory of the result
            placed = [(pose._rotations, pose._positions) for pose in self._part_poses()]
            self._rotations, self._positions = (torch.cat(column) for column in zip(*placed, strict=True))
            return
        angles, self._rotation_partials = tree._rotation.evaluate(q)
        self._compose(angles)

    def _part_poses(self) -> Iterator[TreePose]:
        return (TreePose(self.tree, part, part.shape[:1]) for part in self._parts)

    def _compose(self, angles: Tensor) -> None:
        tree, count = self.tree, self._q.shape[0]
        sine, cosine = torch.sin(angles)[..., None, None], torch.cos(angles)[..., None, None]
        eye = torch.eye(3, dtype=tree.dtype, device=tree.device)
        elemental = eye + sine * tree._cross + (1 - cosine) * tree._cross_squared
        joints = len(tree.joints)
        rotation = tree.parent_rotation.expand(count, joints, 3, 3)
        stages: list[Tensor] = []  # orientation of the parent-side frame in which each slot's axis is constant
        for bodies, channels in tree._slots:
            stages.append(rotation)
            rotation = rotation.index_copy(1, bodies, rotation[:, bodies] @ elemental[:, channels])
        translation = tree._parent_translation.expand(count, joints, 3)
        values, self._translation_partials = tree._translation.evaluate(self._q)
        if values.shape[1]:
            owner = torch.tensor(tree._translation.joint, device=tree.device)
            steps = values[..., None] * tree._translation.axis
            local = torch.zeros(count, joints, 3, dtype=tree.dtype, device=tree.device).index_add(1, owner, steps)
            translation = translation + (tree.parent_rotation @ local[..., None])[..., 0]
        self._local_stages, self._local_origin = stages, translation
        relative_position = translation + (rotation @ tree._child_translation_inverse[..., None])[..., 0]
        self._rotations, self._positions = self._chain(rotation @ tree._child_rotation_inverse, relative_position)

    def _chain(self, rotation: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        """Place bodies in ground (B, J, ...) from their places on their parents."""
        rotations, positions = list(rotation.unbind(1)), list(position.unbind(1))
        for bodies in self.tree._levels:
            parents = [self.tree.parents[b] for b in bodies]
            above = torch.stack([rotations[p] for p in parents], dim=1)
            origin = torch.stack([positions[p] for p in parents], dim=1)
            turned = above @ torch.stack([rotations[b] for b in bodies], dim=1)
            offset = torch.stack([positions[b] for b in bodies], dim=1)
            moved = (above @ offset[..., None])[..., 0] + origin
            for i, b in enumerate(bodies):
                rotations[b], positions[b] = turned[:, i], moved[:, i]
        if not rotations:
            return rotation, position
        return torch.stack(rotations, dim=1), torch.stack(positions, dim=1)

    @property
    def positions_m(self) -> Tensor:
        """(..., J, 3) body origins in ground."""
        return self._positions.reshape(*self._shape, *self._positions.shape[1:])

    @property
    def rotations(self) -> Tensor:
        """(..., J, 3, 3) body orientations in ground (columns are the body's axes)."""
        return self._rotations.reshape(*self._shape, *self._rotations.shape[1:])

    def points(self, bodies: Sequence[int] | Tensor, local_m: Tensor) -> Tensor:
        """Place points that are fixed to bodies in ground.

        Args:
            bodies: (P,) body of each point.
            local_m: (P, 3) positions on the bodies.

        Returns:
            (..., P, 3) m.
        """
        index = torch.as_tensor(bodies, device=self.tree.device, dtype=torch.long)
        local = local_m.to(self.tree.dtype).reshape(-1, 3, 1)
        parts = zip(self._rotations.split(_TOGETHER), self._positions.split(_TOGETHER), strict=True)
        found = torch.cat([(rotation[:, index] @ local)[..., 0] + origin[:, index] for rotation, origin in parts])
        return found.reshape(*self._shape, *found.shape[1:])

    def twists(self) -> tuple[Tensor, Tensor]:
        """Angular velocity and velocity of the ground origin, per unit rate of each coordinate.

        Returns:
            omega (..., N, 3) and v (..., N, 3): a point x on a body that coordinate n moves has velocity
            ``v_n + omega_n x x``.
        """
        if self._twists is None:
            self._twists = self._build_twists()
        omega, v = self._twists
        return omega.reshape(*self._shape, *omega.shape[1:]), v.reshape(*self._shape, *v.shape[1:])

    def _parent_frames(self) -> tuple[Tensor, Tensor]:
        """Orientation (B, J, 3, 3) and origin (B, J, 3) of each joint's parent body in ground."""
        tree, count = self.tree, self._q.shape[0]
        eye = torch.eye(3, dtype=tree.dtype, device=tree.device).expand(count, 1, 3, 3)
        zero = torch.zeros(count, 1, 3, dtype=tree.dtype, device=tree.device)
        parents = torch.tensor([p + 1 for p in tree.parents], device=tree.device)
        return torch.cat([eye, self._rotations], dim=1)[:, parents], torch.cat([zero, self._positions], dim=1)[:, parents]

    def _build_twists(self) -> tuple[Tensor, Tensor]:
        if len(self._parts) > 1:
            columns = zip(*(pose._build_twists() for pose in self._part_poses()), strict=True)
            omega, v = (torch.cat(column) for column in columns)
            return omega, v
        tree, count = self.tree, self._q.shape[0]
        parent_rotation, parent_origin = self._parent_frames()
        pivot = parent_origin + (parent_rotation @ self._local_origin[..., None])[..., 0]
        omega = torch.zeros(count, len(tree.coordinates), 3, dtype=tree.dtype, device=tree.device)
        v = torch.zeros_like(omega)
        if len(tree._rotation.functions):
            axes = torch.zeros(count, len(tree._rotation.functions), 3, dtype=tree.dtype, device=tree.device)
            for (bodies, channels), stage in zip(tree._slots, self._local_stages, strict=True):
                local = (stage[:, bodies] @ tree._rotation.axis[..., channels, :, None])[..., 0]
                axes = axes.index_copy(1, channels, (parent_rotation[:, bodies] @ local[..., None])[..., 0])
            at = pivot[:, torch.tensor(tree._rotation.joint, device=tree.device)]
            moment = torch.linalg.cross(at, axes)
            omega = self._gather(tree._rotation, self._rotation_partials, axes, omega)
            v = self._gather(tree._rotation, self._rotation_partials, moment, v)
        if len(tree._translation.functions):
            owner = torch.tensor(tree._translation.joint, device=tree.device)
            frame = parent_rotation[:, owner] @ tree.parent_rotation[..., owner, :, :]
            axes = (frame @ tree._translation.axis[..., None])[..., 0]
            v = self._gather(tree._translation, self._translation_partials, axes, v)
        return omega, v

    @staticmethod
    def _gather(channels: _Channels, extra: list[tuple[int, int, Tensor]], axes: Tensor, out: Tensor) -> Tensor:
        if len(channels.linear):
            out = out.index_add(1, channels.linear_input, axes[:, channels.linear] * channels.slope[:, None])
        if extra:
            index = torch.tensor([n for _, n, _ in extra], device=out.device)
            picked = axes[:, torch.tensor([c for c, _, _ in extra], device=out.device)]
            out = out.index_add(1, index, picked * torch.stack([p for _, _, p in extra], dim=1)[..., None])
        return out

    def point_jacobian(self, points_m: Tensor, bodies: Sequence[int] | Tensor) -> Tensor:
        """Derivative of ground positions of points fixed to bodies, by the coordinates.

        Args:
            points_m: (..., P, 3) positions in ground.
            bodies: (P,) body of each point.

        Returns:
            (..., P, 3, N).
        """
        omega, v = self.twists()
        moved = self.tree.ancestors[torch.as_tensor(bodies, device=self.tree.device)].to(self.tree.dtype)  # (P, N)
        turned = skew(points_m).flatten(-3, -2) @ omega.transpose(-1, -2)  # p x omega for all points at once: (..., 3 P, N)
        speed = v.transpose(-1, -2).contiguous()[..., None, :, :] - turned.unflatten(-2, (-1, 3))
        columns: Tensor = speed * moved[:, None, :]
        return columns

    def offset_jacobian(
        self, points_m: Tensor, bodies: Sequence[int] | Tensor, translation: Tensor, rotation: Tensor
    ) -> Tensor:
        """Derivative of ground positions of points fixed to bodies, by parameters of the parent-offset frames.

        Args:
            points_m: (..., P, 3) positions in ground.
            bodies: (P,) body of each point.
            translation: (J, 3, K) derivative of each parent-offset translation by K parameters (segment lengths, betas).
            rotation: (J, 3, K) small rotation of each parent-offset frame in the parent's axes per unit of the
                parameter. It turns all that the joint carries about the offset frame's origin.

        Returns:
            (..., P, 3, K). The change of translation functions (arc lengths, ellipsoid radii) is not in it.
        """
        tree = self.tree
        parent_rotation, parent_origin = self._parent_frames()
        carried = tree.body_ancestors[torch.as_tensor(bodies, device=tree.device)].to(tree.dtype)  # (P, J)
        velocity = torch.einsum("pj,bjik->bpik", carried, parent_rotation @ translation.to(tree.dtype))
        spin = parent_rotation @ rotation.to(tree.dtype)
        origin = parent_origin + (parent_rotation @ tree._parent_translation.expand_as(parent_origin)[..., None])[..., 0]
        moment = torch.linalg.cross(origin[..., None].expand_as(spin), spin, dim=-2)
        points = points_m.reshape(-1, *points_m.shape[-2:])
        total_spin = torch.einsum("pj,bjik->bpik", carried, spin)
        turned = torch.linalg.cross(total_spin, points[..., None].expand_as(total_spin), dim=-2)
        result: Tensor = velocity + turned + torch.einsum("pj,bjik->bpik", carried, moment)
        return result.reshape(*self._shape, *result.shape[1:])

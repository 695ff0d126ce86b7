"""Least squares of marker positions on a joint tree: all frames at once, hard limits, no Jacobian ever formed.

A coordinate moves everything beyond its joint like one rigid body, with the twist (omega, v). Its Jacobian columns for all the
markers it moves are ``v + omega x point``, so every product of two columns depends on the markers only through their
summed weight, first and second moment, as with masses in the composite-rigid-body algorithm. These sums are taken
once per body; an iteration then costs O(N^2) per frame, whatever the number of markers.

Source:
    Featherstone 2008, Rigid Body Dynamics Algorithms, ch. 6 (composite bodies), here with marker weights for masses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...kinematics.tree import Tree

_AT_BOUND = 1e-9


class Bounds(NamedTuple):
    """Where the coordinates may go."""

    lower: Tensor
    """(N,) may be infinite."""
    upper: Tensor
    """(N,)."""
    free: Tensor
    """(N,) bool, coordinates that may move at all."""


class Tolerance(NamedTuple):
    """When a frame counts as solved: either is enough."""

    step: float
    """rad or m: the largest move of a coordinate in a step."""
    cost: float
    """The share by which a step lowers the cost."""


FINE = Tolerance(1e-5, 1e-7)


class System(NamedTuple):
    """Normal equations of a batch of frames."""

    cost: Tensor
    """(B,) m^2."""
    gradient: Tensor
    """(B, N)."""
    hessian: Tensor
    """(B, N, N) J^T W J."""


class Solution(NamedTuple):
    """Where the least squares ended."""

    q: Tensor
    """(B, N) within the bounds."""
    cost: Tensor
    """(B,) m^2: half the weighted sum of squares."""


def without_idle_parts(tree: Tree, bodies: Sequence[int]) -> tuple[Tree, Tensor]:
    """Leave out what no marker feels: bodies that carry none, and translations that never change.

    Args:
        tree: the whole model.
        bodies: (P,) bodies with markers.

    Returns:
        A smaller tree with the same coordinates, and the bodies' indices (P,) in it.
    """
    carrying = torch.nonzero(tree.body_ancestors[list(bodies)].any(dim=0)).flatten().tolist()
    place = {old: new for new, old in enumerate(carrying)} | {-1: -1}
    joints = []
    for old in carrying:
        joint = tree.joints[old]
        constant = [(axis, function) for axis, function in joint.translations if not function.inputs]
        shift = np.array(joint.parent_translation_m, dtype=np.float64)
        for axis, function in constant:
            value = float(function.value_and_partials(torch.zeros(1, len(tree.coordinates), dtype=torch.float64))[0])
            shift = shift + np.asarray(joint.parent_rotation) @ (value * np.asarray(axis, dtype=np.float64))
        moving = tuple(pair for pair in joint.translations if pair[1].inputs)
        joints.append(replace(joint, parent=place[joint.parent], parent_translation_m=shift, translations=moving))
    return Tree(joints, tree.coordinates, tree.dtype, tree.device), torch.tensor([place[int(body)] for body in bodies])


@dataclass(frozen=True, eq=False)
class MarkerProblem:
    """Markers fixed to bodies of a tree, and where they were measured."""

    tree: Tree
    bodies: Tensor
    """(P,) body of each marker."""
    local_m: Tensor
    """(P, 3) place on the body."""
    targets_m: Tensor
    """(T, P, 3) measured places in ground; anything finite where the weight is 0."""
    weights: Tensor
    """(T, P), 0 where a marker is not seen."""
    rest: Tensor
    """(T, N) values to which the prior pulls."""
    prior: Tensor
    """(N,) weight of the prior, m^2 per unit^2."""
    periodic: Tensor
    """(N,) bool: angles without bounds, for which a full turn means nothing."""

    def __post_init__(self) -> None:
        tree = self.tree
        owner = torch.full((len(tree.coordinates),), -1, dtype=torch.long)
        for j, joint in enumerate(tree.joints):
            for _, function in (*joint.rotations, *joint.translations):
                for n in function.inputs:
                    owner[n] = j
        above = tree.ancestors[owner.clamp_min(0)].T & (owner >= 0)[None]  # (N, N): coordinate i moves what j moves
        object.__setattr__(self, "_above", above)
        object.__setattr__(self, "_moves", tree.ancestors.T.to(tree.dtype))
        object.__setattr__(self, "_sums", self._body_sums())

    _above: Tensor = None  # type: ignore[assignment]
    _moves: Tensor = None  # type: ignore[assignment]
    _sums: Tensor = None  # type: ignore[assignment]

    def _body_sums(self) -> Tensor:
        """(T, J, 26) sums over each body's markers, all that the fit needs to know of them.

        With weight w, place l on the body and target y: w, w l, w y, w l l^T, w l y^T and w (l.l + y.y).
        """
        local, target = self.local_m.expand_as(self.targets_m), self.targets_m
        squares = (local * local + target * target).sum(-1, keepdim=True)
        each = torch.cat(
            [torch.ones_like(squares), local, target, _outer(local, local), _outer(local, target), squares], dim=-1
        )
        sums = torch.zeros(len(target), len(self.tree.joints), each.shape[-1], dtype=each.dtype)
        return sums.index_add(1, self.bodies, self.weights[..., None] * each)

    def points(self, q: Tensor) -> Tensor:
        """(B, P, 3) places of the markers at coordinates q (B, N)."""
        return self.tree.forward(q).points(self.bodies, self.local_m)

    def system(self, q: Tensor, frames: Tensor) -> System:
        """Build the normal equations of frames (B,) at coordinates q (B, N)."""
        pose = self.tree.forward(q)
        turn, place = pose.rotations, pose.positions_m
        mass, local, target, local_local, local_target, squares = torch.split(self._sums[frames], [1, 3, 3, 9, 9, 1], dim=-1)
        turned = (turn @ local[..., None])[..., 0]
        first = turned + mass * place
        crossed = turn @ local_target.unflatten(-1, (3, 3))
        second = turn @ local_local.unflatten(-1, (3, 3)) @ turn.transpose(-1, -2)
        second = second + turned[..., :, None] * place[..., None, :] + place[..., :, None] * first[..., None, :]
        force = first - target
        torque = -_axial(crossed) - torch.linalg.cross(place, target)
        from_rest = q - self.rest[frames]
        double = (
            squares[..., 0] + (place * (first + turned - 2 * target)).sum(-1) - 2 * crossed.diagonal(dim1=-2, dim2=-1).sum(-1)
        )
        cost = 0.5 * (double.sum(-1) + (self.prior * from_rest * from_rest).sum(-1))
        moments = self._moves @ torch.cat([mass, first, force, torque, second.flatten(-2)], dim=-1)
        mass, first, force, torque, second = torch.split(moments, [1, 3, 3, 3, 9], dim=-1)
        omega, v = pose.twists()
        gradient = (omega * torque + v * force).sum(-1) + self.prior * from_rest
        tensor = second.unflatten(-1, (3, 3))
        trace = tensor.diagonal(dim1=-2, dim2=-1).sum(-1, keepdim=True)
        turning = trace * omega - (tensor @ omega[..., None])[..., 0] + torch.linalg.cross(first, v)
        pushing = mass * v + torch.linalg.cross(omega, first)
        product = torch.cat([omega, v], dim=-1) @ torch.cat([turning, pushing], dim=-1).transpose(-1, -2)
        half = torch.where(self._above, product, torch.zeros_like(product))
        hessian = torch.where(self._above.T, half.transpose(-1, -2), half) + torch.diag(self.prior)
        return System(cost, gradient, hessian)


def solve(
    problem: MarkerProblem,
    start: Tensor,
    frames: Tensor,
    bounds: Bounds,
    *,
    tolerance: Tolerance = FINE,
    max_iterations: int = 40,
) -> Solution:
    """Minimise each frame's marker error within hard bounds, by damped Gauss-Newton with an active set.

    A coordinate at a bound that the gradient pushes outwards is held for the step; every step ends inside the bounds. A
    frame that is solved leaves the batch.

    Args:
        problem: the markers.
        start: (B, N) rad and m.
        frames: (B,) which frame of the problem each row belongs to.
        bounds: of the coordinates; a locked one keeps its start.
        tolerance: when to stop.
        max_iterations: linear solves at most.

    Returns:
        The best point of each row; never worse than ``start`` clamped to the bounds.
    """
    free = bounds.free
    # A locked coordinate keeps its start, wherever its range lies.
    lower = torch.where(free, bounds.lower, torch.full_like(bounds.lower, -torch.inf))
    upper = torch.where(free, bounds.upper, torch.full_like(bounds.upper, torch.inf))
    best_q = torch.minimum(torch.maximum(start, lower), upper)
    rows = torch.arange(len(start))
    q, system = best_q, problem.system(best_q, frames)
    best_cost = system.cost.clone()
    damp = torch.full_like(system.cost, 1e-4)
    for _ in range(max_iterations):
        step = _step(q, system, damp, lower, upper, free)
        trial = torch.minimum(torch.maximum(q + step, lower), upper)
        reached = problem.system(trial, frames[rows])
        good = torch.isfinite(reached.cost) & (reached.cost < system.cost)
        moved = (trial - q).abs().amax(-1)
        gained = system.cost - reached.cost
        done = (moved < tolerance.step) | (good & (gained < tolerance.cost * system.cost)) | (damp > 1e8)
        q = torch.where(good[:, None], trial, q)
        system = System(*(_pick(good, new, old) for new, old in zip(reached, system, strict=True)))
        damp = torch.where(good, damp * 0.2, damp * 8).clamp_min(1e-9)
        best_q = best_q.index_copy(0, rows, q)
        best_cost = best_cost.index_copy(0, rows, system.cost)
        if bool(done.all()):
            break
        if bool(done.any()):
            keep = ~done
            rows, q, damp = rows[keep], q[keep], damp[keep]
            system = System(*(part[keep] for part in system))
    return Solution(best_q, best_cost)


def _step(q: Tensor, system: System, damp: Tensor, lower: Tensor, upper: Tensor, free: Tensor) -> Tensor:
    gradient, hessian = system.gradient, system.hessian
    held = ((q <= lower + _AT_BOUND) & (gradient > 0)) | ((q >= upper - _AT_BOUND) & (gradient < 0)) | ~free
    live = (~held).to(q.dtype)
    scale = hessian.diagonal(dim1=-2, dim2=-1).clamp_min(1e-12)
    masked = hessian * live[:, :, None] * live[:, None, :]
    lhs = masked + torch.diag_embed(damp[:, None] * scale + (1 - live))
    factor, info = torch.linalg.cholesky_ex(lhs)
    step = -torch.cholesky_solve((gradient * live)[..., None], factor)[..., 0]
    usable = (info == 0)[:, None] & torch.isfinite(step)
    return torch.where(usable, step, torch.zeros_like(step))


def _pick(good: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return torch.where(good.reshape(-1, *[1] * (new.ndim - 1)), new, old)


def _outer(first: Tensor, second: Tensor) -> Tensor:
    """(..., 3) twice -> (..., 9)."""
    return (first[..., :, None] * second[..., None, :]).flatten(-2)


def _axial(matrix: Tensor) -> Tensor:
    """The vector sum of a x b of matrices sum of a b^T; (..., 3, 3) -> (..., 3)."""
    other = matrix - matrix.transpose(-1, -2)
    return torch.stack([other[..., 1, 2], other[..., 2, 0], other[..., 0, 1]], dim=-1)

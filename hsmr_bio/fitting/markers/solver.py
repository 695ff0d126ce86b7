"""Least squares of marker positions on a joint tree, many frames at once, with hard limits and without a Jacobian.

A coordinate moves everything beyond its joint like one rigid body, with the twist (omega, v). Its Jacobian columns for the
markers that it moves are ``v + omega x point``. A product of two columns therefore depends on the markers only through their
summed weight and their first and second moment, as on masses in the composite-rigid-body algorithm. These sums are taken once
per body; an iteration then costs O(N^2) per frame, whatever the number of markers.

Source:
    Featherstone 2008, Rigid Body Dynamics Algorithms, ch. 6 (composite bodies), here with marker weights for masses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...kinematics.linear_solvers import ActiveSet, Dense
from ...kinematics.rotations import axial
from ...kinematics.solve import Factors, LeastSquares, Solution, Stop, minimise
from ...kinematics.tree import Tree
from ...osim.constraints import Coupling, substituted
from .loop_rows import STIFFNESS, LoopRows

_DAMPING = Factors(start=1e-4, shrink=0.2, growth=8.0, least=1e-9, most=1e9)
"""Nearly undamped at first; a frame whose steps fail even with the largest damping is given up (own choice)."""


class Tolerance(NamedTuple):
    """When a frame counts as solved: either is enough."""

    step: float
    """Largest change of a coordinate in a step (rad or m)."""
    cost: float
    """Share by which a step lowers the cost."""


FINE = Tolerance(1e-5, 1e-7)
"""Of results: 0.0006 degrees, 0.01 mm."""


def without_idle_parts(tree: Tree, bodies: Sequence[int]) -> tuple[Tree, Tensor]:
    """Remove bodies that carry no marker, and translations that are constant.

    Args:
        tree: the whole model.
        bodies: (P,) bodies with markers.

    Returns:
        A smaller tree with the same coordinates, and the indices (P,) of the bodies in it.
    """
    carrying = torch.nonzero(tree.body_ancestors[list(bodies)].any(dim=0)).flatten().tolist()
    index = {old: new for new, old in enumerate(carrying)} | {-1: -1}
    joints = []
    for old in carrying:
        joint = tree.joints[old]
        constant = [(axis, function) for axis, function in joint.translations if not function.inputs]
        shift = np.array(joint.parent_translation_m, dtype=np.float64)
        for axis, function in constant:
            value = float(function.value_and_partials(torch.zeros(1, len(tree.coordinates), dtype=torch.float64))[0])
            shift = shift + np.asarray(joint.parent_rotation) @ (value * np.asarray(axis, dtype=np.float64))
        moving = tuple(pair for pair in joint.translations if pair[1].inputs)
        joints.append(replace(joint, parent=index[joint.parent], parent_translation_m=shift, translations=moving))
    return Tree(joints, tree.coordinates, tree.dtype, tree.device), torch.tensor([index[int(body)] for body in bodies])


@dataclass(frozen=True, eq=False)
class MarkerProblem:
    """Markers fixed to bodies of a tree, and their measured positions."""

    tree: Tree
    bodies: Tensor
    """(P,) body of each marker."""
    local_m: Tensor
    """(P, 3) positions on the bodies."""
    targets_m: Tensor
    """(T, P, 3) measured positions in ground; any finite value where the weight is 0."""
    weights: Tensor
    """(T, P), 0 where a marker is not seen."""
    rest: Tensor
    """(T, N) values to which the prior pulls."""
    prior: Tensor
    """(N,) weight of the prior, m^2 per unit^2."""
    periodic: Tensor
    """(N,) bool: angles without bounds, which are the same after a full turn."""
    couplings: tuple[Coupling, ...] = ()
    """Coordinates that are functions of others; they are no unknowns, whatever their value in ``q``."""
    loops: LoopRows | None = None
    """Constraints that close loops of the tree."""

    @cached_property
    def _above(self) -> Tensor:
        """(N, N) bool: whether coordinate i (row) moves all that coordinate j moves."""
        return self.tree.ancestors[self.tree.owners].T & (self.tree.owners >= 0)

    @cached_property
    def _sums(self) -> Tensor:
        """(T, J, 26) sums over each body's markers, on which cost and normal equations depend.

        With weight w, position l on the body and target y: w, w l, w y, w l l^T, w l y^T and w (l.l + y.y).
        """
        local, target = self.local_m.expand_as(self.targets_m), self.targets_m
        squares = (local * local + target * target).sum(-1, keepdim=True)
        each = torch.cat(
            [torch.ones_like(squares), local, target, _outer(local, local), _outer(local, target), squares], dim=-1
        )
        sums = torch.zeros(len(target), len(self.tree.joints), each.shape[-1], dtype=each.dtype)
        return sums.index_add(1, self.bodies, self.weights[..., None] * each)

    def system(self, q: Tensor, frames: Tensor) -> Dense:
        """Build the normal equations of some frames.

        Args:
            q: (B, N) coordinates.
            frames: (B,) numbers of the frames.

        Returns:
            Cost (m^2), gradient and Gauss-Newton matrix.
        """
        q = substituted(self.couplings, q)
        pose = self.tree.forward(q)
        turn, origin = pose.rotations, pose.positions_m
        mass, local, target, local_local, local_target, squares = torch.split(self._sums[frames], [1, 3, 3, 9, 9, 1], dim=-1)
        turned = (turn @ local[..., None])[..., 0]
        first = turned + mass * origin
        crossed = turn @ local_target.unflatten(-1, (3, 3))
        second = turn @ local_local.unflatten(-1, (3, 3)) @ turn.transpose(-1, -2)
        second = second + turned[..., :, None] * origin[..., None, :] + origin[..., :, None] * first[..., None, :]
        force = first - target
        torque = axial(crossed) - torch.linalg.cross(origin, target)
        from_rest = q - self.rest[frames]
        double = (
            squares[..., 0] + (origin * (first + turned - 2 * target)).sum(-1) - 2 * crossed.diagonal(dim1=-2, dim2=-1).sum(-1)
        )
        cost = 0.5 * (double.sum(-1) + (self.prior * from_rest * from_rest).sum(-1))
        moments = self.tree.ancestors.T.to(q.dtype) @ torch.cat([mass, first, force, torque, second.flatten(-2)], dim=-1)
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
        if self.loops is not None:
            residual, slope = self.loops.residuals(pose)
            stiffness = STIFFNESS * float(self.weights.max())
            cost = cost + 0.5 * stiffness * residual.square().sum(-1)
            gradient = gradient + stiffness * (slope.mT @ residual[..., None])[..., 0]
            hessian = hessian + stiffness * slope.mT @ slope
        return Dense(cost, *self._without_dependent(q, gradient, hessian))

    def _without_dependent(self, q: Tensor, gradient: Tensor, hessian: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient (B, N) and matrix (B, N, N) by the independent coordinates: the chain rule, the last coupling first."""
        for dependent, function in reversed(self.couplings):
            partials = function.value_and_partials(q)[1]
            for n, slope in zip(function.inputs, partials, strict=True):
                gradient[:, n] += slope * gradient[:, dependent]
                hessian[:, n] += slope[:, None] * hessian[:, dependent]
                hessian[:, :, n] += slope[:, None] * hessian[:, :, dependent]
        return gradient, hessian


def solve(
    problem: MarkerProblem,
    start: Tensor,
    frames: Tensor,
    bounds: ActiveSet,
    *,
    tolerance: Tolerance = FINE,
    max_iterations: int = 40,
) -> Solution[Dense]:
    """Minimise the marker error of each frame within hard bounds, by damped Gauss-Newton with an active set.

    Args:
        problem: the markers.
        start: (B, N) rad and m.
        frames: (B,) frame of each row.
        bounds: of the coordinates.
        tolerance: when a frame counts as solved.
        max_iterations: linear solves at most.

    Returns:
        The best point of each row, within the bounds; its cost (m^2) is never above that of ``start`` clamped to them.
    """
    return minimise(
        _Frames(problem, frames),
        bounds.clamp(start),
        solver=bounds,
        damping=_DAMPING,
        stop=Stop(max_iterations, tolerance.step, tolerance.cost),
        move=lambda x, step: bounds.clamp(x + step),
    )


@dataclass(frozen=True, eq=False)
class _Frames(LeastSquares[Dense, Dense]):
    """Some frames of a marker problem, each a problem of its own; cost and normal equations are computed together."""

    problem: MarkerProblem
    frames: Tensor

    def evaluate(self, x: Tensor, rows: Tensor) -> Dense:
        return self.problem.system(x, self.frames[rows])

    def equations(self, guess: Dense) -> Dense:
        return guess


def _outer(first: Tensor, second: Tensor) -> Tensor:
    """(..., 3) twice -> (..., 9)."""
    return (first[..., :, None] * second[..., None, :]).flatten(-2)

"""Solvers of the damped normal equations of :mod:`.solve`: dense, in blocks, with held bounds, frames eliminated first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

_LEAST_SCALE = 1e-12
"""Lower bound of the diagonal that damping is relative to."""
_AT_BOUND = 1e-9
"""A coordinate this near to a bound (rad or m) counts as being at it."""

S_contra = TypeVar("S_contra", contravariant=True)


class LinearSolver(Protocol[S_contra]):
    """Solves ``(J^T W J + damping) step = -gradient`` for a batch."""

    def step(self, system: S_contra, x: Tensor, damping: Tensor) -> Tensor:
        """Solve the equations of R problems.

        Args:
            system: the normal equations at ``x``.
            x: (R, N) unknowns.
            damping: (R,) relative to the diagonal.

        Returns:
            (R, N); NaN for a problem whose damped matrix is not positive definite.
        """


class Dense(NamedTuple):
    """Normal equations of R problems of n unknowns."""

    cost: Tensor
    """(R,)."""
    gradient: Tensor
    """(R, n)."""
    hessian: Tensor
    """(R, n, n) J^T W J."""

    @property
    def scale(self) -> Tensor:
        """(R, n) diagonal that the damping is relative to."""
        return self.hessian.diagonal(dim1=-2, dim2=-1).clamp_min(_LEAST_SCALE)


@dataclass(frozen=True)
class Cholesky:
    """Every problem by its own Cholesky factor."""

    ridge: float = 0.0
    """Added to the diagonal whatever the damping."""

    def step(self, system: Dense, x: Tensor, damping: Tensor) -> Tensor:
        return _solve(system.hessian, damping[:, None] * system.scale + self.ridge, system.gradient)


class Block(NamedTuple):
    """Normal equations of R problems for a group of k of their unknowns."""

    gradient: Tensor
    """(R, k), that of the limits included."""
    hessian: Tensor
    """(R, k, k), that of the limits left out."""
    limits: Tensor
    """(R, k) curvature of soft limits, which is not damped."""


@dataclass(frozen=True, eq=False)
class BlockCholesky:
    """Groups of unknowns that are solved each for itself."""

    columns: Sequence[Tensor]
    """Unknowns of each group."""
    ridge: float

    def step(self, system: Sequence[Block], x: Tensor, damping: Tensor) -> Tensor:
        step = torch.zeros_like(x)
        for columns, block in zip(self.columns, system, strict=True):
            raised = block.limits + damping[:, None] * block.hessian.diagonal(dim1=1, dim2=2) + self.ridge
            step[:, columns] = _solve(block.hessian, raised, block.gradient)
        return step


@dataclass(frozen=True, eq=False)
class ActiveSet:
    """Hard bounds: a coordinate at a bound that the gradient pushes outwards is held for the step."""

    lower: Tensor
    """(N,) may be infinite."""
    upper: Tensor
    """(N,)."""
    free: Tensor
    """(N,) bool: coordinates that may move at all."""

    def step(self, system: Dense, x: Tensor, damping: Tensor) -> Tensor:
        gradient = system.gradient
        below, above = x <= self.lower + _AT_BOUND, x >= self.upper - _AT_BOUND
        live = (~((below & (gradient > 0)) | (above & (gradient < 0)) | ~self.free)).to(x.dtype)
        masked = system.hessian * live[:, :, None] * live[:, None, :]
        return _solve(masked, damping[:, None] * system.scale + (1 - live), gradient * live)


class Bordered(NamedTuple):
    """Normal equations of one problem: P independent frames of n unknowns, and K unknowns that they share."""

    own: Tensor
    """(P, n, n)."""
    own_gradient: Tensor
    """(P, n)."""
    mixed: Tensor
    """(P, n, K) rows of the frames, columns of the shared unknowns."""
    shared: Tensor
    """(K, K)."""
    shared_gradient: Tensor
    """(K,), that of the pull included."""
    pull: float
    """Of each shared unknown to a value; added to the diagonal of ``shared``, and not damped."""


@dataclass(frozen=True)
class Schur:
    """The frames are eliminated first, then what is left of the shared unknowns is damped.

    x is the frames' unknowns one after the other, then the shared ones.
    """

    ridge: float = 1e-9

    def step(self, system: Bordered, x: Tensor, damping: Tensor) -> Tensor:
        own, own_gradient, mixed, shared, shared_gradient, pull = system
        raised = own + torch.diag_embed(damping * own.diagonal(dim1=1, dim2=2) + self.ridge)
        solved = torch.linalg.solve(raised, torch.cat([mixed, own_gradient[..., None]], dim=-1))
        influence, alone = solved[..., :-1], solved[..., -1:]
        left = shared - (mixed.transpose(1, 2) @ influence).sum(0)
        left.diagonal().mul_(1 + damping).add_(pull)
        right = shared_gradient - (mixed.transpose(1, 2) @ alone)[..., 0].sum(0)
        step = -torch.linalg.solve(left, right)
        return torch.cat([-(alone[..., 0] + influence @ step).flatten(), step])[None]


def _solve(matrix: Tensor, diagonal: Tensor, gradient: Tensor) -> Tensor:
    """Solve (R, n, n) with its diagonal raised; NaN where that is not positive definite."""
    raised = matrix.clone()
    raised.diagonal(dim1=-2, dim2=-1).add_(diagonal)
    factor, info = torch.linalg.cholesky_ex(raised)
    step = -torch.cholesky_solve(gradient[..., None], factor)[..., 0]
    return torch.where((info == 0)[:, None], step, torch.nan)

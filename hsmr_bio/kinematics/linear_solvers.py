"""Solvers of the damped normal equations of :mod:`.solve`: dense, in blocks, with hard bounds, with shared unknowns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

_LEAST_SCALE = 1e-12
"""Lower bound of the diagonal that damping is relative to: an unknown that no residual depends on is damped too."""
_AT_BOUND = 1e-9
"""A coordinate this near to a bound (rad or m) counts as being at it: far below any step that matters."""

S_contra = TypeVar("S_contra", contravariant=True)


class LinearSolver(Protocol[S_contra]):
    """Solves ``(J^T W J + damping) step = -gradient`` for a batch."""

    def step(self, system: S_contra, x: Tensor, damping: Tensor, /) -> Tensor:
        """Solve the equations of R problems.

        Args:
            system: the normal equations at ``x``.
            x: (R, N) unknowns.
            damping: (R,) relative to the diagonal.

        Returns:
            (R, N); NaN for a problem whose damped matrix is not positive definite.
        """


class Dense(NamedTuple):
    """Normal equations of R problems of N unknowns."""

    cost: Tensor
    """(R,)."""
    gradient: Tensor
    """(R, N)."""
    hessian: Tensor
    """(R, N, N) J^T W J."""

    @property
    def scale(self) -> Tensor:
        """(R, N) diagonal that the damping is relative to."""
        return self.hessian.diagonal(dim1=-2, dim2=-1).clamp_min(_LEAST_SCALE)


@dataclass(frozen=True)
class Cholesky:
    """Solves each problem by its own Cholesky factor."""

    ridge: float = 0.0
    """Added to the diagonal whatever the damping."""

    def step(self, system: Dense, _x: Tensor, damping: Tensor, /) -> Tensor:
        """Solve the equations of R problems.

        Args:
            system: the normal equations.
            _x: not used.
            damping: (R,) relative to the diagonal.

        Returns:
            (R, N).
        """
        return _solve(system.hessian, damping[:, None] * system.scale + self.ridge, system.gradient)


class Block(NamedTuple):
    """Normal equations of R problems for a group of k of their unknowns."""

    gradient: Tensor
    """(R, k), with that of the limits."""
    hessian: Tensor
    """(R, k, k), without that of the limits."""
    limits: Tensor
    """(R, k) curvature of soft limits, which is not damped."""


@dataclass(frozen=True, eq=False)
class BlockCholesky:
    """Solves groups of unknowns one by one."""

    columns: Sequence[Tensor]
    """Unknowns of each group."""
    ridge: float

    def step(self, system: Sequence[Block], x: Tensor, damping: Tensor, /) -> Tensor:
        """Solve the equations of R problems.

        Args:
            system: the normal equations.
            x: (R, N) unknowns.
            damping: (R,) relative to the diagonal.

        Returns:
            (R, N).
        """
        step = torch.zeros_like(x)
        for columns, block in zip(self.columns, system, strict=True):
            raised = block.limits + damping[:, None] * block.hessian.diagonal(dim1=1, dim2=2) + self.ridge
            step[:, columns] = _solve(block.hessian, raised, block.gradient)
        return step


@dataclass(frozen=True, eq=False)
class ActiveSet:
    """Keeps coordinates within hard bounds: one that the gradient pushes out of its range is held at the bound for the step."""

    lower: Tensor
    """(N,) may be infinite."""
    upper: Tensor
    """(N,) may be infinite."""
    free: Tensor
    """(N,) bool: coordinates that may move at all; the others stay where they are, inside their ranges or not."""

    def step(self, system: Dense, x: Tensor, damping: Tensor, /) -> Tensor:
        """Solve the equations of R problems.

        Args:
            system: the normal equations.
            x: (R, N) coordinates.
            damping: (R,) relative to the diagonal.

        Returns:
            (R, N), zero for coordinates that are held.
        """
        gradient = system.gradient
        below, above = x <= self.lower + _AT_BOUND, x >= self.upper - _AT_BOUND
        live = (~((below & (gradient > 0)) | (above & (gradient < 0)) | ~self.free)).to(x.dtype)
        masked = system.hessian * live[:, :, None] * live[:, None, :]
        return _solve(masked, damping[:, None] * system.scale + (1 - live), gradient * live)

    def clamp(self, x: Tensor) -> Tensor:
        """(R, N) coordinates moved into their ranges, but for those that are not free."""
        return torch.where(self.free, torch.minimum(torch.maximum(x, self.lower), self.upper), x)


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
    """(K,), with that of the pull."""
    pull: float
    """Curvature of the pull of each shared unknown to a value: added to the diagonal of ``shared``, and not damped."""


@dataclass(frozen=True)
class Schur:
    """Eliminates the frames, then solves for the shared unknowns (Schur complement), whose diagonal is damped last.

    x is the unknowns of the frames one after the other, then the shared ones.
    """

    ridge: float = 1e-9
    """Added to the diagonals of the frames whatever the damping."""

    def step(self, system: Bordered, _x: Tensor, damping: Tensor, /) -> Tensor:
        """Solve the equations of one problem.

        Args:
            system: the normal equations.
            _x: not used.
            damping: (1,) relative to the diagonal.

        Returns:
            (1, P n + K).
        """
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

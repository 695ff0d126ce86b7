"""Batched damped least squares: many small, dense problems at once.

Every frame (or window) is a problem of its own with its own damping; none waits for another. Problems that have
converged are dropped from the batch.

Source:
    Marquardt 1963, SIAM J 11:431; the update of the damping follows Madsen, Nielsen and Tingleff 2004, sec. 3.2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

NormalEquations = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]
"""``(x (B, N), active (B,)) -> cost (B,), gradient (B, N), hessian (B, N, N)`` with hessian = J^T W J."""
Cost = Callable[[Tensor, Tensor], Tensor]


class Solution(NamedTuple):
    """Where the least squares ended."""

    x: Tensor
    """(B, N)."""
    cost: Tensor
    """(B,) half the sum of squared, weighted residuals."""
    iterations: int
    converged: Tensor
    """(B,) bool."""


def normal_equations(residual: Tensor, jacobian: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Cost, gradient and Gauss-Newton Hessian of residuals (B, M) with Jacobian (B, M, N)."""
    cost = 0.5 * (residual * residual).sum(-1)
    transposed = jacobian.transpose(-1, -2)
    return cost, (transposed @ residual[..., None])[..., 0], transposed @ jacobian


def levenberg_marquardt(
    equations: NormalEquations,
    cost: Cost,
    start: Tensor,
    *,
    max_iterations: int = 20,
    damping: float = 1e-3,
    step_tolerance: float = 1e-6,
    cost_tolerance: float = 1e-9,
) -> Solution:
    """Minimise a batch of sums of squares.

    Args:
        equations: normal equations at some points; the second argument says which problems are meant.
        cost: the cost alone, for testing a step.
        start: (B, N) first guess.
        max_iterations: at most so many linear solves.
        damping: first damping, relative to the diagonal of the Hessian.
        step_tolerance: a problem has converged when no component of its step is larger, in the unit of x,
        cost_tolerance: or when its cost falls by less than this share.

    Returns:
        The best point of every problem; its cost is never above that of ``start``.
    """
    x = start.clone()
    frames = torch.arange(len(x), device=x.device)
    best = torch.full((len(x),), float("inf"), dtype=x.dtype, device=x.device)
    converged = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    damp = torch.full((len(x),), damping, dtype=x.dtype, device=x.device)
    grow = torch.full_like(damp, 2.0)
    system = equations(x, frames)
    best = system[0].clone()
    iterations = 0
    for iterations in range(1, max_iterations + 1):
        value, gradient, hessian = system
        scale = hessian.diagonal(dim1=-2, dim2=-1).clamp_min(1e-12)
        lhs = hessian + torch.diag_embed(damp[frames, None] * scale)
        factor, info = torch.linalg.cholesky_ex(lhs)
        step = -torch.cholesky_solve(gradient[..., None], factor)[..., 0]
        step = torch.where((info == 0)[:, None] & torch.isfinite(step), step, torch.zeros_like(step))
        trial = x[frames] + step
        reached = cost(trial, frames)
        predicted = 0.5 * (step * (damp[frames, None] * scale * step - gradient)).sum(-1)
        gain = (value - reached) / predicted.clamp_min(1e-300)
        good = (reached < value) & torch.isfinite(reached)
        x[frames[good]] = trial[good]
        best[frames[good]] = reached[good]
        shrink = torch.clamp(1 - (2 * gain - 1) ** 3, min=1 / 3)
        damp[frames] = torch.where(good, damp[frames] * shrink, damp[frames] * grow[frames]).clamp(1e-12, 1e12)
        grow[frames] = torch.where(good, torch.full_like(gain, 2.0), grow[frames] * 2)
        small = (info == 0) & (step.abs().amax(-1) < step_tolerance)
        flat = good & (value - reached < cost_tolerance * value)
        stuck = damp[frames] > 1e10
        done = small | flat | stuck
        converged[frames[done]] = True
        frames = frames[~done]
        if len(frames) == 0:
            break
        if iterations < max_iterations:
            system = equations(x[frames], frames)
    return Solution(x, best, iterations, converged)

"""Damped least squares: the one loop that every fit of this package runs.

A :class:`LeastSquares` problem is a batch of B problems of N unknowns. Each has its own damping and leaves the batch when it
has converged; none waits for another. A fit whose frames depend on each other is a batch of one. The solver of the equations
(:mod:`.linear_solvers`), the damping rule, the limits of a step and the stop test are arguments.

Source:
    Marquardt 1963, SIAM J 11:431.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Generic, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from .linear_solvers import Dense, LinearSolver
from .threads import one_blas_thread

_LEAST_FALL = 1e-300
"""Lower bound of a predicted fall of the cost; it only avoids a division by zero."""
_LEAST_DAMPING, _MOST_DAMPING = 1e-12, 1e12
"""Range of the damping by the gain ratio, so that it neither vanishes nor overflows."""


class Guess(Protocol):
    """R problems at some values of their unknowns."""

    @property
    def cost(self) -> Tensor:
        """(R,) half the sum of squared, weighted residuals, robust where the problem is."""


G = TypeVar("G", bound=Guess)
S = TypeVar("S")
S_contra = TypeVar("S_contra", contravariant=True)


class LeastSquares(ABC, Generic[G, S]):
    """B problems; G is what an evaluation keeps for the normal equations, S the form of these."""

    @abstractmethod
    def evaluate(self, x: Tensor, rows: Tensor) -> G:
        """Evaluate some of the problems.

        Args:
            x: (R, N) unknowns.
            rows: (R,) numbers of the problems.

        Returns:
            The cost, and what :meth:`equations` needs. Of a tuple of tensors (R, ...) the loop picks rows; anything else is
            evaluated again when problems leave or do not take a step.
        """

    @abstractmethod
    def equations(self, guess: G) -> S:
        """Build the normal equations at a guess."""


class Damping(NamedTuple):
    """Damping of R problems, relative to the diagonals of their matrices."""

    value: Tensor
    """(R,)."""
    growth: Tensor
    """(R,) factor after the next step that fails."""


@dataclass(frozen=True, kw_only=True)
class DampingRule(ABC, Generic[S_contra]):
    """How the damping follows the success of the steps."""

    start: float
    """First damping."""
    growth: float
    """First factor after a step that fails."""
    most: float = inf
    """A problem that is damped more is given up."""
    tries: int = 1
    """Steps tried in an iteration; if there are several and all fail, the problem is given up."""

    @abstractmethod
    def update(self, damping: Damping, system: S_contra, step: Tensor, fall: Tensor, better: Tensor, /) -> Damping:
        """Change the damping after a step.

        Args:
            damping: with which the step was found.
            system: normal equations of R problems.
            step: (R, N), zero where there was none.
            fall: (R,) by how much the cost fell.
            better: (R,) bool: whether it did.

        Returns:
            The damping of the next step.
        """


@dataclass(frozen=True, kw_only=True)
class Factors(DampingRule[object]):
    """A fixed factor after each step that succeeds, another after each that fails."""

    shrink: float
    """Factor after a step that succeeds."""
    least: float = 0.0
    """Lower bound of the damping."""
    least_raised: float = 0.0
    """Lower bound of the damping after a step that fails."""

    def update(self, damping: Damping, _system: object, _step: Tensor, _fall: Tensor, better: Tensor, /) -> Damping:
        """Multiply the damping of each problem by one of the factors.

        Args:
            damping: with which the step was found.
            _system: not used.
            _step: not used.
            _fall: not used.
            better: (R,) bool: whether the cost fell.

        Returns:
            The damping of the next step.
        """
        raised = (damping.value * damping.growth).clamp_min(self.least_raised)
        return damping._replace(value=torch.where(better, damping.value * self.shrink, raised).clamp_min(self.least))


@dataclass(frozen=True, kw_only=True)
class GainRatio(DampingRule[Dense]):
    """A factor that depends on the fall of the cost over the predicted one; it doubles with each failure in a row.

    Source:
        Madsen, Nielsen and Tingleff 2004, Methods for Non-Linear Least Squares Problems, sec. 3.2.
    """

    start: float = 1e-3
    growth: float = 2.0
    most: float = 1e10

    def update(self, damping: Damping, system: Dense, step: Tensor, fall: Tensor, better: Tensor, /) -> Damping:
        """Multiply the damping of each problem by a factor that follows from the gain ratio.

        Args:
            damping: with which the step was found.
            system: normal equations of R problems.
            step: (R, N), zero where there was none.
            fall: (R,) by how much the cost fell.
            better: (R,) bool: whether it did.

        Returns:
            The damping of the next step.
        """
        predicted = 0.5 * (step * (damping.value[:, None] * system.scale * step - system.gradient)).sum(-1)
        gain = fall / predicted.clamp_min(_LEAST_FALL)
        shrink = torch.clamp(1 - (2 * gain - 1) ** 3, min=1 / 3)
        value = torch.where(better, damping.value * shrink, damping.value * damping.growth)
        return Damping(value.clamp(_LEAST_DAMPING, _MOST_DAMPING), torch.where(better, self.growth, damping.growth * 2))


@dataclass(frozen=True)
class Stop:
    """When a problem has converged: either tolerance is enough."""

    iterations: int
    """At most so many systems are built."""
    step: float = 0.0
    """No unknown moves as much in a step, in the unit of x."""
    cost: float = 0.0
    """The cost falls by less than this share."""


@dataclass(frozen=True, eq=False)
class Clip:
    """Limits the size of a step."""

    limit: Tensor
    """(N,) or one for all unknowns."""

    def __call__(self, x: Tensor, step: Tensor) -> Tensor:
        return x + step.clamp(-self.limit, self.limit)


@dataclass(frozen=True, eq=False)
class Solution(Generic[G]):
    """Result of a least-squares problem."""

    x: Tensor
    """(B, N)."""
    cost: Tensor
    """(B,)."""
    converged: Tensor
    """(B,) bool: left the batch before the iterations were used up."""
    guess: G
    """Evaluation at ``x`` of the problems of the last iteration; the one before it if only some took that step and all left."""


@one_blas_thread()
def minimise(
    problem: LeastSquares[G, S],
    start: Tensor,
    *,
    solver: LinearSolver[S],
    damping: DampingRule[S],
    stop: Stop,
    move: Callable[[Tensor, Tensor], Tensor] = torch.add,
) -> Solution[G]:
    """Minimise a batch of sums of squares; BLAS uses one thread meanwhile.

    Args:
        problem: B problems.
        start: (B, N) first guess.
        solver: of the damped equations.
        damping: its start, and its change after each step.
        stop: when a problem leaves the batch.
        move: gives the unknowns (R, N) after a step from the unknowns before it and the step.

    Returns:
        The best point of every problem; its cost is never above that of ``start``.
    """
    x, rows = start, torch.arange(len(start), device=start.device)
    guess = problem.evaluate(x, rows)
    best, cost = start.clone(), guess.cost.clone()
    converged = torch.zeros_like(cost, dtype=torch.bool)
    damp = Damping(torch.full_like(cost, damping.start), torch.full_like(cost, damping.growth))
    for _ in range(stop.iterations):
        system = problem.equations(guess)
        for _ in range(damping.tries):
            step = solver.step(system, x, damp.value)
            solved = torch.isfinite(step).all(-1)
            step = torch.where(solved[:, None], step, 0.0)
            target = move(x, step)
            trial = problem.evaluate(target, rows)
            better, fall = trial.cost < guess.cost, guess.cost - trial.cost
            damp = damping.update(damp, system, step, fall, better)
            if bool(better.all()):
                break
        done = (solved & ((target - x).abs().amax(-1) < stop.step)) | (better & (fall < stop.cost * guess.cost))
        done |= damp.value > damping.most
        if damping.tries > 1:
            done |= ~better
        x = torch.where(better[:, None], target, x)
        best[rows], cost[rows] = x, torch.where(better, trial.cost, guess.cost)
        converged[rows[done]] = True
        guess = trial if bool(better.all()) else guess
        if bool(done.all()):
            break
        if not bool(done.any()) and bool((better == better[0]).all()):
            continue  # all took their steps, or none
        going = ~done
        x, rows, damp = x[going], rows[going], Damping(*(part[going] for part in damp))
        picked = _picked(guess, trial, better, going)
        guess = problem.evaluate(x, rows) if picked is None else picked
    return Solution(best, cost, converged, guess)


def _picked(guess: G, trial: G, better: Tensor, going: Tensor) -> G | None:
    """The better of two evaluations of each problem that goes on; None unless they are tuples of tensors."""
    if not isinstance(guess, tuple) or not isinstance(trial, tuple):
        return None
    pairs = zip(guess, trial, strict=True)
    return type(guess)(*(torch.where(better.view(-1, *[1] * (old.ndim - 1)), new, old)[going] for old, new in pairs))

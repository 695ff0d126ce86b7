"""Damped least squares: the one loop that every fit of this package runs.

A :class:`LeastSquares` problem is a batch of B problems of N unknowns. Every one has its own damping and leaves the batch
when it has converged; none waits for another. A fit whose frames depend on each other is a batch of one. How the equations
are solved (:mod:`.linear_solvers`), how the damping follows the success of a step, where a step may lead and when a problem
has converged are arguments.

Source:
    Marquardt 1963, SIAM J 11:431.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from .linear_solvers import Dense, LinearSolver


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
    growth: float
    """First factor after a step that fails."""
    most: float = float("inf")
    """A problem that is damped more is given up."""
    tries: int = 1
    """Steps tried in an iteration; if there are several and all fail, the problem is given up."""

    @abstractmethod
    def update(self, damping: Damping, system: S_contra, step: Tensor, fall: Tensor, better: Tensor) -> Damping:
        """Change the damping after a step.

        Args:
            damping: that the step was found with.
            system: normal equations of R problems.
            step: (R, N), zero where there was none.
            fall: (R,) by how much the cost fell.
            better: (R,) bool: whether it did.
        """


@dataclass(frozen=True, kw_only=True)
class Factors(DampingRule[object]):
    """A fixed factor after each step that succeeds, another after each that fails."""

    shrink: float
    least: float = 0.0
    least_raised: float = 0.0
    """The damping after a step that failed is at least this."""

    def update(self, damping: Damping, system: object, step: Tensor, fall: Tensor, better: Tensor) -> Damping:
        raised = (damping.value * damping.growth).clamp_min(self.least_raised)
        return damping._replace(value=torch.where(better, damping.value * self.shrink, raised).clamp_min(self.least))


@dataclass(frozen=True, kw_only=True)
class GainRatio(DampingRule[Dense]):
    """A factor that depends on how much of the predicted fall came true; failures in a row count more and more.

    Source:
        Madsen, Nielsen and Tingleff 2004, Methods for Non-Linear Least Squares Problems, sec. 3.2.
    """

    start: float = 1e-3
    growth: float = 2.0
    most: float = 1e10

    def update(self, damping: Damping, system: Dense, step: Tensor, fall: Tensor, better: Tensor) -> Damping:
        predicted = 0.5 * (step * (damping.value[:, None] * system.scale * step - system.gradient)).sum(-1)
        gain = fall / predicted.clamp_min(1e-300)
        shrink = torch.clamp(1 - (2 * gain - 1) ** 3, min=1 / 3)
        value = torch.where(better, damping.value * shrink, damping.value * damping.growth).clamp(1e-12, 1e12)
        return Damping(value, torch.where(better, self.growth, damping.growth * 2))


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
    """Steps of limited size."""

    limit: Tensor
    """(N,) or one for all unknowns."""

    def __call__(self, x: Tensor, step: Tensor) -> Tensor:
        return x + step.clamp(-self.limit, self.limit)


@dataclass(frozen=True, eq=False)
class Within:
    """Steps that end inside hard bounds."""

    lower: Tensor
    """(N,)."""
    upper: Tensor

    def __call__(self, x: Tensor, step: Tensor) -> Tensor:
        return torch.minimum(torch.maximum(x + step, self.lower), self.upper)


@dataclass(frozen=True, eq=False)
class Solution(Generic[G]):
    """Where the least squares ended."""

    x: Tensor
    """(B, N)."""
    cost: Tensor
    """(B,)."""
    converged: Tensor
    """(B,) bool: left the batch before the iterations were used up."""
    guess: G
    """Evaluation at ``x`` of the problems that the last iteration was about (if not all of them took their step and all left:
    the evaluation before it)."""


def minimise(
    problem: LeastSquares[G, S],
    start: Tensor,
    *,
    solver: LinearSolver[S],
    damping: DampingRule[S],
    stop: Stop,
    move: Callable[[Tensor, Tensor], Tensor] = torch.add,
) -> Solution[G]:
    """Minimise a batch of sums of squares.

    Args:
        problem: B problems.
        start: (B, N) first guess.
        solver: of the damped equations.
        damping: its start, and its change after each step.
        stop: when a problem leaves the batch.
        move: (R, N) unknowns and a step to the unknowns after it.

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
        small = solved & ((target - x).abs().amax(-1) < stop.step)
        done = small | (better & (fall < stop.cost * guess.cost)) | (damp.value > damping.most)
        going = ~(done | ~better if damping.tries > 1 else done)
        x = torch.where(better[:, None], target, x)
        best[rows], cost[rows] = x, torch.where(better, trial.cost, guess.cost)
        converged[rows[~going]] = True
        guess = trial if bool(better.all()) else guess
        if not bool(going.any()):
            break
        if bool(going.all() & (better == better[0]).all()):
            continue  # all took their steps, or none
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

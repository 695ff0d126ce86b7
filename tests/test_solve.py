"""The damped least-squares loop with each damping rule, and each linear solver against dense algebra."""

import dataclasses
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from hsmr_bio.fitting.core.arrow_system import ArrowSolver, ArrowSystem
from hsmr_bio.kinematics.linear_solvers import ActiveSet, Block, BlockCholesky, Bordered, Cholesky, Dense, LinearSolver, Schur
from hsmr_bio.kinematics.solve import Clip, Damping, Factors, GainRatio, LeastSquares, Stop, minimise

TIMES = torch.linspace(0, 2, 15, dtype=torch.float64)
HALF = Factors(start=1e-3, shrink=0.5, growth=4.0)


class Curve(NamedTuple):
    """Some curves, to be picked row by row."""

    cost: Tensor
    x: Tensor
    rows: Tensor


@dataclasses.dataclass
class Kept:
    """The same, to be evaluated again."""

    cost: Tensor
    x: Tensor
    rows: Tensor


class Curves(LeastSquares[Curve | Kept, Dense]):
    """Amplitude and rate of exponential decays; ``asked`` are the problems of each evaluation."""

    def __init__(self, wanted: Tensor, kind: type = Curve) -> None:
        self.data, self.kind, self.asked = self.values(wanted), kind, []

    @staticmethod
    def values(x: Tensor) -> Tensor:
        return x[:, :1] * torch.exp(-x[:, 1:] * TIMES)

    def evaluate(self, x: Tensor, rows: Tensor) -> Curve | Kept:
        self.asked.append(rows.tolist())
        return self.kind(0.5 * (self.values(x) - self.data[rows]).square().sum(-1), x, rows)

    def equations(self, guess: Curve | Kept) -> Dense:
        cost, x, rows = guess.cost, guess.x, guess.rows
        decay = torch.exp(-x[:, 1:] * TIMES)
        jacobian = torch.stack([decay, -x[:, :1] * TIMES * decay], dim=-1)
        miss = (self.values(x) - self.data[rows])[..., None]
        return Dense(cost, (jacobian.mT @ miss)[..., 0], jacobian.mT @ jacobian)


def curves(count: int, kind: type = Curve) -> tuple[Curves, Tensor, Tensor]:
    """Problem, solution and start."""
    wanted = torch.tensor(np.random.default_rng(4).uniform(0.5, 2.0, size=(count, 2)))
    return Curves(wanted, kind), wanted, torch.ones(count, 2, dtype=torch.float64)


@pytest.mark.parametrize("kind", [Curve, Kept])
@pytest.mark.parametrize("rule", [GainRatio(), HALF, Factors(start=1.0, shrink=0.2, growth=10.0, least=1e-7, tries=6)])
def test_every_rule_solves_a_batch_of_curves(rule: GainRatio | Factors, kind: type) -> None:
    problem, wanted, start = curves(40, kind)
    result = minimise(problem, start, solver=Cholesky(), damping=rule, stop=Stop(60, step=1e-9))
    assert bool(result.converged.all())
    torch.testing.assert_close(result.x, wanted, atol=1e-7, rtol=0)
    torch.testing.assert_close(result.cost, problem.evaluate(result.x, torch.arange(40)).cost)


@pytest.mark.parametrize("kind", [Curve, Kept])
def test_a_problem_that_has_converged_leaves_the_batch(kind: type) -> None:
    problem, wanted, start = curves(6, kind)
    start[2] = wanted[2]
    minimise(problem, start, solver=Cholesky(), damping=HALF, stop=Stop(30, step=1e-6))
    assert problem.asked[1] == [0, 1, 2, 3, 4, 5]
    assert all(2 not in rows for rows in problem.asked[2:])
    assert len(problem.asked[2]) == 5


@pytest.mark.parametrize("kind", [Curve, Kept])
def test_no_problem_waits_for_another(kind: type) -> None:
    problem, _, start = curves(12, kind)
    start[::3, 1] = 6.0  # these take more steps, and refuse some
    stop = Stop(30, step=1e-9)
    together = minimise(problem, start, solver=Cholesky(), damping=GainRatio(), stop=stop)
    for i in range(12):
        alone = Curves(torch.ones(1, 2), kind)
        alone.data = problem.data[i : i + 1]
        single = minimise(alone, start[i : i + 1], solver=Cholesky(), damping=GainRatio(), stop=stop)
        torch.testing.assert_close(together.x[i], single.x[0], atol=1e-12, rtol=0)


def test_a_step_that_raises_the_cost_is_not_taken() -> None:
    problem, _, start = curves(8)
    start[:, 1] = 8.0
    costs = [problem.evaluate(start, torch.arange(8)).cost]
    for iterations in range(1, 8):
        result = minimise(problem, start, solver=Cholesky(), damping=HALF, stop=Stop(iterations))
        costs.append(result.cost)
        torch.testing.assert_close(problem.evaluate(result.x, torch.arange(8)).cost, result.cost, atol=0, rtol=0)
    assert all(bool((after <= before).all()) for before, after in pairwise(costs))
    assert any(bool((after == before).any()) for before, after in pairwise(costs))


class Away(Curves):
    """Equations that point uphill: no step is ever better."""

    def equations(self, guess: Curve | Kept) -> Dense:
        system = super().equations(guess)
        return system._replace(gradient=-system.gradient)


@pytest.mark.parametrize(("tries", "steps"), [(1, 9), (6, 6)])
def test_a_rule_with_several_tries_gives_up_after_them(tries: int, steps: int) -> None:
    """Nine iterations of one try, or six tries in the first iteration."""
    problem = Away(torch.tensor([[1.5, 0.7]], dtype=torch.float64), Kept)
    rule = Factors(start=1e-3, shrink=0.2, growth=10.0, tries=tries)
    result = minimise(problem, torch.ones(1, 2, dtype=torch.float64), solver=Cholesky(), damping=rule, stop=Stop(9))
    assert len(problem.asked) == 1 + steps
    assert bool(result.converged) is (tries > 1)
    torch.testing.assert_close(result.x, torch.ones(1, 2, dtype=torch.float64))


def test_what_is_damped_too_much_is_given_up() -> None:
    problem = Away(torch.tensor([[1.5, 0.7]], dtype=torch.float64))
    rule = Factors(start=1e-3, shrink=0.2, growth=10.0, most=1.0)
    minimise(problem, torch.ones(1, 2, dtype=torch.float64), solver=Cholesky(), damping=rule, stop=Stop(50))
    assert len(problem.asked) == 1 + 4  # 1e-2, 1e-1, 1, 10


def test_a_matrix_that_is_not_positive_definite_gets_more_damping() -> None:
    class Indefinite(Curves):
        def equations(self, guess: Curve | Kept) -> Dense:
            system = super().equations(guess)
            return system._replace(hessian=system.hessian - 5 * torch.eye(2, dtype=torch.float64))

    problem, wanted, start = curves(5)
    other = Indefinite(wanted)
    system = other.equations(other.evaluate(start, torch.arange(5)))
    assert bool(torch.isnan(Cholesky().step(system, start, torch.zeros(5, dtype=torch.float64))).any())
    result = minimise(other, start, solver=Cholesky(), damping=HALF, stop=Stop(40, step=1e-9))
    assert bool((result.cost < problem.evaluate(start, torch.arange(5)).cost).all())


def test_steps_are_clipped() -> None:
    problem, _, start = curves(4)
    start[:] = torch.tensor([3.0, 0.1])
    limit = torch.tensor([0.05, 0.2], dtype=torch.float64)
    moved = minimise(problem, start, solver=Cholesky(), damping=HALF, stop=Stop(1), move=Clip(limit)).x - start
    torch.testing.assert_close(moved.abs().amax(0), limit)


def test_a_bound_that_the_gradient_pushes_on_is_held() -> None:
    problem = Curves(torch.tensor([[2.0, 1.5], [0.8, 0.6]], dtype=torch.float64))
    lower, upper = torch.tensor([0.0, 0.0]).double(), torch.tensor([1.0, 5.0]).double()
    solver = ActiveSet(lower, upper, torch.tensor([True, True]))
    start = torch.tensor([[1.0, 1.0], [1.0, 1.0]], dtype=torch.float64)
    first = solver.step(problem.equations(problem.evaluate(start, torch.arange(2))), start, torch.zeros(2).double())
    assert first[0, 0] == 0 and first[1, 0] < 0  # the first wants a larger amplitude, the second a smaller one
    stop = Stop(60, step=1e-10)
    inside = lambda x, step: solver.clamp(x + step)  # noqa: E731
    found = minimise(problem, start, solver=solver, damping=HALF, stop=stop, move=inside).x
    assert found[0, 0] == 1.0
    slope = problem.equations(problem.evaluate(found, torch.arange(2))).gradient
    assert slope[0, 0] < 0 and abs(slope[0, 1]) < 1e-8  # at the bound, and best along it
    torch.testing.assert_close(found[1], torch.tensor([0.8, 0.6], dtype=torch.float64), atol=1e-8, rtol=0)


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_a_coordinate_at_a_bound_may_come_back(side: float) -> None:
    """At either bound: held where the gradient pushes outwards, free where it pulls back inside."""
    solver = ActiveSet(-torch.ones(1).double(), torch.ones(1).double(), torch.tensor([True]))
    at, hessian = torch.tensor([[side]]).double(), torch.ones(1, 1, 1).double()
    outwards, inwards = (
        solver.step(Dense(at[0], sign * at, hessian), at, torch.zeros(1).double()).item() for sign in (-1.0, 1.0)
    )
    assert (outwards, inwards) == (0.0, -side)


def test_a_problem_whose_cost_hardly_falls_leaves_the_batch() -> None:
    problem, _, start = curves(5)
    problem.data += 0.1 * torch.cos(40 * TIMES)  # no curve goes through these
    result = minimise(problem, start, solver=Cholesky(), damping=HALF, stop=Stop(40, cost=1e-4))
    assert bool(result.converged.all())
    assert len(problem.asked) < 15


def test_a_locked_coordinate_stays() -> None:
    problem, _, start = curves(3)
    nowhere = torch.full((2,), torch.inf, dtype=torch.float64)
    solver = ActiveSet(-nowhere, nowhere, torch.tensor([True, False]))
    found = minimise(problem, start, solver=solver, damping=HALF, stop=Stop(30, step=1e-9)).x
    assert bool((found[:, 1] == start[:, 1]).all()) and bool((found[:, 0] != start[:, 0]).any())


def test_damping_follows_fixed_factors() -> None:
    rule = Factors(start=1.0, shrink=0.2, growth=8.0, least=0.1, least_raised=20.0)
    value = torch.tensor([1.0, 1.0, 4.0, 0.2])
    better = torch.tensor([True, False, False, True])
    nothing = torch.zeros(4)
    got = rule.update(Damping(value, torch.full((4,), 8.0)), None, nothing[:, None], nothing, better).value
    torch.testing.assert_close(got, torch.tensor([0.2, 20.0, 32.0, 0.1]))


def test_damping_follows_the_gain_ratio() -> None:
    """A step that does as predicted: a third. Half of it: as before. Failures in a row: twice, four times ..."""
    hessian, gradient = torch.tensor([[[4.0]]]).double(), torch.tensor([[2.0]]).double()
    system = Dense(torch.ones(1).double(), gradient, hessian)
    damping = Damping(torch.tensor([0.5]).double(), torch.tensor([2.0]).double())
    step = Cholesky().step(system, gradient, damping.value)  # -1/3; the model falls by 2/3 - 4/18 = 4/9
    fall, yes, no = torch.tensor([4 / 9]).double(), torch.tensor([True]), torch.tensor([False])
    rule = GainRatio()
    assert float(rule.update(damping, system, step, fall, yes).value) == pytest.approx(0.5 / 3)
    assert float(rule.update(damping, system, step, fall / 2, yes).value) == pytest.approx(0.5)
    failed = rule.update(damping, system, step, -fall, no)
    again = rule.update(failed, system, step, -fall, no)
    assert [float(failed.value), float(again.value), float(again.growth)] == pytest.approx([1.0, 4.0, 8.0])
    assert float(rule.update(again, system, step, fall, yes).growth) == 2.0


def random_matrix(rng: np.random.Generator, *shape: int) -> Tensor:
    """Positive definite."""
    rows = torch.tensor(rng.normal(size=(*shape[:-1], shape[-1] + 3, shape[-1])))
    return rows.mT @ rows


def test_cholesky_equals_a_dense_solve() -> None:
    rng = np.random.default_rng(0)
    hessian, gradient = random_matrix(rng, 5, 4), torch.tensor(rng.normal(size=(5, 4)))
    damping = torch.tensor([0.0, 0.1, 1.0, 3.0, 10.0]).double()
    before = hessian.clone()
    step = Cholesky(ridge=0.01).step(Dense(damping, gradient, hessian), gradient, damping)
    raised = hessian + torch.diag_embed(damping[:, None] * hessian.diagonal(dim1=1, dim2=2) + 0.01)
    torch.testing.assert_close(step, -torch.linalg.solve(raised, gradient))
    torch.testing.assert_close(hessian, before, atol=0, rtol=0)


def test_blocks_are_solved_each_for_itself() -> None:
    rng = np.random.default_rng(1)
    columns = [torch.tensor([3, 0]), torch.tensor([1, 4, 2])]
    blocks = [
        Block(torch.tensor(rng.normal(size=(2, len(c)))), random_matrix(rng, 2, len(c)), torch.rand(2, len(c)).double())
        for c in columns
    ]
    damping = torch.tensor([0.0, 0.5]).double()
    step = BlockCholesky(columns, ridge=1e-3).step(blocks, torch.zeros(2, 5).double(), damping)
    for c, block in zip(columns, blocks, strict=True):
        raised = damping[:, None] * block.hessian.diagonal(dim1=1, dim2=2) + block.limits + 1e-3  # limits are not damped
        torch.testing.assert_close(step[:, c], -torch.linalg.solve(block.hessian + torch.diag_embed(raised), block.gradient))


def bordered(frames: int, n: int, shared: int, pull: float) -> tuple[Bordered, Tensor, Tensor]:
    """A system with its dense matrix, pull included, and gradient."""
    rng = np.random.default_rng(2)
    size = frames * n
    dense = random_matrix(rng, size + shared) + 20 * torch.eye(size + shared, dtype=torch.float64)
    for t in range(frames):
        here, after = slice(t * n, t * n + n), slice(t * n + n, size)
        dense[here, after] = 0
        dense[after, here] = 0
    gradient = torch.tensor(rng.normal(size=size + shared))
    own = torch.stack([dense[t * n : t * n + n, t * n : t * n + n] for t in range(frames)])
    mixed, corner = dense[:size, size:].reshape(frames, n, shared), dense[size:, size:].clone()
    dense[size:, size:] += pull * torch.eye(shared, dtype=torch.float64)
    return Bordered(own, gradient[:size].view(frames, n), mixed, corner, gradient[size:], pull), dense, gradient


def test_eliminating_the_frames_equals_a_dense_solve() -> None:
    system, dense, gradient = bordered(5, 3, 2, 0.7)
    step = Schur(ridge=0.0).step(system, gradient[None], torch.zeros(1).double())
    torch.testing.assert_close(step[0], -torch.linalg.solve(dense, gradient))


def test_what_is_left_of_the_shared_unknowns_is_damped_but_not_their_pull() -> None:
    system, _, gradient = bordered(5, 3, 2, 0.7)
    step = Schur(ridge=0.0).step(system, gradient[None], torch.tensor([0.4]).double())[0]
    own = system.own + torch.diag_embed(0.4 * system.own.diagonal(dim1=1, dim2=2))
    left = system.shared - (system.mixed.mT @ torch.linalg.solve(own, system.mixed)).sum(0)
    left = left + torch.diag(0.4 * left.diagonal() + 0.7)
    right = gradient[-2:] - (system.mixed.mT @ torch.linalg.solve(own, system.own_gradient[..., None])).sum(0)[:, 0]
    torch.testing.assert_close(step[-2:], -torch.linalg.solve(left, right))


def test_the_arrow_solver_moves_only_free_shared_unknowns() -> None:
    system, dense, gradient = bordered(4, 3, 2, 0.0)
    arrow = ArrowSystem.empty(4, 3, 2)
    arrow.diagonal[:], arrow.gradient[:], arrow.border[:] = system.own, system.own_gradient, system.mixed
    arrow.shared[:], arrow.shared_gradient[:] = system.shared, system.shared_gradient
    x, none = torch.zeros(1, 12 + 5).double(), torch.zeros(1).double()
    step = ArrowSolver(np.array([1, 4])).step(arrow, x, none)[0]
    torch.testing.assert_close(step[[*range(12), 13, 16]], -torch.linalg.solve(dense, gradient))
    assert step[[12, 14, 15]].tolist() == [0, 0, 0]
    arrow.diagonal[0] = -arrow.diagonal[0]
    assert bool(torch.isnan(ArrowSolver(np.array([1, 4])).step(arrow, x, none)).all())


@pytest.mark.parametrize("damping", [0.01, 1.0])
def test_more_damping_gives_a_shorter_step_downhill(damping: float) -> None:
    solvers: list[tuple[LinearSolver, object, Tensor, Tensor]] = []
    rng = np.random.default_rng(3)
    hessian, gradient = random_matrix(rng, 1, 6), torch.tensor(rng.normal(size=(1, 6)))
    dense, none = Dense(gradient[:, 0], gradient, hessian), torch.zeros(1).double()
    free = ActiveSet(torch.full((6,), -torch.inf), torch.full((6,), torch.inf), torch.ones(6, dtype=torch.bool))
    solvers += [(Cholesky(), dense, gradient, gradient), (free, dense, gradient, gradient)]
    system, _, whole = bordered(5, 3, 2, 0.7)
    solvers.append((Schur(), system, whole[None], whole[None]))
    for solver, equations, x, slope in solvers:
        plain, damped = solver.step(equations, x, none), solver.step(equations, x, none + damping)
        assert damped.norm() < plain.norm()
        assert float((damped * slope).sum()) < 0


def test_blas_has_one_thread_while_a_fit_runs() -> None:
    """Threads inside small matrix products wait for each other: a fit on a busy machine took twenty times as long."""
    from threadpoolctl import threadpool_info, threadpool_limits

    seen: set[int] = set()

    class Watched(Curves):
        def evaluate(self, x: Tensor, rows: Tensor) -> Curve | Kept:
            seen.update(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas")
            return super().evaluate(x, rows)

    problem = Watched(torch.tensor([[1.0, 2.0]], dtype=torch.float64))
    with threadpool_limits(limits=2, user_api="blas"):
        before = [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]
        minimise(problem, torch.ones(1, 2, dtype=torch.float64), solver=Cholesky(), damping=HALF, stop=Stop(3))
        after = [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]
    assert seen == {1}
    assert after == before

"""The band-and-border solver against dense linear algebra."""

import numpy as np
import pytest

from hsmr_bio.fitting.core.arrow_system import ArrowSystem


def random_system(frames: int, n: int, shared: int) -> tuple[ArrowSystem, np.ndarray, np.ndarray]:
    """A positive definite system in both forms: (system, dense matrix, dense gradient)."""
    rng = np.random.default_rng(frames * 100 + n)
    system = ArrowSystem.empty(frames, n, shared)
    for t in range(frames):
        a = rng.normal(size=(n + 3, n))
        system.diagonal[t] = a.T @ a + 12 * np.eye(n)
    system.below[:] = rng.normal(size=system.below.shape) * 0.5
    system.second[:] = rng.normal(size=system.second.shape) * 0.5
    system.gradient[:] = rng.normal(size=system.gradient.shape)
    system.border[:] = rng.normal(size=system.border.shape) * 0.1
    b = rng.normal(size=(shared + 2, shared))
    system.shared[:] = b.T @ b + 5 * np.eye(shared)
    system.shared_gradient[:] = rng.normal(size=shared)
    size = frames * n
    dense = np.zeros((size + shared, size + shared))
    for t in range(frames):
        here = slice(t * n, t * n + n)
        dense[here, here] = system.diagonal[t]
        if t + 1 < frames:
            ahead = slice((t + 1) * n, (t + 2) * n)
            dense[ahead, here] = system.below[t]
            dense[here, ahead] = system.below[t].T
        if t + 2 < frames:
            ahead = slice((t + 2) * n, (t + 3) * n)
            dense[ahead, here] = np.diag(system.second[t])
            dense[here, ahead] = np.diag(system.second[t])
    dense[:size, size:] = system.border.reshape(size, shared)
    dense[size:, :size] = dense[:size, size:].T
    dense[size:, size:] = system.shared
    return system, dense, np.concatenate([system.gradient.ravel(), system.shared_gradient])


@pytest.mark.parametrize(("frames", "n", "shared"), [(1, 4, 2), (2, 3, 0), (3, 5, 1), (9, 6, 3)])
@pytest.mark.parametrize("damping", [0.0, 0.3])
def test_the_step_equals_a_dense_solve(frames: int, n: int, shared: int, damping: float) -> None:
    system, dense, gradient = random_system(frames, n, shared)
    damped = dense + damping * np.diag(np.diag(dense))
    wanted = -np.linalg.solve(damped, gradient)
    step, shared_step = system.solve(damping)
    np.testing.assert_allclose(np.concatenate([step.ravel(), shared_step]), wanted, atol=1e-10)


def test_the_standard_deviation_is_that_of_the_inverse() -> None:
    system, dense, _ = random_system(6, 4, 0)
    wanted = np.sqrt(np.diag(np.linalg.inv(dense))).reshape(6, 4)
    np.testing.assert_allclose(system.standard_deviation(samples=4000), wanted, rtol=0.06)

"""One linear system for all frames of a motion: a band matrix bordered by a few shared unknowns.

Frame t is coupled with frame t+1 by a full block (contacts, velocities) and with frame t+2 by a diagonal (accelerations), so
that the matrix over all frames has the bandwidth 2N+1. Shape and camera, shared by all frames, border it. They are eliminated
by the Schur complement: ``(S - C^T H^-1 C) ds = C^T H^-1 g - h``, then ``H dx = -g - C ds``. Time and memory are proportional
to the number of frames.

Source:
    Banded Cholesky: Golub and Van Loan 2013, Matrix Computations, 4th ed., sec. 4.3. Elimination: Triggs et al. 2000, Bundle
    adjustment - a modern synthesis, sec. 6.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, cho_solve_banded, cholesky_banded, lapack
from torch import Tensor

from ...types import FloatArray

_POSTERIOR_DAMPING = 1e-9
"""Share that is added to the diagonal before standard deviations are drawn: rounding must not make the matrix indefinite."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Derivatives of residuals (R, G, D): G observations of D components in each of R frames, or pairs or triples of frames."""

    frames: tuple[Tensor, ...] = ()
    """By the unknowns of the frame, of the next frame and so on: (R, G, D, N) each; (R, N, D) where observation n depends on
    unknown n alone. Empty for residuals of the shared unknowns alone."""
    shared: Tensor | None = None
    """(R, G, D, k) by some of the shared unknowns."""
    columns: Sequence[int] = ()
    """(k,) indices of these shared unknowns."""


@dataclass
class ArrowSystem:
    """Normal equations ``H dx + C ds = -g``, ``C^T dx + S ds = -h`` over T frames of N unknowns and K shared unknowns."""

    diagonal: FloatArray
    """(T, N, N) symmetric blocks of H, one per frame."""
    below: FloatArray
    """(T-1, N, N) blocks of H: rows of frame t+1, columns of frame t."""
    second: FloatArray
    """(T-2, N) diagonals of the blocks of H that couple frame t+2 with frame t."""
    gradient: FloatArray
    """(T, N) g."""
    border: FloatArray
    """(T, N, K) C."""
    shared: FloatArray
    """(K, K) S."""
    shared_gradient: FloatArray
    """(K,) h."""

    @classmethod
    def empty(cls, frames: int, unknowns: int, shared: int) -> ArrowSystem:
        """Make a system of zeros.

        Args:
            frames: T.
            unknowns: N, per frame.
            shared: K.

        Returns:
            A system that terms are added to.
        """
        return cls(
            np.zeros((frames, unknowns, unknowns)),
            np.zeros((max(frames - 1, 0), unknowns, unknowns)),
            np.zeros((max(frames - 2, 0), unknowns)),
            np.zeros((frames, unknowns)),
            np.zeros((frames, unknowns, shared)),
            np.zeros((shared, shared)),
            np.zeros(shared),
        )

    def add(self, rows: Rows, residual: Tensor, gain: Tensor) -> None:
        """Add squared residuals: ``J^T W J`` to the matrix and ``J^T W r`` to the gradient.

        Args:
            rows: derivatives J of the residuals.
            residual: (R, G, D) r.
            gain: (R, G) square roots of the weights W; they multiply rows and residuals.
        """
        count, residual = len(residual), residual * gain[..., None]
        blocks = [block * (gain[..., None, None] if block.ndim > residual.ndim else gain[..., None]) for block in rows.frames]
        if blocks and blocks[0].ndim == residual.ndim:
            self._add_diagonal(blocks, residual)
            return
        flat_residual, dense = residual.flatten(1)[..., None], [block.flatten(1, 2) for block in blocks]
        for i, block in enumerate(dense):
            transposed = block.transpose(1, 2)
            self.diagonal[i : i + count] += (transposed @ block).numpy()
            self.gradient[i : i + count] += (transposed @ flat_residual)[..., 0].numpy()
            if i:
                self.below[i - 1 : i - 1 + count] += (transposed @ dense[i - 1]).numpy()
        if rows.shared is None:
            return
        columns, shared = list(rows.columns), (rows.shared * gain[..., None, None]).flatten(1, 2)
        if dense:
            self.border[:, :, columns] += (dense[0].transpose(1, 2) @ shared).numpy()
        flat = shared.flatten(0, 1)
        self.shared[np.ix_(columns, columns)] += (flat.T @ flat).numpy()
        self.shared_gradient[columns] += (flat.T @ flat_residual.flatten()).numpy()

    def _add_diagonal(self, blocks: Sequence[Tensor], residual: Tensor) -> None:
        """Add observations (R, N, D) that depend on one unknown each, in up to three frames."""
        count = len(residual)
        for i, block in enumerate(blocks):
            self.gradient[i : i + count] += (block * residual).sum(-1).numpy()
            _diagonals(self.diagonal)[i : i + count] += block.square().sum(-1).numpy()
        for i in range(1, len(blocks)):
            _diagonals(self.below)[i - 1 : i - 1 + count] += (blocks[i - 1] * blocks[i]).sum(-1).numpy()
        for i in range(2, len(blocks)):
            self.second[i - 2 : i - 2 + count] += (blocks[i - 2] * blocks[i]).sum(-1).numpy()

    def band(self, damping: float) -> FloatArray:
        """(2N+1, T N) lower band storage of H, its diagonal multiplied by ``1 + damping``."""
        frames, n = self.gradient.shape
        width = 2 * n + 1 if frames > 2 else n * min(frames, 2)
        band = np.zeros((width, frames, n))
        for j in range(n):
            band[: n - j, :, j] = self.diagonal[:, j:, j].T
            if frames > 1:
                band[n - j : 2 * n - j, :-1, j] = self.below[:, :, j].T
        if frames > 2:
            band[2 * n, :-2, :] = self.second
        band = band.reshape(width, frames * n)
        band[0] *= 1 + damping
        return band

    def solve(self, damping: float) -> tuple[FloatArray, FloatArray]:
        """Step (T, N) of the frames and (K,) of the shared unknowns, with the diagonal multiplied by ``1 + damping``.

        Raises:
            numpy.linalg.LinAlgError: the damped matrix is not positive definite.
        """
        frames, n = self.gradient.shape
        count = len(self.shared_gradient)
        border = self.border.reshape(frames * n, count)
        factor = cholesky_banded(self.band(damping), overwrite_ab=True, lower=True, check_finite=False)
        right = np.concatenate([self.gradient.reshape(-1, 1), border], axis=1)
        solved = cho_solve_banded((factor, True), right, overwrite_b=True, check_finite=False)
        step, influence = -solved[:, 0], solved[:, 1:]
        if count == 0:
            return step.reshape(frames, n), np.zeros(0)
        schur = self.shared * (1 + damping * np.eye(count)) - border.T @ influence
        shared_step = -cho_solve(cho_factor(schur, lower=True), self.shared_gradient + border.T @ step)
        return (step - influence @ shared_step).reshape(frames, n), shared_step

    def standard_deviation(self, samples: int = 48) -> FloatArray:
        """(T, N) standard deviation of each unknown, shared unknowns held: square roots of the diagonal of H^-1.

        Estimated from draws ``L^-T z`` of the Gaussian with precision ``H = L L^T``, z white noise with a fixed seed. The
        relative error is 1/sqrt(2 samples): 10 % for 48 samples.

        Raises:
            numpy.linalg.LinAlgError: H is not positive definite.

        Source:
            Rue and Held 2005, Gaussian Markov Random Fields, algorithm 2.4.
        """
        frames, n = self.gradient.shape
        factor = cholesky_banded(self.band(_POSTERIOR_DAMPING), overwrite_ab=True, lower=True, check_finite=False)
        noise = np.random.default_rng(0).standard_normal((frames * n, samples))
        draws, info = lapack.dtbtrs(factor, noise, uplo="L", trans="T")
        if info != 0:
            raise np.linalg.LinAlgError(f"banded triangular solve failed ({info})")
        return np.asarray(np.sqrt((draws**2).mean(axis=1)).reshape(frames, n))


@dataclass(frozen=True, eq=False)
class ArrowSolver:
    """Linear solver for an arrow system; x is one row: the unknowns of all frames, then all shared ones."""

    free: NDArray[np.int64]
    """(k,) indices of the shared unknowns that the system contains; the others get no step."""

    def step(self, system: ArrowSystem, x: Tensor, damping: Tensor) -> Tensor:
        """Solve the damped equations.

        Args:
            system: normal equations.
            x: (1, T N + K) unknowns.
            damping: (1,) share that is added to the diagonal.

        Returns:
            (1, T N + K) step; NaN where the matrix is not positive definite.
        """
        step = torch.zeros_like(x)
        try:
            frames, shared = system.solve(float(damping))
        except np.linalg.LinAlgError:
            return step + torch.nan
        step[0, : frames.size] = torch.as_tensor(frames.ravel())
        step[0, frames.size + self.free] = torch.as_tensor(shared)
        return step


def _diagonals(blocks: FloatArray) -> FloatArray:
    """(T, N) writable view of the diagonals of (T, N, N)."""
    return np.asarray(np.einsum("tii->ti", blocks))

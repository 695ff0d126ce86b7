"""One linear system for all frames of a motion: band matrix plus a few shared unknowns.

Frame t is coupled to t+1 by a full block (contacts, velocities) and to t+2 by a diagonal (accelerations), so the
matrix over all frames is a band of width 2N+1; shape and camera, shared by all frames, border it like an arrow.
LAPACK's banded Cholesky solves it in time and memory proportional to the number of frames.
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


@dataclass(frozen=True, eq=False)
class Rows:
    """Derivatives of residuals (R, G, D): G observations of D components in each of R frames, or pairs or triples of frames."""

    frames: tuple[Tensor, ...] = ()
    """By the unknowns of the frame, of the one after it, and so on: (R, G, D, N) each; (R, N, D) where observation n depends
    on unknown n alone. Empty for residuals of the shared unknowns alone."""
    shared: Tensor | None = None
    """(R, G, D, k) by some of the shared unknowns."""
    columns: Sequence[int] = ()
    """(k,) which ones."""


@dataclass
class ArrowSystem:
    """Normal equations ``H dx + C ds = -g``, ``C^T dx + S ds = -h`` over T frames of N unknowns and K shared ones."""

    diagonal: FloatArray
    """(T, N, N) symmetric blocks of each frame."""
    below: FloatArray
    """(T-1, N, N) rows of frame t+1, columns of frame t."""
    second: FloatArray
    """(T-2, N) diagonal coupling of frame t+2 with frame t."""
    gradient: FloatArray
    """(T, N)."""
    border: FloatArray
    """(T, N, K)."""
    shared: FloatArray
    """(K, K)."""
    shared_gradient: FloatArray
    """(K,)."""

    @classmethod
    def empty(cls, frames: int, unknowns: int, shared: int) -> ArrowSystem:
        """All zeros."""
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
        """Add squared residuals.

        Args:
            rows: derivatives of the residuals.
            residual: (R, G, D).
            gain: (R, G) factor on both: roots of weights.
        """
        count, misses = len(residual), (residual * gain[..., None]).flatten(1)[..., None]
        blocks = [block * (gain[..., None, None] if block.ndim > residual.ndim else gain[..., None]) for block in rows.frames]
        if blocks and blocks[0].ndim == residual.ndim:
            self._add_diagonal(blocks, residual * gain[..., None])
            return
        dense = [block.flatten(1, 2) for block in blocks]
        for i, block in enumerate(dense):
            transposed = block.transpose(1, 2)
            self.diagonal[i : i + count] += (transposed @ block).numpy()
            self.gradient[i : i + count] += (transposed @ misses)[..., 0].numpy()
            if i:
                self.below[i - 1 : i - 1 + count] += (transposed @ dense[i - 1]).numpy()
        if rows.shared is None:
            return
        columns, shared = list(rows.columns), (rows.shared * gain[..., None, None]).flatten(1, 2)
        if dense:
            self.border[:, :, columns] += (dense[0].transpose(1, 2) @ shared).numpy()
        flat = shared.flatten(0, 1)
        self.shared[np.ix_(columns, columns)] += (flat.T @ flat).numpy()
        self.shared_gradient[columns] += (flat.T @ misses.flatten()).numpy()

    def _add_diagonal(self, blocks: Sequence[Tensor], residual: Tensor) -> None:
        """The same for observations (R, N, D) that each depend on one unknown, in up to three frames."""
        count = len(residual)
        for i, block in enumerate(blocks):
            self.gradient[i : i + count] += (block * residual).sum(-1).numpy()
            _diagonals(self.diagonal)[i : i + count] += block.square().sum(-1).numpy()
        for i in range(1, len(blocks)):
            _diagonals(self.below)[i - 1 : i - 1 + count] += (blocks[i - 1] * blocks[i]).sum(-1).numpy()
        for i in range(2, len(blocks)):
            self.second[i - 2 : i - 2 + count] += (blocks[i - 2] * blocks[i]).sum(-1).numpy()

    def band(self, damping: float) -> FloatArray:
        """(2N+1, T N) lower band storage of H with its diagonal raised by the share ``damping``."""
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
        """Step (T, N) of the frames and (K,) of the shared unknowns.

        Raises:
            numpy.linalg.LinAlgError: the damped matrix is not positive definite.
        """
        frames, n = self.gradient.shape
        count = len(self.shared_gradient)
        factor = cholesky_banded(self.band(damping), overwrite_ab=True, lower=True, check_finite=False)
        right = np.concatenate([self.gradient.reshape(-1, 1), self.border.reshape(frames * n, count)], axis=1)
        answer = cho_solve_banded((factor, True), right, overwrite_b=True, check_finite=False)
        step, influence = -answer[:, 0], answer[:, 1:]
        if count == 0:
            return step.reshape(frames, n), np.zeros(0)
        border = self.border.reshape(frames * n, count)
        schur = self.shared * (1 + damping * np.eye(count)) - border.T @ influence
        shared_step = -cho_solve(cho_factor(schur, lower=True), self.shared_gradient + border.T @ step)
        return (step - influence @ shared_step).reshape(frames, n), shared_step

    def standard_deviation(self, samples: int = 48, seed: int = 0) -> FloatArray:
        """(T, N) standard deviation of each unknown, shared ones held: square roots of the diagonal of H^-1.

        Drawn from the Gaussian with precision H (a triangular solve of white noise), so the figure itself has a
        relative error of 1/sqrt(2 samples), 10 % by default; the seed makes it repeatable.
        """
        frames, n = self.gradient.shape
        factor = cholesky_banded(self.band(1e-9), overwrite_ab=True, lower=True, check_finite=False)
        noise = np.random.default_rng(seed).standard_normal((frames * n, samples))
        drawn, info = lapack.dtbtrs(factor, noise, uplo="L", trans="T")
        if info != 0:
            raise np.linalg.LinAlgError(f"banded triangular solve failed ({info})")
        return np.asarray(np.sqrt((drawn**2).mean(axis=1)).reshape(frames, n))


@dataclass(frozen=True, eq=False)
class ArrowSolver:
    """Solves an arrow system; x is one row: the frames' unknowns, then all shared ones, of which some are free."""

    free: NDArray[np.int64]
    """(k,) the shared unknowns in the system."""

    def step(self, system: ArrowSystem, x: Tensor, damping: Tensor) -> Tensor:
        step = torch.zeros_like(x)
        try:
            frames, shared = system.solve(float(damping))
        except np.linalg.LinAlgError:
            return step + torch.nan
        step[0, : frames.size] = torch.as_tensor(frames.ravel())
        step[0, frames.size + self.free] = torch.as_tensor(shared)
        return step


def _diagonals(blocks: FloatArray) -> FloatArray:
    """(T, N) diagonals of (T, N, N), to write to."""
    return np.asarray(np.einsum("tii->ti", blocks))

"""One linear system for all frames of a motion: band matrix plus a few shared unknowns.

Frame t is coupled to t+1 by a full block (contacts, velocities) and to t+2 by a diagonal (accelerations), so the
matrix over all frames is a band of width 2N+1; shape and camera, shared by all frames, border it like an arrow.
LAPACK's banded Cholesky solves it in time and memory proportional to the number of frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, cho_solve_banded, cholesky_banded, lapack

from ...types import FloatArray


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

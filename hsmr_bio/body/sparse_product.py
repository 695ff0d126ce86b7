"""Product of a sparse matrix and a dense tensor, differentiable by the tensor, on any device.

torch's own sparse tensors warn that they are in beta.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from torch import Tensor


class SparseProduct:
    """A constant sparse matrix (R, C) that multiplies tensors (C, ...) from the left.

    On the CPU scipy computes the product; on other devices a dense copy of the matrix does.
    """

    def __init__(self, matrix: sparse.csr_array) -> None:
        self.shape: tuple[int, int] = (int(matrix.shape[0]), int(matrix.shape[1]))
        self._matrix = {torch.float64: matrix.astype(np.float64), torch.float32: matrix.astype(np.float32)}
        self._transposed = {dtype: value.T.tocsr() for dtype, value in self._matrix.items()}

    @cached_property
    def _dense(self) -> Tensor:
        return torch.as_tensor(self._matrix[torch.float64].toarray())

    def __call__(self, dense: Tensor) -> Tensor:
        """Product (R, ...) with ``dense`` (C, ...), float32 or float64."""
        tail = dense.shape[1:]
        flat = dense.reshape(self.shape[1], -1)
        if dense.device.type == "cpu":
            result: Tensor = _Product.apply(flat, self, False)  # type: ignore[no-untyped-call]
        else:
            result = self._dense.to(flat) @ flat
        return result.reshape(self.shape[0], *tail)

    def times(self, values: npt.NDArray[Any], dtype: torch.dtype, *, transposed: bool) -> npt.NDArray[Any]:
        """Product with an array.

        Args:
            values: (C, n), or (R, n) if transposed.
            dtype: of the product.
            transposed: whether to multiply by the transposed matrix, for the gradient.

        Returns:
            (R, n), or (C, n) if transposed.
        """
        matrix = (self._transposed if transposed else self._matrix)[dtype]
        return np.asarray(matrix @ values)


class _Context(Protocol):
    """Values that torch keeps from the forward to the backward pass."""

    product: SparseProduct
    transposed: bool


class _Product(torch.autograd.Function):
    """y = M x; the gradient by x is M^T times the gradient by y."""

    @staticmethod
    def forward(ctx: _Context, dense: Tensor, product: SparseProduct, transposed: bool) -> Tensor:
        ctx.product, ctx.transposed = product, transposed
        values = np.ascontiguousarray(dense.detach().numpy())
        return torch.from_numpy(product.times(values, dense.dtype, transposed=transposed))

    @staticmethod
    def backward(ctx: _Context, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _Product.apply(gradient, ctx.product, not ctx.transposed), None, None  # type: ignore[no-untyped-call]

"""Functions of one or two coordinates that drive the joints: values and partial derivatives, batched.

The first seven are OpenSim's (same names of parameters, same behaviour outside their knots); the arcs and the
ellipsoid are SKEL's. Every function reads its inputs from the last axis of a coordinate array (..., N).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import cos, pi, sin
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

Partials = list[Tensor]


class Function(Protocol):
    """A scalar function of some coordinates."""

    @property
    def inputs(self) -> tuple[int, ...]:
        """Indices of the coordinates that it reads."""

    def value_and_partials(self, q: Tensor) -> tuple[Tensor, Partials]:
        """Value (...) at ``q`` (..., N), and its partial derivative (...) by each of ``inputs``."""


@dataclass(frozen=True)
class Constant:
    """The same value whatever the coordinates are."""

    value: float
    inputs: tuple[int, ...] = ()

    def value_and_partials(self, q: Tensor) -> tuple[Tensor, Partials]:
        return torch.full_like(q[..., 0], self.value), []


@dataclass(frozen=True)
class Linear:
    """``slope * q + intercept``."""

    input: int
    slope: float = 1.0
    intercept: float = 0.0

    @property
    def inputs(self) -> tuple[int, ...]:
        return (self.input,)

    def value_and_partials(self, q: Tensor) -> tuple[Tensor, Partials]:
        x = q[..., self.input]
        return self.slope * x + self.intercept, [torch.full_like(x, self.slope)]


@dataclass(frozen=True)
class Polynomial:
    """OpenSim's PolynomialFunction: coefficients from the highest power down."""

    input: int
    coefficients: tuple[float, ...]

    @property
    def inputs(self) -> tuple[int, ...]:
        return (self.input,)

    def value_and_partials(self, q: Tensor) -> tuple[Tensor, Partials]:
        x = q[..., self.input]
        value, slope = torch.zeros_like(x), torch.zeros_like(x)
        for coefficient in self.coefficients:
            slope = slope * x + value
            value = value * x + coefficient
        return value, [slope]


@dataclass(frozen=True)
class Sine:
    """OpenSim's Sine: ``amplitude * sin(omega * q + phase) + offset``."""

    input: int
    amplitude: float
    omega: float = 1.0
    phase: float = 0.0
    offset: float = 0.0

    @property
    def inputs(self) -> tuple[int, ...]:
        return (self.input,)

    def value_and_partials(self, q: Tensor) -> tuple[Tensor, Partials]:
        angle = self.omega * q[..., self.input] + self.phase
        return self.amplitude * torch.sin(angle) + self.offset, [self.amplitude * self.omega * torch.cos(angle)]


@dataclass(frozen=True)
class Multivariate:
    """OpenSim's MultivariatePolynomialFunction of one, two or three coordinates.

    ``coefficients`` run over all exponents with a sum of at most ``order``; the first input's power is the outermost
    loop: (0,0), (0,1) .. (0,n), (1,0) ...
    """

    inputs: tuple[int, ...]
    order: int
    coefficients: tuple[float, ...]

    @cached_property
    def _exponents(self) -> list[tuple[int, ...]]:
        def expand(count: int, left: int) -> list[tuple[int, ...]]:
            if count == 0:
                return [()]
            return [(power, *rest) for power in range(left + 1) for rest in expand(count - 1, left - power)]

        return expand(len(self.inputs), self.order)

    def value_and_partials(self, q: Tensor) -> tuple[Tensor, Partials]:
        value, partials = values_and_partials((self,), q)
        return value[..., 0], [partial[..., 0] for partial in partials]

    @cached_property
    def table(self) -> np.ndarray:
        """Coefficients by the power of each input, (order + 1) along every axis."""
        table = np.zeros((self.order + 1,) * len(self.inputs))
        for coefficient, exponents in zip(self.coefficients, self._exponents, strict=True):
            table[exponents] = coefficient
        return table


def values_and_partials(functions: Sequence[Multivariate], q: Tensor) -> tuple[Tensor, Partials]:
    """Several polynomials of the same coordinates and order at once: the powers are taken once.

    Args:
        functions: F of them.
        q: (..., N).

    Returns:
        Values (..., F), and the partial derivatives (..., F) by each of the inputs.
    """
    size = functions[0].order + 1
    table = torch.as_tensor(np.stack([f.table for f in functions], axis=-1), dtype=q.dtype, device=q.device)
    parts: list[Tensor] = []  # value, then the partials so far, not yet summed over the powers of the other inputs
    for index in functions[0].inputs:
        x = q[..., index, None]
        ones = torch.ones_like(x)
        powers = torch.cat([ones, torch.cumprod(x.expand(*x.shape[:-1], size - 1), dim=-1)], dim=-1)
        exponent = torch.arange(1, size, dtype=q.dtype, device=q.device)
        slopes = torch.cat([torch.zeros_like(ones), exponent * powers[..., :-1]], dim=-1)
        if not parts:
            table = table.reshape(size, -1)
            parts = [powers @ table, slopes @ table]
            continue
        planes = [part.reshape(*part.shape[:-1], size, -1) for part in parts]
        parts = [(row[..., None, :] @ plane)[..., 0, :] for row, plane in [*((powers, p) for p in planes), (slopes, planes[0])]]
    return parts[0], parts[1:]


@dataclass(frozen=True)
class CubicSpline:
    """OpenSim's SimmSpline: cubic through the knots, straight outside them.

    The end conditions are SIMM's: the third derivative is estimated from the four outermost knots.

    Source:
        Forsythe, Malcolm and Moler 1977, Computer Methods for Mathematical Computations (routine SPLINE).
    """

    input: int
    x: tuple[float, ...]
    y: tuple[float, ...]
    coefficients: np.ndarray = field(init=False, repr=False, compare=False)
    """(knots, 3): slope, half the curvature, a sixth of the third derivative at each knot."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "coefficients", _forsythe(np.asarray(self.x), np.asarray(self.y)))

    @property
    def inputs(self) -> tuple[int, ...]:
        return (self.input,)

    def value_and_partials(self, q: Tensor) -> tuple[Tensor, Partials]:
        at = q[..., self.input]
        x = torch.as_tensor(self.x, dtype=q.dtype, device=q.device)
        y = torch.as_tensor(self.y, dtype=q.dtype, device=q.device)
        table = torch.as_tensor(self.coefficients, dtype=q.dtype, device=q.device)
        knot = (torch.searchsorted(x, at.detach().contiguous(), right=True) - 1).clamp(0, len(self.x) - 1)
        before = at < x[0]
        step = at - x[knot]
        straight = before | (at >= x[-1])
        b, c, d = table[knot].unbind(-1)
        zero = torch.zeros_like(c)
        c, d = torch.where(straight, zero, c), torch.where(straight, zero, d)
        value = y[knot] + step * (b + step * (c + step * d))
        return value, [b + step * (2 * c + 3 * step * d)]


def _forsythe(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    n = len(x)
    if n == 1:
        return np.zeros((1, 3))
    h = np.diff(x)
    delta = np.diff(y) / h
    if n == 2:
        return np.array([[delta[0], 0, 0], [delta[0], 0, 0]])
    matrix, right = np.zeros((n, n)), np.zeros(n)
    matrix[0, 0], matrix[0, 1] = -h[0], h[0]
    matrix[-1, -1], matrix[-1, -2] = -h[-1], h[-1]
    for i in range(1, n - 1):
        matrix[i, i - 1], matrix[i, i], matrix[i, i + 1] = h[i - 1], 2 * (h[i - 1] + h[i]), h[i]
        right[i] = delta[i] - delta[i - 1]
    if n > 3:
        right[0] = (right[2] / (x[3] - x[1]) - right[1] / (x[2] - x[0])) * h[0] ** 2 / (x[3] - x[0])
        right[-1] = -(right[-2] / (x[-1] - x[-3]) - right[-3] / (x[-2] - x[-4])) * h[-1] ** 2 / (x[-1] - x[-4])
    sigma = np.linalg.solve(matrix, right)
    slope = np.append(delta - h * (sigma[1:] + 2 * sigma[:-1]), delta[-1] + h[-1] * (sigma[-2] + 2 * sigma[-1]))
    third = np.append(np.diff(sigma) / h, (sigma[-1] - sigma[-2]) / h[-1])
    return np.stack([slope, 3 * sigma, third], axis=1)


@dataclass(frozen=True)
class Scaled:
    """OpenSim's MultiplierFunction: ``factor`` times another function."""

    function: Function
    factor: float

    @property
    def inputs(self) -> tuple[int, ...]:
        return self.function.inputs

    def value_and_partials(self, q: Tensor) -> tuple[Tensor, Partials]:
        value, partials = self.function.value_and_partials(q)
        return self.factor * value, [self.factor * partial for partial in partials]


Length = float | Tensor
"""One length, or a tensor (B,) of lengths when every frame has its own betas."""


def _sinc(angle: Tensor) -> Tensor:
    return torch.sinc(angle / pi)


def _sinc_slope(angle: Tensor) -> Tensor:
    """Derivative of sin(x)/x; the series takes over below 0.1, where the closed form loses digits."""
    small = angle.abs() < 0.1
    x = torch.where(small, torch.ones_like(angle), angle)
    a2 = angle * angle
    series = angle * (-1 / 3 + a2 * (1 / 30 + a2 * (-1 / 840 + a2 * (1 / 45360 - a2 / 3991680))))
    return torch.where(small, series, (x * torch.cos(x) - torch.sin(x)) / (x * x))


@dataclass(frozen=True, eq=False)
class ArcSide:
    """SKEL's spine, sideways: ``sign * l (1 - cos a) / a``, in the half-angle form that keeps its digits.

    Source:
        Keller et al. 2023, constant-curvature arc.
    """

    input: int
    length_m: Length
    sign: float = -1.0

    @property
    def inputs(self) -> tuple[int, ...]:
        return (self.input,)

    def value_and_partials(self, q: Tensor) -> tuple[Tensor, Partials]:
        half = q[..., self.input] / 2
        sinc = _sinc(half)
        scale = self.sign * self.length_m
        return scale * half * sinc * sinc, [scale * 0.5 * (sinc * sinc + 2 * half * sinc * _sinc_slope(half))]


@dataclass(frozen=True, eq=False)
class ArcUp:
    """SKEL's spine, upwards: ``l (sinc b + sinc e - 2)``: the two bending planes are added, not composed."""

    inputs: tuple[int, ...]
    length_m: Length

    def value_and_partials(self, q: Tensor) -> tuple[Tensor, Partials]:
        bending, extension = q[..., self.inputs[0]], q[..., self.inputs[1]]
        value = self.length_m * (_sinc(bending) + _sinc(extension) - 2)
        return value, [self.length_m * _sinc_slope(bending), self.length_m * _sinc_slope(extension)]


@dataclass(frozen=True, eq=False)
class ScapulaSide:
    """SKEL's scapula, medio-lateral: ``scale (cos(e + phase) cos a - cos(phase))``, inputs (a, e)."""

    inputs: tuple[int, ...]
    scale_m: Length
    phase_rad: float

    def value_and_partials(self, q: Tensor) -> tuple[Tensor, Partials]:
        a, e = q[..., self.inputs[0]], q[..., self.inputs[1]] + self.phase_rad
        value = self.scale_m * (torch.cos(e) * torch.cos(a) - cos(self.phase_rad))
        return value, [-self.scale_m * torch.cos(e) * torch.sin(a), -self.scale_m * torch.sin(e) * torch.cos(a)]


@dataclass(frozen=True, eq=False)
class ScapulaSine:
    """SKEL's scapula, up and forward: ``scale (sin(q + phase) - sin(phase))``."""

    input: int
    scale_m: Length
    phase_rad: float = 0.0

    @property
    def inputs(self) -> tuple[int, ...]:
        return (self.input,)

    def value_and_partials(self, q: Tensor) -> tuple[Tensor, Partials]:
        angle = q[..., self.input] + self.phase_rad
        return self.scale_m * (torch.sin(angle) - sin(self.phase_rad)), [self.scale_m * torch.cos(angle)]

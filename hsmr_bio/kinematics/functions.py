"""Functions of coordinates that drive the joints: values and partial derivatives, batched.

``Constant`` to ``Scaled`` are OpenSim's, with the same parameters and the same behaviour outside their knots. The arcs of the
spine and the ellipsoid of the scapula are SKEL's. Every function reads its inputs from the last axis of an array (..., N).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import cos, pi, sin
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

Partials = list[Tensor]
_SERIES_BELOW_RAD = 0.1
"""Angle below which the derivative of sin(x)/x is taken from its series: the closed form loses digits there, and the first term
that the series leaves out is below 1e-18."""


class Function(Protocol):
    """A scalar function of some coordinates."""

    @property
    def inputs(self) -> tuple[int, ...]:
        """Indices of the coordinates that it reads."""

    def value_and_partials(self, q: Tensor) -> tuple[Tensor, Partials]:
        """Value (...) at ``q`` (..., N), and its partial derivative (...) by each of ``inputs``."""


@dataclass(frozen=True, eq=False)
class _OneInput(ABC):
    """A function of one coordinate."""

    input: int
    """Index of the coordinate."""

    @property
    def inputs(self) -> tuple[int, ...]:
        """Its only coordinate."""
        return (self.input,)

    def value_and_partials(self, q: Tensor) -> tuple[Tensor, Partials]:
        """Value (...) and slope (...) at ``q`` (..., N)."""
        value, slope = self._at(q[..., self.input])
        return value, [slope]

    @abstractmethod
    def _at(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Value and slope at values (...) of the coordinate."""


@dataclass(frozen=True)
class Constant:
    """A constant."""

    value: float
    inputs: tuple[int, ...] = ()

    def value_and_partials(self, q: Tensor) -> tuple[Tensor, Partials]:
        """Value (...) and partial derivatives (...) at ``q`` (..., N)."""
        return torch.full_like(q[..., 0], self.value), []


@dataclass(frozen=True)
class Linear(_OneInput):
    """``slope * q + intercept``."""

    slope: float = 1.0
    intercept: float = 0.0

    def _at(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.slope * x + self.intercept, torch.full_like(x, self.slope)


@dataclass(frozen=True)
class Polynomial(_OneInput):
    """OpenSim's PolynomialFunction: coefficients from the highest power down."""

    coefficients: tuple[float, ...]

    def _at(self, x: Tensor) -> tuple[Tensor, Tensor]:
        value, slope = torch.zeros_like(x), torch.zeros_like(x)
        for coefficient in self.coefficients:
            slope = slope * x + value
            value = value * x + coefficient
        return value, slope


@dataclass(frozen=True)
class Sine(_OneInput):
    """OpenSim's Sine: ``amplitude * sin(omega * q + phase) + offset``."""

    amplitude: float
    omega: float = 1.0
    phase: float = 0.0
    offset: float = 0.0

    def _at(self, x: Tensor) -> tuple[Tensor, Tensor]:
        angle = self.omega * x + self.phase
        return self.amplitude * torch.sin(angle) + self.offset, self.amplitude * self.omega * torch.cos(angle)


@dataclass(frozen=True)
class Multivariate:
    """OpenSim's MultivariatePolynomialFunction of one, two or three coordinates.

    ``coefficients`` run over all exponents with a sum of at most ``order``; the power of the first input is the outermost
    loop: (0,0), (0,1) .. (0,n), (1,0) ...
    """

    inputs: tuple[int, ...]
    order: int
    coefficients: tuple[float, ...]

    def value_and_partials(self, q: Tensor) -> tuple[Tensor, Partials]:
        """Value (...) and partial derivatives (...) at ``q`` (..., N)."""
        value, partials = values_and_partials((self,), q)
        return value[..., 0], [partial[..., 0] for partial in partials]

    @cached_property
    def table(self) -> np.ndarray:
        """Coefficients by the power of each input, (order + 1) along every axis."""
        table = np.zeros((self.order + 1,) * len(self.inputs))
        exponents = [powers for powers in np.ndindex(table.shape) if sum(powers) <= self.order]
        for powers, coefficient in zip(exponents, self.coefficients, strict=True):
            table[powers] = coefficient
        return table


def values_and_partials(functions: Sequence[Multivariate], q: Tensor) -> tuple[Tensor, Partials]:
    """Evaluate several polynomials of the same coordinates and order at once: the powers are taken once.

    Args:
        functions: F polynomials.
        q: (..., N).

    Returns:
        Values (..., F), and the partial derivatives (..., F) by each of the inputs.
    """
    size = functions[0].order + 1
    table = torch.as_tensor(np.stack([f.table for f in functions], axis=-1), dtype=q.dtype, device=q.device)
    parts: list[Tensor] = []  # value, then the partials so far, not yet summed over the powers of the inputs that follow
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
class CubicSpline(_OneInput):
    """OpenSim's SimmSpline: cubic through the knots, straight outside them.

    The third derivative at each end is that of the cubic through the four outermost knots (SIMM's end condition).

    Source:
        Forsythe, Malcolm and Moler 1977, Computer Methods for Mathematical Computations (routine SPLINE).
    """

    x: tuple[float, ...]
    y: tuple[float, ...]
    coefficients: np.ndarray = field(init=False, repr=False, compare=False)
    """(knots, 3): slope, half the curvature, a sixth of the third derivative at each knot."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "coefficients", _forsythe(np.asarray(self.x), np.asarray(self.y)))

    def _at(self, x: Tensor) -> tuple[Tensor, Tensor]:
        knots, values, table = (torch.as_tensor(a, dtype=x.dtype, device=x.device) for a in (self.x, self.y, self.coefficients))
        knot = (torch.searchsorted(knots, x.detach().contiguous(), right=True) - 1).clamp(0, len(knots) - 1)
        step = x - knots[knot]
        straight = (x < knots[0]) | (x >= knots[-1])
        b, c, d = table[knot].unbind(-1)
        zero = torch.zeros_like(c)
        c, d = torch.where(straight, zero, c), torch.where(straight, zero, d)
        return values[knot] + step * (b + step * (c + step * d)), b + step * (2 * c + 3 * step * d)


@dataclass(frozen=True)
class PiecewiseLinear(_OneInput):
    """OpenSim's PiecewiseLinearFunction: straight between the knots, and beyond the outermost two on their lines."""

    x: tuple[float, ...]
    y: tuple[float, ...]

    def _at(self, x: Tensor) -> tuple[Tensor, Tensor]:
        knots, values = (torch.as_tensor(a, dtype=x.dtype, device=x.device) for a in (self.x, self.y))
        slopes = torch.diff(values) / torch.diff(knots)
        piece = (torch.searchsorted(knots, x.detach().contiguous(), right=True) - 1).clamp(0, len(slopes) - 1)
        return values[piece] + (x - knots[piece]) * slopes[piece], slopes[piece]


@dataclass(frozen=True)
class Step(_OneInput):
    """OpenSim's StepFunction: from one value to another, with no first and second derivative at both ends."""

    start: float
    end: float
    start_value: float
    end_value: float

    def _at(self, x: Tensor) -> tuple[Tensor, Tensor]:
        width, height = self.end - self.start, self.end_value - self.start_value
        share = ((x - self.start) / width).clamp(0.0, 1.0)
        value = self.start_value + height * share**3 * (10 + share * (6 * share - 15))
        return value, height / width * 30 * (share * (1 - share)) ** 2


def _forsythe(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(knots, 3) coefficients of the spline through knots (x, y)."""
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
        """Coordinates of the other function."""
        return self.function.inputs

    def value_and_partials(self, q: Tensor) -> tuple[Tensor, Partials]:
        """Value (...) and partial derivatives (...) at ``q`` (..., N)."""
        value, partials = self.function.value_and_partials(q)
        return self.factor * value, [self.factor * partial for partial in partials]


Length = float | Tensor
"""One length, or a tensor (B,) of lengths when every frame has its own betas."""


def _sinc(angle: Tensor) -> Tensor:
    return torch.sinc(angle / pi)


def _sinc_slope(angle: Tensor) -> Tensor:
    """Derivative of sin(x)/x by its series near zero."""
    small = angle.abs() < _SERIES_BELOW_RAD
    x = torch.where(small, torch.ones_like(angle), angle)
    a2 = angle * angle
    series = angle * (-1 / 3 + a2 * (1 / 30 + a2 * (-1 / 840 + a2 * (1 / 45360 - a2 / 3991680))))
    return torch.where(small, series, (x * torch.cos(x) - torch.sin(x)) / (x * x))


@dataclass(frozen=True, eq=False)
class ArcSide(_OneInput):
    """SKEL's spine, sideways: ``sign * l (1 - cos a) / a``, in the half-angle form, which is accurate near zero.

    Source:
        Keller et al. 2023, constant-curvature arc.
    """

    length_m: Length
    sign: float = -1.0

    def _at(self, x: Tensor) -> tuple[Tensor, Tensor]:
        half = x / 2
        sinc = _sinc(half)
        scale = self.sign * self.length_m
        return scale * half * sinc * sinc, scale * 0.5 * (sinc * sinc + 2 * half * sinc * _sinc_slope(half))


@dataclass(frozen=True, eq=False)
class ArcUp:
    """SKEL's spine, upwards: ``l (sinc b + sinc e - 2)``; the two bending planes are added, not composed."""

    inputs: tuple[int, ...]
    length_m: Length

    def value_and_partials(self, q: Tensor) -> tuple[Tensor, Partials]:
        """Value (...) and partial derivatives (...) at ``q`` (..., N)."""
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
        """Value (...) and partial derivatives (...) at ``q`` (..., N)."""
        a, e = q[..., self.inputs[0]], q[..., self.inputs[1]] + self.phase_rad
        value = self.scale_m * (torch.cos(e) * torch.cos(a) - cos(self.phase_rad))
        return value, [-self.scale_m * torch.cos(e) * torch.sin(a), -self.scale_m * torch.sin(e) * torch.cos(a)]


@dataclass(frozen=True, eq=False)
class ScapulaSine(_OneInput):
    """SKEL's scapula, up and forward: ``scale (sin(q + phase) - sin(phase))``."""

    scale_m: Length
    phase_rad: float = 0.0

    def _at(self, x: Tensor) -> tuple[Tensor, Tensor]:
        angle = x + self.phase_rad
        return self.scale_m * (torch.sin(angle) - sin(self.phase_rad)), self.scale_m * torch.cos(angle)

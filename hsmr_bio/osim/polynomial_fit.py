"""Polynomials of one and two variables for OpenSim's function elements, the same bytes on every machine.

A function is expanded in products of Chebyshev polynomials on Chebyshev nodes (sums by :func:`math.fsum`, no linear
algebra library), truncated at the total degree, and rewritten in powers of the variables.

Source:
    Trefethen 2013, Approximation Theory and Approximation Practice, chapters 3 and 4: the truncated expansion is close to
    the best polynomial. Order of OpenSim's coefficients: power of the first variable outermost, total degree at most n.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from math import comb, cos, fsum, pi

Interval = tuple[float, float]
_NODES = 16
"""Fewest nodes per variable: twice the usual degree."""
_DIGITS = 11
"""Decimals of the coefficients: rounding differences between machines are smaller."""


@cache
def _chebyshev(degree: int) -> tuple[int, ...]:
    """Coefficients of T_degree, constant first."""
    if degree == 0:
        return (1,)
    previous, current = [1], [0, 1]
    for _ in range(degree - 1):
        following = [0, *(2 * c for c in current)]
        for i, c in enumerate(previous):
            following[i] -= c
        previous, current = current, following
    return tuple(current)


def _powers(degree: int, interval: Interval) -> list[float]:
    """Coefficients (constant first) of T_degree((x - middle) / half) in powers of x."""
    half = (interval[1] - interval[0]) / 2
    shift = -(interval[0] + interval[1]) / 2
    out: list[list[float]] = [[] for _ in range(degree + 1)]
    for k, c in enumerate(_chebyshev(degree)):
        for i in range(k + 1):
            out[i].append(c * comb(k, i) * shift ** (k - i) / half**k)
    return [fsum(terms) for terms in out]


def _angles(order: int) -> list[float]:
    """Angles of the Chebyshev nodes, whose places in [-1, 1] are their cosines."""
    count = max(_NODES, order + 1)
    return [pi * (i + 0.5) / count for i in range(count)]


def _node(interval: Interval, angle: float) -> float:
    return (interval[0] + interval[1]) / 2 + (interval[1] - interval[0]) / 2 * cos(angle)


def _rounded(terms: Sequence[float]) -> float:
    return round(fsum(terms), _DIGITS) + 0.0


def fit_polynomial(
    function: Callable[[float, float], float], first: Interval, second: Interval, order: int
) -> tuple[float, ...]:
    """Approximate a smooth function of two variables by a polynomial of total degree ``order``.

    Args:
        function: of the two variables.
        first: range of the first variable over which the polynomial must hold.
        second: range of the second.
        order: highest total degree.

    Returns:
        (order + 1)(order + 2) / 2 coefficients in the order of OpenSim's MultivariatePolynomialFunction:
        (0,0), (0,1) .. (0,n), (1,0) .. (1,n-1) .. (n,0).
    """
    angles = _angles(order)
    values = [[function(_node(first, a), _node(second, b)) for b in angles] for a in angles]
    waves = [[cos(k * a) for a in angles] for k in range(order + 1)]
    rows = [[fsum(v * w for v, w in zip(row, waves[k], strict=True)) for k in range(order + 1)] for row in values]
    terms: dict[tuple[int, int], list[float]] = {(p, q): [] for p in range(order + 1) for q in range(order + 1 - p)}
    for j in range(order + 1):
        for k in range(order + 1 - j):
            weight = (1 if j == 0 else 2) * (1 if k == 0 else 2) / len(angles) ** 2
            amount = weight * fsum(row[k] * w for row, w in zip(rows, waves[j], strict=True))
            for p, a in enumerate(_powers(j, first)):
                for q, b in enumerate(_powers(k, second)):
                    terms[p, q].append(amount * a * b)
    return tuple(_rounded(column) for column in terms.values())


def fit_polynomial_of_one(function: Callable[[float], float], interval: Interval, order: int) -> tuple[float, ...]:
    """Approximate a smooth function of one variable by a polynomial.

    Args:
        function: of the variable.
        interval: range over which the polynomial must hold.
        order: highest power.

    Returns:
        Coefficients of OpenSim's PolynomialFunction, highest power first.
    """
    angles = _angles(order)
    values = [function(_node(interval, a)) for a in angles]
    terms: list[list[float]] = [[] for _ in range(order + 1)]
    for k in range(order + 1):
        amount = (1 if k == 0 else 2) / len(angles) * fsum(v * cos(k * a) for v, a in zip(values, angles, strict=True))
        for power, c in enumerate(_powers(k, interval)):
            terms[power].append(amount * c)
    return tuple(_rounded(column) for column in reversed(terms))

"""OpenSim's function elements as functions of the kinematic tree.

Source:
    Names and meaning of the properties: OpenSim 4.6, ``Common/*Function``.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from ..errors import ModelError
from ..kinematics.functions import Constant, CubicSpline, Function, Linear, Multivariate, Polynomial, Scaled, Sine

FUNCTION_TAGS = frozenset(
    {
        *("Constant", "LinearFunction", "PolynomialFunction", "MultivariatePolynomialFunction"),
        *("Sine", "SimmSpline", "MultiplierFunction"),
    }
)
_KNOWN = ", ".join(sorted(FUNCTION_TAGS))


def floats(element: Any, tag: str, where: str) -> tuple[float, ...]:
    """Numbers in a child element.

    Raises:
        ModelError: the child is missing or holds something else than numbers.
    """
    text = element.findtext(tag)
    if text is None:
        raise ModelError(f"{where}: <{element.tag}> has no <{tag}>")
    try:
        return tuple(float(word) for word in text.split())
    except ValueError as error:
        raise ModelError(f"{where}: <{tag}> must hold numbers: {error}") from None


def _one(element: Any, tag: str, where: str, default: float | None = None) -> float:
    if default is not None and element.find(tag) is None:
        return default
    values = floats(element, tag, where)
    if len(values) != 1:
        raise ModelError(f"{where}: <{tag}> must hold one number, it has {len(values)}")
    return values[0]


def find_function(parent: Any) -> Any | None:
    """Find the function element under ``parent``, directly or inside a ``<function>`` wrapper; None if there is none."""
    for child in parent:
        if not isinstance(child.tag, str):
            continue
        if child.tag in ("function", "coupled_coordinates_function"):
            return find_function(child)
        if child.tag in FUNCTION_TAGS or child.get("name") == "function" or child.tag.endswith(("Function", "Spline")):
            return child
    return None


def read_function(element: Any, inputs: Sequence[int], where: str) -> Function:
    """Turn a function element into a function of the tree's coordinates.

    Args:
        element: of one of the classes in ``FUNCTION_TAGS``.
        inputs: indices of the coordinates that it reads, in order.
        where: joint and axis, for the message.

    Raises:
        ModelError: an unknown class, or a wrong number of inputs, coefficients or knots.
    """
    if element.tag == "Constant":
        return Constant(_one(element, "value", where))
    if element.tag == "MultiplierFunction":
        inner = find_function(element)
        if inner is None:
            raise ModelError(f"{where}: the MultiplierFunction holds no function")
        return Scaled(read_function(inner, inputs, where), _one(element, "scale", where, 1.0))
    if element.tag == "MultivariatePolynomialFunction":
        return _multivariate(element, inputs, where)
    if element.tag not in FUNCTION_TAGS:
        raise ModelError(f"{where}: function {element.tag!r} is not supported; expected one of {_KNOWN}")
    if len(inputs) != 1:
        raise ModelError(f"{where}: a {element.tag} reads one coordinate, {len(inputs)} are given")
    return _of_one(element, inputs[0], where)


def _of_one(element: Any, index: int, where: str) -> Function:
    if element.tag == "LinearFunction":
        coefficients = floats(element, "coefficients", where)
        if len(coefficients) != 2:
            raise ModelError(f"{where}: a LinearFunction of one coordinate has 2 coefficients, got {len(coefficients)}")
        return Linear(index, *coefficients)
    if element.tag == "PolynomialFunction":
        return Polynomial(index, floats(element, "coefficients", where))
    if element.tag == "Sine":
        parts = [_one(element, t, where, d) for t, d in (("amplitude", 1.0), ("omega", 1.0), ("phase", 0.0), ("offset", 0.0))]
        return Sine(index, *parts)
    x, y = floats(element, "x", where), floats(element, "y", where)
    if len(x) != len(y) or len(x) < 2 or any(b <= a for a, b in pairwise(x)):
        raise ModelError(f"{where}: a SimmSpline needs as many y as x, at least 2, x increasing; got {len(x)} x and {len(y)} y")
    return CubicSpline(index, x, y)


def _multivariate(element: Any, inputs: Sequence[int], where: str) -> Function:
    dimension, order = int(_one(element, "dimension", where)), int(_one(element, "order", where))
    if dimension != len(inputs):
        raise ModelError(f"{where}: the polynomial has dimension {dimension}, but {len(inputs)} coordinates are given")
    coefficients = floats(element, "coefficients", where)
    count = 1
    for i in range(dimension):
        count = count * (order + i + 1) // (i + 1)
    if len(coefficients) != count:
        raise ModelError(f"{where}: {dimension} coordinates and order {order}: {count} coefficients, got {len(coefficients)}")
    return Multivariate(tuple(inputs), order, coefficients)

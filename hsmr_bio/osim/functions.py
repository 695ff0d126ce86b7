"""OpenSim's function elements as functions of the kinematic tree.

Source:
    Names and meaning of the properties: OpenSim 4.6, ``Common/*Function``.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import comb

import numpy as np

from ..errors import ModelError
from ..kinematics.functions import (
    Constant,
    CubicSpline,
    Function,
    Linear,
    Multivariate,
    PiecewiseLinear,
    Polynomial,
    Scaled,
    Sine,
    Step,
)
from .build import numbers
from .components import shown
from .parts import Element

_VALUE_TAGS = {
    "Constant": ("value",),
    "LinearFunction": ("coefficients",),
    "PolynomialFunction": ("coefficients",),
    "MultivariatePolynomialFunction": ("coefficients",),
    "Sine": ("amplitude", "offset"),
    "SimmSpline": ("y",),
    "NaturalCubicSpline": ("y",),
    "PiecewiseLinearFunction": ("y",),
    "StepFunction": ("start_value", "end_value"),
    "MultiplierFunction": ("scale",),
}
"""Function class -> child elements that its value is proportional to."""
_KNOWN = ", ".join(sorted(_VALUE_TAGS))
_MOST_POWER = 20
"""Highest order of a polynomial of several coordinates that is read: far above any in use, and its table stays small."""
_STEP = {"transition_start_time": 0.99, "transition_end_time": 1.01, "start_value": 0.0, "end_value": 1.0}
"""Numbers of a StepFunction and their defaults."""


def floats(
    element: Element, tag: str, where: str, count: int | None = None, default: tuple[float, ...] | None = None
) -> tuple[float, ...]:
    """Numbers in a child element.

    Args:
        element: the parent.
        tag: of the child.
        where: body, joint or marker, for the message.
        count: how many numbers are expected; None for any.
        default: values if there is no such child; None if it must be there.

    Returns:
        The numbers.

    Raises:
        ModelError: the child is missing, or holds anything but ``count`` numbers (finite ones, where there is no default).
    """
    text = element.findtext(tag)
    if text is None and default is not None:
        return default
    try:
        values = None if text is None else tuple(float(word) for word in text.split())
    except ValueError:
        values = None
    fits = values is not None and count in (None, len(values)) and (default is not None or np.isfinite(values).all())
    if values is None or not fits:
        expected = "numbers" if count is None else f"{count} number{'s' if count > 1 else ''}"
        got = None if text is None else shown(text.strip())
        raise ModelError(f"{where}: <{tag}> of <{shown(element.tag)}> must hold {expected}, got {got!r}")
    return values


def find_function(parent: Element) -> Element | None:
    """Find the function element under ``parent``, directly or inside a ``<function>`` wrapper; None if there is none."""
    for child in parent:
        if not isinstance(child.tag, str):
            continue
        if child.tag in ("function", "coupled_coordinates_function", "prescribed_function"):
            return find_function(child)
        if child.tag in _VALUE_TAGS or child.get("name") == "function" or child.tag.endswith(("Function", "Spline")):
            return child
    return None


def multiply(function: Element | None, factor: float, where: str) -> None:
    """Multiply the value of a function element in place.

    Args:
        function: the element; None if there is no function.
        factor: on its value.
        where: joint, for the message.

    Raises:
        ModelError: no function, or one of an unknown class.
    """
    if function is None or function.tag not in _VALUE_TAGS:
        raise ModelError(f"{where}: its translation cannot be scaled; expected one of {_KNOWN}")
    for tag in _VALUE_TAGS[function.tag]:
        found = function.find(tag)
        if found is not None:
            found.text = numbers(factor * float(word) for word in (found.text or "").split())


def read_function(element: Element, inputs: Sequence[int], where: str) -> Function:
    """Turn a function element into a function of the tree's coordinates.

    Args:
        element: the function.
        inputs: indices of the coordinates that it reads, in order.
        where: joint and axis, for the message.

    Returns:
        The function.

    Raises:
        ModelError: an unknown class, or a wrong number of inputs, coefficients or knots.
    """
    if element.tag == "Constant":
        return Constant(floats(element, "value", where, 1)[0])
    if element.tag == "MultiplierFunction":
        inner = find_function(element)
        if inner is None:
            raise ModelError(f"{where}: the MultiplierFunction holds no function")
        return Scaled(read_function(inner, inputs, where), *floats(element, "scale", where, 1, (1.0,)))
    if element.tag == "MultivariatePolynomialFunction":
        return _multivariate(element, inputs, where)
    if element.tag not in _VALUE_TAGS:
        raise ModelError(f"{where}: function {shown(element.tag)!r} is not supported; expected one of {_KNOWN}")
    if len(inputs) != 1:
        raise ModelError(f"{where}: a {element.tag} reads one coordinate, {len(inputs)} are given")
    return _of_one_coordinate(element, inputs[0], where)


def _of_one_coordinate(element: Element, index: int, where: str) -> Function:
    if element.tag == "LinearFunction":
        return Linear(index, *floats(element, "coefficients", where, 2))
    if element.tag == "PolynomialFunction":
        return Polynomial(index, floats(element, "coefficients", where))
    if element.tag == "Sine":
        defaults = {"amplitude": 1.0, "omega": 1.0, "phase": 0.0, "offset": 0.0}
        return Sine(index, *(floats(element, tag, where, 1, (value,))[0] for tag, value in defaults.items()))
    if element.tag == "StepFunction":
        start, end, before, after = (floats(element, tag, where, 1, (value,))[0] for tag, value in _STEP.items())
        if not start < end:
            raise ModelError(f"{where}: a StepFunction must end after it starts, got {start:g} to {end:g}")
        return Step(index, start, end, before, after)
    x, y = floats(element, "x", where), floats(element, "y", where)
    if len(x) != len(y) or len(x) < 2 or any(b <= a for a, b in pairwise(x)):
        expected = "as many y as x, at least 2, x increasing"
        raise ModelError(f"{where}: a {element.tag} needs {expected}; got {len(x)} x and {len(y)} y")
    return PiecewiseLinear(index, x, y) if element.tag == "PiecewiseLinearFunction" else CubicSpline(index, x, y)


def _multivariate(element: Element, inputs: Sequence[int], where: str) -> Function:
    dimension, order = (floats(element, tag, where, 1)[0] for tag in ("dimension", "order"))
    if dimension != len(inputs):
        raise ModelError(f"{where}: the polynomial has dimension {dimension:g}, but {len(inputs)} coordinates are given")
    if order not in range(_MOST_POWER + 1) or not inputs:
        raise ModelError(f"{where}: the order of the polynomial must be 0 to {_MOST_POWER}, it is {order:g}")
    dimension, order = int(dimension), int(order)
    coefficients = floats(element, "coefficients", where, comb(order + dimension, dimension))
    return Multivariate(tuple(inputs), order, coefficients)

"""Writes an OpenSim 4 model from plain values: bodies, joints, coordinates, markers.

The generator of the shipped model and the twin use it. OpenSim 4.2-4.6 read its components without a warning.

Source:
    Format as written by OpenSim 4.6 (``Model::print``); order and independence of the joint axes: OpenSim's CustomJoint.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from lxml import etree

from .parts import Element, OsimBody, OsimMarker

Vector = Sequence[float]
GRAVITY_M_S2 = 9.80665
"""Standard gravity, ISO 80000-3; the value of OpenSim's own models."""
_COMPONENTS = ("rotation1", "rotation2", "rotation3", "translation1", "translation2", "translation3")
_UNIT = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
_PARALLEL = 0.25
"""Axes are parallel below this squared sine of the angle between them (30 degrees), chosen."""


def number(value: float) -> str:
    """Write a number with up to 15 significant digits, without a sign on zero."""
    return f"{float(value) + 0.0:.15g}"


def numbers(values: Iterable[float]) -> str:
    """Write numbers separated by spaces."""
    return " ".join(number(v) for v in values)


def element(tag: str, *content: str | Element, name: str | None = None) -> Element:
    """Make an XML element.

    Args:
        tag: of the element.
        *content: its text, or its child elements in order.
        name: value of its attribute ``name``; None for no attribute.

    Returns:
        The element.
    """
    made = etree.Element(tag) if name is None else etree.Element(tag, name=name)
    for part in content:
        if isinstance(part, str):
            made.text = part
        else:
            made.append(part)
    return made


def constant(value: float) -> Element:
    """Constant function."""
    return _function("Constant", value=number(value))


def linear(slope: float, intercept: float = 0.0) -> Element:
    """Linear function of one coordinate q.

    Args:
        slope: factor on q.
        intercept: value at q = 0.

    Returns:
        The function slope q + intercept.
    """
    return _function("LinearFunction", coefficients=numbers((slope, intercept)))


def polynomial(coefficients: Vector) -> Element:
    """Polynomial of one coordinate, highest power first."""
    return _function("PolynomialFunction", coefficients=numbers(coefficients))


def multivariate(coefficients: Vector, order: int) -> Element:
    """Polynomial of two coordinates.

    Args:
        coefficients: in OpenSim's order, the first coordinate's power outermost.
        order: highest total degree.

    Returns:
        The function.
    """
    parts = {"coefficients": numbers(coefficients), "dimension": "2", "order": str(order)}
    return _function("MultivariatePolynomialFunction", **parts)


def sine(amplitude: float, omega: float = 1.0, phase: float = 0.0, offset: float = 0.0) -> Element:
    """Sine of one coordinate q.

    Args:
        amplitude: factor on the sine.
        omega: factor on q.
        phase: angle at q = 0, rad.
        offset: added to the sine.

    Returns:
        The function amplitude sin(omega q + phase) + offset.
    """
    parts = {"amplitude": amplitude, "omega": omega, "phase": phase, "offset": offset}
    return _function("Sine", **{tag: number(value) for tag, value in parts.items()})


def _function(kind: str, **parts: str) -> Element:
    return element(kind, *(element(tag, text) for tag, text in parts.items()), name="function")


@dataclass(frozen=True)
class CoordinateSpec:
    """A coordinate in rad or m."""

    name: str
    range_si: tuple[float, float]
    default_si: float = 0.0
    clamped: bool = False


@dataclass(frozen=True)
class AxisSpec:
    """One line of a CustomJoint's SpatialTransform."""

    component: str
    """``rotation1`` .. ``translation3``."""
    axis: Vector
    coordinates: tuple[str, ...]
    function: Element
    """Made by one of the functions above."""


@dataclass(frozen=True)
class JointSpec:
    """A CustomJoint or PinJoint; an offset frame is (translation in m, body-fixed XYZ angles in rad)."""

    name: str
    parent: str
    child: str
    coordinates: tuple[CoordinateSpec, ...]
    axes: tuple[AxisSpec, ...] = ()
    kind: str = "CustomJoint"
    parent_offset: tuple[Vector, Vector] = ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    child_offset: tuple[Vector, Vector] = ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))


def body_path(body: str) -> str:
    """Path of a body in an OpenSim 4 model."""
    return "/ground" if body == "ground" else f"/bodyset/{body}"


def body_values(body: OsimBody) -> dict[str, str]:
    """Tags and texts of a body's mass, centre of mass and inertia."""
    return {"mass": number(body.mass_kg), "mass_center": numbers(body.com_m), "inertia": numbers(body.inertia_kg_m2)}


def _body(body: OsimBody) -> Element:
    return element("Body", *(element(tag, text) for tag, text in body_values(body).items()), name=body.name)


def _coordinate(spec: CoordinateSpec) -> Element:
    return element(
        "Coordinate",
        element("default_value", number(spec.default_si)),
        element("default_speed_value", "0"),
        element("range", numbers(spec.range_si)),
        element("clamped", "true" if spec.clamped else "false"),
        element("locked", "false"),
        element("prescribed", "false"),
        name=spec.name,
    )


def _frame(name: str, body: str, offset: tuple[Vector, Vector]) -> Element:
    return element(
        "PhysicalOffsetFrame",
        element("socket_parent", body_path(body)),
        element("translation", numbers(offset[0])),
        element("orientation", numbers(offset[1])),
        name=name,
    )


def _parallel(a: Vector, b: Vector) -> bool:
    return float(np.square(np.cross(a, b)).sum()) < _PARALLEL


def _transform(axes: Sequence[AxisSpec]) -> Element:
    """Make all six lines; a line without a coordinate gets an axis that is not parallel to the given ones."""
    given = {a.component: a for a in axes}
    lines = []
    for group in (_COMPONENTS[:3], _COMPONENTS[3:]):
        taken = [given[c].axis for c in group if c in given]
        for component in group:
            if component in given:
                spec = given[component]
                axis, names, function = spec.axis, spec.coordinates, spec.function
            else:
                axis = next(u for u in _UNIT if not any(_parallel(u, t) for t in taken))
                taken.append(axis)
                names, function = (), constant(0.0)
            parts = (element("coordinates", " ".join(names)), element("axis", numbers(axis)), function)
            lines.append(element("TransformAxis", *parts, name=component))
    return element("SpatialTransform", *lines)


def joint_element(spec: JointSpec) -> Element:
    """Make a joint with its offset frames and coordinates."""
    frames = (f"{spec.parent}_offset", f"{spec.child}_offset")
    parts = [
        element("socket_parent_frame", frames[0]),
        element("socket_child_frame", frames[1]),
        element("coordinates", *(_coordinate(c) for c in spec.coordinates)),
        element("frames", _frame(frames[0], spec.parent, spec.parent_offset), _frame(frames[1], spec.child, spec.child_offset)),
    ]
    if spec.kind == "CustomJoint":
        parts.append(_transform(spec.axes))
    return element(spec.kind, *parts, name=spec.name)


def marker_set(markers: Iterable[OsimMarker]) -> Element:
    """Make the MarkerSet of a model."""
    return _set("MarkerSet", "markerset", (_marker(marker) for marker in markers))


def _marker(marker: OsimMarker) -> Element:
    return element(
        "Marker",
        element("socket_parent_frame", body_path(marker.body)),
        element("location", numbers(marker.position_m)),
        element("fixed", "false"),
        name=marker.name,
    )


def _set(tag: str, name: str, members: Iterable[Element]) -> Element:
    return element(tag, element("objects", *members), element("groups"), name=name)


def model_element(
    name: str,
    bodies: Iterable[OsimBody],
    joints: Iterable[JointSpec],
    markers: Iterable[OsimMarker],
    *,
    credits_text: str = "",
    publications: str = "",
) -> Element:
    """Make the root element ``OpenSimDocument`` of a model.

    Args:
        name: of the model.
        bodies: in the order of the tree, parents first.
        joints: likewise.
        markers: in any order.
        credits_text: who made it, under which licence.
        publications: what to cite.

    Returns:
        The element; write it with :func:`to_bytes`.
    """
    model = element(
        "Model",
        element("credits", credits_text),
        element("publications", publications),
        element("length_units", "meters"),
        element("force_units", "N"),
        element("gravity", numbers((0.0, -GRAVITY_M_S2, 0.0))),
        element("Ground", name="ground"),
        _set("BodySet", "bodyset", (_body(b) for b in bodies)),
        _set("JointSet", "jointset", (joint_element(j) for j in joints)),
        marker_set(markers),
        name=name,
    )
    root = etree.Element("OpenSimDocument", Version="40000")
    root.append(model)
    return root


def to_bytes(root: Element) -> bytes:
    """Write an XML tree as UTF-8, indented by tabs."""
    etree.indent(root, space="\t")
    text: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8")
    return text + b"\n"

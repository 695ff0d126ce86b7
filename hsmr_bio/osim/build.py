"""Writes a whole OpenSim 4 model from plain values: bodies, joints, coordinates, markers.

Used by the generator of the shipped model and by the twin. Only components that OpenSim 4.2-4.6 read without a warning.

Source:
    Format as written by OpenSim 4.6 (``Model::print``); order and independence of the joint axes: OpenSim's CustomJoint.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lxml import etree

Vector = Sequence[float]
GRAVITY_M_S2 = 9.80665
"""Standard gravity, ISO 80000-3; the value of OpenSim's own models."""
_COMPONENTS = ("rotation1", "rotation2", "rotation3", "translation1", "translation2", "translation3")
_UNIT = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def number(value: float) -> str:
    """Write a number with up to 15 significant digits, without a sign on zero."""
    return f"{float(value) + 0.0:.15g}"


def numbers(values: Iterable[float]) -> str:
    """Write numbers separated by spaces."""
    return " ".join(number(v) for v in values)


def element(tag: str, *content: Any, name: str | None = None) -> Any:
    """Make an XML element from a text or from child elements."""
    made = etree.Element(tag) if name is None else etree.Element(tag, name=name)
    for part in content:
        if isinstance(part, str):
            made.text = part
        else:
            made.append(part)
    return made


def constant(value: float) -> Any:
    """Constant function."""
    return element("Constant", element("value", number(value)), name="function")


def linear(slope: float, intercept: float = 0.0) -> Any:
    """Linear function of one coordinate."""
    return element("LinearFunction", element("coefficients", numbers((slope, intercept))), name="function")


def polynomial(coefficients: Vector) -> Any:
    """Polynomial of one coordinate, highest power first."""
    return element("PolynomialFunction", element("coefficients", numbers(coefficients)), name="function")


def multivariate(coefficients: Vector, order: int, dimension: int = 2) -> Any:
    """Polynomial of some coordinates, coefficients in OpenSim's order: the first coordinate's power outermost."""
    return element(
        "MultivariatePolynomialFunction",
        element("coefficients", numbers(coefficients)),
        element("dimension", str(dimension)),
        element("order", str(order)),
        name="function",
    )


def sine(amplitude: float, omega: float = 1.0, phase: float = 0.0, offset: float = 0.0) -> Any:
    """Return the function amplitude sin(omega q + phase) + offset."""
    parts = {"amplitude": amplitude, "omega": omega, "phase": phase, "offset": offset}
    return element("Sine", *(element(tag, number(value)) for tag, value in parts.items()), name="function")


@dataclass(frozen=True)
class BodySpec:
    """A body: kg, m, and (Ixx, Iyy, Izz, Ixy, Ixz, Iyz) in kg m^2 about the centre of mass."""

    name: str
    mass_kg: float
    com_m: Vector
    inertia_kg_m2: Vector


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
    function: Any
    """Element made by one of the functions above."""


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


@dataclass(frozen=True)
class MarkerSpec:
    """A marker at ``position_m`` in the frame of ``body``; ``fixed`` if OpenSim may not move it."""

    name: str
    body: str
    position_m: Vector
    fixed: bool = False


def body_path(body: str) -> str:
    """Path of a body in an OpenSim 4 model."""
    return "/ground" if body == "ground" else f"/bodyset/{body}"


def _body(spec: BodySpec) -> Any:
    return element(
        "Body",
        element("mass", number(spec.mass_kg)),
        element("mass_center", numbers(spec.com_m)),
        element("inertia", numbers(spec.inertia_kg_m2)),
        name=spec.name,
    )


def _coordinate(spec: CoordinateSpec) -> Any:
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


def _frame(name: str, body: str, offset: tuple[Vector, Vector]) -> Any:
    return element(
        "PhysicalOffsetFrame",
        element("socket_parent", body_path(body)),
        element("translation", numbers(offset[0])),
        element("orientation", numbers(offset[1])),
        name=name,
    )


def _parallel(a: Vector, b: Vector) -> bool:
    cross = (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])
    return sum(c * c for c in cross) < 0.25


def _transform(axes: Sequence[AxisSpec]) -> Any:
    """All six lines; the ones without a coordinate get an axis that is not parallel to the given ones."""
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


def joint_element(spec: JointSpec) -> Any:
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


def _marker(spec: MarkerSpec) -> Any:
    return element(
        "Marker",
        element("socket_parent_frame", body_path(spec.body)),
        element("location", numbers(spec.position_m)),
        element("fixed", "true" if spec.fixed else "false"),
        name=spec.name,
    )


def _set(tag: str, name: str, members: Iterable[Any]) -> Any:
    return element(tag, element("objects", *members), element("groups"), name=name)


def model_element(
    name: str,
    bodies: Iterable[BodySpec],
    joints: Iterable[JointSpec],
    markers: Iterable[MarkerSpec],
    *,
    credits_text: str = "",
    publications: str = "",
) -> Any:
    """Make the root element ``OpenSimDocument`` of a model.

    Args:
        name: of the model.
        bodies: in the order of the tree, parents first.
        joints: likewise.
        markers: in any order.
        credits_text: who made it, under which licence.
        publications: what to cite.

    Returns:
        The lxml element; write it with :func:`to_bytes`.
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
        _set("MarkerSet", "markerset", (_marker(m) for m in markers)),
        name=name,
    )
    root = etree.Element("OpenSimDocument", Version="40000")
    root.append(model)
    return root


def to_bytes(root: Any) -> bytes:
    """Write an XML tree as UTF-8, indented by tabs."""
    etree.indent(root, space="\t")
    text: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8")
    return text + b"\n"

"""Exports the BSM model for nimblephysics, an independent engine for the same skeleton.

nimblephysics reads neither polynomials of two coordinates nor sines. It has the joints that these approximate in the generic
model: an arc of constant curvature (ConstantCurvatureJoint) and an ellipsoid (EllipsoidJoint). A person's spine and scapulae
translate otherwise; the exported joint then has three translations as additional coordinates, and
:mod:`hsmr_bio.osim.nimble_states` computes their values and maps the engine's forces to the model's coordinates.

Source:
    nimblephysics 0.10.52.1, ``OpenSimParser``; formulas as in :mod:`hsmr_bio.osim.arcs`.
"""

from __future__ import annotations

from copy import deepcopy
from math import cos, sin
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from lxml import etree

from ..errors import ModelError
from ..kinematics.functions import Linear, Multivariate, Sine
from ..kinematics.tree import Joint
from ..types import FloatArray
from .arcs import arc_remainder
from .build import element, linear, number, numbers
from .document import OsimDocument
from .joints import orientation_of
from .parts import Element

_ARCS = ("lumbar", "thoracic_spine", "neck")
_ELLIPSOIDS = ("scapulothoracic_r", "scapulothoracic_l")
_KNEES = ("walker_knee_r", "walker_knee_l")
_ARC_ANGLES_RAD = [(b, e) for b in (-0.3, 0.0, 0.3) for e in (-0.3, 0.0, 0.3)]
"""Bending and extension at which a spine joint is compared with an arc; chosen inside the ranges."""
_ARC_ERROR_M = 2e-5
"""Largest difference of BSM's polynomials from an arc; above their error of 0.008 mm, chosen."""
_ELLIPSOID_ANGLES_RAD = -1.1, 0.0
"""Abduction and elevation at which the radii are measured: neither sine nor cosine of the abduction is small."""
_PERPENDICULAR = 1e-6
"""Largest error of the scalar products of axes that are perpendicular but for rounding in the file."""
_XZY = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
_KNEE_KNOTS = 31
"""Knots of the splines that replace the knee's polynomials; chosen."""
_KNEE_LIMIT_RAD = 2.6
"""Last knot, beyond the knee's range of 145 degrees; nimblephysics continues the last cubic."""


def nimble_model(document: OsimDocument) -> bytes:
    """Export a BSM model, generic or scaled, for nimblephysics.

    Args:
        document: from :func:`hsmr_bio.osim.library.bsm` or :func:`hsmr_bio.scaling.scale_model`.

    Returns:
        The bytes of a ``.osim`` file; nimblephysics reads it from an absolute path.

    Raises:
        ModelError: the model has not BSM's joints, or a function that nimblephysics misreads.
    """
    root = etree.fromstring(document.to_bytes())
    joints = {joint.name: joint for joint in document.tree().joints}
    for name in (*_ARCS, *_ELLIPSOIDS, *_KNEES):
        if name not in joints:
            raise ModelError(f"{document.name!r} has no joint {name!r}: only BSM models can be exported for nimblephysics")
        part = root.find(f"Model/JointSet/objects/CustomJoint[@name='{name}']")
        if name in _KNEES:
            _use_splines(part)
        elif name in free_joints(document):
            _use_free_translations(part, joints[name])
        else:
            made = _arc(part, joints[name]) if name in _ARCS else _ellipsoid(part, joints[name])
            part.getparent().replace(part, made)
    for line in root.iterfind(".//LinearFunction"):
        slope, intercept = (float(word) for word in line.findtext("coefficients").split())
        if intercept != 0.0:
            raise ModelError(f"{document.name!r}: nimblephysics would ignore the intercept {intercept:g} (slope {slope:g})")
    etree.indent(root, space="\t")
    text: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8")
    return text


def write_nimble_model(path: str | PathLike[str], document: OsimDocument) -> Path:
    """Export a BSM model to a file.

    Args:
        path: of the ``.osim`` file.
        document: as for :func:`nimble_model`.

    Returns:
        The absolute path, which nimblephysics requires.
    """
    target = Path(path).resolve()
    target.write_bytes(nimble_model(document))
    return target


def arc_length_m(joint: Joint) -> float:
    """Length of the arc that a spine joint of the generic BSM approximates.

    Raises:
        ModelError: its translations are not an arc's.
    """
    neutral = [f.intercept for _, f in joint.rotations if isinstance(f, Linear)]
    functions = [f for _, f in joint.translations if isinstance(f, Multivariate)]
    if len(neutral) != 3 or len(functions) != 3:
        raise ModelError(f"joint {joint.name!r} is not an arc of BSM: 3 linear rotations and 3 polynomials are expected")
    length = 2 * float(np.linalg.norm(joint.child_translation_m))  # the child's frame lies in the middle of the arc
    unit = np.array([arc_remainder(b + neutral[0], e + neutral[1]) for b, e in _ARC_ANGLES_RAD])
    translations = np.array([[_value(f, b, e) for f in functions] for b, e in _ARC_ANGLES_RAD])
    if np.abs(length * unit - translations).max() > _ARC_ERROR_M:
        raise ModelError(f"joint {joint.name!r} is not an arc of BSM: its polynomials do not fit a length of {length:g} m")
    return length


def ellipsoid_radii_m(joint: Joint) -> tuple[float, float, float]:
    """Radii of the ellipsoid that a scapulothoracic joint of BSM approximates; negative on the left.

    Raises:
        ModelError: its translations are not an ellipsoid's.
    """
    x, y, z = (f for _, f in joint.translations)
    if not (isinstance(x, Multivariate) and isinstance(y, Sine) and isinstance(z, Multivariate)):
        raise ModelError(f"joint {joint.name!r} is not an ellipsoid of BSM: polynomial, sine, polynomial are expected")
    a, e = _ELLIPSOID_ANGLES_RAD
    return _value(x, a, e) / (cos(e) * sin(a)), y.amplitude, _value(z, a, e) / (cos(e) * cos(a))


def free_joints(document: OsimDocument) -> tuple[str, ...]:
    """Joints of the spine and the scapulae whose translations are neither an arc's nor an ellipsoid's."""
    free = []
    for joint in document.tree().joints:
        if joint.name in (*_ARCS, *_ELLIPSOIDS):
            try:
                (arc_length_m if joint.name in _ARCS else ellipsoid_radii_m)(joint)
            except ModelError:
                free.append(joint.name)
    return tuple(free)


def _value(function: Multivariate, first: float, second: float) -> float:
    q = torch.zeros(max(function.inputs) + 1, dtype=torch.float64)
    q[function.inputs[0]], q[function.inputs[1]] = first, second
    return float(function.value_and_partials(q)[0])


def _renamed(part: Element, tag: str, *extra: Element) -> Element:
    made = deepcopy(part)
    made.tag = tag
    made.remove(made.find("SpatialTransform"))
    for child in extra:
        made.append(child)
    return made


def _arc(part: Element, joint: Joint) -> Element:
    length = arc_length_m(joint)
    neutral = [f.intercept for _, f in joint.rotations if isinstance(f, Linear)]
    made = _renamed(
        part,
        "ConstantCurvatureJoint",
        element("neutral_angle_x_z_y", numbers(neutral)),
        element("length", number(length)),
    )
    half = np.array([0.0, length / 2, 0.0])
    ends = (
        (joint.parent_translation_m, joint.parent_rotation, -half),
        (joint.child_translation_m, joint.child_rotation, half),
    )
    for frame, (translation, rotation, shift) in zip(made.findall("frames/PhysicalOffsetFrame"), ends, strict=True):
        frame.find("translation").text = numbers(translation + np.asarray(rotation) @ shift)
        frame.find("orientation").text = numbers(orientation_of(np.asarray(rotation)))
    return made


def _ellipsoid(part: Element, joint: Joint) -> Element:
    return _renamed(part, "EllipsoidJoint", element("radii_x_y_z", numbers(ellipsoid_radii_m(joint))))


def _use_free_translations(part: Element, joint: Joint) -> None:
    """Give a joint rotations by its angles about x, z, y and translations along three additional coordinates."""
    turn = xzy_frame(joint)
    rotations = (joint.parent_rotation, joint.child_rotation)
    for frame, rotation in zip(part.findall("frames/PhysicalOffsetFrame"), rotations, strict=True):
        frame.find("orientation").text = numbers(orientation_of(np.asarray(rotation) @ turn.T))
    for i, line in enumerate(part.findall("SpatialTransform/TransformAxis")):
        axis = np.eye(3)[i - 3]
        if i < 3:
            axis = turn @ np.array(joint.rotations[i][0], dtype=np.float64)
        else:
            name = extra_coordinate(joint.name, i - 3)
            line.find("coordinates").text = name
            extra = element("Coordinate", element("default_value", "0"), element("range", "-1 1"), name=name)
            part.find("coordinates").append(extra)
        line.find("axis").text = numbers(np.round(axis, 6))
        line.replace(line.find("*[@name='function']"), linear(1.0))


def xzy_frame(joint: Joint) -> FloatArray:
    """(3, 3) rotation of a joint's axes to x, z and y, the only order that nimblephysics reads.

    Raises:
        ModelError: the joint does not rotate about three perpendicular axes.
    """
    axes = np.array([axis for axis, _ in joint.rotations], dtype=np.float64)
    if axes.shape != (3, 3) or np.abs(axes @ axes.T - np.eye(3)).max() > _PERPENDICULAR:
        raise ModelError(f"joint {joint.name!r} does not rotate about three perpendicular axes: nimblephysics cannot read it")
    return np.asarray(-np.sign(np.linalg.det(axes)) * _XZY.T @ axes)


def extra_coordinate(joint: str, axis: int) -> str:
    """Name of a translation that the export adds to a joint.

    Args:
        joint: name of the joint.
        axis: 0, 1, 2 for x, y, z.

    Returns:
        The name of the coordinate.
    """
    return f"{joint}_t{'xyz'[axis]}"


def _use_splines(part: Element) -> None:
    """Replace the knee's polynomials by splines through points of them."""
    x = np.linspace(0.0, _KNEE_LIMIT_RAD, _KNEE_KNOTS)
    for old in part.findall("SpatialTransform/TransformAxis/PolynomialFunction"):
        coefficients = [float(word) for word in old.findtext("coefficients").split()]
        made = element(
            "SimmSpline", element("x", numbers(x)), element("y", numbers(np.polyval(coefficients, x))), name="function"
        )
        old.getparent().replace(old, made)

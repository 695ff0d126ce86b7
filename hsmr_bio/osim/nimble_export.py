"""The BSM model in the dialect that nimblephysics reads: an independent engine for the same skeleton.

nimblephysics reads neither polynomials of two coordinates nor sines, but has the joints that these stand for in the generic
model: an arc of constant curvature (its reading of ConstantCurvatureJoint) and an ellipsoid (its reading of EllipsoidJoint). A
person's spine and scapulae slide along other ways; there the exported joint has three translations as coordinates of its own,
and :mod:`hsmr_bio.osim.nimble_states` says which values they get, and what the engine's forces are in the model's coordinates.

Source:
    nimblephysics 0.10.52.1, ``OpenSimParser``; formulas as in :mod:`hsmr_bio.osim.arcs`.
"""

from __future__ import annotations

from copy import deepcopy
from math import cos, sin
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from lxml import etree

from ..errors import ModelError
from ..kinematics.functions import Linear, Multivariate, Sine
from ..kinematics.tree import Joint
from .arcs import arc_remainder
from .build import element, number, numbers
from .document import OsimDocument
from .joints import orientation_of

_ARCS = ("lumbar", "thoracic_spine", "neck")
_ELLIPSOIDS = ("scapulothoracic_r", "scapulothoracic_l")
_KNEES = ("walker_knee_r", "walker_knee_l")
_ARC_PLACES = [(b, e) for b in (-0.3, 0.0, 0.3) for e in (-0.3, 0.0, 0.3)]
_XZY = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
_KNEE_KNOTS = 31
_KNEE_LIMIT_RAD = 2.6
"""Just beyond the knee's range of 145 degrees; nimble continues the last cubic."""


def nimble_model(document: OsimDocument) -> bytes:
    """Write a BSM model, generic or scaled, for nimblephysics.

    Args:
        document: made by :func:`hsmr_bio.osim.library.bsm` or by the scaler.

    Returns:
        The bytes of a ``.osim`` file; write it and give nimblephysics the absolute path.

    Raises:
        ModelError: the spine or the shoulder girdle has not BSM's joints.
    """
    root = etree.fromstring(document.to_bytes())
    joints = {joint.name: joint for joint in document.tree().joints}
    for name in (*_ARCS, *_ELLIPSOIDS, *_KNEES):
        if name not in joints:
            raise ModelError(f"{document.name!r} has no joint {name!r}: only BSM models can be exported for nimblephysics")
        part = root.find(f"Model/JointSet/objects/CustomJoint[@name='{name}']")
        if name in _KNEES:
            _knots(part)
        elif name in free_joints(document):
            _free(part, joints[name])
        else:
            made = _arc(part, joints[name]) if name in _ARCS else _ellipsoid(part, joints[name])
            part.getparent().replace(part, made)
    for line in root.iterfind(".//LinearFunction"):
        slope, intercept = (float(word) for word in line.findtext("coefficients").split())
        if intercept != 0.0:
            raise ModelError(f"{document.name!r}: nimblephysics would drop the intercept of slope {slope:g}")
    etree.indent(root, space="\t")
    text: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8")
    return text


def write_nimble_model(path: str | PathLike[str], document: OsimDocument) -> Path:
    """Write the file and return its absolute path, which is the only kind that nimblephysics accepts."""
    target = Path(path).resolve()
    target.write_bytes(nimble_model(document))
    return target


def arc_length_m(joint: Joint) -> float:
    """Length of the arc that a spine joint of the generic BSM stands for.

    Raises:
        ModelError: its translations are not an arc's.
    """
    neutral = [f.intercept for _, f in joint.rotations if isinstance(f, Linear)]
    functions = [f for _, f in joint.translations if isinstance(f, Multivariate)]
    if len(neutral) != 3 or len(functions) != 3:
        raise ModelError(f"joint {joint.name!r} is not an arc of BSM: 3 linear rotations and 3 polynomials are expected")
    length = 2 * float(np.linalg.norm(joint.child_translation_m))  # the child's frame lies in the middle of the arc
    unit = np.array([arc_remainder(b + neutral[0], e + neutral[1]) for b, e in _ARC_PLACES])
    if np.abs(length * unit - _slides(joint)).max() > 2e-5:
        raise ModelError(f"joint {joint.name!r} is not an arc of BSM: its polynomials do not fit a length of {length:g} m")
    return length


def _slides(joint: Joint) -> np.ndarray:
    """(P, 3) translations of a spine joint at ``_ARC_PLACES``."""
    functions = [f for _, f in joint.translations if isinstance(f, Multivariate)]
    return np.array([[_value(f, b, e) for f in functions] for b, e in _ARC_PLACES])


def ellipsoid_radii_m(joint: Joint) -> tuple[float, float, float]:
    """Radii of the ellipsoid that a scapulothoracic joint of BSM stands for; negative on the left.

    Raises:
        ModelError: its translations are not an ellipsoid's.
    """
    x, y, z = (f for _, f in joint.translations)
    if not (isinstance(x, Multivariate) and isinstance(y, Sine) and isinstance(z, Multivariate)):
        raise ModelError(f"joint {joint.name!r} is not an ellipsoid of BSM: polynomial, sine, polynomial are expected")
    a, e = -1.1, 0.0
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
    import torch

    q = torch.zeros(max(function.inputs) + 1, dtype=torch.float64)
    q[function.inputs[0]], q[function.inputs[1]] = first, second
    return float(function.value_and_partials(q)[0])


def _renamed(part: Any, tag: str, *extra: Any) -> Any:
    made = deepcopy(part)
    made.tag = tag
    made.remove(made.find("SpatialTransform"))
    for child in extra:
        made.append(child)
    return made


def _shift(part: Any, index: int, local: np.ndarray, turn: np.ndarray) -> None:
    """Move an offset frame by ``local`` in its own axes, then turn it by ``turn`` in its own axes."""
    frame = part.findall("frames/PhysicalOffsetFrame")[index]
    frame.find("translation").text = numbers(local)
    frame.find("orientation").text = numbers(orientation_of(turn))


def _arc(part: Any, joint: Joint) -> Any:
    length = arc_length_m(joint)
    neutral = [f.intercept for _, f in joint.rotations if isinstance(f, Linear)]
    made = _renamed(
        part,
        "ConstantCurvatureJoint",
        element("neutral_angle_x_z_y", numbers(neutral)),
        element("length", number(length)),
    )
    half = np.array([0.0, length / 2, 0.0])
    parent, child = np.asarray(joint.parent_rotation), np.asarray(joint.child_rotation)
    _shift(made, 0, joint.parent_translation_m - parent @ half, parent)
    _shift(made, 1, joint.child_translation_m + child @ half, child)
    return made


def _ellipsoid(part: Any, joint: Joint) -> Any:
    return _renamed(part, "EllipsoidJoint", element("radii_x_y_z", numbers(ellipsoid_radii_m(joint))))


def _free(part: Any, joint: Joint) -> None:
    """Let a joint turn by plain angles about x, z, y and slide along three coordinates of its own."""
    turn = xzy_frame(joint)
    for index, orientation in enumerate((joint.parent_rotation, joint.child_rotation)):
        frame = part.findall("frames/PhysicalOffsetFrame")[index]
        frame.find("orientation").text = numbers(orientation_of(np.asarray(orientation) @ turn.T))
    unit = np.eye(3)
    for i, line in enumerate(part.findall("SpatialTransform/TransformAxis")):
        axis = unit[i - 3]
        if i < 3:
            axis = turn @ np.array(joint.rotations[i][0], dtype=np.float64)
        else:
            name = extra_coordinate(joint.name, i - 3)
            line.find("coordinates").text = name
            extra = element("Coordinate", element("default_value", "0"), element("range", "-1 1"), name=name)
            part.find("coordinates").append(extra)
        line.find("axis").text = numbers(np.round(axis, 6))
        old = line.find("*[@name='function']")
        line.replace(old, element("LinearFunction", element("coefficients", "1 0"), name="function"))


def xzy_frame(joint: Joint) -> np.ndarray:
    """(3, 3) turn of a joint's axes that makes its rotations those about x, z and y, the only ones that are read.

    Raises:
        ModelError: the joint does not turn about three perpendicular axes.
    """
    axes = np.array([axis for axis, _ in joint.rotations], dtype=np.float64)
    if axes.shape != (3, 3) or np.abs(axes @ axes.T - np.eye(3)).max() > 1e-6:
        raise ModelError(f"joint {joint.name!r} does not turn about three perpendicular axes: nimblephysics cannot read it")
    return np.asarray(-np.sign(np.linalg.det(axes)) * _XZY.T @ axes)


def extra_coordinate(joint: str, axis: int) -> str:
    """Name of the coordinate along which a freely sliding joint of the export moves: axis 0, 1, 2 are x, y, z."""
    return f"{joint}_t{'xyz'[axis]}"


def _knots(part: Any) -> None:
    """Replace the knee's polynomials by splines through 31 of their points."""
    x = np.linspace(0.0, _KNEE_LIMIT_RAD, _KNEE_KNOTS)
    for old in part.findall("SpatialTransform/TransformAxis/PolynomialFunction"):
        coefficients = [float(word) for word in old.findtext("coefficients").split()]
        made = element(
            "SimmSpline", element("x", numbers(x)), element("y", numbers(np.polyval(coefficients, x))), name="function"
        )
        old.getparent().replace(old, made)

"""The BSM model in the dialect that nimblephysics reads: an independent engine for the same skeleton.

nimblephysics reads neither polynomials of two coordinates nor sines, but has the joints that these stand for: an arc
of constant curvature (its reading of ConstantCurvatureJoint) and an ellipsoid (its reading of EllipsoidJoint).

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
from .library import bsm

_ARCS = ("lumbar", "thoracic_spine", "neck")
_ELLIPSOIDS = ("scapulothoracic_r", "scapulothoracic_l")
_KNEES = ("walker_knee_r", "walker_knee_l")
_ARC_PLACES = [(b, e) for b in (-0.3, 0.0, 0.3) for e in (-0.3, 0.0, 0.3)]
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
        ModelError: the spine or the shoulder girdle is not BSM's.
    """
    root = etree.fromstring(document.to_bytes())
    joints = {joint.name: joint for joint in document.tree().joints}
    for name in (*_ARCS, *_ELLIPSOIDS, *_KNEES):
        if name not in joints:
            raise ModelError(f"{document.name!r} has no joint {name!r}: only BSM models can be exported for nimblephysics")
        part = root.find(f"Model/JointSet/objects/CustomJoint[@name='{name}']")
        if name in _KNEES:
            _knots(part)
            continue
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


def _scaled_length_m(joint: Joint) -> float:
    """Length of the arc of a person's spine joint, whose frames may lie anywhere: by its translations, next to BSM's."""
    generic = next(other for other in bsm().tree().joints if other.name == joint.name)
    own, unit = _slides(joint), _slides(generic)
    factor = float(np.sum(own * unit) / np.sum(unit * unit)) if own.shape == unit.shape else 0.0
    if own.shape != unit.shape or np.abs(own - factor * unit).max() > 2e-5:
        raise ModelError(f"joint {joint.name!r} is not an arc of BSM: its translations are not BSM's, scaled")
    return factor * arc_length_m(generic)


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
    length = _scaled_length_m(joint)
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


def _knots(part: Any) -> None:
    """Replace the knee's polynomials by splines through 31 of their points."""
    x = np.linspace(0.0, _KNEE_LIMIT_RAD, _KNEE_KNOTS)
    for old in part.findall("SpatialTransform/TransformAxis/PolynomialFunction"):
        coefficients = [float(word) for word in old.findtext("coefficients").split()]
        made = element(
            "SimmSpline", element("x", numbers(x)), element("y", numbers(np.polyval(coefficients, x))), name="function"
        )
        old.getparent().replace(old, made)

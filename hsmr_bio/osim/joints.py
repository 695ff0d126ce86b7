"""OpenSim's joints as joints of the kinematic tree.

Source:
    Joint classes and the order of their coordinates: OpenSim 4.6, ``Simulation/SimbodyEngine``. A Ball, Gimbal or Free
    joint turns by body-fixed x-y-z angles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import ModelError
from ..kinematics.functions import Constant, Function, Linear
from ..kinematics.tree import Channel, Joint
from ..types import FloatArray
from .components import name_of, shown
from .functions import find_function, floats, read_function
from .parts import Element, MotionType, OffsetFrame, OsimJoint, Triple

_X, _Y, _Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
_SIMPLE: dict[str, tuple[tuple[str, Triple], ...]] = {
    "WeldJoint": (),
    "PinJoint": (("r", _Z),),
    "SliderJoint": (("t", _X),),
    "UniversalJoint": (("r", _X), ("r", _Y)),
    "BallJoint": (("r", _X), ("r", _Y), ("r", _Z)),
    "GimbalJoint": (("r", _X), ("r", _Y), ("r", _Z)),
    "FreeJoint": (("r", _X), ("r", _Y), ("r", _Z), ("t", _X), ("t", _Y), ("t", _Z)),
    "PlanarJoint": (("r", _Z), ("t", _X), ("t", _Y)),
}
"""Joints whose coordinates are plain angles and distances: (rotation or translation, axis) of each coordinate."""
_GIMBAL_LOCK = 1 - 1e-14
"""From this sine of the middle angle on, rounding leaves only the sum of the outer angles."""


@dataclass(frozen=True)
class TransformAxis:
    """One line of a CustomJoint's SpatialTransform."""

    name: str
    rotation: bool
    axis: tuple[float, ...]
    coordinates: tuple[str, ...]
    function: Element | None


def _where(joint: Element) -> str:
    return f"joint {shown(str(joint.get('name')))!r}"


def transform_axes(joint: Element) -> tuple[TransformAxis, ...]:
    """Read the six lines of a CustomJoint, rotations first.

    Raises:
        ModelError: a line is missing or malformed.
    """
    where = _where(joint)
    lines = joint.findall("SpatialTransform/TransformAxis")
    if len(lines) != 6:
        raise ModelError(f"{where}: a CustomJoint needs a SpatialTransform of 6 TransformAxis, it has {len(lines)}")
    read = []
    for i, line in enumerate(lines):
        name = line.get("name") or f"axis {i + 1}"
        axis = floats(line, "axis", f"{where}, {name}", 3)
        length = float(np.linalg.norm(axis))
        if length == 0:
            raise ModelError(f"{where}, {name}: an axis must not be zero")
        unit = tuple(v / length for v in axis)
        names = tuple((line.findtext("coordinates") or "").split())
        read.append(TransformAxis(name, i < 3, unit, names, find_function(line)))
    return tuple(read)


def _declared(joint: Element) -> tuple[str, ...]:
    return tuple(name_of(part, _where(joint)) for part in joint.findall("coordinates/Coordinate"))


def coordinate_order(joint: Element) -> tuple[str, ...]:
    """Coordinates of a joint in OpenSim's order: a CustomJoint's in the order in which its axes use them.

    Raises:
        ModelError: an axis uses a coordinate that the joint does not declare.
    """
    declared = _declared(joint)
    if joint.tag != "CustomJoint":
        return declared
    used = dict.fromkeys(name for line in transform_axes(joint) for name in line.coordinates)
    unknown = [name for name in used if name not in declared]
    if unknown:
        raise ModelError(
            f"{_where(joint)}: its axes use {shown(', '.join(unknown))}, but its coordinates are "
            f"{shown(', '.join(declared)) or 'none'}"
        )
    return (*used, *(name for name in declared if name not in used))


def motion_type(joint: Element, name: str) -> MotionType:
    """Motion type of a coordinate as OpenSim determines it.

    Args:
        joint: that has the coordinate.
        name: of the coordinate.

    Returns:
        ``"rotational"`` or ``"translational"`` if the coordinate, with slope 1 or -1, is the angle or distance of an axis; else
        ``"coupled"``.
    """
    if joint.tag != "CustomJoint":
        simple, declared = _SIMPLE.get(joint.tag), _declared(joint)
        if simple is None or len(simple) != len(declared):
            return "coupled"
        return "rotational" if simple[declared.index(name)][0] == "r" else "translational"
    for line in transform_axes(joint):
        if name in line.coordinates and line.function is not None and line.function.tag == "LinearFunction":
            slope = floats(line.function, "coefficients", _where(joint))[0]
            if abs(slope) == 1.0:
                return "rotational" if line.rotation else "translational"
    return "coupled"


def read_joint(spec: OsimJoint, element: Element, parent: int, index: dict[str, int]) -> Joint:
    """Turn a joint into a joint of the kinematic tree.

    Args:
        spec: the joint as a value.
        element: its XML.
        parent: index of the parent body in the tree, -1 for ground.
        index: column of each coordinate.

    Returns:
        The joint.

    Raises:
        ModelError: a joint class or function that cannot be evaluated.
    """
    where = _where(element)
    if spec.reverse:
        raise ModelError(f"{where} is a reversed joint, which cannot be evaluated here")
    if spec.kind == "CustomJoint":
        rotations, translations = _custom(element, index)
    elif spec.kind in _SIMPLE:
        axes = _SIMPLE[spec.kind]
        if len(axes) != len(spec.coordinates):
            raise ModelError(f"{where}: a {spec.kind} has {len(axes)} coordinates, got {len(spec.coordinates)}")
        pairs = [(kind, axis, Linear(index[n])) for (kind, axis), n in zip(axes, spec.coordinates, strict=True)]
        rotations = tuple((axis, f) for kind, axis, f in pairs if kind == "r")
        translations = tuple((axis, f) for kind, axis, f in pairs if kind == "t")
    else:
        raise ModelError(
            f"{where} is a {shown(spec.kind)}, which cannot be evaluated here (a CustomJoint and plain joints can)"
        )
    return Joint(
        name=spec.name,
        body=spec.child.body,
        parent=parent,
        parent_rotation=rotation_of(spec.parent),
        parent_translation_m=np.array(spec.parent.translation_m),
        child_rotation=rotation_of(spec.child),
        child_translation_m=np.array(spec.child.translation_m),
        rotations=rotations,
        translations=translations,
    )


def _custom(element: Element, index: dict[str, int]) -> tuple[tuple[Channel, ...], tuple[Channel, ...]]:
    rotations: list[Channel] = []
    translations: list[Channel] = []
    for line in transform_axes(element):
        where = f"{_where(element)}, {line.name}"
        if line.function is None:
            if line.coordinates:
                raise ModelError(f"{where}: it has a coordinate but no function that can be read")
            continue
        function: Function = read_function(line.function, [index[n] for n in line.coordinates], where)
        if isinstance(function, Constant) and function.value == 0.0:
            continue
        (rotations if line.rotation else translations).append((line.axis, function))
    return tuple(rotations), tuple(translations)


def rotation_of(frame: OffsetFrame) -> FloatArray:
    """Orientation (3, 3) of an offset frame in its body: R = Rx Ry Rz."""
    (a, b, c) = frame.orientation_rad
    rx = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    ry = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    rz = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return np.asarray(rx @ ry @ rz)


def orientation_of(rotation: FloatArray) -> Triple:
    """Body-fixed x-y-z angles of a rotation matrix: inverse of :func:`rotation_of`, middle angle in [-pi/2, pi/2]."""
    b = float(np.arcsin(np.clip(rotation[0, 2], -1, 1)))
    if abs(rotation[0, 2]) > _GIMBAL_LOCK:
        return float(np.arctan2(rotation[2, 1], rotation[1, 1])), b, 0.0
    a = float(np.arctan2(-rotation[1, 2], rotation[2, 2]))
    return a, b, float(np.arctan2(-rotation[0, 1], rotation[0, 0]))

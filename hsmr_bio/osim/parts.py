"""Parts of an OpenSim model as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from lxml import etree

from ..types import FloatArray

Element: TypeAlias = etree._Element
"""An XML element."""
MotionType = Literal["rotational", "translational", "coupled"]
Triple = tuple[float, float, float]


def triple(values: Sequence[float] | FloatArray) -> Triple:
    """Three numbers as a tuple."""
    x, y, z = values
    return float(x), float(y), float(z)


@dataclass(frozen=True)
class OsimBody:
    """A body: kg, m, kg m^2."""

    name: str
    mass_kg: float
    com_m: Triple
    inertia_kg_m2: tuple[float, ...]
    """Ixx, Iyy, Izz, Ixy, Ixz, Iyz about the centre of mass, in body axes."""


@dataclass(frozen=True)
class OffsetFrame:
    """A frame fixed to a body."""

    body: str
    """Name of the body, or ``"ground"``."""
    translation_m: Triple = (0.0, 0.0, 0.0)
    orientation_rad: Triple = (0.0, 0.0, 0.0)
    """Body-fixed x-y-z angles: R = Rx Ry Rz."""


@dataclass(frozen=True)
class OsimJoint:
    """A joint between two bodies."""

    name: str
    kind: str
    """OpenSim's class name, e.g. ``"CustomJoint"``."""
    parent: OffsetFrame
    child: OffsetFrame
    coordinates: tuple[str, ...]
    reverse: bool = False
    """Whether the coordinates place the parent relative to the child."""


@dataclass(frozen=True)
class OsimCoordinate:
    """A coordinate: rad or m."""

    name: str
    joint: str
    motion: MotionType
    """OpenSim's motion type. Only rotational coordinates are in degrees in a ``.mot`` file with ``inDegrees=yes``."""
    range_si: tuple[float, float]
    default_si: float
    clamped: bool
    locked: bool

    @property
    def rotational(self) -> bool:
        """Whether the value is an angle that OpenSim writes in degrees."""
        return self.motion == "rotational"


@dataclass(frozen=True)
class OsimMarker:
    """A marker on a body."""

    name: str
    body: str
    position_m: Triple
    """In the body's frame."""


@dataclass(frozen=True)
class Mesh:
    """A mesh shown on a body."""

    body: str
    file: str
    """File name, looked for beside the model, in its ``Geometry`` folder and in OpenSim's own."""
    scale: Triple = (1.0, 1.0, 1.0)
    color: Triple = (0.93, 0.87, 0.75)

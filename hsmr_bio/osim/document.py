"""An OpenSim model file as a value: reading it runs no code, every edit returns a new document.

What is not edited (muscles, wrap objects, comments) stays as it is. A file of OpenSim 3 becomes one of
OpenSim 4 when it is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from functools import cached_property
from os import PathLike
from pathlib import Path
from types import MappingProxyType

import numpy as np
from lxml import etree

from ..errors import InputError, ModelError, UnknownCoordinateError
from ..io.xml_file import xml_bytes
from ..kinematics.tree import Tree
from ..types import BoolArray, FloatArray
from .build import JointSpec, body_values, element, joint_element, marker_set, number, numbers
from .components import Components, name_of, named, shown
from .constraints import Constraints
from .frames import socket_frame
from .functions import find_function, floats, multiply
from .joints import coordinate_order, motion_type, read_joint, rotation_of
from .parts import Element, Mesh, OffsetFrame, OsimBody, OsimCoordinate, OsimJoint, OsimMarker, Triple, triple
from .reading import read_root


class OsimDocument:
    """One OpenSim model. Make it with :meth:`read` or :meth:`from_bytes`."""

    def __init__(self, root: Element, source: str) -> None:
        """Wrap an ``OpenSimDocument`` element; the caller must not change it afterwards."""
        self._root = root
        self._model = root.find("Model")
        self.source = source
        """File name, for messages."""

    @classmethod
    def read(cls, path: str | PathLike[str]) -> OsimDocument:
        """Read a ``.osim`` file.

        Raises:
            FormatError: not XML, not an OpenSim model, or an old one that OpenSim cannot bring up to date.
            FileNotFoundError: there is no such file.
        """
        return cls.from_bytes(Path(path).read_bytes(), source=str(path))

    @classmethod
    def from_bytes(cls, content: bytes, *, source: str = "model") -> OsimDocument:
        """Read a model from the bytes of its file.

        Args:
            content: the whole file.
            source: name of the file, for messages.

        Returns:
            The document.

        Raises:
            FormatError: not XML, not an OpenSim model, or an old one that OpenSim cannot bring up to date.
        """
        return cls(read_root(content, source), source)

    def to_bytes(self) -> bytes:
        """Bytes of the whole file."""
        return xml_bytes(self._root)

    def write(self, path: str | PathLike[str]) -> Path:
        """Write the file and return its path."""
        target = Path(path)
        target.write_bytes(self.to_bytes())
        return target

    @property
    def name(self) -> str:
        """Name of the model."""
        return str(self._model.get("name") or "")

    @cached_property
    def bodies(self) -> Mapping[str, OsimBody]:
        """Bodies in the order of the file."""
        found = {}
        for name, part in self._members("BodySet"):
            where = f"{self.source}, body {shown(name)!r}"
            com, inertia = (floats(part, tag, where, n, (0.0,) * n) for tag, n in (("mass_center", 3), ("inertia", 6)))
            mass = floats(part, "mass", where, 1)
            found[name] = OsimBody(name, mass[0], triple(com), inertia)
        return MappingProxyType(found)

    @property
    def mass_kg(self) -> float:
        """Sum of the bodies' masses."""
        return sum(body.mass_kg for body in self.bodies.values())

    @cached_property
    def joints(self) -> Mapping[str, OsimJoint]:
        """Joints in the order of the file.

        Raises:
            ModelError: frames or axes that cannot be read.
        """
        found = {}
        for name, part in self._members("JointSet"):
            where = f"{self.source}, joint {shown(name)!r}"
            parent, child = (socket_frame(self._components, part, f"{end}_frame", where) for end in ("parent", "child"))
            reverse = (part.findtext("reverse") or "false").strip() == "true"
            with self._in_messages():
                found[name] = OsimJoint(name, part.tag, parent, child, coordinate_order(part), reverse)
        return MappingProxyType(found)

    @cached_property
    def coordinates(self) -> Mapping[str, OsimCoordinate]:
        """Coordinates in the order of OpenSim's CoordinateSet.

        Raises:
            ModelError: two coordinates have one name, or values cannot be read.
        """
        found: dict[str, OsimCoordinate] = {}
        for joint in self.joints.values():
            part = self._part("JointSet", joint.name)
            for name in joint.coordinates:
                if name in found:
                    raise ModelError(f"{self.source}: two coordinates are called {shown(name)!r}")
                line: Element = named(part.findall("coordinates/Coordinate"), name)
                where = f"{self.source}, coordinate {shown(name)!r}"
                low, high = floats(line, "range", where, 2, (-np.inf, np.inf))
                (default,) = floats(line, "default_value", where, 1, (0.0,))
                clamped, locked = ((line.findtext(tag) or "false").strip() == "true" for tag in ("clamped", "locked"))
                with self._in_messages():
                    motion = motion_type(part, name)
                found[name] = OsimCoordinate(name, joint.name, motion, (low, high), default, clamped, locked)
        return MappingProxyType(found)

    def coordinate(self, name: str) -> OsimCoordinate:
        """One coordinate; UnknownCoordinateError if there is none of that name."""
        if name not in self.coordinates:
            raise UnknownCoordinateError(name, list(self.coordinates), self.name)
        return self.coordinates[name]

    @property
    def default_si(self) -> FloatArray:
        """(N,) default values of all coordinates."""
        return np.array([c.default_si for c in self.coordinates.values()])

    @property
    def ranges_si(self) -> FloatArray:
        """(N, 2) ranges of all coordinates."""
        return np.array([c.range_si for c in self.coordinates.values()])

    @property
    def rotational(self) -> BoolArray:
        """(N,) whether each coordinate is an angle."""
        return np.array([c.rotational for c in self.coordinates.values()], dtype=np.bool_)

    @cached_property
    def markers(self) -> Mapping[str, OsimMarker]:
        """Markers in the order of the file."""
        found = {}
        for name, part in self._members("MarkerSet"):
            where = f"{self.source}, marker {shown(name)!r}"
            frame = socket_frame(self._components, part, "parent_frame", where)
            position = rotation_of(frame) @ np.array(floats(part, "location", where, 3)) + frame.translation_m
            found[name] = OsimMarker(name, frame.body, triple(position))
        return MappingProxyType(found)

    @property
    def body_order(self) -> tuple[str, ...]:
        """Bodies with parents before children, otherwise as in the file: the order of :meth:`tree`.

        Raises:
            ModelError: a body without a joint, with two joints, or a closed loop.
        """
        parents: dict[str, str] = {}
        for joint in self.joints.values():
            child = joint.child.body
            if child in parents or child == "ground":
                raise ModelError(f"{self.source}: joint {joint.name!r} closes a loop at {child!r}; a tree is expected")
            parents[child] = joint.parent.body
        loose = [name for name in self.bodies if name not in parents]
        if loose:
            raise ModelError(f"{self.source}: no joint carries {shown(', '.join(loose))}")
        ordered = ["ground"]
        waiting = list(self.bodies)
        while waiting:
            following = next((name for name in waiting if parents[name] in ordered), None)
            if following is None:
                raise ModelError(f"{self.source}: the joints of {shown(', '.join(waiting))} form a loop; a tree is expected")
            ordered.append(following)
            waiting.remove(following)
        return tuple(ordered[1:])

    def tree(self) -> Tree:
        """Kinematic tree of the model, with the document's coordinates in the same order; built once.

        A coordinate that a constraint couples to others stays an independent coordinate of the tree; :meth:`couple` sets its
        value.

        Returns:
            The tree.

        Raises:
            ModelError: a joint or function cannot be evaluated; the message names it.
        """
        _ = self.coordinates, self.bodies  # damage is said as it is
        try:
            with self._in_messages():
                return self._tree
        except ModelError as error:
            raise ModelError(f"{error}. Only OpenSim does: hsmr-bio ik runs OpenSim's own tool") from error

    @cached_property
    def _tree(self) -> Tree:
        joint_of = {joint.child.body: joint for joint in self.joints.values()}
        order = self.body_order
        columns = {name: i for i, name in enumerate(self.coordinates)}
        rows = {name: i for i, name in enumerate(order)} | {"ground": -1}
        joints = [
            read_joint(joint, self._part("JointSet", joint.name), rows[joint.parent.body], columns)
            for joint in (joint_of[name] for name in order)
        ]
        return Tree(joints, list(self.coordinates))

    def couple(self, values_si: FloatArray) -> FloatArray:
        """Compute the coordinates that CoordinateCouplerConstraints make depend on others.

        Args:
            values_si: (..., N) values of all coordinates.

        Returns:
            (..., N) with the dependent ones computed; the others unchanged.

        Raises:
            ModelError: the function of a coupling cannot be evaluated.
        """
        return self.constraints.couple(values_si)

    @cached_property
    def constraints(self) -> Constraints:
        """What holds the coordinates together beyond the joints.

        Raises:
            ModelError: a coupling without function, or with a coordinate that the model lacks.
        """
        with self._in_messages():
            return Constraints(self._components, list(self.coordinates))

    @property
    def dependent(self) -> tuple[str, ...]:
        """Coordinates that a constraint makes depend on others (kneecaps)."""
        return self.constraints.dependent

    # Edits: each returns a new document.

    def renamed(self, name: str) -> OsimDocument:
        """The same model under another name."""
        copy = self._copy()
        copy._model.set("name", name)
        return copy

    def with_bodies(self, bodies: Iterable[OsimBody]) -> OsimDocument:
        """Replace mass, centre and inertia of some bodies."""
        copy = self._copy()
        for body in bodies:
            for tag, text in body_values(body).items():
                _put(copy._part("BodySet", body.name), tag, text)
        return copy

    def with_frames(self, frames: Mapping[str, tuple[OffsetFrame, OffsetFrame]]) -> OsimDocument:
        """Move joints: joint name -> (parent frame, child frame), on the bodies that the joint has.

        Raises:
            ModelError: an unknown joint, or one whose frame is not an offset frame of its own.
        """
        copy = self._copy()
        for name, ends in frames.items():
            part = copy._part("JointSet", name)
            for end, frame in zip(("parent", "child"), ends, strict=True):
                label = (part.findtext(f"socket_{end}_frame") or "").strip()
                found = named(part.findall("frames/PhysicalOffsetFrame"), label)
                if found is None:
                    raise ModelError(f"joint {name!r} has no {end} offset frame of its own; it cannot be moved")
                _put(found, "translation", numbers(frame.translation_m))
                _put(found, "orientation", numbers(frame.orientation_rad))
        return copy

    def with_translation_scales(self, scales: Mapping[str, Triple]) -> OsimDocument:
        """Multiply the translation functions of CustomJoints: joint name -> factors of translation 1, 2, 3.

        Coefficients and amplitudes are multiplied; no MultiplierFunction is added.
        """
        copy = self._copy()
        for name, factors in scales.items():
            lines = copy._part("JointSet", name).findall("SpatialTransform/TransformAxis")[3:]
            for line, factor in zip(lines, factors, strict=True):
                multiply(find_function(line), factor, f"joint {name!r}")
        return copy

    def with_joints(self, joints: Iterable[JointSpec]) -> OsimDocument:
        """Replace joints by others of the same names."""
        copy = self._copy()
        for joint in joints:
            part = copy._part("JointSet", joint.name)
            part.getparent().replace(part, joint_element(joint))
        return copy._indented()

    def with_markers(self, markers: Iterable[OsimMarker]) -> OsimDocument:
        """Replace the whole marker set.

        Raises:
            InputError: a marker is on a body that the model has not.
        """
        copy, markers = self._copy(), list(markers)
        for marker in markers:
            if marker.body not in self.bodies and marker.body != "ground":
                raise InputError(f"marker {marker.name!r}: the model has no body {marker.body!r}")
        old, new = copy._model.find("MarkerSet"), marker_set(markers)
        if old is None:
            copy._model.append(new)
        else:
            copy._model.replace(old, new)
        return copy._indented()

    def with_defaults(self, values_si: Mapping[str, float]) -> OsimDocument:
        """Change default values of some coordinates."""
        return self._with_coordinates("default_value", {name: number(value) for name, value in values_si.items()})

    def with_ranges(self, ranges_si: Mapping[str, tuple[float, float]]) -> OsimDocument:
        """Change the ranges of some coordinates."""
        return self._with_coordinates("range", {name: numbers(limits) for name, limits in ranges_si.items()})

    def with_meshes(self, meshes: Iterable[Mesh]) -> OsimDocument:
        """Show these meshes, and no others, on the bodies that they name."""
        copy = self._copy()
        grouped: dict[str, list[Mesh]] = {}
        for mesh in meshes:
            grouped.setdefault(mesh.body, []).append(mesh)
        for body, own in grouped.items():
            part = copy._part("BodySet", body)
            for old in part.findall("attached_geometry"):
                part.remove(old)
            part.insert(0, element("attached_geometry", *(_mesh(m, i) for i, m in enumerate(own, start=1))))
        return copy._indented()

    def _copy(self) -> OsimDocument:
        return OsimDocument(deepcopy(self._root), self.source)

    def _indented(self) -> OsimDocument:
        etree.indent(self._root, space="\t")
        return self

    def _with_coordinates(self, tag: str, texts: Mapping[str, str]) -> OsimDocument:
        """Change one property of some coordinates: coordinate name -> text."""
        copy = self._copy()
        for name, text in texts.items():
            joint = copy._part("JointSet", self.coordinate(name).joint)
            _put(named(joint.findall("coordinates/Coordinate"), name), tag, text)
        return copy

    def _objects(self, tag: str) -> list[Element]:
        """Parts of one of the model's sets, and those of their kind that are components of the model or of a part of it."""
        found = self._model.find(f"{tag}/objects")
        inside = [] if found is None else [part for part in found if isinstance(part.tag, str)]
        kind = tag.removesuffix("Set")
        loose = [part for part in self._model.iterfind(".//components/*") if isinstance(part.tag, str)]
        return inside + [part for part in loose if part.tag.endswith(kind)]

    def _members(self, tag: str) -> Iterator[tuple[str, Element]]:
        """Names and elements of a set; every name must be there once."""
        seen: set[str] = set()
        for part in self._objects(tag):
            name = name_of(part, f"{self.source}, {tag}")
            if name in seen:
                raise ModelError(f"{self.source}: its {tag} has two parts called {shown(name)!r}; rename one of them")
            seen.add(name)
            yield name, part

    def _part(self, tag: str, name: str) -> Element:
        found = named(self._objects(tag), name)
        if found is None:
            names = ", ".join(shown(str(part.get("name"))) for part in self._objects(tag)[:8])
            raise ModelError(f"{self.source}: no {shown(name)!r} in its {tag} (it has {names} ...)")
        return found

    @contextmanager
    def _in_messages(self) -> Iterator[None]:
        """Put the file's name before messages about a part of it."""
        try:
            yield
        except ModelError as error:
            raise (error if self.source in str(error) else ModelError(f"{self.source}, {error}")) from error

    @cached_property
    def _components(self) -> Components:
        return Components(self._model)


def _put(part: Element, tag: str, text: str) -> None:
    found = part.find(tag)
    if found is None:
        found = etree.SubElement(part, tag)
    found.text = text


def _mesh(mesh: Mesh, count: int) -> Element:
    return element(
        "Mesh",
        element("socket_frame", ".."),
        element("scale_factors", numbers(mesh.scale)),
        element("Appearance", element("opacity", "1"), element("color", numbers(mesh.color))),
        element("mesh_file", mesh.file),
        name=f"{mesh.body}_geom_{count}",
    )

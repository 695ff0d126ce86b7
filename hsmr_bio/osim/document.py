"""An OpenSim model file as a value: reading it runs no code, every edit returns a new document.

What is not edited (muscles, wrap objects, comments) stays as it is. Only OpenSim 4 files are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from functools import cached_property
from os import PathLike
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from lxml import etree

from ..errors import FormatError, InputError, ModelError, UnknownCoordinateError
from ..kinematics.tree import Tree
from ..types import BoolArray, FloatArray
from .build import JointSpec, body_values, element, joint_element, marker_set, number, numbers
from .functions import find_function, floats, multiply, read_function
from .joints import coordinate_order, motion_type, orientation_of, read_joint, rotation_of
from .parts import Element, Mesh, OffsetFrame, OsimBody, OsimCoordinate, OsimJoint, OsimMarker, Triple, triple

_COORDINATE = "coordinates/Coordinate[@name='{}']"
_OWN_FRAME = "frames/PhysicalOffsetFrame[@name='{}']"
_RESAVE = "Open it in OpenSim 4 and save it again, or use opensim.Model(FILE).printToXML(NEW_FILE)"
_FIRST_VERSION = 30501
"""Lowest ``Version`` of an OpenSim 4 file."""
_MOST_FRAMES = 8
"""A chain of more offset frames than this is a loop (chosen)."""


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
            FormatError: not XML, not an OpenSim model, or an OpenSim 3 file.
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
            FormatError: not XML, not an OpenSim model, or an OpenSim 3 file.
        """
        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
        try:
            root = etree.fromstring(content, parser)
        except (etree.XMLSyntaxError, ValueError) as error:
            raise FormatError(source, None, f"not readable as XML: {error}") from None
        if root.getroottree().docinfo.doctype:
            raise FormatError(source, None, "it declares a document type (DOCTYPE), which no OpenSim model does; refused")
        return cls(_checked(root, source), source)

    def to_bytes(self) -> bytes:
        """Bytes of the whole file."""
        text: bytes = etree.tostring(self._root, xml_declaration=True, encoding="UTF-8")
        return text + b"\n"

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
        for part in self._objects("BodySet"):
            name, where = part.get("name"), f"{self.source}, body {part.get('name')!r}"
            mass, com, inertia = (floats(part, t, where, n) for t, n in (("mass", 1), ("mass_center", 3), ("inertia", 6)))
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
            ModelError: a reversed joint, or frames or axes that cannot be read.
        """
        found = {}
        for part in self._objects("JointSet"):
            name, where = part.get("name"), f"{self.source}, joint {part.get('name')!r}"
            if (part.findtext("reverse") or "false").strip() == "true":
                raise ModelError(f"{where}: reversed joints are not supported. {_RESAVE}")
            parent, child = (self._frame(part, part.findtext(f"socket_{end}_frame"), where) for end in ("parent", "child"))
            found[name] = OsimJoint(name, part.tag, parent, child, coordinate_order(part))
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
                    raise ModelError(f"{self.source}: two coordinates are called {name!r}")
                line, where = part.find(_COORDINATE.format(name)), f"{self.source}, coordinate {name!r}"
                low, high = floats(line, "range", where, 2, (-np.inf, np.inf))
                (default,) = floats(line, "default_value", where, 1, (0.0,))
                clamped, locked = ((line.findtext(tag) or "false").strip() == "true" for tag in ("clamped", "locked"))
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
        for part in self._objects("MarkerSet"):
            name, where = part.get("name"), f"{self.source}, marker {part.get('name')!r}"
            frame = self._frame(part, part.findtext("socket_parent_frame"), where)
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
            raise ModelError(f"{self.source}: no joint carries {', '.join(loose)}")
        ordered = ["ground"]
        waiting = list(self.bodies)
        while waiting:
            following = next((name for name in waiting if parents[name] in ordered), None)
            if following is None:
                raise ModelError(f"{self.source}: the joints of {', '.join(waiting)} form a loop; a tree is expected")
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
        return self._tree

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
        values = torch.as_tensor(np.array(values_si, dtype=np.float64))
        index = {name: i for i, name in enumerate(self.coordinates)}
        for dependent, (inputs, function, scale) in self._couplings.items():
            read = read_function(function, [index[n] for n in inputs], f"coupling of {dependent!r}")
            values[..., index[dependent]] = scale * read.value_and_partials(values)[0]
        return np.asarray(values.numpy())

    @cached_property
    def _couplings(self) -> dict[str, tuple[tuple[str, ...], Element, float]]:
        found = {}
        for part in self._objects("ConstraintSet"):
            if part.tag != "CoordinateCouplerConstraint" or (part.findtext("isEnforced") or "true").strip() == "false":
                continue
            dependent = (part.findtext("dependent_coordinate_name") or "").strip()
            inputs = tuple((part.findtext("independent_coordinate_names") or "").split())
            function = find_function(part)
            names = [n for n in (dependent, *inputs) if n not in self.coordinates]
            if names or function is None:
                raise ModelError(f"constraint {part.get('name')!r}: it needs a function and known coordinates, not {names}")
            found[dependent] = (inputs, function, float(part.findtext("scale_factor") or 1.0))
        return found

    @property
    def dependent(self) -> tuple[str, ...]:
        """Coordinates that a constraint makes depend on others (kneecaps)."""
        return tuple(self._couplings)

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
                found = part.find(_OWN_FRAME.format(label))
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
            _put(copy._part("JointSet", self.coordinate(name).joint).find(_COORDINATE.format(name)), tag, text)
        return copy

    def _objects(self, tag: str) -> list[Element]:
        found = self._model.find(f"{tag}/objects")
        return [] if found is None else [part for part in found if isinstance(part.tag, str)]

    def _part(self, tag: str, name: str) -> Element:
        for part in self._objects(tag):
            if part.get("name") == name:
                return part
        names = ", ".join(str(part.get("name")) for part in self._objects(tag)[:8])
        raise ModelError(f"{self.source}: no {name!r} in its {tag} (it has {names} ...)")

    def _frame(self, part: Element, socket: str | None, where: str, depth: int = 0) -> OffsetFrame:
        """Follow a socket through offset frames (of this part, or anywhere) down to a body or ground."""
        label = (socket or "").strip().split("/")[-1]
        if not label or depth > _MOST_FRAMES:
            raise ModelError(f"{where}: its frame {socket!r} leads to no body")
        found = part.find(_OWN_FRAME.format(label))
        if found is None and label == "ground":
            return OffsetFrame("ground")
        if found is None and label in self._body_names:
            return OffsetFrame(label)
        if found is None:
            found = next(self._model.iterfind(f".//PhysicalOffsetFrame[@name='{label}']"), None)
        if found is None:
            raise ModelError(f"{where}: no body or frame is called {label!r}")
        base = self._frame(part, found.findtext("socket_parent"), where, depth + 1)
        values = (floats(found, tag, where, 3, (0.0, 0.0, 0.0)) for tag in ("translation", "orientation"))
        inner = OffsetFrame(base.body, *(triple(value) for value in values))
        if base == OffsetFrame(base.body):
            return inner
        outer = rotation_of(base)
        translation = outer @ np.array(inner.translation_m) + base.translation_m
        return OffsetFrame(base.body, triple(translation), orientation_of(outer @ rotation_of(inner)))

    @cached_property
    def _body_names(self) -> frozenset[str]:
        return frozenset(str(part.get("name")) for part in self._objects("BodySet"))


def _checked(root: Element, source: str) -> Element:
    model = root.find("Model")
    if root.tag != "OpenSimDocument" or model is None:
        raise FormatError(source, None, f"not an OpenSim model: it holds <{root.tag}>, not <OpenSimDocument> with a <Model>")
    try:
        version = int(root.get("Version", "0"))
    except ValueError:
        raise FormatError(source, None, f"its Version must be a number, got {root.get('Version')!r}") from None
    old = next(iter(model.iterfind("BodySet/objects/Body/Joint")), None)
    if version < _FIRST_VERSION or old is not None:
        raise FormatError(source, None, f"this is an OpenSim 3 file (Version {version}), OpenSim 4 is expected. {_RESAVE}")
    if model.find("JointSet") is None or model.find("BodySet") is None:
        raise FormatError(source, None, f"the model has no BodySet or no JointSet. {_RESAVE}")
    return root


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

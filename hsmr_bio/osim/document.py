"""An OpenSim model file as a value: reading never runs anything, every edit returns a new document.

The rest of the file (muscles, wrap objects, comments) is kept as it is. Only OpenSim 4 files are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from functools import cached_property
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from lxml import etree

from ..errors import FormatError, InputError, ModelError, UnknownCoordinateError
from .build import JointSpec, body_path, element, joint_element, number, numbers
from .functions import find_function, read_function
from .joints import JOINT_KINDS, coordinate_order, motion_type, orientation_of, read_joint, rotation_of
from .parts import Mesh, OffsetFrame, OsimBody, OsimCoordinate, OsimJoint, OsimMarker, Triple

if TYPE_CHECKING:
    import torch

    from ..kinematics.tree import Tree
    from ..types import FloatArray

_RESAVE = "Open it in OpenSim 4 and save it again, or use opensim.Model(FILE).printToXML(NEW_FILE)"


class OsimDocument:
    """One OpenSim model. Make it with :meth:`read` or :meth:`from_bytes`."""

    def __init__(self, root: Any, source: str) -> None:
        """Take over an ``OpenSimDocument`` element; the caller must not change it afterwards."""
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
        """The whole file."""
        text: bytes = etree.tostring(self._root, xml_declaration=True, encoding="UTF-8")
        return text + b"\n"

    def write(self, path: str | PathLike[str]) -> Path:
        """Write the file; returns its path."""
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
            name = part.get("name")
            where = f"body {name!r}"
            mass, com, inertia = (
                self._numbers(part, t, n, where) for t, n in (("mass", 1), ("mass_center", 3), ("inertia", 6))
            )
            found[name] = OsimBody(name, mass[0], (com[0], com[1], com[2]), tuple(inertia))  # type: ignore[arg-type]
        return MappingProxyType(found)

    @property
    def mass_kg(self) -> float:
        """Mass of all bodies."""
        return sum(body.mass_kg for body in self.bodies.values())

    @cached_property
    def joints(self) -> Mapping[str, OsimJoint]:
        """Joints in the order of the file."""
        found = {}
        for part in self._objects("JointSet"):
            name, where = part.get("name"), f"joint {part.get('name')!r}"
            if (part.findtext("reverse") or "false").strip() == "true":
                raise ModelError(f"{where}: reversed joints are not supported. {_RESAVE}")
            declared = [c.get("name") for c in part.findall("coordinates/Coordinate")]
            ends = [self._frame(part, part.findtext(f"socket_{end}_frame"), where) for end in ("parent", "child")]
            order = coordinate_order(part.tag, part, declared, where)
            found[name] = OsimJoint(name, part.tag, ends[0], ends[1], order)
        return MappingProxyType(found)

    @cached_property
    def coordinates(self) -> Mapping[str, OsimCoordinate]:
        """Coordinates in the order of OpenSim's CoordinateSet."""
        found: dict[str, OsimCoordinate] = {}
        parts = {part.get("name"): part for part in self._objects("JointSet")}
        for joint in self.joints.values():
            part, where = parts[joint.name], f"joint {joint.name!r}"
            declared = [c.get("name") for c in part.findall("coordinates/Coordinate")]
            for name in joint.coordinates:
                if name in found:
                    raise ModelError(f"{self.source}: two coordinates are called {name!r}")
                line = part.find(f"coordinates/Coordinate[@name='{name}']")
                low, high = self._numbers(line, "range", 2, f"coordinate {name!r}", (-np.inf, np.inf))
                default = self._numbers(line, "default_value", 1, f"coordinate {name!r}", (0.0,))[0]
                clamped, locked = ((line.findtext(tag) or "false").strip() == "true" for tag in ("clamped", "locked"))
                motion = motion_type(part.tag, part, name, declared, where)
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
    def rotational(self) -> Any:
        """(N,) whether each coordinate is an angle."""
        return np.array([c.rotational for c in self.coordinates.values()], dtype=np.bool_)

    @cached_property
    def markers(self) -> Mapping[str, OsimMarker]:
        """Markers in the order of the file."""
        found = {}
        for part in self._objects("MarkerSet"):
            name, where = part.get("name"), f"marker {part.get('name')!r}"
            frame = self._frame(part, part.findtext("socket_parent_frame"), where)
            local = np.array(self._numbers(part, "location", 3, where))
            at = rotation_of(frame) @ local + frame.translation_m
            found[name] = OsimMarker(name, frame.body, (float(at[0]), float(at[1]), float(at[2])))
        return MappingProxyType(found)

    @property
    def body_order(self) -> tuple[str, ...]:
        """Bodies with parents before children, otherwise as in the file: the order of :meth:`tree`.

        Raises:
            ModelError: a body without a joint, with two joints, or a closed loop.
        """
        carrier: dict[str, OsimJoint] = {}
        for joint in self.joints.values():
            if joint.child.body in carrier or joint.child.body == "ground":
                raise ModelError(
                    f"{self.source}: joint {joint.name!r} closes a loop at {joint.child.body!r}; a tree is expected"
                )
            carrier[joint.child.body] = joint
        loose = [name for name in self.bodies if name not in carrier]
        if loose:
            raise ModelError(f"{self.source}: no joint carries {', '.join(loose)}")
        placed: dict[str, None] = {"ground": None}
        waiting = list(self.bodies)
        while waiting:
            ready = [name for name in waiting if carrier[name].parent.body in placed]
            if not ready:
                raise ModelError(f"{self.source}: the joints of {', '.join(waiting)} form a loop; a tree is expected")
            placed[ready[0]] = None
            waiting.remove(ready[0])
        return tuple(placed)[1:]

    def tree(self, dtype: torch.dtype | None = None) -> Tree:
        """The model as a kinematic tree whose coordinates are those of the document, in the same order.

        A coordinate that a constraint couples to others stays a coordinate of its own; :meth:`couple` sets its value.

        Args:
            dtype: torch.float64 unless given.

        Raises:
            ModelError: a joint or function that cannot be evaluated, by name.
        """
        import torch

        from ..kinematics.tree import Tree

        parts = {part.get("name"): part for part in self._objects("JointSet")}
        carrier = {joint.child.body: joint for joint in self.joints.values()}
        order = self.body_order
        index = {name: i for i, name in enumerate(self.coordinates)}
        rows = {name: i for i, name in enumerate(order)} | {"ground": -1}
        joints = []
        for name in order:
            joint = carrier[name]
            joints.append(read_joint(joint, parts[joint.name], rows[joint.parent.body], index))
        return Tree(joints, list(self.coordinates), dtype or torch.float64)

    def couple(self, values_si: FloatArray) -> FloatArray:
        """Set the coordinates that CoordinateCouplerConstraints make depend on others.

        Args:
            values_si: (..., N) values of all coordinates.

        Returns:
            (..., N) with the dependent ones computed; the others unchanged.

        Raises:
            ModelError: a coupling by a function that cannot be evaluated.
        """
        import torch

        values = torch.as_tensor(np.array(values_si, dtype=np.float64))
        index = {name: i for i, name in enumerate(self.coordinates)}
        for dependent, (inputs, function, scale) in self._couplings.items():
            read = read_function(function, [index[n] for n in inputs], f"coupling of {dependent!r}")
            values[..., index[dependent]] = scale * read.value_and_partials(values)[0]
        return np.asarray(values.numpy())

    @cached_property
    def _couplings(self) -> dict[str, tuple[tuple[str, ...], Any, float]]:
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
            scale = float(part.findtext("scale_factor") or 1.0)
            found[dependent] = (inputs, function, scale)
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
            part = copy._part("BodySet", body.name)
            for tag, text in (
                ("mass", number(body.mass_kg)),
                ("mass_center", numbers(body.com_m)),
                ("inertia", numbers(body.inertia_kg_m2)),
            ):
                part.find(tag).text = text
        return copy

    def with_frames(self, frames: Mapping[str, tuple[OffsetFrame, OffsetFrame]]) -> OsimDocument:
        """Move joints: joint name -> (parent frame, child frame), on the bodies that the joint has."""
        copy = self._copy()
        for name, ends in frames.items():
            part = copy._part("JointSet", name)
            for end, frame in zip(("parent", "child"), ends, strict=True):
                label = (part.findtext(f"socket_{end}_frame") or "").strip()
                found = part.find(f"frames/PhysicalOffsetFrame[@name='{label}']")
                if found is None:
                    raise ModelError(f"joint {name!r} has no {end} offset frame of its own; it cannot be moved")
                _put(found, "translation", numbers(frame.translation_m))
                _put(found, "orientation", numbers(frame.orientation_rad))
        return copy

    def with_translation_scales(self, scales: Mapping[str, Triple]) -> OsimDocument:
        """Multiply the translation functions of CustomJoints, joint name -> factors of translation 1, 2, 3.

        Coefficients and amplitudes are multiplied; no MultiplierFunction is wrapped around.
        """
        copy = self._copy()
        for name, factors in scales.items():
            lines = copy._part("JointSet", name).findall("SpatialTransform/TransformAxis")[3:]
            for line, factor in zip(lines, factors, strict=True):
                _multiply(find_function(line), factor, name)
        return copy

    def with_joints(self, joints: Iterable[JointSpec]) -> OsimDocument:
        """Replace joints by others of the same names."""
        copy = self._copy()
        for joint in joints:
            part = copy._part("JointSet", joint.name)
            part.getparent().replace(part, joint_element(joint))
        etree.indent(copy._root, space="\t")
        return copy

    def with_markers(self, markers: Iterable[OsimMarker]) -> OsimDocument:
        """Replace the whole marker set."""
        copy = self._copy()
        made = []
        for marker in markers:
            if marker.body not in self.bodies and marker.body != "ground":
                raise InputError(f"marker {marker.name!r}: the model has no body {marker.body!r}")
            made.append(
                element(
                    "Marker",
                    element("socket_parent_frame", body_path(marker.body)),
                    element("location", numbers(marker.position_m)),
                    element("fixed", "false"),
                    name=marker.name,
                )
            )
        old = copy._model.find("MarkerSet")
        new = element("MarkerSet", element("objects", *made), element("groups"), name="markerset")
        if old is None:
            copy._model.append(new)
        else:
            copy._model.replace(old, new)
        etree.indent(copy._root, space="\t")
        return copy

    def with_defaults(self, values_si: Mapping[str, float]) -> OsimDocument:
        """Change default values of some coordinates."""
        copy = self._copy()
        for name, value in values_si.items():
            part = copy._part("JointSet", self.coordinate(name).joint)
            _put(part.find(f"coordinates/Coordinate[@name='{name}']"), "default_value", number(value))
        return copy

    def with_ranges(self, ranges_si: Mapping[str, tuple[float, float]]) -> OsimDocument:
        """Change the ranges of some coordinates."""
        copy = self._copy()
        for name, limits in ranges_si.items():
            part = copy._part("JointSet", self.coordinate(name).joint)
            _put(part.find(f"coordinates/Coordinate[@name='{name}']"), "range", numbers(limits))
        return copy

    def with_meshes(self, meshes: Iterable[Mesh]) -> OsimDocument:
        """Show these meshes, and no others, on the bodies that they name."""
        copy = self._copy()
        grouped: dict[str, list[Mesh]] = {}
        for mesh in meshes:
            grouped.setdefault(mesh.body, []).append(mesh)
        for body, mine in grouped.items():
            part = copy._part("BodySet", body)
            for old in part.findall("attached_geometry"):
                part.remove(old)
            part.insert(0, element("attached_geometry", *(_mesh(m, i) for i, m in enumerate(mine, start=1))))
        etree.indent(copy._root, space="\t")
        return copy

    def _copy(self) -> OsimDocument:
        return OsimDocument(deepcopy(self._root), self.source)

    def _objects(self, tag: str) -> list[Any]:
        found = self._model.find(f"{tag}/objects")
        return [] if found is None else [part for part in found if isinstance(part.tag, str)]

    def _part(self, tag: str, name: str) -> Any:
        for part in self._objects(tag):
            if part.get("name") == name:
                return part
        names = ", ".join(str(part.get("name")) for part in self._objects(tag)[:8])
        raise ModelError(f"{self.source}: no {name!r} in its {tag} (it has {names} ...)")

    def _numbers(
        self, part: Any, tag: str, count: int, where: str, default: tuple[float, ...] | None = None
    ) -> tuple[float, ...]:
        text = part.findtext(tag)
        if text is None and default is not None:
            return default
        try:
            values = tuple(float(word) for word in (text or "").split())
        except ValueError:
            values = ()
        if len(values) != count or not (default is not None or np.all(np.isfinite(values))):
            raise ModelError(f"{self.source}, {where}: <{tag}> must hold {count} numbers, got {text!r}")
        return values

    def _frame(self, part: Any, socket: str | None, where: str, depth: int = 0) -> OffsetFrame:
        """Where a socket points: a body, ground, or an offset frame (of this part, or anywhere), down to the body."""
        label = (socket or "").strip().split("/")[-1]
        if not label or depth > 8:
            raise ModelError(f"{self.source}, {where}: its frame {socket!r} leads to no body")
        found = part.find(f"frames/PhysicalOffsetFrame[@name='{label}']")
        if found is None and label == "ground":
            return OffsetFrame("ground")
        if found is None and label in self._body_names:
            return OffsetFrame(label)
        if found is None:
            found = next(self._model.iterfind(f".//PhysicalOffsetFrame[@name='{label}']"), None)
        if found is None:
            raise ModelError(f"{self.source}, {where}: no body or frame is called {label!r}")
        base = self._frame(part, found.findtext("socket_parent"), where, depth + 1)
        at, turned = (self._numbers(found, tag, 3, where, (0.0, 0.0, 0.0)) for tag in ("translation", "orientation"))
        if base == OffsetFrame(base.body):
            return OffsetFrame(base.body, (at[0], at[1], at[2]), (turned[0], turned[1], turned[2]))
        outer = rotation_of(base)
        inner = rotation_of(OffsetFrame(base.body, orientation_rad=(turned[0], turned[1], turned[2])))
        place = outer @ np.array(at) + base.translation_m
        return OffsetFrame(base.body, (float(place[0]), float(place[1]), float(place[2])), orientation_of(outer @ inner))

    @cached_property
    def _body_names(self) -> frozenset[str]:
        return frozenset(str(part.get("name")) for part in self._objects("BodySet"))


def _checked(root: Any, source: str) -> Any:
    model = root.find("Model")
    if root.tag != "OpenSimDocument" or model is None:
        raise FormatError(source, None, f"not an OpenSim model: it holds <{root.tag}>, not <OpenSimDocument> with a <Model>")
    try:
        version = int(root.get("Version", "0"))
    except ValueError:
        raise FormatError(source, None, f"its Version must be a number, got {root.get('Version')!r}") from None
    old = next(iter(model.iterfind("BodySet/objects/Body/Joint")), None)
    if version < 30501 or old is not None:
        raise FormatError(source, None, f"this is an OpenSim 3 file (Version {version}), OpenSim 4 is expected. {_RESAVE}")
    if model.find("JointSet") is None or model.find("BodySet") is None:
        raise FormatError(source, None, f"the model has no BodySet or no JointSet. {_RESAVE}")
    return root


def _put(part: Any, tag: str, text: str) -> None:
    found = part.find(tag)
    if found is None:
        found = etree.SubElement(part, tag)
    found.text = text


def _multiply(function: Any, factor: float, joint: str) -> None:
    """Multiply a function element in place."""
    tags = {
        "Constant": ("value",),
        "LinearFunction": ("coefficients",),
        "PolynomialFunction": ("coefficients",),
        "MultivariatePolynomialFunction": ("coefficients",),
        "Sine": ("amplitude", "offset"),
        "SimmSpline": ("y",),
        "MultiplierFunction": ("scale",),
    }
    if function is None or function.tag not in tags:
        raise ModelError(f"joint {joint!r}: its translation cannot be scaled; expected one of {', '.join(JOINT_KINDS)}")
    for tag in tags[function.tag]:
        found = function.find(tag)
        if found is not None:
            found.text = numbers(factor * float(word) for word in (found.text or "").split())


def _mesh(mesh: Mesh, count: int) -> Any:
    return element(
        "Mesh",
        element("socket_frame", ".."),
        element("scale_factors", numbers(mesh.scale)),
        element("Appearance", element("opacity", "1"), element("color", numbers(mesh.color))),
        element("mesh_file", mesh.file),
        name=f"{mesh.body}_geom_{count}",
    )

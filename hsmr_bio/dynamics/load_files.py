"""External loads from files: OpenSim's ExternalLoads XML, tables of forces, C3D force plates."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError, InputError
from ..io.c3d import open_c3d
from ..io.door import reader
from ..io.repairs import say, shown
from ..io.table import Table, read_table, refuse_doubtful, refuse_missing
from ..io.xml_file import Element, parse_xml
from ..types import FloatArray
from .loads import ExternalForce, ExternalLoads

_AXES = ("x", "y", "z")
_ZERO_N = 20.0
"""Below this vertical force a plate has no centre of pressure: 20 N is the usual threshold of gait laboratories
(e.g. Zeni et al., Gait & Posture 27, 2008, 710-714)."""
_LEVEL = 0.999
"""Smallest component of a plate's normal along a laboratory axis: 2.6 degrees."""
_SHOWN = 4
"""Most names that a message lists."""
_LONGEST = 250
"""Characters of a message that lists names."""
_C3dParameters = Mapping[str, Any]
"""ezc3d's parameters: group -> name -> entry."""
_LENGTH_UNITS = {"mm": 1e-3, "m": 1.0, "cm": 1e-2}
_FORCE_UNITS = {"n": 1.0, "kn": 1e3}
_MOMENT_UNITS = {"nm": 1.0, "nmm": 1e-3, "ncm": 1e-2}
"""Units, without blanks and dots -> m, N, N m."""
_CHANNEL_UNITS = ("n", *_MOMENT_UNITS, "mm", "m", "v", "mv", "volts", "")


@reader
def read_loads(path: str | os.PathLike[str]) -> ExternalLoads:
    """Read external loads.

    Args:
        path: ``.xml`` (OpenSim's ExternalLoads, with its data file in the same folder), ``.mot`` or ``.sto`` (columns
            such as ``ground_force_1_vx, ..._px, ..._mx``), or ``.c3d`` (force plates).

    Returns:
        The loads in ground axes or in the frames that the XML names; bodies are None where the file names none.

    Raises:
        FormatError: the file breaks its format, lacks columns, or has cells without a value.
        InputError: another type of file.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".xml":
        return _read_xml(Path(path))
    if suffix in (".mot", ".sto"):
        return _read_columns(Path(path))
    if suffix == ".c3d":
        return read_c3d_plates(path)
    raise InputError(f"{os.fspath(path)}: external loads are read from .xml, .mot, .sto or .c3d, not from {suffix!r}")


def _read_xml(path: Path) -> ExternalLoads:
    try:
        root = parse_xml(path.read_bytes(), path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    node = root if root.tag == "ExternalLoads" else root.find("ExternalLoads")
    if node is None:
        raise FormatError(path, None, "there is no <ExternalLoads> in this file")
    name = (node.findtext("datafile") or "").strip()
    if not name:
        raise FormatError(path, "<datafile>", "the data file with the forces is not named")
    data = _data_file(path, name)
    table = read_table(data)
    forces = [_xml_force(path, element, table, data, k) for k, element in enumerate(node.iter("ExternalForce"))]
    active = [force for force in forces if force is not None]
    if not active:
        raise FormatError(path, None, "there is no active <ExternalForce> in this file")
    return ExternalLoads(forces=tuple(active), source=path.name)


def _data_file(path: Path, name: str) -> Path:
    """The data file that an ExternalLoads file names: in its folder, with either slash; else of that name beside it."""
    written = name.replace("\\", "/")
    data = path.parent / written
    beside = path.parent / written.rpartition("/")[2]
    for candidate in (data, beside):
        try:
            if candidate.is_file():
                break
        except (OSError, ValueError):  # too long, or a zero byte in it
            continue
    else:
        raise FormatError(
            path, "<datafile>", f"the data file {shown(name)!r} does not exist, seen from the folder of this file"
        )
    if candidate is not data:
        say(path, f"the data file {shown(name)!r} is not there, read is {candidate.name} beside this file")
    return candidate


def _xml_force(path: Path, element: Element, table: Table, data: Path, index: int) -> ExternalForce | None:
    def text(key: str) -> str:
        value = (element.findtext(key) or "").strip()
        return "" if value.lower() == "unassigned" else value

    name = element.get("name") or f"force_{index + 1}"
    if text("isDisabled") == "true" or text("appliesForce") == "false":
        return None
    body = text("applied_to_body")
    if not body:
        raise FormatError(path, f"ExternalForce {shown(name)!r}", "<applied_to_body> is empty")
    if not text("force_identifier") and not text("torque_identifier"):
        raise FormatError(path, f"ExternalForce {shown(name)!r}", "neither <force_identifier> nor <torque_identifier> is given")
    stems = {key: text(f"{key}_identifier") for key in ("force", "point", "torque")}
    columns = {key: _triple(table, data, _identified(table, data, stem)) for key, stem in stems.items() if stem}
    zero = np.zeros((len(table.time_s), 3))
    return ExternalForce(
        name=name,
        body=_body_name(body),
        time_s=table.time_s,
        force_n=columns.get("force", zero),
        point_m=columns.get("point"),
        torque_nm=columns.get("torque", zero),
        force_frame=_body_name(text("force_expressed_in_body") or "ground"),
        point_frame=_body_name(text("point_expressed_in_body") or "ground"),
    )


def _body_name(path: str) -> str:
    """Body name of a path such as ``/bodyset/calcn_r``."""
    return path.rsplit("/", 1)[-1]


def _identified(table: Table, path: Path, identifier: str) -> tuple[str, str, str]:
    """Columns that begin with an identifier: with x, y, z behind it, else whatever is behind it, else in any case.

    Source:
        OpenSim 4.6, ``Storage::getColumnIndicesForIdentifier``: the three columns whose names begin with it.
    """
    found: list[str] = []
    for fold in (str, str.lower):
        stem = fold(identifier)
        exact = [next((c for c in table.columns if fold(c) == stem + axis), "") for axis in _AXES]
        if all(exact):
            return exact[0], exact[1], exact[2]
        begun = [c for c in table.columns if fold(c).startswith(stem)]
        if len(begun) == len(_AXES):
            return begun[0], begun[1], begun[2]
        found = found or begun
    there = f"columns that begin with it are {_listed(found)}" if found else f"the columns are {_listed(table.columns)}"
    raise FormatError(path, None, f"{shown(identifier)!r} is the beginning of {len(found)} columns, 3 are expected; {there}")


def _triple(table: Table, path: Path, names: tuple[str, str, str]) -> FloatArray:
    """(T, 3) columns x, y, z."""
    refuse_doubtful(path, table, names)
    values = table.values[:, [table.columns.index(name) for name in names]]
    refuse_missing(path, names, table.time_s, values, "; write 0 if unloaded")
    return values


def _read_columns(path: Path) -> ExternalLoads:
    table = read_table(path)
    stems = [c[:-1] for c in table.columns if c.lower().endswith("vx")]
    if not stems:
        raise FormatError(
            path, None, f"no column of forces (a name that ends in 'vx'); the columns are {_listed(table.columns)}"
        )
    forces: list[ExternalForce] = []
    used: set[str] = set()
    for stem in stems:
        base = stem[:-1]
        names = [_identified(table, path, part) for part in (stem, base + "p", _torque_stem(table, path, base))]
        force_n, point_m, torque_nm = (_triple(table, path, triple) for triple in names)
        forces.append(
            ExternalForce(
                name=base.strip("_") or f"force_{len(forces) + 1}",
                body=None,
                time_s=table.time_s,
                force_n=force_n,
                point_m=point_m,
                torque_nm=torque_nm,
            )
        )
        used.update(name for triple in names for name in triple)
    rest = [name for name in table.columns if name not in used]
    if rest:
        say(path, f"columns that belong to no force are left out: {_listed(rest)}")
    return ExternalLoads(forces=tuple(forces), source=path.name)


def _torque_stem(table: Table, path: Path, base: str) -> str:
    """Find the columns of the free moment: ``<base>m``, ``<base>t``, or the force's name with torque or moment instead."""
    known = {name.lower() for name in table.columns}
    low = base.lower()
    tried = [base + "m", base + "t", low.replace("force", "torque"), low.replace("force", "moment")]
    tried += [low.replace("force", "torque") + "m", low.replace("force", "moment") + "m"]
    for stem in tried:
        if stem != base and f"{stem}x".lower() in known:
            return stem
    names = ", ".join(shown(f"{s}x") for s in tried)
    raise FormatError(path, None, f"the free moment of {shown(base + 'vx')!r} is missing: none of {names}"[:_LONGEST])


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(repr(shown(n)) for n in names[:_SHOWN]) + more


@reader
def read_c3d_plates(path: str | os.PathLike[str], *, up: str | None = None, forward: str = "+x") -> ExternalLoads:
    """Read the force plates of a C3D file.

    The centre of pressure is the point of the plate's surface at which its wrench has no horizontal moment. The sign of a
    plate that reports the action of the foot (mostly downward) is changed to the reaction on the body.

    Args:
        path: the file.
        up: vertical axis of the laboratory, ``"y"`` or ``"z"``; None: the normal of the plates.
        forward: walking direction among the horizontal axes, e.g. ``"+x"`` or ``"-y"``; becomes OpenSim's +x.

    Returns:
        One force per plate, without a body; zero while the plate carries less than 20 N.

    Raises:
        FormatError: no C3D file, or truncated; no force plates, plates that are not level, unknown units.
        MissingDependencyError: ezc3d is not installed.
    """
    content = open_c3d(Path(path), feature="reading force plates from C3D", force_plates=True)
    plates = content["data"]["platform"]
    if not plates:
        raise FormatError(path, None, "there is no force plate in this C3D file")
    rate = float(content["header"]["analogs"]["frame_rate"] or content["header"]["points"]["frame_rate"])
    start_s = content["header"]["points"]["first_frame"] / float(content["header"]["points"]["frame_rate"])
    forces = []
    for k, plate in enumerate(plates):
        where = f"plate {k + 1}"
        to_m = _factor(path, where, plate["unit_position"], _LENGTH_UNITS)
        to_n = _factor(path, where, plate["unit_force"], _FORCE_UNITS)
        corners, arm = np.asarray(plate["corners"]), np.zeros(3)
        factor = _moment_factor(path, where, content["parameters"], k, to_m)
        if factor != 1.0:
            arm = _sensor_arm(corners, np.ravel(plate["origin"]))
        lever = np.cross(plate["force"], arm, axisa=0, axisc=0)
        rotation = _lab_to_ground(path, where, corners, up, forward)
        force = (rotation @ plate["force"]).T * to_n
        moment = (rotation @ (factor * (plate["moment"] - lever) + lever)).T * to_n * to_m
        centre = (rotation @ corners).mean(axis=1) * to_m
        time_s = start_s + np.arange(len(force)) / rate
        forces.append(_plate_force(f"plate_{k + 1}", time_s, force, moment, centre))
    return ExternalLoads(forces=tuple(forces), source=Path(path).name)


def _moment_factor(path: str | os.PathLike[str], where: str, parameters: _C3dParameters, plate: int, to_m: float) -> float:
    """Factor on the moments of the plate's sensor as ezc3d reads them: always in N times the unit of positions."""
    units = [str(unit).strip() for unit in parameters["ANALOG"]["UNITS"]["value"]]
    channels = np.asarray(parameters["FORCE_PLATFORM"]["CHANNEL"]["value"], dtype=int)
    own = [units[c - 1] if 0 < c <= len(units) else "" for c in channels.reshape(len(channels), -1)[:, plate]]
    keys = [re.sub(r"[ .*·]", "", unit).lower() for unit in own]
    for channel, (unit, key) in enumerate(zip(own, keys, strict=True), start=1):
        if key not in _CHANNEL_UNITS:
            raise FormatError(
                path, where, f"unit {unit!r} of its analog channel {channel} is not known; N, N m or N mm is expected"
            )
    stated = {_MOMENT_UNITS[key] / to_m for key in keys if key in _MOMENT_UNITS}
    factor = stated.pop() if len(stated) == 1 else 1.0
    kind = int(np.ravel(parameters["FORCE_PLATFORM"]["TYPE"]["value"])[plate])
    if factor != 1.0 and kind not in (2, 4):
        raise FormatError(
            path, where, f"moments in {own[-1]!r} beside positions in another length are only read from plates of type 2, 4"
        )
    return factor


def _sensor_arm(corners: FloatArray, origin: FloatArray) -> FloatArray:
    """(3,) vector from the sensor to the middle of the surface, in laboratory axes.

    Source:
        C3D user guide, FORCE_PLATFORM:ORIGIN.
    """
    x = corners[:, 0] - corners[:, 1]
    y = corners[:, 0] - corners[:, 3]
    axes = np.stack([x / np.linalg.norm(x), y / np.linalg.norm(y)], axis=1)
    z = np.cross(axes[:, 0], axes[:, 1])
    return np.asarray(np.column_stack((axes, z)) @ origin)


def _plate_force(name: str, time_s: FloatArray, force: FloatArray, moment: FloatArray, centre: FloatArray) -> ExternalForce:
    """Reaction, centre of pressure and free moment from a wrench about the middle of a level plate's surface."""
    force, moment = np.nan_to_num(force), np.nan_to_num(moment)
    if force[:, 1].sum() < 0:
        force, moment = -force, -moment
    on = force[:, 1] > _ZERO_N
    vertical = np.where(on, force[:, 1], 1.0)
    point = np.tile(centre, (len(force), 1))
    point[on, 0] += (moment[:, 2] / vertical)[on]
    point[on, 2] -= (moment[:, 0] / vertical)[on]
    free = moment - np.cross(point - centre, force)
    free[:, [0, 2]] = 0.0
    return ExternalForce(
        name=name,
        body=None,
        time_s=time_s,
        force_n=np.where(on[:, None], force, 0.0),
        point_m=point,
        torque_nm=np.where(on[:, None], free, 0.0),
    )


def _factor(path: str | os.PathLike[str], where: str, unit: str, known: dict[str, float]) -> float:
    key = str(unit).strip().lower().replace(" ", "")
    if key not in known:
        raise FormatError(path, where, f"unit {unit!r} is not one of {', '.join(known)}")
    return known[key]


def _lab_to_ground(path: str | os.PathLike[str], where: str, corners: FloatArray, up: str | None, forward: str) -> FloatArray:
    """Rotation from laboratory axes to ground (x forward, y up)."""
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 1])
    normal = np.abs(normal) / np.linalg.norm(normal)
    if normal.max() < _LEVEL:
        raise FormatError(path, where, "the plate is not level; give its forces as an ExternalLoads .xml instead")
    y = np.eye(3)[int(normal.argmax())] if up is None else np.eye(3)["xyz".index(up)]
    x = (-1.0 if forward[0] == "-" else 1.0) * np.eye(3)["xyz".index(forward[-1])]
    if x @ y != 0:
        raise InputError(f"forward={forward!r} is the vertical axis of {os.fspath(path)}; choose a horizontal one")
    return np.stack([x, y, np.cross(x, y)])

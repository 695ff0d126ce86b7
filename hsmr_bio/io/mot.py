"""``.mot`` files: coordinate values of an OpenSim model over time."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import numpy as np

from ..errors import FormatError, InputError, UnknownCoordinateError
from ..skeleton import DOF_NAMES
from ..types import BoolArray, OsimMotion
from .door import reader
from .repairs import say, shown
from .table import Table, read_table, refuse_doubtful, refuse_missing, write_table

_TITLE = "Coordinates"
_STATE = re.compile(r"^/(?:.*/)?(?P<name>[^/]+)/(?P<kind>value|speed)$")
_OTHER_STATE = re.compile(r"/(activation|fiber_length|normalized_tendon_force)$")
_TRANSLATION = re.compile(r"_t[xyz](_[rl])?$")
_ANGLE_WORDS = frozenset(
    (
        *("tilt", "list", "rotation", "rot", "obliquity", "twist", "angle", "elevation"),
        *("flexion", "flex", "extension", "ext", "adduction", "add", "abduction", "bending", "deviation", "dev", "sup"),
    )
)


class _Coordinate(Protocol):
    @property
    def rotational(self) -> bool: ...


class _Model(Protocol):
    """Part of a model that is used here; ``osim.document.OsimDocument`` has it."""

    @property
    def coordinates(self) -> Mapping[str, _Coordinate]: ...


def rotational_columns(names: Sequence[str], model: _Model | None = None) -> BoolArray:
    """Decide which coordinates are angles.

    A model states it. Without a model, a name that ends in ``_tx``, ``_ty`` or ``_tz`` is a translation (OpenSim's own
    naming); SKEL's and BSM's names are angles, and so is a name with a word for an angle between underscores
    (flexion, angle, tilt ...). Any other name is an error.

    Args:
        names: N coordinate names.
        model: the model that the coordinates belong to.

    Returns:
        (N,) True where the coordinate is an angle.

    Raises:
        UnknownCoordinateError: the model does not have the coordinate.
        InputError: without a model, a name that fits none of these rules.
    """
    flags = []
    for name in names:
        if model is not None:
            if name not in model.coordinates:
                raise UnknownCoordinateError(name, list(model.coordinates))
            flags.append(bool(model.coordinates[name].rotational))
        elif _TRANSLATION.search(name):
            flags.append(False)
        elif name in DOF_NAMES or _ANGLE_WORDS & set(name.lower().split("_")):
            flags.append(True)
        else:
            raise InputError(
                f"cannot tell whether the coordinate {shown(name)!r} is an angle or a length: give the model (.osim) as well"
            )
    return np.array(flags, dtype=np.bool_)


@reader
def read_mot(
    path: str | os.PathLike[str], model: _Model | None = None, *, angles: Literal["degrees", "radians"] | None = None
) -> OsimMotion:
    """Read coordinates from a ``.mot`` file, or from an OpenSim states ``.sto`` file.

    Columns may be bare coordinate names or OpenSim 4 state paths (``/jointset/knee_r/knee_angle_r/value``); of the
    latter, speeds and muscle states are left out.

    Args:
        path: the file.
        model: the model that the coordinates belong to (its ``.coordinates`` is used); columns that are none of them
            are left out with a note. None: the names decide, see :func:`rotational_columns`.
        angles: unit of the angles if the header does not state it.

    Returns:
        The motion in radians and metres.

    Raises:
        FormatError: the file breaks the format, does not state the unit of angles, or has a cell without a value.
        UnknownCoordinateError: no column is a coordinate of the model.
        InputError: a column of which it is unknown whether it is an angle or a length.
    """
    table = read_table(path)
    in_degrees = table.in_degrees if table.in_degrees is not None or angles is None else angles == "degrees"
    if in_degrees is None:
        raise FormatError(
            path, None, "the header must say inDegrees=yes or inDegrees=no; say it with --angles degrees or --angles radians"
        )
    columns = _coordinate_columns(path, table, model)
    values = table.values[:, list(columns.values())]
    refuse_missing(path, tuple(columns), table.time_s, values, "; cut or fill the gap first")
    rotational = rotational_columns(tuple(columns), model)
    if in_degrees:
        np.deg2rad(values, out=values, where=rotational)
    return OsimMotion(time_s=table.time_s, coordinates=tuple(columns), values_si=values, rotational=rotational)


def write_mot(
    path: str | os.PathLike[str], motion: OsimMotion, *, title: str = _TITLE, decimals: int = 8, overwrite: bool = True
) -> None:
    """Write a ``.mot`` file in degrees and metres, with ``inDegrees=yes``.

    Args:
        path: the file; appears when it is complete.
        motion: T frames of N coordinates.
        title: first line of the file; OpenSim shows it as the name of the motion.
        decimals: digits behind the point, as OpenSim's own.
        overwrite: whether an existing file may be replaced.

    Raises:
        InputError: the file exists and may not be replaced.
    """
    values = np.where(motion.rotational, np.rad2deg(motion.values_si), motion.values_si)
    table = Table(title=title, time_s=motion.time_s, columns=motion.coordinates, values=values, in_degrees=True)
    write_table(path, table, decimals=decimals, overwrite=overwrite)


def _coordinate_columns(path: str | os.PathLike[str], table: Table, model: _Model | None) -> dict[str, int]:
    """Return coordinate name -> column."""
    found: dict[str, int] = {}
    left_out: list[str] = []
    for index, column in enumerate(table.columns):
        state = _STATE.match(column)
        name = state["name"] if state else column
        if (state and state["kind"] != "value") or _OTHER_STATE.search(column):
            continue
        if model is None and "/" in name:
            raise FormatError(path, f"column {shown(column)!r}", "this is neither a coordinate nor a state that OpenSim writes")
        if model is not None and name not in model.coordinates:
            left_out.append(name)
            continue
        refuse_doubtful(path, table, [column])
        if name in found:
            raise FormatError(path, f"column {shown(column)!r}", f"the coordinate {shown(name)!r} has two columns")
        found[name] = index
    if not found and left_out and model is not None:
        raise UnknownCoordinateError(shown(left_out[0]), list(model.coordinates))
    if not found:
        raise FormatError(path, None, "there is no coordinate in this file")
    if left_out:
        count = f"{len(left_out)} columns are" if len(left_out) > 1 else "1 column is"
        say(path, f"{count} no coordinate of the model and left out: {shown(', '.join(left_out))}")
    return found

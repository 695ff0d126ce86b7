"""Preparation of a motion for a model: angles as the model states them, and coordinates that couplers compute."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..errors import InputError
from ..io.mot import read_mot
from ..option_checks import check_arguments
from ..osim.document import OsimDocument
from ..osim.library import as_document
from ..osim.placed import coordinate_values
from ..types import OsimMotion, Subject
from .opensim_backend import OpenSimBackend
from .trajectory import Trajectory, trajectory


@dataclass(frozen=True)
class _Coordinate:
    rotational: bool


@dataclass(frozen=True)
class _Coordinates:
    """A model as :func:`hsmr_bio.io.mot.read_mot` needs it."""

    coordinates: Mapping[str, _Coordinate]


def check_order(call: str, motion: object, model: object) -> None:
    """Check that a motion and a model were not given in the other order.

    Args:
        call: how the function is called, for the message.
        motion: an OsimMotion or a file.
        model: a subject, a document, a file or its bytes, or a backend.

    Raises:
        InputError: one of them is of another type, or a model's file stands in place of the motion.
    """
    models = (Subject, OsimDocument, bytes, str, os.PathLike, OpenSimBackend)
    check_arguments(call, motion=(motion, (OsimMotion, str, os.PathLike)), model=(model, models))
    if isinstance(motion, (str, os.PathLike)) and os.fspath(motion).lower().endswith(".osim"):
        raise InputError(f"motion must be a .mot file, got the model {os.fspath(motion)}: the arguments are {call}")


def read_motion(
    path: str | os.PathLike[str], backend: OpenSimBackend, *, angles: Literal["degrees", "radians"] | None = None
) -> OsimMotion:
    """Read a ``.mot`` file; the backend decides which coordinates are angles.

    Args:
        path: the file.
        backend: the model.
        angles: unit of the angles if the header does not state it.

    Returns:
        The motion.
    """
    flags = zip(backend.coordinates, backend.rotational.tolist(), strict=True)
    return read_mot(path, _Coordinates({name: _Coordinate(angle) for name, angle in flags}), angles=angles)


def states_of(motion: OsimMotion, backend: OpenSimBackend, *, cutoff_hz: float | None) -> Trajectory:
    """Filter and differentiate a motion of this model, in the model's order of coordinates.

    Coordinates that a coupler computes from others (patellae) are added if the motion does not have them.

    Args:
        motion: its coordinates.
        backend: the model.
        cutoff_hz: of the low-pass filter; None: none.

    Returns:
        The trajectory.

    Raises:
        UnknownCoordinateError: the model does not have a coordinate of the motion.
        InputError: a coordinate is missing, or is an angle in one and a length in the other.
    """
    for name, angle in zip(motion.coordinates, motion.rotational, strict=True):
        if name in backend.coordinates and bool(backend.rotational[backend.coordinates.index(name)]) != bool(angle):
            stated, known = ("an angle", "is not") if angle else ("a length", "is an angle")
            raise InputError(
                f"coordinate {name!r} is {stated} in the motion, but in the model it {known} (coupled coordinates are never "
                "converted from degrees, as in OpenSim). Read the .mot with its model: read_mot(path, model)"
            )
    return backend.select(trajectory(_completed(motion, backend), cutoff_hz=cutoff_hz))


def _completed(motion: OsimMotion, backend: OpenSimBackend) -> OsimMotion:
    known = {*motion.coordinates, *backend.locked_values()}
    missing = [name for name in backend.coordinates if name not in known]
    if not missing:
        return motion
    document = as_document(backend.model)
    dependent = [name for name in missing if name in document.dependent]
    names = list(document.coordinates)
    coupled = coordinate_values(motion, document)[:, [names.index(name) for name in dependent]]
    flags = backend.rotational[[backend.coordinates.index(name) for name in dependent]]
    return OsimMotion(
        time_s=motion.time_s,
        coordinates=(*motion.coordinates, *dependent),
        values_si=np.column_stack((motion.values_si, coupled)),
        rotational=np.concatenate((motion.rotational, flags)),
    )

"""Preparation of a motion for a model: angles as the model states them, and coordinates that couplers compute."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..io.mot import read_mot
from ..osim.document import OsimDocument
from ..types import OsimMotion
from .opensim_backend import OpenSimBackend
from .trajectory import Trajectory, trajectory


@dataclass(frozen=True)
class _Coordinate:
    rotational: bool


@dataclass(frozen=True)
class _Coordinates:
    """A model as :func:`hsmr_bio.io.mot.read_mot` needs it."""

    coordinates: Mapping[str, _Coordinate]


def read_motion(backend: OpenSimBackend, path: str | os.PathLike[str]) -> OsimMotion:
    """Read a ``.mot`` file; the model states which coordinates are angles.

    Args:
        backend: the model.
        path: the file.

    Returns:
        The motion in radians and metres.
    """
    flags = zip(backend.coordinates, backend.rotational.tolist(), strict=True)
    return read_mot(path, _Coordinates({name: _Coordinate(angle) for name, angle in flags}))


def states_of(backend: OpenSimBackend, motion: OsimMotion, *, cutoff_hz: float | None) -> Trajectory:
    """Filter and differentiate a motion of this model, in the model's order of coordinates.

    Coordinates that a coupler computes from others (patellae) are added if the motion does not have them.

    Args:
        backend: the model.
        motion: its coordinates.
        cutoff_hz: of the low-pass filter; None: no filter.

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
    return backend.select(trajectory(_completed(backend, motion), cutoff_hz=cutoff_hz))


def _completed(backend: OpenSimBackend, motion: OsimMotion) -> OsimMotion:
    """Add the coupled coordinates that the motion does not have."""
    known = {*motion.coordinates, *backend.locked_values()}
    missing = [name for name in backend.coordinates if name not in known]
    if not missing:
        return motion
    document = OsimDocument.from_bytes(backend.source_bytes)
    dependent = [name for name in missing if name in document.dependent]
    values = np.tile(document.default_si, (len(motion.time_s), 1))
    names = list(document.coordinates)
    for column, name in enumerate(motion.coordinates):
        if name in document.coordinates:
            values[:, names.index(name)] = motion.values_si[:, column]
    coupled = document.couple(values)[:, [names.index(name) for name in dependent]]
    flags = [bool(backend.rotational[backend.coordinates.index(name)]) for name in dependent]
    return OsimMotion(
        time_s=motion.time_s,
        coordinates=(*motion.coordinates, *dependent),
        values_si=np.column_stack((motion.values_si, coupled)),
        rotational=np.concatenate((motion.rotational, np.array(flags, dtype=bool))),
    )

"""Events, analog channels and force plates of C3D files, to and from :class:`~hsmr_bio.converters.capture.Capture`.

Source:
    The C3D File Format, Motion Lab Systems 2008: groups EVENT, ANALOG, FORCE_PLATFORM.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hsmr_bio.dynamics.loads import ExternalForce, ExternalLoads
from hsmr_bio.errors import FormatError, InputError
from hsmr_bio.types import FloatArray

from .capture import Capture, CaptureEvent, ForcePlate

_MM = 1000.0
_WITH_CALIBRATION = 4
_CHANNELS = (*((f"F{axis}", "N") for axis in "xyz"), *((f"M{axis}", "Nmm") for axis in "xyz"))
"""Analog channels of a plate of type 2 and their units."""
_WHOLE_NUMBERS = ("USED", "TYPE", "ZERO", "CHANNEL")
"""Parameters of FORCE_PLATFORM that are integers."""
_HALF_PLATE_M = (0.3, 0.2)
"""Half length and width of a plate that stands for a force without one, as of common plates."""


def values_of(parameters: Any, group: str, name: str) -> list[Any]:
    """Return the values of a parameter as a list; empty if there is none.

    Args:
        parameters: ezc3d's.
        group: name of the group.
        name: of the parameter.

    Returns:
        Values in the order of the file.
    """
    if group not in parameters or name not in parameters[group]:
        return []
    value = parameters[group][name]["value"]
    return list(np.ravel(value)) if isinstance(value, np.ndarray) and value.ndim < 2 else list(value)


def group_of(parameters: Any, group: str) -> Any:
    """Return a group of parameters.

    Args:
        parameters: ezc3d's.
        group: its name.

    Returns:
        The group; empty if there is none.
    """
    return parameters[group] if group in parameters else {}  # noqa: SIM401, ezc3d's storage has no get


def read_capture(path: Path, content: Any, *, to_ground: FloatArray, metres: float) -> Capture:
    """Read events, analog channels and force plates.

    Args:
        path: of the file, for messages.
        content: of ezc3d.
        to_ground: (3, 3) from the file's axes to ground.
        metres: length of the file's unit.

    Returns:
        The recording without its markers.

    Raises:
        FormatError: corners, origins or channels of plates do not fit their number.
    """
    parameters = content["parameters"]
    analog = np.asarray(content["data"]["analogs"], dtype=np.float64)
    names = [str(name).strip() for name in listed(parameters, "ANALOG", "LABELS")]
    count, samples = (analog.shape[1], analog.shape[2]) if analog.ndim == 3 else (0, 0)
    units = [str(unit).strip() for unit in listed(parameters, "ANALOG", "UNITS")]
    frames = np.asarray(content["data"]["points"]).shape[2]
    return Capture(
        events=_events(parameters),
        channels=tuple((names + [f"channel_{number + 1}" for number in range(len(names), count)])[:count]),
        units=tuple((units + [""] * count)[:count]),
        values=analog[0].T if count and samples else None,
        samples_per_frame=max(1, samples // frames) if frames else 1,
        plates=_plates(path, parameters, to_ground, metres),
    )


def turned(capture: Capture, turn: FloatArray) -> Capture:
    """Turn the corners of the plates; all else is in axes of its own.

    Args:
        capture: any.
        turn: (3, 3) old axes -> new axes.

    Returns:
        The recording in the new axes.
    """
    return replace(capture, plates=tuple(replace(plate, corners_m=plate.corners_m @ turn.T) for plate in capture.plates))


def write_capture(file: Any, capture: Capture, *, rate_hz: float, frames: int) -> None:
    """Put events, analog channels and force plates into a C3D file that is being made, in y-up axes and millimetres.

    Args:
        file: of ezc3d, with its points.
        capture: what to write.
        rate_hz: of the markers.
        frames: of the markers.

    Raises:
        InputError: the analog samples do not fit the frames.
    """
    if capture.values is not None:
        wanted = frames * capture.samples_per_frame
        if len(capture.values) != wanted:
            raise InputError(
                f"{len(capture.values)} analog samples, but {frames} frames of {capture.samples_per_frame} need {wanted}"
            )
        analog = file["parameters"]["ANALOG"]
        analog["RATE"]["value"] = [rate_hz * capture.samples_per_frame]
        analog["LABELS"]["value"], analog["UNITS"]["value"] = list(capture.channels), list(capture.units)
        analog["SCALE"]["value"], analog["OFFSET"]["value"] = [1.0] * len(capture.channels), [0] * len(capture.channels)
        file["data"]["analogs"] = np.nan_to_num(capture.values.T[None])
    for event in capture.events:
        minutes = int(event.time_s // 60)
        file.add_event([minutes, event.time_s - 60 * minutes], event.context, event.label, "", event.subject)
    if capture.plates and capture.values is not None:
        _write_plates(file, capture.plates)


def capture_of_loads(loads: ExternalLoads, time_s: FloatArray, rate_hz: float) -> Capture:
    """Make force plates of type 2 of external forces, sampled with the markers; outside the forces' times they are zero.

    Args:
        loads: forces in ground axes.
        time_s: (T,) of the markers.
        rate_hz: of the markers.

    Returns:
        A plate a force, with its six channels.

    Raises:
        InputError: a force that is expressed in a body's axes.
    """
    most_hz = max(
        (1 / float(np.median(np.diff(force.time_s))) for force in loads.forces if len(force.time_s) > 1), default=rate_hz
    )
    ratio = max(1, round(most_hz / rate_hz))
    moments = (time_s[:, None] + np.arange(ratio) / (ratio * rate_hz)).reshape(-1)
    plates, names, values = [], [], []
    for number, force in enumerate(loads.forces):
        if force.force_frame != "ground" or (force.point_m is not None and force.point_frame != "ground"):
            raise InputError(f"force {force.name!r} is expressed in a body's axes: a plate of a .c3d stands in the ground")
        plate, channels = _plate_of(force, moments, first_channel=6 * number + 1)
        plates.append(plate)
        names += [f"{name}{number + 1}" for name, _ in _CHANNELS]
        values.append(channels)
    return Capture(
        channels=tuple(names),
        units=tuple(unit for _ in plates for _, unit in _CHANNELS),
        values=np.concatenate(values, axis=1),
        samples_per_frame=ratio,
        plates=tuple(plates),
    )


def _plate_of(force: ExternalForce, moments_s: FloatArray, *, first_channel: int) -> tuple[ForcePlate, FloatArray]:
    """A level plate about the middle of a force's path, and its channels: the action of the foot, in the plate's axes."""

    def sampled(rows: FloatArray) -> FloatArray:
        columns = [np.interp(moments_s, force.time_s, column, left=0.0, right=0.0) for column in rows.T]
        return np.stack(columns, axis=1)

    reaction, torque = sampled(force.force_n), sampled(force.torque_nm)
    point = np.zeros_like(reaction) if force.point_m is None else sampled(force.point_m)
    carrying = np.abs(reaction).max(axis=1) > 0
    on = point[carrying] if carrying.any() else np.zeros((1, 3))
    centre = (on.min(axis=0) + on.max(axis=0)) / 2
    length, width = _HALF_PLATE_M
    # x runs from corner 2 to 1, y from 4 to 1: so z points down
    offsets = np.array([[length, 0, width], [-length, 0, width], [-length, 0, -width], [length, 0, -width]])
    axes = np.array([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]])
    moment = torque + np.cross(point - centre, reaction)
    channels = np.concatenate([-reaction @ axes.T, -moment @ axes.T * _MM], axis=1)
    numbers = tuple(range(first_channel, first_channel + len(_CHANNELS)))
    return ForcePlate(kind=2, corners_m=centre + offsets, origin_m=np.zeros(3), channels=numbers), channels


def _events(parameters: Any) -> tuple[CaptureEvent, ...]:
    """Events of the group EVENT; times are minutes and seconds."""
    if not values_of(parameters, "EVENT", "TIMES"):
        return ()
    times = np.asarray(parameters["EVENT"]["TIMES"]["value"], dtype=np.float64)
    times = times.reshape(2, -1) if times.size % 2 == 0 else np.zeros((2, 0))
    texts = {
        name: [str(text).strip() for text in listed(parameters, "EVENT", name)] for name in ("LABELS", "CONTEXTS", "SUBJECTS")
    }
    return tuple(
        CaptureEvent(
            time_s=float(60 * times[0, index] + times[1, index]),
            **{
                field: texts[name][index] if index < len(texts[name]) else ""
                for field, name in (("label", "LABELS"), ("context", "CONTEXTS"), ("subject", "SUBJECTS"))
            },
        )
        for index in range(times.shape[1])
    )


def listed(parameters: Any, group: str, name: str) -> list[Any]:
    """Return the values of ``NAME``, ``NAME2``, ``NAME3`` ...: a parameter holds 255 of them at most.

    Args:
        parameters: ezc3d's.
        group: name of the group.
        name: of the first parameter.

    Returns:
        All values.
    """
    found, number = values_of(parameters, group, name), 2
    while f"{name}{number}" in group_of(parameters, group):
        found += values_of(parameters, group, f"{name}{number}")
        number += 1
    return found


def _plates(path: Path, parameters: Any, to_ground: FloatArray, metres: float) -> tuple[ForcePlate, ...]:
    used = values_of(parameters, "FORCE_PLATFORM", "USED")
    count = int(used[0]) if used else 0
    if not count:
        return ()

    def array(name: str, *shape: int) -> FloatArray:
        value = np.asarray(parameters["FORCE_PLATFORM"][name]["value"], dtype=np.float64) if name in group else np.zeros(0)
        if value.size < count * int(np.prod(shape)) or value.size % count:
            raise FormatError(path, f"FORCE_PLATFORM:{name}", f"{value.size} values do not fit {count} plates")
        return value.reshape(-1, count, order="F").T if len(shape) < 2 else value.reshape(*shape, -1, order="F")

    group = parameters["FORCE_PLATFORM"]
    kinds = [int(kind) for kind in values_of(parameters, "FORCE_PLATFORM", "TYPE")]
    corners, origins = array("CORNERS", 3, 4), array("ORIGIN", 3)
    channels = array("CHANNEL", 1)
    calibrated = "CAL_MATRIX" in group and np.size(group["CAL_MATRIX"]["value"]) >= 36 * count
    matrices = array("CAL_MATRIX", 6, 6) if calibrated else None
    return tuple(
        ForcePlate(
            kind=kinds[index] if index < len(kinds) else 2,
            corners_m=corners[:, :, index].T * metres @ to_ground.T,
            origin_m=origins[index, :3] * metres,
            channels=tuple(int(number) for number in channels[index] if number > 0),
            calibration=None if matrices is None or kinds[index] != _WITH_CALIBRATION else matrices[:, :, index],
        )
        for index in range(count)
    )


def _write_plates(file: Any, plates: tuple[ForcePlate, ...]) -> None:
    most = max(len(plate.channels) for plate in plates)
    channels = np.zeros((most, len(plates)), dtype=int)
    for index, plate in enumerate(plates):
        channels[: len(plate.channels), index] = plate.channels
    values = {
        "USED": [len(plates)],
        "TYPE": [plate.kind for plate in plates],
        "ZERO": [1, 0],
        "CORNERS": np.stack([plate.corners_m.T * _MM for plate in plates], axis=2),
        "ORIGIN": np.stack([plate.origin_m * _MM for plate in plates], axis=1),
        "CHANNEL": channels,
    }
    if any(plate.calibration is not None for plate in plates):
        values["CAL_MATRIX"] = np.stack([np.eye(6) if p.calibration is None else p.calibration for p in plates], axis=2)
    for name, value in values.items():
        file.add_parameter("FORCE_PLATFORM", name, np.asarray(value, dtype=np.float64))
        if name in _WHOLE_NUMBERS:  # the library takes arrays of floats only
            entry = file["parameters"]["FORCE_PLATFORM"][name]
            entry["type"], entry["value"] = 2, np.asarray(value, dtype=int)

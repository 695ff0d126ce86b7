"""Setup files with which OpenSim's own tools repeat our inverse dynamics and inverse kinematics."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from lxml import etree

from ..errors import InputError
from ..io.atomic import new_file
from ..io.table import Table, write_table
from ..osim.build import element, to_bytes
from ..osim.parts import Element
from ..types import FloatArray
from .loads import ExternalLoads

_VERSION = "40000"
"""Version of the document: every OpenSim since 4.0 reads it."""
NO_FILTER_HZ = -1.0
"""OpenSim's value for no filter."""
PULL_WEIGHT = 1e-3
"""Weight per rad^2 of the stored coordinates: 0.1 rad costs as much as 3 mm at one of the 105 markers. With noise-free markers
the tool then reproduces the motion within 0.1 degrees; without it weakly observed coordinates deviate by 4 degrees."""


def write_id_setup(
    path: str | os.PathLike[str],
    *,
    model_file: str,
    motion_file: str,
    time_range_s: tuple[float, float],
    cutoff_hz: float | None = 6.0,
    loads_file: str | None = None,
    result_file: str = "inverse_dynamics.sto",
) -> None:
    """Write a setup file for OpenSim's Inverse Dynamics Tool; an existing file is replaced.

    The tool gives the figures of :func:`inverse_dynamics` on the same files: filter and derivatives are the same, and the
    setup excludes all forces inside the model.

    Args:
        path: the setup file.
        model_file: ``.osim``, relative to the setup file.
        motion_file: ``.mot``, unfiltered, relative to the setup file.
        time_range_s: first and last time.
        cutoff_hz: of the low-pass filter; None: no filter.
        loads_file: ExternalLoads ``.xml``, see :func:`write_loads`; None: no external loads.
        result_file: name of the ``.sto`` file that the tool writes.

    Raises:
        InputError: the time range is empty.
    """
    _check_range(time_range_s)
    tool = {
        "results_directory": ".",
        "model_file": model_file,
        "time_range": f"{time_range_s[0]:.9g} {time_range_s[1]:.9g}",
        "forces_to_exclude": "ALL",
        "external_loads_file": loads_file or "Unassigned",
        "coordinates_file": motion_file,
        "lowpass_cutoff_frequency_for_coordinates": f"{NO_FILTER_HZ if cutoff_hz is None else cutoff_hz:.9g}",
        "output_gen_force_file": result_file,
    }
    _write(path, element("InverseDynamicsTool", *_texts(tool), name="inverse_dynamics"))


def write_ik_setup(
    path: str | os.PathLike[str],
    *,
    model_file: str,
    marker_file: str,
    time_range_s: tuple[float, float],
    markers: Sequence[str] | Mapping[str, float],
    coordinate_file: str | None = None,
    coordinates: Sequence[str] | Mapping[str, float] = (),
    result_file: str = "inverse_kinematics.mot",
) -> None:
    """Write a setup file for OpenSim's Inverse Kinematics Tool; an existing file is replaced.

    Args:
        path: the setup file.
        model_file: ``.osim``, relative to the setup file.
        marker_file: ``.trc``, relative to the setup file.
        time_range_s: first and last time.
        markers: names (weight 1), or name -> weight.
        coordinate_file: ``.mot`` with target values of coordinates.
        coordinates: names (weight ``PULL_WEIGHT``), or name -> weight of the target value, per rad^2 against a marker's 1 per
            m^2. With all joint coordinates the tool converges to the motion.
        result_file: name of the ``.mot`` file that the tool writes.

    Raises:
        InputError: no marker, coordinate weights without a file, or an empty time range.
    """
    _check_range(time_range_s)
    weights = dict(markers) if isinstance(markers, Mapping) else dict.fromkeys(markers, 1.0)
    if not weights:
        raise InputError("inverse kinematics needs at least one marker")
    pulls = dict(coordinates) if isinstance(coordinates, Mapping) else dict.fromkeys(coordinates, PULL_WEIGHT)
    if pulls and coordinate_file is None:
        raise InputError("coordinate weights need coordinate_file, the .mot with the target values")
    tasks = [_task("IKMarkerTask", name, weight) for name, weight in weights.items()]
    tasks += [_task("IKCoordinateTask", name, weight, value_type="from_file") for name, weight in pulls.items()]
    before = {
        "results_directory": ".",
        "model_file": model_file,
        "constraint_weight": "Inf",
        "accuracy": "1e-05",
        "time_range": f"{time_range_s[0]:.9g} {time_range_s[1]:.9g}",
        "output_motion_file": result_file,
        "report_errors": "true",
    }
    after = {
        "marker_file": marker_file,
        "coordinate_file": coordinate_file or "Unassigned",
        "report_marker_locations": "false",
    }
    task_set = element("IKTaskSet", element("objects", *tasks))
    _write(path, element("InverseKinematicsTool", *_texts(before), task_set, *_texts(after), name="inverse_kinematics"))


def write_loads(path: str | os.PathLike[str], loads: ExternalLoads) -> Path:
    """Write external loads for OpenSim: ExternalLoads ``.xml`` and, beside it, the ``.mot`` of its forces.

    Args:
        path: the ``.xml`` file; the forces are written to the same name with ``.mot``.
        loads: the forces, each with its body.

    Returns:
        The ``.mot`` file.

    Raises:
        InputError: a force without a body.
    """
    target = Path(path)
    data = target.with_suffix(".mot")
    unassigned = [force.name for force in loads.forces if force.body is None]
    if unassigned:
        raise InputError(f"external force {unassigned[0]!r} has no body: assign it before it is written")
    times = np.unique(np.concatenate([force.time_s for force in loads.forces]))
    columns: list[str] = []
    values: list[FloatArray] = []
    objects = []
    for force in loads.forces:
        parts = {
            "applied_to_body": str(force.body),
            "force_expressed_in_body": force.force_frame,
            "point_expressed_in_body": force.point_frame,
        }
        arrays = {"force": ("v", force.force_n), "point": ("p", force.point_m), "torque": ("m", force.torque_nm)}
        for key, (letter, array) in arrays.items():
            stem = f"{force.name}_{letter}"
            parts[f"{key}_identifier"] = stem if array is not None else ""
            if array is not None:
                columns += [stem + axis for axis in "xyz"]
                values += [_interpolated(times, force.time_s, array[:, axis], key) for axis in range(3)]
        objects.append(element("ExternalForce", *_texts(parts | {"data_source_name": "Unassigned"}), name=force.name))
    table = Table(
        title="external loads, N m", time_s=times, columns=tuple(columns), values=np.stack(values, 1), in_degrees=False
    )
    write_table(data, table)
    _write(
        target, element("ExternalLoads", element("objects", *objects), element("datafile", data.name), name="external_loads")
    )
    return data


def _interpolated(times: FloatArray, time_s: FloatArray, column: FloatArray, key: str) -> FloatArray:
    """Interpolate a column; outside its own time a force is zero and its point constant."""
    outside = None if key == "point" else 0.0
    return np.interp(times, time_s, column, left=outside, right=outside)


def _check_range(time_range_s: tuple[float, float]) -> None:
    if not time_range_s[0] < time_range_s[1]:
        raise InputError(f"the time range must end after it starts, got {time_range_s[0]:g} to {time_range_s[1]:g} s")


def _texts(values: Mapping[str, str]) -> list[Element]:
    """One element per tag, with its text."""
    return [element(tag, text) for tag, text in values.items()]


def _task(kind: str, name: str, weight: float, **further: str) -> Element:
    return element(kind, *_texts({"apply": "true", "weight": f"{weight:.9g}", **further}), name=name)


def _write(path: str | os.PathLike[str], content: Element) -> None:
    root = etree.Element("OpenSimDocument", Version=_VERSION)
    root.append(content)
    with new_file(path) as part:
        part.write_bytes(to_bytes(root))

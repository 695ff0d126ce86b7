"""Inverse kinematics and marker positions by OpenSim, for models with joints that cannot be evaluated here."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ...errors import EstimationError, require
from ...filtering import interpolate
from ...io.silence import no_stdout
from ...io.table import read_table
from ...io.trc import write_trc
from ...osim.document import OsimDocument
from ...osim.update import refuse_unloadable
from ...types import BoolArray, FloatArray, Markers, OsimMotion

_SHOWN_CHARACTERS = 150
"""Longest part of OpenSim's message in ours."""
OpensimModel = Any
"""An ``opensim.Model``: the package has no types."""


def run_opensim(
    markers: Markers,
    document: OsimDocument,
    names: tuple[str, ...],
    weights: Mapping[str, float],
    fixed: Mapping[str, float],
    limits: str,
) -> OsimMotion:
    """Run the InverseKinematicsTool on a temporary copy of model and markers.

    Args:
        markers: measured.
        document: the model.
        names: markers to use.
        weights: marker -> weight, 1 by default.
        fixed: locked coordinates and their values (rad, m).
        limits: as in :func:`~hsmr_bio.fitting.markers.inverse_kinematics.inverse_kinematics`.

    Returns:
        All coordinates of the model; interpolated in frames without a marker.

    Raises:
        EstimationError: the tool failed.
        MissingDependencyError: OpenSim is not installed.
    """
    opensim = require("opensim", feature="OpenSim's inverse kinematics")
    refuse_unloadable(document.to_bytes(), document.source)
    positions = markers.positions_m[:, [markers.names.index(name) for name in names]]
    empty: BoolArray = np.asarray(~np.isfinite(positions).all(axis=-1).any(axis=-1))
    chosen = Markers(time_s=markers.time_s, names=names, positions_m=_filled(markers.time_s, positions, empty))
    with tempfile.TemporaryDirectory() as folder, _quiet_opensim(opensim):
        model = _model(opensim, document, Path(folder))
        _prepare(model, document, fixed, limits)
        values, rotational = _solved(opensim, model, document, chosen, weights, Path(folder))
    for column in values.T:
        column[empty] = np.interp(markers.time_s[empty], markers.time_s[~empty], column[~empty])
    return OsimMotion(time_s=markers.time_s, coordinates=tuple(document.coordinates), values_si=values, rotational=rotational)


def _filled(time_s: FloatArray, positions_m: FloatArray, empty: BoolArray) -> FloatArray:
    """Markers (T, M, 3), interpolated in the frames without any (``empty``, (T,)): the tool stops at such a frame."""
    filled = positions_m.copy()
    seen: BoolArray = np.asarray(np.isfinite(positions_m).all(axis=-1))
    for marker, rows in enumerate(seen.T):
        filled[empty, marker] = interpolate(time_s[empty], time_s[rows], positions_m[rows, marker])
    return filled


def _solved(
    opensim: ModuleType,
    model: OpensimModel,
    document: OsimDocument,
    markers: Markers,
    weights: Mapping[str, float],
    folder: Path,
) -> tuple[FloatArray, BoolArray]:
    """Values (T, N) of all coordinates in rad and m, and which are rotational (N,) to OpenSim."""
    write_trc(folder / "markers.trc", markers)
    tasks = opensim.IKTaskSet()
    for name in markers.names:
        task = opensim.IKMarkerTask()
        task.setName(name)
        task.setApply(True)
        task.setWeight(float(weights.get(name, 1.0)))
        tasks.cloneAndAppend(task)
    tool = opensim.InverseKinematicsTool()
    tool.setModel(model)
    tool.set_IKTaskSet(tasks)
    tool.setMarkerDataFileName(str(folder / "markers.trc"))
    tool.setStartTime(float(markers.time_s[0]))
    tool.setEndTime(float(markers.time_s[-1]))
    tool.set_report_errors(False)
    tool.setResultsDir(str(folder))
    tool.setOutputMotionFileName(str(folder / "out.mot"))
    try:
        good = tool.run()
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:_SHOWN_CHARACTERS]
        raise EstimationError(f"OpenSim's inverse kinematics failed: {reason}") from error
    if not good or not (folder / "out.mot").is_file():
        raise EstimationError("OpenSim's inverse kinematics wrote no result")
    table = read_table(folder / "out.mot")
    if len(table.time_s) != len(markers.time_s):
        raise EstimationError(f"OpenSim solved {len(table.time_s)} of {len(markers.time_s)} frames")
    kinds = [model.getCoordinateSet().get(name).getMotionType() for name in document.coordinates]
    rotational = np.array([kind == opensim.Coordinate.Rotational for kind in kinds])
    values = np.repeat(document.default_si[None], len(table.time_s), axis=0)
    for column, name in enumerate(document.coordinates):
        if name in table.columns:
            found = table.values[:, table.columns.index(name)]
            values[:, column] = np.deg2rad(found) if rotational[column] and table.in_degrees else found
    return values, rotational


def opensim_markers(motion: OsimMotion, document: OsimDocument, names: tuple[str, ...]) -> FloatArray:
    """Place a model's markers with OpenSim.

    Args:
        motion: T frames; other coordinates keep their default.
        document: the model.
        names: M markers.

    Returns:
        (T, M, 3) m in ground.

    Raises:
        MissingDependencyError: OpenSim is not installed.
    """
    opensim = require("opensim", feature="markers of a model with joints that cannot be evaluated here")
    refuse_unloadable(document.to_bytes(), document.source)
    with tempfile.TemporaryDirectory() as folder, _quiet_opensim(opensim):
        model = _model(opensim, document, Path(folder))
        state = model.initSystem()
        coordinates = [model.getCoordinateSet().get(name) for name in motion.coordinates]
        markers = [model.getMarkerSet().get(name) for name in names]
        positions_m = np.empty((len(motion.time_s), len(names), 3))
        for frame, row in enumerate(motion.values_si):
            for coordinate, value in zip(coordinates, row, strict=True):
                coordinate.setValue(state, float(value), False)
            model.assemble(state)
            model.realizePosition(state)
            for index, marker in enumerate(markers):
                positions_m[frame, index] = marker.getLocationInGround(state).to_numpy()
    return positions_m


def _model(opensim: ModuleType, document: OsimDocument, folder: Path) -> OpensimModel:
    document.write(folder / "model.osim")
    model = opensim.Model(str(folder / "model.osim"))
    for name in ("ForceSet", "ControllerSet", "ProbeSet", "ContactGeometrySet"):
        getattr(model, f"upd{name}")().clearAndDestroy()  # they need files that are not here, and time
    return model


@contextmanager
def _quiet_opensim(opensim: ModuleType) -> Iterator[None]:
    """Keep OpenSim's log out of the working folder, and its messages off standard output."""
    level = opensim.Logger.getLevelString()
    opensim.Logger.removeFileSink()
    opensim.Logger.setLevelString("Error")
    with no_stdout():
        try:
            yield
        finally:
            opensim.Logger.setLevelString(level)


def _prepare(model: OpensimModel, document: OsimDocument, fixed: Mapping[str, float], limits: str) -> None:
    """Lock the fixed coordinates, and clamp those whose ranges hold."""
    coordinates = model.updCoordinateSet()
    for coordinate in document.coordinates.values():
        handle = coordinates.get(coordinate.name)
        if coordinate.name in fixed:
            handle.setDefaultValue(float(fixed[coordinate.name]))
            handle.setDefaultLocked(True)
        elif limits == "none":
            handle.setDefaultClamped(False)
        elif limits == "all" and coordinate.rotational:
            handle.setDefaultClamped(True)
    model.finalizeConnections()

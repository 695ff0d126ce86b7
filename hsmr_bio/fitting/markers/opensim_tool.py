"""OpenSim's own inverse kinematics tool, for the same job as ours."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ...errors import EstimationError, InputError, require
from ...io.silence import no_stdout
from ...io.table import read_table
from ...io.trc import write_trc
from ...osim.document import OsimDocument
from ...types import BoolArray, FloatArray, Markers, OsimMotion


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
        fixed: locked coordinates and their values.
        limits: as in :func:`~hsmr_bio.fitting.markers.inverse_kinematics`.

    Raises:
        EstimationError: the tool failed.
        MissingDependencyError: OpenSim is not installed.
    """
    opensim = require("opensim", feature="OpenSim's inverse kinematics")
    if limits not in ("clamped", "all", "none"):
        raise InputError(f"limits must be 'clamped', 'all' or 'none', got {limits!r}")
    positions = markers.positions_m[:, [markers.names.index(name) for name in names]]
    empty: BoolArray = np.asarray(
        ~np.isfinite(positions).all(axis=-1).any(axis=-1)
    )  # the tool stops at a frame without any marker
    chosen = Markers(time_s=markers.time_s, names=names, positions_m=_filled(markers.time_s, positions, empty))
    with tempfile.TemporaryDirectory() as folder, quiet_opensim(opensim):
        path = Path(folder)
        document.write(path / "model.osim")
        write_trc(path / "markers.trc", chosen)
        model = opensim.Model(str(path / "model.osim"))
        _prepare(model, document, fixed, limits)
        tasks = opensim.IKTaskSet()
        for name in names:
            task = opensim.IKMarkerTask()
            task.setName(name)
            task.setApply(True)
            task.setWeight(float(weights.get(name, 1.0)))
            tasks.cloneAndAppend(task)
        tool = opensim.InverseKinematicsTool()
        tool.setModel(model)
        tool.set_IKTaskSet(tasks)
        tool.setMarkerDataFileName(str(path / "markers.trc"))
        tool.setStartTime(float(markers.time_s[0]))
        tool.setEndTime(float(markers.time_s[-1]))
        tool.set_report_errors(False)
        tool.setResultsDir(folder)
        tool.setOutputMotionFileName(str(path / "out.mot"))
        try:
            good = tool.run()
        except RuntimeError as error:
            raise EstimationError(f"OpenSim's inverse kinematics failed: {error}") from error
        if not good or not (path / "out.mot").is_file():
            raise EstimationError("OpenSim's inverse kinematics wrote no result")
        table = read_table(path / "out.mot")
        names_of_all = tuple(document.coordinates)
        kinds = [model.getCoordinateSet().get(name).getMotionType() for name in names_of_all]
        rotational = np.array([kind == opensim.Coordinate.Rotational for kind in kinds])
    if len(table.time_s) != len(markers.time_s):
        raise EstimationError(f"OpenSim solved {len(table.time_s)} of {len(markers.time_s)} frames")
    values = np.repeat(document.default_si[None], len(table.time_s), axis=0)
    for column, name in enumerate(names_of_all):
        if name in table.columns:
            found = table.values[:, table.columns.index(name)]
            values[:, column] = np.deg2rad(found) if rotational[column] and table.in_degrees else found
    values[empty] = np.stack(
        [np.interp(markers.time_s[empty], markers.time_s[~empty], row) for row in values[~empty].T], axis=-1
    )
    return OsimMotion(time_s=markers.time_s, coordinates=names_of_all, values_si=values, rotational=rotational)


def _filled(time_s: FloatArray, positions_m: FloatArray, empty: BoolArray) -> FloatArray:
    """Markers (T, M, 3) with those of the empty frames (T,) interpolated between the frames that show them."""
    filled = positions_m.copy()
    seen: BoolArray = np.asarray(np.isfinite(positions_m).all(axis=-1))
    for marker in range(positions_m.shape[1]):
        rows = seen[:, marker]
        for axis in range(3):
            filled[empty, marker, axis] = np.interp(time_s[empty], time_s[rows], positions_m[rows, marker, axis])
    return filled


def opensim_places(motion: OsimMotion, document: OsimDocument, names: tuple[str, ...]) -> FloatArray:
    """Place a model's markers with OpenSim.

    Args:
        motion: T frames; other coordinates keep their default.
        document: the model.
        names: M markers.

    Returns:
        (T, M, 3) m in ground.
    """
    opensim = require("opensim", feature="markers of a model with joints that cannot be evaluated here")
    with tempfile.TemporaryDirectory() as folder, quiet_opensim(opensim):
        document.write(Path(folder) / "model.osim")
        model = opensim.Model(str(Path(folder) / "model.osim"))
        state = model.initSystem()
        coordinates = [model.getCoordinateSet().get(name) for name in motion.coordinates]
        markers = [model.getMarkerSet().get(name) for name in names]
        places = np.empty((len(motion.time_s), len(names), 3))
        for frame, row in enumerate(motion.values_si):
            for coordinate, value in zip(coordinates, row, strict=True):
                coordinate.setValue(state, float(value), False)
            model.assemble(state)
            model.realizePosition(state)
            for index, marker in enumerate(markers):
                places[frame, index] = marker.getLocationInGround(state).to_numpy()
    return places


@contextmanager
def quiet_opensim(opensim: object) -> Iterator[None]:
    """Keep OpenSim's log out of the working folder, and what it prints off standard output."""
    logger = opensim.Logger  # type: ignore[attr-defined]
    level = logger.getLevelString()
    logger.removeFileSink()
    logger.setLevelString("Error")
    with no_stdout():
        try:
            yield
        finally:
            logger.setLevelString(level)


def _prepare(model: object, document: OsimDocument, fixed: Mapping[str, float], limits: str) -> None:
    coordinates = model.updCoordinateSet()  # type: ignore[attr-defined]
    for coordinate in document.coordinates.values():
        handle = coordinates.get(coordinate.name)
        if coordinate.name in fixed:
            handle.setDefaultValue(float(fixed[coordinate.name]))
            handle.setDefaultLocked(True)
        elif limits == "none":
            handle.setDefaultClamped(False)
        elif limits == "all" and coordinate.rotational:
            handle.setDefaultClamped(True)
    model.finalizeConnections()  # type: ignore[attr-defined]

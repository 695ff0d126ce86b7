"""OpenSim's own inverse kinematics tool, for the same job as ours."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ..errors import EstimationError, InputError, require
from ..io.mot import read_mot
from ..io.silence import no_stdout
from ..io.trc import write_trc
from ..osim.document import OsimDocument
from ..types import Markers, OsimMotion


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
    chosen = Markers(
        time_s=markers.time_s,
        names=names,
        positions_m=markers.positions_m[:, [markers.names.index(name) for name in names]],
    )
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
        motion = read_mot(path / "out.mot", document)
    if len(motion.time_s) != len(markers.time_s):
        raise EstimationError(f"OpenSim solved {len(motion.time_s)} of {len(markers.time_s)} frames")
    values = np.repeat(document.default_si[None], len(motion.time_s), axis=0)
    order = {name: index for index, name in enumerate(document.coordinates)}
    for column, name in enumerate(motion.coordinates):
        values[:, order[name]] = motion.values_si[:, column]
    return OsimMotion(
        time_s=markers.time_s, coordinates=tuple(order), values_si=values, rotational=np.asarray(document.rotational)
    )


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

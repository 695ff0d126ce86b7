"""One trial from its input to the files of its folder; runs in a process of its own."""

from __future__ import annotations

import errno
import logging
import platform
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..analysis import Analysis, write_analysis
from ..errors import HsmrBioError, one_line
from ..io.thumbnails import rgb_of, small_jpeg
from ..pipeline.image2mot import image2mot
from ..pipeline.options import Image2MotOptions, Skel2MotOptions, Smpl2MotOptions
from ..pipeline.people import LEAST_FREE_BYTES
from ..pipeline.results import Result
from ..pipeline.skel2mot import skel2mot
from ..pipeline.smpl2mot import smpl2mot
from ..version import __version__
from .parts import write_parts
from .record import PICTURE, Record, Status, write_record
from .task import Task

DISK_FULL, OUT_OF_MEMORY = 28, 12
"""Exit codes of the trial's process."""
CURVE_ANGLES = ("hip_flexion", "knee_flexion", "ankle_dorsiflexion", "hip_adduction", "pelvis_tilt", "pelvis_list")
"""Angles whose mean cycles the record keeps for the report of the study."""
CURVE_POINTS = 51
_PICTURE_PX, _JPEG_QUALITY = 160, 75
_Json = Any
"""A value of JSON, perhaps with numbers that are not finite."""
_LOG = logging.getLogger(__name__)


def compute_trial(task: Task, place: Path) -> int:
    """Compute a trial; write its files and its record.

    Args:
        task: the trial.
        place: existing, empty, private folder.

    Returns:
        Exit code of the process: 0 also for a trial that failed, as its record says so; else ``DISK_FULL`` or
        ``OUT_OF_MEMORY``: no record was written.
    """
    began = time.perf_counter()
    _LOG.info("%s: %s %s, hsmr-bio %s on %s", task.name, task.command, task.source, __version__, platform.node())
    _LOG.info("%s", task.options)
    record: Record = {"trial": task.name, "key": dict(task.key), "version": __version__, "host": platform.node(), "error": None}
    try:
        results = _results(task, place)
        record |= _described(results)
        _extras(task, place, results)
    except MemoryError:
        return OUT_OF_MEMORY
    except OSError as error:
        if error.errno == errno.ENOSPC:
            return DISK_FULL
        record |= _failed(error)
    except Exception as error:  # noqa: BLE001, one bad trial must not end a study
        record |= _failed(error)
    if record["status"] == "failed":
        if shutil.disk_usage(place).free < LEAST_FREE_BYTES:  # another trial would end so, too
            return DISK_FULL
        _remove_results(place)
    record |= {"seconds": round(time.perf_counter() - began, 3), "attempts": list(task.attempts)}
    try:
        write_record(place, record)
    except OSError as error:
        return DISK_FULL if error.errno == errno.ENOSPC else 1
    return 0


def _failed(error: Exception) -> Record:
    _LOG.exception("the trial failed")
    ours = isinstance(error, HsmrBioError | OSError)
    return {"status": "failed", "error": one_line(str(error) if ours else f"{type(error).__name__}: {error}"), "people": []}


def _remove_results(place: Path) -> None:
    """Remove the files of a trial that failed after some were written: a failed trial has its record and log only."""
    for path in place.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.suffix != ".log":
            path.unlink()


def _results(task: Task, place: Path) -> Sequence[Result]:
    options = task.options
    if isinstance(options, Image2MotOptions):
        found = image2mot(task.source, place, replace(options, name=task.name))
        return found if isinstance(found, list) else [found]
    named = replace(options.results, name=task.name)
    if isinstance(options, Skel2MotOptions):
        return skel2mot(task.source, place, replace(options, results=named))
    smpl: Smpl2MotOptions = replace(options, results=named)
    return [one.result for one in smpl2mot(task.source, place, smpl)]


def _described(results: Sequence[Result]) -> Record:
    """The figures of all people of a trial."""
    worst: Status = "checks failed" if any(one.checks.status == "fail" for one in results) else "passed"
    notes = results[0].observation.notes if results and results[0].observation is not None else ()
    timings_s = {name: round(value, 3) for name, value in results[0].timings_s.items()} if results else {}
    return {"status": worst, "notes": list(notes), "timings_s": timings_s, "people": [_person(one) for one in results]}


def _person(result: Result) -> dict[str, Any]:
    time_s = result.motion.time_s
    checks = {
        one.name: {"status": one.status, "value": one.value, "unit": one.threshold.unit, "detail": one.detail}
        for one in result.checks.checks
    }
    return {
        "name": result.name,
        "verdict": result.checks.status,
        "checks": _finite(checks),
        "frames": len(time_s),
        "duration_s": round(float(time_s[-1] - time_s[0]), 4),
        "stature_m": result.subject.stature_m,
        "mass_kg": result.subject.mass_kg,
        "body": result.subject.body,
        **({"task": None, "parameters": [], "curves": []} if result.analysis is None else _findings(result.analysis)),
    }


def _findings(analysis: Analysis) -> dict[str, Any]:
    parameters = [
        {"name": one.name, "side": one.side, "value": one.value, "sd": one.sd, "unit": one.unit} for one in analysis.parameters
    ]
    curves = []
    at, wanted = np.arange(101), np.linspace(0, 100, CURVE_POINTS)
    for cycles in analysis.cycles:
        for column, angle in enumerate(cycles.angles):
            bare, side = _side_of(angle, cycles.side)
            if bare in CURVE_ANGLES:
                values = np.interp(wanted, at, cycles.mean_deg[:, column])
                curves.append({"kind": cycles.kind, "side": side, "angle": bare, "mean_deg": np.round(values, 2).tolist()})
    return {"task": analysis.task, "parameters": _finite(parameters), "curves": curves}


def _side_of(angle: str, side: str) -> tuple[str, str]:
    """Name of an angle without its side, and the side: the angle's, else the cycle's."""
    return (angle[:-2], angle[-1]) if angle.endswith(("_r", "_l")) else (angle, side)


def _finite(value: _Json) -> _Json:
    """JSON values, with None for numbers that are not finite."""
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value


def _extras(task: Task, place: Path, results: Sequence[Result]) -> None:
    """Write what only a study has: parts of its tables, a small picture, on request the tables of the analysis."""
    if "tables" in task.extras:
        write_parts(place, task.name, results)
    if "analyse" in task.extras:
        for one in results:
            if one.analysis is not None:
                write_analysis(place, one.analysis)
    thumbnails = results[0].observation.thumbnails if results and results[0].observation is not None else ()
    rgb = rgb_of(thumbnails[len(thumbnails) // 2]) if thumbnails else None
    if rgb is not None:
        (place / PICTURE).write_bytes(small_jpeg(rgb, _PICTURE_PX, _JPEG_QUALITY)[0])

"""Columns of a study's table that are options: names as on the command line, cells as text."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from ..converters.smpl_options import SmplImportOptions
from ..errors import InputError
from ..fitting.world.options import GroundOptions
from ..pipeline.options import Image2MotOptions, ResultOptions, Skel2MotOptions, Smpl2MotOptions

TrialOptions = Image2MotOptions | Skel2MotOptions | Smpl2MotOptions
_YES, _NO = ("yes", "true", "1", "x"), ("no", "false", "0")


def _number(text: str) -> float:
    return float(text)


def _yes(text: str) -> bool:
    if text.lower() in (*_YES, *_NO):
        return text.lower() in _YES
    raise ValueError("yes or no")


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(word) for word in text.replace(",", " ").split())


def _whole_numbers(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in text.replace("x", " ").replace(",", " ").split())


def _degrees(text: str) -> float:
    return math.radians(float(text))


def _cutoff(text: str) -> float | None:
    return None if text.lower() in ("off", "none") else float(text)


_Column = tuple[str, str, Callable[[str], Any]]
"""Part of the options (empty: themselves), field, reader of a cell."""
OPTION_COLUMNS: Mapping[str, _Column] = {
    **{name: ("", name, _number) for name in ("height_m", "mass_kg")},
    **{name: ("", name, str) for name in ("sex", "body", "model", "joints", "estimator", "task")},
    **{name: ("", name, _yes) for name in ("refine", "moving_camera", "dynamics", "people", "save_observation")},
    "cutoff_hz": ("", "cutoff_hz", _cutoff),
    **{name: ("estimate", name, _number) for name in ("slow_motion", "fov_deg", "focal_px", "rate_hz")},
    **{name: ("estimate", name, _number) for name in ("start_s", "end_s", "fps_hz")},
    **{short: ("estimate", name, _number) for short, name in (("start", "start_s"), ("end", "end_s"), ("fps", "fps_hz"))},
    **{name: ("estimate", name, Path) for name in ("calibration", "keypoints", "boxes", "checkpoint")},
    **{name: ("estimate", name, str) for name in ("landmarks", "keypoint_set", "device", "dtype")},
    "source_clock": ("estimate", "source_clock", _yes),
    "person_box": ("estimate", "person_box", _numbers),
    "image_size": ("estimate", "image_size_px", _whole_numbers),
    "camera_pitch_deg": ("ground", "camera_pitch_rad", _degrees),
    "camera_roll_deg": ("ground", "camera_roll_rad", _degrees),
    "treadmill": ("ground", "treadmill", _yes),
}
"""Column -> option of ``image2mot``."""
FILE_COLUMNS = tuple(name for name, (_, _, reader) in OPTION_COLUMNS.items() if reader is Path)


def with_cells(options: Image2MotOptions, cells: Mapping[str, str], folder: Path) -> tuple[Image2MotOptions, list[str]]:
    """Replace options by the cells of a row.

    Args:
        options: of the study.
        cells: column -> text; empty ones and columns that are no options are left out of account.
        folder: that paths in cells are relative to.

    Returns:
        The options, and what is wrong with the cells; with faults the options are those of the study.
    """
    changes: dict[str, dict[str, object]] = {"": {}, "estimate": {}, "ground": {}}
    faults = []
    for column, text in cells.items():
        if column not in OPTION_COLUMNS or not text:
            continue
        part, name, read = OPTION_COLUMNS[column]
        try:
            value = read(text)
        except ValueError:
            faults.append(f"column {column}: {text!r} is not {_wanted(read)}")
            continue
        if isinstance(value, Path):
            value = (folder / value.expanduser()).absolute()
            faults += [] if value.exists() else [f"column {column}: there is no file {value}"]
        changes[part][name] = value
    if faults:
        return options, faults
    try:
        return _replaced(options, changes), []
    except InputError as error:
        return options, [str(error)]


def with_absolute_paths(options: Image2MotOptions) -> Image2MotOptions:
    """Make the paths of options absolute: workers run elsewhere.

    Args:
        options: of the study.

    Returns:
        The same options.
    """
    seen = options.estimate
    paths = {name: getattr(seen, name) for name in ("calibration", "checkpoint", "boxes", "keypoints")}
    found: dict[str, Any] = {name: Path(path).absolute() for name, path in paths.items() if path is not None}
    body = options.body if options.body in ("open", "skel") else Path(options.body).absolute()
    return replace(options, body=body, estimate=replace(seen, **found))


def _replaced(options: Image2MotOptions, changes: Mapping[str, Mapping[str, object]]) -> Image2MotOptions:
    own: dict[str, Any] = dict(changes[""])
    estimate: dict[str, Any] = dict(changes["estimate"])
    ground: dict[str, Any] = dict(changes["ground"])
    if "keypoints" in estimate and "estimator" not in own:
        own["estimator"] = "keypoints"
    own["estimate"] = replace(options.estimate, **estimate)
    own["ground"] = replace(options.ground, **ground)
    return replace(options, **own)


def _wanted(read: Callable[[str], Any]) -> str:
    if read is _yes:
        return "yes or no"
    return "a list of numbers" if read in (_numbers, _whole_numbers) else "a number"


def options_for(command: str, options: Image2MotOptions) -> TrialOptions:
    """Turn the options of ``image2mot`` into those of another command.

    Args:
        command: ``image2mot``, ``skel2mot`` or ``smpl2mot``.
        options: of the trial.

    Returns:
        What that command knows of them.
    """
    if command == "image2mot":
        return options
    results = ResultOptions(**{one.name: getattr(options, one.name) for one in fields(ResultOptions)})
    body = None if options.body == "open" and options.sex == "neutral" else options.body
    sex = None if options.sex == "neutral" else options.sex
    if command == "smpl2mot":
        source = SmplImportOptions(body=body, sex=sex, height_m=options.height_m)
        return Smpl2MotOptions(source=source, results=results, ground=options.ground)
    return Skel2MotOptions(results=results, body=body, sex=sex, ground=options.ground)


def unused_columns(command: str) -> frozenset[str]:
    """Return the option columns that have no effect on a command's trials.

    Args:
        command: ``image2mot``, ``skel2mot`` or ``smpl2mot``.

    Returns:
        Their names.
    """
    if command == "image2mot":
        return frozenset()
    known = {one.name for one in (*fields(ResultOptions), *fields(GroundOptions))} | {"body", "sex"}
    return frozenset(column for column, (_, name, _) in OPTION_COLUMNS.items() if name not in known)

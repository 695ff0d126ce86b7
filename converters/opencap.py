"""Session folders of OpenCap: model, motions, markers and videos of one person.

Source:
    OpenCap (Uhlrich et al. 2023): layout of the folder of a session, as facts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from hsmr_bio.errors import FormatError, InputError
from hsmr_bio.io.mot import read_mot
from hsmr_bio.io.trc import read_trc
from hsmr_bio.osim.document import OsimDocument
from hsmr_bio.osim.library import as_document

from .content import Content, ConvertOptions
from .facts import time_facts

_METADATA = "sessionMetadata.yaml"
_MOTIONS, _MARKERS, _MODELS = "OpenSimData/Kinematics", "MarkerData", "OpenSimData/Model"
_VIDEOS = ("*.mov", "*.mp4", "*.avi", "*.MOV", "*.MP4")


def is_session(path: Path) -> bool:
    """Tell whether a folder is a session of OpenCap."""
    return (path / _METADATA).is_file()


def from_opencap(path: Path, options: ConvertOptions) -> Content:
    """Read the motion and the markers of one trial, with the scaled model.

    Args:
        path: the folder of the session.
        options: ``trial``; ``model``, if the folder holds several.

    Returns:
        Coordinates, markers and their model, mass and stature, as far as they are there.

    Raises:
        InputError: several trials or models, and none is named.
        FormatError: no trial, or a damaged file.
    """
    trials, metadata = _trials(path), _metadata(path)
    if options.trial is not None and options.trial not in trials:
        raise InputError(f"{path}: there is no trial {options.trial!r}; it has {', '.join(sorted(trials)) or 'none'}")
    if options.trial is None and len(trials) != 1:
        listed = ", ".join(sorted(trials))
        raise InputError(f"{path} holds {len(trials)} trials ({listed}): say which one (--trial NAME)")
    name = options.trial or next(iter(trials))
    files, model = trials[name], _model(path, options)
    markers = read_trc(files["markers"]) if "markers" in files else None
    coordinates = read_mot(files["motion"], model) if "motion" in files else None
    lost = (f"{len(files['videos'])} videos",) if files["videos"] else ()
    return Content(
        name=name,
        markers=markers,
        coordinates=coordinates,
        model=model,
        own_model=model is not None,
        mass_kg=_number(metadata, "mass_kg"),
        stature_m=_number(metadata, "height_m"),
        sex={"f": "female", "m": "male"}.get(str(metadata.get("gender_mf", metadata.get("sex", ""))).lower()[:1], "unknown"),
        lost=lost,
    )


def session_facts(path: Path) -> dict[str, Any]:
    """Describe a session: the person, the models, and the files of each trial."""
    metadata = _metadata(path)
    trials: dict[str, Any] = {}
    for name, files in _trials(path).items():
        row: dict[str, Any] = {kind: kind in files for kind in ("motion", "markers")}
        if "markers" in files:
            row |= time_facts(read_trc(files["markers"]).time_s)
        trials[name] = {**row, "videos": len(files.get("videos", []))}
    cameras = sorted(folder.name for folder in (path / "Videos").glob("Cam*") if folder.is_dir())
    calibrated = [name for name in cameras if any((path / "Videos" / name).glob("*ntrinsics*.pickle"))]
    return {
        "kind": "OpenCap session",
        "mass_kg": _number(metadata, "mass_kg"),
        "height_m": _number(metadata, "height_m"),
        "models": [file.name for file in _models(path)],
        "cameras": cameras,
        "calibrated cameras": calibrated,
        "trials": trials,
    }


def _metadata(path: Path) -> dict[str, Any]:
    file = path / _METADATA
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise FormatError(file, None, f"no readable YAML ({type(error).__name__})") from None
    if not isinstance(content, dict):
        raise FormatError(file, None, "a mapping with mass_kg and height_m is expected")
    return content


def _number(metadata: dict[str, Any], key: str) -> float | None:
    value = metadata.get(key)
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        return None


def _trials(path: Path) -> dict[str, dict[str, Any]]:
    """Trial -> its motion, markers and videos."""
    found: dict[str, dict[str, Any]] = {}
    for kind, folder, pattern in (("motion", _MOTIONS, "*.mot"), ("markers", _MARKERS, "*.trc")):
        for file in sorted((path / folder).rglob(pattern)):
            found.setdefault(file.stem, {}).setdefault(kind, file)
    for name, files in found.items():
        files["videos"] = sorted(
            {video for one in _VIDEOS for video in path.glob(f"Videos/Cam*/InputMedia/{_literal(name)}/{one}")}
        )
    if not found:
        raise FormatError(path, None, f"no trial: {_MOTIONS}/*.mot or {_MARKERS}/*.trc is expected")
    return found


def _literal(name: str) -> str:
    """A name as a pattern that matches it alone."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _models(path: Path) -> list[Path]:
    files = sorted((path / _MODELS).glob("*.osim"))
    return [file for file in files if file.stem.endswith("_scaled")] or files


def _model(path: Path, options: ConvertOptions) -> OsimDocument | None:
    files = [options.model] if options.model is not None else _models(path)
    if len(files) > 1:
        raise InputError(f"{path} holds {len(files)} models ({', '.join(file.name for file in files)}): name one (--model)")
    return as_document(files[0]) if files else None

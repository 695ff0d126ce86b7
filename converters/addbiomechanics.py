"""AddBiomechanics: read its binary ``.b3d`` results, write a subject folder for upload.

Source:
    Werling et al. 2023, PLoS ONE 18:e0295152; nimblephysics 0.10.52 ``SubjectOnDisk`` (.b3d). Folder: repository
    keenon/AddBiomechanics, server/engine/src/subject.py and trial.py (names of the files and of the keys in ``_subject.json``).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hsmr_bio.dynamics.loads import ExternalForce, ExternalLoads
from hsmr_bio.errors import FormatError, InputError, ModelError, require
from hsmr_bio.io.atomic import new_folder
from hsmr_bio.io.child import try_first
from hsmr_bio.io.door import reader
from hsmr_bio.io.repairs import unseen_zeros
from hsmr_bio.io.silence import no_stdout
from hsmr_bio.io.trc import write_trc
from hsmr_bio.osim.document import OsimDocument
from hsmr_bio.types import BoolArray, FloatArray, Markers, OsimMotion

from .content import Content, ConvertOptions, Written

_FRAMES_AT_ONCE = 2000
"""Frames that nimble reads in one call: it bounds the memory."""
_TRIAL = f"""
import nimblephysics
subject = nimblephysics.biomechanics.SubjectOnDisk(path)
subject.readSkel(subject.getNumProcessingPasses() - 1, ignoreGeometry=True)
for trial in range(subject.getNumTrials()):
    length = subject.getTrialLength(trial)
    for first in range(0, length, {_FRAMES_AT_ONCE}):
        if not subject.readFrames(trial, first, min({_FRAMES_AT_ONCE}, length - first), True, True):
            break
"""
"""What nimble does with a file here, tried first in a process of its own: damage can end that process."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_FEET = ("calcn_r", "calcn_l")
_COMMON_MARKERS = 3
"""The pose of a body needs three points."""
_MASS_KG, _STATURE_M = (1, 500), (0.3, 2.8)
"""Bounds of a person's mass and stature; other values are in other units."""
_ASSIGNED = ("groundContactForce", "groundContactCenterOfPressure", "groundContactTorque")
"""Nimble's names of force, centre of pressure and torque of the bodies in contact."""
_MEASURED = ("rawForcePlateForces", "rawForcePlateCenterOfPressures", "rawForcePlateTorques")
"""The same of the force plates."""


@dataclass(frozen=True, eq=False, kw_only=True)
class B3dTrial:
    """One trial, or one segment of a trial."""

    name: str
    markers: Markers
    motion: OsimMotion
    """Coordinates of the last processing pass."""
    loads: ExternalLoads
    """Forces on the feet if a dynamics pass assigned them, else of the force plates, without bodies."""
    missing_force_frames: int
    """Frames whose ground reaction force is incomplete, as AddBiomechanics states."""
    notes: tuple[str, ...] = ()
    """How gaps were read."""


@dataclass(frozen=True, eq=False, kw_only=True)
class B3dFile:
    """One subject."""

    trials: tuple[B3dTrial, ...]
    osim_xml: bytes
    """The scaled model of the last processing pass."""
    mass_kg: float
    stature_m: float
    sex: str
    passes: tuple[str, ...]
    """Kinds of the processing passes, first to last."""


@reader
def read_b3d(path: str | os.PathLike[str], *, trial: str | int | None = None) -> B3dFile:
    """Read a subject.

    Only functions of nimblephysics that return arrays are called: those that take one crash with numpy 2.

    Args:
        path: the file.
        trial: name or number of the only trial to read; None: all.

    Returns:
        The subject.

    Raises:
        FormatError: no ``.b3d``, damaged, or without a processing pass.
        InputError: there is no such trial.
        MissingDependencyError: nimblephysics is not installed (it has no wheels for Windows).
    """
    path = Path(path)
    _check_header(path)
    nimble: Any = require("nimblephysics", feature="reading .b3d")
    try_first(path, _TRIAL, "nimblephysics")
    try:
        with no_stdout():
            subject = nimble.biomechanics.SubjectOnDisk(str(path.resolve()))
            return _read_subject(path, subject, trial)
    except (RuntimeError, ValueError, MemoryError) as error:
        if isinstance(error, InputError):
            raise
        raise FormatError(path, None, f"damaged, or not from AddBiomechanics: {error}") from error


def write_addbiomechanics(
    folder: str | os.PathLike[str],
    markers: Mapping[str, Markers],
    osim: OsimDocument,
    *,
    mass_kg: float,
    stature_m: float,
    sex: str = "unknown",
    overwrite: bool = False,
) -> None:
    """Write the folder of one subject as AddBiomechanics stores it: drop it on the page of a new subject to upload it.

    It holds markers and no forces, so dynamics is disabled.

    Args:
        folder: the subject's folder.
        markers: trial name -> markers.
        osim: the unscaled model with markers of these names; its feet are found by name (calcn_r, calcn_l).
        mass_kg: of the person.
        stature_m: of the person.
        sex: ``"female"``, ``"male"`` or ``"unknown"`` (``"neutral"`` is written as unknown).
        overwrite: whether files in the folder may be replaced.

    Raises:
        InputError: a wrong trial name, mass, stature or sex, no trial, or a model without the markers.
        ModelError: the model has no calcn_r and calcn_l.
    """
    sex = "unknown" if sex == "neutral" else sex
    _check_subject(markers, osim, mass_kg, stature_m, sex)
    if not set(_FEET) <= set(osim.bodies):
        raise ModelError(f"AddBiomechanics needs the two feet; {osim.name!r} has no bodies {' and '.join(_FEET)}")
    about = {
        "massKg": round(mass_kg, 3),
        "heightM": round(stature_m, 4),
        "sex": sex,
        "skeletonPreset": "custom",
        "footBodyNames": _FEET,
        "disableDynamics": True,
        "subjectTags": [],
    }
    with new_folder(folder, overwrite=overwrite) as part:
        (part / "_subject.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
        osim.write(part / "unscaled_generic.osim")
        for name, trial in markers.items():
            trial_folder = part / "trials" / name
            trial_folder.mkdir(parents=True)
            write_trc(trial_folder / "markers.trc", trial, unit="mm")


def from_b3d(path: Path, options: ConvertOptions) -> Content:
    """Read the markers and coordinates of one trial, with the model.

    Args:
        path: the file.
        options: ``trial``.

    Returns:
        Markers, coordinates and their model, mass, stature and sex.

    Raises:
        InputError: several trials, and none is named.
    """
    file = read_b3d(path, trial=options.trial)
    if len(file.trials) > 1:
        names = ", ".join(trial.name for trial in file.trials)
        raise InputError(f"{path} holds {len(file.trials)} trials ({names}): say which one (--trial NAME)")
    (trial,) = file.trials
    lost = ["ground reaction forces"] if trial.loads.forces else []
    if len(file.passes) > 1:
        lost.append(f"all but the last of the processing passes ({', '.join(file.passes)})")
    return Content(
        name=trial.name,
        markers=trial.markers,
        coordinates=trial.motion,
        model=OsimDocument.from_bytes(file.osim_xml, source=path.name),
        own_model=True,
        mass_kg=file.mass_kg,
        stature_m=file.stature_m,
        sex=file.sex,
        lost=tuple(lost),
        notes=trial.notes,
    )


def to_addbiomechanics(path: Path, content: Content, options: ConvertOptions) -> Written:
    """Write a subject folder for upload.

    Args:
        path: the folder.
        content: with markers, and their model.
        options: ``mass_kg``, ``stature_m``, ``sex``, if the content does not state them; ``overwrite``.

    Returns:
        What the folder does not hold.

    Raises:
        InputError: a file name instead of a folder's, or markers, model, mass or stature are missing.
    """
    if path.suffix:
        raise InputError("a .b3d is made by AddBiomechanics alone; give a folder's name for a subject folder to upload")
    model, markers = content.model, content.markers
    mass_kg, stature_m = options.mass_kg or content.mass_kg, options.stature_m or content.stature_m
    if markers is None or model is None or mass_kg is None or stature_m is None:
        raise InputError("a subject folder needs measured markers (.trc, .c3d), --model OSIM, --mass-kg and --height-m")
    sex = options.sex if options.sex != "unknown" else content.sex
    name = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in content.name)
    write_addbiomechanics(
        path, {name: markers}, model, mass_kg=mass_kg, stature_m=stature_m, sex=sex, overwrite=options.overwrite
    )
    note = "drop the folder on a new subject's page; the model is taken as the unscaled one"
    return Written(lost=("coordinates",) if content.coordinates is not None else (), notes=(note,))


def b3d_facts(path: Path) -> dict[str, Any]:
    """Describe the subject and each trial."""
    file = read_b3d(path)
    trials = {
        trial.name: {
            "frames": len(trial.markers.time_s),
            "markers": len(trial.markers.names),
            "coordinates": len(trial.motion.coordinates),
            "forces": len(trial.loads.forces),
            "frames without force": trial.missing_force_frames,
        }
        for trial in file.trials
    }
    about = {"mass_kg": file.mass_kg, "stature_m": file.stature_m, "sex": file.sex, "passes": list(file.passes)}
    return {"kind": "AddBiomechanics subject", **about, "trials": trials}


def _check_header(path: Path) -> None:
    """Check the length of the header, with which a .b3d begins (8 bytes, little endian): nimble allocates as much unchecked."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        raise FormatError(path, None, f"cannot be opened: {error.strerror or error}") from error
    length = int.from_bytes(head, "little")
    if len(head) < 8 or length <= 0:
        raise FormatError(path, None, "no .b3d file of AddBiomechanics")
    if length + 8 > size:
        problem = f"no .b3d file, or truncated: its header should have {length} bytes, the whole file has {size}"
        raise FormatError(path, None, problem)


def _read_subject(path: Path, subject: Any, wanted: str | int | None) -> B3dFile:
    count, passes = int(subject.getNumTrials()), int(subject.getNumProcessingPasses())
    if passes < 1:
        raise FormatError(path, None, "it holds no processing pass: the subject was not processed")
    names = [str(subject.getTrialName(i)) for i in range(count)]
    picked = list(range(count))
    if wanted is not None:
        picked = [i for i in picked if wanted in (i, names[i])]
        if not picked:
            raise InputError(f"{path}: there is no trial {wanted!r}; it has {', '.join(names)}")
    xml = str(subject.getOpensimFileText(passes - 1)).encode()
    document = OsimDocument.from_bytes(xml, source=f"{path.name} (model)")
    skeleton = subject.readSkel(passes - 1, ignoreGeometry=True)
    coordinates = tuple(str(skeleton.getDofByIndex(i).getName()) for i in range(int(skeleton.getNumDofs())))
    rotational = np.array([document.coordinate(name).rotational for name in coordinates])
    trials = tuple(_read_trial(path, subject, i, names[i], coordinates, rotational) for i in picked)
    kinds = tuple(str(subject.getProcessingPassType(i)).rpartition(".")[2].lower() for i in range(passes))
    return B3dFile(
        trials=trials,
        osim_xml=xml,
        mass_kg=float(subject.getMassKg()),
        stature_m=float(subject.getHeightM()),
        sex=str(subject.getBiologicalSex()),
        passes=kinds,
    )


def _read_trial(
    path: Path, subject: Any, number: int, name: str, coordinates: tuple[str, ...], rotational: BoolArray
) -> B3dTrial:
    length, step_s = int(subject.getTrialLength(number)), float(subject.getTrialTimestep(number))
    frames: list[Any] = []
    for first in range(0, length, _FRAMES_AT_ONCE):
        frames += subject.readFrames(number, first, min(_FRAMES_AT_ONCE, length - first), True, True)
    if length < 1 or len(frames) != length or not step_s > 0:
        raise FormatError(path, f"trial {name!r}", f"{len(frames)} of {length} frames can be read: truncated")
    time_s = np.arange(length, dtype=np.float64) * step_s
    values = np.array([np.asarray(frame.processingPasses[-1].pos) for frame in frames])
    if values.shape != (length, len(coordinates)):
        raise FormatError(path, f"trial {name!r}", f"{values.shape[1:]} values a frame, the model has {len(coordinates)}")
    markers, zeros = _markers(time_s, frames)
    return B3dTrial(
        name=name,
        markers=markers,
        notes=zeros,
        motion=OsimMotion(time_s=time_s, coordinates=coordinates, values_si=values, rotational=rotational),
        loads=_loads(subject, frames, time_s, name),
        missing_force_frames=sum("notMissing" not in str(frame.missingGRFReason) for frame in frames),
    )


def _markers(time_s: FloatArray, frames: list[Any]) -> tuple[Markers, tuple[str, ...]]:
    """Named markers, and a note on positions of zero; the marker without a name in such files is left out."""
    seen = [{str(name): np.asarray(point) for name, point in frame.markerObservations if name} for frame in frames]
    names = tuple(sorted({name for frame in seen for name in frame}))
    hidden = np.full(3, np.nan)
    positions = np.array([[frame.get(name, hidden) for name in names] for frame in seen]).reshape(len(frames), len(names), 3)
    positions, notes = unseen_zeros(positions)
    return Markers(time_s=time_s, names=names, positions_m=positions), notes


def _loads(subject: Any, frames: list[Any], time_s: FloatArray, name: str) -> ExternalLoads:
    bodies = [str(body) for body in subject.getGroundForceBodies()]
    assigned = [np.array([np.asarray(getattr(frame.processingPasses[-1], key)) for frame in frames]) for key in _ASSIGNED]
    if np.any(assigned[0]):
        parts = [[array[:, 3 * i : 3 * i + 3] for array in assigned] for i in range(len(bodies))]
        labels: list[tuple[str, str | None]] = [(body, body) for body in bodies]
    else:
        plates = min(len(frame.rawForcePlateForces) for frame in frames)
        parts = [[np.array([np.asarray(getattr(f, key)[i]) for f in frames]) for key in _MEASURED] for i in range(plates)]
        labels = [(f"plate_{i + 1}", None) for i in range(plates)]
    forces = tuple(
        ExternalForce(name=label, body=body, time_s=time_s, force_n=force, point_m=point, torque_nm=torque)
        for (label, body), (force, point, torque) in zip(labels, parts, strict=True)
    )
    return ExternalLoads(forces=forces, source=f"AddBiomechanics trial {name}")


def _check_subject(markers: Mapping[str, Markers], osim: OsimDocument, mass_kg: float, stature_m: float, sex: str) -> None:
    if not markers:
        raise InputError("at least one trial with markers is needed")
    for name, trial in markers.items():
        if not _NAME.fullmatch(name):
            raise InputError(f"a trial becomes a folder, so its name must be letters, digits, - _ and . only; got {name!r}")
        common = [marker for marker in trial.names if marker in osim.markers]
        if len(common) < _COMMON_MARKERS:
            raise InputError(f"trial {name!r} shares {len(common)} marker names with model {osim.name!r}: rename one side")
    if not (_MASS_KG[0] < mass_kg < _MASS_KG[1] and _STATURE_M[0] < stature_m < _STATURE_M[1]):
        raise InputError(f"mass and stature must be a person's, in kg and m; got {mass_kg:g} and {stature_m:g}")
    if sex not in ("female", "male", "unknown"):
        raise InputError(f"sex must be 'female', 'male' or 'unknown', got {sex!r}")

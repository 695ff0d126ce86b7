"""Foreign file -> :class:`Content`, one function a format, with what each leaves behind."""

from __future__ import annotations

from pathlib import Path

from hsmr_bio.errors import HsmrBioError, InputError
from hsmr_bio.io.mot import read_mot
from hsmr_bio.io.npz import kind_of
from hsmr_bio.io.trc import read_trc
from hsmr_bio.osim.document import OsimDocument
from hsmr_bio.osim.library import as_document

from .addbiomechanics import read_b3d
from .bvh import read_bvh
from .c3d import read_c3d
from .content import Content, ConvertOptions
from .glb_file import read_glb
from .smpl import read_smpl
from .stored import read_skel_motions


def from_trc(path: Path, options: ConvertOptions) -> Content:
    """Read markers."""
    return Content(name=path.stem, markers=read_trc(path), model=_model(path, options))


def from_c3d(path: Path, options: ConvertOptions) -> Content:
    """Read markers."""
    if options.up not in (None, "x", "y", "z"):
        raise InputError(f"up must be x, y or z, got {options.up!r}")
    file = read_c3d(path, up=options.up)  # type: ignore[arg-type]
    lost = (f"of the C3D file: {', '.join(file.not_in_markers)}",) if file.not_in_markers else ()
    note = f"vertical axis {file.up}"
    return Content(name=path.stem, markers=file.markers, model=_model(path, options), lost=lost, notes=(note,))


def from_bvh(path: Path, options: ConvertOptions) -> Content:
    """Read bones."""
    file = read_bvh(path, unit=options.unit)
    return Content(name=path.stem, bones=file.animation, lost=("end sites",), notes=(f"unit {file.unit}",))


def from_glb(path: Path, options: ConvertOptions) -> Content:
    """Read bones."""
    file = read_glb(path)
    lost = []
    if file.meshes:
        lost.append(f"{file.meshes} meshes with their materials")
    if file.animations > 1:
        lost.append(f"all but the first of {file.animations} animations")
    return Content(name=path.stem, bones=file.animation, lost=tuple(lost))


def from_mot(path: Path, options: ConvertOptions) -> Content:
    """Read coordinates."""
    model = _model(path, options)
    return Content(name=path.stem, coordinates=read_mot(path, model), model=model)


def from_b3d(path: Path, options: ConvertOptions) -> Content:
    """Read one trial's markers and coordinates, with the model."""
    file = read_b3d(path, trial=options.trial)
    if len(file.trials) > 1:
        names = ", ".join(trial.name for trial in file.trials)
        raise InputError(f"{path} holds {len(file.trials)} trials ({names}): say which one (--trial NAME)")
    (trial,) = file.trials
    lost = ["ground reaction forces"] if trial.loads.forces else []
    if len(file.passes) > 1:
        lost.append(f"all but the last of the processing passes ({', '.join(file.passes)})")
    model = OsimDocument.from_bytes(file.osim_xml, source=path.name)
    facts = {"mass_kg": file.mass_kg, "stature_m": file.stature_m, "sex": file.sex}
    return Content(name=trial.name, markers=trial.markers, coordinates=trial.motion, model=model, lost=tuple(lost), facts=facts)


def from_skel(path: Path, options: ConvertOptions) -> Content:
    """Read one person's SKEL motion; SMPL is recognised, and has to be fitted first."""
    try:
        motions = read_skel_motions(path, rate_hz=options.rate_hz, image_size_px=options.image_size_px)
    except InputError as error:
        if _is_smpl(path, options):
            raise InputError(f"{path} holds SMPL motion, which has to be fitted first: hsmr-bio smpl2mot {path}") from error
        raise
    if not 0 <= options.person < len(motions):
        raise InputError(f"{path} holds {len(motions)} person(s), numbered from 0; there is no {options.person}")
    lost = (f"the other {len(motions) - 1} person(s)",) if len(motions) > 1 else ()
    return Content(name=path.stem, skel=motions[options.person], lost=lost)


def _is_smpl(path: Path, options: ConvertOptions) -> bool:
    try:
        if not path.is_file() or (path.suffix.lower() == ".npz" and kind_of(path) is not None):
            return False
        return bool(read_smpl(path, rate_hz=options.rate_hz or 30.0))
    except HsmrBioError:
        return False


def _model(path: Path, options: ConvertOptions) -> OsimDocument | None:
    if options.model is not None:
        return as_document(options.model)
    beside = path.with_suffix(".osim")
    return as_document(beside) if beside.is_file() else None

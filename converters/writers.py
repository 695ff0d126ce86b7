""":class:`Content` -> foreign file, one function a format, with what each cannot hold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hsmr_bio.errors import InputError
from hsmr_bio.io.atomic import new_file
from hsmr_bio.io.mot import write_mot
from hsmr_bio.io.npz import save_motion
from hsmr_bio.io.trc import write_trc
from hsmr_bio.osim.document import OsimDocument
from hsmr_bio.types import FloatArray, Markers

from .addbiomechanics import write_addbiomechanics
from .animation import Animation, as_numpy, from_osim, from_skel, full_coordinates
from .bvh import write_bvh
from .c3d import write_c3d
from .content import Content, ConvertOptions
from .gltf import body_meshes, skin_fit, write_glb, write_skinned_glb
from .skel import write_skel_alignment
from .usd import write_usd


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a writer could not hold."""

    lost: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    derived: bool = True
    """Whether the reader's losses are losses of the new file as well."""


def to_trc(path: Path, content: Content, options: ConvertOptions) -> Written:
    """Write markers, or joint centres as markers."""
    markers, lost = _as_markers(content, options)
    write_trc(path, markers, overwrite=options.overwrite)
    return Written(lost=lost)


def to_c3d(path: Path, content: Content, options: ConvertOptions) -> Written:
    """Write markers, or joint centres as markers."""
    markers, lost = _as_markers(content, options)
    write_c3d(path, markers)
    return Written(lost=(*lost, "digits beyond float32 (about 0.1 micrometre)"))


def to_bvh(path: Path, content: Content, options: ConvertOptions) -> Written:
    """Write bones."""
    animation, lost = _as_bones(content, options)
    price_m = write_bvh(path, animation)
    if price_m > 1e-4:
        lost = (*lost, f"movement of joints inside their parents (spine, scapula, knee): up to {1000 * price_m:.1f} mm")
    return Written(lost=(*lost, *_start_time(animation.time_s)), notes=("written in centimetres, y up",))


def to_glb(path: Path, content: Content, options: ConvertOptions) -> Written:
    """Write bones, with the body's skin where there is a body."""
    if content.skel is None:
        animation, lost = _as_bones(content, options)
        write_glb(path, animation)
        return Written(lost=(*lost, *_start_time(animation.time_s)))
    fit = write_skinned_glb(path, _body(content, options), content.skel, parts=options.parts)
    lost = (f"shape parameters; the surface differs by {1000 * fit.mean_m:.2f} mm (at most {1000 * fit.max_m:.1f} mm)",)
    return Written(lost=(*lost, *_start_time(content.skel.time_s)))


def to_usd(path: Path, content: Content, options: ConvertOptions) -> Written:
    """Write bones, with the body's skin where there is a body."""
    animation, lost = _as_bones(content, options)
    meshes = []
    if content.skel is not None:
        body = _body(content, options)
        meshes = body_meshes(body, content.skel, options.parts)
        fit = skin_fit(body, content.skel, animation, meshes[0])
        lost = (f"shape parameters; the surface differs by {1000 * fit.mean_m:.2f} mm (at most {1000 * fit.max_m:.1f} mm)",)
    write_usd(path, animation, meshes)
    return Written(lost=(*lost, *_start_time(animation.time_s)))


def to_mot(path: Path, content: Content, options: ConvertOptions) -> Written:
    """Write coordinates."""
    if content.coordinates is None:
        ways = {"skel": "hsmr-bio skel2mot", "markers": "hsmr-bio ik", "bones": "a .trc of its joints and hsmr-bio ik"}
        way = next(text for key, text in ways.items() if getattr(content, key) is not None)
        raise InputError(f"{content.name} holds {content.what}; coordinates of an OpenSim model are computed with {way}")
    if path.suffix.lower() == ".sto":
        raise InputError("coordinates are written as .mot; OpenSim reads .sto and .mot alike")
    write_mot(path, content.coordinates, overwrite=options.overwrite)
    lost = ("markers",) if content.markers is not None else ()
    if content.model is not None and content.facts:
        return Written(lost=lost, notes=("the model is a file of its own: convert to .osim as well",))
    return Written(lost=lost)


def to_skel_file(path: Path, content: Content, options: ConvertOptions) -> Written:
    """Write a SKEL motion: ours (``.npz``) or as SKEL's alignment writes it (``.pkl``)."""
    if content.skel is None:
        raise InputError(f"{content.name} holds {content.what}; a SKEL motion is fitted with hsmr-bio mot2skel or smpl2mot")
    if path.suffix.lower() == ".npz":
        save_motion(path, content.skel, overwrite=options.overwrite)
        return Written()
    if path.suffix.lower() == ".pkl":
        write_skel_alignment(path, content.skel, overwrite=options.overwrite)
        return Written(lost=("time, camera, axes and what was noted on the way",))
    raise InputError(f"{path}: a SKEL motion is written as .npz or .pkl")


def to_osim(path: Path, content: Content, options: ConvertOptions) -> Written:
    """Write the model that a subject file carries."""
    if content.model is None or not content.facts:
        raise InputError(f"{content.name} carries no model; a scaled one is made with hsmr-bio scale")
    with new_file(path, overwrite=options.overwrite) as part:
        content.model.write(part)
    return Written(lost=(content.what,), derived=True)


def to_addbiomechanics(path: Path, content: Content, options: ConvertOptions) -> Written:
    """Write a subject folder for upload."""
    if path.suffix:
        raise InputError("a .b3d is made by AddBiomechanics alone; give a folder's name for a subject folder to upload")
    model, markers = content.model, content.markers
    mass_kg = options.mass_kg or content.facts.get("mass_kg")
    stature_m = options.stature_m or content.facts.get("stature_m")
    if markers is None or model is None or mass_kg is None or stature_m is None:
        raise InputError("a subject folder needs measured markers (.trc, .c3d), --model OSIM, --mass-kg and --height-m")
    sex = options.sex if options.sex != "unknown" else content.facts.get("sex", "unknown")
    name = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in content.name)
    write_addbiomechanics(
        path, {name: markers}, model, mass_kg=mass_kg, stature_m=stature_m, sex=sex, overwrite=options.overwrite
    )
    note = "drop the folder on a new subject's page; the model is taken as the unscaled one"
    return Written(lost=("coordinates",) if content.coordinates is not None else (), notes=(note,))


def _as_markers(content: Content, options: ConvertOptions) -> tuple[Markers, tuple[str, ...]]:
    if content.markers is not None:
        return content.markers, ("coordinates and model",) if content.coordinates is not None else ()
    if content.coordinates is not None:
        model = _needed_model(content)
        return _model_markers(content, model), ("joint angles: hsmr-bio ik finds them again",)
    animation, _ = _as_bones(content, options)
    markers = Markers(time_s=animation.time_s, names=animation.names, positions_m=animation.world()[0])
    return markers, ("bone orientations: the markers are the joint centres",)


def _as_bones(content: Content, options: ConvertOptions) -> tuple[Animation, tuple[str, ...]]:
    if content.bones is not None:
        return content.bones, ()
    if content.skel is not None:
        return from_skel(content.skel, _body(content, options)), ("shape parameters and skin",)
    if content.coordinates is not None:
        return from_osim(content.coordinates, _needed_model(content)), ("masses, muscles, markers and limits of the model",)
    raise InputError(f"{content.name} holds {content.what} only, which have no bones: hsmr-bio ik finds the motion of a model")


def _model_markers(content: Content, model: OsimDocument) -> Markers:
    """Markers of the model, moved by the coordinates."""
    import torch

    if content.coordinates is None or not model.markers:
        raise InputError(f"model {model.name!r} has no markers to write")
    tree = model.tree()
    values: FloatArray = full_coordinates(content.coordinates, model, tree.coordinates)
    names = tuple(name for name, marker in model.markers.items() if marker.body in tree.bodies)
    bodies = [tree.bodies.index(model.markers[name].body) for name in names]
    local = torch.tensor(np.array([model.markers[name].position_m for name in names]))
    with torch.no_grad():
        positions = as_numpy(tree.forward(values).points(bodies, local))
    return Markers(time_s=content.coordinates.time_s, names=names, positions_m=positions)


def _needed_model(content: Content) -> OsimDocument:
    if content.model is None:
        raise InputError(f"{content.name}: coordinates mean nothing without their model: name it with --model MODEL.osim")
    return content.model


def _body(content: Content, options: ConvertOptions) -> Any:
    from hsmr_bio.body import load_named_body

    if content.skel is None:
        raise InputError(f"{content.name} holds no SKEL motion")
    return load_named_body(content.skel.body, options.body)


def _start_time(time_s: FloatArray) -> tuple[str, ...]:
    return (f"the time of the first frame ({time_s[0]:g} s): the file starts at 0",) if abs(time_s[0]) > 1e-9 else ()

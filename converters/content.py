"""What a file holds while it is converted, what is asked of readers and writers, and one type as another."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hsmr_bio.errors import InputError
from hsmr_bio.types import FloatArray, Markers, OsimMotion, SkelMotion

from .animation import Animation, as_numpy, from_osim, from_skel, full_coordinates
from .hsmr import HSMR_FOCAL_PX

if TYPE_CHECKING:
    from hsmr_bio.body import Body
    from hsmr_bio.fitting.smpl.smpl_motion import Axes, SmplMotion
    from hsmr_bio.osim.document import OsimDocument

Kind = Literal["skel", "coordinates", "bones", "markers", "smpl", "model"]
"""One of our types, by the field of :class:`Content` that holds it."""
WORDS: dict[Kind, str] = {
    "skel": "a SKEL motion",
    "coordinates": "coordinates",
    "bones": "a skeleton animation",
    "markers": "markers",
    "smpl": "SMPL motion",
    "model": "a model",
}
_START_S = 1e-9
"""A first frame this close to 0 is at 0."""


@dataclass(frozen=True, kw_only=True)
class ConvertOptions:
    """What the files themselves do not say."""

    model: Path | None = None
    """OpenSim model that coordinates or markers belong to; None: the ``.osim`` of the same name beside them."""
    body: str | None = None
    """Body of a SKEL motion; None: the one that it names."""
    up: str | None = None
    """Axis of a C3D file that points up."""
    axes: Axes | Literal["auto"] = "auto"
    """Axes of an SMPL file."""
    unit: str | None = None
    """Unit of a BVH file."""
    rate_hz: float | None = None
    """Frames per second of files that store none."""
    image_size_px: tuple[int, int] | None = None
    """(width, height) of the video that HSMR's demo worked on."""
    focal_px: float = HSMR_FOCAL_PX
    """True focal length of the camera that HSMR's demo did not know."""
    person: int = 0
    """Which person of a file with several."""
    trial: str | None = None
    """Which trial of a ``.b3d``."""
    parts: tuple[str, ...] = ("skin",)
    """What a GLB shows of the body: skin, bones."""
    mass_kg: float | None = None
    """For AddBiomechanics."""
    stature_m: float | None = None
    sex: str = "unknown"
    overwrite: bool = False


@dataclass(frozen=True, eq=False, kw_only=True)
class Content:
    """The values of a file; any of them, or several that belong together."""

    name: str
    markers: Markers | None = None
    coordinates: OsimMotion | None = None
    model: OsimDocument | None = None
    people: tuple[SkelMotion, ...] = ()
    """SKEL motion, one a person."""
    smpl: tuple[SmplMotion, ...] = ()
    """SMPL motion, one a person."""
    bones: Animation | None = None
    lost: tuple[str, ...] = ()
    """What the reader left behind."""
    notes: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    """Mass, stature, sex where the file knows them."""

    @property
    def skel(self) -> SkelMotion | None:
        """The SKEL motion of the first person."""
        return self.people[0] if self.people else None

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Which of our types are there; a model alone does not count."""
        return tuple(kind for kind in WORDS if kind != "model" and getattr(self, kind) not in (None, ()))

    @property
    def what(self) -> str:
        """In words, for messages."""
        return " and ".join(WORDS[kind] for kind in self.kinds)


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a writer could not hold."""

    lost: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def model_of(path: Path, options: ConvertOptions) -> OsimDocument | None:
    """Read the model of a file's coordinates or markers.

    Args:
        path: the file.
        options: may name the model.

    Returns:
        The named model, else the ``.osim`` of the same name beside the file, else None.

    Raises:
        InputError: the named model is not there.
    """
    from hsmr_bio.osim.library import as_document

    if options.model is not None:
        return as_document(options.model)
    beside = path.with_suffix(".osim")
    return as_document(beside) if beside.is_file() else None


def body_of(content: Content, options: ConvertOptions) -> Body:
    """Load the body of the content's SKEL motion.

    Args:
        content: with a SKEL motion.
        options: may name the body.

    Raises:
        InputError: there is no SKEL motion, or the named body is another one.
    """
    from hsmr_bio.body import load_named_body

    if content.skel is None:
        raise InputError(f"{content.name} holds no SKEL motion")
    return load_named_body(content.skel.body, options.body)


def as_markers(content: Content, options: ConvertOptions) -> tuple[Markers, tuple[str, ...]]:
    """Give the content as markers: those measured, else the model's, else the joint centres.

    Args:
        content: with markers, coordinates and their model, bones, or a SKEL motion.
        options: may name the body of a SKEL motion.

    Returns:
        The markers, and what they do not hold of the content.

    Raises:
        InputError: the content has none of these.
    """
    if content.markers is not None:
        return content.markers, ("coordinates and model",) if content.coordinates is not None else ()
    if content.coordinates is not None:
        return _model_markers(content.coordinates, _needed_model(content)), ("joint angles: hsmr-bio ik finds them again",)
    animation, _ = as_bones(content, options)
    markers = Markers(time_s=animation.time_s, names=animation.names, positions_m=animation.world()[0])
    return markers, ("bone orientations: the markers are the joint centres",)


def as_bones(content: Content, options: ConvertOptions) -> tuple[Animation, tuple[str, ...]]:
    """Give the content as bones in motion.

    Args:
        content: with bones, a SKEL motion, or coordinates and their model.
        options: may name the body of a SKEL motion.

    Returns:
        The bones, and what they do not hold of the content.

    Raises:
        InputError: the content has none of these.
    """
    if content.bones is not None:
        return content.bones, ()
    if content.skel is not None:
        return from_skel(content.skel, body_of(content, options)), ("shape parameters and skin",)
    if content.coordinates is not None:
        return from_osim(content.coordinates, _needed_model(content)), ("masses, muscles, markers and limits of the model",)
    raise InputError(f"{content.name} holds {content.what} only, which have no bones: hsmr-bio ik finds the motion of a model")


def start_time_lost(time_s: FloatArray) -> tuple[str, ...]:
    """Say that the first frame's time is lost in a format whose first frame is at 0 s."""
    return (f"the time of the first frame ({time_s[0]:g} s): the file starts at 0",) if abs(time_s[0]) > _START_S else ()


def _needed_model(content: Content) -> OsimDocument:
    if content.model is None:
        raise InputError(f"{content.name}: coordinates mean nothing without their model: name it with --model MODEL.osim")
    return content.model


def _model_markers(motion: OsimMotion, model: OsimDocument) -> Markers:
    """Markers of the model, moved by the coordinates."""
    import torch

    if not model.markers:
        raise InputError(f"model {model.name!r} has no markers to write")
    tree = model.tree()
    values: FloatArray = full_coordinates(motion, model, tree.coordinates)
    names = tuple(name for name, marker in model.markers.items() if marker.body in tree.bodies)
    bodies = [tree.bodies.index(model.markers[name].body) for name in names]
    local = torch.tensor(np.array([model.markers[name].position_m for name in names]))
    with torch.no_grad():
        positions = as_numpy(tree.forward(values).points(bodies, local))
    return Markers(time_s=motion.time_s, names=names, positions_m=positions)

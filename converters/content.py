"""The content of a file during a conversion, the options of readers and writers, and one type as another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hsmr_bio.errors import InputError
from hsmr_bio.types import FloatArray, Markers, OsimMotion, SkelMotion

from .animation import Animation, from_osim, from_skel
from .bone_names import BoneNames
from .c3d_axes import Up
from .capture import Capture
from .hsmr import HSMR_FOCAL_PX

if TYPE_CHECKING:
    from hsmr_bio.body import Body
    from hsmr_bio.fitting.smpl.smpl_motion import Axes, SmplMotion
    from hsmr_bio.fitting.video.joint_data import JointCentres
    from hsmr_bio.io.table import Table
    from hsmr_bio.osim.document import OsimDocument

    from .detections import Detections

Kind = Literal["skel", "coordinates", "bones", "markers", "joints", "smpl", "detections", "table", "model"]
"""One of our types, by the field of :class:`Content` that holds it (``skel``: :attr:`Content.people`)."""
WORDS: dict[Kind, str] = {
    "skel": "a SKEL motion",
    "coordinates": "coordinates",
    "bones": "a skeleton animation",
    "markers": "markers",
    "joints": "joint centres",
    "smpl": "SMPL motion",
    "detections": "2-D keypoints",
    "table": "a table",
    "model": "a model",
}
"""The types in words, for messages."""
_START_S = 1e-9
"""A first frame this close to 0 is at 0."""


@dataclass(frozen=True, kw_only=True)
class ConvertOptions:
    """What the files do not state."""

    model: Path | None = None
    """OpenSim model of coordinates or markers; None: the ``.osim`` of the same name beside them."""
    angles: Literal["degrees", "radians"] | None = None
    """Unit of the angles of a ``.mot`` whose header states none."""
    body: str | None = None
    """Body of a SKEL motion; None: the one that it names."""
    up: Up | None = None
    """Vertical axis of a C3D file; None: recognised."""
    loads: Path | None = None
    """External forces that become force plates of a C3D file."""
    axes: Axes | Literal["auto"] = "auto"
    """Axes of an SMPL file."""
    unit: str | None = None
    """Unit of a BVH file; None: recognised."""
    rate_hz: float | None = None
    """Frames per second of files that store none."""
    image_size_px: tuple[int, int] | None = None
    """(width, height) of the video that HSMR's demo worked on."""
    focal_px: float = HSMR_FOCAL_PX
    """True focal length of the camera, which HSMR's demo did not know."""
    keypoint_set: str | None = None
    """Order of 2-D keypoints (``keypoint_layouts.KEYPOINT_SETS``); None: by their number."""
    person: int = 0
    """Index of the person to keep of several."""
    trial: str | None = None
    """Trial of a ``.b3d`` to read."""
    tables: bool = False
    """Whether a table of OpenSim that holds no coordinates is read as it is."""
    bone_names: BoneNames = "own"
    """Names of the bones in BVH files."""
    parts: tuple[str, ...] = ("skin",)
    """Surfaces of the body in GLB and USD: skin, bones."""
    mass_kg: float | None = None
    """For AddBiomechanics."""
    stature_m: float | None = None
    """For AddBiomechanics."""
    sex: str = "unknown"
    """For AddBiomechanics: female, male or unknown."""
    overwrite: bool = False


@dataclass(frozen=True, eq=False, kw_only=True)
class Content:
    """The values of a file: one type, or several that belong together."""

    name: str
    markers: Markers | None = None
    coordinates: OsimMotion | None = None
    model: OsimDocument | None = None
    own_model: bool = False
    """Whether the file itself holds the model."""
    people: tuple[SkelMotion, ...] = ()
    """SKEL motion, one a person."""
    smpl: tuple[SmplMotion, ...] = ()
    """SMPL motion, one a person."""
    joints: tuple[JointCentres, ...] = ()
    """Joint centres, one a person: a body is fitted to them."""
    detections: Detections | None = None
    """2-D keypoints of everybody in a video."""
    bones: Animation | None = None
    table: Table | None = None
    """Columns as they are, of a table that holds no coordinates."""
    capture: Capture | None = None
    """What was recorded beside the markers."""
    mass_kg: float | None = None
    stature_m: float | None = None
    sex: str = "unknown"
    lost: tuple[str, ...] = ()
    """What the reader left out."""
    notes: tuple[str, ...] = ()
    """How values that the file does not state were determined."""

    @property
    def skel(self) -> SkelMotion | None:
        """The SKEL motion of the first person."""
        return self.people[0] if self.people else None

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Types that the content has; a model alone does not count."""
        return tuple(kind for kind in WORDS if kind != "model" and getattr(self, kind) not in (None, ()))

    @property
    def what(self) -> str:
        """The types in words, for messages."""
        return " and ".join(WORDS[kind] for kind in self.kinds)


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a written file does not hold."""

    lost: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def model_of(path: Path, options: ConvertOptions) -> OsimDocument | None:
    """Read the model of a file's coordinates or markers.

    Args:
        path: the file.
        options: ``model``.

    Returns:
        The named model, else the ``.osim`` of the same name beside the file, else None.

    Raises:
        InputError: the named model does not exist.
    """
    from hsmr_bio.osim.library import as_document

    beside = path.with_suffix(".osim")
    model = options.model or (beside if beside.is_file() else None)
    return None if model is None else as_document(model)


def body_of(content: Content, options: ConvertOptions) -> Body:
    """Load the body of the content's SKEL motion.

    Args:
        content: with a SKEL motion.
        options: ``body``.

    Returns:
        The body.

    Raises:
        InputError: there is no SKEL motion, or the named body is another one.
    """
    from hsmr_bio.body import load_named_body

    if content.skel is None:
        raise InputError(f"{content.name} holds no SKEL motion")
    return load_named_body(content.skel.body, options.body)


def as_markers(content: Content, options: ConvertOptions) -> tuple[Markers, tuple[str, ...]]:
    """Return the content as markers: those measured, else the model's, else the joint centres.

    Args:
        content: with markers, coordinates and their model, joint centres (y up), bones, or a SKEL motion.
        options: ``body``.

    Returns:
        The markers, and what they do not hold of the content.

    Raises:
        InputError: the content has none of these, or the model has no markers.
    """
    if content.markers is not None:
        return content.markers, ("coordinates and model",) if content.coordinates is not None else ()
    if content.coordinates is not None:
        from hsmr_bio.osim.placed import place_model

        placed = place_model(content.coordinates, model := _needed_model(content))
        if not placed.marker_names:
            raise InputError(f"model {model.name!r} has no markers to write")
        markers = Markers(time_s=placed.time_s, names=placed.marker_names, positions_m=placed.markers_m)
        return markers, ("joint angles: hsmr-bio ik finds them again",)
    if content.joints:
        centres = content.joints[0]
        turned = Markers(time_s=centres.markers.time_s, names=centres.markers.names, positions_m=centres.upright_m)
        return turned, ("the poses of the segments",) if centres.segments else ()
    animation, _ = as_bones(content, options)
    markers = Markers(time_s=animation.time_s, names=animation.names, positions_m=animation.world()[0])
    return markers, ("bone orientations: the markers are the joint centres",)


def as_bones(content: Content, options: ConvertOptions) -> tuple[Animation, tuple[str, ...]]:
    """Return the content as a skeleton animation.

    Args:
        content: with bones, a SKEL motion, or coordinates and their model.
        options: ``body``.

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
    finder = "image2mot --keypoints" if content.detections is not None else "ik"
    raise InputError(
        f"{content.name} holds {content.what} only, which have no bones: hsmr-bio {finder} finds the motion of a model"
    )


def start_time_lost(time_s: FloatArray) -> tuple[str, ...]:
    """Report the loss of the first frame's time in a format whose first frame is at 0 s."""
    return (f"the time of the first frame ({time_s[0]:g} s): the file starts at 0",) if abs(time_s[0]) > _START_S else ()


def _needed_model(content: Content) -> OsimDocument:
    if content.model is None:
        raise InputError(f"{content.name}: coordinates mean nothing without their model: name it with --model MODEL.osim")
    return content.model

"""The data that the steps of the pipeline exchange: frozen, checked once when built, SI units and radians.

Shapes use fixed letters: T frames, N coordinates, M markers, K keypoints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt

from .arrays import BoolArray as BoolArray  # noqa: PLC0414 (exported again: fields have these types)
from .arrays import FloatArray as FloatArray  # noqa: PLC0414
from .arrays import freeze, increasing_time
from .errors import InputError, ShapeError, UnknownCoordinateError
from .option_checks import check_choice
from .skeleton import DOF_NAMES

if TYPE_CHECKING:
    import pandas as pd

Frame = Literal["camera", "skel", "world"]
Sex = Literal["neutral", "female", "male"]
ModelKind = Literal["bsm", "twin"]
"""``bsm``: the scaled BSM model; ``twin``: the model whose coordinates are SKEL's angles."""
JointShapes = Literal["bsm", "skel"]
"""Knees of the BSM model. ``bsm``: rolling, with internal rotation in flexion; ``skel``: hinges, which follow SKEL exactly."""
FRAMES: tuple[Frame, ...] = get_args(Frame)
SEXES: tuple[Sex, ...] = get_args(Sex)
_WEIGHT_ERROR = 1e-3
"""Largest error of the sum of a keypoint's weights; chosen."""


class Progress(Protocol):
    """Callback for the progress of long functions; only the command line shows it."""

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Report that ``done`` of ``total`` units (None: unknown) of ``stage`` are finished."""


def quiet(stage: str, done: int, total: int | None) -> None:
    """Ignore a report of progress: the default callback.

    Args:
        stage: what is being done.
        done: finished units.
        total: all units; None if unknown.
    """


def _check_distinct(what: str, names: Sequence[str]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"{what} names must differ; twice: {', '.join(twice)}")


@dataclass(frozen=True, eq=False, kw_only=True)
class Camera:
    """A pinhole camera without distortion; the origin of pixel coordinates is the image's top left corner."""

    image_size_px: tuple[int, int]
    """(width, height)."""
    focal_px: float
    """Focal length, the same for both axes."""
    center_px: tuple[float, float]
    """Principal point (x, y)."""
    source: str
    """Origin of the numbers: ``"guess"``, ``"--fov-deg"``, ``"calibration file NAME"``, ``"hsmr"`` ..."""

    def __post_init__(self) -> None:
        width, height = self.image_size_px
        if width <= 0 or height <= 0 or not np.isfinite(self.focal_px) or self.focal_px <= 0:
            raise InputError(
                f"a camera needs a positive image size and focal length, got {self.image_size_px}, {self.focal_px}"
            )


@dataclass(frozen=True, eq=False, kw_only=True)
class Thumbnail:
    """A small picture of a video frame, for the report."""

    time_s: float
    """Presentation time of its frame."""
    jpeg: bytes
    scale: tuple[float, float]
    """Original pixels per pixel along x and y."""


@dataclass(frozen=True, kw_only=True)
class KeypointPlace:
    """Position of a detector's point on the body: at a joint, or at a weighted mean of skin vertices."""

    name: str
    """The detector's own name."""
    joint: str = ""
    """SKEL joint (``skeleton.JOINT_NAMES``) that is the origin of the offset; empty for a point on the skin."""
    bone: str = ""
    """SKEL bone that the point moves with; empty: the joint's bone, or the bone with the largest skinning weight."""
    offset_over_stature: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """From the joint in the T pose, rest axes (x the person's left, y up, z forward), divided by the stature."""
    vertices: tuple[int, ...] = ()
    """Skin vertices of the body that is fitted."""
    weights: tuple[float, ...] = ()
    """Row of a keypoint regressor: one weight per vertex, sum 1; empty: the mean of the vertices."""
    sigma_m: float = 0.02
    """Standard deviation of the detector's image position, in metres at the depth of the person."""

    def __post_init__(self) -> None:
        if bool(self.joint) == bool(self.vertices):
            raise InputError(f"keypoint {self.name!r} needs either a joint or skin vertices")
        if self.weights and (len(self.weights) != len(self.vertices) or abs(sum(self.weights) - 1) > _WEIGHT_ERROR):
            raise InputError(f"keypoint {self.name!r}: weights must be one per vertex with sum 1")
        if not self.sigma_m > 0:
            raise InputError(f"keypoint {self.name!r}: sigma_m must be positive, got {self.sigma_m}")


@dataclass(frozen=True, kw_only=True)
class KeypointSet:
    """The points of a detector, in the order of an observation's columns; hips and shoulders must be among them."""

    name: str
    points: tuple[KeypointPlace, ...]

    def __post_init__(self) -> None:
        _check_distinct(f"keypoint set {self.name!r}:", [point.name for point in self.points])

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False, kw_only=True)
class Observation:
    """Detections of one person, frame by frame; NaN where nothing was seen."""

    time_s: FloatArray
    """(T,) presentation time of each frame, strictly increasing."""
    camera: Camera
    keypoint_set: str | KeypointSet
    """Name of a shipped set, e.g. ``"blazepose33"``, or the estimator's own set."""
    keypoints_px: FloatArray
    """(T, K, 2) image positions; NaN in a frame without the person."""
    confidence: FloatArray
    """(T, K) in [0, 1]; 0 in a frame without the person."""
    keypoints_m: FloatArray | None = None
    """(T, K, 3) metric positions relative to the mid-hip, camera axes (x right, y down, z away), or None."""
    skel_poses_rad: FloatArray | None = None
    """(T, 46) SKEL pose per frame in the camera frame, if the estimator gives one."""
    skel_betas: FloatArray | None = None
    """(T, 10) betas per frame."""
    skel_trans_m: FloatArray | None = None
    """(T, 3) SKEL translation per frame in the camera frame."""
    skel_body: str | None = None
    """Name of the body that the SKEL values belong to, e.g. ``"skel_male@1.1.1"``."""
    camera_shift_px: FloatArray | None = None
    """(T,) RMS displacement of the image corners since the first frame by motion of the camera, or None."""
    scene_edges_px: FloatArray | None = None
    """(S, 2, 2) both ends of straight edges of the background, for gravity and focal length; or None."""
    source: str = ""
    """Estimator and file, for the report."""
    thumbnails: tuple[Thumbnail, ...] = ()
    """A few frames in which the person is seen, in order."""
    hidden_share: FloatArray | None = None
    """(T,) share of the body's landmarks that somebody in front hides, 1 where the person is lost behind somebody; or None."""
    others: FloatArray | None = None
    """(T,) number of other people seen in the picture, a lower bound; or None."""
    notes: tuple[str, ...] = ()
    """Sentences for people on the video: how time was taken, which frames were left out and where. No code uses them."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "time_s", increasing_time(self.time_s))
        frames = len(self.time_s)
        freeze(self, {"keypoints_px": (frames, None, 2)}, allow_nan=True)
        points = self.keypoints_px.shape[1]
        freeze(self, {"confidence": (frames, points)})
        shapes: dict[str, tuple[int | None, ...]] = {
            "keypoints_m": (frames, points, 3),
            "skel_poses_rad": (frames, 46),
            "skel_betas": (frames, 10),
            "skel_trans_m": (frames, 3),
            "camera_shift_px": (frames,),
            "hidden_share": (frames,),
            "others": (frames,),
            "scene_edges_px": (None, 2, 2),
        }
        freeze(self, shapes, allow_nan=True)

    def at(self, frames: slice | npt.NDArray[Any], *, since_s: float = 0.0) -> Observation:
        """Select frames.

        Args:
            frames: slice, indices or mask.
            since_s: subtracted from all times.

        Returns:
            The observation of these frames.
        """
        per_frame = (
            *("keypoints_px", "confidence", "keypoints_m"),
            *("skel_poses_rad", "skel_betas", "skel_trans_m", "camera_shift_px", "hidden_share", "others"),
        )
        picked: dict[str, Any] = {name: value[frames] for name in per_frame if (value := getattr(self, name)) is not None}
        thumbnails = tuple(replace(picture, time_s=picture.time_s - since_s) for picture in self.thumbnails)
        return replace(self, time_s=self.time_s[frames] - since_s, thumbnails=thumbnails, **picked)

    @property
    def lost_share(self) -> float:
        """Share of the frames in which the person is not seen, at the ends of the clip too."""
        return 1.0 - float(np.mean(self.seen))

    @property
    def seen(self) -> BoolArray:
        """(T,) whether the frame has landmarks or SKEL parameters of the person."""
        landmarks = np.any(self.confidence > 0, axis=1) & np.any(np.isfinite(self.keypoints_px[..., 0]), axis=1)
        if self.skel_poses_rad is None:
            return np.asarray(landmarks)
        return np.asarray(landmarks | np.isfinite(self.skel_poses_rad).all(axis=1))


@dataclass(frozen=True, eq=False, kw_only=True)
class GroundFit:
    """Position and orientation of a camera in the world, and how they were estimated."""

    camera_pitch_rad: float
    """Downward pitch."""
    camera_roll_rad: float
    """Roll, clockwise in the viewing direction."""
    pitch_source: str
    """``"given"``, or the evidence for the estimate."""
    roll_source: str
    camera_height_m: float
    """Height of the camera above the floor; without a floor, above the lowest point of the body."""
    standing_share: float
    """Share of the frames in which a foot stands still."""
    R_camera_world: FloatArray
    """(3, 3) world axes -> camera axes."""
    t_camera_world_m: FloatArray
    """(3,) origin of the world in camera axes."""
    treadmill: bool
    """Whether standing feet were free to move along the floor."""
    floor: bool = True
    """Whether a foot stands on one. Nobody knows the floor under somebody who hangs, climbs or lies: height 0 is then that of
    the lowest point of the body."""

    def __post_init__(self) -> None:
        freeze(self, {"R_camera_world": (3, 3), "t_camera_world_m": (3,)})


@dataclass(frozen=True, eq=False, kw_only=True)
class SkelMotion:
    """One person's motion as SKEL parameters (Keller et al. 2023), one shape for all frames."""

    time_s: FloatArray
    """(T,) seconds, strictly increasing."""
    poses_rad: FloatArray
    """(T, 46) SKEL pose vector, in the order of ``skeleton.DOF_NAMES``."""
    trans_m: FloatArray
    """(T, 3) SKEL translation: the pelvis joint is at ``J_0(betas) + trans``."""
    betas: FloatArray
    """(10,) shape of ``body``."""
    body: str
    """Name of the body that the betas belong to: ``open-neutral@<hash>``, ``skel_male@1.1.1`` ..."""
    frame: Frame
    """Axes of the posed body: camera (x right, y down, z forward), skel (y up, rest pose faces +z) or world (OpenSim ground:
    x forward, y up, z right)."""
    source: str = ""
    poses_sd_rad: FloatArray | None = None
    """(T, 46) standard deviation of each angle from the posterior of the fit, or None."""
    camera: Camera | None = None
    contacts: FloatArray | None = None
    """(T, 4) probability that right heel, right toes, left heel, left toes are at rest on the floor, or None."""
    ground: GroundFit | None = None
    """Camera of a motion that was transformed from camera axes to the world."""
    notes: Mapping[str, Any] = field(default_factory=dict)
    """Assumptions and intermediate figures for people (JSON values). No code uses them."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "time_s", increasing_time(self.time_s))
        frames = len(self.time_s)
        shapes = {"poses_rad": (frames, 46), "trans_m": (frames, 3), "betas": (10,)}
        freeze(self, {**shapes, "poses_sd_rad": (frames, 46), "contacts": (frames, 4)})
        check_choice("frame", self.frame, FRAMES)

    def to_frame(self, *, sd: bool = False) -> pd.DataFrame:
        """Export the parameters as a table.

        Args:
            sd: whether to add the standard deviations of the angles, if the motion has them.

        Returns:
            T rows, index ``time_s``; 46 columns ``<angle>_rad``, then ``trans_x_m``, ``trans_y_m``, ``trans_z_m`` in the axes
            of ``frame``, then with ``sd`` 46 columns ``<angle>_sd_rad``.
        """
        names = [*(f"{name}_rad" for name in DOF_NAMES), *(f"trans_{axis}_m" for axis in "xyz")]
        values = [self.poses_rad, self.trans_m]
        if sd and self.poses_sd_rad is not None:
            names += [f"{name}_sd_rad" for name in DOF_NAMES]
            values.append(self.poses_sd_rad)
        return _table(self.time_s, names, np.concatenate(values, axis=1))

    @property
    def q(self) -> FloatArray:
        """(T, 49) angles, then translation: the coordinates of the body's kinematic tree."""
        return np.concatenate([self.poses_rad, self.trans_m], axis=1)


@dataclass(frozen=True, eq=False, kw_only=True)
class _CoordinateColumns:
    """A value of each coordinate of a model over time."""

    time_s: FloatArray
    """(T,) seconds, strictly increasing."""
    coordinates: tuple[str, ...]
    """N coordinate names."""
    values_si: FloatArray
    """(T, N): of a motion rad where the coordinate is an angle, else m; of forces N m, else N."""
    rotational: BoolArray
    """(N,) True where the coordinate is an angle."""
    what: ClassVar[str]
    """The values in words, for messages."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "time_s", increasing_time(self.time_s))
        object.__setattr__(self, "coordinates", tuple(self.coordinates))
        count = len(self.coordinates)
        freeze(self, {"values_si": (len(self.time_s), count)})
        rotational = np.array(self.rotational, dtype=np.bool_)
        if rotational.shape != (count,):
            raise ShapeError(f"rotational must have shape ({count},), got {rotational.shape}")
        rotational.flags.writeable = False
        object.__setattr__(self, "rotational", rotational)

    def column(self, name: str) -> FloatArray:
        """(T,) values of one coordinate.

        Raises:
            UnknownCoordinateError: there is no coordinate of that name.
        """
        if name not in self.coordinates:
            raise UnknownCoordinateError(name, self.coordinates, self.what)
        return np.asarray(self.values_si[:, self.coordinates.index(name)])


@dataclass(frozen=True, eq=False, kw_only=True)
class OsimMotion(_CoordinateColumns):
    """Coordinate values of an OpenSim model over time."""

    what = "motion"
    residual_m: FloatArray | None = None
    """(T, J) residual distance of the map to this model per joint centre, or None."""
    residual_rad: FloatArray | None = None
    """(T, J) residual angle of the map per bone orientation, or None."""
    bodies: tuple[str, ...] = ()
    """J body names of the residuals."""
    sd_si: FloatArray | None = None
    """(T, N) standard deviation of each value from the fit, or None."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_distinct("coordinate", self.coordinates)
        residual = (len(self.time_s), len(self.bodies))
        freeze(self, {"residual_m": residual, "residual_rad": residual, "sd_si": self.values_si.shape})

    def to_frame(self, *, sd: bool = False) -> pd.DataFrame:
        """Export the coordinates as a table.

        Args:
            sd: whether to add the standard deviations, if the motion has them.

        Returns:
            T rows, index ``time_s``; N columns ``<coordinate>_rad`` or ``<coordinate>_m``, then with ``sd`` N columns
            ``<coordinate>_sd_rad`` or ``<coordinate>_sd_m``.
        """
        units = ["rad" if angle else "m" for angle in self.rotational]
        names = [f"{name}_{unit}" for name, unit in zip(self.coordinates, units, strict=True)]
        values = [self.values_si]
        if sd and self.sd_si is not None:
            names += [f"{name}_sd_{unit}" for name, unit in zip(self.coordinates, units, strict=True)]
            values.append(self.sd_si)
        return _table(self.time_s, names, np.concatenate(values, axis=1))


@dataclass(frozen=True, eq=False, kw_only=True)
class Markers:
    """Marker positions over time; NaN means not seen."""

    time_s: FloatArray
    names: tuple[str, ...]
    positions_m: FloatArray
    """(T, M, 3) in ground axes."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "time_s", increasing_time(self.time_s))
        object.__setattr__(self, "names", tuple(self.names))
        freeze(self, {"positions_m": (len(self.time_s), len(self.names), 3)}, allow_nan=True)
        _check_distinct("marker", self.names)

    def to_frame(self) -> pd.DataFrame:
        """Export the positions as a table.

        Returns:
            T rows, index ``time_s``; 3 M columns ``<marker>_x_m``, ``<marker>_y_m``, ``<marker>_z_m``, NaN where not seen.
        """
        names = [f"{name}_{axis}_m" for name in self.names for axis in "xyz"]
        return _table(self.time_s, names, self.positions_m.reshape(len(self.time_s), -1))


@dataclass(frozen=True, eq=False, kw_only=True)
class GeneralizedForces(_CoordinateColumns):
    """Generalized forces over time: N m for rotational coordinates, N for translational ones."""

    what = "generalized forces"

    def to_frame(self) -> pd.DataFrame:
        """Export the forces as a table.

        Returns:
            T rows, index ``time_s``; N columns ``<coordinate>_moment_nm`` (N m) or ``<coordinate>_force_n`` (N).
        """
        kinds = ["moment_nm" if angle else "force_n" for angle in self.rotational]
        names = [f"{name}_{kind}" for name, kind in zip(self.coordinates, kinds, strict=True)]
        return _table(self.time_s, names, self.values_si)


@dataclass(frozen=True, eq=False, kw_only=True)
class Subject:
    """One person's OpenSim model and the figures of its scaling."""

    name: str
    body: str
    """Name of the body that the betas belong to."""
    betas: FloatArray
    """(10,)."""
    sex: Sex
    mass_kg: float
    stature_m: float
    mass_source: str
    """``"--mass-kg"`` or ``"skin volume x density"``."""
    scale_factors: Mapping[str, tuple[float, float, float]]
    """OpenSim body -> scale factors along its x, y, z axes, relative to the generic model."""
    osim_xml: bytes
    """The whole ``.osim`` file."""
    model: ModelKind = "bsm"

    def __post_init__(self) -> None:
        freeze(self, {"betas": (10,)})
        if not (self.mass_kg > 0 and self.stature_m > 0):
            raise InputError(f"mass and stature must be positive, got {self.mass_kg} kg, {self.stature_m} m")


def _table(time_s: FloatArray, names: list[str], values: FloatArray) -> pd.DataFrame:
    """Copy values (T, C) to a table with a column per name and the index ``time_s``."""
    import pandas as pd

    return pd.DataFrame(np.array(values), columns=names, index=pd.Index(np.array(time_s), name="time_s"))

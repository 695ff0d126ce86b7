"""The data that travel between the stations: frozen, checked once when built, SI units and radians.

Shapes use fixed letters: T frames, N coordinates, M markers, K keypoints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from .errors import InputError, ShapeError
from .skeleton import DOF_NAMES

if TYPE_CHECKING:
    import pandas as pd

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Frame = Literal["camera", "skel", "world"]
Sex = Literal["neutral", "female", "male"]
ModelKind = Literal["bsm", "twin"]
"""``bsm``: the scaled BSM model; ``twin``: the model whose coordinates are SKEL's angles."""
JointShapes = Literal["bsm", "skel"]
"""Knees of the BSM model. ``bsm``: rolling, with internal rotation in flexion; ``skel``: hinges, which follow SKEL exactly."""
FRAMES: tuple[Frame, ...] = ("camera", "skel", "world")


class Progress(Protocol):
    """Called by long functions; only the command line draws."""

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Report that ``done`` of ``total`` units (None: unknown) of ``stage`` are finished."""


def quiet(stage: str, done: int, total: int | None) -> None:
    """Report progress to nobody: the default."""


def readonly(name: str, value: Any, shape: tuple[int | None, ...], *, allow_nan: bool = False) -> FloatArray:
    """Copy ``value`` to a read-only float64 array of the wanted shape.

    Args:
        name: of the field, for the message.
        value: anything array-like of real numbers.
        shape: wanted sizes; None fits any size.
        allow_nan: whether NaN is a legal value (it means "not seen"); infinities never are.

    Raises:
        ShapeError: wrong shape, not numbers, or not finite.
    """
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ShapeError(f"{name} must be an array of numbers: {error}") from None
    fits = array.ndim == len(shape) and all(w is None or w == n for w, n in zip(shape, array.shape, strict=True))
    if not fits:
        wanted = ", ".join("any" if n is None else str(n) for n in shape)
        raise ShapeError(f"{name} must have shape ({wanted}), got {array.shape}")
    bad = np.isinf(array) if allow_nan else ~np.isfinite(array)
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ShapeError(f"{name} must be finite, but {int(bad.sum())} of {array.size} values are not (first at index {first})")
    array.flags.writeable = False
    return array


def freeze(instance: object, shapes: Mapping[str, tuple[int | None, ...]], *, allow_nan: bool = False) -> None:
    """Replace fields of a frozen dataclass by read-only float64 copies; a field that is None stays None.

    Args:
        instance: that has the fields.
        shapes: field -> expected sizes; None fits any size.
        allow_nan: as for :func:`readonly`.

    Raises:
        ShapeError: wrong shape, not numbers, or not finite.
    """
    for name, shape in shapes.items():
        value = getattr(instance, name)
        if value is not None:
            _set(instance, name, readonly(name, value, shape, allow_nan=allow_nan))


def increasing_time(time_s: Any) -> FloatArray:
    """Check a time column: (T,) seconds, at least one row, strictly increasing.

    Raises:
        ShapeError: not a finite column, or empty.
        InputError: a frame is not later than the one before.
    """
    array = readonly("time_s", time_s, (None,))
    if len(array) == 0:
        raise ShapeError("time_s is empty: at least one frame is needed")
    steps = np.diff(array)
    if np.any(steps <= 0):
        frame = int(np.argmax(steps <= 0)) + 1
        raise InputError(
            f"time_s must increase, but frame {frame} ({array[frame]:g} s) is not later than "
            f"frame {frame - 1} ({array[frame - 1]:g} s). Sort the frames and drop repeated ones"
        )
    return array


def _set(instance: object, name: str, value: object) -> None:
    object.__setattr__(instance, name, value)


@dataclass(frozen=True, eq=False, kw_only=True)
class Camera:
    """A pinhole camera without distortion; pixels are counted from the image's top left corner."""

    image_size_px: tuple[int, int]
    """(width, height)."""
    focal_px: float
    """Focal length, the same for both axes."""
    center_px: tuple[float, float]
    """Principal point (x, y)."""
    source: str
    """Where the numbers come from: ``"guess"``, ``"--fov-deg"``, ``"calibration file NAME"``, ``"hsmr"`` ..."""

    def __post_init__(self) -> None:
        width, height = self.image_size_px
        if width <= 0 or height <= 0 or not np.isfinite(self.focal_px) or self.focal_px <= 0:
            raise InputError(
                f"a camera needs a positive image size and focal length, got {self.image_size_px}, {self.focal_px}"
            )


@dataclass(frozen=True, eq=False, kw_only=True)
class Thumbnail:
    """A small picture of what was filmed, for the report."""

    time_s: float
    """Presentation time of its frame."""
    jpeg: bytes
    scale: tuple[float, float]
    """Original pixels per pixel along x and y."""


@dataclass(frozen=True, kw_only=True)
class KeypointPlace:
    """Where one point of a detector lies on the body: at a joint, or at a weighted mean of skin vertices."""

    name: str
    """The detector's own name."""
    joint: str = ""
    """SKEL joint (``skeleton.JOINT_NAMES``) that the point starts from; empty for a point on the skin."""
    bone: str = ""
    """SKEL bone that the point moves with; empty: that of the joint, or the one that carries most of the vertices."""
    offset_over_stature: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """From the joint in the T pose, rest axes (x the person's left, y up, z forward), divided by the stature."""
    vertices: tuple[int, ...] = ()
    """Skin vertices of the body that is fitted."""
    weights: tuple[float, ...] = ()
    """Row of a keypoint regressor: one weight a vertex, sum 1; empty: the vertices' mean."""
    sigma_m: float = 0.02
    """Standard deviation of the detector's image position, in metres at the depth of the person."""

    def __post_init__(self) -> None:
        if bool(self.joint) == bool(self.vertices):
            raise InputError(f"keypoint {self.name!r} needs either a joint or skin vertices")
        if self.weights and (len(self.weights) != len(self.vertices) or abs(sum(self.weights) - 1) > 1e-3):
            raise InputError(f"keypoint {self.name!r}: weights must be one per vertex with sum 1")
        if not self.sigma_m > 0:
            raise InputError(f"keypoint {self.name!r}: sigma_m must be positive, got {self.sigma_m}")


@dataclass(frozen=True, kw_only=True)
class KeypointSet:
    """The points of a detector, in the order of an observation's columns; hips and shoulders must be among them."""

    name: str
    points: tuple[KeypointPlace, ...]

    def __post_init__(self) -> None:
        names = [point.name for point in self.points]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise InputError(f"keypoint set {self.name!r}: names must differ; twice: {', '.join(twice)}")

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False, kw_only=True)
class Observation:
    """What an estimator saw of one person, frame by frame; NaN where it saw nothing."""

    time_s: FloatArray
    """(T,) presentation time of each frame, strictly increasing."""
    camera: Camera
    keypoint_set: str | KeypointSet
    """What the points are: name of a shipped set, e.g. ``"blazepose33"``, or the estimator's own set."""
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
    """(T,) how far the picture's corners have moved (RMS) against the first frame because the camera moved, or None."""
    scene_edges_px: FloatArray | None = None
    """(S, 2, 2) both ends of straight edges of the background: they show gravity and the focal length; or None."""
    source: str = ""
    """Estimator and file, for the report."""
    thumbnails: tuple[Thumbnail, ...] = ()
    """A few pictures in which the person is seen, in order."""

    def __post_init__(self) -> None:
        _set(self, "time_s", increasing_time(self.time_s))
        frames = len(self.time_s)
        _set(self, "keypoints_px", readonly("keypoints_px", self.keypoints_px, (frames, None, 2), allow_nan=True))
        points = self.keypoints_px.shape[1]
        _set(self, "confidence", readonly("confidence", self.confidence, (frames, points)))
        optional: dict[str, tuple[int | None, ...]] = {
            "keypoints_m": (frames, points, 3),
            "skel_poses_rad": (frames, 46),
            "skel_betas": (frames, 10),
            "skel_trans_m": (frames, 3),
            "camera_shift_px": (frames,),
            "scene_edges_px": (None, 2, 2),
        }
        for name, shape in optional.items():
            value = getattr(self, name)
            if value is not None:
                _set(self, name, readonly(name, value, shape, allow_nan=True))

    def at(self, frames: Any, *, since_s: float = 0.0) -> Observation:
        """The observation of some frames: an index array, a mask or a slice; ``since_s`` is taken off their times."""
        per_frame = (
            *("keypoints_px", "confidence", "keypoints_m"),
            *("skel_poses_rad", "skel_betas", "skel_trans_m", "camera_shift_px"),
        )
        picked: dict[str, Any] = {name: value[frames] for name in per_frame if (value := getattr(self, name)) is not None}
        thumbnails = self.thumbnails if since_s == 0 else tuple(replace(g, time_s=g.time_s - since_s) for g in self.thumbnails)
        return replace(self, time_s=self.time_s[frames] - since_s, thumbnails=thumbnails, **picked)

    @property
    def seen(self) -> BoolArray:
        """(T,) whether the person was seen in the frame: by landmarks, or by a network that gives SKEL parameters."""
        landmarks = np.any(self.confidence > 0, axis=1) & np.any(np.isfinite(self.keypoints_px[..., 0]), axis=1)
        if self.skel_poses_rad is None:
            return np.asarray(landmarks)
        return np.asarray(landmarks | np.isfinite(self.skel_poses_rad).all(axis=1))


@dataclass(frozen=True, eq=False, kw_only=True)
class GroundFit:
    """Where a camera stood in the world, and how that was found out."""

    camera_pitch_rad: float
    """Downward pitch."""
    camera_roll_rad: float
    """Roll, clockwise as the camera looks."""
    pitch_source: str
    """``"given"``, or what it was estimated from."""
    roll_source: str
    camera_height_m: float
    """Height of the camera above the floor."""
    standing_share: float
    """Share of the frames in which a foot stands."""
    R_camera_world: FloatArray
    """(3, 3) world axes -> camera axes."""
    t_camera_world_m: FloatArray
    """(3,) origin of the world in camera axes."""
    treadmill: bool
    """Whether standing feet were free to move along the floor."""

    def __post_init__(self) -> None:
        _set(self, "R_camera_world", readonly("R_camera_world", self.R_camera_world, (3, 3)))
        _set(self, "t_camera_world_m", readonly("t_camera_world_m", self.t_camera_world_m, (3,)))


@dataclass(frozen=True, eq=False, kw_only=True)
class SkelMotion:
    """One person's motion as SKEL parameters (Keller et al. 2023), one shape for all frames."""

    time_s: FloatArray
    """(T,) seconds, strictly increasing."""
    poses_rad: FloatArray
    """(T, 46) SKEL pose vector, in the order of ``skeleton.DOF_NAMES``."""
    trans_m: FloatArray
    """(T, 3) SKEL translation: the posed pelvis joint is at ``J_0(betas) + trans``."""
    betas: FloatArray
    """(10,) shape of ``body``."""
    body: str
    """Name of the body that the betas belong to: ``open-neutral@<hash>``, ``skel_male@1.1.1`` ..."""
    frame: Frame
    """Axes in which the parameters place the body: camera (x right, y down, z forward), skel (y up, rest pose
    faces +z) or world (OpenSim ground: x forward, y up, z right)."""
    source: str = ""
    poses_sd_rad: FloatArray | None = None
    """(T, 46) standard deviation of each angle from the posterior of the fit, or None."""
    camera: Camera | None = None
    contacts: FloatArray | None = None
    """(T, 4) probability that right heel, right toes, left heel, left toes stand still on the floor, or None."""
    ground: GroundFit | None = None
    """Of a motion in the world that came from a camera: where the camera stood."""
    notes: Mapping[str, Any] = field(default_factory=dict)
    """For people: what was assumed or measured on the way (JSON values). No value in it decides or changes a result."""

    def __post_init__(self) -> None:
        _set(self, "time_s", increasing_time(self.time_s))
        frames = len(self.time_s)
        _set(self, "poses_rad", readonly("poses_rad", self.poses_rad, (frames, 46)))
        _set(self, "trans_m", readonly("trans_m", self.trans_m, (frames, 3)))
        _set(self, "betas", readonly("betas", self.betas, (10,)))
        if self.poses_sd_rad is not None:
            _set(self, "poses_sd_rad", readonly("poses_sd_rad", self.poses_sd_rad, (frames, 46)))
        if self.contacts is not None:
            _set(self, "contacts", readonly("contacts", self.contacts, (frames, 4)))
        if self.frame not in FRAMES:
            raise InputError(f"frame must be one of {', '.join(FRAMES)}, got {self.frame!r}")

    def to_frame(self, *, sd: bool = False) -> pd.DataFrame:
        """Give the parameters as a table.

        Args:
            sd: also the standard deviations of the angles, if the motion has them.

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
        """(T, 49) angles and translation side by side: the coordinates of the body's kinematic tree."""
        return np.concatenate([self.poses_rad, self.trans_m], axis=1)


@dataclass(frozen=True, eq=False, kw_only=True)
class OsimMotion:
    """Coordinate values of an OpenSim model over time."""

    time_s: FloatArray
    """(T,) seconds, strictly increasing."""
    coordinates: tuple[str, ...]
    """N coordinate names."""
    values_si: FloatArray
    """(T, N) radians or metres."""
    rotational: BoolArray
    """(N,) True where the value is an angle."""
    residual_m: FloatArray | None = None
    """(T, J) distance that the map to this model left over per joint centre, or None."""
    residual_rad: FloatArray | None = None
    """(T, J) angle that the map left over per bone orientation, or None."""
    bodies: tuple[str, ...] = ()
    """J body names of the residuals."""
    sd_si: FloatArray | None = None
    """(T, N) standard deviation of each value, if the fit gave one."""

    def __post_init__(self) -> None:
        _set(self, "time_s", increasing_time(self.time_s))
        _set(self, "coordinates", tuple(self.coordinates))
        frames, count = len(self.time_s), len(self.coordinates)
        if len(set(self.coordinates)) != count:
            twice = sorted({name for name in self.coordinates if self.coordinates.count(name) > 1})
            raise InputError(f"coordinate names must differ; twice: {', '.join(twice)}")
        _set(self, "values_si", readonly("values_si", self.values_si, (frames, count)))
        rotational = np.array(self.rotational, dtype=np.bool_)
        if rotational.shape != (count,):
            raise ShapeError(f"rotational must have shape ({count},), got {rotational.shape}")
        rotational.flags.writeable = False
        _set(self, "rotational", rotational)
        for name in ("residual_m", "residual_rad"):
            if getattr(self, name) is not None:
                _set(self, name, readonly(name, getattr(self, name), (frames, len(self.bodies))))
        if self.sd_si is not None:
            _set(self, "sd_si", readonly("sd_si", self.sd_si, (frames, count)))

    def column(self, name: str) -> FloatArray:
        """(T,) values of one coordinate; UnknownCoordinateError if there is none of that name."""
        from .errors import UnknownCoordinateError

        if name not in self.coordinates:
            raise UnknownCoordinateError(name, self.coordinates, "motion")
        return np.asarray(self.values_si[:, self.coordinates.index(name)])

    def to_frame(self, *, sd: bool = False) -> pd.DataFrame:
        """Give the coordinates as a table.

        Args:
            sd: also the standard deviations, if the motion has them.

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
        _set(self, "time_s", increasing_time(self.time_s))
        _set(self, "names", tuple(self.names))
        shape = (len(self.time_s), len(self.names), 3)
        _set(self, "positions_m", readonly("positions_m", self.positions_m, shape, allow_nan=True))
        if len(set(self.names)) != len(self.names):
            twice = sorted({name for name in self.names if self.names.count(name) > 1})
            raise InputError(f"marker names must differ; twice: {', '.join(twice)}")

    def to_frame(self) -> pd.DataFrame:
        """Give the positions as a table.

        Returns:
            T rows, index ``time_s``; 3 M columns ``<marker>_x_m``, ``<marker>_y_m``, ``<marker>_z_m``, NaN where not seen.
        """
        names = [f"{name}_{axis}_m" for name in self.names for axis in "xyz"]
        return _table(self.time_s, names, self.positions_m.reshape(len(self.time_s), -1))


@dataclass(frozen=True, eq=False, kw_only=True)
class GeneralizedForces:
    """Generalized forces over time: N m for rotational coordinates, N for translational ones."""

    time_s: FloatArray
    coordinates: tuple[str, ...]
    values_si: FloatArray
    """(T, N)."""
    rotational: BoolArray
    """(N,) True where the value is a moment."""

    def __post_init__(self) -> None:
        _set(self, "time_s", increasing_time(self.time_s))
        _set(self, "coordinates", tuple(self.coordinates))
        _set(self, "values_si", readonly("values_si", self.values_si, (len(self.time_s), len(self.coordinates))))
        _set(self, "rotational", np.array(self.rotational, dtype=np.bool_))
        if self.rotational.shape != (len(self.coordinates),):
            raise ShapeError(f"rotational must have shape ({len(self.coordinates)},), got {self.rotational.shape}")

    def to_frame(self) -> pd.DataFrame:
        """Give the forces as a table.

        Returns:
            T rows, index ``time_s``; N columns ``<coordinate>_moment_nm`` (N m) or ``<coordinate>_force_n`` (N).
        """
        kinds = ["moment_nm" if angle else "force_n" for angle in self.rotational]
        names = [f"{name}_{kind}" for name, kind in zip(self.coordinates, kinds, strict=True)]
        return _table(self.time_s, names, self.values_si)


@dataclass(frozen=True, eq=False, kw_only=True)
class Subject:
    """One person's OpenSim model and the figures it was scaled with."""

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
        _set(self, "betas", readonly("betas", self.betas, (10,)))
        if not (self.mass_kg > 0 and self.stature_m > 0):
            raise InputError(f"mass and stature must be positive, got {self.mass_kg} kg, {self.stature_m} m")


def _table(time_s: FloatArray, names: list[str], values: FloatArray) -> pd.DataFrame:
    """Copy (T, C) values to a table with a column per name and the index ``time_s``."""
    import pandas as pd

    return pd.DataFrame(np.array(values), columns=names, index=pd.Index(np.array(time_s), name="time_s"))

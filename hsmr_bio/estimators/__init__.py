"""Estimators, from a video to one observation per person: the protocol, and the registry of ours and of plugins."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from math import isfinite
from os import PathLike
from pathlib import Path
from typing import Protocol

from hsmr_bio.converters.keypoint_layouts import KEYPOINT_SETS
from hsmr_bio.errors import InputError, MissingDependencyError
from hsmr_bio.io.cameras import FOV_RANGE_DEG
from hsmr_bio.option_checks import check_choice, check_device, check_image_size, check_number, options_or_default
from hsmr_bio.types import Observation, Progress, quiet

GROUP = "hsmr_bio.estimators"
"""Entry point group of plugins."""
DTYPES = ("float32", "bfloat16")
LANDMARK_NETWORKS = ("full", "heavy")
"""Heavy places the landmarks better, full takes a quarter of its time."""
_OURS = {
    "blazepose": "hsmr_bio.estimators.blazepose:BlazePose",
    "hsmr": "hsmr_bio.estimators.hsmr:HsmrEstimator",
    "keypoints": "hsmr_bio.estimators.keypoints:Keypoints",
    "replay": "hsmr_bio.estimators.replay:Replay",
}


@dataclass(frozen=True, kw_only=True)
class EstimateOptions:
    """Options of every estimator."""

    start_s: float = 0.0
    """First time to read, after the first frame of the file, as it plays."""
    end_s: float | None = None
    """Last time to read, after the first frame of the file, as it plays; None: the end."""
    fps_hz: float | None = None
    """Frame rate of the camera: of a folder of images, or of a video in slow motion."""
    slow_motion: float | None = None
    """Time that a video takes to play over the time that was filmed; None: as the file says, else 1."""
    source_clock: bool = False
    """Keep the file's own time stamps instead of starting at 0."""
    fov_deg: float | None = None
    """Angle of view along the longer side of the picture."""
    focal_px: float | None = None
    calibration: Path | None = None
    """File of the camera's intrinsics: JSON, Pose2Sim TOML, OpenCV YAML or XML."""
    person_box: tuple[float, float, float, float] | None = None
    """(x0, y0, x1, y1) px around the wanted person in the first frame that is read."""
    max_people: int = 4
    """Most people at a time in ``estimate_people``."""
    checkpoint: Path | None = None
    """File of the weights that the user provides (``hsmr``)."""
    landmarks: str = "full"
    """Landmark network of ``blazepose``: one of ``LANDMARK_NETWORKS``."""
    device: str = "cpu"
    """Device of a network: ``cpu``, ``cuda`` ..."""
    dtype: str = "float32"
    """Precision of a network: ``float32`` or ``bfloat16``."""
    boxes: Path | None = None
    """CSV file with the person's box per frame, instead of the detector's."""
    keypoints: str | PathLike[str] | None = None
    """File or folder with another detector's keypoints of the video (``keypoints``)."""
    keypoint_set: str | None = None
    """Order of the points in it, one of ``converters.keypoint_layouts.KEYPOINT_SETS``; None: recognised."""
    rate_hz: float | None = None
    """Frame rate of keypoints without a video."""
    image_size_px: tuple[int, int] | None = None
    """(width, height) of the pictures of keypoints without a video."""

    def __post_init__(self) -> None:
        check_number("start_s (--start)", self.start_s, "s", low=0)
        check_number("end_s (--end)", self.end_s, "s", above=self.start_s)
        check_number("fps_hz (--fps)", self.fps_hz, "Hz", above=0)
        check_number("slow_motion (--slow-motion)", self.slow_motion, above=0)
        check_number("fov_deg (--fov-deg)", self.fov_deg, "degrees", low=FOV_RANGE_DEG[0], high=FOV_RANGE_DEG[1])
        check_number("focal_px (--focal-px)", self.focal_px, "px", above=0)
        check_number("max_people", self.max_people, low=1)
        check_number("rate_hz (--rate-hz)", self.rate_hz, "Hz", above=0)
        check_image_size(self.image_size_px)
        if self.keypoint_set is not None:
            check_choice("keypoint_set (--keypoint-set)", self.keypoint_set, KEYPOINT_SETS)
        if self.keypoints is not None and not isinstance(self.keypoints, (str, PathLike)):
            raise InputError(f"keypoints (--keypoints) must be the path of a file or folder, got {self.keypoints!r}")
        check_device(self.device)
        check_choice("landmarks (--landmarks)", self.landmarks, LANDMARK_NETWORKS)
        check_choice("dtype", self.dtype, DTYPES)
        box = self.person_box
        if box is not None and not (isfinite(sum(box)) and box[0] < box[2] and box[1] < box[3]):
            raise InputError(f"a person's box is x0 y0 x1 y1 in pixels with x0 < x1 and y0 < y1, got {box}")


DEFAULT_OPTIONS = EstimateOptions()


def estimate(
    source: str | PathLike[str],
    options: EstimateOptions | None = None,
    *,
    estimator: str | Estimator = "blazepose",
    progress: Progress = quiet,
) -> Observation:
    """Estimate the keypoints of the main person in every frame of a video.

    Args:
        source: a video, an image, a folder of images, or for the estimator ``replay`` a saved observation.
        options: part of the video, camera, person.
        estimator: one of :func:`estimator_names`, or an object with the methods of :class:`Estimator`.
        progress: called as frames are finished.

    Returns:
        The observation of the person; NaN where nothing is seen.

    Raises:
        InputError: a source or option cannot be used.
        EstimationError: no person is seen.
    """
    chosen = get_estimator(estimator) if isinstance(estimator, str) else estimator
    return chosen.estimate(source, options_or_default(EstimateOptions, options), progress=progress)


def estimate_people(
    source: str | PathLike[str],
    options: EstimateOptions | None = None,
    *,
    estimator: str | Estimator = "blazepose",
    progress: Progress = quiet,
) -> list[Observation]:
    """Estimate the keypoints of all people in every frame of a video.

    Args:
        source: as for :func:`estimate`.
        options: part of the video, camera, number of people.
        estimator: as for :func:`estimate`.
        progress: called with the number of frames done.

    Returns:
        One observation per person, the most prominent first, all on the same frames.

    Raises:
        InputError: a source or option that cannot be used.
        EstimationError: nobody is seen.
    """
    chosen = get_estimator(estimator) if isinstance(estimator, str) else estimator
    return list(chosen.estimate_people(source, options_or_default(EstimateOptions, options), progress=progress))


class Estimator(Protocol):
    """An estimator of keypoints of people in each frame of a video.

    Image points are enough; metric positions are optional. An estimator with its own set of keypoints describes it in
    ``Observation(keypoint_set=KeypointSet(...))``.
    """

    def estimate(
        self, source: str | PathLike[str], options: EstimateOptions = DEFAULT_OPTIONS, *, progress: Progress = quiet
    ) -> Observation:
        """Observe the main person.

        Args:
            source: video, image or folder of images.
            options: frames, camera and person to observe.
            progress: called as frames are finished.

        Returns:
            The person's observation.

        Raises:
            EstimationError: no person is found.
        """

    def estimate_people(
        self, source: str | PathLike[str], options: EstimateOptions = DEFAULT_OPTIONS, *, progress: Progress = quiet
    ) -> list[Observation]:
        """Observe every person.

        Args:
            source: video, image or folder of images.
            options: frames, camera and number of people to observe.
            progress: called as frames are finished.

        Returns:
            One observation per person, the most prominent first, all on the same frames.

        Raises:
            EstimationError: no person is found.
        """


def estimator_names() -> tuple[str, ...]:
    """Return the names for :func:`get_estimator`: ours and those of installed plugins."""
    return tuple(sorted({*_OURS, *(entry.name for entry in entry_points(group=GROUP))}))


def get_estimator(name: str) -> Estimator:
    """Create an estimator by name.

    Args:
        name: one of :func:`estimator_names`; plugins register a class under the entry point group ``hsmr_bio.estimators``.

    Returns:
        A new estimator.

    Raises:
        InputError: no estimator of that name.
        MissingDependencyError: a plugin does not load.
    """
    if name in _OURS:
        module, _, attribute = _OURS[name].partition(":")
        made: Estimator = getattr(import_module(module), attribute)()
        return made
    for entry in entry_points(group=GROUP):
        if entry.name == name:
            try:
                plugin: Estimator = entry.load()()
            except ImportError as error:
                raise MissingDependencyError(f"the estimator {name!r} ({entry.value}) does not load: {error}") from error
            return plugin
    raise InputError(f"there is no estimator {name!r}; known: {', '.join(estimator_names())}")

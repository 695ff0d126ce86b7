"""Camera intrinsics from a calibration file, a given angle or focal length, or a guess that is marked as one."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from hsmr_bio.errors import FormatError, InputError
from hsmr_bio.option_checks import check_number
from hsmr_bio.types import Camera, FloatArray

from .door import reader

GUESS = "guess"
"""Source of a camera whose focal length is not given."""
GUESS_SHARE = 0.8
"""Guessed focal length / longer side of the picture: the main camera of a phone (24-28 mm equivalent, cropped a little
by stabilisation) has 0.67 to 0.87 in the calibrated development clips."""
FOV_RANGE_DEG = (5.0, 175.0)
"""Angles of view outside are taken for a mistake: a 400 mm lens has 5 degrees, a pinhole cannot reach 180."""
_MATRIX_KEYS = ("K", "matrix", "camera_matrix", "cameraMatrix", "intrinsicMatrix", "mtx")
_SIZE_KEYS = ("image_size", "image_size_px", "size", "imageSize")
_FOCAL_SHARE_RANGE = (0.1, 100)
"""Focal length / longer side of the picture; outside it is taken for a mistake in the unit."""
_MAX_ASPECT_DIFFERENCE = 0.02
"""Relative difference of the aspect ratios of calibration and picture that rounding of the sizes explains."""


def camera_for(
    image_size_px: tuple[int, int],
    *,
    fov_deg: float | None = None,
    focal_px: float | None = None,
    calibration: str | PathLike[str] | None = None,
    video_name: str = "",
) -> Camera:
    """Give the intrinsics of the camera that took a picture.

    Args:
        image_size_px: (width, height) of the upright picture.
        fov_deg: angle of view along the longer side, in (0, 180).
        focal_px: focal length in pixels of this picture.
        calibration: file for :func:`read_camera`.
        video_name: chooses among several cameras of a calibration file.

    Returns:
        The camera; its ``source`` names the option, the file or ``GUESS``.

    Raises:
        InputError: more than one of the three is given, or a value is out of range.
        FormatError: the file has no usable camera.
    """
    given = [
        name for name, value in (("angle", fov_deg), ("focal length", focal_px), ("file", calibration)) if value is not None
    ]
    if len(given) > 1:
        raise InputError(f"the camera is given twice, by {' and by '.join(given)}: keep one of them")
    if calibration is not None:
        return read_camera(calibration, image_size_px, video_name)
    width, height = image_size_px
    if fov_deg is not None:
        check_number("the angle of view along the longer side", fov_deg, "degrees", low=FOV_RANGE_DEG[0], high=FOV_RANGE_DEG[1])
        focal, source = max(width, height) / 2 / np.tan(np.radians(fov_deg) / 2), "--fov-deg"
    elif focal_px is not None:
        if not _FOCAL_SHARE_RANGE[0] < focal_px / max(width, height) < _FOCAL_SHARE_RANGE[1]:
            raise InputError(f"a focal length of {focal_px:g} px does not fit a picture of {width} x {height} px")
        focal, source = focal_px, "--focal-px"
    else:
        focal, source = GUESS_SHARE * max(width, height), GUESS
    return Camera(image_size_px=image_size_px, focal_px=float(focal), center_px=(width / 2, height / 2), source=source)


def between_bars(camera: Camera, content_size_px: FloatArray) -> Camera:
    """Guess the focal length from the picture without its bars; a known focal length stays.

    Args:
        camera: of the whole picture.
        content_size_px: (2,) width and height without the bars.

    Returns:
        The camera of the whole picture.
    """
    if camera.source != GUESS:
        return camera
    return replace(camera, focal_px=GUESS_SHARE * float(max(content_size_px)))


@reader
def read_camera(path: str | PathLike[str], image_size_px: tuple[int, int], video_name: str = "") -> Camera:
    """Read intrinsics from a calibration file; lens distortion is not used.

    Formats: JSON with ``K`` at the top or per camera, Pose2Sim's TOML (one section per camera with ``matrix`` and
    ``size``), OpenCV's YAML or XML (``camera_matrix``). A calibration for another size of the same aspect is scaled.

    Args:
        path: the file.
        image_size_px: (width, height) of the upright pictures.
        video_name: file name of the video; chooses the camera of this name or file, if there are several.

    Returns:
        The camera for pictures of ``image_size_px``.

    Raises:
        InputError: the file does not exist.
        FormatError: no camera in it, several and none has the name, or another aspect of picture.
    """
    source = Path(path)
    if not source.is_file():
        raise InputError(f"{source}: no such calibration file")
    name, entry = _choose(source, _cameras_of(source, _load(source)), video_name)
    matrix = _matrix(source, name, entry)
    width, height = image_size_px
    size = _size(source, name, entry, image_size_px)
    ratio = np.array([width, height]) / size
    if abs(ratio[0] / ratio[1] - 1) > _MAX_ASPECT_DIFFERENCE:
        calibrated = f"{size[0]:g} x {size[1]:g}"
        raise FormatError(
            source, name, f"this camera was calibrated for pictures of {calibrated}, but these are {width} x {height}"
        )
    try:
        return Camera(
            image_size_px=image_size_px,
            focal_px=float((matrix[0, 0] * ratio[0] + matrix[1, 1] * ratio[1]) / 2),
            center_px=(float(matrix[0, 2] * ratio[0]), float(matrix[1, 2] * ratio[1])),
            source=f"calibration file {source.name}" + (f", camera {name}" if name else ""),
        )
    except InputError as error:
        raise FormatError(source, name, str(error)) from None


def _load(path: Path) -> Mapping[str, Any]:
    try:
        if path.suffix.lower() == ".json":
            loaded = json.loads(path.read_text(encoding="utf-8"))
        elif path.suffix.lower() == ".toml":
            loaded = tomllib.loads(path.read_text(encoding="utf-8"))
        elif path.suffix.lower() in (".yml", ".yaml", ".xml"):
            loaded = _load_opencv(path)
        else:
            raise FormatError(path, None, "a calibration file must be .json, .toml, .yml, .yaml or .xml")
    except (ValueError, UnicodeDecodeError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(path, None, f"this file cannot be read as {path.suffix[1:].upper()}: {error}") from None
    if not isinstance(loaded, dict):
        raise FormatError(path, None, "a calibration file must hold names and values at the top")
    return loaded


def _load_opencv(path: Path) -> dict[str, Any]:
    from .opencv_storage import read_opencv_storage

    found = read_opencv_storage(path)
    width, height = found.get("image_width"), found.get("image_height")
    if width is not None and height is not None:
        found["image_size"] = [width, height]
    return found


def _has_matrix(entry: object) -> bool:
    return isinstance(entry, dict) and any(key in entry for key in _MATRIX_KEYS)


def _cameras_of(path: Path, loaded: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    if _has_matrix(loaded):
        return {"": loaded}
    table = loaded.get("cameras", loaded)
    found = {str(name): entry for name, entry in table.items() if _has_matrix(entry)} if isinstance(table, dict) else {}
    if not found:
        raise FormatError(path, None, f"no camera matrix found (looked for {', '.join(_MATRIX_KEYS)})")
    return found


def _choose(path: Path, cameras: Mapping[str, Mapping[str, Any]], video_name: str) -> tuple[str, Mapping[str, Any]]:
    if len(cameras) == 1:
        return next(iter(cameras.items()))
    stem = Path(video_name).stem
    for name, entry in cameras.items():
        if stem and (name == stem or entry.get("name") == stem or Path(str(entry.get("file", ""))).stem == stem):
            return name, entry
    names = ", ".join(cameras)
    raise FormatError(path, None, f"there are {len(cameras)} cameras ({names}), none is called {stem!r} like the video")


def _size(path: Path, name: str, entry: Mapping[str, Any], otherwise: tuple[int, int]) -> FloatArray:
    """(2,) width and height of the pictures of the calibration."""
    given = next((entry[key] for key in _SIZE_KEYS if key in entry), otherwise)
    try:
        size = np.array(given, dtype=np.float64).reshape(2)
    except (TypeError, ValueError, OverflowError):
        size = np.zeros(2)
    if not (np.isfinite(size).all() and (size > 0).all()):
        raise FormatError(path, name, "the size of the pictures must be two positive numbers, width and height")
    return size


def _matrix(path: Path, name: str, entry: Mapping[str, Any]) -> FloatArray:
    raw = next(entry[key] for key in _MATRIX_KEYS if key in entry)
    try:
        matrix = np.array(raw, dtype=np.float64).reshape(3, 3)
    except (TypeError, ValueError, OverflowError):
        raise FormatError(path, name, "the camera matrix must have 3 x 3 numbers") from None
    if not (np.isfinite(matrix).all() and matrix[0, 0] > 0 and matrix[1, 1] > 0):
        raise FormatError(path, name, "the focal lengths in the camera matrix must be positive")
    return matrix

"""Video and camera of an estimator's source, as its options state them."""

from __future__ import annotations

from os import PathLike

from hsmr_bio.io.cameras import camera_for
from hsmr_bio.io.video import Video, open_video
from hsmr_bio.types import Camera

from . import EstimateOptions

MAX_SIDE_PX = 1920
"""Larger pictures are reduced: the networks see at most 256 x 256 pixels of a person."""


def open_source(source: str | PathLike[str], options: EstimateOptions, *, max_side_px: int | None = None) -> Video:
    """Open a video, an image or a folder of images.

    Args:
        source: path.
        options: start, end, frame rate, slow motion and clock.
        max_side_px: largest longer side of a frame; None: as in the file.

    Returns:
        The video.
    """
    return open_video(
        source,
        start_s=options.start_s,
        end_s=options.end_s,
        fps_hz=options.fps_hz,
        slow_motion=options.slow_motion,
        source_clock=options.source_clock,
        max_side_px=max_side_px,
    )


def source_camera(image_size_px: tuple[int, int], options: EstimateOptions, video_name: str = "") -> Camera:
    """Give the camera of a video.

    Args:
        image_size_px: (width, height) of the upright picture.
        options: angle of view, focal length or calibration file.
        video_name: chooses among several cameras of a calibration file.

    Returns:
        The camera; a guess if the options state none.
    """
    return camera_for(
        image_size_px,
        fov_deg=options.fov_deg,
        focal_px=options.focal_px,
        calibration=options.calibration,
        video_name=video_name,
    )

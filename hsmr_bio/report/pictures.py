"""Pictures of the video with the model's joints in them, for the report."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike

import numpy as np

from hsmr_bio.io.video import VideoFrame, open_video
from hsmr_bio.types import FloatArray, SkelMotion

from .inputs import ReportFrame

PICTURES = 6
PICTURE_SIDE_PX = 720
_EITHER_SIDE, _MOST_S = 0.4, 2.0
"""How far away a frame may be that is quick to decode: share of the time between two pictures, and seconds."""


def glimpses(
    video: str | PathLike[str],
    time_s: FloatArray,
    *,
    start_s: float = 0.0,
    end_s: float | None = None,
    fps_hz: float | None = None,
    source_clock: bool = False,
) -> list[VideoFrame]:
    """Decode a few frames, spread over a motion.

    Args:
        video: what the motion is estimated from.
        time_s: (T,) frames in which the person is seen.
        start_s: as for the estimate.
        end_s: as for the estimate.
        fps_hz: as for the estimate.
        source_clock: as for the estimate.

    Returns:
        At most ``PICTURES`` frames.
    """
    within_s = min(_EITHER_SIDE * float(time_s[-1] - time_s[0]) / (PICTURES + 1), _MOST_S)
    wanted = time_s[np.unique(np.linspace(0, len(time_s) - 1, PICTURES + 2)[1:-1].round().astype(int))]
    source = open_video(
        video, start_s=start_s, end_s=end_s, fps_hz=fps_hz, source_clock=source_clock, max_side_px=PICTURE_SIDE_PX
    )
    times = [float(time) for time in wanted]
    frames = source.at(times, within_s=within_s)
    least_s = float(np.median(np.diff(time_s))) if len(time_s) > 1 else np.inf
    if any(np.abs(time_s - frame.time_s).min() > least_s for frame in frames):  # a key frame lies in a gap
        frames = source.at(times)
    return frames


def pictures(
    frames: Sequence[VideoFrame], motion: SkelMotion, time_s: FloatArray, joints_m: FloatArray
) -> tuple[ReportFrame, ...]:
    """Project the model's joints into frames of the video.

    Args:
        frames: from :func:`glimpses`.
        motion: in the world frame, with its camera and the camera's pose in ``notes["ground"]``.
        time_s: (T,) of ``joints_m``.
        joints_m: (T, J, 3) the model's joint centres in ground.

    Returns:
        The frames with the joints in them; none if the camera's pose is not known.
    """
    ground = motion.notes.get("ground", {})
    if motion.camera is None or "R_camera_world" not in ground:
        return ()
    rotation, shift = np.array(ground["R_camera_world"]), np.array(ground["t_camera_world_m"])
    found = []
    for frame in frames:
        row = int(np.abs(time_s - frame.time_s).argmin())
        camera = joints_m[row] @ rotation.T + shift
        pixels = motion.camera.focal_px * camera[:, :2] / np.maximum(camera[:, 2:], 0.05) + motion.camera.center_px
        found.append(ReportFrame(time_s=frame.time_s, rgb=frame.rgb, joints_px=pixels / np.array(frame.scale)))
    return tuple(found)

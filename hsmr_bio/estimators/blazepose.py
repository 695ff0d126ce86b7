"""The default estimator: MediaPipe BlazePose (full), as it comes inside the wheel, with our own tracking.

Source of the networks: Bazarevsky et al. 2020, "BlazePose: On-device Real-time Body Pose tracking"; world landmarks:
Grishchenko et al. 2022, "BlazePose GHUM Holistic". Used as the package carries them; nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from os import PathLike
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hsmr_bio.errors import EstimationError
from hsmr_bio.io.camera_motion import CameraMotion
from hsmr_bio.io.cameras import between_bars, camera_for
from hsmr_bio.io.straight_lines import StraightLines
from hsmr_bio.io.thumbnails import Thumbnails
from hsmr_bio.io.video import Video, VideoFrame, open_video
from hsmr_bio.types import Camera, FloatArray, Observation, Progress, quiet

from . import DEFAULT_OPTIONS, EstimateOptions
from .label_swaps import SPIKE_CONFIDENCE, find_spikes, repair_limbs, settled_from
from .person_track import PersonTrack, reach_px
from .pose_graph import LANDMARKS, PoseGraph
from .quality import refuse_unusable
from .tracking import LEAST_SCORE, Tracker, prominence

KEYPOINT_SET = "blazepose33"
_MAX_SIDE_PX = 1920
"""Larger pictures are made smaller for the networks, which see 256 x 256 pixels of them anyway."""
_DETECTOR_SCORE = 0.3
_SHORTEST_S = 0.3
"""Shorter tracks are taken for false detections, unless the whole clip is that short."""
_SHORTEST_STRETCH_S = 0.1
_OUTSIDE_SHARE = 0.02
_OUTLINE_MARGIN = 0.08
"""Around a person's landmarks, as a share of their height in the picture."""
_BLACK = 10


@dataclass(frozen=True)
class _Seen:
    """What one pass over the video gave."""

    times_s: FloatArray
    tracks: list[PersonTrack]
    shift_px: FloatArray
    edges_px: FloatArray
    thumbnails: Thumbnails
    scale: tuple[float, float]
    camera: Camera
    path: Path
    best_score: float
    brightest: int


class BlazePose:
    """Finds 33 landmarks per person and frame, without smoothing and without changing from one person to another."""

    def estimate(
        self, source: str | PathLike[str], options: EstimateOptions = DEFAULT_OPTIONS, *, progress: Progress = quiet
    ) -> Observation:
        """Follow one person: the one in ``options.person_box``, else the largest, most central, longest seen.

        Args:
            source: video, image or folder of images.
            options: what to read and whom to follow.
            progress: called once per frame.

        Returns:
            Landmarks of every frame read; NaN and confidence 0 where this person is not seen.

        Raises:
            EstimationError: nobody is found, or only part of somebody, or somebody too small. (A moving camera is
                measured here and judged by :func:`hsmr_bio.estimators.quality.refuse_moving_camera`.)
            InputError: see :func:`hsmr_bio.io.video.open_video` and :func:`hsmr_bio.io.cameras.camera_for`.
        """
        seen = _watch(source, options, 1, progress)
        tracks = _real_tracks(seen)
        chosen = [track for track in tracks if track.chosen] if options.person_box else tracks
        if not chosen:
            raise EstimationError(_nobody(seen, options))
        observation = _observation(seen, chosen[0])
        refuse_unusable(observation)
        return observation

    def estimate_people(
        self, source: str | PathLike[str], options: EstimateOptions = DEFAULT_OPTIONS, *, progress: Progress = quiet
    ) -> list[Observation]:
        """Follow everybody, at most ``options.max_people`` at a time.

        Args and raises: as :meth:`estimate`; ``person_box`` is not used.

        Returns:
            One observation per person on the same frames, the most prominent first. Somebody who leaves for long and
            comes back counts as another person.
        """
        seen = _watch(source, options, options.max_people, progress)
        tracks = _real_tracks(seen)
        if not tracks:
            raise EstimationError(_nobody(seen, options))
        people, refusals = [], []
        for observation in (_observation(seen, track) for track in tracks):
            try:
                refuse_unusable(observation)
                people.append(observation)
            except EstimationError as refusal:
                refusals.append(refusal)
        if not people:
            raise refusals[0]
        return people


def _watch(source: str | PathLike[str], options: EstimateOptions, people: int, progress: Progress) -> _Seen:
    """The one pass over the video."""
    video = open_video(
        source,
        start_s=options.start_s,
        end_s=options.end_s,
        fps_hz=options.fps_hz,
        source_clock=options.source_clock,
        max_side_px=_MAX_SIDE_PX,
    )
    size = video.info.image_size_px
    camera = camera_for(
        size,
        fov_deg=options.fov_deg,
        focal_px=options.focal_px,
        calibration=options.calibration,
        video_name=video.info.path.name,
    )
    shrink = min(1.0, _MAX_SIDE_PX / max(size))
    box = options.person_box
    small_box = (box[0] * shrink, box[1] * shrink, box[2] * shrink, box[3] * shrink) if box and people == 1 else None
    motion, lines, thumbnails = CameraMotion(size), StraightLines(size), Thumbnails(video.info.duration_s)
    times, brightest, scale = [], 0, (1.0, 1.0)
    with PoseGraph(min_score=_DETECTOR_SCORE) as graph:
        tracker = Tracker(graph, people, small_box, video.info.kind == "image")
        for frame in _frames(video, progress):
            alive = tracker.update(frame.index, frame.time_s, frame.rgb)
            motion.update(frame.time_s, frame.rgb, [_surrounding(track) for track in alive])
            lines.update(frame.time_s, frame.rgb, [_outline(track) for track in alive])
            if alive:
                thumbnails.update(frame)
            times.append(frame.time_s)
            brightest = max(brightest, int(frame.rgb[::16, ::16].max()))
            scale = frame.scale
    times_s = np.array(times)
    return _Seen(
        times_s=times_s,
        tracks=tracker.tracks,
        shift_px=motion.shift_px(times_s),
        edges_px=lines.segments_px,
        thumbnails=thumbnails,
        scale=scale,
        camera=between_bars(camera, lines.content_size_px),
        path=video.info.path,
        best_score=tracker.best_score,
        brightest=brightest,
    )


def _frames(video: Video, progress: Progress) -> Iterator[VideoFrame]:
    for frame in video:
        yield frame
        progress("estimate", frame.index + 1, video.info.frame_count)


def _surrounding(track: PersonTrack) -> tuple[float, float, float, float]:
    (x, y), half = track.last.region.center_px, track.last.region.side_px / 2
    return float(x - half), float(y - half), float(x + half), float(y + half)


def _outline(track: PersonTrack) -> tuple[float, float, float, float]:
    """The box around the landmarks, with a margin for clothes and shadow."""
    px = track.last.px
    margin = _OUTLINE_MARGIN * float(np.ptp(px[:, 1]))
    (x0, y0), (x1, y1) = px.min(axis=0) - margin, px.max(axis=0) + margin
    return float(x0), float(y0), float(x1), float(y1)


def _real_tracks(seen: _Seen) -> list[PersonTrack]:
    """Tracks that are long enough, the most prominent first."""
    span = float(seen.times_s[-1] - seen.times_s[0])
    size = np.array(seen.camera.image_size_px) / seen.scale

    def weight(track: PersonTrack) -> float:
        return sum(prominence(landmarks, (size[1], size[0])) for landmarks in track.landmarks)

    step = span / max(len(seen.times_s) - 1, 1)
    long_enough = [track for track in seen.tracks if len(track.frames) * step >= min(_SHORTEST_S, 0.5 * span)]
    return sorted(long_enough, key=lambda track: -weight(track))


def _observation(seen: _Seen, track: PersonTrack) -> Observation:
    frames = len(seen.times_s)
    px = np.full((frames, LANDMARKS, 2), np.nan)
    world = np.full((frames, LANDMARKS, 3), np.nan)
    confidence = np.zeros((frames, LANDMARKS))
    index = np.array(track.frames)
    track_px = np.array([landmarks.px for landmarks in track.landmarks])
    track_world = np.array([landmarks.world_m for landmarks in track.landmarks])
    visibility = np.array([landmarks.visibility for landmarks in track.landmarks])
    size = np.array([reach_px(landmarks.region) for landmarks in track.landmarks])
    for start, end in _stretches(index, seen.times_s):
        part = slice(start + settled_from(seen.times_s[index[start:end]], track_px[start:end], size[start:end]), end)
        repair_limbs(seen.times_s[index[part]], track_px[part], track_world[part], visibility[part], size[part])
        px[index[part]] = track_px[part] * seen.scale
        world[index[part]] = track_world[part]
        spikes = find_spikes(seen.times_s[index[part]], track_px[part], size[part])
        confidence[index[part]] = np.clip(visibility[part], 0.0, 1.0) * np.where(spikes, SPIKE_CONFIDENCE, 1.0)
    image = np.array(seen.camera.image_size_px)
    margin = _OUTSIDE_SHARE * image
    with np.errstate(invalid="ignore"):
        outside = np.any((px < -margin) | (px > image + margin), axis=-1)
    confidence[outside] = 0.0
    return Observation(
        time_s=seen.times_s,
        camera=seen.camera,
        keypoint_set=KEYPOINT_SET,
        keypoints_px=px,
        confidence=confidence,
        keypoints_m=world,
        camera_shift_px=seen.shift_px,
        scene_edges_px=seen.edges_px,
        source=f"blazepose (MediaPipe, full model) on {seen.path.name}",
        thumbnails=seen.thumbnails.of(seen.times_s[index]),
    )


def _stretches(index: npt.NDArray[np.int_], times_s: FloatArray) -> list[tuple[int, int]]:
    """Unbroken stretches of a track, without those too short to be trusted."""
    cuts = [0, *(np.flatnonzero(np.diff(index) > 2) + 1).tolist(), len(index)]
    found = list(pairwise(cuts))
    longest = max(found, key=lambda ends: ends[1] - ends[0])

    def lasting(ends: tuple[int, int]) -> bool:
        return bool(times_s[index[ends[1] - 1]] - times_s[index[ends[0]]] >= _SHORTEST_STRETCH_S)

    return [ends for ends in found if ends == longest or lasting(ends)]


def _nobody(seen: _Seen, options: EstimateOptions) -> str:
    where = f"{seen.path}: no person found in {len(seen.times_s)} frames"
    if seen.brightest < _BLACK:
        return f"{where}: the pictures are black. Check the file in a video player"
    if options.person_box:
        box = ", ".join(f"{value:g}" for value in options.person_box)
        return f"{where} inside the box ({box}) px of the first one. Give x0,y0,x1,y1 around the whole person, or no box"
    advice = "The whole body should be visible and at least a tenth of the picture's height"
    if seen.best_score >= LEAST_SCORE:
        return f"{where}, but part of somebody (score {seen.best_score:.2f}) who is not seen well or long enough. {advice}"
    if seen.best_score == 0:
        return f"{where} (no candidate). {advice}"
    return f"{where} (the surest candidate has a score of {seen.best_score:.2f}, {LEAST_SCORE:g} is needed). {advice}"

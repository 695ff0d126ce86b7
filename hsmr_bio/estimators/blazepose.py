"""The default estimator: BlazePose's networks, from weights in the package, with our own tracking.

Source:
    Networks: Bazarevsky et al. 2020, "BlazePose: On-device Real-time Body Pose tracking"; world landmarks: Grishchenko
    et al. 2022, "BlazePose GHUM Holistic".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from os import PathLike
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hsmr_bio.errors import EstimationError
from hsmr_bio.io.camera_motion import CameraMotion
from hsmr_bio.io.cameras import between_bars
from hsmr_bio.io.prefetch import prefetch
from hsmr_bio.io.straight_lines import StraightLines
from hsmr_bio.io.thumbnails import Thumbnails
from hsmr_bio.io.upright import RgbImage
from hsmr_bio.io.video import Video, VideoFrame
from hsmr_bio.types import Camera, FloatArray, Observation, Progress, quiet

from . import DEFAULT_OPTIONS, EstimateOptions
from .label_swaps import SPIKE_CONFIDENCE, find_spikes, repair_limbs, settled_from
from .meeting_repair import settle
from .person_geometry import Box, prominence
from .person_track import PersonTrack, reach_px
from .pose_networks import PoseNetworks
from .presence import Company, held
from .quality import refuse_unusable
from .regions import LANDMARKS
from .source import MAX_SIDE_PX, open_source, source_camera
from .tracking import LEAST_SCORE, Tracker

KEYPOINT_SET = "blazepose33"
_DETECTOR_SCORE = 0.3
"""Lowest score that the detector reports; the tracker decides what to use (the best score is part of an error message)."""
_MIN_TRACK_S = 0.3
"""Shorter tracks are taken for false detections, unless the clip itself is not much longer."""
_MIN_TRACK_SHARE = 0.5
"""Share of a short clip that a track must last."""
_MIN_STRETCH_S = 0.1
"""Shorter stretches between two gaps of a track are too short to be trusted."""
_MAX_STEP = 2
"""Frames from one landmark set to the next inside a stretch; a longer step is a gap."""
_OUTSIDE_SHARE = 0.02
"""Landmarks further outside the picture than this share of its sides are extrapolated by the network: confidence 0."""
_BOX_MARGIN = 0.08
"""Around a person's landmarks, as a share of their height in the picture: clothes and shadow."""
_BLACK = 10
"""Grey level (of 255) that some pixel of a usable video exceeds."""
_PROBE_STEP = 16
"""Every n-th row and column is searched for the brightest pixel."""


@dataclass(frozen=True)
class _VideoPass:
    """Result of one pass over the video."""

    times_s: FloatArray
    tracks: list[PersonTrack]
    shift_px: FloatArray
    edges_px: FloatArray
    thumbnails: Thumbnails
    scale: tuple[float, float]
    camera: Camera
    path: Path
    network: str
    best_score: float
    brightest: int
    strangers: npt.NDArray[np.int_]
    """(T,) people in the picture who are not followed, as found in the search before."""
    alone: bool
    """Whether one person was asked for."""
    notes: tuple[str, ...]


class BlazePose:
    """Estimate 33 landmarks per person and frame, without smoothing; a track stays with its person."""

    def estimate(
        self, source: str | PathLike[str], options: EstimateOptions = DEFAULT_OPTIONS, *, progress: Progress = quiet
    ) -> Observation:
        """Observe one person: the one in ``options.person_box``, else the largest, most central, longest seen.

        Args:
            source: video, image or folder of images.
            options: frames, camera and person to observe.
            progress: called once per frame.

        Returns:
            Landmarks of every frame read; NaN and confidence 0 where this person is not seen.

        Raises:
            EstimationError: no person is found, or only part of one, or one too small. (The motion of the camera is
                measured here and judged by :func:`hsmr_bio.estimators.quality.refuse_moving_camera`.)
            InputError: see :func:`hsmr_bio.io.video.open_video` and :func:`hsmr_bio.io.cameras.camera_for`.
        """
        seen = _read_video(source, options, 1, progress)
        tracks = _lasting_tracks(seen)
        chosen = [track for track in tracks if track.chosen] if options.person_box else tracks
        if not chosen:
            raise EstimationError(_not_found_message(seen, options))
        observation = _observation(seen, chosen[0])
        refuse_unusable(observation)
        return observation

    def estimate_people(
        self, source: str | PathLike[str], options: EstimateOptions = DEFAULT_OPTIONS, *, progress: Progress = quiet
    ) -> list[Observation]:
        """Observe every person, at most ``options.max_people`` at a time.

        Args:
            source: video, image or folder of images.
            options: frames, camera and number of people to observe; ``person_box`` is not used.
            progress: called once per frame.

        Returns:
            One observation per person on the same frames, the most prominent first. A person who returns after a long
            absence counts as another person.

        Raises:
            EstimationError: as :meth:`estimate`, for every person.
            InputError: as :meth:`estimate`.
        """
        seen = _read_video(source, options, options.max_people, progress)
        tracks = _lasting_tracks(seen)
        if not tracks:
            raise EstimationError(_not_found_message(seen, options))
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


def _read_video(source: str | PathLike[str], options: EstimateOptions, people: int, progress: Progress) -> _VideoPass:
    """Run tracking, camera motion, edges and thumbnails in one pass over the video."""
    video = open_source(source, options, max_side_px=MAX_SIDE_PX)
    size = video.info.image_size_px
    camera = source_camera(size, options, video.info.path.name)
    shrink = min(1.0, MAX_SIDE_PX / max(size))
    box = options.person_box
    small_box = (box[0] * shrink, box[1] * shrink, box[2] * shrink, box[3] * shrink) if box and people == 1 else None
    motion, lines, thumbnails = CameraMotion(size), StraightLines(size), Thumbnails(video.info.duration_s)
    times, brightest, scale = [], 0, (1.0, 1.0)
    with PoseNetworks(options.landmarks, min_score=_DETECTOR_SCORE, device=options.device) as networks:
        tracker = Tracker(networks, people, small_box, video.info.kind == "image")
        # decoding, tracking and the search of the background run side by side, a few frames apart
        for frame, whole, shown in prefetch(lambda: _tracked(video, tracker)):
            motion.update(frame.time_s, frame.rgb, whole)
            lines.update(frame.time_s, frame.rgb, shown)
            if shown:
                thumbnails.update(frame)
            times.append(frame.time_s)
            brightest = max(brightest, int(frame.rgb[::_PROBE_STEP, ::_PROBE_STEP].max()))
            scale = frame.scale
            progress("estimate", frame.index + 1, video.info.frame_count)
        times_s = np.array(times)
        tracks = settle(tracker.tracks, times_s, partial(_pictures, source, options), networks)
    return _VideoPass(
        times_s=times_s,
        tracks=tracks,
        shift_px=motion.shift_px(times_s),
        edges_px=lines.segments_px,
        thumbnails=thumbnails,
        scale=scale,
        camera=between_bars(camera, lines.content_size_px),
        path=video.info.path,
        network=options.landmarks,
        best_score=tracker.best_score,
        brightest=brightest,
        strangers=held(tracker.strangers, len(times_s)),
        alone=people == 1,
        notes=video.notes,
    )


def _pictures(source: str | PathLike[str], options: EstimateOptions, start: int, end: int) -> Iterator[tuple[int, RgbImage]]:
    """Read frames again."""
    for frame in open_source(source, options, max_side_px=MAX_SIDE_PX):
        if frame.index >= end:
            break
        if frame.index >= start:
            yield frame.index, frame.rgb


def _tracked(video: Video, tracker: Tracker) -> Iterator[tuple[VideoFrame, list[Box], list[Box]]]:
    """Frames with the squares around the people in them and the boxes around their landmarks."""
    for frame in video:
        alive = tracker.update(frame.index, frame.time_s, frame.rgb)
        yield frame, [_region_box(track) for track in alive], [_landmark_box(track) for track in alive]


def _region_box(track: PersonTrack) -> Box:
    """The upright square around the whole person."""
    (x, y), half = track.last.region.center_px, track.last.region.side_px / 2
    return float(x - half), float(y - half), float(x + half), float(y + half)


def _landmark_box(track: PersonTrack) -> Box:
    """The box around the landmarks, with a margin."""
    px = track.last.px
    margin = _BOX_MARGIN * float(np.ptp(px[:, 1]))
    (x0, y0), (x1, y1) = px.min(axis=0) - margin, px.max(axis=0) + margin
    return float(x0), float(y0), float(x1), float(y1)


def _lasting_tracks(seen: _VideoPass) -> list[PersonTrack]:
    """Tracks that are long enough, and the one of the user's box, the most prominent first."""
    span_s = float(seen.times_s[-1] - seen.times_s[0])
    size = np.array(seen.camera.image_size_px) / seen.scale

    def weight(track: PersonTrack) -> float:
        return sum(prominence(landmarks, (size[1], size[0])) for landmarks in track.landmarks)

    step_s = span_s / max(len(seen.times_s) - 1, 1)
    least_s = min(_MIN_TRACK_S, _MIN_TRACK_SHARE * span_s)
    lasting = [track for track in seen.tracks if track.chosen or len(track.frames) * step_s >= least_s]
    return sorted(lasting, key=lambda track: -weight(track))


def _observation(seen: _VideoPass, track: PersonTrack) -> Observation:
    """Repair a track and place it on the frames of the video."""
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
    gone = np.zeros((frames, LANDMARKS), dtype=np.bool_)
    gone[index] = visibility == 0.0
    px[gone] = np.nan
    company = Company.of(track, seen.tracks, gone, seen.strangers)
    return Observation(
        time_s=seen.times_s,
        camera=seen.camera,
        keypoint_set=KEYPOINT_SET,
        keypoints_px=px,
        confidence=confidence,
        keypoints_m=world,
        camera_shift_px=seen.shift_px,
        scene_edges_px=seen.edges_px,
        source=f"blazepose ({seen.network} landmark network) on {seen.path.name}",
        thumbnails=seen.thumbnails.of(seen.times_s[index]),
        hidden_share=company.hidden_share,
        others=company.others,
        notes=(*seen.notes, *company.notes(seen.times_s, alone=seen.alone)),
    )


def _stretches(index: npt.NDArray[np.int_], times_s: FloatArray) -> list[tuple[int, int]]:
    """(start, end) of the stretches without a gap; short ones are dropped, except the longest of all."""
    cuts = [0, *(np.flatnonzero(np.diff(index) > _MAX_STEP) + 1).tolist(), len(index)]
    found = list(pairwise(cuts))
    longest = max(found, key=lambda ends: ends[1] - ends[0])

    def lasting(ends: tuple[int, int]) -> bool:
        return bool(times_s[index[ends[1] - 1]] - times_s[index[ends[0]]] >= _MIN_STRETCH_S)

    return [ends for ends in found if ends == longest or lasting(ends)]


def _not_found_message(seen: _VideoPass, options: EstimateOptions) -> str:
    where = f"{seen.path}: no person found in {len(seen.times_s)} frames"
    if seen.brightest < _BLACK:
        return f"{where}: the pictures are black. Check the file in a video player"
    if options.person_box:
        box = ", ".join(f"{value:g}" for value in options.person_box)
        return f"{where} inside the box ({box}) px of the first one. Give x0,y0,x1,y1 around the whole person, or no box"
    advice = "The whole body should be visible and at least a tenth of the picture's height"
    if seen.best_score >= LEAST_SCORE:
        return f"{where}, but part of a person (score {seen.best_score:.2f}), not visible enough or too briefly. {advice}"
    if seen.best_score == 0:
        return f"{where} (no candidate). {advice}"
    return f"{where} (the best candidate has a score of {seen.best_score:.2f}, {LEAST_SCORE:g} is needed). {advice}"

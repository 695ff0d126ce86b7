"""2-D keypoints of any other detector, from its files; with the video or without.

With the video, time stamps, size, straight edges of the scene, motion of the camera and pictures come from it. The networks of
this package do not look at it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hsmr_bio.body.keypoint_table import point_names
from hsmr_bio.converters.content import ConvertOptions
from hsmr_bio.converters.detections import UNKNOWN, Detections
from hsmr_bio.converters.registry import read
from hsmr_bio.errors import EstimationError, FormatError, InputError
from hsmr_bio.io.camera_motion import CameraMotion
from hsmr_bio.io.cameras import between_bars
from hsmr_bio.io.straight_lines import StraightLines
from hsmr_bio.io.thumbnails import Thumbnails
from hsmr_bio.io.video import open_video
from hsmr_bio.types import Camera, FloatArray, Observation, Progress, quiet

from . import DEFAULT_OPTIONS, EstimateOptions
from .detection_repair import repaired
from .detection_tracks import Track, follow, reaches_px
from .quality import refuse_unusable
from .source import MAX_SIDE_PX, source_camera

_TIME_SLACK_S = 1e-6
"""Rounding of a start or end given by the user."""
_MORE_FRAMES = 2
"""Frames that another program may have read beyond the last one of a video."""
_OUTSIDE_SHARE = 0.02
"""Points further outside the picture than this share of its sides do not belong to it."""
_MOST_OUTSIDE = 0.5
"""Share of the points outside the picture from which its size is wrong."""
_MIN_TRACK_S, _MIN_TRACK_SHARE = 0.3, 0.5
"""Shorter tracks are taken for false detections, unless the clip itself is not much longer (as for ``blazepose``)."""
_MIN_OVERLAP = 0.5
"""Share of a person's points in the user's box from which it is the wanted one."""
_BOX_MARGIN = 0.08
"""Around a person's points, as a share of their height in the picture: clothes and shadow."""
_CENTRAL_WEIGHT = 1.5
"""Weight of a person in the centre of the picture; at its edge the weight is 1."""


class Keypoints:
    """An estimator whose source are the files of another detector."""

    def estimate(
        self, source: str | PathLike[str], options: EstimateOptions = DEFAULT_OPTIONS, *, progress: Progress = quiet
    ) -> Observation:
        """Read one person: the one in ``options.person_box``, else the largest, most central, longest seen.

        Args:
            source: the video of ``options.keypoints``; without that option, the file or folder of keypoints itself.
            options: frames, camera and person; ``rate_hz`` and ``image_size_px`` if there is no video.
            progress: called once per frame of the video.

        Returns:
            Keypoints of every frame; NaN and confidence 0 where this person is not seen.

        Raises:
            InputError: an option is missing or has no effect, or the keypoints do not belong to the video.
            FormatError: a file that is damaged or has an unknown layout.
            EstimationError: the person is not found, or only part of one.
        """
        clip = _Clip.read(Path(source), options, progress)
        observation = clip.observation(clip.in_box(options.person_box) if options.person_box else clip.people[0])
        refuse_unusable(observation)
        return observation

    def estimate_people(
        self, source: str | PathLike[str], options: EstimateOptions = DEFAULT_OPTIONS, *, progress: Progress = quiet
    ) -> list[Observation]:
        """Read every person, at most ``options.max_people`` at a time.

        Args:
            source: as for :meth:`estimate`.
            options: as for :meth:`estimate`; ``person_box`` is not used.
            progress: as for :meth:`estimate`.

        Returns:
            One observation per person on the same frames, the most prominent first.

        Raises:
            InputError: as :meth:`estimate`.
            EstimationError: as :meth:`estimate`, for every person.
        """
        clip = _Clip.read(Path(source), options, progress)
        people, refusals = [], []
        for track in clip.at_a_time(options.max_people):
            observation = clip.observation(track)
            try:
                refuse_unusable(observation)
                people.append(observation)
            except EstimationError as refusal:
                refusals.append(refusal)
        if not people:
            raise refusals[0]
        return people


@dataclass(frozen=True, eq=False, kw_only=True)
class _Pictures:
    """What comes from the video."""

    time_s: FloatArray
    """(T,) of its frames from the first of the file to the wanted end, on the file's clock."""
    camera: Camera
    shift_px: FloatArray | None = None
    edges_px: FloatArray | None = None
    thumbnails: Thumbnails | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class _Clip:
    """Detections with their times, and the people in them."""

    seen: Detections
    pictures: _Pictures
    index: npt.NDArray[np.intp]
    """(D,) frame of each detection among the times."""
    kept: slice
    """Frames between the wanted start and end."""
    people: list[Track]
    """The most prominent first."""
    name: str
    options: EstimateOptions

    @classmethod
    def read(cls, source: Path, options: EstimateOptions, progress: Progress) -> _Clip:
        video, files = (source, Path(options.keypoints)) if options.keypoints is not None else (None, source)
        listed = sorted(files.glob("*.json")) if files.is_dir() else []
        files = listed[0] if len(listed) == 1 else files  # a folder with the one file that its program wrote
        content = read(files, "detections", options=ConvertOptions(keypoint_set=options.keypoint_set))
        if content.detections is None:
            raise InputError(f"{files} holds no keypoints")
        seen = content.detections
        if video is None:
            pictures, first = _without_video(seen, files, options), int(seen.frames[0])
        else:
            pictures, first = _look(video, seen, options, progress)
        inside = (seen.frame >= first) & (seen.frame < first + len(pictures.time_s))
        seen = replace(
            seen, **{name: getattr(seen, name)[inside] for name in ("frame", "keypoints_px", "confidence", "person")}
        )
        index = np.asarray(seen.frame - first, dtype=np.intp)
        elapsed_s = pictures.time_s - pictures.time_s[0]
        end_s = np.inf if options.end_s is None else options.end_s
        wanted = np.flatnonzero((elapsed_s >= options.start_s - _TIME_SLACK_S) & (elapsed_s <= end_s + _TIME_SLACK_S))
        if not len(wanted):
            raise InputError(f"{files}: the clip lasts {elapsed_s[-1]:g} s: there is nothing from {options.start_s:g} s on")
        kept = slice(int(wanted[0]), int(wanted[-1]) + 1)
        if not ((index >= kept.start) & (index < kept.stop)).any():
            raise EstimationError(f"{files}: nobody was detected between start and end")
        _refuse_outside(files, seen, pictures.camera)
        clip = cls(seen=seen, pictures=pictures, index=index, kept=kept, people=[], name=files.name, options=options)
        return replace(clip, people=clip._ranked())

    def _ranked(self) -> list[Track]:
        """People who are seen long enough in the wanted frames, the most prominent first."""
        time_s = self.pictures.time_s
        now = {int(frame): float(time_s[i]) for frame, i in zip(self.seen.frame, self.index, strict=True)}
        inside = (self.index >= self.kept.start) & (self.index < self.kept.stop)
        tracks = [Track([row for row in track.rows if inside[row]]) for track in follow(self.seen, now)]
        part = time_s[self.kept]
        step_s = (part[-1] - part[0]) / max(len(part) - 1, 1)
        least_s = min(_MIN_TRACK_S, _MIN_TRACK_SHARE * (part[-1] - part[0]))
        lasting = [track for track in tracks if track.rows and len(track.rows) * step_s >= least_s]
        if not lasting:
            raise EstimationError(f"{self.name}: nobody is seen for {least_s:.2f} s or more")
        weight = self._prominence()
        return sorted(lasting, key=lambda track: -float(weight[track.rows].sum()))

    def _prominence(self) -> FloatArray:
        """(D,) weight of each detection: its size, how sure it is, and how central."""
        middle = np.nanmean(self.seen.keypoints_px, axis=1) / self.pictures.camera.image_size_px
        eccentricity = np.abs(middle - 0.5).max(axis=1)
        return np.asarray(
            reaches_px(self.seen) * self.seen.confidence.mean(axis=1) * np.maximum(_CENTRAL_WEIGHT - eccentricity, 0.1)
        )

    def in_box(self, box: tuple[float, float, float, float]) -> Track:
        """The person in a box in the first wanted frame.

        Raises:
            EstimationError: nobody is there.
        """
        x0, y0, x1, y1 = box
        shares = []
        for track in self.people:
            row = next((row for row in track.rows if self.index[row] == self.kept.start), None)
            if row is not None:
                px = self.seen.keypoints_px[row]
                px = px[np.isfinite(px).all(axis=1)]
                inside = ((px >= (x0, y0)) & (px <= (x1, y1))).all(axis=1).mean()
                size = float(np.ptp(px[:, 1])) / (y1 - y0)
                shares.append((float(inside) * (min(size, 1 / size) if size > 0 else 0.0), track))
        share, chosen = max(shares, key=lambda pair: pair[0], default=(0.0, None))
        if chosen is None or share < _MIN_OVERLAP:
            text = ", ".join(f"{value:g}" for value in box)
            raise EstimationError(
                f"{self.name}: no person inside the box ({text}) px of the first frame. Give x0 y0 x1 y1 around a whole person"
            )
        return chosen

    def at_a_time(self, most: int) -> list[Track]:
        """The people without those beyond ``most`` in any frame."""
        busy = np.zeros(len(self.pictures.time_s), dtype=int)
        found = []
        for track in self.people:
            frames = self.index[track.rows]
            if busy[frames].max() < most:
                busy[frames] += 1
                found.append(track)
        return found

    def observation(self, track: Track) -> Observation:
        """Place a person on the frames."""
        pictures, rows = self.pictures, np.array(track.rows)
        frames, points = len(pictures.time_s), self.seen.keypoints_px.shape[1]
        px, confidence = np.full((frames, points, 2), np.nan), np.zeros((frames, points))
        px[self.index[rows]], confidence[self.index[rows]] = self.seen.keypoints_px[rows], self.seen.confidence[rows]
        size = np.array(pictures.camera.image_size_px)
        with np.errstate(invalid="ignore"):
            outside = np.any((px < -_OUTSIDE_SHARE * size) | (px > (1 + _OUTSIDE_SHARE) * size), axis=2)
        confidence[outside] = 0.0
        px, confidence = repaired(point_names(self.seen.keypoint_set), pictures.time_s, px, confidence)
        first_s = 0.0 if self.options.source_clock else float(pictures.time_s[self.kept.start])
        time_s = pictures.time_s[self.kept]
        seen_s = pictures.time_s[np.intersect1d(self.index[rows], np.arange(frames)[self.kept])]
        thumbnails = () if pictures.thumbnails is None else pictures.thumbnails.of(seen_s)
        shift = pictures.shift_px
        return Observation(
            time_s=time_s - first_s,
            camera=pictures.camera,
            keypoint_set=self.seen.keypoint_set,
            keypoints_px=px[self.kept],
            confidence=confidence[self.kept],
            camera_shift_px=None if shift is None else shift[self.kept],
            scene_edges_px=pictures.edges_px,
            source=self._source(),
            thumbnails=tuple(replace(picture, time_s=picture.time_s - first_s) for picture in thumbnails),
        )

    def _source(self) -> str:
        """Where the keypoints come from, and what was decided, for the report."""
        linked = "people by the file's numbers" if (self.seen.person != UNKNOWN).all() else "people followed by their places"
        return "; ".join([f"keypoints of {self.name} ({self.seen.tool})", linked, *self.seen.notes])


def _without_video(seen: Detections, files: Path, options: EstimateOptions) -> _Pictures:
    """Times from the rate, size from the options."""
    missing = ["--rate-hz"] if options.rate_hz is None and len(seen.frames) > 1 else []
    missing += ["--image-size"] if options.image_size_px is None else []
    if missing:
        needed = " and ".join(missing)
        raise InputError(
            f"{files}: keypoints state neither rate nor picture: add {needed}, or name the video: VIDEO --keypoints {files}"
        )
    size = options.image_size_px or (0, 0)
    if options.fps_hz is not None:
        raise InputError("--fps is for a folder of images: the rate of keypoints is --rate-hz")
    first, last = int(seen.frames[0]), int(seen.frames[-1])
    time_s = np.arange(first if options.source_clock else 0, last + 1 - (0 if options.source_clock else first)) / (
        options.rate_hz or 1.0
    )
    return _Pictures(time_s=time_s, camera=source_camera(size, options, files.name))


def _look(source: Path, seen: Detections, options: EstimateOptions, progress: Progress) -> tuple[_Pictures, int]:
    """One pass over the video; and the number of its first frame in the files."""
    unused = {"--rate-hz": options.rate_hz, "--image-size": options.image_size_px}
    if given := [name for name, value in unused.items() if value is not None]:
        raise InputError(f"{' and '.join(given)} would have no effect: time and size come from the video {source}")
    video = open_video(source, end_s=options.end_s, fps_hz=options.fps_hz, source_clock=True, max_side_px=MAX_SIDE_PX)
    size = video.info.image_size_px
    camera = source_camera(size, options, video.info.path.name)
    first = _first_number(seen, video.info.frame_count, whole=options.end_s is None)
    boxes = _boxes(seen)
    motion, lines, thumbnails = CameraMotion(size), StraightLines(size), Thumbnails(video.info.duration_s)
    times = []
    for frame in video:
        times.append(frame.time_s)
        progress("estimate", frame.index + 1, video.info.frame_count)
        if frame.time_s - times[0] < options.start_s - _TIME_SLACK_S:
            continue
        people = [tuple(np.array(box) / (*frame.scale, *frame.scale)) for box in boxes.get(frame.index + first, ())]
        motion.update(frame.time_s, frame.rgb, people)
        lines.update(frame.time_s, frame.rgb, people)
        if people:
            thumbnails.update(frame)
    if options.end_s is None and int(seen.frames[-1]) - first >= len(times) + _MORE_FRAMES:
        raise InputError(
            f"the keypoints speak of frame {seen.frames[-1]}, but {source} has {len(times)} frames: they are of another video"
        )
    time_s = np.array(times)
    pictures = _Pictures(
        time_s=time_s,
        camera=between_bars(camera, lines.content_size_px),
        shift_px=motion.shift_px(time_s),
        edges_px=lines.segments_px,
        thumbnails=thumbnails,
    )
    return pictures, first


def _first_number(seen: Detections, count: int | None, *, whole: bool) -> int:
    """Number of the video's first frame in the files: 0, or 1 if they count from 1 to the number of frames."""
    from_one = whole and count is not None and int(seen.frames[0]) == 1 and int(seen.frames[-1]) == count
    return 1 if from_one else 0


def _boxes(seen: Detections) -> dict[int, list[FloatArray]]:
    """Boxes around the people, with a margin, by the number of the frame."""
    low, high = np.nanmin(seen.keypoints_px, axis=1), np.nanmax(seen.keypoints_px, axis=1)
    margin = _BOX_MARGIN * (high - low)[:, 1:]
    found: dict[int, list[FloatArray]] = {}
    for frame, box in zip(seen.frame.tolist(), np.concatenate([low - margin, high + margin], axis=1), strict=True):
        found.setdefault(frame, []).append(box)
    return found


def _refuse_outside(files: Path, seen: Detections, camera: Camera) -> None:
    """Refuse keypoints that do not lie in the picture."""
    width, height = camera.image_size_px
    px = seen.keypoints_px[np.isfinite(seen.keypoints_px).all(axis=2)]
    outside = float(np.any((px < 0) | (px > (width, height)), axis=1).mean())
    if outside > _MOST_OUTSIDE:
        raise FormatError(
            files,
            None,
            f"{outside:.0%} of the points lie outside the picture of {width} x {height} px (they reach {px[:, 0].max():.0f}, "
            f"{px[:, 1].max():.0f}): another video, another size, or a video that the detector did not turn upright",
        )

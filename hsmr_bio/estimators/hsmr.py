"""HSMR as an estimator: the embedded tracker's boxes, our own network with the user's weights, SKEL parameters per frame.

Source:
    Xia et al. 2025 (HSMR).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hsmr_bio.errors import EstimationError, FormatError, InputError
from hsmr_bio.io.thumbnails import Thumbnails
from hsmr_bio.io.upright import RgbImage
from hsmr_bio.types import Camera, FloatArray, Observation, Progress, quiet

from ..io.door import reader
from . import DEFAULT_OPTIONS, EstimateOptions
from .blazepose import KEYPOINT_SET, BlazePose
from .regions import LANDMARKS
from .source import MAX_SIDE_PX, open_source, source_camera

if TYPE_CHECKING:
    from hsmr_bio.hsmr.network import Hsmr

BODY = "skel_male@1.1.1"
"""HSMR was trained with SKEL's male body for everyone; its betas are valid for this body only."""
BOX_MARGIN = 0.1
"""Added on every side of the box of the landmarks, as a share of its larger side: the landmarks end at eyes, wrists and
toes, a detector's box (which HSMR uses) contains the whole outline. Our choice."""
_MIN_CONFIDENCE = 0.3
"""Landmarks below are not used for the box."""
_MIN_LANDMARKS = 4
"""Fewer landmarks give no box."""
_MIN_BOX_PX = 8.0
"""Smaller boxes show no person."""
_COLUMNS = ("frame", "x0", "y0", "x1", "y1")


@dataclass(frozen=True, eq=False)
class HsmrEstimator:
    """Estimate SKEL pose, shape and translation per frame, beside the landmarks of the embedded estimator."""

    network: Hsmr | None = None
    """A loaded network; None: the checkpoint of the options is loaded."""
    batch: int = 8
    """Patches per pass of the network."""

    def estimate(
        self, source: str | PathLike[str], options: EstimateOptions = DEFAULT_OPTIONS, *, progress: Progress = quiet
    ) -> Observation:
        """Observe one person and predict the SKEL parameters of every frame in which the person is seen.

        Args:
            source: video, image or folder of images.
            options: frames, camera, person and weights; ``boxes`` replaces the tracker's boxes.
            progress: called once per frame and pass.

        Returns:
            Landmarks and SKEL parameters of every frame read; NaN where there is no box.

        Raises:
            MissingAssetError: there is no checkpoint; the message states which file is needed.
            FormatError: the checkpoint or the file of boxes cannot be used.
            EstimationError: no person is found.
        """
        network = self._network(options)
        given = None if options.boxes is None else read_boxes(options.boxes)
        try:
            person = BlazePose().estimate(source, options, progress=progress)
        except EstimationError:
            if given is None:
                raise
            person = _without_landmarks(source, options)
        return self._predict(network, source, options, [person], given, progress)[0]

    def estimate_people(
        self, source: str | PathLike[str], options: EstimateOptions = DEFAULT_OPTIONS, *, progress: Progress = quiet
    ) -> list[Observation]:
        """Observe every person and predict their SKEL parameters; a file of boxes means one person.

        Args:
            source: video, image or folder of images.
            options: frames, camera, number of people and weights.
            progress: called once per frame and pass.

        Returns:
            One observation per person, the most prominent first.
        """
        if options.boxes is not None:
            return [self.estimate(source, options, progress=progress)]
        network = self._network(options)
        people = BlazePose().estimate_people(source, options, progress=progress)
        return self._predict(network, source, options, people, None, progress)

    def _network(self, options: EstimateOptions) -> Hsmr:
        from hsmr_bio.hsmr.checkpoint import load_hsmr

        if self.network is not None:
            return self.network
        return load_hsmr(options.checkpoint, device=options.device, dtype=options.dtype)

    def _predict(
        self,
        network: Hsmr,
        source: str | PathLike[str],
        options: EstimateOptions,
        people: Sequence[Observation],
        given: dict[int, FloatArray] | None,
        progress: Progress,
    ) -> list[Observation]:
        """Crop every person in a second pass over the video and predict in batches."""
        boxes = [_boxes_of(person, given) for person in people]
        frames = len(people[0].time_s)
        out = [_Parameters.empty(frames) for _ in people]
        for rows in _batches(_crops(source, options, boxes, progress), self.batch):
            _run(network, rows, out, people[0].camera)
        if not any(np.isfinite(p.poses_rad).any() for p in out):
            raise EstimationError(f"{source}: no frame has a box of a person for the network")
        return [
            replace(
                person,
                skel_poses_rad=p.poses_rad,
                skel_betas=p.betas,
                skel_trans_m=p.trans_m,
                skel_body=BODY,
                source=f"hsmr on {Path(source).name}, people and landmarks from {person.source or 'a file of boxes'}",
            )
            for person, p in zip(people, out, strict=True)
        ]


@dataclass(frozen=True, eq=False)
class _Parameters:
    """The network's output for one person: (T, 46), (T, 10), (T, 3); NaN where there is no box."""

    poses_rad: FloatArray
    betas: FloatArray
    trans_m: FloatArray

    @classmethod
    def empty(cls, frames: int) -> _Parameters:
        return cls(*(np.full((frames, n), np.nan) for n in (46, 10, 3)))


@dataclass(frozen=True, eq=False)
class _Crop:
    """One person in one frame."""

    person: int
    frame: int
    box_px: FloatArray
    """(3,) centre and side of the square, pixels of the original picture."""
    patch: RgbImage


def _crops(
    source: str | PathLike[str], options: EstimateOptions, boxes: Sequence[FloatArray], progress: Progress
) -> Iterator[_Crop]:
    """Crop every person of every frame, in order."""
    from hsmr_bio.hsmr.crops import crop_window, square_box

    video = open_source(source, options, max_side_px=MAX_SIDE_PX)
    for frame in video:
        for person, box in enumerate(boxes):
            if frame.index >= len(box) or not np.isfinite(box[frame.index]).all():
                continue
            square = square_box(box[frame.index])
            scaled = np.concatenate([square[:2] / frame.scale, [square[2] / frame.scale[0]]])
            yield _Crop(person, frame.index, square, crop_window(frame.rgb, scaled))
        progress("network", frame.index + 1, video.info.frame_count)


def _batches(crops: Iterator[_Crop], size: int) -> Iterator[list[_Crop]]:
    rows: list[_Crop] = []
    for crop in crops:
        rows.append(crop)
        if len(rows) == size:
            yield rows
            rows = []
    if rows:
        yield rows


def _run(network: Hsmr, rows: list[_Crop], out: list[_Parameters], camera: Camera) -> None:
    """Predict a batch of crops and store the parameters, with translations for the given camera, in ``out``."""
    import torch

    from hsmr_bio.hsmr.camera import full_image_translation, translation_for_focal
    from hsmr_bio.hsmr.crops import normalise

    with torch.inference_mode():
        found = network(normalise(np.stack([row.patch for row in rows])))
        box = torch.as_tensor(np.stack([row.box_px for row in rows]), dtype=torch.float64)
        size = torch.tensor(camera.image_size_px, dtype=torch.float64).expand(len(rows), 2)
        full = full_image_translation(found.translation_m.double().cpu(), box, size)
        trans = translation_for_focal(full, camera.image_size_px, camera.center_px, camera.focal_px)
    poses, betas = found.poses_rad.double().cpu().numpy(), found.betas.double().cpu().numpy()
    if not (np.isfinite(poses).all() and np.isfinite(betas).all() and bool(torch.isfinite(trans).all())):
        raise EstimationError("the network's output is not finite: the weights do not belong to it, or bfloat16 overflowed")
    for i, row in enumerate(rows):
        out[row.person].poses_rad[row.frame] = poses[i]
        out[row.person].betas[row.frame] = betas[i]
        out[row.person].trans_m[row.frame] = trans[i].numpy()


def _boxes_of(person: Observation, given: dict[int, FloatArray] | None) -> FloatArray:
    """(T, 4) x0, y0, x1, y1 per frame; NaN where the person is not seen."""
    boxes = np.full((len(person.time_s), 4), np.nan)
    used = (person.confidence > _MIN_CONFIDENCE) & np.isfinite(person.keypoints_px).all(axis=-1)
    for frame in np.flatnonzero(used.sum(axis=1) >= _MIN_LANDMARKS):
        points = person.keypoints_px[frame][used[frame]]
        low, high = points.min(axis=0), points.max(axis=0)
        margin = BOX_MARGIN * float((high - low).max())
        if (high - low).max() >= _MIN_BOX_PX:
            boxes[frame] = [*(low - margin), *(high + margin)]
    for number, box in (given or {}).items():
        if number < len(boxes):
            boxes[number] = box
    return boxes


def _without_landmarks(source: str | PathLike[str], options: EstimateOptions) -> Observation:
    """An observation without landmarks, for a file of boxes where the tracker finds no person."""
    video = open_source(source, options)
    times, thumbnails = [], Thumbnails(video.info.duration_s)
    for frame in video:
        times.append(frame.time_s)
        thumbnails.update(frame)
    return Observation(
        time_s=np.array(times),
        camera=source_camera(video.info.image_size_px, options, video.info.path.name),
        keypoint_set=KEYPOINT_SET,
        keypoints_px=np.full((len(times), LANDMARKS, 2), np.nan),
        confidence=np.zeros((len(times), LANDMARKS)),
        thumbnails=thumbnails.of(np.array(times)),
        notes=video.notes,
    )


@reader
def read_boxes(path: str | PathLike[str]) -> dict[int, FloatArray]:
    """Read a person's boxes from a CSV file with the columns frame, x0, y0, x1, y1 (pixels; frames count from 0).

    Returns:
        (4,) box by frame; a frame without a row keeps the tracker's box.

    Raises:
        InputError: no such file.
        FormatError: a column is missing, or a value is not a number or no box.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file of boxes")
    boxes: dict[int, FloatArray] = {}
    with path.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise FormatError(path, 1, f"the columns {', '.join(_COLUMNS)} are expected, {', '.join(missing)} is missing")
        for number, row in enumerate(reader, start=2):
            try:
                frame, box = int(row["frame"]), np.array([float(row[name]) for name in _COLUMNS[1:]])
            except (TypeError, ValueError):
                raise FormatError(path, number, "every column must hold a number") from None
            if frame < 0 or not np.isfinite(box).all() or box[2] <= box[0] or box[3] <= box[1]:
                raise FormatError(path, number, f"not a box: frame {frame}, {box.tolist()} (x1 > x0 and y1 > y0 are expected)")
            boxes[frame] = box
    return boxes

"""Results that HSMR's demo stores: ``HSMR-<image>.npz`` per image, ``HSMR-<video>.npy`` per video.

The demo processes each frame alone: it tracks nobody, and it stores neither rate, focal length nor image size. So people are
tracked here, from box to box, and the rate must be given. SKEL parameters are in the camera frame (x right, y down, z away);
they refer to a focal length of 5000 px.

Source:
    Xia et al. 2025 (HSMR), demo code, as facts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from hsmr_bio.errors import EstimationError, FormatError, InputError
from hsmr_bio.io.door import reader
from hsmr_bio.io.unpickle import load_numpy
from hsmr_bio.io.video import natural_order
from hsmr_bio.types import Camera, FloatArray, SkelMotion

from .smpl_values import numbers, plain

HSMR_BODY = "skel_male@1.1.1"
"""HSMR uses the male SKEL model for everyone."""
HSMR_FOCAL_PX = 5000.0
"""Focal length that HSMR's demo assumes for every video."""
_WIDTHS = {"poses": 46, "betas": 10, "full_cam_t": 3, "bbx_cs": 3}
"""Stored values of a person, and how many numbers each has."""
_SAME_PERSON_IOU = 0.2
"""Boxes of one person in successive frames overlap at least this much (intersection over union, own choice)."""


@dataclass
class _Track:
    frames: list[int] = field(default_factory=list)
    people: list[int] = field(default_factory=list)
    box: FloatArray = field(default_factory=lambda: np.zeros(3))


@reader
def read_hsmr(
    path: str | PathLike[str],
    *,
    rate_hz: float | None = None,
    image_size_px: tuple[int, int] | None = None,
    focal_px: float = HSMR_FOCAL_PX,
    max_gap_s: float = 1.0,
) -> tuple[SkelMotion, ...]:
    """Read HSMR's demo results and track each person.

    Args:
        path: a ``.npy`` of a video, a ``.npz`` of an image, or a folder with the ``.npz`` of successive images.
        rate_hz: frames per second of the video that the demo was given; not needed for one image.
        image_size_px: (width, height) that the demo worked on; then the motions carry a camera.
        focal_px: true focal length; the distance is scaled with it, so that the projection stays the same.
        max_gap_s: a person who is missing for longer counts as another one afterwards.

    Returns:
        One motion per person, in the camera frame, longest first. Frames without the person are left out of ``time_s``.
        Betas: the median over the frames.

    Raises:
        FormatError: not such a file, wrong shapes, NaN, damaged, or a pickle that would run code.
        InputError: no such file, a video without ``rate_hz``, or a rate or focal length that is not positive.
        EstimationError: nobody was found in any frame.
    """
    source = Path(path)
    frames = [_checked(source, number, frame) for number, frame in enumerate(_frames(source))]
    if len(frames) > 1 and rate_hz is None:
        raise InputError(f"{source}: HSMR does not store the frame rate: give the video's (--rate-hz)")
    rate = rate_hz if rate_hz is not None else 1.0
    if not (np.isfinite(rate) and rate > 0 and focal_px > 0):
        raise InputError(f"rate_hz and focal_px must be positive, got {rate:g} and {focal_px:g}")
    tracks = _follow([frame["bbx_cs"] for frame in frames], max_gap=max(1, round(max_gap_s * rate)))
    if not tracks:
        raise EstimationError(f"{source}: HSMR found nobody in any of the {len(frames)} frames")
    camera = None
    if image_size_px is not None:
        center = (image_size_px[0] / 2, image_size_px[1] / 2)
        camera = Camera(image_size_px=image_size_px, focal_px=focal_px, center_px=center, source="hsmr")
    return tuple(_motion(source, frames, track, rate, focal_px, camera) for track in tracks)


def _frames(source: Path) -> Sequence[Any]:
    if source.is_dir():
        files = sorted(source.glob("*.npz"), key=natural_order)
        if not files:
            raise FormatError(source, None, "there is no .npz file in this folder")
        return [load_numpy(file) for file in files]
    if not source.exists():
        raise InputError(f"{source}: there is no such file")
    content = load_numpy(source)
    if isinstance(content, Mapping):
        return [content]
    if content.dtype == object and content.ndim <= 1:
        frames = content.tolist()
        return frames if isinstance(frames, list) else [frames]
    raise FormatError(source, None, f"an array {content.shape} of {content.dtype}; HSMR stores a list of frames")


def _checked(source: Path, number: int, frame: object) -> dict[str, FloatArray]:
    """Check one frame; (n, width) per key, n = 0 if nobody was found."""
    where = f"frame {number}"
    if not isinstance(frame, Mapping):
        raise FormatError(source, where, f"a {type(frame).__name__}; HSMR stores a dictionary per frame")
    missing = [key for key in _WIDTHS if key not in frame]
    if missing:
        raise FormatError(source, where, f"this is not an HSMR result: it lacks {', '.join(missing)}")
    found: dict[str, FloatArray] = {}
    for key, width in _WIDTHS.items():
        value = plain(frame[key])
        array = numbers(source, f"{where}, {key}", [] if value is None else value)
        if array.size == 0:
            array = array.reshape(0, width)
        if array.ndim != 2 or array.shape[1] != width:
            raise FormatError(source, where, f"{key} must have shape (people, {width}), it has {array.shape}")
        found[key] = array
    counts = {key: len(array) for key, array in found.items()}
    if len(set(counts.values())) > 1:
        raise FormatError(source, where, f"the number of people differs: {counts}")
    return found


def _follow(boxes: Sequence[FloatArray], *, max_gap: int) -> list[_Track]:
    """Track people from frame to frame: the assignment with the largest total overlap of boxes."""
    from scipy.optimize import linear_sum_assignment

    tracks: list[_Track] = []
    for frame, here in enumerate(boxes):
        alive = [track for track in tracks if frame - track.frames[-1] <= max_gap]
        overlap = np.array([[_overlap(track.box, box) for box in here] for track in alive]).reshape(len(alive), len(here))
        taken = set()
        for row, column in zip(*linear_sum_assignment(-overlap), strict=True):
            if overlap[row, column] >= _SAME_PERSON_IOU:
                _extend(alive[row], frame, int(column), here[column])
                taken.add(int(column))
        for person, box in enumerate(here):
            if person not in taken:
                tracks.append(_Track())
                _extend(tracks[-1], frame, person, box)
    return sorted(tracks, key=lambda track: -len(track.frames))


def _extend(track: _Track, frame: int, person: int, box: FloatArray) -> None:
    track.frames.append(frame)
    track.people.append(person)
    track.box = box


def _overlap(a: FloatArray, b: FloatArray) -> float:
    """Intersection over union of two square boxes (cx, cy, side)."""
    shared = np.minimum(a[:2] + a[2] / 2, b[:2] + b[2] / 2) - np.maximum(a[:2] - a[2] / 2, b[:2] - b[2] / 2)
    inside = float(np.prod(np.clip(shared, 0, None)))
    return inside / float(a[2] ** 2 + b[2] ** 2 - inside)


def _motion(
    source: Path, frames: Sequence[dict[str, FloatArray]], track: _Track, rate_hz: float, focal_px: float, camera: Camera | None
) -> SkelMotion:
    pairs = list(zip(track.frames, track.people, strict=True))
    trans = np.stack([frames[f]["full_cam_t"][p] for f, p in pairs])
    trans[:, 2] *= focal_px / HSMR_FOCAL_PX
    return SkelMotion(
        time_s=np.array(track.frames) / rate_hz,
        poses_rad=np.unwrap(np.stack([frames[f]["poses"][p] for f, p in pairs]), axis=0),
        trans_m=trans,
        betas=np.median(np.stack([frames[f]["betas"][p] for f, p in pairs]), axis=0),
        body=HSMR_BODY,
        frame="camera",
        source=f"HSMR result {source.name}",
        camera=camera,
        notes={
            "frames_in_file": len(frames),
            "frames_seen": len(pairs),
            "betas": "median of all frames",
            "focal_px": focal_px,
            "rate_hz": rate_hz if len(frames) > 1 else None,
        },
    )

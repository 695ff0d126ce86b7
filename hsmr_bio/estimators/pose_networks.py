"""BlazePose's person detector and landmark network, run by ONNX Runtime on regions of our own choice.

No smoothing and no hidden state: equal pictures give equal results. The weights are in the package (``data``); there is no
download. ``tools/landmarks`` makes them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import numpy as np

from hsmr_bio.io.upright import RgbImage

from .onnx_session import Session, open_network
from .pose_decoding import DETECTOR_SIDE, HEATMAP_KERNEL, LANDMARK_SIDE, decode_detections, decode_landmarks
from .regions import Detection, Landmarks, Region
from .sampling import letterbox, sample_square

Part = tuple[int, int, int, int]
"""(x0, y0, x1, y1) px."""
_OUTPUTS = ["landmarks", "person", "heatmaps", "world"]
_MAX_THREADS = 4
"""More threads gain nothing on networks of this size."""


class PoseNetworks:
    """The detector and a landmark network; close it, or use it in a ``with`` statement.

    One region is computed by all threads, several regions side by side by one thread each: batches gain nothing on a
    processor.

    Args:
        network: landmark network, ``full`` or ``heavy``.
        min_score: lowest score of a detection, in (0, 1).
        min_presence: probability of a person above which landmarks are given, in (0, 1).
        device: see :func:`hsmr_bio.estimators.onnx_session.open_network`.
        threads: None for the number of processors, at most four.
        kernel: see :func:`hsmr_bio.estimators.pose_decoding.refine`.
    """

    def __init__(
        self,
        network: str = "full",
        *,
        min_score: float = 0.5,
        min_presence: float = 0.5,
        device: str = "cpu",
        threads: int | None = None,
        kernel: int = HEATMAP_KERNEL,
    ) -> None:
        self._min_score, self._min_presence, self._kernel = min_score, min_presence, kernel
        self._name, self._device = f"pose_landmarks_{network}", device
        self._threads = threads or min(os.cpu_count() or 1, _MAX_THREADS)
        self._detector = open_network("pose_detector", threads=1, device=device)
        self._landmarker = open_network(self._name, threads=self._threads, device=device)
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="landmarks")

    def __enter__(self) -> PoseNetworks:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown()

    @cached_property
    def _one_thread(self) -> Session:
        """The landmark network for calls that run side by side; it costs memory, and one person does not need it."""
        return open_network(self._name, threads=1, device=self._device) if self._threads > 1 else self._landmarker

    def detect(self, rgb: RgbImage, parts: Sequence[Part] = ()) -> list[Detection]:
        """Find people in a picture and in parts of it; the network reduces each to 224 x 224 pixels.

        Args:
            rgb: (H, W, 3).
            parts: (x0, y0, x1, y1) px of parts that are searched as well, for people who are small in the picture.

        Returns:
            The detections in pixels of the picture, those of the whole picture first; people may be found several times.
        """
        height, width = rgb.shape[:2]
        found = self._pool.map(lambda part: self._detect_in(rgb, part), [(0, 0, width, height), *parts])
        return [detection for detections in found for detection in detections]

    def _detect_in(self, rgb: RgbImage, part: Part) -> list[Detection]:
        x0, y0, x1, y1 = part
        cut = np.ascontiguousarray(rgb[y0:y1, x0:x1])
        square = letterbox(cut)
        small = sample_square(cut, square, DETECTOR_SIDE, zero_border=True)
        boxes, scores = self._detector.run(["boxes", "scores"], {"image": small[None]})
        moved = Region(square.center_px + np.array([x0, y0]), square.side_px, square.rotation_rad)
        return decode_detections(boxes[0], scores[0], moved, self._min_score)

    def landmarks(self, rgb: RgbImage, regions: Sequence[Region]) -> list[Landmarks | None]:
        """Estimate the landmarks of the people in regions of one picture.

        Args:
            rgb: (H, W, 3) the whole picture.
            regions: in its pixels.

        Returns:
            The landmarks per region, or None where there is no person.
        """
        if len(regions) < 2 or self._threads == 1:
            return [self._read(self._landmarker, rgb, region) for region in regions]
        session = self._one_thread
        return list(self._pool.map(lambda region: self._read(session, rgb, region), regions))

    def _read(self, session: Session, rgb: RgbImage, region: Region) -> Landmarks | None:
        if not region.usable:
            return None
        crop = sample_square(rgb, region, LANDMARK_SIDE)
        raw, person, heatmaps, world = session.run(_OUTPUTS, {"image": crop[None]})
        if not person[0, 0] > self._min_presence:
            return None
        return decode_landmarks(raw[0], heatmaps[0], world[0], region, self._kernel)

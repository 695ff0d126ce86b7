"""Write MediaPipe's own results on pictures of the shipped clip: ``python tools/landmarks/golden.py HEAVY.tflite``.

``tests/data/mediapipe_landmarks.npz`` is made once, with the package ``mediapipe`` 0.10.14, whose wheel has the full network;
the heavy one is in the npm package that ``build.py`` reads. Per picture there are the detections and, in squares around the
detected person and in squares moved, scaled and turned away from it, the landmarks of both networks for both kernels.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).parent))
from mediapipe_graph import PoseGraph

from hsmr_bio.estimators.regions import Detection, Region
from hsmr_bio.io.video import open_video

ROOT = Path(__file__).resolve().parents[2]
TIMES_S = (0.5, 2.6, 4.5)
SIZE_PX = (480, 360)
KERNELS = (7, 9)
MIN_SCORE = 0.3
DISTURBED = 3
"""Squares per picture beside the detected one."""


def pictures() -> list[npt.NDArray[np.uint8]]:
    """Reduced pictures of the demo clip."""
    frames = list(open_video(ROOT / "examples" / "demo.mp4"))
    chosen = [min(frames, key=lambda frame: abs(frame.time_s - time_s)) for time_s in TIMES_S]
    return [np.asarray(cv2.resize(frame.rgb, SIZE_PX, interpolation=cv2.INTER_AREA)) for frame in chosen]


def squares(detection: Detection, rng: np.random.Generator) -> list[Region]:
    """The detected square, and others moved by up to 10 % of its side, scaled by 0.8 to 1.5 and turned by up to 0.6 rad."""
    found = detection.region
    others = [
        Region(
            found.center_px + rng.uniform(-0.1, 0.1, 2) * found.side_px,
            found.side_px * rng.uniform(0.8, 1.5),
            found.rotation_rad + rng.uniform(-0.6, 0.6),
        )
        for _ in range(DISTURBED)
    ]
    return [found, *others]


def row(number: int, region: Region) -> tuple[float, ...]:
    """Number of the picture and the region as numbers."""
    return (number, *region.center_px, region.side_px, region.rotation_rad)


def main() -> None:
    """Run MediaPipe and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("heavy", type=Path)
    heavy, shown, rng = parser.parse_args().heavy, pictures(), np.random.default_rng(1)
    arrays: dict[str, npt.NDArray[np.generic]] = {"pictures": np.stack(shown)}
    with PoseGraph(min_score=MIN_SCORE) as graph:
        found = [graph.detect(picture) for picture in shown]
    asked = [(number, square) for number, people in enumerate(found) for square in squares(people[0], rng)]
    arrays["detections"] = np.array([(*row(n, one.region), one.score) for n, people in enumerate(found) for one in people])
    arrays["squares"] = np.array([row(n, square) for n, square in asked])
    for network, file in (("full", None), ("heavy", heavy)):
        for kernel in KERNELS:
            with PoseGraph(file, min_score=MIN_SCORE, kernel=kernel) as graph:
                read = [graph.landmarks(shown[n], square) for n, square in asked]
            for name in ("px", "world_m", "visibility"):
                arrays[f"{network}{kernel}_{name}"] = np.array([getattr(landmarks, name) for landmarks in read])
    np.savez_compressed(ROOT / "tests" / "data" / "mediapipe_landmarks.npz", **arrays)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()

"""Time of the blazepose estimator per frame with both landmark networks, and for several people in one picture.

Run: python benchmarks/bench_estimator.py [VIDEO]. Prints milliseconds of wall and processor time per frame, and ratios to
MediaPipe's own solution (the full network, one person, smoothed) where the package ``mediapipe`` is installed.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from hsmr_bio.estimators import EstimateOptions, get_estimator
from hsmr_bio.estimators.pose_networks import PoseNetworks
from hsmr_bio.io.video import open_video

DEMO = Path(__file__).resolve().parents[1] / "examples" / "demo.mp4"
REPEATS, PEOPLE = 3, 4


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds of one call."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def mediapipe_alone(video: Path) -> None:
    """Decode and run MediaPipe's ready-made graph: one person of its own choice, smoothed."""
    import mediapipe as mp

    with mp.solutions.pose.Pose(model_complexity=1) as pose:
        for frame in open_video(video, max_side_px=1920):
            pose.process(frame.rgb)


def people_ratio(video: Path, network: str) -> float:
    """Time of the landmarks of several people in one picture over that of one."""
    picture = next(iter(open_video(video, max_side_px=1920))).rgb
    with PoseNetworks(network) as networks:
        region = networks.detect(picture)[0].region
        seconds = {}
        for count in (1, PEOPLE):
            networks.landmarks(picture, [region] * count)
            seconds[count] = np.median([timed(lambda n=count: networks.landmarks(picture, [region] * n))[0] for _ in range(15)])
    return float(seconds[PEOPLE] / seconds[1])


def main() -> None:
    """Measure each several times, in turn, and print the best runs."""
    warnings.simplefilter("ignore")
    video = Path(sys.argv[1]) if len(sys.argv) > 1 else DEMO
    frames = sum(1 for _ in open_video(video, max_side_px=64))
    blazepose = get_estimator("blazepose")
    works: dict[str, Callable[[], object]] = {
        "decoding": lambda: list(map(id, open_video(video, max_side_px=1920))),
        "full": lambda: blazepose.estimate(video, EstimateOptions(landmarks="full")),
        "heavy": lambda: blazepose.estimate(video, EstimateOptions(landmarks="heavy")),
    }
    if find_spec("mediapipe"):
        works["MediaPipe's solution"] = lambda: mediapipe_alone(video)
    runs = {name: min(timed(work) for _ in range(REPEATS)) for name, work in works.items()}
    print(f"{video.name}: {frames} frames; ms per frame, wall (processor)")
    for name, (wall, processor) in runs.items():
        print(f"  {name:22} {1000 * wall / frames:6.1f} ({1000 * processor / frames:.1f})")
    if "MediaPipe's solution" in runs:
        theirs = runs["MediaPipe's solution"][0]
        for name in ("full", "heavy"):
            print(f"  {name} over MediaPipe's solution: {runs[name][0] / theirs:.2f}")
    for name in ("full", "heavy"):
        print(f"  {PEOPLE} people over one, {name}: {people_ratio(video, name):.2f}")


if __name__ == "__main__":
    main()

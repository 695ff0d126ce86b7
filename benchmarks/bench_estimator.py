"""Time of the blazepose estimator per frame, next to MediaPipe's own solution on the same clip.

Run: python benchmarks/bench_estimator.py [VIDEO]. Prints milliseconds of wall and processor time, and their ratio.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import mediapipe as mp

from hsmr_bio.estimators import get_estimator
from hsmr_bio.io.video import open_video

DEMO = Path(__file__).resolve().parents[1] / "examples" / "demo.mp4"


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds of one call."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def mediapipe_alone(video: Path) -> None:
    """Decode and run MediaPipe's ready-made graph: one person of its own choice, smoothed."""
    with mp.solutions.pose.Pose(model_complexity=1) as pose:
        for frame in open_video(video, max_side_px=1920):
            pose.process(frame.rgb)


def main() -> None:
    """Measure both, twice, and print the better run."""
    warnings.simplefilter("ignore")
    video = Path(sys.argv[1]) if len(sys.argv) > 1 else DEMO
    frames = sum(1 for _ in open_video(video, max_side_px=64))
    decode = min(timed(lambda: list(map(id, open_video(video, max_side_px=1920)))) for _ in range(2))
    theirs = min(timed(lambda: mediapipe_alone(video)) for _ in range(2))
    ours = min(timed(lambda: get_estimator("blazepose").estimate(video)) for _ in range(2))
    print(f"{video.name}: {frames} frames; ms per frame, wall (processor)")
    for name, (wall, processor) in {"decoding": decode, "MediaPipe's solution": theirs, "blazepose here": ours}.items():
        print(f"  {name:22} {1000 * wall / frames:6.1f} ({1000 * processor / frames:.1f})")
    print(f"  ratio                  {ours[0] / theirs[0]:6.2f} ({ours[1] / theirs[1]:.2f})")


if __name__ == "__main__":
    main()

"""How fast the body is: CPU time per call, beside the official code's on the same machine class.

Run: python benchmarks/bench_body.py [SKEL_FILE]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import torch

from hsmr_bio.body import load_body
from hsmr_bio.fitting.core.body_points import KeypointPoints
from hsmr_bio.kinematics import TreePose

OFFICIAL_JOINTS_CPU_S = 0.21
"""Official SKEL code, 128 poses without the skeleton mesh, measured on two shared cores."""


def cpu_s(work: Callable[[], object], repeats: int = 10) -> float:
    """CPU seconds of one call, the median of some."""
    work()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return float(np.median(times))


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    start = time.perf_counter()
    body = load_body(sys.argv[1]) if len(sys.argv) > 1 else load_body("open")
    print(f"{body!r}: loaded in {time.perf_counter() - start:.2f} s")
    rng = np.random.default_rng(0)
    betas = torch.tensor(rng.normal(size=10))
    for dtype in (torch.float64, torch.float32):
        poses, shape = torch.tensor(rng.normal(size=(128, 46)) * 0.3, dtype=dtype), betas.to(dtype)
        joints = cpu_s(lambda p=poses, b=shape: body.forward(p, b))
        print(
            f"{dtype}: joints of 128 poses {joints * 1e3:.1f} ms, {OFFICIAL_JOINTS_CPU_S / joints:.0f} times the official speed"
        )
        skin = cpu_s(lambda p=poses[:32], b=shape: body.forward(p, b, skin=True), 3)
        bones = cpu_s(lambda p=poses[:32], b=shape: body.forward(p, b, skeleton=True), 3)
        print(f"{dtype}: skin {skin / 32 * 1e3:.1f} ms a frame, skeleton mesh {bones / 32 * 1e3:.1f} ms a frame")
    tree, points = body.tree(betas), KeypointPoints.of(body, "blazepose33")(np.asarray(betas), np.zeros((8, 3)))
    q = rng.normal(size=(300, 49)) * 0.3

    def jacobian(pose: TreePose) -> None:
        pose.point_jacobian(pose.points(points.bodies, points.local_m), points.bodies)

    print(f"33 keypoints with Jacobians, 300 frames: {cpu_s(lambda: jacobian(tree.forward(q))) * 1e3:.0f} ms")


if __name__ == "__main__":
    main()

"""SKELify: the paper's L-BFGS procedure against our damped least squares, same start, same data, same process."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from hsmr_bio.body import load_body
from hsmr_bio.fitting.skelify.hsmr_points import HsmrPoints, read_regressor
from hsmr_bio.fitting.skelify.lbfgs import SkelifyResult
from hsmr_bio.fitting.skelify.objective import FULL, REFINE, stage_terms, torch_sum
from hsmr_bio.fitting.skelify.skelify import skelify
from hsmr_bio.hsmr.camera import project
from hsmr_bio.hsmr.losses import LIMIT_BOUNDS, LIMIT_DOFS
from hsmr_bio.hsmr.pose import MEAN_POSE_RAD


def random_people(points: HsmrPoints, count: int, seed: int, noise: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Labels (B, 44, 3) of random people, and rough predictions of their pose (B, 46) and betas."""
    rng = np.random.default_rng(seed)
    poses = np.tile(np.array(MEAN_POSE_RAD), (count, 1)) + 0.25 * rng.standard_normal((count, 46))
    low, high = np.array(LIMIT_BOUNDS).T
    inside = np.clip(poses[:, list(LIMIT_DOFS)], low, high)
    poses[:, list(LIMIT_DOFS)] = inside
    poses[:, 2] += rng.uniform(-1, 1, count)
    betas = 0.7 * rng.standard_normal((count, 10))
    translation = np.column_stack([0.1 * rng.standard_normal((count, 2)), rng.uniform(38, 50, count)])
    true = torch.tensor(poses), torch.tensor(betas), torch.tensor(translation)
    seen = project(points(true[0], true[1]), true[2])
    label = torch.cat([seen + noise * torch.tensor(rng.standard_normal(seen.shape)), torch.ones(count, 44, 1)], dim=-1)
    label[..., 2] = torch.tensor(rng.uniform(0.3, 1.0, (count, 44)))
    rough = true[0] + 0.15 * torch.tensor(rng.standard_normal((count, 46)))
    return label, rough, true[2]


def objective(points: HsmrPoints, label: torch.Tensor, result: SkelifyResult, schedule: str) -> float:
    """The last stage's objective of either method's result, in float64."""
    stage = (FULL if schedule == "full" else REFINE).stages[-1]
    poses, betas, translation = result.poses_rad.double(), result.betas.double(), result.translation_m.double()
    projected = project(points(poses, betas), translation)
    return float(torch_sum(stage_terms(stage, projected, label, poses, betas, translation, translation[:, 2])))


def main() -> None:
    """Print one line per case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--body", default="open", help="open, or a SKEL file")
    parser.add_argument("--sex", default="neutral")
    parser.add_argument("--regressors", type=Path, nargs=2, help="SMPL_to_J19.pkl and J_regressor_SKEL_mix_MALE.pkl")
    parser.add_argument("--batch", type=int, nargs="*", default=[1, 16])
    args = parser.parse_args()
    body = load_body(args.body, args.sex)
    if args.regressors:
        points = HsmrPoints.from_regressors(body, *(read_regressor(path) for path in args.regressors))
    else:
        points = HsmrPoints.from_table(body)
    for batch in args.batch:
        label, rough, translation = random_people(points, batch, seed=batch, noise=0.004)
        for schedule, start in (("full", {}), ("refine", {"poses_rad": rough, "translation_m": translation})):
            figures = {}
            for method in ("lbfgs", "gauss-newton"):
                begin = time.process_time()
                result = skelify(label, points, schedule=schedule, method=method, **start)
                passed = time.process_time() - begin
                figures[method] = passed, objective(points, label, result, schedule), float(result.keypoint_error.mean())
            (slow, theirs, error), (fast, ours, our_error) = figures["lbfgs"], figures["gauss-newton"]
            print(
                f"{body.name} batch {batch:3d} {schedule:6s}  paper {slow:7.2f} s objective {theirs:.6f} error {error:.2e}   "
                f"ours {fast:6.3f} s objective {ours:.6f} error {our_error:.2e}   "
                f"time ratio {fast / slow:.3f}, objective difference {ours - theirs:+.2e}"
            )


if __name__ == "__main__":
    main()

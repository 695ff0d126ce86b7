"""SMPL to SKEL: error and time per frame on the fixture sequence, beside the official fit's; memory over 10 000 frames.

Run: python benchmarks/bench_smpl.py FOLDER SEQUENCE.npz [--long]
FOLDER holds skel_male.pkl and smpl/SMPL_MALE.pkl; SEQUENCE.npz has poses (T, 72), betas (1, 10), trans (T, 3).
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from hsmr_bio.body import Body, load_body
from hsmr_bio.body.smpl_model import SmplModel, load_smpl
from hsmr_bio.fitting.smpl.skin_problem import SmplFitOptions
from hsmr_bio.fitting.smpl.smpl_motion import SmplMotion
from hsmr_bio.fitting.smpl.to_skel import SmplFit, smpl_to_skel

OFFICIAL_ERROR_MM = 4.43
OFFICIAL_CPU_S = {1: 77.0, 10: 10.3}
"""Official code on the same sequence: mean vertex error of 10 frames; CPU seconds a frame for 1 and for 10 frames."""


def stretched(sequence: dict[str, np.ndarray], count: int) -> SmplMotion:
    """The sequence, played back and forth to ``count`` frames."""
    frames = len(sequence["poses"])
    at = np.abs((np.arange(count) * (0.37 if count > frames else 1) + frames - 1) % (2 * frames - 2) - (frames - 1))
    first = np.minimum(at.astype(int), frames - 2)
    share = (at - first)[:, None]
    poses, trans = (sequence[k][first] * (1 - share) + sequence[k][first + 1] * share for k in ("poses", "trans"))
    rotations = Rotation.from_rotvec(poses.reshape(-1, 3)).as_matrix().reshape(-1, 24, 3, 3)
    betas = sequence["betas"].reshape(-1)[:10]
    return SmplMotion(time_s=np.arange(count) / 30, rotations=rotations, trans_m=trans, betas=betas, sex="male")


def whole_error_mm(fit: SmplFit, motion: SmplMotion, smpl: SmplModel, body: Body) -> tuple[float, float]:
    """Mean distance over all vertices, and over the anatomical joints."""
    out = body.forward(fit.motion.poses_rad, fit.motion.betas, fit.motion.trans_m, skin=True)
    wanted = smpl.forward(motion.rotations, motion.betas, motion.trans_m).vertices_m
    joints = torch.einsum("jv,tvc->tjc", torch.tensor(body.data.joint_regressor.toarray()), wanted)
    skin = (out.skin_m - wanted).norm(dim=-1).mean()
    return float(skin) * 1e3, float((out.joints_m - joints).norm(dim=-1).mean()) * 1e3


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("sequence", type=Path)
    parser.add_argument("--long", action="store_true", help="also 10 000 frames")
    args = parser.parse_args()
    torch.set_num_threads(1)
    body, smpl = load_body(args.folder / "skel_male.pkl"), load_smpl(args.folder / "smpl" / "SMPL_MALE.pkl")
    sequence = dict(np.load(args.sequence))
    for count in (1, 10, 300, *((2000, 10000) if args.long else ())):
        motion = stretched(sequence, count)
        cpu, wall = time.process_time(), time.perf_counter()
        fit = smpl_to_skel(motion, smpl, body)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        ratio = f", {OFFICIAL_CPU_S[count] / (cpu / count):.0f} times the official speed" if count in OFFICIAL_CPU_S else ""
        print(f"{count} frames: {cpu / count * 1e3:.1f} CPU ms a frame, {wall:.2f} s in all, peak {peak_mb:.0f} MB{ratio}")
        if count == 10:
            vertex, joint = whole_error_mm(fit, motion, smpl, body)
            print(f"  vertex error {vertex:.2f} mm (official {OFFICIAL_ERROR_MM}), joint error {joint:.2f} mm")
            refined = smpl_to_skel(motion, smpl, body, SmplFitOptions(refine_betas=True))
            print("  with refined betas: {:.2f} mm, joints {:.2f} mm".format(*whole_error_mm(refined, motion, smpl, body)))
            beyond = np.degrees(fit.limit_excess_rad) > 1
            print(
                f"  angles more than 1 degree beyond SKEL's limits: {beyond.mean():.1%} (scapula elevation of SKEL's rest pose)"
            )


if __name__ == "__main__":
    main()

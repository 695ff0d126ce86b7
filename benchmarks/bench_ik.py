"""Marker IK against OpenSim's own tool: same markers, same model, same objective; CPU seconds of one thread.

python benchmarks/bench_ik.py FOLDER...      each with ref.osim and markers.trc
python benchmarks/bench_ik.py --bsm 300      synthetic: the shipped model, its 105 markers with 5 mm noise
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from hsmr_bio.fitting.markers.inverse_kinematics import inverse_kinematics, marker_errors
from hsmr_bio.io.trc import read_trc
from hsmr_bio.osim.document import OsimDocument
from hsmr_bio.osim.library import bsm
from hsmr_bio.types import Markers


def synthetic(frames: int) -> tuple[Markers, OsimDocument]:
    """Smooth motion of the shipped model within its ranges."""
    document = bsm()
    tree = document.tree()
    rng = np.random.default_rng(0)
    ranges = document.ranges_si.clip(-1.2, 1.2)
    middle, half = ranges.mean(axis=1), 0.3 * np.ptp(ranges, axis=1)
    time_s = np.arange(frames) / 100
    phase, speed = rng.uniform(0, 6, len(middle)), rng.uniform(1, 4, len(middle))
    q = torch.as_tensor(middle + half * np.sin(time_s[:, None] * speed + phase))
    names = tuple(document.markers)
    bodies = [tree.bodies.index(document.markers[name].body) for name in names]
    local = torch.tensor([document.markers[name].position_m for name in names], dtype=torch.float64)
    points = tree.forward(q).points(bodies, local).numpy()
    return Markers(time_s=time_s, names=names, positions_m=points + rng.normal(0, 0.005, points.shape)), document


def compare(name: str, markers: Markers, document: OsimDocument) -> None:
    """Print one line of the table."""
    own_s = float("inf")
    for _ in range(3):  # the first call loads libraries
        began = time.process_time()
        ours = inverse_kinematics(markers, document)
        own_s = min(own_s, time.process_time() - began)
    began = time.process_time()
    theirs = inverse_kinematics(markers, document, backend="opensim")
    opensim_s = time.process_time() - began
    frames = len(markers.time_s)
    rms = [1000 * marker_errors(motion, document, markers).rms_m for motion in (ours, theirs)]
    speeds = f"own {frames / own_s:7.0f}/s  OpenSim {frames / opensim_s:6.1f}/s  ratio {opensim_s / own_s:6.1f}"
    print(f"{name:14} {frames:5} frames  {speeds}  RMS {rms[0]:.2f} and {rms[1]:.2f} mm  difference {rms[0] - rms[1]:+.2f} mm")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--bsm", type=int, metavar="FRAMES")
    args = parser.parse_args()
    torch.set_num_threads(1)
    for folder in args.folders:
        compare(folder.name, read_trc(folder / "markers.trc"), OsimDocument.read(folder / "ref.osim"))
    if args.bsm:
        compare("bsm synthetic", *synthetic(args.bsm))


if __name__ == "__main__":
    main()

"""Inverse dynamics and ground-reaction estimate: speed against OpenSim's own tool, agreement of engines, error against plates.

python benchmarks/bench_dynamics.py                 synthetic: the shipped model
python benchmarks/bench_dynamics.py FOLDER ...      also trials with model.osim or ref.osim, a .mot, grf.mot, ref_id.sto
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from hsmr_bio.body import load_body
from hsmr_bio.dynamics import ExternalForce, inverse_dynamics, trajectory
from hsmr_bio.dynamics.ground_reaction import FRICTION, estimate
from hsmr_bio.dynamics.nimble_backend import NimbleBackend
from hsmr_bio.dynamics.opensim_backend import OpenSimBackend
from hsmr_bio.dynamics.polynomial_bias import PolynomialBias
from hsmr_bio.dynamics.setup_files import write_id_setup
from hsmr_bio.dynamics.states import read_motion
from hsmr_bio.errors import ModelError
from hsmr_bio.io.mot import write_mot
from hsmr_bio.io.sto import read_sto
from hsmr_bio.io.table import read_table
from hsmr_bio.osim.document import OsimDocument
from hsmr_bio.osim.library import as_document, bsm
from hsmr_bio.scaling import scale_model
from hsmr_bio.types import OsimMotion


def synthetic(hz: float, frames: int, document: OsimDocument | None = None) -> OsimMotion:
    """Let all coordinates of a model, by default the shipped one, swing over 60 % of half their range."""
    document, rng = document or bsm(), np.random.default_rng(3)
    low, high = document.ranges_si.T
    bounded = np.isfinite(high - low) & (high - low < 5)
    middle = np.where(bounded, (low + high) / 2, 0.0)
    size = 0.6 * np.minimum(np.where(bounded, (high - low) / 2, 0.3), 1.0)
    time_s = np.arange(frames) / 100
    values = middle + size * np.sin(2 * np.pi * hz * time_s[:, None] + rng.uniform(0, 6.28, len(low)))
    names = tuple(document.coordinates)
    return OsimMotion(time_s=time_s, coordinates=names, values_si=values, rotational=document.rotational)


def best_s(work: Callable[[], object]) -> float:
    """CPU seconds, the best of three."""
    times = []
    for _ in range(3):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


def speed() -> None:
    """Frames per second of the engines, side by side."""
    motion = synthetic(0.5, 1000)
    backend = OpenSimBackend(bsm())
    nimble = NimbleBackend(bsm().to_bytes())
    states = backend.select(trajectory(motion))
    feet = backend.poses(states, ("calcn_r", "calcn_l")).origins_m
    force, none = np.tile([0.0, 400.0, 0.0], (1000, 1)), np.zeros((1000, 3))
    loads = [
        ExternalForce(name=name, body=name, time_s=states.time_s, force_n=force, point_m=feet[:, k], torque_nm=none)
        for k, name in enumerate(("calcn_r", "calcn_l"))
    ]
    rates = {
        "OpenSim solver": 1000 / best_s(lambda: backend.inverse_dynamics(states)),
        "OpenSim solver, two loads": 1000 / best_s(lambda: backend.inverse_dynamics(states, loads)),
        "nimblephysics, two loads": 1000 / best_s(lambda: nimble.inverse_dynamics(states, loads)),
        "inverse_dynamics(), whole": 1000 / best_s(lambda: inverse_dynamics(motion, backend)),
        "OpenSim InverseDynamicsTool": 1000 / tool_s(motion),
    }
    slowest = rates["OpenSim InverseDynamicsTool"]
    for name, rate in rates.items():
        print(f"{name:28} {rate:7.0f} frames/s   {rate / slowest:5.1f} x OpenSim's tool")
    seconds = best_s(lambda: estimate(states, backend, np.ones((1000, 4)), 0.0, FRICTION))
    print(f"{'ground reaction':28} {seconds:7.2f} ms/frame")


def tool_s(motion: OsimMotion) -> float:
    """CPU seconds of OpenSim's own tool on the same motion, files included."""
    import opensim

    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            bsm().write("model.osim")
            write_mot("motion.mot", motion)
            span = (float(motion.time_s[0]), float(motion.time_s[-1]))
            write_id_setup("setup_id.xml", model_file="model.osim", motion_file="motion.mot", time_range_s=span)
            began = time.process_time()
            opensim.InverseDynamicsTool("setup_id.xml").run()
            return time.process_time() - began
        finally:
            os.chdir(before)


def engines() -> None:
    """Largest and relative difference of OpenSim, ours corrected, and nimblephysics; and of OpenSim's solver as it is."""
    person = as_document(scale_model(load_body("open"), np.zeros(10)))
    for (label, document), hz in itertools.product((("BSM", bsm()), ("a person's model", person)), (0.3, 1.0)):
        motion = synthetic(hz, 200, document)
        plain, nimble = (inverse_dynamics(motion, document, cutoff_hz=None, backend=name) for name in ("opensim", "nimble"))
        backend = OpenSimBackend(document)
        lacking = PolynomialBias(document.to_bytes()).forces(backend.select(trajectory(motion, cutoff_hz=None)))
        angles = plain.rotational
        for name, off in (("as it is", plain.values_si - lacking - nimble.values_si), ("", plain.values_si - nimble.values_si)):
            share = np.sqrt(np.mean(off**2, axis=0)) / np.abs(nimble.values_si).max(axis=0)
            print(
                f"{label} at {hz} Hz, OpenSim {name} - nimble: {np.abs(off[:, angles]).max():.3f} N m, "
                f"{np.abs(off[:, ~angles]).max():.3f} N; worst {share.max():.2%} RMS of peak"
            )


def trial(folder: Path) -> None:
    """Ours against the shipped result and against the plates."""
    model = next(path for path in (folder / "model.osim", folder / "ref.osim") if path.is_file())
    motion = next(path for path in (folder / "ik.mot", folder / "ref.mot") if path.is_file())
    backend = OpenSimBackend(model)
    values = read_motion(motion, backend)
    if (folder / "ref_id.sto").is_file():
        reference = read_sto(folder / "ref_id.sto")
        result = inverse_dynamics(values, backend, folder / "external_loads.xml")
        off = np.abs(np.stack([result.column(name) for name in reference.coordinates], axis=1) - reference.values_si)
        angles = reference.rotational
        print(f"{folder.name}: shipped result met within {off[:, angles].max():.4f} N m, {off[:, ~angles].max():.4f} N")
    try:
        found = inverse_dynamics(values, backend, "estimate")
    except ModelError as error:
        print(f"{folder.name}: {error}")
        return
    residuals, ground = found.residuals, found.ground
    if residuals is None or ground is None:
        raise RuntimeError("an estimate has residuals")
    print(
        f"{folder.name}: residual RMS {residuals.force_rms_bw:.2%} of weight, "
        f"{residuals.moment_rms_bw_h:.2%} of weight x COM height; flight {ground.flight.mean():.0%}"
    )
    if (folder / "grf.mot").is_file():
        plates(folder, found)


def plates(folder: Path, found: object) -> None:
    """Error of the estimated forces over the frames from 0.15 s on (a foot may stand beside the plates before)."""
    ground = found.ground  # type: ignore[attr-defined]
    table = read_table(folder / "grf.mot")
    after = ground.time_s >= 0.15
    for foot, side in enumerate("rl"):
        measured = [np.interp(ground.time_s, table.time_s, table.values[:, 9 * foot + axis]) for axis in range(3)]
        off = (ground.force_n[:, foot] - np.stack(measured, axis=1))[after] / ground.body_weight_n
        rmse = np.sqrt(np.mean(off**2, axis=0))
        impulse = off[:, 1].sum() / (measured[1][after].sum() / ground.body_weight_n)
        print(
            f"  foot {side}: RMSE {rmse[1]:.1%} of weight vertical, {rmse[0]:.1%} fore-aft, {rmse[2]:.1%} sideways; "
            f"impulse {impulse:+.1%}"
        )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path)
    args = parser.parse_args()
    speed()
    engines()
    for folder in args.folders:
        trial(folder)


if __name__ == "__main__":
    main()

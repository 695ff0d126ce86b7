"""Shipped inverse-dynamics results, measured ground reaction, and OpenSim's own tools on our setup files."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from hsmr_bio.cli import main
from hsmr_bio.dynamics import inverse_dynamics
from hsmr_bio.dynamics.checks import check_dynamics
from hsmr_bio.dynamics.results import summary
from hsmr_bio.io.sto import read_sto
from hsmr_bio.io.table import read_table

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
pytestmark = [
    pytest.mark.opensim,
    pytest.mark.assets,
    pytest.mark.skipif(not SHARED.is_dir(), reason="the development data (../shared) are not here"),
]
TRIALS = {
    "gait10dof": (SHARED / "data/dynamics/gait10dof_walk", "model.osim", "ik.mot"),
    "s4": (SHARED / "data/motion/s4_walk_grf", "ref.osim", "ref.mot"),
}


def errors(result, reference) -> np.ndarray:
    """(T, N) ours minus theirs, columns of the reference."""
    return np.stack([result.column(name) for name in reference.coordinates], axis=1) - reference.values_si


@pytest.mark.parametrize("trial", TRIALS)
@pytest.mark.parametrize("loads", ["external_loads.xml", "grf.mot"])
def test_shipped_results_are_met(trial: str, loads: str) -> None:
    folder, model, motion = TRIALS[trial]
    reference = read_sto(folder / "ref_id.sto")
    result = inverse_dynamics(folder / motion, folder / model, folder / loads)
    off = np.abs(errors(result, reference))
    assert off[:, reference.rotational].max() < 0.01  # N m
    assert off[:, ~reference.rotational].max() < 0.03  # N


@pytest.fixture(scope="module")
def estimated():
    folder, model, motion = TRIALS["s4"]
    return inverse_dynamics(folder / motion, folder / model, "estimate")


def test_the_estimated_ground_reaction_meets_the_plates(estimated) -> None:
    folder, _, _ = TRIALS["s4"]
    plates = read_table(folder / "grf.mot")
    ground, weight = estimated.ground, estimated.ground.body_weight_n
    # The left foot stands beside the plates until 0.12 s; nothing can be compared before.
    for foot, first in ((0, 0), (1, 15)):
        names = [f"ground_force_{foot + 1}_v{axis}" for axis in "xyz"]
        measured = plates.values[first:, [plates.columns.index(name) for name in names]]
        off = ground.force_n[first:, foot] - measured
        rmse = np.sqrt(np.mean(off**2, axis=0)) / weight
        assert rmse[1] < 0.09
        assert rmse[0] < 0.045
        assert abs(off[:, 1].sum() / measured[:, 1].sum()) < 0.03
        loaded = measured[:, 1] > 0.3 * weight
        at = [plates.columns.index(f"ground_force_{foot + 1}_p{axis}") for axis in "xz"]
        pressure = ground.center_of_pressure_m[first:][loaded][:, foot, [0, 2]] - plates.values[first:][loaded][:, at]
        assert np.sqrt(np.mean(np.sum(pressure**2, axis=1))) < 0.05


def test_residuals_of_the_estimate_are_small(estimated) -> None:
    assert estimated.residuals.force_rms_bw < 0.05
    assert estimated.residuals.moment_rms_bw_h < 0.05
    assert check_dynamics(estimated).status == "pass"
    ground = estimated.ground
    force, moment = (np.sqrt(np.square(v).sum(axis=1).mean()) for v in (ground.residual_force_n, ground.residual_moment_nm))
    assert force / ground.body_weight_n == pytest.approx(estimated.residuals.force_rms_bw, rel=0.02)
    share = moment / (ground.body_weight_n * ground.com_height_m)
    assert share == pytest.approx(estimated.residuals.moment_rms_bw_h, rel=0.05)


def test_kneecaps_follow_their_knees_if_the_motion_lacks_them() -> None:
    from hsmr_bio.dynamics.opensim_backend import OpenSimBackend
    from hsmr_bio.dynamics.states import read_motion
    from hsmr_bio.types import OsimMotion

    folder, model, file = TRIALS["s4"]
    backend = OpenSimBackend(folder / model)
    motion = read_motion(folder / file, backend)
    kept = [k for k, name in enumerate(motion.coordinates) if not name.endswith("_beta")]
    assert len(kept) == len(motion.coordinates) - 2
    fewer = OsimMotion(
        time_s=motion.time_s,
        coordinates=tuple(motion.coordinates[k] for k in kept),
        values_si=motion.values_si[:, kept],
        rotational=motion.rotational[kept],
    )
    whole, filled = inverse_dynamics(motion, backend), inverse_dynamics(fewer, backend)
    column = whole.coordinates.index("knee_angle_r_beta")
    np.testing.assert_allclose(filled.trajectory.q_si[:, column], whole.trajectory.q_si[:, column], atol=1e-5)
    np.testing.assert_allclose(filled.column("hip_flexion_r"), whole.column("hip_flexion_r"), atol=0.01)


def test_a_foot_beside_the_plates_is_found_by_the_checks() -> None:
    folder, model, motion = TRIALS["s4"]
    report = check_dynamics(inverse_dynamics(folder / motion, folder / model, folder / "grf.mot"))
    assert report["residual force"].status == "fail"
    assert "beside the plates" in report["residual force"].detail


def test_contacts_from_outside_are_used(estimated) -> None:
    folder, model, motion = TRIALS["s4"]
    vertical = estimated.ground.force_n[..., 1] > 0.05 * estimated.ground.body_weight_n
    contacts = np.repeat(vertical, 2, axis=1).astype(float)
    result = inverse_dynamics(folder / motion, folder / model, "estimate", contacts=contacts)
    off = (result.ground.force_n - estimated.ground.force_n)[..., 1] / result.ground.body_weight_n
    assert np.sqrt(np.mean(off**2)) < 0.08
    late = np.zeros_like(contacts)
    none = inverse_dynamics(folder / motion, folder / model, "estimate", contacts=late)
    assert none.ground.flight.all()
    assert none.residuals.force_rms_bw > 0.9


def test_a_planar_model_is_refused_by_the_estimate() -> None:
    from hsmr_bio.errors import ModelError

    folder, model, motion = TRIALS["gait10dof"]
    with pytest.raises(ModelError, match="six coordinates"):
        inverse_dynamics(folder / motion, folder / model, "estimate")


@pytest.mark.parametrize("how", [["--loads", "grf.mot"], ["--estimate"]])
def test_opensims_tool_gives_the_same_numbers_on_our_setup_file(how, tmp_path, monkeypatch, capsys) -> None:
    opensim = pytest.importorskip("opensim")
    folder, model, motion = TRIALS["s4"]
    for name in (model, motion, "grf.mot"):
        shutil.copy(folder / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    code = main(["id", motion, *how, "-o", "out", "--json"])
    assert code == (3 if "--loads" in how else 0)
    found = capsys.readouterr()
    assert '"peak_per_kg"' in found.out
    assert "residual force" in found.err
    monkeypatch.chdir(tmp_path / "out")
    opensim.InverseDynamicsTool("ref_setup_id.xml").run()
    theirs, ours = read_sto("ref_id_opensim.sto"), read_sto("ref_id.sto")
    order = [ours.coordinates.index(name) for name in theirs.coordinates]
    off = np.abs(ours.values_si[:, order] - theirs.values_si)
    assert np.array_equal(theirs.rotational, ours.rotational[order])
    assert off[:, theirs.rotational].max() < 0.01
    assert off[:, ~theirs.rotational].max() < 0.03


def test_the_summary_is_json(estimated) -> None:
    import json

    text = json.dumps(summary(estimated), allow_nan=False)
    found = json.loads(text)
    assert 0.9 < found["ground"]["mean_vertical_bw"] < 1.1
    assert found["checks"]["status"] == "pass"
    assert set(found["joints"]["knee_angle_r"]) == {"peak_per_kg", "peak_power_w_per_kg", "work_j_per_kg"}

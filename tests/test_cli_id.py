"""``hsmr-bio id`` from files to files."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hsmr_bio.cli import main
from hsmr_bio.dynamics.load_files import read_loads
from hsmr_bio.io.mot import write_mot
from hsmr_bio.io.npz import save_motion
from hsmr_bio.io.sto import read_sto
from hsmr_bio.io.table import read_table
from hsmr_bio.osim.library import bsm
from hsmr_bio.types import OsimMotion, SkelMotion

pytestmark = pytest.mark.opensim


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with stand.osim and stand.mot: BSM bends its right elbow."""
    monkeypatch.chdir(tmp_path)
    document = bsm()
    document.write("stand.osim")
    names, time_s = tuple(document.coordinates), np.arange(40) / 50
    values = np.tile(document.default_si, (40, 1))
    values[:, names.index("pelvis_ty")] = 0.93
    values[:, names.index("elbow_flexion_r")] = 0.3 + 0.3 * np.sin(4 * time_s)
    write_mot("stand.mot", OsimMotion(time_s=time_s, coordinates=names, values_si=values, rotational=document.rotational))
    return tmp_path


def test_estimated_forces_go_to_files_that_can_be_used_again(here, capsys) -> None:
    assert main(["id", "stand.mot", "--estimate", "-o", "out"]) == 0
    said = capsys.readouterr()
    assert set(said.out.split()) == {
        f"out/{name}"
        for name in ("stand_id.sto", "stand_power.sto", "stand_loads.xml", "stand_loads.mot", "stand_setup_id.xml")
    }
    assert "PASS" in said.err
    assert sum(force.force_n[5, 1] for force in read_loads("out/stand_loads.xml").forces) == pytest.approx(739, rel=0.02)
    assert main(["id", "stand.mot", "--loads", "out/stand_loads.xml", "-o", "again", "--quiet"]) == 0
    first, second = read_sto("out/stand_id.sto"), read_sto("again/stand_id.sto")
    np.testing.assert_allclose(first.values_si, second.values_si, atol=1e-4)
    power = read_table("out/stand_power.sto")
    assert power.columns[0] == "pelvis_tilt_power"
    assert np.abs(power.values[:, power.columns.index("elbow_flexion_r_power")]).max() > 0.1


def test_per_kilogram_and_the_other_engine(here, capsys) -> None:
    assert main(["id", "stand.mot", "-o", "a", "--per-kg", "--json"]) == 0
    said = capsys.readouterr()
    assert "no external forces" in said.err
    found = json.loads(said.out)
    assert found["frames"] == 40
    assert "residuals" not in found
    pytest.importorskip("nimblephysics")
    assert main(["id", "stand.mot", "-o", "b", "--backend", "nimble", "--cutoff-hz", "0"]) == 0
    assert main(["id", "stand.mot", "-o", "c", "--cutoff-hz", "0"]) == 0
    mass = bsm().mass_kg
    per_kg, nimble, opensim = (read_sto(f"{folder}/stand_id.sto").values_si for folder in "abc")
    np.testing.assert_allclose(nimble, opensim, atol=0.05)
    assert per_kg[20, 4] * mass == pytest.approx(opensim[20, 4], rel=0.01)
    assert "(N m/kg, N/kg)" in (here / "a/stand_id.sto").read_text().splitlines()[0]
    assert "-1<" in (here / "c/stand_setup_id.xml").read_text()


def test_contacts_of_the_fit_are_used(here, capsys) -> None:
    contacts = np.tile([1.0, 1, 0, 0], (40, 1))
    skel = SkelMotion(
        time_s=np.arange(40) / 50,
        poses_rad=np.zeros((40, 46)),
        trans_m=np.zeros((40, 3)),
        betas=np.zeros(10),
        body="open-neutral@test",
        frame="world",
        contacts=contacts,
    )
    save_motion("stand_skel.npz", skel)
    assert main(["id", "stand.mot", "--estimate", "-o", "out"]) == 0
    said = capsys.readouterr().err
    assert "foot contacts are those of stand_skel.npz" in said
    assert "warn    residual moment" in said  # one foot cannot balance a body that stands on two
    left = next(force for force in read_loads("out/stand_loads.xml").forces if force.body == "calcn_l")
    assert np.all(left.force_n == 0)


def test_mistakes_are_one_line(here, capsys) -> None:
    assert main(["id", "stand.mot", "-o", "out"]) == 0
    capsys.readouterr()
    for words, message in (
        (["id", "stand.mot", "-o", "out"], "exists already"),
        (["id", "run.mot", "-o", "x"], "which model?"),
        (["id", "run.mot", "--model", "stand.osim", "-o", "x"], "run.mot"),
        (["id", "stand.mot", "--loads", "forces.csv", "-o", "x"], ".xml, .mot, .sto or .c3d"),
        (["id", "stand.mot", "--cutoff-hz", "40", "-o", "x"], "cutoff_hz must be between 0 and 25"),
    ):
        assert main(words) == 1
        said = capsys.readouterr().err
        assert message in said
        assert said.count("\n") == 1
        assert not (here / "x").exists()
    with pytest.raises(SystemExit) as stopped:
        main(["id", "stand.mot", "--loads", "a.xml", "--estimate", "-o", "x"])
    assert stopped.value.code == 2

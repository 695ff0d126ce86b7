"""``image2mot --dynamics`` from the world motion on: results, checks, files, report."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from hsmr_bio.cli import main
from hsmr_bio.dynamics.load_files import read_loads
from hsmr_bio.errors import InputError
from hsmr_bio.pipeline.options import ResultOptions
from hsmr_bio.pipeline.results import make_results
from hsmr_bio.pipeline.write import write_results
from hsmr_bio.skeleton import DOF_NAMES
from hsmr_bio.types import SkelMotion

pytestmark = pytest.mark.opensim


@pytest.fixture(scope="module")
def motion(open_body) -> SkelMotion:
    """A second of standing with hanging arms, right forearm moving; soles at y = 0, facing x."""
    time_s = np.arange(40) / 40
    poses = np.zeros((40, 46))
    for name, value in {"shoulder_r_x": 1.3, "shoulder_l_x": -1.3, "pelvis_rotation": np.pi / 2}.items():
        poses[:, DOF_NAMES.index(name)] = value
    poses[:, DOF_NAMES.index("elbow_flexion_r")] = 0.3 + 0.2 * np.sin(5 * time_s)
    lowest = float(open_body.rest(np.zeros(10)).skin_m[:, 1].min())
    trans = np.tile([0.0, -lowest, 0.0], (40, 1))
    return SkelMotion(
        time_s=time_s,
        poses_rad=poses,
        trans_m=trans,
        betas=np.zeros(10),
        body=open_body.name,
        frame="world",
        contacts=np.ones((40, 4)),
    )


def test_forces_and_moments_join_the_results(open_body, motion, tmp_path) -> None:
    options = ResultOptions(dynamics=True, mass_kg=70.0)
    result = make_results(motion, open_body, options, name="stand")
    assert result.dynamics is not None
    assert result.dynamics.ground.force_n[20, :, 1].sum() == pytest.approx(70 * 9.80665, rel=0.02)
    assert result.checks["residual force"].status == "pass"
    written = write_results(tmp_path, result, open_body, options)
    names = {path.name for path in written.paths}
    assert {
        "stand_id.sto",
        "stand_power.sto",
        "stand_loads.xml",
        "stand_loads.mot",
        "stand_setup_id.xml",
        "stand_setup_ik.xml",
    } <= names
    assert len(read_loads(tmp_path / "stand_loads.xml").forces) == 2
    assert "stand_loads.xml" in (tmp_path / "stand_setup_id.xml").read_text()
    assert "Forces and moments" in (tmp_path / "stand_report.html").read_text()
    report = json.loads((tmp_path / "stand_report.json").read_text())
    assert report["dynamics"]["residuals"]["rms_force_bw"] < 0.05


def test_nobody_who_does_not_ask_gets_forces(open_body, motion, tmp_path) -> None:
    result = make_results(motion, open_body, ResultOptions(), name="stand")
    assert result.dynamics is None
    names = {path.name for path in write_results(tmp_path, result, open_body, ResultOptions()).paths}
    assert "stand_setup_ik.xml" in names
    assert not {"stand_id.sto", "stand_setup_id.xml"} & names, "without loads the pelvis would carry the body, without a word"


def test_forces_can_be_computed_later_into_the_same_folder(open_body, motion, tmp_path) -> None:
    """The README's sequence: results first, then ``hsmr-bio id --estimate`` with the same folder."""
    write_results(
        tmp_path, make_results(motion, open_body, ResultOptions(mass_kg=70), name="stand"), open_body, ResultOptions()
    )
    assert main(["id", str(tmp_path / "stand.mot"), "--estimate", "-o", str(tmp_path), "--quiet"]) in (0, 3)
    assert "stand_loads.xml" in (tmp_path / "stand_setup_id.xml").read_text()


def test_a_still_has_no_moments(open_body, motion) -> None:
    picture = replace(
        motion, time_s=[0.0], poses_rad=motion.poses_rad[:1], trans_m=motion.trans_m[:1], contacts=motion.contacts[:1]
    )
    with pytest.raises(InputError, match="at least 6 frames"):
        make_results(picture, open_body, ResultOptions(dynamics=True, cutoff_hz=None))

"""A model file and its betas belong together, or are refused; motion goes there and back through files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hsmr_bio.body import Body
from hsmr_bio.cli import main
from hsmr_bio.errors import InputError
from hsmr_bio.io.mot import write_mot
from hsmr_bio.io.npz import load_motion, save_motion
from hsmr_bio.mapping import to_coordinates
from hsmr_bio.osim.document import OsimDocument
from hsmr_bio.osim.library import bsm
from hsmr_bio.osim.twin import twin_model
from hsmr_bio.scaling import scale_model
from hsmr_bio.skeleton import DOF_NAMES
from hsmr_bio.subjects import subject_of_model
from hsmr_bio.types import SkelMotion, Subject

BETAS = np.array([0.8, -0.5, 0.3, 0, 0, 0, 0, 0, 0, 0])


def written(subject: Subject) -> OsimDocument:
    return OsimDocument.from_bytes(subject.osim_xml, source=f"{subject.name}.osim")


@pytest.mark.parametrize("model", ["bsm", "twin"])
def test_a_model_and_its_betas_are_a_subject_again(open_body: Body, model: str) -> None:
    make = {"bsm": scale_model, "twin": twin_model}[model]
    made = make(open_body, BETAS, mass_kg=66.0, height_m=1.85, name="ann")
    found = subject_of_model(written(made), open_body, BETAS)
    assert (found.model, found.name, found.body) == (model, "ann", open_body.name)
    assert found.stature_m == pytest.approx(1.85, abs=2e-4)
    assert found.mass_kg == pytest.approx(66.0, abs=1e-3)


def test_other_betas_and_other_models_are_refused(open_body: Body) -> None:
    made = scale_model(open_body, BETAS, name="ann")
    with pytest.raises(InputError, match="not made from these betas"):
        subject_of_model(written(made), open_body, np.array([-2.0, 0, 2.5, -2, 0, 0, 0, 0, 0, 0]))
    with pytest.raises(InputError, match="not made from these betas"):
        subject_of_model(bsm(), open_body, BETAS)


def walking(body: Body) -> SkelMotion:
    time = np.arange(40) / 50
    poses = np.zeros((40, 46))
    for name, values in {
        "hip_flexion_r": 0.4 * np.sin(6 * time),
        "hip_flexion_l": -0.4 * np.sin(6 * time),
        "knee_angle_r": 0.4 + 0.3 * np.sin(6 * time),
        "knee_angle_l": 0.4 - 0.3 * np.sin(6 * time),
        "elbow_flexion_r": 0.5 + 0 * time,
        "elbow_flexion_l": 0.5 + 0 * time,
        "shoulder_r_x": 1.1 + 0 * time,
        "shoulder_l_x": -1.1 + 0 * time,
    }.items():
        poses[:, DOF_NAMES.index(name)] = values
    return SkelMotion(
        time_s=time, poses_rad=poses, trans_m=np.zeros((40, 3)) + time[:, None], betas=BETAS, body=body.name, frame="world"
    )


@pytest.mark.slow
def test_mot2skel_brings_the_skel_motion_back(open_body: Body, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    motion = walking(open_body)
    subject = scale_model(open_body, BETAS, name="walk")
    (tmp_path / "walk.osim").write_bytes(subject.osim_xml)
    write_mot(tmp_path / "walk.mot", to_coordinates(motion, subject, open_body))
    words = ["mot2skel", str(tmp_path / "walk.mot"), "-o", str(tmp_path / "back.npz"), "--quiet"]
    assert main(words) == 1
    assert "walk_skel.npz" in capsys.readouterr().err
    save_motion(tmp_path / "walk_skel.npz", motion)
    assert main(words) == 0
    back = load_motion(tmp_path / "back.npz")
    legs = [DOF_NAMES.index(name) for name in ("hip_flexion_r", "knee_angle_r", "hip_flexion_l", "knee_angle_l")]
    error_deg = np.rad2deg(back.poses_rad[:, legs] - motion.poses_rad[:, legs])
    assert np.sqrt(np.mean(error_deg**2)) < 0.5
    np.testing.assert_allclose(back.trans_m, motion.trans_m, atol=2e-3)
    assert main(words) == 1
    assert main([*words[:3], str(tmp_path / "back.txt")]) == 1
    assert "the result is a .npz" in capsys.readouterr().err
    assert json.dumps(dict(back.notes))

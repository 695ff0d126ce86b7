"""Metrics, violations and label files against the official evaluator."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from hsmr_bio.checks.limits import PAPER_TOLERANCES_DEG
from hsmr_bio.evaluation import labels, metrics, violations

FIXTURES = Path(__file__).resolve().parents[2].parent / "shared" / "fixtures" / "hsmr"
pytestmark = [pytest.mark.assets, pytest.mark.skipif(not FIXTURES.is_dir(), reason="no parity data in ../shared")]


@pytest.fixture(scope="module")
def data() -> dict:
    with np.load(FIXTURES / "eval_inputs.npz") as file:
        return {key: file[key] for key in file.files}


@pytest.fixture(scope="module")
def expected() -> dict:
    return json.loads((FIXTURES / "eval_expected.json").read_text())


def test_keypoint_errors(data: dict, expected: dict) -> None:
    assert list(metrics.EVALUATED_KEYPOINTS) == data["keypoint_list"].tolist()
    ours = metrics.keypoint_errors_mm(data["pred_keypoints_3d"], data["keypoints_3d"])
    np.testing.assert_allclose(ours["MPJPE"], data["per_sample_mode_mpjpe"], atol=1e-3, rtol=1e-5)
    np.testing.assert_allclose(ours["PA-MPJPE"], data["per_sample_mode_re"], atol=1e-3, rtol=1e-5)
    assert ours["MPJPE"].mean() == pytest.approx(expected["std3d"]["mode_mpjpe"], rel=1e-5)
    assert ours["PA-MPJPE"].mean() == pytest.approx(expected["std3d"]["mode_re"], rel=1e-5)


def test_pck_and_2d_error(data: dict, expected: dict) -> None:
    ours = metrics.pck(data["pred_keypoints_2d"], data["keypoints_2d"], data["box_size"], data["scale200"])
    theirs = dict(expected["std2d"])
    error = next(key for key in theirs if "kpl2" in key)
    mean = theirs.pop(error)
    assert set(ours) == set(theirs)
    for key, value in theirs.items():
        assert ours[key] == pytest.approx(value, abs=1e-6), key
    found = metrics.weighted_2d_error(data["pred_keypoints_2d"], data["keypoints_2d"])
    np.testing.assert_allclose(found, data["per_sample_mode_kpl2"], rtol=1e-5)
    assert found.mean() == pytest.approx(mean, rel=1e-5)


def test_mesh_errors(data: dict, expected: dict) -> None:
    ours = metrics.mesh_errors_mm(data["moyo_pd_joints"], data["moyo_gt_joints"], data["moyo_pd_verts"], data["moyo_gt_verts"])
    for name, key in (("MPJPE", "MPJPE"), ("PA-MPJPE", "PA-MPJPE"), ("MPVPE", "MPVE"), ("PA-MPVPE", "PA-MPVE")):
        np.testing.assert_allclose(ours[name], data[f"{key.replace('-', '_')}_per_sample"], atol=1e-3, rtol=1e-5)
        assert ours[name].mean() == pytest.approx(expected["moyo"][key], rel=1e-5)


@pytest.mark.parametrize("kind", ["skel", "smpl"])
def test_violations(kind: str, data: dict, expected: dict) -> None:
    poses = data["skel_poses"] if kind == "skel" else data["smpl_body_pose"]
    for tolerance in PAPER_TOLERANCES_DEG:
        found = violations.skel_violations(poses, tolerance) if kind == "skel" else violations.smpl_violations(poses, tolerance)
        for part, values in found.items():
            np.testing.assert_allclose(values, data[f"{kind}_vd{tolerance}_{part}"], atol=2e-5)
    ours, theirs = violations.violation_table(poses, kind), expected[f"{kind}_reality"]
    assert set(ours) == set(theirs)
    for key, value in theirs.items():
        assert ours[key] == pytest.approx(value, rel=1e-4, abs=2e-5), key


@pytest.mark.parametrize("name", ["hrlspet", "h36m", "moyo"])
def test_label_files_become_the_official_items(name: str) -> None:
    folder = FIXTURES / "labels"
    file = {"hrlspet": "hr-lspet_like", "h36m": "h36m_like", "moyo": "moyo_like"}[name]
    with np.load(folder / "expected_items.npz") as stored:
        expected = {key.split("__", 1)[1]: stored[key] for key in stored.files if key.startswith(f"{name}__")}
    read = labels.read_labels(folder / f"{file}.npz")
    found = list(labels.items(read, folder / "images" if (folder / "images" / read.names[0]).is_file() else folder))
    for item, patch in zip(found, expected["img_patch_u8_hwc"], strict=True):
        difference = np.abs(item.patch.astype(int) - patch)
        assert difference.mean() <= 0.4 and difference.max() <= 6
    if name == "moyo":
        assert read.smpl is not None and read.is_moyo
        for key, value in read.smpl.items():
            np.testing.assert_allclose(value, expected[f"smpl_{key}"], rtol=1e-6)
        return
    np.testing.assert_allclose(np.stack([item.keypoints_2d for item in found]), expected["keypoints_2d"], atol=1e-5)
    np.testing.assert_allclose(read.keypoints_m, expected["keypoints_3d"], rtol=1e-6)
    np.testing.assert_allclose(read.keypoints_px, expected["orig_keypoints_2d"], rtol=1e-6)
    np.testing.assert_allclose(read.centres_px, expected["box_center"])
    np.testing.assert_allclose(read.box_size_px, expected["box_size"], rtol=1e-6)
    np.testing.assert_allclose(read.sizes_px / 200, expected["_scale"], rtol=1e-6)
    np.testing.assert_allclose(read.box_size_px / read.sizes_px.max(axis=1), expected["bbox_expand_factor"], rtol=1e-6)
    np.testing.assert_array_equal([item.image_size_px for item in found], expected["img_size"])

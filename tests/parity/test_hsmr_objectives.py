"""Training losses, SKELify's terms, whole optimisations and pseudo-label rounds against the official code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hsmr_bio.fitting.skelify import objective as terms  # noqa: E402
from hsmr_bio.fitting.skelify.lbfgs import _moved_mask, skelify_lbfgs  # noqa: E402
from hsmr_bio.hsmr import losses  # noqa: E402
from hsmr_bio.hsmr.keypoints import GROUPS  # noqa: E402
from hsmr_bio.hsmr.pose import axis_rotation, poses_to_matrices  # noqa: E402
from hsmr_bio.training import augmentation, pseudo_labels  # noqa: E402

FIXTURES = Path(__file__).resolve().parents[2].parent / "shared" / "fixtures" / "hsmr"
pytestmark = [pytest.mark.assets, pytest.mark.skipif(not FIXTURES.is_dir(), reason="no parity data in ../shared")]


def load(name: str) -> dict:
    with np.load(FIXTURES / f"{name}.npz") as file:
        return {key: torch.from_numpy(file[key]) if file[key].dtype.kind in "fiub" else file[key] for key in file.files}


def near(ours, expected, *, rtol: float, atol: float = 0) -> None:
    np.testing.assert_allclose(np.asarray(ours), np.asarray(expected), rtol=rtol, atol=atol)


def toy_body(data: dict):
    """The stand-in body of the fixtures: joints linear in betas and angles, then turned by the pelvis angles."""

    def keypoints(poses, betas):
        shape = torch.einsum("bk,jck->bjc", betas, data["toy_S"])
        bend = torch.einsum("bk,jck->bjc", poses[:, 3:], data["toy_P"])
        rotation = axis_rotation("Y", poses[:, 2]) @ axis_rotation("X", poses[:, 1]) @ axis_rotation("Z", poses[:, 0])
        return (data["toy_J0"] + shape + bend) @ rotation.transpose(1, 2)

    return keypoints


def test_training_losses() -> None:
    data = load("train_losses")
    near(poses_to_matrices(data["pd_poses"]), data["pd_rotmats"], rtol=0, atol=1e-5)
    batch = losses.TrainingBatch(
        kp3d=data["pd_kp3d"],
        kp2d=data["pd_kp2d"],
        poses_rad=data["pd_poses"],
        betas=data["pd_betas"],
        label_kp3d=data["gt_kp3d"],
        label_kp2d=data["gt_kp2d"],
        label_poses_rad=data["gt_poses"],
        label_betas=data["gt_betas"],
        has_orient=data["has_orient"],
        has_body=data["has_body"],
        has_betas=data["has_betas"],
    )
    ours = losses.training_losses(batch)
    for name, value in ours.items():
        near(value, data[f"loss_{name}"], rtol=1e-5)
        assert losses.WEIGHTS[name] == pytest.approx(float(data[f"weight_{name}"]))
    near(losses.weighted_sum(ours), data["loss_weighted_sum"], rtol=1e-5)


CASES = {
    "reproj_norm_all": terms.Stage(name="", loops=0),
    "reproj_norm_torso": terms.Stage(name="", loops=0, keypoints="torso", reprojection=1.78),
    "depth": terms.Stage(name="", loops=0, reprojection=0, depth=100),
    "shape": terms.Stage(name="", loops=0, reprojection=0, shape=1),
    "angle_scale1": terms.Stage(name="", loops=0, reprojection=0, angle=1),
    "angle_scale1p7": terms.Stage(name="", loops=0, reprojection=0, angle=404 * 1.7),
    "angle_scale0p17": terms.Stage(name="", loops=0, reprojection=0, angle=4.78 * 0.17),
    "stage_camera_init": terms.FULL.stages[0],
    "stage_overall_1": terms.FULL.stages[1],
    "stage_overall_2": terms.FULL.stages[2],
    "stage_overall_3": terms.FULL.stages[3],
    "stage_overall_4": terms.FULL.stages[4],
    "stage_refine": terms.REFINE.stages[0],
}


@pytest.mark.parametrize("case", CASES)
def test_skelify_terms_and_gradients(case: str) -> None:
    data = load("skelify_terms")
    stage = CASES[case]
    inputs = {name: data[name].clone().requires_grad_() for name in ("pd_kp2d", "poses", "betas", "cam_t")}
    guess = terms.guess_depth(data["kp3d"], data["gt_kp2d"], with_confidence=True)
    found = terms.stage_terms(
        stage, inputs["pd_kp2d"], data["gt_kp2d"], inputs["poses"], inputs["betas"], inputs["cam_t"], guess
    )
    for name, value in found.items():
        near(value.detach(), data[f"{case}__{name}"], rtol=1e-5)
    assert {f"{case}__{name}" for name in found} == {
        key for key in data if key.startswith(f"{case}__") and "grad" not in key and "weighted" not in key
    }
    total = terms.torch_sum(found)
    near(total.detach(), data[f"{case}__weighted_sum"], rtol=1e-5)
    if f"{case}__grad_poses" not in data:
        return
    total.backward()
    for name in ("pd_kp2d", "poses", "betas"):
        gradient = inputs[name].grad if inputs[name].grad is not None else torch.zeros_like(inputs[name])
        expected = data[f"{case}__grad_{name}"]
        near(gradient, expected, rtol=1e-5, atol=1e-6 * float(expected.abs().max()))
    depth = inputs["cam_t"].grad
    near(torch.zeros(6) if depth is None else depth[:, 2], data[f"{case}__grad_cam_z"].reshape(6), rtol=1e-5)


def test_small_parts_of_skelify() -> None:
    data = load("skelify_terms")
    near(terms.robust(data["gmof_x"]), data["gmof_y"], rtol=1e-5)
    near(terms.person_scale(data["gt_kp2d"]), data["kp2d_scale"], rtol=1e-5)
    near(terms.guess_depth(data["kp3d"], data["gt_kp2d"], with_confidence=True), data["guess_cam_z_xyconf"], rtol=1e-5)
    near(terms.guess_depth(data["kp3d"], data["gt_kp2d"]), data["guess_cam_z_xy"], rtol=1e-5)
    near(losses.angle_prior(data["poses"]), data["angle_prior_per_entry"], rtol=1e-5)
    near(terms.keypoint_error(data["pd_kp2d"], data["gt_kp2d"]), data["kp2d_err"], rtol=1e-5)
    for (previous, current), expected in zip(data["rel_change_pairs"].tolist(), data["rel_change"].tolist(), strict=True):
        assert terms.relative_change(previous, current) == pytest.approx(expected, rel=1e-5)
    assert list(losses.LIMIT_DOFS) == data["limit_qids"].tolist()
    near(torch.tensor(losses.LIMIT_BOUNDS), data["limit_bounds"], rtol=1e-6)
    for name, points in GROUPS.items():
        key = name.replace("-", "_")
        assert sorted(points) == sorted(data[f"kp_ids__{key}"].tolist())
        assert _moved_mask(name, data["poses"]).nonzero()[:, 0].tolist() == sorted(data[f"qids__{key}"].tolist())


@pytest.mark.slow
@pytest.mark.parametrize(("run", "schedule"), [("full", terms.FULL), ("refine", terms.REFINE)])
def test_a_whole_optimisation_follows_the_official_one(run: str, schedule: terms.Schedule) -> None:
    data = load("skelify_toy_run")
    start = "init" if run == "full" else "refine_init"
    result = skelify_lbfgs(
        toy_body(data),
        data["gt_kp2d"],
        data[f"{start}_poses"],
        data[f"{start}_betas"],
        data[f"{start}_cam_t"],
        schedule=schedule,
    )
    near([stage[0] for stage in result.history][:1], data[f"{run}__stage_first_loss"][:1], rtol=1e-4)
    near(result.history[0][:10], data[f"{run}__first20_losses_stage0"][:10], rtol=1e-4)
    near([stage[-1] for stage in result.history], data[f"{run}__stage_last_loss"], rtol=1e-3)
    near(result.keypoint_error, data[f"{run}__kp2d_err"], rtol=0.02)
    near(result.poses_rad, data[f"{run}__poses"], rtol=0, atol=0.03)


def test_a_round_of_pseudo_labels() -> None:
    data = load("spin_update")
    body = toy_body(data)
    turn = torch.deg2rad(data["rot_deg"]).float()
    label = pseudo_labels.StoredLabel(
        poses_rad=data["label_poses_before_augm"],
        betas=data["label_betas"],
        has_poses=data["label_has"],
        has_betas=data["label_has"],
    )
    candidate = pseudo_labels.Candidate(
        poses_rad=data["result_poses_after_augm"], betas=data["result_betas"], keypoint_error=data["result_kp2d_err"]
    )
    for units, column, accepted in (("patch", "norm_units", "reference"), ("pixel", "px_units", "pixel_units")):
        error = pseudo_labels.label_error(body, label, data["gt_kp2d"], turn, units=units)
        near(error, data[f"label_err_{column}"], rtol=1e-4)
        chosen = pseudo_labels.accept(candidate, error, data["do_extreme_crop"])
        np.testing.assert_array_equal(chosen, data[f"accepted_{accepted}"])
        if accepted == "reference":
            stored = pseudo_labels.merge(label, candidate, chosen, turn)
            near(torch.sin((stored.poses_rad - data["stored_poses"]) / 2), torch.zeros(14, 46), rtol=0, atol=1e-4)
            near(stored.betas, data["stored_betas"], rtol=1e-6)
            near(stored.has_poses, data["stored_has_poses"], rtol=0)
            near(stored.has_betas, data["stored_has_betas"], rtol=0)


def test_extreme_crops() -> None:
    data = {name: np.asarray(value) for name, value in load("extreme_crop").items()}
    for i, name in enumerate(("kp2d", "kp2d_upper")):
        assert augmentation.is_full_body(data[name]) == data["full_body"][i]
        assert augmentation.is_upper_body(data[name]) == data["upper_body"][i]
    keys = {
        "hips": "to_hips",
        "shoulders": "to_shoulders",
        "head": "to_head",
        "torso": "torso_only",
        "right arm": "rightarm_only",
        "left arm": "leftarm_only",
        "legs": "legs_only",
        "right leg": "rightleg_only",
        "left leg": "leftleg_only",
    }
    for part, key in keys.items():
        box, points = augmentation.crop_to(part, data["in_cxcywh"], data["kp2d"])
        near(box, data[f"crop_{key}"], rtol=0, atol=1e-4)
        assert (points[list(augmentation.CROPS[part][0]), 2] == 0).all()

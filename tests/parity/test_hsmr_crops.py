"""Patches and boxes against the official croppers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from hsmr_bio.hsmr import crops
from hsmr_bio.training.augmentation import Augmentation, augment

FIXTURES = Path(__file__).resolve().parents[2].parent / "shared" / "fixtures" / "hsmr"
pytestmark = [pytest.mark.assets, pytest.mark.skipif(not FIXTURES.is_dir(), reason="no parity data in ../shared")]


@pytest.fixture(scope="module")
def data() -> dict:
    with np.load(FIXTURES / "crop.npz") as file:
        return {key: file[key] for key in file.files}


def levels(ours, expected) -> tuple[float, int]:
    """Mean and largest difference in grey levels."""
    difference = np.abs(np.asarray(ours, dtype=int) - np.asarray(expected, dtype=int))
    return float(difference.mean()), int(difference.max())


def test_detections_become_boxes_and_patches(data: dict) -> None:
    people = data["demo_pred_boxes"][(data["demo_pred_classes"] == 0) & (data["demo_scores"] > 0.5)]
    boxes = crops.square_box(people / data["demo_downsample_ratio"])
    np.testing.assert_allclose(boxes, data["demo_bbx_cs"], rtol=1e-6)
    corners = np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], axis=1)
    np.testing.assert_allclose(corners, data["demo_lurb"], atol=1e-4)
    patches = np.stack([crops.crop_window(data["image"], box) for box in boxes])
    assert levels(patches, data["demo_patches_u8"])[1] <= 1
    normal = crops.normalise(patches[0])
    np.testing.assert_allclose(normal, data["demo_patch0_normalised_chw"], atol=1.001 / (255 * 0.224))
    official = crops.normalise(data["demo_patches_u8"][0])
    np.testing.assert_allclose(official, data["demo_patch0_normalised_chw"], atol=1e-5)
    np.testing.assert_allclose(official[..., 32:224], data["demo_backbone_input0"], atol=1e-5)


def test_the_exact_window_differs_little_from_the_truncated_one(data: dict) -> None:
    box = data["demo_bbx_cs"][0]
    mean, _ = levels(crops.crop_window(data["image"], box, sub_pixel=True), data["demo_patches_u8"][0])
    assert mean < 0.5


def test_evaluation_warps(data: dict) -> None:
    for i in range(2):
        side = crops.fit_aspect(data["eval_scale200"][i] * 200).max()
        assert side == pytest.approx(data["eval_box_size"][i])
        patch, matrix = crops.crop_warp(data["image"], data["eval_center"][i], side)
        mean, most = levels(patch, data["eval_patches_u8"][i])
        assert mean <= 0.4 and most <= 6
        np.testing.assert_allclose(crops.keypoints_to_patch(data["kp2d_px"], matrix), data["eval_kp2d_norm"][i], atol=1e-5)
        if i == 0:
            near = np.abs(np.asarray(crops.normalise(patch)) - data["eval_patch0_normalised_chw"])
            assert near.mean() < 0.4 / 57


def test_warp_matrices(data: dict) -> None:
    for args, expected in zip(data["affine_args"], data["affine_mats"], strict=True):
        ours = crops.warp_matrix(args[:2], args[2], scale=args[6], rotation_rad=np.deg2rad(args[7]), target_px=args[4])
        np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=3e-5)


def test_augmented_training_patches(data: dict) -> None:
    side = 200 * data["eval_scale200"][0].max()
    for i in range(3):
        how = Augmentation(
            scale=data["train_bbox_scale"][i],
            rotation_rad=np.deg2rad(data["train_rot_deg"][i]),
            flip=bool(data["train_flip"][i]),
            shift=(data["train_tx_ratio"][i], data["train_ty_ratio"][i]),
            colour=tuple(data["train_color_scale"][i]),
        )
        box = np.array([*data["eval_center"][0], side])
        out = augment(data["image"], box, data["kp2d_px"], data["kp3d"], how)
        shown = np.clip(out.patch.astype(np.float64) * np.asarray(how.colour), 0, 255)
        difference = np.abs(np.rint(shown) - data["train_patches_u8"][i])
        assert difference.mean() <= 0.4 and difference.max() <= 6
        np.testing.assert_allclose(out.keypoints_2d, data["train_kp2d_norm"][i], atol=1e-5)
        np.testing.assert_allclose(out.keypoints_3d, data["train_kp3d"][i], atol=1e-5)

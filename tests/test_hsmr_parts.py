"""Pose representations, crops, cameras, losses and keypoints from their definitions; no parity data needed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from hsmr_bio.errors import InputError, ShapeError  # noqa: E402
from hsmr_bio.hsmr import camera, crops, keypoints, losses, pose  # noqa: E402
from hsmr_bio.hsmr.config import BackboneConfig, HsmrConfig  # noqa: E402
from hsmr_bio.skeleton import JOINT_DOFS, mirror_poses  # noqa: E402

SEEDS = st.integers(0, 10_000)


def random_poses(seed: int, count: int = 4, spread: float = 1.4):
    """Poses whose middle angles stay within +-pi/2."""
    return spread * (2 * torch.rand(count, 46, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 1)


@given(seed=SEEDS)
@settings(max_examples=25, deadline=None)
def test_a_pose_survives_the_networks_numbers(seed: int) -> None:
    poses = random_poses(seed)
    rep = pose.poses_to_rep(poses)
    torch.testing.assert_close(pose.rep_to_poses(rep), poses)
    scaled = rep.clone()
    three = [joint for joint, dofs in enumerate(JOINT_DOFS) if len(dofs) != 2]
    scaled[:, three] *= 3.7
    torch.testing.assert_close(pose.rep_to_poses(scaled), poses)


@given(seed=SEEDS)
@settings(max_examples=25, deadline=None)
def test_any_numbers_give_rotations_and_wide_poses_keep_theirs(seed: int) -> None:
    noise = torch.randn(3, 24, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    matrices = pose.poses_to_matrices(pose.rep_to_poses(noise))
    torch.testing.assert_close(
        matrices @ matrices.transpose(-1, -2), torch.eye(3).double().expand_as(matrices), atol=1e-7, rtol=0
    )
    assert (torch.linalg.det(matrices) > 0.99).all()
    wide = random_poses(seed, spread=3.1)
    again = pose.poses_to_matrices(pose.rep_to_poses(pose.poses_to_rep(wide)))
    torch.testing.assert_close(again, pose.poses_to_matrices(wide), atol=1e-6, rtol=0)


def test_gimbal_lock_has_a_finite_gradient() -> None:
    poses = torch.zeros(1, 46, dtype=torch.float32)
    poses[0, 4] = np.pi / 2  # middle angle of the right hip
    rep = (pose.poses_to_rep(poses) * (1 + 1e-6)).requires_grad_()
    back = pose.rep_to_poses(rep)
    assert torch.isfinite(back).all()
    back[0, 4].backward()
    assert torch.isfinite(rep.grad).all()


@given(seed=SEEDS)
@settings(max_examples=15, deadline=None)
def test_mirroring_twice_changes_nothing(seed: int) -> None:
    poses = random_poses(seed).numpy()
    np.testing.assert_allclose(mirror_poses(mirror_poses(poses)), poses)
    for i, j in enumerate(keypoints.MIRROR):
        names = keypoints.NAMES[i], keypoints.NAMES[j]
        assert names[0].replace("left", "x").replace("right", "x") == names[1].replace("left", "x").replace("right", "x")


def orientation_matrix(pelvis_rad):
    """SKEL's tilt, list and rotation (..., 3) to HSMR's orientation of the root in the camera."""
    tilt, side, turn = pelvis_rad.unbind(-1)
    return pose.axis_rotation("Y", turn) @ pose.axis_rotation("Z", side) @ pose.axis_rotation("X", -tilt)


@given(seed=SEEDS, angle=st.floats(-3, 3))
@settings(max_examples=20, deadline=None)
def test_turning_with_the_image_and_back(seed: int, angle: float) -> None:
    poses = random_poses(seed)
    turn = torch.full((4,), angle, dtype=torch.float64)
    there = pose.rotate_in_image(poses, turn)
    again = pose.rotate_in_image(there, -turn)
    matrices = pose.poses_to_matrices(again)[:, 0], pose.poses_to_matrices(poses)[:, 0]
    torch.testing.assert_close(*matrices, atol=1e-6, rtol=0)
    about_view = orientation_matrix(there[:, :3]) @ orientation_matrix(poses[:, :3]).transpose(1, 2)
    expected = pose.axis_rotation("Z", -turn)
    torch.testing.assert_close(about_view, expected, atol=1e-6, rtol=0)


def test_the_mean_person_stands_upright_in_the_camera() -> None:
    upright = orientation_matrix(torch.tensor(pose.MEAN_POSE_RAD[:3]))
    torch.testing.assert_close(upright, torch.diag(torch.tensor([1.0, -1.0, -1.0])), atol=1e-6, rtol=0)


@given(width=st.floats(1, 500), height=st.floats(1, 500))
def test_boxes_only_grow_to_the_aspect(width: float, height: float) -> None:
    new = crops.fit_aspect([width, height])
    assert (new >= np.array([width, height]) * (1 - 1e-9)).all()
    assert new[1] / new[0] == pytest.approx(256 / 192)


def gradient_image(width: int, height: int) -> np.ndarray:
    """Red grows to the right, green downwards."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([columns, rows, np.zeros_like(rows)], axis=2).astype(np.uint8)


def test_a_crop_shows_the_box() -> None:
    image = gradient_image(200, 180)
    for patch in (crops.crop_window(image, [100, 90, 128]), crops.crop_window(image, [100, 90, 128], sub_pixel=True)):
        assert patch.shape == (256, 256, 3)
        assert patch[128, 128, 0] == pytest.approx(100, abs=1)
        assert patch[0, 0, 0] == pytest.approx(36, abs=1) and patch[255, 255, 1] == pytest.approx(153, abs=1)


def test_outside_the_image_is_black_and_bad_boxes_are_refused() -> None:
    image = np.full((50, 60, 3), 200, dtype=np.uint8)
    patch = crops.crop_window(image, [0, 0, 100])
    assert (patch[:120, :120] == 0).all() and (patch[140:200, 140:200] == 200).all()
    assert (crops.crop_window(image, [-500, -500, 20]) == 0).all()
    with pytest.raises(InputError, match="no pixel"):
        crops.crop_window(image, [10.5, 10.5, 0.2])
    with pytest.raises(InputError, match="x1 > x0"):
        crops.square_box([10, 10, 5, 20])
    with pytest.raises(ShapeError, match="8-bit"):
        crops.crop_window(image.astype(float), [10, 10, 5])


@given(seed=SEEDS)
@settings(max_examples=20, deadline=None)
def test_a_warp_agrees_with_its_matrix(seed: int) -> None:
    rng = np.random.default_rng(seed)
    centre, side = rng.uniform(60, 120, 2), rng.uniform(60, 140)
    scale, turn = rng.uniform(0.8, 1.2), rng.uniform(-1, 1)
    image = gradient_image(200, 180)
    patch, matrix = crops.crop_warp(image, centre, side, scale=scale, rotation_rad=turn)
    source = rng.uniform(centre - 15, centre + 15)
    column, row = np.rint(matrix[:, :2] @ source + matrix[:, 2]).astype(int)
    seen = patch[row, column].astype(float)
    exact = np.linalg.inv(matrix[:, :2]) @ (np.array([column, row]) - matrix[:, 2])
    np.testing.assert_allclose(seen[:2], exact, atol=1.1)
    point = crops.keypoints_to_patch(np.array([[*source, 0.7]]), matrix)
    assert point[0, 2] == 0.7 and abs(point[0, 0] * 256 + 128 - column) < 1


def test_normalised_patches() -> None:
    patch = np.zeros((256, 256, 3), dtype=np.uint8)
    patch[..., 0] = 200
    tensor = crops.normalise(patch[None], colour_scale=(2.0, 1.0, 1.0))
    assert tensor.shape == (1, 3, 256, 256) and tensor.dtype == torch.float32
    assert float(tensor[0, 0, 0, 0]) == pytest.approx((1 - 0.485) / 0.229, rel=1e-5)
    assert float(tensor[0, 1, 0, 0]) == pytest.approx(-0.456 / 0.224, rel=1e-5)


@given(seed=SEEDS)
@settings(max_examples=20, deadline=None)
def test_the_least_squares_translation_undoes_a_projection(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(3, 44, 3, generator=generator, dtype=torch.float64)
    place = torch.tensor([[0.2, -0.1, 30.0], [0.0, 0.3, 45.0], [-0.4, 0.0, 60.0]], dtype=torch.float64)
    pixels = camera.to_patch_px(camera.project(points, place))
    seen = torch.cat([pixels, torch.rand(3, 44, 1, generator=generator, dtype=torch.float64)], dim=2)
    torch.testing.assert_close(camera.least_squares_translation(points, seen), place)
    seen[0, 25:, 2] = 0
    torch.testing.assert_close(camera.least_squares_translation(points, seen), place)


def test_the_full_image_camera_puts_the_root_where_the_patch_has_it() -> None:
    translation = camera.camera_to_translation(torch.tensor([[0.9, 0.1, -0.05]]))
    box, size = torch.tensor([[300.0, 420.0, 380.0]]), torch.tensor([[1280.0, 720.0]])
    full = camera.full_image_translation(translation, box, size)
    patch = camera.project(torch.zeros(1, 1, 3), translation)[0, 0]
    image = camera.project(torch.zeros(1, 1, 3), full, focal=5000.0)[0, 0] + size[0] / 2
    torch.testing.assert_close(image, box[0, :2] + patch * box[0, 2], atol=1e-2, rtol=0)


def batch(seed: int, dtype=torch.float64) -> losses.TrainingBatch:
    generator = torch.Generator().manual_seed(seed)

    def r(*shape: int):
        return torch.randn(*shape, generator=generator, dtype=dtype)

    truth = {
        "label_kp3d": torch.cat([r(2, 44, 3), r(2, 44, 1).abs()], dim=2),
        "label_kp2d": torch.cat([r(2, 44, 2), r(2, 44, 1).abs()], dim=2),
        "label_poses_rad": r(2, 46),
        "label_betas": r(2, 10),
    }
    has = torch.tensor([1.0, 0.0], dtype=dtype)
    return losses.TrainingBatch(
        kp3d=r(2, 44, 3),
        kp2d=r(2, 44, 2),
        poses_rad=r(2, 46),
        betas=r(2, 10),
        has_orient=has,
        has_body=has,
        has_betas=has,
        **truth,
    )


@pytest.mark.slow
def test_losses_have_exact_gradients_and_vanish_at_the_label() -> None:
    given_batch = batch(0)

    def total(kp3d, kp2d, poses_rad, betas):
        changed = losses.TrainingBatch(
            **{**given_batch.__dict__, "kp3d": kp3d, "kp2d": kp2d, "poses_rad": poses_rad, "betas": betas}
        )
        return losses.weighted_sum(losses.training_losses(changed), dict.fromkeys(losses.WEIGHTS, 1.0))

    values = [getattr(given_batch, name).clone().requires_grad_() for name in ("kp3d", "kp2d", "poses_rad", "betas")]
    assert torch.autograd.gradcheck(total, values)
    perfect = losses.TrainingBatch(
        **{
            **given_batch.__dict__,
            "kp3d": given_batch.label_kp3d[..., :3] + 5,
            "kp2d": given_batch.label_kp2d[..., :2],
            "poses_rad": given_batch.label_poses_rad + 2 * np.pi,
            "betas": given_batch.label_betas,
        }
    )
    found = losses.training_losses(perfect)
    assert all(float(value) == pytest.approx(0, abs=1e-12) for name, value in found.items() if name != "prior")


def test_losses_are_sums_divided_by_the_batch() -> None:
    one = torch.zeros(2, 44, 3)
    label = torch.zeros(2, 44, 4)
    label[..., 3] = 0.5
    one[0, 0, 0] = 2.0
    assert float(losses.keypoints_3d_loss(one, label)) == pytest.approx(0.5 * 2.0 / 2)


def test_keypoint_regressors_pick_what_they_name() -> None:
    skin = torch.arange(6890.0)[None, :, None].expand(2, -1, 3)
    joints = -torch.arange(24.0)[None, list(keypoints.SKEL_TO_SMPL_JOINTS), None].expand(2, -1, 3)
    extra = torch.zeros(19, 6890)
    extra[14, 100] = 1
    for regressor in (extra, extra.to_sparse()):
        points = keypoints.keypoints_from_smpl_joints(skin, joints, regressor)
        assert float(points[0, 0, 0]) == 332  # nose
        assert float(points[1, keypoints.ROOT, 1]) == 100
        assert float(points[0, 8, 0]) == 0 and float(points[0, 12, 0]) == -6  # mid hip, left hip


def test_sizes_of_the_network_must_fit() -> None:
    with pytest.raises(InputError, match="multiple"):
        BackboneConfig(width=50, blocks=1, heads=4)
    assert HsmrConfig(backbone=BackboneConfig(width=64, blocks=1, heads=4)).head.context_width == 64
    assert HsmrConfig.vit_h().backbone.grid == (16, 12)

"""Facts and figures of the network's parts: names and sides, cameras, crops, losses, each against a number made by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hsmr_bio.body.smpl_model import SMPL_PARENTS
from hsmr_bio.hsmr import camera, config, crops, keypoints, losses
from hsmr_bio.hsmr.head import Decoder
from hsmr_bio.hsmr.pose import MEAN_CAMERA, MEAN_POSE_RAD, rows_to_matrix
from hsmr_bio.skeleton import DOF_NAMES, JOINT_NAMES, LIMITS_RAD, mirror_poses

SMPL_JOINT_NAMES = (
    "pelvis",
    "left_hip",
    "right_hip",
    "spine1",
    "left_knee",
    "right_knee",
    "spine2",
    "left_ankle",
    "right_ankle",
    "spine3",
    "left_foot",
    "right_foot",
    "neck",
    "left_collar",
    "right_collar",
    "head",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hand",
    "right_hand",
)
"""Of SMPL, in its order (Loper et al. 2015)."""


def other_side(name: str) -> str:
    swap = {"left": "right", "right": "left", "l": "r", "r": "l"}
    return "_".join(swap.get(part, part) for part in name.split("_"))


# ---------------------------------------------------------------------- names and sides


def test_mirrored_keypoints_have_the_names_of_the_other_side() -> None:
    assert len(set(keypoints.NAMES)) == 44
    for name, mirror in zip(keypoints.NAMES, keypoints.MIRROR, strict=True):
        assert keypoints.NAMES[mirror] == other_side(name)
    assert keypoints.NAMES[keypoints.ROOT] == "pelvis_mpii"


def test_smpls_joints_have_their_sides_and_parents() -> None:
    assert len(set(SMPL_JOINT_NAMES)) == 24
    for joint, name in enumerate(SMPL_JOINT_NAMES):
        mirror = SMPL_JOINT_NAMES.index(other_side(name))
        assert joint == 0 or other_side(SMPL_JOINT_NAMES[SMPL_PARENTS[joint]]) == SMPL_JOINT_NAMES[SMPL_PARENTS[mirror]]
    chains = {"left_foot": "left_ankle", "right_wrist": "right_elbow", "right_elbow": "right_shoulder", "left_knee": "left_hip"}
    for name, parent in chains.items():
        assert SMPL_JOINT_NAMES[SMPL_PARENTS[SMPL_JOINT_NAMES.index(name)]] == parent


def test_skels_stand_ins_for_smpls_joints_are_on_their_side() -> None:
    for name, joint in zip(SMPL_JOINT_NAMES, keypoints.SKEL_TO_SMPL_JOINTS, strict=True):
        if name.startswith(("left", "right")):
            assert JOINT_NAMES[joint].endswith(f"_{name[0]}"), name
    stand_ins = dict(zip(SMPL_JOINT_NAMES, (JOINT_NAMES[j] for j in keypoints.SKEL_TO_SMPL_JOINTS), strict=True))
    wanted = {"left_hip": "femur_l", "right_knee": "tibia_r", "left_ankle": "talus_l", "right_foot": "toes_r"}
    wanted |= {"left_shoulder": "humerus_l", "right_elbow": "ulna_r", "left_wrist": "hand_l", "pelvis": "pelvis"}
    assert {name: stand_ins[name] for name in wanted} == wanted


def test_groups_have_both_sides_and_share_nothing() -> None:
    parts = ("torso", "head", "limbs-proximal", "limbs-distal")
    for table, mirror in (
        (keypoints.GROUPS, dict(enumerate(keypoints.MIRROR))),
        (keypoints.GROUP_JOINTS, {j: JOINT_NAMES.index(other_side(name)) for j, name in enumerate(JOINT_NAMES)}),
    ):
        for name, members in table.items():
            assert {mirror[m] for m in members} == set(members), name
        joined = [m for part in parts for m in table[part]]
        assert len(joined) == len(set(joined)) and set(joined) <= set(table["all"])
        assert set(table["limbs"]) == {*table["limbs-proximal"], *table["limbs-distal"]}
    assert set(range(44)) - set(keypoints.GROUPS["all"]) == {37, 38}


# ---------------------------------------------------------------------- sizes and cameras


def test_the_release_has_these_sizes() -> None:
    assert (config.PATCH_PX, config.STRIP_PX, config.FOCAL_PX) == (256, (32, 224), 5000.0)
    assert (config.IMAGE_MEAN, config.IMAGE_STD) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert (config.POSE_NUMBERS, config.BETAS) == (24 * 6, 10)
    huge = config.HsmrConfig.vit_h()
    backbone, head = huge.backbone, huge.head
    assert (backbone.width, backbone.blocks, backbone.heads, backbone.mlp_ratio) == (1280, 32, 16, 4)
    assert (backbone.patch_px, backbone.padding_px, backbone.drop_path) == (16, 2, 0.55)
    assert (head.context_width, head.width, head.layers, head.heads, head.head_width, head.mlp_width) == (
        *(1280, 1024, 6, 8, 64, 1024),
    )
    assert head.inner_width == 512


def test_cameras_are_similar_triangles() -> None:
    found = camera.camera_to_translation(torch.tensor([[0.5, 0.1, -0.2]], dtype=torch.float64))
    assert found[0].tolist() == pytest.approx([0.1, -0.2, 10000 / 128])
    points = torch.tensor([[[1.0, 2.0, 3.0]]])
    pixel = camera.project(points, torch.tensor([[0.5, -1.0, 7.0]]), focal=100.0)
    assert pixel[0, 0].tolist() == pytest.approx([15.0, 10.0])
    assert camera.to_patch_px(torch.tensor([0.25, -0.5, 0.9])).tolist() == pytest.approx([192, 0, 0.9])
    place = torch.tensor([0.1, 0.2, 50.0], dtype=torch.float64)
    box, size = torch.tensor([900.0, 200.0, 128.0]).double(), torch.tensor([1280.0, 720.0]).double()
    whole = camera.full_image_translation(place, box, size)
    assert whole.tolist() == pytest.approx([0.1 + 260 * 100 / 5000, 0.2 - 160 * 100 / 5000, 100.0])
    nearer = camera.translation_for_focal(whole, (1280, 720), (600.0, 380.0), 1250.0)
    assert nearer.tolist() == pytest.approx([5.3 + 40 * 25 / 1250, -3.0 - 20 * 25 / 1250, 25.0])
    assert camera.translation_for_focal(whole, (1280, 720), (640.0, 360.0), 5000.0).tolist() == pytest.approx(whole.tolist())


def test_the_place_comes_from_the_extra_keypoints_where_they_are_seen() -> None:
    rng = np.random.default_rng(0)
    points = torch.tensor(rng.normal(size=(1, 44, 3)))
    place = torch.tensor([[0.2, -0.1, 40.0]]).double()
    seen = torch.cat([camera.to_patch_px(camera.project(points, place)), torch.ones(1, 44, 1).double()], dim=2)
    seen[:, :25, 0] += 30
    torch.testing.assert_close(camera.least_squares_translation(points, seen), place)
    seen[:, 25:, 2] = 0.2  # 3.8 in all: too little
    assert abs(float(camera.least_squares_translation(points, seen)[0, 0] - place[0, 0])) > 0.1
    seen[:, 25:, 2] = 0.22
    torch.testing.assert_close(camera.least_squares_translation(points, seen), place)


# ---------------------------------------------------------------------- crops


def test_a_box_becomes_the_square_around_its_enlarged_self() -> None:
    np.testing.assert_allclose(crops.fit_aspect([[90, 60], [30, 60], [45, 60]]), [[90, 120], [45, 60], [45, 60]])
    np.testing.assert_allclose(crops.square_box([10, 20, 100, 80]), [55, 50, 120])
    np.testing.assert_allclose(crops.lurb_to_cwh([[10, 20, 100, 80]]), [[55, 50, 90, 60]])


def test_a_turned_box_turns_the_content_the_other_way() -> None:
    matrix = crops.warp_matrix([100.0, 50.0], 128.0, rotation_rad=np.pi / 2)
    np.testing.assert_allclose(matrix @ [100, 50, 1], [128, 128], err_msg="the middle stays the middle")
    np.testing.assert_allclose(matrix @ [100, 60, 1], [148, 128], err_msg="what was below lies right")
    np.testing.assert_allclose(matrix @ [110, 50, 1], [128, 108], err_msg="what was right lies above")
    wider = crops.warp_matrix([100.0, 50.0], 128.0, scale=2.0)
    np.testing.assert_allclose(wider @ [110, 50, 1], [138, 128])
    found = crops.keypoints_to_patch([[110.0, 50.0, 0.3]], wider)
    np.testing.assert_allclose(found, [[138 / 256 - 0.5, 0.0, 0.3]])


def test_a_flipped_crop_shows_the_mirrored_image() -> None:
    image = np.zeros((100, 200, 3), dtype=np.uint8)
    image[40:60, 150:160] = 255
    plain, matrix = crops.crop_warp(image, [150, 50], 64)
    flipped, mirror = crops.crop_warp(image, [150, 50], 64, flip=True)
    np.testing.assert_array_equal(flipped[:, 2:255], plain[:, 254:1:-1])
    np.testing.assert_allclose(mirror @ [200 - 150 - 1, 50, 1], [128, 128])
    np.testing.assert_allclose(matrix @ [150, 50, 1], [128, 128])


# ---------------------------------------------------------------------- losses


def test_keypoint_losses_are_weighted_distances_from_the_pelvis_or_in_the_patch() -> None:
    label3, label2 = torch.zeros(2, 44, 4), torch.zeros(2, 44, 3)
    label3[:, :, 3], label2[:, :, 2] = 0.5, 0.25
    found3, found2 = torch.zeros(2, 44, 3), torch.zeros(2, 44, 2)
    found3[0, :, 1], found3[0, 4, 1] = 3.0, 3.5
    found2[1, 7] = torch.tensor([0.2, -0.1])
    assert float(losses.keypoints_3d_loss(found3, label3)) == pytest.approx(0.5 * 0.5 / 2)
    assert float(losses.keypoints_2d_loss(found2, label2)) == pytest.approx(0.25 * 0.3 / 2)
    label3[0, 39, 1] = 1.0
    assert float(losses.keypoints_3d_loss(found3, label3)) == pytest.approx((0.5 * 42 + 0.5 * 1.5) / 2)


def test_only_samples_with_a_label_count() -> None:
    found, label = torch.ones(3, 4), torch.zeros(3, 4)
    assert float(losses.parameter_loss(found, label, torch.tensor([1.0, 0.0, 0.0]))) == pytest.approx(4 / 3)


def test_the_prior_is_two_exponential_walls() -> None:
    """Xia et al. 2025, Eq. 3: exp(2 (low - q)) + exp(2 (q - high))."""
    names = [DOF_NAMES[dof] for dof in losses.LIMIT_DOFS]
    assert len(set(names)) == 43 and not set(names) & {"pelvis_tilt", "pelvis_list", "pelvis_rotation"}
    pose = torch.zeros(46).double()
    for name, value in (("knee_angle_r", 3.0), ("knee_angle_l", -1.0)):
        pose[DOF_NAMES.index(name)] = value
        low, high = LIMITS_RAD[DOF_NAMES.index(name)]
        wall = float(losses.angle_prior(pose)[names.index(name)])
        assert wall == pytest.approx(np.exp(2 * (low - value)) + np.exp(2 * (value - high)))
    for side in "rl":
        assert losses.LIMIT_BOUNDS[names.index(f"scapula_elevation_{side}")] == (-0.4, -0.1)


def test_the_release_weighs_its_losses_so() -> None:
    wanted = {"kp3d": 0.05, "kp2d": 0.01, "poses_orient": 0.002, "poses_body": 0.001, "betas": 0.0005, "prior": 0.0}
    assert dict(losses.WEIGHTS) == wanted
    ones = {name: torch.tensor(10.0**n) for n, name in enumerate(wanted)}
    assert float(losses.weighted_sum(ones)) == pytest.approx(sum(w * 10.0**n for n, w in enumerate(wanted.values())))


def test_the_mean_person_is_nearly_symmetrical() -> None:
    mean = np.array(MEAN_POSE_RAD)
    limbs = [name.endswith(("_r", "_l")) or name.startswith("shoulder") for name in DOF_NAMES]
    np.testing.assert_allclose(mirror_poses(mean)[limbs], mean[limbs], atol=0.13)
    bent = {name: mean[DOF_NAMES.index(name)] for name in ("hip_flexion_r", "knee_angle_l", "elbow_flexion_r", "pelvis_tilt")}
    assert bent == {name: pytest.approx(v, abs=1e-3) for name, v in zip(bent, (0.258, 0.400, 0.877, np.pi), strict=True)}
    assert MEAN_CAMERA == (0.9, 0.0, 0.0)


def test_the_query_starts_as_bias_plus_position() -> None:
    decoder = Decoder(config.HeadConfig(context_width=8, width=4, layers=0))
    wanted = decoder.to_token_embedding.bias + decoder.pos_embedding[0, 0]
    torch.testing.assert_close(decoder(torch.ones(2, 3, 8))[1, 0], wanted)


def test_a_box_beside_the_image_shows_nothing() -> None:
    image = np.full((50, 60, 3), 200, dtype=np.uint8)
    for centre in ([-30, 25], [90, 25], [30, -20], [30, 70]):
        assert (crops.crop_window(image, [*centre, 20]) == 0).all()


def test_two_rows_become_a_rotation_by_gram_schmidt() -> None:
    found = rows_to_matrix(torch.tensor([[2.0, 0, 0, 3, 4, 0], [0, 0, 3, 0, 1, 5]], dtype=torch.float64))
    wanted = [np.eye(3), np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])]
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-12)

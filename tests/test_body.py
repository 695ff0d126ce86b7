"""The body: derivatives, measures, refusals; on a synthetic file when the development data are there."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hsmr_bio.body import Body, load_body
from hsmr_bio.body.body import volume_m3
from hsmr_bio.body.data_model import ScalePair
from hsmr_bio.body.keypoint_table import keypoints_of
from hsmr_bio.errors import InputError, MissingAssetError, ShapeError
from hsmr_bio.skeleton import JOINT_NAMES, mirror_poses

RNG = np.random.default_rng(5)
BETAS = RNG.normal(size=10)
POSES = RNG.normal(size=(3, 46)) * 0.4
TRANS = RNG.normal(size=(3, 3))


@pytest.fixture(scope="module")
def body(open_body) -> Body:
    return open_body


def same_up_to(left, right, tolerance) -> None:
    np.testing.assert_allclose(np.asarray(left), np.asarray(right), atol=tolerance, rtol=0)


def test_rest_pose_derivatives_match_differences(body) -> None:
    step = 1e-6
    joints, turn = body.rest_jacobian(BETAS)
    for k in range(10):
        change = np.eye(10)[k] * step
        after, before = body.rest(BETAS + change), body.rest(BETAS - change)
        same_up_to((after.joints_m - before.joints_m) / (2 * step), joints[..., k], 1e-8)
        spin = (after.bone_rotations - before.bone_rotations) / (2 * step) @ np.swapaxes(body.rest(BETAS).bone_rotations, 1, 2)
        same_up_to(np.stack([spin[:, 2, 1], spin[:, 0, 2], spin[:, 1, 0]], axis=1), turn[..., k], 1e-7)


def test_betas_per_frame_are_those_of_each_frame(body) -> None:
    betas = RNG.normal(size=(3, 10))
    together = body.forward(POSES, betas, TRANS, skin=True, skeleton=True)
    for i in range(3):
        one = body.forward(POSES[i], betas[i], TRANS[i], skin=True, skeleton=True)
        for name in ("joints_m", "joints_ori", "skin_m", "skeleton_m"):
            same_up_to(getattr(one, name)[0], getattr(together, name)[i], 1e-12)
    pose = body.tree(betas).forward(np.concatenate([POSES, TRANS], axis=1))
    same_up_to(pose.positions_m, together.joints_m, 1e-9)
    same_up_to(pose.rotations, together.joints_ori, 1e-9)


def test_joints_alone_do_not_touch_the_mesh(body, monkeypatch) -> None:
    def refuse(*_):
        raise AssertionError("the mesh was computed")

    monkeypatch.setattr(Body, "shaped_skin", refuse)
    joints_only = body.forward(POSES, BETAS, TRANS)
    assert joints_only.skin_m is None
    assert joints_only.skeleton_m is None
    body.tree(BETAS)


@pytest.mark.slow
def test_gradient_at_zero_is_finite_and_right(body) -> None:
    poses = torch.zeros(1, 46, dtype=torch.float64, requires_grad=True)
    betas = torch.zeros(1, 10, dtype=torch.float64, requires_grad=True)
    trans = torch.zeros(1, 3, dtype=torch.float64)

    def joints(q, b):
        return body.forward(q, b, trans).joints_m

    assert torch.autograd.gradcheck(joints, (poses, betas), atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 2))
def test_turning_the_root_turns_the_whole_body(open_body, seed, size) -> None:
    rng = np.random.default_rng(seed)
    poses = rng.normal(size=(1, 46)) * size
    still, turned = poses.copy(), poses.copy()
    still[:, :3] = 0
    first, second = (open_body.forward(q, BETAS, None) for q in (still, turned))
    centre = first.joints_m[:, :1]
    turn = second.joints_ori[:, 0] @ first.joints_ori[:, 0].transpose(-1, -2)
    same_up_to(second.joints_m, (first.joints_m - centre) @ turn.transpose(-1, -2) + centre, 1e-9)


def test_a_mirrored_pose_gives_the_mirrored_open_body(open_body) -> None:
    from hsmr_bio.skeleton import JOINT_NAMES

    poses = POSES.copy()
    poses[:, [7, 14]] = 0  # SKEL does not mirror the ankle axis
    swap = [
        JOINT_NAMES.index(n[:-2] + {"_r": "_l", "_l": "_r"}[n[-2:]] if n.endswith(("_r", "_l")) else n) for n in JOINT_NAMES
    ]
    left = open_body.forward(poses, np.zeros(10), None).joints_m
    right = open_body.forward(mirror_poses(poses), np.zeros(10), None).joints_m[:, swap] * torch.tensor([-1.0, 1.0, 1.0])
    origin = open_body.rest(np.zeros(10)).joints_m[0, 0]
    assert abs(origin) < 1e-6
    same_up_to(left, right, 2e-6)


def test_volume_of_a_unit_cube() -> None:
    import trimesh

    box = trimesh.creation.box((1, 2, 3))
    assert volume_m3(box.vertices + 5.0, box.faces) == pytest.approx(6.0)


def test_stature_and_mass_are_human(open_body) -> None:
    assert 1.5 < open_body.stature_m(np.zeros(10)) < 1.9
    assert 50 < open_body.mass_kg(np.zeros(10)) < 100
    assert open_body.stature_m(np.eye(10)[0] * 2) != pytest.approx(open_body.stature_m(np.zeros(10)), abs=0.02)


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        ((np.zeros((2, 45)), np.zeros(10), None), "poses"),
        ((np.zeros((2, 46)), np.zeros((3, 10)), None), "betas"),
        ((np.zeros((2, 46)), np.zeros(11), None), "betas"),
        ((np.zeros((2, 46)), np.zeros(10), np.zeros((3, 3))), "trans"),
    ],
)
def test_shapes_that_do_not_fit_are_named(body, arguments, wrong) -> None:
    with pytest.raises(ShapeError, match=wrong):
        body.forward(*arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shapedirs": np.zeros((5, 3, 10))}, "shapedirs"),
        ({"skin_template_m": np.full((7, 3), np.nan)}, "skin_template_m"),
        ({"parents": (-1,) * 24}, "parents"),
        ({"name": ""}, "name"),
        ({"sex": "other"}, "sex"),
        ({"density_kg_m3": 0.0}, "density"),
        ({"skin_faces": np.array([[0, 1, 10**7]])}, "skin_faces"),
        ({"scale_pairs": (ScalePair(bone=13, bone_axis=0, rest_axis=0, vertex_pairs=((0, 10**7),)),)}, "head"),
        ({"scale_pairs": (ScalePair(bone=13, bone_axis=0, rest_axis=0, vertex_pairs=((0, -1),)),)}, "head"),
        ({"rest_joints_m": None, "rest_joint_shapedirs": np.zeros((24, 3, 10))}, "both or neither"),
    ],
)
def test_a_body_that_cannot_be_is_refused(open_body, change, message) -> None:
    with pytest.raises(InputError, match=message):
        dataclasses.replace(open_body.data, **change)


def test_a_licensed_file_that_is_missing_is_named_with_the_way_to_get_it(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HSMR_BIO_ASSETS", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with pytest.raises(MissingAssetError, match="hsmr-bio setup"):
        load_body("skel", sex="female")
    with pytest.raises(InputError, match="does not exist"):
        load_body(tmp_path / "nothing.pkl")


def test_bones_of_the_resting_body_are_on_their_side_and_above_each_other(open_body: Body) -> None:
    at = dict(zip(JOINT_NAMES, open_body.rest(np.zeros(10)).joints_m, strict=True))
    for name, place in at.items():
        assert name[-2:] not in ("_r", "_l") or (place[0] < 0) == name.endswith("_r"), name
    for upper, lower in (("head", "thorax"), ("thorax", "pelvis"), ("femur_r", "tibia_r"), ("tibia_l", "talus_l")):
        assert at[upper][1] > at[lower][1] + 0.1
    assert at["toes_r"][2] > at["calcn_r"][2] + 0.1 and at["hand_l"][0] > at["ulna_l"][0] > at["humerus_l"][0]


def test_an_offset_of_a_joint_at_rest_moves_it_and_what_hangs_on_it(open_body: Body) -> None:
    offset = np.zeros((24, 3))
    knee = JOINT_NAMES.index("tibia_r")
    offset[knee] = [0.01, -0.02, 0.03]
    pose = np.zeros((2, 46))
    plain = open_body.forward(pose, np.zeros(10)).joints_m.numpy()
    moved = open_body.forward(pose, np.zeros(10), joint_offset_m=offset).joints_m.numpy() - plain
    np.testing.assert_allclose(moved[:, knee], [[0.01, -0.02, 0.03]] * 2, atol=1e-9)
    np.testing.assert_allclose(moved[:, JOINT_NAMES.index("femur_l")], 0, atol=1e-9)
    each = open_body.forward(pose, np.zeros(10), joint_offset_m=np.stack([0 * offset, offset])).joints_m.numpy() - plain
    np.testing.assert_allclose(each, np.stack([0 * moved[0], moved[1]]), atol=1e-9)
    with pytest.raises(ShapeError, match="joint_offset_m"):
        open_body.forward(pose, np.zeros(10), joint_offset_m=np.zeros((3, 24, 3)))


def test_a_translation_moves_every_bone_and_the_skin(open_body: Body) -> None:
    pose, trans = np.zeros((1, 46)), np.array([[0.3, -0.2, 1.0]])
    plain, moved = (open_body.forward(pose, np.zeros(10), t, skin=True, skeleton=True) for t in (None, trans))
    for name in ("joints_m", "skin_m", "skeleton_m"):
        by = (getattr(moved, name) - getattr(plain, name)).numpy()
        np.testing.assert_allclose(by, np.broadcast_to(trans[0], by.shape), atol=1e-9)


def test_keypoints_of_the_right_are_mirrored_from_the_left(open_body: Body) -> None:
    for name in ("coco17", "coco23"):
        parts = {part.name: part for part in keypoints_of(open_body.data, name)[0]}
        assert {part.vertices for part in parts.values()} == {()}, "vertices are those of SMPL's skin"
        for place in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle"):
            right, left = parts[f"right_{place}"], parts[f"left_{place}"]
            for kind in ("body", "joint"):
                bone = JOINT_NAMES[getattr(left, kind)]
                assert JOINT_NAMES[getattr(right, kind)] == (f"{bone[:-2]}_r" if bone.endswith("_l") else bone)
                assert not bone.endswith("_r")
            assert right.offset_over_stature == pytest.approx(np.array(left.offset_over_stature) * [-1, 1, 1])
            assert right.sigma_2d_m == left.sigma_2d_m

"""The shipped open body: intact, symmetric, anatomical, as varied as people, bones under its skin, reproducible."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsmr_bio.body.body import Body
from hsmr_bio.body.data_model import BodyData
from hsmr_bio.body.open_body import MIRROR_JOINT, checked_digest, load_open_body
from hsmr_bio.errors import InputError, ModelError
from hsmr_bio.osim.library import bsm
from hsmr_bio.skeleton import DOF_NAMES, JOINT_NAMES, PARENTS

ROOT = Path(__file__).resolve().parents[1]
DATA = files("hsmr_bio.body") / "data"
SEXES = ("male", "female", "neutral")
REST_FROM_OPENSIM = np.array([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]])
"""Columns: OpenSim's front, up, right in rest axes (left, up, front)."""

ANSUR = {
    "male": {
        "stature": (1.7562, 0.0686),
        "knee_height": (0.4917, 0.0266),
        "ankle_height": (0.0729, 0.0057),
        "upper_arm": (0.2860, 0.0149),
        "forearm": (0.2732, 0.0157),
        "shoulders": (0.3575, 0.0165),
        "foot": (0.2712, 0.0131),
        "mass": (85.52, 14.22),
    },
    "female": {
        "stature": (1.6285, 0.0642),
        "knee_height": (0.4659, 0.0271),
        "ankle_height": (0.0627, 0.0051),
        "upper_arm": (0.2655, 0.0146),
        "forearm": (0.2462, 0.0155),
        "shoulders": (0.3142, 0.0157),
        "foot": (0.2463, 0.0124),
        "mass": (67.76, 10.98),
    },
}
"""Mean and standard deviation of ANSUR II, joint distances by the factors of docs/open_body.md; m, kg."""

MEAN_TOLERANCE = {"shoulders": 0.006, "mass": 1.5}
SD_RANGE = {"ankle_height": (0.3, 1.1), "foot": (0.6, 1.2)}


@pytest.fixture(scope="module", params=SEXES)
def body(request: pytest.FixtureRequest) -> Body:
    return Body(load_open_body(request.param))


def joint(name: str) -> int:
    return JOINT_NAMES.index(name)


def mirror_vertices(data: BodyData) -> np.ndarray:
    """Mirror partner of every vertex, found by coordinates: exact or a KeyError."""
    where = {tuple(point): index for index, point in enumerate(data.skin_template_m.tolist())}
    return np.array([where[(-x if x else 0.0, y, z)] for x, y, z in data.skin_template_m.tolist()])


def measures(data: BodyData, betas: np.ndarray) -> dict[str, np.ndarray]:
    """Lengths and mass of bodies (n, 10)."""
    skin = data.skin_template_m + np.einsum("vak,nk->nva", data.shapedirs, betas)
    joints = data.rest_joints_m + np.einsum("jak,nk->nja", data.rest_joint_shapedirs, betas)
    floor, top = skin[:, :, 1].min(axis=1), skin[:, :, 1].max(axis=1)
    a, b, c = (skin[:, data.skin_faces[:, i]] for i in range(3))
    mass = data.density_kg_m3 * np.einsum("nfa,nfa->n", a, np.cross(b, c)) / 6
    foot = data.landmarks
    length = skin[:, foot["L_big_toe_tip"], 2] - skin[:, foot["L_heel_back"], 2]
    return {
        "stature": top - floor,
        "knee_height": joints[:, joint("tibia_l"), 1] - floor,
        "ankle_height": joints[:, joint("talus_l"), 1] - floor,
        "upper_arm": np.linalg.norm(joints[:, joint("ulna_l")] - joints[:, joint("humerus_l")], axis=1),
        "forearm": np.linalg.norm(joints[:, joint("hand_l")] - joints[:, joint("ulna_l")], axis=1),
        "shoulders": joints[:, joint("humerus_l"), 0] - joints[:, joint("humerus_r"), 0],
        "foot": length,
        "mass": mass,
    }


def normal_betas(pairs: int) -> np.ndarray:
    """(2 pairs, 10) with mean 0 and covariance 1, exactly."""
    draw = np.random.default_rng(1).standard_normal((pairs, 10))
    draw = np.linalg.solve(np.linalg.cholesky(draw.T @ draw / pairs), draw.T).T
    return np.concatenate([draw, -draw])


# ---------------------------------------------------------------- the file


@pytest.mark.parametrize("sex", SEXES)
def test_the_name_carries_the_hash_of_the_file(sex: str) -> None:
    listing = (DATA / "open_body.sha256").read_text()
    digest = checked_digest(f"open_{sex}.npz", (DATA / f"open_{sex}.npz").read_bytes(), listing)
    assert load_open_body(sex).name == f"open-{sex}@{digest[:8]}"


def test_one_wrong_byte_is_an_error() -> None:
    data = bytearray((DATA / "open_male.npz").read_bytes())
    data[len(data) // 2] ^= 1
    with pytest.raises(ModelError, match=r"open_male\.npz is damaged"):
        checked_digest("open_male.npz", bytes(data), (DATA / "open_body.sha256").read_text())


def test_an_unknown_sex_is_an_error() -> None:
    with pytest.raises(InputError, match="neutral, female, male"):
        load_open_body("child")  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("anny") is None, reason="needs the extra build-body (package anny)")
@pytest.mark.skipif(not (ROOT / "tools" / "open_body").exists(), reason="needs the source tree")
def test_the_build_gives_the_same_bytes(tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "tools" / "open_body" / "build.py"), "--out", str(tmp_path)]
    subprocess.run(command, check=True, env=environment, capture_output=True)
    assert (tmp_path / "open_body.sha256").read_text() == (DATA / "open_body.sha256").read_text()


# ---------------------------------------------------------------- symmetry


def test_left_and_right_are_exact_mirror_images(body: Body) -> None:
    data = body.data
    mirror, flip = mirror_vertices(data), np.array([-1.0, 1, 1])
    assert np.array_equal(data.shapedirs[mirror], data.shapedirs * flip[:, None])
    weights = data.skin_weights.toarray()
    assert np.array_equal(weights[mirror][:, MIRROR_JOINT], weights)
    regressor = data.joint_regressor.toarray()
    np.testing.assert_allclose(regressor[list(MIRROR_JOINT)][:, mirror], regressor, rtol=0, atol=1e-8)
    assert data.rest_joints_m is not None
    assert data.rest_joint_shapedirs is not None
    np.testing.assert_allclose(data.rest_joints_m[list(MIRROR_JOINT)], data.rest_joints_m * flip, rtol=0, atol=1e-12)
    left = data.rest_joint_shapedirs[list(MIRROR_JOINT)]
    np.testing.assert_allclose(left, data.rest_joint_shapedirs * flip[:, None], rtol=0, atol=1e-12)


def test_left_bones_mirror_right_ones(body: Body) -> None:
    data = body.data
    for right in range(1, 24):
        left = MIRROR_JOINT[right]
        if left == right:
            continue
        mine, other = (data.bone_template_m[data.bone_of_vertex == k] for k in (right, left))
        assert len(mine) > 40
        assert np.array_equal(other, mine * [1, 1, -1])
        rotation = np.diag([-1.0, 1, 1]) @ data.per_joint_rot[right] @ np.diag([1.0, 1, -1])
        np.testing.assert_allclose(data.per_joint_rot[left], rotation, atol=1e-11)


def test_bone_faces_point_outwards_on_both_sides(body: Body) -> None:
    data = body.data
    for name in ("femur_r", "femur_l", "humerus_r", "humerus_l", "tibia_r", "tibia_l"):
        faces = data.bone_faces[data.bone_of_vertex[data.bone_faces[:, 0]] == joint(name)]
        a, b, c = (data.bone_template_m[faces[:, i]] for i in range(3))
        assert np.einsum("fa,fa->", a, np.cross(b, c)) > 1e-5, name


# ---------------------------------------------------------------- T pose and anatomy


@given(betas=st.lists(st.floats(-3, 3), min_size=10, max_size=10))
@settings(max_examples=25, deadline=None)
def test_every_shape_stands_in_the_same_t_pose(betas: list[float]) -> None:
    for sex in SEXES:
        data = load_open_body(sex)
        joints = data.rest_joints_m + data.rest_joint_shapedirs @ np.array(betas)
        leg = joints[[joint(n) for n in ("femur_l", "tibia_l", "talus_l")]]
        arm = joints[[joint(n) for n in ("humerus_l", "ulna_l", "hand_l")]]
        assert np.ptp(leg[:, [0, 2]], axis=0).max() < 1e-6
        assert np.ptp(arm[:, 1:], axis=0).max() < 1e-6
        assert (np.diff(leg[:, 1]) < -0.25).all()
        assert (np.diff(arm[:, 0]) > 0.15).all()
        assert np.abs(joints[[0, 11, 12, 13], 0]).max() == 0


def test_the_regressor_gives_the_joints_of_any_shape(body: Body) -> None:
    data = body.data
    for beta in normal_betas(15)[:15]:
        joints = data.rest_joints_m + data.rest_joint_shapedirs @ beta
        regressed = data.joint_regressor @ (data.skin_template_m + data.shapedirs @ beta)
        assert np.abs(regressed - joints).max() < 0.001


def test_joints_lie_where_anatomy_has_them(body: Body) -> None:
    data = body.data
    height = measures(data, np.zeros((1, 10)))["stature"][0]
    joints = (data.rest_joints_m - [0, data.skin_template_m[:, 1].min(), 0]) / height
    expected = {  # height over stature; hip, knee, ankle, shoulder: de Leva 1996; spine: BSM at its default pose
        "femur_l": (0.52, 0.015),
        "tibia_l": (0.283, 0.01),
        "talus_l": (0.041, 0.006),
        "lumbar_body": (0.650, 0.02),
        "thorax": (0.828, 0.02),
        "head": (0.897, 0.02),
        "humerus_l": (0.805, 0.015),
    }
    for name, (value, tolerance) in expected.items():
        assert joints[joint(name), 1] == pytest.approx(value, abs=tolerance), name
    hip = np.abs(data.rest_joints_m[joint("femur_l")])
    np.testing.assert_allclose(hip, [0.085, 0.079, 0.046], atol=0.006)  # Hara et al. 2016 for a leg of 0.9 m
    acromion, shoulder = data.rest_joints_m[joint("scapula_l")], data.rest_joints_m[joint("humerus_l")]
    np.testing.assert_allclose(acromion - shoulder, [-0.012, 0.028, 0], atol=0.003)


@pytest.mark.parametrize("sex", SEXES)
def test_bone_frames_are_those_of_bsm(sex: str) -> None:
    """In BSM's default pose trunk, legs and shoulder blades are oriented as in the open body's T pose."""
    data, document = load_open_body(sex), bsm()
    tree = document.tree()
    q = np.array([document.coordinates[name].default_si for name in tree.coordinates])
    pose = tree.forward(q)
    bodies = [item.body for item in tree.joints]
    for name in (*JOINT_NAMES[:15], "scapula_l"):
        wanted = REST_FROM_OPENSIM @ pose.rotations[bodies.index(name)].numpy()
        np.testing.assert_allclose(data.per_joint_rot[joint(name)], wanted, atol=2e-4, err_msg=name)
    for side, sign in (("r", -1.0), ("l", 1.0)):
        for name in (f"humerus_{side}", f"ulna_{side}", f"hand_{side}"):
            wanted = np.column_stack([[0, 0, 1], [-sign, 0, 0], [0, -sign, 0]])
            np.testing.assert_allclose(data.per_joint_rot[joint(name)], wanted, atol=1e-12)


def test_the_mean_body_needs_no_alignment(body: Body) -> None:
    rest = body.rest(np.zeros(10))
    np.testing.assert_allclose(rest.bone_rotations, body.data.per_joint_rot, atol=1e-9)
    np.testing.assert_allclose(rest.bone_scale, 1, atol=1e-9)
    np.testing.assert_allclose(rest.joints_m[0], 0, atol=1e-12)


def test_pronation_leaves_the_wrist_near_its_place(body: Body) -> None:
    """The forearm turns about a line through the heads of radius and ulna, 12 mm beside the wrist centre."""
    poses = np.zeros((2, 46))
    poses[1, [DOF_NAMES.index("pro_sup_r"), DOF_NAMES.index("pro_sup_l")]] = 1.2
    joints = body.forward(poses, np.zeros((2, 10)), np.zeros((2, 3))).joints_m.numpy()
    moved = np.linalg.norm(joints[1] - joints[0], axis=1)[[joint("hand_r"), joint("hand_l")]]
    assert (moved > 0.008).all()
    assert (moved < 0.018).all()


def test_flexion_moves_hand_and_foot_the_right_way(body: Body) -> None:
    poses = np.zeros((3, 46))
    poses[1, [DOF_NAMES.index(f"elbow_flexion_{s}") for s in "rl"]] = 1.0
    poses[2, [DOF_NAMES.index(f"knee_angle_{s}") for s in "rl"]] = 1.0
    joints = body.forward(poses, np.zeros((3, 10)), np.zeros((3, 3))).joints_m.numpy()
    for side in "rl":
        assert joints[1, joint(f"hand_{side}"), 2] - joints[0, joint(f"hand_{side}"), 2] > 0.15
        assert joints[2, joint(f"talus_{side}"), 2] - joints[0, joint(f"talus_{side}"), 2] < -0.25


# ---------------------------------------------------------------- statistics


@pytest.mark.parametrize("sex", ["male", "female"])
def test_bodies_are_as_tall_heavy_and_varied_as_the_survey(sex: str) -> None:
    found = measures(load_open_body(sex), normal_betas(40))
    for name, (mean, sd) in ANSUR[sex].items():
        low, high = SD_RANGE.get(name, (0.75, 1.1))
        assert found[name].mean() == pytest.approx(mean, abs=MEAN_TOLERANCE.get(name, 0.004)), name
        assert low * sd < found[name].std() < high * sd, name


def test_the_neutral_body_lies_between_the_sexes() -> None:
    height = {sex: measures(load_open_body(sex), np.zeros((1, 10)))["stature"][0] for sex in SEXES}
    assert height["neutral"] == pytest.approx((height["male"] + height["female"]) / 2, abs=0.005)


def test_beta_1_is_stature_and_beta_2_is_body_mass_index(body: Body) -> None:
    betas = normal_betas(40)
    found = measures(body.data, betas)
    bmi = found["mass"] / found["stature"] ** 2
    assert np.corrcoef(betas[:, 0], found["stature"])[0, 1] > 0.97
    assert np.corrcoef(betas[:, 1], bmi)[0, 1] > 0.88
    assert abs(np.corrcoef(betas[:, 1], found["stature"])[0, 1]) < 0.1


# ---------------------------------------------------------------- keypoints and bones


def test_both_forms_of_a_keypoint_are_the_same_place(body: Body) -> None:
    data = body.data
    height = measures(data, np.zeros((1, 10)))["stature"][0]
    points = data.keypoints["blazepose33"]
    assert len(points) == 33
    for point in points:
        by_joint = data.rest_joints_m[point.joint] + height * np.array(point.offset_over_stature)
        by_skin = np.array(point.weights) @ data.skin_template_m[list(point.vertices)]
        assert sum(point.weights) == pytest.approx(1, abs=1e-4)
        assert np.linalg.norm(by_joint - by_skin) < 0.035, point.name
        assert (by_joint[0] > 0.005) == point.name.startswith("left") or point.name in ("nose", "mouth_left")


def test_landmarks_lie_on_the_named_side(body: Body) -> None:
    skin, marks = body.data.skin_template_m, body.data.landmarks
    for name, vertex in marks.items():
        x = skin[vertex, 0]
        assert x > 0.01 if name.startswith("L") else x < -0.01 if name.startswith("R") else abs(x) < 1e-9, name
    assert skin[marks["C7"], 1] > skin[marks["T10"], 1] > skin[marks["sacrum_S2"], 1]


def hidden(skin: np.ndarray, faces: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Whether each point is inside the skin or enclosed by it (mouth cavity), by rays along the six axis directions.

    Counts signed crossings of triangles that lie over a point, in cells of 6 mm.
    """
    points = points + np.array([3.1e-7, 2.3e-7, 1.7e-7])
    turns, open_to_outside = [], np.zeros(len(points), dtype=bool)
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        a, b, c = (skin[faces[:, i]] for i in range(3))
        area = (b[:, u] - a[:, u]) * (c[:, v] - a[:, v]) - (c[:, u] - a[:, u]) * (b[:, v] - a[:, v])
        cell = np.floor(skin[faces][:, :, [u, v]] / 0.006).astype(int) + 5000
        low, size = cell.min(axis=1), np.ptp(cell, axis=1) + 1
        count = np.where(np.abs(area) > 1e-14, size.prod(axis=1), 0)
        triangle = np.repeat(np.arange(len(faces)), count)
        step = np.arange(len(triangle)) - np.repeat(np.cumsum(count) - count, count)
        key = (low[triangle, 0] + step % size[triangle, 0]) * 10000 + low[triangle, 1] + step // size[triangle, 0]
        order = np.argsort(key, kind="stable")
        key, triangle = key[order], triangle[order]
        mine = (np.floor(points[:, [u, v]] / 0.006).astype(int) + 5000) @ [10000, 1]
        first, last = np.searchsorted(key, mine, "left"), np.searchsorted(key, mine, "right")
        number = np.repeat(np.arange(len(points)), last - first)
        offset = np.arange(len(number)) - np.repeat(np.cumsum(last - first) - (last - first), last - first)
        t = triangle[np.repeat(first, last - first) + offset]
        p, ta, tb, tc = points[number], a[t], b[t], c[t]
        w1 = ((p[:, u] - ta[:, u]) * (tc[:, v] - ta[:, v]) - (tc[:, u] - ta[:, u]) * (p[:, v] - ta[:, v])) / area[t]
        w2 = ((tb[:, u] - ta[:, u]) * (p[:, v] - ta[:, v]) - (p[:, u] - ta[:, u]) * (tb[:, v] - ta[:, v])) / area[t]
        met = (w1 >= 0) & (w2 >= 0) & (w1 + w2 <= 1)
        above = ta[:, axis] * (1 - w1 - w2) + tb[:, axis] * w1 + tc[:, axis] * w2 > p[:, axis]
        for side, sign in ((met & above, 1), (met & ~above, -1)):
            turns.append(np.bincount(number[side], sign * np.sign(area[t[side]]), len(points)))
            open_to_outside |= np.bincount(number[side], minlength=len(points)) == 0
    return (np.median(turns, axis=0) > 0.5) | ~open_to_outside


def test_the_ray_test_knows_inside_from_outside(body: Body) -> None:
    skin, faces = body.data.skin_template_m, body.data.skin_faces
    inside = body.data.rest_joints_m
    outside = np.array([[0.5, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, -0.6, -0.05], [0.3, 0.3, 0.0]])
    assert hidden(skin, faces, inside).all()
    assert not hidden(skin, faces, outside).any()


@pytest.mark.slow
@pytest.mark.parametrize(("beta", "value", "bound"), [(0, 0.0, 0.012), (0, -2.0, 0.035), (1, 2.0, 0.03), (1, -2.0, 0.03)])
def test_bones_lie_under_the_skin(body: Body, beta: int, value: float, bound: float) -> None:
    betas = np.zeros((1, 10))
    betas[0, beta] = value
    posed = body.forward(np.zeros((1, 46)), betas, np.zeros((1, 3)), skin=True, skeleton=True)
    inside = hidden(posed.skin_m[0].numpy(), body.faces, posed.skeleton_m[0].numpy())
    assert 1 - inside.mean() < bound


def test_every_bone_has_a_mesh_at_its_joint(body: Body) -> None:
    bones = body.data.bone_of_vertex
    for number, name in enumerate(JOINT_NAMES):
        points = body.data.bone_template_m[bones == number]
        assert len(points) > 40, name
        if name != "pelvis":
            assert np.linalg.norm(points, axis=1).min() < 0.035, name
    assert body.parents == PARENTS


def test_bones_that_meet_share_their_ends_by_halves_at_most(body: Body) -> None:
    weights = body.data.bone_weights.tocsr()
    np.testing.assert_allclose(np.asarray(weights.sum(axis=1)).ravel(), 1)
    shared = weights[np.flatnonzero(np.diff(weights.indptr) == 2)].data.reshape(-1, 2)
    assert len(shared) > 1000 and shared.min(axis=1).max() == pytest.approx(0.5, abs=1e-4)

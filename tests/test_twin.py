"""The twin in real OpenSim: its coordinates are SKEL's angles."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hsmr_bio.body import load_body
from hsmr_bio.errors import InputError
from hsmr_bio.osim.document import OsimDocument
from hsmr_bio.osim.twin import COORDINATES, twin_model, twin_motion, twin_to_skel
from hsmr_bio.skeleton import DOF_NAMES, JOINT_NAMES, LIMITS_RAD
from hsmr_bio.types import SkelMotion

RNG = np.random.default_rng(3)
BETAS = RNG.normal(size=10) * 0.7


def random_motion(body, count=40, frame="world") -> SkelMotion:
    low, high = np.nan_to_num(LIMITS_RAD, nan=0.0).T
    poses = RNG.uniform(low, high, (count, 46))
    poses[: count // 2] = RNG.uniform(-0.75, 0.75, (count // 2, 46))
    poses[:, :3] = RNG.normal(size=(count, 3))
    return SkelMotion(
        time_s=np.arange(count) / 10,
        poses_rad=poses,
        trans_m=RNG.normal(size=(count, 3)),
        betas=BETAS,
        body=body.name,
        frame=frame,
    )


@pytest.fixture(scope="module", params=["open", "synthetic"])
def body(request, open_body):
    if request.param == "open":
        return open_body
    return load_body(request.getfixturevalue("synthetic_male") / "skel_male.pkl")


@pytest.fixture(scope="module")
def twin(body):
    return twin_model(body, BETAS, name="person")


@pytest.fixture(scope="module")
def model(twin, tmp_path_factory):
    opensim = pytest.importorskip("opensim")
    opensim.Logger.setLevelString("error")
    path = tmp_path_factory.mktemp("twin") / "person.osim"
    path.write_bytes(twin.osim_xml)
    loaded = opensim.Model(str(path))
    return loaded, loaded.initSystem()


def placed(model, motion):
    """Origins (T, 24, 3) and orientations (T, 24, 3, 3) of the bodies in OpenSim's ground."""
    osim, state = model
    coordinates = {c.getName(): c for c in osim.getCoordinateSet()}
    bodies = [osim.getBodySet().get(name) for name in JOINT_NAMES]
    points, turns = [], []
    for row in motion.values_si:
        for name, value in zip(motion.coordinates, row, strict=True):
            coordinates[name].setValue(state, float(value), False)
        osim.realizePosition(state)
        transforms = [body.getTransformInGround(state) for body in bodies]
        points.append([[t.p()[k] for k in range(3)] for t in transforms])
        turns.append([[[t.R().get(a, b) for b in range(3)] for a in range(3)] for t in transforms])
    return np.array(points), np.array(turns)


@pytest.mark.opensim
def test_opensim_places_the_bones_where_skel_does(body, twin, model) -> None:
    motion = random_motion(body)
    points, turns = placed(model, twin_motion(motion, twin, body))
    skel = body.forward(motion.poses_rad, BETAS, motion.trans_m)
    np.testing.assert_allclose(points, skel.joints_m.numpy(), atol=1e-6, rtol=0)
    np.testing.assert_allclose(turns, skel.joints_ori.numpy(), atol=np.radians(1e-4), rtol=0)


@pytest.mark.opensim
def test_the_model_has_the_persons_mass_and_faces_forward(body, twin, model) -> None:
    osim, state = model
    osim.initSystem()
    assert osim.getTotalMass(state) == pytest.approx(twin.mass_kg, rel=1e-9)
    assert {c.getName() for c in osim.getCoordinateSet()} == set(COORDINATES)
    document = OsimDocument.from_bytes(twin.osim_xml)
    pose = document.tree().forward(document.default_si)
    names = document.tree().bodies
    turns, points = pose.rotations.numpy(), pose.positions_m.numpy()
    assert turns[names.index("pelvis")][0, 0] > 0.95  # its x axis, the front, points along ground x
    assert points[names.index("hand_r")][2] > points[names.index("hand_l")][2]  # the right hand at +z
    skin = body.rest(BETAS).skin_m[:, 1] - body.rest(BETAS).joints_m[0, 1]
    assert points[names.index("pelvis")][1] == pytest.approx(-skin.min())  # it stands on the floor


def test_the_angles_are_the_ones_of_skel(body, twin) -> None:
    motion = random_motion(body)
    there = twin_motion(motion, twin, body)
    for index in range(3, 46):
        np.testing.assert_array_equal(there.column(DOF_NAMES[index]), motion.poses_rad[:, index])
    back = twin_to_skel(there, twin, body)
    np.testing.assert_allclose(back.trans_m, motion.trans_m, atol=1e-12)
    first, second = (body.forward(m.poses_rad, BETAS, m.trans_m).joints_ori.numpy() for m in (motion, back))
    np.testing.assert_allclose(first, second, atol=1e-6)


def test_the_skel_frame_is_turned_into_ground(body, twin) -> None:
    world = random_motion(body)
    skel = dataclasses.replace(world, frame="skel")
    tree = OsimDocument.from_bytes(twin.osim_xml).tree()
    there = twin_motion(skel, twin, body)
    pose = tree.forward(np.stack([there.column(name) for name in tree.coordinates], axis=1))
    joints = body.forward(skel.poses_rad, BETAS, skel.trans_m).joints_m.numpy()
    rows = [tree.bodies.index(name) for name in JOINT_NAMES]
    expected = np.stack([joints[..., 2], joints[..., 1], -joints[..., 0]], axis=-1)
    np.testing.assert_allclose(pose.positions_m.numpy()[:, rows], expected, atol=1e-6)


def test_a_turning_body_has_continuous_angles(body, twin) -> None:
    turns = np.linspace(0, 6 * np.pi, 200)
    poses = np.zeros((200, 46))
    poses[:, 2], poses[:, 0] = turns, 0.3 * np.sin(turns)
    motion = dataclasses.replace(
        random_motion(body, 200), poses_rad=poses, trans_m=np.zeros((200, 3)), time_s=np.arange(200) / 60
    )
    values = twin_motion(motion, twin, body).values_si[:, :3]
    assert np.abs(np.diff(values, axis=0)).max() < 0.3
    assert values[-1, 2] - values[0, 2] == pytest.approx(6 * np.pi, abs=0.1)


def test_a_given_height_scales_all_lengths(open_body) -> None:
    tall = twin_model(open_body, BETAS, height_m=open_body.stature_m(BETAS) * 1.1)
    assert tall.stature_m == pytest.approx(open_body.stature_m(BETAS) * 1.1)
    trees = [OsimDocument.from_bytes(twin_model(open_body, BETAS, height_m=h).osim_xml).tree() for h in (None, tall.stature_m)]
    q = RNG.uniform(-0.4, 0.4, 49)
    q[[trees[0].index(name) for name in ("pelvis_tx", "pelvis_ty", "pelvis_tz")]] = 0
    first, second = (tree.forward(q).positions_m.numpy() for tree in trees)
    np.testing.assert_allclose(first * 1.1, second, atol=1e-9)


def test_other_bodies_betas_and_models_are_refused(open_body) -> None:
    twin = twin_model(open_body, BETAS)
    motion = random_motion(open_body, 3)
    for wrong, message in (
        (dataclasses.replace(motion, body="skel_male@1.1.1"), "mean nothing"),
        (dataclasses.replace(motion, betas=BETAS + 0.1), "other betas"),
        (dataclasses.replace(motion, frame="camera"), "camera"),
    ):
        with pytest.raises(InputError, match=message):
            twin_motion(wrong, twin, open_body)
    with pytest.raises(InputError, match="not a twin"):
        twin_motion(motion, dataclasses.replace(twin, model="bsm"), open_body)

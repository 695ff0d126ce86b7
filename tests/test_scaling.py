"""A person's model: lengths, masses, markers, and what OpenSim makes of it."""

from __future__ import annotations

import numpy as np
import pytest

from hsmr_bio.errors import InputError, ShapeError
from hsmr_bio.osim.document import OsimDocument
from hsmr_bio.osim.library import bsm
from hsmr_bio.osim.masses import SEGMENT_PERCENT, second_moments, segment_bodies
from hsmr_bio.osim.nimble_export import write_nimble_model
from hsmr_bio.osim.nimble_states import NimbleStates
from hsmr_bio.osim.person import TPose
from hsmr_bio.osim.placement import place_joints
from hsmr_bio.scaling import scale_model, write_scale_set
from hsmr_bio.skeleton import JOINT_NAMES, PARENTS

TALL = np.array([1.5, -1.0, 0.5, 0.3, -0.7, 1.0, 0.2, -0.4, 0.1, 0.6])
WORLD_REST = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
"""Rest axes (left, up, front) to OpenSim's (front, up, right)."""


def document(subject) -> OsimDocument:
    return OsimDocument.from_bytes(subject.osim_xml)


def random_betas(count: int) -> np.ndarray:
    return np.random.default_rng(7).normal(size=(count, 10)) * 2


@pytest.mark.parametrize("betas", [np.zeros(10), TALL])
def test_in_the_t_pose_bones_and_joints_are_the_bodys(betas, open_body) -> None:
    subject = scale_model(open_body, betas)
    model = document(subject)
    t_pose = TPose(bsm(), open_body, betas)
    values = place_joints(t_pose, subject.scale_factors).t_pose_si
    q = np.array([values.get(name, c.default_si) for name, c in model.coordinates.items()])
    pose = model.tree().forward(q)
    rest = open_body.rest(betas)
    wanted = (rest.joints_m - rest.joints_m[0]) @ WORLD_REST.T
    got = (pose.positions_m - pose.positions_m[0]).numpy()
    assert np.abs(got - wanted).max() < 2e-5, "polynomials of arc and ellipsoid are good to 0.01 mm"
    assert np.abs(pose.rotations.numpy() - WORLD_REST @ rest.bone_rotations).max() < 1e-8


def test_the_mean_body_has_bsms_frames(open_body) -> None:
    """The mean body's T pose is BSM's default pose but for the shoulders: no turn between bone frames and body frames."""
    t_pose = TPose(bsm(), open_body, np.zeros(10))
    values = place_joints(t_pose, scale_model(open_body, np.zeros(10)).scale_factors).t_pose_si
    for name, value in values.items():
        if not name.startswith("shoulder"):
            wanted = 0.0 if name.startswith("pro_sup") else bsm().coordinates[name].default_si
            assert value == pytest.approx(wanted, abs=np.radians(0.1)), name


def test_stature_and_mass(open_body) -> None:
    subject = scale_model(open_body, TALL)
    skin = open_body.rest(TALL).skin_m
    assert subject.stature_m == pytest.approx(np.ptp(skin[:, 1]), rel=0.01)
    assert document(subject).mass_kg == pytest.approx(subject.mass_kg, rel=1e-12)
    assert subject.mass_kg == pytest.approx(open_body.mass_kg(TALL))


def test_a_given_height_scales_every_length_and_a_given_mass_is_exact(open_body) -> None:
    own = scale_model(open_body, TALL)
    other = scale_model(open_body, TALL, height_m=1.5, mass_kg=61.5)
    k = 1.5 / own.stature_m
    assert other.stature_m == 1.5
    assert document(other).mass_kg == pytest.approx(61.5, rel=1e-12)
    mine, theirs = document(own), document(other)
    names = list(mine.coordinates)
    q = mine.default_si
    q[names.index("pelvis_ty")] = 0.0
    small, large = theirs.tree().forward(q).positions_m.numpy(), mine.tree().forward(q).positions_m.numpy()
    assert np.abs(small - k * large).max() < 1e-9
    assert scale_model(open_body, TALL, height_m=1.5).mass_kg == pytest.approx(own.mass_kg * k**3)
    assert other.mass_source == "--mass-kg"


def test_the_marker_of_the_head_is_at_the_stature(open_body) -> None:
    """Model and stature agree: from the heel's skin to the top of the head, standing in the default pose."""
    subject = scale_model(open_body, TALL)
    model = document(subject)
    pose = model.tree().forward(model.default_si)
    j = JOINT_NAMES.index("head")
    top = pose.rotations[j].numpy() @ model.markers["THD"].position_m + pose.positions_m[j].numpy()
    assert top[1] == pytest.approx(subject.stature_m, rel=0.015)


@pytest.mark.parametrize("sex", ["male", "female", "neutral"])
def test_segments_have_the_published_share_of_the_mass(sex, open_body) -> None:
    model = document(scale_model(open_body, TALL, mass_kg=70.0, sex=sex))
    percent = SEGMENT_PERCENT[sex]
    total = sum(percent[key] for key, _ in segment_bodies().values())
    assert total == pytest.approx(100, abs=0.5)
    for key, bodies in segment_bodies().values():
        assert sum(model.bodies[b].mass_kg for b in bodies) == pytest.approx(70 * percent[key] / total)


@pytest.mark.slow
def test_inertias_are_physical_on_every_body_and_grow_as_mass_times_length_squared(open_body) -> None:
    for betas in random_betas(12):
        for body in document(scale_model(open_body, betas)).bodies.values():
            moments = second_moments(body.inertia_kg_m2)
            assert np.linalg.eigvalsh(moments).min() > 0, body.name
    one, two = (scale_model(open_body, np.zeros(10), height_m=h, mass_kg=m) for h, m in ((1.5, 50.0), (1.8, 75.0)))
    ratio = 1.5 * 1.2**2
    for a, b in zip(document(one).bodies.values(), document(two).bodies.values(), strict=True):
        assert np.array(b.inertia_kg_m2) == pytest.approx(ratio * np.array(a.inertia_kg_m2), rel=1e-9, abs=1e-12)


@pytest.mark.slow
@pytest.mark.opensim
def test_opensim_loads_any_shape_without_a_warning(open_body, opensim_model, tmp_path) -> None:
    from hsmr_bio.osim.geometry import write_geometry

    write_geometry(tmp_path / "Geometry", open_body, TALL, prefix="anna")
    for k, betas in enumerate([TALL, *random_betas(3)]):
        subject = scale_model(open_body, betas, name="anna")
        path = tmp_path / f"{k}.osim"
        path.write_bytes(subject.osim_xml)
        loaded = opensim_model(path)
        assert loaded.log.count("\n") == 2, loaded.log
        assert loaded.model.getTotalMass(loaded.state) == pytest.approx(subject.mass_kg)
        assert loaded.coordinates == list(document(subject).coordinates)
        assert sorted(loaded.coordinates) == sorted(bsm().coordinates)


@pytest.mark.opensim
def test_opensim_moves_a_person_as_our_tree_does(open_body, opensim_model, tmp_path) -> None:
    subject = scale_model(open_body, TALL)
    path = tmp_path / "s.osim"
    path.write_bytes(subject.osim_xml)
    loaded, model = opensim_model(path), document(subject)
    tree = model.tree()
    low, high = model.ranges_si.clip(-3, 3).T
    for q in low + (high - low) * np.random.default_rng(6).random((10, len(low))):
        loaded.place(dict(zip(tree.coordinates, q, strict=True)))
        pose = tree.forward(q)
        for j, name in enumerate(tree.bodies):
            origin, orientation = loaded.body(name)
            assert np.abs(origin - pose.positions_m[j].numpy()).max() < 1e-6, name
            assert np.abs(orientation - pose.rotations[j].numpy()).max() < 1e-6, name


@pytest.mark.opensim
def test_opensim_scales_a_person_once_more(open_body, tmp_path) -> None:
    """A person's model made larger by OpenSim is the model of a larger person: the slides of its joints grow along."""
    opensim = pytest.importorskip("opensim")
    subject, larger = scale_model(open_body, TALL), scale_model(open_body, TALL, height_m=1.9)
    ratio = 1.9 / subject.stature_m
    path = tmp_path / "s.osim"
    path.write_bytes(subject.osim_xml)
    model = opensim.Model(str(path))
    scales = opensim.ScaleSet()
    for name in JOINT_NAMES:
        scale = opensim.Scale()
        scale.setSegmentName(name)
        scale.setScaleFactors(opensim.Vec3(ratio))
        scale.setApply(True)
        scales.cloneAndAppend(scale)
    model.scale(model.initSystem(), scales, True, subject.mass_kg)
    model.printToXML(str(tmp_path / "l.osim"))
    theirs, ours = OsimDocument.read(tmp_path / "l.osim").tree(), document(larger).tree()
    low, high = document(larger).ranges_si.clip(-1, 1).T
    q = low + (high - low) * np.random.default_rng(6).random((10, len(low)))
    assert theirs.coordinates == ours.coordinates
    assert np.abs((theirs.forward(q).positions_m - ours.forward(q).positions_m).numpy()).max() < 2e-5


@pytest.mark.opensim
def test_opensims_own_scaling_gives_the_same_segment_lengths(open_body, tmp_path) -> None:
    opensim = pytest.importorskip("opensim")
    subject = scale_model(open_body, TALL)
    generic = opensim.Model(str(bsm().write(tmp_path / "bsm.osim")))
    state = generic.initSystem()
    scales = opensim.ScaleSet(str(write_scale_set(tmp_path / "scale.xml", subject)))
    assert scales.getSize() == 24
    generic.scale(state, scales, True, subject.mass_kg)
    generic.printToXML(str(tmp_path / "scaled.osim"))
    theirs, ours = OsimDocument.read(tmp_path / "scaled.osim"), document(subject)
    for bone in ("femur", "tibia", "talus", "calcn", "scapula", "humerus", "radius"):
        for side in "rl":
            name = f"{bone}_{side}"
            assert length_m(theirs, name) == pytest.approx(length_m(ours, name), rel=1e-5), name
    for model in (theirs, ours):
        assert model.mass_kg == pytest.approx(subject.mass_kg, rel=1e-6)
    hips = [model.joints["hip_r"].parent.translation_m for model in (theirs, ours)]
    assert hips[0] == pytest.approx(hips[1], abs=1e-6)


def length_m(model: OsimDocument, body: str) -> float:
    """Distance of the following joint from a body's origin, or, in the shank, from the axis of the knee."""
    own = next(j for j in model.joints.values() if j.child.body == body)
    following = next(j for j in model.joints.values() if j.parent.body == body)
    start = own.child.translation_m if body.startswith("tibia") else (0.0, 0.0, 0.0)
    return float(np.linalg.norm(np.subtract(following.parent.translation_m, start)))


def test_markers_are_points_of_the_skin_near_their_place(open_body) -> None:
    subject = scale_model(open_body, TALL)
    model = document(subject)
    rest = open_body.rest(TALL)
    assert list(model.markers) == list(bsm().markers)
    for marker in model.markers.values():
        j = JOINT_NAMES.index(marker.body)
        at = rest.bone_rotations[j] @ marker.position_m + rest.joints_m[j]
        distance = np.linalg.norm(rest.skin_m - at, axis=1)
        assert distance.min() < 1e-9, marker.name
        owners = open_body.data.skin_weights[[int(distance.argmin())]].toarray()[0]
        near = [j, PARENTS[j], *(k for k, p in enumerate(PARENTS) if p == j)]
        assert owners[near].sum() > 0.2, marker.name
    generic = bsm().markers
    for name in ("RKNE", "LANK", "THD", "C7", "RELB"):
        moved = np.subtract(model.markers[name].position_m, generic[name].position_m)
        assert np.linalg.norm(moved) < 0.06, name


def test_a_subject_survives_the_trip_to_nimblephysics(open_body, tmp_path) -> None:
    nimble = pytest.importorskip("nimblephysics")
    model = document(scale_model(open_body, TALL, mass_kg=80.0))
    skeleton = nimble.biomechanics.OpenSimParser.parseOsim(str(write_nimble_model(tmp_path / "n.osim", model))).skeleton
    assert skeleton.getMass() == pytest.approx(80.0)
    random = np.random.default_rng(5)
    low, high = model.ranges_si.clip(-3, 3).T
    tree, states = model.tree(), NimbleStates(model)
    names = [skeleton.getDofByIndex(i).getName() for i in range(skeleton.getNumDofs())]
    assert sorted(names) == sorted(states.names)
    for q in low + (high - low) * random.random((5, len(low))):
        for name, value in zip(states.names, states.positions(q[None])[0].tolist(), strict=True):
            skeleton.setPosition(names.index(name), value)
        pose = tree.forward(q)
        for j, name in enumerate(tree.bodies):
            theirs = np.array(skeleton.getBodyNode(name).getWorldTransform().matrix())
            assert np.linalg.norm(theirs[:3, 3] - pose.positions_m[j].numpy()) < 5e-5, name
            assert np.abs(theirs[:3, :3] - pose.rotations[j].numpy()).max() < 1e-6, name


def test_wrong_figures_are_refused(open_body) -> None:
    with pytest.raises(InputError, match="--mass-kg must be between"):
        scale_model(open_body, TALL, mass_kg=75000)
    with pytest.raises(InputError, match="--height-m must be between"):
        scale_model(open_body, TALL, height_m=175)
    with pytest.raises(InputError, match="file names"):
        scale_model(open_body, TALL, name="a/b")
    with pytest.raises(ShapeError, match="betas"):
        scale_model(open_body, np.zeros(9))


@pytest.mark.opensim
def test_on_skels_joints_opensim_moves_as_the_body_does(open_body, opensim_model, tmp_path) -> None:
    from hsmr_bio.mapping import to_coordinates
    from hsmr_bio.skeleton import LIMITS_RAD
    from hsmr_bio.types import SkelMotion

    subject = scale_model(open_body, TALL, joints="skel")
    path = tmp_path / "s.osim"
    path.write_bytes(subject.osim_xml)
    loaded = opensim_model(path)
    model = document(subject)
    assert loaded.log.count("warning") == 0
    assert loaded.coordinates == list(model.coordinates)
    assert set(model.coordinates) == set(bsm().coordinates)
    assert all(
        c.rotational for name, c in model.coordinates.items() if not name.startswith("pelvis_t") or name == "pelvis_tilt"
    )
    low, high = np.nan_to_num(LIMITS_RAD).T
    poses = np.random.default_rng(4).uniform(low, high, (40, 46))
    motion = SkelMotion(
        time_s=np.arange(40.0), poses_rad=poses, trans_m=np.zeros((40, 3)), betas=TALL, body=open_body.name, frame="skel"
    )
    mapped = to_coordinates(motion, subject, open_body, continuous=False)
    assert mapped.residual_m.max() < 1e-3
    assert np.degrees(mapped.residual_rad.max()) < 0.2
    pose = open_body.forward(poses, TALL)
    for k in range(5):
        loaded.place(dict(zip(mapped.coordinates, mapped.values_si[k], strict=True)))
        for j, name in enumerate(JOINT_NAMES):
            origin, orientation = loaded.body(name)
            assert np.linalg.norm(origin - WORLD_REST @ pose.joints_m[k, j].numpy()) < 1e-3, name
            assert np.abs(orientation - WORLD_REST @ pose.joints_ori[k, j].numpy()).max() < 3e-3, name


@pytest.mark.slow
@pytest.mark.parametrize("joints", ["bsm", "skel"])
def test_a_persons_joints_keep_bsms_zeros_and_signs(joints, open_body) -> None:
    """The same names mean the same as in the generic model: equal zeros, and every coordinate moves its body the same way.

    Axes are the person's: those of the spine stand at right angles and BSM's do not, and the left ankle's is SKEL's.
    """
    own, person = bsm(), document(scale_model(open_body, np.zeros(10), joints=joints))

    def placed(model: OsimDocument, bent: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
        q = np.array([c.default_si + bent.get(name, 0.0) for name, c in model.coordinates.items()])
        pose = model.tree().forward(q)
        return pose.positions_m.numpy(), pose.rotations.numpy()

    models = (own, person)
    still = [placed(model, {}) for model in models]
    for name, c in own.coordinates.items():
        if not c.rotational:
            continue
        joint = own.joints[c.joint]
        j = JOINT_NAMES.index(joint.child.body)
        p = max(PARENTS[j], 0)
        axes = []
        for model, (_, before) in zip(models, still, strict=True):
            _, after = placed(model, {name: 0.1})
            turn = before[p].T @ after[j] @ before[j].T @ before[p]  # in the parent's axes
            axes.append(np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]]) / 2 / np.sin(0.1))
        size = np.linalg.norm(axes, axis=1)
        assert size == pytest.approx(1.0, abs=0.07 if "knee" in name else 0.02), name  # BSM's knee turns inwards as it bends
        cosine = float(axes[0] @ axes[1] / size.prod())
        if name.startswith("scapula_elevation"):  # both raise the shoulder, SKEL tilts it the other way
            raised = [placed(m, {name: 0.1})[0][j, 1] - s[0][j, 1] for m, s in zip(models, still, strict=True)]
            assert min(raised) > 0.005, name
        else:
            # spine, left ankle and scapula: SKEL's axes; forearm and wrist: along the straight forearm; knee: as above
            own_axes = ("lumbar", "thorax", "head", "ankle_angle_l", "scapula", "knee", "pro_sup", "wrist")
            assert np.degrees(np.arccos(min(cosine, 1.0))) < (25 if name.startswith(own_axes) else 0.1), name


def test_head_and_hands_reach_as_far_as_their_skin(open_body) -> None:
    subject = scale_model(open_body, TALL)
    model = document(subject)
    for bone, name in (("head", "THD"), ("hand_r", "RHME"), ("hand_l", "LHME")):
        generic = np.linalg.norm(bsm().markers[name].position_m) * subject.scale_factors[bone][1]
        assert np.linalg.norm(model.markers[name].position_m) == pytest.approx(generic, abs=0.01), name

"""SKEL motion to BSM coordinates and back: how near the bones come, joint by joint, and what may not happen on the way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hsmr_bio.errors import InputError
from hsmr_bio.kinematics.tree_fit import _paths
from hsmr_bio.mapping import to_coordinates, to_skel, virtual_markers
from hsmr_bio.osim.document import OsimDocument
from hsmr_bio.osim.library import as_document
from hsmr_bio.osim.placed import coordinate_values
from hsmr_bio.scaling import scale_model
from hsmr_bio.skeleton import DOF_NAMES, JOINT_NAMES, LIMITS_RAD
from hsmr_bio.types import OsimMotion, SkelMotion, Subject

MAIN = tuple(f"{name}_{s}" for name in ("femur", "tibia", "talus", "humerus", "ulna", "hand") for s in "rl")
"""Hips, knees, ankles, shoulders, elbows and wrists."""
KNEES_ON = tuple(f"{name}_{s}" for name in ("femur", "tibia", "talus", "calcn", "toes") for s in "rl")
"""What shares the difference between BSM's knee, which turns inwards as it bends, and SKEL's hinge."""
BETAS = np.random.default_rng(11).normal(size=(3, 10))


def common_limits(document: OsimDocument) -> np.ndarray:
    """(46, 2) where an angle means the same in both models, what both allow; else SKEL's limits."""
    limits = np.array(LIMITS_RAD)
    limits[:3] = [-0.5, 0.5]
    for i, name in enumerate(DOF_NAMES):
        if not name.startswith(("pelvis", "scapula", "shoulder")):
            low, high = document.coordinates[name].range_si
            limits[i] = max(limits[i, 0], low), min(limits[i, 1], high)
    return limits


def motion_of(poses: np.ndarray, betas: np.ndarray, body, *, trans_m=None, frame="world") -> SkelMotion:
    count = len(poses)
    trans = np.zeros((count, 3)) if trans_m is None else trans_m
    return SkelMotion(time_s=np.arange(count) / 100, poses_rad=poses, trans_m=trans, betas=betas, body=body.name, frame=frame)


def walking(frames: int) -> np.ndarray:
    """(T, 46) smooth made-up gait at 100 Hz: legs, counter-rotating trunk, swinging arms, the arms hanging."""
    phase = 2 * np.pi * np.arange(frames) / 110
    q = np.zeros((frames, 46))

    def put(name: str, values: np.ndarray) -> None:
        q[:, DOF_NAMES.index(name)] = values

    for side, shift in (("r", 0.0), ("l", np.pi)):
        p = phase + shift
        put(f"hip_flexion_{side}", 0.15 + 0.4 * np.sin(p))
        put(f"hip_adduction_{side}", 0.08 * np.sin(p + 0.3))
        put(f"hip_rotation_{side}", 0.06 * np.cos(p))
        put(f"knee_angle_{side}", 0.5 - 0.45 * np.cos(p + 0.9))
        put(f"ankle_angle_{side}", 0.2 * np.sin(p - 0.8))
        put(f"subtalar_angle_{side}", 0.08 * np.sin(p))
        put(f"mtp_angle_{side}", 0.15 * np.cos(2 * p))
        put(f"elbow_flexion_{side}", 0.4 - 0.2 * np.sin(p))
        put(f"pro_sup_{side}", 0.3 + 0.1 * np.sin(p))
        put(f"wrist_flexion_{side}", 0.1 * np.sin(p))
        sign = 1.0 if side == "r" else -1.0
        put(f"scapula_elevation_{side}", sign * (-0.15 + 0.03 * np.sin(2 * p)))
        put(f"scapula_abduction_{side}", sign * 0.08 * np.sin(p))
        put(f"shoulder_{side}_x", sign * (1.25 + 0.05 * np.sin(p)))
        put(f"shoulder_{side}_y", sign * 0.45 * np.sin(p))
    put("pelvis_rotation", 0.08 * np.sin(phase))
    put("pelvis_list", 0.05 * np.cos(phase))
    put("lumbar_twist", -0.06 * np.sin(phase))
    put("thorax_twist", -0.1 * np.sin(phase))
    put("lumbar_bending", 0.04 * np.cos(phase))
    return q


@pytest.fixture(scope="module")
def subjects(open_body) -> list[Subject]:
    return [scale_model(open_body, betas) for betas in BETAS]


@pytest.fixture(scope="module")
def mapped(open_body, subjects) -> tuple[np.ndarray, np.ndarray]:
    """Distances (T, 24) in mm and angles (T, 24) in degrees over random poses of three bodies."""
    random = np.random.default_rng(2)
    far, turned = [], []
    for subject in subjects:
        low, high = common_limits(as_document(subject)).T
        poses = random.uniform(low, high, (80, 46))
        motion = motion_of(poses, subject.betas, open_body, trans_m=random.normal(size=(80, 3)))
        result = to_coordinates(motion, subject, open_body, continuous=False)
        assert result.bodies == JOINT_NAMES
        far.append(result.residual_m * 1e3)
        turned.append(np.degrees(result.residual_rad))
    return np.concatenate(far), np.concatenate(turned)


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.square(values).mean()))


def columns(names: tuple[str, ...]) -> list[int]:
    return [JOINT_NAMES.index(name) for name in names]


def test_joint_centres_over_all_poses_that_both_models_allow(mapped) -> None:
    far, _ = mapped
    assert rms(far[:, columns(MAIN)]) < 1.5
    assert rms(far) < 1.5
    others = [j for j, name in enumerate(JOINT_NAMES) if name not in KNEES_ON]
    assert far[:, others].max() < 0.5


def test_bones_turn_alike_over_all_poses_that_both_models_allow(mapped) -> None:
    _, turned = mapped
    assert rms(turned[:, columns(MAIN)]) < 2.0
    assert rms(turned) < 1.8
    for name in KNEES_ON:
        limit = 2.5 if name.startswith("femur") else 3.0
        assert rms(turned[:, JOINT_NAMES.index(name)]) < limit, f"{name}: BSM's knee turns inwards, SKEL's is a hinge"
    others = [j for j, name in enumerate(JOINT_NAMES) if name not in KNEES_ON]
    assert rms(turned[:, others]) < 0.1


def test_the_table_of_residuals_is_that_of_the_model(open_body, subjects) -> None:
    """Residuals are computed anew from the coordinates and the model's own tree."""
    subject = subjects[0]
    motion = motion_of(walking(20), subject.betas, open_body, frame="skel")
    result = to_coordinates(motion, subject, open_body)
    pose = as_document(subject).tree().forward(np.array(result.values_si))
    body = open_body.forward(motion.poses_rad, motion.betas)
    world = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    wanted = body.joints_m.numpy() @ world.T
    far = np.linalg.norm(pose.positions_m.numpy() - wanted, axis=-1)
    assert np.abs(far - result.residual_m).max() < 1e-9
    between = np.einsum("tjki,tjkl->tjil", world @ body.joints_ori.numpy(), pose.rotations.numpy())
    chord = np.linalg.norm(between - np.eye(3), axis=(2, 3))  # exact for small angles, which an arc cosine is not
    angle = 2 * np.arcsin(chord / np.sqrt(8))
    assert np.abs(angle - result.residual_rad).max() < 1e-6


def test_a_walk_is_near_smooth_and_inside_the_ranges(open_body, subjects) -> None:
    subject = subjects[1]
    motion = motion_of(walking(330), subject.betas, open_body)
    result = to_coordinates(motion, subject, open_body)
    assert rms(result.residual_m[:, columns(MAIN)]) < 1e-3
    assert rms(result.residual_m) < 1.2e-3
    assert np.degrees(rms(result.residual_rad)) < 1.6
    angles = result.values_si[:, result.rotational]
    assert np.abs(np.diff(angles, axis=0)).max() < 3 * np.abs(np.diff(motion.poses_rad, axis=0)).max()
    # third differences of a smooth motion are tiny; a frame that had not converged would stand out
    jerk = np.abs(np.diff(angles, 3, axis=0)).max()
    assert jerk < 4 * np.abs(np.diff(motion.poses_rad, 3, axis=0)).max()
    ranges = as_document(subject).ranges_si
    assert np.degrees(np.maximum(result.values_si - ranges[:, 1], ranges[:, 0] - result.values_si).max()) < 1.0


def test_every_frame_has_converged(open_body, subjects) -> None:
    """Solved again from its neighbours' solution or alone, a frame has the same coordinates."""
    subject = subjects[2]
    motion = motion_of(walking(110), subject.betas, open_body)
    together = to_coordinates(motion, subject, open_body).values_si
    for t in (0, 37, 80):
        alone = to_coordinates(motion_of(motion.poses_rad[t : t + 1], subject.betas, open_body), subject, open_body).values_si[
            0
        ]
        assert np.degrees(np.abs(alone - together[t]).max()) < 0.02


def test_there_and_back(open_body, subjects) -> None:
    """SKEL -> BSM -> SKEL: every angle returns."""
    subject = subjects[0]
    motion = motion_of(walking(120), subject.betas, open_body)
    back = to_skel(to_coordinates(motion, subject, open_body), subject, open_body)
    error = np.degrees(np.sqrt(np.square(back.poses_rad - motion.poses_rad).mean(axis=0)))
    for name, value in zip(DOF_NAMES, error, strict=True):
        assert value < 0.1, name
    assert np.abs(back.trans_m - motion.trans_m).max() < 1e-3
    assert set(back.notes["map"]["centre_rms_mm"]) == set(JOINT_NAMES)


def test_what_bsm_can_do_is_solved_exactly(open_body, subjects) -> None:
    """BSM's own motion, read as bones and solved again on BSM, returns to the bones it came from."""
    from hsmr_bio.kinematics.tree_fit import Bounds, fit_tree

    document = as_document(subjects[0])
    tree = document.tree()
    low, high = document.ranges_si.clip(-3, 1.4).T
    middle, half = (low + high) / 2, (high - low) * 0.45
    q = np.random.default_rng(3).uniform(middle - half, middle + half, (60, len(low)))
    pose = tree.forward(q)
    got = fit_tree(tree, pose.positions_m, pose.rotations, Bounds.of(document.ranges_si), continuous=False)
    assert got.residual_m.max() < 1e-6
    assert got.residual_rad.max() < 1e-5


def test_on_skels_joints_the_map_is_exact_over_all_of_skels_limits(open_body) -> None:
    subject = scale_model(open_body, BETAS[0], joints="skel")
    low, high = np.nan_to_num(LIMITS_RAD).T
    poses = np.random.default_rng(5).uniform(low, high, (60, 46))
    result = to_coordinates(motion_of(poses, BETAS[0], open_body), subject, open_body, continuous=False)
    assert result.residual_m.max() < 1e-4
    assert np.degrees(result.residual_rad.max()) < 0.05


def test_names_are_not_copied(open_body, subjects) -> None:
    """SKEL's numbers in BSM's coordinates would put hands a metre off; the map does not."""
    subject = subjects[0]
    document = as_document(subject)
    names = list(document.coordinates)
    motion = motion_of(walking(30), subject.betas, open_body, frame="skel")
    result = to_coordinates(motion, subject, open_body)
    naive = np.array(result.values_si)
    for i, name in enumerate(DOF_NAMES):
        naive[:, names.index(name)] = motion.poses_rad[:, i]
    tree = document.tree()
    hand = tree.bodies.index("hand_r")
    placed = [tree.forward(q).positions_m[:, hand].numpy() for q in (naive, np.array(result.values_si))]
    assert np.linalg.norm(placed[0] - placed[1], axis=1).min() > 0.3


def test_height_and_frame(open_body) -> None:
    """A model of another height has its joints where the larger body has them; a turned frame only turns the pelvis."""
    subject = scale_model(open_body, BETAS[0], height_m=1.9)
    poses = walking(5)
    result = to_coordinates(motion_of(poses, BETAS[0], open_body), subject, open_body)
    assert rms(result.residual_m) < 2e-3
    turned = to_coordinates(motion_of(poses, BETAS[0], open_body, frame="skel"), subject, open_body)
    same = [n for n, name in enumerate(result.coordinates) if not name.startswith("pelvis")]
    assert np.abs(turned.values_si[:, same] - result.values_si[:, same]).max() < 1e-3


def test_full_turns_of_the_body_stay_continuous(open_body, subjects) -> None:
    subject = subjects[0]
    poses = walking(200)
    poses[:, DOF_NAMES.index("pelvis_rotation")] += np.linspace(0, 4 * np.pi, 200)
    result = to_coordinates(motion_of(poses, subject.betas, open_body), subject, open_body)
    heading = result.column("pelvis_rotation")
    assert np.abs(np.diff(heading)).max() < 0.2
    assert np.ptp(heading) == pytest.approx(4 * np.pi, abs=0.5)


def test_the_way_through_the_euler_branches_is_the_cheapest() -> None:
    """Against trying all of them."""
    random = np.random.default_rng(1)
    options = [random.normal(size=(2, 9, 3)) for _ in range(3)]
    penalty = np.abs(random.normal(size=(3, 2, 9)))

    def cost(both: np.ndarray, outside: np.ndarray, path: list[int]) -> float:
        way = both[path, np.arange(9)]
        steps = np.abs((np.diff(way, axis=0) + np.pi) % (2 * np.pi) - np.pi).sum()
        own = outside[path, np.arange(9)]
        return float(steps + own[0] + 0.1 * own[1:].sum())

    for both, outside, path in zip(options, penalty, _paths(options, penalty), strict=True):
        every = [[int(bit) for bit in f"{k:09b}"] for k in range(512)]
        assert cost(both, outside, list(path)) == pytest.approx(min(cost(both, outside, p) for p in every))


def test_markers_ride_on_their_bones(open_body, subjects) -> None:
    subject = subjects[0]
    result = to_coordinates(motion_of(walking(4), subject.betas, open_body), subject, open_body)
    markers = virtual_markers(result, subject)
    document = as_document(subject)
    assert len(markers.names) == 105
    tree = document.tree()
    pose = tree.forward(np.array(result.values_si))
    for k, name in enumerate(markers.names[::10]):
        marker = document.markers[name]
        j = tree.bodies.index(marker.body)
        at = pose.rotations[:, j] @ torch.tensor(marker.position_m, dtype=torch.float64) + pose.positions_m[:, j]
        assert np.abs(markers.positions_m[:, 10 * k] - at.numpy()).max() < 1e-12


def test_strangers_are_refused(open_body, subjects) -> None:
    motion = motion_of(walking(2), BETAS[0] + 0.1, open_body)
    with pytest.raises(InputError, match="other betas"):
        to_coordinates(motion, subjects[0], open_body)
    own = to_coordinates(motion_of(walking(2), BETAS[0], open_body), subjects[0], open_body)
    few = OsimMotion(
        time_s=own.time_s,
        coordinates=own.coordinates[:20],
        values_si=own.values_si[:, :20],
        rotational=own.rotational[:20],
    )
    with pytest.raises(InputError, match="belongs to another model"):
        to_skel(few, subjects[0], open_body)


@pytest.mark.parametrize(
    ("frame", "forward", "up", "right"),
    [
        ("world", (1, 0, 0), (0, 1, 0), (0, 0, 1)),
        ("skel", (0, 0, 1), (0, 1, 0), (-1, 0, 0)),  # the rest pose faces +z, its left is +x
        (
            "camera",
            (0, 0, -1),
            (0, -1, 0),
            (-1, 0, 0),
        ),  # x right, y down, z away; who faces the camera has his right on its left
    ],
)
def test_each_frame_has_its_axes(open_body, subjects, frame: str, forward, up, right) -> None:
    """A metre along each direction of the frame is a metre along x (forward), y (up) and z (right) of ground."""
    subject, axes = subjects[0], np.array([forward, up, right], dtype=float)
    assert np.linalg.det(axes) == pytest.approx(1), "a frame is no mirror"
    steps = np.concatenate([np.zeros((1, 3)), axes])
    motion = motion_of(np.zeros((4, 46)), subject.betas, open_body, trans_m=steps, frame=frame)
    result = to_coordinates(motion, subject, open_body, continuous=False)
    moved = np.stack([result.column(f"pelvis_t{axis}") for axis in "xyz"], axis=1)
    np.testing.assert_allclose(moved[1:] - moved[0], np.eye(3), atol=1e-4)
    assert np.degrees(rms(result.residual_rad)) < 3, "no bone is turned to its mirror image"


def test_deviations_go_to_the_coordinates_of_their_names(open_body, subjects) -> None:
    subject, sd = subjects[0], np.random.default_rng(0).uniform(0.01, 0.2, (2, 46))
    motion = replace(motion_of(walking(2), subject.betas, open_body), poses_sd_rad=sd)
    result = to_coordinates(motion, subject, open_body)
    for name in ("knee_angle_r", "knee_angle_l", "hip_flexion_r", "elbow_flexion_l"):
        np.testing.assert_array_equal(result.sd_si[:, result.coordinates.index(name)], sd[:, DOF_NAMES.index(name)])
    assert (result.sd_si[:, result.coordinates.index("pelvis_tx")] == 0).all()
    assert to_coordinates(motion_of(walking(2), subject.betas, open_body), subject, open_body).sd_si is None


def test_what_the_way_back_leaves_over_is_told_in_millimetres_and_degrees(open_body, subjects) -> None:
    """BSM's own knee, which rolls, is what SKEL's hinge cannot do."""
    subject = subjects[0]
    there = to_coordinates(motion_of(walking(60), subject.betas, open_body), subject, open_body)
    back = to_skel(there, subject, open_body)
    pose = as_document(subject).tree().forward(np.array(there.values_si))
    mine = open_body.tree(subject.betas).forward(np.concatenate([back.poses_rad, back.trans_m], axis=1))
    far = np.linalg.norm((pose.positions_m - mine.positions_m).numpy(), axis=-1) * 1e3
    turned = np.degrees((mine.rotations.transpose(-1, -2) @ pose.rotations - torch.eye(3).double()).norm(dim=(-1, -2)).numpy())
    for j, name in enumerate(JOINT_NAMES):
        assert back.notes["map"]["centre_rms_mm"][name] == pytest.approx(rms(far[:, j]), abs=1e-3)
        assert back.notes["map"]["orientation_rms_deg"][name] == pytest.approx(rms(turned[:, j]) / np.sqrt(2), abs=1e-2)


def test_coordinates_that_a_motion_lacks_keep_their_defaults(open_body, subjects) -> None:
    document = as_document(subjects[0])
    names = tuple(document.coordinates)
    kept = [n for n, name in enumerate(names) if name not in ("pelvis_ty", "mtp_angle_r")]
    values = np.random.default_rng(4).normal(size=(3, len(names)))
    motion = OsimMotion(
        time_s=np.arange(3) / 10,
        coordinates=tuple(names[n] for n in kept[::-1]),
        values_si=values[:, kept[::-1]],
        rotational=document.rotational[kept[::-1]],
    )
    found = coordinate_values(motion, document)
    order = document.tree().coordinates
    np.testing.assert_array_equal(found[:, [order.index(names[n]) for n in kept]], values[:, kept])
    assert found[:, order.index("pelvis_ty")] == pytest.approx(document.coordinates["pelvis_ty"].default_si)
    assert document.coordinates["pelvis_ty"].default_si > 0.8


def test_full_turns_stay_continuous_on_the_way_back(open_body, subjects) -> None:
    poses = walking(120)
    poses[:, DOF_NAMES.index("pelvis_rotation")] += np.linspace(0, 3 * np.pi, 120)
    there = to_coordinates(motion_of(poses, subjects[0].betas, open_body), subjects[0], open_body)
    back = to_skel(there, subjects[0], open_body)
    assert np.abs(np.diff(back.poses_rad[:, :3], axis=0)).max() < 0.3
    assert np.ptp(back.poses_rad[:, DOF_NAMES.index("pelvis_rotation")]) == pytest.approx(3 * np.pi, abs=0.3)

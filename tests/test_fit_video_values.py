"""The steps of a video fit against numbers worked out by hand: rays, first guesses, features, evidence, gravity, balance."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hsmr_bio.body import Body
from hsmr_bio.body.keypoint_table import keypoints_of
from hsmr_bio.errors import EstimationError
from hsmr_bio.fitting.core.body_points import MassPoints, SolePoints, attach
from hsmr_bio.fitting.core.priors import mean_pose
from hsmr_bio.fitting.core.problem import Problem, State, View
from hsmr_bio.fitting.core.terms import Depth, Reprojection
from hsmr_bio.fitting.video import bone_depth as depths
from hsmr_bio.fitting.video.keypoints import Clip, FitOptions
from hsmr_bio.fitting.video.prediction import fit_prediction
from hsmr_bio.fitting.video.start import (
    fill_gaps,
    level_landmarks,
    root_orientations,
    translations,
    unwrapped,
    viewing_rays,
)
from hsmr_bio.fitting.world.balance import carried_centre
from hsmr_bio.fitting.world.gravity import find_tilt
from hsmr_bio.fitting.world.options import GroundOptions
from hsmr_bio.io.cameras import camera_for
from hsmr_bio.skeleton import DOF_NAMES, JOINT_NAMES
from hsmr_bio.types import Camera, Observation

NAN = np.nan


def seen_as(
    px: Any, *, confidence: Any = None, world_m: Any = None, source: str = "calibration", focal_px: float = 1000.0
) -> Any:
    """An observation of COCO's landmarks, 30 frames a second."""
    pixels = np.asarray(px, dtype=float)
    known = np.ones(pixels.shape[:2]) if confidence is None else np.asarray(confidence, dtype=float)
    return Observation(
        time_s=np.arange(len(pixels)) / 30,
        camera=Camera(image_size_px=(1280, 720), focal_px=focal_px, center_px=(640, 360), source=source),
        keypoint_set="coco17",
        keypoints_px=pixels,
        confidence=known,
        keypoints_m=None if world_m is None else np.asarray(world_m, dtype=float),
    )


def names_of(body: Body, name: str = "coco17") -> tuple[str, ...]:
    return tuple(name for name, _ in keypoints_of(body.data, name)[1])


# ---------------------------------------------------------------------- rays and first guesses


def test_the_ray_goes_through_the_middle_of_the_hips() -> None:
    px = np.zeros((3, 17, 2))
    px[:, 11], px[:, 12] = (640 + 700, 360 + 100), (640 + 800, 360 - 100)
    px[1] = NAN
    px[2, 11:13, 0] -= 1500
    rays = viewing_rays(seen_as(px), (11, 12), 1000.0)
    np.testing.assert_allclose(rays[0], [0.6, 0, 0.8])
    np.testing.assert_allclose(rays[1], [0, 0, 1], atol=1e-12, err_msg="a gap is filled linearly, in the picture")
    np.testing.assert_allclose(rays[2], [-0.6, 0, 0.8])


def test_gaps_are_filled_in_time_and_ends_by_the_nearest() -> None:
    values = np.array([[NAN, NAN], [1.0, 10.0], [2.0, NAN], [4.0, 40.0], [NAN, NAN]])
    found = fill_gaps(np.array([0.0, 1.0, 2.0, 4.0, 9.0]), values)
    np.testing.assert_allclose(found, [[1, 10], [1, 10], [2, 20], [4, 40], [4, 40]])
    with pytest.raises(EstimationError, match="no frame at all"):
        fill_gaps(np.arange(2.0), values[:1].repeat(2, axis=0))


def test_metric_landmarks_are_turned_from_the_ray_to_level_axes() -> None:
    """What the detector sees straight ahead lies along the ray; what is above stays above; nothing is mirrored."""
    rays = np.array([[0.0, 0, 1], [0.6, 0, 0.8], [0, -0.6, 0.8], [0.48, -0.36, 0.8]])
    ahead, right, down = np.eye(3)[[2, 0, 1]]
    landmarks = np.tile(np.array([ahead, right, down]), (4, 1, 1))
    level = level_landmarks(seen_as(np.zeros((4, 3, 2)), world_m=landmarks), rays)
    np.testing.assert_allclose(level[:, 0], rays * [1, -1, -1], atol=1e-12)
    np.testing.assert_allclose(level[0], [[0, 0, -1], [1, 0, 0], [0, -1, 0]], atol=1e-12)
    np.testing.assert_allclose(level[1, 2], [0, -1, 0], atol=1e-12)
    np.testing.assert_allclose(level[2, 1], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(level), 1)
    np.testing.assert_allclose(level @ level.transpose(0, 2, 1), np.tile(np.eye(3), (4, 1, 1)), atol=1e-12)
    assert level_landmarks(seen_as(np.zeros((4, 3, 2))), rays) is None


@pytest.mark.parametrize("vector", [[0, 0.5, 0], [0.3, 0, 0], [0, 0, -0.4], [0.2, 2.5, -0.3]])
def test_the_torso_shows_how_the_root_is_turned(open_body: Body, vector: list[float]) -> None:
    tree = open_body.tree(np.zeros(10))
    joints = [JOINT_NAMES.index(name) for name in ("humerus_l", "humerus_r", "femur_l", "femur_r")]
    rest = open_body.rest_pose(np.zeros(10)).joints[0].numpy()[joints]
    points = attach(open_body, np.zeros(10), joints, rest, np.zeros((4, 3, 10)))
    q = np.zeros(49)
    q[:46] = mean_pose()
    torso = tree.forward(torch.as_tensor(q)).points(points.bodies, points.local_m).numpy()
    turn = Rotation.from_rotvec(vector).as_matrix()
    seen = np.stack([torso @ turn.T + [1.0, 2.0, 3.0], np.full((4, 3), NAN)])
    found = root_orientations(open_body, seen, points, [0, 1, 2, 3])
    assert np.isnan(found[1]).all()
    q[:3] = found[0]
    again = tree.forward(torch.as_tensor(q)).points(points.bodies, points.local_m).numpy()
    np.testing.assert_allclose(again - again.mean(axis=0), (torso - torso.mean(axis=0)) @ turn.T, atol=1e-7)


def test_full_turns_and_gaps_of_the_root_are_bridged() -> None:
    angles = np.array([[3.0, 0, 1], [NAN] * 3, [-3.0, 0.2, 3]])
    found = unwrapped(np.array([0.0, 1.0, 2.0]), angles)
    np.testing.assert_allclose(found, [[3.0, 0, 1], [np.pi, 0.1, 2], [2 * np.pi - 3, 0.2, 3]])
    with pytest.raises(EstimationError, match="never seen together"):
        unwrapped(np.arange(2.0), np.full((2, 3), NAN))


@pytest.mark.parametrize("tilt", [(0.0, 0.0), (0.3, 0.0), (-0.2, 0.15)])
def test_the_place_is_where_the_pixels_of_the_posed_landmarks_meet(tilt: tuple[float, float]) -> None:
    rng = np.random.default_rng(0)
    rotation = np.diag([1.0, -1, -1]) @ Rotation.from_rotvec([tilt[0], 0, tilt[1]]).as_matrix()
    points = rng.uniform(-0.8, 0.8, (4, 17, 3))
    place = np.array([[0.3, -0.2, -4.0], [0.2, -0.1, -5.0], [0.1, 0.0, -6.0], [0.0, 0.1, -7.0]])
    camera = (points + place[:, None]) @ rotation.T
    px = 1000 * camera[..., :2] / camera[..., 2:] + [640, 360]
    px[0, 3] += 500
    px[2] = NAN
    weight = np.ones((4, 17))
    weight[0, 3], weight[1, 5:] = 0.0, 0.5
    weight[2] = 0
    found = translations(seen_as(px), torch.as_tensor(points), torch.as_tensor(rotation), 1000.0, weight)
    np.testing.assert_allclose(found[[0, 1, 3]], place[[0, 1, 3]], atol=1e-6)
    np.testing.assert_allclose(found[2], place[[1, 3]].mean(axis=0), atol=1e-6, err_msg="unseen: between its neighbours")
    weight[3, 3:] = 0
    found = translations(seen_as(px), torch.as_tensor(points), torch.as_tensor(rotation), 1000.0, weight)
    np.testing.assert_allclose(found[3], place[1], atol=1e-6, err_msg="three landmarks do not determine a translation")


# ---------------------------------------------------------------------- what the depth networks read


def test_features_are_landmarks_below_the_head_about_the_hips_in_metres(open_body: Body) -> None:
    names = names_of(open_body, "blazepose33")
    rng = np.random.default_rng(1)
    world = rng.normal(size=(2, 33, 3))
    px = 250.0 * world[..., :2] + (400.0, 100.0)
    below = [i for i, name in enumerate(names) if not any(part in name for part in ("nose", "eye", "ear", "mouth"))]
    assert len(below) == 22
    hips = world[:, [names.index("left_hip"), names.index("right_hip")]].mean(axis=1, keepdims=True)
    about = (world - hips)[:, below]
    wanted = np.concatenate([about[..., :2].reshape(2, -1), about.reshape(2, -1)], axis=1)
    np.testing.assert_allclose(depths.features(names, px, world), wanted, atol=1e-12)
    halves = depths.features(names, 0.5 * px * (2, 2), world)
    np.testing.assert_allclose(halves, wanted, atol=1e-12)


def test_a_mirror_exchanges_the_sides_and_turns_what_lies_across() -> None:
    names = ("nose", "left_hip", "right_hip", "left_knee", "right_knee", "mouth_left", "mouth_right")
    assert depths.mirrored(names) == [0, 2, 1, 4, 3, 6, 5]
    order, sign = depths.swapped_pairs([(1, 2), (3, 1), (4, 2)], depths.mirrored(names))
    assert order == [0, 2, 1] and sign.tolist() == [-1, 1, 1]
    px, world = np.arange(14.0).reshape(7, 2), np.arange(21.0).reshape(7, 3)
    other_px, other = depths.mirror_image(depths.mirrored(names), px, world)
    np.testing.assert_array_equal(other_px[1], px[2] * [-1, 1])
    np.testing.assert_array_equal(other[4], world[3] * [-1, 1, 1])


def test_a_network_is_layers_of_silu_in_its_own_units() -> None:
    network = depths.Network(
        mean=np.array([1.0, 2.0]),
        spread=np.array([2.0, 4.0]),
        layers=(
            (np.array([[1.0, 0.0], [0.0, -1.0]]), np.array([0.5, 0.0])),
            (np.array([[2.0, 1.0], [1.0, 9.0]]), np.array([0.1, -0.2])),
        ),
        unit_m=np.array([0.3]),
    )
    hidden = np.array([(3 - 1) / 2 + 0.5, -(10 - 2) / 4])
    hidden = hidden / (1 + np.exp(-hidden))
    depth, log_sigma = network(np.array([[3.0, 10.0]]))
    assert depth[0, 0] == pytest.approx(0.3 * (2 * hidden[0] + hidden[1] + 0.1))
    assert log_sigma[0, 0] == pytest.approx(np.log(0.3) + hidden[0] + 9 * hidden[1] - 0.2)
    assert network(np.array([[3.0, -1e3]]))[1][0, 0] == pytest.approx(np.log(0.3) + 2.0), "at most e^2 units"
    assert network(np.array([[-1e3, 0.9]]))[1][0, 0] > np.log(0.3) - 4.0 - 1e-9


def test_a_landmark_is_drawn_across_a_fifth_of_a_second_at_most() -> None:
    for gap_s, bridged in ((0.19, True), (0.21, False)):
        time_s = np.array([0.0, 0.25 * gap_s, gap_s, gap_s + 0.01])
        px, world = np.arange(8.0).reshape(4, 1, 2) ** 2, np.arange(12.0).reshape(4, 1, 3) ** 2
        confidence = np.array([[0.06], [0.05], [0.9], [0.9]])
        found_px, found = depths.bridged(time_s, px, world, confidence)
        wanted = 0.75 * px[0] + 0.25 * px[2] if bridged else px[1]
        np.testing.assert_allclose(found_px[1], wanted)
        np.testing.assert_allclose(found[1], 0.75 * world[0] + 0.25 * world[2] if bridged else world[1])
        np.testing.assert_array_equal(found_px[[0, 2, 3]], px[[0, 2, 3]])


def test_a_drawn_depth_runs_from_the_near_end_to_the_far_one(open_body: Body) -> None:
    names = names_of(open_body)
    behind = np.arange(17.0)[None] ** 2
    found = depths.drawn_bone_depths(names, behind)
    pairs = {tuple(names[i] for i in pair): n for n, pair in enumerate(found.pairs.tolist())}
    for far, near in (
        ("left_knee", "left_hip"),
        ("right_ankle", "right_knee"),
        ("left_hip", "right_hip"),
        ("right_wrist", "right_elbow"),
    ):
        assert found.depth_m[0, pairs[far, near]] == behind[0, names.index(far)] - behind[0, names.index(near)]
    assert (found.sigma_m == 0.1).all() and (found.caution == 1).all()


# ---------------------------------------------------------------------- what a clip is worth


def coco_clip(body: Body, **changes: Any) -> Clip:
    rng = np.random.default_rng(2)
    world = rng.normal(size=(3, 17, 3)) * 0.3
    px = 250 * world[..., :2] + (640, 360)
    confidence = np.ones((3, 17))
    confidence[:, 5], confidence[:, 6], confidence[:, 7] = 0.5, 0.051, 0.05
    options = FitOptions(**changes.pop("options", {}))
    return Clip.of(seen_as(px, world_m=world, confidence=confidence, **changes), body, options)


def test_a_landmark_counts_by_its_confidence(open_body: Body) -> None:
    """The deviation on renders times 1.3 for people in clothes, up to five times as much at low confidence."""
    clip = coco_clip(open_body)
    plain = 1.3 * clip.landmarks.sigma_2d_m
    sigma = clip.sigma_m.numpy()[0]
    assert sigma[9] == pytest.approx(plain[9])
    assert sigma[5] == pytest.approx(plain[5] * (1 + 4 * 0.5**1.5))
    assert sigma[6] == pytest.approx(plain[6] * (1 + 4 * 0.949**1.5))
    assert np.isinf(sigma[7]), "five per cent is not seen"


def test_deviations_in_the_picture_are_those_at_the_persons_distance(open_body: Body) -> None:
    clip = coco_clip(open_body)
    for distance, focal_px in ((4.0, 1000.0), (8.0, 1500.0), (400.0, 1000.0)):
        q = np.zeros((3, 49))
        q[:, 48] = -distance
        state = State(torch.tensor(q), np.zeros(10), np.zeros(2), 0.0, focal_px)
        terms = clip.image_terms(state)
        image = next(term for term in terms if isinstance(term, Reprojection))
        wanted = np.maximum(clip.sigma_m.numpy() * focal_px / distance, 1.0)
        np.testing.assert_allclose(image.sigma_px.numpy(), wanted)
        known = next(term for term in terms if isinstance(term, Depth))
        blind = [n for n, pair in enumerate(known.pairs.tolist()) if 7 in pair]
        assert blind and np.isinf(known.sigma_m.numpy()[:, blind]).all()
        assert np.isfinite(np.delete(known.sigma_m.numpy(), blind, axis=1)).all()


def test_a_long_clip_is_worth_twenty_four_frames_of_shape(open_body: Body) -> None:
    guessed, known = coco_clip(open_body, source="guess"), coco_clip(open_body)
    short = guessed.shared_prior()
    assert (short.sigma_beta, short.sigma_offset_m, short.focal_px, short.focal_sigma) == (1.0, 0.006, 1000.0, 0.1)
    assert known.shared_prior().focal_sigma == 1e-3
    assert coco_clip(open_body, options={"focal_sigma": 0.3}).shared_prior().focal_sigma == 0.3
    long = replace(guessed, observation=repeated(guessed.observation, 96))
    prior = long.shared_prior()
    assert (prior.sigma_beta, prior.focal_sigma) == (pytest.approx(0.5), pytest.approx(0.05))
    assert prior.sigma_offset_m == pytest.approx(0.003)
    (mean,), (given,) = long.stature_terms(), replace(long, options=FitOptions(height_m=1.9)).stature_terms()
    assert mean.sigma_m == pytest.approx(0.01) and given.sigma_m == pytest.approx(0.0025)
    assert mean.height_m == pytest.approx(open_body.stature_m(np.zeros(10))) and given.height_m == 1.9


def repeated(observation: Observation, frames: int) -> Observation:
    index = np.arange(frames) % len(observation.time_s)
    return replace(
        observation,
        time_s=np.arange(frames) / 30,
        keypoints_px=observation.keypoints_px[index],
        confidence=observation.confidence[index],
        keypoints_m=observation.keypoints_m[index],
    )


def test_a_guessed_camera_has_four_fifths_of_the_longer_side() -> None:
    assert camera_for((720, 1280)).focal_px == pytest.approx(1024)


def test_a_predicted_angle_has_fifteen_degrees_of_deviation_and_a_hand_thirty_five(open_body: Body) -> None:
    """One frame, no landmarks: what remains is the prediction's own deviation (drawn with an error of 10 %)."""
    poses = np.zeros((1, 46))
    poses[0, 0] = np.pi
    for name in ("knee_angle", "elbow_flexion"):
        for side in "rl":
            poses[0, DOF_NAMES.index(f"{name}_{side}")] = 1.1
    observation = replace(
        seen_as(np.full((1, 17, 2), NAN), confidence=np.zeros((1, 17))),
        skel_poses_rad=poses,
        skel_betas=np.zeros((1, 10)),
        skel_trans_m=np.array([[0.0, 0.0, 4.0]]),
        skel_body=open_body.name,
    )
    sd = np.degrees(fit_prediction(observation, open_body, refine=False).motion.poses_sd_rad[0])
    for name in ("hip_flexion_r", "hip_flexion_l", "knee_angle_r", "head_twist"):
        assert sd[DOF_NAMES.index(name)] == pytest.approx(15, rel=0.35), name
    for name in ("pro_sup_r", "wrist_flexion_l", "wrist_deviation_r"):
        assert 18 < sd[DOF_NAMES.index(name)] < 50, name


# ---------------------------------------------------------------------- gravity


def ground_view(body: Body, trans_m: Any = ((0, 1.0, -4.0),)) -> View:
    q = np.zeros((len(trans_m), 49))
    q[:, 46:] = trans_m
    makers = {"soles": SolePoints(body), "masses": MassPoints(body)}
    state = State(torch.tensor(q), np.zeros(10), np.zeros(2), 0.0, 1000.0)
    return Problem(body, makers, []).view(state)


def test_without_evidence_a_camera_looks_six_degrees_down(open_body: Body) -> None:
    view, nothing = ground_view(open_body), np.zeros((1, 8))
    tilt, _ = find_tilt(view, nothing, np.zeros(1), GroundOptions(), camera_known=True)
    np.testing.assert_allclose(np.degrees(tilt), [6.0, 0.0], atol=0.01)
    seen = np.radians([20.0, -8.0])
    tilt, _ = find_tilt(view, nothing, np.zeros(1), GroundOptions(), camera_known=True, scene_tilt_rad=seen)
    pitch = (6 / 14**2 + 20 / 1.2**2) / (1 / 14**2 + 1 / 1.2**2)
    assert np.degrees(tilt[0]) == pytest.approx(pitch, abs=0.01)
    assert -8.0 < np.degrees(tilt[1]) < -7.4, "rolled cameras are rare"


def test_known_angles_are_kept_and_a_level_motion_is_not_tilted(open_body: Body) -> None:
    view, standing = ground_view(open_body), np.ones((1, 8))
    options = GroundOptions(camera_pitch_rad=0.3, camera_roll_rad=-0.1)
    tilt, _ = find_tilt(view, standing, np.ones(1), options, camera_known=True)
    np.testing.assert_array_equal(tilt, [0.3, -0.1])
    tilt, floor = find_tilt(view, standing, np.ones(1), options, camera_known=False)
    np.testing.assert_array_equal(tilt, [0, 0])
    assert floor == pytest.approx(view.points("soles").numpy()[0, :, 1].mean())


def test_the_floor_is_under_the_soles_that_stand(open_body: Body) -> None:
    view = ground_view(open_body, [(0, 1.0, -4.0), (0, 1.2, -4.0)])
    heights = view.points("soles").numpy()[..., 1]
    standing = np.zeros((2, 8))
    standing[0, :4], standing[1, 4] = 0.5, 1.0
    _, floor = find_tilt(view, standing, np.zeros(2), GroundOptions(), camera_known=False)
    assert floor == pytest.approx((heights[0, :4].sum() * 0.5 + heights[1, 4]) / 3)
    _, floor = find_tilt(view, np.zeros((2, 8)), np.zeros(2), GroundOptions(), camera_known=False)
    assert floor == pytest.approx(np.percentile(heights.min(axis=1), 5)), "the lowest if none stands"


# ---------------------------------------------------------------------- carried by the feet


def test_the_carried_centre_is_the_least_squares_one() -> None:
    """Against the dense solution, on uneven frames: 3 cm across, 10 cm in depth, 5 cm for the pressure, h/g c''."""
    rng = np.random.default_rng(3)
    time_s = np.cumsum(rng.uniform(0.02, 0.06, 12))
    time_s[8:] += 0.15  # a gap
    centre, support = rng.normal(size=(12, 3)) * 0.1, rng.normal(size=(12, 3)) * 0.1
    centre[:, 1] += 0.95
    centre[5, 1], support[5, 1] = 0.1, 0.0  # lower than people are: taken as 0.3 m
    feet = rng.uniform(0, 1, 12)
    found = carried_centre(time_s, centre, support, feet)
    np.testing.assert_array_equal(found[:, 1], centre[:, 1])
    for axis, sigma in ((0, 0.03), (2, 0.1)):
        rows, right = [np.eye(12) / sigma], [centre[:, axis] / sigma]
        for t in range(1, 11):
            before, after = time_s[t] - time_s[t - 1], time_s[t + 1] - time_s[t]
            if max(before, after) >= 0.1:
                continue
            row, fall = np.zeros(12), max(centre[t, 1] - support[t, 1], 0.3) / 9.80665
            row[t - 1] = -fall * 2 / (before * (before + after))
            row[t + 1] = -fall * 2 / (after * (before + after))
            row[t] = 1 - row[t - 1] - row[t + 1]
            rows.append(row[None] * feet[t] / 0.05)
            right.append(np.array([support[t, axis] * feet[t] / 0.05]))
        wanted = np.linalg.lstsq(np.concatenate(rows), np.concatenate(right), rcond=None)[0]
        np.testing.assert_allclose(found[:, axis], wanted, atol=1e-9)

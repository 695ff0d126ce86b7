"""SKEL parameters predicted per frame become one body and a smooth motion; landmarks correct them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hsmr_bio.body import load_body  # noqa: E402
from hsmr_bio.errors import EstimationError, InputError  # noqa: E402
from hsmr_bio.fitting.core.body_points import KeypointPoints  # noqa: E402
from hsmr_bio.fitting.core.problem import OFFSET_GROUPS  # noqa: E402
from hsmr_bio.fitting.video.fit_motion import fit_motion, with_focal  # noqa: E402
from hsmr_bio.fitting.video.keypoints import FitOptions  # noqa: E402
from hsmr_bio.fitting.video.prediction import fit_prediction  # noqa: E402
from hsmr_bio.hsmr.camera import project  # noqa: E402
from hsmr_bio.skeleton import DOF_NAMES  # noqa: E402
from hsmr_bio.types import Camera, Observation  # noqa: E402

FRAMES = 45
FOCAL = 1000.0


@pytest.fixture(scope="module")
def body():
    return load_body("open")


@pytest.fixture(scope="module")
def truth():
    """(T, 46) poses in camera axes and (T, 3) translations: a person who squats a little and moves an arm."""
    time_s = np.arange(FRAMES) / 30
    poses = np.zeros((FRAMES, 46))
    poses[:, 0] = np.pi + 0.1
    swing = 0.5 - 0.5 * np.cos(2 * np.pi * time_s / 1.5)
    for side in "rl":
        poses[:, DOF_NAMES.index(f"hip_flexion_{side}")] = 0.2 + 0.6 * swing
        poses[:, DOF_NAMES.index(f"knee_angle_{side}")] = 0.3 + 0.9 * swing
        poses[:, DOF_NAMES.index(f"elbow_flexion_{side}")] = 0.7 + 0.4 * swing
    poses[:, 2] = 0.5
    trans = np.column_stack([0.1 + 0.05 * time_s, 0.3 + 0.2 * swing, np.full(FRAMES, 4.0)])
    return time_s, poses, trans


@pytest.fixture(scope="module")
def observation(body, truth) -> Observation:
    time_s, poses, trans = truth
    rng = np.random.default_rng(0)
    points = KeypointPoints.of(body, "blazepose33")(np.zeros(10), np.zeros((OFFSET_GROUPS, 3)))
    placed = body.tree(np.zeros(10)).forward(np.concatenate([poses, np.zeros((FRAMES, 3))], axis=1))
    positions = placed.points(points.bodies, points.local_m)
    pixels = project(positions, torch.as_tensor(trans), focal=FOCAL).numpy() + np.array([640, 360])
    noisy = poses + np.radians(6) * rng.standard_normal(poses.shape)
    return Observation(
        time_s=time_s,
        camera=Camera(image_size_px=(1280, 720), focal_px=FOCAL, center_px=(640, 360), source="calibration"),
        keypoint_set="blazepose33",
        keypoints_px=pixels + 1.5 * rng.standard_normal(pixels.shape),
        confidence=np.ones(pixels.shape[:2]),
        skel_poses_rad=noisy,
        skel_betas=0.2 * rng.standard_normal((FRAMES, 10)),
        skel_trans_m=trans + 0.03 * rng.standard_normal(trans.shape),
        skel_body=body.name,
        source="test",
    )


def joints(body, motion):
    return body.forward(motion.poses_rad, motion.betas, motion.trans_m).joints_m.numpy()


def error_m(body, motion, truth) -> float:
    _, poses, trans = truth
    wanted = body.forward(poses, np.zeros(10), trans).joints_m.numpy()
    found = joints(body, motion)
    relative = (found - found[:, :1]) - (wanted - wanted[:, :1])
    return float(np.linalg.norm(relative, axis=-1).mean())


def test_landmarks_and_prediction_meet_in_one_fit(body, truth, observation) -> None:
    alone = fit_prediction(observation, body, refine=False).motion
    both = fit_motion(observation, body, FitOptions(refine=True)).motion
    raw = body.forward(observation.skel_poses_rad, np.zeros(10), observation.skel_trans_m).joints_m.numpy()
    wanted = body.forward(truth[1], np.zeros(10), truth[2]).joints_m.numpy()
    raw_error = float(np.linalg.norm((raw - raw[:, :1]) - (wanted - wanted[:, :1]), axis=-1).mean())
    assert error_m(body, alone, truth) < 0.75 * raw_error
    assert error_m(body, both, truth) < 0.75 * error_m(body, alone, truth)
    assert both.frame == alone.frame == "camera"
    assert both.poses_sd_rad is not None and (both.poses_sd_rad >= 0).all()


def test_the_motion_is_smooth_and_has_one_body(body, observation) -> None:
    motion = fit_motion(observation, body).motion
    jerk = np.abs(np.diff(motion.poses_rad, n=2, axis=0)).mean()
    assert jerk < 0.1 * np.abs(np.diff(observation.skel_poses_rad, n=2, axis=0)).mean()
    np.testing.assert_allclose(motion.betas, np.median(observation.skel_betas, axis=0))


def test_a_gap_in_the_prediction_is_bridged(body, truth, observation) -> None:
    poses = np.array(observation.skel_poses_rad)
    poses[10:14] = np.nan
    gap = replace(observation, skel_poses_rad=poses)
    motion = fit_prediction(gap, body).motion
    assert np.isfinite(motion.poses_rad).all()
    assert error_m(body, motion, truth) < 0.05


def test_another_body_takes_over_the_angles(truth, observation) -> None:
    other = load_body("open", "female")
    motion = fit_prediction(observation, other).motion
    assert motion.body == other.name
    assert np.abs(motion.poses_rad[:, 6] - truth[1][:, 6]).mean() < np.radians(12)


def test_what_cannot_be_fitted_is_refused(body, observation) -> None:
    with pytest.raises(InputError, match="no SKEL parameters"):
        fit_prediction(replace(observation, skel_poses_rad=None), body)
    nothing = np.full((FRAMES, 46), np.nan)
    with pytest.raises(EstimationError, match="none of 45 frames"):
        fit_prediction(replace(observation, skel_poses_rad=nothing), body)
    blind = replace(observation, confidence=np.zeros_like(observation.confidence))
    with pytest.raises(InputError, match="no landmarks"):
        fit_prediction(blind, body, refine=True)
    assert fit_prediction(blind, body, refine=False).motion.frame == "camera"


def test_one_picture_is_enough(body, observation) -> None:
    columns = ("time_s", "keypoints_px", "confidence", "skel_poses_rad", "skel_betas", "skel_trans_m")
    still = replace(observation, **{name: getattr(observation, name)[:1] for name in columns})
    for refine in (False, True):
        motion = fit_prediction(still, body, refine=refine).motion
        assert motion.poses_rad.shape == (1, 46) and np.isfinite(motion.trans_m).all()


def test_another_focal_length_moves_the_person_and_keeps_the_picture(observation: Observation) -> None:
    """Similar triangles: a predicted translation is scaled in depth when the scene shows another focal length."""
    longer = with_focal(observation, 1.25 * FOCAL, "straight edges of the scene")
    assert longer.camera.focal_px == 1.25 * FOCAL and longer.camera.source == "straight edges of the scene"
    assert observation.skel_trans_m is not None and longer.skel_trans_m is not None
    image = [o.camera.focal_px * o.skel_trans_m[:, :2] / o.skel_trans_m[:, 2:] for o in (observation, longer)]
    np.testing.assert_allclose(image[1], image[0])
    np.testing.assert_allclose(longer.skel_trans_m[:, 2], 1.25 * observation.skel_trans_m[:, 2])


@pytest.mark.parametrize("refine", [False, True])
def test_a_frame_without_prediction_is_no_evidence(body, observation, refine: bool) -> None:
    """Interpolated frames are no evidence: postures are less certain there than in predicted frames."""
    gap = slice(18, 27)
    poses = np.array(observation.skel_poses_rad)
    poses[gap] = np.nan
    pixels, confidence = np.array(observation.keypoints_px), np.array(observation.confidence)
    pixels[gap], confidence[gap] = np.nan, 0
    blind = replace(observation, skel_poses_rad=poses, keypoints_px=pixels, confidence=confidence)
    found = fit_prediction(blind, body, refine=refine).motion
    sd = found.poses_sd_rad.mean(axis=1)
    assert sd[22] > 1.5 * sd[:12].mean() and sd[22] > 1.5 * sd[33:].mean()

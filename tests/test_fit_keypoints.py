"""The keypoint fit on a clip whose motion is known: angles, size, uncertainty, and refused input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from hsmr_bio.body import Body
from hsmr_bio.body.placing import rotate_motion
from hsmr_bio.errors import EstimationError, InputError
from hsmr_bio.fitting.core.body_points import KeypointPoints
from hsmr_bio.fitting.video.bone_depth import DRAWN_SIGMA_M
from hsmr_bio.fitting.video.fit_motion import fit_motion
from hsmr_bio.fitting.video.keypoints import IMAGE_CAUTION, FitOptions
from hsmr_bio.skeleton import DOF_NAMES
from hsmr_bio.types import Observation, SkelMotion


@pytest.mark.parametrize(
    ("angle", "most_deg"), [("knee_angle", 6), ("hip_flexion", 6.5), ("ankle_angle", 9), ("elbow_flexion", 8)]
)
def test_joint_angles_are_found(clip, fitted: SkelMotion, angle: str, most_deg: float) -> None:
    assert clip.angle_error_deg(fitted, f"{angle}_r", f"{angle}_l") < most_deg


def test_the_bounds_exclude_a_motionless_person(clip, still: SkelMotion) -> None:
    """A person who does not move is far outside of the bounds above."""
    rest = replace(clip.truth, poses_rad=np.repeat(clip.truth.poses_rad[:1], 60, axis=0))
    assert clip.angle_error_deg(rest, "knee_angle_r", "knee_angle_l") > 30
    assert clip.angle_error_deg(rest, "elbow_flexion_r") > 25


def test_the_motion_is_in_the_cameras_axes(clip, fitted: SkelMotion, open_body: Body) -> None:
    assert fitted.frame == "camera"
    assert fitted.body == open_body.name
    np.testing.assert_array_equal(fitted.time_s, clip.truth.time_s)
    pelvis = fitted.trans_m + open_body.rest_pose(fitted.betas).joints[0, 0].numpy()
    away = pelvis[: clip.unseen.start, 2]
    assert abs(away - 4.0).max() < 0.35, "the person stands 4 m in front of the camera"
    up = np.diag([1.0, -1.0, -1.0])
    image = fitted.camera.focal_px * pelvis[:, :2] / pelvis[:, 2:] + fitted.camera.center_px
    hips = clip.observation.keypoints_px[:, 11:13].mean(axis=1)
    assert np.nanmean(np.linalg.norm(image - hips, axis=1)) < 25
    upright = rotate_motion(fitted, open_body, up, frame="skel")
    assert abs(np.degrees(upright.poses_rad[:10, 1].mean())) < 8, "no list to the side"


def test_size_and_shape_with_known_height(clip, fitted: SkelMotion, open_body: Body) -> None:
    assert open_body.stature_m(fitted.betas) == pytest.approx(open_body.stature_m(clip.truth.betas), abs=0.01)
    assert np.abs(fitted.betas).max() < 2.5
    mean = open_body.stature_m(np.zeros(10))
    assert abs(open_body.stature_m(clip.truth.betas) - mean) > 0.03, "the mean body would not do"


def test_without_a_height_the_stature_is_the_populations(clip, open_body: Body) -> None:
    some = clip.observation.at(slice(0, 20))
    motion = fit_motion(some, open_body).motion
    assert open_body.stature_m(motion.betas) == pytest.approx(open_body.stature_m(np.zeros(10)), abs=0.03)


def test_what_is_not_seen_is_uncertain(clip, fitted: SkelMotion) -> None:
    sd = fitted.poses_sd_rad
    assert (sd > 0).all()
    knees = sd[:, [DOF_NAMES.index(f"knee_angle_{side}") for side in "rl"]].mean(axis=1)
    middle = (clip.unseen.start + clip.unseen.stop) // 2
    assert knees[middle] > 1.5 * knees[clip.unseen.start - 10 : clip.unseen.start - 4].mean()
    assert knees[middle] > 1.5 * knees[clip.unseen.stop + 2]


@pytest.mark.parametrize("seed", [0, 1])
def test_the_uncertainty_is_of_the_size_of_the_error(clip, open_body: Body, seed: int) -> None:
    """For a detector with the assumed errors, correlated over about a third of a second."""
    o, truth = clip.observation, clip.truth
    landmarks, random = KeypointPoints.of(open_body, o.keypoint_set), np.random.default_rng(seed)
    away = clip.landmarks_m

    def lasting(size_m: np.ndarray) -> np.ndarray:
        noise = gaussian_filter1d(random.normal(size=away.shape), 4.0, axis=0, mode="wrap")
        return size_m[:, None] * noise / noise.std()

    seen = away + lasting(IMAGE_CAUTION * landmarks.sigma_2d_m)
    pixels = o.camera.focal_px * seen[..., :2] / away[..., 2:] + np.array(o.camera.center_px)
    hips = away[:, [landmarks.names.index(f"{side}_hip") for side in ("left", "right")]].mean(axis=1, keepdims=True)
    metric = away - hips + lasting(np.full(len(landmarks.names), DRAWN_SIGMA_M / np.sqrt(2)))
    observed = replace(o, keypoints_px=pixels, keypoints_m=metric, confidence=np.ones_like(o.confidence))
    fitted = fit_motion(observed, open_body, FitOptions(height_m=open_body.stature_m(truth.betas))).motion
    limbs = [name.startswith(("hip_", "knee", "ankle", "elbow")) for name in DOF_NAMES]
    ratio = (fitted.poses_rad - truth.poses_rad)[:, limbs] / fitted.poses_sd_rad[:, limbs]
    assert 0.5 < np.sqrt((ratio**2).mean()) < 2


def test_one_frame_is_enough_for_a_still(clip, open_body: Body) -> None:
    motion = fit_motion(clip.observation.at([33]), open_body).motion
    assert motion.poses_rad.shape == (1, 46)
    assert np.degrees(motion.poses_rad[0, DOF_NAMES.index("knee_angle_r")]) > 40, "the squat is seen"


def test_a_frame_without_confident_landmarks_does_not_stop_the_shape(clip, open_body: Body) -> None:
    """Landmarks below the least confidence: a frame that counts as seen, but gives no evidence."""
    some = clip.observation.at(slice(0, 20))
    confidence = np.array(some.confidence)
    confidence[10] = 0.03
    height_m = open_body.stature_m(clip.truth.betas)
    motion = fit_motion(replace(some, confidence=confidence), open_body, FitOptions(height_m=height_m)).motion
    assert open_body.stature_m(motion.betas) == pytest.approx(height_m, abs=0.015)


def without(observation: Observation, frames: np.ndarray) -> Observation:
    """The observation without the person in some frames."""
    pixels, confidence = np.array(observation.keypoints_px), np.array(observation.confidence)
    pixels[frames], confidence[frames] = np.nan, 0
    return replace(observation, keypoints_px=pixels, confidence=confidence)


def test_too_few_seen_frames_are_refused(clip, open_body: Body) -> None:
    with pytest.raises(EstimationError, match="seen in 1 of 60 frames"):
        fit_motion(without(clip.observation, np.arange(1, 60)), open_body)


def test_three_landmarks_do_not_determine_the_translation(clip, open_body: Body) -> None:
    confidence = np.array(clip.observation.confidence)
    confidence[:, 3:] = 0
    with pytest.raises(EstimationError, match="at least four landmarks"):
        fit_motion(replace(clip.observation, confidence=confidence), open_body)


def test_the_wrong_number_of_keypoints_is_refused(clip, open_body: Body) -> None:
    o = clip.observation
    fewer = replace(o, keypoints_px=o.keypoints_px[:, :17], confidence=o.confidence[:, :17], keypoints_m=o.keypoints_m[:, :17])
    with pytest.raises(InputError, match="23 points, the observation 17"):
        fit_motion(fewer, open_body)
    with pytest.raises(InputError, match="nobody12"):
        fit_motion(replace(o, keypoint_set="nobody12"), open_body)

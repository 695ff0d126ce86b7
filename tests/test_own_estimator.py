"""An external estimator with its own points and without metric landmarks, from the plugin to the motion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib import invalidate_caches
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hsmr_bio.body import Body
from hsmr_bio.body.keypoint_table import keypoints_of
from hsmr_bio.errors import InputError
from hsmr_bio.estimators import estimator_names
from hsmr_bio.fitting.video.fit_motion import fit_motion
from hsmr_bio.fitting.video.pixel_start import likely_path
from hsmr_bio.io.npz import load_observation, save_observation
from hsmr_bio.pipeline.image2mot import Image2MotOptions, Result, image2mot
from hsmr_bio.skeleton import DOF_NAMES, JOINT_NAMES
from hsmr_bio.types import Camera, KeypointPlace, KeypointSet, Observation, SkelMotion

PLUGIN = """
from hsmr_bio.types import Camera, KeypointPlace, KeypointSet, Observation
import numpy as np

PLACES = {"SHO": "humerus", "ELB": "ulna", "WRI": "hand", "HIP": "femur", "KNE": "tibia", "ANK": "talus"}
POINTS = [KeypointPlace(name=f"{side}.{name}", joint=f"{joint}_{side.lower()}")
          for name, joint in PLACES.items() for side in "RL"]


class Toy:
    def estimate(self, source, options=None, *, progress=None):
        table = np.load(source)
        return Observation(
            time_s=table["time_s"],
            camera=Camera(image_size_px=(1080, 1080), focal_px=1000.0, center_px=(540.0, 540.0), source="calibration"),
            keypoint_set=KeypointSet(name="toy12", points=tuple(POINTS)),
            keypoints_px=table["px"],
            confidence=np.full(table["px"].shape[:2], 0.9),
        )
"""
TOY_JOINTS = [f"{joint}_{side}" for joint in ("humerus", "ulna", "hand", "femur", "tibia", "talus") for side in "rl"]
LIMBS = [i for i, name in enumerate(DOF_NAMES) if name.startswith(("hip_f", "hip_a", "knee", "ankle", "elbow", "lumbar_e"))]
CAMERA = Camera(image_size_px=(1080, 1080), focal_px=1000.0, center_px=(540.0, 540.0), source="calibration")


def pixels(body: Body, motion: SkelMotion, heading_deg: float = 0.0, pitch_deg: float = 10.0) -> np.ndarray:
    """(T, 12, 2) joints of a motion (axes ``skel``) that is turned about y, seen from 1.3 m above its floor and 4 m away."""
    joints = body.forward(motion.poses_rad, motion.betas, motion.trans_m).joints_m.numpy()
    joints = joints[:, [JOINT_NAMES.index(name) for name in TOY_JOINTS]]
    turn = Rotation.from_rotvec([0, np.radians(heading_deg), 0]).as_matrix()
    tilt = np.diag([1.0, -1.0, -1.0]) @ Rotation.from_rotvec([np.radians(pitch_deg), 0, 0]).as_matrix()
    seen = (joints @ turn.T - [0.0, 1.3, 4.0]) @ tilt.T
    noise = np.random.default_rng(8).normal(size=(*seen.shape[:2], 2))
    return CAMERA.focal_px * seen[..., :2] / seen[..., 2:] + CAMERA.center_px + 2.0 * noise


def mean_error_deg(motion: SkelMotion, truth: SkelMotion) -> float:
    """Mean absolute difference of the limbs' angles and the back's."""
    return float(np.degrees(np.abs(motion.poses_rad - truth.poses_rad)[:, LIMBS].mean()))


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package with the entry point, installed as pip does it."""
    site = tmp_path / "site"
    about = site / "toy_estimator-1.0.dist-info"
    about.mkdir(parents=True)
    (site / "toy_estimator.py").write_text(PLUGIN)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-estimator\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[hsmr_bio.estimators]\ntoy = toy_estimator:Toy\n")
    monkeypatch.syspath_prepend(str(site))
    invalidate_caches()
    yield


def test_an_estimator_with_its_own_points_and_pixels_alone_gives_a_plausible_motion(
    plugin: None, clip, open_body: Body, tmp_path: Path
) -> None:
    np.savez(tmp_path / "film.npz", time_s=clip.truth.time_s, px=pixels(open_body, clip.truth))
    assert "toy" in estimator_names()
    options = Image2MotOptions(estimator="toy", height_m=open_body.stature_m(clip.truth.betas), save_observation=True)
    result = image2mot(tmp_path / "film.npz", tmp_path / "out", options)
    assert isinstance(result, Result) and (tmp_path / "out" / "film.mot").is_file()
    assert mean_error_deg(result.skel, clip.truth) < 6
    bent = result.motion.column("knee_angle_r")
    assert np.degrees(bent.max()) == pytest.approx(np.degrees(clip.truth.poses_rad[:, 6].max()), abs=12)
    assert np.degrees(bent[:8]).max() < 25
    assert result.skel.ground is not None
    assert np.degrees(result.skel.ground.camera_pitch_rad) == pytest.approx(10, abs=6)
    assert str(load_observation(tmp_path / "out" / "film_observation.npz").keypoint_set) == "toy12"


def own_set(*points: KeypointPlace) -> KeypointSet:
    return KeypointSet(name="own", points=points)


TOY = own_set(*(KeypointPlace(name=f"p{n}", joint=joint) for n, joint in enumerate(TOY_JOINTS)))


@pytest.mark.parametrize("heading_deg", [0, 90, 180, -135])
def test_any_heading_is_found(clip, open_body: Body, heading_deg: float) -> None:
    some = slice(8, 40)
    px = pixels(open_body, clip.truth, heading_deg)[some]
    seen = Observation(
        time_s=clip.truth.time_s[some], camera=CAMERA, keypoint_set=TOY, keypoints_px=px, confidence=np.ones(px.shape[:2])
    )
    found = fit_motion(seen, open_body).motion
    truth = replace(
        clip.truth, time_s=clip.truth.time_s[some], poses_rad=clip.truth.poses_rad[some], trans_m=clip.truth.trans_m[some]
    )
    assert mean_error_deg(found, truth) < 9
    still = replace(truth, poses_rad=np.repeat(truth.poses_rad[:1], len(px), axis=0))
    assert mean_error_deg(still, truth) > 14, "a motionless person would not pass"


def test_the_shipped_points_without_their_depth(clip, fitted: SkelMotion, open_body: Body) -> None:
    found = fit_motion(replace(clip.observation, keypoints_m=None), open_body).motion
    assert mean_error_deg(found, clip.truth) < mean_error_deg(fitted, clip.truth) + 3


def test_points_at_joints_get_the_names_that_the_fit_knows(open_body: Body) -> None:
    points, _ = keypoints_of(open_body.data, TOY)
    wanted = [f"{side}_{name}" for name in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle") for side in ("right", "left")]
    assert [point.name for point in points] == wanted
    far = KeypointPlace(name="crest", joint="femur_l", bone="pelvis", offset_over_stature=(0.0, 0.05, 0.0))
    (crest,), _ = keypoints_of(open_body.data, own_set(far))
    assert (crest.name, JOINT_NAMES[crest.body], JOINT_NAMES[crest.joint]) == ("crest", "pelvis", "femur_l")


def test_a_row_of_a_regressor_is_a_point_on_its_bone(open_body: Body) -> None:
    """BlazePose's left knee by the open body's vertices: the same place as the shipped definition, under its name."""
    (shipped,) = [point for point in open_body.data.keypoints["blazepose33"] if point.name == "left_knee"]
    place = KeypointPlace(name="LKNE", vertices=shipped.vertices, weights=shipped.weights, sigma_m=0.013)
    (own,), mix = keypoints_of(open_body.data, own_set(place))
    assert own.name == "left_knee" and mix == [("left_knee", (0,))] and own.sigma_2d_m == 0.013
    assert JOINT_NAMES[own.body] in ("femur_l", "tibia_l")
    joints, stature_m = open_body.rest(np.zeros(10)).joints_m, open_body.stature_m(np.zeros(10))
    at = joints[own.joint] + stature_m * np.array(own.offset_over_stature)
    on_skin = np.average(open_body.data.skin_template_m[list(shipped.vertices)], axis=0, weights=shipped.weights)
    np.testing.assert_allclose(at, on_skin, atol=1e-9)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ({"joint": "knee_l"}, "no joint or bone 'knee_l'"),
        ({"joint": "femur_l", "bone": "shell"}, "no joint or bone 'shell'"),
        ({"vertices": (10**6,)}, "has vertices 0 to"),
        ({}, "either a joint or skin vertices"),
        ({"vertices": (1, 2), "weights": (0.9, 0.3)}, "sum 1"),
        ({"joint": "femur_l", "sigma_m": 0.0}, "must be positive"),
    ],
)
def test_undefined_places_are_refused(open_body: Body, place: dict, message: str) -> None:
    with pytest.raises(InputError, match=f"'p'.*{message}"):
        keypoints_of(open_body.data, own_set(KeypointPlace(name="p", **place)))


def test_a_set_without_a_trunk_is_refused(clip, open_body: Body) -> None:
    legs = KeypointSet(name="legs", points=TOY.points[6:])
    px, sure = clip.observation.keypoints_px[:, :6], clip.observation.confidence[:, :6]
    seen = Observation(time_s=clip.truth.time_s, camera=CAMERA, keypoint_set=legs, keypoints_px=px, confidence=sure)
    with pytest.raises(InputError, match="'legs' has no left_shoulder, right_shoulder: points at both hips"):
        fit_motion(seen, open_body)
    with pytest.raises(InputError, match="twice: p0"):
        own_set(TOY.points[0], TOY.points[0])


def test_an_own_set_comes_back_from_its_file(clip, tmp_path: Path) -> None:
    px = np.zeros((3, 2, 2))
    own = own_set(TOY.points[0], KeypointPlace(name="skin", vertices=(3, 5), weights=(0.25, 0.75), bone="head"))
    seen = Observation(time_s=[0, 1, 2], camera=CAMERA, keypoint_set=own, keypoints_px=px, confidence=np.ones((3, 2)))
    save_observation(tmp_path / "o.npz", seen)
    assert load_observation(tmp_path / "o.npz").keypoint_set == own


def test_a_likely_path_does_not_rotate_for_one_image() -> None:
    """Two headings half a turn apart: one image that favours the wrong one does not change the heading, several do."""
    turns = np.stack([np.eye(3), np.diag([-1.0, 1.0, -1.0])])[:, None].repeat(6, axis=1)
    time_s = np.arange(6) / 5
    costs = np.array([[0.0, 0.0, 9.0, 0.0, 0.0, 0.0], [3.0, 3.0, 0.0, 3.0, 3.0, 3.0]])
    np.testing.assert_array_equal(likely_path(costs, turns, time_s), np.zeros(6))
    costs = np.array([[0.0, 0.0, 0.0, 50.0, 50.0, 50.0], [50.0, 50.0, 50.0, 0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(likely_path(costs, turns, time_s), [0, 0, 0, 1, 1, 1])

"""Fit of a body and its motion to joint centres in space."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hsmr_bio.body import Body
from hsmr_bio.body.placing import SKEL_TO_WORLD, rotate_motion
from hsmr_bio.errors import InputError
from hsmr_bio.fitting.video.joint_centres import JOINT_OF_POINT, fit_joint_centres
from hsmr_bio.io.trc import write_trc
from hsmr_bio.pipeline.options import ResultOptions, Skel2MotOptions
from hsmr_bio.pipeline.skel2mot import skel2mot
from hsmr_bio.skeleton import DOF_NAMES, JOINT_NAMES
from hsmr_bio.types import Markers, SkelMotion

POINTS = tuple(f"{place}_{side}" for place in JOINT_OF_POINT for side in "rl")


def centres_of(body: Body, motion: SkelMotion, names: tuple[str, ...] = POINTS, noise_m: float = 0.0) -> Markers:
    """The joint centres of a motion in the world."""
    rng = np.random.default_rng(0)
    pose = body.tree(motion.betas).forward(motion.q)
    joints = [JOINT_NAMES.index(f"{JOINT_OF_POINT[name[:-2]]}_{name[-1]}") for name in names]
    at = pose.positions_m[:, joints].numpy()
    return Markers(time_s=motion.time_s, names=names, positions_m=at + noise_m * rng.normal(size=at.shape))


def error_deg(found: SkelMotion, truth: SkelMotion, place: str) -> float:
    """RMS difference of an angle on both sides, or of one in the middle."""
    columns = [n for n, name in enumerate(DOF_NAMES) if name in (place, f"{place}_r", f"{place}_l")]
    miss = found.poses_rad[:, columns] - truth.poses_rad[:, columns]
    return float(np.degrees(np.sqrt(np.mean(miss**2))))


def placed_error_m(found: SkelMotion, truth: SkelMotion, body: Body) -> float:
    """RMS distance of the joint centres."""
    miss = centres_of(body, found).positions_m - centres_of(body, truth).positions_m
    return float(np.sqrt((miss**2).sum(axis=-1).mean()))


@pytest.fixture(scope="module")
def truth(clip, open_body: Body) -> SkelMotion:
    return rotate_motion(clip.truth, open_body, SKEL_TO_WORLD, frame="world")


@pytest.fixture(scope="module")
def deep(truth: SkelMotion, open_body: Body) -> SkelMotion:
    """Deep in a squat all the time, 123 degrees of the knees and 115 of the hips, one elbow bent."""
    down = 1 - 0.1 * np.cos(np.pi * np.arange(60) / 30) ** 2
    poses = np.array(truth.poses_rad)
    columns = {"lumbar_extension": -0.2 * down, "thorax_extension": -0.1 * down, "elbow_flexion_r": 2.0, "elbow_flexion_l": 0.2}
    for side in "rl":
        columns |= {f"hip_flexion_{side}": 2.0 * down, f"knee_angle_{side}": 0.05 + 2.1 * down}
        columns |= {f"ankle_angle_{side}": 0.5 * down}
    for name, values in columns.items():
        poses[:, DOF_NAMES.index(name)] = values
    return replace(truth, poses_rad=poses)


@pytest.fixture(scope="module")
def found(truth: SkelMotion, open_body: Body) -> SkelMotion:
    return fit_joint_centres(centres_of(open_body, truth, noise_m=0.01), open_body)


BOUNDS_DEG = [("hip_flexion", 6), ("knee_angle", 4), ("ankle_angle", 6), ("elbow_flexion", 5), ("pelvis_tilt", 6)]


@pytest.mark.parametrize(("angle", "most_deg"), BOUNDS_DEG)
def test_angles_are_found(found: SkelMotion, truth: SkelMotion, angle: str, most_deg: float) -> None:
    assert error_deg(found, truth, angle) < most_deg
    if angle in ("hip_flexion", "knee_angle", "ankle_angle", "pelvis_tilt"):
        rest = replace(truth, poses_rad=np.repeat(truth.poses_rad[:1], 60, axis=0))
        assert error_deg(rest, truth, angle) > most_deg, "a motionless person would not pass"


def test_the_body_is_where_the_centres_are(found: SkelMotion, truth: SkelMotion, open_body: Body) -> None:
    assert found.frame == "world"
    assert found.body == open_body.name
    assert found.poses_sd_rad is not None and (found.poses_sd_rad > 0).all()
    assert placed_error_m(found, truth, open_body) < 0.012
    assert open_body.stature_m(found.betas) == pytest.approx(open_body.stature_m(truth.betas), abs=0.04)


@pytest.mark.parametrize(("angle", "most_deg"), [("hip_flexion", 10), ("knee_angle", 5), ("elbow_flexion", 5)])
def test_a_deep_squat_is_reached(deep: SkelMotion, open_body: Body, angle: str, most_deg: float, squatted: SkelMotion) -> None:
    """From a standing first guess the limbs are half a metre off: they must not be rejected as outliers."""
    assert error_deg(squatted, deep, angle) < most_deg
    bottom = DOF_NAMES.index("knee_angle_r")
    assert np.degrees(squatted.poses_rad[15, bottom]) > 110


@pytest.fixture(scope="module")
def squatted(deep: SkelMotion, open_body: Body) -> SkelMotion:
    return fit_joint_centres(centres_of(open_body, deep, noise_m=0.01), open_body)


def renamed(markers: Markers, names: dict[str, str]) -> Markers:
    return replace(markers, names=tuple(names[name] for name in markers.names))


def test_names_of_other_tools_are_understood(truth: SkelMotion, open_body: Body) -> None:
    few = centres_of(open_body, replace_frames(truth, slice(0, 6)))
    ours = fit_joint_centres(few, open_body)
    words = {"r": "right", "l": "left"}
    styles = (
        {name: f"{name[-1].upper()}{name[:-2].replace('toe', 'bigToe').capitalize()}" for name in POINTS},
        {name: f"{words[name[-1]]}_{name[:-2].replace('toe', 'foot_index')}" for name in POINTS},
        {name: name.upper() for name in POINTS},
    )
    assert styles[0]["hip_r"] == "RHip" and styles[1]["toe_l"] == "left_foot_index"
    for names in styles:
        theirs = fit_joint_centres(renamed(few, names), open_body)
        np.testing.assert_allclose(theirs.poses_rad, ours.poses_rad, atol=1e-9)


def replace_frames(motion: SkelMotion, frames: slice) -> SkelMotion:
    """Some frames."""
    return replace(motion, time_s=motion.time_s[frames], poses_rad=motion.poses_rad[frames], trans_m=motion.trans_m[frames])


def test_a_known_height_is_kept(truth: SkelMotion, open_body: Body) -> None:
    few = centres_of(open_body, replace_frames(truth, slice(0, 6)))
    for height_m in (1.68, 1.80):
        motion = fit_joint_centres(few, open_body, height_m=height_m)
        assert open_body.stature_m(motion.betas) == pytest.approx(height_m, abs=0.02)


def test_gaps_in_the_centres_are_bridged(truth: SkelMotion, open_body: Body) -> None:
    markers = centres_of(open_body, truth, noise_m=0.01)
    holes = np.array(markers.positions_m)
    holes[25:28] = np.nan  # everything
    holes[40:46, markers.names.index("knee_r")] = np.nan
    motion = fit_joint_centres(replace(markers, positions_m=holes), open_body)
    assert error_deg(motion, truth, "knee_angle") < 4
    assert np.abs(motion.betas).max() > 0.1, "a frame without anything must not stop the search for the shape"
    assert motion.poses_sd_rad[26].mean() > motion.poses_sd_rad[15].mean()


def test_without_shoulders_it_is_refused(truth: SkelMotion, open_body: Body) -> None:
    legs = tuple(name for name in POINTS if not name.startswith("shoulder"))
    markers = centres_of(open_body, replace_frames(truth, slice(0, 3)), legs)
    with pytest.raises(InputError, match="shoulder_r, shoulder_l are missing"):
        fit_joint_centres(markers, open_body)


@pytest.mark.parametrize("names", [("RASI", "LASI", "RKNE", "C7"), ("Rib_r", "Lumbar", "left", "_r", "R", "")])
def test_other_markers_are_no_joint_centres(names: tuple[str, ...], open_body: Body) -> None:
    markers = Markers(time_s=np.zeros(1), names=names, positions_m=np.zeros((1, len(names), 3)))
    with pytest.raises(InputError, match="hip_r, hip_l, shoulder_r, shoulder_l are missing"):
        fit_joint_centres(markers, open_body)


def test_hips_that_are_never_seen_are_an_error(truth: SkelMotion, open_body: Body) -> None:
    markers = centres_of(open_body, replace_frames(truth, slice(0, 5)))
    nothing = np.array(markers.positions_m)
    nothing[:, [markers.names.index(f"hip_{side}") for side in "rl"]] = np.nan
    with pytest.raises(Exception, match="never seen") as caught:
        fit_joint_centres(replace(markers, positions_m=nothing), open_body)
    assert type(caught.value).__module__ == "hsmr_bio.errors"


def test_a_shape_that_joints_hardly_show_stays_near_the_population(truth: SkelMotion, open_body: Body) -> None:
    """Three standard deviations of the fourth beta move joints by about their error: the prior keeps most of them."""
    odd = replace(truth, betas=np.array([0.0, 0.0, 0.0, 3.0, *np.zeros(6)]))
    found = fit_joint_centres(centres_of(open_body, replace_frames(odd, slice(0, 6))), open_body)
    assert 0.7 < found.betas[3] < 1.7
    tall = replace(truth, betas=np.array([3.0, *np.zeros(9)]))
    found = fit_joint_centres(centres_of(open_body, replace_frames(tall, slice(0, 6))), open_body)
    assert found.betas[0] == pytest.approx(2.96, abs=0.04), "size is seen well"


def test_a_clip_of_the_same_pose_is_worth_twelve_frames(truth: SkelMotion, open_body: Body) -> None:
    """Frames that repeat each other are no new evidence: more than twelve count as twelve against the prior."""
    odd = replace(truth, betas=np.array([0.0, 0.0, 0.0, 3.0, *np.zeros(6)]))
    still = replace(odd, poses_rad=odd.poses_rad[:1].repeat(60, axis=0), trans_m=odd.trans_m[:1].repeat(60, axis=0))
    few, many, fewer = (
        fit_joint_centres(centres_of(open_body, replace_frames(still, slice(0, frames))), open_body).betas[3]
        for frames in (12, 30, 3)
    )
    assert many == pytest.approx(few, abs=0.05)
    assert fewer < few - 0.2


@pytest.fixture(scope="module")
def sprint(truth: SkelMotion) -> SkelMotion:
    """Two strides of sprinting at 9 m/s, 60 frames a second."""
    time_s = np.arange(54) / 60
    phase = 2 * np.pi * 2.3 * time_s
    angles = {"pelvis_list": 5 * np.sin(phase), "pelvis_rotation": 9 * np.cos(phase), "lumbar_extension": np.full(54, -8.0)}
    for side, sign, at in (("r", 1.0, phase), ("l", -1.0, phase + np.pi)):
        angles[f"hip_flexion_{side}"] = 25 + 46 * np.sin(at) + 6 * np.sin(2 * at)
        angles[f"knee_angle_{side}"] = 70 + 48 * np.cos(at) + 12 * np.cos(2 * at + 1)
        angles[f"ankle_angle_{side}"] = -5 + 18 * np.cos(at + 2) + 8 * np.sin(2 * at)
        angles[f"shoulder_{side}_x"] = np.full(54, sign * 70.0)
        angles[f"shoulder_{side}_y"] = sign * 45 * np.sin(at)
        angles[f"elbow_flexion_{side}"] = 90 + 20 * np.sin(at)
    poses = np.zeros((54, 46))
    for name, values in angles.items():
        poses[:, DOF_NAMES.index(name)] = np.radians(values)
    places = np.stack([9 * time_s, 0.95 + 0.04 * np.cos(2 * phase), 0.02 * np.sin(phase)], axis=1)
    return replace(truth, time_s=time_s, poses_rad=poses, trans_m=places, poses_sd_rad=None, contacts=None)


@pytest.mark.slow
@pytest.mark.parametrize(("noise_m", "most_deg"), [(0.0, 2.0), (0.01, 2.6), (0.03, 5.0)])
def test_sprinting_is_followed(sprint: SkelMotion, open_body: Body, noise_m: float, most_deg: float) -> None:
    found = fit_joint_centres(centres_of(open_body, sprint, noise_m=noise_m), open_body)
    errors = [error_deg(found, sprint, angle) for angle in ("hip_flexion", "knee_angle", "elbow_flexion", "pelvis_tilt")]
    assert np.mean(errors) < most_deg, errors


@pytest.mark.slow
def test_the_filter_spares_fast_movement_unless_it_is_asked_for(sprint: SkelMotion, open_body: Body, tmp_path: Path) -> None:
    write_trc(tmp_path / "sprint.trc", centres_of(open_body, sprint))
    few = ResultOptions(name="sprint", overwrite=True)
    knees = {}
    for filter_all in (False, True):
        (result,) = skel2mot(tmp_path / "sprint.trc", tmp_path / "out", Skel2MotOptions(results=few, filter_all=filter_all))
        knees[filter_all] = result.skel.poses_rad[:, DOF_NAMES.index("knee_angle_r")]
    truth = sprint.poses_rad[:, DOF_NAMES.index("knee_angle_r")]
    frames = len(truth) - 1  # time stamps are rounded: a file of 54 frames may become 53 at a constant rate
    spared, filtered = (np.degrees(np.std(knees[asked][:frames] - truth[:frames])) for asked in (False, True))
    assert spared < 0.5
    assert filtered > 0.8

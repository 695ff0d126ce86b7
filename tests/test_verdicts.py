"""Planted faults: a good motion passes; each fault keeps it from a PASS, and the check that is for it says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hsmr_bio.body.body import Body
from hsmr_bio.body.placing import rotate_motion
from hsmr_bio.checks.check_motion import check_motion
from hsmr_bio.checks.check_report import CheckReport
from hsmr_bio.checks.picture import Picture
from hsmr_bio.cli import main
from hsmr_bio.io.cameras import GUESS
from hsmr_bio.io.mot import write_mot
from hsmr_bio.io.npz import load_motion, save_motion, save_observation
from hsmr_bio.mapping import to_coordinates
from hsmr_bio.scaling import scale_model
from hsmr_bio.skeleton import DOF_NAMES
from hsmr_bio.types import GroundFit, Observation, OsimMotion, SkelMotion, Subject

DEMO = Path(__file__).resolve().parents[1] / "examples" / "demo_truth.npz"
FRAMES = slice(5, 77)
"""Of a walk, before it ends."""
COUNT = FRAMES.stop - FRAMES.start
NOISE_PX = 3.0


@dataclass(frozen=True, eq=False)
class Judged:
    """A motion with everything that a verdict on a video rests on."""

    skel: SkelMotion
    motion: OsimMotion
    subject: Subject
    observation: Observation
    body: Body

    def verdict(self, **changes: object) -> CheckReport:
        """Check, with some of the inputs changed."""
        given = {"skel": self.skel, "motion": self.motion, "observation": self.observation, **changes}
        return check_motion(given["motion"], self.subject, skel=given["skel"], observation=given["observation"], body=self.body)

    def of_file(self, motion: OsimMotion) -> CheckReport:
        """Check coordinates and model alone, as ``hsmr-bio check`` does with files of other programs."""
        return check_motion(motion, self.subject)

    def mapped(self, skel: SkelMotion) -> CheckReport:
        """Check another motion of the same person against the same observation."""
        return self.verdict(skel=skel, motion=to_coordinates(skel, self.subject, self.body))


def seen_of(skel: SkelMotion, body: Body) -> Observation:
    """What a detector with some pixels of noise sees of a motion."""
    count = 33
    blank = Observation(
        time_s=skel.time_s,
        camera=skel.camera,
        keypoint_set="blazepose33",
        keypoints_px=np.zeros((len(skel.time_s), count, 2)),
        confidence=np.full((len(skel.time_s), count), 0.9),
    )
    model_px = Picture.of(blank, skel, body).model_px
    noise = NOISE_PX * np.random.default_rng(3).normal(size=model_px.shape)
    return replace(blank, keypoints_px=model_px + noise)


@pytest.fixture(scope="module")
def good(open_body: Body) -> Judged:
    """The shipped demo's walk as it was drawn, and its landmarks."""
    truth = load_motion(DEMO)
    ground = GroundFit(
        camera_pitch_rad=0.1,
        camera_roll_rad=0.0,
        pitch_source="truth",
        roll_source="truth",
        camera_height_m=1.3,
        standing_share=1.0,
        R_camera_world=np.array(truth.notes["world_to_camera_rotation"]),
        t_camera_world_m=np.array(truth.notes["world_to_camera_translation_m"]),
        treadmill=False,
    )
    skel = replace(
        truth,
        time_s=truth.time_s[FRAMES] - truth.time_s[FRAMES][0],
        poses_rad=truth.poses_rad[FRAMES],
        trans_m=truth.trans_m[FRAMES],
        ground=ground,
        contacts=None,
        poses_sd_rad=np.full((COUNT, 46), np.radians(4.0)),
    )
    subject = scale_model(open_body, skel.betas)
    return Judged(skel, to_coordinates(skel, subject, open_body), subject, seen_of(skel, open_body), open_body)


def said(report: CheckReport) -> set[str]:
    """Names of the checks that do not pass."""
    return {check.name for check in report.checks if check.status in ("warn", "fail")}


def test_a_good_motion_passes_with_and_without_its_picture(good: Judged) -> None:
    for report in (good.verdict(), good.of_file(good.motion)):
        assert report.status == "pass", report.text()
    made = {check.name for check in good.verdict().checks if check.status == "pass"}
    assert {"picture agreement", "sides in the picture", "hidden limbs", "stated deviation", "balance", "flight"} <= made


# ------------------------------------------------------------------ against the picture
def turned(good: Judged, degrees: float, axis: tuple[float, float, float]) -> SkelMotion:
    """The whole body turned about its own place, camera and floor as they are."""
    rotation = Rotation.from_rotvec(np.radians(degrees) * np.array(axis)).as_matrix()
    pelvis = good.skel.trans_m.mean(axis=0)
    moved = rotate_motion(good.skel, good.body, rotation, frame="world", shift_m=pelvis - rotation @ pelvis)
    return replace(moved, ground=good.skel.ground)


@pytest.mark.parametrize("axis", [(0.0, 0.0, 1.0), (1.0, 0.0, 0.0)])
def test_a_skeleton_that_leans_by_45_degrees_against_the_picture_fails(good: Judged, axis: tuple[float, float, float]) -> None:
    report = good.mapped(turned(good, 45, axis))
    assert report.status == "fail"
    assert {"picture agreement", "picture agreement, part"} <= said(report)


def folded(good: Judged) -> SkelMotion:
    """The same person bent over, with the hands at the feet."""
    poses = np.array(good.skel.poses_rad)
    for name in ("hip_flexion_r", "hip_flexion_l"):
        poses[:, DOF_NAMES.index(name)] = np.radians(100.0)
    poses[:, DOF_NAMES.index("pelvis_tilt")] -= np.radians(85.0)
    return replace(good.skel, poses_rad=poses)


def test_somebody_standing_where_the_landmarks_show_a_fold_fails(good: Judged) -> None:
    report = good.verdict(observation=seen_of(folded(good), good.body))
    assert report.status == "fail"
    assert report["picture agreement"].status == "fail"
    assert "trunk" in report["picture agreement, part"].detail or "leg" in report["picture agreement, part"].detail


def test_one_arm_elsewhere_is_told_by_its_name(good: Judged) -> None:
    poses = np.array(good.skel.poses_rad)
    poses[:, DOF_NAMES.index("elbow_flexion_r")] += np.radians(100.0)
    report = good.verdict(observation=seen_of(replace(good.skel, poses_rad=poses), good.body))
    assert report["picture agreement, part"].status != "pass"
    assert report["picture agreement, part"].detail.startswith("right arm")


def test_a_camera_rolled_by_90_degrees_makes_a_walker_lie(good: Judged) -> None:
    """The picture agrees: camera and motion are turned together."""
    quarter = Rotation.from_rotvec([np.pi / 2, 0, 0]).as_matrix()
    moved = rotate_motion(good.skel, good.body, quarter, frame="world", shift_m=np.array([0.0, 0.4, 0.0]))
    ground = replace(
        good.skel.ground,
        R_camera_world=good.skel.ground.R_camera_world @ quarter.T,
        t_camera_world_m=good.skel.ground.t_camera_world_m - good.skel.ground.R_camera_world @ quarter.T @ [0.0, 0.4, 0.0],
    )
    report = good.mapped(replace(moved, ground=ground))
    assert report["picture agreement"].status == "pass", "the fault is not in the picture"
    assert report["body axis"].status == "warn"
    assert report.status != "pass"


def exchanged(seen: Observation, frames: slice) -> Observation:
    """Landmarks with left and right exchanged in some frames."""
    from hsmr_bio.body.keypoint_table import point_names

    names = point_names("blazepose33")
    swap = {"left": "right", "right": "left"}
    order = [names.index("_".join(swap.get(word, word) for word in name.split("_"))) for name in names]
    pixels = np.array(seen.keypoints_px)
    pixels[frames] = pixels[frames][:, order]
    return replace(seen, keypoints_px=pixels)


@pytest.mark.parametrize("frames", [slice(24, 48), slice(None)], ids=["a third", "the whole clip"])
def test_sides_that_are_the_other_way_round_in_the_picture_fail(good: Judged, frames: slice) -> None:
    report = good.verdict(observation=exchanged(good.observation, frames))
    assert report["sides in the picture"].status == "fail"


def test_somebody_who_turns_round_between_two_frames_fails(good: Judged) -> None:
    """Both the detector and the fit mistake front for back in a third of the clip."""
    half = Rotation.from_rotvec([0, np.pi, 0]).as_matrix()
    turns = np.tile(np.eye(3), (COUNT, 1, 1))
    turns[24:48] = half
    pelvis = good.skel.trans_m
    moved = rotate_motion(good.skel, good.body, turns, frame="world", shift_m=pelvis - np.einsum("tij,tj->ti", turns, pelvis))
    report = good.of_file(to_coordinates(moved, good.subject, good.body))
    assert report["turning speed"].status == "fail"


def test_lost_time_and_hidden_limbs_are_said(good: Judged) -> None:
    keep = np.r_[0:24, 48:COUNT]
    part = replace(
        good.skel,
        **{name: getattr(good.skel, name)[keep] for name in ("time_s", "poses_rad", "trans_m", "poses_sd_rad")},
    )
    motion = to_coordinates(part, good.subject, good.body)
    for report in (good.verdict(skel=part, motion=motion), good.of_file(motion)):
        assert report["time without a result"].value == pytest.approx(25 / 71, abs=0.01)
        assert report["time without a result"].status == "warn"
    first = replace(part, **{name: getattr(part, name)[:24] for name in ("time_s", "poses_rad", "trans_m", "poses_sd_rad")})
    lost = good.verdict(skel=first, motion=to_coordinates(first, good.subject, good.body))
    assert lost["time without a result"].status == "fail", "two thirds of the video have no result"
    confidence = np.array(good.observation.confidence)
    confidence[:, [25, 26, 27, 28]] = 0.1
    hidden = good.verdict(observation=replace(good.observation, confidence=confidence))
    assert hidden["hidden limbs"].status == "warn"
    assert "right leg 100%" in hidden["hidden limbs"].detail


def test_a_motion_that_says_itself_that_it_is_unsure_does_not_pass(good: Judged) -> None:
    unsure = replace(good.skel, poses_sd_rad=np.full((COUNT, 46), np.radians(14.0)))
    report = good.mapped(unsure)
    assert report["stated deviation"].status == "warn"
    assert good.mapped(replace(unsure, poses_sd_rad=np.full((COUNT, 46), np.radians(25.0)))).status == "fail"


def test_a_guessed_focal_length_is_said_in_the_verdict(good: Judged) -> None:
    guessed = replace(good.skel, camera=replace(good.skel.camera, source=GUESS))
    report = good.verdict(skel=guessed)
    assert "focal length is a guess" in report.text() and "focal length is a guess" in str(report.to_json()["remarks"])
    assert report.status == "pass"
    assert not good.verdict().remarks


# ------------------------------------------------------------------ files alone
Change = Callable[[OsimMotion], OsimMotion]


def with_column(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Change:
    """Change the values of one coordinate."""

    def apply(motion: OsimMotion) -> OsimMotion:
        values = np.array(motion.values_si)
        column = motion.coordinates.index(name)
        values[:, column] = change(values[:, column])
        return replace(motion, values_si=values)

    return apply


def held(values: np.ndarray, frames: slice = slice(24, 60)) -> np.ndarray:
    """The value of the first of some frames in all of them."""
    result = np.array(values)
    result[frames] = result[frames][:1]
    return result


def timed(change: Callable[[np.ndarray], np.ndarray]) -> Change:
    """Change the times."""
    return lambda motion: replace(motion, time_s=change(motion.time_s))


FILE_FAULTS: dict[str, tuple[Change, str]] = {
    "floats by 0.2 m": (with_column("pelvis_ty", lambda y: y + 0.2), "floating"),
    "floats by 1 m": (with_column("pelvis_ty", lambda y: y + 1.0), "floating"),
    "sinks by 0.2 m": (with_column("pelvis_ty", lambda y: y - 0.2), "floor penetration"),
    "leans back": (with_column("pelvis_tilt", lambda tilt: tilt + np.radians(35)), "balance"),
    "leans forwards": (with_column("pelvis_tilt", lambda tilt: tilt - np.radians(35)), "balance"),
    "leans sideways": (with_column("pelvis_list", lambda tilt: tilt + np.radians(25)), "balance"),
    "trunk bent back": (with_column("lumbar_extension", lambda bend: bend + np.radians(45)), "trunk lean"),
    "faces backwards": (with_column("pelvis_rotation", lambda turn: turn + np.pi), "foot sliding"),
    "walks backwards": (lambda motion: replace(motion, values_si=motion.values_si[::-1]), "backward walking"),
    "milliseconds": (timed(lambda time_s: 1000 * time_s), "time step"),
    "three times too fast": (timed(lambda time_s: time_s / 3), "balance"),
    "a gap": (timed(lambda time_s: time_s + np.where(time_s > 1.5, 1.0, 0.0)), "time without a result"),
    "all frozen": (lambda motion: replace(motion, values_si=held(motion.values_si)), "frozen values"),
    "a knee frozen": (with_column("knee_angle_r", held), "frozen values"),
    "a knee constant": (with_column("knee_angle_r", lambda knee: np.full_like(knee, 0.3)), "frozen values"),
    "a knee in radians": (with_column("knee_angle_l", np.radians), "unit of angles"),
    "a hip in radians": (with_column("hip_flexion_r", np.radians), "unit of angles"),
    "bent knee, the wrong way": (with_column("knee_angle_r", lambda knee: -knee), "knees and elbows"),
}


@pytest.mark.parametrize("fault", FILE_FAULTS)
def test_a_fault_of_a_file_is_told_by_its_check(good: Judged, fault: str) -> None:
    change, name = FILE_FAULTS[fault]
    report = good.of_file(change(good.motion))
    assert report.status != "pass"
    assert report[name].status in ("warn", "fail"), report.text()


def test_data_whose_z_points_up_do_not_pass(good: Judged) -> None:
    up = rotate_motion(good.skel, good.body, Rotation.from_rotvec([np.pi / 2, 0, 0]).as_matrix(), frame="world")
    lowest = float(good.of_file(to_coordinates(up, good.subject, good.body))["floor penetration"].value)
    assert lowest > 0.1, "half of the body is under the floor"
    raised = replace(up, trans_m=up.trans_m + np.array([0.0, lowest, 0.0]))
    report = good.of_file(to_coordinates(raised, good.subject, good.body))
    assert report["body axis"].status == "warn"
    assert "another axis" in report["body axis"].detail


def test_legs_that_changed_places_do_not_pass(good: Judged) -> None:
    values, names = np.array(good.motion.values_si), good.motion.coordinates
    for side in "rl":
        values[:, names.index(f"hip_adduction_{side}")] += np.radians(18)
    report = good.of_file(replace(good.motion, values_si=values))
    assert report["crossed sides"].status == "warn"


def test_a_mirrored_walk_cannot_be_told_without_its_picture(good: Judged) -> None:
    """Every person walks like the mirror image of somebody else: only landmarks tell."""
    names, values = good.motion.coordinates, np.array(good.motion.values_si)
    other = {"r": "l", "l": "r"}
    order = [names.index(f"{n[:-1]}{other[n[-1]]}") if n[-2:] in ("_r", "_l") else names.index(n) for n in names]
    flipped = ("pelvis_list", "pelvis_rotation", "pelvis_tz", "lumbar_bending", "lumbar_twist", "thorax_bending")
    flipped += ("thorax_twist", "head_bending", "head_twist")
    signs = np.array([-1.0 if name in flipped else 1.0 for name in names])
    mirrored = replace(good.motion, values_si=values[:, order] * signs)
    report = good.of_file(mirrored)
    assert not said(report) & {"crossed sides", "backward walking", "turning speed"}


def test_the_command_takes_the_observation_beside_the_motion(
    good: Judged, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.osim").write_bytes(good.subject.osim_xml)
    write_mot(tmp_path / "a.mot", good.motion)
    save_motion(tmp_path / "a_skel.npz", good.skel)
    save_observation(tmp_path / "a_observation.npz", exchanged(good.observation, slice(24, 48)))
    assert main(["check", str(tmp_path / "a.mot"), "--json"]) == 3
    found = {check["name"]: check["status"] for check in json.loads(capsys.readouterr().out)["checks"]}
    assert found["sides in the picture"] == "fail"
    (tmp_path / "a_observation.npz").unlink()
    assert main(["check", str(tmp_path / "a.mot"), "--json"]) == 0
    found = {check["name"]: check["status"] for check in json.loads(capsys.readouterr().out)["checks"]}
    assert found["sides in the picture"] == "skipped"

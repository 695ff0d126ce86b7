"""Grounding: gravity, floor and feet of a clip whose camera is known; rotation of motions."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hsmr_bio.body import Body, load_body
from hsmr_bio.body.placing import SKEL_TO_WORLD, near_branch, rotate_motion, to_forward
from hsmr_bio.errors import InputError
from hsmr_bio.fitting.core.body_points import SolePoints
from hsmr_bio.fitting.video.camera_fit import CameraFit
from hsmr_bio.fitting.video.scene import SceneAxes
from hsmr_bio.fitting.world.ground import to_world
from hsmr_bio.fitting.world.options import GroundOptions
from hsmr_bio.skeleton import DOF_NAMES, JOINT_NAMES
from hsmr_bio.types import GroundFit, SkelMotion

KNEES = ("knee_angle_r", "knee_angle_l")


def soles_of(body: Body, motion: SkelMotion) -> np.ndarray:
    """(T, 8, 3) points under the feet."""
    points = SolePoints(body)(np.asarray(motion.betas), np.zeros((8, 3)))
    return pose_of(body, motion).points(points.bodies, points.local_m).numpy()


def pose_of(body: Body, motion: SkelMotion):
    """Bones in space."""
    return body.tree(motion.betas).forward(motion.q)


def foot_speed(body: Body, motion: SkelMotion) -> np.ndarray:
    """(T,) m/s of the faster sole."""
    soles = soles_of(body, motion)
    middle = np.stack([soles[:, :4].mean(axis=1), soles[:, 4:].mean(axis=1)], axis=1)
    return np.linalg.norm(np.gradient(middle, motion.time_s, axis=0), axis=-1).max(axis=1)


@pytest.fixture(scope="module", params=["with pictures", "postures only"])
def world(request: pytest.FixtureRequest, camera_fit: CameraFit, open_body: Body) -> SkelMotion:
    """The clip in the world, with and without its landmarks."""
    return to_world(camera_fit if request.param == "with pictures" else camera_fit.motion, open_body)


def test_gravity_is_found(clip, world: SkelMotion) -> None:
    assert world.frame == "world"
    ground = world.ground
    assert np.degrees(ground.camera_pitch_rad - clip.pitch_rad) == pytest.approx(0, abs=4.5)
    assert np.degrees(ground.camera_roll_rad) == pytest.approx(0, abs=2.5)
    assert ground.camera_height_m == pytest.approx(clip.camera_height_m, abs=0.3)
    assert "estimated" in ground.pitch_source and "estimated" in ground.roll_source


@pytest.mark.parametrize(("pitch_deg", "roll_deg"), [(-12, 0), (0, 0), (25, 0), (10, 8)])
def test_gravity_of_any_camera(clip, open_body: Body, pitch_deg: float, roll_deg: float) -> None:
    """The prior of the tilt must not outweigh the evidence of the body."""
    tilt = Rotation.from_rotvec(np.radians([pitch_deg, 0, roll_deg])).as_matrix()
    camera = np.diag([1.0, -1.0, -1.0]) @ tilt
    place = -camera @ [0.1, 1.3, 4.0]
    motion = rotate_motion(clip.truth, open_body, camera, frame="camera", shift_m=place)
    ground = to_world(replace(motion, camera=clip.observation.camera), open_body).ground
    assert np.degrees(ground.camera_pitch_rad) == pytest.approx(pitch_deg, abs=4)
    assert np.degrees(ground.camera_roll_rad) == pytest.approx(roll_deg, abs=3)


def test_soles_stand_on_the_floor(world: SkelMotion, open_body: Body) -> None:
    soles = soles_of(open_body, world)
    for frames in (slice(0, 12), slice(54, 60)):
        assert abs(soles[frames, :, 1].mean()) < 0.02
        assert soles[frames, :, 1].min() > -0.03
    assert world.ground.standing_share > 0.9
    assert (world.contacts[:12] > 0.5).mean() > 0.8


def test_standing_feet_do_not_slide(world: SkelMotion, fitted: SkelMotion, open_body: Body) -> None:
    assert np.percentile(foot_speed(open_body, world), 80) < 0.05
    assert np.median(foot_speed(open_body, world)) < 0.6 * np.median(foot_speed(open_body, fitted))


def test_the_person_faces_x_over_the_origin(world: SkelMotion, open_body: Body) -> None:
    pose = pose_of(open_body, world)
    ahead = pose.rotations[0, 0, :, 0].numpy()
    assert ahead[0] > 0.95 and abs(ahead[2]) < 1e-6
    np.testing.assert_allclose(pose.positions_m[0, 0].numpy()[[0, 2]], 0, atol=1e-6)
    assert pose.positions_m[0, JOINT_NAMES.index("head"), 1] > 1.2


def test_the_postures_stay_as_accurate(clip, fitted: SkelMotion, world: SkelMotion) -> None:
    """Grounding may correct the postures, but must not make them worse."""
    assert clip.angle_error_deg(world, *KNEES) < clip.angle_error_deg(fitted, *KNEES) + 0.7
    assert clip.angle_error_deg(world, "hip_flexion_r", "hip_flexion_l") < 6.5
    assert (world.poses_sd_rad > 0).all()


def test_without_images_the_deviations_are_those_of_the_motion(fitted: SkelMotion, open_body: Body) -> None:
    np.testing.assert_array_equal(to_world(fitted, open_body).poses_sd_rad, fitted.poses_sd_rad)
    assert to_world(replace(fitted, poses_sd_rad=None), open_body).poses_sd_rad is None


def test_the_ground_leads_back_to_the_camera(world: SkelMotion, fitted: SkelMotion, open_body: Body) -> None:
    rotation, shift = world.ground.R_camera_world, world.ground.t_camera_world_m
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
    joints = pose_of(open_body, world).positions_m.numpy() @ rotation.T + shift
    before = pose_of(open_body, fitted).positions_m.numpy()
    camera = fitted.camera
    pixels, pixels_before = (camera.focal_px * at[..., :2] / at[..., 2:] for at in (joints, before))
    assert np.sqrt(np.mean((pixels - pixels_before)[:45] ** 2)) < 12


def test_edges_of_the_scene_outweigh_the_postures(clip, camera_fit: CameraFit, open_body: Body) -> None:
    seen = SceneAxes(pitch_rad=clip.pitch_rad + 0.2, roll_rad=-0.1, focal_px=1000.0, margin=9.0)
    ground = to_world(replace(camera_fit, scene=seen), open_body).ground
    tilt = np.degrees([ground.camera_pitch_rad, ground.camera_roll_rad])
    assert tilt == pytest.approx(np.degrees([clip.pitch_rad + 0.2, -0.1]), abs=2.0)
    assert "straight edges" in ground.pitch_source


def test_edges_that_contradict_the_postures_are_refused(clip, camera_fit: CameraFit, open_body: Body) -> None:
    odd = SceneAxes(pitch_rad=clip.pitch_rad + 0.6, roll_rad=0.4, focal_px=1000.0, margin=9.0)
    world = to_world(replace(camera_fit, scene=odd), open_body)
    assert np.degrees(world.ground.camera_pitch_rad - clip.pitch_rad) == pytest.approx(0, abs=4.5)
    assert "straight edges" not in world.ground.pitch_source and world.notes["scene_refused"] == asdict(odd)


def test_a_known_tilt_is_kept(clip, camera_fit: CameraFit, open_body: Body) -> None:
    options = GroundOptions(camera_pitch_rad=clip.pitch_rad, camera_roll_rad=0.02)
    ground = to_world(camera_fit, open_body, options).ground
    assert (ground.camera_pitch_rad, ground.camera_roll_rad) == (clip.pitch_rad, 0.02)
    assert (ground.pitch_source, ground.roll_source) == ("given", "given")
    assert ground.camera_height_m == pytest.approx(clip.camera_height_m, abs=0.12)


def test_notes_are_not_read(fitted: SkelMotion, open_body: Body) -> None:
    """Notes of a stored motion about scene and landmarks do not change the result."""
    loud = {"scene": {"pitch_rad": 0.4, "roll_rad": 0.2}, "landmark_offsets_m": 1.0, "ground": {"camera_pitch_deg": 30.0}}
    plain, noted = to_world(fitted, open_body), to_world(replace(fitted, notes=loud), open_body)
    np.testing.assert_array_equal(noted.poses_rad, plain.poses_rad)
    assert noted.ground.camera_pitch_rad == plain.ground.camera_pitch_rad and noted.notes == loud


def test_the_right_pitch_puts_the_pelvis_upright(clip, fitted: SkelMotion, open_body: Body) -> None:
    """The sign of a given pitch: downward is positive."""
    leans = []
    for pitch in (clip.pitch_rad, -clip.pitch_rad):
        world = to_world(fitted, open_body, GroundOptions(camera_pitch_rad=pitch, camera_roll_rad=0.0))
        joints = pose_of(open_body, world).positions_m.numpy()[:10]
        line = joints[:, JOINT_NAMES.index("head")] - joints[:, JOINT_NAMES.index("talus_r")]
        leans.append(np.degrees(np.arctan2(line[:, 0], line[:, 1]).mean()))
    assert abs(leans[0]) < 7
    assert abs(leans[1]) > 12


def test_a_world_motion_is_refused(world: SkelMotion, fitted: SkelMotion, open_body: Body) -> None:
    with pytest.raises(InputError, match="in the world frame already"):
        to_world(world, open_body)
    with pytest.raises(InputError, match="betas of one body mean"):
        to_world(fitted, load_body("open", "female"))


def test_a_level_motion_is_not_tilted(clip, open_body: Body) -> None:
    """A lean by 12 degrees stays: there is no camera whose tilt could explain it."""
    lean = Rotation.from_rotvec([np.radians(12), 0, 0]).as_matrix()
    leaning = rotate_motion(clip.truth, open_body, lean, frame="skel", shift_m=[0, 0.4, 0])
    world = to_world(leaning, open_body)
    assert (world.ground.camera_pitch_rad, world.ground.camera_roll_rad) == (0, 0)
    joints = pose_of(open_body, world).positions_m.numpy()[0]
    line = joints[JOINT_NAMES.index("head")] - joints[[JOINT_NAMES.index(f"talus_{side}") for side in "rl"]].mean(axis=0)
    assert np.degrees(np.arccos(line[1] / np.linalg.norm(line))) > 7
    upright = to_world(clip.truth, open_body)
    assert abs(soles_of(open_body, upright)[..., 1]).max() < 0.02
    assert clip.angle_error_deg(upright, *KNEES) < 3


def belt(motion: SkelMotion, speed_m_s: float) -> SkelMotion:
    """The motion carried along x (axes ``skel``)."""
    way = np.outer(speed_m_s * np.asarray(motion.time_s), [1.0, 0, 0])
    return replace(motion, trans_m=motion.trans_m + way)


def test_a_treadmill_leaves_the_feet_free(clip, open_body: Body) -> None:
    carried = belt(clip.truth, 0.3)
    held = to_world(carried, open_body)
    free = to_world(carried, open_body, GroundOptions(treadmill=True))
    assert free.ground.treadmill is True
    assert np.median(foot_speed(open_body, free)) == pytest.approx(0.3, abs=0.05)
    assert np.median(foot_speed(open_body, held)) < 0.2
    assert abs(soles_of(open_body, free)[..., 1]).mean() < 0.02


@pytest.mark.parametrize(
    ("way_m", "seconds", "walks"),
    [
        (2.0, 2.0, True),
        (1.1, 3.0, True),
        (0.9, 1.0, False),
        (2.0, 10.0, False),
        (0.6, 0.5, True),
        (0.45, 0.3, False),
        (0.7, 2.0, False),
        (0.0, 0.0, False),
    ],
)
def test_the_heading_is_the_walking_direction_else_the_pelvis_direction(way_m: float, seconds: float, walks: bool) -> None:
    """Facing +x and moving along -x + z, which is walking from 1 m at 0.3 m/s, or 0.5 m at 1 m/s, on."""
    way, facing = np.array([-0.6, 0.0, 0.8]), np.array([1.0, 0.4, 0.0])
    time_s = np.linspace(0, seconds, 5)
    pelvis = [0.3, 1.0, -2.0] + np.linspace(0, way_m, 5)[:, None] * way + np.outer([0, 0.1, -0.1, 0.3, 0], [1, 5, 1])
    turn = to_forward(pelvis, facing, time_s)
    np.testing.assert_allclose(turn @ (way if walks else [1.0, 0.0, 0.0]), [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(turn @ [0, 1, 0], [0, 1, 0], atol=1e-12)


def test_the_world_is_turned_to_the_walking_direction(clip, open_body: Body) -> None:
    """A motion along x of the skel frame has this heading, whatever the direction of the pelvis."""
    free = to_world(belt(clip.truth, 1.5), open_body, GroundOptions(treadmill=True))
    before, after = (pose_of(open_body, motion).rotations[0, 0, :, 0].numpy() for motion in (clip.truth, free))
    assert after[0] == pytest.approx(before[0], abs=0.06) and abs(before[0]) < 0.7, (
        "the heading is x, and the body faces across it"
    )
    way = free.trans_m[-1] - free.trans_m[0]
    assert way[0] > 2 and abs(way[2]) < 1e-6


# ---------------------------------------------------------------------- turning


def waved(motion: SkelMotion) -> SkelMotion:
    """Joints away from zero, and another translation in every frame."""
    rng = np.random.default_rng(3)
    poses = np.array(motion.poses_rad)
    poses[:, 3:] += 0.1 * rng.normal(size=(1, 43))
    return replace(motion, poses_rad=poses, trans_m=motion.trans_m + 0.2 * rng.normal(size=motion.trans_m.shape))


@pytest.mark.parametrize("turn", [[0.3, 0, 0], [0, 2.5, 0], [0.4, -1.0, 0.7], SKEL_TO_WORLD])
def test_turning_the_motion_turns_every_bone(clip, open_body: Body, ground_fit: GroundFit, turn) -> None:
    motion = waved(clip.truth)
    rotation = np.asarray(turn) if np.ndim(turn) == 2 else Rotation.from_rotvec(turn).as_matrix()
    shift = np.array([0.5, -0.2, 1.0])
    there = rotate_motion(motion, open_body, rotation, frame="world", shift_m=shift)
    before, after = pose_of(open_body, motion), pose_of(open_body, there)
    np.testing.assert_allclose(after.positions_m.numpy(), before.positions_m.numpy() @ rotation.T + shift, atol=1e-9)
    np.testing.assert_allclose(after.rotations.numpy(), rotation @ before.rotations.numpy(), atol=1e-9)
    np.testing.assert_array_equal(there.poses_rad[:, 3:], motion.poses_rad[:, 3:])
    assert there.frame == "world"
    assert rotate_motion(replace(motion, ground=ground_fit), open_body, rotation, frame="world").ground is None, (
        "of the old axes"
    )
    back = rotate_motion(there, open_body, rotation.T, frame="skel", shift_m=-rotation.T @ shift)
    again = pose_of(open_body, back)
    np.testing.assert_allclose(again.rotations.numpy(), before.rotations.numpy(), atol=1e-9)
    np.testing.assert_allclose(back.trans_m, motion.trans_m, atol=1e-9)


def test_turning_where_the_pelvis_is_not_at_the_origin(clip, synthetic_male: Path) -> None:
    """SKEL's translation is that of the pelvis from its place at rest; the open body has it at zero, SKEL has not."""
    body = load_body(synthetic_male / "skel_male.pkl", "male")
    assert np.abs(body.rest(np.zeros(10)).joints_m[0]).max() > 0.001
    motion = replace(waved(clip.truth), body=body.name, betas=np.zeros(10))
    there = rotate_motion(motion, body, SKEL_TO_WORLD, frame="world")
    wanted = pose_of(body, motion).positions_m.numpy() @ SKEL_TO_WORLD.T
    np.testing.assert_allclose(pose_of(body, there).positions_m.numpy(), wanted, atol=1e-6)  # its file holds float32


def test_a_full_turn_is_continuous(clip, open_body: Body) -> None:
    angles = np.linspace(0, 2 * np.pi, 60)
    spun = rotate_motion(clip.truth, open_body, Rotation.from_rotvec(np.outer(angles, [0, 1, 0])).as_matrix(), frame="skel")
    assert np.abs(np.diff(spun.poses_rad[:, :3], axis=0)).max() < 0.3
    travelled = spun.poses_rad[-1, :3] - spun.poses_rad[0, :3]
    assert np.abs(travelled).max() == pytest.approx(2 * np.pi, abs=1e-6)
    np.testing.assert_allclose(
        pose_of(open_body, spun).positions_m.numpy()[-1], pose_of(open_body, clip.truth).positions_m.numpy()[-1], atol=1e-9
    )


def test_the_nearer_branch_is_taken(open_body: Body) -> None:
    smooth = np.stack([np.linspace(0, 4, 50), np.linspace(0.2, 2.6, 50), np.linspace(-1, 1, 50)], axis=1)
    jumping = np.array(smooth)
    jumping[20:] = jumping[20:] * [1, -1, 1] + np.pi
    jumping[30:, 0] -= 2 * np.pi
    np.testing.assert_allclose(near_branch(jumping), smooth, atol=1e-12)


def test_pelvis_angles_have_their_names(open_body: Body) -> None:
    """Near branches are those of the root's three angles, which come first."""
    assert DOF_NAMES[:3] == ("pelvis_tilt", "pelvis_list", "pelvis_rotation")


# ---------------------------------------------------------------------- rules


def swayed(motion: SkelMotion, axis: int) -> SkelMotion:
    """The motion with a sway of 0.3 m once a second, like a fit that does not show depth."""
    way = np.outer(0.3 * np.sin(2 * np.pi * np.asarray(motion.time_s)), np.eye(3)[axis])
    return replace(motion, trans_m=motion.trans_m + way)


def test_at_first_speed_towards_the_camera_counts_less(clip, open_body: Body) -> None:
    """Feet that drift in depth only are in contact and held; feet that move as fast across the image are not."""
    wandering, crossing = (to_world(swayed(clip.truth, axis), open_body) for axis in (2, 0))
    assert wandering.ground.standing_share > 0.95
    assert np.median(foot_speed(open_body, wandering)) < 0.05
    assert crossing.ground.standing_share < 0.4


@pytest.mark.parametrize(("speed_m_s", "share"), [(0.27, 1.0), (0.43, 0.0)])
def test_a_foot_stands_below_035_metres_a_second(clip, open_body: Body, speed_m_s: float, share: float) -> None:
    world = to_world(belt(clip.truth, speed_m_s), open_body, GroundOptions(treadmill=True))
    assert world.ground.standing_share == pytest.approx(share, abs=0.1)


def test_a_foot_stands_within_six_centimetres_of_the_floor(clip, open_body: Body) -> None:
    """The right foot is lifted with its hip: 3 cm are still contact, 10 cm are not; the left foot stands all the time."""
    rest = np.array(clip.truth.poses_rad[:1]).repeat(60, axis=0)
    for bend, stands in ((0.25, True), (0.45, False)):
        poses = rest.copy()
        for name, factor in (("hip_flexion_r", 1.0), ("knee_angle_r", 2.0), ("ankle_angle_r", 1.0)):
            poses[:, DOF_NAMES.index(name)] += factor * bend
        lifted = to_world(replace(clip.truth, poses_rad=poses, trans_m=clip.truth.trans_m[:1].repeat(60, axis=0)), open_body)
        assert (lifted.contacts[:, :2].max(axis=1) > 0.5).mean() == pytest.approx(float(stands), abs=0.1), bend
        assert (lifted.contacts[:, 2:].max(axis=1) > 0.5).all(), "left heel and toes are the last two"


def test_sideways_walking_is_along_x(clip, open_body: Body) -> None:
    """The heading is the walking direction; without walking it is the direction of the pelvis at the start."""
    walked = to_world(belt(clip.truth, 0.8), open_body, GroundOptions(treadmill=True))
    way = walked.trans_m[-1] - walked.trans_m[0]
    assert way[0] > 1.3 and abs(way[2]) < 0.02
    for slow in (0.3, 0.0):
        stayed = to_world(belt(clip.truth, slow), open_body, GroundOptions(treadmill=True))
        ahead = pose_of(open_body, stayed).rotations[0, 0, :, 0].numpy()
        assert ahead[0] > 0.95 and abs(ahead[2]) < 1e-6


def test_the_camera_is_found_on_the_side_where_it_stood(clip, open_body: Body) -> None:
    """The notes' rotation is a rotation, up in the world is up in the picture, and depth is positive."""
    tilt = Rotation.from_rotvec([clip.pitch_rad, 0, 0]).as_matrix()
    camera = np.diag([1.0, -1.0, -1.0]) @ tilt
    seen = rotate_motion(clip.truth, open_body, camera, frame="camera", shift_m=-camera @ [0.1, 1.3, 4.0])
    seen = replace(seen, camera=clip.observation.camera)
    options = GroundOptions(camera_pitch_rad=clip.pitch_rad, camera_roll_rad=0.0)
    world = to_world(seen, open_body, options)
    rotation, shift = world.ground.R_camera_world, world.ground.t_camera_world_m
    assert np.linalg.det(rotation) == pytest.approx(1)
    np.testing.assert_allclose(rotation[:, 1], camera[:, 1], atol=1e-6)
    before, after = (pose_of(open_body, motion).positions_m.numpy() for motion in (seen, world))
    np.testing.assert_allclose((after @ rotation.T + shift)[:10], before[:10], atol=0.06)
    place = -rotation.T @ shift
    assert place[1] == pytest.approx(1.3, abs=0.03), "the camera's own height"
    assert place[0] == pytest.approx(4 * np.cos(0.5), abs=0.35), "in front of somebody who is turned by half a radian"
    assert place[2] == pytest.approx(4 * np.sin(0.5), abs=0.35)


def test_two_frames_are_too_few_for_speeds_but_show_that_somebody_stands(clip, open_body: Body) -> None:
    two = {name: getattr(clip.truth, name)[:2] for name in ("time_s", "poses_rad", "trans_m")}
    np.testing.assert_allclose(to_world(replace(clip.truth, **two), open_body).contacts, 0.89, atol=0.015)

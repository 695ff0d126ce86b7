"""Contacts by posture and motion: who stands, what is no floor, and world terms that yield to the picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hsmr_bio.body import Body
from hsmr_bio.body.placing import rotate_motion
from hsmr_bio.fitting.core.body_points import MassPoints, SolePoints
from hsmr_bio.fitting.core.problem import FLIP, Problem, State, View
from hsmr_bio.fitting.video.camera_fit import CameraFit
from hsmr_bio.fitting.world.contacts import FootContacts, contacts
from hsmr_bio.fitting.world.evidence import WorldEvidence, image_distance, trust
from hsmr_bio.fitting.world.gravity import UpAxis, find_tilt
from hsmr_bio.fitting.world.ground import to_world
from hsmr_bio.fitting.world.options import GroundOptions
from hsmr_bio.fitting.world.support import Posture
from hsmr_bio.skeleton import DOF_NAMES
from hsmr_bio.types import Camera, SkelMotion

ARMS_DOWN = {"shoulder_r_x": 80, "shoulder_l_x": -80}
ARMS_UP = {"shoulder_r_x": -78, "shoulder_l_x": 78}
POSTURES = {
    "stands": (ARMS_DOWN, 0),
    "raises the arms": (ARMS_UP, 0),
    "tree": (
        {**ARMS_DOWN, "hip_flexion_r": 40, "hip_adduction_r": -42, "hip_rotation_r": -40, "knee_angle_r": 115},
        0,
    ),
    "one foot on a box": ({**ARMS_DOWN, "hip_flexion_r": 62, "knee_angle_r": 75, "ankle_angle_r": 12}, 0),
    "lies on the back": (ARMS_DOWN, 90),
    "sit-up": (
        {**ARMS_DOWN, **dict.fromkeys(("hip_flexion_r", "hip_flexion_l"), 75), "knee_angle_r": 80, "knee_angle_l": 80},
        40,
    ),
    "sits on the floor": ({**ARMS_DOWN, **dict.fromkeys(("hip_flexion_r", "hip_flexion_l"), 85)}, 0),
    "folds forward": ({**ARMS_DOWN, **dict.fromkeys(("hip_flexion_r", "hip_flexion_l"), 125)}, -40),
    "kneels": ({**ARMS_DOWN, "knee_angle_r": 90, "knee_angle_l": 90, "ankle_angle_r": -40, "ankle_angle_l": -40}, 0),
    "handstand": (ARMS_UP, 180),
    "hangs": ({**ARMS_UP, "ankle_angle_r": -30, "ankle_angle_l": -30}, 0),
    "sits on a chair": (
        {**ARMS_DOWN, **dict.fromkeys(("hip_flexion_r", "hip_flexion_l", "knee_angle_r", "knee_angle_l"), 88)},
        0,
    ),
}
"""Angles in degrees, and the pelvis's turn backwards."""
LENS = Camera(image_size_px=(1000, 1000), focal_px=900.0, center_px=(500.0, 500.0), source="calibration")


def angles_of(name: str) -> np.ndarray:
    """(46,) of a posture."""
    angles, tilt = POSTURES[name]
    q = np.zeros(46)
    for dof, degrees in angles.items():
        q[DOF_NAMES.index(dof)] = np.radians(degrees)
    q[0] = np.radians(tilt)
    return q


def motion_of(body: Body, poses: np.ndarray, turn_rad: float = np.pi / 2) -> SkelMotion:
    """A motion at 30 Hz in level axes, seen from the side unless ``turn_rad`` says otherwise."""
    motion = SkelMotion(
        time_s=np.arange(len(poses)) / 30,
        poses_rad=poses,
        trans_m=np.zeros((len(poses), 3)),
        betas=np.zeros(10),
        body=body.name,
        frame="skel",
    )
    about = Rotation.from_rotvec([0, turn_rad, 0]).as_matrix()
    return rotate_motion(motion, body, about, frame="skel", shift_m=[0.0, 0.0, -4.0])


def filmed(body: Body, level: SkelMotion, pitch_rad: float = 0.0) -> SkelMotion:
    """The same in the axes of a camera."""
    camera = FLIP.numpy() @ Rotation.from_rotvec([pitch_rad, 0, 0]).as_matrix()
    return replace(rotate_motion(level, body, camera, frame="camera"), camera=LENS)


def view_of(body: Body, level: SkelMotion) -> View:
    state = State(torch.as_tensor(level.q), np.array(level.betas), np.zeros(2), 0.0, 1000.0)
    return Problem(body, {"soles": SolePoints(body), "masses": MassPoints(body)}, []).view(state)


def feet_of(body: Body, level: SkelMotion, **more) -> FootContacts:
    """Contacts with a vertical known to 10 and 6 degrees."""
    sigma = float(np.radians(10)), float(np.radians(6))
    return contacts(Posture.of(view_of(body, level)), level.time_s, sigma, first=False, **more)


@pytest.mark.parametrize("frames", [1, 2])
@pytest.mark.parametrize(
    ("name", "standing"),
    [
        ("stands", "rl"),
        ("raises the arms", "rl"),
        ("tree", "l"),
        ("one foot on a box", "l"),
        *((name, "") for name in list(POSTURES)[4:]),
    ],
)
def test_a_picture_shows_contacts_by_its_posture_alone(open_body: Body, name: str, standing: str, frames: int) -> None:
    feet = feet_of(open_body, motion_of(open_body, np.tile(angles_of(name), (frames, 1)))).standing
    for side, points in (("r", slice(0, 4)), ("l", slice(4, 8))):
        if side in standing:
            assert feet[:, points].min() > 0.7, side
        else:
            assert feet[:, points].max() < 0.3, side


@pytest.mark.parametrize("name", ["lies on the back", "sit-up", "folds forward", "handstand", "hangs"])
def test_without_a_foot_that_stands_there_is_no_floor(open_body: Body, name: str) -> None:
    """The posture stays, the camera stays level, and height 0 is that of the lowest skin."""
    seen = filmed(open_body, motion_of(open_body, angles_of(name)[None]))
    world = to_world(seen, open_body)
    ground = world.ground
    assert ground is not None and not ground.floor and ground.standing_share == 0
    assert abs(np.degrees(ground.camera_roll_rad)) < 3
    assert np.abs(np.degrees(world.poses_rad[:, 3:] - seen.poses_rad[:, 3:])).max() < 1
    lowest = open_body.skin(world.poses_rad, world.betas, world.trans_m).numpy()[..., 1].min()
    assert lowest == pytest.approx(0, abs=0.07)
    assert world.contacts is not None and world.contacts.max() < 0.5


def test_who_stands_has_a_floor(open_body: Body) -> None:
    world = to_world(filmed(open_body, motion_of(open_body, angles_of("stands")[None])), open_body)
    assert world.ground is not None and world.ground.floor and world.ground.standing_share == 1


def test_one_foot_on_a_box_in_a_picture_leaves_the_other_on_the_floor(open_body: Body) -> None:
    seen = filmed(open_body, motion_of(open_body, angles_of("one foot on a box")[None]))
    world = to_world(seen, open_body)
    assert world.ground is not None and world.ground.floor
    assert world.contacts is not None
    assert world.contacts[0, :2].max() < 0.15 and world.contacts[0, 2:].min() > 0.7
    assert np.abs(np.degrees(world.poses_rad[:, 3:] - seen.poses_rad[:, 3:])).max() < 3


def test_somebody_on_a_chair_touches_the_floor_but_is_not_carried_by_the_feet(open_body: Body) -> None:
    sitting = motion_of(open_body, np.tile(angles_of("sits on a chair"), (40, 1)))
    feet = feet_of(open_body, sitting)
    assert feet.standing.min() > 0.5
    assert feet.carried.max() < 0.1
    assert feet_of(open_body, motion_of(open_body, np.tile(angles_of("stands"), (40, 1)))).carried.min() > 0.9


def test_a_foot_on_a_box_rests_without_the_height_of_the_floor(open_body: Body) -> None:
    q = np.tile(angles_of("stands"), (60, 1))
    phase = np.clip(np.arange(60) / 15, 0, 1)  # up in half a second, then it rests
    for name, degrees in (("hip_flexion_r", 60), ("knee_angle_r", 70), ("ankle_angle_r", 10)):
        q[:, DOF_NAMES.index(name)] = phase * np.radians(degrees)
    feet = feet_of(open_body, motion_of(open_body, q))
    assert feet.standing[25:, :4].max() < 0.05 and feet.resting[30:, :4].min() > 0.9
    assert feet.resting[5:10, :4].max() < 0.3, "on its way up"
    assert feet.standing[:, 4:].min() > 0.9
    assert feet.carried[30:].max() < 0.1, "the foot on the box may carry the body as well"


def test_a_walking_body_is_carried_ahead_of_its_feet(open_body: Body) -> None:
    """A centre of mass 0.45 m in front of the toes: with 1.4 m/s the next step catches it, at rest it falls."""
    still = motion_of(open_body, np.tile(angles_of("stands"), (30, 1)))
    posture = Posture.of(view_of(open_body, still))
    toes = posture.soles_m[..., 0].max()
    centre = posture.centre_m + np.outer(np.full(30, toes + 0.45 - posture.centre_m[0, 0]), [1.0, 0.0, 0.0])
    way = np.outer(1.4 * (still.time_s - still.time_s[15]), [1.0, 0.0, 0.0])
    sigma, touching = (0.17, 0.1), np.ones((30, 8))
    assert replace(posture, centre_m=centre).carried(still.time_s, touching, sigma)[15] < 0.1
    walking = replace(posture, centre_m=centre + way, soles_m=posture.soles_m + way[:, None])
    assert walking.carried(still.time_s, touching, sigma)[15] > 0.9


def test_evidence_of_others_multiplies_the_odds(open_body: Body) -> None:
    still = motion_of(open_body, np.tile(angles_of("stands"), (5, 1)))
    ours = feet_of(open_body, still).standing
    others = np.full((5, 4), 0.5)
    others[:, 1], others[:, 2] = np.nan, 0.001
    feet = feet_of(open_body, still, contact_probability=others).standing
    np.testing.assert_allclose(feet[:, [0, 1, 2, 3, 5]], ours[:, [0, 1, 2, 3, 5]])
    assert feet[:, 4].max() < 0.2, "the left heel"
    lying = motion_of(open_body, np.tile(angles_of("sits on a chair"), (1, 1)))
    sure = feet_of(open_body, lying, contact_probability=np.full((1, 4), 0.999)).standing
    assert sure.max() < 0.5, "feet that touch do not carry"


def test_another_vertical_is_one_more_axis(open_body: Body) -> None:
    """With no posture that shows it: the mean of prior (6, 14) and evidence (20, 5) degrees, and no roll by a lying body."""
    view = view_of(open_body, motion_of(open_body, angles_of("lies on the back")[None]))
    up = UpAxis(np.array([0.0, np.cos(np.radians(20)), np.sin(np.radians(20))]), float(np.radians(5)))
    tilt, _ = find_tilt(view, np.zeros((1, 8)), np.zeros(1), GroundOptions(), camera_known=True, up=up)
    wanted = (6 / 14**2 + 20 / 5**2) / (1 / 14**2 + 1 / 5**2)
    assert np.degrees(tilt) == pytest.approx([wanted, 0], abs=0.3)
    seen = filmed(open_body, motion_of(open_body, angles_of("lies on the back")[None]), float(np.radians(20)))
    ground = to_world(seen, open_body, evidence=WorldEvidence(up=replace(up, sigma_rad=0.01))).ground
    assert ground is not None
    assert np.degrees([ground.camera_pitch_rad, ground.camera_roll_rad]) == pytest.approx([20, 0], abs=0.5)


def test_trust_falls_with_the_distance_from_the_picture() -> None:
    np.testing.assert_allclose(trust(np.array([0.1, 0.1, 0.1]), np.array([0.05, 0.1, 0.12])), [1.0, 1.0, 0.5])


def test_world_terms_that_contradict_the_picture_lose(camera_fit: CameraFit, open_body: Body) -> None:
    """Somebody says that both feet stood while the right one was held up 0.3 m."""
    clip = camera_fit.clip
    assert clip is not None
    raised = np.array(camera_fit.level.poses_rad)
    raised[:, DOF_NAMES.index("hip_flexion_r")] += 0.9
    raised[:, DOF_NAMES.index("knee_angle_r")] += 1.2
    level = replace(camera_fit.level, poses_rad=raised)
    focal_px, center_px = camera_fit.camera.focal_px, camera_fit.camera.center_px
    state = State(torch.as_tensor(level.q), np.array(level.betas), np.zeros(2), 0.0, focal_px, camera_fit.offsets_m)

    def pixels(motion: SkelMotion, rotation: np.ndarray, shift_m: np.ndarray) -> np.ndarray:
        points = clip.landmarks(motion.betas, camera_fit.offsets_m)
        at = open_body.tree(motion.betas).forward(motion.q).points(points.bodies, points.local_m).numpy()
        camera = at @ rotation.T + shift_m
        return focal_px * camera[..., :2] / camera[..., 2:] + center_px

    drawn = pixels(level, FLIP.numpy(), np.zeros(3))
    seen = clip.observation.seen
    observation = replace(clip.observation, keypoints_px=np.where(seen[:, None, None], drawn, np.nan))
    fit = replace(camera_fit, level=level, clip=replace(clip, observation=observation))
    view = Problem(open_body, {"landmarks": clip.landmarks}, []).view(state)
    assert image_distance(fit.clip, state, view).max() < 1e-9
    shifted = replace(fit.clip, observation=replace(observation, keypoints_px=observation.keypoints_px + np.array([0.0, 30.0])))
    corners = [
        drawn[seen][:, [clip.landmarks.names.index(f"{side}_{name}") for side in ("left", "right")]]
        for name in ("shoulder", "hip")
    ]
    lines = np.linalg.norm(corners[0][:, :, None] - corners[1][:, None], axis=-1)
    apart = image_distance(shifted, state, view)
    np.testing.assert_allclose(apart[seen], 30 / np.median(lines.max(axis=(1, 2))))
    assert apart[~seen].max() == 0
    world = to_world(fit, open_body, evidence=WorldEvidence(contact_probability=np.full((60, 4), 1.0)))
    off_px = np.linalg.norm(pixels(world, world.ground.R_camera_world, world.ground.t_camera_world_m) - drawn, axis=2)
    plain = to_world(fit, open_body)
    free_px = np.linalg.norm(pixels(plain, plain.ground.R_camera_world, plain.ground.t_camera_world_m) - drawn, axis=2)
    assert off_px[seen].mean() < free_px[seen].mean() + 1.4, "1.7 without the guard"

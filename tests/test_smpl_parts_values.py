"""Rotations of SMPL's parts from joints that were placed by known rotations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hsmr_bio.fitting.smpl.parts import parts_from_joints

T_POSE = np.array(
    [
        *((0, 1.00, 0), (0.1, 0.95, 0), (-0.1, 0.95, 0), (0, 1.10, 0)),  # pelvis, hips, spine
        *((0.1, 0.50, 0), (-0.1, 0.50, 0), (0, 1.25, 0)),  # knees, spine
        *((0.1, 0.10, 0), (-0.1, 0.10, 0), (0, 1.30, 0)),  # ankles, chest
        *((0.1, 0.055, 0.089), (-0.1, 0.055, 0.089), (0, 1.50, 0)),  # balls of the feet, neck
        *((0.08, 1.42, 0), (-0.08, 1.42, 0), (0, 1.60, 0)),  # collars, head
        *((0.2, 1.45, 0), (-0.2, 1.45, 0), (0.45, 1.45, 0), (-0.45, 1.45, 0)),  # shoulders, elbows
        *((0.7, 1.45, 0), (-0.7, 1.45, 0), (0.8, 1.45, 0), (-0.8, 1.45, 0)),  # wrists, hands
    ]
)
LEG_L, LEG_R = (4, 7, 10), (5, 8, 11)
ARM_L, ARM_R = (18, 20, 22), (19, 21, 23)


def about(axis: str, angle_rad: float) -> np.ndarray:
    return np.asarray(Rotation.from_euler(axis, angle_rad).as_matrix())


def turned(joints: np.ndarray, moved: Sequence[int], centre: int, rotation: np.ndarray) -> np.ndarray:
    """Some joints rotated about another one."""
    out = joints.copy()
    out[list(moved)] = (out[list(moved)] - joints[centre]) @ rotation.T + joints[centre]
    return out


def parts(joints: np.ndarray) -> np.ndarray:
    return parts_from_joints(joints[None])[0]


def test_the_t_pose_is_the_identity_and_a_turned_body_turns_every_part() -> None:
    np.testing.assert_allclose(parts(T_POSE), np.tile(np.eye(3), (24, 1, 1)), atol=5e-3)
    whole = Rotation.from_rotvec([0.4, -1.1, 0.3]).as_matrix()
    np.testing.assert_allclose(parts(T_POSE @ whole.T), np.tile(whole, (24, 1, 1)), atol=5e-3)


@pytest.mark.parametrize(("hip", "leg"), [(1, LEG_L), (2, LEG_R)])
def test_a_bent_knee_shows_how_the_leg_is_turned(hip: int, leg: tuple[int, ...]) -> None:
    """The shank goes back by a radian, then the whole leg turns outwards: thigh and shank turn with it."""
    knee, ankle, foot = leg
    bent = turned(T_POSE, leg[1:], knee, about("x", 1.0))
    found = parts(turned(bent, leg, hip, about("y", 0.4)))
    np.testing.assert_allclose(found[hip], about("y", 0.4), atol=1e-9)
    for part in (knee, ankle, foot):
        np.testing.assert_allclose(found[part], about("y", 0.4) @ about("x", 1.0), atol=5e-3)
    other = 3 - hip
    np.testing.assert_allclose(found[other], np.eye(3), atol=1e-9)


def test_a_straight_leg_keeps_the_pelvis_turn_and_takes_over_with_the_bend() -> None:
    """Up to a sine of 0.15 the bend says nothing, from 0.35 on everything; in the middle both count alike."""
    for sine, share in ((0.14, 0.0), (0.25, 0.5), (0.36, 1.0)):
        bent = turned(T_POSE, LEG_L[1:], 4, about("x", np.arcsin(sine)))
        found = parts(turned(bent, LEG_L, 1, about("y", 0.4)))
        np.testing.assert_allclose(found[1], about("y", share * 0.4), atol=1e-9, err_msg=str(sine))
    straight = parts(turned(T_POSE, (*LEG_L,), 1, about("x", -0.8)))
    np.testing.assert_allclose(straight[1], about("x", -0.8), atol=1e-9)


@pytest.mark.parametrize(("side", "shoulder", "arm"), [(1.0, 16, ARM_L), (-1.0, 17, ARM_R)])
def test_a_bent_elbow_shows_how_the_arm_is_turned(side: float, shoulder: int, arm: tuple[int, ...]) -> None:
    """The forearm goes forwards by a radian, then the arm rolls about its long axis."""
    elbow, wrist, hand = arm
    bend, roll = about("y", -side * 1.0), about("x", 0.5)
    found = parts(turned(turned(T_POSE, arm[1:], elbow, bend), arm, shoulder, roll))
    np.testing.assert_allclose(found[shoulder], roll, atol=1e-9)
    for part in (elbow, wrist, hand):
        np.testing.assert_allclose(found[part], roll @ bend, atol=1e-9)
    bent_hand = parts(turned(T_POSE, (hand,), wrist, about("z", 0.3)))
    np.testing.assert_allclose(bent_hand[wrist], about("z", 0.3), atol=1e-9)
    np.testing.assert_allclose(bent_hand[hand], about("z", 0.3), atol=1e-9)
    np.testing.assert_allclose(bent_hand[elbow], np.eye(3), atol=1e-9)
    straight = parts(turned(T_POSE, arm, shoulder, about("z", -side * 0.9)))
    np.testing.assert_allclose(straight[shoulder], about("z", -side * 0.9), atol=1e-9)


def test_the_spine_shares_the_turn_of_the_chest_and_the_head_leans_on_it() -> None:
    upper = [*range(12, 24), 9]
    found = parts(turned(T_POSE, upper, 0, about("y", 0.9)))
    for part, angle in ((0, 0.0), (3, 0.3), (6, 0.6), (9, 0.9), (12, 0.9), (13, 0.9), (14, 0.9), (15, 0.9)):
        np.testing.assert_allclose(found[part], about("y", angle), atol=1e-9, err_msg=str(part))
    nodding = parts(turned(turned(T_POSE, [15], 12, about("x", 0.4)), upper, 0, about("y", 0.9)))
    np.testing.assert_allclose(nodding[15], about("y", 0.9) @ about("x", 0.4), atol=1e-9)
    np.testing.assert_allclose(nodding[9], about("y", 0.9), atol=1e-9)
    listing = parts(turned(T_POSE, [1, 2, *LEG_L, *LEG_R], 0, about("z", 0.2)))
    assert np.degrees(Rotation.from_matrix(listing[0]).as_rotvec()[2]) == pytest.approx(np.degrees(0.2), abs=0.01)


def test_a_raised_foot_turns_ankle_and_ball() -> None:
    found = parts(turned(T_POSE, (10,), 7, about("x", -0.3)))
    for part in (7, 10):
        np.testing.assert_allclose(found[part], about("x", -0.3), atol=5e-3)
    np.testing.assert_allclose(found[4], np.eye(3), atol=1e-9)


def test_a_hand_in_the_wrist_and_a_limb_without_length_give_no_nan() -> None:
    joints = T_POSE.copy()
    joints[22], joints[10] = joints[20], joints[7]
    joints[[5, 8, 11]] = joints[2]
    assert np.isfinite(parts(joints)).all()

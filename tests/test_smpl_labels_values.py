"""Which fits are no training labels: each reason from its own threshold on."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hsmr_bio.converters.smpl_labels import forearm_twist_rad, knee_error_rad, limit_excess, mirrored, rejections
from hsmr_bio.skeleton import DOF_NAMES, LIMITS_RAD


def people(count: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Poses in the middle of their limits, small errors, SMPL at rest."""
    poses = np.zeros((count, 46))
    poses[:, 3:] = LIMITS_RAD[3:].mean(axis=1)
    return poses, np.full(count, 0.03), np.tile(np.eye(3), (count, 24, 1, 1))


def turned(joint: int, *vectors_deg: tuple[float, float, float]) -> np.ndarray:
    rotations = people(len(vectors_deg))[2]
    rotations[:, joint] = Rotation.from_rotvec(np.radians(vectors_deg)).as_matrix()
    return rotations


def test_a_sound_fit_has_no_reason_against_it() -> None:
    assert rejections(*people(3)) == [[], [], []]


def test_vertices_more_than_six_centimetres_off_are_too_far() -> None:
    poses, _, rotations = people(3)
    assert rejections(poses, np.array([0.059, 0.061, np.nan]), rotations) == [[], ["skin too far"], ["skin too far"]]


@pytest.mark.parametrize(("elbow", "wrist", "side"), [(18, 20, 0), (19, 21, 1)])
def test_a_forearm_is_twisted_beyond_120_degrees(elbow: int, wrist: int, side: int) -> None:
    poses, errors, _ = people(3)
    for joint in (elbow, wrist):
        rotations = turned(joint, (119, 0, 0), (-121, 0, 0), (0, 150, 0))
        assert rejections(poses, errors, rotations) == [[], ["forearm twisted"], []]
        assert np.degrees(forearm_twist_rad(rotations))[:, side] == pytest.approx([119, 121, 0], abs=1e-6)
    both = turned(elbow, (100, 0, 0), (100, 0, 0), (170, 0, 0))
    both[:, wrist] = turned(wrist, (30, 0, 0), (-30, 0, 0), (170, 0, 0))[:, wrist]
    assert np.degrees(forearm_twist_rad(both))[:, side] == pytest.approx([130, 70, 20]), "340 degrees are 20 the other way"


@pytest.mark.parametrize(("knee", "side"), [(4, 0), (5, 1)])
def test_knees_bend_neither_forwards_nor_sidewards(knee: int, side: int) -> None:
    poses, errors, _ = people(5)
    rotations = turned(knee, (-19, 0, 0), (-21, 0, 0), (130, 0, 0), (0, 0, 21), (0, 0, -19))
    assert rejections(poses, errors, rotations) == [[], ["knee bent the wrong way"], [], ["knee bent the wrong way"], []]
    assert np.degrees(knee_error_rad(rotations))[:, side] == pytest.approx([19, 21, 0, 21, 19], abs=1e-6)
    assert (knee_error_rad(rotations)[:, 1 - side] == 0).all()


@pytest.mark.parametrize("end", [0, 1])
def test_scapulas_at_their_bounds_and_angles_beyond_their_limits(end: int) -> None:
    poses, errors, rotations = people(4)
    inward = (1, -1)[end]
    for column, past in ((0, 1.1), (1, 0.9)):
        poses[column, DOF_NAMES.index("scapula_abduction_l")] = LIMITS_RAD[
            DOF_NAMES.index("scapula_abduction_l"), end
        ] + inward * np.radians(past)
    for row, past in ((2, 9), (3, 11)):
        poses[row, DOF_NAMES.index("elbow_flexion_r")] = LIMITS_RAD[
            DOF_NAMES.index("elbow_flexion_r"), end
        ] - inward * np.radians(past)
    assert rejections(poses, errors, rotations) == [[], ["scapula at its bound"], [], ["beyond limits"]]


def test_the_mirrored_person_turns_the_other_sides_joints_the_other_way() -> None:
    rotations = turned(16, (10, 20, 30))
    found = Rotation.from_matrix(mirrored(rotations)[0]).as_rotvec(degrees=True)
    np.testing.assert_allclose(found[17], [10, -20, -30], atol=1e-9)
    np.testing.assert_allclose(np.delete(found, 17, axis=0), 0, atol=1e-9)


def test_an_excess_is_measured_beyond_either_limit() -> None:
    poses = people(3)[0]
    column = DOF_NAMES.index("elbow_flexion_r")
    poses[0, column], poses[1, column] = LIMITS_RAD[column, 0] - 0.2, LIMITS_RAD[column, 1] + 0.3
    found = limit_excess(poses)
    assert found[:, column] == pytest.approx([0.2, 0.3, 0])
    assert np.delete(found, column, axis=1).max() == 0

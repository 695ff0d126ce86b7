"""A joint's frame is found from poses that the joint itself made."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hsmr_bio.kinematics.functions import Linear, Polynomial
from hsmr_bio.kinematics.tree import Joint
from hsmr_bio.osim.joint_fit import JointFit, Targets

SIZE = 1.3
REST = [0.3]
AT_REST = np.array([0.02, -0.4, 0.01])


@pytest.fixture(scope="module")
def fit() -> JointFit:
    """A hinge about z whose origin slides as it bends: forwards by half a millimetre a degree, and down by its square."""
    joint = Joint(
        name="knee",
        body="tibia",
        parent=0,
        parent_rotation=torch.eye(3).double(),
        parent_translation_m=torch.zeros(3).double(),
        child_rotation=torch.tensor(Rotation.from_rotvec([0.05, 0.1, 0.0]).as_matrix()),
        child_translation_m=torch.zeros(3).double(),
        rotations=(((0.0, 0.0, 1.0), Linear(0)),),
        translations=(((1.0, 0.0, 0.0), Polynomial(0, (0.03, 0.0))), ((0.0, 1.0, 0.0), Polynomial(0, (-0.01, 0.0, 0.0)))),
    )
    turned = Rotation.from_rotvec([0.0, 0.2, 0.3]).as_matrix()
    return JointFit(joint, SIZE, REST, AT_REST, turned, np.array([[-0.5, 2.0]]))


def posed(fit: JointFit, turn: np.ndarray, angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Origins and rotations of the child at some angles, written out once more."""
    placed = fit.rotated(turn)
    slide = SIZE * np.stack([0.03 * angles, -0.01 * angles**2, 0 * angles], axis=1)
    rotations = placed.fixed @ Rotation.from_rotvec(angles[:, None] * [0, 0, 1]).as_matrix() @ placed.moving.T
    return placed.origin_m + slide @ placed.fixed.T, rotations


def test_the_rest_pose_is_met_whatever_the_frame(fit: JointFit) -> None:
    for turn in (np.zeros(3), np.array([0.3, -0.2, 0.5])):
        origins, rotations = posed(fit, turn, np.array(REST))
        np.testing.assert_allclose(origins[0], AT_REST, atol=1e-12)
        np.testing.assert_allclose(rotations[0], fit.rest_rotation, atol=1e-12)


def test_a_turned_frame_is_found_again(fit: JointFit) -> None:
    turn = np.array([0.12, -0.08, 0.0])
    origins, rotations = posed(fit, turn, np.linspace(0.0, 1.8, 9))
    wanted = Targets(
        origins_m=origins,
        rotations=rotations,
        points_m=np.array([[0.0, -0.4, 0.0]]),
        origin_sd_m=0.001,
        rotation_sd_rad=0.01,
        point_sd_m=0.001,
    )
    found, truth = fit.fit(wanted, turn_sd_rad=10.0, iterations=30), fit.rotated(turn)
    for name in ("fixed", "origin_m", "moving"):
        np.testing.assert_allclose(getattr(found, name), getattr(truth, name), atol=2e-4, err_msg=name)
    start = fit.rotated(np.zeros(3))
    assert np.abs(start.moving - truth.moving).max() > 0.05

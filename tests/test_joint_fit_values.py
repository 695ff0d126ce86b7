"""A joint's frame is found from poses that the joint itself made."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares
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


def test_the_fit_has_the_least_weighted_error(fit: JointFit) -> None:
    """Against a general solver: noise, a prior that holds the frame back, and two poses beyond the range of -0.5 to 2."""
    rng = np.random.default_rng(5)
    angles = np.array([-0.8, 0.0, 0.4, 0.9, 1.5, 2.4])
    origins, rotations = posed(fit, np.array([0.2, -0.15, 0.1]), angles)
    origins = origins + rng.normal(size=origins.shape) * 0.004
    rotations = Rotation.from_rotvec(rng.normal(size=(6, 3)) * 0.03).as_matrix() @ rotations
    points, turn_sd = np.array([[0.0, -0.4, 0.05], [0.03, 0.1, 0.0]]), 0.08
    wanted = Targets(
        origins_m=origins, rotations=rotations, points_m=points, origin_sd_m=0.005, rotation_sd_rad=0.04, point_sd_m=0.02
    )

    def errors(x: np.ndarray) -> np.ndarray:
        placed, turned = posed(fit, x[-3:], x[:-3])
        parts = [
            (placed - origins) / 0.005,
            Rotation.from_matrix(turned @ rotations.transpose(0, 2, 1)).as_rotvec() / 0.04,
            (np.maximum(x[:-3] - 2.0, 0) + np.maximum(-0.5 - x[:-3], 0)) / 0.05,
            *((placed + turned @ point - origins - rotations @ point) / 0.02 for point in points),
            np.sqrt(6) * x[-3:] / turn_sd,
        ]
        return np.concatenate([np.ravel(part) for part in parts])

    best = least_squares(errors, np.concatenate([angles, np.zeros(3)]), xtol=1e-14, ftol=1e-14, gtol=1e-14)
    found = fit.fit(wanted, turn_sd_rad=turn_sd, iterations=40)
    truth = fit.rotated(best.x[-3:])
    for name in ("fixed", "origin_m", "moving"):
        np.testing.assert_allclose(getattr(found, name), getattr(truth, name), atol=2e-6, err_msg=name)

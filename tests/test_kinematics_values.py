"""Rotations and joint functions against known points, so that a mistake that two inverses share is seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hsmr_bio.kinematics import functions as f
from hsmr_bio.kinematics import rotations as r
from hsmr_bio.kinematics.tree import Joint, Tree
from hsmr_bio.kinematics.tree_fit import Bounds

X, Y, Z = torch.eye(3).double()
VECTORS = torch.tensor(np.random.default_rng(0).normal(size=(40, 3)) * 1.2)


def test_a_quarter_turn_about_each_axis_turns_right_handed() -> None:
    for axis, before, after in ((X, Y, Z), (Y, Z, X), (Z, X, Y)):
        for turn in (r.exp(np.pi / 2 * axis), r.about_axis(axis, torch.tensor(np.pi / 2).double())):
            torch.testing.assert_close(turn @ before, after)
            torch.testing.assert_close(turn @ after, -before)
    torch.testing.assert_close(r.skew(X) @ Y, Z)


def test_rotations_are_those_of_scipy() -> None:
    turns = Rotation.from_rotvec(VECTORS.numpy())
    matrices = torch.tensor(turns.as_matrix())
    torch.testing.assert_close(r.exp(VECTORS), matrices)
    torch.testing.assert_close(r.log(matrices), torch.tensor(turns.as_rotvec()))
    w_last = turns.as_quat(canonical=True)
    torch.testing.assert_close(r.matrix_to_quaternion(matrices), torch.tensor(w_last[:, [3, 0, 1, 2]]))
    angles = torch.tensor(turns.as_euler("XYZ"))  # about moving axes
    torch.testing.assert_close(r.to_xyz(matrices), angles)
    about_x, about_y, about_z = (r.about_axis(axis, angles[:, k]) for k, axis in enumerate((X, Y, Z)))
    torch.testing.assert_close(about_x @ about_y @ about_z, matrices)


@pytest.mark.parametrize("order", ["XYZ", "ZXY", "YXZ", "ZYX"])
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, -1), (1, -1, 1), (-1, -1, -1)])
def test_euler_angles_are_about_signed_moving_axes(order: str, signs: tuple[int, int, int]) -> None:
    turns = Rotation.from_rotvec(VECTORS.numpy())
    axes = torch.stack([sign * {"X": X, "Y": Y, "Z": Z}[name] for name, sign in zip(order, signs, strict=True)])
    wanted = torch.tensor(turns.as_euler(order) * signs)
    torch.testing.assert_close(r.euler_about(axes, torch.tensor(turns.as_matrix())), wanted)


def test_a_hinge_in_a_tree_moves_what_hangs_on_it() -> None:
    """An upper link of 2 m along x, a hinge about z at its end, a point 1 m beyond; a slide along y before everything."""
    eye, zero = torch.eye(3).double(), torch.zeros(3).double()
    joints = [
        Joint(
            name="slide",
            body="upper",
            parent=-1,
            parent_rotation=eye,
            parent_translation_m=zero,
            child_rotation=eye,
            child_translation_m=zero,
            rotations=(),
            translations=((Y, f.Linear(0, slope=3.0)),),
        ),
        Joint(
            name="hinge",
            body="lower",
            parent=0,
            parent_rotation=eye,
            parent_translation_m=2 * X,
            child_rotation=eye,
            child_translation_m=zero,
            rotations=(((0.0, 0.0, 1.0), f.Linear(1)),),
            translations=(),
        ),
    ]
    tree = Tree(joints, ("slide", "bend"))
    pose = tree.forward(np.array([[0.5, np.pi / 2], [0.0, -np.pi / 6]]))
    found = pose.points([1], X[None]).numpy()[:, 0]
    np.testing.assert_allclose(found, [[2, 1.5 + 1, 0], [2 + np.cos(np.pi / 6), -0.5, 0]], atol=1e-12)
    np.testing.assert_allclose(pose.positions_m[:, 1].numpy(), [[2, 1.5, 0], [2, 0, 0]], atol=1e-12)


A, E = 0.6, -0.8
KNOTS = (0.0, 0.5, 1.2, 2.0, 2.2)


@pytest.mark.parametrize(
    ("function", "value"),
    [
        (f.Constant(2.0), 2.0),
        (f.Linear(1, 3.0, 0.5), 3 * E + 0.5),
        (f.Linear(0), A),
        (f.Polynomial(0, (1.0, -2.0, 0.5)), A**2 - 2 * A + 0.5),  # the highest power first, as OpenSim's
        (f.Sine(0, 2.0), 2 * np.sin(A)),
        (f.Sine(0, 2.0, 3.0, 0.4, 1.0), 2 * np.sin(3 * A + 0.4) + 1),
        (f.Scaled(f.Linear(0), -0.5), -0.5 * A),
        (f.Multivariate((0, 1), 2, (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)), 1 + 2 * E + 3 * E**2 + 4 * A + 5 * A * E + 6 * A**2),
        (f.CubicSpline(0, KNOTS, tuple(2 * x - 1 for x in KNOTS)), 2 * A - 1),
        (f.CubicSpline(0, KNOTS, tuple(x**3 for x in KNOTS)), A**3),
        (f.CubicSpline(1, KNOTS, tuple(x**2 for x in KNOTS)), 0.0),  # straight before the first knot, slope 0 there
        (f.ArcSide(0, 0.2), -0.2 * (1 - np.cos(A)) / A),
        (f.ArcSide(0, 0.2, 1.0), 0.2 * (1 - np.cos(A)) / A),
        (f.ArcUp((0, 1), 0.2), 0.2 * (np.sin(A) / A + np.sin(E) / E - 2)),
        (f.ScapulaSide((0, 1), 0.1, 0.7), 0.1 * (np.cos(E + 0.7) * np.cos(A) - np.cos(0.7))),
        (f.ScapulaSine(1, 0.1, 0.2), 0.1 * (np.sin(E + 0.2) - np.sin(0.2))),
    ],
)
def test_joint_functions_have_the_values_of_their_formulas(function: f.Function, value: float) -> None:
    found, _ = function.value_and_partials(torch.tensor([[A, E]], dtype=torch.float64))
    assert float(found[0]) == pytest.approx(value, abs=1e-9)


def test_places_of_every_frame_are_kept_in_a_long_motion(monkeypatch: pytest.MonkeyPatch) -> None:
    """One orientation for all frames, a place for each: frames are not taken apart from their places."""
    eye, zero = torch.eye(3).double(), torch.zeros(3).double()
    places = torch.arange(18.0).double().reshape(6, 3)
    pin = (((0.0, 0.0, 1.0), f.Linear(0)),)
    tree = Tree([Joint("a", "a", -1, eye, places, eye, zero, pin)], ("q",))
    monkeypatch.setattr("hsmr_bio.kinematics.tree._TOGETHER", 2)
    torch.testing.assert_close(tree.forward(np.zeros((6, 1))).positions_m[:, 0], places)


def test_a_range_of_a_full_turn_is_no_limit_and_a_narrower_one_is() -> None:
    ranges = np.array([[-np.pi, np.pi], [-3.1, 3.15], [-3.1, 3.18], [-2.0, 2.0], [np.nan, 1.0]])
    found = Bounds.of(ranges)
    free = [True, False, False, False, True]
    np.testing.assert_array_equal(np.isinf(found.low) & np.isinf(found.high), free)
    np.testing.assert_array_equal(np.stack([found.low, found.high], axis=1)[1:4], ranges[1:4])
    assert found.low[0] < 0 < found.high[0]

"""The tree against autograd, finite differences and hand calculations."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hsmr_bio.errors import ModelError, ShapeError, UnknownCoordinateError
from hsmr_bio.kinematics import Joint, Tree, functions, rotations

EYE, ZERO = np.eye(3), np.zeros(3)
NAMES = ("a", "b", "c", "tx", "ty", "k", "s1", "s2", "s3", "e1", "e2", "h")


def random_rotation(seed: int) -> np.ndarray:
    return rotations.exp(torch.tensor(np.random.default_rng(seed).normal(size=3))).numpy()


def make_tree(dtype: torch.dtype = torch.float64) -> Tree:
    """Root with three angles and two translations, a polynomial knee, a spine arc, an ellipsoid and a spline hinge."""
    f = functions
    rng = np.random.default_rng(3)
    x, y, z = EYE
    knots = tuple(np.linspace(-1, 2, 7))
    joints = [
        Joint(
            "root",
            "pelvis",
            -1,
            random_rotation(1),
            rng.normal(size=3),
            random_rotation(2),
            rng.normal(size=3),
            ((z, f.Linear(0)), (x, f.Linear(1, -1.0)), (y, f.Linear(2, 1.0, 0.3))),
            ((x, f.Linear(3)), (y, f.Linear(4, 2.0))),
        ),
        Joint(
            "knee",
            "tibia",
            0,
            random_rotation(3),
            rng.normal(size=3),
            random_rotation(4),
            rng.normal(size=3),
            ((x, f.Linear(5)), (z, f.Polynomial(5, (0.1, -0.2, 0.3))), (y, f.Scaled(f.Sine(5, 0.2, 1.5, 0.1), 0.5))),
            ((y, f.Polynomial(5, (0.05, 0.01, 0.0))),),
        ),
        Joint(
            "spine",
            "thorax",
            0,
            random_rotation(5),
            rng.normal(size=3),
            EYE,
            ZERO,
            ((x, f.Linear(6)), (z, f.Linear(7)), (y, f.Linear(8))),
            ((x, f.ArcSide(6, 0.2)), (y, f.ArcUp((6, 7), 0.2)), (z, f.ArcSide(7, 0.2))),
        ),
        Joint(
            "girdle",
            "scapula",
            2,
            EYE,
            rng.normal(size=3),
            random_rotation(6),
            ZERO,
            ((y, f.Linear(9)), (x, f.Linear(10))),
            (
                (x, f.ScapulaSide((9, 10), 0.1, -math.pi / 4)),
                (y, f.ScapulaSine(10, 0.1, 0.5)),
                (z, f.Multivariate((9, 10), 3, tuple(rng.normal(size=10) * 0.1))),
            ),
        ),
        Joint(
            "hinge",
            "hand",
            3,
            EYE,
            rng.normal(size=3),
            EYE,
            ZERO,
            (((0.6, 0.8, 0.0), f.CubicSpline(11, knots, tuple(np.sin(knots)))),),
            (),
        ),
    ]
    return Tree(joints, NAMES, dtype)


ANGLES = {
    "zero": np.zeros(12),
    "near zero": np.full(12, 1e-9),
    "random": np.random.default_rng(0).normal(size=12) * 0.7,
    "large": np.random.default_rng(1).normal(size=12) * 6,
    "gimbal": np.array([0.3, math.pi / 2, 0.2, 0, 0, 1.0, 0.1, math.pi / 2, 0.4, math.pi / 2, -math.pi / 2, 0.5]),
}


@pytest.mark.parametrize("case", ANGLES)
def test_jacobians_equal_autograd(case: str) -> None:
    tree = make_tree()
    q = torch.tensor(np.stack([ANGLES[case], ANGLES[case] * 0.9]))
    bodies = torch.tensor([0, 1, 2, 3, 4, 4])
    local = torch.tensor(np.random.default_rng(5).normal(size=(6, 3)))

    def place(value: torch.Tensor) -> torch.Tensor:
        return tree.forward(value).points(bodies, local)

    pose = tree.forward(q)
    ours = pose.point_jacobian(place(q), bodies)
    for frame in range(2):
        theirs = torch.autograd.functional.jacobian(place, q[frame])
        torch.testing.assert_close(ours[frame], theirs, atol=1e-10, rtol=1e-9)


@pytest.mark.parametrize("case", ANGLES)
def test_angular_velocities_equal_finite_differences(case: str) -> None:
    tree, step = make_tree(), 1e-6
    q = torch.tensor(ANGLES[case])
    omega, _ = tree.forward(q).twists()
    for n in range(len(NAMES)):
        ahead, behind = q.clone(), q.clone()
        ahead[n] += step
        behind[n] -= step
        turned = tree.forward(ahead).rotations @ tree.forward(behind).rotations.transpose(-1, -2)
        ours = omega[n] * tree.ancestors[:, n, None]
        torch.testing.assert_close(ours, rotations.log(turned) / (2 * step), atol=2e-8, rtol=1e-6)


def test_offset_jacobian_equals_finite_differences() -> None:
    rng = np.random.default_rng(8)
    base = make_tree()
    d_translation, d_rotation = rng.normal(size=(5, 3, 2)), rng.normal(size=(5, 3, 2))
    q = torch.tensor(ANGLES["random"])
    bodies, local = [0, 1, 3, 4], torch.tensor(rng.normal(size=(4, 3)))

    def moved(amount: np.ndarray) -> torch.Tensor:
        joints = []
        for j, joint in enumerate(base.joints):
            turn = rotations.exp(torch.tensor(d_rotation[j] @ amount)).numpy()
            joints.append(
                Joint(
                    joint.name,
                    joint.body,
                    joint.parent,
                    turn @ joint.parent_rotation,
                    joint.parent_translation_m + d_translation[j] @ amount,
                    joint.child_rotation,
                    joint.child_translation_m,
                    joint.rotations,
                    joint.translations,
                )
            )
        return Tree(joints, NAMES).forward(q).points(bodies, local)

    pose = base.forward(q)
    ours = pose.offset_jacobian(pose.points(bodies, local), bodies, torch.tensor(d_translation), torch.tensor(d_rotation))
    for k in range(2):
        step = np.eye(2)[k] * 1e-6
        torch.testing.assert_close(ours[..., k], (moved(step) - moved(-step)) / 2e-6, atol=1e-7, rtol=1e-6)


def test_float32_agrees_with_float64() -> None:
    q = np.random.default_rng(2).normal(size=(50, 12))
    single, double = make_tree(torch.float32).forward(q), make_tree().forward(q)
    torch.testing.assert_close(single.positions_m.double(), double.positions_m, atol=2e-5, rtol=0)
    torch.testing.assert_close(single.rotations.double(), double.rotations, atol=1e-5, rtol=0)


def test_a_long_motion_is_placed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = make_tree()
    q = torch.tensor(np.random.default_rng(8).normal(size=(2, 4, len(NAMES))) * 0.4)
    bodies, local = [0, 2, 3, 1], torch.tensor(np.random.default_rng(9).normal(size=(4, 3)))
    shift = torch.tensor(np.random.default_rng(10).normal(size=(len(tree.joints), 3, 2)))

    def everything() -> list[torch.Tensor]:
        pose = tree.forward(q)
        points = pose.points(bodies, local)
        moved = pose.point_jacobian(points, bodies), pose.offset_jacobian(points, bodies, shift, -shift)
        return [pose.positions_m, pose.rotations, points, *pose.twists(), *moved]

    whole = everything()
    monkeypatch.setattr("hsmr_bio.kinematics.tree._TOGETHER", 3)
    for one, other in zip(whole, everything(), strict=True):
        torch.testing.assert_close(one, other, atol=0, rtol=0)


def test_frames_do_not_depend_on_each_other() -> None:
    tree = make_tree()
    q = np.random.default_rng(2).normal(size=(3, 4, 12))
    together = tree.forward(q)
    alone = tree.forward(q[1, 2])
    assert together.positions_m.shape == (3, 4, 5, 3)
    torch.testing.assert_close(together.positions_m[1, 2], alone.positions_m, atol=1e-14, rtol=0)
    torch.testing.assert_close(together.twists()[1][1, 2], alone.twists()[1], atol=1e-14, rtol=0)


def test_per_frame_offsets_equal_single_trees() -> None:
    lengths = np.array([[0.1, 0, 0], [0.3, 0.1, 0]])
    pin = ((EYE[2], functions.Linear(0)),)

    def tree(offset: np.ndarray) -> Tree:
        return Tree([Joint("a", "a", -1, EYE, ZERO, EYE, ZERO, pin), Joint("b", "b", 0, EYE, offset, EYE, ZERO)], ("q",))

    q = np.array([[0.4], [1.1]])
    both = tree(lengths).forward(q).positions_m
    for i in range(2):
        torch.testing.assert_close(both[i], tree(lengths[i]).forward(q[i]).positions_m)
    np.testing.assert_allclose(both[0, 1], [0.1 * math.cos(0.4), 0.1 * math.sin(0.4), 0], atol=1e-15)


vectors = st.lists(st.floats(-3.0, 3.0), min_size=3, max_size=3)


@settings(max_examples=60, deadline=None)
@given(vectors, st.sampled_from([0.0, 1e-9, 1e-4, 1.0]))
def test_log_inverts_exp(vector: list[float], scale: float) -> None:
    v = torch.tensor(vector, dtype=torch.float64) * scale
    if v.norm() > math.pi - 1e-3:
        v = v / v.norm() * (math.pi - 1e-3)
    torch.testing.assert_close(rotations.log(rotations.exp(v)), v, atol=1e-9, rtol=0)


@pytest.mark.parametrize("axis", [(1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0), (0.6, 0.0, 0.8)])
def test_log_at_half_a_turn(axis: tuple[float, float, float]) -> None:
    matrix = rotations.about_axis(axis, torch.tensor(math.pi, dtype=torch.float64))
    assert rotations.log(matrix).norm().item() == pytest.approx(math.pi, abs=1e-9)


@given(vector=st.lists(st.floats(-1, 1), min_size=3, max_size=3), scale=st.sampled_from([1e-9, 1e-3, 1.0, 2.0]))
def test_the_shortest_rotation_has_the_angle_between_the_directions(vector: list[float], scale: float) -> None:
    """Of every rotation vector, the part across a direction is the shortest way from it to its image."""
    start = torch.nn.functional.normalize(torch.tensor([0.3, -0.5, 0.8], dtype=torch.float64), dim=0)
    across = scale * torch.linalg.cross(start, torch.tensor(vector, dtype=torch.float64))
    turn = rotations.exp(across)
    torch.testing.assert_close(rotations.shortest(start, turn @ start), turn, atol=1e-7, rtol=0)


def test_the_shortest_rotation_of_a_batch_and_of_no_direction() -> None:
    starts, ends = torch.eye(3, dtype=torch.float64), torch.eye(3, dtype=torch.float64)[[1, 2, 0]]
    turns = rotations.shortest(starts, ends)
    torch.testing.assert_close((turns @ starts[..., None])[..., 0], ends)
    nothing = torch.zeros(3, dtype=torch.float64)
    assert torch.equal(rotations.shortest(nothing, ends)[1], torch.eye(3, dtype=torch.float64))
    assert torch.equal(rotations.shortest(starts, -starts)[1], torch.eye(3, dtype=torch.float64)), "none is the shortest"


def test_exp_has_a_finite_gradient_at_zero() -> None:
    v = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    rotations.exp(v)[0, 1].backward()
    np.testing.assert_allclose(v.grad, [0, 0, -1])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1.5, 1.5), min_size=3, max_size=3), st.permutations([0, 1, 2]), st.integers(0, 7))
def test_euler_about_recovers_angles(angles: list[float], order: list[int], signs: int) -> None:
    axes = torch.eye(3, dtype=torch.float64)[order] * torch.tensor([1 - 2 * (signs >> i & 1) for i in range(3)])[:, None]
    wanted = torch.tensor(angles, dtype=torch.float64)
    matrix = torch.eye(3, dtype=torch.float64)
    for i in range(3):
        matrix = matrix @ rotations.about_axis(axes[i], wanted[i])
    torch.testing.assert_close(rotations.euler_about(axes, matrix), wanted, atol=1e-9, rtol=0)


def test_functions_have_true_partials() -> None:
    q = torch.tensor([[0.31, -0.42, 0.05], [1.7, 2.4, -1e-7], [-3.0, 0.0, 1e-2]], dtype=torch.float64, requires_grad=True)
    f = functions
    knots = (0.0, 0.5, 1.2, 2.0, 2.2)
    rng = np.random.default_rng(0)
    cases: list[functions.Function] = [
        f.Constant(2.0),
        f.Linear(1, 3.0, 1.0),
        f.Polynomial(0, (1.0, -2.0, 0.5, 0.1)),
        f.Sine(1, 2.0, 3.0, 0.4, 1.0),
        f.Multivariate((0, 1), 4, tuple(rng.normal(size=15))),
        f.Multivariate((0, 1, 2), 2, tuple(rng.normal(size=10))),
        f.CubicSpline(0, knots, (0.0, 1.0, -1.0, 0.3, 0.2)),
        f.Scaled(f.Sine(0, 1.0), -0.5),
        f.ArcSide(2, 0.2),
        f.ArcUp((2, 1), 0.3),
        f.ScapulaSide((0, 2), 0.1, 0.7),
        f.ScapulaSine(2, 0.1, 0.2),
    ]
    for function in cases:
        value, partials = function.value_and_partials(q)
        if not value.requires_grad:
            continue
        (gradient,) = torch.autograd.grad(value.sum(), q)
        for n, partial in zip(function.inputs, partials, strict=True):
            torch.testing.assert_close(partial, gradient[:, n], atol=1e-9, rtol=1e-9, msg=repr(function))


def test_wrong_trees_are_refused() -> None:
    pin = ((EYE[2], functions.Linear(0)),)
    joint = Joint("a", "a", -1, EYE, ZERO, EYE, ZERO, pin)
    with pytest.raises(ModelError, match="parent"):
        Tree([Joint("c", "c", 1, EYE, ZERO, EYE, ZERO, pin), joint], ("q",))
    with pytest.raises(ModelError, match="two joints: a"):
        Tree([joint, joint], ("q",))
    with pytest.raises(ModelError, match="drives two joints"):
        Tree([joint, Joint("b", "b", 0, EYE, ZERO, EYE, ZERO, pin)], ("q",))
    with pytest.raises(ShapeError, match=r"\(\.\.\., 1\)"):
        Tree([joint], ("q",)).forward(np.zeros(2))
    with pytest.raises(UnknownCoordinateError, match="'p'"):
        Tree([joint], ("q",)).index("p")

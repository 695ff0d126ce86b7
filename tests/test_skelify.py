"""SKELify: our solver against the paper's, independence of samples, derivatives, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hsmr_bio.body import load_body  # noqa: E402
from hsmr_bio.errors import InputError, ShapeError  # noqa: E402
from hsmr_bio.fitting.skelify import objective as terms  # noqa: E402
from hsmr_bio.fitting.skelify.gauss_newton import _Objective  # noqa: E402
from hsmr_bio.fitting.skelify.hsmr_points import HsmrPoints  # noqa: E402
from hsmr_bio.fitting.skelify.lbfgs import skelify_lbfgs  # noqa: E402
from hsmr_bio.fitting.skelify.skelify import skelify  # noqa: E402
from hsmr_bio.hsmr.camera import project  # noqa: E402
from hsmr_bio.hsmr.losses import LIMIT_BOUNDS, LIMIT_DOFS  # noqa: E402
from hsmr_bio.hsmr.pose import MEAN_POSE_RAD  # noqa: E402


@pytest.fixture(scope="module")
def points() -> HsmrPoints:
    return HsmrPoints.from_table(load_body("open"))


def people(points: HsmrPoints, count: int, seed: int = 0, noise: float = 0.003):
    """Labels, true poses, true translations."""
    rng = np.random.default_rng(seed)
    poses = np.tile(np.array(MEAN_POSE_RAD), (count, 1)) + 0.2 * rng.standard_normal((count, 46))
    low, high = np.array(LIMIT_BOUNDS).T
    poses[:, list(LIMIT_DOFS)] = np.clip(poses[:, list(LIMIT_DOFS)], low, high)
    translation = np.column_stack([0.1 * rng.standard_normal((count, 2)), rng.uniform(40, 48, count)])
    true, place = torch.tensor(poses), torch.tensor(translation)
    seen = project(points(true, torch.zeros(count, 10).double()), place)
    label = torch.cat([seen + noise * torch.tensor(rng.standard_normal(seen.shape)), torch.ones(count, 44, 1)], dim=2)
    return label, true, place


@pytest.mark.slow
def test_derivatives_of_the_keypoints_are_exact(points: HsmrPoints) -> None:
    generator = torch.Generator().manual_seed(0)
    poses = torch.tensor([MEAN_POSE_RAD]).double() + 0.4 * torch.randn(3, 46, generator=generator, dtype=torch.float64)
    betas = torch.randn(3, 10, generator=generator, dtype=torch.float64)
    found, jacobian, _ = points.with_jacobian(poses, betas)
    torch.testing.assert_close(found, points(poses, betas))
    for i in range(3):
        by_pose, by_betas = torch.autograd.functional.jacobian(lambda q, b: points(q[None], b[None])[0], (poses[i], betas[i]))
        torch.testing.assert_close(jacobian[i, ..., :46], by_pose, atol=2e-5, rtol=0)
        torch.testing.assert_close(jacobian[i, ..., 46:], by_betas, atol=1e-6, rtol=0)


@pytest.mark.parametrize("newton", [False, True])
def test_the_gradient_of_the_objective_is_exact(points: HsmrPoints, newton: bool) -> None:
    label, poses, place = people(points, 2)
    x = torch.cat([poses + 0.02, torch.full((2, 10), 0.1), place], dim=1)
    depth = torch.tensor([42.0, 45.0]).double()
    stage = terms.Stage(name="all", loops=0, depth=0.3, shape=5, angle=30)
    objective = _Objective(points, stage, label, depth, torch.ones(59, dtype=torch.bool), newton)
    everyone = torch.arange(2)
    value, gradient, curvature = objective.equations(objective.evaluate(x, everyone))
    expected = torch.autograd.functional.jacobian(lambda y: objective.evaluate(y, everyone).cost.sum(), x)
    torch.testing.assert_close(gradient, expected, atol=1e-4, rtol=1e-5)
    projected = project(points(x[:, :46], x[:, 46:56]), x[:, 56:])
    total = terms.torch_sum(terms.stage_terms(stage, projected, label, x[:, :46], x[:, 46:56], x[:, 56:], depth))
    assert float(value.mean()) == pytest.approx(float(total), rel=1e-9)
    if newton:
        exact = torch.autograd.functional.hessian(lambda y: objective.evaluate(y[None], everyone[:1]).cost[0], x[0])
        gauss_newton = _Objective(points, stage, label, depth, objective.free)
        plain = gauss_newton.equations(gauss_newton.evaluate(x, everyone)).hessian
        assert (curvature[0] - exact).norm() < 0.5 * (plain[0] - exact).norm()


@pytest.mark.slow
@pytest.mark.parametrize("schedule", ["full", "refine"])
def test_our_solver_ends_no_higher_than_the_papers(points: HsmrPoints, schedule: str) -> None:
    label, poses, place = people(points, 2, seed=3)
    start = {} if schedule == "full" else {"poses_rad": poses + 0.1, "translation_m": place}
    ours = skelify(label, points, schedule=schedule, **start)
    theirs = skelify(label, points, schedule=schedule, method="lbfgs", **start)
    assert ours.objective <= theirs.objective * (1 + 1e-6)


def test_a_person_is_found_from_the_mean_pose(points: HsmrPoints) -> None:
    label, _, _ = people(points, 4, seed=1, noise=0.0)
    result = skelify(label, load_body("open"))
    assert result.poses_rad.shape == (4, 46)
    assert (result.keypoint_error.sqrt() < 0.04).all(), "4 % of the box"


def test_results_do_not_depend_on_the_batch(points: HsmrPoints) -> None:
    label, _, _ = people(points, 3, seed=2)
    together = skelify(label, points)
    for i in range(3):
        alone = skelify(label[i : i + 1], points)
        torch.testing.assert_close(alone.poses_rad[0], together.poses_rad[i], atol=2e-3, rtol=0)


def test_refinement_moves_towards_the_image_and_stays_near_the_prediction(points: HsmrPoints) -> None:
    label, poses, place = people(points, 3, seed=4)
    rough = poses + 0.15 * torch.randn(3, 46, generator=torch.Generator().manual_seed(0)).double()
    before = terms.keypoint_error(project(points(rough, torch.zeros(3, 10).double()), place), label)
    result = skelify(label, points, poses_rad=rough, betas=np.zeros((3, 10)), translation_m=place)
    assert (result.keypoint_error < 0.5 * before).all()


def test_unseen_keypoints_have_no_pull(points: HsmrPoints) -> None:
    label, poses, place = people(points, 1, seed=5)
    hidden = label.clone()
    hidden[:, [4, 7, 31, 36], 2] = 0
    moved = hidden.clone()
    moved[:, [4, 7, 31, 36], :2] += 3.0
    start = {"poses_rad": poses, "translation_m": place}
    torch.testing.assert_close(skelify(hidden, points, **start).poses_rad, skelify(moved, points, **start).poses_rad)


def test_the_papers_procedure_keeps_the_body_still_while_the_camera_moves(points: HsmrPoints) -> None:
    label, poses, place = people(points, 1, seed=6)
    camera = terms.Schedule(stages=(terms.Stage(name="camera-init", loops=2, camera_only=True, keypoints="torso", depth=100),))
    start = (value.float() for value in (label, poses, torch.zeros(1, 10), place + 1))
    result = skelify_lbfgs(points, *start, schedule=camera)
    torch.testing.assert_close(result.poses_rad[:, 3:], poses[:, 3:].float())
    assert len(result.history) == 1 and result.history[0][-1] < result.history[0][0]


def test_what_cannot_be_fitted_is_refused(points: HsmrPoints) -> None:
    label, _, _ = people(points, 2)
    with pytest.raises(ShapeError, match=r"\(any, 44, 3\)"):
        skelify(label[:, :25], points)
    with pytest.raises(ShapeError, match="finite"):
        skelify(label * float("nan"), points)
    unseen = label.clone()
    unseen[1, :, 2] = 0
    with pytest.raises(InputError, match="image 1"):
        skelify(unseen, points)
    with pytest.raises(InputError, match="schedule"):
        skelify(label, points, schedule="fast")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="method"):
        skelify(label, points, method="adam")  # type: ignore[arg-type]
    flat = label.clone()
    flat[..., :2] = 0
    with pytest.raises(InputError, match="shoulders and hips"):
        skelify(flat, points)


def test_keypoints_by_bones_equal_the_regressed_skin(synthetic_male) -> None:
    """On a body with SMPL's mesh, with pose blend shapes, for any regressors."""
    from hsmr_bio.hsmr.keypoints import SKEL_TO_SMPL_JOINTS, keypoints_from_smpl_joints, regress

    body = load_body(synthetic_male / "skel_male.pkl")
    rng = np.random.default_rng(0)
    matrices = []
    for rows in (19, 24):
        matrix = np.zeros((rows, 6890))
        for row in matrix:
            row[rng.choice(6890, 40, replace=False)] = 1 / 40
        matrices.append(matrix)
    poses = torch.tensor(0.4 * rng.standard_normal((3, 46)))
    betas = torch.tensor(rng.standard_normal((3, 10)))
    posed = body.forward(poses, betas, skin=True)
    for joints in (matrices[1], None):
        stand_ins = posed.joints_m[:, list(SKEL_TO_SMPL_JOINTS)]
        smpl_joints = stand_ins if joints is None else regress(torch.tensor(joints), posed.skin_m)
        expected = keypoints_from_smpl_joints(posed.skin_m, smpl_joints, torch.tensor(matrices[0]))
        found = HsmrPoints.from_regressors(body, matrices[0], joints)(poses, betas)
        torch.testing.assert_close(found, expected, atol=1e-9, rtol=0)
    with pytest.raises(InputError, match="6890"):
        HsmrPoints.from_regressors(load_body("open"), matrices[0])
    with pytest.raises(InputError, match="extra"):
        HsmrPoints.from_regressors(body, matrices[0][:, :100])


def test_skelify_fits_a_body_with_blend_shapes(synthetic_male) -> None:
    """Pose blend shapes are in the derivatives."""
    body = load_body(synthetic_male / "skel_male.pkl")
    rng = np.random.default_rng(1)
    extra = np.zeros((19, 6890))
    for row in extra:
        row[rng.choice(6890, 40, replace=False)] = 1 / 40
    points = HsmrPoints.from_regressors(body, extra)
    poses, betas = torch.tensor(0.3 * rng.standard_normal((2, 46))), torch.tensor(rng.standard_normal((2, 10)))
    _, jacobian, _ = points.with_jacobian(poses, betas)
    by_pose, by_betas = torch.autograd.functional.jacobian(lambda q, b: points(q[None], b[None])[0], (poses[1], betas[1]))
    torch.testing.assert_close(jacobian[1], torch.cat([by_pose, by_betas], dim=-1), atol=5e-5, rtol=0)
    label, _, _ = people(points, 1, seed=7, noise=0.0)
    assert skelify(label, points).keypoint_error.item() < 0.05**2

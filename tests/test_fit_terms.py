"""Every term of the fit: its gradient is that of its cost, by every unknown."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hsmr_bio.body import Body, load_body
from hsmr_bio.errors import InputError
from hsmr_bio.fitting.core import terms as t
from hsmr_bio.fitting.core.body_points import KeypointPoints, MassPoints, SolePoints
from hsmr_bio.fitting.core.priors import acceleration_sigma, limits, mean_pose, pose_prior, spine_rhythm
from hsmr_bio.fitting.core.problem import SHARED, Problem, State

FRAMES = 4


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body("open")


def make_problem(body: Body, term: object) -> Problem:
    makers = {"landmarks": KeypointPoints.of(body, "blazepose33"), "soles": SolePoints(body), "masses": MassPoints(body)}
    return Problem(body, makers, [term], list(range(SHARED)))


def make_state(seed: int = 0) -> State:
    rng = np.random.default_rng(seed)
    q = np.concatenate([mean_pose(), [0.1, 0.2, -3.5]]) + rng.normal(size=(FRAMES, 49)) * 0.15
    offsets = rng.normal(size=(8, 3)) * 0.02
    return State(torch.tensor(q), rng.normal(size=10) * 0.5, np.array([0.2, -0.1]), -0.9, 900.0, offsets)


def term_cases(body: Body) -> dict[str, object]:
    rng = np.random.default_rng(1)
    time_s = np.array([0.0, 0.03, 0.07, 0.1])
    count = 33
    pixels = torch.tensor(rng.uniform(200, 500, size=(FRAMES, count, 2)))
    sigma = torch.full((FRAMES, count), 0.3, dtype=torch.float64)
    rays = rng.normal(size=(FRAMES, 3)) * 0.1 + [0, 0, 1]
    rays = torch.tensor(rays / np.linalg.norm(rays, axis=1, keepdims=True))
    near = torch.tensor(rng.normal(size=(FRAMES, count)) * 0.2)
    stand = torch.tensor(rng.uniform(0.1, 1, size=(FRAMES, 8)))
    line, together = body.data.stature_line, torch.tensor([[1.0, 0.4], [0.4, 1.0]], dtype=torch.float64)
    pairs, caution = torch.tensor([[25, 23], [11, 23]]), torch.tensor([0.5, 2.0])
    return {
        "reprojection": t.Reprojection("landmarks", pixels, sigma * 300, (360.0, 640.0)),
        "depth": t.Depth("landmarks", pairs, rays, near[:, :2], sigma[:, :2], caution, together),
        "positions": t.Positions("landmarks", torch.tensor(rng.normal(size=(FRAMES, count, 3)) * 0.5), sigma, (23, 24)),
        "prior": pose_prior(),
        "rhythm": spine_rhythm(),
        "limits": limits(),
        "smoothness": t.Smoothness(time_s, acceleration_sigma()),
        "shared": t.SharedPrior(1.0, 0.02, 800.0, 0.1),
        "stature": t.Stature(1.8, *line),
        "contacts": t.Contacts("soles", time_s, stand, 0.5),
        "floor": t.Floor("soles", stand, 0.02, 0.01),
        "balance": t.Balance(
            "masses", MassPoints(body).shares, "soles", stand / stand.sum(1, keepdim=True), stand[:, 0], 0.1 * stand[:, :2]
        ),
    }


NAMES = [
    *("reprojection", "depth", "positions", "prior", "rhythm", "limits", "smoothness"),
    *("shared", "stature", "contacts", "floor", "balance"),
]


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_is_that_of_the_cost(body: Body, name: str) -> None:
    problem = make_problem(body, term_cases(body)[name])
    state = make_state()
    system = problem.system(problem.view(state))
    zero, none = np.zeros((FRAMES, 49)), np.zeros(SHARED)
    rng = np.random.default_rng(2)
    for trial in range(6):
        step, shared = rng.normal(size=(FRAMES, 49)), rng.normal(size=SHARED)
        if trial < 2:
            shared = none
        elif trial < 4:
            step = zero
        # betas change arc lengths and the scapula's ellipse too, which the normal equations leave out
        tolerance = 2e-4 if trial < 2 else 0.03
        if name == "contacts":  # shape is held wherever contacts are used
            shared = none
        slope = (system.gradient * step).sum() + system.shared_gradient @ shared
        h = 1e-6
        ahead, behind = (problem.cost(problem.view(state.moved(sign * h * step, sign * h * shared))) for sign in (1, -1))
        size = np.linalg.norm(system.gradient) + np.linalg.norm(system.shared_gradient)
        assert slope == pytest.approx((ahead - behind) / (2 * h), rel=tolerance, abs=tolerance * size + 1e-9 * ahead)


def test_the_curvature_is_that_of_linear_residuals(body: Body) -> None:
    """Smoothness is linear in the unknowns, so a single undamped step must reach its minimum."""
    smooth = term_cases(body)["smoothness"]
    problem = make_problem(body, smooth)
    problem.terms.append(t.PosePrior(torch.zeros(49, dtype=torch.float64), torch.full((49,), 1.0, dtype=torch.float64)))
    state = make_state()
    problem.free = np.array([], dtype=int)
    step, _ = problem.system(problem.view(state)).solve(0.0)
    after = problem.system(problem.view(state.moved(step, np.zeros(SHARED))))
    np.testing.assert_allclose(after.gradient, 0, atol=1e-8)


def test_a_mean_keypoint_lies_between_its_parts(body: Body) -> None:
    coco, openpose = KeypointPoints.of(body, "coco23"), KeypointPoints.of(body, "openpose25")
    pose = body.tree(np.zeros(10)).forward(np.concatenate([mean_pose(), np.zeros(3)]))
    parts, whole = (points(np.zeros(10), np.zeros((8, 3))) for points in (coco, openpose))
    apart = pose.points(parts.bodies, parts.local_m)
    shoulders = [coco.names.index(f"{side}_shoulder") for side in ("left", "right")]
    assert whole.mix is not None
    mixed = whole.mix @ pose.points(whole.bodies, whole.local_m)
    torch.testing.assert_close(mixed[openpose.names.index("neck")], apart[shoulders].mean(0))
    assert openpose.sigma_2d_m.shape == (25,)


def test_keypoints_of_the_two_forms_are_the_same_place(body: Body) -> None:
    """A landmark as a point on its bone, and as a mean of skin vertices: two definitions, one place."""
    rest = body.rest(np.zeros(10))
    points = KeypointPoints.of(body, "blazepose33")
    on_bone = points(np.zeros(10), np.zeros((8, 3)))
    turned = np.einsum("pij,pj->pi", rest.bone_rotations[on_bone.bodies], on_bone.local_m.numpy())
    placed = rest.joints_m[on_bone.bodies] + turned
    for point, keypoint in enumerate(points.keypoints):
        on_skin = np.average(rest.skin_m[list(keypoint.vertices)], axis=0, weights=keypoint.weights)
        assert np.linalg.norm(on_skin - placed[point]) < 0.04, keypoint.name


def test_an_unknown_keypoint_set_names_the_known_ones(body: Body) -> None:
    with pytest.raises(InputError, match="blazepose33"):
        KeypointPoints.of(body, "coco19")


def satisfied(body: Body, state: State) -> dict[str, object]:
    """Every term at its minimum for this guess, whose frames are all alike."""
    view = make_problem(body, pose_prior()).view(state)
    case, points = term_cases(body), view.points("landmarks")
    camera = points @ state.camera_rotation.T
    soles, masses = view.points("soles"), view.points("masses")
    lowest = int(soles[0, :, 1].argmin())
    stand = torch.zeros(FRAMES, 8, dtype=torch.float64)
    stand[:, lowest] = 0.7
    depth, balance, rhythm = case["depth"], case["balance"], case["rhythm"]
    along = (camera * depth.ray[:, None]).sum(-1)
    middle = points[:, [23, 24]].mean(dim=1, keepdim=True)
    apart = torch.einsum("p,tpi->ti", balance.mass_share, masses) - torch.einsum("ts,tsi->ti", balance.support, soles)
    line = body.data.stature_line
    pixels = state.focal_px * camera[..., :2] / camera[..., 2:] + torch.tensor([360.0, 640.0]).double()
    return {
        "reprojection": replace(case["reprojection"], target_px=pixels),
        "depth": replace(depth, target_m=along[:, depth.pairs[:, 0]] - along[:, depth.pairs[:, 1]]),
        "positions": replace(case["positions"], target_m=points - middle),
        "prior": replace(pose_prior(), mean=state.q[0]),
        "rhythm": replace(rhythm, mean=state.q[0] @ rhythm.combinations.T),
        "smoothness": case["smoothness"],
        "shared": t.SharedPrior(1.0, 0.02, state.focal_px, 0.1),
        "stature": t.Stature(body.stature_m(state.betas), *line),
        "contacts": case["contacts"],
        "floor": t.Floor("soles", stand, 0.02, 10.0),
        "balance": replace(balance, ahead_m=apart[:, [0, 2]]),
    }


@pytest.mark.parametrize("name", [name for name in NAMES if name != "limits"])
def test_the_curvature_is_that_of_the_cost_at_its_minimum(body: Body, name: str) -> None:
    """There half of step^T H step is the cost, whatever robust functions do farther away."""
    first = make_state()
    q = first.q[:1].repeat(FRAMES, 1)
    betas, offsets = (np.zeros(10), np.zeros((8, 3))) if name == "shared" else (first.betas, first.offsets_m)
    state = replace(first, q=q, betas=betas, offsets_m=offsets)
    floor = float(make_problem(body, pose_prior()).view(state).points("soles")[..., 1].min())
    state = replace(state, floor_m=floor)
    problem = make_problem(body, satisfied(body, state)[name])
    assert problem.cost(problem.view(state)) == pytest.approx(0, abs=1e-12)
    system = problem.system(problem.view(state))
    rng = np.random.default_rng(3)
    for trial in range(4):
        step, shared = rng.normal(size=(FRAMES, 49)), rng.normal(size=SHARED)
        if trial < 2 or name == "contacts":
            shared = np.zeros(SHARED)
        curved = np.einsum("tn,tnm,tm->", step, system.diagonal, step)
        curved += (
            2 * np.einsum("tn,tnm,tm->", step[1:], system.below, step[:-1]) + 2 * (step[2:] * system.second * step[:-2]).sum()
        )
        curved += 2 * np.einsum("tn,tnk,k->", step, system.border, shared) + shared @ system.shared @ shared
        h = 1e-5
        both = sum(problem.cost(problem.view(state.moved(sign * h * step, sign * h * shared))) for sign in (1, -1))
        assert both / h**2 == pytest.approx(curved, rel=1e-3 if trial < 2 else 0.05, abs=1e-9)
        assert trial > 1 or name in ("shared", "stature") or curved > 0

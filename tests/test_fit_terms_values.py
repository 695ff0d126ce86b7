"""The value of every term of the fit against numbers worked out by hand, on points at known places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from hsmr_bio.body import Body
from hsmr_bio.fitting.core import priors
from hsmr_bio.fitting.core import terms as t
from hsmr_bio.fitting.core.body_points import (
    OFFSET_PLACES,
    SEGMENTS,
    KeypointPoints,
    MassPoints,
    SolePoints,
    attach,
    support_of,
)
from hsmr_bio.fitting.core.problem import FOCAL, SHARED, Problem, State, View
from hsmr_bio.fitting.core.uncertainty import standard_deviation
from hsmr_bio.osim.masses import SEGMENT_PERCENT
from hsmr_bio.skeleton import DOF_NAMES, JOINT_NAMES, LIMITS_RAD

UNKNOWNS = 49
KNEE, HIP_R, HIP_L = (DOF_NAMES.index(name) for name in ("knee_angle_r", "hip_flexion_r", "hip_flexion_l"))


def tensor(values: Any) -> torch.Tensor:
    return torch.tensor(np.asarray(values, dtype=np.float64))


def robust(square: float) -> float:
    """Geman-McClure: half the square for small residuals, at most 4.5, with its turn at three standard deviations."""
    return 0.5 * square / (1 + square / 9)


def view_of(body: Body, rest_m: Sequence[Sequence[float]] = (), *, trans_m: Any = ((0, 0, 0),), **state: Any) -> View:
    """Points at known level places: fixed to the pelvis of a body in its rest pose, which is moved by ``trans_m`` (T, 3)."""
    at = np.reshape(np.asarray(rest_m, dtype=float), (-1, 3))

    def points(betas: np.ndarray, offsets_m: np.ndarray) -> Any:
        return attach(body, betas, [0] * len(at), at, np.zeros((len(at), 3, 10)))

    q = np.zeros((len(trans_m), UNKNOWNS))
    q[:, 46:] = trans_m
    known: dict[str, Any] = {"betas": np.zeros(10), "tilt_rad": np.zeros(2), "floor_m": 0.0, "focal_px": 1000.0, "q": tensor(q)}
    view = Problem(body, {"points": points, "others": points}, []).view(State(**{**known, **state}))
    if len(at) and "q" not in state:
        np.testing.assert_allclose(view.points("points"), at + np.asarray(trans_m)[:, None], atol=1e-12)
    return view


def posed(body: Body, values: dict[int, float], frames: int = 1) -> View:
    """A view with some unknowns set."""
    q = np.zeros((frames, UNKNOWNS))
    for column, value in values.items():
        q[:, column] = value
    return view_of(body, q=tensor(q))


# ---------------------------------------------------------------------- image


def test_a_landmark_lies_where_similar_triangles_put_it(open_body: Body) -> None:
    """1000 px: half a metre to the right and a quarter up at 4 m is 125 px to the right and 62.5 px up."""
    view = view_of(open_body, [[0.5, 0.25, -4.0]])
    there = np.array([[[360 + 125, 640 - 62.5]]])
    assert t.Reprojection("points", tensor(there), tensor([[5.0]]), (360, 640)).cost(view) == pytest.approx(0, abs=1e-12)
    off = t.Reprojection("points", tensor(there + np.array([3.0, 4.0])), tensor([[2.5]]), (360, 640))
    assert off.cost(view) == pytest.approx(robust(4.0)), "5 px at 2.5 px is two standard deviations"


def test_a_landmark_that_is_not_seen_costs_nothing(open_body: Body) -> None:
    view = view_of(open_body, [[0.5, 0.25, -4.0], [0.1, 0.2, -3.0]])
    pixels = tensor([[[np.nan, np.nan], [360 + 100 / 3, 640 - 200 / 3 + 6]]])
    term = t.Reprojection("points", pixels, tensor([[np.inf, 2.0]]), (360, 640))
    assert term.cost(view) == pytest.approx(robust(9.0))


@pytest.mark.parametrize(("deviations", "cost"), [(0.1, 0.005 / (1 + 0.01 / 9)), (3.0, 2.25), (300.0, 4.5 * 10000 / 10001)])
def test_an_outlier_loses_its_pull(open_body: Body, deviations: float, cost: float) -> None:
    view = view_of(open_body, [[0.0, 0.0, -4.0]])
    term = t.Reprojection("points", tensor([[[deviations, 0.0]]]), tensor([[1.0]]), (0, 0))
    assert term.cost(view) == pytest.approx(cost)
    system = Problem(open_body, {}, []).system(view)
    term.add(view, system)
    pull = abs(system.gradient[0, 46])
    share = 1 / (1 + deviations**2 / 9) ** 2
    assert pull == pytest.approx(deviations * share * 1000 / 4), "a quarter of the pull is left at three deviations"


def test_a_camera_that_looks_down_sees_the_floor_ahead_in_the_middle(open_body: Body) -> None:
    pitch, roll = 0.3, 0.2
    ahead = 3 * np.array([0.0, -np.sin(pitch), -np.cos(pitch)])
    term = t.Reprojection("points", tensor([[[0.0, 0.0]]]), tensor([[1.0]]), (0, 0))
    assert term.cost(view_of(open_body, [ahead], tilt_rad=np.array([pitch, 0.0]))) == pytest.approx(0, abs=1e-9)
    assert term.cost(view_of(open_body, [ahead], tilt_rad=np.array([-pitch, 0.0]))) > 1
    above = [[0.0, 1.0, -2.0]]  # a camera that is rolled clockwise sees what is above it on the left
    pixels = tensor([[[-500 * np.sin(roll), -500 * np.cos(roll)]]])
    tilted = view_of(open_body, above, tilt_rad=np.array([0.0, roll]))
    assert replace(term, target_px=pixels).cost(tilted) == pytest.approx(0, abs=1e-9)


def test_a_point_behind_the_camera_is_not_seen_mirrored(open_body: Body) -> None:
    term = t.Reprojection("points", tensor([[[-250.0, 0.0]]]), tensor([[1000.0]]), (0, 0))
    assert term.cost(view_of(open_body, [[1.0, 0.0, 4.0]])) == pytest.approx(robust((10000 + 250) ** 2 / 1000**2))


# ---------------------------------------------------------------------- depth


def depth_term(**changes: Any) -> t.Depth:
    one: dict[str, Any] = {
        "pairs": torch.tensor([[0, 1]]),
        "ray": tensor([[0.0, 0.0, 1.0]]),
        "target_m": tensor([[0.1]]),
        "sigma_m": tensor([[0.2]]),
        "caution": tensor([0.5]),
        "correlation": tensor([[1.0]]),
    }
    return t.Depth("points", **{**one, **changes})


def test_depth_grows_away_from_the_camera(open_body: Body) -> None:
    """The far end 0.3 m behind the near one where 0.1 m is expected: 0.2 m at 0.2 m times the caution of a half."""
    view = view_of(open_body, [[0.4, 0.2, -4.3], [0.0, 0.0, -4.0]])
    assert depth_term().cost(view) == pytest.approx(robust(2.0**2))
    assert depth_term(pairs=torch.tensor([[1, 0]])).cost(view) == pytest.approx(robust(4.0**2))
    assert depth_term(target_m=tensor([[np.nan]]), sigma_m=tensor([[np.inf]])).cost(view) == 0


def test_depth_is_taken_along_the_ray_to_the_person(open_body: Body) -> None:
    view = view_of(open_body, [[0.5, 0.2, -4.0], [0.0, 0.0, -4.0]])
    assert depth_term(ray=tensor([[0.6, 0.0, 0.8]])).cost(view) == pytest.approx(robust(((0.3 - 0.1) / 0.1) ** 2))
    assert depth_term(ray=tensor([[0.0, 0.6, 0.8]])).cost(view) == pytest.approx(robust(((-0.12 - 0.1) / 0.1) ** 2)), (
        "y is down"
    )


def test_correlated_errors_are_made_independent(open_body: Body) -> None:
    """Residuals 2 and 1 with a correlation of 0.6 are 2 and (1 - 0.6 * 2) / 0.8 independent ones."""
    view = view_of(open_body, [[0, 0, -4.2], [0, 0, -4.0], [0, 0, -4.1]])
    term = depth_term(
        pairs=torch.tensor([[0, 1], [2, 1]]),
        target_m=tensor([[0.0, 0.0]]),
        sigma_m=tensor([[0.1, 0.1]]),
        caution=tensor([1.0, 1.0]),
        correlation=tensor([[1.0, 0.6], [0.6, 1.0]]),
    )
    assert term.cost(view) == pytest.approx(robust(4.0) + robust(0.25**2))


# ---------------------------------------------------------------------- space


def test_positions_count_from_the_middle_of_the_hips_or_from_the_origin(open_body: Body) -> None:
    view = view_of(open_body, [[1.0, 0, 0], [3.0, 0, 0], [2.0, 5.0, 1.0]])
    target = tensor([[[-1.0, 0, 0], [1.0, 0, 0], [0.0, 5.0, 1.2]]])
    sigma = tensor([[0.1, 0.1, 0.1]])
    assert t.Positions("points", target, sigma, (0, 1)).cost(view) == pytest.approx(robust(4.0))
    there = t.Positions("points", target + tensor([2.0, 0, 0]), sigma, None)
    assert there.cost(view) == pytest.approx(robust(4.0))
    assert replace(there, robust=False).cost(view) == pytest.approx(0.5 * 4.0)
    unseen = target.clone()
    unseen[0, 2] = torch.nan
    assert t.Positions("points", unseen, tensor([[0.1, 0.1, np.inf]]), (0, 1)).cost(view) == pytest.approx(0)


# ---------------------------------------------------------------------- postures


def test_a_prior_counts_standard_deviations(open_body: Body) -> None:
    mean, sigma = torch.zeros(UNKNOWNS).double(), torch.full((UNKNOWNS,), torch.inf).double()
    mean[KNEE], sigma[KNEE] = 0.5, 0.2
    view = posed(open_body, {KNEE: 1.7, HIP_R: 1.0}, frames=2)
    assert t.PosePrior(mean, sigma).cost(view) == pytest.approx(2 * 0.5 * 36.0)
    hinge = torch.zeros(UNKNOWNS, dtype=torch.bool)
    hinge[KNEE] = True
    assert t.PosePrior(mean, sigma, hinge).cost(view) == pytest.approx(2 * robust(36.0)), "the pull fades for this unknown"
    assert t.PosePrior(mean, sigma, ~hinge).cost(view) == pytest.approx(2 * 0.5 * 36.0), "and for this one alone"
    per_frame = torch.stack([sigma, torch.full_like(sigma, torch.inf)])
    assert t.PosePrior(mean, per_frame).cost(view) == pytest.approx(0.5 * 36.0), "a frame of which nothing is known"


def test_a_rhythm_is_a_combination_of_angles(open_body: Body) -> None:
    rows = torch.zeros(1, UNKNOWNS).double()
    rows[0, KNEE], rows[0, HIP_R] = 2.0, -1.0
    view = posed(open_body, {KNEE: 0.4, HIP_R: 0.3})
    assert t.Rhythm(rows, tensor([0.1]), tensor([0.2])).cost(view) == pytest.approx(0.5 * 2.0**2)


@pytest.mark.parametrize(
    ("beyond", "residual"), [(-1.0, np.exp(-1)), (0.0, 1.0), (1.0, np.e), (3.0, np.exp(3)), (4.0, 2 * np.exp(3))]
)
def test_the_barrier_is_exponential_on_both_sides_and_linear_beyond_three_units(
    open_body: Body, beyond: float, residual: float
) -> None:
    low, high = torch.full((2, UNKNOWNS), torch.inf).double() * tensor([[-1], [1]])
    low[KNEE], high[KNEE] = -0.4, 0.7
    wall = t.Limits(low, high, scale_rad=0.1, weight=0.5)
    for value in (0.7 + 0.1 * beyond, -0.4 - 0.1 * beyond):
        assert wall.cost(posed(open_body, {KNEE: value})) == pytest.approx(0.5 * (0.5 * residual) ** 2, rel=1e-3)


def test_a_wall_pushes_back_by_its_slope(open_body: Body) -> None:
    """One unit beyond, the residual is 0.5 e and its slope 0.5 e per unit of 0.1 rad, towards the inside."""
    low, high = torch.full((2, UNKNOWNS), torch.inf).double() * tensor([[-1], [1]])
    low[KNEE], high[KNEE] = -0.4, 0.7
    for value, sign in ((0.8, 1), (-0.5, -1)):
        view = posed(open_body, {KNEE: value})
        system = Problem(open_body, {}, []).system(view)
        t.Limits(low, high, scale_rad=0.1, weight=0.5).add(view, system)
        assert system.gradient[0, KNEE] == pytest.approx(sign * (0.5 * np.e) ** 2 / 0.1, rel=1e-3)
        assert system.diagonal[0, KNEE, KNEE] == pytest.approx((0.5 * np.e / 0.1) ** 2, rel=1e-3)
        assert np.count_nonzero(system.diagonal) == np.count_nonzero(system.gradient) == 1


@pytest.mark.parametrize("side", [0, 1])
def test_every_limit_of_skel_is_a_barrier_on_both_sides(open_body: Body, side: int) -> None:
    wall, sign = priors.limits(), (-1, 1)[side]
    for column, name in enumerate(DOF_NAMES):
        if np.isnan(LIMITS_RAD[column, side]) or name.startswith("scapula_elevation"):
            continue
        inside, outside = (
            wall.cost(posed(open_body, {column: LIMITS_RAD[column, side] + sign * 0.06 * units})) for units in (-1.0, 2.0)
        )
        assert outside - inside > 0.5 * 0.6**2 * (np.exp(4) - np.exp(2)), name
        assert inside < 0.5 * 0.6**2 * np.exp(4), f"{name}: inside its range"


def test_an_even_acceleration_is_seen_through_uneven_frames(open_body: Body) -> None:
    """q = 3 t^2 accelerates by 6 per s^2 in every triple of frames."""
    time_s = np.array([0.0, 0.1, 0.25, 0.3, 0.5])
    q = np.zeros((5, UNKNOWNS))
    q[:, KNEE] = 3 * time_s**2 + time_s - 2
    term = t.Smoothness(time_s, np.full(UNKNOWNS, 4.0))
    assert term.cost(view_of(open_body, q=tensor(q))) == pytest.approx(3 * 0.5 * 1.5**2)
    late = t.Smoothness(time_s + np.array([0, 0, 0, 1.0, 1.0]), np.full(UNKNOWNS, 4.0))
    assert late.cost(view_of(open_body, q=tensor(q))) == pytest.approx(0.5 * 1.5**2), "only the triple before the gap"
    assert t.Smoothness(time_s[:2], np.ones(UNKNOWNS)).cost(view_of(open_body, q=tensor(q[:2]))) == 0


# ---------------------------------------------------------------------- shared unknowns


def test_the_shared_prior_knows_the_population_and_the_camera(open_body: Body) -> None:
    offsets, betas = np.zeros((8, 3)), np.zeros(10)
    offsets[2, 1], betas[3] = 0.03, 1.5
    view = view_of(open_body, betas=betas, offsets_m=offsets, focal_px=800 * np.exp(0.2))
    term = t.SharedPrior(0.5, 0.01, 800.0, 0.1)
    assert term.cost(view) == pytest.approx(0.5 * 3**2 + 0.5 * 3**2 + 0.5 * 2**2)


def test_a_known_height_is_a_line_in_the_betas(open_body: Body) -> None:
    slope = np.array([0.05, -0.02, *np.zeros(8)])
    view = view_of(open_body, betas=np.array([1.0, 2.0, *np.zeros(8)]))
    assert t.Stature(1.75, 1.70, slope, 0.02).cost(view) == pytest.approx(0.5 * ((1.71 - 1.75) / 0.02) ** 2)
    (at_zero_m, by_betas_m), betas = open_body.data.stature_line, np.random.default_rng(0).normal(size=10)
    skin, (top, heel) = open_body.rest(betas).skin_m, open_body.data.stature_vertices
    assert at_zero_m + by_betas_m @ betas == pytest.approx(skin[top, 1] - skin[heel, 1])


# ---------------------------------------------------------------------- feet


def test_a_standing_sole_that_moves_counts_by_its_speed(open_body: Body) -> None:
    """0.02 m, forwards or upwards, in 0.1 s is 0.2 m/s; a point stands through a step as far as it does at both ends."""
    for step in ([0.02, 0, 0], [0, 0.02, 0], [0, 0, 0.02]):
        view = view_of(open_body, [[0.0, 0, 0]], trans_m=[[0, 0, 0], step])
        for standing in ([[0.5], [0.8]], [[0.8], [0.5]]):
            term = t.Contacts("points", np.array([0.0, 0.1]), tensor(standing), 0.4)
            assert term.cost(view) == pytest.approx(0.5 * 0.5 * 0.5**2)


def test_standing_soles_lie_on_the_floor_and_none_lies_under_it(open_body: Body) -> None:
    def cost(height: float, standing: float) -> float:
        return t.Floor("points", tensor([[standing]]), 0.04, 0.01).cost(
            view_of(open_body, [[0, height - 0.9, 0]], floor_m=-0.9)
        )

    assert cost(0.02, 0.36) == pytest.approx(0.5 * 0.36 * 0.25)
    assert cost(0.02, 0.0) == 0
    assert cost(-0.02, 0.0) == pytest.approx(0.5 * 2.0**2)
    assert cost(-0.02, 1.0) == pytest.approx(0.5 * 2.0**2), "under the floor the stricter deviation counts"


def test_the_centre_of_mass_is_over_the_soles_that_carry_it(open_body: Body) -> None:
    """A quarter of the mass at x = 0.4, the rest at 0: 0.1 m; the soles carry at 0.02 and are 0.03 m behind."""
    view = view_of(open_body, [[0.4, 1.0, 0.0], [0.0, 2.0, 0.2], [0.04, 0.0, 0.0], [0.0, 0.0, 0.2]])
    term = t.Balance(
        "points",
        tensor([0.25, 0.75, 0, 0]),
        "others",
        tensor([[0, 0, 0.5, 0.5]]),
        tensor([10.0]),
        tensor([[0.03, 0.0]]),
    )
    across, along = 0.1 - 0.02 - 0.03, 0.15 - 0.1
    assert term.cost(view) == pytest.approx(0.5 * 100 * (across**2 + along**2))
    both = replace(term, support=term.support.repeat(2, 1), gain=tensor([0.0, 10.0]), ahead_m=term.ahead_m.repeat(2, 1))
    assert both.cost(view_of(open_body, view.points("points")[0].tolist(), trans_m=np.zeros((2, 3)))) == term.cost(view)
    assert both.at(slice(1, 2)).cost(view) == term.cost(view)


# ---------------------------------------------------------------------- what is known of postures


def test_relaxed_standing_has_hanging_arms_and_slightly_bent_hinges() -> None:
    mean = dict(zip(DOF_NAMES, np.degrees(priors.mean_pose()), strict=True))
    wanted = {"knee_angle_r": 5, "knee_angle_l": 5, "elbow_flexion_r": 15, "elbow_flexion_l": 15}
    wanted |= {"shoulder_r_x": 80, "shoulder_l_x": -80}
    assert {name: pytest.approx(value) for name, value in wanted.items()} == {name: mean[name] for name in wanted}
    assert all(value == 0 for name, value in mean.items() if name not in wanted)


@pytest.mark.parametrize(
    ("name", "deg"),
    [("thorax_bending", 8), ("scapula_upward_rot_l", 10), ("ankle_angle_r", 40), ("hip_flexion_l", 70), ("shoulder_l_y", 70)],
)
def test_the_spread_of_an_angle_is_one_standard_deviation(open_body: Body, name: str, deg: float) -> None:
    mean = dict(enumerate(priors.mean_pose()))
    column = DOF_NAMES.index(name)
    away = posed(open_body, {**mean, column: mean[column] + 2 * np.radians(deg)})
    assert priors.pose_prior().cost(posed(open_body, mean)) == pytest.approx(0, abs=1e-12)
    assert priors.pose_prior().cost(away) == pytest.approx(0.5 * 2**2)


@pytest.mark.parametrize(("name", "deg"), [("knee_angle_l", 80), ("elbow_flexion_r", 30), ("shoulder_l_x", 25)])
def test_hinges_are_drawn_straight_only_while_they_are_nearly_so(open_body: Body, name: str, deg: float) -> None:
    mean, column = dict(enumerate(priors.mean_pose())), DOF_NAMES.index(name)
    away = posed(open_body, {**mean, column: mean[column] + 1.5 * np.radians(deg)})
    assert priors.pose_prior().cost(away) == pytest.approx(robust(1.5**2))
    assert priors.pose_prior(straight=False).cost(away) == pytest.approx(robust((1.5 * deg / 70) ** 2))


def test_the_root_and_the_place_are_free(open_body: Body) -> None:
    free = dict.fromkeys([0, 1, 2, 46, 47, 48], 2.0)
    view = posed(open_body, {**dict(enumerate(priors.mean_pose())), **free})
    assert priors.pose_prior().cost(view) == pytest.approx(0, abs=1e-12)


def test_the_back_rounds_as_the_hips_bend(open_body: Body) -> None:
    """15 % in the lumbar spine and 10 % in the thorax of what both hips bend on average."""
    lumbar, thorax = (DOF_NAMES.index(f"{name}_extension") for name in ("lumbar", "thorax"))
    rhythm = priors.spine_rhythm()
    for right, left in ((1.0, 1.0), (2.0, 0.0), (0.5, 1.5)):
        view = posed(open_body, {HIP_R: right, HIP_L: left, lumbar: -0.15, thorax: -0.1})
        assert rhythm.cost(view) == pytest.approx(0, abs=1e-12)
    straight = posed(open_body, {HIP_R: 1.0, HIP_L: 1.0})
    wanted = 0.5 * (0.15 / np.radians(9)) ** 2 + 0.5 * (0.1 / np.radians(8)) ** 2
    assert rhythm.cost(straight) == pytest.approx(wanted)


@pytest.mark.parametrize("side", "rl")
def test_scapulas_may_rest_where_skels_limits_exclude_it(open_body: Body, side: str) -> None:
    column = DOF_NAMES.index(f"scapula_elevation_{side}")
    rest, down, up, far = (priors.limits().cost(posed(open_body, {column: value})) for value in (0.0, -0.2, 0.2, 9.0))
    assert max(down, up) - rest < 0.5 * 0.6**2, "the rest pose is within both walls, by 0.2 rad"
    assert far > 1e3


# ---------------------------------------------------------------------- points on the body


def placed(body: Body, maker: Any, offsets_m: np.ndarray | None = None) -> np.ndarray:
    """(P, 3) points of the rest pose, rest axes: x to the left, y up, z forward."""
    points = maker(np.zeros(10), np.zeros((8, 3)) if offsets_m is None else offsets_m)
    pose = body.tree(np.zeros(10)).forward(np.zeros(UNKNOWNS))
    return pose.points(points.bodies, points.local_m).numpy()


def test_sole_points_are_where_their_names_say(open_body: Body) -> None:
    at = dict(zip(SolePoints.NAMES, placed(open_body, SolePoints(open_body)), strict=True))
    for side, outward in (("r", -1.0), ("l", 1.0)):
        heel, inner, outer, toe = (at[f"{name}_{side}"] for name in ("heel", "ball_in", "ball_out", "toe"))
        assert outward * heel[0] > 0, "left is +x"
        assert 0.02 < outward * (outer[0] - inner[0]) < 0.09
        assert heel[2] + 0.08 < min(inner[2], outer[2]) and max(inner[2], outer[2]) + 0.02 < toe[2]
        assert abs(inner[2] - outer[2]) < 0.03
        assert np.ptp([p[1] for p in (heel, inner, outer, toe)]) < 0.02
    np.testing.assert_allclose(
        [at[f"{name}_r"] * [-1, 1, 1] for name in ("heel", "toe")], [at[f"{name}_l"] for name in ("heel", "toe")], atol=0.01
    )


def test_an_offset_moves_the_left_landmark_and_mirrors_the_right_one(open_body: Body) -> None:
    landmarks = KeypointPoints.of(open_body, "blazepose33")
    for pair, place in enumerate(OFFSET_PLACES):
        offsets = np.zeros((8, 3))
        offsets[pair] = [0.01, 0.02, 0.03]
        moved = dict(zip(landmarks.names, placed(open_body, landmarks, offsets) - placed(open_body, landmarks), strict=True))
        for name, by in moved.items():
            wanted = {f"left_{place}": [0.01, 0.02, 0.03], f"right_{place}": [-0.01, 0.02, 0.03]}.get(name, [0, 0, 0])
            np.testing.assert_allclose(by, wanted, atol=1e-9, err_msg=f"{name}, offset of {place}")


def test_the_support_lies_two_fifths_of_the_foot_before_the_heel() -> None:
    both = support_of(np.ones((1, 8)))[0]
    np.testing.assert_allclose(both, np.array([0.45, 0.25, 0.25, 0.05] * 2) / 2)
    one = support_of(np.array([[0, 0, 0, 0, 1.0, 0.0, 0.0, 1.0], [0.0] * 8]))
    np.testing.assert_allclose(one, [[0, 0, 0, 0, 0.9, 0, 0, 0.1], [0.0] * 8], atol=1e-12)


def test_segments_carry_the_whole_mass_on_their_own_bones(open_body: Body) -> None:
    shares = MassPoints(open_body).shares.numpy()
    assert shares.sum() == pytest.approx(1)
    assert sum(SEGMENT_PERCENT["male"][segment[3]] for segment in SEGMENTS) == pytest.approx(100, abs=2)
    names = [segment[0] for segment in SEGMENTS]
    for one, other in pairwise(names):
        if one.endswith("_r") and other == f"{one[:-2]}_l":
            assert shares[names.index(one)] == shares[names.index(other)]
    centres, joints = placed(open_body, MassPoints(open_body)), open_body.rest(np.zeros(10)).joints_m
    for (bone, far, share, _), centre in zip(SEGMENTS, centres, strict=True):
        start, end = joints[JOINT_NAMES.index(bone)], joints[JOINT_NAMES.index(far)]
        np.testing.assert_allclose(centre, (1 - share) * start + share * end, atol=1e-6, err_msg=bone)


# ---------------------------------------------------------------------- guesses and uncertainty


def test_a_step_moves_every_unknown_by_its_own_share() -> None:
    state = State(torch.zeros(2, UNKNOWNS).double(), np.zeros(10), np.zeros(2), 0.0, 1000.0)
    shared = np.arange(SHARED) / 100
    moved = state.moved(np.ones((2, UNKNOWNS)), shared)
    assert moved.q.numpy() == pytest.approx(1)
    np.testing.assert_allclose(moved.betas, shared[:10])
    np.testing.assert_allclose(moved.offsets_m.ravel(), shared[10:34])
    assert FOCAL == 34 and moved.focal_px == pytest.approx(1000 * np.exp(0.34))
    shared[FOCAL] = -0.1
    assert state.moved(np.zeros((2, UNKNOWNS)), shared).focal_px == pytest.approx(1000 * np.exp(-0.1))


@pytest.mark.parametrize(("rate_hz", "frames_alike"), [(30.0, 9.0), (60.0, 18.0), (2.0, 1.0)])
def test_what_a_detector_shows_within_a_third_of_a_second_counts_once(
    open_body: Body, rate_hz: float, frames_alike: float
) -> None:
    """Evidence of single frames within 0.3 s is one piece of evidence: nine frames at 30 Hz, eighteen at 60 Hz."""
    prior = t.PosePrior(torch.zeros(UNKNOWNS).double(), torch.full((UNKNOWNS,), 0.1).double())
    view = posed(open_body, {}, frames=40)
    sd = standard_deviation(Problem(open_body, {}, [prior]), view.state, np.arange(40) / rate_hz)
    assert np.sqrt((sd**2).mean()) == pytest.approx(0.1 * np.sqrt(frames_alike), rel=0.02)


def test_terms_between_frames_are_not_weakened(open_body: Body) -> None:
    """Against the dense inverse: nine frames' evidence is that of one, accelerations count as they are."""
    frames, step_s = 40, 1 / 30
    time_s = step_s * np.arange(frames)
    prior = t.PosePrior(torch.zeros(UNKNOWNS).double(), torch.full((UNKNOWNS,), 0.1).double())
    view = posed(open_body, {}, frames=frames)
    sd = standard_deviation(Problem(open_body, {}, [prior, t.Smoothness(time_s, np.ones(UNKNOWNS))]), view.state, time_s)
    second = np.diff(np.eye(frames), 2, axis=0) / step_s**2
    exact = np.sqrt(np.diag(np.linalg.inv(np.eye(frames) / 0.1**2 / 9 + second.T @ second)))
    np.testing.assert_allclose(np.sqrt((sd**2).mean(axis=1)), exact, rtol=0.08)


def test_the_uncertainty_ignores_the_caution_of_the_fit(open_body: Body) -> None:
    view = view_of(open_body, [[0, 0, -4.2], [0, 0, -4.0]])

    def sd(caution: float) -> np.ndarray:
        terms = [
            depth_term(caution=tensor([caution])),
            t.PosePrior(view.state.q.clone(), torch.full((UNKNOWNS,), 1.0).double()),
        ]
        makers = {"points": SolePoints(open_body)}
        return standard_deviation(Problem(open_body, makers, terms), view.state, np.zeros(1))

    np.testing.assert_allclose(sd(0.1), sd(10.0))

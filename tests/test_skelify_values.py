"""SKELify's objective, term by term, against numbers worked out by hand; the schedules of the release."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hsmr_bio.fitting.skelify import objective as terms
from hsmr_bio.fitting.skelify.lbfgs import _small
from hsmr_bio.hsmr.losses import LIMIT_DOFS, angle_prior

SHOULDER_R, HIP_R, SHOULDER_L, HIP_L = 2, 9, 5, 12


def label_of(right: float, left: float, people: int = 1) -> torch.Tensor:
    """(B, 44, 3) keypoints at the origin but for shoulders, so long above their hips; confidence 1."""
    label = torch.zeros(people, 44, 3, dtype=torch.float64)
    label[..., 2] = 1
    label[:, SHOULDER_R, 1], label[:, SHOULDER_L, 0] = right, left
    return label


def term(name: str, **given: object) -> float:
    """One term of a stage with weights 1; what is not given plays no part in it."""
    people = len(next(value for value in given.values() if isinstance(value, torch.Tensor)))
    label = label_of(0.4, 0.4, people)
    values = {"projected": label[..., :2], "label": label, "poses_rad": torch.zeros(people, 46).double()}
    values |= {"betas": torch.zeros(people, 10).double(), "translation_m": torch.zeros(people, 3).double()}
    values |= {"depth_target_m": torch.zeros(people).double(), "keypoints": "all", **given}
    stage = terms.Stage(name="s", loops=1, depth=1, shape=1, angle=1, keypoints=str(values.pop("keypoints")))
    return float(terms.stage_terms(stage, **values)[name])


def rho(distance: float) -> float:
    """The robust function by hand."""
    return 1e4 * distance**2 / (1e4 + distance**2)


def test_a_person_is_as_large_as_the_mean_of_both_torso_sides() -> None:
    label = label_of(0.3, 0.5)
    assert float(terms.person_scale(label)) == pytest.approx(0.4)
    label[0, 0, :2] = 9.0
    assert float(terms.person_scale(label)) == pytest.approx(0.4), "other keypoints do not count"


def test_distances_are_in_torso_lengths() -> None:
    label = torch.cat([label_of(0.4, 0.4), label_of(0.2, 0.2)])
    projected = label[..., :2].clone()
    projected[:, 0, 0] += 1.0
    wanted = (rho(2.5) + rho(5.0)) / 2
    assert term("reprojection", projected=projected, label=label) == pytest.approx(wanted, rel=1e-4)


def test_the_reprojection_is_robust_and_counts_the_square_of_the_confidence() -> None:
    """Two people; one keypoint of one of them is 0.2 off in x, half a torso, with confidence 0.5."""
    label = label_of(0.4, 0.4, people=2)
    projected = label[..., :2].clone()
    projected[0, 4, 0] += 0.2
    label[0, 4, 2] = 0.5
    assert float(terms.robust(torch.tensor(0.5))) == pytest.approx(rho(0.5))
    assert float(terms.robust(torch.tensor(200.0))) == pytest.approx(8000)
    wanted = 0.25 * rho(0.5) / 2
    assert term("reprojection", projected=projected, label=label) == pytest.approx(wanted, rel=1e-4)
    assert term("reprojection", projected=projected, label=label, keypoints="torso") == 0, "a wrist is none of the torso"


def test_the_depth_is_where_the_torso_has_its_size() -> None:
    points = torch.zeros(1, 44, 3).double()
    points[0, SHOULDER_R, 1], points[0, SHOULDER_L, 2] = 0.5, 0.7
    label = label_of(0.2, 0.4)
    assert float(terms.guess_depth(points, label)) == pytest.approx(terms.FOCAL_PATCH * 0.6 / 0.3)
    unsure = label.clone()
    unsure[0, SHOULDER_R, 2] = 0.0
    assert float(terms.guess_depth(points, unsure)) == pytest.approx(terms.FOCAL_PATCH * 2)
    with_confidence = (np.hypot(0.2, 1.0) + 0.4) / 2
    assert float(terms.guess_depth(points, unsure, with_confidence=True)) == pytest.approx(
        terms.FOCAL_PATCH * 0.6 / with_confidence
    )
    far = torch.tensor([[1.0, 2.0, 43.0], [0.0, 0.0, 40.0]]).double()
    assert term("depth", depth_target_m=torch.tensor([40.0, 40.0]).double(), translation_m=far) == pytest.approx(4.5)


def test_priors_are_means_over_people() -> None:
    betas, poses = torch.zeros(2, 10).double(), torch.zeros(2, 46).double()
    betas[0, :2] = torch.tensor([1.0, 2.0])
    poses[1, 9] = 2.0
    assert term("shape_prior", betas=betas) == pytest.approx(2.5)
    assert term("angle_prior", poses_rad=poses) == pytest.approx(float(angle_prior(poses).sum()) / (2 * len(LIMIT_DOFS)))


def test_every_weight_enters_squared() -> None:
    stage = terms.Stage(name="s", loops=1, depth=3.0, reprojection=2.0, shape=5.0, angle=0.5)
    label = label_of(0.4, 0.4)
    projected, poses = label[..., :2].clone(), torch.zeros(1, 46).double()
    projected[0, 0, 0] = 0.04
    betas, place, target = torch.ones(1, 10).double(), torch.tensor([[0.0, 0, 41.0]]).double(), torch.tensor([40.0]).double()
    found = terms.stage_terms(stage, projected, label, poses, betas, place, target)
    assert float(found["depth"]) == pytest.approx(9)
    assert float(found["shape_prior"]) == pytest.approx(25 * 10)
    assert float(found["reprojection"]) == pytest.approx(4 * 0.01, rel=1e-3)
    assert float(found["angle_prior"]) == pytest.approx(0.25 * float(angle_prior(poses).mean()))
    assert float(terms.torch_sum(found)) == pytest.approx(sum(map(float, found.values())))
    silent = terms.Stage(name="s", loops=1, reprojection=0.0)
    assert terms.stage_terms(silent, projected, label, poses, betas, place, target) == {}


def test_the_schedules_are_the_releases() -> None:
    stages = terms.FULL.stages
    assert [stage.loops for stage in stages] == [30] * 5 and [stage.loops for stage in terms.REFINE.stages] == [10]
    first = stages[0]
    assert (first.camera_only, first.keypoints, first.depth, first.reprojection) == (True, "torso", 100, 1.78)
    assert [stage.shape for stage in stages] == [0, 100, 50, 10, 5]
    assert [stage.angle for stage in stages] == pytest.approx([0, 404 * 1.7, 404 * 1.7, 57.4 * 1.7, 4.78 * 1.7])
    (refine,) = terms.REFINE.stages
    assert (refine.shape, refine.camera_only, refine.reprojection) == (5, False, 1.0)
    assert refine.angle == pytest.approx(4.78 * 0.17)
    assert all(not stage.camera_only and stage.keypoints == "all" for stage in stages[1:])


def test_an_error_is_weighed_by_confidence_over_all_keypoints() -> None:
    label = label_of(0.4, 0.4)
    projected = label[..., :2].clone()
    projected[0, 0] += torch.tensor([0.3, 0.4]).double()
    label[0, 1:, 2] = 0.0
    label[0, 1, 2] = 1.0
    assert float(terms.keypoint_error(projected, label)) == pytest.approx(0.25 / 2, rel=1e-4)


@pytest.mark.parametrize(("before", "after", "change"), [(0.5, 0.4, 0.1), (200.0, 100.0, 0.5), (100.0, 200.0, 0.5)])
def test_a_change_is_relative_to_the_larger_value_or_to_one(before: float, after: float, change: float) -> None:
    assert terms.relative_change(before, after) == pytest.approx(change)


def test_a_gradient_is_small_by_its_largest_component() -> None:
    """The release looks at the largest signed component; so for parity."""
    gradient = torch.tensor([1e-12, -1.0])
    assert not _small(gradient, 1e-9, False) and _small(gradient, 1e-9, True)
    assert _small(gradient, 2.0, False) and _small(None, 1e-9, False)

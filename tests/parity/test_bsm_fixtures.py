"""The shipped model in OpenSim against 200 poses of nimblephysics' CompleteHumanModel (shared/fixtures/bsm)."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

FIXTURE = Path(__file__).resolve().parents[2].parent / "shared" / "fixtures" / "bsm" / "bsm_fk_200.npz"
BELOW_KNEE = ("tibia", "talus", "calcn", "toes")


@pytest.fixture(scope="module")
def placed(opensim_model):
    if not FIXTURE.is_file():
        pytest.skip("the fixtures of the development data (../shared) are not here")
    loaded = opensim_model(files("hsmr_bio.osim_models") / "bsm.osim")
    with np.load(FIXTURE) as data:
        reference = dict(data)
    bodies = [str(name) for name in reference["bodies"]]
    positions, rotations = np.zeros((200, 24, 3)), np.zeros((200, 24, 3, 3))
    for k, q in enumerate(reference["q"]):
        loaded.place({str(n): v for n, v in zip(reference["coordinates"], q, strict=True)})
        for j, name in enumerate(bodies):
            positions[k, j], rotations[k, j] = loaded.body(name)
    far = np.linalg.norm(positions - reference["body_pos_girdle"], axis=-1)
    between = rotations.swapaxes(-1, -2) @ reference["body_rot_girdle"]
    turned = np.degrees(np.linalg.norm(between - np.eye(3), axis=(-1, -2)) / np.sqrt(2))
    return reference, bodies, far, turned


@pytest.mark.opensim
def test_poses_with_knees_inside_the_published_range(placed) -> None:
    reference, _, far, turned = placed
    inside = reference["knee_within_knots"]
    assert far[inside].max() <= 1e-4
    assert turned[inside].max() <= 0.01


@pytest.mark.opensim
def test_all_poses_above_the_knee(placed) -> None:
    _, bodies, far, turned = placed
    above = [j for j, name in enumerate(bodies) if not name.startswith(BELOW_KNEE)]
    assert far[:, above].max() <= 1e-4
    assert turned[:, above].max() <= 0.01


@pytest.mark.opensim
def test_bent_knees_stay_near_nimbles_continuation(placed) -> None:
    _, _, far, turned = placed
    assert far.max() <= 2e-4
    assert turned.max() <= 0.02

"""Depths of bones from image points alone: errors, symmetry, what is not seen, and a person's size over time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hsmr_bio.body.keypoint_table import keypoint_sets, point_names
from hsmr_bio.fitting.video import pixel_depth as pd

NAMES = point_names("blazepose33")


@pytest.fixture
def looks(golden: Path) -> dict[str, np.ndarray]:
    """What the built-in detector saw of renders, and the true depths; none of them was trained on."""
    return {name: array.astype(np.float64) for name, array in np.load(golden / "detector_looks.npz").items()}


def read(px: np.ndarray, names: tuple[str, ...] = NAMES, confidence: np.ndarray | None = None) -> pd.BoneDepths:
    """Depths of single images: they are too near in time to show a person's size."""
    sure = np.ones(px.shape[:2]) if confidence is None else confidence
    found = pd.read_pixel_depths(names, 1e-3 * np.arange(len(px)), px, sure)
    assert found is not None
    return found


def true_of(found: pd.BoneDepths, looks: dict[str, np.ndarray]) -> np.ndarray:
    far, near = found.pairs.numpy().T
    return looks["true_m"][:, far] - looks["true_m"][:, near]


@pytest.mark.parametrize(
    ("bone", "share"), [("hip", 0.45), ("shoulder", 0.6), ("knee", 0.8), ("ankle", 0.8), ("foot_index", 0.5)]
)
def test_the_networks_know_more_than_the_mean(looks: dict[str, np.ndarray], bone: str, share: float) -> None:
    found = read(looks["px"])
    columns = [c for c, (far, _) in enumerate(found.pairs.tolist()) if NAMES[far].endswith(bone)]
    true = true_of(found, looks)[:, columns]
    error = found.depth_m.numpy()[:, columns] - true
    assert np.sqrt(np.mean(error**2)) < share * true.std()


def test_the_deviations_match_the_errors(looks: dict[str, np.ndarray]) -> None:
    found = read(looks["px"])
    ratio = (found.depth_m.numpy() - true_of(found, looks)) / found.sigma_m.numpy()
    assert 0.7 < np.sqrt(np.mean(ratio**2)) < 1.4


def test_place_size_and_camera_do_not_matter_and_a_mirror_image_is_mirrored(looks: dict[str, np.ndarray]) -> None:
    found = read(looks["px"])
    np.testing.assert_allclose(read(2.5 * looks["px"] + (300, -40)).depth_m, found.depth_m, atol=1e-9)
    swap = [
        NAMES.index("_".join({"left": "right", "right": "left"}.get(part, part) for part in name.split("_"))) for name in NAMES
    ]
    other = read(looks["px"][:, swap] * (-1, 1))
    columns = {NAMES[far]: column for column, (far, _) in enumerate(found.pairs.tolist())}
    left, right = columns["left_knee"], columns["right_knee"]
    np.testing.assert_allclose(other.depth_m[:, left], found.depth_m[:, right], atol=1e-9)
    hips = found.pairs.tolist().index([NAMES.index("left_hip"), NAMES.index("right_hip")])
    np.testing.assert_allclose(other.depth_m[:, hips], -found.depth_m[:, hips], atol=1e-9)


def test_what_is_not_seen_has_no_depth_and_does_not_spoil_the_rest(looks: dict[str, np.ndarray]) -> None:
    sure = np.ones(looks["px"].shape[:2])
    sure[:, NAMES.index("left_ankle")] = 0
    px = looks["px"].copy()
    px[:, NAMES.index("left_ankle")] = np.nan
    found, whole = read(px, confidence=sure), read(looks["px"])
    columns = {NAMES[far]: column for column, (far, _) in enumerate(found.pairs.tolist())}
    assert found.depth_m[:, columns["left_ankle"]].isnan().all()
    error = (found.depth_m - whole.depth_m)[:, columns["right_knee"]]
    assert error.isfinite().all() and error.abs().median() < 0.05
    px[2, NAMES.index("left_hip")] = np.nan
    assert read(px).depth_m[2].isnan().all()


@pytest.mark.parametrize("name", keypoint_sets())
def test_every_shipped_set_can_be_read(name: str) -> None:
    names = point_names(name)
    px = np.random.default_rng(0).normal(size=(3, len(names), 2)) * 50 + 200
    found = read(px, names)
    feet = 2 if any("heel" in point for point in names) else 0
    assert found.depth_m.shape == (3, 12 + feet) and found.depth_m.isfinite().all()
    assert found.correlation.shape == (12 + feet, 12 + feet)


def test_a_set_without_knees_cannot() -> None:
    names = tuple(name for name in NAMES if "knee" not in name)
    assert pd.read_pixel_depths(names, np.zeros(1), np.zeros((1, len(names), 2)), np.ones((1, len(names)))) is None


def stick(length: np.ndarray) -> np.ndarray:
    """(T, 16, 2) somebody whose trunk and leg appear as long as given."""
    places = {"shoulder": -0.4, "elbow": -0.3, "wrist": -0.2, "hip": 0.0, "knee": 0.3, "ankle": 0.6, "heel": 0.62, "toe": 0.62}
    one = np.array([(0.1 if name.startswith("left") else -0.1, places[name.partition("_")[2]]) for name in pd.NAMES])
    return one * length[:, None, None]


def test_the_size_is_kept_through_squats_and_follows_an_approach() -> None:
    time_s = np.arange(0, 12, 1 / 30)
    seen = np.ones((len(time_s), 16), dtype=bool)
    squats = 200 * (1 - 0.35 * np.clip(np.sin(2 * np.pi * time_s / 3), 0, 1))
    np.testing.assert_allclose(pd.stretched_px(time_s, stick(squats), seen), 200, rtol=0.04)
    coming = 600 / (6 - 0.35 * time_s)
    np.testing.assert_allclose(pd.stretched_px(time_s, stick(coming), seen), coming, rtol=0.06)
    hidden = seen.copy()
    hidden[100:160, pd.NAMES.index("left_knee")] = hidden[130:150, pd.NAMES.index("right_knee")] = False
    np.testing.assert_allclose(pd.stretched_px(time_s, stick(squats), hidden), 200, rtol=0.04)
    assert np.isnan(pd.stretched_px(time_s, stick(squats), np.zeros_like(seen))).all()
    assert np.isnan(pd.stretched_px(time_s[:1], stick(squats[:1]), seen[:1])).all(), "one picture does not show it"

"""Depths of the bones from the detector's landmarks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hsmr_bio.body import Body
from hsmr_bio.body.keypoint_table import keypoints_of
from hsmr_bio.fitting.core.terms import Depth
from hsmr_bio.fitting.video.bone_depth import (
    BONES,
    DETECTOR_SET,
    bone_pairs,
    bridged,
    drawn_bone_depths,
    mirrored,
    read_bone_depths,
)
from hsmr_bio.fitting.video.keypoints import Clip, FitOptions


@pytest.fixture(scope="module")
def names(open_body: Body) -> tuple[str, ...]:
    return tuple(name for name, _ in keypoints_of(open_body.data, DETECTOR_SET)[1])


@pytest.fixture
def renders(golden: Path) -> dict[str, np.ndarray]:
    """300 renders outside of the training set, with BlazePose landmarks: seed 9999 of ``tools/detector/pictures.py``."""
    return {name: array.astype(np.float64) for name, array in np.load(golden / "detector_looks.npz").items()}


def test_each_bone_of_both_sides_is_estimated(names: tuple[str, ...]) -> None:
    pairs = [pair for _, pair in bone_pairs(names)]
    assert len(pairs) == 2 + 2 * (len(BONES) - 2), "hips and shoulders lie across"
    assert len(set(pairs)) == len(pairs)
    assert (names.index("left_hip"), names.index("right_hip")) in pairs
    assert (names.index("right_knee"), names.index("right_hip")) in pairs


@pytest.mark.parametrize(
    ("bone", "share"), [("knee", 0.9), ("ankle", 0.9), ("elbow", 0.9), ("wrist", 0.92), ("foot_index", 0.6)]
)
def test_the_network_is_more_accurate_than_the_detectors_depth(
    names: tuple[str, ...], renders: dict[str, np.ndarray], bone: str, share: float
) -> None:
    """Against the detector's own depth of the bone with the best factor and shift for these images."""
    depths = read_bone_depths(names, renders["px"], renders["world_m"])
    columns = [c for c, (one, _) in enumerate(bone_pairs(names)) if one.far == bone]
    far, near = (depths.pairs[columns, k].numpy() for k in (0, 1))
    true, drawn = (
        (renders["true_m"][:, far] - renders["true_m"][:, near]),
        (renders["world_m"][:, far, 2] - renders["world_m"][:, near, 2]),
    )
    rescaled = np.polyval(np.polyfit(drawn.ravel(), true.ravel(), 1), drawn)
    error = depths.depth_m[:, columns].numpy() - true
    assert np.sqrt(np.mean(error**2)) < share * np.sqrt(np.mean((rescaled - true) ** 2))


def test_the_deviations_match_the_errors(names: tuple[str, ...], renders: dict[str, np.ndarray]) -> None:
    depths = read_bone_depths(names, renders["px"], renders["world_m"])
    pairs = depths.pairs.numpy()
    true = renders["true_m"][:, pairs[:, 0]] - renders["true_m"][:, pairs[:, 1]]
    ratio = (depths.depth_m.numpy() - true) / (depths.sigma_m.numpy())
    assert 0.7 < np.sqrt(np.mean(ratio**2)) < 1.3
    sigma = depths.sigma_m.numpy()
    clear, unclear = np.quantile(sigma, [0.1, 0.9], axis=0)
    assert (unclear > 1.1 * clear).all(), "some images show more than others"


def test_a_mirror_image_has_the_mirrored_depths(names: tuple[str, ...], renders: dict[str, np.ndarray]) -> None:
    swap = mirrored(names)
    depths = read_bone_depths(names, renders["px"], renders["world_m"])
    px, world = renders["px"][:, swap] * (-1, 1), renders["world_m"][:, swap] * (-1, 1, 1)
    other = read_bone_depths(names, px + np.array([640.0, 0.0]), world)
    left, right = (
        [c for c, (_, (far, _)) in enumerate(bone_pairs(names)) if names[far] == f"{side}_knee"] for side in ("left", "right")
    )
    np.testing.assert_allclose(other.depth_m[:, left], depths.depth_m[:, right], atol=1e-9)
    np.testing.assert_allclose(other.sigma_m[:, left], depths.sigma_m[:, right], rtol=1e-9)
    hips = [c for c, (bone, _) in enumerate(bone_pairs(names)) if bone.far == bone.near == "hip"]
    np.testing.assert_allclose(other.depth_m[:, hips], -depths.depth_m[:, hips], atol=1e-9)


def test_place_and_size_in_the_picture_do_not_matter(names: tuple[str, ...], renders: dict[str, np.ndarray]) -> None:
    depths = read_bone_depths(names, renders["px"], renders["world_m"])
    other = read_bone_depths(names, 2.5 * renders["px"] + (300.0, -40.0), renders["world_m"])
    np.testing.assert_allclose(other.depth_m, depths.depth_m, atol=1e-9)


def test_head_landmarks_are_no_input(names: tuple[str, ...], renders: dict[str, np.ndarray]) -> None:
    turned = renders["px"].copy()
    turned[:, [names.index(name) for name in ("nose", "left_ear", "right_eye", "mouth_left")]] += 40.0
    depths, other = (
        read_bone_depths(names, renders["px"], renders["world_m"]),
        read_bone_depths(names, turned, renders["world_m"]),
    )
    np.testing.assert_array_equal(other.depth_m, depths.depth_m)


def test_errors_of_the_thighs_are_correlated(names: tuple[str, ...], renders: dict[str, np.ndarray]) -> None:
    stored = read_bone_depths(names, renders["px"], renders["world_m"]).correlation.numpy()
    columns = [c for c, (bone, _) in enumerate(bone_pairs(names)) if bone.far == "knee"]
    assert stored[columns[0], columns[1]] > 0.2, "a tilt of the pelvis affects both thighs"
    np.linalg.cholesky(stored)


def test_a_short_jump_of_a_landmark_is_interpolated(names: tuple[str, ...], renders: dict[str, np.ndarray]) -> None:
    still_px, still_m = (np.repeat(renders[name][:1], 12, axis=0) for name in ("px", "world_m"))
    confidence, time_s = np.ones(still_px.shape[:2]), np.arange(12) / 30.0
    px, world, wrist = still_px.copy(), still_m.copy(), names.index("left_wrist")
    px[5, wrist] += 80.0
    world[5, wrist] -= 0.3
    confidence[5, wrist] = 0.04
    spoilt, sound = read_bone_depths(names, px, world), read_bone_depths(names, still_px, still_m)
    assert (spoilt.depth_m - sound.depth_m)[5].abs().max() > 0.02
    np.testing.assert_allclose(
        read_bone_depths(names, *bridged(time_s, px, world, confidence)).depth_m, sound.depth_m, atol=1e-9
    )
    confidence[2:, wrist] = 0.04  # never sure again: left as it is
    np.testing.assert_array_equal(bridged(time_s, px, world, confidence)[0], px)


def test_unseen_frames_have_no_depth(names: tuple[str, ...], renders: dict[str, np.ndarray]) -> None:
    px, world = renders["px"].copy(), renders["world_m"].copy()
    px[3], world[3] = np.nan, np.nan
    depths = read_bone_depths(names, px, world)
    assert depths.depth_m[3].isnan().all() and depths.depth_m[4].isfinite().all()
    assert depths.at(slice(3, 5)).depth_m.shape == (2, len(depths.pairs))


def test_another_detectors_depth_is_taken_as_it_is(open_body: Body) -> None:
    names = tuple(name for name, _ in keypoints_of(open_body.data, "coco17")[1])
    behind = np.random.default_rng(0).normal(size=(4, len(names)))
    depths = drawn_bone_depths(names, behind)
    (far, near), last = depths.pairs[-1].tolist(), len(depths.pairs) - 1
    np.testing.assert_allclose(depths.depth_m[:, last], behind[:, far] - behind[:, near])
    assert {names[i].split("_")[1] for pair in depths.pairs.tolist() for i in pair} <= {
        "hip",
        "knee",
        "ankle",
        "shoulder",
        "elbow",
        "wrist",
    }


def test_depths_are_those_of_a_person_of_165_centimetres(clip, open_body: Body) -> None:
    """Depths are those of a stature of 1.65 m and are scaled in proportion to the body's own stature."""
    seen = Clip.of(clip.observation, open_body, FitOptions())
    for beta in (-1.0, 2.0):
        betas = np.array([beta, *np.zeros(9)])
        state = replace(seen.start(), betas=betas)
        term = next(term for term in seen.image_terms(state) if isinstance(term, Depth))
        far, near = term.pairs.T
        drawn = clip.observation.keypoints_m[:, far, 2] - clip.observation.keypoints_m[:, near, 2]
        length = open_body.stature_m(betas) / 1.65
        known = np.isfinite(drawn)
        np.testing.assert_allclose(term.target_m.numpy()[known], length * drawn[known], atol=1e-12)
        np.testing.assert_allclose(term.sigma_m.numpy()[known], length * 0.1)
        assert np.isinf(term.sigma_m.numpy()[~known]).all() and (~known).any()

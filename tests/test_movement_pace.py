"""How noisy joint centres are, and how fast each limb moves, from the centres themselves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from hsmr_bio.fitting.core.priors import acceleration_sigma
from hsmr_bio.fitting.video.movement_pace import CENTRE_SIGMA_M, Pace, movement_pace
from hsmr_bio.skeleton import DOF_NAMES

NAMES = tuple(
    f"{joint}_{side}" for joint in ("hip", "knee", "ankle", "heel", "toe", "shoulder", "elbow", "wrist") for side in "rl"
)
RATE_HZ = 100.0
TIME_S = np.arange(300) / RATE_HZ
EVERYDAY = acceleration_sigma()
Noise = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


def stick_figure(leg_hz: float, arm_hz: float, time_s: np.ndarray = TIME_S) -> np.ndarray:
    """(T, 16, 3) a walker on the spot: legs swing by 35 degrees to both sides and bend by 50, arms do the same."""
    at: dict[str, np.ndarray] = {}
    for side, z in (("r", 0.1), ("l", -0.1)):
        for start, height, ends, hz in (("hip", 0.9, ("knee", "ankle"), leg_hz), ("shoulder", 1.4, ("elbow", "wrist"), arm_hz)):
            phase = 2 * np.pi * hz * time_s + (np.pi if side == "l" else 0.0)
            swing, bend = np.radians(35) * np.sin(phase), np.radians(25) * (1 - np.cos(phase))
            at[f"{start}_{side}"] = np.full((len(time_s), 3), (0.0, height, z * (1.0 if start == "hip" else 1.8)))
            lengths = (0.42, 0.41) if start == "hip" else (0.29, 0.25)
            for end, angle, length, before in zip(ends, (swing, swing - bend), lengths, (start, ends[0]), strict=True):
                arm = length * np.stack([np.sin(angle), -np.cos(angle), 0 * angle], axis=1)
                at[f"{end}_{side}"] = at[f"{before}_{side}"] + arm
        at[f"heel_{side}"] = at[f"ankle_{side}"] + [-0.05, -0.05, 0.0]
        at[f"toe_{side}"] = at[f"ankle_{side}"] + [0.15, -0.05, 0.0]
    return np.stack([at[name] for name in NAMES], axis=1)


def white(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.normal(size=shape)


def lasting(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Unit variance, correlated over 0.1 s: errors of neighbouring frames are nearly the same."""
    values = gaussian_filter1d(rng.normal(size=(shape[0] + 200, *shape[1:])), 0.07 * RATE_HZ, axis=0)[100:-100]
    return values / values.std()


def pace_of(positions_m: np.ndarray, noise_m: float = 0.0, noise: Noise = white, time_s: np.ndarray = TIME_S) -> Pace:
    rng = np.random.default_rng(3)
    return movement_pace(time_s, NAMES, positions_m + noise_m * noise(rng, positions_m.shape))


def times_everyday(pace: Pace, name: str) -> float:
    column = DOF_NAMES.index(name)
    return float(pace.acceleration_sigma[column] / EVERYDAY[column])


@pytest.mark.parametrize("noise", [white, lasting])
def test_the_noise_is_found_in_the_lengths_of_the_bones(noise: Noise) -> None:
    for noise_m in (0.02, 0.04):
        pace = pace_of(stick_figure(1.0, 1.0), noise_m, noise)
        np.testing.assert_allclose(pace.centre_sigma_m, noise_m, rtol=0.35)
        assert np.mean(pace.centre_sigma_m) == pytest.approx(noise_m, rel=0.06 if noise is white else 0.2)
    assert (pace_of(stick_figure(1.0, 1.0), 0.004, noise).centre_sigma_m == CENTRE_SIGMA_M).all()


def test_each_limb_has_its_own_noise() -> None:
    positions = stick_figure(1.0, 1.0)
    wrist = NAMES.index("wrist_l")
    positions[:, wrist] += 0.08 * np.random.default_rng(0).normal(size=(len(TIME_S), 3))
    sigma = dict(zip(NAMES, pace_of(positions, 0.01).centre_sigma_m, strict=True))
    assert sigma["wrist_l"] > 0.03
    assert sigma["wrist_r"] == sigma["knee_l"] == sigma["hip_l"] == CENTRE_SIGMA_M


def test_a_limb_that_moves_fast_may_accelerate() -> None:
    slow, fast = (pace_of(stick_figure(hz, 0.5), 0.01) for hz in (0.5, 5.0))
    assert times_everyday(slow, "knee_angle_r") == 1
    assert slow.cutoff_hz < 6
    assert 4 < times_everyday(fast, "knee_angle_r") < 40
    assert 4 < times_everyday(fast, "ankle_angle_l") < 40
    for still in ("elbow_flexion_r", "lumbar_extension", "pelvis_tilt"):
        assert times_everyday(fast, still) == 1, still
    assert 8 < fast.cutoff_hz < 25
    assert times_everyday(pace_of(stick_figure(0.5, 5.0), 0.01), "elbow_flexion_l") > 2


def test_more_noise_is_smoothed_more() -> None:
    factors = [times_everyday(pace_of(stick_figure(5.0, 0.5), noise_m), "knee_angle_r") for noise_m in (0.0, 0.01, 0.05)]
    cutoffs = [pace_of(stick_figure(5.0, 0.5), noise_m).cutoff_hz for noise_m in (0.0, 0.01, 0.05)]
    assert factors[0] > 5 * factors[1]
    assert cutoffs[0] > cutoffs[1] > cutoffs[2]


def test_errors_that_last_are_not_taken_for_movement() -> None:
    """Noise that is correlated over 0.1 s looks like movement at 2 Hz: only the lengths tell it from one."""
    pace = pace_of(stick_figure(0.0, 0.0), 0.03, lasting)
    np.testing.assert_array_equal(pace.acceleration_sigma, EVERYDAY)
    assert pace.cutoff_hz < 6
    assert times_everyday(pace_of(stick_figure(5.0, 0.5), 0.03, lasting), "knee_angle_r") > 4


def test_noise_is_seen_too_where_bones_keep_their_length() -> None:
    """Joint centres of a fitted body model: every frame has its own errors of the angles, lengths have none."""
    positions, rng = stick_figure(0.5, 0.5), np.random.default_rng(1)
    for near, far in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist")):
        for side in "rl":
            start, end = NAMES.index(f"{near}_{side}"), NAMES.index(f"{far}_{side}")
            bone = stick_figure(0.5, 0.5)[:, end] - stick_figure(0.5, 0.5)[:, start]
            length = np.linalg.norm(bone, axis=1, keepdims=True)
            turned = bone + 0.03 * rng.normal(size=bone.shape)
            positions[:, end] = positions[:, start] + turned * length / np.linalg.norm(turned, axis=1, keepdims=True)
    for side in "rl":
        for end in ("heel", "toe"):
            positions[:, NAMES.index(f"{end}_{side}")] += (
                positions[:, NAMES.index(f"ankle_{side}")] - stick_figure(0.5, 0.5)[:, NAMES.index(f"ankle_{side}")]
            )
    pace = pace_of(positions)
    assert times_everyday(pace, "knee_angle_r") < 2
    assert times_everyday(pace, "elbow_flexion_r") < 2


def test_a_few_wild_frames_are_neither_noise_nor_pace() -> None:
    positions = stick_figure(0.5, 0.5)
    positions[[40, 150, 260], NAMES.index("ankle_r")] += [0.2, 0.5, -0.3]
    pace = pace_of(positions, 0.01)
    assert pace.centre_sigma_m[NAMES.index("ankle_r")] == CENTRE_SIGMA_M
    assert times_everyday(pace, "knee_angle_r") == 1


def test_what_is_not_seen_has_everyday_values() -> None:
    positions = stick_figure(5.0, 5.0)
    positions[:, [NAMES.index(f"{name}_r") for name in ("knee", "ankle", "heel", "toe")]] = np.nan
    positions[100:140] = np.nan
    pace = pace_of(positions, 0.02)
    assert times_everyday(pace, "knee_angle_r") == 1
    assert times_everyday(pace, "knee_angle_l") > 4
    assert pace.centre_sigma_m[NAMES.index("knee_r")] == CENTRE_SIGMA_M
    few = movement_pace(TIME_S[:5], NAMES, stick_figure(5.0, 5.0)[:5])
    np.testing.assert_array_equal(few.acceleration_sigma, EVERYDAY)
    assert few.cutoff_hz == 0
    legs = [column for column, name in enumerate(NAMES) if not name.startswith(("elbow", "wrist"))]
    without_arms = movement_pace(TIME_S, [NAMES[column] for column in legs], stick_figure(5.0, 5.0)[:, legs])
    assert times_everyday(without_arms, "elbow_flexion_r") == 1
    assert times_everyday(without_arms, "knee_angle_r") > 4


@pytest.mark.parametrize("rate_hz", [60.0, 240.0])
def test_the_frame_rate_changes_little(rate_hz: float) -> None:
    """More frames show more: the cutoff rises with the rate, by a step or two, and not as the rate does."""
    time_s = np.arange(int(3 * rate_hz)) / rate_hz
    found = pace_of(stick_figure(5.0, 0.5, time_s), 0.02, time_s=time_s)
    usual = pace_of(stick_figure(5.0, 0.5), 0.02)
    assert 0.4 < times_everyday(found, "knee_angle_r") / times_everyday(usual, "knee_angle_r") < 2.5

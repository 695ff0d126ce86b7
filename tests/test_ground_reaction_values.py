"""Shares of the floor's force between points, their smoothing in time, and the floor's place, against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from hsmr_bio.dynamics.foot_outline import FootOutlines
from hsmr_bio.dynamics.ground_reaction import _check_floor, _contact_weights, _distribute, _smooth_wrenches
from hsmr_bio.errors import InputError
from hsmr_bio.filtering import lowpass

HEIGHT_M = 0.95
ARMS = np.array([[0.10, -0.95, 0.12], [0.25, -0.95, 0.08], [-0.15, -0.95, -0.10], [0.02, -0.95, -0.14]])
FEET = np.array([0, 0, 1, 1])
CONTACT = np.array([1.0, 0.3, 0.6, 0.9])
WRENCH = np.array([0.12, 1.05, -0.05, 0.02, -0.01, 0.04])


def cost(forces: np.ndarray, amounts: np.ndarray, smooth: np.ndarray | None) -> float:
    """The objective of the module's docstring, point by point."""
    moments = np.cross(ARMS, forces)
    total = np.square(WRENCH - np.concatenate([forces.sum(axis=0), moments.sum(axis=0)])).sum()
    total += 1e-3 * np.square(amounts / CONTACT[:, None]).sum()
    aim = -ARMS[:, [0, 2]] / HEIGHT_M
    total += 1e-2 * np.square(forces[:, [0, 2]] - forces[:, 1:2] * aim).sum()
    if smooth is not None:
        for foot in (0, 1):
            own = np.concatenate([forces[foot == FEET].sum(axis=0), moments[foot == FEET].sum(axis=0)])
            total += 0.1 * np.square(own - smooth[foot]).sum()
    return float(total)


@pytest.mark.parametrize("friction", [0.8, 0.2])
@pytest.mark.parametrize("smoothed", [False, True])
def test_the_floor_shares_its_force_at_least_cost(friction: float, smoothed: bool) -> None:
    smooth = np.array([[0.3, 0.2, 0.1, 0.05, 0.0, 0.02], [-0.1, 0.7, -0.1, -0.03, 0.04, 0.0]]) if smoothed else None
    edges = np.array([[friction, 1, 0], [-friction, 1, 0], [0, 1, friction], [0, 1, -friction]])

    def of(flat: np.ndarray) -> float:
        amounts = flat.reshape(4, 4)
        return cost(amounts @ edges, amounts, smooth)

    best = minimize(of, np.full(16, 0.06), bounds=[(0, None)] * 16, options={"ftol": 1e-16, "gtol": 1e-10, "maxfun": 100000})
    found = _distribute(WRENCH, ARMS, HEIGHT_M, CONTACT, friction, None if smooth is None else (FEET, smooth))
    np.testing.assert_allclose(found, best.x.reshape(4, 4) @ edges, atol=2e-4)


@pytest.mark.parametrize(("rate_hz", "cutoff_hz"), [(100, 10.0), (20, 8.0)])
def test_the_wrench_of_each_foot_is_smoothed_at_ten_hertz_or_two_fifths_of_the_rate(rate_hz: int, cutoff_hz: float) -> None:
    rng, time_s = np.random.default_rng(0), 3 + np.arange(40) / rate_hz
    points, arms = rng.normal(size=(40, 12, 3)), rng.normal(size=(40, 12, 3))
    found = _smooth_wrenches(points, arms, time_s)
    for foot, own in enumerate((slice(0, 6), slice(6, 12))):
        force, moment = points[:, own].sum(axis=1), np.cross(arms[:, own], points[:, own]).sum(axis=1)
        wanted = lowpass(np.concatenate([force, moment], axis=1), rate_hz=rate_hz, cutoff_hz=cutoff_hz)
        np.testing.assert_allclose(found[:, foot], wanted, atol=1e-9)
    assert _smooth_wrenches(points[:9], arms[:9], time_s[:9]) is None
    assert _smooth_wrenches(points[:10], arms[:10], time_s[:10]) is not None


def outlines(height_m: np.ndarray | float, frames: int = 41, speed_m_s: float = 0.0) -> FootOutlines:
    points = np.zeros((frames, 2, 6, 3))
    points[..., 0] = (speed_m_s * np.arange(frames) / 100)[:, None, None]
    points[..., 1] = np.broadcast_to(height_m, (frames,))[:, None, None]
    return FootOutlines(bodies=("calcn_r", "calcn_l"), points_m=points, middle_m=points[:, :, 0])


def test_the_floor_may_be_eight_centimetres_from_the_soles_of_a_body_that_it_carries() -> None:
    for height_m in (0.579, 0.421):
        _check_floor(outlines(height_m), 1.0, 0.5)
    for height_m, place, fits in ((0.581, "above", 0.55), (0.419, "under", 0.39)):
        with pytest.raises(InputError, match=f"8 cm {place} the floor") as error:
            _check_floor(outlines(height_m), 0.51, 0.5)
        assert f"floor_m={fits:.2f}" in str(error.value)
        _check_floor(outlines(height_m), 0.49, 0.5)  # in the air
    rare = np.where(np.arange(41) < 1, 0.0, 0.5)
    _check_floor(outlines(rare), 1.0, 0.5)  # one low frame of forty is an outlier


def test_the_level_of_a_sole_is_at_most_six_centimetres_from_the_floor() -> None:
    """Soles that stay higher touch by their height above 6 cm; 5 cm more is the middle of the transition (of 0.98 at rest)."""
    time_s = np.arange(41) / 100
    for height_m, weight in ((0.1, 0.763), (0.11, 0.491), (0.12, 0.221), (0.03, 0.982), (-0.08, 0.982)):
        found = _contact_weights(outlines(0.7 + height_m), time_s, 0.7)[20]
        np.testing.assert_allclose(found, weight, atol=0.003, err_msg=str(height_m))
    far = _contact_weights(outlines(50.0), time_s, 0.0)[20]
    assert np.isfinite(far).all() and far.max() < 1e-15

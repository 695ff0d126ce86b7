"""The centre of mass that the feet can carry, at rest and in movement."""

from __future__ import annotations

import numpy as np
import pytest

from hsmr_bio.fitting.world.balance import GRAVITY_M_S2, carried_centre

HEIGHT_M = 0.95


def _swaying(rate_hz: float = 30.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Time, centre of pressure that sways under the feet, and the pendulum's centre of mass above it."""
    time_s = np.arange(0, 6, 1 / rate_hz)
    turn = 2 * np.pi * 0.4
    support = np.zeros((len(time_s), 3))
    support[:, 2] = 0.06 * np.sin(turn * time_s)
    support[:, 0] = 0.05 * np.cos(turn * time_s)
    centre = support / (1 + HEIGHT_M / GRAVITY_M_S2 * turn**2)
    centre[:, 1] = HEIGHT_M
    return time_s, support, centre


def test_a_swaying_pendulum_stays_as_it_is() -> None:
    time_s, support, centre = _swaying()
    carried = carried_centre(time_s, centre, support, np.ones(len(time_s)))
    assert np.abs(carried - centre).max() < 1e-3
    assert np.abs(support - centre).max() > 0.02, "the centre of pressure itself is far off"


def test_a_wrong_depth_is_corrected_towards_the_feet() -> None:
    time_s, support, centre = _swaying()
    wrong = centre + 0.15 * np.sin(0.5 * time_s)[:, None] * [0.0, 0.0, 1.0]
    carried = carried_centre(time_s, wrong, support, np.ones(len(time_s)))
    error = np.sqrt(np.mean((carried - centre)[:, 2] ** 2))
    assert error < 0.35 * np.sqrt(np.mean((wrong - centre)[:, 2] ** 2))


def test_a_falling_pendulum_stays_as_it_is() -> None:
    """A walking body is ahead of its feet; static balance would pull it back."""
    time_s = np.arange(0, 0.5, 1 / 60)
    rate = np.sqrt(GRAVITY_M_S2 / HEIGHT_M)
    centre = np.zeros((len(time_s), 3))
    centre[:, 1], centre[:, 2] = HEIGHT_M, 0.05 * np.exp(rate * time_s)
    carried = carried_centre(time_s, centre, np.zeros_like(centre), np.ones(len(time_s)))
    assert centre[-1, 2] > 0.2
    assert np.abs(carried - centre).max() < 2e-3


def test_without_feet_on_the_floor_nothing_changes() -> None:
    time_s, support, centre = _swaying()
    np.testing.assert_allclose(carried_centre(time_s, centre + 0.3, support, np.zeros(len(time_s))), centre + 0.3)


def test_gaps_and_single_frames() -> None:
    time_s, support, centre = _swaying()
    later = np.where(np.arange(len(time_s)) > 90, time_s + 5.0, time_s)
    jumped = centre + np.where(np.arange(len(time_s)) > 90, 2.0, 0.0)[:, None] * [1.0, 0.0, 0.0]
    moved = support + (jumped - centre)
    assert np.abs(carried_centre(later, jumped, moved, np.ones(len(time_s))) - jumped).max() < 0.02
    np.testing.assert_array_equal(carried_centre(time_s[:1], centre[:1], support[:1], np.ones(1)), centre[:1])


@pytest.mark.parametrize("rate_hz", [24.0, 120.0])
def test_the_rate_of_the_video_does_not_matter(rate_hz: float) -> None:
    time_s, support, centre = _swaying(rate_hz)
    carried = carried_centre(time_s, centre + np.array([0.0, 0.0, 0.1]), support, np.ones(len(time_s)))
    assert 0.0 < carried[len(time_s) // 2, 2] - centre[len(time_s) // 2, 2] < 0.05

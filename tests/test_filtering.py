"""Low-pass filter, constant rate and derivatives, by their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hsmr_bio.errors import InputError
from hsmr_bio.filtering import lowpass, resample


@pytest.mark.parametrize("rate_hz", [30.0, 59.94, 100.0])
@pytest.mark.parametrize("cutoff_hz", [3.0, 6.0, 12.0])
def test_the_gain_at_the_cutoff_is_half_power(cutoff_hz: float, rate_hz: float) -> None:
    time_s = np.arange(0, 20, 1 / rate_hz)
    wave = np.sin(2 * np.pi * cutoff_hz * time_s + 0.3)[:, None]
    out = lowpass(wave, rate_hz=rate_hz, cutoff_hz=cutoff_hz)[200:-200]
    kept = wave[200:-200]
    gain = np.sum(out * kept) / np.sum(kept * kept)
    assert gain == pytest.approx(1 / np.sqrt(2), rel=5e-3)


def test_there_is_no_lag() -> None:
    bump = np.exp(-(((np.arange(400) - 200) / 20) ** 2))
    out = lowpass(bump, rate_hz=100.0, cutoff_hz=4.0)
    assert np.argmax(out) == 200
    np.testing.assert_allclose(out, out[::-1][np.r_[399, 0:399]], atol=2e-3)


@settings(max_examples=30, deadline=None)
@given(offset=st.floats(-100, 100), slope=st.floats(-10, 10), frames=st.integers(8, 60))
def test_a_straight_line_passes_unchanged(offset: float, slope: float, frames: int) -> None:
    line = offset + slope * np.arange(frames) / 60
    np.testing.assert_allclose(lowpass(line, rate_hz=60.0, cutoff_hz=6.0), line, atol=1e-8)


@settings(max_examples=30, deadline=None)
@given(values=arrays(np.float64, (40, 3), elements=st.floats(-10, 10)), factor=st.floats(-3, 3))
def test_filtering_is_linear_and_leaves_its_input(values: np.ndarray, factor: float) -> None:
    before = values.copy()
    once = lowpass(values, rate_hz=60.0, cutoff_hz=6.0)
    np.testing.assert_array_equal(values, before)
    np.testing.assert_allclose(lowpass(values * factor, rate_hz=60.0, cutoff_hz=6.0), once * factor, atol=1e-9)


@pytest.mark.parametrize("cutoff_hz", [0.0, -1.0, 30.0, np.nan])
def test_an_impossible_cutoff_is_an_error(cutoff_hz: float) -> None:
    with pytest.raises(InputError, match="cutoff_hz must be between 0 and 30"):
        lowpass(np.zeros((50, 1)), rate_hz=60.0, cutoff_hz=cutoff_hz)


def test_too_few_frames_and_gaps_are_errors() -> None:
    with pytest.raises(InputError, match="too few"):
        lowpass(np.zeros((4, 1)), rate_hz=60.0, cutoff_hz=6.0)
    with pytest.raises(InputError, match="gaps"):
        lowpass(np.full((50, 1), np.nan), rate_hz=60.0, cutoff_hz=6.0)


@settings(max_examples=40, deadline=None)
@given(steps=arrays(np.float64, 30, elements=st.floats(0.01, 0.1)), c=arrays(np.float64, 4, elements=st.floats(-2, 2)))
def test_resampling_a_cubic_is_exact(steps: np.ndarray, c: np.ndarray) -> None:
    time_s = np.cumsum(steps)
    new_s, out = resample(time_s, np.polyval(c, time_s)[:, None], rate_hz=50.0)
    np.testing.assert_allclose(np.diff(new_s), 0.02, atol=1e-7)
    assert new_s[0] == time_s[0]
    assert time_s[-1] - 0.02 - 1e-6 < new_s[-1] <= time_s[-1]
    np.testing.assert_allclose(out[:, 0], np.polyval(c, new_s), atol=1e-6)


def test_even_samples_stay_as_they_are() -> None:
    time_s = 5 + np.arange(100) / 59.94
    values = np.random.default_rng(0).normal(size=(100, 2, 3))
    new_s, out = resample(time_s, values)
    np.testing.assert_allclose(new_s, time_s, atol=1e-12)
    np.testing.assert_allclose(out, values, atol=1e-8)


def test_short_gaps_are_bridged_and_long_ones_stay_open() -> None:
    time_s = np.arange(100) / 100
    values = np.sin(4 * time_s)[:, None].repeat(3, axis=1)
    values[20:23, 0] = np.nan
    values[50:80, 1] = np.nan
    values[:10, 2] = np.nan
    _, out = resample(time_s, values, rate_hz=100.0, max_gap_s=0.1)
    np.testing.assert_allclose(out[20:23, 0], np.sin(4 * time_s[20:23]), atol=1e-4)
    assert np.isnan(out[50:80, 1]).all()
    assert np.isfinite(out[[49, 80], 1]).all()
    assert np.isnan(out[:10, 2]).all()
    assert np.isfinite(out[10:, 2]).all()
    _, bridged = resample(time_s, values, rate_hz=100.0)
    assert np.isfinite(bridged[:, 1]).all()


def test_a_column_never_seen_stays_unseen_and_one_sample_stays_one() -> None:
    values = np.array([[np.nan, 1.0], [np.nan, np.nan], [np.nan, np.nan]])
    _, out = resample(np.array([0.0, 0.1, 0.2]), values)
    assert np.isnan(out[:, 0]).all()
    np.testing.assert_array_equal(out[:, 1], [1.0, np.nan, np.nan])


def test_a_column_that_ends_early_stays_open_to_the_end() -> None:
    values = np.arange(30.0)[:, None].repeat(2, axis=1)
    values[20:, 1] = np.nan
    new_s, out = resample(np.arange(30) / 30, values, rate_hz=60.0, max_gap_s=0.1)
    np.testing.assert_allclose(out[:, 0], 30 * new_s, atol=1e-9)
    np.testing.assert_allclose(out[:39, 1], 30 * new_s[:39], atol=1e-9)
    assert np.isnan(out[39:, 1]).all()


@pytest.mark.parametrize("rate_hz", [0.0, -30.0, np.nan, np.inf])
def test_a_rate_is_positive(rate_hz: float) -> None:
    with pytest.raises(InputError, match="rate_hz must be positive"):
        resample(np.arange(5) / 30, np.zeros((5, 1)), rate_hz=rate_hz)

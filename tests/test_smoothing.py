"""Selection of frames, and the filter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsmr_bio.errors import EstimationError, InputError
from hsmr_bio.fitting.world.smoothing import MAX_GAP_S, MIN_STRETCH_S, filter_motion, seen_frames
from hsmr_bio.types import Camera, Observation, SkelMotion

RATE = 50.0


def sight(seen: np.ndarray) -> Observation:
    """One landmark at 50 Hz, seen in some frames; its x is the frame's number."""
    count = len(seen)
    pixels = np.full((count, 1, 2), np.nan)
    pixels[seen] = np.arange(count)[seen, None, None]
    return Observation(
        time_s=np.arange(count) / RATE,
        camera=Camera(image_size_px=(64, 64), focal_px=60, center_px=(32, 32), source="guess"),
        keypoint_set="one",
        keypoints_px=pixels,
        confidence=seen.astype(float)[:, None],
        camera_shift_px=np.arange(count),
    )


def frames_of(observation: Observation) -> list[int]:
    return [round(t * RATE) for t in observation.time_s]


def seen_in(count: int, *stretches: tuple[int, int]) -> np.ndarray:
    """(count,) True in the stretches [first, last]."""
    seen = np.zeros(count, dtype=bool)
    for first, last in stretches:
        seen[first : last + 1] = True
    return seen


def test_short_gaps_stay_and_long_ones_are_removed() -> None:
    kept = seen_frames(sight(seen_in(200, (10, 60), (75, 100), (140, 180))))
    assert frames_of(kept) == [*range(10, 101), *range(140, 181)]
    np.testing.assert_array_equal(kept.camera_shift_px, [*range(10, 101), *range(140, 181)])
    assert np.isnan(kept.keypoints_px[60 - 10 + 1 : 75 - 10]).all(), "the short gap is for the fit to bridge"
    wide = seen_frames(sight(seen_in(200, (10, 60), (75, 100), (140, 180))), max_gap_s=1.0)
    assert frames_of(wide) == list(range(10, 181))


def test_short_stretches_are_removed() -> None:
    kept = seen_frames(sight(seen_in(200, (0, 60), (100, 103), (150, 199))))
    assert frames_of(kept) == [*range(61), *range(150, 200)]


def test_a_person_who_is_always_seen_passes_as_is() -> None:
    observation = sight(np.ones(30, dtype=bool))
    assert seen_frames(observation) is observation


def test_a_single_short_stretch_is_kept() -> None:
    """A still, or a clip of a few frames, is no short stretch between gaps."""
    assert frames_of(seen_frames(sight(seen_in(40, (7, 8))))) == [7, 8]


def test_no_frame_and_only_short_stretches_are_errors() -> None:
    with pytest.raises(EstimationError, match="seen in no frame"):
        seen_frames(sight(np.zeros(10, dtype=bool)))
    with pytest.raises(EstimationError, match="only in glimpses"):
        seen_frames(sight(seen_in(200, (10, 12), (100, 103))))


@settings(max_examples=80, deadline=None)
@given(st.lists(st.booleans(), min_size=5, max_size=40), st.integers(1, 8))
def test_only_frames_of_short_stretches_are_lost(pattern: list[bool], stretch: int) -> None:
    seen = np.repeat(pattern, stretch)
    try:
        kept = frames_of(seen_frames(sight(seen)))
    except EstimationError:
        return
    assert kept[0] in np.flatnonzero(seen) and kept[-1] in np.flatnonzero(seen)
    for lost in set(np.flatnonzero(seen)) - set(kept):
        near = [k for k in np.flatnonzero(seen) if abs(k - lost) <= MIN_STRETCH_S * RATE]
        assert len(near) <= 2 * MIN_STRETCH_S * RATE + 1
        assert all(abs(k - lost) > MAX_GAP_S * RATE for k in kept), "a stretch is lost whole"
    jumps = np.diff(kept)[np.diff(kept) > 1]
    assert (jumps > MAX_GAP_S * RATE).all()


def motion_of(time_s: np.ndarray, angle: np.ndarray, **more: np.ndarray) -> SkelMotion:
    """A motion whose angle 5 and whose height follow one curve."""
    poses, trans = np.zeros((len(time_s), 46)), np.zeros((len(time_s), 3))
    poses[:, 5] = trans[:, 1] = angle
    return SkelMotion(
        time_s=time_s, poses_rad=poses, trans_m=trans, betas=np.zeros(10), body="open-neutral@test", frame="world", **more
    )


def test_uneven_frames_become_even() -> None:
    rng = np.random.default_rng(1)
    time_s = np.arange(90) / 30 + 0.004 * rng.uniform(-1, 1, size=90)
    even = filter_motion(motion_of(time_s, np.sin(2 * time_s)), cutoff_hz=None)
    steps = np.diff(even.time_s)
    np.testing.assert_allclose(steps, steps[0], rtol=1e-9)
    assert steps[0] == pytest.approx(1 / 30, rel=0.05)
    np.testing.assert_allclose(even.poses_rad[:, 5], np.sin(2 * even.time_s), atol=2e-4)
    doubled = filter_motion(motion_of(time_s, np.sin(2 * time_s)), cutoff_hz=None, rate_hz=60)
    assert np.diff(doubled.time_s)[0] == pytest.approx(1 / 60, rel=1e-6)
    assert doubled.time_s[-1] == pytest.approx(time_s[-1], abs=1 / 60)


@pytest.mark.parametrize(("frequency_hz", "low", "high"), [(1.0, 0.97, 1.02), (6.0, 0.6, 0.85), (14.0, 0.0, 0.1)])
def test_the_filter_passes_low_and_removes_high_frequencies(frequency_hz: float, low: float, high: float) -> None:
    time_s = np.arange(400) / 100
    wave = np.sin(2 * np.pi * frequency_hz * time_s)
    filtered = filter_motion(motion_of(time_s, wave), cutoff_hz=6.0)
    inner = slice(100, 300)
    for values in (filtered.poses_rad[inner, 5], filtered.trans_m[inner, 1]):
        assert low <= np.std(values) / np.std(wave[inner]) <= high
    if frequency_hz == 1.0:
        np.testing.assert_allclose(filtered.poses_rad[inner, 5], wave[inner], atol=0.03)  # no lag
    np.testing.assert_array_equal(
        filter_motion(motion_of(time_s, wave), cutoff_hz=None).poses_rad[:, 5].round(9), wave.round(9)
    )


def test_a_gap_stays_a_gap() -> None:
    time_s = np.concatenate([np.arange(50), np.arange(100, 150)]) / 50
    angle = np.where(time_s < 1.5, 0.2, 1.2)
    motion = motion_of(time_s, angle, contacts=np.tile([1.0, 0.5, 0.0, 0.25], (100, 1)), poses_sd_rad=np.full((100, 46), 0.1))
    result = filter_motion(motion)
    np.testing.assert_allclose(result.time_s, time_s, atol=1e-9)
    np.testing.assert_allclose(result.poses_rad[:, 5], angle, atol=1e-6)  # nothing leaks over the gap
    np.testing.assert_allclose(result.contacts, motion.contacts)
    np.testing.assert_allclose(result.poses_sd_rad, 0.1)


@pytest.mark.parametrize("frames", [1, 2, 3, 9])
def test_short_clips_pass(frames: int) -> None:
    time_s = np.arange(frames) / 30
    motion = motion_of(time_s, 0.5 + time_s)
    result = filter_motion(motion, cutoff_hz=6.0)
    np.testing.assert_allclose(result.time_s, time_s, atol=1e-9)
    np.testing.assert_allclose(result.poses_rad[:, 5], 0.5 + time_s, atol=1e-9)


def test_a_single_frame_between_gaps_is_kept() -> None:
    time_s = np.array([*np.arange(20) / 30, 2.0, *(4 + np.arange(20) / 30)])
    result = filter_motion(motion_of(time_s, np.ones(41)), cutoff_hz=6.0)
    assert 2.0 in result.time_s


@pytest.mark.parametrize("cutoff_hz", [15.1, 40.0, 0.0, -1.0])
def test_an_impossible_cutoff_is_refused(cutoff_hz: float) -> None:
    motion = motion_of(np.arange(60) / 30, np.zeros(60))
    with pytest.raises(InputError, match="between 0 and 15 Hz"):
        filter_motion(motion, cutoff_hz=cutoff_hz)
    assert len(filter_motion(replace(motion), cutoff_hz=14.9).time_s) == 60


def test_gaps_up_to_04_seconds_are_kept_and_stretches_under_02_seconds_removed() -> None:
    bridged = seen_frames(sight(seen_in(100, (0, 40), (60, 99))))  # 0.4 s from sight to sight
    assert frames_of(bridged) == list(range(100))
    parted = seen_frames(sight(seen_in(100, (0, 40), (61, 99))))
    assert frames_of(parted) == [*range(41), *range(61, 100)]
    for last, kept in ((59, False), (61, True)):  # 0.18 and 0.22 s
        found = frames_of(seen_frames(sight(seen_in(150, (0, 20), (50, last), (90, 149)))))
        assert (50 in found) is kept

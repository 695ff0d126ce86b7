"""Swapped sides, spikes, gates: what keeps one person one person, on motions whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsmr_bio.estimators.label_swaps import ARMS, LEGS, find_spikes, repair_limbs, settled_from
from hsmr_bio.estimators.person_track import MIRROR, PersonTrack, mirrored
from hsmr_bio.estimators.regions import Landmarks, Region

RATE_HZ = 30.0
SIZE_PX = 200.0
PICTURE = np.full((600, 800, 3), 128, dtype=np.uint8)


def walking_px(frames: int, *, frontal: bool = False) -> np.ndarray:
    """(T, 33, 2) a stick figure that walks across the picture, seen from the side (or the front)."""
    time = np.arange(frames) / RATE_HZ
    px = np.zeros((frames, 33, 2))
    wide = 45.0 if frontal else 6.0
    forward = 0.0 if frontal else 60.0
    for side, start in ((0, 0.0), (1, np.pi)):
        swing = np.sin(2 * np.pi * 0.9 * time + start)
        lateral = wide * (0.5 - side)
        middle = 200 + forward * time
        for landmark, height, amplitude in (
            (11, 150, 0),
            (13, 200, 12),
            (15, 250, 25),
            (17, 262, 27),
            (19, 262, 28),
            (21, 258, 26),
        ):
            px[:, landmark + side] = np.stack([middle + lateral * 1.6 - amplitude * swing, np.full(frames, height)], axis=1)
        for landmark, height, amplitude in ((23, 260, 0), (25, 340, 25), (27, 420, 55), (29, 430, 52), (31, 432, 68)):
            px[:, landmark + side] = np.stack([middle + lateral + amplitude * swing, np.full(frames, height)], axis=1)
    px[:, :11] = px[:, 11:13].mean(axis=1, keepdims=True) - (0, 40)
    for offset, landmark in enumerate((1, 2, 3, 7, 9)):
        px[:, landmark, 0] += 6 + 2 * offset
        px[:, MIRROR[landmark], 0] -= 6 + 2 * offset
    return px


def landmarks_at(px: np.ndarray, *, center: tuple[float, float] | None = None) -> Landmarks:
    world = np.concatenate([(px - px[23:25].mean(axis=0)) / 220, np.linspace(-0.2, 0.2, 33)[:, None]], axis=1)
    middle = px[23:25].mean(axis=0) if center is None else np.array(center)
    return Landmarks(px=px, world_m=world, visibility=np.full(33, 0.9), region=Region(middle, 2.5 * SIZE_PX, 0.0))


@given(st.lists(st.tuples(st.integers(3, 110), st.integers(1, 9)), max_size=5), st.booleans(), st.sampled_from([LEGS, ARMS]))
@settings(max_examples=25, deadline=None)
def test_exchanged_limbs_are_put_back(bursts: list[tuple[int, int]], frontal: bool, limb: tuple[tuple[int, int], ...]) -> None:
    """Legs that truly pass each other (seen from the side) stay as they are; exchanged labels are put back."""
    truth = walking_px(120, frontal=frontal)
    swapped = np.zeros(120, dtype=bool)
    for start, length in bursts:
        swapped[start : start + length] = True
    px = truth.copy()
    pairs = np.array(limb)
    part = px[swapped]
    part[:, pairs] = part[:, pairs[:, ::-1]]
    px[swapped] = part
    repair_limbs(np.arange(120) / RATE_HZ, px, np.zeros((120, 33, 3)), np.ones((120, 33)), np.full(120, SIZE_PX))
    wrong = np.linalg.norm(px[:, pairs] - truth[:, pairs], axis=-1).max(axis=(1, 2)) > 12
    assert wrong.sum() <= 2 * len(bursts), f"frames {np.flatnonzero(wrong)} of {np.flatnonzero(swapped)}"


def test_jumping_jacks_are_no_exchange() -> None:
    """Legs that close and open quickly look as if they crossed; seen from the front they keep their labels."""
    time = np.arange(90) / RATE_HZ
    px = walking_px(90, frontal=True)
    for left, right in LEGS:
        spread = 60 * np.abs(np.sin(2 * np.pi * 0.8 * time)) + 3
        px[:, left, 0], px[:, right, 0] = 200 + spread, 200 - spread
    before = px.copy()
    assert repair_limbs(time, px, np.zeros((90, 33, 3)), np.ones((90, 33)), np.full(90, SIZE_PX)) == 0
    np.testing.assert_array_equal(px, before)


def test_spikes_are_found_and_motion_is_not() -> None:
    px = walking_px(90)
    time = np.arange(90) / RATE_HZ
    assert not find_spikes(time, px, np.full(90, SIZE_PX)).any()
    px[40, 16] += (45, -30)
    px[60:62, 28] += (0, 50)
    spikes = find_spikes(time, px, np.full(90, SIZE_PX))
    assert spikes[40, 16] and spikes[60:62, 28].all()
    assert spikes[:, [i for i in range(33) if i not in (16, 28)]].sum() == 0
    assert spikes.sum() == 3, "the frames beside a spike are sound"


def test_sound_frames_between_spikes_are_kept() -> None:
    px, time = walking_px(90), np.arange(90) / RATE_HZ
    wrong = [33, 36, 38]
    px[wrong, 14] += (40, 60)
    np.testing.assert_array_equal(np.flatnonzero(find_spikes(time, px, np.full(90, SIZE_PX))[:, 14]), wrong)


@pytest.mark.parametrize("rate_hz", [10, 30, 60])
def test_a_stretch_that_begins_turned_over_begins_later(rate_hz: int) -> None:
    stride = max(1, round(RATE_HZ / rate_hz))
    px, time = walking_px(90)[::stride], np.arange(90)[::stride] / RATE_HZ
    size = np.full(len(px), SIZE_PX)
    assert settled_from(time, px, size) == 0
    wrong = px.copy()
    wrong[:2] = 2 * px[:2, [23, 24]].mean(axis=1, keepdims=True) - px[:2]
    assert settled_from(time, wrong, size) == 2
    late = px.copy()
    late[-3:] = 2 * px[-3:, [23, 24]].mean(axis=1, keepdims=True) - px[-3:]
    assert settled_from(time, late, size) == 0, "later jumps are judged by what lies around them"
    assert settled_from(time[:1], px[:1], size[:1]) == 0


def test_the_other_reading_turns_depth_over() -> None:
    front = landmarks_at(walking_px(1)[0])
    back = mirrored(front)
    np.testing.assert_array_equal(back.px[12], front.px[11])
    np.testing.assert_array_equal(back.world_m[12], front.world_m[11] * (1, 1, -1))


def follow(shown: list[list[Landmarks]]) -> tuple[PersonTrack, list[Landmarks | None]]:
    """Run a track on scripted answers of the network: per frame the answers to the usual and the challenging crops."""
    track, results = PersonTrack(), []
    track.add(0, 0.0, shown[0][0], PICTURE)
    for frame, answers in enumerate(shown[1:], start=1):
        calls = iter([*answers, *[answers[-1]] * 10])
        found = track.step(frame / RATE_HZ, next(calls), lambda regions, calls=calls: [next(calls) for _ in regions])
        results.append(found)
        if found is None:
            break
        track.add(frame, frame / RATE_HZ, found, PICTURE)
    return track, results


def test_a_front_taken_for_a_back_is_challenged_by_another_crop() -> None:
    truth = [landmarks_at(px) for px in walking_px(20, frontal=True)]
    shown = [[one] if not 8 <= n < 14 else [mirrored(one), one] for n, one in enumerate(truth)]
    track, _ = follow(shown)
    for one, right in zip(track.landmarks, truth, strict=True):
        np.testing.assert_allclose(one.px, right.px, atol=1e-9)
        np.testing.assert_allclose(one.world_m, right.world_m, atol=1e-9)


def test_a_short_flip_that_every_crop_shows_is_turned_back() -> None:
    truth = [landmarks_at(px) for px in walking_px(20, frontal=True)]
    track, _ = follow([[one] if not 8 <= n < 12 else [mirrored(one)] for n, one in enumerate(truth)])
    np.testing.assert_allclose([one.px for one in track.landmarks], [one.px for one in truth], atol=1e-9)


def test_somebody_who_turns_round_is_believed_in_the_end() -> None:
    truth = [landmarks_at(px) for px in walking_px(40, frontal=True)]
    turned = [[one] if n < 10 else [mirrored(one)] for n, one in enumerate(truth)]
    track, _ = follow(turned)
    wanted = [one.px if n < 10 else mirrored(one).px for n, one in enumerate(truth)]
    np.testing.assert_allclose([one.px for one in track.landmarks], wanted, atol=1e-9)


def test_a_jump_to_somebody_else_ends_the_track() -> None:
    truth = [landmarks_at(px) for px in walking_px(12)]
    other = landmarks_at(walking_px(1)[0] + (260, 0))
    _, results = follow([[one] for one in truth[:8]] + [[other]])
    assert results[-1] is None


@pytest.mark.parametrize("size", [0.5, 1.8])
def test_somebody_of_another_size_is_not_this_person(size: float) -> None:
    truth = [landmarks_at(px) for px in walking_px(8)]
    px = truth[-1].px
    center = px[23:25].mean(axis=0)
    scaled = Landmarks(
        px=center + (px - center) * size,
        world_m=truth[-1].world_m,
        visibility=truth[-1].visibility,
        region=Region(center, truth[-1].region.side_px * size, 0.0),
    )
    _, results = follow([[one] for one in truth] + [[scaled]])
    assert results[-1] is None

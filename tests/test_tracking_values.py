"""Thresholds and rules of following people, each on landmarks at known places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from hsmr_bio.errors import EstimationError
from hsmr_bio.estimators.blazepose import _landmark_box
from hsmr_bio.estimators.identity_swap import IdentitySwap
from hsmr_bio.estimators.label_swaps import LEGS, find_spikes, frontal_view, repair_limbs
from hsmr_bio.estimators.person_geometry import same_place
from hsmr_bio.estimators.person_track import PersonTrack, appearance, best_reading, likeness, reach_px, trunk_px
from hsmr_bio.estimators.quality import refuse_moving_camera, refuse_unusable, stature_px
from hsmr_bio.estimators.regions import Landmarks, Region
from hsmr_bio.estimators.tracking import Tracker, in_picture, overlap, prominence, same_person
from hsmr_bio.types import Camera, Observation

PICTURE = np.full((600, 800, 3), 128, dtype=np.uint8)
REACH = 100.0


def standing_px(at: tuple[float, float] = (400.0, 300.0), scale: float = 1.0) -> np.ndarray:
    """(33, 2) a standing figure whose hips are at ``at``; shoulders, hips, knees and ankles 70, 0, 45 and 90 px below."""
    px = np.zeros((33, 2))
    px[:11] = (0, -95)
    for left, height, half in ((11, -70, 20), (13, -35, 25), (15, 0, 26), (17, 5, 26), (19, 6, 26), (21, 4, 24)):
        px[left], px[left + 1] = (half, height), (-half, height)
    for left, height in ((23, 0), (25, 45), (27, 90), (29, 92), (31, 95)):
        px[left], px[left + 1] = (12, height), (-12, height)
    return np.asarray(at) + scale * px


def person(at: tuple[float, float] = (400.0, 300.0), scale: float = 1.0, *, visible: float = 0.9) -> Landmarks:
    px = standing_px(at, scale)
    return Landmarks(
        px=px, world_m=np.zeros((33, 3)), visibility=np.full(33, visible), region=Region(np.array(at), 2.5 * REACH * scale, 0.0)
    )


def track_of(places: list[tuple[float, float]], rate_hz: float = 10.0, frames: list[int] | None = None) -> PersonTrack:
    track = PersonTrack()
    for n, at in zip(frames or range(len(places)), places, strict=True):
        track.add(n, n / rate_hz, person(at), PICTURE)
    return track


# ---------------------------------------------------------------------- one person


def test_the_reach_is_the_regions_side_over_two_and_a_half() -> None:
    assert reach_px(Region(np.zeros(2), 250.0, 0.0)) == 100.0
    np.testing.assert_allclose(trunk_px(standing_px()), [400, 265])


def test_somebody_goes_on_as_before_for_a_fifth_of_a_second() -> None:
    track = track_of([(400, 300), (410, 296)])  # 100 px/s to the right, 40 upwards
    for ahead_s, moved_s in ((0.1, 0.1), (0.2, 0.2), (0.9, 0.2)):
        expected = track.last.px + moved_s * np.array([100.0, -40.0])
        np.testing.assert_allclose(track.predicted_px(0.1 + ahead_s), expected)
    np.testing.assert_array_equal(track_of([(400, 300)]).predicted_px(0.5), standing_px())
    gap = track_of([(400, 300), (410, 300)], frames=[0, 3])
    np.testing.assert_array_equal(gap.predicted_px(0.4), gap.last.px, err_msg="no speed across a gap")


def test_the_path_deviation_is_how_far_the_trunk_left_its_path() -> None:
    """The path of 0.3 to 0.8 s ago leads straight on; the last frame is 30 px beside it, with a reach of 100 px."""
    places = [(300.0 + 5 * n, 300.0) for n in range(12)]
    assert track_of(places).path_deviation() == pytest.approx(0, abs=1e-6)
    places[-1] = (places[-1][0], 330.0)
    assert track_of(places).path_deviation() == pytest.approx(0.3)
    places[-2] = (0.0, 0.0)
    assert track_of(places).path_deviation() == pytest.approx(0.3), "what happened since does not count"
    assert track_of(places[:5]).path_deviation() == np.inf


@pytest.mark.parametrize(
    ("gap_s", "moved_px", "scale", "same"),
    [
        (0.1, 70, 1.0, True),  # 0.3 + 4.5 * 0.1 reaches
        (0.1, 80, 1.0, False),
        (0.5, 250, 1.0, True),
        (0.5, 260, 1.0, False),
        (2.0, 325, 1.0, True),  # at most 3 more
        (2.0, 340, 1.0, False),
        (0.1, 0, 1.32, True),  # 1.3 + 0.4 * 0.1
        (0.1, 0, 1.36, False),
        (0.1, 0, 1 / 1.36, False),
        (2.0, 0, 1.65, True),
        (2.0, 0, 1.75, False),
    ],
)
def test_after_a_gap_somebody_is_within_reach_and_of_the_same_size(
    gap_s: float, moved_px: float, scale: float, same: bool
) -> None:
    track = track_of([(400, 300)])
    found = person((400 + moved_px, 300), scale)
    trunk = trunk_px(found.px) - trunk_px(person((400 + moved_px, 300)).px)
    found = Landmarks(px=found.px - trunk, world_m=found.world_m, visibility=found.visibility, region=found.region)
    assert track.fits(found, PICTURE, gap_s) is same


def test_colours_only_forbid() -> None:
    red, blue = PICTURE.copy(), PICTURE.copy()
    red[:], blue[:] = (250, 10, 10), (10, 10, 250)
    track = PersonTrack()
    track.add(0, 0.0, person(), red)
    assert track.fits(person(), red, 0.2) and not track.fits(person(), blue, 0.2)
    trousers = red.copy()
    trousers[300:] = (10, 10, 250)
    assert likeness(track.colours, appearance(trousers, person())) == pytest.approx(0.5, abs=0.1)
    assert track.fits(person(), trousers, 0.9), "half alike is enough for a second"
    assert not track.fits(person(), trousers, 1.1)
    assert likeness(None, track.colours) == 0.7
    assert appearance(red, person((4000, 300))) is None, "not in the picture"
    assert appearance(red, person()).sum() == pytest.approx(2), "trunk and thighs, each summing to one"


def test_colours_are_those_of_the_trunk_and_of_the_thighs() -> None:
    """Shoulders 40 px apart at y = 230, hips 24 px at 300, knees at 345: everything else has another colour."""
    picture = np.zeros((600, 800, 3), dtype=np.uint8)
    picture[230:300, 380:421] = (255, 0, 0)
    picture[301:345, 380:421] = (0, 0, 255)
    look = appearance(picture, person())
    red, blue = 3 * 16, 3
    assert look[red] == pytest.approx(1) and look[64 + blue] == pytest.approx(1)


def test_the_reading_that_agrees_best_with_the_others_wins() -> None:
    shown = iter([person((430, 300)), *(person((400 + n, 300)) for n in (0, 2, 1, 3, 90)), None])
    found = best_reading(lambda regions: [next(shown, None) for _ in regions], Region(np.zeros(2), 250.0, 0.0))
    assert found is not None and found.px[23, 0] == pytest.approx(standing_px((403, 300))[23, 0])
    assert best_reading(lambda regions: [None], Region(np.zeros(2), 250.0, 0.0)) is None


# ---------------------------------------------------------------------- several people


@pytest.mark.parametrize(("dx", "dy", "same"), [(0, 14, True), (24, 0, True), (26, 0, False), (0, 26, False)])
def test_landmarks_within_a_quarter_of_the_reach_are_one_person(dx: float, dy: float, same: bool) -> None:
    assert same_person(person(), person((400 + dx, 300 + dy))) is same


def test_half_of_the_body_outside_is_still_in_the_picture() -> None:
    assert in_picture(person(), PICTURE.shape)
    assert in_picture(person((795, 300)), PICTURE.shape), "half of it"
    assert not in_picture(person((400, 690)), PICTURE.shape)
    assert not in_picture(person((900, 300)), PICTURE.shape) and not in_picture(person((-60, 300)), PICTURE.shape)
    assert not in_picture(person(visible=0.29), PICTURE.shape)
    dim = person(visible=0.2)
    dim.visibility[11:18] = 0.31  # 7 of 22 landmarks below the head
    assert in_picture(dim, PICTURE.shape)
    dim.visibility[17] = 0.2
    assert not in_picture(dim, PICTURE.shape)


def test_large_clear_and_central_people_are_meant() -> None:
    assert prominence(person(), PICTURE.shape) == pytest.approx(100 * 0.9 * 1.5)
    assert prominence(person((600, 300)), PICTURE.shape) == pytest.approx(100 * 0.9 * 1.25)
    assert prominence(person((400, 450)), PICTURE.shape) == pytest.approx(100 * 0.9 * 1.25)
    assert prominence(person(scale=2.0, visible=0.5), PICTURE.shape) == pytest.approx(200 * 0.5 * 1.5)


def test_a_box_is_overlapped_by_share_and_size() -> None:
    px = standing_px()
    (x0, y0), (x1, y1) = px.min(axis=0), px.max(axis=0)
    assert overlap(person(), (x0, y0, x1, y1)) == pytest.approx(1)
    assert overlap(person(), (x0, y0 - (y1 - y0), x1, y1)) == pytest.approx(0.5), "a box of twice the height"
    inside = (px[:, 0] <= 400).mean()
    assert overlap(person(), (x0, y0, 400, y1)) == pytest.approx(inside)
    assert overlap(person(), (400, y0, x1, y1)) == pytest.approx((px[:, 0] >= 400).mean())
    assert overlap(person(visible=0.4), (x0, y0, x1, y1)) == 0.0


def test_two_people_who_pass_each_other_keep_their_paths() -> None:
    """One walks right, one left; after the loss the one followed is where the other one was going."""
    right, left = track_of([(300.0 + 10 * n, 300) for n in range(8)]), track_of([(440.0 - 10 * n, 300) for n in range(8)])
    (crossing,) = IdentitySwap.of(left, [right])
    assert crossing.open_at(3.6) and not crossing.open_at(3.8), "three seconds"
    right.add(12, 1.2, person((320, 300)), PICTURE)
    assert crossing.exchanged(person((420, 300)), 1.2)
    right.forget_last()
    right.add(12, 1.2, person((420, 300)), PICTURE)
    assert not crossing.exchanged(person((320, 300)), 1.2)
    far = track_of([(600.0, 300)] * 8)
    assert IdentitySwap.of(left, [far, left]) == []


# ---------------------------------------------------------------------- labels


def test_swapped_legs_take_metres_and_visibility_along() -> None:
    time_s = np.arange(20) / 30
    px = np.stack([standing_px((400, 300))] * 20)
    px[:, 25:33:2, 0] += 40  # the left leg is well apart from the right one
    world, visible = np.zeros((20, 33, 3)), np.ones((20, 33))
    world[:, 25:33:2, 0], visible[:, 25:33:2] = 1.0, 0.8
    truth = px.copy(), world.copy(), visible.copy()
    pairs = np.array(LEGS)
    for array in (px, world, visible):
        array[8:10, pairs] = array[8:10, pairs[:, ::-1]]
    assert repair_limbs(time_s, px, world, visible, np.full(20, REACH)) == 2
    for found, wanted in zip((px, world, visible), truth, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_somebody_who_faces_the_camera_is_as_wide_as_six_tenths_of_the_reach() -> None:
    px = standing_px()[None].repeat(3, axis=0)
    px[:, [11, 23]] = px[:, [12, 24]]
    px[1, 11, 0] += 15
    px[1, 23, 0] += 15
    px[2, 11, 0] += 80
    np.testing.assert_allclose(frontal_view(px, np.full(3, REACH)), [0, 0.25, 1])


def test_a_spike_is_farther_off_than_six_hundredths_and_an_acceleration() -> None:
    time_s = np.arange(30) / 30
    px = np.zeros((30, 2, 2))
    limit = (0.06 + 15 / 900) * REACH
    px[10, 0, 1], px[20, 1, 0] = 1.05 * limit, 0.95 * limit
    found = find_spikes(time_s, px, np.full(30, REACH))
    assert found[10, 0] and found.sum() == 1
    assert not find_spikes(time_s[:4], px[8:12], np.full(4, REACH)).any()


# ---------------------------------------------------------------------- what is refused


def seen(**changes: Any) -> Observation:
    px = np.stack([standing_px()] * 4)
    known: dict[str, Any] = {
        "time_s": np.arange(4) / 30,
        "camera": Camera(image_size_px=(800, 600), focal_px=700, center_px=(400, 300), source="guess"),
        "keypoint_set": "blazepose33",
        "keypoints_px": px,
        "confidence": np.full((4, 33), 0.9),
    }
    return Observation(**{**known, **changes})


def test_stature_comes_from_trunk_and_legs() -> None:
    assert stature_px(seen()) == pytest.approx((70 + 45 + 45) / 0.78)


def test_specks_parts_and_moving_cameras_are_refused() -> None:
    refuse_unusable(seen())
    for scale, refused in ((49 * 0.78 / 160, True), (51 * 0.78 / 160, False)):
        small = seen(keypoints_px=np.stack([standing_px(scale=scale)] * 4))
        if refused:
            with pytest.raises(EstimationError, match="about 49 pixels tall"):
                refuse_unusable(small)
        else:
            refuse_unusable(small)
    for columns, part in (((11, 12), "shoulders"), ((23, 24), "hips"), ((27, 28, 25, 26), "legs")):
        confidence = np.full((4, 33), 0.9)
        confidence[:, columns] = 0.5
        with pytest.raises(EstimationError, match=f"the {part} are visible in 0%"):
            refuse_unusable(seen(confidence=confidence))
        confidence[1, columns[0]] = confidence[1, columns[-1]] = 0.51
        refuse_unusable(seen(confidence=confidence))  # one side, in a quarter of the frames
    for shift, refused in ((31.9, False), (32.1, True)):  # 4 % of 800 px
        moved = seen(camera_shift_px=np.array([0, 0, shift, 0.0]))
        refuse_unusable(moved)
        if refused:
            with pytest.raises(EstimationError, match=r"has shifted by 32 px \(4% of its longer side\)"):
                refuse_moving_camera(moved)
        else:
            refuse_moving_camera(moved)


def test_who_was_followed_since_the_meeting_changes_names() -> None:
    """The track that slipped to the other person gives back its frames since then; both go on as who they were."""
    left, right = track_of([(440.0 - 10 * n, 300) for n in range(8)]), track_of([(300.0 + 10 * n, 300) for n in range(8)])
    tracker = Tracker(networks=None, people=2)  # type: ignore[arg-type]
    tracker.tracks, tracker._swaps = [right, left], IdentitySwap.of(left, [right])
    left.lost_since_s = 0.7
    for n in range(8, 13):
        right.add(n, n / 10, person((440 - 10 * n, 300)), PICTURE)  # it follows the left one
    tracker._resume(left, 13, 1.3, person((430, 300)), PICTURE)
    assert tracker._swaps == []
    assert right.frames == [*range(8), 13] and right.last.px[23, 0] == pytest.approx(442)
    assert left.frames == [*range(8), 13] and left.last.px[23, 0] == pytest.approx(332)


def test_a_doubtful_picture_is_looked_at_through_other_crops() -> None:
    """The usual crop, upright, 15 % smaller, turned by -0.3 rad, 20 % larger, turned by 0.3 rad."""
    track = PersonTrack()
    px = standing_px()
    region = Region(np.array([400.0, 300.0]), 250.0, 0.1)
    track.add(0, 0.0, Landmarks(px=px, world_m=np.zeros((33, 3)), visibility=np.full(33, 0.9), region=region), PICTURE)
    asked: list[Region] = []

    def look(regions: Sequence[Region]) -> list[None]:
        asked.extend(regions)
        return [None for _ in regions]

    assert track.step(0.1, look([track.region])[0], look) is None
    assert [round(one.side_px / 250, 3) for one in asked] == [1.0, 1.0, 0.85, 1.0, 1.2, 1.0]
    assert [round(one.rotation_rad, 3) for one in asked] == [0.1, 0.0, 0.1, -0.2, 0.1, 0.4]
    assert all((one.center_px == region.center_px).all() for one in asked)


def test_bones_grow_by_at_most_three_tenths() -> None:
    """Somebody whose arms and legs are suddenly much longer, around the same trunk, is a muddle of two people."""
    for longer, taken in ((1.3, True), (1.7, False)):
        track = track_of([(400, 300), (400, 300), (400, 300)])
        px = standing_px()
        px[13:23] += (longer - 1) * (px[13:23] - px[[11, 12] * 5])
        px[25:] += (longer - 1) * (px[25:] - px[[23, 24] * 4])
        found = Landmarks(px=px, world_m=np.zeros((33, 3)), visibility=np.full(33, 0.9), region=person().region)
        assert (track.step(0.3, found, lambda regions, found=found: [found for _ in regions]) is not None) is taken, longer


def test_the_outline_of_a_person_has_a_margin_of_eight_hundredths_of_the_height() -> None:
    px = standing_px()
    margin = 0.08 * np.ptp(px[:, 1])
    wanted = [*(px.min(axis=0) - margin), *(px.max(axis=0) + margin)]
    assert _landmark_box(track_of([(400, 300)])) == pytest.approx(tuple(wanted))


def test_who_is_half_as_large_at_the_same_place_is_somebody_else() -> None:
    """The smaller of the two reaches counts: trunks 20 px apart are one person's at a reach of 200 px, not at 100."""
    large = person(scale=2.0)
    x, y = trunk_px(large.px)
    small = person((x + 20.0, y + 35.0))
    assert np.linalg.norm(trunk_px(small.px) - trunk_px(large.px)) == pytest.approx(20)
    assert not same_person(large, small) and not same_person(small, large)
    assert same_person(large, person((415, 300), 2.0))


@pytest.mark.parametrize(
    ("apart", "ratio", "same"), [(34, 1.0, True), (36, 1.0, False), (0, 1.6, True), (0, 1.7, False), (0, 0.58, False)]
)
def test_regions_around_one_person_agree_in_place_and_size(apart: float, ratio: float, same: bool) -> None:
    second = Region(np.array([400.0, 300.0]), 250.0, 0.0)
    assert same_place(Region(np.array([400.0 + apart, 300.0]), 250.0 * ratio, 0.0), second) is same


@pytest.mark.parametrize(
    ("gap_s", "moved_px", "taken"),
    [(0.05, 38, True), (0.05, 42, False), (0.3, 135, True), (0.3, 145, False), (2.0, 175, False)],
)
def test_a_followed_person_moves_by_what_the_time_allows(gap_s: float, moved_px: float, taken: bool) -> None:
    """A fifth of the reach and four times the reach a second, one and a half reaches at most."""
    track = track_of([(400, 300)])
    found = person((400 + moved_px, 300))
    assert (track.step(gap_s, found, lambda regions: [found for _ in regions]) is not None) is taken

"""People who pass each other: when they meet, who is who afterwards, what is hidden, what is said about it."""

from __future__ import annotations

import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from hsmr_bio.body.body import Body
from hsmr_bio.estimators import EstimateOptions, estimate
from hsmr_bio.estimators.body_outline import on_body, touching
from hsmr_bio.estimators.meeting_hiding import decide_front, front_by_colour, front_by_feet, without_hidden
from hsmr_bio.estimators.meeting_links import cut, joined, link
from hsmr_bio.estimators.meeting_paths import Gap
from hsmr_bio.estimators.meetings import find_meetings
from hsmr_bio.estimators.person_track import PersonTrack, trunk_px
from hsmr_bio.estimators.presence import held, lost_notes, others_notes
from hsmr_bio.estimators.regions import Landmarks, Region
from hsmr_bio.io.npz import load_motion, load_observation, save_observation
from hsmr_bio.types import Camera, Observation

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ROOT / "tools" / "yardstick"
REACH = 100.0
RATE_HZ = 30.0
GREY = np.full((600, 800, 3), 128, dtype=np.uint8)
RED, BLUE = (np.full_like(GREY, colour) for colour in ((250, 10, 10), (10, 10, 250)))


def standing_px(x: float, y: float = 300.0) -> np.ndarray:
    """(33, 2) a standing figure with its hips at (x, y), 190 px tall."""
    px = np.zeros((33, 2))
    px[:11] = (0, -95)
    for left, height, half in ((11, -70, 20), (13, -35, 25), (15, 0, 26), (17, 5, 26), (19, 6, 26), (21, 4, 24)):
        px[left], px[left + 1] = (half, height), (-half, height)
    for left, height in ((23, 0), (25, 45), (27, 90), (29, 92), (31, 95)):
        px[left], px[left + 1] = (12, height), (-12, height)
    return px + np.array([x, y])


def person(x: float, y: float = 300.0) -> Landmarks:
    at = np.array([x, y])
    return Landmarks(
        px=standing_px(x, y), world_m=np.zeros((33, 3)), visibility=np.full(33, 0.9), region=Region(at, 2.5 * REACH, 0.0)
    )


def track_of(places: dict[int, float], picture: np.ndarray = GREY, *, y: float = 300.0) -> PersonTrack:
    track = PersonTrack()
    for frame, x in places.items():
        track.add(frame, frame / RATE_HZ, person(x, y), picture)
    return track


def crossing(step_px: float = 8.0, frames: int = 60) -> tuple[PersonTrack, PersonTrack]:
    """One walks right and one left; both are in one place in frame 30, where each track goes on with the other person."""
    right, left = ({n: 400 + sign * (n - 30) * step_px for n in range(frames)} for sign in (1, -1))
    swapped = [{n: (mine if n < 30 else other)[n] for n in range(frames)} for mine, other in ((right, left), (left, right))]
    return track_of(swapped[0]), track_of(swapped[1])


TIMES = np.arange(60) / RATE_HZ


def test_people_meet_while_their_bodies_touch() -> None:
    (meeting,) = find_meetings(crossing(), TIMES)
    assert meeting.tracks == (0, 1)
    assert 30 - 12 <= meeting.start <= 26, "bodies of 50 px width approach at 16 px a frame"
    assert 34 <= meeting.end <= 30 + 13
    far = track_of(dict.fromkeys(range(60), 750.0))
    assert find_meetings([far, track_of(dict.fromkeys(range(60), 100.0))], TIMES) == []
    assert find_meetings([far], TIMES) == []


def test_somebody_lost_behind_somebody_is_expected_to_walk_on() -> None:
    """The track that is lost at the first touch and found again later met the other one in between."""
    right = track_of({n: 160 + 8.0 * n for n in range(60)})
    left = track_of({n: 640 - 8.0 * n for n in [*range(24), *range(40, 60)]})
    (meeting,) = find_meetings([right, left], TIMES)
    assert meeting.start <= 27
    assert meeting.end >= 33


def test_paths_tell_who_is_who_after_a_meeting() -> None:
    tracks = crossing()
    meetings = find_meetings(tracks, TIMES)
    people = [joined(chain) for chain in link(cut(tracks, meetings), meetings)]
    assert len(people) == 2
    for track in people:
        x = [trunk_px(one.px)[0] for one in track.landmarks]
        assert len({bool(step > 0) for step in np.diff(x)}) == 1, "everybody goes on in one direction"
        assert track.frames[0] == 0
        assert track.frames[-1] == 59


def test_colours_tell_who_is_who_where_paths_do_not() -> None:
    """Two people stop in one place for a second and step apart; the first track comes out on the other person's side."""
    hidden = dict.fromkeys(range(15, 45), 400.0)
    first = track_of({n: 280 + 8.0 * n for n in range(15)} | hidden, RED)
    second = track_of({n: 520 - 8.0 * n for n in range(15)} | hidden, BLUE)
    for n in range(45, 60):
        first.add(n, n / RATE_HZ, person(400 + 8.0 * (n - 45)), BLUE)
        second.add(n, n / RATE_HZ, person(400 - 8.0 * (n - 45)), RED)
    meetings = find_meetings([first, second], TIMES)
    people = [joined(chain) for chain in link(cut([first, second], meetings), meetings)]
    assert len(people) == 2
    for track in people:
        looks = [int(np.argmax(look[:64])) for look in track.looks if look is not None]
        assert len(set(looks)) == 1


def test_the_box_belongs_to_the_person_of_the_first_frame() -> None:
    """A later piece of the track that was in the box is not the chosen person, if it goes on with somebody else."""
    first, second = crossing()
    first.chosen = True
    meetings = find_meetings([first, second], TIMES)
    people = [joined(chain) for chain in link(cut([first, second], meetings), meetings)]
    (chosen,) = [track for track in people if track.chosen]
    assert trunk_px(chosen.landmarks[0].px)[0] < 200
    assert [piece.chosen for index, piece in cut([first, second], meetings) if index == 0] == [True, False]


def test_without_the_colours_of_either_nobody_is_joined() -> None:
    first, second = track_of(dict.fromkeys(range(20), 400.0), RED), track_of(dict.fromkeys(range(40, 60), 410.0), BLUE)
    passer = track_of({n: 160 + 8.0 * n for n in range(60)})
    meetings = find_meetings([first, second, passer], TIMES)
    people = link(cut([first, second, passer], meetings), meetings)
    assert all(len({int(np.argmax(look[:64])) for piece in chain for look in piece.looks}) == 1 for chain in people)


def test_the_path_through_a_gap_keeps_place_and_speed_of_both_ends() -> None:
    before, after = track_of({n: 100 + 6.0 * n for n in range(10)}), track_of({n: 100 + 6.0 * n for n in range(30, 40)})
    gap = Gap(0, 10, 30, before, after, TIMES)
    for frame in (10, 17, 29):
        assert gap.trunk_px(gap.time_s(frame))[0] == pytest.approx(100 + 6 * frame, abs=1e-6)
    assert gap.tolerance(10 / RATE_HZ) < gap.tolerance(20 / RATE_HZ)
    assert gap.region(20 / RATE_HZ).center_px[0] == pytest.approx(220)
    alone = Gap(0, 10, 30, before, None, TIMES)
    assert alone.trunk_px(15 / RATE_HZ)[0] == pytest.approx(190)


def test_points_on_a_body() -> None:
    """The thigh is 11 px wide to either side with a reach of 100 px; between the legs is none of it."""
    body = standing_px(400)
    points = np.array([[412, 320], [421, 320], [427, 320], [400, 260], [400, 410], [440, 265]], dtype=float)
    assert on_body(points, body, REACH).tolist() == [True, True, False, True, False, False]
    assert touching(body, standing_px(455), REACH, margin=0.06)
    assert not touching(body, standing_px(520), REACH, margin=0.06)


def test_what_the_body_in_front_covers_is_not_seen() -> None:
    behind, front = person(400), person(445)
    left = without_hidden(behind, front)
    assert left is not None
    gone = left.visibility == 0
    assert gone[[15, 17, 19]].all(), "the left hand is on the other one's right arm"
    assert not gone[[12, 14, 16, 24, 26, 28]].any(), "the right side is free"
    np.testing.assert_array_equal(left.visibility[~gone], 0.9)
    assert without_hidden(behind, person(404)) is None


def test_colours_of_the_overlap_then_feet_say_who_is_in_front() -> None:
    first, second = person(400), person(420)
    tracks = track_of({0: 400.0}, RED), track_of({0: 420.0}, BLUE)
    colours = tracks[0].looks[0], tracks[1].looks[0]
    assert front_by_colour(first, second, colours, RED) == pytest.approx(1)
    assert front_by_colour(first, second, colours, BLUE) == pytest.approx(-1)
    assert front_by_colour(first, person(700), colours, RED) is None
    nearer = front_by_feet({0: person(400, 310)}, {0: person(420, 300)})
    assert nearer == pytest.approx(0.1)
    assert decide_front([0.3, 0.2], -0.5, (1, 2)) == 0
    assert decide_front([0.01], -0.5, (1, 1)) == 1
    assert decide_front([0.3], 0.5, (9, 1)) == 1, "who is missing is behind"
    assert decide_front([], 0.1, (0, 0)) == 0


def test_the_notes_say_what_is_missing_and_who_else_is_there() -> None:
    seen, behind = np.ones(60, dtype=bool), np.zeros(60, dtype=bool)
    assert lost_notes(TIMES, seen, behind) == ()
    seen[15:24] = False
    behind[15:24] = True
    seen[57:] = False
    (note,) = lost_notes(TIMES, seen, behind)
    assert note == "the person is not seen in 12 of 60 frames: 0.50 to 0.80 s (behind somebody), 1.90 to 1.97 s"
    others = held([(0, 0), (15, 2), (30, 1)], 60).astype(float)
    assert others.sum() == 2 * 15 + 30
    (note,) = others_notes(TIMES, others)
    assert note.startswith("2 other people are in the picture for 25% of the time: --people")
    assert others_notes(TIMES, held([(0, 0), (57, 1)], 60).astype(float)) == (), "too short"


def test_what_is_hidden_is_stored(tmp_path: Path) -> None:
    confidence = np.full((4, 33), 0.9)
    confidence[2] = 0.0
    seen = Observation(
        time_s=np.arange(4) / RATE_HZ,
        camera=Camera(image_size_px=(800, 600), focal_px=700, center_px=(400, 300), source="guess"),
        keypoint_set="blazepose33",
        keypoints_px=np.stack([standing_px(400)] * 4),
        confidence=confidence,
        hidden_share=np.array([0, 0.25, 1, 0]),
        others=np.array([0, 1.0, 1, 1]),
    )
    save_observation(tmp_path / "a_observation.npz", seen)
    again = load_observation(tmp_path / "a_observation.npz")
    np.testing.assert_array_equal(again.hidden_share, [0, 0.25, 1, 0])
    np.testing.assert_array_equal(again.at(slice(1, 3)).others, [1, 1])
    assert again.lost_share == pytest.approx(0.25)


@pytest.fixture(scope="module")
def passing(tmp_path_factory: pytest.TempPathFactory, open_body: Body) -> tuple[Path, dict[str, np.ndarray]]:
    """Two seconds: the demo's person walks, and another one passes in front."""
    import av

    if not TOOLS.is_dir():
        pytest.skip("the tools are not here")
    sys.path.insert(0, str(TOOLS))
    from cameras import Shot, place_camera
    from coarse_mesh import CoarseMesh
    from crossing import _joints_m, _save_people, through
    from frames import landmark_places
    from render import Actor, Studio

    walk = load_motion(ROOT / "examples" / "demo_truth.npz")
    walk = replace(walk, time_s=walk.time_s[:60], poses_rad=walk.poses_rad[:60], trans_m=walk.trans_m[:60])
    joints = _joints_m(open_body, walk)
    camera = place_camera(Shot("side", "level", "far", "known", "640x480"), joints, np.random.default_rng(3))
    other = through(walk, open_body, camera, joints[30, 0], 30, (0.8, np.pi if camera.rotation[0, 0] > 0 else 0.0))
    mesh = CoarseMesh.of(open_body)
    actor = Actor(mesh, other, _joints_m(open_body, other))
    studio = Studio(mesh, walk, joints, camera, np.random.default_rng(5), others=[actor])
    folder = tmp_path_factory.mktemp("passing")
    with av.open(str(folder / "passing.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(30))
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
        for frame in range(60):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(studio.frame(frame), format="rgb24")))
        container.mux(stream.encode())
    places = np.stack([landmark_places(open_body, motion) for motion in (walk, other)])
    _save_people(folder / "people.npz", studio, camera.project(places)[0])
    with np.load(folder / "people.npz") as people:
        return folder / "passing.mp4", {name: people[name] for name in people.files}


@pytest.mark.slow
def test_a_person_is_the_same_before_and_after_somebody_passed(passing: tuple[Path, dict[str, np.ndarray]]) -> None:
    """The one in the box is followed through; what is hidden is not believed; the result says so."""
    video, people = passing
    px, hidden = people["px"], people["hidden"]
    low, high = px[0, 0].min(axis=0) - 4, px[0, 0].max(axis=0) + 4
    seen = estimate(video, EstimateOptions(person_box=(*low.tolist(), *high.tolist())))
    torso = np.median(np.linalg.norm(px[0][:, [11, 12]].mean(axis=1) - px[0][:, [23, 24]].mean(axis=1), axis=1))
    off = np.median(np.linalg.norm(seen.keypoints_px - px[0], axis=2)[:, 11:], axis=1) / torso
    assert seen.seen[:8].all(), "before"
    assert seen.seen[-8:].all(), "after"
    assert np.nanmax(off) < 0.3, "always this person"
    assert seen.hidden_share is not None
    assert seen.hidden_share[people["shown"][0] < 0.5].mean() > 0.3
    assert (seen.confidence[hidden[0]] > 0.5).mean() < 0.25
    assert any("is in the picture" in note for note in seen.notes)


def test_a_second_person_leaves_the_first_ones_picture_alone(open_body: Body) -> None:
    """Clothes, light and backdrop of a scene do not change when somebody else walks in."""
    if not TOOLS.is_dir():
        pytest.skip("the tools are not here")
    sys.path.insert(0, str(TOOLS))
    from cameras import Shot, place_camera
    from coarse_mesh import CoarseMesh
    from crossing import _joints_m
    from render import Actor, Studio

    walk = load_motion(ROOT / "examples" / "demo_truth.npz")
    walk = replace(walk, time_s=walk.time_s[:1], poses_rad=walk.poses_rad[:1], trans_m=walk.trans_m[:1])
    joints, mesh = _joints_m(open_body, walk), CoarseMesh.of(open_body)
    camera = place_camera(Shot("side", "level", "near", "known", "640x480"), joints, np.random.default_rng(3)).reduced(4)
    other = replace(walk, trans_m=walk.trans_m + 0.6 * camera.rotation[0])
    actor = Actor(mesh, other, _joints_m(open_body, other))
    alone = Studio(mesh, walk, joints, camera, np.random.default_rng(5)).drawn(0)
    both = Studio(mesh, walk, joints, camera, np.random.default_rng(5), others=[actor]).drawn(0)
    mine = (alone[1] == 1) & (both[1] == 1)
    assert mine.sum() > 0.5 * (alone[1] == 1).sum()
    assert (both[1] == 2).sum() > 100
    changed = np.abs(alone[0].astype(int) - both[0]).max(axis=2)
    assert np.median(changed[mine]) <= 2

"""The default estimator on the project's own clip, whose truth is known, and on pictures made from it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from hsmr_bio.errors import EstimationError, InputError
from hsmr_bio.estimators import EstimateOptions, estimator_names, get_estimator
from hsmr_bio.estimators.pose_networks import PoseNetworks
from hsmr_bio.estimators.quality import refuse_moving_camera, refuse_unusable, stature_px
from hsmr_bio.estimators.regions import Region
from hsmr_bio.io.npz import load_motion, save_observation
from hsmr_bio.io.video import open_video
from hsmr_bio.skeleton import JOINT_NAMES
from hsmr_bio.types import Observation

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
CLIP = EXAMPLES / "demo.mp4"
JOINT_OF = {
    23: "femur_l",
    24: "femur_r",
    25: "tibia_l",
    26: "tibia_r",
    27: "talus_l",
    28: "talus_r",
    11: "humerus_l",
    12: "humerus_r",
    13: "ulna_l",
    14: "ulna_r",
    15: "hand_l",
    16: "hand_r",
}
POINTS = list(JOINT_OF)
BLAZEPOSE = get_estimator("blazepose")


@pytest.fixture(scope="module")
def seen() -> Observation:
    """The first three seconds of the clip: walking, and the beginning of the squat."""
    return BLAZEPOSE.estimate(CLIP, EstimateOptions(end_s=3.0))


@pytest.fixture(scope="module")
def truth_px(open_body) -> np.ndarray:
    """(T, 12, 2) true joint centres in the pictures."""
    motion = load_motion(EXAMPLES / "demo_truth.npz")
    joints = open_body.forward(motion.poses_rad, motion.betas, motion.trans_m).joints_m.numpy()
    joints = joints[:, [JOINT_NAMES.index(name) for name in JOINT_OF.values()]]
    camera = joints @ np.array(motion.notes["world_to_camera_rotation"]).T + motion.notes["world_to_camera_translation_m"]
    return camera[..., :2] / camera[..., 2:] * motion.camera.focal_px + motion.camera.center_px


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    """Every picture of the first 1.5 seconds."""
    return [frame.rgb for frame in open_video(CLIP, end_s=1.5)]


def write_video(path: Path, pictures: Iterable[np.ndarray]) -> Path:
    with av.open(str(path), "w") as container:
        stream = None
        for picture in pictures:
            height, width = (n // 2 * 2 for n in picture.shape[:2])
            if stream is None:
                stream = container.add_stream("libx264", rate=30, options={"crf": "18", "preset": "ultrafast"})
                stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            cut = np.ascontiguousarray(picture[:height, :width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(cut, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_the_person_is_found_in_every_frame_of_our_clip(seen: Observation, truth_px: np.ndarray) -> None:
    assert seen.seen.all()
    assert seen.keypoint_set == "blazepose33"
    error = np.linalg.norm(seen.keypoints_px[:, POINTS] - truth_px[: len(seen.time_s)], axis=-1)
    assert np.median(error) < 10, "pixels, of a person of 370"
    assert np.percentile(error, 95) < 25
    assert 380 < stature_px(seen) < 520
    refuse_unusable(seen)


def test_nothing_lags_behind(seen: Observation, truth_px: np.ndarray) -> None:
    """The truth fits best without a delay: smoothing over the past would make an older frame fit better."""
    ours = seen.keypoints_px[5:-5, POINTS]
    fits = {}
    for lag in (-2, -1, 0, 1, 2):
        apart = ours - truth_px[5 + lag : 5 + lag + len(ours)]
        fits[lag] = np.linalg.norm(apart - apart.mean(axis=0), axis=-1).mean()
    lag, fit = np.array(list(fits)), np.array(list(fits.values()))
    assert min(fits, key=fits.__getitem__) == 0, fits
    curve = np.polyfit(lag, fit**2, 2)
    assert abs(curve[1] / (2 * curve[0])) < 0.35, "frames of delay"


def test_sides_are_never_exchanged(seen: Observation, truth_px: np.ndarray) -> None:
    truth = truth_px[: len(seen.time_s)]
    right_way = np.linalg.norm(seen.keypoints_px[:, POINTS] - truth, axis=-1)
    exchanged = [1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10]
    wrong_way = np.linalg.norm(seen.keypoints_px[:, POINTS] - truth[:, exchanged], axis=-1)
    for pair in range(0, 12, 2):
        clear = np.linalg.norm(truth[:, pair] - truth[:, pair + 1], axis=-1) > 30
        assert np.all((right_way < wrong_way)[clear][:, pair : pair + 2]), JOINT_OF[POINTS[pair]]


def test_world_landmarks_are_metres_in_camera_axes(seen: Observation) -> None:
    world = seen.keypoints_m
    assert world is not None
    np.testing.assert_allclose((world[:, 23] + world[:, 24]) / 2, 0, atol=0.03)
    assert np.all(world[:, [11, 12], 1] < -0.3), "shoulders above the hips: y points down"
    assert np.all(world[:, [27, 28], 1] > 0.4)
    assert np.median(world[:, 0, 2] - world[:, [7, 8], 2].mean(axis=1)) < 0, "the face is nearer than the ears: z points away"


def test_still_camera_is_still(seen: Observation) -> None:
    assert seen.camera_shift_px is not None
    assert seen.camera_shift_px.max() < 2.0
    assert seen.camera.source == "guess"


def test_the_camera_can_be_told() -> None:
    observation = BLAZEPOSE.estimate(CLIP, EstimateOptions(end_s=0.1, focal_px=900))
    assert (observation.camera.focal_px, observation.camera.source) == (900, "--focal-px")


@pytest.mark.slow
def test_a_lost_person_is_a_gap_and_comes_back(tmp_path: Path, pictures: list[np.ndarray], seen: Observation) -> None:
    empty = pictures[0].copy()
    empty[:, :500] = empty[:, 460:960]
    clip = write_video(tmp_path / "gap.mp4", [empty if 15 <= n < 21 else picture for n, picture in enumerate(pictures)])
    observation = BLAZEPOSE.estimate(clip)
    assert not observation.seen[15:21].any()
    assert np.isnan(observation.keypoints_px[15:21]).all()
    assert observation.confidence[15:21].max() == 0
    assert observation.seen[:15].all()
    assert observation.seen[24:].all()
    apart = np.linalg.norm(observation.keypoints_px[24:, POINTS] - seen.keypoints_px[24 : len(pictures), POINTS], axis=-1)
    assert np.median(apart) < 5, "the same person"


@pytest.fixture(scope="module")
def two_people(tmp_path_factory: pytest.TempPathFactory, pictures: list[np.ndarray]) -> Path:
    """The clip beside its mirror image: two people in one picture of 1920 x 720."""
    both = (np.concatenate([picture, picture[:, ::-1]], axis=1) for picture in pictures[:30])
    return write_video(tmp_path_factory.mktemp("two") / "two.mp4", both)


def mean_x(observation: Observation) -> np.ndarray:
    """(T,) where the person is, NaN where not seen."""
    return observation.keypoints_px[..., 0].mean(axis=1)


@pytest.mark.slow
def test_two_people_are_two_observations(two_people: Path) -> None:
    people = BLAZEPOSE.estimate_people(two_people)
    assert len(people) == 2
    assert sorted(bool(mean_x(person)[0] > 960) for person in people) == [False, True]
    for person in people:
        assert person.seen.all()
        assert np.abs(np.diff(mean_x(person))).max() < 15, "nobody jumps to the other"


@pytest.mark.slow
@pytest.mark.parametrize("right", [False, True])
def test_the_box_chooses_the_person(two_people: Path, right: bool) -> None:
    first = BLAZEPOSE.estimate_people(two_people, EstimateOptions(end_s=0.3))
    wanted = next(person for person in first if (mean_x(person)[0] > 960) == right)
    low, high = wanted.keypoints_px[0].min(axis=0) - 15, wanted.keypoints_px[0].max(axis=0) + 15
    observation = BLAZEPOSE.estimate(two_people, EstimateOptions(person_box=(*low, *high), end_s=0.5))
    assert np.all((mean_x(observation) > 960) == right)


@pytest.mark.slow
def test_people_who_pass_each_other_are_not_exchanged(tmp_path: Path, truth_px: np.ndarray) -> None:
    """Twins walk through each other's picture; the nearer one hides the other. Each track is one person or a gap."""
    walk = np.stack([frame.rgb for frame in open_video(CLIP, end_s=2.3)])
    empty = np.median(walk[::3], axis=0).astype(np.uint8)
    shown = []
    for ours in walk:
        theirs = ours[:, ::-1]
        here = np.abs(theirs.astype(int) - empty[:, ::-1]).max(axis=-1) > 24
        picture = ours.copy()
        picture[here] = theirs[here]
        shown.append(picture)
    clip = write_video(tmp_path / "twins.mp4", shown)
    truth = truth_px[: len(walk), :6].mean(axis=1)[:, 0]
    x = np.stack([truth, 959 - truth], axis=1)
    assert (x[0, 0] < 400) and (x[-1, 0] > 560), "they do pass each other"
    for person in (BLAZEPOSE.estimate(clip), *BLAZEPOSE.estimate_people(clip)):
        hips = person.keypoints_px[:, POINTS[:6], 0].mean(axis=1)
        near = np.abs(hips[:, None] - x)
        clear = person.seen & (np.abs(x[:, 0] - x[:, 1]) > 120)
        assert clear.sum() > 20
        assert len(set(near[clear].argmin(axis=1))) == 1, "one track, one person"


def test_a_box_around_nobody_is_one_clear_line() -> None:
    with pytest.raises(EstimationError, match=r"no person found in \d+ frames inside the box \(800, 20, 940, 200\)"):
        BLAZEPOSE.estimate(CLIP, EstimateOptions(end_s=0.2, person_box=(800, 20, 940, 200)))


def test_a_region_without_size_shows_nobody(pictures: list[np.ndarray]) -> None:
    with PoseNetworks() as networks:
        sizes = ((0.0, 100.0), (-5.0, 100.0), (float("nan"), 100.0), (50.0, float("nan")))
        regions = [Region(np.full(2, middle), side, 0.0) for side, middle in sizes]
        assert networks.landmarks(pictures[0], regions) == [None] * 4


def test_black_and_empty_pictures_are_one_clear_line(tmp_path: Path) -> None:
    black = write_video(tmp_path / "black.mp4", [np.zeros((240, 320, 3), np.uint8)] * 8)
    with pytest.raises(EstimationError, match="the pictures are black"):
        BLAZEPOSE.estimate(black)
    noise = np.random.default_rng(3).integers(0, 255, (8, 240, 320, 3), dtype=np.uint8)
    with pytest.raises(EstimationError, match="no person found in 8 frames"):
        BLAZEPOSE.estimate(write_video(tmp_path / "noise.mp4", noise))


def test_two_frames_and_one_picture_are_enough(tmp_path: Path, pictures: list[np.ndarray]) -> None:
    from PIL import Image

    assert BLAZEPOSE.estimate(write_video(tmp_path / "two.mp4", pictures[:2])).seen.all()
    Image.fromarray(pictures[0]).save(tmp_path / "one.png")
    observation = BLAZEPOSE.estimate(tmp_path / "one.png")
    assert observation.seen.tolist() == [True]


@pytest.mark.slow
def test_large_pictures_give_points_in_their_own_pixels(tmp_path: Path, pictures: list[np.ndarray], seen: Observation) -> None:
    large = [np.kron(picture, np.ones((6, 6, 1), np.uint8)) for picture in pictures[:2]]
    observation = BLAZEPOSE.estimate(write_video(tmp_path / "8k.mp4", large))
    assert observation.camera.image_size_px == (5760, 4320)
    np.testing.assert_allclose(observation.keypoints_px[0, POINTS] / 6, seen.keypoints_px[0, POINTS], atol=6)


@pytest.mark.parametrize("right", [False, True])
def test_a_box_is_given_in_a_large_pictures_own_pixels(
    tmp_path: Path, pictures: list[np.ndarray], seen: Observation, right: bool
) -> None:
    """Two people side by side in a picture of 3840 px, which the networks see at half its size."""
    from PIL import Image

    both = np.kron(np.concatenate([pictures[0], pictures[0]], axis=1), np.ones((2, 2, 1), np.uint8))
    Image.fromarray(both).save(tmp_path / "both.png")
    px = 2 * seen.keypoints_px[0] + np.array([1920.0 * right, 0.0])
    low, high = px.min(axis=0) - 20, px.max(axis=0) + 20
    observation = BLAZEPOSE.estimate(tmp_path / "both.png", EstimateOptions(person_box=(*low, *high)))
    assert observation.camera.image_size_px[0] == 3840
    np.testing.assert_allclose(observation.keypoints_px[0, POINTS], px[POINTS], atol=12)


@pytest.mark.slow
def test_a_moving_camera_is_refused_with_advice(tmp_path: Path, pictures: list[np.ndarray]) -> None:
    moved = [picture[:, 4 * n : 4 * n + 760] for n, picture in enumerate(pictures[:40])]
    observation = BLAZEPOSE.estimate(write_video(tmp_path / "moving.mp4", moved))
    assert observation.camera_shift_px is not None
    assert observation.camera_shift_px[-1] == pytest.approx(4 * 39, rel=0.15)
    with pytest.raises(EstimationError, match="the camera moves"):
        refuse_moving_camera(observation)
    refuse_unusable(observation)
    refuse_moving_camera(replace(observation, camera_shift_px=0.2 * observation.camera_shift_px))


def test_half_a_person_and_a_speck_are_refused(tmp_path: Path, pictures: list[np.ndarray]) -> None:
    half = write_video(tmp_path / "half.mp4", [picture[120:340, 200:560] for picture in pictures[:10]])
    with pytest.raises(EstimationError, match="part of"):
        BLAZEPOSE.estimate(half)
    speck = write_video(tmp_path / "speck.mp4", [picture[::10, ::10] for picture in pictures[:4]])
    with pytest.raises(EstimationError, match=r"pixels tall|no person found"):
        BLAZEPOSE.estimate(speck)


def test_half_a_person_is_refused(seen: Observation) -> None:
    hidden = seen.confidence.copy()
    hidden[:, 25:] = 0.0
    with pytest.raises(EstimationError, match="the legs are visible in 0% of the frames"):
        refuse_unusable(replace(seen, confidence=hidden))


def test_a_speck_is_refused(seen: Observation) -> None:
    with pytest.raises(EstimationError, match=r"about \d\d pixels tall"):
        refuse_unusable(replace(seen, keypoints_px=seen.keypoints_px / 10))


@pytest.mark.slow
def test_the_networks_are_quiet(pictures: list[np.ndarray], tmp_path: Path) -> None:
    """Errors are one line on stderr; greetings of compiled libraries would hide it."""
    np.save(tmp_path / "picture.npy", pictures[0])
    code = (
        "import sys, numpy as np\nfrom hsmr_bio.estimators.pose_networks import PoseNetworks\n"
        "with PoseNetworks() as networks:\n    picture = np.load(sys.argv[1])\n"
        "    assert networks.landmarks(picture, [networks.detect(picture)[0].region])[0]"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "picture.npy")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_progress_counts_the_frames() -> None:
    calls: list[tuple[str, int, int | None]] = []
    BLAZEPOSE.estimate(CLIP, EstimateOptions(end_s=0.2), progress=lambda *call: calls.append(call))
    assert calls[0][:2] == ("estimate", 1)
    assert calls[-1] == ("estimate", 7, 7)


def test_a_saved_observation_is_replayed(tmp_path: Path, seen: Observation) -> None:
    save_observation(tmp_path / "seen.npz", seen)
    replay = get_estimator("replay")
    again = replay.estimate(tmp_path / "seen.npz")
    np.testing.assert_array_equal(again.keypoints_px, seen.keypoints_px)
    part = replay.estimate(tmp_path / "seen.npz", EstimateOptions(start_s=1.0, end_s=2.0, fov_deg=60))
    assert part.time_s[0] == 0
    assert len(part.time_s) == 31
    np.testing.assert_array_equal(part.keypoints_px, seen.keypoints_px[30:61])
    assert part.camera.source == "--fov-deg"
    with pytest.raises(InputError, match="no pictures"):
        replay.estimate(tmp_path / "seen.npz", EstimateOptions(person_box=(0, 0, 1, 1)))
    with pytest.raises(InputError, match="there is nothing from 9 s on"):
        replay.estimate(tmp_path / "seen.npz", EstimateOptions(start_s=9))


def test_estimators_are_found_by_name() -> None:
    assert {"blazepose", "hsmr", "replay"} <= set(estimator_names())
    with pytest.raises(InputError, match="there is no estimator 'openpose'; known: blazepose"):
        get_estimator("openpose")

"""Keypoints of another detector on the road: with the video or without, people, gaps, and the angles at the end."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from hsmr_bio.body import Body
from hsmr_bio.body.keypoint_table import point_names
from hsmr_bio.cli import main
from hsmr_bio.errors import EstimationError, InputError
from hsmr_bio.estimators import EstimateOptions, estimate, estimate_people
from hsmr_bio.fitting.video.fit_motion import fit_motion
from hsmr_bio.io.npz import load_motion, load_observation
from hsmr_bio.pipeline.options import Image2MotOptions
from hsmr_bio.skeleton import DOF_NAMES
from hsmr_bio.types import KeypointPlace, KeypointSet, Observation, SkelMotion

LIMBS = [i for i, name in enumerate(DOF_NAMES) if name.startswith(("hip_f", "hip_a", "knee", "ankle", "elbow", "lumbar_e"))]
SIZE = (640, 480)
FRAMES, RATE_HZ = 40, 20.0


def somebody(at: tuple[float, float], step: float = 0.0) -> np.ndarray:
    """(17, 3) COCO points of somebody who faces the camera, 180 px tall; ``step`` moves a leg forwards and the other back."""
    places = {
        "nose": (0, -70), "eye": (3, -74), "ear": (7, -72), "shoulder": (18, -50), "elbow": (24, -22), "wrist": (26, 2),
        "hip": (10, 0), "knee": (11, 42), "ankle": (11, 84),
    }  # fmt: skip
    values = []
    for name in point_names("coco17"):
        side, _, place = name.rpartition("_")
        x, y = places[place or name]
        sign = {"left": 1, "right": -1, "": 0}[side]
        shift = step * sign if place in ("knee", "ankle") else 0.0
        values.append((at[0] + sign * x + shift, at[1] + y, 0.9))
    return np.array(values)


def write_openpose(folder: Path, frames: dict[int, list[np.ndarray]], ids: dict[int, list[int]] | None = None) -> Path:
    folder.mkdir(parents=True)
    for number, people in frames.items():
        numbers = ids[number] if ids else [-1] * len(people)
        listed = [
            {"person_id": [n], "pose_keypoints_2d": np.round(p, 3).ravel().tolist()}
            for n, p in zip(numbers, people, strict=True)
        ]
        (folder / f"clip_{number:06d}_keypoints.json").write_text(json.dumps({"version": 1.3, "people": listed}))
    return folder


def write_video(path: Path, frames: int = FRAMES, size: tuple[int, int] = SIZE) -> Path:
    """A wall with a door and a floor of tiles; nobody."""
    rng = np.random.default_rng(0)
    picture = np.full((size[1], size[0], 3), 180, dtype=np.uint8)
    picture[size[1] * 3 // 4 :] = (120, 100, 90)
    picture[60 : size[1] * 3 // 4, 60:140] = (90, 60, 40)
    picture[60 : size[1] * 3 // 4, 500:580] = (200, 210, 230)
    picture = np.clip(picture + rng.normal(0, 6, picture.shape), 0, 255).astype(np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=int(RATE_HZ), options={"crf": "20"})
        (stream.width, stream.height), stream.pix_fmt = size, "yuv420p"
        for _ in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


ALONE = EstimateOptions(rate_hz=RATE_HZ, image_size_px=SIZE)


def middle(observation: Observation) -> np.ndarray:
    """(T,) x of the mid-hip."""
    names = point_names(str(observation.keypoint_set))
    return observation.keypoints_px[:, [names.index("left_hip"), names.index("right_hip")], 0].mean(axis=1)


def test_without_a_video_a_missing_file_is_a_gap_in_time(tmp_path: Path) -> None:
    folder = write_openpose(tmp_path / "a", {n: [somebody((100 + n, 200))] for n in range(5, 45) if n not in (20, 21)})
    seen = estimate(folder, ALONE, estimator="keypoints")
    np.testing.assert_allclose(seen.time_s, np.arange(40) / RATE_HZ)
    assert np.flatnonzero(~seen.seen).tolist() == [15, 16]
    np.testing.assert_allclose(middle(seen)[[0, 14, 17, 39]], [105, 119, 122, 144])
    assert seen.camera.image_size_px == SIZE and "coco17" in seen.source
    part = estimate(folder, replace(ALONE, start_s=0.5, end_s=1.0), estimator="keypoints")
    np.testing.assert_allclose(part.time_s, np.arange(11) / RATE_HZ, atol=1e-9)
    np.testing.assert_allclose(middle(part)[0], 115)
    clock = estimate(folder, replace(ALONE, source_clock=True), estimator="keypoints")
    np.testing.assert_allclose(clock.time_s[0], 5 / RATE_HZ)


def test_rate_and_size_are_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_openpose(tmp_path / "a", {n: [somebody((100, 200))] for n in range(9)})
    with pytest.raises(InputError, match=r"add --rate-hz and --image-size, or name the video: VIDEO --keypoints"):
        estimate(folder, estimator="keypoints")
    with pytest.raises(InputError, match=r"add --image-size, or"):
        estimate(folder, EstimateOptions(rate_hz=30), estimator="keypoints")
    with pytest.raises(InputError, match=r"outside the picture of 50 x 60 px"):
        estimate(folder, EstimateOptions(rate_hz=30, image_size_px=(50, 60)), estimator="keypoints")
    assert main(["image2mot", str(folder), "--estimator", "keypoints", "-o", str(tmp_path / "out")]) == 1
    assert "add --rate-hz" in capsys.readouterr().err


def test_with_the_video_its_time_size_scene_and_pictures_are_used(tmp_path: Path) -> None:
    video = write_video(tmp_path / "clip.mp4")
    folder = write_openpose(tmp_path / "json", {n: [somebody((320, 240))] for n in range(FRAMES) if n != 7})
    options = EstimateOptions(keypoints=folder)
    seen = estimate(video, options, estimator="keypoints")
    np.testing.assert_allclose(seen.time_s, np.arange(FRAMES) / RATE_HZ, atol=1e-6)
    assert np.flatnonzero(~seen.seen).tolist() == [7]
    assert seen.camera.image_size_px == SIZE
    assert seen.scene_edges_px is not None and len(seen.scene_edges_px) > 4
    assert seen.camera_shift_px is not None and seen.camera_shift_px.max() < 1
    assert 3 <= len(seen.thumbnails) <= 6 and {picture.time_s for picture in seen.thumbnails} <= set(seen.time_s)
    part = estimate(video, replace(options, start_s=1.0, end_s=1.5), estimator="keypoints")
    assert len(part.time_s) == 11 and part.time_s[0] == 0
    assert all(picture.time_s in part.time_s for picture in part.thumbnails)
    shifted = write_openpose(tmp_path / "one", {n + 1: [somebody((100 + n, 240))] for n in range(FRAMES)})
    np.testing.assert_allclose(
        middle(estimate(video, EstimateOptions(keypoints=shifted), estimator="keypoints"))[:2], [100, 101]
    )


def test_keypoints_of_another_video_are_refused(tmp_path: Path) -> None:
    video = write_video(tmp_path / "clip.mp4", 10)
    folder = write_openpose(tmp_path / "json", {n: [somebody((320, 240))] for n in range(30)})
    with pytest.raises(InputError, match=r"frame 29, but .*clip\.mp4 has 10 frames: they are of another video"):
        estimate(video, EstimateOptions(keypoints=folder), estimator="keypoints")
    with pytest.raises(InputError, match=r"--rate-hz and --image-size would have no effect"):
        estimate(video, replace(ALONE, keypoints=folder), estimator="keypoints")
    large = write_openpose(tmp_path / "large", {n: [somebody((1900, 900))] for n in range(10)})
    with pytest.raises(InputError, match=r"100% of the points lie outside the picture of 640 x 480 px"):
        estimate(video, EstimateOptions(keypoints=large), estimator="keypoints")


def crossing(frame: int) -> list[np.ndarray]:
    """Two people who walk past each other, and a third who is smaller; the order changes from frame to frame."""
    share = frame / (FRAMES - 1)
    people = [somebody((150 + 340 * share, 240)), somebody((490 - 340 * share, 260)), somebody((560, 120)) * (1, 1, 0.8)]
    people[2][:, :2] = (560, 120) + (people[2][:, :2] - (560, 120)) * 0.55
    return people if frame % 2 else people[::-1]


def test_people_who_cross_stay_themselves(tmp_path: Path) -> None:
    folder = write_openpose(tmp_path / "a", {n: crossing(n) for n in range(FRAMES)})
    people = estimate_people(folder, ALONE, estimator="keypoints")
    assert len(people) == 3 and "followed by their places" in people[0].source
    paths = sorted((middle(person) for person in people), key=lambda x: x[0])
    np.testing.assert_allclose(paths[0], np.linspace(150, 490, FRAMES), atol=1)
    np.testing.assert_allclose(paths[1], np.linspace(490, 150, FRAMES), atol=1)
    np.testing.assert_allclose(middle(people[2]), 560, atol=1)
    assert len(estimate_people(folder, replace(ALONE, max_people=2), estimator="keypoints")) == 2
    boxed = estimate(folder, replace(ALONE, person_box=(530, 60, 600, 190)), estimator="keypoints")
    np.testing.assert_allclose(middle(boxed), 560, atol=1)
    with pytest.raises(EstimationError, match="no person inside the box"):
        estimate(folder, replace(ALONE, person_box=(0, 0, 40, 40)), estimator="keypoints")


def test_the_numbers_of_the_file_decide_where_it_gives_them(tmp_path: Path) -> None:
    """Two people who change places in one step: only the file knows."""
    first, second = somebody((150, 240)), somebody((400, 240))
    frames = {n: [first, second] if n < 20 else [second, first] for n in range(FRAMES)}
    told = write_openpose(tmp_path / "told", frames, {n: [4, 9] for n in range(FRAMES)})
    people = estimate_people(told, ALONE, estimator="keypoints")
    assert sorted(middle(person)[[0, -1]].round().tolist() for person in people) == [[150, 400], [400, 150]]
    untold = write_openpose(tmp_path / "untold", frames)
    people = estimate_people(untold, ALONE, estimator="keypoints")
    assert sorted(middle(person)[[0, -1]].round().tolist() for person in people) == [[150, 150], [400, 400]]


def test_a_false_detection_is_nobody_and_a_long_absence_ends_a_person(tmp_path: Path) -> None:
    frames = {n: [somebody((150, 240))] for n in range(80) if n < 30 or n > 55}
    frames[3].append(somebody((500, 200)))
    people = estimate_people(write_openpose(tmp_path / "a", frames), ALONE, estimator="keypoints")
    assert len(people) == 2 and sorted(int(person.seen.sum()) for person in people) == [24, 30]


def test_exchanged_legs_and_jumping_points_are_repaired(tmp_path: Path) -> None:
    names = point_names("coco17")
    knee, ankle, wrist = names.index("left_knee"), names.index("left_ankle"), names.index("left_wrist")
    frames, true = {}, []
    for n in range(FRAMES):
        person = somebody((320, 240), step=18 * np.sin(n / 5))
        person[[5, 6, 11, 12], 0] = 320 + 0.2 * (person[[5, 6, 11, 12], 0] - 320)  # seen from the side
        true.append(person.copy())
        if n in (12, 13, 14):
            person[[knee, knee + 1, ankle, ankle + 1]] = person[[knee + 1, knee, ankle + 1, ankle]]
        if n == 25:
            person[wrist, :2] += (60, -50)
        frames[n] = [person]
    seen = estimate(write_openpose(tmp_path / "a", frames), ALONE, estimator="keypoints")
    truth = np.array(true)
    np.testing.assert_allclose(seen.keypoints_px[:, [knee, ankle]], truth[:, [knee, ankle], :2], atol=0.01)
    assert seen.confidence[25, wrist] < 0.1 < seen.confidence[24, wrist]


def test_half_a_person_is_refused(tmp_path: Path) -> None:
    person = somebody((320, 240))
    person[[n for n, name in enumerate(point_names("coco17")) if "knee" in name or "ankle" in name]] = 0
    folder = write_openpose(tmp_path / "a", {n: [person] for n in range(FRAMES)})
    with pytest.raises(EstimationError, match="the legs are visible in 0%"):
        estimate(folder, ALONE, estimator="keypoints")


@pytest.mark.parametrize(
    ("estimator", "options", "message"),
    [
        ("blazepose", {"keypoints": "a"}, "--keypoints would have no effect: add --estimator keypoints"),
        ("replay", {"rate_hz": 30.0}, "--rate-hz would have no effect: add --estimator keypoints"),
        ("keypoints", {"checkpoint": Path("w.pt")}, "--checkpoint would have no effect: add --estimator hsmr"),
        ("keypoints", {"image_size_px": (640, 0)}, "width and height in whole pixels"),
        ("keypoints", {"image_size_px": 640}, "width and height in whole pixels"),
        ("keypoints", {"rate_hz": -1.0}, "rate_hz .*more than 0"),
        ("keypoints", {"keypoint_set": "coco"}, "must be one of coco17, coco18"),
        ("keypoints", {"keypoints": 3}, "path of a file or folder"),
    ],
)
def test_options_check_themselves(estimator: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Image2MotOptions(estimator=estimator, estimate=EstimateOptions(**options))


def as_files(observation: Observation, folder: Path, keypoint_set: str) -> Path:
    """OpenPose JSON of an observation: the points that it has; (0, 0, 0) for the others and where nobody is seen."""
    ours = point_names(str(observation.keypoint_set))
    means = {"neck": ("left_shoulder", "right_shoulder"), "mid_hip": ("left_hip", "right_hip")}
    frames: dict[int, list[np.ndarray]] = {}
    for frame in range(len(observation.time_s)):
        values = []
        for name in point_names(keypoint_set):
            columns = [ours.index(part) for part in means.get(name, (name,)) if part in ours]
            px = observation.keypoints_px[frame, columns].mean(axis=0) if columns else np.full(2, np.nan)
            values.append((*px, 0.9) if np.isfinite(px).all() else (0, 0, 0))
        frames[frame] = [np.array(values, dtype=np.float64)] if np.any(values) else []
    return write_openpose(folder, frames)


def mean_error_deg(motion: SkelMotion, truth: SkelMotion) -> float:
    """Mean absolute difference of the limbs' angles and the back's at the truth's times."""
    there = [int(np.abs(truth.time_s - t).argmin()) for t in motion.time_s]
    return float(np.degrees(np.abs(motion.poses_rad - truth.poses_rad[there])[:, LIMBS].mean()))


@pytest.mark.slow
@pytest.mark.parametrize("keypoint_set", ["coco17", "coco18", "openpose25", "openpose25b", "halpe26", "coco23"])
def test_the_angles_come_back_from_the_points_of_every_set(clip, open_body: Body, tmp_path: Path, keypoint_set: str) -> None:
    """Projected landmarks of a person who squats and reaches; 4 px of noise; without metric landmarks."""
    if keypoint_set == "coco23":
        seen = replace(clip.observation, keypoints_m=None)
    else:
        folder = as_files(clip.observation, tmp_path / "json", keypoint_set)
        options = EstimateOptions(rate_hz=30, image_size_px=(1080, 1080), focal_px=1000)
        seen = estimate(folder, options, estimator="keypoints")
        assert np.flatnonzero(~seen.seen).tolist() == list(range(60))[clip.unseen]
    found = fit_motion(seen, open_body).motion
    assert mean_error_deg(found, clip.truth) < 6
    knee = DOF_NAMES.index("knee_angle_r")
    assert np.degrees(found.poses_rad[:, knee].max()) == pytest.approx(np.degrees(clip.truth.poses_rad[:, knee].max()), abs=15)


@pytest.mark.slow
def test_from_the_command_line_with_the_video(clip, open_body: Body, tmp_path: Path) -> None:
    video = write_video(tmp_path / "squat.mp4", 60, (1080, 1080))
    folder = as_files(clip.observation, tmp_path / "squat_json", "openpose25")
    out = tmp_path / "out"
    stature = open_body.stature_m(clip.truth.betas)
    arguments = ["--keypoints", str(folder), "--focal-px", "1000", "--height-m", f"{stature:.3f}", "--save-observation"]
    assert main(["image2mot", str(video), "-o", str(out), *arguments, "--quiet"]) in (0, 3)
    motion = load_motion(out / "squat_skel.npz")
    fast = replace(clip.truth, time_s=clip.truth.time_s * 30 / RATE_HZ)  # the video plays at another rate
    assert mean_error_deg(motion, fast) < 7
    seen = load_observation(out / "squat_observation.npz")
    assert seen.keypoint_set == "openpose25" and len(seen.thumbnails) > 3
    page = json.loads((out / "squat_report.json").read_text())
    assert "image points" in page["assumptions"]["depth"]
    assert "openpose25" in page["assumptions"]["keypoints"]


@pytest.mark.slow
def test_a_set_that_the_networks_cannot_read_says_so(clip, open_body: Body, tmp_path: Path) -> None:
    """The fit goes on without depths, and the motion's notes say it."""
    joints = {"shoulder": "humerus", "elbow": "ulna", "wrist": "hand", "hip": "femur", "knee": "tibia"}
    names = [f"{side}_{place}" for side in ("left", "right") for place in joints]
    points = tuple(KeypointPlace(name=name, joint=f"{joints[name.partition('_')[2]]}_{name[0]}") for name in names)
    shown = [point_names("coco23").index(name) for name in names]
    seen = replace(
        clip.observation,
        keypoint_set=KeypointSet(name="without ankles", points=points),
        keypoints_px=clip.observation.keypoints_px[:, shown],
        confidence=clip.observation.confidence[:, shown],
        keypoints_m=None,
    )
    found = fit_motion(seen, open_body)
    assert "none" in found.motion.notes["depth"]
    assert "networks" in fit_motion(replace(clip.observation, keypoints_m=None), open_body).motion.notes["depth"]

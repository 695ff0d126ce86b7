"""Intrinsics from calibration files, options, or a guess that says so; and whether the camera stands still."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hsmr_bio.errors import FormatError, InputError
from hsmr_bio.io.camera_motion import CameraMotion
from hsmr_bio.io.cameras import GUESS_SHARE, between_bars, camera_for, read_camera

K = [[900.0, 0, 310.0], [0, 910.0, 650.0], [0, 0, 1]]


def test_nothing_known_is_a_guess_that_says_so() -> None:
    camera = camera_for((720, 1280))
    assert camera.source == "guess"
    assert camera.focal_px == pytest.approx(GUESS_SHARE * 1280)
    assert camera.center_px == (360, 640)


def test_angle_of_view_is_along_the_longer_side() -> None:
    for size in ((1920, 1080), (1080, 1920)):
        assert camera_for(size, fov_deg=90).focal_px == pytest.approx(960)
    assert camera_for((100, 50), focal_px=80).source == "--focal-px"


@pytest.mark.parametrize("options", [{"fov_deg": 0}, {"fov_deg": 180}, {"focal_px": 1}, {"fov_deg": 60, "focal_px": 900}])
def test_impossible_cameras_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(InputError):
        camera_for((720, 1280), **options)


def test_our_json(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps({"K": K}))
    camera = camera_for((640, 1280), calibration=tmp_path / "one.json")
    assert camera.focal_px == pytest.approx(905)
    assert camera.center_px == (310, 650)
    assert camera.source == "calibration file one.json"


def test_a_camera_is_chosen_by_the_videos_name(tmp_path: Path) -> None:
    cameras = {name: {"K": (np.array(K) * f).tolist(), "image_size": [640, 1280]} for name, f in (("left", 1), ("right", 2))}
    path = tmp_path / "rig.json"
    path.write_text(json.dumps({"cameras": cameras}))
    assert read_camera(path, (640, 1280), "right.mp4").focal_px == pytest.approx(1810)
    with pytest.raises(FormatError, match=r"2 cameras \(left, right\), none is called 'middle'"):
        read_camera(path, (640, 1280), "middle.mp4")


def test_another_size_of_the_same_shape_is_scaled(tmp_path: Path) -> None:
    path = tmp_path / "half.json"
    path.write_text(json.dumps({"K": K, "image_size": [640, 1280]}))
    camera = read_camera(path, (320, 640))
    assert camera.focal_px == pytest.approx(452.5)
    assert camera.center_px == (155, 325)
    with pytest.raises(FormatError, match="calibrated for pictures of 640 x 1280, but these are 1280 x 640"):
        read_camera(path, (1280, 640))


def test_pose2sim_toml(tmp_path: Path) -> None:
    path = tmp_path / "Calib.toml"
    path.write_text(
        '[int_cam]\nname = "cam"\nsize = [ 640.0, 1280.0]\n'
        "matrix = [ [ 900.0, 0.0, 310.0], [ 0.0, 910.0, 650.0], [ 0.0, 0.0, 1.0]]\n[metadata]\nadjusted = false\n"
    )
    assert read_camera(path, (640, 1280)).focal_px == pytest.approx(905)


@pytest.mark.parametrize("ending", ["yml", "xml"])
def test_opencv_files(tmp_path: Path, ending: str) -> None:
    import cv2

    path = tmp_path / f"opencv.{ending}"
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    storage.write("image_width", 640)
    storage.write("image_height", 1280)
    storage.write("camera_matrix", np.array(K))
    storage.release()
    assert read_camera(path, (320, 640)).focal_px == pytest.approx(452.5)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", "{"),
        ("b.json", '{"focal": 3}'),
        ("c.toml", "= ="),
        ("d.txt", "x"),
        ("e.json", '{"K": [1, 2]}'),
        ("f.yml", "nothing"),
    ],
)
def test_files_without_a_camera_are_refused_by_name(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(FormatError, match=name.replace(".", r"\.")):
        read_camera(tmp_path / name, (640, 1280))


def _scene(shift: int, rng: np.random.Generator, *, person: bool = True) -> np.ndarray:
    """A textured wall seen through a window that moves by ``shift`` pixels; somebody moves in front of it."""
    wall = np.kron(np.random.default_rng(5).integers(40, 220, (45, 120)), np.ones((8, 8)))
    picture = np.repeat(wall[:360, 100 + shift : 740 + shift, None], 3, axis=2)
    if person:
        left = int(rng.integers(200, 300))
        picture[100:330, left : left + 120] = rng.integers(0, 255, 3)
    return picture.astype(np.uint8)


@pytest.mark.parametrize("speed", [0, 4], ids=["still", "panning"])
def test_a_moving_camera_is_measured(speed: int) -> None:
    rng = np.random.default_rng(1)
    motion, times = CameraMotion((1280, 720)), np.arange(0, 4, 0.1)
    for number, time in enumerate(times):
        motion.update(float(time), _scene(speed * number, rng), [(190, 90, 430, 340)])
    shift = motion.shift_px(times)
    assert shift[-1] == pytest.approx(2 * speed * (len(times) - 2 if speed else 0), abs=6), "in pixels of the original"
    assert np.all(np.diff(shift) > -2)


def test_a_wall_without_texture_is_no_evidence_of_motion() -> None:
    motion = CameraMotion((640, 360))
    for time in (0.0, 0.5, 1.0):
        motion.update(time, np.full((360, 640, 3), 120, dtype=np.uint8))
    np.testing.assert_array_equal(motion.shift_px(np.array([0.0, 0.7, 1.0])), 0)


def test_without_the_videos_name_no_camera_of_several_is_chosen(tmp_path: Path) -> None:
    cameras = {
        "one": {"K": K},
        "two": {"K": K, "name": "side"},
        "three": {"K": (2 * np.array(K)).tolist(), "file": "front.mp4"},
    }
    (tmp_path / "all.json").write_text(json.dumps({"cameras": cameras}))
    with pytest.raises(FormatError, match="there are 3 cameras"):
        read_camera(tmp_path / "all.json", (640, 1280))
    with pytest.raises(FormatError, match="none is called 'back'"):
        read_camera(tmp_path / "all.json", (640, 1280), "back.mp4")
    for video, focal_px in (("one.mp4", 905), ("side.mov", 905), ("front.avi", 1810)):
        camera = read_camera(tmp_path / "all.json", (640, 1280), video)
        assert camera.focal_px == pytest.approx(focal_px)


def test_a_guess_is_made_from_what_is_shown_between_bars() -> None:
    guess = camera_for((1920, 1080))
    assert between_bars(guess, np.array([608.0, 1080.0])).focal_px == pytest.approx(0.8 * 1080)
    known = camera_for((1920, 1080), focal_px=1500)
    assert between_bars(known, np.array([608.0, 1080.0])) is known

"""Our own files, and writing that never leaves half a file."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hsmr_bio.errors import FormatError, InputError
from hsmr_bio.io.atomic import new_file, new_folder
from hsmr_bio.io.npz import kind_of, load_motion, load_observation, save_motion, save_observation
from hsmr_bio.types import Camera, GroundFit, Observation, SkelMotion, Thumbnail

CAMERA = Camera(image_size_px=(1920, 1080), focal_px=1500.5, center_px=(960.0, 540.0), source="guess")


def observation() -> Observation:
    rng = np.random.default_rng(0)
    pixels = rng.uniform(0, 1000, (4, 33, 2))
    confidence = np.ones((4, 33))
    pixels[2], confidence[2] = np.nan, 0
    return Observation(
        time_s=[0.0, 0.1, 0.25, 0.3],
        camera=CAMERA,
        keypoint_set="blazepose33",
        keypoints_px=pixels,
        confidence=confidence,
        keypoints_m=rng.normal(size=(4, 33, 3)),
        source="blazepose of clip.mp4",
        thumbnails=tuple(Thumbnail(time_s=t, jpeg=b"x" * n, scale=(2.0, 2.5)) for t, n in ((0.1, 3), (0.3, 5))),
    )


def test_a_motion_comes_back_bit_for_bit(tmp_path: Path, still: SkelMotion) -> None:
    motion = replace(
        still, camera=CAMERA, contacts=np.ones((30, 4)), notes={"floor": {"y_m": 0.1}, "gravity": [0, -1, 0]}, source="ä"
    )
    save_motion(tmp_path / "m.npz", motion)
    back = load_motion(tmp_path / "m.npz")
    for name in ("time_s", "poses_rad", "trans_m", "betas", "contacts"):
        np.testing.assert_array_equal(getattr(back, name), getattr(motion, name))
    assert back.poses_sd_rad is None
    assert (back.notes, back.body, back.frame, back.source) == (motion.notes, motion.body, "world", "ä")
    assert back.camera is not None
    assert vars(back.camera) == vars(CAMERA)


def test_the_cameras_place_comes_back_bit_for_bit(tmp_path: Path, still: SkelMotion, ground_fit: GroundFit) -> None:
    placed = replace(ground_fit, camera_pitch_rad=1 / 3, R_camera_world=np.random.default_rng(2).normal(size=(3, 3)))
    save_motion(tmp_path / "m.npz", replace(still, ground=placed))
    back = load_motion(tmp_path / "m.npz").ground
    assert back is not None
    for name, value in vars(placed).items():
        np.testing.assert_array_equal(getattr(back, name), value, strict=isinstance(value, np.ndarray))


def test_the_cameras_place_in_the_notes_of_an_old_file_is_found(
    tmp_path: Path, still: SkelMotion, ground_fit: GroundFit
) -> None:
    old = {**vars(ground_fit), "camera_pitch_deg": 12.0, "camera_roll_deg": -3.0}
    old |= {name: getattr(ground_fit, name).tolist() for name in ("R_camera_world", "t_camera_world_m")}
    del old["camera_pitch_rad"], old["camera_roll_rad"]
    save_motion(tmp_path / "m.npz", replace(still, notes={"ground": old, "betas": "as stored"}))
    back = load_motion(tmp_path / "m.npz")
    assert back.ground is not None and back.notes == {"betas": "as stored"}
    assert np.degrees([back.ground.camera_pitch_rad, back.ground.camera_roll_rad]) == pytest.approx([12, -3])
    np.testing.assert_array_equal(back.ground.R_camera_world, ground_fit.R_camera_world)
    assert (back.ground.pitch_source, back.ground.camera_height_m, back.ground.treadmill) == ("given", 1.0, False)


def test_damaged_thumbnails_are_one_clear_line(tmp_path: Path) -> None:
    save_observation(tmp_path / "o.npz", observation())
    with np.load(tmp_path / "o.npz") as stored:
        arrays = dict(stored)
    arrays["thumbnail_scale"] = np.ones(3)
    np.savez(tmp_path / "o.npz", **arrays)
    with pytest.raises(FormatError, match="thumbnails"):
        load_observation(tmp_path / "o.npz")


def test_an_observation_comes_back_bit_for_bit(tmp_path: Path) -> None:
    ours = observation()
    save_observation(tmp_path / "o.npz", ours)
    back = load_observation(tmp_path / "o.npz")
    for name in ("time_s", "keypoints_px", "confidence", "keypoints_m"):
        np.testing.assert_array_equal(getattr(back, name), getattr(ours, name))
    assert [vars(thumbnail) for thumbnail in back.thumbnails] == [vars(thumbnail) for thumbnail in ours.thumbnails]
    assert [thumbnail.time_s for thumbnail in back.at(slice(1, None), since_s=0.1).thumbnails] == pytest.approx([0.0, 0.2])
    assert back.skel_poses_rad is None
    assert back.notes == ()
    assert back.seen.tolist() == [True, True, False, True]
    assert kind_of(tmp_path / "o.npz") == "Observation"


def test_notes_on_the_video_stay_with_the_observation(tmp_path: Path) -> None:
    noted = replace(observation(), notes=("two frames were left out", "time is that of the filming"))
    save_observation(tmp_path / "o.npz", noted.at(slice(1, None)))
    assert load_observation(tmp_path / "o.npz").notes == noted.notes
    with np.load(tmp_path / "o.npz") as stored:
        arrays = dict(stored)
    described = json.loads(str(arrays["text_json"]))
    del described["notes"]
    np.savez(tmp_path / "o.npz", **{**arrays, "text_json": np.array(json.dumps(described))})
    assert load_observation(tmp_path / "o.npz").notes == (), "a file of an older program"


def test_each_kind_refuses_the_other(tmp_path: Path) -> None:
    save_observation(tmp_path / "o.npz", observation())
    with pytest.raises(FormatError, match="holds a Observation"):
        load_motion(tmp_path / "o.npz")


def test_foreign_damaged_and_newer_files_are_clear_errors(tmp_path: Path, still: SkelMotion) -> None:
    path = tmp_path / "m.npz"
    with pytest.raises(InputError, match="no such file"):
        load_motion(path)
    np.savez(path, poses=np.zeros(3))
    with pytest.raises(FormatError, match="not a SkelMotion"):
        load_motion(path)
    assert kind_of(path) is None
    save_motion(path, still)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FormatError, match="not a readable"):
        load_motion(path)
    path.write_text("hello")
    with pytest.raises(FormatError, match="not a readable"):
        load_motion(path)
    with np.load(__import__("io").BytesIO(whole)) as stored:
        content = dict(stored)
    np.savez(path, **{**content, "hsmr_bio_version": np.array(99)})
    with pytest.raises(FormatError, match="newer"):
        load_motion(path)
    np.savez(path, **{**content, "poses_rad": np.zeros((30, 45))})
    with pytest.raises(FormatError, match="poses_rad must have shape"):
        load_motion(path)


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('code from the file ran')",))


def test_a_pickle_inside_is_never_run(tmp_path: Path, still: SkelMotion) -> None:
    path = tmp_path / "m.npz"
    save_motion(path, still)
    with np.load(path) as stored:
        content = dict(stored)
    np.savez(path, **{**content, "contacts": np.array([Bomb()], dtype=object)})
    with pytest.raises(FormatError, match="damaged"):
        load_motion(path)
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(FormatError, match="not a readable"):
        load_motion(path)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "result.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), new_file(path) as part:
        part.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_of_results_moves_into_place_whole_or_not_at_all(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with new_folder(out) as part:
        (part / "Geometry").mkdir()
        (part / "Geometry" / "femur.vtp").write_text("bone")
        (part / "clip.mot").write_text("1")
    assert (out / "Geometry" / "femur.vtp").read_text() == "bone"
    with pytest.raises(InputError, match="exists already"), new_folder(out) as part:
        (part / "new.trc").write_text("2")
        (part / "clip.mot").write_text("2")
    assert sorted(path.name for path in out.iterdir()) == ["Geometry", "clip.mot"]
    assert (out / "clip.mot").read_text() == "1"
    with new_folder(out, overwrite=True) as part:
        (part / "clip.mot").write_text("2")
    assert (out / "clip.mot").read_text() == "2"
    assert (out / "Geometry" / "femur.vtp").exists()
    assert list(tmp_path.iterdir()) == [out]


def test_a_file_where_the_folder_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(InputError, match="is a file"), new_folder(tmp_path / "out"):
        pass
    with pytest.raises(InputError, match="is a folder"), new_file(tmp_path):
        pass

"""HSMR's demo results and SKEL's alignment files: people, gaps, odd files, hostile files."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hsmr_bio.converters.content import ConvertOptions
from hsmr_bio.converters.hsmr import read_hsmr
from hsmr_bio.converters.registry import read
from hsmr_bio.converters.skel import read_skel_alignment, write_skel_alignment
from hsmr_bio.errors import EstimationError, FormatError, InputError
from hsmr_bio.io.npz import save_motion
from hsmr_bio.types import SkelMotion


def frame(*people: tuple[float, float]) -> dict[str, Any]:
    """One frame as the demo stores it; a person is (box centre x, a value that marks who it is)."""
    if not people:
        empty = {key: np.zeros((0, width), np.float32) for key, width in (("poses", 46), ("betas", 10), ("full_cam_t", 3))}
        return {**empty, "patch_cam_t": np.zeros((0, 3), np.float32), "bbx_cs": None}
    mark = np.array([who for _, who in people], np.float32)[:, None]
    return {
        "poses": mark * np.ones((1, 46), np.float32),
        "betas": mark * np.ones((1, 10), np.float32),
        "patch_cam_t": np.zeros((len(people), 3), np.float32),
        "full_cam_t": np.array([[x / 100, 0.5, 40.0] for x, _ in people], np.float32),
        "bbx_cs": np.array([[x, 300.0, 200.0] for x, _ in people], np.float32),
    }


def store(path: Path, frames: list[Any]) -> Path:
    array = np.empty(len(frames), dtype=object)
    array[:] = frames
    np.save(path, array, allow_pickle=True)
    return path


def test_two_people_who_change_their_order_keep_their_identity(tmp_path: Path) -> None:
    frames = [
        frame((200 + 5 * i, 0.1), (800 - 5 * i, 0.2)) if i % 2 else frame((800 - 5 * i, 0.2), (200 + 5 * i, 0.1))
        for i in range(20)
    ]
    frames[7] = frame((235, 0.1))
    long, short = read_hsmr(store(tmp_path / "HSMR-v.npy", frames), rate_hz=25.0)
    assert (len(long.time_s), len(short.time_s)) == (20, 19)
    np.testing.assert_allclose(long.poses_rad, 0.1, atol=1e-6)
    np.testing.assert_allclose(short.poses_rad, 0.2, atol=1e-6)
    np.testing.assert_allclose(short.betas, 0.2, atol=1e-6)
    np.testing.assert_allclose(short.time_s, np.delete(np.arange(20), 7) / 25)
    assert long.body == "skel_male@1.1.1"
    assert long.frame == "camera"


def test_frames_without_anyone_are_gaps_and_a_long_absence_ends_a_person(tmp_path: Path) -> None:
    frames = [frame((200, 0.1)) for _ in range(4)] + [frame() for _ in range(3)] + [frame((205, 0.1)) for _ in range(4)]
    path = store(tmp_path / "v.npy", frames)
    (one,) = read_hsmr(path, rate_hz=10.0)
    np.testing.assert_allclose(one.time_s, np.array([0, 1, 2, 3, 7, 8, 9, 10]) / 10)
    assert len(read_hsmr(path, rate_hz=10.0, max_gap_s=0.2)) == 2


def test_an_image_needs_no_rate_and_each_person_is_a_motion(tmp_path: Path) -> None:
    np.savez(tmp_path / "HSMR-a.jpg.npz", **frame((200, 0.1), (600, 0.2)))
    people = read_hsmr(tmp_path / "HSMR-a.jpg.npz", image_size_px=(1000, 800))
    assert len(people) == 2
    assert people[0].camera is not None
    assert people[0].camera.center_px == (500, 400)
    assert people[0].camera.focal_px == 5000


def test_a_folder_of_images_is_a_motion_in_natural_order(tmp_path: Path) -> None:
    for i in (10, 9, 1):
        np.savez(tmp_path / f"HSMR-{i}.png.npz", **frame((200, i / 100)))
    (one,) = read_hsmr(tmp_path, rate_hz=1.0)
    np.testing.assert_allclose(one.poses_rad[:, 0], [0.01, 0.09, 0.1], atol=1e-6)


def test_the_true_focal_length_moves_the_body_but_not_its_picture(tmp_path: Path) -> None:
    path = store(tmp_path / "v.npy", [frame((200, 0.1))])
    (far,), (near,) = read_hsmr(path), read_hsmr(path, focal_px=1000.0)
    assert near.trans_m[0, 2] == pytest.approx(8.0)
    assert 5000 * far.trans_m[0, 0] / far.trans_m[0, 2] == pytest.approx(1000 * near.trans_m[0, 0] / near.trans_m[0, 2])


def test_a_video_without_its_rate_is_refused(tmp_path: Path) -> None:
    path = store(tmp_path / "v.npy", [frame((200, 0.1))] * 3)
    with pytest.raises(InputError, match="--rate-hz"):
        read_hsmr(path)


def test_nobody_at_all_is_said(tmp_path: Path) -> None:
    with pytest.raises(EstimationError, match="nobody in any of the 3 frames"):
        read_hsmr(store(tmp_path / "v.npy", [frame(), frame(), frame()]), rate_hz=30)


class Bomb:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (exec, ("raise SystemExit('code from the file ran')",))


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        ([frame((1, 1)), 5], "frame 1"),
        ([{"poses": np.zeros((1, 46))}], "lacks betas"),
        ([{**frame((1, 1)), "poses": np.zeros((1, 45))}], r"\(1, 45\)"),
        ([{**frame((1, 1)), "poses": np.zeros((2, 46))}], "number of people differs"),
        ([{**frame((1, 1)), "betas": np.full((1, 10), np.nan)}], "NaN"),
        ([{**frame((1, 1)), "betas": "many"}], "no numbers"),
        ([Bomb()], "exec"),
    ],
)
def test_wrong_and_hostile_results_are_one_error(tmp_path: Path, frames: list[Any], words: str) -> None:
    with pytest.raises(FormatError, match=words):
        read_hsmr(store(tmp_path / "v.npy", frames), rate_hz=30)


def test_truncated_and_foreign_files_are_one_error(tmp_path: Path) -> None:
    path = store(tmp_path / "v.npy", [frame((1, 1))] * 3)
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(FormatError):
        read_hsmr(path, rate_hz=30)
    np.save(tmp_path / "n.npy", np.zeros((3, 46)))
    with pytest.raises(FormatError, match="list of frames"):
        read_hsmr(tmp_path / "n.npy", rate_hz=30)
    with pytest.raises(InputError, match="no such file"):
        read_hsmr(tmp_path / "none.npy")


def alignment(**change: Any) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    content = {
        "poses": rng.normal(size=(5, 46)),
        "betas": np.tile(rng.normal(size=10), (5, 1)),
        "trans": rng.normal(size=(5, 3)),
        "gender": "female",
    }
    return {**content, **change}


def dump(path: Path, content: Any) -> Path:
    path.write_bytes(pickle.dumps(content))
    return path


def test_an_alignment_is_read_and_written_back(tmp_path: Path) -> None:
    content = alignment()
    motion = read_skel_alignment(dump(tmp_path / "a.pkl", content), rate_hz=120)
    np.testing.assert_array_equal(motion.poses_rad, content["poses"])
    np.testing.assert_allclose(motion.betas, content["betas"][0])
    assert (motion.body, motion.frame, motion.time_s[1]) == ("skel_female@1.1.1", "skel", 1 / 120)
    write_skel_alignment(tmp_path / "b.pkl", motion)
    with (tmp_path / "b.pkl").open("rb") as stream:
        stored = pickle.load(stream)
    for key in ("poses", "betas", "trans"):
        np.testing.assert_allclose(stored[key], content[key])
    assert stored["gender"] == "female"


def test_one_shape_for_all_frames_and_a_stored_rate_are_understood(tmp_path: Path) -> None:
    content = alignment(betas=np.ones((1, 10)), mocap_framerate=np.array(60.0), gender=np.array("male"))
    motion = read_skel_alignment(dump(tmp_path / "a.pkl", content))
    assert motion.time_s[-1] == pytest.approx(4 / 60)
    assert motion.body == "skel_male@1.1.1"
    differing = alignment(betas=np.arange(50.0).reshape(5, 10))
    assert "mean of all frames" in read_skel_alignment(dump(tmp_path / "b.pkl", differing), rate_hz=30).notes["betas"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([1, 2], "list"),
        ({"thetas": 1}, "thetas"),
        (alignment(poses=np.zeros((5, 72))), r"\(5, 72\)"),
        (alignment(trans=np.zeros((4, 3))), "do not fit"),
        (alignment(poses=np.zeros((0, 46)), trans=np.zeros((0, 3)), betas=np.zeros((1, 10))), "no frame"),
        (alignment(betas=np.zeros((5, 8))), "10 shape"),
        (alignment(trans=np.full((5, 3), np.nan)), r"trans.*first at \(0, 0\)"),
        (alignment(gender="neutral"), "neutral"),
        (alignment(poses=Bomb()), "exec"),
    ],
)
def test_wrong_and_hostile_alignments_are_one_error(tmp_path: Path, content: Any, words: str) -> None:
    with pytest.raises(FormatError, match=words):
        read_skel_alignment(dump(tmp_path / "a.pkl", content), rate_hz=30)


def test_an_alignment_without_a_rate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--rate-hz"):
        read_skel_alignment(dump(tmp_path / "a.pkl", alignment()))


def test_the_content_decides_who_reads_a_file(tmp_path: Path, still: SkelMotion) -> None:
    save_motion(tmp_path / "ours.npz", still)
    np.savez(tmp_path / "HSMR-a.jpg.npz", **frame((200, 0.1), (600, 0.2)))
    dump(tmp_path / "a.pkl", alignment(fps=50))
    store(tmp_path / "v.npy", [frame((200, 0.1))] * 2)
    assert read(tmp_path / "ours.npz").people[0].body == still.body
    assert len(read(tmp_path / "HSMR-a.jpg.npz").people) == 2
    assert read(tmp_path / "a.pkl").people[0].frame == "skel"
    assert read(tmp_path / "v.npy", options=ConvertOptions(rate_hz=30)).people[0].frame == "camera"
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(InputError, match=r"\.pkl"):
        read(tmp_path / "a.txt", "skel")

"""Files of other detectors: layouts, frames, absent points, identities, and one clear line for everything else."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hsmr_bio.body.keypoint_table import keypoint_sets, keypoints_of, point_names
from hsmr_bio.cli import main
from hsmr_bio.converters.content import ConvertOptions
from hsmr_bio.converters.detections import UNKNOWN, Detections
from hsmr_bio.converters.keypoint_layouts import LAYOUTS, known_name
from hsmr_bio.converters.registry import detect, read
from hsmr_bio.errors import HsmrBioError, MissingDependencyError
from hsmr_bio.fitting.core.body_points import KeypointPoints
from hsmr_bio.skeleton import JOINT_NAMES

STANDING = {
    "nose": (0, -70),
    "neck": (0, -50),
    "upper_neck": (0, -58),
    "head_top": (0, -90),
    "mid_hip": (0, 0),
    **{f"{side}_{name}": (sign * x, y) for side, sign in (("left", 1), ("right", -1)) for name, (x, y) in {
        "eye": (3, -74), "ear": (7, -72), "shoulder": (18, -50), "elbow": (24, -22), "wrist": (26, 2), "hip": (10, 0),
        "knee": (11, 42), "ankle": (11, 84), "heel": (10, 90), "big_toe": (14, 92), "small_toe": (18, 91),
    }.items()},
}  # fmt: skip
"""Pixels from the mid-hip of somebody who faces the camera."""


def somebody(keypoint_set: str, at: tuple[float, float] = (300, 200), confidence: float = 0.9) -> np.ndarray:
    """(K, 3) values of one person."""
    places = [STANDING[name] for name in point_names(keypoint_set)]
    return np.array([(at[0] + x, at[1] + y, confidence) for x, y in places])


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def openpose(people: list[np.ndarray], person_id: int | None = None) -> dict[str, Any]:
    listed = [{"person_id": [-1], "pose_keypoints_2d": person.ravel().tolist()} for person in people]
    if person_id is not None:
        listed[0]["person_id"] = [person_id]
    return {"version": 1.3, "people": listed}


def detections(path: Path, **options: Any) -> Detections:
    found = read(path, "detections", options=ConvertOptions(**options)).detections
    assert found is not None
    return found


def as_layout(name: str) -> np.ndarray:
    layout = next(layout for layout in LAYOUTS if layout.name == name)
    values = np.zeros((layout.count, 3))
    first = somebody(layout.keypoint_set)
    values[: len(first)] = first
    values[len(first) :] = (1.0, 2.0, 0.5)
    return values


@pytest.mark.parametrize("layout", [layout.name for layout in LAYOUTS])
def test_every_order_of_points_is_recognised_by_itself(tmp_path: Path, layout: str) -> None:
    write(tmp_path / "a_000_keypoints.json", openpose([as_layout(layout)]))
    write(tmp_path / "a_001_keypoints.json", openpose([as_layout(layout)]))
    seen = detections(tmp_path)
    names = point_names(seen.keypoint_set)
    assert layout in seen.tool and seen.frames.tolist() == [0, 1]
    for name in ("left_shoulder", "right_knee", "left_wrist"):
        x, y = STANDING[name]
        np.testing.assert_allclose(seen.keypoints_px[0, names.index(name)], (300 + x, 200 + y))
    assert seen.confidence[0].min() == pytest.approx(0.9)


def test_files_are_frames_by_their_numbers_and_an_absent_point_is_not_seen(tmp_path: Path) -> None:
    absent = somebody("openpose25")
    absent[4] = 0
    for number, person in ((9, somebody("openpose25", (100, 200))), (10, absent), (12, somebody("openpose25", (400, 200)))):
        write(tmp_path / f"clip_{number}_keypoints.json", openpose([person]))
    write(tmp_path / "clip_13_keypoints.json", openpose([]))
    seen = detections(tmp_path)
    assert seen.frames.tolist() == [9, 10, 12, 13] and seen.frame.tolist() == [9, 10, 12]
    np.testing.assert_allclose(seen.keypoints_px[:, 8, 0], [100, 300, 400])
    assert np.isnan(seen.keypoints_px[1, 4]).all() and seen.confidence[1, 4] == 0
    assert (seen.person == UNKNOWN).all()


def test_numbers_of_people_are_used_only_if_they_tell_people_apart(tmp_path: Path) -> None:
    for frame in range(3):
        content = openpose([somebody("coco17", (100, 200)), somebody("coco17", (400, 200))], person_id=7)
        content["people"][1]["person_id"] = [3]
        write(tmp_path / "good" / f"{frame}.json", content)
        content["people"][1]["person_id"] = [7]
        write(tmp_path / "same" / f"{frame}.json", content)
    assert detections(tmp_path / "good").person.tolist() == [7, 3] * 3
    same = detections(tmp_path / "same")
    assert (same.person == UNKNOWN).all() and "do not tell them apart" in same.notes[0]


def mmpose_instance(person: np.ndarray, **more: Any) -> dict[str, Any]:
    return {"keypoints": person[:, :2].tolist(), "keypoint_scores": person[:, 2].tolist(), "bbox": [[0, 0, 9, 9]], **more}


def test_the_forms_of_mmpose(tmp_path: Path) -> None:
    people = [somebody("coco17", (100, 200)), somebody("coco17", (400, 200))]
    frames = [{"frame_id": n, "instances": [mmpose_instance(p, track_id=i) for i, p in enumerate(people)]} for n in (1, 2, 5)]
    demo = detections(write(tmp_path / "demo.json", {"meta_info": {"dataset_name": "coco"}, "instance_info": frames}))
    assert demo.frame.tolist() == [0, 0, 1, 1, 4, 4] and demo.person.tolist() == [0, 1] * 3
    listed = detections(write(tmp_path / "list.json", [{**frame, "frame_id": n} for n, frame in enumerate(frames)]))
    picture = detections(write(tmp_path / "picture.json", [mmpose_instance(person) for person in people]))
    assert listed.frame.tolist() == [0, 0, 1, 1, 2, 2] and picture.frame.tolist() == [0, 0]
    np.testing.assert_allclose(picture.keypoints_px, demo.keypoints_px[:2])
    names = ["RHip", "LHip", "RShoulder", "LShoulder", "Spine"]
    own = {"keypoint_id2name": {str(i): name for i, name in enumerate(names)}}
    values = np.array(
        [(*STANDING[f"{side}_{place}"], 0.8) for place in ("hip", "shoulder") for side in ("right", "left")] + [(5, 5, 1)]
    )
    values[:, :2] += (300, 200)
    content = {"meta_info": own, "instance_info": [{"frame_id": 1, "instances": [mmpose_instance(values)]}]}
    named = detections(write(tmp_path / "named.json", content))
    assert named.keypoint_set == "coco23" and "Spine" in named.notes[0]
    hip = point_names("coco23").index("right_hip")
    np.testing.assert_allclose(named.keypoints_px[0, hip], (290, 200))
    assert np.isnan(named.keypoints_px[0, 0]).all()


def test_alphapose_names_its_pictures_and_perhaps_its_people(tmp_path: Path) -> None:
    def entry(image: Any, at: float, **more: Any) -> dict[str, Any]:
        return {
            "image_id": image,
            "category_id": 1,
            "keypoints": somebody("halpe26", (at, 200)).ravel().tolist(),
            "score": 2.5,
            **more,
        }

    untracked = [entry("0.jpg", 100, idx=0), entry("0.jpg", 400, idx=0), entry("frame_003.png", 100, idx=0)]
    seen = detections(write(tmp_path / "a.json", untracked))
    assert seen.keypoint_set == "halpe26" and seen.frame.tolist() == [0, 0, 3] and seen.frames.tolist() == [0, 1, 2, 3]
    assert (seen.person == UNKNOWN).all()
    tracked = [entry(0, 100, idx=[1.0]), entry(0, 400, idx=2), entry(1, 400, idx="2")]
    assert detections(write(tmp_path / "b.json", tracked)).person.tolist() == [1, 2, 2]


PARTS = ("Nose", "LeftShoulder", "right_shoulder", "L_Hip", "hip-R", "leftKnee", "RAnkle", "Tail")


def deeplabcut(individuals: tuple[str, ...] = ("",)) -> tuple[list[tuple[str, ...]], np.ndarray]:
    """Headings of all columns, and values of three frames."""
    columns = [(person, part, c) for person in individuals for part in PARTS for c in ("x", "y", "likelihood")]
    values = np.zeros((3, len(columns)))
    for column, (person, part, coordinate) in enumerate(columns):
        x, y = STANDING[known_name(part) or "nose"]
        at = 400 if person == "two" else 100
        values[:, column] = {"x": at + x, "y": 200 + y, "likelihood": 0.7}[coordinate]
    return [column if individuals != ("",) else column[1:] for column in columns], values


def csv_of(individuals: tuple[str, ...] = ("",)) -> str:
    columns, values = deeplabcut(individuals)
    levels = ["scorer", *(["individuals"] if individuals != ("",) else []), "bodyparts", "coords"]
    rows = [["scorer", *["DLC_net"] * len(columns)]]
    rows += [[level, *(column[i] for column in columns)] for i, level in enumerate(levels[1:])]
    rows += [[str(frame), *map(str, row)] for frame, row in zip((0, 1, 4), values, strict=True)]
    return "\n".join(",".join(row) for row in rows) + "\n"


def test_deeplabcut_names_its_points_and_its_individuals(tmp_path: Path) -> None:
    one = detections(write(tmp_path / "one.csv", csv_of()))
    names = point_names(one.keypoint_set)
    assert one.frame.tolist() == [0, 1, 4] and (one.person == UNKNOWN).all() and "Tail" in one.notes[0]
    np.testing.assert_allclose(one.keypoints_px[0, names.index("right_hip")], (90, 200))
    assert one.confidence[0, names.index("right_ankle")] == pytest.approx(0.7)
    assert one.confidence[0, names.index("left_ankle")] == 0
    two = csv_of(("one", "two")).splitlines()
    cells = two[-1].split(",")
    half = 1 + len(PARTS) * 3
    two[-1] = ",".join([*cells[:half], *[""] * (len(cells) - half)])  # the second individual is lost
    seen = detections(write(tmp_path / "two.csv", "\n".join(two)))
    assert seen.frame.tolist() == [0, 1, 4, 0, 1] and seen.person.tolist() == [0, 0, 0, 1, 1]


def pandas_table(path: Path, kind: Any = None) -> Path:
    """A table as pandas writes it with PyTables (``format="table"``)."""
    h5py = pytest.importorskip("h5py", reason="the extra deeplabcut is not installed")
    columns, values = deeplabcut(("one", "two"))
    table = np.zeros(3, dtype=[("index", "<i8"), ("values_block_0", "<f8", (len(columns),))])
    table["index"], table["values_block_0"] = (0, 1, 4), values
    info = {1: {"names": ["scorer", "individuals", "bodyparts", "coords"], "type": "MultiIndex"}, "index": {}}
    with h5py.File(path, "w") as file:
        group = file.create_group("df_with_missing")
        group.attrs["info"] = np.bytes_(pickle.dumps(info, protocol=0))
        stored = group.create_dataset("table", data=table)
        headings = [("DLC_net", *column) for column in columns]
        stored.attrs["values_block_0_kind"] = np.bytes_(pickle.dumps(headings if kind is None else kind, protocol=0))
    return path


def test_deeplabcut_as_pandas_stores_it(tmp_path: Path) -> None:
    stored = detections(pandas_table(tmp_path / "two.h5"))
    text = detections(write(tmp_path / "two.csv", csv_of(("one", "two"))))
    np.testing.assert_allclose(stored.keypoints_px, text.keypoints_px)
    np.testing.assert_array_equal(stored.person, text.person)


class Calls:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (Path("touched"), "by a pickle")


def test_a_heading_that_would_run_code_is_refused(tmp_path: Path) -> None:
    path = pandas_table(tmp_path / "evil.h5", [Calls()])
    with pytest.raises(HsmrBioError, match=r"evil\.h5"):
        detections(path)
    assert not Path("touched").exists()


def test_the_extra_is_named_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    (tmp_path / "a.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(600))
    with pytest.raises(MissingDependencyError, match=r"its \.csv needs nothing.*hsmr_bio\[deeplabcut\]"):
        detections(tmp_path / "a.h5")


def test_a_damaged_table_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("h5py", reason="the extra deeplabcut is not installed")
    whole = pandas_table(tmp_path / "two.h5").read_bytes()
    (tmp_path / "cut.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(HsmrBioError, match=r"use its \.csv"):
        detections(tmp_path / "cut.h5")


GOOD = somebody("coco17").ravel().tolist()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a_0.json": '{"people": [{"pose_keypoints'}, "not JSON, or it is cut off"),
        ({"a_0.json": '{"version": 1.3, "people": 3}'}, '"people": .* was expected'),
        ({"a_0.json": openpose([]), "a_1.json": openpose([])}, "nobody was detected in any of the 2 frames"),
        ({"a_0.json": {"people": [{"pose_keypoints_2d": GOOD[:-1]}]}}, "50 numbers: x, y and confidence"),
        ({"a_0.json": {"people": [{"pose_keypoints_2d": ["x"] * 51}]}}, "lists of numbers were expected"),
        ({"a_0.json": {"people": [{"pose_keypoints_2d": GOOD + [1, 2, 3] * 2}]}}, "19 points a person; known numbers are 17"),
        ({"a_0.json": {"people": [{"hand": GOOD}]}}, "no pose_keypoints_2d"),
        ({"a_0.json": {"people": [{"pose_keypoints_2d": [v / 1000 for v in GOOD]}]}}, "write pixels instead"),
        ({"a_0.json": {"people": [{"pose_keypoints_2d": [v * 1e6 for v in GOOD]}]}}, "pixels of a picture were expected"),
        ({"a_0.json": {"people": [{"pose_keypoints_2d": [0] * 51}]}}, "no point was seen"),
        ({"a_0.json": openpose([somebody("coco17")]), "b_0.json": openpose([])}, "files of 2 clips in one folder"),
        ({"a_0.json": openpose([]), "a_00.json": openpose([])}, "two files of frame 0"),
        ({"a_1.json": openpose([]), "people.json": openpose([])}, "must end with the number of the frame"),
        ({"a_0.json": openpose([somebody("coco17"), somebody("openpose25")])}, "people with 17 and with 25 points"),
        ({"a_0.json": openpose([]), f"a_{10**12}.json": openpose([somebody("coco17")])}, "numbers of frames from 0"),
    ],
)
def test_openpose_files_that_cannot_be_used_say_why(tmp_path: Path, files: dict[str, Any], message: str) -> None:
    for name, content in files.items():
        write(tmp_path / name, content)
    with pytest.raises(HsmrBioError, match=message) as error:
        detections(tmp_path)
    assert "\n" not in str(error.value) and str(tmp_path) in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", {"instance_info": [{"frame_id": 1, "instances": [{"keypoints": [[1, 2]]}]}]}, "no keypoint_scores"),
        ("a.json", {"instance_info": [{"frame_id": 1, "instances": 4}]}, "no list of instances"),
        ("a.json", {"instance_info": [{"frame_id": 1, "instances": []}] * 2}, "same frame_id"),
        ("a.json", {"meta_info": {}, "instance_info": None}, "instance_info"),
        ("a.json", [{"image_id": "left.jpg", "keypoints": GOOD}], "number of the frame"),
        ("a.json", [{"image_id": 3, "score": 1}], "image_id and keypoints"),
        ("a.json", {"camera": 3}, "not OpenPose's JSON"),
        ("a.csv", "time,x\n0,1\n", "scorer, .*bodyparts, coords were expected"),
        ("a.csv", csv_of().replace("likelihood", "z"), "x, y and likelihood"),
        ("a.csv", csv_of().replace("hip-R", "Rump"), "no right_hip among the points Nose"),
        ("a.csv", csv_of().replace("leftKnee", "left_hip"), "is the left hip already"),
        ("a.csv", csv_of() + "5,1,2\n", "line 7: 3 values in the row, 25 columns"),
        ("a.csv", csv_of().replace("0.7", "sure"), "numbers were expected"),
    ],
)  # fmt: skip
def test_other_files_that_cannot_be_used_say_why(tmp_path: Path, name: str, content: Any, message: str) -> None:
    path = write(tmp_path / name, content)
    with pytest.raises(HsmrBioError, match=message) as error:
        detections(path)
    assert "\n" not in str(error.value)


def test_25_points_are_told_apart_by_the_people_or_by_the_option(tmp_path: Path) -> None:
    hidden = somebody("openpose25b")
    hidden[[8, 9, 12]] = 0
    path = write(tmp_path / "a_0.json", openpose([hidden]))
    with pytest.raises(HsmrBioError, match="--keypoint-set openpose25 or openpose25b"):
        detections(path)
    assert detections(path, keypoint_set="openpose25b").keypoint_set == "openpose25b"
    with pytest.raises(HsmrBioError, match=r"25 points a person, but halpe26 \(--keypoint-set\) has 26"):
        detections(path, keypoint_set="halpe26")


def test_info_describes_a_folder_and_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "clip_json"
    for frame in (0, 1, 3):
        write(folder / f"clip_{frame}_keypoints.json", openpose([somebody("halpe26"), somebody("halpe26", (100, 200))]))
    assert main(["info", str(folder), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["keypoint_set"] == "halpe26" and facts["detections"] == 6 and facts["to_frame"] == 3
    one = write(tmp_path / "a.json", [{"image_id": 3, "keypoints": GOOD, "idx": 4}])
    assert main(["info", str(one), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["numbered_people"] == 1
    assert main(["convert", str(one), str(tmp_path / "a.glb")]) == 1
    assert "image2mot --keypoints" in capsys.readouterr().err
    assert detect(one).name == "AlphaPose"


def test_the_points_of_every_set_are_where_their_names_say(open_body) -> None:
    """The same joints in all sets, and the points that only some have on the right side of their neighbours."""
    rest = open_body.rest(np.zeros(10))
    placed: dict[str, dict[str, np.ndarray]] = {}
    for name in keypoint_sets():
        points = KeypointPoints.of(open_body, name)
        assert points.names == point_names(name) == tuple(mix for mix, _ in keypoints_of(open_body.data, name)[1])
        fixed = points(np.zeros(10), np.zeros((8, 3)))
        where = rest.joints_m[fixed.bodies] + np.einsum("pij,pj->pi", rest.bone_rotations[fixed.bodies], fixed.local_m.numpy())
        where = where if points.mix is None else points.mix.numpy() @ where
        placed[name] = dict(zip(points.names, where, strict=True))
    for name in ("openpose25", "openpose25b", "halpe26", "coco18"):
        for point, at in placed["coco17"].items():
            np.testing.assert_allclose(placed[name][point], at, atol=1e-9)
    top = open_body.data.skin_template_m[open_body.data.stature_vertices[0]]
    assert np.linalg.norm(placed["halpe26"]["head_top"] - top) < 0.01
    assert np.linalg.norm(placed["openpose25b"]["upper_neck"] - rest.joints_m[JOINT_NAMES.index("head")]) < 0.01
    shoulders = placed["halpe26"]["left_shoulder"][1]
    assert shoulders < placed["halpe26"]["neck"][1] < placed["openpose25b"]["upper_neck"][1]

"""Joint centres of other programs: SAM 3D Body's four layouts, Human3.6M's 17 joints, FreeMoCap; made from a known motion."""

from __future__ import annotations

import csv
import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hsmr_bio.body import Body
from hsmr_bio.cli import main
from hsmr_bio.converters.content import ConvertOptions
from hsmr_bio.converters.registry import describe, detect, read
from hsmr_bio.errors import FormatError, HsmrBioError, InputError
from hsmr_bio.fitting.core.body_points import KeypointPoints
from hsmr_bio.fitting.video.joint_centres import fit_joint_centres
from hsmr_bio.fitting.video.joint_data import JointCentres
from hsmr_bio.io.npz import load_motion
from hsmr_bio.skeleton import DOF_NAMES, JOINT_NAMES
from hsmr_bio.types import SkelMotion

HZ = 30.0
CAMERA_AT_M = np.array([0.1, 1.3, 4.0])
TO_CAMERA = np.diag([1.0, -1.0, -1.0]) @ Rotation.from_rotvec([np.radians(10), 0, 0]).as_matrix()
BONES = {
    "shoulder": "humerus",
    "elbow": "ulna",
    "wrist": "hand",
    "hip": "femur",
    "knee": "tibia",
    "ankle": "talus",
    "heel": "calcn",
}
MHR70 = ["nose", "left_eye", "right_eye", "left_ear", "right_ear"]
MHR70 += [f"{side}_{place}" for place in ("shoulder", "elbow", "hip", "knee", "ankle") for side in ("left", "right")]
MHR70 += [f"{side}_{place}" for side in ("left", "right") for place in ("big_toe", "small_toe", "heel")]
MHR70 += [f"right_finger_{n}" for n in range(20)] + ["right_wrist"] + [f"left_finger_{n}" for n in range(20)] + ["left_wrist"]
MHR70 += [f"{side}_{place}" for place in ("olecranon", "cubital_fossa", "acromion") for side in ("left", "right")] + ["neck"]
RIG = {
    "femur": (2, 18),
    "tibia": (3, 19),
    "talus": (4, 20),
    "toes": (8, 24),
    "humerus": (75, 39),
    "ulna": (76, 40),
    "hand": (78, 42),
}
H36M = ["", "femur_r", "tibia_r", "talus_r", "femur_l", "tibia_l", "talus_l", "", "", "", "head"]
H36M += [f"{bone}_{side}" for side in "lr" for bone in ("humerus", "ulna", "hand")]
BLAZEPOSE = {"humerus": (11, 12), "ulna": (13, 14), "hand": (15, 16), "femur": (23, 24), "tibia": (25, 26), "talus": (27, 28)}
BLAZEPOSE |= {"calcn": (29, 30)}
NAMED = {bone: place for place, bone in BONES.items()}
MEASURED = ("hip_", "knee", "ankle", "lumbar_extension", "thorax_extension", "shoulder", "elbow")


class Scene:
    """Somebody in front of a camera: every joint and the tips of the big toes, in the camera's axes and in the world."""

    def __init__(self, motion: SkelMotion, body: Body) -> None:
        self.motion, self.body = motion, body
        pose = body.tree(motion.betas).forward(motion.q)
        self.world = {name: pose.positions_m[:, n].numpy() for n, name in enumerate(JOINT_NAMES)}
        landmarks = KeypointPoints.of(body, "coco23")
        points = landmarks(motion.betas, np.zeros((8, 3)))
        placed = pose.points(points.bodies, points.local_m).numpy()
        for side, name in (("l", "left_big_toe"), ("r", "right_big_toe")):
            self.world[f"big_toe_{side}"] = placed[:, landmarks.names.index(name)]
        self.camera = {name: (at - CAMERA_AT_M) @ TO_CAMERA.T for name, at in self.world.items()}

    def at(self, name: str) -> np.ndarray:
        """(T, 3) of a name like left_hip, camera axes; NaN for a point that is no joint."""
        side, _, place = name.partition("_")
        if place == "big_toe":
            return self.camera[f"big_toe_{side[0]}"]
        bone = BONES.get(place)
        return self.camera[f"{bone}_{side[0]}"] if bone else np.full((len(self.motion.time_s), 3), np.nan)

    def detections(self, *, with_rig: bool = True) -> list[dict[str, Any]]:
        """SAM 3D Body's dictionary of each frame: points relative to a root, y down."""
        root = self.camera["pelvis"] + [0, 0.92, 0]
        points = np.nan_to_num(np.stack([self.at(name) - root for name in MHR70], axis=1))
        rig = np.zeros((len(root), 127, 3))
        for bone, columns in RIG.items():
            for side, column in zip("lr", columns, strict=True):
                rig[:, column] = self.camera[f"{bone}_{side}"] - root
        turns = np.broadcast_to(np.eye(3), (127, 3, 3))
        return [
            {
                "bbox": np.array([100.0, 50, 400, 700], dtype=np.float32),
                "focal_length": 1000.0,
                "pred_keypoints_3d": points[frame].astype(np.float32),
                "pred_cam_t": root[frame].astype(np.float32),
                **({"pred_joint_coords": rig[frame].astype(np.float32)} if with_rig else {}),
                "pred_global_rots": turns.astype(np.float32),
                "mhr_model_params": np.zeros(204, dtype=np.float32),
            }
            for frame in range(len(root))
        ]


@pytest.fixture(scope="module")
def scene(clip, open_body: Body) -> Scene:
    return Scene(clip.truth, open_body)


@pytest.fixture(scope="module")
def other(clip, open_body: Body) -> Scene:
    """A second person, 1.2 m to the side and a little behind, half as deep in the squat."""
    truth = clip.truth
    return Scene(replace(truth, poses_rad=truth.poses_rad * 0.5, trans_m=truth.trans_m + np.array([1.2, 0, -0.4])), open_body)


def worst_deg(found: SkelMotion, truth: SkelMotion, names: tuple[str, ...] = MEASURED) -> float:
    """The worst RMS error of the measured angles."""
    columns = [n for n, name in enumerate(DOF_NAMES) if name.startswith(names)]
    miss = np.asarray(found.poses_rad)[:, columns] - truth.poses_rad[:, columns]
    return float(np.degrees(np.sqrt(np.mean(miss**2, axis=0))).max())


def fitted(path: Path, body: Body, **options: Any) -> list[SkelMotion]:
    content = read(path, "skel", "markers", "joints", options=ConvertOptions(rate_hz=HZ, **options))
    return [fit_joint_centres(person, body) for person in content.joints]


# ------------------------------------------------------------------ SAM 3D Body


def layout_a(folder: Path, *scenes: Scene) -> Path:
    """A file per person and frame; the number of the person changes from frame to frame, as a detector's order does."""
    folder.mkdir()
    for frame, people in enumerate(zip(*(scene.detections() for scene in scenes), strict=True)):
        for number, person in enumerate(people[:: -1 if frame % 2 else 1]):
            np.savez(folder / f"frame_{frame:06d}_subj{number:02d}.npz", **person)
    return folder


def plain(person: dict[str, Any]) -> dict[str, Any]:
    return {
        key: np.asarray(value).tolist() for key, value in person.items() if key in ("bbox", "focal_length", "pred_cam_t")
    } | {"pred_keypoints_3d": person["pred_keypoints_3d"].tolist()}


def layout_b(path: Path, *scenes: Scene) -> Path:
    frames = [
        {"frame": f"frame_{number:06d}.png", "outputs": [plain(person) for person in people[:: 1 if number % 2 else -1]]}
        for number, people in enumerate(zip(*(scene.detections() for scene in scenes), strict=True), start=1)
    ]
    path.write_text(json.dumps(frames), encoding="utf-8")
    return path


def layout_c(path: Path, scene: Scene) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow([f"{name}_3D{axis}" for name in MHR70 for axis in "XYZ"])
        for person in scene.detections():
            rows.writerow([f"{value:.6f}" for value in person["pred_keypoints_3d"].reshape(-1)])
    return path


def layout_d(path: Path, *scenes: Scene) -> Path:
    frames = [list(people) for people in zip(*(scene.detections() for scene in scenes), strict=True)]
    path.write_bytes(pickle.dumps(frames))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["a", "b", "c", "d", "list of one person", "rows"])
def test_sam_3d_body_comes_back_within_three_degrees(tmp_path: Path, scene: Scene, open_body: Body, layout: str) -> None:
    if layout == "a":
        path = layout_a(tmp_path / "outputs", scene)
    elif layout == "b":
        path = layout_b(tmp_path / "video_outputs.json", scene)
    elif layout == "c":
        path = layout_c(tmp_path / "walk.csv", scene)
    elif layout == "d":
        path = layout_d(tmp_path / "walk.pkl", scene)
    elif layout == "rows":
        path = tmp_path / "rows.npz"
        stack = {key: np.stack([person[key] for person in scene.detections()]) for key in scene.detections()[0]}
        np.savez(path, **stack, frame_idx=np.arange(60))
    else:
        path = tmp_path / "flat.pkl"
        path.write_bytes(pickle.dumps(scene.detections()))
    assert detect(path, "skel", "markers", "joints").name == "SAM 3D Body"
    (found,) = fitted(path, open_body)
    assert found.frame == "camera"
    np.testing.assert_allclose(found.time_s, np.arange(60) / HZ, atol=1e-9)
    assert worst_deg(found, scene.motion) < 3
    if layout != "c":  # the CSV has no pred_cam_t
        pelvis = found.trans_m + open_body.rest(found.betas).joints_m[0]
        np.testing.assert_allclose(pelvis, scene.camera["pelvis"], atol=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["a", "b", "d"])
def test_two_people_are_followed_by_their_place(
    tmp_path: Path, scene: Scene, other: Scene, open_body: Body, layout: str
) -> None:
    makers = {"a": (layout_a, "outputs"), "b": (layout_b, "video_outputs.json"), "d": (layout_d, "two.pkl")}
    make, name = makers[layout]
    people = fitted(make(tmp_path / name, scene, other), open_body)
    assert len(people) == 2
    for found, truth in zip(people, (scene, other), strict=True):
        assert worst_deg(found, truth.motion) < 3


@pytest.mark.slow
def test_the_command_writes_files_of_both_people(
    tmp_path: Path, scene: Scene, other: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    path = layout_b(tmp_path / "video_outputs.json", scene, other)
    (tmp_path / "inference_meta.json").write_text(json.dumps({"video": {"fps": 30.0, "frames": 60}}), encoding="utf-8")
    words = [
        "skel2mot",
        str(path),
        "-o",
        str(tmp_path / "out"),
        "--name",
        "clip",
        "--cutoff-hz",
        "off",
        "--camera-pitch-deg",
        "10",
    ]
    assert main(words) in (0, 3)
    for name, person in (("clip", scene), ("clip_p2", other)):
        found = load_motion(tmp_path / "out" / f"{name}_skel.npz")
        assert found.frame == "world"
        assert worst_deg(found, person.motion) < 3
    assert "clip_p2.mot" in capsys.readouterr().out


def test_identities_and_frames_of_the_file_are_used(tmp_path: Path, scene: Scene, other: Scene) -> None:
    rows = []
    for frame in range(10):
        for identity, person, late in ((4, scene, 0), (9, other, 3)):
            if frame >= late:
                rows.append({**person.detections()[frame], "track_id": identity, "frame_idx": 2 * frame})
    (tmp_path / "rows.pkl").write_bytes(pickle.dumps(rows))
    first, second = read(tmp_path / "rows.pkl", "joints", options=ConvertOptions(rate_hz=HZ)).joints
    np.testing.assert_allclose(first.markers.time_s, 2 * np.arange(10) / HZ)
    np.testing.assert_allclose(second.markers.time_s, 2 * np.arange(3, 10) / HZ)
    hips = first.markers.positions_m[:, first.markers.names.index("hip_r")]
    np.testing.assert_allclose(hips, scene.camera["femur_r"][:10], atol=1e-5)


def test_a_flat_list_of_two_people_is_refused(tmp_path: Path, scene: Scene, other: Scene) -> None:
    mixed = [person for pair in zip(scene.detections(), other.detections(), strict=True) for person in pair]
    (tmp_path / "mixed.pkl").write_bytes(pickle.dumps(mixed))
    with pytest.raises(FormatError, match="several people"):
        read(tmp_path / "mixed.pkl", "joints", options=ConvertOptions(rate_hz=HZ))
    assert len(read(tmp_path / "mixed.pkl", "joints").joints) == 120  # without a rate: the people of one image


def test_a_rig_of_another_place_is_not_used(tmp_path: Path, scene: Scene) -> None:
    person = scene.detections()[0]
    np.savez(tmp_path / "a.npz", **{**person, "pred_joint_coords": person["pred_joint_coords"] + 1})
    (centres,) = read(tmp_path / "a.npz", "joints").joints
    knee = centres.markers.positions_m[0, centres.markers.names.index("knee_l")]
    np.testing.assert_allclose(knee, scene.camera["tibia_l"][0], atol=1e-5)


def test_a_video_without_a_rate_and_other_faults_are_one_error(tmp_path: Path, scene: Scene) -> None:
    path = layout_b(tmp_path / "video_outputs.json", scene)
    with pytest.raises(InputError, match="--rate-hz"):
        read(path, "joints")
    for name, content in (
        ("a.json", '[{"outputs": [{"pred_keypoints_3d": [[1, 2]]}]}]'),
        ("b.json", '{"pred_keypoints_3d": 1}'),
    ):
        (tmp_path / name).write_text(content, encoding="utf-8")
        with pytest.raises(FormatError, match=name):
            read(tmp_path / name, "joints", options=ConvertOptions(rate_hz=HZ))
    (tmp_path / "c.json").write_text('[{"pred_keypoints_3d": ', encoding="utf-8")
    with pytest.raises(FormatError, match="JSON"):
        read(tmp_path / "c.json", "joints")


def test_info_describes_a_folder(tmp_path: Path, scene: Scene) -> None:
    folder = layout_a(tmp_path / "outputs", scene)
    for file in sorted(folder.glob("*.npz"))[1:]:
        file.unlink()
    facts = describe(folder)
    assert facts["people"] == 1 and "hip_r" in facts["joints"]


# ------------------------------------------------------------------ 17 joints


def seventeen(scene: Scene, *, axes: str, unit: float) -> np.ndarray:
    """(T, 17, 3) relative to the root's first place, in a unit of its own."""
    place = scene.camera if axes == "camera" else scene.world
    middle = {7: (place["pelvis"] + place["thorax"]) / 2, 8: place["thorax"], 9: place["head"], 0: place["pelvis"]}
    points = np.stack([middle[n] if n in middle else place[name] for n, name in enumerate(H36M)], axis=1)
    points = points - points[:1, :1]
    return points[..., [0, 2, 1]] * [1, -1, 1] * unit if axes == "z_up" else points * unit


@pytest.mark.slow
@pytest.mark.parametrize(("axes", "unit"), [("camera", 1.0), ("camera", 0.6), ("camera", 400.0), ("y_up", 0.6), ("z_up", 0.6)])
def test_17_joints_get_their_size_from_the_stature(
    tmp_path: Path, scene: Scene, open_body: Body, axes: str, unit: float
) -> None:
    np.save(tmp_path / "X3D.npy", seventeen(scene, axes=axes, unit=unit).astype(np.float32))
    assert detect(tmp_path / "X3D.npy", "skel", "markers", "joints").name == "Human3.6M"
    (centres,) = read(tmp_path / "X3D.npy", "joints", options=ConvertOptions(rate_hz=HZ)).joints
    stature_m = open_body.stature_m(scene.motion.betas)
    found = fit_joint_centres(centres, open_body, height_m=stature_m)
    assert found.frame == ("camera" if axes == "camera" else "world")
    assert worst_deg(found, scene.motion, ("hip_", "knee", "elbow")) < 3
    assert worst_deg(found, scene.motion, ("shoulder",)) < 4  # the true limbs of this person are one percent longer
    assert open_body.stature_m(found.betas) == pytest.approx(stature_m, abs=0.02)
    free = fit_joint_centres(centres, open_body)
    assert 1.5 < open_body.stature_m(free.betas) < 1.9


def test_several_people_or_no_rate_are_an_error(tmp_path: Path, scene: Scene) -> None:
    points = seventeen(scene, axes="camera", unit=1)
    np.save(tmp_path / "a.npy", points)
    with pytest.raises(InputError, match="--rate-hz"):
        read(tmp_path / "a.npy", "joints")
    np.save(tmp_path / "b.npy", np.stack([points, points]))
    with pytest.raises(FormatError, match="people and frames"):
        read(tmp_path / "b.npy", "joints", options=ConvertOptions(rate_hz=HZ))
    np.save(tmp_path / "c.npy", points[None])
    assert len(read(tmp_path / "c.npy", "joints", options=ConvertOptions(rate_hz=HZ)).joints) == 1
    lying = points @ Rotation.from_rotvec([0, 0, 1.55]).as_matrix()
    np.save(tmp_path / "d.npy", lying)
    with pytest.raises(InputError, match="--axes"):
        read(tmp_path / "d.npy", "joints", options=ConvertOptions(rate_hz=HZ))


# ------------------------------------------------------------------ FreeMoCap


def z_up_mm(at_m: np.ndarray) -> np.ndarray:
    return at_m[..., [0, 2, 1]] * [1, -1, 1] * 1000


def freemocap(scene: Scene) -> dict[str, np.ndarray]:
    """(T, 3) by BlazePose's name, millimetres, z up."""
    found = {}
    for side, letter in (("left", "l"), ("right", "r")):
        for bone, place in NAMED.items():
            found[f"{side}_{place}"] = z_up_mm(scene.world[f"{bone}_{letter}"])
        found[f"{side}_foot_index"] = z_up_mm(scene.world[f"toes_{letter}"])
    return found


def wide(path: Path, points: dict[str, np.ndarray], prefix: str) -> Path:
    import pandas as pd

    columns = {f"{prefix}{name}_{axis}": at[:, n] for name, at in points.items() for n, axis in enumerate("xyz")}
    pd.DataFrame({f"{prefix}nose_x": np.nan, **columns}).to_csv(path, index=False)
    return path


def tidy(path: Path, points: dict[str, np.ndarray]) -> Path:
    import pandas as pd

    frames = len(next(iter(points.values())))
    parts = []
    for trajectory, shift in (("3d_xyz", 5.0), ("rigid_3d_xyz", 0.0)):
        for name, at in points.items():
            table = pd.DataFrame(at + shift, columns=["x", "y", "z"])
            parts.append(table.assign(frame=np.arange(frames), keypoint=name, model="human.body", trajectory=trajectory))
    table = pd.concat(parts).assign(reprojection_error=np.nan, timestamp=np.nan)
    table = table[["frame", "timestamp", "model", "keypoint", "x", "y", "z", "trajectory", "reprojection_error"]]
    table.to_csv(path, index=False) if path.suffix == ".csv" else table.to_parquet(path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["wide", "wide with a prefix", "tidy", "parquet", "npy", "npy with hands and face"])
def test_freemocap_comes_back(tmp_path: Path, scene: Scene, open_body: Body, layout: str) -> None:
    points = freemocap(scene)
    if layout.startswith("wide"):
        path = wide(tmp_path / "mediapipe_body_3d_xyz.csv", points, "body_" if "prefix" in layout else "")
    elif layout == "tidy":
        path = tidy(tmp_path / "recording_by_frame.csv", points)
    elif layout == "parquet":
        pytest.importorskip("pyarrow", reason="needs the extra parquet")
        path = tidy(tmp_path / "freemocap_data.parquet", points)
    else:
        path = tmp_path / "skeleton_3d.npy"
        skeleton = np.full((60, 553 if "face" in layout else 33, 3), np.nan)
        for bone, columns in BLAZEPOSE.items():
            for side, column in zip("lr", columns, strict=True):
                skeleton[:, column] = z_up_mm(scene.world[f"{bone}_{side}"])
        skeleton[:, [31, 32]] = np.stack([points["left_foot_index"], points["right_foot_index"]], axis=1)
        np.save(path, skeleton)
    assert detect(path, "skel", "markers", "joints").name == "FreeMoCap"
    (found,) = fitted(path, open_body)
    assert found.frame == "world"
    assert worst_deg(found, scene.motion) < 3
    assert open_body.stature_m(found.betas) == pytest.approx(open_body.stature_m(scene.motion.betas), abs=0.01)


def test_zeros_and_clocks_of_tables(tmp_path: Path, scene: Scene) -> None:
    import pandas as pd

    points = freemocap(scene)
    points["left_knee"] = np.where(np.arange(60)[:, None] < 5, 0.0, points["left_knee"])
    path = wide(tmp_path / "a_body_3d_xyz.csv", points, "")
    table = pd.read_csv(path)
    table.insert(0, "timestamp", 1000 + np.arange(60) / 25)
    table.to_csv(path, index=False)
    content = read(path, "joints")
    (centres,) = content.joints
    np.testing.assert_allclose(centres.markers.time_s, np.arange(60) / 25)
    knee = centres.markers.positions_m[:, centres.markers.names.index("knee_l")]
    assert np.isnan(knee[:5]).all() and np.isfinite(knee[5:]).all()
    assert any("5 positions of exactly 0 0 0" in note for note in content.notes)
    (tmp_path / "text.csv").write_text(path.read_text().replace("1001.0", "soon").replace("0.0,0.0,0.0", "0,x,0"))
    with pytest.raises(HsmrBioError, match="is no number"):
        read(tmp_path / "text.csv", "joints")


def test_tables_without_hips_or_frames_are_one_error(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("left_hip_3DX,left_hip_3DY,left_hip_3DZ\n1,2,3\n")
    with pytest.raises(FormatError, match="hips and shoulders are needed"):
        read(tmp_path / "a.csv", "joints")
    (tmp_path / "b.csv").write_text("frame,keypoint,x,y,z\n0,left_hip,1,2,3\n,left_hip,1,2,3\n")
    with pytest.raises(FormatError, match="without its frame"):
        read(tmp_path / "b.csv", "joints")


def test_segments_of_other_frames_are_refused(scene: Scene) -> None:
    from hsmr_bio.fitting.video.joint_data import Segment
    from hsmr_bio.types import Markers

    markers = Markers(time_s=np.arange(3) / HZ, names=("hip_r",), positions_m=np.zeros((3, 1, 3)))
    part = Segment(bone="pelvis", origins_m=np.zeros((2, 3)), rotations=np.tile(np.eye(3), (2, 1, 1)))
    with pytest.raises(InputError, match="other frames"):
        JointCentres(markers=markers, segments=(part,))

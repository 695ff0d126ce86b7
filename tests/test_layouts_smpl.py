"""Result files of the SMPL family as other programs store them: people, clocks, axes, joints, sexes."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hsmr_bio.cli import main
from hsmr_bio.converters.smpl import read_smpl
from hsmr_bio.errors import FormatError
from hsmr_bio.fitting.smpl.smpl_motion import SMPL_PELVIS_M, SMPLX_PELVIS_M, SmplMotion
from hsmr_bio.fitting.smpl.to_open import smpl_to_open

FRAMES, HZ = 12, 30.0


class Person:
    """SMPL parameters of somebody who squats and turns, y up."""

    def __init__(self, seed: int, frames: int = FRAMES) -> None:
        rng = np.random.default_rng(seed)
        self.phase = np.linspace(0, 1, frames) + 0.1 * seed
        self.poses = np.zeros((frames, 72))
        self.poses[:, 1] = self.phase  # the root turns about the vertical
        for hip, knee in ((1, 4), (2, 5)):
            self.poses[:, 3 * hip], self.poses[:, 3 * knee] = -self.phase, 1.5 * self.phase
        self.poses[:, 48:66] = 0.2 * rng.normal(size=18)
        self.trans = np.stack([0.5 * self.phase, 0.9 + 0.1 * self.phase, np.full(frames, float(seed))], axis=1)
        self.betas = rng.normal(size=10)

    @property
    def rotations(self) -> np.ndarray:
        return Rotation.from_rotvec(self.poses.reshape(-1, 3)).as_matrix().reshape(-1, 24, 3, 3)

    @property
    def body63(self) -> np.ndarray:
        return self.poses[:, 3:66]

    def smplx(self) -> np.ndarray:
        """(T, 55, 3, 3)."""
        extra = np.broadcast_to(np.eye(3), (len(self.poses), 33, 3, 3))
        return np.concatenate([self.rotations[:, :22], extra], axis=1)


@pytest.fixture(scope="module")
def one() -> Person:
    return Person(1)


@pytest.fixture(scope="module")
def two() -> Person:
    return Person(2)


def dump(path: Path, content: Any) -> Path:
    path.write_bytes(pickle.dumps(content))
    return path


def same(motion: SmplMotion, person: Person, frames: Any = slice(None), joints: int = 22) -> None:
    """The motion is this person's, in these frames."""
    np.testing.assert_allclose(motion.rotations[:, :joints], person.rotations[frames, :joints], atol=1e-6)
    np.testing.assert_allclose(motion.trans_m, person.trans[frames], atol=1e-6)
    betas = motion.betas if motion.betas.ndim == 1 else motion.betas[0]
    np.testing.assert_allclose(betas, person.betas, atol=1e-6)


def rows_of(*people: tuple[int, Person, np.ndarray]) -> dict[str, np.ndarray]:
    """One row per detection, frame by frame, of (id, person, frames)."""
    rows = sorted((frame, index, place) for place, (_, _, frames) in enumerate(people) for index, frame in enumerate(frames))
    pick = [(people[place][0], people[place][1], index, frame) for frame, index, place in rows]
    return {
        "id": np.array([identity for identity, *_ in pick]),
        "pose": np.stack([person.poses[index] for _, person, index, _ in pick]),
        "trans": np.stack([person.trans[index] for _, person, index, _ in pick]),
        "betas": np.stack([person.betas for _, person, _, _ in pick]),
        "frame_idx": np.array([frame for *_, frame in pick]),
    }


def comotion(path: Path, rows: dict[str, np.ndarray], **change: Any) -> Path:
    torch.save({key: torch.tensor(value) for key, value in (rows | change).items() if value is not None}, path)
    return path


def test_rows_of_two_people_are_two_people_with_their_own_clocks(tmp_path: Path, one: Person, two: Person) -> None:
    gap = np.r_[0:4, 7:15]
    rows = rows_of((5, one, np.arange(3, 3 + FRAMES)), (2, two, gap))
    second, first = read_smpl(comotion(tmp_path / "c.pt", rows), rate_hz=HZ)  # equally long: who comes first is first
    same(first, one, joints=24)
    same(second, two, joints=24)
    np.testing.assert_allclose(first.time_s, np.arange(3, 15) / HZ)
    np.testing.assert_allclose(second.time_s, gap / HZ)


def test_rows_in_any_order_are_sorted_by_their_frames(tmp_path: Path, one: Person) -> None:
    rows = rows_of((1, one, np.arange(FRAMES)))
    back = {key: value[::-1].copy() for key, value in rows.items()}
    (motion,) = read_smpl(comotion(tmp_path / "c.pt", back), rate_hz=HZ)
    same(motion, one)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": None}, "several people, but nothing in the file says who is who"),
        ({"frame_idx": None}, "rows of 2 people without frame numbers"),
        ({"frame_idx": np.zeros(24, dtype=int)}, "two rows in one frame"),
        ({"frame_idx": np.arange(7)}, "7 frame numbers, 24 poses"),
        ({"id": np.arange(5)}, "5 identities, 24 poses"),
    ],
)
def test_people_that_cannot_be_told_apart_are_an_error(tmp_path: Path, one: Person, two: Person, change, message: str) -> None:
    rows = rows_of((1, one, np.arange(FRAMES)), (2, two, np.arange(FRAMES)))
    with pytest.raises(FormatError, match=message):
        read_smpl(comotion(tmp_path / "c.pt", rows, **change), rate_hz=HZ)


def test_a_list_of_detections_is_separated_by_its_identities(tmp_path: Path, one: Person, two: Person) -> None:
    rows = rows_of((7, one, np.arange(FRAMES)), (9, two, np.arange(2, 2 + FRAMES)))
    listed = [{key: value[row] for key, value in rows.items()} for row in range(2 * FRAMES)]
    for key, name in (("id", "track_id"), ("frame_idx", "frame")):
        for row in listed:
            row[name] = row.pop(key)
    first, second = read_smpl(dump(tmp_path / "list.pkl", listed), rate_hz=HZ)
    same(first, one)
    same(second, two)
    assert second.time_s[0] == pytest.approx(2 / HZ)


@pytest.mark.parametrize("poses", [(3, FRAMES, 72), (FRAMES, 3, 72), (3, FRAMES, 24, 3), (3, FRAMES, 24, 3, 3)])
def test_an_axis_of_people_is_never_joined_to_the_frames(tmp_path: Path, poses: tuple[int, ...]) -> None:
    values = np.zeros(poses) if poses[-2:] != (3, 3) else np.broadcast_to(np.eye(3), poses)
    with pytest.raises(FormatError, match="people and frames in an unknown order"):
        read_smpl(dump(tmp_path / "several.pkl", {"poses": values}), rate_hz=HZ)
    root, body = np.zeros((3, FRAMES, 3)), np.zeros((3, FRAMES, 63))
    np.savez(tmp_path / "slahmr.npz", root_orient=root, pose_body=body, trans=np.zeros((3, FRAMES, 3)))
    with pytest.raises(FormatError, match="3 x 12 poses"):
        read_smpl(tmp_path / "slahmr.npz", rate_hz=HZ)


def test_six_numbers_a_joint_are_no_axis_angle_values(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="48 joints of axis-angle values"):
        read_smpl(dump(tmp_path / "six.pkl", {"pose": np.zeros((FRAMES, 144))}), rate_hz=HZ)


# ------------------------------------------------------------------ layouts


def prompthmr(one: Person, two: Person, key: str = "smplx_world") -> dict[str, Any]:
    def entry(number: int, person: Person, start: int) -> dict[str, Any]:
        world = {"rotmat": person.smplx(), "shape": np.tile(person.betas, (FRAMES, 1)), "trans": person.trans}
        camera = {"smplx_cam": {**world, "trans": world["trans"] + 9}}
        return {"frames": np.arange(start, start + FRAMES), "track_id": number, **camera, key: world}

    return {"camera_world": {"img_focal": 900.0}, "people": {3: entry(3, one, 0), 8: entry(8, two, 4)}}


def test_prompthmr(tmp_path: Path, one: Person, two: Person) -> None:
    first, second = read_smpl(dump(tmp_path / "results.pkl", prompthmr(one, two)), rate_hz=HZ)
    same(first, one)
    same(second, two)
    assert first.axes == "y_up"
    assert second.time_s[0] == pytest.approx(4 / HZ)
    np.testing.assert_allclose(first.pelvis_m, SMPLX_PELVIS_M)
    only = read_smpl(dump(tmp_path / "results.pkl", prompthmr(one, two, key="smplx_cam")), rate_hz=HZ)
    assert {motion.axes for motion in only} == {"camera"}


def test_prompthmr_stores_poses_as_vectors_too(tmp_path: Path, one: Person) -> None:
    pose = np.concatenate([one.poses[:, :66], np.zeros((FRAMES, 99))], axis=1)
    world = {"pose": pose, "shape": one.betas, "trans": one.trans}
    content = {"people": [{"frames": np.arange(FRAMES), "track_id": 1, "smplx_world": world}]}
    (motion,) = read_smpl(dump(tmp_path / "results.pkl", content), rate_hz=HZ)
    same(motion, one)


def tram(folder: Path, number: int, person: Person, turns: np.ndarray, origins: np.ndarray, start: int = 0) -> Path:
    """The person seen by a moving camera: ``world = turn camera + origin``."""
    seen = Rotation.from_matrix(turns).inv().as_matrix()
    rotations = person.rotations.copy()
    rotations[:, 0] = seen @ rotations[:, 0]
    pelvis = np.einsum("tij,tj->ti", seen, person.trans + SMPL_PELVIS_M - origins)
    content = {
        "pred_cam": torch.zeros(FRAMES, 3),
        "pred_pose": torch.zeros(FRAMES, 144),
        "pred_shape": torch.tensor(np.tile(person.betas, (FRAMES, 1))),
        "pred_rotmat": torch.tensor(rotations),
        "pred_trans": torch.tensor(pelvis - SMPL_PELVIS_M)[:, None],
        "frame": torch.arange(start, start + FRAMES),
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"hps_track_{number}.npy"
    np.save(path, {key: value.numpy() for key, value in content.items()}, allow_pickle=True)
    return path


def test_tram_is_turned_to_the_world_with_its_camera(tmp_path: Path, one: Person, two: Person) -> None:
    steps = np.linspace(0, 1, FRAMES)
    turns = (Rotation.from_rotvec([np.pi, 0, 0]) * Rotation.from_rotvec(steps[:, None] * [0.1, 0.4, 0.2])).as_matrix()
    origins = steps[:, None] * [1.0, 0.2, -3.0]
    first = tram(tmp_path / "hps", 0, one, turns, origins)
    (alone,) = read_smpl(first, rate_hz=HZ)
    assert alone.axes == "camera"
    assert np.abs(alone.trans_m - one.trans).max() > 1
    np.save(tmp_path / "camera.npy", {"world_cam_R": turns, "world_cam_T": origins, "img_focal": 900.0}, allow_pickle=True)
    (motion,) = read_smpl(first, rate_hz=HZ)
    assert motion.axes == "y_up"
    same(motion, one, joints=24)
    tram(tmp_path / "hps", 1, two, turns, origins)
    both = read_smpl(tmp_path, rate_hz=HZ)
    for person, found in zip((one, two), both, strict=True):
        same(found, person, joints=24)


def test_a_camera_that_does_not_cover_the_track_is_an_error(tmp_path: Path, one: Person) -> None:
    turns, origins = np.tile(np.eye(3), (FRAMES, 1, 1)), np.zeros((FRAMES, 3))
    track = tram(tmp_path / "hps", 0, one, turns, origins, start=5)
    np.save(tmp_path / "camera.npy", {"world_cam_R": turns, "world_cam_T": origins}, allow_pickle=True)
    with pytest.raises(FormatError, match="do not cover frames 5 to 16"):
        read_smpl(track, rate_hz=HZ)


def pw3d(*people: Person, sexes: str) -> dict[str, Any]:
    return {
        "poses": [person.poses for person in people],
        "trans": [person.trans for person in people],
        "betas": [np.concatenate([person.betas, np.zeros(290)]) for person in people],
        "genders": list(sexes),
        "img_frame_ids": np.arange(FRAMES) * 2,
        "sequence": "courtyard_00",
        "campose_valid": [np.ones(FRAMES) for _ in people],
        "cam_poses": np.tile(np.eye(4), (FRAMES, 1, 1)),
    }


def test_3dpw_has_its_own_clock_and_the_sex_of_each_person(tmp_path: Path, one: Person, two: Person) -> None:
    first, second = read_smpl(dump(tmp_path / "two.pkl", pw3d(one, two, sexes="fm")))
    same(first, one, joints=24)
    same(second, two, joints=24)
    assert (first.sex, second.sex) == ("female", "male")
    np.testing.assert_allclose(first.time_s, np.arange(FRAMES) / 30)
    (alone,) = read_smpl(dump(tmp_path / "one.pkl", pw3d(one, sexes="f")))
    assert alone.sex == "female"


def test_emdb_leaves_out_bad_frames_and_keeps_the_clock(tmp_path: Path, one: Person) -> None:
    good = np.ones(FRAMES, dtype=bool)
    good[3:5] = False
    smpl = {"poses_root": one.poses[:, :3], "poses_body": one.poses[:, 3:], "trans": one.trans, "betas": one.betas}
    stored = {"gender": "female", "good_frames_mask": good, "camera": {"width": 4}, "smpl": smpl}
    (motion,) = read_smpl(dump(tmp_path / "P0_data.pkl", stored), rate_hz=HZ)
    same(motion, one, good, joints=24)
    assert motion.sex == "female"
    np.testing.assert_allclose(motion.time_s, np.flatnonzero(good) / HZ)
    assert "2 that the file calls bad" in motion.notes["frames_left_out"]
    (flat,) = read_smpl(dump(tmp_path / "emdb.pkl", {**smpl, "gender": "male"}), rate_hz=HZ)
    same(flat, one, joints=24)


def test_a_folder_of_smplerx_holds_a_file_per_frame_and_person(tmp_path: Path, one: Person, two: Person) -> None:
    (tmp_path / "smplx").mkdir()
    for number, person, frames in ((0, one, range(FRAMES)), (1, two, range(2, 2 + FRAMES))):
        for index, frame in enumerate(frames):
            values = {"global_orient": person.poses[index, :3], "body_pose": person.body63[index].reshape(21, 3)}
            values |= {
                "transl": person.trans[index],
                "betas": person.betas,
                "jaw_pose": np.zeros(3),
                "expression": np.zeros(10),
            }
            lead = {key: np.asarray(value)[None] if key in ("transl", "betas") else value for key, value in values.items()}
            np.savez(tmp_path / "smplx" / f"{frame:05}_{number}.npz", **lead)
    for folder in (tmp_path, tmp_path / "smplx"):
        first, second = read_smpl(folder, rate_hz=HZ)
        same(first, one)
        same(second, two)
        assert second.time_s[0] == pytest.approx(2 / HZ)


def gvhmr(person: Person, turn: Rotation, camera_at_m: np.ndarray) -> dict[str, Any]:
    """The person in the world, and in the axes of a camera: the root turns about the pelvis."""
    rotations = turn * Rotation.from_rotvec(person.poses[:, :3])
    trans = turn.apply(person.trans + SMPLX_PELVIS_M - camera_at_m) - SMPLX_PELVIS_M
    common = {"body_pose": torch.tensor(person.body63), "betas": torch.tensor(np.tile(person.betas, (FRAMES, 1)))}
    world = {"global_orient": torch.tensor(person.poses[:, :3]), "transl": torch.tensor(person.trans)}
    camera = {"global_orient": torch.tensor(rotations.as_rotvec()), "transl": torch.tensor(trans)}
    return {"smpl_params_global": {**common, **world}, "smpl_params_incam": {**common, **camera}, "K_fullimg": torch.eye(3)}


def test_gvhmr_turns_about_the_pelvis_of_smplx(tmp_path: Path, one: Person, open_body) -> None:
    """World and camera give the same path of the pelvis; as a turn about the origin they would differ by 0.7 m."""
    turn, camera_at_m = Rotation.from_rotvec([np.pi, 0, 0]) * Rotation.from_rotvec([0.1, 0, 0]), np.array([0.2, 1.3, 5.0])
    content = gvhmr(one, turn, camera_at_m)
    torch.save(content, tmp_path / "both.pt")
    torch.save({"smpl_params_incam": content["smpl_params_incam"]}, tmp_path / "incam.pt")
    (world,), (camera,) = (read_smpl(tmp_path / name, rate_hz=HZ) for name in ("both.pt", "incam.pt"))
    same(world, one)
    assert (world.axes, camera.axes) == ("y_up", "camera")
    paths = []
    for motion in (world, camera):
        found = smpl_to_open(motion, open_body).motion
        paths.append(found.trans_m + open_body.rest(found.betas).joints_m[0])
    np.testing.assert_allclose(paths[0], one.trans + SMPLX_PELVIS_M, atol=0.02)
    np.testing.assert_allclose(turn.inv().apply(paths[1]) + camera_at_m, paths[0], atol=0.02)


def vibe(person: Person) -> dict[int, dict[str, np.ndarray]]:
    joints = np.random.default_rng(0).normal(size=(FRAMES, 49, 3))
    values = {"pose": person.poses, "betas": np.tile(person.betas, (FRAMES, 1)), "joints3d": joints}
    return {1: {**values, "pred_cam": np.zeros((FRAMES, 3)), "frame_ids": np.arange(FRAMES) + 5}}


def test_vibes_joints_are_of_another_order_and_left_out(tmp_path: Path, one: Person) -> None:
    (motion,) = read_smpl(dump(tmp_path / "vibe_output.pkl", vibe(one)), rate_hz=HZ)
    assert motion.joints_m is None
    assert "joints3d is left out" in motion.notes["joints"]
    np.testing.assert_allclose(motion.rotations, one.rotations, atol=1e-9)
    np.testing.assert_allclose(motion.time_s, (np.arange(FRAMES) + 5) / HZ)


def skeleton(person: Person) -> np.ndarray:
    """(T, 24, 3) joints of a stick figure with SMPL's proportions, in its order."""
    rest = np.zeros((24, 3))
    for _side, (hip, knee, ankle, foot), sign in (("l", (1, 4, 7, 10), 1), ("r", (2, 5, 8, 11), -1)):
        rest[[hip, knee, ankle, foot]] = [
            [0.07 * sign, y, z] for y, z in ((-0.09, 0), (-0.47, 0), (-0.87, -0.03), (-0.93, 0.09))
        ]
    rest[[3, 6, 9, 12, 15]] = [[0, y, 0] for y in (0.11, 0.24, 0.3, 0.51, 0.6)]
    for (collar, shoulder, elbow, wrist, hand), sign in (((13, 16, 18, 20, 22), 1), ((14, 17, 19, 21, 23), -1)):
        rest[[collar, shoulder, elbow, wrist, hand]] = [[sign * x, 0.43, 0] for x in (0.07, 0.18, 0.44, 0.69, 0.77)]
    parents = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
    turns, places = person.rotations.copy(), np.zeros((len(person.poses), 24, 3))
    places[:, 0] = person.trans
    for joint in range(1, 24):
        parent = parents[joint]
        places[:, joint] = places[:, parent] + turns[:, parent] @ (rest[joint] - rest[parent])
        turns[:, joint] = turns[:, parent] @ turns[:, joint]
    return places


def test_24_joints_of_another_order_are_told_by_their_limbs(tmp_path: Path, one: Person) -> None:
    joints = skeleton(one)
    (right,) = read_smpl(dump(tmp_path / "a.pkl", {"poses": one.poses, "joints3d": joints}), rate_hz=HZ)
    np.testing.assert_allclose(right.joints_m, joints)
    swapped = joints[:, np.random.default_rng(1).permutation(24)]
    (left_out,) = read_smpl(dump(tmp_path / "b.pkl", {"poses": one.poses, "joints3d": swapped}), rate_hz=HZ)
    assert left_out.joints_m is None
    assert "is left out" in left_out.notes["joints"]
    turned = joints @ Rotation.from_rotvec([0.9, 0, 0]).as_matrix()
    (elsewhere,) = read_smpl(dump(tmp_path / "c.pkl", {"poses": one.poses, "joints3d": turned}), rate_hz=HZ)
    assert "point elsewhere" in elsewhere.notes["joints"]
    with pytest.raises(FormatError, match="in SMPL's order"):
        read_smpl(dump(tmp_path / "d.pkl", {"joints": swapped}), rate_hz=HZ)


@pytest.mark.parametrize(("count", "hands"), [(24, (22, 23)), (45, (22, 23)), (52, (25, 40)), (55, (28, 43)), (127, (28, 43))])
def test_the_hands_of_smplh_and_smplx_stand_elsewhere(tmp_path: Path, one: Person, count: int, hands: tuple[int, int]) -> None:
    joints = skeleton(one)
    wide = np.full((FRAMES, count, 3), 7.0)
    wide[:, :22] = joints[:, :22]
    wide[:, list(hands)] = joints[:, 22:]
    (motion,) = read_smpl(dump(tmp_path / "joints.pkl", {"joints": wide}), rate_hz=HZ)
    np.testing.assert_allclose(motion.joints_m, joints)


def test_several_sexes_of_one_person_are_an_error(tmp_path: Path, one: Person) -> None:
    with pytest.raises(FormatError, match="several sexes"):
        read_smpl(dump(tmp_path / "a.pkl", {"poses": one.poses, "genders": ["m", "f"]}), rate_hz=HZ)


@pytest.mark.slow
def test_the_command_names_the_second_person_p2(
    tmp_path: Path, one: Person, two: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = rows_of((1, one, np.arange(FRAMES)), (2, two, np.arange(3, 3 + FRAMES)))
    source = comotion(tmp_path / "clip.pt", rows)
    assert main(["smpl2mot", str(source), "-o", str(tmp_path / "out"), "--rate-hz", "30", "--json"]) in (0, 3)
    people = json.loads(capsys.readouterr().out)["people"]
    assert [person["name"] for person in people] == ["clip", "clip_p2"]
    from hsmr_bio.io.mot import read_mot

    for name, person, start in (("clip", one, 0), ("clip_p2", two, 3)):
        motion = read_mot(tmp_path / "out" / f"{name}.mot")
        assert motion.time_s[0] == pytest.approx(start / HZ, abs=1e-6)
        knee = np.degrees(motion.column("knee_angle_r"))
        np.testing.assert_allclose(knee, np.degrees(1.5 * person.phase), atol=9)

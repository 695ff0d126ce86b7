"""C3D files as laboratories have them: model results, odd axes, byte orders, events, analog channels, plates, Theia's poses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from c3d_bytes import DEC, INTEL, MIPS, c3d_bytes

from hsmr_bio.body import Body
from hsmr_bio.body.placing import SKEL_TO_WORLD, rotate_motion
from hsmr_bio.cli import main
from hsmr_bio.converters.c3d import read_c3d, write_c3d
from hsmr_bio.converters.capture import Capture, CaptureEvent
from hsmr_bio.converters.content import ConvertOptions
from hsmr_bio.converters.registry import convert, read
from hsmr_bio.dynamics.load_files import read_c3d_plates
from hsmr_bio.errors import FormatError, HsmrBioError, InputError
from hsmr_bio.fitting.video.joint_centres import fit_joint_centres
from hsmr_bio.io.trc import read_trc, write_trc
from hsmr_bio.skeleton import DOF_NAMES, JOINT_NAMES
from hsmr_bio.types import Markers, SkelMotion

LABELS = ("LASI", "RASI", "SACR", "LKNE", "RKNE", "LANK", "RANK")
Z_UP_MM = np.array(
    [[0, 100, 1000], [0, -100, 1000], [-100, 0, 1010], [0, 90, 500], [0, -90, 500], [10, 90, 80], [10, -90, 80.0]]
)
FRAMES = 12


def standing_mm(frames: int = FRAMES) -> np.ndarray:
    """(T, 7, 3) somebody who sways, z up."""
    sway = 20 * np.sin(np.arange(frames))[:, None, None] * np.array([1.0, 0.3, 0.0])
    return Z_UP_MM + sway


def save(path: Path, points_mm: np.ndarray, labels: tuple[str, ...] = LABELS, **more) -> Path:
    path.write_bytes(c3d_bytes(points_mm, labels, **more))
    return path


# ------------------------------------------------------------------ points


@pytest.mark.parametrize("subject", ["", "Anna:"])
def test_results_of_a_model_are_no_markers(tmp_path: Path, subject: str, capsys: pytest.CaptureFixture[str]) -> None:
    results = {
        "ANGLES": ["LHipAngles"],
        "MOMENTS": ["LHipMoment"],
        "POWERS2": ["LHipPower"],
        "SCALARS": ["x"],
        "FORCES": [" F "],
    }
    names = ("LHipAngles", "LHipMoment", "LHipPower", "x", "F")
    values = np.concatenate([standing_mm(), np.full((FRAMES, 5, 3), 40.0)], axis=1)
    labels = tuple(f"{subject}{name}" for name in (*LABELS, *names))
    source = save(tmp_path / "pig.c3d", values, labels, point={"Y_SCREEN": "+Z", **results})
    assert main(["convert", str(source), str(tmp_path / "pig.trc")]) == 0
    assert "5 results of a model" in capsys.readouterr().err
    assert read_trc(tmp_path / "pig.trc").names == labels[:7]
    assert read_c3d(source).outputs == labels[7:]


def test_only_results_are_an_error(tmp_path: Path) -> None:
    source = save(tmp_path / "a.c3d", np.ones((3, 1, 3)), ("A",), point={"ANGLES": ["A"]})
    with pytest.raises(FormatError, match="there are no markers"):
        read_c3d(source, up="z")


@pytest.mark.parametrize("kind", [INTEL, DEC, MIPS])
def test_all_three_byte_orders_are_read(tmp_path: Path, kind: int) -> None:
    points = standing_mm()
    points[3, 2] = np.nan
    plate = {"USED": np.int16(1), "TYPE": np.int16(1)}
    point = {"Y_SCREEN": "+Z", "X_SCREEN": "+X", "RATE2": np.float32(3.5), "ODD": np.arange(6, dtype=np.int16).reshape(2, 3)}
    file = read_c3d(save(tmp_path / "a.c3d", points, kind=kind, rate_hz=120.0, first=4, point=point, groups={"OTHER": plate}))
    np.testing.assert_allclose(
        file.markers.positions_m, points @ np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]).T / 1000, atol=1e-6
    )
    np.testing.assert_allclose(file.markers.time_s, (3 + np.arange(FRAMES)) / 120)
    assert file.markers.names == LABELS


@pytest.mark.parametrize("kind", [INTEL, DEC, MIPS])
def test_a_cut_file_of_any_byte_order_is_truncated(tmp_path: Path, kind: int) -> None:
    whole = c3d_bytes(standing_mm(200), LABELS, kind=kind)
    (tmp_path / "cut.c3d").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FormatError, match="truncated"):
        read_c3d(tmp_path / "cut.c3d", up="z")


def test_a_parameter_without_a_group_is_skipped(tmp_path: Path) -> None:
    file = read_c3d(save(tmp_path / "a.c3d", standing_mm(), orphan="USED", point={"Y_SCREEN": "+Z"}))
    assert file.markers.names == LABELS


def test_poses_without_their_labels_never_reach_the_library(tmp_path: Path) -> None:
    """ezc3d dies with the process where the group of a needed parameter does not exist."""
    matrices = np.tile(np.eye(4), (5, 1, 1, 1))
    whole = c3d_bytes(np.zeros((5, 0, 3)), [], rotations=matrices, rotation_labels=["pelvis_4X4"])
    at = whole.index(b"LABELS") - 1
    (tmp_path / "a.c3d").write_bytes(whole[:at] + bytes([77]) + whole[at + 1 :])
    with pytest.raises(FormatError, match="ROTATION:LABELS"):
        read(tmp_path / "a.c3d", "joints")


def test_labels_that_appear_twice_are_told_apart(tmp_path: Path) -> None:
    labels = ("LASI", "RASI", "SACR", "LKNE", "LKNE", "LANK", "LKNE_2")
    file = read_c3d(save(tmp_path / "a.c3d", standing_mm(), labels, point={"Y_SCREEN": "+Z"}))
    assert file.markers.names == ("LASI", "RASI", "SACR", "LKNE", "LKNE_3", "LANK", "LKNE_2")
    assert "several points of one name: LKNE" in file.notes[0]


def test_zeros_beside_markers_elsewhere_are_not_seen(tmp_path: Path) -> None:
    points = standing_mm()
    points[2:5, 1] = 0
    file = read_c3d(save(tmp_path / "a.c3d", points, point={"Y_SCREEN": "+Z"}))
    np.testing.assert_array_equal(np.isnan(file.markers.positions_m[:, 1, 0]), [2 <= frame < 5 for frame in range(FRAMES)])
    assert "3 positions of exactly 0 0 0" in file.notes[0]


# ------------------------------------------------------------------ axes


def plates(z_mm: float = 0.0, axis: int = 2) -> dict[str, dict]:
    """A level plate under the person; without channels it only stands there."""
    corners = np.array([[300.0, 250, z_mm], [-300, 250, z_mm], [-300, -250, z_mm], [300, -250, z_mm]])
    corners = np.roll(corners, axis - 2, axis=1)
    values = {"USED": np.int16(1), "TYPE": np.array([2], dtype=np.int16), "ZERO": np.array([1, 0], dtype=np.int16)}
    values |= {"CORNERS": corners[None].astype(np.float32), "ORIGIN": np.zeros((1, 3), dtype=np.float32)}
    return {"FORCE_PLATFORM": {**values, "CHANNEL": np.zeros((1, 6), dtype=np.int16)}}


def heights(path: Path, **options) -> np.ndarray:
    return np.nanmean(read_c3d(path, **options).markers.positions_m[..., 1], axis=0)


def test_a_stated_axis_that_hangs_the_person_under_the_plates_is_doubted(tmp_path: Path) -> None:
    source = save(
        tmp_path / "a.c3d", standing_mm(), ("a", "b", "c", "d", "e", "f", "g"), point={"Y_SCREEN": "-Z"}, groups=plates()
    )
    file = read_c3d(source)
    assert "under the force plates: doubted" in file.up
    np.testing.assert_allclose(np.nanmean(file.markers.positions_m[..., 1], axis=0), Z_UP_MM[:, 2] / 1000, atol=1e-3)
    np.testing.assert_allclose(heights(source, up="-z"), -Z_UP_MM[:, 2] / 1000, atol=1e-3)


def test_without_plates_heads_under_the_feet_below_zero_are_doubted(tmp_path: Path) -> None:
    file = read_c3d(save(tmp_path / "a.c3d", standing_mm(), point={"Y_SCREEN": "-Z"}))
    assert "head below the feet" in file.up and "doubted" in file.up
    assert np.nanmean(file.markers.positions_m[:, 0, 1]) == pytest.approx(1.0, abs=0.01)
    handstand = standing_mm() * [1, 1, -1] + [0, 0, 1500]
    file = read_c3d(save(tmp_path / "b.c3d", handstand, point={"Y_SCREEN": "+Z"}))
    assert "though head and trunk are below the feet" in file.up
    assert np.nanmean(file.markers.positions_m[:, 0, 1]) == pytest.approx(0.5, abs=0.01)
    with pytest.raises(InputError, match="--up"):
        read_c3d(save(tmp_path / "c.c3d", standing_mm() - [0, 0, 200], point={"Y_SCREEN": "-Z"}))


def test_a_handstand_over_plates_stays_as_stated(tmp_path: Path) -> None:
    handstand = standing_mm() * [1, 1, -1] + [0, 0, 1500]
    file = read_c3d(save(tmp_path / "a.c3d", handstand, point={"Y_SCREEN": "+Z"}, groups=plates()))
    assert file.up.startswith("+z")
    assert np.nanmean(file.markers.positions_m[:, 0, 1]) == pytest.approx(0.5, abs=0.01)


def test_plates_show_the_axis_that_is_not_stated_or_stated_wrong(tmp_path: Path) -> None:
    crouching = standing_mm() * [4, 1, 0.3]
    for point in ({}, {"Y_SCREEN": "+X"}):
        file = read_c3d(save(tmp_path / "a.c3d", crouching, point=point, groups=plates(z_mm=-10)))
        assert file.up.startswith("+z") and "force plates are level" in file.up
    turned = crouching * [1, 1, -1]
    file = read_c3d(save(tmp_path / "b.c3d", turned, ("a", "b", "c", "d", "e", "f", "g"), groups=plates(z_mm=10)))
    assert file.up.startswith("-z")


# ------------------------------------------------------------------ events, analog channels, plates


def recording() -> tuple[Markers, Capture]:
    rng = np.random.default_rng(4)
    names = ("a", "b", "c")
    positions = rng.normal(size=(20, 3, 3)) + np.array([0, 1, 0]) * np.arange(3)[:, None]
    markers = Markers(time_s=(np.arange(20) + 100) / 100, names=names, positions_m=positions)
    events = (
        CaptureEvent(time_s=1.04, label="Foot Strike", context="Left", subject="Anna"),
        CaptureEvent(time_s=61.5, label="Foot Off", context="Right"),
    )
    capture = Capture(
        events=events, channels=("EMG 1", "EMG 2"), units=("V", "mV"), values=rng.normal(size=(80, 2)), samples_per_frame=4
    )
    return markers, capture


def test_events_and_analog_channels_are_written_and_read(tmp_path: Path) -> None:
    markers, capture = recording()
    write_c3d(tmp_path / "a.c3d", markers, capture)
    again = convert(tmp_path / "a.c3d", tmp_path / "b.c3d", ConvertOptions(up="y"))
    assert not any("events" in text for text in again.lost)
    for name in ("a.c3d", "b.c3d"):
        file = read_c3d(tmp_path / name, up="y")
        for event, wanted in zip(file.capture.events, capture.events, strict=True):
            assert event.time_s == pytest.approx(wanted.time_s, abs=1e-5)
            assert (event.label, event.context, event.subject) == (wanted.label, wanted.context, wanted.subject)
        assert (file.capture.channels, file.capture.units) == (capture.channels, capture.units)
        assert file.capture.samples_per_frame == 4
        np.testing.assert_allclose(file.capture.values, capture.values, atol=1e-5)
    lost = convert(tmp_path / "a.c3d", tmp_path / "a.trc", ConvertOptions(up="y")).lost
    assert "2 analog channels" in lost and "2 events" in lost


def forces(path: Path) -> dict[str, np.ndarray]:
    """Two feet of changing load on a path of pressure, as OpenSim's columns."""
    time_s = np.arange(400) / 1000 + 1
    up_n = 500 + 200 * np.sin(20 * time_s)
    columns = {}
    for number, side in ((1, 0.1), (2, -0.1)):
        loaded = (time_s < 1.25) if number == 1 else (time_s >= 1.15)
        force = np.stack([30 * np.cos(9 * time_s), up_n, 12 * np.sin(7 * time_s)], axis=1) * loaded[:, None]
        point = np.stack([0.2 * (time_s - 1), np.zeros(400), np.full(400, side)], axis=1) * loaded[:, None]
        moment = np.stack([np.zeros(400), 4 * np.sin(5 * time_s), np.zeros(400)], axis=1) * loaded[:, None]
        for stem, values in (
            (f"ground_force_{number}_v", force),
            (f"ground_force_{number}_p", point),
            (f"ground_moment_{number}_m", moment),
        ):
            columns |= {f"{stem}{axis}": values[:, place] for place, axis in enumerate("xyz")}
    names = tuple(columns)
    table = np.stack(list(columns.values()), axis=1)
    lines = ["forces", "version=1", f"nRows={len(time_s)}", f"nColumns={len(names) + 1}", "inDegrees=yes", "endheader"]
    lines.append("\t".join(("time", *names)))
    lines += ["\t".join(f"{value:.9g}" for value in (moment_s, *row)) for moment_s, row in zip(time_s, table, strict=True)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return columns


def test_external_forces_become_force_plates(tmp_path: Path) -> None:
    columns = forces(tmp_path / "grf.mot")
    markers = Markers(
        time_s=np.arange(40) / 100 + 1, names=("a",), positions_m=np.random.default_rng(0).normal(size=(40, 1, 3))
    )
    write_trc(tmp_path / "m.trc", markers)
    convert(tmp_path / "m.trc", tmp_path / "m.c3d", ConvertOptions(loads=tmp_path / "grf.mot"))
    loads = read_c3d_plates(tmp_path / "m.c3d")
    assert len(loads.forces) == 2
    for number, force in enumerate(loads.forces, start=1):
        on = columns[f"ground_force_{number}_vy"] > 20
        for kind, values, tolerance in (
            ("force_{}_v", force.force_n, 0.05),
            ("force_{}_p", force.point_m, 1e-3),
            ("moment_{}_m", force.torque_nm, 0.05),
        ):
            wanted = np.stack([columns[f"ground_{kind.format(number)}{axis}"] for axis in "xyz"], axis=1)
            np.testing.assert_allclose(values[on], wanted[on], atol=tolerance)
    convert(tmp_path / "m.c3d", tmp_path / "n.c3d", ConvertOptions(up="y"))
    for first, second in zip(loads.forces, read_c3d_plates(tmp_path / "n.c3d").forces, strict=True):
        np.testing.assert_allclose(first.force_n, second.force_n, atol=1e-3)
        np.testing.assert_allclose(first.point_m, second.point_m, atol=1e-5)


# ------------------------------------------------------------------ Theia


SEGMENTS = {
    "pelvis": "pelvis",
    "torso": "thorax",
    "head": "head",
    **{f"{s}_thigh": f"femur_{s}" for s in "rl"},
    **{f"{s}_shank": f"tibia_{s}" for s in "rl"},
    **{f"{s}_foot": f"talus_{s}" for s in "rl"},
    **{f"{s}_toes": f"toes_{s}" for s in "rl"},
    **{f"{s}_uarm": f"humerus_{s}" for s in "rl"},
    **{f"{s}_larm": f"ulna_{s}" for s in "rl"},
    **{f"{s}_hand": f"hand_{s}" for s in "rl"},
}


def theia(path: Path, motion: SkelMotion, body: Body, *, up: str = "+Z") -> Path:
    """Segment poses of a motion in the world, in millimetres with z up, each in axes of its own."""
    from scipy.spatial.transform import Rotation

    pose = body.tree(motion.betas).forward(motion.q)
    z_up = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    own = Rotation.from_euler("xyz", [10, -30, 70], degrees=True).as_matrix()
    matrices = np.tile(np.eye(4), (len(motion.time_s), len(SEGMENTS) + 1, 1, 1))
    for column, bone in enumerate(SEGMENTS.values(), start=1):
        joint = JOINT_NAMES.index(bone)
        matrices[:, column, :3, :3] = z_up @ pose.rotations[:, joint].numpy() @ own
        matrices[:, column, :3, 3] = pose.positions_m[:, joint].numpy() @ z_up.T * 1000
    labels = ["worldbody_4X4", *(f"{name}_4X4" for name in SEGMENTS)]
    point = {"Y_SCREEN": up, "X_SCREEN": "+X"}
    nothing = np.zeros((len(motion.time_s), 0, 3))
    path.write_bytes(c3d_bytes(nothing, [], rate_hz=30, point=point, rotations=matrices, rotation_labels=labels))
    return path


def error_deg(found: SkelMotion, truth: SkelMotion, *names: str) -> float:
    columns = [n for n, name in enumerate(DOF_NAMES) if name.startswith(names)]
    miss = found.poses_rad[:, columns] - truth.poses_rad[:, columns]
    return float(np.degrees(np.sqrt(np.mean(miss**2, axis=0))).max())


@pytest.mark.slow
@pytest.mark.parametrize("up", ["+Z", "-Z"])
def test_segment_poses_of_theia_come_back(tmp_path: Path, clip, open_body: Body, up: str) -> None:
    truth = rotate_motion(clip.truth, open_body, SKEL_TO_WORLD, frame="world")
    poses = np.array(truth.poses_rad)
    poses[:, DOF_NAMES.index("hip_rotation_r")] = 0.3 * np.sin(np.arange(60) / 9)  # joint centres of a straight leg hide it
    truth = SkelMotion(**{**vars(truth), "poses_rad": poses})
    content = read(theia(tmp_path / "t.c3d", truth, open_body, up=up), "joints")
    (centres,) = content.joints
    assert ("doubted" in content.notes[0]) == (up == "-Z")
    assert "worldbody" in content.lost[0]
    np.testing.assert_allclose(centres.markers.time_s, np.arange(60) / 30)
    found = fit_joint_centres(centres, open_body)
    assert found.frame == "world"
    wanted = ("pelvis_", "hip_", "knee", "ankle", "lumbar", "thorax", "shoulder", "elbow")
    assert error_deg(found, truth, *wanted) < 3
    alone = fit_joint_centres(centres.markers, open_body)
    assert error_deg(found, truth, "hip_rotation_r") < 0.5 * error_deg(alone, truth, "hip_rotation_r")


def test_poses_without_arms_or_with_few_bytes_are_an_error(tmp_path: Path, still: SkelMotion, open_body: Body) -> None:
    motion = SkelMotion(**{**vars(still), "body": open_body.name})
    whole = theia(tmp_path / "t.c3d", motion, open_body).read_bytes()
    (tmp_path / "cut.c3d").write_bytes(whole[: len(whole) - 4000])
    with pytest.raises(FormatError, match=r"ROTATION.*truncated"):
        read(tmp_path / "cut.c3d", "joints")
    few = np.tile(np.eye(4), (5, 1, 1, 1))
    (tmp_path / "few.c3d").write_bytes(c3d_bytes(np.zeros((5, 0, 3)), [], rotations=few, rotation_labels=["pelvis_4X4"]))
    with pytest.raises(HsmrBioError, match="hip_r, hip_l"):
        read(tmp_path / "few.c3d", "joints")

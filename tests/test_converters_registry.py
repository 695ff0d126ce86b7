"""From any format to any other: recognised by content, losses told, errors clear; through the command line as well."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from c3d_bytes import c3d_bytes

from hsmr_bio.body import load_body
from hsmr_bio.cli import main
from hsmr_bio.converters.bvh import read_bvh
from hsmr_bio.converters.c3d import read_c3d
from hsmr_bio.converters.content import ConvertOptions
from hsmr_bio.converters.formats import FORMATS, FileFormat
from hsmr_bio.converters.glb_file import read_glb
from hsmr_bio.converters.registry import convert, describe, detect, read, target_format
from hsmr_bio.errors import FormatError, HsmrBioError, InputError
from hsmr_bio.io.mot import read_mot, write_mot
from hsmr_bio.io.npz import load_motion, save_motion
from hsmr_bio.io.trc import read_trc, write_trc
from hsmr_bio.osim.library import bsm
from hsmr_bio.types import Markers, OsimMotion, SkelMotion

SHARED = Path(__file__).resolve().parents[1].parent / "shared"
B3D = SHARED / "data" / "formats" / "opencap_walk.b3d"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A SKEL motion, coordinates with their model, and markers of the same name as the model."""
    rng = np.random.default_rng(0)
    time_s = 2.0 + np.arange(12) / 60
    poses = 0.2 * rng.normal(size=(1, 46)) * np.sin(time_s[:, None] * 3 + np.arange(46))
    body = load_body()
    skel = SkelMotion(
        time_s=time_s,
        poses_rad=poses,
        trans_m=np.tile([0.0, 1.0, 0.0], (12, 1)),
        betas=np.zeros(10),
        body=body.name,
        frame="world",
    )
    save_motion(tmp_path / "skel.npz", skel)
    document = bsm()
    values = np.repeat(document.default_si[None], 12, axis=0)
    values[:, list(document.coordinates).index("knee_angle_r")] = 0.3 + 0.2 * np.sin(5 * time_s)
    coordinates = tuple(document.coordinates)
    motion = OsimMotion(time_s=time_s, coordinates=coordinates, values_si=values, rotational=document.rotational)
    write_mot(tmp_path / "walk.mot", motion)
    document.write(tmp_path / "walk.osim")
    return tmp_path


def test_a_chain_through_all_formats_keeps_the_markers(folder: Path) -> None:
    first = convert(folder / "walk.mot", folder / "walk.trc")
    assert first.source == "MOT" and first.target == "TRC" and "joint angles" in first.lost[0]
    markers = read_trc(folder / "walk.trc")
    assert markers.names == tuple(bsm().markers)
    there = convert(folder / "walk.trc", folder / "copy.c3d")
    assert there.lost == ("digits beyond float32 (about 0.1 micrometre)",)
    back = convert(folder / "copy.c3d", folder / "back.trc")
    assert back.lost == () and any("+y" in note for note in back.notes)
    np.testing.assert_allclose(read_trc(folder / "back.trc").positions_m, markers.positions_m, atol=2e-6)


def test_coordinates_become_bones(folder: Path) -> None:
    done = convert(folder / "walk.mot", folder / "walk.glb")
    assert "muscles" in done.lost[0] and "2 s" in done.lost[-1]
    convert(folder / "walk.mot", folder / "walk.bvh")
    exact, fixed = read_glb(folder / "walk.glb").animation, read_bvh(folder / "walk.bvh").animation
    order = [fixed.names.index(name) for name in exact.names]
    assert np.linalg.norm(exact.world()[0] - fixed.world()[0][:, order], axis=-1).max() < 0.02
    pytest.importorskip("pxr", reason="needs the extra usd")
    assert convert(folder / "walk.mot", folder / "walk.usdc").target == "USD"
    assert (folder / "walk.usdc").read_bytes()[:8] == b"PXR-USDC"
    convert(folder / "walk.bvh", folder / "joints.trc")
    joints = read_trc(folder / "joints.trc")
    np.testing.assert_allclose(joints.positions_m, fixed.world()[0], atol=1e-5)


def test_a_coordinate_that_the_motion_lacks_follows_its_coupling(folder: Path) -> None:
    """A kneecap, say: the model couples the right subtalar angle to the right knee. Markers in ground stay out."""
    coupler = (
        "<ConstraintSet><objects><CoordinateCouplerConstraint name='c'><coupled_coordinates_function><LinearFunction>"
        "<coefficients>0.5 0.1</coefficients></LinearFunction></coupled_coordinates_function>"
        "<independent_coordinate_names>knee_angle_r</independent_coordinate_names>"
        "<dependent_coordinate_name>subtalar_angle_r</dependent_coordinate_name>"
        "</CoordinateCouplerConstraint></objects></ConstraintSet></Model>"
    )
    text = (folder / "walk.osim").read_text().replace("</Model>", coupler)
    first = text.index("<socket_parent_frame>", text.index("<MarkerSet"))
    end = text.index("</socket_parent_frame>", first)
    (folder / "walk.osim").write_text(f"{text[:first]}<socket_parent_frame>/ground{text[end:]}")
    full = read_mot(folder / "walk.mot", bsm())
    kept = [n for n, name in enumerate(full.coordinates) if name != "subtalar_angle_r"]
    lacking = {"values_si": full.values_si[:, kept], "rotational": full.rotational[kept]}
    motion = OsimMotion(time_s=full.time_s, coordinates=tuple(full.coordinates[n] for n in kept), **lacking)
    write_mot(folder / "walk.mot", motion)
    convert(folder / "walk.mot", folder / "walk.glb")
    turned = read_glb(folder / "walk.glb").animation
    values = full.values_si.copy()
    values[:, full.coordinates.index("subtalar_angle_r")] = 0.5 * full.column("knee_angle_r") + 0.1
    pose = bsm().tree().forward(values)
    foot = turned.names.index("toes_r")
    expected = pose.positions_m[:, bsm().tree().bodies.index("toes_r")].numpy()
    np.testing.assert_allclose(turned.world()[0][:, foot], expected, atol=1e-6)
    convert(folder / "walk.mot", folder / "walk.trc")
    assert read_trc(folder / "walk.trc").names == tuple(bsm().markers)[1:]


def test_a_skel_motion_becomes_a_body(folder: Path) -> None:
    done = convert(folder / "skel.npz", folder / "skel.glb", ConvertOptions(parts=("skin", "bones")))
    assert "surface differs" in done.lost[0]
    read = read_glb(folder / "skel.glb")
    assert read.meshes == 2
    body, motion = load_body(), load_motion(folder / "skel.npz")
    expected = body.forward(motion.poses_rad.copy(), motion.betas.copy(), motion.trans_m.copy()).joints_m.numpy()
    np.testing.assert_allclose(read.animation.world()[0], expected, atol=1e-6)
    assert convert(folder / "skel.npz", folder / "again.npz").lost == ()
    np.testing.assert_array_equal(load_motion(folder / "again.npz").poses_rad, motion.poses_rad)
    with pytest.raises(InputError, match="licensed SKEL"):
        convert(folder / "skel.npz", folder / "skel.pkl")  # SKEL's own programs know no open body


def test_the_content_decides_not_the_ending(folder: Path) -> None:
    convert(folder / "walk.mot", folder / "walk.bvh")
    (folder / "walk.bvh").rename(folder / "liar.trc")
    assert detect(folder / "liar.trc").name == "BVH"
    done = convert(folder / "liar.trc", folder / "truth.glb")
    assert done.source == "BVH" and any("whatever its ending says" in note for note in done.notes)


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("walk.trc", "x.glb", "hsmr-bio ik"),
        ("walk.trc", "x.mot", "hsmr-bio ik"),
        ("skel.npz", "x.mot", "hsmr-bio skel2mot"),
        ("walk.mot", "x.npz", "mot2skel"),
        ("walk.mot", "x.osim", "carries no model"),
        ("walk.mot", "x.fbx", "'.fbx' are not written"),
        ("walk.mot", "x.b3d", "made by AddBiomechanics alone"),
        ("walk.mot", "subject", "--mass-kg"),
        ("nobody.mot", "x.trc", "no such file"),
        ("noise.bin", "x.trc", "no known format"),
        ("walk.mot", "walk.trc", "exists already"),
        ("alone.mot", "x.trc", "--model"),
    ],
)
def test_what_cannot_be_converted_is_said(folder: Path, source: str, target: str, message: str) -> None:
    convert(folder / "walk.mot", folder / "walk.trc")
    (folder / "noise.bin").write_bytes(bytes(range(256)))
    (folder / "alone.mot").write_bytes((folder / "walk.mot").read_bytes())
    before = sorted(folder.iterdir())
    with pytest.raises(HsmrBioError, match=message):
        convert(folder / source, folder / target)
    assert sorted(folder.iterdir()) == before


EXAMPLES = {
    "OSIM": "walk.osim",
    "TRC": "walk.trc",
    "C3D": "walk.c3d",
    "Theia": "theia.c3d",
    "SAM 3D Body": "person.npz",
    "Human3.6M": "x3d.npy",
    "FreeMoCap": "walk_body_3d_xyz.csv",
    "OpenCap": "session",
    "Table": "walk.csv",
    "BVH": "walk.bvh",
    "GLB": "walk.glb",
    "MOT": "walk.mot",
    "Marker table": "markers.csv",
    "SKEL motion": "skel.npz",
    "SMPL motion": "amass.pt",
    "USD": "walk.usda",
    "OpenPose": "seen_000.json",
    "MMPose": "seen.json",
    "AlphaPose": "seen.json",
    "DeepLabCut": "seen.csv",
}
"""A file of each format; of AddBiomechanics there is none that may be shared."""
TIMES = ("frames", "from_s", "to_s", "rate_hz", "even")
FACTS = {
    "OSIM": ("kind", "name", "mass_kg", "bodies", "markers", "coordinates"),
    "TRC": ("kind", *TIMES, "notes", "markers"),
    "BVH": ("kind", *TIMES, "notes", "bones"),
    "GLB": ("kind", *TIMES, "notes", "bones"),
    "MOT": ("kind", "title", "units", *TIMES, "columns"),
    "SKEL motion": ("kind", *TIMES, "body", "frame", "source", "betas", "ground", "notes"),
    "SMPL motion": ("kind", "axes", "people"),
}
"""What `info` says of a file of each format."""


CLOCKS = {row.name for row in FORMATS if "detections" not in row.holds} - {"SAM 3D Body", "Human3.6M", "FreeMoCap"}
"""Formats whose files say their times."""
STANDING = {"hip": (0.09, 0.9), "knee": (0.09, 0.5), "ankle": (0.09, 0.1), "shoulder": (0.18, 1.4), "elbow": (0.2, 1.1)}
"""Joint -> distance from the middle and height."""


def make_foreign(path: Path, name: str, folder: Path) -> None:
    """Make a file of 12 frames that we do not write."""
    sides = (("left", 1), ("right", -1))
    places = {f"{side}_{joint}": [x * sign, y, 0.0] for joint, (x, y) in STANDING.items() for side, sign in sides}
    if name == "Theia":
        path.write_bytes(theia_bytes())
    elif name == "SMPL motion":
        torch.save({"poses": torch.zeros(12, 72), "trans": torch.zeros(12, 3), "betas": torch.zeros(10), "fps": 60.0}, path)
    elif name == "SAM 3D Body":
        points = np.zeros((12, 70, 3))
        for index, joint in ((9, "left_hip"), (10, "right_hip"), (5, "left_shoulder"), (6, "right_shoulder")):
            points[:, index] = places[joint]
        np.savez(path, pred_keypoints_3d=points, pred_cam_t=np.zeros((12, 3)))
    elif name == "Human3.6M":
        points = np.ones((12, 17, 3))
        for index, joint in ((4, "left_hip"), (1, "right_hip"), (11, "left_shoulder"), (14, "right_shoulder")):
            points[:, index] = places[joint]
        np.save(path, points)
    elif name == "FreeMoCap":
        row = ",".join(str(value) for place in places.values() for value in place)
        path.write_text("\n".join([",".join(f"{joint}_{axis}" for joint in places for axis in "xyz"), *[row] * 12]) + "\n")
    elif name == "OpenCap":
        convert(folder / "walk.mot", folder / "walk.trc")
        session = {"OpenSimData/Kinematics": "walk.mot", "MarkerData": "walk.trc", "OpenSimData/Model": "walk.osim"}
        for place, file in session.items():
            (path / place).mkdir(parents=True)
            shutil.copy(folder / file, path / place / file.replace(".osim", "_scaled.osim"))
        (path / "sessionMetadata.yaml").write_text("mass_kg: 70.5\nheight_m: 1.75\n")


def theia_bytes() -> bytes:
    """Segment poses of 12 frames without points."""
    matrices = np.tile(np.eye(4), (12, 4, 1, 1))
    matrices[:, :, :3, 3] = [[0, 90, 900], [0, -90, 900], [0, 180, 1400], [0, -180, 1400]]
    labels = ["l_thigh_4X4", "r_thigh_4X4", "l_uarm_4X4", "r_uarm_4X4"]
    return c3d_bytes(np.zeros((12, 0, 3)), [], rate_hz=60, rotations=matrices, rotation_labels=labels)


def keypoint_text(name: str) -> str | None:
    """Twelve frames of somebody with COCO's points, as a detector stores them; one frame of OpenPose."""
    point = [100.0, 200.0, 0.9]
    if name == "OpenPose":
        return json.dumps({"people": [{"pose_keypoints_2d": point * 17}]})
    if name == "MMPose":
        one = {"keypoints": [point[:2]] * 17, "keypoint_scores": [0.9] * 17}
        return json.dumps({"instance_info": [{"frame_id": n, "instances": [one]} for n in range(12)]})
    if name == "AlphaPose":
        return json.dumps([{"image_id": f"{n}.jpg", "keypoints": point * 17} for n in range(12)])
    if name != "DeepLabCut":
        return None
    parts = [part for part in ("LHip", "RHip", "LShoulder", "RShoulder") for _ in point]
    heads = [["scorer", *["net"] * 12], ["bodyparts", *parts], ["coords", *["x", "y", "likelihood"] * 4]]
    return "\n".join(",".join(map(str, line)) for line in (*heads, *([n, *point * 4] for n in range(12))))


def make_example(row: FileFormat, folder: Path) -> Path:
    """A file of 12 frames of a format that we do not write, or the path for one that we do."""
    path = folder / EXAMPLES[row.name]
    make_foreign(path, row.name, folder)
    if row.name == "Marker table":
        convert(folder / "walk.mot", folder / "markers.trc")
        convert(folder / "markers.trc", path)
    if (text := keypoint_text(row.name)) is not None:
        path.write_text(text)
    return path


def check_facts(facts: dict[str, Any], row: FileFormat) -> None:
    assert facts["kind"] and tuple(facts) == FACTS.get(row.name, tuple(facts))
    if row.name not in ("OSIM", "SMPL motion", "OpenCap", "OpenPose"):
        assert facts["frames"] == 12
    if row.name not in ("OSIM", "SMPL motion", "OpenCap") and "detections" not in row.holds:
        assert facts["rate_hz"] == pytest.approx(60, abs=0.01)


@pytest.mark.parametrize("row", FORMATS, ids=lambda row: row.name)
def test_every_row_reads_writes_and_describes(folder: Path, row: FileFormat) -> None:
    """Each function of a row loads, and what it does agrees with what the row says."""
    if row.name == "AddBiomechanics":
        with pytest.raises(FormatError, match="b3d"):
            row.load(folder / "none.b3d", ConvertOptions())
        (folder / "none.b3d").write_bytes(b"")
        assert detect(folder / "none.b3d") is row
        with pytest.raises(FormatError, match="b3d"):
            describe(folder / "none.b3d")
        return
    if row.extra is not None:
        pytest.importorskip({"deeplabcut": "h5py", "usd": "pxr"}[row.extra], reason=f"needs the extra {row.extra}")
    path = make_example(row, folder)
    if not path.exists():
        done = convert(folder / "walk.mot", path)
        assert done.target == row.name and set(row.lost) <= set(done.lost)
    assert (row.write is not None) == any(target_for(ending) is row for ending in row.endings)
    if row.read is None:
        with pytest.raises(InputError, match="not read"):
            row.load(path, ConvertOptions())
    else:
        assert detect(path, *row.holds) is row
        content = read(path, *row.holds, options=ConvertOptions(axes="y_up", rate_hz=None if row.name in CLOCKS else 60))
        assert set(row.holds) - {"model"} == set(content.kinds)
    if row.read is not None and row.describe is None and row.name not in CLOCKS and "detections" not in row.holds:
        with pytest.raises(InputError, match="--rate-hz"):
            describe(path)
    elif row.read is None and row.describe is None:
        with pytest.raises(InputError, match="unknown ending"):
            describe(path)
    else:
        check_facts(json.loads(json.dumps(describe(path), allow_nan=False)), row)


def target_for(ending: str) -> FileFormat | None:
    try:
        return target_format(f"x{ending}")
    except InputError:
        return None


def test_the_extras_of_the_rows_are_those_of_the_project() -> None:
    stated = (Path(__file__).resolve().parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    assert [row.extra for row in FORMATS if row.extra and f"\n{row.extra} = [" not in stated] == []


def test_info_describes_smpl_where_the_ending_is_shared(folder: Path) -> None:
    poses = np.zeros((5, 156))
    np.savez(folder / "amass.npz", poses=poses, betas=np.zeros(16), trans=np.zeros((5, 3)), gender="male")
    facts = describe(folder / "amass.npz")
    assert facts == {"kind": "SMPL motion", "rate or axes": "not stated", "people": {"0": {"frames": 5, "sex": "male"}}}
    np.savez(folder / "other.npz", colours=np.zeros(3))
    with pytest.raises(FormatError, match="not an HSMR result"):
        describe(folder / "other.npz")


def test_a_table_of_opensim_is_recognised_by_its_header(folder: Path) -> None:
    (folder / "walk.mot").rename(folder / "walk.txt")
    content = read(folder / "walk.txt", "coordinates")
    assert content.coordinates is not None and content.model is not None
    assert detect(folder / "walk.txt", "coordinates", "skel").name == "MOT"
    with pytest.raises(InputError, match="holds MOT; markers can be read from"):
        detect(folder / "walk.txt", "markers")


def test_smpl_is_recognised_and_sent_to_its_own_command(folder: Path) -> None:
    rng = np.random.default_rng(0)
    amass = {"poses": 0.1 * rng.normal(size=(5, 156)), "betas": np.zeros(16), "trans": np.tile([0, 0, 0.9], (5, 1))}
    np.savez(folder / "amass.npz", **amass, mocap_framerate=120.0, gender="male")
    torch.save({key: torch.tensor(value) for key, value in amass.items()}, folder / "amass.pt")
    for name in ("amass.npz", "amass.pt"):
        with pytest.raises(InputError, match="smpl2mot"):
            convert(folder / name, folder / "x.glb")


def test_code_in_a_file_is_never_run(folder: Path) -> None:
    """A pickle, and an object array in an .npz, that would make a file."""
    import pickle

    class Bomb:
        def __reduce__(self) -> tuple[Any, Any]:
            return Path.touch, (folder / "exploded",)

    (folder / "bomb.pkl").write_bytes(pickle.dumps({"poses": Bomb(), "betas": Bomb(), "trans": Bomb()}))
    np.savez(folder / "bomb.npz", poses=np.array([Bomb()], dtype=object))
    for name in ("bomb.pkl", "bomb.npz"):
        with pytest.raises(InputError):
            convert(folder / name, folder / "x.glb", ConvertOptions(rate_hz=30.0))
    assert not (folder / "exploded").exists()


@pytest.mark.assets
def test_a_subject_of_addbiomechanics_falls_into_its_parts(tmp_path: Path) -> None:
    if not B3D.is_file():
        pytest.skip("the development data are not here")
    options = ConvertOptions(trial="walking1_segment_0")
    with pytest.raises(InputError, match="--trial"):
        convert(B3D, tmp_path / "walk.trc")
    for ending in ("trc", "mot", "osim", "c3d"):
        done = convert(B3D, tmp_path / f"walk.{ending}", options)
        assert "ground reaction forces" in done.lost
    assert read_mot(tmp_path / "walk.mot").values_si.shape == (131, 33)
    trc, c3d = read_trc(tmp_path / "walk.trc"), read_c3d(tmp_path / "walk.c3d").markers
    np.testing.assert_allclose(trc.positions_m, c3d.positions_m, atol=2e-6)
    convert(tmp_path / "walk.mot", tmp_path / "walk.glb")
    assert len(read_glb(tmp_path / "walk.glb").animation.names) == 22
    convert(B3D, tmp_path / "subject", options)
    about = json.loads((tmp_path / "subject" / "_subject.json").read_text())
    assert (about["massKg"], about["heightM"], about["sex"]) == (68.0, 1.7, "male")


def test_the_command_tells_losses_on_stderr_and_the_file_on_stdout(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(folder / "walk.mot"), str(folder / "walk.bvh")]) == 0
    out, err = capsys.readouterr()
    assert out == f"{folder / 'walk.bvh'}\n"
    assert "lost:" in err and "muscles" in err
    assert main(["convert", str(folder / "walk.mot"), str(folder / "walk.glb"), "--json", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["target"] == "GLB" and err == ""
    assert main(["convert", str(folder / "walk.mot"), str(folder / "walk.glb")]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert target_format(folder / "new_subject").name == "AddBiomechanics"


def test_ik_brings_back_the_motion_that_made_the_markers(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    convert(folder / "walk.mot", folder / "walk.trc")
    out = folder / "found.mot"
    words = ["ik", str(folder / "walk.trc"), "-o", str(out), "--json", "--weight", "RASI=2", "--lock", "subtalar_angle_l"]
    if "RASI" not in bsm().markers:
        words[words.index("RASI=2")] = f"{next(iter(bsm().markers))}=2"
    assert main(words) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["own"]["rms_mm"] < 0.1 and figures["frames"] == 12
    found, truth = read_mot(out, bsm()), read_mot(folder / "walk.mot", bsm())
    np.testing.assert_allclose(found.column("knee_angle_r"), truth.column("knee_angle_r"), atol=2e-3)
    assert main(["ik", str(folder / "walk.trc"), "-o", str(out)]) == 1
    assert main(["ik", str(folder / "walk.trc"), "-o", str(folder / "y.mot"), "--weight", "heavy"]) == 1
    assert "MARKER=NUMBER" in capsys.readouterr().err
    assert main(["ik", str(folder / "walk.mot"), "-o", str(folder / "y.mot")]) == 1
    assert "holds MOT" in capsys.readouterr().err


def test_ik_reads_c3d_and_asks_for_a_model(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    convert(folder / "walk.mot", folder / "other.c3d", ConvertOptions(model=folder / "walk.osim"))
    assert main(["ik", str(folder / "other.c3d")]) == 1
    assert "--model" in capsys.readouterr().err
    assert main(["ik", str(folder / "other.c3d"), "--model", str(folder / "walk.osim")]) == 0
    out, err = capsys.readouterr()
    assert out == f"{folder / 'other.mot'}\n" and "marker RMS 0.0" in err
    np.testing.assert_allclose(read_mot(folder / "other.mot").time_s, 2.0 + np.arange(12) / 60, atol=1e-6)


def test_an_unreadable_marker_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    markers = Markers(time_s=np.array([0.0, 0.1]), names=("a", "b", "c"), positions_m=np.zeros((2, 3, 3)))
    write_trc(tmp_path / "m.trc", markers)
    text = (tmp_path / "m.trc").read_text().replace("\tm\t", "\tfeet\t", 1)
    (tmp_path / "m.trc").write_text(text)
    bsm().write(tmp_path / "m.osim")
    assert main(["ik", str(tmp_path / "m.trc")]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "feet" in err
    with pytest.raises(FormatError):
        convert(tmp_path / "m.trc", tmp_path / "m.c3d")


@pytest.mark.opensim
def test_ik_compares_the_backends(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    convert(folder / "walk.mot", folder / "walk.trc")
    words = ["ik", str(folder / "walk.trc"), "-o", str(folder / "y.mot"), "--compare", "--json"]
    assert main(words) == 0
    out, err = capsys.readouterr()
    figures = json.loads(out)
    assert figures["difference"]["rms_deg"] < 1 and abs(figures["own"]["rms_mm"] - figures["opensim"]["rms_mm"]) < 0.5
    assert "largest difference of the backends" in err

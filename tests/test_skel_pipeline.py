"""skel2mot: stored SKEL motion of every kind becomes files that OpenSim opens."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from hsmr_bio.body import Body
from hsmr_bio.checks.measures import lowest_foot_m
from hsmr_bio.cli import main
from hsmr_bio.io.mot import read_mot
from hsmr_bio.io.npz import load_motion, save_motion
from hsmr_bio.io.trc import read_trc
from hsmr_bio.mapping import to_coordinates
from hsmr_bio.osim.document import OsimDocument
from hsmr_bio.osim.library import as_document
from hsmr_bio.osim.placed import place_model
from hsmr_bio.pipeline.options import ResultOptions, Skel2MotOptions
from hsmr_bio.pipeline.results import make_results
from hsmr_bio.pipeline.skel2mot import with_body
from hsmr_bio.skeleton import DOF_NAMES
from hsmr_bio.types import SkelMotion

FILES = (".osim", ".mot", ".trc", "_skel.npz", "_report.html", "_report.json", "_scale_set.xml")


def squat_poses(frames: int) -> np.ndarray:
    """(T, 46) a shallow squat, arms down."""
    bend = 0.6 * (1 - np.cos(2 * np.pi * np.arange(frames) / 60)) / 2
    poses = np.zeros((frames, 46))
    for side, sign in (("r", 1), ("l", -1)):
        for name, values in ((f"hip_flexion_{side}", bend), (f"knee_angle_{side}", 2 * bend), (f"ankle_angle_{side}", bend)):
            poses[:, DOF_NAMES.index(name)] = values
        poses[:, DOF_NAMES.index(f"shoulder_{side}_x")] = sign * 1.2
    return poses


@pytest.fixture
def squat(open_body: Body, tmp_path: Path) -> Path:
    """An alignment file of SKEL: y up, with the male body's name."""
    frames = 90
    content = {
        "poses": squat_poses(frames),
        "betas": np.zeros((1, 10)),
        "trans": np.tile([0.3, 0.2, 0.1], (frames, 1)),
        "gender": "male",
    }
    path = tmp_path / "squat.pkl"
    path.write_bytes(pickle.dumps(content))
    return path


@pytest.mark.slow
def test_an_alignment_becomes_all_files_on_the_floor(squat: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    words = ["skel2mot", str(squat), "-o", str(out), "--rate-hz", "60", "--body", "open", "--sex", "male", "--mass-kg", "80"]
    assert main(words) in (0, 3)
    said = capsys.readouterr()
    assert "average shape" in said.err
    assert {f"squat{ending}" for ending in FILES} <= {Path(line).name for line in said.out.splitlines()}
    assert len(list((out / "Geometry").glob("*.vtp"))) == 24
    model = OsimDocument.read(out / "squat.osim")
    motion = read_mot(out / "squat.mot", model)
    assert model.mass_kg == pytest.approx(80, abs=1e-3)
    assert motion.coordinates == tuple(model.coordinates)
    assert np.rad2deg(motion.column("knee_angle_r")).max() == pytest.approx(np.rad2deg(1.2), abs=3)
    markers = read_trc(out / "squat.trc")
    np.testing.assert_array_equal(markers.time_s, motion.time_s)
    lowest = lowest_foot_m(place_model(motion, model))
    assert lowest is not None
    assert lowest[0] == pytest.approx(0, abs=1e-6)
    assert json.loads((out / "squat_report.json").read_text())["name"] == "squat"
    assert main(words) == 1
    assert "exists already" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.opensim
def test_opensim_plays_the_motion_and_finds_our_markers(squat: Path, tmp_path: Path) -> None:
    osim = pytest.importorskip("opensim")
    out = tmp_path / "out"
    assert main(["skel2mot", str(squat), "-o", str(out), "--rate-hz", "60", "--body", "open", "--quiet"]) in (0, 3)
    osim.ModelVisualizer.addDirToGeometrySearchPaths(str(out / "Geometry"))
    model = osim.Model(str(out / "squat.osim"))
    state = model.initSystem()
    table = osim.TimeSeriesTable(str(out / "squat.mot"))
    markers = read_trc(out / "squat.trc")
    frame = 30
    row = table.getRowAtIndex(frame).to_numpy()
    for name, value in zip(table.getColumnLabels(), row, strict=True):
        coordinate = model.getCoordinateSet().get(name)
        turning = coordinate.getMotionType() == osim.Coordinate.Rotational
        coordinate.setValue(state, np.deg2rad(value) if turning else value, False)
    model.realizePosition(state)
    for name in ("RTOE", "LANK", "C7"):
        theirs = model.getMarkerSet().get(name).getLocationInGround(state).to_numpy()
        np.testing.assert_allclose(theirs, markers.positions_m[frame, markers.names.index(name)], atol=1e-5)


@pytest.mark.slow
def test_our_own_motion_passes_unchanged(squat: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert main(["skel2mot", str(squat), "-o", str(first), "--rate-hz", "60", "--body", "open", "--quiet"]) in (0, 3)
    assert main(["skel2mot", str(first / "squat_skel.npz"), "-o", str(second), "--quiet"]) in (0, 3)
    assert (first / "squat.mot").read_bytes() == (second / "squat.mot").read_bytes()
    assert (first / "squat.osim").read_bytes() == (second / "squat.osim").read_bytes()


@pytest.mark.parametrize("options", [ResultOptions(), ResultOptions(height_m=2.0), ResultOptions(model="twin")])
def test_the_lowered_motion_and_its_coordinates_belong_together(options: ResultOptions, open_body: Body) -> None:
    time_s = np.arange(20) / 60
    trans = np.tile([0.3, 0.2, 0.1], (20, 1))
    motion = SkelMotion(
        time_s=time_s, poses_rad=squat_poses(20), trans_m=trans, betas=np.zeros(10), body=open_body.name, frame="world"
    )
    result = make_results(motion, open_body, options, lower=True)
    assert abs(result.skel.trans_m[0, 1] - trans[0, 1]) > 0.01
    lowest = lowest_foot_m(place_model(result.motion, as_document(result.subject)))
    assert lowest is not None and lowest[0] == pytest.approx(0, abs=1e-9)
    again = to_coordinates(result.skel, result.subject, open_body)
    np.testing.assert_allclose(again.values_si, result.motion.values_si, atol=1e-6)
    assert make_results(motion, open_body, options).skel is motion


def hsmr_video(path: Path, open_body: Body) -> Path:
    """Two people; the second one is away for a while; one frame without anyone. Camera 4 m away, upright."""
    frames = []
    upright = np.zeros(46)
    upright[0] = np.pi  # in the camera's frame y points down: half a turn about x
    for i in range(40):
        pose = squat_poses(40)[i] + upright
        people = [] if i == 20 else [(0.0, pose)] if 10 < i < 15 else [(0.0, pose), (1.2, pose)]
        frames.append(
            {
                "poses": np.array([p for _, p in people], np.float32).reshape(-1, 46),
                "betas": np.zeros((len(people), 10), np.float32),
                "full_cam_t": np.array([[x, 0.2, 4.0 * 5000 / 1500] for x, _ in people], np.float32).reshape(-1, 3),
                "patch_cam_t": np.zeros((len(people), 3), np.float32),
                "bbx_cs": np.array([[960 + 400 * x, 540, 600] for x, _ in people], np.float32) if people else None,
            }
        )
    array = np.empty(len(frames), dtype=object)
    array[:] = frames
    np.save(path, array, allow_pickle=True)
    return path


@pytest.mark.slow
def test_hsmr_results_with_two_people_and_gaps(open_body: Body, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = hsmr_video(tmp_path / "HSMR-clip.npy", open_body)
    out = tmp_path / "out"
    words = [
        "skel2mot",
        str(path),
        "-o",
        str(out),
        "--body",
        "open",
        "--focal-px",
        "1500",
        "--image-size",
        "1920",
        "1080",
        "--json",
    ]
    assert main(words) == 1
    assert "--rate-hz" in capsys.readouterr().err
    assert not out.exists()
    assert main([*words, "--rate-hz", "30"]) in (0, 3)
    facts = json.loads(capsys.readouterr().out)
    assert [person["name"] for person in facts["people"]] == ["clip", "clip_p2"]
    for person in facts["people"]:
        written = {Path(path) for path in person["files"]}
        assert {f"{person['name']}{ending}" for ending in (*FILES, "_setup_ik.xml")} == {p.name for p in written}
        assert all(path.parent == out and path.is_file() for path in written)
    model = OsimDocument.read(out / "clip.osim")
    motion = read_mot(out / "clip.mot", model)
    assert abs(np.rad2deg(np.mean(motion.column("pelvis_tilt")))) < 30
    lowest = lowest_foot_m(place_model(motion, model))
    assert lowest is not None
    assert abs(lowest[0]) < 0.05
    assert load_motion(out / "clip_p2_skel.npz").frame == "world"


def test_one_image_is_enough(open_body: Body, tmp_path: Path) -> None:
    pose = np.zeros((1, 46), np.float32)
    pose[0, 0] = np.pi
    frame = {
        "poses": pose,
        "betas": np.zeros((1, 10), np.float32),
        "full_cam_t": np.array([[0, 0.2, 40]], np.float32),
        "bbx_cs": np.array([[500, 500, 400]], np.float32),
    }
    np.savez(tmp_path / "HSMR-man.png.npz", **frame)
    out = tmp_path / "out"
    assert main(["skel2mot", str(tmp_path / "HSMR-man.png.npz"), "-o", str(out), "--body", "open", "--quiet"]) in (0, 3)
    assert len(read_mot(out / "man.mot").time_s) == 1


def test_without_the_licensed_body_the_error_says_what_to_do(
    squat: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "none"))
    monkeypatch.delenv("HSMR_BIO_ASSETS", raising=False)
    assert main(["skel2mot", str(squat), "-o", str(tmp_path / "out"), "--rate-hz", "60"]) == 1
    err = capsys.readouterr().err
    assert "skel_male.pkl" in err
    assert "hsmr-bio setup" in err
    assert not (tmp_path / "out").exists()


def test_another_body_drops_the_betas(open_body: Body, still: SkelMotion, tmp_path: Path) -> None:
    skel = SkelMotion(
        time_s=still.time_s,
        poses_rad=still.poses_rad,
        trans_m=still.trans_m,
        betas=np.ones(10),
        body="skel_female@1.1.1",
        frame="skel",
    )
    motion, body = with_body(skel, "open", None)
    assert (body.name.split("@")[0], motion.body) == ("open-female", body.name)
    assert not motion.betas.any()
    assert "skel_female@1.1.1" in motion.notes["body"]
    save_motion(tmp_path / "own.npz", SkelMotion(**{**vars(skel), "body": open_body.name}))
    kept, _ = with_body(load_motion(tmp_path / "own.npz"), None, None)
    assert kept.betas.all()
    assert Skel2MotOptions().body is None

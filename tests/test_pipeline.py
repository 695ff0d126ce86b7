"""image2mot from a saved observation or a clip to the files that OpenSim opens, and what an accident leaves behind."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import hsmr_bio as hb
from hsmr_bio.body import Body
from hsmr_bio.body.placing import SKEL_TO_WORLD, rotate_motion
from hsmr_bio.cli import main
from hsmr_bio.errors import EstimationError, HsmrBioError, InputError
from hsmr_bio.estimators import EstimateOptions
from hsmr_bio.estimators.replay import Replay
from hsmr_bio.fitting.video.joint_centres import JOINT_OF_POINT
from hsmr_bio.fitting.world.options import GroundOptions
from hsmr_bio.io.mot import read_mot
from hsmr_bio.io.npz import load_motion, load_observation, save_observation
from hsmr_bio.io.trc import read_trc, write_trc
from hsmr_bio.osim.document import OsimDocument
from hsmr_bio.pipeline import people, write
from hsmr_bio.pipeline.image2mot import image2mot, motion_of
from hsmr_bio.pipeline.options import Image2MotOptions, ResultOptions, Skel2MotOptions
from hsmr_bio.pipeline.results import Result
from hsmr_bio.pipeline.resume import Memory
from hsmr_bio.pipeline.skel2mot import skel2mot
from hsmr_bio.skeleton import DOF_NAMES, JOINT_NAMES
from hsmr_bio.types import Markers, Observation

REPLAY = Image2MotOptions(estimator="replay", mass_kg=70.0, height_m=1.77)
DEMO = Path(__file__).resolve().parents[1] / "examples" / "demo.mp4"


@pytest.fixture(scope="module")
def saved(clip, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The synthetic clip as ``replay`` reads it."""
    path = tmp_path_factory.mktemp("saved") / "squat_observation.npz"
    save_observation(path, clip.observation)
    return path


@pytest.fixture
def short(clip, tmp_path: Path) -> Path:
    """Its first half second."""
    path = tmp_path / "short.npz"
    save_observation(path, clip.observation.at(slice(0, 15)))
    return path


@pytest.fixture(scope="module")
def made(saved: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    """One run with files."""
    out = tmp_path_factory.mktemp("run") / "deep" / "out"
    result = image2mot(saved, out, replace(REPLAY, save_observation=True))
    assert isinstance(result, Result)
    return result, out


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_all_files_are_there(made: tuple[Result, Path]) -> None:
    result, out = made
    endings = (".osim", ".mot", ".trc", "_skel.npz", "_report.html", "_report.json", "_scale_set.xml", "_observation.npz")
    names = {f"squat{ending}" for ending in endings} | {"squat_setup_ik.xml"}
    assert {path.name for path in out.iterdir()} == names | {"Geometry"}
    assert {path.name for path in result.paths} == names
    assert all(path.parent == out and path.is_file() for path in result.paths)
    assert list(out.parent.iterdir()) == [out], "no temporary folder is left"
    assert result.name == "squat", "the ending of a saved observation is no part of the name"


def test_the_results_are_those_of_the_clip(made: tuple[Result, Path], clip) -> None:
    result, out = made
    model = OsimDocument.read(out / "squat.osim")
    motion = read_mot(out / "squat.mot", model)
    assert motion.coordinates == tuple(model.coordinates)
    np.testing.assert_allclose(motion.values_si, result.motion.values_si, atol=1e-6)
    np.testing.assert_allclose(np.diff(motion.time_s), 1 / 30, rtol=1e-3)
    bend = np.degrees(clip.truth.poses_rad[:, 6])
    assert np.degrees(motion.column("knee_angle_r")).max() == pytest.approx(bend.max(), abs=10)
    assert np.degrees(motion.column("knee_angle_r"))[:8].max() < 25
    assert model.mass_kg == pytest.approx(70, abs=1e-3)
    assert result.subject.stature_m == pytest.approx(1.77)
    assert result.skel.betas @ result.skel.betas > 0.1


def test_the_motion_comes_back_from_its_file(made: tuple[Result, Path], open_body: Body, clip) -> None:
    result, out = made
    motion = load_motion(out / "squat_skel.npz")
    np.testing.assert_array_equal(motion.poses_rad, result.skel.poses_rad)
    np.testing.assert_array_equal(motion.poses_sd_rad, result.skel.poses_sd_rad)
    assert (motion.body, motion.frame) == (open_body.name, "world")
    assert motion.ground.camera_pitch_rad == result.skel.ground.camera_pitch_rad
    np.testing.assert_array_equal(motion.ground.R_camera_world, result.skel.ground.R_camera_world)
    assert motion.camera is not None and motion.camera.focal_px == pytest.approx(1000, rel=0.02)
    again = load_observation(out / "squat_observation.npz")
    np.testing.assert_array_equal(again.keypoints_px, clip.observation.keypoints_px)


def test_the_public_stations_read_what_was_seen(saved: Path, clip) -> None:
    part = EstimateOptions(start_s=0.5, end_s=1.0)
    seen = hb.estimate(saved, part, estimator="replay")
    assert len(seen.time_s) < len(clip.observation.time_s)
    (person,) = hb.estimate_people(saved, part, estimator=Replay())
    np.testing.assert_array_equal(seen.keypoints_px, person.keypoints_px)
    with pytest.raises(InputError, match="no estimator 'nobody'"):
        hb.estimate(saved, estimator="nobody")


def test_the_report_tells_what_was_assumed(made: tuple[Result, Path]) -> None:
    result, out = made
    report = json.loads((out / "squat_report.json").read_text())
    assert report["name"] == "squat"
    assert "70.0 kg" in json.dumps(report) and "1.770 m, given" in json.dumps(report)
    assert {"estimate", "fit and ground"} <= set(result.timings_s)
    assert "camera pitch" in (out / "squat_report.html").read_text()


@pytest.mark.opensim
def test_opensim_loads_the_model_without_warnings(made: tuple[Result, Path], opensim_model) -> None:
    result, out = made
    loaded = opensim_model(out / "squat.osim")
    assert "warning" not in loaded.log.lower() and "error" not in loaded.log.lower(), loaded.log
    assert set(loaded.coordinates) == set(result.motion.coordinates)
    markers = read_trc(out / "squat.trc")
    frame = 33
    loaded.place(dict(zip(result.motion.coordinates, result.motion.values_si[frame], strict=True)))
    for name in markers.names[::9]:
        np.testing.assert_allclose(loaded.marker(name), markers.positions_m[frame, markers.names.index(name)], atol=1e-4)


@pytest.mark.slow
def test_existing_results_are_not_touched(short: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    image2mot(short, out, REPLAY)
    (out / "notes.txt").write_text("mine")
    before = contents(out)
    with pytest.raises(InputError, match=r"exists already.*--overwrite"):
        image2mot(short, out, REPLAY)
    assert contents(out) == before
    image2mot(short, out, replace(REPLAY, overwrite=True, mass_kg=90.0))
    after = contents(out)
    assert after["notes.txt"] == b"mine" and after["short.osim"] != before["short.osim"]
    assert set(after) == set(before)


def test_a_file_in_place_of_the_folder_is_refused(short: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(InputError, match="is a file"):
        image2mot(short, tmp_path / "out", REPLAY)
    assert (tmp_path / "out").read_text() == "a file"


def test_results_that_could_not_be_written_stop_before_the_work(
    short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("the work has begun")

    monkeypatch.setattr("hsmr_bio.estimators.get_estimator", never)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="nothing can be written there"):
        image2mot(short, tmp_path / "file" / "out", REPLAY)
    with pytest.raises(InputError, match="nothing can be written there"):
        image2mot(short, "/proc/out/deeper", REPLAY)
    monkeypatch.setattr("hsmr_bio.io.atomic.shutil.disk_usage", lambda _: SimpleNamespace(free=3e6))
    with pytest.raises(InputError, match=r"only 3\.0 MB are free"):
        image2mot(short, tmp_path / "out", REPLAY)
    assert not (tmp_path / "out").exists()


def test_a_name_that_no_file_can_have_stops_before_the_work(clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("the work has begun")

    monkeypatch.setattr("hsmr_bio.estimators.get_estimator", never)
    source = tmp_path / "walk?.npz"
    save_observation(source, clip.observation.at(slice(0, 15)))
    with pytest.raises(InputError, match=r"--name.*usable in file names.*walk\?"):
        image2mot(source, tmp_path / "out", REPLAY)
    assert not (tmp_path / "out").exists()


def test_many_people_in_one_folder_have_files_of_their_own(made: tuple[Result, Path], open_body: Body, tmp_path: Path) -> None:
    result, _ = made
    assert people.labels_of("clip", 10)[::9] == ["clip", "clip_p10"]
    names = ["clip", "clip_p2", "clip_p10", "clip_p2_p2", "cli"]
    endings: dict[str, set[str]] = {}
    listed: list[Path] = []
    for name in names:
        written = write.write_results(tmp_path, replace(result, name=name), open_body, REPLAY)
        assert list(written.paths) == sorted(written.paths)
        endings[name] = {path.name.removeprefix(name) for path in written.paths}
        listed += written.paths
    assert all(found == endings["clip"] and "_setup_ik.xml" in found for found in endings.values())
    assert len(listed) == len(set(listed)), "no file belongs to two people"
    assert set(listed) == {path for path in tmp_path.iterdir() if path.is_file()}
    setup = (tmp_path / "clip_p10_setup_ik.xml").read_text()
    assert "<model_file>clip_p10.osim<" in setup and "<output_motion_file>clip_p10_ik_opensim.mot<" in setup
    report = json.loads((tmp_path / "clip_p2_report.json").read_text())
    assert all(name.startswith("clip_p2") for name in report["files"])


def test_every_refusal_names_the_source(clip, tmp_path: Path) -> None:
    shift = np.linspace(0, 300, len(clip.observation.time_s))
    save_observation(tmp_path / "pan.npz", replace(clip.observation, camera_shift_px=shift))
    with pytest.raises(EstimationError, match=r"pan\.npz: the camera moves") as refusal:
        image2mot(tmp_path / "pan.npz", tmp_path / "out", REPLAY)
    assert str(refusal.value).count("pan.npz") == 1


def test_a_moving_camera_is_refused_with_advice(clip, open_body: Body, tmp_path: Path) -> None:
    shift = np.linspace(0, 90, 15)
    moving = replace(clip.observation.at(slice(0, 15)), camera_shift_px=shift)
    save_observation(tmp_path / "moving.npz", moving)
    with pytest.raises(EstimationError, match=r"90 px \(8% of its longer side\).*--start.*--moving-camera"):
        image2mot(tmp_path / "moving.npz", tmp_path / "out", REPLAY)
    assert not (tmp_path / "out").exists()
    assert motion_of(moving, open_body, replace(REPLAY, moving_camera=True)).frame == "world"
    trembling = replace(moving, camera_shift_px=np.where(np.arange(15) == 3, np.nan, 0.3 * shift))
    assert motion_of(trembling, open_body, REPLAY).frame == "world"


@pytest.mark.parametrize("stage", ["people.make_results", "write.write_mot", "write.write_report"])
def test_an_accident_leaves_nothing(stage: str, short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def accident(*_: object, **__: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(f"hsmr_bio.pipeline.{stage}", accident)
    before = contents(tmp_path)
    with pytest.raises(OSError, match="disk is full"):
        image2mot(short, tmp_path / "out", REPLAY)
    assert contents(tmp_path) == before
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".part")]


def test_bad_options_stop_before_files(short: Path, tmp_path: Path) -> None:
    for change in (
        {"mass_kg": 0.5},
        {"height_m": 17.0},
        {"cutoff_hz": -2.0},
        {"cutoff_hz": float("nan")},
        {"estimator": "nobody"},
        {"body": "nothing.pkl"},
    ):
        with pytest.raises(HsmrBioError):
            image2mot(short, tmp_path / "out", replace(REPLAY, **change))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"refine": True}, "--refine would have no effect"),
        ({"estimate": {"boxes": Path("b.csv"), "checkpoint": Path("c")}}, "--checkpoint and --boxes would have no effect"),
        ({"estimate": {"person_box": (10, 10, 5, 20)}}, "x0 < x1"),
        ({"estimate": {"person_box": (10, 10, float("nan"), 20)}}, "x0 < x1"),
        ({"ground": {"camera_pitch_rad": 7.0}}, "pitch must be between -90 and 90 degrees, got 401"),
        ({"ground": {"camera_roll_rad": float("nan")}}, "roll must be between -180 and 180"),
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict, problem: str) -> None:
    kinds = {"estimate": EstimateOptions, "ground": GroundOptions}
    with pytest.raises(InputError, match=problem):
        Image2MotOptions(**{name: kinds[name](**v) if name in kinds else v for name, v in options.items()})


def test_a_single_picture_becomes_one_frame(clip, tmp_path: Path) -> None:
    save_observation(tmp_path / "still.npz", clip.observation.at([33]))
    result = image2mot(tmp_path / "still.npz", tmp_path / "out", REPLAY)
    assert isinstance(result, Result)
    assert np.degrees(result.motion.column("knee_angle_r"))[0] > 40
    assert len(read_mot(tmp_path / "out" / "still.mot").time_s) == 1
    assert not (tmp_path / "out" / "still_setup_ik.xml").exists(), "OpenSim's tools need a span of time"


def test_a_slow_clip_goes_through_with_the_defaults(clip, tmp_path: Path) -> None:
    """At 10 Hz the usual 6 Hz filter is impossible, and needless."""
    save_observation(tmp_path / "slow.npz", clip.observation.at(slice(0, 45, 3)))
    result = image2mot(tmp_path / "slow.npz", tmp_path / "out", REPLAY)
    assert isinstance(result, Result)
    assert np.diff(result.motion.time_s)[0] == pytest.approx(0.1)
    assert "none" in write.assumptions(result, REPLAY)["filter"]


@pytest.mark.slow
def test_notes_on_the_video_are_said_and_written(clip, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notes = ("2 of 15 frames were left out, as they are damaged: at 0.10 s of the file", "it was filmed at 240 frames/s")
    save_observation(tmp_path / "short.npz", replace(clip.observation.at(slice(0, 15)), notes=notes))
    words = ["image2mot", str(tmp_path / "short.npz"), "-o", str(tmp_path / "out"), "--estimator", "replay", "--json"]
    assert main(words) in (0, 3)
    printed = capsys.readouterr()
    assert all(f"hsmr-bio: {note}\n" in printed.err for note in notes)
    assert json.loads(printed.out)["notes"] == list(notes)
    report = json.loads((tmp_path / "out" / "short_report.json").read_text())
    assert report["assumptions"]["video"] == "; ".join(notes)


def test_the_twin_model_follows_exactly(short: Path, tmp_path: Path) -> None:
    result = image2mot(short, tmp_path / "out", replace(REPLAY, model="twin"))
    assert isinstance(result, Result)
    assert result.subject.model == "twin"
    model = OsimDocument.read(tmp_path / "out" / "short.osim")
    assert set(read_mot(tmp_path / "out" / "short.mot", model).coordinates) == set(model.coordinates)
    for name in ("knee_angle_r", "hip_flexion_l", "elbow_flexion_r"):
        np.testing.assert_allclose(result.motion.column(name), result.skel.poses_rad[:, DOF_NAMES.index(name)], atol=1e-9)


def test_joint_centres_become_a_motion(clip, open_body: Body, tmp_path: Path) -> None:
    truth = rotate_motion(clip.truth, open_body, SKEL_TO_WORLD, frame="world")
    pose = open_body.tree(truth.betas).forward(truth.q)
    names = tuple(f"{side}{place.capitalize()}" for place in JOINT_OF_POINT for side in "RL")
    joints = [JOINT_NAMES.index(f"{bone}_{side}") for bone in JOINT_OF_POINT.values() for side in "rl"]
    path = tmp_path / "centres.trc"
    write_trc(path, Markers(time_s=truth.time_s, names=names, positions_m=pose.positions_m[:, joints].numpy()))
    results = skel2mot(path, tmp_path / "out", Skel2MotOptions(results=ResultOptions(height_m=1.7657)))
    assert [result.name for result in results] == ["centres"]
    motion = read_mot(tmp_path / "out" / "centres.mot", OsimDocument.read(tmp_path / "out" / "centres.osim"))
    knee = motion.column("knee_angle_r")
    assert np.degrees(np.sqrt(np.mean((knee - truth.poses_rad[:, 6]) ** 2))) < 6
    write_trc(path, Markers(time_s=[0.0, 0.1], names=("RASI", "LASI"), positions_m=np.zeros((2, 2, 3))))
    with pytest.raises(InputError, match="hips and shoulders are needed"):
        skel2mot(path, tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
@pytest.mark.skipif(not DEMO.is_file(), reason="the demo clip is not here")
def test_an_interrupted_run_goes_on_from_what_was_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    options = Image2MotOptions(estimate=EstimateOptions(end_s=0.5))

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(people, "make_results", interrupted)
        with pytest.raises(KeyboardInterrupt):
            image2mot(DEMO, out, options)
    memory = list(out.iterdir())
    assert len(memory) == 1 and memory[0].name.startswith(".demo."), "only what was seen, hidden"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    kept: Observation = load_observation(memory[0])
    other = replace(options, estimate=EstimateOptions(end_s=0.4))
    assert Memory(out, "demo", DEMO, other).recall() == [], "other options see other frames"
    with monkeypatch.context() as patch:
        patch.setattr("hsmr_bio.estimators.get_estimator", interrupted)  # nobody looks at the video again
        result = image2mot(DEMO, out, options)
    assert isinstance(result, Result) and result.observation is not None
    np.testing.assert_array_equal(result.observation.keypoints_px, kept.keypoints_px)
    assert not [path for path in out.iterdir() if path.name.startswith(".")]
    assert (out / "demo.mot").is_file()


def test_people_are_recalled_in_order(clip, tmp_path: Path) -> None:
    source = tmp_path / "clip.mp4"
    source.write_bytes(b"not read here")
    memory = Memory(tmp_path / "out", "clip", source, Image2MotOptions(people=True))
    some = clip.observation.at(slice(0, 3))
    memory.keep([replace(some, source=f"person {i}") for i in range(12)])
    assert [o.source for o in memory.recall()] == [f"person {i}" for i in range(12)]
    next(iter((tmp_path / "out").iterdir())).write_bytes(b"damaged")
    assert memory.recall() == []
    (tmp_path / "out" / ".clip.mine.npz").write_bytes(b"somebody's")
    Memory(tmp_path / "out", "clip", source, Image2MotOptions()).forget()
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".clip.mine.npz"], "runs nobody went on with are forgotten"

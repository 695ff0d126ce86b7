"""Options and arguments that cannot be used are refused before any work, with a line that says what is allowed."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import fields, replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import hsmr_bio as hb
from hsmr_bio.body import Body
from hsmr_bio.cli import build_parser, main
from hsmr_bio.dynamics import ground_reaction
from hsmr_bio.errors import InputError
from hsmr_bio.fitting.markers.inverse_kinematics import marker_errors
from hsmr_bio.option_checks import check_file_name, file_name_of
from hsmr_bio.osim.library import bsm
from hsmr_bio.types import Markers, OsimMotion, SkelMotion

NAN = float("nan")
WRONG = [
    (hb.ResultOptions, {"height_m": 178}, r"--height-m must be between 0\.5 and 2\.6 m \(metres\), got 178"),
    (hb.ResultOptions, {"height_m": "1.78"}, "got '1.78'"),
    (hb.ResultOptions, {"height_m": True}, "got True"),
    (hb.ResultOptions, {"mass_kg": 0.5}, r"--mass-kg must be between 5 and 400 kg \(kilograms\), got 0\.5"),
    (hb.ResultOptions, {"mass_kg": NAN}, "got nan"),
    (hb.ResultOptions, {"cutoff_hz": NAN}, "more than 0 Hz .or None for no filter., got nan"),
    (hb.ResultOptions, {"cutoff_hz": float("inf")}, "got inf"),
    (hb.ResultOptions, {"cutoff_hz": -2.0}, "got -2"),
    (hb.ResultOptions, {"cutoff_hz": 0}, "got 0"),
    (hb.ResultOptions, {"model": "rajagopal"}, "model must be one of bsm, twin, got 'rajagopal'"),
    (hb.ResultOptions, {"joints": "ball"}, "joints must be one of bsm, skel"),
    (hb.ResultOptions, {"name": "a/b"}, "usable in file names"),
    (hb.ResultOptions, {"name": ".."}, "usable in file names"),
    (hb.Image2MotOptions, {"height_m": 178}, "metres"),
    (hb.Image2MotOptions, {"estimator": "nobody"}, "estimator must be one of blazepose, hsmr.*, got 'nobody'"),
    (hb.Image2MotOptions, {"sex": "f"}, "sex must be one of neutral, female, male, got 'f'"),
    (hb.Image2MotOptions, {"body": None}, "body must be open, skel, or the path"),
    (hb.Image2MotOptions, {"estimate": None}, "estimate must be EstimateOptions, got NoneType"),
    (hb.Image2MotOptions, {"ground": {"treadmill": True}}, r"ground must be GroundOptions.*GroundOptions\(treadmill=True\)"),
    (hb.EstimateOptions, {"start_s": -1}, "--start.* at least 0 s, got -1"),
    (hb.EstimateOptions, {"start_s": 2, "end_s": 2}, "--end.* more than 2 s, got 2"),
    (hb.EstimateOptions, {"fps_hz": 0}, "--fps"),
    (hb.EstimateOptions, {"slow_motion": 0}, "--slow-motion.* more than 0, got 0"),
    (hb.EstimateOptions, {"fov_deg": 180}, "between 5 and 175 degrees, got 180"),
    (hb.EstimateOptions, {"focal_px": NAN}, "--focal-px"),
    (hb.EstimateOptions, {"max_people": 0}, "max_people"),
    (hb.EstimateOptions, {"device": "gpu"}, "device must be cpu, cuda, cuda:0, mps or xpu, got 'gpu'"),
    (hb.EstimateOptions, {"device": "cuda:99"}, "there is no device 'cuda:99' here"),
    (hb.EstimateOptions, {"dtype": "float16"}, "dtype must be one of float32, bfloat16"),
    (hb.GroundOptions, {"camera_pitch_rad": 12.0}, "between -90 and 90 degrees, got 687"),
    (hb.GroundOptions, {"camera_roll_rad": NAN}, "roll"),
    (hb.FitOptions, {"height_m": 178}, "metres"),
    (hb.FitOptions, {"focal_sigma": 0.0}, "focal_sigma must be more than 0"),
    (hb.Skel2MotOptions, {"rate_hz": 0}, "--rate-hz"),
    (hb.Skel2MotOptions, {"focal_px": -5}, "--focal-px"),
    (hb.Skel2MotOptions, {"image_size_px": (1920, 0)}, "width and height in whole pixels"),
    (hb.Skel2MotOptions, {"image_size_px": 1920}, "width and height in whole pixels"),
    (hb.Skel2MotOptions, {"sex": "x"}, "sex must be one of"),
    (hb.Skel2MotOptions, {"results": hb.GroundOptions()}, "results must be ResultOptions, got GroundOptions"),
    (hb.Smpl2MotOptions, {"source": {}}, "source must be SmplImportOptions, got dict"),
    (hb.SmplImportOptions, {"axes": "x_up"}, "axes must be one of auto, y_up, z_up, camera"),
    (hb.SmplImportOptions, {"rate_hz": NAN}, "rate_hz"),
    (hb.SmplImportOptions, {"height_m": 178}, "metres"),
    (hb.SmplImportOptions, {"sex": "x"}, "sex must be one of"),
]


@pytest.mark.parametrize(("kind", "given", "problem"), WRONG)
def test_a_wrong_option_is_refused_when_it_is_built(kind: type, given: dict, problem: str) -> None:
    assert set(given) <= {field.name for field in fields(kind)}
    with pytest.raises(InputError, match=problem):
        kind(**given)


def test_the_ends_of_the_ranges_and_numbers_of_numpy_are_allowed() -> None:
    for height_m, mass_kg in ((0.5, 5), (2.6, 400), (np.float32(1.75), np.int64(70)), (None, None)):
        hb.ResultOptions(height_m=height_m, mass_kg=mass_kg, cutoff_hz=None)
    hb.EstimateOptions(start_s=0, end_s=0.1, fov_deg=60, device="cpu", dtype="bfloat16")
    hb.GroundOptions(camera_pitch_rad=-np.pi / 2, camera_roll_rad=np.pi)
    hb.Skel2MotOptions(image_size_px=(np.int64(1920), 1080))


def test_a_dict_for_options_says_what_to_write(clip, open_body: Body, tmp_path: Path) -> None:
    wanted = r"options must be {0}, got dict: {0}\(height_m=1\.78\)"
    missing, out, given = tmp_path / "nothing.mp4", tmp_path / "out", {"height_m": 1.78}
    for kind, call in (
        ("Image2MotOptions", lambda: hb.image2mot(missing, out, given)),
        ("Skel2MotOptions", lambda: hb.skel2mot(missing, out, given)),
        ("Smpl2MotOptions", lambda: hb.smpl2mot(missing, out, given)),
        ("FitOptions", lambda: hb.fit_motion(clip.observation, open_body, given)),
        ("GroundOptions", lambda: hb.to_world(clip.truth, open_body, given)),
        ("EstimateOptions", lambda: hb.estimate(missing, given)),
    ):
        with pytest.raises(InputError, match=wanted.format(kind)):
            call()
    with pytest.raises(InputError, match="must be Image2MotOptions, got ResultOptions"):
        hb.image2mot(missing, out, hb.ResultOptions())


@pytest.mark.parametrize("command", ["image2mot", "skel2mot", "smpl2mot"])
def test_a_height_in_centimetres_fails_before_the_source_is_read(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, str(tmp_path / "nothing"), "-o", str(tmp_path / "out"), "--height-m", "178"]) == 1
    assert "--height-m must be between 0.5 and 2.6 m (metres), got 178" in capsys.readouterr().err


HEAVY = {"torch", "scipy", "lxml", "av", "onnxruntime", "opensim"}


@pytest.mark.parametrize("command", ["image2mot", "skel2mot", "smpl2mot"])
def test_a_wrong_option_ends_before_anything_heavy_is_loaded(command: str, tmp_path: Path) -> None:
    words = [command, "nothing", "-o", "out", "--height-m", "178"]
    code = f"import sys; from hsmr_bio.cli import main; print(main({words!r}), *({HEAVY!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1"]
    assert done.stderr.count("\n") == 1


RESULTS = ["--height-m", "1.8", "--mass-kg", "70", "--model", "twin", "--joints", "skel", "--overwrite", "--name", "n"]
RESULT_FIELDS = {"height_m": 1.8, "mass_kg": 70, "model": "twin", "joints": "skel", "overwrite": True, "name": "n"}
GROUND = ["--camera-pitch-deg", "90", "--camera-roll-deg", "-45"]
GROUND_FIELDS = {"camera_pitch_rad": np.pi / 2, "camera_roll_rad": -np.pi / 4}


def of_command(*words: str) -> object:
    """The options that a command makes of its words."""
    args = build_parser().parse_args([words[0], "in", "-o", "out", *words[1:]])
    return import_module(f"hsmr_bio.cli.{words[0]}").options_of(args)


def test_every_word_of_image2mot_reaches_its_option() -> None:
    assert of_command("image2mot") == hb.Image2MotOptions()
    camera = ["--fov-deg", "60", "--focal-px", "900", "--calibration", "c.json", "--treadmill", "--moving-camera"]
    clip = ["--start", "1", "--end", "2", "--fps", "25", "--slow-motion", "8", "--source-clock"]
    clip += ["--person-box", "1", "2", "3", "4", "--people"]
    network = [
        "--estimator",
        "hsmr",
        "--checkpoint",
        "w",
        "--boxes",
        "b.csv",
        "--device",
        "cpu",
        "--dtype",
        "bfloat16",
        "--refine",
    ]
    method = [*network, "--save-observation", "--cutoff-hz", "off", "--dynamics", "--body", "skel", "--sex", "male"]
    assert of_command("image2mot", *RESULTS, *GROUND, *camera, *clip, *method) == hb.Image2MotOptions(
        **RESULT_FIELDS,
        cutoff_hz=None,
        dynamics=True,
        estimator="hsmr",
        body="skel",
        sex="male",
        refine=True,
        people=True,
        moving_camera=True,
        save_observation=True,
        ground=hb.GroundOptions(**GROUND_FIELDS, treadmill=True),
        estimate=hb.EstimateOptions(
            start_s=1,
            end_s=2,
            fps_hz=25,
            slow_motion=8,
            source_clock=True,
            fov_deg=60,
            focal_px=900,
            calibration=Path("c.json"),
            person_box=(1, 2, 3, 4),
            checkpoint=Path("w"),
            boxes=Path("b.csv"),
            dtype="bfloat16",
        ),
    )


def test_every_word_of_skel2mot_reaches_its_option() -> None:
    assert of_command("skel2mot") == hb.Skel2MotOptions()
    stored = [
        "--rate-hz",
        "25",
        "--image-size",
        "640",
        "480",
        "--focal-px",
        "900",
        "--keep-height",
        "--body",
        "b",
        "--sex",
        "male",
    ]
    expected = hb.Skel2MotOptions(
        results=hb.ResultOptions(**RESULT_FIELDS),
        ground=hb.GroundOptions(**GROUND_FIELDS),
        body="b",
        sex="male",
        rate_hz=25,
        image_size_px=(640, 480),
        focal_px=900,
        keep_height=True,
    )
    assert of_command("skel2mot", *RESULTS, *GROUND, *stored) == expected
    for word, cutoff_hz in (("off", None), ("6", 6.0), ("0", None)):
        filtered = replace(expected, filter_all=True, results=hb.ResultOptions(**RESULT_FIELDS, cutoff_hz=cutoff_hz))
        assert of_command("skel2mot", *RESULTS, *GROUND, *stored, "--cutoff-hz", word) == filtered


def test_every_word_of_smpl2mot_reaches_its_option() -> None:
    assert of_command("smpl2mot") == hb.Smpl2MotOptions()
    stored = ["--rate-hz", "25", "--keep-height", "--keep-heading", "--body", "b", "--sex", "male", "--cutoff-hz", "off"]
    smpl = ["--smpl", "s", "--axes", "z_up", "--refine-betas"]
    assert of_command("smpl2mot", *RESULTS, *GROUND, *stored, *smpl) == hb.Smpl2MotOptions(
        source=hb.SmplImportOptions(
            smpl=Path("s"), body="b", sex="male", axes="z_up", rate_hz=25, refine_betas=True, height_m=1.8
        ),
        results=hb.ResultOptions(**RESULT_FIELDS, cutoff_hz=None),
        ground=hb.GroundOptions(**GROUND_FIELDS),
        keep_height=True,
        keep_heading=True,
    )


@pytest.mark.parametrize("road", [hb.image2mot, hb.skel2mot, hb.smpl2mot])
def test_results_that_exist_stop_before_the_source_is_read(road, tmp_path: Path) -> None:
    (tmp_path / "walk.osim").write_text("")
    with pytest.raises(InputError, match="exists already"):
        road(tmp_path / "walk.npz", tmp_path)
    with pytest.raises(InputError, match="usable in file names"):
        road(tmp_path / "walk*.npz", tmp_path)


def test_names_of_results_are_text_and_not_too_long() -> None:
    assert file_name_of(os.fsdecode(b"caf\xe9")) == "café"
    assert file_name_of("größe") == "größe"
    with pytest.raises(InputError, match="at most 150 bytes"):
        check_file_name("ö" * 76)
    assert check_file_name("ö" * 75)


@pytest.fixture(scope="module")
def pieces(open_body: Body) -> dict:
    """A subject with two frames of every kind of motion."""
    time_s = np.array([0.0, 0.1])
    skel = SkelMotion(
        time_s=time_s,
        poses_rad=np.zeros((2, 46)),
        trans_m=np.zeros((2, 3)),
        betas=np.zeros(10),
        body=open_body.name,
        frame="world",
    )
    subject = hb.scale_model(open_body, skel.betas)
    motion = OsimMotion(time_s=time_s, coordinates=("knee_angle_r",), values_si=np.zeros((2, 1)), rotational=[True])
    markers = Markers(time_s=time_s, names=("RTOE",), positions_m=np.zeros((2, 1, 3)))
    return {"skel": skel, "subject": subject, "motion": motion, "markers": markers, "model": bsm(), "body": open_body}


@pytest.mark.parametrize(
    ("function", "swapped", "call"),
    [
        (hb.to_coordinates, ("subject", "skel", "body"), "to_coordinates(motion, subject, body)"),
        (hb.to_coordinates, ("skel", "body", "subject"), "to_coordinates(motion, subject, body)"),
        (hb.to_skel, ("subject", "motion", "body"), "to_skel(motion, subject, body)"),
        (hb.virtual_markers, ("subject", "motion"), "virtual_markers(motion, subject)"),
        (hb.check_motion, ("subject", "motion"), "check_motion(motion, model)"),
        (hb.inverse_dynamics, ("subject", "motion"), "inverse_dynamics(motion, model, loads)"),
        (hb.inverse_dynamics, ("model", "motion"), "inverse_dynamics(motion, model, loads)"),
        (ground_reaction, ("subject", "motion"), "ground_reaction(motion, model)"),
        (hb.inverse_kinematics, ("model", "markers"), "inverse_kinematics(markers, model)"),
        (marker_errors, ("markers", "model", "motion"), "marker_errors(motion, model, markers)"),
        (hb.fit_motion, ("body", "skel"), "fit_motion(observation, body, options)"),
        (hb.to_world, ("body", "skel"), "to_world(fitted, body, options)"),
    ],
)
def test_swapped_arguments_are_named(function, swapped: tuple[str, ...], call: str, pieces: dict) -> None:
    with pytest.raises(InputError) as refusal:
        function(*(pieces[name] for name in swapped))
    assert str(refusal.value).endswith(f"the arguments are {call}")


def test_swapped_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"motion must be a \.mot file, got the model me\.osim"):
        hb.inverse_dynamics("me.osim", "squat.mot")

"""``hsmr-bio image2mot``: a video -> a scaled model, its motion, markers and a report."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .common import add_body, add_joints, add_json, add_output, hertz_or_off, note, print_json, progress_of

if TYPE_CHECKING:
    from ..pipeline.options import Image2MotOptions
    from ..pipeline.results import Result


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "image2mot",
        help="a video -> model, motion, markers, report (the main job)",
        description="Turn an ordinary video of a person into files that OpenSim opens: NAME.osim (scaled to the person), "
        "NAME.mot, NAME.trc, Geometry/, NAME_skel.npz, NAME_setup_ik.xml, NAME_setup_id.xml "
        "and a report. NAME is the name of the video.",
    )
    parser.add_argument("source", type=Path, help="video, image, folder of images, or a saved observation (--estimator replay)")
    add_output(parser, what="folder for the results")
    add_body(parser)
    _add_person(parser)
    _add_clip(parser)
    _add_camera(parser)
    _add_method(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def _add_person(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("person")
    group.add_argument("--height-m", type=float, help="body height; default: the population's mean, as one camera sees no size")
    group.add_argument("--mass-kg", type=float, help="body mass; default: volume of the skin times the body's density")
    group.add_argument(
        "--person-box",
        type=float,
        nargs=4,
        metavar=("X0", "Y0", "X1", "Y1"),
        help="box in pixels around the wanted person in the first frame; default: the largest, most central one",
    )
    group.add_argument("--people", action="store_true", help="follow everybody; the second person is written as NAME_p2")


def _add_clip(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("clip")
    group.add_argument("--start", type=float, default=0.0, metavar="S", help="seconds after the first frame")
    group.add_argument("--end", type=float, default=None, metavar="S", help="seconds after the first frame; default: the end")
    group.add_argument("--fps", type=float, default=None, metavar="HZ", help="frame rate of a folder of images")
    group.add_argument("--source-clock", action="store_true", help="keep the video's own time stamps; default: start at 0")
    group.add_argument("--name", help="of the files; default: that of the video")


def _add_camera(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("camera and floor")
    group.add_argument("--fov-deg", type=float, help="angle of view along the longer side of the picture")
    group.add_argument("--focal-px", type=float, help="focal length in pixels")
    group.add_argument("--calibration", type=Path, metavar="FILE", help="camera file: JSON, Pose2Sim TOML, OpenCV YAML or XML")
    group.add_argument("--camera-pitch-deg", type=float, help="how far the camera looks down; default: estimated")
    group.add_argument("--camera-roll-deg", type=float, help="how far the camera is rolled; default: estimated")
    group.add_argument("--treadmill", action="store_true", help="standing feet move with a belt")
    group.add_argument("--moving-camera", action="store_true", help="go on although the camera moves")


def _add_method(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("method")
    group.add_argument("--estimator", default="blazepose", help="blazepose (built in), hsmr, replay (default: %(default)s)")
    group.add_argument("--checkpoint", type=Path, metavar="FILE", help="HSMR weights, for --estimator hsmr")
    group.add_argument("--boxes", type=Path, metavar="FILE", help="CSV of the person's box per frame, for --estimator hsmr")
    group.add_argument("--device", default="cpu", help="where a network runs (default: %(default)s)")
    group.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"), help="default: %(default)s")
    group.add_argument("--refine", action="store_true", help="with hsmr: landmarks and the network's prediction in one fit")
    group.add_argument(
        "--save-observation",
        action="store_true",
        help="keep what the estimator saw (and six small pictures), for --estimator replay",
    )
    group.add_argument(
        "--cutoff-hz",
        type=hertz_or_off,
        default=6.0,
        metavar="HZ",
        help="zero-lag low-pass of the angles, or 'off' (default: %(default)g)",
    )
    group.add_argument("--dynamics", action="store_true", help="also estimate the ground reaction and joint moments")
    group.add_argument("--model", choices=("bsm", "twin"), default="bsm", help="OpenSim model (default: %(default)s)")
    add_joints(group)


def options_of(args: argparse.Namespace) -> Image2MotOptions:
    """The options that the words of the command line mean."""
    from ..estimators import EstimateOptions
    from ..fitting.world.options import GroundOptions
    from ..pipeline.options import Image2MotOptions

    estimate = EstimateOptions(
        start_s=args.start,
        end_s=args.end,
        fps_hz=args.fps,
        source_clock=args.source_clock,
        fov_deg=args.fov_deg,
        focal_px=args.focal_px,
        calibration=args.calibration,
        person_box=None if args.person_box is None else tuple(args.person_box),
        checkpoint=args.checkpoint,
        boxes=args.boxes,
        device=args.device,
        dtype=args.dtype,
    )
    pitch, roll = args.camera_pitch_deg, args.camera_roll_deg
    ground = GroundOptions(
        camera_pitch_rad=None if pitch is None else float(np.radians(pitch)),
        camera_roll_rad=None if roll is None else float(np.radians(roll)),
        treadmill=args.treadmill,
    )
    return Image2MotOptions(
        height_m=args.height_m,
        mass_kg=args.mass_kg,
        model=args.model,
        joints=args.joints,
        cutoff_hz=args.cutoff_hz or None,
        dynamics=args.dynamics,
        overwrite=args.overwrite,
        name=args.name,
        estimator=args.estimator,
        body=args.body or "open",
        sex=args.sex or "neutral",
        estimate=estimate,
        ground=ground,
        refine=args.refine,
        people=args.people,
        moving_camera=args.moving_camera,
        save_observation=args.save_observation,
    )


def run(args: argparse.Namespace) -> int:
    """Do the whole job; print the paths of the files, or the figures as JSON."""
    from ..pipeline.image2mot import image2mot
    from . import CHECKS_FAILED, OK

    with progress_of(args) as progress:
        found = image2mot(args.source, args.out, options_of(args), progress=progress)
    results = found if isinstance(found, list) else [found]
    if args.json:
        print_json([summary(result) for result in results] if args.people else summary(results[0]))
    else:
        for result in results:
            note(args, f"{result.name}: {result.checks.text()}")
            print("\n".join(str(path) for path in result.paths))
    return CHECKS_FAILED if any(result.checks.status == "fail" for result in results) else OK


def summary(result: Result) -> dict[str, Any]:
    """The figures of one person's results as JSON values."""
    from ..converters.facts import ground_figures

    return {
        "name": result.name,
        "status": result.checks.status,
        "frames": len(result.motion.time_s),
        "stature_m": result.subject.stature_m,
        "mass_kg": result.subject.mass_kg,
        "files": [str(path) for path in result.paths],
        "checks": result.checks.to_json()["checks"],
        "ground": ground_figures(result.skel.ground),
        "timings_s": dict(result.timings_s),
    }

"""``hsmr-bio image2mot``: from a video to a scaled model, its motion, markers and a report."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..converters.keypoint_layouts import KEYPOINT_SETS
from .common import (
    Subparsers,
    add_body,
    add_camera_angles,
    add_cutoff,
    add_image_size,
    add_json,
    add_model,
    add_output,
    add_person,
    exit_code,
    note,
    options_from,
    print_result,
    progress_of,
)
from .config import add_config

if TYPE_CHECKING:
    from ..pipeline.options import Image2MotOptions
    from ..pipeline.results import Result


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "image2mot",
        help="a video -> model, motion, markers, report (the main job)",
        description="Turn an ordinary video of a person into files that OpenSim opens: NAME.osim (scaled to the person), "
        "NAME.mot, NAME.trc, Geometry/, NAME_skel.npz, NAME_setup_ik.xml "
        "and a report; with --dynamics forces, moments and NAME_setup_id.xml, too. NAME is the name of the video.",
    )
    parser.add_argument(
        "source",
        type=Path,
        help="video, image, folder of images, a saved observation (--estimator replay), or another detector's keypoints "
        "without their video (--estimator keypoints)",
    )
    add_output(parser)
    add_config(parser)
    add_options(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the estimate, the fit and the results, which ``batch`` has too."""
    add_body(parser)
    _add_person(parser)
    _add_clip(parser)
    _add_camera(parser)
    _add_method(parser)
    _add_keypoints(parser)


def _add_person(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("person")
    add_person(group, height="the population's mean, as one camera does not measure size")
    group.add_argument(
        "--person-box",
        type=float,
        nargs=4,
        metavar=("X0", "Y0", "X1", "Y1"),
        help="box in pixels around the wanted person in the first frame; default: the largest, most central one",
    )
    group.add_argument("--people", action="store_true", help="estimate all people; the second one is written as NAME_p2")


def _add_clip(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("clip")
    since = "seconds after the first frame, as the file plays; default:"
    group.add_argument("--start", dest="start_s", type=float, metavar="S", help=f"{since} 0")
    group.add_argument("--end", dest="end_s", type=float, metavar="S", help=f"{since} the end")
    group.add_argument(
        "--fps",
        dest="fps_hz",
        type=float,
        metavar="HZ",
        help="frame rate of the camera: of a folder of images, or of a video that plays in slow motion",
    )
    group.add_argument(
        "--slow-motion",
        type=float,
        metavar="FACTOR",
        help="how many times slower than life the video plays; default: what the file says, else 1",
    )
    group.add_argument("--source-clock", action="store_true", help="keep the video's own time stamps; default: start at 0")
    group.add_argument("--name", help="of the files; default: that of the video")


def _add_camera(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("camera and floor")
    group.add_argument("--fov-deg", type=float, help="angle of view along the longer side of the picture")
    group.add_argument("--focal-px", type=float, help="focal length in pixels")
    group.add_argument("--calibration", type=Path, metavar="FILE", help="camera file: JSON, Pose2Sim TOML, OpenCV YAML or XML")
    add_camera_angles(group)
    group.add_argument("--treadmill", action="store_true", help="standing feet move with a belt")
    group.add_argument("--moving-camera", action="store_true", help="accept a moving camera")


def _add_method(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("method")
    group.add_argument("--estimator", help="blazepose (built in), hsmr, keypoints, replay; default: blazepose")
    group.add_argument("--checkpoint", type=Path, metavar="FILE", help="HSMR weights, for --estimator hsmr")
    group.add_argument("--boxes", type=Path, metavar="FILE", help="CSV of the person's box per frame, for --estimator hsmr")
    group.add_argument(
        "--landmarks", default="full", choices=("full", "heavy"), help="landmark network of blazepose (default: %(default)s)"
    )
    group.add_argument("--device", default="cpu", help="device of the networks: cpu, cuda ... (default: %(default)s)")
    group.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"), help="default: %(default)s")
    group.add_argument("--refine", action="store_true", help="with hsmr: fit landmarks and the network's prediction together")
    group.add_argument(
        "--save-observation",
        action="store_true",
        help="write the observation, with six small pictures, for --estimator replay",
    )
    add_cutoff(group)
    group.add_argument(
        "--task",
        choices=("auto", "gait", "squat", "sit-to-stand", "jump", "none"),
        help="what the findings of the report are about; default: recognised",
    )
    group.add_argument("--dynamics", action="store_true", help="also estimate the ground reaction and joint moments")
    add_model(group)


def _add_keypoints(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("keypoints of another detector")
    group.add_argument(
        "--keypoints",
        type=Path,
        metavar="PATH",
        help="its file or folder for this video: OpenPose, Pose2Sim, Sports2D, RTMLib, MMPose, AlphaPose, DeepLabCut",
    )
    group.add_argument("--keypoint-set", choices=KEYPOINT_SETS, help="order of the points; default: recognised")
    group.add_argument("--rate-hz", type=float, help="frames per second, without the video")
    add_image_size(group, "pixels of the pictures, without the video")


def options_of(args: argparse.Namespace) -> Image2MotOptions:
    """Build the options from the arguments; loads numpy only."""
    from ..estimators import EstimateOptions
    from ..fitting.world.options import GroundOptions
    from ..pipeline.options import Image2MotOptions

    estimate, ground = options_from(args, EstimateOptions), options_from(args, GroundOptions)
    if args.keypoints is not None and args.estimator is None:
        args.estimator = "keypoints"
    return options_from(args, Image2MotOptions, cutoff_hz=args.cutoff_hz or None, estimate=estimate, ground=ground)


def run(args: argparse.Namespace) -> int:
    """Estimate, fit and write; print the paths of the files, or the figures as JSON."""
    options = options_of(args)  # before the heavy imports, so that a wrong option ends at once
    from ..pipeline.image2mot import image2mot

    with progress_of(args) as progress:
        found = image2mot(args.source, args.out, options, progress=progress)
    results = found if isinstance(found, list) else [found]
    for text in notes_of(results[0]):
        note(args, text)
    if not args.json:
        for result in results:
            note(args, f"{result.name}: {result.checks.text()}")
    facts = [summary(result) for result in results]
    print_result(args, facts if args.people else facts[0], *(path for result in results for path in result.paths))
    return exit_code(*(result.checks for result in results))


def notes_of(result: Result) -> tuple[str, ...]:
    """Return the notes on the video of a result."""
    return () if result.observation is None else result.observation.notes


def summary(result: Result) -> dict[str, Any]:
    """Return the figures of one person's results as JSON values."""
    from ..converters.facts import ground_figures

    return {
        "name": result.name,
        "status": result.checks.status,
        "frames": len(result.motion.time_s),
        "stature_m": result.subject.stature_m,
        "mass_kg": result.subject.mass_kg,
        "files": [str(path) for path in result.paths],
        "notes": list(notes_of(result)),
        "checks": result.checks.to_json()["checks"],
        "ground": ground_figures(result.skel.ground),
        "timings_s": dict(result.timings_s),
    }

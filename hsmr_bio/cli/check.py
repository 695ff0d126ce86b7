"""``hsmr-bio check``: check the plausibility of a motion."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import InputError
from .common import Subparsers, add_angles, add_json, beside, exit_code, note, print_result, progress_of


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "check",
        help="picture, limits, jumps, sides, balance, floor, vertical, time, markers of a motion",
        description="Check a motion: the picture that it was seen in, joint limits, jumps, sides, jitter, feet, floor, "
        "balance, vertical, time, units, bones, marker error, consistency. Each figure is printed with its threshold; exit "
        "code 3 if a check fails.",
    )
    parser.add_argument("motion", type=Path, help="coordinates (.mot, .sto) or a SKEL motion (_skel.npz)")
    parser.add_argument("--model", type=Path, metavar="OSIM", help="the motion's model; default: the .osim of the same name")
    parser.add_argument("--trial", help="which trial of a .b3d")
    parser.add_argument("--markers", type=Path, metavar="TRC", help="measured markers to compare with the model's")
    parser.add_argument("--skel", type=Path, metavar="NPZ", help="the SKEL motion behind it; default: NAME_skel.npz beside it")
    parser.add_argument(
        "--observation",
        type=Path,
        metavar="NPZ",
        help="what the detector saw (image2mot --save-observation); default: NAME_observation.npz beside it",
    )
    add_angles(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check and print the table or JSON.

    Raises:
        InputError: the file holds no motion.
    """
    from ..checks.check_motion import check_motion
    from ..converters.content import ConvertOptions
    from ..converters.registry import read
    from ..io.npz import load_motion, load_observation

    options = ConvertOptions(model=args.model, trial=args.trial, angles=args.angles)
    content = read(args.motion, "coordinates", "skel", options=options)
    if content.coordinates is not None:
        if not args.model and (model := beside(args.motion, ".osim")):
            note(args, f"the model is {model}")
        skel_path = args.skel or beside(args.motion, "_skel.npz")
        skel = None if skel_path is None else load_motion(skel_path)
        markers = read(args.markers, "markers").markers if args.markers else None
        seen_path = args.observation or (None if skel is None else beside(args.motion, "_observation.npz"))
        seen = None if seen_path is None else load_observation(seen_path)
        with progress_of(args) as progress:
            report = check_motion(
                content.coordinates, content.model, skel=skel, markers=markers, observation=seen, progress=progress
            )
    elif content.skel is not None:
        report = check_motion(content.skel)
    else:
        raise InputError(f"{args.motion} holds no motion")
    print_result(args, report.to_json(), report.text())
    return exit_code(report)

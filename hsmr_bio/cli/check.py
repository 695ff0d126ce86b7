"""``hsmr-bio check``: is a motion believable?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .common import add_json, beside, note, print_json


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "check",
        help="limits, jumps, flips, jitter, feet, floor, vertical, bones, markers of a motion",
        description="Check a motion: joint limits, jumps, left/right flips, jitter, foot sliding, floor, vertical, bones, "
        "marker error, consistency. Each figure is printed with its threshold; exit code 3 if a check fails.",
    )
    parser.add_argument("motion", type=Path, help="coordinates (.mot, .sto) or a SKEL motion (_skel.npz)")
    parser.add_argument("--model", type=Path, metavar="OSIM", help="the motion's model; default: the .osim of the same name")
    parser.add_argument("--trial", help="which trial of a .b3d")
    parser.add_argument("--markers", type=Path, metavar="TRC", help="measured markers to compare with the model's")
    parser.add_argument("--skel", type=Path, metavar="NPZ", help="the SKEL motion behind it; default: NAME_skel.npz beside it")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check and print the table (or JSON)."""
    from ..checks.check_motion import check_motion
    from ..converters.content import ConvertOptions
    from ..converters.registry import read
    from ..errors import InputError
    from ..io.npz import load_motion

    content = read(args.motion, "coordinates", "skel", options=ConvertOptions(model=args.model, trial=args.trial))
    if content.coordinates is not None:
        if not args.model and (beside_it := beside(args.motion, ".osim")):
            note(args, f"the model is {beside_it}")
        skel_path = args.skel or args.motion.with_name(f"{args.motion.stem}_skel.npz")
        skel = load_motion(skel_path) if args.skel or skel_path.is_file() else None
        markers = read(args.markers, "markers").markers if args.markers else None
        report = check_motion(content.coordinates, content.model, skel=skel, markers=markers)
    elif content.skel is not None:
        report = check_motion(content.skel)
    else:
        raise InputError(f"{args.motion} holds no motion")
    if args.json:
        print_json(report.to_json())
    else:
        print(report.text())
    return 3 if report.status == "fail" else 0

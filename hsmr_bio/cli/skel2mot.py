"""``hsmr-bio skel2mot``: from stored SKEL motion to OpenSim files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .common import Subparsers, add_image_size, add_json, add_stored_motion, note, options_from, print_results, progress_of

if TYPE_CHECKING:
    from ..pipeline.options import Skel2MotOptions


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "skel2mot",
        help="stored SKEL motion (HSMR, SKEL alignments, *_skel.npz) -> OpenSim files",
        description="Turn stored SKEL motion into the files that image2mot writes: HSMR's demo results (.npy per video, .npz "
        "per image, or a folder of them; several people, frames without anyone), SKEL's alignments (.pkl), our own *_skel.npz; "
        "and joint centres, which the body is fitted to: of any tool as .trc (hip_r or RHip ...), of SAM 3D Body (.npz, "
        "folder, .json, .csv, .pkl), Theia (.c3d), FreeMoCap (.csv, .npy, .parquet), MotionBERT "
        "and VideoPose3D (.npy, 17 joints). "
        "Exit code 3: files written, a check failed.",
    )
    parser.add_argument("input", type=Path, help="file, or folder of HSMR's .npz files")
    add_stored_motion(
        parser,
        cutoff="6, for joint centres more where the movement is faster, and off for a motion in the world frame (*_skel.npz)",
    )
    add_image_size(parser)
    parser.add_argument("--focal-px", type=float, default=5000.0, help="focal length of that camera (HSMR's own: %(default)g)")
    parser.add_argument(
        "--axes",
        choices=("auto", "y_up", "z_up", "camera"),
        default="auto",
        help="of joint positions; default: as the layout states, else recognised from the upright trunk",
    )
    add_json(parser)
    parser.set_defaults(run=run)


def options_of(args: argparse.Namespace) -> Skel2MotOptions:
    """Build the options from the arguments; loads numpy only."""
    from ..fitting.world.options import GroundOptions
    from ..pipeline.options import ResultOptions, Skel2MotOptions

    filter_all = args.cutoff_hz is not None
    cutoff_hz = {"cutoff_hz": args.cutoff_hz or None} if filter_all else {}
    results, ground = options_from(args, ResultOptions, **cutoff_hz), options_from(args, GroundOptions)
    return options_from(args, Skel2MotOptions, results=results, ground=ground, filter_all=filter_all)


def run(args: argparse.Namespace) -> int:
    """Convert; print the files, or the checks as JSON."""
    options = options_of(args)  # before the heavy imports, so that a wrong option ends at once
    from ..pipeline.skel2mot import skel2mot

    with progress_of(args) as progress:
        results = skel2mot(args.input, args.out, options, progress=progress)
    for result in results:
        note(args, f"{result.name}: {result.checks.text().splitlines()[0]}")
        if "body" in result.skel.notes:
            note(args, str(result.skel.notes["body"]))
    return print_results(args, results, [{} for _ in results])

"""``hsmr-bio skel2mot``: stored SKEL motion -> OpenSim files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .common import add_body, add_joints, add_json, add_output, hertz_or_off, note, print_json, progress_of


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "skel2mot",
        help="stored SKEL motion (HSMR, SKEL alignments, *_skel.npz) -> OpenSim files",
        description="Turn stored SKEL motion into the files that image2mot writes: HSMR's demo results (.npy per video, .npz "
        "per image, or a folder of them; several people, frames without anyone), SKEL's alignments (.pkl), our own *_skel.npz; "
        "and joint centres of any tool as .trc (hip_r or RHip ...), which the body is fitted to. "
        "Exit code 3: files written, a check failed.",
    )
    parser.add_argument("input", type=Path, help="file, or folder of HSMR's .npz files")
    add_output(parser, what="folder for the results")
    parser.add_argument("--name", help="of the files; default: that of the input")
    add_body(parser)
    parser.add_argument("--rate-hz", type=float, help="frames per second, for files that store no times (HSMR, SKEL)")
    parser.add_argument("--image-size", type=int, nargs=2, metavar=("W", "H"), help="pixels of the video behind HSMR's results")
    parser.add_argument("--focal-px", type=float, default=5000.0, help="focal length of that camera (HSMR's own: %(default)g)")
    parser.add_argument("--camera-pitch-deg", type=float, help="known downward pitch of that camera; default: estimated")
    parser.add_argument("--camera-roll-deg", type=float, help="known roll of that camera; default: estimated")
    parser.add_argument("--height-m", type=float, help="of the person; default: what the betas give")
    parser.add_argument("--mass-kg", type=float, help="of the person; default: volume of the skin times density")
    parser.add_argument("--model", choices=("bsm", "twin"), default="bsm", help="default: %(default)s")
    add_joints(parser)
    parser.add_argument(
        "--cutoff-hz",
        type=hertz_or_off,
        metavar="HZ",
        help="zero-lag low-pass of the angles, or 'off'. Default: 6, and off for a motion in the world frame (*_skel.npz)",
    )
    parser.add_argument("--keep-height", action="store_true", help="do not lower a motion in the skel frame to the floor")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Convert; print the files, or the checks as JSON."""
    import math

    from ..fitting.world.options import GroundOptions
    from ..pipeline.options import ResultOptions, Skel2MotOptions
    from ..pipeline.skel2mot import skel2mot

    pitch, roll = (None if deg is None else math.radians(deg) for deg in (args.camera_pitch_deg, args.camera_roll_deg))
    cutoff_hz = ResultOptions().cutoff_hz if args.cutoff_hz is None else args.cutoff_hz or None
    options = Skel2MotOptions(
        results=ResultOptions(
            height_m=args.height_m,
            mass_kg=args.mass_kg,
            model=args.model,
            joints=args.joints,
            cutoff_hz=cutoff_hz,
            overwrite=args.overwrite,
            name=args.name,
        ),
        body=args.body,
        sex=args.sex,
        rate_hz=args.rate_hz,
        image_size_px=tuple(args.image_size) if args.image_size else None,
        focal_px=args.focal_px,
        ground=GroundOptions(camera_pitch_rad=pitch, camera_roll_rad=roll),
        filter_all=args.cutoff_hz is not None,
        keep_height=args.keep_height,
    )
    with progress_of(args) as progress:
        results = skel2mot(args.input, args.out, options, progress=progress)
    for result in results:
        note(args, f"{result.name}: {result.checks.text().splitlines()[0]}")
        if "body" in result.skel.notes:
            note(args, str(result.skel.notes["body"]))
    if args.json:
        facts = [{"name": r.name, "files": [str(path) for path in r.paths], "checks": r.checks.to_json()} for r in results]
        print_json({"people": facts})
    else:
        print("\n".join(str(path) for result in results for path in result.paths))
    return 3 if any(result.checks.status == "fail" for result in results) else 0

"""``hsmr-bio smpl2mot``: SMPL motion -> OpenSim files, or SMPL labels -> SKEL pseudo labels."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .common import add_body, add_json, add_output, hertz_or_off, note, print_json, progress_of


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "smpl2mot",
        help="SMPL motion (AMASS, HMR2.0, WHAM, GVHMR ...) -> OpenSim files",
        description="Turn SMPL motion into the files that image2mot writes: SMPL, SMPL-H and AMASS .npz, dictionaries like "
        "those of HMR2.0, WHAM and GVHMR (.pkl, .pt), or SMPL joints alone (T x 24 x 3, .npy). With your licensed SMPL and "
        "SKEL files (hsmr-bio setup) SKEL's skin is fitted to SMPL's; without them the open body takes SMPL's rotations or "
        "joints, and the notes say what was lost. Exit code 3: files written, a check failed.",
    )
    parser.add_argument("input", type=Path, help="file; with --labels: folder of .npz labels")
    add_output(parser, what="folder for the results")
    parser.add_argument("--name", help="of the files; default: that of the input")
    add_body(parser)
    parser.add_argument("--smpl", type=Path, metavar="FILE", help="your SMPL file or its folder; default: the registered one")
    parser.add_argument(
        "--axes",
        choices=("auto", "y_up", "z_up", "camera"),
        default="auto",
        help="of the input: y_up (SMPL), z_up (AMASS), camera (x right, y down); default: told from how the body stands",
    )
    parser.add_argument("--rate-hz", type=float, help="frames per second, for files that do not store them")
    parser.add_argument("--refine-betas", action="store_true", help="fit SKEL's betas too, instead of taking SMPL's")
    parser.add_argument("--height-m", type=float, help="of the person; default: what the betas give")
    parser.add_argument("--mass-kg", type=float, help="of the person; default: volume of the skin times density")
    parser.add_argument("--model", choices=("bsm", "twin"), default="bsm", help="default: %(default)s")
    parser.add_argument(
        "--cutoff-hz", type=hertz_or_off, default=6.0, metavar="HZ", help="zero-lag low-pass, or 'off' (default: %(default)g)"
    )
    parser.add_argument("--camera-pitch-deg", type=float, help="known downward pitch of the camera; default: estimated")
    parser.add_argument("--camera-roll-deg", type=float, help="known roll of the camera; default: estimated")
    parser.add_argument("--keep-height", action="store_true", help="do not lower an upright motion to the floor")
    parser.add_argument("--keep-heading", action="store_true", help="do not turn an upright motion to walk along x")
    parser.add_argument(
        "--labels",
        action="store_true",
        help="convert a folder of SMPL labels to SKEL pseudo labels instead: one .npz per .npz, labels.json, rejected.tsv; "
        "results that are there already are kept, so the command can be repeated after an interruption",
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Convert; print the files, or the figures as JSON."""
    if args.labels:
        return _labels(args)
    from ..converters.smpl_options import SmplImportOptions
    from ..fitting.world.options import GroundOptions
    from ..pipeline.options import ResultOptions, Smpl2MotOptions
    from ..pipeline.smpl2mot import smpl2mot

    pitch, roll = (None if deg is None else math.radians(deg) for deg in (args.camera_pitch_deg, args.camera_roll_deg))
    options = Smpl2MotOptions(
        source=SmplImportOptions(
            smpl=args.smpl,
            body=args.body,
            sex=args.sex,
            axes=args.axes,
            rate_hz=args.rate_hz,
            refine_betas=args.refine_betas,
        ),
        results=ResultOptions(
            height_m=args.height_m,
            mass_kg=args.mass_kg,
            model=args.model,
            cutoff_hz=args.cutoff_hz or None,
            overwrite=args.overwrite,
            name=args.name,
        ),
        ground=GroundOptions(camera_pitch_rad=pitch, camera_roll_rad=roll),
        keep_height=args.keep_height,
        keep_heading=args.keep_heading,
    )
    with progress_of(args) as progress:
        people = smpl2mot(args.input, args.out, options, progress=progress)
    facts = []
    for result, fit in people:
        vertex, joint = _mean_mm(fit.vertex_error_m), _mean_mm(fit.joint_error_m)
        beyond = float((fit.limit_excess_rad > math.radians(1)).mean())
        how_far = "" if vertex is None else f"skin {vertex:.1f} mm from SMPL's; "
        note(args, f"{result.name}: on {result.skel.body}; {how_far}{result.checks.text().splitlines()[0]}")
        for text in fit.lost:
            note(args, f"{result.name}: lost: {text}")
        facts.append(
            {
                "name": result.name,
                "files": [str(path) for path in result.paths],
                "body": result.skel.body,
                "smpl_vertex_error_mm": vertex,
                "smpl_joint_error_mm": joint,
                "share_of_angles_beyond_limits": beyond,
                "lost": list(fit.lost),
                "checks": result.checks.to_json(),
            }
        )
    if args.json:
        print_json({"people": facts})
    else:
        print("\n".join(str(path) for result, _ in people for path in result.paths))
    return 3 if any(result.checks.status == "fail" for result, _ in people) else 0


def _labels(args: argparse.Namespace) -> int:
    from ..body import load_body
    from ..body.assets import find
    from ..body.smpl_model import load_smpl
    from ..converters.smpl_labels import convert_labels
    from ..fitting.smpl.skin_problem import SmplFitOptions

    if args.sex in (None, "neutral") and args.body in (None, "skel"):
        raise InputError("labels need a SKEL file, which is female or male: give --sex, or the file with --body")
    body = load_body(args.body or "skel", args.sex or "neutral")
    path = args.smpl if args.smpl is not None and args.smpl.is_file() else find("smpl", args.sex or body.sex, args.smpl)
    options = SmplFitOptions(refine_betas=args.refine_betas)
    with progress_of(args) as progress:
        summary = convert_labels(args.input, args.out, load_smpl(path), body, options, progress=progress)
    note(args, f"{summary.accepted} of {summary.items} labels accepted; {summary.skipped} of {summary.files} files were there")
    if args.json:
        facts = {"files": summary.files, "items": summary.items, "accepted": summary.accepted}
        print_json({**facts, "rejected_for": dict(summary.reasons)})
    else:
        print(args.out)
    return 0


def _mean_mm(errors_m: Any) -> float | None:
    """Mean in mm, None where nothing was measured."""
    mean = float(np.mean(errors_m)) * 1e3
    return mean if math.isfinite(mean) else None

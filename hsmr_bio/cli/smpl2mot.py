"""``hsmr-bio smpl2mot``: from SMPL motion to OpenSim files, or from SMPL labels to SKEL pseudo labels."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from .common import Subparsers, add_json, add_stored_motion, note, options_from, print_result, print_results, progress_of

if TYPE_CHECKING:
    from ..pipeline.options import Smpl2MotOptions
    from ..types import FloatArray

_LIMIT_TOLERANCE_RAD = math.radians(1)
"""Excess over a joint limit that the share of angles beyond their limits tolerates."""


def add_parser(subparsers: Subparsers) -> None:
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
    add_stored_motion(parser)
    parser.add_argument("--smpl", type=Path, metavar="FILE", help="your SMPL file or its folder; default: the registered one")
    parser.add_argument(
        "--axes",
        choices=("auto", "y_up", "z_up", "camera"),
        default="auto",
        help="of the input: y_up (SMPL), z_up (AMASS), camera (x right, y down); default: recognised from the standing body",
    )
    parser.add_argument("--refine-betas", action="store_true", help="fit SKEL's betas too, instead of taking SMPL's")
    parser.add_argument("--keep-heading", action="store_true", help="do not rotate an upright motion to walk along x")
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
    options = options_of(args)  # before the heavy imports, so that a wrong option ends at once
    from ..pipeline.smpl2mot import smpl2mot

    with progress_of(args) as progress:
        people = smpl2mot(args.input, args.out, options, progress=progress)
    facts = []
    for result, fit in people:
        vertex_mm, joint_mm = _mean_mm(fit.vertex_error_m), _mean_mm(fit.joint_error_m)
        skin = "" if vertex_mm is None else f"skin {vertex_mm:.1f} mm from SMPL's; "
        note(args, f"{result.name}: on {result.skel.body}; {skin}{result.checks.text().splitlines()[0]}")
        for text in fit.lost:
            note(args, f"{result.name}: lost: {text}")
        facts.append(
            {
                "body": result.skel.body,
                "smpl_vertex_error_mm": vertex_mm,
                "smpl_joint_error_mm": joint_mm,
                "share_of_angles_beyond_limits": float((fit.limit_excess_rad > _LIMIT_TOLERANCE_RAD).mean()),
                "lost": list(fit.lost),
            }
        )
    return print_results(args, [result for result, _ in people], facts)


def options_of(args: argparse.Namespace) -> Smpl2MotOptions:
    """Build the options from the arguments; loads numpy only."""
    from ..converters.smpl_options import SmplImportOptions
    from ..fitting.world.options import GroundOptions
    from ..pipeline.options import ResultOptions, Smpl2MotOptions

    source, ground = options_from(args, SmplImportOptions), options_from(args, GroundOptions)
    results = options_from(args, ResultOptions, cutoff_hz=args.cutoff_hz or None)
    return options_from(args, Smpl2MotOptions, source=source, results=results, ground=ground)


def _labels(args: argparse.Namespace) -> int:
    """Convert a folder of labels; print the folder of the results, or the counts as JSON."""
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
    facts = {"files": summary.files, "items": summary.items, "accepted": summary.accepted}
    print_result(args, {**facts, "rejected_for": dict(summary.reasons)}, args.out)
    return 0


def _mean_mm(errors_m: FloatArray) -> float | None:
    """Return the mean in mm; None if nothing was measured."""
    mean = float(np.mean(errors_m)) * 1e3
    return mean if math.isfinite(mean) else None

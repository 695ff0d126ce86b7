"""``hsmr-bio id``: joint moments, powers and residuals of a motion."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "id",
        help="inverse dynamics: model, motion and forces -> joint moments and powers",
        description="Net joint moments and powers of a motion, with OpenSim's own solver. Writes NAME_id.sto, NAME_power.sto, "
        "the loads and setup_id.xml, with which OpenSim's own tool gives the same numbers.",
    )
    parser.add_argument("model", type=Path, help="scaled model (.osim)")
    parser.add_argument("motion", type=Path, help="coordinates (.mot)")
    forces = parser.add_mutually_exclusive_group()
    forces.add_argument("--loads", type=Path, help="measured forces: ExternalLoads .xml, .mot, .sto or .c3d")
    forces.add_argument("--estimate", action="store_true", help="estimate the ground reaction from the motion")
    parser.add_argument("-o", "--out", dest="out_dir", type=Path, default=Path(), help="folder of the results (default: here)")
    parser.add_argument(
        "--cutoff-hz",
        type=float,
        default=6.0,
        help="low-pass filter of the coordinates as in OpenSim's tool, 0: none (default: %(default)s)",
    )
    parser.add_argument(
        "--backend",
        choices=("opensim", "nimble"),
        default="opensim",
        help="engine; nimble: BSM models only (default: %(default)s)",
    )
    parser.add_argument("--floor-m", type=float, default=0.0, help="height of the floor (default: %(default)s)")
    parser.add_argument("--per-kg", action="store_true", help="divide forces and powers by the model's mass")
    parser.add_argument("--overwrite", action="store_true", help="replace results that exist already")
    parser.add_argument("--json", action="store_true", help="print peaks, work, residuals and checks as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Do the work; 0: believable, 3: a check of the residuals failed."""
    from ..dynamics import inverse_dynamics
    from ..dynamics.checks import check_dynamics
    from ..dynamics.results import summary, write_dynamics
    from ..io.atomic import new_folder

    cutoff_hz = args.cutoff_hz or None
    loads = "estimate" if args.estimate else args.loads
    result = inverse_dynamics(args.model, args.motion, loads, cutoff_hz=cutoff_hz, backend=args.backend, floor_m=args.floor_m)
    with new_folder(args.out_dir, overwrite=args.overwrite) as folder:
        written = write_dynamics(
            folder,
            result,
            name=args.motion.stem,
            model_file=_relative(args.model, args.out_dir),
            motion_file=_relative(args.motion, args.out_dir),
            cutoff_hz=cutoff_hz,
            per_kg=args.per_kg,
        )
    report = check_dynamics(result) if result.residuals is not None else None
    if args.json:
        print(json.dumps(summary(result), indent=1))
    else:
        for path in written:
            print(args.out_dir / path.name)
    for entry in result.loads.assignments if result.loads is not None else ():
        print(entry, file=sys.stderr)
    if report is not None:
        print(report.text(), file=sys.stderr)
    else:
        print("no external loads: the base carries the whole body (--loads FILE or --estimate)", file=sys.stderr)
    return 3 if report is not None and report.status == "fail" else 0


def _relative(path: Path, folder: Path) -> str:
    """Path as a file in ``folder`` shall name it."""
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()

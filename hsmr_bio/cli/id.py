"""``hsmr-bio id``: compute joint moments, powers and residuals of a motion."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..option_checks import file_name_of
from .common import Subparsers, add_angles, add_json, add_output, beside, exit_code, model_of, note, print_result

if TYPE_CHECKING:
    from ..types import FloatArray

_SAME_TIME_S = 1e-3
"""Times closer than this are the same frame; files have at least three decimals."""


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "id",
        help="inverse dynamics: motion, model and forces -> joint moments and powers",
        description="Net joint moments and powers of a motion, with OpenSim's own solver. Writes NAME_id.sto, NAME_power.sto, "
        "the loads and NAME_setup_id.xml, with which OpenSim's own tool gives the same numbers. "
        "Exit code 3 if the residuals fail.",
    )
    parser.add_argument("motion", type=Path, help="coordinates (.mot)")
    parser.add_argument("--model", type=Path, metavar="OSIM", help="scaled model; default: the .osim of the same name")
    forces = parser.add_mutually_exclusive_group()
    forces.add_argument("--loads", type=Path, metavar="FILE", help="measured forces: ExternalLoads .xml, .mot, .sto or .c3d")
    forces.add_argument("--estimate", action="store_true", help="estimate the ground reaction from the motion")
    parser.add_argument(
        "--cutoff-hz",
        type=float,
        default=6.0,
        help="low-pass filter of the coordinates, as in OpenSim's tool; 0: none (default: %(default)s)",
    )
    parser.add_argument(
        "--backend",
        choices=("opensim", "nimble"),
        default="opensim",
        help="engine; nimble is for BSM models only (default: %(default)s)",
    )
    for name, which in (("start", "first"), ("end", "last")):
        parser.add_argument(
            f"--{name}",
            dest=f"{name}_s",
            type=float,
            metavar="S",
            help=f"{which} time of the result; default: the {which} that motion and forces have in common",
        )
    parser.add_argument("--floor-m", type=float, default=0.0, help="height of the floor (default: %(default)s)")
    parser.add_argument("--per-kg", action="store_true", help="divide forces and powers by the model's mass")
    add_output(parser)
    add_angles(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Solve and write; print the files, or peaks, work and residuals as JSON."""
    from ..dynamics import inverse_dynamics
    from ..dynamics.checks import check_dynamics
    from ..dynamics.opensim_backend import OpenSimBackend
    from ..dynamics.results import summary, write_dynamics
    from ..dynamics.states import read_motion
    from ..io.atomic import new_folder

    model = model_of(args.motion, args.model)
    dynamics = OpenSimBackend(model)
    result = inverse_dynamics(
        read_motion(args.motion, dynamics, angles=args.angles),
        dynamics,
        "estimate" if args.estimate else args.loads,
        cutoff_hz=args.cutoff_hz or None,
        backend=args.backend,
        contacts=_contacts(args) if args.estimate else None,
        floor_m=args.floor_m,
        start_s=args.start_s,
        end_s=args.end_s,
    )
    with new_folder(args.out, overwrite=args.overwrite) as folder:
        written = write_dynamics(
            folder,
            result,
            name=file_name_of(args.motion.stem),
            model_file=_relative(model, args.out),
            motion_file=_relative(args.motion, args.out),
            per_kg=args.per_kg,
        )
    for entry in result.loads.assignments if result.loads is not None else ():
        note(args, str(entry))
    reports = [] if result.residuals is None else [check_dynamics(result)]
    no_forces = "no external forces: the base carries the body (--loads FILE or --estimate)"
    note(args, reports[0].text() if reports else no_forces)
    print_result(args, summary(result), *(args.out / path.name for path in written))
    return exit_code(*reports)


def _contacts(args: argparse.Namespace) -> FloatArray | None:
    """Read the foot contacts in NAME_skel.npz beside the motion, if it has the same frames."""
    import numpy as np

    from ..io.npz import load_motion
    from ..io.table import read_table

    stored = beside(args.motion, "_skel.npz")
    if stored is None:
        return None
    skel, time_s = load_motion(stored), read_table(args.motion).time_s
    if skel.contacts is None or len(skel.time_s) != len(time_s) or not np.allclose(skel.time_s, time_s, atol=_SAME_TIME_S):
        return None
    note(args, f"foot contacts are those of {stored}")
    return skel.contacts


def _relative(path: Path, folder: Path) -> str:
    """Return a path relative to the folder of the results."""
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()

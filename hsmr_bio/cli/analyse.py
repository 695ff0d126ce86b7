"""``hsmr-bio analyse``: events, cycles and parameters of motions, with their uncertainty."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import InputError
from .common import Subparsers, add_json, beside, print_result, progress_of


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "analyse",
        help="events, cycles and parameters of motions: gait, squat, sit to stand, jump, range of motion",
        description="Find foot contacts, squats, rises from a seat or jumps in motions of any OpenSim model with the common "
        "names of bodies, and measure them. Every figure has a standard deviation: with NAME_skel.npz beside the motion it "
        "holds the angles' own. With -o: NAME_events.csv, NAME_parameters.csv, NAME_cycles.csv, NAME_analysis.json.",
    )
    parser.add_argument("motions", type=Path, nargs="+", metavar="MOTION", help="coordinates (.mot, .sto)")
    parser.add_argument("--model", type=Path, metavar="OSIM", help="the motions' model; default: the .osim of the same name")
    parser.add_argument(
        "--task",
        default="auto",
        metavar="TASK",
        help="auto (recognised, default), gait, squat, sit-to-stand, jump, or none (range of motion only)",
    )
    parser.add_argument(
        "--loads", type=Path, metavar="FILE", help="force plates of the motion: ExternalLoads .xml, .mot, .sto, .c3d"
    )
    belt = parser.add_mutually_exclusive_group()
    belt.add_argument("--treadmill", action="store_true", default=None, help="the feet move with a belt; default: recognised")
    belt.add_argument("--overground", dest="treadmill", action="store_false", help="they do not")
    parser.add_argument("--band", type=Path, metavar="CSV", help="reference: percent, <angle>_mean_deg, <angle>_sd_deg")
    parser.add_argument(
        "--height-sd-m",
        type=float,
        help="standard deviation of the body height, if it was not measured (about 0.08 for the population's mean); default: 0",
    )
    parser.add_argument("--draws", type=int, help="draws for the deviations (default: 100; 0: faster, without the angles' own)")
    parser.add_argument("--side-forces", action="store_true", help="estimate the vertical force of each foot (with -o)")
    parser.add_argument("-o", "--out", type=Path, metavar="OUT", help="folder for the tables; default: print only")
    parser.add_argument("--overwrite", action="store_true", help="replace tables that exist already")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Analyse, write and print.

    Raises:
        InputError: a file holds no coordinates, two motions would write the same files, or options do not fit.
    """
    from ..analysis import AnalysisOptions, analyse, side_forces, write_analysis
    from ..converters.content import ConvertOptions
    from ..converters.registry import read
    from ..io.npz import load_motion
    from .common import OK, options_from

    names = [path.stem for path in args.motions]
    if args.out is not None and len(set(names)) < len(names):
        raise InputError("two of the motions have the same name: analyse them into different folders")
    if args.loads is not None and len(names) > 1:
        raise InputError("--loads belong to one motion: analyse the others without them")
    if args.side_forces and args.out is None:
        raise InputError("--side-forces writes a table: give a folder with -o")
    options = options_from(args, AnalysisOptions)
    found, forces = [], []
    with progress_of(args) as progress:
        for k, path in enumerate(args.motions):
            content = read(path, "coordinates", options=ConvertOptions(model=args.model))
            if content.coordinates is None:
                raise InputError(f"{path} holds no coordinates; make them from a SKEL motion with hsmr-bio skel2mot")
            stored = beside(path, "_skel.npz")
            skel = None if stored is None else load_motion(stored)
            found.append(
                analyse(
                    content.coordinates,
                    content.model,
                    loads=args.loads,
                    skel=skel,
                    band=args.band,
                    options=options,
                    name=path.stem,
                )
            )
            forces.append(side_forces(content.coordinates, content.model) if args.side_forces else None)
            progress("analysing", k + 1, len(args.motions))
    files: list[Path] = []
    for one, feet in zip(found, forces, strict=True):
        if args.out is not None:
            files += write_analysis(args.out, one, forces=feet, overwrite=args.overwrite)
    facts = {"motions": [one.to_json() for one in found], "files": [str(path) for path in files]}
    print_result(args, facts, *(one.text() for one in found), *files)
    return OK

"""``hsmr-bio compare``: two motions, coordinate by coordinate, and their parameters."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from .common import OK, Subparsers, add_json, beside, print_result


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "compare",
        help="two motions: RMSE, mean difference, range, r, limits of agreement; parameters with deviations",
        description="Compare the second motion with the first: every common coordinate over the common time, or mean cycles "
        "(--align events), and the parameters of both if both have models. With -o, FIRST_SECOND_compare.csv, "
        "_compare_parameters.csv and _compare.json are written.",
    )
    parser.add_argument("first", type=Path, help="coordinates (.mot, .sto): what is compared with")
    parser.add_argument("second", type=Path, help="coordinates (.mot, .sto)")
    parser.add_argument(
        "--models", type=Path, nargs=2, metavar="OSIM", help="models of the two; default: those of the same names"
    )
    parser.add_argument(
        "--align",
        default="lag",
        metavar="HOW",
        help="time (same clock), lag (best shift, default), or events (mean cycles, 0 to 100 %%)",
    )
    parser.add_argument("--max-lag-s", type=float, default=0.5, help="largest shift (default: %(default)s)")
    parser.add_argument("--draws", type=int, help="draws for the deviations of the parameters (default: 100)")
    parser.add_argument("-o", "--out", type=Path, metavar="OUT", help="folder for the tables; default: print only")
    parser.add_argument("--overwrite", action="store_true", help="replace tables that exist already")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Compare, write and print."""
    from ..analysis import AnalysisOptions, compare
    from ..io.atomic import new_folder
    from .common import options_from

    paths = (args.first, args.second)
    models = args.models or [beside(path, ".osim") for path in paths]
    found = compare(
        *paths,
        models=tuple(models),
        align=args.align,
        max_lag_s=args.max_lag_s,
        options=options_from(args, AnalysisOptions),
    )
    files = []
    if args.out is not None:
        name = f"{args.first.stem}_{args.second.stem}_compare"
        with new_folder(args.out, overwrite=args.overwrite) as folder:
            found.to_frame().to_csv(folder / f"{name}.csv", index=False, float_format="%.6g")
            found.parameters_frame().to_csv(folder / f"{name}_parameters.csv", index=False, float_format="%.6g")
            (folder / f"{name}.json").write_text(
                json.dumps(found.to_json(), indent=1, allow_nan=False) + "\n", encoding="utf-8"
            )
        files = [args.out / f"{name}{ending}" for ending in (".csv", "_parameters.csv", ".json")]
    print_result(args, {**found.to_json(), "files": [str(path) for path in files]}, found.text(), *files)
    return OK

"""``hsmr-bio convert``: convert between formats of motion capture, animation and OpenSim."""

from __future__ import annotations

import argparse
from pathlib import Path

from .common import Subparsers, add_angles, add_image_size, add_json, note, options_from, print_result


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    from ..converters.c3d_axes import UPS
    from ..converters.formats import FORMATS

    parser = subparsers.add_parser(
        "convert",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        help="between file formats: .trc .c3d .bvh .glb .mot .npz .b3d ...",
        description="Convert a file. The content of A says what it is, the ending of B what is wanted; a folder's name\n"
        "without an ending gives a subject folder for AddBiomechanics. What the conversion loses is printed on stderr.",
        epilog="\n".join(("formats:", *(f"  {row.summary}" for row in FORMATS))),
    )
    parser.add_argument("source", type=Path, metavar="A", help="file to read (or a folder of HSMR's results)")
    parser.add_argument("target", type=Path, metavar="B", help="file to write, or a folder")
    parser.add_argument("--model", type=Path, metavar="OSIM", help="model of the coordinates; default: the .osim of A's name")
    parser.add_argument("--body", help="body of a SKEL motion; default: the one it names")
    parser.add_argument(
        "--up",
        choices=UPS,
        metavar="AXIS",
        help="axis of a .c3d that points up: x, y, z, or --up=-z; default: as it says or shows",
    )
    parser.add_argument("--loads", type=Path, metavar="FILE", help="external forces that become force plates of a .c3d")
    parser.add_argument("--unit", choices=("m", "cm", "mm", "inch"), help="unit of a .bvh; default: recognised by its size")
    parser.add_argument("--rate-hz", type=float, help="frames per second, for files that store none")
    add_image_size(parser)
    parser.add_argument("--person", type=int, default=0, help="which of several persons, from 0 (default: %(default)s)")
    parser.add_argument("--trial", help="which trial of a .b3d")
    parser.add_argument(
        "--parts",
        choices=("skin", "bones", "both"),
        default="skin",
        help="what .glb and USD show of the body (default: %(default)s)",
    )
    parser.add_argument("--mass-kg", type=float, help="of the person, for AddBiomechanics")
    parser.add_argument("--height-m", dest="stature_m", type=float, metavar="M", help="of the person, for AddBiomechanics")
    parser.add_argument("--sex", choices=("female", "male", "unknown"), default="unknown", help="for AddBiomechanics")
    parser.add_argument("--overwrite", action="store_true", help="replace B if it exists")
    add_angles(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Convert; print the written file, or its facts as JSON."""
    from ..converters.content import ConvertOptions
    from ..converters.registry import convert

    parts = ("skin", "bones") if args.parts == "both" else (args.parts,)
    done = convert(args.source, args.target, options_from(args, ConvertOptions, parts=parts))
    for text in done.notes:
        note(args, text)
    note(args, f"{done.source} -> {done.target}; lost: {'; '.join(done.lost) if done.lost else 'nothing'}")
    facts = {"written": str(done.written), "source": done.source, "target": done.target}
    print_result(args, {**facts, "lost": list(done.lost), "notes": list(done.notes)}, done.written)
    return 0

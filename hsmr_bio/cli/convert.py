"""``hsmr-bio convert``: convert between formats of motion capture, animation and OpenSim."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import InputError
from .common import Subparsers, add_angles, add_image_size, add_json, note, options_from, print_result


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    from ..converters.bone_names import BONE_NAMES
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
    parser.add_argument("source", type=Path, nargs="?", metavar="A", help="file to read, or a folder of results")
    parser.add_argument("target", type=Path, nargs="?", metavar="B", help="file to write, or a folder")
    parser.add_argument("--list", action="store_true", help="print what is read and written, and stop")
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
    parser.add_argument("--bone-names", choices=BONE_NAMES, help="bones of a .bvh: our own (default), Mixamo's or SMPL's")
    parser.add_argument("--rate-hz", type=float, help="frames per second, for files that store none")
    parser.add_argument("--axes", choices=("auto", "y_up", "z_up", "camera"), help="of joint positions; default: recognised")
    add_image_size(parser)
    parser.add_argument("--person", type=int, default=0, help="which of several persons, from 0 (default: %(default)s)")
    parser.add_argument("--trial", help="which trial of a .b3d or of an OpenCap session")
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
    """Convert; print the written file, or its facts as JSON. With ``--list``: print the formats.

    Raises:
        InputError: source or target is not given; or see :func:`~hsmr_bio.converters.registry.convert`.
    """
    if args.list:
        return _list(args)
    if args.source is None or args.target is None:
        raise InputError("which files? hsmr-bio convert A B; hsmr-bio convert --list prints what is read and written")
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


def _list(args: argparse.Namespace) -> int:
    """Print the formats: read, written, and the programs whose results are read."""
    from ..converters.formats import formats

    rows = formats()
    facts = [
        {
            "name": row.name,
            "endings": list(row.endings),
            "read": row.read is not None,
            "written": row.write is not None,
            "what": row.what,
            "results of": list(row.layouts),
            "extra": row.extra,
        }
        for row in rows
    ]
    lines = [
        line
        for row in rows
        for line in (row.summary, *([f"{'':16}results of {', '.join(row.layouts)}"] if row.layouts else []))
    ]
    print_result(args, facts, *lines)
    return 0

"""``hsmr-bio scale``: make a person's OpenSim model from betas, or from mass and height alone."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from ..errors import InputError
from .common import Subparsers, add_betas, add_body, add_json, add_model, add_output, add_person, print_result, ten_betas


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "scale",
        help="betas, or mass and height, -> a person's OpenSim model",
        description="Make a person's model: NAME.osim, its Geometry folder and the factors as an OpenSim ScaleSet. The shape "
        "comes from a SKEL motion (_skel.npz), from ten betas, or is the average one.",
    )
    parser.add_argument("motion", type=Path, nargs="?", help="a SKEL motion whose betas are used")
    add_betas(parser)
    add_body(parser)
    add_person(parser)
    add_model(parser)
    parser.add_argument("--name", default="subject", help="of the model and its files (default: %(default)s)")
    add_output(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Scale and write; print the paths, or the figures as JSON.

    Raises:
        InputError: both a motion and betas.
    """
    from ..body import load_body, load_named_body
    from ..io.atomic import new_folder
    from ..io.npz import load_motion
    from ..osim.geometry import write_geometry
    from ..osim.twin import twin_model
    from ..scaling import scale_model, write_scale_set

    if args.motion is not None and args.betas is not None:
        raise InputError("give either a motion or --betas, not both")
    if args.motion is not None:
        motion = load_motion(args.motion)
        body, betas = load_named_body(motion.body, args.body), motion.betas
    else:
        betas = ten_betas(args)
        body = load_body(args.body or "open", args.sex or "neutral")
    scale = twin_model if args.model == "twin" else partial(scale_model, joints=args.joints)
    subject = scale(body, betas, mass_kg=args.mass_kg, height_m=args.height_m, sex=args.sex, name=args.name)
    with new_folder(args.out, overwrite=args.overwrite) as folder:
        (folder / f"{args.name}.osim").write_bytes(subject.osim_xml)
        factor = subject.stature_m / body.stature_m(subject.betas)
        write_geometry(folder / "Geometry", body, subject.betas, prefix=args.name, length_factor=factor)
        if args.model == "bsm":
            write_scale_set(folder / f"{args.name}_scale_set.xml", subject)
        written = [str(args.out / path.name) for path in sorted(folder.iterdir())]
    facts = {
        "files": written,
        "body": subject.body,
        "mass_kg": subject.mass_kg,
        "mass_source": subject.mass_source,
        "stature_m": subject.stature_m,
        "scale_factors": dict(subject.scale_factors),
    }
    print_result(args, facts, *written)
    return 0

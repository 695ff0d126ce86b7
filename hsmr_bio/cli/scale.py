"""``hsmr-bio scale``: betas (or mass and height alone) -> a person's OpenSim model."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .common import add_body, add_joints, add_json, add_output, print_json


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "scale",
        help="betas, or mass and height, -> a person's OpenSim model",
        description="Make a person's model: NAME.osim, its Geometry folder and the factors as an OpenSim ScaleSet. The shape "
        "comes from a SKEL motion (_skel.npz), from ten betas, or is the average one.",
    )
    parser.add_argument("motion", type=Path, nargs="?", help="a SKEL motion whose betas are used")
    parser.add_argument("--betas", type=float, nargs="+", metavar="B", help="up to ten betas; the others are 0")
    add_body(parser)
    parser.add_argument("--mass-kg", type=float, help="of the person; default: volume of the skin times the body's density")
    parser.add_argument("--height-m", type=float, help="of the person; default: what the betas give")
    parser.add_argument("--model", choices=("bsm", "twin"), default="bsm", help="default: %(default)s")
    add_joints(parser)
    parser.add_argument("--name", default="subject", help="of the model and its files (default: %(default)s)")
    add_output(parser, what="folder for the results")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Scale and write; print the paths, or the figures as JSON."""
    from ..body import load_body, load_named_body
    from ..io.atomic import new_folder
    from ..io.npz import load_motion
    from ..osim.geometry import write_geometry
    from ..scaling import scale_model, write_scale_set

    if args.motion is not None and args.betas is not None:
        raise InputError("give either a motion or --betas, not both")
    if args.betas is not None and len(args.betas) > 10:
        raise InputError(f"a body has ten betas, got {len(args.betas)}")
    if args.motion is not None:
        motion = load_motion(args.motion)
        body, betas = load_named_body(motion.body, args.body), motion.betas
    else:
        body = load_body(args.body or "open", args.sex or "neutral")
        betas = np.zeros(10)
        betas[: len(args.betas or ())] = args.betas or ()
    if args.model == "twin":
        from ..osim.twin import twin_model

        subject = twin_model(body, betas, mass_kg=args.mass_kg, height_m=args.height_m, name=args.name)
    else:
        person = {"mass_kg": args.mass_kg, "height_m": args.height_m, "sex": args.sex, "name": args.name}
        subject = scale_model(body, betas, joints=args.joints, **person)
    with new_folder(args.out, overwrite=args.overwrite) as folder:
        (folder / f"{args.name}.osim").write_bytes(subject.osim_xml)
        factor = subject.stature_m / body.stature_m(subject.betas)
        write_geometry(folder / "Geometry", body, subject.betas, prefix=args.name, length_factor=factor)
        if args.model == "bsm":
            write_scale_set(folder / f"{args.name}_scale_set.xml", subject)
        written = [str(args.out / path.name) for path in sorted(folder.iterdir())]
    if args.json:
        facts = {"body": subject.body, "mass_kg": subject.mass_kg, "mass_source": subject.mass_source}
        facts |= {"stature_m": subject.stature_m, "scale_factors": dict(subject.scale_factors)}
        print_json({"files": written, **facts})
    else:
        print("\n".join(written))
    return 0

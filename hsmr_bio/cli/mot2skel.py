"""``hsmr-bio mot2skel``: compute SKEL parameters from the coordinates of a BSM or twin."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from .common import Subparsers, add_betas, add_body, add_output, beside, model_of, note, progress_of, ten_betas

if TYPE_CHECKING:
    from ..body import Body
    from ..types import SkelMotion


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "mot2skel",
        help="coordinates of a scaled model -> SKEL parameters, or the moving body (.glb, meshes)",
        description="Find the SKEL parameters whose bones are where the model's bones are. The model must be one of this "
        "program (BSM or twin), and its betas are needed: from NAME_skel.npz, or --betas.",
    )
    parser.add_argument("motion", type=Path, help="coordinates (.mot)")
    parser.add_argument("--model", type=Path, metavar="OSIM", help="the motion's model; default: the .osim of the same name")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--skel", type=Path, metavar="NPZ", help="SKEL motion with the betas; default: NAME_skel.npz")
    add_betas(source)
    add_body(parser)
    parser.add_argument(
        "--part", choices=("skin", "bones"), default="skin", help="surface of .glb and meshes (default: %(default)s)"
    )
    add_output(
        parser,
        "file to write: .npz (ours), .pkl as SKEL's own scripts read it, .glb with the moving body; or a folder for one "
        ".ply mesh a frame",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Map and write; print the path.

    Raises:
        InputError: an unknown kind of file to write, or no model or betas.
    """
    from ..body import load_body, load_named_body
    from ..body.placing import SKEL_TO_WORLD, rotate_motion
    from ..converters.skel import write_skel_alignment
    from ..io.mot import read_mot
    from ..io.npz import load_motion, save_motion
    from ..mapping import to_skel
    from ..osim.library import as_document
    from ..subjects import subject_of_model

    if args.out.suffix not in (".npz", ".pkl", ".glb", ""):
        raise InputError(f"{args.out}: the result is a .npz, .pkl or .glb file, or a folder of meshes")
    document = as_document(model_of(args.motion, args.model))
    if args.betas is not None:
        body, betas = load_body(args.body or "open", args.sex or "neutral"), ten_betas(args)
    else:
        skel = args.skel or beside(args.motion, "_skel.npz")
        if skel is None:
            raise InputError(f"there is no {args.motion.stem}_skel.npz: give the betas of the model with --skel or --betas")
        stored = load_motion(skel)
        body, betas = load_named_body(stored.body, args.body), stored.betas
    subject = subject_of_model(document, body, betas, sex=args.sex)
    result = to_skel(read_mot(args.motion, document), subject, body)
    note(args, f"{subject.model} of {body.name}, {subject.stature_m:.3f} m")
    if args.out.suffix == ".npz":
        save_motion(args.out, result, overwrite=args.overwrite)
    elif args.out.suffix in (".glb", ""):
        _write_surface(args, body, result)
    else:
        write_skel_alignment(args.out, rotate_motion(result, body, SKEL_TO_WORLD.T, frame="skel"), overwrite=args.overwrite)
    print(args.out)
    return 0


def _write_surface(args: argparse.Namespace, body: Body, motion: SkelMotion) -> None:
    """Write the moving surface as a .glb, or as one mesh per frame into a folder."""
    from ..converters.gltf import write_skinned_glb
    from ..converters.meshes import write_meshes
    from ..io.atomic import refuse_existing

    if args.out.suffix == "":
        with progress_of(args) as progress:
            write_meshes(args.out, body, motion, part=args.part, overwrite=args.overwrite, progress=progress)
        return
    refuse_existing([args.out], overwrite=args.overwrite)
    fit = write_skinned_glb(args.out, body, motion, parts=(args.part,))
    note(args, f"a viewer's surface differs from the body's by {1000 * fit.mean_m:.2f} mm, at most {1000 * fit.max_m:.1f} mm")

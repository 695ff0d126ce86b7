"""``hsmr-bio mot2skel``: coordinates of a BSM or twin -> SKEL parameters."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..errors import InputError
from .common import add_body, add_output, beside, note, progress_of, read_model


def add_parser(subparsers: Any) -> None:
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
    source.add_argument("--betas", type=float, nargs="+", metavar="B", help="up to ten betas; the others are 0")
    add_body(parser)
    parser.add_argument(
        "--part", choices=("skin", "bones"), default="skin", help="surface of .glb and meshes (default: %(default)s)"
    )
    add_output(
        parser,
        what="file to write: .npz (ours), .pkl as SKEL's own scripts read it, .glb with the moving body; or a folder for one "
        ".ply mesh a frame",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Map and write; print the path."""
    from ..body import load_body, load_named_body
    from ..body.placing import SKEL_TO_WORLD, rotate_motion
    from ..converters.skel import write_skel_alignment
    from ..io.mot import read_mot
    from ..io.npz import load_motion, save_motion
    from ..mapping import to_skel
    from ..subjects import subject_of_model

    if args.out.suffix not in (".npz", ".pkl", ".glb", ""):
        raise InputError(f"{args.out}: the result is a .npz, .pkl or .glb file, or a folder of meshes")
    model_path = args.model or beside(args.motion, ".osim")
    if model_path is None:
        raise InputError(f"there is no {args.motion.with_suffix('.osim')}: give the motion's model with --model")
    document = read_model(model_path)
    if args.betas is not None:
        if len(args.betas) > 10:
            raise InputError(f"a body has ten betas, got {len(args.betas)}")
        body, betas = load_body(args.body or "open", args.sex or "neutral"), args.betas + [0.0] * (10 - len(args.betas))
    else:
        skel = args.skel or args.motion.with_name(f"{args.motion.stem}_skel.npz")
        if not skel.is_file():
            raise InputError(f"there is no {skel}: give the betas of the model with --skel or --betas")
        known = load_motion(skel)
        body, betas = load_named_body(known.body, args.body), known.betas.tolist()
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


def _write_surface(args: argparse.Namespace, body: Any, motion: Any) -> None:
    from ..converters.gltf import write_skinned_glb
    from ..converters.meshes import write_meshes

    parts = ("skin", "bones") if args.part == "both" else (args.part,)
    if args.out.suffix == "":
        for part in parts:
            with progress_of(args) as progress:
                write_meshes(args.out, body, motion, part=part, overwrite=args.overwrite, progress=progress)
        return
    if args.out.exists() and not args.overwrite:
        raise InputError(f"{args.out} exists already; allow overwriting (--overwrite) or choose another name")
    fit = write_skinned_glb(args.out, body, motion, parts=parts)
    note(args, f"a viewer's surface differs from the body's by {1000 * fit.mean_m:.2f} mm, at most {1000 * fit.max_m:.1f} mm")

"""``hsmr-bio setup``: check and register the user's licensed files."""

from __future__ import annotations

import argparse
from pathlib import Path

from .common import Subparsers, add_json, print_result

CHECKPOINTS = (".ckpt", ".pt", ".pth", ".safetensors")
"""Endings of HSMR's weights."""


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "setup",
        help="check and register your licensed SKEL, SMPL and HSMR files",
        description="Check your licensed files (skel_female.pkl, skel_male.pkl, SMPL_*.pkl, HSMR's hsmr.ckpt) and copy them to "
        "this program's folder, where --body skel and smpl2mot find them. Nothing is downloaded, nothing in a file is run. "
        "The main job needs none of them.",
    )
    parser.add_argument("path", type=Path, nargs="?", help="file, or folder to search; without it: list the registered files")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Register the files, or list the registered ones."""
    from ..body.assets import register, registered_files, search_folders

    if args.path is None:
        found = [str(file) for file in registered_files(".pkl", *CHECKPOINTS)]
        folders = [str(folder) for folder in search_folders()]
        nothing = f"nothing is registered (looked in {', '.join(folders)})"
        print_result(args, {"folders": folders, "files": found}, *(found or [nothing]))
        return 0
    if args.path.suffix in CHECKPOINTS:
        return _checkpoint(args)
    registered = register(args.path)
    rows = [{"kind": f.kind, "sex": f.sex, "source": str(f.source), "registered_as": str(f.target)} for f in registered]
    lines = (f"{row['kind']} {row['sex']}: {row['source']} -> {row['registered_as']}" for row in rows)
    print_result(args, {"files": rows}, *lines)
    return 0


def _checkpoint(args: argparse.Namespace) -> int:
    """Check HSMR's weights and register them."""
    from ..hsmr.checkpoint import register_checkpoint

    target = register_checkpoint(args.path)
    row = {"kind": "hsmr", "source": str(args.path), "registered_as": str(target)}
    print_result(args, {"files": [row]}, f"hsmr: {args.path} -> {target}")
    return 0

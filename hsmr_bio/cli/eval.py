"""``hsmr-bio eval``: compute the tables of the HSMR paper for any predictions."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from .common import Subparsers, add_json, note, print_json

if TYPE_CHECKING:
    from ..fitting.skelify.hsmr_points import HsmrPoints
    from ..types import FloatArray

EXTRA_REGRESSOR = "SMPL_to_J19.pkl"
"""File of the regressor of HSMR's 19 extra keypoints."""
_BODIES = "--body and --regressors for SKEL, --smpl (and --regressors) for SMPL"


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "eval",
        help="the HSMR paper's tables for any predictions (HSMR, or SMPL from HMR2.0, PARE, CLIFF ...)",
        description="Fill the paper's tables: joint and vertex errors, PCK, and how often knees and elbows leave their "
        "limits by 10, 20, 30 degrees. A file of predictions (.npz) holds poses (N, 46) for SKEL, or body_pose (N, 69), "
        "global_orient, betas for SMPL, or pred_keypoints_3d/_2d (N, 44, .), joints, verts; rows in the label file's order.",
    )
    parser.add_argument("predictions", type=Path, nargs="*", help="one file per method; its name becomes the row")
    parser.add_argument(
        "--labels", type=Path, metavar="NPZ", help="official label file: H36M, 3DPW, COCO, LSP, PoseTrack, MOYO"
    )
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="run the network on the labels' images")
    parser.add_argument("--checkpoint", type=Path, metavar="FILE", help="HSMR's weights for --images")
    parser.add_argument("--device", default="cpu", help="default: %(default)s")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="default: %(default)s")
    parser.add_argument("--body", metavar="FILE", help="your SKEL file: poses and betas become keypoints")
    parser.add_argument("--regressors", type=Path, metavar="FOLDER", help="folder with SMPL_to_J19.pkl and J_regressor_*.pkl")
    parser.add_argument(
        "--smpl",
        type=Path,
        metavar="FILE",
        help="your neutral SMPL file: for MOYO's labels, and with --regressors for keypoints of SMPL predictions",
    )
    parser.add_argument(
        "--form",
        choices=("official", "corrected"),
        default="official",
        help="limit test of SMPL rotations: as the paper's code, or with both true Euler solutions; default: %(default)s",
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Evaluate and print the tables or JSON.

    Raises:
        InputError: neither predictions nor images, or images without labels.
    """
    from ..body.smpl_model import load_smpl
    from ..evaluation.evaluate import evaluate, posed, predict, read_predictions, text_tables
    from ..evaluation.labels import read_labels
    from ..fitting.skelify.hsmr_points import read_regressor

    if args.images is not None and args.labels is None:
        raise InputError("--images needs --labels, with the boxes of the people in each image")
    if not args.predictions and args.images is None:
        raise InputError("give files of predictions, or --labels and --images to run the network")
    labels = None if args.labels is None else read_labels(args.labels)
    smpl = None if args.smpl is None else load_smpl(args.smpl)
    points, joint_regressor = _points(args)
    extra = None if args.regressors is None else read_regressor(args.regressors / EXTRA_REGRESSOR)
    methods = [read_predictions(path) for path in args.predictions]
    if args.images is not None and labels is not None:
        from ..hsmr.checkpoint import load_hsmr

        network = load_hsmr(args.checkpoint, device=args.device, dtype=args.dtype)
        methods.append(predict(network, labels, args.images))
    rows = []
    for method in methods:
        ready = posed(method, points=points, smpl_joint_regressor=joint_regressor, smpl=smpl, extra_regressor=extra)
        rows.append((method.name, evaluate(ready, labels, smpl=smpl, form=args.form)))
        if labels is not None and not {"MPJPE", "error_2d"} & set(rows[-1][1]):
            note(args, f"{method.name}: nothing to compare with the labels but angles; joints need a body: {_BODIES}")
    if args.json:
        print_json(dict(rows))
    else:
        print(text_tables(rows, args.form))
    return 0


def _points(args: argparse.Namespace) -> tuple[HsmrPoints | None, FloatArray | None]:
    """Load HSMR's keypoints on the given body, and the regressor of SMPL's joints if there is one."""
    if args.body is None:
        return None, None
    from ..body import load_body
    from ..fitting.skelify.hsmr_points import HsmrPoints, read_regressor

    body = load_body(args.body, "male") if args.body in ("skel", "open") else load_body(args.body)
    if args.regressors is None:
        note(args, "without --regressors the extra keypoints are approximate: figures are not comparable with the paper's")
        return HsmrPoints.from_table(body), None
    extra, mixed = (args.regressors / name for name in (EXTRA_REGRESSOR, "J_regressor_SKEL_mix_MALE.pkl"))
    points = HsmrPoints.from_regressors(body, read_regressor(extra), read_regressor(mixed) if mixed.is_file() else None)
    moyo = args.regressors / "J_regressor_SMPL_MALE.pkl"
    return points, read_regressor(moyo) if moyo.is_file() else None

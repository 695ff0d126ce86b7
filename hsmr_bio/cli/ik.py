"""``hsmr-bio ik``: markers and model -> coordinates."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .common import add_json, beside, note, print_json, progress_of, read_model

if TYPE_CHECKING:
    from ..types import Markers


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "ik",
        help="inverse kinematics: markers and model -> .mot",
        description="Find the coordinates that bring the model's markers closest to the measured ones. Markers are matched by "
        "name. On stdout: the written file, or all figures with --json.",
    )
    parser.add_argument("markers", type=Path, help="measured markers (.trc, .c3d or .b3d)")
    parser.add_argument(
        "--model", type=Path, metavar="OSIM", help="scaled model with markers; default: the .osim of the same name"
    )
    parser.add_argument("-o", "--out", type=Path, metavar="MOT", help="file to write; default: the .mot of the markers' name")
    parser.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
    parser.add_argument(
        "--weight",
        action="append",
        default=[],
        metavar="MARKER=W",
        help="weight of a marker, 1 by default, 0 leaves it out; repeatable",
    )
    parser.add_argument(
        "--lock", action="append", default=[], metavar="COORDINATE", help="coordinate that keeps its default value; repeatable"
    )
    parser.add_argument(
        "--limits",
        choices=("clamped", "all", "none"),
        default="clamped",
        help="ranges that hold: those that the model clamps, all, or none (default: %(default)s)",
    )
    parser.add_argument("--backend", choices=("own", "opensim"), default="own", help="default: %(default)s")
    parser.add_argument("--compare", action="store_true", help="run the other backend as well and print the difference")
    parser.add_argument("--up", choices=("x", "y", "z"), help="axis of a .c3d that points up, if it does not say")
    parser.add_argument("--trial", help="which trial of a .b3d")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Solve and write; print the file, or the figures as JSON."""
    from ..errors import InputError
    from ..fitting.markers.inverse_kinematics import inverse_kinematics, marker_errors
    from ..io.mot import write_mot

    model = args.model or beside(args.markers, ".osim")
    if model is None:
        raise InputError(f"which model? There is no {args.markers.with_suffix('.osim')}; name it with --model MODEL.osim")
    out = args.out or args.markers.with_suffix(".mot")
    if out.exists() and not args.overwrite:
        raise InputError(f"{out} exists already; allow overwriting (--overwrite) or choose another name (-o)")
    document, markers = read_model(model), _read_markers(args)
    settings: dict[str, Any] = {"weights": _weights(args.weight), "locked": args.lock, "limits": args.limits}
    results = {}
    for backend in (args.backend, *(["opensim" if args.backend == "own" else "own"] if args.compare else [])):
        began = time.perf_counter()
        with progress_of(args) as progress:
            motion = inverse_kinematics(markers, document, **settings, backend=backend, progress=progress)
        seconds = time.perf_counter() - began
        results[backend] = motion, marker_errors(motion, document, markers), seconds
    motion, errors, seconds = results[args.backend]
    write_mot(out, motion, overwrite=args.overwrite)
    figures = {backend: _figures(found, used_s) for backend, (_, found, used_s) in results.items()}
    for backend, found in figures.items():
        marker, worst = found["worst_marker"], found["worst_rms_mm"]
        text = f"marker RMS {found['rms_mm']:.2f} mm (worst: {marker}, {worst:.1f} mm), {found['frames_per_s']:.0f} frames/s"
        note(args, f"{backend}: {len(errors.names)} markers, {text}")
    if args.compare:
        figures["difference"] = _difference(*(results[backend][0] for backend in ("own", "opensim")))
        note(args, f"largest difference of the backends: {figures['difference']['text']}")
    if args.json:
        print_json({"file": str(out), "frames": len(motion.time_s), "markers": list(errors.names), **figures})
    else:
        print(out)
    return 0


def _read_markers(args: argparse.Namespace) -> Markers:
    from ..converters.content import ConvertOptions, as_markers
    from ..converters.registry import read

    options = ConvertOptions(up=args.up, trial=args.trial)
    content = read(args.markers, "markers", options=options)
    for text in content.notes:
        note(args, text)
    return as_markers(content, options)[0]


def _weights(pairs: list[str]) -> dict[str, float]:
    from ..errors import InputError

    weights = {}
    for pair in pairs:
        name, _, value = pair.rpartition("=")
        try:
            weights[name] = float(value)
        except ValueError:
            raise InputError(f"--weight wants MARKER=NUMBER, got {pair!r}") from None
    return weights


def _figures(errors: Any, seconds: float) -> dict[str, Any]:
    marker, worst = errors.worst
    return {
        "rms_mm": 1000 * errors.rms_m,
        "worst_marker": marker,
        "worst_rms_mm": 1000 * worst,
        "frames_per_s": len(errors.distance_m) / seconds,
    }


def _difference(one: Any, other: Any) -> dict[str, Any]:
    import numpy as np

    angle = np.rad2deg(np.abs(one.values_si - other.values_si)) * one.rotational
    rms = np.sqrt((angle**2).mean(axis=0))
    column = int(np.argmax(rms))
    name, value = one.coordinates[column], float(rms[column])
    return {"coordinate": name, "rms_deg": value, "text": f"{value:.2f} degrees RMS in {name}"}

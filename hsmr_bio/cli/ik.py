"""``hsmr-bio ik``: compute coordinates from markers and a model."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .common import Subparsers, add_json, model_of, note, print_result, progress_of

if TYPE_CHECKING:
    from ..fitting.markers.inverse_kinematics import Backend, MarkerErrors
    from ..osim.document import OsimDocument
    from ..types import Markers, OsimMotion


def add_parser(subparsers: Subparsers) -> None:
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
    parser.add_argument(
        "--setup",
        type=Path,
        metavar="XML",
        help="OpenSim setup or IKTaskSet with the markers' weights; --weight goes before it",
    )
    parser.add_argument(
        "--backend",
        choices=("auto", "own", "opensim"),
        default="auto",
        help="auto: our solver, OpenSim's own tool for models that only it solves (default: %(default)s)",
    )
    parser.add_argument("--compare", action="store_true", help="run the other backend as well and print the difference")
    parser.add_argument("--up", choices=("x", "y", "z"), help="axis of a .c3d that points up, if it does not say")
    parser.add_argument("--trial", help="which trial of a .b3d")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Solve and write; print the file, or the figures as JSON."""
    from ..fitting.markers.inverse_kinematics import inverse_kinematics, marker_errors
    from ..io.atomic import refuse_existing
    from ..io.mot import write_mot
    from ..osim.library import as_document

    model = model_of(args.markers, args.model)
    out = args.out or args.markers.with_suffix(".mot")
    refuse_existing([out], overwrite=args.overwrite)
    document, markers = as_document(model), _read_markers(args)
    settings: dict[str, Any] = {"weights": _weights(args, document, markers), "locked": args.lock, "limits": args.limits}
    results = {}
    for backend in _backends(args, document):
        began = time.perf_counter()
        with progress_of(args) as progress:
            motion = inverse_kinematics(markers, document, **settings, backend=backend, progress=progress)
        seconds = time.perf_counter() - began
        results[backend] = motion, marker_errors(motion, document, markers), seconds
    motion, errors, _ = next(iter(results.values()))
    write_mot(out, motion, overwrite=args.overwrite)
    figures: dict[str, dict[str, Any]] = {name: _figures(found, used_s) for name, (_, found, used_s) in results.items()}
    for name, found in figures.items():
        marker, worst = found["worst_marker"], found["worst_rms_mm"]
        text = f"marker RMS {found['rms_mm']:.2f} mm (worst: {marker}, {worst:.1f} mm), {found['frames_per_s']:.0f} frames/s"
        note(args, f"{name}: {len(errors.names)} markers, {text}")
    if len(results) > 1:
        figures["difference"] = _difference(results["own"][0], results["opensim"][0])
        note(args, f"largest difference of the backends: {figures['difference']['text']}")
    print_result(args, {"file": str(out), "frames": len(motion.time_s), "markers": list(errors.names), **figures}, out)
    return 0


def _read_markers(args: argparse.Namespace) -> Markers:
    from ..converters.content import ConvertOptions, as_markers
    from ..converters.registry import read

    options = ConvertOptions(up=args.up, trial=args.trial)
    content = read(args.markers, "markers", options=options)
    for text in content.notes:
        note(args, text)
    return as_markers(content, options)[0]


def _backends(args: argparse.Namespace, document: OsimDocument) -> list[Backend]:
    """The backends to run, that of the result first."""
    from ..fitting.markers.inverse_kinematics import why_opensim

    reason = None if args.backend == "own" else why_opensim(document)
    if reason is not None:
        note(args, f"solved by OpenSim's own tool, 20 to 40 times slower: {reason}")
        if args.compare:
            note(args, "nothing to compare with: our solver does not solve this model")
        return ["opensim"]
    both: tuple[Backend, Backend] = ("opensim", "own") if args.backend == "opensim" else ("own", "opensim")
    return list(both[: 1 + args.compare])


def _weights(args: argparse.Namespace, document: OsimDocument, markers: Markers) -> dict[str, float]:
    """Weights of the setup file, then those of the command line."""
    weights: dict[str, float] = {}
    if args.setup is not None:
        from ..fitting.markers.task_set import read_task_set
        from ..osim.marker_names import without_subject

        tasks = read_task_set(args.setup)
        weights = tasks.weights_of(without_subject(markers, document.markers).names, tuple(document.markers))
        if tasks.coordinates:
            names = ", ".join(tasks.coordinates[:3])
            note(
                args,
                f"{args.setup}: {len(tasks.coordinates)} tasks of coordinates ({names} ...) are left out, markers alone decide",
            )
    for pair in args.weight:
        name, _, value = pair.rpartition("=")
        try:
            weights[name] = float(value)
        except ValueError:
            raise InputError(f"--weight wants MARKER=NUMBER, got {pair!r}") from None
    return weights


def _figures(errors: MarkerErrors, seconds: float) -> dict[str, Any]:
    marker, worst = errors.worst
    return {
        "rms_mm": 1000 * errors.rms_m,
        "worst_marker": marker,
        "worst_rms_mm": 1000 * worst,
        "frames_per_s": len(errors.distance_m) / seconds,
    }


def _difference(own: OsimMotion, opensim: OsimMotion) -> dict[str, Any]:
    """Find the coordinate with the largest RMS difference between the two backends."""
    import numpy as np

    angle = np.rad2deg(np.abs(own.values_si - opensim.values_si)) * own.rotational
    rms = np.sqrt((angle**2).mean(axis=0))
    column = int(np.argmax(rms))
    name, value = own.coordinates[column], float(rms[column])
    return {"coordinate": name, "rms_deg": value, "text": f"{value:.2f} degrees RMS in {name}"}

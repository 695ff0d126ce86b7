"""``hsmr-bio info``: what is in a file, or what is installed."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError, InputError
from ..types import Markers
from ..version import __version__
from .common import add_json, ground_figures, print_json, read_model

_PACKAGES = ("numpy", "torch", "opensim", "mediapipe", "nimblephysics", "av", "ezc3d")


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "info",
        help="what is in a model, motion, marker, force or result file",
        description="Say what is in a file (.osim .mot .sto .trc .npz .npy .pkl .c3d .b3d .bvh .glb); without one: versions "
        "and registered bodies.",
    )
    parser.add_argument("file", type=Path, nargs="?")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print what is known."""
    if args.file is None:
        facts = _installation()
    else:
        if not args.file.exists():
            raise InputError(f"{args.file}: there is no such file")
        reader = _READERS.get(args.file.suffix.lower())
        if reader is None:
            raise InputError(f"{args.file}: unknown ending; known: {', '.join(_READERS)}")
        facts = {"file": str(args.file), **reader(args.file)}
    if args.json:
        print_json(facts)
    else:
        _print(facts)
    return 0


def _installation() -> dict[str, Any]:
    from ..body.assets import search_folders

    files = [str(file) for folder in search_folders() if folder.is_dir() for file in sorted(folder.glob("*.pkl"))]
    return {
        "hsmr-bio": __version__,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "bodies": ["open (neutral, female, male)", *files],
    }


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _model(path: Path) -> dict[str, Any]:
    model = read_model(path)
    table = {}
    for name, coordinate in model.coordinates.items():
        factor, unit = (180 / np.pi, "deg") if coordinate.rotational else (1.0, "m")
        low, high = (bound * factor if np.isfinite(bound) else None for bound in coordinate.range_si)
        table[name] = {
            "unit": unit,
            "low": low,
            "high": high,
            "default": coordinate.default_si * factor,
            "joint": coordinate.joint,
        }
    return {
        "kind": "OpenSim model",
        "name": model.name,
        "mass_kg": round(model.mass_kg, 3),
        "bodies": list(model.bodies),
        "markers": len(model.markers),
        "coordinates": table,
    }


def _coordinates(path: Path) -> dict[str, Any]:
    from ..io.table import read_table

    table = read_table(path)
    unit = {True: "degrees and metres", False: "radians and metres, or forces", None: "not stated"}[table.in_degrees]
    columns = {
        name: {"min": _finite(np.nanmin(column)), "max": _finite(np.nanmax(column))}
        for name, column in zip(table.columns, table.values.T, strict=True)
        if np.isfinite(column).any()
    }
    return {"kind": "table over time", "title": table.title, "units": unit, **_time(table.time_s), "columns": columns}


def _markers(path: Path) -> dict[str, Any]:
    from ..io.trc import read_trc

    return {"kind": "markers", **_of_markers(read_trc(path))}


def _of_markers(markers: Markers) -> dict[str, Any]:
    missing = np.isnan(markers.positions_m[..., 0]).mean(axis=0)
    return {
        **_time(markers.time_s),
        "markers": {name: f"{share:.1%} missing" for name, share in zip(markers.names, missing, strict=True)},
    }


def _c3d(path: Path) -> dict[str, Any]:
    from ..converters.c3d import read_c3d
    from ..dynamics.load_files import read_c3d_plates

    try:
        file = read_c3d(path)
        up = file.up
    except FormatError:
        raise
    except InputError:  # nothing says which axis is vertical; what is in the file can be said all the same
        file, up = read_c3d(path, up="z"), "not stated"
    facts = {"kind": "C3D", "vertical axis": up, **_of_markers(file.markers)}
    facts |= {"analog channels": list(file.analog_channels), "events": file.events, "force plates": file.force_plates}
    if file.force_plates:
        try:
            plates = read_c3d_plates(path).forces
        except FormatError as error:
            return facts | {"force plates": str(error)}
        facts["force plates"] = {plate.name: {"peak_n": float(np.linalg.norm(plate.force_n, axis=1).max())} for plate in plates}
    return facts


def _subject(path: Path) -> dict[str, Any]:
    from ..converters.addbiomechanics import read_b3d

    file = read_b3d(path)
    trials = {
        trial.name: {
            "frames": len(trial.markers.time_s),
            "markers": len(trial.markers.names),
            "coordinates": len(trial.motion.coordinates),
            "forces": len(trial.loads.forces),
            "frames without force": trial.missing_force_frames,
        }
        for trial in file.trials
    }
    about = {"mass_kg": file.mass_kg, "stature_m": file.stature_m, "sex": file.sex, "passes": list(file.passes)}
    return {"kind": "AddBiomechanics subject", **about, "trials": trials}


def _bones(path: Path) -> dict[str, Any]:
    from ..converters.content import ConvertOptions
    from ..converters.registry import detect

    known = detect(path)
    content = known.read(path, ConvertOptions()) if known.read is not None else None
    if content is None or content.bones is None:
        raise InputError(f"{path}: no skeleton animation is in it")
    return {"kind": f"skeleton animation ({known.name})", **_time(content.bones.time_s), "notes": list(content.notes)} | {
        "bones": list(content.bones.names)
    }


def _stored(path: Path) -> dict[str, Any]:
    from ..io.npz import kind_of, load_motion, load_observation

    kind = kind_of(path)
    if kind == "SkelMotion":
        motion = load_motion(path)
        betas = [round(float(beta), 4) for beta in motion.betas]
        facts = {"kind": "SKEL motion", **_time(motion.time_s), "body": motion.body, "frame": motion.frame}
        return facts | {
            "source": motion.source,
            "betas": betas,
            "ground": ground_figures(motion.ground),
            "notes": dict(motion.notes),
        }
    if kind == "Observation":
        seen = load_observation(path)
        camera = {"image_size_px": list(seen.camera.image_size_px), "focal_px": seen.camera.focal_px}
        facts = {"kind": "observation", **_time(seen.time_s), "keypoint_set": str(seen.keypoint_set), "source": seen.source}
        return facts | camera | {"focal_source": seen.camera.source, "seen": f"{seen.seen.mean():.1%} of frames"}
    return _hsmr(path)


def _hsmr(path: Path) -> dict[str, Any]:
    from ..converters.hsmr import read_hsmr

    people = read_hsmr(path, rate_hz=1.0)
    frames = people[0].notes["frames_in_file"]
    seen = [f"{len(motion.time_s)} frames from {int(motion.time_s[0])} to {int(motion.time_s[-1])}" for motion in people]
    return {"kind": "HSMR demo result", "frames": frames, "people": seen, "body": people[0].body}


def _pickle(path: Path) -> dict[str, Any]:
    from ..converters.skel import read_skel_alignment

    motion = read_skel_alignment(path, rate_hz=1.0)
    return {"kind": "SKEL alignment", "frames": len(motion.time_s), "body": motion.body, **dict(motion.notes)}


def _time(time_s: Any) -> dict[str, Any]:
    steps = np.diff(time_s)
    even = len(steps) > 0 and np.ptp(steps) < 0.01 * np.median(steps)
    rate = round(float(1 / steps.mean()), 4) if len(steps) else None
    return {
        "frames": len(time_s),
        "from_s": float(time_s[0]),
        "to_s": float(time_s[-1]),
        "rate_hz": rate,
        "even": bool(even) if len(steps) else None,
    }


def _finite(value: Any) -> float:
    return round(float(value), 6)


def _print(facts: dict[str, Any], indent: str = "") -> None:
    for key, value in facts.items():
        if isinstance(value, dict) and value:
            print(f"{indent}{key}:")
            if all(isinstance(item, dict) for item in value.values()):
                for name, row in value.items():
                    print(f"{indent}  {name:26}" + "  ".join(f"{k} {_text(v)}" for k, v in row.items()))
            else:
                _print(value, indent + "  ")
        else:
            print(f"{indent}{key}: {_text(value)}")


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value)
    return "-" if value is None else str(value)


_READERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    ".osim": _model,
    ".mot": _coordinates,
    ".sto": _coordinates,
    ".trc": _markers,
    ".npz": _stored,
    ".npy": _hsmr,
    ".pkl": _pickle,
    ".c3d": _c3d,
    ".b3d": _subject,
    ".bvh": _bones,
    ".glb": _bones,
}

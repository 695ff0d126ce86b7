"""``hsmr-bio view``: show a result in the browser or in OpenSim's own window."""

from __future__ import annotations

import argparse
import os
import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..io.staging import finish
from .common import Subparsers, model_of, note

if TYPE_CHECKING:
    from ..types import OsimMotion


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "view",
        help="open the report of a result, or show a motion in OpenSim's window",
        description="Open the report of a result in the browser. A motion without a report gets one: NAME_report.html beside "
        "it, from NAME.mot and NAME.osim; a report that is older than the motion stays, and the new one is NAME_view.html. "
        "On a machine without a display the address is printed.",
    )
    parser.add_argument("result", type=Path, help="folder of image2mot, a report (.html), or a motion (.mot, .sto)")
    parser.add_argument("--model", type=Path, metavar="OSIM", help="the motion's model; default: the .osim of the same name")
    parser.add_argument(
        "--opensim", action="store_true", help="show the motion in OpenSim's visualizer instead (needs a display)"
    )
    parser.add_argument("--no-open", action="store_true", help="only print where the report is")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Find or make the report and open it; print its address."""
    if args.opensim:
        _show_in_opensim(_motion_of(args.result), args.model)
        return 0
    report = _report_of(args)
    print(report.resolve().as_uri())
    if args.no_open:
        return 0
    if not _has_display() or not webbrowser.open(report.resolve().as_uri()):
        note(args, "no browser can be opened here: copy the file to a machine with a screen, it needs nothing else")
    return 0


def _has_display() -> bool:
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _only(folder: Path, pattern: str, what: str) -> Path:
    found = sorted(folder.glob(pattern))
    if not found:
        raise InputError(f"{folder}: there is no {what} in this folder (looked for {pattern})")
    if len(found) > 1:
        raise InputError(f"{folder}: there are {len(found)} of {pattern}; say which one: {', '.join(p.name for p in found)}")
    return found[0]


def _motion_of(result: Path) -> Path:
    from ..converters.registry import readable_endings

    motion = _only(result, "*.mot", "motion") if result.is_dir() else result
    endings = readable_endings("coordinates")
    if motion.suffix not in endings or not motion.is_file():
        raise InputError(f"{motion}: a motion ({', '.join(endings)}) or a folder with one was expected")
    return motion


def _report_of(args: argparse.Namespace) -> Path:
    result: Path = args.result
    finish(result if result.is_dir() else result.parent)
    if result.is_dir():
        if list(result.glob("*_report.html")) or not list(result.glob("*.mot")):
            return _only(result, "*_report.html", "report")
        result = _motion_of(result)
    if not result.is_file():
        raise InputError(f"{result}: there is no such file or folder")
    if result.suffix == ".html":
        return result
    motion = _motion_of(result)
    ready, own = (motion.with_name(f"{motion.stem}_{word}.html") for word in ("report", "view"))
    for page in (ready, own):
        if page.is_file() and page.stat().st_mtime >= motion.stat().st_mtime and args.model is None:
            return page
    if not ready.exists():
        return _make_report(motion, args.model, ready)
    reason = "is older than the motion" if args.model is None else "is perhaps of another model"
    note(args, f"{ready.name} {reason} and stays as it is; the new report is {own.name}")
    return _make_report(motion, args.model, own)


def _coordinates(path: Path, model: Path) -> OsimMotion:
    from ..converters.content import ConvertOptions
    from ..converters.registry import read

    motion = read(path, "coordinates", options=ConvertOptions(model=model)).coordinates
    if motion is None:
        raise InputError(f"{path} holds no coordinates")
    return motion


def _make_report(path: Path, given: Path | None, target: Path) -> Path:
    from ..checks.check_motion import check_motion
    from ..io.atomic import new_folder
    from ..osim.library import as_document
    from ..report import ReportInputs, model_skeleton, write_report

    model_path = model_of(path, given)
    document, motion = as_document(model_path), _coordinates(path, model_path)
    joints_m, names, bones = model_skeleton(motion, document)
    ranges = {name: c.range_si for name, c in document.coordinates.items() if c.rotational and name in motion.coordinates}
    inputs = ReportInputs(
        name=path.stem,
        checks=check_motion(motion, document),
        motion=motion,
        ranges_si=ranges,
        joints_m=joints_m,
        joint_names=names,
        bones=bones,
        files=(path.name, model_path.name),
    )
    with new_folder(target.parent, overwrite=True) as folder:
        write_report(folder / target.name, folder / f"{target.stem}.json", inputs)
    return target


def _show_in_opensim(path: Path, given: Path | None) -> None:
    from ..errors import ModelError, require

    model_path = model_of(path, given)
    if not _has_display():
        raise InputError("OpenSim's window needs a display, and there is none; leave out --opensim to get the report")
    opensim = require("opensim", feature="OpenSim's window")
    motion = _coordinates(path, model_path)
    opensim.Logger.setLevelString("Error")
    opensim.ModelVisualizer.addDirToGeometrySearchPaths(str(model_path.resolve().parent / "Geometry"))
    try:
        model = opensim.Model(str(model_path))
        model.initSystem()
        table = opensim.TimeSeriesTable()
        paths = {c.getName(): f"{c.getAbsolutePathString()}/value" for c in model.getComponentsList() if _is_coordinate(c)}
        known = [name for name in motion.coordinates if name in paths]
        table.setColumnLabels([paths[name] for name in known])
        columns = [motion.coordinates.index(name) for name in known]
        for time, row in zip(motion.time_s, motion.values_si[:, columns], strict=True):
            table.appendRow(float(time), opensim.RowVector(row.tolist()))
        table.addTableMetaDataString("inDegrees", "no")
        opensim.VisualizerUtilities.showMotion(model, table)
    except RuntimeError as error:
        raise ModelError(f"OpenSim cannot show this motion: {str(error).strip().splitlines()[0]}") from None


def _is_coordinate(component: Any) -> bool:
    return str(component.getConcreteClassName()) == "Coordinate"

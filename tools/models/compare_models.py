"""Compares our reading of OpenSim models with OpenSim's own, file by file.

    python tools/models/compare_models.py FOLDER [--tolerance-m 1e-9] [--verbose]

Every ``.osim`` under the folder is loaded by OpenSim in a process of its own, which sets the default posture and a random one
within the ranges, and prints where it places the bodies and markers. The same coordinates go through ``OsimDocument``.
Printed is how many files are read and equal, how many are refused in one line, how many are wrong; exit code 1 if one is.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

POINTS_M = np.vstack([np.zeros(3), np.eye(3)])
"""Points of each body that are compared: the origin and one on each axis."""
WAIT_S = 120


def worker() -> None:
    """Load the models that are named on standard input, and print a line of JSON for each."""
    import opensim

    opensim.Logger.setLevelString("Off")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the library prints
    for line in sys.stdin:
        try:
            found = _places(opensim, line.rstrip("\n"))
        except (RuntimeError, TypeError, AttributeError) as error:
            found = {"error": " ".join(str(error).split())[:200]}
        answers.write(json.dumps(found) + "\n")
        answers.flush()


def _places(opensim: Any, path: str) -> dict[str, Any]:
    os.chdir(Path(path).parent)
    model = opensim.Model(path)
    state = model.initSystem()
    coordinates = {c.getName(): c for c in (model.getCoordinateSet().get(i) for i in range(model.getCoordinateSet().getSize()))}
    random, values = np.random.default_rng(0), {}
    for name, coordinate in coordinates.items():
        coordinate.setLocked(state, False)
        low, high = max(coordinate.getRangeMin(), -10.0), min(coordinate.getRangeMax(), 10.0)
        values[name] = low + (high - low) * random.random() if low < high else random.random()
    found = []
    for posture in ({name: c.getDefaultValue() for name, c in coordinates.items()}, values):
        for name, value in posture.items():
            coordinates[name].setValue(state, value, False)
        model.realizePosition(state)
        reached = {name: c.getValue(state) for name, c in coordinates.items()}
        found.append({"values": reached, **_snapshot(opensim, model, state)})
    kinds = {name: int(c.getMotionType()) for name, c in coordinates.items()}
    return {"postures": found, "rotational": {name: kind == 1 for name, kind in kinds.items()}}


def _snapshot(opensim: Any, model: Any, state: Any) -> dict[str, Any]:
    bodies, markers = {}, {}
    for i in range(model.getBodySet().getSize()):
        body = model.getBodySet().get(i)
        points = [body.findStationLocationInGround(state, opensim.Vec3(*point)).to_numpy() for point in POINTS_M]
        bodies[body.getName()] = np.array(points).tolist()
    for i in range(model.getMarkerSet().getSize()):
        marker = model.getMarkerSet().get(i)
        markers[marker.getName()] = marker.getLocationInGround(state).to_numpy().tolist()
    return {"bodies": bodies, "markers": markers}


def by_opensim(files: list[Path]) -> Iterator[dict[str, Any]]:
    """What OpenSim says about each file; ``error`` where it cannot load it."""
    process = None
    for path in files:
        if process is None or process.poll() is not None:
            process = subprocess.Popen(
                [sys.executable, __file__, "--worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        process.stdin.write(f"{path}\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], WAIT_S)
        line = process.stdout.readline() if ready else ""
        if not line:
            process.kill()
            process.wait()
        yield json.loads(line) if line else {"error": "OpenSim crashes or hangs"}
    if process is not None:
        process.kill()


def compared(path: Path, theirs: dict[str, Any]) -> tuple[float, str]:
    """Largest distance in m from OpenSim's points, and a remark; NaN and our message where the model is refused."""
    from hsmr_bio.errors import HsmrBioError
    from hsmr_bio.osim.document import OsimDocument

    try:
        document = OsimDocument.read(path)
        tree = document.tree()
        document.couple(document.default_si)
        markers = document.markers
    except HsmrBioError as error:
        return np.nan, str(error)
    names = list(theirs["rotational"])
    if list(document.coordinates) != names:
        return np.inf, f"coordinates {list(document.coordinates)[:4]} ..., OpenSim has {names[:4]} ..."
    if [c.rotational for c in document.coordinates.values()] != list(theirs["rotational"].values()):
        return np.inf, "other coordinates are angles"
    if set(theirs["postures"][0]["markers"]) != set(markers):
        return np.inf, "other markers"
    worst = 0.0
    for posture in theirs["postures"]:
        pose = tree.forward([posture["values"][name] for name in names])
        for name, points in posture["bodies"].items():
            placed = (
                pose.rotations[tree.bodies.index(name)].numpy() @ POINTS_M.T
                + pose.positions_m[tree.bodies.index(name), :, None].numpy()
            )
            worst = max(worst, float(np.abs(placed.T - points).max()))
        for name, point in posture["markers"].items():
            body = markers[name].body
            if body == "ground":
                place = np.array(markers[name].position_m)
            else:
                index = tree.bodies.index(body)
                place = pose.rotations[index].numpy() @ markers[name].position_m + pose.positions_m[index].numpy()
            worst = max(worst, float(np.abs(place - point).max()))
    return worst, "; ".join(document.constraints.others)


def main() -> int:
    """Compare all files of a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--tolerance-m", type=float, default=1e-9)
    parser.add_argument("--verbose", action="store_true", help="print the refused files too")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        worker()
        return 0
    files = sorted(path.resolve() for path in args.folder.rglob("*") if path.suffix.lower() == ".osim")
    counts = {"equal": 0, "refused in one line": 0, "wrong": 0, "not loaded by OpenSim itself": 0}
    largest = 0.0
    for path, theirs in zip(files, by_opensim(files), strict=True):
        if "error" in theirs:
            counts["not loaded by OpenSim itself"] += 1
            continue
        distance_m, remark = compared(path, theirs)
        kind = "refused in one line" if np.isnan(distance_m) else "equal" if distance_m <= args.tolerance_m else "wrong"
        counts[kind] += 1
        if kind == "equal":
            largest = max(largest, distance_m)
        if kind == "wrong" or (args.verbose and kind == "refused in one line"):
            print(f"{kind}: {path}: {distance_m:.3g} m {remark}")
    print(
        ", ".join(f"{count} {kind}" for kind, count in counts.items()) + f"; largest distance of the equal ones {largest:.1e} m"
    )
    return 1 if counts["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())

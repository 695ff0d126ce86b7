"""Runs ``image2mot`` on rendered clips and compares the files that it writes with the truth.

python tools/yardstick/score.py CLIPS OUT [--observations FOLDER] [--only TEXT]: CLIPS is a folder of clips.py. OUT gets a row
for each clip, ``scores.json`` and ``scores.md``; rows that are there are kept. Observations are kept in OUT/observations
or taken from the folder given: then only fit, grounding and checks run, a tenth of the time.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from angles import centres, differences, point_angles
from recordings import SIDES, Array
from verdicts import check_table, verdict_table

from hsmr_bio.body.load import load_body
from hsmr_bio.checks.check_report import CheckReport
from hsmr_bio.errors import HsmrBioError
from hsmr_bio.io.mot import read_mot
from hsmr_bio.io.npz import load_motion
from hsmr_bio.osim.document import OsimDocument
from hsmr_bio.osim.placed import place_model
from hsmr_bio.pipeline.image2mot import image2mot
from hsmr_bio.pipeline.options import Image2MotOptions
from hsmr_bio.pipeline.results import Result
from hsmr_bio.skeleton import DOF_NAMES, JOINT_NAMES
from hsmr_bio.types import SkelMotion

SD_GROUPS = {
    "hips": ("hip_flexion", "hip_adduction", "hip_rotation"),
    "knees": ("knee_angle",),
    "ankles": ("ankle_angle",),
    "elbows": ("elbow_flexion",),
}
"""Angles whose stated deviation is compared with their error: those that have the same zero in every body."""
GROUPINGS = ("view", "tilt", "size", "height", "verdict", "kind")
NOTHING = "none"
"""Verdict of a clip on which the command gave up."""


@dataclass(frozen=True)
class Row:
    """Scores of one clip; angles in degrees."""

    name: str
    kind: str
    view: str
    tilt: str
    size: str
    height: str
    verdict: str
    failed: str
    """Checks that did not pass, or the error."""
    coverage: float
    """Share of the clip's time that has a result."""
    mean: float | None
    """Mean over twelve angles of their root mean square errors."""
    unbiased: float | None
    """The same without each angle's own mean error."""
    elbows: float | None
    knees: float | None
    hips: float | None
    trunk: float | None
    gravity: float | None
    """Angle between the estimated and the true vertical."""
    scale: float | None
    """Length of the estimated legs over the true ones."""
    over_sd: Mapping[str, float]
    """Group of angles -> root mean square of error over stated deviation."""
    within_two_sd: Mapping[str, float]
    angles: Mapping[str, float]
    seconds: float
    checks: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    """Check that was made -> its status and its figure."""


def interpolated(time_s: Array, values: Array, wanted_s: Array) -> Array:
    """Values (N, ...) at wanted times, linear between neighbours."""
    flat = values.reshape(len(values), -1)
    return np.stack([np.interp(wanted_s, time_s, column) for column in flat.T], axis=1).reshape(-1, *values.shape[1:])


def errors(truth: SkelMotion, model: Path, motion: Path) -> tuple[dict[str, Array], float, float]:
    """Errors of written files.

    Args:
        truth: in the world, from time 0.
        model: ``.osim``.
        motion: ``.mot``.

    Returns:
        Angle -> (N,) errors in degrees at the truth's times; share of the truth's time that has a result; scale of the legs.
    """
    placed = place_model(read_mot(motion), OsimDocument.read(model))
    time_s = np.asarray(truth.time_s)
    inside = (time_s >= placed.time_s[0] - 1e-6) & (time_s <= placed.time_s[-1] + 1e-6)
    found = centres(placed.bodies, interpolated(placed.time_s, placed.positions_m, time_s[inside]))
    true = centres(JOINT_NAMES, joints_of(truth)[inside])
    legs = [_leg_m(at) for at in (found, true)]
    mine, theirs = point_angles(found), point_angles(true)
    return {name: differences(mine[name], theirs[name]) for name in theirs}, float(inside.mean()), legs[0] / legs[1]


def _leg_m(at: Mapping[str, Array]) -> float:
    """Length of both legs from hip to ankle."""
    bones = [at[f"{near}_{s}"] - at[f"{far}_{s}"] for near, far in (("hip", "knee"), ("knee", "ankle")) for s in SIDES]
    return float(sum(np.median(np.linalg.norm(bone, axis=1)) for bone in bones))


def joints_of(motion: SkelMotion) -> Array:
    """(T, 24, 3) joint centres of a motion of an open body."""
    bodies = {body.name: body for body in (load_body("open", sex) for sex in ("neutral", "female", "male"))}
    return np.asarray(bodies[motion.body].forward(motion.poses_rad, motion.betas, motion.trans_m).joints_m.numpy())


def over_deviation(truth: SkelMotion, estimate: SkelMotion) -> tuple[dict[str, float], dict[str, float]]:
    """Error over stated deviation of SKEL's angles, by group: root mean square, and share within two."""
    if estimate.poses_sd_rad is None:
        return {}, {}
    time_s = np.asarray(truth.time_s)
    inside = (time_s >= estimate.time_s[0]) & (time_s <= estimate.time_s[-1])
    found, sd = (interpolated(estimate.time_s, a, time_s[inside]) for a in (estimate.poses_rad, estimate.poses_sd_rad))
    off = np.radians(differences(np.degrees(found), np.degrees(truth.poses_rad[inside]))) / np.maximum(sd, 1e-6)
    columns = {g: [i for i, name in enumerate(DOF_NAMES) if name.startswith(starts)] for g, starts in SD_GROUPS.items()}
    rms = {group: float(np.sqrt(np.mean(off[:, index] ** 2))) for group, index in columns.items()}
    return rms, {group: float(np.mean(np.abs(off[:, index]) < 2)) for group, index in columns.items()}


def score_clip(clip: Mapping[str, object], clips: Path, observations: Path, *, stored: bool) -> Row:
    """Run the command on one clip and score its files.

    Args:
        clip: row of ``clips.json``.
        clips: folder of the videos and truths.
        observations: folder that observations are read from or kept in.
        stored: whether to read the observation instead of the video.

    Returns:
        The scores; without figures if the command gave up.
    """
    name, begin = str(clip["name"]), time.perf_counter()
    observation = observations / f"{name}_observation.npz"
    options = Image2MotOptions(
        estimator="replay" if stored else "blazepose",
        height_m=float(str(clip["stature_m"])) if clip["height"] == "known" else None,
        name=name,
        save_observation=not stored,
    )
    facts = {key: str(clip[key]) for key in ("name", "kind", "view", "tilt", "size", "height")}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        try:
            result = image2mot(observation if stored else clips / f"{name}.mp4", out, options)
        except HsmrBioError as error:
            figures = {"verdict": NOTHING, "failed": str(error)[:120], "coverage": 0.0, **_EMPTY}
        else:
            if not stored:
                observations.mkdir(parents=True, exist_ok=True)
                shutil.copy(out / observation.name, observation)
            figures = _figures(load_motion(clips / f"{name}_truth.npz"), out / name, cast(Result, result).checks)
    return Row(**facts, **figures, seconds=time.perf_counter() - begin)


def _figures(truth: SkelMotion, stem: Path, checks: CheckReport) -> dict[str, Any]:
    """Fields of a row, from the files whose names begin with a stem."""
    found, coverage, scale = errors(truth, stem.with_suffix(".osim"), stem.with_suffix(".mot"))
    estimate = load_motion(stem.with_name(f"{stem.name}_skel.npz"))
    rms = {angle: float(np.sqrt(np.mean(e**2))) for angle, e in found.items()}
    over, within = over_deviation(truth, estimate)
    return {
        "verdict": checks.status,
        "failed": "; ".join(f"{check.name} {check.status}" for check in checks.checks if check.status in ("warn", "fail")),
        "checks": {check.name: (check.status, check.value) for check in checks.checks if check.value is not None},
        "coverage": coverage,
        "mean": float(np.mean(list(rms.values()))),
        "unbiased": float(np.mean([np.std(e) for e in found.values()])),
        **{group: _mean_of(rms, part) for group, part in _PARTS.items()},
        "gravity": _gravity_deg(truth, estimate),
        "scale": scale,
        "over_sd": over,
        "within_two_sd": within,
        "angles": {angle: round(value, 2) for angle, value in rms.items()},
    }


_PARTS = {"elbows": "elbow_", "knees": "knee_", "hips": "hip_", "trunk": "trunk_"}
_EMPTY: dict[str, Any] = {
    **dict.fromkeys(("mean", "unbiased", *_PARTS, "gravity", "scale")),
    **{key: {} for key in ("over_sd", "within_two_sd", "angles")},
}


def _mean_of(rms: Mapping[str, float], start: str) -> float:
    return float(np.mean([value for name, value in rms.items() if name.startswith(start)]))


def _gravity_deg(truth: SkelMotion, estimate: SkelMotion) -> float | None:
    if truth.ground is None or estimate.ground is None:
        return None
    a, b = truth.ground.R_camera_world[:, 1], estimate.ground.R_camera_world[:, 1]
    return float(np.degrees(np.arccos(np.clip(a @ b, -1, 1))))


def summary(rows: Sequence[Row]) -> dict[str, float | None]:
    """Means over clips with a result; the largest error; error over deviation as root mean square over clips."""
    scored = [row for row in rows if row.mean is not None]
    figures: dict[str, float | None] = {"clips": len(rows), "without result": len(rows) - len(scored)}
    for key in ("mean", "unbiased", *_PARTS, "gravity"):
        values = [value for row in scored if (value := getattr(row, key)) is not None]
        figures[key] = float(np.mean(values)) if values else None
    figures["worst"] = max((row.mean for row in scored if row.mean is not None), default=None)
    for group in SD_GROUPS:
        squares = [row.over_sd[group] ** 2 for row in scored if group in row.over_sd]
        figures[f"{group} over sd"] = float(np.sqrt(np.mean(squares))) if squares else None
    return figures


def _grouped(rows: Sequence[Row], grouping: str) -> dict[str, list[Row]]:
    """Rows by the value of a field, ``all``: one group."""
    values = ["all"] if grouping == "all" else sorted({str(getattr(row, grouping)) for row in rows})
    return {value: [row for row in rows if grouping == "all" or getattr(row, grouping) == value] for value in values}


def markdown(rows: Sequence[Row]) -> str:
    """Tables by view, tilt, size, height, verdict and kind, what the verdicts are worth, then every clip."""
    lines = ["# Scores of rendered clips", "", "Root mean square errors in degrees.", ""]
    for grouping in ("all", *GROUPINGS):
        table = {value: summary(group) for value, group in _grouped(rows, grouping).items()}
        head = [grouping, *next(iter(table.values()))] if table else [grouping]
        lines += [f"| {' | '.join(head)} |", "|" + " --- |" * len(head)]
        lines += [f"| {value} | {' | '.join(_cell(f) for f in figures.values())} |" for value, figures in table.items()]
        lines.append("")
    lines += [*verdict_table(rows), "", *check_table(rows), ""]
    head = ["clip", "verdict", "mean", "unbiased", *_PARTS, "gravity", "scale", "coverage", "not passed"]
    lines += [f"| {' | '.join(head)} |", "|" + " --- |" * len(head)]
    for row in rows:
        figures = (row.mean, row.unbiased, *(getattr(row, part) for part in _PARTS), row.gravity)
        cells = [_cell(f) for f in figures] + ["-" if row.scale is None else f"{row.scale:.2f}", f"{row.coverage:.2f}"]
        lines.append(f"| {row.name} | {row.verdict} | {' | '.join(cells)} | {row.failed} |")
    return "\n".join(lines) + "\n"


def _cell(value: float | None) -> str:
    return "-" if value is None else str(value) if isinstance(value, int) else f"{value:.1f}"


def main() -> None:
    """Read the command line, score, write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--observations", type=Path, help="stored observations; nothing is detected")
    parser.add_argument("--only", default="", help="clips with this in their name")
    args = parser.parse_args()
    torch.set_num_threads(1)
    (args.out / "rows").mkdir(parents=True, exist_ok=True)
    rows = []
    for clip in json.loads((args.clips / "clips.json").read_text()):
        file = args.out / "rows" / f"{clip['name']}.json"
        if args.only not in clip["name"]:
            continue
        if not file.exists():
            folder = args.observations or args.out / "observations"
            row = score_clip(clip, args.clips, folder, stored=args.observations is not None)
            file.write_text(json.dumps(asdict(row), indent=1))
        rows.append(Row(**json.loads(file.read_text())))
        sys.stdout.write(f"{rows[-1].name}: {rows[-1].verdict}, {_cell(rows[-1].mean)} degrees, {rows[-1].seconds:.0f} s\n")
        sys.stdout.flush()
    figures: dict[str, object] = {"all": summary(rows), "rows": [asdict(row) for row in rows]}
    for grouping in GROUPINGS:
        figures[grouping] = {value: summary(group) for value, group in _grouped(rows, grouping).items()}
    (args.out / "scores.json").write_text(json.dumps(figures, indent=1))
    (args.out / "scores.md").write_text(markdown(rows))


if __name__ == "__main__":
    main()

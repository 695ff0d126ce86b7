"""Runs ``image2mot`` on clips of crossing.py and scores what it says of the first person before, during and after the crossing.

python tools/yardstick/crossing_score.py CLIPS OUT [--observe] [--only TEXT]: OUT gets observations, ``rows.json`` and
``scores.md``. With ``--observe`` only the estimator runs: no angles. Rows and observations that are there are kept.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from recordings import Array
from score import errors

from hsmr_bio.errors import EstimationError, HsmrBioError
from hsmr_bio.estimators import EstimateOptions, estimate
from hsmr_bio.estimators.label_swaps import LEGS
from hsmr_bio.io.npz import load_motion, load_observation, save_observation
from hsmr_bio.pipeline.image2mot import image2mot
from hsmr_bio.pipeline.options import Image2MotOptions
from hsmr_bio.types import Observation

PHASES = ("before", "during", "after")
BODY = slice(11, 33)
TRUNK = [11, 12, 23, 24]
BELIEVED = 0.5
"""Confidence from which a landmark counts as believed."""
_OVERLAP = 0.98
"""Share of its pixels below which a person is hidden in part: the crossing."""
_BOX_MARGIN_PX = 8.0
_SWAPPED = 0.1
"""Torso lengths by which the legs must fit better with left and right exchanged."""


@dataclass(frozen=True)
class Row:
    """Scores of one clip. Shares are of the frames of a phase; lengths are in torso lengths; angles in degrees."""

    name: str
    lost: Mapping[str, float]
    """Share of the frames without the person."""
    wrong: Mapping[str, float]
    """Share of the seen frames whose landmarks are nearer to the other person's places."""
    swapped: Mapping[str, float]
    """Share of the seen frames whose legs fit with left and right exchanged."""
    off: Mapping[str, float]
    """90th percentile of the distance of believed landmarks from their places."""
    believed: float
    """Share of the landmarks of hidden places that are believed, where the person is seen."""
    unbelieved: float
    """Share of the landmarks of shown places that are not believed, where the person is seen and the two overlap."""
    angles: Mapping[str, float]
    """Mean over twelve angles of their root mean square errors."""
    verdict: str
    notes: tuple[str, ...]
    seconds: float


def phases(shown: Array) -> dict[str, np.ndarray]:
    """Phase -> (T,) its frames: the crossing lasts from the first to the last frame in which one hides the other."""
    overlap = np.flatnonzero((shown < _OVERLAP).any(axis=0))
    frame = np.arange(shown.shape[1])
    first, last = (overlap[0], overlap[-1]) if len(overlap) else (len(frame), len(frame))
    return {"before": frame < first, "during": (frame >= first) & (frame <= last), "after": frame > last}


def landmark_scores(seen: Observation, px: Array, hidden: np.ndarray, shown: Array) -> dict[str, object]:
    """Compare an observation with the places of both people.

    Args:
        seen: of the first person.
        px: (2, T, 33, 2).
        hidden: (2, T, 33).
        shown: (2, T).

    Returns:
        Fields of a row.
    """
    here, found, sure = np.asarray(seen.seen), np.asarray(seen.keypoints_px), np.asarray(seen.confidence) >= BELIEVED
    torso = np.linalg.norm(px[0][:, TRUNK[:2]].mean(axis=1) - px[0][:, TRUNK[2:]].mean(axis=1), axis=1)
    scale = np.median(torso)
    off = np.linalg.norm(found[None] - px, axis=-1) / scale
    near = [np.nanmedian(np.where(here[:, None], distances, 0.0)[:, BODY], axis=1) for distances in off]
    wrong = here & (near[1] < near[0])
    pairs = np.array(LEGS)
    distances = [np.linalg.norm(found[:, order] - px[0][:, pairs], axis=-1) for order in (pairs, pairs[:, ::-1])]
    known = np.isfinite(distances).all(axis=(0, 2, 3))  # a leg of which nothing is hidden
    direct, crossed = (d.mean(axis=(1, 2)) / scale for d in distances)
    with np.errstate(invalid="ignore"):
        swapped = here & known & (crossed < direct - _SWAPPED)
    parts = phases(shown)

    def share(flags: np.ndarray, of: np.ndarray) -> dict[str, float]:
        return {phase: float(flags[of & part].mean()) if (of & part).any() else 0.0 for phase, part in parts.items()}

    far = {}
    for phase, part in parts.items():
        values = off[0][:, BODY][(part & here)[:, None] & sure[:, BODY]]
        far[phase] = float(np.percentile(values, 90)) if len(values) else float("nan")
    behind, front = (mask[:, BODY] & (here & parts["during"])[:, None] for mask in (hidden[0], ~hidden[0]))
    return {
        "lost": share(~here, np.ones_like(here)),
        "wrong": share(wrong, here),
        "swapped": share(swapped, here),
        "off": far,
        "believed": float(sure[:, BODY][behind].mean()) if behind.any() else 0.0,
        "unbelieved": float((~sure)[:, BODY][front].mean()) if front.any() else 0.0,
    }


def score_clip(clip: Mapping[str, object], clips: Path, out: Path, *, observe: bool) -> Row:
    """Run the command, or the estimator alone, on one clip."""
    name, begin = str(clip["name"]), time.perf_counter()
    stored = out / f"{name}_observation.npz"
    angles, verdict = {}, "-"
    with np.load(clips / f"{name}_people.npz") as people:
        px, hidden, shown = (people[key] for key in ("px", "hidden", "shown"))
    if not stored.exists():
        try:
            save_observation(stored, estimate(clips / f"{name}.mp4", EstimateOptions(person_box=_box(px[0, 0]))))
        except EstimationError as error:
            return _nobody(name, str(error)[:80], time.perf_counter() - begin)
    spent = time.perf_counter() - begin
    seen = load_observation(stored)
    if not observe:
        with tempfile.TemporaryDirectory() as folder:
            try:
                result = image2mot(stored, Path(folder) / "out", Image2MotOptions(estimator="replay", name="a"))
                model, motion = (Path(folder) / "out" / f"a.{ending}" for ending in ("osim", "mot"))
                found, _, _ = errors(load_motion(clips / f"{name}_truth.npz"), model, motion)
                angles, verdict = _angles(found, len(seen.time_s), phases(shown), seen), result.checks.status
            except HsmrBioError as error:
                verdict = str(error)[:80]
    return Row(
        name=name, **landmark_scores(seen, px, hidden, shown), angles=angles, verdict=verdict, notes=seen.notes, seconds=spent
    )


def _nobody(name: str, why: str, seconds: float) -> Row:
    """Scores of a clip in which the person is not found."""
    none, nothing = dict.fromkeys(PHASES, 0.0), dict.fromkeys(PHASES, float("nan"))
    lost = dict.fromkeys(PHASES, 1.0)
    return Row(name, lost, none, none, nothing, 0.0, 0.0, {}, why, (), seconds)


def _box(px: Array) -> tuple[float, float, float, float]:
    """Around the first person in the first frame, as a user would draw it."""
    (x0, y0), (x1, y1) = px.min(axis=0) - _BOX_MARGIN_PX, px.max(axis=0) + _BOX_MARGIN_PX
    return float(x0), float(y0), float(x1), float(y1)


def _angles(found: Mapping[str, Array], frames: int, parts: Mapping[str, np.ndarray], seen: Observation) -> dict[str, float]:
    """Mean error by phase, and over the frames in which the person is seen."""
    first = int(np.flatnonzero(seen.seen)[0])
    count = len(next(iter(found.values())))
    scored = np.zeros(frames, dtype=bool)
    scored[first : first + count] = True
    masks = {**parts, "seen": np.asarray(seen.seen), "all": np.ones(frames, dtype=bool)}
    made = {}
    for name, mask in masks.items():
        part = (mask & scored)[first : first + count]
        if part.any():
            made[name] = float(np.mean([np.sqrt(np.mean(e[part] ** 2)) for e in found.values()]))
    return made


def markdown(rows: Sequence[Row]) -> str:
    """A line a clip, the phases one after the other, and the means."""
    head = [
        "clip",
        "lost %",
        "other person %",
        "legs exchanged %",
        "off p90",
        "hidden believed %",
        "shown not believed %",
        "angles",
        "verdict",
    ]
    lines = [f"| {' | '.join(head)} |", "|" + " --- |" * len(head)]

    def cells(values: Mapping[str, float], factor: float, form: str) -> str:
        return " / ".join(format(factor * values[p], form) if p in values else "-" for p in PHASES)

    for row in rows:
        columns = [cells(m, 100, ".0f") for m in (row.lost, row.wrong, row.swapped)] + [cells(row.off, 1, ".2f")]
        columns += [f"{100 * row.believed:.0f}", f"{100 * row.unbelieved:.0f}", cells(row.angles, 1, ".1f"), row.verdict]
        lines.append(f"| {row.name} | {' | '.join(columns)} |")
    means = [
        " / ".join(f"{factor * np.nanmean([getattr(r, key).get(p, np.nan) for r in rows]):{form}}" for p in PHASES)
        for key, factor, form in (("lost", 100, ".1f"), ("wrong", 100, ".1f"), ("swapped", 100, ".1f"), ("off", 1, ".2f"))
    ]
    means += [f"{100 * np.mean([r.believed for r in rows]):.0f}", f"{100 * np.mean([r.unbelieved for r in rows]):.0f}"]
    means.append(" / ".join(f"{np.nanmean([r.angles.get(p, np.nan) for r in rows]):.1f}" for p in (*PHASES, "seen", "all")))
    return "\n".join([*lines, f"| mean | {' | '.join(means)} | |"]) + "\n"


def main() -> None:
    """Read the command line, score, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--observe", action="store_true", help="the estimator only")
    parser.add_argument("--only", default="", help="clips with this in their name")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for clip in json.loads((args.clips / "clips.json").read_text()):
        if args.only in clip["name"]:
            rows.append(score_clip(clip, args.clips, args.out, observe=args.observe))
            sys.stdout.write(f"{rows[-1].name}: {rows[-1].seconds:.0f} s\n")
            sys.stdout.flush()
    (args.out / "rows.json").write_text(json.dumps([asdict(row) for row in rows], indent=1))
    (args.out / "scores.md").write_text(markdown(rows))
    sys.stdout.write(markdown(rows))


if __name__ == "__main__":
    main()

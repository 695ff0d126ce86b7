"""Fits open bodies to recorded joint centres and stores the motions.

python tools/yardstick/corpus.py RECORDINGS OUT [--pieces 10] [--only NAME]: works through the recordings in pieces of one
subject's trials, about 500 frames each; what is in OUT/pieces is not fitted again. When it ends (also with
``--pieces 0``) they become OUT/corpus.npz and OUT/corpus.json. Processor time per frame is printed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from held_fit import fit_held
from motions import Trial, load_trials, save_trials, soles_m
from recordings import RATE_HZ, Array, Recording, recordings
from shapes import Shape, subject_shape, targets

PIECE_FRAMES = 500
"""Trials are collected until they have so many frames; a longer trial is a piece of its own."""
GAP_S = 2.0
"""Between trials that are fitted together: the smoothness prior ends at gaps of a second."""
MOST_RESIDUAL_M = 0.025
"""A trial whose median frame is further from its targets is left out (chosen; nine in ten have less than 0.01)."""
LEAST_FRAMES = 20


@dataclass(frozen=True, eq=False)
class Piece:
    """Trials of one person."""

    name: str
    trials: tuple[Recording, ...]


def pieces(trials: list[Recording]) -> list[Piece]:
    """Divide the trials, person by person; the division does not depend on what was done before."""
    people: dict[str, list[Recording]] = {}
    for trial in trials:
        people.setdefault(trial.person, []).append(trial)
    made = []
    for person, own in people.items():
        parts: list[list[Recording]] = [[]]
        for trial in own:
            if parts[-1] and sum(len(t.time_s) for t in parts[-1]) + len(trial.time_s) > PIECE_FRAMES:
                parts.append([])
            parts[-1].append(trial)
        made += [Piece(f"{person.replace('/', '_')}_{i:03d}", tuple(part)) for i, part in enumerate(parts)]
    return made


def usable(trial: Recording) -> str:
    """Why a trial cannot be fitted; empty if it can."""
    if missing := trial.missing():
        return f"not recorded: {', '.join(missing)}"
    return "" if len(trial.time_s) >= LEAST_FRAMES else f"only {len(trial.time_s)} frames"


def fit_piece(piece: Piece, shape: Shape) -> list[Trial]:
    """Fit all trials of a piece at once."""
    starts = np.cumsum([0.0, *(float(t.time_s[-1]) + GAP_S for t in piece.trials)])
    time_s = np.concatenate([t.time_s + start for t, start in zip(piece.trials, starts, strict=False)])
    points = np.concatenate([targets(shape, t.points_m) for t in piece.trials])
    fitted = fit_held(shape.body, shape.betas, time_s, points)
    height = soles_m(shape.body, fitted.motion).min(axis=1)
    known = np.isfinite(fitted.distances_m)
    total, count = np.where(known, fitted.distances_m, 0.0).sum(axis=1), known.sum(axis=1)
    off, q = np.where(count > 0, total / np.maximum(count, 1), np.inf), np.array(fitted.motion.q)
    ends = np.cumsum([len(t.time_s) for t in piece.trials])
    return [
        _stored(trial, shape, q[end - len(trial.time_s) : end], *(a[end - len(trial.time_s) : end] for a in (off, height)))
        for trial, end in zip(piece.trials, ends, strict=True)
    ]


def _stored(trial: Recording, shape: Shape, q: Array, off_m: Array, height_m: Array) -> Trial:
    floor = float(np.percentile(height_m, 5))
    lowered = q - np.eye(49)[47] * floor
    return Trial(
        source=trial.source,
        name=trial.name,
        subject=trial.subject,
        activity=trial.activity,
        split=trial.split,
        sex=shape.body.sex,
        body=shape.body.name,
        rate_hz=min(RATE_HZ, trial.source_rate_hz),
        source_rate_hz=trial.source_rate_hz,
        residual_m=float(np.mean(off_m[np.isfinite(off_m)])),
        floor_m=floor,
        betas=shape.betas,
        q=lowered,
        frame_residual_m=off_m,
    )


def merge(folder: Path, left_out: dict[str, str], all_done: bool) -> dict[str, object]:
    """Join the pieces, without the trials that fit badly; the figures as they are written beside."""
    trials = [trial for file in sorted((folder / "pieces").glob("*.npz")) for trial in load_trials(file)]
    bad = {t.name: f"{1000 * np.median(t.frame_residual_m):.0f} mm from its joint centres" for t in trials if not _fits(t)}
    kept = [trial for trial in trials if _fits(trial)]
    save_trials(folder / "corpus.npz", kept)
    residuals = np.array([trial.residual_m for trial in kept])
    figures: dict[str, object] = {
        "complete": all_done,
        "trials": len(kept),
        "frames": int(sum(len(t.q) for t in kept)),
        "minutes": {s: sum(len(t.q) / t.rate_hz for t in kept if t.split == s) / 60 for s in ("train", "val")},
        "residual_mm": {f"p{p}": float(1000 * np.percentile(residuals, p)) for p in (10, 50, 90, 100)},
        "left_out": left_out | bad,
    }
    (folder / "corpus.json").write_text(json.dumps(figures, indent=1))
    return figures


def _fits(trial: Trial) -> bool:
    return float(np.median(trial.frame_residual_m)) <= MOST_RESIDUAL_M


def work(source: Path, folder: Path, most: int, only: str, seed: int) -> Iterator[str]:
    """Fit the pieces that are not there yet; a line for each."""
    everything = list(recordings(source))
    left_out = {trial.name: reason for trial in everything if (reason := usable(trial))}
    fit = [trial for trial in everything if trial.name not in left_out]
    (folder / "pieces").mkdir(parents=True, exist_ok=True)
    open_pieces = [p for p in pieces(fit) if only in p.name and not (folder / "pieces" / f"{p.name}.npz").exists()]
    shapes: dict[str, Shape] = {}
    for piece in open_pieces[:most]:
        person, begin = piece.trials[0].person, time.process_time()
        if person not in shapes:
            shapes[person] = subject_shape([trial for trial in fit if trial.person == person], seed)
        found = fit_piece(piece, shapes[person])
        save_trials(folder / "pieces" / f"{piece.name}.npz", found)
        frames, spent = sum(len(t.q) for t in found), time.process_time() - begin
        worst = max(found, key=lambda t: t.residual_m)
        line = f"{piece.name}: {frames} frames, {1000 * spent / frames:.1f} ms each"
        yield f"{line}; worst {worst.name} {1000 * worst.residual_m:.0f} mm"
    done = len(open_pieces) <= most and not only
    yield json.dumps(merge(folder, left_out, done) | {"left_out": "see corpus.json"})


def main() -> None:
    """Read the command line and work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--pieces", type=int, default=10_000, help="how many to fit now")
    parser.add_argument("--only", default="", help="pieces with this in their name")
    parser.add_argument("--seed", type=int, default=0, help="of the shapes")
    args = parser.parse_args()
    torch.set_num_threads(1)
    for line in work(args.recordings, args.out, args.pieces, args.only, args.seed):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

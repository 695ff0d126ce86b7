"""Films a person whom another one passes, in front or behind: who is who, and what is hidden, is known exactly.

python tools/yardstick/crossing.py CORPUS.npz OUT [--count 10] [--split train] [--seed 0]: OUT gets, as of clips.py,
``NAME.mp4``, ``NAME_truth.npz`` (the first person) and ``clips.json``; and ``NAME_people.npz``: ``px`` (2, T, 33, 2) places of
the detector's landmarks on both bodies, ``hidden`` (2, T, 33) whether the other body is in front of them, ``shown`` (2, T)
share of a person's pixels that the picture shows.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from cameras import Array, Shot, VirtualCamera, place_camera
from clips import MOST_RESIDUAL_M, kind_of, truth_of, write_video
from coarse_mesh import CoarseMesh
from frames import landmark_places
from motions import Trial, good_windows, load_trials, window
from render import Actor, Studio

from hsmr_bio.body.body import Body
from hsmr_bio.body.placing import rotate_motion
from hsmr_bio.errors import InputError
from hsmr_bio.io.atomic import new_file
from hsmr_bio.io.npz import load_motion, save_motion
from hsmr_bio.types import SkelMotion

LENGTH_S = (2.4, 3.5)
"""Length of a clip."""
PASSES_AT = (0.4, 0.6)
"""Share of the clip at which the two are in one line with the camera."""
APART_M = (0.7, 1.4)
"""Distance between them along that line: in each other's way, but not through each other."""
TURNED_DEG = 20.0
"""Most that the other one's way differs from straight across the picture."""
LEAST_PATH_M = 2.0
"""Of whoever walks through."""
_STEP_FRAMES = 5
_VIEWS = ("side", "oblique", "front", "behind")
_KINDS = ("walk", "squat", "lunge", "sit to stand", "abduction", "hurdle")
"""Kinds of the first person's movement whose name contains one of these words; every second clip is a walk."""


@dataclass(frozen=True)
class Passing:
    """A clip that is to be filmed."""

    name: str
    trials: tuple[int, int]
    """Indices in the corpus: the person of the clip, and who walks through."""
    shot: Shot
    in_front: bool
    """Whether the other one is nearer to the camera."""
    rightwards: bool
    alike: bool
    """Whether both wear the same."""
    seed: tuple[int, int]


def plan(trials: list[Trial], count: int, split: str, seed: int) -> list[Passing]:
    """Choose the trials; front and behind, left and right, other and same clothes, and the views take turns.

    Raises:
        InputError: the split has no walk that is long enough.
    """
    rng = np.random.default_rng([seed, 0])
    usable = [i for i, t in enumerate(trials) if t.split == split and _frames(t) >= LENGTH_S[0] * t.rate_hz and _fits(t)]
    walks = [i for i in usable if "walk" in trials[i].activity.lower() and _path_m(trials[i]) > LEAST_PATH_M]
    if not walks:
        raise InputError(f"no trial of split {split!r} walks for {LENGTH_S[0]:g} s: make the corpus first")
    made = []
    for number in range(count):
        word = _KINDS[0] if number % 2 == 0 else _KINDS[1 + number // 2 % (len(_KINDS) - 1)]
        own = [i for i in usable if word in trials[i].activity.lower() and (number % 2 or i in walks)] or walks
        first = int(rng.choice(own))
        others = [i for i in walks if trials[i].subject != trials[first].subject] or walks
        view, in_front = _VIEWS[number // 2 % len(_VIEWS)], number % 3 != 2
        tilt = "pitched" if number % 4 == 3 else "level"
        shot = Shot(view, tilt, "near" if number % 5 else "far", "unknown", "640x480")
        kind = re.sub(r"[^a-z0-9]+", "_", kind_of(trials[first].activity).lower()).strip("_")[:16]
        name = f"{number:02d}_{kind}_{view}_{'before' if in_front else 'after'}"
        chosen = (first, int(rng.choice(others)))
        ways = bool(rng.integers(2)), number % 4 in (1, 2)
        made.append(Passing(name, chosen, shot, in_front, *ways, (seed, number + 1)))
    return made


def _frames(trial: Trial) -> int:
    return min(len(trial.q), int(LENGTH_S[1] * trial.rate_hz))


def _fits(trial: Trial) -> bool:
    return bool(good_windows(trial, _frames(trial), _STEP_FRAMES, MOST_RESIDUAL_M))


def _path_m(trial: Trial) -> float:
    """Distance over the first frames that a clip may have."""
    start, end = trial.q[0, 46:], trial.q[_frames(trial) - 1, 46:]
    return float(np.hypot(end[0] - start[0], end[2] - start[2]))


def film(passing: Passing, trials: list[Trial], folder: Path) -> dict[str, object]:
    """Make one clip; returns its row of ``clips.json``."""
    video, truth = folder / f"{passing.name}.mp4", folder / f"{passing.name}_truth.npz"
    if video.exists() and truth.exists():
        return dict(load_motion(truth).notes)
    rng = np.random.default_rng(passing.seed)
    first, other = (trials[i] for i in passing.trials)
    frames = min(_frames(first), _frames(other))
    start = int(rng.choice(good_windows(first, frames, _STEP_FRAMES, MOST_RESIDUAL_M)))
    motion, body = window(first, start, frames, rng)
    joints = _joints_m(body, motion)
    camera = place_camera(passing.shot, joints, rng)
    at = round(rng.uniform(*PASSES_AT) * (frames - 1))
    walking, other_body = window(other, 0, frames, rng)
    walking = through(walking, other_body, camera, joints[at, 0], at, _way(passing, rng))
    actor = Actor(CoarseMesh.of(other_body), walking, _joints_m(other_body, walking))
    studio = Studio(CoarseMesh.of(body), motion, joints, camera, rng, others=[actor], alike=passing.alike)
    row: dict[str, object] = {"name": passing.name, "kind": kind_of(first.activity), **asdict(passing.shot)}
    row |= {"in_front": passing.in_front, "alike": passing.alike, "rightwards": passing.rightwards, "passes": at}
    row |= {"trial": first.name, "other": other.name, "frames": frames, "rate_hz": first.rate_hz}
    row |= {"stature_m": round(body.stature_m(first.betas), 4), "backdrop": studio.kind}
    write_video(video, studio, frames, first.rate_hz, int(rng.integers(18, 28)))
    places = np.stack([landmark_places(b, m) for b, m in ((body, motion), (other_body, walking))])
    _save_people(folder / f"{passing.name}_people.npz", studio, camera.project(places)[0])
    save_motion(truth, replace(truth_of(motion, camera), notes=row))
    return row


def _way(passing: Passing, rng: np.random.Generator) -> tuple[float, float]:
    """(distance towards the camera in m, heading from the camera's right in rad) of who walks through."""
    apart = rng.uniform(*APART_M) * (1 if passing.in_front else -1)
    turned = np.radians(rng.uniform(-TURNED_DEG, TURNED_DEG))
    return float(apart), float(turned if passing.rightwards else np.pi - turned)


def through(
    motion: SkelMotion, body: Body, camera: VirtualCamera, place_m: Array, at: int, way: tuple[float, float]
) -> SkelMotion:
    """Turn and shift a walk so that it passes somebody.

    Args:
        motion: of who walks through.
        body: of the motion.
        camera: that sees both.
        place_m: (3,) where somebody is in frame ``at``.
        at: the frame in which both are in one line with the camera.
        way: distance towards the camera in m; heading in rad, 0 to the camera's right, counter-clockwise seen from above.

    Returns:
        The walk on the same floor.
    """
    right = camera.rotation[0] * (1, 0, 1)
    right = right / np.linalg.norm(right)
    near = camera.position_m - place_m
    near = near * (1, 0, 1) / np.linalg.norm(near * (1, 0, 1))
    path = np.asarray(motion.trans_m[-1] - motion.trans_m[0])
    turn = float(np.arctan2(-right[2], right[0])) + way[1] - float(np.arctan2(-path[2], path[0]))
    c, s = np.cos(turn), np.sin(turn)
    turned = rotate_motion(motion, body, np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]), frame="world")
    wanted, found = place_m + way[0] * near, _joints_m(body, turned)[at, 0]
    return replace(turned, trans_m=turned.trans_m + (wanted - found) * (1, 0, 1))


def _joints_m(body: Body, motion: SkelMotion) -> Array:
    return np.asarray(body.forward(motion.poses_rad, motion.betas, motion.trans_m).joints_m.numpy())


def _save_people(path: Path, studio: Studio, px: Array) -> None:
    """Write where the landmarks of both people are, and what is hidden."""
    frames, (width, height) = px.shape[1], studio.size_px
    hidden, shown = np.zeros(px.shape[:3], dtype=bool), np.ones(px.shape[:2])
    for frame in range(frames):
        owners = studio.drawn(frame)[1]
        for person in (0, 1):
            own = studio.own_pixels(frame, person)
            shown[person, frame] = np.mean(owners.reshape(-1)[own] == person + 1) if len(own) else 1.0
            x, y = np.floor(px[person, frame]).astype(int).T
            inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
            hidden[person, frame, inside] = owners[y[inside], x[inside]] == 2 - person
    for person in (0, 1):  # of two bodies in a line, the nearer one hides and is not hidden
        hidden[person] &= shown[person][:, None] < 1
    with new_file(path) as part, part.open("wb") as stream:
        np.savez_compressed(stream, px=px.astype(np.float32), hidden=hidden, shown=shown.astype(np.float32))


def main() -> None:
    """Read the command line and film."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--split", choices=("val", "train"), default="train")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    trials = load_trials(args.corpus)
    rows = []
    for passing in plan(trials, args.count, args.split, args.seed):
        rows.append(film(passing, trials, args.out))
        (args.out / "clips.json").write_text(json.dumps(rows, indent=1))
        sys.stdout.write(f"{passing.name}: {rows[-1]['frames']} frames\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

"""Films fitted motions with virtual cameras: videos with exact truth.

python tools/yardstick/clips.py CORPUS.npz OUT [--count 64] [--split val] [--seed 0]: OUT gets ``NAME.mp4``, ``NAME_truth.npz``
(a SkelMotion in the world with camera and gravity) and ``clips.json``. What is there is not filmed again; the same seed and
the same corpus film the same clips.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from cameras import Shot, VirtualCamera, deal, place_camera
from coarse_mesh import CoarseMesh
from motions import Trial, good_windows, load_trials, window
from render import Studio

from hsmr_bio.errors import InputError
from hsmr_bio.io.atomic import new_file
from hsmr_bio.io.npz import load_motion, save_motion
from hsmr_bio.types import Camera, GroundFit, SkelMotion

LEAST_S, MOST_S = 2.0, 4.0
"""Length of a clip."""
MOST_RESIDUAL_M = 0.04
"""Windows in which the body is nowhere further from its joint centres."""
_STEP_FRAMES = 5
_WRONGLY = re.compile(r"\s*\(done wrongly on purpose\)$")
QUALITY = (18, 32)
"""Range of the quantiser of the videos (x264: 18 nearly without loss, 32 visibly compressed)."""
_SAME_BYTES = "mbtree=0:aq-mode=0:rc-lookahead=0:scenecut=0"
"""Without x264's rate control and its look ahead: with them, equal pictures gave files that differed by some grey levels."""


@dataclass(frozen=True)
class Take:
    """A clip that is to be filmed."""

    name: str
    kind: str
    trial: int
    """Index in the corpus."""
    first: int
    frames: int
    shot: Shot
    seed: tuple[int, int]


def kind_of(activity: str) -> str:
    """Kind of movement: the recorders' own words, whether done rightly or wrongly."""
    return _WRONGLY.sub("", activity)


def plan(trials: list[Trial], count: int, split: str, seed: int) -> list[Take]:
    """Choose windows, kind after kind, and deal out the shots.

    Args:
        trials: the corpus.
        count: number of clips.
        split: ``train`` or ``val``.
        seed: of everything.

    Returns:
        The clips; kinds of movement take turns, from different trials as long as there are any.

    Raises:
        InputError: no trial of the split is long enough.
    """
    rng = np.random.default_rng([seed, 0])
    by_kind: dict[str, list[int]] = {}
    for index, trial in enumerate(trials):
        long_enough = len(trial.q) >= LEAST_S * trial.rate_hz
        if trial.split == split and long_enough and good_windows(trial, _frames(trial), _STEP_FRAMES, MOST_RESIDUAL_M):
            by_kind.setdefault(kind_of(trial.activity), []).append(index)
    if not by_kind:
        raise InputError(f"no trial of split {split!r} lasts {LEAST_S:g} s and fits: make the corpus first")
    order = {kind: rng.permutation(by_kind[kind]) for kind in sorted(by_kind)}
    shots, takes, filmed = deal(count, rng), [], dict.fromkeys(order, 0)
    for number, (shot, kind) in enumerate(zip(shots, _in_turn(sorted(order), count, rng), strict=True)):
        index = int(order[kind][filmed[kind] % len(order[kind])])
        filmed[kind] += 1
        frames = _frames(trials[index])
        first = int(rng.choice(good_windows(trials[index], frames, _STEP_FRAMES, MOST_RESIDUAL_M)))
        word = re.sub(r"[^a-z0-9]+", "_", kind.lower()).strip("_")[:28].strip("_")
        takes.append(Take(f"{number:03d}_{word}_{shot.view}", kind, index, first, frames, shot, (seed, number + 1)))
    return takes


def _in_turn(kinds: list[str], count: int, rng: np.random.Generator) -> list[str]:
    """Kinds of the clips: families ("dance - jete", "dance - pirouette") take turns, large ones the square root as often."""
    families: dict[str, list[str]] = {}
    for kind in kinds:
        families.setdefault(kind.partition(" - ")[0], []).append(kind)
    places = [name for name, own in families.items() for _ in range(round(len(own) ** 0.5))]
    turn = [str(name) for name in rng.permutation(places)]
    shuffled = {name: rng.permutation(own) for name, own in families.items()}
    used, chosen = dict.fromkeys(families, 0), []
    for number in range(count):
        name = turn[number % len(turn)]
        chosen.append(str(shuffled[name][used[name] % len(shuffled[name])]))
        used[name] += 1
    return chosen


def _frames(trial: Trial) -> int:
    return min(len(trial.q), int(MOST_S * trial.rate_hz))


def film(take: Take, trial: Trial, folder: Path) -> dict[str, object]:
    """Make one clip; returns its row of ``clips.json``."""
    video, truth = folder / f"{take.name}.mp4", folder / f"{take.name}_truth.npz"
    if video.exists() and truth.exists():
        return dict(load_motion(truth).notes)
    rng = np.random.default_rng(take.seed)
    motion, body = window(trial, take.first, take.frames, rng)
    joints = body.forward(motion.poses_rad, motion.betas, motion.trans_m).joints_m.numpy()
    camera = place_camera(take.shot, joints, rng)
    studio = Studio(CoarseMesh.of(body), motion, joints, camera, rng)
    quality = int(rng.integers(*QUALITY))
    row: dict[str, object] = {"name": take.name, "kind": take.kind, **asdict(take.shot)}
    row |= {"trial": f"{trial.source}/{trial.name}", "first": take.first, "frames": take.frames, "rate_hz": trial.rate_hz}
    row |= {"subject": trial.subject, "sex": trial.sex, "stature_m": round(body.stature_m(trial.betas), 4)}
    row |= {"azimuth_deg": _deg(camera.azimuth_rad), "pitch_deg": _deg(camera.pitch_rad), "roll_deg": _deg(camera.roll_rad)}
    row |= {"focal_px": round(camera.focal_px, 1), "backdrop": studio.kind, "seed": list(take.seed), "quality": quality}
    write_video(video, studio, take.frames, trial.rate_hz, quality)
    save_motion(truth, replace(truth_of(motion, camera), notes=row))
    return row


def _deg(angle_rad: float) -> float:
    return round(float(np.degrees(angle_rad)), 2)


def truth_of(motion: SkelMotion, camera: VirtualCamera) -> SkelMotion:
    """The motion with the exact camera and gravity."""
    lens = Camera(
        image_size_px=camera.size_px,
        focal_px=camera.focal_px,
        center_px=(camera.size_px[0] / 2, camera.size_px[1] / 2),
        source="truth",
    )
    ground = GroundFit(
        camera_pitch_rad=camera.pitch_rad,
        camera_roll_rad=camera.roll_rad,
        pitch_source="truth",
        roll_source="truth",
        camera_height_m=float(camera.position_m[1]),
        standing_share=1.0,
        R_camera_world=camera.rotation,
        t_camera_world_m=camera.translation_m,
        treadmill=False,
    )
    return replace(motion, camera=lens, ground=ground)


def write_video(path: Path, studio: Studio, frames: int, rate_hz: float, quality: int) -> None:
    """Draw and encode the frames, with one thread, so that the file is the same every time.

    The pictures are kept until the end: the encoder reads them late, and the file changes with what it finds.
    """
    planes = [cv2.cvtColor(studio.frame(number), cv2.COLOR_RGB2YUV_I420) for number in range(frames)]
    with new_file(path) as part, av.open(str(part), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(rate_hz).limit_denominator(1000))
        stream.options = {"qp": str(quality), "preset": "veryfast", "x264-params": _SAME_BYTES}
        stream.thread_count, stream.pix_fmt = 1, "yuv420p"
        stream.width, stream.height = studio.size_px
        for picture in planes:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="yuv420p")))
        container.mux(stream.encode())


def main() -> None:
    """Read the command line and film."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--split", choices=("val", "train"), default="val")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    trials = load_trials(args.corpus)
    rows = []
    for take in plan(trials, args.count, args.split, args.seed):
        rows.append(film(take, trials[take.trial], args.out))
        (args.out / "clips.json").write_text(json.dumps(rows, indent=1))
        sys.stdout.write(f"{take.name}: {take.frames} frames\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

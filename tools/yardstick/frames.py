"""Films training subjects and lets landmark networks look at every frame: what a depth network over time learns from.

python tools/yardstick/frames.py CORPUS.npz OUT --windows 2000: OUT gets files of ten windows each, ``windows_00000.npz`` ...;
what is there is not made again, so that several runs with different ``--first`` share the work. ``--estimator
NAME=MODULE:CLASS`` (once for each network, default the built-in one; ``NAME=MODULE:CLASS:{"argument": value}`` for arguments)
names classes with ``landmarks(picture, regions)``, as ``hsmr_bio.estimators.pose_networks.PoseNetworks``.

Keys of a file: ``frames`` (W,) of each window; per frame ``q`` (F, 49) in the world, ``true_px`` (F, 33, 2) and ``true_m``
(F, 33, 3) of the landmarks' places in camera axes, and per network ``NAME_px`` (F, 33, 2), ``NAME_world_m`` (F, 33, 3),
``NAME_visibility`` (F, 33), NaN where it gave nothing; per window ``betas``, ``sex``, ``stature_m``, ``rotation`` and
``translation_m`` of the camera, ``focal_px``, ``size_px``, ``view``, ``trial``, ``kind``; and the processor time spent.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt
import torch
from cameras import Array, VirtualCamera, deal, place_camera
from clips import MOST_RESIDUAL_M, kind_of
from coarse_mesh import CoarseMesh
from motions import Trial, good_windows, load_trials, window
from render import Picture, Studio

from hsmr_bio.body.body import Body
from hsmr_bio.estimators.regions import Landmarks, Region
from hsmr_bio.fitting.core.body_points import KeypointPoints
from hsmr_bio.fitting.video.bone_depth import DETECTOR_SET
from hsmr_bio.io.atomic import new_file
from hsmr_bio.types import SkelMotion

WINDOWS_A_FILE = 10
WINDOW_S = (1.0, 2.0)
BUILT_IN = "full=hsmr_bio.estimators.pose_networks:PoseNetworks"
LANDMARKS = 33
_MARGIN = 1.25
"""Half the side of the first region over the person's reach: the detector's own enlargement."""
_STEP_FRAMES = 3
_DEAL = 40
"""Windows that share a deal of shots."""
_REGION_ERROR = 0.06
"""Deviation of the first region's place and size, over its side."""


class Network(Protocol):
    """A landmark network."""

    def landmarks(self, rgb: Picture, regions: Sequence[Region]) -> Sequence[Landmarks | None]:
        """Landmarks of the person in each region, or None."""


def networks(named: list[str], stack: ExitStack) -> dict[str, Network]:
    """Make networks from ``NAME=MODULE:CLASS`` or ``NAME=MODULE:CLASS:{arguments as JSON}``; the stack closes them."""
    made = {}
    for text in named:
        name, _, rest = text.partition("=")
        module, kind, *arguments = rest.split(":", 2)
        network = getattr(importlib.import_module(module), kind)(**json.loads(arguments[0] if arguments else "{}"))
        made[name] = stack.enter_context(network) if hasattr(network, "__enter__") else network
    return made


def landmark_places(body: Body, motion: SkelMotion) -> Array:
    """(T, 33, 3) places of the detector's landmarks on the body, world axes."""
    points = KeypointPoints.of(body, DETECTOR_SET)
    fixed = points(motion.betas, np.zeros((8, 3)))
    posed = body.tree(motion.betas).forward(torch.as_tensor(np.array(motion.q))).points(fixed.bodies, fixed.local_m)
    return np.asarray((posed if fixed.mix is None else fixed.mix @ posed).numpy())


def first_region(px: Array, skin_px: Array, rng: np.random.Generator) -> Region:
    """A region about a person, as far off as a region from the frame before."""
    hips, shoulders = px[[23, 24]].mean(axis=0), px[[11, 12]].mean(axis=0)
    reach = float(np.linalg.norm(skin_px - hips, axis=1).max())
    up = shoulders - hips
    side = 2 * _MARGIN * reach
    moved = hips + rng.normal(0, _REGION_ERROR, 2) * side
    return Region(moved, side * float(np.exp(rng.normal(0, _REGION_ERROR))), float(np.arctan2(up[0], -up[1])))


def look(
    network: Network, pictures: list[Picture], px: Array, skin_px: list[Array], rng: np.random.Generator
) -> dict[str, npt.NDArray[np.float32]]:
    """Follow the person through a window, as in a video: each region comes from the frame before.

    Args:
        network: the landmark network.
        pictures: (T) frames.
        px: (T, 33, 2) true places, for the first region and after a loss.
        skin_px: (T) projected skin.
        rng: moves first regions.

    Returns:
        ``px``, ``world_m``, ``visibility`` of every frame; NaN where there was nothing.
    """
    frames = len(pictures)
    found = {"px": np.full((frames, LANDMARKS, 2), np.nan), "world_m": np.full((frames, LANDMARKS, 3), np.nan)}
    found["visibility"] = np.full((frames, LANDMARKS), np.nan)
    region: Region | None = None
    for frame, picture in enumerate(pictures):
        if region is None:
            (first,) = network.landmarks(picture, [first_region(px[frame], skin_px[frame], rng)])
            region = first.region if first else None
        seen = network.landmarks(picture, [region])[0] if region else None
        region = seen.region if seen else None
        if seen:
            found["px"][frame], found["world_m"][frame], found["visibility"][frame] = seen.px, seen.world_m, seen.visibility
    return {name: array.astype(np.float32) for name, array in found.items()}


class Chooser:
    """Draws windows: kinds of movement by the square root of what there is of them, so that rare kinds are seen."""

    def __init__(self, trials: list[Trial], split: str) -> None:
        self._trials = [t for t in trials if t.split == split and len(t.q) >= WINDOW_S[0] * t.rate_hz + 1]
        total: dict[str, int] = {}
        for trial in self._trials:
            total[kind_of(trial.activity)] = total.get(kind_of(trial.activity), 0) + len(trial.q)
        weight = np.array([len(t.q) / np.sqrt(total[kind_of(t.activity)]) for t in self._trials])
        self._share = weight / weight.sum()

    def draw(self, rng: np.random.Generator) -> tuple[Trial, int, int]:
        """A trial, its first frame and the number of frames."""
        while True:
            trial = self._trials[int(rng.choice(len(self._trials), p=self._share))]
            frames = min(int(rng.uniform(*WINDOW_S) * trial.rate_hz), len(trial.q))
            starts = good_windows(trial, frames, _STEP_FRAMES, MOST_RESIDUAL_M)
            if starts:
                return trial, int(rng.choice(starts)), frames


def make_window(number: int, seed: int, chooser: Chooser, eyes: Mapping[str, Network]) -> dict[str, Any]:
    """Film one window and look at it; what is stored of it."""
    rng = np.random.default_rng([seed, number])
    shot = deal(_DEAL, np.random.default_rng([seed, number // _DEAL, 1]))[number % _DEAL]
    trial, first, frames = chooser.draw(rng)
    motion, body = window(trial, first, frames, rng)
    joints = body.forward(motion.poses_rad, motion.betas, motion.trans_m).joints_m.numpy()
    camera = place_camera(shot, joints, rng)
    begin = time.process_time()
    studio = Studio(CoarseMesh.of(body), motion, joints, camera, rng, coarse=2)
    pictures = [studio.frame(frame) for frame in range(frames)]
    drawn_s = time.process_time() - begin
    places = landmark_places(body, motion)
    px = camera.project(places)[0]
    skin_px = [camera.project(skin[::20])[0] for skin in studio.skin_m]
    stored: dict[str, Any] = {"drawn_s": drawn_s, **_truth(trial, motion, body, camera, shot.view)}
    stored |= {
        "true_px": px.astype(np.float32),
        "true_m": (places @ camera.rotation.T + camera.translation_m).astype(np.float32),
    }
    for name, network in eyes.items():
        begin = time.process_time()
        stored |= {f"{name}_{key}": array for key, array in look(network, pictures, px, skin_px, rng).items()}
        stored[f"{name}_s"] = time.process_time() - begin
    return stored


def _truth(trial: Trial, motion: SkelMotion, body: Body, camera: VirtualCamera, view: str) -> dict[str, Any]:
    return {
        "frames": len(motion.time_s),
        "rate_hz": trial.rate_hz,
        "q": np.asarray(motion.q, dtype=np.float32),
        "betas": np.asarray(motion.betas),
        "sex": body.sex,
        "stature_m": body.stature_m(motion.betas),
        "rotation": camera.rotation,
        "translation_m": camera.translation_m,
        "focal_px": camera.focal_px,
        "size_px": camera.size_px,
        "view": view,
        "trial": f"{trial.source}/{trial.name}",
        "kind": kind_of(trial.activity),
    }


def write(path: Path, windows: list[dict[str, Any]]) -> None:
    """Write windows: arrays per frame one after another, the rest stacked."""
    arrays = {}
    for name in windows[0]:
        values = [w[name] for w in windows]
        per_frame = isinstance(values[0], np.ndarray) and all(
            len(v) == w["frames"] for v, w in zip(values, windows, strict=True)
        )
        arrays[name] = np.concatenate(values) if per_frame else np.array(values)
    with new_file(path) as part, part.open("wb") as stream:
        np.savez_compressed(stream, **arrays)


def main() -> None:
    """Read the command line and film."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--windows", type=int, required=True, help="how many windows there shall be in all")
    parser.add_argument("--first", type=int, default=0, help="begin with this window")
    parser.add_argument("--split", choices=("train", "val"), default="train")
    parser.add_argument("--estimator", action="append", help=f"default: {BUILT_IN}")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    chooser = Chooser(load_trials(args.corpus), args.split)
    with ExitStack() as stack:
        eyes = networks(args.estimator or [BUILT_IN], stack)
        for file in range(args.first // WINDOWS_A_FILE, -(-args.windows // WINDOWS_A_FILE)):
            path = args.out / f"windows_{file:05d}.npz"
            if path.exists():
                continue
            begin = file * WINDOWS_A_FILE
            made = [make_window(n, args.seed, chooser, eyes) for n in range(begin, min(begin + WINDOWS_A_FILE, args.windows))]
            write(path, made)
            frames = sum(w["frames"] for w in made)
            spent = {name: 1000 * sum(w[name] for w in made) / frames for name in ("drawn_s", *(f"{e}_s" for e in eyes))}
            sys.stdout.write(
                f"{path.name}: {frames} frames; ms each: {', '.join(f'{n[:-2]} {v:.1f}' for n, v in spent.items())}\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main()

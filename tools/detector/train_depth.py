"""Trains the networks that read depths from BlazePose's landmarks (``fitting/video/bone_depth.py``).

python tools/detector/train_depth.py --pictures 16000 --jobs 2 --samples samples.npz: renders the open body, runs the detector
on each picture (about half a second each), trains (six minutes), prints the error of every bone on pictures kept back, and
writes the networks into the package. With a file of samples that exists, nothing is rendered.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from pictures import Array, samples
from torch import Tensor, nn

from hsmr_bio.body.keypoint_table import keypoints_of
from hsmr_bio.body.load import load_body
from hsmr_bio.fitting.video import bone_depth as dd

TARGET = Path(dd.__file__).parent / "data" / "bone_depth.npz"
HIDDEN, DROPOUT, EPOCHS, BATCH, RATE, DECAY = (256, 128), 0.25, 30, 256, 2e-3, 0.05
MEMBERS = 3
"""Networks whose answers are averaged: each alone errs in its own way."""
FEATURE_NOISE = 0.05
"""Of the standardised features: real pictures are not renders."""
ROLL_SD = np.radians(10.0)
"""Depth does not change when the picture is turned: every picture is also shown turned."""
BATCH_OF_SAMPLES = 100


def collect(pictures: int, jobs: int, file: Path, first_seed: int) -> None:
    """Render in several processes and keep what was seen."""
    rounds = -(-pictures // BATCH_OF_SAMPLES)
    seeds = range(first_seed, first_seed + rounds)
    found = []
    with ProcessPoolExecutor(jobs) as pool:
        for done, part in enumerate(pool.map(samples, seeds, [BATCH_OF_SAMPLES] * rounds), start=1):
            found += part
            sys.stderr.write(f"\r{done * BATCH_OF_SAMPLES} of {pictures}")
            if done % 10 and done < rounds:
                continue
            looks = {n: np.array([[getattr(look, n) for look in s.looks] for s in found]) for n in ("px", "world_m")}
            np.savez_compressed(file, true_m=np.array([s.true_m for s in found]), **looks)


class _Trainee(nn.Module):
    def __init__(self, inputs: int, answers: int) -> None:
        super().__init__()
        sizes = (inputs, *HIDDEN, 2 * answers)
        self.layers = nn.ModuleList([nn.Linear(a, b) for a, b in itertools.pairwise(sizes)])
        self.drop, self.answers = nn.Dropout(DROPOUT), answers

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        for layer in self.layers[:-1]:
            x = self.drop(nn.functional.silu(layer(x)))
        x = self.layers[-1](x)
        return x[:, : self.answers], x[:, self.answers :].clamp(*dd.LOG_SIGMA_RANGE)


def train(told: Array, true_m: Array, seed: int = 0) -> dict[str, Array]:
    """The network's arrays: Gaussian likelihood with a deviation of its own for every answer."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    mean, spread, unit_m = told.mean(axis=0), told.std(axis=0) + 1e-3, true_m.std(axis=0)
    x, y = torch.tensor((told - mean) / spread).float(), torch.tensor(true_m / unit_m).float()
    net = _Trainee(x.shape[1], y.shape[1])
    optimiser = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=EPOCHS * -(-len(x) // BATCH))
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(BATCH):
            depth, log_sigma = net(x[rows] + FEATURE_NOISE * torch.randn_like(x[rows]))
            loss = ((depth - y[rows]).square() * torch.exp(-2 * log_sigma) / 2 + log_sigma).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    arrays = {"mean": mean, "spread": spread, "unit_m": unit_m}
    for i, layer in enumerate(net.layers):
        arrays[f"weights_{i}"], arrays[f"biases_{i}"] = layer.weight.detach().numpy().T, layer.bias.detach().numpy()  # type: ignore[operator,union-attr]
    return arrays


def _turned(px: Array, world_m: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    angle = rng.normal(0, ROLL_SD, len(px))
    turn = np.stack([np.stack([np.cos(angle), -np.sin(angle)], 1), np.stack([np.sin(angle), np.cos(angle)], 1)], 1)
    world = world_m.copy()
    world[..., :2] = np.einsum("tij,tkj->tki", turn, world_m[..., :2])
    return np.einsum("tij,tkj->tki", turn, px), world


def main() -> None:
    """Collect, train, report, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=16000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--first-seed", type=int, default=0, help="other pictures for every other seed; 100 pictures a seed")
    parser.add_argument("--samples", type=Path, nargs="+", required=True)
    args = parser.parse_args()
    if not args.samples[0].exists():
        collect(args.pictures, args.jobs, args.samples[0], args.first_seed)
    names = tuple(name for name, _ in keypoints_of(load_body("open").data, dd.DETECTOR_SET)[1])
    swap, bones = dd.mirrored(names), dd.bone_pairs(names)
    far, near = ([pair[k] for _, pair in bones] for k in (0, 1))
    parts, rng = [dict(np.load(file)) for file in args.samples], np.random.default_rng(0)
    seen = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    kept_back = np.arange(len(seen["true_m"])) % 10 == 0

    def shown(rows: Array) -> tuple[Array, Array]:
        told, true = [], []
        for look in (0, 1):
            px, world = (seen[n][rows, look] for n in ("px", "world_m"))
            for turn in (False, True):
                seen_px, seen_m = _turned(px, world, rng) if turn else (px, world)
                told.append(dd.features(names, seen_px, seen_m))
                told.append(dd.features(names, *dd.mirror_image(swap, seen_px, seen_m)))
                depth = seen["true_m"][rows]
                true += [depth[:, far] - depth[:, near], depth[:, swap][:, far] - depth[:, swap][:, near]]
        return np.concatenate(told), np.concatenate(true)

    def ensemble(rows: Array, members: int) -> list[dict[str, Array]]:
        told, true = shown(rows)
        with ProcessPoolExecutor(args.jobs) as pool:
            return list(pool.map(train, [told] * members, [true] * members, range(members)))

    TARGET.parent.mkdir(exist_ok=True)
    _write(ensemble(~kept_back, MEMBERS), np.eye(len(bones)))
    dd.shipped_networks.cache_clear()
    px, world = (seen[n][kept_back, 0] for n in ("px", "world_m"))
    found, depth = dd.read_bone_depths(names, px, world), seen["true_m"][kept_back]
    report(bones, found, depth, world)
    correlation = correlation_of(names, found, depth[:, far] - depth[:, near])
    _write(ensemble(np.ones_like(kept_back), MEMBERS), correlation)


def report(bones: list[tuple[dd.Bone, tuple[int, int]]], found: dd.BoneDepths, depth: Array, world: Array) -> None:
    """Print the errors of every bone: of the detector's own depth, and of the networks."""
    far, near = ([pair[k] for _, pair in bones] for k in (0, 1))
    for bone in dd.BONES:
        columns = [c for c, (other, _) in enumerate(bones) if other is bone]
        true = np.stack([depth[:, far[c]] - depth[:, near[c]] for c in columns])
        drawn = np.stack([world[:, far[c], 2] - world[:, near[c], 2] for c in columns])
        error = np.stack([found.depth_m[:, c].numpy() for c in columns]) - true
        own = np.polyval(np.polyfit(drawn.ravel(), true.ravel(), 1), drawn.ravel())
        sigma = np.stack([found.sigma_m[:, c].numpy() for c in columns])
        sys.stdout.write(
            f"{bone.far:>10} - {bone.near:<8} spread {true.std():.3f}, detector's depth rescaled "
            f"{np.sqrt(np.mean((own - true.ravel()) ** 2)):.3f}, network {np.sqrt(np.mean(error**2)):.3f} m, "
            f"error over its own deviation {np.sqrt(np.mean((error / sigma) ** 2)):.2f}\n"
        )


def correlation_of(names: tuple[str, ...], found: dd.BoneDepths, true_m: Array) -> Array:
    """(D, D) correlation of the errors, the same for a mirror image; outliers count as four deviations."""
    error = (found.depth_m.numpy() - true_m) / found.sigma_m.numpy()
    one = np.corrcoef(np.clip(error, -4, 4).T)
    order, sign = dd.swapped_pairs([pair for _, pair in dd.bone_pairs(names)], dd.mirrored(names))
    return (one + one[np.ix_(order, order)] * np.outer(sign, sign)) / 2


def _write(members: list[dict[str, Array]], correlation: Array) -> None:
    stored = {f"{name}_{m}": array for m, arrays in enumerate(members) for name, array in arrays.items()}
    stored = {n: a.astype(np.float16 if "weights" in n else np.float32) for n, a in stored.items()}
    np.savez_compressed(TARGET, correlation=correlation, **stored)


if __name__ == "__main__":
    main()

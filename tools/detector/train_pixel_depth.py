"""Trains the networks that read depths from image points alone (``fitting/video/pixel_depth.py``).

python tools/detector/train_pixel_depth.py --postures postures.npz --mocap FOLDER: places the open body in postures (a second a
thousand; a file of postures that exists is read), adds recorded joint centres (files ``*.npz`` with ``joints_m``,
``joint_names``, ``trial`` and ``split``), trains, prints the error of every bone on postures and subjects kept back, and writes
the networks. Every step draws new views, noise, and points that are missing.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path

import numpy as np
import torch
from postures import KEYPOINT_SET, POSTURES_PER_SHAPE, Array, standing_landmarks
from torch import Tensor, nn

from hsmr_bio.body.keypoint_table import point_names
from hsmr_bio.fitting.video import pixel_depth as pd
from hsmr_bio.fitting.video.bone_depth import LOG_SIGMA_RANGE, swapped_pairs

TARGET = Path(pd.__file__).parent / "data" / "pixel_depth.npz"
HIDDEN, DROPOUT, BATCH, RATE, DECAY = (256, 256), 0.1, 384, 2e-3, 0.02
LEG_M = 0.788
"""Thigh and shank of the open body at 1.65 m: recorded people are scaled to it."""
RECORDED = ("ui_prmd", "cmu_asf", "cmu_expmap")
"""Recordings whose terms allow any use."""
RECORDED_SHARE = 0.4
"""Of a batch."""
NOISE_M, ROLL_SD_RAD = 0.012, np.radians(10.0)
MISSING, WITHOUT_FEET, WITHOUT_SIZE = 0.05, 0.3, 0.2
"""Shares of points that are not seen, of people without feet, and of people whose size is not known."""
SIZE_BIAS, SIZE_SD = -0.02, 0.05
"""Of the logarithm of a person's size as it is estimated over time."""
CROUCHED, MOST_CROUCHED = 0.15, 0.4
"""Share of people who never stretch out, and by how much their size is understated at most (logarithm)."""
PITCH_RAD = (np.radians(9.0), np.radians(10.0))
DISTANCE_M = (2.2, 6.0)
FAR, NEAR = (torch.tensor([pair[k] for pair in pd.PAIRS]) for k in (0, 1))


def view(points_m: Tensor, seen: Tensor, draw: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Look at people from somewhere.

    Args:
        points_m: (B, 16, 3) y up, relative to the mid-hip.
        seen: (B, 16) points that are known.
        draw: of the view.

    Returns:
        Points (B, 16, 2), which of them are seen (B, 16), length of trunk and leg in the image (B,), true depths (B, D), and
        which of them are shown (B, D).
    """
    count, one = len(points_m), torch.ones(len(points_m))
    anywhere = (2 * torch.rand(count, generator=draw) - 1) * np.pi
    yaw = torch.where(torch.rand(count, generator=draw) < 0.6, anywhere, 0.6 * torch.randn(count, generator=draw))
    pitch = PITCH_RAD[0] + PITCH_RAD[1] * torch.randn(count, generator=draw)
    distance = DISTANCE_M[0] + (DISTANCE_M[1] - DISTANCE_M[0]) * torch.rand(count, generator=draw)
    turned = points_m @ _about(yaw, 1).transpose(1, 2) @ _about(pitch, 0).transpose(1, 2)
    aside = torch.stack([0.12 * torch.randn(count, generator=draw), 0.1 * torch.randn(count, generator=draw), one], 1)
    camera = turned * torch.tensor([1.0, -1.0, -1.0]) + (distance[:, None] * aside)[:, None]
    ray = camera[:, pd.HIPS].mean(1)
    depth = (camera * (ray / ray.norm(dim=1, keepdim=True))[:, None]).sum(-1)
    image = camera[..., :2] / camera[..., 2:] * distance[:, None, None]
    image = image + NOISE_M * torch.randn(image.shape, generator=draw)
    image = image @ _about(ROLL_SD_RAD * torch.randn(count, generator=draw), 2)[:, :2, :2].transpose(1, 2)
    seen = seen & (torch.rand(seen.shape, generator=draw) > MISSING)
    seen[torch.rand(count, generator=draw) < WITHOUT_FEET, 2 * pd.PLACES.index("heel") :] = False
    seen[:, pd.HIPS] = True
    size = _chain(points_m) * torch.exp(SIZE_BIAS + SIZE_SD * torch.randn(count, generator=draw))
    crouched = torch.rand(count, generator=draw) < CROUCHED
    size = torch.where(crouched, size * torch.exp(-MOST_CROUCHED * torch.rand(count, generator=draw)), size)
    size[torch.rand(count, generator=draw) < WITHOUT_SIZE] = torch.nan
    return image, seen, size, depth[:, FAR] - depth[:, NEAR], seen[:, FAR] & seen[:, NEAR]


def _chain(points_m: Tensor) -> Tensor:
    """(B,) length of trunk and leg."""
    at = {place: points_m[:, 2 * i : 2 * i + 2] for i, place in enumerate(pd.PLACES)}
    trunk = (at["shoulder"].mean(1) - at["hip"].mean(1)).norm(dim=1)
    leg = (at["hip"] - at["knee"]).norm(dim=2) + (at["knee"] - at["ankle"]).norm(dim=2)
    return trunk + leg.mean(1)


def _about(angle: Tensor, axis: int) -> Tensor:
    """(B, 3, 3) rotations about an axis."""
    first, second = ((1, 2), (2, 0), (0, 1))[axis]
    found = torch.eye(3).repeat(len(angle), 1, 1)
    found[:, first, first] = found[:, second, second] = angle.cos()
    found[:, second, first], found[:, first, second] = angle.sin(), -angle.sin()
    return found


class _Trainee(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        sizes = (3 * len(pd.NAMES) + 2 + len(pd.PAIRS), *HIDDEN, 3 * len(pd.PAIRS))
        self.layers, self.drop = nn.ModuleList([nn.Linear(a, b) for a, b in itertools.pairwise(sizes)]), nn.Dropout(DROPOUT)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        left = x[:, -len(pd.PAIRS) :]
        for layer in self.layers[:-1]:
            x = self.drop(nn.functional.silu(layer(x)))
        offset, sign, log_sigma = self.layers[-1](x).chunk(3, dim=1)
        return (offset + sign.tanh() * left) * pd.UNIT_M, log_sigma.clamp(*LOG_SIGMA_RANGE) + np.log(pd.UNIT_M)


def train(people: list[tuple[Tensor, Tensor]], steps: int, seed: int) -> dict[str, Array]:
    """The network's arrays: Gaussian likelihood with a deviation of its own for every answer."""
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    net = _Trainee()
    optimiser = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    counts = [BATCH] if len(people) == 1 else [round(BATCH * (1 - RECORDED_SHARE)), round(BATCH * RECORDED_SHARE)]
    for step in range(steps):
        rows = [torch.randint(len(points), (count,), generator=draw) for (points, _), count in zip(people, counts, strict=True)]
        points, seen = (torch.cat([part[k][row] for part, row in zip(people, rows, strict=True)]) for k in (0, 1))
        image, seen, size, true, shown = view(points, seen, draw)
        inputs = pd.features(image.double().numpy(), seen.numpy(), size.double().numpy())
        depth, log_sigma = net(torch.as_tensor(inputs).float())
        loss = (((depth - true).square() * torch.exp(-2 * log_sigma) / 2 + log_sigma) * shown).sum() / shown.sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 500 == 0:
            sys.stderr.write(f"\rnetwork {seed}, step {step} of {steps}, loss {loss.item():.3f}")
    arrays: dict[str, Array] = {}
    for i, layer in enumerate(net.layers):
        arrays[f"weights_{i}"], arrays[f"biases_{i}"] = layer.weight.detach().numpy().T, layer.bias.detach().numpy()
    return arrays


def recorded(folder: Path, split: str) -> tuple[Tensor, Tensor]:
    """Joint centres of recorded people of one split (``train`` or ``val``), scaled to 1.65 m, and which of them are known."""
    found = []
    for name in RECORDED:
        file = np.load(folder / f"{name}.npz")
        names = [str(joint) for joint in file["joint_names"]]
        columns = [names.index(f"{point.partition('_')[2]}_{point[0]}") for point in pd.NAMES]
        chosen = np.array([str(one) == split for one in file["split"]])[file["trial"]]
        joints, trial = np.asarray(file["joints_m"], dtype=np.float64)[chosen][:, columns], file["trial"][chosen]
        hip, knee, ankle = (joints[:, 2 * pd.PLACES.index(place)] for place in ("hip", "knee", "ankle"))
        legs = np.linalg.norm(hip - knee, axis=1) + np.linalg.norm(knee - ankle, axis=1)
        for one in np.unique(trial):
            joints[trial == one] *= LEG_M / np.nanmedian(legs[trial == one])
        found.append(joints - joints[:, pd.HIPS].mean(axis=1, keepdims=True))
    everybody = np.concatenate(found)
    everybody = everybody[np.isfinite(everybody[:, pd.HIPS]).all(axis=(1, 2))]
    known = np.isfinite(everybody).all(axis=2)
    return torch.as_tensor(np.nan_to_num(everybody)).float(), torch.as_tensor(known)


def report(title: str, people: tuple[Tensor, Tensor]) -> Array:
    """Print the errors of every bone; returns the errors over their deviations (N, D), NaN where not shown."""
    image, seen, size, true, shown = view(*people, torch.Generator().manual_seed(5))
    depth, sigma = pd.estimate(image.double().numpy(), seen.numpy(), size.double().numpy())
    error = np.where(shown, depth - true.double().numpy(), np.nan)
    sys.stdout.write(f"{title}\n")
    for bone in pd.BONES:
        columns = [i for i, pair in enumerate(pd.PAIRS) if pair in bone.pairs(pd.NAMES)]
        spread = np.nanstd(np.where(shown, true.numpy(), np.nan)[:, columns])
        rms, ratio = (np.sqrt(np.nanmean(np.square(part[:, columns]))) for part in (error, error / sigma))
        sys.stdout.write(
            f"  {bone.far:>10} - {bone.near:<8} spread {spread:.3f}, error {rms:.3f} m, over its deviation {ratio:.2f}\n"
        )
    return error / sigma


def correlation_of(ratio: Array) -> Array:
    """(D, D) correlation of the errors, the same for a mirror image; outliers count as four deviations."""
    known = np.clip(ratio[np.isfinite(ratio).all(axis=1)], -4, 4)
    one = np.corrcoef(known.T)
    order, sign = swapped_pairs(pd.PAIRS, pd.SWAP)
    return (one + one[np.ix_(order, order)] * np.outer(sign, sign)) / 2


def write(members: list[dict[str, Array]], correlation: Array) -> None:
    """Write the networks into the package."""
    stored = {f"{name}_{m}": array for m, arrays in enumerate(members) for name, array in arrays.items()}
    stored = {n: a.astype(np.float16 if "weights" in n else np.float32) for n, a in stored.items()}
    np.savez_compressed(TARGET, correlation=correlation, **stored)
    pd.shipped_networks.cache_clear()


def main() -> None:
    """Place, train, report, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--postures", type=Path, required=True)
    parser.add_argument("--shapes", type=int, default=4000)
    parser.add_argument("--mocap", type=Path)
    parser.add_argument("--steps", type=int, default=12000)
    parser.add_argument("--members", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if not args.postures.exists():
        np.savez_compressed(args.postures, landmarks_m=standing_landmarks(0, args.shapes).astype(np.float32))
    names = point_names(KEYPOINT_SET)
    landmarks = torch.as_tensor(np.load(args.postures)["landmarks_m"])[:, pd.columns_of(names)]
    known, kept_back = torch.ones(landmarks.shape[:2], dtype=torch.bool), 60 * POSTURES_PER_SHAPE
    people = [(landmarks[kept_back:], known[kept_back:]), *([recorded(args.mocap, "train")] if args.mocap else [])]
    members = [train(people, args.steps, seed) for seed in range(args.members)]
    write(members, np.eye(len(pd.PAIRS)))
    ratio = report("postures kept back", (landmarks[:kept_back], known[:kept_back]))
    if args.mocap:
        points, seen = recorded(args.mocap, "val")
        report("subjects kept back", (points[::10], seen[::10]))
    write(members, correlation_of(ratio))


if __name__ == "__main__":
    main()

"""The training loop: losses of Eq. 1, AdamW, and rounds of pseudo labels as in SPIN, refined by SKELify.

Source:
    Xia et al. 2025 (HSMR) and its release, whose defaults are used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from ..errors import EstimationError
from ..fitting.skelify.lbfgs import KeypointFunction
from ..hsmr.camera import project
from ..hsmr.losses import TrainingBatch, training_losses, weighted_sum
from ..hsmr.network import Hsmr
from ..hsmr.pose import rotate_in_image
from .data import Item
from .pseudo_labels import EVERY_STEPS, LATEST_SAMPLES, WARM_UP_STEPS, PseudoLabels, Samples, StoredLabel


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Options of the training; the defaults are the release's."""

    learning_rate: float = 1e-5
    weight_decay: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.999)
    pseudo_labels: bool = True
    every_steps: int = EVERY_STEPS
    warm_up_steps: int = WARM_UP_STEPS
    latest_samples: int = LATEST_SAMPLES
    units: Literal["pixel", "patch"] = "pixel"
    """Units of the camera in :func:`pseudo_labels.label_error`: ``"patch"`` reproduces the release's error, ``"pixel"`` is
    correct."""


class Step(NamedTuple):
    """Result of one step."""

    number: int
    total: float
    losses: dict[str, float]
    accepted: int | None
    """Pseudo labels accepted in this step's round; None: no round."""


def train(
    network: Hsmr,
    keypoints: KeypointFunction,
    batches: Iterable[Sequence[Item]],
    options: TrainOptions | None = None,
    *,
    store: PseudoLabels | None = None,
) -> Iterator[Step]:
    """Train a network in place, one batch per step.

    Args:
        network: its weights change.
        keypoints: the body's 44 keypoints, e.g. ``HsmrPoints``.
        batches: augmented items.
        options: None: the defaults.
        store: pseudo labels of an earlier run; None: a new store.

    Yields:
        Every step, after the weights were updated.

    Raises:
        EstimationError: the loss or a gradient is not finite; the message names the losses.
    """
    options, store = options or TrainOptions(), store if store is not None else PseudoLabels()
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay, betas=options.betas
    )
    latest: list[Samples] = []
    network.train()
    for number, items in enumerate(batches, start=1):
        label = store.apply([item.uid for item in items], _labels(items))
        batch, samples = _forward(network, keypoints, items, label)
        losses = training_losses(batch)
        total = weighted_sum(losses)
        optimiser.zero_grad()
        total.backward()
        _check_finite(number, total, losses, network)
        optimiser.step()
        accepted = None
        if options.pseudo_labels and number > options.warm_up_steps:
            latest = _latest([*latest, samples], options.latest_samples)
            if number % options.every_steps == 0:
                accepted = int(store.update(keypoints, _joined(latest), units=options.units).sum())
                latest = []
        yield Step(number, float(total.detach()), {name: float(value.detach()) for name, value in losses.items()}, accepted)


def _labels(items: Sequence[Item]) -> StoredLabel:
    """Labels of the data set for a batch."""
    return StoredLabel(
        poses_rad=torch.stack([item.poses_rad for item in items]),
        betas=torch.stack([item.betas for item in items]),
        has_poses=torch.tensor([item.has_poses for item in items]),
        has_betas=torch.tensor([item.has_betas for item in items]),
    )


def _forward(
    network: Hsmr, keypoints: KeypointFunction, items: Sequence[Item], label: StoredLabel
) -> tuple[TrainingBatch, Samples]:
    """Predict, and pair the prediction with labels that are rotated with the image."""
    found = network(torch.stack([item.patch for item in items]))
    points = keypoints(found.poses_rad, found.betas)
    rotation = torch.tensor([item.rotation_rad for item in items])
    truth_2d = torch.stack([item.keypoints_2d for item in items])
    device = points.device
    batch = TrainingBatch(
        kp3d=points,
        kp2d=project(points, found.translation_m),
        poses_rad=found.poses_rad,
        betas=found.betas,
        label_kp3d=torch.stack([item.keypoints_3d for item in items]).to(device),
        label_kp2d=truth_2d.to(device),
        label_poses_rad=rotate_in_image(label.poses_rad, rotation).to(device),
        label_betas=label.betas.to(device),
        has_orient=label.has_poses.to(device),
        has_body=label.has_poses.to(device),
        has_betas=label.has_betas.to(device),
    )
    samples = Samples(
        uids=[item.uid for item in items],
        keypoints_2d=truth_2d,
        predicted_poses_rad=found.poses_rad.detach().cpu(),
        predicted_betas=found.betas.detach().cpu(),
        predicted_translation_m=found.translation_m.detach().cpu(),
        label=label,
        rotation_rad=rotation,
        extreme_crop=torch.tensor([item.extreme_crop for item in items]),
    )
    return batch, samples


def _check_finite(number: int, total: Tensor, losses: dict[str, Tensor], network: Hsmr) -> None:
    broken = [name for name, value in losses.items() if not bool(torch.isfinite(value))]
    if broken or not bool(torch.isfinite(total)):
        raise EstimationError(f"step {number}: the loss is not finite ({', '.join(broken)}); lower the learning rate")
    for name, weight in network.named_parameters():
        if weight.grad is not None and not bool(torch.isfinite(weight.grad).all()):
            raise EstimationError(f"step {number}: the gradient of {name} is not finite, although the loss is")


def _latest(samples: list[Samples], least: int) -> list[Samples]:
    """The last batches, as many as are needed for ``least`` samples."""
    kept, count = [], 0
    for batch in reversed(samples):
        if count >= least:
            break
        kept.append(batch)
        count += len(batch.uids)
    return kept[::-1]


def _joined(samples: Sequence[Samples]) -> Samples:
    """Concatenate all tensors of several batches."""

    def tensors(parts: Sequence[Samples | StoredLabel]) -> dict[str, Tensor]:
        names = [field.name for field in fields(parts[0]) if isinstance(getattr(parts[0], field.name), Tensor)]
        return {name: torch.cat([getattr(part, name) for part in parts]) for name in names}

    label = StoredLabel(**tensors([batch.label for batch in samples]))
    return Samples(uids=[uid for batch in samples for uid in batch.uids], label=label, **tensors(samples))

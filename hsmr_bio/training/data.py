"""Training samples: the filters of the release, shards on disk, and one augmented item.

Source:
    Xia et al. 2025 (HSMR) and its release.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import FormatError, InputError
from ..hsmr.crops import Image, normalise
from ..io.picture import decode_picture
from ..io.unpickle import read_pickle
from ..types import FloatArray
from .augmentation import Augmentation, augment

MAX_FIT_ERROR_M, MIN_CONFIDENCE, MAX_BETA, MIN_KEYPOINTS, MAX_REPROJECTION = 0.06, 0.3, 3.0, 4, 31000.0
"""The release's filters: vertex error of a label's fit, confidence of a keypoint, size of a beta, number of keypoints (more
are needed), reprojection loss of the SMPL fit behind the label."""
PX_PER_SCALE = 200.0
"""Side of a box in pixels / ``scale`` of a shard, as in the MPII data set."""
_IMAGES = ("jpg", "jpeg", "png")


@dataclass(frozen=True, eq=False, kw_only=True)
class SkelLabel:
    """SKEL parameters of a person, or of the person's mirror image (fitted separately)."""

    poses_rad: FloatArray
    """(46,) orientation before any image rotation."""
    betas: FloatArray
    """(10,)."""
    has_poses: bool
    has_betas: bool


@dataclass(frozen=True, eq=False, kw_only=True)
class Person:
    """One labelled person, filtered."""

    uid: str
    centre_px: FloatArray
    side_px: float
    """Of the square box; in training it is not enlarged to 192:256."""
    keypoints_px: FloatArray
    """(44, 3) image pixels and confidence."""
    keypoints_m: FloatArray
    """(44, 4) metres and confidence."""
    label: SkelLabel
    mirrored_label: SkelLabel


def filtered(entry: Mapping[str, Any], uid: str) -> Person | None:
    """Apply the release's filters to one person of a shard, in the release's order.

    Args:
        entry: the person's dictionary.
        uid: sample key and index of the person.

    Returns:
        The person, or None if too few keypoints are seen or the fit behind the label failed.
    """
    keypoints = np.array(entry["keypoints_2d"], dtype=np.float64)
    keypoints[keypoints[:, 2] < MIN_CONFIDENCE, 2] = 0
    if (keypoints[:, 2] > 0).sum() <= MIN_KEYPOINTS:
        return None
    extra = entry.get("extra_info") or {}
    loss = (extra.get("fitting_loss") or {}).get("reprojection_loss", 0.0)
    if float(loss) >= MAX_REPROJECTION:
        return None
    return Person(
        uid=uid,
        centre_px=np.asarray(entry["center"], dtype=np.float64),
        side_px=PX_PER_SCALE * float(np.max(entry["scale"])),
        keypoints_px=keypoints,
        keypoints_m=np.asarray(entry["keypoints_3d"], dtype=np.float64),
        label=_label(entry, "orig"),
        mirrored_label=_label(entry, "flip"),
    )


def _label(entry: Mapping[str, Any], side: str) -> SkelLabel:
    """Read a label; it is invalid if its fit is bad or a value is NaN. The target of invalid betas is 0."""
    poses, betas = (np.array(entry[f"{side}_{name}"], dtype=np.float64) for name in ("poses", "betas"))
    error = float(np.asarray(entry[f"{side}_pve_max"]).reshape(-1)[0])
    valid = error < MAX_FIT_ERROR_M
    if np.isnan(poses).any():
        poses, valid = np.zeros(46), False
    if np.isnan(betas).any() or np.abs(betas).max() > MAX_BETA:
        valid = False
    if not valid:
        betas = np.zeros(10)
    return SkelLabel(poses_rad=poses, betas=betas, has_poses=valid, has_betas=True)


def read_shard(path: str | Path) -> Iterator[tuple[Image, list[Person]]]:
    """Read pictures and people of a webdataset shard, one sample at a time, without running code from it.

    Yields:
        (H, W, 3) picture, and the people that pass the filters.

    Raises:
        InputError: no such file.
        FormatError: not a shard, or a sample without picture or people.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such shard")
    try:
        with tarfile.open(path) as archive:
            sample: dict[str, bytes] = {}
            current = ""
            for member in archive:
                if not member.isfile():
                    continue
                key, _, part = Path(member.name).name.partition(".")
                key = str(Path(member.name).parent / key)
                if key != current and sample:
                    yield _sample(path, current, sample)
                    sample = {}
                current = key
                stream = archive.extractfile(member)
                sample[part.lower()] = stream.read() if stream else b""
            if sample:
                yield _sample(path, current, sample)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise FormatError(path, None, f"not a complete shard (.tar): {error}") from None


def _sample(path: Path, key: str, parts: dict[str, bytes]) -> tuple[Image, list[Person]]:
    picture = next((parts[name] for name in _IMAGES if name in parts), None)
    if picture is None or "data.pyd" not in parts:
        raise FormatError(path, key, f"a sample needs a picture and data.pyd, this one has {', '.join(sorted(parts))}")
    entries = read_pickle(BytesIO(parts["data.pyd"]), f"{path}:{key}.data.pyd")
    people = [filtered(entry, f"{key}_{i}") for i, entry in enumerate(entries)]
    return decode_picture(BytesIO(picture), path, key), [person for person in people if person is not None]


@dataclass(frozen=True, eq=False, kw_only=True)
class Item:
    """One augmented sample as tensors."""

    uid: str
    """Of the person and of the side: ``..._orig`` or ``..._flip``."""
    patch: Tensor
    """(3, 256, 256)."""
    keypoints_2d: Tensor
    """(44, 3) normalised patch units."""
    keypoints_3d: Tensor
    """(44, 4) rotated with the image."""
    poses_rad: Tensor
    """(46,) orientation before the image's rotation."""
    betas: Tensor
    """(10,)."""
    has_poses: float
    has_betas: float
    rotation_rad: float
    extreme_crop: bool


def make_item(image: Image, person: Person, change: Augmentation) -> Item:
    """Augment one person.

    Args:
        image: (H, W, 3) 8-bit RGB.
        person: in this image.
        change: the parameters; a flip uses the label that was fitted to the mirror image.

    Returns:
        The network's input and targets.
    """
    label = person.mirrored_label if change.flip else person.label
    box = np.array([*person.centre_px, person.side_px])
    sample = augment(image, box, person.keypoints_px, person.keypoints_m, change)
    return Item(
        uid=f"{person.uid}_{'flip' if change.flip else 'orig'}",
        patch=normalise(sample.patch, colour_scale=change.colour),
        keypoints_2d=torch.from_numpy(sample.keypoints_2d).float(),
        keypoints_3d=torch.from_numpy(sample.keypoints_3d).float(),
        poses_rad=torch.tensor(label.poses_rad, dtype=torch.float32),
        betas=torch.tensor(label.betas, dtype=torch.float32),
        has_poses=float(label.has_poses),
        has_betas=float(label.has_betas),
        rotation_rad=change.rotation_rad,
        extreme_crop=change.crop is not None,
    )

"""Readers of the official label files, and the image patches for the evaluation of a network.

Source: Goel et al. 2023 (HMR2.0's evaluation bundle), Tripathi et al. 2023 (MOYO), Xia et al. 2025 (HSMR).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import FormatError, InputError
from ..hsmr.crops import Image, crop_warp, crop_window, fit_aspect, keypoints_to_patch
from ..io.picture import decode_picture
from ..io.unpickle import load_numpy
from ..types import FloatArray

_NO_DEPTH = slice(1, 15)
"""OpenPose joints whose 3D labels are not used: the extra keypoints replace them (release)."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Labels:
    """Content of a label file with N people."""

    path: Path
    names: tuple[str, ...]
    """Image of each person, relative to the data set's folder."""
    centres_px: FloatArray
    """(N, 2) centre of the box."""
    sizes_px: FloatArray
    """(N, 2) width and height of the box, its margin included."""
    keypoints_px: FloatArray | None = None
    """(N, 44, 3) image pixels and confidence."""
    keypoints_m: FloatArray | None = None
    """(N, 44, 4) metres and confidence."""
    smpl: dict[str, FloatArray] | None = None
    """SMPL parameters, if labelled: global_orient (N, 1, 3), body_pose (N, 23, 3), betas (N, 10)."""

    def __len__(self) -> int:
        return len(self.names)

    @property
    def is_moyo(self) -> bool:
        """Whether the labels are SMPL parameters without keypoints."""
        return self.keypoints_px is None

    @property
    def box_size_px(self) -> FloatArray:
        """(N,) side of the square box, enlarged to the aspect 192:256."""
        return np.asarray(fit_aspect(self.sizes_px).max(axis=1))


@dataclass(frozen=True, eq=False, kw_only=True)
class EvaluationItem:
    """The image patch of one person of a label file."""

    index: int
    patch: Image
    """(256, 256, 3)."""
    keypoints_2d: FloatArray | None
    """(44, 3) normalised patch units and confidence."""
    image_size_px: tuple[int, int]
    """(width, height)."""


def read_labels(path: str | Path) -> Labels:
    """Read a label file of either layout (standard ``imgname``/``center``/``scale``, or MOYO's).

    Raises:
        InputError: no such file.
        FormatError: a key is missing, or an array has a wrong shape.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such label file")
    content = load_numpy(path)
    if not isinstance(content, dict):
        raise FormatError(path, None, "expected a .npz file with named arrays, found a single array")
    return _moyo(path, content) if "img_paths" in content else _standard(path, content)


def _need(path: Path, content: dict[str, Any], key: str) -> npt.NDArray[Any]:
    """Return the array of a key that the file must have."""
    if key not in content:
        raise FormatError(path, key, f"the key is missing (there are: {', '.join(sorted(content))})")
    return np.asarray(content[key])


def shaped(path: Path, key: str, values: npt.ArrayLike, *shape: int) -> FloatArray:
    """Convert values of a file to an array of the required shape.

    Args:
        path: of the file, for the message.
        key: of the values, for the message.
        values: nested numbers.
        shape: of the result; -1 stands for any length.

    Returns:
        The array.

    Raises:
        FormatError: no numbers, or another number of them.
    """
    try:
        return np.asarray(values, dtype=np.float64).reshape(shape)
    except (TypeError, ValueError):
        wanted = ", ".join("any" if n < 0 else str(n) for n in shape)
        raise FormatError(path, key, f"expected numbers of shape ({wanted}), got shape {np.asarray(values).shape}") from None


def _standard(path: Path, content: dict[str, Any]) -> Labels:
    """Read labels in the standard layout."""
    names = tuple(n.decode() if isinstance(n, bytes) else str(n) for n in _need(path, content, "imgname").tolist())
    count = len(names)
    centres = shaped(path, "center", _need(path, content, "center"), count, 2)
    scale = shaped(path, "scale", _need(path, content, "scale"), count, -1)
    sizes = np.repeat(scale, 2, axis=1) if scale.shape[1] == 1 else scale
    if sizes.shape != (count, 2):
        raise FormatError(path, "scale", f"expected {count} rows of 1 or 2, got {scale.shape}")
    keypoints_px, keypoints_m = (_keypoints(path, content, count, suffix, width) for suffix, width in (("2d", 3), ("3d", 4)))
    keypoints_m[:, _NO_DEPTH, 3] = 0
    return Labels(
        path=path, names=names, centres_px=centres, sizes_px=sizes, keypoints_px=keypoints_px, keypoints_m=keypoints_m
    )


def _keypoints(path: Path, content: dict[str, Any], count: int, suffix: str, width: int) -> FloatArray:
    """Join OpenPose's and the extra keypoints to (N, 44, width); zeros where the file has none."""
    parts = []
    for kind, points in (("body", 25), ("extra", 19)):
        key = f"{kind}_keypoints_{suffix}"
        values = np.asarray(content.get(key, np.zeros((count, points, width))), dtype=np.float64)
        if values.shape != (count, points, width):
            raise FormatError(path, key, f"expected shape ({count}, {points}, {width}), got {values.shape}")
        parts.append(values)
    return np.concatenate(parts, axis=1)


def _moyo(path: Path, content: dict[str, Any]) -> Labels:
    """Read labels in MOYO's layout."""
    names = tuple(str(n) for n in content["img_paths"].tolist())
    count = len(names)
    raw = _need(path, content, "smpl")
    smpl = raw.item() if raw.ndim == 0 else raw
    if not isinstance(smpl, dict):
        raise FormatError(path, "smpl", f"expected a dict of arrays, found {type(smpl).__name__}")
    missing = [name for name in ("global_orient", "body_pose", "betas") if name not in smpl]
    if missing:
        raise FormatError(path, "smpl", f"expected global_orient, body_pose and betas, found {', '.join(map(str, smpl))}")
    return Labels(
        path=path,
        names=names,
        centres_px=shaped(path, "centers", _need(path, content, "centers"), count, 2),
        sizes_px=shaped(path, "scales", _need(path, content, "scales"), count, 2),
        smpl={
            "global_orient": shaped(path, "global_orient", smpl["global_orient"], count, 1, 3),
            "body_pose": shaped(path, "body_pose", smpl["body_pose"], count, 23, 3),
            "betas": shaped(path, "betas", smpl["betas"], count, 10),
        },
    )


def items(labels: Labels, image_folder: str | Path) -> Iterator[EvaluationItem]:
    """Crop every person of a label file, one at a time: by warp for the standard sets, by window for MOYO.

    Args:
        labels: of the people.
        image_folder: folder from which the image names of the labels start.

    Yields:
        One item per person.

    Raises:
        InputError: an image is missing.
        FormatError: an image is damaged.
    """
    sides = labels.box_size_px
    for index, name in enumerate(labels.names):
        image = read_image(Path(image_folder) / name)
        points = None
        if labels.keypoints_px is None:
            patch = crop_window(image, [*labels.centres_px[index], sides[index]])
        else:
            patch, matrix = crop_warp(image, labels.centres_px[index], sides[index])
            points = keypoints_to_patch(labels.keypoints_px[index], matrix)
        size = image.shape[1], image.shape[0]
        yield EvaluationItem(index=index, patch=patch, keypoints_2d=points, image_size_px=size)


def read_image(path: str | Path) -> Image:
    """Read a picture as 8-bit RGB as stored: like the release, without its orientation tag.

    Raises:
        InputError: no such file.
        FormatError: it cannot be decoded.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such image; give the folder that the label file's names start from")
    return decode_picture(str(path), path)

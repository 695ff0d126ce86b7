"""From a person's box to the 256x256 image patch of the network.

Two croppers, as in the release: a resized integer window (demo, MOYO) and an affine warp (standard evaluation, training).
Both use the fixed-point arithmetic of OpenCV, so that patches agree to the grey level.
Boxes in pixels: "lurb" = (x0, y0, x1, y1), "cwh" = (cx, cy, w, h), "cs" = (cx, cy, side of the square).

Source: Xia et al. 2025 (HSMR) and its release; OpenCV 4.10 (INTER_LINEAR of resize and warpAffine on 8-bit images).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..errors import InputError, ShapeError
from ..types import FloatArray
from .config import IMAGE_MEAN, IMAGE_STD, PATCH_PX, STRIP_PX

Image = npt.NDArray[np.uint8]
ASPECT = PATCH_PX / (STRIP_PX[1] - STRIP_PX[0])
"""Height over width (256:192) to which a box is enlarged before its square is taken."""
_RESIZE_BITS, _WARP_BITS, _POSITION_BITS = 11, 5, 10
"""Fractional bits in OpenCV: weights of resize, sub-pixel positions and coordinates of warpAffine."""


def check_image(image: npt.ArrayLike) -> Image:
    """Check an (H, W, 3) 8-bit RGB image and return it as an array.

    Raises:
        ShapeError: another shape or type.
    """
    array = np.asarray(image)
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8 or 0 in array.shape:
        raise ShapeError(f"an image must be (H, W, 3) of 8-bit RGB values, got shape {array.shape} of {array.dtype}")
    return array


def lurb_to_cwh(box_px: npt.ArrayLike) -> FloatArray:
    """Convert (..., 4) corners to centre, width and height.

    Raises:
        InputError: a box without area.
    """
    box = np.asarray(box_px, dtype=np.float64)
    low, high = box[..., :2], box[..., 2:]
    if np.any(high <= low):
        raise InputError(f"a person box must be x0,y0,x1,y1 with x1 > x0 and y1 > y0, got {box.tolist()}")
    return np.concatenate([(low + high) / 2, high - low], axis=-1)


def fit_aspect(size_px: npt.ArrayLike) -> FloatArray:
    """Enlarge (..., 2) widths and heights to the aspect 192:256; neither is reduced."""
    width, height = np.moveaxis(np.asarray(size_px, dtype=np.float64), -1, 0)
    tall = height / width >= ASPECT
    return np.stack(
        [np.where(tall, np.maximum(height / ASPECT, width), width), np.where(tall, height, width * ASPECT)], axis=-1
    )


def square_box(box_lurb_px: npt.ArrayLike) -> FloatArray:
    """Convert (..., 4) person boxes to the square (cx, cy, side) of the patch."""
    box = lurb_to_cwh(box_lurb_px)
    return np.concatenate([box[..., :2], fit_aspect(box[..., 2:]).max(axis=-1, keepdims=True)], axis=-1)


def crop_window(image: Image, box_cs_px: npt.ArrayLike, *, sub_pixel: bool = False) -> Image:
    """Crop the patch of a square box as an integer window (zeros outside the image) and resize it.

    The corners are truncated toward zero, as in the release: the window may be shifted by a pixel and not quite square.

    Args:
        image: (H, W, 3) 8-bit RGB.
        box_cs_px: (3,) centre and side.
        sub_pixel: warp from the exact corners instead (more accurate, but different from the release).

    Returns:
        (256, 256, 3) 8-bit RGB.

    Raises:
        InputError: the box contains no pixel.
    """
    image = check_image(image)
    centre_x, centre_y, side = np.asarray(box_cs_px, dtype=np.float64)
    if sub_pixel:
        return warp(image, window_matrix(centre_x, centre_y, side))
    x0, y0, x1, y1 = (int(c) for c in (centre_x - side / 2, centre_y - side / 2, centre_x + side / 2, centre_y + side / 2))
    if x1 <= x0 or y1 <= y0:
        raise InputError(f"the box at ({centre_x:g}, {centre_y:g}) of side {side:g} px holds no pixel")
    height, width = image.shape[:2]
    window = np.zeros((y1 - y0, x1 - x0, 3), dtype=np.uint8)
    rows, columns = slice(max(y0, 0), min(y1, height)), slice(max(x0, 0), min(x1, width))
    if rows.start < rows.stop and columns.start < columns.stop:
        inside = image[rows, columns]
        window[rows.start - y0 : rows.stop - y0, columns.start - x0 : columns.stop - x0] = inside
    return resize(window, PATCH_PX)


def window_matrix(centre_x: float, centre_y: float, side: float) -> FloatArray:
    """Compute the map of an exact square window, with half-pixel centres as in :func:`resize`.

    Args:
        centre_x: in image pixels.
        centre_y: in image pixels.
        side: in image pixels.

    Returns:
        (2, 3) from image pixels to patch pixels.
    """
    scale = PATCH_PX / side
    centre = (PATCH_PX - 1) / 2
    return np.array([[scale, 0, centre + (0.5 - centre_x) * scale], [0, scale, centre + (0.5 - centre_y) * scale]])


def resize(image: Image, side: int) -> Image:
    """Resize an 8-bit image to a square, bilinear, with half-pixel centres and without antialiasing.

    Args:
        image: (H, W, 3).
        side: of the result, pixels.

    Returns:
        (side, side, 3).
    """
    rows, columns = _taps(image.shape[0], side), _taps(image.shape[1], side)
    low, high, weight = columns
    one = 1 << _RESIZE_BITS
    across = image[:, low].astype(np.int32) * (one - weight)[:, None] + image[:, high].astype(np.int32) * weight[:, None]
    low, high, weight = rows
    top, bottom = across[low] >> 4, across[high] >> 4
    first, second = (one - weight)[:, None, None], weight[:, None, None]
    value = (((top * first) >> 16) + ((bottom * second) >> 16) + 2) >> 2
    return np.asarray(np.clip(value, 0, 255), dtype=np.uint8)


def _taps(source: int, target: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Find the two source pixels of each target pixel and the fixed-point weight of the second one."""
    position = ((np.arange(target) + 0.5) * (source / target) - 0.5).astype(np.float32)
    low = np.floor(position).astype(np.int64)
    fraction = (position - low).astype(np.float32)
    fraction[(low < 0) | (low >= source - 1)] = 0
    low = np.clip(low, 0, source - 1)
    return low, np.minimum(low + 1, source - 1), np.rint(fraction * (1 << _RESIZE_BITS)).astype(np.int32)


def warp_matrix(
    centre_px: npt.ArrayLike, side_px: float, *, scale: float = 1.0, rotation_rad: float = 0.0, target_px: float = PATCH_PX
) -> FloatArray:
    """Compute the map of a square box; integers are pixel centres, without a half-pixel shift.

    Args:
        centre_px: (2,) of the box.
        side_px: of the square box.
        scale: augmentation of the box's size.
        rotation_rad: of the box in image axes (y down); the content rotates the opposite way.
        target_px: side of the patch.

    Returns:
        (2, 3) from image pixels to patch pixels.
    """
    factor = target_px / (side_px * scale)
    cosine, sine = np.cos(rotation_rad) * factor, np.sin(rotation_rad) * factor
    linear = np.array([[cosine, sine], [-sine, cosine]])
    shift = target_px / 2 - linear @ np.asarray(centre_px, dtype=np.float64)
    return np.concatenate([linear, shift[:, None]], axis=1)


def warp(image: Image, matrix: FloatArray, side: int = PATCH_PX) -> Image:
    """Warp an 8-bit image, bilinear at positions rounded to 1/32 px, with zeros outside.

    Args:
        image: (H, W, 3).
        matrix: (2, 3) from image to patch pixels.
        side: of the patch.

    Returns:
        (side, side, 3).
    """
    image = check_image(image)
    inverse = np.linalg.inv(matrix[:, :2])
    offset = -inverse @ matrix[:, 2]
    unit, half = 1 << _POSITION_BITS, 1 << (_POSITION_BITS - _WARP_BITS - 1)
    step = np.arange(side)
    fixed = []
    for axis in range(2):
        along = np.rint(inverse[axis, 0] * step * unit).astype(np.int64)
        down = np.rint((inverse[axis, 1] * step + offset[axis]) * unit).astype(np.int64) + half
        fixed.append((down[:, None] + along[None, :]) >> (_POSITION_BITS - _WARP_BITS))
    mask = (1 << _WARP_BITS) - 1
    (x, fx), (y, fy) = ((f >> _WARP_BITS, (f & mask).astype(np.int32)) for f in fixed)
    height, width = image.shape[:2]
    padded = np.zeros((height + 2, width + 2, 3), dtype=np.int32)
    padded[1:-1, 1:-1] = image
    total = np.zeros((side, side, 3), dtype=np.int32)
    for dy, wy in ((0, 32 - fy), (1, fy)):
        for dx, wx in ((0, 32 - fx), (1, fx)):
            pixel = padded[np.clip(y + dy + 1, 0, height + 1), np.clip(x + dx + 1, 0, width + 1)]
            total += pixel * (wy * wx)[..., None]
    return ((total + 512) >> 10).astype(np.uint8)


def crop_warp(
    image: Image,
    centre_px: npt.ArrayLike,
    side_px: float,
    *,
    scale: float = 1.0,
    rotation_rad: float = 0.0,
    flip: bool = False,
) -> tuple[Image, FloatArray]:
    """Crop the patch of a square box with an affine warp.

    Args:
        image: (H, W, 3) 8-bit RGB.
        centre_px: (2,) of the box.
        side_px: of the box.
        scale: augmentation of the box's size.
        rotation_rad: of the box, see :func:`warp_matrix`.
        flip: whether to mirror the image first.

    Returns:
        The patch (256, 256, 3), and the (2, 3) map from pixels of the (mirrored, if ``flip``) image to patch pixels.
    """
    image = check_image(image)
    x, y = np.asarray(centre_px, dtype=np.float64)
    if flip:
        image, x = image[:, ::-1], image.shape[1] - x - 1
    matrix = warp_matrix((x, y), side_px, scale=scale, rotation_rad=rotation_rad)
    return warp(image, matrix), matrix


def keypoints_to_patch(keypoints_px: npt.ArrayLike, matrix: FloatArray) -> FloatArray:
    """Convert keypoints from image pixels to normalised patch units, [-0.5, 0.5] inside the patch.

    Args:
        keypoints_px: (..., 3) image pixels and confidence.
        matrix: (2, 3) from image pixels to patch pixels.

    Returns:
        (..., 3) normalised patch units and confidence.
    """
    points = np.array(keypoints_px, dtype=np.float64)
    points[..., :2] = (points[..., :2] @ matrix[:, :2].T + matrix[:, 2]) / PATCH_PX - 0.5
    return points


def normalise(patches: npt.NDArray[Any], *, colour_scale: npt.ArrayLike = (1.0, 1.0, 1.0)) -> Tensor:
    """Convert 8-bit patches to the network's input.

    Args:
        patches: (..., 256, 256, 3) grey levels 0-255.
        colour_scale: factor per channel (augmentation); the result is clipped to [0, 255].

    Returns:
        (..., 3, 256, 256) float32.
    """
    values = np.asarray(patches, dtype=np.float32)
    factors = np.asarray(colour_scale, dtype=np.float32)
    if np.any(factors != 1):
        values = np.clip(values * factors, 0, 255)
    scaled = ((values - 255 * np.array(IMAGE_MEAN)) / (255 * np.array(IMAGE_STD))).astype(np.float32)
    return torch.from_numpy(np.moveaxis(scaled, -1, -3).copy())

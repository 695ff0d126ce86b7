"""The cameras of HSMR: of the patch, which the network predicts, and of the whole image.

Axes: x right, y down, z away from the camera. Normalised patch units run from -0.5 to 0.5 over the square patch.
Source: Xia et al. 2025 (HSMR) and its release; Kolotouros et al. 2019 (SPIN) for the least-squares translation.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .config import FOCAL_PATCH, FOCAL_PX, PATCH_PX

EXTRA = slice(25, 44)
"""The 19 keypoints beyond OpenPose's 25."""
MIN_EXTRA_CONFIDENCE = 4.0
"""Below this sum of the confidences of the extra keypoints, the translation uses all 44 (release)."""
MIN_SCALE = 1e-9
"""Added to the scaled patch size against a division by zero (release)."""


def camera_to_translation(camera: Tensor) -> Tensor:
    """Convert the weak-perspective camera (s, tx, ty) of the network to a translation in metres.

    Args:
        camera: (..., 3).

    Returns:
        (..., 3): ``(tx, ty, 2 f / (256 s + 1e-9))`` with f = 5000 px.
    """
    scale, x, y = camera.unbind(-1)
    return torch.stack([x, y, 2 * FOCAL_PX / (PATCH_PX * scale + MIN_SCALE)], dim=-1)


def project(points_m: Tensor, translation_m: Tensor, *, focal: float = FOCAL_PATCH) -> Tensor:
    """Project points in perspective, with the principal point at the origin.

    Args:
        points_m: (..., K, 3) model points in camera axes.
        translation_m: (..., 3).
        focal: focal length in the unit of the result: 19.53 for normalised patch units, 5000 for pixels.

    Returns:
        (..., K, 2).
    """
    moved = points_m + translation_m[..., None, :]
    return focal * (moved[..., :2] / moved[..., 2:])


def full_image_translation(translation_m: Tensor, box_cxcys_px: Tensor, image_size_px: Tensor) -> Tensor:
    """Convert a patch translation to the camera of the whole image, with centred principal point and focal length 5000 px.

    Args:
        translation_m: (..., 3) patch translation.
        box_cxcys_px: (..., 3) centre and side of the square box.
        image_size_px: (..., 2) width and height.

    Returns:
        (..., 3). Exact for points at the depth of the translation, approximate for others.
    """
    x, y, z = translation_m.unbind(-1)
    centre, side = box_cxcys_px[..., :2], box_cxcys_px[..., 2]
    depth = z * PATCH_PX / side
    offset = (centre - image_size_px / 2) * (depth / FOCAL_PX)[..., None]
    return torch.stack([x + offset[..., 0], y + offset[..., 1], depth], dim=-1)


def translation_for_focal(
    translation_m: Tensor, image_size_px: tuple[int, int], center_px: tuple[float, float], focal_px: float
) -> Tensor:
    """Convert a full-image translation to the focal length and principal point of the actual camera.

    The depth is scaled by the ratio of the focal lengths, which keeps the person's size and place in the image (similar
    triangles). For 5000 px and the image's centre, the values of the release, the translation stays the same.

    Args:
        translation_m: (..., 3) for a focal length of 5000 px and the principal point at the image's centre.
        image_size_px: (width, height).
        center_px: principal point.
        focal_px: focal length.

    Returns:
        (..., 3) metres.
    """
    depth = translation_m[..., 2] * focal_px / FOCAL_PX
    middle = translation_m.new_tensor(image_size_px) / 2
    shift = (middle - translation_m.new_tensor(center_px)) * (depth / focal_px)[..., None]
    return torch.cat([translation_m[..., :2] + shift, depth[..., None]], dim=-1)


def least_squares_translation(
    points_m: Tensor, keypoints: Tensor, *, focal: float = FOCAL_PX, size: float = PATCH_PX
) -> Tensor:
    """Estimate a translation from 2D keypoints by linear least squares.

    It minimises the confidence-weighted square of ``(f t_xy - u t_z) - (u Z - f X_xy)`` over t, with u = keypoint - size/2,
    over the 19 extra keypoints; over all 44 where the extra ones are not seen.

    Args:
        points_m: (B, 44, 3).
        keypoints: (B, 44, 3) position and confidence in pixels of the patch.
        focal: in the unit of the keypoints.
        size: side of the patch in the unit of the keypoints.

    Returns:
        (B, 3) metres.
    """
    confidence = keypoints[..., 2]
    few = confidence[:, EXTRA].sum(-1) < MIN_EXTRA_CONFIDENCE
    only_extra = torch.zeros_like(confidence)
    only_extra[:, EXTRA] = 1
    weight = confidence * torch.where(few[:, None], torch.ones_like(only_extra), only_extra)
    u = keypoints[..., :2] - size / 2
    rows = keypoints.new_zeros(*u.shape, 3)
    rows[..., 0, 0] = rows[..., 1, 1] = focal
    rows[..., 2] = -u
    target = u * points_m[..., 2:] - focal * points_m[..., :2]
    weighted = (rows * weight[..., None, None]).flatten(1, 2)
    normal = weighted.transpose(1, 2) @ rows.flatten(1, 2)
    right = weighted.transpose(1, 2) @ target.flatten(1, 2)[..., None]
    solution: Tensor = torch.linalg.solve(normal, right)[..., 0]
    return solution


def to_patch_px(keypoints: Tensor) -> Tensor:
    """Convert (..., 2 or more) normalised patch units to patch pixels; further columns are unchanged."""
    return torch.cat([(keypoints[..., :2] + 0.5) * PATCH_PX, keypoints[..., 2:]], dim=-1)

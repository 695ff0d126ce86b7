"""The 44 keypoints of HSMR: OpenPose's 25 and 19 more (LSP, MPII and H36M conventions).

Source: Goel et al. 2023 (HMR2.0); Kolotouros et al. 2019 (SPIN); Xia et al. 2025 (HSMR).
"""

from __future__ import annotations

import torch
from torch import Tensor

KEYPOINT_SET = "hsmr44"
NAMES: tuple[str, ...] = (
    *("nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist"),
    *("mid_hip", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
    *("right_eye", "left_eye", "right_ear", "left_ear", "left_big_toe", "left_small_toe", "left_heel"),
    *("right_big_toe", "right_small_toe", "right_heel"),
    *("extra_right_ankle", "extra_right_knee", "extra_right_hip", "extra_left_hip", "extra_left_knee", "extra_left_ankle"),
    *("extra_right_wrist", "extra_right_elbow", "extra_right_shoulder"),
    *("extra_left_shoulder", "extra_left_elbow", "extra_left_wrist"),
    *("neck_lsp", "head_top_lsp", "pelvis_mpii", "thorax_mpii", "spine_h36m", "jaw_h36m", "head_h36m"),
)
ROOT = 39
"""The pelvis (MPII): root of the 3D losses and metrics."""
MIRROR: tuple[int, ...] = (
    *(0, 1, 5, 6, 7, 2, 3, 4, 8, 12, 13, 14, 9, 10, 11, 16, 15, 18, 17, 22, 23, 24, 19, 20, 21),
    *(30, 29, 28, 27, 26, 25, 36, 35, 34, 33, 32, 31, 37, 38, 39, 40, 41, 42, 43),
)
"""Keypoint i of a mirrored person is keypoint ``MIRROR[i]`` of the person."""
SKEL_TO_SMPL_JOINTS = (0, 6, 1, 11, 7, 2, 11, 8, 3, 12, 10, 5, 12, 19, 14, 13, 20, 15, 21, 16, 23, 18, 23, 18)
"""SKEL joint that approximates each of SMPL's 24 joints without a regressor."""
SMPLH_VERTICES = (
    *(332, 6260, 2800, 4071, 583, 3216, 3226, 3387, 6617, 6624, 6787),
    *(2746, 2319, 2445, 2556, 2673, 6191, 5782, 5905, 6016, 6133),
)
"""Skin vertices (SMPL's numbering) of nose, eyes, ears, toes, heels and finger tips."""
OPENPOSE_FROM_45 = (24, 12, 17, 19, 21, 16, 18, 20, 0, 2, 5, 8, 1, 4, 7, *range(25, 35))
"""Indices of OpenPose's 25 keypoints among SMPL's 24 joints followed by the 21 vertices."""
SKIN_VERTICES = 6890
"""Vertices of SMPL's skin."""

_TORSO = (1, 2, 5, 8, 9, 12, 27, 28, 33, 34, 39, 40, 41)
_HEAD = (0, 15, 16, 17, 18, 42, 43)
_PROXIMAL = (3, 6, 10, 13, 26, 29, 32, 35)
_DISTAL = (4, 7, 11, 14, 19, 20, 21, 22, 23, 24, 25, 30, 31, 36)
GROUPS: dict[str, tuple[int, ...]] = {
    "all": tuple(sorted((*_TORSO, *_HEAD, *_PROXIMAL, *_DISTAL))),
    "torso": _TORSO,
    "torso-lite": (2, 5, 9, 12),
    "hips": (8, 9, 12, 27, 28, 39),
    "head": _HEAD,
    "limbs": tuple(sorted((*_PROXIMAL, *_DISTAL))),
    "limbs-proximal": _PROXIMAL,
    "limbs-distal": _DISTAL,
}
"""Keypoints by part of the body; the LSP neck and head top (37, 38) belong to none."""
GROUP_JOINTS: dict[str, tuple[int, ...]] = {
    "all": tuple(range(24)),
    "torso": (0, 11),
    "torso-lite": (0, 11),
    "hips": (0,),
    "head": (12, 13),
    "limbs": (1, 6, 14, 15, 19, 20, 2, 3, 4, 5, 7, 8, 9, 10, 16, 17, 18, 21, 22, 23),
    "limbs-proximal": (1, 6, 14, 15, 19, 20),
    "limbs-distal": (2, 3, 4, 5, 7, 8, 9, 10, 16, 17, 18, 21, 22, 23),
}
"""SKEL joints that the keypoints of a group may change."""


def keypoints_from_smpl_joints(skin_m: Tensor, joints_m: Tensor, extra_regressor: Tensor) -> Tensor:
    """Compute the 44 keypoints of SMPL's skin and joints.

    Args:
        skin_m: (B, 6890, 3) vertices in SMPL's numbering.
        joints_m: (B, 24, 3) SMPL's joints.
        extra_regressor: (19, 6890) dense or sparse, of the extra keypoints.

    Returns:
        (B, 44, 3) metres.
    """
    points = torch.cat([joints_m, skin_m[:, list(SMPLH_VERTICES)]], dim=1)
    return torch.cat([points[:, list(OPENPOSE_FROM_45)], regress(extra_regressor, skin_m)], dim=1)


def regress(regressor: Tensor, skin_m: Tensor) -> Tensor:
    """Apply a regressor to vertices.

    Args:
        regressor: (K, V) dense or sparse.
        skin_m: (B, V, 3).

    Returns:
        (B, K, 3) metres.
    """
    flat = skin_m.transpose(0, 1).flatten(1)
    out: Tensor = (regressor @ flat).unflatten(1, (-1, 3)).transpose(0, 1)
    return out

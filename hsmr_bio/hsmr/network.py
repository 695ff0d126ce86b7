"""The whole network: from an image patch to SKEL parameters and camera."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .backbone import Backbone
from .camera import camera_to_translation
from .config import STRIP_PX, HsmrConfig
from .head import Head
from .pose import rep_to_poses


class HsmrPrediction(NamedTuple):
    """Predicted parameters per patch, float32."""

    poses_rad: Tensor
    """(B, 46) SKEL pose in camera axes."""
    betas: Tensor
    """(B, 10) of the male SKEL body."""
    camera: Tensor
    """(B, 3) weak perspective (s, tx, ty)."""
    translation_m: Tensor
    """(B, 3) of the patch camera, focal length 5000 px."""
    pose_numbers: Tensor
    """(B, 24, 6) raw output, or (B, 46) in Euler mode."""


class Hsmr(nn.Module):
    """HSMR (Xia et al. 2025): backbone and head.

    Args:
        config: sizes; ``HsmrConfig.vit_h()`` is the release.
    """

    def __init__(self, config: HsmrConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(config.backbone)
        self.head = Head(config.head)

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.backbone.pos_embed.device

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the backbone; the head is always float32."""
        return self.backbone.pos_embed.dtype

    def forward(self, patches: Tensor) -> HsmrPrediction:
        """Predict the parameters of image patches.

        Args:
            patches: (B, 3, 256, 256) square patches, normalised; the backbone uses the middle 192 columns.

        Returns:
            The prediction per patch.
        """
        strip = patches[..., STRIP_PX[0] : STRIP_PX[1]].to(device=self.device, dtype=self.dtype)
        numbers, betas, camera = self.head(self.backbone(strip).float())
        if self.config.head.pose_mode == "euler":
            poses = numbers
        else:
            numbers = numbers.unflatten(1, (24, 6))
            poses = rep_to_poses(numbers)
        return HsmrPrediction(poses, betas, camera, camera_to_translation(camera), numbers)

    def set_precision(self, dtype: torch.dtype) -> Hsmr:
        """Set the precision of the backbone to float32 or bfloat16; returns the network itself."""
        self.backbone.to(dtype=dtype)
        return self

"""Sizes of the network and shared constants.

Source: Xia et al., "Reconstructing Humans with a Biomechanically Accurate Skeleton" (CVPR 2025) and its public release.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from ..errors import InputError

PATCH_PX = 256
"""Side of the square image patch, to which keypoints and cameras refer."""
STRIP_PX = (32, 224)
"""Range of columns of the patch that the backbone uses (192 of 256)."""
FOCAL_PX = 5000.0
"""Focal length of the patch camera, in patch pixels; also the focal length of the full-image camera."""
FOCAL_PATCH = FOCAL_PX / PATCH_PX
"""Focal length in normalised patch units (19.53125)."""
IMAGE_MEAN = (0.485, 0.456, 0.406)
"""Mean of ImageNet, RGB from 0 to 1."""
IMAGE_STD = (0.229, 0.224, 0.225)
"""Standard deviation of ImageNet, RGB from 0 to 1."""
POSE_NUMBERS = 144
"""24 joints with 6 numbers each."""
BETAS = 10
"""Shape parameters."""


@dataclass(frozen=True, kw_only=True)
class BackboneConfig:
    """Sizes of the vision transformer (Dosovitskiy et al. 2021, as trained by ViTPose)."""

    width: int
    blocks: int
    heads: int
    drop_path: float = 0.0
    """Stochastic-depth rate of the last block; linear from 0 at the first block."""
    image_size_px: tuple[int, int] = (PATCH_PX, STRIP_PX[1] - STRIP_PX[0])
    """(rows, columns)."""
    patch_px: int = 16
    padding_px: int = 2
    mlp_ratio: int = 4

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise InputError(f"the backbone width {self.width} must be a multiple of its number of heads, {self.heads}")

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the feature map."""
        rows, columns = ((n + 2 * self.padding_px - self.patch_px) // self.patch_px + 1 for n in self.image_size_px)
        return rows, columns


@dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """Sizes of the transformer decoder."""

    context_width: int
    width: int = 1024
    layers: int = 6
    heads: int = 8
    head_width: int = 64
    mlp_width: int = 1024
    pose_mode: Literal["rotation", "euler"] = "rotation"
    """Output of the head: 24x6 rotation numbers (the release), or 46 Euler angles (the paper's ablation)."""

    @property
    def inner_width(self) -> int:
        """Width of queries, keys and values of all heads."""
        return self.heads * self.head_width


@dataclass(frozen=True, kw_only=True)
class HsmrConfig:
    """Backbone and head together; ``HsmrConfig.vit_h()`` is the released network."""

    backbone: BackboneConfig
    head: HeadConfig = field(default_factory=lambda: HeadConfig(context_width=1280))

    def __post_init__(self) -> None:
        if self.head.context_width != self.backbone.width:
            object.__setattr__(self, "head", replace(self.head, context_width=self.backbone.width))

    @classmethod
    def vit_b(cls, *, pose_mode: Literal["rotation", "euler"] = "rotation") -> HsmrConfig:
        """ViT-B: 768 wide, 12 blocks, 12 heads."""
        backbone = BackboneConfig(width=768, blocks=12, heads=12, drop_path=0.3)
        return cls(backbone=backbone, head=HeadConfig(context_width=768, pose_mode=pose_mode))

    @classmethod
    def vit_h(cls, *, pose_mode: Literal["rotation", "euler"] = "rotation") -> HsmrConfig:
        """ViT-H: 1280 wide, 32 blocks, 16 heads."""
        backbone = BackboneConfig(width=1280, blocks=32, heads=16, drop_path=0.55)
        return cls(backbone=backbone, head=HeadConfig(context_width=1280, pose_mode=pose_mode))

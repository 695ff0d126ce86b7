"""The image encoder: a vision transformer without class token, pre-trained by ViTPose.

Attribute names are those of the released state dict, so that checkpoints load by name.
Source: Dosovitskiy et al. 2021 (ViT); Xu et al. 2022 (ViTPose); Xia et al. 2025 (HSMR).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import BackboneConfig

NORM_EPS = 1e-6
"""Epsilon of the layer norms of ViTPose."""
POSITION_STD = 0.02
"""Standard deviation of the initial position embedding (Dosovitskiy et al. 2021)."""


class PatchEmbedding(nn.Module):
    """One strided convolution from an image (B, 3, H, W) to tokens (B, rows x columns, C), row by row."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, config.width, config.patch_px, stride=config.patch_px, padding=config.padding_px)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, rows x columns, C)."""
        features: Tensor = self.proj(image)
        return features.flatten(2).transpose(1, 2)


class Attention(nn.Module):
    """Multi-head self-attention with torch's fused kernel; one linear map gives queries, keys and values."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, C) to (B, N, C)."""
        batch, count, width = tokens.shape
        qkv = self.qkv(tokens).view(batch, count, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.proj(mixed.transpose(1, 2).reshape(batch, count, width))
        return out


class Mlp(nn.Module):
    """Two linear maps with the exact (erf) GELU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, C) to (B, N, C)."""
        hidden: Tensor = self.fc1(tokens)
        # in place without gradients: allocating a buffer of this size takes as long as the function itself
        hidden = functional.gelu(hidden) if hidden.requires_grad else torch.ops.aten.gelu_(hidden)
        out: Tensor = self.fc2(hidden)
        return out


def _add(branch: Tensor, tokens: Tensor) -> Tensor:
    """Add a branch to the tokens; in place without gradients."""
    return branch + tokens if branch.requires_grad else branch.add_(tokens)


class Block(nn.Module):
    """Pre-norm transformer block with stochastic depth (Huang et al. 2016) while training."""

    def __init__(self, width: int, heads: int, hidden: int, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=NORM_EPS)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=NORM_EPS)
        self.mlp = Mlp(width, hidden)
        self.drop_path = drop_path

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, C) to (B, N, C)."""
        tokens = _add(self._drop(self.attn(self.norm1(tokens))), tokens)
        return _add(self._drop(self.mlp(self.norm2(tokens))), tokens)

    def _drop(self, branch: Tensor) -> Tensor:
        if not self.training or self.drop_path == 0:
            return branch
        keep = 1 - self.drop_path
        mask = torch.empty(len(branch), 1, 1, device=branch.device, dtype=branch.dtype).bernoulli_(keep)
        return branch * mask / keep


class Backbone(nn.Module):
    """Encoder of a normalised image (B, 3, 256, 192) to a feature map (B, C, 16, 12)."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        rows, columns = config.grid
        self.config = config
        self.patch_embed = PatchEmbedding(config)
        self.pos_embed = nn.Parameter(torch.empty(1, rows * columns + 1, config.width))
        rates = [config.drop_path * i / max(config.blocks - 1, 1) for i in range(config.blocks)]
        hidden = config.mlp_ratio * config.width
        self.blocks = nn.ModuleList(Block(config.width, config.heads, hidden, rate) for rate in rates)
        self.last_norm = nn.LayerNorm(config.width, eps=NORM_EPS)
        nn.init.trunc_normal_(self.pos_embed, std=POSITION_STD)

    def forward(self, image: Tensor) -> Tensor:
        """Encode the image; entry 0 of the position embedding (that of the absent class token) is added to every token."""
        rows, columns = self.config.grid
        tokens: Tensor = self.patch_embed(image)
        tokens = tokens + self.pos_embed[:, 1:] + self.pos_embed[:, :1]
        for block in self.blocks:
            tokens = block(tokens)
        tokens = self.last_norm(tokens)
        features: Tensor = tokens.transpose(1, 2).unflatten(2, (rows, columns))
        return features

"""The regressor: a transformer decoder with one query token that reads the feature map.

Attribute names are those of the released state dict (``head.``), so that checkpoints load strictly by name.
Source: Goel et al. 2023 (HMR2.0); Xia et al. 2025 (HSMR).
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import BETAS, POSE_NUMBERS, HeadConfig
from .pose import MEAN_BETAS, MEAN_CAMERA, MEAN_POSE_RAD, poses_to_rep


class SelfAttention(nn.Module):
    """Self-attention of a single token: its softmax is 1, so only the value map acts."""

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        inner = config.inner_width
        self.to_qkv = nn.Linear(config.width, 3 * inner, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner, config.width), nn.Dropout(0.0))

    def forward(self, token: Tensor, context: Tensor) -> Tensor:
        """(B, 1, D) to (B, 1, D); the context plays no part."""
        weight = self.to_qkv.weight
        value = functional.linear(token, weight[2 * len(weight) // 3 :])
        out: Tensor = self.to_out(value)
        return out


class CrossAttention(nn.Module):
    """The token asks, the raw (not normalised) feature map answers."""

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        inner = config.inner_width
        self.heads = config.heads
        self.to_kv = nn.Linear(config.context_width, 2 * inner, bias=False)
        self.to_q = nn.Linear(config.width, inner, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner, config.width), nn.Dropout(0.0))

    def forward(self, token: Tensor, context: Tensor) -> Tensor:
        """(B, 1, D) and (B, N, C) to (B, 1, D)."""
        query, (key, value) = self.to_q(token), self.to_kv(context).chunk(2, dim=-1)
        query, key, value = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (query, key, value))
        mixed = functional.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.to_out(mixed.transpose(1, 2).flatten(2))
        return out


class FeedForward(nn.Module):
    """Two linear maps with the exact GELU between them."""

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(config.width, config.mlp_width),
            nn.GELU(),
            nn.Dropout(0.0),
            nn.Linear(config.mlp_width, config.width),
            nn.Dropout(0.0),
        )

    def forward(self, token: Tensor, context: Tensor) -> Tensor:
        """(B, 1, D) to (B, 1, D); the context plays no part."""
        out: Tensor = self.net(token)
        return out


class PreNorm(nn.Module):
    """Layer norm (eps 1e-5, unlike the backbone's) before a branch."""

    def __init__(self, width: int, branch: nn.Module) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fn = branch

    def forward(self, token: Tensor, context: Tensor) -> Tensor:
        """Value of the branch, without the residual."""
        out: Tensor = self.fn(self.norm(token), context)
        return out


class DecoderLayers(nn.Module):
    """Self-attention, cross-attention and feed-forward per layer, all with residuals; no norm at the end."""

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        parts = (SelfAttention, CrossAttention, FeedForward)
        self.layers = nn.ModuleList(
            nn.ModuleList(PreNorm(config.width, part(config)) for part in parts) for _ in range(config.layers)
        )

    def forward(self, token: Tensor, context: Tensor) -> Tensor:
        """(B, 1, D) and (B, N, C) to (B, 1, D)."""
        for layer in self.layers:
            for branch in cast(nn.ModuleList, layer):
                token = token + branch(token, context)
        return token


class Decoder(nn.Module):
    """The query token and the layers. Its input is a zero scalar, so it starts as bias plus position embedding."""

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        self.to_token_embedding = nn.Linear(1, config.width)
        self.pos_embedding = nn.Parameter(torch.randn(1, 1, config.width))
        self.transformer = DecoderLayers(config)

    def forward(self, context: Tensor) -> Tensor:
        """(B, N, C) to (B, 1, D)."""
        token: Tensor = self.to_token_embedding(context.new_zeros(len(context), 1, 1)) + self.pos_embedding
        out: Tensor = self.transformer(token, context)
        return out


class Head(nn.Module):
    """Feature map (B, C, 16, 12) to raw pose numbers, betas and camera, each added to its mean."""

    init_poses: Tensor
    init_betas: Tensor
    init_cam: Tensor

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        self.config = config
        mean = torch.tensor([MEAN_POSE_RAD])
        poses = mean if config.pose_mode == "euler" else poses_to_rep(mean).reshape(1, POSE_NUMBERS)
        self.transformer = Decoder(config)
        self.poses_decoder = nn.Linear(config.width, poses.shape[1])
        self.betas_decoder = nn.Linear(config.width, BETAS)
        self.cam_decoder = nn.Linear(config.width, 3)
        self.register_buffer("init_poses", poses)
        self.register_buffer("init_betas", torch.tensor([MEAN_BETAS]))
        self.register_buffer("init_cam", torch.tensor([MEAN_CAMERA]))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Regress.

        Returns:
            Pose numbers (B, 144) or, in Euler mode, angles (B, 46); betas (B, 10); camera (s, tx, ty) (B, 3); float32.
        """
        token: Tensor = self.transformer(features.flatten(2).transpose(1, 2))[:, 0]
        return (
            self.init_poses.float() + self.poses_decoder(token).float(),
            self.init_betas.float() + self.betas_decoder(token).float(),
            self.init_cam.float() + self.cam_decoder(token).float(),
        )

"""The regressor: a transformer decoder with one query token over the feature map.

Attribute names are those of the released state dict (``head.``), so that checkpoints load by name. Every part of a layer has
the call ``forward(token, context)``: token (B, 1, D), context (B, N, C), result (B, 1, D).
Source: Goel et al. 2023 (HMR2.0); Xia et al. 2025 (HSMR).
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import BETAS, POSE_NUMBERS, HeadConfig
from .pose import MEAN_BETAS, MEAN_CAMERA, MEAN_POSE_RAD, poses_to_rep


class _SelfAttention(nn.Module):
    """Self-attention of a single token: the softmax is 1, so only the value map has an effect."""

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        inner = config.inner_width
        self.to_qkv = nn.Linear(config.width, 3 * inner, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner, config.width), nn.Dropout(0.0))

    def forward(self, token: Tensor, context: Tensor) -> Tensor:
        del context  # not used in self-attention
        weight = self.to_qkv.weight
        value = functional.linear(token, weight[2 * len(weight) // 3 :])
        out: Tensor = self.to_out(value)
        return out


class _CrossAttention(nn.Module):
    """Attention of the token to the feature map, which is not normalised."""

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        inner = config.inner_width
        self.heads = config.heads
        self.to_kv = nn.Linear(config.context_width, 2 * inner, bias=False)
        self.to_q = nn.Linear(config.width, inner, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner, config.width), nn.Dropout(0.0))

    def forward(self, token: Tensor, context: Tensor) -> Tensor:
        query, (key, value) = self.to_q(token), self.to_kv(context).chunk(2, dim=-1)
        query, key, value = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (query, key, value))
        mixed = functional.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.to_out(mixed.transpose(1, 2).flatten(2))
        return out


class _FeedForward(nn.Module):
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
        del context  # not used
        out: Tensor = self.net(token)
        return out


class _PreNorm(nn.Module):
    """Layer norm (eps 1e-5, unlike the backbone's) before a branch; without the residual connection."""

    def __init__(self, width: int, branch: nn.Module) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fn = branch

    def forward(self, token: Tensor, context: Tensor) -> Tensor:
        out: Tensor = self.fn(self.norm(token), context)
        return out


class _DecoderLayers(nn.Module):
    """Self-attention, cross-attention and feed-forward per layer, with residual connections; no norm at the end."""

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        parts = (_SelfAttention, _CrossAttention, _FeedForward)
        self.layers = nn.ModuleList(
            nn.ModuleList(_PreNorm(config.width, part(config)) for part in parts) for _ in range(config.layers)
        )

    def forward(self, token: Tensor, context: Tensor) -> Tensor:
        for layer in self.layers:
            for branch in cast(nn.ModuleList, layer):
                token = token + branch(token, context)
        return token


class Decoder(nn.Module):
    """The query token and the layers. The input is a zero scalar: the token starts as bias plus position embedding."""

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        self.to_token_embedding = nn.Linear(1, config.width)
        self.pos_embedding = nn.Parameter(torch.randn(1, 1, config.width))
        self.transformer = _DecoderLayers(config)

    def forward(self, context: Tensor) -> Tensor:
        """(B, N, C) to (B, 1, D)."""
        token: Tensor = self.to_token_embedding(context.new_zeros(len(context), 1, 1)) + self.pos_embedding
        out: Tensor = self.transformer(token, context)
        return out


class Head(nn.Module):
    """Regressor of pose numbers, betas and camera, each added to its mean, from a feature map (B, C, 16, 12)."""

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
        """Regress the parameters of a feature map (B, C, 16, 12).

        Returns:
            Pose numbers (B, 144) or, in Euler mode, angles (B, 46); betas (B, 10); camera (s, tx, ty) (B, 3); float32.
        """
        token: Tensor = self.transformer(features.flatten(2).transpose(1, 2))[:, 0]
        return (
            self.init_poses.float() + self.poses_decoder(token).float(),
            self.init_betas.float() + self.betas_decoder(token).float(),
            self.init_cam.float() + self.cam_decoder(token).float(),
        )

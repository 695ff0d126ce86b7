"""Scale of the bones of the skeleton mesh."""

from __future__ import annotations

import torch
from torch import Tensor

from .data_model import JOINT_COUNT, BodyData
from .forward import LUMBAR, THORAX, ULNA_RADIUS_HAND, Constants, Rest, first_children


def bone_scale(data: BodyData, c: Constants, rest: Rest, skin: Tensor) -> Tensor:
    """Scale of each bone along its own axes (front, up, side).

    The scale is the ratio of the offset of the bone's first child to its length in the default pose; some bones take their
    depth or width from the skin (``data.scale_pairs``).

    Args:
        data: the body.
        c: its constants.
        rest: the shaped rest pose.
        skin: (Bs, V, 3) shaped skin in the T pose.

    Returns:
        (Bs, 24, 3); ratios from the skin are signed.

    Source:
        SKEL 1.1.1, from its outputs (Keller et al. 2023).
    """
    length = c.apose_offset.norm(dim=-1)
    safe = torch.where(length > 0, length, torch.ones_like(length))
    guarded = torch.cat([torch.ones_like(rest.offsets[:, :1]), rest.offsets[:, 1:]], dim=1)
    ratio = guarded.norm(dim=-1) / safe
    children = first_children(data.parents)
    ones = torch.ones_like(ratio[:, 0])
    scale = [ratio[:, child] if child else ones for child in children]
    for ulna, radius, _ in ULNA_RADIUS_HAND:
        scale[ulna] = scale[radius]
    scale[THORAX] = scale[LUMBAR]
    scale[LUMBAR] = rest.offsets[:, LUMBAR, 1].abs() / c.apose_offset[LUMBAR, 1].abs()
    columns = [[value] * 3 for value in scale]
    for pair in data.scale_pairs:
        columns[pair.bone][pair.bone_axis] = _skin_ratio(c.skin, skin, pair.rest_axis, pair.vertex_pairs)
    return torch.stack([value for bone in columns for value in bone], dim=-1).reshape(-1, JOINT_COUNT, 3)


def _skin_ratio(mean: Tensor, skin: Tensor, axis: int, pairs: tuple[tuple[int, int], ...]) -> Tensor:
    if not pairs:
        return torch.ones_like(skin[:, 0, 0])
    ratios = [(skin[:, i, axis] - skin[:, k, axis]) / (mean[i, axis] - mean[k, axis]) for i, k in pairs]
    return torch.stack(ratios, dim=-1).amin(dim=-1)

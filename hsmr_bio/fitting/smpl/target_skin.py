"""Some vertices of SMPL's posed skin: what a fit looks at, without the rest of the mesh."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ...body.data_model import IntArray
from ...body.forward import chain
from ...body.smpl_model import SMPL_PARENTS, SmplModel


class SmplSkin:
    """SMPL's forward pass for a choice of vertices.

    Args:
        smpl: the model.
        vertices: (S,) vertex numbers.
    """

    def __init__(self, smpl: SmplModel, vertices: IntArray) -> None:
        self._template = torch.tensor(smpl.template_m[vertices])
        self._shapedirs = torch.tensor(smpl.shapedirs[vertices])
        self._posedirs = torch.tensor(smpl.posedirs[vertices].reshape(3 * len(vertices), -1))
        self._weights = torch.tensor(smpl.weights_dense[vertices])
        self._joints, self._joint_dirs = torch.tensor(np.asarray(smpl.joints_m)), torch.tensor(np.asarray(smpl.joint_dirs))

    def points(self, rotations: Tensor, betas: Tensor, trans: Tensor) -> Tensor:
        """(T, S, 3) points; rotations (T, 24, 3, 3), betas (1 or T, 10), trans (T, 3)."""
        frames = len(rotations)
        joints = (self._joints + (self._joint_dirs @ betas[:, None, :, None]).squeeze(-1)).expand(frames, -1, -1)
        parents = list(SMPL_PARENTS[1:])
        offsets = torch.cat([joints[:, :1], joints[:, 1:] - joints[:, parents]], dim=1)
        world, position = chain(SMPL_PARENTS, rotations, offsets)
        features = (rotations[:, 1:] - torch.eye(3, dtype=rotations.dtype)).reshape(frames, -1)
        shaped = self._template + torch.einsum("sak,bk->bsa", self._shapedirs, betas)
        posed = shaped + (features @ self._posedirs.T).reshape(frames, -1, 3)
        moved = position - (world @ joints[..., None])[..., 0]
        frames_of = torch.cat([world, moved[..., None]], dim=-1).reshape(frames, 24, 12)
        blend = (self._weights @ frames_of).reshape(frames, -1, 3, 4)
        return (blend[..., :3] @ posed[..., None])[..., 0] + blend[..., 3] + trans[:, None]

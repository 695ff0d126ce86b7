"""SMPL's joints and some vertices of its posed skin: what a fit compares with, without the rest of the mesh."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ...body.data_model import IntArray
from ...body.forward import chain
from ...body.smpl_model import SMPL_PARENTS, SmplModel, SmplPose


class SmplSkin:
    """SMPL's forward pass for a choice of vertices.

    Args:
        smpl: the model.
        vertices: (S,) vertex numbers.
    """

    def __init__(self, smpl: SmplModel, vertices: IntArray | Sequence[int]) -> None:
        index = np.asarray(vertices, dtype=np.int64)
        self._template, self._shapedirs = torch.tensor(smpl.template_m[index]), torch.tensor(smpl.shapedirs[index])
        self._posedirs = torch.tensor(smpl.posedirs[index]).flatten(0, 1)
        self._weights = torch.tensor(smpl.weights_dense[index])
        self._joints, self._joint_dirs = torch.tensor(np.asarray(smpl.joints_m)), torch.tensor(np.asarray(smpl.joint_dirs))

    def forward(self, rotations: Tensor, betas: Tensor, trans: Tensor) -> SmplPose:
        """Pose SMPL.

        Args:
            rotations: (T, 24, 3, 3) of each joint in its parent.
            betas: (1, 10) or (T, 10).
            trans: (T, 3).

        Returns:
            Joints (T, 24, 3) and vertices (T, S, 3).
        """
        frames = len(rotations)
        joints = (self._joints + (self._joint_dirs @ betas[:, None, :, None]).squeeze(-1)).expand(frames, -1, -1)
        parents = list(SMPL_PARENTS[1:])
        offsets = torch.cat([joints[:, :1], joints[:, 1:] - joints[:, parents]], dim=1)
        world, position = chain(SMPL_PARENTS, rotations, offsets)
        features = (rotations[:, 1:] - torch.eye(3, dtype=rotations.dtype)).reshape(frames, -1)
        shaped = self._template + torch.einsum("sak,bk->bsa", self._shapedirs, betas)
        posed = shaped + (features @ self._posedirs.T).unflatten(1, (-1, 3))
        moved = position - (world @ joints[..., None])[..., 0]
        placed = torch.cat([world, moved[..., None]], dim=-1).flatten(2)
        blend = (self._weights @ placed).unflatten(2, (3, 4))
        vertices = (blend[..., :3] @ posed[..., None])[..., 0] + blend[..., 3] + trans[:, None]
        return SmplPose(position + trans[:, None], vertices)

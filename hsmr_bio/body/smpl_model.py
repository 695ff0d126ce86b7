"""SMPL's forward pass from the user's own file.

Source:
    Loper et al. 2015, "SMPL: A Skinned Multi-Person Linear Model". The file is licensed (https://smpl.is.tue.mpg.de).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from hsmr_bio.arrays import readonly
from hsmr_bio.kinematics.rotations import exp
from hsmr_bio.types import FloatArray, Sex

from .body import Values
from .data_model import BETA_COUNT, JOINT_COUNT, POSE_FEATURES, IntArray, readonly_ints
from .forward import chain
from .skel_file import errors_of, read_dict, require_keys, sex_of_name

SMPL_PARENTS: tuple[int, ...] = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
"""Parent of each SMPL joint, -1 for the root."""
_KEYS = ("v_template", "f", "shapedirs", "posedirs", "J_regressor", "weights")


@dataclass(frozen=True, eq=False)
class SmplPose:
    """SMPL in B frames, as tensors."""

    joints_m: Tensor
    """(B, 24, 3)."""
    vertices_m: Tensor
    """(B, V, 3)."""


@dataclass(frozen=True, eq=False, kw_only=True)
class SmplModel:
    """One SMPL file's arrays; rest axes as SKEL's: y up, facing +z, left +x."""

    sex: Sex
    template_m: FloatArray
    """(V, 3)."""
    faces: IntArray
    """(F, 3)."""
    shapedirs: FloatArray
    """(V, 3, 10)."""
    posedirs: FloatArray
    """(V, 3, 207)."""
    weights: FloatArray
    """(V, 24)."""
    joints_m: FloatArray
    """(24, 3) of the mean body."""
    joint_dirs: FloatArray
    """(24, 3, 10)."""
    _tensors: dict[torch.dtype, tuple[Tensor, ...]] = field(default_factory=dict, init=False, repr=False)

    def joints(self, betas: FloatArray) -> FloatArray:
        """(24, 3) rest joints of betas (10,)."""
        return np.asarray(self.joints_m + self.joint_dirs @ betas)

    def _constants(self, dtype: torch.dtype) -> tuple[Tensor, ...]:
        if dtype not in self._tensors:
            arrays = (self.template_m, self.shapedirs, self.posedirs, self.weights, self.joints_m, self.joint_dirs)
            self._tensors[dtype] = tuple(torch.tensor(array, dtype=dtype) for array in arrays)
        return self._tensors[dtype]

    def part(self, vertices: Sequence[int] | IntArray) -> SmplModel:
        """Keep some vertices (S,) only: what a fit compares with, without the rest of the mesh; there are no faces then."""
        index = np.asarray(vertices, dtype=np.int64)
        names = ("template_m", "shapedirs", "posedirs", "weights")
        return replace(self, faces=self.faces[:0], **{name: getattr(self, name)[index] for name in names})

    def forward(self, rotations: Values, betas: Values, trans: Values, *, dtype: torch.dtype = torch.float64) -> SmplPose:
        """Pose SMPL.

        Args:
            rotations: (B, 24, 3) rotation vectors, or (B, 24, 3, 3) matrices; the root first.
            betas: (10,), (1, 10) or (B, 10).
            trans: (B, 3) metres.
            dtype: of the computation.

        Returns:
            Joints and vertices.

        Source:
            Loper et al. 2015, section 3.
        """
        local = _tensor(rotations, dtype)
        local = exp(local) if local.ndim == 3 else local
        betas, trans = _tensor(betas, dtype).reshape(-1, BETA_COUNT), _tensor(trans, dtype)
        template, shapedirs, posedirs, weights, mean_joints, joint_dirs = self._constants(dtype)
        shaped = template + torch.einsum("vak,bk->bva", shapedirs, betas)
        joints = mean_joints + torch.einsum("jak,bk->bja", joint_dirs, betas)
        joints = joints.expand(len(local), -1, -1)
        parents = list(SMPL_PARENTS[1:])
        offsets = torch.cat([joints[:, :1], joints[:, 1:] - joints[:, parents]], dim=1)
        features = (local[:, 1:] - torch.eye(3, dtype=dtype)).reshape(len(local), -1)
        posed = shaped + (features @ posedirs.flatten(0, 1).T).unflatten(1, (-1, 3))
        world, position = chain(SMPL_PARENTS, local, offsets)
        moved = position - (world @ joints[..., None])[..., 0]
        blend = (weights @ torch.cat([world, moved[..., None]], dim=-1).flatten(2)).unflatten(2, (3, 4))
        vertices = (blend[..., :3] @ posed[..., None])[..., 0] + blend[..., 3] + trans[:, None]
        return SmplPose(position + trans[:, None], vertices)


def _tensor(value: Values, dtype: torch.dtype) -> Tensor:
    return value.to(dtype) if isinstance(value, Tensor) else torch.tensor(np.asarray(value), dtype=dtype)


def load_smpl(path: str | PathLike[str], *, sex: Sex | None = None) -> SmplModel:
    """Read an SMPL pickle (Python 2 or 3, chumpy or not) without running code from it.

    Args:
        path: ``SMPL_MALE.pkl`` or the like.
        sex: of the body; None reads it from the file's name.

    Returns:
        The model.

    Raises:
        FormatError: a key is missing or has the wrong shape, damaged, or refused.
    """
    path = Path(path)
    content = read_dict(path, "an SMPL file")
    with errors_of(path):
        require_keys(content, _KEYS, "an SMPL file")
        return _model(content, sex or sex_of_name(path.name))


def _model(content: dict[str, Any], sex: Sex) -> SmplModel:
    template = readonly("v_template", content["v_template"], (None, 3))
    count = len(template)
    shapedirs = readonly("shapedirs", np.asarray(content["shapedirs"])[..., :BETA_COUNT], (count, 3, BETA_COUNT))
    weights = content["weights"]
    weights = readonly("weights", weights.toarray() if sparse.issparse(weights) else weights, (count, JOINT_COUNT))
    regressor = sparse.csr_array(content["J_regressor"], dtype=np.float64)
    if regressor.shape != (JOINT_COUNT, count):
        raise ValueError(f"J_regressor must have shape ({JOINT_COUNT}, {count}), got {regressor.shape}")
    joint_dirs = (regressor @ shapedirs.reshape(count, -1)).reshape(JOINT_COUNT, 3, BETA_COUNT)
    return SmplModel(
        sex=sex,
        template_m=template,
        faces=readonly_ints("f", content["f"], (None, 3), high=count),
        shapedirs=shapedirs,
        posedirs=readonly("posedirs", content["posedirs"], (count, 3, POSE_FEATURES)),
        weights=weights,
        joints_m=np.asarray(regressor @ template),
        joint_dirs=joint_dirs,
    )

"""The body model: ten betas and 46 angles to joints, bone orientations, skin and skeleton mesh."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hsmr_bio.errors import ShapeError
from hsmr_bio.kinematics.tree import Tree
from hsmr_bio.skeleton import DOF_NAMES
from hsmr_bio.types import FloatArray, Sex

from . import forward as formulas
from .bones import bone_scale
from .data_model import BETA_COUNT, JOINT_COUNT, BodyData, IntArray
from .sparse_product import SparseProduct
from .tree import body_tree

Values: TypeAlias = npt.ArrayLike | Tensor
"""Numbers as an array, nested lists or a tensor."""


@dataclass(frozen=True, eq=False)
class RestBody:
    """A shaped body in its T pose, as arrays."""

    joints_m: FloatArray
    """(24, 3) rest axes; the root is not at the origin."""
    skin_m: FloatArray
    """(V, 3)."""
    bone_rotations: FloatArray
    """(24, 3, 3) Rk: bone axes -> rest axes."""
    bone_scale: FloatArray
    """(24, 3) scale of each bone mesh along its own axes: front, up, side."""


@dataclass(frozen=True, eq=False)
class BodyPose:
    """A posed body in B frames, as tensors."""

    joints_m: Tensor
    """(B, 24, 3)."""
    joints_ori: Tensor
    """(B, 24, 3, 3) posed bone axes in the world: columns front, up along the bone, right."""
    skin_m: Tensor | None
    """(B, V, 3) if requested."""
    skeleton_m: Tensor | None
    """(B, K, 3) if requested."""


class Body:
    """SKEL's body model for any arrays of its schema.

    Inputs may be arrays or tensors. A tensor keeps its dtype (float32 or float64) and device; other inputs become float64.
    All methods that return tensors are differentiable. Joints are computed without the mesh.

    Args:
        data: the body's arrays.
    """

    def __init__(self, data: BodyData) -> None:
        self.data = data
        self._constants: dict[tuple[torch.dtype, torch.device], formulas.Constants] = {}
        self._skin_weights = SparseProduct(data.skin_weights)
        self._bone_weights = SparseProduct(data.bone_weights)
        self._bone_weights_rigid = SparseProduct(data.bone_weights_rigid)

    def __repr__(self) -> str:
        return f"Body({self.name!r}, {len(self.data.skin_template_m)} skin, {len(self.data.bone_template_m)} bone vertices)"

    @property
    def name(self) -> str:
        """Name that stored betas refer to, e.g. ``"skel_male@1.1.1"``."""
        return self.data.name

    @property
    def sex(self) -> Sex:
        """``"neutral"``, ``"female"`` or ``"male"``."""
        return self.data.sex

    @property
    def faces(self) -> IntArray:
        """(F, 3) triangles of the skin."""
        return self.data.skin_faces

    @property
    def bone_faces(self) -> IntArray:
        """(Fb, 3) triangles of the skeleton mesh."""
        return self.data.bone_faces

    @property
    def parents(self) -> tuple[int, ...]:
        """(24) parent of each joint, -1 for the root."""
        return self.data.parents

    def constants(self, dtype: torch.dtype = torch.float64, device: torch.device | str = "cpu") -> formulas.Constants:
        """The body's arrays as tensors, cached.

        Args:
            dtype: of the tensors.
            device: of the tensors.

        Returns:
            The constants.
        """
        key = (dtype, torch.device(device))
        if key not in self._constants:
            self._constants[key] = formulas.constants(self.data, *key)
        return self._constants[key]

    def rest_pose(self, betas: Values, joint_offset_m: Values | None = None) -> formulas.Rest:
        """Joints and bone orientations of the T pose as tensors, batched and differentiable.

        Args:
            betas: (10,) or (Bs, 10).
            joint_offset_m: (24, 3) or (Bs, 24, 3) added to the joints, or None.

        Returns:
            The T pose of Bs bodies, rest axes.
        """
        betas = _rows("betas", betas, BETA_COUNT)
        offset = None if joint_offset_m is None else _like("joint_offset_m", joint_offset_m, betas)
        return formulas.rest_pose(self.constants(betas.dtype, betas.device), betas, offset)

    def shaped_skin(self, betas: Values) -> Tensor:
        """(Bs, V, 3) skin in the T pose, metres, without pose blend shapes; betas (10,) or (Bs, 10)."""
        betas = _rows("betas", betas, BETA_COUNT)
        c = self.constants(betas.dtype, betas.device)
        return c.skin + torch.einsum("vak,bk->bva", c.shapedirs, betas)

    def rest(self, betas: Values) -> RestBody:
        """The shaped body in its T pose, as float64 arrays.

        Args:
            betas: (10,).

        Returns:
            The T pose, rest axes.

        Raises:
            ShapeError: betas that are not (10,) finite numbers.
        """
        with torch.no_grad():
            betas = _rows("betas", betas, BETA_COUNT).to(dtype=torch.float64, device="cpu")
            if len(betas) != 1:
                raise ShapeError(f"betas must have shape ({BETA_COUNT},): one body at a time, got {tuple(betas.shape)}")
            rest, skin = self.rest_pose(betas), self.shaped_skin(betas)
            scale = bone_scale(self.data, self.constants(), rest, skin)
        return RestBody(
            joints_m=rest.joints[0].numpy(),
            skin_m=skin[0].numpy(),
            bone_rotations=rest.rotations[0].numpy(),
            bone_scale=scale[0].numpy(),
        )

    def rest_jacobian(self, betas: Values) -> tuple[FloatArray, FloatArray]:
        """Exact derivatives of the rest pose with respect to betas.

        Args:
            betas: (10,).

        Returns:
            Joints (24, 3, 10), which do not depend on betas; and rotation vectors e (24, 3, 10) in rest axes with
            ``dRk = [e dbeta] Rk`` (zero for the six fixed bones).
        """
        with torch.no_grad():
            rest = self.rest_pose(np.asarray(betas, dtype=np.float64))
            turn = formulas.rest_derivatives(self.constants(), rest)
        return np.asarray(self.constants().joint_dirs.numpy()), np.asarray(turn[0].numpy())

    def bone_scale(self, betas: Values) -> Tensor:
        """(Bs, 24, 3) scale of each bone mesh along its own axes; betas (10,) or (Bs, 10)."""
        betas = _rows("betas", betas, BETA_COUNT)
        c = self.constants(betas.dtype, betas.device)
        return bone_scale(self.data, c, self.rest_pose(betas), self.shaped_skin(betas))

    def tree(self, betas: Values) -> Tree:
        """The body as a tree of joints in bone frames.

        Args:
            betas: (10,), or (B, 10) for a tree that is evaluated for B frames of different shape.

        Returns:
            The tree. Its coordinates are SKEL's 46 angles and ``trans_x, trans_y, trans_z``; its ground has SKEL's rest axes.
        """
        rest = self.rest_pose(betas)
        return body_tree(self.parents, self.constants(rest.joints.dtype, rest.joints.device), rest)

    def forward(
        self,
        poses: Values,
        betas: Values,
        trans: Values | None = None,
        *,
        skin: bool = False,
        skeleton: bool = False,
        pose_blend: bool = True,
        joint_offset_m: Values | None = None,
    ) -> BodyPose:
        """Pose the body.

        Args:
            poses: (B, 46) rad, or (46,).
            betas: (10,) or (1, 10) for one shape, (B, 10) for one shape per frame.
            trans: (B, 3) metres, or None for zero. The pelvis joint comes to J_0(betas) + trans.
            skin: whether to compute the skin.
            skeleton: whether to compute the skeleton mesh.
            pose_blend: whether pose blend shapes deform the skin, where the body has any.
            joint_offset_m: (24, 3) or (Bs, 24, 3) added to the T-pose joints, or None.

        Returns:
            Joints and bone orientations, and the requested meshes.

        Raises:
            ShapeError: shapes that do not fit together.
        """
        poses = _rows("poses", poses, len(DOF_NAMES))
        betas = _like("betas", betas, poses)
        betas = betas[None] if betas.ndim == 1 else betas
        trans = torch.zeros_like(poses[:, :3]) if trans is None else _like("trans", trans, poses).reshape(-1, 3)
        _check_frames(len(poses), betas, trans)
        c = self.constants(poses.dtype, poses.device)
        offset = None if joint_offset_m is None else _like("joint_offset_m", joint_offset_m, poses)
        if offset is not None:
            offset = offset[None] if offset.ndim == 2 else offset
            if offset.shape[1:] != (JOINT_COUNT, 3) or len(offset) not in (1, len(poses)):
                raise ShapeError(f"joint_offset_m must have shape (24, 3) or ({len(poses)}, 24, 3), got {tuple(offset.shape)}")
        rest = formulas.rest_pose(c, betas, offset)
        relative = formulas.world_rotations(c, rest, formulas.local_rotations(c, poses))
        rotations, positions = formulas.chain(self.parents, relative, formulas.translations(rest, poses))
        skin_m = skeleton_m = None
        if skin or skeleton:
            shaped = self.shaped_skin(betas)
            moved = positions - (rotations @ rest.joints[..., None])[..., 0]
            transforms = torch.cat([rotations, moved[..., None]], dim=-1)
        if skin:
            vertices = shaped
            if pose_blend and c.posedirs is not None:
                vertices = shaped + (formulas.pose_features(relative) @ c.posedirs.T).reshape(len(poses), -1, 3)
            skin_m = _blend(self._skin_weights, transforms, vertices) + trans[:, None]
        if skeleton:
            bones = self._bones_at_rest(c, rest, bone_scale(self.data, c, rest, shaped))
            skeleton_m = _blend(self._bone_weights, transforms, bones) + trans[:, None]
        return BodyPose(positions + trans[:, None], rotations @ rest.rotations, skin_m, skeleton_m)

    def skin(self, poses: Values, betas: Values, trans: Values | None = None) -> Tensor:
        """Posed skin.

        Args:
            poses: (B, 46) rad, or (46,).
            betas: (10,), (1, 10) or (B, 10).
            trans: (B, 3) metres, or None for zero.

        Returns:
            (B, V, 3) metres.
        """
        return cast(Tensor, self.forward(poses, betas, trans, skin=True).skin_m)

    def _bones_at_rest(self, c: formulas.Constants, rest: formulas.Rest, scale: Tensor) -> Tensor:
        transforms = torch.cat([rest.rotations * scale[..., None, :], rest.joints[..., None]], dim=-1)
        return _blend(self._bone_weights_rigid, transforms, c.bone_template[None])

    def stature_m(self, betas: Values) -> float:
        """Height from heel to the top of the head in the T pose; betas (10,)."""
        at_zero_m, by_betas_m = self.data.stature_line
        return float(abs(at_zero_m + by_betas_m @ np.asarray(betas, dtype=np.float64)))

    def mass_kg(self, betas: Values) -> float:
        """Volume of the skin in the T pose times the body's density; betas (10,)."""
        return self.data.density_kg_m3 * volume_m3(self.rest(betas).skin_m, self.faces)


def volume_m3(vertices_m: FloatArray, faces: IntArray) -> float:
    """Volume of a closed mesh: the sum of the tetrahedra of its triangles and the origin.

    Args:
        vertices_m: (V, 3).
        faces: (F, 3) triangles, counter-clockwise from outside.

    Returns:
        Volume in m^3.
    """
    a, b, c = (vertices_m[faces[:, corner]] for corner in range(3))
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


def _blend(weights: SparseProduct, transforms: Tensor, vertices: Tensor) -> Tensor:
    """Linear blend skinning: transforms (B, 24, 3, 4), vertices (B or 1, V, 3) -> (B, V, 3)."""
    per_vertex = weights(transforms.transpose(0, 1)).transpose(0, 1)
    return (per_vertex[..., :3] @ vertices[..., None])[..., 0] + per_vertex[..., 3]


def _rows(name: str, value: Values, width: int) -> Tensor:
    """Float tensor (B, width) of values (width,) or (B, width); arrays become float64."""
    tensor = value if isinstance(value, Tensor) else torch.as_tensor(np.array(value, dtype=np.float64))
    if not tensor.is_floating_point():
        tensor = tensor.to(torch.float64)
    tensor = tensor[None] if tensor.ndim == 1 else tensor
    if tensor.ndim != 2 or tensor.shape[1] != width:
        raise ShapeError(f"{name} must have shape ({width},) or (B, {width}), got {tuple(tensor.shape)}")
    return tensor


def _like(name: str, value: Values, like: Tensor) -> Tensor:
    try:
        tensor = value if isinstance(value, Tensor) else torch.tensor(np.asarray(value))
        return tensor.to(dtype=like.dtype, device=like.device)
    except (TypeError, ValueError) as error:
        raise ShapeError(f"{name} must be an array of numbers: {error}") from None


def _check_frames(frames: int, betas: Tensor, trans: Tensor) -> None:
    if betas.ndim != 2 or betas.shape[1] != BETA_COUNT or len(betas) not in (1, frames):
        wanted = f"({BETA_COUNT},), (1, {BETA_COUNT}) or ({frames}, {BETA_COUNT})"
        raise ShapeError(f"betas must have shape {wanted} for {frames} poses, got {tuple(betas.shape)}")
    if trans.shape != (frames, 3):
        raise ShapeError(f"trans must have shape ({frames}, 3) for {frames} poses, got {tuple(trans.shape)}")

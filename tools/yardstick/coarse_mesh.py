"""The skin of a body with fewer triangles: as fine as a picture of a person of 200 to 500 pixels shows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from raster import Floats, Ints

from hsmr_bio.body.body import Body
from hsmr_bio.skeleton import JOINT_NAMES
from hsmr_bio.types import SkelMotion

_CELL_M = {"head": 0.011, "hand_r": 0.016, "hand_l": 0.016, "toes_r": 0.018, "toes_l": 0.018}
"""Size of the cells that become one vertex, by bone; all others ``_CELL_ELSEWHERE_M`` (chosen: 3 px of the detector's crop)."""
_CELL_ELSEWHERE_M = 0.024


@dataclass(frozen=True, eq=False)
class CoarseMesh:
    """Some of the skin's vertices, and triangles between them."""

    body: Body
    vertices: Ints
    """(V,) of the body's skin."""
    faces: Ints
    """(F, 3) of ``vertices``."""

    @classmethod
    @lru_cache(maxsize=4)
    def of(cls, body: Body) -> CoarseMesh:
        """Merge the vertices of a bone that share a cell into the one nearest to their middle (Rossignac and Borrel 1993)."""
        skin = np.asarray(body.data.skin_template_m)
        bone = np.asarray(body.data.skin_weights.todense()).argmax(axis=1)
        size = np.array([_CELL_M.get(name, _CELL_ELSEWHERE_M) for name in JOINT_NAMES])[bone]
        keys = np.column_stack([bone, np.floor(skin / size[:, None])])
        cell = np.unique(keys, axis=0, return_inverse=True)[1].ravel()
        total = np.stack([np.bincount(cell, skin[:, axis]) for axis in range(3)], axis=1)
        off = np.linalg.norm(skin - (total / np.bincount(cell)[:, None])[cell], axis=1)
        order = np.lexsort((off, cell))
        nearest = order[np.unique(cell[order], return_index=True)[1]]
        faces = cell[body.faces]
        faces = faces[(faces != np.roll(faces, 1, axis=1)).all(axis=1)]
        _, first = np.unique(np.sort(faces, axis=1), axis=0, return_index=True)
        return cls(body, nearest, faces[np.sort(first)].astype(np.int64))

    def posed(self, motion: SkelMotion, thickness_m: npt.NDArray[np.float64] | None = None) -> Floats:
        """Pose the vertices.

        Args:
            motion: of the body.
            thickness_m: (V,) of clothes and hair on the skin, or None.

        Returns:
            (T, V, 3) in the axes of the motion.
        """
        rest = self.body.rest(motion.betas)
        shaped = rest.skin_m[self.vertices]
        if thickness_m is not None:
            shaped = shaped + normals(shaped.astype(np.float32), self.faces) * thickness_m[:, None]
        posed = self.body.forward(motion.poses_rad, motion.betas, motion.trans_m)
        turn = posed.joints_ori.numpy() @ np.swapaxes(rest.bone_rotations, 1, 2)
        shift = posed.joints_m.numpy() - np.einsum("tjik,jk->tji", turn, rest.joints_m)
        moves = torch.as_tensor(np.concatenate([turn, shift[..., None]], axis=3).astype(np.float32))
        weights = torch.as_tensor(self.body.data.skin_weights[self.vertices].toarray().astype(np.float32))
        made = np.empty((len(moves), len(shaped), 3), dtype=np.float32)
        at = torch.as_tensor(np.column_stack([shaped, np.ones(len(shaped))]).astype(np.float32))[..., None]
        for frame, move in enumerate(moves):
            made[frame] = ((weights @ move.reshape(24, 12)).reshape(-1, 3, 4) @ at)[..., 0].numpy()
        return made


def normals(points_m: Floats, faces: Ints) -> Floats:
    """(V, 3) unit normals, outwards, averaged over the triangles of each vertex by area."""
    corners = points_m[faces]
    of_faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.empty_like(points_m)
    flat = faces.ravel(order="F")
    for axis in range(3):
        total[:, axis] = np.bincount(flat, np.tile(of_faces[:, axis], 3), len(points_m))
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)

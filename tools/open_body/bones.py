"""The whole bone mesh of one mean body: right and middle bodies, each in its bone axes, with soft weights."""

from __future__ import annotations

import bone_limbs as limbs
import numpy as np
import numpy.typing as npt
from assets import Floats, Ints, Mesh, read_ply
from bone_trunk import Trunk
from mesh_parts import pieces
from pack import Bones
from tpose import GROUPS, TPose

PELVIS, FEMUR, TIBIA, TALUS, CALCN, TOES = range(6)
LUMBAR, THORAX, HEAD, SCAPULA, HUMERUS, ULNA, RADIUS, HAND = range(11, 19)
MIDDLE = (PELVIS, LUMBAR, THORAX, HEAD)

SOFT: dict[str, tuple[int, float]] = {
    **{
        name: (PELVIS, share)
        for name, share in zip(("L5", "L4", "L3", "L2", "L1"), (0.75, 0.55, 0.35, 0.15, 0.05), strict=True)
    },
    **{name: (LUMBAR, share) for name, share in zip(("T12", "T11", "T10"), (0.5, 0.3, 0.1), strict=True)},
    **{name: (HEAD, share) for name, share in zip(("C7", "C6", "C5", "C4"), (0.05, 0.15, 0.3, 0.45), strict=True)},
    **{name: (THORAX, share) for name, share in zip(("C3", "C2", "C1"), (0.4, 0.2, 0.05), strict=True)},
}
"""Vertebra -> second body and its share: the spine bends from bone to bone."""


def body_of_vertebra(name: str) -> int:
    """Bone that a vertebra belongs to: lumbar ones to lumbar_body, C1 to C3 to the head, the rest to the thorax."""
    if name.startswith("L"):
        return LUMBAR
    return HEAD if name in ("C1", "C2", "C3") else THORAX


TOES_LOWER_M = np.array([0.0, -0.004, 0.0])
"""The rig's toe joints lie in the upper half of the toes; the bones lie lower."""

FINGERS_LOWER_M = np.array([0.0, 0.0, -0.002])
"""The same for the fingers, palm down."""


class Skeleton:
    """Builds the bones of one body."""

    def __init__(
        self, mesh: Mesh, tpose: TPose, points: Floats, joints: Floats, rotations: Floats, marks: dict[str, int]
    ) -> None:
        self.mesh, self.tpose, self.points, self.joints, self.rotations = mesh, tpose, points, joints, rotations
        self.marks = {name: points[tpose.hm08[number]] for name, number in marks.items()}
        self.parts: dict[int, list[tuple[Floats, Ints, int, Floats]]] = {joint: [] for joint in range(24)}

    def _child(self, parent: int, child: int) -> Floats:
        return self.rotations[parent].T @ (self.joints[child] - self.joints[parent])

    def _add(self, body: int, mesh: limbs.Mesh3, second: int | None = None, share: npt.ArrayLike = 0.0) -> None:
        points, faces = mesh
        weight = np.broadcast_to(np.asarray(share, dtype=np.float64), (len(points),)).copy()
        self.parts[body].append((points, faces, body if second is None else second, weight))

    def _rest(self, body: int, points: Floats, faces: Ints, second: int | None = None, share: npt.ArrayLike = 0.0) -> None:
        """Add a mesh given in rest axes; -x turns the file's handedness, faces stay outward."""
        self._add(body, ((points - self.joints[body]) @ self.rotations[body], faces), second, share)

    def build(self) -> Bones:
        """All bones."""
        self._legs()
        self._arms()
        self._trunk()
        vertices, faces, second, share = [], [], [], []
        for body in range(24):
            parts = self.parts[body]
            merged = (
                limbs.join([(p, f) for p, f, _, _ in parts]) if parts else (np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64))
            )
            vertices.append(merged[0])
            faces.append(merged[1])
            second.append(
                np.concatenate([np.full(len(p), s) for p, _, s, _ in parts]) if parts else np.zeros(0, dtype=np.int64)
            )
            share.append(np.concatenate([w for *_, w in parts]) if parts else np.zeros(0))
        return Bones(vertices, faces, second, share)

    def _legs(self) -> None:
        self._add(PELVIS, limbs.pelvis(self._child(PELVIS, FEMUR)))
        self._add(FEMUR, limbs.femur(self._child(FEMUR, TIBIA)))
        self._add(TIBIA, limbs.tibia(self._child(TIBIA, TALUS)))
        foot = self.points[: self.mesh.skin_count][
            (self.tpose.weights[: self.mesh.skin_count, GROUPS.index("foot")] > 0.9)
            & (self.points[: self.mesh.skin_count, 0] < 0)
        ]
        length = 0.93 * np.ptp(foot[:, 2]) / 0.2655
        width = 0.84 * np.ptp(foot[:, 0]) / 0.0918
        cubes = [f"toe-{i}-{k}" for i in range(1, 6) for k in range(1, 4 if i == 1 else 5)]
        place = {name: self.tpose.cube(self.points, f"r-{name}") - self.joints[CALCN] for name in cubes}
        rays = {name: self.rotations[CALCN].T @ point + TOES_LOWER_M for name, point in place.items()}
        parts = limbs.foot(self._child(TALUS, CALCN), rays, self._child(CALCN, TOES), length, width)
        for body, mesh in zip((TALUS, CALCN, TOES), parts, strict=True):
            self._add(body, mesh)

    def _arms(self) -> None:
        self._add(HUMERUS, limbs.humerus(self._child(HUMERUS, ULNA)))
        wrist = self._child(ULNA, HAND)
        ulna, radius = limbs.forearm(self._child(ULNA, RADIUS), wrist, float(np.linalg.norm(wrist)) / 0.265)
        self._add(ULNA, ulna)
        arm = self.rotations[ULNA]
        self._add(RADIUS, (radius[0] @ arm.T @ self.rotations[RADIUS], radius[1]))
        fingers = {
            f"finger-{i}-{k}": self.tpose.cube(self.points, f"r-finger-{i}-{k}") for i in range(1, 6) for k in range(1, 5)
        }
        local = {name: self.rotations[HAND].T @ (p - self.joints[HAND]) + FINGERS_LOWER_M for name, p in fingers.items()}
        self._add(HAND, limbs.hand(local))

    def _trunk(self) -> None:
        skin = self.mesh.skin_count
        trunk = (self.tpose.weights[:skin, 0] > 0.5) & (np.arange(skin) < 13380)
        torso = Trunk(self.points[:skin], trunk, self.marks, self.joints, limbs.pelvis_turn(self._child(PELVIS, FEMUR)))
        for points, faces, name in torso.vertebrae:
            second, share = SOFT.get(name, (None, 0.0))
            self._rest(body_of_vertebra(name), torso.spine(points), faces, second, share)
        for points, faces in pieces(*read_ply("hat_ribs_scap")):
            self._girdle_or_rib(torso, points, faces)
        for name in ("hat_skull", "hat_jaw"):
            points, faces = read_ply(name)
            self._rest(HEAD, torso.skull(points), faces)

    def _girdle_or_rib(self, torso: Trunk, points: Floats, faces: Ints) -> None:
        if len(points) < 260 or 700 < len(points) < 760:
            self._rest(THORAX, torso.ribs(points), faces)
        elif points[:, 2].mean() > 0 and len(points) > 700:
            self._rest(SCAPULA, torso.scapula(points), faces)
        elif len(points) < 700:
            right = points[:, 2].mean() > 0
            own = points if right else points * [1, 1, -1]
            placed = torso.clavicle(own)
            along = np.abs(placed[:, 0])
            share = 0.9 * np.clip((along - along.min()) / np.ptp(along), 0, 1)
            placed = placed if right else placed * [-1, 1, 1]
            self._rest(THORAX, placed, faces, SCAPULA if right else SCAPULA + 5, share)

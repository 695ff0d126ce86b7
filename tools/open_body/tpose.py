"""Bring an unposed MakeHuman body (A pose, bent elbows) into the T pose, and find its 24 joints.

Everything is computed for the left side (x > 0) and mirrored. The rotations are chosen per body so that thighs and shanks are
vertical and arms point straight to the side: then pose does not leak into the shape statistics. The shoulder girdle
is not raised.

Source:
    Hip joint centre and mid-ASIS: Hara et al. 2016, Sci Rep 6:37707 (regression on the leg length ASIS - medial malleolus).
    Offsets of calcaneus and radius: ratios of Rajagopal et al. 2016. Spine, acromion: own anatomical rules.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from assets import Floats, Ints, Mesh

GROUPS = ("trunk", "upperarm", "forearm", "hand", "thigh", "shank", "foot")
"""Rigid parts of the left side that the T pose moves."""

X, Y, Z = np.eye(3)
FLIP = np.array([-1.0, 1.0, 1.0])

VERTEX = {
    "top": 881,
    "sacrum": 4205,
    "heel_back": 12464,
    "toe_tip": 11551,
    "finger_tip": 8787,
}
"""hm08 vertices (left or midline) that the rules use."""


def part_of_bone(bone: str) -> str:
    """Rigid part that a rig bone belongs to, without its side."""
    name = bone.split(".", maxsplit=1)[0]
    for start, part in (
        ("upperarm", "upperarm"),
        ("lowerarm", "forearm"),
        ("wrist", "hand"),
        ("finger", "hand"),
        ("metacarpal", "hand"),
        ("upperleg", "thigh"),
        ("lowerleg", "shank"),
        ("foot", "foot"),
        ("toe", "foot"),
    ):
        if name.startswith(start):
            return part
    return "trunk"


_PART_OF_CUBE = {
    "elbow": "upperarm",
    "hand": "hand",
    "finger": "hand",
    "knee": "thigh",
    "ankle": "shank",
    "foot": "foot",
    "toe": "foot",
}
"""Start of a limb's joint cube -> rigid part; the other cubes are the trunk's."""


def part_of_cube(cube: str) -> str:
    """Rigid part that a joint cube moves with; a joint belongs to the part above it."""
    if not cube.startswith(("l-", "r-")):
        return "trunk"
    for start, part in _PART_OF_CUBE.items():
        if cube[2:].startswith(start):
            return part
    return "trunk"


def part_weights(mesh: Mesh) -> Floats:
    """(N, 7) weights of the parts; the limbs' weights are those of the vertex's own side."""
    weights = np.zeros((len(mesh.base_m), len(GROUPS)))
    for bone, (vertices, values) in mesh.bone_weights.items():
        weights[vertices, GROUPS.index(part_of_bone(bone))] += values
    for cube, vertices in mesh.cubes.items():
        weights[vertices] = 0
        weights[vertices, GROUPS.index(part_of_cube(cube))] = 1
    empty = weights.sum(axis=1) == 0
    weights[empty, 0] = 1
    weights /= weights.sum(axis=1, keepdims=True)
    return (weights + weights[mesh.mirror]) / 2


def unit(v: Floats) -> Floats:
    """Unit vector."""
    return v / np.linalg.norm(v)


def frame(long: Floats, side: Floats) -> Floats:
    """Rotation whose columns are the unit long axis, the side direction made square to it, and their cross product."""
    e = unit(long)
    s = unit(side - (side @ e) * e)
    return np.stack([e, s, np.cross(e, s)], axis=1)


def shortest(a: Floats, b: Floats) -> Floats:
    """Shortest rotation that takes direction a to direction b."""
    a, b = unit(a), unit(b)
    c = np.cross(a, b)
    k = np.array([[0, -c[2], c[1]], [c[2], 0, -c[0]], [-c[1], c[0], 0]])
    return np.eye(3) + k + k @ k / (1 + a @ b)


@dataclass(frozen=True, eq=False)
class Posed:
    """A body in the T pose; origin at its pelvis joint."""

    points: Floats
    """(N, 3) kept vertices."""
    joints: Floats
    """(24, 3)."""


class TPose:
    """Poses bodies; holds what does not depend on the body."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.weights = part_weights(mesh)
        self.left = mesh.base_m[:, 0] >= -1e-9
        self.right: Ints = np.flatnonzero(~self.left)
        self.hm08 = np.full(19158, -1)
        self.hm08[mesh.kept] = np.arange(len(mesh.kept))
        midline = np.flatnonzero((mesh.mirror == np.arange(len(mesh.mirror))) & (np.arange(len(mesh.mirror)) < mesh.skin_count))
        front = midline[mesh.base_m[midline, 2] > 0.03]
        height = mesh.base_m[self.hm08[VERTEX["sacrum"]], 1]
        self.belly = int(front[np.argmin(np.abs(mesh.base_m[front, 1] - height))])

    def cube(self, points: Floats, name: str) -> Floats:
        """Centre of a joint cube."""
        return points[self.mesh.cubes[name]].mean(axis=0)

    def vertex(self, points: Floats, name: str) -> Floats:
        """A named vertex."""
        return points[self.hm08[VERTEX[name]]]

    def _hip(self, points: Floats) -> tuple[Floats, float]:
        """Left hip joint centre and the leg length (ASIS to malleolus)."""
        cube, knee, ankle = (self.cube(points, n) for n in ("l-upper-leg", "l-knee", "l-ankle"))
        depth = points[self.belly, 2] - self.vertex(points, "sacrum")[2]
        segment = self.cube(points, "spine-4")[1] - self.cube(points, "pelvis")[1]
        hip = cube + np.array([0, -0.25 * segment, 0.15 * depth])
        length = 0.0
        for _ in range(8):
            length = 1.065 * float(np.linalg.norm(knee - hip)) + float(np.linalg.norm(ankle - knee)) + 0.055
            hip[0] = 0.008 + 0.086 * length
        return hip, length

    def _rotations(self, points: Floats) -> tuple[dict[str, Floats], dict[str, Floats], float, Floats, float]:
        c = {
            name: self.cube(points, f"l-{name}")
            for name in ("shoulder", "elbow", "hand", "knee", "ankle", "finger-2-1", "finger-3-1", "finger-5-1")
        }
        upper, lower = c["elbow"] - c["shoulder"], c["hand"] - c["elbow"]
        across = c["finger-2-1"] - c["finger-5-1"]
        square = np.stack([X, -Y, np.cross(X, -Y)], axis=1)
        palm = np.stack([X, Z, np.cross(X, Z)], axis=1)
        normal = np.cross(upper, lower)
        hip, length = self._hip(points)
        turn = {
            "upperarm": square @ frame(upper, normal).T,
            "forearm": square @ frame(lower, normal).T,
            "hand": palm @ frame(c["finger-3-1"] - c["hand"], across).T,
            "thigh": shortest(c["knee"] - hip, -Y),
            "shank": shortest(c["ankle"] - c["knee"], -Y),
            "foot": np.eye(3),
        }
        relative = (palm @ frame(lower, across).T) @ turn["forearm"].T
        twist = float(np.arctan2(relative[2, 1], relative[1, 1]))
        centre = {"upperarm": c["shoulder"], "forearm": c["elbow"], "hand": c["hand"]}
        centre |= {"thigh": hip, "shank": c["knee"], "foot": c["ankle"]}
        place = {"upperarm": c["shoulder"], "thigh": hip}
        place["forearm"] = place["upperarm"] + np.linalg.norm(upper) * X
        place["hand"] = place["forearm"] + np.linalg.norm(lower) * X
        place["shank"] = hip - np.linalg.norm(c["knee"] - hip) * Y
        place["foot"] = place["shank"] - np.linalg.norm(c["ankle"] - c["knee"]) * Y
        moves = {part: np.stack([centre[part], place[part]]) for part in centre}
        return turn, moves, twist, lower, length

    def pose(self, points: Floats) -> Posed:
        """T pose of unposed vertices (N, 3)."""
        turn, moves, twist, lower, length = self._rotations(points)
        out = self.weights[:, :1] * points
        for index, part in enumerate(GROUPS[1:], start=1):
            active = np.flatnonzero((self.weights[:, index] > 0) & self.left)
            local = points[active] - moves[part][0]
            turned = local @ turn[part].T
            if part == "forearm":
                share = np.clip(local @ unit(lower) / np.linalg.norm(lower), 0, 1) * twist
                y, z = turned[:, 1].copy(), turned[:, 2].copy()
                turned[:, 1] = np.cos(share) * y - np.sin(share) * z
                turned[:, 2] = np.sin(share) * y + np.cos(share) * z
            out[active] += self.weights[active, index, None] * (turned + moves[part][1])
        out[self.right] = out[self.mesh.mirror[self.right]] * FLIP
        midline = self.mesh.mirror == np.arange(len(out))
        out[midline, 0] = 0
        joints = self._joints(out, moves, length)
        return Posed(out - joints[0], joints - joints[0])

    def _joints(self, points: Floats, moves: dict[str, Floats], leg: float) -> Floats:
        hip, knee, ankle = moves["thigh"][1], moves["shank"][1], moves["foot"][1]
        shoulder, elbow, wrist = moves["upperarm"][1], moves["forearm"][1], moves["hand"][1]
        floor = float(points[: self.mesh.skin_count, 1].min())
        stature = float(self.vertex(points, "top")[1]) - floor
        size = stature / 1.70
        foot = float(self.vertex(points, "toe_tip")[2] - self.vertex(points, "heel_back")[2])
        upper = float(elbow[0] - shoulder[0])
        pelvis = np.array([0, hip[1] + 0.009 + 0.078 * leg, hip[2] + 0.063 * leg - 0.011])
        heel = ankle + np.array([0.0079 * size, -0.58 * (ankle[1] - floor), -0.177 * foot])
        toes = 0.475 * (self.cube(points, "l-toe-1-1") + self.cube(points, "l-toe-5-1")) + 0.05 * ankle
        lumbar = (self.cube(points, "spine-3") + self.cube(points, "spine-2")) / 2 + [0, 0, 0.018 * size]
        thorax = 0.294 * self.cube(points, "spine-1") + 0.706 * self.cube(points, "neck") + [0, 0, 0.010]
        head = 0.25 * self.cube(points, "neck") + 0.75 * self.cube(points, "head")
        acromion = shoulder + np.array([-0.012 * size, 0.028 * size, 0])
        radius = elbow + np.array([0.0115, 0.020, 0]) * upper / 0.290
        left_leg = [hip, knee, ankle, heel, toes]
        left_arm = [acromion, shoulder, elbow, radius, wrist]
        spine = [p * [0, 1, 1] for p in (lumbar, thorax, head)]
        right = [p * FLIP for p in left_leg], [p * FLIP for p in left_arm]
        return np.stack([pelvis, *right[0], *left_leg, *spine, *right[1], *left_arm])

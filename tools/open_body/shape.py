"""The MakeHuman shape space of one sex: parameters -> vertices of the unposed mesh.

Parameters: muscle, weight, height, proportions (macros, 0 to 1, 0.5 is the middle), then one per local direction.
A local direction is (increasing - decreasing target) / 2, left and right added up.

Source:
    The macro formula is MakeHuman's documented target interpolation for young adults; the three ethnic targets weigh 1/3 each.
"""

from __future__ import annotations

import numpy as np
from assets import Floats, Mesh

MACROS = ("muscle", "weight", "height", "proportions")
_LEVELS = ("min", "average", "max")
_LEFT_RIGHT = ("l-", "r-")

LOCALS: dict[str, tuple[str, ...]] = {
    "upperarm_length": ("arms/measure-upperarm-length",),
    "lowerarm_length": ("arms/measure-lowerarm-length",),
    "upperleg_height": ("legs/measure-upperleg-height",),
    "lowerleg_height": ("legs/measure-lowerleg-height",),
    "thigh_circ": ("legs/measure-thigh-circ",),
    "calf_circ": ("legs/measure-calf-circ",),
    "knee_circ": ("legs/measure-knee-circ",),
    "ankle_circ": ("feet/measure-ankle-circ",),
    "wrist_circ": ("hands/measure-wrist-circ",),
    "neck_circ": ("neck/measure-neck-circ",),
    "upperarm_circ": ("arms/measure-upperarm-circ",),
    "lowerarm_depth": tuple(f"arms/{s}lowerarm-scale-depth" for s in _LEFT_RIGHT),
    "lowerarm_horiz": tuple(f"arms/{s}lowerarm-scale-horiz" for s in _LEFT_RIGHT),
    "shoulder_dist": ("torso/measure-shoulder-dist",),
    "bust_circ": ("torso/measure-bust-circ",),
    "underbust_circ": ("torso/measure-underbust-circ",),
    "waist_circ": ("torso/measure-waist-circ",),
    "hips_circ": ("torso/measure-hips-circ",),
    "torso_x": ("torso/torso-scale-horiz",),
    "torso_y": ("torso/torso-scale-vert",),
    "torso_z": ("torso/torso-scale-depth",),
    "nape_waist": ("torso/measure-napetowaist-dist",),
    "waist_hip": ("torso/measure-waisttohip-dist",),
    "hip_x": ("hip/hip-scale-horiz",),
    "hip_z": ("hip/hip-scale-depth",),
    "hip_y": ("hip/hip-scale-vert",),
    "buttocks": ("buttocks/buttocks-volume",),
    "navel_height": ("stomach/stomach-navel",),
    "stomach_tone": ("stomach/stomach-tone",),
    "neck_height": ("neck/measure-neck-height",),
    "head_x": ("head/head-scale-horiz",),
    "head_y": ("head/head-scale-vert",),
    "head_z": ("head/head-scale-depth",),
    "foot_all": tuple(f"feet/{s}foot-scale" for s in _LEFT_RIGHT),
    "foot_x": tuple(f"feet/{s}foot-scale-horiz" for s in _LEFT_RIGHT),
    "foot_y": tuple(f"feet/{s}foot-scale-vert" for s in _LEFT_RIGHT),
    "foot_z": tuple(f"feet/{s}foot-scale-depth" for s in _LEFT_RIGHT),
    "hand": tuple(f"hands/{s}hand-scale" for s in _LEFT_RIGHT),
}
"""Local directions: name -> target files without their -incr / -decr ending."""

_TORSO = ("shoulder_dist", "bust_circ", "underbust_circ", "waist_circ", "hips_circ", "torso_x", "torso_y", "torso_z")
_TORSO += ("nape_waist", "waist_hip", "hip_x", "hip_z", "hip_y", "buttocks", "navel_height", "stomach_tone", "neck_height")
_END_SCALES = ("head_x", "head_y", "head_z", "foot_all", "foot_x", "foot_y", "foot_z", "hand")

_LOOSE = ("hip_x", "hip_z", "navel_height", "buttocks")
PRIOR_SD = np.array(
    [0.25, 0.30, 0.25, 0.30]
    + [0.15 if name in _TORSO and name not in _LOOSE else 0.25 if name in (*_END_SCALES, *_LOOSE) else 0.45 for name in LOCALS]
)
"""Prior standard deviation of each parameter. Torso directions overlap; with loose priors they fold the waist."""

START = np.array([0.5, 0.7, 0.5, 0.6] + [0.0] * len(LOCALS))


def _hat(value: float) -> Floats:
    """Weights of (min, average, max) at ``value``; linear pieces, continued outside 0..1."""
    if value <= 0.5:
        return np.array([1 - 2 * value, 2 * value, 0.0])
    return np.array([0.0, 2 - 2 * value, 2 * value - 1])


class ShapeSpace:
    """Vertices (N, 3) of the unposed mesh as a function of the parameters of one sex."""

    def __init__(self, mesh: Mesh, sex: str) -> None:
        macro = "macrodetails"
        races = [mesh.target(f"{macro}/{race}-{sex}-young") for race in ("african", "asian", "caucasian")]
        self.base = mesh.base_m + sum(races) / 3
        shape = (3, 3, *mesh.base_m.shape)
        self.main, self.height, self.proportion = np.zeros(shape), np.zeros((2, *shape)), np.zeros((2, *shape))
        for i, muscle in enumerate(_LEVELS):
            for j, weight in enumerate(_LEVELS):
                stem = f"{sex}-young-{muscle}muscle-{weight}weight"
                self.main[i, j] = mesh.target(f"{macro}/universal-{stem}")
                for k, name in enumerate(("min", "max")):
                    self.height[k, i, j] = mesh.target(f"{macro}/height/{stem}-{name}height")
                for k, name in enumerate(("ideal", "uncommon")):
                    self.proportion[k, i, j] = mesh.target(f"{macro}/proportions/{stem}-{name}proportions")
        self.locals = np.stack([self._direction(mesh, files) for files in LOCALS.values()])

    @staticmethod
    def _direction(mesh: Mesh, files: tuple[str, ...]) -> Floats:
        total = np.zeros_like(mesh.base_m)
        for name in files:
            up, down = ("up", "down") if name.endswith("navel") else ("incr", "decr")
            total += (mesh.target(f"{name}-{up}") - mesh.target(f"{name}-{down}")) / 2
        return (total + total[mesh.mirror] * [-1, 1, 1]) / 2

    def vertices(self, c: Floats) -> Floats:
        """(N, 3) vertices for parameters c."""
        weight = np.outer(_hat(c[0]), _hat(c[1]))
        blend = self.main + (1 - c[2]) * self.height[0] + c[2] * self.height[1]
        blend += (1 - c[3]) * self.proportion[0] + c[3] * self.proportion[1]
        return self.base + np.tensordot(weight, blend, axes=2) + np.tensordot(c[4:], self.locals, axes=1)

    def derivative(self, c: Floats, step: float = 0.02) -> Floats:
        """(len(c), N, 3) derivative of the vertices at c; central differences for the macros, exact for the rest."""
        macros = []
        for k in range(len(MACROS)):
            delta = np.zeros_like(c)
            delta[k] = step
            macros.append((self.vertices(c + delta) - self.vertices(c - delta)) / (2 * step))
        return np.concatenate([np.stack(macros), self.locals])

"""Measure a T-posed body the way ANSUR II measured people (32 measures).

Source:
    ANSUR II definitions: Hotzman et al. 2011, NATICK/TR-11/017. Factors between joint centres and bony landmarks: shoulder and
    elbow centre after de Leva 1996 (0.853); 0.86 (shoulder breadth), 1.02 (forearm), 0.96 and 0.93 (flexed girths) are choices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from assets import Floats, Ints
from scipy.spatial import ConvexHull
from tpose import GROUPS, Posed, TPose, unit

DENSITY_KG_M3 = 1010.0

HEIGHTS = {"crotch": 4372, "c7": 1496, "suprasternal": 1526, "navel": 4116}
LEVELS = {"nipple": 8454, "buttock": 4218, "glabella": 234, "occiput": 5389, "head_side": 11994}


@dataclass(frozen=True)
class Target:
    """One measure: its ANSUR column, factor from ANSUR to the body, standard deviation of the match."""

    column: str
    factor: float
    sd_m: float


TARGETS: dict[str, Target] = {
    "stature": Target("stature", 1, 0.002),
    "hip_height": Target("trochanterionheight", 1, 0.006),
    "knee_height": Target("lateralfemoralepicondyleheight", 1, 0.004),
    "ankle_height": Target("lateralmalleolusheight", 1, 0.003),
    "crotch_height": Target("crotchheight", 1, 0.006),
    "c7_height": Target("cervicaleheight", 1, 0.006),
    "suprasternal_height": Target("suprasternaleheight", 1, 0.006),
    "navel_height": Target("waistheightomphalion", 1, 0.010),
    "upper_arm": Target("acromionradialelength", 0.853, 0.003),
    "forearm": Target("radialestylionlength", 1.02, 0.003),
    "shoulders": Target("biacromialbreadth", 0.86, 0.005),
    "hand": Target("handlength", 1, 0.003),
    "foot_length": Target("footlength", 1, 0.003),
    "foot_breadth": Target("footbreadthhorizontal", 1, 0.004),
    "hip_breadth": Target("hipbreadth", 1, 0.008),
    "waist_breadth": Target("waistbreadth", 1, 0.012),
    "chest_girth": Target("chestcircumference", 1, 0.020),
    "waist_girth": Target("waistcircumference", 1, 0.020),
    "buttock_girth": Target("buttockcircumference", 1, 0.020),
    "thigh_girth": Target("thighcircumference", 1, 0.015),
    "calf_girth": Target("calfcircumference", 1, 0.010),
    "ankle_girth": Target("anklecircumference", 1, 0.010),
    "neck_girth": Target("neckcircumference", 1, 0.012),
    "wrist_girth": Target("wristcircumference", 1, 0.008),
    "forearm_girth": Target("forearmcircumferenceflexed", 0.96, 0.012),
    "biceps_girth": Target("bicepscircumferenceflexed", 0.93, 0.012),
    "head_length": Target("headlength", 1, 0.004),
    "head_breadth": Target("headbreadth", 1, 0.004),
    "chest_depth": Target("chestdepth", 1, 0.012),
    "waist_depth": Target("waistdepth", 1, 0.012),
    "buttock_depth": Target("buttockdepth", 1, 0.009),
    "mass": Target("weightkg", 1, 1.5),
}


def volume_m3(points: Floats, triangles: Ints) -> float:
    """Volume enclosed by a triangle mesh (divergence theorem)."""
    a, b, c = (points[triangles[:, i]] for i in range(3))
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


class Tape:
    """Measures bodies of one mesh."""

    def __init__(self, tpose: TPose) -> None:
        self.tpose = tpose
        mesh = tpose.mesh
        self.triangles = mesh.triangles
        skin = mesh.skin_count
        body = np.arange(skin) < 13380
        part = tpose.weights[:skin].argmax(axis=1)
        left = mesh.base_m[:skin, 0] > -1e-9
        trunk = np.isin(part, [GROUPS.index("trunk"), GROUPS.index("thigh")]) & body
        self.edges = {
            "trunk": self._edges(trunk),
            "leg": self._edges(np.isin(part, [GROUPS.index(p) for p in ("trunk", "thigh", "shank", "foot")]) & body & left),
            "arm": self._edges(np.isin(part, [GROUPS.index(p) for p in ("upperarm", "forearm", "hand")]) & body & left),
            "neck": self._edges((part == 0) & body),
        }
        self.skin = skin
        self.foot = np.flatnonzero((part == GROUPS.index("foot")) & left)

    def _edges(self, keep: npt.NDArray[np.bool_]) -> Ints:
        pairs = np.concatenate([self.triangles[:, [0, 1]], self.triangles[:, [1, 2]], self.triangles[:, [2, 0]]])
        pairs = np.unique(np.sort(pairs, axis=1), axis=0)
        return pairs[keep[pairs].all(axis=1)]

    def section(self, points: Floats, region: str, origin: Floats, normal: Floats) -> Floats:
        """(n, 2) points where the edges of a region cross a plane, in axes of the plane."""
        n = unit(normal)
        height = (points - origin) @ n
        edges = self.edges[region]
        a, b = height[edges[:, 0]], height[edges[:, 1]]
        cross = (a < 0) != (b < 0)
        edges, a, b = edges[cross], a[cross], b[cross]
        share = (a / (a - b))[:, None]
        hits = points[edges[:, 0]] * (1 - share) + points[edges[:, 1]] * share
        first = unit(np.cross(n, [0.36, 0.48, 0.8]) if abs(n[1]) < 0.9 else np.array([1.0, 0, 0]) - n[0] * n)
        return np.stack([hits @ first, hits @ np.cross(n, first)], axis=1)

    def girth(self, points: Floats, region: str, origin: Floats, normal: Floats) -> float:
        """Length of the tape around a section: perimeter of its convex hull."""
        return float(ConvexHull(self.section(points, region, origin, normal)).area)

    def named(self, points: Floats, number: int) -> Floats:
        """A vertex by its hm08 number."""
        return points[self.tpose.hm08[number]]

    def __call__(self, body: Posed) -> dict[str, float]:
        """All measures of a body, metres and kilograms."""
        p, j = body.points[: self.skin], body.joints
        floor = p[:, 1].min()
        up = np.array([0, 1.0, 0])
        out = {"stature": self.named(p, 881)[1] - floor}
        out["hip_height"] = j[6, 1] - floor - 0.005 * out["stature"]
        out["knee_height"], out["ankle_height"] = j[7, 1] - floor, j[8, 1] - floor
        out |= {f"{name}_height": self.named(p, number)[1] - floor for name, number in HEIGHTS.items()}
        out["upper_arm"], out["forearm"] = j[21, 0] - j[20, 0], j[23, 0] - j[21, 0]
        out["shoulders"] = 2 * j[20, 0]
        out["hand"] = float(np.linalg.norm(self.named(p, 8787) - j[23]))
        foot = p[self.foot]
        out["foot_length"], out["foot_breadth"] = np.ptp(foot[:, 2]), np.ptp(foot[:, 0])
        for name, vertex in (("chest", 8454), ("waist", 4116), ("buttock", LEVELS["buttock"])):
            origin = self.named(p, vertex)
            ring = self.section(p, "trunk", origin, up)
            out[f"{name}_girth"] = float(ConvexHull(ring).area)
            out[f"{name}_depth"] = float(np.ptp(ring[:, 1]))
            if name != "chest":
                out["hip_breadth" if name == "buttock" else "waist_breadth"] = float(np.ptp(ring[:, 0]))
        shank, thigh = j[7, 1] - j[8, 1], j[6, 1] - j[7, 1]
        crotch = self.named(p, HEIGHTS["crotch"])
        out["thigh_girth"] = self.girth(p, "leg", j[7] + up * min(crotch[1] - 0.015 - j[7, 1], 0.95 * thigh), up)
        out["calf_girth"] = self.girth(p, "leg", j[8] + 0.70 * shank * up, up)
        out["ankle_girth"] = self.girth(p, "leg", j[8] + 0.10 * shank * up, up)
        neck, head = self.tpose.cube(body.points, "neck"), self.tpose.cube(body.points, "head")
        out["neck_girth"] = self.girth(p, "neck", neck + 0.30 * (head - neck), head - neck)
        along = np.array([1.0, 0, 0])
        out["wrist_girth"] = self.girth(p, "arm", j[23] - 0.008 * along, along)
        out["forearm_girth"] = self.girth(p, "arm", j[21] + 0.22 * out["forearm"] * along, along)
        out["biceps_girth"] = self.girth(p, "arm", j[20] + 0.62 * out["upper_arm"] * along, along)
        out["head_length"] = float(self.named(p, LEVELS["glabella"])[2] - self.named(p, LEVELS["occiput"])[2])
        out["head_breadth"] = 2 * float(self.named(p, LEVELS["head_side"])[0])
        out["mass"] = DENSITY_KG_M3 * volume_m3(p, self.triangles)
        return {name: float(out[name]) for name in TARGETS}

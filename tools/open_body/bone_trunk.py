"""Place spine, ribs, shoulder girdle and skull under the skin of the open body; rest axes in, bone axes out.

The files stand in the torso frame of the Rajagopal model, 0.0815 m above and 0.1007 m behind the pelvis origin.
"""

from __future__ import annotations

import numpy as np
from assets import Floats, Ints, read_ply
from bone_limbs import stretch
from mesh_parts import pieces

TORSO = np.array([-0.1007, 0.0815, 0.0])
SHOULDER = np.array([0.003155, 0.3715, 0.17])
VERTEBRAE = ("L5", "L4", "L3", "L2", "L1", *(f"T{i}" for i in range(12, 0, -1)), *(f"C{i}" for i in range(7, 0, -1)))
L5_CENTRE = np.array([-0.004, 0.011])
"""Front and height of the fifth lumbar vertebra in the file."""
L5_BOTTOM, C7_TIP, C1 = -0.010, 0.408, 0.502
"""Heights in the file."""
BACK_MARGIN_M, LUMBAR_MARGIN_M, SIDE_MARGIN_M, FRONT_MARGIN_M = 0.011, 0.007, 0.022, 0.012


class Trunk:
    """Maps points of the torso files into the rest axes of one body.

    Args:
        skin: (V, 3) mean skin.
        trunk: (V,) whether a vertex belongs to trunk or head.
        marks: landmark positions: C7, suprasternal_notch, xiphoid, vertex_top, glabella, opisthocranion, head_side.
        joints: (24, 3).
        pelvis: (2, 2) turn and scale of the pelvis mesh.
    """

    def __init__(self, skin: Floats, trunk: np.ndarray, marks: dict[str, Floats], joints: Floats, pelvis: Floats) -> None:
        self.skin, self.marks, self.joints = skin[trunk], marks, joints
        lowest = pelvis @ (np.array([L5_CENTRE[0], L5_BOTTOM]) + TORSO[:2])
        low = lowest[1]
        self.head_scale, self.head_shift = self._fit_skull()
        top = C1 * self.head_scale[1] + self.head_shift[1]
        self.knots = np.array([L5_BOTTOM, C7_TIP, C1]), np.array([low, marks["C7"][1] - 0.004, top])
        self.vertebrae = self._vertebrae()
        heights = np.array([self.height(p[:, 1].mean()) for p, _, _ in self.vertebrae])
        tips = np.array([p[p[:, 0].argmin(), 0] for p, _, _ in self.vertebrae])
        back = np.array([self._back(h) for h in heights])
        shift = back + BACK_MARGIN_M - tips
        sacral = (pelvis @ (L5_CENTRE + TORSO[:2]))[0] - L5_CENTRE[0]
        shift[:4] = sacral + np.linspace(0, 1, 5)[:4] * (shift[4] - sacral)
        smooth = np.convolve(np.pad(shift, 2, mode="edge"), np.full(5, 0.2), mode="valid")
        smooth = np.maximum(smooth, shift)
        smooth[1:5] += LUMBAR_MARGIN_M
        smooth[0] = sacral
        smooth[-4:] = np.linspace(smooth[-5], self.head_shift[2], 5)[1:]
        self.shift_knots = heights, smooth
        thoracic = slice(5, 17)
        self.rib_line = np.polyfit(heights[thoracic], smooth[thoracic], 1)
        self.rib_side, self.rib_depth = self._fit_ribs()

    def height(self, y: Floats | float) -> Floats:
        """File height -> rest height."""
        return np.interp(y, *self.knots)

    def _back(self, y: float) -> float:
        """Depth of the skin of the back on the midline at a height."""
        near = self.skin[np.abs(self.skin[:, 0]) < 0.012]
        near = near[near[:, 2] < near[:, 2].mean()]
        order = np.argsort(near[:, 1], kind="stable")
        level = np.abs(near[order, 1] - y)
        return float(near[order][level < 0.02][:, 2].min()) if (level < 0.02).any() else float(near[order][level.argmin(), 2])

    def _half_width(self, y: float) -> float:
        band = self.skin[np.abs(self.skin[:, 1] - y) < 0.015]
        return float(band[:, 0].max())

    def _vertebrae(self) -> list[tuple[Floats, Ints, str]]:
        """The 24 vertebrae; a disc goes with the vertebra below it."""
        parts = pieces(*read_ply("hat_spine"))
        big = [p for p in parts if len(p[0]) >= 140]
        small = [p for p in parts if len(p[0]) < 140]
        centres = np.array([p[0][:, 1].mean() for p in big])
        out = []
        for number, (points, faces) in enumerate(big):
            mine = [(points, faces)]
            for disc in small:
                below = np.flatnonzero(centres < disc[0][:, 1].mean())
                if (below[-1] if len(below) else 0) == number:
                    mine.append(disc)
            start = np.cumsum([0] + [len(p[0]) for p in mine])
            merged = np.concatenate([p[0] for p in mine])
            out.append((merged, np.concatenate([p[1] + s for p, s in zip(mine, start[:-1], strict=True)]), VERTEBRAE[number]))
        return out

    def _fit_skull(self) -> tuple[Floats, Floats]:
        """Scale and shift (rest axes: side, up, front) of the skull files."""
        skull = read_ply("hat_skull")[0]
        vault = skull[skull[:, 1] > 0.56]
        top, front, rear = self.marks["vertex_top"], self.marks["glabella"], self.marks["opisthocranion"]
        depth = (front[2] - rear[2] - 0.013) / np.ptp(vault[:, 0])
        side = 2 * (abs(self.marks["L_head_side"][0]) - 0.008) / np.ptp(vault[:, 2])
        up = (depth + side) / 2
        shift = np.array([0.0, top[1] - 0.009 - up * skull[:, 1].max(), rear[2] + 0.007 - depth * vault[:, 0].min()])
        return np.array([side, up, depth]), shift

    def _fit_ribs(self) -> tuple[float, float]:
        """Scales of the rib cage to the side and to the front."""
        ribs = [p for p in pieces(*read_ply("hat_ribs_scap")) if len(p[0]) < 150]
        points = np.concatenate([p[0] for p in ribs])
        side = 10.0
        for y in np.linspace(0.16, 0.33, 8):
            reach = np.abs(points[np.abs(points[:, 1] - y) < 0.012][:, 2]).max()
            side = min(side, (self._half_width(float(self.height(y))) - SIDE_MARGIN_M) / reach)
        sternum = next(p[0] for p in pieces(*read_ply("hat_ribs_scap")) if 700 < len(p[0]) < 760)
        depth = 10.0
        for name, y in (("suprasternal_notch", 0.375), ("xiphoid", 0.25)):
            level = sternum[(np.abs(sternum[:, 1] - y) < 0.02) & (np.abs(sternum[:, 2]) < 0.02)][:, 0].max()
            spine = -0.045
            rest = float(self.height(y))
            goal = self.marks[name][2] - FRONT_MARGIN_M - np.polyval(self.rib_line, rest) - spine
            depth = min(depth, goal / (level - spine))
        return side, depth

    def spine(self, points: Floats) -> Floats:
        """Vertebra: file -> rest axes."""
        y = self.height(points[:, 1])
        centre = np.full(len(points), np.interp(self.height(points[:, 1].mean()), *self.shift_knots))
        scale = 1.05
        return np.stack([-points[:, 2] * scale, y, points[:, 0] + centre], axis=1)

    def ribs(self, points: Floats) -> Floats:
        """Rib or sternum: file -> rest axes."""
        y = self.height(points[:, 1])
        front = -0.045 + self.rib_depth * (points[:, 0] + 0.045) + np.polyval(self.rib_line, y)
        return np.stack([-points[:, 2] * self.rib_side, y, front], axis=1)

    def skull(self, points: Floats) -> Floats:
        """Skull or jaw: file -> rest axes."""
        return np.stack([-points[:, 2], points[:, 1], points[:, 0]], axis=1) * self.head_scale + self.head_shift

    def scapula(self, points: Floats) -> Floats:
        """Right scapula: file -> rest axes; the socket at the shoulder joint."""
        local = points - SHOULDER
        scale = self.rib_side
        return self.joints[15] + scale * np.stack([-local[:, 2], local[:, 1], local[:, 0]], axis=1)

    def clavicle(self, points: Floats) -> Floats:
        """Right clavicle: sternal end with the sternum, outer end with the acromion."""
        inner = points[points[:, 2] < points[:, 2].min() + 0.012].mean(axis=0)
        outer = points[points[:, 2] > points[:, 2].max() - 0.012].mean(axis=0)
        turned = np.stack([-points[:, 2], points[:, 1], points[:, 0]], axis=1)
        ends = np.array([-inner[2], inner[1], inner[0]]), np.array([-outer[2], outer[1], outer[0]])
        goal = self.ribs(inner[None])[0], self.scapula(outer[None])[0]
        return stretch(turned, ends, goal)

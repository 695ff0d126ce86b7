"""Connected pieces of a triangle mesh."""

from __future__ import annotations

import numpy as np
from assets import Floats, Ints
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def pieces(points: Floats, faces: Ints) -> list[tuple[Floats, Ints]]:
    """Connected components of a mesh, from the lowest to the highest."""
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(points), len(points)))
    count, label = connected_components(graph, directed=False)
    out = []
    for k in range(count):
        pick = np.flatnonzero(label == k)
        back = np.full(len(points), -1)
        back[pick] = np.arange(len(pick))
        out.append((points[pick], back[faces[label[faces[:, 0]] == k]]))
    return sorted(out, key=lambda part: (round(float(part[0][:, 1].mean()), 6), round(float(part[0][:, 2].mean()), 6)))

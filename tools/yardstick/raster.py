"""Which triangle of a mesh each pixel shows: for meshes of a few thousand small triangles, a few milliseconds in numpy.

Triangles are drawn from far to near, so that the nearest one is drawn last. Where two triangles cross within a pixel or two
this is wrong by a pixel; a closed skin of small triangles needs no z-buffer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.integer]
_NEAR_M = 0.1
_LARGEST_PX = 200
"""A triangle wider than this is not drawn: it is at the camera."""


@dataclass(frozen=True, eq=False)
class Shown:
    """The pixels that show the mesh."""

    pixels: Ints
    """(N,) y * width + x, each once, rising."""
    faces: Ints
    """(N,) triangle of each."""
    weights: Floats
    """(3, N) of its corners."""


@dataclass(frozen=True, eq=False)
class _Triangles:
    """The triangles that are drawn, from far to near; their boxes are within the picture."""

    number: Ints
    left: Ints
    top: Ints
    width: Ints
    height: Ints
    weights: tuple[tuple[Floats, Floats, Floats], ...]
    """Of the second and of the third corner: at the middle of the box's first pixel, and their rise along x and y."""


def shown_triangles(px: Floats, depth_m: Floats, faces: Ints, size_px: tuple[int, int]) -> Shown:
    """Find the pixels of a mesh.

    Args:
        px: (V, 2) projected vertices.
        depth_m: (V,) along the viewing direction.
        faces: (F, 3), counter-clockwise from outside; only those that face the camera are drawn.
        size_px: (width, height).

    Returns:
        The pixels whose middle is inside a triangle.
    """
    drawn = _drawn(px, depth_m, faces, size_px)
    count = drawn.width * drawn.height
    start = np.cumsum(count) - count
    number = np.arange(count.sum(), dtype=np.int32) - np.repeat(start.astype(np.int32), count)
    of_width = np.repeat(drawn.width, count)
    row = number // of_width
    column = number - row * of_width
    second, third = (
        np.repeat(at, count) + np.repeat(by_x, count) * column + np.repeat(by_y, count) * row
        for at, by_x, by_y in drawn.weights
    )
    inside = np.flatnonzero((second >= 0) & (third >= 0) & (second + third <= 1))
    corner = drawn.top * size_px[0] + drawn.left
    last = np.full(size_px[0] * size_px[1], -1, dtype=np.int64)
    last[(np.repeat(corner, count) + row * size_px[0] + column)[inside]] = inside  # of equal pixels the last stays: the nearest
    pixels = np.flatnonzero(last >= 0)
    chosen = last[pixels]
    second, third = second[chosen], third[chosen]
    owner = np.searchsorted(start, chosen, side="right") - 1
    return Shown(pixels, drawn.number[owner], np.stack([1 - second - third, second, third]).astype(np.float32))


def _drawn(px: Floats, depth_m: Floats, faces: Ints, size_px: tuple[int, int]) -> _Triangles:
    ends = faces.T
    (x0, x1, x2), (y0, y1, y2) = px[:, 0].copy()[ends], px[:, 1].copy()[ends]
    area = (x1 - x0) * (y2 - y0) - (y1 - y0) * (x2 - x0)
    left, right = _first_and_last(x0, x1, x2)
    top, bottom = _first_and_last(y0, y1, y2)
    small = (right - left < _LARGEST_PX) & (bottom - top < _LARGEST_PX)
    left, top = np.maximum(left, 0), np.maximum(top, 0)
    width, height = np.minimum(right, size_px[0] - 1) - left + 1, np.minimum(bottom, size_px[1] - 1) - top + 1
    depth = depth_m[ends]
    shown = (area < 0) & small & (width > 0) & (height > 0) & (depth.min(axis=0) > _NEAR_M)  # y points down in the picture
    number = np.flatnonzero(shown)
    number = number[np.argsort(-depth.sum(axis=0)[number])]
    x, y, over = (left - x0)[number] + 0.5, (top - y0)[number] + 0.5, 1 / area[number]
    slopes = ((y2 - y0)[number] * over, (x0 - x2)[number] * over), ((y0 - y1)[number] * over, (x1 - x0)[number] * over)
    weights = tuple((by_x * x + by_y * y, by_x, by_y) for by_x, by_y in slopes)
    return _Triangles(number, *(a[number].astype(np.int32) for a in (left, top, width, height)), weights)


def _first_and_last(a: Floats, b: Floats, c: Floats) -> tuple[Floats, Floats]:
    """The first and the last pixel whose middle is between the least and the largest of three places."""
    return np.ceil(np.minimum(np.minimum(a, b), c) - 0.5), np.floor(np.maximum(np.maximum(a, b), c) - 0.5)

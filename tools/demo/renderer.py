"""A small picture maker: triangles with colours per vertex, a checkered floor with a shadow, a sky. Only numpy.

A z-buffer over all triangles at once: triangles are sorted into buckets by the size of their bounding boxes, every bucket
is tested against its pixels in one sweep, and the nearest triangle of each pixel is shaded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_NEAR_M = 0.05
_BUCKETS = (2, 4, 8, 16, 32, 64, 128)
_CHUNK = 2_000_000
_LIGHTS = (((0.4, 0.8, 0.45), 0.55), ((-0.7, 0.5, 0.3), 0.22), ((0.2, 0.3, -0.9), 0.15))
_AMBIENT, _HEADLIGHT = 0.28, 0.18
_SUN, _IN_SHADOW = np.array([0.35, 1.0, 0.25]), 0.62


@dataclass(frozen=True)
class View:
    """A pinhole camera in a world with y up: x_camera = rotation @ x_world + translation; x right, y down, z forward."""

    rotation: Array
    translation_m: Array
    focal_px: float
    size_px: tuple[int, int]

    @classmethod
    def looking(cls, position_m: Array, target_m: Array, focal_px: float, size_px: tuple[int, int]) -> View:
        """Camera at a place, looking at another, without roll."""
        forward = (target_m - position_m) / np.linalg.norm(target_m - position_m)
        right = np.cross(forward, [0.0, 1.0, 0.0])
        right /= np.linalg.norm(right)
        rotation = np.stack([right, np.cross(forward, right), forward])
        return cls(rotation, -rotation @ position_m, focal_px, size_px)

    def scaled(self, factor: int) -> View:
        """The same view in more pixels."""
        width, height = self.size_px
        return View(self.rotation, self.translation_m, self.focal_px * factor, (width * factor, height * factor))

    def project(self, points_m: Array) -> tuple[Array, Array]:
        """Pixels (N, 2) and depths (N,) of world points (N, 3)."""
        camera = points_m @ self.rotation.T + self.translation_m
        depth = camera[:, 2]
        center = np.array(self.size_px) / 2
        return camera[:, :2] / np.maximum(depth, _NEAR_M)[:, None] * self.focal_px + center, depth

    @property
    def position_m(self) -> Array:
        """(3,) where the camera stands in the world."""
        return np.asarray(-self.rotation.T @ self.translation_m)


def nearest_triangles(px: Array, depth: Array, faces: npt.NDArray[np.int_], size_px: tuple[int, int]) -> tuple[Array, Array]:
    """Which triangle each pixel shows.

    Args:
        px: (V, 2) projected vertices.
        depth: (V,) along the viewing direction.
        faces: (F, 3).
        size_px: (width, height).

    Returns:
        (H W,) triangle of each pixel, -1 for none; (H W, 3) weights of its corners in the picture.
    """
    width, height = size_px
    corners = px[faces]
    low = np.floor(corners.min(axis=1)).astype(int)
    high = np.ceil(corners.max(axis=1)).astype(int)
    side_a, side_b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = side_a[:, 0] * side_b[:, 1] - side_a[:, 1] * side_b[:, 0]
    shown = (np.abs(area) > 1e-9) & (depth[faces].min(axis=1) > _NEAR_M)
    shown &= (high >= 0).all(axis=1) & (low[:, 0] < width) & (low[:, 1] < height)
    extent = (high - low).max(axis=1) + 1
    hits: list[tuple[Array, Array, Array, Array]] = []
    smaller = 0
    for bucket in _BUCKETS:
        members = np.flatnonzero(shown & (extent > smaller) & (extent <= bucket))
        smaller = bucket
        grid = np.stack(np.meshgrid(np.arange(bucket), np.arange(bucket)), axis=-1).reshape(-1, 2)
        for start in range(0, len(members), max(_CHUNK // len(grid), 1)):
            part = members[start : start + max(_CHUNK // len(grid), 1)]
            pixels = low[part][:, None] + grid
            offset = pixels + 0.5 - corners[part, 0][:, None]
            v = (offset[..., 0] * side_b[part, 1][:, None] - offset[..., 1] * side_b[part, 0][:, None]) / area[part][:, None]
            w = (side_a[part, 0][:, None] * offset[..., 1] - side_a[part, 1][:, None] * offset[..., 0]) / area[part][:, None]
            inside = (v >= 0) & (w >= 0) & (v + w <= 1) & (pixels >= 0).all(-1) & (pixels < (width, height)).all(-1)
            triangle, _ = np.nonzero(inside)
            v, w, pixels = v[inside], w[inside], pixels[inside]
            weights = np.stack([1 - v - w, v, w], axis=1)
            inverse = (weights / depth[faces[part[triangle]]]).sum(axis=1)
            hits.append((pixels[:, 1] * width + pixels[:, 0], inverse, part[triangle], weights))
    shown_face, shown_weights = np.full(width * height, -1), np.zeros((width * height, 3))
    if hits:
        pixel, inverse, face, weights = (np.concatenate(column) for column in zip(*hits, strict=True))
        order = np.argsort(inverse, kind="stable")
        shown_face[pixel[order]] = face[order]
        shown_weights[pixel[order]] = weights[order]
    return shown_face, shown_weights


def normals(points_m: Array, faces: npt.NDArray[np.int_]) -> Array:
    """(V, 3) unit normals, averaged over the triangles of each vertex by area."""
    corners = points_m[faces]
    of_faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.zeros_like(points_m)
    for corner in range(3):
        for axis in range(3):
            total[:, axis] += np.bincount(faces[:, corner], of_faces[:, axis], len(points_m))
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)


class Scene:
    """A view of a floor and a sky, drawn once, with a person put into it again and again.

    Args:
        view: the camera.
        fine: pixels per side of an output pixel, for smooth edges.
    """

    def __init__(self, view: View, *, fine: int = 2) -> None:
        self._view, self._fine = view.scaled(fine), fine
        width, height = self._view.size_px
        back, floor = _background(self._view)
        self._back, self._floor = back.reshape(height, width, 3), floor.reshape(height, width)
        self._empty = self._shrunk(self._back)

    def draw(self, points_m: Array, faces: npt.NDArray[np.int_], colours: Array) -> npt.NDArray[np.uint8]:
        """Draw one frame.

        Args:
            points_m: (V, 3) world, y up, floor at 0.
            faces: (F, 3).
            colours: (V, 3) in [0, 1].

        Returns:
            (H, W, 3) RGB.
        """
        px, depth = self._view.project(points_m)
        flat = points_m - points_m[:, 1:2] * (_SUN / _SUN[1])
        shadow_px, shadow_depth = self._view.project(flat)
        low, high = self._window(np.concatenate([px, shadow_px]))
        size = int(high[0] - low[0]), int(high[1] - low[1])
        window = slice(low[1], high[1]), slice(low[0], high[0])
        picture = self._back[window].reshape(-1, 3).copy()
        face, _ = nearest_triangles(shadow_px - low, shadow_depth, faces, size)
        picture[(face >= 0) & self._floor[window].ravel()] *= _IN_SHADOW
        face, weights = nearest_triangles(px - low, depth, faces, size)
        shown = face >= 0
        corner_light = colours * _light(points_m, normals(points_m, faces), self._view.position_m)[:, None]
        picture[shown] = (corner_light[faces[face[shown]]] * weights[shown][..., None]).sum(axis=1)
        done = self._empty.copy()
        coarse = low // self._fine, high // self._fine
        done[coarse[0][1] : coarse[1][1], coarse[0][0] : coarse[1][0]] = self._shrunk(picture.reshape(size[1], size[0], 3))
        return done

    def _window(self, px: Array) -> tuple[npt.NDArray[np.int_], npt.NDArray[np.int_]]:
        """Corners of the part of the picture that may differ from the empty scene, on whole output pixels."""
        size = np.array(self._view.size_px)
        low = np.clip(np.floor(px.min(axis=0)).astype(int) - 1, 0, size - self._fine) // self._fine * self._fine
        high = -(-np.clip(np.ceil(px.max(axis=0)).astype(int) + 1, low + self._fine, size) // self._fine) * self._fine
        return low, high

    def _shrunk(self, picture: Array) -> npt.NDArray[np.uint8]:
        """Average the fine pixels, brighten, 8 bits."""
        height, width = picture.shape[:2]
        fine = self._fine
        mean = np.clip(picture, 0, 1).reshape(height // fine, fine, width // fine, fine, 3).mean(axis=(1, 3))
        return np.asarray(np.round(mean ** (1 / 1.1) * 255), dtype=np.uint8)


def _light(points_m: Array, outward: Array, eye_m: Array) -> Array:
    light = np.full(len(points_m), _AMBIENT)
    for direction, strength in _LIGHTS:
        towards = np.array(direction) / np.linalg.norm(direction)
        light += strength * np.maximum(outward @ towards, 0)
    to_eye = eye_m - points_m
    to_eye /= np.linalg.norm(to_eye, axis=1, keepdims=True)
    return np.asarray(light + _HEADLIGHT * np.maximum((outward * to_eye).sum(axis=1), 0))


def _background(view: View) -> tuple[Array, Array]:
    """Colours (H W, 3) of sky and floor, and which pixels (H W,) see the floor."""
    width, height = view.size_px
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    rays = np.stack([(x - width / 2) / view.focal_px, (y - height / 2) / view.focal_px, np.ones_like(x)], axis=-1)
    rays = rays.reshape(-1, 3) @ view.rotation
    floor = rays[:, 1] < -1e-3
    reach = np.where(floor, -view.position_m[1] / np.where(floor, rays[:, 1], -1.0), np.nan)
    seen = view.position_m[[0, 2]] + reach[:, None] * rays[:, [0, 2]]
    upward = np.clip(rays[:, 1:2] / np.linalg.norm(rays, axis=1, keepdims=True), 0, 1)
    sky = np.array([0.86, 0.90, 0.94]) * (1 - upward) + np.array([0.45, 0.63, 0.86]) * upward
    checker = (np.floor(seen[:, 0] / 0.5) + np.floor(seen[:, 1] / 0.5)) % 2
    tile = np.where(checker[:, None] > 0, np.array([0.62, 0.60, 0.56]), np.array([0.50, 0.49, 0.47]))
    haze = np.clip(reach[:, None] / 14.0, 0, 1) ** 1.5
    ground = tile * (1 - haze) + np.array([0.80, 0.83, 0.85]) * haze
    return np.where(floor[:, None], ground, sky), floor

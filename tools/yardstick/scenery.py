"""Rooms, yards and plain studios behind a person: each drawn once for a camera, by the rays of its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt
from cameras import Array, VirtualCamera
from raster import Floats
from scipy.ndimage import gaussian_filter

SHARES = {"room": 0.6, "outdoors": 0.25, "studio": 0.15}
FLOORS = ("tiles", "planks", "carpet")
_TILE = 256
_CEILING_M = 2.7
_CLEAR_M = 0.7
"""Furniture stands at least so far behind the person."""
_FURNITURE, _PANELS = 5, 4
"""Most boxes in a room, and most panels (doors, windows, pictures) on a wall."""


@dataclass(frozen=True, eq=False)
class Backdrop:
    """The empty picture."""

    colours: Floats
    """(H, W, 3) in [0, 1]."""
    floor: npt.NDArray[np.bool_]
    """(H, W) pixels of the floor, which shadows fall on."""
    kind: str

    def enlarged(self, size_px: tuple[int, int]) -> Backdrop:
        """The same picture in another size."""
        if self.floor.shape == size_px[::-1]:
            return self
        floor = cv2.resize(self.floor.astype(np.uint8), size_px, interpolation=cv2.INTER_NEAREST).astype(bool)
        return Backdrop(cv2.resize(self.colours, size_px, interpolation=cv2.INTER_LINEAR), floor, self.kind)


def backdrop(camera: VirtualCamera, joints_m: Array, rng: np.random.Generator) -> Backdrop:
    """Draw what is behind a person.

    Args:
        camera: that sees it.
        joints_m: (T, 24, 3) where the person is; walls and furniture keep off.
        rng: draws kind, sizes and colours.

    Returns:
        The picture without the person.
    """
    kind = str(rng.choice(list(SHARES), p=list(SHARES.values())))
    rays = _rays(camera)
    down = rays[:, 1] < -1e-4
    reach = np.where(down, -camera.position_m[1] / np.where(down, rays[:, 1], -1.0), np.inf)
    floor = _floor(camera.position_m + np.minimum(reach, 1e3)[:, None] * rays, rng, kind)
    if kind == "room":
        far, behind = _room(camera, rays, joints_m, rng)
    else:
        far, behind = np.full(len(rays), 1e3), _sky(rays, rng) if kind == "outdoors" else _plain(rays, rng)
        haze = np.clip(np.minimum(reach, 1e3) / 40.0, 0, 1)[:, None]
        floor = floor * (1 - haze) + behind * haze
    on_floor = reach < far
    colours = np.where(on_floor[:, None], floor, behind).astype(np.float32)
    width, height = camera.size_px
    return Backdrop(np.clip(colours, 0, 1).reshape(height, width, 3), on_floor.reshape(height, width), kind)


def _rays(camera: VirtualCamera) -> Array:
    """(H W, 3) unit directions of the pixels in the world."""
    width, height = camera.size_px
    x, y = np.meshgrid(np.arange(width) + 0.5 - width / 2, np.arange(height) + 0.5 - height / 2)
    rays = np.stack([x.ravel(), y.ravel(), np.full(x.size, camera.focal_px)], axis=1) @ camera.rotation
    return np.asarray(rays / np.linalg.norm(rays, axis=1, keepdims=True))


@lru_cache(maxsize=8)
def noise_tile(seed: int, sigma_px: float) -> Floats:
    """(256, 256) smooth noise of unit deviation that repeats without a seam."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(_TILE, _TILE)), sigma_px, mode="wrap")
    return (noise / noise.std()).astype(np.float32)


def _sampled(tile: Floats, u: Array, v: Array, scale_m: float) -> Array:
    """Values of a tile whose side is ``scale_m``; points far away repeat it."""
    column, row = (np.mod(a / scale_m * _TILE, _TILE).astype(np.int32) for a in (u, v))
    return np.asarray(tile[np.minimum(row, _TILE - 1), np.minimum(column, _TILE - 1)], dtype=np.float64)


def _colour(rng: np.random.Generator, low: float, high: float, hue: float) -> Array:
    """A grey between two values with some hue."""
    return np.asarray(np.clip(rng.uniform(low, high) * (1 + rng.uniform(-hue, hue, 3)), 0, 1))


def _floor(points_m: Array, rng: np.random.Generator, kind: str) -> Array:
    turn = rng.uniform(0, np.pi)
    u = np.cos(turn) * points_m[:, 0] + np.sin(turn) * points_m[:, 2]
    v = -np.sin(turn) * points_m[:, 0] + np.cos(turn) * points_m[:, 2]
    base = _colour(rng, 0.25, 0.7, 0.2) if kind != "outdoors" else _colour(rng, 0.25, 0.5, 0.25)
    rough = 0.05 * _sampled(noise_tile(int(rng.integers(8)), 1.0), u, v, 1.5)
    blotchy = 0.06 * _sampled(noise_tile(int(rng.integers(8)), 12.0), u, v, 6.0)
    shade = 1 + rough + blotchy
    pattern = "carpet" if kind == "outdoors" else str(rng.choice(FLOORS)) if kind == "room" else "none"
    if pattern == "tiles":
        side = rng.uniform(0.25, 0.6)
        joint = (np.minimum(np.mod(u, side), np.mod(v, side)) < 0.012) * 0.3
        checker = (np.floor(u / side) + np.floor(v / side)) % 2 * rng.choice([0.0, 0.12, 0.35])
        shade = shade - joint - checker
    elif pattern == "planks":
        board = np.floor(u / 0.14)
        shade = shade + 0.12 * np.sin(board * 12.9898) - 0.25 * (np.mod(u, 0.14) < 0.008)
    return base * np.clip(shade, 0.2, 1.6)[:, None]


def _sky(rays: Array, rng: np.random.Generator) -> Array:
    """Sky above a hedge, a wall or houses."""
    heading = np.arctan2(rays[:, 2], rays[:, 0])
    rise = np.arcsin(np.clip(rays[:, 1], -1, 1))
    low, high = np.array([0.86, 0.9, 0.94]), _colour(rng, 0.6, 0.95, 0.15)
    sky = low + (high - low) * np.clip(rise, 0, 1)[:, None]
    skyline = rng.uniform(0.02, 0.2) + 0.04 * _sampled(
        noise_tile(int(rng.integers(8)), rng.uniform(2, 16)), heading, heading, 3
    )
    leaves = 1 + 0.25 * _sampled(noise_tile(int(rng.integers(8)), 1.5), heading, rise, 0.6)
    hedge = _colour(rng, 0.2, 0.6, 0.35) * leaves[:, None]
    return np.where((rise < skyline)[:, None], hedge, sky)


def _plain(rays: Array, rng: np.random.Generator) -> Array:
    """An even wall that darkens upwards or downwards."""
    return _colour(rng, 0.15, 0.95, 0.1) * (1 + rng.uniform(-0.3, 0.3) * rays[:, 1:2])


def _room(camera: VirtualCamera, rays: Array, joints_m: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Distance and colour of the nearest wall, ceiling or furniture along each ray, in a room that is square to a heading."""
    turn = rng.uniform(0, np.pi)
    square = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
    eye, ways = square @ camera.position_m, rays @ square.T
    people = np.concatenate([joints_m.reshape(-1, 3) @ square.T, eye[None]])
    low, high = people.min(axis=0) - rng.uniform(0.6, 3.0, 3), people.max(axis=0) + rng.uniform(0.6, 3.0, 3)
    low[1], high[1] = -1e3, max(_CEILING_M, eye[1] + 0.3, people[:, 1].max() + 0.2)
    safe = np.where(np.abs(ways) < 1e-9, 1e-9, ways)
    limits = np.where(safe > 0, high, low)
    distances = (limits - eye) / safe
    axis = distances.argmin(axis=1)
    far = distances.min(axis=1)
    hit = eye + far[:, None] * ways
    colours = np.zeros((len(rays), 3))
    wall, ceiling = _colour(rng, 0.4, 0.95, 0.12), _colour(rng, 0.7, 0.98, 0.04)
    for side in (0, 2):
        for end in (low[side], high[side]):
            mine = (axis == side) & (limits[:, side] == end)
            colours[mine] = _wall(hit[mine][:, 2 - side], hit[mine][:, 1], wall * rng.uniform(0.8, 1.1), rng)
    colours[axis == 1] = ceiling
    behind = (people[:-1] - eye) @ (square @ camera.rotation[2])
    return _furnished(eye, ways, far, colours, (low, high), float(behind.max()) + _CLEAR_M, square @ camera.rotation[2], rng)


def _wall(along: Array, up: Array, base: Array, rng: np.random.Generator) -> Array:
    """Colours of a wall with a skirting board, doors, windows and pictures."""
    made = base * (1 + 0.03 * _sampled(noise_tile(int(rng.integers(8)), 6.0), along, up, 3.0))[:, None]
    made[up < rng.choice([0.0, 0.08])] *= 0.6
    if not len(along):
        return made
    for _ in range(int(rng.integers(0, _PANELS + 1))):
        width, bottom = rng.uniform(0.4, 1.6), rng.choice([0.0, rng.uniform(0.7, 1.5)])
        middle, top = rng.uniform(along.min(), along.max()), rng.uniform(1.9, 2.2)
        off = np.abs(along - middle) - width / 2
        inside = (off < 0) & (up > bottom) & (up < top)
        frame = inside & ((off > -0.06) | (up > top - 0.06) | (up < bottom + 0.06))
        made[inside] = _colour(rng, 0.2, 0.95, 0.3)
        made[frame] = _colour(rng, 0.1, 0.95, 0.1)
    return made


def _furnished(
    eye: Array,
    ways: Array,
    far: Array,
    colours: Array,
    room: tuple[Array, Array],
    least_m: float,
    forward: Array,
    rng: np.random.Generator,
) -> tuple[Array, Array]:
    """Put boxes into a room, none of them nearer to the camera than ``least_m`` along its axis."""
    low, high = room
    for _ in range(int(rng.integers(0, _FURNITURE + 1))):
        size = rng.uniform([0.3, 0.35, 0.3], [1.6, 1.9, 1.0])
        corner = np.array([rng.uniform(low[0], high[0]), 0.0, rng.uniform(low[2], high[2])])
        ends = np.stack([corner, corner + size])
        corners = np.stack(np.meshgrid(*ends.T), axis=-1).reshape(-1, 3)
        if ((corners - eye) @ forward).min() < least_m:
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            cuts = (ends[:, None] - eye) / ways
        enter, leave = cuts.min(axis=0), cuts.max(axis=0)
        first, face = enter.max(axis=1), enter.argmax(axis=1)
        seen = (first > 0) & (first < leave.min(axis=1)) & (first < far)
        shades = _colour(rng, 0.15, 0.9, 0.35) * np.array([[0.85], [1.05], [0.7]])
        colours[seen], far[seen] = shades[face[seen]], first[seen]
    return far, colours

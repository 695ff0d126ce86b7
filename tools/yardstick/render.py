"""Pictures of dressed people in front of a backdrop: about ten milliseconds a frame of 640 x 480.

The skin is coarsened to what the picture shows (``coarse_mesh``), lit at its vertices and drawn by ``raster``.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt
from cameras import Array, VirtualCamera
from coarse_mesh import CoarseMesh, normals
from raster import Floats, shown_triangles
from scenery import Backdrop, backdrop
from wardrobe import Outfit, outfit

from hsmr_bio.skeleton import JOINT_NAMES, PARENTS
from hsmr_bio.types import SkelMotion

Picture = npt.NDArray[np.uint8]
_LIMB_RADIUS_M = {"pelvis": 0.14, "lumbar_body": 0.13, "thorax": 0.13, "head": 0.1, "femur": 0.08, "tibia": 0.055}
_THIN_M = 0.045
"""Radius of the shadow of all other bones."""
_NOISE = 1024


@dataclass(frozen=True)
class Light:
    """Of a scene."""

    direction: tuple[float, float, float]
    """Unit, towards the light."""
    ambient: float
    strength: float
    shadow: float
    """What is left of the floor's brightness in the shadow."""

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Light:
        """From above, from any side."""
        around, rise = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(30, 85))
        way = (float(np.cos(rise) * np.cos(around)), float(np.sin(rise)), float(np.cos(rise) * np.sin(around)))
        ambient = float(rng.uniform(0.45, 0.8))
        return cls(way, ambient, float(rng.uniform(0.25, 0.95 - 0.6 * ambient)), float(rng.uniform(0.4, 0.9)))


@dataclass(frozen=True)
class Film:
    """How a picture is recorded."""

    blur_px: float
    noise: int
    """Deviation, of 255."""
    gain: tuple[float, float, float]
    contrast: float

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Film:
        """Sharp to soft, clean to grainy, any white balance of a phone."""
        red, green, blue = (rng.uniform(0.75, 1.2) * rng.uniform(0.92, 1.08, 3)).tolist()
        return cls(float(rng.uniform(0.5, 1.2)), int(rng.integers(0, 7)), (red, green, blue), float(rng.uniform(0.75, 1.1)))


@dataclass(frozen=True, eq=False)
class Actor:
    """Somebody in front of the camera."""

    mesh: CoarseMesh
    motion: SkelMotion
    """In the world."""
    joints_m: Array
    """(T, 24, 3) of the motion."""


@dataclass(frozen=True, eq=False)
class _Figure:
    """A dressed actor."""

    mesh: CoarseMesh
    joints_m: Array
    wears: Outfit
    skin_m: Floats
    """(T, V, 3) dressed vertices."""

    @classmethod
    def dressed(cls, actor: Actor, wears: Outfit) -> _Figure:
        return cls(actor.mesh, actor.joints_m, wears, actor.mesh.posed(actor.motion, wears.thickness_m))


class Studio:
    """People, one camera, one scene: draws frame after frame.

    Args:
        mesh: of the first person's body.
        motion: in the world.
        joints_m: (T, 24, 3) of the motion.
        camera: that sees it.
        rng: draws clothes, backdrop, light and film.
        coarse: pixels per side of a pixel of the backdrop: 2 is four times as fast, and soft.
        others: more people, with as many frames. Two bodies must not interlock: the one whose pelvis is nearer hides the other.
        alike: whether the others wear what the first person wears.
    """

    def __init__(
        self,
        mesh: CoarseMesh,
        motion: SkelMotion,
        joints_m: Array,
        camera: VirtualCamera,
        rng: np.random.Generator,
        *,
        coarse: int = 1,
        others: Sequence[Actor] = (),
        alike: bool = False,
    ) -> None:
        self._camera, self._rng = camera, np.random.default_rng(rng.integers(2**63))
        wardrobe = deepcopy(rng)
        first = _Figure.dressed(Actor(mesh, motion, joints_m), outfit(mesh, rng))
        everywhere = np.concatenate([joints_m, *(actor.joints_m for actor in others)])
        self._back: Backdrop = backdrop(camera.reduced(coarse), everywhere, rng).enlarged(camera.size_px)
        self._light, self._film = Light.drawn(rng), Film.drawn(rng)
        dressers = [deepcopy(wardrobe) if alike else rng for _ in others]
        more = [_Figure.dressed(a, outfit(a.mesh, own)) for a, own in zip(others, dressers, strict=True)]
        self._figures = [first, *more]
        self._empty = self._as_recorded(self._back.colours)
        tone = np.clip(128 + (np.arange(256) - 128) * self._film.contrast, 0, 255).astype(np.uint8)
        self._tone = tone

    @property
    def skin_m(self) -> Floats:
        """(T, V, 3) dressed vertices of the first person."""
        return self._figures[0].skin_m

    @property
    def size_px(self) -> tuple[int, int]:
        """(width, height)."""
        return self._camera.size_px

    @property
    def kind(self) -> str:
        """Kind of the backdrop."""
        return self._back.kind

    def frame(self, number: int) -> Picture:
        """(H, W, 3) RGB of one frame of the motion."""
        return self.drawn(number)[0]

    def drawn(self, number: int) -> tuple[Picture, npt.NDArray[np.uint8]]:
        """One frame, and whom each pixel shows.

        Returns:
            (H, W, 3) RGB; (H, W) 0 where nobody is, else 1 for the first person, 2 for the next.
        """
        picture = self._shadowed(self._empty, [figure.joints_m[number] for figure in self._figures])
        owners = np.zeros(picture.shape[:2], dtype=np.uint8)
        depth = [float(self._camera.project(figure.joints_m[number, 0])[1]) for figure in self._figures]
        for index in np.argsort(depth)[::-1]:
            pixels, colours = self._person(self._figures[index], number)
            picture.reshape(-1, 3)[pixels] = colours
            owners.reshape(-1)[pixels] = index + 1
        soft = cv2.GaussianBlur(picture, (0, 0), self._film.blur_px)
        return self._grainy(cv2.LUT(soft, self._tone)), owners

    def own_pixels(self, number: int, person: int) -> npt.NDArray[np.int64]:
        """(N,) pixels that a person would have alone in the picture, y * width + x."""
        return self._person(self._figures[person], number)[0]

    def _person(self, figure: _Figure, number: int) -> tuple[npt.NDArray[np.int64], Picture]:
        skin_m, faces, wears = figure.skin_m[number], figure.mesh.faces, figure.wears
        px, depth = self._camera.project(skin_m)
        shown = shown_triangles(px.astype(np.float32), depth.astype(np.float32), faces, self._camera.size_px)
        outward = normals(skin_m, faces)
        light = self._light.ambient + self._light.strength * np.maximum(
            outward @ np.array(self._light.direction, dtype=np.float32), 0
        )
        gain = np.array(self._film.gain, dtype=np.float32) * 255
        values = np.column_stack([wears.colours * light[:, None] * gain, wears.places]).astype(np.float32)
        corners = faces[shown.faces]
        mixed = sum(shown.weights[k][:, None] * values[corners[:, k]] for k in range(3))
        u, v = (np.asarray(mixed)[:, 3:] % wears.texture.shape[1]).astype(np.int32).T
        pattern = wears.texture[wears.layer[corners[:, 0]], v % wears.texture.shape[1], u % wears.texture.shape[1]]
        return shown.pixels, np.clip(np.asarray(mixed)[:, :3] * pattern[:, None], 0, 255).astype(np.uint8)

    def _as_recorded(self, colours: Floats) -> Picture:
        return np.clip(colours * np.array(self._film.gain, dtype=np.float32) * 255, 0, 255).astype(np.uint8)

    def _shadowed(self, picture: Picture, people_m: Sequence[Array]) -> Picture:
        """The backdrop with the shadows of the limbs on the floor."""
        mask = np.zeros(picture.shape[:2], dtype=np.uint8)
        for joints_m in people_m:
            self._cast(mask, joints_m)
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        shadowed = picture.copy()
        if len(rows):
            part = slice(max(rows[0] - 9, 0), rows[-1] + 10), slice(max(columns[0] - 9, 0), columns[-1] + 10)
            depth_of = cv2.GaussianBlur(mask[part], (0, 0), 3.0) * self._back.floor[part]
            factor = 1 - (1 - self._light.shadow) / 255 * depth_of.astype(np.float32)
            shadowed[part] = (shadowed[part] * factor[..., None]).astype(np.uint8)
        return shadowed

    def _cast(self, mask: npt.NDArray[np.uint8], joints_m: Array) -> None:
        """Draw the shadows of one person's limbs."""
        sun = np.array(self._light.direction)
        px, depth = self._camera.project(joints_m - joints_m[:, 1:2] / sun[1] * sun)
        for bone, parent in enumerate(PARENTS):
            if parent < 0 or min(depth[bone], depth[parent]) < 0.3:
                continue
            radius = _LIMB_RADIUS_M.get(JOINT_NAMES[bone].removesuffix("_r").removesuffix("_l"), _THIN_M)
            width = max(int(2 * radius * self._camera.focal_px / depth[bone] * 0.6), 1)
            ends = (np.clip(px[[parent, bone]], -4000, 4000)).astype(int)
            cv2.line(mask, tuple(map(int, ends[0])), tuple(map(int, ends[1])), 255, width)

    def _grainy(self, picture: Picture) -> Picture:
        if not self._film.noise:
            return picture
        height, width = picture.shape[:2]
        y, x = self._rng.integers(0, [_NOISE - height, _NOISE - width])
        return np.asarray(cv2.add(picture, grain(self._film.noise)[y : y + height, x : x + width], dtype=cv2.CV_8U))


@lru_cache(maxsize=8)
def grain(deviation: int) -> npt.NDArray[np.int8]:
    """(1024, 1024, 3) noise that is added to pictures, another part of it to each."""
    noise = np.random.default_rng(deviation).normal(0, deviation, (_NOISE, _NOISE, 3))
    return np.clip(noise, -127, 127).astype(np.int8)

"""Virtual phone cameras around a moving person: where they stand, how they are held, how long their lenses are.

Every factor of ``SHARES`` is dealt out on its own, exactly in its shares, so that a set of clips has each view in level and
pitched, near and far pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hsmr_bio.skeleton import JOINT_NAMES

Array = npt.NDArray[np.float64]

SHARES: Mapping[str, Mapping[str, float]] = {
    "view": {"front": 0.25, "oblique": 0.25, "side": 0.25, "behind": 0.25},
    "tilt": {"level": 0.6, "pitched": 0.4},
    "size": {"near": 0.6, "far": 0.4},
    "height": {"known": 0.5, "unknown": 0.5},
    "frame": {"640x480": 0.3, "480x640": 0.3, "848x480": 0.2, "480x848": 0.2},
}
"""Shares of the clips. ``height`` is whether the fit is told the stature."""
AZIMUTH_DEG = {"front": (0, 20), "oblique": (25, 65), "side": (75, 105), "behind": (125, 180)}
"""Range of the angle between the way the person faces in the middle of the clip and the way to the camera; either side."""
PITCH_DEG = {"level": (-3, 6), "pitched": (10, 28)}
"""Range of the downward pitch."""
FILL = {"near": (0.62, 0.85), "far": (0.3, 0.5)}
"""Range of the person's height over the picture's; a long path may need more distance."""
FOCAL_SHARE = (0.66, 0.87)
"""Range of the focal length over the longer side. Main cameras of phones have 24 to 28 mm on the 36 mm of full frame (Apple's
specifications: iPhone 15 Pro 24 mm, iPhone 12 26 mm; Samsung's: Galaxy S21 26 mm), which is 0.67 to 0.78 for pictures of the
whole width; stabilisation cuts off about a tenth, which is 0.87 at most."""
ROLL_SD_DEG = 1.5
"""Of a phone on a tripod or against a bottle (chosen)."""
_LEAST_DISTANCE_M, _LEAST_EYE_M = 1.6, 0.25
_BODY_MARGIN_M = 0.22
"""How far head, hands, feet and clothes reach beyond the joint centres."""
_EDGE = 0.02
"""Share of the picture's sides that stays free."""
_FURTHER = 1.05
_AIM_M = np.array([0.08, 0.08, 0.08])
"""Deviation of the point that the camera aims at."""


@dataclass(frozen=True)
class Shot:
    """What was dealt to a clip."""

    view: str
    tilt: str
    size: str
    height: str
    frame: str

    @property
    def size_px(self) -> tuple[int, int]:
        """(width, height)."""
        width, height = self.frame.split("x")
        return int(width), int(height)


@dataclass(frozen=True, eq=False)
class VirtualCamera:
    """A pinhole camera in a world with y up: ``x_camera = rotation @ x_world + translation``; x right, y down, z forward."""

    rotation: Array
    translation_m: Array
    focal_px: float
    size_px: tuple[int, int]
    azimuth_rad: float
    pitch_rad: float
    roll_rad: float

    def project(self, points_m: npt.NDArray[np.floating]) -> tuple[Array, Array]:
        """Pixels (..., 2) and depths (...) of world points (..., 3)."""
        camera = points_m @ self.rotation.T + self.translation_m
        depth = camera[..., 2]
        return camera[..., :2] / np.maximum(depth, 1e-3)[..., None] * self.focal_px + np.array(self.size_px) / 2, depth

    def reduced(self, factor: int) -> VirtualCamera:
        """The same view in fewer pixels."""
        width, height = self.size_px
        return replace(self, focal_px=self.focal_px / factor, size_px=(width // factor, height // factor))

    @property
    def position_m(self) -> Array:
        """(3,) in the world."""
        return np.asarray(-self.rotation.T @ self.translation_m)


def deal(count: int, rng: np.random.Generator) -> list[Shot]:
    """Deal out ``count`` shots in the shares of ``SHARES``, every factor shuffled on its own."""
    dealt = {}
    for factor, shares in SHARES.items():
        edges = np.round(np.cumsum([0.0, *shares.values()]) * count).astype(int)
        values = np.repeat(list(shares), np.diff(edges))
        dealt[factor] = rng.permutation(values)
    return [Shot(**{factor: str(values[i]) for factor, values in dealt.items()}) for i in range(count)]


def facing_rad(joints_m: Array) -> float:
    """Heading of the pelvis in the middle frame of joints (T, 24, 3): angle of its forward direction from x towards -z."""
    middle = joints_m[len(joints_m) // 2]
    right = middle[JOINT_NAMES.index("femur_r")] - middle[JOINT_NAMES.index("femur_l")]
    forward = np.cross([0.0, 1.0, 0.0], right)
    return float(np.arctan2(-forward[2], forward[0]))


def place_camera(shot: Shot, joints_m: Array, rng: np.random.Generator) -> VirtualCamera:
    """Place a camera so that the whole clip is in the picture.

    Args:
        shot: what was dealt.
        joints_m: (T, 24, 3) in the world, y up, the floor at 0.
        rng: draws within the shot's ranges.

    Returns:
        The camera.
    """
    low, high = joints_m.min(axis=(0, 1)), joints_m.max(axis=(0, 1))
    aim = (low + high) / 2 + rng.normal(0, 1, 3) * _AIM_M
    azimuth = float(np.radians(rng.uniform(*AZIMUTH_DEG[shot.view])) * rng.choice([-1, 1]))
    pitch, roll = float(np.radians(rng.uniform(*PITCH_DEG[shot.tilt]))), float(np.radians(rng.normal(0, ROLL_SD_DEG)))
    focal = rng.uniform(*FOCAL_SHARE) * max(shot.size_px)
    tall = float(np.median(np.ptp(joints_m[..., 1], axis=1))) + _BODY_MARGIN_M
    distance = max(focal * tall / (rng.uniform(*FILL[shot.size]) * shot.size_px[1]), _LEAST_DISTANCE_M)
    heading = facing_rad(joints_m) + azimuth
    while True:
        camera = _looking(aim, heading, distance, (pitch, roll), focal, shot.size_px, azimuth)
        if _contains(camera, joints_m):
            return camera
        distance *= _FURTHER


def _looking(
    aim: Array,
    heading: float,
    distance: float,
    tilt_rad: tuple[float, float],
    focal: float,
    size_px: tuple[int, int],
    azimuth: float,
) -> VirtualCamera:
    pitch, roll = tilt_rad
    level = np.array([np.cos(heading), 0.0, -np.sin(heading)])
    pitch = max(pitch, float(np.arcsin(np.clip((_LEAST_EYE_M - aim[1]) / distance, -1, 1))))
    eye = aim + distance * (np.cos(pitch) * level + np.sin(pitch) * np.array([0.0, 1.0, 0.0]))
    forward = (aim - eye) / distance
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    upright = np.stack([right, np.cross(forward, right), forward])
    c, s = np.cos(roll), np.sin(roll)
    rotation = np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]]) @ upright
    return VirtualCamera(rotation, -rotation @ eye, float(focal), size_px, azimuth, pitch, roll)


def _contains(camera: VirtualCamera, joints_m: Array) -> bool:
    px, depth = camera.project(joints_m)
    if depth.min() < _LEAST_DISTANCE_M / 2:
        return False
    margin = (camera.focal_px * _BODY_MARGIN_M / depth)[..., None]
    edge = _EDGE * np.array(camera.size_px)
    return bool((px - margin > edge).all() and (px + margin < np.array(camera.size_px) - edge).all())

"""Gravity and focal length from the edges of a room that is known, and no result from random edges."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hsmr_bio.fitting.core.problem import FLIP
from hsmr_bio.fitting.video.scene import scene_axes
from hsmr_bio.io.npz import load_motion
from hsmr_bio.io.straight_lines import StraightLines
from hsmr_bio.io.video import open_video
from hsmr_bio.types import Camera

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SIZE = (1920, 1080)


def camera(focal_px: float, source: str) -> Camera:
    return Camera(image_size_px=SIZE, focal_px=focal_px, center_px=(960.0, 540.0), source=source)


def room(pitch_deg: float, roll_deg: float, focal_px: float, yaw_deg: float = 25.0, noise_px: float = 1.0) -> np.ndarray:
    """(S, 2, 2) edges along the three directions of a room in front of a camera, with a fifth of random ones."""
    rng = np.random.default_rng(3)
    turn = FLIP.numpy() @ Rotation.from_rotvec(np.radians([pitch_deg, 0, roll_deg])).as_matrix()
    axes = Rotation.from_euler("y", yaw_deg, degrees=True).as_matrix()
    edges = []
    while len(edges) < 80:
        start = rng.uniform([-4, -1.5, -9], [4, 1.5, -3])
        ends = np.array([start, start + rng.uniform(0.4, 1.5) * axes[:, rng.integers(3)]]) @ turn.T
        if (ends[:, 2] < 1).any():
            continue
        px = ends[:, :2] / ends[:, 2:] * focal_px + (960, 540)
        if (px > 0).all() and (px < SIZE).all() and np.linalg.norm(px[1] - px[0]) > 60:
            edges.append(px + rng.normal(0, noise_px, (2, 2)))
    stray = rng.uniform((0, 0), SIZE, (20, 1, 2)) + rng.normal(0, 80, (20, 2, 2))
    return np.concatenate([edges, stray])


@pytest.mark.parametrize(("pitch_deg", "roll_deg"), [(0, 0), (12, -1), (23, -12), (-8, 6)])
@pytest.mark.parametrize("share", [0.65, 0.87, 1.1])
def test_tilt_and_focal_length_of_a_room(pitch_deg: float, roll_deg: float, share: float) -> None:
    focal_px = share * 1920
    found = scene_axes(room(pitch_deg, roll_deg, focal_px), camera(0.8 * 1920, "guess"))
    assert found is not None
    assert np.degrees([found.pitch_rad, found.roll_rad]) == pytest.approx([pitch_deg, roll_deg], abs=1.0)
    assert found.focal_px == pytest.approx(focal_px, rel=0.08)
    assert found.margin > 5


def test_a_known_focal_length_is_kept() -> None:
    found = scene_axes(room(10, 2, 1700.0), camera(1700.0, "--focal-px"))
    assert found is not None and found.focal_px == 1700.0
    assert np.degrees([found.pitch_rad, found.roll_rad]) == pytest.approx([10, 2], abs=0.6)


def test_the_camera_of_the_demo_clip_is_found() -> None:
    """From the file: edges of the drawn floor against the camera that drew it."""
    video = open_video(EXAMPLES / "demo.mp4")
    truth = load_motion(EXAMPLES / "demo_truth.npz")
    assert truth.camera is not None
    lines = StraightLines(truth.camera.image_size_px)
    for frame in video:
        lines.update(frame.time_s, frame.rgb)
    found = scene_axes(lines.segments_px, replace(truth.camera, focal_px=768.0, source="guess"))
    assert found is not None and found.focal_px == pytest.approx(truth.camera.focal_px, rel=0.04)
    up = np.array(truth.notes["world_to_camera_rotation"])[:, 1]
    seen = FLIP.numpy() @ Rotation.from_rotvec([found.pitch_rad, 0, found.roll_rad]).as_matrix()[:, 1]
    assert np.degrees(np.arccos(up @ seen)) < 1.0


@pytest.mark.parametrize("count", [0, 5, 15, 60, 200])
@pytest.mark.parametrize("seed", range(3))
def test_edges_of_random_directions_give_no_result(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    middle, angle = rng.uniform((0, 0), SIZE, (count, 2)), rng.uniform(0, np.pi, count)
    half = np.stack([np.cos(angle), np.sin(angle)], axis=1) * (58 + rng.exponential(60, count))[:, None] / 2
    assert scene_axes(np.stack([middle - half, middle + half], axis=1), camera(1536.0, "guess")) is None

"""Straight edges of the scene, drawn and found again."""

from __future__ import annotations

import cv2
import numpy as np

from hsmr_bio.io.straight_lines import StraightLines


def picture(shift: int = 0) -> np.ndarray:
    """A dark door on a light wall, and a box where somebody stands."""
    rgb = np.full((480, 640, 3), 210, dtype=np.uint8)
    cv2.rectangle(rgb, (100 + shift, 60), (220 + shift, 460), (70, 60, 50), -1)
    cv2.rectangle(rgb, (400, 200), (480, 460), (20, 20, 120), -1)
    return rgb


def test_edges_are_found_in_pixels_of_the_original() -> None:
    lines = StraightLines((1280, 960))
    lines.update(0.0, picture(), [(380, 180, 500, 480)])
    edges = lines.segments_px
    assert len(edges) >= 4 and edges.shape[1:] == (2, 2)
    upright = edges[np.abs(edges[:, 0, 0] - edges[:, 1, 0]) < 3]
    assert {round(x / 10) * 10 for x in upright[:, 0, 0]} == {200, 440}, "the door's sides, and nothing of the person"
    assert np.ptp(upright[0, :, 1]) > 700


def test_bars_beside_the_picture_are_not_the_scene() -> None:
    """A video padded to another format, and a strip of its own first column."""
    random = np.random.default_rng(0)
    rgb = picture()
    rgb[:, :, :] = np.clip(rgb + random.normal(0, 12, rgb.shape), 0, 255).astype(np.uint8)
    alone, padded = StraightLines((640, 480)), StraightLines((1000, 600))
    wide = np.full((600, 1000, 3), 30, dtype=np.uint8)
    wide[60:540, 180:820] = rgb
    alone.update(0.0, rgb)
    padded.update(0.0, wide)
    inside = padded.segments_px - (180, 60)
    assert len(alone.segments_px) >= 4
    for x, y in ((0, None), (640, None), (None, 0), (None, 480)):
        along = np.abs(inside[..., 0] - x) if x is not None else np.abs(inside[..., 1] - y)
        assert not (along < 3).all(axis=1).any(), "no edge where the bars begin"
    assert len(inside) >= len(alone.segments_px) - 1


def test_three_pictures_are_looked_at_and_no_more() -> None:
    lines = StraightLines((640, 480))
    counts = []
    for time_s in np.arange(0, 8, 0.5):
        lines.update(float(time_s), picture(int(10 * time_s)))
        counts.append(len(lines.segments_px))
    assert counts[0] > 0 and counts[1] == counts[0]
    assert len(set(counts)) == 3 and counts[-1] == counts[8], "at 0, 1 and 4 s"


def test_a_bare_wall_has_no_edges() -> None:
    lines = StraightLines((640, 480))
    lines.update(0.0, np.full((480, 640, 3), 128, dtype=np.uint8))
    assert lines.segments_px.shape == (0, 2, 2)

"""Colours of a person's clothes, to tell people apart after a gap."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hsmr_bio.io.upright import RgbImage
from hsmr_bio.types import BoolArray, FloatArray

from .regions import HIPS, KNEES, SHOULDERS, Landmarks

_UNKNOWN_LIKENESS = 0.7
"""Likeness when the colours of one person are unknown: enough after a short gap only."""
_THIGH_WIDTH = 0.25
"""Half the width of a thigh / distance of the hips."""
_MIN_PIXELS = 12
"""Pixels that a colour histogram needs."""
_COLOUR_SHIFT, _COLOUR_LEVELS = 6, 4
"""Bits dropped from a channel of 8 bits, levels that remain."""
_GRID = np.stack(np.meshgrid(np.linspace(0.15, 0.85, 6), np.linspace(0.1, 0.9, 8)), axis=-1).reshape(-1, 2)
"""Sample points inside a quadrilateral, (u, v) in [0, 1]."""


def appearance(rgb: RgbImage, landmarks: Landmarks) -> FloatArray | None:
    """Compute the colour histograms of trunk and thighs.

    Args:
        rgb: (H, W, 3) the whole picture.
        landmarks: of the person.

    Returns:
        (128,) two histograms, each summing to 1; None if trunk or thighs are outside the picture.
    """
    px = landmarks.px
    trunk = _quad(rgb, *px[[*SHOULDERS, *HIPS]])
    half = (px[HIPS[1]] - px[HIPS[0]]) * _THIGH_WIDTH
    thighs = np.concatenate(
        [_quad(rgb, px[h] - half, px[h] + half, px[k] - half, px[k] + half) for h, k in zip(HIPS, KNEES, strict=True)]
    )
    if len(trunk) < _MIN_PIXELS or len(thighs) < _MIN_PIXELS:
        return None
    return np.concatenate([_histogram(trunk), _histogram(thighs)])


def _quad(rgb: RgbImage, a: FloatArray, b: FloatArray, c: FloatArray, d: FloatArray) -> RgbImage:
    """(N, 3) colours at grid points inside the quadrilateral a, b, d, c."""
    return _at(rgb, _points(a, b, c, d))


def _points(a: FloatArray, b: FloatArray, c: FloatArray, d: FloatArray) -> FloatArray:
    u, v = _GRID[:, :1], _GRID[:, 1:]
    return np.asarray((a * (1 - u) + b * u) * (1 - v) + (c * (1 - u) + d * u) * v)


def _at(rgb: RgbImage, points: FloatArray) -> RgbImage:
    places = np.round(points).astype(int)
    inside = np.all((places >= 0) & (places < (rgb.shape[1], rgb.shape[0])), axis=1)
    return np.asarray(rgb[places[inside, 1], places[inside, 0]])


def _histogram(colours: RgbImage) -> FloatArray:
    """(64,) shares of the colours in four levels per channel."""
    bins = (colours >> _COLOUR_SHIFT).astype(int) @ (_COLOUR_LEVELS**2, _COLOUR_LEVELS, 1)
    return np.asarray(np.bincount(bins, minlength=_COLOUR_LEVELS**3) / len(bins))


def trunk_likeness(
    rgb: RgbImage, landmarks: Landmarks, where: Callable[[FloatArray], BoolArray], known: FloatArray
) -> float | None:
    """Compare what a part of the trunk's place shows with the trunk of somebody.

    Args:
        rgb: (H, W, 3) the whole picture.
        landmarks: place of a trunk.
        where: decides which points (N, 2) of it count.
        known: (128,) of :func:`appearance`, of that somebody.

    Returns:
        As :func:`likeness`, of the trunks alone; None if too few points count.
    """
    a, b, c, d = landmarks.px[[*SHOULDERS, *HIPS]]
    points = _points(a, b, c, d)
    shown = _at(rgb, points[where(points)])
    if len(shown) < _MIN_PIXELS:
        return None
    return float(np.sqrt(_histogram(shown) * known[: _COLOUR_LEVELS**3]).sum())


def likeness(first: FloatArray | None, second: FloatArray | None) -> float:
    """Compare two appearances by the Bhattacharyya coefficient.

    Args:
        first: (128,) of :func:`appearance`, or None if unknown.
        second: (128,) of :func:`appearance`, or None if unknown.

    Returns:
        In [0, 1], 1 for equal histograms; ``_UNKNOWN_LIKENESS`` if one is unknown.

    Source:
        Bhattacharyya 1943: sum of sqrt(p q), here the mean over both histograms.
    """
    if first is None or second is None:
        return _UNKNOWN_LIKENESS
    return float(np.sqrt(first * second).sum() / 2)

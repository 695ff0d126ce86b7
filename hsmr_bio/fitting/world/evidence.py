"""Evidence about the world that comes from elsewhere than the fitted postures, and agreement with the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...types import FloatArray
from ..core.problem import State, View
from ..video.keypoints import Clip
from ..video.start import TORSO, image_term
from .gravity import UpAxis

APART = 0.02
"""Growth of the distance between model and landmarks, in torso lengths, at which world terms keep half of their weight: wrong
ones cost 0.1 and more, right ones 0.005 at most (renders of postures and of training subjects)."""
MOST_APART = 0.03
"""Mean growth at which a clip is solved without them."""


@dataclass(frozen=True, eq=False, kw_only=True)
class WorldEvidence:
    """What something else says about feet and vertical, if anything does."""

    contact_probability: FloatArray | None = None
    """(T, 4) probability that right heel, right forefoot, left heel, left forefoot touch the ground; 0.5 or NaN: unknown."""
    up: UpAxis | None = None
    """Direction of the vertical in the axes of the untilted camera: x right, y up, z towards the camera."""


def image_distance(clip: Clip, state: State, view: View) -> FloatArray:
    """Measure how far the model is from the landmarks in the picture.

    Args:
        clip: the landmarks.
        state: tilt and focal length of the camera.
        view: of the state, with the point set ``landmarks``.

    Returns:
        (T,) mean distance of the landmarks that are seen, in lengths of the torso: of the longest line from a shoulder to a
        hip, median over time. Zero where nothing is seen.
    """
    seen_px = clip.observation.keypoints_px
    names = clip.landmarks.names
    corners = {name: seen_px[:, names.index(name)] for name in TORSO}
    lines = [corners[a] - corners[b] for a in TORSO[:2] for b in TORSO[2:]]
    torso_px = np.nanmedian(np.fmax.reduce(np.linalg.norm(lines, axis=2)))
    off_px, sd = image_term(clip.observation, state, clip.sigma_m).residuals(view)
    distance = np.linalg.norm(off_px.numpy(), axis=2)
    known = np.isfinite(distance) & np.isfinite(sd.numpy())
    total = np.where(known, distance, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return np.asarray(total / torso_px)


def trust(before: FloatArray, after: FloatArray) -> FloatArray:
    """Judge world terms by what they did to the agreement with the picture.

    Args:
        before: (T,) distance of the model from the landmarks without them, torso lengths.
        after: (T,) the same with them.

    Returns:
        (T,) factor on their weight: ``1 / (1 + (growth / APART)^2)``; 1 if the model is no further away.
    """
    return np.asarray(1 / (1 + (np.maximum(after - before, 0.0) / APART) ** 2))

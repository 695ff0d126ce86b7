"""The outline of a person from landmarks: which points of a picture lie on the body, and whether two bodies touch."""

from __future__ import annotations

import numpy as np

from hsmr_bio.types import BoolArray, FloatArray

_CAPSULES: tuple[tuple[int, int, float], ...] = (
    *((11, 23, 0.14), (12, 24, 0.14), (11, 24, 0.12), (12, 23, 0.12)),
    *(
        (23, 25, 0.11),
        (24, 26, 0.11),
        (25, 27, 0.075),
        (26, 28, 0.075),
        (27, 31, 0.06),
        (28, 32, 0.06),
        (29, 31, 0.06),
        (30, 32, 0.06),
    ),
    *((11, 13, 0.07), (12, 14, 0.07), (13, 15, 0.06), (14, 16, 0.06), (15, 19, 0.05), (16, 20, 0.05)),
    *((7, 8, 0.13), (0, 0, 0.14)),
)
"""(landmark, landmark, radius in reaches) of the parts of a dressed body; the reach is 0.9 m. Chosen: the outline of
rendered people in their clothes."""
_FROM, _TO = (np.array([capsule[end] for capsule in _CAPSULES]) for end in (0, 1))
_RADIUS = np.array([capsule[2] for capsule in _CAPSULES])
_SAMPLES = np.linspace(0.0, 1.0, 5)
"""Places along a part at which two bodies are compared."""


def on_body(points_px: FloatArray, body_px: FloatArray, reach_px: float, *, margin: float = 0.0) -> BoolArray:
    """Decide which points lie on a person.

    Args:
        points_px: (N, 2).
        body_px: (33, 2) landmarks of the person.
        reach_px: of the person.
        margin: added to the radius of every part, in reaches.

    Returns:
        (N,).
    """
    start, along = body_px[_FROM], body_px[_TO] - body_px[_FROM]
    square = np.maximum((along**2).sum(axis=1), 1e-9)
    share = np.clip(((points_px[:, None] - start) * along).sum(axis=2) / square, 0.0, 1.0)
    distance = np.linalg.norm(points_px[:, None] - start - share[..., None] * along, axis=2)
    return np.asarray((distance < (_RADIUS + margin) * reach_px).any(axis=1))


def outline_points(body_px: FloatArray) -> FloatArray:
    """(N, 2) points along the parts of a body (33, 2)."""
    start, along = body_px[_FROM], body_px[_TO] - body_px[_FROM]
    return np.asarray((start[:, None] + _SAMPLES[:, None] * along[:, None]).reshape(-1, 2))


def touching(first_px: FloatArray, second_px: FloatArray, reach_px: float, *, margin: float) -> bool:
    """Decide whether the outlines of two people overlap in the picture.

    Args:
        first_px: (33, 2) landmarks.
        second_px: (33, 2) landmarks.
        reach_px: of the larger one.
        margin: distance in reaches that counts as touching.

    Returns:
        True if some part of one is on, or next to, a part of the other.
    """
    gap = margin * reach_px + 2 * _RADIUS.max() * reach_px
    apart = np.maximum(first_px.min(axis=0) - second_px.max(axis=0), second_px.min(axis=0) - first_px.max(axis=0))
    if (apart > gap).any():
        return False
    return bool(on_body(outline_points(first_px), second_px, reach_px, margin=margin + float(np.median(_RADIUS))).any())

"""Where the centre of mass must be over the feet: a body is carried by its feet, also while it moves.

Standing still, the centre of mass is above the feet. Moving, it is ahead of the centre of pressure by its height times its
acceleration over gravity, as an inverted pendulum falls: ``c - p = h/g c''`` (Winter 1995, Gait & Posture 3:193). One camera
hardly sees depth, but feet on the floor and the laws of motion together do.
"""

from __future__ import annotations

import numpy as np
from scipy import constants
from scipy.linalg import solveh_banded

from ...types import FloatArray

GRAVITY_M_S2 = float(constants.g)
CENTRE_SIGMA_M = (0.03, 0.1)
"""Of a fitted centre of mass across the picture and towards the camera."""
PRESSURE_SIGMA_M = 0.05
"""Centre of pressure about the middle of the soles that stand: half a foot's length at most."""
LEAST_HEIGHT_M = 0.3
LONGEST_STEP_S = 0.1
"""Accelerations are not taken over wider gaps."""
_FEWEST = 5


def carried_centre(time_s: FloatArray, centre_m: FloatArray, support_m: FloatArray, on_feet: FloatArray) -> FloatArray:
    """The track of the centre of mass that stays near the fitted one and that the feet can carry.

    Args:
        time_s: (T,).
        centre_m: (T, 3) fitted centre of mass, y up, z towards the camera.
        support_m: (T, 3) middle of the soles that stand.
        on_feet: (T,) probability that any sole stands.

    Returns:
        (T, 3): x and z by linear least squares, y as it came.
    """
    frames, carried = len(time_s), np.array(centre_m)
    if frames < _FEWEST:
        return carried
    before, after = np.diff(time_s)[:-1], np.diff(time_s)[1:]
    fall = np.maximum(centre_m[:, 1] - support_m[:, 1], LEAST_HEIGHT_M)[1:-1] / GRAVITY_M_S2
    past, future = 2 / (before * (before + after)), 2 / (after * (before + after))
    gain = np.where(np.maximum(before, after) < LONGEST_STEP_S, on_feet[1:-1] / PRESSURE_SIGMA_M, 0.0)
    rows = gain[:, None] * np.stack([-fall * past, 1 + fall * (past + future), -fall * future], axis=1)
    for axis, sigma in zip((0, 2), CENTRE_SIGMA_M, strict=True):
        band = np.zeros((3, frames))
        band[0] = 1 / sigma**2
        right = centre_m[:, axis] / sigma**2
        for i in range(3):
            inner = slice(i, frames - 2 + i)
            right[inner] += rows[:, i] * gain * support_m[1:-1, axis]
            for j in range(i, 3):
                band[j - i, inner] += rows[:, i] * rows[:, j]
        carried[:, axis] = solveh_banded(band, right, lower=True)
    return carried

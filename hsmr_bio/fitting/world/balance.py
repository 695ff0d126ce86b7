"""Centre of mass that the feet can carry, at rest and in movement.

At rest the centre of mass is above the feet. In movement the body is an inverted pendulum: with the centre of mass c at the
height h above the centre of pressure p, ``c - p = h / g c''`` along both horizontal axes. One camera hardly shows depth, but
feet on the floor and the laws of motion together do.

Source:
    Winter 1995, Gait & Posture 3:193.
"""

from __future__ import annotations

import numpy as np
from scipy import constants
from scipy.linalg import solveh_banded

from ...types import FloatArray

GRAVITY_M_S2 = float(constants.g)
"""Standard gravity."""
CENTRE_SIGMA_M = (0.03, 0.1)
"""Standard deviations of a fitted centre of mass across the view and towards the camera."""
PRESSURE_SIGMA_M = 0.05
"""Standard deviation of the centre of pressure about the centre of support: half a foot's length at most."""
LEAST_HEIGHT_M = 0.3
"""Lower bound of the height of the centre of mass above the soles."""
LONGEST_STEP_S = 0.1
"""Accelerations are not computed over longer intervals between frames."""
_FEWEST = 5
"""Shorter motions stay as they are."""


def carried_centre(time_s: FloatArray, centre_m: FloatArray, support_m: FloatArray, on_feet: FloatArray) -> FloatArray:
    """Track of the centre of mass that is near the fitted one and that the feet can carry.

    Linear least squares along x and z of ``(c - c_fit) / sigma_c`` in all frames and of
    ``on_feet (c - h / g c'' - p) / sigma_p`` in inner frames, with c'' by second differences.

    Args:
        time_s: (T,).
        centre_m: (T, 3) fitted centre of mass, y up, z towards the camera.
        support_m: (T, 3) centre of support.
        on_feet: (T,) probability that any sole point is in contact.

    Returns:
        (T, 3): x and z of the solution, y unchanged.

    Source:
        Inverted pendulum: Winter 1995. Second differences on uneven points: Fornberg 1988, Math Comp 51:699.
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

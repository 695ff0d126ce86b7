"""Translations of BSM's spine: arcs of constant curvature.

Source:
    Formulas of nimblephysics' ConstantCurvatureJoint (Werling 2022), which BSM (Keller et al. 2023) uses.
"""

from __future__ import annotations

from math import atan2, cos, hypot, sin

_STRAIGHT = 1e-8
"""Below this sine of its angle an arc is straight to rounding."""


def arc_translation(a_rad: float, b_rad: float) -> tuple[float, float, float]:
    """End of an arc of constant curvature and length 1 that starts along y and ends along Rx(a) Rz(b) y.

    Args:
        a_rad: angle about x, neutral angle included.
        b_rad: angle about z, neutral angle included.

    Returns:
        Position of the end in the axes of the start.
    """
    u = (-sin(b_rad), cos(a_rad) * cos(b_rad), sin(a_rad) * cos(b_rad))
    sine_theta = hypot(u[0], u[2])
    if sine_theta < _STRAIGHT:
        return u[0] / 2, 1.0, u[2] / 2
    theta = atan2(sine_theta, u[1])
    side = (1 - cos(theta)) / (theta * sine_theta)
    return u[0] * side, sine_theta / theta, u[2] * side


def arc_remainder(a_rad: float, b_rad: float) -> tuple[float, float, float]:
    """Translation of an arc of length 1 relative to a pivot in its middle: t - (0, 1/2, 0) - u / 2.

    Args:
        a_rad: angle about x, neutral angle included.
        b_rad: angle about z, neutral angle included.

    Returns:
        The translation in the axes of the start.
    """
    t = arc_translation(a_rad, b_rad)
    u = (-sin(b_rad), cos(a_rad) * cos(b_rad), sin(a_rad) * cos(b_rad))
    return t[0] - u[0] / 2, t[1] - 0.5 - u[1] / 2, t[2] - u[2] / 2

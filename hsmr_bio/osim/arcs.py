"""Translations of the BSM joints whose child moves as it rotates: the spine's arcs and the scapula's ellipsoid.

Source:
    Formulas of nimblephysics' ConstantCurvatureJoint and EllipsoidJoint (Werling 2022), which BSM (Keller et al. 2023)
    uses; the ellipsoid: Seth et al. 2016, PLoS ONE 11:e0141028.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import atan2, cos, hypot, sin

from .build import AxisSpec, linear, multivariate, sine
from .polynomial_fit import Interval, fit_polynomial

ARC_ORDER = 8
"""Total degree for the arcs: error 0.008 mm over the ranges of BSM, with the pivot in the middle of the arc."""
ELLIPSOID_ORDER = 6
"""Total degree for the ellipsoid: error below 0.001 mm over the ranges."""
FIT_MARGIN_RAD = 0.15
"""Polynomials are fitted this far beyond the range of a coordinate; chosen."""
_STRAIGHT = 1e-8
"""Below this sine of its angle an arc is straight to rounding."""
_AXES = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


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


def _widened(interval: Interval) -> Interval:
    return interval[0] - FIT_MARGIN_RAD, interval[1] + FIT_MARGIN_RAD


def arc_axes(
    coordinates: Sequence[str], length_m: float, neutral_rad: Sequence[float], bending: Interval, extension: Interval
) -> tuple[AxisSpec, ...]:
    """Axes of a spine joint whose parent and child frames meet in the middle of the arc.

    Args:
        coordinates: names of bending (about x), extension (about z), twist (about y).
        length_m: of the arc; the caller moves the parent frame by +length/2 and the child frame by -length/2 along
            their own y.
        neutral_rad: angles at which the three coordinates are zero.
        bending: range of bending over which the polynomials must hold, rad.
        extension: range of extension, rad.

    Returns:
        Three rotations and three translations.
    """
    names = tuple(coordinates[:2])
    x, y, z = _AXES
    rotations = zip((x, z, y), coordinates, neutral_rad, strict=True)
    axes = [AxisSpec(f"rotation{i + 1}", axis, (name,), linear(1.0, n)) for i, (axis, name, n) in enumerate(rotations)]
    for i, axis in enumerate(_AXES):

        def remainder(b: float, e: float, i: int = i) -> float:
            return length_m * arc_remainder(b + neutral_rad[0], e + neutral_rad[1])[i]

        fitted = fit_polynomial(remainder, _widened(bending), _widened(extension), ARC_ORDER)
        axes.append(AxisSpec(f"translation{i + 1}", axis, names, multivariate(fitted, ARC_ORDER)))
    return tuple(axes)


def ellipsoid_axes(
    coordinates: Sequence[str], radii_m: Sequence[float], abduction: Interval, elevation: Interval
) -> tuple[AxisSpec, ...]:
    """Axes of a scapulothoracic joint: R = Ry(a) R-x(e) Rz(u), t = (rx cos e sin a, ry sin e, rz cos e cos a).

    Args:
        coordinates: names of abduction a, elevation e, upward rotation u.
        radii_m: (rx, ry, rz); negative on the left side, whose frames are rotated by Rz(180).
        abduction: range of a, rad.
        elevation: range of e, rad.

    Returns:
        Three rotations and three translations.
    """
    names = tuple(coordinates[:2])
    domain = (_widened(abduction), _widened(elevation), ELLIPSOID_ORDER)
    along_x = fit_polynomial(lambda a, e: radii_m[0] * cos(e) * sin(a), *domain)
    along_z = fit_polynomial(lambda a, e: radii_m[2] * cos(e) * cos(a), *domain)
    x, y, z = _AXES
    return (
        AxisSpec("rotation1", y, (coordinates[0],), linear(1.0)),
        AxisSpec("rotation2", x, (coordinates[1],), linear(-1.0)),
        AxisSpec("rotation3", z, (coordinates[2],), linear(1.0)),
        AxisSpec("translation1", x, names, multivariate(along_x, ELLIPSOID_ORDER)),
        AxisSpec("translation2", y, (coordinates[1],), sine(radii_m[1])),
        AxisSpec("translation3", z, names, multivariate(along_z, ELLIPSOID_ORDER)),
    )

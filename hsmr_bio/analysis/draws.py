"""Draws of a movement: what it may have been, given the deviations of its angles.

An angle's error has two equal parts: one that lasts for the clip (model, detector) and one that changes slowly, correlated over
0.3 s. Errors of different angles are drawn independently, then corrected so that the joint centres stay where they are known to
be (Matheron's rule for conditioning a normal distribution): without that, independent errors of pelvis, hip and knee let
standing feet swim by a decimetre. A joint centre is known as well as one segment with the mean deviation of the legs' angles
tells. The deviations before the correction are widened until those after it are the angles' own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..arrays import FloatArray
from .movement import NEEDED, Movement
from .place import Placed

_LASTING = 0.5
"""Share of the variance that lasts for the clip: on two clips with markers 48 and 75 % of the squared error of the angles was
their mean difference."""
_SLOW_S = 0.3
"""Correlation time of the rest: exp(-d^2 / (2 tau^2)) at a distance d."""
_SEGMENT_OF_LEG = 0.5
"""Thigh and shank are each about half of the leg."""
_WIDENINGS, _WIDEST = 4, 4.0
"""Steps of the widening, and its limit: joint centres may tell an angle better than its own deviation says."""
_HELD = (*NEEDED, "shoulder_r", "shoulder_l")
"""Points that are held."""
_LEAST_SD_M = 1e-4
"""Least deviation of a joint centre, so that exact motions can be drawn."""


@dataclass(frozen=True, eq=False, kw_only=True)
class _Held:
    """What corrects the errors of the coordinates in every frame."""

    jacobian: FloatArray
    """(T, M, N) of the held points."""
    gain: FloatArray
    """(T, N, M)."""
    sd_si: FloatArray
    """(T, N) deviations of the coordinates before the correction."""
    sd_m: float


def movement_draws(placed: Placed, count: int, rng: np.random.Generator, *, height_share_sd: float = 0.0) -> Iterator[Movement]:
    """Draw movements.

    Args:
        placed: with deviations and Jacobians.
        count: of draws.
        rng: random numbers.
        height_share_sd: standard deviation of the body height over the height: lengths of a draw are scaled together.

    Yields:
        Movements of the same frames. Without deviations all are the movement itself, but for the scale.
    """
    movement = placed.movement
    held = _held(placed)
    for _ in range(count):
        scale = 1.0 + height_share_sd * float(rng.normal())
        points = dict(movement.points_m)
        angles = dict(movement.angles_rad)
        if held is not None and placed.jacobian is not None and placed.sd_si is not None:
            error = _errors(placed, held, rng)
            moved = (placed.jacobian @ error[:, None, :, None])[..., 0]
            points = {name: value + moved[:, k] for k, (name, value) in enumerate(points.items())}
            for name, (column, sign) in placed.angle_columns.items():
                angles[name] = angles[name] + sign * error[:, column]
        yield replace(movement, points_m={name: scale * value for name, value in points.items()}, angles_rad=angles)


def slow_noise(time_s: FloatArray, columns: int, rng: np.random.Generator) -> FloatArray:
    """Draw noise of unit variance that is correlated over 0.3 s.

    Args:
        time_s: (T,).
        columns: independent ones.
        rng: random numbers.

    Returns:
        (T, columns).
    """
    from scipy.ndimage import gaussian_filter1d

    step = float(np.median(np.diff(time_s))) if len(time_s) > 1 else 1.0
    width = _SLOW_S / np.sqrt(2) / step
    margin = int(np.ceil(4 * width))
    white = rng.normal(size=(len(time_s) + 2 * margin, columns))
    smooth = gaussian_filter1d(white, width, axis=0, mode="constant", truncate=4.0)[margin : margin + len(time_s)]
    return np.asarray(smooth * np.sqrt(2 * np.sqrt(np.pi) * width))


def _mixed(time_s: FloatArray, columns: int, rng: np.random.Generator) -> FloatArray:
    """(T, columns) errors of unit variance: the lasting part and the slow one."""
    lasting = rng.normal(size=columns)
    return np.asarray(np.sqrt(_LASTING) * lasting + np.sqrt(1 - _LASTING) * slow_noise(time_s, columns, rng))


def _held(placed: Placed) -> _Held | None:
    """Gains of the correction; None without deviations."""
    if placed.jacobian is None or placed.sd_si is None:
        return None
    rows = [k for k, name in enumerate(placed.movement.points_m) if name in _HELD]
    jacobian = placed.jacobian[:, rows].reshape(len(placed.jacobian), -1, placed.jacobian.shape[-1])
    sd_m = _centre_sd_m(placed)
    wanted = _prior_sd(placed, sd_m)
    prior = wanted
    for _ in range(_WIDENINGS):
        gain, left = _gain(jacobian, prior, sd_m)
        prior = np.clip(prior * wanted / np.maximum(left, 1e-12), prior, _WIDEST * wanted)
    gain, _ = _gain(jacobian, prior, sd_m)
    return _Held(jacobian=jacobian, gain=gain, sd_si=prior, sd_m=sd_m)


def _gain(jacobian: FloatArray, sd_si: FloatArray, sd_m: float) -> tuple[FloatArray, FloatArray]:
    """Gain (T, N, M) of the correction for deviations before it, and the deviations (T, N) after it."""
    spread = sd_si[:, :, None] ** 2 * np.swapaxes(jacobian, 1, 2)  # (T, N, M)
    seen = jacobian @ spread + sd_m**2 * np.eye(jacobian.shape[1])
    gain = np.swapaxes(np.linalg.solve(seen, np.swapaxes(spread, 1, 2)), 1, 2)
    left = sd_si**2 - np.einsum("tnm,tnm->tn", gain, spread)
    return gain, np.sqrt(np.maximum(left, 0.0))


def _centre_sd_m(placed: Placed) -> float:
    """Deviation of a joint centre: that of the legs' angles over one segment."""
    columns = [column for name, (column, _) in placed.angle_columns.items() if name.startswith(("hip", "knee", "ankle"))]
    deviations = np.asarray(placed.sd_si)[:, columns]
    return max(float(deviations.mean()) * _SEGMENT_OF_LEG * placed.movement.leg_m, _LEAST_SD_M)


def _prior_sd(placed: Placed, centre_sd_m: float) -> FloatArray:
    """(T, N) deviations before the correction; the pelvis' translations, which have none, get twice that of a centre."""
    deviations = np.array(placed.sd_si)
    for column, name in enumerate(placed.coordinates):
        if name in ("pelvis_tx", "pelvis_ty", "pelvis_tz") and not np.any(deviations[:, column]):
            deviations[:, column] = 2 * centre_sd_m
    return deviations


def _errors(placed: Placed, held: _Held, rng: np.random.Generator) -> FloatArray:
    """(T, N) errors of the coordinates of one draw."""
    time_s = placed.movement.time_s
    error = held.sd_si * _mixed(time_s, len(placed.coordinates), rng)
    centres = held.sd_m * _mixed(time_s, held.jacobian.shape[1], rng)
    miss = (held.jacobian @ error[..., None])[..., 0] + centres
    return np.asarray(error - (held.gain @ miss[..., None])[..., 0])

"""Ground reaction forces from motion alone: what the floor must have done so that the whole body moves as seen.

The Newton-Euler equations of the whole body give one force and one moment per frame. They are handed to points of
the soles that touch the floor by a non-negative least squares per frame:

    minimize   |W - sum_i (f_i, (x_i - c) x f_i / 1 m)|^2          balance of the whole body
             + e sum_ik (s_ik / w_i)^2                              share by how surely point i touches
             + h sum_i |f_i,horizontal - f_i,y (c - x_i) / c_y|^2   each foot's force points at the centre of mass
             + t sum_feet |own wrench - smooth wrench|^2            second pass: smooth over time
    subject to f_i = sum_k s_ik g_k,  s_ik >= 0                     unilateral, inside a friction pyramid

with everything in body weights. The first term wins wherever the contacts can carry W; the others decide what
Newton's laws leave open, the split between two feet. Since forces act at points of the sole and never pull, the
centre of pressure stays under the sole. The smooth wrench is the first pass's, low-passed without lag.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import InputError, ModelError, ShapeError
from ..filtering import lowpass
from ..osim.library import Model
from ..types import BoolArray, FloatArray, OsimMotion
from .foot_outline import HEEL_POINTS, TOE_POINTS, FootOutlines, soles
from .loads import ExternalForce, ExternalLoads
from .opensim_backend import OpenSimBackend
from .states import check_order, states_of
from .trajectory import Trajectory

_HEIGHT_M, _HEIGHT_WIDTH_M = 0.05, 0.008
"""A point of the sole touches below 5 cm over its lowest level on either foot; feet of marker trials are off by 1 to 3 cm."""
_SPEED_M_S, _SPEED_WIDTH_M_S = 0.8, 0.2
"""and while it is slower than 0.8 m/s: the heel lands with 0.3 to 0.9 m/s, a foot swings with 3 m/s and more."""
_SURE = 0.5
"""Contact weight of the surest point above which speed decides about all others."""
_DEEPEST_SOLE_M = 0.06
"""Largest distance of the foot bodies' origins from the ground under a shoe."""
_NO_CONTACT = 0.02
"""Contact weight below which a point carries nothing."""
_FREE_FALL = 0.05
"""Share of body weight below which the whole body is in flight; force plates' threshold of contact, too."""
_SHARE_WEIGHT = 1e-3
"""e: keeps the balance within 0.2 % of body weight on walking data."""
_AIM_WEIGHT = 1e-2
"""h: halves the error of fore-aft forces in double support (37 to 20 N on the trial in docs/validation.md)."""
_SMOOTH_WEIGHT, _SMOOTH_HZ, _FEWEST_TO_SMOOTH = 0.1, 10.0, 10
"""t, and the low-pass of the first solution: halves the jumps of joint moments when a foot lands or leaves."""
_CONTACT_SMOOTHING_S = 0.10
"""Width of the window that smooths contact probabilities given from outside: about one loading phase of walking."""
FRICTION = 0.8
"""Coefficient of friction of shoes on laboratory and sports floors: 0.6 to 1.0 (Chang et al., Ergonomics 44, 2001)."""


@dataclass(frozen=True, eq=False, kw_only=True)
class GroundReaction:
    """Estimated ground reaction and what it leaves unexplained."""

    loads: ExternalLoads
    """One force per foot, acting on calcn_r and calcn_l."""
    time_s: FloatArray
    """(T,)."""
    force_n: FloatArray
    """(T, 2, 3) force of the floor on the right and the left foot."""
    center_of_pressure_m: FloatArray
    """(T, 2, 3); under the middle of the foot while it carries nothing."""
    free_moment_nm: FloatArray
    """(T, 2) about the vertical axis."""
    contact: FloatArray
    """(T, 2) how surely each foot touches, 0 to 1."""
    residual_force_n: FloatArray
    """(T, 3) force that no floor contact explains; the hand of nobody."""
    residual_moment_nm: FloatArray
    """(T, 3) the same for the moment about the centre of mass."""
    body_weight_n: float
    com_height_m: float
    """Mean height of the centre of mass over the floor."""

    @property
    def flight(self) -> BoolArray:
        """(T,) frames in which no foot carries anything."""
        return np.asarray(self.force_n[..., 1].sum(axis=1) == 0.0)

    @property
    def residual_force_share(self) -> float:
        """RMS size of the residual force in body weights."""
        return _rms(self.residual_force_n) / self.body_weight_n

    @property
    def residual_moment_share(self) -> float:
        """RMS size of the residual moment in body weight times height of the centre of mass."""
        return _rms(self.residual_moment_nm) / (self.body_weight_n * self.com_height_m)


def ground_reaction(
    motion: OsimMotion,
    model: Model | OpenSimBackend,
    *,
    cutoff_hz: float | None = 6.0,
    contacts: FloatArray | None = None,
    floor_m: float = 0.0,
    friction: float = FRICTION,
) -> GroundReaction:
    """Estimate the ground reaction of a motion whose forces nobody measured.

    Args:
        motion: in ground axes (y up), floor at ``floor_m``.
        model: subject, model document, ``.osim`` file or its bytes.
        cutoff_hz: low-pass filter of the coordinates; None: they are smooth already.
        contacts: (T, 4) probability that right heel, right toes, left heel, left toes stand on the floor, as the
            ground step gives it; None: from height and speed of the soles.
        floor_m: height of the floor.
        friction: largest horizontal over vertical force.

    Returns:
        Forces per foot, centres of pressure, and residuals.

    Raises:
        ModelError: the model has no feet, or no single joint to ground.
        InputError, ShapeError: arguments that do not fit the motion.
    """
    check_order("ground_reaction(motion, model)", motion, model)
    backend = model if isinstance(model, OpenSimBackend) else OpenSimBackend(model)
    if not friction > 0:
        raise InputError(f"friction must be positive, got {friction:g}")
    return estimate(states_of(motion, backend, cutoff_hz=cutoff_hz), backend, contacts, floor_m, friction)


def estimate(
    motion: Trajectory, backend: OpenSimBackend, contacts: FloatArray | None, floor_m: float, friction: float
) -> GroundReaction:
    """Do :func:`ground_reaction` for a trajectory in the model's order."""
    if len(backend.base_coordinates) != 6:
        raise ModelError(
            f"the ground reaction needs a base with six coordinates, {backend.base_body!r} has {len(backend.base_coordinates)} "
            "(a planar model leaves forces undetermined). Give measured loads"
        )
    feet, poses = soles(motion, backend)
    weight_n = backend.mass_kg * float(np.linalg.norm(backend.gravity_m_s2))
    force, moment = backend.base_wrench(motion, backend.inverse_dynamics(motion))
    com = poses.com_m - np.array([0.0, floor_m, 0.0])
    moment = moment - np.cross(poses.com_m, force)
    if contacts is None:
        _check_floor(feet, force[:, 1].mean() / weight_n, floor_m)
        touching = _touching(feet, motion.time_s, floor_m)
    else:
        touching = _given(contacts, motion.time_s)
    touching[force[:, 1] < _FREE_FALL * weight_n] = 0.0
    below = feet.points_m.reshape(len(touching), -1, 3) * np.array([1.0, 0.0, 1.0])
    wrench = np.concatenate((force, moment), axis=1) / weight_n
    first = _distribute_all(wrench, below, com, touching, friction, None)
    wanted = _smooth_wrenches(first, below - com[:, None], motion.time_s)
    points_n = weight_n * (first if wanted is None else _distribute_all(wrench, below, com, touching, friction, wanted))
    return _collect(motion, feet, below, points_n, force, moment, com, touching, weight_n, floor_m)


def _check_floor(feet: FootOutlines, mean_force: float, floor_m: float) -> None:
    """Refuse a floor that the soles of a person with ground under the feet never reach, or are always under."""
    lowest_m = float(np.quantile(feet.points_m[..., 1].min(axis=(1, 2)), 0.05)) - floor_m
    if mean_force > 0.5 and abs(lowest_m) > _DEEPEST_SOLE_M + 0.02:
        place = "above" if lowest_m > 0 else "under"
        raise InputError(
            f"the soles stay {100 * abs(lowest_m):.0f} cm {place} the floor (y = {floor_m:g} m), yet something carries the "
            f"body. Give the height of the floor: floor_m={floor_m + lowest_m - 0.03:.2f} (--floor-m) would fit"
        )


def _touching(feet: FootOutlines, time_s: FloatArray, floor_m: float) -> FloatArray:
    """(T, 12) weight in 0..1 of each point of the soles, from its height and speed.

    While no point is low and slow, low ones count whatever their speed: a runner's foot lands fast.
    """
    points = feet.points_m.reshape(len(time_s), -1, 3)
    speed = np.linalg.norm(np.gradient(points, time_s, axis=0), axis=2)
    lowest = np.quantile(points[..., 1], 0.05, axis=0).reshape(2, -1).min(axis=0)  # a foot may be in the air all the time
    level = np.tile(np.clip(lowest, floor_m - _DEEPEST_SOLE_M, floor_m + _DEEPEST_SOLE_M), 2)
    low = 1 / (1 + np.exp(np.clip((points[..., 1] - level - _HEIGHT_M) / _HEIGHT_WIDTH_M, -50, 50)))
    slow = 1 / (1 + np.exp(np.clip((speed - _SPEED_M_S) / _SPEED_WIDTH_M_S, -50, 50)))
    sure = np.max(low * slow, axis=1, keepdims=True)
    return np.asarray(low * (slow + (1 - slow) * np.clip(1 - sure / _SURE, 0, 1)))


def _given(contacts: FloatArray, time_s: FloatArray) -> FloatArray:
    """(T, 12) weights from heel and toe probabilities, smoothed so that no share jumps."""
    contacts = np.asarray(contacts, dtype=np.float64)
    if contacts.shape != (len(time_s), 4):
        raise ShapeError(f"contacts must have shape ({len(time_s)}, 4): heel and toes, right then left; got {contacts.shape}")
    if not (np.all(contacts >= 0) and np.all(contacts <= 1)):
        raise InputError("contacts must be probabilities between 0 and 1, without NaN")
    half = max(1, round(0.5 * _CONTACT_SMOOTHING_S * (len(time_s) - 1) / (time_s[-1] - time_s[0])))
    window = np.hanning(2 * half + 1)[1:-1]
    padded = np.pad(contacts, ((half - 1, half - 1), (0, 0)), mode="edge")
    smooth = np.stack([np.convolve(column, window / window.sum(), mode="valid") for column in padded.T], axis=1)
    order = [part for foot in (0, 2) for part in [foot] * len(HEEL_POINTS) + [foot + 1] * len(TOE_POINTS)]
    return np.asarray(smooth[:, order])


def _distribute_all(
    wrench: FloatArray,
    below: FloatArray,
    com: FloatArray,
    touching: FloatArray,
    friction: float,
    wanted: FloatArray | None,
) -> FloatArray:
    """Forces (T, 12, 3) of all points in body weights."""
    result = np.zeros_like(below)
    for frame in range(len(below)):
        active = np.flatnonzero(touching[frame] > _NO_CONTACT)
        if len(active):
            feet = active // (below.shape[1] // 2)
            pull = None if wanted is None else (feet, wanted[frame])
            arms = below[frame, active] - com[frame]
            result[frame, active] = _distribute(wrench[frame], arms, com[frame, 1], touching[frame, active], friction, pull)
    return result


def _smooth_wrenches(points: FloatArray, arms: FloatArray, time_s: FloatArray) -> FloatArray | None:
    """Force and moment (T, 2, 6) of each foot about the centre of mass, smoothed in time; None: too few frames."""
    rate_hz = (len(time_s) - 1) / (time_s[-1] - time_s[0])
    if len(time_s) < _FEWEST_TO_SMOOTH:
        return None
    frames = len(time_s)
    both = np.concatenate((points, np.cross(arms, points)), axis=2).reshape(frames, 2, -1, 6).sum(axis=2)
    smooth = lowpass(both.reshape(frames, -1), rate_hz=rate_hz, cutoff_hz=min(_SMOOTH_HZ, 0.4 * rate_hz))
    return np.asarray(smooth.reshape(frames, 2, 6))


def _distribute(
    wrench: FloatArray,
    arms: FloatArray,
    com_height_m: float,
    touching: FloatArray,
    friction: float,
    pull: tuple[npt.NDArray[np.intp], FloatArray] | None,
) -> FloatArray:
    """Forces (P, 3) of the active points, all in body weights; the problem in the module's docstring."""
    from scipy.optimize import nnls

    edges = np.array([[friction, 1, 0], [-friction, 1, 0], [0, 1, friction], [0, 1, -friction]])
    count = len(arms)
    balance = np.zeros((6, count, 4))
    balance[:3] = edges.T[:, None, :]
    balance[3:] = np.cross(arms[:, None, :], edges[None, :, :]).transpose(2, 0, 1)
    share = np.diag(np.repeat(np.sqrt(_SHARE_WEIGHT) / touching, 4))
    lean = -arms[:, [0, 2]] / com_height_m
    sideways = edges[None, :, [0, 2]] - lean[:, None, :] * edges[None, :, 1:2]
    aim = np.zeros((2, count, count, 4))
    aim[:, np.arange(count), np.arange(count)] = np.sqrt(_AIM_WEIGHT) * sideways.transpose(2, 0, 1)
    rows = [balance.reshape(6, -1), share, aim.reshape(2 * count, -1)]
    target = [wrench, np.zeros(6 * count)]
    if pull is not None:
        feet, wanted = pull
        for foot in (0, 1):
            own = np.where((feet == foot)[None, :, None], balance, 0.0)
            rows.append(np.sqrt(_SMOOTH_WEIGHT) * own.reshape(6, -1))
            target.append(np.sqrt(_SMOOTH_WEIGHT) * wanted[foot])
    solution, _ = nnls(np.concatenate(rows), np.concatenate(target))
    return np.asarray(solution.reshape(count, 4) @ edges)


def _collect(
    motion: Trajectory,
    feet: FootOutlines,
    below: FloatArray,
    points_n: FloatArray,
    force: FloatArray,
    moment: FloatArray,
    com: FloatArray,
    touching: FloatArray,
    weight_n: float,
    floor_m: float,
) -> GroundReaction:
    """Sum the points of each foot to one force, its centre of pressure and its free moment."""
    frames = len(motion.time_s)
    below, points_n = below.reshape(frames, 2, -1, 3), points_n.reshape(frames, 2, -1, 3)
    per_foot = points_n.sum(axis=2)
    vertical = per_foot[..., 1]
    on = vertical > 0
    weights = points_n[..., 1] / np.where(on, vertical, 1.0)[..., None]
    pressure = np.where(on[..., None], np.sum(weights[..., None] * below, axis=2), feet.middle_m * [1.0, 0.0, 1.0])
    free = np.cross(below - pressure[:, :, None], points_n).sum(axis=2)[..., 1]
    explained = np.cross(below - com[:, None, None], points_n).sum(axis=(1, 2))
    on_floor = pressure + np.array([0.0, floor_m, 0.0])
    zero = np.zeros(frames)
    loads = tuple(
        ExternalForce(
            name=f"estimated_{body}",
            body=body,
            time_s=motion.time_s,
            force_n=per_foot[:, k],
            point_m=on_floor[:, k],
            torque_nm=np.stack([zero, free[:, k], zero], axis=1),
        )
        for k, body in enumerate(feet.bodies)
    )
    return GroundReaction(
        loads=ExternalLoads(forces=loads, source="estimated from motion"),
        time_s=motion.time_s,
        force_n=per_foot,
        center_of_pressure_m=on_floor,
        free_moment_nm=free,
        contact=touching.reshape(frames, 2, -1).max(axis=2),
        residual_force_n=force - per_foot.sum(axis=1),
        residual_moment_nm=moment - explained,
        body_weight_n=weight_n,
        com_height_m=float(com[:, 1].mean()),
    )


def _rms(vectors: FloatArray) -> float:
    return float(np.sqrt(np.mean(np.sum(vectors**2, axis=1))))

"""Ground reaction forces from motion alone.

The Newton-Euler equations of the whole body give one force and one moment per frame. They are distributed to the points
of the soles that touch the floor by a non-negative least squares per frame:

    minimize   |W - sum_i (f_i, (x_i - c) x f_i / 1 m)|^2          balance of the whole body
             + e sum_ik (s_ik / w_i)^2                              shares by the contact weight w_i of point i
             + h sum_i |f_i,horizontal - f_i,y (c - x_i) / c_y|^2   each foot's force points at the centre of mass
             + t sum_feet |foot wrench - smooth wrench|^2           second pass: smooth over time
    subject to f_i = sum_k s_ik g_k,  s_ik >= 0                     unilateral, inside a friction pyramid

with all forces in body weights. The first term dominates wherever the contacts can carry W; the others decide what
Newton's laws leave undetermined, the distribution between two feet. Forces act at points of the sole and never pull, so
the centre of pressure stays under the sole. The smooth wrench is the first pass's, low-passed without lag.
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
"""A point touches while it is less than 5 cm above its lowest level on either foot (feet of marker trials have errors of
1 to 3 cm); width of the logistic transition."""
_SPEED_M_S, _SPEED_WIDTH_M_S = 0.8, 0.2
"""A point touches while it is slower than 0.8 m/s (the heel lands with 0.3 to 0.9 m/s, a foot swings with 3 m/s and more);
width of the logistic transition."""
_MAX_EXPONENT = 50
"""Limit of the logistic function's argument; its value is 0 or 1 there."""
_LOWEST_QUANTILE = 0.05
"""Quantile over time that stands for the lowest level of a point: robust against single frames."""
_SURE = 0.5
"""Largest contact weight of a frame above which speed decides about all points."""
_DEEPEST_SOLE_M = 0.06
"""Largest distance of the foot bodies' origins from the ground under a shoe."""
_FLOOR_SLACK_M = 0.02
"""Further distance of the soles from the floor that is accepted."""
_SUGGESTED_SOLE_M = 0.03
"""Height of the soles over the floor that the error message suggests."""
_CARRIED = 0.5
"""Mean vertical force in body weights above which the floor must carry the body."""
_NO_CONTACT = 0.02
"""Contact weight below which a point carries no force."""
_FREE_FALL = 0.05
"""Share of body weight below which the whole body is in flight; force plates' threshold of contact, too."""
_SHARE_WEIGHT = 1e-3
"""e: keeps the balance within 0.2 % of body weight on walking data."""
_AIM_WEIGHT = 1e-2
"""h: halves the error of fore-aft forces in double support (37 to 20 N on the trial in docs/validation.md)."""
_SMOOTH_WEIGHT, _SMOOTH_HZ, _SMOOTH_MAX_SHARE = 0.1, 10.0, 0.4
"""t, and the cutoff of the first solution's low-pass, at most this share of the frame rate: halves the jumps of joint moments
when a foot lands or leaves."""
_MIN_FRAMES_TO_SMOOTH = 10
"""Shorter motions are not smoothed: the filter needs at least 8 frames."""
_CONTACT_SMOOTHING_S = 0.10
"""Width of the window that smooths contact probabilities given from outside: about one loading phase of walking."""
FRICTION = 0.8
"""Coefficient of friction of shoes on laboratory and sports floors: 0.6 to 1.0 (Chang et al., Ergonomics 44, 2001)."""


@dataclass(frozen=True, eq=False, kw_only=True)
class GroundReaction:
    """Estimated ground reaction and its residuals."""

    loads: ExternalLoads
    """One force per foot, acting on calcn_r and calcn_l."""
    time_s: FloatArray
    """(T,)."""
    force_n: FloatArray
    """(T, 2, 3) force of the floor on the right and the left foot, in ground."""
    center_of_pressure_m: FloatArray
    """(T, 2, 3) in ground; under the middle of an unloaded foot."""
    free_moment_nm: FloatArray
    """(T, 2) about the vertical axis."""
    contact: FloatArray
    """(T, 2) contact weight of each foot, 0 to 1."""
    residual_force_n: FloatArray
    """(T, 3) residual external force: what no floor contact explains."""
    residual_moment_nm: FloatArray
    """(T, 3) residual external moment about the centre of mass."""
    body_weight_n: float
    com_height_m: float
    """Mean height of the centre of mass over the floor."""

    @property
    def flight(self) -> BoolArray:
        """(T,) frames in which both feet are unloaded."""
        return np.asarray(self.force_n[..., 1].sum(axis=1) == 0.0)


def ground_reaction(
    motion: OsimMotion,
    model: Model | OpenSimBackend,
    *,
    cutoff_hz: float | None = 6.0,
    contacts: FloatArray | None = None,
    floor_m: float = 0.0,
    friction: float = FRICTION,
) -> GroundReaction:
    """Estimate the ground reaction of a motion without measured forces.

    Args:
        motion: in ground axes (y up), floor at ``floor_m``.
        model: subject, model document, ``.osim`` file or its bytes.
        cutoff_hz: low-pass filter of the coordinates; None: they are smooth already.
        contacts: (T, 4) contact probabilities of right heel, right toes, left heel, left toes, as the ground step gives
            them; None: from height and speed of the soles.
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
    """Estimate the ground reaction of a trajectory in the model's order, see :func:`ground_reaction`.

    Args:
        backend: the model.
        motion: filtered and differentiated.
        contacts: (T, 4) contact probabilities, or None.
        floor_m: height of the floor.
        friction: largest horizontal over vertical force.

    Returns:
        As :func:`ground_reaction`.

    Raises:
        ModelError: the model has no feet, or no base with six coordinates.
    """
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
        weights = _contact_weights(feet, motion.time_s, floor_m)
    else:
        weights = _weights_of(contacts, motion.time_s)
    weights[force[:, 1] < _FREE_FALL * weight_n] = 0.0
    floor_points = feet.points_m.reshape(len(weights), -1, 3) * np.array([1.0, 0.0, 1.0])
    wrench = np.concatenate((force, moment), axis=1) / weight_n
    first = _distribute_all(wrench, floor_points, com, weights, friction, None)
    smooth = _smooth_wrenches(first, floor_points - com[:, None], motion.time_s)
    points_n = weight_n * (first if smooth is None else _distribute_all(wrench, floor_points, com, weights, friction, smooth))
    return _collect(motion, feet, floor_points, points_n, force, moment, com, weights, weight_n, floor_m)


def _check_floor(feet: FootOutlines, mean_force: float, floor_m: float) -> None:
    """Refuse a floor that is far above or below the soles of a body which the floor carries."""
    lowest_m = float(np.quantile(feet.points_m[..., 1].min(axis=(1, 2)), _LOWEST_QUANTILE)) - floor_m
    if mean_force > _CARRIED and abs(lowest_m) > _DEEPEST_SOLE_M + _FLOOR_SLACK_M:
        place = "above" if lowest_m > 0 else "under"
        raise InputError(
            f"the soles stay {100 * abs(lowest_m):.0f} cm {place} the floor (y = {floor_m:g} m), but a floor carries the body. "
            f"Give the height of the floor: floor_m={floor_m + lowest_m - _SUGGESTED_SOLE_M:.2f} (--floor-m) would fit"
        )


def _contact_weights(feet: FootOutlines, time_s: FloatArray, floor_m: float) -> FloatArray:
    """(T, 12) weight in 0..1 of each point of the soles, from its height and speed.

    While no point is low and slow, low points count at any speed: a runner's foot lands fast.
    """
    points = feet.points_m.reshape(len(time_s), -1, 3)
    speed = np.linalg.norm(np.gradient(points, time_s, axis=0), axis=2)
    heights = np.quantile(points[..., 1], _LOWEST_QUANTILE, axis=0)
    lowest = heights.reshape(2, -1).min(axis=0)  # of both feet: one may be in the air all the time
    level = np.tile(np.clip(lowest, floor_m - _DEEPEST_SOLE_M, floor_m + _DEEPEST_SOLE_M), 2)
    low = _falling((points[..., 1] - level - _HEIGHT_M) / _HEIGHT_WIDTH_M)
    slow = _falling((speed - _SPEED_M_S) / _SPEED_WIDTH_M_S)
    sure = np.max(low * slow, axis=1, keepdims=True)
    return np.asarray(low * (slow + (1 - slow) * np.clip(1 - sure / _SURE, 0, 1)))


def _falling(x: FloatArray) -> FloatArray:
    """Logistic function that falls from 1 to 0."""
    return np.asarray(1 / (1 + np.exp(np.clip(x, -_MAX_EXPONENT, _MAX_EXPONENT))))


def _weights_of(contacts: FloatArray, time_s: FloatArray) -> FloatArray:
    """(T, 12) weights from heel and toe probabilities, smoothed over time."""
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
    floor_points: FloatArray,
    com: FloatArray,
    weights: FloatArray,
    friction: float,
    smooth: FloatArray | None,
) -> FloatArray:
    """Forces (T, 12, 3) of all points in body weights."""
    result = np.zeros_like(floor_points)
    for frame in range(len(floor_points)):
        active = np.flatnonzero(weights[frame] > _NO_CONTACT)
        if len(active):
            feet = active // (floor_points.shape[1] // 2)
            target = None if smooth is None else (feet, smooth[frame])
            arms = floor_points[frame, active] - com[frame]
            result[frame, active] = _distribute(wrench[frame], arms, com[frame, 1], weights[frame, active], friction, target)
    return result


def _smooth_wrenches(points: FloatArray, arms: FloatArray, time_s: FloatArray) -> FloatArray | None:
    """Force and moment (T, 2, 6) of each foot about the centre of mass, smoothed in time; None: too few frames."""
    rate_hz = (len(time_s) - 1) / (time_s[-1] - time_s[0])
    if len(time_s) < _MIN_FRAMES_TO_SMOOTH:
        return None
    frames = len(time_s)
    wrenches = np.concatenate((points, np.cross(arms, points)), axis=2).reshape(frames, 2, -1, 6).sum(axis=2)
    cutoff_hz = min(_SMOOTH_HZ, _SMOOTH_MAX_SHARE * rate_hz)
    smooth = lowpass(wrenches.reshape(frames, -1), rate_hz=rate_hz, cutoff_hz=cutoff_hz)
    return np.asarray(smooth.reshape(frames, 2, 6))


def _distribute(
    wrench: FloatArray,
    arms: FloatArray,
    com_height_m: float,
    weights: FloatArray,
    friction: float,
    smooth: tuple[npt.NDArray[np.intp], FloatArray] | None,
) -> FloatArray:
    """Forces (P, 3) of the active points, all in body weights; the problem in the module's docstring."""
    from scipy.optimize import nnls

    edges = np.array([[friction, 1, 0], [-friction, 1, 0], [0, 1, friction], [0, 1, -friction]])
    count = len(arms)
    balance = np.zeros((6, count, 4))
    balance[:3] = edges.T[:, None, :]
    balance[3:] = np.cross(arms[:, None, :], edges[None, :, :]).transpose(2, 0, 1)
    share = np.diag(np.repeat(np.sqrt(_SHARE_WEIGHT) / weights, 4))
    lean = -arms[:, [0, 2]] / com_height_m
    sideways = edges[None, :, [0, 2]] - lean[:, None, :] * edges[None, :, 1:2]
    aim = np.zeros((2, count, count, 4))
    aim[:, np.arange(count), np.arange(count)] = np.sqrt(_AIM_WEIGHT) * sideways.transpose(2, 0, 1)
    rows = [balance.reshape(6, -1), share, aim.reshape(2 * count, -1)]
    target = [wrench, np.zeros(6 * count)]
    if smooth is not None:
        feet, smooth_wrench = smooth
        for foot in (0, 1):
            own = np.where((feet == foot)[None, :, None], balance, 0.0)
            rows.append(np.sqrt(_SMOOTH_WEIGHT) * own.reshape(6, -1))
            target.append(np.sqrt(_SMOOTH_WEIGHT) * smooth_wrench[foot])
    solution, _ = nnls(np.concatenate(rows), np.concatenate(target))
    return np.asarray(solution.reshape(count, 4) @ edges)


def _collect(
    motion: Trajectory,
    feet: FootOutlines,
    floor_points: FloatArray,
    points_n: FloatArray,
    force: FloatArray,
    moment: FloatArray,
    com: FloatArray,
    contact: FloatArray,
    weight_n: float,
    floor_m: float,
) -> GroundReaction:
    """Sum the points of each foot to one force, its centre of pressure and its free moment."""
    frames = len(motion.time_s)
    points, points_n = floor_points.reshape(frames, 2, -1, 3), points_n.reshape(frames, 2, -1, 3)
    per_foot = points_n.sum(axis=2)
    vertical = per_foot[..., 1]
    on = vertical > 0
    weights = points_n[..., 1] / np.where(on, vertical, 1.0)[..., None]
    pressure = np.where(on[..., None], np.sum(weights[..., None] * points, axis=2), feet.middle_m * [1.0, 0.0, 1.0])
    free = np.cross(points - pressure[:, :, None], points_n).sum(axis=2)[..., 1]
    explained = np.cross(points - com[:, None, None], points_n).sum(axis=(1, 2))
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
        contact=contact.reshape(frames, 2, -1).max(axis=2),
        residual_force_n=force - per_foot.sum(axis=1),
        residual_moment_nm=moment - explained,
        body_weight_n=weight_n,
        com_height_m=float(com[:, 1].mean()),
    )

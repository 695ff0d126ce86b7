"""External loads: forces on bodies over time, checked against the motion and the body they act on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import increasing_time, readonly
from ..errors import InputError
from ..filtering import interpolate
from ..io.repairs import shown
from ..types import BoolArray, FloatArray

_LOG = logging.getLogger(__name__)
LOADED_SHARE = 0.05
"""A plate counts as loaded above this share of body weight: well above the noise of force plates (a few N)."""
_FARTHEST_M = 0.5
"""Largest distance of a centre of pressure from the origin of its body: a foot is shorter, more means a wrong unit or body."""
_FEET = ("calcn", "toes", "talus", "foot", "hindfoot", "forefoot")
_DEEPEST_M = 0.05
"""Largest depth of a point under the floor; covers of force plates are some mm thick."""
_BRIEF_S, _BRIEF_SHARE = 0.1, 0.2
"""A pull that lasts no longer, and no larger share of the loaded time, is no wrong sign: plates swing after a heel strike, and
filters overshoot (own choice; the shortest steps last 0.1 s, in sprints)."""
_MAX_LEVER_M = 1.0
"""Largest free moment, in body weight times this length: more means a wrong unit or reference point."""
_MAX_WEIGHTS = 20
"""Largest force in body weights: more means a wrong unit or mass (chosen well above jump landings)."""
_KN_WEIGHTS = (1e-4, 0.02)
"""Peak of a floor force in body weights that looks like kN: between 0.1 and 20 body weights / 1000."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ExternalForce:
    """One measured or estimated force with its point and free moment; SI units."""

    name: str
    body: str | None
    """Body it acts on; None: unknown, see :func:`hsmr_bio.dynamics.foot_outline.assign_to_feet`."""
    time_s: FloatArray
    """(S,) strictly increasing."""
    force_n: FloatArray
    """(S, 3) force that acts on the body."""
    point_m: FloatArray | None
    """(S, 3) point of application; None: the origin of ``body``."""
    torque_nm: FloatArray
    """(S, 3) free moment at the point."""
    force_frame: str = "ground"
    """Body in whose axes force and moment are given."""
    point_frame: str = "ground"
    """Body in whose frame the point is given."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "time_s", increasing_time(self.time_s))
        shape = (len(self.time_s), 3)
        for name in ("force_n", "point_m", "torque_nm"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, readonly(f"{name} of external force {self.name!r}", value, shape))


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """Assignment of a plate's force to a foot during one contact, with the distances that decided it."""

    force: str
    body: str
    start_s: float
    end_s: float
    distance_m: float
    """Mean distance from the centre of pressure to the middle of this foot."""
    other_distance_m: float | None
    """Mean distance from the centre of pressure to the middle of the other foot; None: the model has one foot."""

    def __str__(self) -> str:
        other = "" if self.other_distance_m is None else f", the other foot {100 * self.other_distance_m:.0f} cm"
        return (
            f"{shown(self.force)}: {self.body} from {self.start_s:.3f} to {self.end_s:.3f} s "
            f"({100 * self.distance_m:.0f} cm away{other})"
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class ExternalLoads:
    """All external forces of a motion except gravity."""

    forces: tuple[ExternalForce, ...]
    source: str = ""
    """File or method, for the report."""
    assignments: tuple[Assignment, ...] = ()
    """Assignments of forces without a body; empty if all bodies were given."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "forces", tuple(self.forces))
        names = [force.name for force in self.forces]
        if len(set(names)) != len(names):
            raise InputError(f"external forces must have different names, got {', '.join(names)}")

    def at(self, time_s: FloatArray) -> tuple[ExternalForce, ...]:
        """Interpolate all forces linearly at the times (T,), as OpenSim does.

        Raises:
            InputError: a force has no body, or does not cover the times.
        """
        sampled = []
        for force in self.forces:
            if force.body is None:
                raise InputError(f"external force {shown(force.name)!r} has no body: assign it (assign_to_feet) or name one")
            _covers(force, time_s)
            force_n, torque_nm = (interpolate(time_s, force.time_s, values) for values in (force.force_n, force.torque_nm))
            point_m = None if force.point_m is None else interpolate(time_s, force.time_s, force.point_m)
            sampled.append(replace(force, time_s=time_s, force_n=force_n, point_m=point_m, torque_nm=torque_nm))
        return tuple(sampled)


def loads_from_arrays(
    time_s: ArrayLike,
    forces_n: ArrayLike,
    points_m: ArrayLike,
    torques_nm: ArrayLike | None = None,
    *,
    bodies: Sequence[str | None] | None = None,
) -> ExternalLoads:
    """Make external loads from arrays in ground axes.

    Args:
        time_s: (S,).
        forces_n: (S, 3) of one plate, or (P, S, 3) of P plates.
        points_m: centres of pressure, same shape.
        torques_nm: free moments, same shape; None: none.
        bodies: P body names; None: the feet above the centres of pressure.

    Returns:
        Forces ``force_1``, ``force_2`` ... in the order of the arrays.

    Raises:
        ShapeError: shapes that do not fit, NaN.
        InputError: another number of bodies than of forces.
    """
    stacks = [np.asarray(a, dtype=np.float64) for a in (forces_n, points_m, torques_nm if torques_nm is not None else 0.0)]
    force, point, torque = (a[None] if a.ndim == 2 else a for a in stacks)
    torque = np.broadcast_to(torque, force.shape)
    names = tuple(bodies) if bodies is not None else (None,) * len(force)
    if len(names) != len(force) or len(point) != len(force):
        raise InputError(f"{len(force)} forces need as many points and bodies, got {len(point)} and {len(names)}")
    times = np.asarray(time_s, dtype=np.float64)
    forces = [
        ExternalForce(name=f"force_{k + 1}", body=body, time_s=times, force_n=force[k], point_m=point[k], torque_nm=torque[k])
        for k, body in enumerate(names)
    ]
    return ExternalLoads(forces=tuple(forces), source="arrays")


def check_ground_forces(
    loads: ExternalLoads, *, weight_n: float, time_s: FloatArray, origins_m: dict[str, FloatArray], floor_m: float = 0.0
) -> None:
    """Refuse loads with impossible units, signs, frames or bodies.

    Checked are forces in ground axes while they carry more than 5 % of body weight. Only forces on feet (bodies
    calcn, toes, talus, foot) and forces without a body must push up from the floor: a dumbbell may pull.

    Args:
        loads: assigned to bodies.
        weight_n: body weight.
        time_s: (T,) frames of the motion.
        origins_m: body name -> (T, 3) origin in ground.
        floor_m: height of the floor.

    Raises:
        InputError: kN instead of N, mm instead of m, N mm instead of N m, a force that pulls the body down, a point
            far below the floor, a point far from its body, times that do not cover the motion. The message names the
            force and the time.
    """
    for force in loads.forces:
        _covers(force, time_s)
        if force.force_frame != "ground" or force.point_frame != "ground":
            continue
        from_floor = force.body is None or force.body.lower().startswith(_FEET)
        _check_magnitude(force, weight_n, from_floor)
        on = loaded(force, weight_n)
        if not on.any():
            continue
        if from_floor:
            _check_sign(force, on, weight_n)
        if force.point_m is not None:
            _check_point(force, on, time_s, origins_m, floor_m if from_floor else -np.inf)
        lever_m = np.linalg.norm(force.torque_nm, axis=1) / max(weight_n, 1.0)
        if lever_m.max() > _MAX_LEVER_M:
            at_s = force.time_s[int(lever_m.argmax())]
            raise InputError(
                f"external force {shown(force.name)!r}: free moment of {lever_m.max() * weight_n:.0f} N m at {at_s:g} s is "
                f"more than body weight times {_MAX_LEVER_M:g} m. "
                "Is it in N mm, or taken about the plate's corner instead of the centre of pressure?"
            )


def loaded(force: ExternalForce, weight_n: float) -> BoolArray:
    """Find the samples in which a force is more than 5 % of body weight.

    Args:
        force: S samples.
        weight_n: body weight.

    Returns:
        (S,) True where it is.
    """
    return np.asarray(np.linalg.norm(force.force_n, axis=1) > LOADED_SHARE * weight_n)


def slack_s(time_s: FloatArray) -> float:
    """Time by which a motion may exceed its loads at each end: half a sample."""
    return float(0.5 * np.diff(time_s).mean()) if len(time_s) > 1 else 0.0


def _covers(force: ExternalForce, time_s: FloatArray) -> None:
    slack = slack_s(force.time_s)
    if time_s[0] < force.time_s[0] - slack or time_s[-1] > force.time_s[-1] + slack:
        raise InputError(
            f"external force {shown(force.name)!r} covers {force.time_s[0]:g} to {force.time_s[-1]:g} s, but the motion "
            f"lasts from {time_s[0]:g} to {time_s[-1]:g} s. "
            "Choose the time with --start and --end, or bring both to the same clock"
        )


def _check_magnitude(force: ExternalForce, weight_n: float, from_floor: bool) -> None:
    size = np.linalg.norm(force.force_n, axis=1)
    peak, at_s = float(size.max()), float(force.time_s[int(size.argmax())])
    if peak > _MAX_WEIGHTS * weight_n:
        raise InputError(
            f"external force {shown(force.name)!r} reaches {peak:.3g} N at {at_s:g} s, {peak / weight_n:.0f} times body "
            f"weight ({weight_n:.0f} N). Check its unit (N is expected) and the mass of the model"
        )
    if from_floor and _KN_WEIGHTS[0] < peak / weight_n < _KN_WEIGHTS[1]:
        raise InputError(
            f"external force {shown(force.name)!r} reaches only {peak:.3g} N, {peak / weight_n:.1g} of body weight "
            f"({weight_n:.0f} N): it looks like kN. Multiply it by 1000, N is expected"
        )


def _check_sign(force: ExternalForce, on: BoolArray, weight_n: float) -> None:
    """Refuse a force that pulls the body down; a brief pull is the swing of a plate after a step or its filter, and is said."""
    vertical = np.where(on, force.force_n[:, 1], 0.0)
    pulls = vertical < -LOADED_SHARE * weight_n
    if not pulls.any():
        return
    at_s, most_n = force.time_s[int(vertical.argmin())], -vertical.min()
    step_s = 2 * slack_s(force.time_s)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], pulls, [False])).astype(int)))
    longest_s = step_s * float((edges[1::2] - edges[::2]).max())
    if longest_s <= _BRIEF_S and pulls.sum() <= _BRIEF_SHARE * on.sum():
        _LOG.warning(
            "external force %r pulls the body down with up to %.0f N at %g s, for %.2f s in all: kept as it is",
            *(shown(force.name), most_n, at_s, step_s * float(pulls.sum())),
        )
        return
    raise InputError(
        f"external force {shown(force.name)!r} pulls the body down with {most_n:.0f} N at {at_s:g} s. The floor pushes "
        "up (+y): give the force that acts on the body, in OpenSim's axes (x forward, y up, z right)"
    )


def _check_point(
    force: ExternalForce, on: BoolArray, time_s: FloatArray, origins_m: dict[str, FloatArray], floor_m: float
) -> None:
    point = np.asarray(force.point_m)
    during = on & (force.time_s >= time_s[0]) & (force.time_s <= time_s[-1])
    if not during.any():
        return
    if force.body in origins_m:
        body = interpolate(force.time_s, time_s, origins_m[force.body])
        distance = float(np.median(np.linalg.norm(point - body, axis=1)[during]))
        if distance > _FARTHEST_M:
            raise InputError(
                f"external force {shown(force.name)!r} acts {distance:.3g} m away from {force.body!r}, its body "
                "(median while loaded). Check the unit of the point (m is expected), its axes (y up) and the body"
            )
    height = np.where(during, point[:, 1] - floor_m, 0.0)
    if height.min() < -_DEEPEST_M:
        at_s = force.time_s[int(height.argmin())]
        raise InputError(
            f"external force {shown(force.name)!r} acts {-100 * height.min():.0f} cm below the floor (y = {floor_m:g} m) "
            f"at {at_s:g} s. Check the axes (y up) and the origin of the plate's frame"
        )

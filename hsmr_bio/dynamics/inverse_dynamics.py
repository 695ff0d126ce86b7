"""Joint moments of a motion: filter, differentiate, apply the external loads, solve."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..errors import InputError
from ..osim.library import Model
from ..types import FloatArray, GeneralizedForces, OsimMotion
from .foot_outline import assign_to_feet, feet_of
from .ground_reaction import FRICTION, GroundReaction, estimate
from .load_files import read_loads
from .loads import ExternalForce, ExternalLoads, check_ground_forces, slack_s
from .opensim_backend import OpenSimBackend
from .states import check_order, read_motion, states_of
from .trajectory import Trajectory

if TYPE_CHECKING:
    import pandas as pd

Engine = Literal["opensim", "nimble"]
_LOG = logging.getLogger(__name__)
_SAME_TIME_S = 1e-6
"""Times in files are rounded."""
_LEAST_FRAMES = 2
"""Frames that a result has at least."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Residuals:
    """Residual external force and moment on the base of the model (the pelvis); zero if model, motion and loads agree."""

    force_n: FloatArray
    """(T, 3) in ground."""
    moment_nm: FloatArray
    """(T, 3) in ground, about the centre of mass of the whole body."""
    peak_load_n: float
    """Largest net external force, at least body weight."""
    body_weight_n: float
    com_height_m: float
    """Mean height of the centre of mass over the floor."""

    time_s: FloatArray
    """(T,)."""

    @property
    def worst_time_s(self) -> float:
        """Time of the largest residual force."""
        return float(self.time_s[int(np.linalg.norm(self.force_n, axis=1).argmax())])

    @property
    def force_share(self) -> float:
        """Peak residual force over peak external force."""
        return float(np.linalg.norm(self.force_n, axis=1).max() / self.peak_load_n)

    @property
    def moment_share(self) -> float:
        """Peak residual moment over peak external force times height of the centre of mass."""
        return float(np.linalg.norm(self.moment_nm, axis=1).max() / (self.peak_load_n * self.com_height_m))

    @property
    def force_rms_bw(self) -> float:
        """RMS residual force in body weights."""
        return float(np.sqrt(np.mean(np.sum(self.force_n**2, axis=1))) / self.body_weight_n)

    @property
    def moment_rms_bw_h(self) -> float:
        """RMS residual moment in body weights times height of the centre of mass."""
        return float(np.sqrt(np.mean(np.sum(self.moment_nm**2, axis=1))) / (self.body_weight_n * self.com_height_m))


@dataclass(frozen=True, eq=False, kw_only=True)
class InverseDynamics(GeneralizedForces):
    """Generalized forces with the motion they belong to."""

    trajectory: Trajectory
    """Filtered coordinates, speeds and accelerations, columns as in ``coordinates``."""
    mass_kg: float
    base_coordinates: tuple[str, ...]
    """Coordinates between ground and the base body; their forces are the residuals."""
    loads: ExternalLoads | None
    """Applied external forces, with their assignment to bodies; None: none."""
    ground: GroundReaction | None
    """The estimated ground reaction, if it was estimated."""
    residuals: Residuals | None
    """None without external loads, where the base carries the whole body, and for a model that is welded to ground."""
    engine: Engine
    cutoff_hz: float | None
    """Cutoff of the coordinates' low-pass filter; None: not filtered."""

    @property
    def power_w(self) -> FloatArray:
        """(T, N) power of each generalized force, W; positive: work is done on the body."""
        return np.asarray(self.values_si * self.trajectory.u_si)

    def work_j(self) -> Mapping[str, tuple[float, float]]:
        """Positive and negative work of each joint coordinate over the motion, J (trapezoidal rule)."""
        power = self.power_w
        signs = (np.clip(power, 0, None), np.clip(power, None, 0))
        parts = [np.asarray(np.trapezoid(part, self.time_s, axis=0)) for part in signs]
        joints = [k for k, name in enumerate(self.coordinates) if name not in self.base_coordinates]
        return {self.coordinates[k]: (float(parts[0][k]), float(parts[1][k])) for k in joints}

    def per_kg(self) -> GeneralizedForces:
        """Divide all generalized forces by the body's mass: N m/kg and N/kg."""
        return GeneralizedForces(
            time_s=self.time_s,
            coordinates=self.coordinates,
            values_si=self.values_si / self.mass_kg,
            rotational=self.rotational,
        )

    def to_frame(self, *, per_kg: bool = False, powers: bool = False) -> pd.DataFrame:
        """Give the forces as a table.

        Args:
            per_kg: divide all values by the body's mass; the names then end in ``_per_kg``.
            powers: add N columns ``<coordinate>_power_w``.

        Returns:
            As :meth:`GeneralizedForces.to_frame`.
        """
        frame = super().to_frame()
        if powers:
            frame[[f"{name}_power_w" for name in self.coordinates]] = self.power_w
        return (frame / self.mass_kg).add_suffix("_per_kg") if per_kg else frame


def inverse_dynamics(
    motion: OsimMotion | str | os.PathLike[str],
    model: Model | OpenSimBackend,
    loads: ExternalLoads | GroundReaction | Literal["estimate"] | str | os.PathLike[str] | None = None,
    *,
    cutoff_hz: float | None = 6.0,
    backend: Engine = "opensim",
    contacts: FloatArray | None = None,
    floor_m: float = 0.0,
    friction: float = FRICTION,
    start_s: float | None = None,
    end_s: float | None = None,
) -> InverseDynamics:
    """Compute the net generalized forces of a motion.

    Muscles and all other internal forces of the model are removed: the result is what they must produce together.

    Args:
        motion: coordinates, or a ``.mot`` file.
        model: subject, model document, ``.osim`` file or its bytes.
        loads: external forces: values, a file (see :func:`read_loads`), ``"estimate"`` for the ground reaction that
            the motion implies, or None for none (then the base carries the whole body). Forces without a body go to
            the foot above their centre of pressure.
        cutoff_hz: zero-lag low-pass filter of the coordinates, OpenSim's; None: the motion is smooth already. The
            loads are not filtered.
        backend: ``"opensim"``, or ``"nimble"`` (independent engine, BSM models only).
        contacts: (T, 4) contact probabilities for ``loads="estimate"``.
        floor_m: height of the floor.
        friction: coefficient for ``loads="estimate"``.
        start_s: first time of the result; None: the first that motion and loads have in common.
        end_s: last time of the result; None: the last that they have in common.

    Returns:
        Forces at the frames of the motion within these times, in the model's order of coordinates. The whole motion is
        filtered and differentiated, then cut.

    Raises:
        ModelError: a model, coordinate or body that cannot be used.
        InputError: motion and model, or motion and loads, do not match.
    """
    check_order("inverse_dynamics(motion, model, loads)", motion, model)
    dynamics = model if isinstance(model, OpenSimBackend) else OpenSimBackend(model)
    given = motion if isinstance(motion, OsimMotion) else read_motion(motion, dynamics)
    states = states_of(given, dynamics, cutoff_hz=cutoff_hz)
    if loads is None or isinstance(loads, (ExternalLoads, GroundReaction)) or loads == "estimate":
        read = loads
    else:
        read = read_loads(loads)
    frames = _frames(states.time_s, read.forces if isinstance(read, ExternalLoads) else (), start_s, end_s)
    states = states.cut(frames)
    ground: GroundReaction | None = None
    if isinstance(read, str):
        ground = estimate(states, dynamics, None if contacts is None else contacts[frames], floor_m, friction)
    elif isinstance(read, GroundReaction):
        ground = read
    applied = read if isinstance(read, ExternalLoads) else None if ground is None else ground.loads
    if applied is not None and ground is None:
        applied = _assigned(states, dynamics, applied, floor_m)
    wrenches = applied.at(states.time_s) if applied is not None else ()
    if backend == "nimble":
        from .nimble_backend import NimbleBackend

        values = NimbleBackend(dynamics.model).inverse_dynamics(states, wrenches)
    elif backend == "opensim":
        values = dynamics.inverse_dynamics(states, wrenches)
    else:
        raise InputError(f"backend must be 'opensim' or 'nimble', got {backend!r}")
    return InverseDynamics(
        time_s=states.time_s,
        coordinates=dynamics.coordinates,
        values_si=values,
        rotational=dynamics.rotational,
        trajectory=states,
        mass_kg=dynamics.mass_kg,
        base_coordinates=dynamics.base_coordinates,
        loads=applied,
        ground=ground,
        residuals=None
        if applied is None or not dynamics.base_coordinates
        else _residuals(states, dynamics, values, applied, floor_m),
        engine=backend,
        cutoff_hz=cutoff_hz,
    )


def _frames(time_s: FloatArray, forces: Sequence[ExternalForce], start_s: float | None, end_s: float | None) -> slice:
    """Frames within the asked times; where nothing is asked, within those of all forces."""
    given = [force.time_s for force in forces]
    begin_s, stop_s = max((t[0] for t in given), default=-np.inf), min((t[-1] for t in given), default=np.inf)
    slack = min((slack_s(t) for t in given), default=0.0)
    covered = begin_s - slack, stop_s + slack
    low, high = (asked if asked is not None else end for asked, end in zip((start_s, end_s), covered, strict=True))
    inside = np.flatnonzero((time_s >= low - _SAME_TIME_S) & (time_s <= high + _SAME_TIME_S))
    if len(inside) < _LEAST_FRAMES:
        loads = f"the loads from {begin_s:g} to {stop_s:g} s, " if given else ""
        asked = f"asked is {low:g} to {high:g} s: " if start_s is not None or end_s is not None else ""
        raise InputError(
            f"the motion lasts from {time_s[0]:g} to {time_s[-1]:g} s, {loads}{asked}no time in common. "
            "Choose --start and --end, or bring both to the same clock"
        )
    first, last = int(inside[0]), int(inside[-1])
    if len(inside) < len(time_s) and start_s is None and end_s is None:
        _LOG.warning(
            "the motion lasts from %g to %g s, solved is %g to %g s, the time that it has in common with the loads",
            *(time_s[0], time_s[-1], time_s[first], time_s[last]),
        )
    return slice(first, last + 1)


def _assigned(motion: Trajectory, backend: OpenSimBackend, loads: ExternalLoads, floor_m: float) -> ExternalLoads:
    weight_n = backend.mass_kg * float(np.linalg.norm(backend.gravity_m_s2))
    names: tuple[str, ...] = tuple({force.body for force in loads.forces if force.body is not None})
    poses = backend.poses(motion, names)
    origins = {name: poses.origins_m[:, k] for k, name in enumerate(names)}
    check_ground_forces(loads, weight_n=weight_n, time_s=motion.time_s, origins_m=origins, floor_m=floor_m)
    if all(force.body is not None for force in loads.forces):
        return loads
    return assign_to_feet(loads, feet_of(motion, backend), motion.time_s, weight_n=weight_n)


def _residuals(
    motion: Trajectory, backend: OpenSimBackend, values: FloatArray, loads: ExternalLoads, floor_m: float
) -> Residuals:
    force, moment = backend.base_wrench(motion, values)
    com = backend.poses(motion, ()).com_m
    weight_n = backend.mass_kg * float(np.linalg.norm(backend.gravity_m_s2))
    net = sum((load.force_n for load in loads.at(motion.time_s)), np.zeros((len(motion.time_s), 3)))
    return Residuals(
        force_n=force,
        moment_nm=moment - np.cross(com, force),
        peak_load_n=max(float(np.linalg.norm(net, axis=1).max()), weight_n),
        body_weight_n=weight_n,
        com_height_m=float(com[:, 1].mean() - floor_m),
        time_s=motion.time_s,
    )

"""Outlines of the soles of an OpenSim model, and the assignment of force plates to feet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import InputError, ModelError
from ..filtering import interpolate
from ..types import FloatArray
from .loads import Assignment, ExternalForce, ExternalLoads, loaded
from .opensim_backend import OpenSimBackend, Poses
from .trajectory import Trajectory

SIDES = ("r", "l")
FOOT = ("calcn", "toes")
_OUTLINE = (
    # body, forward, outward: in lengths from heel (origin of calcn) to the ball of the foot (origin of toes)
    ("calcn", -0.10, -0.15),
    ("calcn", -0.10, 0.15),
    ("calcn", 0.80, -0.18),
    ("calcn", 0.72, 0.30),
    ("toes", 0.37, -0.12),
    ("toes", 0.30, 0.18),
)
"""Outline of the sole as a polygon. The foot is 1.47 of the heel-to-ball length long and 0.48 wide at the ball:
0.28 m and 0.09 m at a length of 0.19 m, within the range of Gordon et al. 2014 (ANSUR II: foot length 0.25-0.27 m,
breadth 0.09-0.10 m, plus the shoe)."""
HEEL_POINTS, TOE_POINTS = (0, 1), (2, 3, 4, 5)
"""Rows of the outline."""
_FORWARD_SHARE = 0.8
"""Cosine of the angle between the x axis of calcn and the line to the ball of the foot: below 37 degrees; gait models have
1 to 10 degrees."""
_AMBIGUOUS_M = 0.05
"""Feet whose distances to a centre of pressure differ by less than half a foot's width cannot be distinguished."""
_TOO_FAR_M = 0.30
"""A centre of pressure farther than a foot's length from the nearer foot belongs to neither."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Feet:
    """Feet over time."""

    bodies: tuple[str, ...]
    """Bodies that carry the load: calcn_r, calcn_l, or one of them."""
    middle_m: FloatArray
    """(T, F, 3) middle of each foot, between heel and ball; in ground."""


@dataclass(frozen=True, eq=False, kw_only=True)
class FootOutlines(Feet):
    """Points of both soles over time."""

    points_m: FloatArray
    """(T, 2, 6, 3) right and left foot; two heel points, four of ball and toes; in ground."""


def feet_of(motion: Trajectory, backend: OpenSimBackend) -> Feet:
    """Follow the feet of a model; one leg, or feet without toes, are enough.

    Args:
        motion: in the model's order.
        backend: the model.

    Returns:
        The feet that the model has.

    Raises:
        ModelError: the model has neither calcn_r nor calcn_l, or its feet point elsewhere.
    """
    names = [f"calcn_{side}" for side in SIDES if f"calcn_{side}" in backend.body_masses_kg]
    toes = [name.replace("calcn", "toes") for name in names]
    if not names or (len(names) == len(SIDES) and all(toe in backend.body_masses_kg for toe in toes)):
        return soles(motion, backend)[0]
    ends = [toe if toe in backend.body_masses_kg else name for name, toe in zip(names, toes, strict=True)]
    heels, balls = (backend.poses(motion, chosen).origins_m for chosen in (names, ends))
    return Feet(bodies=tuple(names), middle_m=0.5 * (heels + balls))


def soles(motion: Trajectory, backend: OpenSimBackend) -> tuple[FootOutlines, Poses]:
    """Follow the soles of a model with OpenSim's usual feet (bodies calcn and toes, x forward, z right).

    Args:
        motion: in the model's order.
        backend: the model.

    Returns:
        The soles, and the poses of the four bodies with the centre of mass.

    Raises:
        ModelError: the model has no calcn_r, toes_r, calcn_l or toes_l.
    """
    names = [f"{part}_{side}" for side in SIDES for part in FOOT]
    missing = [name for name in names if name not in backend.body_masses_kg]
    if missing:
        raise ModelError(
            f"the model has no body {missing[0]!r}; feet are expected as calcn_r, toes_r, calcn_l, toes_l. "
            "Give the loads with their bodies instead (ExternalLoads .xml)"
        )
    poses = backend.poses(motion, names)
    points, middles = [], []
    for k, side in enumerate(SIDES):
        calcn, toes = 2 * k, 2 * k + 1
        to_ball = np.einsum("tji,tj->ti", poses.rotations[:, calcn], poses.origins_m[:, toes] - poses.origins_m[:, calcn])
        length = float(np.median(np.linalg.norm(to_ball, axis=1)))
        if not np.median(to_ball[:, 0]) > _FORWARD_SHARE * length:
            raise ModelError(
                f"the x axis of {names[calcn]!r} must point to {names[toes]!r}, as in OpenSim's gait models (y up, z right); "
                "in this model it does not. Give measured loads with their bodies (ExternalLoads .xml)"
            )
        outward = 1.0 if side == "r" else -1.0
        outline = []
        for part, forward, out in _OUTLINE:
            b = calcn if part == "calcn" else toes
            local = length * np.array([forward, 0.0, outward * out])
            outline.append(poses.origins_m[:, b] + poses.rotations[:, b] @ local)
        points.append(np.stack(outline, axis=1))
        middles.append(0.5 * (poses.origins_m[:, calcn] + poses.origins_m[:, toes]))
    found = FootOutlines(bodies=("calcn_r", "calcn_l"), points_m=np.stack(points, axis=1), middle_m=np.stack(middles, axis=1))
    return found, poses


def assign_to_feet(loads: ExternalLoads, feet: Feet, time_s: FloatArray, *, weight_n: float) -> ExternalLoads:
    """Assign each force without a body to the foot above its centre of pressure, contact by contact.

    A plate that one foot leaves and the other one enters becomes two forces.

    Args:
        loads: forces that have a body already keep it.
        feet: at ``time_s``.
        time_s: (T,) frames of the motion.
        weight_n: body weight; 5 % of it is the threshold of a contact.

    Returns:
        Loads with a body for every force; ``assignments`` lists foot and distances per contact.

    Raises:
        InputError: during a contact both feet are equally near, or neither is near; or no force is loaded.
    """
    forces: list[ExternalForce] = []
    assignments: list[Assignment] = []
    for force in loads.forces:
        if force.body is not None:
            forces.append(force)
            continue
        if force.point_m is None:
            raise InputError(f"external force {force.name!r} has neither a body nor a point: name its body")
        foot = np.full(len(force.time_s), -1)
        for first, last in _contacts(force, time_s, weight_n):
            foot[first : last + 1], assignment = _nearest(force, first, last, feet, time_s)
            assignments.append(assignment)
        forces.extend(_split(force, foot, feet.bodies))
    if not forces:
        raise InputError(
            f"no external force of {loads.source or 'the loads'} carries more than 5 % of body weight ({weight_n:.0f} N) while "
            f"the motion lasts ({time_s[0]:g} to {time_s[-1]:g} s): is it the right trial? A motion in the air needs no loads"
        )
    return replace(loads, forces=tuple(forces), assignments=tuple(assignments))


def _contacts(force: ExternalForce, time_s: FloatArray, weight_n: float) -> Sequence[tuple[int, int]]:
    """First and last sample of each loaded stretch within the motion."""
    inside = (force.time_s >= time_s[0]) & (force.time_s <= time_s[-1])
    on = np.concatenate(([False], loaded(force, weight_n) & inside, [False]))
    edges = np.flatnonzero(np.diff(on.astype(int)))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _nearest(force: ExternalForce, first: int, last: int, feet: Feet, time_s: FloatArray) -> tuple[int, Assignment]:
    """Index of the foot nearest to the centre of pressure from sample ``first`` to ``last``, and its assignment."""
    rows = slice(first, last + 1)
    distances = []
    for k in range(len(feet.bodies)):
        middle = interpolate(force.time_s[rows], time_s, feet.middle_m[:, k, [0, 2]])
        gap = np.asarray(force.point_m)[rows][:, [0, 2]] - middle
        size = np.linalg.norm(force.force_n[rows], axis=1)
        distances.append(float(np.average(np.linalg.norm(gap, axis=1), weights=size)))
    near = int(np.argmin(distances))
    assignment = Assignment(
        force=force.name,
        body=feet.bodies[near],
        start_s=float(force.time_s[first]),
        end_s=float(force.time_s[last]),
        distance_m=distances[near],
        other_distance_m=distances[1 - near] if len(distances) > 1 else None,
    )
    if distances[near] > _TOO_FAR_M:
        raise InputError(
            f"{assignment}: no foot is near. Check that forces and motion share one frame (x forward, y up, z right), unit (m) "
            "and clock, or name the body in an ExternalLoads .xml"
        )
    if len(distances) > 1 and distances[1 - near] - distances[near] < _AMBIGUOUS_M:
        raise InputError(f"{assignment}: both feet are equally near. Name the body in an ExternalLoads .xml")
    return near, assignment


def _split(force: ExternalForce, foot: FloatArray, bodies: Sequence[str]) -> list[ExternalForce]:
    """One force per foot; samples between contacts belong to the contact that is nearest in time."""
    known = np.flatnonzero(foot >= 0)
    if len(known) == 0:
        return []
    index = np.arange(len(foot))
    position = np.searchsorted(known, index).clip(0, len(known) - 1)
    before, after = known[np.maximum(position - 1, 0)], known[position]
    filled = foot[np.where(np.abs(index - before) <= np.abs(after - index), before, after)]
    parts = []
    used = [k for k in range(len(bodies)) if np.any(filled == k)]
    for k in used:
        on_foot = (filled == k)[:, None]
        name = force.name if len(used) == 1 else f"{force.name}_{bodies[k].rsplit('_', 1)[-1]}"
        parts.append(
            replace(
                force,
                name=name,
                body=bodies[k],
                force_n=np.where(on_foot, force.force_n, 0.0),
                torque_nm=np.where(on_foot, force.torque_nm, 0.0),
            )
        )
    return parts

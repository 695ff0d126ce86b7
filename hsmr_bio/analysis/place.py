"""From an OpenSim motion and its model to a movement: joint centres, centre of mass, angles with clinical signs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..arrays import FloatArray
from ..errors import ModelError
from ..types import OsimMotion
from .movement import SIDES, Movement

if TYPE_CHECKING:
    from ..kinematics.tree import Tree
    from ..osim.document import OsimDocument

_BODIES = {
    "hip": ("femur",),
    "knee": ("tibia",),
    "ankle": ("talus",),
    "heel": ("calcn",),
    "toe": ("toes",),
    "shoulder": ("humerus",),
    "elbow": ("ulna",),
    "wrist": ("hand", "radius"),
}
"""Point -> bodies whose origin it is, the first one that the model has; OpenSim's common names."""
_ANGLES = {
    "hip_flexion": ("hip_flexion",),
    "hip_adduction": ("hip_adduction",),
    "hip_rotation": ("hip_rotation",),
    "knee_flexion": ("knee_angle", "knee_flexion"),
    "ankle_dorsiflexion": ("ankle_angle", "ankle_flexion"),
    "elbow_flexion": ("elbow_flexion", "elbow_flex"),
}
"""Clinical angle -> coordinates of common models that hold it, without the side."""
_TRUNK = {
    "pelvis_tilt": ("pelvis_tilt",),
    "pelvis_list": ("pelvis_list",),
    "pelvis_rotation": ("pelvis_rotation",),
    "lumbar_extension": ("lumbar_extension",),
    "lumbar_bending": ("lumbar_bending",),
    "lumbar_rotation": ("lumbar_rotation", "lumbar_twist"),
}
_PROBE_RAD = 0.1
"""Change of a coordinate that shows the sign of its angle."""
_TOGETHER = 1024
"""Frames whose Jacobians are computed at once: it bounds the memory."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Placed:
    """A movement with what is needed to move it by errors of its coordinates."""

    movement: Movement
    jacobian: FloatArray | None = None
    """(T, P, 3, N) change of each of the movement's points by each coordinate, m/rad or 1; None: not asked for."""
    coordinates: tuple[str, ...] = ()
    """N coordinates of the model."""
    sd_si: FloatArray | None = None
    """(T, N) deviations of the coordinates, or None."""
    angle_columns: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    """Angle of the movement -> coordinate and sign."""
    mass_kg: float = 0.0
    """0: unknown."""


def place(motion: OsimMotion, document: OsimDocument) -> Placed:
    """Place the points of a motion in ground and give its angles clinical signs.

    Flexion of hip, knee and elbow, adduction of the hip, dorsiflexion of the ankle and anterior tilt of the pelvis are positive
    whatever the signs of the model; the sign is found by moving the coordinate. Rotation of the hip, list and rotation of the
    pelvis, the lumbar angles and all others keep the model's sign; the others keep its names, too.

    Args:
        motion: coordinates of the model; missing ones keep their default.
        document: the model, with OpenSim's common names of bodies (femur_r, tibia_r, talus_r, calcn_r, toes_r ...).

    Returns:
        The movement; with the motion's deviations and the Jacobians of the points, if it has deviations.

    Raises:
        ModelError: the model has no legs with these names.
        UnknownCoordinateError: the motion has a coordinate that the model has not.
    """
    tree = document.tree()
    bodies = _point_bodies(tree)
    values = model_values(motion, document)
    deviations = np.zeros_like(values)
    if motion.sd_si is not None:
        deviations[:, [tree.index(name) for name in motion.coordinates]] = motion.sd_si
    with_errors = motion.sd_si is not None and bool(np.any(deviations > 0))
    parts = list(_points(tree, document, bodies, values, jacobians=with_errors))
    points = np.concatenate([part[0] for part in parts])
    names = [*bodies, "com"]
    named = _angle_coordinates(motion.coordinates)
    columns = {name: (tree.index(coordinate), _sign(name, coordinate, tree, document)) for name, coordinate in named.items()}
    for name in motion.coordinates:
        if document.coordinates[name].rotational and name not in (*named.values(), *document.dependent):
            columns[name] = tree.index(name), 1.0
    movement = Movement(
        time_s=motion.time_s,
        points_m={name: points[:, k] for k, name in enumerate(names)},
        angles_rad={name: sign * values[:, column] for name, (column, sign) in columns.items()},
    )
    return Placed(
        movement=movement,
        jacobian=np.concatenate([part[1] for part in parts]) if with_errors else None,
        coordinates=tree.coordinates,
        sd_si=deviations if with_errors else None,
        angle_columns=columns,
        mass_kg=document.mass_kg,
    )


def model_values(motion: OsimMotion, document: OsimDocument) -> FloatArray:
    """Bring a motion into the order of its model.

    Args:
        motion: coordinates of the model; missing ones keep their default or follow their coupling.
        document: the model.

    Returns:
        (T, N) values of all coordinates, rad or m.

    Raises:
        UnknownCoordinateError: the motion has a coordinate that the model has not.
    """
    names = list(document.coordinates)
    values = np.tile(document.default_si, (len(motion.time_s), 1))
    for column, name in enumerate(motion.coordinates):
        document.coordinate(name)
        values[:, names.index(name)] = motion.values_si[:, column]
    return document.couple(values)


def _point_bodies(tree: Tree) -> dict[str, int]:
    """Point -> row of its body."""
    found: dict[str, int] = {}
    for point, names in _BODIES.items():
        for side in SIDES:
            body = next((f"{name}_{side}" for name in names if f"{name}_{side}" in tree.bodies), None)
            if body is not None:
                found[f"{point}_{side}"] = tree.bodies.index(body)
    lacking = [
        f"{_BODIES[n][0]}_{s}" for n in ("hip", "knee", "ankle", "heel", "toe") for s in SIDES if f"{n}_{s}" not in found
    ]
    if lacking:
        raise ModelError(
            f"the model has no body {lacking[0]!r}; an analysis needs legs with OpenSim's common names: "
            "femur_r, tibia_r, talus_r, calcn_r, toes_r and the same with _l"
        )
    return found


def _points(
    tree: Tree, document: OsimDocument, bodies: Mapping[str, int], values: FloatArray, *, jacobians: bool
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Points (t, P, 3) and Jacobians (t, P, 3, N) of blocks of frames; the last point is the centre of mass."""
    import torch

    masses = np.array([document.bodies[name].mass_kg for name in tree.bodies])
    share = masses / max(float(masses.sum()), 1e-12)
    centres = [document.bodies[name].com_m for name in tree.bodies]
    rows = [*bodies.values(), *range(len(tree.bodies))]
    local = torch.as_tensor(np.array([*np.zeros((len(bodies), 3)), *np.asarray(centres)]), dtype=tree.dtype)
    for first in range(0, len(values), _TOGETHER):
        pose = tree.forward(values[first : first + _TOGETHER])
        points = pose.points(rows, local)
        moved = pose.point_jacobian(points, rows).numpy() if jacobians else np.zeros((len(points), len(rows), 3, 0))
        yield tuple(  # type: ignore[misc]
            np.concatenate([part[:, : len(bodies)], np.einsum("b,tb...->t...", share, part[:, len(bodies) :])[:, None]], axis=1)
            for part in (points.numpy(), moved)
        )


def _angle_coordinates(names: Sequence[str]) -> dict[str, str]:
    """Clinical angle -> coordinate of the motion."""
    found: dict[str, str] = {}
    for angle, coordinates in _ANGLES.items():
        for side in SIDES:
            name = next((f"{c}_{side}" for c in coordinates if f"{c}_{side}" in names), None)
            if name is not None:
                found[f"{angle}_{side}"] = name
    for angle, coordinates in _TRUNK.items():
        name = next((c for c in coordinates if c in names), None)
        if name is not None:
            found[angle] = name
    return found


def _sign(angle: str, coordinate: str, tree: Tree, document: OsimDocument) -> float:
    """Sign of a coordinate in the clinical angle: does moving it flex, adduct, tilt forward?"""
    values = np.tile(document.default_si, (2, 1))
    values[1, tree.index(coordinate)] += _PROBE_RAD
    pose = tree.forward(document.couple(values))

    def moved(body: str) -> FloatArray:
        row = tree.bodies.index(body)
        turned = pose.rotations[:, tree.bodies.index("pelvis")].numpy()
        relative = (pose.positions_m[:, row] - pose.positions_m[:, tree.bodies.index("pelvis")]).numpy()
        local = np.einsum("tji,tj->ti", turned, relative)
        return np.asarray(local[1] - local[0])

    name, side = (angle, "") if angle in _TRUNK else (angle[:-2], angle[-1])
    change = 1.0
    if name == "hip_flexion":
        change = moved(f"tibia_{side}")[0]
    elif name == "hip_adduction":
        change = moved(f"tibia_{side}")[2] * (-1.0 if side == "r" else 1.0)
    elif name == "knee_flexion":
        change = -moved(f"talus_{side}")[0]
    elif name == "ankle_dorsiflexion":
        change = moved(f"toes_{side}")[1]
    elif name == "pelvis_tilt":
        change = -float(pose.rotations[1, tree.bodies.index("pelvis"), 1, 0])
    return -1.0 if change < 0 else 1.0

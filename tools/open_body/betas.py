"""From a population of T-posed bodies to a mean body and ten shape directions of unit variance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from assets import Floats, Ints, Mesh
from measures import Tape
from tpose import FLIP, Posed

BETAS = 10
TURNED = 4
"""Leading components that are turned among themselves (the pooled body needs the fourth for the body-mass index)."""
MIRROR_JOINT = np.array([0, 6, 7, 8, 9, 10, 1, 2, 3, 4, 5, 11, 12, 13, 19, 20, 21, 22, 23, 14, 15, 16, 17, 18])


@dataclass(frozen=True, eq=False)
class Linear:
    """Mean and directions: x(beta) = mean + directions . beta, for the kept vertices and the joints."""

    points: Floats
    """(N, 3)."""
    directions: Floats
    """(N, 3, 10)."""
    joints: Floats
    """(24, 3)."""
    joint_directions: Floats
    """(24, 3, 10)."""
    explained: Floats
    """(10,) share of the surface variance, before the first four are turned."""
    facts: dict[str, float]
    """Correlations of the first betas with stature and body-mass index, reconstruction errors."""

    def shaped(self, beta: Floats) -> Posed:
        """The body of one beta vector."""
        return Posed(self.points + self.directions @ beta, self.joints + self.joint_directions @ beta)


def vertex_areas(points: Floats, triangles: Ints) -> Floats:
    """(n,) a third of the area of the triangles at each vertex."""
    a, b, c = (points[triangles[:, i]] for i in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 6
    out = np.zeros(len(points))
    for i in range(3):
        np.add.at(out, triangles[:, i], area)
    return out


def _turn_to(scores: Floats, stature: Floats, bmi: Floats) -> Floats:
    """Rotation of the first scores: the first along stature, the second along body-mass index."""
    lead = scores[:, :TURNED]
    first = lead.T @ (stature - stature.mean())
    second = lead.T @ (bmi - bmi.mean())
    basis = np.column_stack([first, second, np.eye(TURNED)])[:, : TURNED + 2]
    columns: list[Floats] = []
    for column in basis.T:
        rest = column - sum(((column @ c) * c for c in columns), np.zeros(TURNED))
        if np.linalg.norm(rest) > 0.3 * np.linalg.norm(column) and len(columns) < TURNED:
            columns.append(rest / np.linalg.norm(rest))
    turn = np.eye(scores.shape[1])
    turn[:TURNED, :TURNED] = np.stack(columns, axis=1)
    return turn


def principal_betas(mesh: Mesh, tape: Tape, bodies: list[Posed]) -> Linear:
    """Area-weighted principal components of the bodies, scores scaled to unit variance.

    Area weights matter: half of the vertices are in face and hands. The first four components are turned among themselves
    so that beta 1 is the direction of stature and beta 2 that of the body-mass index.
    """
    count = len(bodies)
    points = np.stack([b.points for b in bodies])
    joints = np.stack([b.joints for b in bodies])
    mean, skin = points.mean(axis=0), mesh.skin_count
    weight = np.sqrt(vertex_areas(mean[:skin], mesh.triangles))
    spread = ((points - mean)[:, :skin] * (weight / np.linalg.norm(weight))[:, None]).reshape(count, -1)
    values, vectors = np.linalg.eigh(spread @ spread.T / count)
    values, vectors = values[::-1], vectors[:, ::-1]
    scores = vectors[:, :BETAS] * np.sqrt(count)
    measured = [tape(b) for b in bodies]
    stature = np.array([m["stature"] for m in measured])
    bmi = np.array([m["mass"] for m in measured]) / stature**2
    scores = scores @ _turn_to(scores, stature, bmi)
    third = scores[:, 2:].T @ (joints[:, 6, 1] + 0.1 * stature - joints[:, 8, 1])
    scores[:, 2:] *= np.where(third < 0, -1.0, 1.0)
    directions = np.tensordot(points - mean, scores, axes=(0, 0)) / count
    joint_mean = joints.mean(axis=0)
    joint_directions = np.tensordot(joints - joint_mean, scores, axes=(0, 0)) / count
    rebuilt = np.tensordot(scores, directions[:skin], axes=(1, 2)) + mean[:skin]
    error = np.linalg.norm(rebuilt - points[:, :skin], axis=2)
    rebuilt_joints = np.tensordot(scores, joint_directions, axes=(1, 2)) + joint_mean
    facts = {
        "r_beta1_stature": float(np.corrcoef(scores[:, 0], stature)[0, 1]),
        "r_beta2_bmi": float(np.corrcoef(scores[:, 1], bmi)[0, 1]),
        "skin_error_mm": float(1000 * (error @ weight**2).mean() / np.sum(weight**2)),
        "joint_error_mm": float(1000 * np.linalg.norm(rebuilt_joints - joints, axis=2).mean(axis=0).max()),
    }
    return Linear(
        points=_even(mean, mesh.mirror),
        directions=_even(directions, mesh.mirror),
        joints=_even(joint_mean, MIRROR_JOINT),
        joint_directions=_even(joint_directions, MIRROR_JOINT),
        explained=np.cumsum(values[:BETAS]) / values.sum(),
        facts=facts,
    )


def _even(values: Floats, mirror: Ints) -> Floats:
    """Average with the mirror image: exact symmetry."""
    flip = FLIP.reshape(1, 3, *[1] * (values.ndim - 2))
    return (values + values[mirror] * flip) / 2

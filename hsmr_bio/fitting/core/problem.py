"""The least-squares problem of one person in a clip: unknowns, terms, and one damped Gauss-Newton step for all frames.

Unknowns per frame are SKEL's 46 angles and its translation (N = 49) in *level* axes: y up, x to the image's right and
z towards the camera, so that a person who faces the camera upright has the rest orientation. Shared by all frames
are the ten betas, small offsets of the detector's landmarks on this person and the logarithm of the focal length (K = 35).
Each term adds its squared residuals, divided by their standard deviations, to one band-and-border system. The camera's
tilt and the height of the floor are found before (``gravity``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ...body.body import Body
from ...kinematics.rotations import exp
from ...kinematics.tree import Tree, TreePose
from ...types import FloatArray
from .arrow_system import ArrowSystem

UNKNOWNS = 49
BETAS = slice(0, 10)
OFFSET_GROUPS = 8
"""Pairs of left and right landmarks whose place on the body the clip itself may correct."""
OFFSETS = slice(10, 10 + 3 * OFFSET_GROUPS)
SHAPE = slice(0, OFFSETS.stop)
"""Betas and offsets: what places points on the body."""
FOCAL = SHAPE.stop
SHARED = FOCAL + 1
FLIP = torch.tensor(np.diag([1.0, -1.0, -1.0]))
"""Level axes of an untilted camera -> camera axes (x right, y down, z away)."""


@dataclass(frozen=True, eq=False)
class State:
    """One guess of all unknowns."""

    q: Tensor
    """(T, 49)."""
    betas: FloatArray
    tilt_rad: FloatArray
    """(2,) pitch and roll of the camera: its rotation vector about x and z."""
    floor_m: float
    focal_px: float
    offsets_m: FloatArray = field(default_factory=lambda: np.zeros((OFFSET_GROUPS, 3)))
    """(8, 3) shift of landmark pairs in rest axes, for the left side; the right side is mirrored."""

    def moved(self, step: FloatArray, shared: FloatArray) -> State:
        """The guess after a step of the frames (T, 49) and of the shared unknowns (35,)."""
        return replace(
            self,
            q=self.q + torch.as_tensor(step),
            betas=self.betas + shared[BETAS],
            offsets_m=self.offsets_m + shared[OFFSETS].reshape(-1, 3),
            focal_px=self.focal_px * float(np.exp(np.clip(shared[FOCAL], -0.3, 0.3))),
        )

    @property
    def camera_rotation(self) -> Tensor:
        """(3, 3) level axes -> camera axes."""
        return FLIP @ exp(torch.tensor([self.tilt_rad[0], 0.0, self.tilt_rad[1]], dtype=torch.float64))


@dataclass(frozen=True, eq=False)
class PointSet:
    """Points fixed to bones; their places on the bones may change with betas."""

    bodies: Tensor
    """(P,) long."""
    local_m: Tensor
    """(P, 3) in bone axes."""
    local_by_shape: Tensor
    """(P, 3, 34) by betas and offsets."""
    mix: Tensor | None = None
    """(L, P) each output point as a weighted mean of the points; None: the points themselves."""


class PointMaker(Protocol):
    """Gives the points of a body for some betas and landmark offsets."""

    def __call__(self, betas: FloatArray, offsets_m: FloatArray) -> PointSet: ...


@dataclass(eq=False)
class Shape:
    """Everything that depends on betas and offsets alone."""

    tree: Tree
    joints_by_betas: Tensor
    """(24, 3, 10) derivative of each parent-offset translation, in bone axes of the parent."""
    turns_by_betas: Tensor
    """(24, 3, 10) turn of each parent-offset frame, in bone axes of the parent."""
    points: dict[str, PointSet]


def make_shape(body: Body, state: State, makers: dict[str, PointMaker]) -> Shape:
    """Tree, points and their derivatives for the shape of a guess."""
    betas = state.betas
    rest = body.rest_pose(betas)
    rotations = rest.rotations[0].numpy()
    by_betas, turns = body.rest_jacobian(betas)
    joints = rest.joints[0].numpy()
    translation, turn = np.zeros((24, 3, 10)), np.zeros((24, 3, 10))
    for j, parent in enumerate(body.parents):
        if parent < 0:
            translation[j], turn[j] = by_betas[j], turns[j]
            continue
        into = rotations[parent].T
        offset = joints[j] - joints[parent]
        change = by_betas[j] - by_betas[parent] - np.cross(turns[parent], offset[:, None], axis=0)
        translation[j], turn[j] = into @ change, into @ (turns[j] - turns[parent])
    return Shape(
        tree=body.tree(betas),
        joints_by_betas=torch.as_tensor(translation),
        turns_by_betas=torch.as_tensor(turn),
        points={name: maker(betas, state.offsets_m) for name, maker in makers.items()},
    )


@dataclass(eq=False)
class View:
    """A guess, placed: all that the terms read, computed once per guess."""

    body: Body
    state: State
    shape: Shape
    pose: TreePose
    free: frozenset[int]
    """Shared unknowns that may move; derivatives by the others are not computed."""
    _points: dict[str, Tensor] = field(default_factory=dict)
    _jacobians: dict[str, tuple[Tensor, Tensor | None]] = field(default_factory=dict)

    @property
    def shape_moves(self) -> bool:
        """Whether betas or offsets are free."""
        return any(column < SHAPE.stop for column in self.free)

    @property
    def focal_moves(self) -> bool:
        """Whether the focal length is free."""
        return FOCAL in self.free

    def points(self, name: str) -> Tensor:
        """(T, P, 3) positions of a point set in level axes."""
        if name not in self._points:
            points = self.shape.points[name]
            fixed = self.pose.points(points.bodies, points.local_m)
            self._points[name] = fixed if points.mix is None else points.mix @ fixed
        return self._points[name]

    def jacobians(self, name: str) -> tuple[Tensor, Tensor | None]:
        """Derivatives of ``points``: (T, P, 3, 49) by the frame's unknowns; (T, P, 3, 34) by the shape, if it moves."""
        if name not in self._jacobians:
            points = self.shape.points[name]
            at = self.pose.points(points.bodies, points.local_m)
            by_q = self.pose.point_jacobian(at, points.bodies)
            by_shape = None
            if self.shape_moves:
                by_shape = self.pose.rotations[:, points.bodies] @ points.local_by_shape
                moved = self.pose.offset_jacobian(at, points.bodies, self.shape.joints_by_betas, self.shape.turns_by_betas)
                by_shape[..., BETAS] += moved
            if points.mix is not None:
                by_q = torch.einsum("lp,tpin->tlin", points.mix, by_q)
                by_shape = None if by_shape is None else torch.einsum("lp,tpin->tlin", points.mix, by_shape)
            self._jacobians[name] = by_q, by_shape
        return self._jacobians[name]


class Term(Protocol):
    """A sum of squared residuals."""

    def cost(self, view: View) -> float:
        """Half the sum of squares at a guess (robust where the term is)."""

    def add(self, view: View, system: ArrowSystem) -> None:
        """Add gradient and Gauss-Newton matrix at a guess."""


@dataclass
class FitReport:
    """How an optimisation went."""

    cost: float
    iterations: int


class Problem:
    """Terms over a guess, and the damped Gauss-Newton iteration that lowers them."""

    def __init__(self, body: Body, makers: dict[str, PointMaker], terms: Sequence[Term], free: Sequence[int] = ()) -> None:
        self.body, self.makers, self.terms = body, makers, list(terms)
        self.free = np.array(sorted(free), dtype=int)
        """Columns of the shared unknowns that may move."""
        self._shape: tuple[bytes, Shape] | None = None

    def view(self, state: State) -> View:
        """Place a guess."""
        key = state.betas.tobytes() + state.offsets_m.tobytes()
        if self._shape is None or self._shape[0] != key:
            self._shape = key, make_shape(self.body, state, self.makers)
        shape = self._shape[1]
        return View(self.body, state, shape, shape.tree.forward(state.q), frozenset(self.free.tolist()))

    def cost(self, view: View) -> float:
        """Sum of all terms."""
        return float(sum(term.cost(view) for term in self.terms))

    def system(self, view: View) -> ArrowSystem:
        """Normal equations of all terms, with the fixed shared unknowns taken out."""
        system = ArrowSystem.empty(len(view.state.q), UNKNOWNS, SHARED)
        for term in self.terms:
            term.add(view, system)
        system.border = system.border[:, :, self.free]
        system.shared = system.shared[np.ix_(self.free, self.free)]
        system.shared_gradient = system.shared_gradient[self.free]
        return system

    def minimise(self, state: State, *, iterations: int, tolerance: float = 1e-4) -> tuple[State, FitReport]:
        """Lower the cost by at most ``iterations`` damped steps; stop when it falls by less than ``tolerance`` of itself."""
        view = self.view(state)
        cost, damping, done = self.cost(view), 1e-3, 0
        for _ in range(iterations):
            done += 1
            system = self.system(view)
            for _attempt in range(6):
                try:
                    step, shared = system.solve(damping)
                except np.linalg.LinAlgError:
                    damping *= 10
                    continue
                full = np.zeros(SHARED)
                full[self.free] = shared
                trial = self.view(view.state.moved(np.clip(step, -1.0, 1.0), np.clip(full, -1.5, 1.5)))
                reached = self.cost(trial)
                if reached < cost:
                    break
                damping *= 10
            else:
                break
            damping = max(damping / 5, 1e-7)
            gain, view, cost = cost - reached, trial, reached
            if gain < tolerance * cost:
                break
        return view.state, FitReport(cost, done)

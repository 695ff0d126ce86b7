"""The least-squares problem of one person in a clip: unknowns, terms, and one damped Gauss-Newton step for all frames.

Unknowns per frame are SKEL's 46 angles and its translation (N = 49) in *level* axes: y up, x to the image's right and
z towards the camera, so that a person who faces the camera upright has the rest orientation. Shared by all frames
are the ten betas, small offsets of the detector's landmarks on this person and the logarithm of the focal length (K = 35).
Each term adds its squared residuals, divided by their standard deviations, to one band-and-border system. The camera's
tilt and the height of the floor are found before (``gravity``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ...body.body import Body
from ...kinematics.rotations import exp
from ...kinematics.solve import Clip, Factors, LeastSquares, Stop, minimise
from ...kinematics.tree import Tree, TreePose
from ...types import FloatArray
from .arrow_system import ArrowSolver, ArrowSystem, Rows

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
ROBUST = 3.0
"""Residual, in standard deviations, at which an observation has lost three quarters of its weight."""
_DAMPING = Factors(start=1e-3, shrink=0.2, growth=10.0, least=1e-7, tries=6)
_FRAME_LIMIT, _SHARED_LIMIT, _FOCAL_LIMIT = 1.0, 1.5, 0.3
"""A step changes no unknown more: of a frame (rad, m), of the shape (betas, m), the logarithm of the focal length."""


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
            focal_px=self.focal_px * float(np.exp(shared[FOCAL])),
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


def make_shape(body: Body, state: State, makers: Mapping[str, PointMaker]) -> Shape:
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


class Term(ABC):
    """Squared residuals over their standard deviations: G observations of D components in R frames, or pairs or triples."""

    robust: bool | Tensor | None = None
    """Whether an observation that is many standard deviations off loses its pull (Geman-McClure); (G,) for some of them."""

    @abstractmethod
    def residual(self, view: View) -> Tensor:
        """(R, G, D) in the unit of :meth:`sd`; NaN where nothing is known."""

    @abstractmethod
    def rows(self, view: View) -> Rows:
        """Derivatives of the residuals."""

    def sd(self, view: View) -> Tensor:
        """Standard deviation of each observation, in a shape that goes with (R, G); infinite where nothing is known."""
        return torch.ones(1, dtype=torch.float64)

    def cost(self, view: View) -> float:
        """Half the sum of squares at a guess (robust where the term is)."""
        scaled = torch.nan_to_num(self.residual(view) / self.sd(view)[..., None])
        return float(self._loss(scaled)[0].sum())

    def add(self, view: View, system: ArrowSystem) -> None:
        """Add gradient and Gauss-Newton matrix at a guess."""
        residual, sd = self.residual(view), self.sd(view)
        known = torch.isfinite(residual).all(dim=-1)
        residual = torch.where(known[..., None], residual, 0.0)
        weight = self._loss(residual / sd[..., None])[1]
        system.add(self.rows(view), residual, torch.where(known, weight.sqrt() / sd, 0.0))

    def _loss(self, scaled: Tensor) -> tuple[Tensor, Tensor]:
        """Cost (R, G) of residuals (R, G, D) in standard deviations, and weight of their squares.

        Source:
            Geman and McClure 1987, Bull Int Stat Inst 52:5.
        """
        square = scaled.square().sum(-1)
        if self.robust is None or self.robust is False:
            return 0.5 * square, torch.ones_like(square)
        share = 1 / (1 + square / ROBUST**2)
        fades = torch.as_tensor(self.robust)
        return 0.5 * square * torch.where(fades, share, 1.0), torch.where(fades, share * share, 1.0)


class Problem:
    """Terms over a guess, and the damped Gauss-Newton iteration that lowers them."""

    def __init__(self, body: Body, makers: Mapping[str, PointMaker], terms: Sequence[Term], free: Sequence[int] = ()) -> None:
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

    def minimise(self, state: State, *, iterations: int, tolerance: float = 1e-4) -> tuple[State, float]:
        """Lower the cost by damped Gauss-Newton steps.

        Args:
            state: first guess.
            iterations: steps at most.
            tolerance: a step that lowers the cost by less than this share is the last one.

        Returns:
            The best guess and its cost.
        """
        frames = state.q.numel()
        limit = torch.full((frames + SHARED,), _FRAME_LIMIT, dtype=torch.float64)
        limit[frames:], limit[frames + FOCAL] = _SHARED_LIMIT, _FOCAL_LIMIT
        best = minimise(
            _Steps(self, state),
            torch.zeros(1, frames + SHARED, dtype=torch.float64),
            solver=ArrowSolver(self.free),
            damping=_DAMPING,
            stop=Stop(iterations, cost=tolerance),
            move=Clip(limit),
        ).guess
        return best.view.state, float(best.cost)


@dataclass(frozen=True, eq=False)
class _Guess:
    cost: Tensor
    view: View


@dataclass(frozen=True, eq=False)
class _Steps(LeastSquares[_Guess, ArrowSystem]):
    """One large problem: its unknowns are the steps from a state, of all frames and then of what they share."""

    problem: Problem
    start: State

    def evaluate(self, x: Tensor, rows: Tensor) -> _Guess:
        step, shared = x[0, :-SHARED].reshape(-1, UNKNOWNS).numpy(), x[0, -SHARED:].numpy()
        view = self.problem.view(self.start.moved(step, shared))
        return _Guess(torch.tensor([self.problem.cost(view)], dtype=torch.float64), view)

    def equations(self, guess: _Guess) -> ArrowSystem:
        return self.problem.system(guess.view)

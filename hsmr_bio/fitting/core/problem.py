"""The least-squares problem of one person in a clip: unknowns, terms, and one damped Gauss-Newton step for all frames.

Unknowns per frame are SKEL's 46 angles and its translation (N = 49) in *level* axes: y up, x to the right of the image, z
towards the camera, so that a person who faces the camera upright has the rest orientation. Shared by all frames are the ten
betas, offsets of the detector's landmarks on this person and the logarithm of the focal length (K = 35). The cost is
``sum of rho(|r / sigma|^2) / 2`` over the residuals r of all terms, with rho(s) = s or a robust loss. Each term adds its rows
to one band-and-border system. The camera's tilt and the height of the floor are found before (``gravity``) and held.

Source:
    Gauss-Newton with damping: Marquardt 1963, SIAM J 11:431 (``kinematics.solve``). Weights of robust terms: Holland and Welsch
    1977, Commun Stat A6:813.
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
"""Of a frame: 46 angles in rad, 3 translations in m."""
BETAS = slice(0, 10)
"""Columns of the betas among the shared unknowns."""
OFFSET_GROUPS = 8
"""Pairs of left and right landmarks whose place on the body is estimated."""
OFFSETS = slice(10, 10 + 3 * OFFSET_GROUPS)
"""Columns of the landmark offsets."""
SHAPE = slice(0, OFFSETS.stop)
"""Betas and offsets: the unknowns that place points on the body."""
FOCAL = SHAPE.stop
"""Column of the logarithm of the focal length."""
SHARED = FOCAL + 1
"""Number of shared unknowns."""
FLIP = torch.tensor(np.diag([1.0, -1.0, -1.0]))
"""Level axes of an untilted camera -> camera axes (x right, y down, z forward)."""
ROBUST = 3.0
"""Residual, in standard deviations, at which a robust observation has lost three quarters of its weight."""
_DAMPING = Factors(start=1e-3, shrink=0.2, growth=10.0, least=1e-7, tries=6)
"""Damping rule of the fits (our choice)."""
_FRAME_LIMIT, _SHARED_LIMIT, _FOCAL_LIMIT = 1.0, 1.5, 0.3
"""Largest change in one step: of a frame's unknown (rad, m), of the shape (betas, m), of the logarithm of the focal length."""


@dataclass(frozen=True, eq=False)
class State:
    """Values of all unknowns."""

    q: Tensor
    """(T, 49) angles in rad, translation in m, level axes."""
    betas: FloatArray
    """(10,)."""
    tilt_rad: FloatArray
    """(2,) pitch and roll of the camera: its rotation vector about x and z."""
    floor_m: float
    """Height of the floor in level axes, the camera at 0."""
    focal_px: float
    offsets_m: FloatArray = field(default_factory=lambda: np.zeros((OFFSET_GROUPS, 3)))
    """(8, 3) shift of landmark pairs in rest axes, for the left side; the right side is mirrored."""

    def moved(self, step: FloatArray, shared: FloatArray) -> State:
        """Add a step.

        Args:
            step: (T, 49) of the frames.
            shared: (35,) of the shared unknowns.

        Returns:
            The state after the step.
        """
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
    """Points fixed to bones; their local positions change with the shape."""

    bodies: Tensor
    """(P,) bone of each point."""
    local_m: Tensor
    """(P, 3) in bone axes."""
    local_by_shape: Tensor
    """(P, 3, 34) derivative by betas and offsets."""
    mix: Tensor | None = None
    """(L, P) weights of output points that are means of the points; None: the points themselves."""


class PointMaker(Protocol):
    """Makes the points of a body for betas (10,) and landmark offsets (8, 3)."""

    def __call__(self, betas: FloatArray, offsets_m: FloatArray, /) -> PointSet: ...


@dataclass(eq=False)
class Shape:
    """Tree and points of one shape."""

    tree: Tree
    joints_by_betas: Tensor
    """(24, 3, 10) derivative of each parent-offset translation, in bone axes of the parent."""
    turns_by_betas: Tensor
    """(24, 3, 10) turn of each parent-offset frame per unit of each beta, in bone axes of the parent."""
    points: dict[str, PointSet]


def make_shape(body: Body, state: State, makers: Mapping[str, PointMaker]) -> Shape:
    """Build the tree and the points of a state's shape, with derivatives.

    The parent-offset frame of joint j on parent i has the translation ``R_i^T (p_j - p_i)``. By a beta, which turns bone i by
    w_i, it changes by ``R_i^T (dp_j - dp_i - w_i x (p_j - p_i))`` and turns by ``R_i^T (w_j - w_i)``.

    Args:
        body: the fitted body.
        state: its betas and offsets.
        makers: name and maker of each point set.

    Returns:
        Everything that depends on betas and offsets alone.
    """
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
        to_parent = rotations[parent].T
        offset = joints[j] - joints[parent]
        change = by_betas[j] - by_betas[parent] - np.cross(turns[parent], offset[:, None], axis=0)
        translation[j], turn[j] = to_parent @ change, to_parent @ (turns[j] - turns[parent])
    return Shape(
        tree=body.tree(betas),
        joints_by_betas=torch.as_tensor(translation),
        turns_by_betas=torch.as_tensor(turn),
        points={name: maker(betas, state.offsets_m) for name, maker in makers.items()},
    )


@dataclass(eq=False)
class View:
    """Bones and points of a state, as the terms read them; each is computed once."""

    body: Body
    state: State
    shape: Shape
    pose: TreePose
    free: frozenset[int]
    """Columns of the free shared unknowns; derivatives by the others are not computed."""
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
    """A sum of squared residuals over their standard deviations.

    A term defines its residuals, their standard deviations and their derivatives; weighting and the robust loss are here. R is
    the number of frames, or of pairs or triples of frames; G observations have D components each.
    """

    robust: bool | Tensor | None = None
    """Whether the pull of an observation fades when it is many standard deviations off; (G,) for each observation."""

    @abstractmethod
    def residuals(self, view: View) -> tuple[Tensor, Tensor]:
        """Residuals (R, G, D), NaN where unknown, and standard deviations that broadcast to (R, G), infinite where unknown."""

    @abstractmethod
    def rows(self, view: View) -> Rows:
        """Derivatives of the residuals."""

    def cost(self, view: View) -> float:
        """Half the sum of squares at a state, robust where the term is."""
        residual, sd = self.residuals(view)
        return float(self._loss(torch.nan_to_num(residual / sd[..., None]))[0].sum())

    def add(self, view: View, system: ArrowSystem) -> None:
        """Add gradient and Gauss-Newton matrix.

        Args:
            view: state that the term is linearised at.
            system: receives both.
        """
        residual, sd = self.residuals(view)
        known = torch.isfinite(residual).all(dim=-1)
        residual = torch.where(known[..., None], residual, 0.0)
        weight = self._loss(residual / sd[..., None])[1]
        system.add(self.rows(view), residual, torch.where(known, weight.sqrt() / sd, 0.0))

    def _loss(self, scaled: Tensor) -> tuple[Tensor, Tensor]:
        """Cost (R, G) of residuals (R, G, D) in standard deviations, and the weight of their squares.

        Robust: ``rho(s) = s / (1 + s / c^2)`` of the squared norm s with c = ``ROBUST``; the weight is ``rho'(s)``.

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
    """Terms on a body, and the damped Gauss-Newton iteration that minimises their sum."""

    def __init__(self, body: Body, makers: Mapping[str, PointMaker], terms: Sequence[Term], free: Sequence[int] = ()) -> None:
        self.body, self.makers, self.terms = body, makers, list(terms)
        self.free = np.array(sorted(free), dtype=int)
        """Columns of the free shared unknowns."""
        self._shape: tuple[bytes, Shape] | None = None

    def view(self, state: State) -> View:
        """Bones and points of a state."""
        key = state.betas.tobytes() + state.offsets_m.tobytes()
        if self._shape is None or self._shape[0] != key:
            self._shape = key, make_shape(self.body, state, self.makers)
        shape = self._shape[1]
        return View(self.body, state, shape, shape.tree.forward(state.q), frozenset(self.free.tolist()))

    def cost(self, view: View) -> float:
        """Sum of the costs of all terms."""
        return float(sum(term.cost(view) for term in self.terms))

    def system(self, view: View) -> ArrowSystem:
        """Normal equations of all terms, without the shared unknowns that are held."""
        system = ArrowSystem.empty(len(view.state.q), UNKNOWNS, SHARED)
        for term in self.terms:
            term.add(view, system)
        system.border = system.border[:, :, self.free]
        system.shared = system.shared[np.ix_(self.free, self.free)]
        system.shared_gradient = system.shared_gradient[self.free]
        return system

    def minimise(self, state: State, stop: Stop) -> State:
        """Minimise the cost by damped Gauss-Newton steps.

        Args:
            state: first guess.
            stop: largest number of steps, and the share of the cost below which a step is the last one.

        Returns:
            The best state.
        """
        frames = state.q.numel()
        limit = torch.full((frames + SHARED,), _FRAME_LIMIT, dtype=torch.float64)
        limit[frames:], limit[frames + FOCAL] = _SHARED_LIMIT, _FOCAL_LIMIT
        best = minimise(
            _Steps(self, state),
            torch.zeros(1, frames + SHARED, dtype=torch.float64),
            solver=ArrowSolver(self.free),
            damping=_DAMPING,
            stop=stop,
            move=Clip(limit),
        )
        return best.guess.view.state


@dataclass(frozen=True, eq=False)
class _Guess:
    cost: Tensor
    view: View


@dataclass(frozen=True, eq=False)
class _Steps(LeastSquares[_Guess, ArrowSystem]):
    """A batch of one problem; its unknowns are the change of a state: of all frames, then of the shared unknowns."""

    problem: Problem
    start: State

    def evaluate(self, x: Tensor, rows: Tensor) -> _Guess:
        del rows  # there is only one problem
        step, shared = x[0, :-SHARED].reshape(-1, UNKNOWNS).numpy(), x[0, -SHARED:].numpy()
        view = self.problem.view(self.start.moved(step, shared))
        return _Guess(torch.tensor([self.problem.cost(view)], dtype=torch.float64), view)

    def equations(self, guess: _Guess) -> ArrowSystem:
        return self.problem.system(guess.view)

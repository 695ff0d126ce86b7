"""The coordinates of a joint tree that put its bones where they are wanted: joint centres and orientations at once.

Weighted least squares with coordinate limits as soft bounds. The start is exact per joint (Euler angles of the relative
orientation, the branch that lies in the ranges and follows the frame before); then damped Gauss-Newton steps on all frames
together (:mod:`.solve`), until each has converged: a frame that stopped early would show as jitter. The trunk is solved from
its own bones and each limb given the trunk, so the normal equations fall into five small blocks.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import InputError
from ..types import FloatArray
from .functions import Linear
from .linear_solvers import Block, BlockCholesky
from .rotations import euler_about, log
from .solve import Clip, Factors, LeastSquares, Stop, minimise
from .threads import one_thread
from .tree import Tree, TreePose

CENTRE_SD_M = 0.004
"""How far a joint centre may give way, in the balance against ``ORIENTATION_SD_RAD``."""
ORIENTATION_SD_RAD = 0.03
"""How far a bone's orientation may give way: 1.7 degrees; at a lever of 0.13 m both cost the same."""
_CENTRE_SD_M = dict.fromkeys(("pelvis", "femur", "tibia", "talus", "thorax", "humerus", "ulna", "hand"), 0.002)
_ORIENTATION_SD_RAD = dict.fromkeys(("pelvis", "thorax"), 0.015) | dict.fromkeys(("tibia", "talus", "calcn", "toes"), 0.05)
"""Hips, knees, ankles, shoulders, elbows and wrists are what motions are judged by, so they are held best, and so are pelvis
and thorax, which carry them. What is left over is the knee's, the one joint of a person's BSM that differs from SKEL's in kind:
thigh, shank and foot share it, the thigh a little less, because the knee's centre moves with its orientation."""
RANGE_SD_RAD = 2.0
"""Stiffness of a model's ranges: they choose among what the bones leave open, and pull no bone away from where it is. One
beyond a range (a hip of SKEL's turned by 45 degrees when bent is one of BSM's abducted by 45) is for the check of limits."""
LIMIT_SD_RAD = 0.01
"""Stiffness of limits that the wanted bones may break only because they are measured with errors."""
CONVERGED = 5e-4
"""A frame is left alone after a step below this (rad or m)."""
_DAMPING = Factors(start=1e-6, shrink=0.1, growth=100.0, least_raised=1e-2)
_MOVE = Clip(torch.tensor(0.5, dtype=torch.float64))
"""A step moves no coordinate further (rad or m)."""


@dataclass(frozen=True, eq=False)
class Bounds:
    """Soft limits of the coordinates; infinite where there is none."""

    low: FloatArray
    high: FloatArray
    sd_rad: float = LIMIT_SD_RAD
    """An excess of this much costs one unit of the weighted squares."""

    @classmethod
    def of(cls, ranges: FloatArray) -> Bounds:
        """From a model's ranges (N, 2); a range of a full turn or more (the free root) is none."""
        free = ~(ranges[:, 1] - ranges[:, 0] < 2 * np.pi - 1e-3)
        return cls(np.where(free, -np.inf, ranges[:, 0]), np.where(free, np.inf, ranges[:, 1]), RANGE_SD_RAD)


class MapResult(NamedTuple):
    """Coordinates and what they leave over."""

    q: FloatArray
    """(T, N)."""
    residual_m: FloatArray
    """(T, J) distance between joint centres."""
    residual_rad: FloatArray
    """(T, J) angle between bone orientations."""


class Weights(NamedTuple):
    """Inverse standard deviations per body, zero where a body is not asked for."""

    centre: Tensor
    """(J,) 1/m."""
    orientation: Tensor
    """(J,) 1/rad."""

    @classmethod
    def of(cls, tree: Tree) -> Weights:
        """The balance of this module, by the names of the bodies."""
        names = [name.removesuffix("_r").removesuffix("_l") for name in tree.bodies]
        centre = [1 / _CENTRE_SD_M.get(name, CENTRE_SD_M) for name in names]
        turn = [1 / _ORIENTATION_SD_RAD.get(name, ORIENTATION_SD_RAD) for name in names]
        return cls(torch.tensor(centre, dtype=tree.dtype), torch.tensor(turn, dtype=tree.dtype))


def fit_tree(
    tree: Tree,
    centres_m: Tensor,
    orientations: Tensor,
    bounds: Bounds,
    *,
    weights: Weights | None = None,
    iterations: int = 12,
    chunk: int = 500,
    continuous: bool = True,
) -> MapResult:
    """Place the bodies of a tree at given joint centres and orientations, frame by frame.

    Args:
        tree: the model; J bodies.
        centres_m: (T, J, 3) wanted body origins in ground.
        orientations: (T, J, 3, 3) wanted body orientations in ground.
        bounds: soft limits per coordinate.
        weights: per body; by default those of this module.
        iterations: Gauss-Newton steps after the exact start, at most; a frame of a real motion needs three.
        chunk: frames that are solved together; bounds the memory.
        continuous: whether the frames are a motion; False: each is a case of its own.

    Returns:
        Coordinates, continuous in time for a motion, and the residuals per body.
    """
    if weights is None:
        weights = Weights.of(tree)
    start = _start(tree, centres_m, orientations, bounds, continuous)
    blocks = _blocks(tree, weights)
    solver = BlockCholesky([block.columns for block in blocks], ridge=1e-6)
    stop = Stop(iterations, step=CONVERGED)

    def place(first: int) -> tuple[Tensor, Tensor, Tensor]:
        frames = slice(first, first + chunk)
        goal = _Goal(tree, centres_m[frames], orientations[frames], bounds, weights, blocks)
        q = minimise(goal, start[frames], solver=solver, damping=_DAMPING, stop=stop, move=_MOVE).x
        pose = tree.forward(q)
        far = (pose.positions_m - centres_m[frames]).norm(dim=-1)
        return q, far, log(orientations[frames].transpose(-1, -2) @ pose.rotations).norm(dim=-1)

    # chunks side by side, each on one thread: threads inside such small matrix products only wait for each other
    with one_thread(), ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        parts = list(pool.map(place, range(0, len(start), chunk)))
    q, far, turned = (torch.cat(columns).numpy() for columns in zip(*parts, strict=True))
    return MapResult(q, far, turned)


class _Block(NamedTuple):
    columns: Tensor
    bodies: Tensor
    centre: Tensor
    """(n, K) weight of the bodies' centres, 0 for a body that the column does not move."""
    turn: Tensor
    """(n, K) squared weight of their orientations; 0 too for bodies that other columns turn freely."""
    turn_pairs: Tensor
    """(n, n) the same, summed over the bodies that both columns move."""


def _blocks(tree: Tree, weights: Weights) -> list[_Block]:
    """Trunk (all that has a side-less name) and one block per limb: each side of each chain that leaves the trunk."""
    side = [name.rsplit("_", 1)[-1] if name.endswith(("_r", "_l")) else "" for name in tree.bodies]
    root: list[int] = []
    for j, parent in enumerate(tree.parents):
        root.append(-1 if not side[j] else j if parent < 0 or not side[parent] else root[parent])
    owner = {}
    for j, joint in enumerate(tree.joints):
        for _, function in (*joint.rotations, *joint.translations):
            for n in function.inputs:
                owner[n] = root[j]
    blocks = []
    for chain in sorted(set(root)):
        columns = [n for n in range(len(tree.coordinates)) if owner.get(n) == chain]
        inside = [j for j in range(len(tree.bodies)) if root[j] == chain]
        # a limb whose root joint does not move its centre (the hips) tells the trunk where that centre is to be
        hung = [j for j in range(len(tree.bodies)) if chain == -1 and root[j] == j and not tree.joints[j].translations]
        if columns:
            bodies = inside + hung
            moved = tree.ancestors[bodies][:, columns].T.to(tree.dtype)
            turned = torch.tensor([1.0] * len(inside) + [0.0] * len(hung), dtype=tree.dtype)
            turn = moved * weights.orientation[bodies].square() * turned
            blocks.append(
                _Block(torch.tensor(columns), torch.tensor(bodies), moved * weights.centre[bodies], turn, turn @ moved.T)
            )
    return blocks


@dataclass(frozen=True, eq=False)
class _Guess:
    """Bodies of some frames, and the weighted residuals."""

    cost: Tensor
    pose: TreePose
    miss: Tensor
    """(B, J, 3) of the joint centres."""
    turn: Tensor
    """(B, J, 3) of the orientations."""
    excess: Tensor
    """(B, N) over the limits."""


class _Goal(LeastSquares[_Guess, list[Block]]):
    """Wanted bones of some frames; each frame is a problem of its own, with one :class:`Block` per part of the body."""

    def __init__(
        self, tree: Tree, centres: Tensor, orientations: Tensor, bounds: Bounds, weights: Weights, blocks: Sequence[_Block]
    ) -> None:
        self.tree, self.centres, self.orientations = tree, centres, orientations
        self.weights, self.limit_sd = weights, bounds.sd_rad
        self.low, self.high = (torch.as_tensor(b, dtype=tree.dtype) for b in (bounds.low, bounds.high))
        self.blocks = blocks

    def evaluate(self, x: Tensor, rows: Tensor) -> _Guess:
        pose = self.tree.forward(x)
        miss = (pose.positions_m - self.centres[rows]) * self.weights.centre[:, None]
        away = pose.rotations @ self.orientations[rows].transpose(-1, -2)
        turn = _small_angle(away) * self.weights.orientation[:, None]
        excess = ((x - self.high).clamp_min(0) - (self.low - x).clamp_min(0)) / self.limit_sd
        cost = miss.square().sum((1, 2)) + turn.square().sum((1, 2)) + excess.square().sum(1)
        return _Guess(0.5 * cost, pose, miss, turn, excess)

    def equations(self, guess: _Guess) -> list[Block]:
        pose, miss, excess = guess.pose, guess.miss, guess.excess
        omega, v = pose.twists()
        turn = guess.turn / self.weights.orientation[:, None]
        system = []
        for block in self.blocks:
            columns, bodies = block.columns, block.bodies
            spin = omega[:, columns]  # (B, n, 3)
            speed = torch.linalg.cross(spin[:, :, None], pose.positions_m[:, None, bodies]) + v[:, columns, None]
            jacobian = (speed * block.centre[..., None]).flatten(2)  # (B, n, 3K)
            hessian = jacobian @ jacobian.transpose(1, 2)
            hessian += spin @ spin.transpose(1, 2) * block.turn_pairs
            gradient = (jacobian @ miss[:, bodies].flatten(1)[..., None])[..., 0]
            gradient += (spin * (block.turn @ turn[:, bodies])).sum(-1) + excess[:, columns] / self.limit_sd
            system.append(Block(gradient, hessian, (excess[:, columns] != 0) / self.limit_sd**2))
        return system


def _small_angle(matrix: Tensor) -> Tensor:
    """Rotation vector of a rotation that is not near a half turn; cheaper than the general one."""
    m = matrix
    sine = torch.stack([m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]], dim=-1) / 2
    trace = m[..., 0, 0] + m[..., 1, 1] + m[..., 2, 2]
    size = sine.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    vector: Tensor = sine / size * torch.atan2(size, (trace[..., None] - 1) / 2)
    return vector


def _start(tree: Tree, centres: Tensor, orientations: Tensor, bounds: Bounds, continuous: bool) -> Tensor:
    """Coordinates from the relative orientation of each bone and its parent, branch by branch."""
    frames = len(centres)
    q = torch.zeros(frames, len(tree.coordinates), dtype=tree.dtype)
    eye = torch.eye(3, dtype=tree.dtype)
    inputs, branches = [], []
    for j, joint in enumerate(tree.joints):
        fixed, moving = tree.parent_rotation[j], tree.child_rotation[j]
        above = orientations[:, joint.parent] if joint.parent >= 0 else eye
        local = (above @ fixed).transpose(-1, -2) @ orientations[:, j] @ moving
        linear = [(axis, f) for axis, f in joint.rotations if isinstance(f, Linear)]
        axes = torch.tensor(np.array([axis for axis, _ in linear], dtype=np.float64).reshape(-1, 3), dtype=tree.dtype)
        if len(linear) == 1:
            _put(q, linear[0][1], _about(axes[0], local), bounds)
        elif linear:
            if len(linear) == 2:
                axes = torch.cat([axes, torch.linalg.cross(axes[0], axes[1])[None]])
            first = euler_about(axes, local)
            second = first * torch.tensor([1.0, -1.0, 1.0], dtype=tree.dtype) + np.pi
            inputs.append([f.input for _, f in linear])
            branches.append(_branches([f for _, f in linear], (first, second)))
    if inputs:
        _put_branches(q, inputs, branches, bounds, continuous)
    _root_translation(tree, q, centres, orientations)
    return q


def _about(axis: Tensor, matrix: Tensor) -> Tensor:
    """Angle about one axis that comes nearest to a rotation."""
    m = matrix
    sine = torch.stack([m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]], dim=-1) @ axis
    along = torch.einsum("i,...ij,j->...", axis, m, axis)
    return torch.atan2(sine, m[..., 0, 0] + m[..., 1, 1] + m[..., 2, 2] - along)


def _put(q: Tensor, function: Linear, angle: Tensor, bounds: Bounds) -> None:
    value = ((angle - function.intercept) / function.slope).numpy()
    n = function.input
    q[:, n] = torch.as_tensor(_turns(value[:, None], bounds.low[[n]], bounds.high[[n]])[:, 0])


def _turns(values: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """Choose full turns: nearest to the middle of the range where there is one, else continuous in time."""
    bounded = np.isfinite(low) & np.isfinite(high)
    middle = np.where(bounded, (np.where(bounded, low, 0) + np.where(bounded, high, 0)) / 2, 0.0)
    near = values - 2 * np.pi * np.round((values - middle) / (2 * np.pi))
    return np.where(bounded, near, np.unwrap(near, axis=0))


def _branches(functions: Sequence[Linear], solutions: tuple[Tensor, Tensor]) -> FloatArray:
    """(2, T, n) coordinates of both Euler solutions."""
    slope, intercept = np.array([f.slope for f in functions]), np.array([f.intercept for f in functions])
    return np.stack([(angles[:, : len(functions)].numpy() - intercept) / slope for angles in solutions])


def _put_branches(
    q: Tensor, inputs: Sequence[list[int]], branches: Sequence[FloatArray], bounds: Bounds, continuous: bool
) -> None:
    """Choose, joint by joint, between the two Euler solutions and their full turns: in range, and near the frame before."""
    options, outside = [], []
    for columns, both in zip(inputs, branches, strict=True):
        low, high = bounds.low[columns], bounds.high[columns]
        turned = np.stack([_turns(branch, low, high) for branch in both])  # (2, T, n)
        options.append(turned)
        outside.append((np.maximum(turned - high, 0) + np.maximum(low - turned, 0)).sum(-1))
    penalty = np.stack(outside)  # (joints, 2, T)
    penalty[:, 1] += 0.01  # of two equally good branches, the one with the middle angle within a quarter turn
    chosen = _paths(options, penalty) if continuous else penalty.argmin(axis=1)
    for columns, turned, path in zip(inputs, options, chosen, strict=True):
        values = turned[path, np.arange(len(path))]
        if continuous:
            values = _turns(values, bounds.low[columns], bounds.high[columns])
        q[:, columns] = torch.as_tensor(values)


def _paths(options: Sequence[FloatArray], penalty: FloatArray) -> NDArray[np.int64]:
    """(joints, T) cheapest way through the two branches (2, T, n) of every joint.

    The cost is the excess over the range, plus the angle travelled (full turns are free).
    """
    travel = np.zeros((penalty.shape[2], len(options), 2, 2))  # [frame, joint, from, to]
    for k, both in enumerate(options):
        steps = both[None, :, 1:] - both[:, None, :-1]
        travel[1:, k] = np.abs((steps + np.pi) % (2 * np.pi) - np.pi).sum(-1).transpose(2, 0, 1)
    local = penalty.transpose(2, 0, 1) * 0.1
    cost = local[0] * 10
    back = np.zeros((len(travel), len(options), 2), dtype=bool)
    for t in range(1, len(travel)):
        stay, cross = cost + travel[t, :, (0, 1), (0, 1)].T, cost[:, ::-1] + travel[t, :, (1, 0), (0, 1)].T
        back[t] = cross < stay
        cost = np.minimum(stay, cross) + local[t]
    path = np.zeros((len(options), len(travel)), dtype=np.int64)
    path[:, -1] = cost.argmin(axis=1)
    each = np.arange(len(options))
    for t in range(len(travel) - 1, 0, -1):
        path[:, t - 1] = path[:, t] ^ back[t, each, path[:, t]]
    return path


def _root_translation(tree: Tree, q: Tensor, centres: Tensor, orientations: Tensor) -> None:
    """Put the root body's origin where it is wanted: its translations are linear and act in the fixed frame.

    Raises:
        InputError: the root joint does not have three translations of its own coordinates.
    """
    joint = tree.joints[0]
    linear = [(axis, f) for axis, f in joint.translations if isinstance(f, Linear)]
    if len(linear) != 3:
        raise InputError(f"the root joint {joint.name!r} must have three free translations, it has {len(linear)}")
    axes = torch.tensor(np.array([axis for axis, _ in linear], dtype=np.float64), dtype=tree.dtype)
    to_joint = orientations[:, 0] @ torch.as_tensor(np.asarray(joint.child_translation_m, dtype=np.float64), dtype=tree.dtype)
    fixed = torch.as_tensor(np.asarray(joint.parent_translation_m, dtype=np.float64), dtype=tree.dtype)
    wanted = (centres[:, 0] + to_joint - fixed) @ tree.parent_rotation[0]
    amounts = torch.linalg.solve(axes.T, wanted.T).T
    for i, (_, function) in enumerate(linear):
        q[:, function.input] = (amounts[:, i] - function.intercept) / function.slope

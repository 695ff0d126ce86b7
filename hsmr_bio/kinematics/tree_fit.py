"""Fit the coordinates of a joint tree to wanted joint centres and bone orientations.

Weighted least squares with the ranges of the coordinates as soft limits. The start is exact per joint: the Euler angles of the
relative orientation, of the two solutions the one in the ranges and near the frame before. Then damped Gauss-Newton steps
(:mod:`.solve`) follow, frame by frame until each has converged; a frame that stopped early would show as jitter. The trunk is
solved from its own bones and each limb given the trunk, so the normal equations are five small blocks.
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
from .rotations import angles_about, axial, log, trace
from .solve import Clip, Factors, LeastSquares, Stop, minimise
from .threads import one_thread
from .tree import Tree, TreePose

CENTRE_SD_M = 0.004
"""Standard deviation of a joint centre, relative to ``ORIENTATION_SD_RAD``."""
ORIENTATION_SD_RAD = 0.03
"""Standard deviation of a bone's orientation: 1.7 degrees; at a lever of 0.13 m it weighs as much as that of a centre."""
_CENTRE_SD_M = dict.fromkeys(("pelvis", "femur", "tibia", "talus", "thorax", "humerus", "ulna", "hand"), 0.002)
_ORIENTATION_SD_RAD = dict.fromkeys(("pelvis", "thorax"), 0.015) | dict.fromkeys(("tibia", "talus", "calcn", "toes"), 0.05)
"""Motions are judged by hips, knees, ankles, shoulders, elbows and wrists: these have the largest weights, and so have pelvis
and thorax, which carry them. The residual is the knee's, the one joint whose kind differs between BSM and SKEL: thigh, shank
and foot share it, the thigh a little less, because the knee's centre moves with its orientation."""
RANGE_SD_RAD = 2.0
"""Standard deviation of a model's ranges. They choose among solutions that the bones leave open and hardly move a bone: a value
out of range (45 degrees of rotation in SKEL's bent hip are 45 degrees of abduction in BSM's) is for the check of limits."""
LIMIT_SD_RAD = 0.01
"""Standard deviation of limits that are broken only through measurement errors of the wanted bones."""
CONVERGED = 5e-4
"""A frame has converged after a step below this (rad or m): 0.03 degrees."""
_DAMPING = Factors(start=1e-6, shrink=0.1, growth=100.0, least_raised=1e-2)
"""Almost none at first, because the start is good; at least 0.01 after a step that fails."""
_RIDGE = 1e-6
"""Added to the diagonals of the normal equations, for coordinates that move no wanted bone."""
_MOVE = Clip(torch.tensor(0.5, dtype=torch.float64))
"""Largest change of a coordinate in a step (rad or m)."""
_FULL_TURN_RAD = 2 * np.pi - 1e-3
"""A range this wide is none: the coordinate turns freely, as the root does."""
_SECOND_SOLUTION_RAD = 0.01
"""Cost of the Euler solution whose middle angle is beyond a quarter turn, so that it is taken only where it is better."""
_RANGE_PER_TRAVEL = 0.1
"""Cost of one radian out of range for one frame, over that of turning by one radian between two frames: an excess of ten frames
outweighs a jump (own choice)."""
_FIRST_FRAME = 10.0
"""Weight of an excess in the first frame over that in another one: no frame before it decides (own choice)."""
_LEAST_SINE = 1e-12
"""Lower bound of the sine of an angle; it only avoids a division by zero."""


@dataclass(frozen=True, eq=False)
class Bounds:
    """Soft limits of the coordinates; infinite where there is none."""

    low: FloatArray
    """(N,)."""
    high: FloatArray
    """(N,)."""
    sd_rad: float = LIMIT_SD_RAD
    """Standard deviation of an excess."""

    @classmethod
    def of(cls, ranges: FloatArray) -> Bounds:
        """Soft limits from a model's ranges (N, 2); a range of a full turn or more (the free root) is none."""
        free = ~(ranges[:, 1] - ranges[:, 0] < _FULL_TURN_RAD)
        return cls(np.where(free, -np.inf, ranges[:, 0]), np.where(free, np.inf, ranges[:, 1]), RANGE_SD_RAD)


class MapResult(NamedTuple):
    """Coordinates, and the distances of the bodies from where they are wanted."""

    q: FloatArray
    """(T, N)."""
    residual_m: FloatArray
    """(T, J) distance between joint centres."""
    residual_rad: FloatArray
    """(T, J) angle between bone orientations."""


class Weights(NamedTuple):
    """Inverse standard deviations per body; zero for a body that is not given."""

    centre: Tensor
    """(J,) 1/m."""
    orientation: Tensor
    """(J,) 1/rad."""

    @classmethod
    def of(cls, tree: Tree) -> Weights:
        """The weights of this module, by the names of the bodies."""
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
        iterations: most Gauss-Newton steps after the exact start; a frame of a real motion needs three.
        chunk: frames that are solved together; bounds the memory.
        continuous: whether the frames are a motion; False: they are independent of each other.

    Returns:
        Coordinates, continuous in time for a motion, and the residuals per body.

    Raises:
        InputError: the root joint does not have three translations of its own coordinates.
    """
    if weights is None:
        weights = Weights.of(tree)
    start = _start(tree, centres_m, orientations, bounds, continuous)
    blocks = _blocks(tree, weights)
    solver = BlockCholesky([block.columns for block in blocks], _RIDGE)
    stop = Stop(iterations, step=CONVERGED)

    def place(first: int) -> tuple[Tensor, Tensor, Tensor]:
        frames = slice(first, first + chunk)
        goal = _Goal(tree, centres_m[frames], orientations[frames], bounds, weights, blocks)
        q = minimise(goal, start[frames], solver=solver, damping=_DAMPING, stop=stop, move=_MOVE).x
        pose = tree.forward(q)
        miss_m = (pose.positions_m - centres_m[frames]).norm(dim=-1)
        return q, miss_m, log(orientations[frames].transpose(-1, -2) @ pose.rotations).norm(dim=-1)

    # chunks side by side, each on one thread: threads inside such small matrix products mostly wait for each other
    with one_thread(), ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        parts = list(pool.map(place, range(0, len(start), chunk)))
    return MapResult(*(torch.cat(columns).numpy() for columns in zip(*parts, strict=True)))


class _Block(NamedTuple):
    """n coordinates that are solved together, and the K bodies that decide on them."""

    columns: Tensor
    """(n,)."""
    bodies: Tensor
    """(K,)."""
    centre: Tensor
    """(n, K) weight of the bodies' centres, 0 for a body that the column does not move."""
    turn: Tensor
    """(n, K) squared weight of their orientations; 0 also for bodies that other columns turn freely."""
    turn_pairs: Tensor
    """(n, n) ``turn`` summed over the bodies that both columns move."""


def _blocks(tree: Tree, weights: Weights) -> list[_Block]:
    """Trunk (bodies without a side in their names) and limbs: each side of each chain that leaves the trunk."""
    sided = [name.endswith(("_r", "_l")) for name in tree.bodies]
    chain: list[int] = []  # of each body: the first body of its limb, or -1 for the trunk
    for j, parent in enumerate(tree.parents):
        chain.append(-1 if not sided[j] else j if parent < 0 or not sided[parent] else chain[parent])
    blocks = []
    for first in sorted(set(chain)):
        columns = [n for n, joint in enumerate(tree.owners.tolist()) if joint >= 0 and chain[joint] == first]
        inside = [j for j in range(len(chain)) if chain[j] == first]
        # a limb whose first joint does not translate (the hips) shows where the trunk's joint centre is wanted
        hung = [j for j in range(len(chain)) if first == -1 and chain[j] == j and not tree.joints[j].translations]
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
    """(B,)."""
    pose: TreePose
    miss: Tensor
    """(B, J, 3) of the joint centres."""
    turn: Tensor
    """(B, J, 3) of the orientations."""
    excess: Tensor
    """(B, N) over the limits."""


class _Goal(LeastSquares[_Guess, list[Block]]):
    """Wanted bones of some frames. Each frame is a problem of its own, with one :class:`Block` per part of the body."""

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
    sine = axial(matrix) / 2
    size = sine.norm(dim=-1, keepdim=True).clamp_min(_LEAST_SINE)
    vector: Tensor = sine / size * torch.atan2(size, (trace(matrix)[..., None] - 1) / 2)
    return vector


def _start(tree: Tree, centres: Tensor, orientations: Tensor, bounds: Bounds, continuous: bool) -> Tensor:
    """(T, N) coordinates from the orientation of each bone relative to its parent's."""
    q = torch.zeros(len(centres), len(tree.coordinates), dtype=tree.dtype)
    eye = torch.eye(3, dtype=tree.dtype)
    columns, solutions = [], []
    for j, joint in enumerate(tree.joints):
        above = orientations[:, joint.parent] if joint.parent >= 0 else eye
        local = (above @ tree.parent_rotation[j]).transpose(-1, -2) @ orientations[:, j] @ tree.child_rotation[j]
        linear = [(axis, f) for axis, f in joint.rotations if isinstance(f, Linear)]
        if not linear:
            continue
        axes = torch.tensor(np.array([axis for axis, _ in linear], dtype=np.float64), dtype=tree.dtype)
        functions = [f for _, f in linear]
        inputs = [f.input for f in functions]
        first = angles_about(axes, local)
        if len(linear) == 1:
            angle = values_of(functions, first)
            q[:, inputs] = torch.as_tensor(_turns(angle, bounds.low[inputs], bounds.high[inputs]))
            continue
        second = first * torch.tensor([1.0, -1.0, 1.0], dtype=tree.dtype)[: len(linear)] + np.pi
        columns.append(inputs)
        solutions.append(np.stack([values_of(functions, angles) for angles in (first, second)]))
    if columns:
        _put_nearest(q, columns, solutions, bounds, continuous)
    _root_translation(tree, q, centres, orientations)
    return q


def values_of(functions: Sequence[Linear], angles: Tensor) -> FloatArray:
    """Coordinates whose functions give angles.

    Args:
        functions: n, each of one coordinate.
        angles: (T, n).

    Returns:
        (T, n).
    """
    slope, intercept = np.array([f.slope for f in functions]), np.array([f.intercept for f in functions])
    return np.asarray((angles.numpy() - intercept) / slope)


def _turns(values: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """Choose full turns of angles (T, n): nearest to the middle of the range where there is one, else continuous in time."""
    bounded = np.isfinite(low) & np.isfinite(high)
    middle = np.where(bounded, (np.where(bounded, low, 0) + np.where(bounded, high, 0)) / 2, 0.0)
    near = values - 2 * np.pi * np.round((values - middle) / (2 * np.pi))
    return np.where(bounded, near, np.unwrap(near, axis=0))


def _put_nearest(
    q: Tensor, columns: Sequence[list[int]], solutions: Sequence[FloatArray], bounds: Bounds, continuous: bool
) -> None:
    """Choose for each joint between its two Euler solutions (2, T, n) and their full turns: in range, near the frame before."""
    options, outside = [], []
    for inputs, solution in zip(columns, solutions, strict=True):
        low, high = bounds.low[inputs], bounds.high[inputs]
        turned = np.stack([_turns(values, low, high) for values in solution])  # (2, T, n)
        options.append(turned)
        outside.append((np.maximum(turned - high, 0) + np.maximum(low - turned, 0)).sum(-1))
    penalty = np.stack(outside)  # (joints, 2, T)
    penalty[:, 1] += _SECOND_SOLUTION_RAD
    chosen = _paths(options, penalty) if continuous else penalty.argmin(axis=1)
    for inputs, turned, path in zip(columns, options, chosen, strict=True):
        values = turned[path, np.arange(len(path))]
        if continuous:
            values = _turns(values, bounds.low[inputs], bounds.high[inputs])
        q[:, inputs] = torch.as_tensor(values)


def _paths(options: Sequence[FloatArray], penalty: FloatArray) -> NDArray[np.int64]:
    """(joints, T) cheapest sequence of the two solutions (2, T, n) of every joint, by dynamic programming.

    The cost is the excess over the range, plus the angle between neighbouring frames (full turns are free).
    """
    travel = np.zeros((penalty.shape[2], len(options), 2, 2))  # [frame, joint, from, to]
    for k, angles in enumerate(options):
        steps = angles[None, :, 1:] - angles[:, None, :-1]
        travel[1:, k] = np.abs((steps + np.pi) % (2 * np.pi) - np.pi).sum(-1).transpose(2, 0, 1)
    local = penalty.transpose(2, 0, 1) * _RANGE_PER_TRAVEL
    cost = local[0] * _FIRST_FRAME
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
    """Set the translations of the root, which are linear and act in the fixed frame, from its wanted origin.

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

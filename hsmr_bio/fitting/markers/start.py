"""Where the marker fit starts: a few anchor frames solved from the rest pose, the others interpolated."""

from __future__ import annotations

from dataclasses import replace
from math import pi

import numpy as np
import torch
from torch import Tensor

from ...errors import EstimationError
from ...kinematics.linear_solvers import ActiveSet
from ...types import FloatArray
from .solver import MarkerProblem, Tolerance, solve

_MIN_MARKERS = 3
_SAME_COST = 1.02
_ROUGH = Tolerance(1e-3, 1e-3)
"""Good enough to start from: the frames are polished afterwards."""
_CHUNK = 1024
_ROUNDS = 30


def anchor_frames(problem: MarkerProblem, time_s: FloatArray, step_s: float) -> Tensor:
    """Pick the frame with most markers of every ``step_s``; a frame with less than half of the usual ones is none.

    Returns:
        (A,) frame numbers, increasing.

    Raises:
        EstimationError: no frame has three markers.
    """
    seen = (problem.weights > 0).sum(-1).numpy()
    usable = np.flatnonzero(seen >= max(_MIN_MARKERS, 0.5 * np.median(seen)))
    if len(usable) == 0 or seen.max() < _MIN_MARKERS:
        raise EstimationError(
            f"no frame shows {_MIN_MARKERS} of the model's markers; at most {int(seen.max())} are seen at once"
        )
    window = np.floor((time_s[usable] - time_s[usable[0]]) / step_s)
    best = [usable[window == number][np.argmax(seen[usable[window == number]])] for number in np.unique(window)]
    return torch.tensor([int(frame) for frame in best])


def solve_anchors(problem: MarkerProblem, anchors: Tensor, bounds: ActiveSet, *, jump_rad: float) -> Tensor:
    """Solve the anchor frames from scratch and make them agree with each other.

    Returns:
        (A, N).
    """
    start = torch.cat([_placed(problem, part, bounds) for part in torch.split(anchors, _CHUNK)])
    start = without_turns(problem, start)
    chunks = zip(torch.split(start, _CHUNK), torch.split(anchors, _CHUNK), strict=True)
    parts = [solve(problem, q, frames, bounds, tolerance=_ROUGH) for q, frames in chunks]
    q, cost = torch.cat([part.x for part in parts]), torch.cat([part.cost for part in parts])
    q, _ = agree(problem, q, cost, anchors, bounds, jump_rad=jump_rad, tolerance=_ROUGH)
    return q


def agree(
    problem: MarkerProblem,
    q: Tensor,
    cost: Tensor,
    frames: Tensor,
    bounds: ActiveSet,
    *,
    jump_rad: float,
    tolerance: Tolerance,
) -> tuple[Tensor, Tensor]:
    """Where neighbours are far apart, let each start from the other's solution, and keep what fits better.

    Of two solutions that fit alike the later frame takes the earlier one's, so that a branch lasts.

    Args:
        problem: the markers.
        q: (A, N) solutions in order of time.
        cost: (A,).
        frames: (A,) their frames.
        bounds: of the coordinates.
        jump_rad: what counts as far, in any coordinate.
        tolerance: for :func:`~hsmr_bio.fitting.markers.solver.solve`.

    Returns:
        The new ``q`` and ``cost``.
    """
    q, cost = without_turns(problem, q), cost.clone()
    settled = torch.zeros(max(len(q) - 1, 0), dtype=torch.bool)
    for _ in range(_ROUNDS):
        far = ((q[1:] - q[:-1]).abs() * bounds.free).amax(-1) > jump_rad
        first = torch.nonzero(far & ~settled).flatten()
        if len(first) == 0:
            break
        here, there = torch.cat([first + 1, first]), torch.cat([first, first + 1])
        again = solve(problem, q[there], frames[here], bounds, tolerance=tolerance)
        nearer = (again.x - q[there]).abs().amax(-1) < (q[here] - q[there]).abs().amax(-1)
        equal = (again.cost < _SAME_COST * cost[here]) & nearer & (here > there)
        accept = (again.cost < cost[here] / _SAME_COST) | equal
        settled[first] = True
        for row in torch.nonzero(accept).flatten().tolist():
            frame = int(here[row])
            if again.cost[row] < _SAME_COST * cost[frame]:
                q[frame], cost[frame] = again.x[row], again.cost[row]
                settled[max(frame - 1, 0) : frame + 1] = False
    return q, cost


def without_turns(problem: MarkerProblem, q: Tensor) -> Tensor:
    """Take full turns between neighbours out of the unbounded angles; (A, N) in order of time."""
    out = q.clone()
    columns = torch.nonzero(problem.periodic).flatten()
    out[:, columns] = torch.as_tensor(np.unwrap(q[:, columns].numpy(), axis=0))
    return out


def interpolate(time_s: FloatArray, anchors: Tensor, values: Tensor) -> Tensor:
    """(T, N) values between anchors (A,), linear in time, constant beyond the ends."""
    known_s = time_s[anchors.numpy()]
    return torch.as_tensor(np.stack([np.interp(time_s, known_s, column) for column in values.numpy().T], axis=-1))


def _placed(problem: MarkerProblem, frames: Tensor, bounds: ActiveSet) -> Tensor:
    """(A, N) rest pose with the root moved to the markers, within half a turn of its rest.

    From the rest pose damped Gauss-Newton finds the root's heading by itself: in 240 random poses of BSM, of every
    orientation of the root, several starting turns found no more than this one.
    """
    turning = _turning(problem)
    of_root = problem.tree.ancestors[0] & bounds.free
    start = problem.rest[frames]
    q = solve(problem, start, frames, replace(bounds, free=of_root), tolerance=_ROUGH, max_iterations=12).x
    columns = [n for n in turning if bounds.free[n]]
    rest = start[:, columns]
    q[:, columns] = torch.remainder(q[:, columns] - rest + pi, 2 * pi) - pi + rest
    return q


def _turning(problem: MarkerProblem) -> list[int]:
    """Coordinates of the root that turn it."""
    omega, _ = problem.tree.forward(problem.rest[:1]).twists()
    return torch.nonzero((omega[0].norm(dim=-1) > 0.5) & problem.tree.ancestors[0]).flatten().tolist()

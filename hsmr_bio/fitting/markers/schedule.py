"""Order in which the frames of a marker problem are solved.

Anchor frames are solved from the rest pose, the others from coordinates interpolated between the anchors; then neighbours that
are far apart are solved from each other's solutions.
"""

from __future__ import annotations

from dataclasses import replace
from math import pi

import numpy as np
import torch
from torch import Tensor

from ...errors import EstimationError
from ...filtering import interpolate
from ...kinematics.linear_solvers import ActiveSet
from ...types import FloatArray, Progress, quiet
from .solver import FINE, MarkerProblem, Tolerance, solve

MIN_MARKERS = 3
"""Markers that determine a pose of the root."""
_ANCHOR_STEP_S = 0.15
"""Time between anchors, so short that interpolation is a good start (own choice: a sprinter's knee turns 1.5 rad)."""
_ANCHOR_SHARE = 0.5
"""An anchor shows at least this share of the median number of markers (own choice)."""
_ANCHOR_JUMP_RAD = 1.0
"""Difference between neighbouring anchors that suggests two ways to write the same rotation (own choice)."""
_FRAME_JUMP_RAD = 0.8
"""The same between neighbouring frames (own choice)."""
_SAME_COST = 1.02
"""Costs whose ratio is below this are the same (own choice)."""
_ROUGH = Tolerance(1e-3, 1e-3)
"""Tolerance of the anchors, which are only starts."""
_ROOT_STEPS = 12
"""Steps by which the root alone is brought to the markers."""
_TURNS = 0.5
"""Angular velocity per unit of a coordinate above which the coordinate turns the root; 1 for an angle, 0 for a translation."""
_CHUNK = 1024
"""Frames that are solved together; bounds the memory."""
_ROUNDS = 30
"""Most rounds in which neighbours are compared."""


def solve_frames(
    problem: MarkerProblem, time_s: FloatArray, bounds: ActiveSet, usual: ActiveSet, progress: Progress
) -> FloatArray:
    """Solve every frame of a motion.

    Args:
        problem: the markers of T frames.
        time_s: (T,).
        bounds: of the coordinates.
        usual: narrower bounds, of the anchors.
        progress: called with the number of frames that are done.

    Returns:
        (T, N) coordinates; interpolated in frames without a marker.

    Raises:
        EstimationError: no frame shows three markers.
    """
    with torch.no_grad():
        anchors = _anchor_frames(problem, time_s)
        start = _interpolated(time_s, anchors, _solved_anchors(problem, anchors, usual))
        problem = replace(problem, rest=start)  # what no marker shows in a frame stays as it is around it
        frames = torch.arange(len(time_s))
        q, cost = _solved(problem, start, frames, bounds, FINE, progress)
        q = _agreeing(problem, q, cost, frames, bounds, _FRAME_JUMP_RAD, FINE)
        unseen = problem.weights.sum(-1) == 0
        if bool(unseen.any()) and not bool(unseen.all()):
            q = _interpolated(time_s, torch.nonzero(~unseen).flatten(), q[~unseen])
            if problem.loops is not None:
                between = torch.nonzero(unseen).flatten()
                q[between], _ = _solved(replace(problem, rest=q), q[between], between, bounds, FINE)
    return np.asarray(q.numpy())


def _solved(
    problem: MarkerProblem, start: Tensor, frames: Tensor, bounds: ActiveSet, tolerance: Tolerance, progress: Progress = quiet
) -> tuple[Tensor, Tensor]:
    """Coordinates (A, N) and costs (A,) of frames (A,), solved chunk by chunk from (A, N)."""
    parts = []
    for q, chunk in zip(start.split(_CHUNK), frames.split(_CHUNK), strict=True):
        parts.append(solve(problem, q, chunk, bounds, tolerance=tolerance))
        progress("inverse kinematics", int(chunk[-1]) + 1, len(frames))
    return torch.cat([part.x for part in parts]), torch.cat([part.cost for part in parts])


def _anchor_frames(problem: MarkerProblem, time_s: FloatArray) -> Tensor:
    """(A,) the frame with most markers of every ``_ANCHOR_STEP_S``, among those that show about as many as usual."""
    seen = (problem.weights > 0).sum(-1).numpy()
    usable = np.flatnonzero(seen >= max(MIN_MARKERS, _ANCHOR_SHARE * np.median(seen)))
    if len(usable) == 0:
        raise EstimationError(f"no frame shows {MIN_MARKERS} of the model's markers; at most {seen.max()} are seen at once")
    window = np.floor((time_s[usable] - time_s[usable[0]]) / _ANCHOR_STEP_S)
    best = [usable[window == number][np.argmax(seen[usable[window == number]])] for number in np.unique(window)]
    return torch.tensor([int(frame) for frame in best])


def _solved_anchors(problem: MarkerProblem, anchors: Tensor, bounds: ActiveSet) -> Tensor:
    """(A, N) anchor frames solved from the rest pose, then brought into agreement with each other."""
    start = torch.cat([_root_placed(problem, part, bounds) for part in anchors.split(_CHUNK)])
    q, cost = _solved(problem, _without_turns(problem, start), anchors, bounds, _ROUGH)
    return _agreeing(problem, q, cost, anchors, bounds, _ANCHOR_JUMP_RAD, _ROUGH)


def _agreeing(
    problem: MarkerProblem, q: Tensor, cost: Tensor, frames: Tensor, bounds: ActiveSet, jump_rad: float, tolerance: Tolerance
) -> Tensor:
    """(A, N) solutions in order of time; neighbours that are far apart are solved again from each other's solutions.

    The better solution is kept; where both fit alike the later frame takes that of the earlier one, so that angles stay on one
    branch. Neighbours are far apart if any coordinate differs by more than ``jump_rad``.
    """
    q, cost = _without_turns(problem, q), cost.clone()
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
    return q


def _without_turns(problem: MarkerProblem, q: Tensor) -> Tensor:
    """(A, N) coordinates in order of time, without full turns between neighbours in the unbounded angles."""
    out = q.clone()
    columns = torch.nonzero(problem.periodic).flatten()
    out[:, columns] = torch.as_tensor(np.unwrap(q[:, columns].numpy(), axis=0))
    return out


def _interpolated(time_s: FloatArray, anchors: Tensor, values: Tensor) -> Tensor:
    """(T, N) values (A, N) at anchors (A,), linear in time between them, constant beyond the ends."""
    return torch.as_tensor(interpolate(time_s, time_s[anchors.numpy()], values.numpy()))


def _root_placed(problem: MarkerProblem, frames: Tensor, bounds: ActiveSet) -> Tensor:
    """(A, N) rest pose with the root moved to the markers, within half a turn of its rest.

    From the rest pose damped Gauss-Newton finds the root's heading by itself: in 240 random poses of BSM, of every
    orientation of the root, several starting headings found no more than this one.
    """
    start, of_root = problem.rest[frames], problem.tree.ancestors[0] & bounds.free
    only_root = replace(bounds, free=of_root)
    q = solve(problem, start, frames, only_root, tolerance=_ROUGH, max_iterations=_ROOT_STEPS).x
    omega, _ = problem.tree.forward(problem.rest[:1]).twists()
    turning = torch.nonzero((omega[0].norm(dim=-1) > _TURNS) & of_root).flatten()
    rest = start[:, turning]
    q[:, turning] = torch.remainder(q[:, turning] - rest + pi, 2 * pi) - pi + rest
    return q

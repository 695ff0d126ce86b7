"""Fits the angles of a body of known shape to joint centres, many frames at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from recordings import POINTS, SIDES, Array

from hsmr_bio.body.body import Body
from hsmr_bio.body.placing import SKEL_TO_WORLD, rotate_motion
from hsmr_bio.fitting.core.body_points import attach
from hsmr_bio.fitting.core.priors import posture_terms, smoothness
from hsmr_bio.fitting.core.problem import PointSet, Problem, State
from hsmr_bio.fitting.core.terms import Positions
from hsmr_bio.fitting.video.joint_centres import JOINT_OF_POINT, START_SIGMAS_M, TORSO
from hsmr_bio.fitting.video.start import fill_gaps, root_orientations, standing, unwrapped
from hsmr_bio.kinematics.solve import Stop
from hsmr_bio.skeleton import JOINT_NAMES
from hsmr_bio.types import SkelMotion

JOINTS = [JOINT_NAMES.index(f"{JOINT_OF_POINT[name[:-2]]}_{name[-1]}") for name in POINTS]
"""SKEL joint of each point."""
SIGMA_M = {"shoulder": 0.03, "toe": 0.03}
"""Deviation of the targets (chosen): a shoulder blade does not follow an acromion marker, an ankle not a dancer's pointe."""
_SIGMA_M = 0.01
"""Of all other targets: they have the body's own lengths (chosen)."""
_FOCAL_PX = 1000.0
"""There is no camera; any focal length serves."""
_START, _LAST = Stop(12, cost=1e-3), Stop(15, cost=1e-3)


@dataclass(frozen=True, eq=False)
class Fitted:
    """A motion, and how far its joints are from the targets."""

    motion: SkelMotion
    """In the world frame."""
    distances_m: Array
    """(T, 14), NaN where there is no target."""


def fit_held(body: Body, betas: Array, time_s: Array, targets_m: Array) -> Fitted:
    """Fit angles and translation.

    Args:
        body: the body.
        betas: (10,), held.
        time_s: (T,) increasing; trials may follow one another with gaps of more than a second, which are not smoothed over.
        targets_m: (T, 14, 3) in the order of ``POINTS``, y up; NaN where not known.

    Returns:
        The motion.
    """
    level = targets_m @ SKEL_TO_WORLD

    def points(at: Array, _offsets_m: Array) -> PointSet:
        return attach(body, at, JOINTS, body.rest(at).joints_m[JOINTS], body.rest_jacobian(at)[0][JOINTS])

    torso = [POINTS.index(name) for name in TORSO]
    q = standing(unwrapped(time_s, root_orientations(body, level, points(np.zeros(10), np.zeros((8, 3))), torso)))
    q[:, 46:] = fill_gaps(time_s, level[:, torso[:2]].mean(axis=1)) - body.rest(betas).joints_m[JOINTS][torso[:2]].mean(axis=0)
    state = State(torch.as_tensor(q), betas, np.zeros(2), 0.0, _FOCAL_PX)
    last = torch.tensor([SIGMA_M.get(name[:-2], _SIGMA_M) for name in POINTS], dtype=torch.float64)
    for stage, (sigma_m, stop) in enumerate(((START_SIGMAS_M[0], _START), (START_SIGMAS_M[1], _START), (last, _LAST))):
        target = torch.as_tensor(level)
        sigma = torch.where(torch.isfinite(target).all(dim=-1), torch.as_tensor(sigma_m), torch.inf)
        terms = [Positions("joints", target, sigma, None, robust=False), *posture_terms(straight=False), smoothness(time_s)]
        problem = Problem(body, {"joints": points}, terms)
        state = problem.minimise(state, stop)
        if stage == 1:
            level = _arms_at(problem.view(state).points("joints").numpy(), level)
    solved = state.q.numpy()
    motion = SkelMotion(
        time_s=time_s, poses_rad=solved[:, :46], trans_m=solved[:, 46:], betas=betas, body=body.name, frame="skel"
    )
    world = rotate_motion(motion, body, SKEL_TO_WORLD, frame="world")
    found = body.forward(world.poses_rad, betas, world.trans_m).joints_m.numpy()[:, JOINTS]
    return Fitted(world, np.linalg.norm(found - level @ SKEL_TO_WORLD.T, axis=2))


def _arms_at(found: Array, targets_m: Array) -> Array:
    """Targets whose arms begin at the body's own shoulders, in the recorded directions."""
    moved = targets_m.copy()
    for side in SIDES:
        shoulder, *arm = (POINTS.index(f"{place}_{side}") for place in ("shoulder", "elbow", "wrist"))
        moved[:, arm] += (found[:, shoulder] - targets_m[:, shoulder])[:, None]
    return moved

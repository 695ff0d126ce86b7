"""SKEL betas that fit an SMPL motion, for files that do not share their shape space.

Betas are one vector for the whole motion, so the normal equations are a block per frame with a border of ten columns. The
frames are eliminated first (Schur complement), then the border is solved.
"""

from __future__ import annotations

import numpy as np
import torch

from ...body.shape_motion import ShapeMotion
from ...kinematics.linear_solvers import Bordered, Schur
from ...types import FloatArray
from .skin_problem import Posed, SkinProblem, SmplFitter, joint_rows
from .start import part_rotations, place_bones

_FRAMES = 48
"""Frames, spread over the motion, that betas are fitted to."""
_ROUNDS = 5
"""Steps of the betas (own choice)."""
_STEPS = 3
"""Steps of the angles before each step of the betas (own choice)."""
_DAMPING = torch.tensor([1e-6], dtype=torch.float64)
"""Almost none: the start is SMPL's own shape."""
_PULL_M2 = 1e-6
"""Weight of the prior on SMPL's betas: one standard deviation costs 1 mm of mean skin distance."""


def refined_betas(
    fitter: SmplFitter, rotations: FloatArray, trans_m: FloatArray, betas: FloatArray, axes: FloatArray
) -> FloatArray:
    """Fit SKEL's betas to an SMPL motion.

    Args:
        fitter: of the pair of files.
        rotations: (T, 24, 3, 3) of SMPL.
        trans_m: (T, 3).
        betas: (10,) of SMPL: the start and the centre of the prior.
        axes: (3, 3) rotation from the axes of the motion to those of the result.

    Returns:
        (10,) betas of SKEL.
    """
    chosen = np.unique(np.linspace(0, len(rotations) - 1, min(_FRAMES, len(rotations))).round().astype(int))
    local, to_skel = torch.tensor(rotations[chosen]), torch.tensor(axes)
    joints, points = fitter.targets(local, torch.tensor(trans_m[chosen]), torch.tensor(betas[None]), to_skel)
    sample, target = fitter.stages[-1][0], points[-1]
    q = torch.as_tensor(place_bones(fitter.body, betas, to_skel @ part_rotations(local), joints, continuous=False))
    now = betas.copy()
    with torch.no_grad():
        for _ in range(_ROUNDS):
            problem = SkinProblem(fitter.body, torch.tensor(now[None]), joints, fitter.options, sample, target)
            posed = problem.solve(q, _STEPS)
            system = _equations(problem, posed, now - betas, ShapeMotion.of(fitter.body, now))
            step = Schur().step(system, posed.q, _DAMPING)[0]
            now, q = now + step[-10:].numpy(), posed.q + step[:-10].view_as(q)
    return now


def _equations(problem: SkinProblem, posed: Posed, away: FloatArray, motion: ShapeMotion) -> Bordered:
    """Normal equations of the angles (T, 49) and of the betas, which differ by ``away`` (10,) from SMPL's."""
    q, skin = posed.q, posed.skin
    _, gradient, hessian = problem.equations(posed)
    by_betas, border, mixed = skin.beta_equations(motion, problem.target, problem.weight)
    rows, beta_rows = joint_rows(skin.pose), motion.bone_motion(skin.pose)[1].reshape(len(q), 72, -1)
    miss = (skin.pose.positions_m - problem.joints).reshape(len(q), 72, 1)
    share, pull = problem.joint_weight, _PULL_M2 * len(q)
    by_betas = by_betas + share * (beta_rows.transpose(1, 2) @ miss)[..., 0]
    border = border + share * beta_rows.transpose(1, 2) @ beta_rows
    return Bordered(
        own=hessian,
        own_gradient=gradient,
        mixed=mixed + share * rows.transpose(1, 2) @ beta_rows,
        shared=border.sum(0),
        shared_gradient=by_betas.sum(0) + pull * torch.tensor(away),
        pull=pull,
    )

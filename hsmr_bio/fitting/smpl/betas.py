"""SKEL betas that fit an SMPL motion, for files that do not share their shape space.

Betas are one vector for the whole motion, so the normal equations are a block per frame with a border of ten columns: the
frames are eliminated first (Schur complement), then the border is solved.
"""

from __future__ import annotations

import numpy as np
import torch

from ...body.shape_motion import ShapeMotion
from ...types import FloatArray
from .skin_points import PosedSkin
from .skin_problem import SkinProblem, SmplFitter, joint_rows
from .start import part_rotations, start_angles

_FRAMES = 48
"""Frames, spread over the motion, that betas are fitted to."""
_ROUNDS = 5
_PULL = 1e-6
"""Pull of betas towards SMPL's: one standard deviation costs 1 mm of mean skin distance."""


def refined_betas(
    fitter: SmplFitter, rotations: FloatArray, trans_m: FloatArray, betas: FloatArray, turn: FloatArray
) -> FloatArray:
    """Fit SKEL's betas.

    Args:
        fitter: of the pair of files.
        rotations: (T, 24, 3, 3) of SMPL.
        trans_m: (T, 3).
        betas: (10,) of SMPL; the start, and where the betas are pulled to.
        turn: (3, 3) applied to the SMPL body before.

    Returns:
        (10,) betas of SKEL.
    """
    chosen = np.unique(np.linspace(0, len(rotations) - 1, min(_FRAMES, len(rotations))).round().astype(int))
    local, turned = torch.tensor(rotations[chosen]), torch.tensor(turn)
    joints, points = fitter.targets(local, torch.tensor(trans_m[chosen]), torch.tensor(betas[None]), turned)
    sample, target = fitter.stages[-1][0], points[-1]
    q = start_angles(fitter.body, betas, turned @ part_rotations(local), joints, continuous=False)
    now = betas.copy()
    with torch.no_grad():
        for _ in range(_ROUNDS):
            problem = SkinProblem(fitter.body, torch.tensor(now[None]), joints, fitter.options)
            q, skin = problem.solve(sample, target, q, 3)
            step, moved = _step(fitter, problem, skin, target, q, now - betas, ShapeMotion.of(fitter.body, now))
            now, q = now + step, q + moved
    return now


def _step(
    fitter: SmplFitter,
    problem: SkinProblem,
    skin: PosedSkin,
    target: torch.Tensor,
    q: torch.Tensor,
    away: FloatArray,
    motion: ShapeMotion,
) -> tuple[FloatArray, torch.Tensor]:
    """One Gauss-Newton step of betas (10,) and of the angles (T, 49) that go with it."""
    weight = skin.sample.share.expand(len(q), -1)
    gradient, hessian = problem.equations(skin, target, weight, q)
    by_betas, border, mixed = skin.beta_equations(motion, target, weight)
    rows, beta_rows = joint_rows(skin.pose), motion.bone_motion(skin.pose)[1].reshape(len(q), 72, -1)
    miss = (skin.pose.positions_m - problem.joints).reshape(len(q), 72, 1)
    share = fitter.options.joint_share / 24
    by_betas = by_betas + share * (beta_rows.transpose(1, 2) @ miss)[..., 0]
    border = border + share * beta_rows.transpose(1, 2) @ beta_rows
    mixed = mixed + share * rows.transpose(1, 2) @ beta_rows
    damped = hessian + torch.diag_embed(1e-6 * hessian.diagonal(dim1=1, dim2=2) + 1e-9)
    solved = torch.linalg.solve(damped, torch.cat([mixed, gradient[..., None]], dim=-1))
    schur = (border - mixed.transpose(1, 2) @ solved[..., :10]).sum(0)
    right = (by_betas - (mixed.transpose(1, 2) @ solved[..., 10:])[..., 0]).sum(0)
    pull = _PULL * len(q)
    step = -torch.linalg.solve(schur + pull * torch.eye(10, dtype=q.dtype), right + pull * torch.tensor(away))
    return step.numpy(), -(solved[..., 10] + solved[..., :10] @ step)

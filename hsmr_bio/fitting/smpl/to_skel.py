"""SMPL motion to SKEL motion: the same skin, with bones inside.

Betas are the same in both (SKEL shares SMPL's shape space). Per frame, 46 angles and the translation are found so that SKEL's
skin comes onto SMPL's, by damped Gauss-Newton with analytic Jacobians on a sample of the skin and the 24 anatomical joints
that SKEL's regressor finds on the posed SMPL skin. Joint limits are soft. Every frame starts from its own SMPL rotations, so
frames do not depend on each other and any number of them is done in constant memory.

Source:
    Goal and joint regressor: Keller et al. 2023 (SKEL). Damping: Marquardt 1963.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from ...body.body import Body
from ...body.placing import near_branch
from ...body.smpl_model import SmplModel
from ...errors import InputError
from ...skeleton import LIMITS_RAD
from ...types import FloatArray, Progress, SkelMotion, quiet
from .betas import refined_betas
from .skin_problem import DEFAULT_OPTIONS, SmplFitOptions, SmplFitter, check_pair
from .smpl_motion import SmplMotion


@dataclass(frozen=True, eq=False, kw_only=True)
class SmplFit:
    """SKEL motion with how well it carries the SMPL skin."""

    motion: SkelMotion
    vertex_error_m: FloatArray
    """(T,) mean distance between SKEL's and SMPL's skin, over the sampled vertices."""
    joint_error_m: FloatArray
    """(T,) mean distance of the 24 anatomical joints."""
    limit_excess_rad: FloatArray
    """(T, 46) how far each angle lies beyond SKEL's own limits (0 inside)."""
    lost: tuple[str, ...] = field(default=())
    """What the conversion could not carry over, in words."""


def smpl_to_skel(
    motion: SmplMotion,
    smpl: SmplModel,
    body: Body,
    options: SmplFitOptions = DEFAULT_OPTIONS,
    *,
    progress: Progress = quiet,
) -> SmplFit:
    """Convert a motion.

    Args:
        motion: with rotations and betas; its axes may be z-up or those of a camera.
        smpl: the user's SMPL file of the same sex as ``body``.
        body: the user's SKEL file.
        options: of the fit.
        progress: told about frames.

    Returns:
        The SKEL motion in the skel frame (y up), or in the camera frame for motions given there.

    Raises:
        InputError: rotations or betas are missing, betas change within the motion, or the body has another mesh than SMPL.
    """
    if motion.rotations is None or motion.betas is None:
        raise InputError("SMPL rotations and betas are needed to fit the skin; with joints alone use the open body")
    check_pair(smpl, body)
    lost = []
    betas = motion.betas
    if betas.ndim == 2:
        spread = float(np.ptp(betas, axis=0).max())
        lost += [f"betas changed from frame to frame (by up to {spread:.2g}); their median is kept"] if spread > 1e-6 else []
        betas = np.median(betas, axis=0)
    trans = np.zeros((len(motion.time_s), 3)) if motion.trans_m is None else motion.trans_m
    fitter = SmplFitter(smpl, body, options)
    turn = motion.to_skel_axes
    betas_skel = refined_betas(fitter, motion.rotations, trans, betas, turn) if options.refine_betas else betas
    parts = []
    for frames in _chunks(len(trans), options.chunk):
        parts.append(fitter.fit(motion.rotations[frames], trans[frames], betas, turn=turn, skel_betas=betas_skel))
        progress("SMPL to SKEL", frames.stop, len(trans))
    q, vertex, joint = (np.concatenate(column) for column in zip(*parts, strict=True))
    q[:, :46] = unwrapped(q[:, :46])
    notes = {"smpl_vertex_error_mm": float(vertex.mean() * 1e3), "smpl_joint_error_mm": float(joint.mean() * 1e3), "lost": lost}
    skel = SkelMotion(
        time_s=motion.time_s,
        poses_rad=q[:, :46],
        trans_m=q[:, 46:],
        betas=betas_skel,
        body=body.name,
        frame=motion.frame,
        source=motion.source,
        notes={**motion.notes, **notes},
    )
    return SmplFit(
        motion=skel,
        vertex_error_m=vertex,
        joint_error_m=joint,
        limit_excess_rad=limit_excess(skel.poses_rad),
        lost=tuple(lost),
    )


def limit_excess(poses_rad: FloatArray) -> FloatArray:
    """(T, 46) how far angles lie beyond SKEL's limits, rad; 0 inside and where there is no limit."""
    low, high = LIMITS_RAD.T
    with np.errstate(invalid="ignore"):
        excess = np.maximum(np.maximum(poses_rad - high, low - poses_rad), 0)
    return np.asarray(np.nan_to_num(excess, nan=0.0))


def unwrapped(poses_rad: FloatArray) -> FloatArray:
    """(T, 46) angles without jumps of the root: full turns, and the two Euler solutions (other joints have limits)."""
    result = poses_rad.copy()
    result[:, :3] = near_branch(poses_rad[:, :3])
    return result


def _chunks(total: int, size: int) -> Iterator[slice]:
    for first in range(0, total, size):
        yield slice(first, min(first + size, total))

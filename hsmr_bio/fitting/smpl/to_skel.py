"""SMPL motion to SKEL motion: the same skin, with bones inside.

Betas are the same in both (SKEL shares SMPL's shape space). The 46 angles and the translation of each frame bring SKEL's skin
onto SMPL's, by damped Gauss-Newton with analytic Jacobians on a sample of the skin and the 24 anatomical joints that SKEL's
regressor finds on the posed SMPL skin. Joint limits are soft. Every frame starts from its own SMPL rotations, so frames do not
depend on each other and memory does not grow with their number.

Source:
    Goal and joint regressor: Keller et al. 2023 (SKEL). Damping: Marquardt 1963.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...body.body import Body
from ...body.placing import near_branch
from ...body.smpl_model import SmplModel
from ...checks.limits import excess_over
from ...errors import InputError
from ...skeleton import LIMITS_RAD, fit_bounds
from ...types import FloatArray, Progress, SkelMotion, quiet
from .betas import refined_betas
from .skin_problem import DEFAULT_OPTIONS, SmplFitOptions, SmplFitter, check_pair
from .smpl_motion import SmplMotion

_CHANGED_BETAS = 1e-6
"""Betas that differ by less from frame to frame are the same: files round them."""


@dataclass(frozen=True, eq=False, kw_only=True)
class SmplFit:
    """SKEL motion, and how well it reproduces the SMPL motion."""

    motion: SkelMotion
    vertex_error_m: FloatArray
    """(T,) mean distance between SKEL's and SMPL's skin, over the sampled vertices; NaN without a common skin."""
    joint_error_m: FloatArray
    """(T,) mean distance of the joints."""
    lost: tuple[str, ...] = field(default=())
    """What the conversion could not carry over, in words."""

    @classmethod
    def of(
        cls,
        source: SmplMotion,
        body: Body,
        betas: FloatArray,
        q: FloatArray,
        *,
        vertex_error_m: FloatArray,
        joint_error_m: FloatArray,
        lost: list[str],
        notes: dict[str, Any] | None = None,
    ) -> SmplFit:
        """Build the motion from fitted frames; the root's angles become continuous in time.

        Args:
            source: the SMPL motion.
            body: whose angles they are.
            betas: (10,) of the body.
            q: (T, 49) angles and translation.
            vertex_error_m: (T,).
            joint_error_m: (T,).
            lost: what the conversion could not carry over.
            notes: added to those of the SMPL motion.

        Returns:
            The fit.
        """
        poses = q[:, :46].copy()
        poses[:, :3] = near_branch(poses[:, :3])  # the other angles have limits
        motion = SkelMotion(
            time_s=source.time_s,
            poses_rad=poses,
            trans_m=q[:, 46:],
            betas=betas,
            body=body.name,
            frame=source.frame,
            source=source.source,
            notes={**source.notes, **(notes or {}), "lost": lost},
        )
        return cls(motion=motion, vertex_error_m=vertex_error_m, joint_error_m=joint_error_m, lost=tuple(lost))

    @property
    def limit_excess_rad(self) -> FloatArray:
        """(T, 46) how far each angle lies beyond SKEL's own limits (0 inside)."""
        return limit_excess(self.motion.poses_rad)


def smpl_to_skel(
    motion: SmplMotion,
    smpl: SmplModel,
    body: Body,
    options: SmplFitOptions = DEFAULT_OPTIONS,
    *,
    progress: Progress = quiet,
) -> SmplFit:
    """Convert an SMPL motion to a SKEL body with the same skin.

    Args:
        motion: with rotations and betas; its axes may be z-up or those of a camera.
        smpl: the user's SMPL file of the same sex as ``body``.
        body: the user's SKEL file.
        options: of the fit.
        progress: called with the number of frames that are done.

    Returns:
        The SKEL motion in the skel frame (y up), or in the camera frame for motions given there.

    Raises:
        InputError: rotations or betas are missing, or the body has another mesh than SMPL.
    """
    if motion.rotations is None or motion.betas is None:
        raise InputError("SMPL rotations and betas are needed to fit the skin; with joints alone use the open body")
    check_pair(smpl, body)
    lost = []
    betas = motion.betas
    if betas.ndim == 2:
        spread = float(np.ptp(betas, axis=0).max())
        if spread > _CHANGED_BETAS:
            lost.append(f"betas changed from frame to frame (by up to {spread:.2g}); their median is kept")
        betas = np.median(betas, axis=0)
    trans = np.zeros((len(motion.time_s), 3)) if motion.trans_m is None else motion.trans_m
    fitter = SmplFitter(smpl, body, options)
    axes = motion.to_skel_axes
    betas_skel = refined_betas(fitter, motion.rotations, trans, betas, axes) if options.refine_betas else betas
    parts = []
    for first in range(0, len(trans), options.chunk):
        frames = slice(first, min(first + options.chunk, len(trans)))
        parts.append(fitter.fit(motion.rotations[frames], trans[frames], betas, axes=axes, skel_betas=betas_skel))
        progress("SMPL to SKEL", frames.stop, len(trans))
    q, vertex, joint = (np.concatenate(column) for column in zip(*parts, strict=True))
    notes = {"smpl_vertex_error_mm": float(vertex.mean() * 1e3), "smpl_joint_error_mm": float(joint.mean() * 1e3)}
    return SmplFit.of(motion, body, betas_skel, q, vertex_error_m=vertex, joint_error_m=joint, lost=lost, notes=notes)


def limit_excess(poses_rad: FloatArray) -> FloatArray:
    """(T, 46) how far angles lie beyond SKEL's limits, rad; 0 inside and where there is no limit."""
    return excess_over(poses_rad, *fit_bounds(LIMITS_RAD)[:46].T)

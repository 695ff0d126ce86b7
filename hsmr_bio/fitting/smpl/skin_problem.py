"""Fit of SKEL's skin and joints to those of a posed SMPL body, many frames at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...body.body import Body
from ...body.forward import Rest
from ...body.smpl_model import SmplModel
from ...errors import InputError
from ...kinematics.linear_solvers import Cholesky, Dense
from ...kinematics.solve import Clip, Factors, LeastSquares, Stop, minimise
from ...kinematics.tree import Tree, TreePose
from ...skeleton import LIMITS_WITH_REST_RAD, fit_bounds
from ...types import FloatArray
from .skin_points import PosedSkin, SkinSample, sample_skin
from .start import part_rotations, place_bones


@dataclass(frozen=True, kw_only=True)
class SmplFitOptions:
    """Options of the conversion from SMPL to SKEL."""

    points: int = 400
    """Vertices of the skin in the last steps."""
    coarse_points: int = 120
    """Vertices of the skin in the first steps."""
    steps: int = 4
    """Number of last steps."""
    coarse_steps: int = 3
    """Number of first steps."""
    joint_share: float = 0.24
    """Weight of the mean squared distance of the 24 joints, where that of the skin is 1."""
    limit_mm_per_deg: float = 4.0
    """Mean distance of the skin that costs as much as an angle one degree beyond its limit."""
    chunk: int = 256
    """Frames that are solved together; bounds the memory."""
    refine_betas: bool = False
    """Whether betas are fitted too, starting from SMPL's (for SKEL and SMPL files that do not share their shape space)."""


DEFAULT_OPTIONS = SmplFitOptions()
_DAMPING = Factors(start=1e-3, shrink=0.2, growth=10.0)
"""Own choice; the first guess is a few degrees off."""
_RIDGE_M2 = 1e-9
"""Added to the diagonal of the normal equations, for angles that move neither skin nor joints."""
_MOVE = Clip(torch.tensor(0.6, dtype=torch.float64))
"""Largest change of an angle or a translation in a step (rad, m)."""
_REST_PULL_M2 = 1e-7
"""Weight of the prior on zero angles: one radian costs 0.3 mm of mean skin distance; it decides what the skin does not show."""


class Fitted(NamedTuple):
    """Fitted frames."""

    q: FloatArray
    """(T, 49) angles and translation."""
    vertex_error_m: FloatArray
    """(T,) mean distance of the sampled skin."""
    joint_error_m: FloatArray
    """(T,) mean distance of the joints."""


def check_pair(smpl: SmplModel, body: Body) -> None:
    """Check that an SMPL file and a body describe the same skin.

    Args:
        smpl: the model of the SMPL file.
        body: the model of the SKEL file.

    Raises:
        InputError: the meshes or the sexes differ.
    """
    count = len(body.data.skin_template_m)
    if len(smpl.template_m) != count or not np.array_equal(np.asarray(smpl.faces), np.asarray(body.faces)):
        raise InputError(
            f"the body {body.name} has another skin mesh than SMPL ({count} and {len(smpl.template_m)} vertices): "
            "a licensed SKEL file is needed here (--body skel); the open body takes SMPL's rotations and joints instead"
        )
    if smpl.sex not in ("neutral", body.sex):
        raise InputError(
            f"the SMPL file is {smpl.sex}, the SKEL file {body.sex}: their betas differ; use files of the same sex"
        )


class SmplFitter:
    """Fits of motions with one pair of files; the samples of the skin are kept.

    Args:
        smpl: the model of the SMPL file.
        body: the model of the SKEL file.
        options: of the fit.

    Raises:
        InputError: the meshes or the sexes differ.
    """

    def __init__(self, smpl: SmplModel, body: Body, options: SmplFitOptions = DEFAULT_OPTIONS) -> None:
        check_pair(smpl, body)
        self.smpl, self.body, self.options = smpl, body, options
        self.stages = [
            (sample_skin(body, options.coarse_points, torch.float64), options.coarse_steps),
            (sample_skin(body, options.points, torch.float64), options.steps),
        ]
        regressor = body.data.joint_regressor
        support = np.unique(regressor.nonzero()[1])
        samples = [support, *(sample.vertices for sample, _ in self.stages)]
        vertices, rows = np.unique(np.concatenate(samples), return_inverse=True)
        cuts = np.cumsum([len(sample) for sample in samples[:-1]])
        self._support_rows, *self._stage_rows = (torch.as_tensor(part) for part in np.split(rows, cuts))
        self._regressor = torch.as_tensor(regressor[:, support].toarray())
        self._smpl_skin = smpl.part(vertices)

    def targets(self, rotations: Tensor, trans: Tensor, betas: Tensor, axes: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Pose SMPL and find what SKEL is fitted to.

        Args:
            rotations: (T, 24, 3, 3) of SMPL.
            trans: (T, 3).
            betas: (1, 10) or (T, 10) of SMPL.
            axes: (3, 3) rotation from the axes of the motion to those of the result.

        Returns:
            Anatomical joints (T, 24, 3) on the posed skin, and the points (T, S, 3) of each stage.
        """
        skin = self._smpl_skin.forward(rotations, betas, trans).vertices_m @ axes.T
        return self._regressor @ skin[:, self._support_rows], [skin[:, rows] for rows in self._stage_rows]

    def fit(
        self,
        rotations: FloatArray,
        trans_m: FloatArray,
        betas: FloatArray,
        *,
        axes: FloatArray | None = None,
        skel_betas: FloatArray | None = None,
        continuous: bool = True,
    ) -> Fitted:
        """Fit some frames together.

        Args:
            rotations: (T, 24, 3, 3) of SMPL.
            trans_m: (T, 3).
            betas: (10,) or (T, 10) of SMPL.
            axes: (3, 3) rotation from the axes of the motion to those of the result; None: they are the same.
            skel_betas: (10,) or (T, 10) of SKEL; None: SMPL's.
            continuous: whether the frames are a motion, for the choice between equal angles.

        Returns:
            The frames in the axes of the result.
        """
        with torch.no_grad():
            to_skel = torch.eye(3, dtype=torch.float64) if axes is None else torch.tensor(axes)
            local = torch.tensor(rotations)
            shape = torch.tensor(np.atleast_2d(betas))
            own = shape if skel_betas is None else torch.tensor(np.atleast_2d(skel_betas))
            joints, points = self.targets(local, torch.tensor(trans_m), shape, to_skel)
            turns, mean = to_skel @ part_rotations(local), own.mean(0).numpy()
            q = torch.as_tensor(place_bones(self.body, mean, turns, joints, continuous=continuous))
            for (sample, steps), target in zip(self.stages, points, strict=True):
                last = SkinProblem(self.body, own, joints, self.options, sample, target).solve(q, steps)
                q = last.q
            vertex = ((last.skin.points_m - points[-1]).norm(dim=-1) * self.stages[-1][0].share).sum(1)
            joint = (last.skin.pose.positions_m - joints).norm(dim=-1).mean(1)
        return Fitted(q.numpy(), vertex.numpy(), joint.numpy())


@dataclass(frozen=True, eq=False)
class Posed:
    """Some frames at some angles."""

    cost: Tensor
    """(T,) m^2."""
    q: Tensor
    """(T, 49)."""
    skin: PosedSkin


class SkinProblem(LeastSquares[Posed, Dense]):
    """Frames that are solved side by side: skin of one sample, joints and limits."""

    def __init__(
        self, body: Body, betas: Tensor, joints_m: Tensor, options: SmplFitOptions, sample: SkinSample, target_m: Tensor
    ) -> None:
        self.tree: Tree = body.tree(betas if len(betas) > 1 else betas[0])
        self.rest: Rest = body.rest_pose(betas)
        self.joints, self.sample, self.target = joints_m, sample, target_m
        self.shaped = sample.shaped(betas)
        self.weight = sample.share.expand(len(target_m), -1)
        self.low, self.high = torch.tensor(fit_bounds(LIMITS_WITH_REST_RAD)).unbind(1)
        self.joint_weight = options.joint_share / 24
        self._limit_weight = float(options.limit_mm_per_deg * 1e-3 / np.radians(1)) ** 2

    def solve(self, q: Tensor, steps: int) -> Posed:
        """Take damped Gauss-Newton steps.

        Args:
            q: (T, 49) first guess.
            steps: number of steps; one that raises the cost of a frame is not taken there.

        Returns:
            The frames at the best angles.
        """
        return minimise(self, q, solver=Cholesky(_RIDGE_M2), damping=_DAMPING, stop=Stop(steps), move=_MOVE).guess

    def evaluate(self, x: Tensor, rows: Tensor) -> Posed:
        """Pose the body.

        Args:
            x: (T, 49) angles and translation.
            rows: not used: they are all frames, as none leaves the batch.

        Returns:
            The frames and their costs.
        """
        del rows
        skin = PosedSkin(self.sample, self.tree, self.rest, self.shaped, self.tree.forward(x))
        far = (self.weight * (skin.points_m - self.target).square().sum(-1)).sum(1)
        joints = self.joint_weight * (skin.pose.positions_m - self.joints).square().sum((1, 2))
        prior = _REST_PULL_M2 * x[:, 3:46].square().sum(1)
        return Posed(0.5 * (far + joints + self._limit_weight * self._excess(x).square().sum(1) + prior), x, skin)

    def _excess(self, q: Tensor) -> Tensor:
        return (q - self.high).clamp_min(0) - (self.low - q).clamp_min(0)

    def equations(self, guess: Posed) -> Dense:
        """Build the normal equations."""
        skin, q = guess.skin, guess.q
        gradient, hessian = skin.normal_equations(self.target, self.weight)
        rows = joint_rows(skin.pose)
        miss = (skin.pose.positions_m - self.joints).reshape(len(q), -1, 1)
        gradient += self.joint_weight * (rows.transpose(1, 2) @ miss)[..., 0]
        hessian += self.joint_weight * rows.transpose(1, 2) @ rows
        excess = self._excess(q)
        gradient += self._limit_weight * excess
        diagonal = self._limit_weight * (excess != 0).to(q.dtype)
        gradient[:, 3:46] += _REST_PULL_M2 * q[:, 3:46]
        diagonal[:, 3:46] += _REST_PULL_M2
        return Dense(guess.cost, gradient, hessian + torch.diag_embed(diagonal))


def joint_rows(pose: TreePose) -> Tensor:
    """(T, 72, 49) derivative of the 24 joints' positions by angles and translation."""
    jacobian = pose.point_jacobian(pose.positions_m, torch.arange(24))
    return jacobian.reshape(len(jacobian), 72, -1)

"""The least-squares problem of SMPL's skin: SKEL's skin and joints onto those of a posed SMPL body, many frames at once."""

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
from .start import part_rotations, start_angles
from .target_skin import SmplSkin


@dataclass(frozen=True, kw_only=True)
class SmplFitOptions:
    """How SMPL is turned into SKEL."""

    points: int = 400
    """Vertices of the skin that the last steps look at."""
    coarse_points: int = 120
    """Vertices that the first steps look at."""
    steps: int = 4
    """Last steps."""
    coarse_steps: int = 3
    """First steps."""
    joint_share: float = 0.24
    """Weight of the mean squared distance of the 24 joints, where that of the skin is 1."""
    limit_mm_per_deg: float = 4.0
    """An angle one degree beyond its limit costs as much as this mean distance of the skin."""
    chunk: int = 256
    """Frames that are solved together; bounds the memory."""
    refine_betas: bool = False
    """Whether betas are fitted too, starting from SMPL's (for SKEL and SMPL files that do not share their shape space)."""


DEFAULT_OPTIONS = SmplFitOptions()
_DAMPING = Factors(start=1e-3, shrink=0.2, growth=10.0)
_MOVE = Clip(torch.tensor(0.6, dtype=torch.float64))
"""A step moves no angle or place further (rad, m)."""
_REST_PULL = 1e-7
"""Pull of the angles to zero: one radian costs 0.3 mm of mean skin distance; decides only what the skin does not show."""


class Fitted(NamedTuple):
    """Frames that were fitted."""

    q: FloatArray
    """(T, 49)."""
    vertex_error_m: FloatArray
    joint_error_m: FloatArray


def check_pair(smpl: SmplModel, body: Body) -> None:
    """Check that an SMPL file and a body describe the same skin; InputError if not."""
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
    """The samples of one pair of files, kept for many calls."""

    def __init__(self, smpl: SmplModel, body: Body, options: SmplFitOptions = DEFAULT_OPTIONS) -> None:
        check_pair(smpl, body)
        self.smpl, self.body, self.options = smpl, body, options
        self.stages = [
            (sample_skin(body, options.coarse_points, torch.float64), options.coarse_steps),
            (sample_skin(body, options.points, torch.float64), options.steps),
        ]
        regressor = body.data.joint_regressor
        support = np.unique(regressor.nonzero()[1])
        self._vertices, rows = np.unique(
            np.concatenate([support, *(sample.vertices for sample, _ in self.stages)]), return_inverse=True
        )
        cuts = np.cumsum([len(support), *(len(sample.vertices) for sample, _ in self.stages)])
        self._support_rows, *self._stage_rows = (torch.as_tensor(part) for part in np.split(rows, cuts[:-1]))
        self._regressor = torch.as_tensor(regressor[:, support].toarray())
        self._smpl_skin = SmplSkin(smpl, self._vertices)

    def targets(self, rotations: Tensor, trans: Tensor, betas: Tensor, turn: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Anatomical joints (T, 24, 3) on the posed SMPL skin, and the points (T, S, 3) of each stage."""
        skin = self._smpl_skin.points(rotations, betas, trans) @ turn.T
        return self._regressor @ skin[:, self._support_rows], [skin[:, rows] for rows in self._stage_rows]

    def fit(
        self,
        rotations: FloatArray,
        trans_m: FloatArray,
        betas: FloatArray,
        *,
        turn: FloatArray | None = None,
        skel_betas: FloatArray | None = None,
        continuous: bool = True,
    ) -> Fitted:
        """Fit some frames together.

        Args:
            rotations: (T, 24, 3, 3).
            trans_m: (T, 3).
            betas: (10,) or (T, 10) of SMPL.
            turn: (3, 3) applied to the SMPL body before the fit.
            skel_betas: of SKEL, if they are others.
            continuous: whether the frames are a motion, for the choice between equal angles.
        """
        with torch.no_grad():
            turned = torch.eye(3, dtype=torch.float64) if turn is None else torch.tensor(turn)
            local = torch.tensor(rotations)
            shape = torch.tensor(np.atleast_2d(betas))
            own = shape if skel_betas is None else torch.tensor(np.atleast_2d(skel_betas))
            joints, points = self.targets(local, torch.tensor(trans_m), shape, turned)
            mean = own.mean(0).numpy()
            q = start_angles(self.body, mean, turned @ part_rotations(local), joints, continuous=continuous)
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
    q: Tensor
    """(T, 49)."""
    skin: PosedSkin


class SkinProblem(LeastSquares[Posed, Dense]):
    """Frames that are solved side by side: joints, limits, and the skin of one sample."""

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
        """Take damped Gauss-Newton steps from angles (T, 49); one that raises the cost of a frame is taken back there."""
        return minimise(self, q, solver=Cholesky(ridge=1e-9), damping=_DAMPING, stop=Stop(steps), move=_MOVE).guess

    def evaluate(self, x: Tensor, rows: Tensor) -> Posed:
        """Pose the body; ``rows`` are all frames, as none is given up."""
        skin = PosedSkin(self.sample, self.tree, self.rest, self.shaped, self.tree.forward(x))
        far = (self.weight * (skin.points_m - self.target).square().sum(-1)).sum(1)
        joints = self.joint_weight * (skin.pose.positions_m - self.joints).square().sum((1, 2))
        pull = _REST_PULL * x[:, 3:46].square().sum(1)
        return Posed(0.5 * (far + joints + self._limit_weight * self._excess(x).square().sum(1) + pull), x, skin)

    def _excess(self, q: Tensor) -> Tensor:
        return (q - self.high).clamp_min(0) - (self.low - q).clamp_min(0)

    def equations(self, guess: Posed) -> Dense:
        skin, q = guess.skin, guess.q
        gradient, hessian = skin.normal_equations(self.target, self.weight)
        rows = joint_rows(skin.pose)
        miss = (skin.pose.positions_m - self.joints).reshape(len(q), -1, 1)
        gradient += self.joint_weight * (rows.transpose(1, 2) @ miss)[..., 0]
        hessian += self.joint_weight * rows.transpose(1, 2) @ rows
        excess = self._excess(q)
        gradient += self._limit_weight * excess
        diagonal = self._limit_weight * (excess != 0).to(q.dtype)
        gradient[:, 3:46] += _REST_PULL * q[:, 3:46]
        diagonal[:, 3:46] += _REST_PULL
        return Dense(guess.cost, gradient, hessian + torch.diag_embed(diagonal))


def joint_rows(pose: TreePose) -> Tensor:
    """(T, 72, 49) derivative of the joints."""
    jacobian = pose.point_jacobian(pose.positions_m, torch.arange(24))
    return jacobian.reshape(len(jacobian), 72, -1)

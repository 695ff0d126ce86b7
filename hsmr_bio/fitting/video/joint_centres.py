"""Fit of one body and its motion to joint centres in space, from several cameras or any other tool.

Joint centres do not determine the tilt of the pelvis against the lordosis of the back, nor the rotation of straight limbs about
their own axes. These follow from priors: the spine's joints share the flexion of the trunk; limits and smoothness hold the
rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from ...body.body import Body
from ...body.placing import SKEL_TO_WORLD, rotate_motion
from ...errors import InputError
from ...kinematics.solve import Stop
from ...skeleton import JOINT_NAMES
from ...types import FloatArray, Markers, SkelMotion
from ..core.body_points import attach
from ..core.priors import posture_terms, smoothness
from ..core.problem import BETAS, PointSet, Problem, State, Term
from ..core.terms import Positions, SharedPrior, Stature
from .start import fill_gaps, root_orientations, spread, standing, unwrapped

JOINT_OF_POINT: dict[str, str] = {
    "hip": "femur",
    "knee": "tibia",
    "ankle": "talus",
    "heel": "calcn",
    "toe": "toes",
    "shoulder": "humerus",
    "elbow": "ulna",
    "wrist": "hand",
}
"""Name of a joint centre, without its side -> SKEL bone of the joint."""
CENTRE_SIGMA_M = 0.015
"""Error of triangulated or marker-based joint centres: 10 to 20 mm."""
START_SIGMAS_M = (0.15, 0.06)
"""Standard deviations of the first stages. The first guess is relaxed standing, up to a metre from the joints: the first stage
is not robust, so that no joint is rejected as an outlier."""
INDEPENDENT_FRAMES = 12.0
"""Frames that a clip counts for when the shape is estimated."""
HEIGHT_SIGMA_M = 0.005
"""Standard deviation of a given body height."""
TORSO = ("hip_r", "hip_l", "shoulder_r", "shoulder_l")
_START_STOP, _STOP = Stop(12, cost=1e-3), Stop(20, cost=1e-4)
"""Of the first stages, and of shape and motion (our choice)."""
_FOCAL_PX = 1000.0
"""There is no camera; any focal length serves."""


def fit_joint_centres(markers: Markers, body: Body, *, height_m: float | None = None) -> SkelMotion:
    """Fit a body and its motion to joint centres, in the world frame.

    Args:
        markers: named ``hip_r``, ``knee_l`` ... (also ``RHip``, ``LKnee``, ``right_hip``); ground axes, y up. Hips and
            shoulders are needed, the others help; NaN where not seen.
        body: the body to fit.
        height_m: body height, if known.

    Returns:
        The motion, with the standard deviation of each angle.

    Raises:
        InputError: hips or shoulders are missing.
    """
    names, columns = _recognised(markers.names)
    missing = [name for name in TORSO if name not in names]
    if missing:
        raise InputError(
            f"the joint centres {', '.join(missing)} are missing among {', '.join(markers.names[:12])}: hips and shoulders are "
            "needed. Names are hip_r, knee_l ... (also RHip, right_hip)"
        )
    level = np.asarray(markers.positions_m)[:, columns] @ SKEL_TO_WORLD
    state, sd = _Fit(body, names, level, markers.time_s, height_m).solve()
    found = SkelMotion(
        time_s=markers.time_s,
        poses_rad=state.q[:, :46].numpy(),
        trans_m=state.q[:, 46:].numpy(),
        betas=state.betas,
        body=body.name,
        frame="skel",
        source="joint centres",
        poses_sd_rad=sd[:, :46],
    )
    return rotate_motion(found, body, SKEL_TO_WORLD, frame="world")


def _recognised(names: tuple[str, ...]) -> tuple[list[str], list[int]]:
    """Our names of the joint centres among marker names, and their columns; the first of a name counts."""
    found: dict[str, int] = {}
    for column, name in enumerate(names):
        low = name.lower()
        side, place = ("r", low[1:]) if name[:1] == "R" else ("l", low[1:]) if name[:1] == "L" else ("", low)
        for prefix, letter in (("right_", "r"), ("left_", "l")):
            if low.startswith(prefix):
                side, place = letter, low.removeprefix(prefix)
        if low.endswith(("_r", "_l")):
            side, place = low[-1], low[:-2]
        place = {"bigtoe": "toe", "foot_index": "toe"}.get(place, place)
        if side and place in JOINT_OF_POINT:
            found.setdefault(f"{place}_{side}", column)
    return list(found), list(found.values())


@dataclass(eq=False)
class _Fit:
    """Joint centres, prepared for the terms."""

    body: Body
    names: list[str]
    """(P,) of the joint centres."""
    level_m: FloatArray
    """(T, P, 3) in level axes."""
    time_s: FloatArray
    height_m: float | None

    def points(self, betas: FloatArray, _offsets_m: FloatArray) -> PointSet:
        """The joints as a point set."""
        joints = [JOINT_NAMES.index(f"{JOINT_OF_POINT[name[:-2]]}_{name[-1]}") for name in self.names]
        rest = self.body.rest_pose(betas).joints[0].numpy()[joints]
        return attach(self.body, betas, joints, rest, self.body.rest_jacobian(betas)[0][joints])

    def terms(
        self, frames: slice | npt.NDArray[np.intp], sigma_m: float = CENTRE_SIGMA_M, *, robust: bool = True
    ) -> list[Term]:
        """Positions and postures of some frames; space shows hinges, so that no prior straightens them."""
        target = torch.as_tensor(self.level_m[frames])
        sigma = torch.where(torch.isfinite(target).all(dim=-1), sigma_m, torch.inf)
        return [Positions("joints", target, sigma, None, robust), *posture_terms(straight=False)]

    def minimise(self, state: State, terms: Sequence[Term], stop: Stop, free: Sequence[int] = ()) -> tuple[State, Problem]:
        """Solve a problem on the joints; the solution and the problem."""
        problem = Problem(self.body, {"joints": self.points}, terms, free)
        return problem.minimise(state, stop), problem

    def solve(self) -> tuple[State, FloatArray]:
        """First guess in two stages, then the shape from some frames, then all frames; standard deviations (T, 49)."""
        torso = [self.names.index(name) for name in TORSO]
        rest = self.points(np.zeros(10), np.zeros((8, 3)))
        angles = root_orientations(self.body, self.level_m, rest, torso)
        q = standing(unwrapped(self.time_s, angles))
        q[:, 46:] = fill_gaps(self.time_s, self.level_m[:, torso[:2]].mean(axis=1))
        state = State(torch.as_tensor(q), np.zeros(10), np.zeros(2), 0.0, _FOCAL_PX)
        everything, smooth = slice(0, len(q)), smoothness(self.time_s)
        for stage, sigma_m in enumerate(START_SIGMAS_M):
            state, _ = self.minimise(state, [*self.terms(everything, sigma_m, robust=stage > 0), smooth], _START_STOP)
        state = replace(state, betas=self._shape(state, np.flatnonzero(np.isfinite(angles).all(axis=1))))
        solved, problem = self.minimise(state, [*self.terms(everything), smooth], _STOP)
        return solved, problem.system(problem.view(solved)).standard_deviation()

    def _shape(self, state: State, complete: npt.NDArray[np.intp]) -> FloatArray:
        """(10,) betas from frames with the whole torso: without smoothness, unseen frames would be singular."""
        chosen = spread(complete)
        repeats = float(np.sqrt(max(1.0, len(chosen) / INDEPENDENT_FRAMES)))
        terms = [*self.terms(chosen), SharedPrior(1.0 / repeats, 1.0, _FOCAL_PX, 1.0)]
        if self.height_m is not None:
            terms.append(Stature(self.height_m, *self.body.data.stature_line, HEIGHT_SIGMA_M / repeats))
        start = replace(state, q=state.q[chosen])
        return self.minimise(start, terms, _STOP, range(BETAS.start, BETAS.stop))[0].betas

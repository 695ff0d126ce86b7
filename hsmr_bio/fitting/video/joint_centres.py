"""Joint centres in space (from several cameras, or any other tool) to one body and its motion.

Joint centres do not tell everything: pelvis tilt against the lordosis of the back, and the turning of straight limbs
about themselves, are free. What decides there is what bodies do: the spine's joints share the bend of the trunk, and
limits and smoothness hold the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from ...body.body import Body
from ...body.placing import SKEL_TO_WORLD, rotate_motion
from ...errors import InputError
from ...skeleton import JOINT_NAMES
from ...types import FloatArray, Markers, SkelMotion
from ..core.body_points import StatureLine, attach
from ..core.priors import acceleration_sigma, limits, mean_pose, pose_prior, spine_rhythm
from ..core.problem import BETAS, PointSet, Problem, State, Term
from ..core.terms import Positions, SharedPrior, Smoothness, Stature
from .start import root_orientations, unwrapped

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
"""Name of a joint centre, without its side -> SKEL bone whose joint it is."""
CENTRE_SIGMA_M = 0.015
"""Error of triangulated or marker-based joint centres: 10 to 20 mm."""
START_SIGMAS_M = (0.15, 0.06)
"""The first guess is a standing body: joints may be a metre off. The first of these stages therefore gives up no joint."""
SHAPE_FRAMES = 120
INDEPENDENT_FRAMES = 12.0
TORSO = ("hip_r", "hip_l", "shoulder_r", "shoulder_l")


def fit_joint_centres(markers: Markers, body: Body, *, height_m: float | None = None) -> SkelMotion:
    """Find the body and the motion that put their joints where they were seen.

    Args:
        markers: named ``hip_r``, ``knee_l`` ... (also ``RHip``, ``LKnee``, ``right_hip``); ground axes, y up. Hips and
            shoulders are needed, the others help; NaN where not seen.
        body: the body to fit.
        height_m: body height, if known.

    Returns:
        The motion in the world frame, with the standard deviation of each angle.

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
    fit = _Fit(body, names, level, np.asarray(markers.time_s), height_m)
    state, sd = fit.solve()
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
    body: Body
    names: list[str]
    level_m: FloatArray
    """(T, P, 3) in rest axes."""
    time_s: FloatArray
    height_m: float | None

    def points(self, betas: FloatArray, offsets_m: FloatArray) -> PointSet:
        """The joints as a point set."""
        joints = [JOINT_NAMES.index(f"{JOINT_OF_POINT[name[:-2]]}_{name[-1]}") for name in self.names]
        rest = self.body.rest_pose(betas).joints[0].numpy()[joints]
        return attach(self.body, betas, joints, rest, self.body.rest_jacobian(betas)[0][joints])

    def terms(self, frames: slice | FloatArray, sigma_m: float = CENTRE_SIGMA_M, *, robust: bool = True) -> list[Term]:
        """Positions and posture for some frames; space shows hinges, so nothing draws them straight."""
        target = torch.as_tensor(self.level_m[frames])
        seen = torch.isfinite(target).all(dim=-1)
        sigma = torch.where(seen, sigma_m, torch.inf)
        return [Positions("joints", target, sigma, None, robust), pose_prior(straight=False), spine_rhythm(), limits()]

    def problem(self, terms: Sequence[Term], free: Sequence[int]) -> Problem:
        """A problem on the joints."""
        return Problem(self.body, {"joints": self.points}, terms, free)

    def solve(self) -> tuple[State, FloatArray]:
        """Root, then shape from some frames, then all frames."""
        torso = [self.names.index(name) for name in TORSO]
        rest = self.points(np.zeros(10), np.zeros((8, 3)))
        angles = root_orientations(self.body, self.level_m, rest, torso)
        q = np.zeros((len(self.time_s), 49))
        q[:, :46] = mean_pose()
        q[:, :3] = unwrapped(self.time_s, angles)
        hips = self.level_m[:, torso[:2]].mean(axis=1)
        known = np.isfinite(hips).all(axis=1)
        q[:, 46:] = np.stack([np.interp(self.time_s, self.time_s[known], column[known]) for column in hips.T], axis=1)
        state = State(torch.as_tensor(q), np.zeros(10), np.zeros(2), 0.0, 1000.0)
        everything = slice(0, len(q))
        smooth = Smoothness(self.time_s, acceleration_sigma())
        for sigma_m in START_SIGMAS_M:  # from far away a robust term would give the limbs up
            terms = [*self.terms(everything, sigma_m, robust=sigma_m < START_SIGMAS_M[0]), smooth]
            state, _ = self.problem(terms, []).minimise(state, iterations=12, tolerance=1e-3)
        whole = np.flatnonzero(np.isfinite(angles).all(axis=1))  # without smoothness, unseen frames would be singular
        chosen = whole[np.unique(np.linspace(0, len(whole) - 1, SHAPE_FRAMES).round().astype(int))]
        repeats = np.sqrt(max(1.0, len(chosen) / INDEPENDENT_FRAMES))
        prior = SharedPrior(1.0 / repeats, 1.0, 1000.0, 1.0)
        line = StatureLine.of(self.body)
        known_height = (
            [] if self.height_m is None else [Stature(self.height_m, line.at_zero_m, line.by_betas_m, 0.005 / float(repeats))]
        )
        shaped, _ = self.problem([*self.terms(chosen), prior, *known_height], list(range(BETAS.start, BETAS.stop))).minimise(
            replace(state, q=state.q[chosen]), iterations=20, tolerance=1e-4
        )
        state = replace(state, betas=shaped.betas)
        problem = self.problem([*self.terms(everything), smooth], [])
        solved, _ = problem.minimise(state, iterations=20, tolerance=1e-4)
        return solved, problem.system(problem.view(solved)).standard_deviation()

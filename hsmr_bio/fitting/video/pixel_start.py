"""A first guess from image points alone, for estimators that give no metric landmarks.

One image hardly shows which way a person faces, nor whether a limb points towards the camera or away from it: networks say
what they can (``pixel_depth``). Some frames are solved from several headings. The sequence of solutions is chosen that explains
the points by likely postures and rotates the pelvis slowly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from ...body.body import Body
from ...body.placing import near_branch
from ...kinematics.solve import Stop
from ...skeleton import DOF_NAMES
from ...types import BoolArray, FloatArray, Observation
from ..core.body_points import KeypointPoints
from ..core.priors import mean_pose, pose_prior, posture_terms
from ..core.problem import Problem, State, Term, View
from .bone_depth import BoneDepths
from .start import TORSO, depth_term, fill_gaps, image_term, rest_root_angles, standing, translations

RATE_HZ = 5.0
"""Rate of the frames that are solved; between them the guess is interpolated linearly."""
HEADINGS = 6
"""Headings that the solutions start from, evenly spread over a full turn; standing and crouching."""
STAGES_M = (0.3, 0.1, 0.05, 0.025)
"""Standard deviations of the points, stage by stage: the standing posture is far from the person's, and its limbs must not be
rejected as outliers."""
SPIN_RAD_S = np.radians(120.0)
"""Standard deviation of the pelvis' rotation over a second (a random walk): people turn round, but not between two frames."""
_CROUCHED_DEG = {
    f"{name}_{side}": value
    for name, value in (("hip_flexion", 60.0), ("knee_angle", 70.0), ("ankle_angle", 20.0), ("elbow_flexion", 60.0))
    for side in "rl"
}
"""Half way to a deep squat."""
_REACH_DEG = (40.0, 45.0)
"""Angles x (right side) and z of shoulders whose arms reach forward."""
_STOP = Stop(iterations=10, cost=1e-3)
"""Of each stage: it only has to find the posture roughly."""


@dataclass(frozen=True, eq=False)
class PixelStart:
    """Some frames of an observation, at about ``RATE_HZ``."""

    observation: Observation
    body: Body
    landmarks: KeypointPoints
    seen: BoolArray
    """(T, L)."""
    rays: FloatArray
    """(T, 3) unit viewing rays, camera axes."""
    depths: BoneDepths | None
    """Depths of the bones, if they can be estimated from the points."""

    def angles(self) -> FloatArray:
        """Estimate angles and translation.

        Returns:
            (T, 49) in level axes.

        Raises:
            EstimationError: shoulders and hips are seen together in no frame.
        """
        roll_rad = self._torso_roll()
        headings = 2 * np.pi * np.arange(HEADINGS) / HEADINGS
        starts = [(heading, posture) for posture in (mean_pose(), crouching()) for heading in headings]
        views = [self._solved(self._facing(heading, roll_rad, posture)) for heading, posture in starts]
        costs = np.stack([self._cost(view) for view in views])
        roots = np.stack([view.pose.rotations[:, 0].numpy() for view in views])
        best = likely_path(costs, roots, self.observation.time_s)
        q = np.array([view.state.q.numpy() for view in views])[best, np.arange(len(best))]
        q[:, :3] = near_branch(q[:, :3])
        return np.asarray(q)

    def _torso_roll(self) -> FloatArray:
        """(T,) angle of the trunk in the image, from upright, about the axis towards the camera."""
        torso = [self.landmarks.names.index(name) for name in TORSO]
        px = np.where(self.seen[..., None], self.observation.keypoints_px, np.nan)[:, torso]
        up = fill_gaps(self.observation.time_s, px[:, :2].mean(axis=1) - px[:, 2:].mean(axis=1))
        return np.asarray(np.arctan2(-up[:, 0], -up[:, 1]))

    def _facing(self, heading_rad: float, roll_rad: FloatArray, posture_rad: FloatArray) -> State:
        """A posture (46,) along the trunk in the image, at the translation that explains the points."""
        o = self.observation
        about_y, about_z = Rotation.from_rotvec([0, heading_rad, 0]), Rotation.from_rotvec(np.outer(roll_rad, [0, 0, 1]))
        q = standing(rest_root_angles(self.body, (about_z * about_y).as_matrix()))
        q[:, 3:46] = posture_rad[3:]
        state = State(torch.as_tensor(q), np.zeros(10), np.zeros(2), 0.0, o.camera.focal_px)
        points = self._problem().view(state).points("landmarks")
        q[:, 46:] = translations(o, points, state.camera_rotation, o.camera.focal_px, self.seen.astype(float))
        return state

    def _solved(self, state: State) -> View:
        """Solve each frame by itself, with decreasing standard deviations of the points."""
        for sigma_m in STAGES_M:
            terms = *self._evidence(state, sigma_m), *posture_terms(straight=False)
            state = self._problem(*terms).minimise(state, _STOP)
        return self._problem().view(state)

    def _cost(self, view: View) -> FloatArray:
        """(T,) half the squared misses of the points, the depths and the angles' prior, without robust loss and limits."""
        terms = *self._evidence(view.state, STAGES_M[-1]), pose_prior(straight=False)
        misses = [torch.nan_to_num(residual) / sd[..., None] for residual, sd in (term.residuals(view) for term in terms)]
        return np.asarray(sum(miss.square().flatten(1).sum(1) for miss in misses)) / 2

    def _evidence(self, state: State, sigma_m: float) -> list[Term]:
        """Terms of the pixels and, if they are known, of the bones' depths."""
        found: list[Term] = [image_term(self.observation, state, torch.as_tensor(np.where(self.seen, sigma_m, np.inf)))]
        if self.depths is not None:
            found.append(depth_term(self.depths, torch.as_tensor(self.seen), self.rays, self.body, state))
        return found

    def _problem(self, *terms: Term) -> Problem:
        return Problem(self.body, {"landmarks": self.landmarks}, terms)


def crouching() -> FloatArray:
    """(46,) hips, knees and elbows bent, arms forward. A straight limb that points at the camera would not bend by itself."""
    degrees = dict(_CROUCHED_DEG)
    degrees |= {f"shoulder_{side}_x": sign * _REACH_DEG[0] for side, sign in (("r", 1.0), ("l", -1.0))}
    degrees |= {f"shoulder_{side}_z": _REACH_DEG[1] for side in "rl"}
    posture_rad = mean_pose()
    for name, value in degrees.items():
        posture_rad[DOF_NAMES.index(name)] = np.radians(value)
    return posture_rad


def likely_path(costs: FloatArray, rotations: FloatArray, time_s: FloatArray) -> FloatArray:
    """Choose one solution per frame: the least sum of costs and of the pelvis' rotation between frames.

    A rotation by an angle a in the time dt costs ``(a / SPIN_RAD_S)^2 / (2 dt)``.

    Args:
        costs: (H, T) of each solution.
        rotations: (H, T, 3, 3) of the pelvis.
        time_s: (T,).

    Returns:
        (T,) index of the solution.

    Source:
        Viterbi 1967, IEEE Trans. Inf. Theory 13:260.
    """
    total, came_from = costs[:, 0], []
    for t in range(1, costs.shape[1]):
        trace = np.einsum("aij,bij->ab", rotations[:, t - 1], rotations[:, t])
        angle = np.arccos(np.clip((trace - 1) / 2, -1, 1))
        steps = total[:, None] + 0.5 * (angle / SPIN_RAD_S) ** 2 / (time_s[t] - time_s[t - 1])
        came_from.append(steps.argmin(axis=0))
        total = steps.min(axis=0) + costs[:, t]
    path = [int(total.argmin())]
    for previous in reversed(came_from):
        path.append(int(previous[path[-1]]))
    return np.array(path[::-1])

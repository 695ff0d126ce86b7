"""A first guess from image points alone, for estimators that give no metric landmarks.

One picture leaves open which way a person faces and whether a limb points towards the camera or away. Some frames are solved
from several headings; of the solutions, those are taken that explain the points by likely postures without spinning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from ...body.body import Body
from ...body.placing import near_branch
from ...types import BoolArray, FloatArray, Observation
from ..core.body_points import KeypointPoints
from ..core.priors import limits, mean_pose, pose_prior, spine_rhythm
from ..core.problem import Problem, State, Term, View
from ..core.terms import Reprojection
from .start import TORSO, fill_gaps, root_angles, translations

RATE_HZ = 5.0
"""Frames a second that are solved; between them the guess is drawn linearly."""
HEADINGS = 6
STAGES_M = (0.3, 0.1, 0.05)
"""Standard deviation of the points, stage by stage: a standing body is far from the person, and its limbs must not be given
up as outliers."""
SPIN_RAD_S = np.radians(120.0)
"""Standard deviation of the turning of the pelvis: people turn round, but not from one picture to the next."""
_STEPS = 10


@dataclass(frozen=True, eq=False)
class PixelStart:
    """Some frames of an observation, about ``RATE_HZ`` a second."""

    observation: Observation
    body: Body
    landmarks: KeypointPoints
    seen: BoolArray
    """(T, L)."""

    def angles(self) -> FloatArray:
        """Guess angles and place.

        Returns:
            (T, 49) in level axes.

        Raises:
            EstimationError: shoulders and hips are seen together in no frame.
        """
        roll_rad = self._torso_roll()
        headings = 2 * np.pi * np.arange(HEADINGS) / HEADINGS
        views = [self._solved(self._facing(heading, roll_rad)) for heading in headings]
        costs = np.stack([self._cost(view) for view in views])
        roots = np.stack([view.pose.rotations[:, 0].numpy() for view in views])
        best = likely_path(costs, roots, np.asarray(self.observation.time_s))
        q = np.array([view.state.q.numpy() for view in views])[best, np.arange(len(best))]
        q[:, :3] = near_branch(q[:, :3])
        return np.asarray(q)

    def _torso_roll(self) -> FloatArray:
        """(T,) angle of the trunk in the image, from upright, about the axis towards the camera."""
        torso = [self.landmarks.names.index(name) for name in TORSO]
        px = np.where(self.seen[..., None], self.observation.keypoints_px, np.nan)[:, torso]
        up = fill_gaps(self.observation.time_s, px[:, :2].mean(axis=1) - px[:, 2:].mean(axis=1))
        return np.asarray(np.arctan2(-up[:, 0], -up[:, 1]))

    def _facing(self, heading_rad: float, roll_rad: FloatArray) -> State:
        """A relaxed person along the trunk in the image, where the points are."""
        o = self.observation
        about_y, about_z = Rotation.from_rotvec([0, heading_rad, 0]), Rotation.from_rotvec(np.outer(roll_rad, [0, 0, 1]))
        q = np.zeros((len(roll_rad), 49))
        q[:, :46] = mean_pose()
        q[:, :3] = root_angles(self.body, torch.as_tensor((about_z * about_y).as_matrix())).numpy()
        state = State(torch.as_tensor(q), np.zeros(10), np.zeros(2), 0.0, o.camera.focal_px)
        points = self._problem([]).view(state).points("landmarks")
        q[:, 46:] = translations(o, points, state.camera_rotation, o.camera.focal_px, self.seen.astype(float))
        return state

    def _solved(self, state: State) -> View:
        """Each frame for itself, the points more and more trusted."""
        problem = self._problem([])
        for sigma_m in STAGES_M:
            terms = [self._points(state, sigma_m), pose_prior(straight=False), spine_rhythm(), limits()]
            problem = self._problem(terms)
            state, _ = problem.minimise(state, iterations=_STEPS, tolerance=1e-3)
        return problem.view(state)

    def _cost(self, view: View) -> FloatArray:
        """(T,) half squares of misses and of unlikely angles."""
        points = self._points(view.state, STAGES_M[-1])
        prior = pose_prior(straight=False)
        camera = view.points("landmarks") @ view.state.camera_rotation.T
        pixels = view.state.focal_px * camera[..., :2] / camera[..., 2:].clamp_min(0.1) + torch.tensor(points.center_px)
        miss = torch.nan_to_num(pixels - points.target_px) / points.sigma_px[..., None]
        unlikely = (view.state.q - prior.mean) / prior.sigma
        return np.asarray((miss.square().sum((1, 2)) + unlikely.square().sum(1)).numpy() / 2)

    def _points(self, state: State, sigma_m: float) -> Reprojection:
        """The image points, with a deviation in metres at the distance of ``state``."""
        o = self.observation
        distance = (state.q[:, 46:] @ state.camera_rotation.T)[:, 2:].clamp_min(0.3)
        sigma_px = torch.where(torch.as_tensor(self.seen), sigma_m * state.focal_px / distance, torch.inf)
        return Reprojection("landmarks", torch.tensor(o.keypoints_px), sigma_px, o.camera.center_px)

    def _problem(self, terms: Sequence[Term]) -> Problem:
        return Problem(self.body, {"landmarks": self.landmarks}, terms)


def likely_path(costs: FloatArray, rotations: FloatArray, time_s: FloatArray) -> FloatArray:
    """Choose one solution a frame: least cost along the way, spinning included.

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
    for back in reversed(came_from):
        path.append(int(back[path[-1]]))
    return np.array(path[::-1])

"""Fit of one body and its motion to the keypoints of a clip, in level axes of an untilted camera.

One shape for the whole clip; 46 angles and a translation per frame. Evidence: landmarks in the image (robust), depths of the
bones (weak, because one camera hardly shows depth), joint limits, postures, and smoothness in time. All frames are solved
together by damped Gauss-Newton with analytic Jacobians (``core.problem``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...body.body import Body
from ...errors import EstimationError, InputError
from ...filtering import interpolate
from ...io.cameras import GUESS
from ...kinematics.solve import Stop
from ...option_checks import check_height, check_number
from ...types import FloatArray, Observation
from ..core.body_points import KeypointPoints
from ..core.priors import posture_terms, smoothness
from ..core.problem import FOCAL, OFFSET_GROUPS, SHAPE, Problem, State, Term
from ..core.terms import PosePrior, Positions, SharedPrior, Stature
from ..core.windows import solve_windows
from .bone_depth import (
    DETECTOR_SET,
    LEAST_CONFIDENCE,
    BoneDepths,
    bridged,
    drawn_bone_depths,
    read_bone_depths,
)
from .pixel_depth import read_pixel_depths
from .pixel_start import RATE_HZ as PIXEL_RATE_HZ
from .pixel_start import PixelStart
from .start import (
    MIN_LANDMARKS,
    TORSO,
    depth_term,
    image_term,
    level_landmarks,
    root_orientations,
    spread,
    standing,
    translations,
    unwrapped,
    viewing_rays,
)

WORLD_SIGMA_M = 0.08
"""Error of the detector's metric landmarks after alignment (70 to 85 mm on real clips)."""
IMAGE_CAUTION = 1.3
"""Factor on the landmarks' standard deviations, which were measured on renders, for real people in clothes."""
UNSURE_GROWTH, UNSURE_POWER = 4.0, 1.5
"""A landmark's standard deviation grows with its confidence c by the factor ``1 + 4 (1 - c)^1.5`` (our choice)."""
MIN_SIGMA_PX = 1.0
"""Lower bound of a landmark's standard deviation in the image."""
INDEPENDENT_VIEWS = 24.0
"""Frames that a clip counts for when the shape is estimated: a detector misplaces a landmark alike in all frames."""
HEIGHT_SIGMA_M = 0.005
"""Standard deviation of a given body height."""
OFFSET_SIGMA_M = 0.006
"""Standard deviation of a landmark's offset. Landmarks lie 4 to 16 mm from their mean place on other bodies; betas explain a
part of it."""
STATURE_SIGMA_M = 0.02
"""Standard deviation of an unknown stature about the population's mean: one camera does not show size."""
GUESSED_FOCAL_SIGMA, KNOWN_FOCAL_SIGMA = 0.1, 1e-3
"""Standard deviations of the logarithm of a guessed and of a known focal length; the latter is the least for any."""
GUESS_RATE_HZ = 15.0
"""Least rate of the frames of the first guess; between them it is interpolated."""
MIN_SEEN_FRAMES = 2
"""Frames in which the person must be seen (one, if the clip has only one)."""
_ANCHOR_SIGMA_M = 0.1
"""Holds the translation near zero while angles are fitted to metric landmarks, which do not determine it."""
_GUESS_STOP, _SHAPE_STOP, _WINDOW_STOP = Stop(6, cost=1e-3), Stop(12, cost=1e-3), Stop(12, cost=5e-3)
"""Of the first guess, of the shape and of the frames (our choice)."""


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """What the user knows about the clip."""

    height_m: float | None = None
    """Body height, if known."""
    focal_sigma: float | None = None
    """Standard deviation of the logarithm of the focal length; None: 0.1 for a guessed camera, else fixed."""
    deviations: bool = True
    """Whether standard deviations are wanted; grounding with images computes its own."""
    refine: bool = False
    """Whether the landmarks of an observation with predicted SKEL parameters (HSMR) correct the prediction, in one fit."""

    def __post_init__(self) -> None:
        check_height(self.height_m)
        check_number("focal_sigma", self.focal_sigma, above=0)


@dataclass(eq=False)
class Clip:
    """An observation, prepared for the terms."""

    observation: Observation
    body: Body
    options: FitOptions
    landmarks: KeypointPoints
    sigma_m: Tensor
    """(T, L) standard deviation in the image at the person's distance, infinite where a landmark is not seen."""
    rays: FloatArray
    """(T, 3) unit viewing rays, camera axes."""
    world: FloatArray | None
    """(T, L, 3) metric landmarks relative to the mid-hip, level axes."""
    depths: BoneDepths | None
    """Depths of the bones; None if the detector gives neither metric landmarks nor the image points that the networks need."""
    hips: tuple[int, int]
    """Indices of the hips among the landmarks."""

    @classmethod
    def of(cls, observation: Observation, body: Body, options: FitOptions) -> Clip:
        """Check an observation and prepare it.

        Args:
            observation: one person's.
            body: the body to fit.
            options: what the user knows.

        Returns:
            The clip, with metric landmarks in level axes.

        Raises:
            InputError: the keypoint set does not match the observation, or has no hips or shoulders.
            EstimationError: the person is seen in too few frames.
        """
        landmarks = KeypointPoints.of(body, observation.keypoint_set)
        names = landmarks.names
        if len(names) != observation.keypoints_px.shape[1]:
            raise InputError(
                f"keypoint set '{observation.keypoint_set}' has {len(names)} points, "
                f"the observation {observation.keypoints_px.shape[1]}"
            )
        if missing := [name for name in TORSO if name not in names]:
            raise InputError(
                f"keypoint set '{observation.keypoint_set}' has no {', '.join(missing)}: "
                "points at both hips and both shoulders are needed"
            )
        frames, seen_frames = len(observation.time_s), int(observation.seen.sum())
        if seen_frames < min(MIN_SEEN_FRAMES, frames):
            raise EstimationError(
                f"the person is seen in {seen_frames} of {frames} frames; at least {MIN_SEEN_FRAMES} are needed. "
                "Is the whole body in the picture, and larger than about 100 pixels?"
            )
        hips = names.index("left_hip"), names.index("right_hip")
        sigma = IMAGE_CAUTION * landmarks.sigma_2d_m * (1 + UNSURE_GROWTH * (1 - observation.confidence) ** UNSURE_POWER)
        seen = (observation.confidence > LEAST_CONFIDENCE) & np.isfinite(observation.keypoints_px).all(axis=-1)
        rays = viewing_rays(observation, hips, observation.camera.focal_px)
        return cls(
            observation,
            body,
            options,
            landmarks,
            sigma_m=torch.as_tensor(np.where(seen, sigma, np.inf)),
            rays=rays,
            world=level_landmarks(observation, rays),
            depths=_bone_depths(observation, names),
            hips=hips,
        )

    def part(self, frames: slice | npt.NDArray[np.intp]) -> Clip:
        """Some of the frames."""
        return replace(
            self,
            observation=self.observation.at(frames),
            sigma_m=self.sigma_m[frames],
            rays=self.rays[frames],
            world=None if self.world is None else self.world[frames],
            depths=None if self.depths is None else self.depths.at(frames),
        )

    @property
    def depth_source(self) -> str:
        """Where the depth of the bones comes from, for people."""
        if self.world is not None:
            return "the detector's metric landmarks"
        if self.depths is not None:
            return "networks that read the image points alone"
        return "none: the set lacks joints that the networks read; bone lengths, limits and usual postures only"

    def with_focal(self, focal_px: float) -> Clip:
        """Change the focal length; metric landmarks keep their orientation."""
        observation = replace(self.observation, camera=replace(self.observation.camera, focal_px=focal_px))
        return replace(self, observation=observation, rays=viewing_rays(observation, self.hips, focal_px))

    # ------------------------------------------------------------------ terms
    def image_terms(self, state: State) -> list[Term]:
        """Terms of the pixels and of the bones' depths, with standard deviations at the distance of ``state``.

        Depths are those of a person of 1.65 m; they are scaled by the stature of ``state``.
        """
        terms: list[Term] = [image_term(self.observation, state, self.sigma_m, MIN_SIGMA_PX)]
        if self.depths is not None:
            terms.append(depth_term(self.depths, torch.isfinite(self.sigma_m), self.rays, self.body, state))
        return terms

    @property
    def _repeats(self) -> float:
        """Factor by which priors are narrowed because frames repeat each other: the root of frames per independent view."""
        return float(np.sqrt(max(1.0, len(self.observation.time_s) / INDEPENDENT_VIEWS)))

    def shared_prior(self) -> SharedPrior:
        """Prior of betas, landmark offsets and focal length."""
        camera, sigma = self.observation.camera, self.options.focal_sigma
        if sigma is None:
            sigma = GUESSED_FOCAL_SIGMA if camera.source == GUESS else KNOWN_FOCAL_SIGMA
        focal_sigma = max(sigma, KNOWN_FOCAL_SIGMA) / self._repeats
        return SharedPrior(1.0 / self._repeats, OFFSET_SIGMA_M / self._repeats, camera.focal_px, focal_sigma)

    def stature_terms(self) -> list[Stature]:
        """Prior of the stature: the known height, or the population's mean."""
        at_zero_m, by_betas_m = self.body.data.stature_line
        known_m = self.options.height_m
        height_m, sigma_m = (at_zero_m, STATURE_SIGMA_M) if known_m is None else (known_m, HEIGHT_SIGMA_M)
        return [Stature(height_m, at_zero_m, by_betas_m, sigma_m / self._repeats)]

    def problem(self, terms: Sequence[Term], free: Sequence[int] = ()) -> Problem:
        """Make a problem on this clip's landmarks.

        Args:
            terms: evidence and priors.
            free: columns of the free shared unknowns.

        Returns:
            A problem with the point set ``landmarks``.
        """
        return Problem(self.body, {"landmarks": self.landmarks}, terms, free)

    # ------------------------------------------------------------------ stages
    def start(self) -> State:
        """First guess: angles from the metric landmarks, or from the pixels if there are none; translation from the pixels."""
        o, time_s = self.observation, self.observation.time_s
        seen = np.isfinite(self.sigma_m.numpy())
        shown = seen.sum(axis=1) >= MIN_LANDMARKS if self.world is None else np.isfinite(self.world).all(axis=(1, 2))
        rate_hz = PIXEL_RATE_HZ if self.world is None else GUESS_RATE_HZ
        stride = max(1, int(1.0 / (rate_hz * float(np.median(np.diff(time_s))))) if len(time_s) > 1 else 1)
        some = np.unique([0, *np.flatnonzero(shown)[::stride], len(time_s) - 1])
        if self.world is None:
            depths = None if self.depths is None else self.depths.at(some)
            rough = PixelStart(o.at(some), self.body, self.landmarks, seen[some], self.rays[some], depths).angles()
        else:
            rough = self.part(some)._angles_from(self.world[some])
        q = interpolate(time_s, time_s[some], rough)
        q[:, 46:] = 0.0
        return self.placed(State(torch.as_tensor(q), np.zeros(10), np.zeros(2), 0.0, o.camera.focal_px))

    def placed(self, state: State) -> State:
        """Set the translations that explain the pixels best, for the angles of a state.

        Raises:
            EstimationError: no frame has enough landmarks.
        """
        q = state.q.clone()
        q[:, 46:] = 0
        points = self.problem([]).view(replace(state, q=q)).points("landmarks")
        weight = np.nan_to_num(1 / self.sigma_m.numpy())
        found = translations(self.observation, points, state.camera_rotation, state.focal_px, weight)
        return replace(state, q=torch.cat([q[:, :46], torch.as_tensor(found)], dim=1))

    def _angles_from(self, world: FloatArray) -> FloatArray:
        """(T, 49) root from the torso, joints from the metric landmarks (T, L, 3); the translation is arbitrary."""
        time_s = self.observation.time_s
        torso = [self.landmarks.names.index(name) for name in TORSO]
        rest = self.landmarks(np.zeros(10), np.zeros((OFFSET_GROUPS, 3)))
        q = standing(unwrapped(time_s, root_orientations(self.body, world, rest, torso)))
        state = State(torch.as_tensor(q), np.zeros(10), np.zeros(2), 0.0, self.observation.camera.focal_px)
        target = torch.as_tensor(world)
        sigma = torch.where(torch.isfinite(self.sigma_m), WORLD_SIGMA_M, torch.inf)
        anchor = torch.cat([torch.full((46,), torch.inf), torch.full((3,), _ANCHOR_SIGMA_M)]).double()

        def solve(guess: State, window: slice) -> tuple[State, None]:
            terms = [
                Positions("landmarks", target[window], sigma[window], self.hips),
                *posture_terms(straight=False),
                PosePrior(torch.zeros(49, dtype=torch.float64), anchor),
                smoothness(time_s[window]),
            ]
            return self.problem(terms).minimise(guess, _GUESS_STOP), None

        solved, _ = solve_windows(state, solve, lambda _done, _total: None, overlap=0)
        return np.asarray(solved.q.numpy())

    def fit_shape(self, state: State) -> State:
        """Estimate betas, landmark offsets and focal length from frames with enough landmarks, spread over the clip."""
        chosen = spread(np.flatnonzero(torch.isfinite(self.sigma_m).sum(dim=1) >= MIN_LANDMARKS))
        part, start = self.part(chosen), replace(state, q=state.q[chosen])
        terms = [*part.image_terms(start), *posture_terms(), part.shared_prior(), *part.stature_terms()]
        solved = part.problem(terms, [*range(SHAPE.start, SHAPE.stop), FOCAL]).minimise(start, _SHAPE_STOP)
        return replace(state, betas=solved.betas, offsets_m=solved.offsets_m, focal_px=solved.focal_px)

    def fit_window(self, state: State) -> tuple[Problem, State]:
        """Solve all frames with shape and camera held; the problem and its solution."""
        problem = self.problem([*self.image_terms(state), *posture_terms(), smoothness(self.observation.time_s)])
        return problem, problem.minimise(state, _WINDOW_STOP)


def _bone_depths(observation: Observation, names: tuple[str, ...]) -> BoneDepths | None:
    """Depths of the bones: by the networks for BlazePose's landmarks or for image points, else as the detector gives them.

    None for image points that are too few for the networks.
    """
    o, world_m = observation, observation.keypoints_m
    if world_m is None:
        return read_pixel_depths(names, o.time_s, o.keypoints_px, o.confidence)
    if o.keypoint_set != DETECTOR_SET:
        return drawn_bone_depths(names, world_m[..., 2])
    return read_bone_depths(names, *bridged(o.time_s, o.keypoints_px, world_m, o.confidence))

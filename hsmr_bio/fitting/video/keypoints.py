"""Keypoints of a clip to one body and its motion in the camera frame.

One shape for the whole clip, 46 angles and a place per frame, from: landmarks in the image (robust), their depth
(weak: one camera resolves hardly more than front from back), joint limits, postures, and smoothness in time. All
frames are solved together by damped Gauss-Newton on analytic Jacobians.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ...body.body import Body
from ...errors import EstimationError, InputError
from ...io.cameras import GUESS
from ...option_checks import check_height, check_number
from ...types import FloatArray, Observation
from ..core.body_points import KeypointPoints, StatureLine
from ..core.priors import acceleration_sigma, limits, mean_pose, pose_prior, spine_rhythm
from ..core.problem import FOCAL, OFFSET_GROUPS, SHAPE, Problem, State, Term
from ..core.terms import Depth, PosePrior, Positions, Reprojection, SharedPrior, Smoothness, Stature
from ..core.windows import windows_of
from .bone_depth import (
    DETECTOR_SET,
    DETECTOR_STATURE_M,
    LEAST_CONFIDENCE,
    BoneDepths,
    bridged,
    drawn_bone_depths,
    read_bone_depths,
)
from .pixel_start import RATE_HZ as PIXEL_RATE_HZ
from .pixel_start import PixelStart
from .start import MIN_LANDMARKS, TORSO, level_landmarks, root_orientations, translations, unwrapped, viewing_rays

WORLD_SIGMA_M = 0.08
"""Error of the detector's metric landmarks after alignment (70 to 85 mm on real clips)."""
IMAGE_CAUTION = 1.3
"""Real people in clothes against the renders that the landmarks' deviations were measured on."""
MIN_SIGMA_PX = 1.0
"""No landmark is believed to less than a pixel."""
INDEPENDENT_VIEWS = 24.0
"""A detector misplaces a landmark alike in all frames of a clip: for the shape, a clip is worth so many frames."""
HEIGHT_SIGMA_M = 0.005
OFFSET_SIGMA_M = 0.006
"""Landmarks sit 4 to 16 mm from their mean place on other bodies; what betas explain of it is theirs."""
STATURE_SIGMA_M = 0.02
"""One camera does not see size: without a known height the body keeps the mean stature of its population."""
SHAPE_FRAMES = 120
"""Frames, spread over the clip, that shape and focal length are taken from."""
GUESS_RATE_HZ = 15.0
"""The first guess is made on so many frames a second at least, and drawn between them."""
MIN_SEEN_FRAMES = 2


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """What the user knows about the clip."""

    height_m: float | None = None
    """Body height, if known."""
    focal_sigma: float | None = None
    """Standard deviation of the logarithm of the focal length; None: 0.1 for a guessed camera, else fixed."""
    deviations: bool = True
    """Whether standard deviations are wanted; grounding with images finds its own."""
    refine: bool = False
    """Of an observation with predicted SKEL parameters (HSMR): whether its landmarks correct the prediction, in one fit."""

    def __post_init__(self) -> None:
        check_height(self.height_m)
        check_number("focal_sigma", self.focal_sigma, above=0)


@dataclass(eq=False)
class Clip:
    """An observation, made ready for the terms."""

    observation: Observation
    body: Body
    options: FitOptions
    landmarks: KeypointPoints
    sigma_m: Tensor
    """(T, L) image standard deviation, infinite where a landmark is not seen."""
    rays: FloatArray
    world: FloatArray | None
    """(T, L, 3) metric landmarks relative to the mid-hip, level axes."""
    depths: BoneDepths | None
    """Depth over the bones, where the detector tells any."""
    hips: tuple[int, int]

    @classmethod
    def of(cls, observation: Observation, body: Body, options: FitOptions) -> Clip:
        """Check the observation and turn it to level axes."""
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
        if int(observation.seen.sum()) < min(MIN_SEEN_FRAMES, len(observation.time_s)):
            raise EstimationError(
                f"the person is seen in {int(observation.seen.sum())} of {len(observation.time_s)} frames; "
                f"at least {MIN_SEEN_FRAMES} are needed. Is the whole body in the picture, and larger than about 100 pixels?"
            )
        hips = names.index("left_hip"), names.index("right_hip")
        sigma = IMAGE_CAUTION * landmarks.sigma_2d_m * (1 + 4 * (1 - observation.confidence) ** 1.5)
        seen = (observation.confidence > LEAST_CONFIDENCE) & np.isfinite(observation.keypoints_px).all(axis=-1)
        rays = viewing_rays(observation, hips, observation.camera.focal_px)
        depths = _bone_depths(observation, names)
        world = level_landmarks(observation, rays)
        sigma_m = torch.as_tensor(np.where(seen, sigma, np.inf))
        return cls(observation, body, options, landmarks, sigma_m, rays, world, depths, hips)

    def part(self, frames: slice | FloatArray) -> Clip:
        """Some of the frames."""
        return replace(
            self,
            observation=self.observation.at(frames),
            sigma_m=self.sigma_m[frames],
            rays=self.rays[frames],
            world=None if self.world is None else self.world[frames],
            depths=None if self.depths is None else self.depths.at(frames),
        )

    def with_focal(self, focal_px: float) -> Clip:
        """The same landmarks seen through another focal length; their metric positions stay as they were turned."""
        observation = replace(self.observation, camera=replace(self.observation.camera, focal_px=focal_px))
        return replace(self, observation=observation, rays=viewing_rays(observation, self.hips, focal_px))

    # ------------------------------------------------------------------ terms
    def image_terms(self, state: State) -> list[Term]:
        """Pixels and weak depth; the pixels' deviations are those at the distance of ``state``."""
        o = self.observation
        distance = (state.q[:, 46:] @ state.camera_rotation.T)[:, 2:].clamp_min(0.3)
        sigma_px = (self.sigma_m * state.focal_px / distance).clamp_min(MIN_SIGMA_PX)
        terms: list[Term] = [Reprojection("landmarks", torch.tensor(o.keypoints_px), sigma_px, o.camera.center_px)]
        if self.depths is not None:
            depths = self.depths
            length = StatureLine.of(self.body).at(state.betas) / DETECTOR_STATURE_M
            seen = torch.isfinite(self.sigma_m)[:, depths.pairs].all(dim=-1) & torch.isfinite(depths.depth_m)
            sigma = torch.where(seen, length * depths.sigma_m, torch.inf)
            rays = torch.as_tensor(self.rays)
            target = length * depths.depth_m
            terms.append(Depth("landmarks", depths.pairs, rays, target, sigma, depths.caution, depths.correlation))
        return terms

    def shared_prior(self) -> SharedPrior:
        """Betas of the population, landmarks in their mean places, the focal length as given."""
        camera = self.observation.camera
        sigma = self.options.focal_sigma
        if sigma is None:
            sigma = 0.1 if camera.source == GUESS else 1e-3
        repeats = np.sqrt(max(1.0, len(self.observation.time_s) / INDEPENDENT_VIEWS))
        return SharedPrior(1.0 / repeats, OFFSET_SIGMA_M / repeats, camera.focal_px, max(sigma, 1e-3) / repeats)

    def stature_terms(self) -> list[Stature]:
        """The known height; the population's mean if it is not known."""
        line = StatureLine.of(self.body)
        repeats = np.sqrt(max(1.0, len(self.observation.time_s) / INDEPENDENT_VIEWS))
        if self.options.height_m is None:
            return [Stature(line.at_zero_m, line.at_zero_m, line.by_betas_m, STATURE_SIGMA_M / repeats)]
        return [Stature(self.options.height_m, line.at_zero_m, line.by_betas_m, HEIGHT_SIGMA_M / repeats)]

    def problem(self, terms: Sequence[Term], free: Sequence[int]) -> Problem:
        """A problem on this clip's landmarks."""
        return Problem(self.body, {"landmarks": self.landmarks}, terms, free)

    # ------------------------------------------------------------------ stages
    def start(self) -> State:
        """Angles from the metric landmarks, or from the pixels if there are none, then the place from the pixels."""
        o, time_s = self.observation, self.observation.time_s
        seen = np.isfinite(self.sigma_m.numpy())
        shown = seen.sum(axis=1) >= MIN_LANDMARKS if self.world is None else np.isfinite(self.world).all(axis=(1, 2))
        rate_hz = PIXEL_RATE_HZ if self.world is None else GUESS_RATE_HZ
        stride = max(1, int(1.0 / (rate_hz * float(np.median(np.diff(time_s))))) if len(time_s) > 1 else 1)
        some = np.unique([0, *np.flatnonzero(shown)[::stride], len(time_s) - 1])
        if self.world is None:
            rough = PixelStart(o.at(some), self.body, self.landmarks, seen[some]).angles()
        else:
            rough = self.part(some)._first_angles(self.world[some])
        q = np.stack([np.interp(time_s, time_s[some], column) for column in rough.T], axis=1)
        q[:, 46:] = 0.0
        state = State(torch.as_tensor(q), np.zeros(10), np.zeros(2), 0.0, o.camera.focal_px)
        view = self.problem([], []).view(state)
        weight = np.nan_to_num(1 / self.sigma_m.numpy())
        placed = translations(o, view.points("landmarks"), state.camera_rotation, o.camera.focal_px, weight)
        return replace(state, q=torch.as_tensor(np.concatenate([q[:, :46], placed], axis=1)))

    def _first_angles(self, world: FloatArray) -> FloatArray:
        """(T, 49) the root from the torso, the joints from the metric landmarks; no place yet."""
        time_s = self.observation.time_s
        torso = [self.landmarks.names.index(name) for name in TORSO]
        angles = root_orientations(self.body, world, self.landmarks(np.zeros(10), np.zeros((OFFSET_GROUPS, 3))), torso)
        q = np.zeros((len(time_s), 49))
        q[:, :46] = mean_pose()
        q[:, :3] = unwrapped(time_s, angles)
        state = State(torch.as_tensor(q), np.zeros(10), np.zeros(2), 0.0, self.observation.camera.focal_px)
        target = torch.as_tensor(world)
        sigma = torch.where(torch.isfinite(self.sigma_m), WORLD_SIGMA_M, torch.inf)
        anchored = torch.cat([torch.full((46,), torch.inf), torch.full((3,), 0.1)]).double()
        for window, _ in windows_of(len(time_s), overlap=0):
            terms = [
                Positions("landmarks", target[window], sigma[window], self.hips),
                pose_prior(straight=False),
                spine_rhythm(),
                limits(),
                PosePrior(torch.zeros(49, dtype=torch.float64), anchored),
                Smoothness(time_s[window], acceleration_sigma()),
            ]
            solved, _ = self.problem(terms, []).minimise(replace(state, q=state.q[window]), iterations=6, tolerance=1e-3)
            q[window] = solved.q.numpy()
        return q

    def fit_shape(self, state: State) -> State:
        """Betas (and focal length) from well-seen frames that are spread over the clip."""
        seen = np.flatnonzero(torch.isfinite(self.sigma_m).sum(dim=1) >= MIN_LANDMARKS)
        chosen = seen[np.linspace(0, len(seen) - 1, min(SHAPE_FRAMES, len(seen))).round().astype(int)]
        part = self.part(chosen)
        start = replace(state, q=state.q[chosen])
        terms = [*part.image_terms(start), pose_prior(), spine_rhythm(), limits(), part.shared_prior(), *part.stature_terms()]
        free = [*range(SHAPE.start, SHAPE.stop), FOCAL]
        solved, _ = part.problem(terms, free).minimise(start, iterations=12, tolerance=1e-3)
        return replace(state, betas=solved.betas, offsets_m=solved.offsets_m, focal_px=solved.focal_px)

    def fit_window(self, state: State) -> tuple[Problem, State]:
        """Frames of one window with shape and camera held."""
        smooth = Smoothness(self.observation.time_s, acceleration_sigma())
        problem = self.problem([*self.image_terms(state), pose_prior(), spine_rhythm(), limits(), smooth], [])
        solved, _ = problem.minimise(state, iterations=12, tolerance=5e-3)
        return problem, solved


def _bone_depths(observation: Observation, names: tuple[str, ...]) -> BoneDepths | None:
    """Depth over the bones, as the detector is known to mean it, or as it was given by another one."""
    o, world_m = observation, observation.keypoints_m
    if world_m is None:
        return None
    if o.keypoint_set != DETECTOR_SET:
        return drawn_bone_depths(names, world_m[..., 2])
    return read_bone_depths(names, *bridged(o.time_s, o.keypoints_px, world_m, o.confidence))

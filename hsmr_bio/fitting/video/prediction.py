"""Fit of one body and a smooth motion to SKEL parameters that a network predicts frame by frame (HSMR).

A prediction jitters, and its body changes from frame to frame. Here it is evidence: a normal distribution of each angle about
its prediction. Landmarks in the image, joint limits and smoothness are the other terms of the same fit.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import torch

from ...body.body import Body
from ...body.placing import near_branch, rotate_motion
from ...errors import EstimationError, InputError
from ...kinematics.solve import Stop
from ...skeleton import DOF_NAMES
from ...types import BoolArray, FloatArray, Observation, Progress, SkelMotion, quiet
from ..core.priors import limits, smoothness
from ..core.problem import FLIP, FOCAL, OFFSETS, Problem, State
from ..core.terms import PosePrior
from ..core.windows import solve_windows
from .camera_fit import CameraFit
from .keypoints import MIN_SEEN_FRAMES, Clip, FitOptions
from .start import fill_gaps, spread, to_ray

ANGLE_SIGMA_RAD = np.radians(15.0)
"""Standard deviation of a predicted angle. A joint error of 5 to 8 cm (HSMR's PA-MPJPE) on limbs of 0.4 m is about 10 degrees;
it is increased because neighbouring frames err alike (our choice)."""
LOOSE_SIGMA_RAD = np.radians(35.0)
"""The same for angles of forearms, wrists and feet, which HSMR regresses from few pixels."""
PLACE_SIGMA_M = np.array([0.03, 0.03, 0.15])
"""The same for the predicted translation: across the view, and along it."""
_LOOSE = ("pro_sup", "wrist", "subtalar", "mtp")
"""Beginnings of the names of the loose angles."""
_UNSEEN = 1e6
"""Standard deviation of all unknowns of a frame without a prediction."""
_OFFSETS_STOP, _REFINE_STOP, _SMOOTH_STOP = Stop(6, cost=1e-3), Stop(12, cost=5e-4), Stop(12, cost=1e-6)
"""Of the landmark offsets, of the fit with landmarks and of the fit without them (our choice)."""


def fit_prediction(
    observation: Observation,
    body: Body,
    options: FitOptions | None = None,
    *,
    refine: bool = True,
    progress: Progress = quiet,
) -> CameraFit:
    """Fit one body and a smooth motion to predicted SKEL parameters, in the camera frame.

    Args:
        observation: with ``skel_poses_rad``; its landmarks are used if ``refine``.
        body: the body of the result. If it is the prediction's own, its betas are the median of the predicted ones. Any other
            body of SKEL's schema takes over the angles, and its shape is estimated from the landmarks.
        options: as for :func:`~hsmr_bio.fitting.video.fit_motion.fit_motion`.
        refine: whether image landmarks correct the prediction.
        progress: receives the number of solved windows.

    Returns:
        The motion without a clip: its postures are the evidence for grounding.

    Raises:
        InputError: the observation has no predicted parameters, or another body has no landmarks for its shape.
        EstimationError: no frame has predicted parameters.
    """
    options = options or FitOptions()
    if observation.skel_poses_rad is None or observation.skel_trans_m is None or observation.skel_betas is None:
        raise InputError("this observation has no SKEL parameters; use fit_motion for landmarks alone")
    known = np.asarray(np.isfinite(observation.skel_poses_rad).all(axis=1))
    if not known.any():
        raise EstimationError(f"the network saw the person in none of {len(known)} frames")
    needed = min(MIN_SEEN_FRAMES, len(observation.time_s))
    landmarks = int((observation.confidence > 0).any(axis=1).sum()) >= needed
    own = observation.skel_body == body.name
    if not landmarks and (refine or not own):
        raise InputError(
            f"no landmarks were seen, so that the prediction cannot be refined or brought to the body {body.name!r}; "
            f"use the body it was made for ({observation.skel_body}) without refinement"
        )
    betas = np.median(observation.skel_betas[known], axis=0) if own else np.zeros(10)
    clip = Clip.of(observation, body, options) if landmarks else None
    level = _level_prediction(observation, body, betas, clip)
    state = State(torch.as_tensor(level), betas, np.zeros(2), 0.0, observation.camera.focal_px)
    if clip is None:
        return _without_landmarks(observation, body, state, known, progress)
    placed = _placed(clip, state)
    shaped = _fit_offsets(clip, placed) if own else clip.fit_shape(placed)
    if refine:
        return _with_landmarks(clip, shaped, level, known, progress)
    q = state.q if own else torch.cat([state.q[:, :46], placed.q[:, 46:]], dim=1)
    return _without_landmarks(observation, body, replace(state, q=q, betas=shaped.betas), known, progress)


def _level_prediction(observation: Observation, body: Body, betas: FloatArray, clip: Clip | None) -> FloatArray:
    """(T, 49) prediction in level axes, gaps filled, root angles continuous.

    The network's optical axis is the ray to the middle of its crop: with the actual focal length the body is rotated by it.
    """
    time_s = observation.time_s
    poses = fill_gaps(time_s, _continuous(np.asarray(observation.skel_poses_rad)))
    trans = fill_gaps(time_s, np.asarray(observation.skel_trans_m))
    camera = SkelMotion(
        time_s=time_s, poses_rad=poses, trans_m=trans, betas=betas, body=body.name, frame="camera", camera=observation.camera
    )
    rotation = FLIP.numpy() if clip is None else FLIP.numpy() @ to_ray(clip.rays)
    poses = np.array(rotate_motion(camera, body, rotation, frame="skel").poses_rad)
    poses[:, :3] -= 2 * np.pi * np.round(poses[:1, :3] / (2 * np.pi))
    pelvis = body.rest(betas).joints_m[0]
    return np.concatenate([poses, (pelvis + trans) @ FLIP.numpy().T - pelvis], axis=1)


def _continuous(poses: FloatArray) -> FloatArray:
    """Angles without full turns between frames; gaps stay."""
    out = np.array(poses)
    known = np.isfinite(out).all(axis=1)
    out[known, 3:] = np.unwrap(out[known, 3:], axis=0)
    out[known, :3] = near_branch(out[known, :3])
    return out


def _evidence(level: FloatArray, known: BoolArray, place_sigma_m: FloatArray) -> PosePrior:
    """Normal distribution of every unknown about its prediction; frames without a prediction are free."""
    sigma = np.array([LOOSE_SIGMA_RAD if name.startswith(_LOOSE) else ANGLE_SIGMA_RAD for name in DOF_NAMES])
    rows = np.tile(np.concatenate([sigma, place_sigma_m]), (len(level), 1))
    rows[~known] = _UNSEEN
    return PosePrior(torch.as_tensor(level), torch.as_tensor(rows))


def _placed(clip: Clip, state: State) -> State:
    """The translation that explains the landmarks for the predicted pose, else the predicted one."""
    try:
        return clip.placed(state)
    except EstimationError:  # the predicted pose is far from the landmarks
        return state


def _fit_offsets(clip: Clip, state: State) -> State:
    """Estimate landmark offsets and focal length."""
    chosen = spread(np.flatnonzero(clip.observation.seen))
    part, start = clip.part(chosen), replace(state, q=state.q[chosen])
    terms = [*part.image_terms(start), part.shared_prior(), limits()]
    fitted = part.problem(terms, [*range(OFFSETS.start, OFFSETS.stop), FOCAL]).minimise(start, _OFFSETS_STOP)
    return replace(state, focal_px=fitted.focal_px, offsets_m=fitted.offsets_m)


def _with_landmarks(clip: Clip, state: State, level: FloatArray, known: BoolArray, progress: Progress) -> CameraFit:
    """Fit landmarks, prediction, limits and smoothness, window by window."""

    def solve(start: State, window: slice) -> tuple[State, FloatArray]:
        part = clip.part(window)
        evidence = _evidence(level[window], known[window], np.full(3, np.inf))
        terms = [*part.image_terms(start), evidence, limits(), smoothness(part.observation.time_s)]
        return _solved(part.problem(terms), start, _REFINE_STOP)

    return CameraFit.of(*solve_windows(state, solve, partial(progress, "fit")), clip.observation, clip.body)


def _without_landmarks(observation: Observation, body: Body, state: State, known: BoolArray, progress: Progress) -> CameraFit:
    """Fit the prediction, limits and smoothness, all frames at once."""
    terms = [_evidence(state.q.numpy(), known, PLACE_SIGMA_M), limits(), smoothness(observation.time_s)]
    fit = CameraFit.of(*_solved(Problem(body, {}, terms), state, _SMOOTH_STOP), observation, body)
    progress("fit", 1, 1)
    return fit


def _solved(problem: Problem, state: State, stop: Stop) -> tuple[State, FloatArray]:
    """Solution of a problem, and the standard deviations of its posterior."""
    solved = problem.minimise(state, stop)
    return solved, problem.system(problem.view(solved)).standard_deviation()

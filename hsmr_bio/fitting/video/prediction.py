"""From SKEL parameters predicted frame by frame (HSMR) to one body and a smooth motion.

A network's prediction jitters, and its body changes from frame to frame. Here it is evidence among others: each angle near its
prediction, with a standard deviation; image landmarks, joint limits and smooth movement decide the rest, in one fit.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from ...body.body import Body
from ...body.keypoint_table import keypoints_of
from ...body.placing import near_branch, rotate_motion
from ...errors import EstimationError, InputError
from ...skeleton import DOF_NAMES
from ...types import BoolArray, FloatArray, Observation, Progress, SkelMotion, quiet
from ..core.priors import acceleration_sigma, limits
from ..core.problem import FLIP, FOCAL, OFFSETS, Problem, State, Term
from ..core.terms import PosePrior, Smoothness
from ..core.windows import windows_of
from .camera_fit import CameraFit
from .keypoints import MIN_SEEN_FRAMES, SHAPE_FRAMES, Clip, FitOptions
from .start import fill_gaps, to_ray, translations, viewing_rays

ANGLE_SIGMA_RAD = np.radians(15.0)
"""Standard deviation of a predicted angle: a joint error of 5 to 8 cm on limbs of 0.4 m (HSMR's PA-MPJPE) is about 10 degrees;
as much more than the landmarks' own deviations because neighbouring frames err alike (our choice)."""
LOOSE_SIGMA_RAD = np.radians(35.0)
"""Of forearm and wrist angles, which HSMR regresses from few pixels."""
PLACE_SIGMA_M = np.array([0.03, 0.03, 0.15])
"""Of the predicted translation: across the view, and along it."""
_LOOSE = ("pro_sup", "wrist", "subtalar", "mtp")
_UNSEEN = 1e6
_ITERATIONS = 12


def fit_prediction(
    observation: Observation,
    body: Body,
    options: FitOptions | None = None,
    *,
    refine: bool = True,
    progress: Progress = quiet,
) -> CameraFit:
    """Make one motion of predicted SKEL parameters.

    Args:
        observation: with ``skel_poses_rad``; its landmarks are used if ``refine``.
        body: the body of the result. If it is the prediction's own, its betas are the median of the predicted ones;
            any other body of SKEL's schema takes over the angles and finds its shape from the landmarks.
        options: as for :func:`~hsmr_bio.fitting.video.fit_motion.fit_motion`.
        refine: let image landmarks correct the prediction.
        progress: told about the frames that are done.

    Returns:
        The motion in the camera frame, without a clip: its postures are the evidence for what follows.

    Raises:
        InputError: the observation has no predicted parameters, or another body is to be shaped without landmarks.
        EstimationError: parameters in fewer than two frames.
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
    level = _level_prediction(observation, body, betas, landmarks)
    clip = Clip.of(observation, body, options) if landmarks else None
    state = State(torch.as_tensor(level), betas, np.zeros(2), 0.0, observation.camera.focal_px)
    if clip is None:
        return _smoothed(observation, body, state, known, progress)
    placed = _placed(clip, state)
    shaped = _shaped(clip, placed, own=own)
    if refine:
        return _refined(clip, shaped, level, known, progress)
    q = state.q if own else torch.cat([state.q[:, :46], placed.q[:, 46:]], dim=1)
    return _smoothed(observation, body, replace(state, q=q, betas=shaped.betas), known, progress)


def _level_prediction(observation: Observation, body: Body, betas: FloatArray, landmarks: bool) -> FloatArray:
    """(T, 49) prediction in level axes, gaps filled, root angles continuous.

    The network looks along the ray to the middle of its crop: with the actual focal length the body is turned by that ray.
    """
    time_s = observation.time_s
    poses = fill_gaps(time_s, _continuous(np.asarray(observation.skel_poses_rad)))
    trans = fill_gaps(time_s, np.asarray(observation.skel_trans_m))
    camera = SkelMotion(
        time_s=time_s, poses_rad=poses, trans_m=trans, betas=betas, body=body.name, frame="camera", camera=observation.camera
    )
    rays = viewing_rays(observation, _hips(observation, body), observation.camera.focal_px) if landmarks else None
    turn = FLIP.numpy() if rays is None else FLIP.numpy() @ to_ray(rays)
    motion = rotate_motion(camera, body, turn, frame="skel")
    joint = torch.as_tensor(body.rest(betas).joints_m[0])
    placed = (np.asarray(joint) + trans) @ FLIP.numpy().T - np.asarray(joint)
    poses = np.array(motion.poses_rad)
    poses[:, :3] -= 2 * np.pi * np.round(poses[:1, :3] / (2 * np.pi))
    return np.concatenate([poses, placed], axis=1)


def _hips(observation: Observation, body: Body) -> tuple[int, int]:
    names = [name for name, _ in keypoints_of(body.data, observation.keypoint_set)[1]]
    return names.index("left_hip"), names.index("right_hip")


def _continuous(poses: FloatArray) -> FloatArray:
    """Angles without full turns between frames; gaps stay."""
    out = np.array(poses)
    known = np.isfinite(out).all(axis=1)
    out[known, 3:] = np.unwrap(out[known, 3:], axis=0)
    out[known, :3] = near_branch(out[known, :3])
    return out


def _evidence(level: FloatArray, known: BoolArray, *, place: bool) -> PosePrior:
    """Every unknown near its prediction; nothing is known in frames without one."""
    sigma = np.array([LOOSE_SIGMA_RAD if name.startswith(_LOOSE) else ANGLE_SIGMA_RAD for name in DOF_NAMES])
    rows = np.tile(np.concatenate([sigma, PLACE_SIGMA_M if place else np.full(3, np.inf)]), (len(level), 1))
    rows[~known] = _UNSEEN
    return PosePrior(torch.as_tensor(level), torch.as_tensor(rows))


def _placed(clip: Clip, state: State) -> State:
    """The translation that explains the landmarks, given the predicted pose."""
    q = state.q.clone()
    q[:, 46:] = 0
    points = clip.problem([], []).view(replace(state, q=q)).points("landmarks")
    weight = np.nan_to_num(1 / clip.sigma_m.numpy())
    try:
        q[:, 46:] = torch.as_tensor(translations(clip.observation, points, state.camera_rotation, state.focal_px, weight))
    except EstimationError:  # the predicted pose is far from the landmarks: start where the network puts the person
        return state
    return replace(state, q=q)


def _shaped(clip: Clip, state: State, *, own: bool) -> State:
    """Focal length, the detector's habits on this person, and the betas of a body that the prediction does not know."""
    if not own:
        return clip.fit_shape(state)
    seen = np.flatnonzero(clip.observation.seen)
    chosen = seen[np.linspace(0, len(seen) - 1, min(SHAPE_FRAMES, len(seen))).round().astype(int)]
    part, start = clip.part(chosen), replace(state, q=state.q[chosen])
    problem = part.problem(
        [*part.image_terms(start), part.shared_prior(), limits()], [*range(OFFSETS.start, OFFSETS.stop), FOCAL]
    )
    fitted, _ = problem.minimise(start, iterations=6, tolerance=1e-3)
    return replace(state, focal_px=fitted.focal_px, offsets_m=fitted.offsets_m)


def _refined(clip: Clip, state: State, level: FloatArray, known: BoolArray, progress: Progress) -> CameraFit:
    """Landmarks, prediction, limits and smoothness, window by window."""
    q, sd = [], []
    windows = windows_of(len(level))
    for i, (window, keep) in enumerate(windows):
        progress("fit", i, len(windows))
        part, start = clip.part(window), replace(state, q=state.q[window])
        terms = [
            *part.image_terms(start),
            _evidence(level[window], known[window], place=False),
            limits(),
            Smoothness(part.observation.time_s, acceleration_sigma()),
        ]
        problem = part.problem(terms, [])
        solved, _ = problem.minimise(start, iterations=_ITERATIONS, tolerance=5e-4)
        deviation = problem.system(problem.view(solved)).standard_deviation()
        q.append(solved.q[keep].numpy())
        sd.append(deviation[keep])
    progress("fit", len(windows), len(windows))
    solved = replace(state, q=torch.as_tensor(np.concatenate(q)))
    return CameraFit.of(solved, np.concatenate(sd), clip.observation, clip.body)


def _smoothed(observation: Observation, body: Body, state: State, known: BoolArray, progress: Progress) -> CameraFit:
    """The prediction alone: one body, limits, smooth movement."""
    level = state.q.numpy()
    terms: list[Term] = [
        _evidence(level, known, place=True),
        limits(),
        Smoothness(observation.time_s, acceleration_sigma()),
    ]
    problem = Problem(body, {}, terms, [])
    solved, _ = problem.minimise(state, iterations=_ITERATIONS, tolerance=1e-6)
    sd = problem.system(problem.view(solved)).standard_deviation()
    progress("fit", 1, 1)
    return CameraFit.of(solved, sd, observation, body)

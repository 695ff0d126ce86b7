"""From what an estimator saw to one body and its motion: landmarks alone, or a network's prediction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from ...body.body import Body
from ...io.cameras import GUESS
from ...option_checks import check_arguments, options_or_default
from ...types import Observation, Progress, quiet
from ..core.uncertainty import standard_deviation
from ..core.windows import windows_of
from .camera_fit import CameraFit
from .keypoints import Clip, FitOptions
from .prediction import fit_prediction
from .scene import scene_axes


def fit_motion(
    observation: Observation, body: Body, options: FitOptions | None = None, *, progress: Progress = quiet
) -> CameraFit:
    """Find the shape and the motion of a body that explain what an estimator saw.

    Args:
        observation: one person's keypoints (and camera).
        body: the body to fit, e.g. ``load_body("open")``.
        options: known height, trust in the focal length.
        progress: told about the frames that are done.

    Returns:
        The motion in the camera frame, with the standard deviation of each angle from the posterior of the fit, and what
        :func:`~hsmr_bio.fitting.world.ground.to_world` goes on with.

    Raises:
        EstimationError: too little of the person is seen.
        InputError: the body does not define the observation's keypoints, or an argument of another type.
    """
    check_arguments("fit_motion(observation, body, options)", observation=(observation, Observation), body=(body, Body))
    options = options_or_default(FitOptions, options)
    scene = None if observation.scene_edges_px is None else scene_axes(observation.scene_edges_px, observation.camera)
    if scene is not None and observation.camera.source == GUESS:
        observation = with_focal(observation, scene.focal_px, "straight edges of the scene")
    if observation.skel_poses_rad is None:
        fit = _fit_landmarks(observation, body, options, progress)
    else:
        fit = fit_prediction(observation, body, options, refine=options.refine, progress=progress)
    return replace(fit, scene=scene)


def with_focal(observation: Observation, focal_px: float, source: str) -> Observation:
    """The same pictures through another focal length: who was placed by a network stands as much farther or nearer."""
    trans = observation.skel_trans_m
    if trans is not None:
        trans = trans * (1.0, 1.0, focal_px / observation.camera.focal_px)
    return replace(observation, camera=replace(observation.camera, focal_px=focal_px, source=source), skel_trans_m=trans)


def _fit_landmarks(observation: Observation, body: Body, options: FitOptions, progress: Progress) -> CameraFit:
    """Fit the body to the landmarks of a clip whose camera is settled: shape first, then the frames, window by window."""
    clip = Clip.of(observation, body, options)
    state = clip.fit_shape(clip.start())
    q, sd = [], []
    windows = windows_of(len(observation.time_s))
    for i, (window, keep) in enumerate(windows):
        progress("fit", i, len(windows))
        part = clip.part(window)
        problem, solved = part.fit_window(replace(state, q=state.q[window]))
        q.append(solved.q[keep].numpy())
        if options.deviations:
            sd.append(standard_deviation(problem, solved, part.observation.time_s)[keep])
    progress("fit", len(windows), len(windows))
    solved = replace(state, q=torch.as_tensor(np.concatenate(q)))
    fit = CameraFit.of(solved, np.concatenate(sd) if sd else None, observation, body)
    return replace(fit, clip=clip.with_focal(solved.focal_px))

"""Fit of one body and its motion to an observation: to landmarks, or to a network's prediction."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ...body.body import Body
from ...io.cameras import GUESS
from ...option_checks import check_arguments, options_or_default
from ...types import FloatArray, Observation, Progress, quiet
from ..core.problem import State
from ..core.uncertainty import standard_deviation
from ..core.windows import solve_windows
from .camera_fit import CameraFit
from .keypoints import Clip, FitOptions
from .prediction import fit_prediction
from .scene import scene_axes


def fit_motion(
    observation: Observation, body: Body, options: FitOptions | None = None, *, progress: Progress = quiet
) -> CameraFit:
    """Fit the shape and the motion of a body to an observation, in the camera frame.

    Args:
        observation: one person's keypoints (and camera).
        body: the body to fit, e.g. ``load_body("open")``.
        options: known height, uncertainty of the focal length.
        progress: receives the number of solved windows.

    Returns:
        The motion in the camera frame with the standard deviation of each angle, and the evidence for
        :func:`~hsmr_bio.fitting.world.ground.to_world`.

    Raises:
        EstimationError: too little of the person is seen.
        InputError: the body does not define the observation's keypoints, or an argument has a wrong type.

    Source:
        Least squares with robust image evidence: ``core.problem``, ``core.terms``; standard deviations: ``core.uncertainty``.
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
    """Change the focal length; a predicted translation is scaled in depth by the ratio of the focal lengths.

    Args:
        observation: one person's.
        focal_px: new focal length.
        source: origin of the new focal length.

    Returns:
        The same pixels with another camera.
    """
    trans = observation.skel_trans_m
    if trans is not None:
        trans = trans * (1.0, 1.0, focal_px / observation.camera.focal_px)
    return replace(observation, camera=replace(observation.camera, focal_px=focal_px, source=source), skel_trans_m=trans)


def _fit_landmarks(observation: Observation, body: Body, options: FitOptions, progress: Progress) -> CameraFit:
    """Fit the landmarks of a clip: first the shape and the focal length, then all frames with these held."""
    clip = Clip.of(observation, body, options)

    def solve(state: State, window: slice) -> tuple[State, FloatArray | None]:
        part = clip.part(window)
        problem, solved = part.fit_window(state)
        sd = standard_deviation(problem, solved, part.observation.time_s) if options.deviations else None
        return solved, sd

    solved, sd = solve_windows(clip.fit_shape(clip.start()), solve, partial(progress, "fit"))
    fit = CameraFit.of(solved, sd, observation, body, {"depth": clip.depth_source})
    return replace(fit, clip=clip.with_focal(solved.focal_px))

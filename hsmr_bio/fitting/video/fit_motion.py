"""From what an estimator saw to one body and its motion: landmarks alone, or a network's prediction."""

from __future__ import annotations

from dataclasses import asdict, replace

from ...body.body import Body
from ...io.cameras import GUESS
from ...option_checks import check_arguments, options_or_default
from ...types import Observation, Progress, SkelMotion, quiet
from .keypoints import FitOptions, fit_landmarks
from .prediction import fit_prediction
from .scene import scene_axes


def fit_motion(
    observation: Observation, body: Body, options: FitOptions | None = None, *, progress: Progress = quiet
) -> SkelMotion:
    """Find the shape and the motion of a body that explain what an estimator saw.

    Args:
        observation: one person's keypoints (and camera).
        body: the body to fit, e.g. ``load_body("open")``.
        options: known height, trust in the focal length.
        progress: told about the frames that are done.

    Returns:
        The motion in the camera frame, with the standard deviation of each angle from the posterior of the fit.

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
        motion = fit_landmarks(observation, body, options, progress=progress)
    else:
        motion = fit_prediction(observation, body, options, refine=options.refine, progress=progress)
    return motion if scene is None else replace(motion, notes={**motion.notes, "scene": asdict(scene)})


def with_focal(observation: Observation, focal_px: float, source: str) -> Observation:
    """The same pictures through another focal length: who was placed by a network stands as much farther or nearer."""
    trans = observation.skel_trans_m
    if trans is not None:
        trans = trans * (1.0, 1.0, focal_px / observation.camera.focal_px)
    return replace(observation, camera=replace(observation.camera, focal_px=focal_px, source=source), skel_trans_m=trans)

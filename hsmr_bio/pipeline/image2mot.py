"""The main pipeline: from a video to OpenSim files and a report. Read this first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

from ..body import Body, load_body
from ..errors import EstimationError
from ..estimators import estimate, estimate_people
from ..estimators.quality import refuse_moving_camera
from ..fitting.video.fit_motion import fit_motion
from ..fitting.video.keypoints import FitOptions
from ..fitting.world.ground import to_world
from ..fitting.world.smoothing import filter_motion, seen_frames
from ..kinematics.threads import one_blas_thread
from ..option_checks import file_name_of, options_or_default
from ..types import Observation, Progress, SkelMotion, quiet
from .options import Image2MotOptions, usable_cutoff
from .people import Person, Timer, refuse_early, write_people
from .results import Result
from .resume import Memory


def image2mot(
    source: str | PathLike[str],
    out_dir: str | PathLike[str],
    options: Image2MotOptions | None = None,
    *,
    progress: Progress = quiet,
) -> Result | list[Result]:
    """Estimate, fit, ground, filter, scale, map, check and write.

    Args:
        source: a video, an image, a folder of images, or for the estimator ``replay`` a saved observation.
        out_dir: folder for the results.
        options: see :class:`Image2MotOptions`.
        progress: called as each stage advances.

    Returns:
        The person's results; with ``options.people`` a list of results, the most prominent person first.

    Raises:
        InputError: a source or option cannot be used, or results exist already.
        EstimationError: no person is seen, or the camera moves.
        MissingAssetError: a licensed file that the options need is missing.
    """
    options = options_or_default(Image2MotOptions, options)
    name = options.name or file_name_of(Path(source).stem.removesuffix("_observation"))
    refuse_early(Path(out_dir), [name], options)
    body = load_body(options.body, options.sex)
    timer, memory = Timer(), Memory(Path(out_dir), name, source, options)

    def place(observation: Observation) -> Person:
        motion = motion_of(observation, body, options, progress=progress)
        return Person(motion=motion, body=body, observation=observation)

    with _errors_name(source):
        observations = memory.recall() or memory.keep(_observe(source, options, progress))
        timer.stop("estimate")
        with one_blas_thread():
            results = write_people(
                out_dir,
                observations,
                place,
                options,
                name=name,
                timer=timer,
                with_observations=options.save_observation,
                progress=progress,
            )
    memory.forget()
    return results if options.people else results[0]


def motion_of(
    observation: Observation, body: Body, options: Image2MotOptions | None = None, *, progress: Progress = quiet
) -> SkelMotion:
    """Fit a motion to an observation, transform it to the world frame, resample it to a constant rate and filter it.

    Args:
        observation: of one person.
        body: the body to fit.
        options: stature, camera, filter.
        progress: called as frames are finished.

    Returns:
        The motion in the world frame.

    Raises:
        EstimationError: too few keypoints are seen, or the camera moves.
    """
    options = options_or_default(Image2MotOptions, options)
    seen = seen_frames(observation)
    if not options.moving_camera:
        refuse_moving_camera(seen)
    predicted = seen.skel_poses_rad is not None  # the ground step then keeps the fit's deviations; else it estimates its own
    fit = FitOptions(height_m=options.height_m, refine=options.refine, deviations=predicted)
    world = to_world(fit_motion(seen, body, fit, progress=progress), body, options.ground, progress=progress)
    return filter_motion(world, cutoff_hz=usable_cutoff(world, options.cutoff_hz))


def _observe(source: str | PathLike[str], options: Image2MotOptions, progress: Progress) -> list[Observation]:
    """Estimate the main person, or with ``options.people`` every person: one observation each."""
    if options.people:
        return estimate_people(source, options.estimate, estimator=options.estimator, progress=progress)
    return [estimate(source, options.estimate, estimator=options.estimator, progress=progress)]


@contextmanager
def _errors_name(source: str | PathLike[str]) -> Iterator[None]:
    """Add the path of the source to estimation errors that do not contain it."""
    try:
        yield
    except EstimationError as error:
        if str(Path(source)) in str(error):
            raise
        raise EstimationError(f"{Path(source)}: {error}") from error

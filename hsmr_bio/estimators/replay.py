"""Read a saved observation, so that the fit can be repeated without the video."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike

import numpy as np

from hsmr_bio.errors import InputError
from hsmr_bio.io.npz import load_observation
from hsmr_bio.types import Observation, Progress, quiet

from . import DEFAULT_OPTIONS, EstimateOptions
from .source import source_camera

_TIME_SLACK_S = 1e-6
"""Rounding of a start or end given by the user."""


class Replay:
    """An estimator whose source is the ``.npz`` of :func:`hsmr_bio.io.npz.save_observation`."""

    def estimate(
        self, source: str | PathLike[str], options: EstimateOptions = DEFAULT_OPTIONS, *, progress: Progress = quiet
    ) -> Observation:
        """Load a saved observation.

        Args:
            source: the file.
            options: a given camera replaces the stored one; start and end cut the observation.
            progress: called once.

        Returns:
            The observation.

        Raises:
            InputError: an option that needs the video, or no frame between start and end.
            FormatError: not a saved observation.
        """
        if options.person_box is not None or options.fps_hz is not None or options.slow_motion is not None:
            raise InputError(
                "a saved observation has no pictures: a person box, a frame rate or slow motion cannot be used with it"
            )
        observation = load_observation(source)
        if options.fov_deg is not None or options.focal_px is not None or options.calibration is not None:
            observation = replace(observation, camera=source_camera(observation.camera.image_size_px, options))
        observation = _cut(observation, options)
        progress("estimate", len(observation.time_s), len(observation.time_s))
        return observation

    def estimate_people(
        self, source: str | PathLike[str], options: EstimateOptions = DEFAULT_OPTIONS, *, progress: Progress = quiet
    ) -> list[Observation]:
        """Load a saved observation as a list of one person.

        Args:
            source: as :meth:`estimate`.
            options: as :meth:`estimate`.
            progress: as :meth:`estimate`.

        Returns:
            The one observation.
        """
        return [self.estimate(source, options, progress=progress)]


def _cut(observation: Observation, options: EstimateOptions) -> Observation:
    elapsed_s = observation.time_s - observation.time_s[0]
    end_s = np.inf if options.end_s is None else options.end_s
    keep = (elapsed_s >= options.start_s - _TIME_SLACK_S) & (elapsed_s <= end_s + _TIME_SLACK_S)
    if keep.all():
        return observation
    if not keep.any():
        raise InputError(f"the saved observation lasts {elapsed_s[-1]:g} s: there is nothing from {options.start_s:g} s on")
    zero = 0.0 if options.source_clock else observation.time_s[keep][0]
    return observation.at(keep, since_s=zero)

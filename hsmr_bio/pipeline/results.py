"""From a world motion to one person's results: scaled model, coordinates, markers, checks, dynamics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from ..analysis import Analysis
from ..body import Body
from ..checks.check_motion import CheckReport, check_motion
from ..checks.measures import lowest_foot_m
from ..dynamics.checks import check_dynamics
from ..dynamics.inverse_dynamics import InverseDynamics, inverse_dynamics
from ..mapping import to_coordinates, virtual_markers
from ..osim.library import as_document
from ..osim.placed import place_model
from ..osim.twin import twin_model
from ..scaling import scale_model
from ..types import Markers, Observation, OsimMotion, SkelMotion, Subject
from .options import ResultOptions


@dataclass(frozen=True, eq=False, kw_only=True)
class Result:
    """One person's results."""

    name: str
    skel: SkelMotion
    subject: Subject
    motion: OsimMotion
    markers: Markers
    checks: CheckReport
    paths: tuple[Path, ...] = ()
    """Files written, sorted; without the meshes in ``Geometry``."""
    timings_s: Mapping[str, float] = field(default_factory=dict)
    observation: Observation | None = None
    dynamics: InverseDynamics | None = None
    """With ``ResultOptions.dynamics``."""
    analysis: Analysis | None = None
    """Findings of the report; None before it is written, and where nothing could be found."""


def make_results(
    motion: SkelMotion,
    body: Body,
    options: ResultOptions,
    *,
    name: str = "motion",
    lower: bool = False,
    observation: Observation | None = None,
) -> Result:
    """Scale a model, map a world motion to its coordinates, compute its markers and check; nothing is written.

    Args:
        motion: in the world frame.
        body: the motion's body.
        options: stature, mass, model, dynamics.
        name: of the model and of its files.
        lower: whether to move the motion vertically so that its lowest foot marker is at y = 0.
        observation: that the motion was fitted to, for the checks against the picture.

    Returns:
        The results, without paths.

    Raises:
        InputError: the motion belongs to another body, or mass and stature are out of range.
    """
    scale = twin_model if options.model == "twin" else partial(scale_model, joints=options.joints)
    subject = scale(body, motion.betas, mass_kg=options.mass_kg, height_m=options.height_m, name=name)
    coordinates = to_coordinates(motion, subject, body)
    if lower:
        motion, coordinates = _lowered(motion, coordinates, subject, body)
    markers = virtual_markers(coordinates, subject)
    checks = check_motion(coordinates, subject, skel=motion, observation=observation, body=body)
    dynamics: InverseDynamics | None = None
    if options.dynamics:
        dynamics = inverse_dynamics(coordinates, subject, "estimate", cutoff_hz=options.cutoff_hz, contacts=motion.contacts)
        checks = replace(checks, checks=(*checks.checks, *check_dynamics(dynamics).checks))
    return Result(
        name=name,
        skel=motion,
        subject=subject,
        motion=coordinates,
        markers=markers,
        checks=checks,
        observation=observation,
        dynamics=dynamics,
    )


def _lowered(motion: SkelMotion, coordinates: OsimMotion, subject: Subject, body: Body) -> tuple[SkelMotion, OsimMotion]:
    """Move a motion and its coordinates vertically so that the lowest foot marker is at y = 0."""
    lowest = lowest_foot_m(place_model(coordinates, as_document(subject)))
    if lowest is None:
        return motion, coordinates
    trans_m, values_si = np.array(motion.trans_m), np.array(coordinates.values_si)
    trans_m[:, 1] -= lowest[0] * body.stature_m(subject.betas) / subject.stature_m
    values_si[:, coordinates.coordinates.index("pelvis_ty")] -= lowest[0]
    return replace(motion, trans_m=trans_m), replace(coordinates, values_si=values_si)

"""Check the plausibility of a motion: figures, thresholds with their source, and verdicts. The motion is not changed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np

from ..body.body import Body
from ..io.cameras import GUESS
from ..option_checks import check_arguments
from ..osim.document import OsimDocument
from ..osim.library import Model, as_document
from ..skeleton import LIMITS_WITH_REST_RAD
from ..types import Markers, Observation, OsimMotion, Progress, SkelMotion, quiet
from .check_report import Check, CheckReport
from .check_row import CheckRow, Skip
from .given import Given
from .limits import LimitReport, check_limits, paper_table, skel_ranges
from .rows import CHECKS

__all__ = ["Check", "CheckReport", "check_motion"]

_WHOLE_TURN_RAD = 2 * np.pi - 1e-6
"""A range of at least this width is no limit. The margin covers rounding to degrees in a file."""


def check_motion(
    motion: OsimMotion | SkelMotion,
    model: Model | None = None,
    *,
    skel: SkelMotion | None = None,
    markers: Markers | None = None,
    observation: Observation | None = None,
    body: Body | None = None,
    checks: Sequence[CheckRow[Given]] = CHECKS,
    progress: Progress = quiet,
) -> CheckReport:
    """Check a motion against its picture, gravity and ground, anatomy, time, measured markers and its own files.

    Args:
        motion: coordinates of an OpenSim model, or a SKEL motion alone.
        model: of the coordinates; None: checks that need it are skipped.
        skel: the SKEL motion that ``motion`` was mapped from, for its foot contacts and the paper's table.
        markers: measured markers to compare with the model's markers of the same names.
        observation: what the detector saw, from which ``skel`` was fitted, to compare with the model in the picture.
        body: of ``skel``; None: the one that it names.
        checks: the rows to check; further rows are added with ``(*CHECKS, row)``.
        progress: called while the model is placed and after each check.

    Returns:
        One entry per row of ``checks``, in that order.

    Raises:
        InputError: ``motion`` is no motion, for example because model and motion are swapped.
    """
    check_arguments("check_motion(motion, model)", motion=(motion, (OsimMotion, SkelMotion)))
    if isinstance(motion, SkelMotion):
        osim_motion, skel = None, motion
    else:
        osim_motion = motion
    document = None if model is None else as_document(model)
    limits = _limits(osim_motion, skel, document)
    given = Given(
        motion=osim_motion,
        skel=skel,
        document=document,
        markers=markers,
        limits=limits,
        observation=observation,
        body=body,
        progress=progress,
    )
    with suppress(Skip):  # before the rows, so that each stage is shown once
        given.placed.place()
    found = []
    for row in checks:
        found.append(row.check(given))
        progress("checking", len(found), len(checks))
    return CheckReport(checks=tuple(found), limits=limits, remarks=_remarks(skel))


def _remarks(skel: SkelMotion | None) -> tuple[str, ...]:
    """Say what the verdict rests on that no check can see."""
    if skel is None or skel.camera is None or skel.camera.source != GUESS:
        return ()
    share = skel.camera.focal_px / max(skel.camera.image_size_px)
    return (
        f"The focal length is a guess ({share:.2f} of the longer side of the picture; nothing in the scene shows it): "
        "the person's distance, and what comes towards the camera, are as uncertain as it. Give --focal-px or --calibration.",
    )


def _limits(motion: OsimMotion | None, skel: SkelMotion | None, document: OsimDocument | None) -> LimitReport | None:
    """Compare the OpenSim motion with its model's ranges, or a SKEL motion alone with SKEL's, and fill the paper's table."""
    if motion is None:  # SKEL's own limits exclude its rest pose
        return None if skel is None else check_limits(skel, skel_ranges(LIMITS_WITH_REST_RAD))
    if document is None:
        return None
    ranges = {name: document.coordinates[name].range_si for name in _limited(document) if name in motion.coordinates}
    report = check_limits(motion, ranges)
    return report if skel is None else replace(report, paper_table=paper_table(skel.poses_rad))


def _limited(document: OsimDocument) -> list[str]:
    """List the coordinates with anatomical ranges: none of the joint to ground, none of a whole turn."""
    found = []
    for joint in document.joints.values():
        for name in () if joint.parent.body == "ground" else joint.coordinates:
            low, high = document.coordinates[name].range_si
            if low <= high and high - low < _WHOLE_TURN_RAD:
                found.append(name)
    return found

"""Is this motion believable? Each check has a figure, thresholds and their source; nothing is hidden, nothing changed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import ModelError
from ..option_checks import check_arguments
from ..osim.document import OsimDocument
from ..osim.library import Model, as_document
from ..skeleton import LIMITS_WITH_REST_RAD
from ..types import Markers, OsimMotion, SkelMotion
from . import measures
from .check_report import Check, CheckReport
from .check_row import CheckRow
from .given import Given
from .limits import LimitReport, check_limits, skel_ranges
from .rows import CHECKS

__all__ = ["Check", "CheckReport", "check_motion"]

_WHOLE_TURN_RAD = 2 * np.pi - 1e-6
"""A range this wide is no limit; less than a turn by what rounding to degrees in a file may cost."""


def check_motion(
    motion: OsimMotion | SkelMotion,
    model: Model | None = None,
    *,
    skel: SkelMotion | None = None,
    markers: Markers | None = None,
    checks: Sequence[CheckRow[Given]] = CHECKS,
) -> CheckReport:
    """Check limits, jumps, flips, jitter, feet, floor, vertical, bones, markers, the map and the files' consistency.

    Args:
        motion: coordinates of an OpenSim model, or a SKEL motion alone.
        model: the model that the coordinates belong to; None: what needs it is skipped, with that reason.
        skel: the SKEL motion that ``motion`` was mapped from: its foot contacts and the paper's table are used.
        markers: measured markers to compare with the model's markers of the same names.
        checks: the rows to check; checks of one's own are added with ``(*CHECKS, row)``.

    Returns:
        One entry per row of ``checks``, in that order.

    Raises:
        InputError: no motion was given, for example because model and motion are swapped.
    """
    check_arguments("check_motion(motion, model)", motion=(motion, (OsimMotion, SkelMotion)))
    if isinstance(motion, SkelMotion):
        osim_motion, skel = None, motion
    else:
        osim_motion = motion
    document = None if model is None else as_document(model)
    placed, why = _place(osim_motion, document)
    given = Given(
        motion=osim_motion,
        skel=skel,
        document=document,
        markers=markers,
        placed=placed,
        why_not_placed=why,
        limits=_limits(osim_motion, skel, document),
    )
    return CheckReport(checks=tuple(row.check(given) for row in checks), limits=given.limits)


def _place(motion: OsimMotion | None, document: OsimDocument | None) -> tuple[measures.PlacedModel | None, str]:
    if motion is None:
        return None, "needs the OpenSim motion"
    if document is None:
        return None, "needs the model (.osim)"
    try:
        return measures.place_model(motion, document), ""
    except ModelError as error:
        return None, f"the model cannot be placed: {error}"


def _limits(motion: OsimMotion | None, skel: SkelMotion | None, document: OsimDocument | None) -> LimitReport | None:
    if motion is None or document is None:
        if motion is not None or skel is None:
            return None
        return check_limits(skel, skel_ranges(LIMITS_WITH_REST_RAD))  # SKEL's own table leaves out its rest pose
    ranges = {name: document.coordinates[name].range_si for name in _limited(document) if name in motion.coordinates}
    own = check_limits(motion, ranges)
    if skel is None:
        return own
    return LimitReport(
        frames=own.frames,
        coordinates=own.coordinates,
        share_outside=own.share_outside,
        paper_table=check_limits(skel).paper_table,
    )


def _limited(document: OsimDocument) -> list[str]:
    """Coordinates whose range is anatomy: not those of the joint to ground, nor whole turns."""
    found = []
    for joint in document.joints.values():
        for name in () if joint.parent.body == "ground" else joint.coordinates:
            low, high = document.coordinates[name].range_si
            if low <= high and high - low < _WHOLE_TURN_RAD:
                found.append(name)
    return found

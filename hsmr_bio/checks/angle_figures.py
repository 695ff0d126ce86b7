"""Figures of the values of a motion: joint limits, jumps, jitter."""

from __future__ import annotations

import numpy as np

from . import measures
from .check_row import Figure, Skip
from .given import Given
from .limits import PAPER_TOLERANCE_DEG

_LISTED = 3
"""Most coordinates that the detail of a check lists."""
_HINGES = ("knee_angle", "elbow_flex")
"""Begin the names of the joints whose ranges hardly differ between people."""
_JUMP_FRAMES = 3
"""Least number of frames: a step is compared with its neighbours."""
_JITTER_FRAMES = 10
"""Least number of frames: in fewer the end effects of the low-pass filter cover the whole motion (chosen)."""


def joint_limits(given: Given) -> Figure:
    """Measure the largest excess of a coordinate over its range, deg."""
    if given.limits is None:
        raise Skip("needs the model (.osim) or a SKEL motion")
    angles = [row for row in given.limits.outside if row.rotational]
    if not angles:
        return 0.0, f"{len(given.limits.coordinates)} coordinates inside their ranges"
    worst, names = angles[0], ", ".join(row.name for row in angles[:_LISTED])
    more = f" and {len(angles) - _LISTED} more" if len(angles) > _LISTED else ""
    return float(np.rad2deg(worst.worst_excess_si)), (
        f"{given.limits.share_outside:.1%} of frames outside: {names}{more}; worst at {worst.worst_time_s:.3f} s"
    )


def hinges(given: Given) -> Figure:
    """Measure the largest excess of a knee's or an elbow's flexion over its range, deg."""
    if given.limits is None:
        raise Skip("needs the model (.osim) or a SKEL motion")
    rows = [row for row in given.limits.coordinates if row.name.startswith(_HINGES)]
    if not rows:
        raise Skip("the model has no knee_angle and no elbow_flexion with a range")
    worst = max(rows, key=lambda row: row.worst_excess_si)
    if worst.worst_time_s is None:
        return 0.0, "knees and elbows inside their ranges"
    return float(np.rad2deg(worst.worst_excess_si)), f"{worst.name} at {worst.worst_time_s:.3f} s"


def paper_limits(given: Given) -> Figure:
    """Measure the largest share of frames in which a knee or elbow exceeds its range by more than the paper's tolerance."""
    if given.limits is None or not given.limits.paper_table:
        raise Skip("needs the SKEL motion")
    rows = [row for row in given.limits.paper_table if row.tolerance_deg == PAPER_TOLERANCE_DEG]
    worst = max(rows, key=lambda row: row.share)
    return worst.share, ", ".join(f"{row.part} {row.share:.1%}" for row in rows)


def jumps(given: Given) -> Figure:
    """Measure the largest step of an angle relative to its neighbouring steps, deg."""
    time_s, angles, names = given.angles()
    if len(time_s) < _JUMP_FRAMES:
        raise Skip("needs at least three frames")
    size, frame, column = measures.largest_jump(angles, time_s)
    return size, f"largest in {names[column]} at {time_s[frame]:.3f} s"


def root_jumps(given: Given) -> Figure:
    """Measure the largest step of a translation relative to its neighbouring steps, m."""
    motion = given.motion
    if motion is None:
        raise Skip("needs an OpenSim motion")
    dependent = given.document.dependent if given.document is not None else ()
    columns = [i for i, name in enumerate(motion.coordinates) if not motion.rotational[i] and name not in dependent]
    if not columns or len(motion.time_s) < _JUMP_FRAMES:
        raise Skip("needs translations and at least three frames")
    size, frame, column = measures.largest_jump(motion.values_si[:, columns], motion.time_s)
    return size, f"largest in {motion.coordinates[columns[column]]} at {motion.time_s[frame]:.3f} s"


def jitter(given: Given) -> Figure:
    """Measure the largest RMS of the part of an angle above 6 Hz, deg."""
    time_s, angles, names = given.angles()
    if len(time_s) < _JITTER_FRAMES:
        raise Skip("needs at least ten frames")
    rms, rate_hz = measures.jitter(time_s, angles)
    worst = int(np.argmax(rms))
    return float(rms[worst]), f"largest in {names[worst]}; RMS of what is faster than 6 Hz, at {rate_hz:.4g} frames/s"

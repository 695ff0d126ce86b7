"""Joint limits: frames and excess of coordinates outside their ranges, and the HSMR paper's table of knees and elbows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError, UnknownCoordinateError
from ..skeleton import DOF_NAMES, LIMITS_RAD
from ..types import FloatArray, OsimMotion, SkelMotion

_ROUNDING_SI = 1e-6
"""Excess of a value on its limit by rounding to the 8 decimals of a file, with a margin."""
PAPER_TOLERANCES_DEG: tuple[float, ...] = (0, 5, 10, 20, 30)
"""Tolerances of HSMR's violation figures."""
PRINTED_TOLERANCES_DEG = PAPER_TOLERANCES_DEG[2:]
"""Tolerances that the paper prints."""
PAPER_TOLERANCE_DEG = PRINTED_TOLERANCES_DEG[0]
"""Tolerance of the check of a motion."""
PAPER_PARTS: Mapping[str, tuple[str, ...]] = {
    "l_knee": ("knee_angle_l",),
    "r_knee": ("knee_angle_r",),
    "l_elbow": ("elbow_flexion_l", "pro_sup_l"),
    "r_elbow": ("elbow_flexion_r", "pro_sup_r"),
}
"""Angles of each part of the paper's table."""


@dataclass(frozen=True, kw_only=True)
class CoordinateLimit:
    """One coordinate compared with its range."""

    name: str
    rotational: bool
    lower_si: float
    upper_si: float
    share_outside: float
    """Fraction of frames outside."""
    worst_excess_si: float
    """Largest distance outside, rad or m; 0 if always inside."""
    first_frame: int | None
    worst_frame: int | None
    first_time_s: float | None
    worst_time_s: float | None


@dataclass(frozen=True, kw_only=True)
class PartViolation:
    """One row of the paper's table: a part at one tolerance."""

    part: str
    tolerance_deg: float
    share: float
    """Fraction of frames in which an angle is outside by more than the tolerance."""
    max_rad: float
    mean_rad: float
    median_rad: float


@dataclass(frozen=True, kw_only=True)
class LimitReport:
    """Result of :func:`check_limits`."""

    frames: int
    coordinates: tuple[CoordinateLimit, ...]
    """One row per coordinate that has a range, in the order of the motion."""
    share_outside: float
    """Fraction of frames in which any coordinate is outside."""
    paper_table: tuple[PartViolation, ...] = ()
    """Knees and elbows at the paper's tolerances; only for SKEL motion."""

    @property
    def outside(self) -> tuple[CoordinateLimit, ...]:
        """The coordinates that leave their range, the largest excess of an angle first."""
        rows = [row for row in self.coordinates if row.share_outside > 0]
        return tuple(sorted(rows, key=lambda row: (not row.rotational, -row.worst_excess_si)))

    def to_json(self) -> dict[str, Any]:
        """Return all fields as JSON values; angles in radians, lengths in metres."""
        return {
            "frames": self.frames,
            "share_outside": self.share_outside,
            "coordinates": [vars(row) for row in self.coordinates],
            "paper_table": [vars(row) for row in self.paper_table],
        }

    def text(self) -> str:
        """Return a table in degrees and millimetres."""
        lines = [f"joint limits: {self.share_outside:.1%} of {self.frames} frames have a coordinate outside its range"]
        if self.outside:
            lines.append(f"  {'coordinate':24} {'range':>18} {'outside':>8} {'worst':>9} {'first':>9} {'worst at':>9}")
        for row in self.outside:
            unit, factor = ("deg", 180 / np.pi) if row.rotational else ("mm", 1000.0)
            span = f"{row.lower_si * factor:.0f}..{row.upper_si * factor:.0f} {unit}"
            worst = f"{row.worst_excess_si * factor:.1f} {unit}"
            times = f"{row.first_time_s:8.3f}s {row.worst_time_s:8.3f}s"
            lines.append(f"  {row.name:24} {span:>18} {row.share_outside:8.1%} {worst:>9} {times}")
        shown = [row for row in self.paper_table if row.tolerance_deg in PRINTED_TOLERANCES_DEG]
        if shown:
            lines.append("violation of knee and elbow limits (Xia et al. 2025), share of frames")
            lines.append("  part     " + "".join(f"{f'> {t:.0f} deg':>10}" for t in PRINTED_TOLERANCES_DEG))
        for part in dict.fromkeys(row.part for row in shown):
            shares = (row.share for row in shown if row.part == part)
            lines.append(f"  {part:9}" + "".join(f"{share:10.1%}" for share in shares))
        return "\n".join(lines)


def check_limits(motion: OsimMotion | SkelMotion, ranges_si: Mapping[str, tuple[float, float]] | None = None) -> LimitReport:
    """Compare each coordinate with its range; the motion is not changed.

    Args:
        motion: coordinates of an OpenSim model, or a SKEL motion.
        ranges_si: coordinate -> (lower, upper) in rad or m; required for an OpenSim motion; ``skeleton.LIMITS_RAD`` by
            default for a SKEL motion. Coordinates without a range are not checked.

    Returns:
        The report; for a SKEL motion with the paper's table.

    Raises:
        InputError: no ranges for an OpenSim motion, or a range whose lower limit is above its upper one.
        UnknownCoordinateError: a range for a coordinate that the motion does not have.

    Source:
        Table: Xia et al. 2025 (HSMR), evaluation: angles in [-pi, pi); a part's violation is the largest amount by
        which one of its angles is outside its range, widened by the tolerance on both ends.
    """
    if isinstance(motion, SkelMotion):
        names, values = DOF_NAMES, wrap(motion.poses_rad)
        rotational = np.ones(len(names), dtype=np.bool_)
        if ranges_si is None:
            ranges_si = skel_ranges(LIMITS_RAD)
    else:
        names, values, rotational = motion.coordinates, np.asarray(motion.values_si), motion.rotational
        if ranges_si is None:
            raise InputError("the ranges of an OpenSim motion stand in its model: give ranges_si (or the .osim file)")
    for name, (low, high) in ranges_si.items():
        if name not in names:
            raise UnknownCoordinateError(name, names, "motion")
        if not low <= high:
            raise InputError(f"the range of {name} has its lower limit {low:g} above its upper limit {high:g}")
    rows, any_outside = [], np.zeros(len(values), dtype=np.bool_)
    for column, name in enumerate(names):
        if name in ranges_si:
            excess = excess_over(values[:, column], *ranges_si[name])
            any_outside |= excess > _ROUNDING_SI
            rows.append(_row(name, bool(rotational[column]), ranges_si[name], excess, motion.time_s))
    return LimitReport(
        frames=len(values),
        coordinates=tuple(rows),
        share_outside=float(any_outside.mean()),
        paper_table=paper_table(motion.poses_rad) if isinstance(motion, SkelMotion) else (),
    )


def skel_ranges(table_rad: FloatArray) -> dict[str, tuple[float, float]]:
    """Convert a (46, 2) table of ``skeleton`` to ranges by name, without the DOFs that have no limits."""
    rows = zip(DOF_NAMES, table_rad.tolist(), strict=True)
    return {name: (low, high) for name, (low, high) in rows if not np.isnan(low)}


def paper_table(poses_rad: FloatArray) -> tuple[PartViolation, ...]:
    """Compute HSMR's violation figures of knees and elbows.

    Args:
        poses_rad: (T, 46) SKEL poses.

    Returns:
        One row per part and tolerance, in the order of ``PAPER_PARTS`` and ``PAPER_TOLERANCES_DEG``.

    Source:
        Xia et al. 2025 (HSMR), Table 3 and its evaluation code, as facts.
    """
    found = {tolerance: skel_violations(poses_rad, tolerance) for tolerance in PAPER_TOLERANCES_DEG}
    return tuple(part_violation(part, tolerance, found[tolerance][part]) for part in PAPER_PARTS for tolerance in found)


def skel_violations(poses_rad: FloatArray, tolerance_deg: float) -> dict[str, FloatArray]:
    """Compute the violations of SKEL poses.

    Args:
        poses_rad: (N, 46).
        tolerance_deg: widens the limits on both ends.

    Returns:
        Per part, in radians: (N, 1) for knees, (N, 2) for elbows.
    """
    columns = {part: [DOF_NAMES.index(name) for name in names] for part, names in PAPER_PARTS.items()}
    wrapped, limits = wrap(poses_rad), widened(LIMITS_RAD, tolerance_deg)
    return {part: excess_over(wrapped[:, own], *limits[own].T) for part, own in columns.items()}


def widened(limits_rad: FloatArray, tolerance_deg: float) -> FloatArray:
    """Widen limits (A, 2) on both ends.

    Args:
        limits_rad: (A, 2).
        tolerance_deg: by how much.

    Returns:
        (A, 2) rad.
    """
    return np.asarray(limits_rad + np.deg2rad(tolerance_deg) * np.array([-1.0, 1.0]))


def part_violation(part: str, tolerance_deg: float, violation_rad: FloatArray) -> PartViolation:
    """Summarise the violations of one part.

    Args:
        part: name of the part.
        tolerance_deg: of the violations.
        violation_rad: (T, A) excess of the part's angles over their ranges and the tolerance; the worst angle counts.

    Returns:
        The row of the paper's table. The median is the lower of the two middle values, as in HSMR.
    """
    worst_rad = violation_rad.max(axis=1)
    return PartViolation(
        part=part,
        tolerance_deg=tolerance_deg,
        share=float((worst_rad > 0).mean()),
        max_rad=float(worst_rad.max()),
        mean_rad=float(worst_rad.mean()),
        median_rad=float(np.sort(worst_rad)[(len(worst_rad) - 1) // 2]),
    )


def excess_over(values: FloatArray, lower: float | FloatArray, upper: float | FloatArray) -> FloatArray:
    """Measure the distance of values outside a range.

    Args:
        values: (...).
        lower: limit in the unit of ``values``, or one for each of them.
        upper: the same.

    Returns:
        (...) distance; 0 inside the range.
    """
    return np.asarray(np.maximum(np.maximum(lower - values, values - upper), 0.0))


def wrap(angles_rad: FloatArray) -> FloatArray:
    """Wrap angles to [-pi, pi)."""
    return np.asarray((angles_rad + np.pi) % (2 * np.pi) - np.pi)


def _row(name: str, rotational: bool, span: tuple[float, float], excess: FloatArray, time_s: FloatArray) -> CoordinateLimit:
    outside = excess > _ROUNDING_SI
    leaves, first, worst = bool(outside.any()), int(np.argmax(outside)), int(np.argmax(excess))
    return CoordinateLimit(
        name=name,
        rotational=rotational,
        lower_si=float(span[0]),
        upper_si=float(span[1]),
        share_outside=float(outside.mean()),
        worst_excess_si=float(excess.max()) if leaves else 0.0,
        first_frame=first if leaves else None,
        worst_frame=worst if leaves else None,
        first_time_s=float(time_s[first]) if leaves else None,
        worst_time_s=float(time_s[worst]) if leaves else None,
    )

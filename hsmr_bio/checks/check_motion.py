"""Is this motion believable? Each check has a figure, thresholds and their source; nothing is hidden, nothing changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError, ModelError
from ..option_checks import check_arguments
from ..skeleton import DOF_NAMES, LIMITS_WITH_REST_RAD
from ..types import FloatArray, Markers, OsimMotion, SkelMotion, Subject
from . import measures
from .check_report import Check, CheckReport, Status, Threshold
from .limits import LimitReport, check_limits, skel_ranges

if TYPE_CHECKING:
    from ..osim.document import OsimDocument

__all__ = ["THRESHOLDS", "Check", "CheckReport", "Status", "Threshold", "check_motion"]

THRESHOLDS: dict[str, Threshold] = {
    "joint limits": Threshold(
        warn_above=1,
        fail_above=10,
        unit="deg",
        source="10 deg: smallest tolerance of the limit table of Xia et al. 2025 (HSMR)",
    ),
    "knee and elbow limits": Threshold(
        warn_above=0, fail_above=0.01, unit="share of frames over 10 deg", source="table of Xia et al. 2025 (HSMR)"
    ),
    "jumps": Threshold(
        warn_above=8, fail_above=15, unit="deg", source="requirement of this project: no step over 15 deg in one frame"
    ),
    "jumps of the root": Threshold(
        warn_above=0.05, fail_above=0.15, unit="m", source="requirement of this project; 0.15 m a frame is 4.5 m/s at 30 Hz"
    ),
    "left/right flips": Threshold(warn_above=0, fail_above=0, unit="frames", source="sides never swap between two frames"),
    "jitter": Threshold(
        warn_above=1.5,
        fail_above=4,
        unit="deg",
        source="expert marker IK, unfiltered: walking 0.5, squats 1.1, drop jump 2.3 deg",
    ),
    "foot sliding": Threshold(
        warn_above=0.15, fail_above=0.3, unit="m/s", source="requirement of this project: at most 0.15 m/s"
    ),
    "floor penetration": Threshold(
        warn_above=0.01, fail_above=0.03, unit="m", source="soft tissue under the heel is 0.01 to 0.02 m thick"
    ),
    "vertical tilt": Threshold(warn_above=4, fail_above=8, unit="deg", source="requirement of this project: at most 4 deg"),
    "bone lengths": Threshold(
        warn_above=6,
        fail_above=12,
        unit="%",
        source="bones are rigid; knee models shift their axis by up to 5 % of the thigh in a squat",
    ),
    "marker error": Threshold(
        warn_above=0.02,
        fail_above=0.04,
        unit="m RMS",
        source="OpenSim user's guide, inverse kinematics: RMS under 0.02 m, maximum 0.02 to 0.04 m",
    ),
    "map residual": Threshold(
        warn_above=5, fail_above=15, unit="mm RMS", source="requirement of this project: at most 5 mm over all joints"
    ),
    "map residual, angle": Threshold(
        warn_above=2, fail_above=6, unit="deg RMS", source="requirement of this project: at most 2 deg"
    ),
    "file consistency": Threshold(
        warn_above=0, fail_above=0, unit="problems", source="OpenSim: every column is a coordinate of the model"
    ),
}
"""Name of the check -> thresholds; the order is the order of the report."""


class _Skip(Exception):  # noqa: N818 (not an error: it carries the reason)
    """Why a check cannot be made."""


_Figure = tuple[float, str]


@dataclass(frozen=True, eq=False, kw_only=True)
class _Given:
    """What there is to look at."""

    motion: OsimMotion | None
    skel: SkelMotion | None
    document: OsimDocument | None
    markers: Markers | None
    placed: measures.PlacedModel | None
    why_not_placed: str
    limits: LimitReport | None

    def angles(self) -> tuple[FloatArray, FloatArray, tuple[str, ...]]:
        """Time, (T, N) angles in degrees and their names: of the OpenSim motion, else of the SKEL motion."""
        if self.motion is not None:
            names = tuple(n for n, turning in zip(self.motion.coordinates, self.motion.rotational, strict=True) if turning)
            return self.motion.time_s, np.rad2deg(self.motion.values_si[:, self.motion.rotational]), names
        if self.skel is None:
            raise _Skip("there is no motion")
        return self.skel.time_s, np.rad2deg(self.skel.poses_rad), DOF_NAMES

    def model(self) -> measures.PlacedModel:
        if self.placed is None:
            raise _Skip(self.why_not_placed)
        return self.placed


def check_motion(
    motion: OsimMotion | SkelMotion,
    model: OsimDocument | Subject | None = None,
    *,
    skel: SkelMotion | None = None,
    markers: Markers | None = None,
) -> CheckReport:
    """Check limits, jumps, flips, jitter, feet, floor, vertical, bones, markers, the map and the files' consistency.

    Args:
        motion: coordinates of an OpenSim model, or a SKEL motion alone.
        model: the model that the coordinates belong to; None: what needs it is skipped, with that reason.
        skel: the SKEL motion that ``motion`` was mapped from: its foot contacts and the paper's table are used.
        markers: measured markers to compare with the model's markers of the same names.

    Returns:
        One entry per check of ``THRESHOLDS``, in that order.

    Raises:
        InputError: no motion was given, for example because model and motion are swapped.
    """
    check_arguments("check_motion(motion, model)", motion=(motion, (OsimMotion, SkelMotion)))
    if isinstance(motion, SkelMotion):
        osim_motion, skel = None, motion
    else:
        osim_motion = motion
    document = _document(model)
    placed, why = _place(osim_motion, document)
    given = _Given(
        motion=osim_motion,
        skel=skel,
        document=document,
        markers=markers,
        placed=placed,
        why_not_placed=why,
        limits=_limits(osim_motion, skel, document),
    )
    checks = tuple(_judge(name, measure, given) for name, measure in _MEASURES.items())
    return CheckReport(checks=checks, limits=given.limits)


def _document(model: OsimDocument | Subject | None) -> OsimDocument | None:
    if isinstance(model, Subject):
        from ..osim.document import OsimDocument

        return OsimDocument.from_bytes(model.osim_xml, source=f"{model.name}.osim")
    return model


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
            if low <= high and high - low < 2 * np.pi - 1e-6:
                found.append(name)
    return found


def _judge(name: str, measure: Callable[[_Given], _Figure], given: _Given) -> Check:
    threshold = THRESHOLDS[name]
    try:
        value, detail = measure(given)
    except (_Skip, InputError) as reason:
        return Check(name=name, status="skipped", value=None, threshold=threshold, detail=str(reason))
    return Check(name=name, status=threshold.judge(value), value=float(value), threshold=threshold, detail=detail)


def _joint_limits(given: _Given) -> _Figure:
    if given.limits is None:
        raise _Skip("needs the model (.osim) or a SKEL motion")
    angles = [row for row in given.limits.outside if row.rotational]
    if not angles:
        return 0.0, f"{len(given.limits.coordinates)} coordinates inside their ranges"
    worst, names = angles[0], ", ".join(row.name for row in angles[:3])
    more = f" and {len(angles) - 3} more" if len(angles) > 3 else ""
    return float(np.rad2deg(worst.worst_excess_si)), (
        f"{given.limits.share_outside:.1%} of frames outside: {names}{more}; worst at {worst.worst_time_s:.3f} s"
    )


def _paper_limits(given: _Given) -> _Figure:
    if given.limits is None or not given.limits.paper_table:
        raise _Skip("needs the SKEL motion")
    rows = [row for row in given.limits.paper_table if row.tolerance_deg == 10]
    worst = max(rows, key=lambda row: row.share)
    return worst.share, ", ".join(f"{row.part} {row.share:.1%}" for row in rows)


def _jumps(given: _Given) -> _Figure:
    time, angles, names = given.angles()
    if len(time) < 3:
        raise _Skip("needs at least three frames")
    size, frame, column = measures.largest_jump(angles, time)
    return size, f"largest in {names[column]} at {time[frame]:.3f} s"


def _root_jumps(given: _Given) -> _Figure:
    motion = given.motion
    if motion is None:
        raise _Skip("needs an OpenSim motion")
    follow = given.document.dependent if given.document is not None else ()
    columns = [i for i, name in enumerate(motion.coordinates) if not motion.rotational[i] and name not in follow]
    if not columns or len(motion.time_s) < 3:
        raise _Skip("needs translations and at least three frames")
    size, frame, column = measures.largest_jump(motion.values_si[:, columns], motion.time_s)
    return size, f"largest in {motion.coordinates[columns[column]]} at {motion.time_s[frame]:.3f} s"


def _flips(given: _Given) -> _Figure:
    placed = given.model()
    points = {side: [placed.body(f"{name}_{side}") for name in ("tibia", "calcn")] for side in "rl"}
    right, left = ([p for p in points[side] if p is not None] for side in "rl")
    if len(right) != 2 or len(left) != 2:
        raise _Skip("the model has no tibia_r, calcn_r, tibia_l, calcn_l")
    frames = measures.left_right_flips(np.stack(right, axis=1), np.stack(left, axis=1))
    return float(len(frames)), "at frames " + ", ".join(str(frame) for frame in frames[:5]) if frames else "none"


def _jitter(given: _Given) -> _Figure:
    time, angles, names = given.angles()
    if len(time) < 10:
        raise _Skip("needs at least ten frames")
    rms, rate_hz = measures.jitter(time, angles)
    worst = int(np.argmax(rms))
    return float(rms[worst]), f"largest in {names[worst]}; RMS of what is faster than 6 Hz, at {rate_hz:.4g} frames/s"


def _sliding(given: _Given) -> _Figure:
    feet = measures.foot_points(given.model())
    if feet is None or given.motion is None or len(feet) < 3:
        raise _Skip("needs calcn and toes bodies of both sides, and three frames")
    contacts = given.skel.contacts if given.skel is not None and _same_time(given.skel, given.motion) else None
    speed = measures.foot_sliding_m_s(given.motion.time_s, feet, contacts)
    if speed is None:
        raise _Skip("no foot stands")
    return speed, "mean speed of standing feet" + ("" if contacts is None else " (contacts from the fit)")


def _penetration(given: _Given) -> _Figure:
    lowest = measures.lowest_foot_m(given.model())
    if lowest is None or given.motion is None:
        raise _Skip("the model has neither markers nor joints on its feet")
    return max(0.0, -lowest[0]), f"lowest point of a foot at y = {lowest[0]:.3f} m, {given.motion.time_s[lowest[1]]:.3f} s"


def _tilt(given: _Given) -> _Figure:
    found = measures.vertical_tilt_rad(given.model())
    if found is None:
        raise _Skip("nobody walks half a metre or stands with straight legs")
    return float(np.rad2deg(found[0])), found[1]


def _bones(given: _Given) -> _Figure:
    lengths = measures.bone_lengths_m(given.model())
    if not lengths:
        raise _Skip("the model has none of the usual limb bodies")
    figures = {f"{name} varies": float(np.ptp(length) / length.mean()) * 100 for name, length in lengths.items()}
    for name, length in lengths.items():
        other = lengths.get(name.replace("right", "left"))
        if name.startswith("right") and other is not None:
            asymmetry = abs(length.mean() - other.mean()) / (length.mean() + other.mean()) * 200
            figures[f"{name.removeprefix('right ')} differs left to right"] = float(asymmetry)
    worst = max(figures, key=lambda name: figures[name])
    return figures[worst], f"largest: {worst}"


def _marker_error(given: _Given) -> _Figure:
    if given.markers is None:
        raise _Skip("needs measured markers (.trc)")
    placed, motion = given.model(), given.motion
    common = [name for name in given.markers.names if name in placed.marker_names]
    if motion is None or not common:
        raise _Skip("the model has none of the measured markers")
    at = np.searchsorted(given.markers.time_s, motion.time_s - 1e-4)
    at = np.clip(at, 0, len(given.markers.time_s) - 1)
    same = np.abs(given.markers.time_s[at] - motion.time_s) < 1e-4
    if not same.any():
        raise _Skip("markers and motion share no time")
    ours = placed.markers_m[same][:, [placed.marker_names.index(name) for name in common]]
    theirs = given.markers.positions_m[at[same]][:, [given.markers.names.index(name) for name in common]]
    distance = np.linalg.norm(ours - theirs, axis=-1)
    per_marker = np.sqrt(np.nanmean(distance**2, axis=0)) if np.isfinite(distance).any() else np.zeros(len(common))
    worst = int(np.nanargmax(per_marker))
    return float(np.sqrt(np.nanmean(distance**2))), (
        f"{len(common)} markers, largest single {np.nanmax(distance) * 1000:.0f} mm, worst marker {common[worst]}"
    )


def _map_residual(given: _Given) -> _Figure:
    return _residual(given, "residual_m", 1000.0)


def _map_angle_residual(given: _Given) -> _Figure:
    return _residual(given, "residual_rad", 180 / np.pi)


def _residual(given: _Given, name: str, factor: float) -> _Figure:
    values = None if given.motion is None else getattr(given.motion, name)
    if values is None or given.motion is None or values.size == 0:
        raise _Skip("the motion was not mapped from SKEL here")
    per_body = np.sqrt(np.mean(values**2, axis=0)) * factor
    worst = int(np.argmax(per_body))
    return float(np.sqrt(np.mean(values**2)) * factor), f"largest at {given.motion.bodies[worst]}: {per_body[worst]:.1f}"


def _consistency(given: _Given) -> _Figure:
    problems = list(_problems(given))
    return float(len(problems)), "; ".join(problems) if problems else "columns, time, units and values fit"


def _problems(given: _Given) -> Iterable[str]:
    motion = given.motion
    if motion is None:
        return
    if given.document is not None:
        known = given.document.coordinates
        extra = [name for name in motion.coordinates if name not in known]
        lacking = [name for name in known if name not in motion.coordinates and name not in given.document.dependent]
        if extra:
            yield f"not in the model: {', '.join(extra[:4])}{' ...' if len(extra) > 4 else ''}"
        if lacking:
            yield f"in the model, not in the motion: {', '.join(lacking[:4])}{' ...' if len(lacking) > 4 else ''}"
        for name, turning in zip(motion.coordinates, motion.rotational, strict=True):
            if name in known and bool(turning) != known[name].rotational:
                yield f"{name} is read as {'an angle' if turning else 'a length'}, the model says otherwise"
    steps = np.diff(motion.time_s)[~measures.gaps(motion.time_s)]
    if len(steps) > 1 and np.ptp(steps) > 0.1 * np.median(steps):
        yield f"uneven time: steps of {steps.min() * 1000:.1f} to {steps.max() * 1000:.1f} ms"
    largest = np.abs(motion.values_si).max(axis=0)
    for name, turning, size in zip(motion.coordinates, motion.rotational, largest, strict=True):
        if turning and size > 8 * np.pi:
            yield f"{name} reaches {size:.0f} rad: degrees read as radians?"
        elif not turning and size > 200:
            yield f"{name} reaches {size:.0f} m: millimetres read as metres?"
    if given.markers is not None and given.markers.time_s[-1] < motion.time_s[0]:
        yield "the markers end before the motion begins"


def _same_time(skel: SkelMotion, motion: OsimMotion) -> bool:
    return len(skel.time_s) == len(motion.time_s) and bool(np.allclose(skel.time_s, motion.time_s, atol=1e-4))


_MEASURES: dict[str, Callable[[_Given], _Figure]] = {
    "joint limits": _joint_limits,
    "knee and elbow limits": _paper_limits,
    "jumps": _jumps,
    "jumps of the root": _root_jumps,
    "left/right flips": _flips,
    "jitter": _jitter,
    "foot sliding": _sliding,
    "floor penetration": _penetration,
    "vertical tilt": _tilt,
    "bone lengths": _bones,
    "marker error": _marker_error,
    "map residual": _map_residual,
    "map residual, angle": _map_angle_residual,
    "file consistency": _consistency,
}

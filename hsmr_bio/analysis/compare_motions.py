"""Compare two motions: curves over time and over the cycle, events, parameters."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Literal

import numpy as np

from ..arrays import FloatArray
from ..errors import InputError
from ..filtering import resample
from ..option_checks import check_choice, check_number
from ..osim.library import Model
from ..types import OsimMotion
from .analyse_motion import AnalysisOptions, analyse, read_analysed
from .analysis import Analysis
from .comparison import LIMITS, Comparison, CoordinateComparison, ParameterComparison
from .cycles import POINTS

Align = Literal["time", "lag", "events"]
ALIGNMENTS = ("time", "lag", "events")
_LEAST_S = 0.3
"""Least time that both motions must cover."""
_LEAST_MOVING = 1e-4
"""Standard deviation in rad or m below which a coordinate does not move, so that a correlation means nothing."""


def compare(
    first: OsimMotion | str | PathLike[str],
    second: OsimMotion | str | PathLike[str],
    *,
    models: tuple[Model | None, Model | None] = (None, None),
    align: Align = "lag",
    max_lag_s: float = 0.5,
    options: AnalysisOptions | None = None,
    names: tuple[str, str] | None = None,
) -> Comparison:
    """Compare two motions coordinate by coordinate, and their parameters if both have models.

    Args:
        first: coordinates, or the path of a ``.mot``: what is compared with.
        second: the other one.
        models: of the two; None: the ``.osim`` of the same name beside the path. Without them, curves alone are compared.
        align: ``time`` (the clocks are the same), ``lag`` (the shift at which the angles' speeds agree best), or ``events``
            (mean cycles from 0 to 100 %, for motions that have the same cycles but not the same times).
        max_lag_s: largest shift.
        options: of the analyses.
        names: of the two; None: those of the paths.

    Returns:
        The comparison of the coordinates that both have.

    Raises:
        InputError: nothing is common to the two, or ``events`` without cycles in both.
    """
    check_choice("align", align, ALIGNMENTS)
    check_number("max_lag_s", max_lag_s, "s", low=0.0)
    labels = names or (_label(first, "first"), _label(second, "second"))
    read = [_read(motion, model) for motion, model in zip((first, second), models, strict=True)]
    found = [
        None if document is None else analyse(m, document, options=options, name=n)
        for (m, document), n in zip(read, labels, strict=True)
    ]
    notes = _notes(read[0][0], read[1][0], found)
    lag_s = 0.0
    if align == "events":
        axis, curve_names, units, curves = _cycle_curves(found)
    else:
        axis, curve_names, units, curves, lag_s = _time_curves(read[0][0], read[1][0], max_lag_s if align == "lag" else 0.0)
    coordinates = [
        _coordinate(name, unit, curves[:, :, k]) for k, (name, unit) in enumerate(zip(curve_names, units, strict=True))
    ]
    return Comparison(
        names=labels,
        align=align,
        lag_s=lag_s,
        coordinates=tuple(coordinates),
        parameters=_parameters(found),
        notes=notes,
        curve_names=curve_names,
        axis=axis,
        curves=curves,
    )


def _label(motion: OsimMotion | str | PathLike[str], default: str) -> str:
    return default if isinstance(motion, OsimMotion) else Path(motion).stem


def _read(motion: OsimMotion | str | PathLike[str], model: Model | None) -> tuple[OsimMotion, Model | None]:
    """Read a motion, with its deviations where it has a model."""
    if model is not None or (not isinstance(motion, OsimMotion) and Path(motion).with_suffix(".osim").is_file()):
        return read_analysed(motion, model)
    if isinstance(motion, OsimMotion):
        return motion, None
    from ..io.mot import read_mot

    return read_mot(motion), None


def _time_curves(
    first: OsimMotion, second: OsimMotion, max_lag_s: float
) -> tuple[FloatArray, tuple[str, ...], list[str], FloatArray, float]:
    """Curves of the common coordinates over the common time."""
    common = [name for name in first.coordinates if name in second.coordinates]
    if not common:
        raise InputError(
            f"the motions have no coordinate in common: {', '.join(first.coordinates[:3])} ... and "
            f"{', '.join(second.coordinates[:3])} ...; convert one to the other's model first"
        )
    angles = np.array([bool(first.rotational[first.coordinates.index(name)]) for name in common])
    rate_hz = min(1.0 / float(np.median(np.diff(motion.time_s))) for motion in (first, second))
    even = [
        resample(m.time_s, m.values_si[:, [m.coordinates.index(n) for n in common]], rate_hz=rate_hz) for m in (first, second)
    ]
    lag_s = _lag_s(even[0], even[1], angles, max_lag_s, rate_hz) if max_lag_s > 0 else 0.0
    (time_a, values_a), (time_b, values_b) = even[0], (even[1][0] + lag_s, even[1][1])
    inside = (time_a >= time_b[0] - 1e-9) & (time_a <= time_b[-1] + 1e-9)
    if inside.sum() < max(_LEAST_S * rate_hz, 3):
        raise InputError(f"the motions have less than {_LEAST_S:g} s in common: do they have the same clock?")
    axis = time_a[inside]
    moved = np.stack([np.interp(axis, time_b, values_b[:, k]) for k in range(len(common))], axis=1)
    turns = np.where(angles, 2 * np.pi * np.round((moved - values_a[inside]).mean(axis=0) / (2 * np.pi)), 0.0)
    curves = np.stack([values_a[inside], moved - turns]) * np.where(angles, 180 / np.pi, 1.0)
    return axis, tuple(common), ["deg" if angle else "m" for angle in angles], curves, lag_s


def _lag_s(
    first: tuple[FloatArray, FloatArray],
    second: tuple[FloatArray, FloatArray],
    angles: FloatArray,
    max_lag_s: float,
    rate_hz: float,
) -> float:
    """Shift of the second's times at which the angles' speeds agree best: the least mean square difference."""
    if not angles.any():
        return 0.0
    (time_a, values_a), (time_b, values_b) = first, second
    speed_a, speed_b = (np.gradient(v[:, angles], t, axis=0) for v, t in ((values_a, time_a), (values_b, time_b)))
    half = round(max_lag_s * rate_hz)
    shifts = np.arange(-half, half + 1) / rate_hz
    scores = np.array([_score(time_a, speed_a, time_b + shift, speed_b) for shift in shifts])
    best = int(np.argmin(scores))
    if not np.isfinite(scores[best]):
        return 0.0
    if 0 < best < len(shifts) - 1 and np.all(np.isfinite(scores[best - 1 : best + 2])):
        before, here, after = scores[best - 1 : best + 2]
        bend = before - 2 * here + after
        return float(shifts[best] + (0.5 * (before - after) / bend if bend > 0 else 0.0) / rate_hz)
    return float(shifts[best])


def _score(time_a: FloatArray, speed_a: FloatArray, time_b: FloatArray, speed_b: FloatArray) -> float:
    inside = (time_a >= time_b[0]) & (time_a <= time_b[-1])
    if inside.sum() < 0.5 * min(len(time_a), len(time_b)):
        return float("inf")
    moved = np.stack([np.interp(time_a[inside], time_b, speed_b[:, k]) for k in range(speed_b.shape[1])], axis=1)
    return float(np.mean((moved - speed_a[inside]) ** 2))


def _cycle_curves(found: Sequence[Analysis | None]) -> tuple[FloatArray, tuple[str, ...], list[str], FloatArray]:
    """Mean cycles that both motions have."""
    pairs = []
    if found[0] is not None and found[1] is not None:
        for one in found[0].cycles:
            pairs += [(one, other) for other in found[1].cycles if (one.kind, one.side) == (other.kind, other.side)]
    if not pairs:
        raise InputError(
            "aligning by events needs models and cycles of the same kind in both motions; use align 'time' or 'lag'"
        )
    names, columns = [], []
    for one, other in pairs:
        for angle in (a for a in one.angles if a in other.angles):
            names.append(" ".join(filter(None, (angle, one.side, one.kind))))
            columns.append([c.mean_deg[:, c.angles.index(angle)] for c in (one, other)])
    curves = np.moveaxis(np.array(columns), 0, 2)
    return np.linspace(0, 100, POINTS), tuple(names), ["deg"] * len(names), curves


def _coordinate(name: str, unit: str, curves: FloatArray) -> CoordinateComparison:
    """Compare two curves (2, S)."""
    difference = curves[1] - curves[0]
    mean, sd = float(difference.mean()), float(difference.std(ddof=1))
    still = float(np.min(curves.std(axis=1))) < _LEAST_MOVING * (180 / np.pi if unit == "deg" else 1.0)
    return CoordinateComparison(
        name=name,
        unit=unit,
        rmse=float(np.sqrt(np.mean(difference**2))),
        mean_difference=mean,
        rmse_without_mean=float(difference.std()),
        range_first=float(np.ptp(curves[0])),
        range_second=float(np.ptp(curves[1])),
        correlation=None if still else float(np.asarray(np.corrcoef(curves))[0, 1]),
        limits_low=mean - LIMITS * sd,
        limits_high=mean + LIMITS * sd,
    )


def _parameters(found: Sequence[Analysis | None]) -> tuple[ParameterComparison, ...]:
    """Compare the parameters that both have of the same task."""
    one, other = found
    if one is None or other is None or one.task != other.task:
        return ()
    pairs = [(p, q) for p in one.parameters if (q := other.parameter(p.name, p.side)) is not None]
    return tuple(
        ParameterComparison(
            name=p.name,
            side=p.side,
            unit=p.unit,
            first=p.value,
            second=q.value,
            difference=q.value - p.value,
            sd=None if p.sd is None and q.sd is None else float(np.hypot(p.sd or 0.0, q.sd or 0.0)),
        )
        for p, q in pairs
    )


def _notes(first: OsimMotion, second: OsimMotion, found: Sequence[Analysis | None]) -> tuple[str, ...]:
    """Say what is not compared, and what a difference may come from."""
    notes = []
    for own, other, word in ((first, second, "first"), (second, first, "second")):
        if alone := [name for name in own.coordinates if name not in other.coordinates]:
            more = f" and {len(alone) - 4} more" if len(alone) > 4 else ""
            notes.append(f"only the {word} has {', '.join(alone[:4])}{more}")
    if None in found:
        notes.append("without a model of both, parameters and cycles are not compared")
    elif found[0] is not None and found[1] is not None and found[0].task != found[1].task:
        notes.append(f"tasks differ ({found[0].task}, {found[1].task}): parameters are not compared")
    return tuple(notes)

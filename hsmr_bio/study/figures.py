"""Figures of a study: outliers, differences of the sides, agreement of repeated sessions, mean curves of groups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import FloatArray
from ..report.findings import SHOWN
from .record import Record
from .table import StudyRow

OUTLIER_Z = 3.5
"""Modified z-score from which a value is an outlier.

Source: B. Iglewicz, D. Hoaglin, How to detect and handle outliers, 1993."""
_MAD_TO_SD = 1.4826
_LEAST_SHARE = 0.01
"""Spread below this share of the median is taken for this share: figures that hardly differ have no outliers."""
_LEAST_COUNT = 8
"""Fewer values have no outliers."""
_AGREEMENT = 1.96
"""Limits of agreement in standard deviations of the differences (Bland and Altman 1986)."""
LEAST_PAIRS = 3


@dataclass(frozen=True)
class Value:
    """One parameter of one person of a trial."""

    row: StudyRow
    task: str
    name: str
    side: str
    unit: str
    value: float


@dataclass(frozen=True)
class Outlier:
    """A value that is far from those of the other trials."""

    value: Value
    z: float
    median: float
    count: int


@dataclass(frozen=True)
class Pairs:
    """Differences of pairs of values."""

    name: str
    unit: str
    count: int
    first: float
    """Mean of the first values."""
    second: float
    mean: float
    """Mean of the differences."""
    sd: float

    @property
    def limits(self) -> tuple[float, float]:
        """Limits of agreement."""
        return self.mean - _AGREEMENT * self.sd, self.mean + _AGREEMENT * self.sd


def values_of(rows: Sequence[StudyRow], records: Mapping[str, Record | None]) -> list[Value]:
    """Collect the main parameters of all trials, as their reports show them.

    Args:
        rows: of the study.
        records: trial -> its record.

    Returns:
        The values.
    """
    return [value for row, one in people_of(rows, records) for value in _values_of_person(row, one)]


def people_of(rows: Sequence[StudyRow], records: Mapping[str, Record | None]) -> Iterator[tuple[StudyRow, dict[str, Any]]]:
    """Give the people of all trials that have results.

    Args:
        rows: of the study.
        records: trial -> its record.

    Yields:
        The trial's row, and the part of its record on the person.
    """
    for row in rows:
        for one in (records.get(row.trial) or {}).get("people", ()):
            yield row, one


def _values_of_person(row: StudyRow, one: Mapping[str, Any]) -> Iterator[Value]:
    task = one.get("task")
    for parameter in one.get("parameters", ()) if task else ():
        if parameter["name"] in SHOWN.get(str(task), ()) and parameter["value"] is not None:
            about = {name: parameter[name] for name in ("name", "side", "unit", "value")}
            yield Value(row=row, task=str(task), **about)


def by_parameter(values: Sequence[Value]) -> dict[tuple[str, str], list[Value]]:
    """Sort values by task and parameter, in the order of their first appearance.

    Args:
        values: of a study.

    Returns:
        (Task, parameter) -> its values of both sides.
    """
    found: dict[tuple[str, str], list[Value]] = defaultdict(list)
    for value in values:
        found[value.task, value.name].append(value)
    return dict(found)


def outliers(values: Sequence[Value]) -> list[Outlier]:
    """Find the values that are far from those of the other trials of the same task.

    Args:
        values: of a study.

    Returns:
        One for each trial that has any: its farthest value, the farthest first.
    """
    worst: dict[str, Outlier] = {}
    for alike in by_parameter(values).values():
        numbers = np.array([value.value for value in alike])
        if len(numbers) < _LEAST_COUNT:
            continue
        median = float(np.median(numbers))
        spread = max(_MAD_TO_SD * float(np.median(np.abs(numbers - median))), _LEAST_SHARE * abs(median), 1e-9)
        for value in alike:
            z = (value.value - median) / spread
            known = worst.get(value.row.trial)
            if abs(z) > OUTLIER_Z and (known is None or abs(z) > abs(known.z)):
                worst[value.row.trial] = Outlier(value, z, median, len(numbers))
    return sorted(worst.values(), key=lambda found: -abs(found.z))


def sides(values: Sequence[Value]) -> list[Pairs]:
    """Compare right with left: one pair for each person of a trial.

    Args:
        values: of a study.

    Returns:
        Right less left of each parameter that has both sides.
    """
    found = []
    for (_, name), alike in by_parameter(values).items():
        right = {value.row.trial: value.value for value in alike if value.side == "r"}
        left = {value.row.trial: value.value for value in alike if value.side == "l"}
        both = sorted(set(right) & set(left))
        found += _pairs(name, alike[0].unit, [right[trial] for trial in both], [left[trial] for trial in both])
    return found


def sessions(values: Sequence[Value]) -> list[Pairs]:
    """Compare the first two sessions of each person who has two: means of the person's trials, sides together.

    Args:
        values: of a study.

    Returns:
        First less second session of each parameter.
    """
    found = []
    for (_, name), alike in by_parameter(values).items():
        means: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for value in alike:
            if value.row.session:
                means[value.row.person][value.row.session].append(value.value)
        pairs = [[float(np.mean(one[key])) for key in sorted(one)[:2]] for one in means.values() if len(one) > 1]
        found += _pairs(name, alike[0].unit, [pair[0] for pair in pairs], [pair[1] for pair in pairs])
    return found


def _pairs(name: str, unit: str, first: Sequence[float], second: Sequence[float]) -> list[Pairs]:
    if len(first) < LEAST_PAIRS:
        return []
    a, b = np.array(first), np.array(second)
    sd = float(np.std(a - b, ddof=1))
    return [Pairs(name, unit, len(a), float(a.mean()), float(b.mean()), float((a - b).mean()), sd)]


def group_curves(
    rows: Sequence[StudyRow], records: Mapping[str, Record | None]
) -> dict[tuple[str, str], dict[str, tuple[FloatArray, FloatArray, int]]]:
    """Average the mean cycles of the trials of each group, sides together.

    Args:
        rows: of the study.
        records: trial -> its record.

    Returns:
        (Kind of cycle, angle) -> group -> (P,) mean, (P,) standard deviation over the trials, number of trials.
    """
    single: dict[tuple[str, str], dict[str, list[FloatArray]]] = defaultdict(lambda: defaultdict(list))
    for row, one in people_of(rows, records):
        together: dict[tuple[str, str], list[list[float]]] = defaultdict(list)
        for curve in one.get("curves", ()):
            together[curve["kind"], curve["angle"]].append(curve["mean_deg"])
        for key, curves in together.items():
            single[key][row.group].append(np.mean(curves, axis=0))
    found = {}
    for key, groups in single.items():
        stacked = {group: np.stack(curves) for group, curves in groups.items()}
        found[key] = {
            group: (curves.mean(axis=0), curves.std(axis=0, ddof=min(1, len(curves) - 1)), len(curves))
            for group, curves in sorted(stacked.items())
        }
    return found

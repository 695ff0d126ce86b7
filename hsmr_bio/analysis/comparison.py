"""The result of a comparison of two motions, and its tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..arrays import FloatArray

if TYPE_CHECKING:
    import pandas as pd

_STILL = {"deg": 0.1, "m": 0.001}
"""Coordinates with a smaller range are not printed."""
LIMITS = 1.96
"""Limits of agreement in standard deviations (Bland and Altman 1986)."""


@dataclass(frozen=True, kw_only=True)
class CoordinateComparison:
    """One coordinate of two motions; degrees or metres."""

    name: str
    unit: str
    rmse: float
    mean_difference: float
    """Second less first."""
    rmse_without_mean: float
    range_first: float
    range_second: float
    correlation: float | None
    """None if one of them does not move."""
    limits_low: float
    """Limits of agreement: mean difference less and plus 1.96 standard deviations of the difference over time. Frames follow
    one another, so they describe these motions and infer nothing about others."""
    limits_high: float

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON values."""
        return dict(vars(self))


@dataclass(frozen=True, kw_only=True)
class ParameterComparison:
    """One parameter of two motions."""

    name: str
    side: str
    unit: str
    first: float
    second: float
    difference: float
    """Second less first."""
    sd: float | None
    """Standard deviation of the difference, from both; None if neither has one."""

    @property
    def seen(self) -> bool | None:
        """Whether the difference is larger than 1.96 of its standard deviations; None without one."""
        return None if self.sd is None else abs(self.difference) > LIMITS * self.sd

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON values."""
        return {**vars(self), "seen": self.seen}


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Comparison:
    """Two motions, the second against the first."""

    names: tuple[str, str]
    align: str
    lag_s: float
    """Added to the second's times."""
    coordinates: tuple[CoordinateComparison, ...]
    parameters: tuple[ParameterComparison, ...]
    notes: tuple[str, ...]
    curve_names: tuple[str, ...]
    axis: FloatArray
    """(S,) seconds of the first motion, or percent of the cycle."""
    curves: FloatArray
    """(2, S, N) compared curves, degrees or metres."""

    def __repr__(self) -> str:
        return f"Comparison({self.names[1]!r} against {self.names[0]!r}: {len(self.coordinates)} coordinates, by {self.align})"

    def to_frame(self) -> pd.DataFrame:
        """Export the coordinates as a table: a row for each, columns as the fields of ``CoordinateComparison``."""
        import pandas as pd

        return pd.DataFrame([one.to_json() for one in self.coordinates])

    def parameters_frame(self) -> pd.DataFrame:
        """Export the parameters as a table: a row for each, columns as the fields of ``ParameterComparison``."""
        import pandas as pd

        columns = ["name", "side", "unit", "first", "second", "difference", "sd", "seen"]
        return pd.DataFrame([one.to_json() for one in self.parameters], columns=columns)

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON values, without the curves."""
        return {
            "first": self.names[0],
            "second": self.names[1],
            "align": self.align,
            "lag_s": self.lag_s,
            "notes": list(self.notes),
            "coordinates": [one.to_json() for one in self.coordinates],
            "parameters": [one.to_json() for one in self.parameters],
        }

    def text(self) -> str:
        """Write a plain table for a terminal."""
        lines = [f"{self.names[1]} against {self.names[0]}, aligned by {self.align} (lag {self.lag_s:+.3f} s)"]
        lines += [f"note: {note}" for note in self.notes]
        lines.append(
            f"{'coordinate':28}{'RMSE':>8}{'mean':>8}{'rest':>8}{'range 1':>9}{'range 2':>9}{'r':>7}{'limits':>18}  unit"
        )
        moving = [one for one in self.coordinates if max(one.range_first, one.range_second) > _STILL[one.unit]]
        for one in moving:
            r = "" if one.correlation is None else f"{one.correlation:.3f}"
            digits = 1 if one.unit == "deg" else 3
            cells = (one.rmse, one.mean_difference, one.rmse_without_mean, one.range_first, one.range_second)
            widths = (8, 8, 8, 9, 9)
            row = "".join(f"{cell:>{width}.{digits}f}" for cell, width in zip(cells, widths, strict=True))
            limits = f"{one.limits_low:.{digits}f} to {one.limits_high:.{digits}f}"
            lines.append(f"{one.name:28}{row}{r:>7}{limits:>18}  {one.unit}")
        if still := len(self.coordinates) - len(moving):
            lines.append(f"({still} more coordinates move in neither)")
        return "\n".join([*lines, *map(_parameter_line, self.parameters)])


def _parameter_line(one: ParameterComparison) -> str:
    sd = "" if one.sd is None else f" +- {one.sd:.3g}" + ("" if one.seen else "  (no difference seen)")
    name = f"{one.name} {one.side}".strip()
    return f"{name:42}{one.first:>10.3f}{one.second:>10.3f}{one.difference:>+10.3f}{sd}  {one.unit}".rstrip()

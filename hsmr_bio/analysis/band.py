"""Reference bands: mean and standard deviation of angles over the cycle, from a file of the user."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import FloatArray, freeze
from ..errors import FormatError, InputError
from .cycles import POINTS, Cycles

_MEAN, _SD = "_mean_deg", "_sd_deg"
_WIDE = 2.0
"""A band's edges in standard deviations."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Band:
    """Reference curve of one angle, 0 to 100 %."""

    mean_deg: FloatArray
    """(101,)."""
    sd_deg: FloatArray
    """(101,)."""

    def __post_init__(self) -> None:
        freeze(self, {"mean_deg": (POINTS,), "sd_deg": (POINTS,)})


@dataclass(frozen=True, kw_only=True)
class BandComparison:
    """The mean cycle of one angle against its band."""

    angle: str
    side: str
    inside_share: float
    """Share of the cycle within two standard deviations."""
    rms_deg: float
    """RMS difference of the mean curves."""
    offset_deg: float
    """Mean difference. Another model's zero makes offsets of 5 to 10 degrees: they are no findings."""

    def __str__(self) -> str:
        name = f"{self.angle} {self.side}".strip()
        return (
            f"band: {name:28} {100 * self.inside_share:3.0f} % of the cycle within 2 SD; "
            f"RMS difference {self.rms_deg:.1f} deg, mean difference {self.offset_deg:+.1f} deg"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON values."""
        return {name: getattr(self, name) for name in ("angle", "side", "inside_share", "rms_deg", "offset_deg")}


def read_band(path: str | os.PathLike[str]) -> dict[str, Band]:
    """Read reference curves.

    Args:
        path: ``.csv`` with a column ``percent`` and columns ``<angle>_mean_deg`` and ``<angle>_sd_deg``; angles as in the
            cycles (``knee_flexion``, ``pelvis_tilt`` ...). Any percents from 0 to 100 in order.

    Returns:
        Angle -> its band, interpolated to 101 points.

    Raises:
        InputError: the file cannot be read.
        FormatError: a column is missing, or a value.
    """
    import pandas as pd

    try:
        table = pd.read_csv(path, comment="#")
    except OSError as error:
        raise InputError(f"{os.fspath(path)}: cannot be read: {error.strerror}") from None
    except (ValueError, pd.errors.ParserError) as error:
        raise FormatError(path, None, f"not a table of comma-separated values: {error}") from None
    angles = [column.removesuffix(_MEAN) for column in table.columns if column.endswith(_MEAN)]
    wanted = ["percent", *(f"{angle}{_SD}" for angle in angles)]
    if not angles or (missing := [column for column in wanted if column not in table.columns]):
        lacking = missing[0] if angles else f"<angle>{_MEAN}"
        raise FormatError(
            path, None, f"a band needs the columns percent, <angle>{_MEAN} and <angle>{_SD}; there is no {lacking}"
        )
    numbers = table[["percent", *(f"{a}{end}" for a in angles for end in (_MEAN, _SD))]].apply(pd.to_numeric, errors="coerce")
    percent = numbers["percent"].to_numpy()
    if numbers.isna().to_numpy().any() or len(percent) < 2 or np.any(np.diff(percent) <= 0):
        raise FormatError(path, None, "every row needs a number in each of these columns, and percent must increase")
    at = np.linspace(0, 100, POINTS)
    return {
        angle: Band(**{end[1:]: np.interp(at, percent, numbers[f"{angle}{end}"]) for end in (_MEAN, _SD)}) for angle in angles
    }


def compare_with_band(cycles: Sequence[Cycles], bands: Mapping[str, Band]) -> tuple[BandComparison, ...]:
    """Compare mean cycles with reference curves.

    Args:
        cycles: of a motion.
        bands: angle -> reference.

    Returns:
        One comparison for each angle and side that has a band.
    """
    found = []
    for one in cycles:
        for k, angle in enumerate(one.angles):
            if angle in bands:
                band, difference = bands[angle], one.mean_deg[:, k] - bands[angle].mean_deg
                found.append(
                    BandComparison(
                        angle=angle,
                        side=one.side,
                        inside_share=float(np.mean(np.abs(difference) <= _WIDE * band.sd_deg)),
                        rms_deg=float(np.sqrt(np.mean(difference**2))),
                        offset_deg=float(difference.mean()),
                    )
                )
    return tuple(found)

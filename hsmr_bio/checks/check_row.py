"""One row of a table of checks: its name, what it measures, its thresholds and where they come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..errors import InputError
from .check_report import Check, Threshold

T = TypeVar("T")
Figure = tuple[float, str]
"""A measured figure, and where or when it was found."""


class Skip(Exception):  # noqa: N818 (not an error: it carries the reason)
    """Why a check cannot be made."""


@dataclass(frozen=True, kw_only=True)
class CheckRow(Generic[T]):
    """One check of something of type ``T``."""

    name: str
    measure: Callable[[T], Figure]
    """Returns the figure in ``unit``; raises :class:`Skip` where it cannot be measured."""
    warn_above: float
    fail_above: float
    unit: str
    source: str
    """Where the thresholds come from."""

    @property
    def threshold(self) -> Threshold:
        """The thresholds as the report carries them."""
        return Threshold(warn_above=self.warn_above, fail_above=self.fail_above, unit=self.unit, source=self.source)

    def check(self, given: T) -> Check:
        """Measure and judge; a check that cannot be made is reported as skipped, with the reason."""
        try:
            value, detail = self.measure(given)
        except (Skip, InputError) as reason:
            return Check(name=self.name, status="skipped", value=None, threshold=self.threshold, detail=str(reason))
        status = self.threshold.judge(value)
        return Check(name=self.name, status=status, value=float(value), threshold=self.threshold, detail=detail)

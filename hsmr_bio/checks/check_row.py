"""One row of a table of checks: name, measure, thresholds and their source."""

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
    """The reason why a check cannot be made."""


@dataclass(frozen=True, kw_only=True)
class CheckRow(Threshold, Generic[T]):
    """One check of an input of type ``T``, with its thresholds."""

    name: str
    measure: Callable[[T], Figure]
    """Returns the figure in ``unit``; raises :class:`Skip` where it cannot be measured."""

    @property
    def threshold(self) -> Threshold:
        """The thresholds without name and measure, for the report."""
        return Threshold(warn_above=self.warn_above, fail_above=self.fail_above, unit=self.unit, source=self.source)

    def check(self, given: T) -> Check:
        """Measure, and compare with the thresholds; a check that cannot be made is reported as skipped, with the reason."""
        try:
            value, detail = self.measure(given)
        except (Skip, InputError) as reason:
            return Check(name=self.name, status="skipped", value=None, threshold=self.threshold, detail=str(reason))
        status = self.judge(value)
        return Check(name=self.name, status=status, value=float(value), threshold=self.threshold, detail=detail)

"""Results of checks: figures, thresholds with their source, and verdicts; as data, text and JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ..errors import InputError
from .limits import LimitReport

Status = Literal["pass", "warn", "fail", "skipped"]
_ROUNDING = 1e-9
"""Rounding error of a figure that lies on its threshold."""


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """Up to ``warn_above`` a figure passes, up to ``fail_above`` it is a warning, above it fails."""

    warn_above: float
    fail_above: float
    unit: str
    source: str
    """Reference of the thresholds."""

    def judge(self, value: float) -> Status:
        """Return the verdict on a figure in ``unit``."""
        if value <= self.warn_above + _ROUNDING:
            return "pass"
        return "warn" if value <= self.fail_above + _ROUNDING else "fail"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One figure and its verdict."""

    name: str
    status: Status
    value: float | None
    """None if the check was skipped."""
    threshold: Threshold
    detail: str
    """Place and time of the figure, or the reason why the check was skipped."""

    def to_json(self) -> dict[str, Any]:
        """Return all fields as JSON values."""
        return {**vars(self), "threshold": vars(self.threshold)}


@dataclass(frozen=True, kw_only=True)
class CheckReport:
    """All checks of one motion."""

    checks: tuple[Check, ...]
    limits: LimitReport | None
    remarks: tuple[str, ...] = ()
    """What the verdict rests on and no check can see, in sentences."""

    @property
    def status(self) -> Status:
        """Return the worst status: fail, else warn, else pass."""
        found = {check.status for check in self.checks}
        return "fail" if "fail" in found else "warn" if "warn" in found else "pass"

    def __getitem__(self, name: str) -> Check:
        for check in self.checks:
            if check.name == name:
                return check
        raise InputError(f"there is no check {name!r}; there are {', '.join(check.name for check in self.checks)}")

    def to_json(self) -> dict[str, Any]:
        """Return status, remarks, checks and limits as JSON values."""
        return {
            "status": self.status,
            "remarks": list(self.remarks),
            "checks": [check.to_json() for check in self.checks],
            "limits": None if self.limits is None else self.limits.to_json(),
        }

    def text(self) -> str:
        """Return the checks and the joint limits as a table."""
        counts = Counter(check.status for check in self.checks)
        lines = [f"{self.status.upper()}: " + ", ".join(f"{counts[name]} {name}" for name in get_args(Status) if counts[name])]
        lines += [f"  {remark}" for remark in self.remarks]
        for check in self.checks:
            value = allowed = ""
            if check.value is not None:
                value = f"{check.value:.3g} {check.threshold.unit}"
                allowed = f"(pass <= {check.threshold.warn_above:g}, fail > {check.threshold.fail_above:g})"
            lines.append(f"  {check.status:8}{check.name:23}{value:>14}  {allowed}  {check.detail}".rstrip())
        if self.limits is not None and (self.limits.outside or self.limits.paper_table):
            lines += ["", self.limits.text()]
        return "\n".join(lines)

"""What a check says: a figure, its thresholds with their source, and what it means; as data, text and JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ..errors import InputError
from .limits import LimitReport

Status = Literal["pass", "warn", "fail", "skipped"]
_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """Up to ``warn_above`` a figure passes, up to ``fail_above`` it is a warning, beyond it fails."""

    warn_above: float
    fail_above: float
    unit: str
    source: str

    def judge(self, value: float) -> Status:
        """Return what a figure means."""
        if value <= self.warn_above + _ROUNDING:
            return "pass"
        return "warn" if value <= self.fail_above + _ROUNDING else "fail"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One figure and what it means."""

    name: str
    status: Status
    value: float | None
    """None if the check was skipped."""
    threshold: Threshold
    detail: str
    """Where and when, or why the check was skipped."""

    def to_json(self) -> dict[str, Any]:
        """Everything as JSON values."""
        return {**vars(self), "threshold": vars(self.threshold)}


@dataclass(frozen=True, kw_only=True)
class CheckReport:
    """All checks of one motion."""

    checks: tuple[Check, ...]
    limits: LimitReport | None

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
        """Everything as JSON values."""
        return {
            "status": self.status,
            "checks": [check.to_json() for check in self.checks],
            "limits": None if self.limits is None else self.limits.to_json(),
        }

    def text(self) -> str:
        """Return a table for people."""
        words = {status: sum(check.status == status for check in self.checks) for status in ("pass", "warn", "fail", "skipped")}
        lines = [f"{self.status.upper()}: " + ", ".join(f"{count} {status}" for status, count in words.items() if count)]
        for check in self.checks:
            value = "" if check.value is None else f"{check.value:.3g} {check.threshold.unit}"
            allowed = (
                ""
                if check.value is None
                else f"(pass <= {check.threshold.warn_above:g}, fail > {check.threshold.fail_above:g})"
            )
            lines.append(f"  {check.status:8}{check.name:23}{value:>14}  {allowed}  {check.detail}".rstrip())
        if self.limits is not None and (self.limits.outside or self.limits.paper_table):
            lines += ["", self.limits.text()]
        return "\n".join(lines)

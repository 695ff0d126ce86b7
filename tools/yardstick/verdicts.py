"""Tables of what the verdicts are worth: errors of clips that pass, warn and fail, as a whole and by check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

GOOD_DEG = 8.0
"""A warning on a clip whose mean error is within this is a false alarm."""
VERDICTS = ("pass", "warn", "fail")


class Scored(Protocol):
    """A clip's error and checks."""

    @property
    def mean(self) -> float | None:
        """Mean error in degrees; None: the clip has no result."""

    @property
    def verdict(self) -> str:
        """Of the whole clip."""

    @property
    def checks(self) -> Mapping[str, tuple[str, float]]:
        """Check that was made -> its status and its figure."""


def verdict_table(rows: Sequence[Scored]) -> list[str]:
    """Errors of the clips by verdict.

    Args:
        rows: of clips.

    Returns:
        Lines of a table: verdict, number of clips, their mean and their largest error, and how many are false alarms.
    """
    lines = ["| verdict | clips | mean error | largest | within 8 degrees |", "| --- | --- | --- | --- | --- |"]
    for verdict in VERDICTS:
        errors = [row.mean for row in rows if row.verdict == verdict and row.mean is not None]
        figures = f"{np.mean(errors):.1f} | {max(errors):.1f}" if errors else "- | -"
        lines.append(f"| {verdict} | {len(errors)} | {figures} | {sum(error <= GOOD_DEG for error in errors)} |")
    return lines


def check_table(rows: Sequence[Scored]) -> list[str]:
    """Figures of each check, and the errors of the clips that pass it, are warned by it and fail it.

    Args:
        rows: of clips.

    Returns:
        Lines of a table; thresholds are chosen from it. The correlation is that of the figure with the clips' errors.
    """
    head = ("check", "10 %", "50 %", "90 %", "most", "correlation", *VERDICTS, "false alarms")
    lines = [f"| {' | '.join(head)} |", "|" + " --- |" * len(head)]
    for name in dict.fromkeys(name for row in rows for name in row.checks):
        found = [(*row.checks[name], row.mean) for row in rows if name in row.checks and row.mean is not None]
        if not found:
            continue
        values, errors = np.array([value for _, value, _ in found]), np.array([error for _, _, error in found])
        spread = [f"{value:.3g}" for value in np.percentile(values, [10, 50, 90, 100])]
        related = np.ptp(values) > 0 and np.ptp(errors) > 0
        correlation = f"{np.corrcoef(values, errors)[0, 1]:.2f}" if related else "-"
        groups = [[error for status, _, error in found if status == verdict] for verdict in VERDICTS]
        cells = [f"{np.mean(group):.1f} ({len(group)})" if group else "-" for group in groups]
        false = sum(status != "pass" and error <= GOOD_DEG for status, _, error in found)
        lines.append(f"| {' | '.join([name, *spread, correlation, *cells, str(false)])} |")
    return lines

"""Check the plausibility of an inverse dynamics: residuals of the whole body against published thresholds."""

from __future__ import annotations

from dataclasses import replace

from ..checks.check_report import Check, CheckReport
from ..checks.check_row import CheckRow
from ..errors import InputError
from .inverse_dynamics import InverseDynamics, Residuals

_HICKS = "Hicks et al., J Biomech Eng 137, 2015, 020905"


CHECKS: tuple[CheckRow[Residuals], ...] = (
    CheckRow(
        name="residual force",
        measure=lambda residuals: (residuals.force_share, ""),
        warn_above=0.05,
        fail_above=0.15,
        unit="of peak external force",
        source=f"{_HICKS}: peak residual force under 5 % of the peak net external force",
    ),
    CheckRow(
        name="residual moment",
        measure=lambda residuals: (residuals.moment_share, ""),
        warn_above=0.01,
        fail_above=0.05,
        unit="of peak force x COM height",
        source=f"{_HICKS}: peak residual moment under 1 % of COM height times peak net external force",
    ),
    CheckRow(
        name="residual force, RMS",
        measure=lambda residuals: (residuals.force_rms_bw, ""),
        warn_above=0.05,
        fail_above=0.10,
        unit="body weights",
        source="requirement of this project: at most 5 % of body weight",
    ),
    CheckRow(
        name="residual moment, RMS",
        measure=lambda residuals: (residuals.moment_rms_bw_h, ""),
        warn_above=0.05,
        fail_above=0.10,
        unit="body weights x COM height",
        source="requirement of this project: at most 5 % of body weight times COM height",
    ),
)
"""The checks of the residuals of an inverse dynamics, in the order of the report."""


def check_dynamics(result: InverseDynamics) -> CheckReport:
    """Compare the residuals of an inverse dynamics with their thresholds.

    Args:
        result: of :func:`inverse_dynamics` with measured or estimated loads.

    Returns:
        One entry per row of ``CHECKS``.

    Raises:
        InputError: there are no external loads, and therefore no residuals.
    """
    residuals = result.residuals
    if residuals is None:
        raise InputError("without external loads the base carries the whole body: there are no residuals to check")
    source = result.loads.source if result.loads is not None else ""
    detail = f"forces {source}; largest residual force at {residuals.worst_time_s:.3f} s"
    measured = result.ground is None
    return CheckReport(checks=tuple(_explained(row.check(residuals), detail, measured) for row in CHECKS), limits=None)


def _explained(check: Check, detail: str, measured: bool) -> Check:
    """Set the detail of a check; for measured forces that do not pass, with a possible cause."""
    if measured and check.status != "pass":
        detail += " (a foot that stands beside the plates has no force)"
    return replace(check, detail=detail)

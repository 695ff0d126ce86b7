"""Is this inverse dynamics believable? Residuals of the whole body against published thresholds."""

from __future__ import annotations

from ..checks.check_report import Check, CheckReport, Threshold
from ..errors import InputError
from .inverse_dynamics import InverseDynamics

_HICKS = "Hicks et al., J Biomech Eng 137, 2015, 020905"
THRESHOLDS: dict[str, Threshold] = {
    "residual force": Threshold(
        warn_above=0.05,
        fail_above=0.15,
        unit="of peak external force",
        source=f"{_HICKS}: peak residual force under 5 % of the peak net external force",
    ),
    "residual moment": Threshold(
        warn_above=0.01,
        fail_above=0.05,
        unit="of peak force x COM height",
        source=f"{_HICKS}: peak residual moment under 1 % of COM height times peak net external force",
    ),
    "residual force, RMS": Threshold(
        warn_above=0.05, fail_above=0.10, unit="body weights", source="requirement of this project: at most 5 % of body weight"
    ),
    "residual moment, RMS": Threshold(
        warn_above=0.05,
        fail_above=0.10,
        unit="body weights x COM height",
        source="requirement of this project: at most 5 % of body weight times COM height",
    ),
}
"""Name of the check -> thresholds; the order is the order of the report."""


def check_dynamics(result: InverseDynamics) -> CheckReport:
    """Judge the residuals of an inverse dynamics with external loads.

    Args:
        result: of :func:`inverse_dynamics` with measured or estimated loads.

    Returns:
        One entry per check of ``THRESHOLDS``.

    Raises:
        InputError: there were no external loads; then the base carries the body and nothing can be judged.
    """
    residuals = result.residuals
    if residuals is None:
        raise InputError("without external loads the whole body hangs on its base: there are no residuals to check")
    values = {
        "residual force": residuals.force_share,
        "residual moment": residuals.moment_share,
        "residual force, RMS": residuals.force_rms_bw,
        "residual moment, RMS": residuals.moment_rms_bw_h,
    }
    source = result.loads.source if result.loads is not None else ""
    detail = f"forces {source}; largest residual force at {residuals.worst_time_s:.3f} s"
    return CheckReport(
        checks=tuple(_judge(name, value, detail, result.ground is None) for name, value in values.items()), limits=None
    )


def _judge(name: str, value: float, detail: str, measured: bool) -> Check:
    threshold = THRESHOLDS[name]
    status = threshold.judge(value)
    if measured and status != "pass":
        detail += " (a foot that stands beside the plates has no force)"
    return Check(name=name, status=status, value=value, threshold=threshold, detail=detail)

"""Tables and lists of the page as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from hsmr_bio.checks.check_report import Check, CheckReport
from hsmr_bio.checks.limits import PRINTED_TOLERANCES_DEG, LimitReport
from hsmr_bio.types import Subject

WORDS = {"pass": "passed", "warn": "warning", "fail": "failed", "skipped": "not checked"}
_ORDER = ("fail", "warn", "pass", "skipped")


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[int] = ()) -> str:
    """Make an HTML table.

    Args:
        head: column titles, as text.
        rows: cells, as HTML.
        numbers: columns to align to the right.

    Returns:
        The table as HTML.
    """

    def cell(tag: str, column: int, content: str) -> str:
        return f"<{tag}{' class=number' if column in numbers else ''}>{content}</{tag}>"

    top = "".join(cell("th", i, escape(text)) for i, text in enumerate(head))
    body = "".join(f"<tr>{''.join(cell('td', i, text) for i, text in enumerate(row))}</tr>" for row in rows)
    return f"<div class=scroll><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"


def verdict(checks: CheckReport) -> str:
    """Give the verdict as HTML: whether the motion can be used, and the checks that it fails."""
    status = checks.status
    count = {word: [check for check in checks.checks if check.status == word] for word in _ORDER}
    headline = {
        "pass": "This motion passes all checks",
        "warn": "Usable with caution: see the warnings",
        "fail": "Do not use this motion before you have read the failed checks",
        "skipped": "No check could be made",
    }[status]
    numbers = ", ".join(f"{len(found)} {WORDS[word]}" for word, found in count.items() if found)
    reasons = "".join(f"<li>{_sentence(check)}</li>" for word in ("fail", "warn") for check in count[word])
    listed = f"<ul>{reasons}</ul>" if reasons else ""
    remarks = "".join(f"<p>{escape(remark)}</p>" for remark in checks.remarks)
    return f'<div class="verdict {status}"><p class=headline>{headline}</p><p>Checks: {numbers}.</p>{listed}{remarks}</div>'


def _sentence(check: Check) -> str:
    limit = check.threshold.fail_above if check.status == "fail" else check.threshold.warn_above
    value = "" if check.value is None else f": {check.value:.3g} {escape(check.threshold.unit)}, limit {limit:.3g}"
    detail = f" ({escape(check.detail)})" if check.detail else ""
    return f'<span class="badge {check.status}">{WORDS[check.status]}</span> {escape(check.name)}{value}{detail}'


def checks_table(checks: CheckReport) -> str:
    """Give every check with its value, thresholds and their source as HTML; failed checks first."""
    rows = []
    for check in sorted(checks.checks, key=lambda c: _ORDER.index(c.status)):
        value = "–" if check.value is None else f"{check.value:.3g} {escape(check.threshold.unit)}"
        rows.append(
            (
                f'<span class="badge {check.status}">{WORDS[check.status]}</span>',
                escape(check.name),
                value,
                f"{check.threshold.warn_above:g}",
                f"{check.threshold.fail_above:g}",
                escape(check.detail),
                escape(check.threshold.source),
            )
        )
    head = ("result", "check", "value", "warning above", "failure above", "where", "source of the thresholds")
    return table(head, rows, numbers=(2, 3, 4))


def limits_table(limits: LimitReport | None) -> str:
    """Give the coordinates that leave their range, and the paper's table if there is one, as HTML."""
    if limits is None:
        return "<p>Joint limits were not checked.</p>"
    text = f"<p>{limits.share_outside:.1%} of {limits.frames} frames have a coordinate outside its range.</p>"
    rows = []
    for row in limits.outside:
        factor, unit = (180 / np.pi, "°") if row.rotational else (1000.0, " mm")
        rows.append(
            (
                escape(row.name),
                f"{row.lower_si * factor:.0f} to {row.upper_si * factor:.0f}{unit}",
                f"{row.share_outside:.1%}",
                f"{row.worst_excess_si * factor:.1f}{unit}",
                f"{row.first_time_s:.2f} s",
                f"{row.worst_time_s:.2f} s",
            )
        )
    if rows:
        head = ("coordinate", "range", "frames outside", "worst excess", "first at", "worst at")
        text += table(head, rows, numbers=(1, 2, 3, 4, 5))
    shown = [row for row in limits.paper_table if row.tolerance_deg in PRINTED_TOLERANCES_DEG]
    if shown:
        parts = dict.fromkeys(row.part for row in shown)
        share = {(row.part, row.tolerance_deg): f"{row.share:.1%}" for row in shown}
        lines = [(escape(part), *(share.get((part, tolerance), "–") for tolerance in PRINTED_TOLERANCES_DEG)) for part in parts]
        text += "<p>Share of frames in which a knee or elbow leaves its range by more than (Xia et al. 2025):</p>"
        text += table(("part", *(f"{tolerance:g}°" for tolerance in PRINTED_TOLERANCES_DEG)), lines, numbers=(1, 2, 3))
    return text


def scale_table(subject: Subject | None) -> str:
    """Give the person's size and the scale factors of the model's bodies as HTML."""
    if subject is None:
        return "<p>The model was not scaled here.</p>"
    text = (
        f"<p>Stature {subject.stature_m:.3f} m, mass {subject.mass_kg:.1f} kg (from {escape(subject.mass_source)}), "
        f"body {escape(subject.body)}.</p>"
    )
    rows = [(escape(name), *(f"{value:.3f}" for value in factors)) for name, factors in subject.scale_factors.items()]
    head = ("body of the model", "forward (x)", "along (y)", "sideways (z)")
    return text + (table(head, rows, numbers=(1, 2, 3)) if rows else "")


def facts(values: Mapping[str, Any]) -> str:
    """Give names and values as a definition list in HTML."""
    lines = "".join(f"<dt>{escape(str(name))}</dt><dd>{escape(_shown(value))}</dd>" for name, value in values.items())
    return f"<dl>{lines}</dl>" if lines else "<p>None were recorded.</p>"


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_shown(inner)}" for name, inner in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_shown(inner) for inner in value)
    return str(value)

"""The report of a study: one page that needs no other file; every row links to the report of its trial."""

from __future__ import annotations

import base64
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from urllib.parse import quote

from ..io.atomic import new_file
from ..report.tables import table
from .figures import OUTLIER_Z, Outlier, Pairs, Value, by_parameter, group_curves, outliers, sessions, sides, values_of
from .plots import curves, legend, strips
from .record import PICTURE, Record, failed_checks, one_line_of
from .table import StudyRow
from .tables import NOT_DONE
from .task import TRIALS

_CLASS = {"passed": "pass", "checks failed": "warn", "failed": "fail", NOT_DONE: "skipped"}
_SHOWN_OUTLIERS, _SHOWN_REASONS = 12, 12
_LONGEST_REASON = 160
Records = Mapping[str, Record | None]


class Names:
    """Names of trials and people as the report shows them.

    Args:
        rows: of the study.
        anonymous: numbers instead of names.
    """

    def __init__(self, rows: Sequence[StudyRow], *, anonymous: bool) -> None:
        self.anonymous = anonymous
        digits = len(str(len(rows)))
        people = list(dict.fromkeys(row.person for row in rows))
        self._trials = {row.trial: f"T{number:0{digits}}" for number, row in enumerate(rows, start=1)}
        self._people = {person: f"P{number:0{digits}}" for number, person in enumerate(people, start=1)}

    def trial(self, row: StudyRow) -> str:
        """Name of a trial as HTML, with a link to its report."""
        if self.anonymous:
            return self._trials[row.trial]
        address = quote(f"{TRIALS}/{row.trial}/{row.trial}_report.html")
        return f'<a href="{address}">{escape(row.trial)}</a>'

    def person(self, row: StudyRow) -> str:
        """Name of a person as HTML."""
        return self._people[row.person] if self.anonymous else escape(row.person)

    def hidden(self, row: StudyRow, text: str) -> str:
        """Remove names from what is said of a trial, if they are not to be seen.

        Args:
            row: of the trial.
            text: as its record has it.

        Returns:
            The text.
        """
        if not self.anonymous:
            return text
        path = Path(row.source)
        for name in sorted({row.source, path.name, path.stem, row.trial, row.person}, key=len, reverse=True):
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "...", text)
        return re.sub(r"\S*[/\\]\S*", "...", text)

    def reason(self, row: StudyRow, text: str) -> str:
        """Give what a trial did not pass as HTML.

        Args:
            row: of the trial.
            text: as its record has it.

        Returns:
            HTML of bounded length.
        """
        text = self.hidden(row, text)
        return escape(text if len(text) <= _LONGEST_REASON else f"{text[: _LONGEST_REASON - 1]}…")


def write_study_report(path: Path, rows: Sequence[StudyRow], records: Records, *, anonymous: bool = False) -> None:
    """Write the report of a study.

    Args:
        path: of the page, in the folder of the study.
        rows: trials of the study.
        records: trial -> its record.
        anonymous: numbers instead of names, no pictures, no links.
    """
    page = study_html(rows, records, path.parent, anonymous=anonymous)
    with new_file(path) as part:
        part.write_text(page, encoding="utf-8", errors="backslashreplace")


def study_html(rows: Sequence[StudyRow], records: Records, study: Path, *, anonymous: bool = False) -> str:
    """Give the report as text; see :func:`write_study_report`.

    Args:
        rows: trials of the study.
        records: trial -> its record.
        study: folder of the study, for the pictures.
        anonymous: numbers instead of names, no pictures, no links.

    Returns:
        The page.
    """
    names, values = Names(rows, anonymous=anonymous), values_of(rows, records)
    found = outliers(values)
    people = len({row.person for row in rows})
    return Template((files("hsmr_bio.study") / "templates" / "study.html").read_text(encoding="utf-8")).substitute(
        title="Study" if anonymous else escape(study.absolute().name),
        span=f"{len(rows)} trials of {people} {'person' if people == 1 else 'people'}",
        style=(files("hsmr_bio.report") / "templates" / "report.css").read_text(encoding="utf-8"),
        counts=_counts(rows, records, names),
        outliers=_outliers(found, study, names),
        values=_values(values),
        curves=_curves(rows, records),
        sides=_pairs(sides(values), "right", "left", "No parameter has both sides in three trials."),
        sessions=_pairs(sessions(values), "first", "second", "No three people have two sessions (column session)."),
        trials=_trials(rows, records, names, {one.value.row.trial for one in found}),
    )


def _status(record: Record | None) -> str:
    return NOT_DONE if record is None else str(record["status"])


def _counts(rows: Sequence[StudyRow], records: Records, names: Names) -> str:
    """Numbers of trials by status, and the reasons of those that did not pass."""
    counts = Counter(_status(records.get(row.trial)) for row in rows)
    bar = "".join(f'<i class={kind} style="flex:{counts[status]}"></i>' for status, kind in _CLASS.items() if counts[status])
    text = ", ".join(f"{counts[status]} {status}" for status in _CLASS if counts[status])
    reasons: Counter[str] = Counter()
    for row in rows:
        record = records.get(row.trial)
        if record is not None and record["status"] == "failed":
            why = names.hidden(row, str(record["error"]).replace(row.source, "…"))
            reasons[escape(re.sub(r"\d+(\.\d+)?", "…", why)[:_LONGEST_REASON])] += 1  # alike but for their numbers
        elif record is not None:
            reasons.update({f"failed check: {escape(check)}" for check, _ in failed_checks(record)})
    listed = [(str(number), reason) for reason, number in reasons.most_common(_SHOWN_REASONS)]
    return f"<div class=bar>{bar}</div><p>{text}</p>" + (table(("trials", "reason"), listed, numbers=(0,)) if listed else "")


def _outliers(found: Sequence[Outlier], study: Path, names: Names) -> str:
    rule = (
        f"Values more than {OUTLIER_Z:g} robust standard deviations from the median of their task: look at these trials first."
    )
    if not found:
        return f"<p>{rule} There are none.</p>"
    cards = "".join(_card(one, study, names) for one in found[:_SHOWN_OUTLIERS])
    more = f"<p>And {len(found) - _SHOWN_OUTLIERS} more, marked in the table.</p>" if len(found) > _SHOWN_OUTLIERS else ""
    return f"<p>{rule}</p><div class=cards>{cards}</div>{more}"


def _card(one: Outlier, study: Path, names: Names) -> str:
    value = one.value
    picture = study / TRIALS / value.row.trial / PICTURE
    image = ""
    if not names.anonymous and picture.is_file():
        image = f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(picture.read_bytes()).decode()}">'
    side = {"r": ", right", "l": ", left"}.get(value.side, "")
    text = f"{escape(value.name.replace('_', ' '))}{side}: {value.value:.3g} {escape(value.unit)}"
    rest = f"median {one.median:.3g} of {one.count} values; {abs(one.z):.0f} deviations {'above' if one.z > 0 else 'below'}"
    return (
        f"<div class=card>{image}<p><b>{names.trial(value.row)}</b> ({names.person(value.row)})<br>{text}<br>{rest}</p></div>"
    )


def _label(row: StudyRow) -> str:
    return " ".join(part for part in (row.group, row.session) if part) or "all"


def _values(values: Sequence[Value]) -> str:
    """One plot a parameter, by task."""
    tasks: dict[str, list[str]] = defaultdict(list)
    for (task, name), alike in by_parameter(values).items():
        rows: dict[str, list[tuple[str, float]]] = defaultdict(list)
        for value in sorted(alike, key=lambda one: _label(one.row)):
            rows[_label(value.row)].append((value.side, value.value))
        tasks[task].append(strips(name, alike[0].unit, rows))
    if not tasks:
        return "<p>No trial has parameters.</p>"
    key = '<p><span class="key r">right</span><span class="key l">left</span> Box: median and quartiles.</p>'
    return key + "".join(f"<h3>{escape(task)}</h3><div class=plots>{''.join(plots)}</div>" for task, plots in tasks.items())


def _curves(rows: Sequence[StudyRow], records: Records) -> str:
    found = group_curves(rows, records)
    if not found:
        return "<p>No trial has cycles.</p>"
    order = sorted({row.group for row in rows})
    kinds: dict[str, list[str]] = defaultdict(list)
    for (kind, angle), groups in sorted(found.items()):
        kinds[kind].append(curves(angle, groups, order))
    text = "Mean over the trials, each the mean of its sides; bands: one standard deviation over the trials."
    plots = "".join(f"<h3>{escape(kind)}</h3><div class=plots>{''.join(drawn)}</div>" for kind, drawn in kinds.items())
    return f"<p>{legend(order)} {text}</p>{plots}"


def _pairs(found: Sequence[Pairs], first: str, second: str, otherwise: str) -> str:
    if not found:
        return f"<p>{otherwise}</p>"
    rows = []
    for one in found:
        low, high = one.limits
        numbers = (one.first, one.second, one.mean, one.sd)
        name = f"{escape(one.name.replace('_', ' '))}{f', {escape(one.unit)}' if one.unit else ''}"
        rows.append((name, str(one.count), *(f"{number:.3g}" for number in numbers), f"{low:.3g} to {high:.3g}"))
    head = ("parameter", "pairs", first, second, "mean difference", "SD of differences", "limits of agreement")
    return table(head, rows, numbers=(1, 2, 3, 4, 5, 6))


def _trials(rows: Sequence[StudyRow], records: Records, names: Names, far: set[str]) -> str:
    cells = []
    for row in rows:
        record = records.get(row.trial)
        status = _status(record)
        tasks = {str(one["task"]) for one in (record or {}).get("people", ()) if one.get("task")}
        reason = "" if record is None or status == "passed" else names.reason(row, one_line_of(record))
        mark = "outlier" if row.trial in far else ""
        badge = f'<span class="badge {_CLASS[status]}">{status}</span>'
        place = (names.person(row), escape(row.group), escape(row.session))
        seconds = "" if record is None else f"{record.get('seconds', 0):.1f}"
        cells.append((names.trial(row), *place, badge, escape(", ".join(sorted(tasks))), mark, reason, seconds))
    return table(("trial", "person", "group", "session", "result", "task", "", "why", "s"), cells, numbers=(8,))

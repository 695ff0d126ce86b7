"""The report of a study: counts and reasons, outliers, sides, sessions, curves of groups, anonymity, size."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hsmr_bio.study.figures import group_curves, outliers, sessions, sides, values_of
from hsmr_bio.study.page import study_html, write_study_report
from hsmr_bio.study.record import Record
from hsmr_bio.study.table import StudyRow


def row(number: int) -> StudyRow:
    place = {"person": f"Person{number // 2}", "group": "old" if number % 4 < 2 else "young", "session": f"s{number % 2}"}
    name = f"walk{number}"
    return StudyRow(trial=name, command="image2mot", source=f"/videos/{name}.mp4", cells={"video": name}, **place)


def record(number: int) -> Record:
    """A trial whose right knee bends 60 degrees and a little more, the left 2 less; a second session 1 more."""
    noise = ((number * 7) % 5 - 2) * 0.3 + number % 2
    parameters = [
        {"name": "knee_flexion_max", "side": side, "value": 60 + noise - 2 * (side == "l"), "sd": 1.0, "unit": "deg"}
        for side in "rl"
    ]
    curves = [
        {"kind": "stride", "side": side, "angle": "knee_flexion", "mean_deg": [10.0 + number % 2 + (side == "l")] * 51}
        for side in "rl"
    ]
    checks = {"jumps": {"status": "pass", "value": 1.0, "unit": "deg"}}
    person: dict[str, Any] = {"name": f"walk{number}", "task": "gait", "checks": checks, "verdict": "pass"}
    person |= {"parameters": parameters, "curves": curves}
    return {"status": "passed", "error": None, "people": [person], "seconds": 9.0, "key": {"all": str(number)}}


@pytest.fixture
def study() -> tuple[list[StudyRow], dict[str, Record | None]]:
    rows = [row(number) for number in range(20)]
    records: dict[str, Record | None] = {one.trial: record(number) for number, one in enumerate(rows)}
    far = records["walk5"]
    assert far is not None
    far["people"][0]["parameters"][0]["value"] = 130.0
    bad = records["walk6"]
    assert bad is not None
    bad["people"][0]["checks"]["jumps"] |= {"status": "fail", "value": 20.0}
    bad["status"] = "checks failed"
    error = "/videos/walk7.mp4: no person is seen by Person3 in <walk7>"
    records["walk7"] = {"status": "failed", "error": error, "people": [], "key": {"all": "7"}}
    records["walk8"] = None
    return rows, records


def test_the_figures_are_those_of_the_trials(study: tuple[list[StudyRow], dict[str, Record | None]]) -> None:
    rows, records = study
    values = values_of(rows, records)
    (far,) = outliers(values)
    assert (far.value.row.trial, far.value.value, far.count) == ("walk5", 130.0, 36) and far.z > 3.5
    kept = [one for one in rows if one.trial not in ("walk4", "walk5")]
    (difference,) = sides(values_of(kept, records))
    assert (difference.count, difference.mean, difference.sd) == (16, pytest.approx(2.0), pytest.approx(0.0, abs=1e-9))
    (repeated,) = sessions(values_of(kept, records))
    expected = []
    for person in (0, 1, 4 + 1, 6, 7, 8, 9):
        first, second = (60 + ((n * 7) % 5 - 2) * 0.3 + n % 2 - 1 for n in (2 * person, 2 * person + 1))
        expected.append(first - second)
    assert repeated.count == 7, "people with two sessions that have results"
    assert (repeated.mean, repeated.sd) == (pytest.approx(np.mean(expected)), pytest.approx(np.std(expected, ddof=1)))
    assert repeated.limits[1] - repeated.limits[0] == pytest.approx(2 * 1.96 * repeated.sd)
    curves = group_curves(rows, records)["stride", "knee_flexion"]
    mean, sd, count = curves["old"]
    assert (count, mean[0]) == (9, pytest.approx(10.5 + 5 / 9))
    assert sd[0] == pytest.approx(np.std([0] * 4 + [1] * 5, ddof=1))


def test_the_page_tells_what_can_be_used_and_links_to_each_trial(
    study: tuple[list[StudyRow], dict[str, Record | None]], tmp_path: Path
) -> None:
    page = study_html(*study, tmp_path)
    assert "17 passed, 1 checks failed, 1 failed, 1 not done" in page
    assert "failed check: jumps" in page and "failed checks: jumps 20 deg" in page
    assert 'href="trials/walk5/walk5_report.html"' in page and page.count("_report.html") == 21
    assert "&lt;walk7&gt;" in page and "<walk7>" not in page
    assert page.index("130") < page.index("Parameters by group"), "outliers come first"
    assert not re.search(r"""(src|href)=["']?(https?:|//)""", page), "the page needs nothing from elsewhere"


def test_an_anonymous_page_names_nobody(study: tuple[list[StudyRow], dict[str, Record | None]], tmp_path: Path) -> None:
    (tmp_path / "trials" / "walk5").mkdir(parents=True)
    (tmp_path / "trials" / "walk5" / "picture.jpg").write_bytes(b"a face")
    assert "data:image/jpeg" in study_html(*study, tmp_path)
    write_study_report(tmp_path / "page.html", *study, anonymous=True)
    page = (tmp_path / "page.html").read_text()
    for word in ("walk", "Person", "/videos", "data:image", "trials/", tmp_path.name):
        assert word not in page, word
    assert "T06" in page and "P03" in page and "no person is seen" in page


def test_a_study_without_any_result_has_a_page(tmp_path: Path) -> None:
    page = study_html([row(0)], {"walk0": None}, tmp_path)
    assert "1 trials of 1 person" in page and "1 not done" in page and "No trial has cycles" in page


def test_a_thousand_trials_are_a_small_page(tmp_path: Path) -> None:
    rows = [row(number) for number in range(1000)]
    page = study_html(rows, {one.trial: record(number) for number, one in enumerate(rows)}, tmp_path)
    assert len(page) < 5e6 and page.count("<tr>") > 1000

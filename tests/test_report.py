"""The report: its page in a real browser, its twin as JSON, and the honesty of both."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from devtools import CHROMIUM, Page

from hsmr_bio.checks.check_motion import check_motion
from hsmr_bio.errors import ShapeError
from hsmr_bio.io.thumbnails import Thumbnails
from hsmr_bio.io.video import VideoFrame
from hsmr_bio.osim.library import bsm
from hsmr_bio.report import ReportFrame, ReportInputs, model_skeleton, report_html, report_json, write_report
from hsmr_bio.report.charts import chart_svg, charts_of
from hsmr_bio.report.pictures import pictures
from hsmr_bio.types import Camera, GroundFit, OsimMotion, SkelMotion, Subject

FRAMES = 90


@pytest.fixture(scope="module")
def inputs() -> ReportInputs:
    """Three seconds of knees that bend too far, hips within their range, with uncertainty and two pictures."""
    document = bsm()
    time = np.arange(FRAMES) / 30
    values = np.tile(document.default_si, (FRAMES, 1))
    names = tuple(document.coordinates)
    values[:, names.index("pelvis_tx")] = 1.1 * time
    for side, start in (("r", 0.0), ("l", np.pi)):
        values[:, names.index(f"hip_flexion_{side}")] = 0.4 * np.sin(6 * time + start)
        values[:, names.index(f"knee_angle_{side}")] = 0.5 + 0.6 * np.sin(6 * time + start)
    sd = np.full(values.shape, 0.05)
    motion = OsimMotion(time_s=time, coordinates=names, values_si=values, rotational=document.rotational, sd_si=sd)
    joints, joint_names, bones = model_skeleton(motion, document)
    pictures = []
    for frame in (10, 60):
        flat = np.stack([200 + 150 * joints[frame, :, 2], 380 - 200 * joints[frame, :, 1]], axis=1)
        pictures.append(ReportFrame(time_s=time[frame], rgb=np.full((400, 400, 3), 90, np.uint8), joints_px=flat))
    subject = Subject(
        name="test",
        body="open-neutral@test",
        betas=np.zeros(10),
        sex="neutral",
        mass_kg=70.0,
        stature_m=1.75,
        mass_source="--mass-kg",
        scale_factors={"femur_r": (1.0, 1.1, 1.0)},
        osim_xml=b"<none/>",
    )
    return ReportInputs(
        name="clip <1> & more",
        checks=check_motion(motion, document),
        motion=motion,
        ranges_si={name: c.range_si for name, c in document.coordinates.items()},
        joints_m=joints,
        joint_names=joint_names,
        bones=bones,
        subject=subject,
        frames=tuple(pictures),
        assumptions={"camera": "guess", "gravity": "camera is level", "stature_m": 1.75},
        timings_s={"estimate": 2.5},
        files=("clip.osim", "clip.mot"),
        remarks=("</script><script>alert(1)</script>",),
    )


class Tags(HTMLParser):
    """Counts elements by tag and class, and collects addresses."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.classes: list[str] = []
        self.addresses: list[str] = []
        self.scripts = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.scripts += tag == "script"
        self.classes += [f"{tag}.{name}" for name in (found.get("class") or "").split()]
        self.addresses += [found[key] or "" for key in ("src", "href") if key in found]


def test_the_page_needs_nothing_but_itself(inputs: ReportInputs) -> None:
    page = report_html(inputs)
    tags = Tags(page)
    assert all(address.startswith(("#", "data:")) for address in tags.addresses)
    assert "url(" not in page and "@import" not in page
    assert tags.scripts == 2, "data and script; text from outside must not become a script"
    assert "clip &lt;1&gt; &amp; more" in page


def test_the_verdict_comes_first_and_hides_nothing(inputs: ReportInputs) -> None:
    page = report_html(inputs)
    assert inputs.checks.status == "fail", "the knees of the fixture leave their range"
    main = page[page.index("<main>") :]
    assert main.index('class="verdict fail"') < main.index("<h2>")
    verdict = main[: main.index("</section>")]
    for check in inputs.checks.checks:
        if check.status in ("fail", "warn"):
            assert check.name in verdict
        assert f"{check.name}</td>" in page
    assert "knee_angle_r" in page[page.index('id="limits"') : page.index('id="scale"')]


def test_curves_carry_values_bands_and_limits(inputs: ReportInputs) -> None:
    charts = {chart.title: chart for chart in charts_of(inputs.motion, inputs.ranges_si)}
    knee = charts["knee angle"]
    assert [curve.side for curve in knee.curves] == ["r", "l"]
    np.testing.assert_allclose(knee.curves[0].values, np.degrees(inputs.motion.column("knee_angle_r")))
    np.testing.assert_allclose(knee.curves[0].sd, np.degrees(0.05))
    assert charts["pelvis tx"].unit == "m"
    count = Tags(report_html(inputs)).classes
    curves = len(inputs.motion.coordinates)
    assert count.count("polyline.curve") == curves
    assert count.count("polygon.band") == curves
    assert count.count("line.limit") > 4
    bare = replace(inputs, motion=replace(inputs.motion, sd_si=None))
    assert "polygon.band" not in Tags(report_html(bare)).classes


def test_curves_break_where_nobody_was_seen(inputs: ReportInputs) -> None:
    time = np.array(inputs.motion.time_s)
    time[40:] += 0.7
    chart = charts_of(inputs.motion, inputs.ranges_si)[0]
    drawn = chart_svg(chart, time)
    assert drawn.count("<polyline") == drawn.count("<polygon") == 2
    spans = [
        [float(pair.split(",")[0]) for pair in points.split()] for points in re.findall(r'<polyline[^>]*points="([^"]*)', drawn)
    ]
    assert spans[1][0] - spans[0][-1] > 30, "the picture shows the gap"
    assert sum(map(len, spans)) == len(time)


def test_the_skeleton_is_drawn_on_every_picture(inputs: ReportInputs) -> None:
    classes = Tags(report_html(inputs)).classes
    assert classes.count("figure.frame") == 2
    assert classes.count("line.bone") == 2 * len(inputs.bones)
    hidden = inputs.frames[0].joints_px.copy()
    hidden[inputs.bones[0][0]] = np.nan
    part = replace(inputs, frames=(replace(inputs.frames[0], joints_px=hidden),))
    assert 0 < Tags(report_html(part)).classes.count("line.bone") < len(inputs.bones)


def test_the_twin_says_the_same(inputs: ReportInputs, tmp_path: Path) -> None:
    write_report(tmp_path / "r.html", tmp_path / "r.json", inputs)
    twin = json.loads((tmp_path / "r.json").read_text())
    assert twin == json.loads(json.dumps(report_json(inputs)))
    assert twin["verdict"] == inputs.checks.status
    assert [check["name"] for check in twin["checks"]["checks"]] == [check.name for check in inputs.checks.checks]
    assert twin["coordinates"]["knee_angle_r"]["max_si"] == pytest.approx(1.1, abs=0.01)
    assert twin["subject"]["stature_m"] == 1.75
    assert twin["assumptions"]["camera"] == "guess"


def test_values_that_are_not_finite_do_not_break_the_twin(inputs: ReportInputs) -> None:
    odd = replace(inputs, timings_s={"fit": float("nan")}, assumptions={"x": np.float64("inf"), "y": np.arange(2)})
    assert json.dumps(report_json(odd), allow_nan=False)


def test_joints_must_fit_the_motion(inputs: ReportInputs) -> None:
    with pytest.raises(ShapeError, match="joints_m"):
        replace(inputs, joints_m=inputs.joints_m[:5])
    with pytest.raises(ShapeError, match=r"bone \(0, 99\)"):
        replace(inputs, bones=((0, 99),))


def test_an_unwritable_place_is_one_clear_line(inputs: ReportInputs, tmp_path: Path) -> None:
    (tmp_path / "no").write_text("a file where a folder is needed")
    with pytest.raises(OSError, match="no"):
        write_report(tmp_path / "no" / "r.html", tmp_path / "no" / "r.json", inputs)


def test_the_skeleton_of_a_model_has_ends(inputs: ReportInputs) -> None:
    names = inputs.joint_names
    assert {"head_end", "toes_r_end", "hand_l_end"} <= set(names)
    head = inputs.joints_m[:, names.index("head_end")] - inputs.joints_m[:, names.index("head")]
    assert np.all(head[:, 1] > 0.03), "the head ends above the neck"
    assert len(inputs.bones) == len(names) - 1, "one tree"


needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium or Chrome on this machine")


@needs_browser
def test_a_real_browser_runs_the_page_without_an_error(inputs: ReportInputs, tmp_path: Path) -> None:
    page = tmp_path / "clip_report.html"
    write_report(page, tmp_path / "clip_report.json", inputs)
    with Page(page.as_uri(), tmp_path / "profile") as seen:
        assert seen.evaluate("document.documentElement.dataset.ready") == str(FRAMES), "the script came to its end"
        first = seen.evaluate("document.querySelector('.cursor').getAttribute('x1')")
        seen.wait_for("parseFloat(document.getElementById('clock').textContent) > 0.3")  # the skeleton moves
        assert float(seen.evaluate("document.querySelector('.cursor').getAttribute('x1')")) != float(first), "so do the cursors"
        seen.evaluate("document.getElementById('play').click()")
        assert seen.evaluate("document.getElementById('play').textContent") == "play", "it can be stopped"
        seen.evaluate(
            "(() => { const t = document.getElementById('time'); t.value = 60; t.dispatchEvent(new Event('input')); })()"
        )
        assert seen.evaluate("document.getElementById('clock').textContent") == "2.00 s", "and moved by hand"
        assert seen.errors == []


@needs_browser
def test_a_real_browser_draws_the_skeleton(inputs: ReportInputs, tmp_path: Path) -> None:
    from PIL import Image

    page = tmp_path / "clip_report.html"
    write_report(page, tmp_path / "clip_report.json", replace(inputs, frames=(), remarks=()))
    shot = tmp_path / "shot.png"
    with Page(page.as_uri(), tmp_path / "profile") as seen:
        seen.wait_for("parseFloat(document.getElementById('clock').textContent) > 0")
        seen.screenshot(shot)
    picture = np.asarray(Image.open(shot).convert("RGB")).astype(int)
    red = (picture[..., 0] > 180) & (picture[..., 1] < 90) & (picture[..., 2] < 70)
    blue = (picture[..., 2] > 160) & (picture[..., 0] < 60) & (picture[..., 1] < 125)
    assert red.sum() > 500 and blue.sum() > 500, "right limbs in red, left ones in blue"


@needs_browser
def test_the_browser_test_sees_script_errors(inputs: ReportInputs, tmp_path: Path) -> None:
    """The guard itself: a page whose script fails must be noticed."""
    page = tmp_path / "broken.html"
    page.write_text(report_html(inputs).replace('"use strict";', '"use strict"; nothing.here();'))
    with Page(page.as_uri(), tmp_path / "profile") as seen:
        assert seen.evaluate("document.documentElement.dataset.ready") is None
        assert any("ReferenceError" in error for error in seen.errors), seen.errors


def test_joints_are_drawn_where_the_camera_saw_them_and_only_in_frames_of_the_motion(
    still: SkelMotion, ground_fit: GroundFit
) -> None:
    camera = Camera(image_size_px=(640, 480), focal_px=500.0, center_px=(320.0, 240.0), source="calibration")
    seen = replace(still, camera=camera, ground=ground_fit)
    time_s, thumbnails = np.asarray(still.time_s), Thumbnails(None)
    for index, at_s in enumerate((-0.5, 0.25, 0.9)):
        thumbnails.update(VideoFrame(index, at_s, np.full((240, 320, 3), 90, np.uint8), (2.0, 2.0)))
    joints_m = np.stack([time_s, np.full(30, 1.0), np.zeros(30)], axis=1)[:, None]  # moves to the right at 1 m/s
    every = thumbnails.of(np.array([-0.5, 0.25, 0.9]))
    assert len(every) == 3
    (picture,) = pictures(every, seen, time_s, joints_m)
    assert picture.time_s == 0.25 and picture.rgb.shape == (240, 320, 3)
    np.testing.assert_allclose(picture.joints_px, [[(320 + 500 * 0.25 / 4) / 2, 120]])
    assert pictures(every, still, time_s, joints_m) == (), "nobody knows where the camera stood"

"""Compose and write the report. The page is self-contained: no network, no other file."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from os import PathLike
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from hsmr_bio.dynamics.results import summary
from hsmr_bio.io.atomic import new_file
from hsmr_bio.io.thumbnails import small_jpeg
from hsmr_bio.types import FloatArray

from .charts import BAND_SD, LEFT, RIGHT, WIDTH, charts_of, figures
from .dynamics import dynamics_section
from .findings import findings_json, findings_section
from .inputs import ReportFrame, ReportInputs, side_of
from .tables import checks_table, facts, limits_table, scale_table, verdict

_PICTURE_PX = 560
"""Longer side of a picture."""
_JPEG_QUALITY = 82
"""In percent."""
_CLOSE_UP = 1.35
"""Side of the part of a picture that is shown, in lengths of the skeleton in it."""
_MIN_CLOSE_UP_PX, _MIN_PART_PX = 40.0, 20
"""Smallest side of that part; below the second, after cutting at the border, the whole picture is shown."""
_LINE_SHARE, _JOINT_RADIUS = 110, 0.8
"""Longer side of a picture / width of a bone; radius of a joint / width of a bone."""
_ANIMATION_FRAMES = 1200
"""Most frames of the animation: 7.2 kB per joint."""
_FLOOR_PERCENTILE = 5
"""Of the lowest joint's height over the frames: the level of the floor."""
_FLOOR_RANGE_M = (-0.1, 0.2)
"""Levels inside are the floor at y = 0: joint centres lie above the soles."""
_INT16_MAX = 32767
"""Largest coordinate of the animation in mm."""
FORMAT = "hsmr_bio report 1"
_SUBJECT = ("name", "body", "betas", "sex", "mass_kg", "mass_source", "stature_m", "model", "scale_factors")
"""Fields of the subject in the JSON twin."""
_Json = Any
"""A JSON value."""


def write_report(path_html: str | PathLike[str], path_json: str | PathLike[str], inputs: ReportInputs) -> None:
    """Write the page and its machine-readable twin.

    Args:
        path_html: ``*_report.html``; replaced if it exists.
        path_json: ``*_report.json``; replaced if it exists.
        inputs: content of the report.
    """
    page = report_html(inputs)
    twin = json.dumps(report_json(inputs), indent=1, allow_nan=False) + "\n"
    for path, text in ((Path(path_html), page), (Path(path_json), twin)):
        with new_file(path) as part:
            part.write_text(text, encoding="utf-8", errors="backslashreplace")


def report_json(inputs: ReportInputs) -> dict[str, Any]:
    """Give the content of the page as JSON values: checks, limits, subject, assumptions, statistics per coordinate.

    Angles are in radians and lengths in metres.
    """
    motion, subject = inputs.motion, inputs.subject
    coordinates = {}
    for column, name in enumerate(motion.coordinates):
        values = motion.values_si[:, column]
        coordinates[name] = {
            "rotational": bool(motion.rotational[column]),
            "min_si": float(values.min()),
            "max_si": float(values.max()),
            "mean_si": float(values.mean()),
            "sd_of_estimate_si": None if motion.sd_si is None else float(motion.sd_si[:, column].mean()),
            "range_si": list(inputs.ranges_si[name]) if name in inputs.ranges_si else None,
        }
    return {
        "format": FORMAT,
        "name": inputs.name,
        "verdict": inputs.checks.status,
        "checks": _plain(inputs.checks.to_json()),
        "time_s": [float(motion.time_s[0]), float(motion.time_s[-1])],
        "frames": len(motion.time_s),
        "coordinates": coordinates,
        "subject": None if subject is None else _plain({name: getattr(subject, name) for name in _SUBJECT}),
        "dynamics": None if inputs.dynamics is None else _plain(summary(inputs.dynamics)),
        "findings": None if inputs.analysis is None else _plain(findings_json(inputs.analysis)),
        "assumptions": _plain(dict(inputs.assumptions)),
        "remarks": list(inputs.remarks),
        "timings_s": _plain(dict(inputs.timings_s)),
        "files": list(inputs.files),
    }


def report_html(inputs: ReportInputs) -> str:
    """Give the page as text; see :func:`write_report`."""
    template = files("hsmr_bio.report") / "templates"

    def part(name: str) -> str:
        return (template / name).read_text(encoding="utf-8")

    motion = inputs.motion
    charts = figures(charts_of(motion, inputs.ranges_si), motion.time_s)
    span = f"{motion.time_s[0]:.2f} to {motion.time_s[-1]:.2f} s, {len(motion.time_s)} frames"
    return Template(part("report.html")).substitute(
        title=escape(inputs.name),
        style=part("report.css"),
        script=part("report.js"),
        data=_script_safe(json.dumps(_animation(inputs), allow_nan=False)),
        span=escape(span),
        verdict=verdict(inputs.checks),
        remarks="".join(f"<p class=remark>{escape(remark)}</p>" for remark in inputs.remarks),
        findings="" if inputs.analysis is None else findings_section(inputs.analysis),
        assumptions=facts(inputs.assumptions),
        frames=_frames_html(inputs),
        charts=charts,
        bands=_bands_note(inputs),
        dynamics="" if inputs.dynamics is None else dynamics_section(inputs.dynamics),
        limits=limits_table(inputs.checks.limits),
        scale=scale_table(inputs.subject),
        checks=checks_table(inputs.checks),
        timings=facts({name: f"{value:.2f} s" for name, value in inputs.timings_s.items()}),
        files="".join(f"<li><code>{escape(name)}</code></li>" for name in inputs.files),
    )


def _bands_note(inputs: ReportInputs) -> str:
    if inputs.motion.sd_si is None:
        return "The fit gave no uncertainty for these curves."
    return (
        f"Bands are ± {BAND_SD:g} standard deviations of the fit. On videos with a reference, about 85 % of the errors of "
        "hips, knees and elbows were inside."
    )


def _frames_html(inputs: ReportInputs) -> str:
    if not inputs.frames:
        return "<p>No pictures: this motion was not made from a video, or its pictures were not kept.</p>"
    return "".join(_frame_html(inputs, frame) for frame in inputs.frames)


def _around_person(frame: ReportFrame) -> ReportFrame:
    """Cut out the part of the picture around the skeleton, if the person is small in it."""
    height, width = frame.rgb.shape[:2]
    shown = frame.joints_px[np.isfinite(frame.joints_px).all(axis=1)]
    if len(shown) == 0:
        return frame
    low, high = shown.min(axis=0), shown.max(axis=0)
    half = max(_CLOSE_UP * float((high - low).max()), _MIN_CLOSE_UP_PX) / 2
    x0, y0 = np.maximum(np.floor((low + high) / 2 - half), 0).astype(int)
    x1, y1 = np.minimum(np.ceil((low + high) / 2 + half), (width, height)).astype(int)
    if x1 - x0 < _MIN_PART_PX or y1 - y0 < _MIN_PART_PX:
        return frame
    part = np.ascontiguousarray(frame.rgb[y0:y1, x0:x1])
    return ReportFrame(time_s=frame.time_s, rgb=part, joints_px=np.asarray(frame.joints_px - (x0, y0)))


def _frame_html(inputs: ReportInputs, frame: ReportFrame) -> str:
    frame = _around_person(frame)
    height, width = frame.rgb.shape[:2]
    thick = max(width, height) / _LINE_SHARE
    lines = []
    for first, second in inputs.bones:
        ends = np.asarray(frame.joints_px)[[first, second]]
        if np.isfinite(ends).all():
            side = _side(inputs.joint_names, first, second)
            line = 'x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"'.format(*ends.ravel())
            lines.append(f'<line class="bone {side}" {line} stroke-width="{thick:.1f}"/>')
    for point in np.asarray(frame.joints_px):
        if np.isfinite(point).all():
            lines.append(f'<circle class=joint cx="{point[0]:.1f}" cy="{point[1]:.1f}" r="{thick * _JOINT_RADIUS:.1f}"/>')
    skeleton = f'<svg class=overlay viewBox="0 0 {width} {height}">{"".join(lines)}</svg>'
    picture = f'<img alt="frame at {frame.time_s:.2f} s" src="data:image/jpeg;base64,{_jpeg(frame)}">'
    return f"<figure class=frame><div>{picture}{skeleton}</div><figcaption>{frame.time_s:.2f} s</figcaption></figure>"


def _jpeg(frame: ReportFrame) -> str:
    code, _ = small_jpeg(frame.rgb, _PICTURE_PX, _JPEG_QUALITY)
    return base64.b64encode(code).decode()


def _animation(inputs: ReportInputs) -> dict[str, Any]:
    """Data of the page's script: positions in mm as 16-bit integers, times, bones with sides, position of the plot area."""
    time_s = inputs.motion.time_s
    pick = np.unique(np.linspace(0, len(time_s) - 1, min(len(time_s), _ANIMATION_FRAMES)).round().astype(int))
    floor_m = float(np.percentile(inputs.joints_m[..., 1].min(axis=1), _FLOOR_PERCENTILE))
    return {
        "times": [round(float(t), 4) for t in time_s[pick]],
        "joints": len(inputs.joint_names),
        "positions": _int16(inputs.joints_m[pick] * 1000),
        "bones": [[a, b, _side(inputs.joint_names, a, b)] for a, b in inputs.bones],
        "floor": 0.0 if _FLOOR_RANGE_M[0] < floor_m < _FLOOR_RANGE_M[1] else round(floor_m, 3),
        "plot": [LEFT, WIDTH - RIGHT],
    }


def _int16(values: FloatArray) -> str:
    return base64.b64encode(np.clip(np.round(values), -_INT16_MAX, _INT16_MAX).astype("<i2").tobytes()).decode()


def _side(names: tuple[str, ...], first: int, second: int) -> str:
    sides = {side_of(names[first]), side_of(names[second])} - {"c"}
    return sides.pop() if len(sides) == 1 else "c"


def _script_safe(text: str) -> str:
    return text.replace("<", "\\u003c")


def _plain(value: object) -> _Json:
    """Convert to JSON values: numpy scalars become numbers, arrays lists, numbers that are not finite None."""
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value if isinstance(value, (str, int, bool)) or value is None else str(value)

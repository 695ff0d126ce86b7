"""Curves over time as SVG: values, uncertainty, limits; both sides in one chart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import product

import numpy as np

from hsmr_bio.checks.measures import gaps
from hsmr_bio.types import FloatArray, OsimMotion

from .inputs import side_of

WIDTH, HEIGHT = 380, 190
"""Size of a chart in SVG units."""
LEFT, RIGHT, TOP, BOTTOM = 44, 8, 10, 24
"""Margins around the plot area in SVG units."""
MAX_POINTS = 600
"""Points of a curve: more than the chart has pixels."""
BAND_SD = 2.0
"""Half width of the bands in standard deviations: about 95 % of a normal distribution."""
_MIN_SPAN_S = 1e-3
"""Time axis of a single frame."""
_MIN_SPAN_DEG, _MIN_SPAN_OTHER = 10.0, 0.1
"""Smallest range of the value axis, in degrees and in other units: noise of a resting joint does not fill the chart."""
_LIMIT_SHARE = 0.35
"""Limits closer to the curves than this share of the range are shown."""
_MARGIN_SHARE = 0.06
"""Space above and below the curves, as a share of the range."""
_VALUE_TICKS, _TIME_TICKS = 4, 5
"""Intervals between ticks to aim for."""
_TICK_STEPS = (1, 2, 2.5, 5, 10)
"""Round steps, times a power of ten."""
_STEP_SLACK = 0.999
"""Factor that allows for rounding in the choice of a step."""

_Axis = Callable[[FloatArray | float], FloatArray]
"""Values or times -> SVG coordinates."""


@dataclass(frozen=True, eq=False)
class Curve:
    """One coordinate, in the unit of its chart."""

    name: str
    side: str
    values: FloatArray
    sd: FloatArray | None
    limits: tuple[float, float] | None


@dataclass(frozen=True, eq=False)
class Chart:
    """One coordinate, or the same coordinate of both sides."""

    title: str
    unit: str
    curves: tuple[Curve, ...]


def charts_of(motion: OsimMotion, ranges_si: Mapping[str, tuple[float, float]]) -> list[Chart]:
    """Make one chart per coordinate, with both sides of a pair, in the order of the motion.

    Args:
        motion: T frames of N coordinates.
        ranges_si: limits of the coordinates, rad or m.

    Returns:
        The charts, in degrees and metres.
    """
    charts: dict[str, tuple[str, list[Curve]]] = {}
    for column, name in enumerate(motion.coordinates):
        rotational = bool(motion.rotational[column])
        factor = 180 / np.pi if rotational else 1.0
        side = side_of(name)
        title = name[:-2] if name.endswith(("_r", "_l")) else name.replace(f"_{side}_", "_")
        limits = ranges_si.get(name)
        curve = Curve(
            name=name,
            side=side,
            values=np.asarray(motion.values_si[:, column] * factor),
            sd=None if motion.sd_si is None else np.asarray(motion.sd_si[:, column] * factor),
            limits=None if limits is None else (limits[0] * factor, limits[1] * factor),
        )
        charts.setdefault(title.replace("_", " "), ("°" if rotational else "m", []))[1].append(curve)
    return [Chart(title, unit, tuple(curves)) for title, (unit, curves) in charts.items()]


def chart_svg(chart: Chart, time_s: FloatArray, unit: str = "s") -> str:
    """Draw a chart as an SVG element; the page styles its classes, and its script moves ``cursor``.

    Args:
        chart: curves with T values.
        time_s: (T,), or percent of a cycle.
        unit: of the horizontal axis, ``s`` or ``%``; only over time is there a cursor.

    Returns:
        The element.
    """
    stretches = _stretches(time_s)
    low, high = _span(chart)
    t0, t1 = float(time_s[0]), float(max(time_s[-1], time_s[0] + _MIN_SPAN_S))

    def x(t: FloatArray | float) -> FloatArray:
        return np.asarray(LEFT + (np.asarray(t) - t0) / (t1 - t0) * (WIDTH - LEFT - RIGHT))

    def y(v: FloatArray | float) -> FloatArray:
        return np.asarray(TOP + (high - np.asarray(v)) / (high - low) * (HEIGHT - TOP - BOTTOM))

    label = f"{escape(chart.title)} over {'time' if unit == 's' else 'the cycle'}"
    parts = [f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">']
    parts += _axes(x, y, (t0, t1), (low, high), (unit, chart.unit))
    for curve in chart.curves:
        parts += _limit_lines(curve, y, low, high)
    for curve, pick in product(chart.curves, stretches):
        if curve.sd is not None:
            top = curve.values[pick] + BAND_SD * curve.sd[pick]
            bottom = curve.values[pick] - BAND_SD * curve.sd[pick]
            outline = _points(np.concatenate([x(time_s[pick]), x(time_s[pick])[::-1]]), y(np.concatenate([top, bottom[::-1]])))
            parts.append(f'<polygon class="band {curve.side}" points="{outline}"/>')
    for curve, pick in product(chart.curves, stretches):
        line = _points(x(time_s[pick]), y(curve.values[pick]))
        label = f"{curve.name}: {curve.values.min():.3g} to {curve.values.max():.3g} {chart.unit}"
        parts.append(f'<polyline class="curve {curve.side}" points="{line}"><title>{escape(label)}</title></polyline>')
    if unit == "s":
        parts.append(f'<line class="cursor" x1="{LEFT}" x2="{LEFT}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
    return "".join([*parts, "</svg>"])


def figures(charts: Sequence[Chart], time_s: FloatArray, unit: str = "s") -> str:
    """Draw charts as HTML figures with their titles.

    Args:
        charts: curves with T values.
        time_s: (T,), or percent of a cycle.
        unit: of the horizontal axis, ``s`` or ``%``.

    Returns:
        The figures as HTML.
    """
    return "".join(
        f"<figure class=plot><figcaption>{escape(chart.title)}</figcaption>{chart_svg(chart, time_s, unit)}</figure>"
        for chart in charts
    )


def _stretches(time_s: FloatArray) -> list[FloatArray]:
    """Frames to draw, in parts without a gap: no line is drawn where the person is not seen."""
    frames = len(time_s)
    pick = np.unique(np.linspace(0, frames - 1, min(frames, MAX_POINTS)).round().astype(int))
    after = np.flatnonzero(gaps(time_s)) + 1
    return [part for part in np.split(pick, np.searchsorted(pick, after)) if len(part)]


def _span(chart: Chart) -> tuple[float, float]:
    """Value range of the curves with their bands, and of limits near them."""
    lows, highs = [], []
    for curve in chart.curves:
        band = 0.0 if curve.sd is None else BAND_SD * curve.sd
        lows.append(float(np.min(curve.values - band)))
        highs.append(float(np.max(curve.values + band)))
    low, high = min(lows), max(highs)
    least = _MIN_SPAN_DEG if chart.unit == "°" else _MIN_SPAN_OTHER
    if high - low < least:
        low, high = (low + high - least) / 2, (low + high + least) / 2
    near = _LIMIT_SHARE * (high - low)
    for curve in chart.curves:
        for limit in curve.limits or ():
            if low - near < limit < low:
                low = limit
            if high < limit < high + near:
                high = limit
    margin = _MARGIN_SHARE * (high - low)
    return low - margin, high + margin


def _ticks(low: float, high: float, intervals: int) -> list[float]:
    """Round values in a range, about ``intervals`` + 1 of them."""
    raw = (high - low) / intervals
    base = 10 ** np.floor(np.log10(raw))
    step = next(base * m for m in _TICK_STEPS if base * m >= raw * _STEP_SLACK)
    return [round(float(v), 9) + 0.0 for v in np.arange(np.ceil(low / step), np.floor(high / step) + 0.5) * step]


def _axes(x: _Axis, y: _Axis, times: tuple[float, float], values: tuple[float, float], units: tuple[str, str]) -> list[str]:
    """Grid lines and tick labels; units of the horizontal and the vertical axis."""
    parts = []
    for value in _ticks(*values, _VALUE_TICKS):
        height = float(y(value))
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{height:.1f}" y2="{height:.1f}"/>')
        text = f"{value:g}{units[1] if units[1] == '°' else f' {units[1]}'}"
        parts.append(f'<text class="tick" x="{LEFT - 5}" y="{height + 3.5:.1f}" text-anchor="end">{text}</text>')
    for time in _ticks(*times, _TIME_TICKS):
        parts.append(
            f'<text class="tick" x="{float(x(time)):.1f}" y="{HEIGHT - 8}" text-anchor="middle">{time:g} {units[0]}</text>'
        )
    return parts


def _limit_lines(curve: Curve, y: _Axis, low: float, high: float) -> list[str]:
    """Lines at the limits, and areas beyond them."""
    if curve.limits is None:
        return []
    parts = []
    for limit, edge in zip(curve.limits, (low, high), strict=True):
        if low < limit < high:
            top, bottom = sorted((float(y(limit)), float(y(edge))))
            parts.append(
                f'<rect class="beyond" x="{LEFT}" width="{WIDTH - LEFT - RIGHT}" y="{top:.1f}" height="{bottom - top:.1f}"/>'
            )
            line = float(y(limit))
            parts.append(f'<line class="limit {curve.side}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{line:.1f}" y2="{line:.1f}"/>')
    return parts


def _points(xs: Sequence[float] | FloatArray, ys: Sequence[float] | FloatArray) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(xs, ys, strict=True))

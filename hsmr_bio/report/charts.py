"""Curves over time as SVG: angle, uncertainty, limits; right and left in one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import product

import numpy as np

from hsmr_bio.checks.measures import gaps
from hsmr_bio.types import FloatArray, OsimMotion

from .inputs import side_of

WIDTH, HEIGHT = 380, 190
LEFT, RIGHT, TOP, BOTTOM = 44, 8, 10, 24
MOST_POINTS = 600
BAND_SD = 2.0
"""Half width of the bands in standard deviations: about 95 % of a normal distribution."""


@dataclass(frozen=True, eq=False)
class Curve:
    """One coordinate in the unit that is shown."""

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
    """One chart per coordinate, both sides of a pair together, in the order of the motion; degrees and metres."""
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


def chart_svg(chart: Chart, time_s: FloatArray) -> str:
    """The chart as an SVG element; the class names are styled by the page, ``cursor`` is moved by its script."""
    stretches = _stretches(time_s)
    low, high = _span(chart)
    t0, t1 = float(time_s[0]), float(max(time_s[-1], time_s[0] + 1e-3))

    def x(t: FloatArray | float) -> FloatArray:
        return np.asarray(LEFT + (np.asarray(t) - t0) / (t1 - t0) * (WIDTH - LEFT - RIGHT))

    def y(v: FloatArray | float) -> FloatArray:
        return np.asarray(TOP + (high - np.asarray(v)) / (high - low) * (HEIGHT - TOP - BOTTOM))

    parts = [f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(chart.title)} over time">']
    parts += _axes(x, y, (t0, t1), (low, high), chart.unit)
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
    parts.append(f'<line class="cursor" x1="{LEFT}" x2="{LEFT}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/></svg>')
    return "".join(parts)


def _stretches(time_s: FloatArray) -> list[FloatArray]:
    """Frames to draw, cut where nobody was seen: a line across a gap would be an invention."""
    frames = len(time_s)
    pick = np.unique(np.linspace(0, frames - 1, min(frames, MOST_POINTS)).round().astype(int))
    after = np.flatnonzero(gaps(time_s)) + 1
    return [part for part in np.split(pick, np.searchsorted(pick, after)) if len(part)]


def _span(chart: Chart) -> tuple[float, float]:
    """Value range: the data with bands, and the limits where they are near."""
    lows, highs = [], []
    for curve in chart.curves:
        band = 0.0 if curve.sd is None else BAND_SD * curve.sd
        lows.append(float(np.min(curve.values - band)))
        highs.append(float(np.max(curve.values + band)))
    low, high = min(lows), max(highs)
    least = 10.0 if chart.unit == "°" else 0.1
    if high - low < least:
        low, high = (low + high - least) / 2, (low + high + least) / 2
    reach = 0.35 * (high - low)
    for curve in chart.curves:
        for limit in curve.limits or ():
            if low - reach < limit < low:
                low = limit
            if high < limit < high + reach:
                high = limit
    margin = 0.06 * (high - low)
    return low - margin, high + margin


def _ticks(low: float, high: float, wanted: int) -> list[float]:
    raw = (high - low) / wanted
    base = 10 ** np.floor(np.log10(raw))
    step = next(base * m for m in (1, 2, 2.5, 5, 10) if base * m >= raw * 0.999)
    return [round(float(v), 9) + 0.0 for v in np.arange(np.ceil(low / step), np.floor(high / step) + 0.5) * step]


def _axes(x, y, times: tuple[float, float], values: tuple[float, float], unit: str) -> list[str]:  # type: ignore[no-untyped-def]
    parts = []
    for value in _ticks(*values, 4):
        height = float(y(value))
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{height:.1f}" y2="{height:.1f}"/>')
        text = f"{value:g}{unit if unit == '°' else f' {unit}'}"
        parts.append(f'<text class="tick" x="{LEFT - 5}" y="{height + 3.5:.1f}" text-anchor="end">{text}</text>')
    for time in _ticks(*times, 5):
        parts.append(f'<text class="tick" x="{float(x(time)):.1f}" y="{HEIGHT - 8}" text-anchor="middle">{time:g} s</text>')
    return parts


def _limit_lines(curve: Curve, y, low: float, high: float) -> list[str]:  # type: ignore[no-untyped-def]
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

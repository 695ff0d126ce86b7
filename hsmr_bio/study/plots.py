"""Plots of a study as SVG: values by group and session, mean curves of groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape

import numpy as np

from ..arrays import FloatArray

WIDTH, CURVE_HEIGHT = 380, 190
"""Size of a chart in SVG units."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 112, 10, 8, 24
_ROW = 30
"""Height of a group's row."""
_MOST_POINTS = 250
"""Points drawn for a group and side; more are thinned by rank, so that the range stays."""
_GROUPS = 6
"""Colours of groups; further groups begin again."""
_INTERVALS = 4
_STEPS = (1, 2, 2.5, 5, 10)
_Axis = Callable[[float], float]


def strips(title: str, unit: str, rows: Mapping[str, Sequence[tuple[str, float]]]) -> str:
    """Draw the values of a parameter: a row for each group, right above left, with median and quartiles.

    Args:
        title: of the parameter.
        unit: of its values.
        rows: label of a group -> side and value of each trial.

    Returns:
        A figure as HTML.
    """
    numbers = np.array([value for points in rows.values() for _, value in points])
    low, high = _span(numbers)
    height = _TOP + _ROW * len(rows) + _BOTTOM

    def x(value: float) -> float:
        return float(_LEFT + (value - low) / (high - low) * (WIDTH - _LEFT - _RIGHT))

    parts = [_vertical_grid(x, low, high, height)]
    for number, (label, points) in enumerate(rows.items()):
        middle = _TOP + _ROW * (number + 0.5)
        text = escape(_short(label))
        parts.append(f'<text class=tick x="{_LEFT - 6}" y="{middle + 4:.0f}" text-anchor=end>{text}</text>')
        parts.append(_box(x, middle, np.array([value for _, value in points])))
        for side, shift in (("r", -6), ("l", 6), ("", 0)):
            drawn = _thinned(sorted(value for one, value in points if one == side))
            circles = "".join(f'<circle cx="{x(v):.1f}" cy="{middle + shift:.0f}" r="2"/>' for v in drawn)
            parts.append(f'<g class="dot {side or "c"}">{circles}</g>' if circles else "")
    return _figure(f"{title}, {unit}" if unit else title, height, parts)


def _box(x: _Axis, middle: float, values: FloatArray) -> str:
    """Median and quartiles behind the points."""
    first, median, third = (x(float(value)) for value in np.percentile(values, (25, 50, 75)))
    box = f'<rect class=box x="{first:.1f}" y="{middle - 11:.0f}" width="{max(third - first, 0.5):.1f}" height="22"/>'
    return f'{box}<line class=median x1="{median:.1f}" x2="{median:.1f}" y1="{middle - 11:.0f}" y2="{middle + 11:.0f}"/>'


def curves(title: str, groups: Mapping[str, tuple[FloatArray, FloatArray, int]], order: Sequence[str]) -> str:
    """Draw mean curves over a cycle with bands of one standard deviation over the trials.

    Args:
        title: of the angle.
        groups: group -> (P,) mean, (P,) standard deviation, number of trials.
        order: of all groups, which gives them their colours.

    Returns:
        A figure as HTML.
    """
    low, high = _span(np.concatenate([np.concatenate([mean - sd, mean + sd]) for mean, sd, _ in groups.values()]))

    def y(value: float) -> float:
        return float(_TOP + (high - value) / (high - low) * (CURVE_HEIGHT - _TOP - _BOTTOM))

    left = _LEFT // 2

    def x(percent: float) -> float:
        return left + percent / 100 * (WIDTH - left - _RIGHT)

    parts = [
        f'<line class=grid x1="{left}" x2="{WIDTH - _RIGHT}" y1="{y(v):.1f}" y2="{y(v):.1f}"/>'
        f'<text class=tick x="{left - 5}" y="{y(v) + 4:.1f}" text-anchor=end>{v:g}°</text>'
        for v in _ticks(low, high)
    ]
    parts += [
        f'<text class=tick x="{x(p):.0f}" y="{CURVE_HEIGHT - 8}" text-anchor=middle>{p} %</text>' for p in (0, 25, 50, 75, 100)
    ]
    for group, (mean, sd, count) in groups.items():
        at = [x(p) for p in np.linspace(0, 100, len(mean))]
        colour = f"g{order.index(group) % _GROUPS}"
        outline = [*zip(at, mean + sd, strict=True), *zip(at[::-1], (mean - sd)[::-1], strict=True)]
        parts.append(f'<polygon class="spread {colour}" points="{_points(outline, y)}"/>')
        label = escape(f"{group or 'all'}: {count} trials")
        line = _points(list(zip(at, mean, strict=True)), y)
        parts.append(f'<polyline class="mean {colour}" points="{line}"><title>{label}</title></polyline>')
    return _figure(title, CURVE_HEIGHT, parts)


def legend(order: Sequence[str]) -> str:
    """Name the colours of the groups.

    Args:
        order: of the groups.

    Returns:
        HTML.
    """
    return "".join(
        f'<span class="key g{number % _GROUPS}">{escape(group or "all")}</span>' for number, group in enumerate(order)
    )


def _points(points: Sequence[tuple[float, float]], y: _Axis) -> str:
    return " ".join(f"{a:.1f},{y(float(b)):.1f}" for a, b in points)


def _vertical_grid(x: _Axis, low: float, high: float, height: int) -> str:
    lines = []
    for value in _ticks(low, high):
        at = x(value)
        lines.append(f'<line class=grid x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{height - _BOTTOM}"/>')
        lines.append(f'<text class=tick x="{at:.1f}" y="{height - 8}" text-anchor=middle>{value:g}</text>')
    return "".join(lines)


def _figure(title: str, height: int, parts: Sequence[str]) -> str:
    caption = escape(title.replace("_", " "))
    svg = f'<svg class=chart viewBox="0 0 {WIDTH} {height}" role=img aria-label="{caption}">{"".join(parts)}</svg>'
    return f"<figure class=plot><figcaption>{caption}</figcaption>{svg}</figure>"


def _span(values: FloatArray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    margin = max(0.05 * (high - low), 0.01 * abs(high), 1e-6)
    return low - margin, high + margin


def _ticks(low: float, high: float) -> list[float]:
    """Round values in a range."""
    raw = (high - low) / _INTERVALS
    base = 10 ** np.floor(np.log10(raw))
    step = next(base * factor for factor in _STEPS if base * factor >= 0.999 * raw)
    return [round(float(v), 9) + 0.0 for v in np.arange(np.ceil(low / step), np.floor(high / step) + 0.5) * step]


def _thinned(values: Sequence[float]) -> Sequence[float]:
    if len(values) <= _MOST_POINTS:
        return values
    return [values[k] for k in np.linspace(0, len(values) - 1, _MOST_POINTS).round().astype(int)]


def _short(label: str) -> str:
    return label if len(label) <= 18 else f"{label[:17]}…"

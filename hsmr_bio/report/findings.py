"""Section of the report on findings: what was recognised, parameters of both sides, mean cycles."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np

from hsmr_bio.analysis import Analysis, Cycles, Parameter

from .charts import BAND_SD, Chart, Curve, figures
from .tables import table

SHOWN = {
    "gait": (
        *("speed", "cadence", "stride_length", "stride_time", "step_length", "step_time", "step_width", "stance"),
        *("double_support", "symmetry_step_length", "symmetry_step_time", "knee_flexion_max", "hip_flexion_range"),
        *("ankle_dorsiflexion_stance_peak", "trunk_lean_forward_mean", "trunk_lean_side_range"),
    ),
    "squat": (
        *("squats", "hip_drop", "hip_drop_of_leg", "down_time", "up_time", "peak_up_speed", "knee_flexion_at_bottom"),
        *("hip_flexion_at_bottom", "ankle_dorsiflexion_at_bottom", "thigh_angle_at_bottom", "trunk_lean_at_bottom"),
        *("knee_medial_distance", "knee_ankle_separation", "pelvis_shift", "heel_lift"),
    ),
    "sit-to-stand": (
        *("rises", "failed_rises", "rise_time", "lower_time", "peak_up_speed", "trunk_lean_peak", "trunk_lean_at_seat_off"),
        *("arms_used", "five_stands_to_stand", "five_stands_to_seat"),
    ),
    "jump": (
        *("flight_time", "jump_height_flight", "jump_height_com", "countermovement_depth", "contact_time"),
        *("reactive_strength", "knee_flexion_at_landing", "knee_flexion_after_landing", "trunk_lean_after_landing"),
    ),
    "none": ("hip_flexion_range", "knee_flexion_range", "ankle_dorsiflexion_range", "elbow_flexion_range"),
}
"""Task -> parameters of the table; ``hsmr-bio analyse`` lists all of them."""
_CHARTED = ("hip_flexion", "knee_flexion", "ankle_dorsiflexion", "hip_adduction", "pelvis_tilt", "pelvis_list")
"""Angles whose mean cycles are drawn, if they move."""
_MOVES_DEG = 2.0


def findings_section(analysis: Analysis) -> str:
    """Give the section as HTML: what was recognised and why, a table of parameters, charts of the mean cycles."""
    notes = "".join(f"<li>{escape(note)}</li>" for note in analysis.notes)
    text = f"<p>{escape(analysis.task.capitalize())}: {escape(analysis.why)}.</p>" + (f"<ul>{notes}</ul>" if notes else "")
    charts = figures(cycle_charts(analysis), np.linspace(0, 100, 101), "%")
    drawn = ""
    if charts:
        counts = ", ".join(sorted({f"{len(one.spans)} {_words(one)}" for one in analysis.cycles}))
        drawn = (
            f"<p>Mean cycles ({counts}), 0 to 100 %; bands: {BAND_SD:g} standard deviations over the cycles.</p>"
            f"<div class=plots>{charts}</div>"
        )
    return f'<section id="findings"><h2>Findings</h2>{text}{_table(analysis)}{drawn}</section>'


def findings_json(analysis: Analysis) -> dict[str, Any]:
    """Give the findings as JSON values, without the curves."""
    return {name: value for name, value in analysis.to_json().items() if name != "cycles"}


def cycle_charts(analysis: Analysis) -> list[Chart]:
    """Chart the mean cycles of the main angles, both sides in one.

    Args:
        analysis: with cycles.

    Returns:
        One chart for each angle that moves; the first kind of cycle only.
    """
    kind = next((one.kind for one in analysis.cycles), "")
    charts = []
    for angle in _CHARTED:
        curves = [curve for one in analysis.cycles if one.kind == kind for curve in _curves(one, angle)]
        if curves and max(float(np.ptp(curve.values)) for curve in curves) > _MOVES_DEG:
            charts.append(Chart(f"{angle.replace('_', ' ')}, {kind}", "°", tuple(curves)))
    return charts


def _curves(cycles: Cycles, angle: str) -> list[Curve]:
    """Curves of one angle in a set of cycles: one for the cycles of a side, else one for each side."""
    found = []
    for column, name in enumerate(cycles.angles):
        if name in (angle, f"{angle}_r", f"{angle}_l"):
            side = cycles.side or (name[-1] if name != angle else "c")
            sd = None if np.isnan(cycles.sd_deg).any() else cycles.sd_deg[:, column]
            found.append(Curve(name=name, side=side, values=cycles.mean_deg[:, column], sd=sd, limits=None))
    return found


def _words(cycles: Cycles) -> str:
    side = {"r": "right ", "l": "left "}.get(cycles.side, "")
    return f"{side}{cycles.kind}{'s' if len(cycles.spans) != 1 else ''}"


def _table(analysis: Analysis) -> str:
    """Table of the main parameters; empty if there is none."""
    rows = []
    for name in SHOWN.get(analysis.task, ()):
        cells = [analysis.parameter(name, side) for side in ("r", "l", "")]
        known = next((cell for cell in cells if cell is not None), None)
        if known is not None:
            title = f'<span title="{escape(known.definition)}">{escape(name.replace("_", " "))}</span>'
            rows.append([title, *(_cell(cell) for cell in cells), escape(known.unit)])
    if not rows:
        return ""
    return table(("parameter", "right", "left", "both", "unit"), rows, numbers=(1, 2, 3))


def _cell(parameter: Parameter | None) -> str:
    if parameter is None:
        return ""
    digits = 3 if parameter.unit in ("m", "s", "m/s") else 2 if not parameter.unit else 1
    sd = "" if parameter.sd is None else f" &plusmn; {parameter.sd:.{digits}f}"
    return f"{parameter.value:.{digits}f}{sd}"

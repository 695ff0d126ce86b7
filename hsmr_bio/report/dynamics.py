"""Section of the report on forces: ground reaction, joint moments and powers, residuals."""

from __future__ import annotations

from html import escape

import numpy as np

from hsmr_bio.dynamics.inverse_dynamics import InverseDynamics
from hsmr_bio.types import FloatArray

from .charts import Chart, Curve, figures
from .inputs import side_of

SHOWN = (
    *("hip_flexion", "hip_adduction", "hip_rotation", "knee_angle", "ankle_angle"),
    *("lumbar_extension", "lumbar_bending", "lumbar_twist", "elbow_flexion"),
)
"""Coordinates whose moments are drawn, without their side; all others are in the .sto files."""
POWERED = ("hip_flexion", "knee_angle", "ankle_angle")
"""Coordinates whose powers are drawn, without their side."""


def dynamics_section(result: InverseDynamics) -> str:
    """Give the section as HTML: sources of the forces, and charts; the checks are in the page's table of checks."""
    charts = figures(dynamics_charts(result), result.time_s)
    text = f"<p>{escape(_sources(result))}</p><div class=plots>{charts}</div>"
    return f'<section id="forces"><h2>Forces and moments</h2>{text}</section>'


def dynamics_charts(result: InverseDynamics) -> list[Chart]:
    """Chart the vertical force of each foot, moments and powers of the main joints, per kilogram, with both sides in one."""
    charts = []
    if result.ground is not None:
        forces = result.ground.force_n[..., 1] / result.ground.body_weight_n
        curves = tuple(_curve(f"vertical_force_{side}", forces[:, k]) for k, side in enumerate("rl"))
        charts.append(Chart("vertical ground force (estimated), body weights", "", curves))
    moments, powers = result.values_si / result.mass_kg, result.power_w / result.mass_kg
    for names, values, word, unit in ((SHOWN, moments, "moment", "N m/kg"), (POWERED, powers, "power", "W/kg")):
        for name in names:
            found = [n for n in (name, f"{name}_r", f"{name}_l") if n in result.coordinates]
            if found:
                curves = tuple(_curve(n, values[:, result.coordinates.index(n)]) for n in found)
                charts.append(Chart(f"{name.replace('_', ' ')} {word}, {unit}", "", curves))
    return charts


def _curve(name: str, values: FloatArray) -> Curve:
    return Curve(name=name, side=side_of(name), values=np.asarray(values), sd=None, limits=None)


def _sources(result: InverseDynamics) -> str:
    """Sentences on the sources of the forces and on the residuals."""
    parts = [f"Net moments of all internal forces, per kilogram of the body's {result.mass_kg:.1f} kg."]
    if result.ground is not None:
        flight = float(np.mean(result.ground.flight))
        parts.append(
            "The ground reaction was not measured. It was estimated from the motion by Newton's laws, acting on the feet that "
            "touch the floor. Its distribution between two feet is partly an assumption."
        )
        if flight > 0:
            parts.append(f"In {flight:.0%} of the frames no foot is loaded.")
    elif result.loads is not None:
        parts.append(f"External forces are from {result.loads.source}.")
        parts += [str(entry) + "." for entry in result.loads.assignments]
    else:
        parts.append("No external forces were given: leg and trunk moments are meaningless.")
    if result.residuals is not None:
        parts.append(
            f"Residual external force at the pelvis: {result.residuals.force_rms_bw:.1%} of body weight (RMS). "
            f"Residual moment: {result.residuals.moment_rms_bw_h:.1%} of body weight times height of the centre of mass."
        )
    return " ".join(parts)

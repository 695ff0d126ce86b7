"""How well the ten betas carry the survey's statistics: one Markdown table per sex."""

from __future__ import annotations

import numpy as np
from betas import BETAS, Linear
from calibrate import NAMES, Survey
from measures import Tape

BODIES = 400
_LABEL = {"mass": "mass (kg)"}


def table(linear: Linear, tape: Tape, survey: Survey) -> list[str]:
    """Measures of bodies with beta ~ N(0, 1) (200 whitened draws and their opposites) against ANSUR II; mm, mass in kg.

    Args:
        linear: the body.
        tape: measures it.
        survey: means and covariance of the sex.
    """
    draw = np.random.default_rng(7).standard_normal((BODIES // 2, BETAS))
    draw = np.linalg.solve(np.linalg.cholesky(draw.T @ draw / len(draw)), draw.T).T
    betas = np.concatenate([draw, -draw])
    measured = np.array([[m[name] for name in NAMES] for m in (tape(linear.shaped(beta)) for beta in betas)])
    lines = ["| measure | body mean | sd | ANSUR mean | sd |", "| --- | ---: | ---: | ---: | ---: |"]
    wanted_sd = np.sqrt(np.diag(survey.covariance))
    for k, name in enumerate(NAMES):
        unit, digits = (1, 1) if name == "mass" else (1000, 0)
        cells = (measured[:, k].mean(), measured[:, k].std(), survey.mean[k], wanted_sd[k])
        numbers = " | ".join(f"{cell * unit:.{digits}f}" for cell in cells)
        lines.append(f"| {_LABEL.get(name, name.replace('_', ' '))} | {numbers} |")
    return lines

"""Standard deviations of a video fit that match the size of its errors.

The fit counts each frame as independent evidence, and sharpens depths that nothing else constrains. Both make the motion
steadier but understate the error, because a detector that misplaces an elbow does so until the arm has moved on.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from ...types import FloatArray
from .problem import Problem, State, Term
from .terms import Contacts, Depth, Smoothness

ALIKE_S = 0.3
"""Correlation time of a detector's errors: the frames within it count as one observation. Chosen on clips rendered from
laboratory motions, where the errors of hip, knee, ankle and elbow are then 0.8 to 1.4 standard deviations (2.0 to 3.8 if every
frame counts)."""


def standard_deviation(problem: Problem, state: State, time_s: FloatArray) -> FloatArray:
    """Standard deviation of each unknown of a solved problem, shared unknowns held.

    The matrix of the posterior is ``H_frames / max(1, ALIKE_S / dt) + H_between`` with the median frame interval dt: terms of
    single frames count once in ``ALIKE_S``, terms between frames (smoothness, contacts) in full. Depths have their own standard
    deviations, without the factor ``caution`` of the fit.

    Args:
        problem: terms of the fit.
        state: its solution.
        time_s: (T,).

    Returns:
        (T, 49) rad and m.
    """
    step_s = float(np.median(np.diff(time_s))) if len(time_s) > 1 else np.inf
    between = [term for term in problem.terms if isinstance(term, Smoothness | Contacts)]
    within = [_without_caution(term) for term in problem.terms if not isinstance(term, Smoothness | Contacts)]
    view = problem.view(state)
    system = Problem(problem.body, problem.makers, within).system(view)
    system.diagonal /= max(1.0, ALIKE_S / step_s)
    for term in between:
        term.add(view, system)
    return system.standard_deviation()


def _without_caution(term: Term) -> Term:
    return replace(term, caution=torch.ones_like(term.caution)) if isinstance(term, Depth) else term

"""How sure a fit of a video is: standard deviations that are of the size of the errors.

The fit takes each frame for a piece of evidence of its own, and trusts depths that nothing else shows more than they deserve.
Both make a steadier motion; the errors, though, last: a detector that misplaces an elbow does so until the arm has moved on.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from ...types import FloatArray
from .problem import Problem, State, Term
from .terms import Contacts, Depth, Smoothness

ALIKE_S = 0.3
"""For so long a detector errs alike: what these frames show counts once. Chosen on clips rendered from laboratory motions,
where errors of hip, knee, ankle and elbow are then 0.8 to 1.4 times what is said (2.0 to 3.8 times if every frame counts)."""


def standard_deviation(problem: Problem, state: State, time_s: FloatArray) -> FloatArray:
    """(T, 49) standard deviation of each unknown of a solved problem, shared ones held.

    Args:
        problem: its terms about single frames count once in ``ALIKE_S``, depths without the caution of the fit; terms
            between frames count as they are.
        state: where it was solved.
        time_s: (T,).
    """
    step_s = float(np.median(np.diff(time_s))) if len(time_s) > 1 else np.inf
    between = [term for term in problem.terms if isinstance(term, Smoothness | Contacts)]
    within = [_plain(term) for term in problem.terms if not isinstance(term, Smoothness | Contacts)]
    view = problem.view(state)
    system = Problem(problem.body, problem.makers, within).system(view)
    system.diagonal /= max(1.0, ALIKE_S / step_s)
    for term in between:
        term.add(view, system)
    return system.standard_deviation()


def _plain(term: Term) -> Term:
    return replace(term, caution=torch.ones_like(term.caution)) if isinstance(term, Depth) else term

"""Long motions are solved in overlapping windows of frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from ...types import FloatArray
from .problem import State

WINDOW = 480
"""Frames of one window that are kept; with both overlaps its band matrix takes 22 MB."""
OVERLAP = 45
"""Frames that a window shares with each neighbour; their solution is discarded. 1.5 s at 30 Hz leave no visible seam."""

Solve = Callable[[State, slice], tuple[State, FloatArray | None]]
"""Solves the window ``slice`` from a state of its frames (W, 49); gives the state and (W, 49) standard deviations or None."""


def windows_of(frames: int, overlap: int = OVERLAP) -> list[tuple[slice, slice]]:
    """Divide frames into windows.

    Args:
        frames: number of frames T.
        overlap: frames of each neighbour that a window includes.

    Returns:
        For each window its frames, and the part of the window that is kept; the kept parts cover every frame once.
    """
    windows = []
    for first in range(0, frames, WINDOW):
        low, high, end = max(0, first - overlap), min(frames, first + WINDOW + overlap), min(frames, first + WINDOW)
        windows.append((slice(low, high), slice(first - low, end - low)))
    return windows


def solve_windows(
    state: State, solve: Solve, progress: Callable[[int, int], object], overlap: int = OVERLAP
) -> tuple[State, FloatArray | None]:
    """Solve all frames of a motion, window by window, each from the given state.

    Args:
        state: first guess (T, 49) and the shared unknowns, which are held.
        solve: solves one window.
        progress: receives the number of solved windows and of all windows, at the start and after each window.
        overlap: frames of each neighbour that a window includes.

    Returns:
        The state with all frames solved, and (T, 49) standard deviations if ``solve`` gives them.
    """
    windows = windows_of(len(state.q), overlap)
    q, sd = [], []
    for i, (window, keep) in enumerate(windows):
        progress(i, len(windows))
        solved, deviation = solve(replace(state, q=state.q[window]), window)
        q.append(solved.q[keep])
        if deviation is not None:
            sd.append(deviation[keep])
    progress(len(windows), len(windows))
    return replace(state, q=torch.cat(q)), np.concatenate(sd) if sd else None

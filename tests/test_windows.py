"""Windows of frames: every frame is kept once, with its neighbours around it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hsmr_bio.fitting.core.problem import State
from hsmr_bio.fitting.core.windows import OVERLAP, WINDOW, solve_windows, windows_of


@settings(max_examples=60, deadline=None)
@given(frames=st.integers(1, 5 * WINDOW), overlap=st.sampled_from([0, 1, OVERLAP]))
def test_windows_keep_every_frame_once(frames: int, overlap: int) -> None:
    windows = windows_of(frames, overlap)
    kept = np.concatenate([np.arange(frames)[window][keep] for window, keep in windows])
    np.testing.assert_array_equal(kept, np.arange(frames))
    for window, keep in windows:
        assert window.stop - window.start <= WINDOW + 2 * overlap
        assert keep.start >= min(overlap, window.start + keep.start), "kept frames have neighbours before them"
        assert window.stop - window.start - keep.stop >= min(overlap, frames - window.start - keep.stop), "and after them"


def test_every_frame_is_solved_from_the_given_state_with_its_neighbours() -> None:
    frames = 2 * WINDOW + 7
    q = torch.arange(frames, dtype=torch.float64)[:, None].expand(-1, 49)
    state, calls = State(q, np.zeros(10), np.zeros(2), 0.0, 1000.0), []

    def solve(start: State, window: slice) -> tuple[State, np.ndarray]:
        """Each frame plus the first frame of its window, and the number of frames of the window."""
        assert torch.equal(start.q, q[window])
        return replace(start, q=start.q + window.start), np.full((len(start.q), 49), len(start.q))

    solved, sd = solve_windows(state, solve, lambda done, total: calls.append((done, total)))
    first = np.repeat([0, WINDOW - OVERLAP, 2 * WINDOW - OVERLAP], [WINDOW, WINDOW, 7])
    np.testing.assert_array_equal(solved.q.numpy(), (np.arange(frames) + first)[:, None].repeat(49, axis=1))
    assert sd is not None
    sizes = [WINDOW + OVERLAP, WINDOW + OVERLAP + 7, OVERLAP + 7]
    np.testing.assert_array_equal(sd[:, 0], np.repeat(sizes, [WINDOW, WINDOW, 7]))
    assert calls == [(0, 3), (1, 3), (2, 3), (3, 3)]

"""Windows of frames: every frame is kept once, and what is kept has company."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hsmr_bio.fitting.core.windows import OVERLAP, WINDOW, windows_of


@settings(max_examples=60, deadline=None)
@given(frames=st.integers(1, 5 * WINDOW), overlap=st.sampled_from([0, 1, OVERLAP]))
def test_windows_keep_every_frame_once(frames: int, overlap: int) -> None:
    windows = windows_of(frames, overlap)
    kept = np.concatenate([np.arange(frames)[window][keep] for window, keep in windows])
    np.testing.assert_array_equal(kept, np.arange(frames))
    for window, keep in windows:
        assert window.stop - window.start <= WINDOW + 2 * overlap
        assert keep.start >= min(overlap, window.start + keep.start), "what is kept has company before it"
        assert window.stop - window.start - keep.stop >= min(overlap, frames - window.start - keep.stop), "and after it"

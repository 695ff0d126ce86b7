"""Long motions are solved in windows of frames that overlap."""

from __future__ import annotations

WINDOW = 480
"""Frames that are kept of one window; with both overlaps its band matrix takes 22 MB."""
OVERLAP = 45
"""Frames of the neighbours that are solved with a window and given away, so that no seam shows: 1.5 s at 30 Hz."""


def windows_of(frames: int, overlap: int = OVERLAP) -> list[tuple[slice, slice]]:
    """Divide frames into windows.

    Args:
        frames: in all.
        overlap: frames that a window has before and after the part that is kept.

    Returns:
        For each window its frames, and which of them are kept; what is kept covers every frame once.
    """
    windows = []
    for first in range(0, frames, WINDOW):
        low, high, end = max(0, first - overlap), min(frames, first + WINDOW + overlap), min(frames, first + WINDOW)
        windows.append((slice(low, high), slice(first - low, end - low)))
    return windows

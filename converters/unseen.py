"""Positions of exactly zero: most programs write them for a point that they did not see."""

from __future__ import annotations

import numpy as np

from hsmr_bio.types import FloatArray


def unseen_zeros(positions: FloatArray) -> tuple[FloatArray, tuple[str, ...]]:
    """Replace positions of exactly 0 0 0 by NaN, if any point is elsewhere.

    Args:
        positions: (T, P, 3) in any unit and axes.

    Returns:
        The positions, and a note with the count if there were any.
    """
    zero = (positions == 0).all(axis=-1)
    if not zero.any() or zero.all():
        return positions, ()
    seen = positions.copy()
    seen[zero] = np.nan
    points = int(zero.any(axis=0).sum())
    return seen, (f"{int(zero.sum())} positions of exactly 0 0 0 ({points} points) are read as not seen",)

"""Cycles: repetitions cut from a motion, 101 points each, with mean, spread and outliers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..arrays import BoolArray, FloatArray
from .movement import Movement
from .values import DEG, Span, side_of

if TYPE_CHECKING:
    import pandas as pd

POINTS = 101
_OUTLIER_MADS = 3.0
"""A cycle is marked if its RMS distance to the median curve is more than the median distance plus 3 x 1.48 MAD."""
_MAD_TO_SD = 1.4826
_LEAST_CYCLES = 4
"""Below so many cycles there is no median that an outlier could be far from."""
_LEAST_DISTANCE_DEG = 1.0
"""Cycles within a degree of the median curve are alike, whatever their spread (chosen)."""


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Cycles:
    """Cycles of one kind and side, 0 to 100 %."""

    kind: str
    side: str
    angles: tuple[str, ...]
    """A names, without the side where it is the cycle's."""
    values_deg: FloatArray
    """(C, 101, A)."""
    spans: tuple[Span, ...]
    """C spans; a note says what marks a cycle."""

    def __repr__(self) -> str:
        return (
            f"Cycles({len(self.spans)} {self.kind}s {self.side}: {len(self.angles)} angles, {int(sum(~self.regular))} marked)"
        )

    @property
    def regular(self) -> BoolArray:
        """(C,) whether nothing marks the cycle."""
        return np.array([not span.note for span in self.spans])

    @property
    def mean_deg(self) -> FloatArray:
        """(101, A) mean over the cycles that are not marked (over all if all are)."""
        return np.asarray(self._kept.mean(axis=0))

    @property
    def sd_deg(self) -> FloatArray:
        """(101, A) standard deviation over the same cycles, n - 1; NaN for one cycle."""
        kept = self._kept
        return np.asarray(kept.std(axis=0, ddof=1)) if len(kept) > 1 else np.full(kept.shape[1:], np.nan)

    @property
    def _kept(self) -> FloatArray:
        return self.values_deg[self.regular] if self.regular.any() else self.values_deg

    def to_frame(self) -> pd.DataFrame:
        """Export as a table.

        Returns:
            Rows of mean, SD and each cycle; columns ``kind, side, cycle, start_s, end_s, note, percent``, then
            ``<angle>_deg``.
        """
        import pandas as pd

        blocks: list[tuple[str, float, float, str, FloatArray]] = [
            ("mean", np.nan, np.nan, f"of {len(self._kept)} of {len(self.spans)} cycles", self.mean_deg),
            ("sd", np.nan, np.nan, "", self.sd_deg),
        ]
        blocks += [(str(k + 1), s.start_s, s.end_s, s.note, self.values_deg[k]) for k, s in enumerate(self.spans)]
        frames = []
        for label, start, end, note, values in blocks:
            frame = pd.DataFrame(values, columns=[f"{angle}_deg" for angle in self.angles])
            head = {"kind": self.kind, "side": self.side, "cycle": label, "start_s": start, "end_s": end, "note": note}
            for place, (name, value) in enumerate({**head, "percent": np.arange(POINTS)}.items()):
                frame.insert(place, name, value)
            frames.append(frame)
        return pd.concat(frames, ignore_index=True)


def cut_cycles(parts: Sequence[tuple[Movement, Sequence[Span]]]) -> tuple[Cycles, ...]:
    """Cut, normalise and compare cycles.

    Args:
        parts: stretches of the movement with their spans.

    Returns:
        One set for each kind and side, in order of their first appearance; a stride has the angles of its side and of the
        middle of the body, other cycles all angles.
    """
    found: dict[tuple[str, str], list[tuple[Movement, Span]]] = {}
    for movement, spans in parts:
        for span in spans:
            found.setdefault((span.kind, span.side), []).append((movement, span))
    sets = []
    for (kind, side), cut in found.items():
        names = [n for n in cut[0][0].angles_rad if not side or side_of(n) in ("", side)]
        if not names:
            continue
        values = np.stack([_normalised(movement, span, names) for movement, span in cut])
        labels = tuple(name.removesuffix(f"_{side}") if side else name for name in names)
        spans_of = _marked(values, [span for _, span in cut])
        sets.append(Cycles(kind=kind, side=side, angles=labels, values_deg=values, spans=spans_of))
    return tuple(sets)


def _normalised(movement: Movement, span: Span, names: Sequence[str]) -> FloatArray:
    """(101, A) angles over a span, linear in time."""
    at = np.linspace(span.start_s, span.end_s, POINTS)
    return np.stack([np.interp(at, movement.time_s, movement.angles_rad[name]) for name in names], axis=1) * DEG


def _marked(values: FloatArray, spans: Sequence[Span]) -> tuple[Span, ...]:
    """Mark cycles that are far from the median curve."""
    from dataclasses import replace

    if len(spans) < _LEAST_CYCLES:
        return tuple(spans)
    distance = np.sqrt(np.mean((values - np.median(values, axis=0)) ** 2, axis=(1, 2)))
    middle = float(np.median(distance))
    limit = middle + max(_OUTLIER_MADS * _MAD_TO_SD * float(np.median(np.abs(distance - middle))), _LEAST_DISTANCE_DEG)
    return tuple(
        replace(span, note=f"outlier: {d:.1f} degrees from the median curve") if d > limit and not span.note else span
        for span, d in zip(spans, distance, strict=True)
    )

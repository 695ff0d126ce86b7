"""Parameters with their uncertainty: means over repetitions, symmetry of the sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..arrays import FloatArray
from .definitions import definition_of
from .values import Key

_NORMAL = 1.96
_MIDDLE = (15.87, 84.13)
"""Percentiles of a normal distribution one standard deviation from its middle."""
_SYMMETRY = ("step_length", "step_time", "stride_time", "stance", "single_support")
"""Parameters of gait that never come near zero, so that an index of symmetry means something."""
_DIFFERENCES = ("_max", "_range", "_at_bottom", "_at_contact", "_after_landing", "_peak")
"""Endings of parameters in degrees whose sides are subtracted."""


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One parameter: mean over the repetitions, and how far it is known."""

    name: str
    side: str
    """``r``, ``l``, or empty."""
    value: float
    unit: str
    sd: float | None
    """Standard deviation of ``value`` from the angles' deviations, the events' and the spread over repetitions; None: the
    motion has no deviations and there is one repetition."""
    low: float | None
    """95 % interval."""
    high: float | None
    count: int
    """Repetitions."""
    spread: float | None
    """Standard deviation over the repetitions; None below two."""
    noise_bias: float | None
    """Mean of the draws less ``value``: errors of the angles raise peaks and ranges by about so much. Not subtracted."""
    definition: str
    source: str
    note: str = ""

    def to_json(self) -> dict[str, str | float | int | None]:
        """Return the parameter as JSON values."""
        return {
            **{name: getattr(self, name) for name in ("name", "side", "value", "unit", "sd", "low", "high", "count", "spread")},
            **{name: getattr(self, name) for name in ("noise_bias", "definition", "source", "note")},
        }


_COUNTS = ("rises", "failed_rises", "squats")
"""Numbers of repetitions: summed over the stretches of a motion."""


def summarise(values: Mapping[Key, Sequence[float]]) -> dict[Key, float]:
    """Average the values of each parameter, and compare the sides.

    Args:
        values: of each repetition.

    Returns:
        Mean of each parameter; indices of symmetry ``symmetry_<name>`` in % of gait's times and lengths, and differences
        ``difference_<name>`` of angles, right less left.
    """
    means = {key: float(sum(v)) / (1 if key[0] in _COUNTS else len(v)) for key, v in values.items() if len(v)}
    for name in sorted({name for name, side in means if side}):
        if (name, "r") not in means or (name, "l") not in means:
            continue
        right, left = means[name, "r"], means[name, "l"]
        if name in _SYMMETRY and right + left > 0:
            means[f"symmetry_{name}", ""] = 200.0 * (right - left) / (right + left)
        elif definition_of(name).unit == "deg" and name.endswith(_DIFFERENCES):
            means[f"difference_{name}", ""] = right - left
    return means


def parameters(values: Mapping[Key, Sequence[float]], draws: Sequence[Mapping[Key, float]]) -> tuple[Parameter, ...]:
    """Make parameters of the values of a movement and of its draws.

    The deviation of a mean is the larger of two: that of the means over the draws, and the spread over n repetitions divided by
    sqrt(n), widened by Student's t. Each holds the measurement's errors already, so they are not added.

    Args:
        values: of each repetition, of the movement itself.
        draws: means of each draw (:func:`summarise`).

    Returns:
        One parameter for each name and side, those of whole tasks first.
    """
    found = []
    for (name, side), value in summarise(values).items():
        own = np.array([draw[name, side] for draw in draws if (name, side) in draw])
        repetitions = np.asarray(values.get((name, side), ()))
        counts = [len(values[base, s]) for base in (name.partition("_")[2],) for s in "rl" if (base, s) in values]
        sd = _deviation(own, repetitions)
        definition = definition_of(name)
        found.append(
            Parameter(
                name=name,
                side=side,
                value=value,
                unit=definition.unit,
                sd=sd,
                low=None if sd is None else value - _NORMAL * sd,
                high=None if sd is None else value + _NORMAL * sd,
                count=len(repetitions) or min(counts, default=1),
                spread=float(repetitions.std(ddof=1)) if len(repetitions) > 1 else None,
                noise_bias=float(own.mean() - value) if len(own) > 1 else None,
                definition=definition.text,
                source=definition.source,
                note=_note(len(own), len(draws)),
            )
        )
    return tuple(found)


def _note(seen: int, draws: int) -> str:
    return f"found in {100 * seen / draws:.0f} % of the draws only" if draws and seen < 0.9 * draws else ""


def _deviation(draws: FloatArray, repetitions: FloatArray) -> float | None:
    """Standard deviation of a mean; None if nothing tells."""
    parts = []
    if len(draws) > 1:  # half the width of the middle 68 %: a draw in which a step was missed does not count for more
        low, high = np.percentile(draws, _MIDDLE)
        parts.append(float(high - low) / 2)
    if (count := len(repetitions)) > 1:
        from scipy.stats import t

        widened = float(t.ppf(0.975, count - 1)) / _NORMAL
        parts.append(widened * float(repetitions.std(ddof=1)) / float(np.sqrt(count)))
    return max(parts) if parts else None

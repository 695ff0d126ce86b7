"""The result of an analysis, and its tables."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from .band import BandComparison
from .cycles import Cycles
from .events import Event
from .parameters import Parameter

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Analysis:
    """Findings of one motion."""

    name: str
    task: str
    """``gait``, ``squat``, ``sit-to-stand``, ``jump`` or ``none``."""
    why: str
    """Evidence for the task, or that it was asked for."""
    events: tuple[Event, ...]
    """In order of time; with force plates those of the motion and of the plates."""
    cycles: tuple[Cycles, ...]
    parameters: tuple[Parameter, ...]
    bands: tuple[BandComparison, ...] = ()
    """Cycles against reference curves, if a band was given."""
    notes: tuple[str, ...] = ()
    """What limits the findings."""

    def __repr__(self) -> str:
        cycles = sum(len(one.spans) for one in self.cycles)
        found = f"{len(self.events)} events, {cycles} cycles, {len(self.parameters)} parameters"
        return f"Analysis({self.name!r}: {self.task}, {found})"

    def _repr_html_(self) -> str:
        """Show the parameters as a table in a notebook."""
        columns = ["name", "side", "value", "sd", "unit", "count"]
        table: str = self.to_frame()[columns].to_html(index=False, na_rep="", float_format=lambda x: f"{x:.4g}")
        return f"<p>{escape(self.name)}: {escape(self.task)} ({escape(self.why)})</p>{table}"

    def parameter(self, name: str, side: str = "") -> Parameter | None:
        """Find a parameter.

        Args:
            name: such as ``speed``.
            side: ``r``, ``l`` or empty.

        Returns:
            The parameter; None if the motion has none of that name and side.
        """
        return next((p for p in self.parameters if (p.name, p.side) == (name, side)), None)

    def to_frame(self) -> pd.DataFrame:
        """Export the parameters as a table.

        Returns:
            A row for each parameter; columns as the fields of ``Parameter``, and first ``clip`` and ``task``.
        """
        import pandas as pd

        return pd.DataFrame([{"clip": self.name, "task": self.task, **p.to_json()} for p in self.parameters])

    def events_frame(self) -> pd.DataFrame:
        """Export the events as a table.

        Returns:
            A row for each event: ``event, side, time_s, sd_s, evidence, note``.
        """
        import pandas as pd

        return pd.DataFrame(
            [event.to_json() for event in self.events], columns=["event", "side", "time_s", "sd_s", "evidence", "note"]
        )

    def cycles_frame(self) -> pd.DataFrame:
        """Export the cycles as a table: see ``Cycles.to_frame``; an empty one without cycles."""
        import pandas as pd

        frames = [cycles.to_frame() for cycles in self.cycles]
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["kind", "side", "cycle", "percent"])

    def to_json(self) -> dict[str, Any]:
        """Return all findings as JSON values; curves in degrees."""
        return {
            "name": self.name,
            "task": self.task,
            "why": self.why,
            "notes": list(self.notes),
            "events": [event.to_json() for event in self.events],
            "bands": [band.to_json() for band in self.bands],
            "parameters": [parameter.to_json() for parameter in self.parameters],
            "cycles": [
                {
                    "kind": cycles.kind,
                    "side": cycles.side,
                    "count": len(cycles.spans),
                    "marked": {str(k + 1): span.note for k, span in enumerate(cycles.spans) if span.note},
                    "mean_deg": dict(zip(cycles.angles, cycles.mean_deg.T.round(4).tolist(), strict=True)),
                    "sd_deg": None
                    if sum(cycles.regular) < 2
                    else dict(zip(cycles.angles, cycles.sd_deg.T.round(4).tolist(), strict=True)),
                }
                for cycles in self.cycles
            ],
        }

    def text(self) -> str:
        """Write the findings as a plain table for a terminal: side by side, with the standard deviation."""
        lines = [f"{self.name}: {self.task} ({self.why})"]
        lines += [f"note: {note}" for note in self.notes]
        names = list(dict.fromkeys(p.name for p in self.parameters if not _is_detail(p.name)))
        if names:
            lines.append(f"{'parameter':34}{'right':>18}{'left':>18}{'both':>18}  unit")
        for name in names:
            cells = [self.parameter(name, side) for side in ("r", "l", "")]
            unit = next(p.unit for p in cells if p is not None)
            lines.append(f"{name:34}" + "".join(f"{_cell(p):>18}" for p in cells) + f"  {unit}".rstrip())
        return "\n".join([*lines, *(str(band) for band in self.bands)])


def _is_detail(name: str) -> bool:
    """Whether a parameter is one of the many of every angle, which only the files list."""
    return name.endswith(("_max", "_min", "_range")) and not name.startswith(("knee_flexion", "hip_flexion", "ankle", "trunk"))


def _cell(parameter: Parameter | None) -> str:
    if parameter is None:
        return ""
    digits = 3 if parameter.unit in ("m", "s", "m/s") else 2 if parameter.unit in ("", "m/s2") else 1
    sd = "" if parameter.sd is None else f" +- {parameter.sd:.{digits}f}"
    return f"{parameter.value:.{digits}f}{sd}"

"""Write an analysis: tables of events, parameters and cycles, and all of it as JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ..io.atomic import new_folder
from .analysis import Analysis
from .side_forces import SideForces

ENDINGS = ("_events.csv", "_parameters.csv", "_cycles.csv", "_analysis.json")
_FORCES = "_side_forces.csv"
_DECIMALS = "%.6g"
"""Six digits: a thousandth of a degree, a tenth of a millimetre, a microsecond in the first seconds."""


def write_analysis(
    folder: str | os.PathLike[str], analysis: Analysis, *, forces: SideForces | None = None, overwrite: bool = False
) -> tuple[Path, ...]:
    """Write ``NAME_events.csv``, ``NAME_parameters.csv``, ``NAME_cycles.csv`` and ``NAME_analysis.json``.

    Args:
        folder: for the files; made if it is missing. They appear together, when all are complete.
        analysis: to write.
        forces: estimated forces of each foot, as ``NAME_side_forces.csv``; None: none.
        overwrite: whether files that exist may be replaced.

    Returns:
        The paths.

    Raises:
        InputError: a file exists and may not be replaced.
    """
    target = Path(folder)
    tables = (analysis.events_frame(), analysis.to_frame(), analysis.cycles_frame())
    with new_folder(target, overwrite=overwrite) as part:
        for ending, table in zip(ENDINGS, tables, strict=False):
            table.to_csv(part / f"{analysis.name}{ending}", index=False, float_format=_DECIMALS)
        text = json.dumps(analysis.to_json(), indent=1, allow_nan=False)
        (part / f"{analysis.name}{ENDINGS[-1]}").write_text(text + "\n", encoding="utf-8")
        if forces is not None:
            forces.to_frame().to_csv(part / f"{analysis.name}{_FORCES}", float_format=_DECIMALS)
    endings = ENDINGS if forces is None else (*ENDINGS, _FORCES)
    return tuple(target / f"{analysis.name}{ending}" for ending in endings)

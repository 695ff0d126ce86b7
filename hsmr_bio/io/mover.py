"""Moves a finished set of results into its folder; also a program of its own, which outlives the run that starts it.

It imports the standard library only. Arguments: the staging folder and the folder of the results.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def move_all(stage: Path, target: Path) -> None:
    """Move every file of ``stage`` to the same place in ``target``, then remove ``stage``.

    It can be repeated after it was stopped anywhere: what was moved is no longer in ``stage``.

    Args:
        stage: the staging folder.
        target: folder of the results.
    """
    for folder, _, names in os.walk(stage):
        place = target / Path(folder).relative_to(stage)
        place.mkdir(parents=True, exist_ok=True)
        for name in names:
            (Path(folder) / name).replace(place / name)
    for folder, _, _ in os.walk(stage, topdown=False):
        Path(folder).rmdir()


if __name__ == "__main__":
    move_all(Path(sys.argv[1]), Path(sys.argv[2]))

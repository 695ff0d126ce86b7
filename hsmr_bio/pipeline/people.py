"""The loop over the people of a clip: names, folder, results and files of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TypeVar

from ..body import Body
from ..errors import InputError
from ..io.atomic import new_folder, refuse_existing, refuse_unwritable
from ..option_checks import check_file_name
from ..types import Observation, Progress, SkelMotion, quiet
from .options import ResultOptions
from .results import Result, make_results
from .write import write_results

LEAST_FREE_BYTES = 16_000_000
"""Free space below which the work is not begun: the files of a short clip take half of it."""
Source = TypeVar("Source")


@dataclass(frozen=True, eq=False, kw_only=True)
class Person:
    """One person's motion in the world, ready for the model."""

    motion: SkelMotion
    body: Body
    observation: Observation | None = None
    lower: bool = False
    """Whether the motion is to be moved vertically until its lowest foot marker is at y = 0."""


class Timer:
    """Seconds spent per stage."""

    def __init__(self) -> None:
        self.passed_s: dict[str, float] = {}
        self._since_s = time.perf_counter()

    def stop(self, stage: str) -> None:
        """Add the time since the last stop to a stage."""
        now_s = time.perf_counter()
        self.passed_s[stage] = self.passed_s.get(stage, 0.0) + now_s - self._since_s
        self._since_s = now_s


def write_people(
    out_dir: str | PathLike[str],
    sources: Sequence[Source],
    place: Callable[[Source], Person],
    options: ResultOptions,
    *,
    name: str,
    timer: Timer | None = None,
    with_observations: bool = False,
    progress: Progress = quiet,
) -> list[Result]:
    """Make the results of several people and write all of them, or none, into one folder.

    Args:
        out_dir: folder for the results.
        sources: one per person, the most prominent first.
        place: brings a source into the world.
        options: of the results.
        name: of the first person's files; those of the second are called ``NAME_p2``.
        timer: of the run; its times are written into the reports.
        with_observations: whether the observations are written too.
        progress: told about people, if there are several.

    Returns:
        One result per person, with the paths of its files.

    Raises:
        InputError: results that exist already, or a folder that cannot be written to.
    """
    out = Path(out_dir)
    labels = labels_of(name, len(sources))
    refuse_early(out, labels, options)
    clock, results = timer or Timer(), []
    with new_folder(out, overwrite=options.overwrite) as folder:
        for number, (label, source) in enumerate(zip(labels, sources, strict=True)):
            if len(labels) > 1:
                progress("person", number, len(labels))
            person = place(source)
            clock.stop("fit and ground")
            made = make_results(person.motion, person.body, options, name=label, lower=person.lower)
            clock.stop("subject, map and checks")
            made = replace(made, observation=person.observation, timings_s={} if timer is None else clock.passed_s)
            made = write_results(folder, made, person.body, options, with_observation=with_observations)
            clock.stop("files and report")
            results.append(replace(made, timings_s=dict(made.timings_s)))
        if len(labels) > 1:
            progress("person", len(labels), len(labels))
    return [replace(made, paths=tuple(out / path.relative_to(folder) for path in made.paths)) for made in results]


def labels_of(name: str, count: int) -> list[str]:
    """Names of the people's files: NAME, NAME_p2, NAME_p3 ..."""
    return [name, *(f"{name}_p{person}" for person in range(2, count + 1))]


def refuse_early(out: Path, labels: Sequence[str], options: ResultOptions) -> None:
    """Stop before the work if the results could not be written at the end.

    Args:
        out: folder of the results.
        labels: names of the people's files.
        options: whether files may be replaced.

    Raises:
        InputError: a name that no file can have, results that exist already, or a folder that cannot be written to.
    """
    for label in labels:
        check_file_name(label)
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; give the name of a folder for the results")
    endings = (".osim", ".mot", ".trc")
    refuse_existing([out / f"{label}{ending}" for label in labels for ending in endings], overwrite=options.overwrite)
    refuse_unwritable(out, need_bytes=LEAST_FREE_BYTES)

"""The loop over the people of a clip: names, results and files of each in one folder."""

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
from ..io.staging import finish
from ..option_checks import check_file_name
from ..types import Observation, Progress, SkelMotion, quiet
from .options import ResultOptions
from .results import Result, make_results
from .write import write_results

LEAST_FREE_BYTES = 16_000_000
"""Least free space to start with: the files of a short clip take half of it."""
Source = TypeVar("Source")


@dataclass(frozen=True, eq=False, kw_only=True)
class Person:
    """One person's motion in the world frame, with its body."""

    motion: SkelMotion
    body: Body
    observation: Observation | None = None
    lower: bool = False
    """Whether to move the motion vertically so that its lowest foot marker is at y = 0."""


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
        place: transforms a source to a person in the world frame.
        options: of the results.
        name: first part of the names of the first person's files; the second person's begin with ``NAME_p2``.
        timer: of the run, for the times in the reports; None: no times.
        with_observations: whether to write the observations too.
        progress: called for each person if there are several.

    Returns:
        One result per person, with the paths of its files.
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
            seen = person.observation
            made = make_results(person.motion, person.body, options, name=label, lower=person.lower, observation=seen)
            clock.stop("subject, map and checks")
            made = replace(made, timings_s={} if timer is None else clock.passed_s)
            made = write_results(folder, made, person.body, options, with_observation=with_observations)
            clock.stop("files and report")
            paths = tuple(out / path.relative_to(folder) for path in made.paths)
            results.append(replace(made, paths=paths, timings_s=dict(made.timings_s)))
        if len(labels) > 1:
            progress("person", len(labels), len(labels))
    return results


def labels_of(name: str, count: int) -> list[str]:
    """Return the first parts of the people's file names.

    Args:
        name: of the first person.
        count: number of people.

    Returns:
        ``NAME, NAME_p2, NAME_p3 ...``
    """
    return [name, *(f"{name}_p{person}" for person in range(2, count + 1))]


def refuse_early(out: Path, labels: Sequence[str], options: ResultOptions) -> None:
    """Check before the work that the results can be written.

    Args:
        out: folder of the results.
        labels: first parts of the people's file names.
        options: whether files may be replaced.

    Raises:
        InputError: a name is not usable in file names, results exist already, or the folder cannot be written to.
    """
    for label in labels:
        check_file_name(label)
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; give the name of a folder for the results")
    finish(out)
    endings = (".osim", ".mot", ".trc")
    refuse_existing([out / f"{label}{ending}" for label in labels for ending in endings], overwrite=options.overwrite)
    refuse_unwritable(out, need_bytes=LEAST_FREE_BYTES)

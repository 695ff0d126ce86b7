"""A trial as it travels to a worker, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .columns import TrialOptions
from .plain import options_from_json, options_to_json

TRIALS = "trials"
"""Folder of the trials in that of a study."""
_PATHS = ("source", "study", "lock")
State = Literal["done", "crashed", "lost", "disk full", "stopped"]
"""``crashed``: the trial's process ended; ``lost``: its worker did. Both are tried again."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Task:
    """All that a worker needs to compute a trial."""

    name: str
    source: Path
    command: str
    options: TrialOptions
    key: Mapping[str, str]
    study: Path
    """Folder of the study: absolute, the same on all machines."""
    lock: Path
    """When this file is gone, or of another run, nobody waits for the trial any more: its process is ended."""
    run: str
    """Name of the run, as the lock has it."""
    timeout_s: float | None = None
    memory_gb: float | None = None
    extras: tuple[str, ...] = ()
    """``analyse``, ``tables``."""
    attempts: tuple[str, ...] = ()
    """Reasons why earlier attempts ended."""
    last: bool = False
    """Whether a crash is the trial's result."""

    @property
    def folder(self) -> Path:
        """Of the trial's results."""
        return self.study / TRIALS / self.name

    def to_json(self) -> dict[str, Any]:
        """Return the task as JSON values."""
        paths = {name: str(getattr(self, name)) for name in _PATHS}
        return {**vars(self), **paths, "options": options_to_json(self.options)}


def task_from_json(stored: Mapping[str, Any]) -> Task:
    """Return the task of :meth:`Task.to_json`.

    Args:
        stored: JSON values.

    Returns:
        The task.
    """
    paths = {name: Path(stored[name]) for name in _PATHS}
    words = {name: tuple(stored[name]) for name in ("extras", "attempts")}
    return Task(**{**stored, **paths, **words, "options": options_from_json(stored["options"])})


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a task; the results are in the trial's folder."""

    state: State
    reason: str = ""
    final: bool = False
    """Whether another attempt is no use."""

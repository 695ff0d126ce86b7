"""Observations stored until the results are written, so that an interrupted run need not repeat the estimation."""

from __future__ import annotations

import glob
import hashlib
from os import PathLike
from pathlib import Path

from ..errors import FormatError
from ..io.npz import load_observation, save_observation
from ..types import Observation
from .options import Image2MotOptions

_DIGEST = 12
"""Hexadecimal digits of the key in the file names: 48 bits separate the few runs of one folder."""


class Memory:
    """Observations of a run in hidden files of its output folder.

    Args:
        out: folder of the results.
        name: of the results' files.
        source: the video.
        options: of the run; runs with another estimator or another part of the video have files of their own.
    """

    def __init__(self, out: Path, name: str, source: str | PathLike[str], options: Image2MotOptions) -> None:
        facts = [options.estimator, options.estimate, options.people, options.refine]
        path = Path(source)
        if path.is_file():
            facts += [path.resolve(), path.stat().st_size, path.stat().st_mtime_ns]
        digest = hashlib.sha256(repr(facts).encode()).hexdigest()[:_DIGEST]
        self._folder, self._name, self._prefix = out, name, f".{name}.{digest}."
        self._enabled = path.is_file() and options.estimator not in ("replay", "keypoints")  # these read files, quickly

    def recall(self) -> list[Observation]:
        """Return the observations that an interrupted run with the same source and options stored, if there are any."""
        if not self._enabled:
            return []
        try:
            return [load_observation(path) for path in sorted(self._folder.glob(f"{glob.escape(self._prefix)}*.npz"))]
        except FormatError:
            return []

    def keep(self, observations: list[Observation]) -> list[Observation]:
        """Store the observations and return them."""
        if self._enabled:
            self._folder.mkdir(parents=True, exist_ok=True)
            for person, observation in enumerate(observations):
                save_observation(self._folder / f"{self._prefix}{person:03d}.npz", observation)
        return observations

    def forget(self) -> None:
        """Remove the stored observations of this name, also those of interrupted runs with other options."""
        for path in self._folder.glob(f".{glob.escape(self._name)}.{'?' * _DIGEST}.???.npz"):
            path.unlink(missing_ok=True)

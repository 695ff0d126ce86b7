"""What an estimator saw, kept until the results are written, so that an interrupted run need not look at the video again."""

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


class Memory:
    """Observations of a run in hidden files of its output folder.

    Args:
        out: folder of the results.
        name: of the results' files.
        source: the video.
        options: of the run; another estimator or another part of the video is another run.
    """

    def __init__(self, out: Path, name: str, source: str | PathLike[str], options: Image2MotOptions) -> None:
        facts = [options.estimator, options.estimate, options.people, options.refine]
        path = Path(source)
        if path.is_file():
            facts += [path.resolve(), path.stat().st_size, path.stat().st_mtime_ns]
        digest = hashlib.sha256(repr(facts).encode()).hexdigest()[:_DIGEST]
        self._folder, self._name, self._prefix = out, name, f".{name}.{digest}."
        self._worth = path.is_file() and options.estimator != "replay"

    def recall(self) -> list[Observation]:
        """Return the observations of an interrupted run on the same source with the same options; none if there are none."""
        if not self._worth:
            return []
        try:
            return [load_observation(path) for path in self._files()]
        except FormatError:
            return []

    def keep(self, observations: list[Observation]) -> list[Observation]:
        """Store the observations, and return them."""
        if self._worth:
            self._folder.mkdir(parents=True, exist_ok=True)
            for person, observation in enumerate(observations):
                save_observation(self._folder / f"{self._prefix}{person:03d}.npz", observation)
        return observations

    def forget(self) -> None:
        """Remove the stored observations, also those of runs with other options that nobody went on with."""
        for path in self._folder.glob(f".{glob.escape(self._name)}.{'?' * _DIGEST}.???.npz"):
            path.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob(f"{glob.escape(self._prefix)}*.npz"))

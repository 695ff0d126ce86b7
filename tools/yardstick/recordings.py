"""Reads joint-centre trajectories of recorded movement: ``.npz`` files of trials, each with subject, activity, rate and split.

Keys of a file: ``joints_m`` (T, J, 3) metres, y up; ``joint_names``; ``trial`` (T,) index into ``trial_names``, ``subject``,
``activity``, ``rate_hz`` and ``split``. NaN where a joint is not known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hsmr_bio.errors import FormatError

Array = npt.NDArray[np.float64]
RATE_HZ = 30.0
"""Rate of the stored motions: that of most phone videos."""
SIDES = "rl"
PLACES = ("hip", "knee", "ankle", "toe", "shoulder", "elbow", "wrist")
POINTS = tuple(f"{place}_{side}" for place in PLACES for side in SIDES)
"""Joint centres that mean the same in all files; ends and spine differ from source to source and are left out."""
_KEYS = ("joints_m", "joint_names", "trial", "trial_names", "subject", "activity", "rate_hz", "split")
_LEAST_KNOWN = 0.9
"""Share of a trial's frames in which a joint must be known, to count as recorded (chosen)."""


@dataclass(frozen=True, eq=False)
class Recording:
    """One trial."""

    source: str
    """Name of its file, without the ending."""
    name: str
    subject: str
    activity: str
    split: str
    """``train`` or ``val``; all trials of a subject have the same."""
    source_rate_hz: float
    time_s: Array
    """(T,) at ``RATE_HZ``, or the source's rate if that is lower."""
    points_m: Array
    """(T, 14, 3) in the order of ``POINTS``, y up; NaN where not known."""

    @property
    def person(self) -> str:
        """Whose limb lengths the trial has: a subject has other lengths in another file."""
        return f"{self.source}/{self.subject}"

    def missing(self) -> list[str]:
        """Joints that are not known in most frames."""
        known = np.isfinite(self.points_m).all(axis=2).mean(axis=0)
        return [name for name, share in zip(POINTS, known, strict=True) if share < _LEAST_KNOWN]


def recordings(folder: Path) -> Iterator[Recording]:
    """Read all trials of a folder, in the order of the files' names.

    Args:
        folder: with one or more ``.npz`` files.

    Yields:
        The trials, resampled.

    Raises:
        FormatError: a file lacks a key, or there is none.
    """
    files = sorted(folder.glob("*.npz"))
    if not files:
        raise FormatError(folder, "folder", "expected .npz files of joint centres: give the folder of the corpus")
    for file in files:
        with np.load(file, allow_pickle=False) as stored:
            if missing := [key for key in _KEYS if key not in stored.files]:
                raise FormatError(file, ", ".join(missing), "keys that a file of joint centres must have")
            arrays = {key: stored[key] for key in _KEYS}
        yield from _trials(file.stem, arrays)


def _trials(source: str, arrays: dict[str, npt.NDArray[np.generic]]) -> Iterator[Recording]:
    names = [str(name) for name in arrays["joint_names"]]
    columns = [names.index(name) for name in POINTS]
    for trial, name in enumerate(arrays["trial_names"]):
        points = np.asarray(arrays["joints_m"][arrays["trial"] == trial][:, columns], dtype=np.float64)
        rate_hz = float(np.asarray(arrays["rate_hz"], dtype=np.float64)[trial])
        time_s, resampled = at_rate(points, rate_hz)
        yield Recording(
            source=source,
            name=str(name),
            subject=str(arrays["subject"][trial]),
            activity=str(arrays["activity"][trial]),
            split=str(arrays["split"][trial]),
            source_rate_hz=rate_hz,
            time_s=time_s,
            points_m=resampled,
        )


def at_rate(points_m: Array, rate_hz: float) -> tuple[Array, Array]:
    """Resample to ``RATE_HZ`` by linear interpolation between neighbours; a lower rate stays.

    Args:
        points_m: (T, P, 3).
        rate_hz: of ``points_m``.

    Returns:
        Times (N,) from 0, and points (N, P, 3). A point is NaN where a neighbour that it is made of is.
    """
    last_s = (len(points_m) - 1) / rate_hz
    wanted_hz = min(RATE_HZ, rate_hz)
    time_s = np.arange(int(last_s * wanted_hz + 1e-6) + 1) / wanted_hz
    place = np.clip(time_s * rate_hz, 0, len(points_m) - 1)
    whole = np.round(place)
    place = np.where(np.abs(place - whole) < 1e-3, whole, place)  # a rate of 59.9988 Hz is every second frame of 60
    before = np.floor(place).astype(int)
    share = (place - before)[:, None, None]
    after = np.minimum(before + 1, len(points_m) - 1)
    mixed = points_m[before] * (1 - share) + points_m[after] * share
    return time_s, np.where(share == 0, points_m[before], mixed)

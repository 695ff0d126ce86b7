"""The fitted motions: how they are stored, and windows of them with a floor, a head that moves and forearms that turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import cast

import numpy as np
from recordings import Array
from scipy.ndimage import gaussian_filter1d

from hsmr_bio.body.body import Body
from hsmr_bio.body.load import load_body
from hsmr_bio.errors import FormatError
from hsmr_bio.fitting.core.body_points import SolePoints
from hsmr_bio.io.atomic import new_file
from hsmr_bio.skeleton import DOF_NAMES
from hsmr_bio.types import Sex, SkelMotion

_TEXT = ("source", "name", "subject", "activity", "split", "sex", "body")
_FLOATS = ("rate_hz", "source_rate_hz", "residual_m", "floor_m")
_LEVEL_M = 0.25
"""A window whose lowest sole is within this height of the trial's floor stands on a floor of its own; above, it hangs."""
_STANDING_PERCENTILE = 5.0
_IDLE_DEG = {"head_bending": 6.0, "head_extension": 8.0, "head_twist": 16.0, "pro_sup": 20.0, "wrist_flexion": 8.0}
"""Degrees of slow movement of what joint centres do not show (chosen); pro_sup and wrist_flexion have two sides."""
_IDLE_S = 0.5
"""Deviation of the Gaussian that the slow movement is smoothed with."""


@dataclass(frozen=True, eq=False)
class Trial:
    """A fitted trial; angles and translations in the world frame, the floor near 0."""

    source: str
    name: str
    subject: str
    activity: str
    split: str
    sex: str
    body: str
    """Name with hash of the body that the betas belong to."""
    rate_hz: float
    source_rate_hz: float
    residual_m: float
    """Mean distance of the joints from their targets."""
    floor_m: float
    """What was subtracted from the heights: the 5th percentile of the lowest sole."""
    betas: Array
    q: Array
    """(T, 49)."""
    frame_residual_m: Array
    """(T,), infinite where nothing was recorded."""


def save_trials(path: Path, trials: Sequence[Trial]) -> None:
    """Write trials: per frame ``q`` (F, 49) float32 and ``frame_residual_m`` float16, per trial the other fields."""
    arrays: dict[str, np.ndarray] = {
        "frames": np.array([len(trial.q) for trial in trials]),
        "q": np.concatenate([trial.q for trial in trials]).astype(np.float32),
        "frame_residual_m": np.concatenate([trial.frame_residual_m for trial in trials]).astype(np.float16),
        "betas": np.array([trial.betas for trial in trials], dtype=np.float32),
    }
    arrays |= {name: np.array([getattr(trial, name) for trial in trials]) for name in (*_TEXT, *_FLOATS)}
    with new_file(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]


def load_trials(path: Path) -> list[Trial]:
    """Read a file of :func:`save_trials`.

    Raises:
        FormatError: a key is missing.
    """
    with np.load(path, allow_pickle=False) as stored:
        if missing := {"frames", "q", "betas", "frame_residual_m", *_TEXT, *_FLOATS} - set(stored.files):
            raise FormatError(path, ", ".join(sorted(missing)), "keys of fitted motions: make the file with corpus.py")
        arrays = {name: stored[name] for name in stored.files}
    ends = np.cumsum(arrays["frames"])
    return [
        Trial(
            **{name: str(arrays[name][i]) for name in _TEXT},
            **{name: float(arrays[name][i]) for name in _FLOATS},
            betas=arrays["betas"][i].astype(np.float64),
            q=arrays["q"][end - count : end].astype(np.float64),
            frame_residual_m=arrays["frame_residual_m"][end - count : end].astype(np.float64),
        )
        for i, (end, count) in enumerate(zip(ends, arrays["frames"], strict=True))
    ]


def soles_m(body: Body, motion: SkelMotion) -> Array:
    """(T, 8) heights of the sole points."""
    points = SolePoints(body)(motion.betas, np.zeros((8, 3)))
    pose = body.tree(motion.betas).forward(np.asarray(motion.q))
    return np.asarray(pose.points(points.bodies, points.local_m).numpy()[..., 1])


def good_windows(trial: Trial, frames: int, step: int, most_residual_m: float) -> list[int]:
    """First frames of the windows in which the body fits."""
    worst = [trial.frame_residual_m[i : i + frames].max() for i in range(0, len(trial.q) - frames + 1, step)]
    return [i * step for i, value in enumerate(worst) if value <= most_residual_m]


def window(trial: Trial, first: int, frames: int, rng: np.random.Generator) -> tuple[SkelMotion, Body]:
    """Cut a window out of a trial.

    Args:
        trial: fitted.
        first: frame.
        frames: number of frames.
        rng: moves what the recording does not show.

    Returns:
        The motion in the world, from time 0, on a floor at 0; and its body.

    Raises:
        FormatError: the trial was fitted to another build of the open body.
    """
    body = _body(trial.sex)
    if body.name != trial.body:
        raise FormatError(trial.name, "body", f"fitted to {trial.body}, the package has {body.name}: run corpus.py again")
    q = trial.q[first : first + frames].copy()
    q[:, :46] += _idle(frames, trial.rate_hz, rng)
    motion = SkelMotion(
        time_s=np.arange(frames) / trial.rate_hz,
        poses_rad=q[:, :46],
        trans_m=q[:, 46:],
        betas=trial.betas,
        body=body.name,
        frame="world",
        source=f"{trial.source}/{trial.name} from frame {first}",
    )
    lowest = float(np.percentile(soles_m(body, motion).min(axis=1), _STANDING_PERCENTILE))
    down = np.array([0.0, lowest if abs(lowest) < _LEVEL_M else 0.0, 0.0])
    return replace(motion, trans_m=motion.trans_m - down), body


@lru_cache(maxsize=3)
def _body(sex: str) -> Body:
    return load_body("open", cast(Sex, sex))


def _idle(frames: int, rate_hz: float, rng: np.random.Generator) -> Array:
    """(T, 46) slow movement, radians: a constant and a slow change of the same size."""
    added = np.zeros((frames, len(DOF_NAMES)))
    smooth = _IDLE_S * rate_hz
    for start, degrees in _IDLE_DEG.items():
        for column in [index for index, name in enumerate(DOF_NAMES) if name.startswith(start)]:
            noise = gaussian_filter1d(rng.normal(size=frames + 2 * int(4 * smooth)), smooth)[int(4 * smooth) :][:frames]
            slow = noise * np.sqrt(2 * smooth * np.sqrt(np.pi))  # back to unit deviation
            added[:, column] = np.radians(degrees) * (rng.normal() + slow) / np.sqrt(2)
    return added

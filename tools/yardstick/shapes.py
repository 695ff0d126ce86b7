"""Bodies with a subject's limb lengths, and joint centres of the recorded posture with the body's own lengths.

A thigh one per cent too long bends a straight knee by 16 degrees, so a recording is not fitted as it is: every bone keeps its
recorded direction and takes the length of the body that will be posed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from recordings import POINTS, SIDES, Array, Recording

from hsmr_bio.body.body import Body
from hsmr_bio.body.load import load_body
from hsmr_bio.fitting.video.joint_centres import JOINT_OF_POINT
from hsmr_bio.skeleton import JOINT_NAMES
from hsmr_bio.types import SEXES

_P = {name: index for index, name in enumerate(POINTS)}
_JOINT = {name: JOINT_NAMES.index(f"{JOINT_OF_POINT[name[:-2]]}_{name[-1]}") for name in POINTS}
LIMBS = (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))
LIMB_SIGMA_M, WIDTH_SIGMA_M = 0.012, 0.03
"""How well a subject's limb lengths are met; widths of hips and shoulders mean other points in every source (chosen)."""
BETA_LIMIT = 2.5
"""The open body is human within this many standard deviations of each beta (reference: 3)."""
_SEX_COST = 3.0
"""Difference of the costs at which the better body is chosen e times as often."""
_FOOT_PITCH_LIMIT_RAD = np.radians(12.0)
"""Larger turns come from feet that never stand flat (pointe), not from other joint centres (chosen)."""
_SPREAD = 0.6
"""Share of the shape's spread that lengths leave open, e.g. girth, which is drawn at random."""
_STEPS = 4
_FLAT_M = 0.03
"""A foot whose ankle and toe are both less than this above their lowest heights is flat on the floor (chosen)."""
_LOWEST_PERCENTILE = 5.0
_LEAST_FLAT = 5
"""Frames from which the slope of a flat foot is read."""


@dataclass(frozen=True, eq=False)
class Shape:
    """The body of one subject, and the figures that turn its recordings into targets."""

    body: Body
    betas: Array
    """(10,)."""
    source_m: dict[str, float]
    """Length -> of the subject."""
    body_m: dict[str, float]
    """Length -> of the body in its T pose."""
    foot_pitch_rad: float
    """Turn about the ankle, toes up, of the recorded line from ankle to toe to that of the body."""

    @property
    def scale(self) -> float:
        """Length of the body's legs over that of the subject's."""
        return (self.body_m["hip-knee"] + self.body_m["knee-ankle"]) / (self.source_m["hip-knee"] + self.source_m["knee-ankle"])


def _middle(points: Array, place: str) -> Array:
    return np.asarray((points[..., _P[f"{place}_r"], :] + points[..., _P[f"{place}_l"], :]) / 2)


def lengths(points_m: Array) -> dict[str, Array]:
    """Limb lengths, half widths and trunk length of joint centres (..., 14, 3), each (...); mean of both sides."""
    found = {}
    for near, far in (*LIMBS, ("ankle", "toe")):
        sides = [points_m[..., _P[f"{far}_{s}"], :] - points_m[..., _P[f"{near}_{s}"], :] for s in SIDES]
        found[f"{near}-{far}"] = np.mean([np.linalg.norm(side, axis=-1) for side in sides], axis=0)
    for place in ("hip", "shoulder"):
        across = points_m[..., _P[f"{place}_r"], :] - points_m[..., _P[f"{place}_l"], :]
        found[f"half {place}s"] = np.linalg.norm(across, axis=-1) / 2
    found["trunk"] = np.linalg.norm(_middle(points_m, "shoulder") - _middle(points_m, "hip"), axis=-1)
    return found


def subject_shape(trials: Sequence[Recording], seed: int) -> Shape:
    """Choose a body for a subject: of the three open bodies rather one that needs no unusual shape.

    Args:
        trials: of one person.
        seed: of what lengths do not tell (girth); other subjects get other draws from the same seed.

    Returns:
        The body and its shape.
    """
    points = np.concatenate([trial.points_m for trial in trials])
    source = {name: float(np.nanmedian(values)) for name, values in lengths(points).items()}
    digest = hashlib.sha256(f"{seed}/{trials[0].person}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    fits = [(*betas_of_lengths(body, source, rng), body) for body in (load_body("open", sex) for sex in SEXES)]
    costs = np.array([fit[0] for fit in fits])
    likely = np.exp(-(costs - costs.min()) / _SEX_COST)
    _, betas, body = fits[int(rng.choice(len(fits), p=likely / likely.sum()))]
    rest = rest_points(body, betas)
    own = {name: float(value) for name, value in lengths(rest).items()}
    slope = float(np.arctan2(*_foot_rise(rest)).mean())
    pitch = np.clip(slope - _flat_slope(trials, slope), -_FOOT_PITCH_LIMIT_RAD, _FOOT_PITCH_LIMIT_RAD)
    return Shape(body, betas, source, own, float(pitch))


def rest_points(body: Body, betas: Array) -> Array:
    """(14, 3) joint centres of the T pose."""
    return np.asarray(body.rest(betas).joints_m[[_JOINT[name] for name in POINTS]])


def betas_of_lengths(body: Body, wanted_m: dict[str, float], rng: np.random.Generator) -> tuple[float, Array]:
    """Find betas for lengths, by Gauss-Newton with the population as prior.

    Args:
        body: open body.
        wanted_m: as of :func:`lengths`.
        rng: draws what lengths leave open.

    Returns:
        Half the sum of squares (lengths and prior) of the best betas, and drawn betas (10,) about it.
    """
    names = [name for name in wanted_m if name != "ankle-toe"]
    target = np.array([wanted_m[name] for name in names])
    sigma = np.array([LIMB_SIGMA_M if "-" in name else WIDTH_SIGMA_M for name in names])
    betas, step = np.zeros(10), 1e-3

    def measured(at: Array) -> Array:
        found = lengths(rest_points(body, at))
        return np.array([float(found[name]) for name in names])

    for _ in range(_STEPS):
        now = measured(betas)
        slope = np.stack([(measured(betas + step * row) - now) / step for row in np.eye(10)], axis=1) / sigma[:, None]
        normal = slope.T @ slope + np.eye(10)
        betas = betas + np.linalg.solve(normal, slope.T @ ((target - now) / sigma) - betas)
    cost = 0.5 * float(np.sum(((target - measured(betas)) / sigma) ** 2) + betas @ betas)
    drawn = betas + _SPREAD * np.linalg.cholesky(np.linalg.inv(normal)) @ rng.normal(size=10)
    return cost, np.clip(drawn, -BETA_LIMIT, BETA_LIMIT)


def _foot_rise(points_m: Array) -> tuple[Array, Array]:
    """Rise and level distance (..., 2) from ankle to toe of both feet."""
    foot = np.stack([points_m[..., _P[f"toe_{s}"], :] - points_m[..., _P[f"ankle_{s}"], :] for s in SIDES], axis=-2)
    return foot[..., 1], np.hypot(foot[..., 0], foot[..., 2])


def _flat_slope(trials: Sequence[Recording], default_rad: float) -> float:
    """Median slope of the line from ankle to toe while the foot is flat on the floor."""
    found = []
    for trial in trials:
        for foot, side in enumerate(SIDES):
            heights = trial.points_m[:, [_P[f"ankle_{side}"], _P[f"toe_{side}"]], 1]
            if not np.isfinite(heights).any(axis=0).all():
                continue
            flat = (heights < np.nanpercentile(heights, _LOWEST_PERCENTILE, axis=0) + _FLAT_M).all(axis=1)
            rise, level = _foot_rise(trial.points_m[flat])
            found.append(np.arctan2(rise[:, foot], level[:, foot]))
    slopes = np.concatenate(found) if found else np.zeros(0)
    return float(np.median(slopes)) if len(slopes) >= _LEAST_FLAT else default_rad


def targets(shape: Shape, points_m: Array) -> Array:
    """Give a recorded posture the body's own lengths.

    Args:
        shape: of the subject.
        points_m: (T, 14, 3).

    Returns:
        (T, 14, 3): the middle of the hips is scaled with the legs, so that feet stand where they stood, on a smaller or larger
        floor plan; every bone has its recorded direction.
    """
    source, own, made = shape.source_m, shape.body_m, np.full_like(points_m, np.nan)
    hips, shoulders = _middle(points_m, "hip"), _middle(points_m, "shoulder")
    root = hips * shape.scale
    neck = root + (shoulders - hips) * (own["trunk"] / source["trunk"])
    for side in SIDES:
        for place, old, new in (("hip", hips, root), ("shoulder", shoulders, neck)):
            ratio = own[f"half {place}s"] / source[f"half {place}s"]
            at = _P[f"{place}_{side}"]
            made[:, at] = new + (points_m[:, at] - old) * ratio
        for near, far in LIMBS:
            start, end = _P[f"{near}_{side}"], _P[f"{far}_{side}"]
            made[:, end] = made[:, start] + own[f"{near}-{far}"] * _unit(points_m[:, end] - points_m[:, start])
        knee, ankle, toe = (_P[f"{place}_{side}"] for place in ("knee", "ankle", "toe"))
        along = _pitched(points_m[:, toe] - points_m[:, ankle], points_m[:, ankle] - points_m[:, knee], shape.foot_pitch_rad)
        made[:, toe] = made[:, ankle] + own["ankle-toe"] * along
    return made


def _unit(vectors: Array) -> Array:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9))


def _pitched(foot: Array, shank: Array, pitch_rad: float) -> Array:
    """Unit directions of feet (T, 3), turned by a pitch, toes up, in the plane of foot and shank (downwards)."""
    along = _unit(foot)
    down = _unit(shank - (shank * along).sum(axis=-1, keepdims=True) * along)
    return np.asarray(np.cos(pitch_rad) * along - np.sin(pitch_rad) * down)

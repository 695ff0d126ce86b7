"""Vertical ground reaction of each foot without force plates, with its uncertainty.

Newton's laws give the total force and the point where it acts on the floor. How two standing feet share it does not follow
from them. What is known is combined by inverse variance: the lever rule between the feet (its deviation grows as the feet come
closer), the time in a double support of walking, and symmetry where nothing else tells (standing, squat, rise). A symmetric
posture with unequal forces cannot be seen.

Source:
    Priors and their deviations were measured on five double supports of two walkers (trailing share 0.78, 0.56, 0.24 at a
    quarter, half and three quarters, all within 0.06); time alone as in Ren 2008 (J Biomech 41:2750), lever rule as in Dijkstra
    and Gutierrez-Farewik 2015 (J Biomech).
"""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np

from ..arrays import BoolArray, FloatArray
from ..errors import InputError
from ..filtering import lowpass, runs
from ..osim.build import GRAVITY_M_S2
from ..osim.library import Model
from ..types import OsimMotion
from .analyse_motion import read_analysed
from .foot_events import foot_events, standing
from .hips import hip_height_m, seated
from .momentum import angular_momentum
from .movement import SIDES, Movement, stretches
from .place import place
from .recognise import Task, recognise
from .travel import Travel, travel

if TYPE_CHECKING:
    import pandas as pd

_CUTOFF_HZ = {"gait": 6.0, "jump": 6.0, "squat": 2.0, "sit-to-stand": 2.0, "none": 0.5}
"""Cutoff of centre of mass and angular momentum: they move no faster in that task; what is faster is noise."""
_ZMP_SD_M = {"gait": 0.03, "jump": 0.03, "squat": 0.03, "sit-to-stand": 0.03, "none": 0.015}
"""Of the point where the total force acts: measured in walking; smaller (chosen) in standing, where it is below the centre of
mass and accelerations, which are noise, are left out."""
_TOTAL_SD = 0.03
"""Of the total vertical force, over body weight."""
_TIME_SD = 0.06
"""Of the share that time in double support tells."""
_SYMMETRY_SD = {"squat": 0.05, "none": 0.05, "sit-to-stand": 0.07}
"""Of an equal share, where both feet stand and nothing else tells."""
_SINGLE_SD = 0.02
"""Of the share of a foot that stands alone."""
_LEADING_PLACE, _TRAILING_PLACE, _STANDING_PLACE = 0.3, 1.0, 0.45
"""Where a foot presses, from heel (0) to ball (1): at the start of its stance, at its end, and in quiet standing."""
_SEATED_SHARE, _SEATED_SD = 0.17, 0.05
"""Share of body weight that the feet of a sitting person carry: shanks and feet (12 %), up to half the thighs more (Winter
2009, table 4.1)."""
_SEAT_M, _SEAT_RAMP_S = 0.03, 0.2
"""Somebody sits while the hips are within 3 cm of their seated height; load moves to the feet within 0.2 s."""


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class SideForces:
    """Estimated vertical forces on the right and the left foot; never measured ones."""

    time_s: FloatArray
    """(T,)."""
    vertical_n: FloatArray
    """(T, 2) right, left."""
    sd_n: FloatArray
    """(T, 2) standard deviations."""
    pressure_m: FloatArray
    """(T, 2, 3) centre of pressure on the floor; NaN where a foot carries nothing."""
    share_sd: FloatArray
    """(T,) standard deviation of the right foot's share."""
    weight_n: float
    task: str

    def __repr__(self) -> str:
        return f"SideForces({len(self.time_s)} frames, {self.task}, body weight {self.weight_n:.0f} N)"

    @property
    def guessed(self) -> BoolArray:
        """(T,) where the assumption of equal sides decides more than what is seen: draw these in another style."""
        prior = _SYMMETRY_SD.get(self.task)
        if prior is None:
            return np.zeros(len(self.time_s), dtype=np.bool_)
        return np.asarray(self.share_sd > prior / np.sqrt(2))

    def to_frame(self) -> pd.DataFrame:
        """Export as a table.

        Returns:
            T rows, index ``time_s``; ``vertical_r_n, vertical_l_n, vertical_r_sd_n, vertical_l_sd_n`` and the centres of
            pressure ``pressure_r_x_m`` ... .
        """
        import pandas as pd

        columns = {f"vertical_{side}_n": self.vertical_n[:, k] for k, side in enumerate(SIDES)}
        columns |= {f"vertical_{side}_sd_n": self.sd_n[:, k] for k, side in enumerate(SIDES)}
        for k, side in enumerate(SIDES):
            columns |= {f"pressure_{side}_{axis}_m": self.pressure_m[:, k, i] for i, axis in enumerate("xyz")}
        return pd.DataFrame(columns, index=pd.Index(np.array(self.time_s), name="time_s"))


def side_forces(
    motion: OsimMotion | str | PathLike[str], model: Model | None = None, *, task: Task | None = None, floor_m: float = 0.0
) -> SideForces:
    """Estimate the vertical ground reaction of each foot from the motion.

    Args:
        motion: coordinates, or the path of a ``.mot``; without a gap.
        model: with masses; None: the ``.osim`` of the same name beside the path.
        task: None: recognised. It decides the low-pass filter and whether symmetry may tell.
        floor_m: height of the floor.

    Returns:
        The forces. While somebody sits, the feet carry about a sixth of the weight.

    Raises:
        InputError: the motion has gaps or is too short.
    """
    coordinates, document = read_analysed(motion, model)
    placed = place(coordinates, document)
    parts = stretches(placed.movement)
    if len(parts) != 1 or len(parts[0].time_s) != len(coordinates.time_s):
        raise InputError("side forces need a motion of constant rate without gaps: cut or resample it first")
    movement = parts[0]
    kind = recognise(movement)[0] if task is None else task
    momentum = angular_momentum(coordinates, document)
    total_n, zmp_m = _total(movement, momentum, placed.mass_kg, _CUTOFF_HZ[kind], floor_m, still=kind == "none")
    weight_n = placed.mass_kg * GRAVITY_M_S2
    share, share_sd, places = _share(movement, kind, zmp_m)
    seat, seat_sd = _seat_factor(movement, kind, total_n, weight_n)
    carried = np.maximum(total_n, 0.0) * seat
    shares = np.stack([share, 1 - share], axis=1)
    vertical = carried[:, None] * shares
    carried_sd = np.hypot(_TOTAL_SD * weight_n, seat_sd)
    sd_n = np.hypot(carried[:, None] * share_sd[:, None], shares * carried_sd[:, None])
    middle = np.einsum("tk,tkx->tx", shares, places)
    pressure = places + (zmp_m - middle)[:, None, :]
    pressure[..., 1] = floor_m
    pressure[vertical < 20.0] = np.nan
    return SideForces(
        time_s=movement.time_s,
        vertical_n=vertical,
        sd_n=sd_n,
        pressure_m=pressure,
        share_sd=share_sd,
        weight_n=weight_n,
        task=kind,
    )


def _total(
    movement: Movement, momentum: FloatArray, mass_kg: float, cutoff_hz: float, floor_m: float, *, still: bool
) -> tuple[FloatArray, FloatArray]:
    """Total vertical force (T,) and the point (T, 3) on the floor where the total force acts."""
    together = _lowpassed(np.concatenate([movement.com_m, momentum], axis=1), movement.rate_hz, cutoff_hz)
    speed = np.gradient(together, movement.time_s, axis=0)
    acceleration = np.gradient(speed[:, :3], movement.time_s, axis=0)
    force = mass_kg * (acceleration + np.array([0.0, GRAVITY_M_S2, 0.0]))
    moment = speed[:, 3:]
    com = together[:, :3]
    if still:
        return np.full(len(com), mass_kg * GRAVITY_M_S2), np.stack([com[:, 0], np.full(len(com), floor_m), com[:, 2]], axis=1)
    down = floor_m - com[:, 1]
    vertical = np.maximum(force[:, 1], 0.1 * mass_kg * GRAVITY_M_S2)  # no point in flight
    ahead = (moment[:, 2] + down * force[:, 0]) / vertical
    aside = (down * force[:, 2] - moment[:, 0]) / vertical
    zmp = np.stack([com[:, 0] + ahead, np.full(len(com), floor_m), com[:, 2] + aside], axis=1)
    return force[:, 1], zmp


def _lowpassed(values: FloatArray, rate_hz: float, cutoff_hz: float) -> FloatArray:
    """Low-pass columns, where the rate allows it."""
    return lowpass(values, rate_hz=rate_hz, cutoff_hz=cutoff_hz) if rate_hz > 2.2 * cutoff_hz else values


def _share(movement: Movement, kind: str, zmp_m: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Share of the right foot (T,), its deviation (T,), and where each foot presses (T, 2, 3)."""
    going = travel(movement, treadmill=None if kind == "gait" else False)
    stands = np.stack([_stands(going, kind, side) for side in SIDES], axis=1)
    along = _pressing(kind, stands)
    places = np.stack(
        [
            movement.points_m[f"heel_{s}"]
            + along[:, k, None] * (movement.points_m[f"toe_{s}"] - movement.points_m[f"heel_{s}"])
            for k, s in enumerate(SIDES)
        ],
        axis=1,
    )
    if kind in _SYMMETRY_SD:  # standing feet that move do so by noise
        places = _lowpassed(places.reshape(len(places), 6), movement.rate_hz, _CUTOFF_HZ[kind]).reshape(places.shape)
    lever, lever_sd = _lever(zmp_m, places, _ZMP_SD_M[kind])
    values, variances = [lever], [lever_sd**2]
    if kind == "gait":
        values.append(_by_time(movement.time_s, stands))
        variances.append(np.full(len(lever), _TIME_SD**2))
    elif kind in _SYMMETRY_SD:
        values.append(np.full(len(lever), 0.5))
        variances.append(np.full(len(lever), _SYMMETRY_SD[kind] ** 2))
    weights = 1 / np.array(variances)
    share = np.sum(np.array(values) * weights, axis=0) / weights.sum(axis=0)
    deviation = 1 / np.sqrt(weights.sum(axis=0))
    alone = stands[:, 0] != stands[:, 1]
    if kind in ("gait", "jump"):
        share = np.where(alone, stands[:, 0].astype(float), share)
        deviation = np.where(alone, _SINGLE_SD, deviation)
    return np.clip(share, 0, 1), deviation, places


def _stands(going: Travel, kind: str, side: str) -> BoolArray:
    """(T,) whether a foot is on the floor: from contact to off in walking, where a foot leaves after its ball gets fast."""
    stands = standing(going, side)
    if kind != "gait":
        return stands
    time_s = going.movement.time_s
    own = [event for event in foot_events(going) if event.side == side]
    if not own:
        return stands
    on = np.zeros(len(time_s), dtype=np.bool_)
    start = time_s[0] if own[0].name == "foot off" else None
    for event in own:
        if event.name == "foot contact":
            start = event.time_s
        elif start is not None:
            on |= (time_s >= start) & (time_s <= event.time_s)
            start = None
    return on if start is None else np.asarray(on | (time_s >= start))


def _lever(zmp_m: FloatArray, places: FloatArray, sd_m: float) -> tuple[FloatArray, FloatArray]:
    """Share of the right foot by the lever rule on the floor, and its deviation."""
    between_m = (places[:, 0] - places[:, 1]) * [1.0, 0.0, 1.0]
    squared = np.maximum(np.sum(between_m**2, axis=1), 1e-4)
    share = np.sum((zmp_m - places[:, 1]) * between_m, axis=1) / squared
    return np.clip(share, 0, 1), sd_m / np.sqrt(squared)


def _pressing(kind: str, stands: BoolArray) -> FloatArray:
    """(T, 2) where each foot presses from heel to ball: from the leading to the trailing place over a stance of walking."""
    if kind != "gait":
        return np.full(stands.shape, _STANDING_PLACE)
    along = np.full(stands.shape, _STANDING_PLACE)
    for k in range(2):
        both = runs(stands[:, 0] & stands[:, 1])
        for first, last in both:
            middle = stands[min(last + 1, len(stands) - 1), k]  # stands on after the double support: the leading foot
            along[first : last + 1, k] = _LEADING_PLACE if middle else _TRAILING_PLACE
    return along


def _by_time(time_s: FloatArray, stands: BoolArray) -> FloatArray:
    """Share of the right foot in double supports: from 1 to 0 or back, linear in time."""
    share = np.full(len(time_s), 0.5)
    for first, last in runs(stands[:, 0] & stands[:, 1]):
        right_leads = bool(stands[last + 1, 0]) if last + 1 < len(stands) else not bool(stands[max(first - 1, 0), 0])
        u = np.linspace(0, 1, last - first + 3)[1:-1]
        share[first : last + 1] = u if right_leads else 1 - u
    return share


def _seat_factor(movement: Movement, kind: str, total_n: FloatArray, weight_n: float) -> tuple[FloatArray, FloatArray]:
    """Part of the total force that the feet carry (the seat carries the rest), and the deviation of their force in N."""
    ones, zeros = np.ones(len(total_n)), np.zeros(len(total_n))
    if kind != "sit-to-stand" or not seated(movement)[0]:
        return ones, zeros
    height = hip_height_m(movement)
    seat = float(np.percentile(height, 5))
    sits = height < seat + _SEAT_M
    frames = max(round(_SEAT_RAMP_S * movement.rate_hz), 1)
    kernel = np.hanning(2 * frames + 1)
    ramp = np.convolve(np.pad(sits.astype(float), frames, mode="edge"), kernel / kernel.sum(), mode="valid")
    feet = 1 - (1 - _SEATED_SHARE) * ramp
    return feet, _SEATED_SD * weight_n * ramp

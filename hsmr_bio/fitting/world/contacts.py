"""Probability that soles are in contact: evidence of motion, of posture, and of whoever else saw the feet.

Motion: a sole in contact is slow and at the height of the lowest ones. Posture (``support``): it faces down, is the lowest part
of the body, and the centre of mass is above the feet. Pictures show no motion: there the posture decides alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import grey_opening, uniform_filter1d

from ...types import FloatArray
from .support import Posture, logistic

CONTACT_SPEED_M_S, CONTACT_SPEED_WIDTH_M_S = 0.35, 0.08
"""Speed of a sole at which contact has half probability, and width of the logistic function: between the slip of a fitted foot
in contact and the slowest swing (about 1 m/s)."""
CONTACT_HEIGHT_M, CONTACT_HEIGHT_WIDTH_M = 0.06, 0.015
"""The same for the height of a sole above the lowest ones."""
FIRST_DEPTH_SHARE, FIRST_HEIGHT_FACTOR = 0.3, 2.5
"""Before the feet were held: factor on speed towards the camera, because the distance from the camera still drifts, and on
``CONTACT_HEIGHT_M``, because heights still tilt with the camera."""
CONTACT_WINDOW_S = 0.15
"""Speeds are averaged over this time: half the shortest stance."""
LOWEST_PERCENT = 10
"""Percentile of the lowest sole's height over time that heights of contacts are measured from."""
STILL_CONTACT = 0.9
"""Most that the posture of a picture says about a contact."""
UNLOADED_CONTACT = 0.6
"""Probability that a foot which faces down and rests at the lowest height touches the floor, if something else carries the
body: feet of somebody on a chair."""
REST_S, REST_SPEED_M_S = 0.5, 0.15
"""A foot that is slower than this for so long rests on something, at whatever height."""
CONTACT_GROUPS = ([0], [1, 2, 3], [4], [5, 6, 7])
"""Sole points of the stored contacts: heel and forefoot, right foot first."""
FEWEST_FRAMES = 3
"""Fewer frames show no speed."""
_CERTAIN = 1e-6
"""Outside evidence is never more certain than this."""


@dataclass(frozen=True, eq=False)
class FootContacts:
    """What the feet do in each frame."""

    standing: FloatArray
    """(T, 8) probability that a sole point is at rest on the floor."""
    resting: FloatArray
    """(T, 8) probability that it is at rest at all: on the floor, or on something else (a box, a stair)."""
    carried: FloatArray
    """(T,) probability that the feet on the floor, and nothing else, carry the body."""
    over_feet: FloatArray
    """(T,) probability that the centre of mass is over the feet on the floor, whatever else may carry the body."""

    @property
    def floor(self) -> bool:
        """Whether any foot stands: without one there is no evidence of a floor."""
        return bool((self.standing.max(axis=1) > 0.5).any())

    def weighted(self, trust: FloatArray) -> FootContacts:
        """The same with probabilities times a factor (T,)."""
        by_point = trust[:, None]
        return FootContacts(self.standing * by_point, self.resting * by_point, self.carried * trust, self.over_feet)


def contacts(
    posture: Posture,
    time_s: FloatArray,
    tilt_sigma_rad: tuple[float, float],
    *,
    first: bool,
    over_feet: FloatArray | None = None,
    contact_probability: FloatArray | None = None,
) -> FootContacts:
    """Combine the evidence of contact of each sole point.

    Motion: the product of ``1 / (1 + exp((v - v0) / dv))`` and ``1 / (1 + exp((y - y0) / dy))`` for its speed and its height
    above the lowest soles of the clip; 1 for fewer than three frames. Posture: see :mod:`~hsmr_bio.fitting.world.support`.

    Args:
        posture: in level axes, as far as these are known.
        time_s: (T,).
        tilt_sigma_rad: standard deviations of pitch and roll of the vertical.
        first: whether the feet were not held yet.
        over_feet: (T,) probability that the centre of mass is over the feet; None: judged by this posture. One that was
            balanced over its feet before says nothing about it.
        contact_probability: (T, 4) evidence of something else, of heel and forefoot, right foot first; 0.5 or NaN: unknown.

    Returns:
        Contacts of all frames.

    Source:
        Independent evidence multiplies odds (Bayes).
    """
    still = len(time_s) < FEWEST_FRAMES
    slow, low, lasting = (np.ones(posture.soles_m.shape[:2]),) * 3 if still else _motion(posture, time_s, first=first)
    touching = _combined(slow * low * posture.underfoot(), contact_probability)
    if over_feet is None:
        over_feet = posture.carried(time_s, touching, tilt_sigma_rad)
    standing = touching * (STILL_CONTACT * over_feet if still else np.maximum(over_feet, UNLOADED_CONTACT))[:, None]
    resting = np.maximum(standing, lasting * posture.faces_down())
    elsewhere = np.where(standing < 0.5, resting, 0.0).reshape(len(standing), 2, 4).mean(axis=2)
    stands = standing.reshape(len(standing), 2, 4).max(axis=2)
    alone = 1 - (elsewhere * (1 - stands)).max(axis=1)
    return FootContacts(standing, resting, over_feet * alone, over_feet)


def _motion(posture: Posture, time_s: FloatArray, *, first: bool) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(T, 8) probabilities by the speed, by the height over the lowest soles, and by lasting rest."""
    interval_s = float(np.median(np.diff(time_s)))
    smooth = uniform_filter1d(posture.soles_m, max(1, round(CONTACT_WINDOW_S / interval_s)), axis=0, mode="nearest")
    velocity, most_m = np.gradient(smooth, time_s, axis=0), CONTACT_HEIGHT_M
    if first:
        velocity[..., 2] *= FIRST_DEPTH_SHARE
        most_m *= FIRST_HEIGHT_FACTOR
    speed = np.linalg.norm(velocity, axis=-1)
    slow = logistic((CONTACT_SPEED_M_S - speed) / CONTACT_SPEED_WIDTH_M_S)
    height = smooth[..., 1] - np.percentile(smooth[..., 1].min(axis=1), LOWEST_PERCENT)
    resting = logistic((REST_SPEED_M_S - speed) / (CONTACT_SPEED_WIDTH_M_S / 2))
    lasting = grey_opening(resting, size=(max(1, round(REST_S / interval_s)), 1), mode="nearest")
    return slow, logistic((most_m - height) / CONTACT_HEIGHT_WIDTH_M), np.minimum(lasting, resting)


def _combined(touching: FloatArray, others: FloatArray | None) -> FloatArray:
    """(T, 8) probability from ours (T, 8) and from evidence (T, 4) of the parts of the feet."""
    if others is None:
        return touching
    theirs = np.empty_like(touching)
    for part, group in enumerate(CONTACT_GROUPS):
        theirs[:, group] = np.clip(np.nan_to_num(others[:, part], nan=0.5), _CERTAIN, 1 - _CERTAIN)[:, None]
    both = touching * theirs
    return np.asarray(both / (both + (1 - touching) * (1 - theirs)))

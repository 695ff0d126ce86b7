"""What a posture alone says about its support: which soles can touch the ground, and whether the feet can carry the body.

A sole that touches the ground faces down and is the lowest part of the body. Feet carry the body if its centre of mass, ahead
by what its speed allows, is above them. Who sits, lies, hangs or is upside down fails one of these.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import uniform_filter1d

from ...skeleton import DOF_NAMES, JOINT_NAMES
from ...types import FloatArray
from ..core.body_points import MassPoints
from ..core.problem import View
from .balance import GRAVITY_M_S2, LEAST_HEIGHT_M

FLESH_M = {
    "femur": 0.09,
    "thorax": 0.1,
    "lumbar_body": 0.1,
    "head": 0.09,
    "humerus": 0.05,
    "tibia": 0.06,
    "ulna": 0.04,
    "hand": 0.03,
}
"""Distance from joint centres to the skin where a body lies, sits or kneels on them: rounded from the open body."""
HAND_LENGTH_M = 0.17
"""From the wrist to the tips of the fingers of the open body."""
UNDERFOOT_M, UNDERFOOT_WIDTH_M = 0.15, 0.03
"""Height above the lowest point of the body at which touching has half probability, and width of the logistic function: heights
of a fitted body tilt with the camera."""
FACING, FACING_WIDTH = 0.3, 0.08
"""The same for the cosine between the sole's normal and the vertical: at push-off a foot is raised by 60 degrees (Winter 1991),
a lying or kneeling person's by 90."""
CARRIED, CARRIED_BENT, CARRIED_WIDTH = 2.0, 1.0, 0.25
"""The same for the tilt, in its standard deviations, that would put the centre of mass over the feet: of a body on a straight
leg or in a clip, and of one with both legs bent in a picture, which may sit."""
BENT_RAD = 1.0
"""Flexion of knee or hip at which a leg counts as straight by 1/e: between a step's and a seat's."""
CARRIED_WINDOW_S = 0.5
"""Tilts are averaged over this time: a step."""
HANDS_ABOVE_M, FEET_DOWN = (0.0, 0.04), (0.2, 0.04)
"""Half probability and width of hanging: distance of the lower hand beyond the shoulders, and sine of the angle by which both
feet point away, along the line from the ankles to the shoulders and along the vertical. Somebody who raises the arms stands
on flat feet."""
_SHARE_OF_LIKELIEST = 0.5
"""Sole points with this share of the likeliest one's probability span the area of support."""
_MOST_LOGIT = 40.0
"""Arguments of the logistic function are limited to this: the exponential must not overflow."""
_J = {name: j for j, name in enumerate(JOINT_NAMES)}


def logistic(x: FloatArray) -> FloatArray:
    """``1 / (1 + exp(-x))`` that does not overflow."""
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -_MOST_LOGIT, _MOST_LOGIT))))


@dataclass(frozen=True, eq=False)
class Posture:
    """Heights and directions of a clip in level axes; y is up, z towards the camera."""

    soles_m: FloatArray
    """(T, 8, 3)."""
    centre_m: FloatArray
    """(T, 3) centre of mass."""
    lowest_m: FloatArray
    """(T,) height of the lowest point of the body."""
    facing: FloatArray
    """(T, 8) cosine between the normal of the foot's sole and the vertical: 1 if it lies flat on the floor."""
    straight: FloatArray
    """(T,) 0 to 1: how straight the straighter leg is."""
    hanging: FloatArray
    """(T,) probability that the body hangs by its hands: these are above the shoulders, and the feet point down."""

    @classmethod
    def of(cls, view: View, rotation: FloatArray | None = None) -> Posture:
        """Measure a clip.

        Args:
            view: with point sets ``soles`` and ``masses``.
            rotation: (3, 3) from the axes of the view to level axes; None: they are level.

        Returns:
            All frames.
        """
        turn = np.eye(3) if rotation is None else rotation
        soles, joints = view.points("soles").numpy() @ turn.T, view.pose.positions_m.numpy() @ turn.T
        shares = MassPoints(view.body).shares.numpy()
        centre = np.einsum("p,tpi->ti", shares, view.points("masses").numpy()) @ turn.T
        skin = [joints[:, _J[name], 1] - FLESH_M[kind] for name in JOINT_NAMES if (kind := _kind(name)) in FLESH_M]
        skin += list((_fingertips(view) @ turn.T)[..., 1].T)
        lowest = np.minimum(np.min(skin, axis=0), soles[..., 1].min(axis=1))
        return cls(soles, centre, lowest, _facing(soles), straight_leg(view), _hanging(soles, joints))

    def underfoot(self) -> FloatArray:
        """(T, 8) probability by the posture that each sole point touches the ground, whatever carries the body."""
        low = logistic((UNDERFOOT_M - (self.soles_m[..., 1] - self.lowest_m[:, None])) / UNDERFOOT_WIDTH_M)
        return np.asarray(low * self.faces_down())

    def faces_down(self) -> FloatArray:
        """(T, 8) probability by the posture that something is under each sole point, at any height."""
        return np.asarray(logistic((self.facing - FACING) / FACING_WIDTH) * (1 - self.hanging)[:, None])

    def carried(self, time_s: FloatArray, touching: FloatArray, tilt_sigma_rad: tuple[float, float]) -> FloatArray:
        """Judge whether the feet carry the body.

        Args:
            time_s: (T,).
            touching: (T, 8) probability of contact of each sole point.
            tilt_sigma_rad: standard deviations of the vertical's pitch and roll, including errors of the posture.

        Returns:
            (T,) probability that the vertical may be such that the centre of mass is over the area of support. This area is
            the rectangle across and along the view around the sole points that touch; it is wider by ``v sqrt(h / g)`` for a
            centre of mass of speed v and height h.

        Source:
            Extrapolated centre of mass: Hof et al. 2005, J Biomech 38:1.
        """
        height = self.centre_m[:, 1] - np.where(touching > 0, self.soles_m[..., 1], np.inf).min(axis=1, initial=np.inf)
        height = np.where(np.isfinite(height), height, LEAST_HEIGHT_M)
        ahead = _speed(time_s, self.centre_m) * np.sqrt(np.maximum(height, LEAST_HEIGHT_M) / GRAVITY_M_S2)
        used = touching >= _SHARE_OF_LIKELIEST * touching.max(axis=1, keepdims=True)
        off = np.zeros(len(height))
        for axis, sigma in zip((2, 0), tilt_sigma_rad, strict=True):
            at = self.soles_m[..., axis]
            low, high = np.where(used, at, np.inf).min(axis=1), np.where(used, at, -np.inf).max(axis=1)
            outside = np.maximum(np.maximum(low - self.centre_m[:, axis], self.centre_m[:, axis] - high) - ahead, 0.0)
            off += (np.arctan2(outside, height) / sigma) ** 2
        most = CARRIED_BENT + (CARRIED - CARRIED_BENT) * self.straight if len(time_s) < 3 else np.full(len(time_s), CARRIED)
        return logistic(_averaged(time_s, most - np.sqrt(off)) / CARRIED_WIDTH)


def _kind(name: str) -> str:
    return name.removesuffix("_r").removesuffix("_l")


def _facing(soles_m: FloatArray) -> FloatArray:
    """(T, 8) upward component of the normal of heel and both balls, for each point of the foot."""
    found = np.empty(soles_m.shape[:2])
    for first, sign in ((0, 1.0), (4, -1.0)):
        heel, ball_in, ball_out = (soles_m[:, first + i] for i in range(3))
        normal = sign * np.cross(ball_out - heel, ball_in - heel)
        found[:, first : first + 4] = (normal[:, 1] / np.linalg.norm(normal, axis=1))[:, None]
    return found


def straight_leg(view: View) -> FloatArray:
    """(T,) 0 to 1: ``exp(-(knee^2 + hip^2) / bent^2)`` of the flexions of the straighter leg."""
    q = view.state.q.numpy()
    legs = [q[:, [DOF_NAMES.index(f"{name}_{s}") for name in ("knee_angle", "hip_flexion")]] for s in "rl"]
    return np.asarray(np.exp(-np.min([(leg**2).sum(axis=1) for leg in legs], axis=0) / BENT_RAD**2))


def _fingertips(view: View) -> FloatArray:
    """(T, 2, 3) in the axes of the view."""
    hands = [_J["hand_r"], _J["hand_l"]]
    outward = np.array([[-HAND_LENGTH_M, 0.0, 0.0], [HAND_LENGTH_M, 0.0, 0.0]])  # of the T pose
    rest = view.body.rest_pose(view.state.betas).rotations[0].numpy()[hands]
    local = np.einsum("hji,hj->hi", rest, outward)
    return np.asarray(view.pose.points(torch.tensor(hands), torch.as_tensor(local)).numpy())


def _hanging(soles_m: FloatArray, joints_m: FloatArray) -> FloatArray:
    """(T,) from the lower hand and the flatter foot, against the vertical and the body's own axis: either may be tilted."""
    hands, shoulders, ankles = (joints_m[:, [_J[f"{name}_{s}"] for s in "rl"]] for name in ("hand", "humerus", "talus"))
    axis = shoulders.mean(axis=1) - ankles.mean(axis=1)
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    above = np.einsum("tsi,ti->ts", hands - shoulders, axis).min(axis=1)
    feet = soles_m[:, [0, 4]] - soles_m[:, [3, 7]]  # from the toes to the heels
    length = np.linalg.norm(feet, axis=2)
    down = np.minimum(np.einsum("tsi,ti->ts", feet, axis) / length, feet[..., 1] / length).min(axis=1)
    return np.asarray(logistic((above - HANDS_ABOVE_M[0]) / HANDS_ABOVE_M[1]) * logistic((down - FEET_DOWN[0]) / FEET_DOWN[1]))


def _speed(time_s: FloatArray, at_m: FloatArray) -> FloatArray:
    """(T,) horizontal speed; zero for stills."""
    if len(time_s) < 3:
        return np.zeros(len(time_s))
    return np.asarray(np.linalg.norm(np.gradient(at_m[:, [0, 2]], time_s, axis=0), axis=1))


def _averaged(time_s: FloatArray, values: FloatArray) -> FloatArray:
    """(T,) mean over ``CARRIED_WINDOW_S``."""
    if len(time_s) < 3:
        return values
    return np.asarray(
        uniform_filter1d(values, max(1, round(CARRIED_WINDOW_S / float(np.median(np.diff(time_s))))), mode="nearest")
    )

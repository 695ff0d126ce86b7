"""The spine of a person's BSM: BSM's turning axes, SKEL's way of sliding.

A joint of the spine can turn its bone to any orientation, and its three coordinates say to which: these are BSM's, axis by
axis, zero by zero. Where the bone's origin is at that orientation is a matter of the body. In the generic BSM it is the end of
an arc; in SKEL the arcs slide along the parent's axes and twist outside their bend. For a person the three translations are
fitted to SKEL, as polynomials of the three coordinates, so that a bone of SKEL's is met in place and orientation at once.

Source:
    BSM's axes: the generic model; SKEL's places: Keller et al. 2023, as in :mod:`hsmr_bio.body.tree`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from ..kinematics.functions import Linear
from ..kinematics.rotations import about_axis, euler_about
from ..kinematics.tree import Joint
from ..skeleton import JOINT_DOFS, JOINT_NAMES, LIMITS_RAD, PARENTS
from ..types import FloatArray
from .build import AxisSpec, linear, multivariate
from .person import Geometry

SPINE = ("lumbar_body", "thorax", "head")
ORDER = 8
"""Total degree of the translations: below 0.7 mm RMS over all of SKEL's limits."""
_MARGIN_RAD = 0.06
"""The translations are fitted this far beyond SKEL's limits, and twice as far beyond BSM's ranges."""
_SAMPLES = ((900, 1.0), (500, 0.3), (400, 0.05))
"""How many poses, and what they weigh: all over SKEL's limits; over BSM's ranges; over a box about both, to stay sane there."""
_STEEP = 1.3
"""Poses at which SKEL's middle angle exceeds this (rad) are left out: SKEL's own angles are singular at a quarter turn."""


@dataclass(frozen=True, eq=False)
class Slide:
    """Where the joint's frames lie, and how it moves."""

    at_m: FloatArray
    """(3,) origin of its frame on the parent."""
    child_at_m: FloatArray
    """(3,) origin of its frame on the child."""
    rest: FloatArray
    """(3,) coordinates of the T pose."""
    axes: tuple[AxisSpec, ...]


def slide(geometry: Geometry, name: str) -> Slide:
    """Lay a joint of the spine along SKEL's way.

    Args:
        geometry: of the person.
        name: of the body, one of ``SPINE``.

    Returns:
        The joint, exact in the T pose.
    """
    turning = _Turning(geometry, name)
    places = _Places(geometry, name, turning)
    rest_turn = geometry.relative(name)
    rest = turning.coordinates(rest_turn[None])[0]
    values, wanted, weight = places.samples()
    turns = turning.rotation(values)
    lever = places.up * places.height_m / 2  # an arc turns about its middle: to first order nothing else is left
    at = geometry.offset_m(name) - rest_turn @ lever
    remainder = (wanted - at - turns @ lever) @ turning.fixed
    coefficients = _polynomials(values, remainder, weight, ORDER)
    missed = -(_powers(rest[None], ORDER) @ coefficients)[0]
    coefficients[0] += missed  # exact in the T pose, where nothing is left beyond the pivot
    axes = [
        AxisSpec(f"rotation{i + 1}", tuple(axis), (coordinate,), linear(slope, intercept))
        for i, (axis, coordinate, slope, intercept) in enumerate(
            zip(turning.axes.tolist(), turning.names, turning.slope.tolist(), turning.intercept.tolist(), strict=True)
        )
    ]
    for i in range(3):
        unit = tuple(float(i == k) for k in range(3))
        axes.append(AxisSpec(f"translation{i + 1}", unit, turning.names, multivariate(coefficients[:, i], ORDER, 3)))
    return Slide(at, -lever, rest, tuple(axes))


class _Turning:
    """BSM's rotations of one joint: coordinates to orientation of the child in its parent, and back."""

    def __init__(self, geometry: Geometry, name: str) -> None:
        joint = geometry.generic_joints[name]
        functions = [f for _, f in joint.rotations if isinstance(f, Linear)]
        self.axes = np.array([axis for axis, _ in joint.rotations], dtype=np.float64)
        self.slope = np.array([f.slope for f in functions])
        self.intercept = np.array([f.intercept for f in functions])
        self.names = tuple(geometry.coordinates[f.input] for f in functions)
        self.fixed, self.moving = np.asarray(joint.parent_rotation), np.asarray(joint.child_rotation)
        self.ranges = np.array([geometry.generic.coordinates[n].range_si for n in self.names])

    def rotation(self, values: FloatArray) -> FloatArray:
        """(P, 3, 3) orientations at coordinates (P, 3)."""
        return self.fixed @ _product(self.axes, values * self.slope + self.intercept) @ self.moving.T

    def coordinates(self, rotation: FloatArray) -> FloatArray:
        """(P, 3) coordinates of orientations (P, 3, 3)."""
        angles = euler_about(torch.as_tensor(self.axes), torch.as_tensor(self.fixed.T @ rotation @ self.moving)).numpy()
        return np.asarray((angles - self.intercept) / self.slope)


class _Places:
    """SKEL's joint: where the child's origin is at an orientation."""

    def __init__(self, geometry: Geometry, name: str, turning: _Turning) -> None:
        self.name, self.turning = name, turning
        j = JOINT_NAMES.index(name)
        self.joint: Joint = geometry.skel_joints[j]
        self.size = geometry.length_factor
        self.axes = np.array([axis for axis, _ in self.joint.rotations], dtype=np.float64)
        self.dofs = [n for _, f in self.joint.rotations for n in f.inputs]
        self.fixed, self.moving = np.asarray(self.joint.parent_rotation), np.asarray(self.joint.child_rotation)
        self.up = geometry.rotations[j].T @ np.array([0.0, 1.0, 0.0])
        self.height_m = abs(float((geometry.origins_m[j] - geometry.origins_m[PARENTS[j]])[1]))

    def samples(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """BSM coordinates (P, 3), origins there (P, 3) in m, and weights (P,)."""
        random = np.random.default_rng(0)
        (inside, first), (ranges, second), (around, third) = _SAMPLES
        limits = LIMITS_RAD[list(JOINT_DOFS[JOINT_NAMES.index(self.name)])][::-1]
        low, high = limits[:, 0] - _MARGIN_RAD, limits[:, 1] + _MARGIN_RAD
        of_skel = random.uniform(low, high, (inside, 3))
        mine = self.turning.coordinates(self.fixed @ _product(self.axes, of_skel) @ self.moving.T)
        low, high = self.turning.ranges[:, 0] - 2 * _MARGIN_RAD, self.turning.ranges[:, 1] + 2 * _MARGIN_RAD
        boxes = [random.uniform(low, high, (ranges, 3))]
        low, high = np.minimum(low, mine.min(axis=0)), np.maximum(high, mine.max(axis=0))
        boxes.append(random.uniform(low, high, (around, 3)))
        values = np.concatenate([mine, *boxes])
        weight = np.repeat([first, second, third], [inside, ranges, around])
        angles = self._angles(self.turning.rotation(values))
        kept = np.abs(angles[:, 1]) < _STEEP
        return values[kept], self._origins_m(angles[kept]), weight[kept]

    def _angles(self, rotation: FloatArray) -> FloatArray:
        """(P, 3) SKEL's angles at orientations of the child, in the order of ``dofs``."""
        local = np.linalg.inv(self.fixed) @ rotation @ np.linalg.inv(self.moving.T)
        return euler_about(torch.as_tensor(self.axes), torch.as_tensor(local)).numpy()

    def _origins_m(self, angles: FloatArray) -> FloatArray:
        """(P, 3) child origins in the parent at SKEL's angles."""
        q = torch.zeros(len(angles), max(self.dofs) + 1, dtype=torch.float64)
        q[:, self.dofs] = torch.as_tensor(angles)
        slide = torch.zeros(len(angles), 3, dtype=torch.float64)
        for axis, function in self.joint.translations:
            slide += function.value_and_partials(q)[0][:, None] * torch.as_tensor(axis, dtype=torch.float64)
        return (np.asarray(self.joint.parent_translation_m) + slide.numpy() @ self.fixed.T) * self.size


def _product(axes: FloatArray, angles: FloatArray) -> FloatArray:
    """(P, 3, 3) of body-fixed rotations about the axes by angles (P, 3)."""
    first, second, third = (about_axis(axis, torch.as_tensor(a)).numpy() for axis, a in zip(axes, angles.T, strict=True))
    return np.asarray(first @ second @ third)


@lru_cache
def _exponents(order: int) -> tuple[list[int], list[int], list[int]]:
    """Powers of the three variables in the order of OpenSim's MultivariatePolynomialFunction."""
    triples = [(p, q, r) for p in range(order + 1) for q in range(order + 1 - p) for r in range(order + 1 - p - q)]
    first, second, third = (list(column) for column in zip(*triples, strict=True))
    return first, second, third


def _powers(values: FloatArray, order: int) -> FloatArray:
    """(P, K) monomials at (P, 3)."""
    powers = values[:, :, None] ** np.arange(order + 1)
    first, second, third = _exponents(order)
    return np.asarray(powers[:, 0, first] * powers[:, 1, second] * powers[:, 2, third])


def _polynomials(values: FloatArray, wanted: FloatArray, weight: FloatArray, order: int) -> FloatArray:
    """(K, 3) coefficients of the best polynomials of the coordinates, fitted in variables scaled to [-1, 1]."""
    low, high = values.min(axis=0), values.max(axis=0)
    middle, half = (low + high) / 2, (high - low) / 2
    system = _powers((values - middle) / half, order) * weight[:, None]
    scaled = np.linalg.lstsq(system, wanted * weight[:, None], rcond=1e-12)[0]
    cube = np.zeros((order + 1, order + 1, order + 1, 3))
    cube[_exponents(order)] = scaled
    plain = np.einsum("pqri,pa,qb,rc->abci", cube, *(_expansion(m, h, order) for m, h in zip(middle, half, strict=True)))
    return np.asarray(plain[_exponents(order)])


def _expansion(middle: float, half: float, order: int) -> FloatArray:
    """(n + 1, n + 1): row k holds ((x - middle) / half)^k in powers of x."""
    rows = [np.array([1.0])]
    for _ in range(order):
        rows.append(np.convolve(rows[-1], np.array([-middle, 1.0]) / half))
    return np.array([np.pad(row, (0, order + 1 - len(row))) for row in rows])
